//! The command line: which services, where, and the one JSON line that says how to reach them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use sandbox::Host;
use sandbox::server::{self, Options, Running};
use sandbox::turnstile::{self, TurnstileArgs};

#[derive(Parser)]
#[command(name = "sandbox", version, about = "Stand-ins for Lime, amoCRM and Bitrix24 on the loopback interface")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// The Lime gateway API v1
    Lime(ServeArgs),
    /// amoCRM's REST API v4
    Amocrm(ServeArgs),
    /// Bitrix24's REST
    Bitrix24(ServeArgs),
    /// All three, each at a port of its own
    All(ServeArgs),
    /// A reader on a serial line or a validator over MQTT, played from a script
    Turnstile(TurnstileArgs),
}

#[derive(Args)]
struct ServeArgs {
    /// Where the (first) service listens; port 0 picks a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Speak TLS with a certificate of a CA made for this run
    #[arg(long)]
    tls: bool,
    /// Where the CA certificate is written; without it a file in the temporary folder
    #[arg(long, value_name = "FILE", requires = "tls")]
    ca_file: Option<PathBuf>,
    /// Seed of clients, cards and tickets
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many families Lime knows
    #[arg(long, default_value_t = 200)]
    clients: usize,
    /// A service point besides sp-1 to sp-9; may be repeated
    #[arg(long = "service-point", value_name = "ID")]
    service_points: Vec<String>,
}

/// Runs what the command line asks for.
pub fn run() -> ExitCode {
    match Cli::parse().command {
        Command::Lime(args) => to_the_end(serve(vec![Host::Lime], args)),
        Command::Amocrm(args) => to_the_end(serve(vec![Host::Amocrm], args)),
        Command::Bitrix24(args) => to_the_end(serve(vec![Host::Bitrix24], args)),
        Command::All(args) => to_the_end(serve(Host::ALL.to_vec(), args)),
        Command::Turnstile(args) => to_the_end(turnstile::run(args)),
    }
}

fn to_the_end<E: std::fmt::Display>(work: impl Future<Output = Result<(), E>>) -> ExitCode {
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("sandbox: cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(work) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sandbox: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(hosts: Vec<Host>, args: ServeArgs) -> Result<(), server::StartError> {
    let tls_ca = args.tls.then(|| args.ca_file.unwrap_or_else(|| std::env::temp_dir().join(format!("sandbox-ca-{}.pem", std::process::id()))));
    let options = Options { hosts, listen: args.listen, tls_ca, seed: args.seed, clients: args.clients, service_points: args.service_points };
    let running = server::serve(options).await?;
    print_addresses(&running);
    stopped().await;
    running.shutdown().await;
    Ok(())
}

fn print_addresses(running: &Running) {
    use std::io::Write;

    let line = serde_json::to_string(&running.addresses).unwrap_or_default();
    let mut out = std::io::stdout().lock();
    // Whoever started the sandbox may not want to know.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

async fn stopped() {
    use tokio::signal::unix::{SignalKind, signal};

    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
        }
        Err(_) => {
            let _ = tokio::signal::ctrl_c().await;
        }
    }
}
