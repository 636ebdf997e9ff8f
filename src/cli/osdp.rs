//! `limegate osdp`: what an installer does with OSDP readers.

use std::sync::Arc;

use clap::{Args, Subcommand};
use serde_json::json;

use super::{Exit, Global, block_on, check, notice, out, out_json};
use crate::clock::{SharedClock, SystemClock};
use crate::codec::osdp::Key;
use crate::config::{Config, OsdpReader, ReaderConfig};
use crate::device::osdp::provision::{self, Given, NotGiven, Task};
use crate::words::cli as words;

/// `limegate osdp`
#[derive(Debug, Args)]
pub(super) struct OsdpArgs {
    #[command(subcommand)]
    command: OsdpCommand,
}

#[derive(Debug, Subcommand)]
enum OsdpCommand {
    /// Give a new reader the key that the config names. Stop the gateway first: the line can have one master only.
    Provision {
        /// The gate whose reader it is.
        #[arg(long, value_name = "GATE")]
        gate: String,
    },
}

/// Runs it: 0 when the reader has its key, 1 when not, 75 when the port is held or gone.
pub(super) fn run(global: &Global, args: &OsdpArgs) -> Exit {
    let config = match check::load(global) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    let OsdpCommand::Provision { gate } = &args.command;
    provision(global, &config, gate)
}

fn provision(global: &Global, config: &Config, gate: &str) -> Exit {
    let language = global.language().unwrap_or(config.site.language);
    let reader = config.gates.iter().find(|one| one.id.as_str() == gate).map(|one| &one.reader);
    let Some(ReaderConfig::Osdp(reader)) = reader else {
        notice(&words::NO_OSDP_GATE.with("gate", gate).text(language));
        return Exit::Usage;
    };
    let key = match key(config, reader) {
        Some(Ok(key)) => key,
        Some(Err(why)) => {
            notice(&why);
            return Exit::BadConfig;
        }
        None => {
            notice(&words::OSDP_NO_KEY.with("gate", gate).text(language));
            return Exit::Usage;
        }
    };
    let task = Task { port: reader.port.clone(), baud: reader.baud, rs485: reader.rs485, check: reader.check, address: reader.address, key };
    let clock: SharedClock = Arc::new(SystemClock::new());
    let given = block_on(provision::run(&task, &clock));
    if global.json {
        let (code, why) = match &given {
            Ok(Given::Now) => ("given", None),
            Ok(Given::Before) => ("had_it", None),
            Err(why) => ("not_given", Some(why.to_string())),
        };
        out_json(&json!({ "v": 1, "gate": gate, "result": code, "why": why }));
    }
    let (exit, word) = match &given {
        Ok(Given::Now) => (Exit::Fine, words::OSDP_GIVEN),
        Ok(Given::Before) => (Exit::Fine, words::OSDP_HAD_IT),
        Err(NotGiven::Port(_)) => (Exit::TryAgain, words::OSDP_PORT),
        Err(NotGiven::NoReader) => (Exit::TryAgain, words::OSDP_NO_READER),
        Err(NotGiven::OtherKey) => (Exit::Problems, words::OSDP_OTHER_KEY),
        Err(NotGiven::NoInstall) => (Exit::Problems, words::OSDP_NO_INSTALL),
        Err(NotGiven::NotTaken) => (Exit::Problems, words::OSDP_NOT_TAKEN),
    };
    let why = given.as_ref().err().map(ToString::to_string).unwrap_or_default();
    let text = word.with("gate", gate).with("port", reader.port.display().to_string()).with("address", reader.address.to_string()).with("why", why);
    match (&given, global.json) {
        (_, true) => {}
        (Ok(_), false) => out(&text.text(language)),
        (Err(_), false) => notice(&text.text(language)),
    }
    exit
}

fn key(config: &Config, reader: &OsdpReader) -> Option<Result<Key, String>> {
    let source = reader.key.as_ref()?;
    let key = source.load(&config.file).map_err(|error| error.to_string());
    key.map(|secret| Key::parse(secret.reveal())).transpose()
}
