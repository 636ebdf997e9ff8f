//! A conversation written as one straight text: an async function that never waits for anything but the next answer.
//!
//! [`Script`] drives it by hand, without a runtime, a clock or a waker: each answer moves it to its next call. It stays as pure as a table of states,
//! and can be read from top to bottom.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::delivery::Call;
use crate::http::Answer;

#[derive(Debug, Default)]
struct Mailbox {
    call: Option<Call>,
    answer: Option<Answer>,
}

/// The script's end of the line.
#[derive(Clone, Debug, Default)]
pub struct Line(Arc<Mutex<Mailbox>>);

impl Line {
    /// Sends a call and waits for its answer.
    pub async fn call(&self, call: Call) -> Answer {
        self.mailbox().call = Some(call);
        std::future::poll_fn(|_| match self.mailbox().answer.take() {
            Some(answer) => Poll::Ready(answer),
            None => Poll::Pending,
        })
        .await
    }

    fn mailbox(&self) -> MutexGuard<'_, Mailbox> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A script and where it stands.
pub struct Script {
    line: Line,
    text: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Script {
    /// Begins. Nothing runs before the first `advance`.
    pub fn new<F: Future<Output = ()> + Send + 'static>(text: impl FnOnce(Line) -> F) -> Self {
        let line = Line::default();
        Self { text: Some(Box::pin(text(line.clone()))), line }
    }

    /// Hands in the answer to the last call; the next call, or `None` at the end.
    pub fn advance(&mut self, answer: Option<&Answer>) -> Option<Call> {
        self.line.mailbox().answer = answer.cloned();
        let text = self.text.as_mut()?;
        if text.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
            self.text = None;
            return None;
        }
        self.line.mailbox().call.take()
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, StatusCode};

    use super::*;
    use crate::delivery::{Effect, Host};
    use crate::http::Request;

    fn call(path: &str) -> Call {
        Call { host: Host::Crm, request: Request::get(path, "GET"), effect: Effect::Repeatable }
    }

    #[test]
    fn a_script_goes_from_call_to_call_by_its_answers_and_ends() {
        let mut script = Script::new(|line| async move {
            let first = line.call(call("/a")).await;
            line.call(call(std::str::from_utf8(&first.body).unwrap())).await;
        });
        let answer = Answer { status: StatusCode::OK, headers: HeaderMap::new(), body: "/b".into() };
        assert_eq!(script.advance(None).map(|c| c.request.path).as_deref(), Some("/a"));
        assert_eq!(script.advance(Some(&answer)).map(|c| c.request.path).as_deref(), Some("/b"));
        assert!(script.advance(Some(&answer)).is_none());
        assert!(script.advance(Some(&answer)).is_none(), "an ended script stays ended");
    }
}
