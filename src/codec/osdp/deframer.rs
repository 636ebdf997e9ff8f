//! From bytes to frames. After damage the search goes on with the byte after the one that began the damaged frame, so that no undamaged frame behind or
//! inside it is missed.

use std::collections::VecDeque;

use super::frame::{Check, Frame, Head, LONGEST, START};

/// Collects the bytes of one line.
#[derive(Debug, Default)]
pub struct Deframer {
    check: Check,
    held: VecDeque<u8>,
    damaged: u64,
}

impl Deframer {
    /// For a line with this check.
    #[must_use]
    pub fn new(check: Check) -> Self {
        Self { check, held: VecDeque::new(), damaged: 0 }
    }

    /// Takes the next bytes and appends the frames that they complete. However the same bytes are cut into calls, the same comes out.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<Frame>) {
        self.held.extend(bytes);
        self.search(out, false);
    }

    /// The line is silent, or the time for an answer is over: a begun frame gets no end any more. What follows its first byte is searched again.
    pub fn silence(&mut self, out: &mut Vec<Frame>) {
        self.search(out, true);
    }

    /// Forgets what is held: the port was reopened.
    pub fn reset(&mut self) {
        self.held.clear();
    }

    /// Whether a frame has begun and waits for its end.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        !self.held.is_empty()
    }

    /// Frames since the start whose check did not fit, or that broke off.
    #[must_use]
    pub fn damaged(&self) -> u64 {
        self.damaged
    }

    fn search(&mut self, out: &mut Vec<Frame>, ended: bool) {
        let bytes = self.held.make_contiguous();
        let mut from = 0;
        loop {
            let Some(rest) = bytes.get(from..) else { break };
            let Some(skip) = rest.iter().position(|byte| *byte == START) else {
                from = bytes.len();
                break;
            };
            from += skip;
            let rest = rest.get(skip..).unwrap_or_default();
            let length = match Frame::head(rest, self.check) {
                Head::Short if !ended => break,
                Head::Length(length) if rest.len() < length && !ended => break,
                Head::Length(length) if rest.len() >= length => length,
                Head::Length(_) => {
                    self.damaged += 1;
                    from += 1;
                    continue;
                }
                Head::Short | Head::No => {
                    from += 1;
                    continue;
                }
            };
            match Frame::parse(rest.get(..length).unwrap_or_default(), self.check) {
                Some(frame) => {
                    out.push(frame);
                    from += length;
                }
                None => {
                    self.damaged += 1;
                    from += 1;
                }
            }
        }
        self.held.drain(..from);
        debug_assert!(self.held.len() < LONGEST);
    }
}
