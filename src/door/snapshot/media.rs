//! Media and entitlements as keyed hashes: what the snapshot keeps of them, and what gates of one venue tell each other.
//!
//! HMAC-SHA256, cut to 16 bytes. The key is the venue's, where the config has one, so that neighbouring gates and Lime name a medium alike; else it is made
//! on this box and never leaves it. Never: a card number on disk, in a message, or in a `Debug`.

use std::fmt;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use minicbor::{Decode, Encode};
use ring::hmac;

use crate::domain::{Medium, MediumKind, Secret};

/// The file of the key that this box has made for itself, below the snapshot's folder.
const KEY_FILE: &str = "media.key";

/// A medium, or an entitlement, as its keyed hash.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Encode, Decode)]
#[cbor(transparent)]
pub struct Hash(
    #[n(0)]
    #[cbor(with = "minicbor::bytes")]
    pub [u8; 16],
);

impl Hash {
    /// From 32 or more lower-case hex digits, of which the first 32 count.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut bytes = [0; 16];
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let digit = |letter: u8| match letter {
                b'0'..=b'9' => Some(letter - b'0'),
                b'a'..=b'f' => Some(letter - b'a' + 10),
                _ => None,
            };
            *byte = digit(*pair.first()?)? << 4 | digit(*pair.last()?)?;
        }
        (text.len() >= 32).then_some(Self(bytes))
    }

    /// 32 lower-case hex digits.
    #[must_use]
    pub fn to_hex(self) -> String {
        use fmt::Write as _;
        self.0.iter().fold(String::with_capacity(32), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

/// A short beginning: enough to tell two apart in a test, too little to look anybody up.
impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.to_hex().get(..6).unwrap_or_default())
    }
}

/// The key of the hashes.
#[derive(Clone)]
pub struct MediaKey {
    key: hmac::Key,
    shared: bool,
}

impl fmt::Debug for MediaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MediaKey")
    }
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The disk refuses, or the system gives no random numbers.
    #[error("the key of the snapshot's media cannot be kept in {0}: {1}")]
    Disk(String, std::io::Error),
}

impl MediaKey {
    /// The venue's key: the same on each of its gateways, and at Lime where that sends hashed media.
    #[must_use]
    pub fn of_venue(secret: &Secret) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, secret.reveal().as_bytes()), shared: true }
    }

    /// This box's own key, made at the first start.
    ///
    /// # Errors
    /// When it can neither be read nor made.
    pub fn of_box(folder: &Path) -> Result<Self, KeyError> {
        let path = folder.join(KEY_FILE);
        // A new key only costs a full fetch.
        let bytes = crate::files::own_key(&path).map_err(|error| KeyError::Disk(path.display().to_string(), error))?;
        Ok(Self { key: hmac::Key::new(hmac::HMAC_SHA256, &bytes), shared: false })
    }

    /// Whether others of the venue hash alike.
    #[must_use]
    pub fn shared(&self) -> bool {
        self.shared
    }

    /// A medium as read.
    #[must_use]
    pub fn medium(&self, medium: &Medium) -> Hash {
        self.hash(&[kind(medium.kind).as_bytes(), b":", medium.value.reveal().as_bytes()])
    }

    /// A medium as the snapshot's `m` has it: `card_uid:AC11A1A3`, or `hmac:` and 64 hex digits of the same text hashed with the venue's key.
    #[must_use]
    pub fn named(&self, m: &str) -> Option<Hash> {
        match m.strip_prefix("hmac:") {
            Some(hex) => Hash::from_hex(hex).filter(|_| self.shared),
            None => m.contains(':').then(|| self.hash(&[m.as_bytes()])),
        }
    }

    /// An entitlement by Lime's id.
    #[must_use]
    pub fn right(&self, id: &str) -> Hash {
        // A medium begins with its kind and a colon, so that the two never meet.
        self.hash(&[b"\0right\0", id.as_bytes()])
    }

    /// Vouches for a message among gates.
    #[must_use]
    pub fn seal(&self, text: &str) -> Hash {
        self.hash(&[b"\0said\0", text.as_bytes()])
    }

    /// Tells this key from another one.
    #[must_use]
    pub fn fingerprint(&self) -> Hash {
        self.hash(&[b"\0fingerprint\0"])
    }

    fn hash(&self, parts: &[&[u8]]) -> Hash {
        let mut context = hmac::Context::with_key(&self.key);
        parts.iter().for_each(|part| context.update(part));
        let mut cut = [0; 16];
        cut.iter_mut().zip(context.sign().as_ref()).for_each(|(to, from)| *to = *from);
        Hash(cut)
    }
}

fn kind(kind: MediumKind) -> &'static str {
    match kind {
        MediumKind::CardUid => "card_uid",
        MediumKind::Qr => "qr",
        MediumKind::Barcode => "barcode",
        MediumKind::Pin => "pin",
        MediumKind::TicketNo => "ticket_no",
    }
}

/// Makes a folder that only its owner can enter.
pub(super) fn make_private(folder: &Path) -> std::io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::domain::Personal;

    fn card(value: &str) -> Medium {
        Medium { kind: MediumKind::CardUid, value: Personal::new(value), raw: None, format: "x".into() }
    }

    #[test]
    fn a_medium_as_read_and_as_lime_names_it_are_one_in_clear_and_hashed() {
        let key = MediaKey::of_venue(&Secret::new("k".repeat(32)));
        let read = key.medium(&card("AC11A1A3"));
        assert_eq!(key.named("card_uid:AC11A1A3"), Some(read));
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, "k".repeat(32).as_bytes()), b"card_uid:AC11A1A3");
        let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(key.named(&format!("hmac:{hex}")), Some(read));
        assert_eq!((key.named("AC11A1A3"), key.named("hmac:12")), (None, None));
        assert_ne!(key.named("qr:AC11A1A3"), Some(read));
        assert!(!format!("{key:?}{read:?}").contains(&"k".repeat(4)));
    }

    #[test]
    fn the_boxs_own_key_is_made_once_and_only_its_owner_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path().join("entitlements");
        let first = MediaKey::of_box(&inside).unwrap();
        assert_eq!(MediaKey::of_box(&inside).unwrap().fingerprint(), first.fingerprint());
        assert_eq!(std::fs::metadata(inside.join(KEY_FILE)).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(first.named(&format!("hmac:{}", "0".repeat(64))), None, "nobody else has this key");
        std::fs::write(inside.join(KEY_FILE), b"half").unwrap();
        assert_ne!(MediaKey::of_box(&inside).unwrap().fingerprint(), first.fingerprint());
    }
}
