//! What the command speaks to: AWS, or the local engines in its place, and addresses that take deliveries.

pub mod aws;
pub mod http;
pub mod messages;
pub(crate) mod stack;
