//! Instructions, written from the last to the first, so that every jump's target is known.

use crate::answer::Answer;
use crate::block::{Block, Way};
use crate::bpf::{AND, Instruction, JUMP, LOAD, RETURN};

/// Something to jump to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spot {
    /// The nearest instruction that answers this.
    Answer(Answer),
    /// An instruction, counted from the end of the program.
    At(usize),
}

/// How far a conditional jump reaches.
const REACH: usize = 255;

#[derive(Default)]
pub(crate) struct Assembler {
    /// The last instruction comes first.
    reversed: Vec<Instruction>,
    /// The nearest instruction that gives each answer.
    answers: Vec<(Answer, usize)>,
    /// The nearest jump to each far instruction.
    relays: Vec<(usize, usize)>,
}

impl Assembler {
    pub(crate) fn finish(mut self) -> Vec<Instruction> {
        self.reversed.reverse();
        self.reversed
    }

    /// Loads a word; what was written last follows.
    pub(crate) fn load(&mut self, word: u32) -> Spot {
        self.push(LOAD, 0, 0, word)
    }

    pub(crate) fn answer(&mut self, answer: Answer) -> Spot {
        let spot = self.push(RETURN, 0, 0, answer.encode());
        if let Spot::At(place) = spot {
            self.answers.retain(|(known, _)| *known != answer);
            self.answers.push((answer, place));
        }
        spot
    }

    /// A comparison of the accumulator.
    pub(crate) fn branch(&mut self, comparison: u16, k: u32, mut yes: Spot, mut no: Spot) -> Spot {
        loop {
            match (self.distance(yes), self.distance(no)) {
                (Some(jt), Some(jf)) => return self.push(comparison, jt, jf, k),
                (None, _) => yes = self.near(yes),
                (_, None) => no = self.near(no),
            }
        }
    }

    /// A block's instructions; answers where it begins.
    pub(crate) fn block(&mut self, block: &Block) -> Spot {
        let mut spots = Vec::with_capacity(block.nodes.len());
        let spot = |spots: &[Spot], way| match way {
            Way::Answer(answer) => Spot::Answer(answer),
            Way::Node(place) => spots[place],
        };
        for (node, loaded) in block.nodes.iter().zip(block.loaded()) {
            let (yes, no) = (spot(&spots, node.yes), spot(&spots, node.no));
            let mut begin = self.branch(node.comparison, node.k, yes, no);
            if !loaded {
                if node.mask != u32::MAX {
                    self.push(AND, 0, 0, node.mask);
                }
                begin = self.load(node.word);
            }
            spots.push(begin);
        }
        spot(&spots, block.entry)
    }

    /// How many instructions a jump written now would skip, when it reaches.
    fn distance(&self, spot: Spot) -> Option<u8> {
        let place = match spot {
            Spot::Answer(answer) => self.answers.iter().find(|(known, _)| *known == answer)?.1,
            Spot::At(place) => place,
        };
        self.skipped(place).filter(|skipped| *skipped <= REACH)?.try_into().ok()
    }

    fn skipped(&self, place: usize) -> Option<usize> {
        self.reversed.len().checked_sub(place + 1)
    }

    /// The same thing, close by.
    fn near(&mut self, spot: Spot) -> Spot {
        let place = match spot {
            Spot::Answer(answer) => return self.answer(answer),
            Spot::At(place) => place,
        };
        let known = self.relays.iter().find(|(far, _)| *far == place).map(|(_, relay)| Spot::At(*relay));
        if let Some(relay) = known.filter(|relay| self.distance(*relay).is_some()) {
            return relay;
        }
        let skipped = self.skipped(place).unwrap_or_default();
        let relay = self.push(JUMP, 0, 0, u32::try_from(skipped).unwrap_or(u32::MAX));
        if let Spot::At(at) = relay {
            self.relays.retain(|(far, _)| *far != place);
            self.relays.push((place, at));
        }
        relay
    }

    fn push(&mut self, code: u16, jt: u8, jf: u8, k: u32) -> Spot {
        self.reversed.push(Instruction { code, jt, jf, k });
        Spot::At(self.reversed.len() - 1)
    }
}
