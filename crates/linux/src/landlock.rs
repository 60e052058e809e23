//! Landlock, the second layer: from the tree of what a sandbox shows to few rules.
//!
//! Landlock adds up the rules that stand between a file and the root (landlock(7)). So a rule is emitted only where a
//! node needs more than what stands above it. Where a node has less, Landlock cannot say so, and the mounts alone
//! hold it.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use ringfence_init::sys::landlock::{self, right, scope};
use ringfence_init::sys::{Errno, Fd};
use ringfence_policy::{Access, Problem};

use crate::errno;
use crate::layout::{Layout, Node};

/// The first ABI that is a layer: ABI 1 refuses every rename from folder to folder.
const FIRST: u32 = 2;
/// The last one that this code knows. Of a later one it uses what this has.
const LAST: u32 = 9;
/// No kernel will have as many: a larger answer is no number of an ABI.
const IMPLAUSIBLE: usize = 256;

const READ: u64 = right::READ_FILE | right::READ_FOLDER;
const WRITE: u64 = right::WRITE_FILE | right::TRUNCATE;
const DEVICES: u64 = right::WRITE_FILE | right::DEVICE_IOCTL;
/// Everything but devices can be made where something can.
const CHANGE: u64 = WRITE
    | right::REMOVE_FOLDER
    | right::REMOVE_FILE
    | right::MAKE_FOLDER
    | right::MAKE_FILE
    | right::MAKE_SOCKET
    | right::MAKE_FIFO
    | right::MAKE_SYMLINK
    | right::REFER;
/// All that the first ABI has.
const OLDEST: u64 = READ
    | CHANGE & !right::TRUNCATE
    | right::EXECUTE
    | right::MAKE_CHARACTER_DEVICE
    | right::MAKE_BLOCK_DEVICE;

/// What is allowed on a path and below.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) path: PathBuf,
    pub(crate) rights: u64,
}

/// A ruleset: what is refused, and where not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ruleset {
    pub(crate) abi: u32,
    /// Rights on files that need a rule.
    pub(crate) handled: u64,
    /// What stays inside.
    pub(crate) scopes: u64,
    pub(crate) rules: Vec<Rule>,
    /// Rights on a file that is passed open for reading.
    pub(crate) passed_for_reading: u64,
    /// The same for writing.
    pub(crate) passed_for_writing: u64,
    /// Rights on message queues.
    pub(crate) queues: u64,
    /// A folder in memory whose owner is the program: where its restriction is proven when no scope can.
    pub(crate) proof: Option<PathBuf>,
}

/// Which ABI this kernel has; `None` where it is no layer.
///
/// # Errors
/// An answer that no kernel gives, or that a second call contradicts.
pub(crate) fn abi() -> Result<Option<u32>, Problem> {
    let nonsense = |why: String| {
        Problem::request("landlock", why)
            .remedy("something filters or fakes system calls here; nothing was run")
    };
    match landlock::version() {
        Ok(version @ 1..IMPLAUSIBLE) => Ok(u32::try_from(version).ok().filter(|abi| *abi >= FIRST)),
        Ok(version) => Err(nonsense(format!("the kernel says that its Landlock has ABI {version}"))),
        Err(Errno(first @ (libc::ENOSYS | libc::EOPNOTSUPP | libc::EPERM))) => {
            // The null of all rules: a kernel with Landlock finds that this is no ruleset.
            match landlock::allow(Fd(-1), Fd(-1), 0) {
                Err(Errno(second)) if second == first => Ok(None),
                second => {
                    let second = second.map_or_else(|e| errno::name(e.0), |()| "success".to_owned());
                    let first = errno::name(first);
                    let why =
                        format!("landlock_create_ruleset answers {first}, and landlock_add_rule {second}");
                    Err(nonsense(why).errno(first))
                }
            }
        }
        Err(Errno(number)) => Err(nonsense("the kernel does not say which ABI its Landlock has".to_owned())
            .errno(errno::name(number))),
    }
}

/// Every right on files that an ABI knows.
fn known(abi: u32) -> u64 {
    let since = |first: u32, right: u64| if abi >= first { right } else { 0 };
    OLDEST | since(3, right::TRUNCATE) | since(5, right::DEVICE_IOCTL) | since(9, right::RESOLVE_SOCKET)
}

/// The rules for a layout. `no_exec` are the mounts from which nothing may be executed; `None` leaves that to them.
///
/// `None` where nothing could prove that it is on: without scopes and without a folder in memory.
pub(crate) fn ruleset(layout: &Layout, abi: u32, no_exec: Option<&BTreeSet<PathBuf>>) -> Option<Ruleset> {
    let abi = abi.min(LAST);
    let handled = known(abi);
    let mut rules: Vec<Rule> = Vec::new();
    for (path, _, node) in layout.nodes() {
        let rights = handled & needed(layout, path, node, no_exec);
        let above = rules.iter().filter(|rule| path.starts_with(&rule.path));
        let given = above.fold(0, |given, rule| given | rule.rights);
        if rights & !given != 0 {
            rules.push(Rule { path: path.to_owned(), rights });
        }
    }
    let scopes = if abi >= 6 { scope::ABSTRACT_SOCKETS | scope::SIGNALS } else { 0 };
    // A device that is opened anew must answer as it did.
    let passed = handled & right::DEVICE_IOCTL;
    let proof = if scopes == 0 { Some(own_memory(layout)?) } else { None };
    Some(Ruleset {
        abi,
        handled,
        scopes,
        rules,
        passed_for_reading: passed | right::READ_FILE,
        passed_for_writing: passed | handled & WRITE,
        queues: right::READ_FILE | right::WRITE_FILE,
        proof,
    })
}

/// What a node needs, whatever stands above it.
fn needed(layout: &Layout, path: &Path, node: &Node, no_exec: Option<&BTreeSet<PathBuf>>) -> u64 {
    let executed = match no_exec {
        Some(no_exec) if !no_exec.contains(path) => right::EXECUTE,
        _ => 0,
    };
    match node {
        Node::Root if no_exec.is_none() => READ | right::EXECUTE,
        Node::Root => READ,
        Node::Bind { source, access, .. } => {
            let written = match (access, source.is_folder()) {
                (Access::Read, _) => 0,
                (Access::Write, true) => CHANGE,
                (Access::Write, false) => WRITE,
            };
            executed | written
        }
        Node::Memory { sealed: false, .. } => executed | CHANGE,
        Node::Memory { sealed: true, .. } if holds_devices(layout, path) => DEVICES,
        Node::Device { .. } | Node::Terminals => DEVICES,
        Node::Proc => WRITE,
        Node::Memory { .. }
        | Node::Folder { .. }
        | Node::Text { .. }
        | Node::Link { .. }
        | Node::Pin { .. }
        | Node::Cover { .. } => 0,
    }
}

/// One rule for all of /dev: there is nothing in it but devices and what has its own rule.
fn holds_devices(layout: &Layout, path: &Path) -> bool {
    layout.nodes().any(|(below, _, node)| {
        matches!(node, Node::Device { .. } | Node::Terminals) && layout.container(below).0 == path
    })
}

/// A writable folder in memory: there the permission to make a file is not what refuses one.
fn own_memory(layout: &Layout) -> Option<PathBuf> {
    let nodes = || layout.nodes();
    let memory = nodes().find(|(_, _, node)| matches!(node, Node::Memory { sealed: false, .. }));
    memory.map(|(path, ..)| path.to_owned())
}

impl Ruleset {
    /// Does it keep signals and abstract sockets inside?
    pub(crate) const fn is_scoped(&self) -> bool {
        self.scopes != 0
    }

    /// The steps of PID 1 that make it, while the host's root is there: what the rule on message queues needs goes with
    /// that root.
    pub(crate) fn made(&self) -> [Step; 2] {
        let ruleset = Step::Ruleset { handled: self.handled, scopes: self.scopes };
        [ruleset, Step::AllowQueues { rights: self.queues }]
    }

    /// The steps that add the rules. The host's root is gone, and nothing is left of the caller's files but what is
    /// passed.
    pub(crate) fn allowed(&self) -> impl Iterator<Item = Step> {
        let rules =
            self.rules.iter().map(|rule| Step::Allow { path: rule.path.clone(), rights: rule.rights });
        let (for_reading, for_writing) = (self.passed_for_reading, self.passed_for_writing);
        rules.chain([Step::AllowPassed { for_reading, for_writing }])
    }

    /// The step of the program's process, which restricts itself by it.
    pub(crate) fn put_on(&self) -> Step {
        Step::Restrict { abi: self.abi, rules: self.rules.len(), proof: self.proof.clone() }
    }
}

/// One kernel step of Landlock: `Display` says what each does, `ringfence_init::wire::Op` documents them.
#[derive(Clone, Debug)]
pub enum Step {
    Ruleset { handled: u64, scopes: u64 },
    Allow { path: PathBuf, rights: u64 },
    AllowPassed { for_reading: u64, for_writing: u64 },
    AllowQueues { rights: u64 },
    Restrict { abi: u32, rules: usize, proof: Option<PathBuf> },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ruleset { .. } => {
                f.write_str("make a Landlock ruleset: what no rule allows will be refused")
            }
            Self::Allow { path, rights } => {
                write!(f, "allow by Landlock, in {}: {}", path.display(), words(*rights))
            }
            Self::AllowPassed { .. } => {
                f.write_str("allow by Landlock to open passed files anew, as they are open")
            }
            Self::AllowQueues { rights } => {
                write!(f, "allow by Landlock, in message queues of its own: {}", words(*rights))
            }
            Self::Restrict { abi, rules, .. } => {
                write!(f, "restrict files by Landlock (ABI {abi}, {rules} rules), and prove it")
            }
        }
    }
}

/// Rights in words.
fn words(rights: u64) -> String {
    let words = [
        (right::READ_FILE, "read"),
        (right::EXECUTE, "execute"),
        (right::WRITE_FILE, "write"),
        (right::MAKE_FILE, "make and remove"),
        (right::REFER, "move"),
        (right::DEVICE_IOCTL, "control"),
    ];
    let said: Vec<_> =
        words.into_iter().filter(|(right, _)| rights & right != 0).map(|(_, word)| word).collect();
    said.join(", ")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::layout::Rank;
    use crate::resolve::Source;

    fn bind(path: &Path, access: Access) -> Node {
        Node::Bind { source: Source::at(path).unwrap(), access, elsewhere: false }
    }

    fn memory(sealed: bool) -> Node {
        Node::Memory { size: 1 << 20, mode: 0o755, sealed }
    }

    /// A layout of nodes, and a folder and a file of the host for binds.
    fn layout(nodes: &[(&str, Node)]) -> Layout {
        let mut layout = Layout::default();
        for (path, node) in nodes {
            layout.put(*path, Rank::Caller, node.clone());
        }
        layout
    }

    fn paths(ruleset: &Ruleset) -> Vec<&str> {
        ruleset.rules.iter().filter_map(|rule| rule.path.to_str()).collect()
    }

    #[test]
    fn each_abi_refuses_what_it_knows() {
        let layout = layout(&[("/tmp", memory(false))]);
        for (abi, rights, scopes) in
            [(2, 14, 0), (3, 15, 0), (4, 15, 0), (5, 16, 0), (6, 16, 3), (8, 16, 3), (9, 17, 3)]
        {
            let ruleset = ruleset(&layout, abi, None).unwrap();
            assert_eq!((ruleset.handled, ruleset.scopes), ((1 << rights) - 1, scopes), "ABI {abi}");
            // A kernel refuses a rule that allows what the ruleset does not refuse.
            let passed = ruleset.passed_for_reading | ruleset.passed_for_writing | ruleset.queues;
            let allowed = ruleset.rules.iter().fold(passed, |allowed, rule| allowed | rule.rights);
            assert_eq!(allowed & !ruleset.handled, 0, "ABI {abi}");
            // Something can prove it, and nothing allows what is nobody's.
            assert_eq!(ruleset.proof.is_some(), scopes == 0);
            let nobodys = right::MAKE_CHARACTER_DEVICE | right::MAKE_BLOCK_DEVICE | right::RESOLVE_SOCKET;
            assert_eq!(allowed & nobodys, 0, "ABI {abi}");
        }
        assert_eq!(ruleset(&layout, 200, None), ruleset(&layout, LAST, None));
    }

    #[test]
    fn a_rule_is_only_where_more_is_needed_than_above() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let (read, write) = (bind(folder.path(), Access::Read), bind(folder.path(), Access::Write));
        let layout = layout(&[
            ("/a", read.clone()),
            ("/a/b", write.clone()),
            ("/a/b/c", read),
            ("/a/b/c/d", write.clone()),
            ("/a/b/pin", Node::Pin { access: Access::Read, folder: true }),
            ("/file", bind(&file, Access::Write)),
            ("/dev", memory(true)),
            ("/dev/pts", Node::Terminals),
            ("/elsewhere", Node::Terminals),
            ("/memory", memory(false)),
            ("/memory/w", write),
            ("/proc", Node::Proc),
            ("/sealed", memory(true)),
        ]);
        let ruleset = ruleset(&layout, 7, None).unwrap();
        assert_eq!(paths(&ruleset), ["/", "/a/b", "/dev", "/elsewhere", "/file", "/memory", "/proc"]);
        let rights =
            |path: &str| ruleset.rules.iter().find(|rule| rule.path == Path::new(path)).unwrap().rights;
        assert_eq!(rights("/"), READ | right::EXECUTE);
        assert_eq!(rights("/a/b"), CHANGE);
        // A folder's rights mean nothing on a file, and the kernel refuses them there.
        assert_eq!(rights("/file"), WRITE);
        assert_eq!(rights("/dev"), DEVICES);
    }

    #[test]
    fn where_it_matters_the_right_to_execute_stands_at_each_mount() {
        let folder = tempfile::tempdir().unwrap();
        let read = bind(folder.path(), Access::Read);
        let layout = layout(&[("/usr", read.clone()), ("/data", read), ("/tmp", memory(false))]);
        let no_exec = ["/data", "/tmp"].map(PathBuf::from).into();
        let ruleset = ruleset(&layout, 7, Some(&no_exec)).unwrap();
        let executes: Vec<_> =
            ruleset.rules.iter().filter(|rule| rule.rights & right::EXECUTE != 0).collect();
        assert_eq!(executes, [&Rule { path: "/usr".into(), rights: right::EXECUTE }]);
        assert_eq!(paths(&ruleset), ["/", "/tmp", "/usr"]);
    }

    #[test]
    fn what_nothing_could_prove_is_no_layer() {
        let layout = layout(&[("/dev", memory(true))]);
        assert_eq!(ruleset(&layout, 5, None), None);
        assert!(ruleset(&layout, 6, None).is_some());
    }

    #[test]
    fn rights_are_said_in_words() {
        assert_eq!(words(READ | right::EXECUTE), "read, execute");
        assert_eq!(words(CHANGE), "write, make and remove, move");
        assert_eq!(words(DEVICES), "write, control");
    }
}
