//! A sandbox that a person sits in, driven by a real terminal program (tmux): what is on the screen, which keys do what,
//! and that the shell around it has its terminal back.
//!
//! Nothing here waits by time: a screen is looked at until it shows what is waited for. `RINGFENCE_TERMINAL_ROUNDS=N`
//! repeats every test, each time on a terminal of its own.

mod background;
mod jobs;
mod programs;
mod restored;
mod screen;
mod streams;
