//! Faults on demand: what is set, whom it strikes, and what the caller then sees.
//!
//! A [`Rule`] names a service, optionally a method and a part of the path, how often it strikes, and a [`Mode`]. Rules are tried in the order they were
//! set; the first whose mode replaces the exchange wins, delays and index lag add to it. Randomness comes from each rule's own seed.

mod answers;
mod rule;

use bytes::Bytes;
use http::{Request, Response};

pub(crate) use answers::prepared;
pub use rule::{Down, Mode, Rule};

use crate::host::Host;

/// What the caller of one exchange sees.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Nothing is seen for this long after the request has arrived.
    pub after_ms: u64,
    /// What is seen then.
    pub what: What,
    /// The world has carried the request out, or will later (a late commit). True of a request that the world's own rules refused, too.
    pub committed: bool,
}

/// How an exchange ends for the caller.
#[derive(Clone, Debug)]
pub enum What {
    /// A whole answer.
    Whole(Response<Bytes>),
    /// A part of the answer, then the end.
    Cut {
        /// The answer that would have come.
        response: Response<Bytes>,
        /// How far it comes.
        at: CutAt,
        /// How the connection ends.
        ending: Ending,
    },
    /// The connection is reset before a byte of an answer.
    Reset,
    /// Nothing ever comes; the connection stays open.
    Hang,
    /// No connection comes about.
    Refused,
}

/// Where an answer is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CutAt {
    /// After so many bytes, counted from the first of the status line.
    Byte(usize),
    /// After the head and half of the body.
    HalfTheBody,
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// In order (FIN).
    Closed,
    /// By reset (RST).
    Reset,
}

impl Outcome {
    /// The answer, where a whole one comes.
    #[must_use]
    pub fn response(&self) -> Option<&Response<Bytes>> {
        match &self.what {
            What::Whole(response) => Some(response),
            _ => None,
        }
    }
}

/// The faults that are set.
#[derive(Debug, Default)]
pub struct Faults {
    rules: Vec<Active>,
    next_id: u64,
}

#[derive(Debug)]
struct Active {
    id: u64,
    rule: Rule,
    random: fastrand::Rng,
    matched: u64,
    struck: u64,
    since_ms: u64,
}

/// What the faults have in store for one request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) delay_ms: u64,
    pub(crate) index_lag_ms: u64,
    pub(crate) mode: Option<Mode>,
}

impl Faults {
    /// Sets a fault; answers its id. Its time (`for_ms`) counts from `now_ms`.
    pub fn set(&mut self, now_ms: u64, rule: Rule) -> u64 {
        self.next_id += 1;
        let random = fastrand::Rng::with_seed(rule.seed.unwrap_or(self.next_id));
        self.rules.push(Active { id: self.next_id, rule, random, matched: 0, struck: 0, since_ms: now_ms });
        self.next_id
    }

    /// Takes one fault away; false when there is none of this id.
    pub fn remove(&mut self, id: u64) -> bool {
        let before = self.rules.len();
        self.rules.retain(|active| active.id != id);
        self.rules.len() != before
    }

    /// Takes all faults away.
    pub fn clear(&mut self) {
        self.rules.clear();
    }

    /// How a service is down at this time, if it is.
    #[must_use]
    pub fn down(&self, host: Host, now_ms: u64) -> Option<Down> {
        self.rules.iter().filter(|active| active.applies_to(host) && active.lives(now_ms)).find_map(|active| match &active.rule.mode {
            Mode::Down { how } => Some(*how),
            _ => None,
        })
    }

    /// The faults that are set, with how often each has struck.
    #[must_use]
    pub fn state(&self) -> serde_json::Value {
        self.rules
            .iter()
            .map(|active| serde_json::json!({"id": active.id, "fault": active.rule, "matched": active.matched, "struck": active.struck}))
            .collect()
    }

    pub(crate) fn judge(&mut self, host: Host, now_ms: u64, request: &Request<Bytes>) -> Verdict {
        let mut verdict = Verdict::default();
        self.rules.retain(|active| active.lives(now_ms));
        for active in &mut self.rules {
            if !active.applies_to(host) || !active.rule.fits(request) {
                continue;
            }
            match &active.rule.mode {
                // A lag is a property of the index, not of a request: it neither counts nor rolls dice.
                Mode::IndexLag { ms } => verdict.index_lag_ms = verdict.index_lag_ms.max(*ms),
                Mode::Down { .. } => {}
                Mode::Delay { ms } => {
                    let ms = *ms;
                    if active.strikes() {
                        verdict.delay_ms = verdict.delay_ms.saturating_add(ms);
                    }
                }
                mode if verdict.mode.is_none() => {
                    let mode = mode.clone();
                    if active.strikes() {
                        verdict.mode = Some(mode);
                    }
                }
                _ => {}
            }
        }
        verdict
    }
}

impl Active {
    fn applies_to(&self, host: Host) -> bool {
        self.rule.service.is_none_or(|service| service == host)
    }

    fn lives(&self, now_ms: u64) -> bool {
        self.rule.for_ms.is_none_or(|span| now_ms < self.since_ms.saturating_add(span))
    }

    fn strikes(&mut self) -> bool {
        self.matched += 1;
        if self.matched <= self.rule.after || self.rule.count.is_some_and(|count| self.struck >= count) {
            return false;
        }
        let strikes = self.rule.probability.is_none_or(|probability| self.random.f64() < probability);
        self.struck += u64::from(strikes);
        strikes
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rule(value: serde_json::Value) -> Rule {
        serde_json::from_value(value).unwrap()
    }

    fn post(path: &str) -> Request<Bytes> {
        Request::post(path).body(Bytes::new()).unwrap()
    }

    #[test]
    fn a_rule_strikes_only_what_it_names_and_only_as_often_as_it_says() {
        let mut faults = Faults::default();
        faults.set(
            0,
            rule(json!({"service": "lime", "method": "POST", "path": "write-offs", "count": 2, "after": 1, "mode": {"kind": "drop_after_commit"}})),
        );
        let hit = |faults: &mut Faults, host, request: &Request<Bytes>| faults.judge(host, 0, request).mode.is_some();
        assert!(!hit(&mut faults, Host::Amocrm, &post("/gw/v1/write-offs:batch")));
        assert!(!hit(&mut faults, Host::Lime, &Request::get("/gw/v1/write-offs").body(Bytes::new()).unwrap()));
        let struck: Vec<bool> = (0..5).map(|_| hit(&mut faults, Host::Lime, &post("/gw/v1/write-offs:batch"))).collect();
        assert_eq!(struck, [false, true, true, false, false]);
    }

    #[test]
    fn probability_repeats_with_the_seed_and_time_runs_out() {
        let draw = || {
            let mut faults = Faults::default();
            faults.set(0, rule(json!({"probability": 0.3, "seed": 5, "for_ms": 1_000, "mode": {"kind": "drop_before_commit"}})));
            (0..1_200).map(|at| faults.judge(Host::Lime, at, &post("/x")).mode.is_some()).collect::<Vec<_>>()
        };
        let first = draw();
        assert_eq!(first, draw());
        let struck = first.iter().take(1_000).filter(|struck| **struck).count();
        assert!((200..400).contains(&struck), "{struck}");
        assert!(first.iter().skip(1_000).all(|struck| !struck));
    }

    #[test]
    fn unknown_keys_in_a_rule_are_refused() {
        assert!(serde_json::from_value::<Rule>(json!({"mode": {"kind": "reset_at", "byte": 3}, "probabilty": 0.5})).is_err());
        assert!(serde_json::from_value::<Rule>(json!({"mode": {"kind": "no_such_mode"}})).is_err());
    }
}
