//! One remote: its endpoint, pace, breaker and health, shared by all who talk to it.
//!
//! Whoever wants to send asks for a turn first. Fresh jobs and the backlog stand in two queues, and while both wait they go in turns, so that fresh ones
//! get half of the tokens. Never: a request without a turn; a second place that counts tokens.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Notify, mpsc};

use crate::clock::SharedClock;
use crate::http::{Answer, Endpoint, Exchange, Failure, RenewError, Request, Standing};
use crate::status::Link;

use super::breaker::{Breaker, Passage};
use super::pace::{Limit, Pace};

/// A refusal of our authorisation is looked at again after this long.
const REFUSED_PAUSE: Duration = Duration::from_secs(60);

/// An answer may ask for silence, but not for ever.
const LONGEST_PAUSE: Duration = Duration::from_secs(3_600);

/// How often one request goes again after "limit reached" before its jobs wait their turn anew.
pub(super) const LIMITED_TRIES: usize = 5;

/// Whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Lane {
    /// What has just happened.
    Fresh,
    /// What waited for long.
    Backlog,
    /// A guest stands at a gate: before all others.
    Door,
}

/// How an exchange ended, for delivery.
#[derive(Clone, Debug)]
pub enum Reply {
    /// A complete answer.
    Answered(Answer),
    /// Certainly not sent.
    NotSent,
    /// Possibly sent; no complete answer.
    Unknown,
    /// Our authorisation is refused, and nothing was done there.
    Refused,
    /// A limit is reached and nothing was done; the remote is silent for as long as it was asked to be. Not a failure.
    Limited,
}

/// Says whether an answer is about a limit, and how long to be silent.
pub type Limited<'a> = &'a (dyn Fn(&Answer) -> Option<Option<Duration>> + Sync);

/// What every remote means by 429.
pub fn too_many_requests(answer: &Answer) -> Option<Option<Duration>> {
    (answer.status == http::StatusCode::TOO_MANY_REQUESTS).then(|| answer.retry_after())
}

/// A remote in numbers and words, for status.
#[derive(Clone, Debug, Default)]
pub struct Health {
    /// Whether it answers.
    pub link: Link,
    /// Stable code of the trouble: `not_sent`, `unknown`, `http/503`, `auth`.
    pub error: Option<String>,
    /// The trouble in one line.
    pub error_text: Option<String>,
    /// Boot time since when it is down.
    pub down_since_boot_ms: Option<u64>,
    /// Boot time of the last good answer.
    pub last_success_boot_ms: Option<u64>,
    /// Failures in a row.
    pub failures: u32,
    /// What could be sent at once.
    pub tokens: f64,
    /// Requests sent since the start.
    pub requests: u64,
    /// When it is tried again.
    pub next_attempt_boot_ms: Option<u64>,
}

/// A remote with its own address, authorisation, pace and breaker. Hand out as `Arc<Remote>`: both destinations may talk to one host.
pub struct Remote {
    endpoint: Endpoint,
    clock: SharedClock,
    inner: Mutex<Inner>,
    turned: Notify,
}

struct Inner {
    pace: Pace,
    breaker: Breaker,
    chance: fastrand::Rng,
    queues: [VecDeque<u64>; 3],
    next_ticket: u64,
    last: Lane,
    limited_in_a_row: u32,
    health: Health,
}

/// Leave to send one request.
pub struct Turn<'a> {
    remote: &'a Remote,
    used: bool,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if !self.used {
            let now = self.remote.clock.boot_ms();
            self.remote.inner().breaker.abandon(now);
        }
    }
}

/// A place in a queue, given up when its owner goes away.
struct Ticket<'a> {
    remote: &'a Remote,
    lane: Lane,
    number: u64,
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.remote.inner().queues[index(self.lane)].retain(|number| *number != self.number);
        self.remote.turned.notify_waiters();
    }
}

impl Remote {
    /// A remote that has not been tried yet. `chance` spreads the waits.
    #[must_use]
    pub fn new(endpoint: Endpoint, limit: Limit, backoff: (Duration, Duration), clock: SharedClock, chance: fastrand::Rng) -> Self {
        let pace = Pace::new(limit, clock.boot_ms());
        let inner = Inner {
            pace,
            breaker: Breaker::new(backoff.0, backoff.1),
            chance,
            queues: [VecDeque::new(), VecDeque::new(), VecDeque::new()],
            next_ticket: 0,
            last: Lane::Backlog,
            limited_in_a_row: 0,
            health: Health::default(),
        };
        Self { endpoint, clock, inner: Mutex::new(inner), turned: Notify::new() }
    }

    /// Waits for leave to send one request.
    ///
    /// # Errors
    /// The boot time from which it is worth asking again, when the remote rests after failures.
    pub async fn turn(&self, lane: Lane) -> Result<Turn<'_>, u64> {
        let ticket = self.queue_up(lane);
        loop {
            // Before looking, so that no change between the look and the wait is missed.
            let turned = self.turned.notified();
            let wait = {
                let now = self.clock.boot_ms();
                let mut inner = self.inner();
                if let Some(until) = inner.breaker.rests_until(now) {
                    return Err(until);
                }
                if inner.next_in_line() != Some((lane, ticket.number)) {
                    None
                } else {
                    match inner.pace.take(now) {
                        Err(wait) => Some(wait),
                        Ok(()) => match inner.breaker.passage(now) {
                            Passage::Closed(until) => return Err(until),
                            Passage::Open | Passage::Probe => {
                                // A guest's question takes no one's turn.
                                if lane != Lane::Door {
                                    inner.last = lane;
                                }
                                drop(inner);
                                return Ok(Turn { remote: self, used: false });
                            }
                        },
                    }
                }
            };
            match wait {
                Some(ms) => tokio::select! {
                    () = tokio::time::sleep(Duration::from_millis(ms)) => {}
                    () = turned => {}
                },
                None => turned.await,
            }
        }
    }

    /// Sends the request that the turn is for, once; renews the authorisation and sends it once more when it has expired.
    pub async fn exchange(&self, mut turn: Turn<'_>, request: Request, lane: Lane, limited: Limited<'_>) -> Reply {
        turn.used = true;
        let again = request.clone();
        let first = self.send(request, limited).await;
        let Reply::Answered(answer) = &first else { return first };
        match self.endpoint.standing(answer) {
            Standing::Good => return first,
            Standing::Refused => return self.refused("the authorisation is refused"),
            Standing::Expired => {}
        }
        match self.endpoint.renew().await {
            Ok(()) => {}
            Err(RenewError::Person(why)) => return self.refused(&why),
            Err(RenewError::Later(why)) => {
                self.failed("auth_renewal", &why);
                return Reply::NotSent;
            }
        }
        let Ok(mut turn) = self.turn(lane).await else { return Reply::NotSent };
        turn.used = true;
        let second = self.send(again, limited).await;
        match &second {
            Reply::Answered(answer) if self.endpoint.standing(answer) != Standing::Good => self.refused("the renewed authorisation is refused, too"),
            _ => second,
        }
    }

    /// A turn and an exchange, waiting out limits: for commands such as `crm setup`, which have no conversation.
    ///
    /// # Errors
    /// When no answer can be had, or the authorisation is refused.
    pub async fn ask(&self, request: Request) -> Result<Answer, Failure> {
        self.ask_in(Lane::Fresh, request, &too_many_requests).await
    }

    /// The same in a lane of one's choice, and where a limit is told in another way than by 429.
    ///
    /// # Errors
    /// When no answer can be had, or the authorisation is refused.
    pub async fn ask_in(&self, lane: Lane, request: Request, limited: Limited<'_>) -> Result<Answer, Failure> {
        let label = request.label;
        for _ in 0..LIMITED_TRIES {
            let turn = self.turn(lane).await.map_err(|_| Failure::NotSent(self.last_error(label)))?;
            match self.exchange(turn, request.clone(), lane, limited).await {
                Reply::Answered(answer) => return Ok(answer),
                Reply::NotSent => return Err(Failure::NotSent(self.last_error(label))),
                Reply::Unknown => return Err(Failure::Unknown(self.last_error(label))),
                Reply::Refused => return Err(Failure::NotSent(format!("{label}: the authorisation is refused"))),
                Reply::Limited => {}
            }
        }
        Err(Failure::NotSent(format!("{label}: the limit stays reached")))
    }

    /// A turn in the backlog's queue and an exchange whose answer of status 200 goes to `body` as it comes. Once: who asks again knows when.
    ///
    /// # Errors
    /// When no answer can be had, or the authorisation is refused.
    pub async fn stream(&self, request: Request, body: mpsc::Sender<Bytes>) -> Result<Answer, Failure> {
        let label = request.label;
        let mut turn = self.turn(Lane::Backlog).await.map_err(|_| Failure::NotSent(self.last_error(label)))?;
        turn.used = true;
        self.inner().health.requests += 1;
        let exchange = self.endpoint.stream(request, body).await;
        match self.judged(label, exchange, &too_many_requests) {
            Reply::Answered(answer) if self.endpoint.standing(&answer) != Standing::Good => {
                self.refused("the authorisation is refused");
                Err(Failure::NotSent(format!("{label}: the authorisation is refused")))
            }
            Reply::Answered(answer) => Ok(answer),
            Reply::Unknown => Err(Failure::Unknown(self.last_error(label))),
            Reply::NotSent | Reply::Refused => Err(Failure::NotSent(self.last_error(label))),
            Reply::Limited => Err(Failure::NotSent(format!("{label}: the limit is reached"))),
        }
    }

    /// When it is worth beginning something: `None` is now.
    #[must_use]
    pub fn rests_until(&self) -> Option<u64> {
        let now = self.clock.boot_ms();
        let inner = self.inner();
        inner.breaker.rests_until(now).max(inner.pace.paused_until(now))
    }

    /// It has failed several times in a row: one request at a time is enough to find out.
    #[must_use]
    pub fn failing(&self) -> bool {
        self.inner().breaker.failing()
    }

    /// When to try again after what has just failed.
    #[must_use]
    pub fn retry_at(&self) -> u64 {
        let now = self.clock.boot_ms();
        let inner = self.inner();
        inner.breaker.rests_until(now).or(inner.health.next_attempt_boot_ms).unwrap_or(now).max(now + 1)
    }

    /// How it is.
    #[must_use]
    pub fn health(&self) -> Health {
        let now = self.clock.boot_ms();
        let mut inner = self.inner();
        let tokens = inner.pace.tokens(now);
        let mut health = inner.health.clone();
        health.tokens = (tokens * 10.0).floor() / 10.0;
        health.failures = inner.breaker.failures();
        health.next_attempt_boot_ms = inner.breaker.rests_until(now).or(inner.pace.paused_until(now));
        health
    }

    async fn send(&self, request: Request, limited: Limited<'_>) -> Reply {
        let label = request.label;
        self.inner().health.requests += 1;
        let exchange = self.endpoint.exchange(request).await;
        self.judged(label, exchange, limited)
    }

    fn judged(&self, label: &'static str, exchange: Exchange, limited: Limited<'_>) -> Reply {
        if let Ok(answer) = &exchange
            && let Some(pause) = limited(answer)
        {
            self.silent_for(pause);
            return Reply::Limited;
        }
        match exchange {
            Ok(answer) if answer.status.is_server_error() => {
                self.failed(&format!("http/{}", answer.status.as_u16()), &format!("{label}: the answer is {}", answer.status));
                Reply::Answered(answer)
            }
            Ok(answer) => {
                if self.endpoint.standing(&answer) == Standing::Good {
                    self.succeeded();
                }
                Reply::Answered(answer)
            }
            Err(Failure::NotSent(why)) => {
                self.failed("not_sent", &why);
                Reply::NotSent
            }
            Err(Failure::Unknown(why)) => {
                self.failed("unknown", &why);
                Reply::Unknown
            }
        }
    }

    /// As long as the answer said, else longer each time that it says so again. The remote works: whoever probed it has found out.
    fn silent_for(&self, pause: Option<Duration>) {
        let now = self.clock.boot_ms();
        let mut inner = self.inner();
        let growing = Duration::from_secs(1 << inner.limited_in_a_row.min(6));
        inner.limited_in_a_row = inner.limited_in_a_row.saturating_add(1);
        inner.pace.pause(now, pause.unwrap_or(growing).min(LONGEST_PAUSE));
        inner.breaker.success(now);
        drop(inner);
        self.turned.notify_waiters();
    }

    fn succeeded(&self) {
        let now = self.clock.boot_ms();
        let mut inner = self.inner();
        inner.limited_in_a_row = 0;
        inner.breaker.success(now);
        let requests = inner.health.requests;
        inner.health = Health { link: Link::Up, last_success_boot_ms: Some(now), requests, ..Health::default() };
        drop(inner);
        self.turned.notify_waiters();
    }

    fn failed(&self, code: &str, text: &str) {
        let now = self.clock.boot_ms();
        let mut inner = self.inner();
        let Inner { breaker, chance, health, .. } = &mut *inner;
        health.next_attempt_boot_ms = Some(breaker.failure(now, chance));
        health.trouble(now, code, text);
        drop(inner);
        self.turned.notify_waiters();
    }

    fn refused(&self, text: &str) -> Reply {
        let now = self.clock.boot_ms();
        let mut inner = self.inner();
        inner.health.next_attempt_boot_ms = Some(inner.breaker.rest(now, REFUSED_PAUSE));
        inner.health.trouble(now, "auth", text);
        drop(inner);
        self.turned.notify_waiters();
        Reply::Refused
    }

    fn last_error(&self, label: &str) -> String {
        self.inner().health.error_text.clone().unwrap_or_else(|| format!("{label}: no answer"))
    }

    fn queue_up(&self, lane: Lane) -> Ticket<'_> {
        let mut inner = self.inner();
        let number = inner.next_ticket;
        inner.next_ticket += 1;
        inner.queues[index(lane)].push_back(number);
        drop(inner);
        Ticket { remote: self, lane, number }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// In turns while both wait, else whoever does.
    fn next_in_line(&self) -> Option<(Lane, u64)> {
        let head = |lane: Lane| self.queues[index(lane)].front().map(|number| (lane, *number));
        if let Some(door) = head(Lane::Door) {
            return Some(door);
        }
        match self.last {
            Lane::Fresh => head(Lane::Backlog).or_else(|| head(Lane::Fresh)),
            Lane::Backlog | Lane::Door => head(Lane::Fresh).or_else(|| head(Lane::Backlog)),
        }
    }
}

impl Health {
    fn trouble(&mut self, now_ms: u64, code: &str, text: &str) {
        self.link = Link::Down;
        self.error = Some(code.to_owned());
        self.error_text = Some(text.to_owned());
        self.down_since_boot_ms.get_or_insert(now_ms);
    }
}

fn index(lane: Lane) -> usize {
    match lane {
        Lane::Fresh => 0,
        Lane::Backlog => 1,
        Lane::Door => 2,
    }
}
