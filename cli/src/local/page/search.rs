//! Searching the bodies and headers of what is kept.

use std::{borrow::Cow, sync::Arc};

use axum::{
    Json,
    extract::{Query, State},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::json;

use super::Page;
use crate::local::journal::RecordedDelivery;

#[derive(Deserialize)]
pub(super) struct Wanted {
    text: String,
}

/// The numbers of the deliveries in whose body or headers a text stands, as it was sent or as a JSON parser reads it.
pub(super) async fn search(State(page): State<Arc<Page>>, Query(Wanted { text }): Query<Wanted>) -> Response {
    let text = text.to_lowercase();
    let all = page.functions.journal.all();
    let search = move || {
        let has = |own: &str| own.to_lowercase().contains(&text);
        let matches = |taken: &RecordedDelivery| {
            let mut headers = taken.headers.iter();
            let body = String::from_utf8_lossy(&taken.body);
            has(&body)
                || (body.contains('\\') && has(&unescaped(&body)))
                || headers.any(|(name, value)| has(name.as_str()) || has(&String::from_utf8_lossy(value.as_bytes())))
        };
        all.iter().filter(|taken| matches(taken)).map(|taken| taken.number).collect::<Vec<_>>()
    };
    let found = tokio::task::spawn_blocking(search).await.unwrap_or_default();
    Json(json!({"numbers": found})).into_response()
}

/// The text with the escapes of JSON's strings resolved. Whatever is not one stays: bodies need not be JSON.
fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        plain.push_str(&rest[..at]);
        rest = &rest[at..];
        let (read, length) = escape(rest);
        plain.push_str(&read);
        rest = &rest[length..];
    }
    plain + rest
}

/// What the escape at the beginning stands for, and how long it is.
fn escape(text: &str) -> (Cow<'static, str>, usize) {
    let unit = |at: usize| u16::from_str_radix(text.get(at..at + 4)?, 16).ok();
    let plain = match text.as_bytes().get(1) {
        Some(b'"') => "\"",
        Some(b'/') => "/",
        Some(b'n') => "\n",
        Some(b'r') => "\r",
        Some(b't') => "\t",
        Some(b'b') => "\u{8}",
        Some(b'f') => "\u{c}",
        Some(b'u') => {
            let Some(first) = unit(2) else { return ("\\".into(), 1) };
            let second = text.get(6..8).filter(|next| *next == "\\u").and_then(|_| unit(8));
            let pair = second.and_then(|second| String::from_utf16(&[first, second]).ok());
            return match pair.filter(|_| (0xd800..0xdc00).contains(&first)) {
                Some(pair) => (pair.into(), 12),
                None => (String::from_utf16_lossy(&[first]).into(), 6),
            };
        }
        Some(b'\\') => "\\",
        _ => return ("\\".into(), 1),
    };
    (plain.into(), 2)
}

#[cfg(test)]
mod tests {
    use super::unescaped;

    #[test]
    fn escapes_are_resolved_and_nothing_else_is_touched() {
        for (escaped, plain) in [
            (r"caf\u00e9", "café"),
            (r"https:\/\/a.example\/x", "https://a.example/x"),
            (r#"say \"hi\""#, r#"say "hi""#),
            (r"a\nb\tc", "a\nb\tc"),
            (r"\ud83d\ude00!", "😀!"),
            (r"C:\\new", r"C:\new"),
            // Of no pair, cut off, or no escape at all.
            (r"\ud83d\u0041", "\u{fffd}A"),
            (r"\ude00", "\u{fffd}"),
            (r"\u00e", r"\u00e"),
            (r"\u", r"\u"),
            (r"\é\x", r"\é\x"),
            (r"\u00éx", r"\u00éx"),
            ("\\", "\\"),
            ("", ""),
        ] {
            assert_eq!(unescaped(escaped), plain, "{escaped}");
        }
    }
}
