//! asdf: `shims/NAME` is a script that lists the plugins and versions that have NAME; a `.tool-versions` chooses.

use std::ffi::OsStr;
use std::path::Path;

use ringfence_policy::Problem;

use super::version::{self, Choice};
use super::{Request, Shim, files};

/// Where plugins put programs below a version; a plugin may say others, which its shim would find and we refuse.
const FOLDERS: [&str; 5] = ["bin", "go/bin", "packages/bin", ".npm/bin", "sbin"];

pub(super) fn shim(path: &Path, _real: &Path, request: &Request) -> Result<Option<Shim>, Problem> {
    let Some(shims) = path.parent().filter(|dir| dir.file_name() == Some(OsStr::new("shims"))) else {
        return Ok(None);
    };
    let (Some(root), Some(name)) = (shims.parent(), path.file_name()) else { return Ok(None) };
    let installs = root.join("installs");
    if !files::is_folder(&installs)? {
        return Ok(None);
    }
    let Some(text) = version::text_of(path)? else { return Ok(None) };
    let plugins = plugins(&text);
    if plugins.is_empty() {
        return Ok(None);
    }
    for plugin in &plugins {
        let Some(choice) = choice(plugin, request)? else { continue };
        if let Some(shim) = chosen(&installs.join(plugin), plugin, name, &choice)? {
            return Ok(Some(shim));
        }
        if choice.words.iter().any(|word| word == "system")
            && let Some(program) = version::elsewhere_in_path(name, shims, request)?
        {
            return Ok(Some(Shim::of(program)));
        }
        return Err(version::not_in_it("asdf", &name.to_string_lossy(), &choice.words, &choice.origin));
    }
    let why = format!("no version of {} is set for asdf's `{}`", plugins.join(" or "), name.display());
    Err(Problem::request("toolchain", why)
        .at(path)
        .remedy("set one in a .tool-versions, or name the program by its path"))
}

/// The plugins that a shim names, each once.
fn plugins(text: &str) -> Vec<String> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("# asdf-plugin:"));
    let names = lines.filter_map(|line| line.split_whitespace().next());
    let mut plugins: Vec<String> = Vec::new();
    for name in names.filter(|name| version::is_plain(name)) {
        if !plugins.iter().any(|there| there == name) {
            plugins.push(name.to_owned());
        }
    }
    plugins
}

/// By variable, by the nearest file that names the plugin, or by the home's.
fn choice(plugin: &str, request: &Request) -> Result<Option<Choice>, Problem> {
    let variable = format!("ASDF_{}_VERSION", plugin.to_uppercase().replace('-', "_"));
    if let Some(value) = version::variable(&variable, request) {
        let words = value.split_whitespace().map(str::to_owned).collect();
        return Ok(Some(Choice { words, origin: variable }));
    }
    let file_name = version::variable("ASDF_DEFAULT_TOOL_VERSIONS_FILENAME", request);
    let file_name = file_name.as_deref().unwrap_or(".tool-versions");
    let folders = version::folders(request).chain([request.home.as_path()]);
    files::first_of(folders, |folder| in_file(&folder.join(file_name), plugin))
}

/// The versions of one tool in a `.tool-versions`.
pub(super) fn in_file(file: &Path, tool: &str) -> Result<Option<Choice>, Problem> {
    let text = version::text_of(file)?.unwrap_or_default();
    let of_tool = |line: &str| {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace().map(str::to_owned);
        (words.next().as_deref() == Some(tool)).then(|| words.collect::<Vec<_>>())
    };
    let words = text.lines().find_map(of_tool).filter(|words| !words.is_empty());
    Ok(words.map(|words| Choice { words, origin: format!("`{}`", file.display()) }))
}

/// The first of the chosen versions that has the program.
fn chosen(versions: &Path, plugin: &str, name: &OsStr, choice: &Choice) -> Result<Option<Shim>, Problem> {
    let installed = version::installed(versions)?;
    for word in choice.words.iter().take_while(|word| *word != "system") {
        // A version built from a git reference lies in a folder of that name.
        let folder = word.strip_prefix("ref:").map_or_else(|| word.clone(), |name| format!("ref-{name}"));
        if !version::is_plain(&folder) {
            return Err(version::not_plain("asdf", word, &choice.origin));
        }
        if !installed.contains(&folder) {
            let manager = format!("asdf's {plugin}");
            return Err(version::not_installed(&manager, word, &choice.origin, &installed));
        }
        let programs = FOLDERS.iter().map(|bin| versions.join(&folder).join(bin).join(name));
        if let Some(program) = files::first(programs, |program| files::is_program(program))? {
            return Ok(Some(Shim::of_version(program, versions.join(folder))));
        }
    }
    Ok(None)
}
