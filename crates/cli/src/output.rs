//! What goes to stdout, for every command but `run`, which leaves stdout to its program.

use std::io::{ErrorKind, Write};

use crate::messages;

/// What was asked could not be done, though it was asked rightly.
pub(crate) const FAILED: u8 = 1;

/// Prints `text`, and gives the exit status.
pub(crate) fn print(text: impl AsRef<[u8]>) -> u8 {
    let mut stdout = std::io::stdout().lock();
    finish(stdout.write_all(text.as_ref()).and_then(|()| stdout.flush()))
}

/// Prints `--help` or `--version`, in colour where a terminal wants it.
pub(crate) fn help(help: &clap::Error) -> u8 {
    finish(help.print().and_then(|()| std::io::stdout().lock().flush()))
}

fn finish(written: std::io::Result<()>) -> u8 {
    match written {
        // The reader had enough (`| head`): that is its right, and no failure.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            messages::say(&format!(
                "cannot write to stdout: {error}; what was to be read there is not whole"
            ));
            FAILED
        }
        _ => 0,
    }
}
