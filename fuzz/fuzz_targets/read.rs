//! Whatever a provider signs is read or refused by the rules: the payload's bytes and the ids survive every form.

#![no_main]

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use hookgate_event::Event;
use hookgate_verify::{Account, Delivery, Reading, Secrets, Unreadable};
use http::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;
use reference::{
    MODES, hex,
    json::{self, Fault, Kind, Node},
    sha256, verifier,
    verify::{hmac_sha256, hmac_sha512},
};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

const SECRET: &[u8] = b"a secret";

// The first byte chooses the platform, the rest is the body before it is signed.
fuzz_target!(|input: &[u8]| {
    let [mode, body @ ..] = input else { return };
    let mode = MODES[usize::from(*mode) % MODES.len()];
    let mut all = Vec::new();
    let forms = forms(mode, body);
    for (index, form) in forms.iter().enumerate() {
        all.push(read(mode, form, index));
    }
    let Some(first) = all.first() else { return };
    for other in &all[1..] {
        assert_eq!(other, first, "two ways of signing {:?} differ", String::from_utf8_lossy(body));
    }
    expect(mode, body, first);
});

/// One signed delivery.
struct Form {
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

/// Every way in which the platform may sign this body.
fn forms((provider, setting): (&str, &str), body: &[u8]) -> Vec<Form> {
    let in_header = |name, value| Form { headers: vec![(name, value)], body: body.to_vec() };
    let sha256 = hex(&hmac_sha256(SECRET, body));
    match provider {
        "elective" => vec![in_header("x-e-commerce-signature", sha256)],
        "etaildepot" => vec![in_header("etail-signature", sha256)],
        "w3block" => {
            let base64 = BASE64.encode(hmac_sha256(SECRET, body));
            let name = "x-w3block-commerce-signature";
            vec![in_header(name, sha256.to_uppercase()), in_header(name, sha256), in_header(name, base64)]
        }
        "shoppex" => {
            let stamped = |id: &str, time: &str| {
                let tag = hex(&hmac_sha256(SECRET, &[format!("{id}.{time}.").as_bytes(), body].concat()));
                let headers = vec![
                    ("x-shoppex-signature-v2", format!("v1,t={time},h={tag}")),
                    ("x-shoppex-delivery", id.to_owned()),
                    ("x-shoppex-timestamp", time.to_owned()),
                ];
                Form { headers, body: body.to_vec() }
            };
            let mut forms = vec![stamped("whd_1", "0"), stamped("whd_2", "12")];
            if setting == "false" {
                forms.push(in_header("x-shoppex-signature", hex(&hmac_sha512(SECRET, body))));
            }
            forms
        }
        "opterius" => opterius(setting, body),
        other => unreachable!("no platform {other}"),
    }
}

/// The signature in the first place, in the last, and spaced: for a body that has members, and no signature yet.
fn opterius(setting: &str, body: &[u8]) -> Vec<Form> {
    let text = std::str::from_utf8(body).ok();
    let Some(text) = text else { return Vec::new() };
    let Ok(root) = json::parse(text) else { return Vec::new() };
    let Some(members) = root.members() else { return Vec::new() };
    if members.iter().any(|member| member.name.as_deref() == Some("signature")) {
        return Vec::new();
    }
    let (Some(first), Some(last)) = (members.first(), members.last()) else { return Vec::new() };
    let form = |at: usize, open: &str, close: &str| {
        let (before, after) = (&text[..at], &text[at..]);
        let signed = if setting == "empty" { format!("{before}{open}{close}{after}") } else { text.to_owned() };
        let tag = hex(&hmac_sha256(SECRET, signed.as_bytes()));
        Form { headers: Vec::new(), body: format!("{before}{open}sha256={tag}{close}{after}").into_bytes() }
    };
    let forms = vec![
        form(first.written.start, "\"signature\":\"", "\","),
        form(last.value.span.end, ",\"signature\":\"", "\""),
        form(first.value.span.end, ",\t\"signature\" : \"", "\""),
    ];
    // Emptied, the place is part of what is signed: three events.
    if setting == "empty" { forms.into_iter().take(1).collect() } else { forms }
}

/// What stays the same, however the delivery was signed and whenever it came.
#[derive(Debug, PartialEq)]
enum Said {
    Event { json: String, payload: String, key: String, content: String, body_digest: String },
    Unreadable(Unreadable),
}

fn read(mode: (&str, &str), form: &Form, index: usize) -> Said {
    let mut headers = HeaderMap::new();
    for (name, value) in &form.headers {
        headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).expect("ASCII"));
    }
    let received = OffsetDateTime::from_unix_timestamp(i64::try_from(index).expect("few")).expect("1970");
    let delivery = Delivery { headers, body: form.body.clone(), account: Account::default(), received };
    // The secret's position must not matter either.
    let secrets = ["[\"a secret\"]", "[\"another\",\"a secret\"]"][index % 2];
    let secrets = Secrets::parse(secrets).expect("secrets");
    let authenticated = verifier(mode).authenticate(&delivery, &secrets).expect("it is signed");
    assert_eq!(authenticated.secret(), index % 2);
    match authenticated.read() {
        Err(unreadable) => Said::Unreadable(unreadable),
        Ok(reading) => {
            survives(&reading);
            let Reading { mut event, key, content, .. } = reading;
            // What the delivery adds to the event.
            event.received_time = String::new();
            event.delivery_id = None;
            let (json, payload) = (event.to_json(), event.data.payload.get().to_owned());
            assert_eq!(event.id, key);
            Said::Event { json, payload, key, content, body_digest: authenticated.body_digest() }
        }
    }
}

/// The event in the open, compressed and owned is the same event.
fn survives(reading: &Reading<'_>) {
    let event = &reading.event;
    let open = event.to_json();
    for written in [&open, &event.to_json_gzip()] {
        let again = Event::from_json(written).expect("what it wrote itself");
        assert_eq!(again.data.payload.get(), event.data.payload.get());
        assert_eq!(again.deduplication_key(), event.deduplication_key());
        assert_eq!(again.event_type, event.event_type);
        assert_eq!(again.into_owned().to_json(), open);
    }
    assert!(!event.id.is_empty() && event.subject.as_deref() != Some(""));
    let time = event.time.as_deref().map(|time| OffsetDateTime::parse(time, &Rfc3339).expect("RFC 3339"));
    assert_eq!(time, reading.time);
}

/// The rules, for a body as it was before the signature came into it.
fn expect((provider, setting): (&str, &str), body: &[u8], said: &Said) {
    let unreadable = |allowed: &[Unreadable]| {
        let body = String::from_utf8_lossy(body);
        let Said::Unreadable(why) = said else { panic!("{said:?} instead of {allowed:?}: {body:?}") };
        assert!(allowed.contains(why), "{why:?} instead of {allowed:?}: {body:?}");
    };
    if body.starts_with(b"\xef\xbb\xbf") {
        return unreadable(&[Unreadable::ByteOrderMark]);
    }
    let Ok(text) = std::str::from_utf8(body) else { return unreadable(&[Unreadable::NotUtf8]) };
    let root = match json::parse(text) {
        Ok(root) => root,
        Err(Fault::NotJson) => return unreadable(&[Unreadable::NotJson]),
        Err(Fault::TooDeep) => return,
    };
    let Some(members) = root.members() else { return unreadable(&[Unreadable::NotAnObject]) };
    if !root.names_are_text() {
        return unreadable(&[Unreadable::NotJson]);
    }
    let names: std::collections::BTreeSet<_> = members.iter().map(|member| &member.name).collect();
    if names.len() < members.len() {
        return unreadable(&[Unreadable::DuplicateKey]);
    }

    let there = |node: Option<&Node>| node.filter(|node| node.kind != Kind::Null).cloned();
    let object = |node: Option<Node>| node.filter(Node::names_are_text);
    let name = there(root.get(if provider == "etaildepot" { "type" } else { "event" }));
    let name_text = name.as_ref().and_then(string).filter(|name| (1..=256).contains(&name.len()));
    let data = object(there(root.get("data")));
    let about = match provider {
        "etaildepot" => data.as_ref().and_then(|data| object(there(data.get("object")))),
        _ => data.clone(),
    };
    let id = match provider {
        "shoppex" => None,
        "elective" | "etaildepot" => there(root.get("id")),
        _ => data.as_ref().and_then(|data| there(data.get("id"))),
    };
    let id = id.filter(|id| string(id).as_deref() != Some(""));
    let raw = |node: &Node| text[node.span.clone()].to_owned();
    let usable = |id: &Node| match &id.kind {
        Kind::String(Some(text)) => (1..=256).contains(&text.len()),
        Kind::Number => {
            let whole = raw(id).bytes().all(|byte| byte == b'-' || byte.is_ascii_digit());
            matches!(provider, "opterius" | "w3block") && whole && id.span.len() <= 256
        }
        _ => false,
    };

    let mut faults = Vec::new();
    faults.extend(name_text.is_none().then_some(Unreadable::EventName));
    faults.extend(about.is_none().then_some(Unreadable::Payload));
    faults.extend(id.as_ref().is_some_and(|id| !usable(id)).then_some(Unreadable::Id));
    if !faults.is_empty() {
        return unreadable(&faults);
    }
    let (Some(name), Some(name_text), Some(data)) = (name, name_text, data) else { unreachable!() };
    let Said::Event { json, payload, key, content, body_digest } = said else { panic!("{said:?}: {text:?}") };
    assert_eq!(*payload, raw(&data), "the payload's bytes");
    let length = (name_text.len() as u64).to_be_bytes();
    assert_eq!(*content, sha256(&[&length, name_text.as_bytes(), payload.as_bytes()].concat()));
    if setting != "empty" {
        assert_eq!(*body_digest, sha256(body));
    }
    let expected = match (provider, id) {
        (_, None) => body_digest.clone(),
        ("elective" | "etaildepot", Some(id)) => string(&id).expect("usable"),
        (_, Some(id)) => match there(root.get("timestamp")) {
            Some(time) => sha256(format!("[{},{},{}]", raw(&name), raw(&id), raw(&time)).as_bytes()),
            None => body_digest.clone(),
        },
    };
    assert_eq!(*key, expected, "{text:?}");
    money_as_written(json, &raw(&data));
}

/// An amount's digits stand in the payload, with nothing before or behind that belongs to them.
fn money_as_written(json: &str, payload: &str) {
    let event = Event::from_json(json).expect("an event");
    let Some(amount) = event.data.amount else { return };
    let number = |c: char| c.is_ascii_digit() || matches!(c, '.' | '-' | '+' | 'e' | 'E');
    let unescaped = json::parse(payload).expect("the payload is JSON");
    let mut written = Vec::new();
    texts(&unescaped, payload, &mut written);
    assert!(amount.value.chars().all(number) && written.contains(&amount.value), "{:?} in {payload:?}", amount.value);
    let iso = |code: &String| code.len() == 3 && code.chars().all(|c| c.is_ascii_uppercase());
    assert!(amount.currency.as_ref().is_none_or(iso));
}

/// Every number and string in a value, as written and as meant.
fn texts(node: &Node, text: &str, all: &mut Vec<String>) {
    match &node.kind {
        Kind::Number => all.push(text[node.span.clone()].to_owned()),
        Kind::String(meant) => all.extend(meant.clone()),
        Kind::Array(list) => list.iter().for_each(|node| texts(node, text, all)),
        Kind::Object(members) => members.iter().for_each(|member| texts(&member.value, text, all)),
        Kind::Null | Kind::Bool => {}
    }
}

fn string(node: &Node) -> Option<String> {
    if let Kind::String(text) = &node.kind { text.clone() } else { None }
}
