//! Profile files: what a policy can begin as. JSON and TOML, one model; every mistake has its line.

mod compare;
mod config;
mod extend;
mod jail;
mod judge;
mod mistake;
mod model;
mod near;
mod oci;
mod read;
mod reduce;
mod schema;
mod tree;

use std::collections::{BTreeMap, BTreeSet};

pub use config::Config;
pub use mistake::{Located, Mistakes};
pub use model::Profile;
pub use oci::{Facts, OciFilter};

use crate::policy::{Filesystem, Grant, HostUser, IdMap, Layer, Process};
use crate::{Access, Policy, Problem};

/// The built-in profiles, as (name, file).
pub const BUILTIN_PROFILES: [(&str, &str); 9] = [
    ("default", include_str!("../../profiles/default.json")),
    ("minimal", include_str!("../../profiles/minimal.json")),
    ("python-safe", include_str!("../../profiles/python-safe.json")),
    ("node-safe", include_str!("../../profiles/node-safe.json")),
    ("shell-readonly", include_str!("../../profiles/shell-readonly.json")),
    ("build", include_str!("../../profiles/build.json")),
    ("agent", include_str!("../../profiles/agent.json")),
    ("mcp", include_str!("../../profiles/mcp.json")),
    ("service", include_str!("../../profiles/service.json")),
];

/// How a profile file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// RFC 8259.
    Json,
    /// TOML 1.1.
    Toml,
}

impl Profile {
    /// A built-in profile, with what it extends.
    ///
    /// # Errors
    /// There is no such profile; the message lists them.
    pub fn builtin(name: &str) -> Result<Self, Problem> {
        let profile = Self::builtin_file(name)?;
        profile.extended(&mut |extended| Self::builtin(extended))
    }

    /// A built-in profile as its file says it.
    fn builtin_file(name: &str) -> Result<Self, Problem> {
        let file = BUILTIN_PROFILES.iter().find(|(known, _)| *known == name).map(|(_, file)| file);
        let file = file.ok_or_else(|| {
            let names: Vec<_> = BUILTIN_PROFILES.iter().map(|(known, _)| *known).collect();
            let near = near::did_you_mean(name, names.iter().copied());
            Problem::request("profile", format!("no profile is called `{}`{near}", tree::plain(name)))
                .remedy(format!("the built-in ones are {}", names.join(", ")))
        })?;
        // Straight into the model: these files were judged when they were built, and every start reads one.
        serde_json::from_str(file).map(Self::rooted).map_err(|e| {
            Problem::request("profile", format!("the built-in profile `{name}` does not load: {e}"))
        })
    }

    /// Reads a profile: ours, or one of the schema that the second source document describes.
    ///
    /// What it extends is not read here: see [`extends`](Self::extends) and [`extended`](Self::extended).
    ///
    /// # Errors
    /// Every mistake, with its place.
    pub fn parse(text: &str, format: Format) -> Result<Self, Mistakes> {
        let tree = match format {
            Format::Json => tree::json(text),
            Format::Toml => tree::toml(text),
        };
        let tree = tree.map_err(|mistakes| Mistakes::locate(text, mistakes, &[]))?;
        let hidden = judge::values_of_variables(&tree);
        let read = if jail::is_one(&tree) { jail::read(&tree) } else { judge::read(&tree) };
        read.map(Self::rooted).map_err(|mistakes| Mistakes::locate(text, mistakes, &hidden))
    }

    /// The JSON Schema (2020-12) of a profile file.
    #[must_use]
    pub fn schema() -> serde_json::Value {
        schema::schema()
    }

    /// What was decided where the file's own words do not say it: sentences for a person.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The policy that the profile says.
    #[must_use]
    pub fn into_policy(self) -> Policy {
        let grant = |access| move |source| Grant { source, destination: None, access, layer: Layer::Profile };
        let files = self.filesystem;
        let mut grants: Vec<_> = files.read.into_iter().map(grant(Access::Read)).collect();
        grants.extend(files.write.into_iter().map(grant(Access::Write)));
        Policy {
            profile: self.name,
            files: Vec::new(),
            filesystem: Filesystem {
                base: files.base.unwrap_or(crate::Base::Host),
                grants,
                tmpfs: files.tmpfs,
                deny: files.deny,
                devices: Vec::new(),
                workdir: files.workdir,
                toolchain: files.toolchain.unwrap_or(crate::Toolchain::Auto),
                protected: files.protected,
                commands: files.commands,
            },
            network: self.network.unwrap_or(crate::Network::None),
            syscalls: self.syscalls.into_rules(),
            on_violation: self.on_violation.unwrap_or_default(),
            capabilities: self.capabilities.keep,
            limits: self.limits,
            environment: self.environment,
            process: Process {
                uid: self.process.uid,
                gid: self.process.gid,
                user: HostUser::Auto,
                id_map: IdMap::Single,
                hostname: self.process.hostname.unwrap_or_else(|| "ringfence".to_owned()),
                tty: self.process.tty.unwrap_or_default(),
                end_with_stdin: self.process.end_with_stdin.unwrap_or(false),
            },
            waived: BTreeSet::new(),
            waived_by: BTreeMap::new(),
        }
    }
}

#[cfg(test)]
mod builtin_tests;
#[cfg(test)]
mod tests;
