//! What the kernel will load when it executes the program: a dynamic loader needs system calls before the program's
//! first instruction.

use std::path::{Path, PathBuf};

use ringfence_policy::Problem;

use crate::layout::Layout;
use crate::look;

/// How the program's start goes on after the exec.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Start {
    /// A dynamic loader runs first (elf(5), `PT_INTERP`).
    pub dynamic: bool,
    /// It is a script whose first line has env(1) execute the interpreter.
    pub by_env: bool,
}

/// How many `#!` lines the kernel follows (execve(2)).
pub(super) const DEEPEST: usize = 5;

/// Follows the program, by its path inside. What cannot be read is left to the kernel's own word.
///
/// # Errors
/// Nobody knows what stands at a path.
pub(super) fn start(layout: &Layout, program: &Path) -> Result<Start, Problem> {
    let mut start = Start::default();
    let mut next = program.to_owned();
    for _ in 0..DEEPEST {
        let Some((host, _)) = layout.look_up(&next)?.and_then(|found| found.host) else { break };
        let head = look::present(look::start(&host, HEAD)).map_err(|e| look::unknown(&host, e))?;
        let Some(head) = head else { break };
        let Some(interpreter) = interpreter(&head) else {
            start.dynamic = has_loader(&head);
            break;
        };
        start.by_env |= interpreter.file_name().is_some_and(|name| name == "env");
        next = interpreter;
    }
    Ok(start)
}

/// As much of a file as the kernel reads before it decides how to load it is 256 bytes; the table of an executable's
/// parts stands right behind its header wherever a linker of today made it.
const HEAD: usize = 4096;

/// The interpreter of a script's first line.
fn interpreter(head: &[u8]) -> Option<PathBuf> {
    let line = head.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let word = line.split(u8::is_ascii_whitespace).find(|word| !word.is_empty())?;
    Some(PathBuf::from(String::from_utf8_lossy(word).into_owned()))
}

/// Does a 64-bit executable name a dynamic loader?
fn has_loader(head: &[u8]) -> bool {
    const PT_INTERP: [u8; 4] = 3_u32.to_le_bytes();
    // elf(5): e_phoff at 32, e_phentsize at 54, e_phnum at 56; p_type comes first in an entry.
    let word =
        |at: usize| head.get(at..at + 2).map_or(0, |word| usize::from(word[0]) | usize::from(word[1]) << 8);
    let table = head.get(32..40).and_then(|offset| offset.try_into().ok()).map_or(0, u64::from_le_bytes);
    let Ok(table) = usize::try_from(table) else { return false };
    head.starts_with(b"\x7fELF\x02\x01")
        && (0..word(56)).any(|index| {
            let at = table.saturating_add(index * word(54));
            head.get(at..at.saturating_add(4)) == Some(&PT_INTERP)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_test_is_dynamic_and_pid_1_is_not() {
        let own = look::start(&std::env::current_exe().unwrap(), HEAD).unwrap();
        assert_eq!(has_loader(&own), !cfg!(target_feature = "crt-static"));
        assert!(!has_loader(ringfence_init::IMAGE));
    }

    #[test]
    fn what_is_no_program_has_no_loader() {
        for content in [&b""[..], b"\x7fELF\x02\x01", b"#!/bin/sh\n", &[0xff; 64]] {
            assert!(!has_loader(content));
        }
        let mut absurd = [0xff; 64];
        absurd[..6].copy_from_slice(b"\x7fELF\x02\x01");
        assert!(!has_loader(&absurd));
        assert_eq!(interpreter(b"#! /usr/bin/env -S python3\n"), Some(PathBuf::from("/usr/bin/env")));
        assert_eq!(interpreter(b"#!\n/bin/sh"), None);
    }
}
