//! From decisions to a program: one search tree of numbers for each architecture, with argument tests at its leaves.
//!
//! Whatever does not depend on arguments is answered by loads of the number and comparisons with constants alone. So
//! the kernel, which runs a new filter once for every number, knows these answers beforehand and never runs the filter
//! for them again (`seccomp_cache_prepare` in kernel/seccomp.c).

use crate::answer::{Answer, ENOSYS};
use crate::assemble::{Assembler, Spot};
use crate::block::{Block, Way};
use crate::bpf::{ARCH, EQUAL, Instruction, NUMBER};
use crate::decide::{Decision, Decisions, EXEC, proof};
use crate::search::{Leaf, Ranges, Search};
use crate::table::CALLS;
use crate::{Arch, Filter, Mistake, Place, Program, Violation, check, sentinel};

/// The bit of an x32 call's number.
const X32: u32 = 0x4000_0000;
/// Numbers from here on are nobody's; -1 is what a tracer writes to skip a call.
const NEGATIVE: u32 = 0x8000_0000;

pub(crate) fn compile(filter: &Filter, archs: &[Arch]) -> Result<Program, Vec<Mistake>> {
    let decisions = Decisions::new(filter);
    compile_as(filter, archs, |call| decisions.compiled(call))
}

/// The same with another decision on each call.
pub(crate) fn compile_as(
    filter: &Filter,
    archs: &[Arch],
    decide: impl Fn(usize) -> Decision,
) -> Result<Program, Vec<Mistake>> {
    let mistakes = check::filter(filter);
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    let mut leaves = Leaves::default();
    let decided: Vec<Leaf> = (0..CALLS.len()).map(|call| leaves.leaf(&decide(call))).collect();
    let unknown = Leaf::Answer(Answer::errno(ENOSYS));
    let x32 = if filter.on_violation == Violation::Kill { Leaf::Answer(Answer::KILL) } else { unknown };
    let foreign = Answer::refusal(filter.on_violation);
    let program = leaves.assemble(archs, foreign, |arch| {
        let numbers = CALLS.iter().zip(&decided).filter_map(|(call, leaf)| Some((call.number(arch)?, *leaf)));
        let mut ranges = Ranges::new(numbers, unknown);
        if arch == Arch::X86_64 {
            ranges.push(X32, x32);
            ranges.push(NEGATIVE, unknown);
        }
        ranges
    });
    if program.len() > Program::MOST {
        let message = format!(
            "the rules need {} instructions and the kernel takes {}; use fewer conditions",
            program.len(),
            Program::MOST
        );
        return Err(vec![Mistake { place: Place::Whole, message }]);
    }
    Ok(Program::new(program))
}

/// The filter that lets a supervisor decide on every exec, and allows everything else, on every architecture.
///
/// It says nothing about x32 and foreign architectures: the policy's filter refuses them.
#[must_use]
pub fn exec_once(archs: &[Arch]) -> Program {
    let mut leaves = Leaves::default();
    let prove = Decision { cases: vec![proof(sentinel::EXEC_ONCE)], otherwise: Answer::ALLOW };
    let prove = ("prctl", leaves.leaf(&prove));
    let calls = EXEC.map(|name| (name, Leaf::Answer(Answer::NOTIFY))).into_iter().chain([prove]);
    let program = leaves.assemble(archs, Answer::ALLOW, |arch| {
        let numbers = calls.clone().filter_map(|(name, leaf)| Some((arch.number(name)?, leaf)));
        Ranges::new(numbers, Leaf::Answer(Answer::ALLOW))
    });
    Program::new(program)
}

/// What calls lead to. Argument tests know no architecture, so all trees share them.
#[derive(Default)]
struct Leaves {
    blocks: Vec<Block>,
}

impl Leaves {
    fn leaf(&mut self, decision: &Decision) -> Leaf {
        if decision.cases.is_empty() {
            return Leaf::Answer(decision.otherwise);
        }
        let block = Block::new(decision);
        if let Way::Answer(answer) = block.entry {
            return Leaf::Answer(answer);
        }
        let place = self.blocks.iter().position(|known| *known == block).unwrap_or_else(|| {
            self.blocks.push(block);
            self.blocks.len() - 1
        });
        Leaf::Block(place)
    }

    /// The trees of all architectures, behind the choice between them.
    fn assemble(self, archs: &[Arch], foreign: Answer, ranges: impl Fn(Arch) -> Ranges) -> Vec<Instruction> {
        let mut assembler = Assembler::default();
        let mut search = Search::new(self.blocks);
        assembler.answer(foreign);
        let mut otherwise = Spot::Answer(foreign);
        for (place, arch) in archs.iter().enumerate().rev() {
            if !archs[..place].contains(arch) {
                let begin = match search.write(&mut assembler, &ranges(*arch)) {
                    Spot::At(_) => assembler.load(NUMBER),
                    answer => answer,
                };
                otherwise = assembler.branch(EQUAL, arch.audit(), begin, otherwise);
            }
        }
        assembler.load(ARCH);
        assembler.finish()
    }
}
