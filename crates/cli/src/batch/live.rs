//! Everything that was read and has no answer yet, by its id.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::sync::Mutex;

use ringfence::Cancellation;

use super::lock;

/// What waits holds no open file: there may be many.
enum State {
    Waits,
    /// It was cancelled while it waited.
    Cancelled,
    Runs(Cancellation),
}

/// The requests that wait or run, by their id as JSON.
#[derive(Default)]
pub(super) struct Live(Mutex<HashMap<String, State>>);

impl Live {
    /// Enters one; false when the id is taken.
    pub(super) fn enter(&self, key: &str) -> bool {
        match lock(&self.0).entry(key.to_owned()) {
            Entry::Occupied(_) => false,
            Entry::Vacant(free) => {
                free.insert(State::Waits);
                true
            }
        }
    }

    /// What ends the run that begins now; said already when it was cancelled before.
    pub(super) fn begin(&self, key: &str) -> io::Result<Cancellation> {
        let cancellation = Cancellation::new()?;
        let before = lock(&self.0).insert(key.to_owned(), State::Runs(cancellation.clone()));
        if matches!(before, Some(State::Cancelled)) {
            cancellation.cancel();
        }
        Ok(cancellation)
    }

    /// Ends one; false when there is none of that id.
    pub(super) fn cancel(&self, key: &str) -> bool {
        lock(&self.0).get_mut(key).map(State::cancel).is_some()
    }

    /// Ends all of them.
    pub(super) fn cancel_all(&self) {
        lock(&self.0).values_mut().for_each(State::cancel);
    }

    /// It has its answer.
    pub(super) fn leave(&self, key: &str) {
        lock(&self.0).remove(key);
    }

    pub(super) fn is_empty(&self) -> bool {
        lock(&self.0).is_empty()
    }
}

impl State {
    fn cancel(&mut self) {
        match self {
            Self::Runs(cancellation) => cancellation.cancel(),
            Self::Waits | Self::Cancelled => *self = Self::Cancelled,
        }
    }
}
