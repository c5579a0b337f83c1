//! The reference verifier: each platform's rules, written out one by one.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use hookgate_verify::Rejection;
use ring::hmac;

use crate::{
    hex,
    json::{self, Kind},
    message::Message,
};

/// What is to become of a message.
#[derive(Debug)]
pub enum Verdict {
    Accept(Accept),
    /// For one of these reasons.
    Reject(Vec<Rejection>),
    /// Not JSON, where the signature is in the JSON: to be rejected unless one of these secrets signed the rest.
    Doubtful(Vec<Vec<u8>>),
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

/// How the one signature of a message is spelled, and what it signs.
struct Claim {
    scheme: &'static str,
    written: String,
    delivery_id: Option<String>,
    /// Before the signed part of the body.
    head: Vec<u8>,
    signed: Vec<u8>,
    /// How far the clock is off.
    late: bool,
}

/// Judges the message. None where its secrets are none.
#[must_use]
pub fn judge(message: &Message) -> Option<Verdict> {
    let secrets = secrets(&message.secrets)?;
    let has = |name: &str| message.headers.iter().any(|(known, _)| known == name);
    let provider = message.mode.0;
    if provider == "shoppex" && (has("x-shoppex-delivery-id") || has("x-shoppex-idempotency-key")) {
        return Some(Verdict::Reject(vec![Rejection::DynamicDelivery]));
    }
    let Some(secrets) = secrets.get(message.account) else {
        return Some(Verdict::Reject(vec![Rejection::UnknownAccount]));
    };
    let claim = match provider {
        "elective" => raw_body(message, "x-e-commerce-signature"),
        "etaildepot" => raw_body(message, "etail-signature"),
        "w3block" => raw_body(message, "x-w3block-commerce-signature"),
        "shoppex" if has("x-shoppex-signature-v2") => shoppex_v2(message),
        "shoppex" if message.mode.1 == "true" => Err(vec![Rejection::Missing]),
        "shoppex" => raw_body(message, "x-shoppex-signature"),
        "opterius" => match opterius(message) {
            Some(claim) => claim,
            None => return Some(Verdict::Doubtful(secrets.clone())),
        },
        other => unreachable!("no platform {other}"),
    };
    let claim = match claim {
        Ok(claim) => claim,
        Err(rejections) => return Some(Verdict::Reject(rejections)),
    };
    let content = [&claim.head[..], &claim.signed].concat();
    let mine = |secret: &Vec<u8>| match provider {
        "shoppex" if claim.scheme == "v1" => claim.written.to_lowercase() == hex(&hmac_sha512(secret, &content)),
        "w3block" if claim.written.len() == 44 => claim.written == BASE64.encode(hmac_sha256(secret, &content)),
        _ => claim.written.to_lowercase() == hex(&hmac_sha256(secret, &content)),
    };
    Some(match secrets.iter().position(mine) {
        None => Verdict::Reject(vec![Rejection::Mismatch]),
        Some(_) if claim.late => Verdict::Reject(vec![Rejection::Expired]),
        Some(secret) => Verdict::Accept(Accept {
            scheme: claim.scheme,
            secret,
            delivery_id: claim.delivery_id,
            signed: claim.signed,
        }),
    })
}

fn raw_body(message: &Message, name: &str) -> Result<Claim, Vec<Rejection>> {
    let written = header(message, name).map_err(|rejection| vec![rejection])?;
    let digits = if name == "x-shoppex-signature" { 128 } else { 64 };
    let base64 = message.mode.0 == "w3block" && is_base64_of_32_bytes(&written);
    if !is_hex(&written, digits) && !base64 {
        return Err(vec![Rejection::Malformed]);
    }
    Ok(Claim { scheme: "v1", written, delivery_id: None, head: Vec::new(), signed: message.body.clone(), late: false })
}

fn shoppex_v2(message: &Message) -> Result<Claim, Vec<Rejection>> {
    let required = |name| {
        header(message, name).map_err(|rejection| match rejection {
            Rejection::Missing => Rejection::Malformed,
            other => other,
        })
    };
    let signature = required("x-shoppex-signature-v2");
    let delivery_id = required("x-shoppex-delivery");
    let timestamp = required("x-shoppex-timestamp");
    let (signature, delivery_id, timestamp) = match (signature, delivery_id, timestamp) {
        (Ok(signature), Ok(delivery_id), Ok(timestamp)) => (signature, delivery_id, timestamp),
        (a, b, c) => return Err([a.err(), b.err(), c.err()].into_iter().flatten().collect()),
    };
    let malformed = || vec![Rejection::Malformed];
    // By its end: 64 digits, and what comes before must be exactly this.
    let cut = signature.len().checked_sub(64).filter(|&cut| signature.is_char_boundary(cut)).ok_or_else(malformed)?;
    let (start, written) = signature.split_at(cut);
    if start != format!("v1,t={timestamp},h=") || !is_hex(written, 64) {
        return Err(malformed());
    }
    if timestamp.is_empty() || !timestamp.chars().all(|c| c.is_ascii_digit()) {
        return Err(malformed());
    }
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if delivery_id.is_empty() || delivery_id.len() > 128 || !delivery_id.chars().all(legal) {
        return Err(malformed());
    }
    let digits = timestamp.trim_start_matches('0');
    if digits.len() > 20 {
        return Err(malformed());
    }
    let seconds = digits.chars().fold(0_i128, |sum, c| sum * 10 + i128::from(c.to_digit(10).expect("a digit")));
    if seconds > i128::from(u64::MAX) {
        return Err(malformed());
    }
    let late = !(-300..=300).contains(&(seconds - i128::from(message.now)));
    let head = format!("{delivery_id}.{timestamp}.").into_bytes();
    let delivery_id = Some(delivery_id);
    Ok(Claim { scheme: "v2", written: written.to_owned(), delivery_id, head, signed: message.body.clone(), late })
}

/// None where the body is no JSON.
fn opterius(message: &Message) -> Option<Result<Claim, Vec<Rejection>>> {
    let text = std::str::from_utf8(&message.body).ok()?;
    let (mark, text) = text.strip_prefix('\u{feff}').map_or(("", text), |rest| ("\u{feff}", rest));
    let root = json::parse(text).ok()?;
    let Some(members) = root.members() else { return Some(Err(vec![Rejection::Missing])) };
    let named: Vec<_> = members.iter().filter(|member| member.name.as_deref() == Some("signature")).collect();
    let [member] = named[..] else {
        let none = named.is_empty();
        // Of two, one may be malformed as well.
        let reasons = if none { vec![Rejection::Missing] } else { vec![Rejection::Repeated, Rejection::Malformed] };
        return Some(Err(reasons));
    };
    let malformed = || Some(Err(vec![Rejection::Malformed]));
    if &text[member.written.clone()] != "\"signature\"" || !matches!(member.value.kind, Kind::String(_)) {
        return malformed();
    }
    let span = member.value.span.clone();
    let value = &text[span.start + 1..span.end - 1];
    let Some(written) = value.strip_prefix("sha256=").filter(|digits| is_hex(digits, 64)) else { return malformed() };
    let (scheme, signed) = if message.mode.1 == "empty" {
        ("empty", format!("{mark}{}{}", &text[..=span.start], &text[span.end - 1..]).into_bytes())
    } else {
        let rest = without(text.as_bytes(), member.written.start, span.end);
        ("without", [mark.as_bytes(), &rest].concat())
    };
    let written = written.to_owned();
    Some(Ok(Claim { scheme, written, delivery_id: None, head: Vec::new(), signed, late: false }))
}

/// Whether one of the secrets signed the text without one of the signatures that stand in it, whatever the text is.
#[must_use]
pub fn signed_inside(message: &Message, secrets: &[Vec<u8>]) -> bool {
    let body = &message.body[..];
    (0..body.len()).any(|open| {
        let Some(rest) = body[open..].strip_prefix(b"\"signature\"") else { return false };
        let Some(rest) = trim_start(rest).strip_prefix(b":") else { return false };
        let Some(rest) = trim_start(rest).strip_prefix(b"\"sha256=") else { return false };
        let Some((written, b'"')) = rest.get(..64).zip(rest.get(64).copied()) else { return false };
        let value = body.len() - rest.len() - "sha256=".len();
        let end = value + "sha256=".len() + 64;
        let signed = if message.mode.1 == "empty" {
            [&body[..value], &body[end..]].concat()
        } else {
            without(body, open, end + 1)
        };
        secrets.iter().any(|secret| written.eq_ignore_ascii_case(hex(&hmac_sha256(secret, &signed)).as_bytes()))
    })
}

/// The text without the member that begins at `open` and ends before `end`: with the comma right before it, else with
/// the comma right behind it and the white space after that.
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

fn trim_start(mut text: &[u8]) -> &[u8] {
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

/// Where `part` begins last in `text`.
#[must_use]
pub fn rfind(text: &[u8], part: &[u8]) -> Option<usize> {
    (0..text.len()).rev().find(|&at| text[at..].starts_with(part))
}

/// The header's one value, of visible characters.
fn header(message: &Message, name: &str) -> Result<String, Rejection> {
    let values: Vec<_> = message.headers.iter().filter(|(known, _)| known == name).collect();
    match values[..] {
        [] => Err(Rejection::Missing),
        [(_, value)] if value.iter().all(|&byte| byte == b'\t' || (0x20..0x7f).contains(&byte)) => {
            Ok(String::from_utf8(value.clone()).expect("ASCII"))
        }
        [_] => Err(Rejection::Malformed),
        _ => Err(Rejection::Repeated),
    }
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.chars().all(|c| c.is_ascii_hexdigit())
}

/// 43 digits and a sign of equality; the last digit carries four bits of the 256 and two zeros.
fn is_base64_of_32_bytes(text: &str) -> bool {
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = text.strip_suffix('=').unwrap_or_default();
    let values: Option<Vec<_>> = digits.chars().map(|c| alphabet.find(c)).collect();
    values.is_some_and(|values| values.len() == 43 && values[42] % 4 == 0)
}

/// The secrets by account. None where the text holds none that are usable.
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
