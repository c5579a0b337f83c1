//! The table of guesses: what may have been done to a secret, to a body, or to the signed text, with the words for it.
//!
//! One guess is one function and its sentences. A guess that makes the signature match is no guess any more.

use crate::explain::json::{Escapes, Json, Space, Style};
use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE, BASE64_URL_SAFE_NO_PAD},
};

/// What a guess makes of the bytes as they are: each with a detail for the sentence, mostly empty.
type Make = fn(&[u8]) -> Vec<(String, Vec<u8>)>;

/// A guess about the secret or about the body.
pub(super) struct Guess {
    pub code: &'static str,
    pub finding: &'static str,
    pub remedy: &'static str,
    pub make: Make,
}

/// What people do to a secret on its way from the platform's page into a setting.
pub(super) const SECRETS: &[Guess] = &[
    Guess {
        code: "secret_trimmed",
        finding: "It verifies with the secret trimmed: yours has white space or a line feed around it.",
        remedy: "Store the secret without it: printf %s, not echo; check the end of the file or form field.",
        make: |secret| one(secret.trim_ascii().to_vec()),
    },
    Guess {
        code: "secret_unquoted",
        finding: "It verifies with the secret without the quotes around it.",
        remedy: "Store the secret without quotes: some .env readers and JSON pasted into JSON keep them.",
        make: |secret| {
            let trimmed = secret.trim_ascii();
            let quoted = |quote: &[u8]| trimmed.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
            quoted(b"\"").or_else(|| quoted(b"'")).map_or_else(Vec::new, |inside| one(inside.to_vec()))
        },
    },
    Guess {
        code: "secret_without_prefix",
        finding: "It verifies with the secret without its prefix whsec_.",
        remedy: "Store the secret exactly as this sender uses it: without whsec_.",
        make: |secret| secret.strip_prefix(b"whsec_").map_or_else(Vec::new, |rest| one(rest.to_vec())),
    },
    Guess {
        code: "secret_with_prefix",
        finding: "It verifies with whsec_ in front of the secret.",
        remedy: "Store the whole secret, whsec_ included: the prefix is part of the key.",
        make: |secret| if secret.starts_with(b"whsec_") { Vec::new() } else { one([b"whsec_", secret].concat()) },
    },
    Guess {
        code: "secret_base64_decoded",
        finding: "It verifies with the secret decoded from base64.",
        remedy: "The sender decodes the secret; the platform uses its characters as they are. If the sender is yours, \
                 pass the string itself to HMAC.",
        make: |secret| {
            let text = secret.strip_prefix(b"whsec_").unwrap_or(secret).trim_ascii();
            base64(text).map_or_else(Vec::new, one)
        },
    },
    Guess {
        code: "secret_hex_decoded",
        finding: "It verifies with the secret decoded from hex.",
        remedy: "The sender decodes the secret; the platform uses its characters as they are. If the sender is yours, \
                 pass the string itself to HMAC.",
        make: |secret| hex(secret.trim_ascii()).map_or_else(Vec::new, one),
    },
    Guess {
        code: "secret_with_newline",
        finding: "It verifies with a line feed behind the secret.",
        remedy: "The secret was entered at the platform with a line feed: enter it there again without one.",
        make: |secret| one([secret, b"\n"].concat()),
    },
];

/// What happens to a body between the wire and the place where it was captured, or the code that verifies it.
pub(super) const BODIES: &[Guess] = &[
    Guess {
        code: "body_newline_added",
        finding: "It verifies with the line feed at the body's end taken away.",
        remedy: "Something added it: an editor, echo, or a logger. Verify the bytes as they came: curl --data-binary, \
                 printf %s.",
        make: |body| {
            let end = body.trim_ascii_end().len();
            let mut shorter: Vec<_> = [b"\r\n".as_slice(), b"\n"]
                .iter()
                .filter_map(|ending| body.strip_suffix(*ending))
                .map(|rest| (String::new(), rest.to_vec()))
                .collect();
            if end < body.len() {
                shorter.extend(one(body[..end].to_vec()));
            }
            shorter
        },
    },
    Guess {
        code: "body_newline_removed",
        finding: "It verifies with a line feed behind the body.",
        remedy: "Something took it away: a shell's $(…), a trim(), or curl -d. Verify the bytes as they came.",
        make: |body| [b"\n".as_slice(), b"\r\n"].map(|end| (String::new(), [body, end].concat())).into(),
    },
    Guess {
        code: "body_line_ends_unix",
        finding: "It verifies with line feeds where the body has CR LF.",
        remedy: "Something changed the line ends: git's autocrlf, an editor, a file opened in text mode. Keep the bytes.",
        make: |body| one(replaced(body, b"\r\n", b"\n")),
    },
    Guess {
        code: "body_line_ends_windows",
        finding: "It verifies with CR LF where the body has line feeds.",
        remedy: "Something changed the line ends: git's autocrlf, an editor, a file opened in text mode. Keep the bytes.",
        make: |body| one(replaced(&replaced(body, b"\r\n", b"\n"), b"\n", b"\r\n")),
    },
    Guess {
        code: "body_reencoded",
        finding: "It verifies with the same JSON written otherwise",
        remedy: "A framework parsed the body first and what you have was written again. Verify the raw bytes before any \
                 parsing: express.raw(), request.get_data(), file_get_contents('php://input').",
        make: reencoded,
    },
    Guess {
        code: "body_byte_order_mark",
        finding: "It verifies without the byte order mark in front of the body.",
        remedy: "An editor or a file writer added it: keep the bytes as they came.",
        make: |body| body.strip_prefix("\u{feff}".as_bytes()).map_or_else(Vec::new, |rest| one(rest.to_vec())),
    },
    Guess {
        code: "body_encoded_twice",
        finding: "It verifies with the characters outside ASCII taken back from a double UTF-8 encoding.",
        remedy: "Something read the UTF-8 body as Latin-1 and wrote it as UTF-8: read the body as bytes, not as text.",
        make: |body| {
            let text = std::str::from_utf8(body).unwrap_or_default();
            let bytes: Option<Vec<u8>> = text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect();
            bytes.filter(|bytes| bytes != body).map_or_else(Vec::new, one)
        },
    },
    Guess {
        code: "body_base64",
        finding: "It verifies with the body decoded from base64.",
        remedy: "API Gateway hands binary bodies over as base64: decode where isBase64Encoded is true, before verifying.",
        make: |body| base64(body.trim_ascii()).map_or_else(Vec::new, one),
    },
    Guess {
        code: "body_in_quotes",
        finding: "It verifies with the JSON that stands inside the body's string.",
        remedy: "The body was JSON-encoded twice (JSON.stringify of a string): pass it on as it is.",
        make: |body| serde_json::from_slice::<String>(body).map_or_else(|_| Vec::new(), |text| one(text.into())),
    },
    Guess {
        code: "body_consumed",
        finding: "It verifies with an empty body in place of this one.",
        remedy: "The sender read its body before signing it: its stream was empty by then. Sign the bytes that you send.",
        make: |body| if body.is_empty() { Vec::new() } else { one(Vec::new()) },
    },
];

fn one(bytes: Vec<u8>) -> Vec<(String, Vec<u8>)> {
    vec![(String::new(), bytes)]
}

fn replaced(body: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut changed = Vec::with_capacity(body.len());
    let mut rest = body;
    while let Some(at) = rest.windows(from.len()).position(|window| window == from) {
        changed.extend([&rest[..at], to].concat());
        rest = &rest[at + from.len()..];
    }
    changed.extend(rest);
    changed
}

/// The bytes that a base64 text of either alphabet stands for.
pub(super) fn base64(text: &[u8]) -> Option<Vec<u8>> {
    let decoded = BASE64_STANDARD.decode(text).or_else(|_| BASE64_URL_SAFE.decode(text));
    let decoded = decoded.or_else(|_| BASE64_STANDARD_NO_PAD.decode(text));
    decoded.or_else(|_| BASE64_URL_SAFE_NO_PAD.decode(text)).ok().filter(|bytes| !bytes.is_empty())
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
fn reencoded(body: &[u8]) -> Vec<(String, Vec<u8>)> {
    const SPACES: [(Space, &str); 4] = [
        (Space::None, "compact"),
        (Space::Single, "with a space behind every comma and colon (Python)"),
        (Space::Lines(2), "pretty-printed, indented by 2"),
        (Space::Lines(4), "pretty-printed, indented by 4"),
    ];
    const ESCAPES: [(Escapes, &str); 5] = [
        (Escapes::Kept, ""),
        (Escapes::Least, ", without needless escapes"),
        (Escapes::Php, r", with \/ and \u escapes (PHP)"),
        (Escapes::Slash, r", with \/ escapes (PHP)"),
        (Escapes::Ascii, r", with \u escapes"),
    ];
    let Some(json) = Json::parse(body).filter(|json| !matches!(json, Json::Token(_))) else { return Vec::new() };
    let mut spellings = Vec::new();
    for (sorted, order) in [(false, ""), (true, ", members sorted by name")] {
        for (space, spaced) in SPACES {
            for (escapes, escaped) in ESCAPES {
                let text = json.write(Style { space, escapes, sorted });
                spellings.push((format!(": {spaced}{escaped}{order}."), text.into_bytes()));
            }
        }
    }
    spellings
}
