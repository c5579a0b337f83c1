//! The parts of the `hookgate` command, for the command itself and for the end-to-end tests.

pub mod capture;
pub mod client;
pub mod commands;
pub mod error;
pub mod explain;
pub mod json;
pub mod local;
pub mod send;
mod shell;
