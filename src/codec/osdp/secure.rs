//! The secured session: keys, proofs, MACs and encryption (AES-128).
//!
//! From the reader's key (SCBK) and the controller's random number come three keys of the session. Each message carries four bytes of a MAC that begins
//! with the MAC of the message before it from the other side, so that none can be left out, repeated or made up. Data is encrypted; the code is not.

use aes::Aes128;
use aes::cipher::{Block, BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::frame::MAC;

const BLOCK: usize = 16;
/// Ends the data of an encrypted or authenticated message before the zeros that fill its last block.
const END: u8 = 0x80;

/// A reader's key, 16 bytes. Prints as `***` and is wiped when dropped.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Key([u8; BLOCK]);

impl Key {
    /// From 32 hex digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = super::super::uid::bytes(text.trim().as_bytes())?;
        let key = <[u8; BLOCK]>::try_from(bytes.as_slice()).ok().map(Self);
        bytes.zeroize();
        key
    }

    /// The key that every new reader has and everybody knows (SCBK-D).
    pub(super) fn everybodys() -> Self {
        Self(std::array::from_fn(|index| 0x30 + u8::try_from(index).unwrap_or(0)))
    }

    /// Whether it is the key that everybody knows.
    #[must_use]
    pub fn is_everybodys(&self) -> bool {
        *self == Self::everybodys()
    }

    pub(super) fn bytes(&self) -> &[u8; BLOCK] {
        &self.0
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// The keys of one session.
pub(super) struct SessionKeys {
    data: Aes128,
    mac: Aes128,
    last_mac: Aes128,
}

impl SessionKeys {
    /// From the reader's key and the controller's random number.
    pub(super) fn new(key: &Key, controller: &[u8; 8]) -> Self {
        let base = Aes128::new(&key.0.into());
        let derived = |kind: [u8; 2]| {
            let mut block = [0; BLOCK];
            for (to, from) in block.iter_mut().zip(kind.iter().chain(controller.iter().take(6))) {
                *to = *from;
            }
            let mut made = encrypt(&base, block);
            let cipher = Aes128::new(&made.into());
            made.zeroize();
            cipher
        };
        Self { data: derived([0x01, 0x82]), mac: derived([0x01, 0x01]), last_mac: derived([0x01, 0x02]) }
    }

    /// What the reader proves itself with.
    pub(super) fn reader_proof(&self, controller: &[u8; 8], reader: &[u8; 8]) -> [u8; BLOCK] {
        encrypt(&self.data, joined(controller, reader))
    }

    /// What the controller proves itself with.
    pub(super) fn controller_proof(&self, controller: &[u8; 8], reader: &[u8; 8]) -> [u8; BLOCK] {
        encrypt(&self.data, joined(reader, controller))
    }

    /// The MAC that the first command begins with; the reader sends it, and both know it.
    pub(super) fn first_mac(&self, controller_proof: [u8; BLOCK]) -> [u8; BLOCK] {
        encrypt(&self.last_mac, encrypt(&self.mac, controller_proof))
    }
}

/// Which side a message comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Controller,
    Reader,
}

/// An established session.
pub(super) struct Channel {
    keys: SessionKeys,
    command_mac: [u8; BLOCK],
    reply_mac: [u8; BLOCK],
}

impl Channel {
    pub(super) fn new(keys: SessionKeys, first_mac: [u8; BLOCK]) -> Self {
        Self { keys, command_mac: [0; BLOCK], reply_mac: first_mac }
    }

    /// The MAC of a message of one side. Changes nothing.
    fn mac(&self, from: Side, message: &[u8]) -> [u8; BLOCK] {
        let mut chain = self.before(from);
        let (blocks, rest) = message.as_chunks::<BLOCK>();
        let mut padded = [0; BLOCK];
        for (to, byte) in padded.iter_mut().zip(rest.iter().chain([&END])) {
            *to = *byte;
        }
        let blocks = blocks.iter().chain((!rest.is_empty()).then_some(&padded));
        let mut left = message.len().div_ceil(BLOCK);
        for block in blocks {
            left -= 1;
            let cipher = if left == 0 { &self.keys.last_mac } else { &self.keys.mac };
            chain = encrypt(cipher, xor(chain, *block));
        }
        chain
    }

    /// The MAC with which the next message of a side begins: the last one of the other side.
    fn before(&self, from: Side) -> [u8; BLOCK] {
        match from {
            Side::Controller => self.reply_mac,
            Side::Reader => self.command_mac,
        }
    }

    /// The MAC for a message that is being sent. From now on the other side's next message is checked against it.
    pub(super) fn seal(&mut self, from: Side, message: &[u8]) -> [u8; MAC] {
        let mac = self.mac(from, message);
        self.sent_or_taken(from, mac);
        short(&mac)
    }

    /// Whether the MAC at the end of a received message fits; if so, the message counts as taken. One that does not fit changes nothing.
    pub(super) fn open(&mut self, from: Side, message_and_mac: &[u8]) -> bool {
        let Some((message, sent)) = message_and_mac.split_last_chunk::<MAC>() else { return false };
        let mac = self.mac(from, message);
        let fits = same(&short(&mac), sent);
        if fits {
            self.sent_or_taken(from, mac);
        }
        fits
    }

    fn sent_or_taken(&mut self, from: Side, mac: [u8; BLOCK]) {
        match from {
            Side::Controller => self.command_mac = mac,
            Side::Reader => self.reply_mac = mac,
        }
    }

    /// Encrypts the data of a message that is going to be sealed.
    pub(super) fn encrypt(&self, from: Side, data: &[u8]) -> Vec<u8> {
        let mut padded = data.to_vec();
        padded.push(END);
        padded.resize(padded.len().next_multiple_of(BLOCK), 0);
        let mut chain = self.before(from).map(|byte| !byte);
        let (blocks, _) = padded.as_chunks_mut::<BLOCK>();
        for block in blocks {
            chain = encrypt(&self.keys.data, xor(chain, *block));
            *block = chain;
        }
        padded
    }

    /// Decrypts the data of a received message. Before [`Channel::open`], which moves the chain on; to be believed only if that said yes.
    pub(super) fn decrypt(&self, from: Side, data: &[u8]) -> Option<Vec<u8>> {
        let (blocks, rest) = data.as_chunks::<BLOCK>();
        if !rest.is_empty() {
            return None;
        }
        let mut chain = self.before(from).map(|byte| !byte);
        let mut plain = Vec::with_capacity(data.len());
        for block in blocks {
            let mut opened: Block<Aes128> = (*block).into();
            self.keys.data.decrypt_block(&mut opened);
            plain.extend(xor(chain, opened.into()));
            chain = *block;
        }
        let end = plain.iter().rposition(|byte| *byte != 0)?;
        if plain.get(end) != Some(&END) {
            return None;
        }
        plain.truncate(end);
        Some(plain)
    }
}

/// Compares without telling by its time where a difference is.
pub(super) fn same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |different, (a, b)| different | (a ^ b)) == 0
}

fn encrypt(cipher: &Aes128, block: [u8; BLOCK]) -> [u8; BLOCK] {
    let mut block: Block<Aes128> = block.into();
    cipher.encrypt_block(&mut block);
    block.into()
}

fn xor(one: [u8; BLOCK], other: [u8; BLOCK]) -> [u8; BLOCK] {
    std::array::from_fn(|index| one.get(index).copied().unwrap_or(0) ^ other.get(index).copied().unwrap_or(0))
}

fn joined(first: &[u8; 8], second: &[u8; 8]) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    for (to, from) in block.iter_mut().zip(first.iter().chain(second)) {
        *to = *from;
    }
    block
}

fn short(mac: &[u8; BLOCK]) -> [u8; MAC] {
    let [a, b, c, d, ..] = *mac;
    [a, b, c, d]
}
