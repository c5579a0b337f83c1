//! Searching the bodies and headers of what is kept.

use std::sync::Arc;

use axum::{
    extract::{Query, State},
    response::Response,
};
use serde::Deserialize;
use serde_json::json;

use super::{Page, worked_out};
use crate::local::journal::RecordedDelivery;

#[derive(Deserialize)]
pub(super) struct Wanted {
    pub(super) text: String,
}

/// The numbers of the deliveries in whose body or headers a text stands, as it was sent or as a JSON parser reads it.
pub(super) async fn search(State(page): State<Arc<Page>>, Query(Wanted { text }): Query<Wanted>) -> Response {
    let text = text.to_lowercase();
    let all = page.functions.journal.all();
    worked_out(move || {
        let has = |own: &str| own.to_lowercase().contains(&text);
        let matches = |taken: &RecordedDelivery| {
            let mut headers = taken.headers.iter();
            let body = String::from_utf8_lossy(&taken.body);
            has(&body)
                || (body.contains('\\') && has(&unescaped(&body)))
                || headers.any(|(name, value)| has(name.as_str()) || has(&String::from_utf8_lossy(value.as_bytes())))
        };
        let found = all.iter().filter(|taken| matches(taken)).map(|taken| taken.number);
        json!({"numbers": found.collect::<Vec<_>>()})
    })
    .await
}

/// The text with the escapes of JSON's strings resolved. Whatever is not one stays: bodies need not be JSON.
fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        plain.push_str(&rest[..at]);
        rest = &rest[at..];
        // As long as a pair of surrogates, one code, or a letter; or no escape.
        let parsed = |length| serde_json::from_str::<String>(&format!("\"{}\"", rest.get(..length)?)).ok();
        let escape = [12, 6, 2].into_iter().find_map(|length| Some((parsed(length)?, length)));
        let (read, length) = escape.unwrap_or(("\\".to_owned(), 1));
        plain.push_str(&read);
        rest = &rest[length..];
    }
    plain + rest
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
            (r"\ud83d\u0041", r"\ud83dA"),
            (r"\ude00", r"\ude00"),
            (r"\ude00\u0041 and \n", "\\ude00A and \n"),
            (r#""a\n":"b\t""#, "\"a\n\":\"b\t\""),
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
