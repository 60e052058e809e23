//! Builds PID 1 and the prober for the target, with the compiler that builds everything else, and hands their images to lib.rs.
//!
//! Cargo cannot build a freestanding executable as part of a library on a stable compiler, so the compiler is
//! called directly: no dependencies, no C toolchain where `rust-lld` is there, the system's `cc` where not.

use std::path::PathBuf;
use std::process::Command;

const SOURCES: [&str; 32] = [
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
    "prober/main.rs",
    "prober/tell.rs",
    "prober/walk.rs",
    "prober/names.rs",
    "prober/own.rs",
    "prober/ipc.rs",
    "prober/network.rs",
    "prober/kernel.rs",
    "prober/calls.rs",
    "src/abi.rs",
    "src/inspect.rs",
    "src/sys.rs",
    "src/sys/any.rs",
    "src/sys/landlock.rs",
    "src/sys/mount.rs",
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
    for name in ["pid1", "prober"] {
        if let Err(lld) = compile(&target, name, &LLD)
            && let Err(cc) = compile(&target, name, &CC)
        {
            println!("cargo::error={name} was built neither with rust-lld: {lld} nor with cc: {cc}");
        }
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

fn compile(target: &str, name: &str, linker: &[&str]) -> Result<(), String> {
    let output = Command::new(var("RUSTC"))
        .args(["--edition=2024", "--crate-type=bin", &format!("--crate-name=ringfence_{name}")])
        .args(["-Cpanic=abort", "-Copt-level=s", "-Clto=fat", "-Ccodegen-units=1", "-Cstrip=symbols"])
        .args(["-Crelocation-model=static", "-Ctarget-feature=+crt-static", "-Cforce-unwind-tables=no"])
        .args(["-Coverflow-checks=no", "-Cdebug-assertions=no", "-Clink-arg=--build-id=none"])
        .args(linker)
        .arg(format!("--target={target}"))
        .arg("-o")
        .arg(PathBuf::from(var("OUT_DIR")).join(name))
        .arg(format!("{name}/main.rs"))
        .output()
        .map_err(|e| e.to_string())?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

fn var(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("cargo did not set {name}"))
}
