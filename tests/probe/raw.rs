//! System calls by name and number, with arguments as words: whatever the kernel says to them.

use std::ffi::CString;
use std::fs::File;
use std::os::fd::{AsRawFd as _, FromRawFd as _};

use ringfence_seccomp::Arch;

use crate::{called, said};

pub(crate) fn attempt(words: &[&str]) -> Option<String> {
    Some(match words {
        ["call", name, arguments @ ..] => match number(name) {
            Some(number) => call(number, arguments),
            None => format!("no call is named {name}"),
        },
        ["call-i386", number] => call_i386(number.parse().unwrap_or(0)),
        ["clone-user-namespace"] => clone(libc::CLONE_NEWUSER),
        ["clone-plain"] => clone(0),
        ["terminal", request, what] => on_own_terminal(request.parse().unwrap_or(0), what),
        ["on-controlling-terminal", request, what] => {
            on_terminal(File::open("/dev/tty"), request.parse().unwrap_or(0), what)
        }
        ["thread"] => said(std::thread::Builder::new().spawn(|| ())),
        ["own-terminal"] => said(own_terminal().and_then(|_terminal| File::open("/dev/tty"))),
        ["take-terminal"] => {
            // SAFETY: numbers only.
            called(unsafe { libc::ioctl(0, libc::TIOCSCTTY, 0) }.into())
        }
        ["execute-by-any-file", path] => execute_by_any_file(path),
        ["execute", path] => {
            said::<()>(Err(std::os::unix::process::CommandExt::exec(&mut std::process::Command::new(path))))
        }
        _ => return None,
    })
}

/// The number of a call: by the kernel's name, or as a number, which may be one that no kernel knows.
fn number(name: &str) -> Option<libc::c_long> {
    name.parse().ok().or_else(|| Arch::NATIVE.and_then(|arch| arch.number(name)).map(libc::c_long::from))
}

/// Makes the call. A word is a number, `zeros` (a page of them), or `text:` and a string.
fn call(number: libc::c_long, words: &[&str]) -> String {
    let zeros = [0_u64; 512];
    let mut texts = Vec::new();
    let mut arguments = [0_usize; 6];
    for (argument, word) in arguments.iter_mut().zip(words) {
        *argument = if *word == "zeros" {
            zeros.as_ptr() as usize
        } else if let Some(text) = word.strip_prefix("text:") {
            texts.push(CString::new(text).unwrap_or_default());
            texts.last().map_or(0, |text| text.as_ptr() as usize)
        } else {
            word.parse::<i128>().unwrap_or(0) as usize
        };
    }
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: pointers among the arguments point to a page or a string that lives on; this process makes nothing
    // but this call, whatever it does to it.
    called(unsafe { libc::syscall(number, a, b, c, d, e, f) })
}

/// A call through the 32-bit interface of the same kernel.
#[cfg(target_arch = "x86_64")]
fn call_i386(number: i32) -> String {
    let answer: i32;
    // SAFETY: the call's arguments are zero; the interface clobbers r8 to r11 (arch/x86/entry/entry_64_compat.S).
    // rbx may not be named as an operand, so it is saved around.
    unsafe {
        std::arch::asm!("push rbx", "xor ebx, ebx", "int 0x80", "pop rbx", inlateout("eax") number => answer,
            inout("ecx") 0 => _, inout("edx") 0 => _, inout("esi") 0 => _, inout("edi") 0 => _,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _);
    }
    if answer < 0 { said::<()>(Err(std::io::Error::from_raw_os_error(-answer))) } else { "ok".to_owned() }
}

#[cfg(not(target_arch = "x86_64"))]
fn call_i386(_: i32) -> String {
    "this machine has no such interface".to_owned()
}

/// clone(2) with a flag, past the C library; a child ends at once.
fn clone(flag: i32) -> String {
    let flags = flag | libc::SIGCHLD;
    // SAFETY: no stack, as with fork; the child makes one call.
    unsafe {
        let child = libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0);
        if child == 0 {
            libc::_exit(0);
        }
        called(child)
    }
}

/// A fresh pseudo-terminal's two ends; its slave is the controlling terminal of this process where it leads a
/// session and has none.
fn own_terminal() -> std::io::Result<(File, File)> {
    // The end of a terminal hangs up on the session that it controls: the answer is still to be said.
    // SAFETY: no handler.
    unsafe { libc::signal(libc::SIGHUP, libc::SIG_IGN) };
    let master = File::options().read(true).write(true).open("/dev/ptmx")?;
    let mut number = 0_i32;
    let unlock = 0_i32;
    // SAFETY: each call gets a pointer to one number (pty(7)).
    let failed = unsafe {
        libc::ioctl(master.as_raw_fd(), libc::TIOCSPTLCK, &raw const unlock) == -1
            || libc::ioctl(master.as_raw_fd(), libc::TIOCGPTN, &raw mut number) == -1
    };
    if failed {
        return Err(std::io::Error::last_os_error());
    }
    let slave = CString::new(format!("/dev/pts/{number}")).unwrap_or_default();
    // SAFETY: a terminated path; std would add O_NOCTTY to nothing, but says no word on it either.
    let slave = unsafe { libc::open(slave.as_ptr(), libc::O_RDWR) };
    if slave == -1 {
        return Err(std::io::Error::last_os_error());
    }
    // SAFETY: just opened, and nobody else's.
    Ok((master, unsafe { File::from_raw_fd(slave) }))
}

/// An ioctl whose argument points to one byte, on a terminal of this process' own.
fn on_own_terminal(request: u64, what: &str) -> String {
    match own_terminal() {
        Err(error) => said::<()>(Err(error)),
        Ok((_master, slave)) => on_terminal(Ok(slave), request, what),
    }
}

fn on_terminal(terminal: std::io::Result<File>, request: u64, what: &str) -> String {
    let byte = what.as_bytes().first().copied().unwrap_or(b'x');
    match terminal {
        Err(error) => said::<()>(Err(error)),
        Ok(terminal) => {
            // SAFETY: a pointer to one byte; the request's upper half is the attempt itself.
            called(unsafe { libc::syscall(libc::SYS_ioctl, terminal.as_raw_fd(), request, &raw const byte) })
        }
    }
}

/// Executes an absolute path through execveat with every file that is open, and with some that are not: with an
/// absolute path the kernel ignores the file.
fn execute_by_any_file(path: &str) -> String {
    let path = CString::new(path).unwrap_or_default();
    let arguments = [path.as_ptr(), std::ptr::null()];
    let mut answers = std::collections::BTreeSet::new();
    for file in (-1..64).chain([libc::AT_FDCWD, i32::MAX]) {
        // SAFETY: a terminated path, an array ended by null, no environment.
        answers.insert(called(unsafe {
            libc::syscall(
                libc::SYS_execveat,
                file,
                path.as_ptr(),
                arguments.as_ptr(),
                std::ptr::null::<*const libc::c_char>(),
                0,
            )
        }));
    }
    answers.into_iter().collect::<Vec<_>>().join(" ")
}
