//! The prober of `ringfence inspect`: runs as the program of a sandbox, tries what can be reached, and says what was
//! answered.
//!
//! Freestanding as PID 1 is, and of the same parts, so that it brings nothing into the sandbox: no loader, no library,
//! no file. It takes every answer for data, dies of what kills it (its starter then has another one leave that out),
//! and decides nothing: what a finding means is said outside.
#![no_std]
#![no_main]
#![deny(unsafe_op_in_unsafe_fn)]

#[path = "../src/abi.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with PID 1 and its starter")]
mod abi;
mod calls;
#[path = "../src/inspect.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with who reads it")]
mod inspect;
mod ipc;
mod kernel;
mod names;
mod network;
mod own;
#[path = "../pid1/start.rs"]
mod start;
#[path = "../src/sys.rs"]
#[allow(dead_code, unreachable_pub, unused_imports, reason = "shared with PID 1 and its starter")]
mod sys;
mod tell;
mod walk;
#[path = "../src/wire.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with PID 1 and its starter")]
mod wire;

use inspect::{Kind, Section};
use sys::Fd;
use tell::Prober;

/// The words that it is started with: its name, where to tell, its own executable's number, the sections (a set of
/// bits), and the calls that it must not make (hexadecimal, the lowest number first).
const WORDS: usize = 5;

/// The start, from what the kernel put on the stack.
///
/// # Safety
/// `stack` points to argc, that many pointers to terminated strings, a null, and the same for the environment.
unsafe fn enter(stack: *const usize) -> ! {
    // SAFETY: there is always a count.
    if unsafe { *stack } != WORDS {
        sys::exit(125);
    }
    // SAFETY: as counted.
    let word = |index: usize| unsafe { *stack.add(1 + index) as *const u8 };
    // SAFETY: all are terminated strings.
    let [out, executable, sections] = [1, 2, 3].map(|index| unsafe { start::descriptor(word(index)) });
    // SAFETY: the same.
    let avoid = unsafe { set(word(4)) };
    let _its_own_copy = sys::close(executable);
    let mut prober = Prober::new(out, avoid);
    for section in Section::ALL {
        if sections.0 >> section as u32 & 1 == 1 {
            // SAFETY: behind the arguments and their null the kernel put the environment.
            run(&mut prober, section, unsafe { stack.add(WORDS + 2) });
        }
    }
    prober.mark(Kind::Done, [0; 3]);
    sys::exit(0)
}

/// Reads a set of bits, four to a digit.
///
/// # Safety
/// `text` is a terminated string.
unsafe fn set(text: *const u8) -> [u64; inspect::CALLS / 64] {
    let mut set = [0; inspect::CALLS / 64];
    for place in 0..inspect::CALLS / 4 {
        // SAFETY: the loop ends at the string's NUL.
        let digit = char::from(unsafe { *text.add(place) }).to_digit(16);
        let Some(digit) = digit else { break };
        set[place / 16] |= u64::from(digit) << (place % 16 * 4);
    }
    set
}

/// Runs a section in a process of its own, where there can be one: what ends that does not end the others.
fn run(prober: &mut Prober, section: Section, environment: *const usize) {
    prober.begin(section);
    match prober.fork() {
        Ok(0) => {
            probe(prober, section, environment);
            prober.mark(Kind::End, [section as u64, 0, 0]);
            sys::exit(0)
        }
        Ok(child) => match prober.wait(child) {
            Ok(0) => {}
            Ok(status) => prober.mark(Kind::Died, [section as u64, status as u64, 0]),
            Err(_) => prober.mark(Kind::Died, [section as u64, u64::MAX, 0]),
        },
        Err(_) => {
            probe(prober, section, environment);
            prober.mark(Kind::End, [section as u64, 0, 0]);
        }
    }
}

fn probe(prober: &mut Prober, section: Section, environment: *const usize) {
    match section {
        // SAFETY: `enter` was given the stack of a start.
        Section::Own => unsafe { own::probe(prober, environment) },
        Section::Processes => own::processes(prober),
        Section::Ipc => ipc::probe(prober),
        Section::Network => network::probe(prober),
        Section::Files => walk::probe(prober),
        Section::Kernel => kernel::probe(prober),
        Section::Calls => calls::probe(prober),
    }
}

/// The working directory, as openat(2) names it.
const HERE: Fd = Fd(abi::AT_FDCWD);
