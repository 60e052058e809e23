//! What the contract promises, one promise a test, against the real kernel: as root and as an ordinary user.
//! Each has a control that shows the check able to fail.

mod examples;
mod tools;
