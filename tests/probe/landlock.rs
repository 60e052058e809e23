//! What Landlock adds to the mounts, and hosts that lack a call.

use std::ffi::{CStr, CString};
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
        ["receive-rights", socket] => receive_rights(number(socket)),
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
    let name = CString::new(name).unwrap_or_default();
    // SAFETY: a terminated name below the folder that came.
    receive(socket).map_or_else(
        |said| said,
        |folder| called(unsafe { libc::openat(folder, name.as_ptr(), libc::O_RDONLY) }.into()),
    )
}

/// The same folder, and in it one attempt for each right that Landlock knows, a line each.
fn receive_rights(socket: i32) -> String {
    let folder = match receive(socket) {
        Ok(folder) => folder,
        Err(said) => return said,
    };
    let open = |name: &CStr, flags: i32| {
        // SAFETY: a terminated name below the folder that came, and numbers.
        called(unsafe { libc::openat(folder, name.as_ptr(), flags, 0o600) }.into())
    };
    let node = |name: &CStr, kind: libc::mode_t| {
        // SAFETY: as above.
        called(unsafe { libc::mknodat(folder, name.as_ptr(), kind | 0o600, 0) }.into())
    };
    let remove = |name: &CStr, flags: i32| {
        // SAFETY: as above.
        called(unsafe { libc::unlinkat(folder, name.as_ptr(), flags) }.into())
    };
    let cut = CString::new(format!("/proc/self/fd/{folder}/cut")).unwrap_or_default();
    // SAFETY: terminated names, and numbers.
    let (made, linked, truncated) = unsafe {
        (
            called(libc::mkdirat(folder, c"made".as_ptr(), 0o700).into()),
            called(libc::symlinkat(c"x".as_ptr(), folder, c"link".as_ptr()).into()),
            called(libc::truncate(cut.as_ptr(), 0).into()),
        )
    };
    [
        ("read-file", open(c"secret", libc::O_RDONLY)),
        ("write-file", open(c"secret", libc::O_WRONLY)),
        ("read-dir", open(c"folder", libc::O_RDONLY | libc::O_DIRECTORY)),
        (
            "make-reg",
            open(c"file", libc::O_PATH | libc::O_NOFOLLOW).replace("ENOENT", &node(c"file", libc::S_IFREG)),
        ),
        ("remove-file", remove(c"gone", 0)),
        ("remove-dir", remove(c"folder", libc::AT_REMOVEDIR)),
        ("make-char", node(c"char", libc::S_IFCHR)),
        ("make-block", node(c"block", libc::S_IFBLK)),
        ("make-fifo", node(c"fifo", libc::S_IFIFO)),
        ("make-sock", node(c"sock", libc::S_IFSOCK)),
        ("make-dir", made),
        ("make-sym", linked),
        ("truncate", truncated),
        // The last: where it is allowed this process is another program.
        ("execute", execute_in(folder)),
    ]
    .map(|(right, answer)| format!("{right} {answer}"))
    .join("\n")
}

/// Executes a program of the folder in a process of its own.
fn execute_in(folder: i32) -> String {
    let arguments = [c"program".as_ptr(), std::ptr::null()];
    // SAFETY: terminated arrays; the child makes system calls only.
    unsafe {
        let child = libc::fork();
        if child == 0 {
            libc::execveat(
                folder,
                c"program".as_ptr(),
                arguments.as_ptr().cast(),
                arguments[1..].as_ptr().cast(),
                0,
            );
            libc::_exit(*libc::__errno_location());
        }
        let mut status = 0;
        libc::waitpid(child, &raw mut status, 0);
        match libc::WEXITSTATUS(status) {
            0 => "ok".to_owned(),
            number => said::<()>(Err(std::io::Error::from_raw_os_error(number))),
        }
    }
}

/// A folder that somebody outside sends over a socket.
fn receive(socket: i32) -> Result<i32, String> {
    let mut byte = [0_u8; 1];
    let mut control = [0_u64; 8];
    let mut part = libc::iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: 1 };
    // SAFETY: all zero is a message without anything; what it points to lives in this frame.
    unsafe {
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = size_of_val(&control) as _;
        if libc::recvmsg(socket, &raw mut message, 0) != 1 {
            return Err(called(-1));
        }
        let first = libc::CMSG_FIRSTHDR(&raw const message);
        if first.is_null() {
            return Err("nothing came with it".to_owned());
        }
        Ok(libc::CMSG_DATA(first).cast::<i32>().read_unaligned())
    }
}
