//! `--deny`: what is hidden stays hidden, by whatever name and through whatever else is shown.

use std::os::unix::fs::symlink;
use std::path::Path;

use support::{Run, Scene};

use crate::tools::text;

/// What a program may see of something hidden.
const HIDDEN: [&str; 2] = ["EACCES", "ENOENT"];

/// A folder with secrets in it.
fn scene() -> Scene {
    let scene = Scene::new();
    scene.file("work/public", "public");
    scene.file("work/secret", "secret");
    scene.file("work/keys/one.pem", "secret");
    scene.file("work/keys/deep/two.pem", "secret");
    scene.file("work/keys/readme", "public");
    scene
}

fn reads(scene: &Scene, flags: &[&str], path: &str) -> support::Outcome {
    Run::new(scene).flags(flags).probe(["read", path])
}

#[test]
fn a_denied_file_and_folder_are_hidden_in_read_only_and_writable_folders() {
    let scene = scene();
    let work = scene.path("work");
    for access in ["--ro", "--rw"] {
        let shown = [access, text(&work)];
        for (denied, inside) in
            [("secret", "secret"), ("keys", "keys/one.pem"), ("keys", "keys/deep/two.pem")]
        {
            let (denied, inside) = (work.join(denied), work.join(inside));
            let flags = [&shown[..], &["--deny", text(&denied)]].concat();
            reads(&scene, &flags, text(&inside)).expect(&HIDDEN);
            Run::new(&scene)
                .flags(&flags)
                .probe(["write", text(&inside), "x"])
                .expect(&["EACCES", "ENOENT", "EROFS"]);
            Run::new(&scene)
                .flags(&flags)
                .probe(["remove", text(&inside)])
                .expect(&["EACCES", "ENOENT", "EROFS", "EBUSY"]);
            reads(&scene, &shown, text(&inside)).expect(&["secret"]);
            reads(&scene, &flags, text(&work.join("public"))).expect(&["public"]);
        }
    }
    assert_eq!(std::fs::read_to_string(work.join("secret")).unwrap(), "secret");
}

#[test]
fn nothing_that_is_granted_below_a_denial_lifts_it() {
    let scene = scene();
    let (work, keys, deep) = (scene.path("work"), scene.path("work/keys"), scene.path("work/keys/deep"));
    let file = deep.join("two.pem");
    for access in ["--ro", "--rw"] {
        let grants = ["--ro", text(&work), access, text(&deep)];
        let denied = [&grants[..], &["--deny", text(&keys)]].concat();
        let outcome = reads(&scene, &denied, text(&file));
        assert_ne!(outcome.answer(), "secret", "{outcome:#?}");
        reads(&scene, &grants, text(&file)).expect(&["secret"]);
    }
}

#[test]
fn a_denial_holds_by_the_hosts_name_and_by_the_name_inside() {
    let scene = scene();
    let work = scene.path("work");
    let bind = format!("{}:/elsewhere", text(&work));
    let secret = work.join("secret");
    reads(&scene, &["--bind", &bind], "/elsewhere/secret").expect(&["secret"]);
    for denied in [text(&secret), "/elsewhere/secret", "/elsewhere/./keys/../secret"] {
        reads(&scene, &["--bind", &bind, "--deny", denied], "/elsewhere/secret").expect(&HIDDEN);
    }
    // Both places at once, denied by one name: the file is what is denied.
    let both = ["--bind", &bind, "--ro", text(&work), "--deny", text(&secret)];
    reads(&scene, &both, "/elsewhere/secret").expect(&HIDDEN);
    reads(&scene, &both, text(&secret)).expect(&HIDDEN);
    // A name inside that is not a name on the host hides that place alone.
    let one = ["--bind", &bind, "--ro", text(&work), "--deny", "/elsewhere/secret"];
    reads(&scene, &one, text(&secret)).expect(&["secret"]);
}

#[test]
fn a_denied_symlink_hides_what_it_leads_to() {
    let scene = scene();
    let work = scene.path("work");
    let link = work.join("link");
    symlink("secret", &link).unwrap();
    let shown = ["--ro", text(&work)];
    reads(&scene, &shown, text(&link)).expect(&["secret"]);
    let denied = [&shown[..], &["--deny", text(&link)]].concat();
    reads(&scene, &denied, text(&link)).expect(&HIDDEN);
    reads(&scene, &denied, text(&work.join("secret"))).expect(&HIDDEN);
    // And a denied file is hidden behind every link to it.
    let secret = work.join("secret");
    let denied = [&shown[..], &["--deny", text(&secret)]].concat();
    reads(&scene, &denied, text(&link)).expect(&HIDDEN);
}

#[test]
fn a_denial_through_a_linked_folder_holds() {
    let scene = scene();
    let work = scene.path("work");
    symlink("keys", work.join("link")).unwrap();
    symlink(work.join("keys/deep"), work.join("far")).unwrap();
    let (one, two) = (work.join("keys/one.pem"), work.join("keys/deep/two.pem"));
    for access in ["--ro", "--rw"] {
        for (denied, file) in [
            ("link/one.pem", &one),
            ("link", &one),
            ("link/deep", &two),
            ("far/two.pem", &two),
            ("far", &two),
        ] {
            let denied = work.join(denied);
            reads(&scene, &[access, text(&work), "--deny", text(&denied)], text(file)).expect(&HIDDEN);
            reads(&scene, &[access, text(&work)], text(file)).expect(&["secret"]);
        }
    }
}

#[test]
fn a_glob_hides_everything_that_it_matches_at_the_start() {
    let scene = scene();
    let work = scene.path("work");
    let here = || Run::new(&scene).from(&work);
    let read =
        |glob: &str, file: &str| here().flags(["--deny", glob]).probe(["read", text(&work.join(file))]);
    let absolute = format!("{}/**/*.pem", text(&work));
    for glob in ["**/*.pem", "./**/*.pem", absolute.as_str(), "keys/{one.pem,deep}", "k[e-f]ys/**", "key?/*"]
    {
        read(glob, "keys/one.pem").expect(&HIDDEN);
        read(glob, "keys/deep/two.pem").expect(&HIDDEN);
        read(glob, "public").expect(&["public"]);
    }
    read("**/*.pem", "keys/readme").expect(&["public"]);
    // One star stays in its folder.
    read("keys/*.pem", "keys/one.pem").expect(&HIDDEN);
    read("keys/*.pem", "keys/deep/two.pem").expect(&["secret"]);
    read("*.pem", "keys/one.pem").expect(&["secret"]);
    // Through a bind, by the name inside.
    let bind = format!("{}:/elsewhere:ro", text(&work));
    let run = |glob: &str| {
        Run::new(&scene).flags(["--bind", &bind, "--deny", glob]).probe(["read", "/elsewhere/keys/one.pem"])
    };
    run("/elsewhere/**/*.pem").expect(&HIDDEN);
    run(&absolute).expect(&HIDDEN);
    run("/nowhere/**/*.pem").expect(&["secret"]);
}

#[test]
fn a_glob_holds_under_every_spelling_of_its_folder() {
    let scene = scene();
    let work = scene.path("work");
    let link = scene.path("link");
    symlink(&work, &link).unwrap();
    let file = work.join("keys/one.pem");
    let (work, scene_path) = (text(&work).to_owned(), text(&scene.path("")).trim_end_matches('/').to_owned());
    for glob in [
        format!("{work}/./keys/*.pem"),
        format!("{work}//keys/*.pem"),
        format!("{work}/../work/keys/*.pem"),
        format!("{}/keys/*.pem", text(&link)),
        format!("{scene_path}/*/keys/*.pem"),
    ] {
        for shown in [work.as_str(), text(&link)] {
            reads(&scene, &["--ro", shown, "--deny", &glob], text(&file)).expect(&HIDDEN);
            reads(&scene, &["--ro", shown], text(&file)).expect(&["secret"]);
        }
    }
}

#[test]
fn a_glob_holds_under_every_spelling_of_its_end() {
    let scene = scene();
    let work = scene.path("work");
    let file = work.join("keys/one.pem");
    let read =
        |pattern: &str| Run::new(&scene).from(&work).flags(["--deny", pattern]).probe(["read", text(&file)]);
    for pattern in
        ["k*", "k*/", "k*//", "k*/one.pem", "k*//one.pem", "k*/./one.pem", "k*/./*.pem", "./k*/", "[k]eys/."]
    {
        read(pattern).expect(&HIDDEN);
    }
    read("x*/").expect(&["secret"]);
    // What leads nowhere that is known is refused, or said to hide nothing: never passed over in silence.
    let odd = read("k*/../keys/one.pem");
    let said = odd.stderr.contains("k*/../keys/one.pem");
    assert!(HIDDEN.contains(&odd.answer()) || said, "{odd:#?}");
}

#[test]
fn a_glob_that_matches_a_folder_above_a_grant_hides_the_grant() {
    let scene = scene();
    let (work, deep) = (scene.path("work"), scene.path("work/keys/deep"));
    let file = deep.join("two.pem");
    let glob = format!("{}/k*", text(&work));
    let inside = format!("{}:/a/b/c", text(&deep));
    for (shown, path) in [
        (["--ro", text(&deep)], text(&file)),
        (["--rw", text(&deep)], text(&file)),
        (["--ro", text(&file)], text(&file)),
        (["--bind", &inside], "/a/b/c/two.pem"),
    ] {
        reads(&scene, &shown, path).expect(&["secret"]);
        // The granted folder's own path on the host is below what the glob matches.
        reads(&scene, &[&shown[..], &["--deny", &glob]].concat(), path).expect(&HIDDEN);
    }
    // By a folder inside that only leads to it.
    reads(&scene, &["--bind", &inside, "--deny", "/a/*"], "/a/b/c/two.pem").expect(&HIDDEN);
    reads(&scene, &["--bind", &inside, "--deny", "/b/*"], "/a/b/c/two.pem").expect(&["secret"]);
}

#[test]
fn a_glob_that_matches_nothing_and_a_path_that_is_not_there_hide_nothing() {
    let scene = scene();
    let work = scene.path("work");
    for denied in ["**/*.none", "missing", "/nowhere/at/all", "/etc/shadow"] {
        let outcome = Run::new(&scene).from(&work).flags(["--deny", denied]).probe(["read", "public"]);
        outcome.expect(&["public"]);
    }
    assert!(!work.join("missing").exists(), "a stub was made on the host");
}

#[test]
fn a_path_with_glob_characters_is_denied_as_it_stands() {
    let scene = Scene::new();
    let work = scene.folder("work");
    let odd = scene.file("work/[a]*?{b}", "secret");
    scene.file("work/a", "public");
    let shown = ["--ro", text(&work)];
    reads(&scene, &shown, text(&odd)).expect(&["secret"]);
    // Escaped, as globs are: backslashes take the meaning away.
    let escaped = format!("{}/\\[a\\]\\*\\?\\{{b\\}}", text(&work));
    let denied = [&shown[..], &["--deny", &escaped]].concat();
    reads(&scene, &denied, text(&odd)).expect(&HIDDEN);
    reads(&scene, &denied, text(&work.join("a"))).expect(&["public"]);
}

#[test]
fn a_relative_denial_holds_in_a_working_directory_with_glob_characters() {
    let scene = Scene::new();
    // Web frameworks name folders so.
    let odd = scene.folder("app/[slug]/{a,b}*");
    let file = scene.file("app/[slug]/{a,b}*/.env", "secret");
    let read = |flags: &[&str]| Run::new(&scene).from(&odd).flags(flags).probe(["read", text(&file)]);
    for pattern in [".env", "./.env", "*.env", "**/.env", ".en[v]"] {
        read(&["--deny", pattern]).expect(&HIDDEN);
    }
    read(&[]).expect(&["secret"]);
    read(&["--deny", "*.none"]).expect(&["secret"]);
}

#[test]
fn a_denial_expands_what_a_grant_expands() {
    let scene = scene();
    let work = scene.path("work");
    scene.file("home/keys/one.pem", "secret");
    let home = scene.path("home/keys");
    let run = |deny: &[&str]| {
        let run = Run::new(&scene).env("WORK", &work).flags(["--ro", "${WORK}", "--ro", "~/keys"]);
        run.flags(deny)
    };
    let of_work = |deny: &[&str]| run(deny).probe(["read", text(&work.join("keys/one.pem"))]);
    let of_home = |deny: &[&str]| run(deny).probe(["read", text(&home.join("one.pem"))]);
    for pattern in ["${WORK}/keys", "${WORK}/keys/*.pem", "${WORK}/**/one.{key,pem}"] {
        of_work(&["--deny", pattern]).expect(&HIDDEN);
    }
    for pattern in ["~/keys/one.pem", "~/keys/*.pem", "~/**/*.pem"] {
        of_home(&["--deny", pattern]).expect(&HIDDEN);
    }
    of_work(&[]).expect(&["secret"]);
    of_home(&[]).expect(&["secret"]);
}

#[test]
fn parts_of_the_system_can_be_denied() {
    let scene = Scene::new();
    for (denied, path) in
        [("/usr/share", "/usr/share"), ("/etc/services", "/etc/services"), ("/usr/bin/env", "/usr/bin/env")]
    {
        assert!(Path::new(path).exists(), "control: {path} is on the host");
        Run::new(&scene).flags(["--deny", denied]).probe(["open", path]).expect(&HIDDEN);
        Run::new(&scene).probe(["open", path]).expect(&["ok"]);
    }
    Run::new(&scene).flags(["--deny", "/bin/env"]).probe(["open", "/usr/bin/env"]).expect(&HIDDEN);
}

#[test]
fn the_sandboxes_own_folders_cannot_be_denied_and_that_is_said() {
    let scene = Scene::new();
    for denied in ["/", "/proc", "/proc/self", "/dev", "/tmp"] {
        let outcome = Run::new(&scene).flags(["--deny", denied]).run(["/bin/true"]);
        outcome.expect_refusal(&[denied]);
    }
}

#[test]
fn a_hidden_file_cannot_be_reached_by_renaming_what_is_around_it() {
    let scene = scene();
    let work = scene.path("work");
    let deny = work.join("keys/deep/two.pem");
    let run = || Run::new(&scene).flag("--rw").flag(&work).flag("--deny").flag(&deny);
    let (keys, moved) = (work.join("keys"), work.join("moved"));
    run().probe(["rename", text(&keys), text(&moved)]).expect(&["EBUSY"]);
    let beside = keys.join("moved");
    run().probe(["rename", text(&keys.join("deep")), text(&beside)]).expect(&["EBUSY"]);
    run().probe(["rename", text(&deny), text(&deny.with_extension("moved"))]).expect(&["EBUSY"]);
    // Control: what is beside it can be moved.
    run().probe(["rename", text(&keys.join("readme")), text(&beside)]).expect(&["ok"]);
    assert!(beside.exists() && deny.exists() && !moved.exists());
}
