//! Framing shared by the text protocols: where a frame begins and ends in a stream of bytes.
//!
//! Resync rules. With a header, bytes outside a frame are noise and the header always begins a new frame. Without one, a frame begins after the last
//! terminator; what noise stands before it, the codec has to tell. A frame that grows over its maximum keeps its tail only.
//!
//! Never: more than twice the maximum held in memory.

use serde::Deserialize;

use super::Bad;

/// What ends a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// CR. A LF after it is ignored.
    Cr,
    /// LF. A CR before it is ignored.
    Lf,
    /// CR and LF together; either alone belongs to the payload.
    CrLf,
    /// CR or LF, whichever comes.
    AnyNewline,
    /// ETX (03).
    Etx,
    /// Nothing: the line goes silent.
    Silence,
}

/// How frames stand in the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Framing {
    /// The byte that begins a frame (STX, 02), where there is one.
    pub header: Option<u8>,
    /// What ends it.
    pub end: End,
    /// A check byte follows the terminator: XOR of all after the header, terminator included (Denso "BCC").
    pub check: bool,
    /// Most bytes between header and terminator.
    pub max: usize,
}

const ETX: u8 = 0x03;

#[derive(Debug)]
enum State {
    /// Waits for the header.
    Outside,
    /// Collects.
    Inside,
    /// The terminator came, the check byte did not.
    CheckDue,
}

/// The frame being collected.
#[derive(Debug)]
pub(super) struct Lines {
    framing: Framing,
    buffer: Vec<u8>,
    state: State,
    overflow: bool,
}

/// What one byte led to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing yet.
    More,
    /// [`Lines::content`] is a frame. Call [`Lines::clear`] when done with it.
    Frame,
    /// A frame was given up; another may have begun.
    Bad(Bad),
}

impl Lines {
    pub(super) fn new(framing: Framing) -> Self {
        let mut lines = Self { framing, buffer: Vec::new(), state: State::Outside, overflow: false };
        lines.clear();
        lines
    }

    /// What stands between header and terminator; the last `max` bytes of it when there are more.
    pub(super) fn content(&self) -> &[u8] {
        let from = self.buffer.len().saturating_sub(self.framing.max);
        self.buffer.get(from..).unwrap_or_default()
    }

    /// There was more than `content` shows.
    pub(super) fn overflowed(&self) -> bool {
        self.overflow || self.buffer.len() > self.framing.max
    }

    /// A frame is begun.
    pub(super) fn begun(&self) -> bool {
        match self.state {
            State::Outside => false,
            State::Inside => self.framing.header.is_some() || !self.buffer.is_empty(),
            State::CheckDue => true,
        }
    }

    /// Ready for the next frame.
    pub(super) fn clear(&mut self) {
        self.buffer.clear();
        self.overflow = false;
        self.state = if self.framing.header.is_some() { State::Outside } else { State::Inside };
    }

    pub(super) fn push(&mut self, byte: u8) -> Step {
        match self.state {
            State::CheckDue => self.check(byte),
            _ if self.framing.header == Some(byte) => self.begin(),
            State::Outside => Step::More,
            State::Inside => self.collect(byte),
        }
    }

    fn begin(&mut self) -> Step {
        let cut = matches!(self.state, State::Inside) && !self.buffer.is_empty();
        self.clear();
        self.state = State::Inside;
        if cut { Step::Bad(Bad::Cut) } else { Step::More }
    }

    fn collect(&mut self, byte: u8) -> Step {
        let ended = match self.framing.end {
            End::Cr => byte == b'\r',
            End::Lf => byte == b'\n',
            End::AnyNewline => byte == b'\r' || byte == b'\n',
            End::CrLf => byte == b'\n' && self.buffer.last() == Some(&b'\r'),
            End::Etx => byte == ETX,
            End::Silence => false,
        };
        if ended {
            let tolerated = self.framing.end == End::Lf && !self.framing.check;
            if (tolerated || self.framing.end == End::CrLf) && self.buffer.last() == Some(&b'\r') {
                self.buffer.pop();
            }
            if self.framing.header.is_some() && self.overflowed() {
                self.clear();
                return Step::Bad(Bad::TooLong);
            }
            if self.framing.check {
                self.state = State::CheckDue;
                return Step::More;
            }
            return Step::Frame;
        }
        if self.framing.end == End::Cr && byte == b'\n' && self.buffer.is_empty() {
            return Step::More;
        }
        self.buffer.push(byte);
        // One more than the maximum is held for the CR of a CR LF.
        if self.framing.header.is_some() && self.buffer.len() > self.framing.max + 1 {
            self.clear();
            return Step::Bad(Bad::TooLong);
        }
        if self.buffer.len() >= self.framing.max.saturating_mul(2).max(2) {
            self.buffer.drain(..self.buffer.len() - self.framing.max);
            self.overflow = true;
        }
        Step::More
    }

    fn check(&mut self, byte: u8) -> Step {
        let end: &[u8] = match self.framing.end {
            End::Cr | End::AnyNewline => b"\r",
            End::Lf => b"\n",
            End::CrLf => b"\r\n",
            End::Etx => &[ETX],
            End::Silence => &[],
        };
        let sum = self.buffer.iter().chain(end).fold(0, |sum, byte| sum ^ byte);
        if sum == byte && !self.overflowed() {
            return Step::Frame;
        }
        self.clear();
        // The check byte itself may have been lost, and this be the next frame's first.
        if self.framing.header == Some(byte) {
            self.state = State::Inside;
        }
        Step::Bad(Bad::Checksum)
    }
}
