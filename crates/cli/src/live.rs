//! `ringfence kill`: ends live sandboxes of this user.

use ringfence::Registry;
use ringfence::policy::Problem;
use ringfence::registry::{self, Ended, Entry};

use crate::messages::escaped;
use crate::output::FAILED;
use crate::{messages, output};

/// Ends those that are named; all are tried.
pub(crate) fn kill(which: &[String]) -> u8 {
    let entries = Registry::list();
    let mut lines = String::new();
    let mut failed = false;
    for word in which {
        match find(&entries, word) {
            Ok(entry) => {
                let ended = registry::kill(entry);
                failed |= ended.result.is_err();
                lines += &line(&ended);
            }
            Err(problem) => {
                messages::problem(&problem);
                failed = true;
            }
        }
    }
    output::print(lines).max(if failed { FAILED } else { 0 })
}

/// Ends all.
pub(crate) fn kill_all() -> u8 {
    let ended = registry::kill_all();
    let lines: String = match ended.as_slice() {
        [] => "no sandbox was live\n".to_owned(),
        ended => ended.iter().map(line).collect(),
    };
    output::print(lines).max(if ended.iter().all(|ended| ended.result.is_ok()) { 0 } else { FAILED })
}

/// A shorter start of an id is a typing error rather than an id.
const SHORTEST: usize = 4;

/// The one that is meant by a name, an id, or a start of an id that no other has.
fn find<'a>(entries: &'a [Entry], word: &str) -> Result<&'a Entry, Problem> {
    let called: Vec<_> =
        entries.iter().filter(|entry| entry.id == word || entry.name.as_deref() == Some(word)).collect();
    let begins = |entry: &&Entry| word.chars().count() >= SHORTEST && entry.id.starts_with(word);
    let begun: Vec<_> = entries.iter().filter(begins).collect();
    match (called.as_slice(), begun.as_slice()) {
        ([one], _) | ([], [one]) => Ok(one),
        ([], []) => Err(Problem::request("kill", format!("no live sandbox is called `{word}`"))
            .remedy("`ringfence ps` lists them")),
        ([], several) => {
            let message = format!("`{word}` begins the ids of {} live sandboxes", several.len());
            Err(Problem::request("kill", message).remedy("write more of the id; `ringfence ps` lists them"))
        }
        _ => Err(Problem::request("kill", format!("`{word}` is a name and another's id"))
            .remedy("name both by their ids")),
    }
}

/// What was done, on one line.
fn line(ended: &Ended) -> String {
    let called = called(&ended.entry);
    let how = if ended.by_cgroup { "frozen first, at once by their cgroup" } else { "frozen first" };
    let stopped = match ended.stopped {
        0 => String::new(),
        stopped => format!(" ({stopped} of its processes were {how})"),
    };
    match &ended.result {
        Ok(()) => format!("killed {called}{stopped}\n"),
        Err(why) => format!("not killed: {called}{stopped}: {}\n", escaped(why)),
    }
}

fn called(entry: &Entry) -> String {
    let name = entry.name.as_ref().map_or_else(String::new, |name| format!(" ({})", escaped(name)));
    format!("{}{name}", escaped(&entry.id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ps::tests::entry;

    #[test]
    fn one_is_called_by_its_name_its_id_or_a_clear_start_of_it() {
        let entries = [entry("0123456789", None), entry("0123999999", Some("n")), entry("0129", None)];
        let found =
            |word: &str| find(&entries, word).map(|entry| entry.id.clone()).map_err(|p| p.to_string());
        for (word, id) in
            [("n", "0123999999"), ("0123456789", "0123456789"), ("01239", "0123999999"), ("0129", "0129")]
        {
            assert_eq!(found(word).as_deref(), Ok(id), "{word}");
        }
        assert!(found("0123").unwrap_err().contains("begins the ids of 2"), "{:?}", found("0123"));
        for word in ["", "012", "x", "nn", "01234567890"] {
            assert!(found(word).unwrap_err().contains("no live sandbox"), "{word}: {:?}", found(word));
        }
        let entries = [entry("one", None), entry("two", Some("one"))];
        assert!(find(&entries, "one").unwrap_err().to_string().contains("another's id"));
    }

    #[test]
    fn what_was_done_is_said() {
        let entry = entry("4", Some("n"));
        let by =
            |by_cgroup, stopped, result| line(&Ended { entry: entry.clone(), stopped, by_cgroup, result });
        let ended = |stopped, result| by(false, stopped, result);
        assert_eq!(ended(0, Ok(())), "killed 4 (n)\n");
        assert_eq!(ended(3, Ok(())), "killed 4 (n) (3 of its processes were frozen first)\n");
        let by_cgroup = "killed 4 (n) (3 of its processes were frozen first, at once by their cgroup)\n";
        assert_eq!(by(true, 3, Ok(())), by_cgroup);
        assert_eq!(ended(0, Err("why".to_owned())), "not killed: 4 (n): why\n");
    }
}
