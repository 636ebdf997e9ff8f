//! `limegate`: see [`limegate::cli`].

fn main() -> std::process::ExitCode {
    limegate::cli::main()
}
