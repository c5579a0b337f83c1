//! What the page shows in place of signatures and credentials: enough of a signature to tell two apart, too little to use.

use std::ops::Range;

use hookgate_verify::{Scheme, providers};

/// What headers are called that carry a signature: their values are cut short.
const SIGNATURES: [&str; 3] = ["signature", "hmac", "hub-sig"];

/// What headers are called that carry a credential: nothing of their values is shown. More than the quarantine leaves
/// out, because here requests are shown that nobody has proved to be deliveries: anything can go to a wrong address.
const CREDENTIALS: [&str; 7] = ["authorization", "cookie", "secret", "token", "api-key", "apikey", "password"];

/// The most digits of a signature that are shown: as many as `hookgate explain` shows.
const MOST_SHOWN: usize = 8;

/// A header's value as it may be shown. None where that is as it is.
pub fn header(name: &str, value: &str) -> Option<String> {
    let is = |words: &[&str]| words.iter().any(|word| name.contains(word));
    let size = value.chars().count();
    if is(&CREDENTIALS) {
        return Some(format!("masked ({size} characters)"));
    }
    let signs = |scheme: &Scheme| scheme.signature_header() == Some(name);
    (is(&SIGNATURES) || schemes().any(signs)).then(|| format!("{} ({size} characters, masked)", words(value)))
}

/// A query with the values of its parameters cut short: any of them may be a secret.
pub fn query(query: &str) -> String {
    let parts = query.split('&').map(|part| match part.split_once('=') {
        Some((name, value)) => format!("{name}={}", cut(value)),
        None => part.to_owned(),
    });
    parts.collect::<Vec<_>>().join("&")
}

/// A body with the signatures in it cut short.
pub fn body(body: &str) -> String {
    schemes().fold(body.to_owned(), |body, scheme| {
        let Some(name) = scheme.signature_member() else { return body };
        // At whatever depth and however often.
        let body = masked(&body, &format!("\"{name}\""), string, words);
        match &*scheme.signature_prefix() {
            "" => body,
            // Wherever it stands: a name may be spelled with escapes, and JSON may stand in a string.
            prefix => masked(&body, prefix, digits, cut),
        }
    })
}

fn schemes() -> impl Iterator<Item = &'static Scheme> {
    providers::ALL.iter().flat_map(|provider| provider.schemes())
}

/// The text with what `value` finds behind each marker masked. It gets the text up to the next marker.
fn masked(text: &str, marker: &str, value: fn(&str) -> Range<usize>, mask: fn(&str) -> String) -> String {
    let mut parts = text.split(marker);
    let mut masked = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let Range { start, end } = value(part);
        masked.extend([marker, &part[..start], &mask(&part[start..end]), &part[end..]]);
    }
    masked
}

/// The string of the JSON member whose name precedes; where nothing closes it, all of the rest.
fn string(rest: &str) -> Range<usize> {
    let opened = rest.trim_start().strip_prefix(':').and_then(|rest| rest.trim_start().strip_prefix('"'));
    let Some(value) = opened else { return 0..0 };
    let start = rest.len() - value.len();
    let mut escaped = false;
    let closes = |(_, c): &(usize, char)| {
        let quote = *c == '"' && !escaped;
        escaped = *c == '\\' && !escaped;
        quote
    };
    start..value.char_indices().find(closes).map_or(rest.len(), |(length, _)| start + length)
}

/// Digits, be they hex or base64, unless they are cut short already.
fn digits(rest: &str) -> Range<usize> {
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && !"+/=".contains(c)).unwrap_or(rest.len());
    if rest[end..].starts_with('…') { 0..0 } else { 0..end }
}

/// What stands between the separators of a signature or a query, each cut short, but for names and Unix times.
fn words(text: &str) -> String {
    let mut masked = String::new();
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find([',', ';', '=', '&', ' ']).unwrap_or(rest.len());
        let (word, behind) = rest.split_at(end);
        let named = behind.starts_with('=') && !behind.trim_start_matches('=').is_empty();
        let plain = word.len() <= 3 || word.len() <= 10 && (named || word.bytes().all(|byte| byte.is_ascii_digit()));
        masked += &if plain { word.to_owned() } else { cut(word) };
        let separator = behind.chars().next().map_or(0, char::len_utf8);
        masked += &behind[..separator];
        rest = &behind[separator..];
    }
    masked
}

/// The beginning, never more than an eighth.
fn cut(word: &str) -> String {
    let length = word.chars().count();
    let shown: String = word.chars().take(MOST_SHOWN.min(length / 8)).collect();
    // Cut already, or too short to be one: stays the same when it is cut again.
    if length <= MOST_SHOWN + 1 && word.ends_with('…') || word.is_empty() { word.to_owned() } else { shown + "…" }
}

#[cfg(test)]
mod tests {
    use hookgate_verify::Account;

    use super::*;
    use crate::send::samples;

    const MAC: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn signatures_are_cut_short_and_credentials_left_out() {
        for (name, value, shown) in [
            ("x-a-signature", MAC, "01234567… (64 characters, masked)"),
            (
                "x-a-signature-v2",
                &format!("v1,t=1773504000,h={MAC}"),
                "v1,t=1773504000,h=01234567… (82 characters, masked)",
            ),
            ("x-hub-signature-256", &format!("sha256={MAC}"), "sha256=01234567… (71 characters, masked)"),
            ("a-signature", "hunter2", "… (7 characters, masked)"),
            ("x-hmac", "q83vASNFZ4mrze8BI0VniavN7wEjRWeJq83vASNFZ4k=", "q83vA…= (44 characters, masked)"),
            ("authorization", "Bearer s3cr3t", "masked (13 characters)"),
            ("cookie", "a=s3cr3t", "masked (8 characters)"),
            ("x-api-key", "s3cr3t", "masked (6 characters)"),
        ] {
            assert_eq!(header(name, value).as_deref(), Some(shown), "{name}");
        }
        for name in ["user-agent", "content-type", "x-a-timestamp", "x-a-delivery"] {
            assert_eq!(header(name, "value"), None, "{name}");
        }
    }

    /// Of every platform's own headers the signature is cut short, and nothing else.
    #[test]
    fn every_platforms_signature_is_cut_short() {
        for provider in providers::ALL {
            let secret = samples::secret(provider, &Account::default()).unwrap();
            for scheme in provider.schemes() {
                let signed = scheme.sign(&secret, b"{}", "id", 1_773_504_000).unwrap();
                for (name, value) in &signed.headers {
                    let masked = header(name, value);
                    let is_signature = scheme.signature_header() == Some(*name);
                    assert_eq!(masked.is_some(), is_signature, "{} {name}", provider.name);
                    let mac = value.rsplit([',', '=', ';', ' ']).find(|part| part.len() > 16).unwrap_or("-");
                    let masked = masked.unwrap_or_default();
                    assert!(!is_signature || !masked.contains(&mac[..9]), "{masked}");
                }
                let body = String::from_utf8(signed.body).unwrap();
                let masked = super::body(&body);
                assert_eq!(masked == body, scheme.signature_member().is_none(), "{masked}");
            }
        }
    }

    #[test]
    fn no_signature_in_a_body_is_shown() {
        for scheme in schemes().filter(|scheme| scheme.signature_member().is_some()) {
            let with = |text: &str| {
                let name = scheme.signature_member().unwrap();
                let escaped = format!("\\u{:04x}{}", u32::from(name.as_bytes()[0]), &name[1..]);
                let text = text.replace("ESCAPED", &escaped).replace("NAME", name);
                text.replace("PREFIX", &scheme.signature_prefix())
            };
            let shown = with(r#"{"event":"a","NAME":"PREFIX01234567…","data":{"hash":"HASH"}}"#).replace("HASH", MAC);
            assert_eq!(body(&shown.replace("01234567…", MAC)), shown);
            for text in [
                r#"{"NAME" : "PREFIXMAC"}"#,
                r#"{"NAME":"MAC"}"#,
                r#"{"NAME":"a\"MAC"}"#,
                r#"{"NAME":"PREFIXMAC","NAME":"PREFIXMAC"}"#,
                r#"{"data":{"NAME":"MAC"}}"#,
                r#"{"NAME":"PREFIXMAC"#,
            ] {
                let masked = body(&with(text).replace("MAC", MAC));
                assert!(!masked.contains(&MAC[..9]), "{masked}");
            }
            // Wherever it stands, where its prefix tells it.
            for text in [r#"{"ESCAPED":"PREFIXMAC"}"#, r#"{"data":"{\"NAME\":\"PREFIXMAC\"}"}"#, "NAME=PREFIXMAC"] {
                let masked = body(&with(text).replace("MAC", MAC));
                assert!(scheme.signature_prefix().is_empty() || !masked.contains(&MAC[..9]), "{masked}");
            }
            for text in ["", "é", r#"{"NAME":1}"#, r#"{"a":"NAME"}"#, r#"{"NAME":""}"#, r#"{"NAME"#] {
                assert_eq!(body(&with(text)), with(text));
            }
        }
    }

    #[test]
    fn a_query_shows_names() {
        assert_eq!(query("token=0123456789abcdef&try=2&x&pin=s3cr3t=1"), "token=01…&try=…&x&pin=s…");
        assert_eq!(query(""), "");
    }
}
