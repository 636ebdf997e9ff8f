//! Modbus RTU: any bytes in any chunking give the same answer, and only one that belongs to the request.
#![no_main]

use libfuzzer_sys::fuzz_target;
use limegate::codec::modbus::{Answer, Exchange, Request};

fuzz_target!(|input: (u8, u16, u16, u8, u8, &[u8])| {
    let (kind, first, count, address, cut, bytes) = input;
    let count = count % 64 + 1;
    let request = match kind % 4 {
        0 => Request::ReadCoils { first, count },
        1 => Request::ReadDiscrete { first, count },
        2 => Request::ReadInput { first, count },
        _ => Request::WriteCoil { coil: first, on: count % 2 == 0 },
    };
    assert_eq!(request.frame(address).len(), 8);
    let whole = Exchange::new(address, request).push(bytes);
    let mut exchange = Exchange::new(address, request);
    let cut = bytes.chunks(usize::from(cut % 16) + 1).find_map(|chunk| exchange.push(chunk));
    assert_eq!(whole, cut, "the same answer however it is cut");
    if let Some(Ok(Answer::Bits(bits))) = &whole {
        assert_eq!(bits.len(), usize::from(count));
    }
});
