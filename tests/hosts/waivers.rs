//! Waivers that stand in a configuration file: of the system or of the user, never of a working directory.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use support::{COVERED_PROC, Run, Scene, is_root, not_reachable, spare_user};

use crate::worse::Host;

/// A user's configuration in a scene's home.
fn config(scene: &Scene, text: &str) -> PathBuf {
    scene.file("home/.config/ringfence/config.toml", text)
}

fn run(scene: &Scene) -> support::Outcome {
    Host::namespace("a container", COVERED_PROC)
        .run(scene)
        .env("XDG_CONFIG_HOME", "")
        .run(["/bin/echo", "ran"])
}

#[test]
fn a_standing_waiver_counts_and_the_receipt_names_its_file() {
    let scene = Scene::new();
    run(&scene).expect_refusal(&["cannot guarantee `processes`"]);
    let file = config(&scene, "# this machine is a container\nallow_degraded = [\"processes\"]\n");
    let outcome = run(&scene);
    assert_eq!((outcome.status, outcome.stdout.as_str()), (0, "ran\n"), "{outcome:#?}");
    let row = outcome.row("processes");
    assert_eq!(row["status"], "partial", "{row:#}");
    let waived = format!("waived by {}", file.display());
    assert!(row["detail"].as_str().unwrap().ends_with(&waived), "{row:#}");
    assert_eq!(outcome.field("/waived"), &serde_json::json!(["processes"]));
    // What holds is not called waived.
    let full = Run::new(&scene).env("XDG_CONFIG_HOME", "").run(["/bin/true"]);
    assert!(!full.row("processes")["detail"].as_str().unwrap().contains("waived"), "{full:#?}");
    // A word of the command line is the caller's own.
    let flagged = Host::namespace("a container", COVERED_PROC)
        .run(&scene)
        .env("XDG_CONFIG_HOME", "")
        .flag("--allow-degraded=processes")
        .run(["/bin/true"]);
    assert!(!flagged.row("processes")["detail"].as_str().unwrap().contains("waived by"), "{flagged:#?}");
    // The variable says where it is, too; a relative path there is ignored.
    let elsewhere = scene.folder("home/.config");
    let named = |value: &Path| {
        Host::namespace("a container", COVERED_PROC)
            .run(&scene)
            .env("XDG_CONFIG_HOME", value)
            .run(["/bin/true"])
    };
    fs::rename(&elsewhere, scene.path("home/other")).unwrap();
    assert_eq!(named(&scene.path("home/other")).status, 0);
    named(&scene.path("home/none")).expect_refusal(&["`processes`"]);
}

#[test]
fn a_working_directory_waives_nothing() {
    let scene = Scene::new();
    for place in ["here/config.toml", "here/ringfence/config.toml", "here/.config/ringfence/config.toml"] {
        scene.file(place, "allow_degraded = [\"processes\"]\n");
    }
    run(&scene).expect_refusal(&["cannot guarantee `processes`"]);
    let relative = Host::namespace("a container", COVERED_PROC)
        .run(&scene)
        .env("XDG_CONFIG_HOME", ".config")
        .run(["/bin/true"]);
    relative.expect_refusal(&["cannot guarantee `processes`"]);
}

#[test]
fn a_configuration_that_is_wrong_starts_nothing_and_points_at_the_line() {
    let scene = Scene::new();
    for (text, words) in [
        ("\nallow_degrade = [\"processes\"]\n", &["config.toml:2:", "allow_degraded"][..]),
        ("allow_degraded = [\"processes\",\n  \"everything\"]\n", &["config.toml:2:", "everything"]),
        ("allow_degraded = [\"fds\"]\n", &["config.toml", "fds", "cannot be waived"]),
        ("allow_degraded = [", &["config.toml:1:", "TOML"]),
    ] {
        config(&scene, text);
        run(&scene).expect_refusal(words);
        Run::new(&scene).env("XDG_CONFIG_HOME", "").run(["/bin/true"]).expect_refusal(words);
    }
}

/// In a container without its owner a file is nobody's: it waives nothing, and hinders nothing.
#[test]
fn a_configuration_whose_owner_is_not_there_waives_nothing() {
    if !is_root() {
        return not_reachable("an owner who is not there", "only root gives files away; it runs as root too");
    }
    let scene = Scene::new();
    let file = config(&scene, "allow_degraded = [\"processes\"]\n");
    assert_eq!(run(&scene).status, 0, "the control: its owner is there");
    std::os::unix::fs::chown(&file, Some(spare_user()), None).unwrap();
    run(&scene).expect_refusal(&["cannot guarantee `processes`"]);
    let good =
        Host::namespace("no container", "true").run(&scene).env("XDG_CONFIG_HOME", "").run(["/bin/true"]);
    assert_eq!(good.status, 0, "{good:#?}");
    // Where the owner is there, and another user, it is refused by name.
    let other = Run::new(&scene).env("XDG_CONFIG_HOME", "").run(["/bin/true"]);
    other.expect_refusal(&["config.toml", "belongs to user"]);
}

#[test]
fn a_configuration_that_others_can_write_starts_nothing() {
    let scene = Scene::new();
    let file = config(&scene, "allow_degraded = [\"processes\"]\n");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
    run(&scene).expect_refusal(&["config.toml", "others may write it", "chmod go-w"]);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(run(&scene).status, 0);
}
