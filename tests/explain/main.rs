//! `--explain`: it names the very thing that was refused, and the change that it prints makes the program run.

mod check;
mod corpus;
mod hostile;
mod told;
