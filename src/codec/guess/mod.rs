//! Which reader is this? Tries profiles on recorded bytes and ranks those that fit. Pure: bytes with their gaps in, fits out.
//!
//! A text profile accepts almost any line, so that "it decodes" says little. What a fit is worth is therefore measured, not declared: the same bytes
//! are decoded again with their digits exchanged, with their terminators taken away, and so on. What a profile no longer accepts then, it had rested
//! on ([`Rests`]).
//!
//! Never: a fit without at least one frame; a card in an error or a debug text.

mod damage;
mod recording;
#[cfg(test)]
mod tests;

use serde::Serialize;

use super::{Decoded, Line, Parity, Presented, Profile, UidOrder};

pub use damage::Rests;
pub use recording::{Chunk, Recording};

/// Most different media that a fit lists.
const MEDIA_KEPT: usize = 8;

/// How sure a fit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Certainty {
    /// Any text with such an end would fit.
    Possible,
    /// The shape fits, or there was one frame only.
    Likely,
    /// The format checks itself, or has words of its own, and held more than once.
    Sure,
}

/// A profile that fits a recording.
#[derive(Clone, Debug)]
pub struct Fit {
    /// The profile.
    pub profile: Profile,
    /// The line on which it was heard. Of 7 data bits where the eighth turned out to be parity.
    pub line: Line,
    /// Frames that were understood: media and removals.
    pub frames: u64,
    /// Frames that were not.
    pub bad: u64,
    /// Bytes that came damaged over the line: wrong parity, no stop bit.
    pub damaged: u64,
    /// What the profile rests on in these bytes.
    pub rests: Rests,
    /// How sure it is.
    pub certainty: Certainty,
    /// The media that were read, each once, in order.
    pub media: Vec<Presented>,
}

/// The same media under one order of bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ordered {
    /// The order, as the profile's option names it.
    pub order: UidOrder,
    /// The media, in the order in which they came.
    pub media: Vec<Presented>,
}

/// What a recording says to a profile.
#[derive(Clone, Debug, Default)]
pub(super) struct Understood {
    pub(super) frames: u64,
    pub(super) bad: u64,
    pub(super) media: Vec<Presented>,
    numbered: bool,
}

/// The profiles that fit at least one of the recordings, best first.
#[must_use]
pub fn fits(recordings: &[Recording], profiles: &[Profile]) -> Vec<Fit> {
    let mut found: Vec<Fit> = recordings
        .iter()
        .flat_map(|heard| std::iter::once(heard.clone()).chain(heard.with_seven_bits()))
        .flat_map(|heard| profiles.iter().filter_map(|profile| fit(&heard, profile)).collect::<Vec<_>>())
        .collect();
    found.sort_by(|a, b| b.rank().cmp(&a.rank()).then_with(|| a.profile.name.cmp(&b.profile.name)));
    // One profile on one line once: recordings of one line are several tries.
    let mut seen: Vec<(String, Line)> = Vec::new();
    found.retain(|fit| {
        let key = (fit.profile.name.clone(), fit.line);
        let first = !seen.contains(&key);
        if first {
            seen.push(key);
        }
        first
    });
    found
}

fn fit(heard: &Recording, profile: &Profile) -> Option<Fit> {
    let understood = understand(heard, profile);
    if understood.frames == 0 || understood.bad > understood.frames || !understood.media.iter().all(is_plausible) {
        return None;
    }
    let rests = damage::rests(heard, profile, &understood);
    let certainty = certainty(&understood, rests, heard);
    let Understood { frames, bad, media, .. } = understood;
    Some(Fit { profile: profile.clone(), line: heard.line, frames, bad, damaged: heard.damaged, rests, certainty, media })
}

/// Decodes a recording as the gateway would.
pub(super) fn understand(heard: &Recording, profile: &Profile) -> Understood {
    let mut decoder = profile.decoder();
    let mut out = Vec::new();
    for chunk in heard.chunks() {
        if decoder.idle_after_ms().is_some_and(|ms| chunk.after_ms >= ms) {
            decoder.idle(&mut out);
        }
        decoder.push(&chunk.bytes, &mut out);
    }
    if decoder.idle_after_ms().is_some_and(|ms| heard.silent_ms >= ms) {
        decoder.idle(&mut out);
    }
    let mut understood = Understood::default();
    for (at, one) in out.into_iter().enumerate() {
        match one {
            Decoded::Medium(presented) => {
                understood.frames += 1;
                understood.numbered |= presented.reader.is_some();
                if understood.media.len() < MEDIA_KEPT && !understood.media.contains(&presented) {
                    understood.media.push(presented);
                }
            }
            Decoded::Removal { .. } => understood.frames += 1,
            // Listening begins in the middle of whatever was being said.
            Decoded::Bad(_) if at == 0 => {}
            Decoded::Bad(_) => understood.bad += 1,
        }
    }
    understood
}

fn certainty(understood: &Understood, rests: Rests, heard: &Recording) -> Certainty {
    let several = understood.frames >= 2;
    let clean = understood.bad * 4 <= understood.frames && heard.damaged * 8 <= heard.len() as u64;
    match (rests.on_content, rests.on_shape || rests.on_marks >= 2) {
        (true, _) if several && clean => Certainty::Sure,
        (true, _) => Certainty::Likely,
        (false, true) if several && clean => Certainty::Likely,
        _ => Certainty::Possible,
    }
}

/// Bytes heard at a wrong speed become text here and there, in which scripts change with every letter.
fn is_plausible(presented: &Presented) -> bool {
    let text = presented.medium.value.reveal();
    let script = |c: char| match c {
        'А'..='я' | 'Ё' | 'ё' => 1,
        c if c.is_ascii() => 0,
        _ => 2,
    };
    let (mut pairs, mut changes, mut odd) = (0_usize, 0_usize, 0_usize);
    let mut before = None;
    for c in text.chars() {
        odd += usize::from(c.is_control() && !matches!(c, '\u{1D}' | '\t' | '\n') || script(c) == 2 && c != '№');
        if c.is_alphabetic() {
            if let Some(before) = before {
                pairs += 1;
                changes += usize::from(script(c) != before);
            }
            before = Some(script(c));
        }
    }
    changes * 4 <= pairs + 2 && odd * 8 <= text.chars().count()
}

impl Fit {
    /// What comes first: what is sure, then what rests on more, then what heard more and less damage.
    fn rank(&self) -> (Certainty, Rests, u64, bool, u64) {
        let whole = self.frames.saturating_mul(100) / (self.frames + self.bad + self.damaged).max(1);
        // Of two profiles that read alike, the one that sends nothing is the safer suggestion.
        (self.certainty, self.rests, whole, !self.writes(), self.frames)
    }

    /// With this profile the gateway writes to the reader: answers that it waits for, or commands.
    #[must_use]
    pub fn writes(&self) -> bool {
        self.profile.answers.is_some() || self.profile.voice.is_some()
    }

    /// Frames, understood or not.
    #[must_use]
    pub fn all_frames(&self) -> u64 {
        self.frames + self.bad
    }

    /// Whether the other one reads the very same media out of the same bytes.
    #[must_use]
    pub fn reads_like(&self, other: &Self) -> bool {
        let media = |fit: &Self| fit.media.iter().map(|one| (one.medium.kind, one.medium.value.clone(), one.reader)).collect::<Vec<_>>();
        self.line == other.line && media(self) == media(other)
    }

    /// The media under each order of bytes that makes a difference; empty where the profile has no such option or it makes none.
    #[must_use]
    pub fn orders(&self, heard: &Recording) -> Vec<Ordered> {
        let heard = if self.line == heard.line { heard.clone() } else { heard.with_seven_bits().unwrap_or_else(|| heard.clone()) };
        let mut all: Vec<Ordered> = Vec::new();
        for order in UidOrder::ALL {
            let Some(profile) = self.profile.with_uid_order(order) else { return Vec::new() };
            let media = understand(&heard, &profile).media;
            let same = |one: &Ordered| one.media.iter().map(|one| &one.medium.value).eq(media.iter().map(|one| &one.medium.value));
            if !all.iter().any(same) {
                all.push(Ordered { order, media });
            }
        }
        if all.len() > 1 { all } else { Vec::new() }
    }
}

/// The line settings to listen at, in turn: those of the profiles first, then the usual ones by how often they are met.
#[must_use]
pub fn settings(profiles: &[Profile]) -> Vec<Line> {
    let plain = |baud, parity| Line { baud, data_bits: 8, parity, stop_bits: super::StopBits::One, flow: super::Flow::None };
    // Other settings of 7 bits need no turn of their own: with 8 bits the parity is heard as a bit.
    let usual = [9_600, 115_200, 19_200, 38_400, 57_600, 4_800, 2_400].map(|baud| plain(baud, Parity::None));
    let checked = [9_600, 19_200, 115_200].into_iter().flat_map(|baud| [plain(baud, Parity::Even), plain(baud, Parity::Odd)]);
    let mut all: Vec<Line> = Vec::new();
    for line in profiles.iter().map(|profile| Line { flow: super::Flow::None, ..profile.line }).chain(usual).chain(checked) {
        if !all.contains(&line) {
            all.push(line);
        }
    }
    all
}
