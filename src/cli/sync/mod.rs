//! `limegate sync`: brings Lime and the CRM up to date, and says how far that is.
//!
//! `run` asks the running gateway, or, where none runs, opens the journal itself. What it began goes on from the same place after any end. Never: a second
//! walk because somebody asked twice; anything written by a dry run.

mod bar;
mod diff;
mod run;
mod status;

use clap::{Args, Subcommand, ValueEnum};

use super::{Exit, Global, check, notice};
use crate::config::{Config, Language};
use crate::gateway;
use crate::lime::feed::Kind;
use crate::words::{Word, grouped, sync as words};

/// `limegate sync`
#[derive(Debug, Args)]
pub struct SyncArgs {
    #[command(subcommand)]
    command: SyncCommand,
}

#[derive(Debug, Subcommand)]
enum SyncCommand {
    /// Compare everything that Lime has with the CRM, and deliver what differs. May be broken off and begun again at any time.
    Run(RunArgs),
    /// How old each feed's cursor is, and what waits.
    Status,
    /// One client's two cards: what each side has, what would change, and why. Writes nothing.
    Diff(diff::DiffArgs),
}

/// `limegate sync run`
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Only these. Default: all that `[hub]` asks for; of purchases only with `--since`.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<What>,
    /// Only what happened since then: `today`, `30d`, `2026-01-01`, RFC 3339. Brings up purchases of the past.
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
    /// Count what would be delivered, and write nothing.
    #[arg(long)]
    dry_run: bool,
}

/// What can be synchronised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    /// Clients and their children.
    Clients,
    /// Sales, top-ups and refunds.
    Transactions,
    /// Products and their groups.
    Products,
    /// Preorders.
    Preorders,
}

impl From<What> for Kind {
    fn from(what: What) -> Self {
        match what {
            What::Clients => Self::Clients,
            What::Transactions => Self::Transactions,
            What::Products => Self::Products,
            What::Preorders => Self::Preorders,
        }
    }
}

pub(super) fn run(global: &Global, args: &SyncArgs) -> Exit {
    let config = match check::load_running(global) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    let language = global.language().unwrap_or(config.site.language);
    let Some(hub) = &config.hub else {
        notice(&words::NO_HUB.text(language));
        return Exit::BadConfig;
    };
    let kinds = gateway::lime_feeds(hub);
    match &args.command {
        SyncCommand::Run(args) => run::run(global, args, &config, &kinds, language),
        SyncCommand::Diff(args) => diff::run(global, args, &config, language),
        SyncCommand::Status => status::run(global, &config, &kinds, language),
    }
}

/// What people call it.
fn word(kind: Kind) -> Word {
    match kind {
        Kind::Clients => words::CLIENTS,
        Kind::Transactions => words::TRANSACTIONS,
        Kind::Products => words::PRODUCTS,
        Kind::Preorders => words::PREORDERS,
    }
}

/// `clients 2 000, products 12`
fn listed(counts: impl IntoIterator<Item = (Kind, u64)>, language: Language) -> String {
    let one = |(kind, count): (Kind, u64)| format!("{} {}", word(kind).text(language), grouped(count));
    counts.into_iter().map(one).collect::<Vec<_>>().join(", ")
}

/// The kinds that are meant, or why there are none.
fn chosen(args: &RunArgs, offered: &[Kind], config: &Config, language: Language) -> Result<(Vec<Kind>, Option<i64>), Exit> {
    let since = args.since.as_deref().map(|text| super::when::parse(text, &config.site.timezone)).transpose();
    let since = since.map_err(|message| {
        notice(&message);
        Exit::Usage
    })?;
    if args.only.is_empty() {
        let with_receipts = since.is_some() || !offered.contains(&Kind::Transactions);
        if !with_receipts {
            notice(&words::RECEIPTS_NEED_SINCE.text(language));
        }
        return Ok((offered.iter().copied().filter(|kind| with_receipts || *kind != Kind::Transactions).collect(), since));
    }
    let kinds: Vec<Kind> = args.only.iter().map(|what| Kind::from(*what)).collect();
    if let Some(other) = kinds.iter().find(|kind| !offered.contains(kind)) {
        notice(&words::NOT_ASKED.with("what", word(*other).text(language)).text(language));
        return Err(Exit::Usage);
    }
    if kinds.contains(&Kind::Transactions) && since.is_none() {
        notice(&words::RECEIPTS_NEED_SINCE.text(language));
        return Err(Exit::Usage);
    }
    Ok((kinds, since))
}
