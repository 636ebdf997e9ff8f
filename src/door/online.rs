//! Asks Lime while the guest waits.
//!
//! The question goes out on the one client of Lime, before whatever else wants to be sent, and runs on when the guest's time is over: what Lime says then is
//! handed over late. Where Lime is known to be away, nothing is sent and nobody waits.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::tz::TimeZone;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::delivery::{Lane, Remote, Reply, too_many_requests};
use crate::domain::Pass;
use crate::http::{BoxFuture, Request};
use crate::lime::ParseProblem;
use crate::lime::authorize::{self, Authorized};

use super::authority::{Answer, Authority, Commit};

/// A late answer is waited for so long.
const LATE: Duration = Duration::from_secs(15);

/// Lime as the authority.
pub struct Online {
    remote: Arc<Remote>,
    zone: TimeZone,
    /// Questions under way; they end with this value.
    asking: Mutex<JoinSet<()>>,
}

impl std::fmt::Debug for Online {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Online")
    }
}

/// How a question ended.
enum Ended {
    Answered(Authorized),
    /// Nothing of it has had an effect at Lime.
    NotTaken,
    /// It may have.
    Unknown,
}

impl Online {
    /// Asks this remote; times are written in the venue's zone.
    #[must_use]
    pub fn new(remote: Arc<Remote>, zone: TimeZone) -> Self {
        Self { remote, zone, asking: Mutex::new(JoinSet::new()) }
    }

    /// The question, on its way whether it is waited for or not.
    fn begin(&self, request: Request) -> oneshot::Receiver<Ended> {
        let (ended, receiver) = oneshot::channel();
        let remote = Arc::clone(&self.remote);
        let mut asking = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        while asking.try_join_next().is_some() {}
        asking.spawn(async move {
            // Nobody to tell: the gateway is stopping.
            let _ = ended.send(exchange(&remote, request).await);
        });
        receiver
    }

    /// What comes after the guest's time.
    fn later(&self, question: oneshot::Receiver<Ended>) -> oneshot::Receiver<Answer> {
        let (late, receiver) = oneshot::channel();
        self.asking.lock().unwrap_or_else(PoisonError::into_inner).spawn(async move {
            if let Ok(Ended::Answered(authorized)) = question.await {
                let _ = late.send(said(authorized));
            }
        });
        receiver
    }
}

impl Authority for Online {
    fn ask<'a>(&'a self, pass: &'a Pass, commit: Commit, budget: Duration) -> BoxFuture<'a, Answer> {
        let mut request = authorize::request(pass, commit.as_str(), &self.zone);
        request.timeout = budget.saturating_add(LATE);
        Box::pin(async move {
            let mut question = self.begin(request);
            match tokio::time::timeout(budget, &mut question).await {
                Ok(Ok(Ended::Answered(authorized))) => said(authorized),
                Ok(Ok(Ended::NotTaken)) => Answer::NoAnswer { sent: false, late: None },
                Ok(Ok(Ended::Unknown) | Err(_)) => Answer::NoAnswer { sent: true, late: None },
                Err(_) => Answer::NoAnswer { sent: true, late: Some(self.later(question)) },
            }
        })
    }
}

async fn exchange(remote: &Remote, request: Request) -> Ended {
    let label = request.label;
    let Ok(turn) = remote.turn(Lane::Door).await else { return Ended::NotTaken };
    match remote.exchange(turn, request, Lane::Door, &too_many_requests).await {
        Reply::NotSent | Reply::Refused | Reply::Limited => Ended::NotTaken,
        Reply::Unknown => Ended::Unknown,
        Reply::Answered(answer) => match authorize::answer(&answer) {
            Ok(authorized) => Ended::Answered(authorized),
            Err(problem) => {
                tracing::warn!(%problem, "{label} has no answer that says yes or no");
                match problem {
                    // Lime's own word, that it did nothing: the service point is unknown, the call is not offered, the question is at fault.
                    ParseProblem::NotFound | ParseProblem::Refused { .. } => Ended::NotTaken,
                    ParseProblem::Later { .. } | ParseProblem::Unreadable(_) => Ended::Unknown,
                }
            }
        },
    }
}

fn said(authorized: Authorized) -> Answer {
    let Authorized { decision, lines, open_ms } = authorized;
    if decision.admitted { Answer::Granted { decision, lines, open_ms } } else { Answer::Refused { decision, lines } }
}
