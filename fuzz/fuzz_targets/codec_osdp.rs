//! Any bytes on an OSDP line, cut anywhere: no panic, the same frames as in one piece, and a session that takes no answer it cannot check.
#![no_main]

use libfuzzer_sys::fuzz_target;
use limegate::codec::osdp::{Access, CardOptions, Check, Deframer, Event, Frame, Key, Layout, Next, Session, Settings, Text};

fn frames<'a>(check: Check, chunks: impl Iterator<Item = &'a [u8]>) -> Vec<Frame> {
    let (mut deframer, mut out) = (Deframer::new(check), Vec::new());
    for chunk in chunks {
        deframer.push(chunk, &mut out);
    }
    deframer.silence(&mut out);
    out
}

fuzz_target!(|input: (u8, u8, &[u8])| {
    let (flags, cut, bytes) = input;
    let check = if flags & 1 == 0 { Check::Crc } else { Check::Checksum };
    let whole = frames(check, std::iter::once(bytes));
    assert_eq!(whole, frames(check, bytes.chunks(usize::from(cut % 32) + 1)));

    let key = Key::parse("000102030405060708090a0b0c0d0e0f").expect("a key");
    let secured = flags & 2 != 0;
    let access = if secured { Access::Key(key) } else { Access::Clear };
    let mut session = Session::new(Settings { address: 1, check, access, inputs: true, outputs: vec![0] });
    let (mut now_ms, mut events) = (0, Vec::new());
    let options = CardOptions { layout: if flags & 4 == 0 { Layout::Standard } else { Layout::Raw }, wiegand26: flags & 8 != 0, text: Text::Qr, ..CardOptions::default() };
    for frame in &whole {
        match session.next(now_ms, &mut || [7; 8], &mut events) {
            Next::Wait(until_ms) => {
                assert!(until_ms > now_ms);
                now_ms = until_ms;
            }
            Next::Send(_) => {
                now_ms += 20;
                if !session.answer(frame, now_ms, &mut events) {
                    now_ms += 200;
                    session.silence(now_ms, &mut events);
                }
            }
        }
    }
    for event in &events {
        if let Event::Card(card) = event {
            let _ = card.medium(&options);
        }
    }
    // The proof of a reader with the key cannot be guessed.
    assert!(!secured || !events.iter().any(|event| matches!(event, Event::Online { .. } | Event::Card(_))));
});
