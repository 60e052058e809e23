//! The plan, mapped from the supervisor's file.

use core::ffi::CStr;

use crate::abi;
use crate::sys::{self, Errno, Fd};
use crate::wire::{self, Header, Step};

/// A mapped plan. It lives as long as the process.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    image: &'static [u8],
    /// Its first part.
    pub(crate) header: &'static Header,
    /// What to do, in order.
    pub(crate) steps: &'static [Step],
}

impl Plan {
    /// Maps the whole file, private: what the supervisor's side does to it later changes nothing here.
    pub(crate) fn map(file: Fd) -> Result<Self, Errno> {
        let bad = Errno(wire::fault::BAD_PLAN);
        let size = usize::try_from(sys::statx(file, c"", abi::AT_EMPTY_PATH)?.size).map_err(|_| bad)?;
        if size < size_of::<Header>() {
            return Err(bad);
        }
        let address = sys::map_private(file, size)?;
        sys::close(file)?;
        // SAFETY: the kernel mapped `size` readable bytes there, page-aligned, and nothing unmaps them.
        let image: &'static [u8] = unsafe { core::slice::from_raw_parts(address as *const u8, size) };
        // SAFETY: the mapping is aligned and at least as long as a header, whose fields are integers.
        let header: &'static Header = unsafe { &*image.as_ptr().cast() };
        let first = header.steps as usize;
        let count = header.step_count as usize;
        let end = count.checked_mul(size_of::<Step>()).and_then(|length| first.checked_add(length));
        let fits = end.is_some_and(|end| end <= size) && first.is_multiple_of(align_of::<Step>());
        if header.magic != wire::MAGIC || header.size as usize != size || !fits {
            return Err(bad);
        }
        // SAFETY: checked to lie inside the mapping, aligned; a step's fields are integers.
        let steps = unsafe { core::slice::from_raw_parts(image.as_ptr().add(first).cast(), count) };
        Ok(Self { image, header, steps })
    }

    /// The string at an offset; empty when the offset means nothing.
    pub(crate) fn text(&self, offset: u32) -> &'static CStr {
        let bytes = self.image.get(offset as usize..).unwrap_or_default();
        if offset == 0 { c"" } else { CStr::from_bytes_until_nul(bytes).unwrap_or_default() }
    }

    /// The `length` bytes at an offset.
    pub(crate) fn bytes(&self, offset: u32, length: u64) -> Option<&'static [u8]> {
        let first = offset as usize;
        self.image.get(first..first.checked_add(usize::try_from(length).ok()?)?)
    }

    /// Turns an array of offsets, ended by zero, into an array of addresses in place, ended by null.
    pub(crate) fn pointers(&self, offset: u32) -> Option<*const usize> {
        let first = offset as usize;
        let room = self.image.get(first..)?;
        if !first.is_multiple_of(align_of::<usize>()) {
            return None;
        }
        let base = self.image.as_ptr() as usize;
        let array = (base + first) as *mut usize;
        for index in 0..room.len() / size_of::<usize>() {
            // SAFETY: inside the private, writable mapping, aligned; nothing else refers to these words.
            let word = unsafe { &mut *array.add(index) };
            match *word {
                0 => return Some(array),
                offset if offset < self.image.len() => *word = base + offset,
                _ => return None,
            }
        }
        None
    }
}
