//! Steps of the set-up, each seen by its own effect: what `cargo xtask mutants` takes out one at a time.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::Path;

use ringfence::{Policy, Sandbox, Stdio};
use ringfence_linux::{Host, Request, Streams, launch, plan, resolve};
use support::{Run, Scene, has_cgroups, is_root, not_reachable, outside, probe, ringfence};

fn fingerprint(run: Run<'_>) -> String {
    run.probe(["fingerprint"]).stdout
}

#[test]
fn the_hosts_root_is_gone() {
    let scene = Scene::new();
    let secret = scene.file("secret", "s").display().to_string();
    outside(["open", &format!("/..{secret}")]).expect(&["ok"]);
    for above in ["/..", "/../..", "/proc/self/root/..", "/proc/1/root/.."] {
        Run::new(&scene).probe(["open", &format!("{above}{secret}")]).expect(&["ENOENT", "EACCES"]);
    }
}

#[test]
fn the_root_and_dev_are_read_only() {
    let scene = Scene::new();
    for (path, answer) in [("/made", "EROFS"), ("/dev/made", "EROFS"), ("/tmp/made", "ok")] {
        Run::new(&scene).probe(["make-folder", path]).expect(&[answer]);
    }
}

#[test]
fn the_program_leads_a_session() {
    let scene = Scene::new();
    let said = fingerprint(Run::new(&scene).flags(["--tty", "never"]));
    assert!(said.contains("leads its session true and group true"), "{said}");
    // Control: outside it leads none.
    assert!(outside(["fingerprint"]).stdout.contains("leads its session false"));
}

#[test]
fn no_file_but_the_streams_is_open() {
    let scene = Scene::new();
    let wrapper = ["/bin/sh", "-c", "exec 9</etc/passwd; exec \"$@\"", "sh"];
    let said = fingerprint(Run::new(&scene).through(wrapper));
    assert!(said.contains("files [0, 1, 2]\n"), "{said}");
    // Control: outside it is passed on.
    let outside =
        std::process::Command::new(wrapper[0]).args(&wrapper[1..]).arg(probe()).arg("fingerprint").output();
    assert!(String::from_utf8(outside.unwrap().stdout).unwrap().contains(", 9"), "control: it is inherited");
}

#[test]
fn an_inherited_file_is_not_open_in_init() {
    if !is_root() {
        return not_reachable(
            "files of PID 1",
            "what a process that cannot be traced has open only root may see",
        );
    }
    let scene = Scene::new();
    let marker = scene.file("inherited", "");
    let file = File::open(&marker).unwrap();
    // SAFETY: no pointers; a copy that an exec passes on, under a number that no other test uses.
    assert_eq!(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_DUPFD, 911) }, 911);
    let mut child = sleeper(&scene);
    let links = |process: u32| -> Vec<_> {
        let files = std::fs::read_dir(format!("/proc/{process}/fd")).unwrap().flatten();
        files.filter_map(|entry| std::fs::read_link(entry.path()).ok()).collect()
    };
    assert!(links(std::process::id()).contains(&marker), "control: it is open here");
    let held = links(child.id().cast_unsigned());
    assert!(!held.is_empty() && !held.contains(&marker), "{held:?}");
    child.kill();
    // SAFETY: no pointers; ours.
    unsafe { libc::close(911) };
}

/// A sandbox whose program has begun, and waits.
fn sleeper(scene: &Scene) -> ringfence::Child {
    sleeper_of(scene, Policy::builtin("default").unwrap())
}

fn sleeper_of(scene: &Scene, policy: Policy) -> ringfence::Child {
    let mut command = Sandbox::new(policy).command("/bin/sh");
    command.args(["-c", "echo in; exec sleep 30"]).current_dir(scene.path("here"));
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "in\n");
    child
}

#[test]
fn init_is_in_a_session_of_its_own() {
    let scene = Scene::new();
    let mut child = sleeper(&scene);
    let init = child.id();
    // SAFETY: numbers only.
    let (session, group, own) = unsafe { (libc::getsid(init), libc::getpgid(init), libc::getsid(0)) };
    child.kill();
    assert_eq!((session, group), (init, init), "what stops the caller's group would stop PID 1");
    assert_ne!(own, init, "control");
}

#[test]
fn init_cannot_be_dumped() {
    let scene = Scene::new();
    let mut policy = Policy::builtin("default").unwrap();
    // Its namespace has no user 0, so what belongs to no user of it belongs to the host's (proc(5), /proc/PID).
    policy.process.uid = Some(7);
    let mut child = sleeper_of(&scene, policy);
    let owner = |process: i32| {
        std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(format!("/proc/{process}/fd")).unwrap())
    };
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let uid = status
        .lines()
        .find_map(|line| line.strip_prefix("Uid:")?.split_whitespace().next()?.parse::<u32>().ok());
    let (init, own) = (owner(child.id()), owner(std::process::id().cast_signed()));
    child.kill();
    assert_ne!(uid, Some(0), "{status}");
    assert_eq!(init, 0, "the files of a process that can be dumped are its user's: {status}");
    // SAFETY: no arguments.
    assert_eq!(own, unsafe { libc::geteuid() }, "control: this process can be dumped");
}

#[test]
fn the_secure_bits_are_locked() {
    let scene = Scene::new();
    assert!(fingerprint(Run::new(&scene)).contains("secure bits 0xef\n"));
    assert!(!outside(["fingerprint"]).stdout.contains("secure bits 0xef\n"), "control: outside they are not");
}

#[test]
fn every_mount_has_its_flags() {
    let scene = Scene::new();
    let (secret, granted) = (scene.file("granted/secret", "s"), scene.folder("granted"));
    let run = Run::new(&scene).flag("--rw").flag(granted).flag("--deny").flag(&secret);
    let inside = run.probe(["read", "/proc/self/mountinfo"]).stdout;
    let mut covers = 0;
    for line in inside.lines() {
        let fields: Vec<_> = line.split_whitespace().collect();
        let (root, point, options) = (fields[3], fields[4], fields[5]);
        let has = |flag: &str| options.split(',').any(|option| option == flag);
        let device = point.strip_prefix("/dev/").is_some_and(|name| !name.starts_with("shm"));
        assert!(has("nosuid"), "{line}");
        assert!(has("nodev") || device, "{line}");
        assert!(has("noexec") || !(point.starts_with("/proc") || point.starts_with("/dev")), "{line}");
        let cover = root.contains("ringfence-empty");
        assert!(!cover || has("ro") && has("noexec"), "{line}");
        covers += usize::from(cover);
        assert!(!line.contains(" shared:") && !line.contains(" master:"), "{line}");
    }
    assert!(inside.lines().count() > 10 && covers > 0, "{inside}");
    let host = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(host.lines().any(|line| !line.contains("nosuid")), "control: the host's are not all so");
}

#[test]
fn row_66_every_cover_of_proc_is_there() {
    let scene = Scene::new();
    let inside = Run::new(&scene).probe(["read", "/proc/self/mountinfo"]).stdout;
    let covered = |path: &str| {
        inside.lines().any(|line| {
            let fields: Vec<_> = line.split_whitespace().collect();
            fields[4] == path && fields[3].contains("ringfence-empty")
        })
    };
    assert!(!covered("/proc/self"), "control: what is not covered is not");
    for name in [
        "acpi",
        "asound",
        "bus",
        "fs",
        "interrupts",
        "irq",
        "kallsyms",
        "kcore",
        "key-users",
        "keys",
        "kmsg",
        "kpagecgroup",
        "kpagecount",
        "kpageflags",
        "latency_stats",
        "modules",
        "sched_debug",
        "scsi",
        "slabinfo",
        "sysrq-trigger",
        "timer_list",
        "timer_stats",
        "vmallocinfo",
    ] {
        let path = format!("/proc/{name}");
        if Path::new(&path).exists() {
            assert!(covered(&path), "{path}: {inside}");
        }
    }
}

#[test]
fn processor_time_is_a_limit_of_each_process_too() {
    let scene = Scene::new();
    let mut run = Run::new(&scene).flags(["--cpu-time", "10s"]);
    if !has_cgroups("the second layer of processor time") {
        run = run.flag("--allow-degraded=time");
    }
    let limits = run.probe(["read", "/proc/self/limits"]);
    let line =
        limits.stdout.lines().find(|line| line.starts_with("Max cpu time")).unwrap_or_default().to_owned();
    assert!(line.split_whitespace().any(|word| word == "11"), "{limits:#?}");
}

/// A plan whose program or passed file is not what was found any more.
fn started(scene: &Scene, program: &Path, passed: Option<OwnedFd>, swap: impl Fn()) -> String {
    let policy = Policy::builtin("default").unwrap().ro(scene.path("programs"));
    let request = Request {
        command: vec![program.into()],
        directory: scene.path("here"),
        environment: [("PATH".into(), "/usr/bin:/bin".into())].into(),
        home: scene.home(),
        passed: passed.iter().map(|_| 7).collect(),
        hidden: Vec::new(),
        terminal: None,
        instead: None,
    };
    let host = Host::read().unwrap();
    let resolved = resolve(&policy, &request, &host).unwrap();
    let plan = plan(&policy, &resolved, &host, 7).unwrap();
    swap();
    let streams = Streams { more: passed.into_iter().map(|file| (7, file)).collect(), ..Streams::default() };
    match launch(plan, streams, 0) {
        Err(problem) => problem.to_string(),
        Ok(mut running) => {
            let ending = running.wait(None);
            ending.error.map_or_else(|| format!("it ran: {:?}", ending.exit), |problem| problem.to_string())
        }
    }
}

#[test]
fn another_program_in_its_place_is_not_executed() {
    let scene = Scene::new();
    scene.folder("programs");
    let program = scene.program("programs/it", Path::new("/bin/true"));
    let other = scene.program("programs/other", Path::new("/bin/echo"));
    let answer = started(&scene, &program, None, || std::fs::rename(&other, &program).unwrap());
    assert!(answer.contains("another file inside than outside"), "{answer}");
    let answer = started(&scene, &program, None, || ());
    assert!(answer.contains("it ran"), "control: {answer}");
}

#[test]
fn a_folder_that_is_passed_is_refused_by_init_too() {
    let scene = Scene::new();
    scene.folder("programs");
    let file = |path: &Path| Some(OwnedFd::from(File::open(path).unwrap()));
    let program = Path::new("/bin/true");
    let answer = started(&scene, program, file(&scene.path("here")), || ());
    assert!(answer.contains("descriptor 7 is a folder"), "{answer}");
    let answer = started(&scene, program, file(&scene.file("plain", "")), || ());
    assert!(answer.contains("it ran"), "control: {answer}");
}

#[test]
fn the_plan_covers_what_the_kernel_tells_of_itself() {
    let scene = Scene::new();
    let output = std::process::Command::new(ringfence())
        .args(["plan", "--", "/bin/true"])
        .current_dir(scene.path("here"))
        .output()
        .unwrap();
    let plan = String::from_utf8(output.stdout).unwrap();
    for line in
        ["cover /proc/kallsyms", "pin /proc/sys", "verify every mount", "allow no further user namespace"]
    {
        assert!(plan.contains(line), "{line}: {plan}");
    }
    assert!(!plan.contains("cover /proc/self"), "control");
}
