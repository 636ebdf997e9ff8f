//! A journal in memory that keeps what it said is durable and forgets the rest: what delivery needs of the real one, and what tests break.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use limegate::domain::{DeviceRecord, OrderKey, Seq, Stamp};
use limegate::flow::{CrmPolicy, HubPolicy, job_at};
use limegate::journal::{
    Anchor, AppendError, Appended, BoxFuture, DeadLetter, Destination, Entry, JournalStat, LedgerKey, ReadError, Record, Store, Totals,
};
use tokio::sync::watch;

pub const POLICY: CrmPolicy = CrmPolicy { enabled: true, refusals: true, hub: HubPolicy::EVERYTHING };

#[derive(Default)]
struct Side {
    pending: BTreeMap<Seq, OrderKey>,
    queues: HashMap<OrderKey, BTreeSet<Seq>>,
    sending: HashMap<Seq, Stamp>,
    dead: Vec<DeadLetter>,
    totals: Totals,
}

#[derive(Default)]
pub struct Inner {
    log: Vec<Record>,
    sides: [Side; 2],
    ledger: HashMap<LedgerKey, String>,
    passes: u64,
    anchors: Vec<(Seq, Anchor)>,
}

pub struct MemoryStore {
    inner: Mutex<Inner>,
    head: watch::Sender<Seq>,
    /// How many of the next appends the disk refuses.
    pub refuse: AtomicU32,
    /// What it says of itself.
    pub stat: Mutex<JournalStat>,
}

impl Side {
    fn owe(&mut self, seq: Seq, order: OrderKey) {
        self.pending.insert(seq, order);
        self.queues.entry(order).or_default().insert(seq);
    }

    fn settle(&mut self, seq: Seq) {
        let order = self.pending.remove(&seq).unwrap_or_else(|| panic!("job {seq} settled twice"));
        self.queues.get_mut(&order).unwrap().remove(&seq);
        self.sending.remove(&seq);
    }
}

fn index(to: Destination) -> usize {
    match to {
        Destination::Lime => 0,
        Destination::Crm => 1,
    }
}

impl MemoryStore {
    pub fn new() -> Self {
        Self { inner: Mutex::default(), head: watch::channel(0).0, refuse: AtomicU32::new(0), stat: Mutex::default() }
    }

    /// All records, in order.
    pub fn log(&self) -> Vec<Entry> {
        self.inner.lock().unwrap().log.iter().enumerate().map(|(at, record)| Entry { seq: at as Seq + 1, record: record.clone() }).collect()
    }

    fn apply(&self, records: Vec<Record>) -> Appended {
        let mut inner = self.inner.lock().unwrap();
        let first = inner.log.len() as Seq + 1;
        let count = records.len();
        for mut record in records {
            let seq = inner.log.len() as Seq + 1;
            if let Record::Pass(pass) = &mut record {
                inner.passes += 1;
                pass.number = inner.passes;
            }
            inner.take(seq, &record);
            inner.log.push(record);
        }
        self.head.send_replace(inner.log.len() as Seq);
        Appended { first, count }
    }
}

impl Inner {
    fn take(&mut self, seq: Seq, record: &Record) {
        if let Some((to, order)) = job_at(record, POLICY) {
            self.sides[index(to)].owe(seq, order);
            self.sides[index(to)].totals.made += 1;
        }
        match record {
            Record::WriteOff(write_off) => {
                self.sides[0].settle(write_off.pass_seq);
                self.sides[0].totals.confirmed += 1;
            }
            Record::Anchor(anchor) => self.anchors.push((seq, *anchor)),
            Record::Sending(sending) => self.sides[index(sending.to)].sending.extend(sending.jobs.iter().map(|job| (*job, sending.stamp))),
            Record::Settled(settled) => {
                let side = &mut self.sides[index(settled.to)];
                for item in &settled.items {
                    side.settle(item.job);
                    side.totals.confirmed += 1;
                }
                for line in &settled.learned {
                    match &line.value {
                        Some(value) => self.ledger.insert(line.key.clone(), value.clone()),
                        None => self.ledger.remove(&line.key),
                    };
                }
            }
            Record::Dead(letter) => {
                let side = &mut self.sides[index(letter.to)];
                side.settle(letter.job);
                side.dead.push(letter.clone());
            }
            Record::Revived(decision) | Record::Dropped(decision) => {
                let revived = matches!(record, Record::Revived(_));
                for job in &decision.jobs {
                    let order = job_at(&self.log[*job as usize - 1], POLICY).unwrap().1;
                    let side = &mut self.sides[index(decision.to)];
                    side.dead.retain(|letter| letter.job != *job);
                    if revived {
                        side.owe(*job, order);
                    } else {
                        side.totals.dropped += 1;
                    }
                }
            }
            _ => {}
        }
    }
}

impl Store for MemoryStore {
    fn append(&self, records: Vec<Record>) -> BoxFuture<'_, Result<Appended, AppendError>> {
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            if self.refuse.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
                return Err(AppendError::Disk("no space left on device".into()));
            }
            Ok(self.apply(records))
        })
    }

    fn read(&self, from: Seq, limit: usize) -> Result<Vec<Entry>, ReadError> {
        let inner = self.inner.lock().unwrap();
        let start = usize::try_from(from.saturating_sub(1)).unwrap();
        let entries = inner.log.iter().enumerate().skip(start).take(limit);
        Ok(entries.map(|(at, record)| Entry { seq: at as Seq + 1, record: record.clone() }).collect())
    }

    fn get(&self, seq: Seq) -> Result<Option<Entry>, ReadError> {
        let inner = self.inner.lock().unwrap();
        let record = inner.log.get(usize::try_from(seq).unwrap().wrapping_sub(1));
        Ok(record.map(|record| Entry { seq, record: record.clone() }))
    }

    fn head(&self) -> watch::Receiver<Seq> {
        self.head.subscribe()
    }

    fn pending(&self, to: Destination, after: Seq, limit: usize) -> Vec<Seq> {
        self.inner.lock().unwrap().sides[index(to)].pending.range(after + 1..).take(limit).map(|(seq, _)| *seq).collect()
    }

    fn pending_count(&self, to: Destination) -> u64 {
        self.inner.lock().unwrap().sides[index(to)].pending.len() as u64
    }

    fn queue_of(&self, to: Destination, order: OrderKey, before: Seq, limit: usize) -> Vec<Seq> {
        let inner = self.inner.lock().unwrap();
        inner.sides[index(to)].queues.get(&order).into_iter().flat_map(|queue| queue.range(..before)).take(limit).copied().collect()
    }

    fn in_doubt(&self, to: Destination) -> Vec<(Seq, Stamp)> {
        self.inner.lock().unwrap().sides[index(to)].sending.iter().map(|(seq, stamp)| (*seq, *stamp)).collect()
    }

    fn seen(&self, _: &DeviceRecord) -> bool {
        false
    }

    fn ledger(&self, key: &LedgerKey) -> Option<String> {
        self.inner.lock().unwrap().ledger.get(key).cloned()
    }

    fn anchors(&self) -> Vec<(Seq, Anchor)> {
        let inner = self.inner.lock().unwrap();
        inner.anchors.clone()
    }

    fn dead(&self, to: Destination) -> Vec<DeadLetter> {
        self.inner.lock().unwrap().sides[index(to)].dead.clone()
    }

    fn totals(&self, to: Destination) -> Totals {
        let inner = self.inner.lock().unwrap();
        let side = &inner.sides[index(to)];
        Totals { passes: inner.passes, dead: side.dead.len() as u64, ..side.totals }
    }

    fn stat(&self) -> JournalStat {
        self.stat.lock().unwrap().clone()
    }
}
