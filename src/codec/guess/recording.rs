//! What was heard on a line, with its gaps.

use crate::codec::{Line, Parity};

/// A recording keeps its newest bytes, so many at most.
const MOST_BYTES: usize = 64 * 1024;

/// Bytes that came in one go.
#[derive(Clone, PartialEq, Eq)]
pub struct Chunk {
    /// How long the line was silent before, milliseconds.
    pub after_ms: u64,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// What was heard at one setting of the line.
#[derive(Clone, PartialEq, Eq)]
pub struct Recording {
    /// The setting.
    pub line: Line,
    /// Bytes that came with wrong parity or without their stop bit.
    pub damaged: u64,
    /// How long it has been silent since the last byte, milliseconds.
    pub silent_ms: u64,
    chunks: Vec<Chunk>,
    length: usize,
}

// A recording holds cards: its debug text does not.
impl std::fmt::Debug for Chunk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Chunk({} bytes after {} ms)", self.bytes.len(), self.after_ms)
    }
}

impl std::fmt::Debug for Recording {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Recording({} bytes in {} chunks at {})", self.length, self.chunks.len(), self.line)
    }
}

impl Recording {
    /// Nothing yet.
    #[must_use]
    pub fn new(line: Line) -> Self {
        Self { line, damaged: 0, silent_ms: 0, chunks: Vec::new(), length: 0 }
    }

    /// Bytes came, so long after the last ones.
    pub fn push(&mut self, after_ms: u64, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.silent_ms = 0;
        self.length += bytes.len();
        self.chunks.push(Chunk { after_ms, bytes: bytes.to_vec() });
        while self.length > MOST_BYTES && self.chunks.len() > 1 {
            self.length -= self.chunks.remove(0).bytes.len();
        }
    }

    /// The chunks, oldest first.
    #[must_use]
    pub fn chunks(&self) -> &[Chunk] {
        &self.chunks
    }

    /// How many bytes it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The same with other bytes.
    pub(super) fn map(&self, mut change: impl FnMut(u8) -> Option<u8>) -> Self {
        let mut other = Self { chunks: Vec::new(), length: 0, ..self.clone() };
        for chunk in &self.chunks {
            let bytes: Vec<u8> = chunk.bytes.iter().filter_map(|byte| change(*byte)).collect();
            other.length += bytes.len();
            other.chunks.push(Chunk { after_ms: chunk.after_ms, bytes });
        }
        other
    }

    /// What was really said, where a line of 7 bits with parity was heard as one of 8 bits: every byte has the same parity, and some have the eighth bit.
    pub(super) fn with_seven_bits(&self) -> Option<Self> {
        if self.line.data_bits != 8 || self.line.parity != Parity::None || self.length < 8 {
            return None;
        }
        let (mut high, mut odd) = (0_usize, 0_usize);
        for byte in self.chunks.iter().flat_map(|chunk| &chunk.bytes) {
            high += usize::from(*byte & 0x80 != 0);
            odd += usize::from(byte.count_ones() % 2 == 1);
        }
        // One in fifty may be damaged.
        let few = self.length / 50;
        let parity = match odd {
            odd if high > 0 && odd <= few => Parity::Even,
            odd if high > 0 && odd >= self.length - few => Parity::Odd,
            _ => return None,
        };
        let mut other = self.map(|byte| Some(byte & 0x7F));
        other.line = Line { data_bits: 7, parity, ..self.line };
        Some(other)
    }
}
