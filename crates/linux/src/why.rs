//! Why something cannot be had on this host, and what mends it: found, not guessed. What a failed run says and what
//! `doctor` says is this.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use ringfence_init::abi::capability;
use ringfence_init::sys::{self, landlock};
use ringfence_policy::{Guarantee, Problem, Refusal};

use crate::probe::trial::{Call, Failed, Named as _, in_child};

/// A reason, and its remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lack {
    pub(crate) why: String,
    /// What the kernel answered, by name, where that says more.
    pub(crate) errno: Option<String>,
    pub(crate) remedy: String,
}

impl Lack {
    pub(crate) fn new(why: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { why: why.into(), errno: None, remedy: remedy.into() }
    }

    /// With what the kernel answered.
    pub(crate) fn said(self, error: impl Into<std::io::Error>) -> Self {
        let error = error.into();
        let name = error.raw_os_error().map_or_else(|| error.to_string(), crate::errno::name);
        Self { errno: Some(name), ..self }
    }

    /// For it a guarantee cannot be given.
    pub(crate) fn refusal(&self, guarantee: Guarantee) -> Problem {
        let refusal = Refusal { guarantee, why: self.why.clone(), remedy: Some(self.remedy.clone()) };
        Problem { errno: self.errno.clone(), ..refusal.into() }
    }
}

const USE_NEWER: &str = "use Linux 6.1 or later";
const RUN_OUTSIDE: &str = "run it outside of it";

/// A setting of the kernel, by its path below /proc/sys.
fn setting(name: &str) -> Option<String> {
    let text = fs::read_to_string(Path::new("/proc/sys").join(name)).ok()?;
    Some(text.trim().to_owned())
}

fn is(name: &str, value: &str) -> bool {
    setting(name).as_deref() == Some(value)
}

/// What changes a setting: a command, to whom it belongs.
fn sysctl(name: &str, value: &str) -> String {
    let name = name.replace('/', ".");
    if is_root() {
        format!("run `sysctl {name}={value}`")
    } else {
        format!("ask the administrator for `sysctl {name}={value}`")
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A field of this thread's status.
fn status(field: &str) -> Option<String> {
    let text = fs::read_to_string("/proc/thread-self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    Some(line.trim().to_owned())
}

/// Is a filter of system calls around this process?
pub(crate) fn is_filtered() -> bool {
    status("Seccomp:").as_deref() == Some("2")
}

/// Has this process given privileged programs up?
pub(crate) fn has_no_new_privileges() -> bool {
    status("NoNewPrivs:").as_deref() == Some("1")
}

/// May this process administer the namespaces that it is in?
pub(crate) fn can_administer() -> bool {
    sys::capget().is_ok_and(|sets| sets.effective >> capability::SYS_ADMIN & 1 == 1)
}

/// Is this process in a chroot? `None`: it cannot be seen from here. A namespace's root is a mount's root, and so is listed
/// as `/` in mountinfo; a folder that chroot(2) entered mostly is none.
fn in_chroot() -> Option<bool> {
    let there = |path: &str| fs::metadata(path).ok().map(|found| (found.dev(), found.ino()));
    if let (Some(first), Some(own)) = (there("/proc/1/root/."), there("/")) {
        let namespace = |process: &str| fs::read_link(format!("/proc/{process}/ns/mnt")).ok();
        if namespace("1").is_some() && namespace("1") == namespace("self") {
            return Some(first != own);
        }
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let at_root = mounts.lines().any(|line| line.split(' ').nth(4) == Some("/"));
    if at_root { None } else { Some(true) }
}

/// The AppArmor profile, or the SELinux context, that confines this process.
fn confinement() -> Option<String> {
    let label = |path: &str| {
        let text = fs::read_to_string(path).ok()?;
        let label = text.trim_matches(['\0', '\n', ' ']).to_owned();
        (!label.is_empty() && !label.starts_with("unconfined") && !label.contains("unconfined_t"))
            .then_some(label)
    };
    label("/proc/self/attr/apparmor/current").or_else(|| label("/proc/self/attr/current"))
}

fn container_remedy(calls: &str) -> String {
    format!(
        "allow {calls} in the container's seccomp profile (Docker, Podman: --security-opt seccomp=FILE; Kubernetes: \
         seccompProfile), or {RUN_OUTSIDE}"
    )
}

/// A filter answers unshare(2) whatever it is asked for: the kernel never refuses to unshare nothing.
fn unshare_is_filtered() -> bool {
    is_filtered() && in_child(|| sys::unshare(0).of(Call::Unshare)).is_err()
}

/// A filter answers mount(2) before the kernel has looked at a path, of which this one leads nowhere.
fn mount_is_filtered() -> bool {
    let bad_path = || sys::mount(c"", c"", 0, c"").of(Call::OldMount);
    is_filtered() && !matches!(in_child(bad_path), Err(Failed::At(_, libc::ENOENT)))
}

/// New namespaces of these kinds were refused.
pub(crate) fn namespaces(kinds: &[&str], number: i32) -> Lack {
    if let Some(lack) = settings_forbid(kinds, number) {
        return lack;
    }
    match number {
        libc::ENOSPC | libc::EUSERS => Lack::new(
            "a limit on namespaces (user.max_*_namespaces) of an outer user namespace, or the depth of 32, is reached",
            "raise user.max_*_namespaces outside, or end some",
        ),
        libc::EAGAIN => Lack::new("there are too many processes", "raise `ulimit -u`, or end some"),
        libc::ENOMEM => Lack::new("there is not enough memory", "free some"),
        libc::ENOSYS if is_filtered() => filtered("clone and unshare"),
        libc::EINVAL | libc::ENOSYS => Lack::new("this kernel lacks a kind of namespace", USE_NEWER),
        libc::EPERM | libc::EACCES => refused_namespaces(kinds),
        _ => refused(Call::Unshare, (3, 8), Failed::At(Call::Unshare, number)),
    }
}

/// Settings that forbid namespaces.
fn settings_forbid(kinds: &[&str], number: i32) -> Option<Lack> {
    let none = |kind: &&&str| is(&format!("user/max_{kind}_namespaces"), "0");
    if let Some(kind) = kinds.iter().find(none).filter(|_| number == libc::ENOSPC) {
        let name = format!("user/max_{kind}_namespaces");
        return Some(Lack::new(
            format!("the host allows no {kind} namespaces ({} is 0)", name.replace('/', ".")),
            sysctl(&name, "10000"),
        ));
    }
    if kinds.contains(&"user") && is("kernel/unprivileged_userns_clone", "0") && !can_administer() {
        return Some(Lack::new(
            "the host allows user namespaces to root only (kernel.unprivileged_userns_clone is 0)",
            sysctl("kernel/unprivileged_userns_clone", "1"),
        ));
    }
    None
}

/// EPERM or EACCES: in the order in which the causes can be told apart (kernel/user_namespace.c, kernel/nsproxy.c).
fn refused_namespaces(kinds: &[&str]) -> Lack {
    let user = kinds.contains(&"user");
    if !user && !can_administer() {
        let why = "without a user namespace they need CAP_SYS_ADMIN, which this process lacks";
        return Lack::new(why, "allow user namespaces, or run it as root");
    }
    if user && in_chroot() == Some(true) {
        return chroot();
    }
    if unshare_is_filtered() {
        return filtered("clone and unshare with namespaces");
    }
    if user && is_root() && !sys::capget().is_ok_and(|sets| may_map_user_0(sets.effective)) {
        return user_0();
    }
    if is("kernel/apparmor_restrict_unprivileged_userns", "1") && !can_administer() {
        return restricted_by_apparmor();
    }
    if let Some(label) = confinement() {
        return Lack::new(
            format!("a security module refuses them to this process ({label})"),
            allow_in(&label),
        );
    }
    if is_filtered() {
        return filtered("clone and unshare with namespaces");
    }
    // Nothing else is left of what the kernel can answer so.
    if user {
        chroot()
    } else {
        Lack::new("a security module refuses them", "ask the administrator for a rule")
    }
}

/// CAP_SETFCAP: the kernel maps user 0 into a new namespace for who has it, and for nobody else (user_namespaces(7)).
const SETFCAP: u32 = 31;

/// May a process with these effective capabilities, which is user 0, be mapped?
pub(crate) fn may_map_user_0(effective: u64) -> bool {
    effective >> SETFCAP & 1 == 1
}

/// It may not.
pub(crate) fn user_0() -> Lack {
    Lack::new(
        "user 0 lacks CAP_SETFCAP here, so it can make no user namespace with itself in it",
        "run it as another user of this container, or give the container CAP_SETFCAP (Docker, Podman: --cap-add SETFCAP)",
    )
}

fn chroot() -> Lack {
    Lack::new(
        "this process is in a chroot, where no user namespace can be made",
        "run it outside of the chroot, or enter that folder by pivot_root (`unshare -m`, `bwrap --bind DIR /`)",
    )
}

fn filtered(calls: &str) -> Lack {
    Lack::new(
        format!("a filter of system calls around this process (a container's?) forbids {calls}"),
        container_remedy(calls),
    )
}

fn allow_in(label: &str) -> String {
    format!("ask the administrator for a rule that allows it to `{label}`")
}

fn restricted_by_apparmor() -> Lack {
    let name = "kernel/apparmor_restrict_unprivileged_userns";
    Lack::new(
        format!("AppArmor restricts user namespaces ({} is 1)", name.replace('/', ".")),
        format!("{}, or for an AppArmor profile that gives ringfence `userns,`", sysctl(name, "0")),
    )
}

/// A user namespace was made, and gives no power in it.
pub(crate) fn powerless(number: i32) -> Lack {
    if is("kernel/apparmor_restrict_unprivileged_userns", "1") {
        return restricted_by_apparmor();
    }
    if let Some(label) = confinement() {
        return Lack::new(
            format!("a security module gives its user namespaces no capabilities ({label})"),
            allow_in(&label),
        );
    }
    namespaces(&["user"], number)
}

/// A mount, or a change of the root, was refused in a mount namespace of our own.
pub(crate) fn mounts(call: Call, number: i32) -> Lack {
    match number {
        libc::ENOSYS => missing(call, (5, 12)),
        libc::EPERM | libc::EACCES => refused_mounts(call),
        libc::EINVAL if call == Call::PivotRoot => no_pivot(),
        libc::ENOSPC => Lack::new("a limit on mounts is reached", sysctl("fs/mount-max", "100000")),
        libc::ENOMEM => Lack::new("there is not enough memory", "free some"),
        _ => Lack::new(format!("the kernel refuses {}", call.name()), USE_NEWER),
    }
}

fn refused_mounts(call: Call) -> Lack {
    if mount_is_filtered() {
        return filtered("mount, the new mount calls and pivot_root");
    }
    if let Some(label) = confinement() {
        return Lack::new(
            format!("a security module refuses mounts to this process ({label})"),
            allow_in(&label),
        );
    }
    if is("kernel/apparmor_restrict_unprivileged_userns", "1") {
        return restricted_by_apparmor();
    }
    // Landlock refuses whatever changes the tree of mounts, and leaves mount_setattr alone (landlock(7)).
    let attributes_work = call != Call::SetAttributes;
    if attributes_work && landlock::version().is_ok() {
        return Lack::new(
            "this process is under Landlock (a sandbox's?), which allows no change of mounts",
            "start it from a process that is not restricted by Landlock",
        );
    }
    if is_filtered() {
        return filtered("mount, the new mount calls and pivot_root");
    }
    Lack::new(
        "a security module refuses mounts to this process",
        "ask the administrator for a rule that allows them",
    )
}

fn no_pivot() -> Lack {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let root = mounts.lines().rev().find(|line| line.split(' ').nth(4) == Some("/"));
    let kind = root.and_then(|line| line.split(" - ").nth(1)?.split(' ').next());
    match kind {
        Some("rootfs") => Lack::new(
            "the root is the initramfs, which no process can leave (pivot_root(2))",
            "boot into a real root (switch_root(8)), or start it in `unshare -m` with another root",
        ),
        None => chroot(),
        Some(kind) => Lack::new(
            format!("the root ({kind}) cannot be changed by pivot_root(2)"),
            "run it outside of the chroot or the ram disk",
        ),
    }
}

/// A proc of its own was refused.
pub(crate) fn fresh_proc(number: i32) -> Lack {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let fields = || mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let of_proc = |line: &[&str]| {
        let kind = line.iter().position(|word| *word == "-").and_then(|at| line.get(at + 1));
        kind == Some(&"proc") && line.get(3) == Some(&"/")
    };
    if number != libc::EPERM {
        return mounts_of_proc(number);
    }
    if mount_is_filtered() {
        return refused_mounts(Call::OldMount);
    }
    let Some(point) =
        fields().find(|line| of_proc(line)).and_then(|line| line.get(4).map(ToString::to_string))
    else {
        let why = "no whole /proc is mounted here, and the kernel gives a new one only beside such a one";
        return Lack::new(why, "mount a proc file system at /proc before");
    };
    let covers: Vec<_> = fields()
        .filter_map(|line| {
            line.get(4).filter(|at| at.starts_with(&format!("{point}/"))).map(ToString::to_string)
        })
        .collect();
    if covers.is_empty() {
        return refused_mounts(Call::OldMount);
    }
    let shown = covers.iter().take(3).cloned().collect::<Vec<_>>().join(", ");
    let more = if covers.len() > 3 { format!(" and {} more", covers.len() - 3) } else { String::new() };
    Lack::new(
        format!(
            "the /proc here is partly covered ({shown}{more}; a container does that), so the kernel gives no new one"
        ),
        "give the container an uncovered /proc (Docker: --security-opt systempaths=unconfined; Kubernetes: procMount: \
         Unmasked), or run it outside",
    )
}

fn mounts_of_proc(number: i32) -> Lack {
    match number {
        libc::ENODEV => Lack::new("this kernel has no proc file system", "use one with CONFIG_PROC_FS"),
        _ => mounts(Call::OldMount, number),
    }
}

/// A call is not there: the kernel is older, or a filter says that it is.
pub(crate) fn missing(call: Call, since: (u32, u32)) -> Lack {
    let release = setting("kernel/osrelease").unwrap_or_default();
    let mut numbers = release.split(['.', '-']).map_while(|word| word.parse::<u32>().ok());
    let version = numbers.next().zip(numbers.next());
    let has_it = version.is_some_and(|version| version >= since);
    if has_it && is_filtered() {
        return filtered(call.name());
    }
    let (major, minor) = since;
    if has_it {
        return Lack::new(
            format!("this kernel ({release}) was built without {}", call.name()),
            "use a kernel of a distribution",
        );
    }
    Lack::new(format!("{} came with Linux {major}.{minor}, and this is {release}", call.name()), USE_NEWER)
}

/// A call was refused that the kernel refuses to nobody.
pub(crate) fn refused(call: Call, since: (u32, u32), failed: Failed) -> Lack {
    match failed {
        Failed::At(_, libc::ENOSYS) => missing(call, since),
        Failed::At(_, libc::EPERM | libc::EACCES) | Failed::Killed(libc::SIGSYS) if is_filtered() => {
            filtered(call.name())
        }
        Failed::At(_, libc::EMFILE | libc::ENFILE) => {
            Lack::new("too many files are open", "raise `ulimit -n`, or close some")
        }
        Failed::At(_, libc::EAGAIN) => {
            Lack::new("there are too many processes", "raise `ulimit -u`, or end some")
        }
        Failed::At(call, number) => Lack::new(
            format!("the kernel answers {} to {}", crate::errno::name(number), call.name()),
            "see the manual page of that call",
        ),
        Failed::Killed(signal) => Lack::new(
            format!("what tried it was killed by signal {signal}"),
            "see what kills it: a filter of system calls, or the lack of memory",
        ),
        Failed::Silent => Lack::new("what tried it did not answer", "run it again on an idle machine"),
    }
}

/// A filter whose calls somebody answers cannot be set, or not answered.
pub(crate) fn no_listener(failed: Failed) -> Lack {
    match failed {
        Failed::At(Call::Listen, libc::EBUSY) => Lack::new(
            "another filter around this process already has a listener (a container's?)",
            "use a profile that allows execve, or run it outside",
        ),
        Failed::At(Call::Continue, libc::EINVAL) => {
            Lack::new("this kernel cannot let a watched call go on", USE_NEWER)
        }
        Failed::At(Call::Listen, libc::EINVAL) => {
            Lack::new("this kernel has no listener of that kind (Linux 5.19)", USE_NEWER)
        }
        other => refused(Call::Filter, (5, 19), other),
    }
}

/// PID 1's executable, a sealed memory file, cannot be made or executed.
pub(crate) fn sealed_executable(failed: Failed) -> Lack {
    let forbidden = matches!(failed.errno(), Some(libc::EACCES | libc::EPERM));
    if forbidden && is("vm/memfd_noexec", "2") {
        return Lack::new(
            "the host lets no memory file be executed (vm.memfd_noexec is 2)",
            sysctl("vm/memfd_noexec", "1"),
        );
    }
    if failed.errno() == Some(libc::EFBIG) {
        return Lack::new("the limit on file sizes is below PID 1's executable", "raise `ulimit -f`");
    }
    match failed {
        Failed::At(call, libc::EACCES) => Lack::new(
            format!("a security module refuses {} of a memory file", call.name()),
            "ask the administrator for a rule that allows it",
        ),
        _ => refused(Call::MemoryFile, (3, 17), failed),
    }
}

/// Landlock is not there.
pub(crate) fn no_landlock(failed: Failed) -> Lack {
    match failed {
        Failed::At(_, libc::EOPNOTSUPP) => Lack::new(
            "this kernel has Landlock, but it was not switched on at boot",
            "add `landlock` to the kernel's parameter `lsm=`, and boot again",
        ),
        Failed::At(_, libc::E2BIG) => {
            Lack::new("sixteen rulesets of Landlock are around this process already", RUN_OUTSIDE)
        }
        _ => refused(Call::Ruleset, (5, 13), failed),
    }
}
