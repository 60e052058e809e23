//! What a program may do. Portable, plain data: a profile file, the command line and the API all end here.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use ringfence_seccomp::{Syscalls, Violation};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::amounts::process_count;
use crate::units::{DurationShape, duration_text};
use crate::words::{absolute, command_name};
use crate::{BindSpec, Capability, CpuList, Cpus, Guarantee, OutputLimit, Problem, Profile, Size, Variable};

/// What one program may do.
///
/// Paths stand as they were written (`.` is the working directory, `~` the caller's home); they are resolved
/// on the host where the policy is used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Policy {
    /// The profile that it began as.
    pub profile: String,
    /// The files that the profile was read from, which stay read-only inside.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<PathBuf>,
    /// The files that it sees.
    pub filesystem: Filesystem,
    /// The network that it reaches.
    pub network: Network,
    /// The system calls that it may make.
    pub syscalls: Syscalls,
    /// What a call that they do not list gets.
    pub on_violation: Violation,
    /// The capabilities that it keeps inside its own user namespace; normally none.
    pub capabilities: BTreeSet<Capability>,
    /// What it may use.
    pub limits: Limits,
    /// Its environment variables.
    pub environment: Environment,
    /// Who it is.
    pub process: Process,
    /// Guarantees that the caller does without, by name.
    pub waived: BTreeSet<Guarantee>,
    /// Of these, the ones that a configuration file waives, with the file.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub waived_by: BTreeMap<Guarantee, PathBuf>,
}

/// The files of a sandbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Filesystem {
    /// What is there before anything is granted.
    pub base: Base,
    /// Host files shown inside. The longest path wins, whatever the order.
    pub grants: Vec<Grant>,
    /// Empty writable folders in memory.
    pub tmpfs: Vec<Tmpfs>,
    /// Paths and globs that stay hidden, whatever else is granted.
    pub deny: Vec<String>,
    /// Device nodes shown inside beside the usual ones (`null`, `zero`, `full`, `random`, `urandom`, `tty`).
    pub devices: Vec<PathBuf>,
    /// Where the program starts; its caller's working directory when not said.
    pub workdir: Option<PathBuf>,
    /// Whether the program's own toolchain is found and shown read-only.
    pub toolchain: Toolchain,
    /// Names at the root of every writable folder that stay read-only because they steer tools outside.
    pub protected: Vec<String>,
    /// The only programs of the system's program folders that are there, by name; all of them when empty. Nothing
    /// that the program can write can be executed then.
    pub commands: Vec<String>,
}

/// What a sandbox shows before anything is granted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Base {
    /// The host's programs, read-only, and a minimal `/etc`.
    Host,
    /// Nothing.
    Empty,
    /// The folder of another system, read-only.
    Rootfs(PathBuf),
}

/// May a path be changed?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// Read and execute.
    Read,
    /// Read, execute and change.
    Write,
}

/// Where a grant was said: the caller's word on a path beats the profile's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layer {
    /// In the profile.
    Profile,
    /// On the command line, or through the API.
    Caller,
}

/// One host path shown inside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Grant {
    /// The host's path, as written.
    pub source: PathBuf,
    /// Where it appears; at its own place when not said.
    pub destination: Option<PathBuf>,
    /// May it be changed?
    pub access: Access,
    /// Who said so.
    pub layer: Layer,
}

/// An empty writable folder in memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tmpfs {
    /// The absolute path inside.
    pub path: PathBuf,
    /// Its size in bytes; `limits.tmp` when not said.
    #[serde(default)]
    pub size: Option<Size>,
}

/// Whether the toolchain of the command is looked for: `auto`, `none`, or names of programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Toolchain {
    /// Follow the command through shim, symlink, `#!` and `pyvenv.cfg`, and show what it needs read-only.
    Auto,
    /// Show nothing that was not granted.
    None,
    /// As `auto`, and the same for these programs of the caller's PATH, which the command calls.
    Of(Vec<String>),
}

impl Toolchain {
    /// The programs that were named beside the command.
    #[must_use]
    pub fn programs(&self) -> &[String] {
        match self {
            Self::Auto | Self::None => &[],
            Self::Of(names) => names,
        }
    }
}

impl std::str::FromStr for Toolchain {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '+');
        let is_name =
            |name: &str| !name.is_empty() && !name.starts_with(['-', '.']) && name.chars().all(plain);
        match text {
            "auto" => Ok(Self::Auto),
            "none" => Ok(Self::None),
            names if names.split(',').all(is_name) => {
                Ok(Self::Of(names.split(',').map(str::to_owned).collect()))
            }
            _ => Err(format!(
                "`{}` is neither `auto` nor `none` nor the name of a program in PATH (several with commas)",
                text.escape_debug()
            )),
        }
    }
}

impl TryFrom<String> for Toolchain {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Toolchain> for String {
    fn from(toolchain: Toolchain) -> Self {
        match toolchain {
            Toolchain::Auto => "auto".to_owned(),
            Toolchain::None => "none".to_owned(),
            Toolchain::Of(names) => names.join(","),
        }
    }
}

impl JsonSchema for Toolchain {
    fn schema_name() -> Cow<'static, str> {
        "Toolchain".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "`auto`, `none`, or names of programs of PATH that the command calls, with commas between.",
            "type": "string",
            "pattern": r"^[A-Za-z0-9_+][A-Za-z0-9._+-]*(,[A-Za-z0-9_+][A-Za-z0-9._+-]*)*$",
        })
    }
}

/// The network of a sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// A loopback of its own, and nothing else.
    None,
    /// The host's network.
    Host,
}

/// What a sandbox may use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Wall-clock time from the program's start.
    #[serde(default, with = "duration_text", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<DurationShape>")]
    pub timeout: Option<Duration>,
    /// Time between the polite signal and the kill.
    #[serde(default, with = "duration_text", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<DurationShape>")]
    pub grace: Option<Duration>,
    /// Processor time of the whole tree.
    #[serde(default, with = "duration_text", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<DurationShape>")]
    pub cpu_time: Option<Duration>,
    /// Memory of the whole tree, files in memory included. Nothing of it is swapped out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Size>,
    /// Processors at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpus: Option<Cpus>,
    /// The processors that it may use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpuset: Option<CpuList>,
    /// Processes and threads of the program.
    #[serde(
        default,
        deserialize_with = "process_count::deserialize",
        skip_serializing_if = "Option::is_none"
    )]
    pub pids: Option<u64>,
    /// Open files of one process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub nofile: Option<u64>,
    /// Size of one file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_size: Option<Size>,
    /// Stack of one thread.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack: Option<Size>,
    /// Size of each folder in memory (`/tmp`, HOME).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tmp: Option<Size>,
    /// What may be printed, standard output and standard error together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<OutputLimit>,
}

impl Limits {
    /// The grace when none is said.
    pub const DEFAULT_GRACE: Duration = Duration::from_secs(5);
    /// The size of `/tmp` and HOME when none is said.
    pub const DEFAULT_TMP: Size = Size(1 << 30);

    /// Time between the polite signal and the kill.
    #[must_use]
    pub fn grace(&self) -> Duration {
        self.grace.unwrap_or(Self::DEFAULT_GRACE)
    }

    /// Size of each folder in memory.
    #[must_use]
    pub fn tmp(&self) -> Size {
        self.tmp.unwrap_or(Self::DEFAULT_TMP)
    }
}

/// The environment of a sandbox, on top of what every program gets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Environment {
    /// Variables with a value.
    #[serde(default)]
    pub set: BTreeMap<String, String>,
    /// Variables taken from the caller, where it has them.
    #[serde(default)]
    pub pass: Vec<String>,
}

/// Who the program is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Process {
    /// User id inside; the caller's when not said.
    pub uid: Option<u32>,
    /// Group id inside; the caller's when not said.
    pub gid: Option<u32>,
    /// Host identity, for host root only.
    pub user: HostUser,
    /// Which ids exist inside.
    pub id_map: IdMap,
    /// Host name inside.
    pub hostname: String,
    /// When it has a terminal of its own.
    pub tty: Tty,
    /// When the other side of standard input is closed, the grace begins; then everything is killed.
    pub end_with_stdin: bool,
}

/// The host identity of a sandbox that host root starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum HostUser {
    /// An unprivileged id that nobody else has.
    Auto,
    /// This user id.
    Uid(u32),
    /// This user.
    Name(String),
}

/// When a sandbox has a terminal of its own.
///
/// The caller's is never passed in: what is typed and printed is relayed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Tty {
    /// For those of the three streams that are terminals outside, in a run in the foreground; the others pass as they are.
    #[default]
    Auto,
    /// For all three streams, whatever they are outside.
    Always,
    /// Never: terminals are relayed by pipes.
    Never,
}

/// Which ids exist inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IdMap {
    /// One user and one group.
    Single,
    /// The caller's subordinate ids too (`subuid(5)`, `subgid(5)`), through `newuidmap` and `newgidmap`.
    Range,
}

impl Policy {
    /// The policy of a built-in profile.
    ///
    /// # Errors
    /// There is no such profile; the message lists them.
    pub fn builtin(name: &str) -> Result<Self, Problem> {
        Profile::builtin(name).map(Profile::into_policy)
    }

    /// Shows `path` at its own place, read-only.
    #[must_use]
    pub fn ro(self, path: impl Into<PathBuf>) -> Self {
        self.grant(path.into(), None, Access::Read)
    }

    /// Shows `path` at its own place, writable.
    #[must_use]
    pub fn rw(self, path: impl Into<PathBuf>) -> Self {
        self.grant(path.into(), None, Access::Write)
    }

    /// Shows a host path somewhere else.
    #[must_use]
    pub fn bind(self, spec: BindSpec) -> Self {
        self.grant(spec.source, Some(spec.destination), spec.access)
    }

    fn grant(mut self, source: PathBuf, destination: Option<PathBuf>, access: Access) -> Self {
        self.filesystem.grants.push(Grant { source, destination, access, layer: Layer::Caller });
        self
    }

    /// Does without a guarantee that this host cannot give, or that this run does not need.
    #[must_use]
    pub fn waive(mut self, guarantee: Guarantee) -> Self {
        self.waived.insert(guarantee);
        self
    }

    /// Sets or passes one variable.
    ///
    /// # Errors
    /// The variable is not UTF-8.
    pub fn variable(&mut self, variable: &Variable) -> Result<(), String> {
        let text = |t: &std::ffi::OsStr| {
            t.to_str().map(str::to_owned).ok_or_else(|| format!("`{}` is not UTF-8", t.to_string_lossy()))
        };
        let name = text(&variable.name)?;
        match &variable.value {
            None => self.environment.pass.push(name),
            Some(value) => {
                self.environment.set.insert(name, text(value)?);
            }
        }
        Ok(())
    }

    /// What no host could carry out, found without looking at one.
    ///
    /// # Errors
    /// The first thing that is wrong: a relative path inside, a bad host name, an id that cannot be.
    pub fn check(&self) -> Result<(), Problem> {
        let inside = self.filesystem.grants.iter().filter_map(|g| g.destination.as_ref());
        let inside = inside.chain(self.filesystem.tmpfs.iter().map(|t| &t.path));
        for path in inside.chain(&self.filesystem.workdir) {
            let text = path.to_str().ok_or_else(|| {
                Problem::request("path", format!("the path inside, `{}`, is not UTF-8", path.display()))
            })?;
            let clean = absolute(text).map_err(|why| Problem::request("path", why).at(path))?;
            if clean.parent().is_none() && self.filesystem.workdir.as_ref() != Some(path) {
                let why = "the root of a sandbox is its own: nothing can be mounted at `/`".to_owned();
                return Err(
                    Problem::request("path", why).remedy("for another system's files use --rootfs DIR")
                );
            }
        }
        for name in &self.filesystem.commands {
            command_name(name).map_err(|why| Problem::request("commands", why))?;
        }
        check_hostname(&self.process.hostname)?;
        if let Some(Err(why)) = self.limits.pids.map(process_count::check) {
            return Err(Problem::request("limit", format!("--pids: {why}")));
        }
        for id in [self.process.uid, self.process.gid].into_iter().flatten() {
            if id == u32::MAX {
                return Err(Problem::request("id", format!("the id {id} means \"no id\" to the kernel")));
            }
        }
        for (name, value) in &self.environment.set {
            if name.is_empty() || name.contains(['=', '\0', '\n']) || value.contains('\0') {
                let shown = name.escape_default();
                return Err(Problem::request("environment", format!("the variable `{shown}` cannot be set")));
            }
        }
        for (name, danger) in [
            ("CAP_SYS_ADMIN", "could undo the mounts that hold `files`"),
            ("CAP_SYS_PTRACE", "could trace PID 1, which holds the deadline"),
        ] {
            if self.capabilities.iter().any(|kept| kept.to_string() == name) {
                let why = format!("{name} cannot be kept: a program that has it {danger}");
                return Err(Problem::request("capability", why).remedy("keep a narrower one, or none"));
            }
        }
        for guarantee in &self.waived {
            if !guarantee.is_waivable() {
                let why = format!("`{guarantee}` needs nothing from the host, so it cannot be waived");
                return Err(Problem::request("waiver", why));
            }
        }
        Ok(())
    }

    /// The same policy with every value of a variable taken out: what a report may hold.
    #[must_use]
    pub fn without_values(&self) -> Self {
        let mut policy = self.clone();
        policy.environment.set.values_mut().for_each(|v| v.replace_range(.., "(set)"));
        policy
    }

    /// SHA-256 of the policy as a report shows it, in hexadecimal, with an empty `profile` and without `files`: the same
    /// profile is the same policy in every checkout.
    #[must_use]
    pub fn sha256(&self) -> String {
        use sha2::{Digest, Sha256};
        let nameless = Self { profile: String::new(), files: Vec::new(), ..self.without_values() };
        let value = serde_json::to_value(nameless).unwrap_or_default();
        let json = value.to_string();
        Sha256::digest(json).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// A host name is at most 64 bytes for the kernel (`sethostname(2)`), and text that tools can read.
pub(crate) fn check_hostname(name: &str) -> Result<(), Problem> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.' || c == '_';
    let why = if name.is_empty() {
        "the host name is empty"
    } else if name.len() > 64 {
        "the host name is longer than 64 bytes"
    } else if !name.chars().all(plain) {
        "the host name holds something else than letters, digits, `-`, `_` and `.`"
    } else {
        return Ok(());
    };
    Err(Problem::request("hostname", format!("{why}: `{}`", name.escape_default())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> Policy {
        Policy::builtin("default").unwrap()
    }

    #[test]
    fn what_no_host_could_do_is_named() {
        let mut root = policy();
        root.filesystem.tmpfs.push(Tmpfs { path: "/".into(), size: None });
        let mut relative = policy();
        relative.filesystem.workdir = Some("work".into());
        let mut long = policy();
        long.process.hostname = "x".repeat(65);
        let mut odd = policy();
        odd.process.hostname = "a\nb".into();
        let mut id = policy();
        id.process.uid = Some(u32::MAX);
        let mut variable = policy();
        variable.environment.set.insert("A=B".into(), "x".into());
        for (bad, part) in [
            (root, "root of a sandbox"),
            (relative, "relative"),
            (long, "64"),
            (odd, "letters"),
            (id, "no id"),
            (variable, "cannot be set"),
        ] {
            let problem = bad.check().unwrap_err();
            assert!(problem.message.contains(part), "{problem}");
        }
        policy().check().unwrap();
    }

    #[test]
    fn a_toolchain_is_a_word_or_names() {
        for (text, meant) in [
            ("auto", Toolchain::Auto),
            ("none", Toolchain::None),
            ("cargo", Toolchain::Of(vec!["cargo".into()])),
            ("node,python3.12", Toolchain::Of(vec!["node".into(), "python3.12".into()])),
        ] {
            assert_eq!(text.parse(), Ok(meant.clone()));
            assert_eq!(String::from(meant), text);
        }
        for bad in ["", "a/b", "..", "a,", "-x", "a b", "/usr/bin/node"] {
            assert!(bad.parse::<Toolchain>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_report_never_holds_a_value() {
        let mut policy = policy();
        policy.variable(&Variable::parse("TOKEN=secret".as_ref()).unwrap()).unwrap();
        let json = serde_json::to_string(&policy.without_values()).unwrap();
        assert!(json.contains("TOKEN") && !json.contains("secret"), "{json}");
    }
}
