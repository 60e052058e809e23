//! Failures injected into every call of the start (THREATS.md, "Failing closed").
mod alarm;
mod allowed;
mod calls;
mod campaign;
mod inject;
mod registers;
mod scene;
mod tracer;
mod verdict;
