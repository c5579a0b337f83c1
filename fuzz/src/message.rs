//! What a fuzz input of `authenticate` means: a delivery as readable text, signed where it asks for it.
//!
//! ```text
//! 0 0 0 0 0                                   mode, account, who signs, seconds from now, spoiling: five small numbers
//! {"default":["current","previous"]}          the secrets
//! x-shoppex-signature: $                      headers; $ is the right signature, % the same in capitals, ~ in base64
//!                                             an empty line
//! {"event":"order:paid","data":{}}            the body; for Opterius, its first $ is the right signature
//! ```
//!
//! Random bytes never carry a valid MAC, so whatever the fuzzer makes of this text is signed afterwards. The spoiling
//! then flips one bit of the result.

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use http::{HeaderName, HeaderValue};

use crate::{MODES, hex, verify};

/// When the deliveries come, give or take the input's seconds.
pub const NOW: i64 = 1_773_504_000;

/// One delivery, still in plain lists.
#[derive(Debug)]
pub struct Message {
    /// The platform and the value of its setting.
    pub mode: (&'static str, &'static str),
    pub account: &'static str,
    pub secrets: String,
    pub headers: Vec<(String, Vec<u8>)>,
    pub body: Vec<u8>,
    /// In Unix seconds.
    pub now: i64,
}

/// Builds what the input describes. None where it describes nothing.
#[must_use]
pub fn parse(input: &[u8]) -> Option<Message> {
    let (control, rest) = line(input)?;
    let mut control = std::str::from_utf8(control).ok()?.split(' ').map(|number| number.parse::<i32>().ok());
    let mut number = || control.next().flatten();
    let (mode, account, signer, seconds, spoil) = (number()?, number()?, number()?, number()?, number()?);
    let pick = |number: i32, length: usize| number.unsigned_abs() as usize % length;
    let mode = MODES[pick(mode, MODES.len())];
    let account = ["default", "eu-shop", "nobody"][pick(account, 3)];

    let (secrets, mut rest) = line(rest)?;
    let secrets = String::from_utf8(secrets.to_vec()).ok()?;
    let mut headers = Vec::new();
    loop {
        let (header, after) = line(rest)?;
        rest = after;
        if header.is_empty() {
            break;
        }
        let colon = header.iter().position(|&byte| byte == b':')?;
        let name = std::str::from_utf8(&header[..colon]).ok()?.to_ascii_lowercase();
        let value = &header[colon + 1..];
        headers.push((name, value.strip_prefix(b" ").unwrap_or(value).to_vec()));
    }
    let mut message = Message { mode, account, secrets, headers, body: rest.to_vec(), now: NOW + i64::from(seconds) };

    let live = verify::secrets(&message.secrets).and_then(|all| all.get(account).cloned()).unwrap_or_default();
    let stranger = b"stranger".to_vec();
    sign(&mut message, live.get(pick(signer, live.len() + 1)).unwrap_or(&stranger));
    // What HTTP itself does not let through is no delivery.
    message.headers.retain(|(name, value)| {
        HeaderName::from_bytes(name.as_bytes()).is_ok() && HeaderValue::from_bytes(value).is_ok()
    });
    if spoil != 0 {
        spoil_bit(&mut message, spoil.unsigned_abs() as usize);
        message.headers.retain(|(_, value)| HeaderValue::from_bytes(value).is_ok());
    }
    Some(message)
}

fn line(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text.iter().position(|&byte| byte == b'\n')?;
    Some((&text[..end], &text[end + 1..]))
}

fn sign(message: &mut Message, secret: &[u8]) {
    if message.mode.0 == "opterius" {
        sign_inside(message, secret);
    }
    let first = |headers: &[(String, Vec<u8>)], name: &str| {
        headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone()).unwrap_or_default()
    };
    let stamped = [
        &first(&message.headers, "x-shoppex-delivery")[..],
        b".",
        &first(&message.headers, "x-shoppex-timestamp"),
        b".",
        &message.body,
    ]
    .concat();
    for (name, value) in &mut message.headers {
        let tag = match name.as_str() {
            "x-shoppex-signature" => verify::hmac_sha512(secret, &message.body),
            "x-shoppex-signature-v2" => verify::hmac_sha256(secret, &stamped),
            name if name.contains("signature") => verify::hmac_sha256(secret, &message.body),
            _ => continue,
        };
        let mut signed = Vec::new();
        for &byte in value.iter() {
            match byte {
                b'$' => signed.extend(hex(&tag).bytes()),
                b'%' => signed.extend(hex(&tag).to_uppercase().bytes()),
                b'~' => signed.extend(BASE64.encode(&tag).bytes()),
                other => signed.push(other),
            }
        }
        *value = signed;
    }
}

/// Signs the body around the place of its signature, by looking at the bytes beside it only.
fn sign_inside(message: &mut Message, secret: &[u8]) {
    let Some(at) = message.body.iter().position(|&byte| byte == b'$') else { return };
    message.body.splice(at..=at, [b'0'; 64]);
    let body = &message.body;
    let Some(quote) = body[..at].iter().rposition(|&byte| byte == b'"') else { return };
    let Some(end) = body[at..].iter().position(|&byte| byte == b'"').map(|length| at + length) else { return };
    let remainder = if message.mode.1 == "empty" {
        [&body[..=quote], &body[end..]].concat()
    } else {
        let Some(open) = verify::rfind(&body[..quote], b"\"signature\"") else { return };
        verify::without(body, open, end + 1)
    };
    let tag = hex(&verify::hmac_sha256(secret, &remainder));
    message.body.splice(at..at + 64, tag.bytes());
}

fn spoil_bit(message: &mut Message, spoil: usize) {
    let mut bytes: Vec<&mut u8> =
        message.headers.iter_mut().flat_map(|(_, value)| value.iter_mut()).chain(message.body.iter_mut()).collect();
    let count = bytes.len() * 8;
    if count > 0 {
        *bytes[spoil / 8 % (count / 8)] ^= 1 << (spoil % 8);
    }
}
