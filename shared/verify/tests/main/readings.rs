//! What authentic deliveries say: types, facts, payloads, keys. All of it asks the platform's data where things stand.

use std::collections::BTreeSet;

use hookgate_event::{Amount, Event, EventType, Unit};
use hookgate_verify::{
    Unreadable,
    providers::{Identity, TimeFormat},
    scheme::Encoding,
};
use sha2::{Digest, Sha256};

use crate::{
    deliveries::sound,
    post::{Body, CURRENT, Case, DELIVERY_ID, EU_SHOP, NOTE, NOW, Outcome, PREVIOUS, Post, cases, platforms, quoted},
};

/// Values that are no id, and no text either.
const NO_ID: &[&str] = &["null", "{}", "[]", "[\"x\"]", "true", "1.5", "1e3", "\"\"", r#""\ud800""#];

/// One case for each platform: what a delivery says depends on no scheme.
fn readers() -> Vec<Case> {
    platforms().map(|provider| cases().into_iter().find(|case| case.provider.name == provider.name).unwrap()).collect()
}

fn read(case: Case, body: &Body) -> Event<'static> {
    Post::signed(case, body.text()).called(&body.topic).read().event
}

/// None where the event's identity is no id, which may be the very value that a test is about.
fn maybe(case: Case, body: &Body) -> Option<Event<'static>> {
    let post = Post::signed(case, body.text()).called(&body.topic);
    let is_unreadable = post.outcome() == Outcome::Unreadable(Unreadable::Id);
    assert!(!is_unreadable || case.id_paths().iter().any(|path| path.starts_with(case.provider.fields.object)));
    (!is_unreadable).then(|| post.read().event)
}

#[test]
fn every_name_in_the_table_has_its_type_and_subject() {
    for case in readers() {
        for (name, event_type) in case.provider.events {
            let event = read(case, &case.body_of(name));
            assert_eq!(event.event_type, *event_type, "{case:?} {name}");
            let kind = event_type.resource_kind().unwrap();
            assert_eq!(event.subject, Some(format!("{kind}/8f3e")), "{case:?} {name}");
            assert_eq!(event.provider_type, *name);
            let Some(path) = case.provider.fields.name.member() else { continue };
            let escaped = format!("\"\\u{:04x}{}\"", name.as_bytes()[0], &name[1..]);
            let again = read(case, &case.body_of(name).with(path, escaped));
            assert_eq!(
                (again.event_type, &again.provider_type[..]),
                (*event_type, *name),
                "{case:?}: spelled with an escape"
            );
        }
    }
}

#[test]
fn an_unknown_name_is_unrecognized_and_keeps_what_it_is_about() {
    for case in readers() {
        let known = case.event_name();
        let first =
            |name: &str| name.split(|c: char| !c.is_alphanumeric()).find(|word| !word.is_empty()).unwrap().to_owned();
        let near = [
            format!("{known} "),
            format!("{known}.x"),
            known.to_uppercase(),
            known[..known.len() - 1].to_owned(),
            "commerce.order.paid".to_owned(),
            "parcel/lost".to_owned(),
            "PARCEL lost".to_owned(),
            "parcel".to_owned(),
            " parcel".to_owned(),
            "/parcel/lost".to_owned(),
            "kolli:förlorad".to_owned(),
        ];
        for name in near.into_iter().filter(|name| can_be_called(case, name)) {
            let kind = first(&name);
            let event = read(case, &case.body_of(&name));
            assert_eq!(event.event_type, EventType::Unrecognized, "{case:?} {name}");
            assert_eq!(event.event_type.as_str(), "commerce.unrecognized");
            assert_eq!(event.subject, Some(format!("{kind}/8f3e")), "{case:?} {name}");
            let resource = event.data.resource.unwrap();
            assert_eq!((resource.kind, &resource.id[..]), (kind, "8f3e"), "{case:?} {name}");
            assert_eq!(event.provider_type, name);
            assert!(event.data.payload.get().contains("hello"), "the payload is there all the same");
        }
        // A name without a word is about nothing that has a name.
        for name in ["*", "...", " ", "\0", "/"].into_iter().filter(|name| can_be_called(case, name)) {
            let event = read(case, &case.body_of(name));
            assert_eq!(event.event_type, EventType::Unrecognized, "{case:?} {name}");
            assert_eq!((event.subject, event.data.resource), (None, None), "{case:?} {name}");
        }
    }
}

/// A header carries visible ASCII only.
fn can_be_called(case: Case, name: &str) -> bool {
    case.provider.fields.name.member().is_some() || name.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Takes a fact from a body whose object has nothing but what is put there.
type Fact = fn(Event<'static>) -> Option<String>;

/// Every fact that is an id, with its paths: the resource for each kind, and the customer.
fn ids(case: Case) -> Vec<(&'static str, &'static str, &'static [&'static str], Fact)> {
    let fields = &case.provider.fields;
    let resource: Fact = |event| event.data.resource.map(|resource| resource.id);
    let customer: Fact = |event| event.data.customer.map(|customer| customer.id);
    let mut all = vec![("customer", case.event_name(), fields.customer, customer)];
    let mut kinds = BTreeSet::new();
    for (name, _) in case.provider.events {
        let kind = case.provider.kind(name);
        if kinds.insert(kind) {
            all.push((kind, name, fields.resource_paths(kind), resource));
        }
    }
    all.push(("an unknown kind", "parcel/lost", fields.resource_paths("parcel"), resource));
    all
}

fn bare(case: Case, name: &str) -> Body {
    case.about_in(case.body_of(name), "{}")
}

#[test]
fn ids_are_text_whatever_they_were() {
    let (long, longer) = ("x".repeat(256), "x".repeat(257));
    let (digits, more_digits) = ("7".repeat(256), "7".repeat(257));
    for case in readers() {
        for (what, name, paths, fact) in ids(case) {
            assert!(!paths.is_empty() || what == "customer", "{case:?}: no id for {what}");
            for path in paths {
                let path = case.inside(path);
                let get = |value: &str| maybe(case, &bare(case, name).with(&path, value)).and_then(fact);
                for (value, expected) in [
                    ("305", "305"),
                    ("\"305\"", "305"),
                    ("-1", "-1"),
                    ("0", "0"),
                    ("\" a \"", " a "),
                    (r#""\u0061""#, "a"),
                    ("123456789012345678901234567890", "123456789012345678901234567890"),
                    (&quoted(&long), &long),
                    (&digits, &digits),
                ] {
                    assert_eq!(get(value).as_deref(), Some(expected), "{case:?} {what} at {path}: {value}");
                }
                for value in NO_ID.iter().copied().chain([&quoted(&longer)[..], &more_digits]) {
                    assert_eq!(get(value), None, "{case:?} {what} at {path}: {value}");
                }
            }
            assert_eq!(fact(read(case, &bare(case, name))), None, "{case:?}: no {what}");
        }
    }
}

/// Puts `first` at one path and `second` at a later one, for every two that can both be there.
fn in_order(case: Case, name: &str, paths: &[&str], check: impl Fn(&Body, &str, &str)) {
    for (index, earlier) in paths.iter().enumerate() {
        for later in &paths[index + 1..] {
            let nested = |a: &str, b: &str| a.strip_prefix(b).is_some_and(|rest| rest.starts_with('.'));
            if !nested(earlier, later) && !nested(later, earlier) {
                check(&bare(case, name), &case.inside(earlier), &case.inside(later));
            }
        }
    }
}

#[test]
fn the_first_usable_alternative_counts() {
    for case in readers() {
        for (what, name, paths, fact) in ids(case) {
            in_order(case, name, paths, |body, earlier, later| {
                let get = |first: &str, second: &str| {
                    fact(read(case, &body.clone().with(later, second).with(earlier, first)))
                };
                let is_identity = case.id_paths().contains(&earlier);
                assert_eq!(get("\"a\"", "\"b\"").as_deref(), Some("a"), "{case:?} {what}: {earlier} before {later}");
                // Of an identity only a missing one is passed over.
                for no_id in NO_ID.iter().filter(|no_id| !is_identity || matches!(**no_id, "null" | "\"\"")) {
                    assert_eq!(get(no_id, "\"b\"").as_deref(), Some("b"), "{case:?} {what}: {earlier} is {no_id}");
                }
            });
            // An alternative that leads through the other: an object there, or the id itself.
            for path in paths.iter().filter(|path| path.contains('.')) {
                let (outer, _) = path.rsplit_once('.').unwrap();
                let body = bare(case, name).with(&case.inside(outer), "\"c\"");
                let expected = paths.contains(&outer).then(|| "c".to_owned());
                assert_eq!(fact(read(case, &body)), expected, "{case:?} {what}: {outer} for {path}");
            }
        }
        let fields = &case.provider.fields;
        in_order(case, case.event_name(), fields.amount, |body, earlier, later| {
            let body = |first: &str| body.clone().with(later, "2").with(earlier, first);
            let value = |first: &str| read(case, &body(first)).data.amount.unwrap().value;
            assert_eq!(value("1"), "1", "{case:?}: {earlier} before {later}");
            for unusable in ["null", "{}", "true", "\"free\"", "\"\""] {
                assert_eq!(value(unusable), "2", "{case:?}: {earlier} is {unusable}");
            }
        });
        in_order(case, case.event_name(), fields.currency, |body, earlier, later| {
            let Some(amount) = fields.amount.first() else { return };
            let body =
                |first: &str| body.clone().with(&case.inside(amount), "1").with(later, "\"EUR\"").with(earlier, first);
            let code = |first: &str| read(case, &body(first)).data.amount.unwrap().currency;
            assert_eq!(code("\"USD\"").as_deref(), Some("USD"), "{case:?}: {earlier} before {later}");
            assert_eq!(code("978").as_deref(), Some("EUR"), "{case:?}: {earlier} before {later}");
        });
        in_order(case, case.event_name(), fields.status, |body, earlier, later| {
            let body = |first: &str| body.clone().with(later, "\"b\"").with(earlier, first);
            let status = |first: &str| read(case, &body(first)).data.status;
            assert_eq!(status("\"a\"").as_deref(), Some("a"), "{case:?}: {earlier} before {later}");
            assert_eq!(status("7").as_deref(), Some("b"), "{case:?}: {earlier} before {later}");
        });
    }
}

#[test]
fn of_two_members_of_one_name_the_last_counts() {
    for case in readers() {
        for (what, name, paths, fact) in ids(case) {
            // Not in the body itself, which is unreadable then.
            let has_object = !case.provider.fields.object.is_empty();
            for path in paths.iter().filter(|path| has_object && !path.contains('.')) {
                let object = format!(r#"{{"{path}":1,"{path}":2}}"#);
                let body = case.about_in(case.body_of(name), object);
                assert_eq!(fact(read(case, &body)).as_deref(), Some("2"), "{case:?} {what}: as parsers do");
            }
        }
    }
}

#[test]
fn amounts_keep_their_digits() {
    let long = "9".repeat(256);
    let longer = "9".repeat(257);
    for case in readers() {
        let fields = &case.provider.fields;
        for path in fields.amount {
            let amount = |value: &str, currency: Option<(&str, &str)>| {
                let body = bare(case, case.event_name()).with(&case.inside(path), value);
                let body = match currency {
                    Some((path, code)) => body.with(&case.inside(path), code),
                    None => body,
                };
                read(case, &body).data.amount
            };
            for (value, digits) in [
                ("5500", "5500"),
                ("0", "0"),
                ("-1", "-1"),
                ("49.90", "49.90"),
                ("29.990000000000001", "29.990000000000001"),
                ("1e400", "1e400"),
                (r#""49.90""#, "49.90"),
                ("99999999999999999999999999999", "99999999999999999999999999999"),
                (&long, &long),
            ] {
                let plain = Amount { value: digits.to_owned(), unit: fields.unit, currency: None };
                assert_eq!(amount(value, None), Some(plain), "{case:?} {path}: {value}");
                for currency in fields.currency {
                    let expected =
                        Amount { value: digits.to_owned(), unit: fields.unit, currency: Some("EUR".to_owned()) };
                    assert_eq!(amount(value, Some((currency, "\"EUR\""))), Some(expected), "{case:?} {path}: {value}");
                }
            }
            for value in [
                "null",
                "true",
                "{}",
                "[5500]",
                r#""""#,
                r#"" 5""#,
                r#""5 ""#,
                r#""5,00""#,
                r#""0x10""#,
                r#""free""#,
                &longer,
                &quoted(&longer),
            ] {
                assert_eq!(amount(value, None), None, "{case:?} {path}: {value}");
            }
            for currency in fields.currency {
                for (code, expected) in [
                    (r#""eur""#, Some("EUR")),
                    (r#""euro""#, None),
                    (r#""eu1""#, None),
                    ("978", None),
                    ("null", None),
                    ("{}", None),
                    (r#""""#, None),
                    (r#""€""#, None),
                ] {
                    let got = amount("1", Some((currency, code))).unwrap().currency;
                    assert_eq!(got.as_deref(), expected, "{case:?} {currency}: {code}");
                }
            }
        }
        // A currency alone is no amount.
        if let Some(currency) = fields.currency.first() {
            let body = bare(case, case.event_name()).with(&case.inside(currency), "\"EUR\"");
            assert_eq!(read(case, &body).data.amount, None, "{case:?}");
        }
    }
    let units: BTreeSet<_> = readers().iter().map(|case| case.provider.fields.unit == Unit::Minor).collect();
    assert_eq!(units.len(), 2, "both units are met");
}

#[test]
fn a_status_is_text() {
    let (long, longer) = ("x".repeat(256), "x".repeat(257));
    for case in readers() {
        for path in case.provider.fields.status {
            let status =
                |value: &str| read(case, &bare(case, case.event_name()).with(&case.inside(path), value)).data.status;
            for (value, expected) in [
                ("\"paid\"", Some("paid")),
                (r#""p\u0061id""#, Some("paid")),
                ("\"\"", Some("")),
                (&quoted(&long), Some(&long[..])),
                (&quoted(&longer), None),
                ("null", None),
                ("7", None),
                ("true", None),
                ("{}", None),
                ("[\"paid\"]", None),
                (r#""\ud800""#, None),
            ] {
                assert_eq!(status(value).as_deref(), expected, "{case:?} {path}: {value}");
            }
        }
    }
}

#[test]
fn a_member_that_no_path_names_says_nothing() {
    for case in readers() {
        let fields = &case.provider.fields;
        let others = readers();
        let named = |paths: &[&str], name: &str| paths.iter().any(|path| path.split('.').next() == Some(name));
        // What the other platforms call these things.
        let theirs = others.iter().flat_map(|other| {
            let fields = &other.provider.fields;
            [fields.amount, fields.currency, fields.customer, fields.status].concat()
        });
        let mine = |name: &str| {
            let resource = fields.resource.iter().any(|(_, paths)| named(paths, name));
            resource || [fields.amount, fields.currency, fields.customer, fields.status].iter().any(|p| named(p, name))
        };
        let body = theirs
            .filter(|path| !mine(path.split('.').next().unwrap()))
            .fold(bare(case, case.event_name()), |body, path| body.with(&case.inside(path), "\"7\""));
        let data = read(case, &body).data;
        assert_eq!((data.resource, data.amount, data.customer, data.status), (None, None, None, None), "{case:?}");
    }
}

#[test]
fn the_source_names_the_account() {
    for case in cases() {
        let post = Post::signed_by(case, &case.secret(EU_SHOP), case.body().text()).to("eu-shop");
        let event = post.read().event;
        let provider = case.provider.name;
        assert_eq!(event.source, format!("/webhooks/{provider}/eu-shop"));
        assert_eq!((&event.account[..], &event.provider[..]), ("eu-shop", provider));
        assert_eq!(event.received_time, "2026-03-14T16:00:00.000Z");
    }
}

#[test]
fn a_time_that_is_none_is_left_out() {
    let usual = ["null", "{}", "[]", "true", "1e400", "1.5", "99999999999999999999", "-99999999999999999", r#""soon""#];
    for case in readers() {
        let path = case.provider.fields.time;
        let bodies = usual.iter().map(|time| case.body().with(path, *time)).chain([case.body().without(path)]);
        for body in bodies {
            let reading = Post::signed(case, body.text()).read();
            assert_eq!((reading.time, reading.event.time), (None, None), "{case:?} {}", body.text());
        }
    }
}

#[test]
fn times_are_read_by_their_format_and_size() {
    // Numbers are no RFC 3339, texts no Unix time.
    let unix = [
        ("1736611200", Some("2025-01-11T16:00:00Z")),
        ("1736611200000", Some("2025-01-11T16:00:00Z")),
        ("1736611200007", Some("2025-01-11T16:00:00.007Z")),
        ("99999999999", Some("5138-11-16T09:46:39Z")),
        ("100000000000", Some("1973-03-03T09:46:40Z")),
        ("0", Some("1970-01-01T00:00:00Z")),
        ("-1", Some("1969-12-31T23:59:59Z")),
        ("-100000000000", Some("1966-10-31T14:13:20Z")),
        ("253402300799999", Some("9999-12-31T23:59:59.999Z")),
        ("253402300800000", None),
        ("\"1736611200\"", None),
        (r#""2025-01-11T16:00:00Z""#, None),
    ];
    let rfc3339 = [
        (r#""2026-04-15T14:22:30Z""#, Some("2026-04-15T14:22:30Z")),
        (r#""2026-04-15T14:22:30+00:00""#, Some("2026-04-15T14:22:30Z")),
        (r#""2026-04-15T14:22:30+0000""#, Some("2026-04-15T14:22:30Z")),
        (r#""2026-04-15T16:22:30.5+02:00""#, Some("2026-04-15T14:22:30.5Z")),
        (r#""2026-04-15T09:52:30.5-0430""#, Some("2026-04-15T14:22:30.5Z")),
        (r#""2026-04-15T14:22:30\u005a""#, Some("2026-04-15T14:22:30Z")),
        (r#""2026-02-30T00:00:00Z""#, None),
        (r#""2026-04-15T14:22:30""#, None),
        (r#""2026-04-15T14:22:30+00""#, None),
        (r#""2026-04-15""#, None),
        (r#""1736611200""#, None),
        ("1736611200", None),
    ];
    let utc = [
        (r#""2017-03-22T16:28:02""#, Some("2017-03-22T16:28:02Z")),
        (r#""2017-03-22T16:28:02.5""#, Some("2017-03-22T16:28:02.5Z")),
        (r#""2017-03-22T16:28:0\u0032""#, Some("2017-03-22T16:28:02Z")),
        (r#""0000-01-01T00:00:00""#, Some("0000-01-01T00:00:00Z")),
        (r#""2017-03-22T16:28:02Z""#, None),
        (r#""2017-03-22T16:28:02+00:00""#, None),
        (r#""2017-03-22T16:28:02-03""#, None),
        (r#""2017-02-30T16:28:02""#, None),
        (r#""2017-03-22""#, None),
        (r#""""#, None),
        (r#""1490200082""#, None),
        ("1490200082", None),
    ];
    let mut met = BTreeSet::new();
    for case in readers() {
        let times = match case.provider.fields.time_format {
            TimeFormat::Unix => unix,
            TimeFormat::Rfc3339 => rfc3339,
            TimeFormat::Utc => utc,
        };
        met.insert(times[0].0);
        for (time, expected) in times {
            let event = read(case, &case.body().with(case.provider.fields.time, time));
            assert_eq!(event.time.as_deref(), expected, "{case:?} {time}");
        }
    }
    assert_eq!(met.len(), 3, "every format is met");
}

#[test]
fn null_is_never_written() {
    for case in cases() {
        let fields = &case.provider.fields;
        let resources = fields.resource.iter().flat_map(|(_, paths)| *paths);
        let facts = [fields.amount, fields.currency, fields.customer, fields.status].concat();
        let body = resources
            .chain(&facts)
            .fold(bare(case, case.event_name()), |body, path| body.with(&case.inside(path), "null"));
        let event = Post::signed(case, body.with(fields.time, "null").text()).read().event;
        let payload = event.data.payload.get().to_owned();
        let around = event.to_json().replace(&payload, "PAYLOAD");
        assert!(around.ends_with(r#","data":{"payload":PAYLOAD}}"#), "{case:?} {around}");
        assert!(!around.contains("null") && !around.contains("\"time\"") && !around.contains("subject"), "{around}");
    }
}

#[test]
fn the_payload_is_kept_byte_for_byte() {
    for object in [
        r#"{"id":1,"a":29.990000000000001,"b":1e400,"c":-0.0,"d":1E+2,"e":123456789012345678901234567890}"#,
        r#"{"z":1,"id":1,"a":2}"#,
        r#"{"id":1,"url":"https:\/\/a.example\/","name":"caf\u00e9","same":"café","half":"\ud83d","\u0061":1}"#,
        "{ \"id\" : 1 ,\n\t\"list\" : [ 1 , 2 ] }",
        r#"{"id":1,"twice":{"a":1,"a":2},"b":1,"b":2}"#,
        r#"{"id":1,"sig":"sha256=00","event":"order.paid","data":{}}"#,
        r#"{"id":1,"noncharacters":"￾￿","line":" "}"#,
    ] {
        // In a body that is the object itself, no member may be there twice.
        let twice = object.ends_with(r#""b":1,"b":2}"#);
        for case in cases().into_iter().filter(|case| !twice || !case.provider.fields.object.is_empty()) {
            let body = case.about(object).text();
            let event = Post::signed(case, &body).read().event;
            let payload = case.payload_of(&body);
            assert!(payload.contains(object.trim_end_matches('}')), "{case:?}");
            assert_eq!(event.data.payload.get(), payload, "{case:?}");
            let json = event.to_json();
            assert_eq!(Event::from_json(&json).unwrap().data.payload.get(), payload, "{case:?} on the wire");
            let gzip = event.to_json_gzip();
            assert_eq!(Event::from_json(&gzip).unwrap().data.payload.get(), payload, "{case:?} compressed");
        }
    }
}

#[test]
fn a_composite_key_is_the_hash_of_the_raw_tokens() {
    let mut met = false;
    for case in readers() {
        let Some(paths) = case.is_together() else { continue };
        met = true;
        let fields = &case.provider.fields;
        let name = quoted(case.event_name());
        for id in ["305", "\"305\"", r#""\u0033""#, "-1"] {
            let body = case.about("{}").with(fields.time, case.time());
            let body = case.id_paths().into_iter().fold(body, |body, path| body.with(path, id));
            let tokens: Vec<_> = paths
                .iter()
                .map(|path| match *path {
                    path if Some(path) == fields.name.member() => &name[..],
                    path if path == fields.time => case.time(),
                    _ => id,
                })
                .collect();
            let expected = sha256(&format!("[{}]", tokens.join(",")));
            assert_eq!(Post::signed(case, body.text()).read().key, expected, "{case:?} {id}");
            // Nothing else is in the key, and no white space.
            let spaced = format!(" {id}\n");
            let more = case.id_paths().into_iter().fold(body, |body, path| body.with(path, &spaced[..]));
            let more = more.with(&case.inside(NOTE), "1");
            assert_eq!(Post::signed(case, more.text()).read().key, expected, "{case:?} {id}");
        }
    }
    assert!(met);
}

#[test]
fn what_is_missing_of_a_composite_key_makes_the_signed_bytes_the_key() {
    for case in readers() {
        let Some(paths) = case.is_together() else { continue };
        let fields = &case.provider.fields;
        for path in paths.iter().filter(|path| Some(**path) != fields.name.member()) {
            let missing = [case.body().without(path), case.body().with(path, "null")];
            // An empty time is a time, which says nothing, and an empty id is none.
            let empty = case.body().with(path, "\"\"");
            let bodies = if *path == fields.time { missing.to_vec() } else { [&missing[..], &[empty]].concat() };
            for body in bodies {
                assert_eq!(Post::signed(case, body.text()).read().key, signed_digest(case, &body), "{case:?} {path}");
            }
        }
    }
}

#[test]
fn an_id_of_its_own_is_the_key() {
    let mut met = false;
    for case in cases() {
        let Identity::Id(path) = case.provider.identity else { continue };
        met = true;
        let key = |id: &str| Post::signed(case, case.body().with(path, id).text()).read().key;
        assert_eq!(key(r#""evt_1""#), "evt_1");
        assert_eq!(key(r#""evt\u005f1""#), "evt_1", "the same id, written otherwise");
        assert_eq!(key(r#"" evt_1""#), " evt_1");
        let numeric = Post::signed(case, case.body().with(path, "1").text()).outcome();
        assert_eq!(numeric, Outcome::Unreadable(Unreadable::Id));
        for body in [case.body().without(path), case.body().with(path, "null"), case.body().with(path, "\"\"")] {
            assert_eq!(Post::signed(case, body.text()).read().key, signed_digest(case, &body), "{case:?}");
        }
    }
    assert!(met);
}

#[test]
fn the_content_alone_is_the_key() {
    let mut met = false;
    for case in cases() {
        let Identity::Content = case.provider.identity else { continue };
        met = true;
        let body = case.body().and("message-id", r#""evt_1""#);
        assert_eq!(Post::signed(case, body.text()).read().key, signed_digest(case, &body), "{case:?}");
        assert_ne!(sound(case).read().key, signed_digest(case, &body));
    }
    assert!(met);
}

#[test]
fn a_signed_header_is_the_key() {
    let mut met = false;
    for case in cases() {
        let Identity::SignedHeader = case.provider.identity else { continue };
        met = true;
        assert!(case.scheme.id_header().is_some(), "{case:?}");
        for id in ["whd_2", "7", &"w".repeat(128)] {
            let post = Post::stamped(case, id, &NOW.to_string());
            assert_eq!(post.read().key, id, "{case:?}");
            assert_eq!(post.read().event.delivery_id.as_deref(), Some(id), "{case:?}");
            assert_eq!(post.read().content, sound(case).read().content, "{case:?}");
        }
    }
    assert!(met);
}

/// A header counts only where the signature covers it: neither what another scheme would sign, nor what no scheme signs,
/// is the event's id.
#[test]
fn an_unsigned_header_is_no_identity() {
    let headers: BTreeSet<_> = cases().iter().filter_map(|case| case.scheme.id_header()).collect();
    for case in cases() {
        let first = sound(case).read();
        let signed = case.scheme.id_header().map(|_| DELIVERY_ID.to_owned());
        assert_eq!(first.event.delivery_id, signed, "{case:?}");
        let unsigned = headers.iter().filter(|header| Some(**header) != case.scheme.id_header());
        let more = unsigned.fold(sound(case), |post, header| post.header(header, "fresh")).read();
        assert_eq!((&more.key, &more.content), (&first.key, &first.content), "{case:?}");
        assert_eq!(more.event.to_json(), first.event.to_json(), "{case:?}");
    }
}

/// One body by every scheme that a mode accepts, at other times and under other ids: a replay whose newer signature was
/// stripped must meet the claim that the first delivery left.
#[test]
fn unsigned_trimmings_make_no_new_key() {
    for case in cases() {
        if case.provider.identity != Identity::SignedHeader {
            let first = sound(case).read();
            let again = Post::stamped(case, "whd_def456", &(NOW + 5).to_string()).read();
            assert_eq!((&again.key, &again.content), (&first.key, &first.content), "{case:?}");
            assert_eq!(again.event.id, first.event.id);
            if case.scheme.encoding != Encoding::LowerHex {
                let upper = sound(case).upper_case().read();
                assert_eq!((&upper.key, &upper.content), (&first.key, &first.content), "{case:?}");
            }
            for older in case.older() {
                let body = case.body().text();
                let stripped = Post::signed(older, &body).read();
                assert_eq!((&stripped.key, &stripped.content), (&first.key, &first.content), "{older:?}");
            }
        }
    }
    // A signature in the body, without an id to go by: in another case, in other places, amid other white space.
    for case in cases().into_iter().filter(|case| case.scheme.signature_member().is_some()) {
        let member = case.scheme.signature_member().unwrap();
        let body = case.about("{}");
        let body = case.id_paths().into_iter().fold(body, Body::without);
        let first = Post::signed(case, body.text());
        assert_eq!(first.read().key, signed_digest(case, &body), "{case:?}");
        assert_eq!(first.clone().upper_case().read().key, first.read().key, "{case:?}");
        for place in (0..body.members()).filter(|_| !case.signs_its_place()) {
            let moved = Post::signed(case, body.clone().moved(member, place).text());
            assert_eq!(moved.read().key, first.read().key, "{case:?}: at {place}");
            let spaced = moved.text(|text| text.replace(&format!("\"{member}\":"), &format!("\"{member}\" \t:\r\n ")));
            assert_eq!(spaced.read().key, first.read().key, "{case:?}: at {place}, spaced");
        }
    }
}

#[test]
fn the_content_hash_covers_name_and_payload_and_nothing_else() {
    for case in cases() {
        let fields = &case.provider.fields;
        let body = |name: &str, time: &str, object: &str| {
            let body = case.about("{}").with(fields.time, time).with(&case.inside(NOTE), object);
            fields.name.member().map_or(body.clone(), |path| body.with(path, name)).text()
        };
        let content = |name: &str, time: &str, object: &str| {
            let said: String = serde_json::from_str(name).unwrap();
            Post::signed(case, body(name, time, object)).called(&said).read().content
        };
        let first = content(r#""a""#, "1", r#"{"id":1}"#);
        let payload = fields.payload_member();
        let is_outside = payload.is_some_and(|payload| fields.time.split('.').next() != Some(payload));
        if is_outside {
            assert_eq!(content(r#""a""#, "2", r#"{"id":1}"#), first, "{case:?}: the envelope's time");
        } else if payload.is_none() {
            assert_ne!(content(r#""a""#, "2", r#"{"id":1}"#), first, "{case:?}: all of the body");
        }
        if fields.payload_member().is_some() || fields.name.member().is_none() {
            assert_eq!(content(r#""\u0061""#, "1", r#"{"id":1}"#), first, "{case:?}: the same name");
        }
        assert_ne!(content(r#""b""#, "1", r#"{"id":1}"#), first, "{case:?}: another name");
        assert_ne!(content(r#""a""#, "1", r#"{"id":2}"#), first, "{case:?}: another payload");
        assert_ne!(content(r#""a""#, "1", r#"{"id": 1}"#), first, "{case:?}: other bytes");
        // Claims outlive a deployment: another formula would send every redelivery into quarantine.
        let payload = case.payload_of(&body(r#""a""#, "1", r#"{"id":1}"#));
        let pinned =
            hex::encode(Sha256::digest([&[0, 0, 0, 0, 0, 0, 0, 1], b"a".as_slice(), payload.as_bytes()].concat()));
        assert_eq!(first, pinned, "{case:?}");
        let by_another_secret = Post::signed_by(case, &case.secret(PREVIOUS), case.body().text()).read();
        assert_eq!(by_another_secret.content, sound(case).read().content);
        assert_ne!(case.secret(PREVIOUS), case.secret(CURRENT));
    }
}

/// SHA-256 over what of this body is signed: all of it, but for the signature's own place.
fn signed_digest(case: Case, body: &Body) -> String {
    let digest = match case.scheme.signature_member() {
        Some(member) if !case.signs_its_place() => sha256(&body.clone().without(member).text()),
        _ => sha256(&body.text()),
    };
    match case.provider.fields.name.member() {
        Some(_) => digest,
        None => sha256(&format!("[{},\"{digest}\"]", quoted(&body.topic))),
    }
}

/// The same bytes are rightly sent under several names that nobody signs: each is an event of its own, once.
#[test]
fn an_unsigned_name_is_part_of_the_key() {
    let mut met = false;
    for case in cases().into_iter().filter(|case| case.provider.fields.name.member().is_none()) {
        met = true;
        let names = ["sale/done", "bill/paid", "sale/done\"", "\\u0073ale/done"];
        let readings = names.map(|name| sound(case).called(name).read());
        let keys: BTreeSet<_> = readings.iter().map(|reading| &reading.key).collect();
        let contents: BTreeSet<_> = readings.iter().map(|reading| &reading.content).collect();
        assert_eq!((keys.len(), contents.len()), (names.len(), names.len()), "{case:?}");
        for (name, reading) in names.iter().zip(&readings) {
            assert_eq!(reading.event.provider_type, *name);
            assert_eq!(reading.key, signed_digest(case, &case.body().called(name)), "{case:?}");
            let digest = sound(case).called(name).authenticate(|proof| proof.ok().unwrap().digest());
            assert_eq!(reading.key, digest, "what goes to quarantine keeps names apart too");
        }
        // A name that is none makes no new key: whoever captured a delivery fills the quarantine once.
        let digests = ["", "sale done", "a,b"]
            .map(|name| sound(case).called(name).authenticate(|proof| proof.ok().unwrap().digest()));
        assert_eq!(digests, [0; 3].map(|_| sha256(&case.body().text())), "{case:?}");
    }
    assert!(met);
}

fn sha256(text: &str) -> String {
    hex::encode(Sha256::digest(text))
}
