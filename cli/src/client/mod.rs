//! Clients: of AWS or of the local engines in its place, and of addresses that take deliveries.

pub mod aws;
pub mod http;
pub mod messages;
pub(crate) mod stack;
