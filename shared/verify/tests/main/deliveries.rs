//! Which deliveries are authentic: one table, against every provider in every mode.

use hookgate_verify::{Hash, Provider, Rejection, Scheme, Secrets, SettingError, Unreadable, Verifier};

use crate::post::{
    ALL, CURRENT, DELIVERY_ID, EU_SHOP, Mode,
    Mode::{
        Elective, EtailDepot, OpteriusEmpty, OpteriusWithout, ShoppexOnlyV2, ShoppexV1, ShoppexV2, W3blockBase64,
        W3blockHex,
    },
    NOW,
    Outcome::{self, Read, Rejected, Unreadable as Unread},
    PREVIOUS, Post, hmac_sha256,
};

/// What is wrong (or not) with a delivery, for whom, what must become of it, and how it is made.
type Row = (&'static str, &'static [Mode], Outcome, fn(Mode) -> Post);

const IN_HEADER: &[Mode] = &[Elective, ShoppexV1, ShoppexV2, ShoppexOnlyV2, EtailDepot, W3blockHex, W3blockBase64];
const IN_HEX: &[Mode] =
    &[Elective, ShoppexV1, ShoppexV2, ShoppexOnlyV2, EtailDepot, OpteriusWithout, OpteriusEmpty, W3blockHex];
const NOT_SHOPPEX: &[Mode] = &[Elective, EtailDepot, OpteriusWithout, OpteriusEmpty, W3blockHex, W3blockBase64];
const SHOPPEX: &[Mode] = &[ShoppexV1, ShoppexV2, ShoppexOnlyV2];
const V2: &[Mode] = &[ShoppexV2, ShoppexOnlyV2];
const OPTERIUS: &[Mode] = &[OpteriusWithout, OpteriusEmpty];
const W3BLOCK: &[Mode] = &[W3blockHex, W3blockBase64];

/// An id in the envelope, that only text can be.
const OWN_ID: &[Mode] = &[Elective, EtailDepot];
/// An id in the payload, that text or a whole number can be.
const PAYLOAD_ID: &[Mode] = &[OpteriusWithout, OpteriusEmpty, W3blockHex, W3blockBase64];

const ROWS: &[Row] = &[
    ("nothing", ALL, Read(0), sound),
    // The signature is not there, or not of its form.
    ("no signature", IN_HEADER, Rejected(Rejection::Missing), |mode| Post::unsigned(mode, mode.envelope().text())),
    ("no signature", OPTERIUS, Rejected(Rejection::Missing), |mode| {
        Post::unsigned(mode, mode.envelope().without("signature").text())
    }),
    ("empty signature", ALL, Rejected(Rejection::Malformed), |mode| sound(mode).edit(|_| String::new())),
    ("a MAC one byte short", ALL, Rejected(Rejection::Malformed), |mode| {
        sound(mode).edit_mac(|mac| mac.truncate(mac.len() - 1))
    }),
    ("a MAC one byte long", ALL, Rejected(Rejection::Malformed), |mode| sound(mode).edit_mac(|mac| mac.push(0))),
    ("a MAC of nothing", ALL, Rejected(Rejection::Malformed), |mode| sound(mode).edit_mac(Vec::clear)),
    ("one hex digit short", IN_HEX, Rejected(Rejection::Malformed), |mode| {
        sound(mode).edit(|text| text[..text.len() - 1].to_owned())
    }),
    ("a letter that is no hex digit", IN_HEX, Rejected(Rejection::Malformed), |mode| {
        sound(mode).edit(|text| text[..text.len() - 1].to_owned() + "g")
    }),
    ("base64 without its padding", &[W3blockBase64], Rejected(Rejection::Malformed), |mode| {
        sound(mode).edit(|text| text.trim_end_matches('=').to_owned())
    }),
    ("base64 of 33 bytes", &[W3blockBase64], Rejected(Rejection::Malformed), |mode| {
        sound(mode).edit(|text| text.replace('=', "A"))
    }),
    ("base64 with stray bits", &[W3blockBase64], Rejected(Rejection::Malformed), |mode| {
        // Another spelling of the same bytes: the last letter counts for four of its six bits.
        sound(mode).edit(|text| text.replace("M=", "N="))
    }),
    ("base64 where hex is expected", &[Elective, EtailDepot], Rejected(Rejection::Malformed), |mode| {
        sound(mode).edit(|_| sound(W3blockBase64).signature())
    }),
    ("white space before", ALL, Rejected(Rejection::Malformed), |mode| sound(mode).edit(|text| format!(" {text}"))),
    ("white space behind", ALL, Rejected(Rejection::Malformed), |mode| sound(mode).edit(|text| format!("{text} "))),
    ("bytes that are not ASCII", IN_HEADER, Rejected(Rejection::Malformed), |mode| {
        sound(mode).edit(|text| format!("{text}é"))
    }),
    ("upper-case hex", IN_HEX, Read(0), |mode| sound(mode).upper_case()),
    ("signature header twice", IN_HEADER, Rejected(Rejection::Repeated), |mode| {
        let post = sound(mode);
        let signature = post.signature();
        post.header(Post::signature_header(mode).unwrap(), signature)
    }),
    ("signatures joined with a comma", ALL, Rejected(Rejection::Malformed), |mode| {
        sound(mode).edit(|text| format!("{text},{text}"))
    }),
    ("signatures joined with a comma and a space", ALL, Rejected(Rejection::Malformed), |mode| {
        sound(mode).edit(|text| format!("{text}, {text}"))
    }),
    // The signature is another one.
    ("the MAC's first bit", ALL, Rejected(Rejection::Mismatch), |mode| sound(mode).edit_mac(|mac| mac[0] ^= 0x80)),
    ("the MAC's last bit", ALL, Rejected(Rejection::Mismatch), |mode| {
        sound(mode).edit_mac(|mac| *mac.last_mut().unwrap() ^= 1)
    }),
    ("a MAC of zeros", ALL, Rejected(Rejection::Mismatch), |mode| sound(mode).edit_mac(|mac| mac.fill(0))),
    ("right MAC of other bytes", IN_HEADER, Rejected(Rejection::Mismatch), |mode| {
        sound(mode).body(mode.envelope().with("data", "{}").text())
    }),
    ("right MAC of other bytes", OPTERIUS, Rejected(Rejection::Mismatch), |mode| {
        let other = Post::signed(mode, mode.envelope().with("data", "{}").text()).signature();
        sound(mode).edit(|_| other)
    }),
    ("the other hash", ALL, Rejected(Rejection::Malformed), other_hash),
    ("the other hash in the right length", ALL, Rejected(Rejection::Mismatch), |mode| {
        let length = if mode == ShoppexV1 { 64 } else { 32 };
        other_hash(mode).edit_mac(|mac| mac.resize(length, 0))
    }),
    // Which secret made it.
    ("a secret of nobody", ALL, Rejected(Rejection::Mismatch), |mode| signed_by(mode, "whsec_nobody")),
    ("the secret without its prefix", ALL, Rejected(Rejection::Mismatch), |mode| signed_by(mode, "current-7Q")),
    ("the empty secret", ALL, Rejected(Rejection::Mismatch), |mode| signed_by(mode, "")),
    ("another account's secret", ALL, Rejected(Rejection::Mismatch), |mode| signed_by(mode, EU_SHOP)),
    ("another account, its own secret", ALL, Read(0), |mode| signed_by(mode, EU_SHOP).to("eu-shop")),
    ("another account, the default's secret", ALL, Rejected(Rejection::Mismatch), |mode| sound(mode).to("eu-shop")),
    ("the previous secret", ALL, Read(1), |mode| signed_by(mode, PREVIOUS)),
    ("two equal secrets", ALL, Read(0), |mode| sound(mode).secrets(format!(r#"["{CURRENT}","{CURRENT}"]"#))),
    ("the third and fourth secret", ALL, Read(2), |mode| {
        sound(mode).secrets(format!(r#"["a","b","{CURRENT}","{CURRENT}"]"#))
    }),
    ("an unknown account", ALL, Rejected(Rejection::UnknownAccount), |mode| sound(mode).to("us-shop")),
    ("an unknown account without a signature", ALL, Rejected(Rejection::UnknownAccount), |mode| {
        Post::unsigned(mode, "").to("us-shop")
    }),
    // The bytes are others.
    ("one bit of the body", ALL, Rejected(Rejection::Mismatch), |mode| {
        rewritten(mode, |text| text.replace("hello", "iello"))
    }),
    ("a newline behind the body", ALL, Rejected(Rejection::Mismatch), |mode| rewritten(mode, |text| text + "\n")),
    ("a space before the body", ALL, Rejected(Rejection::Mismatch), |mode| rewritten(mode, |text| format!(" {text}"))),
    ("the same JSON, written again", ALL, Rejected(Rejection::Mismatch), |mode| {
        rewritten(mode, |text| {
            let value: serde_json::Value = serde_json::from_str(&text).unwrap();
            serde_json::to_string_pretty(&value).unwrap()
        })
    }),
    ("one letter escaped", ALL, Rejected(Rejection::Mismatch), |mode| {
        rewritten(mode, |text| text.replace("hello", r"\u0068ello"))
    }),
    ("no body", IN_HEADER, Rejected(Rejection::Mismatch), |mode| sound(mode).body("")),
    ("no body", OPTERIUS, Rejected(Rejection::Missing), |mode| sound(mode).body("")),
    // Authentic, and not what the provider documents.
    ("signed: an empty body", IN_HEADER, Unread(Unreadable::NotJson), |mode| Post::signed(mode, "")),
    ("signed: no JSON", ALL, Unread(Unreadable::NotJson), |mode| Post::signed(mode, r#"{"event":paid}"#)),
    ("signed: something behind the JSON", ALL, Unread(Unreadable::NotJson), |mode| {
        Post::signed(mode, mode.envelope().text() + " x")
    }),
    ("signed: not UTF-8", ALL, Unread(Unreadable::NotUtf8), |mode| {
        let mut body = mode.envelope().with("note", r#""?""#).text().into_bytes();
        *body.iter_mut().find(|byte| **byte == b'?').unwrap() = 0xff;
        Post::signed(mode, body)
    }),
    ("signed: a byte order mark", ALL, Unread(Unreadable::ByteOrderMark), |mode| {
        Post::signed(mode, format!("\u{feff}{}", mode.envelope().text()))
    }),
    ("a byte order mark put before what was signed", OPTERIUS, Rejected(Rejection::Mismatch), |mode| {
        rewritten(mode, |text| format!("\u{feff}{text}"))
    }),
    ("signed: a NUL byte in a string", ALL, Unread(Unreadable::NotJson), |mode| {
        Post::signed(mode, mode.envelope().with("note", "\"\0\"").text())
    }),
    ("signed: a NUL byte at the end", ALL, Unread(Unreadable::NotJson), |mode| {
        Post::signed(mode, mode.envelope().text() + "\0")
    }),
    ("signed: an escaped NUL", ALL, Read(0), |mode| {
        Post::signed(mode, mode.envelope().with("note", r#""\u0000""#).text())
    }),
    ("signed: 6 MB", ALL, Read(0), |mode| {
        let payload = format!(r#"{{"id":1,"note":"{}"}}"#, "x".repeat(6_000_000));
        Post::signed(mode, mode.envelope().with("data", mode.data(&payload)).text())
    }),
    ("signed: a deep payload", ALL, Read(0), |mode| {
        let payload = format!(r#"{{"id":1,"note":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
        Post::signed(mode, mode.envelope().with("data", mode.data(&payload)).text())
    }),
    ("signed: a member twice", ALL, Unread(Unreadable::DuplicateKey), |mode| {
        Post::signed(mode, mode.envelope().and("data", "{}").text())
    }),
    ("signed: a member twice, once escaped", ALL, Unread(Unreadable::DuplicateKey), |mode| {
        Post::signed(mode, mode.envelope().and(r"dat\u0061", "{}").text())
    }),
    ("signed: an unknown member twice", ALL, Unread(Unreadable::DuplicateKey), |mode| {
        Post::signed(mode, mode.envelope().and("x", "1").and("x", "1").text())
    }),
    ("signed: a member twice below the top", ALL, Read(0), |mode| {
        let payload = mode.data(r#"{"id":1,"total":1,"total":2}"#);
        Post::signed(mode, mode.envelope().with("data", payload).text())
    }),
    ("signed: an array in the envelope's order", IN_HEADER, Unread(Unreadable::NotAnObject), |mode| {
        Post::signed(mode, mode.envelope().array())
    }),
    ("an array in the envelope's order", OPTERIUS, Rejected(Rejection::Missing), |mode| {
        Post::unsigned(mode, mode.envelope().array())
    }),
    ("signed: a deep array", IN_HEADER, Unread(Unreadable::NotAnObject), |mode| {
        Post::signed(mode, "[".repeat(100_000) + &"]".repeat(100_000))
    }),
    ("signed: a number", IN_HEADER, Unread(Unreadable::NotAnObject), |mode| Post::signed(mode, "7")),
    ("signed: a string", IN_HEADER, Unread(Unreadable::NotAnObject), |mode| Post::signed(mode, r#""{}""#)),
    ("signed: null", IN_HEADER, Unread(Unreadable::NotAnObject), |mode| Post::signed(mode, " null\n")),
    ("a number", OPTERIUS, Rejected(Rejection::Missing), |mode| Post::unsigned(mode, "7")),
    ("signed: no event name", ALL, Unread(Unreadable::EventName), |mode| {
        Post::signed(mode, mode.envelope().without(mode.name_member()).text())
    }),
    ("signed: event name null", ALL, Unread(Unreadable::EventName), |mode| named(mode, "null")),
    ("signed: event name a number", ALL, Unread(Unreadable::EventName), |mode| named(mode, "7")),
    ("signed: event name an object", ALL, Unread(Unreadable::EventName), |mode| named(mode, "{}")),
    ("signed: event name an array of one", ALL, Unread(Unreadable::EventName), |mode| named(mode, r#"["order.paid"]"#)),
    ("signed: event name empty", ALL, Unread(Unreadable::EventName), |mode| named(mode, r#""""#)),
    ("signed: event name half a letter", ALL, Unread(Unreadable::EventName), |mode| named(mode, r#""\ud800""#)),
    ("signed: event name of 257 bytes", ALL, Unread(Unreadable::EventName), |mode| named(mode, &quoted(257))),
    ("signed: event name of 256 bytes", ALL, Read(0), |mode| named(mode, &quoted(256))),
    ("signed: no data", ALL, Unread(Unreadable::Payload), |mode| {
        Post::signed(mode, mode.envelope().without("data").text())
    }),
    ("signed: data null", ALL, Unread(Unreadable::Payload), |mode| about(mode, "null")),
    ("signed: data an array", ALL, Unread(Unreadable::Payload), |mode| about(mode, r#"[{"id":1}]"#)),
    ("signed: data a string", ALL, Unread(Unreadable::Payload), |mode| about(mode, r#""{\"id\":1}""#)),
    ("signed: data a number", ALL, Unread(Unreadable::Payload), |mode| about(mode, "7")),
    ("signed: data without object", &[EtailDepot], Unread(Unreadable::Payload), |mode| about(mode, r#"{"id":"x"}"#)),
    ("signed: object an array", &[EtailDepot], Unread(Unreadable::Payload), |mode| about(mode, r#"{"object":[]}"#)),
    ("signed: object a string", &[EtailDepot], Unread(Unreadable::Payload), |mode| about(mode, r#"{"object":"x"}"#)),
    ("signed: data empty", &[Elective, ShoppexV1, ShoppexV2, ShoppexOnlyV2], Read(0), |mode| about(mode, "{}")),
    ("signed: data empty", PAYLOAD_ID, Read(0), |mode| about(mode, "{}")),
    ("signed: id a number", OWN_ID, Unread(Unreadable::Id), |mode| with_id(mode, "7")),
    ("signed: id a boolean", OWN_ID, Unread(Unreadable::Id), |mode| with_id(mode, "false")),
    ("signed: id an object", OWN_ID, Unread(Unreadable::Id), |mode| with_id(mode, r#"{"id":"evt_1"}"#)),
    ("signed: id half a letter", OWN_ID, Unread(Unreadable::Id), |mode| with_id(mode, r#""\udc00""#)),
    ("signed: id of 257 bytes", OWN_ID, Unread(Unreadable::Id), |mode| with_id(mode, &quoted(257))),
    ("signed: id of 256 bytes", OWN_ID, Read(0), |mode| with_id(mode, &quoted(256))),
    ("signed: id null", OWN_ID, Read(0), |mode| with_id(mode, "null")),
    ("signed: payload id an object", PAYLOAD_ID, Unread(Unreadable::Id), |mode| about(mode, r#"{"id":{}}"#)),
    ("signed: payload id an array", PAYLOAD_ID, Unread(Unreadable::Id), |mode| about(mode, r#"{"id":["305"]}"#)),
    ("signed: payload id a boolean", PAYLOAD_ID, Unread(Unreadable::Id), |mode| about(mode, r#"{"id":true}"#)),
    ("signed: payload id a fraction", PAYLOAD_ID, Unread(Unreadable::Id), |mode| about(mode, r#"{"id":3.05}"#)),
    ("signed: payload id of 257 digits", PAYLOAD_ID, Unread(Unreadable::Id), |mode| {
        about(mode, &format!(r#"{{"id":{}}}"#, "7".repeat(257)))
    }),
    ("signed: payload id of 256 digits", PAYLOAD_ID, Read(0), |mode| {
        about(mode, &format!(r#"{{"id":{}}}"#, "7".repeat(256)))
    }),
    ("signed: payload id a number", PAYLOAD_ID, Read(0), |mode| about(mode, r#"{"id":305}"#)),
    ("signed: payload id null", PAYLOAD_ID, Read(0), |mode| about(mode, r#"{"id":null}"#)),
    // W3block takes both spellings, told apart by length.
    ("hex of the hex", W3BLOCK, Rejected(Rejection::Malformed), |mode| sound(mode).edit(|text| hex::encode(text))),
    // Shoppex hands the answer to these to the buyer.
    ("a dynamic delivery id", SHOPPEX, Rejected(Rejection::DynamicDelivery), |mode| {
        sound(mode).header("x-shoppex-delivery-id", "del_1")
    }),
    ("a dynamic delivery key", SHOPPEX, Rejected(Rejection::DynamicDelivery), |mode| {
        sound(mode).header("x-shoppex-idempotency-key", "")
    }),
    ("a dynamic delivery to an unknown account", SHOPPEX, Rejected(Rejection::DynamicDelivery), |mode| {
        Post::unsigned(mode, "{}").header("x-shoppex-delivery-id", "del_1").to("us-shop")
    }),
    ("headers that mean nothing elsewhere", NOT_SHOPPEX, Read(0), |mode| {
        sound(mode).header("x-shoppex-delivery-id", "del_1").header("x-shoppex-idempotency-key", "del_1")
    }),
    // Shoppex V2 stands alone where it is there.
    ("V1 where V2 is required", &[ShoppexOnlyV2], Rejected(Rejection::Missing), |mode| {
        sound(mode).carrying(sound(ShoppexV1).headers)
    }),
    ("V2 wrong, V1 right", V2, Rejected(Rejection::Mismatch), |mode| {
        v1_beside(sound(mode).edit_mac(|mac| mac[0] ^= 1))
    }),
    ("V2 malformed, V1 right", V2, Rejected(Rejection::Malformed), |mode| v1_beside(sound(mode).edit(|_| "v1".into()))),
    ("V2 empty, V1 right", V2, Rejected(Rejection::Malformed), |mode| v1_beside(sound(mode).edit(|_| String::new()))),
    ("V2 twice, V1 right", V2, Rejected(Rejection::Repeated), |mode| {
        v1_beside(sound(mode)).header("x-shoppex-signature-v2", "v1")
    }),
    ("V2 expired, V1 right", V2, Rejected(Rejection::Expired), |mode| {
        v1_beside(Post::stamped(mode, DELIVERY_ID, &(NOW - 301).to_string()))
    }),
    ("V2 stripped, V1 right", &[ShoppexV2], Read(0), |mode| {
        v1_beside(sound(mode)).without_header("x-shoppex-signature-v2")
    }),
    ("V2 right, V1 wrong", V2, Read(0), |mode| sound(mode).header("x-shoppex-signature", "0".repeat(128))),
    ("V2 right, V1 twice", V2, Read(0), |mode| v1_beside(v1_beside(sound(mode)))),
    ("V2's MAC in the header of V1", &[ShoppexV1], Rejected(Rejection::Malformed), |mode| {
        let v2 = sound(ShoppexV2).signature();
        sound(mode).edit(|_| v2[v2.len() - 64..].to_owned())
    }),
    ("delivery id twice", V2, Rejected(Rejection::Repeated), |mode| {
        sound(mode).header("x-shoppex-delivery", DELIVERY_ID)
    }),
    ("timestamp twice", V2, Rejected(Rejection::Repeated), |mode| {
        sound(mode).header("x-shoppex-timestamp", NOW.to_string())
    }),
    ("another version marker", V2, Rejected(Rejection::Malformed), |mode| {
        sound(mode).edit(|text| text.replace("v1,", "v2,"))
    }),
    ("upper-case version marker", V2, Rejected(Rejection::Malformed), |mode| {
        sound(mode).edit(|text| text.replace("v1,", "V1,"))
    }),
    ("a space behind a comma", V2, Rejected(Rejection::Malformed), |mode| {
        sound(mode).edit(|text| text.replace(",h=", ", h="))
    }),
    ("members in another order", V2, Rejected(Rejection::Malformed), |mode| {
        sound(mode).edit(|text| format!("v1,h={},t={NOW}", &text[text.len() - 64..]))
    }),
    ("the MAC alone", V2, Rejected(Rejection::Malformed), |mode| {
        sound(mode).edit(|text| text[text.len() - 64..].to_owned())
    }),
    // Shoppex V2: when it was signed.
    ("300 s ago", V2, Read(0), |mode| at(mode, NOW - 300)),
    ("301 s ago", V2, Rejected(Rejection::Expired), |mode| at(mode, NOW - 301)),
    ("in 300 s", V2, Read(0), |mode| at(mode, NOW + 300)),
    ("in 301 s", V2, Rejected(Rejection::Expired), |mode| at(mode, NOW + 301)),
    ("in 1970", V2, Rejected(Rejection::Expired), |mode| at(mode, 0)),
    ("at the end of 63 bits, and one", V2, Rejected(Rejection::Expired), |mode| at(mode, 1 << 63)),
    ("at the end of 64 bits", V2, Rejected(Rejection::Expired), |mode| at(mode, u64::MAX)),
    ("301 s ago, wrongly signed", V2, Rejected(Rejection::Mismatch), |mode| {
        // Whoever has no secret learns nothing about clocks.
        at(mode, NOW - 301).edit(|text| text[..text.len() - 64].to_owned() + &"0".repeat(64))
    }),
    ("behind the end of 64 bits", V2, Rejected(Rejection::Malformed), |mode| stamp(mode, "18446744073709551616")),
    ("40 digits", V2, Rejected(Rejection::Malformed), |mode| stamp(mode, &"9".repeat(40))),
    ("a negative time", V2, Rejected(Rejection::Malformed), |mode| stamp(mode, "-1773504000")),
    ("a plus sign", V2, Rejected(Rejection::Malformed), |mode| stamp(mode, "+1773504000")),
    ("a fraction", V2, Rejected(Rejection::Malformed), |mode| stamp(mode, "1773504000.0")),
    ("milliseconds", V2, Rejected(Rejection::Expired), |mode| stamp(mode, "1773504000000")),
    ("hex digits", V2, Rejected(Rejection::Malformed), |mode| stamp(mode, "0x69b58480")),
    ("a word", V2, Rejected(Rejection::Malformed), |mode| stamp(mode, "now")),
    ("an empty time", V2, Rejected(Rejection::Malformed), |mode| stamp(mode, "")),
    ("leading zeros", V2, Read(0), |mode| stamp(mode, "0001773504000")),
    ("the header says another time", V2, Rejected(Rejection::Malformed), |mode| {
        at(mode, NOW - 301).without_header("x-shoppex-timestamp").header("x-shoppex-timestamp", NOW.to_string())
    }),
    ("t says another time", V2, Rejected(Rejection::Malformed), |mode| {
        at(mode, NOW - 301).edit(|text| text.replace(&(NOW - 301).to_string(), &NOW.to_string()))
    }),
    ("both say another time", V2, Rejected(Rejection::Mismatch), |mode| {
        at(mode, NOW - 301)
            .edit(|text| text.replace(&(NOW - 301).to_string(), &NOW.to_string()))
            .without_header("x-shoppex-timestamp")
            .header("x-shoppex-timestamp", NOW.to_string())
    }),
    ("the same time, spelled otherwise in the header", V2, Rejected(Rejection::Malformed), |mode| {
        at(mode, NOW).without_header("x-shoppex-timestamp").header("x-shoppex-timestamp", format!("0{NOW}"))
    }),
    ("no timestamp header", V2, Rejected(Rejection::Malformed), |mode| {
        sound(mode).without_header("x-shoppex-timestamp")
    }),
    // Shoppex V2: which delivery it is.
    ("no delivery id", V2, Rejected(Rejection::Malformed), |mode| sound(mode).without_header("x-shoppex-delivery")),
    ("another delivery id", V2, Rejected(Rejection::Mismatch), |mode| {
        sound(mode).without_header("x-shoppex-delivery").header("x-shoppex-delivery", "whd_abc124")
    }),
    ("an empty delivery id", V2, Rejected(Rejection::Malformed), |mode| identified(mode, "")),
    ("a delivery id with a dot", V2, Rejected(Rejection::Malformed), |mode| identified(mode, "whd.abc123")),
    ("a delivery id with a space", V2, Rejected(Rejection::Malformed), |mode| identified(mode, "whd abc123")),
    ("a delivery id with a comma", V2, Rejected(Rejection::Malformed), |mode| identified(mode, "whd,abc123")),
    ("a delivery id of 128 letters", V2, Read(0), |mode| identified(mode, &"w".repeat(128))),
    ("a delivery id of 129 letters", V2, Rejected(Rejection::Malformed), |mode| identified(mode, &"w".repeat(129))),
    ("a delivery id of every kind of letter", V2, Read(0), |mode| identified(mode, "aZ09_-")),
    // Opterius keeps its signature in the body.
    ("the signature in a header", OPTERIUS, Rejected(Rejection::Missing), |mode| {
        let signature = sound(mode).signature();
        Post::unsigned(mode, mode.envelope().without("signature").text()).header("signature", signature)
    }),
    ("signature twice", OPTERIUS, Rejected(Rejection::Repeated), |mode| {
        let post = sound(mode);
        let again = format!(r#","signature":"{}"}}"#, post.signature());
        post.text(|text| text.strip_suffix('}').unwrap().to_owned() + &again)
    }),
    ("signature twice, once no string", OPTERIUS, Rejected(Rejection::Repeated), |mode| {
        sound(mode).text(|text| text.strip_suffix('}').unwrap().to_owned() + r#","signature":7}"#)
    }),
    ("signature by an escaped name", OPTERIUS, Rejected(Rejection::Malformed), |mode| {
        sound(mode).text(|text| text.replace("signature", r"\u0073ignature"))
    }),
    ("signature again by an escaped name", OPTERIUS, Rejected(Rejection::Malformed), |mode| {
        // Signed with it, so that nothing but the name is wrong.
        Post::signed_text(mode, r#"{"event":"invoice.paid","signature":"@","signatur\u0065":"x","data":{}}"#)
    }),
    ("signature by an escaped name, then again", OPTERIUS, Rejected(Rejection::Malformed), |mode| {
        Post::signed_text(mode, r#"{"event":"invoice.paid","signatur\u0065":"x","signature":"@","data":{}}"#)
    }),
    ("signature by an upper-case name", OPTERIUS, Rejected(Rejection::Missing), |mode| {
        sound(mode).text(|text| text.replace("signature", "Signature"))
    }),
    ("signature below the top only", OPTERIUS, Rejected(Rejection::Missing), |mode| {
        Post::signed_text(mode, r#"{"event":"invoice.paid","data":{"id":1,"signature":"@"}}"#)
    }),
    ("signature below the top too", OPTERIUS, Read(0), |mode| {
        Post::signed_text(
            mode,
            r#"{"event":"invoice.paid","signature":"@","data":{"signature":"x","id":1,"more":{"signature":"y"}}}"#,
        )
    }),
    ("signature below the top before it", OPTERIUS, Read(0), |mode| {
        Post::signed_text(mode, r#"{"data":{"id":1,"signature":["x"]},"event":"invoice.paid","signature":"@"}"#)
    }),
    ("signature a number", OPTERIUS, Rejected(Rejection::Malformed), |mode| with_signature(mode, "7")),
    ("signature null", OPTERIUS, Rejected(Rejection::Malformed), |mode| with_signature(mode, "null")),
    ("signature an object", OPTERIUS, Rejected(Rejection::Malformed), |mode| with_signature(mode, "{}")),
    ("signature an array of one", OPTERIUS, Rejected(Rejection::Malformed), |mode| {
        with_signature(mode, &format!("[\"{}\"]", sound(mode).signature()))
    }),
    ("upper-case prefix", OPTERIUS, Rejected(Rejection::Malformed), |mode| {
        sound(mode).edit(|text| text.replace("sha256", "SHA256"))
    }),
    ("no prefix", OPTERIUS, Rejected(Rejection::Malformed), |mode| {
        sound(mode).edit(|text| text.replace("sha256=", ""))
    }),
    ("another prefix", OPTERIUS, Rejected(Rejection::Malformed), |mode| {
        sound(mode).edit(|text| text.replace("sha256", "sha512"))
    }),
    ("signature with an escape", OPTERIUS, Rejected(Rejection::Malformed), |mode| {
        sound(mode).edit(|text| text.replace("sha256", r"\u0073ha256"))
    }),
    ("signed by the other reading", &[OpteriusEmpty], Rejected(Rejection::Mismatch), |mode| {
        sound(mode).body(sound(OpteriusWithout).body)
    }),
    ("signed by the other reading", &[OpteriusWithout], Rejected(Rejection::Mismatch), |mode| {
        sound(mode).body(sound(OpteriusEmpty).body)
    }),
    ("the signed text nested as data", &[OpteriusWithout], Rejected(Rejection::Mismatch), |mode| {
        nested(mode, &mode.envelope().without("signature").text())
    }),
    ("the signed text nested as data", &[OpteriusEmpty], Rejected(Rejection::Mismatch), |mode| {
        nested(mode, &mode.envelope().text())
    }),
    ("data alone is signed", OPTERIUS, Rejected(Rejection::Mismatch), |mode| {
        let tag =
            hmac_sha256(CURRENT, r#"{"id":305,"total":2200,"currency_code":"USD","client_id":42,"note":"hello"}"#);
        sound(mode).edit(|_| format!("sha256={tag}"))
    }),
    ("the whole body is signed, placeholder included", OPTERIUS, Rejected(Rejection::Mismatch), |mode| {
        let body = mode.envelope().with("signature", r#""sha256=SIGNATURE""#).text();
        let tag = hmac_sha256(CURRENT, &body);
        Post::unsigned(mode, body.replace("SIGNATURE", &tag))
    }),
];

#[test]
fn every_delivery_has_its_one_outcome() {
    let mut wrong = Vec::new();
    for (what, modes, expected, post) in ROWS {
        for &mode in *modes {
            let post = post(mode);
            let got = post.outcome();
            if got != *expected {
                wrong.push(format!("{mode:?}, {what}: {got:?} instead of {expected:?}"));
            }
            // What is logged has names from the source only: one plain word, and no room for a secret or a signature.
            let said = match got {
                Read(_) => continue,
                Rejected(rejection) => format!("{rejection:?}"),
                Unread(unreadable) => format!("{unreadable:?}"),
            };
            assert!(
                said.len() < 20 && said.bytes().all(|byte| byte.is_ascii_alphanumeric()),
                "{mode:?}, {what}: {said}"
            );
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Where Opterius' signature may stand, and what is left to be signed: spelled out, since the crate's own sender cuts
/// as its verifier does. The other reading leaves all but the value.
const PLACES: &[(&str, &str)] = &[
    (r#"{"signature":"@","event":"invoice.paid","data":{}}"#, r#"{"event":"invoice.paid","data":{}}"#),
    (r#"{"event":"invoice.paid","signature":"@","data":{}}"#, r#"{"event":"invoice.paid","data":{}}"#),
    (r#"{"event":"invoice.paid","data":{},"signature":"@"}"#, r#"{"event":"invoice.paid","data":{}}"#),
    (r#"{"signature": "@", "event": "invoice.paid", "data": {}}"#, r#"{"event": "invoice.paid", "data": {}}"#),
    (r#"{"event": "invoice.paid", "signature": "@", "data": {}}"#, r#"{"event": "invoice.paid", "data": {}}"#),
    (r#"{"event": "invoice.paid", "data": {}, "signature": "@"}"#, r#"{"event": "invoice.paid", "data": {}}"#),
    (
        "{\n  \"signature\": \"@\",\n  \"event\": \"invoice.paid\",\n  \"data\": {}\n}",
        "{\n  \"event\": \"invoice.paid\",\n  \"data\": {}\n}",
    ),
    (
        "{\n  \"event\": \"invoice.paid\",\n  \"signature\": \"@\",\n  \"data\": {}\n}",
        "{\n  \"event\": \"invoice.paid\",\n  \"data\": {}\n}",
    ),
    (
        "{\r\n\t\"event\": \"invoice.paid\",\r\n\t\"data\": {},\r\n\t\"signature\": \"@\"\r\n}\r\n",
        "{\r\n\t\"event\": \"invoice.paid\",\r\n\t\"data\": {}\r\n}\r\n",
    ),
    (
        r#"{"event":"invoice.paid","signature":"@","data":{"url":"https:\/\/a.example\/\u00e9","n":1.10}}"#,
        r#"{"event":"invoice.paid","data":{"url":"https:\/\/a.example\/\u00e9","n":1.10}}"#,
    ),
];

#[test]
fn opterius_signature_may_stand_anywhere_at_the_top() {
    for (sent, without) in PLACES {
        let empty = sent.replace('@', "");
        for (mode, right, wrong) in [(OpteriusWithout, *without, &empty[..]), (OpteriusEmpty, &empty[..], *without)] {
            for (signed, expected) in [(right, Read(0)), (wrong, Rejected(Rejection::Mismatch))] {
                let body = sent.replace('@', &format!("sha256={}", hmac_sha256(CURRENT, signed)));
                assert_eq!(Post::unsigned(mode, body).outcome(), expected, "{mode:?} {sent} signed as {signed}");
            }
        }
    }
}

/// Scheme and signature of each mode's sound delivery under [`CURRENT`], computed with Python's `hmac`.
const SIGNATURES: &[(Mode, &str, &str)] = &[
    (Elective, "v1", "0552707b3c30f0a28bbfd0e0fed7e79787c07b2af64d1949a5f450b8ff9057da"),
    (
        ShoppexV1,
        "v1",
        "2f50735749d869f20023097a5af2d4d332546f91c33e6fa710377a915d9054bbb353231a6118aa6333ee2b1b8412efea0933abd5ada9d240e102aca355b9d44e",
    ),
    (ShoppexV2, "v2", "v1,t=1773504000,h=a47bfb561a2ec8353fa1f1c27dd1a451e314237caa663dab60ec0eda5a54c6b7"),
    (ShoppexOnlyV2, "v2", "v1,t=1773504000,h=a47bfb561a2ec8353fa1f1c27dd1a451e314237caa663dab60ec0eda5a54c6b7"),
    (EtailDepot, "v1", "b7d187996ad396b3304ff162e8a1b72b393b860b21ab46959d31883c56cbd3eb"),
    (OpteriusWithout, "without", "sha256=82db27be29a4bb36a52d9ab3d87b8a7507987ae843cb62df21a15987b30f60c1"),
    (OpteriusEmpty, "empty", "sha256=f749b7e8cbbbd5145281e136312787644f1f2d1256d0f69b4ce3c29debecc5bc"),
    (W3blockHex, "v1", "9032a38a090842e827e153715cb73e1ba3f6317d10a487aeeb565b225c1c9b93"),
    (W3blockBase64, "v1", "kDKjigkIQugn4VNxXLc+G6P2MX0QpIeu61ZbIlwcm5M="),
];

#[test]
fn signatures_agree_with_another_implementation() {
    assert_eq!(SIGNATURES.iter().map(|(mode, ..)| *mode).collect::<Vec<_>>(), ALL);
    for (mode, scheme, signature) in SIGNATURES {
        let post = sound(*mode);
        assert_eq!(post.signature(), *signature, "{mode:?}");
        assert_eq!(post.authenticate(|result| result.ok().map(|authentic| authentic.scheme())), Some(*scheme));
    }
}

/// Shoppex publishes the signed text `whd_abc123.1773504000.{…}` without secret or signature; Python's `hmac` has the
/// latter for [`CURRENT`].
#[test]
fn the_published_example_of_shoppex_holds() {
    let tag = "b4dd5815e824c6096b92260fd1e11c999936c391eac2c93f3dcda6f28597a400";
    let body = r#"{"event":"order:paid","data":{"uniqid":"inv_1"}}"#;
    for &mode in V2 {
        let sent = Post::unsigned(mode, body).carrying(vec![
            ("x-shoppex-delivery", b"whd_abc123".to_vec()),
            ("x-shoppex-timestamp", b"1773504000".to_vec()),
            ("x-shoppex-signature-v2", format!("v1,t=1773504000,h={tag}").into_bytes()),
        ]);
        assert_eq!(sent.outcome(), Read(0));
        assert_eq!(Post::signed(mode, body).signature(), format!("v1,t=1773504000,h={tag}"));
    }
}

#[test]
fn a_setting_with_an_unknown_value_is_an_error_that_names_it() {
    for (provider, name, allowed) in
        [("shoppex", "SHOPPEX_REQUIRE_V2", ["false", "true"]), ("opterius", "OPTERIUS_SIGNED", ["without", "empty"])]
    {
        let provider = Provider::named(provider).unwrap();
        for value in ["", "s3cr3t", "TRUE", " true", "true ", "without,empty", "data", "1"] {
            let setting = |asked: &str| (asked == name).then(|| value.to_owned());
            let error = Verifier::new(provider, setting).unwrap_err();
            assert_eq!(error, SettingError { name, allowed: allowed.to_vec() }, "{value}");
            assert_eq!(error.to_string(), format!("{name} must be one of: {}, {}", allowed[0], allowed[1]));
            assert!(!format!("{error} {error:?}").contains("s3cr3t"));
        }
    }
    for provider in ["elective", "etaildepot", "w3block"] {
        let provider = Provider::named(provider).unwrap();
        assert_eq!(Verifier::new(provider, |_| Some("any".to_owned())).unwrap().schemes().len(), 1);
    }
}

/// More than one reading of Opterius at a time would let a signature be replayed.
#[test]
fn a_setting_chooses_these_schemes() {
    for (provider, value, expected) in [
        ("elective", None, &["v1"][..]),
        ("shoppex", None, &["v2", "v1"]),
        ("shoppex", Some("false"), &["v2", "v1"]),
        ("shoppex", Some("true"), &["v2"]),
        ("etaildepot", None, &["v1"]),
        ("opterius", None, &["without"]),
        ("opterius", Some("without"), &["without"]),
        ("opterius", Some("empty"), &["empty"]),
        ("w3block", None, &["v1"]),
    ] {
        let provider = Provider::named(provider).unwrap();
        let verifier = Verifier::new(provider, |_| value.map(str::to_owned)).unwrap();
        let schemes: Vec<_> = verifier.schemes().iter().map(|scheme| scheme.name).collect();
        assert_eq!(schemes, expected, "{provider:?} {value:?}");
    }
}

#[test]
fn the_status_of_a_rejection_is_the_providers_own() {
    let expected =
        [("elective", 401), ("etaildepot", 400), ("opterius", 401), ("shoppex", 401), ("w3block", 401)].to_vec();
    let got: Vec<_> = hookgate_verify::providers::ALL.iter().map(|p| (p.name, p.rejected_status)).collect();
    assert_eq!(got, expected);
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

#[test]
fn reasons_have_names_of_their_own() {
    let rejections = [
        (Rejection::Missing, "signature_missing"),
        (Rejection::Repeated, "signature_repeated"),
        (Rejection::Malformed, "signature_malformed"),
        (Rejection::Mismatch, "signature_mismatch"),
        (Rejection::Expired, "timestamp_expired"),
        (Rejection::UnknownAccount, "unknown_account"),
        (Rejection::DynamicDelivery, "shoppex_dynamic_delivery"),
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

fn sound(mode: Mode) -> Post {
    signed_by(mode, CURRENT)
}

fn signed_by(mode: Mode, secret: &str) -> Post {
    Post::signed_by(mode, secret, mode.envelope().text())
}

/// The right key and the right text under the hash that the provider does not use.
fn other_hash(mode: Mode) -> Post {
    let &Scheme { name, hash, encoding, layout } = mode.scheme();
    let hash = if hash == Hash::Sha256 { Hash::Sha512 } else { Hash::Sha256 };
    Post::signed_with(mode, &Scheme { name, hash, encoding, layout }, CURRENT, mode.envelope().text())
}

/// Changes the body behind the signature's back.
fn rewritten(mode: Mode, change: impl FnOnce(String) -> String) -> Post {
    sound(mode).text(|text| change(text.to_owned()))
}

fn named(mode: Mode, name: &str) -> Post {
    Post::signed(mode, mode.envelope().with(mode.name_member(), name).text())
}

fn about(mode: Mode, data: &str) -> Post {
    Post::signed(mode, mode.envelope().with("data", data).text())
}

fn with_id(mode: Mode, id: &str) -> Post {
    Post::signed(mode, mode.envelope().with("id", id).text())
}

fn with_signature(mode: Mode, value: &str) -> Post {
    Post::unsigned(mode, mode.envelope().with("signature", value).text())
}

fn quoted(length: usize) -> String {
    format!("\"{}\"", "x".repeat(length))
}

fn stamp(mode: Mode, timestamp: &str) -> Post {
    Post::stamped(mode, DELIVERY_ID, timestamp)
}

fn at(mode: Mode, seconds: u64) -> Post {
    stamp(mode, &seconds.to_string())
}

fn identified(mode: Mode, id: &str) -> Post {
    Post::stamped(mode, id, &NOW.to_string())
}

/// Adds the right V1 signature to a V2 delivery.
fn v1_beside(post: Post) -> Post {
    let v1 = Post::signed(ShoppexV1, &post.body).signature();
    post.header("x-shoppex-signature", v1)
}

/// A replay: the captured signature over the captured signed text, which now hides in the `data` of another event.
fn nested(mode: Mode, signed: &str) -> Post {
    let signature = format!("\"{}\"", sound(mode).signature());
    let tag = hmac_sha256(CURRENT, signed);
    assert_eq!(signature, format!("\"sha256={tag}\""), "the text that was signed");
    Post::unsigned(mode, mode.envelope().with("signature", signature).with("data", signed).text())
}
