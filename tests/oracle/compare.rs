//! Three evaluations of one filter, call by call.

use std::fmt;

use ringfence_seccomp::{Arch, Filter, Syscalls};

use crate::answers;
use crate::interpreter::{self, Data, Instruction};
use crate::kernel;
use crate::naive::Naive;

/// How many decisions were compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub filters: u64,
    /// The program in the interpreter with the rules read naively, by architecture of the call.
    pub interpreted_x86_64: u64,
    pub interpreted_aarch64: u64,
    pub interpreted_other: u64,
    /// The program in the kernel with the rules read naively.
    pub kernel: u64,
    pub kernel_i386: u64,
}

impl Counts {
    pub fn interpreted(&self) -> u64 {
        self.interpreted_x86_64 + self.interpreted_aarch64 + self.interpreted_other
    }

    pub fn asked(&self) -> u64 {
        self.kernel + self.kernel_i386
    }

    pub fn add(&mut self, other: Self) {
        self.filters += other.filters;
        self.interpreted_x86_64 += other.interpreted_x86_64;
        self.interpreted_aarch64 += other.interpreted_aarch64;
        self.interpreted_other += other.interpreted_other;
        self.kernel += other.kernel;
        self.kernel_i386 += other.kernel_i386;
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let foreign = if kernel::NATIVE == answers::X86_64 { "aarch64" } else { "x86_64" };
        write!(
            f,
            "{} filters; interpreter = naive: {} decisions (x86_64 {}, aarch64 {}, other {}); kernel = naive: {} \
             decisions (native {}, i386 {}); no kernel here answers {foreign} calls",
            self.filters,
            self.interpreted(),
            self.interpreted_x86_64,
            self.interpreted_aarch64,
            self.interpreted_other,
            self.asked(),
            self.kernel,
            self.kernel_i386,
        )
    }
}

/// A call on which not all agree.
#[derive(Clone, Debug)]
pub struct Disagreement {
    pub call: Data,
    pub naive: u32,
    pub interpreted: Result<u32, String>,
    pub kernel: Option<u32>,
}

impl fmt::Display for Disagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = crate::facts::arch(self.call.arch).and_then(|arch| crate::facts::name(arch, self.call.nr));
        write!(
            f,
            "{} nr={:#x} arch={:#x} args={:x?}: the rules say {}, the program {}, the kernel {}",
            name.unwrap_or("(unknown)"),
            self.call.nr,
            self.call.arch,
            self.call.args,
            answers::name(self.naive),
            self.interpreted.as_ref().map_or_else(Clone::clone, |answer| answers::name(*answer)),
            self.kernel.map_or("was not asked".to_owned(), answers::name)
        )
    }
}

/// The crate's program, as the interpreter takes it.
pub fn program(filter: &Filter, archs: &[Arch]) -> Vec<Instruction> {
    let program = filter.compile(archs).expect("rules that were accepted");
    instructions(&program)
}

pub fn instructions(program: &ringfence_seccomp::Program) -> Vec<Instruction> {
    let copy = |one: &ringfence_seccomp::Instruction| Instruction {
        code: one.code,
        jt: one.jt,
        jf: one.jf,
        k: one.k,
    };
    program.instructions().iter().map(copy).collect()
}

/// Compares what a program answers with what the rules say, and with what the kernel answers where it can be asked.
pub fn compare(
    filter: &Filter,
    archs: &[Arch],
    program: &[Instruction],
    calls: &[Data],
) -> Result<(Counts, Vec<Disagreement>), String> {
    interpreter::verify(program)?;
    let naive = Naive::new(filter, archs);
    let (asked, unasked): (Vec<Data>, Vec<Data>) = calls.iter().partition(|call| kernel::can_ask(call));
    let heard = kernel::answers(program, &asked)?;
    let heard = heard.into_iter().map(Some).chain(unasked.iter().map(|_| None));
    let mut counts = Counts { filters: 1, ..Counts::default() };
    let mut found = Vec::new();
    for (call, kernel) in asked.iter().chain(&unasked).zip(heard) {
        let wanted = naive.answer(call);
        let interpreted = interpreter::run(program, call);
        match call.arch {
            answers::X86_64 => counts.interpreted_x86_64 += 1,
            answers::AARCH64 => counts.interpreted_aarch64 += 1,
            _ => counts.interpreted_other += 1,
        }
        match kernel {
            Some(_) if call.arch == kernel::NATIVE => counts.kernel += 1,
            Some(_) => counts.kernel_i386 += 1,
            None => {}
        }
        if interpreted != Ok(wanted) || kernel.is_some_and(|kernel| kernel != wanted) {
            found.push(Disagreement { call: *call, naive: wanted, interpreted, kernel });
        }
    }
    Ok((counts, found))
}

/// The same disagreement with fewer rules, for whoever has to find the reason.
pub fn shrink(filter: &Filter, archs: &[Arch], call: &Data) -> Filter {
    let disagrees = |filter: &Filter| {
        let Ok(program) = filter.compile(archs) else { return false };
        interpreter::run(&instructions(&program), call) != Ok(Naive::new(filter, archs).answer(call))
    };
    let mut least = filter.clone();
    loop {
        let size = size(&least.syscalls);
        let mut smaller = (0..size).map(|at| {
            let mut smaller = least.clone();
            take_out(&mut smaller.syscalls, at);
            smaller
        });
        match smaller.find(&disagrees) {
            Some(smaller) => least = smaller,
            None => return least,
        }
    }
}

fn size(syscalls: &Syscalls) -> usize {
    let Syscalls { allow, deny, kill, log, rules } = syscalls;
    [allow, deny, kill, log].iter().map(|list| list.len()).sum::<usize>()
        + rules.iter().map(|rule| 1 + rule.args.len()).sum::<usize>()
}

/// Takes out part number `at`: an entry, a rule, or one condition of a rule.
fn take_out(syscalls: &mut Syscalls, mut at: usize) {
    let Syscalls { allow, deny, kill, log, rules } = syscalls;
    for list in [allow, deny, kill, log] {
        if at < list.len() {
            list.remove(at);
            return;
        }
        at -= list.len();
    }
    for index in 0..rules.len() {
        let conditions = rules[index].args.len();
        if at == 0 {
            rules.remove(index);
            return;
        }
        if at <= conditions {
            rules[index].args.remove(at - 1);
            return;
        }
        at -= 1 + conditions;
    }
}

/// Everything that a person needs to see a disagreement again.
pub fn tell(filter: &Filter, archs: &[Arch], found: &[Disagreement]) -> String {
    let first = &found[0];
    let least = shrink(filter, archs, &first.call);
    let mut text = format!("{} disagreements", found.len());
    for one in found.iter().take(8) {
        text.push_str(&format!("\n  {one}"));
    }
    let rules = serde_json::to_string(&least.syscalls).expect("rules are data");
    text.push_str(&format!(
        "\nthe first remains under {archs:?} with {rules}, on violation {:?}, single process {}",
        least.on_violation, least.single_process
    ));
    text
}
