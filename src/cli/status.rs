//! `limegate status`: the running gateway in one screen.

use serde_json::Value;

use super::{Exit, Global, check, out, out_json, render};
use crate::control::Client;
use crate::status::Report;

pub(super) fn run(global: &Global) -> Exit {
    let config = match check::load_running(global) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    let language = global.language().unwrap_or(config.site.language);
    let client = Client::of(&config.state_dir);
    if global.json {
        return match super::block_on(client.get::<Value>("/v1/status")) {
            Ok(report) => {
                let degraded = report.get("degraded").and_then(Value::as_bool).unwrap_or(true);
                out_json(&report);
                if degraded { Exit::Problems } else { Exit::Fine }
            }
            Err(error) => super::client_error(&error, language),
        };
    }
    match super::block_on(client.get::<Report>("/v1/status")) {
        Ok(report) => {
            out(&render::status_table(&report.snapshot, &report.problems, language, super::width()));
            if report.degraded { Exit::Problems } else { Exit::Fine }
        }
        Err(error) => super::client_error(&error, language),
    }
}
