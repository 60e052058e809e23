//! The whole thing as those who use it see it: a job of CI in steps, a judge of programs, and one policy file for a
//! command, a batch, a library call and a server. As root and as an ordinary user.

mod ci;
mod judge;
mod shapes;
mod wire;
