//! Mounts: the calls that build the sandbox's files, the change of the root, and mounts whose ids are mapped.

use std::ffi::CString;

use ringfence_init::abi::{self, MountAttr};
use ringfence_init::sys::{self, Fd};
use ringfence_policy::Guarantee as G;

use super::namespaces::Base;
use super::trial::{Call, Failed, Named as _, Tried, in_child};
use super::{Mechanism, Subject};
use crate::{idmap, why};

const API: Subject = Subject::needed("mount-api", &[G::Files, G::Devices]);
const ROOT: Subject = Subject::needed("own-root", &[G::Files]);
const MAPPED: Subject = Subject::needed("id-mapped-mounts", &[G::HostRoot]);

/// The calls, and the root. Of id-mapped mounts only root has any use.
pub(crate) fn all(base: &Base) -> Vec<Mechanism> {
    let mut found = vec![
        base.tried(&API, &["mnt"], mount_api, why_no_mount),
        base.tried(&ROOT, &["mnt"], own_root, why_no_mount),
    ];
    if crate::host::Host::read().is_ok_and(|host| host.caller_is_root()) {
        found.push(mapped_mounts(base));
    }
    found
}

fn why_no_mount(failed: Failed) -> why::Lack {
    match failed {
        Failed::At(call, number) => why::mounts(call, number),
        other => why::refused(Call::OpenTree, (5, 12), other),
    }
}

const HERE: Fd = Fd(abi::AT_FDCWD);

fn private() -> Tried {
    let attributes = MountAttr { propagation: abi::MS_PRIVATE, ..MountAttr::default() };
    sys::mount_setattr(HERE, c"/", abi::AT_RECURSIVE, &attributes).of(Call::SetAttributes)
}

fn in_memory() -> Result<Fd, Failed> {
    let context = sys::fsopen(c"tmpfs").of(Call::NewFileSystem)?;
    sys::fsconfig_text(context, c"mode", c"0755").of(Call::Configure)?;
    sys::fsconfig_create(context).of(Call::Configure)?;
    sys::fsmount(context, abi::MOUNT_ATTR_NOSUID | abi::MOUNT_ATTR_NODEV).of(Call::NewMount)
}

/// As PID 1 uses them: a tree is cloned, made read-only, and put somewhere else.
fn mount_api() -> Tried {
    private()?;
    let tree = clone(c"/")?;
    let attributes = MountAttr {
        set: abi::MOUNT_ATTR_RDONLY | abi::MOUNT_ATTR_NOSUID | abi::MOUNT_ATTR_NODEV,
        propagation: abi::MS_PRIVATE,
        ..MountAttr::default()
    };
    sys::mount_setattr(tree, c"", abi::AT_EMPTY_PATH | abi::AT_RECURSIVE, &attributes)
        .of(Call::SetAttributes)?;
    let memory = in_memory()?;
    sys::move_mount(memory, c"/").of(Call::MoveMount)?;
    sys::move_mount(tree, c"/").of(Call::MoveMount)?;
    sys::mount(c"tmpfs", c"/", abi::MS_NOSUID, c"").of(Call::OldMount)
}

fn clone(path: &std::ffi::CStr) -> Result<Fd, Failed> {
    let flags = abi::OPEN_TREE_CLONE | abi::OPEN_TREE_CLOEXEC | abi::AT_RECURSIVE;
    sys::open_tree(HERE, path, flags).of(Call::OpenTree)
}

/// The new root is stacked on the old one and changes places with it.
fn own_root() -> Tried {
    private()?;
    let new = in_memory()?;
    sys::move_mount(new, c"/").of(Call::MoveMount)?;
    sys::fchdir(new).of(Call::Open)?;
    sys::pivot_root(c".", c".").of(Call::PivotRoot)
}

/// On the file system of the folder that root would most likely grant: the one it is in, else the root.
fn mapped_mounts(base: &Base) -> Mechanism {
    if base.bare() {
        return MAPPED.not_tried("a user namespace");
    }
    let here = std::env::current_dir().unwrap_or_else(|_| "/".into());
    let path = CString::new(here.into_os_string().into_encoded_bytes()).unwrap_or_else(|_| c"/".into());
    let namespace = match idmap::example_namespace() {
        Ok(namespace) => namespace,
        Err(problem) => {
            return MAPPED.missing(why::Lack::new(
                problem.message.clone(),
                problem.remedy.unwrap_or_else(|| "run it as an ordinary user".to_owned()),
            ));
        }
    };
    let number = std::os::fd::AsRawFd::as_raw_fd(&namespace);
    let tried = in_child(|| {
        let tree =
            sys::open_tree(HERE, &path, abi::OPEN_TREE_CLONE | abi::OPEN_TREE_CLOEXEC).of(Call::OpenTree)?;
        let attributes = MountAttr {
            set: libc::MOUNT_ATTR_IDMAP,
            userns_fd: u64::from(number.unsigned_abs()),
            ..MountAttr::default()
        };
        sys::mount_setattr(tree, c"", abi::AT_EMPTY_PATH, &attributes).of(Call::SetAttributes)
    });
    MAPPED.tried(tried, |failed| match failed {
        Failed::At(Call::SetAttributes, libc::EINVAL) => why::Lack::new(
            format!("the file system of {} cannot map ids", path.to_string_lossy()),
            "run it as an ordinary user, or with --user as who owns what is granted",
        ),
        other => why_no_mount(other),
    })
}
