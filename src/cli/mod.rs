//! The command line: one file per subcommand, each with its arguments and a `run` that returns an [`Exit`].
//!
//! Tables and results go to standard output, notices and mistakes to standard error; `--json` prints one object with `"v": 1`. A new subcommand is a
//! file here, a variant of `Command` and a line in [`main`].
//!
//! Never: a secret among the arguments; a panic because the reader of a pipe has left.

mod check;
mod config;
mod crm;
mod dead;
mod door;
mod journal;
mod ledger;
mod listen;
pub mod logs;
mod osdp;
mod ports;
pub mod render;
mod run;
mod show;
mod status;
mod sync;
mod tap;
mod verify;
mod when;

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::config::{self as config_file, Config, Environment, Language};
use crate::control::ClientError;
use crate::words::journal as words;

/// Where the config is, unless `--config` says otherwise.
pub const DEFAULT_CONFIG: &str = "/etc/limegate/limegate.toml";

/// What a command ends with. These numbers are a promise to scripts and units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// All is well.
    Fine = 0,
    /// The command worked and found problems: a difference in the books, a degraded gateway.
    Problems = 1,
    /// The command line is wrong.
    Usage = 2,
    /// Not now: the gateway does not run, or something it needs is away for the moment.
    TryAgain = 75,
    /// The config is wrong; every mistake was printed.
    BadConfig = 78,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// limegate: takes passes at a venue's entrances and delivers each of them to Lime and to the CRM.
#[derive(Debug, Parser)]
#[command(name = "limegate", version, about, after_help = "Exit codes: 0 fine, 1 problems found, 2 usage, 75 try again, 78 bad config.")]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// What every command understands.
#[derive(Clone, Debug, Args)]
pub struct Global {
    /// The config file.
    #[arg(long, global = true, value_name = "FILE", default_value = DEFAULT_CONFIG, env = "LIMEGATE_CONFIG")]
    pub config: PathBuf,
    /// Language of texts for people; default: the one that the config names.
    #[arg(long, global = true, value_name = "LANGUAGE")]
    pub lang: Option<Lang>,
    /// Print JSON for machines.
    #[arg(long, global = true)]
    pub json: bool,
}

/// `--lang`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Lang {
    /// Русский.
    Ru,
    /// English.
    En,
}

impl From<Lang> for Language {
    fn from(lang: Lang) -> Self {
        match lang {
            Lang::Ru => Self::Ru,
            Lang::En => Self::En,
        }
    }
}

impl Global {
    /// The language asked for on the command line.
    #[must_use]
    pub fn language(&self) -> Option<Language> {
        self.lang.map(Language::from)
    }
}

/// The subcommands.
#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway until it is told to stop.
    Run(run::RunArgs),
    /// Show the running gateway in one screen.
    Status,
    /// Count that nothing is lost: read = stored = Lime = CRM + waiting + refused.
    Verify(verify::VerifyArgs),
    /// Show passes as they come.
    Tap(tap::TapArgs),
    /// Show the serial ports, who holds them, and what is heard on them.
    Ports,
    /// Show what comes over a serial port, and guess what reader it is. Never writes.
    Listen(listen::ListenArgs),
    /// Look into what is stored and what became of it.
    Journal(journal::JournalArgs),
    /// Look at what was refused for good, send it again or give it up.
    Dead(dead::DeadArgs),
    /// Open a gate by hand; the order is journalled before it leaves.
    Door(door::DoorArgs),
    /// What the CRM needs: set it up, check it, log in.
    Crm(crm::CrmArgs),
    /// A venue in a terminal: simulated gates, Lime and a CRM, and this gateway between them.
    #[cfg(feature = "demo")]
    Demo(crate::demo::DemoArgs),
    /// Lime and the CRM: bring both up to date, see how far it is.
    Sync(sync::SyncArgs),
    /// OSDP readers: give a new one its key.
    Osdp(osdp::OsdpArgs),
    /// Check the config as `run` would, and print every mistake.
    Check,
    /// Print an example, the JSON Schema, or what the gateway would use.
    Config(config::ConfigArgs),
}

/// Parses the command line, runs the command and says how it ended.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no mistakes; clap knows which stream is theirs.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Fine }.into();
        }
    };
    match cli.command {
        Command::Run(args) => run::run(&cli.global, &args),
        Command::Status => status::run(&cli.global),
        Command::Verify(args) => verify::run(&cli.global, &args),
        Command::Tap(args) => tap::run(&cli.global, &args),
        Command::Ports => ports::run(&cli.global),
        Command::Listen(args) => listen::run(&cli.global, &args),
        Command::Journal(args) => journal::run(&cli.global, &args),
        Command::Dead(args) => dead::run(&cli.global, &args),
        Command::Door(args) => door::run(&cli.global, &args),
        Command::Crm(args) => crm::run(&cli.global, &args),
        #[cfg(feature = "demo")]
        Command::Demo(args) => crate::demo::run(&cli.global, &args),
        Command::Sync(args) => sync::run(&cli.global, &args),
        Command::Osdp(args) => osdp::run(&cli.global, &args),
        Command::Check => check::run(&cli.global),
        Command::Config(args) => config::run(&cli.global, &args),
    }
    .into()
}

/// The language, and the config where there is a good one: for commands that work without it.
fn quietly(global: &Global) -> (Language, Option<Config>) {
    let config = config_file::load(&global.config, &Environment::of_process()).ok().map(|(config, _)| config);
    let language = global.language().or(config.as_ref().map(|config| config.site.language)).unwrap_or_default();
    (language, config)
}

/// Runs a future of a command that asks the gateway or a remote. One thread is enough for it.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(future),
        Err(error) => {
            notice(&format!("the kernel gives no event queue: {error}"));
            std::process::exit(Exit::TryAgain as i32)
        }
    }
}

/// Says why the gateway did not answer, and how the command ends.
fn client_error(error: &ClientError, language: Language) -> Exit {
    let why = error.to_string();
    match error {
        ClientError::NotRunning(_) | ClientError::NotAllowed(_) => {
            notice(&words::NOT_RUNNING.with("why", why).text(language));
            Exit::TryAgain
        }
        ClientError::Broken(_) => {
            notice(&words::SOCKET_TROUBLE.with("why", why).text(language));
            Exit::TryAgain
        }
        ClientError::Refused(_) => {
            notice(&words::SOCKET_TROUBLE.with("why", why).text(language));
            Exit::Problems
        }
    }
}

/// Prints to standard output; a reader that has left is no error.
pub fn out(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{}", text.trim_end_matches('\n'));
}

/// Prints a notice to standard error.
pub fn notice(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{}", text.trim_end_matches('\n'));
}

/// Prints a JSON object to standard output.
pub fn out_json(value: &serde_json::Value) {
    out(&format!("{value:#}"));
}

/// How wide the terminal is; 100 where there is none.
fn width() -> usize {
    rustix::termios::tcgetwinsize(std::io::stdout()).map(|size| usize::from(size.ws_col)).ok().filter(|width| *width >= 40).unwrap_or(100)
}

/// Whether notices may be coloured.
#[must_use]
pub fn colours() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
