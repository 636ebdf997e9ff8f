//! `limegate verify`: the promise as sums, counted from the journal's log, whether the gateway runs or not.

use clap::Args;
use serde_json::json;

use super::journal::{self, Log};
use super::{Exit, Global, check, notice, out, out_json, render};
use crate::books::{Jobs, Sums};
use crate::config::{Config, CrmKind};

/// `limegate verify`
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Passes since then: `today`, `2h`, `3d`, `2026-11-22`, or RFC 3339. Default: all that the log holds.
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
}

pub(super) fn run(global: &Global, args: &VerifyArgs) -> Exit {
    let config = match check::load(global) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    let language = global.language().unwrap_or(config.site.language);
    let since = match args.since.as_deref().map(|text| super::when::parse(text, &config.site.timezone)).transpose() {
        Ok(since) => since,
        Err(message) => {
            notice(&message);
            return Exit::Usage;
        }
    };
    let jobs = match read_jobs(&config) {
        Ok(jobs) => jobs,
        Err(error) => {
            notice(&error.to_string());
            return Exit::TryAgain;
        }
    };
    let from = match since {
        None => 0,
        Some(since) => match jobs.lines().find(|line| line.number > 0 && line.wall_ms >= since) {
            Some(line) => line.number,
            None => u64::MAX,
        },
    };
    let sums = Sums::of(&jobs, from);
    let crm = crm_name(&config);
    let balanced = sums.balances();
    if global.json {
        out_json(&json!({"v": 1, "sums": sums, "balances": balanced}));
    } else {
        out(&render::verify_line(&sums, crm, language));
    }
    if balanced { Exit::Fine } else { Exit::Problems }
}

/// Reads the log and folds every job.
pub(super) fn read_jobs(config: &Config) -> Result<Jobs, journal::LogError> {
    let log = Log::open(config)?;
    let mut jobs = Jobs::new(crate::gateway::crm_policy(config));
    log.each(0, |entry| {
        jobs.apply(entry);
        true
    })?;
    Ok(jobs)
}

/// The CRM's name in commands and status.
pub(super) fn crm_name(config: &Config) -> &'static str {
    match config.crm.kind {
        CrmKind::AmoCrm(_) => "amocrm",
        CrmKind::Bitrix24(_) => "bitrix24",
    }
}
