//! Any bytes, cut anywhere: no panic, and the same status as in one piece.
//!
//! Input: machine, size of the pieces, and then what comes over the line.
#![no_main]

use libfuzzer_sys::fuzz_target;
use limegate::codec::gate_board::Listener;

fuzz_target!(|input: &[u8]| {
    let [machine, cut, bytes @ ..] = input else { return };
    let whole = Listener::new(*machine).push(bytes);
    let mut listener = Listener::new(*machine);
    let pieces = bytes.chunks(usize::from(cut % 32) + 1).find_map(|piece| listener.push(piece));
    assert_eq!(whole, pieces);
});
