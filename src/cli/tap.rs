//! `limegate tap`: passes as they come.

use std::collections::HashMap;

use clap::Args;
use uuid::Uuid;

use super::{Exit, Global, check, notice, out};
use crate::config::{Config, Language};
use crate::control::{Client, ClientError};
use crate::domain::PassageState;
use crate::tap::{Event, PassEvent};
use crate::words::{Phrase, day_time, journal as words};

/// `limegate tap`
#[derive(Debug, Args)]
pub struct TapArgs {
    /// Only this gate.
    #[arg(long)]
    gate: Option<String>,
    /// Show the telegram or payload as it came. It holds the card.
    #[arg(long)]
    raw: bool,
    /// Show whole card numbers instead of their last characters.
    #[arg(long)]
    show_cards: bool,
    /// Stop after so many passes.
    #[arg(long)]
    count: Option<u64>,
}

pub(super) fn run(global: &Global, args: &TapArgs) -> Exit {
    let config = match check::load_running(global) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    let language = global.language().unwrap_or(config.site.language);
    let result = super::block_on(listen(&config, global, args, language));
    match result {
        Ok(()) => Exit::Fine,
        Err(error) => super::client_error(&error, language),
    }
}

async fn listen(config: &Config, global: &Global, args: &TapArgs, language: Language) -> Result<(), ClientError> {
    let cards = args.show_cards || args.raw;
    let path = if cards { "/v1/tap?cards=true" } else { "/v1/tap" };
    let mut gates: HashMap<Uuid, PassEvent> = HashMap::new();
    let mut passes = 0;
    if !global.json {
        notice(&words::TAP_LISTENS.text(language));
    }
    Client::of(&config.state_dir)
        .lines(path, |event: Event| {
            let wanted = |gate: &str| args.gate.as_deref().is_none_or(|only| only == gate);
            match &event {
                Event::Pass(pass) => {
                    if !wanted(&pass.gate) {
                        return true;
                    }
                    passes += 1;
                    // Those that never arrive must not pile up here.
                    if gates.len() > 10_000 {
                        gates.clear();
                    }
                    gates.insert(pass.id, pass.clone());
                }
                Event::Decided { id, .. }
                | Event::Passage { id, .. }
                | Event::WriteOff { id, .. }
                | Event::Crm { id, .. }
                | Event::Refused { id, .. } => {
                    if args.gate.is_some() && !gates.contains_key(id) {
                        return true;
                    }
                }
            }
            if global.json {
                out(&serde_json::to_string(&event).unwrap_or_default());
            } else {
                out(&line(&event, &gates, config, args, language));
            }
            if matches!(event, Event::Crm { .. }) {
                gates.remove(&event_id(&event));
            }
            args.count.is_none_or(|count| passes < count)
        })
        .await
}

fn event_id(event: &Event) -> Uuid {
    match event {
        Event::Pass(pass) => pass.id,
        Event::Decided { id, .. } | Event::Passage { id, .. } | Event::WriteOff { id, .. } | Event::Crm { id, .. } | Event::Refused { id, .. } => *id,
    }
}

fn line(event: &Event, gates: &HashMap<Uuid, PassEvent>, config: &Config, args: &TapArgs, language: Language) -> String {
    let known = |id: &Uuid| match gates.get(id) {
        Some(pass) => format!("{:<8} {:<16}", pass.gate, medium(pass, args)),
        None => format!("{:<25}", id.to_string().get(..13).unwrap_or_default()),
    };
    match event {
        Event::Pass(pass) => {
            let time = day_time(pass.wall_ms, &config.site.timezone);
            let durable = words::TAP_STORED.with("ms", tenths(pass.durable_us)).text(language);
            let raw = if args.raw { pass.raw.as_ref().map_or_else(String::new, |raw| format!("  {:?}", raw.reveal())) } else { String::new() };
            format!("{time}  {:<8} {:<16} {durable}{raw}", pass.gate, medium(pass, args))
        }
        Event::Decided { id, admitted, code, .. } => {
            let word = if *admitted { Phrase::from(words::TAP_ADMITTED) } else { words::TAP_NOT_ADMITTED.with("code", code.clone()) };
            format!("{:>8}  {} {}", "", known(id), word.text(language))
        }
        Event::Passage { id, state } => {
            let word = match state {
                PassageState::Passed => words::TAP_PASSED,
                PassageState::NotPassed => words::TAP_NOT_PASSED,
                PassageState::Unknown => words::TAP_PASSAGE_UNKNOWN,
            };
            format!("{:>8}  {} {}", "", known(id), word.text(language))
        }
        Event::WriteOff { id, code, .. } => format!("{:>8}  {} {}", "", known(id), words::TAP_LIME.with("code", code.clone()).text(language)),
        Event::Crm { id, .. } => format!("{:>8}  {} {}", "", known(id), words::TAP_CRM.text(language)),
        Event::Refused { id, by, reason } => {
            let text = words::TAP_REFUSED.with("by", by.name().to_owned()).with("reason", reason.clone()).text(language);
            format!("{:>8}  {} {text}", "", known(id))
        }
    }
}

fn medium(pass: &PassEvent, args: &TapArgs) -> String {
    match &pass.card {
        Some(card) if args.show_cards => card.reveal().to_owned(),
        _ => pass.medium.clone(),
    }
}

/// Microseconds as milliseconds with one digit.
fn tenths(us: u64) -> String {
    format!("{}.{}", us / 1000, us % 1000 / 100)
}
