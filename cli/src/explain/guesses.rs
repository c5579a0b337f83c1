//! The tables of guesses: what may have been done to a secret or to a body, and how to say it.
//!
//! A guess that makes the signature match is proved: nobody finds a second text with the same MAC.

use std::io::Read;

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

use crate::json::{Escapes, Json, Space, Style};

/// What a guess makes of bytes: each with a detail for the sentence, mostly empty.
type Made = Vec<(String, Vec<u8>)>;

/// A fixed name, what to say where it makes the signature match, what to do then, and what it makes.
pub(super) struct Guess(pub &'static str, pub &'static str, pub &'static str, pub fn(&[u8]) -> Made);

const DECODED: &str = "The sender decodes the secret; the platform uses its characters as they are. If the sender is yours, pass \
                       the string itself to HMAC.";
const LINE_ENDS: &str =
    "Something changed the line ends: git's autocrlf, an editor, a file opened in text mode. Keep the bytes.";
const COPIED: &str = "It was copied from a web page or chat: copy the text itself, from a field or by a copy button.";

/// What people do to a secret on its way from the platform's page into a setting.
pub(super) const SECRETS: &[Guess] = &[
    Guess(
        "secret_trimmed",
        "It verifies with the secret trimmed: yours has white space or a line feed around it.",
        "Store the secret without it: printf %s, not echo; check the end of the file or form field.",
        |secret| one(secret.trim_ascii()),
    ),
    Guess(
        "secret_unquoted",
        "It verifies with the secret without the quotes around it.",
        "Store the secret without quotes: some .env readers and JSON pasted into JSON keep them.",
        |secret| unquoted(secret.trim_ascii()),
    ),
    Guess(
        "secret_without_prefix",
        "It verifies with the secret without its prefix whsec_.",
        "Store the secret exactly as this sender uses it: without whsec_.",
        |secret| some(secret.strip_prefix(b"whsec_")),
    ),
    Guess(
        "secret_with_prefix",
        "It verifies with whsec_ in front of the secret.",
        "Store the whole secret, whsec_ included: the prefix is part of the key.",
        |secret| if secret.starts_with(b"whsec_") { Vec::new() } else { one([b"whsec_", secret].concat()) },
    ),
    Guess(
        "secret_without_version",
        "It verifies with the secret without the v1, before it.",
        "Store the secret without its version: what follows the comma.",
        |secret| some(secret.strip_prefix(b"v1,")),
    ),
    Guess("secret_base64_decoded", "It verifies with the secret decoded from base64.", DECODED, |secret| {
        some(base64(secret.strip_prefix(b"whsec_").unwrap_or(secret).trim_ascii()))
    }),
    Guess("secret_hex_decoded", "It verifies with the secret decoded from hex.", DECODED, |secret| {
        some(hex(secret.trim_ascii()))
    }),
    Guess(
        "secret_with_newline",
        "It verifies with a line end behind the secret.",
        "The secret was entered at the platform with a line end: enter it there again without one.",
        |secret| [b"\n".as_slice(), b"\r\n"].into_iter().flat_map(|end| one([secret, end].concat())).collect(),
    ),
    Guess("secret_invisible", "It verifies with the secret without the invisible characters in it.", COPIED, visible),
    Guess("secret_html", "It verifies with the secret's HTML escapes (like &amp;) undone.", COPIED, unescaped),
    Guess(
        "secret_html_escaped",
        "It verifies with the secret escaped as in HTML (like &amp;).",
        "The sender keeps the secret as its form escaped it: choose a secret of letters and digits there.",
        |secret| one(HTML.iter().fold(secret.to_vec(), |text, (escape, plain)| replaced(&text, plain, escape))),
    ),
];

/// What happens to a body between the wire and the place where it was captured, or the code that verifies it.
pub(super) const BODIES: &[Guess] = &[
    Guess(
        "body_newline_added",
        "It verifies with the line feed at the body's end taken away.",
        "Something added it: an editor, echo, or a logger. Verify the bytes as they came: curl --data-binary, printf %s.",
        |body| {
            let shorter = [body.strip_suffix(b"\r\n"), body.strip_suffix(b"\n"), Some(body.trim_ascii_end())];
            shorter.into_iter().flat_map(some).collect()
        },
    ),
    Guess(
        "body_newline_removed",
        "It verifies with a line feed behind the body.",
        "Something took it away: a shell's $(…), a trim(), or curl -d. Verify the bytes as they came.",
        |body| [b"\n".as_slice(), b"\r\n"].into_iter().flat_map(|end| one([body, end].concat())).collect(),
    ),
    Guess("body_line_ends_unix", "It verifies with line feeds where the body has CR LF.", LINE_ENDS, |body| {
        one(replaced(body, b"\r\n", b"\n"))
    }),
    Guess("body_line_ends_windows", "It verifies with CR LF where the body has line feeds.", LINE_ENDS, |body| {
        one(replaced(&replaced(body, b"\r\n", b"\n"), b"\n", b"\r\n"))
    }),
    Guess(
        "body_reencoded",
        "It verifies with the same JSON written otherwise",
        "A framework parsed the body and serialised it again. Verify the raw bytes before any parsing: express.raw(), \
         request.get_data(), file_get_contents('php://input').",
        reencoded,
    ),
    Guess(
        "body_byte_order_mark",
        "It verifies without the byte order mark in front of the body.",
        "An editor or a file writer added it: keep the bytes as they came.",
        |body| some(body.strip_prefix(MARK)),
    ),
    Guess(
        "body_byte_order_mark_removed",
        "It verifies with a byte order mark in front of the body.",
        "Something read the body as text and dropped the mark: verify the bytes as they came.",
        |body| if body.starts_with(MARK) { Vec::new() } else { one([MARK, body].concat()) },
    ),
    Guess(
        "body_encoded_twice",
        "It verifies with the characters outside ASCII taken back from a double UTF-8 encoding.",
        "Something read the UTF-8 body as Latin-1 and wrote it as UTF-8: read the body as bytes, not as text.",
        |body| {
            let text = std::str::from_utf8(body).unwrap_or_default();
            some(text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect::<Option<Vec<_>>>())
        },
    ),
    Guess(
        "body_base64",
        "It verifies with the body decoded from base64.",
        "API Gateway hands binary bodies over as base64: decode where isBase64Encoded is true, before verifying.",
        |body| some(base64(body.trim_ascii())),
    ),
    Guess(
        "body_in_quotes",
        "It verifies with what stands in quotes in the body.",
        "The body was encoded twice (JSON.stringify of a string), or quoted by a shell: pass it on as it is.",
        |body| serde_json::from_slice::<String>(body).map_or_else(|_| unquoted(body.trim_ascii()), one),
    ),
    Guess("body_invisible", "It verifies without the invisible characters in the body.", COPIED, visible),
    Guess("body_html", "It verifies with the body's HTML escapes (like &quot;) undone.", COPIED, unescaped),
    Guess(
        "body_compressed",
        "It verifies with the body decompressed",
        "A proxy compressed it on the way: switch that off for this address, or decompress before verifying.",
        decompressed,
    ),
    Guess(
        "body_in_form",
        "It verifies with the form's part payload= alone, decoded.",
        "The platform sends a form and signs what is in it: verify that part, or choose JSON at the platform.",
        |body| {
            let mut parts = form_urlencoded::parse(body);
            some(parts.find(|(name, _)| name == "payload").map(|(_, value)| value.into_owned()))
        },
    ),
    Guess(
        "body_from_form",
        "It verifies with the whole form payload=…, of which the body is the decoded part.",
        "Verify the raw form, not the JSON that was taken out of it.",
        |body| {
            let plus = ["payload=", &form_urlencoded::byte_serialize(body).collect::<String>()].concat();
            [plus.replace('+', "%20"), plus].into_iter().flat_map(one).collect()
        },
    ),
    Guess(
        "body_consumed",
        "It verifies with an empty body in place of this one.",
        "The sender read its body before signing it: its stream was empty by then. Sign the bytes that you send.",
        |_| one(""),
    ),
];

const MARK: &[u8] = "\u{feff}".as_bytes();

/// The escapes of HTML, & first.
const HTML: &[(&str, &str)] = &[("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'")];

/// Decompressed bodies are not read any further.
const MOST_DECOMPRESSED: u64 = 16 * 1024 * 1024;

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
    let text = String::from_utf8_lossy(text).replace('\u{a0}', " ");
    let seen: String =
        text.chars().filter(|c| !matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}')).collect();
    [seen.trim().to_owned(), seen].into_iter().flat_map(one).collect()
}

fn unescaped(text: &[u8]) -> Made {
    let more = [("&#x27;", "'"), ("&apos;", "'"), ("&#34;", "\""), ("&#x2F;", "/"), ("&nbsp;", " ")];
    let escapes = more.iter().chain(HTML.iter().rev());
    one(escapes.fold(text.to_vec(), |text, (escape, plain)| replaced(&text, escape, plain)))
}

fn replaced(text: &[u8], from: impl AsRef<[u8]>, to: impl AsRef<[u8]>) -> Vec<u8> {
    let (from, to) = (from.as_ref(), to.as_ref());
    let mut changed = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.windows(from.len()).position(|window| window == from) {
        changed.extend([&rest[..at], to].concat());
        rest = &rest[at + from.len()..];
    }
    changed.extend(rest);
    changed
}

fn decompressed(body: &[u8]) -> Made {
    let read = |name: &str, reader: &mut dyn Read| {
        let mut plain = Vec::new();
        reader.take(MOST_DECOMPRESSED).read_to_end(&mut plain).ok()?;
        (!plain.is_empty()).then(|| (format!(" ({name})."), plain))
    };
    let gzip = read("gzip", &mut flate2::read::MultiGzDecoder::new(body));
    gzip.or_else(|| read("deflate", &mut flate2::read::ZlibDecoder::new(body))).into_iter().collect()
}

/// The bytes that a base64 text of either alphabet stands for, padded or not.
pub(super) fn base64(text: &[u8]) -> Option<Vec<u8>> {
    let any = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let decode = |alphabet| GeneralPurpose::new(alphabet, any).decode(text).ok();
    let decoded = decode(&alphabet::STANDARD).or_else(|| decode(&alphabet::URL_SAFE));
    decoded.filter(|bytes| !bytes.is_empty())
}

/// The bytes that a hex text stands for.
pub(super) fn hex(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let bytes = text.chunks(2).map(|pair| match *pair {
        [high, low] => Some(digit(high)? << 4 | digit(low)?),
        _ => None,
    });
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
    let mut written = Made::new();
    for (sorted, order) in [(false, ""), (true, ", members sorted by name")] {
        for (space, spaced) in SPACES {
            for (escapes, escaped) in ESCAPES {
                let text = json.write(Style { space, escapes, sorted }).into_bytes();
                if written.iter().all(|(_, known)| *known != text) {
                    written.push((format!(": {spaced}{escaped}{order}."), text));
                }
            }
        }
    }
    written
}
