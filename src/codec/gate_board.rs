//! Gate boards of the 7E/7F family (Chinese speed gates, RS-485): commands as frames, and status frames in what comes.
//!
//! A command has 8 bytes, `7E 00 machine command d0 d1 d2 check`; the board tells its status in 18, `7F version machine fault gate alarm L2 L1 L0 R2 R1 R0
//! infrared executed voltage u1 u2 check`. The check byte is the complement of the sum of all bytes before it. L and R count the guests who went through
//! on each side; a passage is seen as an increase. The board never speaks unasked.
//!
//! What it promises: the first 18 bytes that are a status of this machine with a true check byte are taken, whatever came before; noise is taken for one
//! in 256 × 256 × 256 (mark, machine, check), a damaged status once in 256, so whoever counts bounds what one status may add.
//!
//! **Experimental.** The single source is one public project that drives such a board; the maker's paper was not found. The frames reproduce by
//! computation; nothing here was tried on hardware.

/// Length of a status.
const STATUS: usize = 18;

/// A side of the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Left.
    Left,
    /// Right.
    Right,
}

/// A command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Tell the status.
    Status,
    /// Let so many guests through.
    Open {
        /// On which side.
        side: Side,
        /// How many.
        guests: u8,
    },
    /// Close.
    Close,
}

impl Command {
    /// Its code, as a status repeats it in `executed`.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Status => 0x10,
            Self::Open { side: Side::Left, .. } => 0x80,
            Self::Open { side: Side::Right, .. } => 0x82,
            Self::Close => 0x84,
        }
    }

    /// The frame for the board of this machine number.
    #[must_use]
    pub fn frame(self, machine: u8) -> [u8; 8] {
        let guests = match self {
            Self::Open { guests, .. } => guests,
            Self::Status | Self::Close => 0,
        };
        let body = [0x7E, 0, machine, self.code(), guests, 0, 0];
        [0x7E, 0, machine, self.code(), guests, 0, 0, check(&body)]
    }
}

/// What a board tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// 0: none. What the others mean is not published.
    pub fault: u8,
    /// How the gate stands. What the values mean is not published.
    pub gate: u8,
    /// 0: none. What the others mean is not published.
    pub alarm: u8,
    /// Guests on the left side, 24 bits.
    pub left: u32,
    /// Guests on the right side, 24 bits.
    pub right: u32,
    /// Which light barriers are broken.
    pub infrared: u8,
    /// The last command that was carried out.
    pub executed: u8,
}

/// Finds the statuses of one board in what comes.
#[derive(Clone, Debug)]
pub struct Listener {
    machine: u8,
    tail: [u8; STATUS],
    heard: usize,
}

impl Listener {
    /// Listens for the board of this machine number.
    #[must_use]
    pub fn new(machine: u8) -> Self {
        Self { machine, tail: [0; STATUS], heard: 0 }
    }

    /// Takes the next bytes; a status when they complete one. However the same bytes are cut into calls, the same comes. Bytes behind a status are
    /// dropped: the next one is asked for first.
    pub fn push(&mut self, bytes: &[u8]) -> Option<Status> {
        for byte in bytes {
            self.heard = self.heard.saturating_add(1);
            self.tail.rotate_left(1);
            if let Some(last) = self.tail.last_mut() {
                *last = *byte;
            }
            if let Some(status) = self.complete() {
                return Some(status);
            }
        }
        None
    }

    /// Bytes came that are no status.
    #[must_use]
    pub fn heard_noise(&self) -> bool {
        self.heard > 0
    }

    fn complete(&self) -> Option<Status> {
        let [0x7F, _, machine, fault, gate, alarm, l2, l1, l0, r2, r1, r0, infrared, executed, _, _, _, sum] = self.tail else {
            return None;
        };
        let body = self.tail.get(..STATUS - 1)?;
        let wide = |high, middle, low| u32::from_be_bytes([0, high, middle, low]);
        (machine == self.machine && sum == check(body)).then(|| Status {
            fault,
            gate,
            alarm,
            left: wide(l2, l1, l0),
            right: wide(r2, r1, r0),
            infrared,
            executed,
        })
    }
}

fn check(bytes: &[u8]) -> u8 {
    !bytes.iter().fold(0, |sum: u8, byte| sum.wrapping_add(*byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn frames_are_those_computed_from_the_source() {
        assert_eq!(Command::Status.frame(1), [0x7E, 0, 1, 0x10, 0, 0, 0, 0x70]);
        assert_eq!(Command::Open { side: Side::Left, guests: 1 }.frame(1), [0x7E, 0, 1, 0x80, 1, 0, 0, 0xFF]);
        assert_eq!(Command::Close.frame(1), [0x7E, 0, 1, 0x84, 0, 0, 0, 0xFC]);
        let told = [0x7F, 0x10, 1, 0, 0, 0, 0, 0, 0x2A, 0, 0, 7, 0, 0x80, 0x18, 0, 0, 0xA6];
        let status = Status { fault: 0, gate: 0, alarm: 0, left: 42, right: 7, infrared: 0, executed: 0x80 };
        assert_eq!(Listener::new(1).push(&told), Some(status));
        assert_eq!(Listener::new(2).push(&told), None, "another board's");
    }

    fn status() -> impl Strategy<Value = (u8, [u8; 13])> {
        (any::<u8>(), any::<[u8; 13]>())
    }

    fn frame(machine: u8, data: [u8; 13]) -> Vec<u8> {
        let mut frame = vec![0x7F, 0x10, machine];
        frame.extend(data);
        frame.push(0);
        frame.push(check(&frame));
        frame
    }

    fn pushed(listener: &mut Listener, bytes: &[u8], sizes: &[usize]) -> Option<Status> {
        let mut rest = bytes;
        let mut sizes = sizes.iter().cycle();
        while !rest.is_empty() {
            let (now, later) = rest.split_at((*sizes.next().unwrap()).clamp(1, rest.len()));
            if let Some(status) = listener.push(now) {
                return Some(status);
            }
            rest = later;
        }
        None
    }

    proptest! {
        #[test]
        fn a_status_is_found_in_any_chunking_behind_any_noise(
            (machine, data) in status(), noise in prop::collection::vec(any::<u8>(), 0..200), sizes in prop::collection::vec(1..20usize, 1..8),
        ) {
            let frame = frame(machine, data);
            let whole = Listener::new(machine).push(&frame);
            prop_assert!(whole.is_some());
            let mut listener = Listener::new(machine);
            prop_assume!(listener.push(&noise).is_none());
            let mut all = noise;
            all.extend(frame);
            let cut = pushed(&mut Listener::new(machine), &all, &sizes);
            prop_assert_eq!(Listener::new(machine).push(&all), cut);
            // A stray mark in the noise may begin what checks out earlier, once in 256 × 256; else it is the whole one.
            prop_assert!(cut.is_some());
        }

        #[test]
        fn one_flipped_bit_makes_no_status((machine, data) in status(), at in 0..STATUS * 8) {
            let mut frame = frame(machine, data);
            frame[at / 8] ^= 1 << (at % 8);
            prop_assert_eq!(Listener::new(machine).push(&frame), None);
        }
    }
}
