//! The process that becomes the program: its fork, its own last steps, its exec.

use crate::abi;
use crate::account;
use crate::plan::Plan;
use crate::steps::{self, Context, Fault, expect};
use crate::sys::{self, Fd};
use crate::text::{Lines, number, words};
use crate::wire::{self, Message as _, Record, RecordKind, Step, detail, fault};

/// The two sides of the fork.
pub(crate) enum Forked {
    /// PID 1 goes on.
    Init {
        /// The program's process.
        process: i32,
        /// Says when the program was started, then ends when it runs (or died).
        teller: Fd,
    },
    /// The program's process goes on.
    Target {
        /// The other end.
        teller: Fd,
    },
}

/// Starts the program's process. A plain fork: with vfork PID 1 would be deaf to its supervisor's death while
/// the exec hangs on a slow file system. Its own memory is tens of KiB, so a copy costs nothing.
pub(crate) fn fork() -> Result<Forked, Fault> {
    // A caller that ignores SIGCHLD passed that on; the kernel would reap in our place.
    sys::reset_signal(abi::SIGCHLD.unsigned_abs())?;
    // The supervisor has blocked every signal already; the signalfd that reaping waits for rests on it.
    sys::set_signal_mask(u64::MAX)?;
    let (here, there) = sys::socket_pair()?;
    let (here, there) = (above_streams(here)?, above_streams(there)?);
    match sys::fork()? {
        Some(process) => {
            sys::close(there)?;
            Ok(Forked::Init { process, teller: here })
        }
        None => {
            sys::close(here)?;
            Ok(Forked::Target { teller: there })
        }
    }
}

/// Moves a file away from 0, 1 and 2, which are free by now and about to become the streams.
pub(crate) fn above_streams(file: Fd) -> Result<Fd, Fault> {
    if file.0 > 2 {
        return Ok(file);
    }
    let moved = sys::duplicate_above(file, 3)?;
    sys::close(file)?;
    Ok(moved)
}

/// Closes what PID 1 may have inherited, all but the socket, the supervisor's pidfd, the streams, what tells of the
/// cgroup, and the Landlock ruleset.
pub(crate) fn close_files(context: &Context) -> Result<(), Fault> {
    let plan = &context.plan;
    let header = plan.header;
    let [a, b, c] = header.streams;
    let ruleset = context.ruleset.map_or(wire::NO_FD, |ruleset| ruleset.0);
    let kept = [header.cpu_file, header.memory_event, header.observer, ruleset];
    let ours = [header.control, header.supervisor, a, b, c, kept[0], kept[1], kept[2], kept[3]]
        .map(|fd| fd.cast_unsigned());
    let mut next = 0_u32;
    // A stream that is not there, or not yet, is one of the largest numbers: it ends the list.
    while next < wire::TERMINAL.cast_unsigned() {
        let keep = ours.into_iter().chain(passed(plan)).filter(|fd| *fd >= next).min().unwrap_or(u32::MAX);
        if keep > next {
            sys::close_range(next, keep - 1, 0)?;
        }
        next = keep.saturating_add(1);
    }
    Ok(())
}

/// The numbers of the caller's files that the program keeps.
pub(crate) fn passed(plan: &Plan) -> impl Iterator<Item = u32> {
    plan.steps.iter().filter(|step| step.op == wire::Op::Pass as u32).map(|step| step.a as u32)
}

/// PID 1 lets the passed files go: whoever waits for their end waits for the program alone. And the way to who listens
/// to the filter: its end is the end of the program's process.
pub(crate) fn let_go(plan: &Plan) {
    if plan.header.observer != wire::NO_FD {
        let _its_own_copy = sys::close(Fd(plan.header.observer));
    }
    for number in passed(plan) {
        let _its_own_copy = sys::close(Fd(number.cast_signed()));
    }
}

/// A file of the caller stays open. A folder would be a way out.
pub(crate) fn pass(step: &Step) -> Result<(), Fault> {
    let file = Fd((step.a as u32).cast_signed());
    sys::set_descriptor_flags(file, 0)?;
    not_a_folder(file, step.a)
}

fn not_a_folder(file: Fd, number: u64) -> Result<(), Fault> {
    let kind = u32::from(sys::statx(file, c"", abi::AT_EMPTY_PATH)?.mode) & abi::S_IFMT;
    if kind == abi::S_IFDIR {
        return Err(Fault { errno: fault::STREAM_IS_FOLDER, detail: number });
    }
    Ok(())
}

/// A session of its own: no controlling terminal, nobody else's process group.
pub(crate) fn session() -> Result<(), Fault> {
    sys::setsid()?;
    expect(sys::getsid()? == sys::getpid(), 0)
}

/// Puts the streams at 0, 1 and 2; `/dev/null` where the caller has none. A folder would be a way out.
pub(crate) fn streams(plan: &Plan, terminal: Option<Fd>) -> Result<(), Fault> {
    for (number, from) in plan.header.streams.into_iter().enumerate() {
        let to = Fd(number as i32);
        let from = match from {
            wire::NO_FD => sys::openat(Fd(abi::AT_FDCWD), c"/dev/null", abi::O_RDWR | abi::O_CLOEXEC, 0)?,
            wire::TERMINAL => terminal.ok_or(Fault::plain(fault::BAD_PLAN))?,
            fd => Fd(fd),
        };
        if from == to {
            sys::set_descriptor_flags(to, 0)?;
        } else {
            sys::dup_onto(from, to)?;
        }
        not_a_folder(to, number as u64)?;
        expect(sys::descriptor_flags(to)? == 0, number as u64)?;
    }
    Ok(())
}

/// Sets a limit and reads it back.
pub(crate) fn limit(step: &Step) -> Result<(), Fault> {
    let limit = abi::Rlimit { soft: step.b, hard: step.c };
    sys::prlimit(step.a as u32, Some(&limit))?;
    expect(sys::prlimit(step.a as u32, None)? == limit, step.a)
}

/// Enters the working directory and proves that it is the one that was meant: a directory outside the root
/// would read back as unreachable (getcwd(2)).
pub(crate) fn directory(plan: &Plan, step: &Step) -> Result<(), Fault> {
    let path = plan.text(step.path);
    sys::chdir(path)?;
    let mut here = [0_u8; 4097];
    let length = sys::getcwd(&mut here)?;
    expect(here.get(..length) == Some(path.to_bytes_with_nul()), 0)
}

/// Everything but the streams and the passed files closes at exec. The list of open files is read back: a close
/// that lied is seen.
pub(crate) fn seal_files(plan: &Plan) -> Result<(), Fault> {
    sys::close_range(3, u32::MAX, abi::CLOSE_RANGE_CLOEXEC)?;
    for number in passed(plan) {
        sys::set_descriptor_flags(Fd(number.cast_signed()), 0)?;
    }
    let directory = sys::openat(Fd(abi::AT_FDCWD), c"/proc/self/fd", abi::O_RDONLY | abi::O_CLOEXEC, 0)?;
    let mut buffer = [0_u8; 4096];
    let mut open = 0;
    loop {
        let length = sys::getdents(directory, &mut buffer)?;
        if length == 0 {
            break;
        }
        let mut rest = buffer.get(..length).unwrap_or_default();
        // `struct linux_dirent64`: inode, offset, 2 bytes of length, 1 of type, then the name (getdents64(2)).
        while let Some(&[low, high]) = rest.get(16..18) {
            let size = usize::from(u16::from_le_bytes([low, high]));
            if let Some(file) = rest.get(19..size).and_then(|name| number(name, 10)) {
                open += check_file(plan, file)?;
            }
            rest = rest.get(size..).unwrap_or_default();
        }
    }
    expect(open == 3 + passed(plan).count() as u32, detail::INCOMPLETE)?;
    Ok(sys::close(directory)?)
}

/// 1 for a stream and a passed file; a mismatch for another file that would stay open.
fn check_file(plan: &Plan, file: u64) -> Result<u32, Fault> {
    if file < 3 || passed(plan).any(|number| u64::from(number) == file) {
        return Ok(1);
    }
    let closes = sys::descriptor_flags(Fd(file as i32))? & abi::FD_CLOEXEC != 0;
    expect(closes, detail::OPEN_FILE | file << 32)?;
    Ok(0)
}

/// Files that the program makes get the caller's mask: the set-up had none.
fn restore_mask(plan: &Plan) {
    sys::umask(plan.header.umask);
}

/// Signals as a fresh program expects them: none ignored (an exec would pass that on), none blocked.
pub(crate) fn signals(plan: &Plan) -> Result<(), Fault> {
    restore_mask(plan);
    let mut ignored = None;
    let mut lines = Lines::open(c"/proc/self/status")?;
    while let Some(line) = lines.next()? {
        let mut words = words(line);
        if words.next() == Some(b"SigIgn:") {
            ignored = words.next().and_then(|word| number(word, 16));
        }
    }
    lines.close()?;
    let ignored = ignored.ok_or(Fault::mismatch(detail::INCOMPLETE))?;
    for signal in (1..=64).filter(|signal| ignored >> (signal - 1) & 1 == 1) {
        sys::reset_signal(signal)?;
    }
    sys::set_signal_mask(0)?;
    Ok(())
}

/// Says that all is verified, and when the program starts; PID 1 gets what it listens on for the exec. From here
/// on this process makes no call but those of the policy's filter and the exec.
pub(crate) fn announce(plan: &Plan, teller: Fd, listener: Option<Fd>) -> Result<(), Fault> {
    let time_ns = sys::monotonic_ns();
    let ready = Record { kind: RecordKind::Ready as u32, time_ns, ..Record::default() };
    // Nobody runs anything unheard: without this word there would be no receipt.
    expect(sys::write(Fd(plan.header.control), ready.bytes())? == ready.bytes().len(), 0)?;
    // What the cgroup has used by now, the set-up used.
    let said = [time_ns, account::processor_ns(plan)?.unwrap_or(0)].map(u64::to_ne_bytes);
    expect(sys::send(teller, said.as_flattened(), listener)? == size_of_val(&said), 0)
}

/// Executes the program. What fails here is told by the exit status, which PID 1 reads: the policy's filter need
/// not allow anything else.
pub(crate) fn exec(plan: &Plan, index: usize) -> ! {
    let header = plan.header;
    let (Some(arguments), Some(environment)) =
        (plan.pointers(header.arguments), plan.pointers(header.environment))
    else {
        steps::fail(plan, index, Fault::plain(fault::BAD_PLAN));
    };
    // SAFETY: `pointers` made arrays of addresses of terminated strings in the mapped plan, ended by null.
    let errno = unsafe { sys::execve(plan.text(header.program), arguments, environment) };
    sys::exit(errno.0)
}
