//! Attempts on the kernel's own interfaces.

use std::ffi::CString;

use crate::called;

pub(crate) fn attempt(words: &[&str]) -> Option<String> {
    Some(match *words {
        ["remount", path] => mount(None, path, None, libc::MS_REMOUNT | libc::MS_BIND),
        ["mount-tmpfs", path] => mount(Some("tmpfs"), path, Some("tmpfs"), 0),
        ["unmount", path] => {
            let path = text(path);
            // SAFETY: a terminated path.
            called(unsafe { libc::umount2(path.as_ptr(), libc::MNT_DETACH) }.into())
        }
        ["pivot-root"] => {
            // SAFETY: terminated paths.
            called(unsafe { libc::syscall(libc::SYS_pivot_root, c".".as_ptr(), c".".as_ptr()) })
        }
        ["chroot", path] => {
            let path = text(path);
            // SAFETY: a terminated path.
            called(unsafe { libc::chroot(path.as_ptr()) }.into())
        }
        ["open-by-handle"] => open_by_handle(),
        ["make-device", path] => make_node(path, libc::S_IFCHR | 0o666),
        ["make-fifo", path] => make_node(path, libc::S_IFIFO | 0o666),
        ["new-user-namespace"] => {
            // SAFETY: flags only.
            called(unsafe { libc::unshare(libc::CLONE_NEWUSER) }.into())
        }
        ["set-clock"] => set_clock(),
        ["shared-memory", key] => {
            // SAFETY: numbers only; without IPC_CREAT nothing is made.
            called(unsafe { libc::shmget(key.parse().unwrap_or(0), 0, 0) }.into())
        }
        ["queue", name] => {
            let name = text(name);
            // SAFETY: a terminated name; without O_CREAT there are no further arguments.
            called(unsafe { libc::mq_open(name.as_ptr(), libc::O_RDONLY) }.into())
        }
        ["keyring"] => session_keyring(),
        _ => return None,
    })
}

fn text(text: &str) -> CString {
    CString::new(text).unwrap_or_default()
}

fn mount(source: Option<&str>, path: &str, kind: Option<&str>, flags: libc::c_ulong) -> String {
    let (source, path, kind) = (source.map(text), text(path), kind.map(text));
    let pointer = |text: &Option<CString>| text.as_ref().map_or(std::ptr::null(), |text| text.as_ptr());
    // SAFETY: null or terminated strings.
    called(
        unsafe { libc::mount(pointer(&source), path.as_ptr(), pointer(&kind), flags, std::ptr::null()) }
            .into(),
    )
}

/// A handle of perhaps no file: ESTALE means, like success, that the permission check was passed (fs/fhandle.c).
fn open_by_handle() -> String {
    let handle = [8_u32, 1, 2, 0];
    // SAFETY: a whole `struct file_handle` with eight bytes of handle.
    called(unsafe {
        libc::syscall(libc::SYS_open_by_handle_at, libc::AT_FDCWD, handle.as_ptr(), libc::O_RDONLY)
    })
}

fn make_node(path: &str, mode: libc::mode_t) -> String {
    let path = text(path);
    // SAFETY: a terminated path; the device is /dev/null's.
    called(unsafe { libc::mknod(path.as_ptr(), mode, libc::makedev(1, 3)) }.into())
}

/// Sets the clock to what it says. Only ever run inside a sandbox.
fn set_clock() -> String {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: room for one time; then that time.
    unsafe {
        libc::clock_gettime(libc::CLOCK_REALTIME, &raw mut now);
        called(libc::clock_settime(libc::CLOCK_REALTIME, &raw const now).into())
    }
}

/// The serial number of the session keyring.
fn session_keyring() -> String {
    // SAFETY: KEYCTL_GET_KEYRING_ID of KEY_SPEC_SESSION_KEYRING, numbers only.
    let id = unsafe { libc::syscall(libc::SYS_keyctl, 0, -3, 0) };
    if id == -1 { called(-1) } else { id.to_string() }
}
