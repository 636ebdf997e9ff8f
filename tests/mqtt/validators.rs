//! What becomes of a validator's messages.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use limegate::status::Link;

use crate::gateway::{Gateway, TOPIC, TestIntake, config, reading};
use crate::mosquitto::Mosquitto;
use crate::until;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retained_message_is_no_pass_a_repeated_one_is_one_and_a_bad_one_blocks_nothing() {
    let broker = Mosquitto::start().await;
    broker.publish(TOPIC, true, vec![reading("kept-by-the-broker")]).await;
    let intake = Arc::new(TestIntake::default());
    let gateway = Gateway::reading(&config(broker.port), &intake);
    gateway.listening().await;
    let mut lines = vec![reading("a"), reading("a"), "not json".to_owned(), "x".repeat(200_000)];
    lines.push(r#"{"v":1,"id":"f","kind":"read","medium":{"kind":"face","value":"x"}}"#.to_owned());
    lines.extend([r#"{"v":1,"id":9,"kind":"alarm"}"#.to_owned(), reading("b"), reading("a"), reading("c")]);
    broker.publish(TOPIC, false, lines).await;
    until("c is stored", || intake.stored().contains(&"c".to_owned())).await;
    let mut stored = intake.stored();
    stored.sort();
    assert_eq!(stored, ["a", "b", "c"]);
    let status = gateway.hub.snapshot();
    assert_eq!(status.gates["in-1"].bad_frames, 3);
    assert_eq!(status.mqtt.connects, 1, "no message ended the connection");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_is_acknowledged_only_when_it_is_durable() {
    let broker = Mosquitto::start().await;
    let intake = Arc::new(TestIntake::default());
    intake.holds.store(true, Ordering::SeqCst);
    let gateway = Gateway::reading(&config(broker.port), &intake);
    gateway.listening().await;
    broker.publish(TOPIC, false, vec![reading("a"), reading("b")]).await;
    until("both are at the intake", || intake.under_way() == 2).await;
    gateway.kill();

    let second = Arc::new(TestIntake::default());
    let gateway = Gateway::reading(&config(broker.port), &second);
    until("the broker sends them again", || second.count() == 2).await;
    assert_eq!(second.stored(), ["a", "b"]);
    gateway.stop().await;

    let third = Arc::new(TestIntake::default());
    let gateway = Gateway::reading(&config(broker.port), &third);
    gateway.listening().await;
    broker.publish(TOPIC, false, vec![reading("z")]).await;
    until("z is stored", || third.count() > 0).await;
    assert_eq!(third.stored(), ["z"], "what was acknowledged is not sent again");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_journal_refuses_nothing_is_acknowledged_and_afterwards_all_come_in_order() {
    let broker = Mosquitto::with("max_inflight_messages 1000").await;
    let intake = Arc::new(TestIntake::default());
    intake.refuses.store(true, Ordering::SeqCst);
    let gateway = Gateway::reading(&config(broker.port), &intake);
    gateway.listening().await;
    let names: Vec<String> = (0..400).map(|n| format!("{n:03}")).collect();
    broker.publish(TOPIC, false, names.iter().map(|name| reading(name)).collect()).await;
    until("the gate says so", || gateway.hub.snapshot().gates["in-1"].error.as_deref().is_some_and(|error| error.contains("full"))).await;
    let at_once = intake.refusals.load(Ordering::SeqCst);
    until("it is tried again", || intake.refusals.load(Ordering::SeqCst) > at_once).await;
    assert_eq!(intake.count(), 0);
    intake.refuses.store(false, Ordering::SeqCst);
    until("all are stored", || intake.count() == names.len()).await;
    assert_eq!(intake.stored(), names);
    until("the gate is well", || gateway.hub.snapshot().gates["in-1"].error.is_none()).await;
    assert_eq!(gateway.hub.snapshot().mqtt.connects, 1);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_is_stored_whole_many_at_a_time_and_within_bounds() {
    let broker = Mosquitto::with("max_inflight_messages 2000").await;
    let intake = Arc::new(TestIntake::default());
    let gateway = Gateway::reading(&config(broker.port), &intake);
    gateway.listening().await;
    intake.holds.store(true, Ordering::SeqCst);
    let names: Vec<String> = (0..10_000).map(|n| format!("{n:05}")).collect();
    let lines = names.iter().map(|name| reading(name)).collect();
    broker.publish(TOPIC, false, lines).await;
    until("a group is at the intake", || intake.under_way() == 256).await;
    intake.holds.store(false, Ordering::SeqCst);
    intake.released.notify_waiters();
    until("all are stored", || {
        intake.released.notify_waiters();
        intake.count() == names.len()
    })
    .await;
    let mut stored = intake.stored();
    stored.sort();
    assert_eq!(stored, names);
    assert_eq!(intake.most_under_way.load(Ordering::SeqCst), 256);
    assert_eq!(gateway.hub.snapshot().mqtt.connects, 1, "the flood did not cost the connection");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_given_back_comes_again() {
    let broker = Mosquitto::start().await;
    let gateway = Gateway::client(&config(broker.port), None, 1);
    let mut subscription = gateway.client.subscribe("plain/#");
    let mut link = subscription.link();
    link.wait_for(|link| *link == Link::Up).await.unwrap();
    broker.publish("plain/x", false, vec!["1".to_owned()]).await;
    let first = subscription.recv().await.unwrap();
    assert!(!first.dup);
    drop(first);
    let second = subscription.recv().await.unwrap();
    assert_eq!(second.payload.as_ref(), b"1");
    assert!(second.dup);
    second.ack();
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_in_any_script_do_no_harm() {
    let broker = Mosquitto::start().await;
    let gateway = Gateway::client(&config(broker.port), None, 1);
    let mut subscription = gateway.client.subscribe("#");
    subscription.link().wait_for(|link| *link == Link::Up).await.unwrap();
    broker.publish("вход/1", false, vec!["да".to_owned()]).await;
    let message = loop {
        let message = subscription.recv().await.unwrap();
        if message.topic == "вход/1" {
            break message;
        }
        message.ack();
    };
    assert_eq!(message.payload.as_ref(), "да".as_bytes());
    message.ack();
    gateway.stop().await;
}
