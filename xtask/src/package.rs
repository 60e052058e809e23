//! `cargo xtask package`: what would be published is whole, and builds.

use std::fs;

use crate::arguments::Arguments;
use crate::failure::Failure;
use crate::process;
use crate::workspace::{self, Package, Workspace};

/// Files that no `mod` names, which a package loses without a word: its crate, their folder, their ending.
const EMBEDDED: [(&str, &str, &str); 2] =
    [("ringfence-init", "pid1", "rs"), ("ringfence-policy", "profiles", "json")];

pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    arguments.finish()?;
    let workspace = Workspace::load()?;
    for (name, folder, ending) in EMBEDDED {
        let package = workspace.published().find(|package| package.name == name);
        let package =
            package.ok_or_else(|| Failure::Work(format!("the workspace has no package `{name}`")))?;
        check_contents(package, folder, ending)?;
    }
    // Builds each from its package alone, beside the packages of the others: a file from outside is not there.
    let names: Vec<_> = workspace.published().map(|package| package.name.as_str()).collect();
    let packages = names.iter().flat_map(|name| ["--package", name]);
    process::run(process::cargo().args(["package", "--allow-dirty"]).args(packages))?;
    println!("package: {} build from their packages alone", names.join(", "));
    Ok(())
}

fn check_contents(package: &Package, folder: &str, ending: &str) -> Result<(), Failure> {
    let path = workspace::root().join(&package.folder).join(folder);
    let failure = |error| Failure::io("list", &path, &error);
    let mut wanted = Vec::new();
    for entry in fs::read_dir(&path).map_err(failure)? {
        let name = entry.map_err(failure)?.file_name().to_string_lossy().into_owned();
        if name.ends_with(&format!(".{ending}")) {
            wanted.push(format!("{folder}/{name}"));
        }
    }
    let listed = process::read(process::cargo().args([
        "package",
        "--list",
        "--allow-dirty",
        "--package",
        &package.name,
    ]))?;
    let missing: Vec<_> = wanted.iter().filter(|file| !listed.lines().any(|line| line == *file)).collect();
    if wanted.is_empty() || !missing.is_empty() {
        return Err(Failure::Work(format!(
            "the package {} lacks {missing:?} of {folder}/*.{ending} ({} files on disk): a Cargo.toml inside that \
             folder, an `exclude`, or an ignored file keeps them out",
            package.name,
            wanted.len()
        )));
    }
    println!("package: {} holds all {} files of {folder}/*.{ending}", package.name, wanted.len());
    Ok(())
}
