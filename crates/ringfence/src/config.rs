//! Standing waivers: what a host's administrator, or a user, says for every run. Never what a working directory says.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use ringfence_policy::{Config, Guarantee, Policy, Problem};

use crate::profiles::{below_home, read};

/// Who owns what belongs to nobody of this user namespace (user_namespaces(7), `overflowuid`).
const NOBODY: u32 = 65_534;

/// The system's file.
const SYSTEM: &str = "/etc/ringfence/config.toml";

/// The waivers that stand for this caller, each with its file.
///
/// # Errors
/// A file is wrong, cannot be read, or others could change it.
pub fn standing_waivers() -> Result<BTreeMap<Guarantee, PathBuf>, Problem> {
    let user = below_home("XDG_CONFIG_HOME", ".config").map(|folder| folder.join("ringfence/config.toml"));
    let mut waivers = BTreeMap::new();
    for file in [Some(PathBuf::from(SYSTEM)), user].into_iter().flatten() {
        for guarantee in read_file(&file)?.allow_degraded {
            waivers.entry(guarantee).or_insert_with(|| file.clone());
        }
    }
    Ok(waivers)
}

/// Adds the waivers that stand to a policy. What is waived already keeps the word that waived it.
///
/// # Errors
/// As [`standing_waivers`].
pub fn with_standing_waivers(mut policy: Policy) -> Result<Policy, Problem> {
    for (guarantee, file) in standing_waivers()? {
        if policy.waived.insert(guarantee) {
            policy.waived_by.insert(guarantee, file);
        }
    }
    Ok(policy)
}

/// What a file says; nothing where there is none.
fn read_file(file: &Path) -> Result<Config, Problem> {
    let absent = |e: &std::io::Error| matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory);
    match std::fs::metadata(file) {
        Err(e) if absent(&e) => return Ok(Config::default()),
        // In a user namespace without the owner nobody can say whose it is: then it waives nothing, which is stricter.
        Ok(there) if there.uid() == NOBODY && rustix::process::geteuid().as_raw() != NOBODY => {
            return Ok(Config::default());
        }
        _ => {}
    }
    let text = read::read("configuration", file, true)?.text;
    Config::parse(&text).map_err(|mistakes| {
        let mistakes = mistakes.in_file(file);
        let said = mistakes.all().first().map(|first| (mistakes.line(first), first.excerpt.clone()));
        let (message, excerpt) = said.unwrap_or_default();
        let problem = Problem::request("config", message).at(file);
        Problem { excerpt, ..problem }
            .remedy("it may hold `allow_degraded = [\"GUARANTEE\", ...]` and nothing else")
    })
}
