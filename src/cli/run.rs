//! `limegate run`: the gateway in the foreground, as systemd runs it.

use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tracing_subscriber::filter::LevelFilter;

use super::logs::{self, LogShape};
use super::{Exit, Global, check, notice};
use crate::config::{self, Config, Environment};
use crate::gateway::{self, StartError};

/// `limegate run`
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The shape of the log on standard error.
    #[arg(long, value_enum, default_value_t)]
    log: LogShape,
    /// Say more: each batch, each reconnection.
    #[arg(long)]
    verbose: bool,
}

/// Why the gateway's turn ended.
enum Turn {
    Stop,
    Reload(Box<Config>),
}

pub(super) fn run(global: &Global, args: &RunArgs) -> Exit {
    let config = match check::load(global) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    logs::begin(args.log, if args.verbose { LevelFilter::DEBUG } else { LevelFilter::INFO });
    // Two workers suit the two to four cores of a box; the journal has a thread of its own.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            notice(&format!("the kernel gives no threads: {error}"));
            return Exit::TryAgain;
        }
    };
    let result = runtime.block_on(turns(global, config));
    match result {
        Ok(()) => Exit::Fine,
        Err(error) => {
            notice(&error.to_string());
            match error {
                StartError::Journal(_) | StartError::State(..) => Exit::TryAgain,
                StartError::Setup(_) => Exit::BadConfig,
            }
        }
    }
}

/// Runs the gateway; after a reload with a config that checks, runs it again with that one.
async fn turns(global: &Global, mut config: Config) -> Result<(), StartError> {
    let no_signals = |error| StartError::State(std::path::PathBuf::from("signals"), error);
    let mut signals = Signals {
        terminate: signal(SignalKind::terminate()).map_err(no_signals)?,
        interrupt: signal(SignalKind::interrupt()).map_err(no_signals)?,
        hang_up: signal(SignalKind::hangup()).map_err(no_signals)?,
    };
    loop {
        let (end, stop) = watch::channel(false);
        let mut gateway = tokio::spawn(gateway::run(config.clone(), stop));
        let turn = tokio::select! {
            ended = &mut gateway => return ended.unwrap_or_else(|error| Err(StartError::State(config.state_dir, std::io::Error::other(error)))),
            turn = signals.next_turn(global) => turn,
        };
        end.send_replace(true);
        gateway.await.unwrap_or_else(|error| Err(StartError::State(config.state_dir.clone(), std::io::Error::other(error))))?;
        match turn {
            Turn::Stop => return Ok(()),
            Turn::Reload(next) => {
                tracing::info!("going over to the new config");
                config = *next;
            }
        }
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    /// Waits for a reason to end this turn. A reload with a config that does not check is none: the running one goes on.
    async fn next_turn(&mut self, global: &Global) -> Turn {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return Turn::Stop,
                _ = self.interrupt.recv() => return Turn::Stop,
                _ = self.hang_up.recv() => match config::load(&global.config, &Environment::of_process()) {
                    Ok((config, _)) => return Turn::Reload(Box::new(config)),
                    Err(mistakes) => {
                        tracing::error!(mistakes = mistakes.len(), "the config on disk does not check and is not applied; `limegate check` says why");
                    }
                },
            }
        }
    }
}
