//! Attempts on the host's own interfaces, and on the identity of host root.

use std::path::Path;

use support::{Run, Scene, is_root, not_reachable, outside};

#[test]
fn row_65_the_kernels_helpers_cannot_be_redirected() {
    let scene = Scene::new();
    let files = ["/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/sys/kernel/uevent_helper"];
    for file in files {
        Run::new(&scene).probe(["open-write", file]).expect(&["EACCES", "EROFS", "ENOENT"]);
        Run::new(&scene)
            .flags(["--uid", "0", "--gid", "0"])
            .probe(["open-write", file])
            .expect(&["EACCES", "EROFS", "ENOENT"]);
    }
    if is_root() {
        // Control: root outside opens the same file for writing; nothing is written.
        outside(["open-write", files[0]]).expect(&["ok"]);
        // Even with the identity of root, waived by name, the mount layer holds.
        let waived =
            Run::new(&scene).flags(["--allow-degraded", "host-root"]).probe(["open-write", files[0]]);
        waived.expect(&["EROFS", "EACCES"]);
        assert_eq!(waived.row("host-root")["status"], "waived");
    } else {
        not_reachable("row 65, control", "an ordinary user cannot write there outside either");
    }
}

#[test]
fn row_66_the_kernels_dangerous_files_are_covered() {
    let scene = Scene::new();
    for file in
        ["/proc/sysrq-trigger", "/proc/kcore", "/proc/kmsg", "/dev/mem", "/dev/kmsg", "/sys/firmware", "/sys"]
    {
        let inside = Run::new(&scene).probe(["open", file]);
        inside.expect(&["ENOENT", "EACCES"]);
        if Path::new(file).exists() {
            outside(["open", file]).expect(&["ok", "EACCES", "EPERM"]);
        } else {
            not_reachable("row 66, control", &format!("{file} does not exist on this host"));
        }
    }
    outside(["open", "/sys"]).expect(&["ok"]);
}

#[test]
fn row_67_no_kernel_address_is_told() {
    let scene = Scene::new();
    Run::new(&scene).probe(["read", "/proc/kallsyms"]).expect(&["EACCES", "ENOENT"]);
    if Path::new("/proc/kallsyms").exists() {
        outside(["open", "/proc/kallsyms"]).expect(&["ok"]);
    } else {
        not_reachable("row 67, control", "this kernel has no /proc/kallsyms");
    }
}

#[test]
fn host_root_is_not_special() {
    let scene = Scene::new();
    if !is_root() {
        return not_reachable("host-root", "this test is for a caller who is root; it runs as root too");
    }
    let folder = scene.folder("folder");
    let closed = scene.file("folder/closed", "of root");
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o600)).unwrap();
    // Granted, root's file is the program's own, and on the host it stays root's.
    let run = || Run::new(&scene).flag("--rw").flag(&folder);
    run().probe(["read", closed.to_str().unwrap()]).expect(&["of root"]);
    let made = folder.join("made");
    run().probe(["write", made.to_str().unwrap(), "x"]).expect(&["ok"]);
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(&made).unwrap()), 0);
    // Not granted, it is nobody's: a file that only root may read cannot be read through /usr or /etc either.
    let status = run().probe(["read", "/proc/self/status"]);
    let outside_id = Run::new(&scene).probe(["read", "/proc/self/uid_map"]);
    let words: Vec<_> = outside_id.answer().split_whitespace().collect();
    assert_eq!((words[0], words[2]), ("0", "1"), "{outside_id:#?}");
    assert!(words[1].parse::<u32>().unwrap() >= 0x7000_0000, "{outside_id:#?}");
    assert_eq!(status.row("host-root")["status"], "enforced");
}
