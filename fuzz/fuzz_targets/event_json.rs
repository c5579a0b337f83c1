//! A consumer survives any message; what it can read it can write; nothing inflates without end.

#![no_main]

use std::io::Write;

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use flate2::{Compression, write::GzEncoder};
use hookgate_event::{Event, MAX_INFLATED_BYTES, PayloadError};
use libfuzzer_sys::fuzz_target;

const ENVELOPE: &str = r#"{"specversion":"1.0","id":"e1","source":"/webhooks/platform/default","type":"commerce.order.paid","datacontenttype":"application/json","provider":"platform","account":"default","providertype":"order.paid","receivedtime":"2025-01-11T16:00:01.250Z","data":{"payload_gzip":"GZIP"}}"#;

// The first byte says what the rest is: `g` a gzip stream, `p` a payload to be compressed, `x` one byte to be repeated
// until it is too much; else the whole is a message.
fuzz_target!(|input: &[u8]| match input {
    [b'g', gzip @ ..] => {
        check(&ENVELOPE.replace("GZIP", &BASE64.encode(gzip)));
    }
    [b'p', payload @ ..] => {
        let message = ENVELOPE.replace("GZIP", &BASE64.encode(compressed([payload])));
        let read = check(&message);
        let json = std::str::from_utf8(payload).ok().filter(|payload| reference::json::parse(payload).is_ok());
        if let Some(json) = json {
            let json = json.trim_matches([' ', '\t', '\n', '\r']);
            assert_eq!(read.expect("a payload that is JSON").data.payload.get(), json);
        }
    }
    [b'x', byte] => {
        let piece = [*byte; 1024];
        let times = usize::try_from(MAX_INFLATED_BYTES).expect("64 bits") / piece.len() + 64;
        let mut bomb = compressed(std::iter::repeat_n(&piece[..], times));
        // Broken at its end: whoever says "too large" did not read that far.
        bomb.truncate(bomb.len() - 16);
        let error = Event::from_json(&ENVELOPE.replace("GZIP", &BASE64.encode(bomb))).expect_err("a bomb went off");
        assert!(!byte.is_ascii() || error.to_string().starts_with(&PayloadError::TooLarge.to_string()), "{error}");
    }
    message => {
        if let Ok(text) = std::str::from_utf8(message) {
            check(text);
        }
    }
});

fn check(text: &str) -> Option<Event<'static>> {
    let event = Event::from_json(text).ok()?;
    assert!(event.data.payload.get().len() as u64 <= MAX_INFLATED_BYTES.max(text.len() as u64));
    let written = event.to_json();
    for again in [&written, &event.to_json_gzip()] {
        let again = Event::from_json(again).expect("what it wrote itself");
        assert_eq!(again.data.payload.get(), event.data.payload.get());
        assert_eq!(again.deduplication_key(), event.deduplication_key());
        assert_eq!(again.event_type, event.event_type);
        assert_eq!(again.into_owned().to_json(), written);
    }
    let _ = event.payload::<serde_json::Value>();
    Some(event.into_owned())
}

fn compressed<'p>(pieces: impl IntoIterator<Item = &'p [u8]>) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    pieces.into_iter().for_each(|piece| encoder.write_all(piece).expect("a Vec takes every byte"));
    encoder.finish().expect("a Vec takes every byte")
}
