//! What people are shown: a report as a page, the live sandboxes as tables. Nothing in it can steer a terminal or look
//! like a line of ours.

use std::process::{Command, Stdio};

use serde_json::Value;
use support::{Run, Scene};

use crate::tools::{call, command, finish, text};

/// What an escape sequence and a newline would make of a page: a line that says that all is well.
const FORGED: &str = "x\u{1b}[2K\nended     exit 0 (status 0)\nringfence: all is well\u{202e}";

/// Every string of a report that may be anything; the closed words would make it no report.
fn forge(value: &mut Value, key: &str) {
    const CLOSED: [&str; 6] = ["reason", "status", "guarantee", "waived", "limits", "schema"];
    match value {
        Value::String(text) if !CLOSED.contains(&key) => FORGED.clone_into(text),
        Value::Array(list) => list.iter_mut().for_each(|value| forge(value, key)),
        Value::Object(fields) => fields.iter_mut().for_each(|(key, value)| forge(value, key)),
        _ => {}
    }
}

#[track_caller]
fn is_plain(page: &str) {
    assert!(!page.contains(|c: char| c.is_control() && c != '\n' || c == '\u{202e}'), "{page:?}");
    let forged = |line: &str| line == "ended     exit 0 (status 0)" || line.starts_with("ringfence: ");
    assert!(!page.lines().any(forged), "{page}");
}

#[test]
fn row_80_nothing_inside_forges_a_line_of_a_report() {
    let scene = Scene::new();
    let file = scene.outside_path("report");
    // The program knows its own words, and says the same on its streams.
    let line = "printf '%s' \"$0\" >&2; printf '%s' \"$0\"; touch \"$0\"; exit 7";
    let run = Run::new(&scene).flags(["--rw", ".", "--report", text(&file)]);
    let said = finish(run.command(["/bin/sh", "-c", line, FORGED]));
    assert_eq!(said.status, 7, "{said:#?}");
    let page = call(&scene, ["report", text(&file)]);
    assert_eq!(page.status, 0, "{page:#?}");
    is_plain(&page.stdout);
    assert!(page.stdout.contains("\nended     exit 7 (status 7)\n"), "{page:#?}");
    // Control: the bytes are there, and printed as they are they forge the line.
    let mut report: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let raw = report["command"][3].as_str().unwrap();
    assert!(raw.lines().any(|line| line == "ended     exit 0 (status 0)"), "{raw:?}");
    // The same of a file that somebody else wrote, in every field.
    forge(&mut report, "");
    report["error"] = serde_json::json!({ "code": FORGED, "step": FORGED, "path": FORGED, "errno": FORGED,
        "message": FORGED, "remedy": FORGED });
    report["violations"] =
        serde_json::json!([{ "kind": FORGED, "what": FORGED, "count": 3, "pid": 1, "allow_with": FORGED }]);
    std::fs::write(&file, report.to_string()).unwrap();
    let page = call(&scene, ["report", text(&file)]);
    assert_eq!(page.status, 0, "{page:#?}");
    is_plain(&page.stdout);
    assert!(page.stdout.matches(r"\u{1b}[2K\nended").count() > 10, "control: it shows them: {page:#?}");
    // As JSON it is JSON again, in which no control character stands as it is.
    let json = call(&scene, ["report", "--json", text(&file)]);
    is_plain(&json.stdout.replace("\u{202e}", ""));
    assert_eq!(serde_json::from_str::<Value>(&json.stdout).unwrap(), report);
}

#[test]
fn row_80_nor_a_line_of_the_tables() {
    let scene = Scene::new();
    let mut child = Run::new(&scene)
        .command(["/bin/sh", "-c", "sleep 600; :", FORGED])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let started = || call(&scene, ["ps", "--json"]).stdout.contains("\"processes\"");
    let end = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !started() {
        assert!(std::time::Instant::now() < end, "it does not start");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    for words in [&["ps"][..], &["top", "--once"], &["top"]] {
        let table = call(&scene, words);
        assert_eq!(
            (table.status, table.stdout.lines().count(), table.stderr.as_str()),
            (0, 2, ""),
            "{table:#?}"
        );
        is_plain(&table.stdout);
        assert!(table.stdout.contains(r"\nended"), "control: {table:#?}");
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn live_sandboxes_have_their_figures() {
    let scene = Scene::new();
    let busy = "dd if=/dev/zero of=/dev/null bs=1k & sleep 600 & wait";
    let mut child = Run::new(&scene)
        .flags(["--name", "busy"])
        .command(["/bin/sh", "-c", busy])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let figures = || {
        let list: Value = serde_json::from_str(&call(&scene, ["ps", "--json"]).stdout).unwrap();
        list["sandboxes"][0]["figures"].clone()
    };
    let end = std::time::Instant::now() + std::time::Duration::from_secs(60);
    let last = loop {
        let figures = figures();
        // The shell and its two children; it burns processor time all along.
        if figures["processes"] == 3 && figures["cpu_us"].as_u64() > Some(200_000) {
            break figures;
        }
        assert!(std::time::Instant::now() < end, "{figures}");
        std::thread::sleep(std::time::Duration::from_millis(50));
    };
    assert!(last["memory_bytes"].as_u64() > Some(100 << 10), "{last}");
    assert!(last["age_us"].as_u64() > Some(100_000), "{last}");
    let table = call(&scene, ["top", "--once"]).stdout;
    let row: Vec<_> = table.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!((row[1], row[4]), ("busy", "3"), "{table}");
    assert!(row[2].parse::<f64>().unwrap() > 0.0, "{table}");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn colour_is_where_it_is_wanted_and_nowhere_else() {
    let scene = Scene::new();
    let said = |variables: &[(&str, &str)], words: &[&str]| {
        let mut command = command(&scene, words);
        command.env_remove("NO_COLOR").env_remove("FORCE_COLOR").envs(variables.iter().copied());
        let said = finish(command);
        (said.stdout.contains('\u{1b}'), said.stderr.contains('\u{1b}'))
    };
    let both = [("NO_COLOR", "1"), ("FORCE_COLOR", "1")];
    for (variables, wanted) in
        [(&[][..], false), (&both[1..], true), (&both[..], false), (&[("FORCE_COLOR", "0")], false)]
    {
        assert_eq!(said(variables, &["ps"]), (wanted, false), "{variables:?}");
        assert_eq!(said(variables, &["report", "/no/such/report"]), (false, wanted), "{variables:?}");
        assert_eq!(said(variables, &["run", "--help"]), (wanted, false), "{variables:?}");
        // A note is no error.
        assert_eq!(said(variables, &["run", "--", "/bin/true"]), (false, false), "{variables:?}");
    }
}

/// A line on a terminal of its own (script(1) makes one); what it showed.
fn on_a_terminal(scene: &Scene, line: &str, variables: &[(&str, &str)]) -> String {
    let mut command = Command::new("script");
    command.args(["-qec", line, "/dev/null"]).current_dir(scene.path("here")).env("HOME", scene.home());
    command
        .env("RINGFENCE", support::ringfence())
        .env("TERM", "xterm")
        .env("RINGFENCE_RUNTIME_DIR", scene.runtime());
    command
        .env_remove("NO_COLOR")
        .env_remove("FORCE_COLOR")
        .envs(variables.iter().copied())
        .stdin(Stdio::null());
    finish(command).stdout
}

#[test]
fn a_terminal_gets_colour_and_a_table_of_its_width() {
    let scene = Scene::new();
    let long = "x".repeat(300);
    let mut child = Run::new(&scene)
        .command(["/bin/sh", "-c", "sleep 600; :", &long])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let end = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while call(&scene, ["ps"]).stdout.lines().count() < 2 {
        assert!(std::time::Instant::now() < end, "it does not start");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    for columns in [80, 40, 120] {
        let shown = on_a_terminal(&scene, &format!("stty cols {columns}; $RINGFENCE ps"), &[]);
        assert!(shown.starts_with("\u{1b}[1mID"), "{shown:?}");
        let plain =
            on_a_terminal(&scene, &format!("stty cols {columns}; $RINGFENCE ps"), &[("NO_COLOR", "1")]);
        assert!(plain.starts_with("ID") && !plain.contains('\u{1b}'), "{plain:?}");
        let widest = plain.lines().map(|line| line.trim_end().chars().count()).max();
        assert!(widest <= Some(columns) && plain.contains('…'), "{columns}: {plain}");
    }
    let error = on_a_terminal(&scene, "$RINGFENCE run --ro /no/such/place -- true", &[]);
    assert!(error.contains("\u{1b}[1;31mringfence:\u{1b}[0m "), "{error:?}");
    child.kill().unwrap();
    child.wait().unwrap();
}
