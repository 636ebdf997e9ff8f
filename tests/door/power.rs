//! The power goes at every step of a visit. Each row of the table in docs/door.md.

use limegate::domain::{Pass, PassageState};
use limegate::journal::OpenVisit;
use limegate::journal::sim::{Fault, SimDisk};
use limegate::source::Refused;

use crate::rig::{Mood, Rig, Says, by_snapshot, config, granted, next_start, reading};

const CARD: &str = "AC11A1A3";

/// The power goes now; what was not synced is there or not, by several dice.
async fn cut(rig: &Rig) -> (Vec<OpenVisit>, Vec<Pass>) {
    let mut outcome = None;
    for dice in 0..20 {
        let (left, passes) = next_start(&rig.disk.at_cut(rig.disk.trace_len(), dice)).await;
        let brief: Vec<_> = passes.iter().map(|pass| (pass.id, pass.passage, pass.door.clone().map(|door| door.decision))).collect();
        let first = outcome.get_or_insert_with(|| (brief.clone(), left, passes));
        assert_eq!(first.0, brief, "what was acknowledged does not depend on the dice");
    }
    let (_, left, passes) = outcome.unwrap();
    (left, passes)
}

#[tokio::test(start_paused = true)]
async fn before_the_reading_is_on_disk_nothing_happened() {
    let rig = Rig::new(config());
    rig.disk.fail_at(0, u64::MAX, Fault::Io);
    assert!(matches!(rig.door.read(reading(CARD)).await, Err(Refused::NotStored(_))));
    assert_eq!((rig.lime.asked.lock().unwrap().len(), rig.orders()), (0, 0));
    rig.disk.heal();
    let (left, passes) = next_start(&rig.disk.power_cut(1)).await;
    assert_eq!((left, passes), (vec![], vec![]));
}

#[tokio::test(start_paused = true)]
async fn while_lime_is_asked_the_visit_is_closed_as_not_admitted_and_cancels_what_lime_may_hold() {
    let rig = Rig::new(config());
    rig.lime_says(Says::Hangs);
    rig.read(CARD).await;
    rig.phase("decide").await;
    let (left, passes) = cut(&rig).await;
    assert_eq!((left.len(), passes.len(), left[0].decision.clone()), (1, 1, None));
    let door = passes[0].door.clone().unwrap();
    assert_eq!((passes[0].passage, door.decision.admitted, door.decision.code.as_str()), (PassageState::NotPassed, false, "interrupted"));
    assert_eq!(passes[0].id, left[0].pass.id, "the same id: Lime finds its hold by it");
}

#[tokio::test(start_paused = true)]
async fn when_the_order_to_open_leaves_the_decision_is_on_disk() {
    for online in [true, false] {
        let rig = Rig::new(config());
        rig.mood(Mood::Hangs);
        rig.lime_says(if online { Says::Grant } else { Says::Away });
        rig.snapshot_says(CARD, by_snapshot());
        rig.read(CARD).await;
        rig.opened(1).await;
        let (left, passes) = cut(&rig).await;
        let decision = if online { granted() } else { by_snapshot() };
        assert_eq!(left[0].decision, Some(decision.clone()));
        assert_eq!((passes.len(), passes[0].passage, passes[0].door.clone().unwrap().decision), (1, PassageState::Unknown, decision));
    }
}

#[tokio::test(start_paused = true)]
async fn while_the_passage_is_waited_for_the_guest_may_have_gone_so_it_is_unknown() {
    let rig = Rig::new(config());
    rig.lime_says(Says::Grant);
    rig.read(CARD).await;
    rig.phase("wait_pass").await;
    let (left, passes) = cut(&rig).await;
    assert_eq!((left.len(), passes.len(), passes[0].passage), (1, 1, PassageState::Unknown));
}

#[tokio::test(start_paused = true)]
async fn after_the_passage_is_on_disk_nothing_is_left_to_close() {
    let rig = Rig::new(config());
    rig.lime_says(Says::Grant);
    rig.read(CARD).await;
    rig.phase("wait_pass").await;
    rig.passed().await;
    rig.pass().await;
    let (left, passes) = cut(&rig).await;
    assert_eq!((left.len(), passes.len(), passes[0].passage), (0, 1, PassageState::Passed));
}

#[tokio::test(start_paused = true)]
async fn a_decision_that_cannot_be_written_opens_nothing() {
    let rig = Rig::new(config());
    let (say, late) = tokio::sync::oneshot::channel();
    rig.lime_says(Says::Late(late));
    rig.snapshot_says(CARD, by_snapshot());
    rig.read(CARD).await;
    rig.disk.fail_at(0, u64::MAX, Fault::Io);
    rig.until("the guest is told no", || rig.told().len() == 2).await;
    assert_eq!(rig.orders(), 0);
    drop(say);
    // The closing pass is written when the disk takes it again.
    rig.disk.heal();
    let pass = rig.pass().await;
    assert_eq!((pass.passage, pass.door.unwrap().decision.code), (PassageState::NotPassed, "internal".to_owned()));
    assert_eq!(rig.paper.released.lock().unwrap().len(), 1, "the ticket is not counted as used");
}

/// Every prefix of everything that two visits write, each with several dice: no guest without a record, none counted twice.
#[tokio::test(start_paused = true)]
async fn wherever_the_power_goes_each_visit_becomes_one_pass() {
    let rig = Rig::on(SimDisk::traced(), config());
    let mut acknowledged = Vec::new();
    for (card, goes) in [("01", true), ("02", false)] {
        rig.lime_says(Says::Grant);
        rig.read(card).await;
        acknowledged.push((rig.disk.trace_len(), card));
        rig.phase("wait_pass").await;
        if goes {
            rig.passed().await;
        }
        rig.passes(acknowledged.len()).await;
    }
    let orders = rig.turnstile.at_order.lock().unwrap().clone();
    for prefix in 0..=rig.disk.trace_len() {
        for dice in 0..3 {
            let (_, passes) = next_start(&rig.disk.at_cut(prefix, dice)).await;
            let cards: Vec<&str> = passes.iter().map(|pass| pass.medium.value.reveal()).collect();
            for (at, card) in acknowledged.iter().filter(|(at, _)| *at <= prefix) {
                let times = cards.iter().filter(|known| *known == card).count();
                assert_eq!(times, 1, "{card}, acknowledged at {at}, after a cut behind change {prefix}, dice {dice}");
            }
            assert!(cards.len() <= 2);
            for (at, pass) in orders.iter().zip(&passes).filter(|(at, _)| **at <= prefix) {
                let admitted = pass.door.as_ref().unwrap().decision.admitted;
                assert!(admitted, "opened at {at} and reported as not let in, after a cut behind change {prefix}, dice {dice}");
            }
            let first = passes.first().map(|pass| pass.passage);
            assert_ne!((first, orders[0] <= prefix), (Some(PassageState::NotPassed), true), "the first guest went through");
        }
    }
}
