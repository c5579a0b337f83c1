//! `hookgate explain`: every diagnosis by a request that has it, and the command as a person runs it.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use hookgate::{
    capture::{self, Request},
    explain::{Explanation, explain},
    json::{Escapes, Json, Space, Style},
};
use hookgate_event::{EventType, Unit};
use hookgate_verify::{
    Account, Delivery, Provider, Scheme, Secrets, Verifier,
    providers::{self, Deliveries, Fields, Identity, Name, Payload, Ping, Registration, Retries, TimeFormat},
    scheme::{Encoding, FieldsForm, Form, Hash, KeyForm, Piece, Place, Time},
};
use serde_json::{Value, json};
use time::OffsetDateTime;

mod support;

use support::{event, find, first, scheme, with_ids};

const SECRET: &str = "whsec_c2VjcmV0LXNlY3JldA==";
/// What stands in base64 in it.
const DECODED: &[u8] = b"secret-secret";
const NOW: i64 = 1_773_504_000;
const COMPACT: Style = Style { space: Space::None, escapes: Escapes::Least, sorted: false };

/// A platform with everything that no other may have: a key in base64, signatures in base64, times without a field of
/// their own.
static STRANGE: Provider = Provider {
    name: "strange",
    title: "Strange",
    documentation: "https://example.com",
    rejected_status: 403,
    setting: Some("STRANGE"),
    modes: &[("new", &[FIELDS]), ("old", &[STAMPED, PREFIXED]), ("body", &[MEMBER])],
    fields: Fields {
        name: Name::Member("what"),
        time: "at",
        time_format: TimeFormat::Unix,
        payload: Payload::Member,
        object: "outer.inner",
        resource: &[("", &["key"])],
        amount: &[],
        unit: Unit::Minor,
        currency: &[],
        customer: &[],
        status: &[],
    },
    identity: Identity::Id("nr"),
    events: &[("sale/done", EventType::OrderPaid)],
    deliveries: Deliveries {
        deadline: None,
        retries: Retries::Unknown,
        not_a_webhook: &["x-strange-ping"],
        ping: None,
    },
    registration: Registration { steps: &[], call: None },
};
const FIELDS: Scheme = Scheme {
    name: "fields",
    key: KeyForm::Base64("key_"),
    form: Form::Fields(FieldsForm { separator: ';', several: true, ..FieldsForm::EQUALS_COMMA }),
    signed: &[Piece::Timestamp, Piece::Text(":"), Piece::Body],
    time: Some(Time { header: None, tolerance: 60 }),
    ..Scheme::header("x-strange-fields")
};
const STAMPED: Scheme = Scheme {
    name: "stamped",
    encoding: Encoding::Base64,
    signed: &[Piece::Header("x-strange-id"), Piece::Text("/"), Piece::Timestamp, Piece::Body],
    time: Some(Time { header: Some("x-strange-time"), tolerance: 60 }),
    ..Scheme::header("x-strange-stamped")
};
const PREFIXED: Scheme =
    Scheme { name: "prefixed", hash: Hash::Sha512, form: Form::Prefix("h="), ..Scheme::header("x-strange-prefixed") };
const MEMBER: Scheme = Scheme {
    name: "member",
    place: Place::Member("proof"),
    signed: &[Piece::BodyWithEmptySignature],
    ..Scheme::header("")
};

fn platforms() -> impl Iterator<Item = &'static Provider> {
    providers::ALL.iter().copied().chain([&STRANGE])
}

/// A body that says something to everybody: letters outside ASCII, slashes, a number that ends in zero.
fn body(provider: &'static Provider) -> String {
    let mut body = Json::parse(b"{}").unwrap();
    let fields = &provider.fields;
    let object = |path: &str| fields.in_object(path);
    let id = match provider.identity {
        Identity::Id(path) => Some(path),
        _ => None,
    };
    let resource = fields.resource_paths(provider.kind(event(provider)))[0];
    for (path, value) in [
        (object(resource), Json::text("inv_8f3e")),
        (object("url"), Json::text("https://é.example/")),
        (object("price"), Json::Token("1.10".to_owned())),
    ] {
        body.set(&path, value).unwrap();
    }
    for (path, value) in
        id.map(|path| (path, "evt_1")).into_iter().chain(fields.name.member().map(|path| (path, event(provider))))
    {
        body.set(path, Json::text(value)).unwrap();
    }
    body.write(COMPACT)
}

/// A request that is right until a test spoils it.
#[derive(Clone)]
struct Case {
    provider: &'static Provider,
    scheme: &'static Scheme,
    mode: Option<&'static str>,
    secrets: Value,
    account: &'static str,
    now: i64,
    line: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Case {
    /// Signed as the platform does, by this scheme, in a mode that accepts it.
    fn of(provider: &'static Provider, mode: &'static str, scheme: &'static Scheme, body: &str) -> Self {
        Self::at_time(provider, mode, scheme, body, NOW)
    }

    fn at_time(provider: &'static Provider, mode: &'static str, scheme: &'static Scheme, body: &str, now: i64) -> Self {
        let secret = secret(scheme);
        let signed = scheme.sign(secret.as_bytes(), body.as_bytes(), "whd_abc123", now.cast_unsigned()).unwrap();
        let name = provider.fields.name.unsigned_header().map(|name| (name, event(provider).to_owned()));
        let headers = signed.headers.into_iter().chain(name).map(|(name, value)| (name.to_owned(), value));
        Case {
            provider,
            scheme,
            mode: provider.setting.map(|_| mode),
            secrets: json!({"default": [secret]}),
            account: "default",
            now: NOW,
            line: format!("POST /webhooks/{} HTTP/1.1", provider.name),
            headers: headers.collect(),
            body: signed.body,
        }
    }

    /// With the MAC over `text` by `key` in the signature's place.
    fn over(self, key: &[u8], text: &[u8]) -> Self {
        let mac = mac(self.scheme.hash, key, text);
        self.edit_mac(|old| if is_hex(old) { mac } else { base64_of_hex(&mac) })
    }

    fn secrets(self, secrets: Value) -> Self {
        Case { secrets, ..self }
    }

    fn secret(self, secret: &str) -> Self {
        self.secrets(json!({"default": [secret]}))
    }

    fn body(self, body: impl Into<Vec<u8>>) -> Self {
        Case { body: body.into(), ..self }
    }

    fn text(self, change: impl FnOnce(&str) -> String) -> Self {
        let changed = change(std::str::from_utf8(&self.body).unwrap());
        self.body(changed)
    }

    fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(known, _)| known != name);
        self
    }

    /// Without the signature.
    fn unsigned(self) -> Self {
        if let Some(name) = self.scheme.signature_header() {
            return self.without(name);
        }
        let mut json = Json::parse(&self.body).unwrap();
        if let Json::Object(members) = &mut json {
            let name = format!("\"{}\"", self.scheme.signature_member().unwrap());
            members.retain(|(member, _)| *member != name);
        }
        self.body(json.write(COMPACT))
    }

    fn rename(mut self, from: &str, to: &str) -> Self {
        self.headers.iter_mut().filter(|(name, _)| name == from).for_each(|(name, _)| to.clone_into(name));
        self
    }

    /// Changes all that stands in the signature's place.
    fn edit(mut self, change: impl FnOnce(&str) -> String) -> Self {
        let written = self.inspect().written;
        let changed = change(&written);
        if let Some(name) = self.scheme.signature_header() {
            self.headers.iter_mut().find(|(known, _)| known == name).unwrap().1 = changed;
        } else {
            let place = format!("\"{}\":\"", self.scheme.signature_member().unwrap());
            self = self.text(|body| body.replace(&format!("{place}{written}"), &format!("{place}{changed}")));
        }
        self
    }

    /// Changes the signature itself.
    fn edit_mac(self, change: impl FnOnce(&str) -> String) -> Self {
        let mac = self.inspect().signatures[0].clone();
        self.edit(|written| written.replace(&mac, &change(&mac)))
    }

    fn inspect(&self) -> hookgate_verify::scheme::Inspection {
        let Request { headers, body, .. } = self.request();
        let delivery = Delivery { headers, body, account: Account::default(), received: OffsetDateTime::UNIX_EPOCH };
        self.scheme.inspect(&delivery).unwrap()
    }

    fn mode(self, mode: &'static str) -> Self {
        Case { mode: Some(mode), ..self }
    }

    fn taken_for(self, provider: &'static Provider) -> Self {
        Case { provider, mode: None, ..self }
    }

    fn account(self, account: &'static str) -> Self {
        Case { account, ..self }
    }

    fn at(self, now: i64) -> Self {
        Case { now, ..self }
    }

    fn line(self, line: &str) -> Self {
        Case { line: line.to_owned(), ..self }
    }

    fn http(&self) -> Vec<u8> {
        let mut head = format!("{}\r\n", self.line);
        for (name, value) in &self.headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        [head.as_bytes(), b"\r\n", &self.body].concat()
    }

    fn request(&self) -> Request {
        capture::read(&self.http(), None).unwrap().pop().unwrap().unwrap()
    }

    fn explain(&self) -> Explanation {
        let request = self.request();
        let verifier = Verifier::new(self.provider, |_| self.mode.map(str::to_owned)).unwrap();
        let secrets = Secrets::as_given(&self.secrets.to_string()).unwrap();
        let now = OffsetDateTime::from_unix_timestamp(self.now).unwrap();
        explain(&request, verifier, &secrets, &Account::parse(self.account).unwrap(), now)
    }
}

/// A secret of the scheme's form.
fn secret(scheme: &Scheme) -> String {
    if scheme.key == KeyForm::Text { SECRET.to_owned() } else { format!("{}{}", scheme.key_prefix(), &SECRET[6..]) }
}

fn mac(hash: Hash, key: &[u8], text: &[u8]) -> String {
    Scheme { hash, ..Scheme::header("") }.sign(key, text, "", 0).unwrap().headers.remove(0).1
}

fn is_hex(text: &str) -> bool {
    text.len().is_multiple_of(64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn base64_of_hex(hex: &str) -> String {
    let digits: Vec<_> = hex.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap()).collect();
    BASE64_STANDARD.encode(digits.iter().map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect::<Vec<_>>())
}

fn hex_of_base64(text: &str) -> String {
    BASE64_STANDARD.decode(text).unwrap().iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// Every scheme of every platform, in every mode that accepts it.
fn schemes() -> impl Iterator<Item = (&'static Provider, &'static str, &'static [Scheme], &'static Scheme)> {
    platforms().flat_map(|provider| {
        provider
            .modes
            .iter()
            .flat_map(move |(mode, schemes)| schemes.iter().map(move |scheme| (provider, *mode, *schemes, scheme)))
    })
}

/// A request, and the diagnoses that it must get: no more and no fewer.
fn cases() -> Vec<(String, Case)> {
    let mut all = Vec::new();
    for (provider, mode, schemes, scheme) in schemes() {
        let mut add = |codes: &str, case: Case| all.push((codes.to_owned(), case));
        let right = Case::of(provider, mode, scheme, &body(provider));
        about_the_request(&right, schemes, &mut add);
        about_the_place(&right, schemes, &mut add);
        about_settings(&right, &mut add);
        about_stamps(&right, schemes, &mut add);
        about_the_secret(&right, &mut add);
        about_the_body(&right, mode, &mut add);
        about_what_is_signed(&right, &mut add);
    }
    all
}

type Add<'a> = &'a mut dyn FnMut(&str, Case);

fn key(scheme: &Scheme) -> Vec<u8> {
    if scheme.key == KeyForm::Text { SECRET.into() } else { DECODED.into() }
}

/// What is right, what is worth knowing about it, and the request itself.
fn about_the_request(right: &Case, schemes: &[Scheme], add: Add<'_>) {
    let (provider, scheme, case) = (right.provider, right.scheme, || right.clone());
    let own = secret(scheme);
    add("", case());
    if let Some(name) = scheme.signature_header() {
        add("", case().rename(name, &name.to_uppercase()));
    }
    add("older_secret", case().secrets(json!({"default": ["new", own]})));
    let signature = case().inspect().signatures[0].clone();
    if is_hex(&signature) {
        let lower_only = scheme.encoding == Encoding::LowerHex;
        add(if lower_only { "signature_spelling" } else { "" }, case().edit_mac(str::to_uppercase));
    }
    let resigned = |body: &str| Case::of(provider, case().mode.unwrap_or_default(), scheme, body);
    add("unreadable", resigned("{\"x\":1,\"x\":2}"));
    add(
        "unrecognized",
        match provider.fields.name.unsigned_header() {
            Some(header) => case().without(header).header(header, "order.lost"),
            None => resigned(&body(provider).replace(event(provider), "order.lost")),
        },
    );
    add("method", case().line(&format!("GET /webhooks/{} HTTP/1.1", provider.name)));
    let name = provider.name;
    for path in [
        format!("/webhook/{name}"),
        format!("/Webhooks/{name}"),
        format!("/webhooks/{name}/EU"),
        format!("/webhooks/{name}/a/b"),
    ] {
        add("address", case().line(&format!("POST {path} HTTP/1.1")));
    }
    let other = platforms().find(|other| other.name != name).unwrap().name;
    add("address", case().line(&format!("POST /webhooks/{other} HTTP/1.1")));
    add("", case().line(&format!("POST /stage/webhooks/{name}/ HTTP/1.1")));
    add("address nothing_matches", case().line("POST /hook HTTP/1.1").secret("x"));
    if let Some(Ping { field }) = provider.deliveries.ping {
        let headers = vec![("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned())];
        add("ping", Case { headers, ..case().body(format!("{field}=12")) });
    }
    if scheme.signature_header().is_some() {
        let key = key(scheme);
        add("capture nothing_matches", case().body("x").over(&key, b"y").header("content-length", "99"));
        add("capture nothing_matches", case().body(""));
        add("capture nothing_matches", case().body(b"\x1f\x8b\x08\x00".to_vec()));
    }
    add("capture nothing_matches", case().text(|body| body.replace('é', "\u{fffd}")));
    for ping in provider.deliveries.not_a_webhook {
        add("not_a_webhook", case().header(ping, "1"));
    }
    add("nothing_matches", case().secret("x"));
    let newer = schemes.iter().take_while(|other| other.name != scheme.name).next();
    if let (Some(newer), Some(_)) = (newer, scheme.signature_header()) {
        // A newer signature beside it decides, and is wrong.
        let wrong = Case::of(
            provider,
            case().mode.unwrap_or_default(),
            provider.schemes().find(|s| s.name == newer.name).unwrap(),
            &body(provider),
        );
        let mut both = wrong.edit_mac(|mac| format!("{}{}", if mac.starts_with('0') { "1" } else { "0" }, &mac[1..]));
        both.headers.extend(case().headers);
        add("older_signature_right", both);
    }
}

/// Where the signature stands.
fn about_the_place(right: &Case, schemes: &[Scheme], add: Add<'_>) {
    let (provider, scheme, case) = (right.provider, right.scheme, || right.clone());
    add("signature_missing", case().unsigned());
    add("unknown_account", case().account("eu-shop").secret("x"));
    let other = platforms().find(|other| {
        other.name != provider.name && other.name != STRANGE.name && {
            let theirs = other.default_schemes().last().unwrap();
            let ours = |scheme: &Scheme| scheme.signature_header() == theirs.signature_header();
            theirs.signature_header().is_some() && !provider.schemes().any(ours)
        }
    });
    let other = other.unwrap();
    let theirs = Case::of(other, other.modes[0].0, other.default_schemes().last().unwrap(), &body(other));
    if schemes.len() == provider.default_schemes().len() {
        add("another_platform", theirs.clone().taken_for(provider));
        add("another_platform", theirs.clone().taken_for(provider).secret("x"));
    }
    let line = format!("POST /webhooks/{} HTTP/1.1", other.name);
    add("signature_missing another_platform", case().unsigned().line(&line));
    let fields = scheme.has_fields();
    let malformed = if fields { "header_form" } else { "signature_form" };
    add(malformed, case().edit(|_| String::new()));
    add("signature_form", case().edit_mac(|mac| mac[..mac.len() - 24].to_owned()));
    add(malformed, case().edit(|_| "Bearer token".to_owned()));
    if fields {
        let prefix = scheme.signature_prefix();
        // HTTP itself drops a space in front.
        if !case().inspect().written.starts_with(&prefix) {
            add("header_form", case().edit(|written| written.replacen(&prefix, &format!(" {prefix}"), 1)));
        }
        let Form::Fields(FieldsForm { separator, .. }) = scheme.form else { unreachable!("it has fields") };
        let nine = |written: &str| {
            let (head, signature) = written.split_once(&prefix).unwrap();
            format!("{head}{}", vec![format!("{prefix}{signature}"); 9].join(&separator.to_string()))
        };
        add("header_form", case().edit(nine));
    } else {
        add("signature_repeated", case().edit(|written| format!("{written},{written}")));
        add("signature_repeated nothing_matches", case().edit(|written| format!("{written},{written}")).secret("x"));
    }
    if let Some(name) = scheme.signature_header() {
        add("signature_repeated", case().header(name, "00"));
        if schemes.len() == 1 {
            let underscored = name.replace('-', "_").to_uppercase();
            add("header_name", case().rename(name, &underscored));
            add("header_name", case().rename(name, &format!("http-{name}")));
            add("signature_missing header_name", case().rename(name, "x-a-signature").secret("x"));
            // And one more mistake: of the secret, of the body.
            let right = secret(scheme);
            add("header_name secret_trimmed", case().rename(name, &underscored).secret(&format!("{right}\n")));
            add("header_name body_newline_added", case().rename(name, &underscored).text(|body| format!("{body}\n")));
            // Under another platform's header, whose signature it may be too.
            for theirs in providers::ALL.iter().filter(|other| other.name != provider.name) {
                for header in theirs.schemes().filter_map(Scheme::signature_header) {
                    add("header_name", case().rename(name, header));
                    add("signature_missing another_platform", case().unsigned().header(header, "abc"));
                }
            }
        }
    }
    let payload = provider.fields.payload_member().unwrap_or("outer");
    if let Some(name) = scheme.signature_member() {
        add("signature_repeated", case().text(|body| body.replacen('{', &format!("{{\"{name}\":\"x\","), 1)));
        add("signature_member", case().body("hello"));
        add("signature_member", case().body(json!({payload: {name: "x"}}).to_string()));
        add("signature_member", case().body(json!({name: 7, payload: {}}).to_string()));
    }
}

/// Accepted under another value of the setting only.
fn about_settings(right: &Case, add: Add<'_>) {
    let (provider, scheme) = (right.provider, right.scheme);
    let refusing = provider.modes.iter().filter(|(_, schemes)| schemes.iter().all(|other| other.name != scheme.name));
    for (mode, schemes) in refusing {
        add("other_setting", right.clone().mode(mode));
        let elsewhere = |other: &Scheme| other.signature_header() != scheme.signature_header();
        if schemes.iter().all(|other| elsewhere(other) && other.signature_header().is_some())
            && scheme.signature_header().is_some()
        {
            add("other_setting nothing_matches", right.clone().mode(mode).secret("x"));
            add("other_setting secret_trimmed", right.clone().mode(mode).secret(&format!("{}\n", secret(scheme))));
        }
        if scheme.signature_member().is_some() && schemes[0].signature_member() == scheme.signature_member() {
            add("secret_trimmed other_setting", right.clone().mode(mode).secret(&format!("{SECRET}\n")));
        }
    }
}

/// The delivery's id and the time.
fn about_stamps(right: &Case, schemes: &[Scheme], add: Add<'_>) {
    let (provider, scheme, case) = (right.provider, right.scheme, || right.clone());
    let key = key(scheme);
    let there = case().inspect();
    if let Some(id) = scheme.id_header() {
        add("stamp_missing", case().without(id));
        add("header_form", case().without(id).header(id, "a.b"));
        let text = scheme.signed_text_without_id(&NOW.to_string(), &right.body).unwrap();
        add("signed_text", case().over(&key, &text));
    }
    let Some(time) = scheme.time else { return };
    let tolerance = time.tolerance.cast_signed();
    add("timestamp_expired", case().at(NOW + tolerance + 33_120));
    add("timestamp_expired", case().at(NOW - tolerance - 1));
    let mode = case().mode.unwrap_or_default();
    // The last is the largest that an intake reads.
    for time in [NOW * 1000, NOW * 1_000_000, NOW * 1_000_000_000, 100_000_000_000, u64::MAX.cast_signed()] {
        add("timestamp_unit", Case::at_time(provider, mode, scheme, &body(provider), time));
    }
    add("timestamp_expired nothing_matches", case().at(NOW + tolerance + 9).secret("x"));
    add("timestamp_expired secret_trimmed", case().at(NOW + tolerance + 9).secret(&format!("{} ", secret(scheme))));
    for time in [format!("{NOW}000"), format!("{NOW}000000")] {
        add("signed_time", case().over(&key, &scheme.signed_text("whd_abc123", &time, &right.body).unwrap()));
    }
    add("signed_text", case().over(&key, &right.body));
    if there.time.is_some() {
        let differ = "header_form timestamps_differ signed_time";
        let both = if time.header.is_some() { differ } else { "header_form" };
        add(both, case().edit(|written| written.replace(&NOW.to_string(), "today")));
    }
    if let Some(header) = time.header {
        add("stamp_missing", case().without(header));
        let other = case().without(header).header(header, &(NOW + 9).to_string());
        if there.time.is_some() {
            add("timestamps_differ", other.clone());
            let text = scheme.signed_text("whd_abc123", &(NOW + 9).to_string(), &right.body).unwrap();
            add("timestamps_differ signed_time", other.over(&key, &text));
        } else {
            for time in ["today", "+1773504000", "99999999999999999999"] {
                add("header_form", case().without(header).header(header, time));
            }
        }
    }
    // The newer text, signed and put where the older signature belongs.
    let older = schemes.iter().skip_while(|other| other.name != scheme.name).nth(1);
    // One that signs a time itself has other headers too.
    let older = older.filter(|older| older.time.is_none());
    if let Some((older, name)) = older.and_then(|older| Some((older, older.signature_header()?))) {
        let text = scheme.signed_text("whd_abc123", &NOW.to_string(), &right.body).unwrap();
        let signed = Scheme { signed: &[Piece::Body], ..*older }.sign(&key, &text, "", 0).unwrap();
        let case = case().without(scheme.signature_header().unwrap());
        add("signed_text", case.header(name, &signed.headers[0].1));
    }
}

/// What people do to secrets.
fn about_the_secret(right: &Case, add: Add<'_>) {
    let (scheme, case) = (right.scheme, || right.clone());
    let (own, text) = (secret(scheme), String::from_utf8(right.body.clone()).unwrap());
    let signed = scheme.signed_text("whd_abc123", &NOW.to_string(), text.as_bytes()).unwrap();
    let by = |key: &[u8]| case().over(key, &signed);
    add("another_account", case().secrets(json!({"default": ["x"], "eu-shop": [own]})));
    add("unknown_account another_account", case().account("uk-shop").secrets(json!({"default": [own]})));
    add("secret_trimmed", case().secret(&format!(" {own}\n")));
    for (open, close) in [('"', '"'), ('\'', '\''), ('`', '`'), ('“', '”')] {
        add("secret_unquoted", case().secret(&format!("{open}{own}{close}")));
    }
    for hidden in [format!("\u{feff}{own}"), format!("{own}\u{a0}"), own.replacen('_', "_\u{200b}", 1)] {
        add("secret_invisible", case().secret(&hidden));
    }
    add("secret_without_prefix", case().secret(&format!("v1,{own}")));
    add("secret_without_prefix secret_unquoted", case().secret(&format!("\"v1,{own}\"")));
    add("secret_trimmed body_newline_added", case().text(|body| format!("{body}\n")).secret(&format!("{own} ")));
    if scheme.key == KeyForm::Text {
        add("secret_without_prefix", by(&SECRET.as_bytes()[6..]));
        add("secret_with_prefix", case().secret(&SECRET[6..]));
        add("secret_base64_decoded", by(DECODED));
        add("secret_base64_decoded", by(DECODED).secret(&SECRET[6..]));
        add("secret_hex_decoded", by(&[0xab, 0xcd, 0xef]).secret("abcdef"));
        add("secret_html", by(b"a&b<c>\"d'").secret("a&amp;b&lt;c&gt;&quot;d&#39;"));
        add("secret_html_escaped", by(b"a&amp;b&lt;c").secret("a&b<c"));
        let in_base64 = BASE64_STANDARD.encode("plain_Secret_1\n");
        add("secret_base64_decoded secret_trimmed", by(b"plain_Secret_1").secret(&in_base64));
        let quoted = format!("'{}'", BASE64_STANDARD.encode("plain_Secret_1"));
        add("secret_unquoted secret_base64_decoded", by(b"plain_Secret_1").secret(&quoted));
        let twice = BASE64_STANDARD.encode(BASE64_STANDARD.encode("plain_Secret_1"));
        add("secret_base64_decoded secret_base64_decoded", by(b"plain_Secret_1").secret(&twice));
        add("secret_hex_decoded secret_trimmed", by(b"secret").secret("7365637265740a"));
        add("secret_unquoted secret_unquoted", by(b"plain_Secret_1").secret("\"'plain_Secret_1'\""));
        add("secret_without_prefix secret_without_prefix", by(b"plain_Secret_1").secret("v1,whsec_plain_Secret_1"));
        add("secret_html secret_trimmed", by(b"a&b\"c").secret("a&amp;b&quot;c "));
        add("secret_with_newline", by(format!("{SECRET}\n").as_bytes()));
    } else {
        add("secret_with_prefix", case().secret(&own[scheme.key_prefix().len()..]));
        add("secret_not_decoded", by(own.as_bytes()));
        add("secret_not_decoded", by(&own.as_bytes()[scheme.key_prefix().len()..]));
    }
}

/// What happens to bodies on their way.
fn about_the_body(right: &Case, mode: &'static str, add: Add<'_>) {
    let (provider, scheme, case) = (right.provider, right.scheme, || right.clone());
    let plain = body(provider);
    let json = Json::parse(plain.as_bytes()).unwrap();
    let signed = |body: &str| Case::of(provider, mode, scheme, body);
    let written = |space, escapes, sorted| json.write(Style { space, escapes, sorted });
    add("body_newline_added", case().text(|body| format!("{body}\n")));
    add("body_newline_added", case().text(|body| format!("{body}\r\n")));
    add("body_newline_added", case().text(|body| format!("{body} \n\n")));
    add("body_newline_added", case().text(|body| format!("{body}\t")));
    for end in ["\n", "\r\n"] {
        add("body_newline_removed", signed(&format!("{plain}{end}")).text(|body| body.trim_end().to_owned()));
    }
    let lines = plain.replace('{', "{\n").replace('}', "\n}");
    add("body_line_ends", signed(&lines).text(|body| body.replace('\n', "\r\n")));
    add("body_line_ends", signed(&lines.replace('\n', "\r\n")).text(|body| body.replace("\r\n", "\n")));
    // As terminals and mails break long lines.
    add("body_line_ends", case().text(|body| body.replace("example", "exa\nmple")));
    let again = |body: &str, escapes| Json::parse(body.as_bytes()).unwrap().write(Style { escapes, ..COMPACT });
    for (escapes, captured) in [
        (Escapes::Php, Escapes::Least),
        (Escapes::Least, Escapes::Php),
        (Escapes::Least, Escapes::Slash),
        (Escapes::Slash, Escapes::Least),
        (Escapes::Html, Escapes::Least),
        (Escapes::HtmlGson, Escapes::Least),
        (Escapes::DotNet, Escapes::Least),
    ] {
        if written(Space::None, escapes, false) == written(Space::None, captured, false) {
            continue;
        }
        let case = signed(&written(Space::None, escapes, false));
        add("body_reencoded", case.text(|body| again(body, captured)));
    }
    add("body_reencoded", case().text(|body| body.replace(',', ", ")));
    add("body_byte_order_mark", case().text(|body| format!("\u{feff}{body}")));
    add("body_byte_order_mark body_newline_added", case().text(|body| format!("\u{feff}{body}\n")));
    add("body_encoded_twice", case().text(|body| body.bytes().map(char::from).collect()));
    if scheme.signature_header().is_none() {
        return;
    }
    for style in [
        written(Space::Single, Escapes::Ascii, false),
        written(Space::None, Escapes::Kept, true),
        written(Space::Lines(2), Escapes::Least, false),
        written(Space::Lines(4), Escapes::Least, false),
    ] {
        if style != plain {
            add("body_reencoded", signed(&style).body(plain.clone()));
        }
    }
    add("body_base64", case().text(|body| BASE64_STANDARD.encode(body)));
    add("body_in_quotes", case().text(|body| Value::from(body).to_string()));
    add("body_in_quotes", case().text(|body| format!("'{body}'")));
    add("body_invisible", case().text(|body| body.replacen(',', ",\u{200b}", 1)));
    add("body_invisible", case().text(|body| body.replace('"', "”")));
    add("body_html", case().text(|body| body.replace('"', "&quot;")));
    let form = form_urlencoded::Serializer::new(String::new()).append_pair("payload", &plain).finish();
    add("body_in_form", case().body(form.clone()));
    add("body_from_form", signed(&form).body(plain.clone()));
    add("body_byte_order_mark", signed(&format!("\u{feff}{plain}")).body(plain.clone()));
    let windows = lines.replace('\n', "\r\n");
    add("body_line_ends body_newline_removed", signed(&format!("{windows}\r\n")).body(lines.clone()));
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(plain.as_bytes()).unwrap();
    let gzip = gzip.finish().unwrap();
    add("body_base64 body_compressed", case().body(BASE64_STANDARD.encode(&gzip)));
    add("body_compressed", case().body(gzip));
    add("body_base64 body_base64", case().text(|body| BASE64_STANDARD.encode(BASE64_STANDARD.encode(body))));
    let escaped = plain.replace('"', "&quot;");
    let form_of_html = form_urlencoded::Serializer::new(String::new()).append_pair("payload", &escaped).finish();
    add("body_in_form body_html", case().body(form_of_html));
    add("body_html body_newline_added", case().body(format!("{escaped}\n")));
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    zlib.write_all(plain.as_bytes()).unwrap();
    let zlib = zlib.finish().unwrap();
    // Without its frame, as some servers send it.
    add("body_compressed", case().body(&zlib[2..zlib.len() - 4]));
    add("body_compressed", case().body(zlib));
    let empty = scheme.signed_text("whd_abc123", &NOW.to_string(), b"").unwrap();
    add("body_consumed", case().over(&key(scheme), &empty));
}

/// What is signed, and how it is spelled.
fn about_what_is_signed(right: &Case, add: Add<'_>) {
    let (provider, scheme, case) = (right.provider, right.scheme, || right.clone());
    if let Some(payload) = provider.fields.payload_member() {
        let payload = Json::parse(&right.body).unwrap().get(payload).unwrap().write(COMPACT);
        let signs_more = scheme.signed.len() > 1 || scheme.signature_member().is_some();
        add(
            if signs_more { "body_member signed_text" } else { "body_member" },
            case().over(&key(scheme), payload.as_bytes()),
        );
    }
    let hash = if scheme.hash == Hash::Sha256 { Hash::Sha512 } else { Hash::Sha256 };
    let other = Scheme { hash, ..*scheme };
    let other = other.sign(secret(scheme).as_bytes(), body(provider).as_bytes(), "whd_abc123", NOW.cast_unsigned());
    let other = other.unwrap();
    let headers = other.headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    add("other_hash", Case { headers, body: other.body, ..case() });
    let mac = right.inspect().signatures[0].clone();
    let respelled = if is_hex(&mac) { base64_of_hex(&mac) } else { hex_of_base64(&mac) };
    let respelled = case().edit_mac(|_| respelled);
    add(if scheme.is_spelled(&respelled.inspect().written) { "" } else { "signature_spelling" }, respelled);
    if is_hex(&mac) {
        add("signature_spelling", case().edit_mac(|mac| BASE64_STANDARD.encode(mac)));
        // As .NET's BitConverter writes bytes.
        let upper = mac.to_uppercase();
        let dashed: Vec<_> = upper.as_bytes().chunks(2).map(|pair| str::from_utf8(pair).unwrap()).collect();
        let dashed = dashed.join("-");
        add("signature_spelling", case().edit_mac(|_| dashed));
    }
    if !scheme.has_fields() {
        let prefix = scheme.signature_prefix();
        let other = if prefix.is_empty() { format!("sha256={mac}") } else { mac };
        add("signature_spelling", case().edit(|_| other));
        // As other platforms write it.
        add("signature_spelling", case().edit_mac(|mac| format!("t={NOW},v1={mac}")));
        let stamped = [NOW.to_string().as_bytes(), b".", &right.body].concat();
        if scheme.time.is_none() && scheme.signature_header().is_some() {
            let case = case().over(&key(scheme), &stamped).edit_mac(|mac| format!("t={NOW},v1={mac}"));
            add("signature_spelling signed_text", case);
        }
    }
}

#[test]
fn every_request_gets_its_diagnoses() {
    let mut wrong = String::new();
    for (expected, case) in cases() {
        let explanation = case.explain();
        let mut expected: Vec<_> = expected.split_whitespace().collect();
        let scheme = case.scheme.name;
        let mut got: Vec<_> = explanation.diagnoses.iter().map(|diagnosis| diagnosis.code).collect();
        let harmless = ["address", "method", "older_secret", "unreadable", "unrecognized"];
        let verifies = expected.iter().all(|code| harmless.contains(code));
        expected.sort_unstable();
        got.sort_unstable();
        if got != expected || explanation.verifies != verifies {
            let request = String::from_utf8_lossy(&case.http()).into_owned();
            let _ =
                writeln!(wrong, "{scheme}: expected {expected:?}, got {:#?} for\n{request}\n", explanation.diagnoses);
        }
    }
    assert_eq!(wrong, "");
}

/// What was signed is named as the platforms' own documentation would.
#[test]
fn the_signed_text_is_described() {
    let case = plain();
    let finding = |text: &[u8]| {
        let stamped = case.clone().over(SECRET.as_bytes(), text).edit_mac(|mac| format!("t={NOW},v1={mac}"));
        stamped.explain().diagnoses.into_iter().map(|diagnosis| diagnosis.finding).collect::<Vec<_>>()
    };
    for (separator, unit, expected) in [
        (".", "", "The signature was made over <seconds>.<raw body>."),
        (":", "", "The signature was made over <seconds>:<raw body>."),
        (".", "000", "The signature was made over the time in milliseconds."),
    ] {
        let text = [format!("{NOW}{unit}{separator}").as_bytes(), &case.body].concat();
        assert!(finding(&text).iter().any(|finding| finding == expected), "{:?}", finding(&text));
    }
}

/// What is explained by a header's other name is no platform's delivery, whichever platform is asked for.
#[test]
fn a_renamed_header_is_no_other_platform() {
    let case = plain();
    let (name, addressed) = (&case.headers[0].0, case.provider.name);
    let mut tried = 0;
    for theirs in providers::ALL.iter().filter(|other| other.name != addressed) {
        for header in theirs.schemes().filter_map(Scheme::signature_header) {
            let renamed = case.clone().rename(name, header);
            for asked in providers::ALL.iter().filter(|asked| asked.name != theirs.name && asked.name != addressed) {
                let explanation = renamed.clone().taken_for(asked).explain();
                let said: Vec<_> =
                    explanation.diagnoses.iter().filter(|said| said.code == "another_platform").collect();
                let names = format!("looks like a delivery of {addressed}, not of {}", asked.name);
                assert!(said.len() == 1 && said[0].certain && said[0].finding.contains(&names), "{header}: {said:?}");
                tried += 1;
            }
            let findings = renamed.explain().diagnoses;
            assert!(findings.len() == 1 && findings[0].certain, "{findings:?}");
            let gateway = case.clone().without(name).header(header, "abc").explain().diagnoses;
            assert!(gateway.iter().all(|said| said.certain == (said.code == "signature_missing")), "{gateway:?}");
        }
    }
    assert!(tried > 10);
}

/// The finding says what differs, and nothing that the signature has.
#[test]
fn a_spelling_says_what_differs() {
    let case = plain();
    let mac = case.inspect().signatures[0].clone();
    let base64 = (0..).map(|nr| case.clone().text(|body| format!("{body}{}", " ".repeat(nr))));
    let base64 =
        base64.map(|case| (mac_of(&case), case)).find(|(mac, _)| mac.contains('+') && mac.contains('/')).unwrap();
    let url_safe = base64.0.replace('+', "-").replace('/', "_");
    let unpadded = mac_of(&case).replace('=', "");
    for (case, written, expected) in [
        (&case, format!("sha256={mac}"), "written in hex, with a prefix, quotes or other text around it; expected"),
        (&case, format!("Bearer {mac}"), "written in hex, with a prefix, quotes or other text around it; expected"),
        (
            &case,
            format!("this is the signature: {mac}"),
            "written in hex, with a prefix, quotes or other text around it; expected",
        ),
        (&case, format!("\"{mac}\""), "written in hex, with a prefix, quotes or other text around it; expected"),
        (&case, format!("{mac};"), "written in hex, with a prefix, quotes or other text around it; expected"),
        (&case, unpadded, "written in base64, without padding (=); expected"),
        (&base64.1, url_safe, "written in base64, with - or _ in it; expected"),
    ] {
        let said = case.clone().without(&case.headers[0].0).header(&case.headers[0].0, &written).explain().diagnoses;
        let found = said.iter().find(|said| said.code == "signature_spelling").map(|said| &said.finding);
        assert!(found.is_some_and(|finding| finding.contains(expected)), "{written}: {said:?}");
    }
}

/// The signature that the body needs, in base64.
fn mac_of(case: &Case) -> String {
    base64_of_hex(&mac(case.scheme.hash, SECRET.as_bytes(), &case.body))
}

#[test]
fn white_space_at_the_end_is_no_line_feed() {
    for (end, expected) in [("\n", "line feed"), ("\r\n", "line feed"), (" ", "white space"), ("\t\n", "white space")] {
        let said = plain().text(|body| format!("{body}{end}")).explain().diagnoses;
        assert_eq!(said[0].finding, format!("It verifies with the body without the {expected} at its end."));
    }
}

/// What a capture says of its time is taken, unless --at says otherwise.
#[test]
fn the_captures_own_time_is_when_it_was_received() {
    let (provider, mode, _, scheme) =
        schemes().find(|(.., s)| s.time.is_some() && s.signature_header().is_some()).unwrap();
    let (case, secret) = (Case::of(provider, mode, scheme, &body(provider)), secret(scheme));
    let headers: serde_json::Map<_, _> =
        case.headers.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    let list: Vec<_> = case.headers.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
    let (text, path) = (std::str::from_utf8(&case.body).unwrap(), format!("/webhooks/{}", provider.name));
    let event =
        json!({"rawPath": path, "headers": headers, "body": text, "requestContext": {"timeEpoch": NOW * 1000 + 7}});
    let har = json!({"startedDateTime": "2026-03-14T16:00:01.5Z", "request":
        {"method": "post", "url": format!("https://host{path}"), "headers": list, "postData": {"text": text}}});
    for capture in [event.to_string(), har.to_string()] {
        let mut arguments = vec!["--secret", &secret];
        arguments.extend(provider.setting.iter().flat_map(|_| ["--mode", mode]));
        let (code, out, err) = ran(&arguments, capture.as_bytes());
        assert_eq!((code, &err[..]), (Some(0), ""), "{out}");
        assert!(out.contains("arrived   2026-03-14T16:00:0"), "{out}");
        for (at, expected) in [("2026-03-14T19:00:00Z", "3 h 0 min old"), ("2026-03-14T13:00:00Z", "in the future")] {
            let (code, out, _) = ran(&[&arguments[..], &["--at", at]].concat(), capture.as_bytes());
            assert!(code == Some(1) && out.contains(expected) && !out.contains("arrived"), "{out}");
        }
    }
}

/// Every request has headers: a capture without any has lost them.
#[test]
fn a_signature_is_missing_for_certain_where_there_are_headers() {
    for (headers, certain) in [(vec![], false), (vec![("host".to_owned(), "h".to_owned())], true)] {
        let said = Case { headers, ..plain() }.explain().diagnoses;
        assert_eq!(
            said.iter().map(|said| (said.code, said.certain)).collect::<Vec<_>>(),
            [("signature_missing", certain)]
        );
    }
}

/// However long the body is: the search ends, and says what it left out.
#[test]
fn a_long_body_is_not_searched_for_ever() {
    let row = r#"{"a":"é/<&","b":[1.10,2,"x"]},"#;
    // This thread's own time where Linux tells it: other tests run beside it.
    let busy = || {
        let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
        told.split(' ').next()?.parse().ok().map(Duration::from_nanos)
    };
    let (before, start) = (busy(), Instant::now());
    let said = plain().body(format!("[{}0]", row.repeat(5_000_000 / row.len()))).explain().diagnoses;
    let took = before.and_then(|before| busy()?.checked_sub(before)).unwrap_or_else(|| start.elapsed());
    assert!(said.iter().any(|said| said.finding.contains("tried: not all, because the body is long")), "{said:?}");
    assert!(took.as_secs() < 40, "{took:?}");
}

/// Neither a secret nor more than 8 digits of a MAC, nor anything of the body.
#[test]
fn nothing_secret_is_said() {
    for (_, case) in cases() {
        let explanation = case.explain();
        let signed = explanation.signed.map(|signed| (signed.scheme, signed.what, signed.expected, signed.received));
        let said = format!("{:?} {signed:?}", explanation.diagnoses);
        for secret in case.secrets["default"].as_array().unwrap().iter().map(|secret| secret.as_str().unwrap()) {
            assert!(secret.len() < 6 || !said.contains(secret.trim()), "{said}");
        }
        assert!(!said.contains("secret-secret") && !said.contains("8f3e"), "{said}");
        let mut digits = 0;
        for byte in said.bytes() {
            digits = if byte.is_ascii_hexdigit() { digits + 1 } else { 0 };
            assert!(digits <= 8, "{said}");
        }
    }
}

/// Whoever adds a diagnosis adds a request that has it.
#[test]
fn every_diagnosis_has_a_request() {
    let (texts, guesses) = (include_str!("../src/explain/texts.rs"), include_str!("../src/explain/guesses.rs"));
    let reasons = texts.split("reasons! {").nth(1).unwrap().lines().filter_map(|line| line.split_once(": \""));
    let guesses = ["Guess((\"", "REENCODED: &str = \""].into_iter().flat_map(|before| guesses.split(before).skip(1));
    let written: BTreeSet<_> =
        reasons.map(|(_, row)| row).chain(guesses).filter_map(|row| row.split('"').next()).collect();
    let cases = cases();
    let tested: BTreeSet<_> = cases.iter().flat_map(|(codes, _)| codes.split_whitespace()).collect();
    assert_eq!(written, tested);
    assert!(written.len() > 40, "{}", written.len());
}

/// The one POST among several, the platform's among others, and "verifies, but" where the address is wrong.
#[test]
fn of_several_requests_the_delivery_is_chosen() {
    let case = plain();
    let (name, signature) = &case.headers[0];
    let url = format!("https://host/webhooks/{}", case.provider.name);
    let header = json!([{"name": name, "value": signature}]);
    let entry = |method: &str, url: &str| json!({"request": {"method": method, "url": url, "headers": header, "postData": {"text": String::from_utf8_lossy(&case.body)}}});
    let bad = json!({"request": {"method": "GET", "url": "https://cdn/x", "headers": [{"name": "", "value": ""}]}});
    let har = json!({"log": {"entries": [bad, entry("OPTIONS", &url), entry("POST", &url)]}}).to_string();
    let (code, out, err) = ran(&["--secret", SECRET, "--json"], har.as_bytes());
    assert_eq!((code, &err[..]), (Some(0), ""), "{out}");
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap()["accepted"], true);
    let odd = entry("POST", "https://host/webhook").to_string();
    let (code, out, _) = ran(&[case.provider.name, "--secret", SECRET], odd.as_bytes());
    assert_eq!(code, Some(0));
    assert!(out.contains("verifies (scheme v1, secret 0), but an intake would reject it"), "{out}");
    let (code, _, err) = ran(&["--secret", SECRET, "--entry", "1"], har.as_bytes());
    assert_eq!(code, Some(2));
    assert!(err.contains("header 1 has a name or value"), "{err}");
}

#[test]
fn an_expired_timestamp_says_by_how_much() {
    for (provider, mode, _, scheme) in schemes().filter(|(.., scheme)| scheme.time.is_some()) {
        let tolerance = scheme.time.unwrap().tolerance.cast_signed();
        let case = Case::of(provider, mode, scheme, &body(provider));
        let finding = |late| case.clone().at(NOW + late).explain().diagnoses[0].finding.clone();
        for (late, expected) in [(33_120, "9 h 12 min"), (90_000, "1 d 1 h"), (864_000, "10 d 0 h")] {
            let allowed = if tolerance < 60 { format!("{tolerance} s") } else { format!("{} min", tolerance / 60) };
            let expected = format!("The timestamp is {expected} old; {allowed} are allowed.");
            assert_eq!(finding(late), expected);
        }
        assert!(
            finding(tolerance + 1).contains(&match tolerance / 60 {
                0 => format!("{} s old", tolerance + 1),
                minutes => format!("{minutes} min 1 s old"),
            }),
            "{}",
            finding(tolerance + 1)
        );
        let remedy = &case.at(NOW + tolerance + 1).explain().diagnoses[0].remedy;
        assert!(remedy.contains("--at 2026-03-14T16:00:00Z"), "{remedy}");
    }
}

fn hookgate(arguments: &[&str], capture: &[u8]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookgate"));
    command.arg("explain").args(arguments).env_remove("HOOKGATE_SECRET");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A command that ends before it reads is fine.
    let _ = child.stdin.take().unwrap().write_all(capture);
    child.wait_with_output().unwrap()
}

fn file(name: &str, content: impl AsRef<[u8]>) -> String {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("explain-{}-{name}", std::process::id()));
    std::fs::write(&path, content).unwrap();
    path.to_str().unwrap().to_owned()
}

fn events(name: &str) -> String {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../events").join(name);
    path.to_str().unwrap().to_owned()
}

/// Exit code, standard output and standard error.
fn ran(arguments: &[&str], capture: &[u8]) -> (Option<i32>, String, String) {
    let output = hookgate(arguments, capture);
    (output.status.code(), String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
}

/// A plain platform's delivery.
fn plain() -> Case {
    let provider = with_ids();
    Case::of(provider, provider.modes[0].0, scheme(provider), &body(provider))
}

#[test]
fn every_form_of_capture_and_of_secret_is_taken() {
    let case = plain();
    let (platform, another) = (case.provider.name, support::another(case.provider).name);
    let all = file("all.json", json!({another: "x", platform: {"default": ["new", SECRET]}}).to_string());
    let part = file("part.json", json!([SECRET]).to_string());
    let http = file("http.txt", case.http());
    let (name, signature) = &case.headers[0];
    let body = std::str::from_utf8(&case.body).unwrap();
    let url = format!("https://host/webhooks/{platform}");
    let har = json!({"log": {"entries": [
        {"request": {"method": "GET", "url": "https://host/", "headers": []}},
        {"request": {"method": "POST", "url": url,
                     "headers": [{"name": name, "value": signature}], "postData": {"text": body}}}
    ]}});
    let curl = format!("curl {url} -H '{name}: {signature}' --data-raw '{body}'");
    let given = case.http().len() - case.body.len();
    let head = &case.http()[..given];
    let raw = file("body.json", body);
    let (sample, secrets) = (sample(case.provider), events("secrets.json"));
    for (arguments, capture) in [
        (vec![&http[..], "--secrets", &all], &b""[..]),
        (vec!["--secrets", &part], &case.http()),
        (vec!["-", "--secret", SECRET], &case.http()),
        (vec!["--secret", "new", "--secret", SECRET], har.to_string().as_bytes()),
        (vec!["--secret", SECRET, "--entry", "2"], har.to_string().as_bytes()),
        (vec!["--secret", SECRET], curl.as_bytes()),
        (vec!["--secret", SECRET, "--body", &raw], head),
        (vec!["--secrets", &secrets, &sample], b""),
    ] {
        let named = [&[platform], &arguments[..]].concat();
        // Where the path names the platform, it need not be said.
        let (code, out, err) = ran(&arguments, capture);
        assert_eq!((code, &err[..]), (Some(0), ""), "{arguments:?} {out}");
        let arguments = named;
        let (code, out, err) = ran(&arguments, capture);
        assert_eq!((code, &err[..]), (Some(0), ""), "{arguments:?} {out}");
        assert!(out.starts_with(&format!("{platform}, account default: verifies")), "{out}");
        assert!(!out.contains('\u{1b}') && !out.contains("c2Vj") && !out.contains(&signature[..12]), "{out}");
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookgate"));
    let output = command.args(["explain", platform, &http]).env("HOOKGATE_SECRET", SECRET).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
}

/// A sample of the platform's account `default`.
fn sample(provider: &Provider) -> String {
    let path = format!("/webhooks/{}", provider.name);
    let sample = hookgate::send::samples::all().into_iter().find(|sample| sample.path == path);
    support::file_of(&sample.unwrap())
}

/// What is sent can be explained, whatever the platform and the scheme.
#[test]
fn every_platforms_own_deliveries_verify() {
    let secrets = events("secrets.json");
    for (provider, mode, _, scheme) in schemes().filter(|(provider, ..)| provider.name != STRANGE.name) {
        let mut send = Command::new(env!("CARGO_BIN_EXE_hookgate"));
        send.args(["send", provider.name, event(provider), "--scheme", scheme.name, "--print", "curl"]);
        let curl = send.env_remove("HOOKGATE_SECRET").output().unwrap().stdout;
        let mut arguments = vec![provider.name, "--secrets", &secrets];
        if provider.setting.is_some() {
            arguments.extend(["--mode", mode]);
        }
        let (code, out, err) = ran(&arguments, &curl);
        assert_eq!((code, &err[..]), (Some(0), ""), "{arguments:?} {out}");
        assert!(out.contains(&format!("verifies (scheme {}, secret 0)", scheme.name)), "{out}");
    }
}

#[test]
fn the_address_names_the_account_and_the_option_overrules_it() {
    let samples = hookgate::send::samples::all();
    let sample = samples.iter().find(|sample| sample.path.ends_with("/eu-shop")).unwrap();
    let (platform, file) = (sample.provider.name, &*support::file_of(sample));
    let secrets = events("secrets.json");
    assert_eq!(ran(&[platform, file, "--secrets", &secrets], b"").0, Some(0));
    let (code, out, _) = ran(&[platform, file, "--secrets", &secrets, "--account", "default"], b"");
    assert_eq!(code, Some(1));
    assert!(out.contains("It verifies with a secret of the account eu-shop, not of default."), "{out}");
}

#[test]
fn settings_times_and_signed_text_are_options() {
    let secret_of = secret;
    for (provider, mode, _, scheme) in schemes().filter(|(p, .., s)| p.name != STRANGE.name && s.time.is_some()) {
        let (case, secret) = (Case::of(provider, mode, scheme, &body(provider)), secret_of(scheme));
        let capture = file(&format!("{}-{}.txt", provider.name, mode), case.http());
        let with = |more: &[&str]| ran(&[&[provider.name, &capture[..], "--secret", &secret], more].concat(), b"");
        let tolerance = scheme.time.unwrap().tolerance;
        assert_eq!(with(&["--at", &(NOW.cast_unsigned() + tolerance).to_string()]).0, Some(0));
        if provider.setting.is_some() {
            assert_eq!(with(&["--at", "2026-03-14T16:00:00Z", "--mode", mode]).0, Some(0));
        }
        let (code, out, _) = with(&["--json", "--show-signed"]);
        assert_eq!(code, Some(1));
        let json: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(json["reason"], "timestamp_expired");
        assert_eq!(json["diagnoses"][0]["code"], "timestamp_expired");
        let signed = scheme.signed_text("whd_abc123", &NOW.to_string(), &case.body).unwrap();
        assert_eq!(json["signed"]["text"], String::from_utf8(signed).unwrap());
        assert_eq!(json["signed"]["expected"], json["signed"]["received"]);
        let (_, out, _) = with(&[]);
        assert!(!out.contains("inv_8f3e"), "{out}");
        let (_, out, _) = with(&["--show-signed"]);
        assert!(out.contains("inv_8f3e"), "{out}");
    }
}

#[test]
fn what_cannot_be_used_is_one_line_with_a_remedy() {
    let case = plain();
    let platform = case.provider.name;
    let another = support::another(case.provider).name;
    let http = file("usage.txt", case.http());
    let unknown = file("unknown.json", json!({another: "s3cr3t"}).to_string());
    let broken = file("broken.json", r#"{"default":["s3cr3t"#);
    let url = format!("https://host/webhooks/{platform}");
    let entry = json!({"request": {"method": "POST", "url": url, "headers": [], "bodySize": 0}});
    let two = file("two.har", json!({"log": {"entries": [entry, entry]}}).to_string());
    let no_secrets = format!("has no secrets of {platform}");
    let mut cases = vec![
        (vec![platform], "hello", "not a captured request".to_owned()),
        (vec![platform, &http], "", "no secret: give a file with --secrets".to_owned()),
        (vec!["--secret", "x"], "POST /hook HTTP/1.1\n\n{}", "say which, hookgate explain PLATFORM".to_owned()),
        (vec!["/no/such"], "", "/no/such is neither a platform nor a file".to_owned()),
        (vec![platform, "/no/such"], "", "cannot read /no/such".to_owned()),
        (vec![platform, &http, "--secrets", &unknown], "", no_secrets),
        (vec![platform, &http, "--secrets", &broken], "", "not of the form".to_owned()),
        (vec![platform, &http, "--secret", ""], "", "has an empty secret".to_owned()),
        (vec![platform, &two, "--secret", "x"], "", "choose one with --entry (1, 2)".to_owned()),
        (vec![another, &two, "--secret", "x"], "", "none of the capture's 2 requests is known".to_owned()),
        (vec![platform, &two, "--secret", "x", "--entry", "3"], "", "--entry goes from 1 to 2".to_owned()),
        (vec!["nobody", &http], "", format!("possible values: {}", first().name)),
        (
            vec![platform, &http, "--at", "yesterday"],
            "",
            "write it like 30s, 10m, 2h, 1d or 2026-03-14T16:00:00Z".to_owned(),
        ),
        (
            vec![platform, &http, "--secret", "x", "--account", "EU"],
            "",
            "1 to 64 characters of a-z, 0-9 and -".to_owned(),
        ),
    ];
    if let Some(plain) = find(|provider| provider.setting.is_none()) {
        let call = vec![plain.name, &http, "--secret", "x", "--mode", "true"];
        cases.push((call, "", format!("{} has no setting", plain.name)));
    }
    if let Some((provider, setting)) = providers::ALL.iter().find_map(|provider| Some((provider, provider.setting?))) {
        let call = vec![provider.name, &http, "--secret", "x", "--mode", "maybe"];
        let allowed: Vec<_> = provider.modes.iter().map(|(value, _)| *value).collect();
        cases.push((call, "", format!("{setting} must be one of: {}", allowed.join(", "))));
    }
    for (arguments, capture, expected) in cases {
        let (code, out, err) = ran(&arguments, capture.as_bytes());
        assert_eq!((code, &out[..]), (Some(2), ""), "{arguments:?}");
        assert!(err.contains(&expected) && !err.contains("s3cr3t"), "{arguments:?}: {err}");
    }
}
