//! `cargo xtask cross`: static release binaries, without a C toolchain.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::arguments::Arguments;
use crate::failure::Failure;
use crate::process;
use crate::workspace::Workspace;

const TARGETS: [&str; 2] = ["x86_64-unknown-linux-musl", "aarch64-unknown-linux-musl"];
const BINARY: &str = "ringfence";

pub(crate) fn run(mut arguments: Arguments) -> Result<(), Failure> {
    let optional = arguments.flag("--optional");
    arguments.finish()?;
    let workspace = Workspace::load()?;
    let mut missing = Vec::new();
    for target in TARGETS {
        match add(target) {
            Ok(()) => drop(build(&workspace, target)?),
            Err(why) => {
                println!("cross: {target} is not built: {why}");
                missing.push(target);
            }
        }
    }
    if missing.is_empty() || optional {
        return Ok(());
    }
    Err(Failure::Work(format!(
        "no standard library for {}: install it (`rustup target add`, or the distribution's package), or pass \
         --optional to build what can be built",
        missing.join(", ")
    )))
}

/// Cargo for a target, with the linker that comes with the compiler.
pub(crate) fn cargo(command: &str, target: &str) -> Command {
    let linker = format!("CARGO_TARGET_{}_LINKER", target.to_uppercase().replace('-', "_"));
    let mut cargo = process::cargo();
    cargo.args([command, "--target", target]).env(linker, "rust-lld");
    cargo
}

/// Makes sure that the target's standard library is there.
pub(crate) fn add(target: &str) -> Result<(), Failure> {
    if has_library(target)? {
        return Ok(());
    }
    if process::find("rustup").is_none() {
        return Err(Failure::Work(
            "its standard library is not installed, and there is no rustup".to_owned(),
        ));
    }
    process::read(Command::new("rustup").args(["target", "add", target])).map(drop)
}

/// The compiler names the folder whether or not it exists.
fn has_library(target: &str) -> Result<bool, Failure> {
    let folder = process::read(Command::new("rustc").args(["--print=target-libdir", "--target", target]))?;
    let mut files = fs::read_dir(PathBuf::from(folder.trim())).into_iter().flatten().flatten();
    Ok(files.any(|file| file.file_name().to_string_lossy().starts_with("libstd-")))
}

/// Builds the release, and says where it is.
pub(crate) fn build(workspace: &Workspace, target: &str) -> Result<PathBuf, Failure> {
    let mut cargo = cargo("build", target);
    cargo.arg("--release");
    for package in workspace.published() {
        cargo.args(["--package", &package.name]);
    }
    process::run(&mut cargo)?;
    let binary = workspace.target.join(target).join("release").join(BINARY);
    let size = fs::metadata(&binary).map_err(|error| Failure::io("find", &binary, &error))?.len();
    println!("cross: {target}: {BINARY} is {} KiB", size.div_ceil(1024));
    Ok(binary)
}
