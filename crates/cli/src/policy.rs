//! The POLICY flags become one [`Policy`]; what contradicts itself is found here, as far as words can tell.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

use ringfence::config::with_standing_waivers;
use ringfence::policy::{Access, BUILTIN_PROFILES, Base, Policy, Problem, Size, Tmpfs, Variable};
use ringfence::profiles::Profiles;

use crate::env_file;
use crate::flags::{EnvironmentFlags, FileFlags, LimitFlags, PolicyFlags, ProcessFlags, SyscallFlags};

/// The policy that the flags say, on top of the profile that they name; what was decided on the way is noted.
///
/// # Errors
/// Flags contradict each other, a file of variables, a profile or a filter is wrong, or no host could carry the
/// policy out.
pub(crate) fn from_flags(flags: PolicyFlags, notes: &mut Vec<String>) -> Result<Policy, Problem> {
    check_places(&flags.files)?;
    let variables = variables(&flags.environment)?;
    let mut policy = with_files(profile(&flags.profile, notes)?, flags.files);
    for variable in &variables {
        add_variable(&mut policy, variable)?;
    }
    policy.network = flags.net.unwrap_or(policy.network);
    set_limits(&mut policy, &flags.limits);
    set_process(&mut policy, flags.process);
    set_syscalls(&mut policy, &flags.syscalls, notes)?;
    policy.waived.extend(flags.allow_degraded);
    policy.check()?;
    with_standing_waivers(policy)
}

/// A profile as it stands, with the host's standing waivers.
///
/// # Errors
/// There is none of that name, or it is wrong.
pub(crate) fn of_profile(word: &str, notes: &mut Vec<String>) -> Result<Policy, Problem> {
    let policy = profile(word, notes)?;
    policy.check()?;
    with_standing_waivers(policy)
}

/// What the policy begins as. A built-in profile is looked for nowhere: a start reads no file for it.
fn profile(word: &str, notes: &mut Vec<String>) -> Result<Policy, Problem> {
    if BUILTIN_PROFILES.iter().any(|(name, _)| *name == word) {
        return Policy::builtin(word);
    }
    // What is wrong with a word, and not with a file, is told by the flag's name.
    let of_word = |problem: Problem| match problem.path {
        Some(_) => problem,
        None => Problem { message: format!("`--profile`: {}", problem.message), ..problem },
    };
    let found = Profiles::of_caller()?.find(word).map_err(of_word)?;
    notes.extend_from_slice(found.profile.notes());
    Ok(found.into_policy())
}

/// A filter replaces the profile's rules; what is said of violations comes last.
fn set_syscalls(policy: &mut Policy, flags: &SyscallFlags, notes: &mut Vec<String>) -> Result<(), Problem> {
    if let Some(file) = &flags.seccomp {
        let (filter, path) = Profiles::of_caller()?.filter(file, policy.capabilities.clone())?;
        policy.syscalls = filter.syscalls.clone();
        policy.on_violation = filter.on_violation;
        policy.filesystem.protected.push(path.to_string_lossy().into_owned());
        notes.extend(filter.into_notes().into_iter().map(|note| format!("{}: {note}", file.display())));
    }
    policy.on_violation = flags.on_violation.unwrap_or(policy.on_violation);
    Ok(())
}

fn with_files(mut policy: Policy, flags: FileFlags) -> Policy {
    for path in flags.ro {
        policy = policy.ro(path);
    }
    for path in flags.rw {
        policy = policy.rw(path);
    }
    for bind in flags.bind {
        policy = policy.bind(bind);
    }
    let files = &mut policy.filesystem;
    files.tmpfs.extend(flags.tmpfs.into_iter().map(|spec| Tmpfs { path: spec.path, size: spec.size }));
    files.deny.extend(flags.deny);
    files.devices.extend(flags.device);
    if let Some(base) = flags.rootfs.map(Base::Rootfs).or(flags.base) {
        files.base = base;
    }
    files.workdir = flags.workdir.or(files.workdir.take());
    if let Some(toolchain) = &flags.toolchain {
        files.toolchain = toolchain.clone();
    }
    policy
}

fn set_limits(policy: &mut Policy, flags: &LimitFlags) {
    let limits = &mut policy.limits;
    limits.timeout = flags.timeout.or(limits.timeout);
    limits.grace = flags.grace.or(limits.grace);
    limits.cpu_time = flags.cpu_time.or(limits.cpu_time);
    limits.memory = flags.memory.or(limits.memory);
    limits.cpus = flags.cpus.or(limits.cpus);
    limits.cpuset = flags.cpuset.clone().or(limits.cpuset.take());
    limits.pids = flags.pids.or(limits.pids);
    limits.stack = flags.stack.or(limits.stack);
    limits.file_size = flags.file_size.or(limits.file_size);
    limits.nofile = flags.nofile.or(limits.nofile);
    limits.output = flags.output_limit.or(limits.output);
}

fn set_process(policy: &mut Policy, flags: ProcessFlags) {
    let process = &mut policy.process;
    process.uid = flags.uid.or(process.uid);
    process.gid = flags.gid.or(process.gid);
    process.id_map = flags.id_map.unwrap_or(process.id_map);
    if let Some(user) = flags.user {
        process.user = user;
    }
    process.tty = flags.tty.unwrap_or(process.tty);
    if let Some(hostname) = flags.hostname {
        process.hostname = hostname;
    }
    policy.capabilities.extend(flags.keep_cap);
}

/// What a flag says of one path inside.
#[derive(PartialEq, Eq)]
enum Says {
    Shown(PathBuf, Access),
    Tmpfs(Option<Size>),
    Hidden,
}

/// Two flags must not say different things of the same path: neither could be meant to win. Paths are compared
/// as words; the same path under two spellings is found where paths are looked up.
fn check_places(flags: &FileFlags) -> Result<(), Problem> {
    let mut said: BTreeMap<PathBuf, (String, Says)> = BTreeMap::new();
    for (place, text, says) in places(flags) {
        if let Some((earlier, other)) = said.get(&place) {
            if *other != says {
                let message = format!("`{earlier}` and `{text}` contradict each other");
                return Err(Problem::request("contradiction", message).at(place).remedy("keep one"));
            }
            continue;
        }
        said.insert(place, (text, says));
    }
    Ok(())
}

/// Every path inside that the flags speak of, with the flag as it was written.
fn places(flags: &FileFlags) -> Vec<(PathBuf, String, Says)> {
    let own = |flag: &str, path: &Path, access| {
        let place = plain(path);
        (place.clone(), format!("{flag} {}", path.display()), Says::Shown(place, access))
    };
    let mut places: Vec<_> = flags.ro.iter().map(|path| own("--ro", path, Access::Read)).collect();
    places.extend(flags.rw.iter().map(|path| own("--rw", path, Access::Write)));
    places.extend(flags.bind.iter().map(|bind| {
        let mode = if bind.access == Access::Read { ":ro" } else { "" };
        let text = format!("--bind {}:{}{mode}", bind.source.display(), bind.destination.display());
        (bind.destination.clone(), text, Says::Shown(plain(&bind.source), bind.access))
    }));
    places.extend(flags.tmpfs.iter().map(|tmpfs| {
        let size = tmpfs.size.map_or_else(String::new, |size| format!(":{size}"));
        (tmpfs.path.clone(), format!("--tmpfs {}{size}", tmpfs.path.display()), Says::Tmpfs(tmpfs.size))
    }));
    places.extend(
        flags.deny.iter().map(|path| (plain(Path::new(path)), format!("--deny {path}"), Says::Hidden)),
    );
    places
}

/// The path without `.` and doubled or trailing slashes; `..` stays, for only the host knows where it leads.
fn plain(path: &Path) -> PathBuf {
    let plain: PathBuf = path.components().filter(|part| !matches!(part, Component::CurDir)).collect();
    if plain.as_os_str().is_empty() { PathBuf::from(".") } else { plain }
}

/// What a variable is, and where that was said.
type Said = (Option<OsString>, String);

/// The variables of the flags and their files; `--env` overrides a file, and otherwise none says two things.
fn variables(flags: &EnvironmentFlags) -> Result<Vec<Variable>, Problem> {
    let mut of_files = BTreeMap::new();
    for path in &flags.env_file {
        for line in env_file::read(path)? {
            say(&mut of_files, line.name.into(), (Some(line.value.into()), line.place))?;
        }
    }
    let mut all = BTreeMap::new();
    for variable in &flags.env {
        let form = if variable.value.is_some() { "=VALUE" } else { "" };
        let place = format!("--env {}{form}", variable.name.display());
        say(&mut all, variable.name.clone(), (variable.value.clone(), place))?;
    }
    for (name, said) in of_files {
        all.entry(name).or_insert(said);
    }
    Ok(all.into_iter().map(|(name, (value, _))| Variable { name, value }).collect())
}

fn say(all: &mut BTreeMap<OsString, Said>, name: OsString, said: Said) -> Result<(), Problem> {
    if let Some((value, place)) = all.get(&name)
        && *value != said.0
    {
        let message = format!(
            "the variable `{}` is given twice, and not as the same: {place}, and {}",
            name.display(),
            said.1
        );
        return Err(Problem::request("contradiction", message).remedy("keep one"));
    }
    all.insert(name, said);
    Ok(())
}

/// A flag overrides the profile, which may pass what the flag sets or set what it passes.
fn add_variable(policy: &mut Policy, variable: &Variable) -> Result<(), Problem> {
    let name = variable.name.to_string_lossy();
    policy.environment.set.remove(&*name);
    policy.environment.pass.retain(|passed| *passed != name);
    policy
        .variable(variable)
        .map_err(|_| Problem::request("usage", format!("the variable `{name}` is not UTF-8")))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::Args;
    use ringfence::policy::{Guarantee, HostUser, IdMap, Network, Toolchain, Tty, Violation};

    use super::*;

    fn policy(words: &[&str]) -> Result<Policy, Problem> {
        from_flags(PolicyFlags::read(words).unwrap(), &mut Vec::new())
    }

    fn changed(words: &[&str]) -> Policy {
        policy(words).unwrap()
    }

    #[test]
    fn a_flag_says_what_it_names() {
        let builtin = |name| Policy::builtin(name).unwrap();
        assert_eq!(changed(&[]), builtin("default"));
        assert_eq!(changed(&["-p", "minimal"]), builtin("minimal"));
        assert_eq!(changed(&["--ro", "a", "--rw=/b"]), builtin("default").ro("a").rw("/b"));
        let bind = "a:/b:ro".parse().unwrap();
        assert_eq!(changed(&["--bind", "a:/b:ro"]), builtin("default").bind(bind));

        let files = |words: &[&str]| changed(words).filesystem;
        let tmpfs = Tmpfs { path: "/t".into(), size: Some(Size(1 << 20)) };
        assert_eq!(files(&["--tmpfs", "/t:1M"]).tmpfs, [tmpfs]);
        assert_eq!(files(&["--deny", "**/.env", "--deny", "/x"]).deny, ["**/.env", "/x"]);
        assert_eq!(files(&["--rootfs", "/r"]).base, Base::Rootfs("/r".into()));
        assert_eq!(files(&["--base", "empty"]).base, Base::Empty);
        assert_eq!(files(&["--base", "host"]).base, Base::Host);
        assert_eq!(files(&["--device", "/dev/kvm"]).devices, [PathBuf::from("/dev/kvm")]);
        assert_eq!(files(&["--workdir", "/w"]).workdir, Some("/w".into()));
        assert_eq!(files(&["--toolchain", "none"]).toolchain, Toolchain::None);
        assert_eq!(files(&["-p", "minimal", "--toolchain", "auto"]).toolchain, Toolchain::Auto);

        assert_eq!(changed(&["--net", "host"]).network, Network::Host);
        assert_eq!(changed(&["--net", "none"]).network, Network::None);

        assert_eq!(changed(&["--on-violation", "log"]).on_violation, Violation::Log);

        let limits =
            changed(&["-p", "minimal", "--stack=8M", "--file-size=1K", "--grace=500ms", "--nofile=9"]).limits;
        assert_eq!(
            (limits.stack, limits.file_size, limits.nofile),
            (Some(Size(8 << 20)), Some(Size(1024)), Some(9))
        );
        assert_eq!(limits.grace, Some(Duration::from_millis(500)));
        assert_eq!(limits.timeout, Some(Duration::from_secs(10)), "the profile's");
        assert_eq!(changed(&["--timeout", "2m"]).limits.timeout, Some(Duration::from_secs(120)));

        let process =
            changed(&["--uid=1", "--gid=2", "--user=nobody", "--id-map=range", "--hostname=h"]).process;
        assert_eq!((process.uid, process.gid), (Some(1), Some(2)));
        assert_eq!((process.user, process.id_map), (HostUser::Name("nobody".to_owned()), IdMap::Range));
        assert_eq!((process.hostname.as_str(), process.tty), ("h", Tty::Auto));
        assert_eq!(changed(&["-t", "always"]).process.tty, Tty::Always);
        assert_eq!(changed(&["--user", "auto"]).process.user, HostUser::Auto);

        let kept = changed(&["--keep-cap", "net_raw", "--keep-cap", "CAP_SYS_NICE"]).capabilities;
        assert_eq!(kept.iter().map(ToString::to_string).collect::<Vec<_>>(), ["CAP_NET_RAW", "CAP_SYS_NICE"]);
        let waived = changed(&["--allow-degraded", "ipc", "--allow-degraded=host-root"]).waived;
        assert!(waived.into_iter().eq([Guarantee::Ipc, Guarantee::HostRoot]));
    }

    /// A flag that help shows must do something: here, change the policy. A new flag needs its line.
    #[test]
    fn every_flag_of_the_group_changes_the_policy() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("env");
        std::fs::write(&file, "A=1\n").unwrap();
        let file = file.to_str().unwrap();
        let filter = folder.path().join("filter.json");
        std::fs::write(&filter, r#"{"defaultAction": "SCMP_ACT_KILL"}"#).unwrap();
        let filter = filter.to_str().unwrap();
        let samples = [
            ("profile", "build"),
            ("allow-degraded", "ipc"),
            ("ro", "x"),
            ("rw", "x"),
            ("bind", "x:/y"),
            ("tmpfs", "/t"),
            ("deny", "/x"),
            ("rootfs", "/r"),
            ("base", "empty"),
            ("tty", "never"),
            ("device", "/dev/kvm"),
            ("workdir", "/w"),
            ("toolchain", "none"),
            ("env", "A"),
            ("env-file", file),
            ("net", "host"),
            ("seccomp", filter),
            ("on-violation", "kill"),
            ("timeout", "1"),
            ("grace", "1"),
            ("stack", "1M"),
            ("file-size", "1M"),
            ("nofile", "9"),
            ("memory", "1G"),
            ("cpus", "0.5"),
            ("cpuset", "0"),
            ("pids", "9"),
            ("cpu-time", "1"),
            ("output-limit", "1M"),
            ("uid", "7"),
            ("gid", "7"),
            ("user", "7"),
            ("id-map", "range"),
            ("keep-cap", "KILL"),
            ("hostname", "h"),
        ];
        let group = PolicyFlags::augment_args(clap::Command::new("policy"));
        let untouched = changed(&[]);
        for argument in group.get_arguments() {
            let long = argument.get_long().unwrap();
            let sample = samples.iter().find(|(flag, _)| *flag == long);
            let (_, value) = sample.unwrap_or_else(|| panic!("--{long} has no sample"));
            assert_ne!(changed(&[&format!("--{long}={value}")]), untouched, "--{long}");
            assert!(
                argument.get_help().is_some_and(|help| !help.to_string().is_empty()),
                "--{long} has no help"
            );
        }
        assert_eq!(group.get_arguments().count(), samples.len());
    }

    #[test]
    fn flags_must_not_contradict_each_other() {
        for (words, part) in [
            (&["--ro", "x", "--rw", "x"][..], "`--ro x` and `--rw x` contradict"),
            (&["--ro", "./x", "--rw", "x/"], "`--ro ./x` and `--rw x/` contradict"),
            (&["--ro", "/a", "--bind", "/b:/a"], "`--ro /a` and `--bind /b:/a` contradict"),
            (&["--bind", "/a:/c", "--bind", "/b:/c"], "contradict"),
            (&["--bind", "/a:/c", "--bind", "/a:/c:ro"], "contradict"),
            (&["--tmpfs", "/t", "--rw", "/t"], "contradict"),
            (&["--tmpfs", "/t", "--tmpfs", "/t:1M"], "contradict"),
            (&["--deny", "/x", "--rw", "/x"], "`--rw /x` and `--deny /x` contradict"),
            (&["--env", "A=1", "--env", "A=2"], "`A` is given twice"),
            (&["--env", "A", "--env", "A=2"], "`A` is given twice"),
        ] {
            let said = policy(words).unwrap_err().to_string();
            assert!(said.contains(part) && said.contains("keep one"), "{words:?}: {said}");
        }
        let said = policy(&["--env", "A=secret", "--env", "A=hidden"]).unwrap_err().to_string();
        assert!(!said.contains("secret") && !said.contains("hidden"), "{said}");
    }

    #[test]
    fn the_same_said_twice_is_no_contradiction() {
        for words in [
            &["--ro", "x", "--ro", "./x"][..],
            &["--ro", "x", "--rw", "x/y"],
            &["--deny", "/x/y", "--rw", "/x"],
            &["--bind", "/a:/a:ro", "--ro", "/a"],
            &["--env", "A=1", "--env", "A=1"],
            &["--ro", "x", "--rw", "../x"],
        ] {
            policy(words).unwrap();
        }
    }

    #[test]
    fn env_overrides_env_file_and_files_must_agree() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            format!("--env-file={}", path.display())
        };
        let (one, two, same) = (write("one", "A=1\nB=b\n"), write("two", "A=2\n"), write("same", "A=1\n"));
        let set = |words: &[&str]| policy(words).map(|policy| policy.environment);
        let environment = set(&[&one, &same, "--env", "B=flag"]).unwrap();
        assert_eq!(
            environment.set.into_iter().collect::<Vec<_>>(),
            [("A".to_owned(), "1".to_owned()), ("B".to_owned(), "flag".to_owned())]
        );
        let environment = set(&[&two, "--env", "A"]).unwrap();
        assert_eq!((environment.pass, environment.set.len()), (vec!["A".to_owned()], 0));
        let said = set(&[&one, &two]).unwrap_err().to_string();
        assert!(said.contains("one:1") && said.contains("two:1"), "{said}");
        assert!(set(&["--env-file=/no/such"]).unwrap_err().to_string().contains("ENOENT"));
    }

    #[test]
    fn a_flag_overrides_the_variables_of_the_profile() {
        let mut policy = Policy::builtin("default").unwrap();
        policy.environment.set.insert("A".to_owned(), "profile".to_owned());
        policy.environment.pass.push("B".to_owned());
        for word in ["A", "B=flag"] {
            add_variable(&mut policy, &Variable::parse(word.as_ref()).unwrap()).unwrap();
        }
        assert_eq!(policy.environment.pass, ["A"]);
        assert!(policy.environment.set.into_iter().eq([("B".to_owned(), "flag".to_owned())]));
    }

    #[test]
    fn what_no_host_can_do_is_refused_here() {
        for words in [["--tmpfs", "/"], ["--bind", "/x:/"]] {
            let said = policy(&words).unwrap_err().to_string();
            assert!(said.contains("root of a sandbox") && said.contains("--rootfs"), "{words:?}: {said}");
        }
    }
}
