//! The seam between the driver and the kernel.

use std::io;
use std::pin::Pin as Pinned;

/// A line of the board, as the config numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pin {
    /// A relay.
    Output(u16),
    /// A contact.
    Input(u16),
    /// The green light.
    Green,
    /// The red light.
    Red,
    /// The buzzer.
    Buzzer,
}

/// An edge of a contact: which, and whether it is on now.
pub type Edge<'a> = Pinned<Box<dyn Future<Output = io::Result<(u16, bool)>> + Send + 'a>>;

/// The lines, taken. All outputs are off when they are.
pub trait Pins: Send {
    /// Switches an output, on or off.
    ///
    /// # Errors
    /// What the kernel says; there is no such line.
    fn set(&mut self, pin: Pin, on: bool) -> io::Result<()>;

    /// Reads a line as it is: an output, too.
    ///
    /// # Errors
    /// As with [`Pins::set`].
    fn is_on(&mut self, pin: Pin) -> io::Result<bool>;

    /// The next edge of any contact. Cancel safe.
    fn edge(&mut self) -> Edge<'_>;
}
