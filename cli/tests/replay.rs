//! `hookgate replay`, on a running local intake.

use std::{
    collections::BTreeSet,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use aws_sdk_sqs::types::Message;
use flate2::{Compression, write::GzEncoder};
use hookgate::local::engines;
use hookgate_event::Event;
use hookgate_verify::providers;
use serde_json::{Value, json};

mod support;

use support::{Ran, event, first, intake::Intake, serve};

fn hookgate(intake: &Intake, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookgate"));
    command.args(arguments).args(["--sqs", intake.sqs(), "--dynamodb", intake.dynamodb()]);
    command
}

fn ran(mut command: Command, input: &[u8]) -> Ran {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap().into()
}

fn run(intake: &Intake, arguments: &[&str]) -> Ran {
    ran(hookgate(intake, arguments), b"")
}

fn file(name: &str, bytes: &[u8]) -> String {
    let path: PathBuf = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{name}", std::process::id()));
    std::fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().to_owned()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// The events on the queue, one on a line, and no longer there.
async fn archived(intake: &Intake) -> String {
    let archive = run(intake, &["tail", "--once", "--json"]).out;
    drain(intake).await;
    archive
}

/// Takes every message off the events queue.
async fn drain(intake: &Intake) -> Vec<Message> {
    let sqs = aws_sdk_sqs::Client::new(&engines::sdk_config(intake.sqs()));
    let queue = sqs.get_queue_url().queue_name("hookgate-events").send().await.unwrap().queue_url.unwrap();
    let mut messages = Vec::new();
    loop {
        let receive = sqs.receive_message().queue_url(&queue).max_number_of_messages(10).visibility_timeout(600);
        let receive = receive
            .message_attribute_names("All")
            .message_system_attribute_names(aws_sdk_sqs::types::MessageSystemAttributeName::All);
        let batch = receive.send().await.unwrap().messages.unwrap_or_default();
        if batch.is_empty() {
            return messages;
        }
        for message in batch {
            let receipt = message.receipt_handle().unwrap();
            sqs.delete_message().queue_url(&queue).receipt_handle(receipt).send().await.unwrap();
            messages.push(message);
        }
    }
}

fn attribute<'m>(message: &'m Message, name: &str) -> Option<&'m str> {
    message.message_attributes()?.get(name)?.string_value()
}

/// What was queued comes again with the same bytes, the same attributes, the same group, and the name of the replay.
#[tokio::test(flavor = "multi_thread")]
async fn each_event_comes_again_as_it_was_under_the_replays_name() {
    let intake = Intake::start();
    for provider in providers::ALL {
        intake.send(provider, event(provider), &[]);
    }
    let archive = run(&intake, &["tail", "--once", "--json"]).out;
    let queued = drain(&intake).await;
    let bodies: BTreeSet<_> = queued.iter().map(|message| message.body().unwrap().to_owned()).collect();
    assert_eq!(archive.lines().map(str::to_owned).collect::<BTreeSet<_>>(), bodies);

    let plain = file("plain.ndjson", archive.as_bytes());
    // A compressed archive may be several streams behind each other.
    let (half, rest) = archive.split_at(archive.find('\n').unwrap() + 1);
    let compressed = file("packed.gz", &[gzip(half.as_bytes()), gzip(rest.as_bytes())].concat());
    for (number, source, input) in [(1, &*plain, &b""[..]), (2, &compressed, b""), (3, "-", archive.as_bytes())] {
        let name = format!("fix-{number}");
        let dry = ran(hookgate(&intake, &["replay", source, "--name", &name, "--dry-run"]), input);
        let count = providers::ALL.len();
        assert!(
            dry.code == Some(0) && dry.out.starts_with(&format!("Nothing was sent. It would be {count} of {count} "))
        );
        assert!(drain(&intake).await.is_empty());

        let sent = ran(hookgate(&intake, &["replay", source, "--name", &name]), input);
        assert_eq!(sent.code, Some(0), "{}", sent.err);
        assert!(sent.out.starts_with(&format!("Sent {count} of {count} events as {name}, received ")), "{}", sent.out);
        let again = drain(&intake).await;
        assert_eq!(again.iter().map(|message| message.body().unwrap().to_owned()).collect::<BTreeSet<_>>(), bodies);
        for message in &again {
            let before = queued.iter().find(|before| before.body() == message.body()).unwrap();
            assert_eq!(attribute(message, "replay"), Some(&*name));
            for name in ["type", "provider", "account"] {
                assert_eq!(attribute(message, name), attribute(before, name));
            }
            let group = |message: &Message| {
                let group = aws_sdk_sqs::types::MessageSystemAttributeName::MessageGroupId;
                message.attributes().unwrap().get(&group).cloned()
            };
            assert_eq!(group(message), group(before));
            assert_eq!(message.message_attributes().unwrap().len(), 4);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_say_which_and_a_name_belongs_to_them() {
    let intake = Intake::start();
    for provider in providers::ALL {
        intake.send(provider, event(provider), &[]);
    }
    let archive = archived(&intake).await;
    let file = file("filters.ndjson", archive.as_bytes());
    let one = Event::from_json(archive.lines().next().unwrap()).unwrap().into_owned();
    let all = providers::ALL.len();
    for (filters, expected) in [
        (vec!["--provider", first().name], 1),
        (vec!["--id", &one.id], 1),
        (vec!["--id", &one.id, "--id", "other"], 1),
        (vec!["--from", "2026-01-01T00:00:00Z"], all),
        (vec!["--to", "2026-01-01T00:00:00Z"], 0),
        (vec!["--from", &one.received_time, "--id", &one.id], 1),
        (vec!["--to", &one.received_time, "--id", &one.id], 0),
        (vec!["--type", "no.such"], 0),
        (vec!["--account", "default"], all),
    ] {
        let dry = run(&intake, &[&["replay", &file, "--name", "look", "--dry-run", "--json"], &filters[..]].concat());
        let json: Value = serde_json::from_str(&dry.out).unwrap();
        assert_eq!(
            (&json["wanted"], &json["sent"], &json["events"]),
            (&json!(expected), &json!(0), &json!(all)),
            "{filters:?}"
        );
        assert_eq!(dry.code, Some(i32::from(expected == 0)), "{filters:?}");
    }
    let replay = |more: &[&str]| run(&intake, &[&["replay", &file, "--name", "fix-1"], more].concat());
    let both = ["--provider", first().name, "--provider", support::another(first()).name];
    assert_eq!(replay(&both).code, Some(0));
    assert_eq!(drain(&intake).await.len(), 2);
    // The same filters in another order are the same.
    let turned = ["--provider", support::another(first()).name, "--provider", first().name];
    assert_eq!(replay(&turned).code, Some(0));
    assert_eq!(drain(&intake).await.len(), 2);
    let other = replay(&["--provider", first().name]);
    assert_eq!((other.code, other.err.lines().count()), (Some(2), 1), "{}", other.err);
    assert!(other.err.contains("fix-1 was a replay with other filters: nothing was sent"), "{}", other.err);
    // A dry run says so, too.
    let dry = replay(&["--provider", first().name, "--dry-run"]);
    assert!(dry.code == Some(2) && dry.err == other.err, "{}", dry.err);
    assert!(drain(&intake).await.is_empty());
}

/// As docs/operate.md says: a replay may write its name, and only a dry run reads it.
#[tokio::test(flavor = "multi_thread")]
async fn a_replay_needs_no_more_than_to_write_its_name() {
    let intake = Intake::start();
    intake.send(first(), event(first()), &[]);
    let archive = archived(&intake).await;
    let answer = async |headers: axum::http::HeaderMap| {
        if headers["x-amz-target"] == "DynamoDB_20120810.PutItem" {
            return (axum::http::StatusCode::OK, "{}");
        }
        (axum::http::StatusCode::BAD_REQUEST, r#"{"__type": "AccessDeniedException", "message": "No."}"#)
    };
    let dynamodb = serve(axum::Router::new().fallback(answer)).await;
    for (more, code, said) in
        [(&["--dry-run"][..], 2, "cannot read the table hookgate-claims: AccessDeniedException: No."), (&[], 0, "")]
    {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hookgate"));
        command.args(["replay", "-", "--name", "fix-1", "--sqs", intake.sqs(), "--dynamodb", &dynamodb]).args(more);
        let ran = ran(command, archive.as_bytes());
        assert!(ran.code == Some(code) && ran.err.contains(said), "{more:?}: {} {}", ran.out, ran.err);
    }
    assert_eq!(drain(&intake).await.len(), 1);
}

/// One line that says so, nothing sent, exit code 2: even where what comes before could be sent.
#[tokio::test(flavor = "multi_thread")]
async fn bad_input_sends_nothing() {
    let intake = Intake::start();
    intake.send(first(), event(first()), &[]);
    intake.send(first(), event(first()), &[]);
    let archive = archived(&intake).await;
    let packed = gzip(archive.as_bytes());
    let line = archive.lines().next().unwrap();
    let second = |line: String| format!("{}\n{line}\n", archive.lines().nth(1).unwrap()).into_bytes();
    let with = |name: &str, value: Value| {
        let mut event: Value = serde_json::from_str(line).unwrap();
        event[name] = value;
        second(event.to_string())
    };
    let utf16 = "\u{feff}".encode_utf16().chain(archive.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    // What does not compress.
    let noise = std::iter::successors(Some(1_u64), |n| Some(n.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1)));
    let noise = noise.take(1_500_000).map(|n| char::from(b'0' + u8::try_from(n >> 58).unwrap())).collect();
    let large = line.replace(r#""payload":"#, &format!(r#""payload":{},"x":"#, Value::String(noise)));
    let not_an_event = "is not an event that this version reads";
    let cases = [
        ("cut.gz", packed[..packed.len() - 12].to_vec(), "is cut short or damaged at line"),
        ("header.gz", packed[..7].to_vec(), "is cut short or damaged at line 1"),
        ("damaged.gz", [&packed[..packed.len() - 6], &[0; 6]].concat(), "is cut short or damaged at line"),
        ("tail.gz", [&packed[..], b"more"].concat(), "is cut short or damaged at line"),
        ("twice.gz", gzip(&packed), "line 1, is not UTF-8"),
        ("cut.ndjson", archive.as_bytes()[..archive.len() - 20].to_vec(), not_an_event),
        ("text", second("hello".to_owned()), "line 2, from column 1, is not an event"),
        (
            "parted",
            second(line.replacen(',', ",\n", 1)),
            "line 2, is not an event that this version reads (an event must be on one",
        ),
        ("other-source", with("source", json!("/webhooks/other/default")), "its source is not that of its provider"),
        ("no-id", with("id", json!("")), "its id is empty, or longer than 256 bytes"),
        ("long-id", with("id", json!("x".repeat(257))), "its id is empty, or longer than 256 bytes"),
        ("number", second("7".to_owned()), not_an_event),
        ("array", second(format!("[{line}]")), not_an_event),
        ("rest", second(format!("{line} rest")), not_an_event),
        ("latin", b"\xff\n".to_vec(), "line 1, is not UTF-8"),
        ("utf-16", utf16, "line 1, is not UTF-8"),
        ("future", with("specversion", json!("2.0")), not_an_event),
        ("next", with("specversion", json!("1.1")), not_an_event),
        ("no-provider", with("provider", json!("")), "its provider or account is not a name"),
        ("no-account", with("account", json!("A B")), "its provider or account is not a name"),
        ("no-time", with("receivedtime", json!("yesterday")), "its receivedtime is not a time"),
        ("large", second(large), "it is larger than a message can be"),
    ];
    let check = |path: &str, expected: &str| {
        let ran = run(&intake, &["replay", path, "--name", "fix-1"]);
        assert_eq!((ran.code, ran.err.lines().count(), &*ran.out), (Some(2), 1, ""), "{path}: {}", ran.err);
        assert!(ran.err.contains(expected) && ran.err.contains(path), "{path}: {}", ran.err);
    };
    for (name, bytes, expected) in cases {
        check(&file(name, &bytes), expected);
        assert!(drain(&intake).await.is_empty(), "{name}");
    }
    // Not in memory: two gigabytes without a line feed.
    let sparse = file("sparse", b"");
    std::fs::File::options().write(true).open(&sparse).unwrap().set_len(2 << 30).unwrap();
    check(&sparse, "line 1, is longer than 128 MiB");
    check(env!("CARGO_TARGET_TMPDIR"), "cannot read ");
    check("/no/such", "cannot read /no/such");
    for (arguments, expected) in [
        (&["replay", "/dev/null", "--name", "X"][..], "a name is 1 to 64 of a-z"),
        (&["replay", "/dev/null", "--name", "x", "--from", "soon"], "write it like"),
        (
            &["replay", "/dev/null", "--name", "x", "--from", "2026-01-02T00:00:00Z", "--to", "1735689600"],
            "--from is not before --to",
        ),
        // It would be another time when a replay that broke off is given again.
        (
            &["replay", "/dev/null", "--name", "x", "--from", "2h"],
            "an age is another time when the replay is given again",
        ),
    ] {
        let ran = run(&intake, arguments);
        assert!(ran.code == Some(2) && ran.err.contains(expected), "{}", ran.err);
    }
    // A queue that is not the installation's: nothing there has its name.
    let mut elsewhere = Command::new(env!("CARGO_BIN_EXE_hookgate"));
    elsewhere.args(["replay", &file("one", line.as_bytes()), "--name", "fix-1", "--sqs", intake.dynamodb()]);
    let elsewhere = ran(elsewhere, b"");
    assert_eq!((elsewhere.code, elsewhere.err.lines().count()), (Some(2), 1), "{}", elsewhere.err);
    assert!(elsewhere.err.contains("cannot find the queue hookgate-events"), "{}", elsewhere.err);
    // Told to, it leaves them out, each by its number.
    let mixed = file("mixed", format!("{line}\nhello\n\n{line}\n").as_bytes());
    let ran = run(&intake, &["replay", &mixed, "--name", "fix-2", "--skip-invalid"]);
    assert!(ran.code == Some(0) && ran.err.contains("line 2, from column 1, is left out: not JSON"), "{}", ran.err);
    assert!(ran.out.contains("; 1 left out as invalid"), "{}", ran.out);
    assert_eq!(drain(&intake).await.len(), 2);
    // After a mistake in JSON, the rest of the line is left out.
    let within = file("within", format!("{line}{{bad}}{line}\n").as_bytes());
    let ran = run(&intake, &["replay", &within, "--name", "fix-3", "--skip-invalid", "--json"]);
    assert!(ran.err.contains("line 1, from column ") && ran.err.contains("is left out: not JSON"), "{}", ran.err);
    let json: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((&json["events"], &json["invalid"], &json["sent"]), (&json!(1), &json!(1), &json!(1)));
    drain(&intake).await;
}

/// However an archive's events are put together, the same are read. What there is twice, consumers recognise.
#[tokio::test(flavor = "multi_thread")]
async fn what_stands_between_events_does_not_matter() {
    let intake = Intake::start();
    intake.send(first(), event(first()), &["--repeat", "2"]);
    let archive = archived(&intake).await;
    let (one, two) = archive.trim_end().split_once('\n').unwrap();
    let members = |parts: &[&str]| parts.iter().flat_map(|part| gzip(part.as_bytes())).collect::<Vec<_>>();
    for (number, (bytes, expected)) in [
        (format!("{one}\r\n{two}\r\n").into_bytes(), vec![one, two]),
        (format!("\u{feff}{one}\n{two}").into_bytes(), vec![one, two]),
        (format!("\n\n{one}\n\n \t\n  {two}  \n\n").into_bytes(), vec![one, two]),
        // Without a line feed between them, as Firehose does it unless told otherwise, in one object or in several.
        (format!("{one}{two}").into_bytes(), vec![one, two]),
        (members(&[&format!("{one}{two}"), "\n", two, one]), vec![one, one, two, two]),
        (members(&["", one, "", "\n\n", two, ""]), vec![one, two]),
        (format!("{one}\n{one}\n").into_bytes(), vec![one, one]),
        (Vec::new(), vec![]),
        ("\u{feff}\r\n".into(), vec![]),
        (members(&[""]), vec![]),
    ]
    .into_iter()
    .enumerate()
    {
        let path = file("between", &bytes);
        let mut sources = vec![(&*path, &b""[..]), ("-", &bytes)];
        // A pipe with a name, as the shell's <(…).
        if cfg!(unix) {
            sources.push(("/dev/stdin", &bytes));
        }
        for (source, input) in sources {
            let sent = ran(hookgate(&intake, &["replay", source, "--name", "fix-1"]), input);
            assert_eq!(sent.code, Some(i32::from(expected.is_empty())), "{number} {source}: {}", sent.err);
            let mut bodies: Vec<_> = drain(&intake).await.into_iter().filter_map(|message| message.body).collect();
            bodies.sort();
            let mut expected = expected.clone();
            expected.sort_unstable();
            assert_eq!(bodies, expected, "{number} {source}");
        }
    }
    // Two files that overlap.
    let (both, again) = (file("both", archive.as_bytes()), file("again.gz", &gzip(two.as_bytes())));
    assert_eq!(run(&intake, &["replay", &both, &again, "--name", "fix-1"]).code, Some(0));
    assert_eq!(drain(&intake).await.len(), 3);
}

/// What a later version may add, and what another installation may have, is sent as it is.
#[tokio::test(flavor = "multi_thread")]
async fn what_this_version_does_not_know_is_not_its_business() {
    let intake = Intake::start();
    intake.send(first(), event(first()), &[]);
    let archive = archived(&intake).await;
    for (name, value) in [
        ("type", "commerce.order.teleported"),
        ("account", "no-such-account"),
        ("provider", "no-such-platform"),
        ("newattribute", "new"),
    ] {
        let mut event: Value = serde_json::from_str(&archive).unwrap();
        event[name] = json!(value);
        let word = |name: &str| event[name].as_str().unwrap().to_owned();
        event["source"] = json!(format!("/webhooks/{}/{}", word("provider"), word("account")));
        let text = event.to_string();
        let sent = ran(hookgate(&intake, &["replay", "-", "--name", "fix-1"]), text.as_bytes());
        assert_eq!(sent.code, Some(0), "{name}: {}", sent.err);
        let messages = drain(&intake).await;
        assert_eq!(messages[0].body(), Some(&*text));
        for name in ["type", "provider", "account"] {
            assert_eq!(attribute(&messages[0], name), event[name].as_str());
        }
    }
}

/// `tail --json` opens a compressed payload. On the queue it is compressed again, and means the same.
#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_too_large_for_the_queue_comes_again_compressed() {
    let intake = Intake::start();
    let member = first().fields.in_object("note");
    let note = format!("{member}={}", "x".repeat(100_000));
    let mut sent = vec!["--set".to_owned(), note];
    for number in 0..12 {
        sent.extend([
            "--set".to_owned(),
            format!("{}={}", first().fields.in_object(&format!("note{number}")), "y".repeat(100_000)),
        ]);
    }
    intake.send(first(), event(first()), &sent.iter().map(String::as_str).collect::<Vec<_>>());
    let archive = run(&intake, &["tail", "--once", "--json"]).out;
    let queued = drain(&intake).await.remove(0).body.unwrap();
    assert!(queued.contains("payload_gzip") && archive.len() > 1 << 20 && !archive.contains("payload_gzip"));
    for (name, kept) in [("fix-1", &archive), ("fix-2", &queued)] {
        assert_eq!(ran(hookgate(&intake, &["replay", "-", "--name", name]), kept.as_bytes()).code, Some(0));
        let again = drain(&intake).await.remove(0).body.unwrap();
        assert!(again.contains("payload_gzip"));
        assert_eq!(Event::from_json(&again).unwrap().to_json(), archive.trim_end());
    }
}

/// Killed half-way and given again: nothing is missing, and what comes twice is known by source, id and name.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_replay_that_was_killed_can_be_given_again() {
    const COUNT: usize = 200;
    let intake = Intake::start();
    intake.send(first(), event(first()), &["--repeat", &COUNT.to_string(), "--concurrency", "8"]);
    let archive = run(&intake, &["tail", "--once", "--json"]).out;
    assert_eq!((archive.lines().count(), drain(&intake).await.len()), (COUNT, COUNT));
    let file = file("killed.ndjson", archive.as_bytes());
    let mut killed = hookgate(&intake, &["replay", &file, "--name", "fix-1", "--rate", "100"]).spawn().unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    killed.kill().unwrap();
    killed.wait().unwrap();
    let before = drain(&intake).await;
    assert!(!before.is_empty() && before.len() < COUNT, "{}", before.len());
    assert_eq!(run(&intake, &["replay", &file, "--name", "fix-1"]).code, Some(0));
    let after = drain(&intake).await;
    let key = |message: &Message| {
        let event = Event::from_json(message.body().unwrap()).unwrap().into_owned();
        (event.source, event.id, attribute(message, "replay").unwrap().to_owned())
    };
    let keys: BTreeSet<_> = before.iter().chain(&after).map(key).collect();
    assert_eq!(keys.len(), COUNT, "each once, by what consumers know them");

    // Ctrl-C: what is on its way is sent, and the way to go on is named.
    let mut command = hookgate(&intake, &["replay", &file, "--name", "fix-1", "--rate", "50"]);
    let stopped = command.stderr(Stdio::piped()).spawn().unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(Command::new("kill").args(["-INT", &stopped.id().to_string()]).status().unwrap().success());
    let output = stopped.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    let sent = drain(&intake).await.len();
    let expected = format!("hookgate: stopped: {sent} of {COUNT} events were sent: give the same command again");
    assert!(said.contains(&expected), "{said} {sent}");
}
