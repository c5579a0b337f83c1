//! The path of one delivery through a Lambda function: the only crate in a function that calls AWS.
//!
//! ```text
//! HTTP event ─► Delivery ─► authenticate ─► read ─► claim ─► send ─► settle ─► answer
//!   http.rs      (hookgate-verify: pure)           └────── store.rs ──────┘   outcome.rs
//! └──────────────────────── intake.rs walks the whole path ────────────────────────┘
//! ```
//!
//! 2xx means the event is queued, was already queued, or is in quarantine. Any other answer makes the platform send again.

pub mod claim;
mod config;
mod http;
mod intake;
mod lean;
mod log;
mod outcome;
mod queue;
#[cfg(feature = "release")]
pub mod release;
mod secrets;
mod store;
mod table;
mod trace;

pub use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
pub use config::{Config, ConfigError};
pub use http::address;
pub use intake::{Handled, Intake, Invocation};
pub use queue::{MAX_MESSAGE_BYTES, Quarantined};
pub use store::QUARANTINE;
