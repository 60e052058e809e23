//! The one change that would allow what was refused, as it can be copied.

use std::path::Path;

use ringfence_seccomp::{Answers, Filter, Said};

use crate::filter::NATIVE;

/// A flag with a path, as a shell takes it.
pub(super) fn grant(flag: &str, path: &Path) -> String {
    format!("{flag} {}", quoted(&path.to_string_lossy()))
}

/// A host path that stands elsewhere inside.
pub(super) fn bind(host: &Path, inside: &Path) -> String {
    let colons = |path: &Path| path.to_string_lossy().replace(':', "\\:");
    format!("--bind {}", quoted(&format!("{}:{}:rw", colons(host), colons(inside))))
}

/// One word of a shell.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// The line of a profile that allows a system call; `None` where none does.
pub(super) fn syscall(filter: &Filter, name: &str, number: u32, arguments: &[u64; 6]) -> Option<String> {
    let mut wider = filter.clone();
    wider.syscalls.allow.push(name.to_owned());
    let said = Answers::of(&wider, NATIVE).to(number, arguments);
    (said == Said::Pass).then(|| format!("\"syscalls\": {{ \"allow\": [\"{name}\"] }}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word() {
        for (path, word) in [
            ("/srv/a-b_c.d", "/srv/a-b_c.d"),
            ("/srv/a b", "'/srv/a b'"),
            ("/srv/it's", r"'/srv/it'\''s'"),
            ("/srv/$(x)`y`", "'/srv/$(x)`y`'"),
        ] {
            assert_eq!(grant("--ro", Path::new(path)), format!("--ro {word}"));
        }
        assert_eq!(bind(Path::new("/a:b"), Path::new("/c")), r"--bind '/a\:b:/c:rw'");
    }

    #[test]
    fn only_what_would_pass_is_said() {
        let mut filter = Filter::default();
        filter.syscalls.allow.push("@default".to_owned());
        let line = |name: &str, arguments| syscall(&filter, name, NATIVE.number(name).unwrap(), &arguments);
        assert_eq!(line("ptrace", [0; 6]).unwrap(), "\"syscalls\": { \"allow\": [\"ptrace\"] }");
        assert_eq!(line("mount", [0; 6]), None, "the floor");
        assert_eq!(line("clone", [0x1000_0000, 0, 0, 0, 0, 0]), None, "a new user namespace");
    }
}
