//! The `hookgate` command as a person runs it, and the samples that it sends.

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use hookgate::{
    client::http::Outgoing,
    send::samples::{self, Sample},
};
use hookgate_verify::{Account, Delivery, Secrets, Verifier, providers, scheme::Inspection};
use serde_json::Value;

mod support;

use support::{event, first, intake::Intake, scheme};

fn hookgate(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hookgate")).args(arguments).output().unwrap()
}

fn events() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../events")
}

#[test]
fn once_sends_every_sample_and_says_so() {
    let output = hookgate(&["--once", "--port", "0"]);
    let text = String::from_utf8(output.stdout).unwrap();
    let samples = samples::all();
    let platforms: BTreeSet<_> = samples.iter().map(|sample| sample.provider.name).collect();
    let (samples, platforms) = (samples.len(), platforms.len());
    assert_eq!(platforms, providers::ALL.len(), "every platform has a sample");
    let summary = format!("{samples} samples, all as expected. {samples} events are on the queue.\n");
    assert!(text.ends_with(&summary), "{text}");
    for provider in providers::ALL {
        let (name, rejected) = (provider.name, provider.rejected_status);
        let row = |line: &&str| line.split_whitespace().next() == Some(name);
        let rows: Vec<_> = text.lines().filter(row).collect();
        assert!(
            matches!(rows[..], [row] if row.ends_with(&format!("200 duplicate   {rejected} rejected"))),
            "{rows:?}"
        );
    }
    // The first screen is one: 80 columns, 24 lines and a few.
    assert!(text.lines().all(|line| line.chars().count() <= 80) && text.lines().count() < 30, "{text}");
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
    let folder = tempfile("wrong-secrets");
    let secrets = std::fs::read_to_string(events().join("secrets.json")).unwrap();
    // Another of the first platform's, which may have to keep its form.
    let right = String::from_utf8(support::secret(first())).unwrap();
    let last = right.rfind(|c: char| c.is_ascii_alphanumeric()).unwrap() - 4;
    let other = if right[last..].starts_with('A') { "B" } else { "A" };
    let wrong = format!("{}{other}{}", &right[..last], &right[last + 1..]);
    let secrets = secrets.replace(&right, &wrong);
    let path = format!("/webhooks/{}", first().name);
    let count = samples::all().iter().filter(|sample| sample.path == path).count();
    std::fs::write(&folder, secrets).unwrap();
    let output = hookgate(&["--once", "--port", "0", "--secrets", folder.to_str().unwrap()]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains(&format!("samples, {count} not as expected.")), "{text}");
    let rejected = format!("{} rejected", first().rejected_status);
    let row = format!("new {rejected}, repeated {rejected}, tampered {rejected}, 0 on the queue");
    assert!(text.contains(&row), "{text}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn what_keeps_it_from_starting_is_one_line_with_a_remedy() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let (taken, port) = (address.to_string(), address.port());
    let not_json = tempfile("not-json");
    let name = first().name;
    std::fs::write(&not_json, format!(r#"{{"{name}": {{"default": ["s3cr3t"]}}"#)).unwrap();
    let unknown = tempfile("unknown");
    std::fs::write(&unknown, r#"{"nobody": {"default": ["s3cr3t"]}}"#).unwrap();
    let empty = tempfile("empty");
    std::fs::write(&empty, format!(r#"{{"{name}": {{"default": ["s3cr3t", ""]}}}}"#)).unwrap();
    let path = |path: &Path| path.to_str().unwrap().to_owned();

    for (option, value, expected) in [
        (
            "--listen",
            taken.clone(),
            format!("port {port} is in use by another program: choose other ports with --port"),
        ),
        ("--dynamodb", taken.clone(), format!("port {port} is in use by another program")),
        ("--sqs", taken, format!("port {port} is in use by another program")),
        (
            "--secrets",
            "/no/such".into(),
            "cannot read /no/such: choose another file with --secrets: No such file".into(),
        ),
        (
            "--port",
            "65000 --sqs :65000".into(),
            "--listen and --sqs have the same port 65000: give each its own".into(),
        ),
        ("--port", "65000 --sqs 0.0.0.0:65001".into(), "--dynamodb and --sqs have the same port 65001".into()),
        ("--secrets", path(&not_json), "is not of the form".into()),
        ("--secrets", path(&unknown), format!("has an unknown platform: the known ones are {name}")),
        ("--secrets", path(&empty), format!("platform {name}: account \"default\" has an empty secret")),
    ] {
        let given = [&["--once", option], &value.split(' ').collect::<Vec<_>>()[..]].concat();
        let output = hookgate(&[&given[..], if option == "--port" { &[] } else { &["--port", "0"] }].concat());
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.starts_with("hookgate: ") && text.contains(&expected), "{option}: {text}");
        assert_eq!(text.lines().count(), 1, "{option}: {text}");
        assert!(!text.contains("s3cr3t"), "{option}: {text}");
        assert_eq!(output.status.code(), Some(2), "{option}");
    }
}

/// All three ports move with one option, and what takes them is said in one line.
#[test]
fn a_second_intake_says_that_one_is_running() {
    let number = free_ports();
    let port = number.to_string();
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookgate"));
    let (intake, mut lines) = Intake::printing(command.args(["--no-samples", "--port", &port]));
    let second = hookgate(&["--once", "--port", &port]);
    let text = String::from_utf8(second.stderr).unwrap();
    let ports = format!("ports {number}, {}, {} are in use", number + 1, number + 2);
    let expected = format!("hookgate: {ports}: another intake is running, see http://127.0.0.1:{number}/. ");
    assert!(text.starts_with(&expected), "{text}");
    assert_eq!((second.status.code(), text.lines().count()), (Some(2), 1));

    // A delivery is a line: time, outcome, platform and account, event.
    let sent = hookgate(&["send", first().name, event(first()), "--url", &format!(":{port}")]);
    assert_eq!(sent.status.code(), Some(0), "{}", String::from_utf8_lossy(&sent.stderr));
    let line = lines.next().unwrap();
    let words: Vec<_> = line.split_whitespace().collect();
    assert_eq!((words[0].len(), words[1], words[2]), (8, "queued", &*format!("{}/default", first().name)), "{line}");
    assert!(line.contains(first().events[0].1.as_str()), "{line}");
    let sent =
        hookgate(&["send", first().name, event(first()), "--tamper", "body", "--url", &format!("localhost:{port}")]);
    assert_eq!(sent.status.code(), Some(0), "{}", String::from_utf8_lossy(&sent.stderr));
    let line = lines.next().unwrap();
    assert!(line.contains("rejected") && line.contains("signature_mismatch"), "{line}");

    // The engines have short addresses, too.
    let (dynamodb, sqs) = (format!("localhost:{}", number + 1), format!(":{}", number + 2));
    let listed = hookgate(&["quarantine", "list", "--dynamodb", &dynamodb, "--sqs", &sqs]);
    assert_eq!(listed.status.code(), Some(1), "{}", String::from_utf8_lossy(&listed.stderr));
    let shown = hookgate(&["claims", "show", "evt_unknown", "--dynamodb", &dynamodb]);
    assert_eq!(shown.status.code(), Some(1), "{}", String::from_utf8_lossy(&shown.stderr));

    // Ctrl-C ends it with a summary.
    let stopped = Command::new("kill").args(["-INT", &intake.id().to_string()]).status().unwrap();
    assert!(stopped.success());
    let last = lines.last().unwrap();
    assert_eq!(last, "Stopped after 2 deliveries: 1 queued, 1 rejected. Nothing was kept.");
    assert_eq!(intake.ended().0, Some(0));
}

/// Three neighbours that nobody uses: the first of them. Below the ports that the system gives to other tests.
fn free_ports() -> u16 {
    let free = |port: u16| (port..port + 3).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok());
    (20_000..30_000).step_by(3).find(|port| free(*port)).unwrap()
}

/// Colours go to a terminal, or where somebody asks for them, and never where somebody does not want them.
#[test]
fn a_pipe_gets_no_colours_unasked() {
    for (variables, coloured) in [
        (&[][..], false),
        (&[("CLICOLOR", "1")], false),
        (&[("CLICOLOR_FORCE", "1")], true),
        (&[("CLICOLOR_FORCE", "1"), ("TERM", "dumb"), ("NO_COLOR", "")], true),
        (&[("CLICOLOR_FORCE", "0")], false),
        (&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "0")], false),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hookgate"));
        command.env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE").envs(variables.iter().copied());
        let output = command.args(["doctor", "--only", "tools"]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let expected = if coloured { "\x1b[1mTools for deploying\x1b[0m\n" } else { "Tools for deploying\n" };
        assert!(text.starts_with(expected), "{variables:?}: {text:?}");
        assert_eq!((text.contains('\x1b'), output.stderr.contains(&0x1b)), (coloured, false), "{variables:?}");
    }
}

/// `--once --json` is for scripts: every sample, and nothing else.
#[test]
fn once_answers_in_json() {
    let output = hookgate(&["--once", "--json", "--port", "0"]);
    assert_eq!(output.status.code(), Some(0));
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&json["as_expected"], &json["other_events"]), (&true.into(), &0.into()));
    let samples = samples::all();
    let results = json["samples"].as_array().unwrap();
    assert_eq!(results.len(), samples.len());
    for (result, sample) in results.iter().zip(&samples) {
        assert_eq!(result["sample"], *sample.name);
        assert_eq!(
            (&result["new"]["outcome"], &result["repeated"]["outcome"]),
            (&"queued".into(), &"duplicate".into())
        );
        assert_eq!(result["tampered"]["status"], sample.provider.rejected_status);
    }
}

/// The binary needs nothing of the checkout.
#[test]
fn it_starts_in_any_folder() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("empty-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookgate"));
    let output = command.args(["--once", "--port", "0"]).current_dir(&folder).env_remove("CARGO_MANIFEST_DIR").output();
    assert_eq!(output.unwrap().status.code(), Some(0));
}

#[test]
fn what_others_call_it_leads_to_what_it_is_called_here() {
    for (typed, hint) in [
        ("start", "hookgate starts the local intake without a subcommand"),
        ("trigger", "hookgate send sends a signed sample"),
        ("logs", "hookgate tail shows events as they arrive"),
        ("history", "hookgate trace shows what happened to an event"),
        ("verify", "hookgate explain says why"),
        ("dlq", "hookgate redrive moves"),
    ] {
        let output = hookgate(&[typed]);
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains(&format!("unknown subcommand '{typed}': {hint}")), "{text}");
        assert_eq!(output.status.code(), Some(2));
    }
}

/// `hookgate … | head`: no panic, and no word about it.
#[test]
fn a_reader_that_is_gone_ends_it_quietly() {
    let intake = ["--port", "0"];
    let once = [&intake[..], &["--once"]].concat();
    let manual = support::find(|provider| provider.registration.call.is_none()).unwrap().name;
    for (arguments, code) in [
        // What its samples came to was to be printed: it is not known to be as expected.
        (&once[..], 141),
        (&intake, 141),
        (&["send", first().name, event(first()), "--print", "curl"], 141),
        (&["register", manual], 141),
        (&["doctor", "--only", "tools", "--json"], 0),
        (&["completions", "bash"], 141),
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
    assert!(first.starts_with("Hookgate is running."), "{first}");
    let output = process.wait_with_output().unwrap();
    assert_eq!((output.status.code(), &*String::from_utf8_lossy(&output.stderr)), (Some(141), ""));
}

/// The delivery whose line finds no reader any more is answered before it ends.
#[test]
fn a_reader_that_is_gone_costs_no_delivery_its_answer() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookgate"));
    let (intake, lines) = Intake::printing(command.args(["--no-samples", "--port", "0"]).stderr(Stdio::piped()));
    drop(lines);
    let sent = hookgate(&["send", first().name, event(first()), "--url", intake.url()]);
    assert_eq!(sent.status.code(), Some(0), "{}", String::from_utf8_lossy(&sent.stdout));
    assert_eq!(intake.ended(), (Some(141), String::new()));
}

#[cfg(target_os = "linux")]
#[test]
fn what_cannot_be_printed_is_said() {
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_hookgate")).args(["--once", "--port", "0"]).stdout(full).output();
    let output = output.unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.starts_with("hookgate: cannot print: No space left on device"), "{text}");
    assert_eq!((output.status.code(), text.lines().count()), (Some(2), 1), "{text}");
}

fn tempfile(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}.json", std::process::id()))
}

/// Every sample is signed as its provider would, with the current secret of its account.
///
/// After a change of a body, `UPDATE_SAMPLES=1 cargo test -p hookgate --test command signed` signs it again.
#[test]
fn samples_are_signed() {
    let secrets = std::fs::read_to_string(events().join("secrets.json")).unwrap();
    let secrets: Value = serde_json::from_str(&secrets).unwrap();
    for sample in samples::all() {
        let secrets = Secrets::parse(&secrets[sample.provider.name].to_string()).unwrap();
        let file = support::file_of(&sample);
        let text = std::fs::read_to_string(&file).unwrap();
        let signed = signed_again(&sample, &secrets, &text);
        if std::env::var_os("UPDATE_SAMPLES").is_some() {
            std::fs::write(&file, &signed).unwrap();
        } else {
            assert_eq!(
                text, signed,
                "{}: sign it with UPDATE_SAMPLES=1 cargo test -p hookgate --test command signed",
                sample.name
            );
        }
    }
}

/// Whenever it is sent, a sample is taken, also where its signature holds for a while only.
#[test]
fn samples_verify_whenever_they_are_sent() {
    let secrets: Value =
        serde_json::from_str(&std::fs::read_to_string(events().join("secrets.json")).unwrap()).unwrap();
    for sample in samples::all() {
        let secrets = Secrets::parse(&secrets[sample.provider.name].to_string()).unwrap();
        for seconds in [1_000_000_000, 4_000_000_000] {
            let received = time::OffsetDateTime::from_unix_timestamp(seconds).unwrap();
            let Outgoing { headers, body } = sample.signed(received, None);
            let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
            let delivery = Delivery { headers, body, account: sample.account(), received };
            let verifier = Verifier::new(sample.provider, |_| None).unwrap();
            assert!(verifier.authenticate(&delivery, &secrets).is_ok(), "{}", sample.name);
        }
    }
}

/// The file's text with the signature that its body should have. Everything else stays as it was written.
fn signed_again(sample: &Sample, secrets: &Secrets, text: &str) -> String {
    let account = sample.account();
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
