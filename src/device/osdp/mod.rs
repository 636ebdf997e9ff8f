//! OSDP readers on an RS-485 line: asked in turn, with or without a secured session each; their outputs, lights and sounds.
//!
//! One task per line. It asks each reader about 25 times a second as the line's speed allows, gives a card to the intake, and tells the reader nothing good
//! before the card is on disk. A card that could not be stored is kept and tried again; when too many wait, the reader is no longer asked for cards and
//! keeps them itself. A reader that does not answer is looked for ever more seldom, so that it does not slow its neighbours.
//!
//! Outputs are switched for a time that the reader itself keeps, and are off whenever a reader is found and when the gateway stops.
//!
//! Never: a reader with a key spoken with in the clear, or with the key that everybody knows; a granted light ahead of the disk; a card or a key in log
//! or status.

mod line;
mod orders;
mod profile;
pub mod provision;
mod reader;
mod report;

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::{Actuator, Contact, Parts, Started, Voice, Wiring};
use crate::codec::osdp::{Access, CardOptions, Check, Key};
use crate::codec::{Flow, Line as Settings, Parity, StopBits};
use crate::config::{Config, OsdpReader, PassageBy, ReaderConfig, SecretError, WiredTo};

/// Orders that wait for one line.
const WAITING: usize = 64;

/// One line and its readers.
#[derive(Clone, Debug)]
pub struct Line {
    /// The serial port.
    pub port: PathBuf,
    /// Bits a second.
    pub baud: u32,
    /// The kernel turns the line round for each frame; else the adapter does it by itself.
    pub rs485: bool,
    /// How frames are checked.
    pub check: Check,
    /// At least one; no two with one address.
    pub readers: Vec<Reader>,
}

/// One reader, which is one gate.
#[derive(Clone, Debug)]
pub struct Reader {
    /// What of it belongs to the gate. Its passage is an input; OSDP has no counters.
    pub wiring: Wiring,
    /// The gate's title, for status.
    pub title: String,
    /// Its address.
    pub address: u8,
    /// Its key; nothing: in the clear.
    pub key: Option<Key>,
    /// How its cards are read.
    pub cards: CardOptions,
    /// Tell the guest to go as soon as a pass is on disk: where nobody decides here.
    pub grants: bool,
}

/// The lines that a config names, keys and all. `wire` says what of each reader belongs to its gate, and whether it grants by itself.
///
/// # Errors
/// When a key cannot be read. A key that is no key is not among them: the config's check has refused it.
pub fn lines(config: &Config, mut wire: impl FnMut(&crate::config::Gate) -> (Wiring, bool)) -> Result<Vec<Line>, SecretError> {
    let mut lines: Vec<Line> = Vec::new();
    for gate in &config.gates {
        let ReaderConfig::Osdp(reader) = &gate.reader else { continue };
        let (wiring, grants) = wire(gate);
        let key = key_of(reader, config)?;
        let one = Reader { wiring, title: gate.title.clone(), address: reader.address, key, cards: reader.cards, grants };
        match lines.iter_mut().find(|line| line.port == reader.line) {
            Some(line) => line.readers.push(one),
            None => lines.push(Line { port: reader.line.clone(), baud: reader.baud, rs485: reader.rs485, check: reader.check, readers: vec![one] }),
        }
    }
    Ok(lines)
}

/// What of a gate's own reader its door is wired to.
#[must_use]
pub fn wiring(gate: &crate::config::Gate) -> Wiring {
    let mut wiring = Wiring { gate: gate.id.clone(), direction: gate.direction, open: None, passage: None, free: None };
    if let Some(door) = &gate.door {
        wiring.open = (door.open.of == WiredTo::Reader).then_some(door.open.output);
        wiring.passage = door.passage.as_ref().filter(|passage| passage.of == WiredTo::Reader).and_then(|passage| match passage.by {
            PassageBy::Input(number) => Some(Contact::Input(number)),
            PassageBy::Counter(number) => Some(Contact::Counter(number)),
            PassageBy::Message => None,
        });
        wiring.free = door.free.as_ref().filter(|free| free.of == WiredTo::Reader).map(|free| free.input);
    }
    wiring
}

/// The key that a config names.
fn key_of(reader: &OsdpReader, config: &Config) -> Result<Option<Key>, SecretError> {
    let Some(source) = &reader.key else { return Ok(None) };
    let secret = source.load(&config.file)?;
    match Key::parse(secret.reveal()) {
        Some(key) => Ok(Some(key)),
        None => Err(SecretError::Useless { name: source.name(), why: crate::words::config::OSDP_KEY_FORM }),
    }
}

impl Line {
    fn settings(&self) -> Settings {
        Settings { baud: self.baud, data_bits: 8, parity: Parity::None, stop_bits: StopBits::One, flow: Flow::None }
    }
}

impl Reader {
    fn access(&self) -> Access {
        self.key.clone().map_or(Access::Clear, Access::Key)
    }

    fn outputs(&self) -> Vec<u8> {
        self.wiring.open.and_then(|number| u8::try_from(number).ok()).into_iter().collect()
    }
}

/// A driver for one line.
#[must_use]
pub fn start(line: Line, parts: Parts) -> Started {
    let (send, asks) = mpsc::channel(WAITING);
    let mut started = Started { actuators: Vec::new(), voices: Vec::new(), task: Box::pin(std::future::ready(())) };
    for (number, reader) in line.readers.iter().enumerate() {
        let hand = Arc::new(orders::Hand::new(number, send.clone(), Arc::clone(&parts.clock)));
        let gate = &reader.wiring.gate;
        if !reader.outputs().is_empty() {
            started.actuators.push((gate.clone(), Arc::clone(&hand) as Arc<dyn Actuator>));
        }
        started.voices.push((gate.clone(), hand as Arc<dyn Voice>));
    }
    started.task = Box::pin(line::run(line, parts, asks));
    started
}
