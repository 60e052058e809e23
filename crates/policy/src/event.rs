//! What happens to a run while it goes on: the JSON lines of `--events`.

use serde::Serialize;

use crate::{Beyond, Denial, Exit};

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Event {
    /// When, in microseconds since the request began.
    pub at_us: u64,
    /// What.
    #[serde(flatten)]
    pub what: Happened,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Happened {
    /// The sandbox is not set up after a second.
    StillStarting,
    /// The program runs: proven.
    Started {
        /// Process id, on the host, of the sandbox's first process.
        pid: i32,
    },
    /// The program has printed more than it may.
    OutputLimit {
        /// Bytes that may pass.
        allowed: u64,
        /// What happens to it: `kill` or `truncate`.
        action: Beyond,
    },
    /// Something was refused, for the first time; how often in all, the report says.
    Violation(Denial),
    /// The deadline has passed: the program was asked to end, and the grace begins.
    Deadline,
    /// Standard input was closed, and the run ends with it: the grace begins.
    StdinClosed,
    /// The owner asked for the end with a signal: the grace begins.
    AskedToEnd {
        /// The signal that was passed on.
        signal: i32,
    },
    /// The owner killed everything.
    Killed,
    /// Nothing is left inside.
    Ended {
        /// How it ended, with the limits that were exceeded.
        exit: Exit,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_flat_object() {
        let event = Event { at_us: 7, what: Happened::OutputLimit { allowed: 9, action: Beyond::Truncate } };
        let json = serde_json::to_value(event).unwrap();
        let expected =
            serde_json::json!({"at_us": 7, "event": "output-limit", "allowed": 9, "action": "truncate"});
        assert_eq!(json, expected);
        let json = serde_json::to_value(Event { at_us: 1, what: Happened::StdinClosed }).unwrap();
        assert_eq!(json, serde_json::json!({"at_us": 1, "event": "stdin-closed"}));
    }
}
