//! Unsafe code lives where the kernel is called, and says why it is sound.

use super::{Finding, Source, rust};

const PLACES: [&str; 4] = ["crates/init/", "crates/linux/", "tests/", "fuzz/"];

/// Lines of code that may stand between the reason and the block.
const REACH: usize = 3;

pub(super) fn check(sources: &[Source]) -> Vec<Finding> {
    sources.iter().flat_map(check_source).collect()
}

fn check_source(source: &Source) -> Vec<Finding> {
    let allowed = PLACES.iter().any(|place| source.path.starts_with(place));
    let mut findings = Vec::new();
    for (at, word) in rust::identifiers(&source.code) {
        if word != "unsafe" {
            continue;
        }
        if !allowed {
            let why =
                "unsafe lives only where the kernel is called: crates/init, crates/linux, tests and fuzz";
            findings.push(source.finding(at, "`unsafe`".to_owned(), why));
        } else if rust::after(&source.code, at + word.len()).starts_with('{') && !has_reason(&source.text, at)
        {
            let why = "name the callee's precondition and why it holds here, in the lines above";
            findings.push(source.finding(at, "an unsafe block without a SAFETY comment".to_owned(), why));
        }
    }
    findings
}

/// Is there a SAFETY comment on the line or a few above? A comment is as long as it needs to be: only lines of
/// code count.
fn has_reason(text: &str, at: usize) -> bool {
    let lines: Vec<_> = text.lines().take(rust::line(text, at)).collect();
    let mut code = 0;
    for line in lines.into_iter().rev() {
        if line.contains("SAFETY:") {
            return true;
        }
        code += usize::from(!line.trim_start().starts_with("//"));
        if code > REACH {
            break;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::super::found;
    use super::check;

    #[test]
    fn flags_unsafe_in_other_places() {
        for text in [
            "fn a() { unsafe { b() } }",
            "unsafe fn a() {}",
            "unsafe impl A for B {}",
            "unsafe extern \"C\" {}",
        ] {
            assert_eq!(found(check, "crates/policy/src/a.rs", text), ["1: `unsafe`"], "{text}");
        }
    }

    #[test]
    fn leaves_the_word_elsewhere() {
        let text = "#![forbid(unsafe_code)]\n// unsafe { }\nconst A: &str = \"unsafe {\";\n";
        assert!(found(check, "crates/policy/src/a.rs", text).is_empty());
        assert!(found(check, "ARCHITECTURE.md", "unsafe { }").is_empty());
    }

    #[test]
    fn flags_a_block_without_a_reason() {
        let text = "fn a() {\n// SAFETY: too far\nb();\nb();\nb();\nunsafe { c() }\n}";
        assert_eq!(
            found(check, "crates/linux/src/a.rs", text),
            ["6: an unsafe block without a SAFETY comment"]
        );
    }

    #[test]
    fn leaves_a_block_with_a_reason() {
        let long = "// SAFETY: one\n// two\n// three\n// four\nlet a =\n    unsafe { b() };";
        for text in
            [long, "// SAFETY: a\nunsafe { b() }", "let a = unsafe { b() }; // SAFETY: c", "unsafe fn a() {}"]
        {
            assert!(found(check, "crates/init/src/a.rs", text).is_empty(), "{text}");
        }
    }
}
