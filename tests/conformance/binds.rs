//! What can be shown, and where: single files, odd names, links, sizes, devices, many at once.

use std::os::unix::fs::{PermissionsExt as _, symlink};

use support::{Run, Scene, is_root, not_reachable, outside};

use crate::tools::{finish, shell_outside, text};

#[test]
fn a_single_file_is_shown_at_its_place_and_elsewhere() {
    let scene = Scene::new();
    let file = scene.file("folder/file", "content");
    scene.file("folder/beside", "not granted");
    Run::new(&scene).flag("--ro").flag(&file).probe(["list", text(&scene.path("folder"))]).expect(&["file"]);
    Run::new(&scene).flag("--ro").flag(&file).probe(["write", text(&file), "x"]).expect(&["EROFS"]);
    for place in ["/file", "/etc/file", "/deep/er/file", "/tmp/file", "/run/file"] {
        let spec = |mode: &str| format!("{}:{place}{mode}", text(&file));
        Run::new(&scene).flags(["--bind", &spec(":ro")]).probe(["read", place]).expect(&["content"]);
        Run::new(&scene).flags(["--bind", &spec(":ro")]).probe(["append", place, "x"]).expect(&["EROFS"]);
        Run::new(&scene).flags(["--bind", &spec("")]).probe(["append", place, ""]).expect(&["ok"]);
    }
    Run::new(&scene).flag("--rw").flag(&file).probe(["write", text(&file), "changed"]).expect(&["ok"]);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "changed");
    Run::new(&scene).probe(["open", text(&file)]).expect(&["ENOENT"]);
}

#[test]
fn names_with_spaces_colons_backslashes_and_letters_of_every_language_work() {
    let scene = Scene::new();
    for name in [
        "with space",
        "with:colon",
        "with\\backslash",
        "naïve-éà",
        "日本語",
        "😀",
        "-dash",
        "quote'\"",
        "a=b",
        "$HOME",
        "#x",
        "tab\tin",
        "100%",
        "comma,x",
        "[x]*?{y}",
        "trailing ",
        "~",
        "~user",
    ] {
        let file = scene.file(&format!("odd/{name}/file"), name);
        let folder = scene.path("odd").join(name);
        let run = Run::new(&scene).flag("--ro").flag(&folder);
        run.probe(["read", text(&file)]).expect(&[name.trim()]);
        let escaped = text(&folder).replace(':', "\\:");
        let spec = format!("{escaped}:/in/{}", name.replace(':', "\\:"));
        let inside = format!("/in/{name}/file");
        Run::new(&scene).flags(["--bind", &spec]).probe(["read", &inside]).expect(&[name.trim()]);
    }
}

#[test]
fn a_name_with_a_newline_is_refused_wherever_it_stands() {
    let scene = Scene::new();
    let odd = scene.folder("new\nline");
    let here = text(&odd);
    let spec = format!("{here}:/x");
    for flags in [
        ["--ro", here],
        ["--rw", here],
        ["--bind", &spec],
        ["--bind", "/usr:/new\nline"],
        ["--tmpfs", "/new\nline"],
        ["--deny", here],
        ["--rootfs", here],
        ["--workdir", "/new\nline"],
        ["--env-file", here],
        ["--device", "/dev/new\nline"],
    ] {
        let outcome = Run::new(&scene).flags(flags).run(["/bin/true"]);
        outcome.expect_refusal(&["newline", flags[0]]);
        assert_eq!(outcome.stderr.lines().count(), 1, "it forges a line: {outcome:#?}");
    }
    // Control: it is the newline alone.
    let plain = scene.folder("new line");
    assert_eq!(Run::new(&scene).flag("--ro").flag(&plain).run(["/bin/true"]).status, 0);
}

#[test]
fn a_symlink_as_source_shows_both_names() {
    let scene = Scene::new();
    scene.file("real/file", "content");
    let (real, link) = (scene.path("real"), scene.path("link"));
    symlink(&real, &link).unwrap();
    for (flag, append) in [("--ro", "EROFS"), ("--rw", "ok")] {
        let run = || Run::new(&scene).flag(flag).flag(&link);
        run().probe(["read", text(&link.join("file"))]).expect(&["content"]);
        run().probe(["read", text(&real.join("file"))]).expect(&["content"]);
        run().probe(["append", text(&link.join("file")), ""]).expect(&[append]);
    }
    // A link to a link is followed to its end; a file may be a link as well.
    let (second, file) = (scene.path("second"), scene.path("file-link"));
    symlink(&link, &second).unwrap();
    symlink(real.join("file"), &file).unwrap();
    Run::new(&scene)
        .flag("--ro")
        .flag(&second)
        .probe(["read", text(&second.join("file"))])
        .expect(&["content"]);
    Run::new(&scene).flag("--ro").flag(&file).probe(["read", text(&file)]).expect(&["content"]);
    Run::new(&scene).flag("--ro").flag(&file).probe(["read", text(&real.join("file"))]).expect(&["content"]);
    // Control: not granted, neither name is there; a link that leads nowhere is an error.
    Run::new(&scene).probe(["open", text(&link)]).expect(&["ENOENT"]);
    symlink("nowhere", scene.path("dangling")).unwrap();
    let refused = Run::new(&scene).flag("--ro").flag(scene.path("dangling")).run(["/bin/true"]);
    refused.expect_refusal(&["dangling", "ENOENT"]);
}

#[test]
fn relative_sources_and_home_are_expanded_by_us() {
    let scene = Scene::new();
    scene.file("here/below/file", "relative");
    scene.file("home/below/file", "of the home");
    let here = scene.path("here/below/file");
    let home = scene.path("home/below/file");
    // Shows nothing of the caller's by itself. Its filter is for plain programs, which the probe is not.
    let minimal = || Run::new(&scene).flags(["-p", "minimal", "--allow-degraded=kernel-surface"]);
    minimal().flags(["--ro", "below"]).probe(["read", text(&here)]).expect(&["relative"]);
    minimal().flags(["--ro=./below/../below"]).probe(["read", text(&here)]).expect(&["relative"]);
    minimal().flags(["--ro=~/below"]).probe(["read", text(&home)]).expect(&["of the home"]);
    minimal().flags(["--bind", "~/below:/x:ro"]).probe(["read", "/x/file"]).expect(&["of the home"]);
    minimal().flags(["--bind", "below:/x:ro"]).probe(["read", "/x/file"]).expect(&["relative"]);
    minimal()
        .flags(["--ro", "~somebody/below"])
        .run(["/bin/true"])
        .expect_refusal(&["~somebody", "write it out"]);
}

#[test]
fn memory_folders_are_empty_writable_and_as_large_as_asked() {
    let scene = Scene::new();
    let run = |spec: &str| Run::new(&scene).flag("--tmpfs").flag(spec);
    run("/m:1M").probe(["fill", "/m/file", "900000"]).expect(&["ok"]);
    run("/m:1M").probe(["fill", "/m/file", "1200000"]).expect(&["ENOSPC"]);
    run("/m").probe(["fill", "/m/file", "1200000"]).expect(&["ok"]);
    // The size that the kernel holds, in the units of the contract.
    for (size, kib) in [("64K", 64), ("1.5MiB", 1536), ("2097152", 2048), ("3mb", 3072)] {
        let outcome = run(&format!("/m:{size}")).shell("df -k --output=size /m | tail -1");
        assert_eq!(outcome.answer(), kib.to_string(), "{size}: {outcome:#?}");
    }
    // At a folder of the host it covers what is there.
    let folder = scene.folder("work/folder");
    scene.file("work/folder/file", "x");
    let covered = || Run::new(&scene).flag("--rw").flag(scene.path("work")).flag("--tmpfs").flag(&folder);
    covered().probe(["list", text(&folder)]).expect(&[""]);
    covered().probe(["write", text(&folder.join("made")), "x"]).expect(&["ok"]);
    assert!(!folder.join("made").exists() && folder.join("file").exists());
    // At a folder that every sandbox has it is empty too.
    let etc = run("/etc").shell("ls -A /etc; echo x >/etc/made && cat /etc/made");
    assert_eq!(etc.stdout, "x\n", "{etc:#?}");
    // A colon in the name.
    run("/with\\:colon:64K").probe(["write", "/with:colon/x", "x"]).expect(&["ok"]);
}

#[test]
fn the_flag_that_a_refusal_names_is_one_that_works() {
    let scene = Scene::new();
    let work = scene.folder("work");
    scene.folder("work/deep");
    scene.file("other/file", "x");
    for place in ["deep/place", "missing/place", "place"] {
        let place = work.join(place);
        let spec = format!("{}:{}", text(&scene.path("other")), text(&place));
        let run = || Run::new(&scene).flag("--ro").flag(&work).flags(["--bind", &spec]);
        let refused = run().run(["/bin/true"]);
        refused.expect_refusal(&[text(&place), "does not exist there"]);
        let remedy = refused.field("/error/remedy").as_str().expect("a remedy").to_owned();
        if let Some((_, named)) = remedy.split_once("--tmpfs ") {
            let named = named.split_whitespace().next().expect("a path");
            let given = run().flags(["--tmpfs", named]).probe(["read", text(&place.join("file"))]);
            assert_eq!(given.answer(), "x", "{remedy}: {given:#?}");
        }
        // And so does the other way out.
        std::fs::create_dir_all(&place).expect("our own folder");
        run().probe(["read", text(&place.join("file"))]).expect(&["x"]);
    }
}

#[test]
fn a_missing_mount_point_in_a_bind_is_refused_and_nothing_is_made() {
    let scene = Scene::new();
    let work = scene.folder("work");
    let other = scene.folder("other");
    scene.file("other/file", "x");
    let place = work.join("deep/place");
    let spec = format!("{}:{}", text(&other), text(&place));
    let before = scene.listing();
    for access in ["--ro", "--rw"] {
        let refused = Run::new(&scene).flag(access).flag(&work).flags(["--bind", &spec]).run(["/bin/true"]);
        refused.expect_refusal(&[text(&place), "does not exist there", "on the host first"]);
        assert_eq!(refused.field("/error/code"), "mount-point");
    }
    let after: Vec<_> = scene.listing().into_iter().filter(|line| !line.contains("outside")).collect();
    let before: Vec<_> = before.into_iter().filter(|line| !line.contains("outside")).collect();
    assert_eq!(after, before, "something was made on the host");
    // What goes onto a file must be a file, and the other way round.
    scene.folder("work/deep/place");
    scene.file("work/plain", "");
    let onto_file = format!("{}:{}", text(&other), text(&work.join("plain")));
    Run::new(&scene)
        .flag("--ro")
        .flag(&work)
        .flags(["--bind", &onto_file])
        .run(["/bin/true"])
        .expect_refusal(&["not a folder there"]);
    let onto_folder = format!("{}:{}", text(&other.join("file")), text(&place));
    Run::new(&scene)
        .flag("--ro")
        .flag(&work)
        .flags(["--bind", &onto_folder])
        .run(["/bin/true"])
        .expect_refusal(&["is a folder there"]);
}

/// What a machine may have beside the usual devices; to open one has no effect.
const EXTRA: [&str; 5] = ["/dev/fuse", "/dev/kvm", "/dev/net/tun", "/dev/autofs", "/dev/vsock"];

#[test]
fn a_place_behind_a_symlink_in_a_bind_is_refused_by_name() {
    let scene = Scene::new();
    let work = scene.folder("work");
    scene.folder("work/folder/place");
    scene.folder("victim/place");
    scene.file("other/file", "x");
    symlink("folder", work.join("link")).unwrap();
    symlink("../victim", work.join("out")).unwrap();
    for link in ["link", "out"] {
        let place = work.join(link).join("place");
        let spec = format!("{}:{}", text(&scene.path("other")), text(&place));
        for flags in [["--bind", &spec], ["--tmpfs", text(&place)]] {
            let outcome = Run::new(&scene).flag("--ro").flag(&work).flags(flags).run(["/bin/true"]);
            outcome.expect_refusal(&[text(&place), "symlink"]);
        }
    }
    assert_eq!(std::fs::read_dir(scene.path("victim/place")).unwrap().count(), 0);
    // Control: by its real path it is a place.
    let spec = format!("{}:{}", text(&scene.path("other")), text(&work.join("folder/place")));
    let run = Run::new(&scene).flag("--ro").flag(&work).flags(["--bind", &spec]);
    run.probe(["read", text(&work.join("link/place/file"))]).expect(&["x"]);
}

#[test]
fn extra_devices_are_shown_by_name_and_work() {
    let scene = Scene::new();
    let for_all =
        |path: &&&str| std::fs::metadata(path).is_ok_and(|there| there.permissions().mode() & 0o004 != 0);
    match EXTRA.iter().find(for_all) {
        Some(device) => {
            Run::new(&scene).flags(["--device", device]).probe(["open", device]).expect(&["ok"]);
            Run::new(&scene).probe(["open", device]).expect(&["ENOENT"]);
            outside(["open", device]).expect(&["ok"]);
        }
        None => not_reachable("devices", "none of the usual extra devices may be opened by everybody"),
    }
    // One that is there anyway may be named.
    Run::new(&scene).flags(["--device", "/dev/null"]).probe(["append", "/dev/null", "x"]).expect(&["ok"]);
}

#[test]
fn a_device_that_root_alone_may_open_works_for_roots_program_or_is_refused() {
    let scene = Scene::new();
    let closed =
        |path: &&&str| std::fs::metadata(path).is_ok_and(|there| there.permissions().mode() & 0o006 == 0);
    let Some(device) = EXTRA.iter().find(closed).filter(|_| is_root()) else {
        return not_reachable("closed devices", "it takes root and a device that is root's alone");
    };
    outside(["open", device]).expect(&["ok"]);
    let outcome = Run::new(&scene).flags(["--device", device]).probe(["open", device]);
    // Shown and useless would be the worst of the three.
    assert!(outcome.status == 125 || outcome.answer() == "ok", "{outcome:#?}");
}

#[test]
fn what_is_no_device_is_no_device_and_a_device_is_no_file() {
    let scene = Scene::new();
    let file = scene.file("file", "x");
    for path in [text(&file), "/dev/missing", "/dev/shm", "/etc/passwd"] {
        Run::new(&scene).flags(["--device", path]).run(["/bin/true"]).expect_refusal(&[path]);
    }
    // As a file, a device is refused, with the flag that is meant.
    Run::new(&scene)
        .flags(["--bind", "/dev/zero:/zero"])
        .run(["/bin/true"])
        .expect_refusal(&["/dev/zero", "--device"]);
    Run::new(&scene).flags(["--ro", "/dev/zero"]).run(["/bin/true"]).expect_refusal(&["--device"]);
}

#[test]
fn sockets_and_fifos_cannot_be_granted_by_name() {
    let scene = Scene::new();
    let fifo = scene.path("fifo");
    outside(["make-fifo", text(&fifo)]).expect(&["ok"]);
    let socket = scene.path("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    for path in [&fifo, &socket] {
        for flag in ["--ro", "--rw"] {
            Run::new(&scene)
                .flag(flag)
                .flag(path)
                .run(["/bin/true"])
                .expect_refusal(&[text(path), "process outside"]);
        }
    }
}

#[test]
fn a_thousand_binds_need_no_more_open_files_than_a_login_gives() {
    let scene = Scene::new();
    // What login sessions and most containers have: an open file for each bind would end here.
    let mut run = Run::new(&scene).from("/").through(["prlimit", "--nofile=1024:1024"]);
    for number in 0..1000 {
        scene.file(&format!("many/{number}/file"), &number.to_string());
        let spec = format!("{}:/many/{number}:ro", text(&scene.path(&format!("many/{number}"))));
        run = run.flags(["--bind", &spec]);
    }
    let sum = "cat $(ls */file) | cksum";
    let outcome =
        finish(run.command(["/bin/sh", "-c", &format!("ulimit -n; ls /many | wc -l; cd /many && {sum}")]));
    let control = shell_outside(&format!("cd {} && {sum}", text(&scene.path("many"))));
    let lines: Vec<_> = outcome.stdout.lines().collect();
    assert_eq!(lines, ["1024", "1000", control.answer()], "{}", outcome.stderr);
}

#[test]
fn a_tree_of_binds_shows_what_is_mounted_below_it_too() {
    let scene = Scene::new();
    let folder = scene.folder("folder");
    let below = scene.folder("folder/below");
    let script = format!(r#"mount -t tmpfs none {0} && echo x >{0}/file && exec "$@""#, text(&below));
    let wrapper = ["unshare", if is_root() { "-m" } else { "-Urm" }, "/bin/sh", "-c", &script, "sh"];
    let file = below.join("file");
    let seen = Run::new(&scene).through(wrapper).flag("--ro").flag(&folder).probe(["read", text(&file)]);
    seen.expect(&["x"]);
    assert!(!file.exists(), "control: it is in the mount alone");
}

#[test]
fn the_kernels_own_views_are_never_writable_under_any_name() {
    let scene = Scene::new();
    for spec in ["/sys:/x", "/sys/kernel:/x", "/proc:/x", "/proc/sys:/x", "/proc/sys/kernel:/x:ro"] {
        for flags in [["--bind", spec], ["--rw", spec.split(':').next().unwrap_or_default()]] {
            // Root could waive its identity, and then own what is there.
            let run = Run::new(&scene).flags(["--allow-degraded", "host-root"]).flags(flags);
            let outcome = run.run(["/bin/true"]);
            let what = spec.split(':').next().unwrap_or_default();
            outcome.expect_refusal(&[what, "kernel"]);
        }
    }
    // Control: another folder under the same name.
    let spec = format!("{}:/x", text(&scene.folder("folder")));
    Run::new(&scene).flags(["--bind", &spec]).probe(["write", "/x/made", "x"]).expect(&["ok"]);
}

#[test]
fn places_that_are_a_sandboxes_own_cannot_be_replaced() {
    let scene = Scene::new();
    let folder = scene.folder("folder");
    for place in ["/", "/proc", "/proc/self", "/dev", "/dev/pts", "/dev/shm"] {
        let spec = format!("{}:{place}", text(&folder));
        Run::new(&scene).flags(["--bind", &spec]).run(["/bin/true"]).expect_refusal(&[place]);
    }
    // Control: beside them it works, and HOME, /tmp and /run are the caller's to fill.
    let home = scene.home();
    for place in ["/devices", "/tmp", "/run", "/var/tmp", "/opt", text(&home)] {
        let spec = format!("{}:{place}", text(&folder));
        let run = Run::new(&scene).from("/").flags(["--bind", &spec]);
        let outcome = run.shell(&format!("echo x >{place}/made"));
        assert_eq!(outcome.status, 0, "{place}: {outcome:#?}");
        std::fs::remove_file(folder.join("made")).expect("it was written through");
    }
}
