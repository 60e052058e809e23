//! Filters by their meaning: compiled programs run by a small machine, beside a naive reading of the rules.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test may panic, and says why it skips")]

mod asked;
mod machine;
mod meaning;
mod mistakes;
mod naive;
mod random;
mod shape;
mod tables;
mod written;

use ringfence_seccomp::{Action, Arch, Comparison, Condition, Filter, Program, Rule, Syscalls, Violation};

const BOTH: [Arch; 2] = Arch::ALL;

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn allow(entries: &[&str]) -> Filter {
    Filter { syscalls: Syscalls { allow: names(entries), ..Syscalls::default() }, ..Filter::default() }
}

fn rule(syscalls: &[&str], args: &[Condition], action: Action) -> Rule {
    Rule { syscalls: names(syscalls), args: args.to_vec(), action, errno: None }
}

fn when(index: u8, op: Comparison, value: i128) -> Condition {
    Condition { index, op, value, mask: None }
}

fn masked(index: u8, mask: u64, value: i128) -> Condition {
    Condition { index, op: Comparison::MaskedEq, value, mask: Some(mask) }
}

fn compile(filter: &Filter) -> Program {
    let program = filter.compile(&BOTH).unwrap_or_else(|mistakes| panic!("{mistakes:#?}"));
    machine::verify(&program);
    program
}

/// What a call answers on x86_64.
fn answer(filter: &Filter, name: &str, args: &[u64]) -> u32 {
    told(&compile(filter), name, args)
}

/// The same of a program.
fn told(program: &Program, name: &str, args: &[u64]) -> u32 {
    let number = Arch::X86_64.number(name).unwrap();
    machine::run(program, &machine::Call::new(Arch::X86_64.audit(), number, args))
}

const ALLOW: u32 = 0x7fff_0000;
const LOG: u32 = 0x7ffc_0000;
const NOTIFY: u32 = 0x7fc0_0000;
const TRAP: u32 = 0x0003_0000;
const KILL: u32 = 0x8000_0000;
const EPERM: u32 = errno(1);
const ENOSYS: u32 = errno(38);

const fn errno(number: u32) -> u32 {
    0x0005_0000 | number
}

const EVERY_VIOLATION: [Violation; 4] =
    [Violation::Errno(1), Violation::Errno(13), Violation::Kill, Violation::Log];
