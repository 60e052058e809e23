//! The command line, as the tests run it.

fn main() -> std::process::ExitCode {
    ringfence_cli::main()
}
