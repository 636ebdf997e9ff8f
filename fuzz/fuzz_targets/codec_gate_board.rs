//! 7E/7F gate boards: any bytes in any chunking give the same status.
#![no_main]

use libfuzzer_sys::fuzz_target;
use limegate::codec::gate_board::Listener;

fuzz_target!(|input: (u8, u8, &[u8])| {
    let (machine, cut, bytes) = input;
    let whole = Listener::new(machine).push(bytes);
    let mut listener = Listener::new(machine);
    let cut = bytes.chunks(usize::from(cut % 32) + 1).find_map(|chunk| listener.push(chunk));
    assert_eq!(whole, cut, "the same status however it is cut");
});
