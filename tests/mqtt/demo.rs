//! The broker inside the demo is good enough for what the demo shows.
#![cfg(feature = "demo")]

use std::sync::Arc;
use std::sync::atomic::Ordering;

use limegate::mqtt::broker;
use rumqttc::{AsyncClient, Event, MqttOptions, Packet, QoS};

use crate::gateway::{Gateway, TOPIC, TestIntake, config, reading};
use crate::until;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demos_broker_keeps_what_was_not_acknowledged_for_a_gateway_that_was_killed() {
    let port = broker::start().await.unwrap().port;
    let (validator, mut eventloop) = AsyncClient::new(MqttOptions::new("validator", "127.0.0.1", port), 100);
    let acknowledged = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counter = Arc::clone(&acknowledged);
    let polling = tokio::spawn(async move {
        while let Ok(event) = eventloop.poll().await {
            if matches!(event, Event::Incoming(Packet::PubAck(_))) {
                counter.fetch_add(1, Ordering::SeqCst);
            }
        }
    });

    let intake = Arc::new(TestIntake::default());
    let gateway = Gateway::reading(&config(port), &intake).with_status();
    gateway.listening().await;
    for n in 0..20 {
        validator.publish(TOPIC, QoS::AtLeastOnce, false, reading(&format!("{n:02}"))).await.unwrap();
    }
    until("the first are stored", || intake.count() == 20).await;

    intake.holds.store(true, Ordering::SeqCst);
    for n in 20..25 {
        validator.publish(TOPIC, QoS::AtLeastOnce, false, reading(&format!("{n:02}"))).await.unwrap();
    }
    until("five are at the intake", || intake.under_way() == 5).await;
    gateway.kill();
    for n in 25..30 {
        validator.publish(TOPIC, QoS::AtLeastOnce, false, reading(&format!("{n:02}"))).await.unwrap();
    }
    until("the broker has all", || acknowledged.load(Ordering::SeqCst) == 30).await;

    let second = Arc::new(TestIntake::default());
    let gateway = Gateway::reading(&config(port), &second).with_status();
    let wanted: Vec<String> = (20..30).map(|n| format!("{n:02}")).collect();
    until("what was not acknowledged comes again", || wanted.iter().all(|name| second.stored().contains(name))).await;
    gateway.stop().await;
    polling.abort();
}
