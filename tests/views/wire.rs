//! A batch, and the two sides of its wire: one request, one answer.

use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value;
use support::{Scene, ringfence};

pub(crate) struct Client {
    child: Child,
    stdin: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Client {
    /// A batch from the scene's folder `here`.
    pub(crate) fn new(scene: &Scene, flags: &[&str]) -> Self {
        Self::with(scene, flags, |_| ())
    }

    /// The same, with more said of the caller.
    pub(crate) fn with(scene: &Scene, flags: &[&str], place: impl FnOnce(&mut Command)) -> Self {
        let mut line = Command::new(ringfence());
        line.arg("batch").args(flags).current_dir(scene.path("here")).env("HOME", scene.home());
        line.env("RINGFENCE_RUNTIME_DIR", scene.runtime()).env("TMPDIR", scene.folder("tmp"));
        place(&mut line);
        let mut child = line.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
        let stdin = child.stdin.take().expect("it was piped");
        let answers = BufReader::new(child.stdout.take().expect("it was piped")).lines();
        Self { child, stdin, answers }
    }

    pub(crate) fn run(&mut self, request: &Value) -> Value {
        self.stdin.write_all(format!("{request}\n").as_bytes()).expect("it is read");
        let line = self.answers.next().expect("an answer").expect("a line");
        serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"))
    }

    /// The end of the input is the end of the batch.
    pub(crate) fn end(mut self) {
        drop(self.stdin);
        assert_eq!(self.child.wait().expect("our child").code(), Some(0));
    }
}
