//! The host paths that a policy shows, put into the layout: who wins, what contradicts, what cannot be mounted.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ringfence_policy::{Access, Grant, Layer, Policy, Problem};

use super::source::{self, Source};
use super::{Request, base};
use crate::layout::{Layout, Node, Rank};
use crate::look;

/// A grant with its paths read.
struct Shown<'a> {
    grant: &'a Grant,
    source: Source,
    /// The path that was written, where it is a symlink to the source: it appears too.
    also: Option<PathBuf>,
}

/// Puts the policy's grants, memory folders and devices into the layout.
pub(super) fn show(
    layout: &mut Layout,
    policy: &Policy,
    request: &Request,
    notes: &mut Vec<String>,
) -> Result<(), Problem> {
    let mut by_path: BTreeMap<PathBuf, Shown<'_>> = BTreeMap::new();
    for grant in &policy.filesystem.grants {
        if grant.source == Path::new(".") && working_directory_stays_outside(grant, request, notes)? {
            continue;
        }
        let (written, source) = source::locate(&grant.source, request)?;
        refuse_channel(&source)?;
        let path = grant.destination.as_deref().map_or_else(|| source.path.clone(), source::lexical);
        let path = layout.behind_links(&path);
        check_place(&path, grant.access)?;
        refuse_kernel_view(&source, grant.access)?;
        let also = (grant.destination.is_none() && written != path).then_some(written);
        let shown = Shown { grant, source, also };
        match by_path.get(&path) {
            Some(there) if there.grant.layer > grant.layer => {}
            Some(there) if there.grant.layer == grant.layer => contradiction(there, &shown, &path)?,
            _ => {
                by_path.insert(path, shown);
            }
        }
    }
    for (path, shown) in by_path {
        if is_shown_by_the_base(layout, &path, &shown) {
            continue;
        }
        let rank = match shown.grant.layer {
            Layer::Profile => Rank::Profile,
            Layer::Caller => Rank::Caller,
        };
        put(layout, path, shown, rank)?;
    }
    for memory in &policy.filesystem.tmpfs {
        let size = memory.size.unwrap_or_else(|| policy.limits.tmp()).0;
        let path = layout.behind_links(&source::lexical(&memory.path));
        if let Some(Node::Bind { source, .. }) = layout.at(&path)
            && layout.nodes().any(|(at, rank, _)| at == path && rank == Rank::Caller)
        {
            let why =
                format!("`{}` is asked for both empty and from `{}`", path.display(), source.path.display());
            return Err(Problem::request("contradiction", why).at(&path));
        }
        check_place(&path, Access::Write)?;
        base::make_room(layout, &path)?;
        // It is empty; but a home, or another folder in memory, below it stays.
        let stays = |node: &Node| matches!(node, Node::Memory { .. });
        layout.remove_below(&path, |rank, node| rank == Rank::Base && !stays(node));
        layout.put(path, Rank::Caller, Node::Memory { size, mode: 0o755, sealed: false });
    }
    for device in &policy.filesystem.devices {
        let real = look::real(device).map_err(|e| {
            crate::errno::problem("device", format!("no device `{}`", device.display()), e)
                .at(device)
                .remedy("name a device node below /dev that exists")
        })?;
        if !real.starts_with("/dev") {
            let why = format!("`{}` is not below /dev", device.display());
            return Err(Problem::request("device", why).at(device));
        }
        layout.put(&real, Rank::Caller, Node::Device { source: base::device(&real)? });
    }
    Ok(())
}

/// Does the base show the same, read-only, anyway? Nothing is gained by mounting it twice.
fn is_shown_by_the_base(layout: &Layout, path: &Path, shown: &Shown<'_>) -> bool {
    shown.grant.access == Access::Read
        && layout.at(path).is_none()
        && layout.host_path(path).is_some_and(|host| host == shown.source.path)
        && layout.container(path).0.starts_with("/usr")
}

fn put(layout: &mut Layout, path: PathBuf, shown: Shown<'_>, rank: Rank) -> Result<(), Problem> {
    base::make_room(layout, &path)?;
    // What every sandbox has gives way below a folder that was asked for; /proc and /dev are never below one.
    layout.remove_below(&path, |rank, _| rank == Rank::Base);
    let node = Node::Bind {
        source: shown.source,
        access: shown.grant.access,
        elsewhere: shown.grant.destination.is_some(),
    };
    layout.put(&path, rank, node);
    if let Some(also) = shown.also
        && layout.at(&also).is_none()
        && matches!(
            layout.container(&also).1,
            Node::Root | Node::Folder { .. } | Node::Memory { sealed: false, .. }
        )
    {
        layout.put(also, rank, Node::Link { target: path });
    }
    Ok(())
}

/// The working directory is shown because the profile says so, not because the caller chose it. In `/`, in the
/// home or above it that would show everything: it is left out when implied, and refused when asked for.
fn working_directory_stays_outside(
    grant: &Grant,
    request: &Request,
    notes: &mut Vec<String>,
) -> Result<bool, Problem> {
    let real = |path: &Path| -> Result<PathBuf, Problem> {
        let real = look::present(look::real(path)).map_err(|e| look::unknown(path, e))?;
        Ok(real.unwrap_or_else(|| path.to_owned()))
    };
    let (here, home) = (real(&request.directory)?, real(&request.home)?);
    let kernel = ["/proc", "/sys", "/dev"].iter().any(|folder| here.starts_with(folder))
        && !here.starts_with("/dev/shm");
    // These belong to everybody; the sandbox has its own.
    let shared = ["/tmp", "/var/tmp", "/dev/shm"].iter().any(|folder| here == Path::new(folder));
    if !home.starts_with(&here) && !kernel && !shared {
        return Ok(false);
    }
    let shown = here.display();
    if grant.layer == Layer::Caller {
        let why = format!(
            "`.` is `{shown}`: that is the home, a folder above it, everybody's, or the kernel's own"
        );
        return Err(Problem::request("workdir", why)
            .at(&here)
            .remedy("change to the project's folder, or write the path out"));
    }
    notes.push(format!(
        "the working directory {shown} is not shown, the program starts in its empty home; --ro PATH shows a folder"
    ));
    Ok(true)
}

/// Places that are a sandbox's own.
fn check_place(path: &Path, access: Access) -> Result<(), Problem> {
    let bad = |why: &str, remedy: &str| {
        Err(Problem::request("path", format!("`{}` {why}", path.display())).at(path).remedy(remedy))
    };
    if path.parent().is_none() {
        return bad(
            "would replace the root of the sandbox",
            "show the folders that it needs, or use --rootfs",
        );
    }
    if path.starts_with("/proc") {
        return bad("is the kernel's view of processes, and a sandbox has its own", "leave the flag out");
    }
    if path.starts_with("/dev") && (!path.starts_with("/dev/shm") || path == Path::new("/dev/shm")) {
        return bad("is below /dev, and a sandbox has its own", "for a device node use --device");
    }
    if access == Access::Write && path.starts_with("/sys") {
        return bad("is the kernel's own configuration", "leave the flag out");
    }
    Ok(())
}

/// The host's /proc and /sys under another name are still the host's.
fn refuse_kernel_view(source: &Source, access: Access) -> Result<(), Problem> {
    let whole = if access == Access::Write { "/sys" } else { "/sys/kernel" };
    let view = ["/proc", "/sys/fs/cgroup", whole].into_iter().find(|view| source.path.starts_with(view));
    match view {
        None => Ok(()),
        Some(view) => {
            let why = format!("`{}` is the kernel's view of the host ({view})", source.path.display());
            Err(Problem::request("source", why).at(&source.path).remedy("leave the flag out"))
        }
    }
}

fn refuse_channel(source: &Source) -> Result<(), Problem> {
    if !source.is_channel() && !source.is_device() {
        return Ok(());
    }
    let (what, remedy) = if source.is_device() {
        ("a device node", "for a device node use --device")
    } else {
        ("a socket or a FIFO, a way to a process outside", "leave the flag out")
    };
    let why = format!("`{}` is {what}, so it cannot be shown as a file", source.path.display());
    Err(Problem::request("source", why).at(&source.path).remedy(remedy))
}

fn contradiction(there: &Shown<'_>, new: &Shown<'_>, path: &Path) -> Result<(), Problem> {
    if there.source == new.source && there.grant.access == new.grant.access {
        return Ok(());
    }
    let say = |shown: &Shown<'_>| {
        let access = if shown.grant.access == Access::Read { "read-only" } else { "writable" };
        format!("{access} from `{}`", shown.source.path.display())
    };
    let why = format!("`{}` is asked for both {} and {}", path.display(), say(there), say(new));
    Err(Problem::request("contradiction", why).at(path).remedy("leave one of them out"))
}

/// A mount needs something to be mounted on, and nothing is ever made on the host: inside a host folder the
/// mount point must exist, and be a folder where a folder goes.
pub(super) fn check_mount_points(layout: &Layout) -> Result<(), Problem> {
    for (path, _, node) in layout.nodes() {
        let wants_folder = match node {
            Node::Bind { source, .. } => source.is_folder(),
            Node::Memory { .. } | Node::Proc | Node::Terminals => true,
            Node::Device { .. } => false,
            // These cover or pin what was just seen there.
            Node::Root | Node::Cover { .. } | Node::Pin { .. } => continue,
            Node::Folder { .. } | Node::Text { .. } | Node::Link { .. } => continue,
        };
        let (at, Node::Bind { source, .. }) = layout.container(path) else { continue };
        let rest = path.strip_prefix(at).unwrap_or(Path::new(""));
        let below = source.path.join(rest);
        let folder = at.display();
        let remedy = format!("make `{}` on the host first, or put it outside `{folder}`", below.display());
        let unknown = |e| look::unknown(&below, e);
        let parent = below.parent().unwrap_or(Path::new("/"));
        let behind_link = || -> Result<bool, Problem> {
            Ok(look::present(look::real(parent)).map_err(unknown)?.is_some_and(|real| real != parent))
        };
        let why = match look::present(look::at(&below)).map_err(unknown)? {
            Some(_) if behind_link()? => "is behind a symlink there",
            Some(there) if there.is_symlink() => "is a symlink there",
            Some(there) if there.is_dir() != wants_folder && wants_folder => "is not a folder there",
            Some(there) if there.is_dir() != wants_folder => "is a folder there",
            Some(_) => continue,
            None => "does not exist there",
        };
        let what =
            format!("nothing can be mounted at `{}`: it is inside `{folder}`, and {why}", path.display());
        let remedy = match folder_around(layout, at, path) {
            Some(around) => {
                format!("{remedy}; or --tmpfs {} makes an empty folder around it", around.display())
            }
            None => remedy,
        };
        return Err(Problem::request("mount-point", what).at(path).remedy(remedy));
    }
    Ok(())
}

/// The nearest folder above a path, inside a bind, that an empty one could be mounted on.
fn folder_around<'a>(layout: &Layout, bind: &Path, path: &'a Path) -> Option<&'a Path> {
    let exists = |above: &&Path| {
        let host = layout.host_path(above);
        host.is_some_and(|host| look::at(&host).is_ok_and(|there| there.is_dir()))
    };
    path.ancestors().skip(1).take_while(|above| *above != bind).find(exists)
}
