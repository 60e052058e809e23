//! The entry point, the memory functions that the compiler calls, and the end of a panic: of PID 1, and of the prober.

use crate::sys::{self, Fd};

// The kernel enters with the stack pointer at argc and no return address (System V ABI).
#[cfg(target_arch = "x86_64")]
core::arch::global_asm!(
    ".globl _start",
    "_start:",
    "xor ebp, ebp",
    "mov rdi, rsp",
    "and rsp, -16",
    "call {entry}",
    "ud2",
    entry = sym entry,
);
#[cfg(target_arch = "aarch64")]
core::arch::global_asm!(
    ".globl _start",
    "_start:",
    "mov x29, xzr",
    "mov x30, xzr",
    "mov x0, sp",
    "bl {entry}",
    "brk 1",
    entry = sym entry,
);

// The compiler emits calls of these; written in assembly so that it cannot turn them into calls of themselves.
#[cfg(target_arch = "x86_64")]
core::arch::global_asm!(
    ".globl memcpy, memmove, memset, memcmp, bcmp",
    "memmove:",
    "mov rax, rdi",
    "mov rcx, rdi",
    "sub rcx, rsi",
    "cmp rcx, rdx",
    "jae 1f",
    "mov rcx, rdx",
    "lea rdi, [rdi + rdx - 1]",
    "lea rsi, [rsi + rdx - 1]",
    "std",
    "rep movsb",
    "cld",
    "ret",
    "memcpy:",
    "mov rax, rdi",
    "1: mov rcx, rdx",
    "rep movsb",
    "ret",
    "memset:",
    "mov r8, rdi",
    "mov eax, esi",
    "mov rcx, rdx",
    "rep stosb",
    "mov rax, r8",
    "ret",
    "bcmp:",
    "memcmp:",
    "xor ecx, ecx",
    "2: cmp rcx, rdx",
    "je 3f",
    "movzx eax, byte ptr [rdi + rcx]",
    "movzx r8d, byte ptr [rsi + rcx]",
    "inc rcx",
    "sub eax, r8d",
    "je 2b",
    "ret",
    "3: xor eax, eax",
    "ret",
);
#[cfg(target_arch = "aarch64")]
core::arch::global_asm!(
    ".globl memcpy, memmove, memset, memcmp, bcmp",
    "memmove:",
    "sub x3, x0, x1",
    "cmp x3, x2",
    "b.hs memcpy",
    "1: cbz x2, 2f",
    "sub x2, x2, #1",
    "ldrb w4, [x1, x2]",
    "strb w4, [x0, x2]",
    "b 1b",
    "2: ret",
    "memcpy:",
    "mov x3, xzr",
    "3: cmp x3, x2",
    "b.eq 2b",
    "ldrb w4, [x1, x3]",
    "strb w4, [x0, x3]",
    "add x3, x3, #1",
    "b 3b",
    "memset:",
    "mov x3, xzr",
    "4: cmp x3, x2",
    "b.eq 2b",
    "strb w1, [x0, x3]",
    "add x3, x3, #1",
    "b 4b",
    "bcmp:",
    "memcmp:",
    "mov x3, xzr",
    "5: cmp x3, x2",
    "b.eq 6f",
    "ldrb w4, [x0, x3]",
    "ldrb w5, [x1, x3]",
    "add x3, x3, #1",
    "subs w6, w4, w5",
    "b.eq 5b",
    "mov w0, w6",
    "ret",
    "6: mov w0, wzr",
    "ret",
);

/// First Rust code. `stack` points to argc, argv and a null.
unsafe extern "C" fn entry(stack: *const usize) -> ! {
    // SAFETY: the kernel put argc at the stack's start, then that many argument pointers and a null.
    unsafe { crate::enter(stack) }
}

/// The number that a terminated string says.
///
/// # Safety
/// `text` must point to a terminated string.
pub(crate) unsafe fn descriptor(text: *const u8) -> Fd {
    let mut number = 0_i32;
    for offset in 0..10 {
        // SAFETY: the caller vouches for the string; the loop ends at its NUL.
        let byte = unsafe { *text.add(offset) };
        if !byte.is_ascii_digit() {
            break;
        }
        number = number.wrapping_mul(10).wrapping_add(i32::from(byte - b'0'));
    }
    Fd(number)
}

/// A bounds check failed: a bug. The supervisor sees the end without a record, which is never success.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    sys::exit(125)
}
