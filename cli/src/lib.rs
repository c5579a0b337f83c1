//! The `hookgate` command as a library, for its `main` and the end-to-end tests.

#![allow(
    missing_docs,
    clippy::missing_errors_doc,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    reason = "an unpublished command, not a public interface"
)]

pub mod arguments;
pub mod capture;
pub mod client;
pub mod commands;
pub mod error;
pub mod explain;
pub mod local;
mod output;
pub mod send;
