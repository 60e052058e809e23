//! seccomp(2): filters of system calls, and the answers to what they ask.

use super::{Fd, Result, check, fresh, raw};
use crate::abi::{self, nr};

/// seccomp(2) `SECCOMP_SET_MODE_FILTER`. `instructions` are eight bytes each (`struct sock_filter`).
pub fn set_filter(instructions: &[u8]) -> Result<()> {
    filter(instructions, 0).map(drop)
}

/// The same for a filter that has calls answered. Answers where the questions arrive.
pub fn set_listened_filter(instructions: &[u8]) -> Result<Fd> {
    // Only a fatal signal interrupts a call that the listener has been told of.
    let flags = abi::SECCOMP_FILTER_FLAG_NEW_LISTENER | abi::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    filter(instructions, flags).and_then(fresh)
}

fn filter(instructions: &[u8], flags: u32) -> Result<usize> {
    let length = (instructions.len() / 8) as u16;
    let program = abi::FilterProgram { length, instructions: instructions.as_ptr() as usize };
    // SAFETY: the program points to `length` whole instructions; the kernel copies and checks them.
    unsafe { call!(nr::SYS_seccomp, abi::SECCOMP_SET_MODE_FILTER, flags, &raw const program) }
}

/// ioctl(2) `SECCOMP_IOCTL_NOTIF_RECV`: the call that waits for an answer.
pub fn next_notification(listener: Fd) -> Result<abi::Notification> {
    // The kernel wants it zeroed.
    let mut notification = abi::Notification::default();
    // SAFETY: room for one structure.
    unsafe { call!(nr::SYS_ioctl, listener.0, abi::SECCOMP_IOCTL_NOTIF_RECV, &raw mut notification) }?;
    Ok(notification)
}

/// ioctl(2) `SECCOMP_IOCTL_NOTIF_SEND`: lets the call `id` go on as it was made.
pub fn let_continue(listener: Fd, id: u64) -> Result<()> {
    let flags = abi::SECCOMP_USER_NOTIF_FLAG_CONTINUE;
    let answer = abi::NotificationAnswer { id, flags, ..abi::NotificationAnswer::default() };
    // SAFETY: one whole structure.
    unsafe { call!(nr::SYS_ioctl, listener.0, abi::SECCOMP_IOCTL_NOTIF_SEND, &raw const answer) }.map(drop)
}

/// The same: the call `id` is not made, and answers this error.
pub fn refuse(listener: Fd, id: u64, errno: i32) -> Result<()> {
    let answer = abi::NotificationAnswer { id, error: -errno, ..abi::NotificationAnswer::default() };
    // SAFETY: one whole structure.
    unsafe { call!(nr::SYS_ioctl, listener.0, abi::SECCOMP_IOCTL_NOTIF_SEND, &raw const answer) }.map(drop)
}

/// ioctl(2) `SECCOMP_IOCTL_NOTIF_ID_VALID`: whether the call `id` still waits, so that what was read of its process is
/// of no other one.
pub fn still_waits(listener: Fd, id: u64) -> bool {
    // SAFETY: one number.
    unsafe { call!(nr::SYS_ioctl, listener.0, abi::SECCOMP_IOCTL_NOTIF_ID_VALID, &raw const id) }.is_ok()
}
