//! The second opinion: the reference that the fuzz targets compare Hookgate with. Simple, slow, and by other means: no tables
//! of schemes, a recursive JSON parser, ring for every MAC and digest.

use hookgate_verify::{
    Delivery, Provider, Scheme, Verifier, providers,
    scheme::{Hash, KeyForm},
};

pub mod json;
pub mod message;
pub mod opinions;
pub mod verify;

use opinions::{OPINIONS, Opinion};

/// A platform, and the value of its setting.
pub type Mode = (&'static Provider, &'static str);

/// Every platform in every mode.
#[must_use]
pub fn modes() -> Vec<Mode> {
    let of = |provider: &'static Provider| provider.modes.iter().map(move |(value, _)| (provider, *value));
    providers::ALL.iter().copied().flat_map(of).collect()
}

/// The second opinion on a platform.
///
/// # Panics
/// If there is none. See [`require_opinions`].
#[must_use]
pub fn opinion(provider: &Provider) -> &'static Opinion {
    let found = OPINIONS.iter().find(|opinion| opinion.platform == provider.name);
    found.unwrap_or_else(|| panic!("no second opinion on {}: add it to fuzz/src/opinions.rs", provider.name))
}

/// Stops a fuzz target that lacks a second opinion on a platform: it would not test that platform.
///
/// # Panics
/// If a platform has none.
pub fn require_opinions() {
    for provider in providers::ALL {
        let _ = opinion(provider);
    }
}

/// Hookgate's verifier in this mode.
///
/// # Panics
/// If Hookgate does not know the mode.
#[must_use]
pub fn verifier((provider, setting): Mode) -> Verifier {
    Verifier::new(provider, |_| Some(setting.to_owned())).expect("a value that the setting has")
}

/// The content of this delivery that the scheme signs. The signature's place must not be empty.
#[must_use]
pub fn signed_text(scheme: &Scheme, delivery: &Delivery) -> Option<Vec<u8>> {
    let found = scheme.inspect(delivery)?;
    let time = found.time_in_header.or(found.time).unwrap_or_default();
    scheme.signed_text(&found.id.unwrap_or_default(), &time, &delivery.body)
}

/// The scheme's MAC, by ring. None if the secret does not have the scheme's form.
#[must_use]
pub fn mac(scheme: &Scheme, secret: &[u8], text: &[u8]) -> Option<Vec<u8>> {
    let key = match scheme.key {
        KeyForm::Text => secret.to_vec(),
        KeyForm::Base64(prefix) => verify::base64_key(secret, prefix)?,
    };
    Some(match scheme.hash {
        Hash::Sha256 => verify::hmac_sha256(&key, text),
        Hash::Sha512 => verify::hmac_sha512(&key, text),
    })
}

/// A secret of the form of the platform's schemes.
#[must_use]
pub fn secret(provider: &Provider, text: &str) -> String {
    let prefix = provider.schemes().find_map(|scheme| match scheme.key {
        KeyForm::Base64(prefix) => Some(prefix),
        KeyForm::Text => None,
    });
    prefix.map_or_else(|| text.to_owned(), |prefix| format!("{prefix}{}", verify::base64(text.as_bytes())))
}

/// Lower-case hex.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)])).collect()
}

/// Hex SHA-256.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    hex(ring::digest::digest(&ring::digest::SHA256, bytes).as_ref())
}
