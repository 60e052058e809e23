//! What a program may ask the kernel for: rules on system calls, and the program that makes the kernel hold them.
//!
//! Pure: nothing here calls the operating system.
//!
//! # Meaning
//!
//! A [`Filter`] answers a call by the first of these points that applies.
//!
//! 1. **Architecture.** A call of an architecture that the filter was not compiled for is answered as a violation
//!    (EPERM where violations are logged). On x86_64 a number with bit 30 set and bit 31 clear (x32) kills the
//!    process under [`Violation::Kill`], else answers ENOSYS. A number that the architecture's table lacks answers
//!    ENOSYS, always.
//! 2. **Sentinel.** `prctl` with [`sentinel::OPTION`] in the low 32 bits of its first argument and
//!    [`sentinel::FILTER`] in all 64 bits of its second answers [`sentinel::ERRNO`].
//! 3. `exit`, `exit_group`, `rt_sigreturn` and `restart_syscall` pass.
//! 4. `clone3` answers ENOSYS, because its flags stand behind a pointer. `execve` and `execveat` pass when
//!    [`Filter::executes`] says no: then the filter of [`exec_once`] decides about them, and the kernel takes the
//!    stricter answer of two.
//! 5. **Floor.** The calls of [`floor()`](floor::floor) and these arguments are answered as a violation (EPERM where
//!    violations are logged): `clone` with any `CLONE_NEW*` flag; `ioctl` with TIOCSTI or TIOCLINUX; `setrlimit` of
//!    RLIMIT_CORE, and `prlimit64` of it with a new limit that is not null; `personality` with other than 0, 8,
//!    0x20000, 0x20008 and 0xffffffff; `seccomp` with `SECCOMP_FILTER_FLAG_NEW_LISTENER`. `socket` and `socketpair`
//!    with a family other than AF_UNIX, AF_INET and AF_INET6 answer EAFNOSUPPORT, unless the violation kills.
//! 6. **Own rules.** Of everything that matches, the strictest [`Action`] holds; of two errors the larger number.
//!    `allow` passes, `log` logs, `deny` answers the violation's error number where it is one, else EPERM, `kill`
//!    kills. A rule matches when all its conditions hold. With [`Filter::single_process`], EAGAIN matches `fork`,
//!    `vfork` and `clone`.
//! 7. **Violation.** What nothing matches: the error number, or the process is killed, or ([`Violation::Log`]) the
//!    call is logged and passes, but the members of `@debug` and `@privileged` answer EPERM.
//!
//! Killing always means the process. An argument is compared in the width that the kernel reads ([`arguments`]): 64
//! bits, the low 32 (numbers, flags, processes, users), or the low 16 (the mode of a file); unsigned; of the bits of
//! the mask, where there is one. A negative value is its two's complement in that width. A rule on a group says
//! nothing about members that its conditions do not fit.
#![forbid(unsafe_code)]

mod answer;
mod arch;
mod argument;
mod asked;
mod assemble;
mod block;
mod bpf;
mod check;
mod compile;
mod decide;
mod filter;
mod floor;
mod groups;
mod outcomes;
mod rules;
mod search;
pub mod sentinel;
mod suggest;
mod table;

pub use arch::{Arch, arguments};
pub use asked::{Answers, Said};
pub use bpf::{Instruction, Program};
pub use check::{Mistake, Place, check};
pub use compile::exec_once;
pub use filter::{Answered, Filter, Passes, Summary};
pub use floor::floor;
pub use groups::groups;
pub use rules::{Action, Comparison, Condition, Rule, Syscalls, Violation};
