//! A door from outside: what it is given, the way to it, and what a person is told.

use std::sync::{Arc, Mutex};

use tokio::sync::{broadcast, mpsc, oneshot, watch};

use super::super::recent::Recent;
use super::super::{Authority, Entitlements};
use super::Runner;
use crate::clock::SharedClock;
use crate::config::{DoorConfig, Gate, Language};
use crate::device::{Actuator, Signalled, Voice};
use crate::domain::GateId;
use crate::journal::Store;
use crate::source::{Reading, Refused, Taken};
use crate::status::Hub;
use crate::tap::Event as Tap;

/// Readings and signals that may wait for the door's task.
const INBOX: usize = 64;

/// What the doors of a box share.
#[derive(Clone)]
pub struct Shared {
    /// The journal.
    pub store: Arc<dyn Store>,
    /// The clock.
    pub clock: SharedClock,
    /// Status.
    pub hub: Arc<Hub>,
    /// The tap.
    pub tap: broadcast::Sender<Tap>,
    /// Lime, while the guest waits.
    pub authority: Arc<dyn Authority>,
    /// The entitlement snapshot.
    pub entitlements: Arc<dyn Entitlements>,
    /// Held from the question to the snapshot until its answer counts as used: one ticket is not found twice.
    pub asking: Arc<Mutex<()>>,
    /// Language of what guests are told.
    pub language: Language,
    /// True: end.
    pub stop: watch::Receiver<bool>,
}

/// One door.
pub struct Parts {
    /// Its readers; the first names the door.
    pub gates: Vec<Gate>,
    /// What its gates say.
    pub config: DoorConfig,
    /// What opens it.
    pub actuator: Arc<dyn Actuator>,
    /// What tells the guests, by gate.
    pub voices: Vec<(GateId, Arc<dyn Voice>)>,
    /// Who went in lately; shared by the doors of a service point.
    pub recent: Arc<Mutex<Recent>>,
}

/// Why a person's order was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandError {
    /// A guest is in the way.
    #[error("a guest is in the way; try again in a moment")]
    Busy,
    /// It is open for everybody already.
    #[error("the gate is free: it is open already")]
    Free,
    /// The order could not be written down, so it was not given.
    #[error("the journal does not take the order, so the gate stays shut; see limegate status")]
    NotStored,
    /// The device did not open, or nobody can tell.
    #[error("the gate does not open; see limegate status")]
    NotOpened,
    /// The device did not acknowledge.
    #[error("the order was given and not acknowledged: look whether the gate is open")]
    Unknown,
    /// The gateway is stopping.
    #[error("the gateway is stopping")]
    Stopping,
}

pub(super) enum Inbox {
    Read(Reading, oneshot::Sender<Result<Taken, Refused>>),
    Signal(Signalled),
    Hand { who: String, reason: String, tell: oneshot::Sender<Result<(), HandError>> },
}

/// The way to a door.
#[derive(Clone)]
pub struct Door {
    inbox: mpsc::Sender<Inbox>,
}

impl Door {
    /// The way to a door, and the place where it will be: readers need the one before there are devices for the other.
    #[must_use]
    pub fn seat() -> (Self, Seat) {
        let (inbox, waiting) = mpsc::channel(INBOX);
        (Self { inbox }, Seat { waiting })
    }

    /// A medium was read. Returns when it is on disk.
    ///
    /// # Errors
    /// When it is not.
    pub async fn read(&self, reading: Reading) -> Result<Taken, Refused> {
        let (tell, told) = oneshot::channel();
        self.inbox.send(Inbox::Read(reading, tell)).await.map_err(|_| Refused::Stopping)?;
        told.await.unwrap_or(Err(Refused::Stopping))
    }

    /// A device has seen something.
    pub async fn signal(&self, signalled: Signalled) {
        // A door that has ended needs no signals.
        let _ = self.inbox.send(Inbox::Signal(signalled)).await;
    }

    /// A person on the box orders it open. Returns when the device has acknowledged; the order is in the journal by then, and before it left.
    ///
    /// # Errors
    /// When it was not opened, or nobody can tell.
    pub async fn open_by_hand(&self, who: String, reason: String) -> Result<(), HandError> {
        let (tell, told) = oneshot::channel();
        self.inbox.send(Inbox::Hand { who, reason, tell }).await.map_err(|_| HandError::Stopping)?;
        told.await.unwrap_or(Err(HandError::Stopping))
    }
}

/// Where a door will be.
pub struct Seat {
    waiting: mpsc::Receiver<Inbox>,
}

impl Seat {
    /// The door's task. It first takes the outputs off.
    pub fn run(self, shared: Shared, parts: Parts) -> impl Future<Output = ()> + Send + 'static {
        Runner::new(shared, parts).run(self.waiting)
    }
}
