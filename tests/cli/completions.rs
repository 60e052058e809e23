//! Completions in a real shell: profiles by name, the caller's own among them, and paths.

use std::process::Command;

use support::{Scene, ringfence};

use crate::tools::{call, finish};

/// What bash would offer for the last word of a line.
fn bash(scene: &Scene, line: &str) -> Vec<String> {
    let programs = scene.folder("programs");
    let _there_since_the_last_call = std::os::unix::fs::symlink(ringfence(), programs.join("ringfence"));
    let script = "source <(ringfence completions bash)\n\
        read -ra COMP_WORDS <<<\"$1\"; [[ $1 == *' ' ]] && COMP_WORDS+=('')\n\
        COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMP_LINE=$1; COMP_POINT=${#1}\n\
        _ringfence ringfence \"${COMP_WORDS[COMP_CWORD]}\" \"${COMP_WORDS[COMP_CWORD-1]}\"\n\
        printf '%s\\n' \"${COMPREPLY[@]}\"";
    let mut command = Command::new("bash");
    command.args(["-c", script, "bash", line]).current_dir(scene.path("here")).env("HOME", scene.home());
    command.env("PATH", format!("{}:/usr/bin:/bin", programs.display())).env_remove("XDG_CONFIG_HOME");
    let said = finish(command);
    // A shell that is not on a terminal has no `compopt`.
    let odd = said.stderr.lines().any(|line| !line.contains("compopt"));
    assert!(!odd, "{line}: {said:#?}");
    said.stdout.lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_flags_profiles_and_paths() {
    let scene = Scene::new();
    scene.file("home/.config/ringfence/profiles/mine.json", "{}");
    scene.file("here/data.txt", "");
    scene.folder("here/folder");
    let offered = |line: &str, word: &str| {
        let words = bash(&scene, line);
        assert!(words.iter().any(|offered| offered == word), "`{line}` offers no `{word}`: {words:?}");
    };
    offered("ringfence to", "top");
    offered("ringfence run --out", "--output-limit");
    for line in [
        "ringfence run -p ",
        "ringfence run --profile mi",
        "ringfence batch -p m",
        "ringfence profile show m",
    ] {
        offered(line, "minimal");
        offered(line, "mine");
    }
    offered("ringfence run -p da", "data.txt");
    offered("ringfence run --ro fo", "folder");
    // Where we have no word bash offers files.
    assert_eq!(bash(&scene, "ringfence report da"), [""]);
    assert!(call(&scene, ["completions", "bash"]).stdout.contains("-o bashdefault -o default ringfence"));
    offered("ringfence run --net h", "host");
}

#[test]
fn a_repository_puts_no_word_of_shell_into_a_completion() {
    let scene = Scene::new();
    scene.file("here/profiles/plain.json", "{}");
    for name in ["$(touch made)", "`touch made`", "a b", "x;touch made", "$HOME"] {
        scene.file(&format!("here/profiles/{name}.json"), "{}");
    }
    let names = call(&scene, ["profile", "list", "--names"]);
    assert!(names.stdout.lines().any(|name| name == "plain"), "control: {names:#?}");
    let plain = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    assert!(names.stdout.lines().all(plain), "{names:#?}");
    assert!(bash(&scene, "ringfence run -p pl").contains(&"plain".to_owned()));
    assert!(!scene.path("here/made").exists());
}
