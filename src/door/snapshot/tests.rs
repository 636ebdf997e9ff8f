//! The snapshot against a naive model: deltas, damage, restarts; decisions against brute force; days and hours at their edges.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use jiff::tz::TimeZone;
use proptest::prelude::*;
use ring::digest;
use serde_json::{Value, json};
use uuid::Uuid;

use super::decide::{Case, Verdict, Wall, decide};
use super::delta::{Bad, Reader};
use super::keeper::Keeper;
use super::media::{Hash, MediaKey};
use super::terms::{Entitlement, Holder, Policy, Standing, Tariff, Terms};
use super::uses::{Use, Uses};
use super::{Known, PointRules, Question, Restored, Rules, Snapshot, Used};
use crate::clock::{Clock as _, ManualClock, SharedClock};
use crate::domain::{BootId, Decision, DecisionMode, Direction, Medium, MediumKind, Personal, RightKind, Secret, ServicePointId, Stamp, Sync};
use crate::door::Entitlements as _;

const NOW: i64 = 1_777_618_800_000;

fn key() -> MediaKey {
    MediaKey::of_venue(&Secret::new("k".repeat(32)))
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::synced(NOW))
}

fn rules() -> Rules {
    let rules = PointRules { max_age: std::time::Duration::from_secs(12 * 3_600), max_offline_debt: 0 };
    Rules { zone: TimeZone::get("Europe/Berlin").unwrap(), points: BTreeMap::from([(ServicePointId::from("sp-1"), rules)]) }
}

fn snapshot(clock: &Arc<ManualClock>, restored: Vec<Restored>) -> Arc<Snapshot> {
    Arc::new(Snapshot::new(key(), rules(), Arc::clone(clock) as SharedClock, restored, None))
}

fn keeper(snapshot: &Arc<Snapshot>, folder: &Path) -> Keeper {
    Keeper::new(Arc::clone(snapshot), folder, vec!["sp-1".to_owned()]).unwrap()
}

fn card(value: &str) -> Medium {
    Medium { kind: MediumKind::CardUid, value: Personal::new(value), raw: None, format: "x".into() }
}

/// An answer of Lime. `None` for a medium: a tombstone.
fn answer(version: &str, base: Option<&str>, lines: &[(String, Option<Value>)]) -> String {
    let header = json!({"version": version, "base": base, "generated_at": "2026-05-01T12:00:00+05:00", "tariffs": {"sp-1": {"price": 500}}});
    let mut text = format!("{header}\n");
    for (m, rights) in lines {
        let line = match rights {
            Some(rights) => json!({"m": m, "c": "c-1", "cat": "adult", "st": "ok", "rights": rights}),
            None => json!({"m": m, "del": true}),
        };
        text += &format!("{line}\n");
    }
    let sha: String = digest::digest(&digest::SHA256, text.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    text + &json!({"end": true, "count": lines.len(), "sha256": sha}).to_string() + "\n"
}

fn take_in(keeper: &mut Keeper, clock: &ManualClock, bytes: &[u8], piece: usize) -> Result<(), Bad> {
    let mut receiving = keeper.receiving(clock.stamp());
    let mut reader = Reader::new(key());
    for piece in bytes.chunks(piece) {
        reader.take(piece, &mut receiving)?;
    }
    reader.finish()?;
    keeper.apply(receiving.finish()?, None).map_err(|error| Bad::NotTaken(error.to_string()))
}

fn visits(count: i64) -> Value {
    json!([{"id": "r", "kind": "ticket", "amount": count}])
}

/// All that is in use, as the visits of each medium.
fn held(snapshot: &Snapshot) -> BTreeMap<Hash, i64> {
    let inner = snapshot.inner();
    let all: Result<Vec<_>, _> = inner.view.all().collect();
    all.unwrap().into_iter().map(|(hash, bytes)| (hash, minicbor::decode::<Holder>(&bytes).unwrap().rights[0].amount.unwrap())).collect()
}

type Change = (u8, Option<i64>);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Random deltas, some of them spoilt, restarts in between: what is in use is what the whole ones made, and each medium is found.
    #[test]
    fn deltas_make_what_a_plain_map_makes_and_spoilt_ones_make_nothing(
        rounds in proptest::collection::vec(
            (proptest::collection::vec((0u8..40, proptest::option::weighted(0.7, 1i64..100)), 0..30), 1usize..200, 0u8..5, any::<u32>()), 1..8),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let clock = clock();
        let mut snapshot = snapshot(&clock, Vec::new());
        let mut keeper = keeper(&snapshot, folder.path());
        let mut model: BTreeMap<Hash, i64> = BTreeMap::new();
        let mut version: Option<String> = None;
        for (number, (changes, piece, kind, place)) in rounds.into_iter().enumerate() {
            let changes: Vec<Change> = changes;
            let lines: Vec<_> = changes.iter().map(|(m, count)| (format!("card_uid:{m:04}"), count.map(visits))).collect();
            let whole = version.is_none() || kind == 4;
            let next = format!("s-{number}");
            let text = answer(&next, version.as_deref().filter(|_| !whole), &lines).into_bytes();
            let mut sent = text.clone();
            match kind {
                0 => { sent.truncate(place as usize % text.len()); }
                1 => { let at = place as usize % text.len(); sent[at] ^= 1 << (place >> 16 & 7); }
                _ => {}
            }
            let taken = take_in(&mut keeper, &clock, &sent, piece);
            prop_assert_eq!(taken.is_ok(), sent == text, "{:?}", taken);
            if sent == text {
                if whole { model.clear(); }
                for (m, count) in &changes {
                    let hash = key().named(&format!("card_uid:{m:04}")).unwrap();
                    match count { Some(count) => drop(model.insert(hash, *count)), None => drop(model.remove(&hash)) }
                }
                version = Some(next);
            }
            prop_assert_eq!(&held(&snapshot), &model);
            if place % 3 == 0 {
                snapshot = self::snapshot(&clock, Vec::new());
                keeper = self::keeper(&snapshot, folder.path());
                keeper.load();
                prop_assert_eq!(&held(&snapshot), &model);
                prop_assert_eq!(keeper.version().map(|(version, _)| version), version.clone());
            }
            for m in 0..40 {
                let hash = key().named(&format!("card_uid:{m:04}")).unwrap();
                let found = snapshot.inner().view.get(hash).unwrap().map(|holder| holder.rights[0].amount.unwrap());
                prop_assert_eq!(found, model.get(&hash).copied());
            }
        }
    }

    /// A damaged file is never looked up in: it is set aside and all is asked for again. A damaged log only makes the snapshot older.
    #[test]
    fn damage_on_disk_is_seen_when_it_is_loaded(place in any::<u32>(), in_log in any::<bool>()) {
        let folder = tempfile::tempdir().unwrap();
        let clock = clock();
        let snapshot = snapshot(&clock, Vec::new());
        let mut keeper = keeper(&snapshot, folder.path());
        let lines: Vec<_> = (0..100).map(|m| (format!("qr:{m}"), Some(visits(m + 1)))).collect();
        take_in(&mut keeper, &clock, answer("s-1", None, &lines).as_bytes(), 4_096).unwrap();
        let first = held(&snapshot);
        take_in(&mut keeper, &clock, answer("s-2", Some("s-1"), &[("qr:7".to_owned(), None)]).as_bytes(), 4_096).unwrap();
        let path = folder.path().join(if in_log { "entitlements.changes" } else { "entitlements" });
        let mut bytes = std::fs::read(&path).unwrap();
        let at = place as usize % bytes.len();
        bytes[at] ^= 1 << (place >> 16 & 7);
        std::fs::write(&path, bytes).unwrap();
        let again = self::snapshot(&clock, Vec::new());
        let mut keeper = self::keeper(&again, folder.path());
        keeper.load();
        if in_log {
            prop_assert_eq!(held(&again), first);
            prop_assert_eq!(keeper.version().unwrap().0, "s-1");
            take_in(&mut keeper, &clock, answer("s-3", Some("s-1"), &[("qr:8".to_owned(), None)]).as_bytes(), 64).unwrap();
            prop_assert_eq!(held(&again).len(), 99);
        } else {
            prop_assert_eq!(keeper.version(), None);
            prop_assert!(folder.path().join("entitlements.damaged").exists());
            prop_assert_eq!(ask(&again, &clock, "1", Direction::In), Known::Unable("snapshot_stale"));
        }
    }
}

fn question<'a>(medium: &'a Medium, point: &'a ServicePointId, direction: Direction, clock: &ManualClock) -> Question<'a> {
    let now = clock.stamp();
    let error_ms = (now.sync == Sync::Synced).then_some(50);
    Question { medium, service_point: point, direction, now_ms: now.wall_ms, error_ms, boot_ms: now.boot_ms }
}

fn ask(snapshot: &Snapshot, clock: &ManualClock, value: &str, direction: Direction) -> Known {
    snapshot.ask(question(&card(value), &ServicePointId::from("sp-1"), direction, clock))
}

fn used(number: u128, value: &str, decision: Decision, clock: &ManualClock) -> Used {
    Used { pass: Uuid::from_u128(number), medium: card(value), decision, service_point: ServicePointId::from("sp-1"), boot_ms: clock.boot_ms() }
}

fn decided(known: Known) -> Decision {
    match known {
        Known::Decided(decision) => decision,
        Known::Unable(code) => panic!("{code}"),
    }
}

#[test]
fn a_use_is_counted_until_a_snapshot_asked_for_after_its_settlement_and_a_released_one_not_at_all() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), clock());
    let snapshot = snapshot(&clock, Vec::new());
    let mut keeper = keeper(&snapshot, folder.path());
    let lines = [("card_uid:A1".to_owned(), Some(visits(1)))];
    take_in(&mut keeper, &clock, answer("s-1", None, &lines).as_bytes(), 64).unwrap();
    let yes = decided(ask(&snapshot, &clock, "A1", Direction::In));
    assert_eq!((yes.admitted, yes.right_id.as_deref(), yes.snapshot_version.as_deref()), (true, Some("r"), Some("s-1")));
    snapshot.used(used(1, "A1", yes.clone(), &clock));
    let no = decided(ask(&snapshot, &clock, "A1", Direction::In));
    assert_eq!((no.admitted, no.code.as_str()), (false, "already_used"));
    snapshot.released(Uuid::from_u128(1));
    assert!(decided(ask(&snapshot, &clock, "A1", Direction::In)).admitted, "nobody went through");
    snapshot.used(used(2, "A1", yes, &clock));
    clock.advance_ms(1_000);
    keeper.confirm(clock.stamp(), true);
    snapshot.settled(Uuid::from_u128(2));
    assert!(!decided(ask(&snapshot, &clock, "A1", Direction::In)).admitted, "settled, and no snapshot since");
    clock.advance_ms(1_000);
    keeper.confirm(clock.stamp(), true);
    assert!(decided(ask(&snapshot, &clock, "A1", Direction::In)).admitted, "Lime says that one is left, and knows of both");
    let out = decided(ask(&snapshot, &clock, "A1", Direction::Out));
    snapshot.used(used(3, "A1", out, &clock));
    assert!(decided(ask(&snapshot, &clock, "A1", Direction::In)).admitted, "an exit takes nothing");
}

#[test]
fn what_was_let_in_without_knowing_an_entitlement_takes_the_one_that_lime_will_take() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), clock());
    let snapshot = snapshot(&clock, Vec::new());
    let mut keeper = keeper(&snapshot, folder.path());
    let open = Decision {
        mode: DecisionMode::OfflineOpen,
        admitted: true,
        code: "ok".into(),
        snapshot_version: None,
        hold_id: None,
        right_id: None,
        amount: None,
    };
    snapshot.used(used(1, "A1", open, &clock));
    let rights = json!([{"id": "t", "kind": "ticket", "amount": 1}, {"id": "d", "kind": "deposit", "amount": 700}]);
    take_in(&mut keeper, &clock, answer("s-1", None, &[("card_uid:A1".to_owned(), Some(rights))]).as_bytes(), 64).unwrap();
    let next = decided(ask(&snapshot, &clock, "A1", Direction::In));
    assert_eq!((next.right_id.as_deref(), next.amount), (Some("d"), Some(500)));
    snapshot.used(used(2, "A1", next, &clock));
    assert_eq!(decided(ask(&snapshot, &clock, "A1", Direction::In)).code, "insufficient_deposit");
}

#[test]
fn uses_of_before_a_restart_count_after_it() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), clock());
    let first = snapshot(&clock, Vec::new());
    take_in(&mut keeper(&first, folder.path()), &clock, answer("s-1", None, &[("card_uid:A1".to_owned(), Some(visits(2)))]).as_bytes(), 64).unwrap();
    let yes = decided(ask(&first, &clock, "A1", Direction::In));
    let (open, settled) = (used(1, "A1", yes.clone(), &clock), used(2, "A1", yes, &clock));
    let boot = clock.stamp().boot;
    clock.advance_ms(5_000);
    let restored = [(open, false), (settled, true)].map(|(used, settled)| Restored { used, boot, at_ms: Some(NOW), settled }).to_vec();
    let second = snapshot(&clock, restored);
    let mut keeper = keeper(&second, folder.path());
    keeper.load();
    assert_eq!(decided(ask(&second, &clock, "A1", Direction::In)).code, "already_used");
    clock.advance_ms(1_000);
    keeper.confirm(clock.stamp(), false);
    assert!(decided(ask(&second, &clock, "A1", Direction::In)).admitted, "the settled one is in the snapshot now");
}

#[test]
fn a_snapshot_too_old_or_of_unknown_age_is_no_answer() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), clock());
    let first = snapshot(&clock, Vec::new());
    assert_eq!(ask(&first, &clock, "A1", Direction::In), Known::Unable("snapshot_stale"), "none yet");
    take_in(&mut keeper(&first, folder.path()), &clock, answer("s-1", None, &[("card_uid:A1".to_owned(), Some(visits(2)))]).as_bytes(), 64).unwrap();
    assert_eq!(ask(&first, &clock, "B2", Direction::In), Known::Unable("unknown_medium"));
    clock.advance_ms(12 * 3_600_000);
    assert!(matches!(ask(&first, &clock, "A1", Direction::In), Known::Decided(_)));
    clock.advance_ms(1);
    assert_eq!(ask(&first, &clock, "A1", Direction::In), Known::Unable("snapshot_stale"));
    // After a reboot: no clock, no age. With one, it is as old as it is.
    for (wall, sync, known) in [(0, Sync::Unsynced, false), (NOW + 3_600_000, Sync::Synced, true), (NOW + 13 * 3_600_000, Sync::Synced, false)] {
        let stamp = Stamp { boot: BootId(Uuid::from_u128(77)), boot_ms: 9, wall_ms: wall, sync };
        let rebooted = Arc::new(ManualClock::at(stamp));
        let second = snapshot(&rebooted, Vec::new());
        keeper(&second, folder.path()).load();
        assert_eq!(matches!(ask(&second, &rebooted, "A1", Direction::In), Known::Decided(_)), known, "{wall} {sync:?}");
    }
}

#[test]
fn without_a_clock_only_what_needs_none_is_decided() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), clock());
    let snapshot = snapshot(&clock, Vec::new());
    let timed = json!([{"id": "t", "kind": "ticket", "amount": 1, "to": "2030-01-01T00:00:00Z"}]);
    let lines = [("card_uid:A1".to_owned(), Some(visits(1))), ("card_uid:B2".to_owned(), Some(timed))];
    take_in(&mut keeper(&snapshot, folder.path()), &clock, answer("s-1", None, &lines).as_bytes(), 64).unwrap();
    assert!(decided(ask(&snapshot, &clock, "B2", Direction::In)).admitted);
    let (medium, plain, point) = (card("B2"), card("A1"), ServicePointId::from("sp-1"));
    let blind = |medium| Question { error_ms: None, ..question(medium, &point, Direction::In, &clock) };
    assert_eq!(snapshot.ask(blind(&medium)), Known::Unable("clock_unsynced"));
    assert!(decided(snapshot.ask(blind(&plain))).admitted);
    let wild = Question { error_ms: Some(3_600_000), ..blind(&medium) };
    assert_eq!(snapshot.ask(wild), Known::Unable("clock_unsynced"), "an error of an hour is no clock");
}

fn right(kind: RightKind, amount: Option<i64>) -> Entitlement {
    Entitlement {
        id: "r".into(),
        kind,
        amount,
        from_ms: None,
        to_ms: None,
        service_points: Vec::new(),
        hours: None,
        daily_limit: None,
        day: None,
        unclear: false,
    }
}

fn terms() -> Terms {
    let tariff = Tariff {
        price: Some(500),
        prices: BTreeMap::from([("child".to_owned(), 300)]),
        categories: vec!["adult".into(), "child".into()],
        hours: None,
    };
    Terms { version: "s".into(), tariffs: BTreeMap::from([("sp-1".to_owned(), tariff)]), ..Terms::default() }
}

struct Bench {
    terms: Terms,
    holder: Holder,
    uses: Uses,
    zone: TimeZone,
}

impl Bench {
    fn new(rights: Vec<Entitlement>) -> Self {
        let holder = Holder { standing: Standing::Good, category: Some("adult".into()), rights };
        Self { terms: terms(), holder, uses: Uses::default(), zone: TimeZone::get("Europe/Berlin").unwrap() }
    }

    /// At this local time, `boot_ms` after the boot.
    fn at(&self, local: &str, boot_ms: u64) -> Verdict {
        let at: jiff::Timestamp = local.parse().unwrap();
        self.decide(Some(Wall { now_ms: at.as_millisecond(), error_ms: 0 }), boot_ms)
    }

    fn decide(&self, wall: Option<Wall>, boot_ms: u64) -> Verdict {
        let (terms, holder, zone) = (&self.terms, &self.holder, &self.zone);
        let case = Case {
            terms,
            holder,
            medium: Hash([9; 16]),
            service_point: "sp-1",
            direction: Direction::In,
            wall,
            boot_ms,
            zone,
            max_offline_debt: 100,
        };
        decide(case, &self.uses, &|id| key().right(id))
    }

    fn used(&mut self, number: u128, boot_ms: u64) {
        let used = Use {
            medium: Hash([9; 16]),
            right: Some(key().right("r")),
            amount: None,
            service_point: "sp-1".into(),
            boot_ms,
            wall_ms: None,
            settled_ms: None,
            neighbour: false,
        };
        self.uses.add(Uuid::from_u128(number), used);
    }
}

fn yes() -> Verdict {
    Verdict::Admitted { right: Some("r".into()), amount: None }
}

const HOUR: u64 = 3_600_000;

#[test]
fn a_daily_limit_is_of_the_venues_calendar_day_also_when_the_clock_is_put_forward_or_back() {
    // 2026-03-29 has 23 hours in Berlin, 2026-10-25 has 25.
    for (used_at, now, hours, limited) in [
        ("2026-05-01T23:30:00+02:00", "2026-05-01T23:59:00+02:00", 0, true),
        ("2026-05-01T23:30:00+02:00", "2026-05-02T00:30:00+02:00", 1, false),
        ("2026-03-29T00:30:00+01:00", "2026-03-29T23:30:00+02:00", 22, true),
        ("2026-03-29T00:30:00+01:00", "2026-03-30T00:30:00+02:00", 23, false),
        ("2026-10-25T00:30:00+02:00", "2026-10-25T23:30:00+01:00", 24, true),
        ("2026-10-25T00:30:00+02:00", "2026-10-26T00:30:00+01:00", 25, false),
    ] {
        let mut bench = Bench::new(vec![Entitlement { daily_limit: Some(1), ..right(RightKind::Pass, None) }]);
        assert_eq!(bench.at(used_at, 100 * HOUR), yes());
        bench.used(1, 100 * HOUR);
        let expected = if limited { Verdict::Refused("limit_reached") } else { yes() };
        assert_eq!(bench.at(now, (100 + hours) * HOUR), expected, "{used_at} {now}");
    }
}

#[test]
fn limes_own_count_of_the_day_holds_for_that_day_and_our_uses_come_on_top() {
    let limited = Entitlement { daily_limit: Some(2), day: Some(("2026-05-01".into(), 1)), ..right(RightKind::Pass, None) };
    let mut bench = Bench::new(vec![limited]);
    assert_eq!(bench.at("2026-05-01T12:00:00+02:00", HOUR), yes());
    bench.used(1, HOUR);
    assert_eq!(bench.at("2026-05-01T13:00:00+02:00", 2 * HOUR), Verdict::Refused("limit_reached"));
    assert_eq!(bench.at("2026-05-02T12:00:00+02:00", 25 * HOUR), yes());
    bench.uses.settled(Uuid::from_u128(1), HOUR);
    bench.uses.applied(2 * HOUR, 2 * HOUR);
    assert_eq!(bench.at("2026-05-01T13:00:00+02:00", 2 * HOUR), yes(), "it is among Lime's by now");
    bench.holder.rights[0].day = None;
    bench.holder.rights[0].daily_limit = Some(1);
    assert_eq!(bench.at("2026-05-01T13:00:00+02:00", 2 * HOUR), Verdict::Refused("limit_reached"), "where Lime does not count, we do");
}

#[test]
fn the_code_is_that_of_the_entitlement_that_came_furthest() {
    let elsewhere = Entitlement { service_points: vec!["sp-2".into()], ..right(RightKind::Ticket, Some(1)) };
    let expired = Entitlement { to_ms: Some(5), ..right(RightKind::Ticket, Some(1)) };
    let early = Entitlement { from_ms: Some(i64::MAX), ..right(RightKind::Ticket, Some(1)) };
    let night = Entitlement { hours: Some("22:00-04:00".into()), ..right(RightKind::Ticket, Some(1)) };
    let empty = right(RightKind::Ticket, Some(0));
    let short = right(RightKind::Deposit, Some(399));
    let unclear = Entitlement { unclear: true, ..right(RightKind::Ticket, Some(1)) };
    for (rights, code) in [
        (vec![], "no_ticket"),
        (vec![elsewhere.clone()], "wrong_service_point"),
        (vec![unclear], "offline_not_allowed"),
        (vec![right(RightKind::Bonus, Some(900))], "offline_not_allowed"),
        (vec![early.clone()], "not_yet_valid"),
        (vec![expired.clone(), elsewhere], "expired"),
        (vec![night, expired], "outside_hours"),
        (vec![empty.clone(), early], "already_used"),
        (vec![short, empty], "insufficient_deposit"),
    ] {
        assert_eq!(Bench::new(rights).at("2026-05-01T12:00:00+02:00", HOUR), Verdict::Refused(code));
    }
    let debt = Bench::new(vec![right(RightKind::Deposit, Some(400))]);
    assert_eq!(debt.at("2026-05-01T12:00:00+02:00", HOUR), Verdict::Admitted { right: Some("r".into()), amount: Some(500) });
}

#[test]
fn standing_category_hours_and_limes_own_policy_come_before_any_entitlement() {
    let noon = "2026-05-01T12:00:00+02:00";
    for (change, code) in [
        (Box::new(|bench: &mut Bench| bench.holder.standing = Standing::BlockedCard) as Box<dyn Fn(&mut Bench)>, "blocked_card"),
        (Box::new(|bench| bench.holder.standing = Standing::BlockedClient), "blocked_client"),
        (Box::new(|bench| bench.holder.standing = Standing::Suspended), "client_suspended"),
        (Box::new(|bench| bench.holder.category = Some("staff".into())), "wrong_category"),
        (Box::new(|bench| bench.terms.tariffs.get_mut("sp-1").unwrap().hours = Some("13:00-14:00".into())), "outside_hours"),
        (Box::new(|bench| drop(bench.terms.policies.insert("*".into(), Policy { deny: true, ..Policy::default() }))), "offline_not_allowed"),
    ] {
        let mut bench = Bench::new(vec![right(RightKind::Ticket, Some(5))]);
        assert_eq!(bench.at(noon, HOUR), yes());
        change(&mut bench);
        assert_eq!(bench.at(noon, HOUR), Verdict::Refused(code));
    }
    let mut child = Bench::new(vec![right(RightKind::Deposit, Some(300))]);
    child.holder.category = Some("child".into());
    assert_eq!(child.at(noon, HOUR), Verdict::Admitted { right: Some("r".into()), amount: Some(300) });
}

fn any_right() -> impl Strategy<Value = (bool, i64, Option<bool>, Option<bool>, bool)> {
    // Deposit or ticket, amount, has begun, has not ended, here.
    (any::<bool>(), -1i64..1200, proptest::option::of(any::<bool>()), proptest::option::of(any::<bool>()), any::<bool>())
}

proptest! {
    /// Of entitlements in any state, the first that covers the pass is taken; a debt only where none does; and nobody goes in on none.
    #[test]
    fn the_first_that_covers_is_taken(rights in proptest::collection::vec(any_right(), 0..6), taken in proptest::collection::vec(0usize..6, 0..6)) {
        let now = 1_000_000;
        let made: Vec<Entitlement> = rights.iter().enumerate().map(|(at, (deposit, amount, begun, lasting, here))| Entitlement {
            id: format!("r-{at}"),
            from_ms: begun.map(|begun| if begun { now } else { now + 1 }),
            to_ms: lasting.map(|lasting| if lasting { now + 1 } else { now }),
            service_points: vec![if *here { "sp-1" } else { "sp-2" }.to_owned()],
            ..right(if *deposit { RightKind::Deposit } else { RightKind::Ticket }, Some(if *deposit { *amount } else { amount % 4 }))
        }).collect();
        let mut bench = Bench::new(made.clone());
        for (number, at) in taken.iter().enumerate() {
            let used = Use { medium: Hash([9; 16]), right: Some(key().right(&format!("r-{at}"))), amount: Some(500), service_point: "sp-1".into(),
                boot_ms: 0, wall_ms: None, settled_ms: None, neighbour: number % 2 == 1 };
            bench.uses.add(Uuid::from_u128(number as u128), used);
        }
        let left = |at: usize| {
            let times = taken.iter().filter(|one| **one == at).count() as i64;
            made[at].amount.unwrap() - times * if rights[at].0 { 500 } else { 1 }
        };
        let valid = |at: &usize| { let (_, _, begun, lasting, here) = rights[*at]; here && begun != Some(false) && lasting != Some(false) };
        let covering = (0..rights.len()).filter(valid).find(|at| left(*at) >= if rights[*at].0 { 500 } else { 1 });
        let in_debt = (0..rights.len()).filter(valid).find(|at| rights[*at].0 && left(*at) >= 400);
        let verdict = bench.decide(Some(Wall { now_ms: now, error_ms: 0 }), 10);
        match covering.or(in_debt) {
            Some(at) => prop_assert_eq!(verdict, Verdict::Admitted { right: Some(format!("r-{at}")), amount: rights[at].0.then_some(500) }),
            None => prop_assert!(matches!(verdict, Verdict::Refused(_)), "{:?}", verdict),
        }
    }
}

#[test]
fn no_card_and_no_client_is_on_disk_and_another_key_does_not_fit() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), clock());
    let first = snapshot(&clock, Vec::new());
    take_in(&mut keeper(&first, folder.path()), &clock, answer("s-1", None, &[("card_uid:CANARY77".to_owned(), Some(visits(2)))]).as_bytes(), 64)
        .unwrap();
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(6).any(|six| six == b"CANARY"), "a card number on disk");
        assert!(!bytes.windows(3).any(|three| three == b"c-1"), "a client on disk");
    }
    let other = MediaKey::of_venue(&Secret::new("x".repeat(32)));
    let second = Arc::new(Snapshot::new(other, rules(), Arc::clone(&clock) as SharedClock, Vec::new(), None));
    let mut keeper = keeper(&second, folder.path());
    keeper.load();
    assert_eq!(keeper.version(), None);
}
