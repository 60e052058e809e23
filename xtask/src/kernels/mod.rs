//! `cargo xtask kernels`: the limits on a kernel with nothing but cgroup v2, in an emulated machine: as root, as a user
//! with a delegated subtree and, on a second boot, as root and as a user beside systemd. With `--minimal` the smallest host
//! instead: a kernel, a shell and the static binary.
//!
//! Kernel and system are Debian's; they are kept, outside of the checkout. programs/kernels.sh is what runs there.
//! The tests are built for this machine, whose C library must be no newer than the guest's.

mod minimal;
mod system;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::archive::Archive;
use crate::arguments::Arguments;
use crate::console::{self, Summary};
use crate::debian;
use crate::failure::Failure;
use crate::process;
use crate::workspace::text_of;

use system::System;

/// Linux 6.12; `--suite bookworm` is 6.1, `--suite sid` the newest.
const SUITE: &str = "bookworm-backports";
/// All that can be emulated but cmpxchg16b: QEMU 7.2 leaves a pointer in the flags after it, and Linux 6.12 falls over that.
const CPU: &str = "max,-cx16";

/// Test executables, and the part of them that is about limits.
const TESTS: [(&str, &str); 2] = [("conformance", "limits"), ("escape", "resources")];

pub(crate) fn run(mut arguments: Arguments) -> Result<(), Failure> {
    let cache = arguments.value("--cache")?.map_or_else(default_cache, |path| Ok(PathBuf::from(path)))?;
    let suite = arguments.value("--suite")?.unwrap_or_else(|| SUITE.to_owned());
    let (systemd, small) = (arguments.flag("--systemd"), arguments.flag("--minimal"));
    arguments.finish()?;
    let cache = std::path::absolute(&cache).map_err(|error| Failure::io("find", &cache, &error))?;
    let system = System::get(&cache, &suite)?;
    let work = cache.join(format!("run-{}", std::process::id()));
    debian::make_folder(&work)?;
    let outcome = if small { minimal::boot(&system, &work) } else { boot(&system, &work, systemd) };
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

fn boot(system: &System, work: &Path, systemd: bool) -> Result<(), Failure> {
    let programs = work.join("programs");
    build(&programs)?;
    let (disk_image, first) = (work.join("programs.img"), work.join("first"));
    system::disk(&programs, &disk_image, "1G")?;
    let mut archive = Archive::default();
    archive.entry("bin", 0o040_755, &[]);
    archive.entry("drivers", 0o040_755, &[]);
    archive.file("bin/busybox", &system.shell())?;
    for driver in debian::list(&system.drivers())? {
        let name = driver.file_name().unwrap_or_default().to_string_lossy();
        archive.file(&format!("drivers/{name}"), &driver)?;
    }
    archive.entry("init", 0o100_755, include_bytes!("../../programs/kernels.sh"));
    archive.entry("test.service", 0o100_644, include_bytes!("../../programs/kernels.service"));
    archive.end(&first)?;
    let mut modes = vec![""];
    if systemd {
        modes.push("ringfence.systemd");
    }
    let mut bad = Vec::new();
    for mode in modes {
        let machine = || machine(system, &first, &[&system.disk(), &disk_image], mode);
        let console = console::boot_until_done("kernels", machine)?;
        if !console.iter().any(|line| line == "guest: cgroups left: 0") {
            bad.push("cgroups were left".to_owned());
        }
        bad.extend(Summary::read(&console).conclude("kernels").err().map(|why| why.to_string()));
    }
    if bad.is_empty() { Ok(()) } else { Err(Failure::Work(bad.join("; "))) }
}

fn machine(system: &System, first: &Path, disks: &[&Path], words: &str) -> Command {
    let mut command = system.emulator();
    command.args(["-accel", "tcg,thread=multi,tb-size=512", "-cpu", CPU, "-smp", "2", "-m", "2048"]);
    command.args(["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-serial", "stdio"]);
    for (number, image) in disks.iter().enumerate() {
        let drive = format!("file={},if=none,id=d{number},format=raw,snapshot=on", image.display());
        command.args(["-drive", &drive, "-device", &format!("virtio-blk-pci,drive=d{number}")]);
    }
    command.args(["-device", "virtio-rng-pci"]);
    command.arg("-kernel").arg(system.kernel()).arg("-initrd").arg(first);
    command.args(["-append", &format!("console=ttyS0 quiet loglevel=1 panic=-1 {words}")]);
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
    write(&folder.join("guest.sh"), include_bytes!("../../programs/kernels.sh"))
}

/// Writes a file of the machine.
fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    fs::write(path, bytes).map_err(|error| Failure::io("write", path, &error))
}
