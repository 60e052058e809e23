//! Names of cgroups: they say whose they are, so that a later run removes what a killed supervisor left, and nothing
//! else.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use ringfence_policy::Problem;
use rustix::fs::{AtFlags, CWD, Dir, OFlags, unlinkat};
use rustix::process::{Pid, getpid, test_kill_process};

use crate::{errno, look};

const PREFIX: &str = "ringfence";

/// A supervisor: numbers of processes mean something in one PID namespace, until the next boot.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Owner {
    process: i32,
    /// In clock ticks since the boot: another process of the same number started at another time.
    started: u64,
    boot: String,
    namespace: u64,
}

impl Owner {
    /// This process. Where /proc does not say, nothing can be named, or swept.
    fn this() -> io::Result<Self> {
        let process = getpid().as_raw_nonzero().get();
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
        let namespace = rustix::fs::stat("/proc/self/ns/pid")?.st_ino;
        let boot = boot.chars().filter(char::is_ascii_hexdigit).take(12).collect();
        Ok(Self { process, started: started(process)?, boot, namespace })
    }

    fn parse(name: &str) -> Option<Self> {
        let mut parts = name.split('-');
        if parts.next()? != PREFIX {
            return None;
        }
        let process = parts.next()?.parse().ok()?;
        let started = parts.next()?.parse().ok()?;
        let boot = parts.next()?.to_owned();
        let namespace = parts.next()?.parse().ok()?;
        let _random = u64::from_str_radix(parts.next()?, 16).ok()?;
        parts.next().is_none().then_some(Self { process, started, boot, namespace })
    }

    /// Is it certain that this process is no more? `this` is who asks.
    fn is_dead(&self, this: &Self) -> bool {
        if self.boot != this.boot {
            return true;
        }
        if self.namespace != this.namespace {
            return false;
        }
        let Some(process) = Pid::from_raw(self.process) else { return false };
        match test_kill_process(process) {
            Err(rustix::io::Errno::SRCH) => true,
            // Alive, whoever it is: the same only if it started then. A hidden one is let be.
            _ => started(self.process).is_ok_and(|started| started != self.started),
        }
    }
}

/// When a process started: the 22nd field of its `stat` (proc_pid_stat(5)); the name before may hold anything.
fn started(process: i32) -> io::Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    let field = stat.rsplit_once(')').and_then(|(_, fields)| fields.split_whitespace().nth(19)?.parse().ok());
    field.ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// A name that nobody else has.
///
/// # Errors
/// Whose it would be, or the kernel's randomness, cannot be read.
pub(super) fn fresh() -> Result<String, Problem> {
    let failed = |what| move |e| errno::problem("cgroup", what, e);
    let this =
        Owner::this().map_err(failed("a cgroup needs a name, and /proc does not say who this process is"));
    let Owner { process, started, boot, namespace } = this?;
    let mut bytes = [0_u8; 8];
    // Cannot fall short for so few bytes (getrandom(2)).
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .map_err(io::Error::from)
        .map_err(failed("a cgroup needs a name, and the kernel gives no random number"))?;
    let random = u64::from_ne_bytes(bytes);
    Ok(format!("{PREFIX}-{process}-{started}-{boot}-{namespace}-{random:016x}"))
}

/// Is it the name of a cgroup, or of a scope, that this process made? `started` is when it started.
pub(super) fn is_of(name: &str, (process, started): (i32, u64)) -> bool {
    let owner = Owner::parse(name.strip_suffix(".scope").unwrap_or(name));
    owner.is_some_and(|owner| (owner.process, owner.started) == (process, started))
}

/// Removes what supervisors that are no more left here. Only empty cgroups can be removed, so nothing is ended.
pub(super) fn sweep(parent: &Path) {
    let Ok(this) = Owner::this() else { return };
    let folder = look::open(parent, OFlags::DIRECTORY).and_then(|folder| Ok(Dir::new(folder)?));
    for entry in folder.into_iter().flatten().flatten() {
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        let owner = name.to_str().and_then(Owner::parse);
        if owner.is_some_and(|owner| owner.is_dead(&this)) {
            let _another_run_may_be_faster = unlinkat(CWD, parent.join(name), AtFlags::REMOVEDIR);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_whose_it_is() {
        let this = Owner::this().unwrap();
        let name = fresh().unwrap();
        assert_eq!(Owner::parse(&name), Some(this.clone()), "{name}");
        assert_ne!(fresh().unwrap(), name);
        assert!(!this.is_dead(&this));
        let scope = format!("{name}.scope");
        for (name, yes) in [(name.as_str(), true), (&scope, true), ("ringfence-1-2-ab-3-4", false)] {
            assert_eq!(is_of(name, (this.process, this.started)), yes, "{name}");
        }
        assert!(!is_of(&name, (this.process, this.started + 1)));
        for name in [
            "ringfence",
            "ringfence-1",
            "docker-1-2-ab-3-4",
            "ringfence-1-2-ab-3-4-5",
            "ringfence-x-2-ab-3-4",
        ] {
            assert_eq!(Owner::parse(name), None, "{name}");
        }
    }

    #[test]
    fn only_the_certainly_dead_are_swept() {
        let this = Owner::this().unwrap();
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let process = child.id().cast_signed();
        child.wait().unwrap();
        let dead = Owner { process, ..this.clone() };
        assert!(dead.is_dead(&this));
        assert!(
            Owner { started: this.started + 1, ..this.clone() }.is_dead(&this),
            "the number was used again"
        );
        assert!(Owner { boot: "other".to_owned(), ..this.clone() }.is_dead(&this));
        assert!(!Owner { namespace: 1, ..dead }.is_dead(&this), "another namespace counts otherwise");
    }

    #[test]
    fn sweeping_removes_what_the_dead_left_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let this = Owner::this().unwrap();
        let living = fresh().unwrap();
        let dead = living.replacen(&format!("-{}-", this.started), &format!("-{}-", this.started + 1), 1);
        for name in [living.as_str(), &dead, "ringfence-something", "system.slice"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        sweep(folder.path());
        let there = |name: &str| folder.path().join(name).is_dir();
        assert!(!there(&dead));
        assert!(there(&living) && there("ringfence-something") && there("system.slice"));
    }
}
