//! ioctl_tty(2): what is asked of terminals.

use super::{Fd, Result, check, fresh, raw};
use crate::abi::{self, nr};

/// ioctl(2) on a terminal with a number, or nothing, for its argument.
fn terminal_number(terminal: Fd, operation: u32, argument: u64) -> Result<usize> {
    // SAFETY: used only for operations whose argument is no pointer.
    unsafe { call!(nr::SYS_ioctl, terminal.0, operation, argument) }
}

/// ioctl(2) on a terminal with the address of what it reads or writes.
///
/// # Safety
/// `T` must be the structure of the operation.
unsafe fn terminal_about<T>(terminal: Fd, operation: u32, about: &mut T) -> Result<()> {
    // SAFETY: a whole structure; the caller vouches that it is the operation's.
    unsafe { call!(nr::SYS_ioctl, terminal.0, operation, core::ptr::from_mut(about)) }.map(drop)
}

/// `TIOCSPTLCK`: lets the other end of a pseudo-terminal be opened.
pub fn unlock_terminal(master: Fd) -> Result<()> {
    // SAFETY: the operation reads a number.
    unsafe { terminal_about(master, abi::TIOCSPTLCK, &mut 0_i32) }
}

/// `TIOCGPTPEER`: the other end of a pseudo-terminal, by its master and not by a path.
pub fn open_peer(master: Fd, flags: u64) -> Result<Fd> {
    terminal_number(master, abi::TIOCGPTPEER, flags).and_then(fresh)
}

/// `TCSETS`.
pub fn set_settings(terminal: Fd, mut settings: abi::Termios) -> Result<()> {
    // SAFETY: the operation reads one such structure.
    unsafe { terminal_about(terminal, abi::TCSETS, &mut settings) }
}

/// `TCGETS`.
pub fn settings(terminal: Fd) -> Result<abi::Termios> {
    let mut settings = abi::Termios::default();
    // SAFETY: the operation writes one such structure.
    unsafe { terminal_about(terminal, abi::TCGETS, &mut settings) }.map(|()| settings)
}

/// `TIOCSWINSZ`.
pub fn set_window_size(terminal: Fd, mut size: abi::WindowSize) -> Result<()> {
    // SAFETY: the operation reads four words.
    unsafe { terminal_about(terminal, abi::TIOCSWINSZ, &mut size) }
}

/// `TIOCGWINSZ`.
pub fn window_size(terminal: Fd) -> Result<abi::WindowSize> {
    let mut size = abi::WindowSize::default();
    // SAFETY: the operation writes four words.
    unsafe { terminal_about(terminal, abi::TIOCGWINSZ, &mut size) }.map(|()| size)
}

/// `TIOCSCTTY`: makes it the controlling terminal of the session that this process leads, if nobody else has it.
pub fn take_terminal(terminal: Fd) -> Result<()> {
    terminal_number(terminal, abi::TIOCSCTTY, 0).map(drop)
}

/// `TIOCGSID`: the leader of the terminal's session.
pub fn terminal_session(terminal: Fd) -> Result<i32> {
    let mut leader = -1;
    // SAFETY: the operation writes a number.
    unsafe { terminal_about(terminal, abi::TIOCGSID, &mut leader) }.map(|()| leader)
}

/// `TIOCSPGRP`: the process group in the terminal's foreground.
pub fn set_foreground(terminal: Fd, mut group: i32) -> Result<()> {
    // SAFETY: the operation reads a number.
    unsafe { terminal_about(terminal, abi::TIOCSPGRP, &mut group) }
}

/// `TIOCGPGRP`.
pub fn foreground(terminal: Fd) -> Result<i32> {
    let mut group = -1;
    // SAFETY: the operation writes a number.
    unsafe { terminal_about(terminal, abi::TIOCGPGRP, &mut group) }.map(|()| group)
}
