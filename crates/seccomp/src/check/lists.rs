//! Mistakes in the lists `allow`, `deny`, `kill` and `log`.

use super::{Mistakes, Place, known};
use crate::{Syscalls, floor};

pub(super) struct List<'a> {
    pub(super) word: &'static str,
    pub(super) entries: &'a [String],
    place: fn(usize) -> Place,
    /// What is listed passes.
    passes: bool,
}

pub(super) fn lists(syscalls: &Syscalls) -> [List<'_>; 4] {
    let Syscalls { allow, log, deny, kill, rules: _ } = syscalls;
    [
        List { word: "allow", entries: allow, place: Place::Allow, passes: true },
        List { word: "log", entries: log, place: Place::Log, passes: true },
        List { word: "deny", entries: deny, place: Place::Deny, passes: false },
        List { word: "kill", entries: kill, place: Place::Kill, passes: false },
    ]
}

pub(super) fn check(syscalls: &Syscalls, mistakes: &mut Mistakes) {
    let lists = lists(syscalls);
    for (list, earlier) in lists.iter().enumerate().map(|(place, list)| (list, &lists[..place])) {
        for (index, entry) in list.entries.iter().enumerate() {
            let place = (list.place)(index);
            if !known(entry, place, mistakes) {
                continue;
            }
            if list.entries[..index].contains(entry) {
                mistakes.add(place, format!("`{entry}` is in `{}` twice; keep one", list.word));
                continue;
            }
            if let Some(other) = earlier.iter().find(|other| other.entries.contains(entry)) {
                mistakes.add(
                    place,
                    format!("`{entry}` is both in `{}` and in `{}`; keep one", other.word, list.word),
                );
            }
            if list.passes && floor::refuses(entry) {
                mistakes.add(place, format!("`{entry}` is refused under every policy; leave it out"));
            }
            if !list.passes && floor::ALWAYS.contains(&entry.as_str()) {
                mistakes.add(place, format!("`{entry}` passes under every policy; leave it out"));
            }
        }
    }
}
