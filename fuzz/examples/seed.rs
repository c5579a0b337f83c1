//! Writes the first inputs of every target from the sample events into `found/`: `cargo run --example seed`.

use std::{fs, path::Path};

use serde_json::Value;

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut samples = Vec::new();
    for (mode, (provider, setting)) in reference::MODES.iter().enumerate() {
        for entry in fs::read_dir(root.join("../events").join(provider)).expect("a folder of samples") {
            let text = fs::read_to_string(entry.expect("a sample").path()).expect("text");
            let event: Value = serde_json::from_str(&text).expect("JSON");
            let body = event["body"].as_str().expect("a body").to_owned();
            let base64 = event["isBase64Encoded"] == true;
            samples.push((mode, *provider, *setting, text, if base64 { "{}".to_owned() } else { body }));
        }
    }
    for (mode, provider, setting, event, body) in &samples {
        // Opterius' signature is the one value of 64 digits; the target makes a new one.
        let digits = body.find("sha256=").map(|at| at + "sha256=".len());
        let unsigned = match digits.filter(|_| *provider == "opterius") {
            Some(at) => format!("{}${}", &body[..at], &body[at + 64..]),
            None => body.clone(),
        };
        let stripped = unsigned.replace(",\"signature\":\"sha256=$\"", "");
        let headers: &[&str] = match (*provider, *setting) {
            ("elective", _) => &["x-e-commerce-signature: $"],
            ("etaildepot", _) => &["etail-signature: $"],
            ("w3block", _) => &["x-w3block-commerce-signature: $", "x-w3block-commerce-signature: ~"],
            ("shoppex", "false") => &["x-shoppex-signature: $", V2],
            ("shoppex", _) => &[V2],
            _ => &[""],
        };
        for (index, header) in headers.iter().enumerate() {
            let end = if header.is_empty() { "\n" } else { "\n\n" };
            let secrets = r#"{"default":["current","previous"],"eu-shop":"other"}"#;
            let input = format!("{mode} 0 {index} 0 0\n{secrets}\n{header}{end}{unsigned}");
            write(root, "authenticate", input.as_bytes());
        }
        write(root, "read", &[&[u8::try_from(*mode).expect("few")], stripped.as_bytes()].concat());
        write(root, "opterius_cut", unsigned.as_bytes());
        write(root, "http_event", event.as_bytes());
        for stage in ["$default", "prod"] {
            let path = if stage == "prod" { "/prod/webhooks" } else { "/webhooks" };
            let parts = format!("POST\n{path}/{provider}/eu-shop\n{stage}\n\n\n0\n{{}}");
            write(root, "http_event", parts.as_bytes());
            let parts = format!("POST\n{path}/{provider}\n{stage}\n{provider}\neu-shop\n1\ne30=");
            write(root, "http_event", parts.as_bytes());
        }
        write(root, "event_json", &[b"p", stripped.as_bytes()].concat());
        write(root, "event_json", message(provider, &format!("\"payload\":{stripped}")).as_bytes());
    }
    write(root, "event_json", b"x1");
    boundaries(root);
    let gzip = "H4sIAAAAAAAA/6quBQAAAP//AwBDv6ajAgAAAA==";
    write(root, "event_json", message("elective", &format!("\"payload_gzip\":\"{gzip}\"")).as_bytes());
}

const V2: &str =
    "x-shoppex-delivery: whd_abc123\nx-shoppex-timestamp: 1773504000\nx-shoppex-signature-v2: v1,t=1773504000,h=$";

/// What stands on either side of a rule: random changes rarely meet both.
fn boundaries(root: &Path) {
    let v2 = |seconds: i32, id: &str, stamp: &str, header: &str| {
        let headers =
            format!("x-shoppex-delivery: {id}\nx-shoppex-timestamp: {stamp}\nx-shoppex-signature-v2: {header}");
        format!("4 0 0 {seconds} 0\n[\"s\"]\n{headers}\n\n{{}}")
    };
    let mut deliveries = Vec::new();
    for seconds in [300, 301, -300, -301] {
        deliveries.push(v2(seconds, "a", "1773504000", "v1,t=1773504000,h=$"));
    }
    for id in ["", "a.b", "a b", "\u{e9}", &"a".repeat(128), &"a".repeat(129)] {
        deliveries.push(v2(0, id, "1773504000", "v1,t=1773504000,h=$"));
    }
    for stamp in ["+1773504000", "01773504000", "", "18446744073709551615", "18446744073709551616"] {
        deliveries.push(v2(0, "a", stamp, &format!("v1,t={stamp},h=$")));
    }
    for header in ["v1,t=1773504001,h=$", "v1,t=1773504000,h=$,h=$", "v1, t=1773504000,h=$", "$", "v1,t=1773504000,h=%"]
    {
        deliveries.push(v2(0, "a", "1773504000", header));
    }
    for name in ["x-shoppex-signature", "x-shoppex-delivery", "x-shoppex-timestamp", "x-shoppex-delivery-id"] {
        let plain = v2(0, "a", "1773504000", "v1,t=1773504000,h=$");
        deliveries.push(plain.replace("\n\n", &format!("\n{name}: a\n\n")));
    }
    for header in ["$", "%", "~", "$$", "$,$", " $", "$\nx-w3block-commerce-signature: $", "$ \u{e9}"] {
        deliveries.push(format!("6 0 0 0 0\n[\"s\"]\nx-w3block-commerce-signature: {header}\n\n{{}}"));
        deliveries.push(format!("0 0 0 0 0\n[\"s\"]\nx-e-commerce-signature: {header}\n\n{{}}"));
    }
    for account in 0..3 {
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
            let header = "x-e-commerce-signature: $";
            deliveries.push(format!("0 {account} 0 0 0\n{secrets}\n{header}\n\n{{}}"));
            deliveries.push(format!("0 {account} 1 0 0\n{secrets}\n{header}\n\n{{}}"));
        }
    }
    let bodies = [
        r#"{"signature":"sha256=$"}"#,
        r#"{ "signature" : "sha256=$" , "a":1}"#,
        r#"{"a":1 , "signature":"sha256=$" ,"b":2}"#,
        r#"{"a":"\\","signature":"sha256=$"}"#,
        r#"{"a":"\",{","signature":"sha256=$"}"#,
        r#"{"data":{"signature":"X"},"signature":"sha256=$"}"#,
        r#"{"data":[{"signature":"X"},2],"signature":"sha256=$"}"#,
        r#"{"data":{"a":{},"signature":"sha256=$"}}"#,
        r#"{"signature":"sha256=$","signature":"sha256=0"}"#,
        r#"{"signature":"sha256=$","\u0073ignature":"X"}"#,
        r#"{"signatur\u0065":"sha256=$"}"#,
        r#"{"signature":"sha512=$"}"#,
        r#"{"signature":"sha256=$0"}"#,
        r#"{"signature":null,"a":"$"}"#,
        r#"["signature","sha256=$"]"#,
        r#"{"a":1,C"signature":"sha256=$"}"#,
        r#"{"signature":"sha256=$",}"#,
        r#"{"signature":"sha256=$"}}"#,
    ];
    for body in bodies {
        for (mode, mark) in [(2, ""), (3, ""), (2, "\u{feff}"), (3, "\u{feff}")] {
            deliveries.push(format!("{mode} 0 0 0 0\n[\"s\"]\n\n{mark}{body}"));
        }
        write(root, "opterius_cut", body.as_bytes());
        write(root, "opterius_cut", format!("\u{feff}{body}").as_bytes());
        write(root, "opterius_cut", body.replace("\"signature\":\"sha256=$\"", "\"sig\": {}").as_bytes());
    }
    for delivery in deliveries {
        write(root, "authenticate", delivery.as_bytes());
    }
    readings(root);
}

/// Names, ids and times of every kind and length, for the platforms that differ in them.
fn readings(root: &Path) {
    let (long, longer) = ("n".repeat(256), "n".repeat(257));
    let mut values = vec![
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
    ];
    let quoted = [format!("\"{long}\""), format!("\"{longer}\""), "1".repeat(256), "1".repeat(257)];
    values.extend(quoted.iter().map(String::as_str));
    for mode in [0, 1, 2, 4, 6_u8] {
        let body = |id: &str, name: &str, time: &str, inner: &str| {
            let data = format!("{{\"id\":{inner},\"total\":{inner}}}");
            let (envelope, data) = match mode {
                1 => (format!("\"id\":{id},\"type\":{name},\"created\":{time}"), format!("{{\"object\":{data}}}")),
                0 => (format!("\"id\":{id},\"event\":{name},\"created_at\":{time}"), data),
                _ => (format!("\"event\":{name},\"timestamp\":{time}"), data),
            };
            write(root, "read", &[&[mode], format!("{{{envelope},\"data\":{data}}}").as_bytes()].concat());
        };
        for value in &values {
            body(value, "\"order.created\"", "\"2026-04-15T14:22:30Z\"", value);
            body("\"e\"", value, "1773504000", "\"7\"");
        }
        for other in [
            "",
            "\u{feff}{}",
            "{}",
            "[]",
            "{\"a\":1,\"a\":1}",
            "{\"a\":1,\"\\u0061\":1}",
            r#"{"\ud83d":1}"#,
            "{\"data\":1}",
            "{} x",
        ] {
            write(root, "read", &[&[mode], other.as_bytes()].concat());
        }
        write(root, "read", &[mode, b'{', 0xff, b'}']);
    }
}

fn message(provider: &str, payload: &str) -> String {
    format!(
        r#"{{"specversion":"1.0","id":"e1","source":"/webhooks/{provider}/default","type":"commerce.order.paid","subject":"order/8f3e","time":"2025-01-11T16:00:00Z","datacontenttype":"application/json","provider":"{provider}","account":"default","providertype":"order.paid","receivedtime":"2025-01-11T16:00:01.250Z","deliveryid":"w1","traceparent":"00-0-0-00","data":{{"resource":{{"kind":"order","id":"8f3e"}},"amount":{{"value":"49.90","unit":"major","currency":"USD"}},"customer":{{"id":"c1"}},"status":"paid",{payload}}}}}"#
    )
}

/// Under its own digest, as libFuzzer names what it finds.
fn write(root: &Path, target: &str, input: &[u8]) {
    let folder = root.join("found").join(target);
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join(&reference::sha256(input)[..40]), input).expect("a file");
}
