//! `limegate dead`: what was refused for good, and what a person decides about it.

use std::sync::Arc;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::journal::To;
use super::{Exit, Global, check, notice, out, out_json, show};
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, Language};
use crate::control::{Client, ClientError, Decided, Decision};
use crate::domain::Seq;
use crate::gateway;
use crate::journal::{DeadLetter, Destination, Drop, Journal, Record, Store};
use crate::words::journal as words;

/// `limegate dead`
#[derive(Debug, Args)]
pub struct DeadArgs {
    #[command(subcommand)]
    command: DeadCommand,
}

#[derive(Debug, Subcommand)]
enum DeadCommand {
    /// What was refused, by whom and why.
    List {
        /// Only by this destination.
        #[arg(long, value_enum)]
        to: Option<To>,
    },
    /// One of them, with the answer and the pass.
    Show {
        /// The job's sequence number, or the pass's id.
        key: String,
        /// Show whole card numbers.
        #[arg(long)]
        show_cards: bool,
    },
    /// Sends them again.
    Retry {
        /// Jobs or pass ids; `all` for all of them.
        #[arg(required = true)]
        keys: Vec<String>,
        /// Only at this destination.
        #[arg(long, value_enum)]
        to: Option<To>,
    },
    /// Gives one up for good. The reason is journalled.
    Drop {
        /// The job's sequence number, or the pass's whole id.
        key: String,
        /// Why.
        #[arg(long)]
        reason: String,
        /// Only at this destination.
        #[arg(long, value_enum)]
        to: Option<To>,
    },
}

pub(super) fn run(global: &Global, args: &DeadArgs) -> Exit {
    let config = match check::load_running(global) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    let language = global.language().unwrap_or(config.site.language);
    let letters = match letters(&config) {
        Ok(letters) => letters,
        Err(error) => {
            notice(&error.to_string());
            return Exit::TryAgain;
        }
    };
    match &args.command {
        DeadCommand::List { to } => list(&of(&letters, *to), &config, global, language),
        DeadCommand::Show { key, show_cards } => one(&letters, key, *show_cards, global, language),
        DeadCommand::Retry { keys, to } => {
            let letters = of(&letters, *to);
            let everything = keys.iter().any(|key| key == "all");
            let chosen = if everything { Ok(letters) } else { choose(&letters, keys, 8) };
            decide(&config, chosen, None, language)
        }
        DeadCommand::Drop { key, reason, to } => {
            if reason.trim().is_empty() {
                notice(&words::REASON_NEEDED.text(language));
                return Exit::Usage;
            }
            let chosen = choose(&of(&letters, *to), std::slice::from_ref(key), 36);
            decide(&config, chosen, Some(reason), language)
        }
    }
}

/// The dead letters that stand, from the log.
fn letters(config: &Config) -> Result<Vec<DeadLetter>, super::journal::LogError> {
    let log = super::journal::Log::open(config)?;
    let mut standing: std::collections::BTreeMap<(Destination, Seq), DeadLetter> = std::collections::BTreeMap::new();
    log.each(0, |entry| {
        match &entry.record {
            Record::Dead(letter) => {
                standing.insert((letter.to, letter.job), letter.clone());
            }
            Record::Revived(decision) | Record::Dropped(decision) => {
                for job in &decision.jobs {
                    standing.remove(&(decision.to, *job));
                }
            }
            _ => {}
        }
        true
    })?;
    Ok(standing.into_values().collect())
}

fn of(letters: &[DeadLetter], to: Option<To>) -> Vec<DeadLetter> {
    letters.iter().filter(|letter| to.is_none_or(|to| letter.to == Destination::from(to))).cloned().collect()
}

fn list(letters: &[DeadLetter], config: &Config, global: &Global, language: Language) -> Exit {
    if global.json {
        let letters: Vec<Value> = letters.iter().map(|letter| show::dead_json(letter, false)).collect();
        out_json(&json!({"v": 1, "dead": letters}));
    } else {
        out(&show::dead_table(letters, &config.site.timezone, language));
    }
    Exit::Fine
}

fn one(letters: &[DeadLetter], key: &str, cards: bool, global: &Global, language: Language) -> Exit {
    match choose(letters, std::slice::from_ref(&key.to_owned()), 8) {
        Ok(found) => {
            let found: Vec<Value> = found.iter().map(|letter| show::dead_json(letter, cards)).collect();
            if global.json {
                out_json(&json!({"v": 1, "dead": found}));
            } else {
                for letter in found {
                    out(&format!("{letter:#}"));
                }
            }
            Exit::Fine
        }
        Err(key) => {
            notice(&words::NOT_DEAD.with("key", key).text(language));
            Exit::Problems
        }
    }
}

/// The letters under these keys; `Err` with the first key that names none. An id may be shortened to `least` characters.
fn choose(letters: &[DeadLetter], keys: &[String], least: usize) -> Result<Vec<DeadLetter>, String> {
    let mut chosen = Vec::new();
    for key in keys {
        let job: Option<Seq> = key.parse().ok();
        let hits = letters.iter().filter(|letter| match job {
            Some(job) => letter.job == job,
            None => key.len() >= least && letter.key.to_string().starts_with(&key.to_ascii_lowercase()),
        });
        let before = chosen.len();
        chosen.extend(hits.cloned());
        if chosen.len() == before {
            return Err(key.clone());
        }
    }
    Ok(chosen)
}

fn decide(config: &Config, chosen: Result<Vec<DeadLetter>, String>, reason: Option<&String>, language: Language) -> Exit {
    let chosen = match chosen {
        Ok(chosen) => chosen,
        Err(key) => {
            notice(&words::NOT_DEAD.with("key", key).text(language));
            return Exit::Problems;
        }
    };
    let mut decided = 0;
    for to in Destination::ALL {
        let jobs: Vec<Seq> = chosen.iter().filter(|letter| letter.to == to).map(|letter| letter.job).collect();
        if jobs.is_empty() {
            continue;
        }
        let decision = Decision { to, jobs, reason: reason.cloned().unwrap_or_default() };
        match tell(config, &decision, reason.is_some()) {
            Ok(done) => decided += done.jobs.len(),
            Err(error) => return super::client_error(&error, language),
        }
    }
    let word = if reason.is_some() { words::DROPPED_NOW } else { words::REVIVED };
    out(&word.with("n", decided.to_string()).text(language));
    Exit::Fine
}

/// Tells the running gateway; where none runs, journals the decision itself under the journal's lock.
fn tell(config: &Config, decision: &Decision, drop: bool) -> Result<Decided, ClientError> {
    let path = if drop { "/v1/dead/drop" } else { "/v1/dead/retry" };
    super::block_on(async {
        match Client::of(&config.state_dir).post(path, decision).await {
            Err(ClientError::NotRunning(_)) => offline(config, decision, drop).await,
            answered => answered,
        }
    })
}

async fn offline(config: &Config, decision: &Decision, drop: bool) -> Result<Decided, ClientError> {
    let broken = |error: String| ClientError::Broken(error);
    let options = gateway::journal_options(config, Arc::new(SystemClock::new()));
    let journal = Journal::open(gateway::real_disk(), options).map_err(|error| broken(error.to_string()))?;
    let stamp = SystemClock::new().stamp();
    let made = Drop { to: decision.to, jobs: decision.jobs.clone(), reason: decision.reason.clone(), stamp };
    let store: Arc<dyn Store> = Arc::new(journal.clone());
    let record = if drop { Record::Dropped(made) } else { Record::Revived(made) };
    store.append(vec![record]).await.map_err(|error| broken(error.to_string()))?;
    journal.close();
    Ok(Decided { jobs: decision.jobs.clone() })
}
