//! Dependencies between our crates point one way, as ARCHITECTURE.md draws them.

use super::{Finding, Source};
use crate::workspace::Package;

/// A crate's folder, and the folders that it may depend on; `None` is any.
const EDGES: [(&str, Option<&[&str]>); 8] = [
    ("crates/seccomp", Some(&[])),
    ("crates/policy", Some(&["crates/seccomp"])),
    ("crates/init", Some(&[])),
    ("crates/linux", Some(&["crates/seccomp", "crates/policy", "crates/init"])),
    ("crates/ringfence", Some(&["crates/policy", "crates/linux"])),
    ("crates/cli", Some(&["crates/policy", "crates/ringfence"])),
    ("tests", None),
    ("xtask", None),
];

pub(super) fn check(packages: &[Package], sources: &[Source]) -> Vec<Finding> {
    packages.iter().flat_map(|package| check_package(package, packages, sources)).collect()
}

fn check_package(package: &Package, packages: &[Package], sources: &[Source]) -> Vec<Finding> {
    let path = format!("{}/Cargo.toml", package.folder);
    let manifest = sources.iter().find(|source| source.path == path).map_or("", |source| &source.text);
    let finding = |word: &str, what, why| {
        let line = manifest.lines().position(|line| line.starts_with(word)).map_or(1, |index| index + 1);
        Finding { path: path.clone(), line, what, why }
    };
    let Some((_, allowed)) = EDGES.iter().find(|(folder, _)| *folder == package.folder) else {
        let what = format!("the crate `{}` has no row in xtask/src/tidy/edges.rs", package.name);
        return vec![finding("name", what, "its place in the one direction must be decided")];
    };
    let Some(allowed) = allowed else { return Vec::new() };
    let wrong = package.siblings.iter().filter(|sibling| !allowed.contains(&sibling.as_str()));
    let name =
        |folder: &String| packages.iter().find(|other| other.folder == *folder).map(|other| &other.name);
    wrong
        .map(|sibling| {
            let what = format!("`{}` depends on `{sibling}`", package.folder);
            finding(name(sibling).unwrap_or(sibling), what, "dependencies between our crates point one way")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(folder: &str, siblings: &[&str]) -> Package {
        Package {
            name: folder.replace("crates/", "ringfence-"),
            version: String::new(),
            folder: folder.to_owned(),
            published: true,
            siblings: siblings.iter().map(|sibling| (*sibling).to_owned()).collect(),
        }
    }

    fn check_edges(folder: &str, siblings: &[&str]) -> Vec<(usize, String)> {
        let packages = [package(folder, siblings), package("crates/linux", &["crates/policy"])];
        let manifest = "[package]\nname = \"x\"\n[dependencies]\nringfence-linux.workspace = true\n";
        let findings = check(&packages, &[Source::new(&format!("{folder}/Cargo.toml"), manifest)]);
        findings.into_iter().map(|finding| (finding.line, finding.what)).collect()
    }

    #[test]
    fn flags_an_edge_that_points_back() {
        let want = (4, "`crates/policy` depends on `crates/linux`".to_owned());
        assert_eq!(check_edges("crates/policy", &["crates/linux"]), [want]);
        assert_eq!(check_edges("crates/cli", &["crates/linux"]).len(), 1);
    }

    #[test]
    fn flags_a_crate_without_a_row() {
        assert_eq!(check_edges("crates/egress", &[]).len(), 1);
    }

    #[test]
    fn leaves_edges_that_point_on() {
        assert_eq!(check_edges("crates/ringfence", &["crates/linux", "crates/policy"]), []);
        assert_eq!(check_edges("tests", &["crates/linux", "crates/cli"]), []);
    }
}
