//! The test executables of the workspace, with what cargo would give each of them.

use std::path::PathBuf;
use std::process::Stdio;

use serde_json::Value;

use crate::failure::Failure;
use crate::process;
use crate::workspace::{self, Package, Workspace, list, text_of};

/// One test executable.
pub(super) struct Executable {
    /// The package, and the file that its tests are in.
    pub(super) label: String,
    pub(super) path: PathBuf,
    /// The package's folder: cargo runs tests there.
    pub(super) folder: PathBuf,
    /// What cargo sets for a test.
    pub(super) environment: Vec<(String, String)>,
}

/// Builds the tests that are `selected`, in cargo's words, and lists them: cargo tells of them as they are built.
pub(super) fn build(selected: &[&str]) -> Result<Vec<Executable>, Failure> {
    let workspace = Workspace::load()?;
    let mut cargo = process::cargo();
    cargo.arg("test").args(selected).args(["--no-run", "--message-format=json-render-diagnostics"]);
    let output = cargo.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| process::not_started(&cargo, &error))?;
    if !output.status.success() {
        return Err(Failure::Work(format!("`{}` failed: {}", process::shown(&cargo), output.status)));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let messages: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let built = messages.iter().filter(|message| message["executable"].is_string());
    let (tests, others): (Vec<_>, Vec<_>) = built.partition(|message| message["profile"]["test"] == true);
    let mut executables = Vec::new();
    for test in tests {
        let package = package_of(test, &workspace)
            .ok_or_else(|| Failure::Work(format!("cargo built a test of an unknown package: {test}")))?;
        executables.push(executable(test, package, &others));
    }
    if executables.is_empty() {
        return Err(Failure::Work("cargo built no test executable".to_owned()));
    }
    executables.sort_by(|a, b| a.label.cmp(&b.label));
    Ok(executables)
}

fn package_of<'a>(message: &Value, workspace: &'a Workspace) -> Option<&'a Package> {
    let manifest = PathBuf::from(text_of(message, "manifest_path"));
    let folder = manifest.parent()?;
    workspace.packages.iter().find(|package| workspace::root().join(&package.folder) == folder)
}

fn executable(test: &Value, package: &Package, others: &[&Value]) -> Executable {
    let folder = workspace::root().join(&package.folder);
    let source = PathBuf::from(text_of(&test["target"], "src_path"));
    let source = source.strip_prefix(&folder).unwrap_or(&source);
    let mut environment = vec![
        ("CARGO_MANIFEST_DIR".to_owned(), folder.to_string_lossy().into_owned()),
        ("CARGO_MANIFEST_PATH".to_owned(), folder.join("Cargo.toml").to_string_lossy().into_owned()),
        ("CARGO_PKG_NAME".to_owned(), package.name.clone()),
        ("CARGO_PKG_VERSION".to_owned(), package.version.clone()),
    ];
    for other in others {
        let kinds = list(&other["target"], "kind");
        if other["manifest_path"] == test["manifest_path"] && kinds.iter().any(|kind| kind == "bin") {
            let name = format!("CARGO_BIN_EXE_{}", text_of(&other["target"], "name"));
            environment.push((name, text_of(other, "executable")));
        }
    }
    Executable {
        label: format!("{} {}", package.name, source.display()),
        path: PathBuf::from(text_of(test, "executable")),
        folder,
        environment,
    }
}
