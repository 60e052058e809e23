//! The smallest host: a kernel, a shell and the static binary, in the kernel's first root.

use std::path::Path;
use std::process::Command;

use crate::archive::Archive;
use crate::console::{self, Summary};
use crate::cross;
use crate::failure::Failure;
use crate::process;
use crate::workspace::Workspace;

use super::machine;
use super::system::System;

const TARGET: &str = "x86_64-unknown-linux-musl";

pub(super) fn boot(system: &System, work: &Path) -> Result<(), Failure> {
    cross::add(TARGET)?;
    let binary = cross::build(&Workspace::load()?, TARGET)?;
    let first = work.join("first");
    let mut archive = Archive::default();
    archive.entry("bin", 0o040_755, &[]);
    archive.file("bin/busybox", &system.shell())?;
    archive.file("bin/ringfence", &binary)?;
    for name in process::read(Command::new(system.shell()).arg("--list"))?.lines() {
        if name != "busybox" {
            archive.entry(&format!("bin/{name}"), 0o120_777, b"busybox");
        }
    }
    archive.entry("init", 0o100_755, include_bytes!("../../programs/minimal.sh"));
    archive.entry("checks.sh", 0o100_644, include_bytes!("../../programs/checks.sh"));
    archive.end(&first)?;
    let console = console::boot_until_done("kernels", || machine(system, &first, &[], ""))?;
    Summary::read(&console).conclude("kernels")
}
