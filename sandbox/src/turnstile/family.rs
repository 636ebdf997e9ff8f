//! What each family of readers puts on the line for a medium.

use std::fmt::Write;

/// A family of readers that talk alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IronLogic text.
    IronLogic {
        /// The five-digit number that readers on a shared RS-485 line print first.
        number: Option<u32>,
    },
    /// A scanner: the payload between two fixed texts.
    Scanner {
        /// Before the payload.
        before: &'static str,
        /// After it.
        after: &'static str,
        /// It waits for 06 or 15.
        waits: bool,
    },
    /// RDM6300: STX, ten hex digits, two of checksum, ETX.
    Rdm6300,
}

/// Why there is no telegram.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FamilyError {
    /// Nothing is known of such a profile.
    #[error("no profile {0:?}; known: {known}", known = Family::PROFILES.join(", "))]
    UnknownProfile(String),
    /// The reader cannot read such a card.
    #[error("{0:?} is no card for this reader: it takes {1}")]
    NoCard(String, &'static str),
}

impl Family {
    /// The profiles that can be played.
    pub const PROFILES: [&'static str; 10] = [
        "ironlogic-z2",
        "ironlogic-matrix3",
        "ironlogic-matrix3-net",
        "scanner-cr",
        "scanner-lf",
        "scanner-crlf",
        "scanner-stx-etx",
        "scanner-idle",
        "scanner-mertech-ack",
        "rdm6300",
    ];

    /// How a reader of that profile talks.
    ///
    /// # Errors
    /// When nothing is known of it.
    pub fn of_profile(profile: &str) -> Result<Self, FamilyError> {
        let scanner = |before, after, waits| Ok(Self::Scanner { before, after, waits });
        match profile {
            "ironlogic-z2" | "ironlogic-matrix3" => Ok(Self::IronLogic { number: None }),
            "ironlogic-matrix3-net" => Ok(Self::IronLogic { number: Some(19_997) }),
            "scanner-cr" => scanner("", "\r", false),
            "scanner-lf" => scanner("", "\n", false),
            "scanner-crlf" => scanner("", "\r\n", false),
            "scanner-stx-etx" => scanner("\u{2}", "\u{3}", false),
            "scanner-idle" => scanner("", "", false),
            "scanner-mertech-ack" => scanner("", "\r", true),
            "rdm6300" => Ok(Self::Rdm6300),
            _ => Err(FamilyError::UnknownProfile(profile.to_owned())),
        }
    }

    /// The reader waits for an answer after a telegram.
    #[must_use]
    pub fn waits(self) -> bool {
        matches!(self, Self::Scanner { waits: true, .. })
    }

    /// Only a silence ends its telegrams.
    #[must_use]
    pub fn ends_in_silence(self) -> bool {
        matches!(self, Self::Scanner { after: "", .. })
    }

    /// It reads cards; else codes.
    #[must_use]
    pub fn reads_cards(self) -> bool {
        !matches!(self, Self::Scanner { .. })
    }

    /// The bytes for a medium: a card as hex, a code as its text.
    ///
    /// # Errors
    /// When the reader cannot read such a card.
    pub fn telegram(self, medium: &str) -> Result<Vec<u8>, FamilyError> {
        match self {
            Self::Scanner { before, after, .. } => Ok(format!("{before}{medium}{after}").into_bytes()),
            Self::IronLogic { number } => {
                let event = ironlogic(&bytes(medium)?).ok_or_else(|| FamilyError::NoCard(medium.to_owned(), "8, 10 or 14 hex digits"))?;
                Ok(numbered(number, &event))
            }
            Self::Rdm6300 => {
                let id = bytes(medium)?;
                if id.len() != 5 {
                    return Err(FamilyError::NoCard(medium.to_owned(), "10 hex digits"));
                }
                let sum = id.iter().fold(0, |sum, byte| sum ^ byte);
                Ok(format!("\u{2}{}{sum:02X}\u{3}", hex(&id)).into_bytes())
            }
        }
    }

    /// The bytes for a card that leaves the field, where the reader says so.
    #[must_use]
    pub fn removal(self) -> Option<Vec<u8>> {
        match self {
            Self::IronLogic { number } => Some(numbered(number, "No card")),
            Self::Scanner { .. } | Self::Rdm6300 => None,
        }
    }

    /// Some medium that the reader can read.
    pub fn random_medium(self, rng: &mut fastrand::Rng) -> String {
        match self {
            Self::Scanner { .. } => format!("LG-{:05}-{:08}", rng.u32(..100_000), rng.u32(..100_000_000)),
            Self::Rdm6300 => format!("{:010X}", rng.u64(..1 << 40)),
            Self::IronLogic { .. } => match rng.u8(..3) {
                0 => format!("{:010X}", rng.u64(..1 << 40)),
                // Four bytes that begin with 08 are drawn anew at each presentation: no card of a venue has them.
                1 => format!("{:02X}{:06X}", rng.u8(0x10..), rng.u32(..1 << 24)),
                _ => format!("{:014X}", rng.u64(..1 << 56)),
            },
        }
    }
}

/// Published lines show: ten digits are an Em-Marine id (two bytes of prefix, series, number), eight and fourteen a Mifare UID with the pair that follows
/// from it: of four bytes the third, second and first, of seven the last three.
fn ironlogic(card: &[u8]) -> Option<String> {
    match *card {
        [p1, p2, series, n1, n2] => Some(format!("Em-Marine[{p1:02X}{p2:02X}] {series:03},{:05}", u16::from_be_bytes([n1, n2]))),
        [a, b, c, _] => Some(format!("Mifare[{}] 1K (0004,08) {c:03},{:05}", hex(card), u16::from_be_bytes([b, a]))),
        [_, _, _, _, e, f, g] => Some(format!("Mifare[{}] UL (0144,00) {e:03},{:05}", hex(card), u16::from_be_bytes([f, g]))),
        _ => None,
    }
}

fn numbered(number: Option<u32>, event: &str) -> Vec<u8> {
    let number = number.map(|number| format!("{number:05} ")).unwrap_or_default();
    format!("{number}{event}\r\n").into_bytes()
}

fn bytes(medium: &str) -> Result<Vec<u8>, FamilyError> {
    let no_card = || FamilyError::NoCard(medium.to_owned(), "hex digits");
    let digits: Vec<u32> = medium.chars().map(|digit| digit.to_digit(16)).collect::<Option<_>>().ok_or_else(no_card)?;
    let (pairs, rest) = digits.as_chunks::<2>();
    if pairs.is_empty() || !rest.is_empty() {
        return Err(no_card());
    }
    pairs.iter().map(|[high, low]| u8::try_from(high * 16 + low).map_err(|_| no_card())).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02X}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(profile: &str, medium: &str) -> String {
        String::from_utf8(Family::of_profile(profile).unwrap().telegram(medium).unwrap()).unwrap()
    }

    #[test]
    fn telegrams_are_those_of_published_samples() {
        assert_eq!(text("ironlogic-z2", "170009593F"), "Em-Marine[1700] 009,22847\r\n");
        assert_eq!(text("ironlogic-z2", "BCD14264"), "Mifare[BCD14264] 1K (0004,08) 066,53692\r\n");
        assert_eq!(text("ironlogic-z2", "FA592F830412E6"), "Mifare[FA592F830412E6] UL (0144,00) 004,04838\r\n");
        assert_eq!(text("ironlogic-matrix3-net", "170009593F"), "19997 Em-Marine[1700] 009,22847\r\n");
        assert_eq!(text("rdm6300", "62E3086CED"), "\u{2}62E3086CED08\u{3}");
        assert_eq!(text("scanner-stx-etx", "LG-1"), "\u{2}LG-1\u{3}");
    }

    #[test]
    fn a_card_that_the_reader_cannot_read_is_a_mistake_in_the_script() {
        let reader = Family::of_profile("ironlogic-z2").unwrap();
        assert!(reader.telegram("XYZ").is_err());
        assert!(reader.telegram("1234").is_err());
        assert!(reader.telegram("").is_err());
        assert!(Family::of_profile("osdp").is_err());
    }
}
