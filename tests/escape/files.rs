//! Attempts on files: what is shown, what is not, and what a mount must hold.

use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;

use ringfence::Policy;
use ringfence_linux::{Host, Request, Streams, launch, plan, resolve};
use support::{Run, Scene, is_root, not_reachable, outside, privileged};

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A plan whose source is swapped for something else before it is carried out.
fn swapped(scene: &Scene, swap: impl Fn(&Path)) -> String {
    let source = scene.folder("source");
    let policy = Policy::builtin("default").unwrap().ro(&source);
    let request = Request {
        command: vec!["/bin/true".into()],
        directory: scene.path("here"),
        environment: [("PATH".into(), "/usr/bin:/bin".into())].into(),
        home: scene.home(),
        passed: Vec::new(),
        hidden: Vec::new(),
        terminal: None,
        instead: None,
    };
    let host = Host::read().unwrap();
    let resolved = resolve(&policy, &request, &host).unwrap();
    let plan = plan(&policy, &resolved, &host, 7).unwrap();
    swap(&source);
    match launch(plan, Streams::default(), 0) {
        Err(problem) => problem.to_string(),
        Ok(mut running) => {
            let ending = running.wait(None);
            ending.error.map_or_else(|| format!("it ran: {:?}", ending.exit), |problem| problem.to_string())
        }
    }
}

#[test]
fn row_21_a_symlink_in_a_sources_path_is_refused() {
    let scene = Scene::new();
    let secret = scene.folder("secret");
    let answer = swapped(&scene, |source| {
        std::fs::remove_dir(source).unwrap();
        symlink(&secret, source).unwrap();
    });
    assert!(answer.contains("ELOOP") || answer.contains("another file"), "{answer}");
    // Control: nothing swapped, it runs.
    let answer = swapped(&Scene::new(), |_| {});
    assert!(answer.contains("it ran") && answer.contains("Exited"), "{answer}");
}

#[test]
fn row_21_another_folder_in_a_sources_place_is_refused() {
    let scene = Scene::new();
    let answer = swapped(&scene, |source| {
        std::fs::rename(source, source.with_extension("old")).unwrap();
        std::fs::create_dir(source).unwrap();
    });
    assert!(answer.contains("another file than a moment ago"), "{answer}");
}

#[test]
fn row_22_making_a_mount_point_never_leaves_the_root() {
    let scene = Scene::new();
    let work = scene.folder("work");
    let victim = scene.folder("victim");
    symlink(&victim, work.join("link")).unwrap();
    let before = scene.listing();
    let spec = format!("{}:{}/link/made", text(&scene.folder("source")), text(&work));
    let before = [before, vec![format!("{} 0", scene.path("source").display())]].concat();
    for access in ["--rw", "--ro"] {
        let outcome = Run::new(&scene).flag(access).flag(&work).flags(["--bind", &spec]).probe(["exit", "0"]);
        outcome.expect_refusal(&["nothing can be mounted at", "does not exist there"]);
    }
    let mut after = scene.listing();
    after.retain(|line| !line.contains("/outside"));
    let mut before: Vec<_> = before.into_iter().filter(|line| !line.contains("/outside")).collect();
    before.sort();
    assert_eq!(after, before, "something was made on the host");
}

#[test]
fn row_23_a_symlink_from_inside_is_never_followed_by_the_host() {
    // What the host writes for a sandbox is its report: see also row 102. Here the program itself, on an
    // allowed folder, points a link at a file of the host; nothing on the host changes.
    let scene = Scene::new();
    let open = scene.folder("open");
    let target = scene.file("target", "untouched");
    let line = format!("ln -s {} {}/report.json", target.display(), open.display());
    let outcome = Run::new(&scene).flag("--rw").flag(&open).shell(&line);
    assert_eq!(outcome.status, 0, "{outcome:#?}");
    assert!(std::fs::symlink_metadata(open.join("report.json")).unwrap().is_symlink());
    let report = open.join("report.json");
    let output = Run::new(&scene).flag("--report").flag(&report).command(["/bin/true"]).output().unwrap();
    assert_eq!(output.status.code(), Some(125), "a link in the report's place is refused: {output:?}");
    assert_eq!(std::fs::read_to_string(target).unwrap(), "untouched");
    assert!(std::fs::symlink_metadata(&report).unwrap().is_symlink());
    // Control: without the link the report is written there.
    std::fs::remove_file(&report).unwrap();
    let output = Run::new(&scene).flag("--report").flag(&report).command(["/bin/true"]).output().unwrap();
    assert!(output.status.success() && report.is_file(), "{output:?}");
}

#[test]
fn row_26_a_protected_folder_cannot_be_renamed_away() {
    let scene = Scene::new();
    let project = scene.folder("project");
    let held = scene.folder("project/a/b");
    scene.file("project/a/b/file", "held");
    let (from, to) = (project.join("a"), project.join("c"));
    let run = || Run::new(&scene).flag("--rw").flag(&project);
    run().flag("--ro").flag(&held).probe(["rename", text(&from), text(&to)]).expect(&["EBUSY"]);
    run().flag("--deny").flag(&held).probe(["rename", text(&from), text(&to)]).expect(&["EBUSY"]);
    run().flag("--ro").flag(&held).probe(["write", text(&held.join("file")), "x"]).expect(&["EROFS"]);
    assert_eq!(std::fs::read_to_string(held.join("file")).unwrap(), "held");
    // Control: without the protection the rename works.
    run().probe(["rename", text(&from), text(&to)]).expect(&["ok"]);
}

#[test]
fn row_28_odd_paths_mean_what_they_say_or_are_refused() {
    let scene = Scene::new();
    let source = scene.folder("source");
    scene.file("source/file", "x");
    for destination in ["/a/../etc", "relative", ""] {
        let spec = format!("{}:{destination}", text(&source));
        let output = Run::new(&scene).flags(["--bind", &spec]).command(["/bin/true"]).output().unwrap();
        assert_eq!(output.status.code(), Some(125), "{spec}");
    }
    let spec = format!("{}/..//source/.:/deep//er/./place", text(&source));
    Run::new(&scene).flags(["--bind", &spec]).probe(["list", "/deep/er/place"]).expect(&["file"]);
    // A path through /proc is the path that it leads to.
    let through = format!("/proc/self/root{}", text(&source));
    Run::new(&scene).flags(["--ro", &through]).probe(["list", text(&source)]).expect(&["file"]);
    Run::new(&scene).flags(["--ro", "/proc"]).probe(["exit", "0"]).expect_refusal(&["/proc"]);
}

#[test]
fn row_29_a_missing_source_is_an_error_and_nothing_is_made() {
    let scene = Scene::new();
    let missing = scene.path("missing");
    for flag in ["--ro", "--rw"] {
        let outcome = Run::new(&scene).flag(flag).flag(&missing).probe(["exit", "0"]);
        outcome.expect_refusal(&["does not exist", "ENOENT", "missing"]);
        assert_eq!(outcome.field("/error/errno"), "ENOENT");
    }
    assert!(!missing.exists());
}

#[test]
fn row_30_a_read_only_mount_cannot_be_remounted() {
    let scene = Scene::new();
    let folder = scene.folder("folder");
    Run::new(&scene).flag("--ro").flag(&folder).probe(["remount", text(&folder)]).expect(&["EPERM"]);
    Run::new(&scene)
        .flag("--ro")
        .flag(&folder)
        .probe(["write", text(&folder.join("x")), "x"])
        .expect(&["EROFS"]);
    // Control: with privileges in a namespace of one's own the same call works on the same kind of mount.
    let script = format!(
        "mount --bind {0} {0} && mount -o remount,bind,ro {0} && {1} remount {0}",
        text(&folder),
        support::probe().display()
    );
    privileged(["/bin/sh", "-c", &script]).expect(&["ok"]);
}

#[test]
fn row_31_a_submount_of_a_read_only_bind_is_read_only() {
    let scene = Scene::new();
    let folder = scene.folder("folder");
    let below = scene.folder("folder/below");
    let script = format!(r#"mount -t tmpfs none {} && exec "$@""#, text(&below));
    let wrapper = ["unshare", "-Urm", "/bin/sh", "-c", &script, "sh"];
    let file = below.join("x");
    let run = |flag: &str| {
        Run::new(&scene).through(wrapper).flag(flag).flag(&folder).probe(["write", text(&file), "x"])
    };
    run("--ro").expect(&["EROFS"]);
    run("--rw").expect(&["ok"]);
    assert!(!file.exists(), "the submount was not a submount");
}

#[test]
fn row_32_a_mask_cannot_be_unmounted() {
    let scene = Scene::new();
    let folder = scene.folder("folder");
    let secret = scene.file("folder/secret", "secret");
    let run = || Run::new(&scene).flag("--ro").flag(&folder).flag("--deny").flag(&secret);
    run().probe(["unmount", text(&secret)]).expect(&["EPERM"]);
    run().probe(["unmount", "/proc/kcore"]).expect(&["EPERM", "ENOENT"]);
    run().probe(["read", text(&secret)]).expect(&["EACCES"]);
    let script =
        format!("mount --bind {0} {0} && {1} unmount {0}", text(&folder), support::probe().display());
    privileged(["/bin/sh", "-c", &script]).expect(&["ok"]);
}

#[test]
fn row_37_mounts_do_not_reach_the_host() {
    let scene = Scene::new();
    let folder = scene.folder("folder");
    // A namespace that plays the host, with everything shared; a sandbox in it mounts dozens of things.
    let inner = format!("unshare -m --propagation unchanged mount -t tmpfs none {}", text(&folder));
    let count = "grep -c . /proc/self/mountinfo";
    let script = format!(
        "mount --make-rshared / && {count} && {} run -- /bin/true && {count} && {inner} && {count}",
        support::ringfence().display()
    );
    let outcome = privileged(["/bin/sh", "-c", &script]);
    let counts: Vec<u32> = outcome.stdout.lines().filter_map(|line| line.parse().ok()).collect();
    let [before, after, control] = counts[..] else { panic!("{outcome:#?}") };
    assert_eq!(before, after, "a sandbox's mounts were seen outside");
    assert_eq!(control, before + 1, "control: a shared mount is seen outside");
}

#[test]
fn row_37_a_cover_on_a_shared_folder_does_not_reach_the_host() {
    let scene = Scene::new();
    let folder = scene.folder("folder");
    // On most hosts every mount is shared. Root's trees are cloned outside: a copy that stayed a peer of the
    // host's mount would carry each cover to the host, where it hides the file from everybody.
    let script = format!(
        "mount -t tmpfs none {0} && mount --make-shared {0} && mkdir {0}/b && echo s >{0}/secret && cd {0} && \
         {1} run -p build --deny secret --ro b -- /bin/sh -c '! cat secret && ! touch b/x' 2>/dev/null && \
         grep -c {0} /proc/self/mountinfo && mount --bind b b && grep -c {0} /proc/self/mountinfo && cat secret",
        text(&folder),
        support::ringfence().display()
    );
    let namespace = if is_root() { "-m" } else { "-Urm" };
    let output =
        std::process::Command::new("unshare").args([namespace, "/bin/sh", "-c", &script]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    // One mount after the run; the control's own bind is the second.
    assert_eq!(said, "1\n2\ns\n", "{output:?}");
}

#[test]
fn row_73_memory_folders_are_limited_in_bytes_and_files() {
    let scene = Scene::new();
    let run = |size: &str| Run::new(&scene).flag("--tmpfs").flag(format!("/small:{size}"));
    run("1M").probe(["fill", "/small/file", "2000000"]).expect(&["ENOSPC"]);
    run("4M").probe(["fill", "/small/file", "2000000"]).expect(&["ok"]);
    run("1M").probe(["many-files", "/small", "1000"]).expect(&["ENOSPC"]);
    run("16M").probe(["many-files", "/small", "1000"]).expect(&["ok"]);
    for folder in ["/etc", "/dev", "/run", "/"] {
        let file = Path::new(folder).join("made");
        Run::new(&scene).probe(["write", text(&file), "x"]).expect(&["EROFS"]);
    }
}

#[test]
fn row_101_fifos_sockets_and_devices_in_a_read_only_folder_lead_nowhere() {
    let scene = Scene::new();
    let folder = scene.folder("folder");
    let (fifo, socket, device) = (folder.join("fifo"), folder.join("socket"), folder.join("device"));
    outside(["make-fifo", text(&fifo)]).expect(&["ok"]);
    open_to_all(&fifo);
    let _listener = UnixListener::bind(&socket).unwrap();
    open_to_all(&socket);
    // Somebody outside reads the FIFO: a write that got through would not block.
    let reader = std::fs::OpenOptions::new().read(true).write(true).open(&fifo).unwrap();
    let run = || Run::new(&scene).flag("--ro").flag(&folder);
    run().probe(["open-write", text(&fifo)]).expect(&["EACCES", "EROFS"]);
    run().probe(["connect", text(&socket)]).expect(&["EACCES", "ECONNREFUSED"]);
    outside(["open-write", text(&fifo)]).expect(&["ok"]);
    outside(["connect", text(&socket)]).expect(&["ok"]);
    drop(reader);
    // A socket is a way out of a writable folder too.
    Run::new(&scene)
        .flag("--rw")
        .flag(&folder)
        .probe(["connect", text(&socket)])
        .expect(&["EACCES", "ECONNREFUSED"]);
    if is_root() {
        outside(["make-device", text(&device)]).expect(&["ok"]);
        open_to_all(&device);
        run().probe(["open", text(&device)]).expect(&["EACCES"]);
        outside(["open", text(&device)]).expect(&["ok"]);
    } else {
        not_reachable("row 101, device", "an ordinary user cannot make a device node to try");
    }
}

fn open_to_all(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666)).unwrap();
}
