//! `sandbox turnstile`: the command line.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use super::play::{self, say};
use super::serial::Simulator;
use super::{Barrier, Family, FamilyError, Gate, ScriptError, Validator, parse_script};

/// Plays a reader or a validator from a script
#[derive(Clone, Debug, clap::Args)]
pub struct TurnstileArgs {
    /// Which reader to play: the gateway's profile of the same name reads it
    #[arg(long, value_name = "NAME", required_unless_present_any = ["mqtt", "module"], conflicts_with_all = ["mqtt", "module"])]
    profile: Option<String>,
    /// The port to write to; `new` makes a pty and prints its path
    #[arg(long, value_name = "PORT", required_unless_present_any = ["mqtt", "module"], conflicts_with_all = ["mqtt", "module"])]
    port: Option<String>,
    /// The speed of a real port
    #[arg(long, default_value_t = 9600)]
    baud: u32,
    /// The broker to publish to, as a validator: mqtt://HOST:PORT
    #[arg(long, value_name = "URL")]
    mqtt: Option<String>,
    /// The topic to publish to
    #[arg(long, default_value = "validators/in-1/pass")]
    topic: String,
    /// Play a turnstile that is opened: a Modbus module on a new pty at this address. Ends with Ctrl-C
    #[arg(long, value_name = "ADDRESS", value_parser = clap::value_parser!(u8).range(1..=247), conflicts_with = "mqtt")]
    module: Option<u8>,
    /// With --mqtt: play a turnstile that is opened, with orders on TOPIC/open. Ends with Ctrl-C
    #[arg(long, requires = "mqtt")]
    opens: bool,
    /// Of the guests let in, so many in a hundred go through
    #[arg(long, value_name = "PERCENT", default_value_t = 90, value_parser = clap::value_parser!(u8).range(0..=100))]
    goes: u8,
    /// The MQTT client's id
    #[arg(long, default_value = "sandbox-validator")]
    client: String,
    /// What to play, an action a line; `-` is standard input
    #[arg(long, value_name = "FILE", default_value = "-")]
    script: PathBuf,
    /// Wait so long before the script begins, milliseconds: the gateway opens the port in the meantime
    #[arg(long, value_name = "MS", default_value_t = 0)]
    after: u64,
    /// Keep the port open so long after the script, milliseconds; over MQTT, wait so long for the last PUBACK
    #[arg(long, value_name = "MS", default_value_t = 5_000)]
    linger: u64,
    /// Seed of random media and noise; without it, one is picked and printed
    #[arg(long)]
    seed: Option<u64>,
}

/// Why a script was not played to its end.
#[derive(Debug, thiserror::Error)]
pub enum TurnstileError {
    /// The script has a mistake.
    #[error("the script, {0}")]
    Script(#[from] ScriptError),
    /// The script cannot be read.
    #[error("cannot read the script {file}: {source}")]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The profile cannot be played.
    #[error(transparent)]
    Family(#[from] FamilyError),
    /// The broker's address is not understood.
    #[error("{0:?} is no broker: mqtt://HOST:PORT is needed")]
    Url(String),
    /// The line broke.
    #[error("the line: {0}")]
    Line(#[from] io::Error),
}

/// Plays the script and prints a JSON line an event; the last one holds the books.
///
/// # Errors
/// When the script, the profile or the address is wrong, or the line breaks.
pub async fn run(args: TurnstileArgs) -> Result<(), TurnstileError> {
    if args.module.is_some() || args.opens {
        return opened(&args).await;
    }
    let script = read_script(&args.script).map_err(|source| TurnstileError::Unreadable { file: args.script.clone(), source })?;
    let lines = parse_script(&script)?;
    let seed = args.seed.unwrap_or_else(|| fastrand::u64(..1 << 53));
    let mut rng = fastrand::Rng::with_seed(seed);
    let (after, linger) = (Duration::from_millis(args.after), Duration::from_millis(args.linger));
    let books = if let Some(url) = &args.mqtt {
        let (host, port) = broker(url).ok_or_else(|| TurnstileError::Url(url.clone()))?;
        let validator = Validator::start(host, port, &args.client, &args.topic);
        say(&json!({ "mqtt": url, "topic": args.topic, "seed": seed }));
        tokio::time::sleep(after).await;
        play::as_validator(&validator, lines, &mut rng, linger).await
    } else {
        let family = Family::of_profile(args.profile.as_deref().unwrap_or_default())?;
        let mut simulator = match args.port.as_deref() {
            None | Some("new") => Simulator::pty(family)?,
            Some(path) => Simulator::on_port(family, path.as_ref(), args.baud)?,
        };
        say(&json!({ "port": simulator.path(), "profile": args.profile, "seed": seed }));
        tokio::time::sleep(after).await;
        let books = play::on_line(&mut simulator, lines, &mut rng).await?;
        // A pty that closes takes with it what was not yet read.
        tokio::time::sleep(linger).await;
        books
    };
    say(&json!({ "books": books }));
    Ok(())
}

/// A guest needs so long from the release to the counter.
const WALKS: Duration = Duration::from_millis(600);

/// Plays a turnstile that is opened, until Ctrl-C.
async fn opened(args: &TurnstileArgs) -> Result<(), TurnstileError> {
    let seed = args.seed.unwrap_or_else(|| fastrand::u64(..1 << 53));
    let goes = f64::from(args.goes) / 100.0;
    let books = if let Some(address) = args.module {
        let gate = Gate::pty(address, goes, WALKS, seed)?;
        say(&json!({ "port": gate.path(), "module": address, "seed": seed }));
        tokio::signal::ctrl_c().await?;
        json!(gate.books())
    } else {
        let url = args.mqtt.as_deref().unwrap_or_default();
        let (host, port) = broker(url).ok_or_else(|| TurnstileError::Url(url.to_owned()))?;
        let barrier = Barrier::start(host, port, &args.client, &args.topic, goes, seed);
        say(&json!({ "mqtt": url, "topic": args.topic, "seed": seed }));
        tokio::signal::ctrl_c().await?;
        json!(barrier.books())
    };
    say(&json!({ "books": books }));
    Ok(())
}

fn read_script(file: &std::path::Path) -> io::Result<String> {
    if file == std::path::Path::new("-") { io::read_to_string(io::stdin().lock()) } else { std::fs::read_to_string(file) }
}

/// Host and port of `mqtt://host:port`.
fn broker(url: &str) -> Option<(&str, u16)> {
    let address = url.strip_prefix("mqtt://")?.trim_end_matches('/');
    match address.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() => Some((host, port.parse().ok()?)),
        Some(_) => None,
        None => (!address.is_empty()).then_some((address, 1883)),
    }
}
