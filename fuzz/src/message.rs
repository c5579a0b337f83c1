//! The fuzz input of `authenticate`: a delivery as readable text, with placeholders for signatures.
//!
//! ```text
//! 0 0 0 0 0                                   mode, account, who signs, seconds from now, spoiling: five small numbers
//! {"default":["current","previous"]}          the secrets
//! x-signature: $                              headers; $ is the right signature, % the same in capitals, ~ in base64
//!                                             an empty line
//! {"event":"order:paid","data":{}}            the body; where the signature belongs there, its first $ is the right one
//! ```
//!
//! Random bytes never have a valid MAC, so the fuzzer's text is signed afterwards. The spoiling then flips one bit of the
//! result.

use hookgate_verify::{Account, Delivery};
use http::{HeaderMap, HeaderName, HeaderValue};
use time::OffsetDateTime;

use crate::{Mode, hex, mac, modes, signed_text, verifier, verify};

/// When the deliveries arrive, plus or minus the input's seconds.
pub const NOW: i64 = 1_773_504_000;

/// One delivery, still in plain lists.
#[derive(Debug)]
pub struct Message {
    pub mode: Mode,
    pub account: &'static str,
    pub secrets: String,
    pub headers: Vec<(String, Vec<u8>)>,
    pub body: Vec<u8>,
    /// In Unix seconds.
    pub now: i64,
}

impl Message {
    /// As Hookgate gets it. None if HTTP does not allow it.
    #[must_use]
    pub fn delivery(&self) -> Option<Delivery> {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            headers.append(HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::from_bytes(value).ok()?);
        }
        let received = OffsetDateTime::from_unix_timestamp(self.now).ok()?;
        Some(Delivery { headers, body: self.body.clone(), account: Account::parse(self.account)?, received })
    }
}

/// Builds the message that the input describes. None if it describes none.
#[must_use]
pub fn parse(input: &[u8]) -> Option<Message> {
    let (control, rest) = line(input)?;
    let mut control = std::str::from_utf8(control).ok()?.split(' ').map(|number| number.parse::<i32>().ok());
    let mut number = || control.next().flatten();
    let (mode, account, signer, seconds, spoil) = (number()?, number()?, number()?, number()?, number()?);
    let pick = |number: i32, length: usize| number.unsigned_abs() as usize % length;
    let modes = modes();
    let mode = modes[pick(mode, modes.len())];
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

    // A delivery has to be possible in HTTP.
    message.headers.retain(|(name, value)| {
        HeaderName::from_bytes(name.as_bytes()).is_ok() && HeaderValue::from_bytes(value).is_ok()
    });
    let live = verify::secrets(&message.secrets).and_then(|all| all.get(account).cloned()).unwrap_or_default();
    let stranger = b"stranger".to_vec();
    sign(&mut message, live.get(pick(signer, live.len() + 1)).unwrap_or(&stranger));
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

/// Replaces the placeholders by the right signature, in the header of each scheme or in the body.
fn sign(message: &mut Message, secret: &[u8]) {
    for scheme in verifier(message.mode).schemes() {
        let Some(delivery) = message.delivery() else { return };
        let Some(text) = signed_text(scheme, &delivery) else { continue };
        let Some(mac) = mac(scheme, secret, &text) else { continue };
        match scheme.signature_header() {
            None => {
                let Some(at) = message.body.iter().position(|&byte| byte == b'$') else { continue };
                message.body.splice(at..=at, hex(&mac).into_bytes());
            }
            Some(name) => {
                for (_, value) in message.headers.iter_mut().filter(|(known, _)| known == name) {
                    *value = filled(value, &mac);
                }
            }
        }
    }
}

fn filled(value: &[u8], mac: &[u8]) -> Vec<u8> {
    let one = |byte: u8| match byte {
        b'$' => hex(mac).into_bytes(),
        b'%' => hex(mac).to_uppercase().into_bytes(),
        b'~' => verify::base64(mac).into_bytes(),
        other => vec![other],
    };
    value.iter().flat_map(|&byte| one(byte)).collect()
}

fn spoil_bit(message: &mut Message, spoil: usize) {
    let mut bytes: Vec<&mut u8> =
        message.headers.iter_mut().flat_map(|(_, value)| value.iter_mut()).chain(message.body.iter_mut()).collect();
    let count = bytes.len() * 8;
    if count > 0 {
        *bytes[spoil / 8 % (count / 8)] ^= 1 << (spoil % 8);
    }
}
