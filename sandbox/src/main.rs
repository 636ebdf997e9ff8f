//! `sandbox`: see `sandbox --help`.

mod cli;

fn main() -> std::process::ExitCode {
    cli::run()
}
