//! Beside a shell: a run in the background leaves the shell its keys and its settings.

use crate::screen::{marker, on_a_screen, state};

#[test]
fn row_106_a_background_run_neither_reads_nor_switches_the_shells_terminal() {
    on_a_screen("row 106", |screen| {
        let before = screen.settings();
        let word = marker();
        let inside = format!(
            "stty -echo raw; read line; echo go\"\"t: $line; stty sane; sleep {word} & read line; echo then: $line"
        );
        screen.scene.file("here/read", &inside);
        screen.line(&format!("set -b; $RF run -- bash read {word} &"));
        // It waits for input by now.
        let run = screen.process("ringfence-under-test", &word);
        for number in 0..5 {
            assert_eq!(
                screen.answer(&format!("echo {number}")),
                format!("{number}\n"),
                "the shell hears every key"
            );
            assert_eq!(screen.settings(), before);
        }
        assert!(state(run).is_some_and(|state| state != 'T'), "it is not stopped for the terminal's sake");
        assert!(!screen.text().contains("got:"), "{}", screen.text());
        screen.line("fg");
        screen.wait_raw();
        screen.type_text("for the program\n");
        screen.wait_for("got: for the program");
        screen.process("sleep", &word);
        screen.line("and this");
        screen.wait_for("then: and this");
        screen.wait_for_shell();
        assert_eq!(screen.settings(), before);
        // Control: without a terminal of its own a program has the shell's, whatever group or session it is in.
        screen.clear();
        screen.line("setsid -w stty -echo");
        screen.wait_until("the shell's settings have changed", |_| screen.settings() != before);
    });
}

#[test]
fn what_a_background_run_prints_arrives() {
    on_a_screen("output in the background", |screen| {
        let before = screen.settings();
        screen.line("$RF run -- sh -c 'for n in 1 2 3; do echo fro\"\"m behind $n; done; tty; exit 3' & wait $!; echo status $?");
        screen.wait_for_line("from behind 3");
        screen.wait_for_line("/dev/pts/0");
        screen.wait_for_line("status 3");
        assert_eq!(screen.settings(), before);
    });
}

#[test]
fn a_run_whose_output_is_piped_leaves_the_keys_to_who_reads_it() {
    if crate::screen::lacks("a pipe to less", "less") {
        return;
    }
    on_a_screen("a pipe to less", |screen| {
        let before = screen.settings();
        screen.line("$RF run -- sh -c 'seq 1000; exec sleep 1' | less");
        screen.wait_for_line("5");
        screen.type_text("G");
        screen.wait_for_line("1000");
        screen.type_text("1G");
        screen.wait_for_line("1");
        screen.type_text("q");
        screen.wait_for_shell();
        assert_eq!(screen.settings(), before);
        // One that asks for the keys has them.
        screen.clear();
        screen
            .line("$RF run -- sh -c 'read line; echo go\"\"t $line; test -t 1 || echo no'' terminal' | cat");
        screen.wait_raw();
        screen.line("what is typed");
        // What is typed is shown by ringfence, what is printed by cat: each when it comes.
        screen.wait_for("got what is typed");
        screen.wait_for("no terminal");
        screen.wait_for_shell();
        assert_eq!(screen.settings(), before);
    });
}
