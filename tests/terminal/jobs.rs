//! Keys that are signals: control-C, control-backslash, control-Z, and the jobs of the shells on both sides.

use std::time::Instant;

use crate::screen::{marker, on_a_screen, process, state};

#[test]
fn control_c_and_control_backslash_are_for_the_program() {
    on_a_screen("control-C", |screen| {
        let before = screen.settings();
        screen.scene.file(
            "here/catch",
            "trap 'echo ca\"\"ught INT' INT; trap 'echo ca\"\"ught QUIT; exit 9' QUIT; echo re\"\"ady\n\
             while :; do sleep 0.05; done\n",
        );
        screen.line("$RF run --report $OUT/report -- bash catch; echo status $?");
        screen.wait_for_line("ready");
        screen.key("C-c");
        // What the key looks like is printed before.
        screen.wait_until("INT", |text| text.contains("caught INT"));
        screen.key("C-\\");
        screen.wait_until("QUIT", |text| text.contains("caught QUIT"));
        screen.wait_for_line("status 9");
        let report = std::fs::read_to_string(screen.scene.outside_path("report")).unwrap();
        assert!(report.contains(r#""reason": "exited""#), "nobody asked for the end: {report}");
        // One that catches nothing ends by it, as outside.
        screen.clear();
        let (word, started) = (marker(), Instant::now());
        screen.line(&format!("$RF run -- sleep {word}; echo status $?"));
        screen.process("sleep", &word);
        screen.key("C-c");
        screen.wait_for_line("status 130");
        assert!(started.elapsed().as_secs() < 1000, "it slept to its end");
        assert_eq!(screen.settings(), before);
    });
}

#[test]
fn control_z_stops_everything_and_fg_and_bg_go_on() {
    on_a_screen("control-Z", |screen| {
        let before = screen.settings();
        let (one, two) = (marker(), marker());
        // One in its group, one that has left even its session.
        screen.line(&format!("$RF run -- sh -c 'setsid -f sleep {two}; sleep {one}; echo e\"\"nded'"));
        let (one, two) = (screen.process("sleep", &one), screen.process("sleep", &two));
        screen.key("C-z");
        screen.wait_for("Stopped");
        assert_eq!(screen.settings(), before, "the shell has its own settings");
        screen.wait_until("both are stopped", |_| [one, two].map(state) == [Some('T'); 2]);
        screen.line("fg");
        screen.wait_until("both go on", |_| [one, two].map(state) == [Some('S'); 2]);
        screen.key("C-z");
        screen.wait_until("stopped again", |text| text.matches("Stopped").count() == 2);
        screen.wait_until("both are stopped", |_| [one, two].map(state) == [Some('T'); 2]);
        screen.clear();
        screen.line("bg");
        screen.wait_until("both go on", |_| [one, two].map(state) == [Some('S'); 2]);
        assert_eq!(screen.run("true"), 0, "what is typed is the shell's");
        assert_eq!(screen.settings(), before);
        screen.line("fg");
        screen.wait_raw();
        screen.key("C-c");
        screen.wait_for_shell();
        screen.wait_until("nothing is left", |_| [one, two].map(state) == [None; 2]);
        assert_eq!(screen.settings(), before);
    });
}

#[test]
fn a_program_that_stops_itself_is_drawn_again() {
    if crate::screen::lacks("vim stopped", "vim") {
        return;
    }
    on_a_screen("vim stopped", |screen| {
        let before = screen.settings();
        screen.scene.file("here/file", "only line\n");
        screen.line("$RF run --rw . -- vim -u NONE -i NONE -n --cmd 'set ruler' file");
        screen.wait_for("1,1");
        screen.key("C-z");
        screen.wait_for("Stopped");
        assert_eq!(screen.settings(), before);
        screen.clear();
        screen.resize(60, 12);
        screen.line("fg");
        screen.wait_until("it is drawn again, in the new size", |text| {
            text.lines().next() == Some("only line")
                && text.trim_end().lines().count() == 12
                && text.contains("1,1")
        });
        screen.type_text("Achanged");
        screen.key("Escape");
        screen.line(":wq");
        screen.wait_for_shell();
        assert_eq!(std::fs::read_to_string(screen.scene.path("here/file")).unwrap(), "only linechanged\n");
        assert_eq!(screen.settings(), before);
    });
}

#[test]
fn a_stop_does_not_put_the_deadline_off() {
    on_a_screen("a stop and the deadline", |screen| {
        let before = screen.settings();
        let word = marker();
        screen.line(&format!("$RF run --timeout 2s --grace 100ms -- sleep {word}"));
        let program = screen.process("sleep", &word);
        screen.key("C-z");
        screen.wait_for("Stopped");
        screen.wait_until("it is ended while all is stopped", |_| state(program).is_none());
        assert!(process("sleep", &word).is_none());
        screen.clear();
        assert_eq!(screen.run("fg"), 124);
        assert_eq!(screen.settings(), before);
    });
}

#[test]
fn a_shell_inside_has_jobs_of_its_own() {
    on_a_screen("jobs inside", |screen| {
        let before = screen.settings();
        let word = marker();
        screen.line("$RF run -- bash --norc --noprofile");
        screen.wait_for("bash-");
        screen.line("PS1='inner> '");
        screen.line(&format!("sleep {word}"));
        let program = screen.process("sleep", &word);
        screen.key("C-z");
        screen.wait_for("Stopped");
        screen.wait_until("it is stopped", |_| state(program) == Some('T'));
        screen.line("clear; jobs; echo inner she'll' goes on");
        screen.wait_for_line("inner shell goes on");
        screen.line("bg");
        screen.wait_until("it goes on", |_| state(program) == Some('S'));
        screen.line("fg");
        screen.wait_until("the line of the job", |text| text.matches(&format!("sleep {word}")).count() >= 3);
        screen.key("C-c");
        screen.wait_until("it has ended", |_| state(program).is_none());
        screen.line("exit");
        screen.wait_for_shell();
        assert_eq!(screen.settings(), before);
    });
}

#[test]
fn a_stop_from_outside_stops_and_goes_on() {
    on_a_screen("SIGTSTP and SIGSTOP from outside", |screen| {
        let before = screen.settings();
        let word = marker();
        screen.line(&format!("$RF run -- sleep {word}"));
        let (program, run) = (screen.process("sleep", &word), screen.process("ringfence-under-test", &word));
        for (signal, state_of_program) in [(libc::SIGTSTP, 'T'), (libc::SIGSTOP, 'S')] {
            // SAFETY: no pointers; the process is one that this test started.
            assert_eq!(unsafe { libc::kill(run, signal) }, 0);
            screen.wait_for("Stopped");
            screen.wait_until("what is inside", |_| state(program) == Some(state_of_program));
            assert_eq!(screen.settings(), before, "signal {signal}");
            screen.clear();
            screen.line("fg");
            screen.wait_until("it goes on", |_| state(program) == Some('S') && state(run) == Some('S'));
        }
        screen.wait_raw();
        screen.key("C-c");
        screen.wait_for_shell();
        assert_eq!(screen.settings(), before);
    });
}
