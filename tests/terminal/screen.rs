//! A terminal with a shell on it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use support::{Scene, caller, not_reachable, ringfence};

/// No key takes longer to have its effect, on a machine with much else to do.
const LONGEST: Duration = Duration::from_secs(60);

/// What the shell says before each command.
pub(crate) const PROMPT: &str = "outer>";

/// A window of tmux, with a shell (`bash`), in a scene of its own. Gone when dropped.
pub(crate) struct Screen {
    pub(crate) scene: Scene,
    socket: PathBuf,
}

/// Runs a test on as many terminals as are asked for, one after another.
pub(crate) fn on_a_screen(test: &str, mut run: impl FnMut(&Screen)) {
    if !is_there("tmux") || !is_there("bash") {
        // Where everything must be checked nothing is left out.
        assert!(std::env::var_os("CI").is_none(), "{test} needs tmux and bash");
        return not_reachable(test, "tmux or bash is not installed");
    }
    let rounds =
        std::env::var("RINGFENCE_TERMINAL_ROUNDS").map_or(1, |rounds| rounds.parse().expect("a number"));
    for _ in 0..rounds {
        run(&Screen::open());
    }
}

/// Says that a program is missing; a failure where everything must be checked.
pub(crate) fn lacks(test: &str, program: &str) -> bool {
    let lacks = !is_there(program);
    if lacks {
        assert!(std::env::var_os("CI").is_none(), "{test} needs {program}");
        not_reachable(test, &format!("{program} is not installed"));
    }
    lacks
}

fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

impl Screen {
    fn open() -> Self {
        let scene = Scene::new();
        let screen = Self { socket: scene.outside_path("tmux"), scene };
        let mut line = vec!["env".to_owned(), "-i".to_owned()];
        let text = |path: PathBuf| path.display().to_string();
        let home = screen.scene.home();
        for (name, value) in [
            ("PS1", format!("{PROMPT} ")),
            ("PATH", "/usr/bin:/bin:/usr/sbin:/sbin".to_owned()),
            ("TERM", "screen".to_owned()),
            ("LANG", "C.UTF-8".to_owned()),
            ("HOME", text(home)),
            ("RF", text(ringfence())),
            ("CALLER", text(caller())),
            ("OUT", text(screen.scene.folder("outside"))),
            ("RINGFENCE_RUNTIME_DIR", text(screen.scene.runtime())),
        ] {
            line.push(format!("{name}={value}"));
        }
        line.extend(["bash", "--norc", "--noprofile", "-i"].map(str::to_owned));
        let here = text(screen.scene.path("here"));
        let mut words = vec!["new-session", "-d", "-x", "80", "-y", "24", "-c", here.as_str(), "--"];
        words.extend(line.iter().map(String::as_str));
        screen.tmux(&words);
        screen.wait_until("the shell is there", |text| text.contains(PROMPT));
        screen
    }

    /// Has tmux do something; what it prints.
    pub(crate) fn tmux(&self, words: &[&str]) -> String {
        let mut command = Command::new("tmux");
        command.arg("-S").arg(&self.socket).args(["-f", "/dev/null"]).args(words);
        let output = command.env_remove("TMUX").output().expect("tmux runs");
        assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Types letters.
    pub(crate) fn type_text(&self, text: &str) {
        self.tmux(&["send-keys", "-l", "--", text]);
    }

    /// Types keys by their names (tmux(1)).
    pub(crate) fn key(&self, name: &str) {
        self.tmux(&["send-keys", "--", name]);
    }

    /// Types a line.
    pub(crate) fn line(&self, text: &str) {
        self.type_text(text);
        self.key("Enter");
    }

    /// What is to be seen.
    pub(crate) fn text(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    /// Looks until something holds.
    #[track_caller]
    pub(crate) fn wait_until(&self, what: &str, mut holds: impl FnMut(&str) -> bool) -> String {
        let end = Instant::now() + LONGEST;
        loop {
            let text = self.text();
            if holds(&text) {
                return text;
            }
            assert!(Instant::now() < end, "{what}: not in {LONGEST:?}:\n{text}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Looks until a line is there, all of it: what is typed is on the screen too.
    #[track_caller]
    pub(crate) fn wait_for_line(&self, line: &str) -> String {
        self.wait_until(&format!("the line `{line}`"), |text| {
            text.lines().any(|seen| seen.trim_end() == line)
        })
    }

    /// Looks until a text is there.
    #[track_caller]
    pub(crate) fn wait_for(&self, part: &str) -> String {
        self.wait_until(&format!("`{part}`"), |text| text.contains(part))
    }

    /// Looks until the shell waits for a command, below nothing else.
    #[track_caller]
    pub(crate) fn wait_for_shell(&self) -> String {
        self.wait_until("the shell has its terminal back", |text| {
            text.trim_end().lines().last().is_some_and(|line| line.trim_end() == PROMPT)
        })
    }

    /// Runs a command of the shell to its end. Answers its status.
    #[track_caller]
    pub(crate) fn run(&self, command: &str) -> i32 {
        let file = self.scene.outside_path("status");
        let _not_there_yet = std::fs::remove_file(&file);
        self.line(&format!("{command}; echo $? >$OUT/status"));
        self.read_when_written("status").trim().parse().expect("a status")
    }

    /// What a command of the shell prints to a file.
    #[track_caller]
    pub(crate) fn answer(&self, command: &str) -> String {
        let file = self.scene.outside_path("answer");
        let _not_there_yet = std::fs::remove_file(&file);
        self.line(&format!("{command} >$OUT/answer"));
        self.read_when_written("answer")
    }

    /// A file of the scene's `outside`, once it ends with a line.
    #[track_caller]
    pub(crate) fn read_when_written(&self, name: &str) -> String {
        let mut content = String::new();
        self.wait_until(&format!("the file `{name}`"), |_| {
            content = std::fs::read_to_string(self.scene.outside_path(name)).unwrap_or_default();
            content.ends_with('\n')
        });
        content
    }

    /// The settings of the terminal, as the shell's commands find them.
    #[track_caller]
    pub(crate) fn settings(&self) -> String {
        self.answer("stty -g")
    }

    #[track_caller]
    pub(crate) fn clear(&self) {
        self.line("clear");
        self.wait_until("an empty screen", |text| text.trim_end() == PROMPT);
    }

    /// Looks until the terminal is in raw mode: whoever has it gets every key.
    #[track_caller]
    pub(crate) fn wait_raw(&self) {
        let path = self.tmux(&["display-message", "-p", "#{pane_tty}"]);
        self.wait_until("raw mode", |_| {
            let settings = Command::new("stty").args(["-a", "-F", path.trim()]).output().expect("stty runs");
            String::from_utf8_lossy(&settings.stdout).split_whitespace().any(|word| word == "-isig")
        });
    }

    /// Makes the window another size.
    pub(crate) fn resize(&self, columns: u32, rows: u32) {
        self.tmux(&["resize-window", "-x", &columns.to_string(), "-y", &rows.to_string()]);
    }

    /// The number, on this host, of the process whose command line has this word, once there is one.
    #[track_caller]
    pub(crate) fn process(&self, program: &str, word: &str) -> i32 {
        let mut found = None;
        self.wait_until(&format!("the process {program} {word}"), |_| {
            found = process(program, word);
            found.is_some()
        });
        found.expect("it was just found")
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let mut command = Command::new("tmux");
        command.arg("-S").arg(&self.socket).arg("kill-server").env_remove("TMUX");
        let _it_may_have_gone = command.output();
    }
}

/// The process of a program that has this word in its command line.
pub(crate) fn process(program: &str, word: &str) -> Option<i32> {
    let of_word = |entry: std::fs::DirEntry| {
        let id: i32 = entry.file_name().to_str()?.parse().ok()?;
        let line = std::fs::read(entry.path().join("cmdline")).ok()?;
        let words: Vec<_> = line.split(|byte| *byte == 0).collect();
        let name = Path::new(std::str::from_utf8(words[0]).ok()?).file_name()?;
        (name == program && words.contains(&word.as_bytes())).then_some(id)
    };
    std::fs::read_dir("/proc").expect("there is a proc").flatten().find_map(of_word)
}

/// The state of a process: the letter of proc_pid_stat(5).
pub(crate) fn state(process: i32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    stat.rsplit(") ").next()?.chars().next()
}

/// A number that no other test's process has in its command line.
pub(crate) fn marker() -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{}.{:04}7", 1000 + std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}
