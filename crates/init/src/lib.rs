//! PID 1 of every sandbox, as an executable image, and what its starter must know to speak with it.
//!
//! The program itself is in `pid1/`: freestanding, static, without an allocator. [`IMAGE`] is that program for
//! the target; [`wire`] is the plan that it reads and the records that it answers; [`sys`] are the system
//! calls that both sides make where no library may be called.
//! [`PROBER`] in `prober/` is a second such program, and [`inspect`] what it says.
#![no_std]

pub mod abi;
pub mod inspect;
pub mod sys;
pub mod wire;

/// The executable image of PID 1.
pub static IMAGE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/pid1"));

/// The executable image of the prober, which `inspect` runs as the program of a sandbox.
pub static PROBER: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/prober"));
