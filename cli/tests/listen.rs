//! `hookgate listen`, in front of small servers, on a running local intake.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use hookgate_event::Event;
use hookgate_verify::{Provider, providers};
use serde_json::{Value, json};

mod support;

use support::{event, first, intake::Intake};

/// `hookgate listen` on an intake.
trait Listen {
    fn listen(&self, to: &str, more: &[&str]) -> Command;
    fn listen_once(&self, to: &str, more: &[&str]) -> (Option<i32>, String, String);
}

impl Listen for Intake {
    fn listen(&self, to: &str, more: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hookgate"));
        command.args(["listen", "--forward-to", to, "--sqs", self.sqs()]).args(more);
        command
    }

    fn listen_once(&self, to: &str, more: &[&str]) -> (Option<i32>, String, String) {
        let output = self.listen(to, &[&["--once"], more].concat()).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    }
}

type Requests = Arc<Mutex<Vec<(String, String)>>>;

/// Somebody's code: answers one request after the other with these statuses and bodies, the last one from then on. Keeps
/// what it was sent: head, in lower case, and body.
fn code(answers: Vec<(u16, String)>) -> (String, Requests) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let requests = Requests::default();
    let kept = requests.clone();
    std::thread::spawn(move || {
        for (place, stream) in listener.incoming().enumerate() {
            let mut stream = BufReader::new(stream.unwrap());
            let (mut head, mut length) = (String::new(), 0);
            loop {
                let mut line = String::new();
                if stream.read_line(&mut line).unwrap() <= 2 {
                    break;
                }
                let line = line.trim().to_owned();
                let (name, value) = line.split_once(": ").unwrap_or(("", &line));
                if name.eq_ignore_ascii_case("content-length") {
                    length = value.parse().unwrap();
                }
                match name {
                    "" => head += &line,
                    name => head.extend(["\n", &name.to_lowercase(), ": ", value]),
                }
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body).unwrap();
            kept.lock().unwrap().push((head, String::from_utf8(body).unwrap()));
            let (status, body) = &answers[place.min(answers.len() - 1)];
            let length = body.len() + usize::from(*status == CUT_OFF);
            let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
            stream.get_mut().write_all(answer.as_bytes()).unwrap();
        }
    });
    (url, requests)
}

/// This answer lacks its last byte.
const CUT_OFF: u16 = 200 + 99;

fn answers(statuses: &[u16]) -> Vec<(u16, String)> {
    statuses.iter().map(|status| (*status, String::new())).collect()
}

/// Fails twice, then succeeds: each attempt is a line, the visibility timeout apart, and the message is deleted in the end.
#[test]
fn a_failed_event_comes_again_after_the_visibility_timeout() {
    let intake = Intake::start();
    intake.send(first(), event(first()), &["--id", "evt_1"]);
    let (url, requests) = code(answers(&[500, 404, 204]));
    let started = Instant::now();
    let mut listening = intake
        .listen(&format!("{url}/hooks?token=1"), &["--visibility-timeout", "1"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(listening.stdout.take().unwrap()).lines().map(Result::unwrap);
    let lines: Vec<_> = lines.take(3).collect();
    assert!(started.elapsed() > Duration::from_secs(2), "{:?}", started.elapsed());
    for (line, [answer, fate]) in lines.iter().zip([
        ["500", "(attempt 1 of 5: again in 1 s)"],
        ["404", "(attempt 2 of 5: again in 1 s)"],
        ["204", ""],
    ]) {
        let words: Vec<_> = line.split_whitespace().collect();
        assert_eq!(words[1], answer, "{line}");
        assert!(
            line.contains(first().events[0].1.as_str()) && line.contains("evt_1") && line.ends_with(fate),
            "{line}"
        );
    }
    assert_eq!(intake.held("events"), [0, 0]);
    let requests = requests.lock().unwrap();
    let bodies: Vec<_> = requests.iter().map(|(_, body)| body).collect();
    assert!(requests.len() == 3 && bodies.windows(2).all(|pair| pair[0] == pair[1]));
    assert!(requests[0].0.starts_with("POST /hooks?token=1 HTTP/1.1"), "{}", requests[0].0);
    assert!(requests[0].0.contains("\ncontent-type: application/cloudevents+json; charset=utf-8"), "{}", requests[0].0);
    assert_eq!(Event::from_json(bodies[0]).unwrap().id, "evt_1");

    let stopped = Command::new("kill").args(["-INT", &listening.id().to_string()]).status().unwrap();
    assert!(stopped.success());
    assert_eq!(listening.wait().unwrap().code(), Some(0));
}

/// What is never accepted goes to the dead-letter queue, after as many attempts as the queue allows.
#[test]
fn what_is_never_accepted_becomes_a_dead_letter() {
    let intake = Intake::start();
    intake.send(first(), event(first()), &[]);
    let (url, requests) = code(answers(&[503]));
    let until = Instant::now() + Duration::from_secs(30);
    let mut printed = String::new();
    while intake.held("dead_letters") == [0, 0] && Instant::now() < until {
        let (code, out, err) = intake.listen_once(&url, &["--visibility-timeout", "1"]);
        assert!(code == Some(1) && err.is_empty(), "{out} {err}");
        printed += &out;
        std::thread::sleep(Duration::from_millis(300));
    }
    assert_eq!((intake.held("dead_letters"), intake.held("events")), ([1, 0], [0, 0]));
    assert_eq!(requests.lock().unwrap().len(), 5);
    assert!(printed.contains("(attempt 5: goes to the dead-letter queue)"), "{printed}");
}

/// In binary mode headers and body together are the event.
#[test]
fn binary_mode_says_the_same_as_structured() {
    let (intake, (url, requests)) = (Intake::start(), code(answers(&[200])));
    for provider in providers::ALL {
        intake.send(provider, event(provider), &[]);
    }
    let (code, out, _) = intake.listen_once(&url, &["--mode", "binary"]);
    assert_eq!((code, out.lines().count()), (Some(0), providers::ALL.len()), "{out}");
    for (head, data) in requests.lock().unwrap().iter() {
        let headers = head.lines().skip(1).map(|line| line.split_once(": ").unwrap());
        let mut event = serde_json::Map::new();
        for (name, value) in headers {
            match name.strip_prefix("ce-") {
                Some(name) => _ = event.insert(name.to_owned(), json!(value)),
                None if name == "content-type" => _ = event.insert("datacontenttype".to_owned(), json!(value)),
                None => {}
            }
        }
        event.insert("data".to_owned(), serde_json::from_str(data).unwrap());
        let event = Value::Object(event).to_string();
        let read = Event::from_json(&event).unwrap();
        assert!(Provider::named(&read.provider).is_some());
    }
}

/// What is not asked for is deleted, as by a filter of Lambda's event source.
#[test]
fn what_is_not_asked_for_is_not_forwarded() {
    let (intake, (url, requests)) = (Intake::start(), code(answers(&[200])));
    let (one, other) = (first(), support::another(first()));
    intake.send(one, event(one), &[]);
    intake.send(other, event(other), &[]);
    let (code, out, _) = intake.listen_once(&url, &["--provider", other.name]);
    assert_eq!((code, out.lines().count(), requests.lock().unwrap().len()), (Some(0), 2, 1), "{out}");
    assert_eq!(out.lines().filter(|line| line.contains("left out and deleted")).count(), 1, "{out}");
    assert_eq!(intake.held("events"), [0, 0]);

    // What is not an event may be all that is left of a delivery: no filter deletes it.
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("listen-{}", std::process::id()));
    std::fs::write(&file, "not JSON").unwrap();
    intake.send(support::with_ids(), event(support::with_ids()), &["--data", file.to_str().unwrap()]);
    let filtered = ["--queue", "hookgate-quarantine", "--type", "order.*", "--visibility-timeout", "1"];
    let (code, out, _) = intake.listen_once(&url, &filtered);
    assert!(code == Some(1) && out.contains("not an event, not sent"), "{out}");
    assert_eq!(intake.held("quarantine").iter().sum::<u64>(), 1);
    assert_eq!(intake.listen_once(&url, &[]).0, Some(1), "there is nothing more");
}

/// A function gets a batch as Lambda hands it over, and answers with what failed of it.
#[test]
fn a_function_gets_batches_and_names_what_failed() {
    let intake = Intake::start();
    for _ in 0..3 {
        intake.send(first(), event(first()), &[]);
    }
    let (url, requests) = code(answers(&[200]));
    // A first run tells the ids: everything fails.
    let function = format!("{url}/2015-03-31/functions/consumer/invocations");
    let (failing, _) = code(answers(&[500]));
    let failing = format!("{failing}/2015-03-31/functions/consumer/invocations");
    let (code_, out, _) = intake.listen_once(&failing, &["--visibility-timeout", "1"]);
    assert_eq!((code_, out.lines().count()), (Some(1), 3), "{out}");
    std::thread::sleep(Duration::from_millis(1100));
    assert_eq!(intake.listen_once(&function, &[]).0, Some(0));
    let (_, body) = requests.lock().unwrap()[0].clone();
    let batch: Value = serde_json::from_str(&body).unwrap();
    let records = batch["Records"].as_array().unwrap();
    assert_eq!(records.len(), 3);
    for record in records {
        assert!(Event::from_json(record["body"].as_str().unwrap()).is_ok());
        assert_eq!(record["attributes"]["ApproximateReceiveCount"], "2");
        assert_eq!(record["messageAttributes"]["provider"], json!({"stringValue": first().name, "dataType": "String"}));
        assert_eq!(record["eventSourceARN"], "arn:aws:sqs:us-east-1:000000000000:hookgate-events");
    }

    intake.send(first(), event(first()), &[]);
    let queues = intake.get("/api/queues");
    let id = &queues["events"]["messages"][0]["id"];
    let answer = json!({"batchItemFailures": [{"itemIdentifier": id}]}).to_string();
    let (url, _) = code(vec![(200, answer)]);
    let (code, out, _) = intake.listen_once(&format!("{url}/2015-03-31/functions/consumer/invocations"), &[]);
    assert_eq!(code, Some(1));
    assert!(out.contains("batch item failure"), "{out}");
    assert_eq!(intake.held("events"), [0, 1]);
}

#[test]
fn what_cannot_be_forwarded_names_the_remedy() {
    let intake = Intake::start();
    for (to, more, expected) in [
        ("example.com/hooks", &[][..], "--forward-to \"example.com/hooks\" is not a URL"),
        (":1", &["--queue", "none"], "cannot find the queue none"),
    ] {
        let (code, _, err) = intake.listen_once(to, more);
        assert!(code == Some(2) && err.contains(expected), "{err}");
    }
    intake.send(first(), event(first()), &[]);
    let (code, out, _) = intake.listen_once("http://127.0.0.1:1/", &["--visibility-timeout", "1"]);
    assert!(code == Some(1) && out.contains("no answer from http://127.0.0.1:1/"), "{out}");

    // An answer that is cut off may have named the message as failed.
    for (path, status, expected) in [
        ("/hooks", CUT_OFF, "the answer is cut off"),
        ("/2015-03-31/functions/consumer/invocations", CUT_OFF, "the answer is cut off"),
        ("/hooks", 302, "302, not followed"),
    ] {
        let (url, _) = self::code(vec![(status, "{}".to_owned())]);
        std::thread::sleep(Duration::from_millis(1100));
        let (code, out, _) = intake.listen_once(&(url + path), &["--visibility-timeout", "1"]);
        assert!(code == Some(1) && out.contains(expected), "{path} {status}: {out}");
    }
}

/// Ctrl-C does not wait for code that does not answer.
#[test]
fn an_open_request_does_not_keep_it_from_stopping() {
    let intake = Intake::start();
    intake.send(first(), event(first()), &[]);
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hooks", silent.local_addr().unwrap());
    let mut listening = intake.listen(&url, &[]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let (_open, _) = silent.accept().unwrap();
    let stopped = Command::new("kill").args(["-INT", &listening.id().to_string()]).status().unwrap();
    assert!(stopped.success());
    let started = Instant::now();
    assert_eq!(listening.wait().unwrap().code(), Some(0));
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    assert_eq!(intake.held("events"), [1, 0]);
}
