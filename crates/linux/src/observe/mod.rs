//! Why something was refused: the supervisor is asked about the calls that matter, answers as the policy's filter
//! would have, and describes what it saw.
//!
//! A thread of its own listens, because the program waits for its answers and a caller of the library may not be
//! waiting for the program. It blocks in poll and nowhere else. What it answers rests on the words of a call's
//! arguments alone; what they point to is only described. A call that the policy lets pass goes on to the kernel, which
//! decides under the sandbox's mounts and Landlock, whatever is described here. When this thread ends, or its process,
//! the kernel refuses what waits and all that comes (seccomp_unotify(2), ENOSYS).

mod calls;
mod files;
mod network;
mod process;
mod remedy;
mod thread;
mod told;
mod words;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ringfence_policy::{Denial, Denials, Guarantee, Network, Policy, Problem, Violation};
use ringfence_seccomp::Filter;
use rustix::event::{EventfdFlags, eventfd, poll};

use crate::filter::{asking, rules};
use crate::plan::Plan;
use crate::relay::timespec;
use crate::step::Step;

/// What is collected about a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Observe {
    /// Nothing: no call costs anything.
    #[default]
    Nothing,
    /// System calls that the policy refuses or records.
    Calls,
    /// These, and files and addresses that are out of reach.
    All,
}

/// What the observer of a plan must know of it.
#[derive(Clone, Debug)]
pub(crate) struct Observed {
    filter: Filter,
    network_off: bool,
}

impl Plan {
    /// The same plan with a filter that asks the supervisor. A policy whose violations are logged is observed
    /// anyway. Where the filter is waived there is nobody who could ask: nothing is collected.
    ///
    /// # Errors
    /// The rules cannot be compiled.
    pub fn observed(mut self, policy: &Policy, observe: Observe) -> Result<Self, Problem> {
        let least = if policy.on_violation == Violation::Log { Observe::Calls } else { Observe::Nothing };
        let observe = observe.max(least);
        if observe == Observe::Nothing || policy.waived.contains(&Guarantee::KernelSurface) {
            return Ok(self);
        }
        let filter = rules(policy);
        let network_off = policy.network == Network::None;
        let others = if observe == Observe::All { calls::watched(network_off) } else { Vec::new() };
        let program = asking(policy, &filter, &others)?;
        // Of all filters of a process only one can ask.
        self.steps.retain(|step| !matches!(step, Step::ExecOnce { .. }));
        for step in &mut self.steps {
            if let Step::Filter { summary, .. } = step {
                *step = Step::FilterAsked { program: program.clone(), summary: std::mem::take(summary) };
            }
        }
        for row in self.receipt.iter_mut().filter(|row| row.guarantee == Guarantee::KernelSurface) {
            row.detail.push_str("; the supervisor answers the calls that it refuses, and tells of them");
        }
        self.observed = Some(Observed { filter, network_off });
        Ok(self)
    }
}

/// What both threads know.
#[derive(Debug, Default)]
struct Book {
    denials: Denials,
    /// New ones that nobody was told of yet. As many as the list keeps, at most.
    news: Vec<Denial>,
    /// Processes that were ended for what they asked, by SIGKILL.
    killed: Vec<i32>,
    /// The process that executed the program.
    program: Option<i32>,
    /// Why nobody listens any more though somebody may ask.
    lost: Option<i32>,
}

/// What the two threads share.
#[derive(Debug)]
struct Shared {
    book: Mutex<Book>,
    /// Says to the supervisor that there is news, and at the end that there will be none.
    news: OwnedFd,
    /// Says to the observer that it is over.
    over: OwnedFd,
}

impl Shared {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lose(&self, errno: i32) {
        self.book().lost = Some(errno);
        say(&self.news);
    }

    fn add(&self, denial: Denial) {
        let mut book = self.book();
        if book.denials.add(denial.clone()) {
            book.news.push(denial);
            say(&self.news);
        }
    }
}

fn own_id() -> i32 {
    rustix::process::getpid().as_raw_nonzero().get()
}

fn say(event: &OwnedFd) {
    // A counter of 64 bits does not fill up.
    let _said_already_is_fine = rustix::io::write(event, &1_u64.to_ne_bytes());
}

/// The observer of a run, as its supervisor knows it. Dropping it ends the thread.
#[derive(Debug)]
pub(crate) struct Observer {
    shared: Arc<Shared>,
    owner: i32,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// How long the last description may take: the thread may look at a file system that hangs.
const LAST_WAIT: Duration = Duration::from_secs(1);

impl Observer {
    /// Starts the thread. `socket` is where the filter's listener will arrive.
    ///
    /// # Errors
    /// No descriptor or no thread is left.
    pub(crate) fn start(plan: &Plan, observed: &Observed, socket: OwnedFd) -> io::Result<Self> {
        let event = || {
            let file = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
            crate::image::above_streams(file)
        };
        let shared = Arc::new(Shared { book: Mutex::default(), news: event()?, over: event()? });
        let thread = thread::Thread::new(plan, observed, socket, Arc::clone(&shared));
        let builder = std::thread::Builder::new().name("ringfence-why".to_owned());
        // Signals are for the caller's own threads.
        let thread = crate::launch::with_signals_blocked(|| builder.spawn(move || thread.run()));
        let thread = thread.map_err(crate::errno::error)??;
        Ok(Self { shared, owner: own_id(), thread: Some(thread) })
    }

    /// The word that there is news was heard.
    pub(crate) fn hear(&self) {
        let mut count = [0_u8; 8];
        let _nothing_new_is_fine = rustix::io::read(&self.shared.news, &mut count);
    }

    /// What was refused for the first time since this was asked last.
    pub(crate) fn news(&self) -> Vec<Denial> {
        std::mem::take(&mut self.shared.book().news)
    }

    /// The error by which the observer ended while the program may still ask: it gets ENOSYS from then on.
    pub(crate) fn lost(&self) -> Option<i32> {
        self.shared.book().lost
    }

    /// Everything has ended: waits for the last description.
    pub(crate) fn finish(&mut self) {
        say(&self.shared.over);
        let Some(thread) = self.thread.take() else { return };
        let end = std::time::Instant::now() + LAST_WAIT;
        while !thread.is_finished() && std::time::Instant::now() < end {
            let _time_passes = poll(&mut [], Some(&timespec(Duration::from_micros(200))));
        }
        if thread.is_finished() {
            let _its_panic_was_reported = thread.join();
        }
    }

    /// All that was refused; `limits` too.
    pub(crate) fn denials(&self, limits: Vec<Denial>) -> Vec<Denial> {
        let mut denials = self.shared.book().denials.clone();
        limits.into_iter().for_each(|limit| _ = denials.add(limit));
        denials.rows()
    }

    /// The program was ended for what it asked.
    pub(crate) fn ended_the_program(&self) -> bool {
        let book = self.shared.book();
        book.program.is_some_and(|program| book.killed.contains(&program))
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        // A forked copy of the caller has no such thread, and its words are heard by the caller's.
        if self.owner == own_id() {
            say(&self.shared.over);
        }
    }
}

impl AsFd for Observer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.shared.news.as_fd()
    }
}

/// The name of an error number.
fn error(number: u16) -> String {
    crate::errno::name(i32::from(number))
}
