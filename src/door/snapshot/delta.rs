//! The NDJSON of `GET /entitlements`, read line by line as it comes.
//!
//! A header, then upserts and tombstones, then `{"end":true,"count":N,"sha256":".."}`: the number of lines between, and the hash of all bytes before the last
//! line. What has no such line, or another count or hash, is worth nothing. Unknown fields are ignored; an entitlement with a value that this version does not
//! know is kept as one that is not used without Lime. Pure.
//!
//! Never: more than a line in memory; a card number beyond its hash; text of a line in an error.

use std::collections::BTreeMap;

use ring::digest;
use serde::Deserialize;
use serde_json::Value;

use crate::domain::RightKind;

use super::media::{Hash, MediaKey};
use super::terms::{Entitlement, Holder, Policy, Standing, Tariff, Terms};

/// Longest line, bytes.
pub const LINE_LIMIT: usize = 256 * 1024;
/// Most lines between the first and the last.
pub const COUNT_LIMIT: u64 = 4_000_000;

/// A line between the first and the last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// The medium is known now, and as this.
    Upsert(Hash, Holder),
    /// It is not known any more.
    Tombstone(Hash),
}

/// The first line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The version that this is made upon; none: this is all there is.
    pub base: Option<String>,
    /// What holds from now on.
    pub terms: Terms,
}

/// What is wrong with an answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Bad {
    /// A line that is not of the contract; which, counted from 1.
    #[error("line {0} of the entitlements is not of the Lime gateway API")]
    Line(u64),
    /// It ended without its last line, or went on after it.
    #[error("the entitlements have no last line, or more after it: half an answer")]
    Torn,
    /// The last line counts or hashes otherwise.
    #[error("the entitlements are damaged: their last line says another {0}")]
    Damaged(&'static str),
    /// More than is taken.
    #[error("the entitlements have a line of more than {LINE_LIMIT} bytes, or more than {COUNT_LIMIT} lines")]
    TooLarge,
    /// Whoever takes the lines cannot.
    #[error("{0}")]
    NotTaken(String),
}

/// Takes what is read.
pub trait Sink {
    /// The first line, once and before any other.
    ///
    /// # Errors
    /// [`Bad::NotTaken`].
    fn header(&mut self, header: Header) -> Result<(), Bad>;

    /// A line between.
    ///
    /// # Errors
    /// [`Bad::NotTaken`].
    fn line(&mut self, line: Line) -> Result<(), Bad>;
}

/// Reads.
pub struct Reader {
    key: MediaKey,
    partial: Vec<u8>,
    digest: digest::Context,
    number: u64,
    ended: bool,
}

impl Reader {
    /// Names media by this key.
    #[must_use]
    pub fn new(key: MediaKey) -> Self {
        Self { key, partial: Vec::new(), digest: digest::Context::new(&digest::SHA256), number: 0, ended: false }
    }

    /// Takes some more bytes, in any pieces.
    ///
    /// # Errors
    /// When the answer is of no use: then all of it is.
    pub fn take(&mut self, mut bytes: &[u8], sink: &mut dyn Sink) -> Result<(), Bad> {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let (head, rest) = bytes.split_at(end);
            bytes = rest.get(1..).unwrap_or_default();
            if self.partial.is_empty() {
                self.line(head, sink)?;
            } else {
                self.partial.extend_from_slice(head);
                let line = std::mem::take(&mut self.partial);
                self.line(&line, sink)?;
                self.partial = line;
                self.partial.clear();
            }
        }
        self.partial.extend_from_slice(bytes);
        if self.partial.len() > LINE_LIMIT { Err(Bad::TooLarge) } else { Ok(()) }
    }

    /// No more bytes come.
    ///
    /// # Errors
    /// When the last line was not there.
    pub fn finish(self) -> Result<(), Bad> {
        if self.ended && self.partial.is_empty() { Ok(()) } else { Err(Bad::Torn) }
    }

    fn line(&mut self, line: &[u8], sink: &mut dyn Sink) -> Result<(), Bad> {
        if line.len() > LINE_LIMIT || self.number > COUNT_LIMIT {
            return Err(Bad::TooLarge);
        }
        if self.ended {
            return Err(Bad::Torn);
        }
        self.number += 1;
        let bad = Bad::Line(self.number);
        if self.number == 1 {
            sink.header(serde_json::from_slice::<HeaderLine>(line).map_err(|_| bad)?.into())?;
        } else {
            match serde_json::from_slice::<AnyLine>(line).map_err(|_| bad.clone())? {
                AnyLine { end: Some(true), count, sha256, .. } => return self.end(count, sha256.as_deref()),
                AnyLine { m: Some(m), del, cat, st, rights, .. } => {
                    let hash = self.key.named(&m).ok_or(bad)?;
                    sink.line(if del == Some(true) { Line::Tombstone(hash) } else { Line::Upsert(hash, holder(cat, st.as_deref(), rights)) })?;
                }
                AnyLine { .. } => return Err(bad),
            }
        }
        self.digest.update(line);
        self.digest.update(b"\n");
        Ok(())
    }

    fn end(&mut self, count: Option<u64>, sha256: Option<&str>) -> Result<(), Bad> {
        // The header and the last line are not counted.
        if count != Some(self.number.saturating_sub(2)) {
            return Err(Bad::Damaged("count"));
        }
        let found = self.digest.clone().finish();
        let hex: String = found.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        if sha256 != Some(hex.as_str()) {
            return Err(Bad::Damaged("hash"));
        }
        self.ended = true;
        Ok(())
    }
}

#[derive(Deserialize)]
struct HeaderLine {
    version: String,
    base: Option<String>,
    generated_at: Option<String>,
    max_age_s: Option<u64>,
    #[serde(default)]
    offline_policy: BTreeMap<String, PolicyLine>,
    #[serde(default)]
    tariffs: BTreeMap<String, TariffLine>,
}

#[derive(Deserialize)]
struct PolicyLine {
    policy: Option<String>,
    max_offline_debt: Option<i64>,
    max_snapshot_age_s: Option<u64>,
}

#[derive(Deserialize)]
struct TariffLine {
    price: Option<i64>,
    #[serde(default)]
    prices: BTreeMap<String, i64>,
    #[serde(default)]
    categories: Vec<String>,
    hours: Option<String>,
}

#[derive(Deserialize)]
struct AnyLine {
    end: Option<bool>,
    count: Option<u64>,
    sha256: Option<String>,
    m: Option<String>,
    del: Option<bool>,
    // What is known of a holder. Not a struct of its own: serde would keep each line as a tree first.
    cat: Option<String>,
    st: Option<String>,
    #[serde(default)]
    rights: Vec<RightLine>,
}

#[derive(Deserialize)]
struct RightLine {
    id: String,
    kind: Option<String>,
    #[serde(default)]
    amount: Value,
    #[serde(default)]
    from: Value,
    #[serde(default)]
    to: Value,
    #[serde(default)]
    sp: Value,
    #[serde(default)]
    win: Value,
    #[serde(default)]
    daily_limit: Value,
    #[serde(default)]
    today: Value,
}

impl From<HeaderLine> for Header {
    fn from(line: HeaderLine) -> Self {
        let policy = |line: PolicyLine| Policy {
            deny: line.policy.as_deref() == Some("deny"),
            max_offline_debt: line.max_offline_debt.map(|debt| debt.max(0)),
            max_age_s: line.max_snapshot_age_s,
        };
        let tariff = |line: TariffLine| Tariff { price: line.price, prices: line.prices, categories: line.categories, hours: line.hours };
        Self {
            base: line.base,
            terms: Terms {
                version: line.version,
                generated_ms: line.generated_at.as_deref().and_then(millis),
                max_age_s: line.max_age_s,
                policies: line.offline_policy.into_iter().map(|(point, line)| (point, policy(line))).collect(),
                tariffs: line.tariffs.into_iter().map(|(point, line)| (point, tariff(line))).collect(),
            },
        }
    }
}

fn holder(category: Option<String>, standing: Option<&str>, rights: Vec<RightLine>) -> Holder {
    let standing = match standing {
        None | Some("ok") => Standing::Good,
        Some("blocked_client") => Standing::BlockedClient,
        Some("suspended") => Standing::Suspended,
        Some(_) => Standing::BlockedCard,
    };
    Holder { standing, category, rights: rights.into_iter().map(Entitlement::from).collect() }
}

impl From<RightLine> for Entitlement {
    fn from(line: RightLine) -> Self {
        // A value of another shape than the contract's makes the entitlement unclear; it never makes it wider.
        let mut unclear = false;
        let mut read = |value: &Value, read: &dyn Fn(&Value) -> bool| unclear |= !value.is_null() && !read(value);
        let kind = match line.kind.as_deref() {
            Some("ticket") => RightKind::Ticket,
            Some("deposit") => RightKind::Deposit,
            Some("bonus") => RightKind::Bonus,
            Some("pass") => RightKind::Pass,
            _ => RightKind::Other,
        };
        read(&line.amount, &Value::is_i64);
        read(&line.from, &|value| value.as_str().and_then(millis).is_some());
        read(&line.to, &|value| value.as_str().and_then(millis).is_some());
        read(&line.sp, &|value| value.as_array().is_some_and(|points| points.iter().all(Value::is_string)));
        read(&line.win, &|value| value.as_str().and_then(super::hours::Hours::parse).is_some());
        read(&line.daily_limit, &|value| value.as_u64().is_some());
        let day = day(&line.today);
        read(&line.today, &|_| day.is_some());
        Self {
            id: line.id,
            kind,
            amount: line.amount.as_i64(),
            from_ms: line.from.as_str().and_then(millis),
            to_ms: line.to.as_str().and_then(millis),
            service_points: line.sp.as_array().into_iter().flatten().filter_map(|point| point.as_str().map(str::to_owned)).collect(),
            hours: line.win.as_str().map(str::to_owned),
            daily_limit: line.daily_limit.as_u64().map(|limit| u32::try_from(limit).unwrap_or(u32::MAX)),
            day,
            unclear,
        }
    }
}

fn day(value: &Value) -> Option<(String, u32)> {
    let used = u32::try_from(value.get("used")?.as_u64()?).unwrap_or(u32::MAX);
    Some((value.get("day")?.as_str()?.to_owned(), used))
}

/// RFC 3339 with an offset, as milliseconds since 1970 UTC.
fn millis(text: &str) -> Option<i64> {
    text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond)
}
