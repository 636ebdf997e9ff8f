//! `limegate door`: orders of people, through the control socket only: whoever can open that is the box's administrator.

use clap::{Args, Subcommand};
use serde_json::json;

use super::{Exit, Global, block_on, check, notice, out, out_json};
use crate::control::{Client, OpenOrder, OpenedByHand};
use crate::words::journal as words;

/// `limegate door`
#[derive(Debug, Args)]
pub struct DoorArgs {
    #[command(subcommand)]
    command: DoorCommand,
}

#[derive(Debug, Subcommand)]
enum DoorCommand {
    /// Lets one guest through. Who ordered it and why is journalled before the order leaves.
    Open {
        /// The gate, or its service point.
        #[arg(long)]
        point: String,
        /// Why.
        #[arg(long)]
        reason: String,
    },
}

pub(super) fn run(global: &Global, args: &DoorArgs) -> Exit {
    let config = match check::load(global) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    let language = global.language().unwrap_or(config.site.language);
    let DoorCommand::Open { point, reason } = &args.command;
    if reason.trim().is_empty() {
        notice(&words::REASON_NEEDED.text(language));
        return Exit::Usage;
    }
    let order = OpenOrder { point: point.clone(), reason: reason.clone(), who: who() };
    let opened: Result<OpenedByHand, _> = block_on(async { Client::of(&config.state_dir).post("/v1/door/open", &order).await });
    match opened {
        Ok(opened) if global.json => out_json(&json!({ "v": 1, "opened": opened.opened })),
        Ok(_) => out(&words::DOOR_OPENED.with("point", point.clone()).text(language)),
        Err(error) => return super::client_error(&error, language),
    }
    Exit::Fine
}

/// The account of the person: behind sudo, theirs and not root's.
fn who() -> String {
    let named = ["SUDO_USER", "LOGNAME", "USER"].iter().find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    named.unwrap_or_else(|| format!("uid {}", rustix::process::getuid().as_raw()))
}
