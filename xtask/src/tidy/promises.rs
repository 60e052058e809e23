//! Every promise in SPEC.md names the tests that hold it, and they exist; so does every row of docs/CVES.md.
//!
//! A promise is a row of a table whose last column is headed `test` or `tests`; that column holds names in
//! backticks, as `file::function` or `module::function`.

use super::{Finding, Source, rust};

const SPEC: &str = "SPEC.md";
/// Checked where it is there.
const LEDGER: &str = "docs/CVES.md";

pub(super) fn check(sources: &[Source]) -> Vec<Finding> {
    let Some(spec) = sources.iter().find(|source| source.path == SPEC) else {
        let what = "missing".to_owned();
        return vec![Finding {
            path: SPEC.to_owned(),
            line: 1,
            what,
            why: "every promise stands there with its test",
        }];
    };
    let ledger = sources.iter().find(|source| source.path == LEDGER);
    std::iter::once(spec).chain(ledger).flat_map(|document| check_document(document, sources)).collect()
}

fn check_document(document: &Source, sources: &[Source]) -> Vec<Finding> {
    let promises = promises(&document.text);
    let mut findings: Vec<Finding> = Vec::new();
    let mut finding =
        |line, what: String, why| findings.push(Finding { path: document.path.clone(), line, what, why });
    if promises.is_empty() {
        finding(1, "no table whose last column is `tests`".to_owned(), "every promise names its test");
    }
    for (index, promise) in promises.iter().enumerate() {
        let Promise { line, id, tests } = promise;
        if promises.iter().take(index).any(|other| other.id == *id) {
            finding(*line, format!("a second row `{id}`"), "a promise is cited by its id");
        }
        if tests.is_empty() {
            finding(*line, format!("the row `{id}` names no test"), "a promise without a test is a wish");
        }
        for test in tests.iter().filter(|test| !sources.iter().any(|source| holds(source, test))) {
            let why =
                "it must be a #[test] function in tests/ or crates/, in the file or module that is named";
            finding(*line, format!("the row `{id}` names `{test}`, which is not there"), why);
        }
    }
    findings
}

struct Promise<'a> {
    line: usize,
    id: &'a str,
    tests: Vec<&'a str>,
}

fn promises(spec: &str) -> Vec<Promise<'_>> {
    let mut rows = Vec::new();
    // The header of the table that we are in, when it is one of promises.
    let mut inside = None;
    for (index, line) in spec.lines().enumerate() {
        let Some(cells) = cells(line) else {
            inside = None;
            continue;
        };
        let (Some(id), Some(last)) = (cells.first(), cells.last()) else { continue };
        match inside {
            None => inside = Some(matches!(last.to_ascii_lowercase().as_str(), "test" | "tests")),
            Some(true) if !id.trim_matches(['-', ':']).is_empty() => {
                rows.push(Promise {
                    line: index + 1,
                    id,
                    tests: last.split('`').skip(1).step_by(2).collect(),
                });
            }
            Some(_) => {}
        }
    }
    rows
}

/// The cells of a table's row; none when the line is no row.
fn cells(line: &str) -> Option<Vec<&str>> {
    let row = line.trim().strip_prefix('|')?.trim_end_matches('|');
    Some(row.split('|').map(str::trim).collect())
}

/// Does a file hold the test `file::function`?
fn holds(source: &Source, test: &str) -> bool {
    if !(source.path.starts_with("tests/") || source.path.starts_with("crates/")) {
        return false;
    }
    let (place, function) = test.rsplit_once("::").unwrap_or(("", test));
    // Nearly every file is left here, before its words are taken apart.
    if !source.code.contains(function) {
        return false;
    }
    let functions = rust::identifiers(&source.code).filter(|(_, word)| *word == "fn");
    let mut named = functions.filter(|(at, _)| {
        rust::identifiers(&source.code[at + "fn".len()..]).next().is_some_and(|(_, name)| name == function)
    });
    named.any(|(at, _)| is_test(&source.code, at)) && place.split("::").all(|part| is_place(source, part))
}

/// Are the attributes above the function those of a test?
fn is_test(code: &str, at: usize) -> bool {
    let line = rust::line(code, at);
    let above: Vec<_> = code.lines().take(line - 1).collect();
    let above = above.into_iter().rev().map(str::trim);
    // Comments are blank here.
    above.take_while(|line| line.is_empty() || line.starts_with("#[")).any(|line| line == "#[test]")
}

/// Is the file in a folder of that name, called so, or has it a module called so?
fn is_place(source: &Source, part: &str) -> bool {
    let path = source.path.trim_end_matches(".rs");
    let folder = part.strip_prefix("ringfence_").unwrap_or(part);
    let mut words = rust::identifiers(&source.code).map(|(_, word)| word);
    part.is_empty()
        || path.split('/').any(|name| name == part || name == folder)
        || std::iter::from_fn(|| words.find(|word| *word == "mod").and_then(|_| words.next()))
            .any(|name| name == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "# Promises\n| id | promise | tests |\n| --- | --- | :-- |\n";

    fn check_spec(rows: &str) -> Vec<String> {
        let code = "#[test]\n// why\n#[cfg(unix)]\nfn row_5() {}\nfn helper() {}\nmod inner {\n#[test]\nfn row_6() {} }";
        let sources = [
            Source::new("SPEC.md", &format!("{HEAD}{rows}")),
            Source::new("tests/escape/rows.rs", code),
            Source::new("xtask/src/a.rs", "#[test]\nfn row_7() {}"),
        ];
        check(&sources).into_iter().map(|finding| format!("{}: {}", finding.line, finding.what)).collect()
    }

    #[test]
    fn leaves_promises_that_are_held() {
        let rows = "| A1 | it | `escape::rows::row_5`, `inner::row_6` |\n| A2 | it | `row_5` |\n";
        assert_eq!(check_spec(rows), Vec::<String>::new());
        let other = "| A1 | it | `row_5` |\n\n| guarantee | layers |\n| --- | --- |\n| files | `mounts` |\n";
        assert_eq!(check_spec(other), Vec::<String>::new());
    }

    #[test]
    fn flags_a_test_that_is_not_there() {
        for test in ["escape::row_8", "files::row_5", "helper", "row_7", "row_"] {
            let want = format!("4: the row `A1` names `{test}`, which is not there");
            assert_eq!(check_spec(&format!("| A1 | it | `{test}` |\n")), [want]);
        }
    }

    #[test]
    fn flags_rows_without_tests_and_rows_twice() {
        assert_eq!(check_spec("| A1 | it | later |\n"), ["4: the row `A1` names no test"]);
        assert_eq!(check_spec("| A1 | a | `row_5` |\n| A1 | b | `row_5` |\n"), ["5: a second row `A1`"]);
    }

    #[test]
    fn the_ledger_is_held_to_the_same() {
        let spec = Source::new("SPEC.md", &format!("{HEAD}| A1 | it | `row_5` |\n"));
        let code = Source::new("tests/escape/rows.rs", "#[test]\nfn row_5() {}");
        let ledger = |test: &str| Source::new(LEDGER, &format!("{HEAD}| CVE-1 | it | `{test}` |\n"));
        assert_eq!(check(&[spec, code, ledger("row_5")]), []);
        let spec = Source::new("SPEC.md", &format!("{HEAD}| A1 | it | `row_5` |\n"));
        let code = Source::new("tests/escape/rows.rs", "#[test]\nfn row_5() {}");
        assert_eq!(check(&[spec, code, ledger("row_6")]).len(), 1);
    }

    #[test]
    fn flags_a_missing_spec_and_an_empty_one() {
        assert_eq!(check(&[]).len(), 1);
        assert_eq!(check(&[Source::new("SPEC.md", "# Promises\n")]).len(), 1);
    }
}
