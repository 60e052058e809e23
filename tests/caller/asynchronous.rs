//! Tasks of an asynchronous runtime that run sandboxes, and drop or cancel them at random instants.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ringfence::policy::Reason;
use ringfence::{Cancellation, Policy, Request, execute};

/// How the runs of all tasks ended.
#[derive(Default)]
struct Tally {
    whole: AtomicUsize,
    cancelled: AtomicUsize,
    dropped: AtomicUsize,
    wrong: AtomicUsize,
}

/// Runs sandboxes in tasks. Answers how many ended which way, what is left open, and what is left alive.
pub(crate) fn random_ends(tasks: usize, rounds: usize) -> String {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_time().build();
    let runtime = runtime.expect("a runtime");
    // The first sandbox leaves the cached memory file behind.
    runtime.block_on(async {
        let word = Cancellation::new().expect("a descriptor");
        execute(request(0, 0), policy(), &word).await.expect("it starts");
    });
    let before = open_files();
    let tally = std::sync::Arc::new(Tally::default());
    runtime.block_on(async {
        let spawned: Vec<_> = (0..tasks)
            .map(|task| tokio::spawn(many(task as u64 + 1, rounds, std::sync::Arc::clone(&tally))))
            .collect();
        for task in spawned {
            task.await.expect("the task ended");
        }
    });
    let leaked = open_files().saturating_sub(before);
    let alive = children();
    let of = |count: &AtomicUsize| count.load(Ordering::SeqCst);
    let (whole, cancelled, dropped) = (of(&tally.whole), of(&tally.cancelled), of(&tally.dropped));
    let all = whole + cancelled + dropped;
    let every = whole > 0 && cancelled > 0 && dropped > 0;
    eprintln!("async: {whole} whole, {cancelled} cancelled, {dropped} dropped");
    format!(
        "{all} right, {} wrong, {leaked} leaked, {alive} alive, {} way of ending",
        of(&tally.wrong),
        if every { "every" } else { "not every" }
    )
}

fn policy() -> Policy {
    Policy::builtin("default").expect("a built-in profile")
}

/// A shell that sleeps a while and ends with this status.
fn request(code: u64, millis: u64) -> Request {
    let line = format!("echo {code}; sleep 0.{millis:03}; exit {code}");
    Request::new(["/bin/sh", "-c", &line])
}

async fn many(seed: u64, rounds: usize, tally: std::sync::Arc<Tally>) {
    let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut next = |most: u64| {
        // xorshift64: any spread will do.
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % most
    };
    for _ in 0..rounds {
        let (way, code, wait) = (next(3), next(200), Duration::from_micros(next(400_000)));
        let word = Cancellation::new().expect("a descriptor");
        let run = execute(request(code, next(200)), policy(), &word);
        let count = match way {
            0 => judge(Some(run.await), code, &tally),
            1 => judge(tokio::time::timeout(wait, run).await.ok(), code, &tally),
            _ => {
                let said = word.clone();
                let other = tokio::spawn(async move {
                    tokio::time::sleep(wait).await;
                    said.cancel();
                });
                let ended = run.await;
                other.await.expect("the task ended");
                judge(Some(ended), code, &tally)
            }
        };
        count.fetch_add(1, Ordering::SeqCst);
    }
}

/// Which way it ended, by what it says; nothing is said of what was dropped.
fn judge(
    ended: Option<Result<ringfence::Output, ringfence::Failure>>,
    code: u64,
    tally: &Tally,
) -> &AtomicUsize {
    match ended {
        None => &tally.dropped,
        Some(Err(failure)) if failure.report.exit.reason == Reason::Killed => &tally.cancelled,
        Some(Ok(output)) if output.report.exit.reason == Reason::Killed => &tally.cancelled,
        Some(Ok(output))
            if output.report.exit.code == i32::try_from(code).ok()
                && output.stdout == format!("{code}\n").as_bytes() =>
        {
            &tally.whole
        }
        Some(other) => {
            eprintln!("async: {other:?}");
            &tally.wrong
        }
    }
}

fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

/// Processes whose parent this one is.
fn children() -> usize {
    let own = format!("PPid:\t{}\n", std::process::id());
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter(|entry| {
            std::fs::read_to_string(entry.path().join("status")).is_ok_and(|text| text.contains(&own))
        })
        .count()
}
