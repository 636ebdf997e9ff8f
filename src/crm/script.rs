//! A dialogue written as one straight `async` function: each `ask` hands a question out and goes on when its answer comes in.
//!
//! Nothing here runs by itself: whoever holds the [`Script`] polls it by answering it. No runtime, no waker, no I/O; so the dialogue stays as pure as a
//! hand-written state machine and is tested in the same way, by answering it. Never: an await on anything but [`Line::ask`].

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::delivery::{Call, Conversation, NoAnswer, Step, Verdict};
use crate::domain::Seq;
use crate::http::{Answer, Request};
use crate::journal::Learned;

use super::setup::{Ask, Dialogue, Plan, SetupError};

/// What lies between the dialogue and the one who answers it.
#[derive(Debug)]
enum Slot<Q, A> {
    /// Nothing asked, nothing answered.
    Empty,
    /// Asked.
    Question(Q),
    /// Answered.
    Reply(A),
}

/// The dialogue's end of the line.
#[derive(Debug)]
pub struct Line<Q, A> {
    slot: Arc<Mutex<Slot<Q, A>>>,
}

impl<Q, A> Line<Q, A> {
    /// Asks, and waits for the answer.
    pub async fn ask(&self, question: Q) -> A {
        let mut question = Some(question);
        std::future::poll_fn(move |_| {
            let mut slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
            match (question.take(), std::mem::replace(&mut *slot, Slot::Empty)) {
                (Some(question), _) => {
                    *slot = Slot::Question(question);
                    Poll::Pending
                }
                (None, Slot::Reply(answer)) => Poll::Ready(answer),
                (None, other) => {
                    *slot = other;
                    Poll::Pending
                }
            }
        })
        .await
    }
}

/// A dialogue in progress.
pub struct Script<Q, A, O> {
    slot: Arc<Mutex<Slot<Q, A>>>,
    /// `None` once it has ended.
    future: Option<Pin<Box<dyn Future<Output = O> + Send>>>,
}

impl<Q, A, O> Script<Q, A, O> {
    /// Begins a dialogue; nothing of it runs before the first step.
    pub fn new<F, Fut>(dialogue: F) -> Self
    where
        F: FnOnce(Line<Q, A>) -> Fut,
        Fut: Future<Output = O> + Send + 'static,
    {
        let slot = Arc::new(Mutex::new(Slot::Empty));
        let future = Box::pin(dialogue(Line { slot: Arc::clone(&slot) }));
        Self { slot, future: Some(future) }
    }

    /// Goes on with an answer to the next question, or to the end. `Err(None)`: there is no next question, for the dialogue has ended before or was not
    /// answered.
    pub(super) fn step(&mut self, reply: Option<A>) -> Result<O, Option<Q>> {
        if let Some(reply) = reply {
            *self.slot.lock().unwrap_or_else(PoisonError::into_inner) = Slot::Reply(reply);
        }
        let Some(future) = self.future.as_mut() else {
            return Err(None);
        };
        match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(end) => {
                self.future = None;
                Ok(end)
            }
            Poll::Pending => match std::mem::replace(&mut *self.slot.lock().unwrap_or_else(PoisonError::into_inner), Slot::Empty) {
                Slot::Question(question) => Err(Some(question)),
                Slot::Empty | Slot::Reply(_) => Err(None),
            },
        }
    }
}

/// How a conversation about a batch ends.
pub type Ending = (Vec<(Seq, Verdict)>, Vec<Learned>);

/// A conversation with a CRM as a script. A question that got no answer is told to the script, which must then end without asking again.
pub type Talk = Script<Call, Result<Answer, NoAnswer>, Ending>;

impl Conversation for Talk {
    fn next(&mut self, answer: Option<&Answer>) -> Step {
        match self.step(answer.cloned().map(Ok)) {
            Ok((verdicts, learned)) => Step::Done { verdicts, learned },
            Err(Some(call)) => Step::Call(call),
            Err(None) => Step::Done { verdicts: Vec::new(), learned: Vec::new() },
        }
    }

    fn give_up(&mut self, why: NoAnswer) -> Ending {
        self.step(Some(Err(why))).unwrap_or_default()
    }
}

/// A setup as a script.
pub type Errand = Script<Request, Answer, Result<Plan, SetupError>>;

impl<T> Dialogue<T> for Script<Request, Answer, Result<T, SetupError>> {
    fn next(&mut self, answer: Option<&Answer>) -> Ask<T> {
        match self.step(answer.cloned()) {
            Ok(Ok(done)) => Ask::Done(done),
            Ok(Err(error)) => Ask::Failed(error),
            Err(Some(request)) => Ask::Call(request),
            Err(None) => Ask::Failed(SetupError::Unreadable { request: "a dialogue", what: "an answer" }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dialogue_is_asked_and_answered_in_order() {
        let mut script: Script<&str, u32, u32> = Script::new(|line| async move { line.ask("one").await * 10 + line.ask("two").await });
        assert_eq!(script.step(None), Err(Some("one")));
        assert_eq!(script.step(Some(4)), Err(Some("two")));
        assert_eq!(script.step(Some(2)), Ok(42));
        assert_eq!(script.step(Some(9)), Err(None), "an ended dialogue stays ended");
    }

    #[test]
    fn a_step_without_an_answer_asks_nothing_twice() {
        let mut script: Script<&str, u32, u32> = Script::new(|line| async move { line.ask("one").await });
        assert_eq!(script.step(None), Err(Some("one")));
        assert_eq!(script.step(None), Err(None));
        assert_eq!(script.step(Some(7)), Ok(7));
    }
}
