//! Devices that are asked: any bytes in answer, in one piece and cut anywhere, are the same answer, and no panic.

use limegate::codec::gate_board::Listener;
use limegate::codec::modbus::{Answer, Exchange, Request};
use limegate::codec::osdp::{Access, CardOptions, Check, Deframer, Event, Frame, Key, Layout, Next, Session, Settings, Text};

/// Input: machine, size of the pieces, and then what comes over the line.
pub fn codec_gate_board(input: &[u8]) {
    let [machine, cut, bytes @ ..] = input else { return };
    let whole = Listener::new(*machine).push(bytes);
    let mut listener = Listener::new(*machine);
    let pieces = bytes.chunks(usize::from(cut % 32) + 1).find_map(|piece| listener.push(piece));
    assert_eq!(whole, pieces);
}

/// Input: function, address, first, count, size of the pieces, and then what comes over the line.
pub fn codec_modbus(input: &[u8]) {
    let [function, address, first, count, cut, bytes @ ..] = input else { return };
    let (first, count) = (u16::from(*first), u16::from(*count));
    let request = match function % 6 {
        0 => Request::ReadCoils { first, count },
        1 => Request::ReadDiscrete { first, count },
        2 => Request::ReadHolding { first, count },
        3 => Request::ReadInput { first, count },
        4 => Request::WriteCoil { coil: first, on: count & 1 == 1 },
        _ => Request::WriteRegister { register: first, value: count },
    };
    let whole = Exchange::new(*address, request).push(bytes);
    let mut exchange = Exchange::new(*address, request);
    let pieces = bytes.chunks(usize::from(cut % 32) + 1).find_map(|piece| exchange.push(piece));
    assert_eq!(whole, pieces);
    if let Some(Ok(Answer::Bits(bits))) = &whole {
        assert_eq!(bits.len(), usize::from(count.max(1)), "as many as were asked for");
    }
}

/// The same frames however they are cut, and a session that takes no answer it cannot check.
///
/// Input: settings as bits, size of the pieces, and then what comes over the line.
pub fn codec_osdp(input: &[u8]) {
    let [flags, cut, bytes @ ..] = input else { return };
    let check = if flags & 1 == 0 { Check::Crc } else { Check::Checksum };
    let whole = frames(check, std::iter::once(bytes));
    assert_eq!(whole, frames(check, bytes.chunks(usize::from(cut % 32) + 1)));

    let key = Key::parse("000102030405060708090a0b0c0d0e0f").expect("a key");
    let secured = flags & 2 != 0;
    let access = if secured { Access::Key(key) } else { Access::Clear };
    let mut session = Session::new(Settings { address: 1, check, access, inputs: true, outputs: vec![0] });
    let (mut now_ms, mut events) = (0, Vec::new());
    let layout = if flags & 4 == 0 { Layout::Standard } else { Layout::Raw };
    let options = CardOptions { layout, wiegand26: flags & 8 != 0, text: Text::Qr, ..CardOptions::default() };
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
}

fn frames<'a>(check: Check, chunks: impl Iterator<Item = &'a [u8]>) -> Vec<Frame> {
    let (mut deframer, mut out) = (Deframer::new(check), Vec::new());
    for chunk in chunks {
        deframer.push(chunk, &mut out);
    }
    deframer.silence(&mut out);
    out
}
