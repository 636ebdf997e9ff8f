//! `limegate crm setup|check|login`: what the CRM needs before passes can go there.
//!
//! `setup` plans, then creates what is missing, any number of times with the same result; `--dry-run` only plans. `check` says what is missing and exits
//! 1. `login` walks through OAuth. Never: a deletion; a token printed, or taken from the command line.

use std::io::BufRead;
use std::sync::Arc;

use clap::{Args, Subcommand};
use uuid::Uuid;

use super::ledger::line;
use super::{Exit, Global, block_on, check, notice, out, out_json};
use crate::clock::{SharedClock, SystemClock};
use crate::config::{AmoAuth, BitrixAuth, Config, CrmKind, Language, SecretError, SecretSource};
use crate::crm::amocrm::hub_setup::Wish;
use crate::crm::amocrm::{self, oauth};
use crate::crm::bitrix24;
use crate::crm::login::{PasteError, host_of, pasted_code};
use crate::crm::product_groups;
use crate::crm::setup::{Dialogue, Item, Mode, Plan, SetupError, drive};
use crate::crm::texts::Texts;
use crate::crm::tokens::TokenStore;
use crate::domain::Secret;
use crate::gateway::{self, SetupError as ConnectError};
use crate::http::RenewError;
use crate::words::crm as words;

/// `limegate crm`
#[derive(Debug, Args)]
pub struct CrmArgs {
    #[command(subcommand)]
    command: CrmCommand,
}

#[derive(Debug, Subcommand)]
enum CrmCommand {
    /// Create the fields that passes need and check pipeline and stage. Never deletes; may be run any number of times.
    Setup {
        /// Show what would be created, and change nothing.
        #[arg(long)]
        dry_run: bool,
        /// Also create the pipelines and stages that `[hub]` names and the CRM does not have. Look first whether people have renamed them.
        #[arg(long)]
        pipelines: bool,
    },
    /// Say what is missing in the CRM. Changes nothing.
    Check,
    /// Get the first OAuth pair: prints an address to open, reads back where the browser was sent.
    Login,
}

pub(super) fn run(global: &Global, args: &CrmArgs) -> Exit {
    let config = match check::load(global) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    let clock: SharedClock = Arc::new(SystemClock::new());
    let language = global.language().unwrap_or(config.site.language);
    match args.command {
        CrmCommand::Setup { dry_run, pipelines } => {
            set_up(global, &config, &clock, language, if dry_run { Purpose::DryRun } else { Purpose::Apply }, pipelines)
        }
        CrmCommand::Check => set_up(global, &config, &clock, language, Purpose::Check, false),
        CrmCommand::Login => block_on(log_in(&config, &clock, language)),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    DryRun,
    Apply,
    Check,
}

fn set_up(global: &Global, config: &Config, clock: &SharedClock, language: Language, purpose: Purpose, funnels: bool) -> Exit {
    let endpoint = match gateway::crm_endpoint(config, clock) {
        Ok(endpoint) => endpoint,
        Err(error) => return not_connected(&error),
    };
    let mode = if purpose == Purpose::Apply { Mode::Apply } else { Mode::Plan };
    let mut dialogue = dialogue(config, mode, funnels, known(config));
    match block_on(drive(&endpoint, dialogue.as_mut())) {
        Ok(mut plan) => {
            if purpose == Purpose::Check {
                plan.items.extend(groups(config, language));
            }
            show(global, &plan, language, purpose)
        }
        Err(error) => {
            notice(&error.to_string());
            if purpose == Purpose::Apply {
                notice(&words::RUN_AGAIN.text(language));
            }
            if matches!(error, SetupError::NotReached(_)) { Exit::TryAgain } else { Exit::Problems }
        }
    }
}

/// The ids that the ledger has for what the config names. Where it cannot be asked, names are all that there is.
fn known(config: &Config) -> Option<String> {
    let hub = config.hub.as_ref()?;
    let key = match &config.crm.kind {
        CrmKind::AmoCrm(_) => amocrm::hub_setup::known_key(),
        CrmKind::Bitrix24(_) => bitrix24::setup::known_key(hub),
    };
    block_on(line(config, &key)).ok().flatten()
}

/// The product groups that the rules name, as Lime has them. Lime not answering is no fault of the CRM's.
fn groups(config: &Config, language: Language) -> Vec<Item> {
    let Some(hub) = config.hub.as_ref().filter(|hub| product_groups::are_named(hub)) else { return Vec::new() };
    match block_on(gateway::sync::products(config)) {
        Ok(products) => product_groups::items(hub, &products, language),
        Err(why) => {
            notice(&words::GROUPS_UNKNOWN.with("why", why).text(language));
            Vec::new()
        }
    }
}

fn dialogue(config: &Config, mode: Mode, funnels: bool, known: Option<String>) -> Box<dyn Dialogue> {
    let texts = Texts::new(config.crm.language, config.site.timezone.clone());
    match &config.crm.kind {
        CrmKind::AmoCrm(amo) => Box::new(amocrm::hub_setup::errand(amo.clone(), config.hub.clone(), texts, Wish { mode, funnels, known })),
        CrmKind::Bitrix24(bitrix) => {
            // A webhook's address is a secret as a whole; its host is not shown either, for the file alone knows it.
            let portal = match &bitrix.auth {
                BitrixAuth::Webhook(_) => "webhook".to_owned(),
                BitrixAuth::OAuth { portal, .. } => host_of(portal).unwrap_or_default(),
            };
            let needs = bitrix24::setup::Needs { passes: bitrix.passes.clone(), hub: config.hub.clone(), funnels, known };
            Box::new(bitrix24::setup::errand(needs, texts, portal, mode))
        }
    }
}

fn show(global: &Global, plan: &Plan, language: Language, purpose: Purpose) -> Exit {
    if global.json {
        out_json(&plan.json());
    } else {
        out(&plan.table(language));
        let (missing, wrong) = (plan.missing() as u64, plan.wrong() as u64);
        if plan.is_complete() {
            notice(&words::DONE.text(language));
        }
        if missing > 0 {
            let said = if purpose == Purpose::DryRun {
                words::NOTHING_WRITTEN.text(language)
            } else {
                words::LACKS.with("n", missing.to_string()).text(language)
            };
            notice(&said);
        }
        if wrong > 0 {
            notice(&words::NEEDS_A_PERSON.with("n", wrong.to_string()).text(language));
        }
    }
    // A plan that only has things to create is what was asked for; everything else that is not complete is a problem.
    if plan.is_complete() || (purpose == Purpose::DryRun && plan.wrong() == 0) { Exit::Fine } else { Exit::Problems }
}

fn not_connected(error: &ConnectError) -> Exit {
    notice(&error.to_string());
    Exit::BadConfig
}

/// Why nobody is logged in.
#[derive(Debug, thiserror::Error)]
enum LoginError {
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Paste(#[from] PasteError),
    #[error("{0}")]
    Renew(#[from] RenewError),
    #[error(transparent)]
    Keep(#[from] crate::crm::tokens::TokenError),
    #[error("{0}")]
    Nothing(String),
}

async fn log_in(config: &Config, clock: &SharedClock, language: Language) -> Exit {
    let ended = match &config.crm.kind {
        CrmKind::AmoCrm(amo) => match &amo.auth {
            AmoAuth::Token(_) => None,
            AmoAuth::OAuth { client_id, client_secret, redirect_uri } => {
                Some(amocrm_login(config, clock, language, &amo.url, (client_id, client_secret, redirect_uri)).await)
            }
        },
        CrmKind::Bitrix24(bitrix) => match &bitrix.auth {
            BitrixAuth::Webhook(_) => None,
            BitrixAuth::OAuth { portal, token_server, client_id, client_secret } => {
                Some(bitrix_login(config, clock, language, (portal, token_server), (client_id, client_secret)).await)
            }
        },
    };
    match ended {
        None => {
            notice(&words::NO_LOGIN.text(language));
            Exit::Usage
        }
        Some(Ok(())) => {
            out(&words::LOGGED_IN.text(language));
            Exit::Fine
        }
        Some(Err(error)) => {
            notice(&error.to_string());
            match error {
                LoginError::Renew(RenewError::Later(_)) | LoginError::Keep(_) => Exit::TryAgain,
                LoginError::Secret(_) | LoginError::Connect(_) => Exit::BadConfig,
                LoginError::Paste(_) | LoginError::Renew(RenewError::Person(_)) | LoginError::Nothing(_) => Exit::Problems,
            }
        }
    }
}

async fn amocrm_login(
    config: &Config,
    clock: &SharedClock,
    language: Language,
    url: &str,
    (client_id, client_secret, redirect_uri): (&str, &SecretSource, &str),
) -> Result<(), LoginError> {
    let client_secret = client_secret.load(&config.file)?;
    let integration = oauth::Integration { client_id: client_id.to_owned(), client_secret, redirect_uri: redirect_uri.to_owned() };
    let account = gateway::crm_transport(config, url, clock)?;
    let state = Uuid::new_v4().simple().to_string();
    let code = ask(language, &oauth::authorize_url(url, client_id, &state), |pasted| pasted_code(pasted, &state, "referer", url))?;
    let store = TokenStore::new(&config.state_dir, oauth::STORE);
    Ok(oauth::redeem(account.as_ref(), &store, &integration, &code).await?)
}

async fn bitrix_login(
    config: &Config,
    clock: &SharedClock,
    language: Language,
    (portal, token_server): (&str, &str),
    (client_id, client_secret): (&str, &SecretSource),
) -> Result<(), LoginError> {
    let client_secret = client_secret.load(&config.file)?;
    let server = gateway::crm_transport(config, token_server, clock)?;
    let state = Uuid::new_v4().simple().to_string();
    let address = format!("{portal}{}", bitrix24::auth::authorize_path(client_id, &state));
    let code = ask(language, &address, |pasted| pasted_code(pasted, &state, "domain", portal))?;
    let pair = bitrix24::auth::login(server.as_ref(), client_id, &client_secret, &code).await?;
    Ok(TokenStore::new(&config.state_dir, "bitrix24").save(&pair)?)
}

/// Shows the address, and reads what comes back. Codes come from standard input, never from the command line, where others could read them.
fn ask(language: Language, address: &str, code: impl Fn(&str) -> Result<Secret, PasteError>) -> Result<Secret, LoginError> {
    out(&words::OPEN.text(language));
    out(&format!("   {address}"));
    out(&words::PASTE.text(language));
    let mut pasted = String::new();
    match std::io::stdin().lock().read_line(&mut pasted) {
        Ok(read) if read > 0 && !pasted.trim().is_empty() => Ok(code(&pasted)?),
        _ => Err(LoginError::Nothing(words::NOTHING_PASTED.text(language))),
    }
}
