//! Boards: which serial ports, relays, lights, watchdog and clock a box has. Data in `boards/`, one file per board.
//!
//! `limegate check` uses it to warn of a port that the board does not have or that its firmware must switch on first.

use std::path::Path;

use serde::Deserialize;

/// The boards that are built in, by file name.
const BUILT_IN: &[(&str, &str)] =
    &[("generic", include_str!("../boards/generic.toml")), ("raspberry-pi-4", include_str!("../boards/raspberry-pi-4.toml"))];

/// A board, as its file describes it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Board {
    /// As the config names it: `raspberry-pi-4`.
    pub name: String,
    /// For people.
    pub title: String,
    /// Serial ports that are part of the board. Empty: not known, so nothing is checked.
    #[serde(default)]
    pub serial: Vec<SerialPort>,
    /// Outputs that can open a gate.
    #[serde(default)]
    pub relay: Vec<Line>,
    /// Lights.
    #[serde(default)]
    pub led: Vec<Line>,
    /// A buzzer.
    #[serde(default)]
    pub buzzer: Vec<Line>,
    /// The hardware watchdog.
    #[serde(default)]
    pub watchdog: Option<Watchdog>,
    /// The clock that runs without power, where there is one.
    #[serde(default)]
    pub rtc: Option<Rtc>,
    /// What an installer should know.
    #[serde(default)]
    pub notes: Vec<Note>,
}

/// A serial port of the board.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SerialPort {
    /// Its device.
    pub device: String,
    /// Other names of the same device.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// What kind of line it drives.
    pub kind: SerialKind,
    /// Who switches an RS-485 line between sending and receiving.
    #[serde(default)]
    pub direction: Option<Direction485>,
    /// What must be set before the port is there, for people; `None`: it is there.
    #[serde(default)]
    pub firmware: Option<Note>,
}

/// What kind of line a serial port drives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SerialKind {
    /// 3.3 V logic level.
    Ttl,
    /// RS-232.
    Rs232,
    /// RS-485.
    Rs485,
}

/// Who switches an RS-485 line between sending and receiving.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction485 {
    /// The transceiver does it by itself.
    Automatic,
    /// The kernel does, by RTS (`TIOCSRS485`).
    Rts,
}

/// A GPIO line, as gpiocdev names it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// What it is used for: `open-1`, `green`.
    pub name: String,
    /// The chip: `gpiochip0`.
    pub chip: String,
    /// The line's offset on the chip.
    pub line: u32,
    /// On is low.
    #[serde(default)]
    pub active_low: bool,
}

/// The hardware watchdog.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Watchdog {
    /// Its device.
    pub device: String,
    /// The longest time it can be set to, seconds.
    pub max_seconds: u32,
}

/// A real-time clock.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rtc {
    /// Its device.
    pub device: String,
}

/// A text for people, in both languages.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Note {
    /// Русский.
    pub ru: String,
    /// English.
    pub en: String,
}

/// What a board has to say about a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Port<'a> {
    /// Nothing: a USB adapter, or a board whose ports are not listed.
    Fine,
    /// There, once the firmware is told.
    NeedsFirmware(&'a Note),
    /// No such port; those it has.
    Unknown(Vec<&'a str>),
}

/// Names of the boards that are built in.
pub fn names() -> impl Iterator<Item = &'static str> {
    BUILT_IN.iter().map(|(name, _)| *name)
}

impl Board {
    /// A built-in board. `None` when there is none of that name.
    #[must_use]
    pub fn built_in(name: &str) -> Option<Self> {
        let (_, text) = BUILT_IN.iter().find(|(known, _)| *known == name)?;
        Self::parse(text).ok()
    }

    /// Reads a board's file.
    ///
    /// # Errors
    /// What the TOML parser says.
    pub fn parse(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }

    /// What there is to say about a port named in the config.
    #[must_use]
    pub fn port(&self, port: &Path) -> Port<'_> {
        let known = self.serial.iter().find(|serial| std::iter::once(&serial.device).chain(&serial.aliases).any(|name| Path::new(name) == port));
        match known {
            Some(SerialPort { firmware: Some(note), .. }) => Port::NeedsFirmware(note),
            Some(_) => Port::Fine,
            None if self.serial.is_empty() || is_plugged_in(port) => Port::Fine,
            None => Port::Unknown(self.serial.iter().map(|serial| serial.device.as_str()).collect()),
        }
    }
}

/// Adapters come and go and are no part of a board; a pseudo-terminal is for trials.
fn is_plugged_in(port: &Path) -> bool {
    let Some(text) = port.to_str() else { return true };
    ["/dev/serial/", "/dev/ttyUSB", "/dev/ttyACM", "/dev/pts/"].iter().any(|prefix| text.starts_with(prefix)) || !text.starts_with("/dev/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_board_loads_and_is_called_like_its_file() {
        for (name, text) in BUILT_IN {
            let board = Board::parse(text).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(board.name, *name);
            assert_eq!(Board::built_in(name).as_ref(), Some(&board));
            for serial in &board.serial {
                assert!(serial.device.starts_with("/dev/"), "{}", serial.device);
                assert_eq!(serial.direction.is_some(), serial.kind == SerialKind::Rs485, "{}: RS-485 says who turns the line round", serial.device);
            }
            for note in board.notes.iter().chain(board.serial.iter().filter_map(|serial| serial.firmware.as_ref())) {
                assert!(!note.ru.is_empty() && !note.en.is_empty());
            }
        }
        let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/boards")).unwrap().count();
        assert_eq!(files, BUILT_IN.len(), "every file in boards/ is built in");
    }

    #[test]
    fn a_board_knows_its_ports_and_leaves_adapters_alone() {
        let pi = Board::built_in("raspberry-pi-4").unwrap();
        assert!(matches!(pi.port(Path::new("/dev/ttyAMA0")), Port::NeedsFirmware(_)));
        assert!(matches!(pi.port(Path::new("/dev/ttyS9")), Port::Unknown(_)));
        for adapter in ["/dev/serial/by-id/usb-x", "/dev/ttyUSB0", "/dev/ttyACM3", "/dev/pts/4", "/tmp/turnstile"] {
            assert_eq!(pi.port(Path::new(adapter)), Port::Fine, "{adapter}");
        }
        assert_eq!(Board::built_in("generic").unwrap().port(Path::new("/dev/ttyS9")), Port::Fine);
        assert_eq!(Board::built_in("toaster"), None);
    }
}
