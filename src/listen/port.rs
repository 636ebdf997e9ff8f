//! A port that is only listened to: opened for reading, locked against the gateway, with damage on the line told.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::termios::{ControlModes, InputModes, OptionalActions, QueueSelector, SpecialCodeIndex};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;

use crate::codec::{Line, Parity, StopBits};

/// Why a port cannot be listened to.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is none of that name.
    #[error("{0}: no such device")]
    Missing(PathBuf),
    /// This user may not.
    #[error("{0}: no permission")]
    NotAllowed(PathBuf),
    /// Another program holds it for itself alone.
    #[error("{0}: held by another program")]
    Held(PathBuf),
    /// It is no serial port, or does not take the settings.
    #[error("{0}: {1}")]
    Broken(PathBuf, io::Error),
}

/// What came over the line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// How many of them came damaged: wrong parity, no stop bit, a line held down.
    pub damaged: u64,
}

/// An open port.
#[derive(Debug)]
pub struct Port {
    path: PathBuf,
    /// What can only be read from is one thing to the runtime, a pipe or a terminal.
    file: Receiver,
    marks: Marks,
}

impl Port {
    /// Opens a port at these settings. Must be called on a runtime.
    ///
    /// # Errors
    /// When it is not there, not allowed, held by another program, or no serial port.
    pub fn open(path: &Path, line: Line) -> Result<Self, OpenError> {
        let flags = rustix::fs::OFlags::NOCTTY | rustix::fs::OFlags::NONBLOCK;
        let flags = i32::try_from(flags.bits()).unwrap_or_default();
        let file = File::options().read(true).custom_flags(flags).open(path).map_err(|error| not_opened(path, error))?;
        let broken = |error: rustix::io::Errno| OpenError::Broken(path.to_owned(), error.into());
        // The gateway holds the same lock. Root would get past the exclusive mark of a terminal, and steal bytes from the gateway.
        flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|error| match error {
            rustix::io::Errno::WOULDBLOCK => OpenError::Held(path.to_owned()),
            other => broken(other),
        })?;
        set(&file, line).map_err(broken)?;
        let file = Receiver::from_file_unchecked(file).map_err(|error| OpenError::Broken(path.to_owned(), error))?;
        Ok(Self { path: path.to_owned(), file, marks: Marks::default() })
    }

    /// Listens on at other settings; what was waiting is dropped.
    ///
    /// # Errors
    /// When the port does not take them.
    pub fn set(&mut self, line: Line) -> Result<(), OpenError> {
        self.marks = Marks::default();
        set(&self.file, line).map_err(|error| OpenError::Broken(self.path.clone(), error.into()))
    }

    /// Waits for the next bytes. Cancel safe.
    ///
    /// # Errors
    /// When the device went away.
    pub async fn read(&mut self) -> io::Result<Heard> {
        let mut buffer = [0; 512];
        loop {
            let count = self.file.read(&mut buffer).await?;
            if count == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the device went away"));
            }
            let heard = self.marks.read(buffer.get(..count).unwrap_or_default());
            if heard != Heard::default() {
                return Ok(heard);
            }
        }
    }
}

fn not_opened(path: &Path, error: io::Error) -> OpenError {
    let path = path.to_owned();
    match error.kind() {
        io::ErrorKind::NotFound => OpenError::Missing(path),
        io::ErrorKind::PermissionDenied => OpenError::NotAllowed(path),
        io::ErrorKind::ResourceBusy => OpenError::Held(path),
        _ => OpenError::Broken(path, error),
    }
}

/// Raw, with these settings, and with damage marked (PARMRK of termios(3)). Nothing is echoed: that would be writing.
fn set(file: impl AsFd, line: Line) -> rustix::io::Result<()> {
    let file = file.as_fd();
    let mut mode = rustix::termios::tcgetattr(file)?;
    mode.make_raw();
    mode.input_modes &= !(InputModes::IGNPAR | InputModes::IGNBRK | InputModes::IXON | InputModes::IXOFF);
    mode.input_modes |= InputModes::PARMRK | InputModes::INPCK;
    mode.control_modes &= !(ControlModes::CSIZE | ControlModes::PARENB | ControlModes::PARODD | ControlModes::CSTOPB | ControlModes::CRTSCTS);
    mode.control_modes |= ControlModes::CREAD
        | ControlModes::CLOCAL
        | match line.data_bits {
            5 => ControlModes::CS5,
            6 => ControlModes::CS6,
            7 => ControlModes::CS7,
            _ => ControlModes::CS8,
        }
        | match line.parity {
            Parity::None => ControlModes::empty(),
            Parity::Even => ControlModes::PARENB,
            Parity::Odd => ControlModes::PARENB | ControlModes::PARODD,
        }
        | if line.stop_bits == StopBits::Two { ControlModes::CSTOPB } else { ControlModes::empty() };
    mode.special_codes[SpecialCodeIndex::VMIN] = 1;
    mode.special_codes[SpecialCodeIndex::VTIME] = 0;
    mode.set_speed(line.baud)?;
    // What waits came at other settings. It goes first: whoever sees the new ones may speak at once.
    rustix::termios::tcflush(file, QueueSelector::IFlush)?;
    rustix::termios::tcsetattr(file, OptionalActions::Now, &mode)
}

/// Reads what PARMRK makes of the bytes: `FF 00 x` is a damaged x, `FF 00 00` a damaged 0 or a break, `FF FF` is FF.
#[derive(Debug, Default)]
struct Marks {
    state: State,
}

#[derive(Clone, Copy, Debug, Default)]
enum State {
    #[default]
    Plain,
    Escape,
    Damaged,
}

impl Marks {
    fn read(&mut self, raw: &[u8]) -> Heard {
        let mut heard = Heard::default();
        for &byte in raw {
            self.state = match (self.state, byte) {
                (State::Plain, 0xFF) => State::Escape,
                (State::Escape, 0x00) => State::Damaged,
                (State::Damaged, byte) => {
                    heard.damaged += 1;
                    heard.bytes.push(byte);
                    State::Plain
                }
                (State::Plain | State::Escape, byte) => {
                    heard.bytes.push(byte);
                    State::Plain
                }
            };
        }
        heard
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_is_told_from_the_bytes_however_they_are_cut() {
        let raw = [b'a', 0xFF, 0xFF, b'b', 0xFF, 0x00, b'c', 0xFF, 0x00, 0x00, b'd'];
        for cut in 0..raw.len() {
            let (head, tail) = raw.split_at(cut);
            let mut marks = Marks::default();
            let (one, two) = (marks.read(head), marks.read(tail));
            assert_eq!([one.bytes, two.bytes].concat(), [b'a', 0xFF, b'b', b'c', 0, b'd'], "cut at {cut}");
            assert_eq!(one.damaged + two.damaged, 2);
        }
    }
}
