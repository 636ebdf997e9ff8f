//! A small reader that keeps to the standard: it repeats its answer to a repeated number, begins anew at 0, and refuses a number that does not follow.

use std::collections::VecDeque;

use super::super::Deframer;
use super::super::frame::{Check, Frame, Outgoing};
use super::super::handshake;
use super::super::secure::{Channel, Key, SessionKeys, Side};

pub(super) struct Model {
    pub(super) address: u8,
    pub(super) key: Option<Key>,
    /// Cards that wait to be polled for.
    pub(super) cards: VecDeque<u32>,
    /// Outputs switched: number, code, tenths of a second.
    pub(super) switched: Vec<(u8, u8, u16)>,
    pub(super) polled: u32,
    /// Commands understood outside a secured session, beyond identity and capabilities.
    pub(super) clear: u32,
    sequence: Option<u8>,
    command: Vec<u8>,
    answer: Vec<u8>,
    /// The card of the last answer, until the next command shows that it arrived.
    given: Option<u32>,
    session: Option<(SessionKeys, [u8; 16])>,
    channel: Option<Channel>,
}

impl Model {
    pub(super) fn new(address: u8, key: Option<Key>) -> Self {
        Self {
            address,
            key,
            cards: VecDeque::new(),
            switched: Vec::new(),
            polled: 0,
            clear: 0,
            sequence: None,
            command: Vec::new(),
            answer: Vec::new(),
            given: None,
            session: None,
            channel: None,
        }
    }

    /// Power off and on.
    pub(super) fn reboot(&mut self) {
        self.sequence = None;
        self.lost_session();
    }

    fn lost_session(&mut self) {
        self.channel = None;
        self.session = None;
        if let Some(card) = self.given.take() {
            self.cards.push_front(card);
        }
    }

    /// What it says to these bytes.
    pub(super) fn hear(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut frames = Vec::new();
        Deframer::new(Check::Crc).push(bytes, &mut frames);
        let frame = frames.into_iter().find(|frame| !frame.is_answer() && frame.address() == self.address)?;
        let sequence = frame.sequence();
        if sequence != 0 && self.sequence == Some(sequence) && self.command == bytes {
            return Some(self.answer.clone());
        }
        if sequence == 0 {
            self.lost_session();
        } else if self.sequence.is_none_or(|last| last % 3 + 1 != sequence) {
            return Some(self.clear_answer(0, 0x41, &[4]));
        } else {
            self.given = None;
        }
        self.sequence = Some(sequence);
        self.command = bytes.to_vec();
        self.answer = self.execute(&frame, sequence);
        Some(self.answer.clone())
    }

    fn execute(&mut self, frame: &Frame, sequence: u8) -> Vec<u8> {
        let (code, data) = frame.body().expect("a body");
        let security = frame.security().map(|security| (security.kind, security.data.to_vec()));
        let Some(channel) = &mut self.channel else {
            return match (security, code) {
                (None, 0x61) => self.clear_answer(sequence, 0x45, &[1, 2, 3, 1, 1, 9, 9, 9, 9, 1, 0, 0]),
                (None, 0x62) => self.clear_answer(sequence, 0x46, &[2, 1, 2]),
                (Some((handshake::CHALLENGE, block)), 0x76) => self.challenged(sequence, &block, data),
                (Some((handshake::PROOF, _)), 0x77) => self.confirmed(sequence, data),
                (None, _) if self.key.is_none() => {
                    self.clear += 1;
                    let (code, data) = self.obey(code, &data.to_vec());
                    self.clear_answer(sequence, code, &data)
                }
                _ => self.clear_answer(sequence, 0x41, &[6]),
            };
        };
        let (data, _) = data.split_last_chunk::<4>().expect("a MAC");
        let plain = match security {
            Some((handshake::COMMAND, _)) => Some(Vec::new()),
            Some((handshake::COMMAND_DATA, _)) => channel.decrypt(Side::Controller, data),
            _ => None,
        };
        let fits = channel.open(Side::Controller, frame.before_check());
        let Some(plain) = plain.filter(|_| fits) else {
            self.lost_session();
            return self.clear_answer(sequence, 0x41, &[6]);
        };
        let (code, data) = self.obey(code, &plain);
        let (address, channel) = (self.address, self.channel.as_mut().expect("a session"));
        let (kind, data) = if data.is_empty() { (handshake::ANSWER, data) } else { (handshake::ANSWER_DATA, channel.encrypt(Side::Reader, &data)) };
        let frame = Outgoing { address, answer: true, sequence, check: Check::Crc, security: Some((kind, &[])), code, data: &data };
        frame.encode(Some(&mut |message| channel.seal(Side::Reader, message)))
    }

    fn obey(&mut self, code: u8, data: &[u8]) -> (u8, Vec<u8>) {
        match (code, data) {
            (0x60, []) => {
                self.polled += 1;
                self.given = self.cards.pop_front();
                match self.given {
                    Some(card) => (0x50, [&[0, 0, 32, 0], card.to_be_bytes().as_slice()].concat()),
                    None => (0x40, Vec::new()),
                }
            }
            (0x64, []) => (0x48, vec![0, 0]),
            (0x68, &[number, code, low, high]) => {
                self.switched.push((number, code, u16::from_le_bytes([low, high])));
                (0x40, Vec::new())
            }
            (0x75, [1, 16, key @ ..]) => {
                let hex: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
                self.key = Key::parse(&hex);
                (0x40, Vec::new())
            }
            _ => (0x41, vec![3]),
        }
    }

    fn challenged(&mut self, sequence: u8, block: &[u8], random: &[u8]) -> Vec<u8> {
        let key = if block == [0] { Some(Key::everybodys()) } else { self.key.clone() };
        let Some(key) = key else { return self.clear_answer(sequence, 0x41, &[5]) };
        let controller: [u8; 8] = random.try_into().expect("8 bytes");
        let own = [0x42; 8];
        let keys = SessionKeys::new(&key, &controller);
        let data = [[0xC1; 8].as_slice(), &own, &keys.reader_proof(&controller, &own)].concat();
        let expected = keys.controller_proof(&controller, &own);
        self.session = Some((keys, expected));
        self.answer_with((handshake::CHALLENGED, block), sequence, 0x76, &data)
    }

    fn confirmed(&mut self, sequence: u8, proof: &[u8]) -> Vec<u8> {
        match self.session.take() {
            Some((keys, expected)) if expected == proof => {
                let mac = keys.first_mac(expected);
                self.channel = Some(Channel::new(keys, mac));
                self.answer_with((handshake::CONFIRMED, &[1]), sequence, 0x78, &mac)
            }
            _ => self.answer_with((handshake::CONFIRMED, &[0xFF]), sequence, 0x78, &[0; 16]),
        }
    }

    fn clear_answer(&self, sequence: u8, code: u8, data: &[u8]) -> Vec<u8> {
        Outgoing { address: self.address, answer: true, sequence, check: Check::Crc, security: None, code, data }.encode(None)
    }

    fn answer_with(&self, security: (u8, &[u8]), sequence: u8, code: u8, data: &[u8]) -> Vec<u8> {
        Outgoing { address: self.address, answer: true, sequence, check: Check::Crc, security: Some(security), code, data }.encode(None)
    }
}
