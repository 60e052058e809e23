//! Nothing in the project knows the machine that it was written on, nor where packages come from.

use super::{Finding, Source};

/// Folders of one machine. Split, so that this file keeps its own rule.
const FOLDERS: [&str; 2] = [concat!("/ro", "ot/"), concat!("/wo", "rk/")];

/// Package registries and mirrors: tools know their own.
const REGISTRIES: [&str; 9] = [
    concat!("index.crates", ".io"),
    concat!("static.crates", ".io"),
    concat!("static.rust-lang", ".org"),
    concat!("deb.debian", ".org"),
    concat!("security.debian", ".org"),
    concat!("archive.ubuntu", ".com"),
    concat!("files.pythonhosted", ".org"),
    concat!("registry.npmjs", ".org"),
    concat!("dl-cdn.alpinelinux", ".org"),
];

pub(super) fn check(sources: &[Source]) -> Vec<Finding> {
    sources.iter().flat_map(check_source).collect()
}

fn check_source(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for folder in FOLDERS {
        for (at, _) in source.text.match_indices(folder).filter(|(at, _)| is_absolute(&source.text, *at)) {
            let why = "no path of one machine: take it from the environment or make a folder of your own";
            findings.push(source.finding(at, format!("the path `{folder}`"), why));
        }
    }
    for host in REGISTRIES {
        for (at, _) in source.text.match_indices(host) {
            let why = "package tools know their own registries, and CI may give them another";
            findings.push(source.finding(at, format!("the registry `{host}`"), why));
        }
    }
    findings
}

/// Is this the beginning of a path, and not the end of a longer one or of an address?
fn is_absolute(text: &str, at: usize) -> bool {
    let before = text.get(..at).and_then(|before| before.chars().next_back());
    !before.is_some_and(|char| char.is_alphanumeric() || "._-~*}/)".contains(char))
}

#[cfg(test)]
mod tests {
    use super::super::found;
    use super::{FOLDERS, REGISTRIES, check};

    #[test]
    fn flags_a_machine_and_a_registry() {
        for folder in FOLDERS {
            let want = format!("2: the path `{folder}`");
            assert_eq!(found(check, "a.md", &format!("\ncd {folder}x")), [want]);
        }
        for host in REGISTRIES {
            assert_eq!(found(check, "a.sh", &format!("https://{host}/x")).len(), 1, "{host}");
        }
    }

    #[test]
    fn leaves_longer_paths() {
        for folder in FOLDERS {
            for before in ["target", "$dir/new", "example.org", "${base}"] {
                assert!(found(check, "a.md", &format!("{before}{folder}x")).is_empty(), "{before}");
            }
        }
        assert!(found(check, "a.md", "https://crates.io/crates/ringfence").is_empty());
    }
}
