//! The second opinion: what the fuzz targets compare Hookgate with. Written plainly and slowly, and by other means: no
//! tables of schemes, a recursive JSON parser, ring for every MAC and digest.

pub mod json;
pub mod message;
pub mod verify;

/// The platforms and the values of their settings, as an operator knows them.
pub const MODES: &[(&str, &str)] = &[
    ("elective", ""),
    ("etaildepot", ""),
    ("opterius", "without"),
    ("opterius", "empty"),
    ("shoppex", "false"),
    ("shoppex", "true"),
    ("w3block", ""),
];

/// Hookgate's verifier in one of the [`MODES`].
///
/// # Panics
/// Where Hookgate does not know the mode.
#[must_use]
pub fn verifier((provider, setting): (&str, &str)) -> hookgate_verify::Verifier {
    let provider = hookgate_verify::Provider::named(provider).expect("a provider of this name");
    hookgate_verify::Verifier::new(provider, |_| Some(setting.to_owned())).expect("a value that the setting has")
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
