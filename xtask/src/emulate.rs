//! `cargo xtask emulate`: the static binary and the escape checks on an aarch64 kernel, in an emulated machine.
//!
//! Kernel and tools are Debian's, taken by name with an apt configuration of their own: no foreign architecture
//! is set up here, and nothing of it is installed. All of it goes into the first root that the kernel unpacks, so
//! the machine has no disk and nothing here needs root. programs/guest.sh is what it runs.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::archive::Archive;
use crate::arguments::Arguments;
use crate::console::{self, Summary};
use crate::cross;
use crate::debian::{self, Apt, only, unpack};
use crate::failure::Failure;
use crate::process;
use crate::workspace::{Workspace, text_of};

const TARGET: &str = "aarch64-unknown-linux-musl";
const ARCHITECTURE: &str = "arm64";
/// Linux 6.12. Before 6.3 root cannot be tested without a disk: see programs/guest.sh.
const SUITE: &str = "bookworm-backports";
const KERNEL: &str = "linux-image-cloud-arm64";
/// Beside the unit tests.
const TESTS: [&str; 2] = ["escape", "oracle"];
/// What the tests call. Apt adds what these need.
const TOOLS: [&str; 9] = [
    "bsdutils",
    "busybox-static",
    "coreutils",
    "dash",
    "grep",
    "libpam-modules",
    "mount",
    "python3-minimal",
    "util-linux",
];
/// What no test reads, and most of the size.
const LEFT_OUT: [&str; 3] = ["usr/share", "usr/lib/aarch64-linux-gnu/gconv", "var"];
const EMULATOR: &str = "qemu-system-aarch64";
const EMULATOR_PACKAGE: &str = "qemu-system-arm";

pub(crate) fn run(mut arguments: Arguments) -> Result<(), Failure> {
    let cache = arguments.value("--cache")?.map(PathBuf::from);
    let suite = arguments.value("--suite")?.unwrap_or_else(|| SUITE.to_owned());
    arguments.finish()?;
    let workspace = Workspace::load()?;
    let cache = cache.unwrap_or_else(|| workspace.target.join("emulate"));
    let cache = std::path::absolute(&cache).map_err(|error| Failure::io("find", &cache, &error))?;
    install_emulator()?;
    let packages = [&[KERNEL][..], &TOOLS].concat();
    let system = debian::cached("emulate", &cache, &suite, &packages, |folder| download(folder, &suite))?;
    let programs = build(&workspace)?;
    let image = cache.join(format!("image-{}", std::process::id()));
    pack(&system, &programs, &image)?;
    let console = console::boot_until_done("emulate", || machine(&system.join("kernel"), &image));
    let _only_wastes_space = fs::remove_file(&image);
    Summary::read(&console?).conclude("emulate")
}

fn install_emulator() -> Result<(), Failure> {
    for tool in ["apt-get", "apt-cache", "dpkg-deb"] {
        if process::find(tool).is_none() {
            return Err(Failure::Work(format!(
                "there is no {tool}: this needs Debian, or a system made from it"
            )));
        }
    }
    if process::find(EMULATOR).is_some() {
        return Ok(());
    }
    println!("emulate: installing {EMULATOR_PACKAGE}");
    let words = ["-qq", "install", "--yes", "--no-install-recommends", EMULATOR_PACKAGE];
    process::read(Command::new("apt-get").args(["-qq", "update"]))
        .and_then(|_| process::read(Command::new("apt-get").args(words)))
        .map_err(|why| {
            Failure::Work(format!("there is no {EMULATOR}; as root, install {EMULATOR_PACKAGE}: {why}"))
        })?;
    Ok(())
}

/// Fetches what comes from Debian and unpacks it: a kernel, and a root with the tools.
fn download(folder: &Path, suite: &str) -> Result<(), Failure> {
    let apt = Apt::new(&folder.join("apt"), suite, ARCHITECTURE)?;
    let packages = apt.kernel(suite, KERNEL)?;
    println!("emulate: fetching {}, {}", packages.join(", "), TOOLS.join(", "));
    let boot = folder.join("boot");
    let packages: Vec<_> = packages.iter().map(String::as_str).collect();
    unpack(&apt.fetch("download", &packages)?, &boot)?;
    let image = only(&boot.join("boot"), "vmlinuz-")?;
    let kernel = folder.join("kernel");
    fs::rename(&image, &kernel).map_err(|error| Failure::io("move", &image, &error))?;
    let root = folder.join("root");
    unpack(&apt.fetch("install", &TOOLS)?, &root)?;
    let useless = LEFT_OUT.map(|name| root.join(name)).into_iter().chain([boot, folder.join("apt")]);
    for path in useless.filter(|path| path.is_dir()) {
        fs::remove_dir_all(&path).map_err(|error| Failure::io("remove", &path, &error))?;
    }
    Ok(())
}

/// Builds what the machine runs: its paths there, and the files here.
fn build(workspace: &Workspace) -> Result<BTreeMap<String, PathBuf>, Failure> {
    cross::add(TARGET)?;
    let mut programs = BTreeMap::new();
    programs.insert("usr/local/bin/ringfence".to_owned(), cross::build(workspace, TARGET)?);
    let mut cargo = cross::cargo("test", TARGET);
    cargo.args(["--no-run", "--message-format=json-render-diagnostics"]);
    cargo.args(["--workspace", "--exclude=xtask", "--lib"]);
    cargo.args(TESTS.map(|name| format!("--test={name}")));
    // A tenth of the size: the machine holds it all in memory.
    cargo.env("CARGO_PROFILE_DEV_DEBUG", "false").env("CARGO_PROFILE_DEV_STRIP", "symbols");
    println!("emulate: building the tests for {TARGET}");
    for line in process::read(&mut cargo)?.lines() {
        let Ok(message) = serde_json::from_str::<Value>(line) else { continue };
        let Some(executable) = message["executable"].as_str() else { continue };
        // The folders that the tests know from cargo: helpers stand above the tests.
        let folder = if message["profile"]["test"] == true { "opt/ringfence/deps" } else { "opt/ringfence" };
        programs.insert(format!("{folder}/{}", text_of(&message["target"], "name")), executable.into());
    }
    Ok(programs)
}

/// Writes the machine's first root.
fn pack(system: &Path, programs: &BTreeMap<String, PathBuf>, image: &Path) -> Result<(), Failure> {
    let mut archive = Archive::default();
    archive.tree(&system.join("root"), "")?;
    for folder in ["opt", "opt/ringfence", "opt/ringfence/deps", "usr/local", "usr/local/bin"] {
        archive.entry(folder, 0o040_755, &[]);
    }
    archive.entry("init", 0o100_755, include_bytes!("../programs/guest.sh"));
    archive.entry("checks.sh", 0o100_644, include_bytes!("../programs/checks.sh"));
    for (name, file) in programs {
        archive.file(name, file)?;
    }
    archive.end(image)?;
    println!("emulate: the image has {} MiB", archive.bytes.len() >> 20);
    Ok(())
}

fn machine(kernel: &Path, image: &Path) -> Command {
    let mut command = Command::new(EMULATOR);
    command.args(["-M", "virt", "-cpu", "cortex-a57", "-smp", "2", "-m", "1536"]);
    command.args(["-accel", "tcg,thread=multi,tb-size=512", "-nodefaults", "-no-user-config", "-no-reboot"]);
    command.args(["-display", "none", "-serial", "stdio"]);
    command.arg("-kernel").arg(kernel).arg("-initrd").arg(image);
    command.args(["-append", "console=ttyAMA0 quiet loglevel=1 panic=-1"]);
    command
}
