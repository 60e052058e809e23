//! From a failed step to what a person needs: what, where, why, what to do.

use ringfence_init::sys::Errno;
use ringfence_init::wire::{Record, RecordKind, detail, fault};
use ringfence_policy::{Guarantee, Problem, Reason, Rung};

use crate::errno;
use crate::landlock;
use crate::launch::ChildStep;
use crate::plan::Plan;
use crate::probe::trial::{Call, Failed};
use crate::rung::Descent;
use crate::step::Step;
use crate::why::{self, Lack};

/// clone(2) refused the namespaces.
pub(crate) fn clone_failed(plan: &Plan, Errno(number): Errno) -> Problem {
    if plan.cgroup.is_some() && matches!(number, libc::EACCES | libc::EOPNOTSUPP | libc::ENOSYS | libc::EBUSY)
    {
        let what = "PID 1 cannot be born into its cgroup".to_owned();
        let remedy =
            "start this from inside of a delegated cgroup, on a kernel whose clone3 is not filtered away";
        return setup("cgroup", what).errno(errno::name(number)).step("start PID 1").remedy(remedy);
    }
    let lack = why::namespaces(&plan.namespaces, number);
    let what = format!("the kernel refused new {} namespaces: {}", plan.namespaces.join(", "), lack.why);
    let problem =
        Problem::new(Reason::Refused, "namespaces", what).errno(errno::name(number)).step("start PID 1");
    problem.remedy(lack.remedy)
}

/// What to do when the limit of memory is met before the program runs.
pub(crate) const TOO_LITTLE_MEMORY: &str =
    "the limit of memory is too small for the sandbox to start: raise --memory";

/// The child could not become PID 1.
pub(crate) fn child_failed(plan: &Plan, step: ChildStep, Errno(number): Errno) -> Problem {
    let (what, lack) = match step {
        ChildStep::KeepFiles => {
            let lack = Lack::new("the table of files is full", "close what is open, or raise `ulimit -n`");
            ("a file cannot be passed to PID 1", lack)
        }
        ChildStep::WriteMaps => ("the id maps cannot be written", why::powerless(number)),
        ChildStep::Capabilities => ("the new user namespace gives no capabilities", why::powerless(number)),
        ChildStep::Execute => (
            "PID 1's executable cannot be executed",
            why::sealed_executable(Failed::At(Call::Execute, number)),
        ),
    };
    let remedy = match number {
        libc::ENOMEM if plan.limits.memory.is_some() => TOO_LITTLE_MEMORY.to_owned(),
        _ => lack.remedy,
    };
    let what = format!("{what}: {}", lack.why);
    let step = format!("start PID 1 in new {} namespaces", plan.namespaces.join(", "));
    Problem::new(Reason::Setup, "start", what).errno(errno::name(number)).step(step).remedy(remedy)
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
    if let Some(descent) = step.and_then(|step| descent(step, number)) {
        return descent.lack.refusal(Guarantee::Processes).errno(errno::name(number));
    }
    if let Some(lack) = step.and_then(|step| host_lacks(step, number)) {
        let what = format!("cannot {shown}: {}", lack.why);
        return setup("step", what).errno(errno::name(number)).remedy(lack.remedy);
    }
    let problem = setup("step", format!("cannot {shown}")).errno(errno::name(number));
    let remedy = match (step, number) {
        (Some(Step::Landlock(landlock::Step::Restrict { .. })), libc::E2BIG) => {
            "16 sandboxes of Landlock are around this process already, and the kernel takes no more: end some"
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

/// The next rung, where a step failed for something that it does without.
pub(crate) fn descent(step: &Step, number: i32) -> Option<Descent> {
    let denied = matches!(number, libc::EPERM | libc::EACCES);
    (matches!(step, Step::Proc { .. }) && denied)
        .then(|| Descent { rung: Rung::Nested, lack: why::fresh_proc(number) })
}

/// What the host itself lacks for a step; `None` where the error may be about what was asked.
fn host_lacks(step: &Step, number: i32) -> Option<Lack> {
    let denied = matches!(number, libc::EPERM | libc::EACCES);
    Some(match step {
        Step::Loopback | Step::NoUserNamespaces if denied => why::powerless(number),
        Step::Private if denied || number == libc::ENOSYS => why::mounts(Call::SetAttributes, number),
        // Its calls are several; the last one alone can answer that it is invalid.
        Step::Root { .. } if number == libc::EINVAL => why::mounts(Call::PivotRoot, number),
        Step::Root { .. } if denied || number == libc::ENOSYS => why::mounts(Call::MoveMount, number),
        Step::Again { .. } | Step::Tmpfs { .. } | Step::Devpts { .. } if denied => {
            why::mounts(Call::OldMount, number)
        }
        Step::ExecOnce { .. } if matches!(number, libc::EBUSY | libc::EINVAL | libc::ENOSYS) => {
            or_without_filter(why::no_listener(Failed::At(Call::Listen, number)))
        }
        Step::FilterAsked { .. } if matches!(number, libc::EBUSY | libc::EINVAL | libc::ENOSYS) => {
            let lack = why::no_listener(Failed::At(Call::Listen, number));
            let remedy = format!("{}; leave --explain and --on-violation log out to do without", lack.remedy);
            Lack { remedy, ..lack }
        }
        Step::Filter { .. } if matches!(number, libc::EINVAL | libc::ENOSYS) => {
            or_without_filter(why::refused(Call::Filter, (3, 17), Failed::At(Call::Filter, number)))
        }
        Step::Exec { .. } if number == libc::EINVAL => why::no_listener(Failed::At(Call::Continue, number)),
        _ => return None,
    })
}

fn or_without_filter(lack: Lack) -> Lack {
    let remedy = format!("{}; --allow-degraded=kernel-surface does without", lack.remedy);
    Lack { remedy, ..lack }
}
