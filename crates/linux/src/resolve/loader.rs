//! What the kernel will load when it executes the program: a dynamic loader needs system calls before the program's
//! first instruction.

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use crate::layout::Layout;

/// How the program's start goes on after the exec.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Start {
    /// A dynamic loader runs first (elf(5), `PT_INTERP`).
    pub dynamic: bool,
    /// It is a script whose first line has env(1) execute the interpreter.
    pub by_env: bool,
}

/// How many `#!` lines the kernel follows (execve(2)).
const DEEPEST: usize = 5;

/// Follows the program, by its path inside. What cannot be read is left to the kernel's own word.
pub(super) fn start(layout: &Layout, program: &Path) -> Start {
    let mut start = Start::default();
    let mut next = program.to_owned();
    for _ in 0..DEEPEST {
        let Some((host, _)) = layout.look_up(&next).and_then(|found| found.host) else { break };
        let Ok(file) = fs::File::open(&host) else { break };
        let Some(interpreter) = interpreter(&file) else {
            start.dynamic = has_loader(&file);
            break;
        };
        start.by_env |= interpreter.file_name().is_some_and(|name| name == "env");
        next = interpreter;
    }
    start
}

/// The interpreter of a script's first line.
fn interpreter(file: &fs::File) -> Option<PathBuf> {
    let mut head = [0_u8; 256];
    let length = file.read_at(&mut head, 0).ok()?;
    let line = head.get(..length)?.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let word = line.split(u8::is_ascii_whitespace).find(|word| !word.is_empty())?;
    Some(PathBuf::from(String::from_utf8_lossy(word).into_owned()))
}

/// Does a 64-bit executable name a dynamic loader?
fn has_loader(file: &fs::File) -> bool {
    const PT_INTERP: u32 = 3;
    let mut header = [0_u8; 64];
    if file.read_exact_at(&mut header, 0).is_err() || !header.starts_with(b"\x7fELF\x02\x01") {
        return false;
    }
    // elf(5): e_phoff at 32, e_phentsize at 54, e_phnum at 56; p_type comes first in an entry.
    let word = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
    let table = header[32..40].try_into().map_or(0, u64::from_le_bytes);
    (0..u64::from(word(56))).any(|index| {
        let mut kind = [0_u8; 4];
        let at = index.checked_mul(word(54).into()).and_then(|offset| table.checked_add(offset));
        at.is_some_and(|at| file.read_exact_at(&mut kind, at).is_ok())
            && u32::from_le_bytes(kind) == PT_INTERP
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_test_is_dynamic_and_pid_1_is_not() {
        let own = std::env::current_exe().unwrap();
        let dynamic = !cfg!(target_feature = "crt-static");
        assert_eq!(has_loader(&fs::File::open(own).unwrap()), dynamic);
        let folder = tempfile::tempdir().unwrap();
        let pid1 = folder.path().join("pid1");
        fs::write(&pid1, ringfence_init::IMAGE).unwrap();
        assert!(!has_loader(&fs::File::open(&pid1).unwrap()));
    }

    #[test]
    fn what_is_no_program_has_no_loader() {
        let folder = tempfile::tempdir().unwrap();
        for content in [&b""[..], b"\x7fELF", b"#!/bin/sh\n", &[0xff; 64]] {
            let file = folder.path().join("file");
            fs::write(&file, content).unwrap();
            assert!(!has_loader(&fs::File::open(&file).unwrap()));
        }
        let script = folder.path().join("script");
        fs::write(&script, "#! /usr/bin/env -S python3\n").unwrap();
        let file = fs::File::open(&script).unwrap();
        assert_eq!(interpreter(&file), Some(PathBuf::from("/usr/bin/env")));
    }
}
