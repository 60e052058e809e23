//! `filesystem.commands`: of the system's programs only the named ones are there, and nothing that the program
//! can write is executed.

use std::path::{Path, PathBuf};

use support::{Outcome, Run, Scene, UNFILTERED};

use crate::rootfs::alpine;
use crate::tools::{executable, find_program, text};

fn profile(scene: &Scene, commands: &str) -> PathBuf {
    scene.file("files/job.json", &format!(r#"{{"filesystem": {{"commands": [{commands}]}}}}"#))
}

fn named<'a>(scene: &'a Scene, commands: &str) -> Run<'a> {
    Run::new(scene).flag("-p").flag(profile(scene, commands))
}

fn stdout(outcome: &Outcome) -> Vec<&str> {
    outcome.stdout.lines().collect()
}

/// The dynamic loader of this machine's programs.
fn loader() -> &'static str {
    let known =
        ["/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1", "/lib/ld-linux-riscv64-lp64d.so.1"];
    known.into_iter().find(|path| Path::new(path).exists()).expect("the loader of a glibc")
}

#[test]
fn only_the_named_programs_are_there_by_name_and_by_every_path() {
    let scene = Scene::new();
    let loader = loader();
    let line = format!(
        "for id in id /bin/id /usr/bin/id; do $id >/dev/null 2>&1; echo $?; done; env id >/dev/null 2>&1; echo $?; \
         {loader} /usr/bin/id >/dev/null 2>&1; echo $?; ls / >/dev/null && echo listed"
    );
    let commands = r#""sh", "ls", "env""#;
    let outcome = named(&scene, commands).shell(&line);
    assert_eq!(stdout(&outcome), ["127", "127", "127", "127", "127", "listed"], "{outcome:#?}");
    let detail = outcome.row("files")["detail"].as_str().unwrap_or_default().to_owned();
    assert!(detail.contains("of the program folders only 3 named"), "{detail}");
    // Control: without the key each of them runs.
    let outcome = Run::new(&scene).shell(&line);
    assert_eq!(stdout(&outcome), ["0", "0", "0", "0", "0", "listed"], "{outcome:#?}");
    // The kernel's own answer, by a program that the caller shows.
    named(&scene, commands).probe(["execute", "/usr/bin/id"]).expect(&["ENOENT"]);
    named(&scene, commands).probe(["write", "/usr/bin/id", "x"]).expect(&["EROFS"]);
    // All that the folders hold.
    let outcome =
        named(&scene, commands).shell("ls /bin /usr/bin /sbin /usr/sbin /usr/local/bin 2>/dev/null");
    let all: Vec<_> =
        outcome.stdout.lines().filter(|line| !line.is_empty() && !line.ends_with(':')).collect();
    assert!(all.contains(&"sh") && all.iter().all(|name| ["sh", "ls", "env"].contains(name)), "{outcome:#?}");
}

#[test]
fn a_link_that_leads_through_others_is_its_file() {
    let scene = Scene::new();
    let line = "awk 'BEGIN { print 6 * 7 }'; test -L /usr/bin/awk || echo file; echo x 2>/dev/null >/usr/bin/awk || echo held";
    let outcome = named(&scene, r#""sh", "awk""#).shell(line);
    assert_eq!(stdout(&outcome), ["42", "file", "held"], "{outcome:#?}");
    let outcome = named(&scene, r#""awk""#).run(["awk", "BEGIN { print 6 * 7 }"]);
    assert_eq!(stdout(&outcome), ["42"], "{outcome:#?}");
}

#[test]
fn nothing_that_the_program_writes_is_executed() {
    let scene = Scene::new();
    scene.folder("here/out");
    let open = |path: &str| {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(scene.path(path), std::fs::Permissions::from_mode(0o777))
            .expect("our own folder");
    };
    open("here/out");
    let out = scene.path("here/out");
    let loader = loader();
    let line = format!(
        "for at in /tmp /var/tmp /dev/shm $HOME /memory {}; do cp /bin/true $at/x && chmod 755 $at/x || echo no copy; \
         $at/x 2>/dev/null; echo $?; {loader} $at/x 2>/dev/null; echo $?; rm $at/x; done",
        text(&out)
    );
    let flags = ["--tmpfs", "/memory", "--rw", text(&out)];
    let commands = r#""sh", "cp", "chmod", "true", "rm""#;
    let outcome = named(&scene, commands).flags(flags).shell(&line);
    assert_eq!(stdout(&outcome), ["126", "127"].repeat(6), "{outcome:#?}");
    // Control: all but /dev/shm, which is no place for programs in any sandbox.
    let outcome = Run::new(&scene).flags(flags).shell(&line);
    let expected = [["0", "0"], ["0", "0"], ["126", "127"], ["0", "0"], ["0", "0"], ["0", "0"]].concat();
    assert_eq!(stdout(&outcome), expected, "{outcome:#?}");
}

#[test]
fn what_is_written_in_one_place_is_not_executed_in_another() {
    let scene = Scene::new();
    let work = scene.folder("work");
    executable(&scene, "work/tool", "#!/bin/sh\necho ran\n");
    let (here, there) = (format!("{}:/a", text(&work)), format!("{}:/b:ro", text(&work)));
    let both = ["--bind", &here, "--bind", &there];
    let line = "/b/tool 2>/dev/null; echo $?";
    let outcome = named(&scene, r#""sh""#).flags(both).shell(line);
    assert_eq!(stdout(&outcome), ["126"], "{outcome:#?}");
    // Controls: what nobody inside can write, the caller shows to be executed; and without the key.
    let outcome = named(&scene, r#""sh""#).flags(["--bind", &there]).shell(line);
    assert_eq!(stdout(&outcome), ["ran", "0"], "{outcome:#?}");
    assert_eq!(stdout(&Run::new(&scene).flags(both).shell(line)), ["ran", "0"]);
    // What the system shows cannot lose its right to be executed.
    let of_system = ["--bind", "/usr/share:/a"];
    named(&scene, r#""sh""#).flags(of_system).shell("echo ran").expect_refusal(&["`/usr` is also writable"]);
    assert_eq!(Run::new(&scene).flags(of_system).shell("echo ran").stdout, "ran\n");
    let outcome = named(&scene, r#""sh""#).flags(["--bind", "/usr/share:/a:ro"]).shell("echo ran");
    assert_eq!(outcome.stdout, "ran\n", "{outcome:#?}");
}

#[test]
fn a_memory_file_is_made_without_the_right_to_be_executed() {
    let scene = Scene::new();
    let make = |run: Run<'_>, flags: &str| run.probe(["call", "memfd_create", "text:x", flags]);
    make(named(&scene, r#""sh""#), "0").expect(&["EACCES"]);
    make(named(&scene, r#""sh""#), "1").expect(&["EACCES"]);
    // Linux before 6.3 knows no MFD_NOEXEC_SEAL.
    make(named(&scene, r#""sh""#), "8").expect(&["ok", "EINVAL"]);
    make(Run::new(&scene), "0").expect(&["ok"]);
    let waived = named(&scene, r#""sh""#).flag(UNFILTERED).shell(":");
    let row = waived.row("files");
    assert_eq!(row["status"], "partial", "{waived:#?}");
    assert!(row["detail"].as_str().is_some_and(|detail| detail.contains("memory file")), "{waived:#?}");
}

#[test]
fn the_command_and_its_interpreter_are_named_too() {
    let scene = Scene::new();
    for words in [&["id"][..], &["/usr/bin/id"], &["/bin/id"]] {
        named(&scene, r#""sh", "ls""#)
            .run(words)
            .expect_refusal(&["id` is none of the commands", "add \"id\""]);
    }
    let script = executable(&scene, "here/script", "#!/bin/sh\necho ran\n");
    let with = |commands: &str| named(&scene, commands).flag("--ro").flag(&script).run([&script]);
    with(r#""ls""#).expect_refusal(&["interpreter `/bin/sh` is none of the commands", "add \"sh\""]);
    assert_eq!(with(r#""sh""#).stdout, "ran\n");
    let script = executable(&scene, "here/by-env", "#!/usr/bin/env sh\necho ran\n");
    let with = |commands: &str| named(&scene, commands).flag("--ro").flag(&script).run([&script]);
    with(r#""sh""#).expect_refusal(&["the interpreter `/usr/bin/env`", "add \"env\""]);
    with(r#""env""#).expect_refusal(&["the interpreter `", "sh` is none of the commands"]);
    assert_eq!(with(r#""env", "sh""#).stdout, "ran\n");
}

#[test]
fn the_callers_own_word_stays() {
    let scene = Scene::new();
    let id = find_program("id").expect("every system has it");
    let outcome = named(&scene, r#""sh""#).flag("--ro").flag(&id).shell("id -u; ls 2>/dev/null; echo $?");
    assert_eq!(outcome.stdout.lines().count(), 2, "{outcome:#?}");
    assert!(outcome.stdout.ends_with("127\n"), "{outcome:#?}");
    // A profile's own word on the whole folder does not bring back what it takes away.
    let wide = scene.file("files/wide.json", r#"{"filesystem": {"read": ["/usr"], "commands": ["sh"]}}"#);
    let outcome = Run::new(&scene).flag("-p").flag(&wide).shell("id -u 2>/dev/null; echo $?");
    assert_eq!(outcome.stdout, "127\n", "{outcome:#?}");
    let outcome =
        Run::new(&scene).flag("-p").flag(&wide).flags(["--ro", "/usr"]).shell("id -u >/dev/null; echo $?");
    assert_eq!(outcome.stdout, "0\n", "{outcome:#?}");
}

#[test]
fn a_name_that_nothing_has_is_refused() {
    let scene = Scene::new();
    named(&scene, r#""sh", "no-such-program""#)
        .shell("echo ran")
        .expect_refusal(&["names the command `no-such-program`", "take it out of the profile"]);
    named(&scene, r#""sh", "bin/ls""#).shell("echo ran").expect_refusal(&["job.json:1:", "no plain name"]);
}

#[test]
fn a_program_with_many_names_has_the_named_ones() {
    let scene = Scene::new();
    let root = alpine(&scene);
    let within = |commands: &str, words: &[&str]| {
        named(&scene, commands).from("/").flag("--rootfs").flag(&root).run(words)
    };
    let line =
        "ls / >/dev/null && echo listed; id; echo $?; test -L /bin/ls || echo file; /bin/busybox id; echo $?";
    let outcome = within(r#""sh", "ls""#, &["/bin/sh", "-c", line]);
    // The shell of one that is many programs runs those itself: by its own word, not by another file.
    assert!(outcome.stdout.starts_with("listed\n") && outcome.stdout.contains("file\n"), "{outcome:#?}");
    assert!(outcome.stdout.ends_with("127\n"), "{outcome:#?}");
    within(r#""sh""#, &["/bin/ls", "/"]).expect_refusal(&["`/bin/ls` is none of the commands"]);
    within(r#""sh""#, &["ls", "/"]).expect_refusal(&["`ls` is none of the commands"]);
    assert_eq!(within(r#""ls""#, &["/bin/ls", "/bin"]).stdout, "ls\n");
}

#[test]
fn a_denied_command_stays_hidden() {
    let scene = Scene::new();
    let outcome =
        named(&scene, r#""sh", "ls""#).flags(["--deny", "/usr/bin/ls"]).shell("ls / 2>/dev/null; echo $?");
    assert!(["126\n", "127\n"].contains(&outcome.stdout.as_str()), "{outcome:#?}");
}

#[test]
fn an_extending_profile_adds_names() {
    let scene = Scene::new();
    profile(&scene, r#""sh""#);
    let more =
        scene.file("files/more.json", r#"{"extends": "./job.json", "filesystem": {"commands": ["ls"]}}"#);
    let outcome =
        Run::new(&scene).flag("-p").flag(&more).shell("ls / >/dev/null; echo $?; id 2>/dev/null; echo $?");
    assert_eq!(outcome.stdout, "0\n127\n", "{outcome:#?}");
}

#[test]
fn the_source_documents_allowed_commands_hold() {
    let scene = Scene::new();
    let jail = |commands: &str| {
        format!(
            r#"{{"profile_name": "jail", "description": "d", "version": "1", "syscalls": {{"default_action": "allow",
                "allowed": [], "blocked": ["ptrace"]}}, "filesystem": {{{commands}}}}}"#
        )
    };
    let with = |name: &str, commands: &str, line: &str| {
        let file = scene.file(name, &jail(commands));
        Run::new(&scene).flag("-p").flag(&file).run(["sh", "-c", line])
    };
    let line = "ls / >/dev/null && echo listed; id 2>/dev/null; echo $?";
    let outcome = with("files/jail.json", r#""allowed_commands": ["sh", "ls"]"#, line);
    assert_eq!(outcome.stdout, "listed\n127\n", "{outcome:#?}");
    let outcome = with("files/all.json", "", "id >/dev/null; echo $?");
    assert_eq!(outcome.stdout, "0\n", "control: {outcome:#?}");
    with("files/no-shell.json", r#""allowed_commands": ["ls"]"#, line)
        .expect_refusal(&["sh` is none of the commands"]);
}
