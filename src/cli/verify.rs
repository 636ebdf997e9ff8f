//! `limegate verify`: the promise as sums, counted from the journal's log, whether the gateway runs or not. With `--remote` the destinations are asked
//! for each delivered pass, too, and the CRM for the deals of receipts and preorders.

use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::journal::{self, Log};
use super::{Exit, Global, block_on, check, notice, out, out_json, render};
use crate::books::{Jobs, Sums};
use crate::config::{Config, CrmKind, Language};
use crate::flow::CrmPolicy;
use crate::gateway::audit::{Audit, AuditError, audit};
use crate::words::journal as words;

/// Between two signs of life while the destinations are asked.
const SIGN_OF_LIFE: Duration = Duration::from_secs(10);

/// `limegate verify`
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Passes since then: `today`, `2h`, `3d`, `2026-11-22`, or RFC 3339. Default: all that the log holds.
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
    /// Ask Lime and the CRM for each delivered pass, too, and the CRM for the deals of receipts and preorders. Takes its time: the CRM's limits hold.
    #[arg(long)]
    remote: bool,
}

pub(super) fn run(global: &Global, args: &VerifyArgs) -> Exit {
    let config = match check::load_running(global) {
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
    let new: fn(CrmPolicy) -> Jobs = if args.remote { Jobs::with_deals } else { Jobs::of_passes };
    let jobs = match read_jobs(&config, new) {
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
    if !global.json {
        out(&render::verify_line(&sums, crm, language));
    }
    let remote = args.remote.then(|| block_on(ask(&config, &jobs, (from, since), language)));
    match remote.transpose() {
        Ok(remote) => {
            match &remote {
                _ if global.json => out_json(&json(&sums, remote.as_ref())),
                Some(audit) => out(&render::remote_lines(audit, crm, language)),
                None => {}
            }
            match remote {
                Some(audit) if balanced && audit.complete() && !audit.answered() => Exit::TryAgain,
                Some(audit) if !audit.complete() => Exit::Problems,
                _ if balanced => Exit::Fine,
                _ => Exit::Problems,
            }
        }
        Err(error) => {
            if global.json {
                out_json(&json(&sums, None));
            }
            notice(&error.to_string());
            Exit::BadConfig
        }
    }
}

fn json(sums: &Sums, remote: Option<&Audit>) -> serde_json::Value {
    let mut value = json!({"v": 1, "sums": sums, "balances": sums.balances()});
    if let Some(audit) = remote {
        value["remote"] = json!({"lime": audit.lime, "crm": audit.crm, "deals": audit.deals, "complete": audit.complete()});
    }
    value
}

/// Asks, and shows a sign of life on standard error meanwhile.
async fn ask(config: &Config, jobs: &Jobs, (from, since_ms): (u64, Option<i64>), language: Language) -> Result<Audit, AuditError> {
    let asking = audit(config, jobs, from, since_ms);
    tokio::pin!(asking);
    let mut elapsed = Duration::ZERO;
    loop {
        match tokio::time::timeout(SIGN_OF_LIFE, &mut asking).await {
            Ok(audit) => return audit,
            Err(_) => {
                elapsed += SIGN_OF_LIFE;
                let ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
                notice(&crate::words::Phrase::from(words::STILL_ASKING).span("t", ms).text(language));
            }
        }
    }
}

/// Reads the log and folds the jobs that `new` wants.
fn read_jobs(config: &Config, new: fn(CrmPolicy) -> Jobs) -> Result<Jobs, journal::LogError> {
    let log = Log::open(config)?;
    let mut jobs = new(crate::gateway::crm_policy(config));
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
