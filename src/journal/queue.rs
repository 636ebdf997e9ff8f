//! The bounded queue before the writer's thread: appends that arrive while it writes are taken together.
//!
//! Of a crowd whose appends were just answered most come back at once. Taking the first of them alone would spend a whole sync on it, so half of the crowd
//! is given a moment to come; the other half comes while the disk is busy with the first, and the disk has no rest. Who appends alone never waits for
//! anybody.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};

use super::store::{AppendError, Appended};
use super::writer::{Append, Payload};

/// Appends that may wait; who comes then waits at the door.
const MOST_WAITING: usize = 1024;

/// So many appends in one commit are a crowd.
const CROWD: usize = 8;
/// Half of a crowd is given this long to come back: less than the quickest disk takes for a sync.
const MOMENT: Duration = Duration::from_micros(100);

/// An append and whom to tell.
pub(super) struct Waiting {
    pub append: Append,
    pub tell: oneshot::Sender<Result<Appended, AppendError>>,
}

#[derive(Default)]
struct Inner {
    waiting: Vec<Waiting>,
    /// The writer sleeps until so many wait; 0 while it is awake.
    wakes_at: usize,
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
        if inner.wakes_at > 0 && inner.waiting.len() >= inner.wakes_at {
            inner.wakes_at = 0;
            self.came.notify_one();
        }
        true
    }

    /// Everything that waits; `None` when the queue is closed and empty. `answered` is how many appends were answered just now.
    pub fn take(&self, answered: usize) -> Option<Vec<Waiting>> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if answered >= CROWD {
            inner.wakes_at = ((inner.waiting.len() + answered).min(MOST_WAITING) / 2).max(1);
            let incomplete = |inner: &mut Inner| inner.waiting.len() < inner.wakes_at && !inner.closed;
            inner = self.came.wait_timeout_while(inner, MOMENT, incomplete).unwrap_or_else(PoisonError::into_inner).0;
        }
        while inner.waiting.is_empty() && !inner.closed {
            inner.wakes_at = 1;
            inner = self.came.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
        inner.wakes_at = 0;
        let waiting = std::mem::take(&mut inner.waiting);
        (!waiting.is_empty()).then_some(waiting)
    }

    /// Takes no more; what waits is still written.
    pub fn close(&self) {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        self.places.close();
        self.came.notify_all();
    }
}
