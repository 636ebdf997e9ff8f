//! Two guests, the same card twice, people's orders, the fire alarm.

use std::time::Duration;

use limegate::config::DoorConfig;
use limegate::device::{Signal, Told};
use limegate::domain::{DoorEventKind, PassageState};
use limegate::door::HandError;
use limegate::journal::Record;
use limegate::source::Taken;

use crate::rig::{Mood, Rig, Says, config, reading, records};

fn events(rig: &Rig) -> Vec<(DoorEventKind, u32)> {
    let events = records(&rig.journal).into_iter().filter_map(|entry| match entry.record {
        Record::Door(event) => Some((event.kind, event.count)),
        _ => None,
    });
    events.collect()
}

#[tokio::test(start_paused = true)]
async fn a_second_guest_is_told_to_wait_and_served_when_the_first_is_through() {
    let rig = Rig::new(config());
    rig.lime_says(Says::Grant);
    rig.lime_says(Says::Grant);
    rig.read("01").await;
    rig.phase("wait_pass").await;
    let (door, second) = (rig.door.clone(), reading("02"));
    let second = tokio::spawn(async move { door.read(second).await });
    rig.until("the second is told to wait", || rig.told().iter().filter(|told| **told == Told::Wait).count() == 2).await;
    assert_eq!(rig.orders(), 1);
    rig.passed().await;
    assert!(matches!(second.await.unwrap(), Ok(Taken::Stored { .. })));
    rig.opened(2).await;
    rig.phase("wait_pass").await;
    rig.passed().await;
    let passes = rig.passes(2).await;
    assert_eq!(passes.iter().map(|pass| pass.medium.value.reveal()).collect::<Vec<_>>(), ["01", "02"]);
}

#[tokio::test(start_paused = true)]
async fn a_card_that_is_held_a_little_longer_is_one_visit() {
    let rig = Rig::new(config());
    rig.lime_says(Says::Grant);
    rig.read("01").await;
    assert_eq!(rig.read("01").await, Taken::Repeated);
    rig.phase("wait_pass").await;
    assert_eq!(rig.read("01").await, Taken::Repeated);
    rig.passed().await;
    rig.pass().await;
    assert_eq!(rig.orders(), 1);
}

#[tokio::test(start_paused = true)]
async fn cooldown_and_antipassback_refuse_without_asking_lime_and_on_boot_time() {
    let rig = Rig::new(DoorConfig { cooldown: Duration::from_secs(10), antipassback: Duration::from_secs(60), ..config() });
    for _ in 0..2 {
        rig.lime_says(Says::Grant);
    }
    rig.read("01").await;
    rig.phase("wait_pass").await;
    rig.passed().await;
    rig.passes(1).await;
    for (ms, code) in [(0, "cooldown"), (10_000, "antipassback")] {
        // The wall clock steps back a year meanwhile: that is nobody's business.
        rig.clock.set(|stamp| stamp.wall_ms -= 31_536_000_000);
        rig.clock.advance_ms(ms);
        let before = rig.passes(1).await.len();
        rig.read("01").await;
        let pass = rig.passes(before + 1).await.pop().unwrap();
        assert_eq!((pass.passage, pass.door.unwrap().decision.code.as_str()), (PassageState::NotPassed, code));
    }
    rig.clock.advance_ms(60_000);
    rig.read("01").await;
    rig.opened(2).await;
    assert_eq!(rig.lime.asked.lock().unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_reading_that_waited_too_long_opens_nothing() {
    let rig = Rig::new(config());
    rig.lime_says(Says::Grant);
    let mut old = reading("01");
    old.origin = Some(limegate::source::Origin::now(rig.clock.as_ref()));
    rig.clock.advance_ms(6_000);
    assert_eq!(rig.door.read(old).await, Ok(Taken::Repeated));
    assert_eq!((rig.orders(), records(&rig.journal).len()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_person_opens_the_gate_and_the_order_is_journalled_before_it_leaves() {
    let rig = Rig::new(config());
    rig.door.open_by_hand("olga".to_owned(), "коляска".to_owned()).await.unwrap();
    let before = rig.turnstile.at_order.lock().unwrap()[0];
    let (left, passes) = crate::rig::next_start(&rig.disk.at_cut(before, 7)).await;
    assert_eq!((left.len(), passes.len()), (0, 0), "it is no visit");
    let kept = crate::rig::journal(&rig.disk.at_cut(before, 7));
    let Record::Door(event) = &records(&kept)[0].record else { panic!("the order is not on disk") };
    assert_eq!((event.kind, event.who.as_deref(), event.reason.as_deref()), (DoorEventKind::OpenedByHand, Some("olga"), Some("коляска")));
    // Whoever goes through then is expected.
    rig.passed().await;
    rig.phase("idle").await;
    assert_eq!(events(&rig), [(DoorEventKind::OpenedByHand, 1)]);
}

#[tokio::test(start_paused = true)]
async fn a_person_is_told_when_the_gate_is_busy_free_or_does_not_open() {
    let rig = Rig::new(config());
    let order = || rig.door.open_by_hand("olga".to_owned(), "проверка".to_owned());
    rig.mood(Mood::Refuses);
    assert_eq!(order().await, Err(HandError::NotOpened));
    rig.mood(Mood::Silent);
    assert_eq!(order().await, Err(HandError::Unknown));
    assert_eq!(order().await, Err(HandError::Busy), "the gate may be open");
    rig.phase("idle").await;
    rig.signal(Signal::Free(true)).await;
    rig.phase("free").await;
    assert_eq!(order().await, Err(HandError::Free));
}

#[tokio::test(start_paused = true)]
async fn while_the_gate_is_free_nobody_is_charged_and_everybody_is_counted() {
    let rig = Rig::new(config());
    rig.signal(Signal::Free(true)).await;
    rig.phase("free").await;
    assert_eq!(rig.read("01").await, Taken::Repeated);
    rig.signal(Signal::Passed { direction: None, count: 4 }).await;
    let closed = *rig.turnstile.closed.borrow();
    rig.signal(Signal::Free(false)).await;
    rig.phase("idle").await;
    rig.until("the end is written", || events(&rig).len() == 2).await;
    assert_eq!(events(&rig), [(DoorEventKind::Free, 0), (DoorEventKind::FreeEnded, 4)]);
    rig.until("the outputs are off", || *rig.turnstile.closed.borrow() > closed).await;
    assert_eq!((rig.lime.asked.lock().unwrap().len(), rig.orders()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn whoever_goes_through_without_being_let_in_is_written_down_and_shown() {
    let rig = Rig::new(config());
    rig.signal(Signal::Passed { direction: None, count: 2 }).await;
    rig.signal(Signal::Tamper(true)).await;
    rig.until("both are written", || events(&rig).len() == 2).await;
    assert_eq!(events(&rig), [(DoorEventKind::PassedWithoutPermission, 2), (DoorEventKind::Tamper, 0)]);
    assert_eq!((rig.state().unpermitted, rig.state().tamper), (2, true));
}

#[tokio::test(start_paused = true)]
async fn outputs_are_off_at_the_start_and_at_the_end() {
    let rig = Rig::new(config());
    rig.until("off at the start", || *rig.turnstile.closed.borrow() == 1).await;
    rig.lime_says(Says::Grant);
    rig.read("01").await;
    rig.phase("wait_pass").await;
    let turnstile = std::sync::Arc::clone(&rig.turnstile);
    let before = *turnstile.closed.borrow();
    rig.stop().await;
    assert!(*turnstile.closed.borrow() > before);
}
