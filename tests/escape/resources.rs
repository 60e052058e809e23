//! Attempts to use up the host, and to reach what holds the limits. A neighbour runs beside every bomb, and is unharmed.

use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use support::{Outcome, Run, Scene, has_cgroups, is_root, not_reachable, outside, probe, ringfence};

/// A sandbox that computes and holds memory while something else goes on.
struct Neighbour {
    child: Child,
    begun: Instant,
}

impl Neighbour {
    fn start(scene: &Scene) -> Self {
        let run = Run::new(scene).flags(["--memory", "96M", "--pids", "4", "--ro"]).flag(probe());
        let line = format!("{0} eat-heap 33554432 && {0} burn-cpu 300", probe().display());
        let child = run.command(["/bin/sh", "-c", &line]).stdout(Stdio::piped()).spawn().unwrap();
        Self { child, begun: Instant::now() }
    }

    /// Fails unless it did its work. The time is told and judged by nobody: others use this machine too.
    #[track_caller]
    fn expect_unharmed(self, what: &str) {
        let output = self.child.wait_with_output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "ate 33554432\nburnt\n", "{what}: {output:?}");
        assert!(output.status.success(), "{what}: {output:?}");
        println!("{what}: a neighbour's 300 ms of work took {} ms", self.begun.elapsed().as_millis());
    }
}

/// Ended for its memory, all of it, and that is what the report says.
#[track_caller]
fn expect_out_of_memory(outcome: &Outcome, limit: u64) {
    assert_eq!(outcome.status, 137, "{outcome:#?}");
    assert_eq!(outcome.field("/exit/reason"), "memory", "{outcome:#?}");
    assert_eq!(outcome.field("/exit/exceeded/0/limit"), "memory", "{outcome:#?}");
    assert_eq!(outcome.field("/usage/oom_killed"), true, "{outcome:#?}");
    assert_eq!(outcome.field("/usage/memory_source"), "cgroup", "{outcome:#?}");
    let peak = outcome.field("/usage/peak_memory_bytes").as_u64().unwrap();
    assert!(peak <= limit && peak > limit / 2, "{outcome:#?}");
    assert!(!outcome.stdout.contains("ate"), "it went on: {outcome:#?}");
}

#[test]
fn row_71_a_fork_bomb_stops_at_its_limit() {
    if !has_cgroups("row 71") {
        return;
    }
    let scene = Scene::new();
    let neighbour = Neighbour::start(&scene);
    let bomb = Run::new(&scene).flags(["--pids", "32", "--timeout", "40s"]).probe(["fork-bomb", "500"]);
    neighbour.expect_unharmed("row 71, fork bomb");
    assert_eq!((bomb.answer(), bomb.status), ("errno 11", 0), "EAGAIN, and no kill: {bomb:#?}");
    assert_eq!(bomb.field("/exit/exceeded/0/limit"), "pids", "{bomb:#?}");
    let peak = bomb.field("/usage/peak_pids");
    assert!(peak.is_null() || peak == 32, "{bomb:#?}");
    let zombies = Run::new(&scene).flags(["--pids", "32"]).probe(["zombies"]);
    assert_eq!(zombies.answer(), "errno 11 after some: true", "{zombies:#?}");
    // Control: with room the same program meets no limit.
    let roomy = Run::new(&scene).flags(["--pids", "32"]).probe(["burn-on-all", "4", "10"]);
    assert_eq!(
        (roomy.answer(), roomy.field("/exit/exceeded").to_string().as_str()),
        ("burnt", "[]"),
        "{roomy:#?}"
    );
}

/// What `ringfence kill --all` says of the sandboxes of a scene.
fn shut_down(scene: &Scene) -> Vec<String> {
    let mut kill = std::process::Command::new(ringfence());
    kill.args(["kill", "--all"]).env("RINGFENCE_RUNTIME_DIR", scene.runtime());
    let said = kill.stdin(Stdio::null()).output().unwrap();
    assert!(said.status.success(), "{said:?}");
    String::from_utf8_lossy(&said.stdout).lines().map(str::to_owned).collect()
}

#[test]
fn row_76_a_shutdown_freezes_a_fork_bomb_before_it_kills_it() {
    const FROZEN: &str = "were frozen first, at once by their cgroup)";
    let scene = Scene::new();
    let limited = has_cgroups("a frozen fork bomb");
    let flags: &[&str] = if limited { &["--pids", "64", "--ro"] } else { &["--ro"] };
    for round in 0..4 {
        // Its processes are never where they were a moment ago.
        let marker = format!("{}", 90_000 + u64::from(std::process::id()) * 4 + round);
        let bomb = Run::new(&scene).flags(flags).flag(probe());
        let mut bomb = bomb.command([probe().to_str().unwrap(), "run-away", &marker]).spawn().unwrap();
        let mut plain = Run::new(&scene).command(["/bin/sleep", "600"]).spawn().unwrap();
        let running = |wanted: usize| {
            let end = Instant::now() + Duration::from_secs(60);
            while alive(&marker) < wanted {
                assert!(Instant::now() < end, "it does not run");
                std::thread::sleep(Duration::from_millis(5));
            }
        };
        running(3);
        let mut said = Vec::new();
        // A sandbox that is still starting is not killed, and comes later; a killed one's supervisor may, too.
        while bomb.try_wait().unwrap().is_none() || plain.try_wait().unwrap().is_none() {
            said.extend(shut_down(&scene).into_iter().filter(|line| line != "no sandbox was live"));
        }
        println!("{said:?}");
        assert!(said.len() >= 2 && said.iter().all(|line| line.starts_with("killed ")), "{said:?}");
        // A cgroup of version 1 can be frozen where its controller can be had; in version 2 each can.
        let freezer = limited && (support::cgroup_is_second() || is_root());
        assert_eq!(said.iter().any(|line| line.ends_with(FROZEN)), freezer, "{said:?}");
        // The other has no cgroup of its own.
        assert!(said.iter().any(|line| !line.ends_with(FROZEN)), "control: {said:?}");
        assert_eq!((bomb.wait().unwrap().code(), plain.wait().unwrap().code()), (Some(137), Some(137)));
        assert_eq!(alive(&marker), 0, "something ran away");
        assert!(support::cgroups_of(Some(bomb.id())).is_empty(), "a cgroup was left");
    }
}

/// How many processes have this argument.
fn alive(argument: &str) -> usize {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = entries.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    lines.filter(|line| line.ends_with(format!("run-away\0{argument}\0").as_bytes())).count()
}

#[test]
fn row_72_memory_of_every_kind_ends_at_its_limit() {
    if !has_cgroups("row 72") {
        return;
    }
    let scene = Scene::new();
    let size = (256_u64 << 20).to_string();
    let attempts: [&[&str]; 5] = [
        &["eat-heap", &size],
        &["eat-memfd", &size],
        &["eat-file", "/dev/shm/eaten", &size],
        &["eat-file", "/tmp/eaten", &size],
        &["eat-with-children", &size],
    ];
    let neighbour = Neighbour::start(&scene);
    for attempt in attempts {
        let limit = Run::new(&scene).flags(["--memory", "64M", "--timeout", "30s"]).probe(attempt);
        expect_out_of_memory(&limit, 64 << 20);
    }
    neighbour.expect_unharmed("row 72, memory bombs");
    // Controls: the same under a limit that is wide enough (files in memory have one of their own, of 64 MiB).
    for attempt in [&["eat-heap", &size][..], &["eat-memfd", &size], &["eat-with-children", &size]] {
        let control = Run::new(&scene).flags(["--memory", "600M", "--timeout", "30s"]).probe(attempt);
        assert!(control.status == 0 && control.answer().starts_with("ate"), "{control:#?}");
    }
}

#[test]
fn row_72_the_whole_sandbox_ends_not_only_the_process_that_asked() {
    if !has_cgroups("row 72") {
        return;
    }
    let scene = Scene::new();
    let line = format!("sleep 20 & {} eat-heap 268435456; echo survived; sleep 20", probe().display());
    let outcome = Run::new(&scene).flags(["--memory", "64M", "--ro"]).flag(probe()).shell(&line);
    expect_out_of_memory(&outcome, 64 << 20);
    assert!(!outcome.stdout.contains("survived"), "{outcome:#?}");
}

#[test]
fn a_processor_hog_gets_its_share_and_no_more() {
    if !has_cgroups("a processor hog") {
        return;
    }
    let scene = Scene::new();
    let ratio = |flags: &[&str]| {
        let outcome = Run::new(&scene).flags(flags).probe(["burn-on-all", "2", "1000"]);
        let used = |name: &str| outcome.field(&format!("/usage/{name}")).as_f64().unwrap();
        assert_eq!(outcome.answer(), "burnt", "{outcome:#?}");
        used("cpu_us") / used("wall_us")
    };
    let neighbour = Neighbour::start(&scene);
    let (held, free) = (ratio(&["--cpus", "0.1"]), ratio(&[]));
    neighbour.expect_unharmed("a processor hog");
    println!("of one processor: {held:.3} under --cpus 0.1, {free:.3} without");
    // A tenth, and the rest of the period in which it began or was ended.
    assert!(held < 0.2 && free > held, "{held} {free}");
}

#[test]
fn row_74_a_flood_of_files_ends_at_its_limit() {
    let scene = Scene::new();
    Run::new(&scene).flags(["--nofile", "100"]).probe(["flood-files"]).expect(&["EMFILE"]);
}

#[test]
fn row_56_no_file_can_signal_the_supervisor() {
    let scene = Scene::new();
    // The wrapper becomes the supervisor, so that its number is known inside.
    let wrapper = ["/bin/sh", "-c", r#"exec "$@" $$"#, "sh"];
    for sign in ["", "-"] {
        let wrapper = [wrapper[0], wrapper[1], &wrapper[2].replace("$$", &format!("{sign}$$")), wrapper[3]];
        let outcome = Run::new(&scene).through(wrapper).probe(["signal-by-file"]);
        assert_eq!((outcome.status, outcome.answer()), (0, "ESRCH"), "{outcome:#?}");
    }
    // Control: outside it ends the process whose number it is.
    let own = std::process::Command::new("/bin/sh")
        .args(["-c", r#"exec "$0" signal-by-file $$"#])
        .arg(probe())
        .output()
        .unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&own.status), Some(libc::SIGIO), "{own:?}");
}

#[test]
fn row_68_cgroups_cannot_be_mounted() {
    let scene = Scene::new();
    let flags: [&[&str]; 3] = [&[], &["--pids", "8"], &["--allow-degraded", "kernel-surface"]];
    for flags in flags {
        if flags.contains(&"--pids") && !has_cgroups("row 68") {
            continue;
        }
        Run::new(&scene).flags(flags).probe(["mount-cgroups", "/tmp"]).expect(&["EPERM EPERM"]);
    }
    // Control: with the capability, in namespaces of one's own, the second version can be mounted.
    let control = std::process::Command::new("unshare")
        .args(["-UrmC"])
        .arg(probe())
        .args(["mount-cgroups", "/tmp"])
        .output();
    let said = String::from_utf8_lossy(&control.unwrap().stdout).into_owned();
    assert!(said.trim().ends_with(" ok"), "{said}");
}

#[test]
fn row_69_the_cgroup_above_is_out_of_reach() {
    let scene = Scene::new();
    let file = "/sys/fs/cgroup";
    Run::new(&scene).probe(["list", file]).expect(&["ENOENT"]);
    assert_ne!(outside(["list", file]).answer(), "ENOENT", "control");
    if !has_cgroups("row 69") {
        return;
    }
    // Not even its name is known inside: every path that it is in is a root.
    let flags = ["--memory", "64M", "--pids", "8", "--cpus", "1", "--cpu-time", "10s"];
    let outcome = Run::new(&scene).flags(flags).probe(["read", "/proc/self/cgroup"]);
    assert!(!outcome.answer().contains("ringfence") && !outcome.answer().contains(".."), "{outcome:#?}");
    let limited = outcome.answer().lines().filter(|line| {
        let controllers = line.split(':').nth(1).unwrap_or_default();
        controllers.is_empty() || controllers.split(',').any(|name| ["memory", "pids"].contains(&name))
    });
    assert!(limited.clone().count() > 0 && limited.clone().all(|line| line.ends_with(":/")), "{outcome:#?}");
}

/// A call of the service manager that this user's sandboxes are under.
fn manager(words: &[&str]) -> std::process::Output {
    let mut systemctl = std::process::Command::new("systemctl");
    if !is_root() {
        systemctl.arg("--user");
    }
    systemctl.args(words).stdin(Stdio::null()).output().unwrap()
}

/// What holds a cgroup, and who is in it.
fn state(folder: &std::path::Path) -> Vec<String> {
    let files =
        ["cgroup.procs", "memory.max", "memory.oom.group", "pids.max", "cpu.max", "cgroup.controllers"];
    let read = |file| std::fs::read_to_string(folder.join(file)).unwrap_or_else(|e| e.to_string());
    files.into_iter().map(read).collect()
}

#[test]
fn row_70_a_reload_of_the_service_manager_moves_nothing() {
    if !has_cgroups("row 70") {
        return;
    }
    if !std::path::Path::new("/run/systemd/system").exists() {
        not_reachable("row 70", "systemd does not manage the services of this host");
        return;
    }
    let scene = Scene::new();
    let flags = ["--memory", "64M", "--pids", "8", "--cpus", "0.5"];
    let child = Killed(Run::new(&scene).flags(flags).command(["/bin/sleep", "600"]).spawn().unwrap());
    let end = Instant::now() + Duration::from_secs(60);
    // PID 1 and the program.
    let is_whole = |folder: &PathBuf| state(folder)[0].lines().count() == 2;
    let folder = loop {
        let folders = support::cgroups_of(Some(child.0.id()));
        match folders.into_iter().find(is_whole) {
            Some(folder) => break folder,
            None => assert!(Instant::now() < end, "it does not run"),
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    let before = state(&folder);
    assert_eq!(before[1..4], ["67108864\n", "9\n", "50000 100000\n"], "{}", folder.display());
    // Control: what the manager knows of its files changes with each of the reloads.
    let config =
        if is_root() { "/run".into() } else { std::env::var("XDG_RUNTIME_DIR").expect("a session's") };
    let units = PathBuf::from(config).join(if is_root() { "systemd/system" } else { "systemd/user.control" });
    std::fs::create_dir_all(&units).unwrap();
    let unit = format!("ringfence-test-{}.service", std::process::id());
    for description in ["one", "two", "three"] {
        let text = format!("[Unit]\nDescription={description}\n[Service]\nExecStart=/bin/true\n");
        std::fs::write(units.join(&unit), text).unwrap();
        let done = manager(&["daemon-reload"]);
        assert!(done.status.success(), "{done:?}");
        let known = manager(&["show", "--property=Description", "--value", &unit]);
        assert_eq!(String::from_utf8_lossy(&known.stdout).trim(), description, "control: {known:?}");
        assert_eq!(state(&folder), before, "after a reload: {}", folder.display());
    }
    std::fs::remove_file(units.join(&unit)).unwrap();
    assert!(manager(&["daemon-reload"]).status.success());
    // A manager does some of its work later.
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(state(&folder), before, "a while after: {}", folder.display());
}

/// A supervisor that is killed with the test, also when that fails.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ended_already_is_fine = self.0.kill();
        let _and_it_is_reaped = self.0.wait();
    }
}

#[test]
fn processor_time_is_up_though_the_supervisor_is_stopped() {
    if !has_cgroups("processor time") {
        return;
    }
    let scene = Scene::new();
    let marker = format!("{}.burn", std::process::id());
    let line = format!(": {marker}; while :; do :; done");
    let mut child =
        Run::new(&scene).flags(["--cpu-time", "300ms"]).command(["/bin/sh", "-c", &line]).spawn().unwrap();
    let runs = || {
        let entries = std::fs::read_dir("/proc").unwrap().flatten();
        entries.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok()).any(|line| {
            line.starts_with(b"/bin/sh") && line.windows(marker.len()).any(|part| part == marker.as_bytes())
        })
    };
    let wait = |what: &str, wanted: bool| {
        let end = Instant::now() + Duration::from_secs(20);
        while runs() != wanted {
            assert!(Instant::now() < end, "{what}");
            std::thread::sleep(Duration::from_millis(2));
        }
    };
    wait("it runs", true);
    // SAFETY: our own child, which we have not reaped.
    unsafe { libc::kill(child.id().cast_signed(), libc::SIGSTOP) };
    wait("it is ended", false);
    // SAFETY: as above.
    unsafe { libc::kill(child.id().cast_signed(), libc::SIGCONT) };
    assert_eq!(child.wait().unwrap().code(), Some(152));
}
