//! What holds for every delivery, not only for those that somebody thought of.

use std::collections::BTreeSet;

use hookgate_event::Event;
use hookgate_verify::{Rejection, Secrets, Verifier};
use proptest::{prelude::*, sample::select};

use crate::{
    deliveries::sound,
    post::{
        Case,
        Outcome::{Read, Rejected},
        Post, cases, platforms,
    },
};

/// Every single bit of a small delivery, headers and body: one change, one rejection.
#[test]
fn every_single_bit_counts() {
    for case in cases() {
        let sound = sound(case);
        assert_eq!(sound.outcome(), Read(0), "{case:?}");
        for bit in 0..8 * bytes(&mut sound.clone()).count() {
            if let Some(spoiled) = flip(&sound, bit) {
                assert_rejected(&spoiled, &format!("{case:?}, bit {bit}"));
            }
        }
    }
}

/// Beside a right signature there may be others, names that say nothing, and headers that nobody signs. Whatever becomes
/// of those: what is authentic still says the same.
#[test]
fn no_single_bit_makes_other_content_authentic() {
    for case in cases() {
        let first = sound(case).read();
        let extras = crate::spellings::extras(case);
        for post in extras.into_iter().chain([sound(case).header("x-unsigned", "whd_abc123")]) {
            assert_eq!(post.outcome(), Read(0), "{case:?}");
            // The body's bits are above.
            for bit in 0..8 * (bytes(&mut post.clone()).count() - post.body.len()) {
                let mut spoiled = post.clone();
                *bytes(&mut spoiled).nth(bit / 8).unwrap() ^= 1 << (bit % 8);
                if spoiled.delivery().is_none() {
                    continue;
                }
                match spoiled.outcome() {
                    Read(_) => {
                        let read = spoiled.read();
                        assert_eq!(
                            (read.key, read.content),
                            (first.key.clone(), first.content.clone()),
                            "{case:?}, {bit}"
                        );
                        assert_eq!(read.event.to_json(), first.event.to_json(), "{case:?}, {bit}");
                    }
                    _ => assert_rejected(&spoiled, &format!("{case:?}, bit {bit}")),
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn any_bit_of_any_delivery_counts(case in case(), object in object(), bit in any::<prop::sample::Index>()) {
        let sound = Post::signed(case, case.about(&object[..]).text());
        // A member that is there twice in a body that is the object itself.
        prop_assume!(!case.provider.fields.object.is_empty() || sound.outcome() == Read(0));
        prop_assert_eq!(sound.outcome(), Read(0));
        let bits = 8 * bytes(&mut sound.clone()).count();
        if let Some(spoiled) = flip(&sound, bit.index(bits)) {
            assert_rejected(&spoiled, &object);
        }
    }

    // Two characters at least: one alone can become white space, which is no secret.
    #[test]
    fn any_bit_of_the_secret_counts(case in case(), secret in "[!-~]{2,80}", bit in any::<prop::sample::Index>()) {
        let secret = case.secret(&secret);
        let mut other = secret.clone().into_bytes();
        let bit = bit.index(7 * other.len());
        // Seven bits: a secret is text.
        other[bit / 7] ^= 1 << (bit % 7);
        let post = Post::signed_by(case, &secret, case.body().text());
        prop_assert_eq!(post.clone().secrets(&[&secret]).outcome(), Read(0));
        let other = String::from_utf8(other).unwrap();
        // What became no secret at all, like a control character.
        prop_assume!(Secrets::parse(&serde_json::to_string(&[&other]).unwrap()).is_ok());
        prop_assert_eq!(post.secrets(&[&other]).outcome(), Rejected(Rejection::Mismatch));
    }

    #[test]
    fn any_delivery_is_survived(
        headers in prop::collection::vec((header(), prop::collection::vec(any::<u8>(), 0..160)), 0..6),
        body in prop_oneof![prop::collection::vec(any::<u8>(), 0..200), json_like().prop_map(String::into_bytes)],
    ) {
        for case in cases() {
            let post = Post::unsigned(case, body.clone()).carrying(headers.clone());
            if post.delivery().is_some() {
                prop_assert!(matches!(post.outcome(), Rejected(_)), "{case:?} took {:?}", post.outcome());
            }
        }
    }

    /// Any text in the signature's place, from the words that the forms are made of, around a right signature or a wrong.
    #[test]
    fn any_signature_is_survived(case in case(), pieces in prop::collection::vec(piece_of_signature(), 0..12)) {
        let (right, first) = (sound(case).signature(), sound(case).read());
        let written: String = pieces.concat().replace('$', &right);
        let post = sound(case).edit(|_| written.replace('"', ""));
        match post.outcome() {
            Read(0) => prop_assert_eq!((post.read().key, post.read().content), (first.key, first.content)),
            outcome => prop_assert!(matches!(outcome, Rejected(_)), "{:?}", outcome),
        }
        prop_assert!(post.outcome() != Read(0) || written.contains(&right), "{}", written);
    }

    #[test]
    fn any_authentic_body_is_survived(body in prop_oneof![".{0,80}", json_like()], case in case()) {
        let Some(member) = case.scheme.signature_member() else {
            let outcome = Post::signed(case, body).outcome();
            prop_assert!(!matches!(outcome, Rejected(_)), "{:?}", outcome);
            return Ok(());
        };
        // A signature in the body can be hidden by what stands around it.
        let body = format!(r#"{{"{member}":"",{body}}}"#);
        if case.scheme.signed_body(body.as_bytes()).is_some() {
            let outcome = Post::signed(case, body).outcome();
            prop_assert!(!matches!(outcome, Rejected(_)), "{:?}", outcome);
        }
    }

    #[test]
    fn any_payload_survives_byte_for_byte(case in case(), object in object()) {
        let body = case.about(&object[..]).text();
        let payload = case.payload_of(&body);
        let post = Post::signed(case, &body);
        // A member that is there twice in a body that is the object itself.
        prop_assume!(!case.provider.fields.object.is_empty() || post.outcome() == Read(0));
        let event = post.read().event;
        prop_assert_eq!(event.data.payload.get(), &payload[..]);
        let json = event.to_json();
        let wire = Event::from_json(&json).unwrap();
        prop_assert_eq!(wire.data.payload.get(), &payload[..]);
        let gzip = event.to_json_gzip();
        let opened = Event::from_json(&gzip).unwrap();
        prop_assert_eq!(opened.to_json(), json);
    }

    #[test]
    fn no_two_events_share_a_key(events in prop::collection::btree_set((name(), id(), time()), 2..12)) {
        for case in cases() {
            // All three of a kind: name, time and id.
            let fields = &case.provider.fields;
            let Some(named) = fields.name.member() else { continue };
            let is_whole = |paths: &[&str]| paths.contains(&named) && paths.contains(&fields.time);
            if !case.is_together().is_some_and(is_whole) {
                continue;
            }
            let key = |(name, id, time): &(String, String, String)| {
                let body = case.about("{}").with(named, &name[..]).with(fields.time, &time[..]);
                let body = case.id_paths().into_iter().fold(body, |body, path| body.with(path, &id[..]));
                Post::signed(case, body.text()).read().key
            };
            let keys: BTreeSet<_> = events.iter().map(key).collect();
            prop_assert_eq!(keys.len(), events.len(), "{:?}", case);
        }
    }

    #[test]
    fn only_the_listed_values_are_settings(value in ".{0,12}") {
        for provider in platforms() {
            let known = provider.setting.is_none() || provider.modes.iter().any(|(known, _)| *known == value);
            prop_assert_eq!(Verifier::new(provider, |_| Some(value.clone())).is_ok(), known);
        }
    }
}

/// All that came over the wire and somebody signed or may read: header values, then the body.
fn bytes(post: &mut Post) -> impl Iterator<Item = &mut u8> {
    // But for a name that nobody signs.
    let unsigned = post.case.provider.fields.name.unsigned_header();
    let headers = post.headers.iter_mut().filter(move |(name, _)| Some(*name) != unsigned);
    headers.flat_map(|(_, value)| value).chain(&mut post.body)
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
    let in_body = spoiled.case.scheme.signature_member().is_some();
    let right = match outcome {
        Rejected(Rejection::Mismatch | Rejection::Malformed) => true,
        Rejected(Rejection::Missing | Rejection::Repeated) => in_body,
        _ => false,
    };
    assert!(right, "{outcome:?}: {what}");
}

fn case() -> impl Strategy<Value = Case> {
    select(cases())
}

fn header() -> impl Strategy<Value = &'static str> {
    let signatures = cases().into_iter().flat_map(|case| case.scheme.headers());
    let others = platforms().flat_map(|provider| provider.deliveries.not_a_webhook).copied();
    select(signatures.chain(others).chain(["content-type"]).collect::<Vec<_>>())
}

/// What the forms of all schemes are made of, in words and marks; `$` is a right signature.
fn piece_of_signature() -> impl Strategy<Value = String> {
    let mut pieces: BTreeSet<String> = ["$", "$", " ", "\t", "", "0", "=", ","].map(str::to_owned).into();
    for case in cases() {
        let post = sound(case);
        let written = post.written().replace(&post.signature(), "$");
        pieces.insert(written.clone());
        pieces.extend(written.split(['=', ',', ';', ':', '|', '&', ' ']).map(str::to_owned));
        pieces.extend(written.chars().filter(|c| !c.is_alphanumeric()).map(String::from));
    }
    select(pieces.into_iter().collect::<Vec<_>>())
}

/// Text that looks like an envelope, in every way broken.
fn json_like() -> impl Strategy<Value = String> {
    let mut pieces: BTreeSet<String> = [
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
        "\"sha256=00\"",
        "\\ud800",
        "é",
    ]
    .map(str::to_owned)
    .into();
    for case in cases() {
        let fields = &case.provider.fields;
        let paths = [fields.time, fields.object].into_iter().chain(fields.name.member()).chain(case.id_paths());
        pieces.extend(paths.flat_map(|path| path.split('.')).map(|name| format!("\"{name}\":")));
        pieces.extend(fields.payload_member().map(|payload| format!("\"{payload}\":{{")));
        pieces.extend(case.scheme.signature_member().map(|member| format!("\"{member}\"")));
    }
    prop::collection::vec(select(pieces.into_iter().collect::<Vec<_>>()), 0..24).prop_map(|pieces| pieces.concat())
}

/// A JSON object, its numbers, escapes, white space and repeated names spelled in every way. No member is an id, which
/// has a form of its own.
fn object() -> impl Strategy<Value = String> {
    let number = "-?(0|[1-9][0-9]{0,25})(\\.[0-9]{1,25})?([eE][+-]?[0-9]{1,4})?";
    let string = prop_oneof![
        any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
        r#""([a-z /]|\\u[0-9a-fA-F]{4}|\\/|\\\\|\\")*""#,
    ];
    let leaf = prop_oneof![Just("null".to_owned()), Just("false".to_owned()), number, string];
    let mut names: BTreeSet<String> = ["\"a\"", "\"\\u0061\"", "\"\""].map(str::to_owned).into();
    for case in cases() {
        let fields = &case.provider.fields;
        let facts = [fields.amount, fields.currency, fields.status].concat();
        names.extend(facts.into_iter().chain(case.scheme.signature_member()).map(|path| {
            let (first, _) = path.split_once('.').unwrap_or((path, ""));
            format!("\"{first}\"")
        }));
    }
    let ids: BTreeSet<_> = cases().into_iter().flat_map(Case::id_paths).flat_map(|path| path.split('.')).collect();
    names.retain(|name| !ids.contains(name.trim_matches('"')));
    let name = select(names.into_iter().collect::<Vec<_>>());
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
