//! The programs that are started.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::Failure;
use crate::process;

/// A program, and whether a sandbox must be given it.
pub(super) struct Program {
    /// How the tables call it.
    pub(super) label: String,
    pub(super) path: PathBuf,
    /// Not a part of the system: it has to be shown to the sandbox.
    pub(super) granted: bool,
    pub(super) arguments: Vec<String>,
}

impl Program {
    pub(super) fn system(path: &str) -> Self {
        Self { label: path.to_owned(), path: PathBuf::from(path), granted: false, arguments: Vec::new() }
    }

    /// The system's interpreter, which does nothing; `None` where it is not installed.
    pub(super) fn python() -> Option<Self> {
        let path = Some(PathBuf::from("/usr/bin/python3")).filter(|path| path.is_file())?;
        let arguments = ["-c", "pass"].map(str::to_owned).to_vec();
        Some(Self { label: "python3 -c pass".to_owned(), path, granted: false, arguments })
    }
}

/// How the tables call the smallest program: what starting it takes is the starter's own.
pub(super) const SMALLEST: &str = "static program";

/// A temporary folder that the program inside may read under any identity; removed when dropped.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new() -> Result<Self, Failure> {
        let path = std::env::temp_dir().join(format!("ringfence-bench-{}", std::process::id()));
        // Fails when it exists: somebody else may have made it.
        let made = fs::DirBuilder::new().mode(0o755).create(&path);
        made.map_err(|error| Failure::io("make the folder", &path, &error))?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("xtask bench: {} was left behind: {error}", self.0.display());
        }
    }
}

/// The linker that comes with the compiler, then the system's.
const LINKERS: [&[&str]; 2] = [
    &[
        "-Clinker=rust-lld",
        "-Clinker-flavor=ld.lld",
        "-Clink-self-contained=no",
        "-Clink-arg=-static",
        "-Clink-arg=--no-pie",
    ],
    &[
        "-Clinker=cc",
        "-Clink-arg=-nostartfiles",
        "-Clink-arg=-nostdlib",
        "-Clink-arg=-static",
        "-Clink-arg=-no-pie",
    ],
];

/// Builds the smallest program.
pub(super) fn tiny(folder: &Folder, notes: &mut Vec<String>) -> Result<Program, Failure> {
    let source = folder.path().join("exit_zero.rs");
    let path = folder.path().join("exit_zero");
    let text = include_str!("../../programs/exit_zero.rs");
    fs::write(&source, text).map_err(|error| Failure::io("write", &source, &error))?;
    let mut built = Ok(());
    for linker in LINKERS {
        built = compile(linker, &source, &path);
        if built.is_ok() {
            break;
        }
    }
    let mut label = SMALLEST;
    if let Err(why) = built {
        notes.push(format!("the static program is C's, larger than rustc's would be: {why}"));
        label = "static program (C)";
        let source = folder.path().join("exit_zero.c");
        fs::write(&source, "int main(void) { return 0; }\n")
            .map_err(|error| Failure::io("write", &source, &error))?;
        process::read(Command::new("cc").args(["-static", "-Os", "-o"]).arg(&path).arg(&source))?;
    }
    let readable = fs::set_permissions(&path, fs::Permissions::from_mode(0o755));
    readable.map_err(|error| Failure::io("open to all", &path, &error))?;
    Ok(Program { label: label.to_owned(), path, granted: true, arguments: Vec::new() })
}

fn compile(linker: &[&str], source: &Path, path: &Path) -> Result<(), Failure> {
    let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    rustc.args(["--edition=2024", "--crate-type=bin", "-Cpanic=abort", "-Copt-level=s", "-Cstrip=symbols"]);
    rustc.args([
        "-Crelocation-model=static",
        "-Ctarget-feature=+crt-static",
        "-Cdefault-linker-libraries=no",
    ]);
    process::read(rustc.args(linker).arg("-o").arg(path).arg(source)).map(drop)
}
