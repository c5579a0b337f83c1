//! Who sent this delivery, and what does it say? Bytes in, proof or rejection out.
//!
//! The way of one delivery through this crate:
//!
//! ```text
//! Delivery ──► Verifier::authenticate ──► Authenticated ──► read ──► Reading { event, key, content }
//! raw bytes     constant time               the only proof    parses      normalised
//! ```
//!
//! Nothing here reads a clock, awaits, or knows AWS: the time is passed in, so that every case can be tested and fuzzed.
//! How each platform signs is data ([`Scheme`]), applied by one routine; what its payloads mean is one function per
//! platform. Both stand in the platform's file under `providers/`.

mod authenticate;
mod delivery;
mod json;
mod member;
pub mod providers;
mod reading;
mod scheme;
mod secrets;
pub mod sender;

pub use authenticate::{Authenticated, Rejection, SettingError, Verifier};
pub use delivery::{Account, Delivery};
pub use providers::Provider;
pub use reading::{Reading, Unreadable, rfc3339_milliseconds};
pub use scheme::{Encoding, Hash, Layout, Remainder, Scheme};
pub use secrets::{Secret, Secrets, SecretsError};
