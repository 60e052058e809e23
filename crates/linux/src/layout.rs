//! What a sandbox shows, as one tree of paths inside.
//!
//! Every node is one path. What is nearest above a path decides what stands there, so the longest path wins
//! and the order in which things were said never matters.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::Metadata;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

use ringfence_policy::{Access, Problem};

use crate::look;
use crate::resolve::{Source, source};

/// Whose word a node is: the higher one stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// What every sandbox has, and its base.
    Base,
    /// The toolchain of the command.
    Toolchain,
    /// The profile.
    Profile,
    /// The caller.
    Caller,
    /// A denial: nothing lifts it.
    Deny,
}

/// What stands at one path inside.
#[derive(Clone, Debug)]
pub enum Node {
    /// The root, in memory; read-only once it is furnished.
    Root,
    /// A folder of the root or of a folder in memory.
    Folder {
        /// Permission bits.
        mode: u32,
    },
    /// A file with fixed content.
    Text {
        /// All of it.
        content: Vec<u8>,
    },
    /// A symlink.
    Link {
        /// Where it points.
        target: PathBuf,
    },
    /// A file or folder of the host.
    Bind {
        /// The host's side.
        source: Source,
        /// May it be changed?
        access: Access,
        /// It was put somewhere else on purpose.
        elsewhere: bool,
    },
    /// A device node of the host.
    Device {
        /// The host's side.
        source: Source,
    },
    /// An empty folder in memory.
    Memory {
        /// Bytes.
        size: u64,
        /// Permission bits.
        mode: u32,
        /// Read-only once it is furnished.
        sealed: bool,
    },
    /// A fresh proc.
    Proc,
    /// A fresh devpts.
    Terminals,
    /// The path itself, mounted on itself: it cannot be renamed away, and may be read-only.
    Pin {
        /// May it be changed?
        access: Access,
        /// A folder, or a file?
        folder: bool,
    },
    /// Covered by something empty that cannot be read.
    Cover {
        /// A folder, or a file?
        folder: bool,
    },
}

/// What a look-up inside found.
#[derive(Clone, Debug)]
pub struct Found {
    /// The path inside, without symlinks.
    pub path: PathBuf,
    /// The host's file that stands there, where one does.
    pub host: Option<(PathBuf, Metadata)>,
    /// It is a folder.
    pub folder: bool,
}

impl Found {
    /// Device and inode of the host's file.
    #[must_use]
    pub fn identity(&self) -> Option<(u64, u64)> {
        self.host.as_ref().map(|(_, metadata)| (metadata.dev(), metadata.ino()))
    }
}

/// How many symlinks a look-up follows, as the kernel does (path_resolution(7)).
const MOST_LINKS: usize = 40;

/// The tree.
#[derive(Clone, Debug)]
pub struct Layout {
    nodes: BTreeMap<Place, (PathBuf, Rank, Node)>,
}

impl Default for Layout {
    fn default() -> Self {
        Self { nodes: BTreeMap::from([(Place::new(), (PathBuf::from("/"), Rank::Base, Node::Root))]) }
    }
}

/// A path as its names, a NUL before each. Its order is that of paths, parents before children, and what stands above it
/// are its beginnings: a start looks up some thousand of them, and to compare paths takes ten times as long.
type Place = Vec<u8>;

fn place(path: &Path) -> Place {
    let mut place = Place::with_capacity(path.as_os_str().len() + 1);
    for part in path.components() {
        let name = match part {
            Component::Normal(name) => name,
            Component::ParentDir => OsStr::new(".."),
            _ => continue,
        };
        place.push(0);
        place.extend_from_slice(name.as_bytes());
    }
    place
}

/// The places strictly above one, nearest first.
fn above(place: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut here = place;
    std::iter::from_fn(move || {
        here = &here[..here.iter().rposition(|byte| *byte == 0)?];
        Some(here)
    })
}

/// Is the first at or below the second?
fn is_at_or_below(place: &[u8], top: &[u8]) -> bool {
    place.strip_prefix(top).is_some_and(|rest| matches!(rest.first(), None | Some(0)))
}

impl Layout {
    /// Puts a node at a path, unless a higher rank stands there. Answers whether it was put.
    pub(crate) fn put(&mut self, path: impl Into<PathBuf>, rank: Rank, node: Node) -> bool {
        let path = path.into();
        let place = place(&path);
        if self.nodes.get(&place).is_some_and(|(_, there, _)| *there > rank) {
            return false;
        }
        self.nodes.insert(place, (path, rank, node));
        true
    }

    /// Every node, parents before children.
    pub fn nodes(&self) -> impl Iterator<Item = (&Path, Rank, &Node)> {
        self.nodes.values().map(|(path, rank, node)| (path.as_path(), *rank, node))
    }

    /// The node at exactly this path.
    #[must_use]
    pub fn at(&self, path: &Path) -> Option<&Node> {
        self.nodes.get(&place(path)).map(|(.., node)| node)
    }

    /// Takes away every node strictly below a path that `gone` picks.
    pub(crate) fn remove_below(&mut self, path: &Path, gone: impl Fn(Rank, &Node) -> bool) {
        let top = place(path);
        self.nodes
            .retain(|at, (_, rank, node)| *at == top || !is_at_or_below(at, &top) || !gone(*rank, node));
    }

    /// Takes away the node at a path.
    pub(crate) fn remove(&mut self, path: &Path) {
        self.nodes.remove(&place(path));
    }

    /// The nearest node strictly above a path that holds files: pins are part of what they pin.
    #[must_use]
    pub fn container(&self, path: &Path) -> (&Path, &Node) {
        self.above(&place(path))
    }

    fn above(&self, place: &[u8]) -> (&Path, &Node) {
        let holds = |above: &[u8]| match self.nodes.get(above) {
            None | Some((.., Node::Pin { .. })) => None,
            Some((at, _, node)) => Some((at.as_path(), node)),
        };
        above(place).find_map(holds).unwrap_or((Path::new("/"), &Node::Root))
    }

    /// Where a path leads when links of the sandbox's own stand above it: `/bin/tool` is `/usr/bin/tool` where
    /// `/bin` is a link to `usr/bin`. Something is mounted where it will be found.
    #[must_use]
    pub(crate) fn behind_links(&self, path: &Path) -> PathBuf {
        let mut path = path.to_owned();
        for _ in 0..MOST_LINKS {
            let link = path.ancestors().skip(1).find_map(|above| match self.at(above) {
                Some(Node::Link { target }) => Some((above.to_owned(), target.clone())),
                _ => None,
            });
            let Some((link, target)) = link else { break };
            let rest = path.strip_prefix(&link).unwrap_or(Path::new("")).to_owned();
            let folder = link.parent().unwrap_or(Path::new("/"));
            path = source::lexical(&folder.join(target).join(rest));
        }
        path
    }

    /// The host's path behind a path inside, by its nearest bind; links are not followed.
    #[must_use]
    pub fn host_path(&self, path: &Path) -> Option<PathBuf> {
        let place = place(path);
        let (at, node) = match self.nodes.get(&place) {
            Some((at, _, node)) if !matches!(node, Node::Pin { .. }) => (at.as_path(), node),
            _ => self.above(&place),
        };
        match node {
            Node::Bind { source, .. } | Node::Device { source } => {
                let rest = path.strip_prefix(at).unwrap_or(Path::new(""));
                Some(if rest.as_os_str().is_empty() { source.path.clone() } else { source.path.join(rest) })
            }
            _ => None,
        }
    }

    /// Can what a host path shows at a path be changed through another path inside?
    #[must_use]
    pub(crate) fn is_changed_elsewhere(&self, path: &Path, host: &Path) -> bool {
        self.nodes.values().any(|(at, _, node)| {
            let Node::Bind { source, access: Access::Write, .. } = node else { return false };
            // Where both would show the same, at one path inside, only one of them does.
            if let Ok(rest) = host.strip_prefix(&source.path) {
                at.join(rest) != path
            } else if let Ok(rest) = source.path.strip_prefix(host) {
                path.join(rest) != *at
            } else {
                false
            }
        })
    }

    /// Does a grant say what stands at a path? Nothing else replaces that.
    #[must_use]
    pub(crate) fn is_granted(&self, path: &Path) -> bool {
        let at = place(path);
        let rank = self
            .nodes
            .get(&at)
            .or_else(|| self.nodes.get(&place(self.above(&at).0)))
            .map(|(_, rank, _)| *rank);
        rank.is_some_and(|rank| rank > Rank::Toolchain) && self.host_path(path).is_some()
    }

    /// Is some node at or below the path?
    fn leads_somewhere(&self, path: &Path) -> bool {
        let top = place(path);
        // What comes first from there on: the path itself, or what is below it.
        self.nodes.range(top.clone()..).next().is_some_and(|(at, _)| is_at_or_below(at, &top))
    }

    /// What a program may do with a file of the host that it sees at the file's own place; `None` where it does not.
    ///
    /// # Errors
    /// A file on the way cannot be looked at.
    pub(crate) fn access(&self, host: &Path) -> Result<Option<Access>, Problem> {
        let found = self.look_up(host)?;
        let same =
            found.is_some_and(|found| found.path == host && found.host.is_some_and(|(path, _)| path == host));
        let nearest = host.ancestors().find_map(|at| match self.at(at) {
            Some(Node::Bind { access, .. } | Node::Pin { access, .. }) => Some(*access),
            _ => None,
        });
        Ok(nearest.filter(|_| same))
    }

    /// What a program inside finds at an absolute path, links followed as they stand inside. `None` where nothing
    /// is, or nothing for this caller.
    ///
    /// # Errors
    /// A file on the way cannot be looked at.
    pub fn look_up(&self, path: &Path) -> Result<Option<Found>, Problem> {
        let mut here = PathBuf::from("/");
        let mut pending: Vec<OsString> = reversed(path);
        let mut links = 0;
        while let Some(name) = pending.pop() {
            if name == ".." {
                here.pop();
                continue;
            }
            let next = here.join(&name);
            let target = match self.at(&next) {
                Some(Node::Link { target }) => Some(target.clone()),
                Some(Node::Cover { .. }) => return Ok(None),
                Some(_) => None,
                None => match self.host_path(&next) {
                    Some(host) => match step(&host).map_err(|e| look::unknown(&host, e))? {
                        Step::Nothing => return Ok(None),
                        Step::Here => None,
                        Step::To(target) => Some(target),
                    },
                    None if self.leads_somewhere(&next) => None,
                    None => return Ok(None),
                },
            };
            let Some(target) = target else {
                here = next;
                continue;
            };
            links += 1;
            if links > MOST_LINKS {
                return Ok(None);
            }
            if target.is_absolute() {
                here = PathBuf::from("/");
            }
            pending.extend(reversed(&target));
        }
        self.describe(here)
    }

    fn describe(&self, path: PathBuf) -> Result<Option<Found>, Problem> {
        let host = match self.host_path(&path) {
            Some(host) => {
                let metadata = look::present(look::behind(&host)).map_err(|e| look::unknown(&host, e))?;
                let Some(metadata) = metadata else { return Ok(None) };
                Some((host, metadata))
            }
            None => None,
        };
        let folder = match (&host, self.at(&path)) {
            (Some((_, metadata)), _) => metadata.is_dir(),
            (None, Some(Node::Text { .. } | Node::Cover { .. } | Node::Link { .. })) => false,
            (None, _) => true,
        };
        Ok(Some(Found { path, host, folder }))
    }
}

/// What one name of a path on the host is to a look-up.
enum Step {
    Nothing,
    Here,
    To(PathBuf),
}

fn step(host: &Path) -> io::Result<Step> {
    let Some(metadata) = look::present(look::at(host))? else { return Ok(Step::Nothing) };
    if metadata.is_symlink() { look::target(host).map(Step::To) } else { Ok(Step::Here) }
}

/// The names of a path, last first.
fn reversed(path: &Path) -> Vec<OsString> {
    let names = path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    });
    let mut names: Vec<_> = names.collect();
    names.reverse();
    names
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn bind(path: &Path) -> Node {
        let source = Source::at(path).unwrap();
        Node::Bind { source, access: Access::Read, elsewhere: false }
    }

    #[test]
    fn places_are_in_the_order_of_paths() {
        let mut paths = ["/", "/a", "/a/b", "/a/b/c", "/a-b", "/a-b/c", "/a.b", "/ab", "/b", "/a//b/./d"]
            .map(PathBuf::from);
        paths.sort();
        assert!(paths.map(|path| place(&path)).is_sorted());
        assert_eq!(place(Path::new("/a//b/")), place(Path::new("/a/b")));
        let deep = place(Path::new("/a/b/c"));
        let tops: Vec<_> = ["/a/b", "/a", "/"].map(|path| place(Path::new(path))).to_vec();
        assert_eq!(above(&deep).collect::<Vec<_>>(), tops);
        assert!(
            is_at_or_below(&deep, &tops[1]) && is_at_or_below(&deep, &deep) && is_at_or_below(&deep, b"")
        );
        assert!(!is_at_or_below(&place(Path::new("/a-b")), &tops[1]));
    }

    #[test]
    fn the_longest_path_wins_in_any_order() {
        let folder = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(folder.path()).unwrap();
        fs::create_dir_all(root.join("a/b")).unwrap();
        fs::create_dir(root.join("c")).unwrap();
        fs::write(root.join("a/b/f"), "outer").unwrap();
        fs::write(root.join("c/f"), "inner").unwrap();
        for reverse in [false, true] {
            let mut layout = Layout::default();
            let mut puts = vec![("/x", root.join("a")), ("/x/b", root.join("c"))];
            if reverse {
                puts.reverse();
            }
            for (at, from) in puts {
                layout.put(at, Rank::Caller, bind(&from));
            }
            let found = layout.look_up(Path::new("/x/b/f")).unwrap().unwrap();
            assert_eq!(found.host.unwrap().0, root.join("c/f"));
        }
    }

    #[test]
    fn links_are_followed_as_they_stand_inside() {
        let folder = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(folder.path()).unwrap();
        fs::create_dir_all(root.join("usr/bin")).unwrap();
        fs::write(root.join("usr/bin/real"), "").unwrap();
        std::os::unix::fs::symlink("/usr/bin/real", root.join("usr/bin/absolute")).unwrap();
        std::os::unix::fs::symlink("../../usr/bin/real", root.join("usr/bin/relative")).unwrap();
        std::os::unix::fs::symlink("loop", root.join("usr/bin/loop")).unwrap();
        let mut layout = Layout::default();
        layout.put("/usr", Rank::Base, bind(&root.join("usr")));
        layout.put("/bin", Rank::Base, Node::Link { target: "usr/bin".into() });
        for name in ["/bin/absolute", "/bin/relative", "/usr/bin/../bin/real"] {
            assert_eq!(
                layout.look_up(Path::new(name)).unwrap().unwrap().path,
                Path::new("/usr/bin/real"),
                "{name}"
            );
        }
        assert!(layout.look_up(Path::new("/bin/loop")).unwrap().is_none());
        assert!(layout.look_up(Path::new("/bin/none")).unwrap().is_none());
        assert!(layout.look_up(Path::new("/etc")).unwrap().is_none());
    }

    #[test]
    fn a_mount_point_is_found_behind_links() {
        let mut layout = Layout::default();
        layout.put("/bin", Rank::Base, Node::Link { target: "usr/bin".into() });
        layout.put("/usr/bin", Rank::Base, Node::Link { target: "/opt/../programs".into() });
        layout.put("/loop", Rank::Base, Node::Link { target: "/loop".into() });
        assert_eq!(layout.behind_links(Path::new("/bin/a/b")), Path::new("/programs/a/b"));
        assert_eq!(layout.behind_links(Path::new("/etc/a")), Path::new("/etc/a"));
        assert_eq!(layout.behind_links(Path::new("/loop/a")), Path::new("/loop/a"));
    }

    #[test]
    fn a_lower_rank_does_not_replace_a_higher_one() {
        let mut layout = Layout::default();
        assert!(layout.put("/a", Rank::Caller, Node::Folder { mode: 0 }));
        assert!(!layout.put("/a", Rank::Base, Node::Proc));
        assert!(matches!(layout.at(Path::new("/a")), Some(Node::Folder { .. })));
    }
}
