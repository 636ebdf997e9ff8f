//! The fetch loop and the question at the door against the sandbox's Lime, without a socket.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use jiff::tz::TimeZone;
use sandbox::faults::{Mode, Rule};
use sandbox::{Host, Site, What};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use uuid::Uuid;

use super::decide::Wall;
use super::fetch::{Fetch, Rhythm};
use super::keeper::Keeper;
use super::media::MediaKey;
use super::{PointRules, Rules, Snapshot};
use crate::clock::{Clock as _, ManualClock, SharedClock};
use crate::delivery::{Limit, Remote};
use crate::domain::{Decision, Direction, GateId, Medium, MediumKind, Pass, PassageState, Personal, Secret, ServicePointId};
use crate::door::{Answer as Said, Authority as _, Commit, Entitlements as _, Known, Online, Question};
use crate::http::{Answer, Bearer, BoxFuture, Endpoint, Exchange, Failure, Request, Transport};

const NOW: i64 = 1_777_618_800_000;

/// A site as a transport. What it delays, is as late on tokio's clock.
struct World {
    site: Mutex<Site>,
    clock: Arc<ManualClock>,
}

impl World {
    fn site<T>(&self, with: impl FnOnce(&mut Site) -> T) -> T {
        with(&mut self.site.lock().unwrap())
    }

    fn state(&self) -> Value {
        self.site(|site| site.state(Host::Lime))
    }

    fn fault(&self, rule: Rule) {
        self.site(|site| site.faults.set(0, rule));
    }
}

impl Transport for World {
    fn send(&self, request: Request) -> BoxFuture<'_, Exchange> {
        let (sender, _) = mpsc::channel(1);
        self.stream(request, sender)
    }

    fn stream(&self, request: Request, body: mpsc::Sender<Bytes>) -> BoxFuture<'_, Exchange> {
        Box::pin(async move {
            let mut plain = http::Request::builder().method(request.method).uri(format!("/gw/v1{}", request.path));
            for (name, value) in request.headers {
                plain = plain.header(name, value);
            }
            let now = self.clock.stamp();
            let plain = plain.body(request.body.unwrap_or_default()).unwrap();
            let outcome = self.site(|site| site.call(Host::Lime, now.boot_ms, now.wall_ms, plain));
            tokio::time::sleep(Duration::from_millis(outcome.after_ms)).await;
            let (response, whole) = match outcome.what {
                What::Whole(response) => (response, true),
                What::Cut { response, .. } => (response, false),
                What::Hang => std::future::pending().await,
                What::Refused => return Err(Failure::NotSent("refused".to_owned())),
                What::Reset => return Err(Failure::Unknown("reset".to_owned())),
            };
            let (head, bytes) = response.into_parts();
            let streamed = head.status == http::StatusCode::OK && body.max_capacity() > 1;
            if streamed {
                let sent = bytes.slice(..if whole { bytes.len() } else { bytes.len() / 2 });
                for piece in sent.chunks(997) {
                    if body.send(Bytes::copy_from_slice(piece)).await.is_err() {
                        return Err(Failure::Unknown("not read".to_owned()));
                    }
                }
            }
            if !whole {
                return Err(Failure::Unknown("half an answer".to_owned()));
            }
            Ok(Answer { status: head.status, headers: head.headers, body: if streamed { Bytes::new() } else { bytes } })
        })
    }
}

struct Bench {
    world: Arc<World>,
    clock: Arc<ManualClock>,
    remote: Arc<Remote>,
    snapshot: Arc<Snapshot>,
    folder: tempfile::TempDir,
    stop: watch::Sender<bool>,
}

impl Bench {
    fn new(secret: Option<&str>) -> Self {
        let clock = Arc::new(ManualClock::synced(NOW));
        let mut site = Site::new(3);
        let token = site.lime.token().to_owned();
        assert!(site.lime.put_medium("card_uid", "A1", false, &json!([{"id": "t-1", "kind": "ticket", "amount": 1}])));
        let world = Arc::new(World { site: Mutex::new(site), clock: Arc::clone(&clock) });
        let endpoint = Endpoint::new(Arc::clone(&world) as Arc<dyn Transport>, Arc::new(Bearer::new(Secret::new(token))));
        let shared = Arc::clone(&clock) as SharedClock;
        let backoff = (Duration::from_millis(1), Duration::from_millis(2));
        let remote = Arc::new(Remote::new(endpoint, Limit::of(10_000.0, 20_000), backoff, Arc::clone(&shared), fastrand::Rng::with_seed(1)));
        clock.advance_ms(1_000);
        let folder = tempfile::tempdir().unwrap();
        let key = secret.map_or_else(|| MediaKey::of_box(folder.path()).unwrap(), |key| MediaKey::of_venue(&Secret::new(key)));
        let rule = PointRules { max_age: Duration::from_secs(43_200), max_offline_debt: 0 };
        let rules = Rules { zone: TimeZone::UTC, points: [(ServicePointId::from("sp-1"), rule)].into() };
        let snapshot = Arc::new(Snapshot::new(key, rules, shared, Vec::new(), None));
        Self { world, clock, remote, snapshot, folder, stop: watch::channel(false).0 }
    }

    fn fetch(&self) -> tokio::task::JoinHandle<()> {
        let keeper = Keeper::new(Arc::clone(&self.snapshot), self.folder.path(), vec!["sp-1".into()]).unwrap();
        let shared = Arc::clone(&self.clock) as SharedClock;
        let key = self.snapshot.key.clone();
        let rhythm = Rhythm { every: Duration::from_millis(5), backoff: (Duration::from_millis(1), Duration::from_millis(20)) };
        let fetch = Fetch::new(keeper, key, Arc::clone(&self.remote), shared, rhythm, fastrand::Rng::with_seed(2));
        tokio::spawn(fetch.run(self.stop.subscribe()))
    }

    fn ask(&self, value: &str) -> Known {
        let (medium, point, now) = (card(value), ServicePointId::from("sp-1"), self.clock.stamp());
        let (direction, now_ms, boot_ms) = (Direction::In, now.wall_ms, now.boot_ms);
        self.snapshot.ask(Question { medium: &medium, service_point: &point, direction, now_ms, error_ms: Some(5), boot_ms })
    }

    fn admits(&self, value: &str) -> bool {
        matches!(self.ask(value), Known::Decided(Decision { admitted: true, .. }))
    }

    async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let waited = tokio::time::timeout(Duration::from_secs(60), async {
            while !holds(self) {
                // Rests of the remote run on boot time.
                self.clock.advance_ms(5);
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        });
        assert!(waited.await.is_ok(), "not in time: {what}; {}", self.world.state()["entitlements"]);
    }
}

fn card(value: &str) -> Medium {
    Medium { kind: MediumKind::CardUid, value: Personal::new(value), raw: None, format: "x".into() }
}

fn pass(number: u128, value: &str, clock: &ManualClock) -> Pass {
    Pass {
        id: Uuid::from_u128((7 << 76) | number),
        number: number as u64,
        gate: GateId::from("n1"),
        service_point: ServicePointId::from("sp-1"),
        direction: Direction::In,
        medium: card(value),
        device: None,
        passage: PassageState::Unknown,
        stamp: clock.stamp(),
        device_ms: None,
        test: false,
        door: None,
    }
}

#[tokio::test]
async fn the_snapshot_follows_lime_by_deltas_and_survives_half_answers_bad_ones_and_forgotten_versions() {
    let bench = Bench::new(None);
    let fetch = bench.fetch();
    bench.until("the first snapshot", |bench| bench.admits("A1")).await;
    assert_eq!(bench.ask("ZZ"), Known::Unable("unknown_medium"));
    bench.world.site(|site| site.lime.put_medium("card_uid", "B2", false, &json!([{"id": "t-2", "kind": "ticket", "amount": 1}])));
    bench.until("a delta", |bench| bench.admits("B2")).await;
    bench.world.site(|site| site.lime.remove_medium("card_uid", "A1"));
    bench.until("a tombstone", |bench| bench.ask("A1") == Known::Unable("unknown_medium")).await;
    bench.until("confirmations", |bench| bench.world.state()["entitlements"]["unchanged"].as_u64() > Some(2)).await;
    assert_eq!(bench.world.state()["entitlements"]["whole"], 1, "everything else came by deltas");
    // Half answers, and answers without their last line: what is in use stays.
    bench.world.fault(Rule::new(Host::Lime, Mode::HalfAnswer).on("GET", "entitlements").times(3));
    bench.world.site(|site| site.lime.put_medium("card_uid", "A1", false, &json!([{"id": "t-1", "kind": "ticket", "amount": 1}])));
    bench.until("half answers are got over", |bench| bench.admits("A1") && bench.admits("B2")).await;
    bench.world.site(|site| assert!(site.lime.switch("without_end", &json!(true))));
    bench.world.site(|site| site.lime.put_medium("card_uid", "C3", false, &json!([{"id": "t-3", "kind": "ticket", "amount": 1}])));
    let asked = bench.world.state()["entitlements"]["asked"].as_u64();
    bench.until("it is asked again", |bench| bench.world.state()["entitlements"]["asked"].as_u64() > asked.map(|asked| asked + 4)).await;
    assert!(bench.admits("B2") && !bench.admits("C3"), "an answer without its last line changes nothing");
    bench.world.site(|site| assert!(site.lime.switch("without_end", &json!(false))));
    bench.until("it is whole again", |bench| bench.admits("C3")).await;
    // A version that Lime has forgotten.
    let whole = bench.world.state()["entitlements"]["whole"].as_u64();
    bench.world.site(|site| assert!(site.lime.switch("forget_versions", &json!(true))));
    bench.until("all of it", |bench| bench.world.state()["entitlements"]["whole"].as_u64() > whole).await;
    bench.until("it is in use", |bench| bench.admits("A1") && bench.admits("B2") && bench.admits("C3")).await;
    bench.stop.send_replace(true);
    fetch.await.unwrap();
    let overview = bench.snapshot.overview(Some(Wall { now_ms: NOW, error_ms: 0 }));
    assert!(overview.fresh && overview.media > 200, "{overview:?}");
}

#[tokio::test]
async fn media_that_lime_sends_hashed_with_the_venues_key_are_known_by_it() {
    let secret = "0123456789abcdef0123456789abcdef";
    let bench = Bench::new(Some(secret));
    bench.world.site(|site| assert!(site.lime.switch("media_key", &json!(secret))));
    let fetch = bench.fetch();
    bench.until("the first snapshot", |bench| bench.admits("A1")).await;
    bench.stop.send_replace(true);
    fetch.await.unwrap();
}

fn grant(said: Said) -> Decision {
    match said {
        Said::Granted { decision, .. } => decision,
        other => panic!("{other:?}"),
    }
}

const BUDGET: Duration = Duration::from_secs(30);

fn online(bench: &Bench) -> Online {
    Online::new(Arc::clone(&bench.remote), TimeZone::UTC)
}

#[tokio::test]
async fn lime_grants_holds_and_refuses_and_one_id_has_one_answer() {
    let (bench, first) = (Bench::new(None), 1);
    let authority = online(&bench);
    let asked = pass(first, "A1", &bench.clock);
    let held = grant(authority.ask(&asked, Commit::OnPassage, BUDGET).await);
    assert!(held.hold_id.is_some() && held.right_id.as_deref() == Some("t-1"));
    assert_eq!(grant(authority.ask(&asked, Commit::OnPassage, BUDGET).await), held, "asked twice");
    let Said::Refused { decision, .. } = authority.ask(&pass(2, "A1", &bench.clock), Commit::OnPassage, BUDGET).await else { panic!() };
    assert_eq!((decision.admitted, decision.code.as_str()), (false, "already_used"));
    let state = bench.world.state();
    assert_eq!((state["holds"].as_object().unwrap().len(), state["transactions"].as_u64()), (2, Some(0)));
    bench.clock.advance_ms(60_000);
    let free = grant(authority.ask(&pass(3, "A1", &bench.clock), Commit::Immediate, BUDGET).await);
    assert_eq!(free.hold_id, None);
    assert_eq!(bench.world.state()["transactions"], 1, "the first hold is over");
}

#[tokio::test]
async fn an_answer_after_the_guests_time_is_handed_over_late() {
    let bench = Bench::new(None);
    let authority = online(&bench);
    bench.world.fault(Rule::new(Host::Lime, Mode::Delay { ms: 50 }).on("POST", "authorize").times(1));
    let Said::NoAnswer { sent: true, late: Some(late) } = authority.ask(&pass(1, "A1", &bench.clock), Commit::Immediate, Duration::ZERO).await else {
        panic!()
    };
    assert!(grant(late.await.unwrap()).admitted);
}

#[tokio::test]
async fn no_answer_says_whether_lime_may_have_heard_the_question() {
    for (mode, heard) in [
        (Mode::DropBeforeCommit, true),
        (Mode::DropAfterCommit, true),
        (Mode::HalfAnswer, true),
        (Mode::BadGateway { committed: false }, true),
        (Mode::Unauthorized, false),
        (Mode::RateLimited { retry_after_s: Some(1) }, false),
    ] {
        let bench = Bench::new(None);
        let authority = online(&bench);
        bench.world.fault(Rule::new(Host::Lime, mode.clone()).on("POST", "authorize").times(1));
        let Said::NoAnswer { sent, late: None } = authority.ask(&pass(1, "A1", &bench.clock), Commit::Immediate, BUDGET).await else {
            panic!("{mode:?}")
        };
        assert_eq!(sent, heard, "{mode:?}");
    }
}
