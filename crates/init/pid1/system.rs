//! The steps that are about neither files nor privileges: ids, network, names, keys.

use crate::abi::{self, InterfaceRequest, PollFd, Timespec};
use crate::plan::Plan;
use crate::steps::{Fault, expect};
use crate::sys::{self, Errno, Fd};
use crate::wire::{self, Command, CommandKind, Message as _, Step, detail};

/// How long the supervisor may take to write the maps: it does nothing else meanwhile.
const LONGEST_WAIT_NS: u64 = 4_000_000_000;
/// How long with a service manager, which makes the cgroup: as long as an answer of D-Bus is waited for.
const LONGEST_WAIT_FOR_MANAGER_NS: u64 = 25_000_000_000;

/// Waits for the supervisor's word that the id maps are written; ends when the supervisor does.
pub(crate) fn await_maps(plan: &Plan) -> Result<(), Fault> {
    let watched = |fd| PollFd { fd, events: abi::POLLIN, revents: 0 };
    let mut files = [watched(plan.header.control), watched(plan.header.supervisor)];
    let has_manager = plan.header.lingers != 0;
    let longest = if has_manager { LONGEST_WAIT_FOR_MANAGER_NS } else { LONGEST_WAIT_NS };
    let end_ns = sys::monotonic_ns() + longest;
    loop {
        let left = end_ns.saturating_sub(sys::monotonic_ns());
        let left =
            Timespec { seconds: (left / 1_000_000_000) as i64, nanoseconds: (left % 1_000_000_000) as i64 };
        match sys::poll(&mut files, Some(left)) {
            Ok(_) if files.iter().any(|file| file.revents != 0) => break,
            Ok(_) | Err(Errno(abi::EINTR)) if sys::monotonic_ns() < end_ns => {}
            Ok(_) | Err(Errno(abi::EINTR)) => return Err(Fault::plain(abi::ETIMEDOUT)),
            Err(errno) => return Err(errno.into()),
        }
    }
    if files[1].revents != 0 {
        sys::exit(125);
    }
    let mut command = Command::default();
    let length = sys::read(Fd(plan.header.control), command.bytes_mut())?;
    if length != size_of::<Command>() || command.kind != CommandKind::MapsWritten as u32 {
        return Err(Fault::plain(wire::fault::BAD_PLAN));
    }
    open_as(plan, plan.header.cpu_path, plan.header.cpu_file)?;
    open_as(plan, plan.header.memory_path, plan.header.memory_event)
}

/// Opens a file of the cgroup that it is in by now, under the number that was kept for it.
fn open_as(plan: &Plan, path: u32, number: i32) -> Result<(), Fault> {
    if path == 0 {
        return Ok(());
    }
    let file = sys::openat(Fd(abi::AT_FDCWD), plan.text(path), abi::O_RDONLY | abi::O_CLOEXEC, 0)?;
    sys::dup_onto(file, Fd(number))?;
    Ok(sys::close(file)?)
}

/// The sandbox's own loopback works; there is no other interface.
pub(crate) fn loopback() -> Result<(), Fault> {
    let socket = sys::socket(abi::AF_INET, abi::SOCK_DGRAM | abi::SOCK_CLOEXEC)?;
    let mut request = InterfaceRequest { name: [0; 16], flags: abi::IFF_UP, rest: [0; 22] };
    request.name[..2].copy_from_slice(b"lo");
    sys::interface_ioctl(socket, abi::SIOCSIFFLAGS, &mut request)?;
    request.flags = 0;
    sys::interface_ioctl(socket, abi::SIOCGIFFLAGS, &mut request)?;
    expect(request.flags & abi::IFF_UP != 0, 0)?;
    Ok(sys::close(socket)?)
}

/// The host's names stay outside.
pub(crate) fn hostname(plan: &Plan, step: &Step) -> Result<(), Fault> {
    let name = plan.text(step.text).to_bytes();
    sys::sethostname(name)?;
    sys::setdomainname(b"(none)")?;
    let names = sys::uname()?;
    let node = core::ffi::CStr::from_bytes_until_nul(&names.fields[1]).unwrap_or_default();
    let domain = core::ffi::CStr::from_bytes_until_nul(&names.fields[5]).unwrap_or_default();
    expect(node.to_bytes() == name && domain.to_bytes() == b"(none)", 0)
}

/// The sandbox's user namespace may have no children. The limit is the namespace's own (user_namespaces(7));
/// it needs CAP_SYS_RESOURCE there, which goes with the rest.
pub(crate) fn no_user_namespaces() -> Result<(), Fault> {
    let path = c"/proc/sys/user/max_user_namespaces";
    let file = sys::openat(Fd(abi::AT_FDCWD), path, abi::O_RDWR | abi::O_CLOEXEC, 0)?;
    sys::write(file, b"0\n")?;
    sys::close(file)?;
    let file = sys::openat(Fd(abi::AT_FDCWD), path, abi::O_RDONLY | abi::O_CLOEXEC, 0)?;
    let mut text = [0_u8; 16];
    let length = sys::read(file, &mut text)?;
    expect(text.get(..length) == Some(b"0\n"), detail::USER_NAMESPACE)?;
    Ok(sys::close(file)?)
}

/// How often, and how long apart, a keyring is asked for: two seconds.
const KEYRING_TRIES: u32 = 100;
const KEYRING_PAUSE: Timespec = Timespec { seconds: 0, nanoseconds: 20_000_000 };

/// A session keyring of its own. Keyrings know no namespaces: without this the program could use the keys of
/// the caller's session. The keys of its user, by serial number, only a syscall filter keeps away. Where keyctl is filtered away for us it is for the program.
pub(crate) fn keyring(plan: &Plan) -> Result<(), Fault> {
    let current = || sys::keyctl(abi::KEYCTL_GET_KEYRING_ID, abi::KEY_SPEC_SESSION_KEYRING, 0);
    let join = || sys::keyctl(abi::KEYCTL_JOIN_SESSION_KEYRING, 0, 0);
    // Nothing is asked before: in a new user namespace to ask makes two more keyrings, on the user's quota, and then
    // this one is on it too (security/keys/process_keys.c).
    let mut joined = join();
    // Keyrings of sandboxes that have just ended count until the kernel has let go of them.
    for _ in 0..KEYRING_TRIES {
        if joined != Err(Errno(abi::EDQUOT)) {
            break;
        }
        let mut files = [PollFd { fd: plan.header.supervisor, events: abi::POLLIN, revents: 0 }];
        if sys::poll(&mut files, Some(KEYRING_PAUSE)) == Ok(1) {
            sys::exit(125);
        }
        joined = join();
    }
    match joined {
        Ok(joined) => expect(joined != 0 && current() == Ok(joined), 0),
        Err(errno @ Errno(abi::ENOSYS | abi::EPERM)) if current() == Err(errno) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}
