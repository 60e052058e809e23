//! The command line as scripts and people meet it: what a wrong request is told, what is written where, and
//! that what it prints is what it does. As root and as an ordinary user.

mod batch;
mod completions;
mod documents;
mod live;
mod pages;
mod plan;
mod profile;
mod refusals;
mod tools;
mod top;
mod usage;
