//! What holds for every delivery, not only for those that somebody thought of.

use std::collections::BTreeSet;

use hookgate_event::Event;
use hookgate_verify::{Rejection, Verifier, providers};
use proptest::{prelude::*, sample::select};

use crate::post::{
    ALL, CURRENT, Mode,
    Mode::{OpteriusEmpty, OpteriusWithout, W3blockBase64, W3blockHex},
    Outcome::{Read, Rejected},
    Post, hmac_sha256,
};

/// Every single bit of a small delivery, headers and body: one change, one rejection.
#[test]
fn every_single_bit_counts() {
    for &mode in ALL {
        let sound = Post::signed(mode, mode.envelope().text());
        assert_eq!(sound.outcome(), Read(0), "{mode:?}");
        for bit in 0..8 * bytes(&mut sound.clone()).count() {
            if let Some(spoiled) = flip(&sound, bit) {
                assert_rejected(&spoiled, &format!("{mode:?}, bit {bit}"));
            }
        }
    }
}

proptest! {
    #[test]
    fn any_bit_of_any_delivery_counts(mode in mode(), payload in object(), bit in any::<prop::sample::Index>()) {
        let sound = Post::signed(mode, mode.envelope().with("data", mode.data(&payload)).text());
        prop_assert_eq!(sound.outcome(), Read(0));
        let bits = 8 * bytes(&mut sound.clone()).count();
        if let Some(spoiled) = flip(&sound, bit.index(bits)) {
            assert_rejected(&spoiled, &payload);
        }
    }

    // Two characters at least: one alone can become white space, which is no secret.
    #[test]
    fn any_bit_of_the_secret_counts(mode in mode(), secret in "[!-~]{2,80}", bit in any::<prop::sample::Index>()) {
        let mut other = secret.clone().into_bytes();
        let bit = bit.index(7 * other.len());
        // Seven bits: a secret is text.
        other[bit / 7] ^= 1 << (bit % 7);
        let only = |secret: &str| serde_json::to_string(&[secret]).unwrap();
        let post = Post::signed_by(mode, &secret, mode.envelope().text());
        prop_assert_eq!(post.clone().secrets(only(&secret)).outcome(), Read(0));
        let other = String::from_utf8(other).unwrap();
        // What became no secret at all, like a control character.
        prop_assume!(hookgate_verify::Secrets::parse(&only(&other)).is_ok());
        prop_assert_eq!(post.secrets(only(&other)).outcome(), Rejected(Rejection::Mismatch));
    }

    #[test]
    fn any_delivery_is_survived(
        headers in prop::collection::vec((header(), prop::collection::vec(any::<u8>(), 0..160)), 0..6),
        body in prop_oneof![prop::collection::vec(any::<u8>(), 0..200), json_like().prop_map(String::into_bytes)],
    ) {
        for &mode in ALL {
            let post = Post::unsigned(mode, body.clone()).carrying(headers.clone());
            if post.delivery().is_some() {
                prop_assert!(matches!(post.outcome(), Rejected(_)), "{mode:?} took {:?}", post.outcome());
            }
        }
    }

    #[test]
    fn any_authentic_body_is_survived(body in prop_oneof![".{0,80}", json_like()], mode in mode()) {
        let post = match mode {
            OpteriusWithout => {
                let tag = hmac_sha256(CURRENT, &format!("{{{body}}}"));
                Post::unsigned(mode, format!(r#"{{"signature":"sha256={tag}",{body}}}"#))
            }
            OpteriusEmpty => {
                let tag = hmac_sha256(CURRENT, &format!(r#"{{"signature":"",{body}}}"#));
                Post::unsigned(mode, format!(r#"{{"signature":"sha256={tag}",{body}}}"#))
            }
            _ => Post::signed(mode, body),
        };
        // Only Opterius' signature can be hidden by what stands around it.
        let in_body = Post::signature_header(mode).is_none();
        prop_assert!(in_body || !matches!(post.outcome(), Rejected(_)), "{:?}", post.outcome());
    }

    #[test]
    fn any_payload_survives_byte_for_byte(mode in mode(), payload in object()) {
        let data = mode.data(&payload);
        let event = Post::signed(mode, mode.envelope().with("data", &data[..]).text()).read().event;
        prop_assert_eq!(event.data.payload.get(), &data[..]);
        let json = event.to_json();
        let wire = Event::from_json(&json).unwrap();
        prop_assert_eq!(wire.data.payload.get(), &data[..]);
        let gzip = event.to_json_gzip();
        let opened = Event::from_json(&gzip).unwrap();
        prop_assert_eq!(opened.to_json(), json);
    }

    #[test]
    fn no_two_events_share_a_key(events in prop::collection::btree_set((name(), id(), time()), 2..12)) {
        for mode in [OpteriusWithout, OpteriusEmpty, W3blockHex, W3blockBase64] {
            let key = |(name, id, time): &(String, String, String)| {
                let body = mode.envelope().with("event", &name[..]).with("timestamp", &time[..]);
                Post::signed(mode, body.with("data", format!(r#"{{"id":{id}}}"#)).text()).read().key
            };
            let keys: BTreeSet<_> = events.iter().map(key).collect();
            prop_assert_eq!(keys.len(), events.len(), "{:?}", mode);
        }
    }

    #[test]
    fn only_the_listed_values_are_settings(value in ".{0,12}") {
        for provider in providers::ALL {
            let known = provider.setting.is_empty() || provider.modes.iter().any(|(known, _)| *known == value);
            prop_assert_eq!(Verifier::new(provider, |_| Some(value.clone())).is_ok(), known);
        }
    }
}

/// All that came over the wire: header values, then the body.
fn bytes(post: &mut Post) -> impl Iterator<Item = &mut u8> {
    post.headers.iter_mut().flat_map(|(_, value)| value).chain(&mut post.body)
}

/// The delivery with one bit changed. None where only the case of a hex digit changes, which is no other signature, or
/// where no HTTP server would hand the header over.
fn flip(sound: &Post, bit: usize) -> Option<Post> {
    let (mut spoiled, mut upper_case) = (sound.clone(), sound.clone().upper_case());
    let byte = bytes(&mut spoiled).nth(bit / 8).unwrap();
    *byte ^= 1 << (bit % 8);
    let only_case = bytes(&mut upper_case).nth(bit / 8) == Some(byte);
    (!only_case && spoiled.delivery().is_some()).then_some(spoiled)
}

/// A changed delivery is rejected for its signature's form or its value, and for nothing else. Where the body holds
/// the signature, the change may also hide or double it.
fn assert_rejected(spoiled: &Post, what: &str) {
    let outcome = spoiled.outcome();
    let in_body = Post::signature_header(spoiled.mode).is_none();
    let right = match outcome {
        Rejected(Rejection::Mismatch | Rejection::Malformed) => true,
        Rejected(Rejection::Missing | Rejection::Repeated) => in_body,
        _ => false,
    };
    assert!(right, "{outcome:?}: {what}");
}

fn mode() -> impl Strategy<Value = Mode> {
    select(ALL)
}

fn header() -> impl Strategy<Value = &'static str> {
    let signatures = ALL.iter().filter_map(|mode| Post::signature_header(*mode));
    let others = ["x-shoppex-delivery", "x-shoppex-timestamp", "x-shoppex-delivery-id", "content-type"];
    select(signatures.chain(others).collect::<Vec<_>>())
}

/// Text that looks like an envelope, in every way broken.
fn json_like() -> impl Strategy<Value = String> {
    let piece = select(vec![
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "\"",
        "\\",
        " ",
        "\n",
        "\u{feff}",
        "\0",
        "null",
        "true",
        "-",
        "7",
        "1e400",
        "\"a\"",
        "\"signature\"",
        "\"sha256=00\"",
        "\"id\"",
        "\"event\":\"order.paid\"",
        "\"type\":",
        "\"data\":{",
        "\"object\":{",
        "\"timestamp\":",
        "\\ud800",
        "é",
    ]);
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

/// A JSON object, its numbers, escapes, white space and repeated names spelled in every way. No member is called `id`,
/// which has a form of its own.
fn object() -> impl Strategy<Value = String> {
    let number = "-?(0|[1-9][0-9]{0,25})(\\.[0-9]{1,25})?([eE][+-]?[0-9]{1,4})?";
    let string = prop_oneof![
        any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
        r#""([a-z /]|\\u[0-9a-fA-F]{4}|\\/|\\\\|\\")*""#,
    ];
    let leaf = prop_oneof![Just("null".to_owned()), Just("false".to_owned()), number, string];
    let name = select(vec!["\"a\"", "\"status\"", "\"total\"", "\"currency\"", "\"signature\"", "\"\\u0061\"", "\"\""]);
    let space = || "[ \n\t]{0,2}";
    let members = move |value: BoxedStrategy<String>| {
        let member = (space(), name.clone(), space(), space(), value, space())
            .prop_map(|(a, name, b, c, value, d)| format!("{a}{name}{b}:{c}{value}{d}"));
        prop::collection::vec(member, 0..4).prop_map(|members| format!("{{{}}}", members.join(",")))
    };
    let inner = members.clone();
    let value = leaf.prop_recursive(3, 16, 4, move |value| {
        let list = prop::collection::vec(value.clone(), 0..4).prop_map(|values| format!("[{}]", values.join(" , ")));
        prop_oneof![list, inner(value)]
    });
    members(value.boxed())
}

/// Event names, ids and times as raw JSON, from few letters: quotes and commas that try to run into each other.
fn name() -> impl Strategy<Value = String> {
    r#"[a1,"\[]{1,3}"#.prop_map(|text| serde_json::to_string(&text).unwrap())
}

fn id() -> impl Strategy<Value = String> {
    prop_oneof!["[1-9][0-9]{0,1}", name()]
}

fn time() -> impl Strategy<Value = String> {
    prop_oneof!["[1-9][0-9]{0,1}", name(), Just("[1]".to_owned()), Just("1.0".to_owned()), Just("1e0".to_owned())]
}
