//! What the subcommands do, one file or folder each. The local intake, which starts without one, is in [`crate::local`].

pub mod claims;
pub mod completions;
pub mod doctor;
pub mod explain;
pub mod quarantine;
pub mod redrive;
pub mod register;
pub mod tail;
