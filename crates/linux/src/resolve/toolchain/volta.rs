//! Volta: `~/.volta/bin/NAME` stands for a program of `tools/image/TOOL/VERSION`; a `package.json` or the person's
//! own `platform.json` chooses.

use std::path::{Path, PathBuf};

use ringfence_policy::Problem;

use super::version::{self, Choice};
use super::{Request, Shim};

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
        let Some(choice) = choice(tool, &root, request) else { continue };
        let word = choice.words.first().map(String::as_str).unwrap_or_default();
        if !version::is_plain(word) {
            return Err(version::not_plain("volta", word, &choice.origin));
        }
        let versions = root.join("tools/image").join(tool);
        let program = versions.join(word).join("bin").join(&name);
        if !version::is_program(&program) {
            let installed = version::installed(&versions);
            return Err(version::not_installed(&format!("volta's {tool}"), word, &choice.origin, &installed));
        }
        return Ok(Some(Shim::of(program)));
    }
    let why = format!("which `{name}` volta would run is not known");
    Err(Problem::request("toolchain", why).at(path).remedy("name the program by its path"))
}

/// The nearest `package.json` that pins the tool, else the person's default.
fn choice(tool: &str, root: &Path, request: &Request) -> Option<Choice> {
    let pinned = |folder: &Path| {
        let file = folder.join("package.json");
        word(&file, &["volta", tool]).map(|word| (file, word))
    };
    let default = || -> Option<(PathBuf, String)> {
        let file = root.join("tools/user/platform.json");
        let keys: &[&str] = match tool {
            "node" => &["node", "runtime"],
            "npm" => &["node", "npm"],
            other => &[other],
        };
        word(&file, keys).map(|word| (file, word))
    };
    let (file, word) = version::folders(request).find_map(pinned).or_else(default)?;
    Some(Choice { words: vec![word], origin: format!("`{}`", file.display()) })
}

fn word(file: &Path, keys: &[&str]) -> Option<String> {
    let mut value: serde_json::Value = serde_json::from_str(&version::text_of(file)?).ok()?;
    for key in keys {
        value = value.get_mut(key)?.take();
    }
    value.as_str().map(str::to_owned)
}
