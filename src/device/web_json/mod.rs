//! IronLogic Web-JSON controllers (Z-5R Web, Z-5R Wi-Fi, Matrix-II Wi-Fi): they come to us over HTTP, tell what happened, and ask.
//!
//! A controller has its own list of cards and decides alone when nobody answers. What it tells of that is taken once: each event is a pass under a name made of
//! all that the event says, and the batch is acknowledged when all of it is on disk. Where the box decides, a card that is presented is a reading like any
//! other; the door's order to open is the answer that the controller waits for. An order without a card waits for the controller's next request.
//!
//! Where the config has a list of staff's cards, each controller's own list is kept the same: it lets them in while the box is away.
//!
//! The listener is off unless the config gives it an address. A controller is known by its serial number; a password can be asked for besides. There is no
//! TLS, for the controllers' own cannot be relied on: this belongs on a network of its own.
//!
//! Never: an event acknowledged before it is on disk; a controller's clock trusted; an order carried out after it expired; the number of a card in log or status.

mod cards;
mod desk;
mod events;
mod kept;
mod orders;
mod server;
#[cfg(test)]
mod tests;
pub mod wire;

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;

use crate::config::StaffCards;
use crate::device::{Actuator, Parts, Started, Voice, Wiring};
use crate::domain::{Direction, Personal, Secret};
use desk::{Desk, Leaf};

/// Where controllers come to, and which.
#[derive(Clone)]
pub struct WebJson {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// What they have to name: as the password of HTTP Basic, or as the last part of the address, `/connect/<password>`.
    pub password: Option<Secret>,
    /// The venue's time zone: controllers are given its local time.
    pub timezone: jiff::tz::TimeZone,
    /// The controllers.
    pub controllers: Vec<Controller>,
    /// What each of them is to hold in its own list; nothing: its list is left as it is.
    pub staff: Option<Staff>,
}

/// The cards of staff, whom controllers let in when they decide alone.
#[derive(Clone, Debug)]
pub struct Staff {
    /// The cards.
    pub cards: StaffCards,
    /// Where it is remembered what each controller holds: a folder of its own.
    pub folder: PathBuf,
}

/// A controller.
#[derive(Clone)]
pub struct Controller {
    /// Its id in the config; passes name it as their device.
    pub id: String,
    /// Its serial number, as on its label.
    pub serial: u64,
    /// What shows that somebody went through.
    pub evidence: Evidence,
    /// How many bytes of a card's twelve hex digits are its UID; the leading rest has to be zero. Nothing: all twelve digits are kept.
    pub uid_bytes: Option<usize>,
    /// The box decides: each card is asked for.
    pub online: bool,
    /// The gates it serves, one for each way or one for both.
    pub wirings: Vec<Wiring>,
    /// Cards that the box let in before this start, and that the controller may still tell of.
    pub opened_before: Vec<(Direction, Personal)>,
}

/// What shows that somebody went through a controller's gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// Its passage sensor: a pass is made of the passage, or of its absence.
    Passage,
    /// Nothing: a pass is made of the card that it let in.
    None,
}

/// A driver for all controllers. `bound` takes the place of `listen`.
#[must_use]
pub fn start(config: WebJson, parts: Parts, bound: Option<TcpListener>) -> Started {
    let desks: Vec<Arc<Desk>> = config
        .controllers
        .into_iter()
        .map(|controller| Arc::new(Desk::new(controller, config.timezone.clone(), config.staff.as_ref(), parts.clone())))
        .collect();
    let (mut actuators, mut voices) = (Vec::new(), Vec::new());
    for desk in &desks {
        for wiring in desk.wirings().iter().filter(|wiring| wiring.open.is_some()) {
            let leaf = Arc::new(Leaf::new(Arc::clone(desk), wiring));
            actuators.push((wiring.gate.clone(), Arc::clone(&leaf) as Arc<dyn Actuator>));
            voices.push((wiring.gate.clone(), leaf as Arc<dyn Voice>));
        }
    }
    let door = server::Entrance { listen: config.listen, bound, password: config.password };
    Started { actuators, voices, task: Box::pin(server::serve(door, desks, parts)) }
}
