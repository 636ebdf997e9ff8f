//! What doors order of a reader, on its way to the task of the line.

use tokio::sync::{mpsc, oneshot};

use crate::clock::SharedClock;
use crate::device::{Actuator, NotOpened, Open, Ordered, Told, Voice};

/// How a door's order ended.
pub(super) type Answer = oneshot::Sender<Result<(), NotOpened>>;

/// For the task of a line. Readers are counted from 0.
pub(super) enum Ask {
    Open { reader: usize, order: Open, answer: Answer },
    Close { reader: usize, answer: Answer },
    Tell { reader: usize, told: Told },
}

/// Opens and speaks at one reader.
pub(super) struct Hand {
    reader: usize,
    line: mpsc::Sender<Ask>,
    clock: SharedClock,
}

impl Hand {
    pub(super) fn new(reader: usize, line: mpsc::Sender<Ask>, clock: SharedClock) -> Self {
        Self { reader, line, clock }
    }

    async fn ask(&self, ask: Ask, answered: oneshot::Receiver<Result<(), NotOpened>>) -> Result<(), NotOpened> {
        if self.line.send(ask).await.is_err() {
            return Err(NotOpened::NotSent("the reader's line has ended".to_owned()));
        }
        answered.await.unwrap_or_else(|_| Err(NotOpened::Unknown("the reader's line ended while the order was under way".to_owned())))
    }
}

impl Actuator for Hand {
    fn open(&self, order: Open) -> Ordered<'_> {
        Box::pin(async move {
            if order.expires_boot_ms <= self.clock.boot_ms() {
                return Err(NotOpened::Expired);
            }
            let (answer, answered) = oneshot::channel();
            self.ask(Ask::Open { reader: self.reader, order, answer }, answered).await
        })
    }

    fn close(&self) -> Ordered<'_> {
        Box::pin(async move {
            let (answer, answered) = oneshot::channel();
            self.ask(Ask::Close { reader: self.reader, answer }, answered).await
        })
    }
}

impl Voice for Hand {
    fn tell(&self, told: &Told) {
        // A line that is behind with its orders leaves this one out: a light that comes late says the wrong thing.
        let _ = self.line.try_send(Ask::Tell { reader: self.reader, told: told.clone() });
    }
}
