//! A profile as typed: unknown keys are refused, defaults stand here.

use serde::Deserialize;

use super::sample::RawSample;
use super::{Answers, Codec, Flow, Line, Parity, Profile, StopBits, Title};
use crate::codec::{Charset, Content, End, Framing, IronLogicOptions, Rdm6300Options, ScannerOptions, UidOrder, uid};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawProfile {
    name: String,
    title: Title,
    #[serde(default)]
    models: Vec<String>,
    #[serde(default)]
    line: RawLine,
    codec: RawCodec,
    #[serde(default)]
    repeats_within_ms: u64,
    answers: Option<RawAnswers>,
    normally_every_s: Option<u64>,
    #[serde(default, rename = "sample")]
    samples: Vec<RawSample>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(in crate::codec) struct RawLine {
    baud: u32,
    data_bits: u8,
    parity: Parity,
    stop_bits: u8,
    flow: Flow,
}

impl Default for RawLine {
    fn default() -> Self {
        Self { baud: 9600, data_bits: 8, parity: Parity::None, stop_bits: 1, flow: Flow::None }
    }
}

/// Hex digits: `"06"`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAnswers {
    ack: String,
    nak: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RawCodec {
    IronlogicText(RawIronLogic),
    ScannerLine(Box<RawScanner>),
    #[serde(rename = "rdm6300")]
    Rdm6300(RawRdm6300),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawIronLogic {
    reader_number: bool,
    uid_order: UidOrder,
    check_pair: bool,
}

impl Default for RawIronLogic {
    fn default() -> Self {
        Self { reader_number: false, uid_order: UidOrder::AsIs, check_pair: true }
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawRdm6300 {
    uid_order: UidOrder,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawScanner {
    terminator: End,
    #[serde(default)]
    stx: bool,
    #[serde(default)]
    bcc: bool,
    #[serde(default)]
    prefix: String,
    #[serde(default)]
    suffix: String,
    #[serde(default = "yes")]
    aim_id: bool,
    #[serde(default = "one")]
    min_len: usize,
    #[serde(default = "longest_qr")]
    max_len: usize,
    idle_ms: Option<u64>,
    #[serde(default)]
    charset: Charset,
    #[serde(default)]
    content: Content,
    #[serde(default)]
    uid_order: UidOrder,
}

fn yes() -> bool {
    true
}

fn one() -> usize {
    1
}

/// A version 40 QR code holds 7 089 digits; as text 4 296, as bytes 2 953.
fn longest_qr() -> usize {
    7_089
}

const STX: u8 = 0x02;

impl RawProfile {
    /// What is wrong, as a sentence, or the profile.
    pub(super) fn check(self) -> Result<Profile, String> {
        if self.name.is_empty() || !self.name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-') {
            return Err(format!("name = {:?}: lower-case ASCII letters, digits and hyphens are allowed", self.name));
        }
        if self.samples.is_empty() {
            return Err("it has no [[sample]]: at least one telegram and what it decodes to are needed".to_owned());
        }
        Ok(Profile {
            line: self.line.check()?,
            codec: self.codec.check()?,
            answers: self.answers.map(RawAnswers::check).transpose()?,
            samples: self.samples.into_iter().enumerate().map(|(at, sample)| sample.check(at + 1)).collect::<Result<_, _>>()?,
            name: self.name,
            title: self.title,
            models: self.models,
            repeats_within_ms: self.repeats_within_ms,
            normally_every_s: self.normally_every_s,
        })
    }
}

impl RawLine {
    pub(in crate::codec) fn check(self) -> Result<Line, String> {
        if !(300..=4_000_000).contains(&self.baud) {
            return Err(format!("line.baud = {}: 300 to 4000000 are allowed", self.baud));
        }
        if !(5..=8).contains(&self.data_bits) {
            return Err(format!("line.data_bits = {}: 5, 6, 7 and 8 are allowed", self.data_bits));
        }
        let stop_bits = match self.stop_bits {
            1 => StopBits::One,
            2 => StopBits::Two,
            other => return Err(format!("line.stop_bits = {other}: 1 and 2 are allowed")),
        };
        Ok(Line { baud: self.baud, data_bits: self.data_bits, parity: self.parity, stop_bits, flow: self.flow })
    }
}

impl RawAnswers {
    fn check(self) -> Result<Answers, String> {
        let read = |key: &str, text: &str| {
            uid::bytes(text.as_bytes()).ok_or_else(|| format!("answers.{key} = {text:?}: an even number of hex digits is needed"))
        };
        Ok(Answers { ack: read("ack", &self.ack)?, nak: read("nak", &self.nak)? })
    }
}

impl RawCodec {
    fn check(self) -> Result<Codec, String> {
        Ok(match self {
            Self::IronlogicText(RawIronLogic { reader_number, uid_order, check_pair }) => {
                Codec::IronLogic(IronLogicOptions { reader_number, uid_order, check_pair })
            }
            Self::ScannerLine(raw) => Codec::Scanner(raw.check()?),
            Self::Rdm6300(RawRdm6300 { uid_order }) => Codec::Rdm6300(Rdm6300Options { uid_order }),
        })
    }
}

impl RawScanner {
    fn check(self) -> Result<ScannerOptions, String> {
        if !(1..=65_536).contains(&self.max_len) || self.min_len > self.max_len {
            return Err(format!("min_len = {}, max_len = {}: 1 <= min_len <= max_len <= 65536 is needed", self.min_len, self.max_len));
        }
        let idle_ms = match (self.terminator, self.idle_ms) {
            (End::Silence, Some(ms)) if (1..=10_000).contains(&ms) => ms,
            (End::Silence, _) => return Err("terminator = \"silence\" needs idle_ms, 1 to 10000".to_owned()),
            (_, Some(_)) => return Err("idle_ms goes only with terminator = \"silence\"".to_owned()),
            (_, None) => 0,
        };
        if self.bcc && self.terminator == End::Silence {
            return Err("bcc = true needs a terminator".to_owned());
        }
        let around = self.prefix.len() + self.suffix.len() + 3;
        let max = self.max_len.saturating_add(around);
        let framing = Framing { header: self.stx.then_some(STX), end: self.terminator, check: self.bcc, max };
        Ok(ScannerOptions {
            framing,
            prefix: self.prefix,
            suffix: self.suffix,
            aim_id: self.aim_id,
            min_len: self.min_len,
            idle_ms,
            charset: self.charset,
            content: self.content,
            uid_order: self.uid_order,
        })
    }
}
