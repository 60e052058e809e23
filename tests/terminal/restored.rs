//! However a run ends, the shell has its terminal back as it was.

use crate::screen::{Screen, marker, on_a_screen, state};

/// A program that takes the terminal as far from usual as it can, in its own way.
const WILD: &str = "stty raw -echo -onlcr; printf '\\033[?25l'";

/// Runs a line, waits for its status, and compares the settings.
#[track_caller]
fn check(screen: &Screen, line: &str, status: i32, before: &str) {
    assert_eq!(screen.run(line), status, "{line}: {}", screen.text());
    assert_eq!(screen.settings(), before, "{line}");
    screen.clear();
}

#[test]
fn after_every_ending_of_the_program() {
    on_a_screen("endings of the program", |screen| {
        let before = screen.settings();
        for (flags, line, status) in [
            ("", format!("sh -c '{WILD}'"), 0),
            ("", format!("sh -c '{WILD}; exit 3'"), 3),
            ("", format!("sh -c '{WILD}; kill -KILL $$'"), 137),
            ("", format!("sh -c '{WILD}; kill -SEGV $$'"), 139),
            ("--timeout 300ms --grace 100ms", format!("sh -c '{WILD}; sleep 1000'"), 124),
            ("--output-limit 10k:kill", format!("sh -c '{WILD}; yes'"), 153),
            ("", "/nowhere/program".to_owned(), 127),
            ("--ro /nowhere", "true".to_owned(), 125),
        ] {
            check(screen, &format!("$RF run {flags} -- {line}"), status, &before);
        }
        // The set-up fails when the terminal is taken already: a file with a #! line that leads nowhere.
        screen.scene.file("here/odd", "no program\n");
        check(screen, "chmod +x odd; $RF run -- ./odd", 126, &before);
        // It still takes a line as a person types it.
        screen.line("read -p 'name? ' name; echo hello, $name");
        screen.wait_for_line("name?");
        screen.line("somebody");
        screen.wait_for_line("hello, somebody");
    });
}

#[test]
fn after_every_signal_to_ringfence() {
    on_a_screen("signals to ringfence", |screen| {
        let before = screen.settings();
        for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGQUIT] {
            let word = marker();
            screen.line(&format!(
                "$RF run --grace 100ms -- sh -c '{WILD}; trap \"\" TERM INT HUP QUIT; sleep {word}' {word}"
            ));
            let run = screen.process("ringfence-under-test", &word);
            let program = screen.process("sleep", &word);
            // SAFETY: no pointers; the process is one that this test started.
            assert_eq!(unsafe { libc::kill(run, signal) }, 0);
            screen.wait_until("it has ended", |_| state(run).is_none() && state(program).is_none());
            assert_eq!(screen.settings(), before, "signal {signal}");
            screen.clear();
        }
    });
}

#[test]
fn after_pid_1_is_killed_and_after_a_panic() {
    on_a_screen("PID 1 killed, a panic", |screen| {
        let before = screen.settings();
        let word = marker();
        screen.line(&format!("$RF run -- sh -c '{WILD}; sleep {word}'; echo status $?"));
        let program = screen.process("sleep", &word);
        let init = parent(parent(program));
        // SAFETY: no pointers; the process is one that this test started.
        assert_eq!(unsafe { libc::kill(init, libc::SIGKILL) }, 0);
        screen.wait_for_line("status 125");
        assert_eq!(screen.settings(), before);
        screen.clear();
        // 101 is what a panic that unwinds leaves.
        assert_eq!(screen.run("$CALLER panic-on-a-terminal"), 101);
        assert!(screen.text().contains("as it was told to"), "{}", screen.text());
        assert_eq!(screen.settings(), before);
    });
}

fn parent(process: i32) -> i32 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("it lives");
    let line = status.lines().find_map(|line| line.strip_prefix("PPid:")).expect("it has a parent");
    line.trim().parse().expect("a number")
}
