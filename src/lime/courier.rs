//! Lime's side of delivery: passes go in batches to `POST /write-offs:batch`.
//!
//! Lime keeps each write-off id without expiry, so a batch whose outcome is unknown is simply sent again: what was processed answers `duplicate` with the
//! stored result. Never: a pass given up on because of a status this version does not know; a pass that Lime's answer does not name taken as done.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::delivery::{Call, Confirmed, Conversation, Courier, Effect, Host, Job, Ledger, NoAnswer, Step, Verdict, Work};
use crate::domain::{
    BootId, Charge, ClientId, Direction, Moment, Money, Pass, PassageState, Quality, Right, RightKind, Seq, WriteOff, WriteOffStatus,
};
use crate::http::{Answer, DEFAULT_TIMEOUT, Request};
use crate::journal::{Destination, Learned};

use super::parse::{ParseProblem, document, millis, stable};
use super::wire;

/// Most write-offs in one request, by contract.
pub const BATCH_LIMIT: usize = 200;

/// An item that Lime puts off without saying for how long.
const ITEM_PAUSE: Duration = Duration::from_secs(5);

/// A status that this version does not know: a person or an update must help, but nothing is lost meanwhile.
const UNKNOWN_STATUS_PAUSE: Duration = Duration::from_secs(300);

/// Names and ids of an answer are kept up to this many characters.
const TEXT_KEPT: usize = 200;

/// Makes the dialogues with Lime.
#[derive(Clone, Debug)]
pub struct LimeCourier {
    device: String,
    boot: BootId,
    zone: TimeZone,
}

impl LimeCourier {
    /// `device` names the box at Lime (`site.id`); times are written in the venue's zone.
    #[must_use]
    pub fn new(device: impl Into<String>, boot: BootId, zone: TimeZone) -> Self {
        Self { device: device.into(), boot, zone }
    }

    fn request(&self, jobs: &[Job], now_wall_ms: i64) -> Request {
        let items: Vec<Value> = jobs.iter().filter_map(|job| self.item(job)).collect();
        let body = json!({
            "device_id": self.device,
            "boot_id": self.boot.0.to_string(),
            "sent_at": self.time(now_wall_ms),
            "items": items,
        });
        Request {
            method: Method::POST,
            path: "/write-offs:batch".to_owned(),
            headers: Vec::new(),
            body: Some(Bytes::from(body.to_string())),
            timeout: DEFAULT_TIMEOUT,
            label: "POST /write-offs:batch",
        }
    }

    fn item(&self, job: &Job) -> Option<Value> {
        let Work::WriteOff { pass, occurred } = &job.work else { return None };
        let mut item = json!({
            "write_off_id": pass.id.to_string(),
            "seq": pass.number,
            "service_point_id": pass.service_point,
            "direction": match pass.direction { Direction::In => "in", Direction::Out => "out" },
            "medium": {"kind": pass.medium.kind, "value": pass.medium.value},
            "occurred_at": self.time(occurred.at_ms),
            "clock_quality": match occurred.quality {
                Quality::Exact => "synced",
                Quality::Corrected => "holdover",
                Quality::Bounded => "unsynced",
            },
            "decision": {"mode": "device", "outcome": "admitted", "code": "ok"},
            "passage": {"state": match pass.passage {
                PassageState::Passed => "passed",
                PassageState::NotPassed => "not_passed",
                PassageState::Unknown => "unknown",
            }},
            "claim": {"kind": "auto", "quantity": 1},
            // It has happened: Lime records and flags it, whatever the rules say.
            "force": true,
        });
        if let Some(raw) = &pass.medium.raw {
            item["medium"]["raw"] = json!(raw);
        }
        self.bounds(&mut item, occurred);
        if pass.test {
            item["test"] = json!(true);
        }
        Some(item)
    }

    fn bounds(&self, item: &mut Value, occurred: &Moment) {
        for (name, bound) in [("occurred_not_before", occurred.not_before_ms), ("occurred_not_after", occurred.not_after_ms)] {
            if let Some(ms) = bound {
                item[name] = json!(self.time(ms));
            }
        }
    }

    /// RFC 3339 with milliseconds and the venue's offset.
    fn time(&self, ms: i64) -> String {
        rfc3339(ms, &self.zone)
    }
}

/// RFC 3339 with milliseconds and the zone's offset.
pub(super) fn rfc3339(ms: i64, zone: &TimeZone) -> String {
    let at = jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    at.to_zoned(zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%.3f%:z").to_string()
}

impl Courier for LimeCourier {
    fn destination(&self) -> Destination {
        Destination::Lime
    }

    fn batch_limit(&self) -> usize {
        BATCH_LIMIT
    }

    /// Each item of a batch stands alone: the later of two may be applied and the earlier put off.
    fn per_key_limit(&self) -> usize {
        1
    }

    fn begin(&self, batch: Vec<Job>, _ledger: &dyn Ledger, now_wall_ms: i64) -> Box<dyn Conversation> {
        let request = self.request(&batch, now_wall_ms);
        Box::new(WriteOffs { jobs: batch, request: Some(request) })
    }
}

/// One batch: one call.
struct WriteOffs {
    jobs: Vec<Job>,
    request: Option<Request>,
}

impl Conversation for WriteOffs {
    fn next(&mut self, answer: Option<&Answer>) -> Step {
        match (self.request.take(), answer) {
            (Some(request), _) => Step::Call(Call { host: Host::Lime, request, effect: Effect::Repeatable }),
            (None, Some(answer)) => Step::Done { verdicts: judge(&self.jobs, answer), learned: Vec::new() },
            (None, None) => Step::Done { verdicts: all(&self.jobs, &again("lime/no_answer", None)), learned: Vec::new() },
        }
    }

    fn give_up(&mut self, why: NoAnswer) -> (Vec<(Seq, Verdict)>, Vec<Learned>) {
        let reason = match why {
            NoAnswer::NotSent => "lime/not_sent",
            NoAnswer::Unknown => "lime/unknown",
        };
        (all(&self.jobs, &again(reason, None)), Vec::new())
    }
}

fn again(reason: impl Into<String>, after: Option<Duration>) -> Verdict {
    Verdict::Retry { reason: reason.into(), after }
}

fn all(jobs: &[Job], verdict: &Verdict) -> Vec<(Seq, Verdict)> {
    jobs.iter().map(|job| (job.seq, verdict.clone())).collect()
}

/// What an answer means for each job.
fn judge(jobs: &[Job], answer: &Answer) -> Vec<(Seq, Verdict)> {
    let reply: wire::WriteOffReply = match document(answer) {
        Ok(reply) => reply,
        Err(problem) => return all(jobs, &whole(jobs, problem, answer)),
    };
    // An entry that cannot be read is as good as missing: its pass stays queued.
    let mut results: HashMap<Uuid, (wire::WriteOffResult, Value)> = HashMap::new();
    for entry in reply.results {
        let Ok(result) = serde_json::from_value::<wire::WriteOffResult>(entry.clone()) else { continue };
        if let Ok(id) = Uuid::parse_str(&result.write_off_id) {
            results.entry(id).or_insert((result, entry));
        }
    }
    let verdict = |job: &Job| match (results.remove(&job.key), &job.work) {
        (Some((result, entry)), Work::WriteOff { pass, occurred }) => item(job, pass, *occurred, result, &entry),
        _ => again("lime/no_result", None),
    };
    let mut verdict = verdict;
    jobs.iter().map(|job| (job.seq, verdict(job))).collect()
}

/// An answer that is about the batch and not about its items.
fn whole(jobs: &[Job], problem: ParseProblem, answer: &Answer) -> Verdict {
    match &problem {
        ParseProblem::Later { after, .. } => again(problem.code(), *after),
        // The request itself is at fault; with one item in it, that item is. A larger one is split to find it.
        ParseProblem::Refused { status: 400 | 413 | 422, .. } if jobs.len() == 1 => {
            Verdict::Dead { reason: format!("http/{}", answer.status.as_u16()), answer: String::from_utf8_lossy(&answer.body).into_owned() }
        }
        _ => again(problem.code(), None),
    }
}

fn item(job: &Job, pass: &Pass, occurred: Moment, result: wire::WriteOffResult, entry: &Value) -> Verdict {
    let code = result.code.as_deref().map_or_else(|| "ok".to_owned(), stable);
    let status = match result.status.as_str() {
        "duplicate" => result.original_status.as_deref().and_then(status).unwrap_or(WriteOffStatus::Applied),
        "rejected" => return Verdict::Dead { reason: format!("rejected/{code}"), answer: entry.to_string() },
        "retry" => return again("lime/retry", Some(result.retry_after_ms.map_or(ITEM_PAUSE, Duration::from_millis))),
        known => match status(known) {
            Some(status) => status,
            None => return again("lime/status_other", Some(UNKNOWN_STATUS_PAUSE)),
        },
    };
    Verdict::Confirmed(Confirmed::WriteOff(Box::new(WriteOff {
        pass_id: pass.id,
        pass_seq: job.seq,
        status,
        code,
        transaction_id: result.transaction_id.map(|id| short(&id.0)),
        client_id: result.client_id.map(|id| ClientId(short(&id.0))),
        right: result.right.map(|right| Right {
            id: short(&right.id.0),
            kind: right.kind.unwrap_or(RightKind::Other),
            balance_after: right.balance_after,
        }),
        charge: result.charge.map(charge),
        conflict_with: result.conflict_with.as_deref().and_then(|id| Uuid::parse_str(id).ok()),
        gate: pass.gate.clone(),
        service_point: pass.service_point.clone(),
        service_point_title: result.service_point_name.as_deref().map(short),
        direction: pass.direction,
        medium_masked: pass.medium.value.masked(4),
        occurred,
        received_ms: result.received_at.as_deref().and_then(millis),
        test: pass.test,
    })))
}

fn status(text: &str) -> Option<WriteOffStatus> {
    Some(match text {
        "applied" => WriteOffStatus::Applied,
        "applied_with_debt" => WriteOffStatus::AppliedWithDebt,
        "recorded" => WriteOffStatus::Recorded,
        "refused" => WriteOffStatus::Refused,
        _ => return None,
    })
}

fn charge(charge: wire::Charge) -> Charge {
    let currency = charge.currency.as_deref().map_or_else(|| super::parse::DEFAULT_CURRENCY.to_owned(), short);
    Charge {
        quantity: charge.quantity.unwrap_or(1),
        money: charge.amount.map(|minor| Money { minor, currency }),
        title: charge.title.as_deref().map(short),
    }
}

fn short(text: &str) -> String {
    text.chars().take(TEXT_KEPT).collect()
}
