//! How a secured session begins: the controller challenges, the reader proves that it has the key, the controller proves the same, the reader confirms.

use super::frame::Security;
use super::secure::{Channel, Key, SessionKeys, same};
use super::session::Access;

/// Types of the security block.
pub(super) const CHALLENGE: u8 = 0x11;
pub(super) const CHALLENGED: u8 = 0x12;
pub(super) const PROOF: u8 = 0x13;
pub(super) const CONFIRMED: u8 = 0x14;
pub(super) const COMMAND: u8 = 0x15;
pub(super) const ANSWER: u8 = 0x16;
pub(super) const COMMAND_DATA: u8 = 0x17;
pub(super) const ANSWER_DATA: u8 = 0x18;

/// A session that is being begun.
pub(super) struct Handshake {
    random: [u8; 8],
    keys: SessionKeys,
    /// Data of the security block: 1 for the reader's own key, 0 for the one that everybody knows.
    block: [u8; 1],
    proof: [u8; 16],
}

impl Handshake {
    /// With the controller's random number. `None` where the access is in the clear.
    pub(super) fn begin(access: &Access, random: [u8; 8]) -> Option<Self> {
        let (keys, block) = match access {
            Access::Clear => return None,
            Access::Key(key) => (SessionKeys::new(key, &random), 1),
            Access::Install => (SessionKeys::new(&Key::everybodys(), &random), 0),
        };
        Some(Self { random, keys, block: [block], proof: [0; 16] })
    }

    pub(super) fn random(&self) -> [u8; 8] {
        self.random
    }

    pub(super) fn block(&self) -> &[u8] {
        &self.block
    }

    pub(super) fn proof(&self) -> [u8; 16] {
        self.proof
    }

    /// The reader answered the challenge. False: it does not have the key.
    pub(super) fn challenged(&mut self, security: Option<Security<'_>>, reader: &[u8; 8], cryptogram: &[u8; 16]) -> bool {
        let block = security.is_some_and(|security| security.kind == CHALLENGED && security.data == self.block);
        let proved = same(&self.keys.reader_proof(&self.random, reader), cryptogram);
        self.proof = self.keys.controller_proof(&self.random, reader);
        block && proved
    }

    /// The reader answered our proof. `None`: it did not accept it.
    pub(super) fn confirmed(self, security: Option<Security<'_>>, first_mac: &[u8; 16]) -> Option<Channel> {
        let accepted = security.is_some_and(|security| security.kind == CONFIRMED && security.data == [1]);
        let expected = self.keys.first_mac(self.proof);
        (accepted && same(&expected, first_mac)).then(|| Channel::new(self.keys, expected))
    }
}
