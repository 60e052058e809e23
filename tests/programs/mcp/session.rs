//! A client of a tool server, and what is asked of the machine while it is connected and after.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::{Run, Scene, probe, ringfence};

/// A wait that only a hang is longer than.
const LONGEST: Duration = Duration::from_secs(60);

/// A server, and this end of its streams.
pub(super) struct Session {
    pub(super) child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    asked: u64,
}

/// What was left when a session had ended.
#[derive(Debug)]
pub(super) struct Left {
    pub(super) status: i32,
    pub(super) stdout: String,
    pub(super) stderr: String,
    pub(super) time: Duration,
}

impl Session {
    pub(super) fn start(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().expect("it was piped"));
        Self { child, input, output, asked: 0 }
    }

    /// Sends a request and does not wait.
    pub(super) fn send(&mut self, method: &str, params: Value) {
        self.asked += 1;
        let message = json!({ "jsonrpc": "2.0", "id": self.asked, "method": method, "params": params });
        let input = self.input.as_mut().expect("the session is open");
        writeln!(input, "{message}").and_then(|()| input.flush()).expect("the server reads");
    }

    /// The next line, which is an answer: anything else on standard output is nobody's to write.
    pub(super) fn receive(&mut self) -> Value {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("it is text");
        let answer: Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line:?}"));
        assert_eq!(answer["jsonrpc"], "2.0", "{line}");
        answer
    }

    pub(super) fn ask(&mut self, method: &str, params: Value) -> Value {
        self.send(method, params);
        let answer = self.receive();
        assert_eq!(answer["id"], self.asked, "{answer}");
        answer["result"].clone()
    }

    pub(super) fn initialise(&mut self) {
        let result = self.ask("initialize", json!({ "protocolVersion": "2025-06-18", "capabilities": {} }));
        assert_eq!(result["serverInfo"]["name"], "probe", "{result}");
    }

    /// What the tool `read` says of a file; an error's name where it cannot.
    pub(super) fn read(&mut self, path: &str) -> (String, bool) {
        let result = self.ask("tools/call", json!({ "name": "read", "arguments": { "path": path } }));
        let text = result["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{result}"));
        (text.to_owned(), result["isError"] == true)
    }

    /// Closes standard input and waits for the end.
    pub(super) fn close(mut self) -> Left {
        drop(self.input.take());
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("our child") {
                break status;
            }
            if begun.elapsed() > LONGEST {
                self.child.kill().expect("our child");
                panic!("closing its input did not end it in {LONGEST:?}");
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let time = begun.elapsed();
        let (mut stdout, mut stderr) = (String::new(), String::new());
        self.output.read_to_string(&mut stdout).expect("it is text");
        self.child.stderr.take().expect("piped").read_to_string(&mut stderr).expect("it is text");
        Left { status: status.code().unwrap_or(-1), stdout, stderr, time }
    }
}

/// The server of our own inside, with more flags.
pub(super) fn inside(scene: &Scene, flags: &[&str]) -> Command {
    run(scene, flags).command([probe().as_os_str(), OsStr::new("tool-server")])
}

/// The same behind a shell that stays when it has ended, with another process; neither listens to a polite signal.
pub(super) fn inside_and_stubborn(scene: &Scene, flags: &[&str], marker: &str) -> Command {
    let line = format!("trap '' TERM; sleep {marker} & {} tool-server; sleep {marker}", probe().display());
    run(scene, flags).command(["/bin/sh", "-c", &line])
}

fn run<'a>(scene: &'a Scene, flags: &[&str]) -> Run<'a> {
    Run::new(scene).flags(["-p", "mcp", "--ro"]).flag(probe()).flags(flags)
}

/// The same server without a sandbox: the control.
pub(super) fn outside() -> Command {
    let mut command = Command::new(probe());
    command.arg("tool-server");
    command
}

/// A word that no other test's processes have.
pub(super) fn marker(test: u32) -> String {
    format!("{}.{test}", 100_000 + std::process::id())
}

/// The processes that have this word in their command line; a zombie has none.
pub(super) fn alive(marker: &str) -> usize {
    let entries = std::fs::read_dir("/proc").expect("there is a proc").flatten();
    let lines = entries.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    lines.filter(|line| line.split(|byte| *byte == 0).any(|word| word == marker.as_bytes())).count()
}

/// Waits until something holds.
#[track_caller]
pub(super) fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + LONGEST;
    while !holds() {
        assert!(Instant::now() < end, "{what}: not in {LONGEST:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The live sandboxes of the scene; to ask sweeps what a crash has left.
pub(super) fn live(scene: &Scene) -> usize {
    let mut command = Command::new(ringfence());
    command.args(["ps", "--json"]).env("RINGFENCE_RUNTIME_DIR", scene.runtime());
    let said = command.output().expect("it runs");
    let list: Value = serde_json::from_slice(&said.stdout).unwrap_or_else(|e| panic!("{e}: {said:?}"));
    list["sandboxes"].as_array().unwrap_or_else(|| panic!("{list}")).len()
}

/// Everything of it that could be left on the machine: files of the registry, mounts of the host that name the scene.
pub(super) fn left_behind(scene: &Scene) -> Vec<String> {
    let root = scene.path("").display().to_string();
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("there is a proc");
    let mounts = mounts.lines().filter(|line| line.contains(root.trim_end_matches('/'))).map(str::to_owned);
    let folder: PathBuf = scene.runtime().join("ringfence");
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    mounts.chain(files.map(|entry| entry.path().display().to_string())).collect()
}
