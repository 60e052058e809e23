//! rustup: `~/.cargo/bin/NAME` stands for `toolchains/TOOLCHAIN/bin/NAME`. The folder of the proxy holds
//! credentials and is never shown; cargo gets an empty one of its own.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use ringfence_policy::Problem;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::version::{self, Choice};
use super::{Request, Shim, Variables, files};

pub(super) fn shim(path: &Path, real: &Path, request: &Request) -> Result<Option<Shim>, Problem> {
    let cargo_home = cargo_home(request);
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return Ok(None) };
    // Where a distribution has packaged rustup, its proxies are links in /usr/bin.
    let is_proxy = real.file_name() == Some(OsStr::new("rustup")) && name != "rustup";
    if folder != cargo_home.join("bin") && !is_proxy {
        return Ok(None);
    }
    let is_proxy = is_proxy || files::are_one(path, &cargo_home.join("bin/rustup"))? && name != "rustup";
    let home = version::folder("RUSTUP_HOME", ".rustup", request);
    let settings = version::text_of(&home.join("settings.toml"))?.unwrap_or_default();
    let settings = DeTable::parse(&settings).map_or_else(|_| DeTable::new(), Spanned::into_inner);
    let in_argument = argument(request, path).filter(|_| is_proxy);
    let took_an_argument = in_argument.is_some();
    let choice = match in_argument {
        Some(choice) => Some(choice),
        None => choice(&settings, request)?,
    };
    let Some(choice) = choice else {
        let why = format!("rustup has no default toolchain for `{}`", name.display());
        let problem = Problem::request("toolchain", why).remedy("rustup default stable, or RUSTUP_TOOLCHAIN");
        return if is_proxy { Err(problem) } else { Ok(None) };
    };
    let word = choice.words.first().map(String::as_str).unwrap_or_default();
    if !version::is_plain(word) {
        return Err(version::not_plain("rustup", word, &choice.origin));
    }
    let toolchains = home.join("toolchains");
    let installed = version::installed(&toolchains)?;
    let Some(toolchain) = resolve(word, &settings, &installed) else {
        let problem = version::not_installed("rustup", word, &choice.origin, &installed);
        return if is_proxy { Err(problem) } else { Ok(None) };
    };
    let program = toolchains.join(&toolchain).join("bin").join(name);
    if !files::is_program(&program)? {
        // Not a proxy: `cargo install` puts programs into the same folder.
        let problem = version::not_in_it("rustup", &name.to_string_lossy(), &[toolchain], &choice.origin);
        return if is_proxy { Err(problem) } else { Ok(None) };
    }
    let mut variables = Variables::new();
    variables.insert("RUSTUP_HOME".into(), home.into());
    variables.insert("RUSTUP_TOOLCHAIN".into(), toolchain.into());
    variables.insert("CARGO_HOME".into(), request.home_inside().join(".cargo").into());
    let beside = subcommand(name, took_an_argument, &cargo_home, request)?.into_iter().collect();
    Ok(Some(Shim { variables, took_an_argument, beside, ..Shim::of(program) }))
}

pub(super) fn cargo_home(request: &Request) -> PathBuf {
    version::folder("CARGO_HOME", ".cargo", request)
}

/// `cargo +nightly`: only the command itself is given arguments.
fn argument(request: &Request, path: &Path) -> Option<Choice> {
    let command = request.command.first()?;
    let is_it = Path::new(command).file_name() == path.file_name();
    let word = request.command.get(1).filter(|_| is_it)?.to_str()?.strip_prefix('+')?;
    Some(Choice { words: vec![word.to_owned()], origin: format!("the argument `+{}`", word.escape_debug()) })
}

/// By variable; by an override or a file, whichever is nearer; or the default.
fn choice(settings: &DeTable<'_>, request: &Request) -> Result<Option<Choice>, Problem> {
    if let Some(word) = version::variable("RUSTUP_TOOLCHAIN", request) {
        return Ok(Some(Choice { words: vec![word], origin: "RUSTUP_TOOLCHAIN".to_owned() }));
    }
    let overrides = settings.get("overrides").and_then(|value| value.get_ref().as_table());
    for folder in version::folders(request) {
        let of_folder = folder.to_str().and_then(|folder| overrides?.get(folder)?.get_ref().as_str());
        if let Some(word) = of_folder {
            let origin = format!("the override of `{}`", folder.display());
            return Ok(Some(Choice { words: vec![word.to_owned()], origin }));
        }
        for name in ["rust-toolchain", "rust-toolchain.toml"] {
            let file = folder.join(name);
            if let Some(text) = version::text_of(&file)?
                && let Some(word) = in_file(&text, &file)?
            {
                return Ok(Some(Choice { words: vec![word], origin: format!("`{}`", file.display()) }));
            }
        }
    }
    let default = text_at(settings, "default_toolchain");
    Ok(default.map(|word| Choice { words: vec![word.to_owned()], origin: "rustup's default".to_owned() }))
}

/// One word, or `toolchain.channel`. A `path` would make a folder of the repository's choice visible.
fn in_file(text: &str, file: &Path) -> Result<Option<String>, Problem> {
    let trimmed = text.trim();
    if !trimmed.contains(['=', '[', '\n']) {
        return Ok((!trimmed.is_empty()).then(|| trimmed.to_owned()));
    }
    let origin = format!("`{}`", file.display());
    let table = DeTable::parse(text).map_err(|_| {
        Problem::request("toolchain", format!("{origin} is neither a toolchain's name nor TOML"))
            .at(file)
            .remedy("mend it, or set RUSTUP_TOOLCHAIN")
    })?;
    let toolchain = table.get_ref().get("toolchain").and_then(|value| value.get_ref().as_table());
    let Some(toolchain) = toolchain else { return Ok(None) };
    if let Some(path) = toolchain.get("path") {
        return Err(version::not_plain("rustup", path.get_ref().as_str().unwrap_or_default(), &origin));
    }
    Ok(text_at(toolchain, "channel").map(str::to_owned))
}

fn text_at<'a>(table: &'a DeTable<'_>, key: &str) -> Option<&'a str> {
    table.get(key).map(Spanned::get_ref).and_then(DeValue::as_str)
}

/// The installed toolchain of a name: `nightly` is `nightly-x86_64-unknown-linux-gnu`.
fn resolve(word: &str, settings: &DeTable<'_>, installed: &[String]) -> Option<String> {
    let exact = installed.iter().find(|name| *name == word);
    let host = text_at(settings, "default_host_triple");
    let of_host = |name: &&String| {
        let rest = name.strip_prefix(word).and_then(|rest| rest.strip_prefix('-'));
        rest.is_some_and(|triple| match host {
            Some(host) => triple == host,
            None => triple.starts_with(std::env::consts::ARCH) && triple.contains("-linux-"),
        })
    };
    exact.or_else(|| installed.iter().find(of_host)).cloned()
}

/// `cargo NAME` calls `cargo-NAME`, which `cargo install` has put beside the proxies.
fn subcommand(
    name: &OsStr,
    after_argument: bool,
    cargo_home: &Path,
    request: &Request,
) -> Result<Option<PathBuf>, Problem> {
    let word = request.command.get(if after_argument { 2 } else { 1 }).filter(|_| name == "cargo");
    let word = word.and_then(|word| word.to_str()).filter(|word| version::is_plain(word));
    let Some(word) = word else { return Ok(None) };
    let program = cargo_home.join("bin").join(format!("cargo-{word}"));
    if !files::is_program(&program)? || files::are_one(&program, &cargo_home.join("bin/rustup"))? {
        return Ok(None);
    }
    files::real(&program)
}
