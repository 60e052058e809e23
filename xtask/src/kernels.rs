//! `cargo xtask kernels`: the limits on a kernel with nothing but cgroup v2, in an emulated machine: as root, as a user
//! with a delegated subtree and, on a second boot, as root and as a user beside systemd.
//!
//! Kernel and system are Debian's; they are kept, outside of the checkout. programs/kernels.sh is what runs there.
//! The tests are built for this machine, whose C library must be no newer than the guest's.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::archive::Archive;
use crate::arguments::Arguments;
use crate::console::{self, Summary};
use crate::debian::{self, Apt, only, unpack};
use crate::failure::Failure;
use crate::process;
use crate::workspace::text_of;

const KERNEL: &str = "linux-image-cloud-amd64";
/// Linux 6.12; `--suite bookworm` is 6.1.
const SUITE: &str = "bookworm-backports";
const INCLUDED: &str = "systemd,systemd-sysv,dbus,dbus-user-session,libpam-systemd,procps,uidmap,iproute2,passwd,\
                        python3,util-linux,busybox-static";
const EMULATOR: &str = "qemu-system-x86_64";
/// Programs, and the packages that they come in.
const TOOLS: [(&str, &str); 3] =
    [(EMULATOR, "qemu-system-x86"), ("mmdebstrap", "mmdebstrap"), ("mke2fs", "e2fsprogs")];
/// What drives the emulated machine's disks, each after what it needs.
const DRIVERS: [&str; 6] = [
    "virtio/virtio",
    "virtio/virtio_ring",
    "virtio/virtio_pci_legacy_dev",
    "virtio/virtio_pci_modern_dev",
    "virtio/virtio_pci",
    "block/virtio_blk",
];
/// All that can be emulated but cmpxchg16b: QEMU 7.2 leaves a pointer in the flags after it, and Linux 6.12 falls over that.
const CPU: &str = "max,-cx16";
/// What the emulator of a newer suite comes in; its libraries are this machine's.
const EMULATORS: [&str; 4] = ["qemu-system-x86", "qemu-system-common", "qemu-system-data", "seabios"];
/// Test executables, and the part of them that is about limits.
const TESTS: [(&str, &str); 2] = [("conformance", "limits"), ("escape", "resources")];

pub(crate) fn run(mut arguments: Arguments) -> Result<(), Failure> {
    let cache = arguments.value("--cache")?.map_or_else(default_cache, |path| Ok(PathBuf::from(path)))?;
    let suite = arguments.value("--suite")?.unwrap_or_else(|| SUITE.to_owned());
    let systemd = arguments.flag("--systemd");
    arguments.finish()?;
    let cache = std::path::absolute(&cache).map_err(|error| Failure::io("find", &cache, &error))?;
    install_tools()?;
    let packages: Vec<_> = [KERNEL].into_iter().chain(INCLUDED.split(',')).chain(EMULATORS).collect();
    let system = debian::cached("kernels", &cache, &suite, &packages, |folder| download(folder, &suite))?;
    let work = cache.join(format!("run-{}", std::process::id()));
    debian::make_folder(&work)?;
    let outcome = boot(&system, &work, systemd);
    let _only_wastes_space = fs::remove_dir_all(&work);
    outcome
}

/// Where a person's caches are (XDG Base Directory Specification).
fn default_cache() -> Result<PathBuf, Failure> {
    let named = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let folder = named.or_else(|| std::env::home_dir().map(|home| home.join(".cache")));
    let folder =
        folder.ok_or_else(|| Failure::Usage("there is no home for a cache: pass --cache".to_owned()))?;
    Ok(folder.join("ringfence/kernels"))
}

fn install_tools() -> Result<(), Failure> {
    let missing: Vec<_> = TOOLS.into_iter().filter(|(tool, _)| process::find(tool).is_none()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<_> = missing.into_iter().map(|(_, package)| package).collect();
    println!("kernels: installing {}", packages.join(", "));
    let mut apt = Command::new("apt-get");
    apt.args(["-qq", "install", "--yes", "--no-install-recommends"]).args(&packages);
    process::read(Command::new("apt-get").args(["-qq", "update"]))
        .and_then(|_| process::read(&mut apt))
        .map_err(|why| Failure::Work(format!("as root, install {}: {why}", packages.join(" "))))?;
    Ok(())
}

/// Fetches what comes from Debian: a kernel, the driver of its disks, a shell for the first moment, a system on a disk, and
/// an emulator.
fn download(folder: &Path, suite: &str) -> Result<(), Failure> {
    let apt = Apt::new(&folder.join("apt"), suite, "amd64")?;
    let kernel = apt.kernel(suite, KERNEL)?;
    println!("kernels: fetching {kernel}, an emulator and a system");
    // Version 7.2, bookworm's own, breaks kernels of 6.12 while they start (tried: 14 of 25 boots of a busy machine, and none of 4 by 10.0).
    unpack(&apt.fetch("download", &EMULATORS)?, &folder.join("emulator"))?;
    let boot = folder.join("boot");
    unpack(&apt.fetch("download", &[&kernel])?, &boot)?;
    let image = only(&boot.join("boot"), "vmlinuz-")?;
    fs::rename(&image, folder.join("kernel")).map_err(|error| Failure::io("move", &image, &error))?;
    drivers(&only(&boot.join("lib/modules"), "")?.join("kernel/drivers"), &folder.join("drivers"))?;
    let (root, base) = (folder.join("root"), suite.trim_end_matches("-backports"));
    let mut system = Command::new("mmdebstrap");
    system.args(["--quiet", "--variant=minbase", &format!("--include={INCLUDED}")]);
    system.arg("--customize-hook=chroot \"$1\" useradd --create-home --uid 1000 --shell /bin/sh user");
    process::run(system.arg(base).arg(&root).arg(debian::mirror()?))?;
    let shell = root.join("bin/busybox");
    fs::copy(&shell, folder.join("busybox")).map_err(|error| Failure::io("copy", &shell, &error))?;
    disk(&root, &folder.join("root.img"), "1G")?;
    for spent in [root, boot, folder.join("apt")] {
        fs::remove_dir_all(&spent).map_err(|error| Failure::io("remove", &spent, &error))?;
    }
    Ok(())
}

/// Unpacks the drivers of the disks, under names that say in which order they are loaded.
fn drivers(from: &Path, to: &Path) -> Result<(), Failure> {
    debian::make_folder(to)?;
    for (number, name) in DRIVERS.iter().enumerate() {
        let packed = ["", ".xz"].map(|ending| from.join(format!("{name}.ko{ending}")));
        // Some kernels have some of them built in.
        let Some(driver) = packed.iter().find(|path| path.is_file()) else { continue };
        let plain = to.join(format!("{number}.ko"));
        match driver.extension().is_some_and(|ending| ending == "xz") {
            true => write(&plain, &output(Command::new("xz").arg("-dc").arg(driver))?)?,
            false => drop(fs::copy(driver, &plain).map_err(|e| Failure::io("copy", driver, &e))?),
        }
    }
    Ok(())
}

/// What a program writes to its standard output, as bytes.
fn output(command: &mut Command) -> Result<Vec<u8>, Failure> {
    let output = command.output().map_err(|error| process::not_started(command, &error))?;
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(Failure::Work(format!("`{}` failed: {}", process::shown(command), output.status)))
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    fs::write(path, bytes).map_err(|error| Failure::io("write", path, &error))
}

fn disk(folder: &Path, image: &Path, size: &str) -> Result<(), Failure> {
    let mut mke2fs = Command::new("mke2fs");
    process::run(mke2fs.args(["-q", "-t", "ext4", "-m", "0", "-d"]).arg(folder).arg(image).arg(size))
}

fn boot(system: &Path, work: &Path, systemd: bool) -> Result<(), Failure> {
    let programs = work.join("programs");
    build(&programs)?;
    let (disk_image, first) = (work.join("programs.img"), work.join("first"));
    disk(&programs, &disk_image, "1G")?;
    let mut archive = Archive::default();
    archive.entry("bin", 0o040_755, &[]);
    archive.entry("drivers", 0o040_755, &[]);
    let mut files = vec![("bin/busybox".to_owned(), system.join("busybox"))];
    for driver in debian::list(&system.join("drivers"))? {
        let name = driver.file_name().unwrap_or_default().to_string_lossy().into_owned();
        files.push((format!("drivers/{name}"), driver));
    }
    for (name, path) in files {
        let content = fs::read(&path).map_err(|error| Failure::io("read", &path, &error))?;
        archive.entry(&name, 0o100_755, &content);
    }
    archive.entry("init", 0o100_755, include_bytes!("../programs/kernels.sh"));
    archive.entry("test.service", 0o100_644, include_bytes!("../programs/kernels.service"));
    archive.entry("TRAILER!!!", 0, &[]);
    write(&first, &archive.bytes)?;
    let mut modes = vec![""];
    if systemd {
        modes.push("ringfence.systemd");
    }
    let mut bad = Vec::new();
    for mode in modes {
        let machine = || machine(system, &first, &disk_image, mode);
        let console = console::boot_until_done("kernels", machine)?;
        if !console.iter().any(|line| line == "guest: cgroups left: 0") {
            bad.push("cgroups were left".to_owned());
        }
        bad.extend(Summary::read(&console).conclude("kernels").err().map(|why| why.to_string()));
    }
    if bad.is_empty() { Ok(()) } else { Err(Failure::Work(bad.join("; "))) }
}

fn machine(system: &Path, first: &Path, programs: &Path, mode: &str) -> Command {
    let own = system.join("emulator/usr");
    let mut command = Command::new(own.join("bin").join(EMULATOR));
    for name in ["qemu", "seabios"] {
        command.arg("-L").arg(own.join("share").join(name));
    }
    command.args(["-accel", "tcg,thread=multi,tb-size=512", "-cpu", CPU, "-smp", "2", "-m", "2048"]);
    command.args(["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-serial", "stdio"]);
    for (name, image) in [("d0", system.join("root.img")), ("d1", programs.to_owned())] {
        let drive = format!("file={},if=none,id={name},format=raw,snapshot=on", image.display());
        command.args(["-drive", &drive, "-device", &format!("virtio-blk-pci,drive={name}")]);
    }
    command.args(["-device", "virtio-rng-pci"]);
    command.arg("-kernel").arg(system.join("kernel")).arg("-initrd").arg(first);
    command.args(["-append", &format!("console=ttyS0 quiet loglevel=1 panic=-1 {mode}")]);
    command
}

/// Builds the tests, and puts them into the folders that they know from cargo: helpers stand above the tests.
fn build(folder: &Path) -> Result<(), Failure> {
    let deps = folder.join("deps");
    debian::make_folder(&deps)?;
    println!("kernels: building the tests");
    let mut cargo = process::cargo();
    cargo.args(["test", "--no-run", "--message-format=json-render-diagnostics", "--package=ringfence-tests"]);
    cargo.args(TESTS.map(|(name, _)| format!("--test={name}"))).arg("--bins");
    let mut list = String::new();
    for line in process::read(&mut cargo)?.lines() {
        let Ok(message) = serde_json::from_str::<Value>(line) else { continue };
        let Some(executable) = message["executable"].as_str() else { continue };
        let name = text_of(&message["target"], "name");
        let is_test = message["profile"]["test"] == true;
        let place = if is_test { deps.join(&name) } else { folder.join(&name) };
        fs::copy(executable, &place).map_err(|error| Failure::io("copy", &place, &error))?;
        if let Some((_, part)) = TESTS.iter().find(|(known, _)| is_test && *known == name) {
            list.push_str(&format!("{name} {part}\n"));
        }
    }
    write(&folder.join("tests"), list.as_bytes())?;
    write(&folder.join("guest.sh"), include_bytes!("../programs/kernels.sh"))
}
