//! Problems: what is wrong, as objects. One list feeds the command line, the page, MQTT and alerts.
//!
//! [`problems`] is pure: a [`Snapshot`] says what is, a [`Memory`] since when. A problem shows once it has lasted (a blip does not), and not while its
//! cause is in the list itself. Never: a problem without a word on what to do; a name, phone, card or token in one.

use jiff::Timestamp;
use jiff::fmt::temporal::Pieces;
use serde::{Deserialize, Serialize};

use super::problem_box;
use super::problem_destinations;
use super::problem_doors;
use super::problem_feeds;
use super::problem_gates;
use super::problem_memory::Memory;
use super::problem_modules;
use super::snapshot::Snapshot;
use crate::words::{Language, Phrase};

/// The stable code of a kind of problem, documented in `docs/problems.md`. Can be read out over the phone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Code(&'static str);

impl Code {
    /// `G-101`
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.0
    }

    /// Where it is explained.
    #[must_use]
    pub fn doc(self) -> String {
        format!("docs/problems.md#{}", self.0.to_ascii_lowercase())
    }
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal;)*) => {
        impl Code {
            $($(#[$doc])* pub const $name: Self = Self($code);)*
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];
        }
    };
}

codes! {
    /// The config file on disk does not check; the running one goes on.
    CONFIG_NOT_APPLIED = "C-000";
    /// A reader's port cannot be opened, or is gone.
    READER_DOWN = "G-101";
    /// A reader that is asked does not answer.
    READER_OFFLINE = "G-111";
    /// A reader does not have the key that the config names, or wants one.
    READER_KEY = "G-112";
    /// Somebody is at a reader's housing.
    TAMPER = "G-113";
    /// A reader's power fails.
    READER_POWER = "G-114";
    /// Bytes come, and none look like the reader that the config names.
    NOT_THIS_READER = "G-103";
    /// A gate is silent while its neighbours are busy.
    SILENT = "G-201";
    /// Many frames are damaged.
    BAD_FRAMES = "G-202";
    /// A door does not open.
    DOOR_SHUT = "D-101";
    /// The outputs of a door are not known to be off.
    DOOR_STUCK = "D-102";
    /// A device of a door does not answer.
    DOOR_AWAY = "D-103";
    /// The gate is free: fire alarm or key.
    DOOR_FREE = "D-104";
    /// Somebody is at the housing.
    DOOR_TAMPER = "D-105";
    /// The gate's device reports trouble of its own.
    DOOR_FAULT = "D-106";
    /// Guests went through without being let in.
    UNPERMITTED = "D-201";
    /// A door decides without Lime.
    DECIDES_ALONE = "D-202";
    /// The entitlement snapshot is not there, or too old to decide by.
    NO_ENTITLEMENTS = "D-203";
    /// An I/O module or gate board does not answer.
    MODULE_DOWN = "M-101";
    /// An output does not go off.
    OUTPUT_STUCK = "M-102";
    /// A module has not what its map says.
    MODULE_REFUSES = "M-103";
    /// A module does not take a setting that makes it safe.
    SETTING_REFUSED = "M-104";
    /// The disk refuses to store passes.
    JOURNAL_FAILING = "J-101";
    /// Undelivered passes take most of the journal's budget.
    JOURNAL_FILLING = "J-102";
    /// The budget is used up: new passes are refused.
    JOURNAL_FULL = "J-103";
    /// Records were damaged and put aside.
    JOURNAL_DAMAGED = "J-104";
    /// The index is being rebuilt, or was.
    INDEX_REBUILT = "J-105";
    /// The clock is not synchronised.
    CLOCK_UNSYNCED = "P-101";
    /// The clock is certainly wrong.
    CLOCK_WRONG = "P-102";
    /// A destination refuses our authorisation.
    AUTH = "T-110";
    /// A destination allows us too little.
    ACCESS = "T-111";
    /// A pipeline or stage is not there.
    NO_STAGE = "T-112";
    /// A field is not there.
    NO_FIELD = "T-113";
    /// The destination's set-up lacks something else.
    SETUP = "T-114";
    /// Jobs were refused for good and wait for a person.
    DEAD_LETTERS = "T-201";
    /// Outcomes stay unknown.
    DOUBTFUL = "T-202";
    /// A backlog is being delivered.
    BACKLOG = "T-203";
    /// The nightly sweep found passes that are not there exactly once.
    DOUBLED = "T-204";
    /// Nothing outside can be reached.
    NO_NETWORK = "T-300";
    /// A name does not resolve.
    NO_DNS = "T-301";
    /// A destination cannot be reached.
    UNREACHABLE = "T-302";
    /// The destination's certificate is not accepted.
    BAD_TLS = "T-303";
    /// The destination asks us to slow down.
    LIMITED = "T-304";
    /// The destination answers with errors.
    FAILING = "T-305";
    /// Answers break off or do not come.
    NO_ANSWER = "T-306";
    /// The MQTT broker cannot be reached.
    NO_BROKER = "T-401";
    /// A feed of Lime's or the CRM's cannot be read.
    FEED_DOWN = "T-501";
    /// A feed told of what cannot be read.
    FEED_ODD = "T-502";
}

/// How bad, by its effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// A gate does not work, or data is at risk.
    Red,
    /// Deliveries are late.
    Amber,
    /// A note.
    Grey,
}

/// A text in both languages.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Texts {
    /// Русский.
    pub ru: String,
    /// English.
    pub en: String,
}

impl Texts {
    fn of(phrase: &Phrase) -> Self {
        Self { ru: phrase.text(Language::Ru), en: phrase.text(Language::En) }
    }

    /// In one language.
    #[must_use]
    pub fn in_(&self, language: Language) -> &str {
        match language {
            Language::Ru => &self.ru,
            Language::En => &self.en,
        }
    }
}

/// Something is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Which kind: `G-101`.
    pub code: String,
    /// How bad.
    pub severity: Severity,
    /// The gate it is about.
    pub gate: Option<String>,
    /// The destination it is about: `lime`, `crm`, `mqtt`; or the feed: `lime.clients`.
    pub destination: Option<String>,
    /// The I/O module or gate board it is about.
    #[serde(default)]
    pub module: Option<String>,
    /// Since when, RFC 3339 in the venue's zone; `None` where the clock cannot say.
    pub since: Option<String>,
    /// From when on it is shown: what passes by itself is not.
    pub visible_after: Option<String>,
    /// The problems in the list that this one follows from, `code` or `code:subject`.
    pub depends_on: Vec<String>,
    /// Whether to show it now: it has lasted, and its cause is not in the list.
    pub visible: bool,
    /// What is wrong.
    pub text: Texts,
    /// What to do.
    pub action: Texts,
    /// Where it is explained.
    pub doc: String,
}

impl Problem {
    /// `code` or `code:subject`, as `depends_on` names it.
    #[must_use]
    pub fn key(&self) -> String {
        match self.gate.as_ref().or(self.destination.as_ref()).or(self.module.as_ref()) {
            Some(subject) => format!("{}:{subject}", self.code),
            None => self.code.clone(),
        }
    }
}

/// What a problem is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Subject {
    Gate(String),
    Module(String),
    Box,
    Destination(String),
}

/// A problem as found, before memory and order.
#[derive(Clone, Debug)]
pub(super) struct Finding {
    pub(super) code: Code,
    pub(super) severity: Severity,
    pub(super) subject: Subject,
    /// Boot time since when, where the snapshot knows better than memory.
    pub(super) since_boot_ms: Option<u64>,
    /// How long it must last before it is shown, milliseconds.
    pub(super) grace_ms: u64,
    pub(super) causes: Vec<(Code, Subject)>,
    pub(super) text: Phrase,
    pub(super) action: Phrase,
}

impl Finding {
    pub(super) fn new(code: Code, severity: Severity, subject: Subject, text: impl Into<Phrase>, action: impl Into<Phrase>) -> Self {
        Self { code, severity, subject, since_boot_ms: None, grace_ms: 0, causes: Vec::new(), text: text.into(), action: action.into() }
    }

    pub(super) fn since(mut self, boot_ms: Option<u64>) -> Self {
        self.since_boot_ms = boot_ms;
        self
    }

    pub(super) fn after(mut self, grace_ms: u64) -> Self {
        self.grace_ms = grace_ms;
        self
    }

    pub(super) fn caused_by(mut self, code: Code, subject: Subject) -> Self {
        self.causes.push((code, subject));
        self
    }
}

/// Everything that can be found in a snapshot.
pub(super) fn findings(now: &Snapshot, memory: &Memory) -> Vec<Finding> {
    let mut found = problem_gates::find(now, memory);
    found.extend(problem_doors::find(now));
    found.extend(problem_modules::find(now));
    found.extend(problem_box::find(now));
    found.extend(problem_destinations::find(now));
    found.extend(problem_feeds::find(now));
    found
}

/// All problems, worst effect on a guest first.
#[must_use]
pub fn problems(now: &Snapshot, memory: &Memory) -> Vec<Problem> {
    let mut found = findings(now, memory);
    found.sort_by(|a, b| (a.severity, &a.subject, a.code).cmp(&(b.severity, &b.subject, b.code)));
    let present: Vec<_> = found.iter().map(|one| (one.code, one.subject.clone())).collect();
    found.iter().map(|one| problem(one, &present, now, memory)).collect()
}

fn problem(one: &Finding, present: &[(Code, Subject)], now: &Snapshot, memory: &Memory) -> Problem {
    let since = one.since_boot_ms.unwrap_or_else(|| memory.first_seen(one.code, &one.subject).unwrap_or(now.boot_ms)).min(now.boot_ms);
    let visible_after = since.saturating_add(one.grace_ms);
    let depends_on: Vec<String> = one.causes.iter().filter(|cause| present.contains(cause)).map(|(code, subject)| key(*code, subject)).collect();
    let (gate, destination, module) = match &one.subject {
        Subject::Gate(id) => (Some(id.clone()), None, None),
        Subject::Destination(name) => (None, Some(name.clone()), None),
        Subject::Module(id) => (None, None, Some(id.clone())),
        Subject::Box => (None, None, None),
    };
    Problem {
        code: one.code.as_str().to_owned(),
        severity: one.severity,
        gate,
        destination,
        module,
        since: wall_text(now, since),
        visible_after: wall_text(now, visible_after),
        visible: depends_on.is_empty() && visible_after <= now.boot_ms,
        depends_on,
        text: Texts::of(&one.text),
        action: Texts::of(&one.action),
        doc: one.code.doc(),
    }
}

fn key(code: Code, subject: &Subject) -> String {
    match subject {
        Subject::Gate(name) | Subject::Destination(name) | Subject::Module(name) => format!("{}:{name}", code.as_str()),
        Subject::Box => code.as_str().to_owned(),
    }
}

/// The wall time of a boot time of this boot, by the snapshot's own pair of both.
pub(crate) fn wall_text(now: &Snapshot, boot_ms: u64) -> Option<String> {
    let at: Timestamp = now.at.parse().ok()?;
    let offset = Pieces::parse(&now.at).ok()?.to_numeric_offset().unwrap_or(jiff::tz::Offset::UTC);
    let delta = i64::try_from(boot_ms).ok()?.checked_sub(i64::try_from(now.boot_ms).ok()?)?;
    let then = Timestamp::from_millisecond(at.as_millisecond().checked_add(delta)?).ok()?;
    Some(then.display_with_offset(offset).to_string())
}

/// The worst of what is shown.
#[must_use]
pub fn worst(problems: &[Problem]) -> Option<Severity> {
    problems.iter().filter(|one| one.visible).map(|one| one.severity).min()
}
