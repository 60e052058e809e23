//! The terminal of the sandbox: a pseudo-terminal in its own devpts.
//!
//! PID 1 leads its session, as a shell does for its jobs, and the program leads the process group in the foreground.
//! Were the program the session's leader, its group would be orphaned (its parent is of another session), and the
//! kernel discards the stop of such a group (setpgid(2), credentials(7)): control-Z would do nothing.

use crate::abi::{self, Termios};
use crate::steps::{Context, Fault, expect};
use crate::sys::{self, Fd};
use crate::target::above_streams;
use crate::wire::{Message as _, Record, RecordKind, Step, fault};

/// Makes it, and hands its master over. Nobody inside can reach the master: PID 1 keeps no copy.
pub(crate) fn make(context: &mut Context, step: &Step) -> Result<(), Fault> {
    let flags = abi::O_RDWR | abi::O_NOCTTY | abi::O_CLOEXEC;
    let master =
        above_streams(sys::openat(Fd(abi::AT_FDCWD), c"/dev/pts/ptmx", flags | abi::O_NONBLOCK, 0)?)?;
    sys::unlock_terminal(master)?;
    let terminal = above_streams(sys::open_peer(master, flags)?)?;
    furnish(context, step, terminal)?;
    sys::take_terminal(terminal)?;
    expect(sys::terminal_session(terminal)? == sys::getpid(), 0)?;
    let record = Record { kind: RecordKind::Terminal as u32, ..Record::default() };
    let sent = sys::send(Fd(context.plan.header.control), record.bytes(), Some(master))?;
    expect(sent == record.bytes().len(), 0)?;
    sys::close(master)?;
    context.terminal = Some(terminal);
    Ok(())
}

/// Its settings and its size are those of the caller's terminal.
fn furnish(context: &Context, step: &Step, terminal: Fd) -> Result<(), Fault> {
    if step.a != 0 {
        let bytes = context.plan.bytes(step.text, step.a).ok_or(Fault::plain(fault::BAD_PLAN))?;
        let mut wanted = Termios::default();
        if bytes.len() != size_of::<Termios>() {
            return Err(Fault::plain(fault::BAD_PLAN));
        }
        wanted.bytes_mut().copy_from_slice(bytes);
        sys::set_settings(terminal, wanted)?;
        // Of speed, width and parity a pseudo-terminal keeps its own.
        let set = Termios { control: wanted.control, ..sys::settings(terminal)? };
        expect(set == wanted, 0)?;
    }
    let word = |number: u32| (step.b >> (16 * number)) as u16;
    let size = [word(0), word(1), word(2), word(3)];
    sys::set_window_size(terminal, size)?;
    expect(sys::window_size(terminal)? == size, 0)
}

/// In the process that becomes the program: a process group of its own. It takes the foreground here, before its filter
/// is on, and while the signal that a group in the background gets for that is blocked.
pub(crate) fn group(context: &Context, step: &Step) -> Result<(), Fault> {
    let terminal = context.terminal.ok_or(Fault::plain(fault::BAD_PLAN))?;
    let own = sys::getpid();
    sys::lead_group()?;
    expect(sys::group()? == own && sys::getsid()? == 1, 0)?;
    if step.a == 1 {
        sys::set_foreground(terminal, own)?;
        expect(sys::foreground(terminal)? == own, 0)?;
    }
    Ok(())
}

/// After a stop: the program's group goes on, or everything does, and draws itself again.
pub(crate) fn go_on(terminal: Option<Fd>, process: i32, everything: bool) {
    let _nobody_left_is_fine = sys::kill(if everything { -1 } else { -process }, abi::SIGCONT);
    if let Some(group) =
        terminal.and_then(|terminal| sys::foreground(terminal).ok()).filter(|group| *group > 1)
    {
        let _nobody_left_is_fine = sys::kill(-group, abi::SIGWINCH);
    }
}

/// The program has asked for the terminal, and gets it.
pub(crate) fn to_foreground(terminal: Option<Fd>, process: i32) {
    if let Some(terminal) = terminal {
        // Where it has ended meanwhile there is no such group.
        let _it_may_have_just_ended = sys::set_foreground(terminal, process);
    }
    let _it_may_have_just_ended = sys::kill(-process, abi::SIGCONT);
}
