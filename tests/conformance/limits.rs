//! The limits that need no cgroup: as asked, on every process of the tree, and never raised.

use support::{Run, Scene, outside};

use crate::tools::{finish, shell_outside, text};

#[test]
fn limits_are_what_was_asked_for_and_cannot_be_raised() {
    let scene = Scene::new();
    let run = Run::new(&scene).flags(["--nofile", "77", "--stack", "2M", "--file-size", "1M"]);
    let line = "ulimit -n; ulimit -s; ulimit -f; ulimit -Hn; ulimit -Hs; ulimit -Hf; \
                sh -c 'ulimit -n'; ulimit -n 78 2>/dev/null || echo stays";
    let outcome = run.shell(line);
    // A shell counts stacks in KiB and files in blocks of 512.
    assert_eq!(outcome.stdout, "77\n2048\n2048\n77\n2048\n2048\n77\nstays\n", "{outcome:#?}");
    // Control: without the flags they are the caller's.
    let line = "ulimit -n; ulimit -s; ulimit -f";
    assert_eq!(Run::new(&scene).shell(line).stdout, shell_outside(line).stdout);
}

#[test]
fn a_file_grows_to_its_limit_and_no_further() {
    let scene = Scene::new();
    let run = |size: &str| {
        Run::new(&scene)
            .flags(["--file-size", size])
            .shell("head -c 200000 /dev/zero >/tmp/x; echo $?; wc -c </tmp/x")
    };
    // The kernel's signal for it ends the writer, not the sandbox.
    let small = run("100000");
    assert_eq!((small.status, small.stdout.as_str()), (0, "153\n100000\n"), "{small:#?}");
    assert_eq!(run("200000").stdout, "0\n200000\n");
    assert_eq!(small.row("output")["status"], "partial", "it holds for each file, and that is said");
    // Where it ends the program, the report says which limit it was.
    let ended =
        Run::new(&scene).flags(["--file-size", "100000"]).shell("exec head -c 200000 /dev/zero >/tmp/x");
    assert_eq!((ended.status, ended.field("/exit/reason").as_str()), (153, Some("signalled")), "{ended:#?}");
    assert_eq!(ended.field("/exit/exceeded/0/limit"), "file-size", "{ended:#?}");
    assert_eq!(ended.field("/exit/exceeded/0/allowed"), 100_000, "{ended:#?}");
}

#[test]
fn row_74_open_files_end_at_their_limit() {
    let scene = Scene::new();
    let script = "import resource, os\nfiles = []\ntry:\n    while len(files) < 500: files.append(os.open('/dev/null', 0))\n\
                  except OSError as error: print(error.errno)\nprint(len(files) < 40)\n";
    let outcome = Run::new(&scene).flags(["--nofile", "40"]).run(["/usr/bin/python3", "-c", script]);
    assert_eq!(outcome.stdout, format!("{}\nTrue\n", libc::EMFILE), "{outcome:#?}");
    let control = Run::new(&scene).flags(["--nofile", "1000"]).run(["/usr/bin/python3", "-c", script]);
    assert_eq!(control.stdout, "False\n", "{control:#?}");
}

#[test]
fn more_than_the_caller_may_have_is_refused_with_what_it_may() {
    let scene = Scene::new();
    let hard = shell_outside("ulimit -Hn");
    let hard: u64 = hard.answer().parse().expect("a hard limit of open files");
    let run = |count: u64| Run::new(&scene).flags(["--nofile", &count.to_string()]).shell("ulimit -n");
    run(hard + 1).expect_refusal(&["--nofile", &hard.to_string()]);
    assert_eq!(run(hard).answer(), hard.to_string());
}

#[test]
fn a_callers_own_limits_end_in_an_answer_and_never_in_silence() {
    let scene = Scene::new();
    let under = |limit: &str, flags: &[&str]| {
        let wrapper = ["/bin/sh", "-c", &format!("ulimit {limit}; exec \"$@\""), "sh"];
        let command = Run::new(&scene).through(wrapper).flags(flags).command(["/bin/echo", "ran"]);
        let outcome = finish(command);
        let refused = outcome.status == 125 && outcome.stderr.starts_with("ringfence: ");
        assert!(
            refused || (outcome.status, outcome.stdout.as_str()) == (0, "ran\n"),
            "ulimit {limit}: {outcome:#?}"
        );
        outcome
    };
    // Files of no size, few open files, few processes, little memory to lock, no core.
    for limit in ["-f 0", "-f 1", "-n 6", "-n 8", "-n 10", "-n 12", "-n 16", "-u 1", "-l 0", "-c 0", "-t 5"] {
        under(limit, &[]);
    }
    // A folder may cost an open file; then it is the limit that is named, not the folder.
    let folders: Vec<String> =
        (0..60).map(|number| text(&scene.folder(&format!("many/{number}"))).to_owned()).collect();
    let flags: Vec<&str> = folders.iter().flat_map(|folder| ["--ro", folder.as_str()]).collect();
    let outcome = under("-n 64", &flags);
    assert!(outcome.status == 0 || outcome.stderr.contains("ulimit -n"), "{outcome:#?}");
    // Control: a limit that is wide enough changes nothing.
    assert_eq!(under("-n 512", &flags).status, 0);
}

#[test]
fn no_core_file_is_written_and_no_core_handler_runs() {
    let scene = Scene::new();
    // 1, not 0: a piped handler of the host runs for 0 (core(5), fs/coredump.c).
    let outcome = Run::new(&scene).probe(["read", "/proc/self/limits"]);
    let core =
        outcome.stdout.lines().find(|line| line.starts_with("Max core file size")).expect("a line of it");
    let numbers: Vec<_> = core.split_whitespace().skip(4).take(2).collect();
    assert_eq!(numbers, ["1", "1"], "{core}");
    let crashed = Run::new(&scene).flags(["-p", "build"]).shell("ls -A; sh -c 'kill -SEGV $$'; ls -A");
    assert_eq!(crashed.stdout, "", "{crashed:#?}");
    assert!(outside(["read", "/proc/self/limits"]).stdout.contains("Max core file size"));
}
