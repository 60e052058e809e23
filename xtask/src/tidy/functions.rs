//! A function fits on a screen; a file has one subject.

use super::{Finding, Source, rust};

const FUNCTION: usize = 70;
const FILE: usize = 600;

/// Tables of the kernel's interface: long, and read by looking up.
const TABLES: [&str; 2] = ["crates/init/src/abi.rs", "crates/init/src/sys.rs"];
const TABLE: usize = 700;

pub(super) fn check(sources: &[Source]) -> Vec<Finding> {
    sources.iter().filter(|source| source.path.ends_with(".rs")).flat_map(check_source).collect()
}

fn check_source(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    let limit = if TABLES.contains(&source.path.as_str()) { TABLE } else { FILE };
    let lines = source.text.lines().count();
    if lines > limit {
        let what = format!("{lines} lines, more than {limit}");
        findings.push(Finding {
            path: source.path.clone(),
            line: lines,
            what,
            why: "a long file often hides two",
        });
    }
    for (at, word) in rust::identifiers(&source.code) {
        let Some(name) = (word == "fn").then(|| name(&source.code, at)).flatten() else { continue };
        let Some(end) = body_end(&source.code, at) else { continue };
        let lines = rust::line(&source.text, end) - rust::line(&source.text, at) + 1;
        if lines > FUNCTION {
            let what = format!("`fn {name}` has {lines} lines, more than {FUNCTION}");
            findings.push(source.finding(at, what, "one step is one short function"));
        }
    }
    findings
}

/// The name after `fn`; none for a function type or a macro's fragment.
fn name(code: &str, at: usize) -> Option<&str> {
    let rest = rust::after(code, at + "fn".len());
    let (0, name) = rust::identifiers(rest).next()? else { return None };
    Some(name)
}

/// Where the body's last brace is; none for a declaration without a body.
fn body_end(code: &str, at: usize) -> Option<usize> {
    let (mut round, mut braces) = (0_usize, 0_usize);
    for (index, byte) in code.bytes().enumerate().skip(at) {
        match byte {
            b'(' | b'[' => round += 1,
            b')' | b']' => round = round.saturating_sub(1),
            b';' if round == 0 && braces == 0 => return None,
            b'{' => braces += 1,
            b'}' if braces <= 1 => return (braces == 1).then_some(index),
            b'}' => braces -= 1,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::found;
    use super::check;

    fn function(lines: usize) -> String {
        format!("fn long(a: [u8; 3]) -> [u8; 3]\n{{\n{}}}\n", "a();\n".repeat(lines - 3))
    }

    #[test]
    fn flags_a_long_function() {
        let text = format!("trait A {{ fn none(); }}\n{}", function(71));
        assert_eq!(found(check, "src/a.rs", &text), ["2: `fn long` has 71 lines, more than 70"]);
    }

    #[test]
    fn leaves_a_function_that_fits() {
        assert!(found(check, "src/a.rs", &function(70)).is_empty());
        let braces = format!("fn a() {{\n'{{'; \"{{\"; // {{\n}}\n{}", "b!();\n".repeat(100));
        assert!(found(check, "src/a.rs", &braces).is_empty());
        let kind = format!("type A = fn(u8) -> u8;\nconst B: [u8; 100] = [\n{}];\n", "0,\n".repeat(100));
        assert!(found(check, "src/a.rs", &kind).is_empty());
    }

    #[test]
    fn flags_a_long_file() {
        assert_eq!(found(check, "src/a.rs", &"\n".repeat(601)), ["601: 601 lines, more than 600"]);
        assert_eq!(found(check, "crates/init/src/abi.rs", &"\n".repeat(701)).len(), 1);
    }

    #[test]
    fn leaves_a_file_that_fits_and_the_tables() {
        assert!(found(check, "src/a.rs", &"\n".repeat(600)).is_empty());
        assert!(found(check, "crates/init/src/sys.rs", &"\n".repeat(700)).is_empty());
        assert!(found(check, "README.md", &"\n".repeat(2000)).is_empty());
    }
}
