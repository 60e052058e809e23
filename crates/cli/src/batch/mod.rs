//! `ringfence batch`: JSON lines in, JSON lines out, thousands of runs from one process.
//!
//! One thread reads, as many as `--jobs` run, the first watches for the client's end. Nothing grows: a line has a
//! largest length, so many requests wait and no more, and who does not read its answers is not read from either.

mod answer;
mod base64;
mod folder;
mod lines;
mod live;
mod queue;
mod request;

use std::io::{self, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ringfence::policy::{Policy, Problem};
use ringfence::{Cancellation, DEFAULT_OUTPUT, Registry, Signals};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::Value;

use crate::arguments::BatchArguments;
use crate::batch::folder::Folders;
use crate::batch::lines::{Line, Lines};
use crate::batch::live::Live;
use crate::batch::queue::Queue;
use crate::batch::request::{Asked, Request};
use crate::{messages, output, policy, usage};

/// How long a client's end may take to end everything.
const PATIENCE: Duration = Duration::from_secs(5);

/// What all runs share.
struct Shared {
    policy: Policy,
    registry: Option<Registry>,
    folders: Folders,
    live: Live,
    queue: Queue<Work>,
    stdout: Mutex<io::Stdout>,
    /// The client is gone: nothing more begins.
    over: AtomicBool,
    /// Says so to the thread that watches.
    broken: Cancellation,
}

/// A request that waits, or runs.
struct Work {
    request: Request,
    key: String,
}

/// Runs what is asked on standard input until its end.
pub(crate) fn batch(arguments: BatchArguments) -> u8 {
    let jobs = arguments.jobs.map_or_else(of_this_machine, |jobs| jobs as usize);
    let mut notes = Vec::new();
    let policy = match policy::from_flags(arguments.policy, &mut notes) {
        Ok(policy) => policy,
        Err(problem) => {
            messages::problem(&problem);
            return usage::STATUS;
        }
    };
    notes.iter().for_each(|note| messages::say(note));
    match begin(policy).and_then(|shared| serve(&Arc::new(shared), jobs)) {
        Ok(status) => status,
        Err(problem) => {
            messages::problem(&problem);
            output::FAILED
        }
    }
}

fn of_this_machine() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

fn begin(mut policy: Policy) -> Result<Shared, Problem> {
    // Answers are held in memory: without a limit of the policy the library's bound is the limit.
    policy.limits.output.get_or_insert(DEFAULT_OUTPUT);
    let registry = Registry::open();
    if let Err(problem) = &registry {
        messages::say(&format!("`ringfence ps` and `kill` will not know these runs: {problem}"));
    }
    Ok(Shared {
        policy,
        registry: registry.ok(),
        folders: Folders::default(),
        live: Live::default(),
        queue: Queue::new(),
        stdout: Mutex::new(io::stdout()),
        over: AtomicBool::new(false),
        broken: Cancellation::new().map_err(no_threads)?,
    })
}

fn no_threads(e: io::Error) -> Problem {
    Problem::request("batch", format!("the batch cannot begin: {e}"))
        .remedy("raise `ulimit -n` and `ulimit -u`")
}

/// Reads, runs and answers until the end of the input or of the client.
fn serve(shared: &Arc<Shared>, jobs: usize) -> Result<u8, Problem> {
    // Before there is any other thread: they all leave the signals to this one.
    let signals = Signals::take().map_err(no_threads)?;
    let done = Cancellation::new().map_err(no_threads)?;
    let mut workers = Vec::new();
    for _ in 0..jobs {
        let shared = Arc::clone(shared);
        workers.push(spawn(move || work(&shared))?);
    }
    let reading = Arc::clone(shared);
    // Not waited for: it may wait for a line that never comes.
    let reader = spawn(move || {
        read(&reading);
        reading.queue.close();
    })?;
    let all_done = done.clone();
    let waiter = spawn(move || {
        let _ended = reader.join();
        workers.into_iter().for_each(|worker| drop(worker.join()));
        all_done.cancel();
    })?;
    let end = watch(shared, &signals, &done);
    if end.is_none() {
        let _ended = waiter.join();
    }
    shared.folders.remove();
    Ok(end.unwrap_or(0))
}

fn spawn(task: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, Problem> {
    std::thread::Builder::new().spawn(task).map_err(no_threads)
}

/// Waits for the end of the work (`None`) or of the client, and then ends everything: the exit status.
fn watch(shared: &Shared, signals: &Signals, done: &Cancellation) -> Option<u8> {
    let stdout = io::stdout();
    let status = loop {
        // A pipe or socket whose reader is gone says so (POLLERR, POLLHUP) whatever is asked of it (poll(2)).
        let mut files = [
            PollFd::new(done, PollFlags::IN),
            PollFd::new(signals, PollFlags::IN),
            PollFd::new(&shared.broken, PollFlags::IN),
            PollFd::new(&stdout, PollFlags::empty()),
        ];
        match poll(&mut files, None) {
            Err(rustix::io::Errno::INTR) => continue,
            Err(_) => break output::FAILED,
            Ok(_) => {}
        }
        let [done, signalled, broken, gone] = files.map(|file| !file.revents().is_empty());
        if done {
            return None;
        }
        if signalled && let Some(signal) = signals.next() {
            break u8::try_from(128 + signal).unwrap_or(u8::MAX);
        }
        if broken || gone {
            break output::FAILED;
        }
    };
    shared.over.store(true, Ordering::SeqCst);
    shared.live.cancel_all();
    // Each ends within moments; who is held by a reader that does not read ends with this process.
    let until = Instant::now() + PATIENCE;
    while !shared.live.is_empty() && Instant::now() < until {
        let mut file = [PollFd::new(done, PollFlags::IN)];
        let moment = Timespec { tv_sec: 0, tv_nsec: 5_000_000 };
        let _the_time_decides = poll(&mut file, Some(&moment));
    }
    Some(status)
}

/// Reads requests until the end of the input. Stops where the queue is full: that holds the client back.
fn read(shared: &Shared) {
    let mut lines = Lines::of(io::stdin());
    while let Some(line) = lines.next() {
        if shared.over.load(Ordering::SeqCst) {
            return;
        }
        let (asked, length) = match line {
            Line::Whole(text) if text.iter().all(u8::is_ascii_whitespace) => continue,
            Line::Whole(text) => (request::read(text), text.len()),
            Line::TooLong => (Err((Value::Null, lines::too_long())), 0),
            Line::Failed(e) => {
                messages::say(&format!(
                    "standard input cannot be read: {e}; what was asked before is still answered"
                ));
                return;
            }
        };
        let done = match asked {
            Ok(Asked::Run(request)) => accept(shared, *request, length),
            Ok(Asked::Cancel(id)) => cancel(shared, id),
            Err(wrong) => Err(wrong),
        };
        if let Err((id, problem)) = done {
            shared.answer(&answer::error(&id, &problem));
        }
    }
}

fn accept(shared: &Shared, request: Request, length: usize) -> Result<(), (Value, Problem)> {
    let key = request.id.to_string();
    if !shared.live.enter(&key) {
        let problem = Problem::request("id", format!("the id {key} is one that runs or waits"));
        return Err((request.id, problem.remedy("give each request its own")));
    }
    shared.queue.push(Work { request, key }, length);
    Ok(())
}

fn cancel(shared: &Shared, id: Value) -> Result<(), (Value, Problem)> {
    if shared.live.cancel(&id.to_string()) {
        return Ok(());
    }
    let problem = Problem::request("cancel", format!("nothing of the id {id} runs or waits"));
    Err((id, problem))
}

/// Runs one request after the other until there are no more.
fn work(shared: &Shared) {
    while let Some(Work { request, key }) = shared.queue.pop() {
        let answer = match shared.live.begin(&key) {
            Ok(cancellation) => {
                // The client is gone; what waits is not begun.
                if shared.over.load(Ordering::SeqCst) {
                    cancellation.cancel();
                }
                request::perform(shared, &request, &cancellation)
            }
            Err(e) => answer::error(&request.id, &no_threads(e)),
        };
        // First: who reads the answer may use the id again.
        shared.live.leave(&key);
        shared.answer(&answer);
    }
}

impl Shared {
    /// Writes one line, and waits where the client does not read.
    fn answer(&self, answer: &Value) {
        let mut line = answer.to_string();
        line.push('\n');
        let mut stdout = lock(&self.stdout);
        if stdout.write_all(line.as_bytes()).and_then(|()| stdout.flush()).is_err() {
            self.broken.cancel();
        }
    }
}

/// A panic in another thread leaves nothing half done here.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads lines as a batch does, and runs none.
#[cfg(fuzzing)]
pub fn read_all(input: &[u8]) {
    let mut lines = Lines::of(input);
    while let Some(line) = lines.next() {
        if let Line::Whole(line) = line
            && let Err((_, problem)) = request::read(line)
        {
            assert!(!problem.to_string().is_empty(), "refused without a reason");
        }
    }
}
