//! The reference verifier: the rules for all platforms. Each one's own rules are in [`opinions`](crate::opinions).

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use hookgate_verify::Rejection;
use ring::hmac;

use crate::{
    hex,
    json::{self, Kind},
    message::Message,
    opinion,
};

/// The expected result of a message.
#[derive(Debug)]
pub enum Verdict {
    Accept(Accept),
    /// For one of these reasons.
    Reject(Vec<Rejection>),
    /// No signature can be found safely: to be rejected, unless one in the text signed the rest.
    Doubtful {
        may_pass: bool,
    },
}

#[derive(Debug, PartialEq, Eq)]
pub struct Accept {
    pub scheme: &'static str,
    /// The position of the first secret that signed it.
    pub secret: usize,
    pub delivery_id: Option<String>,
    /// The signed part of the body.
    pub signed: Vec<u8>,
}

/// The signature of a message, and what it signs.
pub struct Claim {
    pub scheme: &'static str,
    /// Secret and content to a MAC.
    pub mac: fn(&[u8], &[u8]) -> Vec<u8>,
    /// The signatures, a space between two.
    pub written: String,
    pub delivery_id: Option<String>,
    /// Before the signed part of the body.
    pub head: Vec<u8>,
    pub signed: Vec<u8>,
    /// Whether it was signed too long ago or ahead.
    pub late: bool,
}

impl From<Rejection> for Verdict {
    fn from(rejection: Rejection) -> Self {
        Verdict::Reject(vec![rejection])
    }
}

/// Judges the message. None if its secrets are unusable.
#[must_use]
pub fn judge(message: &Message) -> Option<Verdict> {
    let secrets = secrets(&message.secrets)?;
    let opinion = opinion(message.mode.0);
    if opinion.not_a_webhook.iter().any(|name| has(message, name)) {
        return Some(Rejection::NotAWebhook.into());
    }
    let Some(secrets) = secrets.get(message.account) else { return Some(Rejection::UnknownAccount.into()) };
    let claim = match (opinion.claim)(message, secrets) {
        Ok(claim) => claim,
        Err(verdict) => return Some(verdict),
    };
    let content = [&claim.head[..], &claim.signed].concat();
    let mine = |secret: &Vec<u8>| {
        let mac = (claim.mac)(secret, &content);
        let right = |written: &str| written.to_lowercase() == hex(&mac) || written == BASE64.encode(&mac);
        claim.written.split(' ').any(right)
    };
    Some(match secrets.iter().position(mine) {
        None => Rejection::Mismatch.into(),
        Some(_) if claim.late => Rejection::Expired.into(),
        Some(secret) => Verdict::Accept(Accept {
            scheme: claim.scheme,
            secret,
            delivery_id: claim.delivery_id,
            signed: claim.signed,
        }),
    })
}

/// Unix seconds in digits, which 64 bits can hold.
///
/// # Errors
/// Anything else is malformed.
pub fn seconds(text: &str) -> Result<i128, Rejection> {
    let digits = text.trim_start_matches('0');
    if text.is_empty() || digits.len() > 20 || !text.chars().all(|c| c.is_ascii_digit()) {
        return Err(Rejection::Malformed);
    }
    let seconds = digits.chars().filter_map(|c| c.to_digit(10)).fold(0, |sum, digit| sum * 10 + i128::from(digit));
    if seconds > i128::from(u64::MAX) { Err(Rejection::Malformed) } else { Ok(seconds) }
}

/// The text without the member from `open` to before `end`, and without the comma right before it, or else the comma right
/// after it and the white space after that.
#[must_use]
pub fn without(text: &[u8], open: usize, end: usize) -> Vec<u8> {
    let (before, after) = (&text[..open], &text[end..]);
    if let Some(before) = trim_end(before).strip_suffix(b",") {
        [before, after].concat()
    } else if let Some(after) = trim_start(after).strip_prefix(b",") {
        [before, trim_start(after)].concat()
    } else {
        [before, after].concat()
    }
}

fn is_space(byte: u8) -> bool {
    [b' ', b'\t', b'\n', b'\r'].contains(&byte)
}

#[must_use]
pub fn trim_start(mut text: &[u8]) -> &[u8] {
    while text.first().copied().is_some_and(is_space) {
        text = &text[1..];
    }
    text
}

fn trim_end(mut text: &[u8]) -> &[u8] {
    while text.last().copied().is_some_and(is_space) {
        text = &text[..text.len() - 1];
    }
    text
}

#[must_use]
pub fn has(message: &Message, name: &str) -> bool {
    message.headers.iter().any(|(known, _)| known == name)
}

/// A required header.
///
/// # Errors
/// As [`header`], but a missing one is malformed.
pub fn required(message: &Message, name: &str) -> Result<String, Rejection> {
    if has(message, name) { header(message, name) } else { Err(Rejection::Malformed) }
}

/// The header's one value, of visible characters.
///
/// # Errors
/// If it is missing, repeated, or has other characters.
pub fn header(message: &Message, name: &str) -> Result<String, Rejection> {
    let values: Vec<_> = message.headers.iter().filter(|(known, _)| known == name).collect();
    match values[..] {
        [] => Err(Rejection::Missing),
        [(_, value)] if value.iter().all(|&byte| byte == b'\t' || (0x20..0x7f).contains(&byte)) => {
            String::from_utf8(value.clone()).map_err(|_| Rejection::Malformed)
        }
        [_] => Err(Rejection::Malformed),
        _ => Err(Rejection::Repeated),
    }
}

/// This many hex digits of either case.
#[must_use]
pub fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.chars().all(|c| c.is_ascii_hexdigit())
}

/// This many hex digits, letters in lower case.
#[must_use]
pub fn is_lower_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f'))
}

/// 43 digits and an equals sign; the last digit holds four of the 256 bits and two zeros.
#[must_use]
pub fn is_base64_of_32_bytes(text: &str) -> bool {
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = text.strip_suffix('=').unwrap_or_default();
    let values: Option<Vec<_>> = digits.chars().map(|c| alphabet.find(c)).collect();
    values.is_some_and(|values| values.len() == 43 && values[42] % 4 == 0)
}

/// The secrets by account. None if the text holds no usable ones.
#[must_use]
pub fn secrets(text: &str) -> Option<BTreeMap<String, Vec<Vec<u8>>>> {
    let list = |node: &json::Node| -> Option<Vec<Vec<u8>>> {
        let one = |node: &json::Node| match &node.kind {
            Kind::String(Some(secret)) if secret.chars().any(|c| !c.is_whitespace() && c != '\0') => {
                Some(secret.clone().into_bytes())
            }
            _ => None,
        };
        match &node.kind {
            Kind::Array(list) if !list.is_empty() => list.iter().map(one).collect(),
            Kind::Array(_) => None,
            _ => Some(vec![one(node)?]),
        }
    };
    let default = |list| Some(BTreeMap::from([("default".to_owned(), list)]));
    if text.strip_prefix('\u{feff}').is_some() {
        return None;
    }
    if !text.trim_start().starts_with(['{', '[', '"']) {
        let secret = text.trim();
        return if secret.chars().all(|c| c == '\0' || c.is_whitespace()) {
            None
        } else {
            default(vec![secret.as_bytes().to_vec()])
        };
    }
    let root = json::parse(text).ok()?;
    let Some(members) = root.members() else { return default(list(&root)?) };
    let mut accounts = BTreeMap::new();
    for member in members {
        let name = member.name.clone()?;
        let legal = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '-');
        if name.is_empty() || name.len() > 64 || !name.chars().all(legal) {
            return None;
        }
        if accounts.insert(name, list(&member.value)?).is_some() {
            return None;
        }
    }
    if accounts.is_empty() { None } else { Some(accounts) }
}

/// Padded standard base64.
#[must_use]
pub fn base64(bytes: &[u8]) -> String {
    BASE64.encode(bytes)
}

/// The key in base64 after this prefix. None for anything else, and for an empty key.
#[must_use]
pub fn base64_key(secret: &[u8], prefix: &str) -> Option<Vec<u8>> {
    BASE64.decode(secret.strip_prefix(prefix.as_bytes())?).ok().filter(|key| !key.is_empty())
}

/// HMAC-SHA256.
#[must_use]
pub fn hmac_sha256(secret: &[u8], content: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), content).as_ref().to_vec()
}

/// HMAC-SHA512.
#[must_use]
pub fn hmac_sha512(secret: &[u8], content: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA512, secret), content).as_ref().to_vec()
}
