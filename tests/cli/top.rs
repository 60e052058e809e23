//! `ringfence top` on a real terminal (tmux is one): what it shows, what its keys do, and the terminal after it.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use support::{Run, Scene, not_reachable, ringfence};

use crate::tools::{call, text};

/// A terminal with a shell in it.
struct Terminal {
    socket: PathBuf,
}

impl Terminal {
    fn start(scene: &Scene, width: u32, height: u32) -> Option<Self> {
        if Command::new("tmux").arg("-V").stdout(Stdio::null()).status().is_err() {
            assert!(std::env::var_os("CI").is_none(), "tmux is missing");
            not_reachable("top", "install tmux");
            return None;
        }
        let terminal = Self { socket: scene.outside_path("tmux") };
        let (width, height) = (width.to_string(), height.to_string());
        let mut start = terminal.tmux(&["-f", "/dev/null", "new-session", "-d", "-x", &width, "-y", &height]);
        // Of a single word tmux makes a line for another shell, which would be the parent of this one.
        start.args(["-c", text(&scene.path("here")), "/bin/sh", "-i"]);
        start.env("RINGFENCE_RUNTIME_DIR", scene.runtime()).env("R", ringfence()).env("PS1", "$ ");
        start.env("HOME", scene.home()).env_remove("TMUX").env_remove("NO_COLOR").env_remove("FORCE_COLOR");
        assert!(start.status().expect("tmux runs").success());
        Some(terminal)
    }

    fn tmux(&self, words: &[&str]) -> Command {
        let mut command = Command::new("tmux");
        command.arg("-S").arg(&self.socket).args(words);
        command
    }

    fn keys(&self, keys: &[&str]) {
        assert!(self.tmux(&["send-keys"]).args(keys).status().expect("tmux runs").success());
    }

    fn shown(&self) -> String {
        let shown = self.tmux(&["capture-pane", "-p"]).output().expect("tmux runs");
        String::from_utf8(shown.stdout).expect("it is text")
    }

    /// The process that the terminal's shell has started and waits for.
    fn foreground(&self) -> i32 {
        let shell = self.tmux(&["list-panes", "-a", "-F", "#{pane_pid}"]).output().expect("tmux runs");
        let shell = String::from_utf8(shell.stdout).expect("a number");
        let children = format!("/proc/{0}/task/{0}/children", shell.trim());
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            let found = std::fs::read_to_string(&children).unwrap_or_default();
            if let [child] = found.split_whitespace().collect::<Vec<_>>().as_slice() {
                return child.parse().expect("a number");
            }
            assert!(Instant::now() < end, "shell {shell:?} has these children: {found:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    #[track_caller]
    fn wait_for(&self, what: &str) -> String {
        self.wait(what, |shown| shown.contains(what))
    }

    #[track_caller]
    fn wait(&self, what: &str, holds: impl Fn(&str) -> bool) -> String {
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            let shown = self.shown();
            if holds(&shown) {
                return shown;
            }
            assert!(Instant::now() < end, "no `{what}` on the screen: {shown}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _gone_with_its_shell_is_fine = self.tmux(&["kill-server"]).stderr(Stdio::null()).status();
    }
}

fn sleeper(scene: &Scene, name: &str) -> Child {
    let child =
        Run::new(scene).flags(["--name", name]).command(["/bin/sleep", "600"]).stderr(Stdio::null()).spawn();
    let end = Instant::now() + Duration::from_secs(60);
    let started = |list: &serde_json::Value| {
        let all = list["sandboxes"].as_array().expect("a list");
        all.iter().any(|entry| entry["name"] == name && !entry["figures"].is_null())
    };
    while !started(&serde_json::from_str(&call(scene, ["ps", "--json"]).stdout).expect("JSON")) {
        assert!(Instant::now() < end, "it does not start");
        std::thread::sleep(Duration::from_millis(10));
    }
    child.expect("it starts")
}

#[test]
fn it_shows_the_living_and_kills_the_one_that_was_confirmed() {
    let scene = Scene::new();
    let Some(terminal) = Terminal::start(&scene, 80, 24) else { return };
    let (mut one, mut two) = (sleeper(&scene, "one"), sleeper(&scene, "two"));
    terminal.keys(&["$R top; echo status $?", "Enter"]);
    let shown = terminal.wait_for("2 live sandboxes");
    assert!(shown.lines().all(|line| line.chars().count() <= 80) && shown.contains(" one "), "{shown}");
    terminal.keys(&["s", "s", "s", "s"]);
    terminal.wait_for("sort (name)");
    terminal.keys(&["Up", "Up", "Down", "k"]);
    terminal.wait_for("kill two? y");
    terminal.keys(&["n"]);
    terminal.wait_for("q quit");
    assert!(two.try_wait().unwrap().is_none(), "it was killed without a yes");
    terminal.keys(&["k"]);
    terminal.wait_for("kill two? y");
    terminal.keys(&["y"]);
    terminal.wait_for("1 live sandbox:");
    assert_eq!(two.wait().unwrap().code(), Some(137));
    assert!(one.try_wait().unwrap().is_none());
    terminal.keys(&["q"]);
    terminal.wait_for("status 0");
    one.kill().unwrap();
    one.wait().unwrap();
}

#[test]
fn the_terminal_is_as_before_on_every_way_out() {
    let scene = Scene::new();
    let Some(terminal) = Terminal::start(&scene, 30, 6) else { return };
    let mut child = sleeper(&scene, "one");
    terminal.keys(&["stty -g >before; clear", "Enter"]);
    let ways: [(&[&str], &str); 5] =
        [(&["q"], "0"), (&["Escape"], "0"), (&["C-c"], "0"), (&["TERM"], "143"), (&["HUP"], "129")];
    for (round, (keys, status)) in ways.into_iter().enumerate() {
        terminal.keys(&[&format!("$R top; echo status $? {round}; stty -g >after"), "Enter"]);
        terminal.wait_for("1 live sandbox");
        terminal.wait_for("q quit");
        match keys {
            [signal @ ("TERM" | "HUP")] => {
                let signal = if *signal == "TERM" { libc::SIGTERM } else { libc::SIGHUP };
                // SAFETY: no pointers; the terminal's own shell waits for it, so it is still this process.
                assert_eq!(unsafe { libc::kill(terminal.foreground(), signal) }, 0);
            }
            keys => terminal.keys(keys),
        }
        let shown = terminal.wait_for(&format!("status {status} {round}"));
        assert!(!shown.contains("live sandbox"), "the shell's screen is back: {shown}");
        terminal.keys(&[&format!("cmp before after && echo same {round}"), "Enter"]);
        let same = format!("same {round}");
        // The keys may be there before the prompt is.
        terminal
            .wait(&same, |shown| shown.lines().any(|line| line.trim_start_matches(['$', '#', ' ']) == same));
        terminal.keys(&["clear", "Enter"]);
    }
    // Stopped, the shell has its terminal; continued, the screen is there again.
    terminal.keys(&["$R top; stty -g >after; cmp before after && echo same", "Enter"]);
    terminal.wait_for("1 live sandbox");
    terminal.keys(&["C-z"]);
    terminal.wait_for("Stopped");
    terminal.keys(&["fg", "Enter"]);
    terminal.wait_for("1 live sandbox");
    terminal.keys(&["q"]);
    terminal.wait("the shell's screen", |shown| !shown.contains("live sandbox"));
    terminal.keys(&["clear; stty -g >after; cmp before after && echo all the same", "Enter"]);
    terminal.wait("all the same", |shown| {
        shown.lines().any(|line| line.ends_with("all the same") && !line.contains("echo"))
    });
    child.kill().unwrap();
    child.wait().unwrap();
}
