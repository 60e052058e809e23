//! The program `ringfence`; all of it is in the library, where tests reach it.
fn main() -> std::process::ExitCode {
    ringfence_cli::main()
}
