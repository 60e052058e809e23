//! Inspections, and what they found.

use std::ffi::{OsStr, OsString};
use std::process::{Command, Stdio};

use serde_json::Value;
use support::{Scene, ringfence};

/// Nothing of the host's programs is walked: the least that a test needs.
pub(crate) const EMPTY: [&str; 2] = ["--base", "empty"];

/// What one call left.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// `ringfence inspect` with these words, below `wrapper`, from the scene's folder `here`.
pub(crate) fn call_below(wrapper: &[OsString], scene: &Scene, words: &[&str]) -> Said {
    let program = wrapper.iter().cloned().chain([ringfence().into_os_string()]);
    let words = program.chain(["inspect"].iter().chain(words).map(|word| OsStr::new(word).to_owned()));
    let words: Vec<_> = words.collect();
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).current_dir(scene.path("here")).env("HOME", scene.home());
    let output = command.stdin(Stdio::null()).output().expect("it starts");
    Said {
        status: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).expect("what we say is UTF-8"),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

pub(crate) fn call(scene: &Scene, words: &[&str]) -> Said {
    call_below(&[], scene, words)
}

/// What was found.
#[derive(Debug)]
pub(crate) struct Found(pub(crate) Value);

impl Found {
    pub(crate) fn items(&self) -> &[Value] {
        self.0["items"].as_array().expect("items")
    }

    /// How far something is reached; `no` where it is not.
    pub(crate) fn reach(&self, class: &str, name: &str) -> &str {
        self.item(class, name).map_or("no", |item| item["reach"].as_str().expect("a word"))
    }

    pub(crate) fn item(&self, class: &str, name: &str) -> Option<&Value> {
        self.items().iter().find(|item| item["class"] == class && item["name"] == name)
    }

    pub(crate) fn names(&self, class: &str) -> Vec<&str> {
        let of = self.items().iter().filter(|item| item["class"] == class);
        of.map(|item| item["name"].as_str().expect("a name")).collect()
    }

    pub(crate) fn not_tried(&self) -> Vec<&str> {
        let rows = self.0["not_tried"].as_array().expect("rows");
        rows.iter().map(|row| row["what"].as_str().expect("words")).collect()
    }

    /// Where what is done stays.
    pub(crate) fn stays(&self) -> Vec<&str> {
        self.items().iter().filter_map(|item| item["persists"].as_str()).collect()
    }
}

/// Inspects below `wrapper`; it must work, and what is said by rules must be what the kernel did.
#[track_caller]
pub(crate) fn inspect_below(wrapper: &[OsString], scene: &Scene, words: &[&str]) -> Found {
    let said = call_below(wrapper, scene, &[&["--json"], words].concat());
    assert_eq!(said.status, 0, "{words:?}: {said:#?}");
    let found = Found(serde_json::from_str(&said.stdout).unwrap_or_else(|e| panic!("{e}: {}", said.stdout)));
    assert_eq!(found.0["schema"], 1);
    assert_eq!(found.0["disagreements"], serde_json::json!([]), "{words:?}");
    found
}

#[track_caller]
pub(crate) fn inspect(scene: &Scene, words: &[&str]) -> Found {
    inspect_below(&[], scene, words)
}

/// Inspects on an empty base.
#[track_caller]
pub(crate) fn inspect_empty(scene: &Scene, words: &[&str]) -> Found {
    inspect(scene, &[&EMPTY[..], words].concat())
}
