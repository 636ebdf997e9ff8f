//! The driver of Modbus lines against pymodbus.

use std::time::Duration;

use limegate::codec::{Flow, Line, ModuleMap, Parity, StopBits};
use limegate::config::{BusLine, Module, ModuleKind};
use limegate::device::modbus::{Timing, start_timed};
use limegate::device::{Contact, NotOpened, Signal, Wiring};
use serde_json::{Value, json};

use crate::bench::{Bench, Devices, eventually, wiring};

/// A busy machine may let pymodbus wait.
const PATIENT: Duration = Duration::from_secs(5);
/// Where nobody answers on purpose.
const IMPATIENT: Duration = Duration::from_millis(600);

fn line(devices: &Devices) -> BusLine {
    let settings = Line { baud: 115_200, data_bits: 8, parity: Parity::None, stop_bits: StopBits::One, flow: Flow::None };
    BusLine { port: devices.port().to_owned(), settings, rs485: false }
}

fn module(id: &str, address: u8, map: ModuleMap, line: &BusLine) -> Module {
    Module { id: id.to_owned(), title: id.to_owned(), kind: ModuleKind::Modbus { map, line: line.clone(), address } }
}

/// One WB-MR6C: gate n1 opened by K1, seen by counter 0, free by input 3.
fn driver(devices: &Devices, answer: Duration) -> Bench {
    driver_of(devices, ModuleMap::builtin("wb-mr6c").unwrap(), vec![wiring("n1", Some(0), Some(Contact::Counter(0)), Some(3))], answer)
}

fn driver_of(devices: &Devices, map: ModuleMap, wirings: Vec<Wiring>, answer: Duration) -> Bench {
    let line = line(devices);
    let module = module("io1", 1, map, &line);
    Bench::run(|parts| start_timed(&line, vec![(module, wirings)], parts, Timing { answer }))
}

/// What was written to a coil of a module, in order.
fn writes(devices: &Devices, unit: u8, coil: u16) -> Vec<bool> {
    let of = |one: &Value| (one["unit"] == unit && one["coil"] == coil).then(|| one["on"].as_bool().unwrap());
    devices.said().iter().filter_map(of).collect()
}

#[tokio::test]
async fn an_order_switches_the_output_on_and_the_driver_switches_it_off() {
    let devices = Devices::start("modbus_server.py").await;
    let bench = driver(&devices, PATIENT);
    bench.up("io1").await;
    assert_eq!(writes(devices.heard().await, 1, 0), [false], "off at the start");

    let order = bench.order(300);
    let actuator = bench.actuator("n1");
    assert_eq!(actuator.open(order.clone()).await, Ok(()));
    assert_eq!(writes(devices.heard().await, 1, 0)[..2], [false, true]);
    // Nobody waits any more, and it goes off all the same.
    drop(actuator);
    eventually("it is off again", || writes(&devices, 1, 0) == [false, true, false]).await;

    // The same order again opens nothing again.
    assert_eq!(bench.actuator("n1").open(order).await, Ok(()));
    assert_eq!(bench.open("n1", 100).await, Ok(()), "and the next one does");
    eventually("it is off again", || writes(&devices, 1, 0) == [false, true, false, true, false]).await;
    bench.stop().await;
    assert_eq!(writes(devices.heard().await, 1, 0), [false, true, false, true, false, false], "off at the end");
    assert_eq!(devices.heard().await.count(|one| one["coil"].as_u64().is_some_and(|coil| coil != 0)), 0, "other outputs are nobody's business");
}

#[tokio::test]
async fn a_stop_in_the_middle_of_a_pulse_ends_it() {
    let devices = Devices::start("modbus_server.py").await;
    let bench = driver(&devices, PATIENT);
    bench.up("io1").await;
    assert_eq!(bench.open("n1", 600_000).await, Ok(()));
    bench.stop().await;
    assert_eq!(writes(devices.heard().await, 1, 0), [false, true, false]);
}

#[tokio::test]
async fn after_a_kill_in_the_middle_of_a_pulse_the_first_word_of_the_next_start_is_off() {
    let devices = Devices::start("modbus_server.py").await;
    let bench = driver(&devices, PATIENT);
    bench.up("io1").await;
    assert_eq!(bench.open("n1", 600_000).await, Ok(()));
    bench.kill().await;
    devices.tell("mark 1").await;
    let bench = driver(&devices, PATIENT);
    bench.up("io1").await;
    let said = devices.heard().await.said();
    let mark = said.iter().position(|one| one["done"] == "mark 1").unwrap();
    // One question of the killed driver may have been on the line yet.
    let asked: Vec<&Value> = said[mark..].iter().map(|one| &one["asked"]).filter(|asked| asked.is_number()).take(2).collect();
    assert!(asked.contains(&&json!(5)), "nothing is asked before: {asked:?}");
    assert_eq!(writes(devices.heard().await, 1, 0), [false, true, false]);
    bench.stop().await;
}

#[tokio::test]
async fn the_module_is_told_to_be_safe_by_itself_once() {
    let devices = Devices::start("modbus_server.py").await;
    let bench = driver(&devices, PATIENT);
    bench.up("io1").await;
    let set = |devices: &Devices| -> Vec<(u64, u64)> {
        devices.said().iter().filter_map(|one| Some((one["register"].as_u64()?, one["value"].as_u64()?))).collect()
    };
    // Safe after two seconds of silence, K1 goes to its safe state then, inputs 0 and 3 switch no relay. What reads so already is not written.
    assert_eq!(set(devices.heard().await), [(8, 2), (938, 1), (16, 3), (11, 3)]);
    bench.stop().await;
    let bench = driver(&devices, PATIENT);
    bench.up("io1").await;
    assert_eq!(set(devices.heard().await).len(), 4, "nothing is written a second time");
    assert_eq!(bench.module("io1").settings_refused, Vec::<u16>::new());
    bench.stop().await;
}

#[tokio::test]
async fn passages_are_differences_of_the_counter_and_wrap_and_survive_no_restart_of_the_module() {
    let devices = Devices::start("modbus_server.py").await;
    devices.tell("counter 1 39 65534").await;
    let bench = driver(&devices, PATIENT);
    bench.up("io1").await;
    bench.read("io1").await;
    devices.tell("counter 1 39 65535").await;
    eventually("one guest", || bench.passed("n1") == 1).await;
    devices.tell("counter 1 39 2").await;
    eventually("three more", || bench.passed("n1") == 4).await;
    devices.tell("restart 1").await;
    bench.read("io1").await;
    devices.tell("counter 1 39 1").await;
    eventually("one more", || bench.passed("n1") == 5).await;
    bench.stop().await;
}

#[tokio::test]
async fn a_contact_counts_its_edges_and_the_fire_input_is_told() {
    let devices = Devices::start("modbus_server.py").await;
    let wirings = vec![wiring("n1", Some(0), Some(Contact::Input(1)), Some(3))];
    let bench = driver_of(&devices, ModuleMap::builtin("wb-mr6c").unwrap(), wirings, PATIENT);
    bench.up("io1").await;
    eventually("not free is told at first", || bench.signals("n1").contains(&Signal::Free(false))).await;
    for guests in 1..=3 {
        devices.tell("input 1 0 1").await;
        eventually("a guest is seen", || bench.passed("n1") == guests).await;
        devices.tell("input 1 0 0").await;
        // Off for longer than a contact bounces.
        bench.read("io1").await;
    }
    devices.tell("input 1 2 1").await;
    eventually("free is told", || bench.signals("n1").contains(&Signal::Free(true))).await;
    assert_eq!(bench.passed("n1"), 3);
    bench.stop().await;
}

#[tokio::test]
async fn a_module_that_was_away_is_switched_off_first_and_begins_with_a_baseline() {
    let devices = Devices::start("modbus_server.py").await;
    devices.tell("counter 1 39 7").await;
    let bench = driver(&devices, IMPATIENT);
    bench.up("io1").await;
    devices.tell("deaf 1 1").await;
    bench.down("io1").await;
    assert!(bench.module("io1").unanswered >= 3);
    eventually("the door is told", || bench.signals("n1").last() == Some(&Signal::Link(false))).await;
    assert!(matches!(bench.open("n1", 100).await, Err(NotOpened::NotSent(_))));
    let written = writes(devices.heard().await, 1, 0).len();
    // While it was away somebody switched it on, and guests passed.
    devices.tell("coil 1 0 1").await;
    devices.tell("counter 1 39 12").await;
    devices.tell("deaf 1 0").await;
    eventually("the door is told", || bench.signals("n1").contains(&Signal::Link(true)) && bench.signals("n1").last() != Some(&Signal::Link(false)))
        .await;
    bench.up("io1").await;
    assert_eq!(writes(devices.heard().await, 1, 0).get(written), Some(&false));
    bench.read("io1").await;
    devices.tell("counter 1 39 13").await;
    eventually("one guest", || bench.passed("n1") == 1).await;
    bench.stop().await;
}

#[tokio::test]
async fn an_order_whose_answer_is_lost_is_unknown_and_the_output_goes_off_when_the_module_is_back() {
    let devices = Devices::start("modbus_server.py").await;
    let bench = driver(&devices, IMPATIENT);
    bench.up("io1").await;
    let actuator = bench.actuator("n1");
    devices.tell("mute 1 1").await;
    let outcome = actuator.open(bench.order(100)).await;
    // Away before it was begun, or begun and never acknowledged; either way it is not taken for opened.
    assert!(matches!(outcome, Err(NotOpened::Unknown(_) | NotOpened::NotSent(_))), "{outcome:?}");
    devices.tell("mute 1 0").await;
    // The module may not have been missed yet: up does not mean that its output has been written off.
    let off = tokio::time::timeout(std::time::Duration::from_secs(60), async {
        while writes(devices.heard().await, 1, 0).last() != Some(&false) {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    });
    assert!(off.await.is_ok(), "the output is not written off");
    bench.up("io1").await;
    eventually("orders are carried out again", || bench.signals("n1").last() == Some(&Signal::Free(false))).await;
    assert_eq!(bench.open("n1", 100).await, Ok(()));
    bench.stop().await;
}

#[tokio::test]
async fn two_modules_share_a_line_and_the_silence_of_one_keeps_no_gate_of_the_other_open() {
    let devices = Devices::start("modbus_server.py").await;
    let line = line(&devices);
    let map = ModuleMap::builtin("wb-mr6c").unwrap();
    let modules = vec![
        (module("io1", 1, map.clone(), &line), vec![wiring("n1", Some(0), Some(Contact::Counter(0)), None)]),
        (module("io2", 2, map, &line), vec![wiring("n2", Some(5), Some(Contact::Counter(6)), None)]),
    ];
    let bench = Bench::run(|parts| start_timed(&line, modules, parts, Timing { answer: IMPATIENT }));
    bench.up("io1").await;
    bench.up("io2").await;
    let (first, second) = tokio::join!(bench.open("n1", 200), bench.open("n2", 200));
    assert_eq!((first, second), (Ok(()), Ok(())));
    eventually("both are off again", || writes(&devices, 1, 0) == [false, true, false] && writes(&devices, 2, 5) == [false, true, false]).await;
    devices.tell("deaf 1 1").await;
    bench.down("io1").await;
    assert_eq!(bench.open("n2", 200).await, Ok(()));
    eventually("it is off again", || writes(&devices, 2, 5) == [false, true, false, true, false]).await;
    bench.read("io2").await;
    devices.tell("counter 2 37 3").await;
    eventually("and its guests are counted", || bench.passed("n2") == 3).await;
    assert_eq!(bench.passed("n1"), 0);
    bench.stop().await;
}

#[tokio::test]
async fn noise_before_answers_costs_nothing_and_damaged_answers_are_no_answers() {
    let devices = Devices::start("modbus_server.py").await;
    devices.tell("noise 1 1").await;
    let bench = driver(&devices, PATIENT);
    bench.up("io1").await;
    assert_eq!(bench.open("n1", 100).await, Ok(()));
    bench.read("io1").await;
    devices.tell("counter 1 39 2").await;
    eventually("guests are counted", || bench.passed("n1") == 2).await;
    assert_eq!(bench.module("io1").damaged, 0);
    bench.stop().await;

    devices.tell("noise 1 0").await;
    let bench = driver(&devices, IMPATIENT);
    bench.up("io1").await;
    devices.tell("damage 1 1").await;
    bench.down("io1").await;
    let state = bench.module("io1");
    assert!(state.damaged >= 3 && state.error.is_some_and(|error| error.contains("damaged")));
    bench.stop().await;
}

#[tokio::test]
async fn an_output_that_does_not_go_off_is_said_tried_again_and_takes_no_orders() {
    let devices = Devices::start("modbus_server.py").await;
    devices.tell("weld 1 0").await;
    let bench = driver(&devices, PATIENT);
    eventually("it is said", || bench.module("io1").stuck == ["K1"]).await;
    bench.up("io1").await;
    let outcome = bench.open("n1", 100).await;
    assert!(matches!(outcome, Err(NotOpened::Refused(_))), "{outcome:?}");
    let tried = writes(devices.heard().await, 1, 0);
    assert!(tried.len() >= 3 && !tried.contains(&true), "{tried:?}");
    bench.read("io1").await;
    devices.tell("counter 1 39 2").await;
    eventually("its guests are counted all the same", || bench.passed("n1") == 2).await;
    devices.tell("unweld 1 0").await;
    eventually("it is well again", || bench.module("io1").stuck.is_empty()).await;
    assert_eq!(bench.open("n1", 100).await, Ok(()));
    bench.stop().await;
}

#[tokio::test]
async fn an_output_that_somebody_else_switches_on_is_switched_off() {
    let devices = Devices::start("modbus_server.py").await;
    let bench = driver(&devices, PATIENT);
    bench.up("io1").await;
    devices.tell("coil 1 0 1").await;
    eventually("it is switched off", || writes(&devices, 1, 0) == [false, false]).await;
    assert_eq!(bench.open("n1", 100).await, Ok(()));
    bench.stop().await;
}

#[tokio::test]
async fn a_module_that_has_not_what_its_map_says_refuses_and_that_is_said() {
    let devices = Devices::start("modbus_server.py").await;
    let text = "name = \"x\"\ntitle = { ru = \"x\", en = \"x\" }\n[[output]]\nnumber = 0\nlabel = \"K1\"\ncoil = 5000\n[[counter]]\nnumber = 0\nlabel = \"1\"\nregister = 900\nset = [{ register = 5000, value = 1 }]\n";
    let wirings = vec![wiring("n1", Some(0), Some(Contact::Counter(0)), None)];
    let bench = driver_of(&devices, ModuleMap::parse("x", text).unwrap(), wirings, PATIENT);
    bench.up("io1").await;
    eventually("it is said", || bench.module("io1").refused.is_some_and(|text| text.contains("illegal address"))).await;
    assert_eq!(bench.module("io1").settings_refused, [5000]);
    let outcome = bench.open("n1", 100).await;
    assert!(matches!(outcome, Err(NotOpened::Refused(_))), "{outcome:?}");
    bench.stop().await;
}

#[tokio::test]
async fn firmware_without_the_real_state_is_asked_for_its_coil() {
    let devices = Devices::start("modbus_server.py").await;
    let mut map = ModuleMap::builtin("wb-mr6c").unwrap();
    map.outputs[0].real = Some(4000);
    let bench = driver_of(&devices, map, vec![wiring("n1", Some(0), None, None)], PATIENT);
    bench.up("io1").await;
    assert_eq!(bench.module("io1").refused, None);
    assert_eq!(bench.open("n1", 100).await, Ok(()));
    bench.stop().await;
}

#[tokio::test]
async fn an_expired_order_is_not_sent_and_one_that_is_taken_back_ends_its_pulse() {
    let devices = Devices::start("modbus_server.py").await;
    let bench = driver(&devices, PATIENT);
    bench.up("io1").await;
    let mut late = bench.order(100);
    late.expires_boot_ms = 0;
    assert_eq!(bench.actuator("n1").open(late).await, Err(NotOpened::Expired));
    assert_eq!(writes(devices.heard().await, 1, 0), [false]);
    assert_eq!(bench.open("n1", 600_000).await, Ok(()));
    assert_eq!(bench.actuator("n1").close().await, Ok(()));
    assert_eq!(writes(devices.heard().await, 1, 0), [false, true, false]);
    bench.stop().await;
}

#[tokio::test]
async fn a_port_that_goes_and_comes_is_opened_again() {
    let devices = Devices::start("modbus_server.py").await;
    let folder = tempfile::tempdir().unwrap();
    let by_id = folder.path().join("usb-rs485");
    let mut line = line(&devices);
    let real = std::mem::replace(&mut line.port, by_id.clone());
    let modules = vec![(module("io1", 1, ModuleMap::builtin("wb-mr6c").unwrap(), &line), vec![wiring("n1", Some(0), None, None)])];
    let bench = Bench::run(|parts| start_timed(&line, modules, parts, Timing { answer: PATIENT }));
    bench.down("io1").await;
    assert!(bench.module("io1").error.is_some_and(|error| error.contains("no such device")));
    std::os::unix::fs::symlink(&real, &by_id).unwrap();
    bench.up("io1").await;
    std::fs::remove_file(&by_id).unwrap();
    bench.down("io1").await;
    std::os::unix::fs::symlink(&real, &by_id).unwrap();
    bench.up("io1").await;
    assert_eq!(writes(devices.heard().await, 1, 0), [false, false]);
    assert_eq!(bench.open("n1", 100).await, Ok(()));
    bench.stop().await;
}
