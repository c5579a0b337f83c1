//! Which deliveries are authentic: one table, against every platform in every mode, by every scheme and encoding.

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use hookgate_verify::{
    Rejection, Scheme, Secrets, SettingError, Unreadable, Verifier,
    providers::{self, Provider},
    scheme::{Encoding, Hash, KeyForm},
};

use crate::post::{
    CURRENT, Case, DELIVERY_ID, EU_SHOP, NOTE, NOW,
    Outcome::{self, Read, Rejected, Unreadable as Unread},
    PREVIOUS, Post, cases, cases_of, platforms, quoted,
};

const MISSING: Outcome = Rejected(Rejection::Missing);
const REPEATED: Outcome = Rejected(Rejection::Repeated);
const MALFORMED: Outcome = Rejected(Rejection::Malformed);
const MISMATCH: Outcome = Rejected(Rejection::Mismatch);
const EXPIRED: Outcome = Rejected(Rejection::Expired);
const UNKNOWN: Outcome = Rejected(Rejection::UnknownAccount);
const NOT_A_WEBHOOK: Outcome = Rejected(Rejection::NotAWebhook);

/// What is wrong (or not) with a delivery, in which cases, what must become of it, and how it is made.
type Row = (&'static str, fn(Case) -> bool, Outcome, fn(Case) -> Post);

const ALL: fn(Case) -> bool = |_| true;
const IN_HEADER: fn(Case) -> bool = |case| case.scheme.signature_header().is_some();
const IN_BODY: fn(Case) -> bool = |case| case.scheme.signature_member().is_some();
const IN_HEX: fn(Case) -> bool = |case| !case.base64;
const IN_ANY_HEX: fn(Case) -> bool = |case| !case.base64 && case.scheme.encoding != Encoding::LowerHex;
const IN_LOWER_HEX: fn(Case) -> bool = |case| case.scheme.encoding == Encoding::LowerHex;
const IN_BASE64: fn(Case) -> bool = |case| case.base64;
const TEXT_KEY: fn(Case) -> bool = |case| case.scheme.key == KeyForm::Text;
const KEY_IN_BASE64: fn(Case) -> bool = |case| case.scheme.key != KeyForm::Text;
/// The scheme signs a time.
const TIMED: fn(Case) -> bool = |case| case.scheme.time.is_some();
const TIME_IN_HEADER: fn(Case) -> bool = |case| time_header(case).is_some();
const TIME_IN_BOTH: fn(Case) -> bool = |case| TIME_IN_HEADER(case) && sound(case).inspect().time.is_some();
/// The scheme signs the delivery's id.
const NAMED: fn(Case) -> bool = |case| case.scheme.id_header().is_some();
/// Another scheme is accepted, whose signature is looked for next.
const NEWER: fn(Case) -> bool = |case| IN_HEADER(case) && case.older().next().is_some();
const NEWER_TIMED: fn(Case) -> bool = |case| NEWER(case) && TIMED(case);
const OLDER: fn(Case) -> bool = |case| IN_HEADER(case) && case.newer().next().is_some();
/// As [`OLDER`], and not by the same scheme in other headers.
const OLDER_OF_ANOTHER_KIND: fn(Case) -> bool = |case| {
    OLDER(case)
        && case
            .newer()
            .next()
            .is_some_and(|newer| (newer.scheme.form, newer.scheme.key) != (case.scheme.form, case.scheme.key))
};
/// A key of its own in the envelope, that only text can be.
const OWN_ID: fn(Case) -> bool = Case::is_own_id;
/// An id among the things that together are the identity, that text or a whole number can be.
const ID_AMONG_OTHERS: fn(Case) -> bool = |case| case.is_together().is_some() && !case.id_paths().is_empty();
const DEEP: fn(Case) -> bool = |case| case.provider.fields.object.contains('.');
/// The event's name is in the body.
const SIGNED_NAME: fn(Case) -> bool = |case| case.provider.fields.name.member().is_some();
/// The event's name is in a header that nobody signs.
const UNSIGNED_NAME: fn(Case) -> bool = |case| case.provider.fields.name.unsigned_header().is_some();
/// A member of the body is the payload.
const PAYLOAD: fn(Case) -> bool = |case| case.provider.fields.payload_member().is_some();
/// The event is about an object in the body.
const OBJECT: fn(Case) -> bool = |case| !case.provider.fields.object.is_empty();
/// The event is about the body itself.
const BODY: fn(Case) -> bool = |case| case.provider.fields.object.is_empty();
const OTHER_REQUESTS: fn(Case) -> bool = |case| !case.provider.deliveries.not_a_webhook.is_empty();

const ROWS: &[Row] = &[
    ("nothing", ALL, Read(0), sound),
    // The signature is not there, or not of its form.
    ("no signature", IN_HEADER, MISSING, |case| Post::unsigned(case, case.body().text())),
    ("no signature", IN_BODY, MISSING, |case| Post::unsigned(case, case.body().without(member(case)).text())),
    ("nothing in the signature's place", ALL, MALFORMED, |case| sound(case).edit(|_| String::new())),
    ("empty signature", ALL, MALFORMED, |case| sound(case).edit_signature(|_| String::new())),
    ("the signature alone twice", ALL, MALFORMED, |case| sound(case).edit_signature(|text| text.repeat(2))),
    ("a MAC one byte short", ALL, MALFORMED, |case| sound(case).edit_mac(|mac| mac.truncate(mac.len() - 1))),
    ("a MAC one byte long", ALL, MALFORMED, |case| sound(case).edit_mac(|mac| mac.push(0))),
    ("a MAC of nothing", ALL, MALFORMED, |case| sound(case).edit_mac(Vec::clear)),
    ("half a MAC", ALL, MALFORMED, |case| sound(case).edit_mac(|mac| mac.truncate(mac.len() / 2))),
    ("one digit short", ALL, MALFORMED, |case| sound(case).edit_signature(|text| text[..text.len() - 1].to_owned())),
    ("one digit too many", ALL, MALFORMED, |case| sound(case).edit_signature(|text| format!("{text}0"))),
    ("a letter that is no hex digit", IN_HEX, MALFORMED, |case| {
        sound(case).edit_signature(|text| text[..text.len() - 1].to_owned() + "g")
    }),
    ("hex of the hex", IN_HEX, MALFORMED, |case| sound(case).edit_signature(|text| hex::encode(text))),
    ("hex behind 0x", IN_HEX, MALFORMED, |case| sound(case).edit_signature(|text| format!("0x{}", &text[2..]))),
    ("base64 without its padding", IN_BASE64, MALFORMED, |case| {
        sound(case).edit_signature(|text| text.trim_end_matches('=').to_owned())
    }),
    ("base64 with a letter for the padding", IN_BASE64, MALFORMED, |case| {
        sound(case).edit_signature(|text| text.replace('=', "A"))
    }),
    ("base64 with stray bits", IN_BASE64, MALFORMED, stray_bits),
    ("base64 of the URL alphabet", IN_BASE64, MALFORMED, |case| {
        with_plus_or_slash(case).edit_signature(|text| text.replace('+', "-").replace('/', "_"))
    }),
    ("base64 with a plus sign or a slash", IN_BASE64, Read(0), with_plus_or_slash),
    (
        "base64 where hex is expected",
        |case| matches!(case.scheme.encoding, Encoding::Hex | Encoding::LowerHex),
        MALFORMED,
        |case| sound(case).edit_signature(|text| BASE64.encode(hex::decode(text).unwrap())),
    ),
    (
        "hex where base64 is expected",
        |case| case.scheme.encoding == Encoding::Base64,
        MALFORMED,
        |case| sound(case).edit_signature(|text| hex::encode(BASE64.decode(text).unwrap())),
    ),
    ("white space before", ALL, MALFORMED, |case| sound(case).edit(|text| format!(" {text}"))),
    ("white space behind", ALL, MALFORMED, |case| sound(case).edit(|text| format!("{text} "))),
    ("a tab before", IN_HEADER, MALFORMED, |case| sound(case).edit(|text| format!("\t{text}"))),
    ("a tab behind", IN_HEADER, MALFORMED, |case| sound(case).edit(|text| format!("{text}\t"))),
    ("text behind", ALL, MALFORMED, |case| sound(case).edit(|text| format!("{text}x"))),
    ("quotes around", IN_HEADER, MALFORMED, |case| sound(case).edit(|text| format!("\"{text}\""))),
    ("bytes that are not ASCII", ALL, MALFORMED, |case| sound(case).edit(|text| format!("{text}é"))),
    ("upper-case hex", IN_ANY_HEX, Read(0), |case| sound(case).upper_case()),
    ("upper-case hex where lower case is expected", IN_LOWER_HEX, MALFORMED, |case| sound(case).upper_case()),
    ("nothing around the signature", surrounded, MALFORMED, |case| {
        let post = sound(case);
        let signature = post.signature();
        post.edit(|_| signature)
    }),
    (
        "what stands before the signature in upper case",
        |case| surrounded(case) && before_signature(case).1,
        MALFORMED,
        |case| {
            let before = before_signature(case).0;
            sound(case).edit(|text| text.replacen(&before, &before.to_uppercase(), 1))
        },
    ),
    ("what stands before the signature twice", surrounded, MALFORMED, |case| {
        let before = before_signature(case).0;
        sound(case).edit(|text| format!("{before}{text}"))
    }),
    ("signature header twice", IN_HEADER, REPEATED, |case| {
        let post = sound(case);
        let written = post.written();
        post.header(case.scheme.signature_header().unwrap(), written)
    }),
    ("signature header twice, once empty", IN_HEADER, REPEATED, |case| {
        sound(case).header(case.scheme.signature_header().unwrap(), "")
    }),
    ("headers joined with a comma", ALL, MALFORMED, |case| sound(case).edit(|text| format!("{text},{text}"))),
    ("headers joined with a comma and a space", ALL, MALFORMED, |case| {
        sound(case).edit(|text| format!("{text}, {text}"))
    }),
    // The signature is another one.
    ("the MAC's first bit", ALL, MISMATCH, |case| sound(case).edit_mac(|mac| mac[0] ^= 0x80)),
    ("the MAC's last bit", ALL, MISMATCH, |case| sound(case).edit_mac(|mac| *mac.last_mut().unwrap() ^= 1)),
    ("a MAC of zeros", ALL, MISMATCH, |case| sound(case).edit_mac(|mac| mac.fill(0))),
    ("right MAC of other bytes", IN_HEADER, MISMATCH, |case| sound(case).body(case.about("{}").text())),
    ("right MAC of other bytes", ALL, MISMATCH, |case| {
        let other = Post::signed(case, case.about("{}").text()).written();
        sound(case).edit(|_| other)
    }),
    ("the other hash", ALL, MALFORMED, other_hash),
    ("the other hash in the right length", ALL, MISMATCH, |case| {
        other_hash(case).edit_mac(|mac| mac.resize(case.length(), 0))
    }),
    // Which secret made it.
    ("a secret of nobody", ALL, MISMATCH, |case| signed_by(case, "nobody")),
    ("the secret without its prefix", TEXT_KEY, MISMATCH, |case| Post::signed_with_key(case, CURRENT.as_bytes())),
    ("the secret's text for the key in it", KEY_IN_BASE64, MISMATCH, |case| {
        Post::signed_with_key(case, case.secret(CURRENT).as_bytes())
    }),
    ("the empty key", ALL, MISMATCH, |case| Post::signed_with_key(case, b"")),
    ("another account's secret", ALL, MISMATCH, |case| signed_by(case, EU_SHOP)),
    ("another account, its own secret", ALL, Read(0), |case| signed_by(case, EU_SHOP).to("eu-shop")),
    ("another account, the default's secret", ALL, MISMATCH, |case| sound(case).to("eu-shop")),
    ("the previous secret", ALL, Read(1), |case| signed_by(case, PREVIOUS)),
    ("two equal secrets", ALL, Read(0), |case| sound(case).secrets(&[case.secret(CURRENT), case.secret(CURRENT)])),
    ("the third and fourth secret", ALL, Read(2), |case| {
        sound(case).secrets(&[case.secret("a"), case.secret("b"), case.secret(CURRENT), case.secret(CURRENT)])
    }),
    ("behind secrets that are not of the scheme's form", KEY_IN_BASE64, Read(5), |case| {
        let prefix = case.key_prefix().unwrap();
        let unusable = [prefix, "a!", "%%%%", " ", &format!("{prefix}AA==!")].map(|text| format!("{text}!"));
        sound(case).secrets(&[&unusable[..], &[case.secret(CURRENT)]].concat())
    }),
    ("no key in the secret, signed with none", KEY_IN_BASE64, MISMATCH, |case| {
        let nothing = case.key_prefix().unwrap();
        let nothing = if nothing.is_empty() { "====" } else { nothing };
        Post::signed_with_key(case, b"").secrets(&[nothing])
    }),
    ("a key that is not base64, signed with its text", KEY_IN_BASE64, MISMATCH, |case| {
        let secret = format!("{}not base64", case.key_prefix().unwrap());
        Post::signed_with_key(case, secret.as_bytes()).secrets(&[&secret])
    }),
    (
        "a key without its padding",
        |case| KEY_IN_BASE64(case) && case.secret(CURRENT).ends_with('='),
        MISMATCH,
        |case| sound(case).secrets(&[case.secret(CURRENT).trim_end_matches('=')]),
    ),
    (
        "a key without its prefix",
        |case| case.key_prefix().is_some_and(|prefix| !prefix.is_empty()) && KEY_IN_BASE64(case),
        MISMATCH,
        |case| sound(case).secrets(&[case.secret(CURRENT).strip_prefix(case.key_prefix().unwrap()).unwrap()]),
    ),
    (
        "a key behind a prefix in upper case",
        |case| case.key_prefix().is_some_and(|prefix| !prefix.is_empty()) && KEY_IN_BASE64(case),
        MISMATCH,
        |case| {
            let prefix = case.key_prefix().unwrap();
            sound(case).secrets(&[case.secret(CURRENT).replacen(prefix, &prefix.to_uppercase(), 1)])
        },
    ),
    ("a key behind white space", KEY_IN_BASE64, MISMATCH, |case| {
        sound(case).secrets(&[format!(" {}", case.secret(CURRENT))])
    }),
    ("an unknown account", ALL, UNKNOWN, |case| sound(case).to("us-shop")),
    ("an unknown account without a signature", ALL, UNKNOWN, |case| Post::unsigned(case, "").to("us-shop")),
    // The bytes are others.
    ("one bit of the body", ALL, MISMATCH, |case| rewritten(case, |text| text.replace("hello", "iello"))),
    ("a newline behind the body", ALL, MISMATCH, |case| rewritten(case, |text| text + "\n")),
    ("a space before the body", ALL, MISMATCH, |case| rewritten(case, |text| format!(" {text}"))),
    ("a byte order mark put before what was signed", ALL, MISMATCH, |case| {
        rewritten(case, |text| format!("\u{feff}{text}"))
    }),
    ("the same JSON, written again", ALL, MISMATCH, |case| {
        rewritten(case, |text| {
            let value: serde_json::Value = serde_json::from_str(&text).unwrap();
            serde_json::to_string_pretty(&value).unwrap()
        })
    }),
    ("one letter escaped", ALL, MISMATCH, |case| rewritten(case, |text| text.replace("hello", r"\u0068ello"))),
    ("no body", IN_HEADER, MISMATCH, |case| sound(case).body("")),
    ("no body", IN_BODY, MISSING, |case| sound(case).body("")),
    // Authentic, and not what the platform documents.
    ("signed: an empty body", IN_HEADER, Unread(Unreadable::NotJson), |case| Post::signed(case, "")),
    ("signed: no JSON", ALL, Unread(Unreadable::NotJson), |case| Post::signed(case, r#"{"a":b}"#)),
    ("signed: something behind the JSON", ALL, Unread(Unreadable::NotJson), |case| {
        Post::signed(case, case.body().text() + " x")
    }),
    ("signed: not UTF-8", ALL, Unread(Unreadable::NotUtf8), |case| {
        let mut body = noted(case, r#""?""#).into_bytes();
        *body.iter_mut().find(|byte| **byte == b'?').unwrap() = 0xff;
        Post::signed(case, body)
    }),
    ("signed: a byte order mark", ALL, Unread(Unreadable::ByteOrderMark), |case| {
        Post::signed(case, format!("\u{feff}{}", case.body().text()))
    }),
    ("signed: a NUL byte in a string", ALL, Unread(Unreadable::NotJson), |case| {
        Post::signed(case, noted(case, "\"\0\""))
    }),
    ("signed: a NUL byte at the end", ALL, Unread(Unreadable::NotJson), |case| {
        Post::signed(case, case.body().text() + "\0")
    }),
    ("signed: an escaped NUL", ALL, Read(0), |case| Post::signed(case, noted(case, r#""\u0000""#))),
    ("signed: 6 MB", ALL, Read(0), |case| Post::signed(case, noted(case, &format!("\"{}\"", "x".repeat(6_000_000))))),
    ("signed: a deep payload", ALL, Read(0), |case| {
        Post::signed(case, noted(case, &format!("{}{}", "[".repeat(100_000), "]".repeat(100_000))))
    }),
    ("signed: a member twice", ALL, Unread(Unreadable::DuplicateKey), |case| {
        Post::signed(case, case.body().and(top(case), "{}").text())
    }),
    ("signed: a member twice, once escaped", ALL, Unread(Unreadable::DuplicateKey), |case| {
        let (start, last) = top(case).split_at(top(case).len() - 1);
        let escaped = format!("{start}\\u{:04x}", last.as_bytes()[0]);
        Post::signed(case, case.body().and(&escaped, "{}").text())
    }),
    ("signed: an unknown member twice", ALL, Unread(Unreadable::DuplicateKey), |case| {
        Post::signed(case, case.body().and("x", "1").and("x", "1").text())
    }),
    ("signed: a member twice in the body that the event is about", BODY, Unread(Unreadable::DuplicateKey), |case| {
        Post::signed(case, case.about(r#"{"a":1,"b":1,"b":2}"#).text())
    }),
    ("signed: a member twice below the top", OBJECT, Read(0), |case| {
        Post::signed(case, case.about(r#"{"a":1,"b":1,"b":2}"#).text())
    }),
    ("signed: an array in the envelope's order", IN_HEADER, Unread(Unreadable::NotAnObject), |case| {
        Post::signed(case, case.body().array())
    }),
    ("an array in the envelope's order", IN_BODY, MISSING, |case| Post::unsigned(case, case.body().array())),
    ("signed: a deep array", IN_HEADER, Unread(Unreadable::NotAnObject), |case| {
        Post::signed(case, "[".repeat(100_000) + &"]".repeat(100_000))
    }),
    ("signed: a number", IN_HEADER, Unread(Unreadable::NotAnObject), |case| Post::signed(case, "7")),
    ("signed: a string", IN_HEADER, Unread(Unreadable::NotAnObject), |case| Post::signed(case, r#""{}""#)),
    ("signed: null", IN_HEADER, Unread(Unreadable::NotAnObject), |case| Post::signed(case, " null\n")),
    ("a number", IN_BODY, MISSING, |case| Post::unsigned(case, "7")),
    ("signed: no event name", SIGNED_NAME, Unread(Unreadable::EventName), |case| {
        Post::signed(case, case.body().without(case.provider.fields.name.member().unwrap()).text())
    }),
    ("no topic", UNSIGNED_NAME, Unread(Unreadable::EventName), |case| sound(case).without_header(topic(case))),
    ("a topic twice", UNSIGNED_NAME, Unread(Unreadable::EventName), |case| {
        sound(case).header(topic(case), case.event_name())
    }),
    ("a topic twice, once empty", UNSIGNED_NAME, Unread(Unreadable::EventName), |case| {
        sound(case).header(topic(case), "")
    }),
    ("two topics joined with a comma", UNSIGNED_NAME, Unread(Unreadable::EventName), |case| {
        sound(case).called(&format!("{0},{0}", case.event_name()))
    }),
    ("an empty topic", UNSIGNED_NAME, Unread(Unreadable::EventName), |case| sound(case).called("")),
    ("a topic with a space", UNSIGNED_NAME, Unread(Unreadable::EventName), |case| sound(case).called("sale done")),
    ("a topic with a space behind", UNSIGNED_NAME, Unread(Unreadable::EventName), |case| sound(case).called("sale ")),
    ("a topic with a tab", UNSIGNED_NAME, Unread(Unreadable::EventName), |case| sound(case).called("sale\tdone")),
    ("a topic that is not ASCII", UNSIGNED_NAME, Unread(Unreadable::EventName), |case| sound(case).called("förlorad")),
    ("a topic of 257 bytes", UNSIGNED_NAME, Unread(Unreadable::EventName), |case| sound(case).called(&"x".repeat(257))),
    ("a topic of 256 bytes", UNSIGNED_NAME, Read(0), |case| sound(case).called(&"x".repeat(256))),
    ("another topic", UNSIGNED_NAME, Read(0), |case| sound(case).called("!\"\\~")),
    ("a topic in the body", UNSIGNED_NAME, Read(0), |case| Post::signed(case, case.body().and("what", "7").text())),
    ("signed: event name null", SIGNED_NAME, Unread(Unreadable::EventName), |case| called(case, "null")),
    ("signed: event name a number", SIGNED_NAME, Unread(Unreadable::EventName), |case| called(case, "7")),
    ("signed: event name a boolean", SIGNED_NAME, Unread(Unreadable::EventName), |case| called(case, "true")),
    ("signed: event name an object", SIGNED_NAME, Unread(Unreadable::EventName), |case| called(case, "{}")),
    ("signed: event name an array of one", SIGNED_NAME, Unread(Unreadable::EventName), |case| {
        called(case, &format!("[{}]", quoted(case.event_name())))
    }),
    ("signed: event name empty", SIGNED_NAME, Unread(Unreadable::EventName), |case| called(case, r#""""#)),
    ("signed: event name half a letter", SIGNED_NAME, Unread(Unreadable::EventName), |case| {
        called(case, r#""\ud800""#)
    }),
    ("signed: event name of 257 bytes", SIGNED_NAME, Unread(Unreadable::EventName), |case| called(case, &long(257))),
    ("signed: event name of 256 bytes", SIGNED_NAME, Read(0), |case| called(case, &long(256))),
    ("signed: no object", OBJECT, Unread(Unreadable::Payload), |case| {
        Post::signed(case, case.body().without(case.provider.fields.object).text())
    }),
    ("signed: no payload", PAYLOAD, Unread(Unreadable::Payload), |case| {
        Post::signed(case, case.body().without(case.provider.fields.payload_member().unwrap()).text())
    }),
    ("signed: payload null", PAYLOAD, Unread(Unreadable::Payload), |case| paid(case, "null")),
    ("signed: payload an array", PAYLOAD, Unread(Unreadable::Payload), |case| paid(case, r#"[{"id":1}]"#)),
    ("signed: payload a string", PAYLOAD, Unread(Unreadable::Payload), |case| paid(case, r#""{\"id\":1}""#)),
    ("signed: payload a number", PAYLOAD, Unread(Unreadable::Payload), |case| paid(case, "7")),
    (
        "signed: payload without its object",
        |case| DEEP(case) && PAYLOAD(case),
        Unread(Unreadable::Payload),
        |case| paid(case, r#"{"a":"x"}"#),
    ),
    ("signed: object an array", OBJECT, Unread(Unreadable::Payload), |case| {
        Post::signed(case, case.about(r#"[{"id":1}]"#).text())
    }),
    ("signed: object a string", OBJECT, Unread(Unreadable::Payload), |case| {
        Post::signed(case, case.about("\"x\"").text())
    }),
    ("signed: object null", OBJECT, Unread(Unreadable::Payload), |case| Post::signed(case, case.about("null").text())),
    ("signed: object empty", ALL, Read(0), |case| Post::signed(case, case.about("{}").text())),
    ("signed: id a number", OWN_ID, Unread(Unreadable::Id), |case| with_id(case, "7")),
    ("signed: id a boolean", OWN_ID, Unread(Unreadable::Id), |case| with_id(case, "false")),
    ("signed: id an object", OWN_ID, Unread(Unreadable::Id), |case| with_id(case, r#"{"id":"evt_1"}"#)),
    ("signed: id an array", OWN_ID, Unread(Unreadable::Id), |case| with_id(case, r#"["evt_1"]"#)),
    ("signed: id half a letter", OWN_ID, Unread(Unreadable::Id), |case| with_id(case, r#""\udc00""#)),
    ("signed: id of 257 bytes", OWN_ID, Unread(Unreadable::Id), |case| with_id(case, &long(257))),
    ("signed: id of 256 bytes", OWN_ID, Read(0), |case| with_id(case, &long(256))),
    ("signed: id null", OWN_ID, Read(0), |case| with_id(case, "null")),
    ("signed: id empty", OWN_ID, Read(0), |case| with_id(case, "\"\"")),
    ("signed: an id among others an object", ID_AMONG_OTHERS, Unread(Unreadable::Id), |case| with_id(case, "{}")),
    ("signed: an id among others an array", ID_AMONG_OTHERS, Unread(Unreadable::Id), |case| {
        with_id(case, r#"["305"]"#)
    }),
    ("signed: an id among others a boolean", ID_AMONG_OTHERS, Unread(Unreadable::Id), |case| with_id(case, "true")),
    ("signed: an id among others a fraction", ID_AMONG_OTHERS, Unread(Unreadable::Id), |case| with_id(case, "3.05")),
    ("signed: an id among others half a letter", ID_AMONG_OTHERS, Unread(Unreadable::Id), |case| {
        with_id(case, r#""\udc00""#)
    }),
    ("signed: an id among others of 257 digits", ID_AMONG_OTHERS, Unread(Unreadable::Id), |case| {
        with_id(case, &"7".repeat(257))
    }),
    ("signed: an id among others of 257 letters", ID_AMONG_OTHERS, Unread(Unreadable::Id), |case| {
        with_id(case, &long(257))
    }),
    ("signed: an id among others of 256 digits", ID_AMONG_OTHERS, Read(0), |case| with_id(case, &"7".repeat(256))),
    ("signed: an id among others of 256 letters", ID_AMONG_OTHERS, Read(0), |case| with_id(case, &long(256))),
    ("signed: an id among others a number", ID_AMONG_OTHERS, Read(0), |case| with_id(case, "305")),
    ("signed: an id among others null", ID_AMONG_OTHERS, Read(0), |case| with_id(case, "null")),
    ("signed: an id among others empty", ID_AMONG_OTHERS, Read(0), |case| with_id(case, "\"\"")),
    // Requests that want something else for an answer.
    ("another kind of request", OTHER_REQUESTS, NOT_A_WEBHOOK, |case| sound(case).header(probe(case), "del_1")),
    ("another kind of request, the header empty", OTHER_REQUESTS, NOT_A_WEBHOOK, |case| {
        sound(case).header(probe(case), "")
    }),
    ("another kind of request to an unknown account", OTHER_REQUESTS, NOT_A_WEBHOOK, |case| {
        Post::unsigned(case, "{}").header(probe(case), "del_1").to("us-shop")
    }),
    ("headers that mean something elsewhere", ALL, Read(0), |case| {
        let mine = case.provider.deliveries.not_a_webhook;
        let theirs = platforms().flat_map(|provider| provider.deliveries.not_a_webhook);
        theirs.filter(|header| !mine.contains(header)).fold(sound(case), |post, header| post.header(header, "del_1"))
    }),
    ("another platform's headers", ALL, Read(0), |case| {
        let others = cases().into_iter().filter(|other| other.provider.name != case.provider.name);
        others.fold(sound(case), |post, other| post.beside(&sound(other)))
    }),
    // Where the newer signature is there it decides alone.
    ("newer wrong, older right", NEWER, MISMATCH, |case| with_older(sound(case).edit_mac(|mac| mac[0] ^= 1))),
    ("newer malformed, older right", NEWER, MALFORMED, |case| with_older(sound(case).edit(|_| "v1".into()))),
    ("newer empty, older right", NEWER, MALFORMED, |case| with_older(sound(case).edit(|_| String::new()))),
    ("newer twice, older right", NEWER, REPEATED, |case| {
        with_older(sound(case)).header(case.scheme.signature_header().unwrap(), "v1")
    }),
    ("newer expired, older right", NEWER_TIMED, EXPIRED, |case| with_older(at(case, NOW - tolerance(case) - 1))),
    (
        "newer without what belongs to it, older right",
        |case| NEWER(case) && NAMED(case),
        MALFORMED,
        |case| with_older(sound(case)).without_header(case.scheme.id_header().unwrap()),
    ),
    ("newer stripped, older right", NEWER, Read(0), |case| {
        with_older(sound(case)).without_header(case.scheme.signature_header().unwrap())
    }),
    ("newer right, older wrong", NEWER, Read(0), |case| {
        with_older(sound(case)).replaced(older_header(case), "0".repeat(128))
    }),
    ("newer right, older twice", NEWER, Read(0), |case| with_older(sound(case)).header(older_header(case), "0")),
    ("the newer scheme's signature in the older's place", OLDER_OF_ANOTHER_KIND, MALFORMED, |case| {
        let newer = sound(case.newer().next().unwrap()).written();
        sound(case).edit(|_| newer)
    }),
    ("the newer scheme's MAC in the older's place", OLDER_OF_ANOTHER_KIND, MISMATCH, |case| {
        let newer = case.newer().next().unwrap();
        let text = newer.scheme.signed_text(DELIVERY_ID, &NOW.to_string(), &sound(case).body).unwrap();
        let mac = case.mac(&case.key(&case.secret(CURRENT)), &text);
        sound(case).edit_mac(|old| old.copy_from_slice(&mac))
    }),
    // When it was signed.
    ("as long ago as may be", TIMED, Read(0), |case| at(case, NOW - tolerance(case))),
    ("a second longer ago", TIMED, EXPIRED, |case| at(case, NOW - tolerance(case) - 1)),
    ("as far ahead as may be", TIMED, Read(0), |case| at(case, NOW + tolerance(case))),
    ("a second further ahead", TIMED, EXPIRED, |case| at(case, NOW + tolerance(case) + 1)),
    ("in 1970", TIMED, EXPIRED, |case| at(case, 0)),
    ("at the end of 63 bits", TIMED, EXPIRED, |case| at(case, i64::MAX.unsigned_abs())),
    ("at the end of 63 bits, and one", TIMED, EXPIRED, |case| at(case, 1 << 63)),
    ("at the end of 64 bits", TIMED, EXPIRED, |case| at(case, u64::MAX)),
    // Whoever has no secret learns nothing about clocks.
    ("too long ago, wrongly signed", TIMED, MISMATCH, |case| {
        at(case, NOW - tolerance(case) - 1).edit_mac(|mac| mac.fill(0))
    }),
    ("behind the end of 64 bits", TIMED, MALFORMED, |case| stamp(case, "18446744073709551616")),
    ("40 digits", TIMED, MALFORMED, |case| stamp(case, &"9".repeat(40))),
    ("a negative time", TIMED, MALFORMED, |case| stamp(case, "-1773504000")),
    ("a plus sign", TIMED, MALFORMED, |case| stamp(case, "+1773504000")),
    ("a fraction", TIMED, MALFORMED, |case| stamp(case, "1773504000.0")),
    ("milliseconds", TIMED, EXPIRED, |case| stamp(case, "1773504000000")),
    ("hex digits", TIMED, MALFORMED, |case| stamp(case, "0x69b58480")),
    ("a word", TIMED, MALFORMED, |case| stamp(case, "now")),
    ("a date", TIMED, MALFORMED, |case| stamp(case, "2026-03-14T16:00:00Z")),
    ("an empty time", TIMED, MALFORMED, |case| stamp(case, "")),
    ("white space before the time", TIMED, MALFORMED, |case| stamp(case, " 1773504000")),
    ("white space behind the time", TIMED, MALFORMED, |case| stamp(case, "1773504000 ")),
    ("leading zeros", TIMED, Read(0), |case| stamp(case, "0001773504000")),
    ("another time than was signed", TIMED, MISMATCH, |case| {
        at(case, NOW - tolerance(case) - 1).timed(&NOW.to_string())
    }),
    ("the same time in other digits than were signed", TIMED, MISMATCH, |case| sound(case).timed(&format!("0{NOW}"))),
    ("the header says another time", TIME_IN_BOTH, MALFORMED, |case| {
        at(case, NOW - tolerance(case) - 1).timed_in_header(&NOW.to_string())
    }),
    ("the signature says another time", TIME_IN_BOTH, MALFORMED, |case| {
        at(case, NOW - tolerance(case) - 1)
            .timed(&NOW.to_string())
            .timed_in_header(&(NOW - tolerance(case) - 1).to_string())
    }),
    ("the same time in other digits in the header", TIME_IN_BOTH, MALFORMED, |case| {
        sound(case).timed_in_header(&format!("0{NOW}"))
    }),
    ("no time in its header", TIME_IN_HEADER, MALFORMED, |case| sound(case).without_header(time_header(case).unwrap())),
    ("the time twice", TIME_IN_HEADER, REPEATED, |case| {
        sound(case).header(time_header(case).unwrap(), NOW.to_string())
    }),
    ("the time not ASCII", TIME_IN_HEADER, MALFORMED, |case| sound(case).timed_in_header("١٧٧٣٥٠٤٠٠٠")),
    // Which delivery it is.
    ("no delivery id", NAMED, MALFORMED, |case| sound(case).without_header(case.scheme.id_header().unwrap())),
    ("delivery id twice", NAMED, REPEATED, |case| sound(case).header(case.scheme.id_header().unwrap(), DELIVERY_ID)),
    ("another delivery id", NAMED, MISMATCH, |case| {
        sound(case).replaced(case.scheme.id_header().unwrap(), "whd_abc124")
    }),
    ("an empty delivery id", NAMED, MALFORMED, |case| identified(case, "")),
    ("a delivery id with a dot", NAMED, MALFORMED, |case| identified(case, "whd.abc123")),
    ("a delivery id with a space", NAMED, MALFORMED, |case| identified(case, "whd abc123")),
    ("a delivery id with a comma", NAMED, MALFORMED, |case| identified(case, "whd,abc123")),
    ("a delivery id with a slash", NAMED, MALFORMED, |case| identified(case, "whd/abc123")),
    ("a delivery id that is not ASCII", NAMED, MALFORMED, |case| identified(case, "whd_é")),
    ("a delivery id of 128 letters", NAMED, Read(0), |case| identified(case, &"w".repeat(128))),
    ("a delivery id of 129 letters", NAMED, MALFORMED, |case| identified(case, &"w".repeat(129))),
    ("a delivery id of every kind of letter", NAMED, Read(0), |case| identified(case, "aZ09_-")),
    // The signature is in the body.
    ("the signature in a header", IN_BODY, MISSING, |case| {
        let written = sound(case).written();
        Post::unsigned(case, case.body().without(member(case)).text())
            .carrying(sound(case).headers)
            .header(member(case), written)
    }),
    ("signature twice", IN_BODY, REPEATED, |case| {
        let again = quoted(&sound(case).written());
        with_another(case, member(case), &again)
    }),
    ("signature twice, once no string", IN_BODY, REPEATED, |case| with_another(case, member(case), "7")),
    ("signature by an escaped name", IN_BODY, MALFORMED, |case| {
        sound(case).text(|text| text.replace(&quoted(member(case)), &format!("\"{}\"", escaped(case))))
    }),
    ("signature again by an escaped name", IN_BODY, MALFORMED, |case| with_another(case, &escaped(case), "\"x\"")),
    ("signature by an escaped name, then again", IN_BODY, MALFORMED, |case| {
        let twin = escaped(case);
        sound(case).text(|text| format!("{{\"{twin}\":\"x\",{}", &text[1..]))
    }),
    ("signature by an upper-case name", IN_BODY, MISSING, |case| {
        sound(case).text(|text| text.replace(&quoted(member(case)), &quoted(&member(case).to_uppercase())))
    }),
    ("signature below the top only", IN_BODY, MISSING, |case| {
        let inner = format!(r#"{{"id":1,"{}":{}}}"#, member(case), quoted(&sound(case).written()));
        Post::unsigned(case, case.about(inner).without(member(case)).text()).carrying(sound(case).headers)
    }),
    ("signature below the top too", IN_BODY, Read(0), |case| {
        Post::signed(case, case.about(format!(r#"{{"{0}":"x","id":1,"more":{{"{0}":"y"}}}}"#, member(case))).text())
    }),
    ("signature below the top before it", IN_BODY, Read(0), |case| {
        let payload = case.provider.fields.object.split('.').next().unwrap();
        let body = case.about(format!(r#"{{"id":1,"{}":["x"]}}"#, member(case))).moved(payload, 0);
        Post::signed(case, body.text())
    }),
    ("signature a number", IN_BODY, MALFORMED, |case| with_member(case, "7")),
    ("signature null", IN_BODY, MALFORMED, |case| with_member(case, "null")),
    ("signature an object", IN_BODY, MALFORMED, |case| with_member(case, "{}")),
    ("signature an array of one", IN_BODY, MALFORMED, |case| {
        with_member(case, &format!("[{}]", quoted(&sound(case).written())))
    }),
    ("signature with an escape", IN_BODY, MALFORMED, |case| {
        sound(case).edit(|text| format!("\\u{:04x}{}", text.as_bytes()[0], &text[1..]))
    }),
    // A replay: the captured signature over the captured signed text, which now hides in the payload of another event.
    ("the signed text nested as payload", IN_BODY, MISMATCH, |case| {
        let captured = sound(case);
        let signed = case.scheme.signed_body(&captured.body).unwrap().concat();
        let payload = String::from_utf8(signed).unwrap();
        let written = quoted(&captured.written());
        let body =
            case.body().with(case.provider.fields.payload_member().unwrap(), payload).with(member(case), written);
        captured.body(body.text())
    }),
    ("the payload alone is signed", PAYLOAD, MISMATCH, |case| {
        let payload = sound(case).read().event.data.payload.get().to_owned();
        let mac = case.mac(&case.key(&case.secret(CURRENT)), payload.as_bytes());
        sound(case).edit_signature(|_| case.spell(&mac))
    }),
    ("the whole body is signed, the old signature included", IN_BODY, MISMATCH, |case| {
        let mac = case.mac(&case.key(&case.secret(CURRENT)), &sound(case).body);
        sound(case).edit_signature(|_| case.spell(&mac))
    }),
];

#[test]
fn every_delivery_has_its_one_outcome() {
    let mut wrong = Vec::new();
    for (what, applies, expected, post) in ROWS {
        let mut met = false;
        for case in cases().into_iter().filter(|case| applies(*case)) {
            met = true;
            let got = post(case).outcome();
            if got != *expected {
                wrong.push(format!("{case:?}, {what}: {got:?} instead of {expected:?}"));
            }
            // What is logged has names from the source only: one plain word, and no room for a secret or a signature.
            let said = match got {
                Read(_) => continue,
                Rejected(rejection) => format!("{rejection:?}"),
                Unread(unreadable) => format!("{unreadable:?}"),
            };
            assert!(
                said.len() < 20 && said.bytes().all(|byte| byte.is_ascii_alphanumeric()),
                "{case:?}, {what}: {said}"
            );
        }
        assert!(met, "no platform shows: {what}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// White space anywhere in the signature's place, and anything else anywhere around the signature.
#[test]
fn every_character_around_a_signature_counts() {
    for case in cases() {
        let post = sound(case);
        let (written, signature) = (post.written(), post.signature());
        for at in 0..=written.len() {
            let spaced = post.clone().edit(|text| format!("{} {}", &text[..at], &text[at..]));
            assert_eq!(spaced.outcome(), MALFORMED, "{case:?}: a space at {at}");
        }
        let place = written.find(&signature).unwrap();
        let time =
            post.inspect().time.map(|time| written.find(&time).unwrap()..written.find(&time).unwrap() + time.len());
        for at in (0..written.len()).filter(|at| !(place..place + signature.len()).contains(at)) {
            let other = post.clone().edit(|text| format!("{}~{}", &text[..at], &text[at + 1..]));
            assert_eq!(other.outcome(), MALFORMED, "{case:?}: another character at {at}");
            let short = post.clone().edit(|text| format!("{}{}", &text[..at], &text[at + 1..]));
            // A time of fewer digits is a time, which nobody signed.
            let is_time = time.as_ref().is_some_and(|time| time.contains(&at)) && !TIME_IN_HEADER(case);
            assert_eq!(short.outcome(), if is_time { MISMATCH } else { MALFORMED }, "{case:?}: none at {at}");
        }
    }
}

/// What one mode accepts and another does not.
#[test]
fn a_scheme_of_another_mode_is_not_accepted() {
    let mut met = 0;
    for case in cases() {
        let (_, accepted) = case.provider.modes[case.mode];
        for other in cases_of(case.provider) {
            if accepted.iter().any(|scheme| scheme.name == other.scheme.name) {
                continue;
            }
            met += 1;
            let Post { headers, body, .. } = sound(other);
            let post = Post::unsigned(case, body).carrying(headers);
            let looked_for = |scheme: &Scheme| (scheme.signature_header(), scheme.signature_member());
            let same_place = accepted.iter().any(|scheme| looked_for(scheme) == looked_for(other.scheme));
            let expected = if same_place { MISMATCH } else { MISSING };
            assert_eq!(post.outcome(), expected, "{case:?}, signed as {other:?}");
        }
    }
    assert!(met > 0);
}

/// Where a signature may stand in the body, and what is left to be signed: by text and not by the crate's own cutting.
#[test]
fn a_signature_may_stand_anywhere_at_the_top() {
    let styles = [
        ["{", ",", ":", "}"],
        ["{", ", ", ": ", "}"],
        ["{\n  ", ",\n  ", ": ", "\n}"],
        ["{\r\n\t", ",\r\n\t", ": ", "\r\n}\r\n"],
        ["\u{20}{ ", " ,", " : ", " } "],
    ];
    let mut met = false;
    for case in cases().into_iter().filter(|case| IN_BODY(*case)) {
        met = true;
        let object = r#"{"url":"https:\/\/a.example\/\u00e9","n":1.10}"#;
        let body = case.about(object);
        for style in styles {
            for place in 0..body.members() {
                let body = body.clone().moved(member(case), place);
                let sent = body.clone().with(member(case), "\"@\"").styled(style);
                let mut without = body.clone().without(member(case)).styled(style);
                // The white space before a comma is nobody's: it stays where the member was.
                if style[1].starts_with(' ') && place > 0 {
                    without = cut_by_hand(&sent, &format!(",\"{}\" : \"@\"", member(case)));
                }
                let emptied = sent.replace('@', "");
                let (right, wrong) = if case.signs_its_place() { (&emptied, &without) } else { (&without, &emptied) };
                for (signed, expected) in [(right, Read(0)), (wrong, MISMATCH)] {
                    let post = sound(case).body(sent.replace('@', &sound(case).written()));
                    // What the scheme signs beside the body, from a delivery with another.
                    let text = case.scheme.signed_text(DELIVERY_ID, &NOW.to_string(), &sound(case).body).unwrap();
                    let inner = case.scheme.signed_body(&sound(case).body).unwrap().concat();
                    let start = text.windows(inner.len()).position(|window| window == inner).unwrap();
                    let text = [&text[..start], signed.as_bytes(), &text[start + inner.len()..]].concat();
                    let mac = case.mac(&case.key(&case.secret(CURRENT)), &text);
                    let signature = sound(case).signature();
                    let post = post.text(|text| text.replacen(&signature, &case.spell(&mac), 1));
                    assert_eq!(post.outcome(), expected, "{case:?} {sent} signed as {signed}");
                }
            }
        }
    }
    assert!(met);
}

fn cut_by_hand(sent: &str, member: &str) -> String {
    assert_eq!(sent.matches(member).count(), 1, "{sent}");
    sent.replace(member, "")
}

#[test]
fn a_setting_with_an_unknown_value_is_an_error_that_names_it() {
    for provider in platforms() {
        let Some(name) = provider.setting else {
            let verifier = Verifier::new(provider, |name| panic!("{provider:?} asked for {name}")).unwrap();
            assert_eq!(names(verifier.schemes()), names(provider.default_schemes()));
            continue;
        };
        let allowed: Vec<_> = provider.modes.iter().map(|(value, _)| *value).collect();
        let (first, last) = (allowed[0], allowed.last().unwrap());
        for value in [
            "",
            "s3cr3t",
            "1",
            " ",
            &first.to_uppercase(),
            &format!(" {first}"),
            &format!("{first} "),
            &format!("{first},{last}"),
            &first[..first.len() - 1],
        ] {
            let setting = |asked: &str| (asked == name).then(|| value.to_owned());
            let error = Verifier::new(provider, setting).unwrap_err();
            assert_eq!(error, SettingError { name, allowed: allowed.clone() }, "{value}");
            assert_eq!(error.to_string(), format!("{name} must be one of: {}", allowed.join(", ")));
            assert!(!format!("{error} {error:?}").contains("s3cr3t"));
        }
    }
}

#[test]
fn a_setting_chooses_its_schemes() {
    for provider in platforms().filter(|provider| provider.setting.is_some()) {
        let chosen =
            |value: Option<&str>| names(Verifier::new(provider, |_| value.map(str::to_owned)).unwrap().schemes());
        for (value, schemes) in provider.modes {
            assert_eq!(chosen(Some(value)), names(schemes), "{provider:?} {value}");
        }
        assert_eq!(chosen(None), names(provider.modes[0].1), "{provider:?}: the first is the default");
    }
}

fn names(schemes: &[Scheme]) -> Vec<&'static str> {
    schemes.iter().map(|scheme| scheme.name).collect()
}

/// Several ways of leaving a body's own signature out, accepted side by side, would let a captured signature be replayed.
#[test]
fn one_reading_of_a_signature_in_the_body_at_a_time() {
    for provider in platforms() {
        for (value, schemes) in provider.modes {
            let in_body = schemes.iter().filter(|scheme| scheme.signature_member().is_some()).count();
            assert!(in_body == 0 || schemes.len() == 1, "{provider:?} {value}");
        }
    }
}

#[test]
fn a_platform_is_found_by_its_whole_name() {
    for provider in providers::ALL {
        assert_eq!(Provider::named(provider.name).map(|found| found.name), Some(provider.name));
        for other in [&provider.name.to_uppercase(), &provider.name[1..], &format!("{} ", provider.name), ""] {
            assert!(Provider::named(other).is_none(), "{other}");
        }
    }
}

#[test]
fn secrets_are_never_shown() {
    let secrets = Secrets::parse(r#"{"default":["s3cr3t-1","s3cr3t-2"],"eu-shop":"s3cr3t-3"}"#).unwrap();
    let shown = format!("{secrets:?} {secrets:#?}");
    assert!(shown.contains("2 account") && !shown.contains("s3cr3t"), "{shown}");
    for text in [
        r#"{"default":["s3cr3t",""]}"#,
        r#"{"default":["s3cr3t",7]}"#,
        r#"{"default":"s3cr3t","eu-shop":[]}"#,
        r#"{"S3CR3T s3cr3t":["x"]}"#,
        r#"{"default":"s3cr3t""#,
        r#"["s3cr3t",null]"#,
        r#""s3cr3t"#,
    ] {
        let error = Secrets::parse(text).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("s3cr3t"), "{error:?} of {text}");
    }
}

/// The exact form that is documented and no other: whatever is answered 200 unread must be nothing.
#[test]
fn a_ping_has_one_form() {
    const FORM: &str = "application/x-www-form-urlencoded";
    let mut met = 0;
    for case in cases() {
        let field = case.provider.deliveries.ping.map_or("webhook_id", |ping| ping.field);
        let ping = |body: &str| Post::unsigned(case, body.replace("FIELD", field)).header("content-type", FORM);
        let is_ping = |post: &Post| case.verifier().is_ping(&post.delivery().unwrap());
        let has_pings = case.provider.deliveries.ping.is_some();
        met += usize::from(has_pings);
        for body in ["FIELD=7", "FIELD=0", "FIELD=12345678901234567890"] {
            assert_eq!(is_ping(&ping(body)), has_pings, "{case:?} {body}");
        }
        for written in ["Application/X-WWW-Form-Urlencoded", "application/x-www-form-urlencoded; charset=UTF-8"] {
            let post = ping("FIELD=7").replaced("content-type", written);
            assert_eq!(is_ping(&post), has_pings, "{case:?} {written}");
        }
        assert_eq!(is_ping(&ping("FIELD=7").to("us-shop")), has_pings, "{case:?}: before the secret is there");
        for body in [
            "",
            "FIELD",
            "FIELD=",
            "FIELD=x",
            "FIELD=-7",
            "FIELD=+7",
            "FIELD=7 ",
            " FIELD=7",
            "FIELD=7\n",
            "FIELD=7&a=b",
            "FIELD=7&FIELD=7",
            "a=b&FIELD=7",
            "FIELD=123456789012345678901",
            "FIELD=%37",
            "xFIELD=7",
            "FIELD:7",
            "{}",
            "FIELD=\u{0667}",
        ] {
            assert!(!is_ping(&ping(body)), "{case:?} {body:?}");
        }
        for written in
            ["", "application/json", "text/plain", "application/x-www-form-urlencoded2", "multipart/form-data"]
        {
            assert!(!is_ping(&ping("FIELD=7").replaced("content-type", written)), "{case:?} {written:?}");
        }
        assert!(!is_ping(&ping("FIELD=7").without_header("content-type")), "{case:?}");
        assert!(!is_ping(&ping("FIELD=7").header("content-type", FORM)), "{case:?}: the type twice");
        // What claims a signature is judged by it.
        for header in case.provider.schemes().flat_map(Scheme::headers) {
            assert!(!is_ping(&ping("FIELD=7").header(header, "")), "{case:?} {header}");
        }
        assert!(!is_ping(&sound(case)), "{case:?}");
    }
    assert!(met > 1);
}

#[test]
fn reasons_have_names_of_their_own() {
    let rejections = [
        (Rejection::Missing, "signature_missing"),
        (Rejection::Repeated, "signature_repeated"),
        (Rejection::Malformed, "signature_malformed"),
        (Rejection::Mismatch, "signature_mismatch"),
        (Rejection::Expired, "timestamp_expired"),
        (Rejection::UnknownAccount, "unknown_account"),
        (Rejection::NotAWebhook, "not_a_webhook"),
    ];
    for (rejection, name) in rejections {
        assert_eq!(rejection.as_str(), name);
    }
    let unreadables = [
        (Unreadable::NotUtf8, "not_utf8"),
        (Unreadable::ByteOrderMark, "byte_order_mark"),
        (Unreadable::NotJson, "not_json"),
        (Unreadable::NotAnObject, "not_an_object"),
        (Unreadable::DuplicateKey, "duplicate_key"),
        (Unreadable::EventName, "event_name"),
        (Unreadable::Payload, "payload"),
        (Unreadable::Id, "id"),
    ];
    for (unreadable, name) in unreadables {
        assert_eq!(unreadable.as_str(), name);
    }
}

pub fn sound(case: Case) -> Post {
    signed_by(case, CURRENT)
}

fn signed_by(case: Case, secret: &str) -> Post {
    Post::signed_by(case, &case.secret(secret), case.body().text())
}

/// The right key and the right text under the hash that the platform does not use.
fn other_hash(case: Case) -> Post {
    let hash = if case.scheme.hash == Hash::Sha256 { Hash::Sha512 } else { Hash::Sha256 };
    Post::signed_with(case, &Scheme { hash, ..*case.scheme }, &case.secret(CURRENT), case.body().text())
}

/// Another spelling of the same bytes: of the last letter's six bits only some count.
fn stray_bits(case: Case) -> Post {
    const LETTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    sound(case).edit_signature(|text| {
        let digits = text.trim_end_matches('=');
        let (start, last) = digits.split_at(digits.len() - 1);
        let next = LETTERS.as_bytes()[LETTERS.find(last).unwrap() + 1];
        format!("{start}{}{}", char::from(next), "=".repeat(text.len() - digits.len()))
    })
}

/// A sound delivery whose signature has one of the letters that differ in the URL alphabet.
fn with_plus_or_slash(case: Case) -> Post {
    let mut posts = (0..).map(|n| Post::signed(case, noted(case, &n.to_string())));
    posts.find(|post| post.signature().contains(['+', '/'])).unwrap()
}

/// Whether anything stands before the signature.
fn surrounded(case: Case) -> bool {
    !before_signature(case).0.is_empty()
}

/// What stands before the signature, and whether its case can be changed.
fn before_signature(case: Case) -> (String, bool) {
    let post = sound(case);
    let (written, signature) = (post.written(), post.signature());
    let before = written.split_once(&signature).unwrap().0.to_owned();
    let has_letters = before.to_uppercase() != before;
    (before, has_letters)
}

/// Changes the body behind the signature's back.
fn rewritten(case: Case, change: impl FnOnce(String) -> String) -> Post {
    sound(case).text(|text| change(text.to_owned()))
}

fn noted(case: Case, value: &str) -> String {
    case.body().with(&case.inside(NOTE), value).text()
}

fn called(case: Case, name: &str) -> Post {
    Post::signed(case, case.body().with(case.provider.fields.name.member().unwrap(), name).text())
}

/// Any value for the member that is the payload.
fn paid(case: Case, payload: &str) -> Post {
    Post::signed(case, case.body().with(case.provider.fields.payload_member().unwrap(), payload).text())
}

fn with_id(case: Case, id: &str) -> Post {
    Post::signed(case, case.id_paths().into_iter().fold(case.body(), |body, path| body.with(path, id)).text())
}

/// A member at the body's top that every platform reads.
fn top(case: Case) -> &'static str {
    case.provider.fields.time.split('.').next().unwrap()
}

fn topic(case: Case) -> &'static str {
    case.provider.fields.name.unsigned_header().unwrap()
}

fn member(case: Case) -> &'static str {
    case.scheme.signature_member().unwrap()
}

/// The member's name, its first letter escaped.
fn escaped(case: Case) -> String {
    let name = member(case);
    format!("\\u{:04x}{}", name.as_bytes()[0], &name[1..])
}

/// One more member behind the others, which is signed too.
fn with_another(case: Case, name: &str, value: &str) -> Post {
    // The crate signs no body with two places for a signature: the second hides until that is done.
    let hidden = "~".repeat(name.len());
    let post = Post::signed(case, case.body().and(&hidden, value).text());
    let text = case.scheme.signed_text(DELIVERY_ID, &NOW.to_string(), &post.body).unwrap();
    let text = String::from_utf8(text).unwrap().replace(&hidden, name);
    let mac = case.mac(&case.key(&case.secret(CURRENT)), text.as_bytes());
    post.edit_signature(|_| case.spell(&mac)).text(|text| text.replace(&hidden, name))
}

fn with_member(case: Case, value: &str) -> Post {
    Post::unsigned(case, case.body().with(member(case), value).text()).carrying(sound(case).headers)
}

fn long(length: usize) -> String {
    format!("\"{}\"", "x".repeat(length))
}

fn probe(case: Case) -> &'static str {
    case.provider.deliveries.not_a_webhook[0]
}

fn tolerance(case: Case) -> u64 {
    case.scheme.time.unwrap().tolerance
}

fn time_header(case: Case) -> Option<&'static str> {
    case.scheme.time.and_then(|time| time.header)
}

fn stamp(case: Case, time: &str) -> Post {
    Post::stamped(case, DELIVERY_ID, time)
}

fn at(case: Case, seconds: u64) -> Post {
    stamp(case, &seconds.to_string())
}

fn identified(case: Case, id: &str) -> Post {
    Post::stamped(case, id, &NOW.to_string())
}

/// Adds the right signature of the next older scheme, and what belongs to it.
fn with_older(post: Post) -> Post {
    let older = post.case.older().next().unwrap();
    let older = Post::signed(older, &post.body);
    post.beside(&older)
}

fn older_header(case: Case) -> &'static str {
    case.older().next().unwrap().scheme.signature_header().unwrap()
}
