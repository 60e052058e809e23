//! From a failed step to what a person needs: what, where, why, what to do.

use std::fs;

use ringfence_init::sys::Errno;
use ringfence_init::wire::{Record, RecordKind, detail, fault};
use ringfence_policy::{Problem, Reason};

use crate::errno;
use crate::landlock;
use crate::launch::ChildStep;
use crate::plan::Plan;
use crate::step::Step;

/// clone(2) refused the namespaces.
pub(crate) fn clone_failed(plan: &Plan, Errno(number): Errno) -> Problem {
    if plan.cgroup.is_some() && matches!(number, libc::EACCES | libc::EOPNOTSUPP | libc::ENOSYS | libc::EBUSY)
    {
        let what = "PID 1 cannot be born into its cgroup".to_owned();
        let remedy =
            "start this from inside of a delegated cgroup, on a kernel whose clone3 is not filtered away";
        return setup("cgroup", what).errno(errno::name(number)).step("start PID 1").remedy(remedy);
    }
    let what = format!("the kernel refused new {} namespaces", plan.namespaces.join(", "));
    let problem =
        Problem::new(Reason::Refused, "namespaces", what).errno(errno::name(number)).step("start PID 1");
    problem.remedy(why_no_namespaces(number))
}

/// The usual reasons, looked at one by one.
fn why_no_namespaces(number: i32) -> String {
    let setting = |path: &str| fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
    let is = |path: &str, value: &str| setting(path).as_deref() == Some(value);
    if is("/proc/sys/kernel/unprivileged_userns_clone", "0") {
        return "ask the administrator for `sysctl kernel.unprivileged_userns_clone=1`".to_owned();
    }
    if is("/proc/sys/user/max_user_namespaces", "0") {
        return "ask the administrator for `sysctl user.max_user_namespaces=10000`".to_owned();
    }
    if is("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1") {
        return "AppArmor restricts user namespaces: ask the administrator for \
                `sysctl kernel.apparmor_restrict_unprivileged_userns=0`, or for a profile for ringfence"
            .to_owned();
    }
    if fs::metadata("/proc/1/root").is_ok_and(|init| fs::metadata("/").is_ok_and(|own| !same(&init, &own))) {
        return "this process is in a chroot, where no user namespace can be made: run it outside".to_owned();
    }
    match number {
        libc::ENOSPC | libc::EUSERS => {
            "too many namespaces: raise user.max_*_namespaces, or end some".to_owned()
        }
        libc::EAGAIN => "too many processes: raise `ulimit -u`, or end some".to_owned(),
        libc::EINVAL | libc::ENOSYS => {
            "this kernel lacks a kind of namespace: use Linux 6.1 or later".to_owned()
        }
        _ => {
            "user namespaces are not allowed here: this process is in a chroot, or in a container whose filter \
             forbids `clone` with namespaces; allow that, or run it outside"
                .to_owned()
        }
    }
}

fn same(a: &fs::Metadata, b: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}

/// What to do when the limit of memory is met before the program runs.
pub(crate) const TOO_LITTLE_MEMORY: &str =
    "the limit of memory is too small for the sandbox to start: raise --memory";

/// The child could not become PID 1.
pub(crate) fn child_failed(plan: &Plan, step: ChildStep, Errno(number): Errno) -> Problem {
    let (what, remedy) = match step {
        ChildStep::KeepFiles => {
            ("a file cannot be passed to PID 1", "close what is open, or raise `ulimit -n`".to_owned())
        }
        ChildStep::WriteMaps => ("the id maps cannot be written", why_no_namespaces(number)),
        ChildStep::Capabilities => {
            ("the new user namespace gives no capabilities", why_no_namespaces(number))
        }
        ChildStep::Execute => {
            ("PID 1's executable cannot be executed", "check vm.memfd_noexec (must be 0 or 1)".to_owned())
        }
    };
    let remedy = match number {
        libc::ENOMEM if plan.limits.memory.is_some() => TOO_LITTLE_MEMORY.to_owned(),
        _ => remedy,
    };
    let step = format!("start PID 1 in new {} namespaces", plan.namespaces.join(", "));
    Problem::new(Reason::Setup, "start", what.to_owned()).errno(errno::name(number)).step(step).remedy(remedy)
}

/// PID 1 reported a failure.
pub(crate) fn step_failed(plan: &Plan, record: &Record) -> Problem {
    let step = usize::try_from(record.step).ok().and_then(|index| plan.steps.get(index));
    let shown = step.map_or_else(|| "read the plan".to_owned(), Step::to_string);
    if record.kind == RecordKind::ExecFailed as u32 {
        return exec_failed(record, &shown);
    }
    let problem = match record.errno {
        fault::MISMATCH => mismatch(plan, record),
        fault::CHANGED => changed(step),
        fault::STREAM_IS_FOLDER => {
            let name = ["standard input", "standard output", "standard error"];
            let name = name.get(record.detail as usize).map(|name| (*name).to_owned());
            let name = name.unwrap_or_else(|| format!("descriptor {}", record.detail));
            setup("stream", format!("{name} is a folder, which would lead out of the sandbox"))
                .remedy("redirect it to a file, a pipe or /dev/null")
        }
        fault::BAD_PLAN => Problem::new(Reason::Internal, "plan", "PID 1 could not read its plan".to_owned()),
        fault::DIED => setup(
            "died",
            format!("the program's process ended before it ran it ({})", wait_status(record.status)),
        )
        .remedy("was it killed from outside, or out of memory?"),
        number => kernel_error(step, number),
    };
    let path = step.and_then(path_of);
    let problem = problem.step(shown);
    match path {
        Some(path) if problem.path.is_none() => problem.at(path),
        _ => problem,
    }
}

fn setup(code: &str, message: String) -> Problem {
    Problem::new(Reason::Setup, code, message)
}

fn wait_status(status: i32) -> String {
    if libc::WIFSIGNALED(status) {
        format!("signal {}", libc::WTERMSIG(status))
    } else {
        format!("status {}", libc::WEXITSTATUS(status))
    }
}

fn path_of(step: &Step) -> Option<&std::path::Path> {
    match step {
        Step::Bind { source, .. } => Some(&source.path),
        Step::Folder { path, .. }
        | Step::File { path, .. }
        | Step::Symlink { path, .. }
        | Step::Again { path, .. }
        | Step::Tmpfs { path, .. }
        | Step::Proc { path }
        | Step::Devpts { path, .. }
        | Step::Seal { path }
        | Step::Directory { path }
        | Step::VerifyProgram { path, .. } => Some(path),
        _ => None,
    }
}

fn exec_failed(record: &Record, step: &str) -> Problem {
    let (reason, remedy) = match record.errno {
        // The file itself was verified: what is missing is its interpreter or dynamic linker.
        libc::ENOENT => {
            (Reason::NotExecutable, "its interpreter or dynamic linker is not inside: show it with --ro")
        }
        libc::EACCES => (Reason::NotExecutable, "it is not executable, or is on a noexec mount"),
        libc::ENOEXEC => (Reason::NotExecutable, "it is no program of this machine and has no #! line"),
        libc::E2BIG => (Reason::Setup, "the arguments and variables are too long for the kernel (execve(2))"),
        _ => (Reason::NotExecutable, "the kernel would not execute it"),
    };
    Problem::new(reason, "exec", format!("cannot {step}"))
        .errno(errno::name(record.errno))
        .step(step)
        .remedy(remedy)
}

fn changed(step: Option<&Step>) -> Problem {
    match step {
        Some(Step::VerifyProgram { path, .. }) => {
            setup("other-program", format!("`{}` is another file inside than outside", path.display()))
                .remedy("run it again when nothing moves files there")
        }
        Some(Step::Bind { source, .. }) => {
            setup("changed", format!("`{}` is another file than a moment ago", source.path.display()))
                .remedy("run it again when nothing moves files there")
        }
        _ => setup("changed", "a file is another one than a moment ago".to_owned()),
    }
}

/// The kernel said yes and did something else: nothing is trusted after that.
fn mismatch(plan: &Plan, record: &Record) -> Problem {
    let part = record.detail & 0xffff_ffff;
    // The verification of all mounts says whose mount it is; anything else is about its own step.
    let is_mount = matches!(part, detail::MOUNT_FLAGS | detail::MISSING_MOUNT);
    let index = if is_mount { record.detail >> 32 } else { u64::from(record.step) };
    let step = usize::try_from(index).ok().and_then(|index| plan.steps.get(index));
    let step = step.map_or_else(String::new, |step| format!(" ({step})"));
    let what = match part {
        detail::INHERITABLE => "the inheritable capabilities are others",
        detail::PERMITTED => "the permitted capabilities are others",
        detail::EFFECTIVE => "the effective capabilities are others",
        detail::BOUNDING => "the bounding set is another",
        detail::AMBIENT => "the ambient capabilities are others",
        detail::NO_NEW_PRIVILEGES => "no_new_privs is not set",
        detail::UID => "the user id is another",
        detail::GID => "the group id is another",
        detail::GROUPS => "supplementary groups are left",
        detail::UMASK => "the file mode creation mask is another",
        detail::SIGNALS => "signals are ignored or blocked",
        detail::SECUREBITS => "the secure bits are others",
        detail::SHARED_MOUNT => "a mount shares mount events with the host",
        detail::UNKNOWN_MOUNT => "there is a mount that nobody made",
        detail::MOUNT_FLAGS => "a mount has other flags",
        detail::MISSING_MOUNT => "a mount is missing",
        detail::USER_NAMESPACE => "another user namespace could be made",
        detail::NOT_PID_1 => "the sandbox's first process is not PID 1",
        detail::DUMPABLE => "PID 1 can be traced",
        detail::NO_FILTER => "its filter of system calls is not on",
        detail::FILTERS => "the program's process has other filters of system calls",
        detail::NO_LANDLOCK => "Landlock does not restrict the program's process",
        detail::OPEN_FILE => "a file would stay open",
        _ => "what it says now is something else",
    };
    setup("verify", format!("the kernel reported success, but {what}{step}"))
        .remedy("something filters or fakes system calls here; nothing was run")
}

fn kernel_error(step: Option<&Step>, number: i32) -> Problem {
    let shown = step.map_or_else(|| "read the plan".to_owned(), Step::to_string);
    let problem = setup("step", format!("cannot {shown}")).errno(errno::name(number));
    let remedy = match (step, number) {
        (Some(Step::Proc { .. }), libc::EPERM) => {
            "the /proc here is partly covered (a container?), so the kernel gives no new one: run it outside, or \
             give the container an uncovered /proc"
        }
        (Some(Step::Loopback), libc::EPERM)
        | (Some(Step::Private | Step::Root { .. }), libc::EPERM | libc::EACCES) => {
            "user namespaces give no capabilities here (AppArmor?): see kernel.apparmor_restrict_unprivileged_userns"
        }
        (Some(Step::ExecOnce { .. }), libc::EBUSY) => {
            "another filter around this process already has a listener (a container?): use a profile that allows execve"
        }
        (Some(Step::ExecOnce { .. } | Step::Filter { .. }), libc::EINVAL | libc::ENOSYS) => {
            "this kernel cannot filter system calls so: use Linux 6.1 or later with CONFIG_SECCOMP_FILTER; \
             --allow-degraded=kernel-surface does without"
        }
        (Some(Step::Landlock(landlock::Step::Restrict { .. })), libc::E2BIG) => {
            "16 sandboxes of Landlock are around this process already, and the kernel takes no more: end some"
        }
        (Some(Step::Exec { .. }), libc::EINVAL) => {
            "this kernel cannot let a watched exec go on: use Linux 6.1 or later"
        }
        (Some(Step::Keyring), libc::EDQUOT) => {
            "each sandbox has a keyring, and this user has as many as it may: raise kernel.keys.maxkeys, or end some"
        }
        (_, libc::ENOSYS) => {
            "this kernel, or a filter around this process, lacks the call: use Linux 6.1 or later"
        }
        (_, libc::ENOSPC) => "a limit on mounts or namespaces is reached: see fs.mount-max and user.max_*",
        (_, libc::ENOMEM) => "there is not enough memory",
        (_, libc::EMFILE | libc::ENFILE) => "too many open files: raise `ulimit -n`",
        (Some(Step::Bind { .. }), libc::ELOOP) => {
            "a symlink has appeared in its path: run it again when nothing moves files there"
        }
        (Some(Step::Bind { .. }), libc::ENOENT) => "it has just gone, or the place inside has: run it again",
        (Some(Step::Bind { .. } | Step::Directory { .. }), libc::EACCES) => {
            "the program's user may not reach it: check the permissions of the folders above it"
        }
        _ => return problem,
    };
    problem.remedy(remedy)
}
