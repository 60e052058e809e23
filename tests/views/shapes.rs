//! One policy file, unchanged, for a single command, a line of a batch, a library call and a server on its streams
//! (B12): the same policy by its hash, the same receipt, and the same program in each can and cannot do the same.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use support::{Run, Scene, caller, is_root};

use crate::wire::Client;

/// A file that a project would have. It says the limit of output because a batch, which holds its answers in memory,
/// has one in any case.
const POLICY: &str = r#"
description = "One policy for the whole life of a tool"
extends = "mcp"

[filesystem]
read = ["./data"]
write = ["./out"]
deny = ["./data/secret"]

[environment]
set = { MODE = "tool" }
pass = ["TOKEN"]

[process]
hostname = "tool"

[limits]
timeout = "2m"
output = "1M"
nofile = 64
file_size = "64K"
"#;

/// A tool that answers JSON lines: what it could and could not do. Each attempt is one that some policy could allow.
const TOOL: &str = r#"
import json, os, signal, socket, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
def tried(what):
    try: return what()
    except OSError as error: return os.strerror(error.errno)
def connect(port):
    with socket.create_connection(("127.0.0.1", port), 5): return "connected"
def write(path, size=1):
    with open(path, "wb") as file: file.write(b"x" * size); file.flush()
    return "written"
def flood():
    files = []
    try:
        while len(files) < 1000: files.append(os.open("/dev/null", os.O_RDONLY))
        return "no end"
    except OSError as error: return os.strerror(error.errno)
    finally: [os.close(file) for file in files]
def status():
    names = ("CapEff", "CapBnd", "NoNewPrivs", "Seccomp", "Uid", "Gid")
    return sorted(" ".join(line.split()) for line in open("/proc/self/status") if line.split(":")[0] in names)
def answer(asked):
    return {
        "id": asked["id"],
        "read": tried(lambda: open("data/file").read()),
        "secret": tried(lambda: open("data/secret").read()),
        "write": tried(lambda: write("out/made")),
        "write data": tried(lambda: write("data/made")),
        "write system": tried(lambda: write("/usr/made")),
        "large": tried(lambda: write("out/large", 100_000)),
        "home": tried(lambda: sorted(os.listdir(os.environ["HOME"]))),
        "shadow": tried(lambda: open("/etc/shadow").read()),
        "network": tried(lambda: connect(asked["port"])),
        "files": flood(),
        "processes": sorted(name for name in os.listdir("/proc") if name.isdigit()),
        "environment": sorted(name for name in os.environ if name != "LC_CTYPE"),
        "values": [os.environ.get("MODE"), os.environ.get("TOKEN")],
        "names": [os.uname().nodename, os.getcwd()],
        "status": status(),
    }
for line in sys.stdin:
    print(json.dumps(answer(json.loads(line)), sort_keys=True), flush=True)
"#;

const PYTHON: &str = "/usr/bin/python3";

/// A project with its policy, its tool and a neighbour on the network that must not be reached.
struct Project {
    scene: Scene,
    asked: String,
    neighbour: TcpListener,
}

/// What one way of running it left.
#[derive(Debug)]
struct Seen {
    way: &'static str,
    answer: Value,
    report: Value,
}

impl Project {
    fn new() -> Self {
        let scene = Scene::new();
        scene.file("here/policy.toml", POLICY);
        scene.file("here/data/file", "content");
        scene.file("here/data/secret", "secret");
        scene.file("here/data/tool.py", TOOL);
        scene.folder("here/out");
        let neighbour = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
        let port = neighbour.local_addr().expect("it is bound").port();
        Self { scene, asked: format!("{}\n", json!({"id": 1, "port": port})), neighbour }
    }

    /// From the project's folder, with the caller's surroundings.
    fn place(&self, command: &mut Command) {
        command.current_dir(self.scene.path("here")).env("HOME", self.scene.home()).env("TOKEN", "given");
        command.env("RINGFENCE_RUNTIME_DIR", self.scene.runtime()).env_remove("LC_ALL");
    }

    fn answered(line: &[u8]) -> Value {
        serde_json::from_slice(line).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(line)))
    }

    /// A command line to its end, with the question as its input.
    fn finish(&self, mut command: Command) -> Value {
        self.place(&mut command);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
        child.stdin.take().expect("it was piped").write_all(self.asked.as_bytes()).expect("it is read");
        Self::answered(&child.wait_with_output().expect("our child").stdout)
    }

    fn outside(&self) -> Value {
        let mut command = Command::new(PYTHON);
        command.arg("data/tool.py");
        self.finish(command)
    }

    fn report(&self) -> Value {
        let report = self.scene.outside_path("report.json");
        let text = std::fs::read(&report).expect("a report");
        std::fs::remove_file(report).expect("our own file");
        serde_json::from_slice(&text).expect("JSON")
    }

    fn run(&self, flags: &[&str]) -> Run<'_> {
        let report = self.scene.outside_path("report.json");
        Run::new(&self.scene).flags(["-p", "./policy.toml", "--report"]).flag(report).flags(flags)
    }

    fn by_command(&self) -> Seen {
        let answer = self.finish(self.run(&[]).command([PYTHON, "data/tool.py"]));
        Seen { way: "a command", answer, report: self.report() }
    }

    fn by_batch(&self) -> Seen {
        let mut client = Client::with(&self.scene, &["-p", "./policy.toml"], |command| self.place(command));
        let answer = client.run(&json!({"id": 1, "command": [PYTHON, "data/tool.py"], "stdin": self.asked}));
        client.end();
        let said = answer["stdout"].as_str().unwrap_or_else(|| panic!("{answer:#}"));
        Seen { way: "a batch", answer: Self::answered(said.as_bytes()), report: answer["report"].clone() }
    }

    fn by_library(&self) -> Seen {
        let mut command = Command::new(caller());
        command.args(["profile", "./policy.toml", &self.asked, PYTHON, "data/tool.py"]);
        let said = self.finish(command);
        let answer = Self::answered(said["stdout"].as_str().expect("text").as_bytes());
        Seen { way: "the library", answer, report: said["report"].clone() }
    }

    /// Alive over several questions, and ended by the end of its input though it is the client that leaves.
    fn by_server(&self) -> Seen {
        let mut command = self.run(&["--end-with-stdin"]).command([PYTHON, "data/tool.py"]);
        self.place(&mut command);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
        let mut stdin = child.stdin.take().expect("it was piped");
        let mut stdout = BufReader::new(child.stdout.take().expect("it was piped"));
        let mut answers = Vec::new();
        for _ in 0..3 {
            stdin.write_all(self.asked.as_bytes()).expect("it is read");
            let mut line = Vec::new();
            stdout.read_until(b'\n', &mut line).expect("an answer");
            answers.push(Self::answered(&line));
        }
        drop(stdin);
        child.wait().expect("our child");
        assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:#?}");
        Seen { way: "a server", answer: answers.remove(0), report: self.report() }
    }
}

/// Receipts without the id that every sandbox of root has for itself.
fn comparable(report: &Value) -> Value {
    let mut rows = report["receipt"].clone();
    for row in rows.as_array_mut().expect("rows") {
        if row["guarantee"] == "host-root" {
            assert!(is_root());
            row["detail"] = Value::Null;
        }
    }
    rows
}

#[test]
fn one_policy_file_is_the_same_for_a_command_a_batch_the_library_and_a_server() {
    let project = Project::new();
    let all = [project.by_command(), project.by_batch(), project.by_library(), project.by_server()];
    for seen in &all {
        let first = &all[0];
        let exit = &seen.report["exit"];
        assert_eq!((&exit["reason"], &exit["code"]), (&"exited".into(), &0.into()), "{seen:#?}");
        assert!(seen.report["policy_sha256"].as_str().is_some_and(|hash| hash.len() == 64), "{seen:#?}");
        for field in ["policy", "policy_sha256", "profile", "waived"] {
            assert_eq!(seen.report[field], first.report[field], "{field}: {}", seen.way);
        }
        assert_eq!(comparable(&seen.report), comparable(&first.report), "{}", seen.way);
        assert_eq!(seen.answer, first.answer, "{}", seen.way);
    }
    let inside = &all[0].answer;
    let outside = project.outside();
    // What it can, it can; what it cannot, it could without the policy.
    for (attempt, expected, without) in [
        ("read", "content", "content"),
        ("write", "written", "written"),
        ("secret", "Permission denied", "secret"),
        ("write data", "Read-only file system", "written"),
        ("large", "File too large", "written"),
        ("network", "Connection refused", "connected"),
        ("files", "Too many open files", "no end"),
    ] {
        let hidden = attempt == "secret" && inside[attempt] == "No such file or directory";
        assert!(inside[attempt] == expected || hidden, "{attempt}: {inside:#}");
        assert_eq!(outside[attempt], without, "control of {attempt}: {outside:#}");
    }
    assert_eq!(inside["write system"], "Read-only file system");
    assert_eq!((&inside["home"], &inside["values"]), (&json!([]), &json!(["tool", "given"])), "{inside:#}");
    assert_eq!(inside["processes"], json!(["1", "2"]));
    assert_eq!(inside["names"][0], "tool");
    assert_ne!(inside["shadow"], outside["shadow"], "control: {outside:#}");
    drop(project.neighbour);
}
