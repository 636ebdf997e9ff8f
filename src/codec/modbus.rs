//! Modbus RTU, the side that asks: requests as frames, and which bytes on the line are the answer to one.
//!
//! A frame is `address function data crcL crcH`; the CRC-16 is reflected, polynomial 0xA001, from 0xFFFF. Frames have no mark at their beginning, and the
//! silence between them does not reach a program through an adapter's buffer; but whoever asked knows what the answer looks like: its address, function
//! and length, and for a write every byte. So an [`Exchange`] takes the first bytes that end in such an answer with a true CRC, whatever came before.
//! Noise, a piece of an older frame, or our own request on a line that echoes are passed over: a request has no answer's length, only that of a write
//! has its answer's bytes, which is why a write is always followed by a read.
//!
//! What it promises: a damaged answer is taken for a true one once in 65 536; a late answer to an equal question is taken for the new one's, so whoever
//! asks drops what waits on the line first. Source: Modbus application protocol 1.1b3 and serial line 1.02; frames held against pymodbus.

/// Longest frame: 256 bytes.
const LONGEST: usize = 256;
/// Most bits that are asked for at once.
const MOST_BITS: u16 = 2_000;
/// Most registers that are asked for at once.
const MOST_WORDS: u16 = 125;

/// A question or an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Function 1.
    ReadCoils {
        /// The first coil.
        first: u16,
        /// How many, 1 to 2000.
        count: u16,
    },
    /// Function 2.
    ReadDiscrete {
        /// The first discrete input.
        first: u16,
        /// How many, 1 to 2000.
        count: u16,
    },
    /// Function 3.
    ReadHolding {
        /// The first holding register.
        first: u16,
        /// How many, 1 to 125.
        count: u16,
    },
    /// Function 4.
    ReadInput {
        /// The first input register.
        first: u16,
        /// How many, 1 to 125.
        count: u16,
    },
    /// Function 5.
    WriteCoil {
        /// Which.
        coil: u16,
        /// On or off.
        on: bool,
    },
    /// Function 6.
    WriteRegister {
        /// Which holding register.
        register: u16,
        /// Its new value.
        value: u16,
    },
}

/// What a module answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// As many bits as were asked for.
    Bits(Vec<bool>),
    /// As many registers as were asked for.
    Words(Vec<u16>),
    /// Written.
    Written,
}

/// The module refuses: Modbus exception code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("exception {:02} ({})", .0, self.word())]
pub struct Exception(pub u8);

impl Exception {
    /// What the standard calls it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self.0 {
            1 => "illegal function",
            2 => "illegal address",
            3 => "illegal value",
            4 => "device failure",
            5 => "acknowledged",
            6 => "busy",
            8 => "memory parity",
            _ => "unknown",
        }
    }
}

impl Request {
    fn function(self) -> u8 {
        match self {
            Self::ReadCoils { .. } => 1,
            Self::ReadDiscrete { .. } => 2,
            Self::ReadHolding { .. } => 3,
            Self::ReadInput { .. } => 4,
            Self::WriteCoil { .. } => 5,
            Self::WriteRegister { .. } => 6,
        }
    }

    /// The two words after the function. A count is brought within the standard's bounds.
    fn words(self) -> (u16, u16) {
        match self {
            Self::ReadCoils { first, count } | Self::ReadDiscrete { first, count } => (first, count.clamp(1, MOST_BITS)),
            Self::ReadHolding { first, count } | Self::ReadInput { first, count } => (first, count.clamp(1, MOST_WORDS)),
            Self::WriteCoil { coil, on } => (coil, if on { 0xFF00 } else { 0 }),
            Self::WriteRegister { register, value } => (register, value),
        }
    }

    /// The frame for the module of this address.
    #[must_use]
    pub fn frame(self, address: u8) -> [u8; 8] {
        let (first, second) = self.words();
        let [a, b] = first.to_be_bytes();
        let [c, d] = second.to_be_bytes();
        let body = [address, self.function(), a, b, c, d];
        let [low, high] = crc(&body).to_le_bytes();
        [address, self.function(), a, b, c, d, low, high]
    }

    /// Bytes of the answer's data, for reads.
    fn data(self) -> Option<u8> {
        let (_, count) = self.words();
        match self {
            Self::ReadCoils { .. } | Self::ReadDiscrete { .. } => u8::try_from(count.div_ceil(8)).ok(),
            Self::ReadHolding { .. } | Self::ReadInput { .. } => u8::try_from(count * 2).ok(),
            Self::WriteCoil { .. } | Self::WriteRegister { .. } => None,
        }
    }

    /// Length of the answer in bytes, its CRC included.
    #[must_use]
    pub fn answer_len(self) -> usize {
        self.data().map_or(8, |data| usize::from(data) + 5)
    }
}

/// A request that was sent, and what has come since.
#[derive(Clone, Debug)]
pub struct Exchange {
    address: u8,
    request: Request,
    /// The last bytes that came, at most as many as the longest frame has.
    tail: Vec<u8>,
    heard: usize,
}

impl Exchange {
    /// Begins with the sending of `request` to `address`.
    #[must_use]
    pub fn new(address: u8, request: Request) -> Self {
        Self { address, request, tail: Vec::with_capacity(request.answer_len()), heard: 0 }
    }

    /// Takes the next bytes; the answer when they complete it. However the same bytes are cut into calls, the same answer comes.
    pub fn push(&mut self, bytes: &[u8]) -> Option<Result<Answer, Exception>> {
        for byte in bytes {
            self.heard = self.heard.saturating_add(1);
            if self.tail.len() == LONGEST {
                self.tail.remove(0);
            }
            self.tail.push(*byte);
            if let Some(answer) = self.complete() {
                return Some(answer);
            }
        }
        None
    }

    /// Bytes came that are no answer.
    #[must_use]
    pub fn heard_noise(&self) -> bool {
        self.heard > 0
    }

    /// Whether the bytes so far end in the answer.
    fn complete(&self) -> Option<Result<Answer, Exception>> {
        let function = self.request.function();
        if let [address, refused, code, ..] = self.last(5)
            && (*address, *refused) == (self.address, function | 0x80)
            && is_true(self.last(5))
        {
            return Some(Err(Exception(*code)));
        }
        let frame = self.last(self.request.answer_len());
        match (frame, self.request.data()) {
            // While fewer bytes have come, those that there are may end in what looks like their CRC.
            ([address, answered, count, data @ .., _, _], Some(expected))
                if frame.len() == self.request.answer_len()
                    && (*address, *answered, *count) == (self.address, function, expected)
                    && is_true(frame) =>
            {
                Some(Ok(self.read(data)))
            }
            (frame, None) if frame == self.request.frame(self.address) => Some(Ok(Answer::Written)),
            _ => None,
        }
    }

    fn read(&self, data: &[u8]) -> Answer {
        let (_, count) = self.request.words();
        match self.request {
            Request::ReadCoils { .. } | Request::ReadDiscrete { .. } => {
                let bits = data.iter().flat_map(|byte| (0..8).map(move |bit| byte >> bit & 1 == 1));
                Answer::Bits(bits.take(usize::from(count)).collect())
            }
            _ => Answer::Words(data.chunks_exact(2).map(|pair| pair.iter().fold(0, |word, byte| word << 8 | u16::from(*byte))).collect()),
        }
    }

    /// The last `count` bytes; fewer when fewer came.
    fn last(&self, count: usize) -> &[u8] {
        self.tail.get(self.tail.len().saturating_sub(count)..).unwrap_or_default()
    }
}

/// Whether the CRC at the end of a frame is that of the bytes before it.
fn is_true(frame: &[u8]) -> bool {
    matches!(frame, [body @ .., low, high] if !body.is_empty() && crc(body) == u16::from_le_bytes([*low, *high]))
}

fn crc(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xFFFF, |crc, byte| (0..8).fold(crc ^ u16::from(*byte), |crc: u16, _| if crc & 1 == 1 { crc >> 1 ^ 0xA001 } else { crc >> 1 }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        text.split(' ').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
    }

    #[test]
    fn frames_are_those_that_pymodbus_and_tokio_modbus_exchanged() {
        assert_eq!(Request::WriteCoil { coil: 0, on: true }.frame(1).to_vec(), hex("01 05 00 00 ff 00 8c 3a"));
        assert_eq!(Request::WriteCoil { coil: 0, on: false }.frame(1).to_vec(), hex("01 05 00 00 00 00 cd ca"));
        let inputs = Request::ReadDiscrete { first: 0, count: 8 };
        assert_eq!(inputs.frame(1).to_vec(), hex("01 02 00 00 00 08 79 cc"));
        let bits = [true, false, true, false, false, false, false, false].to_vec();
        assert_eq!(Exchange::new(1, inputs).push(&hex("01 02 01 05 61 8b")), Some(Ok(Answer::Bits(bits))));
        let coils = Request::ReadCoils { first: 5000, count: 8 };
        assert_eq!(coils.frame(1).to_vec(), hex("01 01 13 88 00 08 b9 62"));
        assert_eq!(Exchange::new(1, coils).push(&hex("01 81 02 c1 91")), Some(Err(Exception(2))));
    }

    #[test]
    fn a_count_that_looks_like_the_crc_of_the_bytes_before_it_is_no_shorter_answer() {
        let head = [1, 4, 2];
        let [high, low] = crc(&head).to_le_bytes();
        let mut frame = [&head[..], &[high, low]].concat();
        frame.extend(crc(&frame).to_le_bytes());
        let counter = Request::ReadInput { first: 32, count: 1 };
        assert_eq!(Exchange::new(1, counter).push(&frame), Some(Ok(Answer::Words(vec![u16::from_be_bytes([high, low])]))));
    }

    #[test]
    fn the_echo_of_a_question_is_no_answer_to_it() {
        for request in
            [Request::ReadCoils { first: 0, count: 8 }, Request::ReadInput { first: 32, count: 2 }, Request::ReadHolding { first: 8, count: 1 }]
        {
            assert_eq!(Exchange::new(1, request).push(&request.frame(1)), None);
        }
    }

    fn request() -> impl Strategy<Value = Request> {
        prop_oneof![
            (any::<u16>(), 1..=64u16).prop_map(|(first, count)| Request::ReadCoils { first, count }),
            (any::<u16>(), 1..=64u16).prop_map(|(first, count)| Request::ReadDiscrete { first, count }),
            (any::<u16>(), 1..=40u16).prop_map(|(first, count)| Request::ReadHolding { first, count }),
            (any::<u16>(), 1..=40u16).prop_map(|(first, count)| Request::ReadInput { first, count }),
            (any::<u16>(), any::<bool>()).prop_map(|(coil, on)| Request::WriteCoil { coil, on }),
            (any::<u16>(), any::<u16>()).prop_map(|(register, value)| Request::WriteRegister { register, value }),
        ]
    }

    /// The answer of a module whose bits and registers are made from `seed`, and its frame.
    fn answer(address: u8, request: Request, seed: u64) -> (Answer, Vec<u8>) {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut frame = vec![address, request.function()];
        let (_, count) = request.words();
        let answer = match request {
            Request::ReadCoils { .. } | Request::ReadDiscrete { .. } => {
                let bits: Vec<bool> = (0..count).map(|_| rng.bool()).collect();
                let data: Vec<u8> = bits.chunks(8).map(|eight| eight.iter().rev().fold(0, |byte, bit| byte << 1 | u8::from(*bit))).collect();
                frame.push(u8::try_from(data.len()).unwrap());
                frame.extend(data);
                Answer::Bits(bits)
            }
            Request::ReadHolding { .. } | Request::ReadInput { .. } => {
                let words: Vec<u16> = (0..count).map(|_| rng.u16(..)).collect();
                frame.push(u8::try_from(words.len() * 2).unwrap());
                frame.extend(words.iter().flat_map(|word| word.to_be_bytes()));
                Answer::Words(words)
            }
            Request::WriteCoil { .. } | Request::WriteRegister { .. } => return (Answer::Written, request.frame(address).to_vec()),
        };
        let crc = crc(&frame);
        frame.extend(crc.to_le_bytes());
        (answer, frame)
    }

    fn pushed(exchange: &mut Exchange, bytes: &[u8], sizes: &[usize]) -> Option<Result<Answer, Exception>> {
        let mut rest = bytes;
        let mut sizes = sizes.iter().cycle();
        while !rest.is_empty() {
            let (now, later) = rest.split_at((*sizes.next().unwrap()).clamp(1, rest.len()));
            if let Some(answer) = exchange.push(now) {
                return Some(answer);
            }
            rest = later;
        }
        None
    }

    proptest! {
        #[test]
        fn an_answer_is_found_in_any_chunking_behind_any_noise_and_once_where_it_is_doubled(
            address in 1..=247u8, request in request(), seed in any::<u64>(),
            noise in prop::collection::vec(any::<u8>(), 0..600), sizes in prop::collection::vec(1..20usize, 1..8),
        ) {
            let (answer, frame) = answer(address, request, seed);
            let mut exchange = Exchange::new(address, request);
            let found = pushed(&mut exchange, &noise, &sizes);
            // Noise that is an answer by itself is one case in 65 536 for each byte of it.
            prop_assume!(found.is_none());
            prop_assert_eq!(pushed(&mut exchange, &[frame.clone(), frame].concat(), &sizes), Some(Ok(answer)));
        }

        #[test]
        fn any_bytes_cut_anywhere_give_what_they_give_in_one_piece(
            address in any::<u8>(), request in request(), bytes in prop::collection::vec(any::<u8>(), 0..400), sizes in prop::collection::vec(1..9usize, 1..8),
        ) {
            let mut bytes = bytes;
            bytes.extend(answer(address, request, 5).1);
            let whole = Exchange::new(address, request).push(&bytes);
            prop_assert_eq!(pushed(&mut Exchange::new(address, request), &bytes, &sizes), whole);
        }

        #[test]
        fn one_flipped_bit_makes_no_answer(address in 1..=247u8, request in request(), seed in any::<u64>(), at in any::<prop::sample::Index>()) {
            let (_, mut frame) = answer(address, request, seed);
            let bit = at.index(frame.len() * 8);
            frame[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(Exchange::new(address, request).push(&frame), None);
        }

        #[test]
        fn answers_of_other_modules_and_to_other_questions_are_passed_over(
            address in 1..=247u8, other in 1..=247u8, asked in request(), answered in request(), seed in any::<u64>(),
        ) {
            prop_assume!(address != other);
            prop_assert_eq!(Exchange::new(address, asked).push(&answer(other, asked, seed).1), None);
            prop_assume!(asked.function() != answered.function());
            prop_assert_eq!(Exchange::new(address, asked).push(&answer(address, answered, seed).1), None);
        }
    }
}
