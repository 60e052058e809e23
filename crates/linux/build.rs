//! Compiles the filters of the built-in profiles, and finds out what is to be known of them, so that no run of one has
//! to.

use std::fmt::Write as _;
use std::path::PathBuf;

use ringfence_policy::{BUILTIN_PROFILES, Policy};
use ringfence_seccomp::{Arch, Filter};

#[path = "src/loader_calls.rs"]
mod loader_calls;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src/loader_calls.rs");
    if let Err(why) = write() {
        println!("cargo::error=the filters of the built-in profiles cannot be compiled: {why}");
    }
}

fn write() -> Result<(), String> {
    let arch = match var("CARGO_CFG_TARGET_ARCH")?.as_str() {
        "x86_64" => Arch::X86_64,
        "aarch64" => Arch::Aarch64,
        other => return Err(format!("{other} has no table of system calls")),
    };
    let mut text = String::from("[\n");
    for (name, _) in BUILTIN_PROFILES {
        let policy = Policy::builtin(name).map_err(|problem| problem.to_string())?;
        let filter =
            Filter { syscalls: policy.syscalls, on_violation: policy.on_violation, single_process: false };
        let program = filter.compile(&[arch]).map_err(|mistakes| format!("{name}: {mistakes:?}"))?;
        let count = filter.summary(arch);
        let _to_a_string = write!(
            text,
            "Builtin{{name:{name:?},from:{:?},facts:Facts{{allowed:{},conditional:{},executes:{},lacks:{:?}}},instructions:&[",
            filter.written(),
            count.allowed,
            count.conditional,
            filter.executes(),
            loader_calls::missing(&filter, arch),
        );
        for instruction in program.instructions() {
            let (code, jt, jf, k) = (instruction.code, instruction.jt, instruction.jf, instruction.k);
            let _to_a_string = write!(text, "Instruction{{code:{code},jt:{jt},jf:{jf},k:{k}}},");
        }
        text.push_str("]},\n");
    }
    text.push_str("]\n");
    let file = PathBuf::from(var("OUT_DIR")?).join("builtin_filters.rs");
    std::fs::write(file, text).map_err(|e| e.to_string())
}

fn var(name: &str) -> Result<String, String> {
    std::env::var(name).map_err(|_| format!("cargo did not set {name}"))
}
