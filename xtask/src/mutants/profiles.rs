//! Mutants of the built-in profiles: each denial, each protected name, each limit and each rule's condition taken out of its
//! file. They are data: tests/escape/profiles.rs reads them from the folder that `RINGFENCE_PROFILES` names.

use std::fs;

use serde_json::{Value, json};

use super::judge::{Judge, Verdict};
use super::{End, Row};
use crate::failure::Failure;
use crate::workspace::{self, Workspace};

/// What must notice.
const TEST: &str = "escape profiles::";

/// Lists whose every entry denies something.
const DENIALS: [&str; 4] = ["/syscalls/deny", "/syscalls/kill", "/filesystem/protected", "/filesystem/deny"];

/// Keys that hold something in.
const KEYS: [(&str, &str); 5] = [
    ("/limits", "timeout"),
    ("/limits", "nofile"),
    ("", "on_violation"),
    ("/filesystem", "toolchain"),
    ("/process", "end_with_stdin"),
];

pub(super) fn rows(judge: &Judge, (part, parts): (usize, usize)) -> Result<Vec<Row>, Failure> {
    let folder = Workspace::load()?.target.join("mutants/profiles");
    let mut rows = Vec::new();
    if let Verdict::Killed(failed) = judge.with_profiles(TEST, &workspace::root().join("profiles"))? {
        return Err(Failure::Work(format!("control: with the profiles as they are {failed:?} fail")));
    }
    for (index, (name, profile, text)) in mutants()?.into_iter().enumerate() {
        if index % parts != part {
            continue;
        }
        let _not_there_the_first_time = fs::remove_dir_all(&folder);
        let made = fs::create_dir_all(&folder).and_then(|()| {
            for (known, text) in files()? {
                fs::write(folder.join(known), text)?;
            }
            fs::write(folder.join(profile), text)
        });
        made.map_err(|e| Failure::io("make", &folder, &e))?;
        let end = End::Tested(judge.with_profiles(TEST, &folder)?);
        let row = Row { name, argued: "", end };
        println!("{}", super::line(&row));
        rows.push(row);
    }
    Ok(rows)
}

/// The profiles, by file name.
fn files() -> std::io::Result<Vec<(String, String)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(workspace::root().join("profiles"))? {
        let entry = entry?;
        files.push((entry.file_name().to_string_lossy().into_owned(), fs::read_to_string(entry.path())?));
    }
    files.sort();
    Ok(files)
}

/// Name, file, and what the file says then.
fn mutants() -> Result<Vec<(String, String, String)>, Failure> {
    let folder = workspace::root().join("profiles");
    let mut mutants = Vec::new();
    for (file, text) in files().map_err(|e| Failure::io("read", &folder, &e))? {
        let profile: Value = serde_json::from_str(&text)
            .map_err(|e| Failure::Work(format!("profiles/{file} is not JSON: {e}")))?;
        let stem = file.trim_end_matches(".json").to_owned();
        let mut add = |what: String, changed: Value| {
            mutants.push((format!("{stem}-{what}"), file.clone(), changed.to_string()));
        };
        for list in DENIALS {
            for (index, entry) in
                profile.pointer(list).and_then(Value::as_array).into_iter().flatten().enumerate()
            {
                let mut changed = profile.clone();
                if let Some(list) = changed.pointer_mut(list).and_then(Value::as_array_mut) {
                    list.remove(index);
                }
                add(format!("without-{}", entry.as_str().unwrap_or_default()), changed);
            }
        }
        for (index, rule) in
            profile.pointer("/syscalls/rules").and_then(Value::as_array).into_iter().flatten().enumerate()
        {
            let mut changed = profile.clone();
            if let Some(rule) =
                changed.pointer_mut(&format!("/syscalls/rules/{index}")).and_then(Value::as_object_mut)
            {
                rule.remove("args");
            }
            add(
                format!("rule-{index}-{}-unconditional", rule["syscalls"][0].as_str().unwrap_or_default()),
                changed,
            );
        }
        for (at, key) in KEYS {
            let mut changed = profile.clone();
            let there =
                changed.pointer_mut(at).and_then(Value::as_object_mut).and_then(|map| map.remove(key));
            if there.is_some() {
                add(format!("without-{key}"), changed);
            }
        }
        if profile["syscalls"]["allow"] != json!(["@default"]) {
            let mut changed = profile.clone();
            changed["syscalls"]["allow"] = json!(["@default"]);
            add("allows-all-of-default".to_owned(), changed);
        }
    }
    Ok(mutants)
}
