//! Classic BPF over `struct seccomp_data`, read from the kernel's documentation (networking/filter.rst,
//! userspace-api/seccomp_filter.rst) and from nothing of ours.
//!
//! It is stricter than the kernel needs to be: what the kernel would refuse is an error here, and so is whatever
//! the kernel defines although no good compiler writes it.

/// `struct sock_filter`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    pub code: u16,
    pub jt: u8,
    pub jf: u8,
    pub k: u32,
}

/// `struct seccomp_data`, but for the instruction pointer, which no filter of ours may look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Data {
    pub nr: u32,
    pub arch: u32,
    pub args: [u64; 6],
}

/// `BPF_MAXINSNS`.
pub const LONGEST: usize = 4096;

// Classes, and the rest of a code.
const LD: u16 = 0x00;
const LDX: u16 = 0x01;
const ST: u16 = 0x02;
const STX: u16 = 0x03;
const ALU: u16 = 0x04;
const JMP: u16 = 0x05;
const RET: u16 = 0x06;
const MISC: u16 = 0x07;

const IMM: u16 = 0x00;
const ABS: u16 = 0x20;
const MEM: u16 = 0x60;
const LEN: u16 = 0x80;
const X: u16 = 0x08;

const SIZE_OF_DATA: u32 = 64;
const OFFSET_OF_POINTER: u32 = 8;
const OFFSET_OF_ARGS: u32 = 16;

/// Runs a program. An error names the place and what is wrong there.
pub fn run(program: &[Instruction], data: &Data) -> Result<u32, String> {
    let mut machine = Machine { a: 0, x: 0, memory: [None; 16] };
    let mut at = 0;
    loop {
        let one = program.get(at).ok_or_else(|| format!("{at}: runs off the end of {}", program.len()))?;
        let step = machine.step(*one, data).map_err(|what| format!("{at}: {what} ({one:x?})"))?;
        match step {
            Step::Answer(value) => return Ok(value),
            Step::Skip(count) => at += 1 + count as usize,
        }
    }
}

struct Machine {
    a: u32,
    x: u32,
    memory: [Option<u32>; 16],
}

enum Step {
    Skip(u32),
    Answer(u32),
}

impl Machine {
    fn step(&mut self, one: Instruction, data: &Data) -> Result<Step, String> {
        let class = one.code & 7;
        if class != JMP && (one.jt, one.jf) != (0, 0) {
            return Err("has branches and is no jump".to_owned());
        }
        match (class, one.code & !7) {
            (LD, ABS) => self.a = load(data, one.k)?,
            (LD, IMM) => self.a = one.k,
            (LD, MEM) => self.a = self.recall(one.k)?,
            (LD, LEN) => self.a = SIZE_OF_DATA,
            (LDX, IMM) => self.x = one.k,
            (LDX, MEM) => self.x = self.recall(one.k)?,
            (LDX, LEN) => self.x = SIZE_OF_DATA,
            (ST, 0) => self.store(one.k, self.a)?,
            (STX, 0) => self.store(one.k, self.x)?,
            (ALU, operation) => self.calculate(operation, one.k)?,
            (JMP, kind) => return self.jump(kind, one),
            (RET, 0x00) => return Ok(Step::Answer(one.k)),
            (RET, 0x10) => return Ok(Step::Answer(self.a)),
            (MISC, 0x00) => self.x = self.a,
            (MISC, 0x80) => self.a = self.x,
            _ => return Err("unknown code".to_owned()),
        }
        Ok(Step::Skip(0))
    }

    fn recall(&self, at: u32) -> Result<u32, String> {
        let cell = self.memory.get(at as usize).ok_or("no such cell")?;
        cell.ok_or_else(|| "reads a cell that nothing was stored in".to_owned())
    }

    fn store(&mut self, at: u32, value: u32) -> Result<(), String> {
        *self.memory.get_mut(at as usize).ok_or("no such cell")? = Some(value);
        Ok(())
    }

    fn calculate(&mut self, operation: u16, k: u32) -> Result<(), String> {
        let operand = if operation & X == 0 { k } else { self.x };
        self.a = match operation & !X {
            0x00 => self.a.wrapping_add(operand),
            0x10 => self.a.wrapping_sub(operand),
            0x20 => self.a.wrapping_mul(operand),
            0x30 => self.a.checked_div(operand).ok_or("divides by zero")?,
            0x40 => self.a | operand,
            0x50 => self.a & operand,
            0x60 => self.a.checked_shl(operand).ok_or("shifts by more than the width")?,
            0x70 => self.a.checked_shr(operand).ok_or("shifts by more than the width")?,
            0x80 if operation == 0x80 => self.a.wrapping_neg(),
            0xa0 => self.a ^ operand,
            _ => return Err("unknown operation".to_owned()),
        };
        Ok(())
    }

    fn jump(&self, kind: u16, one: Instruction) -> Result<Step, String> {
        let operand = if kind & X == 0 { one.k } else { self.x };
        let holds = match kind & !X {
            0x00 if kind == 0x00 => return Ok(Step::Skip(one.k)),
            0x10 => self.a == operand,
            0x20 => self.a > operand,
            0x30 => self.a >= operand,
            0x40 => self.a & operand != 0,
            _ => return Err("unknown jump".to_owned()),
        };
        Ok(Step::Skip(u32::from(if holds { one.jt } else { one.jf })))
    }
}

/// A word of the data. The machines that we support are little-endian: the lower half of an argument comes first.
fn load(data: &Data, offset: u32) -> Result<u32, String> {
    if !offset.is_multiple_of(4) {
        return Err(format!("loads from {offset}, which is not aligned"));
    }
    match offset {
        0 => Ok(data.nr),
        4 => Ok(data.arch),
        OFFSET_OF_POINTER..OFFSET_OF_ARGS => Err("looks at the instruction pointer".to_owned()),
        OFFSET_OF_ARGS..SIZE_OF_DATA => {
            let index = (offset - OFFSET_OF_ARGS) / 8;
            let shift = (offset - OFFSET_OF_ARGS) % 8 * 8;
            Ok((data.args[index as usize] >> shift) as u32)
        }
        _ => Err(format!("loads from {offset}, beyond the data")),
    }
}

/// What must hold of a program whatever it is run on: every instruction is known, every jump lands inside, and
/// the last one answers.
pub fn verify(program: &[Instruction]) -> Result<(), String> {
    if program.is_empty() || program.len() > LONGEST {
        return Err(format!("{} instructions, not 1 to {LONGEST}", program.len()));
    }
    for (at, one) in program.iter().enumerate() {
        let room = program.len() - at - 1;
        let furthest = match (one.code & 7, one.code & !(7 | X)) {
            (JMP, 0) => one.k as usize,
            (JMP, _) => usize::from(one.jt.max(one.jf)),
            _ => 0,
        };
        if furthest >= room && one.code & 7 != RET {
            return Err(format!("{at}: leaves the program ({one:x?})"));
        }
        // A step from a machine in which every cell was stored finds every code and operand that is unknown.
        let mut machine = Machine { a: 1, x: 1, memory: [Some(1); 16] };
        let data = Data { nr: 0, arch: 0, args: [0; 6] };
        machine.step(*one, &data).map_err(|what| format!("{at}: {what} ({one:x?})"))?;
    }
    Ok(())
}

/// As the kernel finds what its cache may answer (kernel/seccomp.c, `seccomp_is_const_allow`): a call whose answer is
/// ALLOW and is reached from its number and architecture alone, by the few instructions that the kernel follows.
pub fn is_cached(program: &[Instruction], nr: u32, arch: u32) -> bool {
    let mut a = 0;
    let mut at = 0;
    while let Some(one) = program.get(at) {
        let choose = |holds: bool| usize::from(if holds { one.jt } else { one.jf });
        at += 1;
        match one.code {
            0x20 if one.k == 0 => a = nr,
            0x20 if one.k == 4 => a = arch,
            0x06 => return one.k == crate::answers::ALLOW,
            0x05 => at += one.k as usize,
            0x15 => at += choose(a == one.k),
            0x25 => at += choose(a > one.k),
            0x35 => at += choose(a >= one.k),
            0x45 => at += choose(a & one.k != 0),
            0x54 => a &= one.k,
            _ => return false,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn op(code: u16, jt: u8, jf: u8, k: u32) -> Instruction {
        Instruction { code, jt, jf, k }
    }

    const DATA: Data =
        Data { nr: 7, arch: 9, args: [0x1122_3344_5566_7788, 1, 2, 3, 4, 0xaaaa_bbbb_cccc_dddd] };

    #[test]
    fn loads_halves_and_compares() {
        for (offset, want) in
            [(0, 7), (4, 9), (16, 0x5566_7788), (20, 0x1122_3344), (56, 0xcccc_dddd), (60, 0xaaaa_bbbb)]
        {
            assert_eq!(run(&[op(0x20, 0, 0, offset), op(0x16, 0, 0, 0)], &DATA), Ok(want), "{offset}");
        }
        // Jumps: equal, greater, greater or equal, any bit.
        for (code, k, holds) in [
            (0x15, 7, true),
            (0x15, 8, false),
            (0x25, 7, false),
            (0x25, 6, true),
            (0x35, 7, true),
            (0x35, 8, false),
            (0x45, 4, true),
            (0x45, 8, false),
        ] {
            let program = [op(0x20, 0, 0, 0), op(code, 0, 1, k), op(0x06, 0, 0, 1), op(0x06, 0, 0, 0)];
            assert_eq!(run(&program, &DATA), Ok(u32::from(holds)), "{code:x} {k}");
        }
    }

    #[test]
    fn refuses_what_the_kernel_would_and_what_nobody_should_write() {
        let ret = op(0x06, 0, 0, 0);
        for (bad, word) in [
            (op(0x20, 0, 0, 18), "aligned"),
            (op(0x20, 0, 0, 64), "beyond"),
            (op(0x20, 0, 0, 8), "pointer"),
            (op(0x05, 0, 0, 1), "leaves"),
            (op(0x15, 0, 1, 0), "leaves"),
            (op(0x28, 0, 0, 0), "unknown"),
            (op(0x34, 0, 0, 0), "zero"),
            (op(0x94, 0, 0, 2), "unknown"),
            (op(0x60, 0, 0, 16), "cell"),
            (op(0x00, 1, 0, 0), "no jump"),
        ] {
            let error = verify(&[bad, ret]).unwrap_err();
            assert!(error.contains(word), "{bad:x?}: {error}");
        }
        assert!(run(&[op(0x60, 0, 0, 0), ret], &DATA).unwrap_err().contains("nothing was stored"));
        assert!(run(&[op(0x00, 0, 0, 0)], &DATA).unwrap_err().contains("off the end"));
        assert!(verify(&[op(0x00, 0, 0, 0)]).is_err());
        assert!(verify(&[]).is_err());
        assert!(verify(&vec![ret; LONGEST + 1]).is_err());
        assert_eq!(verify(&vec![ret; LONGEST]), Ok(()));
    }

    #[test]
    fn follows_only_what_the_kernel_follows_to_a_cached_answer() {
        let allow = op(0x06, 0, 0, crate::answers::ALLOW);
        let constant = [op(0x20, 0, 0, 0), op(0x15, 0, 1, 7), allow, op(0x06, 0, 0, 0)];
        assert!(is_cached(&constant, 7, 9) && !is_cached(&constant, 8, 9));
        assert!(!is_cached(&[op(0x20, 0, 0, 16), allow], 7, 9));
        assert!(!is_cached(&[op(0x07, 0, 0, 0), allow], 7, 9));
    }
}
