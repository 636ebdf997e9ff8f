//! Three worlds, the faults in front of them and the log beside them: all that a sandbox is, without a socket.

use bytes::Bytes;
use http::{Request, Response};
use serde_json::{Value, json};

use crate::amocrm::Amo;
use crate::bitrix24::Bitrix;
use crate::faults::{self, CutAt, Down, Ending, Faults, Mode, Outcome, What};
use crate::host::Host;
use crate::lime::Lime;
use crate::log::Log;

/// A venue's Lime, amoCRM account and Bitrix24 portal.
///
/// Pure: whoever calls brings the clocks. `now_ms` is monotonic and drives limits, lags and late commits; `wall_ms` (milliseconds since 1970) is what the
/// services believe the time is.
#[derive(Debug)]
pub struct Site {
    /// Lime.
    pub lime: Lime,
    /// amoCRM.
    pub amocrm: Amo,
    /// Bitrix24.
    pub bitrix24: Bitrix,
    /// What goes wrong.
    pub faults: Faults,
    /// What was called.
    pub log: Log,
    late: Vec<Late>,
}

#[derive(Debug)]
struct Late {
    due_ms: u64,
    host: Host,
    request: Request<Bytes>,
}

impl Site {
    /// A fresh site; the same seed gives the same clients, cards and tickets.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            lime: Lime::new(seed),
            amocrm: Amo::new(seed),
            bitrix24: Bitrix::new(seed),
            faults: Faults::default(),
            log: Log::default(),
            late: Vec::new(),
        }
    }

    /// One exchange: what the caller sees, and whether it had an effect.
    pub fn call(&mut self, host: Host, now_ms: u64, wall_ms: i64, request: Request<Bytes>) -> Outcome {
        self.settle(now_ms, wall_ms);
        match self.faults.down(host, now_ms) {
            Some(Down::Refuse) => return Outcome { after_ms: 0, what: What::Refused, committed: false },
            Some(Down::BlackHole) => return Outcome { after_ms: 0, what: What::Hang, committed: false },
            None => {}
        }
        let mut call = self.log.begin(host, now_ms, &request);
        let verdict = self.faults.judge(host, now_ms, &request);
        self.set_index_lag(host, verdict.index_lag_ms);
        call.fault = verdict.mode.as_ref().map(Mode::name).or_else(|| (verdict.delay_ms > 0).then(|| "delay".to_owned()));
        let (what, committed) = self.exchange(host, now_ms, wall_ms, request, verdict.mode);
        call.committed = committed;
        call.status = match &what {
            What::Whole(response) | What::Cut { response, .. } => Some(response.status().as_u16()),
            What::Reset | What::Hang | What::Refused => None,
        };
        self.log.end(call);
        Outcome { after_ms: verdict.delay_ms, what, committed }
    }

    /// What a person does in a service: the cashier in Lime, a manager in a CRM. `POST /_sandbox/{service}/{action}` answers this.
    ///
    /// # Errors
    /// The action is not known, or its body does not fit: a sentence for people.
    pub fn act(&mut self, host: Host, action: &str, now_ms: u64, wall_ms: i64, body: &Value) -> Result<Value, String> {
        self.settle(now_ms, wall_ms);
        match host {
            Host::Lime => self.lime.act(action, wall_ms, body),
            Host::Amocrm => self.amocrm.act(action, now_ms, wall_ms, body),
            Host::Bitrix24 => self.bitrix24.act(action, now_ms, wall_ms, body),
        }
    }

    /// For how long a service would keep this request waiting while nothing happens (a long poll). [`Site::call`] never waits: who calls it in virtual time
    /// lets the time pass.
    #[must_use]
    pub fn held_ms(&self, host: Host, request: &Request<Bytes>) -> Option<u64> {
        if host == Host::Lime { self.lime.held_ms(request) } else { None }
    }

    /// Carries out the late commits that are due. [`Site::call`] does it first; call it before looking at the state.
    pub fn settle(&mut self, now_ms: u64, wall_ms: i64) {
        let (due, later) = std::mem::take(&mut self.late).into_iter().partition(|late| late.due_ms <= now_ms);
        self.late = later;
        let mut due: Vec<Late> = due;
        due.sort_by_key(|late| late.due_ms);
        for late in due {
            self.handle(late.host, now_ms, wall_ms, &late.request);
        }
    }

    /// When the next late commit is due, on the monotonic clock.
    #[must_use]
    pub fn next_late_ms(&self) -> Option<u64> {
        self.late.iter().map(|late| late.due_ms).min()
    }

    /// What one service holds, counted for the books. `GET /_sandbox/state` answers this.
    #[must_use]
    pub fn state(&self, host: Host) -> Value {
        let mut state = match host {
            Host::Lime => self.lime.state(),
            Host::Amocrm => self.amocrm.state(),
            Host::Bitrix24 => self.bitrix24.state(),
        };
        if let Value::Object(map) = &mut state {
            map.insert("calls".to_owned(), self.log.state(host));
            let waiting = self.late.iter().filter(|late| late.host == host).count();
            map.insert("late_commits_waiting".to_owned(), json!(waiting));
        }
        state
    }

    fn exchange(&mut self, host: Host, now_ms: u64, wall_ms: i64, request: Request<Bytes>, mode: Option<Mode>) -> (What, bool) {
        let Some(mode) = mode else { return (What::Whole(self.handle(host, now_ms, wall_ms, &request)), true) };
        if let Some((response, committed)) = faults::prepared(host, &mode, &request) {
            if committed {
                self.handle(host, now_ms, wall_ms, &request);
            }
            return (What::Whole(response), committed);
        }
        match mode {
            Mode::DropBeforeCommit => (What::Reset, false),
            Mode::Hang { committed: false } => (What::Hang, false),
            Mode::LateCommit { ms } => {
                self.late.push(Late { due_ms: now_ms.saturating_add(ms), host, request });
                (What::Reset, true)
            }
            Mode::MissingItems { count, committed } if host == Host::Lime => {
                (What::Whole(self.lime.handle_leaving_out(now_ms, wall_ms, &request, count, committed)), true)
            }
            Mode::RetryItems { count, retry_after_ms } if host == Host::Lime => {
                (What::Whole(self.lime.handle_putting_off(now_ms, wall_ms, &request, count, retry_after_ms)), true)
            }
            mode => {
                let response = self.handle(host, now_ms, wall_ms, &request);
                let what = match mode {
                    Mode::DropAfterCommit => What::Reset,
                    Mode::Hang { .. } => What::Hang,
                    Mode::ResetAt { byte } => What::Cut { response, at: CutAt::Byte(byte), ending: Ending::Reset },
                    Mode::HalfAnswer => What::Cut { response, at: CutAt::HalfTheBody, ending: Ending::Closed },
                    _ => What::Whole(response),
                };
                (what, true)
            }
        }
    }

    fn handle(&mut self, host: Host, now_ms: u64, wall_ms: i64, request: &Request<Bytes>) -> Response<Bytes> {
        match host {
            Host::Lime => self.lime.handle(now_ms, wall_ms, request),
            Host::Amocrm => self.amocrm.handle(now_ms, wall_ms, request),
            Host::Bitrix24 => self.bitrix24.handle(now_ms, wall_ms, request),
        }
    }

    fn set_index_lag(&mut self, host: Host, ms: u64) {
        match host {
            Host::Lime => {}
            Host::Amocrm => self.amocrm.set_index_lag(ms),
            Host::Bitrix24 => self.bitrix24.set_index_lag(ms),
        }
    }
}
