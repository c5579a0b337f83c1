//! Signs a delivery as its platform does, and tampers with it.

use std::sync::{
    OnceLock,
    atomic::{AtomicU64, Ordering},
};

use hookgate_verify::{Account, Delivery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue};
use time::OffsetDateTime;

use crate::client::http::Outgoing;

/// The ways to tamper with a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Tamper {
    /// One byte more in the body than was signed, the same JSON
    Body,
    /// One digit of the signature changed
    Signature,
    /// Signed with another secret
    Secret,
    /// Signed correctly, an hour ago
    Timestamp,
}

/// Signs `body` as the platform does at `now`, and tampers with it. None if the scheme puts its signature into the body and
/// this body has no place for it, or if the secret does not have the scheme's form.
pub fn sign(
    scheme: &Scheme,
    secret: &[u8],
    headers: &[(String, String)],
    body: &[u8],
    now: OffsetDateTime,
    tamper: Option<Tamper>,
) -> Option<Outgoing> {
    let mut seconds = u64::try_from(now.unix_timestamp()).ok()?;
    if let (Some(Tamper::Timestamp), Some(time)) = (tamper, scheme.time) {
        seconds = seconds.saturating_sub(3600.max(2 * time.tolerance));
    }
    let id = headers.iter().find(|(name, _)| scheme.id_header() == Some(name));
    let id = id.map_or_else(token, |(_, value)| value.clone());
    let right = scheme.sign(secret, body, &id, seconds)?;
    let signed = match tamper {
        Some(Tamper::Secret) => others(secret).find_map(|secret| scheme.sign(&secret, body, &id, seconds))?,
        _ => right,
    };
    let mut outgoing = Outgoing { headers: headers.to_vec(), body: signed.body };
    for (name, value) in signed.headers {
        outgoing.headers.retain(|(known, _)| known != name);
        outgoing.headers.push((name.to_owned(), value));
    }
    match tamper {
        Some(Tamper::Body) => spoil(&mut outgoing.body),
        Some(Tamper::Signature) => {
            let there = scheme.inspect(&delivery(&outgoing, now)?)?;
            let written = another_digit(&there.written, there.signatures.first()?)?;
            if let Some(name) = scheme.signature_header() {
                let place = outgoing.headers.iter_mut().find(|(known, _)| known == name);
                place?.1 = written;
            } else {
                let at =
                    outgoing.body.windows(there.written.len()).position(|part| part == there.written.as_bytes())?;
                outgoing.body.splice(at..at + there.written.len(), written.into_bytes());
            }
        }
        Some(Tamper::Secret | Tamper::Timestamp) | None => {}
    }
    Some(outgoing)
}

/// The delivery that arrives. None if a header cannot be sent.
pub(super) fn delivery(outgoing: &Outgoing, received: OffsetDateTime) -> Option<Delivery> {
    let header = |(name, value): &(String, String)| {
        Some((HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::from_str(value).ok()?))
    };
    let headers = outgoing.headers.iter().map(header).collect::<Option<HeaderMap>>()?;
    Some(Delivery { headers, body: outgoing.body.clone(), account: Account::default(), received })
}

/// Secrets of the same form that differ in one character.
fn others(secret: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let places = (0..secret.len()).rev().filter(|&at| secret[at].is_ascii_alphanumeric());
    let changed = places.map(|at| {
        let mut other = secret.to_vec();
        other[at] = if other[at] == b'A' { b'B' } else { b'A' };
        other
    });
    changed.chain([[secret, b"A"].concat()])
}

/// Puts one byte into a JSON body that its signature does not cover.
pub(crate) fn spoil(body: &mut Vec<u8>) {
    let end = body.iter().rposition(|&byte| byte == b'}').unwrap_or(body.len());
    body.insert(end, b' ');
}

/// `written`, with another first digit in this signature. Both digits are valid in hex and in base64.
fn another_digit(written: &str, signature: &str) -> Option<String> {
    let other = if signature.starts_with('0') { "1" } else { "0" };
    Some(written.replacen(signature, &format!("{other}{}", signature.get(1..)?), 1))
}

/// A text that is unique across calls and processes.
pub(super) fn token() -> String {
    format!("{:x}{:x}", serial(), std::process::id())
}

/// Counts from the microsecond of the first call: the clock grows faster than deliveries can be sent.
pub(super) fn serial() -> u64 {
    static FIRST: OnceLock<u64> = OnceLock::new();
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let now = || u64::try_from(OffsetDateTime::now_utc().unix_timestamp_nanos() / 1000).unwrap_or_default();
    FIRST.get_or_init(now) + COUNT.fetch_add(1, Ordering::Relaxed)
}
