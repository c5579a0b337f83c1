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
//! A platform is one file of data under `providers/` ([`Provider`]): how it signs ([`Scheme`]), where things stand in its
//! payloads ([`Fields`](providers::Fields)), what its events are called. One routine applies it, for all platforms.

mod authenticate;
mod delivery;
mod json;
mod member;
pub mod providers;
mod reading;
mod scheme;
mod secrets;

pub use authenticate::{Authenticated, Rejection, SettingError, Verifier};
pub use delivery::{Account, Delivery};
pub use providers::Provider;
pub use reading::{Reading, Unreadable, rfc3339_milliseconds};
pub use scheme::{
    Encoding, FieldsForm, Form, Hash, Inspection, KeyForm, MAX_SIGNATURES, Piece, Place, Scheme, Signed, Time,
};
pub use secrets::{Secret, Secrets, SecretsError};
