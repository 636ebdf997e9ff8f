//! How small the gateway is: the shipped binary, its memory when idle and with 100 000 passes queued, its start. `LIMEGATE_BIN=... cargo bench --bench footprint`.
//!
//! The real binary between two readers on ptys, Debian's mosquitto and the sandbox. `LIMEGATE_BIN` is the binary that counts (`tools/bench` builds it with
//! the `dist` profile and without `demo`); without it cargo's own build is measured, and its figures are no promise's.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "shared with the tests of the gateway")]

#[path = "../tests/common/mod.rs"]
mod common;
#[path = "../tests/mqtt/device.rs"]
#[allow(dead_code, reason = "shared with the tests of the drivers")]
mod mqtt_device;
#[path = "../tests/gateway/park.rs"]
#[allow(dead_code, reason = "shared with the tests of the gateway")]
mod park;
#[allow(dead_code, reason = "shared by the benches")]
mod table;

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, ExitCode, Stdio};
use std::sync::Arc;
use std::time::Duration;

use common::{now, wait_for};
use limegate::clock::{Clock, SystemClock};
use limegate::domain::{Direction, GateId, Medium, MediumKind, Pass, PassageState, Personal, ServicePointId};
use limegate::journal::{HostDisk, Journal, Options, Record, Store};
use park::Park;
use sandbox::Host;
use sandbox::faults::{Down, Mode, Rule};
use table::{Promised, Table};

const QUEUED: u64 = 100_000;

/// A gateway that was started and said it is ready.
struct Ready {
    child: Child,
    start_ms: f64,
}

impl Ready {
    fn start(park: &mut Park) -> Self {
        park.forget_owners();
        let socket = park.venue.folder.path().join("notify");
        let _ = std::fs::remove_file(&socket);
        let listener = UnixDatagram::bind(&socket).unwrap();
        listener.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let log = std::fs::File::create(park.venue.folder.path().join("log")).unwrap();
        let begin = now();
        let mut command = park.venue.command(&["run"]);
        let child =
            command.env("NOTIFY_SOCKET", &socket).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().expect("the limegate binary");
        let mut said = [0; 1024];
        loop {
            let length = listener.recv(&mut said).unwrap_or_else(|error| panic!("no word from the gateway: {error}\n{}", park.venue.log()));
            if said[..length].split(|byte| *byte == b'\n').any(|line| line == b"READY=1") {
                break;
            }
        }
        Self { child, start_ms: begin.elapsed().as_secs_f64() * 1e3 }
    }

    fn memory(&self, name: &str) -> f64 {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let kib: f64 =
            text.lines().find_map(|line| line.strip_prefix(name)?.trim_start_matches(':').trim().trim_end_matches(" kB").parse().ok()).unwrap();
        kib * 1024.0 / 1e6
    }

    /// Resident memory once it has been the same for two seconds, at most after a minute; MB.
    fn settled(&self) -> f64 {
        let (mut last, mut since) = (self.memory("VmRSS"), now());
        wait_for(Duration::from_secs(60), || {
            let memory = self.memory("VmRSS");
            if (memory - last).abs() > 0.1 {
                (last, since) = (memory, now());
            }
            since.elapsed() >= Duration::from_secs(2)
        });
        self.memory("VmRSS")
    }
}

impl Drop for Ready {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Writes passes into the journal of a gateway that does not run.
fn queue(dir: &Path) {
    let clock = Arc::new(SystemClock::new());
    let journal = Journal::open(Arc::new(HostDisk), Options::new(dir, clock.clone())).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let pass = |n: u64| {
        Record::Pass(Pass {
            id: uuid::Uuid::now_v7(),
            number: 0,
            gate: GateId::from("n1"),
            service_point: ServicePointId::from("sp-1"),
            direction: Direction::In,
            medium: Medium {
                kind: MediumKind::CardUid,
                value: Personal::new(format!("{:08X}", n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32)),
                raw: Some(Personal::new(format!("Mifare[{n:08X}] 1K (0004,08) 099,01234"))),
                format: "ironlogic-text/mifare".to_owned(),
            },
            device: None,
            passage: PassageState::Passed,
            stamp: clock.stamp(),
            device_ms: None,
            test: false,
            door: None,
        })
    };
    runtime.block_on(async {
        for n in 0..QUEUED / 200 {
            journal.append((0..200).map(|m| pass(n * 200 + m)).collect()).await.unwrap();
        }
    });
    journal.close();
}

fn main() -> ExitCode {
    let mut table = Table::new("benches/footprint.rs");
    let mut park = Park::new(Host::Amocrm);
    let binary = park.venue.command(&[]).get_program().to_owned();
    let size = std::fs::metadata(&binary).unwrap().len();
    // The promise is for a box; elsewhere `tools/cross` holds the box's binary to it.
    if cfg!(any(target_arch = "aarch64", target_arch = "arm")) {
        table.row("the stripped binary, MB", size as f64 / 1e6, 1, Promised::AtMost(10.0));
    } else {
        table.row("the stripped binary, not a box's, MB (a remark)", size as f64 / 1e6, 1, Promised::Nothing);
    }
    park.set_up_crm();
    let empty = {
        let gateway = Ready::start(&mut park);
        park.wait_open();
        table.row("RSS when idle, MB", gateway.settled(), 1, Promised::AtMost(15.0));
        gateway.start_ms
    };
    queue(&park.venue.state_dir().join("journal"));
    park.fault(Rule::new(Host::Lime, Mode::Down { how: Down::Refuse }));
    let gateway = Ready::start(&mut park);
    park.wait_open();
    let waiting = |status: &serde_json::Value| status["destinations"]["lime"]["waiting"].as_u64();
    park.venue.wait_status("all passes wait", Duration::from_secs(60), |status| waiting(status) == Some(QUEUED));
    table.row("RSS with 100 000 passes queued, MB", gateway.settled(), 1, Promised::AtMost(40.0));
    table.row("  at its highest, MB (a remark)", gateway.memory("VmHWM"), 1, Promised::Nothing);
    table.row("until READY, empty, ms (a remark)", empty, 0, Promised::Nothing);
    table.row("until READY, 100 000 queued / empty (a remark)", gateway.start_ms / empty, 2, Promised::Nothing);
    println!("binary: {}", binary.display());
    table.end()
}
