//! A caller of the library that stays, and is asked for one start at a time (tests/resident).

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use super::program::Folder;
use crate::failure::Failure;
use crate::process;

/// The process.
pub(super) struct Resident {
    child: Child,
    /// Taken when it is to end.
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Resident {
    /// Starts one that holds this much memory, in bytes, and so many threads.
    pub(super) fn start(
        binary: &Path,
        program: &Path,
        folder: &Folder,
        holds: [usize; 2],
    ) -> Result<Self, Failure> {
        let mut command = Command::new(binary);
        command.arg(program).args(holds.map(|number| number.to_string())).current_dir(folder.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = command.spawn().map_err(|error| process::not_started(&command, &error))?;
        let (Some(orders), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Failure::Work("the resident caller has no streams".to_owned()));
        };
        let mut resident = Self { child, orders: Some(orders), answers: BufReader::new(answers) };
        // Whatever it does once, it has done.
        resident.go()?;
        Ok(resident)
    }

    /// One start to its end, in microseconds by its own clock.
    pub(super) fn go(&mut self) -> Result<f64, Failure> {
        self.ask("go")
    }

    /// How many starts end in a time.
    pub(super) fn many(&mut self, milliseconds: u64, launchers: usize) -> Result<f64, Failure> {
        self.ask(&format!("for {milliseconds} {launchers}"))
    }

    fn ask(&mut self, order: &str) -> Result<f64, Failure> {
        let mut answer = String::new();
        let asked = self.orders.as_mut().map_or(Ok(()), |orders| writeln!(orders, "{order}"));
        let heard = asked.and_then(|()| self.answers.read_line(&mut answer));
        heard.map_err(|error| Failure::Work(format!("the resident caller cannot be asked: {error}")))?;
        let number = answer.trim().parse();
        number.map_err(|_| Failure::Work(format!("the resident caller answered `{answer}` to `{order}`")))
    }
}

impl Drop for Resident {
    fn drop(&mut self) {
        self.orders = None;
        // It ends with its orders; how is of no interest by now.
        let _ended = self.child.wait();
    }
}
