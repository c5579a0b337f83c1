//! `hookgate explain`: every diagnosis by a request that has it, and the command as a person runs it.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use hookgate::{
    explain::{Explanation, explain},
    request::Request,
};
use hookgate_verify::{Account, Encoding, Hash, Layout, Provider, Scheme, Secrets, Verifier, sender};
use serde_json::{Value, json};
use time::OffsetDateTime;

const SECRET: &str = "whsec_c2VjcmV0LXNlY3JldA==";
const NOW: i64 = 1_773_504_000;
const ELECTIVE: &str = r#"{"id":"evt_1","event":"order.paid","created_at":1736611200,"data":{"orderId":"8f3e","url":"https://é.example/","total":1.10}}"#;
const SHOPPEX: &str = r#"{"event":"order:paid","data":{"uniqid":"inv_1"},"created_at":1773504000}"#;
const OPTERIUS: &str =
    r#"{"event":"invoice.paid","timestamp":"2026-04-15T14:22:30Z","signature":"","data":{"id":305}}"#;

/// A request that is right until a test spoils it.
#[derive(Clone)]
struct Case {
    provider: &'static Provider,
    mode: Option<&'static str>,
    secrets: Value,
    account: &'static str,
    now: i64,
    line: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Case {
    /// Signed as the provider does, by the scheme of this name.
    fn signed(provider: &str, scheme: &str, body: &str) -> Self {
        Self::by(provider, scheme, SECRET.as_bytes(), body.as_bytes())
    }

    fn by(provider: &str, scheme: &str, key: &[u8], body: &[u8]) -> Self {
        let provider = Provider::named(provider).unwrap();
        let mut schemes = provider.modes.iter().flat_map(|(_, schemes)| schemes.iter());
        let scheme = schemes.find(|known| known.name == scheme).unwrap();
        let signed = sender::sign(scheme, key, body, ("whd_abc123", NOW.cast_unsigned()));
        Case {
            provider,
            mode: None,
            secrets: json!({"default": [SECRET]}),
            account: "default",
            now: NOW,
            line: format!("POST /webhooks/{} HTTP/1.1", provider.name),
            headers: signed.headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            body: signed.body,
        }
    }

    fn elective() -> Self {
        Self::signed("elective", "v1", ELECTIVE)
    }

    fn v2() -> Self {
        Self::signed("shoppex", "v2", SHOPPEX)
    }

    fn opterius() -> Self {
        Self::signed("opterius", "without", OPTERIUS)
    }

    /// With the signature over `text` by `key` in its header.
    fn over(mut self, key: &[u8], text: &[u8]) -> Self {
        let mac = mac(Hash::Sha256, key, text);
        if let [(_, value)] = &mut self.headers[..] {
            *value = mac;
        } else if let Some((_, value)) = self.headers.first_mut() {
            *value = format!("v1,t={NOW},h={mac}");
        } else {
            let body = String::from_utf8(self.body).unwrap();
            let at = body.find("sha256=").unwrap() + 7;
            self.body = format!("{}{mac}{}", &body[..at], &body[at + 64..]).into_bytes();
        }
        self
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

    fn rename(mut self, from: &str, to: &str) -> Self {
        self.headers.iter_mut().filter(|(name, _)| name == from).for_each(|(name, _)| to.clone_into(name));
        self
    }

    /// Changes the first header: the signature.
    fn edit(mut self, change: impl FnOnce(&str) -> String) -> Self {
        self.headers[0].1 = change(&self.headers[0].1);
        self
    }

    fn mode(self, mode: &'static str) -> Self {
        Case { mode: Some(mode), ..self }
    }

    fn of(self, provider: &str) -> Self {
        Case { provider: Provider::named(provider).unwrap(), ..self }
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

    fn explain(&self) -> Explanation {
        let request = Request::parse(&self.http()).unwrap().pop().unwrap();
        let verifier = Verifier::new(self.provider, |_| self.mode.map(str::to_owned)).unwrap();
        let secrets = Secrets::as_given(&self.secrets.to_string()).unwrap();
        let now = OffsetDateTime::from_unix_timestamp(self.now).unwrap();
        explain(&request, verifier, &secrets, &Account::parse(self.account).unwrap(), now)
    }
}

fn mac(hash: Hash, key: &[u8], text: &[u8]) -> String {
    let scheme = Scheme { name: "", hash, encoding: Encoding::Hex, layout: Layout::Header("") };
    sender::sign(&scheme, key, text, ("", 0)).headers.remove(0).1
}

fn base64_of_hex(hex: &str) -> String {
    let digits: Vec<_> = hex.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap()).collect();
    BASE64_STANDARD.encode(digits.iter().map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect::<Vec<_>>())
}

/// A request, and the diagnoses that it must get: no more and no fewer.
#[allow(clippy::too_many_lines, reason = "one table")]
fn cases() -> Vec<(&'static str, Case)> {
    let elective = Case::elective;
    let key = SECRET.as_bytes();
    let other_key = |key: &[u8]| Case::by("elective", "v1", key, ELECTIVE.as_bytes());
    let body = |signed: &str, captured: &str| Case::signed("elective", "v1", signed).body(captured);
    let v1 = mac(Hash::Sha512, key, SHOPPEX.as_bytes());
    let v2_text = mac(Hash::Sha512, key, format!("whd_abc123.{NOW}.{SHOPPEX}").as_bytes());
    let milliseconds = Case::v2()
        .over(key, format!("whd_abc123.{NOW}000.{SHOPPEX}").as_bytes())
        .edit(|text| text.replace(",h", "000,h"))
        .without("x-shoppex-timestamp")
        .header("x-shoppex-timestamp", &format!("{NOW}000"));
    let python = r#"{"id": "evt_1", "data": {"b": "\u00e9", "a": 1.10}}"#;
    vec![
        // What is right, and what is worth knowing about it.
        ("", elective()),
        ("", elective().rename("x-e-commerce-signature", "X-E-COMMERCE-SIGNATURE")),
        ("", Case::v2()),
        ("", Case::opterius()),
        ("older_secret", elective().secrets(json!({"default": ["new", SECRET]}))),
        ("upper_case_hex", elective().edit(str::to_uppercase)),
        ("unreadable", Case::signed("elective", "v1", "[]")),
        ("unrecognized", Case::signed("elective", "v1", &ELECTIVE.replace("order.paid", "order.lost"))),
        // The request itself.
        ("method", elective().line("GET /webhooks/elective HTTP/1.1")),
        ("capture nothing_matches", elective().body("x").over(key, b"y").header("content-length", "99")),
        ("body_empty nothing_matches", elective().body("")),
        ("body_compressed nothing_matches", elective().body(b"\x1f\x8b\x08\x00".to_vec())),
        ("body_lost_bytes nothing_matches", elective().text(|body| body.replace('é', "\u{fffd}"))),
        // Which headers are there.
        ("signature_missing", elective().without("x-e-commerce-signature")),
        ("header_name", elective().rename("x-e-commerce-signature", "X_E_Commerce_Signature")),
        ("header_name", elective().rename("x-e-commerce-signature", "http-x-e-commerce-signature")),
        ("signature_missing header_name", elective().rename("x-e-commerce-signature", "x-signature").secret("x")),
        ("another_platform", Case::signed("etaildepot", "v1", ELECTIVE).of("elective")),
        ("another_platform", Case::signed("etaildepot", "v1", ELECTIVE).of("elective").secret("x")),
        (
            "signature_missing another_platform",
            elective().without("x-e-commerce-signature").line("POST /webhooks/w3block HTTP/1.1"),
        ),
        ("dynamic_delivery", Case::v2().header("x-shoppex-delivery-id", "1")),
        ("unknown_account", elective().account("eu-shop").secret("x")),
        ("signature_repeated", elective().header("x-e-commerce-signature", "00")),
        ("signature_repeated", elective().edit(|text| format!("{text},{text}"))),
        ("signature_repeated", Case::opterius().text(|body| body.replace("\"data\"", "\"signature\":\"x\",\"data\""))),
        ("signature_empty", elective().edit(|_| String::new())),
        ("signature_form", elective().edit(|text| text[..40].to_owned())),
        ("signature_form", elective().edit(|_| "Bearer token".to_owned())),
        // Settings.
        ("other_setting", Case::signed("shoppex", "v1", SHOPPEX).mode("true")),
        ("signature_missing scheme_refused", Case::signed("shoppex", "v1", SHOPPEX).mode("true").secret("x")),
        ("other_setting", Case::opterius().mode("empty")),
        ("other_setting", Case::signed("opterius", "empty", OPTERIUS)),
        // Opterius' member.
        ("signature_member", Case::opterius().body("hello")),
        ("signature_member", Case::opterius().body(r#"{"data":{"signature":"sha256=00"}}"#)),
        ("signature_member", Case::opterius().body(r#"{"signature":7,"data":{}}"#)),
        ("signature_missing", Case::opterius().body(r#"{"data":{}}"#)),
        // Shoppex' stamps.
        ("older_signature_right", Case::v2().over(key, b"?").header("x-shoppex-signature", &v1)),
        ("stamp_missing", Case::v2().without("x-shoppex-delivery")),
        ("stamp_missing", Case::v2().without("x-shoppex-timestamp")),
        ("signature_form", Case::v2().edit(|text| text.replace(",h", ", h"))),
        ("delivery_id_form", Case::v2().without("x-shoppex-delivery").header("x-shoppex-delivery", "a.b")),
        ("timestamps_differ", Case::v2().without("x-shoppex-timestamp").header("x-shoppex-timestamp", "1773504009")),
        ("timestamp_expired", Case::v2().at(NOW + 33_120)),
        ("timestamp_in_the_future", Case::v2().at(NOW - 301)),
        ("timestamp_milliseconds", milliseconds),
        // The secret.
        ("another_account", elective().secrets(json!({"default": ["x"], "eu-shop": [SECRET]}))),
        ("unknown_account another_account", elective().account("uk-shop").secrets(json!({"default": [SECRET]}))),
        ("secret_trimmed", elective().secret(&format!(" {SECRET}\n"))),
        ("secret_unquoted", elective().secret(&format!("\"{SECRET}\""))),
        ("secret_without_prefix", other_key(&key[6..])),
        ("secret_with_prefix", elective().secret(&SECRET[6..])),
        ("secret_base64_decoded", other_key(b"secret-secret")),
        ("secret_base64_decoded", other_key(b"secret-secret").secret(&SECRET[6..])),
        ("secret_hex_decoded", other_key(&[0xab, 0xcd, 0xef]).secret("abcdef")),
        ("secret_with_newline", other_key(format!("{SECRET}\n").as_bytes())),
        // The body.
        ("body_newline_added", elective().text(|body| format!("{body}\n"))),
        ("body_newline_added", elective().text(|body| format!("{body}\r\n"))),
        ("body_newline_added", elective().text(|body| format!("{body} \n\n"))),
        ("body_newline_removed", body(&format!("{ELECTIVE}\n"), ELECTIVE)),
        ("body_newline_removed", body(&format!("{ELECTIVE}\r\n"), ELECTIVE)),
        ("body_line_ends_unix", body("{\n\"a\":\n\"\\n\"}", "{\r\n\"a\":\r\n\"\\n\"}")),
        ("body_line_ends_windows", body("not json\r\nat all", "not json\nat all")),
        ("body_reencoded", body(&ELECTIVE.replace('/', "\\/").replace('é', "\\u00e9"), ELECTIVE)),
        ("body_reencoded", body(ELECTIVE, &ELECTIVE.replace('/', "\\/").replace('é', "\\u00e9"))),
        ("body_reencoded", body(ELECTIVE, &ELECTIVE.replace('/', "\\/"))),
        ("body_reencoded", body(&ELECTIVE.replace('/', "\\/"), ELECTIVE)),
        ("body_reencoded", body(python, r#"{"id":"evt_1","data":{"b":"é","a":1.10}}"#)),
        ("body_reencoded", body(r#"{"a":1,"b":2}"#, r#"{"b":2,"a":1}"#)),
        ("body_reencoded", body("{\n  \"b\": [\n    1\n  ]\n}", r#"{"b":[1]}"#)),
        ("body_reencoded", body("{\n    \"b\": [\n        1\n    ]\n}", r#"{"b":[1]}"#)),
        ("body_reencoded", Case::opterius().text(|body| body.replace(',', ", "))),
        ("body_byte_order_mark", elective().text(|body| format!("\u{feff}{body}"))),
        ("body_encoded_twice", elective().text(|body| body.replace('é', "Ã©"))),
        ("body_base64", elective().text(|body| BASE64_STANDARD.encode(body))),
        ("body_in_quotes", elective().text(|body| Value::from(body).to_string())),
        ("body_consumed", elective().over(key, b"")),
        // What is signed, and how.
        ("signed_body_alone", Case::v2().over(key, SHOPPEX.as_bytes())),
        ("signed_stamped", Case::v2().without("x-shoppex-signature-v2").header("x-shoppex-signature", &v2_text)),
        (
            "timestamps_differ signed_header_timestamp",
            Case::v2()
                .over(key, format!("whd_abc123.1773504009.{SHOPPEX}").as_bytes())
                .without("x-shoppex-timestamp")
                .header("x-shoppex-timestamp", "1773504009"),
        ),
        ("signed_without_delivery_id", Case::v2().over(key, format!("{NOW}.{SHOPPEX}").as_bytes())),
        ("signed_data_alone", Case::opterius().over(key, br#"{"id":305}"#)),
        ("secret_trimmed signed_member_cut_out", Case::opterius().mode("empty").secret(&format!("{SECRET}\n"))),
        (
            "secret_trimmed signed_member_emptied",
            Case::signed("opterius", "empty", OPTERIUS).secret(&format!("{SECRET}\n")),
        ),
        ("other_hash", Case::signed("shoppex", "v1", SHOPPEX).over(key, SHOPPEX.as_bytes())),
        ("signature_spelling", elective().edit(base64_of_hex)),
        (
            "signature_spelling",
            Case::v2().edit(|text| format!("v1,t={NOW},h={}", base64_of_hex(text.rsplit_once('=').unwrap().1))),
        ),
        ("signature_spelling", elective().edit(|text| BASE64_STANDARD.encode(text))),
        ("signature_spelling", elective().edit(|text| format!("sha256={text}"))),
        ("signature_spelling", Case::opterius().text(|body| body.replace("sha256=", ""))),
        // Two together.
        (
            "secret_trimmed body_newline_added",
            elective().text(|body| format!("{body}\n")).secret(&format!("{SECRET} ")),
        ),
        ("nothing_matches", elective().secret("x")),
        ("nothing_matches", Case::signed("w3block", "v1", ELECTIVE).secret("x")),
    ]
}

#[test]
fn every_request_gets_its_diagnoses() {
    let mut wrong = String::new();
    for (expected, case) in cases() {
        let explanation = case.explain();
        let mut expected: Vec<_> = expected.split_whitespace().collect();
        let mut got: Vec<_> = explanation.diagnoses.iter().map(|diagnosis| diagnosis.code).collect();
        let harmless = ["method", "older_secret", "upper_case_hex", "unreadable", "unrecognized"];
        let verifies = expected.iter().all(|code| harmless.contains(code));
        expected.sort_unstable();
        got.sort_unstable();
        if got != expected || explanation.verdict.is_ok() != verifies {
            let request = String::from_utf8_lossy(&case.http()).into_owned();
            let _ = writeln!(wrong, "expected {expected:?}, got {:#?} for\n{request}\n", explanation.diagnoses);
        }
    }
    assert_eq!(wrong, "");
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
        assert!(!said.contains("secret-secret") && !said.contains("8f3e") && !said.contains("inv_1"), "{said}");
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
    let sources = [include_str!("../src/explain.rs"), include_str!("../src/explain/guesses.rs")];
    let after = |source: &'static str, word: &'static str| {
        source.split(word).skip(1).filter_map(|rest| rest.trim_start().strip_prefix('"')?.split('"').next())
    };
    let words = ["certain(", "hint(", "code: "];
    let written: BTreeSet<_> =
        sources.iter().flat_map(|source| words.iter().flat_map(|word| after(source, word))).collect();
    let cases = cases();
    let tested: BTreeSet<_> = cases.iter().flat_map(|(codes, _)| codes.split_whitespace()).collect();
    assert_eq!(written, tested);
    assert!(written.len() > 50, "{}", written.len());
}

#[test]
fn an_expired_timestamp_says_by_how_much() {
    let finding = |case: Case| case.explain().diagnoses[0].finding.clone();
    for (late, expected) in
        [(301, "5 min 1 s"), (33_120, "9 h 12 min"), (90_000, "1 day 1 h"), (864_000, "10 days 0 h")]
    {
        let expected = format!("The signature is right, but its timestamp is {expected} old; 5 min are allowed.");
        assert_eq!(finding(Case::v2().at(NOW + late)), expected);
    }
    let remedy = &Case::v2().at(NOW + 301).explain().diagnoses[0].remedy;
    assert!(remedy.contains("--at 2026-03-14T16:00:00Z"), "{remedy}");
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

#[test]
fn every_form_of_capture_and_of_secret_is_taken() {
    let case = Case::elective();
    let all = file("all.json", r#"{"shoppex":"x","elective":{"default":["new","whsec_c2VjcmV0LXNlY3JldA=="]}}"#);
    let part = file("part.json", json!([SECRET]).to_string());
    let http = file("http.txt", case.http());
    let (name, signature) = &case.headers[0];
    let body = std::str::from_utf8(&case.body).unwrap();
    let har = json!({"log": {"entries": [
        {"request": {"method": "GET", "url": "https://host/", "headers": []}},
        {"request": {"method": "POST", "url": "https://host/webhooks/elective",
                     "headers": [{"name": name, "value": signature}], "postData": {"text": body}}}
    ]}});
    let curl = format!("curl http://host/webhooks/elective -H '{name}: {signature}' --data-raw '{body}'");
    let given = case.http().len() - case.body.len();
    let head = &case.http()[..given];
    let raw = file("body.json", body);
    for (arguments, capture) in [
        (vec![&http[..], "--secrets", &all], &b""[..]),
        (vec!["--secrets", &part], &case.http()),
        (vec!["-", "--secret", SECRET], &case.http()),
        (vec!["--secret", "new", "--secret", SECRET], har.to_string().as_bytes()),
        (vec!["--secret", SECRET, "--entry", "2"], har.to_string().as_bytes()),
        (vec!["--secret", SECRET], curl.as_bytes()),
        (vec!["--secret", SECRET, "--body", &raw], head),
        (vec!["--secrets", &events("secrets.json"), &events("elective/order-paid.json")], b""),
    ] {
        let arguments = [&["elective"], &arguments[..]].concat();
        let (code, out, err) = ran(&arguments, capture);
        assert_eq!((code, &err[..]), (Some(0), ""), "{arguments:?} {out}");
        assert!(out.starts_with("elective, account default: verifies"), "{out}");
        assert!(!out.contains('\u{1b}') && !out.contains("c2Vj") && !out.contains(&signature[..12]), "{out}");
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookgate"));
    let output = command.args(["explain", "elective", &http]).env("HOOKGATE_SECRET", SECRET).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn the_address_names_the_account_and_the_option_overrules_it() {
    let sample = events("shoppex/order-created-eu-shop.json");
    let secrets = events("secrets.json");
    assert_eq!(ran(&["shoppex", &sample, "--secrets", &secrets], b"").0, Some(0));
    let (code, out, _) = ran(&["shoppex", &sample, "--secrets", &secrets, "--account", "default"], b"");
    assert_eq!(code, Some(1));
    assert!(out.contains("It verifies with a secret of the account eu-shop, not of default."), "{out}");
}

#[test]
fn settings_times_and_signed_text_are_options() {
    let v2 = file("v2.txt", Case::v2().http());
    let with = |more: &[&str]| ran(&[&["shoppex", &v2[..], "--secret", SECRET], more].concat(), b"");
    assert_eq!(with(&["--at", "2026-03-14T16:05:00Z"]).0, Some(0));
    assert_eq!(with(&["--at", "1773504000", "--mode", "true"]).0, Some(0));
    let (code, out, _) = with(&["--json", "--show-signed"]);
    assert_eq!(code, Some(1));
    let json: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(json["reason"], "timestamp_expired");
    assert_eq!(json["diagnoses"][0]["code"], "timestamp_expired");
    assert_eq!(json["signed"]["text"], format!("whd_abc123.{NOW}.{SHOPPEX}"));
    assert_eq!(json["signed"]["expected"], json["signed"]["received"]);
    let (_, out, _) = with(&[]);
    assert!(!out.contains("inv_1"), "{out}");
    let (_, out, _) = with(&["--show-signed"]);
    assert!(out.contains("inv_1"), "{out}");
}

#[test]
fn what_cannot_be_used_is_one_line_with_a_remedy() {
    let http = file("usage.txt", Case::elective().http());
    let unknown = file("unknown.json", r#"{"shoppex":"s3cr3t"}"#);
    let broken = file("broken.json", r#"{"default":["s3cr3t"#);
    let two = json!({"log": {"entries": [
        {"request": {"method": "POST", "url": "https://host/webhooks/elective", "headers": []}},
        {"request": {"method": "POST", "url": "https://host/webhooks/elective", "headers": []}}
    ]}});
    let two = file("two.har", two.to_string());
    for (arguments, capture, expected) in [
        (vec!["elective"], "hello", "this is no captured request"),
        (vec!["elective", &http], "", "no secret: give a file with --secrets"),
        (vec!["elective", "/no/such"], "", "cannot read /no/such"),
        (vec!["elective", &http, "--secrets", &unknown], "", "has no secrets of elective"),
        (vec!["elective", &http, "--secrets", &broken], "", "not of the form"),
        (vec!["elective", &http, "--secret", ""], "", "has an empty secret"),
        (vec!["elective", &http, "--secret", "x", "--mode", "true"], "", "elective has no setting"),
        (
            vec!["shoppex", &http, "--secret", "x", "--mode", "yes"],
            "",
            "SHOPPEX_REQUIRE_V2 must be one of: false, true",
        ),
        (vec!["elective", &two, "--secret", "x"], "", "choose one with --entry (1, 2)"),
        (vec!["elective", &two, "--secret", "x", "--entry", "3"], "", "--entry goes from 1 to 2"),
        (vec!["shopify", &http], "", "possible values: elective, etaildepot"),
        (vec!["elective", &http, "--at", "yesterday"], "", "2026-03-14T16:00:01Z"),
        (vec!["elective", &http, "--secret", "x", "--account", "EU"], "", "1 to 64 of a-z, 0-9 and -"),
    ] {
        let (code, out, err) = ran(&arguments, capture.as_bytes());
        assert_eq!((code, &out[..]), (Some(2), ""), "{arguments:?}");
        assert!(err.contains(expected) && !err.contains("s3cr3t"), "{arguments:?}: {err}");
    }
}
