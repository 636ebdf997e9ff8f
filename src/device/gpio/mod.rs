//! Relays, lights, a buzzer and contacts on the board's own pins, through the kernel's GPIO character device. Which lines they are the board's file says.
//!
//! An order switches the relay on, reads it back, and is done; the driver ends the pulse. Contacts are debounced by the kernel. All outputs are off when the
//! lines are taken, which is at the start, and when they are given back. A box whose process is killed gives the lines back as they are: the next start,
//! which systemd makes at once, puts them off.
//!
//! Never: an order carried out after its time; an output on longer than its pulse while the process lives; the first level of a contact taken for a passage.

mod driver;
mod kernel;
mod pins;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use kernel::open;
pub use pins::{Pin, Pins};

use super::{Actuator, Parts, Started, Voice, Wiring};
use crate::config::GpioLines;

/// Takes the lines from whoever has them; again after trouble.
pub type Take = Box<dyn Fn(&GpioLines) -> std::io::Result<Box<dyn Pins>> + Send>;

/// A board's pins, as a module of the config.
#[derive(Clone, Debug)]
pub struct GpioModule {
    /// Its id in the config.
    pub id: String,
    /// For people.
    pub title: String,
    /// Its lines.
    pub lines: GpioLines,
}

/// A driver for them; the wirings are those of the gates it serves. `take`: how the lines are taken, [`open`] but in tests.
#[must_use]
pub fn start(module: GpioModule, wirings: Vec<Wiring>, parts: Parts, take: Take) -> Started {
    let lights = module.lines.green.is_some() || module.lines.red.is_some() || module.lines.buzzer.is_some();
    let (handle, driver) = driver::Driver::new(module, wirings.clone(), parts, take);
    let (mut actuators, mut voices) = (Vec::new(), Vec::new());
    for wiring in &wirings {
        if let Some(output) = wiring.open {
            actuators.push((wiring.gate.clone(), Arc::new(handle.output(output)) as Arc<dyn Actuator>));
        }
        if lights {
            voices.push((wiring.gate.clone(), Arc::new(handle.clone()) as Arc<dyn Voice>));
        }
    }
    Started { actuators, voices, task: Box::pin(driver.run()) }
}
