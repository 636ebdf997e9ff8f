//! A device behind a broker that is told to open: it takes orders on `<topic>/open` and their ends on `<topic>/close`, answers both on `<topic>/open/ack`, and
//! reports on `<topic>/pass` who went through. Orders that have expired, are retained, or were carried out before are not carried out.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rumqttc::{AsyncClient, Event, MqttOptions, Packet, Publish, QoS, SubscribeFilter};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

const RECONNECT: Duration = Duration::from_millis(200);

/// What the device did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct BarrierBooks {
    /// It opened so often.
    pub opened: u64,
    /// Orders that came again and were only acknowledged again.
    pub repeated: u64,
    /// Orders that were refused: expired, retained, not understood.
    pub refused: u64,
    /// So many went through.
    pub passed: u64,
    /// So many did not.
    pub not_passed: u64,
}

/// A barrier. Dropping it stops it.
#[derive(Debug)]
pub struct Barrier {
    state: Arc<Mutex<State>>,
    worker: JoinHandle<()>,
}

#[derive(Debug)]
struct State {
    books: BarrierBooks,
    done: HashSet<String>,
    goes: f64,
    chance: fastrand::Rng,
    ready: bool,
}

/// What an order led to.
#[derive(Debug, PartialEq)]
struct Carried {
    ack: Value,
    /// The report of the passage, where it opened.
    report: Option<Value>,
}

impl Barrier {
    /// At the broker at `host:port`, as `client`, below `topic`. `goes`: of the guests let in, this share goes through.
    #[must_use]
    pub fn start(host: &str, port: u16, client: &str, topic: &str, goes: f64, seed: u64) -> Self {
        let chance = fastrand::Rng::with_seed(seed);
        let state = Arc::new(Mutex::new(State { books: BarrierBooks::default(), done: HashSet::new(), goes, chance, ready: false }));
        let mut options = MqttOptions::new(client, host, port);
        options.set_keep_alive(Duration::from_secs(10)).set_clean_session(true);
        let worker = tokio::spawn(serve(options, topic.to_owned(), Arc::clone(&state)));
        Self { state, worker }
    }

    /// What it did so far.
    #[must_use]
    pub fn books(&self) -> BarrierBooks {
        lock(&self.state).books
    }

    /// It is subscribed: orders reach it.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        lock(&self.state).ready
    }
}

impl Drop for Barrier {
    fn drop(&mut self) {
        self.worker.abort();
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(options: MqttOptions, topic: String, state: Arc<Mutex<State>>) {
    loop {
        let (client, mut events) = AsyncClient::new(options.clone(), 64);
        while let Ok(event) = events.poll().await {
            match event {
                Event::Incoming(Packet::ConnAck(_)) => {
                    let orders = ["open", "close"].map(|end| SubscribeFilter::new(format!("{topic}/{end}"), QoS::AtLeastOnce));
                    if client.try_subscribe_many(orders).is_err() {
                        break;
                    }
                }
                Event::Incoming(Packet::SubAck(_)) => lock(&state).ready = true,
                Event::Incoming(Packet::Publish(publish)) => answer(&client, &topic, &publish, &state),
                _ => {}
            }
        }
        lock(&state).ready = false;
        tokio::time::sleep(RECONNECT).await;
    }
}

fn answer(client: &AsyncClient, topic: &str, publish: &Publish, state: &Mutex<State>) {
    if publish.topic.ends_with("/close") {
        // It is shut but for the moment in which a guest goes.
        let order: Value = serde_json::from_slice(&publish.payload).unwrap_or_default();
        let ack = json!({ "v": 1, "id": order.get("id"), "ok": true });
        let _ = client.try_publish(format!("{topic}/open/ack"), QoS::AtLeastOnce, false, ack.to_string());
        return;
    }
    let now_ms = jiff::Timestamp::now().as_millisecond();
    let carried = lock(state).carry_out(&publish.payload, publish.retain, now_ms);
    // The client's queue holds far more than one order's answers.
    let _ = client.try_publish(format!("{topic}/open/ack"), QoS::AtLeastOnce, false, carried.ack.to_string());
    if let Some(report) = carried.report {
        let _ = client.try_publish(format!("{topic}/pass"), QoS::AtLeastOnce, false, report.to_string());
    }
}

impl State {
    fn carry_out(&mut self, payload: &[u8], retained: bool, now_ms: i64) -> Carried {
        let order: Value = serde_json::from_slice(payload).unwrap_or_default();
        let id = order.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
        let expires = order.get("expires_at").and_then(Value::as_str).and_then(|at| at.parse::<jiff::Timestamp>().ok());
        let refusal = match expires {
            _ if retained => Some("retained"),
            _ if id.is_empty() || order.get("v") != Some(&json!(1)) => Some("malformed"),
            None => Some("malformed"),
            Some(at) if at.as_millisecond() <= now_ms => Some("expired"),
            Some(_) => None,
        };
        if let Some(code) = refusal {
            self.books.refused += 1;
            return Carried { ack: json!({ "v": 1, "id": id, "ok": false, "error": code }), report: None };
        }
        let ack = json!({ "v": 1, "id": id, "ok": true });
        if !self.done.insert(id.clone()) {
            self.books.repeated += 1;
            return Carried { ack, report: None };
        }
        self.books.opened += 1;
        let passed = self.chance.f64() < self.goes;
        if passed {
            self.books.passed += 1;
        } else {
            self.books.not_passed += 1;
        }
        let kind = if passed { "passed" } else { "not_passed" };
        let dir = order.get("dir").cloned().unwrap_or_else(|| json!("in"));
        Carried { ack, report: Some(json!({ "v": 1, "id": uuid::Uuid::now_v7().to_string(), "kind": kind, "dir": dir })) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_339_920_000;

    fn state(goes: f64) -> State {
        State { books: BarrierBooks::default(), done: HashSet::new(), goes, chance: fastrand::Rng::with_seed(7), ready: true }
    }

    fn order(id: &str, seconds: i64) -> Vec<u8> {
        let expires = jiff::Timestamp::from_millisecond(NOW + seconds * 1_000).unwrap().to_string();
        json!({ "v": 1, "id": id, "output": 0, "dir": "in", "ms": 500, "expires_at": expires }).to_string().into_bytes()
    }

    #[test]
    fn an_order_is_carried_out_once_acknowledged_each_time_and_reported() {
        let mut barrier = state(1.0);
        let first = barrier.carry_out(&order("a", 3), false, NOW);
        assert_eq!((&first.ack["ok"], &first.ack["id"], &first.report.unwrap()["kind"]), (&json!(true), &json!("a"), &json!("passed")));
        let again = barrier.carry_out(&order("a", 3), false, NOW);
        assert_eq!((&again.ack["ok"], again.report), (&json!(true), None));
        assert_eq!(barrier.books, BarrierBooks { opened: 1, repeated: 1, passed: 1, ..BarrierBooks::default() });
        assert_eq!(state(0.0).carry_out(&order("a", 3), false, NOW).report.unwrap()["kind"], "not_passed");
    }

    #[test]
    fn an_order_that_expired_is_retained_or_is_none_opens_nothing() {
        let mut barrier = state(1.0);
        for (payload, retained, code) in [
            (order("a", 0), false, "expired"),
            (order("b", 3), true, "retained"),
            (b"{}".to_vec(), false, "malformed"),
            (b"?".to_vec(), false, "malformed"),
        ] {
            let carried = barrier.carry_out(&payload, retained, NOW);
            assert_eq!((&carried.ack["ok"], &carried.ack["error"], carried.report), (&json!(false), &json!(code), None));
        }
        assert_eq!(barrier.books, BarrierBooks { refused: 4, ..BarrierBooks::default() });
    }
}
