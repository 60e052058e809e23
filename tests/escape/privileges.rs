//! Attempts to use or gain privileges.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use support::{Run, Scene, UNFILTERED, is_root, not_reachable, outside, privileged, probe, spare_user};

#[test]
fn row_34_the_root_cannot_be_changed() {
    let scene = Scene::new();
    Run::new(&scene).probe(["pivot-root"]).expect(&["EPERM"]);
    Run::new(&scene).probe(["chroot", "/tmp"]).expect(&["EPERM"]);
    with_privileges(&["chroot", "/tmp"]).expect(&["ok"]);
    // Past the permission check: the kernel looks at the arguments.
    with_privileges(&["pivot-root"]).expect(&["EINVAL", "EBUSY", "ok"]);
}

/// The probe as root of namespaces of its own.
fn with_privileges(words: &[&str]) -> support::Outcome {
    privileged([&[probe().to_str().unwrap()], words].concat())
}

#[test]
fn row_35_files_cannot_be_opened_by_handle() {
    let scene = Scene::new();
    Run::new(&scene).probe(["open-by-handle"]).expect(&["EPERM", "ENOSYS"]);
    if is_root() {
        outside(["open-by-handle"]).expect(&["ok", "ESTALE", "EINVAL"]);
    } else {
        not_reachable("row 35, control", "an ordinary user never gets past the permission check");
    }
}

#[test]
fn row_36_no_device_node_can_be_made() {
    let scene = Scene::new();
    // Landlock refuses it first, where it is; what each layer says alone is tried in `landlock`.
    Run::new(&scene).probe(["make-device", "/tmp/node"]).expect(&["EPERM", "EACCES"]);
    // Control: the same call makes a FIFO; root outside makes the node.
    Run::new(&scene).probe(["make-fifo", "/tmp/node"]).expect(&["ok"]);
    if is_root() {
        let path = scene.path("node");
        outside(["make-device", path.to_str().unwrap()]).expect(&["ok"]);
    }
}

#[test]
fn row_38_a_setuid_program_gives_nothing() {
    let scene = Scene::new();
    let program = "/usr/bin/su";
    let mode = std::fs::metadata(program).map(|m| m.permissions().mode());
    if !mode.is_ok_and(|mode| mode & 0o4000 != 0) {
        return not_reachable("row 38", "there is no setuid /usr/bin/su");
    }
    let inside = Run::new(&scene).flags(["--uid", "1234"]).probe(["effective-user-of", program]);
    inside.expect(&["1234", "gone"]);
    // Control: outside, for a user who is not root, it runs as root.
    let mut control = Command::new("setpriv");
    if is_root() {
        let id = spare_user().to_string();
        control.args(["--reuid", &id, "--regid", &id, "--clear-groups"]);
    }
    let output = control.arg(probe()).args(["effective-user-of", program]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "0", "{output:?}");
}

#[test]
fn row_39_all_five_capability_sets_are_empty() {
    let scene = Scene::new();
    let sets = |outcome: &support::Outcome| -> Vec<String> {
        outcome.stdout.lines().filter(|line| line.starts_with("Cap")).map(str::to_owned).collect()
    };
    let inside = Run::new(&scene).probe(["read", "/proc/self/status"]);
    let empty = sets(&inside);
    assert_eq!(empty.len(), 5, "{inside:#?}");
    assert!(empty.iter().all(|line| line.ends_with("\t0000000000000000")), "{empty:?}");
    assert!(inside.stdout.contains("NoNewPrivs:\t1"));
    // Control: a kept capability is seen in all five.
    let kept =
        Run::new(&scene).flags(["--keep-cap", "NET_BIND_SERVICE"]).probe(["read", "/proc/self/status"]);
    assert_eq!(sets(&kept).len(), 5, "{kept:#?}");
    assert!(sets(&kept).iter().all(|line| line.ends_with("\t0000000000000400")), "{kept:#?}");
    assert!(kept.row("privileges")["detail"].as_str().unwrap().contains("CAP_NET_BIND_SERVICE"));
}

#[test]
fn row_40_supplementary_groups_give_no_access() {
    let scene = Scene::new();
    if !is_root() {
        // Groups cannot be dropped by an ordinary user; the receipt says which remain.
        let groups = Run::new(&scene).probe(["read", "/proc/self/status"]);
        let detail = groups.row("files")["detail"].as_str().unwrap().to_owned();
        // SAFETY: a count of zero only asks how many there are.
        let own = unsafe { libc::getgroups(0, std::ptr::null_mut()) };
        return if own <= 1 {
            not_reachable("row 40", "this user has no supplementary groups");
        } else {
            assert!(detail.contains("supplementary groups remain"), "{detail}");
        };
    }
    let file = scene.file("folder/of-the-group", "secret");
    std::os::unix::fs::chown(&file, Some(spare_user()), Some(4242)).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    let path = file.to_str().unwrap();
    let wrapper = ["setpriv", "--groups", "4242"];
    let inside =
        Run::new(&scene).through(wrapper).flag("--ro").flag(scene.path("folder")).probe(["read", path]);
    inside.expect(&["EACCES"]);
    let status = Run::new(&scene).through(wrapper).probe(["read", "/proc/self/status"]);
    assert!(status.stdout.lines().any(|line| line.trim() == "Groups:"), "{status:#?}");
    // Control: a user outside with that group reads the file.
    let id = (spare_user() - 1).to_string();
    let output = Command::new("setpriv")
        .args(["--reuid", &id, "--regid", &id, "--groups", "4242"])
        .arg(probe())
        .args(["read", path])
        .output();
    assert_eq!(String::from_utf8_lossy(&output.unwrap().stdout).trim(), "secret");
}

#[test]
fn row_42_no_further_user_namespace() {
    let scene = Scene::new();
    // Two layers: the filter, and without it the limit on namespaces.
    Run::new(&scene).probe(["new-user-namespace"]).expect(&["EPERM"]);
    Run::new(&scene).flag(UNFILTERED).probe(["new-user-namespace"]).expect(&["ENOSPC"]);
    outside(["new-user-namespace"]).expect(&["ok"]);
}

#[test]
fn row_98_the_clock_cannot_be_set() {
    let scene = Scene::new();
    Run::new(&scene).probe(["set-clock"]).expect(&["EPERM"]);
    not_reachable("row 98, control", "the clock of this machine is not set, not even to itself");
}
