//! A mistake in the config: where it is, what was found and what to write instead. Free of any language until it is rendered.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::Language;
use crate::words::Phrase;

/// The stable code of a kind of mistake, as `docs/configuration.md` lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Code(pub(super) &'static str);

impl Code {
    /// `C-007`
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.0
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
    /// The file cannot be read.
    UNREADABLE = "C-001";
    /// The file is not TOML.
    SYNTAX = "C-002";
    /// A key or table that means nothing.
    UNKNOWN_KEY = "C-003";
    /// A key or table that must be there.
    MISSING = "C-004";
    /// A value of the wrong type.
    WRONG_TYPE = "C-005";
    /// A value that is not allowed.
    NOT_ALLOWED = "C-006";
    /// Two gates on one port.
    SAME_PORT = "C-007";
    /// Two gates of one id.
    SAME_ID = "C-008";
    /// Two gates on one topic.
    SAME_TOPIC = "C-009";
    /// A secret in the file itself.
    INLINE_SECRET = "C-010";
    /// A secret that is not there.
    NO_SECRET = "C-011";
    /// A secret that others can read.
    OPEN_SECRET = "C-012";
    /// A secret that cannot be used.
    BAD_SECRET = "C-013";
    /// A port whose name may change.
    UNSTABLE_PORT = "C-014";
    /// An address that cannot be used, or not safely.
    BAD_URL = "C-015";
    /// Passes in the clear.
    PLAIN_MQTT = "C-016";
    /// A gate on MQTT without a broker.
    NO_BROKER = "C-017";
    /// Keys that do not go together.
    CONFLICT = "C-018";
    /// A reader that nobody knows.
    UNKNOWN_READER = "C-019";
    /// A time zone that nobody knows.
    UNKNOWN_ZONE = "C-020";
    /// A board that nobody knows.
    UNKNOWN_BOARD = "C-021";
    /// A port that the board does not have.
    NOT_ON_BOARD = "C-022";
    /// A port that the board's firmware must enable.
    NEEDS_FIRMWARE = "C-023";
    /// A certificate file that cannot be used.
    BAD_CA = "C-024";
    /// A module that nobody knows.
    UNKNOWN_MODULE = "C-030";
    /// Two modules of one id.
    SAME_MODULE = "C-031";
    /// Two doors on one output.
    SAME_OUTPUT = "C-032";
    /// A kind of module that nobody knows, or a map that does not load.
    UNKNOWN_KIND = "C-040";
    /// Two modules at one address of one line.
    SAME_ADDRESS = "C-041";
    /// Modules of one line that do not go together: other settings, another protocol.
    LINE_DIFFERS = "C-042";
    /// An output, input or counter that the module does not have.
    NO_SUCH_POINT = "C-043";
    /// A protocol known from a single source.
    EXPERIMENTAL = "C-044";
}

/// Whether the file can be used nevertheless.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It cannot.
    Error,
    /// It can.
    Warning,
}

/// A place in the file, and what is to be said of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// Bytes.
    pub span: Range<usize>,
    /// Beside the caret.
    pub text: Phrase,
}

/// The file, fit to be shown: what may be a secret is covered with asterisks, byte for byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its path, as given.
    pub path: PathBuf,
    /// Its text, masked.
    pub(super) text: String,
    /// The language it asks for, as far as that could be read.
    pub language: Option<Language>,
}

impl Source {
    /// Line and column of a byte, from 1; the column counts characters.
    #[must_use]
    pub fn position(&self, at: usize) -> (usize, usize) {
        let before = self.text.get(..self.boundary(at)).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        (line, column)
    }

    /// The nearest character boundary at or below `at`.
    pub(super) fn boundary(&self, at: usize) -> usize {
        let mut at = at.min(self.text.len());
        while !self.text.is_char_boundary(at) {
            at -= 1;
        }
        at
    }
}

/// One mistake or warning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Which kind.
    pub code: Code,
    /// How bad.
    pub severity: Severity,
    /// What is wrong, with what was found.
    pub message: Phrase,
    /// Where; `None` when it is about the file as such.
    pub primary: Option<Label>,
    /// Further places, such as the first of two that clash.
    pub secondary: Vec<Label>,
    /// What to do.
    pub help: Vec<Phrase>,
    /// The file it is in.
    pub source: Arc<Source>,
}

impl Diagnostic {
    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.source.path
    }

    /// Line and column of the primary place, from 1.
    #[must_use]
    pub fn position(&self) -> Option<(usize, usize)> {
        self.primary.as_ref().map(|label| self.source.position(label.span.start))
    }
}

/// Collects what is wrong, in whatever order it is found.
#[derive(Debug)]
pub(super) struct Mistakes {
    source: Arc<Source>,
    found: Vec<Diagnostic>,
    /// Tables (by where they begin) and keys that have their mistake already: they are not missing, too.
    broken: BTreeSet<(usize, String)>,
}

impl Mistakes {
    pub(super) fn of(source: Source) -> Self {
        Self { source: Arc::new(source), found: Vec::new(), broken: BTreeSet::new() }
    }

    /// Remembers that a key's mistake was noted.
    pub(super) fn broken(&mut self, table: &Range<usize>, key: &str) {
        self.broken.insert((table.start, key.to_owned()));
    }

    /// Whether a key's mistake was noted before.
    pub(super) fn is_broken(&self, table: &Range<usize>, key: &str) -> bool {
        self.broken.contains(&(table.start, key.to_owned()))
    }

    /// Where secrets are kept beside this file, as people should read it.
    pub(super) fn secrets_folder(&self) -> String {
        self.source.path.parent().unwrap_or(Path::new("")).join("secrets").display().to_string()
    }

    /// Adds an error.
    pub(super) fn error(&mut self, code: Code, message: impl Into<Phrase>, at: &Range<usize>, text: impl Into<Phrase>) -> &mut Diagnostic {
        self.add(code, Severity::Error, message.into(), Some(Label { span: at.clone(), text: text.into() }))
    }

    /// Adds a warning.
    pub(super) fn warning(&mut self, code: Code, message: impl Into<Phrase>, at: &Range<usize>, text: impl Into<Phrase>) -> &mut Diagnostic {
        self.add(code, Severity::Warning, message.into(), Some(Label { span: at.clone(), text: text.into() }))
    }

    /// Adds an error about the file as such.
    pub(super) fn file_error(&mut self, code: Code, message: impl Into<Phrase>) -> &mut Diagnostic {
        self.add(code, Severity::Error, message.into(), None)
    }

    fn add(&mut self, code: Code, severity: Severity, message: Phrase, primary: Option<Label>) -> &mut Diagnostic {
        let one = Diagnostic { code, severity, message, primary, secondary: Vec::new(), help: Vec::new(), source: self.source.clone() };
        self.found.push(one);
        let last = self.found.len() - 1;
        // The vector is not empty: one was just pushed.
        &mut self.found[last]
    }

    pub(super) fn any_error(&self) -> bool {
        self.found.iter().any(|one| one.severity == Severity::Error)
    }

    /// In the order of the file; what concerns the whole file first.
    pub(super) fn into_sorted(mut self) -> Vec<Diagnostic> {
        self.found.sort_by_key(|one| (one.primary.as_ref().map(|label| label.span.start), one.severity));
        self.found
    }
}

impl Diagnostic {
    /// Adds a line of help.
    pub(super) fn help(&mut self, text: impl Into<Phrase>) -> &mut Self {
        self.help.push(text.into());
        self
    }

    /// Adds a further place.
    pub(super) fn also(&mut self, at: &Range<usize>, text: impl Into<Phrase>) -> &mut Self {
        self.secondary.push(Label { span: at.clone(), text: text.into() });
        self
    }
}
