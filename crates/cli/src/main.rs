//! The program `ringfence`; all of it is in the library, where tests reach it.

/// The static binary's own. With musl's a start takes twice the page faults.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

fn main() -> std::process::ExitCode {
    ringfence_cli::main()
}
