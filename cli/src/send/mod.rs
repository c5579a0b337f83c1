//! Builds, signs, tampers with and sends deliveries, for `hookgate send` and for the samples at start-up.

pub(crate) mod plan;
pub mod samples;
pub(crate) mod scenario;
pub(crate) mod sending;
pub mod sign;
pub mod template;
