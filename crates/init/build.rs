//! Builds PID 1 for the target, with the compiler that builds everything else, and hands its image to lib.rs.
//!
//! Cargo cannot build a freestanding executable as part of a library on a stable compiler, so the compiler is
//! called directly: no dependencies, no C toolchain where `rust-lld` is there, the system's `cc` where not.

use std::path::{Path, PathBuf};
use std::process::Command;

const SOURCES: [&str; 20] = [
    "pid1/main.rs",
    "pid1/plan.rs",
    "pid1/steps.rs",
    "pid1/filter.rs",
    "pid1/landlock.rs",
    "pid1/mounts.rs",
    "pid1/system.rs",
    "pid1/privileges.rs",
    "pid1/target.rs",
    "pid1/terminal.rs",
    "pid1/watch.rs",
    "pid1/verify.rs",
    "pid1/text.rs",
    "pid1/start.rs",
    "src/abi.rs",
    "src/sys.rs",
    "src/sys/landlock.rs",
    "src/sys/seccomp.rs",
    "src/sys/tty.rs",
    "src/wire.rs",
];

fn main() {
    for source in SOURCES {
        println!("cargo::rerun-if-changed={source}");
    }
    println!("cargo::rerun-if-changed=build.rs");
    let target = var("TARGET");
    if !target.contains("-linux-") {
        println!("cargo::error=ringfence-init is for Linux; the target is {target}");
        return;
    }
    let image = PathBuf::from(var("OUT_DIR")).join("pid1");
    if let Err(lld) = compile(&target, &image, &LLD)
        && let Err(cc) = compile(&target, &image, &CC)
    {
        println!("cargo::error=PID 1 was built neither with rust-lld: {lld} nor with cc: {cc}");
    }
}

/// Links with the linker that comes with the compiler.
const LLD: [&str; 6] = [
    "-Clinker=rust-lld",
    "-Clinker-flavor=ld.lld",
    "-Cdefault-linker-libraries=no",
    "-Clink-self-contained=no",
    "-Clink-arg=-static",
    "-Clink-arg=--no-pie",
];

/// Links with the system's C compiler, without anything of C.
const CC: [&str; 5] = [
    "-Clinker=cc",
    "-Clink-arg=-nostartfiles",
    "-Clink-arg=-nostdlib",
    "-Clink-arg=-static",
    "-Clink-arg=-no-pie",
];

fn compile(target: &str, image: &Path, linker: &[&str]) -> Result<(), String> {
    let output = Command::new(var("RUSTC"))
        .args(["--edition=2024", "--crate-name=ringfence_pid1", "--crate-type=bin"])
        .args(["-Cpanic=abort", "-Copt-level=s", "-Clto=fat", "-Ccodegen-units=1", "-Cstrip=symbols"])
        .args(["-Crelocation-model=static", "-Ctarget-feature=+crt-static", "-Cforce-unwind-tables=no"])
        .args(["-Coverflow-checks=no", "-Cdebug-assertions=no", "-Clink-arg=--build-id=none"])
        .args(linker)
        .arg(format!("--target={target}"))
        .arg("-o")
        .arg(image)
        .arg("pid1/main.rs")
        .output()
        .map_err(|e| e.to_string())?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

fn var(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("cargo did not set {name}"))
}
