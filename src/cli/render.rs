//! Tables and lines for people, as text: pure, so that the command line, a test and a page of documentation show the same.

use crate::books::{DestinationSum, Sums};
use crate::gateway::audit::{Audit, Side};
use crate::status::{Code, DestinationState, GateState, Link, Problem, Snapshot, wall_text};
use crate::words::{Language, Value, Word, cli as words, grouped, journal, span};

/// What `limegate status` shows. Lines are at most `width` characters as far as their content allows.
#[must_use]
pub fn status_table(now: &Snapshot, problems: &[Problem], language: Language, width: usize) -> String {
    let mut lines = vec![heading(now, language)];
    lines.extend(table(&gate_rows(now, problems, language), &[3]));
    lines.extend(table(&destination_rows(now, language), &[1, 2, 3, 4]));
    lines.extend(table(&feed_rows(now, language), &[2]));
    lines.extend(problem_lines(problems, language, width));
    lines.extend(foot(now, language));
    lines.join("\n")
}

fn heading(now: &Snapshot, language: Language) -> String {
    let up = words::UPTIME.with("t", Value::Span(now.boot_ms.saturating_sub(now.started_boot_ms))).text(language);
    format!("{}      {}   {}   {up}", plain(&now.title), plain(&now.site), now.version)
}

fn gate_rows(now: &Snapshot, problems: &[Problem], language: Language) -> Vec<Vec<String>> {
    let mut rows = vec![header(&[words::GATE, words::READER, words::LINK, words::PASSES, words::LAST_PASS], language)];
    rows.extend(now.gates.iter().map(|(id, gate)| {
        vec![plain(id), plain(&gate.reader), link(id, gate, now, problems, language), grouped(gate.passes), last_pass(gate, now, language)]
    }));
    rows
}

fn link(id: &str, gate: &GateState, now: &Snapshot, problems: &[Problem], language: Language) -> String {
    let silent = problems.iter().any(|one| one.code == Code::SILENT.as_str() && one.gate.as_deref() == Some(id));
    match (gate.link, gate.last_byte_boot_ms) {
        (Link::Up, Some(last)) if silent => words::SILENT_FOR.with("t", Value::Span(now.boot_ms.saturating_sub(last))).text(language),
        (Link::Up, _) => words::UP.template(language).to_owned(),
        (Link::Down, _) => words::DOWN.template(language).to_owned(),
        (Link::Starting, _) => words::STARTING.template(language).to_owned(),
    }
}

fn last_pass(gate: &GateState, now: &Snapshot, language: Language) -> String {
    match gate.last_pass_boot_ms {
        Some(last) => words::AGO.with("t", Value::Span(now.boot_ms.saturating_sub(last))).text(language),
        None => "-".to_owned(),
    }
}

fn destination_rows(now: &Snapshot, language: Language) -> Vec<Vec<String>> {
    let titles = [words::TO, words::DELIVERED, words::WAITING, words::OLDEST, words::REFUSED, words::STATE];
    let mut rows = vec![header(&titles, language)];
    // Lime before the CRM: that is the way a pass goes.
    let mut all: Vec<_> = now.destinations.iter().collect();
    all.sort_by_key(|(name, _)| name.as_str() != "lime");
    rows.extend(all.into_iter().map(|(name, state)| {
        let oldest = state.oldest_ms.filter(|_| state.waiting > 0).map_or_else(|| "-".to_owned(), |age| span(age, language));
        let name = if state.kind.is_empty() { name } else { &state.kind };
        vec![plain(name), grouped(state.delivered), grouped(state.waiting), oldest, grouped(state.refused), state_word(state, now, language)]
    }));
    rows
}

/// Nothing where this box is not the venue's hub.
fn feed_rows(now: &Snapshot, language: Language) -> Vec<Vec<String>> {
    if now.feeds.is_empty() {
        return Vec::new();
    }
    let mut rows = vec![header(&[words::FEED, words::LAST_READ, words::CHANGES, words::STATE], language)];
    rows.extend(now.feeds.iter().map(|(name, feed)| {
        let read = feed.last_read_boot_ms.map(|last| words::AGO.with("t", Value::Span(now.boot_ms.saturating_sub(last))).text(language));
        let word = match feed.link {
            Link::Up => words::OK,
            Link::Down => words::FEED_STANDS,
            Link::Starting => words::STARTING,
        };
        let state = match &feed.error {
            Some(code) => format!("{} ({})", word.template(language), plain(code)),
            None => word.template(language).to_owned(),
        };
        vec![plain(name), read.unwrap_or_else(|| "-".to_owned()), grouped(feed.told), state]
    }));
    rows
}

fn state_word(state: &DestinationState, now: &Snapshot, language: Language) -> String {
    let word = match state.link {
        Link::Starting => words::STARTING.template(language).to_owned(),
        Link::Up => words::OK.template(language).to_owned(),
        Link::Down => match state.down_since_boot_ms.and_then(|since| wall_text(now, since)) {
            // RFC 3339: the clock stands between the T and the offset.
            Some(at) => words::OFFLINE_SINCE.with("at", at.get(11..19).unwrap_or_default()).text(language),
            None => words::OFFLINE.template(language).to_owned(),
        },
    };
    match &state.error {
        Some(code) => format!("{word} ({})", plain(code)),
        None => word,
    }
}

fn problem_lines(problems: &[Problem], language: Language, width: usize) -> Vec<String> {
    let visible: Vec<_> = problems.iter().filter(|one| one.visible).collect();
    if visible.is_empty() {
        return vec![words::NO_PROBLEMS.template(language).to_owned()];
    }
    let mut lines = vec![words::PROBLEMS.template(language).to_owned()];
    for one in &visible {
        let text = format!("{} {} {}", one.code, one.text.in_(language), one.action.in_(language));
        lines.extend(wrapped(&plain(&text), width.max(40), 2, 8));
    }
    let hidden = problems.iter().filter(|one| !one.depends_on.is_empty()).count();
    if hidden > 0 {
        lines.push(format!("  {}", words::HIDDEN.with("n", Value::Count(hidden as u64)).text(language)));
    }
    lines
}

fn foot(now: &Snapshot, language: Language) -> Vec<String> {
    let mib = |bytes: u64| Value::Count(bytes.div_ceil(1 << 20));
    let journal = words::JOURNAL_LINE.with("bytes", mib(now.journal.bytes)).with("budget", mib(now.journal.budget_bytes));
    let clock = if now.clock.synced { words::CLOCK_SYNCED } else { words::CLOCK_UNSYNCED };
    let mut parts = vec![journal.count("segments", now.journal.segments).text(language), clock.template(language).to_owned()];
    if now.mqtt.configured {
        let state = match now.mqtt.link {
            Link::Up => words::UP,
            Link::Down => words::DOWN,
            Link::Starting => words::STARTING,
        };
        parts.push(words::BROKER_LINE.with("state", state).text(language));
    }
    vec![parts.join(". ") + ".", words::STORED_PASSES.with("n", Value::Count(now.passes)).text(language)]
}

/// The promise in one line: `read 1 284 = stored 1 284 = lime 1 284 = amocrm 1 247 + waiting 37 + refused 0      OK`. Where two sides differ, `≠`
/// stands between them. While Lime itself has a backlog, the CRM's part begins anew with what Lime has. Guests who
/// stand at a door are named behind it: they are no passes yet.
#[must_use]
pub fn verify_line(sums: &Sums, crm: &str, language: Language) -> String {
    let named = |word: Word, n: u64| format!("{} {}", word.template(language), grouped(n));
    let sign = |equal: bool| if equal { " = " } else { " ≠ " };
    let rest = |side: &DestinationSum, always: bool| {
        let mut terms = Vec::new();
        if always || side.waiting + side.refused > 0 {
            terms.extend([named(words::WAIT, side.waiting), named(words::REFUSED_WORD, side.refused)]);
        }
        if side.dropped > 0 {
            terms.push(named(words::DROPPED, side.dropped));
        }
        terms.iter().map(|term| format!(" + {term}")).collect::<String>()
    };
    let mut line = format!("{}{}{}", named(words::READ, sums.read), sign(sums.read == sums.stored), named(words::STORED, sums.stored));
    let lime_rest = rest(&sums.lime, false);
    line.push_str(sign(sums.lime.balances() && sums.stored == sums.lime.owed));
    line.push_str(&format!("lime {}{lime_rest}", grouped(sums.lime.delivered)));
    if !lime_rest.is_empty() {
        line.push_str(&format!("; lime {}", grouped(sums.lime.delivered)));
    }
    line.push_str(sign(sums.crm.balances() && sums.crm.owed + sums.not_for_crm == sums.lime.delivered));
    line.push_str(&format!("{crm} {}{}", grouped(sums.crm.delivered), rest(&sums.crm, true)));
    if sums.not_for_crm > 0 {
        line.push_str(&format!(" + {}", named(words::NOT_OWED, sums.not_for_crm)));
    }
    if sums.under_way > 0 {
        line.push_str(&format!("; {}", named(words::UNDER_WAY, sums.under_way)));
    }
    let verdict = if sums.balances() { words::BALANCED } else { words::UNBALANCED };
    format!("{line}      {}", verdict.template(language))
}

/// What each destination says of delivered passes: a line each, with the first keys that are missing or doubled below it.
#[must_use]
pub fn remote_lines(audit: &Audit, crm: &str, language: Language) -> String {
    let mut lines = side_lines(&audit.lime, "lime", language);
    lines.extend(side_lines(&audit.crm, crm, language));
    let deals = journal::DEALS_AT.with("to", crm).text(language);
    lines.extend(audit.deals.iter().flat_map(|side| side_lines(side, &deals, language)));
    lines.join("\n")
}

/// Keys of one kind that a text lists.
const KEYS_SHOWN: usize = 10;

fn side_lines(side: &Side, to: &str, language: Language) -> Vec<String> {
    if side.not_askable.is_some() {
        return vec![journal::LIME_NOT_ASKABLE.text(language)];
    }
    if let Some(why) = &side.failed {
        return vec![journal::REMOTE_FAILED.with("to", to).with("why", plain(why)).text(language)];
    }
    let count = |keys: &[String]| keys.len() as u64;
    let sums = journal::REMOTE.with("to", to).count("asked", side.asked).count("found", side.found);
    let mut lines = vec![sums.count("missing", count(&side.missing)).count("doubled", count(&side.doubled)).text(language)];
    for (word, keys) in [(journal::REMOTE_MISSING, &side.missing), (journal::REMOTE_DOUBLED, &side.doubled)] {
        lines.extend(keys.iter().take(KEYS_SHOWN).map(|key| word.with("key", key.as_str()).text(language)));
        if keys.len() > KEYS_SHOWN {
            lines.push(journal::REMOTE_MORE.with("n", Value::Count(count(keys) - KEYS_SHOWN as u64)).text(language));
        }
    }
    lines
}

fn header(titles: &[Word], language: Language) -> Vec<String> {
    titles.iter().map(|word| word.template(language).to_owned()).collect()
}

/// Columns as wide as their widest cell; those in `right` are set to the right. The first row is the header.
#[must_use]
pub fn table(rows: &[Vec<String>], right: &[usize]) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> =
        (0..columns).map(|at| rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max().unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).enumerate().map(|(at, (cell, width))| {
            let gap = " ".repeat(width.saturating_sub(cell.chars().count()));
            if right.contains(&at) { format!("{gap}{cell}") } else { format!("{cell}{gap}") }
        });
        cells.collect::<Vec<_>>().join("  ").trim_end_matches(' ').to_owned()
    };
    rows.iter().map(line).collect()
}

/// Breaks a text at plain spaces; further lines are indented deeper.
fn wrapped(text: &str, width: usize, first: usize, further: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = " ".repeat(first);
    let mut empty = true;
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        if !empty && line.chars().count() + 1 + word.chars().count() > width {
            lines.push(std::mem::replace(&mut line, " ".repeat(further)));
            empty = true;
        }
        if !empty {
            line.push(' ');
        }
        line.push_str(word);
        empty = false;
    }
    lines.push(line);
    lines
}

/// What others named must not steer the terminal.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
