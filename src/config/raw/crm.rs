//! `[crm]` as typed.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use toml::Spanned;
use toml::de::DeValue;

use super::super::diagnostic::Mistakes;
use super::super::read::{At, Place, Read, choice, table, unknown_keys, wrong_type};
use super::{Language, SecretAt};
use crate::words::config as words;

choice! {
    /// Which CRM.
    Kind {
        /// amoCRM.
        AmoCrm = "amocrm",
        /// Bitrix24.
        Bitrix24 = "bitrix24",
    }
}

table! {
    /// The CRM.
    Crm = "[crm]" {
        /// Which.
        #[schemars(required)]
        kind: At<Kind>,
        /// amoCRM: the account, as in https://ACCOUNT.amocrm.ru
        account: At<String>,
        /// amoCRM: the whole address, in place of `account`; for kommo.com and other domains.
        url: At<String>,
        /// amoCRM: a long-lived token.
        token: At<SecretAt>,
        /// Bitrix24: an inbound webhook. The address holds the secret, so all of it is one.
        webhook: At<SecretAt>,
        /// OAuth, in place of `token` or `webhook`.
        oauth: At<OAuth>,
        /// Where passes go: { pipeline = "Проходы", stage = "Прошёл" }; for Bitrix24 also "timeline" (the default there), "deal" or "both".
        passes: At<Passes>,
        /// Language of field names and texts in the CRM. Default: the site's.
        language: At<Language>,
        /// Refusals and passages that did not happen are recorded, too. Default false.
        refusals: At<bool>,
        /// A PEM file with a further certificate authority to trust.
        ca: At<String>,
    }
}

table! {
    /// An OAuth application of the CRM; `limegate crm login` fetches its first tokens.
    OAuth = "[crm.oauth]" {
        /// The application's id.
        #[schemars(required)]
        client_id: At<String>,
        /// Its secret.
        #[schemars(required)]
        client_secret: At<SecretAt>,
        /// amoCRM: must match the integration's exactly.
        redirect_uri: At<String>,
        /// Bitrix24: the portal, https://NAME.bitrix24.ru
        portal: At<String>,
        /// Bitrix24: the token server. Default "https://oauth.bitrix24.tech".
        token_server: At<String>,
    }
}

choice! {
    /// What a pass becomes in Bitrix24.
    PassesAs {
        /// A line in the contact's timeline.
        Timeline = "timeline",
        /// A deal in the passes funnel.
        Deal = "deal",
        /// Both.
        Both = "both",
    }
}

table! {
    /// Where passes go.
    PassesTable = "passes" {
        /// Bitrix24: what a pass becomes. Default "deal" in this form.
        record: At<PassesAs>,
        /// The pipeline's name as people see it, or its id. Default "Проходы" (English: "Passes").
        pipeline: At<Stage>,
        /// The stage. Default: the pipeline's won stage.
        stage: At<Stage>,
    }
}

/// `passes = "timeline"` or `passes = { ... }`.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(untagged)]
pub(in crate::config) enum Passes {
    /// In a word.
    Word(PassesAs),
    /// In full.
    Full(PassesTable),
}

impl Read for Passes {
    fn read(value: &Spanned<DeValue<'_>>, place: Place<'_>, mistakes: &mut Mistakes) -> Option<Self> {
        match value.get_ref() {
            DeValue::String(_) => PassesAs::read(value, place, mistakes).map(Self::Word),
            DeValue::Table(_) => PassesTable::read(value, place, mistakes).map(Self::Full),
            _ => wrong_type(value, place, words::PASSES_FORM, mistakes),
        }
    }
}

/// A name as people see it, or `{ id = 123 }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) enum Stage {
    Name(String),
    Id(String),
}

impl Read for Stage {
    fn read(value: &Spanned<DeValue<'_>>, place: Place<'_>, mistakes: &mut Mistakes) -> Option<Self> {
        match value.get_ref() {
            DeValue::String(name) => Some(Self::Name(name.trim().to_owned())),
            DeValue::Table(table) => {
                unknown_keys(table, &value.span(), place.key, &["id"], mistakes);
                let id = table.get("id")?;
                match id.get_ref() {
                    DeValue::Integer(number) if number.radix() == 10 => Some(Self::Id(number.as_str().to_owned())),
                    DeValue::String(text) => Some(Self::Id(text.trim().to_owned())),
                    _ => wrong_type(id, Place { table: place.key, key: "id" }, words::A_STAGE, mistakes),
                }
            }
            _ => wrong_type(value, place, words::A_STAGE, mistakes),
        }
    }
}

impl JsonSchema for Stage {
    fn schema_name() -> Cow<'static, str> {
        "Stage".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A name as people see it, or { id = 123 }.",
            "oneOf": [
                { "type": "string", "minLength": 1 },
                { "type": "object", "properties": { "id": { "type": ["integer", "string"] } }, "required": ["id"], "additionalProperties": false },
            ],
        })
    }
}
