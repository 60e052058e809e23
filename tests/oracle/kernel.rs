//! What the real kernel decides.
//!
//! A child puts on a copy of the program in which every answer is an error number that says which answer it was, so
//! nothing that is asked is ever done. It asks with raw instructions, keeps what it hears in memory that it shares
//! with us, and makes no other call: no call of its own could work any more.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::answers;
use crate::interpreter::{Data, Instruction};

/// The architecture that this test runs on.
#[cfg(target_arch = "x86_64")]
pub const NATIVE: u32 = answers::X86_64;
#[cfg(target_arch = "aarch64")]
pub const NATIVE: u32 = answers::AARCH64;

/// Above every error number that the kernel has, below the greatest that a filter can answer (MAX_ERRNO, 4095).
const BASE: usize = 3000;
const MOST: usize = 1000;

/// How long a child may take for all its calls.
const PATIENCE: Duration = Duration::from_secs(120);

const RUNNING: u32 = 0;
const DONE: u32 = 1;
const FAILED: u32 = 2;

/// A call as the assembly below reads it.
#[repr(C)]
struct Raw {
    nr: u64,
    args: [u64; 6],
    foreign: bool,
}

/// What the child tells, in shared memory; the answers follow.
#[repr(C)]
struct Told {
    state: AtomicU32,
    errno: AtomicU32,
}

unsafe extern "C" {
    fn oracle_call(raw: *const Raw) -> i64;
    fn oracle_call_foreign(raw: *const Raw) -> i64;
}

#[cfg(target_arch = "x86_64")]
core::arch::global_asm!(
    ".globl oracle_call",
    "oracle_call:",
    "mov r11, rdi",
    "mov rax, [r11]",
    "mov rdi, [r11 + 8]",
    "mov rsi, [r11 + 16]",
    "mov rdx, [r11 + 24]",
    "mov r10, [r11 + 32]",
    "mov r8, [r11 + 40]",
    "mov r9, [r11 + 48]",
    "syscall",
    "ret",
    // The callee saves rbx and rbp.
    ".globl oracle_call_foreign",
    "oracle_call_foreign:",
    "push rbx",
    "push rbp",
    "mov eax, [rdi]",
    "mov ebx, [rdi + 8]",
    "mov ecx, [rdi + 16]",
    "mov edx, [rdi + 24]",
    "mov esi, [rdi + 32]",
    "mov ebp, [rdi + 48]",
    "mov edi, [rdi + 40]",
    "int 0x80",
    "pop rbp",
    "pop rbx",
    "cdqe",
    "ret",
);

#[cfg(target_arch = "aarch64")]
core::arch::global_asm!(
    ".globl oracle_call",
    "oracle_call:",
    "mov x9, x0",
    "ldr x8, [x9]",
    "ldp x0, x1, [x9, #8]",
    "ldp x2, x3, [x9, #24]",
    "ldp x4, x5, [x9, #40]",
    "svc #0",
    "ret",
    // A 64-bit program cannot make a 32-bit call: `can_ask` says so.
    ".globl oracle_call_foreign",
    "oracle_call_foreign:",
    "brk #1",
);

/// uretprobe and uprobe: kernels since 6.14 and 6.18 ask no filter about them, and end a process that makes them
/// outside of a probe (kernel/seccomp.c, `seccomp_uprobe_exception`).
const UNFILTERED: [u32; 2] = [335, 336];

/// Can a program on this machine make this call at all, and does the kernel ask a filter about it?
pub fn can_ask(call: &Data) -> bool {
    let is_filtered = NATIVE != answers::X86_64 || !UNFILTERED.contains(&call.nr);
    call.arch == NATIVE && is_filtered
        || is_foreign(call) && call.args.iter().all(|arg| u32::try_from(*arg).is_ok())
}

/// i386 on x86_64: `int 0x80` works from a 64-bit program.
fn is_foreign(call: &Data) -> bool {
    cfg!(target_arch = "x86_64") && call.arch == answers::I386
}

/// What the kernel answers to each call under this program.
pub fn answers(program: &[Instruction], calls: &[Data]) -> Result<Vec<u32>, String> {
    let (told, meanings) = transform(program)?;
    let raw: Vec<_> = calls
        .iter()
        .map(|call| {
            assert!(can_ask(call), "{call:x?} cannot be asked here");
            Raw { nr: call.nr.into(), args: call.args, foreign: is_foreign(call) }
        })
        .collect();
    let shared = Shared::new(raw.len())?;
    // SAFETY: getpid has no precondition.
    let parent = unsafe { libc::getpid() };
    // SAFETY: the child touches only memory that is its copy or shared, and calls only what may be called after a
    // fork of a program with threads.
    match unsafe { libc::fork() } {
        -1 => Err(format!("fork: {}", std::io::Error::last_os_error())),
        0 => child(&told, &raw, &shared, parent),
        pid => {
            let waited = wait(pid, &shared);
            // SAFETY: the child is ours and nobody has waited for it yet, so its id is still its own.
            unsafe {
                libc::kill(pid, libc::SIGKILL);
                libc::waitpid(pid, std::ptr::null_mut(), 0);
            }
            waited?;
            shared.answers().iter().zip(calls).map(|(heard, call)| meaning(*heard, call, &meanings)).collect()
        }
    }
}

/// The program with each answer replaced by an error number of its own, and what each stands for.
fn transform(program: &[Instruction]) -> Result<(Vec<libc::sock_filter>, Vec<u32>), String> {
    let mut meanings = Vec::new();
    let mut told = Vec::new();
    for one in program {
        let mut k = one.k;
        if one.code & 7 == 6 {
            if one.code != 6 {
                return Err(format!("an answer that is no constant: {one:x?}"));
            }
            let index = meanings.iter().position(|known| *known == k).unwrap_or_else(|| {
                meanings.push(k);
                meanings.len() - 1
            });
            k = answers::errno((BASE + index) as u16);
        }
        told.push(libc::sock_filter { code: one.code, jt: one.jt, jf: one.jf, k });
    }
    if meanings.len() > MOST { Err("too many answers".to_owned()) } else { Ok((told, meanings)) }
}

fn meaning(heard: i32, call: &Data, meanings: &[u32]) -> Result<u32, String> {
    let index = heard.checked_neg().and_then(|number| usize::try_from(number).ok()?.checked_sub(BASE));
    let known = index.and_then(|index| meanings.get(index));
    known
        .copied()
        .ok_or_else(|| format!("the kernel answered {heard} to {call:x?}: that is not the filter's"))
}

/// Puts the program on, asks, and waits to be killed. Nothing here may panic once the filter is on.
fn child(told: &[libc::sock_filter], raw: &[Raw], shared: &Shared, parent: libc::pid_t) -> ! {
    let state = shared.told();
    let program = libc::sock_fprog { len: told.len() as u16, filter: told.as_ptr().cast_mut() };
    // SAFETY: plain calls; `program` and what it points to outlive them.
    let failed = unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0) != 0
            || libc::getppid() != parent
            || libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0
            || libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program) != 0
    };
    if failed {
        // SAFETY: the thread's own errno; the process ends without running anybody's handlers.
        unsafe {
            state.errno.store(*libc::__errno_location() as u32, Ordering::Relaxed);
            state.state.store(FAILED, Ordering::Release);
            libc::_exit(1)
        }
    }
    let mut answer = shared.first;
    for one in raw {
        // SAFETY: the filter answers every call with an error, so none is made; there is a cell for each call.
        unsafe {
            *answer = ask(one) as i32;
            answer = answer.add(1);
        }
    }
    state.state.store(DONE, Ordering::Release);
    loop {
        std::hint::spin_loop();
    }
}

/// # Safety
/// The call must be harmless: a filter must refuse it.
unsafe fn ask(raw: &Raw) -> i64 {
    // SAFETY: the caller's promise; the assembly keeps to the C calling convention.
    unsafe { if raw.foreign { oracle_call_foreign(raw) } else { oracle_call(raw) } }
}

fn wait(pid: libc::pid_t, shared: &Shared) -> Result<(), String> {
    let end = Instant::now() + PATIENCE;
    let mut pause = Duration::from_micros(100);
    loop {
        match shared.told().state.load(Ordering::Acquire) {
            DONE => return Ok(()),
            FAILED => {
                let errno = shared.told().errno.load(Ordering::Relaxed) as i32;
                return Err(format!("no filter: {}", std::io::Error::from_raw_os_error(errno)));
            }
            _ => {}
        }
        // SAFETY: all zero is a siginfo_t.
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        let how = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
        // SAFETY: `info` is ours; WNOWAIT leaves the child to be waited for.
        let waited = unsafe { libc::waitid(libc::P_PID, pid as libc::id_t, &raw mut info, how) };
        if waited != 0 || info.si_signo != 0 {
            return Err("the child ended before it had asked everything".to_owned());
        }
        if Instant::now() > end {
            return Err(format!("the child did not finish in {PATIENCE:?}"));
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(5));
    }
}

/// Memory that the child and we share: [`Told`], then one answer for each call.
struct Shared {
    start: *mut libc::c_void,
    length: usize,
    first: *mut i32,
    count: usize,
}

impl Shared {
    fn new(count: usize) -> Result<Self, String> {
        let length = size_of::<Told>() + count * size_of::<i32>();
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
        // SAFETY: a new mapping, wherever the kernel likes.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), length, protection, flags, -1, 0) };
        if start == libc::MAP_FAILED {
            return Err(format!("mmap: {}", std::io::Error::last_os_error()));
        }
        // SAFETY: the mapping is long enough for both.
        let first = unsafe { start.cast::<Told>().add(1) }.cast();
        let shared = Self { start, length, first, count };
        shared.told().state.store(RUNNING, Ordering::Relaxed);
        Ok(shared)
    }

    fn told(&self) -> &Told {
        // SAFETY: the mapping begins with it, zero is a value of it, and it holds atomics only.
        unsafe { &*self.start.cast() }
    }

    /// Only once the child is done with them.
    fn answers(&self) -> &[i32] {
        // SAFETY: the mapping has this many, and nobody writes them any more.
        unsafe { std::slice::from_raw_parts(self.first, self.count) }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: our own mapping; every borrow of it is over.
        unsafe { libc::munmap(self.start, self.length) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn op(code: u16, jt: u8, jf: u8, k: u32) -> Instruction {
        Instruction { code, jt, jf, k }
    }

    fn native(nr: u32, first: u64) -> Data {
        Data { nr, arch: NATIVE, args: [first, 2, 3, 4, 5, 6] }
    }

    /// Kills one number, allows what has a certain first argument, refuses the rest: as the program says it, the
    /// kernel answers, for numbers that no table has and for every word of every argument.
    #[test]
    fn the_kernel_answers_without_doing() {
        let program = [
            op(0x20, 0, 0, 0),
            op(0x15, 0, 1, libc::SYS_kill as u32),
            op(0x06, 0, 0, answers::KILL_PROCESS),
            op(0x20, 0, 0, 20),
            op(0x15, 0, 1, 0x8000_0000),
            op(0x06, 0, 0, answers::ALLOW),
            op(0x06, 0, 0, answers::errno(1)),
        ];
        let calls = [
            native(libc::SYS_kill as u32, 0),
            native(libc::SYS_exit_group as u32, 1 << 63),
            native(libc::SYS_exit_group as u32, 0xffff_ffff),
            native(u32::MAX, 0),
            native(u32::MAX, 1 << 63),
            native(0x4000_0000, 1 << 63),
            native(1023, 0),
        ];
        let one = answers::errno(1);
        let want = [answers::KILL_PROCESS, answers::ALLOW, one, one, answers::ALLOW, answers::ALLOW, one];
        assert_eq!(answers(&program, &calls), Ok(want.to_vec()));
    }

    #[test]
    fn every_word_of_every_argument_arrives() {
        let call = Data {
            nr: 39,
            arch: NATIVE,
            args: std::array::from_fn(|index| (0x100 + index as u64) << 32 | (0x200 + index as u64)),
        };
        for index in 0..6 {
            for (half, value) in [(0, 0x200 + index), (4, 0x100 + index)] {
                let load = op(0x20, 0, 0, 16 + 8 * index + half);
                let program = [load, op(0x15, 0, 1, value), op(0x06, 0, 0, 5), op(0x06, 0, 0, 6)];
                assert_eq!(answers(&program, &[call]), Ok(vec![5]), "{index} {half}");
            }
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn i386_is_another_architecture() {
        let call = Data { nr: 20, arch: answers::I386, args: [1, 2, 3, 4, 5, 0xffff_ffff] };
        for (offset, value) in [
            (0, 20),
            (4, answers::I386),
            (16, 1),
            (24, 2),
            (32, 3),
            (40, 4),
            (48, 5),
            (56, u32::MAX),
            (60, 0),
        ] {
            let load = op(0x20, 0, 0, offset);
            let program = [load, op(0x15, 0, 1, value), op(0x06, 0, 0, 5), op(0x06, 0, 0, 6)];
            assert_eq!(answers(&program, &[call]), Ok(vec![5]), "{offset}");
        }
    }

    #[test]
    fn a_program_that_the_kernel_refuses_is_an_error() {
        let error = answers(&[op(0x20, 0, 0, 2), op(0x06, 0, 0, 0)], &[native(0, 0)]).unwrap_err();
        assert!(error.contains("no filter"), "{error}");
    }
}
