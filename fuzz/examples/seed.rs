//! Writes the first inputs of every target from the sample events and the platforms' data into `found/`:
//! `cargo run --example seed`.

use std::{fs, path::Path};

use hookgate_verify::{Account, Delivery, Scheme, providers::Identity};
use http::{HeaderMap, HeaderName, HeaderValue};
use reference::{Mode, message::NOW, modes, secret, verifier};
use serde_json::Value;
use time::OffsetDateTime;

const ID: &str = "whd_abc123";

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (index, mode) in modes().into_iter().enumerate() {
        let first = u8::try_from(index).expect("few");
        for entry in fs::read_dir(root.join("../events").join(mode.0.name)).expect("a folder of samples") {
            let text = fs::read_to_string(entry.expect("a sample").path()).expect("text");
            let event: Value = serde_json::from_str(&text).expect("JSON");
            let body = if event["isBase64Encoded"] == true { "{}" } else { event["body"].as_str().expect("a body") };
            for (signer, request) in
                verifier(mode).schemes().iter().map(|scheme| request(mode, scheme, body)).enumerate()
            {
                write(root, "authenticate", request.input(mode, index, signer, 0).as_bytes());
                write(root, "cut", request.body.as_bytes());
            }
            write(root, "read", &[&[first], body.as_bytes()].concat());
            write(root, "http_event", text.as_bytes());
            write(root, "event_json", &[b"p", body.as_bytes()].concat());
            write(root, "event_json", message(&format!("\"payload\":{body}")).as_bytes());
        }
        addresses(root, mode.0.name);
        for scheme in verifier(mode).schemes() {
            boundaries(root, mode, index, scheme);
        }
        readings(root, mode, first);
    }
    secrets(root);
    write(root, "event_json", b"x1");
    let gzip = "H4sIAAAAAAAA/6quBQAAAP//AwBDv6ajAgAAAA==";
    write(root, "event_json", message(&format!("\"payload_gzip\":\"{gzip}\"")).as_bytes());
}

/// A request with `$` for its signature.
struct Request {
    headers: String,
    body: String,
}

fn request(mode: Mode, scheme: &Scheme, body: &str) -> Request {
    let secret = secret(mode.0, "current");
    let signed = scheme.sign(secret.as_bytes(), body.as_bytes(), ID, NOW.unsigned_abs()).expect("a place to sign");
    let mut headers = HeaderMap::new();
    for (name, value) in &signed.headers {
        headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).expect("ASCII"));
    }
    let received = OffsetDateTime::UNIX_EPOCH;
    let delivery = Delivery { headers, body: signed.body.clone(), account: Account::default(), received };
    let signature = &scheme.inspect(&delivery).expect("it is signed").signatures[0];
    let lines = signed.headers.iter().map(|(name, value)| format!("{name}: {}\n", value.replace(signature, "$")));
    let body = String::from_utf8(signed.body).expect("text").replace(signature, "$");
    Request { headers: lines.collect(), body }
}

impl Request {
    fn input(&self, mode: Mode, index: usize, signer: usize, seconds: i64) -> String {
        let [current, previous, other] = ["current", "previous", "other"].map(|text| secret(mode.0, text));
        let secrets = format!(r#"{{"default":["{current}","{previous}"],"eu-shop":"{other}"}}"#);
        format!("{index} 0 {signer} {seconds} 0\n{secrets}\n{}\n{}", self.headers, self.body)
    }
}

/// What stands on either side of a rule: random changes rarely meet both.
fn boundaries(root: &Path, mode: Mode, index: usize, scheme: &Scheme) {
    let plain = request(mode, scheme, "{}");
    let save = |headers: String, body: String| {
        write(root, "authenticate", Request { headers, body }.input(mode, index, 0, 0).as_bytes());
    };
    let in_headers = |from: &str, to: &str| save(plain.headers.replace(from, to), plain.body.clone());
    for other in ["%", "~", "$$", "$,$", "$, $", " $", "$ ", "$0", "$ \u{e9}", "0", ""] {
        save(plain.headers.replace('$', other), plain.body.replace('$', other));
    }
    if let Some(time) = scheme.time {
        let tolerance = i64::try_from(time.tolerance).unwrap_or(300);
        for seconds in [tolerance, tolerance + 1, -tolerance, -tolerance - 1] {
            write(root, "authenticate", plain.input(mode, index, 0, seconds).as_bytes());
        }
        let now = NOW.to_string();
        for stamp in [&format!("+{now}"), &format!("0{now}"), "", "18446744073709551615", "18446744073709551616"] {
            in_headers(&now, stamp);
            save(plain.headers.replacen(&now, stamp, 1), plain.body.clone());
        }
    }
    if scheme.id_header().is_some() {
        for id in ["", "a.b", "a b", "\u{e9}", &"a".repeat(128), &"a".repeat(129)] {
            in_headers(ID, id);
        }
    }
    for line in plain.headers.lines() {
        in_headers(&format!("{line}\n"), "");
        in_headers(line, &format!("{line}\n{line}"));
        let value = line.split_once(": ").map_or("", |(_, value)| value);
        for mark in [',', ';', '=', ' '] {
            let parts: Vec<_> = value.split(mark).collect();
            let reversed: Vec<_> = parts.iter().rev().copied().collect();
            let mark = mark.to_string();
            in_headers(value, &reversed.join(&mark));
            in_headers(value, &parts.join(&format!("{mark} ")));
            in_headers(value, &format!("{value}{mark}{}", parts.last().expect("at least one")));
        }
    }
    for name in mode.0.deliveries.not_a_webhook {
        save(format!("{}{name}: a\n", plain.headers), plain.body.clone());
    }
    let Some(member) = scheme.signature_member() else { return };
    let value = plain.body.split('"').find(|text| text.contains('$')).expect("a place for the signature");
    let signed = format!("\"{member}\":\"{value}\"");
    let escaped = format!("\"\\u{:04x}{}\"", member.as_bytes()[0], &member[1..]);
    for body in [
        format!("{{{signed}}}"),
        format!("{{ \"{member}\" : \"{value}\" , \"a\":1}}"),
        format!("{{\"a\":1 , {signed} ,\"b\":2}}"),
        format!(r#"{{"a":"\\",{signed}}}"#),
        format!(r#"{{"a":"\",{{",{signed}}}"#),
        format!(r#"{{"data":{{"{member}":"X"}},{signed}}}"#),
        format!(r#"{{"data":[{{"{member}":"X"}},2],{signed}}}"#),
        format!(r#"{{"data":{{"a":{{}},{signed}}}}}"#),
        format!("{{{signed},\"{member}\":\"0\"}}"),
        format!("{{{signed},{escaped}:\"X\"}}"),
        format!("{{{escaped}:\"{value}\"}}"),
        format!("{{\"{member}\":null,\"a\":\"$\"}}"),
        format!("[\"{member}\",\"{value}\"]"),
        format!("{{\"a\":1,C{signed}}}"),
        format!("{{{signed},}}"),
        format!("{{{signed}}}}}"),
        format!("{{{}}}", signed.replace(value, &value.replace("256", "512"))),
        format!("{{{}}}", signed.replace('$', "$0")),
    ] {
        write(root, "cut", body.as_bytes());
        write(root, "cut", format!("\u{feff}{body}").as_bytes());
        write(root, "cut", body.replace(&signed, "\"sig\": {}").as_bytes());
        save(plain.headers.clone(), format!("\u{feff}{body}"));
        save(plain.headers.clone(), body);
    }
}

/// Secrets of every form, for each account and by two signers.
fn secrets(root: &Path) {
    let mode = modes()[0];
    let plain = request(mode, &verifier(mode).schemes()[0], "{}");
    for secrets in [
        "s",
        "",
        " ",
        "\"\"",
        "[]",
        "{}",
        "[\"\\u0000 \"]",
        "[\"s\",\"\"]",
        "[\"\\u0000s\"]",
        "[\"t\",\"s\",\"s\"]",
        "7",
        "{\"default\":\"s\",\"default\":\"t\"}",
        "{\"default\":\"s\",\"eu-shop\":[\"t\"]}",
        "{\"Default\":\"s\"}",
        "{\"default\":[]}",
    ] {
        for (account, signer) in [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)] {
            let input = format!("0 {account} {signer} 0 0\n{secrets}\n{}\n{}", plain.headers, plain.body);
            write(root, "authenticate", input.as_bytes());
        }
    }
}

fn addresses(root: &Path, provider: &str) {
    for (stage, path) in [("$default", "/webhooks"), ("prod", "/prod/webhooks")] {
        for parts in [
            format!("POST\n{path}/{provider}/eu-shop\n{stage}\n\n\n0\n{{}}"),
            format!("POST\n{path}/{provider}\n{stage}\n{provider}\neu-shop\n1\ne30="),
        ] {
            write(root, "http_event", parts.as_bytes());
        }
    }
}

/// Names, ids, times and amounts of every kind and length, where the platform has them.
fn readings(root: &Path, (provider, _): Mode, first: u8) {
    let (long, longer) = (format!("\"{}\"", "n".repeat(256)), format!("\"{}\"", "n".repeat(257)));
    let (digits, more_digits) = ("1".repeat(256), "1".repeat(257));
    let fields = &provider.fields;
    let body = |name: &str, time: &str, id: &str| {
        let identity: &[&str] = match &provider.identity {
            Identity::Id(path) => &[*path],
            Identity::Together(paths) => paths,
            Identity::SignedHeader | Identity::Content => &[],
        };
        let ids = identity.iter().copied().filter(|path| Some(*path) != fields.name.member() && *path != fields.time);
        let in_object = |path: &&str| !fields.object.is_empty() && path.starts_with(fields.object);
        let (inner, outer): (Vec<&str>, Vec<&str>) = ids.partition(in_object);
        let inner = inner.iter().filter_map(|path| path.get(fields.object.len() + 1..));
        let facts = inner.chain(fields.amount.first().copied()).map(|path| at(path, id)).collect::<Vec<_>>();
        let object = format!("{{{}}}", facts.join(","));
        let mut members = vec![at(fields.time, time)];
        members.extend(fields.name.member().map(|path| at(path, name)));
        members.push(match fields.object {
            "" => facts.join(","),
            path => at(path, &object),
        });
        members.retain(|member| !member.is_empty());
        members.extend(outer.iter().map(|path| at(path, id)));
        write(root, "read", &[&[first], format!("{{{}}}", members.join(",")).as_bytes()].concat());
    };
    let known = format!("\"{}\"", provider.events[0].0);
    for value in [
        "null",
        "{}",
        "[]",
        "7",
        "-7",
        "7.0",
        "1e2",
        "\"\"",
        "\" a \"",
        "\"7\"",
        "true",
        r#""\ud83d""#,
        "{\"a\":1}",
        "\"2026-04-15T14:22:30Z\"",
        "\"2026-04-15T14:22:30+0000\"",
        "1773504000123",
        &long,
        &longer,
        &digits,
        &more_digits,
    ] {
        body(&known, "1773504000", value);
        body(value, "\"2026-04-15T14:22:30Z\"", "\"e\"");
        body(&known, value, "\"e\"");
    }
    for other in [
        "",
        "\u{feff}{}",
        "{}",
        "[]",
        "{\"a\":1,\"a\":1}",
        "{\"a\":1,\"\\u0061\":1}",
        r#"{"\ud83d":1}"#,
        &format!("{{{}}}", at(fields.payload_member().unwrap_or("a"), "1")),
        "{} x",
    ] {
        write(root, "read", &[&[first], other.as_bytes()].concat());
    }
    write(root, "read", &[first, b'{', 0xff, b'}']);
}

/// The member in which a dotted path leads to this value.
fn at(path: &str, value: &str) -> String {
    match path.split_once('.') {
        None => format!("\"{path}\":{value}"),
        Some((name, rest)) => format!("\"{name}\":{{{}}}", at(rest, value)),
    }
}

fn message(payload: &str) -> String {
    format!(
        r#"{{"specversion":"1.0","id":"e1","source":"/webhooks/platform/default","type":"commerce.order.paid","subject":"order/8f3e","time":"2025-01-11T16:00:00Z","datacontenttype":"application/json","provider":"platform","account":"default","providertype":"order.paid","receivedtime":"2025-01-11T16:00:01.250Z","deliveryid":"w1","traceparent":"00-0-0-00","data":{{"resource":{{"kind":"order","id":"8f3e"}},"amount":{{"value":"49.90","unit":"major","currency":"USD"}},"customer":{{"id":"c1"}},"status":"paid",{payload}}}}}"#
    )
}

/// Under its own digest, as libFuzzer names what it finds.
fn write(root: &Path, target: &str, input: &[u8]) {
    let folder = root.join("found").join(target);
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join(&reference::sha256(input)[..40]), input).expect("a file");
}
