//! Keys pressed one after another -> a PIN. `#` ends it, `*` begins anew, a pause ends it, too. Pure: time is passed in.

use super::Keys;
use crate::domain::{Medium, MediumKind, Personal};

/// After this pause what was typed is taken as a whole, milliseconds.
const PAUSE_MS: u64 = 4_000;
/// Shorter ones are slips.
const SHORTEST: usize = 4;
/// Longer ones are no PIN.
const LONGEST: usize = 16;
const ENTER: u8 = 0x0D;
const CLEAR: u8 = 0x7F;

/// What is being typed at one reader.
#[derive(Default)]
pub struct Keypad {
    typed: String,
    last_ms: u64,
}

impl Keypad {
    /// Keys were pressed: the PINs that they end.
    pub fn pressed(&mut self, keys: &Keys, now_ms: u64) -> Vec<Medium> {
        let mut ended: Vec<Medium> = self.paused(now_ms).into_iter().collect();
        self.last_ms = now_ms;
        for key in &keys.0 {
            match *key {
                digit @ b'0'..=b'9' if self.typed.len() <= LONGEST => self.typed.push(char::from(digit)),
                ENTER | b'#' => ended.extend(self.end()),
                CLEAR | b'*' => self.typed.clear(),
                _ => {}
            }
        }
        ended
    }

    /// When the pause is over, if something was typed.
    #[must_use]
    pub fn due_ms(&self) -> Option<u64> {
        (!self.typed.is_empty()).then(|| self.last_ms.saturating_add(PAUSE_MS))
    }

    /// The PIN that a pause has ended.
    pub fn paused(&mut self, now_ms: u64) -> Option<Medium> {
        if self.due_ms()? > now_ms { None } else { self.end() }
    }

    /// Forgets what was typed: the reader is gone.
    pub fn reset(&mut self) {
        self.typed.clear();
    }

    fn end(&mut self) -> Option<Medium> {
        let typed = std::mem::take(&mut self.typed);
        let fits = (SHORTEST..=LONGEST).contains(&typed.len());
        fits.then(|| Medium { kind: MediumKind::Pin, value: Personal::new(typed), raw: None, format: "osdp/keypad".to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn press(keypad: &mut Keypad, keys: &[u8], now_ms: u64) -> Vec<String> {
        keypad.pressed(&Keys(keys.to_vec()), now_ms).into_iter().map(|medium| medium.value.reveal().to_owned()).collect()
    }

    #[test]
    fn a_pin_ends_with_enter_however_its_keys_arrive() {
        let mut keypad = Keypad::default();
        assert!(press(&mut keypad, b"12", 0).is_empty());
        assert_eq!(press(&mut keypad, b"34\r", 100), ["1234"]);
        assert_eq!(press(&mut keypad, b"5678#9012#", 200), ["5678", "9012"]);
    }

    #[test]
    fn a_pause_ends_it_and_clear_begins_anew() {
        let mut keypad = Keypad::default();
        press(&mut keypad, b"99\x7f1234", 0);
        assert_eq!(keypad.paused(PAUSE_MS - 1), None);
        assert_eq!(keypad.paused(PAUSE_MS).map(|medium| medium.value.reveal().to_owned()).as_deref(), Some("1234"));
        assert_eq!(keypad.due_ms(), None);
        press(&mut keypad, b"4321", 10_000);
        assert_eq!(press(&mut keypad, b"5", 20_000), ["4321"]);
    }

    #[test]
    fn slips_and_floods_are_no_pin() {
        let mut keypad = Keypad::default();
        assert!(press(&mut keypad, b"123#", 0).is_empty());
        assert!(press(&mut keypad, &[b'1'; 10_000], 0).is_empty());
        assert!(press(&mut keypad, b"#", 0).is_empty());
    }
}
