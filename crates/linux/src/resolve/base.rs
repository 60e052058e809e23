//! What stands in a sandbox before anything is granted: the host's programs or another system's, and what every
//! program expects (`/proc`, `/dev`, `/tmp`, a home, an `/etc`).

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use ringfence_policy::{Access, Base, Network, Policy, Problem};

use super::source::{self, Source};
use super::{Request, accounts};
use crate::host::Host;
use crate::layout::{Layout, Node, Rank};
use crate::{errno, look};

/// Where the host keeps programs and libraries (hier(7), and the multilib folders).
const SYSTEM: [&str; 7] = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"];

/// What programs need of /etc: the dynamic linker's cache, certificates, alternatives, time zone, names of
/// services, fonts, and the read-only parts of language runtimes that distributions keep here. Nothing of
/// users, hosts, keys or services that run.
const ETC: [&str; 32] = [
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "alternatives",
    "ssl/certs",
    "ssl/openssl.cnf",
    "ca-certificates",
    "ca-certificates.conf",
    "pki/tls/certs",
    "pki/ca-trust",
    "crypto-policies",
    "localtime",
    "timezone",
    "locale.conf",
    "nsswitch.conf",
    "host.conf",
    "gai.conf",
    "protocols",
    "services",
    "mime.types",
    "magic",
    "os-release",
    "debian_version",
    "fonts",
    "terminfo",
    "perl",
    "python3",
    "python3.11",
    "java-17-openjdk",
    "java-21-openjdk",
    "java-25-openjdk",
    "vulkan",
];

/// The largest file of /etc that is shown by its content.
const SNAPSHOT: u64 = 16 << 10;

/// The device nodes that every program may expect.
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];

/// Size of /dev/shm; POSIX shared memory and browsers need more than the 64 MiB that engines give.
const SHARED_MEMORY: u64 = 256 << 20;
/// Size of the root and of /dev, which hold only what is put there before the start.
pub(crate) const FURNITURE: u64 = 16 << 20;

/// Furnishes an empty layout.
pub(crate) fn furnish(
    layout: &mut Layout,
    policy: &Policy,
    request: &Request,
    host: &Host,
) -> Result<(), Problem> {
    match &policy.filesystem.base {
        Base::Host => {
            system(layout)?;
            etc(layout, policy, request, host)?;
        }
        Base::Empty => {}
        Base::Rootfs(folder) => rootfs(layout, folder, policy, request)?,
    }
    let memory = |size: u64, mode: u32| Node::Memory { size, mode, sealed: false };
    let tmp = policy.limits.tmp().0;
    layout.put("/proc", Rank::Base, Node::Proc);
    proc_covers(layout, host);
    devices(layout)?;
    layout.put("/dev/shm", Rank::Base, memory(SHARED_MEMORY, 0o1777));
    layout.put("/tmp", Rank::Base, memory(tmp, 0o1777));
    if policy.filesystem.base == Base::Host {
        layout.put("/var/tmp", Rank::Base, memory(tmp, 0o1777));
        layout.put("/run", Rank::Base, Node::Folder { mode: 0o755 });
    }
    let home = layout.behind_links(&request.home_inside());
    make_room(layout, &home)?;
    layout.put(home, Rank::Base, memory(tmp, 0o700));
    Ok(())
}

/// The host's programs, read-only, at their own places; a link stays the link that it is.
fn system(layout: &mut Layout) -> Result<(), Problem> {
    for path in SYSTEM.map(Path::new) {
        if let Some(node) = shown(path)? {
            layout.put(path, Rank::Base, node);
        }
    }
    Ok(())
}

/// A host path at its own place, read-only: a link as a link, anything else as a bind; `None` where nothing is.
fn shown(path: &Path) -> Result<Option<Node>, Problem> {
    let Some(metadata) = present(look::at(path), path)? else { return Ok(None) };
    if metadata.is_symlink() {
        let target = look::target(path).map_err(|e| look::unknown(path, e))?;
        return Ok(Some(Node::Link { target }));
    }
    Ok(Some(Node::Bind { source: Source::at(path)?, access: Access::Read, elsewhere: false }))
}

/// What may be missing, or closed to the caller, is simply not shown. Any other answer is a failure: to go on would
/// show something else than on the next run.
fn present<T>(answer: std::io::Result<T>, path: &Path) -> Result<Option<T>, Problem> {
    look::present(answer).map_err(|e| look::unknown(path, e))
}

/// A file of /etc as programs expect it: a link that leads to what is shown stays a link; one that leads elsewhere
/// would show nothing inside, so its file is shown in its place.
///
/// A small file that everyone may read is shown as it is now: as a file of the sandbox's own it costs no mount.
fn etc_node(path: &Path, etc: &Path) -> Result<Option<Node>, Problem> {
    let Some(metadata) = present(look::at(path), path)? else { return Ok(None) };
    if let Some(content) = snapshot(path, &metadata).map_err(|e| look::unknown(path, e))? {
        return Ok(Some(Node::Text { content }));
    }
    if !metadata.is_symlink() && path.parent() == Some(etc) {
        return Ok(Some(Node::Bind {
            source: Source::of(path, &metadata),
            access: Access::Read,
            elsewhere: false,
        }));
    }
    let Some(real) = present(look::real(path), path)? else { return Ok(None) };
    let is_shown =
        real.starts_with("/usr") || ETC.iter().any(|name| real.starts_with(Path::new("/etc").join(name)));
    if metadata.is_symlink() && is_shown {
        return Ok(Some(Node::Link { target: real }));
    }
    Ok(Some(Node::Bind { source: Source::at(&real)?, access: Access::Read, elsewhere: false }))
}

/// The content of a small file that everyone may read. One that changes under our eyes is looked at again.
fn snapshot(path: &Path, seen: &Metadata) -> std::io::Result<Option<Vec<u8>>> {
    let is_small = |file: &Metadata| file.is_file() && (1..=SNAPSHOT).contains(&file.len());
    if !is_small(seen) || seen.mode() & 0o004 == 0 {
        return Ok(None);
    }
    match look::unchanged(path, seen)? {
        Some(content) => Ok(Some(content)),
        None => look::unchanged(path, &look::at(path)?),
    }
}

fn etc(layout: &mut Layout, policy: &Policy, request: &Request, host: &Host) -> Result<(), Problem> {
    let etc = Path::new("/etc");
    // A link would make every path below it another.
    let real = if present(look::at(etc), etc)?.is_some_and(|etc| etc.is_dir()) { etc } else { Path::new("") };
    for name in ETC {
        let path = etc.join(name);
        if let Some(node) = etc_node(&path, real)? {
            layout.put(path, Rank::Base, node);
        }
    }
    let (uid, gid) = host.ids_inside(policy);
    let user = user_name(request, host)?;
    // Fields of passwd(5) end at a colon, lines at a newline.
    let home = request.home_inside().to_string_lossy().into_owned();
    let home = if home.contains([':', '\n']) { "/tmp" } else { &home };
    let mut users = vec![format!("{user}:x:{uid}:{gid}::{home}:/bin/sh")];
    let mut groups = vec![format!("{user}:x:{gid}:")];
    for (name, id) in [("root", 0), ("nobody", 65_534)] {
        if uid != id && user != name {
            users.push(format!("{name}:x:{id}:{id}::/nonexistent:/usr/sbin/nologin"));
        }
        if gid != id && user != name {
            groups.push(format!("{}:x:{id}:", if id == 0 { "root" } else { "nogroup" }));
        }
    }
    let mut put = |name: &str, content: String| {
        layout.put(Path::new("/etc").join(name), Rank::Base, Node::Text { content: content.into_bytes() });
    };
    put("passwd", users.join("\n") + "\n");
    put("group", groups.join("\n") + "\n");
    names_files(policy).into_iter().for_each(|(name, content)| put(name, content));
    let resolver = Path::new("/etc/resolv.conf");
    if policy.network == Network::Host
        && let Some(resolver) = present(look::text(resolver), resolver)?
    {
        put("resolv.conf", resolver);
    }
    Ok(())
}

/// Who this machine is and what it knows by name: itself.
fn names_files(policy: &Policy) -> [(&'static str, String); 2] {
    let hostname = &policy.process.hostname;
    let hosts = format!("127.0.0.1 localhost {hostname}\n::1 localhost {hostname}\n");
    [("hosts", hosts), ("hostname", format!("{hostname}\n"))]
}

/// The caller's name; letters that /etc/passwd could not hold make it `user`.
///
/// # Errors
/// The accounts cannot be read.
pub(crate) fn user_name(request: &Request, host: &Host) -> Result<String, Problem> {
    let unmapped = host.unmapped.as_ref().map(|unmapped| unmapped.ids.0);
    let account = accounts::by_id(unmapped.unwrap_or(host.uid))?.map(|account| account.name);
    // Whoever it is then is not the caller.
    let callers = request.environment.get(std::ffi::OsStr::new("USER")).filter(|_| unmapped.is_none());
    let variable = || callers?.to_str().map(str::to_owned);
    let plain = |name: &String| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
    };
    Ok(account.or_else(variable).filter(plain).unwrap_or_else(|| "user".to_owned()))
}

/// Another system: its top-level folders one by one, so that what every sandbox has can stand beside them and
/// nothing needs to be made in the folder itself.
fn rootfs(layout: &mut Layout, folder: &Path, policy: &Policy, request: &Request) -> Result<(), Problem> {
    let (_, source) = source::locate(folder, request)?;
    if !source.is_folder() {
        let why = format!("the rootfs `{}` is not a folder", source.path.display());
        return Err(Problem::request("rootfs", why).at(&source.path));
    }
    for own in ["proc", "dev", "tmp", "sys", "run"] {
        let path = source.path.join(own);
        if present(look::at(&path), &path)?.is_some_and(|m| !m.is_dir()) {
            let why = format!("`/{own}` of the rootfs is not a folder");
            return Err(Problem::request("rootfs", why)
                .at(&path)
                .remedy("take it away, or use another rootfs"));
        }
    }
    show_children(layout, Path::new("/"), &source.path)?;
    // Its /etc becomes a folder of the sandbox's own, so that two of its files can be.
    let etc = Path::new("/etc");
    if let Some(Node::Bind { source, .. }) = layout.at(etc)
        && source.is_folder()
    {
        let folder = source.path.clone();
        layout.put(etc, Rank::Base, Node::Folder { mode: 0o755 });
        show_children(layout, etc, &folder)?;
    }
    if !matches!(layout.at(etc), Some(Node::Bind { .. } | Node::Link { .. })) {
        for (name, content) in names_files(policy) {
            layout.put(etc.join(name), Rank::Base, Node::Text { content: content.into_bytes() });
        }
    }
    for own in ["/proc", "/dev", "/tmp", "/sys"] {
        layout.put(own, Rank::Base, Node::Folder { mode: 0o755 });
    }
    Ok(())
}

/// Shows each entry of a host folder at its own place below `at`, read-only.
fn show_children(layout: &mut Layout, at: &Path, folder: &Path) -> Result<(), Problem> {
    let failed =
        |e| errno::problem("rootfs", format!("`{}` cannot be listed", folder.display()), e).at(folder);
    for entry in look::entries(folder).map_err(failed)? {
        let name = entry.name;
        let path = folder.join(&name);
        let metadata = look::at(&path).map_err(failed)?;
        let node = if metadata.is_symlink() {
            Node::Link { target: look::target(&path).map_err(failed)? }
        } else {
            Node::Bind { source: Source::at(&path)?, access: Access::Read, elsewhere: false }
        };
        layout.put(at.join(name), Rank::Base, node);
    }
    Ok(())
}

/// How many entries a folder may have that is shown entry by entry to make room for one more.
const MOST_ENTRIES: usize = 512;

/// Makes room for a mount point that a folder of the *base* lacks: that folder becomes one of the sandbox's own,
/// with each of its entries shown in it. Nothing is made on the host.
pub(crate) fn make_room(layout: &mut Layout, path: &Path) -> Result<(), Problem> {
    loop {
        let (at, node) = layout.container(path);
        let Node::Bind { source, elsewhere: false, .. } = node else { return Ok(()) };
        let is_base = layout.nodes().any(|(p, rank, _)| p == at && rank == Rank::Base);
        let rest = path.strip_prefix(at).unwrap_or(Path::new(""));
        let below = source.path.join(rest);
        if !is_base || at.starts_with("/usr") || present(look::at(&below), &below)?.is_some() {
            return Ok(());
        }
        let (at, folder) = (at.to_path_buf(), source.path.clone());
        if present(look::entries(&folder), &folder)?.is_some_and(|entries| entries.len() > MOST_ENTRIES) {
            return Ok(());
        }
        layout.put(&at, Rank::Base, Node::Folder { mode: 0o755 });
        show_children(layout, &at, &folder)?;
    }
}

fn proc_covers(layout: &mut Layout, host: &Host) {
    for (name, folder) in &host.proc_covered {
        layout.put(Path::new("/proc").join(name), Rank::Base, Node::Cover { folder: *folder });
    }
    layout.put("/proc/sys", Rank::Base, Node::Pin { access: Access::Read, folder: true });
}

fn devices(layout: &mut Layout) -> Result<(), Problem> {
    layout.put("/dev", Rank::Base, Node::Memory { size: FURNITURE, mode: 0o755, sealed: true });
    for name in DEVICES {
        let path = PathBuf::from("/dev").join(name);
        layout.put(&path, Rank::Base, Node::Device { source: device(&path)? });
    }
    layout.put("/dev/pts", Rank::Base, Node::Terminals);
    for (name, target) in [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
        ("ptmx", "pts/ptmx"),
    ] {
        layout.put(Path::new("/dev").join(name), Rank::Base, Node::Link { target: target.into() });
    }
    Ok(())
}

/// A device node of the host; anything else at its place is refused.
pub(crate) fn device(path: &Path) -> Result<Source, Problem> {
    let source = Source::at(path)?;
    if source.is_device() {
        Ok(source)
    } else {
        let why = format!("`{}` is not a device node", path.display());
        Err(Problem::request("device", why).at(path).remedy("for files use --ro or --rw"))
    }
}
