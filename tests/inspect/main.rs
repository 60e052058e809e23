//! `ringfence inspect`: what is given is found, what is not given is not, and nothing is left. As root and as an ordinary
//! user.

mod classes;
mod deadly;
mod diff;
mod files;
mod golden;
mod tools;
