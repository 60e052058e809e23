//! Profile `agent`: what steers tools outside stays read-only in a writable project. (DESIGN.md section 6,
//! THREATS rows 25 and 27)

use std::fs;

use support::{Outcome, Run, Scene};

use crate::tools::text;

/// A project with what a version control and an agent keep in it.
fn project(scene: &Scene) -> std::path::PathBuf {
    scene.file("project/main.rs", "fn main() {}");
    scene.file("project/.git/hooks/pre-commit.sample", "#!/bin/sh\n");
    scene.file("project/.git/config", "[core]\n");
    scene.file("project/.git/HEAD", "ref: refs/heads/main\n");
    scene.file("project/.envrc", "export A=1\n");
    scene.file("project/profiles/own.json", "{}");
    scene.path("project")
}

fn agent(scene: &Scene, flags: &[&str], words: &[&str]) -> Outcome {
    Run::new(scene).from(scene.path("project")).flags(["-p", "agent"]).flags(flags).probe(words)
}

/// The files row of the receipt.
fn row(outcome: &Outcome) -> (&str, &str) {
    let row = outcome.row("files");
    (row["status"].as_str().unwrap_or(""), row["detail"].as_str().unwrap_or(""))
}

#[test]
fn what_steers_tools_is_read_only_and_the_rest_of_the_project_is_writable() {
    let scene = Scene::new();
    let project = project(&scene);
    for held in [
        ".git/config",
        ".git/hooks/pre-commit.sample",
        ".git/hooks/pre-commit",
        ".envrc",
        "profiles/own.json",
        "profiles/new",
    ] {
        let path = project.join(held);
        agent(&scene, &[], &["write", text(&path), "x"]).expect(&["EROFS"]);
        // Control: under `build`, which protects nothing, the same write works, on a copy of its own.
        let other = Scene::new();
        let path = self::project(&other).join(held);
        let control = Run::new(&other).from(other.path("project")).flags(["-p", "build"]).probe([
            "write",
            text(&path),
            "x",
        ]);
        control.expect(&["ok"]);
    }
    for free in ["main.rs", "new", ".git/HEAD", ".git/index", ".gitignore"] {
        agent(&scene, &[], &["write", text(&project.join(free)), "x"]).expect(&["ok"]);
    }
    assert_eq!(fs::read_to_string(project.join(".git/config")).unwrap(), "[core]\n");
    assert!(!project.join(".git/hooks/pre-commit").exists());
}

#[test]
fn a_protected_name_cannot_be_renamed_or_removed_away() {
    let scene = Scene::new();
    let project = project(&scene);
    let path = |name: &str| text(&project.join(name)).to_owned();
    for (from, to) in [
        (".git", ".old"),
        (".git/hooks", ".git/old"),
        (".git/config", ".git/old"),
        (".envrc", "old"),
        ("profiles", "old"),
    ] {
        agent(&scene, &[], &["rename", &path(from), &path(to)]).expect(&["EBUSY", "EXDEV", "errno 18"]);
        agent(&scene, &[], &["rename", &path("main.rs"), &path(".envrc")]).expect(&["EBUSY"]);
    }
    agent(&scene, &[], &["remove", &path(".envrc")]).expect(&["EBUSY"]);
    // Control: what is not protected can be.
    agent(&scene, &[], &["rename", &path("main.rs"), &path("moved.rs")]).expect(&["ok"]);
    agent(&scene, &[], &["remove", &path("moved.rs")]).expect(&["ok"]);
}

#[test]
fn a_flag_lifts_one_and_the_others_stay() {
    let scene = Scene::new();
    let project = project(&scene);
    let (config, envrc) = (project.join(".git/config"), project.join(".envrc"));
    agent(&scene, &["--rw", ".git/config"], &["append", text(&config), "x"]).expect(&["ok"]);
    agent(&scene, &["--rw", ".git/config"], &["append", text(&envrc), "x"]).expect(&["EROFS"]);
    agent(&scene, &["--rw", ".git/config"], &["write", text(&project.join(".git/hooks/x")), "x"])
        .expect(&["EROFS"]);
    agent(&scene, &["--rw", ".git/hooks"], &["write", text(&project.join(".git/hooks/x")), "x"])
        .expect(&["ok"]);
    // The whole project said again is not a word on one of its files.
    agent(&scene, &["--rw", "."], &["append", text(&config), "x"]).expect(&["EROFS"]);
    assert_eq!(fs::read_to_string(&config).unwrap(), "[core]\nx");
}

#[test]
fn every_writable_folder_is_protected_not_the_working_directory_alone() {
    let scene = Scene::new();
    project(&scene);
    scene.file("second/.git/config", "[core]\n");
    let second = scene.path("second");
    agent(&scene, &["--rw", text(&second)], &["append", text(&second.join(".git/config")), "x"])
        .expect(&["EROFS"]);
    agent(&scene, &["--rw", text(&second)], &["write", text(&second.join("new")), "x"]).expect(&["ok"]);
    let bind = format!("{}:/second", text(&second));
    agent(&scene, &["--bind", &bind], &["append", "/second/.git/config", "x"]).expect(&["EROFS"]);
}

#[test]
fn a_name_that_is_missing_is_named_in_the_receipt_and_never_made_by_us() {
    let scene = Scene::new();
    let project = project(&scene);
    let before = fs::read_dir(&project).unwrap().count();
    let outcome = agent(&scene, &[], &["exit", "0"]);
    let (status, detail) = row(&outcome);
    assert_eq!(status, "partial", "{outcome:#?}");
    let named: Vec<&str> =
        detail.split([',', ';']).map(|part| part.rsplit(": ").next().unwrap().trim()).collect();
    let missing = |name: &str| named.contains(&text(&project.join(name)));
    assert!(missing(".claude") && missing(".mcp.json") && missing(".gitmodules"), "{detail}");
    assert!(!missing(".envrc") && !missing(".git/config"), "what is there is held: {detail}");
    assert!(outcome.field("/exit/detail").is_null(), "nothing was made: {outcome:#?}");
    assert_eq!(fs::read_dir(&project).unwrap().count(), before, "something was made on the host");
    // Control: where every name is there, or nothing is writable, all of it is enforced.
    let fixed = Run::new(&scene).from(&project).flags(["-p", "agent", "--ro", "."]).probe(["exit", "0"]);
    assert_eq!(row(&fixed).0, "enforced", "{fixed:#?}");
}

#[test]
fn a_missing_name_that_was_made_is_reported_after_the_run() {
    let scene = Scene::new();
    let project = project(&scene);
    let made = project.join(".mcp.json");
    let outcome = agent(&scene, &[], &["write", text(&made), "{}"]);
    outcome.expect(&["ok"]);
    let detail = outcome.field("/exit/detail").as_str().unwrap_or("");
    assert!(detail.contains(text(&made)) && !detail.contains(".claude"), "{outcome:#?}");
    assert!(row(&outcome).1.contains(".mcp.json") && row(&outcome).0 == "partial", "{outcome:#?}");
    // A link is a name too, wherever it leads; a folder as well.
    for (line, name) in [("ln -s nowhere .claude", ".claude"), ("mkdir .husky", ".husky")] {
        let outcome = Run::new(&scene).from(&project).flags(["-p", "agent"]).shell(line);
        let detail = outcome.field("/exit/detail").as_str().unwrap_or("");
        assert!(detail.contains(name), "{line}: {outcome:#?}");
    }
    // Control: made outside of a run, and there before the next, it is held and not reported.
    let outcome = agent(&scene, &[], &["write", text(&made), "again"]);
    outcome.expect(&["EROFS"]);
    assert!(!outcome.field("/exit/detail").as_str().unwrap_or("").contains(".mcp.json"), "{outcome:#?}");
}

#[test]
fn a_protected_name_that_is_a_link_is_held_or_named() {
    let scene = Scene::new();
    let project = project(&scene);
    let link = project.join(".claude");
    scene.file("project/settings/real", "held");
    std::os::unix::fs::symlink("settings/real", &link).unwrap();
    let outcome = agent(&scene, &[], &["write", text(&link), "changed"]);
    let (status, detail) = row(&outcome);
    let held = outcome.answer() == "EROFS";
    assert!(held || (status == "partial" && detail.contains(".claude")), "{outcome:#?}");
    // It was there before: nothing was made.
    let idle = agent(&scene, &[], &["exit", "0"]);
    assert!(!idle.field("/exit/detail").as_str().unwrap_or("").contains(".claude"), "{idle:#?}");
}

#[test]
fn a_linked_git_folder_is_held_or_named_and_the_program_runs() {
    for (target, shown) in [("real-git", true), ("../elsewhere", false)] {
        let scene = Scene::new();
        let project = project(&scene);
        let real = project.join(target);
        fs::rename(project.join(".git"), &real).unwrap();
        std::os::unix::fs::symlink(target, project.join(".git")).unwrap();
        let hook = real.join("hooks/made");
        let outcome = agent(&scene, &[], &["write", text(&project.join(".git/hooks/made")), "x"]);
        assert_eq!(outcome.status, 0, "{target}: {outcome:#?}");
        let (status, detail) = row(&outcome);
        let named = status == "partial" && detail.contains(".git/hooks");
        assert!(named || !hook.exists(), "{target}: {outcome:#?}");
        assert!(shown || !hook.exists(), "{target}: what is not granted was written");
        assert!(!outcome.answer().is_empty());
    }
}

#[test]
fn a_git_file_of_a_worktree_is_no_reason_to_fail() {
    let scene = Scene::new();
    let project = project(&scene);
    fs::remove_dir_all(project.join(".git")).unwrap();
    fs::write(project.join(".git"), "gitdir: /nowhere\n").unwrap();
    let outcome = agent(&scene, &[], &["write", text(&project.join("new")), "x"]);
    outcome.expect(&["ok"]);
    assert!(row(&outcome).1.contains(".git/hooks"), "{outcome:#?}");
}
