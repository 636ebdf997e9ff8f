//! Logs: human lines on a terminal, JSON for machines, always to stderr. People's data cannot get in: its types print as `***`.

use std::io::IsTerminal;

use clap::ValueEnum;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// The shape of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogShape {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Begins logging. Libraries speak up from warnings on, limegate from `level` on.
pub fn begin(shape: LogShape, level: LevelFilter) {
    let filter = Targets::new().with_default(LevelFilter::WARN).with_target("limegate", level);
    let registry = tracing_subscriber::registry().with(filter);
    // A second subscriber in one process (tests) is refused; the first goes on.
    let _ = match shape {
        LogShape::Json => registry.with(tracing_subscriber::fmt::layer().json().with_writer(std::io::stderr)).try_init(),
        LogShape::Text => {
            let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            registry.with(tracing_subscriber::fmt::layer().with_ansi(colour).with_writer(std::io::stderr)).try_init()
        }
    };
}
