//! The broker dies, forgets, hangs; nothing that was said done is lost, and the client comes back by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use limegate::status::Link;
use tokio::time::{Instant, sleep};

use crate::gateway::{Gateway, TOPIC, TestIntake, config, reading};
use crate::mosquitto::Mosquitto;
use crate::until;

/// Kills in a row: `LIMEGATE_KILLS=200` for the long form.
fn kills() -> usize {
    std::env::var("LIMEGATE_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(20)
}

/// Publishes one message after the other until told to end, several at once; notes for each in which life of the broker it was said done.
struct Speaker {
    begun: AtomicUsize,
    life: AtomicUsize,
    done: Mutex<BTreeMap<usize, usize>>,
    end: AtomicBool,
}

impl Speaker {
    async fn speak(self: Arc<Self>, gateway: limegate::mqtt::ClientHandle) {
        while !self.end.load(Ordering::SeqCst) {
            let number = self.begun.fetch_add(1, Ordering::SeqCst);
            let life = self.life.load(Ordering::SeqCst);
            gateway.publish_and_wait(&format!("out/{number}"), number.to_string(), true).await.expect("published in the end");
            // Said done in the life in which it was begun: the broker must have it. Over the end of a life nobody can tell.
            if life == self.life.load(Ordering::SeqCst) {
                self.done.lock().unwrap().insert(number, life);
            }
            sleep(Duration::from_millis(5)).await;
        }
    }

    fn done_in(&self, life: usize) -> BTreeSet<usize> {
        self.done.lock().unwrap().iter().filter(|(_, when)| **when == life).map(|(number, _)| *number).collect()
    }
}

async fn assert_at_broker(broker: &Mosquitto, done: &BTreeSet<usize>) {
    if done.is_empty() {
        return;
    }
    // Retained messages of a topic tree come in any order, and there may be more: those that were not among the first are asked for one by one.
    let mut missing = done.clone();
    for line in broker.read("out/#", done.len()).await.expect("as many retained messages as were said done") {
        missing.remove(&line.split_once(' ').and_then(|(_, text)| text.parse().ok()).expect("a number"));
    }
    for number in missing {
        let topic = format!("out/{number}");
        assert_eq!(broker.read(&topic, 1).await, Some(vec![format!("{topic} {number}")]), "said done and not at the broker");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_kills_of_the_broker_lose_nothing() {
    let kills = kills();
    let mut broker = Mosquitto::start().await;
    let intake = Arc::new(TestIntake::default());
    let gateway = Gateway::reading(&config(broker.port), &intake);
    gateway.listening().await;
    let speaker =
        Arc::new(Speaker { begun: AtomicUsize::new(0), life: AtomicUsize::new(0), done: Mutex::new(BTreeMap::new()), end: AtomicBool::new(false) });
    let speakers: Vec<_> = (0..8).map(|_| tokio::spawn(Arc::clone(&speaker).speak(gateway.client.clone()))).collect();

    let mut names = BTreeSet::new();
    let mut back = Vec::new();
    for kill in 0..kills {
        let round: Vec<String> = (0..10).map(|n| format!("{kill}-{n}")).collect();
        broker.publish(TOPIC, false, round.iter().map(|name| reading(name)).collect()).await;
        names.extend(round);
        let life = speaker.life.load(Ordering::SeqCst);
        let spoken = speaker.done_in(life).len();
        until("something was said done", || speaker.done_in(life).len() > spoken).await;
        if kill % 2 == 0 {
            // It keeps sessions and messages: what it has of the validator's, delivered or not, must come.
            broker.stop().await;
        } else {
            // It forgets: what it had and we have not acknowledged is its loss, so we wait for that; what it acknowledged must be there until then.
            until("all came", || intake.count() == names.len()).await;
            assert_at_broker(&broker, &speaker.done_in(life)).await;
            speaker.life.fetch_add(1, Ordering::SeqCst);
            broker.kill_and_forget().await;
        }
        until("the gateway knows", || !gateway.up()).await;
        broker.go().await;
        let since = Instant::now();
        gateway.connected().await;
        back.push(since.elapsed());
        gateway.listening().await;
    }
    until("all came", || intake.count() == names.len()).await;
    speaker.end.store(true, Ordering::SeqCst);
    for task in speakers {
        task.await.expect("every publish was said done in the end");
    }
    assert_at_broker(&broker, &speaker.done_in(speaker.life.load(Ordering::SeqCst))).await;
    assert_eq!(intake.stored().into_iter().collect::<BTreeSet<_>>(), names);
    assert_eq!(gateway.hub.snapshot().mqtt.connects, kills as u64 + 1);
    back.sort();
    println!(
        "{kills} kills, 0 of {} readings lost, {} repeated, {} publishes done; back after the broker: p50 {:?}, p95 {:?}, most {:?}",
        names.len(),
        intake.repeated.load(Ordering::SeqCst),
        speaker.begun.load(Ordering::SeqCst),
        back[kills / 2],
        back[(kills * 95 / 100).saturating_sub(1)],
        back[kills - 1]
    );
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_hangs_is_left_and_found_again() {
    let broker = Mosquitto::start().await;
    let mut config = config(broker.port);
    config.keep_alive = Duration::from_secs(1);
    let gateway = Gateway::client(&config, None, 1);
    gateway.connected().await;
    broker.freeze();
    let client = gateway.client.clone();
    let waiting = tokio::spawn(async move { client.publish_and_wait("out/late", "x", true).await });
    until("the gateway has given the connection up", || !gateway.up()).await;
    assert_eq!(gateway.hub.snapshot().mqtt.link, Link::Down);
    broker.thaw();
    gateway.connected().await;
    waiting.await.unwrap().expect("published on the next connection");
    assert_eq!(broker.read("out/late", 1).await.unwrap(), ["out/late x"]);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_broker_states_are_merged_and_the_rest_is_bounded() {
    let mut broker = Mosquitto::start().await;
    let gateway = Gateway::client(&config(broker.port), None, 1);
    gateway.connected().await;
    broker.stop().await;
    until("the gateway knows", || !gateway.up()).await;
    for n in 0..5_000 {
        gateway.client.publish("plain/state", n.to_string(), true).expect("a state always has room");
    }
    let taken = (0..5_000).take_while(|n| gateway.client.publish(&format!("plain/{n}"), "x", false).is_ok()).count();
    assert!((900..1_100).contains(&taken), "{taken}");
    assert!(gateway.client.publish("plain/+", "x", false).is_err());
    assert!(gateway.client.publish("plain/x", vec![0; 256 * 1024 + 1], false).is_err());
    broker.go().await;
    gateway.connected().await;
    until("all is published", || gateway.hub.snapshot().mqtt.unacknowledged == 0).await;
    assert_eq!(broker.read("plain/state", 1).await.unwrap(), ["plain/state 4999"]);
    gateway.client.publish_and_wait("plain/long", vec![b'x'; 256 * 1024], true).await.expect("the longest payload");
    assert_eq!(broker.read("plain/long", 1).await.unwrap()[0].len(), "plain/long ".len() + 256 * 1024);
    gateway.stop().await;
}
