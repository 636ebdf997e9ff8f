//! The bounded queue before the writer's thread: appends that arrive while it writes are taken together.

use std::sync::{Condvar, Mutex, PoisonError};

use tokio::sync::{Semaphore, oneshot};

use super::store::{AppendError, Appended};
use super::writer::{Append, Payload};

/// Appends that may wait; who comes then waits at the door.
const MOST_WAITING: usize = 1024;

/// An append and whom to tell.
pub(super) struct Waiting {
    pub append: Append,
    pub tell: oneshot::Sender<Result<Appended, AppendError>>,
}

#[derive(Default)]
struct Inner {
    waiting: Vec<Waiting>,
    asleep: bool,
    closed: bool,
}

/// The queue.
pub(super) struct Queue {
    inner: Mutex<Inner>,
    came: Condvar,
    places: Semaphore,
}

impl Queue {
    pub fn new() -> Self {
        Self { inner: Mutex::default(), came: Condvar::new(), places: Semaphore::new(MOST_WAITING) }
    }

    /// Puts an append in, and waits until it is on disk or refused.
    pub async fn append(&self, payload: Payload) -> Result<Appended, AppendError> {
        let Ok(_place) = self.places.acquire().await else { return Err(AppendError::Closed) };
        let (tell, told) = oneshot::channel();
        if !self.push(Waiting { append: Append::new(payload), tell }) {
            return Err(AppendError::Closed);
        }
        told.await.unwrap_or(Err(AppendError::Closed))
    }

    fn push(&self, waiting: Waiting) -> bool {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.closed {
            return false;
        }
        inner.waiting.push(waiting);
        if std::mem::take(&mut inner.asleep) {
            self.came.notify_one();
        }
        true
    }

    /// Everything that waits; `None` when the queue is closed and empty.
    pub fn take(&self) -> Option<Vec<Waiting>> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        while inner.waiting.is_empty() {
            if inner.closed {
                return None;
            }
            inner.asleep = true;
            inner = self.came.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
        Some(std::mem::take(&mut inner.waiting))
    }

    /// Takes no more; what waits is still written.
    pub fn close(&self) {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        self.places.close();
        self.came.notify_all();
    }
}
