//! A filter that asks: it lets nothing pass that the policy's own does not, and its supervisor answers the same.

use ringfence_seccomp::{Action, Answers, Arch, Comparison, Filter, Program, Said, Syscalls};

use crate::machine::{self, Call};
use crate::{
    ALLOW, EVERY_VIOLATION, KILL, LOG, NOTIFY, TRAP, allow, compile, errno, masked, names, rule, when,
};

const WATCHED: &[&str] = &["openat", "connect", "execve", "ioctl"];

fn subjects() -> Vec<Filter> {
    let mut subjects = Vec::new();
    for on_violation in EVERY_VIOLATION {
        for single_process in [false, true] {
            let base = allow(&["@default", "@exec"]);
            subjects.push(Filter { on_violation, single_process, ..base });
        }
        let syscalls = Syscalls {
            allow: names(&["@io", "@files", "@memory"]),
            deny: names(&["lseek"]),
            kill: names(&["alarm", "dup"]),
            log: names(&["getpid"]),
            rules: vec![
                rule(&["openat"], &[masked(2, 3, 1)], Action::Errno),
                rule(&["socket"], &[when(0, Comparison::Eq, 1)], Action::Allow),
                rule(&["fcntl"], &[when(1, Comparison::Gt, 4)], Action::Kill),
                rule(&["dup3"], &[], Action::Trap),
            ],
        };
        subjects.push(Filter { syscalls, on_violation, single_process: false });
    }
    subjects
}

/// What the policy's filter answers is what the asking one answers, or what its supervisor says.
#[track_caller]
fn compare(own: &Program, asking: &Program, answers: &Answers, executes: bool, call: &Call) -> bool {
    let (right, asked) = (machine::run(own, call), machine::run(asking, call));
    let name = Arch::X86_64.name(call.number);
    if asked != NOTIFY {
        assert_eq!(asked, right, "{name:?} {call:?}");
        assert!(asked != KILL || name.is_none(), "the kernel kills without a word: {name:?}");
        return false;
    }
    let said = match answers.to(call.number, &call.args) {
        Said::Pass => ALLOW,
        Said::Record => LOG,
        Said::Errno(number) => errno(number.into()),
        Said::Kill => KILL,
        Said::ExecOnce => {
            assert!(!executes && matches!(name, Some("execve" | "execveat")), "{name:?}");
            ALLOW
        }
    };
    assert_eq!(said, right, "{name:?} {call:?}");
    true
}

#[test]
fn the_supervisor_says_what_the_filter_would_have() {
    let words = [0, 1, 2, 3, 5, 0x40, 0x5412, 0x1000_0000, 0x5412 | 1 << 40, u64::MAX, 1 << 32];
    let mut asked = 0;
    for filter in subjects() {
        let (own, asking) = (compile(&filter), filter.compile_asked(&Arch::ALL, WATCHED).unwrap());
        machine::verify(&asking);
        let (answers, executes) = (Answers::of(&filter, Arch::X86_64), filter.executes());
        for number in (0..600).chain([0x4000_0000, u32::MAX]) {
            for (at, word) in (0..4).flat_map(|at| words.map(|word| (at, word))) {
                let mut args = [word; 6];
                args[at] = words[(at + number as usize) % words.len()];
                let call = Call::new(Arch::X86_64.audit(), number, &args);
                asked += u32::from(compare(&own, &asking, &answers, executes, &call));
            }
        }
    }
    assert!(asked > 1000, "{asked}");
}

#[test]
fn what_is_not_watched_costs_what_it_did() {
    let filter = allow(&["@default", "@exec"]);
    let (own, asking) = (compile(&filter), filter.compile_asked(&Arch::ALL, &[]).unwrap());
    for number in 0..600 {
        let known = |program| machine::known_beforehand(program, Arch::X86_64.audit(), number);
        assert_eq!(known(&own), known(&asking), "{number}");
    }
}

#[test]
fn a_signal_and_the_proof_stay_the_kernels() {
    let filter = subjects().pop().unwrap();
    let asking = filter.compile_asked(&Arch::ALL, WATCHED).unwrap();
    let told = |name: &str, args: &[u64]| crate::told(&asking, name, args);
    assert_eq!(told("dup3", &[]), TRAP);
    let proof = [ringfence_seccomp::sentinel::OPTION.into(), ringfence_seccomp::sentinel::FILTER.into()];
    assert_eq!(told("prctl", &proof), errno(ringfence_seccomp::sentinel::ERRNO.into()));
    assert_eq!(told("clone3", &[]), crate::ENOSYS);
}
