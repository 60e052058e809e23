//! What waits for a worker: requests in their order, bounded in number and in bytes.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, PoisonError};

use super::lock;

/// So many wait at most.
const MOST: usize = 1024;
/// Their lines are no longer than this together, unless one alone is.
const MOST_BYTES: usize = 1 << 20;

/// A queue whose end holds back who fills it.
pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    /// Two, so that of many workers one is woken for one request.
    filled: Condvar,
    emptied: Condvar,
}

struct State<T> {
    waiting: VecDeque<(T, usize)>,
    bytes: usize,
    closed: bool,
}

impl<T> Queue<T> {
    pub(super) fn new() -> Self {
        let state = State { waiting: VecDeque::new(), bytes: 0, closed: false };
        Self { state: Mutex::new(state), filled: Condvar::new(), emptied: Condvar::new() }
    }

    /// Puts one at the end, once there is room for it.
    pub(super) fn push(&self, item: T, bytes: usize) {
        let full = |state: &mut State<T>| {
            let waiting = state.waiting.len();
            waiting >= MOST || (waiting > 0 && state.bytes + bytes > MOST_BYTES)
        };
        let state = self.emptied.wait_while(lock(&self.state), full);
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        state.bytes += bytes;
        state.waiting.push_back((item, bytes));
        self.filled.notify_one();
    }

    /// The first, once there is one; `None` when nothing more comes.
    pub(super) fn pop(&self) -> Option<T> {
        let none = |state: &mut State<T>| state.waiting.is_empty() && !state.closed;
        let state = self.filled.wait_while(lock(&self.state), none);
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        let (item, bytes) = state.waiting.pop_front()?;
        state.bytes -= bytes;
        self.emptied.notify_one();
        Some(item)
    }

    /// Nothing more comes.
    pub(super) fn close(&self) {
        lock(&self.state).closed = true;
        self.filled.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::{Duration, Instant};

    use super::*;

    /// How many of a size are taken while nobody pops.
    fn taken(count: usize, bytes: usize) -> usize {
        let queue = Arc::new(Queue::new());
        let pushed = Arc::new(AtomicUsize::new(0));
        let (filled, counted) = (Arc::clone(&queue), Arc::clone(&pushed));
        let writer = std::thread::spawn(move || {
            for number in 0..count {
                filled.push(number, bytes);
                counted.fetch_add(1, Ordering::SeqCst);
            }
            filled.close();
        });
        // It waits once the number stays.
        let (mut before, end) = (usize::MAX, Instant::now() + Duration::from_secs(20));
        while before != pushed.load(Ordering::SeqCst) && Instant::now() < end {
            before = pushed.load(Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(300));
        }
        // In their order, to the last.
        assert!((0..count).all(|number| queue.pop() == Some(number)));
        assert_eq!(queue.pop(), None);
        writer.join().unwrap();
        before
    }

    #[test]
    fn it_is_bounded_in_number_and_in_bytes_and_takes_one_of_any_size() {
        assert_eq!(taken(MOST + 100, 10), MOST);
        assert_eq!(taken(100, MOST_BYTES / 10), 10);
        assert_eq!(taken(3, 3 * MOST_BYTES), 1);
    }
}
