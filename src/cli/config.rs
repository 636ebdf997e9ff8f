//! `limegate config example|schema|effective`.

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use super::{Exit, Global, check, out, out_json};
use crate::config::{self, Environment};

/// `limegate config`
#[derive(Debug, Args)]
pub(super) struct ConfigArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Print a commented example.
    Example {
        /// For which CRM.
        #[arg(long)]
        crm: CrmName,
    },
    /// Print the JSON Schema of the config file.
    Schema,
    /// Print what the gateway would use, defaults filled in, secrets as ***.
    Effective,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum CrmName {
    /// amoCRM
    Amocrm,
    /// Bitrix24
    Bitrix24,
}

pub(super) fn run(global: &Global, args: &ConfigArgs) -> Exit {
    match args.what {
        What::Example { crm } => {
            out(match crm {
                CrmName::Amocrm => config::AMOCRM,
                CrmName::Bitrix24 => config::BITRIX24,
            });
            Exit::Fine
        }
        What::Schema => {
            out_json(&config::schema());
            Exit::Fine
        }
        What::Effective => match check::load(global) {
            Ok(config) => {
                let effective = config::effective(&config, &Environment::of_process());
                if global.json {
                    out_json(&json!({ "v": 1, "config": effective }));
                } else {
                    // JSON without null is TOML; if it were not, the JSON is shown.
                    out(&toml::to_string_pretty(&effective).unwrap_or_else(|_| format!("{effective:#}")));
                }
                Exit::Fine
            }
            Err(exit) => exit,
        },
    }
}
