//! OSDP: any bytes in any chunking give the same frames, and a session takes any answer without a panic, without sending more than it should.
#![no_main]

use libfuzzer_sys::fuzz_target;
use limegate::codec::osdp::{Access, Check, Deframer, Frame, Next, Session, Settings};

fn frames(check: Check, chunks: impl Iterator<Item = Vec<u8>>) -> Vec<Frame> {
    let mut deframer = Deframer::new(check);
    let mut out = Vec::new();
    for chunk in chunks {
        deframer.push(&chunk, &mut out);
    }
    deframer.silence(&mut out);
    out
}

fuzz_target!(|input: (bool, u8, &[u8])| {
    let (sum, cut, bytes) = input;
    let check = if sum { Check::Checksum } else { Check::Crc };
    let whole = frames(check, std::iter::once(bytes.to_vec()));
    let cut = frames(check, bytes.chunks(usize::from(cut % 32) + 1).map(<[u8]>::to_vec));
    assert!(whole == cut, "the same frames however they are cut");

    for access in [Access::Clear, Access::Install] {
        let mut session = Session::new(Settings { address: 1, check, access, inputs: true, outputs: vec![0] });
        let (mut now_ms, mut told) = (0, Vec::new());
        for frame in &whole {
            if let Next::Send(sent) = session.next(now_ms, &mut || [7; 8], &mut told) {
                assert!(!sent.is_empty() && sent.len() < 2_048);
            }
            if !session.answer(frame, now_ms, &mut told) {
                session.silence(now_ms, &mut told);
            }
            now_ms += 250;
            told.clear();
        }
    }
});
