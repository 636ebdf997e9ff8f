//! Holds one conversation: carries its calls out, one after the other.
//!
//! Never: a create that leaves before its `sending` record is on disk; a call repeated whose outcome is unknown.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::watch;

use crate::clock::SharedClock;
use crate::http::Answer;
use crate::journal::{LedgerKey, Record, Sending, Settled, Store};

use super::conversation::{Call, Courier, Effect, Ledger, NoAnswer, Step};
use super::job::Job;
use super::outcome::{Cause, Ended};
use super::remote::{LIMITED_TRIES, Lane, Remote, Reply, too_many_requests};
use super::runner::Remotes;

/// A dialogue that is not over by then never will be.
const MOST_CALLS: usize = 1_000;

/// When the journal cannot write, the jobs wait this long.
const DISK_PAUSE_MS: u64 = 1_000;

/// All that a dialogue needs.
#[derive(Clone)]
pub(super) struct Desk {
    pub store: Arc<dyn Store>,
    pub courier: Arc<dyn Courier>,
    pub remotes: Remotes,
    pub clock: SharedClock,
    pub stop: watch::Receiver<bool>,
}

struct StoreLedger<'a>(&'a dyn Store);

impl Ledger for StoreLedger<'_> {
    fn get(&self, key: &LedgerKey) -> Option<String> {
        self.0.ledger(key)
    }
}

enum Called {
    Answered(Answer),
    NotSent { retry_ms: u64 },
    Unknown { retry_ms: u64 },
}

impl Desk {
    /// Holds a conversation about a batch to its end.
    pub async fn hold(&self, jobs: Vec<Job>, lane: Lane) -> Ended {
        let mut conversation = self.courier.begin(jobs, &StoreLedger(self.store.as_ref()), self.clock.stamp().wall_ms);
        let mut written = BTreeSet::new();
        let mut step = conversation.next(None);
        for _ in 0..MOST_CALLS {
            let call = match step {
                Step::Done { verdicts, learned } => return Ended { verdicts, learned, cause: Cause::Finished, written },
                Step::Call(call) => call,
            };
            let (why, cause) = match self.call(call, lane, &mut written).await {
                Called::Answered(answer) => {
                    step = conversation.next(Some(&answer));
                    continue;
                }
                Called::NotSent { retry_ms } => (NoAnswer::NotSent, Cause::Blameless(retry_ms)),
                Called::Unknown { retry_ms } => (NoAnswer::Unknown, Cause::Unknown(retry_ms)),
            };
            let (verdicts, learned) = conversation.give_up(why);
            return Ended { verdicts, learned, cause, written };
        }
        tracing::error!(destination = self.courier.destination().name(), "a dialogue of {MOST_CALLS} calls was broken off");
        let (verdicts, learned) = conversation.give_up(NoAnswer::NotSent);
        Ended { verdicts, learned, cause: Cause::Finished, written }
    }

    async fn call(&self, call: Call, lane: Lane, written: &mut BTreeSet<u64>) -> Called {
        let Some(remote) = self.remotes.get(call.host) else {
            return Called::NotSent { retry_ms: self.clock.boot_ms() + DISK_PAUSE_MS };
        };
        let creates = match &call.effect {
            Effect::Repeatable | Effect::Sets(_) => None,
            Effect::Creates(jobs) => Some(jobs),
        };
        let first = match &call.effect {
            Effect::Sets(learned) if !learned.is_empty() => Some(learned),
            _ => None,
        };
        let limited = |answer: &Answer| match self.courier.limited(call.host, answer) {
            Some(pause) => Some(Some(pause)),
            None if creates.is_none() && answer.status == http::StatusCode::SERVICE_UNAVAILABLE => answer.retry_after().map(Some),
            None => too_many_requests(answer),
        };
        let mut announced = false;
        for _ in 0..LIMITED_TRIES {
            let turn = match self.turn(remote, lane).await {
                Ok(turn) => turn,
                Err(retry_ms) => return Called::NotSent { retry_ms },
            };
            if let (Some(jobs), false) = (creates, announced) {
                let sending = Sending { to: self.courier.destination(), jobs: jobs.clone(), stamp: self.clock.stamp() };
                if self.store.append(vec![Record::Sending(sending)]).await.is_err() {
                    return Called::NotSent { retry_ms: self.clock.boot_ms() + DISK_PAUSE_MS };
                }
                announced = true;
            }
            if let (Some(learned), false) = (first, announced) {
                let known = Settled { to: self.courier.destination(), items: Vec::new(), learned: learned.clone(), stamp: self.clock.stamp() };
                if self.store.append(vec![Record::Settled(known)]).await.is_err() {
                    return Called::NotSent { retry_ms: self.clock.boot_ms() + DISK_PAUSE_MS };
                }
                announced = true;
            }
            match remote.exchange(turn, call.request.clone(), lane, &limited).await {
                Reply::Answered(answer) => {
                    written.extend(creates.into_iter().flatten());
                    return Called::Answered(answer);
                }
                Reply::Unknown => {
                    written.extend(creates.into_iter().flatten());
                    return Called::Unknown { retry_ms: remote.retry_at() };
                }
                Reply::NotSent | Reply::Refused => return Called::NotSent { retry_ms: remote.retry_at() },
                Reply::Limited => {}
            }
        }
        Called::NotSent { retry_ms: remote.retry_at() }
    }

    /// A turn, unless the gateway stops first.
    async fn turn<'a>(&self, remote: &'a Remote, lane: Lane) -> Result<super::remote::Turn<'a>, u64> {
        let mut stop = self.stop.clone();
        if *stop.borrow() {
            return Err(self.clock.boot_ms());
        }
        tokio::select! {
            turn = remote.turn(lane) => turn,
            _ = stop.wait_for(|stop| *stop) => Err(self.clock.boot_ms()),
        }
    }
}
