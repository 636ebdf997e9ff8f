//! A profile as typed: unknown keys are refused, defaults stand here.

use serde::Deserialize;

use super::sample::RawSample;
use super::{Answers, Certainty, Codec, Flow, Line, Parity, Profile, StopBits, Title, Voicing};
use crate::codec::{
    Charset, ColonLrcOptions, Content, End, Framing, IronLogicOptions, Rdm6300Options, ScannerOptions, UidFormat, UidOrder, UidText, uid, uid_text,
};

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
    voice: Option<RawVoice>,
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

/// Hex digits, as in `answers`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawVoice {
    go: Option<String>,
    no: Option<String>,
    wait: Option<String>,
    ready: Option<String>,
    certainty: Certainty,
}

/// What becomes of UIDs that are drawn anew at each presentation.
#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RandomUids {
    #[default]
    Refuse,
    Keep,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RawCodec {
    IronlogicText(RawIronLogic),
    ScannerLine(Box<RawScanner>),
    #[serde(rename = "rdm6300")]
    Rdm6300(RawRdm6300),
    ColonLrc(RawRdm6300),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawIronLogic {
    reader_number: bool,
    uid_order: UidOrder,
    check_pair: bool,
    random_uids: RandomUids,
}

impl Default for RawIronLogic {
    fn default() -> Self {
        Self { reader_number: false, uid_order: UidOrder::AsIs, check_pair: true, random_uids: RandomUids::default() }
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
    format: Option<UidFormat>,
    uid_bytes: Option<usize>,
    delimiter: Option<char>,
    uid_order: Option<UidOrder>,
    random_uids: Option<RandomUids>,
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
            voice: self.voice.map(RawVoice::check).transpose()?,
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
        Ok(Answers { ack: hex("answers.ack", &self.ack)?, nak: hex("answers.nak", &self.nak)? })
    }
}

/// Hex digits, with spaces between them if need be.
fn hex(key: &str, text: &str) -> Result<Vec<u8>, String> {
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b' ').collect();
    uid::bytes(&digits).ok_or_else(|| format!("{key} = {text:?}: an even number of hex digits is needed"))
}

/// Longest command to a reader, bytes: it must be out in a moment.
const LONGEST_COMMAND: usize = 256;

impl RawVoice {
    fn check(self) -> Result<Voicing, String> {
        let read = |key: &str, text: Option<String>| {
            let bytes = text.map(|text| hex(key, &text)).transpose()?;
            match &bytes {
                Some(bytes) if bytes.len() > LONGEST_COMMAND => Err(format!("{key}: at most {LONGEST_COMMAND} bytes are allowed")),
                _ => Ok(bytes),
            }
        };
        let voicing = Voicing {
            go: read("voice.go", self.go)?,
            no: read("voice.no", self.no)?,
            wait: read("voice.wait", self.wait)?,
            ready: read("voice.ready", self.ready)?,
            certainty: self.certainty,
        };
        let silent = [&voicing.go, &voicing.no, &voicing.wait, &voicing.ready].iter().all(|command| command.is_none());
        if silent { Err("[voice] needs at least one of go, no, wait, ready".to_owned()) } else { Ok(voicing) }
    }
}

impl RawCodec {
    fn check(self) -> Result<Codec, String> {
        Ok(match self {
            Self::IronlogicText(RawIronLogic { reader_number, uid_order, check_pair, random_uids }) => {
                Codec::IronLogic(IronLogicOptions { reader_number, uid_order, check_pair, keep_random: random_uids == RandomUids::Keep })
            }
            Self::ScannerLine(raw) => Codec::Scanner(raw.check()?),
            Self::Rdm6300(RawRdm6300 { uid_order }) => Codec::Rdm6300(Rdm6300Options { uid_order }),
            Self::ColonLrc(RawRdm6300 { uid_order }) => Codec::ColonLrc(ColonLrcOptions { uid_order }),
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
        let uid = self.uid()?;
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
            uid,
        })
    }

    fn uid(&self) -> Result<UidText, String> {
        let given = [
            ("format", self.format.is_some()),
            ("uid_bytes", self.uid_bytes.is_some()),
            ("delimiter", self.delimiter.is_some()),
            ("uid_order", self.uid_order.is_some()),
            ("random_uids", self.random_uids.is_some()),
        ];
        if let (false, Some((key, _))) = (self.content == Content::Uid, given.iter().find(|(_, given)| *given)) {
            return Err(format!("{key} goes only with content = \"uid\""));
        }
        let format = self.format.unwrap_or_default();
        if self.uid_bytes.is_some_and(|bytes| !(1..=uid_text::MOST_BYTES).contains(&bytes)) {
            return Err(format!("uid_bytes: 1 to {} are allowed", uid_text::MOST_BYTES));
        }
        match (format, self.uid_bytes, self.delimiter) {
            (UidFormat::Dec, None, _) => return Err("format = \"dec\" needs uid_bytes: leading zeros are not printed".to_owned()),
            (UidFormat::Dec, _, Some(_)) => return Err("delimiter goes only with format = \"hex\" or \"w26pair\"".to_owned()),
            (UidFormat::W26Pair, Some(_), _) => return Err("uid_bytes does not go with format = \"w26pair\": a pair is three bytes".to_owned()),
            _ => {}
        }
        if self.delimiter.is_some_and(|delimiter| delimiter.is_ascii_hexdigit() || delimiter.is_control()) {
            return Err("delimiter: any one character but a hex digit or a control character".to_owned());
        }
        Ok(UidText {
            format,
            bytes: self.uid_bytes,
            delimiter: self.delimiter,
            order: self.uid_order.unwrap_or_default(),
            keep_random: self.random_uids == Some(RandomUids::Keep),
        })
    }
}
