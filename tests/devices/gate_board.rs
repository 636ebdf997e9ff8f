//! The driver of 7E/7F gate boards against a simulator. It was written from the same single description as the codec: it is no independent peer.

use std::time::Duration;

use limegate::codec::{Flow, Line, Parity, StopBits};
use limegate::config::{BusLine, Module, ModuleKind};
use limegate::device::gate_board::start_timed;
use limegate::device::{Contact, NotOpened, Signal};

use crate::bench::{Bench, Devices, eventually, wiring};

const CLOSE: u64 = 0x84;

/// One board: gate n1 on its left, n2 on its right.
fn driver(devices: &Devices, answer: Duration) -> Bench {
    let settings = Line { baud: 115_200, data_bits: 8, parity: Parity::None, stop_bits: StopBits::One, flow: Flow::None };
    let line = BusLine { port: devices.port().to_owned(), settings, rs485: false };
    let module = Module { id: "gb".to_owned(), title: "gb".to_owned(), kind: ModuleKind::GateBoard { line: line.clone(), address: 1 } };
    let wirings = vec![wiring("n1", Some(0), Some(Contact::Counter(0)), None), wiring("n2", Some(1), Some(Contact::Counter(1)), None)];
    Bench::run(|parts| start_timed(&line, vec![(module, wirings)], parts, answer))
}

fn commands(devices: &Devices) -> Vec<(u64, u64)> {
    devices.said().iter().filter_map(|one| Some((one["command"].as_u64()?, one["guests"].as_u64()?))).collect()
}

#[tokio::test]
async fn a_gate_is_closed_at_the_start_opened_once_for_an_order_and_closed_at_the_end() {
    let devices = Devices::start("gate_board.py").await;
    let bench = driver(&devices, Duration::from_secs(5));
    bench.up("gb").await;
    assert_eq!(commands(&devices), [(CLOSE, 0)]);
    let order = bench.order(500);
    assert_eq!(bench.actuator("n1").open(order.clone()).await, Ok(()));
    assert_eq!(bench.actuator("n1").open(order).await, Ok(()), "the same order opens nothing again");
    assert_eq!(bench.open("n2", 500).await, Ok(()));
    assert_eq!(bench.actuator("n2").close().await, Ok(()));
    assert_eq!(commands(&devices), [(CLOSE, 0), (0x80, 1), (0x82, 1), (CLOSE, 0)]);
    bench.stop().await;
    assert_eq!(commands(&devices).last(), Some(&(CLOSE, 0)));
    assert_eq!(commands(&devices).len(), 5);
    assert_eq!(devices.count(|one| one["bad"].is_string()), 0);
}

#[tokio::test]
async fn guests_are_counted_by_side_faults_and_alarms_are_told_and_noise_costs_nothing() {
    let mut devices = Devices::start("gate_board.py").await;
    devices.tell("noise 1").await;
    devices.tell("pass left 16777214").await;
    let bench = driver(&devices, Duration::from_secs(5));
    bench.up("gb").await;
    devices.tell("pass left 3").await;
    eventually("the left side's guests", || bench.passed("n1") == 3).await;
    devices.tell("pass right 1").await;
    eventually("the right side's guest", || bench.passed("n2") == 1).await;
    assert_eq!(bench.passed("n1"), 3, "it wrapped");
    devices.tell("fault 18").await;
    eventually("the fault", || bench.signals("n2").contains(&Signal::Fault(Some("board-12".to_owned())))).await;
    devices.tell("alarm 1").await;
    eventually("the alarm", || bench.signals("n1").contains(&Signal::Tamper(true))).await;
    devices.tell("alarm 0").await;
    devices.tell("fault 0").await;
    let last = |which: fn(&Signal) -> bool| bench.signals("n1").into_iter().rfind(which);
    eventually("the alarm's end", || last(|one| matches!(one, Signal::Tamper(_))) == Some(Signal::Tamper(false))).await;
    eventually("the fault's end", || last(|one| matches!(one, Signal::Fault(_))) == Some(Signal::Fault(None))).await;
    assert_eq!(bench.module("gb").damaged, 0);
    bench.stop().await;
}

#[tokio::test]
async fn a_board_that_does_not_do_as_ordered_is_not_ordered_twice_and_a_silent_one_is_said() {
    let mut devices = Devices::start("gate_board.py").await;
    let bench = driver(&devices, Duration::from_millis(600));
    bench.up("gb").await;
    devices.tell("lazy 1").await;
    let outcome = bench.open("n1", 500).await;
    assert!(matches!(outcome, Err(NotOpened::Unknown(_))), "{outcome:?}");
    assert_eq!(commands(&devices), [(CLOSE, 0), (0x80, 1)]);
    devices.tell("lazy 0").await;
    devices.tell("deaf 1").await;
    bench.down("gb").await;
    eventually("the door is told", || bench.signals("n1").last() == Some(&Signal::Link(false))).await;
    assert!(matches!(bench.open("n1", 500).await, Err(NotOpened::NotSent(_))));
    devices.tell("restart").await;
    devices.tell("deaf 0").await;
    bench.up("gb").await;
    assert_eq!(commands(&devices).last(), Some(&(CLOSE, 0)), "closed before anything else");
    devices.tell("pass left 2").await;
    eventually("guests are counted from a new baseline", || bench.passed("n1") == 2).await;
    bench.stop().await;
}
