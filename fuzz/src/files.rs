//! Files: the config and the journal's segments, whatever stands in them.

use std::path::Path;
use std::sync::Arc;

use limegate::clock::ManualClock;
use limegate::config::{Environment, Language, Style, from_bytes, render, to_json};
use limegate::journal::disk::{Access, Disk};
use limegate::journal::format::{Step, Walk};
use limegate::journal::sim::SimDisk;
use limegate::journal::{Journal, Options, Store};

const SALT: u32 = 7;

/// Any file: no panic, and every mistake can be shown in both languages.
pub fn config(bytes: &[u8]) {
    let diagnostics = match from_bytes(Path::new("limegate.toml"), bytes, &Environment::empty()) {
        Ok((_, warnings)) => warnings,
        Err(mistakes) => mistakes,
    };
    for language in [Language::Ru, Language::En] {
        let shown = render(&diagnostics, Style { language: Some(language), colours: false });
        assert!(!shown.contains('\u{1b}'));
    }
    let _ = to_json(&diagnostics, None);
}

/// Whatever stands in a segment file, reading it ends, does not panic, and gives sequences in order.
pub fn log_reader(bytes: &[u8]) {
    let mut last = 0;
    for step in Walk::new(bytes, 0, SALT, 1, u64::MAX) {
        if let Step::Record(frame) = step {
            assert!(frame.seq > last, "sequences grow");
            last = frame.seq;
        }
    }

    let (disk, dir) = (SimDisk::new(), Path::new("/j"));
    for name in ["00000001-00000000000000000001-00000007.seg", "00000002-00000000000000000100-00000007.seg"] {
        let file = disk.create(&dir.join(name)).and_then(|_| disk.open(&dir.join(name), Access::Write));
        file.and_then(|file| file.write_at(bytes, 0)).expect("a disk in memory");
    }
    let options = Options { inline: true, ..Options::new(dir, Arc::new(ManualClock::synced(0))) };
    let journal = Journal::open(Arc::new(disk), options).expect("damage is no reason not to open");
    let entries = journal.read(0, usize::MAX).expect("a disk in memory");
    assert!(entries.is_sorted_by_key(|entry| entry.seq));
    journal.verify().expect("a disk in memory");
}
