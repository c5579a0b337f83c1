//! The tables of guesses: what may have been done to a secret or to a body, and how to say it.
//!
//! A guess that makes the signature match is proved: nobody finds a second text with the same MAC.

use std::io::Read;

use base64::{Engine, prelude::BASE64_STANDARD_NO_PAD};
use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use hookgate_verify::Scheme;

use super::texts::Reason;
use crate::json::{Json, Style};

/// What a guess makes of bytes: each with a detail for the finding, mostly empty.
type Made = Vec<(String, Vec<u8>)>;

/// What to say if a guess makes the signature match, and what it makes of a secret or of a body.
pub(super) struct Guess(pub Reason, pub fn(&[u8], &Scheme) -> Made);

const STORE: &str = "Store the secret exactly as the sender uses it: with printf %s, not echo. Check the end of the file or form field.";
const DECODED: &str =
    "The sender decodes the secret, the platform does not. If the sender is yours, pass the text itself to HMAC.";
const REENTER: &str =
    "The platform has it this way: enter the secret there again, with letters and digits only and no line end.";
const COPIED: &str =
    "It was copied from a web page or a chat: copy the text itself, from a field or with a copy button.";
const RAW: &str = "Verify the bytes as they arrived, before anything reads them as text. Editors, echo, $(…) in a shell, trim(), git's \
                   autocrlf and curl -d change them; curl --data-binary and printf %s do not.";
const PARSED: &str = "A framework parsed the body and serialised it again. Verify the raw bytes before any parsing: express.raw(), \
                      request.get_data(), file_get_contents('php://input').";
const FORM: &str = "Sign and verify the same bytes: the raw form, or the field in it.";

/// What people do to a secret on its way from the platform's page into a setting.
#[rustfmt::skip]
pub(super) const SECRETS: &[Guess] = &[
    Guess(("secret_trimmed", "It verifies with the secret trimmed: it has white space or a line feed around it.", STORE),
        |secret, _| one(secret.trim_ascii())),
    Guess(("secret_unquoted", "It verifies with the secret without the quotes around it.", STORE),
        |secret, _| unquoted(secret.trim_ascii())),
    Guess(("secret_without_prefix", "It verifies with the secret without {0} in front of it.", STORE), |secret, scheme| {
        let without = |prefix: &str| Some((prefix.to_owned(), secret.strip_prefix(prefix.as_bytes())?.to_vec()));
        ["whsec_", "v1,"].into_iter().filter(|prefix| *prefix != scheme.key_prefix()).filter_map(without).collect()
    }),
    Guess(("secret_with_prefix", "It verifies with {0} in front of the secret.", STORE), |secret, scheme| {
        let prefix = if scheme.key_prefix().is_empty() { "whsec_" } else { scheme.key_prefix() };
        if secret.starts_with(prefix.as_bytes()) { Vec::new() } else { vec![(prefix.to_owned(), [prefix.as_bytes(), secret].concat())] }
    }),
    Guess(("secret_base64_decoded", "It verifies with the secret decoded from base64.", DECODED),
        |secret, _| some(base64(secret.strip_prefix(b"whsec_").unwrap_or(secret).trim_ascii()))),
    Guess(("secret_hex_decoded", "It verifies with the secret decoded from hex.", DECODED),
        |secret, _| some(hex::decode(secret.trim_ascii()).ok())),
    Guess(("secret_not_decoded", "It verifies with the secret's characters as the key.",
        "The key is what the secret holds in base64 behind its prefix: decode it before signing."), |secret, scheme| {
        let text = str::from_utf8(secret).unwrap_or_default();
        [text, text.strip_prefix(scheme.key_prefix()).unwrap_or(text)].into_iter().flat_map(|text| one(scheme.secret_of(text))).collect()
    }),
    Guess(("secret_with_newline", "It verifies with a line feed at the end of the secret.", REENTER), |secret, _| with_line_end(secret)),
    Guess(("secret_invisible", "It verifies with the secret {0}.", COPIED), |secret, _| visible(secret)),
    Guess(("secret_html", "It verifies with the secret's HTML escapes (like &amp;) decoded.", COPIED), |secret, _| unescaped(secret)),
    Guess(("secret_html_escaped", "It verifies with the secret escaped as in HTML (like &amp;).", REENTER), |secret, _| {
        let escape = |text: String, (escape, plain): &(&str, &str)| text.replace(plain, escape);
        one(HTML[..5].iter().fold(String::from_utf8_lossy(secret).into_owned(), escape))
    }),
];

/// What happens to a body between the wire and the place where it was captured, or the code that verifies it.
#[rustfmt::skip]
pub(super) const BODIES: &[Guess] = &[
    Guess(("body_newline_added", "It verifies with the body without the {0} at its end.", RAW), |body, _| {
        let line_feeds = [body.strip_suffix(b"\r\n"), body.strip_suffix(b"\n")].into_iter().flatten().map(|body| ("line feed", body));
        line_feeds.chain([("white space", body.trim_ascii_end())]).map(|(what, body)| (what.to_owned(), body.to_vec())).collect()
    }),
    Guess(("body_newline_removed", "It verifies with a line feed at the end of the body.", RAW), |body, _| with_line_end(body)),
    Guess(("body_line_ends", "It verifies with {0} as the body's line ends.", RAW), |body, _| {
        let lines: Vec<_> = body.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line)).collect();
        let ends = [("LF", "\n"), ("CR LF", "\r\n"), ("nothing", "")];
        ends.into_iter().map(|(name, end)| (name.to_owned(), lines.join(end.as_bytes()))).collect()
    }),
    Guess((REENCODED, "It verifies with the same JSON in another style: {0}.", PARSED), |body, _| {
        let written = Json::parse(body).map(|json| json.in_every_style());
        written.into_iter().flatten().map(|(style, text)| (style, text.into_bytes())).collect()
    }),
    Guess(("body_member", "It verifies with one member of the body alone.",
        "Sign the whole body: the event's name would be unsigned, and anybody could exchange it."), |body, _| members(body)),
    Guess(("body_byte_order_mark", "It verifies with {0} byte order mark in front of the body.", RAW), |body, _| {
        let without = body.strip_prefix(MARK).map(|body| ("no".to_owned(), body.to_vec()));
        vec![without.unwrap_or_else(|| ("a".to_owned(), [MARK, body].concat()))]
    }),
    Guess(("body_encoded_twice", "It verifies with the body decoded from UTF-8: it was encoded twice.", RAW), |body, _| {
        let text = str::from_utf8(body).unwrap_or_default();
        some(text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect::<Option<Vec<_>>>())
    }),
    Guess(("body_base64", "It verifies with the body decoded from base64.",
        "API Gateway passes binary bodies on as base64: decode before verifying."), |body, _| some(base64(body.trim_ascii()))),
    Guess(("body_in_quotes", "It verifies with the text inside the body's quotes.", PARSED),
        |body, _| serde_json::from_slice::<String>(body).map_or_else(|_| unquoted(body.trim_ascii()), one)),
    Guess(("body_invisible", "It verifies with the body {0}.", COPIED), |body, _| visible(body)),
    Guess(("body_html", "It verifies with the body's HTML escapes (like &quot;) decoded.", COPIED), |body, _| unescaped(body)),
    Guess(("body_compressed", "It verifies with the body decompressed.",
        "A proxy compressed it on the way: turn that off, or decompress before verifying."), |body, _| {
        let zlib = || decompressed(ZlibDecoder::new(body)).or_else(|| decompressed(DeflateDecoder::new(body)));
        some(decompressed(MultiGzDecoder::new(body)).or_else(zlib))
    }),
    Guess(("body_in_form", "It verifies with the form's field payload alone, decoded.", FORM), |body, _| {
        some(form_urlencoded::parse(body).find(|(name, _)| name == "payload").map(|(_, value)| value.into_owned()))
    }),
    Guess(("body_from_form", "It verifies with the form payload=…, whose decoded field is the body.", FORM), |body, _| {
        let form = form_urlencoded::byte_serialize(body).fold("payload=".to_owned(), |form, part| form + part);
        [form.replace('+', "%20"), form].into_iter().flat_map(one).collect()
    }),
    Guess(("body_consumed", "It verifies with an empty body.",
        "The sender read its body before signing it, so its stream was empty. Sign the bytes that you send."), |_, _| one("")),
];

/// The guess that writes a JSON text again, and those whose text it writes like the one before them.
pub(super) const REENCODED: &str = "body_reencoded";
pub(super) const AROUND: &[&str] = &[REENCODED, "body_newline_added", "body_newline_removed", "body_line_ends"];

const MARK: &[u8] = "\u{feff}".as_bytes();

/// The escapes of HTML; the first five are those that programs write, & first.
#[rustfmt::skip]
const HTML: &[(&str, &str)] = &[
    ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"),
    ("&#x27;", "'"), ("&apos;", "'"), ("&#34;", "\""), ("&#x2F;", "/"), ("&nbsp;", " "),
];

fn one(bytes: impl Into<Vec<u8>>) -> Made {
    vec![(String::new(), bytes.into())]
}

fn some(bytes: Option<impl Into<Vec<u8>>>) -> Made {
    bytes.map_or_else(Vec::new, one)
}

fn unquoted(text: &[u8]) -> Made {
    let quotes = [("\"", "\""), ("'", "'"), ("`", "`"), ("“", "”"), ("‘", "’")];
    let inside = |(open, close): (&str, &str)| text.strip_prefix(open.as_bytes())?.strip_suffix(close.as_bytes());
    some(quotes.into_iter().find_map(inside))
}

/// Without the characters that nobody sees, and with a space for the one that looks like a space; or with straight quotes.
fn visible(text: &[u8]) -> Made {
    let is_hidden = |c: &char| matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}');
    let text = String::from_utf8_lossy(text);
    let shown: String = text.chars().filter(|c| !is_hidden(c)).collect();
    let shown = shown.trim_matches('\u{a0}').replace('\u{a0}', " ");
    let straight = text.replace(['“', '”'], "\"").replace(['‘', '’'], "'");
    vec![("without invisible characters".into(), shown.into()), ("with straight quotes".into(), straight.into())]
}

fn unescaped(text: &[u8]) -> Made {
    let text = String::from_utf8_lossy(text).into_owned();
    one(HTML.iter().rev().fold(text, |text, (escape, plain)| text.replace(escape, plain)))
}

fn with_line_end(text: &[u8]) -> Made {
    ["\n", "\r\n"].into_iter().flat_map(|end| one([text, end.as_bytes()].concat())).collect()
}

/// At most 16 MiB of it.
fn decompressed(reader: impl Read) -> Option<Vec<u8>> {
    let mut plain = Vec::new();
    reader.take(16 * 1024 * 1024).read_to_end(&mut plain).ok().filter(|read| *read > 0)?;
    Some(plain)
}

/// The bytes that a base64 text of either alphabet stands for, padded or not.
pub(super) fn base64(text: &[u8]) -> Option<Vec<u8>> {
    let standard = String::from_utf8_lossy(text).replace('-', "+").replace('_', "/");
    BASE64_STANDARD_NO_PAD.decode(standard.trim_end_matches('=')).ok().filter(|bytes| !bytes.is_empty())
}

/// The objects in a JSON object, each alone.
fn members(body: &[u8]) -> Made {
    let Some(Json::Object(members)) = Json::parse(body) else { return Vec::new() };
    let objects = members.iter().filter(|(_, value)| matches!(value, Json::Object(_)));
    objects.flat_map(|(_, value)| one(value.write(Style::KEPT))).collect()
}
