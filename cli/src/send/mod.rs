//! Signed deliveries: what is sent, how it is signed or spoiled, and what became of it. `hookgate send` and the start-up
//! samples both go this way.

pub(crate) mod plan;
pub mod samples;
pub(crate) mod scenario;
pub(crate) mod sending;
pub mod sign;
pub mod template;
