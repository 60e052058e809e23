//! Base `rootfs`: another system's folder as the root, read-only, with the sandbox's own /proc, /dev, /tmp and
//! HOME. (S1.5, THREATS rows 18 and 19)

use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};

use support::{Outcome, Run, Scene, not_reachable, probe};

use crate::debian;
use crate::tools::{at_home, executable, shell_outside, text};

const HOME: &str = "/home/ringfence-test";

/// An Alpine-like root: one static busybox and its applets as links.
pub(crate) fn alpine(scene: &Scene) -> PathBuf {
    let root = scene.folder("alpine");
    for folder in ["bin", "etc", "home", "lib", "proc", "root", "srv", "usr/bin", "var/lib"] {
        scene.folder(&format!("alpine/{folder}"));
    }
    scene.file("alpine/etc/os-release", "ID=alpine-like\n");
    scene.file("alpine/etc/secret-of-the-rootfs", "shown");
    let busybox = ["/usr/bin/busybox", "/bin/busybox"].map(Path::new).into_iter().find(|path| path.is_file());
    scene.program("alpine/bin/busybox", busybox.expect("apt-get install busybox-static"));
    let applets = shell_outside("busybox --list");
    assert!(applets.stdout.lines().count() > 50, "{applets:#?}");
    for applet in applets.stdout.lines().filter(|name| *name != "busybox") {
        symlink("busybox", root.join("bin").join(applet)).expect("a fresh folder");
    }
    root
}

/// A package of another distribution in it: a dynamic program, its loader and its libraries.
fn install_perl(scene: &Scene) {
    let listed = shell_outside("ldd /usr/bin/perl");
    let libraries = listed.stdout.split_whitespace().filter(|word| word.starts_with('/'));
    for file in libraries.chain(["/usr/bin/perl"]) {
        let name = Path::new(file).parent().expect("a path of a file");
        scene.folder(&format!("alpine{}", name.display()));
        scene.program(&format!("alpine{file}"), Path::new(file));
    }
}

/// Everything of a tree that a run could have changed. Reading changes access times only.
fn fingerprint(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let there = entry.metadata().expect("nothing moves here");
            let times = (there.mtime(), there.mtime_nsec(), there.ctime(), there.ctime_nsec());
            let who = (there.mode(), there.uid(), there.gid(), there.size());
            found.push(format!("{} {who:?} {times:?}", entry.path().display()));
            if there.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    found.sort();
    found
}

fn inside(scene: &Scene, root: &Path, line: &str) -> Outcome {
    let run = Run::new(scene).from("/").flag("--rootfs").flag(root);
    at_home(run, HOME, ["/bin/sh", "-c", line])
}

#[test]
fn an_alpine_like_root_runs_its_shell_and_a_packages_program() {
    let scene = Scene::new();
    let root = alpine(&scene);
    install_perl(&scene);
    let before = fingerprint(&root);
    let shell = inside(
        &scene,
        &root,
        ". /etc/os-release; echo $ID; busybox | head -1 | cut -c1-7; awk 'BEGIN{print 6*7}'",
    );
    assert_eq!((shell.status, shell.stdout.as_str()), (0, "alpine-like\nBusyBox\n42\n"), "{shell:#?}");
    let perl = inside(&scene, &root, "/usr/bin/perl -e 'print 6*7, qq(\\n)'");
    assert_eq!((perl.status, perl.stdout.as_str()), (0, "42\n"), "{perl:#?}");
    let by_name =
        at_home(Run::new(&scene).from("/").flag("--rootfs").flag(&root), HOME, ["perl", "-e", "print 7"]);
    assert_eq!((by_name.status, by_name.stdout.as_str()), (0, "7"), "found in the PATH inside: {by_name:#?}");
    assert_eq!(fingerprint(&root), before, "the folder changed");
    // Control: the same writes into a folder that was granted do show.
    let run = Run::new(&scene)
        .from("/")
        .flag("--rootfs")
        .flag(&root)
        .flag("--bind")
        .flag(format!("{}:/srv", text(&root.join("srv"))));
    let granted = at_home(run, HOME, ["/bin/sh", "-c", "echo x >/srv/made"]);
    assert_eq!(granted.status, 0, "{granted:#?}");
    assert_ne!(fingerprint(&root), before);
}

#[test]
fn nothing_of_the_host_is_in_another_systems_root() {
    let scene = Scene::new();
    let root = alpine(&scene);
    let listed = inside(&scene, &root, "ls -A /");
    let names: Vec<_> = listed.stdout.split_whitespace().collect();
    for name in &names {
        let own = ["dev", "home", "proc", "run", "sys", "tmp"].contains(name);
        assert!(
            own || root.join(name).exists(),
            "{name} is neither the rootfs' nor the sandbox's: {listed:#?}"
        );
    }
    assert!(names.contains(&"srv") && names.contains(&"bin"), "{listed:#?}");
    let outcome =
        inside(&scene, &root, "cat /etc/secret-of-the-rootfs; ls /etc /usr /sys; test -e /usr/share");
    assert_eq!(outcome.status, 1, "{outcome:#?}");
    assert!(outcome.stdout.starts_with("shown") && !outcome.stdout.contains("ssl"), "{outcome:#?}");
    // A program of the host is not found there, though the host has it.
    let host =
        at_home(Run::new(&scene).from("/").flag("--rootfs").flag(&root), HOME, [text(&probe()), "exit", "0"]);
    assert_eq!(host.status, 127, "{host:#?}");
}

#[test]
fn the_root_is_read_only_and_proc_dev_tmp_and_home_are_the_sandboxes_own() {
    let scene = Scene::new();
    let root = alpine(&scene);
    scene.file("alpine/tmp/of-the-rootfs", "x");
    scene.file("alpine/dev/of-the-rootfs", "x");
    let before = fingerprint(&root);
    let line = "for f in /x /bin/x /etc/x /var/lib/x /dev/x /srv/x; do echo x >$f && echo wrote $f; done 2>/dev/null; \
                ls -A /tmp /dev/shm $HOME; ls /dev/of-the-rootfs 2>/dev/null; \
                echo a >/tmp/a && echo b >$HOME/b && echo c >/dev/shm/c && cat /tmp/a $HOME/b /dev/shm/c; \
                echo x >/dev/null && ls -d /proc/[0-9]* | wc -l";
    let outcome = inside(&scene, &root, line);
    let expected = format!("/dev/shm:\n\n/{}:\n\n/tmp:\na\nb\nc\n", HOME.trim_start_matches('/'));
    assert!(outcome.stdout.starts_with(&expected), "{outcome:#?}");
    let processes: u32 = outcome.stdout.lines().last().and_then(|n| n.parse().ok()).expect("a count");
    assert!((2..8).contains(&processes), "only its own processes: {outcome:#?}");
    assert_eq!(fingerprint(&root), before, "the folder changed");
}

#[test]
fn loopback_names_are_known_in_another_systems_root() {
    let scene = Scene::new();
    let root = alpine(&scene);
    // The contract: /etc/hosts holds localhost and our hostname.
    for own_file in [false, true] {
        if own_file {
            scene.file("alpine/etc/hosts", "192.0.2.1 of-the-rootfs\n");
        }
        let outcome = inside(
            &scene,
            &root,
            "cat /etc/hosts; cat /etc/hostname; ping -c 1 -W 1 localhost >/dev/null; true",
        );
        assert!(outcome.stdout.contains("127.0.0.1 localhost"), "own file {own_file}: {outcome:#?}");
        assert!(outcome.stdout.contains("ringfence"), "own file {own_file}: {outcome:#?}");
    }
}

#[test]
fn rows_18_and_19_what_is_not_a_folder_in_place_of_the_sandboxes_own_is_refused() {
    let scene = Scene::new();
    let root = alpine(&scene);
    let victim = scene.folder("victim");
    for (number, name) in ["proc", "dev", "sys", "tmp"].into_iter().enumerate() {
        let place = root.join(name);
        for target in [text(&victim), "../victim", "usr"] {
            let _where_there_is_one = fs::remove_dir(&place);
            symlink(target, &place).expect("just taken away");
            let refused = inside(&scene, &root, "true");
            refused.expect_refusal(&[name, "rootfs"]);
            fs::remove_file(&place).expect("our own link");
        }
        fs::write(&place, "a file").expect("just taken away");
        inside(&scene, &root, "true").expect_refusal(&[name]);
        fs::remove_file(&place).expect("our own file");
        // Control: as a folder, and missing, it is fine.
        if number % 2 == 0 {
            fs::create_dir(&place).expect("just taken away");
        }
        assert_eq!(inside(&scene, &root, "true").status, 0, "{name}");
    }
    assert_eq!(fs::read_dir(&victim).unwrap().count(), 0, "something was made on the host");
}

#[test]
fn a_rootfs_that_is_no_folder_or_not_there_is_refused() {
    let scene = Scene::new();
    let file = scene.file("file", "x");
    inside(&scene, &file, "true").expect_refusal(&["file", "not a folder"]);
    inside(&scene, &scene.path("missing"), "true").expect_refusal(&["missing", "ENOENT"]);
    let link = scene.path("link");
    symlink(alpine(&scene), &link).unwrap();
    assert_eq!(inside(&scene, &link, "exit 3").status, 3, "control: a link to a root is the root");
}

#[test]
fn grants_denials_and_memory_stand_in_another_systems_root() {
    let scene = Scene::new();
    let root = alpine(&scene);
    let work = scene.folder("work");
    scene.file("work/file", "of the host");
    let run = |flags: &[&str], line: &str| {
        let run = Run::new(&scene).from("/").flag("--rootfs").flag(&root).flags(flags);
        at_home(run, HOME, ["/bin/sh", "-c", line])
    };
    // A place at the top, one in a folder of the rootfs that lacks it, and its own path.
    for place in ["/work", "/var/lib/work", "/opt/deep/work", text(&work)] {
        let bind = format!("{}:{place}", text(&work));
        let outcome = run(
            &["--bind", &bind],
            &format!("cat {place}/file && echo x >{place}/made && ls -d /var/lib /bin/sh"),
        );
        assert_eq!(
            (outcome.status, outcome.stdout.as_str()),
            (0, "of the host/bin/sh\n/var/lib\n"),
            "{place}: {outcome:#?}"
        );
        fs::remove_file(work.join("made")).expect("it was written through");
    }
    let denied =
        run(&["--deny", text(&root.join("etc/secret-of-the-rootfs"))], "cat /etc/secret-of-the-rootfs");
    assert_ne!((denied.status, denied.stdout.as_str()), (0, "shown"), "by its path on the host: {denied:#?}");
    let denied = run(&["--deny", "/etc/secret-of-the-rootfs"], "cat /etc/secret-of-the-rootfs");
    assert_ne!((denied.status, denied.stdout.as_str()), (0, "shown"), "by its path inside: {denied:#?}");
    let memory = run(&["--tmpfs", "/srv"], "echo x >/srv/x && cat /srv/x");
    assert_eq!(memory.stdout, "x\n", "{memory:#?}");
    assert_eq!(fs::read_dir(root.join("srv")).unwrap().count(), 0);
}

#[test]
fn a_debootstrapped_root_runs_its_shell_and_its_packages_programs() {
    let root = match debian::root() {
        Ok(root) => root,
        Err(why) => return not_reachable("rootfs, debootstrapped", &why),
    };
    let scene = Scene::new();
    let before = fingerprint(&root);
    let line = ". /etc/os-release; echo $VERSION_CODENAME; perl -MPOSIX -e 'print POSIX::floor(42.5), qq(\\n)'; \
                dpkg --version | head -1 | cut -d, -f1; dpkg-query -W -f '${Status}\\n' bash; id -u; echo $HOME; \
                touch /var/lib/dpkg/x 2>/dev/null || echo read-only; \
                ls -A /tmp; echo x >/tmp/x; cat ~/x 2>/dev/null; \
                ls -d /proc/[0-9]* | wc -l";
    let outcome = inside(&scene, &root, line);
    let lines: Vec<_> = outcome.stdout.lines().collect();
    // SAFETY: no arguments; it cannot fail.
    let own = unsafe { libc::geteuid() }.to_string();
    assert_eq!(lines.len(), 8, "{outcome:#?}");
    assert_eq!(lines[..2], ["bookworm", "42"], "{outcome:#?}");
    assert!(lines[2].starts_with("Debian 'dpkg' package management program version"), "{outcome:#?}");
    assert_eq!(lines[3..7], ["install ok installed", &own, HOME, "read-only"], "{outcome:#?}");
    let processes: u32 = lines[7].parse().expect("a count");
    assert!((2..8).contains(&processes), "{outcome:#?}");
    assert_eq!(fingerprint(&root), before, "the folder changed");
}

#[test]
fn a_script_in_another_systems_root_is_run_by_that_systems_interpreter() {
    let scene = Scene::new();
    let root = alpine(&scene);
    executable(&scene, "alpine/bin/script", "#!/bin/ash\necho $0 ran; readlink /proc/$$/exe\n");
    let run = || Run::new(&scene).from("/").flag("--rootfs").flag(&root);
    let outcome = at_home(run(), HOME, ["script"]);
    assert_eq!(outcome.stdout, "/bin/script ran\n/bin/busybox\n", "{outcome:#?}");
    // /bin/bash is on the host, and not there.
    executable(&scene, "alpine/bin/needs-bash", "#!/bin/bash\necho ran\n");
    let refused = at_home(run(), HOME, ["needs-bash"]);
    assert_eq!((refused.status, refused.stdout.as_str()), (126, ""), "{refused:#?}");
    assert!(refused.stderr.contains("/bin/bash"), "the interpreter is named: {refused:#?}");
}
