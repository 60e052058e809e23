//! What an emulated machine is made of: an emulator, a kernel with the driver of its disks, a shell for the first moment and
//! a system on a disk. All of it comes from Debian into a cache.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::debian::{self, Apt, only, unpack};
use crate::failure::Failure;
use crate::process;

use super::write;

const KERNEL: &str = "linux-image-cloud-amd64";
/// The system that every kernel runs: its C library is no newer than this machine's.
const SYSTEM: &str = "bookworm";
const INCLUDED: &str = "systemd,systemd-sysv,dbus,dbus-user-session,libpam-systemd,procps,uidmap,iproute2,passwd,\
                        python3,util-linux,busybox-static";
const EMULATOR: &str = "qemu-system-x86_64";
/// Where the emulator comes from. Version 7.2, bookworm's own, breaks kernels of 6.12 while they start (tried: 14 of 25
/// boots of a busy machine, and none of 4 by 10.0).
const EMULATOR_SUITE: &str = "bookworm-backports";
/// What that emulator comes in; its libraries are this machine's.
const EMULATORS: [&str; 4] = ["qemu-system-x86", "qemu-system-common", "qemu-system-data", "seabios"];
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

/// The folders of the cache.
pub(super) struct System {
    kernel: PathBuf,
    system: PathBuf,
}

impl System {
    /// From the cache, or from Debian into the cache: the kernel is of a suite, the rest the same for all.
    pub(super) fn get(cache: &Path, suite: &str) -> Result<Self, Failure> {
        install_tools()?;
        let packages: Vec<_> = INCLUDED.split(',').chain(EMULATORS).collect();
        let system =
            debian::cached("kernels", cache, &format!("system-{SYSTEM}"), &packages, download_system)?;
        let kernel = debian::cached("kernels", cache, &format!("kernel-{suite}"), &[KERNEL], |folder| {
            download_kernel(folder, suite)
        })?;
        Ok(Self { kernel, system })
    }

    pub(super) fn kernel(&self) -> PathBuf {
        self.kernel.join("kernel")
    }

    /// A folder with the drivers, in the order in which they are loaded.
    pub(super) fn drivers(&self) -> PathBuf {
        self.kernel.join("drivers")
    }

    pub(super) fn disk(&self) -> PathBuf {
        self.system.join("root.img")
    }

    /// A static busybox.
    pub(super) fn shell(&self) -> PathBuf {
        self.system.join("busybox")
    }

    /// The emulator, which knows where its files are.
    pub(super) fn emulator(&self) -> Command {
        let own = self.system.join("emulator/usr");
        let mut command = Command::new(own.join("bin").join(EMULATOR));
        for name in ["qemu", "seabios"] {
            command.arg("-L").arg(own.join("share").join(name));
        }
        command
    }
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

fn download_kernel(folder: &Path, suite: &str) -> Result<(), Failure> {
    let apt = Apt::new(&folder.join("apt"), suite, "amd64")?;
    let packages = apt.kernel(suite, KERNEL)?;
    println!("kernels: fetching {}", packages.join(", "));
    let packages: Vec<_> = packages.iter().map(String::as_str).collect();
    let boot = folder.join("boot");
    unpack(&apt.fetch("download", &packages)?, &boot)?;
    // Newer packages have everything below /usr, the kernel beside its modules.
    let folders = ["lib/modules", "usr/lib/modules"].map(|name| boot.join(name));
    let modules = only(if folders[0].is_dir() { &folders[0] } else { &folders[1] }, "")?;
    let beside = modules.join("vmlinuz");
    let image = if beside.is_file() { beside } else { only(&boot.join("boot"), "vmlinuz-")? };
    fs::rename(&image, folder.join("kernel")).map_err(|error| Failure::io("move", &image, &error))?;
    drivers(&modules.join("kernel/drivers"), &folder.join("drivers"))?;
    remove([boot, folder.join("apt")])
}

fn download_system(folder: &Path) -> Result<(), Failure> {
    println!("kernels: fetching an emulator and a system");
    let apt = Apt::new(&folder.join("apt"), EMULATOR_SUITE, "amd64")?;
    unpack(&apt.fetch("download", &EMULATORS)?, &folder.join("emulator"))?;
    let root = folder.join("root");
    let mut system = Command::new("mmdebstrap");
    system.args(["--quiet", "--variant=minbase", &format!("--include={INCLUDED}")]);
    system.arg("--customize-hook=chroot \"$1\" useradd --create-home --uid 1000 --shell /bin/sh user");
    process::run(system.arg(SYSTEM).arg(&root).arg(debian::mirror()?))?;
    let shell = root.join("bin/busybox");
    fs::copy(&shell, folder.join("busybox")).map_err(|error| Failure::io("copy", &shell, &error))?;
    disk(&root, &folder.join("root.img"), "1G")?;
    remove([root, folder.join("apt")])
}

fn remove<const N: usize>(spent: [PathBuf; N]) -> Result<(), Failure> {
    spent.iter().try_for_each(|path| fs::remove_dir_all(path).map_err(|e| Failure::io("remove", path, &e)))
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

/// A file system with what a folder holds.
pub(super) fn disk(folder: &Path, image: &Path, size: &str) -> Result<(), Failure> {
    let mut mke2fs = Command::new("mke2fs");
    process::run(mke2fs.args(["-q", "-t", "ext4", "-m", "0", "-d"]).arg(folder).arg(image).arg(size))
}
