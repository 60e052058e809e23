//! mise: `shims/NAME` is a symlink to mise itself; its configuration files choose among `installs/TOOL/VERSION`.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use ringfence_policy::Problem;
use toml::de::{DeTable, DeValue};

use super::version::{self, Choice};
use super::{Request, Shim, asdf, files};

/// Configuration of one folder, the strongest first.
const FILES: [&str; 8] = [
    "mise.local.toml",
    ".mise.local.toml",
    "mise.toml",
    ".mise.toml",
    "mise/config.toml",
    ".mise/config.toml",
    ".config/mise.toml",
    ".config/mise/config.toml",
];

/// Tools by other names.
const ALSO: [(&str, &str); 2] = [("node", "nodejs"), ("go", "golang")];

pub(super) fn shim(path: &Path, real: &Path, request: &Request) -> Result<Option<Shim>, Problem> {
    let Some(shims) = path.parent().filter(|dir| dir.file_name() == Some(OsStr::new("shims"))) else {
        return Ok(None);
    };
    let (Some(root), Some(name)) = (shims.parent(), path.file_name()) else { return Ok(None) };
    let installs = root.join("installs");
    if real.file_name() != Some(OsStr::new("mise")) || !files::is_folder(&installs)? {
        return Ok(None);
    }
    let mut tools = Vec::new();
    for tool in version::installed(&installs)? {
        let versions = installs.join(&tool);
        let installed = version::installed(&versions)?;
        if files::first_of(installed.iter(), |there| program(&versions.join(there), name))?.is_some() {
            tools.push(tool);
        }
    }
    for tool in &tools {
        let Some(choice) = choice(tool, request)? else { continue };
        let versions = installs.join(tool);
        let installed = version::installed(&versions)?;
        for word in &choice.words {
            if word == "system" {
                let Some(program) = version::elsewhere_in_path(name, shims, request)? else { break };
                return Ok(Some(Shim::of(program)));
            }
            let plain = word.strip_prefix("prefix:").unwrap_or(word);
            if !version::is_plain(plain) {
                return Err(version::not_plain("mise", word, &choice.origin));
            }
            let Some(found) = resolve(plain, &installed) else {
                let manager = format!("mise's {tool}");
                return Err(version::not_installed(&manager, word, &choice.origin, &installed));
            };
            let folder = versions.join(found);
            if let Some(program) = program(&folder, name)? {
                return Ok(Some(Shim::of_version(program, folder)));
            }
        }
        return Err(version::not_in_it("mise", &name.to_string_lossy(), &choice.words, &choice.origin));
    }
    let why = match tools.as_slice() {
        [] => format!("mise has nothing installed that has `{}`", name.display()),
        tools => format!("no version of {} is set for mise's `{}`", tools.join(" or "), name.display()),
    };
    Err(Problem::request("toolchain", why)
        .at(path)
        .remedy("set one in a mise.toml, or name the program by its path"))
}

/// Where a tool's program lies in its folder.
fn program(folder: &Path, name: &OsStr) -> Result<Option<PathBuf>, Problem> {
    let places = [folder.join("bin").join(name), folder.join(name)];
    files::first(places.into_iter(), |program| files::is_program(program))
}

/// The folder that a version means; `latest` is the newest.
fn resolve(word: &str, installed: &[String]) -> Option<String> {
    let exact = installed.iter().find(|there| *there == word).cloned();
    let numbered = |name: &&String| name.starts_with(|c: char| c.is_ascii_digit());
    let latest = || installed.iter().rfind(numbered).cloned().filter(|_| word == "latest");
    exact.or_else(latest).or_else(|| version::newest_of(word, installed))
}

/// By variable, by the nearest configuration that names the tool, or by the person's own.
fn choice(tool: &str, request: &Request) -> Result<Option<Choice>, Problem> {
    let variable = format!("MISE_{}_VERSION", tool.to_uppercase().replace('-', "_"));
    if let Some(value) = version::variable(&variable, request) {
        return Ok(Some(Choice { words: vec![value], origin: variable }));
    }
    let also = ALSO.iter().find(|(name, _)| *name == tool).map(|(_, also)| *also);
    let names = [Some(tool), also];
    let in_folder = |folder: &Path| {
        if let Some(own) = files::first_of(FILES.iter(), |name| in_file(&folder.join(name), &names))? {
            return Ok(Some(own));
        }
        let file = folder.join(".tool-versions");
        files::first_of(names.iter().flatten(), |name| asdf::in_file(&file, name))
    };
    let global = version::folder("XDG_CONFIG_HOME", ".config", request).join("mise/config.toml");
    if let Some(near) = files::first_of(version::folders(request), in_folder)? {
        return Ok(Some(near));
    }
    match in_file(&global, &names)? {
        Some(own) => Ok(Some(own)),
        None => in_folder(&request.home),
    }
}

/// `[tools]` of a configuration: a version, several, or a table with one.
fn in_file(file: &Path, names: &[Option<&str>]) -> Result<Option<Choice>, Problem> {
    let words = version::text_of(file)?.and_then(|text| in_text(&text, names));
    Ok(words.map(|words| Choice { words, origin: format!("`{}`", file.display()) }))
}

fn in_text(text: &str, names: &[Option<&str>]) -> Option<Vec<String>> {
    let table = DeTable::parse(text).ok()?;
    let tools = table.get_ref().get("tools")?.get_ref().as_table()?;
    let is_it = |key: &str| {
        let plain = key.strip_prefix("core:").unwrap_or(key).replace([':', '/'], "-");
        names.iter().flatten().any(|name| plain == *name)
    };
    let value = tools.iter().find(|(key, _)| is_it(key.get_ref())).map(|(_, value)| value.get_ref())?;
    let one = |value: &DeValue<'_>| match value {
        DeValue::String(word) => Some(word.to_string()),
        DeValue::Table(table) => table.get("version")?.get_ref().as_str().map(str::to_owned),
        _ => None,
    };
    let words: Vec<String> = match value {
        DeValue::Array(several) => several.iter().filter_map(|value| one(value.get_ref())).collect(),
        value => one(value).into_iter().collect(),
    };
    (!words.is_empty()).then_some(words)
}
