//! What the supervisor makes of what its observer saw.

use ringfence_policy::{Denial, Exit, Happened, Problem, Reason};

use super::Observer;
use crate::supervise::Running;
use crate::{errno, verdict};

impl Running {
    /// Tells of what was refused for the first time; of nothing before it is told that the program runs.
    pub(crate) fn tell_news(&mut self) {
        let Some(observer) = &self.observer else { return };
        observer.hear();
        let told = self.started_ns.is_some() || self.closed;
        let (news, lost) = (if told { observer.news() } else { Vec::new() }, observer.lost());
        news.into_iter().for_each(|denial| self.tell(Happened::Violation(denial)));
        // What the program asks is refused from now on, or never answered: it would fail for no reason of its own.
        if let Some(errno) = lost.filter(|_| !self.closed) {
            self.lose(errno::name(errno));
        }
    }

    /// Everything has ended: what is still to be told.
    pub(crate) fn hear_the_last(&mut self) {
        self.observer.as_mut().into_iter().for_each(Observer::finish);
        self.tell_news();
        let lost = self.observer.as_ref().and_then(Observer::lost);
        if let Some(errno) = lost.filter(|_| self.started_ns.is_none()) {
            // The exec was refused because nobody answered: what that was of is the cause.
            (self.lost, self.final_record) = (Some(errno::name(errno)), None);
        }
    }

    /// The program was ended for what it asked, by a signal that does not say so.
    pub(crate) fn with_violation(&self, exit: Exit) -> Exit {
        let ended = self.observer.as_ref().is_some_and(Observer::ended_the_program);
        let reason = if ended && exit.reason == Reason::Signalled { Reason::Violation } else { exit.reason };
        Exit { reason, ..exit }
    }

    /// All that was refused, where it was collected.
    pub(crate) fn denials(&self, exit: &Exit) -> Option<Vec<Denial>> {
        self.observer.as_ref().map(|observer| observer.denials(verdict::denials(self.plan(), exit)))
    }

    /// Why nobody answers the program's calls any longer.
    pub(crate) fn unanswered(&self) -> Option<Problem> {
        let errno = self.observer.as_ref().and_then(Observer::lost)?;
        let what = "nobody could answer what the program asks any longer, so it was ended".to_owned();
        let problem = Problem::new(Reason::Internal, "unanswered", what).errno(errno::name(errno));
        let remedy = "something filters or fakes system calls here: leave --explain out";
        Some(problem.step("answer the calls of the program").remedy(remedy))
    }
}
