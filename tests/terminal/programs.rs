//! Programs that want a whole screen look and work inside as they do outside.

use crate::screen::{PROMPT, Screen, lacks, on_a_screen};

#[test]
fn a_shell_inside_has_a_terminal_of_its_own() {
    on_a_screen("a shell inside", |screen| {
        let before = screen.settings();
        screen.line("$RF run -- bash --norc --noprofile; echo status $?");
        screen.wait_for("bash-");
        screen.line("PS1='inner> '; tty; test -t 0 -a -t 1 -a -t 2 && echo a'll' three");
        screen.wait_for_line("/dev/pts/0");
        screen.wait_for_line("all three");
        screen.line("echo through /dev/'tty' >/dev/tty; ps -o tty= -o stat= -p $$ | tr -d 'N<'");
        screen.wait_for_line("through /dev/tty");
        // It leads a group in a session of PID 1's, and is not the leader of the session (`s`); how nice it is depends on
        // who runs this.
        screen.wait_for_line("pts/0    S");
        screen.line("read -p 'name? ' name; echo hello, $name");
        screen.wait_for_line("name?");
        screen.line("somebody");
        screen.wait_for_line("hello, somebody");
        screen.line("exit 7");
        screen.wait_for_line("status 7");
        assert_eq!(screen.settings(), before);
    });
}

/// What both ways of starting a program show, once `ready` holds.
fn both(
    screen: &Screen,
    flags: &str,
    program: &str,
    ready: impl Fn(&str) -> bool + Copy,
    leave: &[&str],
) -> [String; 2] {
    ["".to_owned(), format!("$RF run {flags} -- ")].map(|prefix| {
        screen.clear();
        screen.line(&format!("{prefix}{program}"));
        screen.wait_until(program, ready);
        let seen = settled(screen);
        leave.iter().for_each(|key| screen.key(key));
        screen.wait_for_shell();
        seen
    })
}

/// The screen, once it has been the same twice: a program draws it in several pieces.
fn settled(screen: &Screen) -> String {
    let mut last = String::new();
    screen.wait_until("the screen is still", |text| {
        let still = text == last;
        text.clone_into(&mut last);
        still
    })
}

#[test]
fn vim_looks_as_it_does_outside_edits_and_saves() {
    if lacks("vim inside", "vim") {
        return;
    }
    on_a_screen("vim inside", |screen| {
        let before = screen.settings();
        let text: String = (1..60).map(|line| format!("line {line} of sixty\n")).collect();
        let file = screen.scene.file("here/file", &text);
        let ready = |text: &str| text.contains("line 3 of sixty") && text.contains("1,1");
        let [outside, inside] = both(
            screen,
            "--rw .",
            "vim -u NONE -i NONE -n --cmd 'set ruler' file",
            ready,
            &[":", "q", "Enter"],
        );
        assert_eq!(outside, inside);
        screen.line("$RF run --rw . -- vim -u NONE -i NONE -n --cmd 'set ruler' file");
        screen.wait_until("vim", ready);
        screen.key("O");
        screen.type_text("written inside, ünïcode");
        screen.key("Escape");
        screen.wait_for("written inside, ünïcode");
        screen.line(":wq");
        screen.wait_for_shell();
        assert_eq!(std::fs::read_to_string(file).unwrap(), format!("written inside, ünïcode\n{text}"));
        assert_eq!(screen.settings(), before);
    });
}

#[test]
fn less_pages_a_file_and_a_pipe() {
    if lacks("less inside", "less") {
        return;
    }
    on_a_screen("less inside", |screen| {
        let before = screen.settings();
        let text: String = (1..200).map(|line| format!("line {line} of many\n")).collect();
        screen.scene.file("here/file", &text);
        let [outside, inside] = both(screen, "", "less file", |text| text.contains("line 3 of many"), &["q"]);
        assert_eq!(outside, inside);
        // Its input is a pipe, so it reads the keys from its terminal.
        screen.clear();
        screen.line("seq 1000 | $RF run -- less");
        screen.wait_for_line("5");
        screen.type_text(" ");
        screen.wait_for_line("40");
        screen.type_text("G");
        screen.wait_for_line("1000");
        screen.type_text("q");
        screen.wait_for_shell();
        assert_eq!(screen.settings(), before);
    });
}

#[test]
fn htop_and_top_draw_and_obey_keys() {
    if lacks("htop inside", "htop") || lacks("top inside", "top") {
        return;
    }
    on_a_screen("htop inside", |screen| {
        let before = screen.settings();
        let keys = |text: &str| text.lines().last().unwrap_or_default().trim_end().to_owned();
        let ready = |text: &str| text.contains("F1Help") && text.contains("PID");
        let [outside, inside] = both(screen, "", "htop", ready, &["q"]).map(|seen| keys(&seen));
        assert!(!outside.is_empty());
        assert_eq!(outside, inside);
        screen.clear();
        screen.line("$RF run -- htop");
        screen.wait_until("htop", ready);
        screen.key("F1");
        screen.wait_for("Released under the GNU");
        screen.key("Escape");
        screen.wait_until("htop again", ready);
        screen.key("F10");
        screen.wait_for_shell();
        screen.clear();
        screen.line("$RF run -- top");
        screen.wait_for("PID USER");
        screen.type_text("q");
        screen.wait_until("top has ended", |text| text.trim_end().ends_with(PROMPT));
        assert_eq!(screen.settings(), before);
    });
}

#[test]
fn a_window_of_another_size_is_one_inside() {
    on_a_screen("another size", |screen| {
        // bash begins a line of its own only where the signal came while it waited for a child.
        screen.scene.file(
            "here/watch",
            "trap 'stty size' WINCH; trap 'echo; exit' INT; stty size; while :; do sleep 0.1; done\n",
        );
        screen.resize(90, 20);
        screen.line("$RF run -- bash watch");
        screen.wait_for_line("20 90");
        screen.resize(101, 31);
        screen.wait_for_line("31 101");
        screen.resize(70, 15);
        screen.wait_for_line("15 70");
        screen.key("C-c");
        screen.wait_for_shell();
    });
}
