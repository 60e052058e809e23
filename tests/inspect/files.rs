//! Files: secrets, folders, setuid files, programs, devices, sockets; and what stays.

use std::fs::{self, Permissions};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;
use std::path::Path;

use support::{Scene, is_root, landlock_abi, not_reachable, without_landlock};

use crate::tools::{EMPTY, call, inspect_below, inspect_empty};

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

fn open_to_all(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("our own file");
}

#[test]
fn a_secret_is_named_where_it_can_be_read_and_nowhere_else() {
    let scene = Scene::new();
    let work = scene.folder("work");
    for name in
        [".env", ".env.example", ".ssh/id_ed25519", ".aws/credentials", ".docker/config.json", "plain"]
    {
        scene.file(&format!("work/{name}"), "s3cr3t");
    }
    scene.file("work/.netrc", "");
    let secrets = |words: &[&str]| {
        let found = inspect_empty(&scene, words);
        let names = found.names("secret").into_iter().map(|name| {
            let name = Path::new(name).strip_prefix(&work).expect("in the folder");
            format!("{} {}", text(name), found.reach("secret", text(&work.join(name))))
        });
        names.collect::<Vec<_>>()
    };
    let hidden = [".ssh", ".env"].map(|name| work.join("**").join(name).display().to_string());
    let work = text(&work);
    assert_eq!(secrets(&[]), [""; 0]);
    let all = [".aws", ".docker/config.json", ".env", ".ssh"];
    assert_eq!(secrets(&["--ro", work]), all.map(|name| format!("{name} read")));
    assert_eq!(secrets(&["--rw", work]), all.map(|name| format!("{name} read-write")));
    let denied = [&["--ro", work][..], &["--deny", &hidden[0], "--deny", &hidden[1]]].concat();
    assert_eq!(secrets(&denied), [".aws read", ".docker/config.json read"]);
    // What is written in it is nobody's business.
    assert!(!call(&scene, &["--json", "--base", "empty", "--ro", work]).stdout.contains("s3cr3t"));
}

#[test]
fn folders_say_what_can_be_done_and_what_stays_where() {
    let scene = Scene::new();
    let (work, inner) = (scene.folder("work"), scene.folder("work/inner"));
    scene.file("work/file", "x");
    let (work, inner) = (text(&work), text(&inner));
    let nothing = inspect_empty(&scene, &[]);
    assert_eq!((nothing.reach("folder", work), nothing.stays().len()), ("no", 0));
    let own = nothing.item("folder", "/tmp").expect("every sandbox has one");
    assert_eq!((&own["reach"], &own["persists"]), (&"own-write".into(), &serde_json::Value::Null));

    let read = inspect_empty(&scene, &["--ro", work]);
    assert_eq!(
        (read.reach("folder", work), read.reach("folder", inner)),
        ("read", "no"),
        "one row for one tree"
    );
    assert_eq!(read.stays().len(), 0);

    let written = inspect_empty(&scene, &["--rw", work, "--ro", inner]);
    assert_eq!((written.reach("folder", work), written.reach("folder", inner)), ("write", "read"));
    assert_eq!(written.stays(), [work]);

    let elsewhere = inspect_empty(&scene, &["--bind", &format!("{work}:/elsewhere")]);
    assert_eq!((elsewhere.reach("folder", "/elsewhere"), elsewhere.stays()), ("write", vec![work]));

    let file = format!("{work}/file");
    let one = inspect_empty(&scene, &["--ro", work, "--rw", &file]);
    assert_eq!(
        (one.reach("folder", work), one.reach("file", &file), one.stays()),
        ("read", "write", vec![&*file])
    );
}

#[test]
fn setuid_files_are_named_and_that_they_have_no_effect() {
    let scene = Scene::new();
    let work = scene.folder("work");
    let tool = scene.program("work/tool", Path::new("/bin/true"));
    let plain = scene.program("work/plain", Path::new("/bin/true"));
    open_to_all(&tool, 0o6755);
    open_to_all(&plain, 0o755);
    let found = inspect_empty(&scene, &["--ro", text(&work)]);
    assert_eq!(found.names("setuid"), [text(&tool)]);
    let item = found.item("setuid", text(&tool)).expect("it was just named");
    assert_eq!(item["reach"], "without-effect");
    assert!(
        item["detail"].as_str().is_some_and(|detail| detail.starts_with("setuid, setgid, without effect"))
    );
    assert_eq!(inspect_empty(&scene, &[]).names("setuid"), [""; 0]);
}

#[test]
fn programs_are_counted_and_interpreters_named_where_they_can_be_executed() {
    let scene = Scene::new();
    let work = scene.folder("work");
    for name in ["python3.99", "plain"] {
        open_to_all(&scene.program(&format!("work/{name}"), Path::new("/bin/true")), 0o755);
    }
    open_to_all(&scene.program("work/perl", Path::new("/bin/true")), 0o644);
    let words = ["--ro", text(&work)];
    let found = inspect_empty(&scene, &words);
    assert_eq!(found.names("program"), [text(&work.join("python3.99"))]);
    assert_eq!(found.0["executables"], 2);
    // A profile that lets nothing be executed after the start.
    let found = inspect_empty(&scene, &[&["-p", "minimal"], &words[..]].concat());
    assert_eq!((found.names("program").len(), &found.0["executables"]), (0, &0.into()));
    // A refused question is not taken for a refused exec.
    let profile =
        r#"{"extends": "default", "filesystem": {"base": "empty"}, "syscalls": {"deny": ["execveat"]}}"#;
    let profile = scene.file("no-question.json", profile);
    let found = crate::tools::inspect(&scene, &["-p", text(&profile), "--ro", text(&work)]);
    assert_eq!((found.names("program").len(), &found.0["executables"]), (1, &2.into()));
    // Nor from a folder that can be written, where the commands are named.
    let profile = scene.file("job.json", r#"{"filesystem": {"commands": ["true"]}}"#);
    let found = crate::tools::inspect(&scene, &["-p", text(&profile), "--rw", text(&work)]);
    assert_eq!(found.reach("folder", text(&work)), "write");
    assert_eq!(found.reach("program", text(&work.join("python3.99"))), "no");
}

#[test]
fn a_device_that_is_shown_opens_and_no_other() {
    let scene = Scene::new();
    let ordinary =
        ["null", "zero", "full", "random", "urandom", "tty", "ptmx"].map(|name| format!("/dev/{name}"));
    let usable = |path: &Path| {
        let Ok(metadata) = fs::metadata(path) else { return false };
        let kind = metadata.file_type();
        let theirs = if is_root() { metadata.uid() == 0 } else { metadata.mode() & 0o004 != 0 };
        kind.is_char_device() && theirs && !ordinary.contains(&text(path).to_owned())
    };
    // Harmless to open, and by nothing but their bits.
    let wanted = ["/dev/fuse", "/dev/kvm", "/dev/net/tun", "/dev/hwrng", "/dev/rtc0"].map(Path::new);
    let Some(device) = wanted.into_iter().find(|path| usable(path)) else {
        return not_reachable("a device that opens", "there is none that this user may open");
    };
    let as_root: &[&str] = if is_root() { &["--allow-degraded=host-root"] } else { &[] };
    let found = inspect_empty(&scene, &[as_root, &["--device", text(device)]].concat());
    assert_ne!(found.reach("device", text(device)), "no", "{:?}", found.names("device"));
    let found = inspect_empty(&scene, as_root);
    assert_eq!(found.reach("device", text(device)), "no");
    assert_eq!(found.reach("device", "/dev/null"), "read-write");
}

/// More entries than are looked at for sockets when a sandbox starts: what its receipt calls partial.
fn crowded(scene: &Scene) -> std::path::PathBuf {
    let folder = scene.folder("crowd");
    for number in 0..4_200 {
        fs::write(folder.join(number.to_string()), "").expect("our own folder");
    }
    scene.folder("crowd/below");
    folder
}

#[test]
fn a_unix_socket_that_somebody_listens_on_is_found() {
    let scene = Scene::new();
    let few = scene.folder("few");
    let crowd = crowded(&scene);
    let listen = |path: &Path| {
        let listener = UnixListener::bind(path).expect("a socket in our own folder");
        open_to_all(path, 0o777);
        listener
    };
    let covered = few.join("socket");
    let open = crowd.join("below/socket");
    let _listeners = [listen(&covered), listen(&open)];
    // Landlock holds connects from ABI 9: the host plays one that has none.
    let wrapper = without_landlock();
    let words = [&EMPTY[..], &["--ro", text(&few), "--ro", text(&crowd)]].concat();
    let found = inspect_below(&wrapper, &scene, &words);
    assert_eq!(found.reach("socket", text(&covered)), "no", "it is covered at the start");
    assert_eq!(found.reach("socket", text(&open)), "connect");
    assert_eq!(found.stays(), ["whatever its owner keeps"]);
    if landlock_abi().is_some_and(|abi| abi >= 9) {
        let found = inspect_below(&[], &scene, &words);
        assert_eq!(found.reach("socket", text(&open)), "no");
    }
}

#[test]
fn names_steer_no_terminal_and_forge_no_line() {
    let scene = Scene::new();
    let work = scene.folder("work");
    let odd = work.join("a\nsecret  read  host-key\u{1b}[2J");
    fs::create_dir(&odd).expect("our own folder");
    fs::write(odd.join(".env"), "x").expect("our own folder");
    open_to_all(&odd, 0o755);
    let words = ["--ro", text(&work)];
    let found = inspect_empty(&scene, &words);
    assert_eq!(found.names("secret"), [text(&odd.join(".env"))]);
    let printed = call(&scene, &[&EMPTY[..], &words].concat()).stdout;
    assert!(printed.contains(r"a\nsecret  read  host-key\u{1b}[2J/.env"), "{printed}");
    assert!(!printed.chars().any(|c| c.is_control() && c != '\n'));
    assert!(!printed.lines().any(|line| line.starts_with("secret  read  host-key")));
}

#[test]
fn nothing_is_left_behind() {
    let scene = Scene::new();
    let work = scene.folder("work");
    scene.file("work/a/.env", "x");
    scene.file("work/b", "y");
    let times = |path: &Path| {
        let metadata = fs::metadata(path).expect("it is there");
        (metadata.mtime(), metadata.mtime_nsec(), metadata.ctime(), metadata.ctime_nsec())
    };
    let watched = ["", "a", "a/.env", "b"].map(|name| work.join(name));
    let before = (scene.listing(), watched.clone().map(|path| times(&path)));
    let found = inspect_empty(&scene, &["--rw", text(&work)]);
    assert_eq!(found.reach("folder", text(&work)), "write");
    assert_eq!((scene.listing(), watched.map(|path| times(&path))), before);
}

#[test]
fn another_systems_root_is_looked_at_like_any_other() {
    let scene = Scene::new();
    let root = scene.folder("root");
    for name in ["root/etc", "root/proc", "root/dev", "root/tmp", "root/srv"] {
        scene.folder(name);
    }
    scene.file("root/etc/shadow", "root:x");
    open_to_all(&root.join("etc/shadow"), 0o644);
    let found = crate::tools::inspect(&scene, &["--rootfs", text(&root)]);
    assert_eq!(found.reach("secret", "/etc/shadow"), "read");
    assert_eq!((found.reach("file", "/etc/shadow"), found.reach("folder", "/srv")), ("read", "read"));
    assert!(!found.names("folder").contains(&"/usr"), "none of the host's programs");
}
