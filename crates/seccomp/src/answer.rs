//! What the kernel is told to do with a call.

use crate::asked::Said;
use crate::{Action, Answered, Violation};

/// An answer, ordered from lenient to strict; of two errors the larger number is the stricter one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Answer {
    action: Action,
    /// 0 where the action is not [`Action::Errno`].
    errno: u16,
}

pub(crate) const EPERM: u16 = 1;
pub(crate) const EAGAIN: u16 = 11;
pub(crate) const ENOSYS: u16 = 38;
pub(crate) const EAFNOSUPPORT: u16 = 97;

/// The largest error number that the kernel answers (`MAX_ERRNO`).
pub(crate) const MOST_ERRNO: u16 = 4095;

impl Answer {
    pub(crate) const ALLOW: Self = Self { action: Action::Allow, errno: 0 };
    pub(crate) const LOG: Self = Self { action: Action::Log, errno: 0 };
    pub(crate) const NOTIFY: Self = Self { action: Action::Notify, errno: 0 };
    pub(crate) const KILL: Self = Self { action: Action::Kill, errno: 0 };

    pub(crate) const fn errno(errno: u16) -> Self {
        Self { action: Action::Errno, errno }
    }

    /// What a rule says.
    pub(crate) fn of(action: Action, errno: Option<u16>) -> Self {
        Self { action, errno: if action == Action::Errno { errno.unwrap_or(EPERM) } else { 0 } }
    }

    /// What a violation is answered where letting it pass is out of the question.
    pub(crate) const fn refusal(violation: Violation) -> Self {
        match violation {
            Violation::Errno(errno) => Self::errno(errno),
            Violation::Kill => Self::KILL,
            Violation::Log => Self::errno(EPERM),
        }
    }

    pub(crate) const fn said_action(self) -> Action {
        self.action
    }

    /// What a supervisor says in the filter's place.
    pub(crate) const fn said(self) -> Said {
        match self.action {
            Action::Allow => Said::Pass,
            Action::Log => Said::Record,
            // No policy of ours asks anybody else.
            Action::Notify => Said::Errno(EPERM),
            Action::Errno => Said::Errno(self.errno),
            Action::Trap | Action::Kill => Said::Kill,
        }
    }

    /// Whether the call may happen. A supervisor that is asked may say yes.
    pub(crate) fn passes(self) -> bool {
        self.action <= Action::Notify
    }

    /// As whoever makes the call sees it. Nobody is asked once the program runs.
    pub(crate) fn told(self) -> Answered {
        match self.action {
            Action::Allow | Action::Log => Answered::Passed,
            Action::Notify => Answered::Refused(ENOSYS),
            Action::Errno => Answered::Refused(self.errno),
            Action::Trap | Action::Kill => Answered::Killed,
        }
    }

    /// As the kernel reads it (linux/seccomp.h). Kill is always the process.
    pub(crate) fn encode(self) -> u32 {
        match self.action {
            Action::Allow => 0x7fff_0000,
            Action::Log => 0x7ffc_0000,
            Action::Notify => 0x7fc0_0000,
            Action::Errno => 0x0005_0000 | u32::from(self.errno),
            Action::Trap => 0x0003_0000,
            Action::Kill => 0x8000_0000,
        }
    }
}
