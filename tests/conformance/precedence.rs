//! Which flag wins: the longest path, in any order; flags over the profile on the same path; a denial always.

use std::path::Path;

use support::{Outcome, Run, Scene};

use crate::tools::text;

/// Every order of up to four flags.
fn orders(flags: &[[String; 2]]) -> Vec<Vec<String>> {
    if flags.is_empty() {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for first in 0..flags.len() {
        let mut rest = flags.to_vec();
        let taken = rest.remove(first);
        for order in orders(&rest) {
            all.push([taken.to_vec(), order].concat());
        }
    }
    all
}

fn flag(name: &str, value: impl AsRef<Path>) -> [String; 2] {
    [name.to_owned(), text(value.as_ref()).to_owned()]
}

/// Which of these files can be written inside, by name.
fn writable<'a>(outcome: &'a Outcome, names: &[&'a str]) -> Vec<&'a str> {
    assert_eq!(outcome.status, 0, "{outcome:#?}");
    names.iter().filter(|name| outcome.stdout.lines().any(|line| line == **name)).copied().collect()
}

#[test]
fn read_only_in_writable_in_read_only_holds_in_any_order() {
    let scene = Scene::new();
    let (a, b, c) = (scene.folder("a"), scene.folder("a/b"), scene.folder("a/b/c"));
    let d = scene.folder("a/b/c/d");
    let line = format!(
        "cd {}; for f in a a/b a/b/c a/b/c/d; do touch $f/made 2>/dev/null && echo $f; done; true",
        text(&scene.path(""))
    );
    let all = ["a", "a/b", "a/b/c", "a/b/c/d"];
    let nested = [flag("--ro", &a), flag("--rw", &b), flag("--ro", &c), flag("--rw", &d)];
    for order in orders(&nested) {
        let outcome = Run::new(&scene).flags(&order).shell(&line);
        assert_eq!(writable(&outcome, &all), ["a/b", "a/b/c/d"], "{order:?}");
    }
    // Control: the other way round it is the other two.
    let opposite = [flag("--rw", &a), flag("--ro", &b), flag("--rw", &c), flag("--ro", &d)];
    for order in orders(&opposite).iter().step_by(7) {
        let outcome = Run::new(&scene).flags(order).shell(&line);
        assert_eq!(writable(&outcome, &all), ["a", "a/b/c"], "{order:?}");
    }
}

#[test]
fn the_longest_path_wins_in_any_order_whatever_its_source() {
    let scene = Scene::new();
    for name in ["outer", "inner", "innermost"] {
        scene.file(&format!("{name}/file"), name);
        scene.folder(&format!("{name}/below/below"));
        scene.file(&format!("{name}/below/file"), &format!("{name} below"));
        scene.file(&format!("{name}/below/below/file"), &format!("{name} below below"));
    }
    let bind =
        |source: &str, place: &str| ["--bind".to_owned(), format!("{}:{place}", text(&scene.path(source)))];
    let flags = [
        bind("outer", "/x"),
        bind("inner", "/x/below"),
        bind("innermost", "/x/below/below"),
        flag("--tmpfs", "/x/below/below/below"),
    ];
    let made: Vec<_> = ["innermost/below"].into_iter().map(|name| scene.path(name)).collect();
    assert!(made.iter().all(|folder| folder.is_dir()), "the mount points exist");
    for order in orders(&flags) {
        let line = "cd /x; cat file; echo; cat below/file; echo; cat below/below/file; echo; ls -A below/below/below";
        let outcome = Run::new(&scene).flags(&order).shell(line);
        assert_eq!(outcome.stdout, "outer\ninner\ninnermost\n", "{order:?}: {outcome:#?}");
    }
}

#[test]
fn a_flag_beats_the_profile_on_the_same_path() {
    let scene = Scene::new();
    let here = scene.folder("here");
    let made = here.join("made");
    let write = |profile: &str, flags: &[&str]| {
        Run::new(&scene).flags(["-p", profile]).flags(flags).probe(["write", text(&made), "x"])
    };
    // `default` shows the working directory read-only, `build` writable.
    write("default", &[]).expect(&["EROFS"]);
    for flags in [&["--rw", "."][..], &["--rw", text(&here)], &["--rw=../here/./"]] {
        write("default", flags).expect(&["ok"]);
    }
    write("build", &[]).expect(&["ok"]);
    write("build", &["--ro", "."]).expect(&["EROFS"]);
    // A deny stays, whichever of the two the folder comes from.
    for profile in ["default", "build"] {
        write(profile, &["--deny", text(&here), "--workdir", "/tmp"]).expect(&["EACCES", "ENOENT"]);
    }
    // Something else entirely on the profile's path.
    let other = scene.folder("other");
    scene.file("other/file", "x");
    let bind = format!("{}:{}:ro", text(&other), text(&here));
    Run::new(&scene).flags(["-p", "build", "--bind", &bind]).probe(["list", text(&here)]).expect(&["file"]);
    Run::new(&scene)
        .flags(["-p", "build", "--tmpfs", text(&here)])
        .probe(["list", text(&here)])
        .expect(&[""]);
}

#[test]
fn a_flag_on_a_shorter_path_leaves_the_profiles_longer_one() {
    let scene = Scene::new();
    let project = scene.folder("project/here");
    let write = |flags: &[&str], file: &str| {
        let made = scene.path("project").join(file);
        Run::new(&scene).from(&project).flags(flags).probe(["write", text(&made), "x"])
    };
    // The profile's read-only `.` is longer than the flag's writable parent, and stays.
    write(&["--rw", ".."], "here/made").expect(&["EROFS"]);
    write(&["--rw", ".."], "made").expect(&["ok"]);
    write(&["-p", "build", "--ro", ".."], "here/made").expect(&["ok"]);
    write(&["-p", "build", "--ro", ".."], "made").expect(&["EROFS"]);
}

#[test]
fn the_same_path_read_only_and_writable_is_a_contradiction_under_any_spelling() {
    let scene = Scene::new();
    let (a, b) = (scene.folder("a"), scene.folder("b"));
    let link = scene.path("link");
    std::os::unix::fs::symlink(&a, &link).unwrap();
    let (a, b, link) = (text(&a), text(&b), text(&link));
    let bind = |source: &str, place: &str| format!("{source}:{place}");
    let before = scene.listing();
    for flags in [
        ["--ro", a, "--rw", a],
        ["--rw", a, "--ro", &format!("{a}/")],
        ["--rw", a, "--ro", &format!("{a}/../a/.")],
        ["--rw", a, "--ro", link],
        ["--ro", a, "--bind", &bind(a, a)],
        ["--ro", a, "--bind", &format!("{}:ro", bind(b, a))],
        ["--bind", &bind(a, "/x"), "--bind", &bind(b, "/x")],
        ["--bind", &bind(a, "/x"), "--bind", &format!("{}:ro", bind(a, "/x/"))],
        ["--rw", a, "--tmpfs", a],
        ["--tmpfs", "/x", "--tmpfs", "/x:1M"],
        ["--bind", &bind(a, "/x"), "--tmpfs", "/x"],
        ["--rw", a, "--deny", a],
    ] {
        for flags in [flags.to_vec(), [&flags[2..], &flags[..2]].concat()] {
            let outcome = Run::new(&scene).flags(&flags).run(["/bin/true"]);
            assert_eq!(
                (outcome.status, outcome.field("/error/code").as_str()),
                (125, Some("contradiction")),
                "{flags:?} {outcome:#?}"
            );
            assert!(!outcome.field("/error/remedy").is_null(), "{flags:?} {outcome:#?}");
        }
    }
    let mut after = scene.listing();
    after.retain(|line| !line.contains("/outside") && !line.contains("/here"));
    let before: Vec<_> =
        before.into_iter().filter(|line| !line.contains("/outside") && !line.contains("/here")).collect();
    assert_eq!(after, before, "something was left behind");
}

#[test]
fn the_same_said_twice_is_no_contradiction() {
    let scene = Scene::new();
    let a = scene.folder("a");
    let link = scene.path("link");
    std::os::unix::fs::symlink(&a, &link).unwrap();
    let (a, link) = (text(&a), text(&link));
    for flags in [
        ["--ro", a, "--ro", a],
        ["--ro", a, "--ro", link],
        ["--rw", a, "--bind", &format!("{a}:{a}")],
        ["--rw", a, "--bind", &format!("{a}:/elsewhere:ro")],
        ["--tmpfs", "/x:1M", "--tmpfs", "/x:1024K"],
        ["--deny", a, "--deny", link],
        ["--device", "/dev/null", "--device", "/dev/null"],
    ] {
        let outcome = Run::new(&scene).flags(flags).run(["/bin/true"]);
        assert_eq!(outcome.status, 0, "{flags:?} {outcome:#?}");
    }
}

#[test]
fn a_host_file_at_two_places_has_each_places_own_access() {
    let scene = Scene::new();
    let a = scene.folder("a");
    let bind = format!("{}:/b", text(&a));
    let run = || Run::new(&scene).flag("--ro").flag(&a).flags(["--bind", &bind]);
    run().probe(["write", text(&a.join("made")), "x"]).expect(&["EROFS"]);
    run().probe(["write", "/b/made", "x"]).expect(&["ok"]);
    run().probe(["read", text(&a.join("made"))]).expect(&["x"]);
}
