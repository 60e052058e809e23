//! The machine that runs filters, and what the kernel demands of them (kernel/seccomp.c, net/core/filter.c).

use ringfence_seccomp::{Instruction, Program};

/// `struct seccomp_data`.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    arch: u32,
    pub(crate) number: u32,
    pub(crate) args: [u64; 6],
}

impl Call {
    pub(crate) fn new(arch: u32, number: u32, args: &[u64]) -> Self {
        let mut all = [0; 6];
        all[..args.len()].copy_from_slice(args);
        Self { arch, number, args: all }
    }

    fn word(&self, offset: u32) -> u32 {
        match offset {
            0 => self.number,
            4 => self.arch,
            16..64 => (self.args[(offset as usize - 16) / 8] >> (offset % 8 * 8)) as u32,
            _ => panic!("load of {offset}"),
        }
    }
}

/// The filter's answer.
pub(crate) fn run(program: &Program, call: &Call) -> u32 {
    steps(program, call).0
}

/// The filter's answer, and how many instructions it took.
pub(crate) fn steps(program: &Program, call: &Call) -> (u32, usize) {
    let code = program.instructions();
    let (mut accumulator, mut at, mut count) = (0, 0, 0);
    loop {
        let Instruction { code, jt, jf, k } = code[at];
        count += 1;
        at += 1;
        let mut jump = |condition| at += usize::from(if condition { jt } else { jf });
        match code {
            0x20 => accumulator = call.word(k),
            0x54 => accumulator &= k,
            0x15 => jump(accumulator == k),
            0x25 => jump(accumulator > k),
            0x35 => jump(accumulator >= k),
            0x05 => at += k as usize,
            0x06 => return (k, count),
            _ => panic!("instruction {code:#x}"),
        }
    }
}

/// Whether the kernel knows beforehand that a number is allowed: only the number and the architecture are looked at
/// (`seccomp_is_const_allow`).
pub(crate) fn known_beforehand(program: &Program, arch: u32, number: u32) -> bool {
    let code = program.instructions();
    let call = Call::new(arch, number, &[]);
    let (mut accumulator, mut at) = (0, 0);
    loop {
        let Instruction { code, jt, jf, k } = code[at];
        at += 1;
        let mut jump = |condition| at += usize::from(if condition { jt } else { jf });
        match code {
            0x20 if k <= 4 => accumulator = call.word(k),
            0x20 => return false,
            0x54 => accumulator &= k,
            0x15 => jump(accumulator == k),
            0x25 => jump(accumulator > k),
            0x35 => jump(accumulator >= k),
            0x05 => at += k as usize,
            0x06 => return k == 0x7fff_0000,
            _ => return false,
        }
    }
}

/// What the kernel checks when a filter is loaded, and that every instruction can be reached.
pub(crate) fn verify(program: &Program) {
    let code = program.instructions();
    assert!(!code.is_empty() && code.len() <= 4096, "{} instructions", code.len());
    let mut reached = vec![false; code.len()];
    reached[0] = true;
    for (at, instruction) in code.iter().enumerate() {
        assert!(reached[at], "instruction {at} is never reached");
        let next: &[usize] = match instruction.code {
            0x20 => {
                assert!(instruction.k < 64 && instruction.k % 4 == 0, "load of {}", instruction.k);
                &[at + 1]
            }
            0x54 => &[at + 1],
            0x15 | 0x25 | 0x35 => {
                &[at + 1 + usize::from(instruction.jt), at + 1 + usize::from(instruction.jf)]
            }
            0x05 => &[at + 1 + instruction.k as usize],
            0x06 => &[],
            code => panic!("instruction {code:#x} at {at}"),
        };
        for next in next {
            assert!(*next < reached.len(), "instruction {at} jumps out, to {next}");
            reached[*next] = true;
        }
    }
    assert_eq!(code[code.len() - 1].code, 0x06, "the last instruction must answer");
}
