//! The parts of the `hookgate` command, for the command itself and for the end-to-end tests.

#![allow(
    missing_docs,
    clippy::missing_errors_doc,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    reason = "parts of one command: nobody else builds on them"
)]
#![allow(clippy::doc_markdown, reason = "help is shown as it is written")]
#![allow(clippy::struct_excessive_bools, reason = "each is an option of its own")]
#![allow(clippy::format_push_string, reason = "what is printed once may be put together in the simplest way")]

pub mod arguments;
pub mod capture;
pub mod client;
pub mod commands;
pub mod error;
pub mod explain;
pub mod local;
mod output;
pub mod send;
