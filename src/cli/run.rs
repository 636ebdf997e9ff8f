//! `limegate run`: the gateway in the foreground, as systemd runs it.
//!
//! A file that does not check never ends a gateway that could go on: at a reload the running config stays, at a start the last one that ran is taken, and
//! problem C-000 says what is wrong with the file. Only where there is none the process ends with 78.

use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{oneshot, watch};
use tracing_subscriber::filter::LevelFilter;

use super::logs::{self, LogShape};
use super::{Exit, Global, check, notice};
use crate::config::{self, Config, Diagnostic, Environment, Language};
use crate::gateway::{self, Outside, StartError};
use crate::status::Texts;
use crate::words::config as words;

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

/// A config to run with.
#[derive(Clone)]
struct Candidate {
    config: Config,
    /// The file's text, where the config was read from the file: kept as the last good one once it runs.
    text: Option<Vec<u8>>,
}

/// Why the gateway's turn ended.
enum Turn {
    Ended(Result<(), StartError>),
    Stop,
    Reload(Box<Candidate>),
}

pub(super) fn run(global: &Global, args: &RunArgs) -> Exit {
    let (first, refused) = match read(global) {
        Ok((candidate, warnings)) => {
            check::print(&warnings, global);
            (candidate, None)
        }
        Err(mistakes) => {
            let exit = check::refused(&mistakes, global);
            let Some(config) = config::last_good(&global.config, &Environment::of_process()) else { return exit };
            notice(&words::LAST_GOOD_RUNS.text(global.language().unwrap_or(config.site.language)));
            (Candidate { config, text: None }, Some(short(&mistakes)))
        }
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
    let result = runtime.block_on(turns(global, first, watch::Sender::new(refused)));
    match result {
        Ok(()) => Exit::Fine,
        Err(error) => {
            notice(&error.to_string());
            match error {
                StartError::Journal(_) | StartError::State(..) => Exit::TryAgain,
                StartError::Doors(_) => Exit::TryAgain,
                StartError::Setup(_) => Exit::BadConfig,
            }
        }
    }
}

/// Reads the file as `check` does.
fn read(global: &Global) -> Result<(Candidate, Vec<Diagnostic>), Vec<Diagnostic>> {
    let text = config::text(&global.config)?;
    let (config, warnings) = config::from_bytes(&global.config, &text, &Environment::of_process())?;
    Ok((Candidate { config, text: Some(text) }, warnings))
}

fn short(mistakes: &[Diagnostic]) -> Texts {
    Texts { ru: config::in_short(mistakes, Language::Ru), en: config::in_short(mistakes, Language::En) }
}

/// Runs the gateway; after a reload with a config that checks, runs it again with that one. A config that cannot be set up gives way to the one before it.
async fn turns(global: &Global, first: Candidate, refused: watch::Sender<Option<Texts>>) -> Result<(), StartError> {
    let no_signals = |error| StartError::State(std::path::PathBuf::from("signals"), error);
    let mut signals = Signals {
        terminate: signal(SignalKind::terminate()).map_err(no_signals)?,
        interrupt: signal(SignalKind::interrupt()).map_err(no_signals)?,
        hang_up: signal(SignalKind::hangup()).map_err(no_signals)?,
    };
    let (mut now, mut before) = (first, None);
    loop {
        match turn(&now, global, &refused, &mut signals).await {
            Turn::Stop => return Ok(()),
            Turn::Reload(next) => {
                tracing::info!("going over to the new config");
                before = Some(std::mem::replace(&mut now, *next));
                refused.send_replace(None);
            }
            Turn::Ended(Ok(())) => return Ok(()),
            Turn::Ended(Err(error)) => {
                let Some(other) = before.take().or_else(|| other_for(&error, &now, global)) else { return Err(error) };
                tracing::error!(%error, "this config does not start; the one before it goes on");
                refused.send_replace(Some(Texts { ru: error.to_string(), en: error.to_string() }));
                now = other;
            }
        }
    }
}

/// What to run with when the file's config checks and cannot be set up nevertheless.
fn other_for(error: &StartError, now: &Candidate, global: &Global) -> Option<Candidate> {
    if !matches!(error, StartError::Setup(_)) || now.text.is_none() {
        return None;
    }
    config::last_good(&global.config, &Environment::of_process()).map(|config| Candidate { config, text: None })
}

/// One turn of the gateway, to its end.
async fn turn(now: &Candidate, global: &Global, refused: &watch::Sender<Option<Texts>>, signals: &mut Signals) -> Turn {
    let (end, stop) = watch::channel(false);
    let (started, mut starts) = oneshot::channel();
    let outside = Outside { config_error: refused.subscribe(), started, stop };
    let mut gateway = tokio::spawn(gateway::run(now.config.clone(), outside));
    let broken = |error| Err(StartError::State(now.config.state_dir.clone(), std::io::Error::other(error)));
    let mut waits_for_start = true;
    let turn = loop {
        tokio::select! {
            ended = &mut gateway => return Turn::Ended(ended.unwrap_or_else(broken)),
            started = &mut starts, if waits_for_start => {
                waits_for_start = false;
                if started.is_ok() {
                    keep(now.clone()).await;
                }
            }
            turn = signals.next_turn(global, refused) => break turn,
        }
    };
    end.send_replace(true);
    match gateway.await.unwrap_or_else(broken) {
        Ok(()) => turn,
        Err(error) => Turn::Ended(Err(error)),
    }
}

/// Keeps what has proved to run, for a start with a file that does not check.
async fn keep(candidate: Candidate) {
    let Some(text) = candidate.text else { return };
    let kept = tokio::task::spawn_blocking(move || config::keep_good(&candidate.config, &text)).await;
    if let Err(error) = kept.unwrap_or_else(|error| Err(std::io::Error::other(error))) {
        tracing::warn!(%error, "no copy of this config could be kept for a start with a file that does not check");
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    /// Waits for a reason to end this turn. A reload with a config that does not check is none: the running one goes on.
    async fn next_turn(&mut self, global: &Global, refused: &watch::Sender<Option<Texts>>) -> Turn {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return Turn::Stop,
                _ = self.interrupt.recv() => return Turn::Stop,
                _ = self.hang_up.recv() => match read(global) {
                    Ok((next, _)) => return Turn::Reload(Box::new(next)),
                    Err(mistakes) => {
                        tracing::error!(mistakes = mistakes.len(), "the config on disk does not check and is not applied; `limegate check` says why");
                        refused.send_replace(Some(short(&mistakes)));
                    }
                },
            }
        }
    }
}
