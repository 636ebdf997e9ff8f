//! While it listens: bytes as they come, frames as they decode, the search from setting to setting.

use std::time::Duration;

use serde_json::{Value as Json, json};
use tokio::time::{Instant, sleep_until};

use super::ListenArgs;
use crate::cli::{Global, notice, out};
use crate::codec::guess::{Fit, Recording};
use crate::codec::{Decoded, Decoder, Line, Profile, Repeats};
use crate::domain::Medium;
use crate::listen::{Next, Port, Search, masked};
use crate::words::{Language, Value, tools as words};

/// Bytes that come within this time of each other are shown on one line.
const TOGETHER: Duration = Duration::from_millis(30);
/// A line of the screen.
const A_LINE: usize = 16;
/// While it is silent, somebody may wonder.
const WONDER: Duration = Duration::from_secs(10);

/// What came of frames.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) bytes: u64,
    pub(super) frames: u64,
    pub(super) bad: u64,
    pub(super) damaged: u64,
}

/// An open port and what is done with its bytes.
pub(super) struct Live<'a> {
    port: Port,
    name: &'a str,
    profile: Option<(Profile, Box<dyn Decoder>, Repeats)>,
    search: Option<Search>,
    /// What was heard, where nothing is searched for.
    recording: Recording,
    burst: Vec<u8>,
    /// When the first byte of the burst came, and how long it had been silent.
    burst_after: Duration,
    begun: Instant,
    last: Option<Instant>,
    decoded: Vec<Decoded>,
    pub(super) counts: Counts,
    show_cards: bool,
    json: bool,
    language: Language,
}

impl<'a> Live<'a> {
    #[allow(clippy::too_many_arguments, reason = "all of the command line in one place")]
    pub(super) fn new(
        port: Port,
        name: &'a str,
        line: Line,
        profile: Option<Profile>,
        search: Option<Search>,
        args: &ListenArgs,
        global: &Global,
        language: Language,
    ) -> Self {
        let profile = profile.map(|profile| {
            let (decoder, repeats) = (profile.decoder(), profile.repeats());
            (profile, decoder, repeats)
        });
        Self {
            port,
            name,
            profile,
            search,
            recording: Recording::new(line),
            burst: Vec::new(),
            burst_after: Duration::ZERO,
            begun: Instant::now(),
            last: None,
            decoded: Vec::new(),
            counts: Counts::default(),
            show_cards: args.show_cards,
            json: global.json,
            language,
        }
    }

    /// Listens until the time is up, the search is done, Ctrl-C, or the device goes away: then, why.
    pub(super) async fn listen(&mut self, time: Option<Duration>) -> Option<String> {
        let line = self.search.as_ref().map_or(self.recording.line, Search::line);
        let begins = if self.search.is_some() { words::SEARCHING } else { words::LISTENING };
        self.remark(&begins.with("port", self.name).with("line", line.to_string()).text(self.language));
        let end = time.map(|time| self.begun + time);
        let mut wonder = self.begun + WONDER;
        let stopped = tokio::signal::ctrl_c();
        tokio::pin!(stopped);
        let lost = loop {
            let look = self.last.map(|last| last + Duration::from_millis(self.next_look_ms(last)));
            tokio::select! {
                biased;
                _ = &mut stopped => break None,
                () = until(end) => break None,
                heard = self.port.read() => match heard {
                    Ok(heard) => {
                        self.bytes(&heard.bytes, heard.damaged);
                        wonder = Instant::now() + WONDER;
                    }
                    Err(error) => break Some(error.to_string()),
                },
                () = until(look) => {}
                () = sleep_until(wonder) => {
                    wonder = Instant::now() + WONDER;
                    let silent = self.last.unwrap_or(self.begun).elapsed();
                    self.remark(&words::STILL_SILENT.with("t", Value::Span(millis(silent))).text(self.language));
                }
            }
            match self.look() {
                Ok(true) => break None,
                Ok(false) => {}
                Err(why) => break Some(why),
            }
        };
        self.flush();
        self.settle();
        lost
    }

    /// How long after the last byte something is due next, milliseconds.
    fn next_look_ms(&self, last: Instant) -> u64 {
        let passed = millis(last.elapsed());
        let together = (!self.burst.is_empty()).then_some(millis(TOGETHER));
        let idle = self.profile.as_ref().and_then(|(_, decoder, _)| decoder.idle_after_ms());
        let judge = self.search.is_some().then_some(400);
        [together, idle, judge].into_iter().flatten().filter(|due| *due > passed).min().unwrap_or_else(|| passed + 1_000)
    }

    fn bytes(&mut self, bytes: &[u8], damaged: u64) {
        let now = Instant::now();
        let after = self.last.map_or(now - self.begun, |last| now - last);
        self.counts.bytes += bytes.len() as u64;
        self.counts.damaged += damaged;
        let after_ms = millis(after);
        match &mut self.search {
            Some(search) => search.heard(after_ms, bytes, damaged),
            None => {
                self.recording.push(after_ms, bytes);
                self.recording.damaged += damaged;
            }
        }
        if after >= TOGETHER {
            self.flush();
        }
        if self.burst.is_empty() {
            self.burst_after = after;
        }
        self.burst.extend_from_slice(bytes);
        if let Some((_, decoder, _)) = &mut self.profile {
            if decoder.idle_after_ms().is_some_and(|ms| after_ms >= ms) {
                decoder.idle(&mut self.decoded);
            }
            decoder.push(bytes, &mut self.decoded);
            if !self.decoded.is_empty() {
                self.flush();
            }
        }
        self.last = Some(now);
        self.frames();
    }

    /// A look at the silence. True: the search is done.
    fn look(&mut self) -> Result<bool, String> {
        let silent = self.last.map_or(Duration::ZERO, |last| last.elapsed());
        if silent >= TOGETHER {
            self.flush();
        }
        if let Some((_, decoder, _)) = &mut self.profile
            && decoder.idle_after_ms().is_some_and(|ms| millis(silent) >= ms)
        {
            decoder.idle(&mut self.decoded);
            self.frames();
        }
        let Some(search) = &mut self.search else { return Ok(false) };
        match search.look(millis(silent)) {
            Next::Listen => Ok(false),
            Next::Done => Ok(true),
            Next::Turn { left, bytes, line, number, of } => {
                self.flush();
                self.port.set(line).map_err(|error| error.to_string())?;
                let turn = words::TURN.with("left", left.to_string()).count("bytes", bytes as u64).with("line", line.to_string());
                let text = turn.with("number", number.to_string()).with("of", of.to_string()).text(self.language);
                self.event(
                    || json!({ "event": "turn", "left": left.to_string(), "bytes": bytes, "line": line.to_string(), "number": number, "of": of }),
                );
                self.remark(&text);
                Ok(false)
            }
        }
    }

    /// What came since the last look is shown.
    fn flush(&mut self) {
        let burst = std::mem::take(&mut self.burst);
        if burst.is_empty() {
            return;
        }
        let shown = if self.show_cards { burst.iter().copied().map(Some).collect() } else { masked(&burst) };
        let after_ms = millis(self.burst_after);
        if self.json {
            let (hex, text) = (hex(&shown, ""), printable(&shown));
            self.event(|| json!({ "event": "bytes", "after_ms": after_ms, "count": burst.len(), "hex": hex, "text": text }));
            return;
        }
        for (at, row) in shown.chunks(A_LINE).enumerate() {
            let gap = if at == 0 { format!("+{after_ms} ms") } else { String::new() };
            out(&format!("{gap:>12}  {:<47}  {}", hex(row, " "), printable(row)));
        }
    }

    /// What was decoded is shown and counted.
    fn frames(&mut self) {
        let decoded = std::mem::take(&mut self.decoded);
        let now_ms = millis(self.begun.elapsed());
        for one in decoded {
            let Some((_, _, repeats)) = &mut self.profile else { return };
            let (text, event) = match &one {
                Decoded::Medium(presented) => {
                    self.counts.frames += 1;
                    let repeated = repeats.is_repeat(presented, now_ms);
                    let value = medium_text(&presented.medium, self.show_cards);
                    let word = if repeated { words::MEDIUM_REPEATED } else { words::MEDIUM };
                    let kind = serde_json::to_value(presented.medium.kind).ok().and_then(|kind| kind.as_str().map(str::to_owned)).unwrap_or_default();
                    let mut text = word
                        .with("kind", kind.clone())
                        .with("value", value.clone())
                        .with("format", presented.medium.format.clone())
                        .text(self.language);
                    if let Some(reader) = presented.reader {
                        text.push_str(&format!(", {}", words::OF_READER.with("n", reader.to_string()).text(self.language)));
                    }
                    let event = json!({ "event": "medium", "kind": kind, "value": value, "format": presented.medium.format, "reader": presented.reader, "repeated": repeated });
                    (text, event)
                }
                Decoded::Removal { reader } => {
                    self.counts.frames += 1;
                    repeats.removed(*reader);
                    (words::REMOVED.text(self.language), json!({ "event": "removal", "reader": reader }))
                }
                Decoded::Bad(bad) => {
                    self.counts.bad += 1;
                    (words::BAD_FRAME.with("code", bad.code()).text(self.language), json!({ "event": "bad", "kind": bad.code() }))
                }
            };
            if self.json {
                self.event(|| event);
            } else {
                out(&format!("{:>12}  {text}", "=>"));
            }
        }
    }

    /// The last silence ends what only silence ends.
    fn settle(&mut self) {
        let silent_ms = self.last.map_or(0, |last| millis(last.elapsed()));
        self.recording.silent_ms = silent_ms;
        if let Some((_, decoder, _)) = &mut self.profile
            && decoder.idle_after_ms().is_some_and(|ms| silent_ms >= ms)
        {
            decoder.idle(&mut self.decoded);
        }
        self.frames();
    }

    /// All that was heard.
    pub(super) fn recordings(&self) -> Vec<Recording> {
        match &self.search {
            Some(search) => search.recordings(),
            None => std::iter::once(self.recording.clone()).filter(|heard| !heard.is_empty()).collect(),
        }
    }

    /// The profile that was asked for.
    pub(super) fn profile(&self) -> Option<&Profile> {
        self.profile.as_ref().map(|(profile, _, _)| profile)
    }

    /// What the search found; `None` where nothing was searched for.
    pub(super) fn searched(&self) -> Option<Vec<Fit>> {
        self.search.as_ref().map(Search::fits)
    }

    fn event(&self, event: impl FnOnce() -> Json) {
        if self.json {
            let mut event = event();
            if let Some(object) = event.as_object_mut() {
                object.insert("v".to_owned(), 1.into());
            }
            out(&event.to_string());
        }
    }

    fn remark(&self, text: &str) {
        if !self.json {
            notice(text);
        }
    }
}

/// A medium for people: masked unless asked for.
pub(super) fn medium_text(medium: &Medium, show: bool) -> String {
    let text = if show { medium.value.reveal().to_owned() } else { medium.value.masked(4) };
    text.chars().map(|c| if c.is_control() { '·' } else { c }).collect()
}

fn hex(bytes: &[Option<u8>], between: &str) -> String {
    bytes.iter().map(|byte| byte.map_or_else(|| "··".to_owned(), |byte| format!("{byte:02X}"))).collect::<Vec<_>>().join(between)
}

fn printable(bytes: &[Option<u8>]) -> String {
    let letter = |byte: u8| if byte.is_ascii_graphic() || byte == b' ' { char::from(byte) } else { '.' };
    bytes.iter().map(|byte| byte.map_or('·', letter)).collect()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

async fn until(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => std::future::pending().await,
    }
}
