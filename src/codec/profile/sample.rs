//! Sample telegrams of a profile, and what they decode to.

use serde::Deserialize;

use super::{Profile, ProfileError};
use crate::codec::{Bad, Decoded, uid};
use crate::domain::MediumKind;

/// A telegram and what it decodes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// As it comes over the line.
    pub bytes: Vec<u8>,
    /// What it says. A silence follows the bytes.
    pub gives: Vec<Expected>,
}

/// What a sample decodes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// A medium.
    Medium {
        /// What the value is.
        kind: MediumKind,
        /// The canonical value. A made-up or published one: a profile holds no guest's card.
        value: String,
        /// The source format.
        format: String,
        /// The reader's number on a shared line.
        reader: Option<u32>,
    },
    /// The medium left.
    Removal {
        /// The reader's number on a shared line.
        reader: Option<u32>,
    },
    /// No frame.
    Bad(Bad),
}

impl Expected {
    /// Whether this is what came out.
    #[must_use]
    pub fn matches(&self, decoded: &Decoded) -> bool {
        *self == Self::of(decoded)
    }

    /// The same in a sample's terms.
    #[must_use]
    pub fn of(decoded: &Decoded) -> Self {
        match decoded {
            Decoded::Medium(presented) => Self::Medium {
                kind: presented.medium.kind,
                value: presented.medium.value.reveal().to_owned(),
                format: presented.medium.format.clone(),
                reader: presented.reader,
            },
            Decoded::Removal { reader } => Self::Removal { reader: *reader },
            Decoded::Bad(bad) => Self::Bad(*bad),
        }
    }
}

/// As typed: `text` or `hex`, and a list of what it gives.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSample {
    text: Option<String>,
    hex: Option<String>,
    gives: Vec<RawExpected>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawExpected {
    medium: Option<MediumKind>,
    value: Option<String>,
    format: Option<String>,
    reader: Option<u32>,
    #[serde(default)]
    removal: bool,
    bad: Option<Bad>,
}

impl RawSample {
    pub(super) fn check(self, number: usize) -> Result<Sample, String> {
        let bytes = match (self.text, self.hex) {
            (Some(text), None) => text.into_bytes(),
            (None, Some(hex)) => {
                let digits: Vec<u8> = hex.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
                uid::bytes(&digits).ok_or_else(|| format!("sample {number}: hex needs an even number of hex digits"))?
            }
            _ => return Err(format!("sample {number} needs either text or hex")),
        };
        let gives = self.gives.into_iter().map(|expected| expected.check(number)).collect::<Result<_, _>>()?;
        Ok(Sample { bytes, gives })
    }
}

impl RawExpected {
    fn check(self, number: usize) -> Result<Expected, String> {
        match self {
            Self { medium: Some(kind), value: Some(value), format: Some(format), reader, removal: false, bad: None } => {
                Ok(Expected::Medium { kind, value, format, reader })
            }
            Self { medium: None, value: None, format: None, reader, removal: true, bad: None } => Ok(Expected::Removal { reader }),
            Self { medium: None, value: None, format: None, reader: None, removal: false, bad: Some(bad) } => Ok(Expected::Bad(bad)),
            _ => Err(format!("sample {number}: gives takes {{ medium, value, format }}, {{ removal = true }} or {{ bad }}")),
        }
    }
}

/// Decodes each sample by itself.
pub(super) fn check_all(profile: &Profile, file: &str) -> Result<(), ProfileError> {
    for (at, sample) in profile.samples.iter().enumerate() {
        let mut decoder = profile.decoder();
        let mut out = Vec::new();
        decoder.push(&sample.bytes, &mut out);
        decoder.idle(&mut out);
        let found: Vec<Expected> = out.iter().map(Expected::of).collect();
        if found != sample.gives {
            let (expected, found) = (format!("{:?}", sample.gives), format!("{found:?}"));
            return Err(ProfileError::Sample { file: file.to_owned(), number: at + 1, expected, found });
        }
    }
    Ok(())
}
