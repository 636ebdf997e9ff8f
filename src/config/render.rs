//! Diagnostics as people and machines read them.

use std::ops::Range;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde_json::{Value, json};

use super::diagnostic::{Diagnostic, Label, Severity, Source};
use crate::config::Language;
use crate::words::config as words;

/// How to render.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// The language; `None`: the one the file asks for.
    pub language: Option<Language>,
    /// With terminal colours.
    pub colours: bool,
}

/// The language for what concerns this file.
#[must_use]
pub fn language_of(diagnostics: &[Diagnostic], chosen: Option<Language>) -> Language {
    chosen.or_else(|| diagnostics.first().and_then(|one| one.source.language)).unwrap_or_default()
}

/// All of them, compiler-like, each followed by an empty line.
#[must_use]
pub fn render(diagnostics: &[Diagnostic], style: Style) -> String {
    let language = language_of(diagnostics, style.language);
    let renderer = if style.colours { Renderer::styled() } else { Renderer::plain() }.decor_style(DecorStyle::Ascii).term_width(160);
    let mut text = String::new();
    for one in diagnostics {
        text.push_str(&renderer.render(&[title_group(one, language), help_groups(one, language)].concat()));
        text.push_str("\n\n");
    }
    text
}

/// Mistakes that [`in_short`] says in full.
const IN_SHORT: usize = 3;

/// The errors among them in one line, each in the words of [`render`] with its code, line and column, the first ones and how many more: for a list of problems.
#[must_use]
pub fn in_short(diagnostics: &[Diagnostic], language: Language) -> String {
    let errors: Vec<&Diagnostic> = diagnostics.iter().filter(|one| one.severity == Severity::Error).collect();
    let said = errors.iter().take(IN_SHORT).map(|one| {
        let at = one.position().map(|(line, column)| format!(" {line}:{column}")).unwrap_or_default();
        format!("{}{at}: {}", one.code.as_str(), visible(&one.message.text(language)))
    });
    let mut parts: Vec<String> = said.collect();
    if errors.len() > IN_SHORT {
        parts.push(words::AND_MORE.with("n", crate::words::Value::Count((errors.len() - IN_SHORT) as u64)).text(language));
    }
    parts.join("; ")
}

fn title_group<'a>(one: &'a Diagnostic, language: Language) -> Vec<Group<'a>> {
    let level = match one.severity {
        Severity::Error => Level::ERROR.with_name(words::ERROR.template(language)),
        Severity::Warning => Level::WARNING.with_name(words::WARNING.template(language)),
    };
    let title = level.primary_title(visible(&one.message.text(language))).id(one.code.as_str());
    let path = one.source.path.display().to_string();
    let group = match &one.primary {
        None => title.element(annotate_snippets::Origin::path(path)),
        Some(primary) => {
            let note = |label: &Label, kind: AnnotationKind| kind.span(clamped(&one.source, &label.span)).label(visible(&label.text.text(language)));
            let snippet = Snippet::source(one.source.text.as_str())
                .path(path)
                .annotation(note(primary, AnnotationKind::Primary))
                .annotations(one.secondary.iter().map(|label| note(label, AnnotationKind::Context)));
            title.element(snippet)
        }
    };
    vec![group]
}

fn help_groups(one: &Diagnostic, language: Language) -> Vec<Group<'static>> {
    let level = || Level::HELP.with_name(words::HELP.template(language));
    one.help.iter().map(|help| Group::with_title(level().secondary_title(visible(&help.text(language))))).collect()
}

/// Text from the file may hold control characters; a terminal must not obey them.
fn visible(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || is_bidi_control(c) { '\u{fffd}' } else { c }).collect()
}

fn is_bidi_control(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A span inside the text, on character boundaries, and within one line: a header or a value is shown by its beginning.
fn clamped(source: &Source, span: &Range<usize>) -> Range<usize> {
    let start = source.boundary(span.start);
    let end = source.boundary(span.end).max(start);
    let line = source.text.get(start..end).unwrap_or_default().lines().next().unwrap_or_default();
    start..start + line.len()
}

/// All of them under `"v": 1`.
#[must_use]
pub fn to_json(diagnostics: &[Diagnostic], chosen: Option<Language>) -> Value {
    let language = language_of(diagnostics, chosen);
    let place = |source: &Source, label: &Label| {
        let (line, column) = source.position(label.span.start);
        json!({ "line": line, "column": column, "text": label.text.text(language) })
    };
    let list: Vec<Value> = diagnostics
        .iter()
        .map(|one| {
            json!({
                "code": one.code.as_str(),
                "severity": match one.severity { Severity::Error => "error", Severity::Warning => "warning" },
                "message": one.message.text(language),
                "file": one.source.path.display().to_string(),
                "at": one.primary.as_ref().map(|label| place(&one.source, label)),
                "also": one.secondary.iter().map(|label| place(&one.source, label)).collect::<Vec<_>>(),
                "help": one.help.iter().map(|help| help.text(language)).collect::<Vec<_>>(),
            })
        })
        .collect();
    json!({ "v": 1, "ok": diagnostics.iter().all(|one| one.severity == Severity::Warning), "diagnostics": list })
}
