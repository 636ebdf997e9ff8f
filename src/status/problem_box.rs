//! Problems of the box itself: journal, clock, config.

use jiff::Timestamp;

use super::problem::{Code, Finding, Severity, Subject};
use super::snapshot::Snapshot;
use crate::words::{Value, problems as words};

/// The first day of 2025: no box of ours runs earlier.
const NOT_BEFORE_MS: i64 = 1_735_689_600_000;
/// A box without a clock is synchronised soon after it has a network.
const SYNC_GRACE_MS: u64 = 2 * 60_000;

pub(super) fn find(now: &Snapshot) -> Vec<Finding> {
    let mut found = Vec::new();
    journal(now, &mut found);
    clock(now, &mut found);
    if let Some(why) = &now.config_error {
        let why = Value::Both { ru: why.ru.clone(), en: why.en.clone() };
        found.push(Finding::new(Code::CONFIG_NOT_APPLIED, Severity::Grey, Subject::Box, words::CONFIG.with("why", why), words::RUN_CHECK));
    }
    found
}

fn journal(now: &Snapshot, found: &mut Vec<Finding>) {
    let journal = &now.journal;
    let mut add = |code, severity, text, action| found.push(Finding::new(code, severity, Subject::Box, text, action));
    if let Some(why) = &journal.failing {
        add(Code::JOURNAL_FAILING, Severity::Red, words::JOURNAL_FAILING.with("why", why.as_str()), words::CHECK_DISK);
    }
    let percent = held_percent(now);
    if percent >= 98 {
        add(Code::JOURNAL_FULL, Severity::Red, words::JOURNAL_FULL.into(), words::FREE_JOURNAL);
    } else if percent >= 80 {
        add(Code::JOURNAL_FILLING, Severity::Amber, words::JOURNAL_FILLING.with("percent", percent.to_string()), words::FREE_JOURNAL);
    }
    if journal.quarantined > 0 {
        let text = words::JOURNAL_DAMAGED.with("n", Value::Count(journal.quarantined));
        add(Code::JOURNAL_DAMAGED, Severity::Amber, text, words::VERIFY_JOURNAL);
    }
    // After a start it catches up beside the work: that is how it is meant.
    if !matches!(journal.index.as_str(), "" | "ok" | "new" | "catching up") {
        add(Code::INDEX_REBUILT, Severity::Grey, words::INDEX_REBUILT.with("state", journal.index.as_str()), words::NOTHING_TO_DO);
    }
}

/// How much of the budget is held by what is not delivered. Delivered records go when room is needed, so they do not count; records are taken for
/// equally long.
fn held_percent(now: &Snapshot) -> u64 {
    let journal = &now.journal;
    let Some(oldest) = journal.oldest_unsettled else { return 0 };
    let all = u128::from(journal.last_seq.saturating_sub(journal.first_seq)) + 1;
    let held = u128::from(journal.last_seq.saturating_sub(oldest)) + 1;
    let budget = u128::from(journal.budget_bytes.max(1));
    u64::try_from(u128::from(journal.bytes) * held.min(all) * 100 / (all * budget)).unwrap_or(u64::MAX)
}

fn clock(now: &Snapshot, found: &mut Vec<Finding>) {
    let wrong = now.at.parse::<Timestamp>().is_ok_and(|at| at.as_millisecond() < NOT_BEFORE_MS);
    if wrong {
        let text = words::CLOCK_WRONG.with("at", now.at.as_str());
        found.push(Finding::new(Code::CLOCK_WRONG, Severity::Amber, Subject::Box, text, words::CHECK_TIME));
    }
    if !now.clock.synced {
        let text = if now.clock.anchored { words::CLOCK_LOST } else { words::CLOCK_UNSYNCED };
        let one = Finding::new(Code::CLOCK_UNSYNCED, Severity::Grey, Subject::Box, text, words::CHECK_TIME).after(SYNC_GRACE_MS);
        found.push(one.caused_by(Code::CLOCK_WRONG, Subject::Box).caused_by(Code::NO_NETWORK, Subject::Box));
    }
}
