//! Files: folders folded into trees of one kind, and the files that are worth a word.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use ringfence_linux::told::{Kind, NOT_TRIED, SECRETS, flag};

use super::prober::{Record, Told};
use super::{Class, Item, NotTried, text};
use crate::command::Plan;

/// What can be done to a tree. The order is that of reach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Way {
    /// Nothing is seen.
    #[default]
    Nothing,
    /// The sandbox's own, read-only: nothing of the host's, or what everyone may know.
    OwnRead,
    /// The sandbox's own, writable: gone after the run.
    OwnWrite,
    /// The host's, read-only.
    HostRead,
    /// The host's, writable: it stays.
    HostWrite,
}

impl Way {
    fn of(host: bool, writes: bool) -> Self {
        match (host, writes) {
            (false, false) => Self::OwnRead,
            (false, true) => Self::OwnWrite,
            (true, false) => Self::HostRead,
            (true, true) => Self::HostWrite,
        }
    }

    /// How much that is.
    pub(super) const fn level(self) -> u64 {
        match self {
            Self::Nothing | Self::OwnRead => 0,
            Self::OwnWrite => 1,
            Self::HostRead => 2,
            Self::HostWrite => 3,
        }
    }

    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Nothing | Self::OwnRead => "no",
            Self::OwnWrite => "own-write",
            Self::HostRead => "read",
            Self::HostWrite => "write",
        }
    }
}

/// What can be done where: the nearest row above a path decides.
#[derive(Clone, Debug, Default)]
pub(super) struct Access(BTreeMap<PathBuf, (Way, Class)>);

impl Access {
    pub(super) fn at(&self, path: &Path) -> Way {
        path.ancestors().find_map(|above| self.0.get(above)).map_or(Way::Nothing, |(way, _)| *way)
    }

    /// Where something begins, and whether that is a file or a folder.
    pub(super) fn paths(&self) -> impl Iterator<Item = (&PathBuf, Class)> {
        self.0.iter().map(|(path, (_, class))| (path, *class))
    }
}

/// A tree of one kind: its way, and what is in it.
#[derive(Default)]
struct Tree {
    way: Way,
    host: Option<PathBuf>,
    by_bits: bool,
    files: u64,
    readable: u64,
    writable: u64,
    executable: u64,
}

/// Folds the folders, and judges the files that were told.
pub(super) fn judge(told: &Told, plan: &Plan, not_tried: &mut Vec<NotTried>) -> (Access, Vec<Item>) {
    let trees = fold(told, plan, not_tried);
    let mut access =
        Access(trees.iter().map(|(path, tree)| (path.clone(), (tree.way, Class::Folder))).collect());
    let shown = |tree: &Tree| tree.way > Way::OwnRead;
    let mut items: Vec<_> =
        trees.iter().filter(|(_, tree)| shown(tree)).map(|(path, tree)| folder(path, tree)).collect();
    let mut secrets: Vec<PathBuf> = Vec::new();
    for record in told.of(Kind::Entry) {
        items.extend(differs(record, plan, &mut access));
        // A folder is told after what is in it: the outermost secret is named alone.
        items.extend(entry(record, plan, &mut secrets, not_tried));
    }
    let below = |item: &Item| {
        let path = Path::new(&item.name);
        item.class == Class::Secret && secrets.iter().any(|secret| path != secret && path.starts_with(secret))
    };
    items.retain(|item| !below(item));
    (access, items)
}

fn path_of(record: &Record) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(&record.text))
}

pub(super) fn name_of(path: &Path) -> String {
    text(path.as_os_str().as_bytes())
}

/// How many files can be executed.
pub(super) fn executables(told: &Told) -> u64 {
    told.of(Kind::Folder).map(|record| record.head.numbers[1] >> 32).sum()
}

/// A row wherever what can be done changes on the way down, or another part of the host begins.
fn fold(told: &Told, plan: &Plan, not_tried: &mut Vec<NotTried>) -> BTreeMap<PathBuf, Tree> {
    let folders: BTreeMap<PathBuf, &Record> =
        told.of(Kind::Folder).map(|record| (path_of(record), record)).collect();
    let mut trees: BTreeMap<PathBuf, Tree> = BTreeMap::new();
    // Parents come before their children in this order.
    for (path, record) in &folders {
        let head = record.head;
        if head.flags & flag::UNFINISHED != 0 {
            let why = "it is too deep, too long, or took too long".to_owned();
            not_tried.push(NotTried { what: format!("the rest of {}", name_of(path)), why });
        }
        let host = plan.steps.host_path(path);
        let above = path.ancestors().find(|above| trees.contains_key(*above)).map(Path::to_owned);
        let closed = head.errno != 0;
        let writes = head.flags & flag::WRITE != 0;
        let way = if closed { Way::Nothing } else { Way::of(host.is_some(), writes) };
        let goes_on = above.as_ref().is_some_and(|above| {
            let tree = &trees[above];
            let same_part = match (&tree.host, &host) {
                (Some(there), Some(here)) => {
                    path.strip_prefix(above).is_ok_and(|rest| there.join(rest) == *here)
                }
                (None, None) => true,
                _ => false,
            };
            tree.way == way && (closed || same_part)
        });
        let at = if goes_on { above.unwrap_or_default() } else { path.clone() };
        let tree = trees.entry(at).or_insert_with(|| Tree { way, host, ..Tree::default() });
        tree.by_bits |= head.flags & flag::BY_BITS != 0;
        let [read, write, _] = head.numbers;
        tree.files += read & 0xffff_ffff;
        tree.readable += read >> 32;
        tree.writable += write & 0xffff_ffff;
        tree.executable += write >> 32;
    }
    trees
}

fn folder(path: &Path, tree: &Tree) -> Item {
    let name = name_of(path);
    let mut said = vec![if tree.files == 1 { "1 file".to_owned() } else { format!("{} files", tree.files) }];
    let unreadable = tree.files - tree.readable.min(tree.files);
    for (count, what) in
        [(unreadable, "not readable"), (tree.writable, "writable"), (tree.executable, "executable")]
    {
        said.extend((count > 0).then(|| format!("{count} {what}")));
    }
    if tree.by_bits {
        said.push(
            "writable by its permission bits: this file system makes no file without a name".to_owned(),
        );
    }
    let mut item = Item::new(Class::Folder, &name, tree.way.word(), tree.way.level());
    if let Some(host) = tree.host.as_ref().filter(|host| *host != path) {
        said.push(format!("the host's {}", host.display()));
    }
    if tree.way == Way::HostWrite {
        item.persists = tree.host.as_ref().map(|host| host.display().to_string());
        item.remedy = Some(format!("--ro {name} makes it read-only"));
    } else if tree.way == Way::HostRead {
        item.remedy = Some(format!("--deny {name} hides it"));
    }
    item.detail(said.join(", "))
}

/// What a record on a file means; several things at once for some.
fn entry(
    record: &Record,
    plan: &Plan,
    secrets: &mut Vec<PathBuf>,
    not_tried: &mut Vec<NotTried>,
) -> Vec<Item> {
    let (flags, numbers) = (record.head.flags, record.head.numbers);
    let has = |flag: u32| flags & flag != 0;
    let path = path_of(record);
    let name = name_of(&path);
    let ways = match (has(flag::READ), has(flag::WRITE)) {
        (true, true) => Some(("read-write", 3)),
        (false, true) => Some(("write", 2)),
        (true, false) => Some(("read", 1)),
        (false, false) => None,
    };
    let mut items = Vec::new();
    if has(flag::NOT_OPENED) {
        let why = "opening it does something: it starts a timer, or moves a tape".to_owned();
        not_tried.push(NotTried { what: name.clone(), why });
    }
    if has(flag::SECRET) && has(flag::READ) && (!has(flag::FOLDER) || is_the_hosts(plan, &path)) {
        let (word, level) = ways.unwrap_or(("read", 1));
        let what = usize::try_from(numbers[1]).ok().and_then(|row| SECRETS.get(row)).map_or("", |row| row.1);
        secrets.push(path.clone());
        items
            .push(Item::new(Class::Secret, &name, word, level).detail(what).remedy(format!("--deny {name}")));
    }
    if has(flag::SETUID | flag::SETGID | flag::CAPABILITIES) && has(flag::READ | flag::EXECUTE) {
        items.push(setuid(&name, flags));
    }
    if has(flag::TOOL) {
        items.push(Item::new(Class::Program, &name, "execute", 1));
    }
    if has(flag::DEVICE)
        && let Some((word, level)) = ways
    {
        items.push(device(&name, word, level));
    } else if has(flag::FIFO)
        && let Some((word, level)) = ways
    {
        items.push(
            Item::new(Class::Socket, &name, word, level).detail("FIFO").remedy(format!("--deny {name}")),
        );
    } else if has(flag::SOCKET) && has(flag::ANSWERS) {
        let item =
            Item::new(Class::Socket, &name, "connect", 3).detail("a unix socket that somebody listens on");
        let mut item = item.remedy(format!("--deny {name}"));
        item.persists = Some("whatever its owner keeps".to_owned());
        items.push(item);
    } else if has(flag::SOCKET) && record.head.errno == NOT_TRIED {
        let why = "to connect ends the program".to_owned();
        not_tried.push(NotTried { what: name.clone(), why });
    }
    items
}

/// A folder of the sandbox's own is empty, whatever its name. A file that is not may be shown as it was at the start.
fn is_the_hosts(plan: &Plan, path: &Path) -> bool {
    plan.steps.host_path(path).is_some()
}

/// A regular file with which something else can be done than with what is around it.
fn differs(record: &Record, plan: &Plan, access: &mut Access) -> Option<Item> {
    let flags = record.head.flags;
    let others = flag::DEVICE | flag::FIFO | flag::SOCKET | flag::FOLDER;
    let matters = flags & (flag::MOUNTED | flag::WRITE) != 0 || flags & flag::READ == 0;
    if flags & others != 0 || !matters {
        return None;
    }
    let path = path_of(record);
    let host = plan.steps.host_path(&path);
    let seen = flags & (flag::READ | flag::WRITE) != 0;
    let way = if seen { Way::of(host.is_some(), flags & flag::WRITE != 0) } else { Way::Nothing };
    if way == access.at(&path) {
        return None;
    }
    access.0.insert(path.clone(), (way, Class::File));
    let name = name_of(&path);
    if flags & flag::WRITE != 0 && ["/proc", "/sys"].iter().any(|kernels| path.starts_with(kernels)) {
        return Some(Item::new(Class::Interface, name, "write", 2));
    }
    let mut item = Item::new(Class::File, &name, way.word(), way.level());
    if way == Way::HostWrite {
        item.persists = host.map(|host| host.display().to_string());
        item.remedy = Some(format!("--ro {name} makes it read-only"));
    } else if way == Way::HostRead {
        item.remedy = Some(format!("--deny {name} hides it"));
    }
    (way > Way::OwnRead).then_some(item)
}

fn setuid(name: &str, flags: u32) -> Item {
    let kinds =
        [(flag::SETUID, "setuid"), (flag::SETGID, "setgid"), (flag::CAPABILITIES, "file capabilities")];
    let kinds: Vec<_> =
        kinds.into_iter().filter(|(flag, _)| flags & flag != 0).map(|(_, word)| word).collect();
    let (reach, level, why) = if flags & flag::NOSUID != 0 {
        ("without-effect", 1, ", without effect: no_new_privs, and a nosuid mount")
    } else {
        ("no-new-privs-only", 2, ", without effect by no_new_privs alone: its mount would let it")
    };
    Item::new(Class::Setuid, name, reach, level).detail(kinds.join(", ") + why)
}

/// What every sandbox has, and the rest.
fn device(name: &str, word: &str, level: u64) -> Item {
    let harmless = ["null", "zero", "full", "random", "urandom", "tty", "ptmx"]
        .iter()
        .any(|device| name == format!("/dev/{device}") || name == "/dev/pts/ptmx")
        || name.starts_with("/dev/pts/");
    let item = Item::new(Class::Device, name, word, level);
    if harmless {
        item.detail("every sandbox has it")
    } else {
        item.detail("the host's").remedy("do without its --device")
    }
}
