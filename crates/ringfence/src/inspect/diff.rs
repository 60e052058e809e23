//! Two inspections: what one reaches that the other does not.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::files::Way;
use super::{Class, Inspection, Item};

/// What became of a thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// More can be reached: the sandbox is weaker.
    Weaker,
    /// Less can be reached: the sandbox is stronger.
    Stronger,
}

/// One thing that is not the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The second policy against the first.
    pub direction: Direction,
    /// What it is about.
    pub class: Class,
    /// Which one.
    pub name: String,
    /// How far it was reached; `no` where it was not.
    pub before: String,
    /// How far it is.
    pub after: String,
}

/// What the second policy reaches more, or less, than the first.
#[derive(Clone, Debug, Serialize)]
pub struct Difference {
    /// [`SCHEMA`](super::SCHEMA).
    pub schema: u32,
    /// The profile that the first policy began as.
    pub before: String,
    /// The profile that the second one began as.
    pub after: String,
    /// What differs: weaker first, in the order of the classes.
    pub changes: Vec<Change>,
}

/// Compares. Trees are compared path by path: what a folder above says holds below.
#[must_use]
pub fn difference(before: &Inspection, after: &Inspection) -> Difference {
    let mut changes = folders(before, after);
    let [old, new] = [before, after].map(named);
    let keys: BTreeSet<_> = old.keys().chain(new.keys()).copied().collect();
    for key in keys {
        let levels =
            [&old, &new].map(|items| items.get(&key).map_or((0, "no"), |item| (item.level, &*item.reach)));
        changes.extend(change(key.0, key.1, levels[0], levels[1]));
    }
    changes.sort_by(|a, b| {
        let key = |change: &Change| {
            (change.direction, change.class, change.before.clone(), change.after.clone(), change.name.clone())
        };
        key(a).cmp(&key(b))
    });
    let schema = super::SCHEMA;
    Difference { schema, before: before.profile.clone(), after: after.profile.clone(), changes }
}

fn named(inspection: &Inspection) -> BTreeMap<(Class, &str), &Item> {
    let items = inspection.items.iter().filter(|item| !matches!(item.class, Class::Folder | Class::File));
    items.map(|item| ((item.class, item.name.as_str()), item)).collect()
}

fn change(class: Class, name: &str, before: (u64, &str), after: (u64, &str)) -> Option<Change> {
    let direction = match before.0.cmp(&after.0) {
        std::cmp::Ordering::Less => Direction::Weaker,
        std::cmp::Ordering::Greater => Direction::Stronger,
        std::cmp::Ordering::Equal => return None,
    };
    let [before, after] = [before.1, after.1].map(str::to_owned);
    Some(Change { direction, class, name: name.to_owned(), before, after })
}

/// Every folder at which a tree of either begins, and every file that is not as its folder. One that says what the nearest above it says is left out.
fn folders(before: &Inspection, after: &Inspection) -> Vec<Change> {
    let paths: BTreeSet<_> = before.folders.paths().chain(after.folders.paths()).collect();
    let both = |path: &std::path::Path| [before, after].map(|inspection| inspection.folders.at(path));
    let mut changes = Vec::new();
    for (path, class) in paths {
        let [old, new] = both(path);
        let above = path.parent().map_or([Way::Nothing; 2], both);
        if above == [old, new] {
            continue;
        }
        let level = |way: Way| (way.level(), way.word());
        changes.extend(change(class, &super::files::name_of(path), level(old), level(new)));
    }
    changes
}
