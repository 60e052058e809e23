//! What the contract promises, one promise a test, against the real kernel: as root and as an ordinary user.
//! Each has a control that shows the check able to fail.

mod base;
mod binds;
mod commands;
mod debian;
mod deny;
mod environment;
mod examples;
mod identity;
mod landlock;
mod library;
mod limits;
mod limits_of_cgroups;
mod network;
mod output;
mod passed;
mod place;
mod precedence;
mod profile_files;
mod profiles;
mod program;
mod protected;
mod report;
mod rootfs;
mod signals;
mod streams;
mod toolchain;
mod toolchain_hostile;
mod toolchain_managers;
mod toolchain_python;
mod toolchain_real;
mod tools;
