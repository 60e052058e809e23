//! What the workspace holds: its folder, its packages, its source files.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::failure::Failure;
use crate::process;

/// The folder of the workspace: cargo says where our package is now, so that a copied tree is its own.
pub(crate) fn root() -> PathBuf {
    let ours = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let ours = ours.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")));
    ours.parent().map(Path::to_path_buf).unwrap_or(ours)
}

/// A package of the workspace.
#[derive(Clone, Debug)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    /// Relative to the root: `crates/policy`.
    pub(crate) folder: String,
    /// May be published.
    pub(crate) published: bool,
    /// What it depends on, of any kind, within the workspace: folders.
    pub(crate) siblings: Vec<String>,
}

/// What cargo knows about the workspace.
pub(crate) struct Workspace {
    pub(crate) packages: Vec<Package>,
    pub(crate) target: PathBuf,
}

impl Workspace {
    /// Asks cargo; dependencies outside the workspace are not resolved, so no network is needed.
    pub(crate) fn load() -> Result<Self, Failure> {
        let text = process::read(process::cargo().args(["metadata", "--no-deps", "--format-version=1"]))?;
        let value: Value = serde_json::from_str(&text)
            .map_err(|error| Failure::Work(format!("`cargo metadata` answered what is not JSON: {error}")))?;
        let root = text_of(&value, "workspace_root");
        let packages =
            list(&value, "packages").iter().map(|package| parse_package(package, Path::new(&root)));
        Ok(Self { packages: packages.collect(), target: PathBuf::from(text_of(&value, "target_directory")) })
    }

    /// The packages that go to the registry.
    pub(crate) fn published(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| package.published)
    }
}

fn parse_package(value: &Value, root: &Path) -> Package {
    let relative = |path: &Path| path.strip_prefix(root).unwrap_or(path).to_string_lossy().into_owned();
    let manifest = PathBuf::from(text_of(value, "manifest_path"));
    let paths = list(value, "dependencies").iter().filter_map(|dependency| dependency["path"].as_str());
    Package {
        name: text_of(value, "name"),
        version: text_of(value, "version"),
        folder: manifest.parent().map(relative).unwrap_or_default(),
        // `publish = false` is an empty list of registries; null is any.
        published: value["publish"].is_null(),
        siblings: paths.map(|path| relative(Path::new(path))).collect(),
    }
}

/// A string of a JSON object, empty when absent.
pub(crate) fn text_of(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}

/// A list of a JSON object, empty when absent.
pub(crate) fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// The regular files that git tracks, and those it would: new and not ignored. Relative to the root.
pub(crate) fn files() -> Result<Vec<String>, Failure> {
    let root = root();
    let mut git = Command::new("git");
    let listed = process::read(git.current_dir(&root).args(["ls-files", "-z", "-co", "--exclude-standard"]))?;
    let mut files: Vec<_> = listed.split_terminator('\0').map(str::to_owned).collect();
    files.sort_unstable();
    files.dedup();
    // A link's content is listed under its own name; a file that was deleted and not yet committed is no source.
    files.retain(|file| root.join(file).symlink_metadata().is_ok_and(|found| found.is_file()));
    Ok(files)
}
