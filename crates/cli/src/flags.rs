//! The POLICY flags: the same for every command that takes a policy.

use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Args, ValueHint};
use ringfence::policy::{
    Base, BindSpec, Capability, CpuList, Cpus, Guarantee, HostUser, IdMap, Network, OutputLimit, Size,
    TmpfsSpec, Toolchain, Tty, Variable, Violation,
};

use crate::values;

/// What the flags say, each as its own type; how they fit together is judged in `policy`.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub(crate) struct PolicyFlags {
    /// What the policy begins as, by name or by file; flags override it
    #[arg(short, long, value_name = "NAME|FILE", value_parser = values::ProfileParser, default_value = "default")]
    #[arg(help_heading = "Policy")]
    pub(crate) profile: String,

    /// Do without one guarantee that this host cannot give; the report says so (repeatable)
    #[arg(long, value_name = "GUARANTEE", value_parser = values::waivable(), help_heading = "Policy")]
    pub(crate) allow_degraded: Vec<Guarantee>,

    #[command(flatten)]
    pub(crate) files: FileFlags,

    #[command(flatten)]
    pub(crate) environment: EnvironmentFlags,

    /// The network: `none` is a loopback of its own, `host` is the host's
    #[arg(long, value_name = "WHICH", value_parser = values::network(), help_heading = "Network")]
    pub(crate) net: Option<Network>,

    #[command(flatten)]
    pub(crate) syscalls: SyscallFlags,

    #[command(flatten)]
    pub(crate) limits: LimitFlags,

    #[command(flatten)]
    pub(crate) process: ProcessFlags,
}

#[derive(Args, Clone, Debug, PartialEq, Eq)]
#[command(next_help_heading = "Files")]
pub(crate) struct FileFlags {
    /// Show a path at its own place, read-only (repeatable)
    #[arg(long, value_name = "PATH", value_parser = path(), value_hint = ValueHint::AnyPath)]
    pub(crate) ro: Vec<PathBuf>,

    /// Show a path at its own place, writable (repeatable)
    #[arg(long, value_name = "PATH", value_parser = path(), value_hint = ValueHint::AnyPath)]
    pub(crate) rw: Vec<PathBuf>,

    /// Show a path elsewhere, writable unless `:ro`; a colon in a path is `\:` (repeatable)
    #[arg(long, value_name = "SRC:DST[:ro|:rw]", value_parser = BindSpec::from_str)]
    pub(crate) bind: Vec<BindSpec>,

    /// An empty writable folder in memory (repeatable)
    #[arg(long, value_name = "DST[:SIZE]", value_parser = TmpfsSpec::from_str)]
    pub(crate) tmpfs: Vec<TmpfsSpec>,

    /// Hide a path or what a glob matches at the start, whatever else is shown (repeatable)
    #[arg(long, value_name = "PATH|GLOB", value_parser = values::pattern, value_hint = ValueHint::AnyPath)]
    pub(crate) deny: Vec<String>,

    /// Begin with the folder of another system, read-only, instead of the host's programs
    #[arg(long, value_name = "DIR", value_parser = path(), value_hint = ValueHint::DirPath)]
    #[arg(conflicts_with = "base")]
    pub(crate) rootfs: Option<PathBuf>,

    /// Begin with the host's programs, read-only, or with nothing
    #[arg(long, value_name = "WHICH", value_parser = values::base())]
    pub(crate) base: Option<Base>,

    /// Show a device node (repeatable)
    #[arg(long, value_name = "PATH", value_parser = device(), value_hint = ValueHint::AnyPath)]
    pub(crate) device: Vec<PathBuf>,

    /// Where the program starts, inside; the working directory when not said
    #[arg(long, value_name = "DIR", value_parser = workdir(), value_hint = ValueHint::DirPath)]
    pub(crate) workdir: Option<PathBuf>,

    /// Show the command's own toolchain, read-only; a NAME: also that of a program of PATH that it calls
    #[arg(long, value_name = "auto|none|NAME", value_parser = values::toolchain)]
    pub(crate) toolchain: Option<Toolchain>,
}

#[derive(Args, Clone, Debug, PartialEq, Eq)]
#[command(next_help_heading = "Environment")]
pub(crate) struct EnvironmentFlags {
    /// Set a variable, or pass the caller's (repeatable)
    #[arg(long, value_name = "NAME[=VALUE]")]
    #[arg(value_parser = OsStringValueParser::new().try_map(|text: OsString| values::variable(&text)))]
    pub(crate) env: Vec<Variable>,

    /// Set the variables of a file: NAME=VALUE lines, taken literally; `#` begins a comment (repeatable)
    #[arg(long, value_name = "FILE", value_parser = path(), value_hint = ValueHint::FilePath)]
    pub(crate) env_file: Vec<PathBuf>,
}

#[derive(Args, Clone, Debug, PartialEq, Eq)]
#[command(next_help_heading = "System calls")]
pub(crate) struct SyscallFlags {
    /// Rules in the JSON of OCI and Docker, instead of the profile's; what is refused to all stays refused
    #[arg(long, value_name = "FILE", value_parser = path(), value_hint = ValueHint::FilePath)]
    pub(crate) seccomp: Option<PathBuf>,

    /// What a system call gets that the rules do not list: an error, the end, or a line in the kernel's audit log
    #[arg(long, value_name = "WHICH", value_parser = values::violation())]
    pub(crate) on_violation: Option<Violation>,
}

#[derive(Args, Clone, Debug, PartialEq, Eq)]
#[command(next_help_heading = "Limits")]
pub(crate) struct LimitFlags {
    /// Wall-clock time from the program's start: 500ms, 10s, 2m, 1h, seconds when bare
    #[arg(long, value_name = "DURATION", value_parser = ringfence::policy::parse_duration)]
    pub(crate) timeout: Option<Duration>,

    /// Time between the polite signal and the kill; 5s when not said
    #[arg(long, value_name = "DURATION", value_parser = ringfence::policy::parse_duration)]
    pub(crate) grace: Option<Duration>,

    /// Processor time of the whole tree; it is killed when that is used up
    #[arg(long, value_name = "DURATION", value_parser = ringfence::policy::parse_duration)]
    pub(crate) cpu_time: Option<Duration>,

    /// Memory of the whole tree, files in memory included; all of it is killed when that is used up
    #[arg(long, value_name = "SIZE", value_parser = Size::from_str)]
    pub(crate) memory: Option<Size>,

    /// Processors at once: 2, 0.5
    #[arg(long, value_name = "N", value_parser = Cpus::from_str)]
    pub(crate) cpus: Option<Cpus>,

    /// The processors that it may use: 0-3, or 0,2
    #[arg(long, value_name = "LIST", value_parser = CpuList::from_str)]
    pub(crate) cpuset: Option<CpuList>,

    /// Processes and threads of the program at once
    #[arg(long, value_name = "N", value_parser = values::count)]
    pub(crate) pids: Option<u64>,

    /// Stack of one thread: 64K, 512M, 1.5GiB, bytes when bare
    #[arg(long, value_name = "SIZE", value_parser = Size::from_str)]
    pub(crate) stack: Option<Size>,

    /// Size of one file
    #[arg(long, value_name = "SIZE", value_parser = Size::from_str)]
    pub(crate) file_size: Option<Size>,

    /// Open files of one process
    #[arg(long, value_name = "N", value_parser = values::count)]
    pub(crate) nofile: Option<u64>,

    /// What is printed on stdout and stderr together; beyond it the program is killed, or the rest is dropped
    #[arg(long, value_name = "SIZE[:kill|:truncate]", value_parser = OutputLimit::from_str)]
    pub(crate) output_limit: Option<OutputLimit>,
}

#[derive(Args, Clone, Debug, PartialEq, Eq)]
#[command(next_help_heading = "Identity")]
pub(crate) struct ProcessFlags {
    /// User id inside; the caller's when not said
    #[arg(long, value_name = "N", value_parser = values::id)]
    pub(crate) uid: Option<u32>,

    /// Group id inside; the caller's when not said
    #[arg(long, value_name = "N", value_parser = values::id)]
    pub(crate) gid: Option<u32>,

    /// Host identity, for root only: `auto` is an unprivileged id that nobody else has
    #[arg(long, value_name = "NAME|UID|auto", value_parser = values::host_user)]
    #[arg(value_hint = ValueHint::Username)]
    pub(crate) user: Option<HostUser>,

    /// The ids that exist inside: one, or the caller's subordinate ids too (subuid(5))
    #[arg(long, value_name = "WHICH", value_parser = values::id_map())]
    pub(crate) id_map: Option<IdMap>,

    /// Keep a capability inside its own user namespace (repeatable)
    #[arg(long, value_name = "NAME", value_parser = Capability::from_str)]
    pub(crate) keep_cap: Vec<Capability>,

    /// Host name inside; `ringfence` when not said
    #[arg(long, value_name = "NAME", value_parser = values::hostname)]
    pub(crate) hostname: Option<String>,

    /// A terminal of its own: `auto` for those of stdin, stdout and stderr that are one, `always` for all three
    #[arg(short, long, value_name = "WHEN", value_parser = values::tty())]
    pub(crate) tty: Option<Tty>,
}

fn path() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().try_map(|text| values::path(&text))
}

fn workdir() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().try_map(|text| values::workdir(&text))
}

fn device() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().try_map(|text| values::device(&text))
}

#[cfg(test)]
pub(crate) mod tests {
    use clap::{Command, FromArgMatches};

    use super::*;

    impl PolicyFlags {
        /// The flags of words that hold nothing else.
        pub(crate) fn read(words: &[&str]) -> Result<Self, clap::Error> {
            let command = Self::augment_args(Command::new("policy").no_binary_name(true));
            Self::from_arg_matches(&command.try_get_matches_from(words)?)
        }

        pub(crate) fn is_untouched(&self) -> bool {
            Self::read(&[]).unwrap() == *self
        }
    }

    /// The flags that have one value, each with one.
    const SINGLE: [(&str, &str); 26] = [
        ("--seccomp", "/f.json"),
        ("--on-violation", "kill"),
        ("--profile", "minimal"),
        ("--net", "host"),
        ("--rootfs", "/r"),
        ("--base", "empty"),
        ("--workdir", "/w"),
        ("--toolchain", "none"),
        ("--timeout", "10s"),
        ("--grace", "1s"),
        ("--stack", "8M"),
        ("--file-size", "1G"),
        ("--nofile", "64"),
        ("--memory", "1G"),
        ("--cpus", "1.5"),
        ("--cpuset", "0"),
        ("--pids", "64"),
        ("--cpu-time", "10s"),
        ("--output-limit", "1M:truncate"),
        ("--uid", "0"),
        ("--gid", "0"),
        ("--user", "nobody"),
        ("--id-map", "range"),
        ("--hostname", "h"),
        ("--tty", "never"),
        ("-p", "build"),
    ];

    #[test]
    fn a_flag_with_one_value_is_given_once() {
        for (flag, value) in SINGLE {
            assert!(PolicyFlags::read(&[flag, value]).is_ok(), "{flag}");
            let error = PolicyFlags::read(&[flag, value, flag, value]).unwrap_err();
            assert_eq!(error.kind(), clap::error::ErrorKind::ArgumentConflict, "{flag}: {error}");
        }
    }

    #[test]
    fn two_bases_contradict_each_other() {
        assert!(PolicyFlags::read(&["--rootfs", "/r", "--base", "host"]).is_err());
    }

    #[test]
    fn a_value_without_meaning_names_its_flag() {
        for (flag, value) in [
            ("--profile", ""),
            ("--profile", "8080:80"),
            ("--seccomp", ""),
            ("--on-violation", "warn"),
            ("--allow-degraded", "all"),
            ("--allow-degraded", "environment"),
            ("--ro", ""),
            ("--rw", "a\nb"),
            ("--bind", "a:b"),
            ("--bind", "a:/b:rx"),
            ("--tmpfs", "relative"),
            ("--tmpfs", "/t:0"),
            ("--deny", ""),
            ("--rootfs", ""),
            ("--base", "alpine"),
            ("--device", "null"),
            ("--workdir", ""),
            ("--workdir", "relative"),
            ("--workdir", "/a/../b"),
            ("--hostname", ""),
            ("--hostname", "a b"),
            ("--toolchain", "a/b"),
            ("--env", "=x"),
            ("--env-file", ""),
            ("--net", "bridge"),
            ("--stack", "10 bananas"),
            ("--file-size", "0"),
            ("--timeout", "5y"),
            ("--grace", "-1"),
            ("--nofile", "0"),
            ("--nofile", "many"),
            ("--memory", "0"),
            ("--memory", "-1"),
            ("--memory", "99999999999999999999"),
            ("--cpus", "0"),
            ("--cpus", "-1"),
            ("--cpus", "0.0001"),
            ("--cpus", "9999999"),
            ("--cpuset", ""),
            ("--cpuset", "3-1"),
            ("--output-limit", "0"),
            ("--output-limit", "1M:drop"),
            ("--pids", "0"),
            ("--pids", "-1"),
            ("--pids", "18446744073709551616"),
            ("--cpu-time", "0"),
            ("--cpu-time", "-3"),
            ("--uid", "-1"),
            ("--gid", "4294967295"),
            ("--user", ""),
            ("--user", "4294967295"),
            ("--id-map", "all"),
            ("--tty", "yes"),
            ("--keep-cap", "EVERYTHING"),
        ] {
            let error = PolicyFlags::read(&[&format!("{flag}={value}")]).unwrap_err();
            let words = ["run".into(), format!("{flag}={value}").into()];
            let said = crate::usage::problem(&error, &words).to_string();
            assert!(said.contains(flag), "{flag}={value}: {said}");
        }
    }
}
