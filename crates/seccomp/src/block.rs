//! One call's tests as a graph of single comparisons of 32 bits, each with two ways on.

use crate::answer::Answer;
use crate::argument::{Op, Test};
use crate::bpf::{AT_LEAST, EQUAL, GREATER, high, low};
use crate::decide::Decision;

/// Where a comparison leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Answer(Answer),
    /// Another comparison, by its place among the nodes.
    Node(usize),
}

/// `(word & mask) comparison k`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    /// The word of `struct seccomp_data`.
    pub(crate) word: u32,
    pub(crate) mask: u32,
    pub(crate) comparison: u16,
    pub(crate) k: u32,
    pub(crate) yes: Way,
    pub(crate) no: Way,
}

/// The comparisons of one decision. A node leads to earlier nodes only.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    pub(crate) nodes: Vec<Node>,
    pub(crate) entry: Way,
}

impl Block {
    pub(crate) fn new(decision: &Decision) -> Self {
        let mut block = Self { nodes: Vec::new(), entry: Way::Answer(decision.otherwise) };
        for case in decision.cases.iter().rev() {
            let otherwise = block.entry;
            let mut way = Way::Answer(case.answer);
            for test in case.tests.iter().rev() {
                way = block.test(test, way, otherwise);
            }
            block.entry = way;
        }
        block.drop_unreachable();
        block
    }

    /// Which nodes find the word that they look at already loaded: every way to them comes from the same word.
    pub(crate) fn loaded(&self) -> Vec<bool> {
        let mut loaded = vec![true; self.nodes.len()];
        if let Way::Node(entry) = self.entry {
            loaded[entry] = false;
        }
        for node in &self.nodes {
            for way in [node.yes, node.no] {
                if let Way::Node(next) = way {
                    let next_node = &self.nodes[next];
                    loaded[next] &= (next_node.word, next_node.mask) == (node.word, node.mask);
                }
            }
        }
        loaded
    }

    fn test(&mut self, test: &Test, yes: Way, no: Way) -> Way {
        match test.op {
            Op::Eq => {
                let rest = self.half(test, false, EQUAL, yes, no);
                self.half(test, true, EQUAL, rest, no)
            }
            Op::Gt => self.above(test, GREATER, yes, no),
            Op::Ge => self.above(test, AT_LEAST, yes, no),
            Op::Ne => self.test(&Test { op: Op::Eq, ..*test }, no, yes),
            Op::Le => self.above(test, GREATER, no, yes),
            Op::Lt => self.above(test, AT_LEAST, no, yes),
        }
    }

    /// The high halves decide, unless they are equal.
    fn above(&mut self, test: &Test, comparison: u16, yes: Way, no: Way) -> Way {
        let rest = self.half(test, false, comparison, yes, no);
        let equal = self.half(test, true, EQUAL, rest, no);
        self.half(test, true, GREATER, yes, equal)
    }

    fn half(&mut self, test: &Test, upper: bool, comparison: u16, yes: Way, no: Way) -> Way {
        let shift = if upper { 32 } else { 0 };
        let word = if upper { high(test.argument) } else { low(test.argument) };
        let [mask, k] = [test.mask, test.value].map(|bits| (bits >> shift & 0xffff_ffff) as u32);
        let always = comparison == AT_LEAST && k == 0;
        // The largest value that is left is the mask itself.
        let never = match comparison {
            EQUAL => k & !mask != 0,
            GREATER => k >= mask,
            _ => k > mask,
        };
        if always || (mask == 0 && !never) || yes == no {
            return yes;
        }
        if never {
            return no;
        }
        self.node(Node { word, mask, comparison, k, yes, no })
    }

    fn node(&mut self, node: Node) -> Way {
        let place = self.nodes.iter().position(|known| *known == node).unwrap_or_else(|| {
            self.nodes.push(node);
            self.nodes.len() - 1
        });
        Way::Node(place)
    }

    fn drop_unreachable(&mut self) {
        let mut reached = vec![false; self.nodes.len()];
        let reach = |reached: &mut Vec<bool>, way| {
            if let Way::Node(place) = way {
                reached[place] = true;
            }
        };
        reach(&mut reached, self.entry);
        for place in (0..self.nodes.len()).rev() {
            if reached[place] {
                reach(&mut reached, self.nodes[place].yes);
                reach(&mut reached, self.nodes[place].no);
            }
        }
        let mut new = Vec::with_capacity(reached.len());
        let mut count = 0;
        for reached in &reached {
            new.push(count);
            count += usize::from(*reached);
        }
        let moved = |way| if let Way::Node(place) = way { Way::Node(new[place]) } else { way };
        let kept = self.nodes.iter().zip(&reached).filter(|(_, reached)| **reached);
        self.nodes =
            kept.map(|(node, _)| Node { yes: moved(node.yes), no: moved(node.no), ..*node }).collect();
        self.entry = moved(self.entry);
    }
}
