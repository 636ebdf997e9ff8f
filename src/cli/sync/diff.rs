//! `limegate sync diff`: one client's two cards, field by field. Shows what they hold masked, unless asked to show it.

use clap::Args;
use serde_json::{Value, json};

use super::super::ledger::{Unknown, line};
use super::super::render::table;
use super::super::{Exit, Global, block_on, client_error, notice, out, out_json};
use crate::config::{Config, CrmKind, Language};
use crate::domain::{ClientId, ContactField, Personal};
use crate::flow::contacts::{Held, Link};
use crate::gateway::diff::{Change, Diff, DiffError, Known, Why, diff};
use crate::journal::LedgerKey;
use crate::words::{Word, sync as words};

/// Letters of a value that are shown.
const SHOWN: usize = 3;

/// `limegate sync diff`
#[derive(Debug, Args)]
pub struct DiffArgs {
    /// Lime's id of the client.
    #[arg(long, value_name = "ID")]
    client: String,
    /// Show names, phones and addresses whole.
    #[arg(long)]
    show_values: bool,
}

pub(super) fn run(global: &Global, args: &DiffArgs, config: &Config, language: Language) -> Exit {
    let client = ClientId(args.client.clone());
    let known = match block_on(known(config, &client)) {
        Ok(known) => known,
        Err(Unknown::Gateway(error)) => return client_error(&error, language),
        Err(Unknown::Log(error)) => {
            notice(&error);
            return Exit::TryAgain;
        }
    };
    match block_on(diff(config, &client, &known)) {
        Ok(found) => {
            if global.json {
                out_json(&as_json(&client, &found, args.show_values));
            } else {
                out(&shown(&found, args.show_values, language));
            }
            if found.fields.iter().any(|one| one.change != Change::None) || found.gone { Exit::Problems } else { Exit::Fine }
        }
        Err(error) => {
            notice(&error.to_string());
            if matches!(error, DiffError::Setup(_)) { Exit::BadConfig } else { Exit::TryAgain }
        }
    }
}

async fn known(config: &Config, client: &ClientId) -> Result<Known, Unknown> {
    let contact = match &config.crm.kind {
        CrmKind::AmoCrm(_) => "amocrm.contact",
        CrmKind::Bitrix24(_) => "bitrix24.contact",
    };
    let contact = LedgerKey { kind: contact.to_owned(), key: client.0.clone() };
    Ok(Known { link: line(config, &Link::ledger_key(client)).await?, contact: line(config, &contact).await? })
}

fn as_json(client: &ClientId, found: &Diff, whole: bool) -> Value {
    let values = |held: &Held| held.values().map(|value| text(value, whole)).collect::<Vec<_>>();
    let fields = found
        .fields
        .iter()
        .map(|one| json!({"field": one.field, "lime": values(&one.lime), "crm": values(&one.crm), "change": one.change, "why": one.why}));
    json!({"v": 1, "client": client, "version": found.version, "contact": found.contact, "gone": found.gone, "fields": fields.collect::<Vec<_>>()})
}

fn shown(found: &Diff, whole: bool, language: Language) -> String {
    let Some(contact) = &found.contact else { return words::NO_CONTACT.text(language) };
    if found.gone {
        return words::CONTACT_GONE.with("id", contact.as_str()).text(language);
    }
    let mut rows = vec![[words::FIELD, words::AT_LIME, words::AT_CRM, words::WOULD, words::BECAUSE].map(|word| word.text(language)).to_vec()];
    let values = |held: &Held| match held.values().map(|value| text(value, whole)).collect::<Vec<_>>().join(", ") {
        blank if blank.is_empty() => "-".to_owned(),
        filled => filled,
    };
    rows.extend(found.fields.iter().map(|one| {
        vec![field(one.field).text(language), values(&one.lime), values(&one.crm), change(one.change).text(language), why(one.why).text(language)]
    }));
    let mut lines = vec![words::CONTACT.with("id", contact.as_str()).text(language)];
    lines.extend(table(&rows, &[]));
    lines.join("\n")
}

fn text(value: &Personal, whole: bool) -> String {
    if whole { value.reveal().chars().filter(|letter| !letter.is_control()).collect() } else { value.masked(SHOWN) }
}

fn field(field: ContactField) -> Word {
    match field {
        ContactField::LastName => words::LAST_NAME,
        ContactField::FirstName => words::FIRST_NAME,
        ContactField::MiddleName => words::MIDDLE_NAME,
        ContactField::BirthDate => words::BIRTH_DATE,
        ContactField::Phones => words::PHONES,
        ContactField::Emails => words::EMAILS,
    }
}

fn change(change: Change) -> Word {
    match change {
        Change::None => words::STAYS,
        Change::ToLime => words::TO_LIME,
        Change::ToCrm => words::TO_CRM,
        Change::Both => words::TO_BOTH,
        Change::ByTime => words::BY_TIME,
    }
}

fn why(why: Why) -> Word {
    match why {
        Why::Alike => words::ALIKE,
        Why::LeftSo => words::LEFT_SO,
        Why::FirstTime => words::FIRST_TIME,
        Why::Changed => words::CHANGED,
        Why::Overruled => words::OVERRULED,
    }
}
