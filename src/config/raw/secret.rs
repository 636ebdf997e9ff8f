//! Where a secret is, as typed.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::super::diagnostic::{Code, Mistakes};
use super::super::read::{Place, Read, unknown_keys, wrong_type};
use crate::words::config as words;

/// Where a secret is. The secret itself never stands in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) enum SecretAt {
    File(String),
    Env(String),
}

impl Read for SecretAt {
    fn read(value: &Spanned<DeValue<'_>>, place: Place<'_>, mistakes: &mut Mistakes) -> Option<Self> {
        match value.get_ref() {
            DeValue::Table(table) => Self::read_table(value, table, place, mistakes),
            DeValue::String(_) => {
                let folder = mistakes.secrets_folder();
                let name = suggested_name(place);
                mistakes
                    .error(Code::INLINE_SECRET, words::INLINE_SECRET.with("key", place.key), &value.span(), words::INLINE_HERE)
                    .help(words::INLINE_HELP.with("key", place.key).with("folder", folder).with("name", name));
                None
            }
            _ => wrong_type(value, place, words::A_SECRET, mistakes),
        }
    }
}

impl SecretAt {
    fn read_table(value: &Spanned<DeValue<'_>>, table: &DeTable<'_>, place: Place<'_>, mistakes: &mut Mistakes) -> Option<Self> {
        unknown_keys(table, &value.span(), place.key, &["file", "env"], mistakes);
        let mut text = |key| table.get(key).and_then(|one| String::read(one, Place { table: place.key, key }, mistakes));
        match (text("file"), text("env")) {
            (Some(file), None) => Some(Self::File(file)),
            (None, Some(name)) => Some(Self::Env(name)),
            (None, None) if table.contains_key("file") || table.contains_key("env") => None,
            _ => wrong_type(value, place, words::A_SECRET, mistakes),
        }
    }
}

/// `[lime] token` -> `lime-token`.
fn suggested_name(place: Place<'_>) -> String {
    let table = place.table.trim_matches(['[', ']']).replace('.', "-");
    format!("{table}-{}", place.key.replace('_', "-"))
}

impl JsonSchema for SecretAt {
    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Where the secret is: a file in the systemd credentials folder or in secrets/ beside the config (or an absolute path), mode 0600; an environment variable in tests.",
            "oneOf": [
                { "type": "object", "properties": { "file": { "type": "string" } }, "required": ["file"], "additionalProperties": false },
                { "type": "object", "properties": { "env": { "type": "string" } }, "required": ["env"], "additionalProperties": false },
            ],
        })
    }
}
