//! The `hookgate` command as a library, for its `main` and the end-to-end tests.

#![allow(
    missing_docs,
    clippy::missing_errors_doc,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    reason = "an unpublished command, not a public interface"
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
pub mod json;
pub mod local;
mod output;
pub mod send;
mod shell;
