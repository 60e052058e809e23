//! What filters cost: instructions, the longest search, and the time to compile. Build with --release.
#![allow(clippy::print_stdout, reason = "it is for reading")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use ringfence_seccomp::{Arch, Filter, Syscalls, Violation, exec_once};

fn main() {
    let archs = Arch::NATIVE.map(|arch| [arch]);
    let archs = archs.as_ref().map_or(Arch::ALL.as_slice(), |native| native.as_slice());
    println!("exec once: {} instructions", exec_once(archs).instructions().len());
    for entries in [&[][..], &["@start", "write"], &["@default"], &["@all"]] {
        let allow = entries.iter().map(|entry| (*entry).to_owned()).collect();
        let syscalls = Syscalls { allow, ..Syscalls::default() };
        let filter = Filter { syscalls, on_violation: Violation::default(), single_process: false };
        let Ok(program) = filter.compile(archs) else { unreachable!("groups have no mistakes") };
        let both = filter.compile(&Arch::ALL).map_or(0, |program| program.instructions().len());
        let mut times: Vec<Duration> = (0..1001).map(|_| time(&filter, archs)).collect();
        times.sort_unstable();
        println!(
            "{entries:?}: {} instructions ({both} for both architectures), compiled in {:?} (fastest {:?}); {:?}",
            program.instructions().len(),
            times[500],
            times[0],
            filter.summary(archs[0]),
        );
    }
}

fn time(filter: &Filter, archs: &[Arch]) -> Duration {
    let begin = Instant::now();
    let _ = black_box(filter.compile(black_box(archs)));
    begin.elapsed()
}
