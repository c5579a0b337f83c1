//! The parts of the `hookgate` command, for the command itself and for the end-to-end tests.

pub mod engines;
pub mod local;
pub mod samples;
