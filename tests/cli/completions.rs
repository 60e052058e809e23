//! Completions in real shells: profiles by name, the caller's own among them, and paths.

use std::process::Command;

use support::{Scene, not_reachable, ringfence};

use crate::tools::{Said, call, finish, installed};

/// A shell that finds our program, in a folder with a home that holds nothing else.
fn shell(scene: &Scene, words: &[&str]) -> Said {
    let programs = scene.folder("programs");
    let _there_since_the_last_call = std::os::unix::fs::symlink(ringfence(), programs.join("ringfence"));
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).current_dir(scene.path("here")).env("HOME", scene.home());
    command.env("PATH", format!("{}:/usr/bin:/bin", programs.display())).env_remove("XDG_CONFIG_HOME");
    finish(command)
}

/// What bash would offer for the last word of a line.
fn bash(scene: &Scene, line: &str) -> Vec<String> {
    let script = "source <(ringfence completions bash)\n\
        read -ra COMP_WORDS <<<\"$1\"; [[ $1 == *' ' ]] && COMP_WORDS+=('')\n\
        COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMP_LINE=$1; COMP_POINT=${#1}\n\
        _ringfence ringfence \"${COMP_WORDS[COMP_CWORD]}\" \"${COMP_WORDS[COMP_CWORD-1]}\"\n\
        printf '%s\\n' \"${COMPREPLY[@]}\"";
    let said = shell(scene, &["bash", "-c", script, "bash", line]);
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

/// What fish would offer: a line each, what it is behind a tabulator.
fn fish(scene: &Scene, line: &str) -> Vec<String> {
    let script = "ringfence completions fish | source; complete -C $argv[1]";
    let said = shell(scene, &["fish", "--no-config", "-c", script, line]);
    assert_eq!((said.status, said.stderr.as_str()), (0, ""), "{line}: {said:#?}");
    said.stdout.lines().filter_map(|line| line.split('\t').next()).map(str::to_owned).collect()
}

/// What zsh writes on a terminal after two tabulators: the word completed, or the list of them.
fn zsh(scene: &Scene, line: &str) -> Vec<String> {
    let functions = scene.folder("functions");
    std::fs::write(functions.join("_ringfence"), call(scene, ["completions", "zsh"]).stdout).unwrap();
    // The editor of lines says when it reads keys: what is typed before would go to the terminal's own.
    let script = "zmodload zsh/zpty; zpty z zsh -f -i\n\
        zpty -w z \"PROMPT=; fpath=($1 \\$fpath); autoload -Uz compinit; compinit -u -D; LISTMAX=1000\"\n\
        zpty -w z \"zle-line-init() { print BE''GIN }; zle -N zle-line-init\"\n\
        zpty -r -m z out '*BEGIN*'\n\
        zpty -w -n z \"$2\"$'\\t\\t\\C-u'\"echo E''ND\"$'\\n'\n\
        zpty -r -m z out '*END*'; print -r -- \"$out\"; zpty -d z";
    let said = shell(scene, &["zsh", "-f", "-c", script, "zsh", functions.to_str().unwrap(), line]);
    assert!(said.status == 0 && !said.stdout.contains("rror"), "{line}: {said:#?}");
    let steers = |c: char| c.is_whitespace() || c == '\u{1b}';
    let words = said.stdout.split(steers).map(|word| word.trim_start_matches("[J").trim_end_matches("[1m="));
    words.map(|word| word.trim_end_matches('=').to_owned()).collect()
}

/// A shell by its name, and what it offers for a line.
type Asked = (&'static str, fn(&Scene, &str) -> Vec<String>);

#[test]
fn fish_and_zsh_complete_commands_flags_profiles_and_paths() {
    let scene = Scene::new();
    scene.file("home/.config/ringfence/profiles/mine.json", "{}");
    scene.file("here/data.txt", "");
    let shells: [Asked; 2] = [("fish", fish), ("zsh", zsh)];
    for (name, ask) in shells {
        if !installed(name) {
            not_reachable("completions", &format!("{name} is not installed"));
            continue;
        }
        for (line, word) in [
            ("ringfence comp", "completions"),
            ("ringfence run --outp", "--output-limit"),
            ("ringfence run -p ", "minimal"),
            ("ringfence run -p ", "mine"),
            ("ringfence run -p da", "data.txt"),
            ("ringfence run --ro da", "data.txt"),
            ("ringfence run --net h", "host"),
        ] {
            let words = ask(&scene, line);
            // The second tabulator may go on to the flag's value.
            let is_it = |offered: &String| offered == word || offered.starts_with(&format!("{word}="));
            assert!(words.iter().any(is_it), "{name}: `{line}` offers no `{word}`: {words:?}");
        }
        let control = ask(&scene, "ringfence run --no-such");
        assert!(!control.iter().any(|word| word == "--output-limit"), "{name}: {control:?}");
    }
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
