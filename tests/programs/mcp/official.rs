//! With the protocol's official library of Python on both sides: its client outside, its server inside.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use support::{Scene, not_reachable, ringfence};

use super::session::{alive, left_behind, live, wait_for};

/// The system's: the library's binary parts are built for it.
const PYTHON: &str = "/usr/bin/python3";

/// Where the library is, by a variable: a test fetches nothing. Where CI runs it is there.
fn library() -> Option<PathBuf> {
    let found = std::env::var_os("RINGFENCE_TEST_MCP").map(PathBuf::from);
    if let Some(found) = found.filter(|found| found.join("mcp/client/stdio.py").is_file()) {
        return Some(found);
    }
    assert!(std::env::var_os("CI").is_none(), "RINGFENCE_TEST_MCP names no folder with the library");
    not_reachable(
        "mcp",
        "RINGFENCE_TEST_MCP names no folder with the official library: \
         python3 -m pip install --target FOLDER mcp==VERSION, with the version of .ci/run",
    );
    None
}

struct Session {
    client: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
    server: String,
}

impl Session {
    /// The client of the library with a server of it, inside or outside.
    fn start(scene: &Scene, library: &Path, ending: &str, sandboxed: bool) -> Self {
        let client = scene.file("outside/client.py", include_str!("client.py"));
        let server = scene.file("here/server.py", include_str!("server.py")).display().to_string();
        let (data, secret) = (scene.file("here/data", "content\n"), scene.file("home/secret", "secret\n"));
        let library = library.display().to_string();
        let environment = json!({ "PYTHONPATH": library, "RINGFENCE_RUNTIME_DIR": scene.runtime() });
        let variable = format!("PYTHONPATH={library}");
        let ringfence = ringfence().display().to_string();
        let sandbox = [&ringfence, "run", "-p", "mcp", "--ro", &library, "--env", &variable, "--"];
        let mut command = Command::new(PYTHON);
        command.arg(client).arg(ending).arg(environment.to_string()).args([data, secret]);
        command.args(sandbox.iter().filter(|_| sandboxed)).args([PYTHON, "-B", &server]);
        command.env("PYTHONPATH", library).env("PYTHONDONTWRITEBYTECODE", "1").env("HOME", scene.home());
        command.current_dir(scene.path("here")).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut client = command.stderr(Stdio::piped()).spawn().expect("python runs");
        let lines = BufReader::new(client.stdout.take().expect("piped")).lines();
        Self { client, lines, server }
    }

    fn next(&mut self) -> Value {
        let line = self.lines.next().and_then(Result::ok);
        let Some(line) = line else {
            let mut said = String::new();
            let mut stderr = self.client.stderr.take().expect("piped");
            std::io::Read::read_to_string(&mut stderr, &mut said).expect("it is text");
            panic!("the client ended: {said}");
        };
        serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"))
    }

    /// Initialise, list, call, and three hundred calls at once.
    fn expect(&mut self, secret: &Value) {
        assert_eq!(self.next(), "files");
        assert_eq!(self.next(), json!(["read"]));
        assert_eq!(self.next(), json!([false, "content\n"]));
        assert_eq!(self.next(), *secret);
        assert_eq!(self.next(), 300 * "content\n".len());
    }
}

#[test]
fn the_official_client_speaks_to_an_official_server_inside() {
    let Some(library) = library() else { return };
    let refused = json!([false, "refused: FileNotFoundError"]);
    for (sandboxed, secret) in [(false, json!([false, "secret\n"])), (true, refused)] {
        let scene = Scene::new();
        let mut session = Session::start(&scene, &library, "close", sandboxed);
        session.expect(&secret);
        assert_eq!(session.next(), "closed");
        assert!(session.client.wait().unwrap().success());
        wait_for("the server has ended", || alive(&session.server) == 0);
        wait_for("nothing is left behind", || live(&scene) == 0 && left_behind(&scene).is_empty());
    }
}

#[test]
fn the_official_client_killed_leaves_nothing() {
    let Some(library) = library() else { return };
    let scene = Scene::new();
    let mut session = Session::start(&scene, &library, "stay", true);
    session.expect(&json!([false, "refused: FileNotFoundError"]));
    assert_eq!(live(&scene), 1, "control: it is there");
    assert!(alive(&session.server) > 0, "control: it is there");
    session.client.kill().unwrap();
    session.client.wait().unwrap();
    wait_for("the sandbox has ended", || live(&scene) == 0);
    wait_for("no process is left", || alive(&session.server) == 0);
    wait_for("nothing is left behind", || left_behind(&scene).is_empty());
}
