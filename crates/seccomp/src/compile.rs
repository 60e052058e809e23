//! From decisions to a program: one search tree of numbers for each architecture, with argument tests at its leaves.
//!
//! Whatever does not depend on arguments is answered by loads of the number and comparisons with constants alone. So
//! the kernel, which runs a new filter once for every number, knows these answers beforehand and never runs the filter
//! for them again (`seccomp_cache_prepare` in kernel/seccomp.c).

use crate::answer::{Answer, ENOSYS, EPERM};
use crate::assemble::{Assembler, Spot};
use crate::block::{Block, Way};
use crate::bpf::{ARCH, AT_LEAST, EQUAL, Instruction, NUMBER};
use crate::decide::{Decision, Decisions, EXEC, proof};
use crate::table::CALLS;
use crate::{Arch, Filter, Mistake, Place, Program, Violation, check, sentinel};

/// The bit of an x32 call's number.
const X32: u32 = 0x4000_0000;
/// Numbers from here on are nobody's; -1 is what a tracer writes to skip a call.
const NEGATIVE: u32 = 0x8000_0000;

/// What a range of numbers leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leaf {
    Answer(Answer),
    /// Argument tests, by place among the tree's blocks.
    Block(usize),
}

/// The numbers from `first` up to the next range.
#[derive(Clone, Copy, Debug)]
struct Range {
    first: u32,
    leaf: Leaf,
}

pub(crate) fn compile(filter: &Filter, archs: &[Arch]) -> Result<Program, Vec<Mistake>> {
    let mistakes = check::filter(filter);
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    let decisions = Decisions::new(filter);
    let decided: Vec<Decision> = (0..CALLS.len()).map(|call| decisions.compiled(call)).collect();
    let foreign = Answer::refusal(filter.on_violation);
    let x32 = if filter.on_violation == Violation::Kill { Answer::KILL } else { Answer::errno(ENOSYS) };
    let program = assemble(archs, foreign, |arch| {
        let known =
            CALLS.iter().zip(&decided).filter_map(|(call, decision)| Some((call.number(arch)?, decision)));
        Tree::new(
            known,
            Answer::errno(ENOSYS),
            if arch == Arch::X86_64 { x32 } else { Answer::errno(ENOSYS) },
        )
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
    let notify = Decision { cases: Vec::new(), otherwise: Answer::NOTIFY };
    let prove = Decision { cases: vec![proof(sentinel::EXEC_ONCE)], otherwise: Answer::ALLOW };
    Program::new(assemble(archs, Answer::ALLOW, |arch| {
        let number = |name| arch.number(name);
        let execs = EXEC.into_iter().filter_map(number).map(|number| (number, &notify));
        Tree::new(execs.chain(number("prctl").map(|number| (number, &prove))), Answer::ALLOW, Answer::ALLOW)
    }))
}

/// The trees of all architectures, behind the choice between them.
fn assemble(archs: &[Arch], foreign: Answer, tree: impl Fn(Arch) -> Tree) -> Vec<Instruction> {
    let mut assembler = Assembler::default();
    assembler.answer(foreign);
    let mut otherwise = Spot::Answer(foreign);
    for (place, arch) in archs.iter().enumerate().rev() {
        if !archs[..place].contains(arch) {
            let begin = tree(*arch).assemble(&mut assembler);
            otherwise = assembler.branch(EQUAL, arch.audit(), begin, otherwise);
        }
    }
    assembler.load(ARCH);
    assembler.finish()
}

struct Tree {
    /// Sorted; neighbours lead to different leaves.
    ranges: Vec<Range>,
    blocks: Vec<Block>,
    /// Where each block begins, once it is written.
    begins: Vec<Option<Spot>>,
}

impl Tree {
    fn new<'a>(calls: impl Iterator<Item = (u32, &'a Decision)>, unknown: Answer, x32: Answer) -> Self {
        let mut calls: Vec<_> = calls.collect();
        calls.sort_unstable_by_key(|(number, _)| *number);
        let mut tree = Self { ranges: Vec::new(), blocks: Vec::new(), begins: Vec::new() };
        let mut seen: Vec<&Decision> = Vec::new();
        let mut next = 0;
        for (number, decision) in calls {
            if number > next {
                tree.range(next, Leaf::Answer(unknown));
            }
            let leaf = tree.leaf(decision, &mut seen);
            tree.range(number, leaf);
            next = number + 1;
        }
        tree.range(next, Leaf::Answer(unknown));
        tree.range(X32, Leaf::Answer(x32));
        tree.range(NEGATIVE, Leaf::Answer(unknown));
        tree
    }

    fn range(&mut self, first: u32, leaf: Leaf) {
        if self.ranges.last().is_none_or(|range| range.leaf != leaf) {
            self.ranges.push(Range { first, leaf });
        }
    }

    /// Equal decisions share their block.
    fn leaf<'a>(&mut self, decision: &'a Decision, seen: &mut Vec<&'a Decision>) -> Leaf {
        if decision.cases.is_empty() {
            return Leaf::Answer(decision.otherwise);
        }
        if let Some(place) = seen.iter().position(|known| *known == decision) {
            return self.block_or_answer(place);
        }
        seen.push(decision);
        self.blocks.push(Block::new(decision));
        self.begins.push(None);
        self.block_or_answer(self.blocks.len() - 1)
    }

    fn block_or_answer(&self, place: usize) -> Leaf {
        match self.blocks[place].entry {
            Way::Answer(answer) => Leaf::Answer(answer),
            Way::Node(_) => Leaf::Block(place),
        }
    }

    fn assemble(mut self, assembler: &mut Assembler) -> Spot {
        let ranges = std::mem::take(&mut self.ranges);
        match self.search(assembler, &ranges) {
            Spot::Answer(answer) => assembler.answer(answer),
            Spot::At(_) => assembler.load(NUMBER),
        }
    }

    fn search(&mut self, assembler: &mut Assembler, ranges: &[Range]) -> Spot {
        match ranges {
            [] => Spot::Answer(Answer::errno(EPERM)),
            [range] => self.spot(assembler, range.leaf),
            // One number among equal neighbours.
            [before, one, after] if before.leaf == after.leaf && one.first + 1 == after.first => {
                let no = self.spot(assembler, before.leaf);
                let yes = self.spot(assembler, one.leaf);
                assembler.branch(EQUAL, one.first, yes, no)
            }
            _ => {
                let middle = ranges.len() / 2;
                let above = self.search(assembler, &ranges[middle..]);
                let below = self.search(assembler, &ranges[..middle]);
                assembler.branch(AT_LEAST, ranges[middle].first, above, below)
            }
        }
    }

    fn spot(&mut self, assembler: &mut Assembler, leaf: Leaf) -> Spot {
        match leaf {
            Leaf::Answer(answer) => Spot::Answer(answer),
            Leaf::Block(place) => {
                let begin = self.begins[place].unwrap_or_else(|| assembler.block(&self.blocks[place]));
                self.begins[place] = Some(begin);
                begin
            }
        }
    }
}
