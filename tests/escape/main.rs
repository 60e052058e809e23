//! Regression checks: what a program inside must not be able to do. Each one is an attempt from inside and a
//! positive control, named by its row in the table of threats (SPEC.md lists them).

mod files;
mod host;
mod landlock;
mod launcher;
mod layers;
mod lifecycle;
mod output;
mod privileges;
mod processes;
mod profiles;
mod races;
mod resources;
mod surface;
