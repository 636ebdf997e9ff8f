//! `limegate journal`: looks into the log, whether the gateway runs or not. Never writes.

use std::sync::Arc;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{Exit, Global, check, notice, out, out_json, show, when};
use crate::books::{JobLine, JobState, Jobs};
use crate::clock::SystemClock;
use crate::config::{Config, Language};
use crate::domain::Seq;
use crate::gateway;
use crate::journal::{Destination, Entry, Journal, Store, Verified};
use crate::words::journal as words;

/// Records read at a time.
const PAGE: usize = 1024;

/// `limegate journal`
#[derive(Debug, Args)]
pub struct JournalArgs {
    #[command(subcommand)]
    command: JournalCommand,
}

#[derive(Debug, Subcommand)]
enum JournalCommand {
    /// The jobs that the log makes, and what became of them.
    List(Filter),
    /// One record, whole.
    Show {
        /// Its sequence number, or a pass's id.
        key: String,
        /// Show whole card numbers.
        #[arg(long)]
        show_cards: bool,
    },
    /// Every record as a line of JSON.
    Export {
        /// Only from this sequence number on.
        #[arg(long, default_value_t = 0)]
        from: Seq,
        /// Show whole card numbers.
        #[arg(long)]
        show_cards: bool,
    },
    /// Walks every record and reports what does not check out.
    Verify,
    /// Sizes and numbers.
    Stat,
}

/// Which jobs.
#[derive(Debug, Args)]
pub struct Filter {
    /// Only those for this destination.
    #[arg(long, value_enum)]
    to: Option<To>,
    /// Only those in this state.
    #[arg(long, value_enum)]
    state: Option<State>,
    /// Only what is about this: `pass`, `client`, `receipt`, `product`, `preorder`, `contact`, `deal`.
    #[arg(long)]
    what: Option<String>,
    /// Only passes of this gate.
    #[arg(long)]
    gate: Option<String>,
    /// Only those since then: `today`, `2h`, `3d`, a date, RFC 3339.
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
    /// Only those before then.
    #[arg(long, value_name = "WHEN")]
    until: Option<String>,
    /// The newest so many.
    #[arg(long, default_value_t = 100)]
    limit: usize,
}

/// A destination on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum To {
    /// Lime.
    Lime,
    /// The CRM.
    Crm,
}

impl From<To> for Destination {
    fn from(to: To) -> Self {
        match to {
            To::Lime => Self::Lime,
            To::Crm => Self::Crm,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum State {
    Waiting,
    Sending,
    Delivered,
    Refused,
    Dropped,
}

impl From<State> for JobState {
    fn from(state: State) -> Self {
        match state {
            State::Waiting => Self::Waiting,
            State::Sending => Self::Sending,
            State::Delivered => Self::Delivered,
            State::Refused => Self::Refused,
            State::Dropped => Self::Dropped,
        }
    }
}

/// Why the log cannot be looked into.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// There is none, or its folder is another user's.
    #[error("the journal in {0} cannot be opened: {1}")]
    Open(std::path::PathBuf, String),
    /// The disk refuses.
    #[error(transparent)]
    Read(#[from] crate::journal::ReadError),
}

/// The log of a state folder, read only.
pub(super) struct Log(Journal);

impl Log {
    pub fn open(config: &Config) -> Result<Self, LogError> {
        let options = gateway::journal_options(config, Arc::new(SystemClock::new()));
        let dir = options.dir.clone();
        Journal::open_read_only(gateway::real_disk(), options).map(Self).map_err(|error| LogError::Open(dir, error.to_string()))
    }

    /// The journal itself, to look things up.
    pub fn store(&self) -> &dyn Store {
        &self.0
    }

    /// Calls `each` with every record from `from` on until it says false.
    pub fn each(&self, from: Seq, mut each: impl FnMut(&Entry) -> bool) -> Result<(), LogError> {
        let mut next = from;
        loop {
            let entries = self.0.read(next, PAGE)?;
            for entry in &entries {
                if !each(entry) {
                    return Ok(());
                }
            }
            match entries.last() {
                Some(last) => next = last.seq + 1,
                None => return Ok(()),
            }
        }
    }

    fn verify(&self) -> Result<Verified, LogError> {
        Ok(self.0.verify()?)
    }
}

pub(super) fn run(global: &Global, args: &JournalArgs) -> Exit {
    let config = match check::load_running(global) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    let language = global.language().unwrap_or(config.site.language);
    let log = match Log::open(&config) {
        Ok(log) => log,
        Err(error) => {
            notice(&error.to_string());
            return Exit::TryAgain;
        }
    };
    let result = match &args.command {
        JournalCommand::List(filter) => list(&log, &config, global, filter, language),
        JournalCommand::Show { key, show_cards } => one(&log, global, key, *show_cards, language),
        JournalCommand::Export { from, show_cards } => export(&log, *from, *show_cards),
        JournalCommand::Verify => verify(&log, global, language),
        JournalCommand::Stat => Ok(stat(&log, global, language)),
    };
    result.unwrap_or_else(|error| {
        notice(&error.to_string());
        Exit::TryAgain
    })
}

fn list(log: &Log, config: &Config, global: &Global, filter: &Filter, language: Language) -> Result<Exit, LogError> {
    let bound = |text: &Option<String>| text.as_deref().map(|text| when::parse(text, &config.site.timezone)).transpose();
    let (since, until) = match (bound(&filter.since), bound(&filter.until)) {
        (Ok(since), Ok(until)) => (since, until),
        (Err(message), _) | (_, Err(message)) => {
            notice(&message);
            return Ok(Exit::Usage);
        }
    };
    let mut jobs = Jobs::new(gateway::crm_policy(config));
    log.each(0, |entry| {
        jobs.apply(entry);
        true
    })?;
    let wanted: Vec<&JobLine> = jobs
        .lines()
        .filter(|line| filter.to.is_none_or(|to| line.to == Destination::from(to)))
        .filter(|line| filter.state.is_none_or(|state| line.state == JobState::from(state)))
        .filter(|line| filter.what.as_deref().is_none_or(|what| line.what == what))
        .filter(|line| filter.gate.as_deref().is_none_or(|gate| line.gate == gate))
        .filter(|line| since.is_none_or(|since| line.wall_ms >= since) && until.is_none_or(|until| line.wall_ms < until))
        .collect();
    let shown = wanted.get(wanted.len().saturating_sub(filter.limit)..).unwrap_or_default();
    if global.json {
        out_json(&json!({"v": 1, "all": wanted.len(), "jobs": shown}));
        return Ok(Exit::Fine);
    }
    out(&show::job_table(shown, &config.site.timezone, language));
    if shown.len() < wanted.len() {
        notice(&words::MORE.with("shown", shown.len().to_string()).with("all", wanted.len().to_string()).text(language));
    }
    Ok(Exit::Fine)
}

fn one(log: &Log, global: &Global, key: &str, cards: bool, language: Language) -> Result<Exit, LogError> {
    let seq: Option<Seq> = key.parse().ok();
    let mut found: Vec<Value> = Vec::new();
    log.each(seq.unwrap_or(0), |entry| {
        let hit = match seq {
            Some(seq) => entry.seq == seq,
            None => show::concerns(entry, key),
        };
        if hit {
            found.push(show::entry_json(entry, cards));
        }
        seq.is_none_or(|seq| entry.seq < seq)
    })?;
    if found.is_empty() {
        notice(&words::NO_SUCH.with("key", key.to_owned()).text(language));
        return Ok(Exit::Problems);
    }
    if global.json {
        out_json(&json!({"v": 1, "records": found}));
    } else {
        for record in &found {
            out(&format!("{record:#}"));
        }
    }
    Ok(Exit::Fine)
}

fn export(log: &Log, from: Seq, cards: bool) -> Result<Exit, LogError> {
    log.each(from, |entry| {
        out(&show::entry_json(entry, cards).to_string());
        true
    })?;
    Ok(Exit::Fine)
}

fn verify(log: &Log, global: &Global, language: Language) -> Result<Exit, LogError> {
    let verified = log.verify()?;
    let sound = verified.findings.is_empty();
    if global.json {
        out_json(&json!({"v": 1, "verified": verified, "sound": sound}));
    } else {
        let records = verified.records.to_string();
        let text = if sound {
            words::VERIFIED.with("records", records).text(language)
        } else {
            words::DAMAGED
                .with("records", records)
                .with("damaged", verified.findings.iter().map(|finding| finding.records).sum::<u64>().to_string())
                .text(language)
        };
        out(&text);
        for finding in &verified.findings {
            out(&format!("  {:>10}  {}", finding.first_seq, finding.what));
        }
    }
    Ok(if sound { Exit::Fine } else { Exit::Problems })
}

fn stat(log: &Log, global: &Global, language: Language) -> Exit {
    let stat = log.0.stat();
    if global.json {
        out_json(&json!({"v": 1, "stat": stat}));
    } else {
        let text = words::STAT
            .with("bytes", (stat.bytes / 1024).to_string())
            .with("budget", (stat.budget_bytes / 1024).to_string())
            .with("segments", stat.segments.to_string())
            .with("first", stat.first_seq.to_string())
            .with("last", stat.last_seq.to_string());
        out(&text.text(language));
    }
    Exit::Fine
}
