//! Finding a number's answer: a balanced tree of comparisons over ranges of numbers.

use crate::answer::Answer;
use crate::assemble::{Assembler, Spot};
use crate::block::Block;
use crate::bpf::{AT_LEAST, EQUAL};

/// What a range of numbers leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leaf {
    Answer(Answer),
    /// Argument tests, by place among the blocks.
    Block(usize),
}

/// The numbers from `first` up to the next range.
#[derive(Clone, Copy, Debug)]
struct Range {
    first: u32,
    leaf: Leaf,
}

/// All numbers, in ascending ranges of which no two neighbours lead to the same.
pub(crate) struct Ranges(Vec<Range>);

impl Ranges {
    /// The numbers' leaves, and one leaf for all between and above them.
    pub(crate) fn new(numbers: impl Iterator<Item = (u32, Leaf)>, unknown: Leaf) -> Self {
        let mut numbers: Vec<_> = numbers.collect();
        numbers.sort_unstable_by_key(|(number, _)| *number);
        let mut ranges = Self(Vec::new());
        let mut next = 0;
        for (number, leaf) in numbers {
            if number > next {
                ranges.push(next, unknown);
            }
            ranges.push(number, leaf);
            next = number + 1;
        }
        ranges.push(next, unknown);
        ranges
    }

    /// Ends the last range before `first`.
    pub(crate) fn push(&mut self, first: u32, leaf: Leaf) {
        if self.0.last().is_none_or(|range| range.leaf != leaf) {
            self.0.push(Range { first, leaf });
        }
    }
}

/// Blocks are written where a tree first needs them.
pub(crate) struct Search {
    blocks: Vec<(Block, Option<Spot>)>,
}

impl Search {
    pub(crate) fn new(blocks: Vec<Block>) -> Self {
        Self { blocks: blocks.into_iter().map(|block| (block, None)).collect() }
    }

    /// Writes a tree; the accumulator holds the number where it begins, which is what was written last.
    pub(crate) fn write(&mut self, assembler: &mut Assembler, ranges: &Ranges) -> Spot {
        self.tree(assembler, &ranges.0)
    }

    fn tree(&mut self, assembler: &mut Assembler, ranges: &[Range]) -> Spot {
        match ranges {
            [range] => self.leaf(assembler, range.leaf),
            // One number among equal neighbours.
            [before, one, after] if before.leaf == after.leaf && one.first + 1 == after.first => {
                let no = self.leaf(assembler, before.leaf);
                let yes = self.leaf(assembler, one.leaf);
                assembler.branch(EQUAL, one.first, yes, no)
            }
            _ => {
                let (below, above) = ranges.split_at(ranges.len() / 2);
                let begin = above[0].first;
                let above = self.tree(assembler, above);
                let below = self.tree(assembler, below);
                assembler.branch(AT_LEAST, begin, above, below)
            }
        }
    }

    fn leaf(&mut self, assembler: &mut Assembler, leaf: Leaf) -> Spot {
        match leaf {
            Leaf::Answer(answer) => Spot::Answer(answer),
            Leaf::Block(place) => {
                let (block, begin) = &mut self.blocks[place];
                *begin.get_or_insert_with(|| assembler.block(block))
            }
        }
    }
}
