//! `ringfence batch`: JSON lines in, JSON lines out, thousands of runs from one process.
//!
//! One thread reads, as many as `--jobs` run, the first watches for the client's end. Nothing grows: a line has a
//! largest length, at most as many requests wait as run, and who does not read its answers is not read from either.

mod answer;
mod base64;
mod folder;
mod lines;
mod request;

use std::collections::HashMap;
use std::io::{self, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
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
use crate::batch::request::{Asked, Request};
use crate::{messages, output, policy, usage};

/// How long a client's end may take to end everything.
const PATIENCE: Duration = Duration::from_secs(5);

/// What all runs share.
struct Shared {
    policy: Policy,
    registry: Option<Registry>,
    folders: Folders,
    /// Everything that was read and has no answer yet, by its id as JSON.
    live: Mutex<HashMap<String, Cancellation>>,
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
    cancellation: Cancellation,
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
        live: Mutex::new(HashMap::new()),
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
    let (sender, receiver) = sync_channel::<Work>(jobs);
    let receiver = Arc::new(Mutex::new(receiver));
    let mut workers = Vec::new();
    for _ in 0..jobs {
        let (shared, receiver) = (Arc::clone(shared), Arc::clone(&receiver));
        workers.push(spawn(move || work(&shared, &receiver))?);
    }
    let reading = Arc::clone(shared);
    // Not waited for: it may wait for a line that never comes.
    let reader = spawn(move || read(&reading, &sender))?;
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
    shared.live().values().for_each(Cancellation::cancel);
    // Each ends within moments; who is held by a reader that does not read ends with this process.
    let until = Instant::now() + PATIENCE;
    while !shared.live().is_empty() && Instant::now() < until {
        let mut file = [PollFd::new(done, PollFlags::IN)];
        let moment = Timespec { tv_sec: 0, tv_nsec: 5_000_000 };
        let _the_time_decides = poll(&mut file, Some(&moment));
    }
    Some(status)
}

/// Reads requests until the end of the input. Stops where the queue is full: that holds the client back.
fn read(shared: &Shared, queue: &SyncSender<Work>) {
    let mut lines = Lines::of(io::stdin());
    while let Some(line) = lines.next() {
        if shared.over.load(Ordering::SeqCst) {
            return;
        }
        let asked = match line {
            Line::Whole(text) if text.iter().all(u8::is_ascii_whitespace) => continue,
            Line::Whole(text) => request::read(text),
            Line::TooLong => Err((Value::Null, lines::too_long())),
            Line::Failed(e) => {
                messages::say(&format!("standard input cannot be read: {e}"));
                return;
            }
        };
        match asked {
            Ok(Asked::Run(request)) => {
                if let Err((id, problem)) = accept(shared, *request, queue) {
                    shared.answer(&answer::error(&id, &problem));
                }
            }
            Ok(Asked::Cancel(id)) => match shared.live().get(&id.to_string()) {
                Some(cancellation) => cancellation.cancel(),
                None => {
                    let problem = Problem::request("cancel", format!("nothing of the id {id} runs or waits"));
                    shared.answer(&answer::error(&id, &problem));
                }
            },
            Err((id, problem)) => shared.answer(&answer::error(&id, &problem)),
        }
    }
}

fn accept(shared: &Shared, request: Request, queue: &SyncSender<Work>) -> Result<(), (Value, Problem)> {
    let key = request.id.to_string();
    let id = request.id.clone();
    if shared.live().contains_key(&key) {
        let problem = Problem::request("id", format!("the id {id} is one that runs or waits"));
        return Err((id, problem.remedy("give each request its own")));
    }
    let cancellation = Cancellation::new().map_err(|e| (id.clone(), no_threads(e)))?;
    shared.live().insert(key.clone(), cancellation.clone());
    let work = Work { request, key, cancellation };
    queue.send(work).map_err(|_| (id, Problem::request("batch", "nobody is left to run it".to_owned())))
}

/// Runs one request after the other until there are no more.
fn work(shared: &Shared, queue: &Mutex<Receiver<Work>>) {
    loop {
        let next = lock(queue).recv();
        let Ok(work) = next else { return };
        if shared.over.load(Ordering::SeqCst) {
            // The client is gone; what waits is not begun.
            work.cancellation.cancel();
        }
        let answer = request::perform(shared, &work.request, &work.cancellation);
        // First: who reads the answer may use the id again.
        shared.live().remove(&work.key);
        shared.answer(&answer);
    }
}

impl Shared {
    fn live(&self) -> MutexGuard<'_, HashMap<String, Cancellation>> {
        lock(&self.live)
    }

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
