//! What each built-in profile refuses beyond the default, tried inside. `RINGFENCE_PROFILES` names a folder whose files
//! stand for the built-in ones: `cargo xtask mutants` takes each denial out of one, and a check here must fail.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use serde_json::{Value, json};
use support::{Outcome, Run, Scene};

fn word(profile: &str) -> String {
    match std::env::var_os("RINGFENCE_PROFILES") {
        Some(folder) => PathBuf::from(folder).join(format!("{profile}.json")).display().to_string(),
        None => profile.to_owned(),
    }
}

fn inside(profile: &str, words: &[&str]) -> Outcome {
    let scene = Scene::new();
    Run::new(&scene).flags(["-p", &word(profile)]).probe(words)
}

const HANDLE: &[&str] = &["call", "name_to_handle_at", "-100", "text:/", "zeros", "zeros", "0"];
const SECRET_MEMORY: &[&str] = &["call", "memfd_secret", "0"];
const LOCK_ALL: &[&str] = &["call", "mlockall", "0"];
const QUEUE: &[&str] = &["call", "msgget", "0", "0"];
const IDS: &[&str] = &["call", "setresuid", "-1", "-1", "-1"];
const SOCKET: &[&str] = &["call", "socket", "2", "1", "0"];

#[test]
fn what_a_profile_denies_is_refused() {
    for (profile, answer, calls) in [
        ("mcp", "EPERM", &[HANDLE, SECRET_MEMORY, LOCK_ALL, QUEUE, IDS][..]),
        ("node-safe", "EPERM", &[HANDLE, SECRET_MEMORY, LOCK_ALL, QUEUE, IDS]),
        ("python-safe", "EPERM", &[HANDLE, SECRET_MEMORY, QUEUE]),
        ("service", "EPERM", &[HANDLE]),
        ("shell-readonly", "EACCES", &[HANDLE, SOCKET, QUEUE, IDS]),
    ] {
        for call in calls {
            let outcome = inside(profile, call);
            assert_eq!(outcome.answer(), answer, "{profile}: {call:?}: {outcome:#?}");
        }
    }
    // Control: the default lets them pass, to whatever the kernel says.
    for call in [HANDLE, LOCK_ALL, QUEUE, IDS, SOCKET] {
        assert_ne!(inside("default", call).answer(), "EPERM", "{call:?}");
    }
}

#[test]
fn minimal_kills_what_it_does_not_know() {
    let clone: &[&str] = &["clone-plain"];
    let (terminal, signal) =
        (&["call", "ioctl", "0", "21506", "zeros"][..], &["call", "kill", "1", "15"][..]);
    for call in [HANDLE, SOCKET, clone, terminal, signal, &["call", "prctl", "4", "1"]] {
        let outcome = inside("minimal", call);
        assert_eq!(outcome.status, 159, "{call:?}: {outcome:#?}");
        assert_eq!(outcome.field("/exit/reason"), "violation");
    }
    // Control: what its rules name passes.
    for call in [&["call", "kill", "2", "0"][..], &["call", "ioctl", "0", "21505", "zeros"]] {
        assert_eq!(inside("minimal", call).status, 0, "{call:?}");
    }
}

#[test]
fn limits_and_ends_are_what_the_profile_is_for() {
    for (profile, field, value) in [
        ("minimal", "/policy/limits/timeout", json!("10000ms")),
        ("minimal", "/policy/limits/nofile", json!(64)),
        ("minimal", "/policy/filesystem/toolchain", json!("none")),
        ("node-safe", "/policy/limits/timeout", json!("180000ms")),
        ("node-safe", "/policy/limits/nofile", json!(2048)),
        ("python-safe", "/policy/limits/timeout", json!("300000ms")),
        ("python-safe", "/policy/limits/nofile", json!(1024)),
        ("shell-readonly", "/policy/limits/timeout", json!("3600000ms")),
        ("shell-readonly", "/policy/limits/nofile", json!(1024)),
        ("mcp", "/policy/limits/nofile", json!(1024)),
        ("mcp", "/policy/process/end_with_stdin", json!(true)),
        ("service", "/policy/limits/nofile", json!(4096)),
    ] {
        let outcome = inside(profile, &["read", "/proc/self/limits"]);
        assert_eq!(outcome.field(field), &value, "{profile}{field}");
        if let (true, Value::Number(files)) = (field.ends_with("nofile"), &value) {
            let line =
                outcome.stdout.lines().find(|line| line.starts_with("Max open files")).unwrap_or_default();
            assert!(line.split_whitespace().any(|word| word == files.to_string()), "{profile}: {line}");
        }
    }
}

#[test]
fn agent_keeps_every_name_that_steers_tools() {
    const FILES: [&str; 9] = [
        ".git/config",
        ".git/config.worktree",
        ".git/commondir",
        ".git/info/attributes",
        ".gitmodules",
        ".envrc",
        ".env.ringfence",
        ".mcp.json",
        ".pre-commit-config.yaml",
    ];
    const FOLDERS: [&str; 12] = [
        ".git/hooks",
        ".git/modules",
        ".git/worktrees",
        ".ringfence",
        "profiles",
        ".vscode",
        ".idea",
        ".zed",
        ".claude",
        ".cursor",
        ".codex",
        ".husky",
    ];
    let scene = Scene::new();
    let mut names: Vec<_> = FILES.map(str::to_owned).to_vec();
    names.extend(FOLDERS.map(|folder| format!("{folder}/file")));
    // Everybody may write them: what follows is not what their permissions hold.
    for name in names.iter().map(String::as_str).chain(["code"]) {
        let file = scene.file(&format!("here/{name}"), "");
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o666)).unwrap();
    }
    let tries = names.iter().map(|name| format!("echo x >>{name} && echo changed {name}"));
    let line = tries.chain(["echo x >>code && echo changed code".to_owned()]).collect::<Vec<_>>().join("\n");
    let outcome =
        Run::new(&scene).flags(["-p", &word("agent")]).shell(&format!("exec 2>/dev/null\n{line}\nexit 0"));
    assert_eq!(outcome.stdout, "changed code\n", "the control is the last: {outcome:#?}");
}
