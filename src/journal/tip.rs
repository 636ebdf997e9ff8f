//! How far the log certainly reached, in a file of its own: `tip`, two slots of one block, written in turn at checkpoints and at a clean stop.
//!
//! The log's end is where its last good record is, so bytes that rot right there look like a commit that the power cut. The tip tells the two apart:
//! what it names was durable, and is damage when it is missing. A lost or damaged tip costs that knowledge and nothing else.

use std::io;
use std::path::Path;

use crate::domain::Seq;

use super::disk::{Access, Disk, read_up_to, write_all};
use super::format::BLOCK;

const NAME: &str = "tip";
const MAGIC: &[u8; 8] = b"LIMETIP1";

/// What was durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tip {
    /// Counts the writes of this file.
    pub count: u64,
    /// The last durable sequence.
    pub last_seq: Seq,
    /// Passes numbered.
    pub passes: u64,
}

impl Tip {
    fn encode(self) -> Vec<u8> {
        let mut slot = MAGIC.to_vec();
        for number in [self.count, self.last_seq, self.passes] {
            slot.extend_from_slice(&number.to_le_bytes());
        }
        let sum = crc32c::crc32c(&slot);
        slot.extend_from_slice(&sum.to_le_bytes());
        slot.resize(BLOCK, 0);
        slot
    }

    fn decode(slot: &[u8]) -> Option<Self> {
        let number = |at: usize| Some(u64::from_le_bytes(slot.get(at..at + 8)?.try_into().ok()?));
        let sum = u32::from_le_bytes(slot.get(32..36)?.try_into().ok()?);
        if slot.get(..8)? != MAGIC || sum != crc32c::crc32c(slot.get(..32)?) {
            return None;
        }
        Some(Self { count: number(8)?, last_seq: number(16)?, passes: number(24)? })
    }

    /// The newest slot that checks out.
    pub fn read(disk: &dyn Disk, dir: &Path) -> Self {
        let bytes = disk.open(&dir.join(NAME), Access::Read).and_then(|file| read_up_to(file.as_ref(), 0, 2 * BLOCK)).unwrap_or_default();
        let slots = bytes.chunks(BLOCK).filter_map(Self::decode);
        slots.max_by_key(|slot| slot.count).unwrap_or_default()
    }

    /// Writes it into the other slot and syncs.
    pub fn write(self, disk: &dyn Disk, dir: &Path) -> io::Result<()> {
        let path = dir.join(NAME);
        let (file, new) = match disk.open(&path, Access::Write) {
            Ok(file) => (file, false),
            Err(error) if error.kind() == io::ErrorKind::NotFound => (disk.create(&path)?, true),
            Err(error) => return Err(error),
        };
        write_all(file.as_ref(), &self.encode(), (self.count % 2) * BLOCK as u64)?;
        file.sync_data()?;
        if new { disk.sync_dir(dir) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::sim::SimDisk;

    #[test]
    fn the_newer_slot_counts_and_a_damaged_one_falls_back_to_the_older() {
        let (disk, dir) = (SimDisk::new(), Path::new("/j"));
        assert_eq!(Tip::read(&disk, dir), Tip::default());
        for count in 1..=3 {
            Tip { count, last_seq: count * 10, passes: count }.write(&disk, dir).unwrap();
        }
        assert_eq!(Tip::read(&disk, dir).last_seq, 30);
        disk.damage(&dir.join(NAME), |bytes| bytes[BLOCK + 20] ^= 1);
        assert_eq!(Tip::read(&disk, dir).last_seq, 20);
    }
}
