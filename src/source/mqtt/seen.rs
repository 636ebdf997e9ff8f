//! What a device says beside media, as signals for the door; and which of its messages were taken already. Pure.

use std::collections::VecDeque;

use super::message::{Alarm, Passage};
use crate::device::Signal;

/// So many message ids are remembered: a broker doubles a message within moments, not after hundreds of others.
const REMEMBERED: usize = 256;

/// A passage or its absence.
pub(crate) fn passage(passage: &Passage) -> Signal {
    let direction = passage.direction;
    if passage.passed { Signal::Passed { direction, count: 1 } } else { Signal::NotPassed { direction } }
}

/// An alarm: `tamper` and `free` mean what they say, any other word is the device's own trouble.
pub(crate) fn alarm(alarm: &Alarm) -> Signal {
    match alarm.code.as_str() {
        "tamper" => Signal::Tamper(alarm.on),
        "free" => Signal::Free(alarm.on),
        code => Signal::Fault(alarm.on.then(|| code.to_owned())),
    }
}

/// The ids of messages that were taken lately.
#[derive(Debug, Default)]
pub(crate) struct Ids(VecDeque<String>);

impl Ids {
    /// Whether this one counts as taken.
    pub(crate) fn contains(&self, id: &str) -> bool {
        self.0.iter().any(|known| known == id)
    }

    /// Whether this one is new; it counts as taken now.
    pub(crate) fn fresh(&mut self, id: &str) -> bool {
        if self.contains(id) {
            return false;
        }
        if self.0.len() >= REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back(id.to_owned());
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_doubled_message_is_known_and_memory_is_bounded() {
        let mut ids = Ids::default();
        for n in 0..10_000 {
            assert!(ids.fresh(&n.to_string()));
            assert!(!ids.fresh(&n.to_string()));
        }
        assert!(ids.0.len() <= REMEMBERED);
    }

    #[test]
    fn alarms_have_their_own_signals() {
        let heard = |code: &str, on| alarm(&Alarm { id: "1".to_owned(), code: code.to_owned(), on });
        assert_eq!(heard("tamper", true), Signal::Tamper(true));
        assert_eq!(heard("free", false), Signal::Free(false));
        assert_eq!(heard("motor", true), Signal::Fault(Some("motor".to_owned())));
        assert_eq!(heard("motor", false), Signal::Fault(None));
    }
}
