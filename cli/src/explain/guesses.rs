//! The tables of guesses: what may have been done to a secret or to a body, and how to say it.
//!
//! A guess that makes the signature match is proved: nobody finds a second text with the same MAC.

use std::{collections::HashSet, io::Read};

use base64::{Engine, prelude::BASE64_STANDARD_NO_PAD};

use crate::json::{Escapes, Json, Space, Style};

/// What a guess makes of bytes: each with a detail for the sentence, mostly empty.
type Made = Vec<(String, Vec<u8>)>;

/// A fixed name, with what it verifies then, what to do about it, and what the guess makes.
pub(super) struct Guess(pub &'static str, pub &'static str, pub &'static str, pub fn(&[u8]) -> Made);

const STORE: &str =
    "Store the secret exactly as the sender uses it: printf %s, not echo; check the end of the file or form field.";
const DECODED: &str =
    "The sender decodes the secret; the platform does not. If the sender is yours, pass the text itself to HMAC.";
const REENTER: &str =
    "The platform has it so: enter the secret there again, of letters and digits, without a line end.";
const COPIED: &str = "It was copied from a web page or a chat: copy the text itself, from a field or by a copy button.";
const RAW: &str = "Verify the bytes as they came, before anything reads them as text: an editor, echo, a shell's $(…), trim(), git's \
                   autocrlf and curl -d all change them; curl --data-binary and printf %s do not.";
const PARSED: &str = "A framework parsed the body and serialised it again. Verify the raw bytes before any parsing: express.raw(), \
                      request.get_data(), file_get_contents('php://input').";
const FORM: &str = "Sign and verify the same bytes: the raw form, or the part in it.";

/// What people do to a secret on its way from the platform's page into a setting.
#[rustfmt::skip]
pub(super) const SECRETS: &[Guess] = &[
    Guess("secret_trimmed", "the secret trimmed: yours has white space or a line feed around it.", STORE,
        |secret| one(secret.trim_ascii())),
    Guess("secret_unquoted", "the secret without the quotes around it.", STORE, |secret| unquoted(secret.trim_ascii())),
    Guess("secret_without_prefix", "the secret without its prefix whsec_.", STORE, |secret| some(secret.strip_prefix(b"whsec_"))),
    Guess("secret_with_prefix", "whsec_ in front of the secret.", STORE,
        |secret| if secret.starts_with(b"whsec_") { Vec::new() } else { one([b"whsec_", secret].concat()) }),
    Guess("secret_without_version", "the secret without the v1, before it.", STORE, |secret| some(secret.strip_prefix(b"v1,"))),
    Guess("secret_base64_decoded", "the secret decoded from base64.", DECODED,
        |secret| some(base64(secret.strip_prefix(b"whsec_").unwrap_or(secret).trim_ascii()))),
    Guess("secret_hex_decoded", "the secret decoded from hex.", DECODED, |secret| some(hex(secret.trim_ascii()))),
    Guess("secret_with_newline", "a line feed behind the secret.", REENTER, with_line_end),
    Guess("secret_invisible", "the secret without the invisible characters in it.", COPIED, visible),
    Guess("secret_html", "the secret's HTML escapes (like &amp;) undone.", COPIED, unescaped),
    Guess("secret_html_escaped", "the secret escaped as in HTML (like &amp;).", REENTER,
        |secret| one(HTML[..5].iter().fold(secret.to_vec(), |text, (escape, plain)| replaced(&text, plain, escape)))),
];

/// What happens to a body between the wire and the place where it was captured, or the code that verifies it.
#[rustfmt::skip]
pub(super) const BODIES: &[Guess] = &[
    Guess("body_newline_added", "the line feed at the body's end taken away.", RAW, |body| {
        [body.strip_suffix(b"\r\n"), body.strip_suffix(b"\n"), Some(body.trim_ascii_end())].into_iter().flat_map(some).collect()
    }),
    Guess("body_newline_removed", "a line feed behind the body.", RAW, with_line_end),
    Guess("body_line_ends_unix", "line feeds where the body has CR LF.", RAW, |body| one(replaced(body, "\r\n", "\n"))),
    Guess("body_line_ends_windows", "CR LF where the body has line feeds.", RAW,
        |body| one(replaced(&replaced(body, "\r\n", "\n"), "\n", "\r\n"))),
    Guess(REENCODED, "the same JSON written otherwise", PARSED, reencoded),
    Guess("body_byte_order_mark", "the byte order mark in front of the body taken away.", RAW, |body| some(body.strip_prefix(MARK))),
    Guess("body_byte_order_mark_removed", "a byte order mark in front of the body.", RAW,
        |body| if body.starts_with(MARK) { Vec::new() } else { one([MARK, body].concat()) }),
    Guess("body_encoded_twice", "the characters outside ASCII taken back from a double UTF-8 encoding.", RAW, |body| {
        let text = std::str::from_utf8(body).unwrap_or_default();
        some(text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect::<Option<Vec<_>>>())
    }),
    Guess("body_base64", "the body decoded from base64.", "API Gateway hands binary bodies over as base64: decode before verifying.",
        |body| some(base64(body.trim_ascii()))),
    Guess("body_in_quotes", "what stands in quotes in the body.", PARSED,
        |body| serde_json::from_slice::<String>(body).map_or_else(|_| unquoted(body.trim_ascii()), one)),
    Guess("body_invisible", "the body without the invisible characters in it.", COPIED, visible),
    Guess("body_html", "the body's HTML escapes (like &quot;) undone.", COPIED, unescaped),
    Guess("body_compressed", "the body decompressed.", "A proxy compressed it on the way: let it not, or decompress before verifying.",
        |body| decompressed(flate2::read::MultiGzDecoder::new(body)).or(decompressed(flate2::read::ZlibDecoder::new(body))).map_or_else(Vec::new, one)),
    Guess("body_in_form", "the form's part payload= alone, decoded.", FORM, |body| {
        some(form_urlencoded::parse(body).find(|(name, _)| name == "payload").map(|(_, value)| value.into_owned()))
    }),
    Guess("body_from_form", "the whole form payload=…, of which the body is the decoded part.", FORM, |body| {
        let form = form_urlencoded::byte_serialize(body).fold("payload=".to_owned(), |form, part| form + part);
        [form.replace('+', "%20"), form].into_iter().flat_map(one).collect()
    }),
    Guess("body_consumed", "an empty body in place of this one.",
        "The sender read its body before signing it: its stream was empty by then. Sign the bytes that you send.", |_| one("")),
];

/// The guess that writes a JSON text again, and those that change nothing in one.
pub(super) const REENCODED: &str = "body_reencoded";
pub(super) const AROUND: &[&str] =
    &["body_newline_added", "body_newline_removed", "body_line_ends_unix", "body_line_ends_windows"];

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

/// Without the characters that nobody sees, and with a space for the one that looks like a space.
fn visible(text: &[u8]) -> Made {
    let is_hidden = |c: &char| matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}');
    let text: String = String::from_utf8_lossy(text).chars().filter(|c| !is_hidden(c)).collect();
    one(text.trim_matches('\u{a0}').replace('\u{a0}', " "))
}

fn unescaped(text: &[u8]) -> Made {
    one(HTML.iter().rev().fold(text.to_vec(), |text, (escape, plain)| replaced(&text, escape, plain)))
}

fn with_line_end(text: &[u8]) -> Made {
    ["\n", "\r\n"].into_iter().flat_map(|end| one([text, end.as_bytes()].concat())).collect()
}

fn replaced(text: &[u8], from: &str, to: &str) -> Vec<u8> {
    let mut changed = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.windows(from.len()).position(|window| window == from.as_bytes()) {
        changed.extend([&rest[..at], to.as_bytes()].concat());
        rest = &rest[at + from.len()..];
    }
    changed.extend(rest);
    changed
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

/// The bytes that a hex text stands for.
pub(super) fn hex(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let bytes = text.chunks(2).map(|pair| Some(digit(pair[0])? << 4 | digit(*pair.get(1)?)?));
    bytes.collect::<Option<Vec<_>>>().filter(|bytes| !bytes.is_empty())
}

/// The same JSON in the ways in which common languages write it.
fn reencoded(body: &[u8]) -> Made {
    const SPACES: [(Space, &str); 4] = [
        (Space::None, "compact"),
        (Space::Single, "with a space behind every comma and colon (Python)"),
        (Space::Lines(2), "pretty-printed, indented by 2"),
        (Space::Lines(4), "pretty-printed, indented by 4"),
    ];
    const ESCAPES: [(Escapes, &str); 8] = [
        (Escapes::Kept, ""),
        (Escapes::Least, ", without needless escapes"),
        (Escapes::Php, r", with \/ and \u escapes (PHP)"),
        (Escapes::Slash, r", with \/ escapes (PHP)"),
        (Escapes::Ascii, r", with \u escapes"),
        (Escapes::Html, r", with & < > as \u escapes (Go, Rails)"),
        (Escapes::HtmlGson, r", with & < > = ' as \u escapes (Gson)"),
        (Escapes::DotNet, r", with \u escapes in upper case (.NET)"),
    ];
    let Some(json) = Json::parse(body).filter(|json| !matches!(json, Json::Token(_))) else { return Vec::new() };
    let write = |space, escapes, sorted| json.write(Style { space, escapes, sorted });
    // Most bodies have nothing that most of these escape: a long one is not written 64 times.
    let mut known = HashSet::new();
    let escapes: Vec<_> =
        ESCAPES.iter().filter(|(escapes, _)| known.insert(write(Space::None, *escapes, false))).collect();
    let is_sorted = known.contains(&write(Space::None, Escapes::Kept, true));
    let mut written = Made::new();
    for (sorted, order) in &[(false, ""), (true, ", members sorted by name")][..if is_sorted { 1 } else { 2 }] {
        for (space, spaced) in SPACES {
            written.extend(escapes.iter().map(|(escapes, escaped)| {
                (format!(": {spaced}{escaped}{order}."), write(space, *escapes, *sorted).into_bytes())
            }));
        }
    }
    written
}
