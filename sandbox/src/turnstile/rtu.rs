//! A Modbus RTU module as the published map of the Wiren Board WB-MR6C describes it: coils 0 to 5 are the relays, discrete inputs 0 to 5 the inputs 1 to 6 and 7
//! the input 0, discrete inputs 96 to 101 what the relays really do, input registers 32 and up count pulses (39: input 0), holding registers 6, 8 to 16, 930 to 935
//! and 938 to 943 its settings. Written from the map and the Modbus specification, not from the gateway.

use std::collections::BTreeMap;

const EXCEPTION: u8 = 0x80;
const ILLEGAL_FUNCTION: u8 = 1;
const ILLEGAL_ADDRESS: u8 = 2;
const ILLEGAL_VALUE: u8 = 3;
/// Relays, and as many inputs with a counter each.
pub const RELAYS: usize = 6;
const FIRST_COUNTER: u16 = 32;
const FIRST_REAL: u16 = 96;

/// What the module holds.
#[derive(Clone, Debug, Default)]
pub struct Module {
    address: u8,
    held: Vec<u8>,
    coils: [bool; RELAYS],
    inputs: [bool; 8],
    counters: [u16; 8],
    settings: BTreeMap<u16, u16>,
}

/// What a request did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Did {
    /// The answer for the line.
    pub answer: Vec<u8>,
    /// Relays that went on, from 0.
    pub went_on: Vec<usize>,
    /// Relays that went off.
    pub went_off: Vec<usize>,
}

impl Module {
    /// At this address, all off, counters at the given count: a module that has been in service.
    #[must_use]
    pub fn new(address: u8, counted: u16) -> Self {
        Self { address, counters: [counted; 8], settings: factory(), ..Self::default() }
    }

    /// Takes bytes from the line; what each whole request to this module did.
    pub fn take(&mut self, bytes: &[u8]) -> Vec<Did> {
        self.held.extend_from_slice(bytes);
        let mut done = Vec::new();
        loop {
            match self.request() {
                Step::More => return done,
                Step::Skip => {
                    self.held.remove(0);
                }
                Step::Request(length) => {
                    let frame: Vec<u8> = self.held.drain(..length).collect();
                    if frame.first() == Some(&self.address)
                        && let Some(body) = frame.get(1..length - 2)
                    {
                        done.push(self.answer(body));
                    }
                }
            }
        }
    }

    /// A pulse at an input: somebody went through.
    pub fn pulse(&mut self, input: usize) {
        if let Some(counter) = self.counters.get_mut(input) {
            *counter = counter.wrapping_add(1);
        }
    }

    /// Sets an input contact.
    pub fn contact(&mut self, input: usize, on: bool) {
        if let Some(state) = self.inputs.get_mut(input) {
            *state = on;
        }
    }

    /// Whether a relay is on.
    #[must_use]
    pub fn is_on(&self, relay: usize) -> bool {
        self.coils.get(relay).copied().unwrap_or(false)
    }

    fn request(&self) -> Step {
        let [_, function, ..] = self.held.as_slice() else { return Step::More };
        let length = match function {
            1..=6 => 8,
            15 | 16 => match self.held.get(6) {
                Some(count) => 9 + usize::from(*count),
                None => return Step::More,
            },
            _ => return Step::Skip,
        };
        match self.held.get(..length) {
            None => Step::More,
            Some(frame) if crc(frame) == 0 => Step::Request(length),
            Some(_) => Step::Skip,
        }
    }

    fn answer(&mut self, body: &[u8]) -> Did {
        let before = self.coils;
        let (function, data) = body.split_first().map_or((0, body), |(function, data)| (*function, data));
        let words: Vec<u16> = data.chunks_exact(2).map(|pair| pair.iter().fold(0, |word, byte| word << 8 | u16::from(*byte))).collect();
        let (first, second) = (words.first().copied().unwrap_or(0), words.get(1).copied().unwrap_or(0));
        let result = match function {
            1 => bits(&self.coils, first, second),
            2 if first >= FIRST_REAL => bits(&self.coils, first - FIRST_REAL, second),
            2 => bits(&self.inputs, first, second),
            3 => self.read_settings(first, second),
            4 => self.registers(first, second),
            5 => self.write(first, second).map(|()| data.to_vec()),
            6 => self.set(first, second).map(|()| data.to_vec()),
            15 => self.write_many(first, second, data.get(5..).unwrap_or_default()).map(|()| data.get(..4).unwrap_or_default().to_vec()),
            _ => Err(ILLEGAL_FUNCTION),
        };
        let mut answer = vec![self.address];
        match result {
            Ok(data) => {
                answer.push(function);
                answer.extend(data);
            }
            Err(code) => answer.extend([function | EXCEPTION, code]),
        }
        let sum = crc(&answer);
        answer.extend(sum.to_le_bytes());
        let changed = |to: bool| (0..RELAYS).filter(|relay| self.is_on(*relay) == to && before.get(*relay) != Some(&to)).collect();
        Did { answer, went_on: changed(true), went_off: changed(false) }
    }

    fn registers(&self, first: u16, count: u16) -> Result<Vec<u8>, u8> {
        let from = usize::from(first.checked_sub(FIRST_COUNTER).ok_or(ILLEGAL_ADDRESS)?);
        let counters = self.counters.get(from..from + usize::from(count)).filter(|all| !all.is_empty()).ok_or(ILLEGAL_ADDRESS)?;
        let bytes = counters.iter().flat_map(|counter| counter.to_be_bytes());
        Ok(std::iter::once(u8::try_from(counters.len() * 2).unwrap_or(u8::MAX)).chain(bytes).collect())
    }

    fn read_settings(&self, first: u16, count: u16) -> Result<Vec<u8>, u8> {
        let last = first.checked_add(count).filter(|_| (1..=125).contains(&count)).ok_or(ILLEGAL_VALUE)?;
        let words: Option<Vec<u16>> = (first..last).map(|register| self.settings.get(&register).copied()).collect();
        let bytes: Vec<u8> = words.ok_or(ILLEGAL_ADDRESS)?.iter().flat_map(|word| word.to_be_bytes()).collect();
        Ok(std::iter::once(u8::try_from(bytes.len()).unwrap_or(u8::MAX)).chain(bytes).collect())
    }

    fn set(&mut self, register: u16, value: u16) -> Result<(), u8> {
        *self.settings.get_mut(&register).ok_or(ILLEGAL_ADDRESS)? = value;
        Ok(())
    }

    fn write(&mut self, coil: u16, value: u16) -> Result<(), u8> {
        let on = match value {
            0xFF00 => true,
            0x0000 => false,
            _ => return Err(ILLEGAL_VALUE),
        };
        *self.coils.get_mut(usize::from(coil)).ok_or(ILLEGAL_ADDRESS)? = on;
        Ok(())
    }

    fn write_many(&mut self, first: u16, count: u16, values: &[u8]) -> Result<(), u8> {
        let (from, count) = (usize::from(first), usize::from(count));
        let coils = self.coils.get_mut(from..from + count).ok_or(ILLEGAL_ADDRESS)?;
        for (at, coil) in coils.iter_mut().enumerate() {
            *coil = values.get(at / 8).is_some_and(|byte| byte >> (at % 8) & 1 == 1);
        }
        Ok(())
    }
}

/// Settings as they leave the factory: all 0 will do.
fn factory() -> BTreeMap<u16, u16> {
    [6..=6, 8..=16, 930..=935, 938..=943].into_iter().flatten().map(|register| (register, 0)).collect()
}

enum Step {
    More,
    Skip,
    Request(usize),
}

fn bits(all: &[bool], first: u16, count: u16) -> Result<Vec<u8>, u8> {
    let from = usize::from(first);
    let some = all.get(from..from + usize::from(count)).filter(|some| !some.is_empty()).ok_or(ILLEGAL_ADDRESS)?;
    let bytes: Vec<u8> = some.chunks(8).map(|eight| eight.iter().enumerate().fold(0, |byte, (at, on)| byte | u8::from(*on) << at)).collect();
    Ok(std::iter::once(u8::try_from(bytes.len()).unwrap_or(u8::MAX)).chain(bytes).collect())
}

/// CRC-16 of Modbus; of a frame with its own CRC it is 0.
fn crc(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xFFFF, |crc, byte| (0..8).fold(crc ^ u16::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xA001 } else { crc >> 1 }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_frames_are_answered_as_published() {
        let mut module = Module::new(1, 0);
        let on = [0x01, 0x05, 0x00, 0x00, 0xFF, 0x00, 0x8C, 0x3A];
        assert_eq!(module.take(&on), [Did { answer: on.to_vec(), went_on: vec![0], went_off: vec![] }]);
        assert!(module.is_on(0));
        let off = [0x01, 0x05, 0x00, 0x00, 0x00, 0x00, 0xCD, 0xCA];
        assert_eq!(module.take(&off), [Did { answer: off.to_vec(), went_on: vec![], went_off: vec![0] }]);
        module.contact(0, true);
        module.contact(2, true);
        let read = [0x01, 0x02, 0x00, 0x00, 0x00, 0x08, 0x79, 0xCC];
        assert_eq!(module.take(&read)[0].answer, [0x01, 0x02, 0x01, 0x05, 0x61, 0x8B]);
        let nowhere = [0x01, 0x01, 0x13, 0x88, 0x00, 0x08, 0xB9, 0x62];
        assert_eq!(module.take(&nowhere)[0].answer, [0x01, 0x81, 0x02, 0xC1, 0x91]);
    }

    #[test]
    fn requests_are_found_in_pieces_behind_noise_and_only_those_to_this_module() {
        let on = [0x01, 0x05, 0x00, 0x00, 0xFF, 0x00, 0x8C, 0x3A];
        let mut module = Module::new(1, 0);
        assert!(module.take(b"\xFF\x00noise").is_empty());
        let (head, tail) = on.split_at(3);
        assert!(module.take(head).is_empty());
        assert_eq!(module.take(tail).len(), 1);
        assert!(Module::new(2, 0).take(&on).is_empty());
    }

    #[test]
    fn settings_are_kept_and_the_real_states_follow_the_relays() {
        let mut module = Module::new(1, 0);
        let mut ask = |request: &[u8]| {
            let mut request = request.to_vec();
            request.extend(crc(&request).to_le_bytes());
            let answer = module.take(&request).remove(0).answer;
            answer[..answer.len() - 2].to_vec()
        };
        assert_eq!(ask(&[1, 6, 0, 8, 0, 2]), [1, 6, 0, 8, 0, 2]);
        assert_eq!(ask(&[1, 3, 0, 8, 0, 1]), [1, 3, 2, 0, 2]);
        assert_eq!(ask(&[1, 3, 0, 100, 0, 1]), [1, 0x83, 2]);
        assert_eq!(ask(&[1, 6, 0, 100, 0, 1]), [1, 0x86, 2]);
        assert_eq!(ask(&[1, 2, 0, 97, 0, 1]), [1, 2, 1, 0]);
        ask(&[1, 5, 0, 1, 0xFF, 0]);
        assert_eq!(ask(&[1, 2, 0, 97, 0, 1]), [1, 2, 1, 1]);
    }

    #[test]
    fn counters_go_on_from_where_they_stood_and_wrap() {
        let mut module = Module::new(1, u16::MAX);
        module.pulse(0);
        module.pulse(7);
        module.pulse(7);
        let mut request = vec![0x01, 0x04, 0x00, 0x20, 0x00, 0x08];
        request.extend(crc(&request).to_le_bytes());
        let answer = &module.take(&request)[0].answer;
        assert_eq!((&answer[..5], &answer[17..19]), (&[1, 4, 16, 0, 0][..], &[0, 1][..]), "{answer:?}");
    }
}
