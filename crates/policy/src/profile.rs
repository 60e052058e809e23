//! The profile file: its JSON model, and the profiles that are built in.

use std::collections::BTreeSet;
use std::path::PathBuf;

use ringfence_seccomp::{Syscalls, Violation};
use serde::Deserialize;

use crate::policy::{Environment, Filesystem, Grant, HostUser, IdMap, Layer, Process, Tmpfs, Toolchain};
use crate::{Access, Base, Capability, Limits, Network, Policy, Problem};

/// The built-in profiles, as (name, file).
pub const BUILTIN_PROFILES: [(&str, &str); 7] = [
    ("default", include_str!("../profiles/default.json")),
    ("minimal", include_str!("../profiles/minimal.json")),
    ("python-safe", include_str!("../profiles/python-safe.json")),
    ("node-safe", include_str!("../profiles/node-safe.json")),
    ("shell-readonly", include_str!("../profiles/shell-readonly.json")),
    ("build", include_str!("../profiles/build.json")),
    ("agent", include_str!("../profiles/agent.json")),
];

/// A profile as a file says it. An unknown key is an error.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// What it is for, in one sentence.
    pub description: String,
    #[serde(default)]
    filesystem: FilesystemSection,
    #[serde(default = "no_network")]
    network: Network,
    #[serde(default = "ordinary_syscalls")]
    syscalls: Syscalls,
    #[serde(default)]
    on_violation: Violation,
    #[serde(default)]
    capabilities: CapabilitiesSection,
    #[serde(default)]
    limits: Limits,
    #[serde(default)]
    environment: Environment,
    #[serde(default)]
    process: ProcessSection,
}

const fn no_network() -> Network {
    Network::None
}

/// What ordinary programs need.
fn ordinary_syscalls() -> Syscalls {
    Syscalls { allow: vec!["@default".to_owned()], ..Syscalls::default() }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FilesystemSection {
    base: Base,
    read: Vec<PathBuf>,
    write: Vec<PathBuf>,
    deny: Vec<String>,
    tmpfs: Vec<Tmpfs>,
    workdir: Option<PathBuf>,
    toolchain: Toolchain,
    protected: Vec<String>,
}

impl Default for FilesystemSection {
    fn default() -> Self {
        Self {
            base: Base::Host,
            read: Vec::new(),
            write: Vec::new(),
            deny: Vec::new(),
            tmpfs: Vec::new(),
            workdir: None,
            toolchain: Toolchain::Auto,
            protected: Vec::new(),
        }
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct CapabilitiesSection {
    keep: BTreeSet<Capability>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ProcessSection {
    uid: Option<u32>,
    gid: Option<u32>,
    hostname: Option<String>,
}

impl Profile {
    /// A built-in profile.
    ///
    /// # Errors
    /// There is no such profile; the message lists them.
    pub fn builtin(name: &str) -> Result<Self, Problem> {
        let file = BUILTIN_PROFILES.iter().find(|(known, _)| *known == name).map(|(_, file)| file);
        let file = file.ok_or_else(|| {
            let names: Vec<_> = BUILTIN_PROFILES.iter().map(|(known, _)| *known).collect();
            Problem::request("profile", format!("no profile is called `{name}`"))
                .remedy(format!("the built-in ones are {}", names.join(", ")))
        })?;
        serde_json::from_str(file).map_err(|e| {
            Problem::request("profile", format!("the built-in profile `{name}` does not load: {e}"))
        })
    }

    /// The policy that the profile says.
    #[must_use]
    pub fn into_policy(self) -> Policy {
        let grant = |access| {
            move |source: PathBuf| Grant { source, destination: None, access, layer: Layer::Profile }
        };
        let files = self.filesystem;
        let mut grants: Vec<_> = files.read.into_iter().map(grant(Access::Read)).collect();
        grants.extend(files.write.into_iter().map(grant(Access::Write)));
        Policy {
            profile: self.name,
            filesystem: Filesystem {
                base: files.base,
                grants,
                tmpfs: files.tmpfs,
                deny: files.deny,
                devices: Vec::new(),
                workdir: files.workdir,
                toolchain: files.toolchain,
                protected: files.protected,
            },
            network: self.network,
            syscalls: self.syscalls,
            on_violation: self.on_violation,
            capabilities: self.capabilities.keep,
            limits: self.limits,
            environment: self.environment,
            process: Process {
                uid: self.process.uid,
                gid: self.process.gid,
                user: HostUser::Auto,
                id_map: IdMap::Single,
                hostname: self.process.hostname.unwrap_or_else(|| "ringfence".to_owned()),
            },
            waived: BTreeSet::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_builtin_profile_loads_under_its_own_name() {
        for (name, _) in BUILTIN_PROFILES {
            let profile = Profile::builtin(name).unwrap();
            assert_eq!(profile.name, name);
            assert!(!profile.description.is_empty());
            profile.into_policy().check().unwrap();
        }
    }

    #[test]
    fn an_unknown_key_is_an_error() {
        let text = r#"{"name": "x", "description": "y", "filesystem": {"reed": ["/"]}}"#;
        let error = serde_json::from_str::<Profile>(text).unwrap_err().to_string();
        assert!(error.contains("reed") && error.contains("line 1"), "{error}");
    }

    #[test]
    fn a_limit_without_meaning_is_an_error() {
        for limit in [
            r#""memory": 0"#,
            r#""memory": "10 bananas""#,
            r#""cpus": 0"#,
            r#""cpus": "-1""#,
            r#""pids": 0"#,
            r#""pids": -1"#,
            r#""pids": 99999999999"#,
            r#""cpu_time": "0s""#,
            r#""cpuset": "3-1""#,
            r#""output": "1M""#,
        ] {
            let text = format!(r#"{{"name": "x", "description": "y", "limits": {{{limit}}}}}"#);
            assert!(serde_json::from_str::<Profile>(&text).is_err(), "{limit}");
        }
        let text = r#"{"name": "x", "description": "y", "limits": {"memory": "512M", "cpus": 1.5, "pids": 64,
                       "cpu_time": "10s", "cpuset": "0-1"}}"#;
        let limits = serde_json::from_str::<Profile>(text).unwrap().into_policy().limits;
        assert_eq!(
            (limits.memory.unwrap().0, limits.cpus.unwrap().0, limits.pids),
            (512 << 20, 1500, Some(64))
        );
    }

    #[test]
    fn an_unknown_profile_lists_the_known() {
        let problem = Profile::builtin("python").unwrap_err();
        assert!(problem.to_string().contains("python-safe"), "{problem}");
    }
}
