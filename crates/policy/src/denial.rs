//! What a sandbox refused: one denial, and the bounded list of a run's.

use serde::{Deserialize, Serialize};

/// What kind of thing was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DenialKind {
    /// A system call.
    Syscall,
    /// A file: not there, not writable, not executable.
    File,
    /// An address, or a family of sockets.
    Network,
    /// A limit was met.
    Limit,
}

/// One thing that was refused, and how often.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denial {
    /// What kind of thing.
    pub kind: DenialKind,
    /// What, in a few words: denials of one kind with the same words are one.
    pub what: String,
    /// The system call, by name.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub call: Option<String>,
    /// Its arguments the first time: numbers, and text where an argument points to a path.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub arguments: Vec<String>,
    /// The path as the program named it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub path: Option<String>,
    /// The same, absolute and without symlinks, as far as it exists inside.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub resolved: Option<String>,
    /// `look`, `read`, `write` or `execute`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub access: Option<String>,
    /// `ADDRESS:PORT`, or the path of a socket.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub address: Option<String>,
    /// The error that the program got, by name, or the signal that ended it. Of a file it is what the supervisor
    /// found: the kernel itself decided.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub answer: Option<String>,
    /// The program that asked first, by the name that the kernel knows it under.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub program: Option<String>,
    /// Its process, on the host; 0 where it was not one process.
    pub pid: i32,
    /// Its thread, on the host; 0 likewise.
    pub thread: i32,
    /// How often.
    pub count: u64,
    /// What would allow it: a flag, which begins with `--`, or a line of a profile, which begins with `"`; `null` where
    /// nothing does.
    pub allow_with: Option<String>,
    /// How likely it is the cause of a failure: larger is likelier.
    #[serde(skip)]
    pub weight: i32,
}

impl Denial {
    /// A denial without its particulars.
    #[must_use]
    pub fn new(kind: DenialKind, what: String, weight: i32) -> Self {
        Self {
            kind,
            what: cut(what),
            call: None,
            arguments: Vec::new(),
            path: None,
            resolved: None,
            access: None,
            address: None,
            answer: None,
            program: None,
            pid: 0,
            thread: 0,
            count: 1,
            allow_with: None,
            weight,
        }
    }
}

/// The longest text that is kept: as long as a path may be (PATH_MAX), and the words around it.
const LONGEST: usize = 4096 + 128;

fn cut(mut text: String) -> String {
    if text.len() > LONGEST {
        let end = (0..=LONGEST).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}

/// The denials of a run: merged, and no more than [`Denials::MOST`] different ones.
#[derive(Clone, Debug, Default)]
pub struct Denials {
    /// Each with when it was last met.
    list: Vec<(u64, Denial)>,
    met: u64,
    /// Met when the list was full, by kind.
    others: [u64; 4],
}

impl Denials {
    /// How many different ones are kept: the next ones are only counted.
    pub const MOST: usize = 256;

    /// Counts one. Answers whether it is new, and kept.
    pub fn add(&mut self, denial: Denial) -> bool {
        self.met += 1;
        let same = |(_, known): &&mut (u64, Denial)| known.kind == denial.kind && known.what == denial.what;
        if let Some((last, known)) = self.list.iter_mut().find(same) {
            (*last, known.weight) = (self.met, known.weight.max(denial.weight));
            known.count = known.count.saturating_add(denial.count);
            return false;
        }
        if self.list.len() < Self::MOST {
            self.list.push((self.met, denial));
            return true;
        }
        self.others[denial.kind as usize] += denial.count;
        false
    }

    /// All of them, the likeliest cause of a failure first; of two equally likely ones that which came last.
    #[must_use]
    pub fn rows(&self) -> Vec<Denial> {
        let mut list = self.list.clone();
        list.sort_by_key(|(last, denial)| std::cmp::Reverse((denial.weight, *last)));
        let kinds = [DenialKind::Syscall, DenialKind::File, DenialKind::Network, DenialKind::Limit];
        let others = kinds.into_iter().zip(self.others).filter(|(_, count)| *count > 0);
        let others = others.map(|(kind, count)| Denial {
            count,
            ..Denial::new(kind, "others, more than are listed".to_owned(), i32::MIN)
        });
        list.into_iter().map(|(_, denial)| denial).chain(others).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(what: &str, weight: i32) -> Denial {
        Denial::new(DenialKind::File, what.to_owned(), weight)
    }

    #[test]
    fn the_millionth_denial_costs_no_more_memory_than_the_first() {
        let mut denials = Denials::default();
        for number in 0..1_000_000_u32 {
            denials.add(file(&format!("/x/{}", number % 1000), 0));
        }
        assert_eq!(denials.list.len(), Denials::MOST);
        let rows = denials.rows();
        assert_eq!(rows.len(), Denials::MOST + 1);
        assert_eq!(rows.iter().map(|row| row.count).sum::<u64>(), 1_000_000);
        assert_eq!(rows.last().unwrap().what, "others, more than are listed");
        let long = file(&"ä".repeat(1 << 20), 0);
        assert!(long.what.len() < LONGEST + 8);
    }

    #[test]
    fn the_likeliest_is_first_and_of_equal_ones_the_last() {
        let mut denials = Denials::default();
        for (what, weight) in [("a", 1), ("b", 5), ("c", 5), ("b", 2), ("d", 0)] {
            denials.add(file(what, weight));
        }
        let rows: Vec<_> = denials.rows().into_iter().map(|row| (row.what, row.count)).collect();
        let expected = [("b", 2), ("c", 1), ("a", 1), ("d", 1)].map(|(what, count)| (what.to_owned(), count));
        assert_eq!(rows, expected);
    }

    #[test]
    fn what_a_denial_says_cannot_end_a_line() {
        let row = serde_json::to_string(&file("/x\n{\"kind\":\"forged\"}\u{1b}[2J", 0)).unwrap();
        assert!(!row.contains(['\n', '\u{1b}']), "{row}");
    }
}
