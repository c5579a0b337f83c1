//! The `hookgate` command as a person runs it, and the samples that it sends.

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use hookgate::samples::{Sample, read};
use hookgate_verify::{Account, Delivery, Secrets, Verifier, providers, scheme::Inspection};
use serde_json::Value;

mod support;

use support::{event, first, scheme};

fn hookgate(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hookgate")).args(arguments).output().unwrap()
}

/// Three ports that nobody uses at the moment.
fn ports() -> [String; 3] {
    let free = || TcpListener::bind("127.0.0.1:0").unwrap();
    [free(), free(), free()].map(|listener| listener.local_addr().unwrap().to_string())
}

fn events() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../events")
}

#[test]
fn once_sends_every_sample_and_says_so() {
    let [listen, dynamodb, sqs] = ports();
    let output = hookgate(&["--once", "--listen", &listen, "--dynamodb", &dynamodb, "--sqs", &sqs]);
    let text = String::from_utf8(output.stdout).unwrap();
    let samples = read(&events()).unwrap();
    let platforms: BTreeSet<_> = samples.iter().map(|sample| sample.provider.name).collect();
    let (samples, platforms) = (samples.len(), platforms.len());
    assert_eq!(platforms, providers::ALL.len(), "every platform has a sample");
    let summary = format!(
        "{samples} samples of {platforms} providers, each sent fresh, again and tampered with: 0 unexpected; {samples} events on the queue."
    );
    assert!(text.contains(&summary), "{text}");
    assert_eq!(output.status.code(), Some(0));
    // Nothing of the samples' secrets is shown.
    let secrets = std::fs::read_to_string(events().join("secrets.json")).unwrap();
    let secrets: Value = serde_json::from_str(&secrets).unwrap();
    for secret in secrets.as_object().unwrap().values().flat_map(|accounts| accounts["default"].as_array().unwrap()) {
        assert!(!text.contains(secret.as_str().unwrap()));
    }
}

#[test]
fn a_sample_that_does_not_verify_is_unexpected() {
    let [listen, dynamodb, sqs] = ports();
    let folder = tempfile("wrong-secrets");
    let secrets = std::fs::read_to_string(events().join("secrets.json")).unwrap();
    // Another of the first platform's, which may have to keep its form.
    let right = String::from_utf8(support::secret(first())).unwrap();
    let last = right.rfind(|c: char| c.is_ascii_alphanumeric()).unwrap() - 4;
    let other = if right[last..].starts_with('A') { "B" } else { "A" };
    let wrong = format!("{}{other}{}", &right[..last], &right[last + 1..]);
    let secrets = secrets.replace(&right, &wrong);
    let path = format!("/webhooks/{}", first().name);
    let count = read(&events()).unwrap().iter().filter(|sample| sample.path == path).count();
    std::fs::write(&folder, secrets).unwrap();
    let options = ["--once", "--listen", &listen, "--dynamodb", &dynamodb, "--sqs", &sqs, "--secrets"];
    let output = hookgate(&[&options[..], &[folder.to_str().unwrap()]].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains(&format!("{count} unexpected")), "{text}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn what_keeps_it_from_starting_is_one_line_with_a_remedy() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let (taken, port) = (address.to_string(), address.port());
    let [listen, dynamodb, sqs] = ports();
    let not_json = tempfile("not-json");
    let name = first().name;
    std::fs::write(&not_json, format!(r#"{{"{name}": {{"default": ["s3cr3t"]}}"#)).unwrap();
    let unknown = tempfile("unknown");
    std::fs::write(&unknown, r#"{"nobody": {"default": ["s3cr3t"]}}"#).unwrap();
    let empty = tempfile("empty");
    std::fs::write(&empty, format!(r#"{{"{name}": {{"default": ["s3cr3t", ""]}}}}"#)).unwrap();
    let path = |path: &Path| path.to_str().unwrap().to_owned();

    for (option, value, expected) in [
        ("--listen", taken.clone(), format!("port {port} is taken: choose another with --listen")),
        ("--dynamodb", taken.clone(), format!("port {port} is taken: choose another with --dynamodb")),
        ("--sqs", taken, format!("port {port} is taken: choose another with --sqs")),
        ("--secrets", "/no/such".into(), "cannot read /no/such: No such file".into()),
        ("--secrets", path(&not_json), "is not of the form".into()),
        ("--secrets", path(&unknown), format!("names an unknown provider: known are {name}")),
        ("--secrets", path(&empty), format!("provider {name}: account \"default\" has an empty secret")),
    ] {
        let mut arguments = vec!["--once"];
        for (name, default) in [("--listen", &listen), ("--dynamodb", &dynamodb), ("--sqs", &sqs)] {
            arguments.extend([name, if name == option { &value } else { default }]);
        }
        if option == "--secrets" {
            arguments.extend([option, &value]);
        }
        let output = hookgate(&arguments);
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.starts_with("hookgate: ") && text.contains(&expected), "{option}: {text}");
        assert_eq!(text.lines().count(), 1, "{option}: {text}");
        assert!(!text.contains("s3cr3t"), "{option}: {text}");
        assert_eq!(output.status.code(), Some(1), "{option}");
    }
}

/// `hookgate … | head`: no panic, and no word about it.
#[test]
fn a_reader_that_is_gone_ends_it_quietly() {
    let [listen, dynamodb, sqs] = ports();
    let intake = ["--listen", &listen, "--dynamodb", &dynamodb, "--sqs", &sqs];
    let once = [&intake[..], &["--once"]].concat();
    let manual = support::find(|provider| provider.registration.call.is_none()).unwrap().name;
    for (arguments, code) in [
        // What its samples came to was to be printed: it is not known to be as expected.
        (&once[..], 141),
        (&intake, 141),
        (&["send", first().name, event(first()), "--print", "curl"], 0),
        (&["register", manual], 0),
        (&["doctor", "--only", "tools", "--json"], 0),
        (&["completions", "bash"], 0),
        (&["--help"], 0),
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = Command::new(env!("CARGO_BIN_EXE_hookgate")).args(arguments).stdout(writer).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{arguments:?}");
        assert!(output.status.code() == Some(code) || arguments[0] == "doctor", "{arguments:?}: {}", output.status);
    }

    // After its first line.
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookgate"));
    let mut process = command.args(intake).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(process.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert!(first.starts_with("Deliveries  http://"), "{first}");
    let output = process.wait_with_output().unwrap();
    assert_eq!((output.status.code(), &*String::from_utf8_lossy(&output.stderr)), (Some(141), ""));
}

/// The delivery whose line finds no reader any more is answered before it ends.
#[test]
fn a_reader_that_is_gone_costs_no_delivery_its_answer() {
    let [listen, dynamodb, sqs] = ports();
    let arguments = ["--no-samples", "--listen", &listen, "--dynamodb", &dynamodb, "--sqs", &sqs];
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookgate"));
    let mut process = command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map(Result::unwrap);
    lines.find(|line| line.starts_with("Waiting")).unwrap();
    drop(lines);
    let sent = hookgate(&["send", first().name, event(first()), "--url", &format!("http://{listen}")]);
    assert_eq!(sent.status.code(), Some(0), "{}", String::from_utf8_lossy(&sent.stdout));
    let output = process.wait_with_output().unwrap();
    assert_eq!((output.status.code(), &*String::from_utf8_lossy(&output.stderr)), (Some(141), ""));
}

#[cfg(target_os = "linux")]
#[test]
fn what_cannot_be_printed_is_said() {
    let [listen, dynamodb, sqs] = ports();
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let arguments = ["--once", "--listen", &listen, "--dynamodb", &dynamodb, "--sqs", &sqs];
    let output = Command::new(env!("CARGO_BIN_EXE_hookgate")).args(arguments).stdout(full).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.starts_with("hookgate: cannot print: No space left on device"), "{text}");
    assert_eq!((output.status.code(), text.lines().count()), (Some(1), 1), "{text}");
}

fn tempfile(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}.json", std::process::id()))
}

/// Every sample is signed as its provider would, with the current secret of its account.
///
/// After a change of a body, `UPDATE_SAMPLES=1 cargo test -p hookgate samples` signs it again.
#[test]
fn samples_are_signed() {
    let secrets = std::fs::read_to_string(events().join("secrets.json")).unwrap();
    let secrets: Value = serde_json::from_str(&secrets).unwrap();
    for sample in read(&events()).unwrap() {
        let secrets = Secrets::parse(&secrets[sample.provider.name].to_string()).unwrap();
        let text = std::fs::read_to_string(&sample.file).unwrap();
        let signed = signed_again(&sample, &secrets, &text);
        if std::env::var_os("UPDATE_SAMPLES").is_some() {
            std::fs::write(&sample.file, &signed).unwrap();
        } else {
            assert_eq!(text, signed, "{}: sign it with UPDATE_SAMPLES=1 cargo test -p hookgate samples", sample.name);
        }
    }
}

/// Whenever it is sent, a sample is taken, also where its signature holds for a while only.
#[test]
fn samples_verify_whenever_they_are_sent() {
    let secrets: Value =
        serde_json::from_str(&std::fs::read_to_string(events().join("secrets.json")).unwrap()).unwrap();
    for sample in read(&events()).unwrap() {
        let secrets = Secrets::parse(&secrets[sample.provider.name].to_string()).unwrap();
        let account = sample.path.split('/').nth(3).map_or_else(Account::default, |name| Account::parse(name).unwrap());
        for seconds in [1_000_000_000, 4_000_000_000] {
            let received = time::OffsetDateTime::from_unix_timestamp(seconds).unwrap();
            let Sample { headers, body, provider, name, .. } = sample.signed_at(received);
            let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
            let delivery = Delivery { headers, body, account: account.clone(), received };
            let verifier = Verifier::new(provider, |_| None).unwrap();
            assert!(verifier.authenticate(&delivery, &secrets).is_ok(), "{name}");
        }
    }
}

/// The file's text with the signature that its body should have. Everything else stays as it was written.
fn signed_again(sample: &Sample, secrets: &Secrets, text: &str) -> String {
    let account = match sample.path.split('/').nth(3) {
        Some(account) => Account::parse(account).unwrap(),
        None => Account::default(),
    };
    let scheme = scheme(sample.provider);
    // With the sample's own id and time, where those are signed.
    let inspected = inspected(sample);
    let id = inspected.id.unwrap_or_default();
    let time = inspected.time.or(inspected.time_in_header).and_then(|time| time.parse().ok()).unwrap_or_default();
    let signed = scheme.sign(secrets.current(&account).unwrap(), &sample.body, &id, time).unwrap();
    let mut text = text.to_owned();
    for (name, value) in &signed.headers {
        text = text.replace(&sample.headers[*name], value);
    }
    if let Some(name) = scheme.signature_member() {
        let signature = |body: &[u8]| {
            let body: Value = serde_json::from_slice(body).unwrap();
            body[name].as_str().unwrap().to_owned()
        };
        text = text.replace(&signature(&sample.body), &signature(&signed.body));
    }
    let length = |bytes: &str| format!(r#""content-length": "{bytes}""#);
    text.replace(&length(&sample.headers["content-length"]), &length(&signed.body.len().to_string()))
}

fn inspected(sample: &Sample) -> Inspection {
    let headers = sample.headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
    let received = time::OffsetDateTime::UNIX_EPOCH;
    let delivery = Delivery { headers, body: sample.body.clone(), account: Account::default(), received };
    scheme(sample.provider).inspect(&delivery).expect("the sample has a signature, be it a wrong one")
}
