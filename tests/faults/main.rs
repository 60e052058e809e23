//! Failures injected into every call of the start (THREATS.md, "Failing closed").
//!
//! A run is traced (`tracer`); one call of one process is not made and answers an error or a lie, is cut short, or
//! its process is killed (`inject`); and what follows is judged (`verdict`): the program never ran and somebody
//! said why, or it ran in exactly the sandbox that it has without the failure.
//!
//! The ordinary run takes a sample: every call fails once, with errors in turn, and every call inside lies once.
//! `RINGFENCE_FAULTS=all` takes every error that makes sense for each call (`calls`), every lie, every short
//! count, and a kill and a delay at every call. `RINGFENCE_FAULTS_LOG=FILE` gets a line for each run.

mod alarm;
mod allowed;
mod calls;
mod campaign;
mod controls;
mod doubles;
mod gate;
mod inject;
mod nest;
mod place;
mod registers;
mod tracer;
mod verdict;
