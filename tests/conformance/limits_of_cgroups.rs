//! The limits that a cgroup holds: as asked, in the report, and gone when the sandbox is.

use std::process::{Command, Stdio};
use std::time::Duration;

use support::{Run, Scene, cgroups_of, has_cgroups, is_root, not_reachable, probe, ringfence, spare_user};

use crate::tools::{finish, shell_outside, wait_for};

/// Each limit, with its guarantee.
const LIMITS: [(&str, &str, &str); 5] = [
    ("--memory", "64M", "memory"),
    ("--pids", "8", "pids"),
    ("--cpus", "0.5", "cpu"),
    ("--cpuset", "0", "cpu"),
    ("--cpu-time", "10s", "time"),
];

#[test]
fn each_limit_is_enforced_or_refused_by_name_and_can_be_waived() {
    let scene = Scene::new();
    for (flag, value, guarantee) in LIMITS {
        let outcome = Run::new(&scene).flags([flag, value]).run(["/bin/echo", "ran"]);
        if outcome.status == 0 {
            assert_eq!(outcome.row(guarantee)["status"], "enforced", "{flag}: {outcome:#?}");
            assert_eq!(outcome.stdout, "ran\n");
        } else {
            outcome.expect_refusal(&[&format!("`{guarantee}`"), &format!("--allow-degraded={guarantee}")]);
            let waived = Run::new(&scene)
                .flags([flag, value, "--allow-degraded", guarantee])
                .run(["/bin/echo", "ran"]);
            assert_eq!((waived.status, waived.stdout.as_str()), (0, "ran\n"), "{flag}: {waived:#?}");
            assert_ne!(waived.row(guarantee)["status"], "enforced", "{flag}: {waived:#?}");
            assert_eq!(waived.field("/waived/0"), guarantee, "{flag}: {waived:#?}");
        }
    }
}

#[test]
fn without_a_cgroup_a_waived_limit_is_held_for_each_process() {
    let scene = Scene::new();
    // A cgroup file system that is not there: the same on every host.
    let nowhere = ["unshare", "-m", "/bin/sh", "-c", r#"umount -R -l /sys/fs/cgroup && exec "$@""#, "sh"];
    if !is_root() {
        not_reachable("limits without a cgroup", "only root can take the cgroup file system away");
        return;
    }
    let run =
        |flags: &[&str], attempt: &[&str]| Run::new(&scene).through(nowhere).flags(flags).probe(attempt);
    run(&["--memory", "64M"], &["exit", "0"]).expect_refusal(&[
        "`memory`",
        "no cgroup file system",
        "--allow-degraded=memory",
    ]);
    let size = (256 << 20).to_string();
    let memory = run(&["--memory", "64M", "--allow-degraded=memory"], &["eat-heap", &size]);
    assert!(memory.status != 0 && !memory.stdout.contains("ate"), "{memory:#?}");
    assert_eq!(memory.row("memory")["status"], "partial", "{memory:#?}");
    let pids = run(&["--pids", "8", "--allow-degraded=pids"], &["zombies"]);
    assert_eq!(pids.answer(), "errno 11 after some: true", "{pids:#?}");
    // The caller's own limits may say no too: this is the sandbox's, which PID 1 is within.
    let limits = run(&["--pids", "8", "--allow-degraded=pids"], &["read", "/proc/self/limits"]);
    let line = limits.stdout.lines().find(|line| line.starts_with("Max processes")).unwrap_or_default();
    assert!(line.split_whitespace().any(|word| word == "9"), "{limits:#?}");
    let time = run(&["--cpu-time", "1s", "--allow-degraded=time"], &["burn-cpu", "5000"]);
    assert_eq!((time.status, time.field("/exit/reason").as_str()), (152, Some("cpu-time")), "{time:#?}");
    // Control: without the waived limits the same runs through.
    assert!(run(&[], &["eat-heap", &size]).answer().starts_with("ate"));
}

#[test]
fn processor_time_is_judged_by_what_was_used() {
    if !has_cgroups("processor time") {
        return;
    }
    let scene = Scene::new();
    let run = |limit: &str, attempt: &[&str]| Run::new(&scene).flags(["--cpu-time", limit]).probe(attempt);
    // One process, and four whose sum is too much.
    for attempt in [&["burn-cpu", "2000"][..], &["burn-on-all", "4", "20000"]] {
        let late = run("300ms", attempt);
        assert_eq!((late.status, late.field("/exit/reason").as_str()), (152, Some("cpu-time")), "{late:#?}");
        let used = late.field("/exit/exceeded/0/used").as_u64().unwrap();
        assert_eq!(late.field("/exit/exceeded/0/allowed"), 300_000, "{late:#?}");
        assert!(used >= 300_000 && late.field("/usage/cpu_us") == used, "{late:#?}");
        println!("{attempt:?}: 300 ms of processor time allowed, {used} us used");
    }
    let early = run("2s", &["burn-cpu", "100"]);
    assert_eq!((early.status, early.answer()), (0, "burnt"), "{early:#?}");
    let used = early.field("/usage/cpu_us").as_u64().unwrap();
    assert!((100_000..2_000_000).contains(&used), "{early:#?}");
}

#[test]
fn what_storage_did_is_counted_also_for_those_that_nobody_waited_for() {
    const LENGTH: usize = 8 << 20;
    if !has_cgroups("an account of storage") {
        return;
    }
    let scene = Scene::new();
    let data = scene.file("data/large", &"x".repeat(LENGTH));
    // Past the page cache, by a child that the kernel reaps: its usage is in nobody's rusage.
    let script = "import os, signal\n\
                  signal.signal(signal.SIGCHLD, signal.SIG_IGN)\n\
                  if os.fork() == 0: os.execv('/bin/dd', ['dd', 'if=' + os.environ['DATA'], 'of=/dev/null', 'bs=1M', 'iflag=direct'])\n\
                  try: os.wait()\n\
                  except ChildProcessError: print('done')\n";
    let direct = shell_outside(&format!("dd if={} of=/dev/null bs=1M iflag=direct 2>&1", data.display()));
    let run = |flags: &[&str]| {
        let flags = [flags, &["--ro", data.to_str().unwrap(), "--env", &format!("DATA={}", data.display())]];
        let outcome = Run::new(&scene).flags(flags.concat()).run(["/usr/bin/python3", "-c", script]);
        assert_eq!(outcome.answer(), "done", "{outcome:#?}");
        (outcome.field("/usage/read_bytes").as_u64().unwrap(), outcome.field("/usage/io_source").clone())
    };
    let (counted, source) = run(&["--memory", "64M"]);
    let (without, by_rusage) = run(&[]);
    println!("{LENGTH} bytes were read: {counted} by {source}, {without} by {by_rusage}");
    assert_eq!(by_rusage, "rusage", "control: nothing else counts without limits");
    if source != "cgroup" {
        assert_eq!(source, "rusage");
        not_reachable("an account of storage", "the cgroups of this user have none (io, blkio)");
    } else if !direct.stdout.contains("copied") {
        not_reachable("an account of storage", "this file system cannot read past its cache");
    } else {
        assert!(counted >= LENGTH as u64 && without < LENGTH as u64, "{counted}, {without}");
    }
}

#[test]
fn the_processors_are_the_listed() {
    let scene = Scene::new();
    let line = "grep Cpus_allowed_list /proc/self/status; taskset -pc 0-1 $$ >/dev/null 2>&1; \
                grep Cpus_allowed_list /proc/self/status";
    let outcome = Run::new(&scene).flags(["--cpuset", "0"]).shell(line);
    if outcome.status != 0 {
        outcome.expect_refusal(&["`cpu`", "--allow-degraded=cpu"]);
        not_reachable("processors by number", outcome.stderr.trim());
        return;
    }
    assert_eq!(outcome.stdout, "Cpus_allowed_list:\t0\nCpus_allowed_list:\t0\n", "{outcome:#?}");
    match std::thread::available_parallelism() {
        Ok(count) if count.get() > 1 => {
            assert_ne!(Run::new(&scene).shell(line).stdout, outcome.stdout, "control")
        }
        _ => not_reachable("a control of the processors by number", "there is one"),
    }
    let absent = Run::new(&scene).flags(["--cpuset", "4000"]).run(["/bin/true"]);
    absent.expect_refusal(&["4000"]);
}

#[test]
fn a_limit_that_nothing_can_start_under_is_said() {
    if !has_cgroups("too little memory") {
        return;
    }
    let scene = Scene::new();
    let outcome = Run::new(&scene).flags(["--memory", "8K"]).run(["/bin/true"]);
    outcome.expect_refusal(&["--memory"]);
    // A scope of systemd takes its account along: then what killed PID 1 is only asked.
    let beside_systemd = std::path::Path::new("/run/systemd/system").is_dir();
    let by_systemd = beside_systemd && outcome.stderr.contains("or is --memory too small?");
    assert_eq!(outcome.field("/exit/reason"), if by_systemd { "internal" } else { "setup" }, "{outcome:#?}");
}

#[test]
fn a_cgroup_is_gone_with_its_sandbox_whatever_ends_it() {
    if !has_cgroups("removed cgroups") {
        return;
    }
    let scene = Scene::new();
    let flags = ["--memory", "64M", "--pids", "16", "--cpus", "1", "--cpu-time", "10s"];
    let start = |words: &[&str]| Run::new(&scene).flags(flags).command(words).spawn().unwrap();
    // Ended well, badly, by its limits, before its start.
    for words in [&["/bin/true"][..], &["/bin/sh", "-c", "kill -9 $$"], &["/no/such/program"]] {
        // What it says of the missing program is no word of the tests'.
        let child = Run::new(&scene).flags(flags).command(words).stderr(Stdio::piped()).spawn().unwrap();
        let id = child.id();
        child.wait_with_output().unwrap();
        // A scope goes when its manager has seen that it is empty; what is our own is gone by now.
        let of_manager = |folder: &std::path::PathBuf| folder.extension().is_some_and(|end| end == "scope");
        let own: Vec<_> = cgroups_of(Some(id)).into_iter().filter(|folder| !of_manager(folder)).collect();
        assert!(own.is_empty(), "{words:?}: {own:?}");
        wait_for("a scope is gone", Duration::from_secs(60), || cgroups_of(Some(id)).is_empty());
    }
    // A killed supervisor's is swept by the next run; a living one's stays.
    let (mut killed, mut living) = (start(&["/bin/sleep", "30"]), start(&["/bin/sleep", "30"]));
    let (dead, alive) = (killed.id(), living.id());
    wait_for("both have theirs", Duration::from_secs(60), || {
        [dead, alive].iter().all(|id| cgroups_of(Some(*id)).iter().any(|folder| populated(folder)))
    });
    killed.kill().unwrap();
    killed.wait().unwrap();
    // What another run sweeps is swept as well; a service manager does it by itself.
    wait_for("the next runs sweep it", Duration::from_secs(60), || {
        start(&["/bin/true"]).wait().unwrap();
        cgroups_of(Some(dead)).is_empty()
    });
    assert!(!cgroups_of(Some(alive)).is_empty(), "a living supervisor's was swept");
    living.kill().unwrap();
    living.wait().unwrap();
    wait_for("and then that one too", Duration::from_secs(60), || {
        start(&["/bin/true"]).wait().unwrap();
        cgroups_of(Some(alive)).is_empty()
    });
}

fn populated(folder: &std::path::Path) -> bool {
    std::fs::read_to_string(folder.join("cgroup.procs")).is_ok_and(|text| !text.is_empty())
}

#[test]
fn an_ordinary_user_can_have_cgroups_below_folders_that_root_gave_away() {
    if !is_root() {
        not_reachable("given folders of version 1", "only root can give them away");
        return;
    }
    let user = spare_user().to_string();
    let controllers = ["memory", "pids", "cpu", "cpuacct"];
    if controllers
        .iter()
        .any(|name| !std::path::Path::new("/sys/fs/cgroup").join(name).join("tasks").exists())
    {
        not_reachable("given folders of version 1", "this host has none of version 1");
        return;
    }
    let given = Given::new(&controllers, spare_user());
    let scene = Scene::new();
    let enter: Vec<_> =
        given.0.iter().map(|folder| format!("echo $$ >{}/cgroup.procs", folder.display())).collect();
    let become_user =
        format!("{}; exec setpriv --reuid {user} --regid {user} --clear-groups \"$@\"", enter.join("; "));
    let wrapper = ["/bin/sh", "-c", &become_user, "sh"];
    let flags = ["--memory", "64M", "--pids", "8", "--cpus", "1", "--cpu-time", "10s"];
    let size = (256 << 20).to_string();
    // The report goes to a folder of the user's.
    scene.folder("outside");
    shell_outside(&format!("chown -R {user} {}", scene.path("").display()));
    let eater = Run::new(&scene).through(wrapper).flags(flags).probe(["eat-heap", &size]);
    assert_eq!((eater.status, eater.field("/exit/reason").as_str()), (137, Some("memory")), "{eater:#?}");
    let zombies = Run::new(&scene).through(wrapper).flags(flags).probe(["zombies"]);
    assert_eq!(zombies.answer(), "errno 11 after some: true", "{zombies:#?}");
    for guarantee in ["memory", "pids", "cpu", "time"] {
        assert_eq!(zombies.row(guarantee)["status"], "enforced", "{zombies:#?}");
    }
    // Control: the same user elsewhere is refused, and told what to do.
    let become_user = format!("exec setpriv --reuid {user} --regid {user} --clear-groups \"$@\"");
    let elsewhere = Run::new(&scene).through(["/bin/sh", "-c", &become_user, "sh"]).flags(flags);
    elsewhere.run(["/bin/true"]).expect_refusal(&["is not this user's", "chown", "--allow-degraded="]);
}

/// Folders of version 1 that belong to a user, gone with the test.
struct Given(Vec<std::path::PathBuf>);

impl Given {
    fn new(controllers: &[&str], user: u32) -> Self {
        let name = format!("given-by-a-test-{}", std::process::id());
        let folders = controllers.iter().map(|controller| {
            let folder = std::path::Path::new("/sys/fs/cgroup").join(controller).join(&name);
            std::fs::create_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
            for path in [folder.clone(), folder.join("cgroup.procs"), folder.join("tasks")] {
                std::os::unix::fs::chown(&path, Some(user), None).unwrap();
            }
            folder
        });
        Self(folders.collect())
    }
}

impl Drop for Given {
    fn drop(&mut self) {
        for folder in &self.0 {
            let removed = std::fs::remove_dir(folder);
            assert!(removed.is_ok() || std::thread::panicking(), "{}: {removed:?}", folder.display());
        }
    }
}

#[test]
fn the_plan_says_which_cgroup_and_makes_none() {
    if !has_cgroups("the plan") {
        return;
    }
    let scene = Scene::new();
    let mut command = Command::new(ringfence());
    command.args(["plan", "--memory", "64M", "--pids", "8", "--"]).arg(probe()).env("HOME", scene.home());
    let plan = finish(command);
    assert!(plan.stdout.contains("cgroup v") && plan.stdout.contains("memory 64M"), "{plan:#?}");
    assert!(plan.stdout.contains("8 processes beside PID 1"), "{plan:#?}");
}
