//! The environment: a short list of what is passed, a short list of what is set, and what the policy says.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use ringfence_policy::{Base, Policy, Problem};

use super::Request;
use super::base::user_name;
use super::toolchain::Toolchain;
use crate::host::Host;
use crate::layout::Layout;

/// Passed from the caller: how to print, nothing of who or where.
const PASSED: [&str; 7] = ["TERM", "COLORTERM", "NO_COLOR", "FORCE_COLOR", "CI", "TZ", "LANG"];

/// Where programs are when the caller's PATH says nothing of use (environ(7)).
pub(super) const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Builds the environment. The policy's own variables come last and win.
///
/// # Errors
/// What stands inside cannot be found out.
pub(super) fn build(
    policy: &Policy,
    request: &Request,
    host: &Host,
    layout: &Layout,
    toolchains: &[Toolchain],
) -> Result<BTreeMap<OsString, OsString>, Problem> {
    let mut variables: BTreeMap<OsString, OsString> = BTreeMap::new();
    let locale = |name: &OsStr| name.as_encoded_bytes().starts_with(b"LC_");
    for (name, value) in &request.environment {
        if PASSED.iter().any(|passed| name == passed) || locale(name) {
            variables.insert(name.clone(), value.clone());
        }
    }
    if !variables.keys().any(|name| name == "LANG" || name == "LC_ALL") {
        variables.insert("LANG".into(), "C.UTF-8".into());
    }
    let user: OsString = user_name(request, host)?.into();
    let shell = match request.environment.get(OsStr::new("SHELL")) {
        Some(shell) if shows(layout, Path::new(shell))? => Some(shell),
        _ => None,
    };
    variables.insert("HOME".into(), request.home_inside().into());
    variables.insert("USER".into(), user.clone());
    variables.insert("LOGNAME".into(), user);
    variables.insert("SHELL".into(), shell.cloned().unwrap_or_else(|| "/bin/sh".into()));
    variables.insert("TMPDIR".into(), "/tmp".into());
    variables.insert("PATH".into(), path(policy, request, layout, toolchains)?);
    for toolchain in toolchains {
        variables.extend(toolchain.variables.clone());
    }
    for name in &policy.environment.pass {
        if let Some(value) = request.environment.get(OsStr::new(name)) {
            variables.insert(name.into(), value.clone());
        }
    }
    for (name, value) in &policy.environment.set {
        variables.insert(name.into(), value.into());
    }
    Ok(variables)
}

fn shows(layout: &Layout, path: &Path) -> Result<bool, Problem> {
    Ok(path.is_absolute() && layout.look_up(path)?.is_some())
}

/// The caller's PATH where it is to be seen, and before it the toolchains' folders that have no place there.
fn path(
    policy: &Policy,
    request: &Request,
    layout: &Layout,
    toolchains: &[Toolchain],
) -> Result<OsString, Problem> {
    let callers = match policy.filesystem.base {
        Base::Host => request.environment.get(OsStr::new("PATH")).cloned(),
        // Another system: the caller's folders mean nothing there.
        Base::Empty | Base::Rootfs(_) => None,
    };
    let callers = callers.unwrap_or_else(|| DEFAULT_PATH.into());
    let system = ["/usr", "/bin", "/sbin"];
    let callers: Vec<PathBuf> = std::env::split_paths(&callers).collect();
    let first = toolchains.iter().filter_map(|toolchain| toolchain.bin.clone());
    let first = first.filter(|bin| !system.iter().any(|folder| bin.starts_with(folder)));
    let first: Vec<PathBuf> = first.filter(|bin| !callers.contains(bin)).collect();
    let mut folders: Vec<PathBuf> = Vec::new();
    for folder in first.into_iter().chain(callers) {
        if !folders.contains(&folder) && shows(layout, &folder)? {
            folders.push(folder);
        }
    }
    Ok(match std::env::join_paths(&folders) {
        Ok(joined) if !joined.is_empty() => joined,
        _ => DEFAULT_PATH.into(),
    })
}
