//! Who the program is: the caller's ids inside, unprivileged ids on the host, and whose its files become.

use std::collections::BTreeSet;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::Path;
use std::process::{Command, Stdio};

use support::{Outcome, Run, Scene, is_root, not_reachable, spare_user};

use crate::tools::{finish, set_mode, shell_outside, text};

const IDS: &str = "id -u; id -g";

fn ids(outcome: &Outcome) -> Vec<u32> {
    assert_eq!(outcome.status, 0, "{outcome:#?}");
    outcome.stdout.split_whitespace().map(|word| word.parse().expect("an id")).collect()
}

/// The lines of an id map, as numbers.
fn map(outcome: &Outcome) -> Vec<Vec<u32>> {
    let numbers = |line: &str| line.split_whitespace().map(|word| word.parse().expect("a number")).collect();
    outcome.stdout.lines().map(numbers).collect()
}

#[test]
fn ids_inside_are_the_callers() {
    let scene = Scene::new();
    let outside = shell_outside(IDS);
    assert_eq!(ids(&Run::new(&scene).shell(IDS)), ids(&outside));
    let names = "id -un; id -gn";
    assert_eq!(Run::new(&scene).shell(names).stdout, shell_outside(names).stdout);
}

#[test]
fn ids_inside_are_the_ones_that_were_asked_for() {
    let scene = Scene::new();
    for (uid, gid) in [(0, 0), (1234, 4321), (65_534, 100), (4_294_967_294, 1)] {
        let flags = [format!("--uid={uid}"), format!("--gid={gid}")];
        let line = format!(
            "{IDS}; getent passwd {uid} >&2; getent group {gid} >&2; echo x >~/x && stat -c '%u %g' ~/x >&2"
        );
        let outcome = Run::new(&scene).flags(&flags).shell(&line);
        assert_eq!(ids(&outcome), [uid, gid], "{outcome:#?}");
        assert!(
            outcome.stderr.ends_with(&format!("{uid} {gid}\n")),
            "its own files are its own: {outcome:#?}"
        );
        assert_eq!(outcome.stderr.lines().count(), 3, "it has a name: {outcome:#?}");
    }
    let one = Run::new(&scene).flags(["--uid", "7"]).shell(IDS);
    assert_eq!(ids(&one), [7, ids(&shell_outside(IDS))[1]]);
}

#[test]
fn another_id_inside_is_no_other_id_on_the_host() {
    let scene = Scene::new();
    let folder = scene.folder("folder");
    let run = |flags: &[&str]| {
        Run::new(&scene)
            .flags(flags)
            .flag("--rw")
            .flag(&folder)
            .shell(&format!("umask 077; echo x >{}/made", text(&folder)))
    };
    for flags in [&[][..], &["--uid", "0", "--gid", "0"], &["--uid", "4000", "--gid", "4000"]] {
        let outcome = run(flags);
        assert_eq!(outcome.status, 0, "{outcome:#?}");
        let made = std::fs::metadata(folder.join("made")).unwrap();
        let of_folder = std::fs::metadata(&folder).unwrap();
        assert_eq!((made.uid(), made.gid()), (of_folder.uid(), of_folder.gid()), "{flags:?}");
        std::fs::remove_file(folder.join("made")).unwrap();
    }
}

#[test]
fn roots_program_is_an_unprivileged_user_of_the_host() {
    if !is_root() {
        return not_reachable("root's identity", "this is about a caller who is root; it runs as root too");
    }
    let scene = Scene::new();
    let mut seen = BTreeSet::new();
    for _ in 0..3 {
        let outcome = Run::new(&scene).shell("cat /proc/self/uid_map /proc/self/gid_map");
        let lines = map(&outcome);
        assert_eq!(lines.len(), 2, "{outcome:#?}");
        assert!(lines.iter().all(|line| line[0] == 0 && line[1] > 65_535 && line[2] == 1), "{outcome:#?}");
        assert_eq!(outcome.row("host-root")["status"], "enforced");
        assert!(
            outcome.row("host-root")["detail"].as_str().unwrap().contains(&lines[0][1].to_string()),
            "{outcome:#?}"
        );
        seen.insert(lines[0][1]);
    }
    assert!(seen.len() > 1, "two sandboxes of root are two users: {seen:?}");
    // From the host's side it is the same.
    let mut child = Run::new(&scene).command(["/bin/sleep", "30"]).stdout(Stdio::null()).spawn().unwrap();
    let mut users = Vec::new();
    crate::tools::wait_for("the program runs", std::time::Duration::from_secs(5), || {
        users = users_below(child.id());
        users.len() == 2 && users[1] != 0
    });
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(users.iter().all(|id| *id > 65_535), "PID 1 and the program: {users:?}");
}

/// Effective user ids of what descends from a process.
fn users_below(process: u32) -> Vec<u32> {
    let children =
        std::fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap_or_default();
    let mut users = Vec::new();
    for child in children.split_whitespace().filter_map(|word| word.parse::<u32>().ok()) {
        let status = std::fs::read_to_string(format!("/proc/{child}/status")).unwrap_or_default();
        let user = status.lines().find_map(|line| line.strip_prefix("Uid:")?.split_whitespace().nth(1));
        users.extend(user.and_then(|id| id.parse::<u32>().ok()));
        users.extend(users_below(child));
    }
    users
}

#[test]
fn what_roots_program_makes_belongs_to_the_folders_owner() {
    if !is_root() {
        return not_reachable("owners", "an ordinary user's folders are their own; it runs as root too");
    }
    let scene = Scene::new();
    for (uid, gid) in [(0, 0), (spare_user(), spare_user() - 7)] {
        let folder = scene.folder("folder");
        chown(&folder, Some(uid), Some(gid)).unwrap();
        let file = scene.file("folder/closed", "content");
        chown(&file, Some(uid), Some(gid)).unwrap();
        set_mode(&file, 0o600);
        set_mode(&folder, 0o700);
        let line = format!(
            "cd {} && cat closed && echo x >>closed && mkdir made && echo x >made/file && stat -c %u closed",
            text(&folder)
        );
        let outcome = Run::new(&scene).flag("--rw").flag(&folder).shell(&line);
        assert_eq!(outcome.stdout, "content0\n", "{outcome:#?}");
        for made in ["made", "made/file", "closed"] {
            let there = std::fs::metadata(folder.join(made)).unwrap();
            assert_eq!((there.uid(), there.gid()), (uid, gid), "{made}");
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }
    // Control: a folder of somebody else, not granted writable, is not theirs to write.
    let folder = scene.folder("closed");
    let outcome = Run::new(&scene).flag("--ro").flag(&folder).probe(["write", text(&folder.join("x")), "x"]);
    outcome.expect(&["EROFS"]);
}

#[test]
fn root_may_choose_a_user_of_the_host() {
    let scene = Scene::new();
    let daemon = shell_outside("id -u daemon; id -g daemon");
    let (uid, gid) = (ids(&daemon)[0], ids(&daemon)[1]);
    let by_number = uid.to_string();
    for user in ["daemon", by_number.as_str()] {
        let run = || Run::new(&scene).flags(["--user", user]);
        if !is_root() {
            run().run(["/bin/true"]).expect_refusal(&["--user", "only root", "--uid"]);
            continue;
        }
        let maps = run().shell("cat /proc/self/uid_map /proc/self/gid_map");
        assert_eq!(map(&maps), [[0, uid, 1], [0, gid, 1]], "{maps:#?}");
        let folder = scene.folder("of-daemon");
        chown(&folder, Some(uid), Some(gid)).unwrap();
        let wrote = run().flag("--rw").flag(&folder).probe(["write", text(&folder.join("made")), "x"]);
        wrote.expect(&["ok"]);
        assert_eq!(std::fs::metadata(folder.join("made")).unwrap().uid(), uid);
        std::fs::remove_file(folder.join("made")).unwrap();
    }
    if is_root() {
        Run::new(&scene)
            .flags(["--user", "no-such-user"])
            .run(["/bin/true"])
            .expect_refusal(&["no-such-user"]);
        Run::new(&scene)
            .flags(["--user", "0"])
            .run(["/bin/true"])
            .expect_refusal(&["host root", "--allow-degraded=host-root"]);
        Run::new(&scene).flags(["--user", "root"]).run(["/bin/true"]).expect_refusal(&["host root"]);
    }
    let auto = Run::new(&scene).flags(["--user", "auto"]).shell(IDS);
    assert_eq!(ids(&auto), ids(&shell_outside(IDS)), "`auto` is what happens anyway");
}

#[test]
fn a_file_system_that_cannot_map_ids_is_refused_and_the_remedies_work() {
    if !is_root() {
        return not_reachable("id maps", "root's alone are mapped; it runs as root too");
    }
    let scene = Scene::new();
    let folder = scene.folder("folder");
    // ramfs maps no ids. Its owner's own program needs no map.
    let script = format!(
        "mount -t ramfs none {0} && chown daemon:daemon {0} && chmod 755 {0} && exec \"$@\"",
        text(&folder)
    );
    let run = || {
        Run::new(&scene).through(["unshare", "-m", "/bin/sh", "-c", &script, "sh"]).flag("--rw").flag(&folder)
    };
    let file = folder.join("made");
    let refused = run().probe(["write", text(&file), "x"]);
    let owner = shell_outside("id -u daemon");
    let by_owner = format!("--user={}", owner.answer());
    refused.expect_refusal(&[text(&folder), "host-root", &by_owner, "--allow-degraded=host-root"]);
    run().flag(&by_owner).probe(["write", text(&file), "x"]).expect(&["ok"]);
    // Root's identity without a capability: it starts, and the file system's permissions are root's to obey.
    run().flag("--allow-degraded=host-root").probe(["open", text(&file)]).expect(&["ENOENT"]);
}

#[test]
fn host_root_waived_by_name_is_in_the_receipt() {
    let scene = Scene::new();
    let outcome = Run::new(&scene).flags(["--allow-degraded=host-root"]).shell("cat /proc/self/uid_map");
    let own = ids(&shell_outside(IDS))[0];
    assert_eq!(map(&outcome), [[own, own, 1]], "{outcome:#?}");
    assert_eq!(outcome.field("/waived"), &serde_json::json!(["host-root"]), "{outcome:#?}");
    if is_root() {
        assert_eq!(outcome.row("host-root")["status"], "waived", "{outcome:#?}");
    } else {
        assert!(outcome.row("host-root").is_null(), "nothing to waive: {outcome:#?}");
    }
    // Waived, everything else holds still.
    let capabilities =
        Run::new(&scene).flags(["--allow-degraded=host-root"]).shell("grep ^CapEff /proc/self/status");
    assert!(capabilities.answer().ends_with("0000000000000000"), "{capabilities:#?}");
}

#[test]
fn a_range_of_ids_is_there_where_the_host_gives_one() {
    let scene = Scene::new();
    let run = |line: &str| Run::new(&scene).flags(["--id-map", "range"]).shell(line);
    let maps = run("cat /proc/self/uid_map; echo --; cat /proc/self/gid_map");
    if maps.status == 125 {
        // Said by name, with what mends it.
        maps.expect_refusal(&[]);
        let mended = maps.stderr.contains("subuid") || maps.stderr.contains("uidmap");
        assert!(mended && !is_root(), "{maps:#?}");
        return not_reachable("id ranges", maps.stderr.trim());
    }
    let count = |text: &str| {
        text.lines()
            .map(|line| line.split_whitespace().nth(2).and_then(|n| n.parse::<u64>().ok()).unwrap_or(0))
            .sum::<u64>()
    };
    let (users, groups) = maps.stdout.split_once("--\n").expect("two maps");
    assert!(count(users) > 1000 && count(groups) > 1000, "{maps:#?}");
    // The caller is who they were, and other ids exist: files of theirs can be made and seen.
    let own = ids(&shell_outside(IDS));
    assert_eq!(ids(&run(IDS)), own);
    let exists = run("touch /tmp/f; stat -c %u /usr /tmp/f | tr '\\n' ' '");
    assert_eq!(exists.answer(), format!("65534 {}", own[0]), "{exists:#?}");
    // Control: without it there is one.
    let single = Run::new(&scene).shell("cat /proc/self/uid_map");
    assert_eq!(map(&single).len(), 1);
    assert_eq!(map(&single)[0][2], 1);
}

#[test]
fn a_range_gives_no_way_to_other_users_of_the_host() {
    let scene = Scene::new();
    let run =
        Run::new(&scene).flags(["--id-map", "range"]).shell("cat /proc/self/uid_map /proc/self/gid_map");
    if run.status == 125 {
        return not_reachable("id ranges", run.stderr.trim());
    }
    // SAFETY: no arguments; it cannot fail.
    let own = unsafe { [libc::geteuid(), libc::getegid()] };
    for line in map(&run) {
        let (first, count) = (line[1], line[2]);
        let is_own = !is_root() && count == 1 && own.contains(&first);
        assert!(is_own || first > 65_535, "an account of the host is in the map: {run:#?}");
    }
    // Setuid and file capabilities give nothing in it.
    let gained = Run::new(&scene)
        .flags(["--id-map", "range", "--uid", "0", "--gid", "0"])
        .shell("grep ^Cap /proc/self/status; chown 1:1 ~ 2>&1");
    assert_eq!(gained.stdout.matches("0000000000000000").count(), 5, "{gained:#?}");
    assert_ne!(gained.status, 0, "{gained:#?}");
}

#[test]
fn a_caller_who_is_root_of_a_namespace_alone_is_an_ordinary_user() {
    let scene = Scene::new();
    let folder = scene.folder("folder");
    let run = || Run::new(&scene).through(["unshare", "-Ur"]);
    let outcome = run().shell("cat /proc/self/uid_map");
    assert_eq!(map(&outcome), [[0, 0, 1]], "{outcome:#?}");
    assert!(outcome.row("host-root").is_null(), "{outcome:#?}");
    run().flag("--rw").flag(&folder).probe(["write", text(&folder.join("made")), "x"]).expect(&["ok"]);
    let made = std::fs::metadata(folder.join("made")).unwrap();
    assert_eq!(made.uid(), std::fs::metadata(&folder).unwrap().uid());
}

#[test]
fn roots_program_runs_what_a_closed_folder_holds_when_it_is_granted() {
    if !is_root() {
        return not_reachable(
            "closed folders",
            "an ordinary user cannot look into them; it runs as root too",
        );
    }
    let scene = Scene::new();
    let closed = scene.folder("closed");
    crate::tools::executable(&scene, "closed/inner/tool", "#!/bin/sh\necho ran\n");
    set_mode(&closed, 0o700);
    let tool = closed.join("inner/tool");
    assert_eq!(Run::new(&scene).flag("--ro").flag(closed.join("inner")).run([text(&tool)]).answer(), "ran");
    // By its path alone, and as a working directory.
    assert_eq!(Run::new(&scene).run([text(&tool)]).answer(), "ran");
    assert_eq!(Run::new(&scene).from(closed.join("inner")).run(["./tool"]).answer(), "ran");
    // Control: that id could not have walked there.
    let id = spare_user().to_string();
    let mut control = Command::new("setpriv");
    control.args(["--reuid", &id, "--regid", &id, "--clear-groups", text(&tool)]);
    assert_ne!(finish(control).status, 0);
    assert!(Path::new(&tool).exists());
}
