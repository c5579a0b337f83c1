//! The parts of the `hookgate` command, for the command itself and for the end-to-end tests.

pub mod aws;
pub mod claims;
pub mod completions;
pub mod doctor;
pub mod engines;
pub mod explain;
mod functions;
mod host;
pub mod http;
pub mod journal;
pub mod json;
pub mod local;
pub mod messages;
pub mod page;
pub mod quarantine;
pub mod redrive;
pub mod register;
pub mod request;
pub mod samples;
pub mod send;
pub mod tail;
pub mod usage;
