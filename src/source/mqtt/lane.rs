//! Messages on their way to the disk: many at once, begun in their order; one at a time, and later, while the journal refuses.

use std::collections::{BTreeMap, HashSet};
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::domain::DeviceRecord;
use crate::mqtt::Incoming;
use crate::source::{Intake, Reading, Refused, Taken};

/// Most readings at the intake at once: enough for a full group commit.
const WINDOW: usize = 256;
const BACKOFF_BASE: Duration = Duration::from_millis(500);
const BACKOFF_CAP: Duration = Duration::from_secs(30);

/// A reading and the message it came in.
pub(super) struct Job {
    pub reading: Reading,
    pub message: Incoming,
}

type Outcome = Result<Taken, Refused>;

/// An ended job, its place among those that came, and what became of it.
pub(super) struct Done {
    pub place: u64,
    pub job: Job,
    pub outcome: Outcome,
}

/// The lane of one gate.
pub(super) struct Lane {
    intake: Arc<dyn Intake>,
    /// By place.
    waiting: BTreeMap<u64, Job>,
    places: u64,
    running: JoinSet<Done>,
    /// Ended at their first poll.
    ended: Vec<Done>,
    /// Records at the intake. A repeated message waits for the first to end: the intake refuses a copy of what it is just storing.
    records: HashSet<DeviceRecord>,
    failures: u32,
    paused: Option<Instant>,
    random: fastrand::Rng,
}

impl Lane {
    pub fn new(intake: Arc<dyn Intake>) -> Self {
        Self {
            intake,
            waiting: BTreeMap::new(),
            places: 0,
            running: JoinSet::new(),
            ended: Vec::new(),
            records: HashSet::new(),
            failures: 0,
            paused: None,
            random: fastrand::Rng::new(),
        }
    }

    /// Takes a job; it is begun after those that came before.
    pub fn push(&mut self, job: Job) {
        self.places += 1;
        self.waiting.insert(self.places, job);
    }

    /// Whether another message may be taken from the broker.
    pub fn has_room(&self) -> bool {
        self.waiting.is_empty() && self.may_begin()
    }

    /// Whether jobs are at the intake.
    pub fn busy(&self) -> bool {
        !self.running.is_empty() || !self.ended.is_empty()
    }

    /// Until when nothing is begun; only while it is paused.
    pub fn paused(&self) -> Option<Instant> {
        self.paused
    }

    /// Ends the pause.
    pub fn resume(&mut self) {
        self.paused = None;
    }

    fn may_begin(&self) -> bool {
        let window = if self.failures == 0 { WINDOW } else { 1 };
        self.paused.is_none() && self.running.len() + self.ended.len() < window
    }

    /// Begins what may be begun. Each job is polled once here, in its order, so that the intake sees them in the order in which they came.
    pub async fn begin(&mut self) {
        while self.may_begin() {
            let Some(next) = self.waiting.first_entry() else { return };
            if next.get().reading.device.as_ref().is_some_and(|record| self.records.contains(record)) {
                return;
            }
            let (place, job) = next.remove_entry();
            self.records.extend(job.reading.device.clone());
            let intake = Arc::clone(&self.intake);
            let mut running = Box::pin(async move {
                let outcome = intake.take(job.reading.clone()).await;
                Done { place, job, outcome }
            });
            match poll_fn(|context| Poll::Ready(running.as_mut().poll(context))).await {
                Poll::Ready(done) => self.ended.push(done),
                Poll::Pending => {
                    self.running.spawn(running);
                }
            }
        }
    }

    /// The next job that ended; `None` when there is none, or its task failed: its message was given back to the broker. Cancel safe.
    pub async fn done(&mut self) -> Option<Done> {
        let done = match self.ended.pop() {
            Some(done) => done,
            None => match self.running.join_next().await? {
                Ok(done) => done,
                Err(_) => {
                    // Whose record it was is not known. Without this list a copy is refused by the intake and tried again.
                    self.records.clear();
                    return None;
                }
            },
        };
        if let Some(record) = &done.job.reading.device {
            self.records.remove(record);
        }
        if done.outcome.is_ok() {
            self.failures = 0;
        }
        Some(done)
    }

    /// Tries a refused job again, in its old place, after a pause that grows while refusals go on.
    pub fn again(&mut self, place: u64, job: Job, now: Instant) {
        self.waiting.insert(place, job);
        if self.paused.is_none() {
            let wait = BACKOFF_BASE.saturating_mul(1 << self.failures.min(8)).min(BACKOFF_CAP);
            self.failures = self.failures.saturating_add(1);
            self.paused = Some(now + wait.mul_f64(0.5 + self.random.f64() / 2.0));
        }
    }

    /// Leaves what was not begun to the broker.
    pub fn leave_waiting(&mut self) {
        while let Some((_, job)) = self.waiting.pop_first() {
            job.message.leave();
        }
    }
}
