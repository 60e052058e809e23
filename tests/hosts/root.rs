//! The rung of root where no user namespace can be made: every other namespace, and the program is a user of the host
//! that is not root.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};

use serde_json::{Value, json};
use support::{
    COVERED_PROC, Outcome, Run, Scene, UNFILTERED, finish, is_root, not_reachable, outside, probe, spare_user,
};

use crate::worse::Host;

const WAIVER: &str = "--allow-degraded=privileges";

/// By a filter, as an engine's.
fn host() -> Host {
    Host::worse("no user namespaces", &["no-user-namespaces"])
}

fn rooted(scene: &Scene) -> Run<'_> {
    host().run(scene).flag(WAIVER)
}

fn only_root_has_it() -> bool {
    if !is_root() {
        not_reachable("the rung of root", "this user is not root");
    }
    !is_root()
}

fn expect_rung(outcome: &Outcome) {
    assert_eq!((outcome.status, outcome.field("/rung")), (0, &"root".into()), "{outcome:#?}");
    let rows = outcome.field("/receipt").as_array().unwrap();
    let others: Vec<_> = rows.iter().filter(|row| row["guarantee"] != "privileges").collect();
    assert!(others.iter().all(|row| row["status"] == "enforced"), "{rows:#?}");
    let row = outcome.row("privileges");
    assert_eq!((&row["status"], &row["by"]), (&"partial".into(), &"verified".into()), "{row:#}");
}

#[test]
fn it_is_refused_unless_waived_and_then_the_receipt_says_what_is_not_held() {
    if only_root_has_it() {
        return;
    }
    let scene = Scene::new();
    let refused = host().run(&scene).run(["/bin/true"]);
    refused.expect_refusal(&["cannot guarantee `privileges`", "a filter of system calls", WAIVER]);
    assert_eq!((refused.field("/exit/reason"), refused.field("/rung")), (&"refused".into(), &().into()));
    // Another waiver is not this one; that one's own meaning is never "stay root" here.
    for other in ["--allow-degraded=processes", "--allow-degraded=host-root"] {
        let refused = host().run(&scene).flag(other).run(["/bin/true"]);
        refused.expect_refusal(&["cannot guarantee `privileges`"]);
    }
    let outcome = rooted(&scene).run(["/bin/true"]);
    expect_rung(&outcome);
    let detail = outcome.row("privileges")["detail"].as_str().unwrap();
    assert!(detail.contains("no user namespace around it"), "{detail}");
    let both = rooted(&scene).flag("--allow-degraded=host-root").run(["/usr/bin/id", "-u"]);
    assert_ne!(both.stdout, "0\n", "{both:#?}");
    // Control: where user namespaces can be made, the waiver changes nothing.
    let full = Run::new(&scene).flag(WAIVER).run(["/bin/true"]);
    assert_eq!(
        (full.field("/rung"), &full.row("privileges")["status"]),
        (&"full".into(), &"enforced".into())
    );
}

/// By a setting, which is not the filter of the other tests: in a user namespace that has ids to give away.
#[test]
fn a_setting_leads_there_as_a_filter_does_and_its_remedy_leads_back() {
    if only_root_has_it() {
        return;
    }
    let scene = Scene::new();
    let after = |before: &str, line: &str| {
        let worse = support::worse();
        let script = format!(
            "{before} && exec {} own-ids -- /bin/sh -c '{line} && exec \"$@\"' sh \"$@\"",
            worse.display()
        );
        Run::new(&scene).through(["unshare", "-m", "/bin/sh", "-c", &script, "sh"].map(OsString::from))
    };
    let run = |line: &str| after("true", line);
    const FORBID: &str = "echo 0 >/proc/sys/user/max_user_namespaces";
    let refused = run(FORBID).run(["/bin/true"]);
    refused.expect_refusal(&[
        "cannot guarantee `privileges`",
        "user.max_user_namespaces is 0",
        "sysctl user.max_",
        WAIVER,
    ]);
    expect_rung(&run(FORBID).flag(WAIVER).run(["/bin/true"]));
    let (status, said) = run(FORBID).doctor();
    assert_eq!(
        (status, &said["rung"], &said["waivers"]),
        (1, &"root".into(), &json!(["privileges"])),
        "{said:#}"
    );
    // A proc that is partly covered besides: both are told, one after the other, and both can be done without.
    let run_both = || after(COVERED_PROC, FORBID);
    run_both().flag(WAIVER).run(["/bin/true"]).expect_refusal(&["cannot guarantee `processes`"]);
    let outcome = run_both().flag(WAIVER).flag("--allow-degraded=processes").run(["/bin/true"]);
    assert_eq!((outcome.status, outcome.field("/rung")), (0, &"root".into()), "{outcome:#?}");
    let status = |guarantee: &str| outcome.row(guarantee)["status"].clone();
    assert_eq!((status("processes"), status("privileges")), (json!("partial"), json!("partial")));
    let (_, said) = run_both().doctor();
    assert_eq!(said["waivers"], json!(["processes", "privileges"]), "{said:#}");
    // The remedy, which is the control. Root of a container can map the ids of no folder of the host: none is shown.
    let mended = format!("{FORBID} && echo 10000 >/proc/sys/user/max_user_namespaces");
    assert_eq!(run(&mended).from("/").run(["/bin/true"]).field("/rung"), "full");
}

#[test]
fn doctor_names_the_rung_and_its_waiver() {
    if only_root_has_it() {
        return;
    }
    let scene = Scene::new();
    let (status, said) = host().run(&scene).doctor();
    assert_eq!(status, 1, "{said:#}");
    assert_eq!(
        (&said["rung"], &said["full"], &said["sandbox"]["ran"]),
        (&"root".into(), &false.into(), &true.into())
    );
    assert_eq!(said["waivers"], json!(["privileges"]), "{said:#}");
}

/// A line of a process' status inside.
fn line<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("no {name}: {text}")).split_whitespace().collect()
}

#[test]
fn the_program_and_pid_1_have_no_capability_and_an_id_that_is_not_roots() {
    if only_root_has_it() {
        return;
    }
    let scene = Scene::new();
    let outcome =
        rooted(&scene).run(["/bin/cat", "/proc/self/status", "/proc/1/status", "/proc/self/uid_map"]);
    expect_rung(&outcome);
    let (program, rest) = outcome.stdout.split_at(outcome.stdout[5..].find("Name:").unwrap() + 5);
    for status in [program, rest] {
        for set in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
            assert_eq!(line(status, set), ["0000000000000000"], "{set} {outcome:#?}");
        }
        let ids = line(status, "Uid:");
        assert!(ids.iter().all(|id| *id == ids[0] && *id != "0"), "{outcome:#?}");
        assert_eq!(
            (line(status, "NoNewPrivs:"), line(status, "Groups:")),
            (vec!["1"], vec![]),
            "{outcome:#?}"
        );
    }
    // It is no other namespace's id: the map is the host's own.
    let map = fs::read_to_string("/proc/self/uid_map").unwrap();
    assert!(rest.ends_with(&map), "{outcome:#?}");
    // Two sandboxes are two users, unless one is named.
    let who = |run: Run<'_>| run.run(["/usr/bin/id", "-u"]).stdout;
    assert_ne!(who(rooted(&scene)), who(rooted(&scene)));
    let named = spare_user().to_string();
    assert_eq!(who(rooted(&scene).flags(["--user", &named])).trim(), named);
    // Control: outside, root has capabilities.
    let own = fs::read_to_string("/proc/self/status").unwrap();
    assert_ne!(line(&own, "CapEff:"), ["0000000000000000"]);
}

/// The limit of user namespaces that the other rungs write is here the host's.
#[test]
fn nothing_of_the_host_is_changed() {
    if only_root_has_it() {
        return;
    }
    let settings = ["user/max_user_namespaces", "kernel/hostname", "kernel/domainname"];
    let read = || settings.map(|name| fs::read_to_string(format!("/proc/sys/{name}")).unwrap());
    let before = read();
    let scene = Scene::new();
    let shown = scene.folder("shown");
    let run = rooted(&scene).flags(["--hostname", "elsewhere", "--ro"]).flag(&shown);
    expect_rung(&run.run(["/bin/true"]));
    assert_eq!(read(), before);
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(shown.to_str().unwrap()), "{mounts}");
    let inside = rooted(&scene).flags(["--hostname", "elsewhere"]).run(["/bin/hostname"]);
    assert_eq!(inside.stdout, "elsewhere\n", "the control: {inside:#?}");
}

#[test]
fn what_the_programs_user_may_not_reach_is_refused_by_name() {
    if only_root_has_it() {
        return;
    }
    let scene = Scene::new();
    let folder = scene.folder("granted");
    let write =
        |run: Run<'_>| run.flag("--rw").flag(&folder).shell(&format!("echo made >{}/file", folder.display()));
    let refused = write(rooted(&scene));
    refused.expect_refusal(&["may not write", "granted", "belongs to user 0", "--user"]);
    assert!(!folder.join("file").exists());
    // Reading what everybody may read needs nobody's id.
    scene.file("granted/data", "to read");
    let read =
        rooted(&scene).flag("--ro").flag(&folder).run(["/bin/cat", &format!("{}/data", folder.display())]);
    assert_eq!(read.stdout, "to read", "{read:#?}");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
    rooted(&scene)
        .flag("--ro")
        .flag(&folder)
        .run(["/bin/true"])
        .expect_refusal(&["may not read", "mode 700"]);
    // The remedy: its owner runs it, and what is made is the owner's.
    chown(&folder, Some(spare_user()), Some(spare_user())).unwrap();
    let made = write(rooted(&scene).flags(["--user", &spare_user().to_string()]));
    expect_rung(&made);
    assert_eq!(fs::metadata(folder.join("file")).unwrap().uid(), spare_user());
    // The control: with a user namespace root's folder is written, and stays root's.
    let own = scene.folder("own");
    let full = Run::new(&scene).flag("--rw").flag(&own).shell(&format!("echo made >{}/file", own.display()));
    assert_eq!((full.status, fs::metadata(own.join("file")).unwrap().uid()), (0, 0), "{full:#?}");
}

#[test]
fn what_needs_a_user_namespace_is_refused_by_name() {
    if only_root_has_it() {
        return;
    }
    let scene = Scene::new();
    for (flags, words) in [
        (&["--uid", "1000"][..], "--uid 1000"),
        (&["--gid", "1000"], "--gid 1000"),
        (&["--id-map=range"], "a range of ids"),
        (&["--keep-cap", "NET_RAW"], "a capability that is kept"),
    ] {
        let refused = rooted(&scene).flags(flags).run(["/bin/true"]);
        refused.expect_refusal(&[words, "needs a user namespace", "a filter of system calls"]);
        let full = Run::new(&scene).flags(flags).run(["/bin/true"]);
        assert_eq!(full.status, 0, "the control: {full:#?}");
    }
}

#[test]
fn root_without_what_the_set_up_needs_is_not_taken_there() {
    if only_root_has_it() {
        return;
    }
    let scene = Scene::new();
    let weak = ["setpriv", "--bounding-set=-setpcap", "--inh-caps=-setpcap"];
    let through = |words: &[&str]| {
        let mut line: Vec<OsString> = words.iter().map(OsString::from).collect();
        line.extend([support::worse().into(), "no-user-namespaces".into(), "--".into()]);
        Run::new(&scene).through(line).flag(WAIVER).run(["/bin/true"])
    };
    through(&weak).expect_refusal(&["a filter of system calls"]);
    expect_rung(&through(&["setpriv", "--bounding-set=-sys_resource"]));
}

#[test]
fn limits_time_and_one_exec_hold_there() {
    if only_root_has_it() {
        return;
    }
    let scene = Scene::new();
    let late = rooted(&scene).flags(["--timeout", "500ms", "--grace", "100ms"]).run(["/bin/sleep", "60"]);
    assert_eq!(late.status, 124, "{late:#?}");
    let once = rooted(&scene).flags(["-p", "minimal"]).run(["/bin/echo", "once"]);
    assert_eq!((once.status, once.stdout.as_str()), (0, "once\n"), "{once:#?}");
    if support::has_cgroups("limits on the rung of root") {
        let limited = rooted(&scene).flags(["--pids", "20", "--memory", "64M"]).run(["/bin/true"]);
        assert_eq!(
            (limited.status, &limited.row("memory")["status"]),
            (0, &Value::from("enforced")),
            "{limited:#?}"
        );
    }
}

/// The rows of the threats whose own checks ask for what this rung refuses (tests/rungs.txt).
#[test]
fn the_other_rows_of_the_threats_hold_there() {
    if only_root_has_it() {
        return;
    }
    let scene = Scene::new();
    // 42: by the host, and by the filter. There is no limit of its own to set.
    for flags in [&[][..], &[UNFILTERED]] {
        rooted(&scene).flags(flags).probe(["new-user-namespace"]).expect(&["EPERM"]);
    }
    outside(["new-user-namespace"]).expect(&["ok"]);
    // 65
    let helper = "/proc/sys/kernel/core_pattern";
    rooted(&scene).flag(UNFILTERED).probe(["open-write", helper]).expect(&["EACCES", "EROFS"]);
    outside(["open-write", helper]).expect(&["ok"]);
    // 38
    let named = spare_user().to_string();
    let setuid = rooted(&scene).flags(["--user", &named]).probe(["effective-user-of", "/usr/bin/su"]);
    setuid.expect(&[&named, "gone"]);
    let mut control = std::process::Command::new("setpriv");
    control.args(["--reuid", &named, "--regid", &named, "--clear-groups"]).arg(probe());
    control.args(["effective-user-of", "/usr/bin/su"]);
    finish(control, std::time::Duration::from_secs(60)).expect(&["0"]);
    // 31
    let (folder, below) = (scene.folder("open"), scene.folder("open/below"));
    let script = format!("mount -t tmpfs none {} && exec \"$@\"", below.display());
    let mut wrapper: Vec<OsString> =
        ["unshare", "-m", "/bin/sh", "-c", &script, "sh"].map(OsString::from).into();
    wrapper.extend([support::worse().into(), "no-user-namespaces".into(), "--".into()]);
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
    let file = below.join("file");
    let write = |flag: &str| {
        let run = Run::new(&scene).through(&wrapper).flag(WAIVER).flag(flag).flag(&folder);
        run.probe(["write", file.to_str().unwrap(), "x"])
    };
    write("--ro").expect(&["EROFS"]);
    write("--rw").expect(&["ok"]);
    assert!(!file.exists(), "the submount was not a submount");
}

/// What `plan` prints is what a run there does, on each rung.
#[test]
fn the_plan_is_that_of_the_rung() {
    let scene = Scene::new();
    let plan = |host: &Host, flags: &[&str]| {
        let mut command = host.run(&scene).command(["/bin/true"]);
        let words: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
        let words = words.iter().map(|word| if word == "run" { "plan".into() } else { word.clone() });
        let mut words: Vec<OsString> =
            std::iter::once(command.get_program().to_owned()).chain(words).collect();
        let at = words.iter().position(|word| word == "plan").unwrap() + 1;
        words.splice(at..at, flags.iter().map(OsString::from));
        command = std::process::Command::new(&words[0]);
        command.args(&words[1..]).current_dir(scene.path("here")).env("HOME", scene.home());
        finish(command, std::time::Duration::from_secs(60))
    };
    let mut hosts = vec![(Host::namespace("a container", COVERED_PROC), "processes", "show /proc at /proc")];
    if is_root() {
        hosts.push((host(), "privileges", "under the host's own ids"));
    }
    for (host, guarantee, words) in hosts {
        let refused = plan(&host, &[]);
        assert_eq!(refused.status, 1, "{refused:#?}");
        assert!(refused.stderr.contains(&format!("cannot guarantee `{guarantee}`")), "{refused:#?}");
        let planned = plan(&host, &[&format!("--allow-degraded={guarantee}")]);
        assert_eq!(planned.status, 0, "{planned:#?}");
        assert!(planned.stdout.contains(words) && planned.stdout.contains("partial"), "{planned:#?}");
        // And what a run says that it does.
        let waiver = format!("--allow-degraded={guarantee}");
        let told = host.run(&scene).flags([&waiver, "--verbose"]).run(["/bin/true"]);
        assert!(told.status == 0 && told.stderr.contains(words), "{told:#?}");
    }
    let full = plan(&Host::plain("the control"), &[WAIVER]);
    assert!(full.status == 0 && !full.stdout.contains("partial"), "{full:#?}");
}
