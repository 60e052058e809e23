//! The seven kinds of namespaces, a loopback in one, and whether a further user namespace can be forbidden.

use std::ffi::CString;

use ringfence_init::abi::{self, InterfaceRequest};
use ringfence_init::sys::{self, Fd};
use ringfence_policy::Guarantee as G;

use super::trial::{Call, Failed, Named as _, Tried, expect, in_child, in_grandchild};
use super::{Mechanism, Subject};
use crate::plan::clone_flag;
use crate::why;

const USER: Subject = Subject::needed(
    "user-namespace",
    &[G::Files, G::Devices, G::Processes, G::Network, G::Ipc, G::Privileges, G::Cleanup, G::HostRoot],
);
const KINDS: [(&str, Subject); 6] = [
    ("mnt", Subject::needed("mount-namespace", &[G::Files, G::Devices])),
    ("pid", Subject::needed("pid-namespace", &[G::Processes, G::Cleanup])),
    ("net", Subject::needed("network-namespace", &[G::Network, G::Ipc])),
    ("ipc", Subject::needed("ipc-namespace", &[G::Ipc])),
    ("uts", Subject::needed("uts-namespace", &[G::Files])),
    ("cgroup", Subject::needed("cgroup-namespace", &[G::Files])),
];
const LOOPBACK: Subject = Subject::needed("loopback", &[G::Network]);
const PROC: Subject = Subject::needed("fresh-proc", &[G::Processes]);
const NO_MORE: Subject = Subject::needed("no-further-user-namespace", &[G::KernelSurface]);

/// What the other trials stand on: a user namespace, or a caller who needs none.
pub(crate) struct Base {
    user: Tried,
    maps: [CString; 2],
    /// Trials are made without a user namespace.
    bare: bool,
}

/// Tries a user namespace, with a map.
pub(crate) fn base() -> Base {
    let line = |id: u32| CString::new(format!("{id} {id} 1\n")).unwrap_or_default();
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let mut base = Base { user: Ok(()), maps: [line(gid), line(uid)], bare: false };
    base.user = in_child(|| base.enter(&[]));
    base.bare = base.user.is_err() && why::can_administer();
    base
}

impl Base {
    /// In a trial: new namespaces of these kinds, and all capabilities in them.
    pub(crate) fn enter(&self, kinds: &[&str]) -> Tried {
        let flags = kinds.iter().fold(0, |flags, kind| flags | clone_flag(kind));
        if self.bare {
            return sys::unshare(flags).of(Call::Unshare);
        }
        sys::unshare(flags | abi::CLONE_NEWUSER).of(Call::Unshare)?;
        write(c"/proc/self/setgroups", c"deny").of_map()?;
        write(c"/proc/self/gid_map", &self.maps[0]).of_map()?;
        write(c"/proc/self/uid_map", &self.maps[1]).of_map()
    }

    /// Are trials made without a user namespace?
    pub(crate) const fn bare(&self) -> bool {
        self.bare
    }

    /// Why nothing can be tried in a namespace.
    pub(crate) fn hindrance(&self) -> Option<&'static str> {
        (self.user.is_err() && !self.bare).then_some("a user namespace")
    }

    /// Tries something in new namespaces, or says that it cannot be tried.
    pub(crate) fn tried(
        &self,
        subject: &Subject,
        kinds: &[&str],
        work: impl FnOnce() -> Tried,
        why: impl FnOnce(Failed) -> why::Lack,
    ) -> Mechanism {
        if let Some(hindrance) = self.hindrance() {
            return subject.not_tried(hindrance);
        }
        let mut entered = Ok(());
        for kind in kinds {
            entered = entered.and_then(|()| in_child(|| self.enter(&[*kind])).map_err(|_| *kind));
        }
        match entered {
            Err(kind) => subject.not_tried(&format!("a {kind} namespace")),
            Ok(()) => subject.tried(in_child(|| self.enter(kinds).and_then(|()| work())), why),
        }
    }
}

trait OfMap {
    fn of_map(self) -> Tried;
}

impl OfMap for sys::Result<()> {
    fn of_map(self) -> Tried {
        self.of(Call::WriteMap)
    }
}

pub(crate) fn write(path: &std::ffi::CStr, content: &std::ffi::CStr) -> sys::Result<()> {
    let file = sys::openat(Fd(abi::AT_FDCWD), path, abi::O_WRONLY | abi::O_CLOEXEC, 0)?;
    let written = sys::write(file, content.to_bytes());
    sys::close(file)?;
    written.map(drop)
}

/// Every kind, and what stands on them.
pub(crate) fn all(base: &Base) -> Vec<Mechanism> {
    let mut found = vec![USER.tried(base.user, |failed| match failed {
        Failed::At(Call::Unshare, number) => why::namespaces(&["user"], number),
        Failed::At(Call::WriteMap, number) => why::powerless(number),
        other => why::refused(Call::Unshare, (3, 8), other),
    })];
    for (kind, subject) in KINDS {
        let Some(hindrance) = base.hindrance() else {
            let tried = in_child(|| base.enter(&[kind]));
            found.push(subject.tried(tried, |failed| match failed {
                Failed::At(_, number) => why::namespaces(&[kind], number),
                other => why::refused(Call::Unshare, (3, 8), other),
            }));
            continue;
        };
        found.push(subject.not_tried(hindrance));
    }
    found.push(base.tried(&LOOPBACK, &["net"], loopback, |failed| match failed {
        Failed::At(Call::InterfaceUp, number) => why::powerless(number),
        other => why::refused(Call::Socket, (2, 0), other),
    }));
    let proc = |work: fn() -> Tried| move || in_grandchild(work);
    found.push(base.tried(&PROC, &["pid", "mnt"], proc(fresh_proc), why_no_proc));
    // In the host's own user namespace the limit is the host's.
    let no_more = if base.bare {
        NO_MORE.not_tried("a user namespace")
    } else {
        base.tried(&NO_MORE, &["pid", "mnt"], proc(no_more), why_no_proc)
    };
    found.push(no_more);
    found
}

/// Why there can be no proc of a sandbox's own, where that is what is missing and nothing before it.
pub(crate) fn no_fresh_proc() -> Option<why::Lack> {
    let base = base();
    let tried = in_child(|| base.enter(&["pid", "mnt"]).and_then(|()| in_grandchild(fresh_proc)));
    match tried {
        Err(failed @ Failed::At(Call::NewMount, libc::EPERM | libc::EACCES)) => Some(why_no_proc(failed)),
        _ => None,
    }
}

fn why_no_proc(failed: Failed) -> why::Lack {
    match failed {
        Failed::At(Call::NewMount, number) => why::fresh_proc(number),
        Failed::At(Call::WriteLimit | Call::ReadBack, number) => why::powerless(number),
        Failed::At(Call::NewFileSystem | Call::Configure, number) => why::mounts(Call::NewFileSystem, number),
        other => why::refused(Call::NewFileSystem, (5, 2), other),
    }
}

fn loopback() -> Tried {
    let socket = sys::socket(abi::AF_INET, abi::SOCK_DGRAM | abi::SOCK_CLOEXEC).of(Call::Socket)?;
    let mut request = InterfaceRequest { name: [0; 16], flags: abi::IFF_UP, rest: [0; 22] };
    request.name[..2].copy_from_slice(b"lo");
    sys::interface_ioctl(socket, abi::SIOCSIFFLAGS, &mut request).of(Call::InterfaceUp)?;
    request.flags = 0;
    sys::interface_ioctl(socket, abi::SIOCGIFFLAGS, &mut request).of(Call::InterfaceUp)?;
    expect(request.flags & abi::IFF_UP != 0)
}

/// A detached one: it needs no place, and the kernel asks the same of it (fs/namespace.c).
fn new_proc() -> Result<Fd, Failed> {
    let context = sys::fsopen(c"proc").of(Call::NewFileSystem)?;
    sys::fsconfig_create(context).of(Call::Configure)?;
    sys::fsmount(context, abi::MOUNT_ATTR_NOSUID | abi::MOUNT_ATTR_NODEV | abi::MOUNT_ATTR_NOEXEC)
        .of(Call::NewMount)
}

fn fresh_proc() -> Tried {
    expect(sys::getpid() == 1)?;
    new_proc().map(drop)
}

/// The limit is the namespace's own, whoever opens the file in it (user_namespaces(7)).
fn no_more() -> Tried {
    let proc = new_proc()?;
    let limit = c"sys/user/max_user_namespaces";
    let file = sys::openat(proc, limit, abi::O_WRONLY | abi::O_CLOEXEC, 0).of(Call::WriteLimit)?;
    sys::write(file, b"0\n").of(Call::WriteLimit)?;
    // Tried, not believed.
    expect(sys::unshare(abi::CLONE_NEWUSER) == Err(sys::Errno(libc::ENOSPC)))
}
