//! The streams that are relayed, all of one run.

use std::time::{Duration, Instant};

use ringfence_policy::OutputLimit;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::meter::Meter;
use crate::pump::Pump;

/// The pumps of a run, and the count of what they carry.
#[derive(Debug)]
pub(crate) struct Relay {
    pumps: Vec<Pump>,
    pub(crate) meter: Meter,
    /// The program has ended: nothing new comes.
    closing: bool,
    /// Until when what is left may be handed over, when that is not for ever.
    until: Option<Instant>,
}

impl Relay {
    pub(crate) const fn new(limit: Option<OutputLimit>) -> Self {
        Self { pumps: Vec::new(), meter: Meter::new(limit), closing: false, until: None }
    }

    pub(crate) fn add(&mut self, pump: Pump) {
        self.pumps.push(pump);
    }

    pub(crate) fn take(&mut self) -> Vec<Pump> {
        std::mem::take(&mut self.pumps)
    }

    /// How many bytes came from a stream, where it is relayed.
    pub(crate) fn total(&self, stream: usize) -> Option<u64> {
        self.pumps.iter().find(|pump| pump.stream() == stream).map(Pump::total)
    }

    /// Adds what the pumps wait for. Answers which pump each file belongs to.
    pub(crate) fn watch<'a>(&'a self, files: &mut Vec<PollFd<'a>>) -> Vec<usize> {
        let active: Vec<usize> =
            (0..self.pumps.len()).filter(|index| self.pumps[*index].interest().is_some()).collect();
        files.extend(active.iter().filter_map(|index| self.pumps[*index].interest()));
        active
    }

    /// Takes what was typed by hand before the program has the terminal.
    pub(crate) fn take_typed_ahead(&mut self) {
        self.pumps.iter_mut().for_each(Pump::take_typed_ahead);
    }

    /// Lets what is typed by hand come, or leaves it to somebody else.
    pub(crate) fn let_type(&mut self, may: bool) {
        self.pumps.iter_mut().for_each(|pump| pump.pause(!may));
    }

    /// Shows, in so long, what the program has printed on its terminal.
    pub(crate) fn flush(&mut self, time: Duration) {
        self.pumps.iter_mut().for_each(|pump| pump.flush(time, &mut self.meter));
    }

    /// Moves what is ready.
    pub(crate) fn turn(&mut self, active: &[usize], ready: &[bool]) {
        for (index, _) in active.iter().zip(ready).filter(|(_, ready)| **ready) {
            self.pumps[*index].turn(&mut self.meter);
        }
    }

    /// The program has ended: what its pipes hold is handed over, for as long as the readers may take.
    pub(crate) fn last_call(&mut self, time: Option<Duration>) {
        if !self.closing {
            self.closing = true;
            self.until = time.and_then(|time| Instant::now().checked_add(time));
            self.pumps.iter_mut().for_each(Pump::last_call);
        }
    }

    /// After the last call: waits at most so long for one thing, `interrupt` among them. Answers whether all is
    /// handed over, or given up.
    pub(crate) fn hand_over(&mut self, interrupt: Vec<PollFd<'_>>, wait: Option<Duration>) -> bool {
        let mut files = Vec::new();
        let active = self.watch(&mut files);
        let interrupts = files.len();
        files.extend(interrupt);
        let left = self.until.map(|until| until.saturating_duration_since(Instant::now()));
        if !active.is_empty() && left != Some(Duration::ZERO) {
            let timeout = left.into_iter().chain(wait).min().map(timespec);
            match poll(&mut files, timeout.as_ref()) {
                Ok(_) => {
                    let ready: Vec<bool> = files.iter().map(|file| !file.revents().is_empty()).collect();
                    self.turn(&active, &ready[..interrupts]);
                    if !ready[interrupts..].contains(&true) {
                        return false;
                    }
                }
                Err(Errno::INTR) => return false,
                Err(_) => {}
            }
        }
        self.pumps.iter_mut().for_each(Pump::close);
        true
    }
}

/// A duration as poll takes it.
pub(crate) fn timespec(time: Duration) -> Timespec {
    Timespec { tv_sec: time.as_secs().cast_signed(), tv_nsec: i64::from(time.subsec_nanos()) }
}

/// A file that is waited for until it can be read.
pub(crate) fn readable(file: &impl std::os::fd::AsFd) -> PollFd<'_> {
    PollFd::new(file, PollFlags::IN)
}
