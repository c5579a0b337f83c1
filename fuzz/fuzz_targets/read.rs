//! Whatever a provider signs is read or refused by the rules: the payload's bytes and the ids survive every form.

#![no_main]

use hookgate_event::Event;
use hookgate_verify::{Account, Delivery, Reading, Scheme, Secrets, Unreadable, providers::Identity, scheme::Encoding};
use http::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;
use reference::{
    Mode, hex,
    json::{self, Fault, Kind, Node},
    mac, modes, opinion,
    opinions::Key,
    secret, sha256, signed_text, verifier, verify,
};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

// The first byte chooses the platform's mode, the rest is the body before it is signed.
fuzz_target!(init: reference::require_opinions(), |input: &[u8]| {
    let [mode, body @ ..] = input else { return };
    let modes = modes();
    let mode = modes[usize::from(*mode) % modes.len()];
    let mut all = Vec::new();
    for (index, form) in verifier(mode).schemes().iter().flat_map(|scheme| forms(mode, scheme, body)).enumerate() {
        all.push(read(mode, &form, index));
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

/// Every way in which the scheme may sign this body.
fn forms(mode: Mode, scheme: &Scheme, body: &[u8]) -> Vec<Form> {
    let Some(member) = scheme.signature_member() else {
        let upper = |text: &str, _: &[u8]| text.to_uppercase();
        let base64 = |_: &str, mac: &[u8]| verify::base64(mac);
        let same = |text: &str, _: &[u8]| text.to_owned();
        let spellings: &[fn(&str, &[u8]) -> String] = match scheme.encoding {
            Encoding::Hex => &[same, upper],
            Encoding::Base64 | Encoding::LowerHex => &[same],
            Encoding::HexOrBase64 => &[same, upper, base64],
        };
        return spellings.iter().map(|spell| signed(mode, scheme, body, spell)).collect();
    };
    // The signature in the first place, in the last, and spaced: for a body that has members, and no signature yet.
    let Ok(text) = std::str::from_utf8(body) else { return Vec::new() };
    let Ok(root) = json::parse(text) else { return Vec::new() };
    let Some(members) = root.members() else { return Vec::new() };
    if members.iter().any(|other| other.name.as_deref() == Some(member)) {
        return Vec::new();
    }
    let (Some(first), Some(last)) = (members.first(), members.last()) else { return Vec::new() };
    let form = |at: usize, place: String| {
        let (before, after) = text.split_at(at);
        signed(mode, scheme, format!("{before}{place}{after}").as_bytes(), |text, _| text.to_owned())
    };
    let forms = vec![
        form(first.written.start, format!("\"{member}\":\"\",")),
        form(last.value.span.end, format!(",\"{member}\":\"\"")),
        form(first.value.span.end, format!(",\t\"{member}\" : \"\"")),
    ];
    // Emptied, the place is part of what is signed: three events.
    if is_emptied(scheme) { forms.into_iter().take(1).collect() } else { forms }
}

/// Whether the place of a signature in the body is signed too.
fn is_emptied(scheme: &Scheme) -> bool {
    let Some(member) = scheme.signature_member() else { return false };
    let body = format!("{{\"{member}\":\"\"}}");
    scheme.signed_body(body.as_bytes()).expect("a signature").concat() != b"{}"
}

/// Signs as Hookgate's data says, with the MAC by ring.
fn signed(mode: Mode, scheme: &Scheme, body: &[u8], spell: impl Fn(&str, &[u8]) -> String) -> Form {
    // An id that is the event's identity stays the same, any other may differ.
    let is_identity = mode.0.identity == Identity::SignedHeader;
    let id = if is_identity { "whd_1".to_owned() } else { format!("whd_{}", body.len()) };
    let secret = secret(mode.0, SECRET);
    let signed = scheme.sign(secret.as_bytes(), body, &id, 0).expect("a place to sign");
    let delivery = delivery(&signed.headers, &signed.body, 0);
    let found = scheme.inspect(&delivery).expect("it is signed");
    let text = signed_text(scheme, &delivery).expect("it is signed");
    let mac = mac(scheme, secret.as_bytes(), &text).expect("a secret of the scheme's form");
    let old = &found.signatures[0];
    let written = if scheme.encoding == Encoding::Base64 { verify::base64(&mac) } else { hex(&mac) };
    assert_eq!(*old, written, "Hookgate's MAC is another than ring's");
    let new = spell(&written, &mac);
    let headers = signed.headers.into_iter().map(|(name, value)| (name, value.replace(old, &new)));
    let topic = topic(mode).map(|(name, value)| (name, value.to_owned()));
    let headers = headers.chain(topic).collect();
    Form { headers, body: signed.body }
}

/// The header that names the event, and a name, for a platform that signs none.
fn topic((provider, _): Mode) -> Option<(&'static str, &'static str)> {
    let Key::TopicAndContent(header) = opinion(provider).key else { return None };
    Some((header, provider.events[0].0))
}

const SECRET: &str = "a secret";

/// So many seconds later than it was signed.
fn delivery(headers: &[(&'static str, String)], body: &[u8], seconds: usize) -> Delivery {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(HeaderName::from_static(name), HeaderValue::from_str(value).expect("ASCII"));
    }
    let received = OffsetDateTime::from_unix_timestamp(i64::try_from(seconds).expect("few")).expect("1970");
    Delivery { headers: map, body: body.to_vec(), account: Account::default(), received }
}

/// What stays the same, however the delivery was signed and whenever it came.
#[derive(Debug, PartialEq)]
enum Said {
    Event { json: String, payload: String, key: String, content: String, digest: String },
    Unreadable(Unreadable),
}

fn read(mode: Mode, form: &Form, index: usize) -> Said {
    let delivery = delivery(&form.headers, &form.body, index);
    // The secret's position must not matter either.
    let (right, other) = (secret(mode.0, SECRET), secret(mode.0, "another"));
    let secrets = if index.is_multiple_of(2) { vec![right] } else { vec![other, right] };
    let secrets = Secrets::parse(&serde_json::to_string(&secrets).expect("text")).expect("secrets");
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
            Said::Event { json, payload, key, content, digest: authenticated.digest() }
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
fn expect(mode: Mode, body: &[u8], said: &Said) {
    let opinion = opinion(mode.0);
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

    let at = |path: &str| {
        let mut node = Some(root.clone());
        for name in path.split('.') {
            let object = node.filter(Node::names_are_text);
            node = object.and_then(|object| object.get(name).cloned()).filter(|node| node.kind != Kind::Null);
        }
        node
    };
    let name = at(opinion.name);
    let name_text = match topic(mode) {
        Some((_, name)) => Some(name.to_owned()),
        None => name.as_ref().and_then(string).filter(|name| (1..=256).contains(&name.len())),
    };
    let data = if opinion.payload.is_empty() { Some(root.clone()) } else { at(opinion.payload) };
    let about = if opinion.object.is_empty() { Some(root.clone()) } else { at(opinion.object) };
    let about = about.filter(Node::names_are_text);
    let id = match opinion.key {
        Key::Text(path) | Key::NameIdTime([_, path, _]) | Key::NameId([_, path]) => at(path),
        Key::Delivery | Key::Content | Key::TopicAndContent(_) => None,
    };
    let id = id.filter(|id| string(id).as_deref() != Some(""));
    let raw = |node: &Node| text[node.span.clone()].to_owned();
    let usable = |id: &Node| match &id.kind {
        Kind::String(Some(text)) => (1..=256).contains(&text.len()),
        Kind::Number => {
            let whole = raw(id).bytes().all(|byte| byte == b'-' || byte.is_ascii_digit());
            matches!(opinion.key, Key::NameIdTime(_) | Key::NameId(_)) && whole && id.span.len() <= 256
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
    let (Some(name_text), Some(data)) = (name_text, data) else { unreachable!() };
    let raw_name = || name.as_ref().map(raw).unwrap_or_default();
    let Said::Event { json, payload, key, content, digest } = said else { panic!("{said:?}: {text:?}") };
    assert_eq!(*payload, raw(&data), "the payload's bytes");
    let length = (name_text.len() as u64).to_be_bytes();
    assert_eq!(*content, sha256(&[&length, name_text.as_bytes(), payload.as_bytes()].concat()));
    if !verifier(mode).schemes().iter().any(is_emptied) {
        let expected = match topic(mode) {
            Some((_, name)) => sha256(format!("[\"{name}\",\"{}\"]", sha256(body)).as_bytes()),
            None => sha256(body),
        };
        assert_eq!(*digest, expected);
    }
    let expected = match (&opinion.key, id) {
        (Key::Delivery, _) => "whd_1".to_owned(),
        (_, None) | (Key::Content | Key::TopicAndContent(_), _) => digest.clone(),
        (Key::Text(_), Some(id)) => string(&id).expect("usable"),
        (Key::NameIdTime([_, _, time]), Some(id)) => match at(time) {
            Some(time) => sha256(format!("[{},{},{}]", raw_name(), raw(&id), raw(&time)).as_bytes()),
            None => digest.clone(),
        },
        (Key::NameId(_), Some(id)) => sha256(format!("[{},{}]", raw_name(), raw(&id)).as_bytes()),
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
