//! Hosts that cannot do it all: what `doctor` says of them, and what `run` does there.

mod doctor;
mod nested;
mod root;
mod waivers;
mod worse;
