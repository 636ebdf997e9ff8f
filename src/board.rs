//! Boards: which serial ports, relays, lights, watchdog and clock a box has. Data in `boards/`, one file per board.
//!
//! `limegate check` uses it to warn of a port that the board does not have or that its firmware must switch on first.

use std::path::Path;

use serde::Deserialize;

/// The boards that are built in, by file name.
const BUILT_IN: &[(&str, &str)] = &[
    ("generic", include_str!("../boards/generic.toml")),
    ("iriv-picontrol", include_str!("../boards/iriv-picontrol.toml")),
    ("raspberry-pi-3b-plus", include_str!("../boards/raspberry-pi-3b-plus.toml")),
    ("raspberry-pi-4", include_str!("../boards/raspberry-pi-4.toml")),
    ("raspberry-pi-5", include_str!("../boards/raspberry-pi-5.toml")),
    ("raspberry-pi-zero-2-w", include_str!("../boards/raspberry-pi-zero-2-w.toml")),
    ("recomputer-r1100", include_str!("../boards/recomputer-r1100.toml")),
    ("wiren-board-8", include_str!("../boards/wiren-board-8.toml")),
];

/// A board, as its file describes it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Board {
    /// As the config names it: `raspberry-pi-4`.
    pub name: String,
    /// For people.
    pub title: String,
    /// How far this file has been tried.
    pub certainty: Certainty,
    /// Where its facts come from: addresses of documents.
    #[serde(default)]
    pub sources: Vec<String>,
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
    /// Inputs that can see a passage or a fire contact.
    #[serde(default)]
    pub input: Vec<Line>,
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

/// How far a board's file has been tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Certainty {
    /// There is nothing in it that a box could differ in.
    Plain,
    /// Tried on the hardware itself.
    Hardware,
    /// From the maker's documents; not tried on the hardware.
    Documents,
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
    /// It cannot do parity, nor tell damaged bytes.
    #[serde(default)]
    pub no_parity: bool,
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

/// A GPIO line of the kernel's character device. Its name finds it on whatever chip it is; chip and offset are for boards that name none.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// What it is used for: `open-1`, `green`.
    pub name: String,
    /// The line's name in the kernel: `GPIO17`, `A1 OUT`.
    #[serde(default)]
    pub kernel_name: Option<String>,
    /// The chip, by device name (`gpiochip0`) or label (`pinctrl-rp1`).
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
    /// What must be set before it is there, for people.
    #[serde(default)]
    pub firmware: Option<Note>,
}

/// A real-time clock.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rtc {
    /// Its device.
    pub device: String,
    /// What must be set or put in before it keeps the time, for people.
    #[serde(default)]
    pub firmware: Option<Note>,
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
    pub fn parse(text: &str) -> Result<Self, String> {
        crate::files::toml(text)
    }

    /// Whether the kernel has to turn this port's RS-485 line round.
    #[must_use]
    pub fn turns_round(&self, port: &Path) -> bool {
        self.serial_at(port).is_some_and(|serial| serial.direction == Some(Direction485::Rts))
    }

    fn serial_at(&self, port: &Path) -> Option<&SerialPort> {
        self.serial.iter().find(|serial| std::iter::once(&serial.device).chain(&serial.aliases).any(|name| Path::new(name) == port))
    }

    /// What there is to say about a port named in the config.
    #[must_use]
    pub fn port(&self, port: &Path) -> Port<'_> {
        match self.serial_at(port) {
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
            let firmware = board.serial.iter().filter_map(|serial| serial.firmware.as_ref());
            let firmware = firmware
                .chain(board.watchdog.iter().filter_map(|one| one.firmware.as_ref()))
                .chain(board.rtc.iter().filter_map(|one| one.firmware.as_ref()));
            for note in board.notes.iter().chain(firmware) {
                assert!(!note.ru.is_empty() && !note.en.is_empty(), "{name}: a note is empty in one language");
                assert!(note.ru.chars().any(|c| ('а'..='я').contains(&c)) && !note.en.chars().any(|c| ('а'..='я').contains(&c)), "{name}: {note:?}");
            }
            let mut lines: Vec<_> =
                [&board.relay, &board.led, &board.buzzer, &board.input].into_iter().flatten().map(|line| (&line.chip, line.line)).collect();
            let all = lines.len();
            lines.sort_unstable();
            lines.dedup();
            assert_eq!(lines.len(), all, "{name}: a GPIO line is used twice");
            assert!(board.certainty == Certainty::Plain || !board.sources.is_empty(), "{name}: says where its facts come from");
            assert!(board.sources.iter().all(|source| source.starts_with("https://")), "{name}: {:?}", board.sources);
            let untried = board.notes.iter().any(|note| note.en.contains("not tried on the hardware"));
            assert_eq!(untried, board.certainty == Certainty::Documents, "{name}: what is not tried is said to people");
        }
        let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/boards")).unwrap().count();
        assert_eq!(files, BUILT_IN.len(), "every file in boards/ is built in");
    }

    #[test]
    fn each_board_knows_its_first_port_relay_watchdog_and_clock() {
        let facts: Vec<_> = names()
            .map(|name| {
                let board = Board::built_in(name).unwrap();
                let device = board.serial.first().map(|one| one.device.clone()).unwrap_or_default();
                let relay = board.relay.first().and_then(|one| one.kernel_name.clone()).unwrap_or_default();
                (name, device, relay, board.watchdog.map_or(0, |one| one.max_seconds), board.rtc.is_some())
            })
            .collect();
        let expected = [
            ("generic", "", "", 60, false),
            ("iriv-picontrol", "/dev/ttyACM0", "", 15, false),
            ("raspberry-pi-3b-plus", "/dev/ttyAMA0", "GPIO17", 15, false),
            ("raspberry-pi-4", "/dev/ttyAMA0", "GPIO17", 15, false),
            ("raspberry-pi-5", "/dev/ttyAMA0", "GPIO17", 15, true),
            ("raspberry-pi-zero-2-w", "/dev/ttyAMA0", "GPIO17", 15, false),
            ("recomputer-r1100", "/dev/ttyACM0", "", 15, false),
            ("wiren-board-8", "/dev/ttyRS485-1", "A1 OUT", 60, true),
        ];
        assert_eq!(facts, expected.map(|(name, device, relay, watchdog, rtc)| (name, device.to_owned(), relay.to_owned(), watchdog, rtc)));
        let wiren = Board::built_in("wiren-board-8").unwrap();
        assert!(wiren.serial.iter().all(|one| one.direction == Some(Direction485::Rts)), "the kernel turns the lines round");
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
        assert!(
            pi.turns_round(Path::new("/dev/ttyAMA3")) && !pi.turns_round(Path::new("/dev/ttyAMA0")) && !pi.turns_round(Path::new("/dev/ttyUSB0"))
        );
        assert_eq!(Board::built_in("toaster"), None);
    }
}
