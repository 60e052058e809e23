//! A caller of the library that stays: `cargo xtask bench` builds and runs this, and asks it for one start at a time.
//!
//! `resident PROGRAM [MEMORY_BYTES [THREADS]]`: holds that much memory and so many threads, and then answers lines.
//! `go` is one start to its end, in microseconds; `for MILLISECONDS LAUNCHERS` is how many of them end in that time.

use std::error::Error;
use std::io::{BufRead as _, Write as _};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ringfence::policy::Policy;
use ringfence::{Sandbox, Stdio};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Result<()> {
    let mut words = std::env::args().skip(1);
    let program = PathBuf::from(words.next().ok_or("no program")?);
    let memory: usize = words.next().map_or(Ok(0), |word| word.parse())?;
    let threads: usize = words.next().map_or(Ok(0), |word| word.parse())?;
    // Every page is touched: untouched memory costs nobody anything.
    let mut held = vec![0_u8; memory];
    held.iter_mut().step_by(4096).for_each(|byte| *byte = 1);
    for _ in 0..threads {
        std::thread::Builder::new().stack_size(64 << 10).spawn(|| {
            loop {
                std::thread::park();
            }
        })?;
    }
    let sandbox = Sandbox::new(Policy::builtin("default")?.ro(&program));
    let mut out = std::io::stdout();
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<_> = line.split(' ').collect();
        match words.as_slice() {
            ["go"] => writeln!(out, "{:.1}", start(&sandbox, &program)?.as_secs_f64() * 1e6)?,
            ["for", milliseconds, launchers] => {
                let time = Duration::from_millis(milliseconds.parse()?);
                writeln!(out, "{}", many(&sandbox, &program, time, launchers.parse()?)?)?;
            }
            _ => return Err(format!("`{line}` is no order").into()),
        }
        out.flush()?;
    }
    // Until the end: the compiler must not let it go before.
    std::hint::black_box(held);
    Ok(())
}

/// One start, to its end.
fn start(sandbox: &Sandbox, program: &PathBuf) -> Result<Duration> {
    let begun = Instant::now();
    let mut command = sandbox.command(program);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let report = command.status()?;
    let time = begun.elapsed();
    if report.exit.status() != 0 {
        return Err(
            format!("{} ended with {}: {:?}", program.display(), report.exit.status(), report.error).into()
        );
    }
    Ok(time)
}

/// How many starts end while so many threads start one after the other.
fn many(sandbox: &Sandbox, program: &PathBuf, time: Duration, launchers: usize) -> Result<u64> {
    let (count, begun) = (AtomicU64::new(0), Instant::now());
    std::thread::scope(|scope| {
        let launch = || -> Result<()> {
            while begun.elapsed() < time {
                start(sandbox, program)?;
                count.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        };
        let threads: Vec<_> = (0..launchers).map(|_| scope.spawn(launch)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| "a launcher panicked")?)
    })?;
    Ok(count.into_inner())
}
