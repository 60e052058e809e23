//! Volta: `~/.volta/bin/NAME` stands for a program of `tools/image/TOOL/VERSION`; a `package.json` or the person's
//! own `platform.json` chooses.

use std::path::Path;

use ringfence_policy::Problem;

use super::version::{self, Choice};
use super::{Request, Shim, files};

pub(super) fn shim(path: &Path, real: &Path, request: &Request) -> Result<Option<Shim>, Problem> {
    let root = version::folder("VOLTA_HOME", ".volta", request);
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return Ok(None) };
    if folder != root.join("bin") || real.file_name().is_none_or(|name| name != "volta-shim") {
        return Ok(None);
    }
    let name = name.to_string_lossy().into_owned();
    let tools: &[&str] = match name.as_str() {
        "node" => &["node"],
        // npm comes with node, unless one of its own is chosen.
        "npm" | "npx" => &["npm", "node"],
        "pnpm" => &["pnpm"],
        "yarn" => &["yarn"],
        _ => &[],
    };
    for tool in tools {
        let Some(choice) = choice(tool, &root, request)? else { continue };
        let word = choice.words.first().map(String::as_str).unwrap_or_default();
        if !version::is_plain(word) {
            return Err(version::not_plain("volta", word, &choice.origin));
        }
        let versions = root.join("tools/image").join(tool);
        let program = versions.join(word).join("bin").join(&name);
        if !files::is_program(&program)? {
            let installed = version::installed(&versions)?;
            return Err(version::not_installed(&format!("volta's {tool}"), word, &choice.origin, &installed));
        }
        return Ok(Some(Shim::of(program)));
    }
    let why = format!("which `{name}` volta would run is not known");
    Err(Problem::request("toolchain", why).at(path).remedy("name the program by its path"))
}

/// The nearest `package.json` that pins the tool, else the person's default.
fn choice(tool: &str, root: &Path, request: &Request) -> Result<Option<Choice>, Problem> {
    let pinned = |folder: &Path| in_file(&folder.join("package.json"), &["volta", tool]);
    if let Some(pinned) = files::first_of(version::folders(request), pinned)? {
        return Ok(Some(pinned));
    }
    let keys: &[&str] = match tool {
        "node" => &["node", "runtime"],
        "npm" => &["node", "npm"],
        other => &[other],
    };
    in_file(&root.join("tools/user/platform.json"), keys)
}

fn in_file(file: &Path, keys: &[&str]) -> Result<Option<Choice>, Problem> {
    let word = version::text_of(file)?.and_then(|text| in_text(&text, keys));
    Ok(word.map(|word| Choice { words: vec![word], origin: format!("`{}`", file.display()) }))
}

fn in_text(text: &str, keys: &[&str]) -> Option<String> {
    let mut value: serde_json::Value = serde_json::from_str(text).ok()?;
    for key in keys {
        value = value.get_mut(key)?.take();
    }
    value.as_str().map(str::to_owned)
}
