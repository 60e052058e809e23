//! Real programs, outside and inside under the profile that fits: the same output and the same status. (S2.4)

mod builds;
mod compare;
mod cpython;
mod data;
mod interpreters;
mod kept;
mod mcp;
mod servers;
