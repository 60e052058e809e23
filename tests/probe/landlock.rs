//! What Landlock adds to the mounts, and hosts that lack a call.

use std::ffi::CString;
use std::fs::OpenOptions;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use crate::{called, said};

pub(crate) fn attempt(words: &[&str]) -> Option<String> {
    let number = |word: &str| word.parse::<i32>().unwrap_or(-1);
    Some(match *words {
        ["with-calls-answered", first, last, errno, program, ref arguments @ ..] => {
            let number = |word: &str| word.parse::<u32>().unwrap_or(u32::MAX);
            match answer_calls(number(first), number(last), number(errno)) {
                Ok(()) => said::<()>(Err(Command::new(program).args(arguments).exec())),
                Err(e) => said::<()>(Err(e)),
            }
        }
        ["reopen", file, how] => {
            let path = format!("/proc/self/fd/{file}");
            let (read, write) = (matches!(how, "read" | "both"), matches!(how, "write" | "both"));
            said(OpenOptions::new().read(read).write(write).open(path))
        }
        ["change-mode", file] => {
            // SAFETY: numbers only.
            called(unsafe { libc::fchmod(number(file), 0o666) }.into())
        }
        ["own-layers"] => own_layers(),
        ["receive-folder", socket, name] => receive_folder(number(socket), name),
        _ => return None,
    })
}

/// Has the kernel answer an error to a range of calls, from this program on, as behind a filter of an engine's.
fn answer_calls(first: u32, last: u32, errno: u32) -> std::io::Result<()> {
    let statement = |code: u32, k: u32, jt: u8, jf: u8| libc::sock_filter { code: code as u16, jt, jf, k };
    let jump = libc::BPF_JMP | libc::BPF_K;
    let mut filter = [
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        statement(jump | libc::BPF_JGE, first, 0, 2),
        statement(jump | libc::BPF_JGT, last, 1, 0),
        statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ERRNO | errno, 0, 0),
        statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW, 0, 0),
    ];
    let program = libc::sock_fprog { len: 5, filter: filter.as_mut_ptr() };
    // SAFETY: numbers, and a program of as many instructions as it says. Root may without no_new_privs, which would
    // change more of the caller than is meant.
    let failed = unsafe {
        libc::geteuid() != 0 && libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0
            || libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) != 0
    };
    if failed { Err(std::io::Error::last_os_error()) } else { Ok(()) }
}

/// How many more layers this process may restrict itself by.
fn own_layers() -> String {
    // Handles the right to make a block device, which nobody has.
    let attributes = [1_u64 << 11, 0, 0];
    for count in 0..20 {
        // SAFETY: one whole structure; then numbers.
        let (ruleset, answer) = unsafe {
            libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
            let ruleset = libc::syscall(libc::SYS_landlock_create_ruleset, attributes.as_ptr(), 24, 0);
            (ruleset, libc::syscall(libc::SYS_landlock_restrict_self, ruleset, 0))
        };
        if ruleset < 0 || answer != 0 {
            return format!("{count} {}", called(-1));
        }
    }
    "without end".to_owned()
}

/// Takes a folder that somebody outside sends over a socket, and reads a file in it.
fn receive_folder(socket: i32, name: &str) -> String {
    let mut byte = [0_u8; 1];
    let mut control = [0_u64; 8];
    let mut part = libc::iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: 1 };
    // SAFETY: all zero is a message without anything; what it points to lives in this frame.
    let folder = unsafe {
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = size_of_val(&control) as _;
        if libc::recvmsg(socket, &raw mut message, 0) != 1 {
            return called(-1);
        }
        let first = libc::CMSG_FIRSTHDR(&raw const message);
        if first.is_null() {
            return "nothing came with it".to_owned();
        }
        libc::CMSG_DATA(first).cast::<i32>().read_unaligned()
    };
    let name = CString::new(name).unwrap_or_default();
    // SAFETY: a terminated name below the folder that came.
    called(unsafe { libc::openat(folder, name.as_ptr(), libc::O_RDONLY) }.into())
}
