//! Any bytes in answer to any question, cut anywhere: no panic, and the same answer as in one piece.
//!
//! Input: function, address, first, count, size of the pieces, and then what comes over the line.
#![no_main]

use libfuzzer_sys::fuzz_target;
use limegate::codec::modbus::{Answer, Exchange, Request};

fuzz_target!(|input: &[u8]| {
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
});
