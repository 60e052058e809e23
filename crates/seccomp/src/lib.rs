//! What a program may ask the kernel for: rules on system calls, and the program that makes the kernel hold them.
//!
//! Pure: nothing here calls the operating system.
#![forbid(unsafe_code)]

mod check;
mod rules;

pub use check::{Mistake, Place, check};
pub use rules::{Action, Comparison, Condition, Rule, Syscalls, Violation};
