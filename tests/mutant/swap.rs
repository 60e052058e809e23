//! Loaded into tests before the C library (`LD_PRELOAD`, ld.so(8)): what would put PID 1's executable into its memory file
//! puts a mutant there. So the very binaries that are tested otherwise are tested, and nothing of the product knows of it.
//!
//! `cargo xtask mutants` makes the mutants, and sets `RINGFENCE_MUTANT` to the path of one. Beside it a file `used` appears
//! when it was taken: a mutant that nobody took proves nothing.

use std::ffi::{OsStr, c_int, c_void};
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

/// write(2), as the C library has it.
///
/// # Safety
/// As there: `bytes` points to `length` readable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn write(file: c_int, bytes: *const c_void, length: usize) -> isize {
    // SAFETY: the caller vouches for the bytes.
    let program = length > 4 && unsafe { std::slice::from_raw_parts(bytes.cast::<u8>(), 4) } == b"\x7fELF";
    if program && let Some(mutant) = mutant_for(file) {
        put(file, &mutant);
        return isize::try_from(length).unwrap_or(isize::MAX);
    }
    // SAFETY: the caller's own call.
    unsafe { libc::syscall(libc::SYS_write, file, bytes, length) as isize }
}

/// The mutant, where the file is the one for PID 1's executable.
fn mutant_for(file: c_int) -> Option<Vec<u8>> {
    let name = fs::read_link(format!("/proc/self/fd/{file}")).ok()?;
    if !name.as_os_str().as_bytes().starts_with(b"/memfd:ringfence-init") {
        return None;
    }
    let path = PathBuf::from(std::env::var_os("RINGFENCE_MUTANT")?);
    let mutant = fs::read(&path).ok()?;
    let _the_first_made_it = File::create(path.with_file_name(OsStr::new("used")));
    Some(mutant)
}

fn put(file: c_int, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        // SAFETY: bytes of our own, by their length.
        let written = unsafe { libc::syscall(libc::SYS_write, file, bytes.as_ptr(), bytes.len()) };
        // A file that is not whole starts nothing.
        let Ok(written) = usize::try_from(written) else { return };
        bytes = &bytes[written..];
    }
}
