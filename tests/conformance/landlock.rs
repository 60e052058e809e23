//! Landlock under the mounts: an ordinary program does not notice it, and the receipt says where it is.

use std::path::Path;

use ringfence::Policy;
use ringfence::policy::{Access, BindSpec};
use ringfence_linux::{Host, Plan, Request, Streams, launch, plan, resolve};
use support::{Outcome, Run, Scene, landlock_abi, not_reachable, with_landlock_answering, without_landlock};

use crate::tools::text;

/// What ordinary programs do.
const ORDINARY: &str = include_str!("ordinary.py");

#[test]
fn an_ordinary_program_does_not_notice_it() {
    let scene = Scene::new();
    let run = |wrapper: Vec<std::ffi::OsString>, name: &str| {
        let folder = scene.folder(name);
        let script = scene.file("script.py", ORDINARY);
        let run = Run::new(&scene).through(wrapper).flag("--rw").flag(&folder).flag("--ro").flag(&script);
        let outcome = run.run(["/usr/bin/python3", text(&script), text(&folder)]);
        assert_eq!(outcome.status, 0, "{outcome:#?}");
        outcome.stdout
    };
    let (with, without) = (run(Vec::new(), "with"), run(without_landlock(), "without"));
    // What nobody may make is refused a moment earlier.
    assert_eq!(with.replace("device EACCES", "device EPERM"), without);
    // Control: the program did these things.
    for done in [
        "nameless file ok",
        "rename a folder to another ok",
        "/tmp/execute ok",
        "message queue ok",
        "/etc/x EROFS",
    ] {
        assert!(with.contains(done), "{done}: {with}");
    }
}

fn layers<'a>(outcome: &'a Outcome, guarantee: &str) -> Vec<&'a str> {
    let row = outcome.row(guarantee)["layers"].as_array().unwrap_or_else(|| panic!("{outcome:#?}"));
    row.iter().filter_map(|layer| layer.as_str()).collect()
}

#[test]
fn the_receipt_names_it_where_it_is() {
    let scene = Scene::new();
    let with = Run::new(&scene).run(["/bin/true"]);
    for (guarantee, first) in [("files", 2), ("devices", 2), ("processes", 6), ("ipc", 6)] {
        let there = landlock_abi().is_some_and(|abi| abi >= first);
        assert_eq!(layers(&with, guarantee).contains(&"landlock"), there, "{guarantee}: {with:#?}");
    }
    // A host without it: what was promised holds, by the mounts alone, and the receipt does not say otherwise.
    for errno in [libc::ENOSYS, libc::EOPNOTSUPP, libc::EPERM] {
        let without =
            Run::new(&scene).through(with_landlock_answering("444", "446", errno)).run(["/bin/true"]);
        assert_eq!(without.status, 0, "{without:#?}");
        assert_eq!(without.row("files")["status"], "enforced");
        let text = without.report.as_ref().map(ToString::to_string).unwrap_or_default();
        assert!(!text.contains("landlock"), "{text}");
    }
}

#[test]
fn a_host_that_contradicts_itself_is_refused() {
    if landlock_abi().is_none() {
        return not_reachable("a lie about Landlock", "this kernel has none");
    }
    let scene = Scene::new();
    // One faked answer does not switch the layer off.
    let faked = |first, last, errno| {
        Run::new(&scene).through(with_landlock_answering(first, last, errno)).run(["/bin/true"])
    };
    faked("444", "444", libc::ENOSYS).expect_refusal(&["ENOSYS", "landlock_add_rule EBADF"]);
    faked("444", "444", libc::EPERM).expect_refusal(&["EPERM", "landlock_add_rule EBADF"]);
    // "Success" of everything: there is no ABI 0.
    faked("444", "446", 0).expect_refusal(&["ABI 0"]);
    faked("445", "445", libc::ENOMEM).expect_refusal(&["ENOMEM", "allow by Landlock, in message queues"]);
    // The restriction that was reported and is not there.
    faked("446", "446", 0).expect_refusal(&["Landlock does not restrict"]);
    faked("446", "446", libc::E2BIG).expect_refusal(&["E2BIG", "16 sandboxes of Landlock"]);
}

/// A plan of a shell's line for a host whose Landlock has this ABI.
fn planned(scene: &Scene, abi: Option<u32>, policy: &Policy, line: &str) -> Plan {
    let request = Request {
        command: ["/bin/sh", "-c", line].map(Into::into).into(),
        directory: scene.path("here"),
        environment: [("PATH".into(), "/usr/bin:/bin".into())].into(),
        home: scene.home(),
        passed: Vec::new(),
        hidden: Vec::new(),
        terminal: None,
        instead: None,
    };
    let mut host = Host::read().unwrap();
    host.landlock = abi;
    let resolved = resolve(policy, &request, &host).unwrap();
    plan(policy, &resolved, &host, 7).unwrap()
}

#[test]
fn every_abi_is_a_layer_of_its_own() {
    let scene = Scene::new();
    let work = scene.folder("work");
    let policy = Policy::builtin("default").unwrap().rw(&work);
    // A signal to PID 1 tells the scope, a device the rest.
    let line = format!(
        "cd {} && mkdir a b && echo x >a/f && mv a/f b/g && : >b/g && test -w /dev/null && echo >/dev/null && rm -r a b && \
         ! mknod /tmp/n c 1 3 2>/dev/null && if kill -0 1 2>/dev/null; then exit 8; else exit 9; fi",
        text(&work)
    );
    let mut tried = 0;
    for abi in (2..=12).filter(|abi| landlock_abi().is_some_and(|own| *abi <= own)) {
        let mut running = launch(planned(&scene, Some(abi), &policy, &line), Streams::default(), 0).unwrap();
        let ending = running.wait(None);
        let exit = format!("{:?}", ending.exit);
        assert!(exit.contains(if abi < 6 { "8" } else { "9" }), "ABI {abi}: {exit} {:?}", ending.error);
        tried += 1;
    }
    if tried == 0 {
        not_reachable("ABIs of Landlock", "this kernel has none");
    }
}

/// What the rules allow, path by path, as the plan prints them.
fn rules(lines: &[String]) -> Vec<(&str, &str)> {
    let rules = lines.iter().filter_map(|line| line.strip_prefix("allow by Landlock, in ")?.split_once(": "));
    rules.filter(|(path, _)| path.starts_with('/')).collect()
}

/// A policy that shows a folder at /shown, writable: below nothing else that is.
fn with_work(scene: &Scene) -> Policy {
    let (source, destination) = (scene.folder("work"), "/shown".into());
    Policy::builtin("default").unwrap().bind(BindSpec { source, destination, access: Access::Write })
}

#[test]
fn the_plan_prints_its_rules() {
    let scene = Scene::new();
    let lines = |abi| planned(&scene, abi, &with_work(&scene), "true").lines();
    let seven = lines(Some(7));
    let change = "write, make and remove, move";
    // What every sandbox has, and the one folder: what is only read needs no rule of its own, nor does what stands in
    // another writable folder (here the home, in /tmp).
    let expected = [
        ("/", "read, execute"),
        ("/dev", "write, control"),
        ("/dev/shm", change),
        ("/proc", "write"),
        ("/shown", change),
        ("/tmp", change),
        ("/var/tmp", change),
    ];
    assert_eq!(rules(&seven), expected);
    let at = |words: &str| {
        seven.iter().position(|line| line.starts_with(words)).unwrap_or_else(|| panic!("{words}: {seven:#?}"))
    };
    assert!(at("restrict files by Landlock (ABI 7, 7 rules)") < at("filter system calls"));
    assert!(at("set no_new_privs") < at("restrict files by Landlock"));
    assert!(!lines(None).iter().any(|line| line.contains("Landlock")));
}

#[test]
fn a_program_restricts_itself_further() {
    if landlock_abi().is_none() {
        return not_reachable("a program's own Landlock", "this kernel has none");
    }
    let scene = Scene::new();
    // The kernel takes 16 layers (landlock(7)), and ours is one.
    Run::new(&scene).probe(["own-layers"]).expect(&["15 E2BIG"]);
    Run::new(&scene).through(without_landlock()).probe(["own-layers"]).expect(&["0 ENOSYS"]);
}

#[test]
fn named_commands_are_all_that_landlock_lets_execute() {
    let scene = Scene::new();
    let mut policy = with_work(&scene);
    policy.filesystem.commands = ["sh", "true"].map(Into::into).into();
    let lines = planned(&scene, Some(7), &policy, "true").lines();
    let executes = |path: &str| {
        let above = rules(&lines).into_iter().filter(|(at, _)| Path::new(path).starts_with(at));
        above.fold(false, |executes, (_, rights)| executes || rights.contains("execute"))
    };
    for path in ["/", "/shown/x", "/tmp/x", "/dev/shm/x", "/var/tmp/x", "/proc/x"] {
        assert!(!executes(path), "{path}: {lines:#?}");
    }
    // Libraries, the named programs, and what the caller shows to be read.
    let here = scene.path("here");
    assert!(executes("/usr/lib/x") && executes("/usr/bin/true") && executes(text(&here)), "{lines:#?}");
}
