//! PID 1's own decoder of the plan, the very file that it is built from: whatever the image holds, it is refused or every
//! step, text and array of it lies within.
#![no_main]

use std::os::fd::AsRawFd as _;

use libfuzzer_sys::fuzz_target;
use ringfence_init::wire::{Header, Message as _};
use ringfence_init::{abi, sys, wire};

#[allow(dead_code, unreachable_pub)]
#[path = "../../crates/init/pid1/plan.rs"]
mod plan;

fn memory_file(image: &[u8]) -> std::fs::File {
    use std::io::Write as _;
    use std::os::fd::FromRawFd as _;
    // SAFETY: a terminated name.
    let number = unsafe { libc::memfd_create(c"plan".as_ptr(), libc::MFD_CLOEXEC) };
    assert!(number >= 0);
    // SAFETY: the kernel has just given us this number.
    let mut file = unsafe { std::fs::File::from_raw_fd(number) };
    file.write_all(image).expect("a memory file");
    file
}

fuzz_target!(|data: &[u8]| {
    let mut image = data.to_vec();
    // Most inputs get past the first checks, or there is nothing behind them to try.
    if image.len() >= size_of::<Header>() && image[0] & 1 == 0 {
        image[..8].copy_from_slice(&wire::MAGIC.to_ne_bytes());
        let size = u32::try_from(image.len()).unwrap_or(0);
        image[8..12].copy_from_slice(&size.to_ne_bytes());
    }
    let file = memory_file(&image);
    let length = image.len();
    // `map` closes the number that it is given.
    // SAFETY: no pointers.
    let number = unsafe { libc::dup(file.as_raw_fd()) };
    let Ok(plan) = plan::Plan::map(sys::Fd(number)) else {
        // SAFETY: no pointers; after a refusal the number may be open still.
        unsafe { libc::close(number) };
        return;
    };
    let header = *plan.header;
    assert_eq!(header.bytes().len(), size_of::<Header>());
    let mut seen = 0;
    for step in plan.steps {
        seen += plan.text(step.path).to_bytes().len() + plan.text(step.text).to_bytes().len();
        seen += plan.bytes(step.text, step.a).map_or(0, <[u8]>::len);
    }
    for offset in [header.arguments, header.environment] {
        let Some(array) = plan.pointers(offset) else { continue };
        let mut index = 0;
        // SAFETY: `pointers` has answered an array that ends with null within the mapping, of addresses within it.
        while let Some(text) = unsafe { (*array.add(index) as *const u8).as_ref() } {
            seen += usize::from(*text);
            index += 1;
        }
    }
    std::hint::black_box(seen);
    let start = std::ptr::from_ref(plan.header) as *mut libc::c_void;
    // SAFETY: the mapping of `map`, of which nothing is used any more.
    unsafe { libc::munmap(start, length) };
});
