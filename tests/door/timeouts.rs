//! Lime in time, late, away; the answers that agree with the box's, and those that do not. Each row of the tables in docs/door.md.

use limegate::config::{ChargeAt, Policy};
use limegate::device::{Signal, Told};
use limegate::domain::{DecisionMode, PassageState};
use limegate::door::{Answer, Commit};
use limegate::source::Taken;
use tokio::sync::oneshot;

use crate::rig::{Mood, Rig, Says, by_snapshot, config, granted, refused};

const CARD: &str = "AC11A1A3";

fn line(told: &Told) -> String {
    match told {
        Told::Wait => "wait".to_owned(),
        Told::Go { lines } => format!("go: {}", lines.join(" / ")),
        Told::No { code, lines } => format!("no ({code}): {}", lines.join(" / ")),
        Told::Ready => "ready".to_owned(),
    }
}

fn heard(rig: &Rig) -> Vec<String> {
    rig.told().iter().map(line).collect()
}

#[tokio::test(start_paused = true)]
async fn reached_and_granted_in_time_the_guest_goes_and_the_hold_is_reported_with_the_passage() {
    let rig = Rig::new(config());
    rig.lime_says(Says::Grant);
    let Taken::Stored { id, .. } = rig.read(CARD).await else { panic!("not stored") };
    rig.phase("wait_pass").await;
    rig.passed().await;
    let pass = rig.pass().await;
    let door = pass.door.unwrap();
    assert_eq!((pass.id, pass.passage, pass.number), (id, PassageState::Passed, 1));
    assert_eq!((door.decision.clone(), door.late.clone(), door.hold_id()), (granted(), None, Some("hold-1")));
    assert_eq!(heard(&rig), ["wait", "go: Осталось 3", "ready"]);
    assert_eq!(*rig.lime.asked.lock().unwrap(), [(id, Commit::OnPassage)]);
    assert_eq!((rig.orders(), rig.turnstile.orders.lock().unwrap()[0].id), (1, id));
    assert_eq!(rig.state().alone_since_boot_ms, None);
}

#[tokio::test(start_paused = true)]
async fn reached_and_refused_in_time_the_gate_stays_shut_and_the_refusal_is_reported() {
    let rig = Rig::new(config());
    rig.lime_says(Says::Refuse("no_ticket"));
    rig.read(CARD).await;
    let pass = rig.pass().await;
    assert_eq!((pass.passage, pass.door.unwrap().decision), (PassageState::NotPassed, refused("no_ticket")));
    assert_eq!(heard(&rig), ["wait", "no (no_ticket): Нет билета / К сотруднику"]);
    assert_eq!(rig.orders(), 0);
}

#[tokio::test(start_paused = true)]
async fn not_reached_the_snapshot_lets_in_under_the_same_id() {
    let rig = Rig::new(config());
    rig.lime_says(Says::Away);
    rig.snapshot_says(CARD, by_snapshot());
    let Taken::Stored { id, .. } = rig.read(CARD).await else { panic!("not stored") };
    rig.phase("wait_pass").await;
    rig.passed().await;
    let pass = rig.pass().await;
    assert_eq!((pass.id, pass.passage, pass.door.unwrap().decision), (id, PassageState::Passed, by_snapshot()));
    assert_eq!(heard(&rig), ["wait", "go: Проходите", "ready"]);
    assert_eq!(*rig.paper.used.lock().unwrap(), [id]);
    assert!(rig.paper.released.lock().unwrap().is_empty());
    assert!(rig.state().alone_since_boot_ms.is_some());
}

#[tokio::test(start_paused = true)]
async fn not_reached_and_not_known_each_policy_does_as_it_says() {
    for (policy, opens, mode, code) in [
        (Policy::Deny, false, DecisionMode::OfflineSnapshot, "offline_not_allowed"),
        (Policy::SnapshotOnly, false, DecisionMode::OfflineSnapshot, "unknown_medium"),
        (Policy::SnapshotThenOpen, true, DecisionMode::OfflineOpen, "ok"),
        (Policy::Open, true, DecisionMode::OfflineOpen, "ok"),
    ] {
        let rig = Rig::new(limegate::config::DoorConfig { policy, ..config() });
        rig.lime_says(Says::Away);
        rig.read(CARD).await;
        if opens {
            rig.phase("wait_pass").await;
            rig.passed().await;
        }
        let pass = rig.pass().await;
        let decision = pass.door.unwrap().decision;
        assert_eq!((decision.admitted, decision.mode, decision.code.as_str()), (opens, mode, code), "{policy:?}");
        assert_eq!(rig.orders(), usize::from(opens), "{policy:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn granted_at_lime_after_the_box_refused_is_flagged_and_the_hold_is_given_back() {
    let rig = Rig::new(config());
    let (say, late) = oneshot::channel();
    rig.lime_says(Says::Late(late));
    rig.snapshot_says(CARD, refused("already_used"));
    // The disk is slow enough for Lime to answer before the refusal is closed: the answer comes while it is being decided.
    rig.read(CARD).await;
    say.send(Answer::Granted { decision: granted(), lines: Vec::new(), open_ms: None }).unwrap();
    let pass = rig.pass().await;
    let door = pass.door.unwrap();
    assert_eq!((pass.passage, door.decision.admitted, door.decision.code.as_str()), (PassageState::NotPassed, false, "already_used"));
    assert_eq!(rig.orders(), 0, "a late yes opens nothing");
    rig.until("the late answer is counted", || rig.state().late == 1).await;
}

#[tokio::test(start_paused = true)]
async fn granted_here_and_refused_at_lime_stays_granted_and_is_flagged() {
    let rig = Rig::new(config());
    let (say, late) = oneshot::channel();
    rig.lime_says(Says::Late(late));
    rig.snapshot_says(CARD, by_snapshot());
    rig.read(CARD).await;
    rig.phase("wait_pass").await;
    say.send(Answer::Refused { decision: refused("already_used"), lines: Vec::new() }).unwrap();
    rig.until("the late answer is counted", || rig.state().late == 1).await;
    rig.passed().await;
    let pass = rig.pass().await;
    let door = pass.door.unwrap();
    assert_eq!((pass.passage, door.decision.clone(), door.late.clone()), (PassageState::Passed, by_snapshot(), Some(refused("already_used"))));
    assert!(door.contradicted());
    assert_eq!(heard(&rig), ["wait", "go: Проходите", "ready"], "the guest hears nothing of it");
}

#[tokio::test(start_paused = true)]
async fn granted_here_and_granted_at_lime_late_is_one_pass_with_limes_hold() {
    let rig = Rig::new(config());
    let (say, late) = oneshot::channel();
    rig.lime_says(Says::Late(late));
    rig.snapshot_says(CARD, by_snapshot());
    rig.read(CARD).await;
    rig.phase("wait_pass").await;
    say.send(Answer::Granted { decision: granted(), lines: Vec::new(), open_ms: None }).unwrap();
    rig.until("the late answer is counted", || rig.state().late == 1).await;
    rig.passed().await;
    let door = rig.pass().await.door.unwrap();
    assert_eq!((door.decision.clone(), door.hold_id(), door.contradicted()), (by_snapshot(), Some("hold-1"), false));
    assert_eq!(rig.orders(), 1, "one opening for one reading");
}

#[tokio::test(start_paused = true)]
async fn nobody_went_through_so_the_hold_is_cancelled_and_the_guest_may_come_again() {
    let rig = Rig::new(config());
    rig.lime_says(Says::Grant);
    rig.lime_says(Says::Grant);
    let Taken::Stored { id, .. } = rig.read(CARD).await else { panic!("not stored") };
    let pass = rig.pass().await;
    assert_eq!((pass.passage, pass.door.unwrap().hold_id()), (PassageState::NotPassed, Some("hold-1")));
    assert_eq!(*rig.paper.released.lock().unwrap(), [id]);
    rig.read(CARD).await;
    rig.phase("wait_pass").await;
    assert_eq!(rig.orders(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_gate_that_charges_on_opening_never_says_not_passed_for_want_of_a_signal() {
    for passage in [config().passage, None] {
        let rig = Rig::new(limegate::config::DoorConfig { charge: ChargeAt::Open, passage, ..config() });
        rig.lime_says(Says::Grant);
        rig.read(CARD).await;
        let pass = rig.pass().await;
        assert_eq!(pass.passage, PassageState::Unknown);
        assert_eq!(rig.lime.asked.lock().unwrap()[0].1, Commit::Immediate);
    }
}

#[tokio::test(start_paused = true)]
async fn a_gate_that_certainly_did_not_open_is_a_pass_that_costs_nothing() {
    let rig = Rig::new(config());
    rig.mood(Mood::Refuses);
    rig.lime_says(Says::Grant);
    rig.read(CARD).await;
    let pass = rig.pass().await;
    assert_eq!((pass.passage, pass.door.unwrap().decision.admitted), (PassageState::NotPassed, true));
    assert_eq!(rig.state().does_not_open.as_deref(), Some("the device refused: motor"));
    assert_eq!(heard(&rig), ["wait", "no (internal): Попробуйте снова / К сотруднику"]);
}

#[tokio::test(start_paused = true)]
async fn a_gate_that_does_not_acknowledge_is_watched_like_an_open_one() {
    let rig = Rig::new(config());
    rig.mood(Mood::Silent);
    rig.lime_says(Says::Grant);
    rig.read(CARD).await;
    rig.phase("wait_pass").await;
    rig.passed().await;
    assert_eq!(rig.pass().await.passage, PassageState::Passed);
}

#[tokio::test(start_paused = true)]
async fn a_module_that_goes_away_while_a_guest_is_in_the_way_leaves_the_passage_unknown() {
    let rig = Rig::new(config());
    rig.lime_says(Says::Grant);
    rig.read(CARD).await;
    rig.phase("wait_pass").await;
    rig.signal(Signal::Link(false)).await;
    assert_eq!(rig.pass().await.passage, PassageState::Unknown);
}
