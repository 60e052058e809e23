//! The four examples of the document that asked for a syscall jail with profiles, word for word but for the
//! program's name, on a root of the test's own: they name `/host` and `/sandbox`, which no test may make on
//! the machine. (S2.1)

use std::process::Command;

use support::{Outcome, Scene, is_root, ringfence};

use crate::tools::{finish, python, text};

/// Builds the root and enters it: the host's top-level folders bound into a memory file system, with the
/// scene's folders beside them. pivot_root, because no user namespace can be made in a chroot.
const ENTER: &str = r#"
set -e
root=$1 scene=$2 line=$3
mount -t tmpfs none "$root"
for entry in /*; do
    if [ -L "$entry" ]; then cp -P "$entry" "$root/"
    elif [ -d "$entry" ]; then mkdir "$root$entry"; mount --rbind "$entry" "$root$entry"
    fi
done
for name in host sandbox; do
    mkdir "$root/$name"
    mount --bind "$scene/$name" "$root/$name"
done
cd "$root"
/usr/sbin/pivot_root . .
umount -l .
cd /sandbox
PATH=$scene/bin:$PATH
exec /bin/sh -c "$line"
"#;

const SCRIPT: &str = r#"
import os, sys
data = "/sandbox/data/numbers"
print("hello from", os.path.abspath(sys.argv[0]))
print("data", open(data).read().strip() if os.path.exists(data) else "is not shown")
for path in ["/sandbox/data/new", "/sandbox/workspace/new"]:
    try:
        open(path, "w").write("written")
        print("wrote", path)
    except OSError as error:
        print(type(error).__name__, path)
"#;

/// What the examples expect to be there.
fn scene() -> Scene {
    let scene = Scene::new();
    scene.folder("root");
    scene.folder("sandbox/workspace");
    scene.file("sandbox/script.py", SCRIPT);
    scene.file("sandbox/data/numbers", "the sandbox's own");
    scene.file("host/workspace/script.py", SCRIPT);
    scene.file("host/data/numbers", "1 2 3");
    scene.folder("bin");
    std::os::unix::fs::symlink(ringfence(), scene.path("bin/ringfence")).expect("a fresh folder");
    scene
}

/// Runs one line as a person would type it in `/sandbox`.
fn typed(scene: &Scene, line: &str) -> Outcome {
    // Root needs no user namespace for this, and is then root for the command line under test too.
    let namespaces: &[&str] = if is_root() { &["-m"] } else { &["-Urm"] };
    let mut command = Command::new("unshare");
    command.args(namespaces).args(["/bin/sh", "-c", ENTER, "sh"]);
    command.args([text(&scene.path("root")), text(&scene.path("")), line]);
    command.env("HOME", scene.home()).env("RINGFENCE_RUNTIME_DIR", scene.runtime()).current_dir("/");
    finish(command)
}

#[test]
fn example_1_minimal_runs_echo() {
    let scene = scene();
    let outcome = typed(&scene, "ringfence --profile=minimal -- /bin/echo 'hello world'");
    assert_eq!((outcome.status, outcome.stdout.as_str()), (0, "hello world\n"), "{outcome:#?}");
    assert_eq!(outcome.stderr, "");
    // Control: the same line without the two dashes' meaning is a usage error.
    let control = typed(&scene, "ringfence --profile=minimaal -- /bin/echo 'hello world'");
    assert_eq!((control.status, control.stdout.as_str()), (125, ""), "{control:#?}");
}

#[test]
fn example_2_python_safe_runs_a_script_of_the_working_directory() {
    let scene = scene();
    let outcome = typed(&scene, &format!("ringfence --profile=python-safe -- {} script.py", python()));
    assert_eq!(outcome.status, 0, "{outcome:#?}");
    let expected = "hello from /sandbox/script.py\ndata the sandbox's own\n\
                    OSError /sandbox/data/new\nOSError /sandbox/workspace/new\n";
    assert_eq!(outcome.stdout, expected, "{outcome:#?}");
    // Control: unsandboxed it writes.
    let control = typed(&scene, &format!("{} script.py", python()));
    assert!(control.stdout.contains("wrote /sandbox/data/new"), "{control:#?}");
}

#[test]
fn example_3_a_bind_is_writable_and_its_writes_arrive() {
    let scene = scene();
    let line = format!(
        "ringfence --profile=python-safe --bind=/host/workspace:/sandbox/workspace -- \
         {} /sandbox/workspace/script.py",
        python()
    );
    let outcome = typed(&scene, &line);
    assert_eq!(outcome.status, 0, "{outcome:#?}");
    assert!(outcome.stdout.starts_with("hello from /sandbox/workspace/script.py\n"), "{outcome:#?}");
    assert!(outcome.stdout.contains("wrote /sandbox/workspace/new"), "{outcome:#?}");
    assert!(outcome.stdout.contains("OSError /sandbox/data/new"), "{outcome:#?}");
    let written = scene.path("host/workspace/new");
    assert_eq!(std::fs::read_to_string(written).unwrap(), "written");
    assert!(!scene.path("sandbox/workspace/new").exists(), "the bind covers the folder below it");
}

#[test]
fn example_4_a_read_only_bind_covers_a_folder_of_the_working_directory() {
    let scene = scene();
    let line = format!(
        "ringfence --profile=python-safe --bind=/host/data:/sandbox/data:ro -- {} /sandbox/script.py",
        python()
    );
    let outcome = typed(&scene, &line);
    assert_eq!(outcome.status, 0, "{outcome:#?}");
    let expected = "hello from /sandbox/script.py\ndata 1 2 3\n\
                    OSError /sandbox/data/new\nOSError /sandbox/workspace/new\n";
    assert_eq!(outcome.stdout, expected, "{outcome:#?}");
    assert!(!scene.path("host/data/new").exists());
    // Control: without `:ro` the same bind is written through.
    let control = typed(&scene, &line.replace(":ro", ""));
    assert!(control.stdout.contains("wrote /sandbox/data/new"), "{control:#?}");
    assert_eq!(std::fs::read_to_string(scene.path("host/data/new")).unwrap(), "written");
}

#[test]
fn a_bind_of_the_examples_without_its_source_is_refused_and_nothing_is_made() {
    let scene = scene();
    let line = "ringfence --profile=python-safe --bind=/host/nowhere:/sandbox/data:ro -- /bin/true";
    let before = scene.listing();
    let outcome = typed(&scene, line);
    outcome.expect_refusal(&["/host/nowhere", "ENOENT"]);
    assert_eq!(scene.listing(), before);
}
