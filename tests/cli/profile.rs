//! `ringfence profile`: what it prints, what it refuses, and its exit statuses.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;
use support::Scene;

use crate::tools::{Said, command, finish, one_line, text};

/// A call with the scene's own folders for what the user keeps.
fn call(scene: &Scene, words: &[&str]) -> Said {
    let mut line = command(scene, words);
    line.env("XDG_CONFIG_HOME", scene.path("config")).env("XDG_STATE_HOME", scene.path("state"));
    finish(line)
}

#[test]
fn check_says_every_mistake_with_its_line_shown() {
    let scene = Scene::new();
    scene.file(
        "here/bad.toml",
        "name = 'x'\n[limits]\ntimeout = '10 bananas'\n[syscalls]\nallow = ['@default', 'opnat']\nalow = []\n",
    );
    let said = call(&scene, &["profile", "check", "bad.toml"]);
    assert_eq!((said.status, said.stdout.as_str()), (1, ""), "{said:#?}");
    assert!(said.stderr.lines().all(|line| line.starts_with("ringfence: ")), "{said:#?}");
    for line in [
        "ringfence: bad.toml:3:11: ` bananas` in `10 bananas` is not a unit of time; use ms, s, m, h or d",
        "ringfence: 3 | timeout = '10 bananas'",
        "ringfence:   |           ^^^^^^^^^^^^",
        "ringfence: bad.toml:5:22: unknown syscall `opnat`; did you mean `openat`?",
        "ringfence: 5 | allow = ['@default', 'opnat']",
        "ringfence: bad.toml:6:1: unknown key `alow`; did you mean `allow`?",
    ] {
        assert!(said.stderr.lines().any(|there| there == line), "{line}: {said:#?}");
    }
    scene.file("here/good.toml", "name = 'x'\nextends = 'build'\n");
    let said = call(&scene, &["profile", "check", "good.toml"]);
    assert_eq!(
        (said.status, said.stdout.as_str(), said.stderr.as_str()),
        (0, "good.toml: no mistakes\n", "")
    );
    scene.file("here/outer.json", r#"{"extends": "./bad.toml"}"#);
    let said = call(&scene, &["profile", "check", "outer.json"]);
    assert!(said.status == 1 && said.stderr.contains("bad.toml:3:11"), "{said:#?}");
    let said = call(&scene, &["profile", "check", "none.json"]);
    assert!(said.status == 1 && one_line(&said).contains("ENOENT"), "{said:#?}");
    assert_eq!(call(&scene, &["profile", "check"]).status, 2);
}

#[test]
fn a_wrong_profile_starts_nothing_and_its_report_names_the_place() {
    let scene = Scene::new();
    scene.file("here/bad.json", "{\n  \"syscalls\": {\"allow\": [\"opnat\"]}\n}\n");
    let report = scene.folder("reports").join("r");
    let words = ["run", "-p", "./bad.json", "--report", text(&report), "--rw", ".", "--", "touch", "made"];
    let said = call(&scene, &words);
    assert_eq!((said.status, said.stdout.as_str()), (125, ""), "{said:#?}");
    assert!(
        said.stderr.contains("bad.json:2:26: unknown syscall `opnat`; did you mean `openat`?"),
        "{said:#?}"
    );
    assert!(said.stderr.contains("2 |   \"syscalls\": {\"allow\": [\"opnat\"]}"), "{said:#?}");
    let report: Value = serde_json::from_str(&std::fs::read_to_string(report).unwrap()).unwrap();
    assert_eq!(report["error"]["code"], "profile");
    assert!(report["error"]["message"].as_str().unwrap().contains("bad.json:2:26"), "{report:#}");
    assert!(!scene.path("here/made").exists());
}

#[test]
fn list_and_show_say_where_each_comes_from() {
    let scene = Scene::new();
    scene.file("config/ringfence/profiles/mine.toml", "description = 'of the user'\nextends = 'build'\n");
    scene.file("here/profiles/job.json", r#"{"description": "of the project"}"#);
    scene.file("here/profiles/not-a-profile.json", r#"{"unrelated": true}"#);
    let list = call(&scene, &["profile", "list"]);
    assert_eq!((list.status, list.stderr.as_str()), (0, ""));
    let line = |name: &str| list.stdout.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    assert!(line("default ").contains("built in"), "{list:#?}");
    assert!(line("mine ").contains("user") && line("mine ").contains("of the user"), "{list:#?}");
    assert!(line("job ").contains("working directory") && line("job ").contains("not trusted"), "{list:#?}");
    assert_eq!(line("not-a-profile"), "", "{list:#?}");
    let shown = call(&scene, &["profile", "show", "mine"]);
    let profile: Value = serde_json::from_str(&shown.stdout).unwrap();
    assert_eq!(profile["filesystem"]["write"], serde_json::json!(["."]), "what it extends is in it");
    assert!(profile["extends"].is_null() && shown.stderr.contains("mine.toml"), "{shown:#?}");
    // What others can write is not believed, and the list says so.
    let mine = scene.path("config/ringfence/profiles/mine.toml");
    std::fs::set_permissions(&mine, std::fs::Permissions::from_mode(0o666)).unwrap();
    let list = call(&scene, &["profile", "list"]);
    assert!(
        list.stdout.lines().any(|line| line.starts_with("mine ") && line.contains("refused")),
        "{list:#?}"
    );
    let refused = call(&scene, &["run", "-p", "mine", "--", "true"]);
    assert!(refused.status == 125 && one_line(&refused).contains("others may write it"), "{refused:#?}");
}

#[test]
fn a_profile_of_a_repository_counts_once_trusted_and_until_it_changes() {
    let scene = Scene::new();
    scene.file(
        "here/profiles/job.json",
        r#"{"filesystem": {"read": ["."]}, "environment": {"set": {"A": "one"}}}"#,
    );
    let run = || call(&scene, &["run", "-p", "job", "--", "sh", "-c", "echo $A"]);
    let refused = run();
    assert!(refused.status == 125 && one_line(&refused).contains("profile trust"), "{refused:#?}");
    let named = call(&scene, &["run", "-p", "./profiles/job.json", "--", "sh", "-c", "echo $A"]);
    assert_eq!(named.stdout, "one\n", "a path is the caller's own word: {named:#?}");
    let trusted = call(&scene, &["profile", "trust", "profiles/job.json"]);
    assert_eq!((trusted.status, trusted.stdout.as_str()), (0, "+ environment.set: A\n"), "{trusted:#?}");
    assert_eq!(run().stdout, "one\n");
    scene.file("here/profiles/job.json", r#"{"filesystem": {"write": ["."]}, "network": "host"}"#);
    let refused = run();
    assert!(refused.status == 125 && one_line(&refused).contains("has changed"), "{refused:#?}");
    let trusted = call(&scene, &["profile", "trust", "profiles/job.json"]);
    let changes = "+ filesystem.write: .\n+ network: host\n- environment.set: A\n- filesystem.read: .\n";
    assert_eq!((trusted.status, trusted.stdout.as_str()), (0, changes), "{trusted:#?}");
    // Nothing is kept in the repository.
    assert_eq!(std::fs::read_dir(scene.path("here")).unwrap().count(), 1);
    // And it never stands in for a built-in one.
    scene.file("here/profiles/minimal.json", r#"{"environment": {"set": {"A": "shadow"}}}"#);
    let minimal = call(&scene, &["run", "-p", "minimal", "--", "sh", "-c", "echo $A"]);
    assert_eq!(minimal.stdout, "\n", "{minimal:#?}");
}

#[test]
fn the_schema_takes_the_built_in_profiles_and_no_unknown_key() {
    let scene = Scene::new();
    let said = call(&scene, &["profile", "schema"]);
    let schema: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    // Every table of the model is closed, and every key of every built-in profile is in its table.
    let tables = std::iter::once(&schema).chain(schema["$defs"].as_object().unwrap().values());
    for table in tables.filter(|table| table["properties"].is_object()) {
        assert_eq!(table["additionalProperties"], false, "{table:#}");
    }
    for (name, file) in ringfence::policy::BUILTIN_PROFILES {
        takes(&schema, &schema, &serde_json::from_str(file).unwrap(), name);
    }
    let wrong = serde_json::json!({"filesystem": {"reed": ["."]}});
    let refused = std::panic::catch_unwind(|| takes(&schema, &schema, &wrong, "control"));
    assert!(refused.is_err(), "control: an unknown key is seen");
}

/// Panics where a value has a key that its table in the schema lacks.
fn takes(root: &Value, table: &Value, value: &Value, at: &str) {
    let table = match table["$ref"].as_str() {
        Some(name) => root.pointer(name.trim_start_matches('#')).unwrap_or_else(|| panic!("{name}")),
        None => table,
    };
    let Some(properties) = table["properties"].as_object() else { return };
    for (key, inner) in value.as_object().into_iter().flatten() {
        let next = properties.get(key).unwrap_or_else(|| panic!("{at}.{key} is not in the schema"));
        takes(root, next, inner, &format!("{at}.{key}"));
    }
}

#[test]
fn import_reads_what_others_wrote_and_the_result_is_a_profile() {
    let scene = Scene::new();
    scene.file(
        "here/engine.json",
        r#"{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38, "syscalls": [
            {"names": ["read", "write", "no_such_call"], "action": "SCMP_ACT_ALLOW"},
            {"names": ["personality"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 8, "op": "SCMP_CMP_EQ"}]}]}"#,
    );
    scene.file(
        "here/jail.json",
        r#"{"profile_name": "jail", "description": "d", "version": "1", "syscalls": {"default_action": "kill",
            "allowed": ["read", "write", "exit_group"], "blocked": ["ptrace"]}, "limits": {"max_memory_mb": 64}}"#,
    );
    let engine = call(&scene, &["profile", "import", "engine.json"]);
    let profile: Value = serde_json::from_str(&engine.stdout).unwrap_or_else(|e| panic!("{e}: {engine:#?}"));
    assert_eq!(profile["syscalls"]["allow"], serde_json::json!(["read", "write"]));
    assert_eq!(profile["on_violation"], serde_json::json!({"errno": 38}));
    assert!(one_line(&engine).contains("1 unknown names were left out: no_such_call"), "{engine:#?}");
    let jail = call(&scene, &["profile", "import", "jail.json"]);
    let profile: Value = serde_json::from_str(&jail.stdout).unwrap_or_else(|e| panic!("{e}: {jail:#?}"));
    assert_eq!(profile["limits"]["memory"], 64 << 20, "{jail:#?}");
    for (name, said) in [("one", &engine), ("two", &jail)] {
        let file = scene.file(&format!("here/{name}.json"), &said.stdout);
        let checked = call(&scene, &["profile", "check", text(&file)]);
        assert_eq!(checked.status, 0, "{checked:#?}");
    }
    // What three calls cannot start is said before it is tried.
    let refused = call(&scene, &["run", "-p", "jail.json", "--allow-degraded=memory", "--", "true"]);
    assert!(refused.status == 125 && one_line(&refused).contains("`openat`"), "{refused:#?}");
    // The two kinds of file are not taken for each other.
    let swapped = call(&scene, &["run", "-p", "engine.json", "--", "true"]);
    assert!(swapped.status == 125 && swapped.stderr.contains("--seccomp FILE"), "{swapped:#?}");
    let swapped = call(&scene, &["run", "--seccomp", "jail.json", "--", "true"]);
    assert!(swapped.status == 125 && swapped.stderr.contains("is given with -p"), "{swapped:#?}");
}

/// A call that is given a text by a pipe.
fn call_with(scene: &Scene, words: &[&str], input: &str) -> Said {
    use std::io::Write as _;
    use std::process::Stdio;
    let mut line = command(scene, words);
    line.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = line.spawn().expect("it starts");
    // Who refuses the word does not read.
    let _it_says_so = child.stdin.take().expect("it was piped").write_all(input.as_bytes());
    let output = child.wait_with_output().expect("our child");
    Said {
        status: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

#[test]
fn check_and_import_read_a_pipe() {
    let scene = Scene::new();
    scene.file("here/base.toml", "[limits]\nnofile = 64\n");
    let engine = r#"{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW"}]}"#;
    let imported = call_with(&scene, &["profile", "import", "/dev/stdin"], engine);
    let profile: Value =
        serde_json::from_str(&imported.stdout).unwrap_or_else(|e| panic!("{e}: {imported:#?}"));
    assert_eq!(profile["syscalls"]["allow"], serde_json::json!(["read"]));
    // JSON and TOML, with what lies in the working directory.
    for text in [engine, &imported.stdout, r#"{"extends": "./base.toml"}"#, "extends = './base.toml'\n"] {
        let checked = call_with(&scene, &["profile", "check", "/dev/stdin"], text);
        assert_eq!(
            (checked.status, checked.stdout.as_str()),
            (0, "/dev/stdin: no mistakes\n"),
            "{text}: {checked:#?}"
        );
    }
    for (text, word) in [
        ("{\n\"alow\": 1}", "/dev/stdin:2:1: unknown key `alow`"),
        ("alow = 1\n", "/dev/stdin:1:1: unknown key `alow`"),
        ("extends = './none.toml'\n", "none.toml"),
        (&"#".repeat(2 << 20), "larger than 1 MiB"),
    ] {
        let wrong = call_with(&scene, &["profile", "check", "/dev/stdin"], text);
        assert!(wrong.status == 1 && wrong.stderr.contains(word), "{word}: {wrong:#?}");
    }
    // What is neither a file nor a pipe is not waited for.
    let refused = call(&scene, &["profile", "check", "/dev/stdin"]);
    assert!(refused.status == 1 && one_line(&refused).contains("regular file"), "{refused:#?}");
    // A run's own input is the program's.
    let run = call_with(&scene, &["run", "-p", "/dev/stdin", "--", "true"], "{}");
    assert_eq!(run.status, 125, "{run:#?}");
}
