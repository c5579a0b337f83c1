#![doc = include_str!("../README.md")]
//!
//! # Rejections
//!
//! Every reason is a [`Rejection`], with a fixed name for your log. Nothing of the delivery or of a secret is in it.
//!
//! ```
//! use std::time::{Duration, UNIX_EPOCH};
//!
//! use hookgate_verify::{Account, Delivery, Rejection, Secrets, Verifier, providers::stripe};
//! use http::HeaderMap;
//!
//! let verifier = Verifier::new(&stripe::PROVIDER, |_| None)?;
//! let secrets = Secrets::parse("whsec_example")?;
//! let body = br#"{"id":"evt_1","type":"invoice.paid","data":{"object":{"id":"in_1"}}}"#;
//! // What Stripe would send at 1760000000, in Unix seconds.
//! let sent = verifier.schemes()[0].sign(b"whsec_example", body, "", 1_760_000_000).unwrap();
//! let (name, signature) = &sent.headers[0];
//!
//! // Takes a delivery that was changed or delayed.
//! let rejection = |change: fn(&mut Delivery)| {
//!     let received = (UNIX_EPOCH + Duration::from_secs(1_760_000_000)).into();
//!     let headers = HeaderMap::from_iter([(name.parse().unwrap(), signature.parse().unwrap())]);
//!     let mut delivery = Delivery { headers, body: body.to_vec(), account: Account::default(), received };
//!     change(&mut delivery);
//!     verifier.authenticate(&delivery, &secrets).err()
//! };
//! assert_eq!(rejection(|_| ()), None);
//! assert_eq!(rejection(|delivery| delivery.body.push(b'\n')), Some(Rejection::Mismatch));
//! assert_eq!(rejection(|delivery| delivery.headers.clear()), Some(Rejection::Missing));
//! // A time in the signature may be 300 seconds away.
//! assert_eq!(rejection(|delivery| delivery.received += Duration::from_secs(300)), None);
//! assert_eq!(rejection(|delivery| delivery.received += Duration::from_secs(301)), Some(Rejection::Expired));
//! // A header twice: two readers could pick different ones.
//! let twice = |delivery: &mut Delivery| {
//!     delivery.headers.append("stripe-signature", "t=1,v1=00".parse().unwrap());
//! };
//! assert_eq!(rejection(twice), Some(Rejection::Repeated));
//! assert_eq!(Rejection::Repeated.to_string(), "signature_repeated");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Rotation, and several shops
//!
//! While you change a secret, give both. [`Authenticated::secret`] says which one matched: once it is always 0, the older secret
//! can go. [`Secrets`] of several shops on one platform stand beside each other, under the names that you give to the shops.
//!
//! ```
//! use std::time::UNIX_EPOCH;
//!
//! use hookgate_verify::{Account, Delivery, Rejection, Secrets, Verifier, providers::shoppex};
//! use http::HeaderMap;
//!
//! let verifier = Verifier::new(&shoppex::PROVIDER, |_| None)?;
//! let scheme = shoppex::PROVIDER.schemes().find(|scheme| scheme.name == "v1").unwrap();
//! let body = br#"{"event":"order:paid","created_at":1760000000,"data":{"uniqid":"o-1"}}"#;
//! let signed_with = |secret: &str, account| {
//!     let sent = scheme.sign(secret.as_bytes(), body, "", 0).unwrap();
//!     let headers = sent.headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
//!     Delivery { headers: HeaderMap::from_iter(headers), body: sent.body, account, received: UNIX_EPOCH.into() }
//! };
//!
//! let secrets = Secrets::parse(r#"{"default": ["new", "old"], "eu-shop": ["other"]}"#)?;
//! let eu_shop = Account::parse("eu-shop").unwrap();
//! let which = |secret, account: &Account| {
//!     let delivery = signed_with(secret, account.clone());
//!     Ok(verifier.authenticate(&delivery, &secrets)?.secret())
//! };
//! assert_eq!(which("new", &Account::default()), Ok(0));
//! assert_eq!(which("old", &Account::default()), Ok(1));
//! assert_eq!(which("other", &eu_shop), Ok(0));
//! // Nobody's secret, and another shop's.
//! assert_eq!(which("guessed", &Account::default()), Err(Rejection::Mismatch));
//! assert_eq!(which("new", &eu_shop), Err(Rejection::Mismatch));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Names that are not signed
//!
//! Shopify and WooCommerce sign the body and nothing else. The event's name stands in a header beside it, so whoever has captured
//! a delivery can send it once more under another name, and the signature still holds. The name is therefore part of the key, and
//! [`Authenticated::unsigned_name`] says aloud what it is. **Let the signed body decide about what matters**: not the topic
//! `orders/paid`, but `financial_status` in the body says that an order is paid.
//!
//! ```
//! use std::time::UNIX_EPOCH;
//!
//! use hookgate_verify::{Account, Delivery, EventType, Secrets, Verifier, providers::shopify};
//! use http::HeaderMap;
//!
//! let verifier = Verifier::new(&shopify::PROVIDER, |_| None)?;
//! let secrets = Secrets::parse("shpss_example")?;
//! // The base64 of the HMAC-SHA256 over this body, with this secret.
//! let signature = "FgOchN6LZ6XmSDElXicO3CecgqiHAZNAypTbCL5MTBk=";
//! let body = r#"{"id":450789469,"total_price":"49.90","currency":"EUR","financial_status":"paid"}"#;
//! let with_topic = |topic: &str| {
//!     let mut headers = HeaderMap::new();
//!     headers.insert("x-shopify-hmac-sha256", signature.parse().unwrap());
//!     headers.insert("x-shopify-topic", topic.parse().unwrap());
//!     Delivery { headers, body: body.into(), account: Account::default(), received: UNIX_EPOCH.into() }
//! };
//!
//! let (sent, renamed) = (with_topic("orders/paid"), with_topic("orders/cancelled"));
//! let (sent, renamed) = (verifier.authenticate(&sent, &secrets)?, verifier.authenticate(&renamed, &secrets)?);
//! assert_eq!(renamed.unsigned_name(), Some("orders/cancelled"));
//! let (sent, renamed) = (sent.read()?, renamed.read()?);
//! assert_eq!(sent.event.event_type, EventType::OrderPaid);
//! assert_eq!(renamed.event.event_type, EventType::OrderCancelled);
//! assert_ne!(sent.key, renamed.key);
//! // What was signed is the same.
//! assert_eq!(renamed.event.data.status.as_deref(), Some("paid"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # How it is built
//!
//! ```text
//! Delivery ──► Verifier::authenticate ──► Authenticated ──► read ──► Reading { event, key, content }
//! raw bytes     constant time               the only proof    parses      normalised
//! ```
//!
//! Nothing here reads a clock, awaits, or knows AWS: the time is passed in, so that every case can be tested and fuzzed.
//! A platform is one file of data under [`providers`]: how it signs ([`scheme`]), where things stand in its payloads
//! ([`Fields`](providers::Fields)), what its events are called. One routine applies it, for all platforms. A [`Provider`] of
//! your own works like those of the list.

mod authenticate;
mod delivery;
mod json;
mod member;
pub mod providers;
mod reading;
pub mod scheme;
mod secrets;

pub use authenticate::{Authenticated, Rejection, SettingError, Verifier};
pub use delivery::{Account, Delivery};
#[doc(no_inline)]
pub use hookgate_event::{Event, EventType};
pub use providers::Provider;
#[doc(hidden)]
pub use reading::rfc3339_milliseconds;
pub use reading::{Reading, Unreadable};
pub use scheme::Scheme;
pub use secrets::{Secret, Secrets, SecretsError};
