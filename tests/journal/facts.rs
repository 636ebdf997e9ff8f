//! Facts to write.

use std::path::Path;
use std::sync::Arc;

use limegate::clock::{ManualClock, SharedClock};
use limegate::domain::{
    BootId, DeviceRecord, Direction, GateId, Medium, MediumKind, Moment, Pass, PassageState, Personal, Seq, ServicePointId, Stamp, Sync, WriteOff,
    WriteOffStatus,
};
use limegate::flow::{CrmPolicy, HubPolicy};
use limegate::journal::{Destination, Disk, Journal, Options, Record, Settled, SettledItem, Store};
use uuid::Uuid;

pub fn stamp() -> Stamp {
    Stamp { boot: BootId(Uuid::from_u128(1)), boot_ms: 1_000, wall_ms: 1_700_000_000_000, sync: Sync::Synced }
}

/// A pass of the guest `card`, named by `id`.
pub fn pass(id: u64, card: u64) -> Record {
    Record::Pass(Pass {
        id: Uuid::from_u128(u128::from(id) | 0x7000 << 64),
        number: 0,
        gate: GateId::from("n1"),
        service_point: ServicePointId::from("sp-4"),
        direction: Direction::In,
        medium: Medium {
            kind: MediumKind::CardUid,
            value: Personal::new(format!("{card:014X}")),
            raw: None,
            format: "ironlogic-text/mifare".to_owned(),
        },
        device: None,
        passage: PassageState::Passed,
        stamp: stamp(),
        device_ms: None,
        test: false,
        door: None,
    })
}

/// The same, with the device's own number.
pub fn pass_of_device(id: u64, card: u64, record: &str) -> Record {
    let Record::Pass(pass) = pass(id, card) else { unreachable!("a pass") };
    Record::Pass(Pass { device: Some(device(record)), ..pass })
}

pub fn device(record: &str) -> DeviceRecord {
    DeviceRecord { device: "validator-1".to_owned(), record: record.to_owned() }
}

/// Lime's answer for a pass.
pub fn write_off(pass_seq: Seq, id: u64, status: WriteOffStatus) -> Record {
    Record::WriteOff(WriteOff {
        pass_id: Uuid::from_u128(u128::from(id) | 0x7000 << 64),
        pass_seq,
        status,
        code: "ok".to_owned(),
        transaction_id: Some(format!("t-{id}")),
        client_id: None,
        right: None,
        charge: None,
        conflict_with: None,
        gate: GateId::from("n1"),
        service_point: ServicePointId::from("sp-4"),
        service_point_title: None,
        direction: Direction::In,
        medium_masked: "••A1A3".to_owned(),
        occurred: Moment::exact(1_700_000_000_000),
        received_ms: None,
        test: false,
    })
}

pub fn settled(to: Destination, jobs: &[Seq]) -> Record {
    let items = jobs.iter().map(|job| SettledItem { job: *job, remote: None }).collect();
    Record::Settled(Settled { to, items, learned: Vec::new(), stamp: stamp() })
}

/// The id that `pass` gave.
pub fn id_of(record: &Record) -> Option<u64> {
    let Record::Pass(pass) = record else { return None };
    Some(u64::try_from(pass.id.as_u128() & u128::from(u64::MAX)).expect("64 bits"))
}

pub fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::synced(1_700_000_000_000))
}

/// Options for a small journal without threads.
pub fn options(dir: &Path, clock: SharedClock) -> Options {
    Options {
        segment_bytes: 64 * 1024,
        budget_bytes: 64 << 20,
        crm: CrmPolicy { enabled: true, refusals: false, hub: HubPolicy::NOTHING },
        inline: true,
        ..Options::new(dir, clock)
    }
}

pub fn open(disk: &(impl Disk + Clone + 'static), dir: &Path) -> Journal {
    Journal::open(Arc::new(disk.clone()), options(dir, clock())).expect("the journal opens")
}

/// Appends without a runtime: only for a journal without threads.
pub fn append(journal: &Journal, records: Vec<Record>) -> Result<limegate::journal::Appended, limegate::journal::AppendError> {
    let mut future = journal.append(records);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match future.as_mut().poll(&mut context) {
        std::task::Poll::Ready(done) => done,
        std::task::Poll::Pending => unreachable!("a journal without threads answers at once"),
    }
}
