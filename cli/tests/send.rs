//! `hookgate send` as a person runs it, against a local intake.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Output, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use hookgate::{engines, samples, send::outgoing::Template};
use hookgate_verify::{Provider, providers};
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// A local intake of its own, gone when dropped.
struct Intake {
    process: Child,
    url: String,
    sqs: String,
}

impl Intake {
    fn start(settings: &[(&str, &str)]) -> Self {
        let free = || TcpListener::bind("127.0.0.1:0").unwrap();
        let ports = [free(), free(), free()].map(|listener| listener.local_addr().unwrap().to_string());
        let [listen, dynamodb, sqs] = &ports;
        let process = Command::new(env!("CARGO_BIN_EXE_hookgate"))
            .args(["--no-samples", "--listen", listen, "--dynamodb", dynamodb, "--sqs", sqs])
            .envs(settings.iter().copied())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let started = Instant::now();
        while TcpStream::connect(listen).is_err() {
            assert!(started.elapsed() < Duration::from_mins(1), "the local intake does not start");
            std::thread::sleep(Duration::from_millis(50));
        }
        Intake { process, url: format!("http://{listen}"), sqs: format!("http://{sqs}") }
    }

    fn send(&self, arguments: &[&str]) -> Ran {
        ran(&[arguments, &["--url", &self.url]].concat())
    }
}

impl Drop for Intake {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Ran {
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|_| panic!("{} {}", self.out, self.err))
    }
}

fn ran(arguments: &[&str]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookgate"));
    of(&command.arg("send").args(arguments).env_remove("HOOKGATE_SECRET").output().unwrap())
}

fn of(output: &Output) -> Ran {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    Ran { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
}

/// Every event of every platform: queued as what the table says, as having happened now, and new each time.
#[tokio::test]
async fn every_event_of_every_platform_can_be_sent() {
    let intake = Intake::start(&[]);
    let mut expected = BTreeMap::<String, usize>::new();
    for provider in providers::ALL {
        for (event, event_type) in provider.events {
            for _ in 0..2 {
                let sent = intake.send(&[provider.name, event, "--json"]);
                assert_eq!(sent.code, Some(0), "{} {event}: {} {}", provider.name, sent.out, sent.err);
                assert_eq!(sent.json()["answer"]["outcome"], "queued", "{} {event}", provider.name);
                *expected.entry(event_type.as_str().to_owned()).or_default() += 1;
            }
        }
    }
    let sqs = aws_sdk_sqs::Client::new(&engines::sdk_config(&intake.sqs));
    let queue = sqs.get_queue_url().queue_name("hookgate-events").send().await.unwrap().queue_url.unwrap();
    let messages = samples::peek(&sqs, &queue).await.unwrap();
    let mut arrived = BTreeMap::<String, usize>::new();
    let mut subjects = BTreeSet::new();
    for message in &messages {
        let event = samples::event(message).unwrap();
        *arrived.entry(event.event_type.as_str().to_owned()).or_default() += 1;
        let time = OffsetDateTime::parse(event.time.as_deref().unwrap(), &Rfc3339).unwrap();
        assert!((OffsetDateTime::now_utc() - time).whole_minutes().abs() < 10, "{:?}", event.time);
        assert!(subjects.insert(event.subject.clone()), "{:?} came twice", event.subject);
    }
    assert_eq!(arrived, expected);
}

/// What has no sample of its own takes after the one that comes nearest.
#[test]
fn derived_events_are_plausible() {
    let body = |provider: &str, event: &str| {
        let template = Template::of(Provider::named(provider).unwrap(), event).unwrap();
        serde_json::from_slice::<Value>(&template.text()).unwrap()
    };
    let product = body("shoppex", "order:created:product");
    assert_eq!(product["event"], "order:created:product");
    assert_eq!((&product["data"]["status"], product["data"]["products"].is_array()), (&"PENDING".into(), true));
    assert_eq!(body("shoppex", "order:cancelled:product")["data"]["status"], "VOIDED");
    let updated = body("shoppex", "order:updated");
    assert_eq!((&updated["data"]["status"], &updated["data"]["products"]), (&"PENDING".into(), &Value::Null));
    let card = body("etaildepot", "card.issued");
    assert_eq!(card["type"], "card.issued");
    assert!(card["data"]["object"]["id"].as_str().unwrap().starts_with("card_"));
    for provider in providers::ALL {
        for event in Template::events(provider) {
            let template = Template::of(provider, &event).unwrap();
            assert!(template.headers.iter().all(|(name, value)| name != "x-shoppex-event" || *value == event));
        }
    }
}

#[test]
fn an_event_can_be_sent_again() {
    let intake = Intake::start(&[]);
    for same in [&["--same"][..], &["--id", "evt_42"]] {
        for event in [["elective", "order.paid"], ["shoppex", "order:paid"], ["opterius", "invoice.paid"]] {
            let sent = intake.send(&[&event[..], same, &["--repeat", "3", "--json"]].concat());
            assert_eq!((sent.code, &sent.json()["outcomes"]["duplicate"]), (Some(0), &2.into()), "{}", sent.out);
        }
    }
    let sent = intake.send(&["elective", "order.fulfilled", "--id", "evt_43"]);
    assert!(sent.out.contains("200 queued  evt_43"), "{}", sent.out);
}

#[test]
fn what_is_tampered_with_is_rejected() {
    let intake = Intake::start(&[]);
    for provider in providers::ALL {
        let event = provider.events[0].0;
        for tamper in ["body", "signature", "secret"] {
            let sent = intake.send(&[provider.name, event, "--tamper", tamper, "--repeat", "2", "--json"]);
            assert_eq!((sent.code, &sent.json()["outcomes"]["rejected"]), (Some(0), &2.into()), "{}", sent.out);
        }
    }
    let v2 = |tamper| intake.send(&["shoppex", "order:paid", "--v2", "--tamper", tamper]).code;
    assert_eq!(["body", "signature", "secret", "timestamp"].map(v2), [Some(0); 4]);
    // And what is not tampered with but rejected all the same is a failure that says what to do.
    let sent = intake.send(&["elective", "order.paid", "--secret", "another"]);
    assert_eq!(sent.code, Some(1));
    assert!(sent.out.contains("401 rejected") && sent.out.contains("hookgate explain elective"), "{}", sent.out);
    assert!(!sent.out.contains("another"), "{}", sent.out);
}

#[test]
fn a_platforms_other_signatures_are_options() {
    let strict = Intake::start(&[("SHOPPEX_REQUIRE_V2", "true"), ("OPTERIUS_SIGNED", "empty")]);
    assert_eq!(strict.send(&["shoppex", "order:paid", "--v2"]).code, Some(0));
    assert_eq!(strict.send(&["shoppex", "order:paid"]).code, Some(1));
    assert_eq!(strict.send(&["opterius", "invoice.paid", "--signed", "empty"]).code, Some(0));
    assert_eq!(strict.send(&["opterius", "invoice.paid"]).code, Some(1));
    assert_eq!(strict.send(&["shoppex", "order:paid", "--v2", "--account", "eu-shop"]).code, Some(0));
}

#[test]
fn values_can_be_set() {
    let set = ["--set", "data.total=100", "--set", "data.note=it's \"new\"", "--set", "data.items=[{\"n\":1.10}]"];
    let printed = ran(&[&["elective", "order.paid", "--print", "curl"], &set[..]].concat());
    let expected = r#","total":100,"#;
    assert!(printed.out.contains(expected), "{}", printed.out);
    assert!(printed.out.contains(r#""note":"it'\''s \"new\"","items":[{"n":1.10}]"#), "{}", printed.out);
}

/// The command that is printed is run by a shell, with curl.
#[test]
fn the_printed_command_works() {
    let intake = Intake::start(&[]);
    for arguments in [
        &["elective", "customer.created", "--set", "data.note=it's $HOME `x` \\ \"y\""][..],
        &["shoppex", "order:paid", "--v2", "--account", "eu-shop"],
        &["opterius", "service.activated"],
    ] {
        let printed = intake.send(&[arguments, &["--print", "curl"]].concat());
        assert_eq!(printed.code, Some(0), "{}", printed.err);
        let answer = of(&Command::new("sh").args(["-c", &printed.out]).output().unwrap());
        assert!(
            answer.out.contains("200 OK") && answer.out.contains(r#""outcome":"queued""#),
            "{} {}",
            answer.out,
            answer.err
        );
    }
}

#[test]
fn a_file_is_sent_as_it_is() {
    let intake = Intake::start(&[]);
    let file = |name: &str, content: &[u8]| {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("send-{}-{name}", std::process::id()));
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    // Authentic, and nothing that can be read: quarantined, which is a 2xx.
    let bytes = file("bytes", b"\xff\xfe no JSON\n");
    let sent = intake.send(&["elective", "order.paid", "--data", &bytes, "--json"]);
    assert_eq!((sent.code, &sent.json()["answer"]["outcome"]), (Some(0), &"quarantined".into()));
    let sent = intake.send(&["opterius", "invoice.paid", "--data", &bytes]);
    assert_eq!(sent.code, Some(2));
    assert!(sent.err.contains("must be a JSON object"), "{}", sent.err);
    let printed = intake.send(&["elective", "order.paid", "--data", &bytes, "--print", "curl"]);
    assert_eq!(printed.code, Some(2));
    let spaced =
        file("spaced", br#"{ "event" : "invoice.paid", "timestamp":"2026-04-15T14:22:30Z", "data" : {"id":1} }"#);
    assert_eq!(intake.send(&["opterius", "invoice.paid", "--data", &spaced]).code, Some(0));
}

#[test]
fn scenarios_come_out_as_they_should() {
    let intake = Intake::start(&[]);
    for arguments in [
        &["elective", "order.paid", "--scenario", "duplicates"][..],
        &["shoppex", "order:paid", "--scenario", "out-of-order"],
        &["etaildepot", "order.created", "--scenario", "flood", "--repeat", "50"],
    ] {
        let played = intake.send(&[arguments, &["--sqs", &intake.sqs, "--json"]].concat());
        assert_eq!((played.code, played.json()["checks"].as_array().unwrap().len()), (Some(0), 4), "{}", played.out);
        // Without a queue to look at the answers are checked alone.
        let played = intake.send(&[arguments, &["--json"]].concat());
        assert_eq!((played.code, played.json()["checks"].as_array().unwrap().len()), (Some(0), 3), "{}", played.out);
    }
    let played = intake.send(&["elective", "order.paid", "--scenario", "duplicates"]);
    assert!(played.out.contains("✓ 1 queued: 1") && played.out.contains("is not looked at"), "{}", played.out);
    let played = intake.send(&["elective", "order.paid", "--scenario", "flood", "--repeat", "2", "--secret", "x"]);
    assert_eq!(played.code, Some(1));
    assert!(played.out.contains("✗ 2 queued: 0"), "{}", played.out);
    // The queue of another intake does not grow.
    let other = Intake::start(&[]);
    let played = intake.send(&["elective", "order.paid", "--scenario", "flood", "--repeat", "2", "--sqs", &other.sqs]);
    assert_eq!(played.code, Some(1));
    assert!(played.out.contains("✗ the queue grows by 2"), "{}", played.out);
}

/// What the scenario says of itself is true on the queue; and whoever delivers meanwhile notices nothing.
#[tokio::test]
async fn a_function_dies_in_the_middle_of_a_delivery() {
    let intake = Intake::start(&[]);
    let crash = ["shoppex", "order:paid", "--v2", "--scenario", "crash"];
    let (crashing, meanwhile) = std::thread::scope(|scope| {
        let crashing = scope.spawn(|| intake.send(&[&crash[..], &["--sqs", &intake.sqs, "--json"]].concat()));
        let meanwhile = intake.send(&["elective", "order.paid", "--repeat", "300", "--concurrency", "5", "--json"]);
        (crashing.join().unwrap(), meanwhile)
    });
    assert_eq!(meanwhile.json()["outcomes"], json!({"queued": 300}));
    let played = crashing.json();
    assert_eq!(crashing.code, Some(0), "{played:#}");
    assert_eq!(played["outcomes"], json!({"HTTP 500": 2, "busy": 2, "duplicate": 2, "queued": 2}));
    let checks = played["checks"].as_array().unwrap();
    let found: Vec<_> = checks.iter().map(|check| check["found"].as_str().unwrap()).collect();
    let expected = |told, copies| ["HTTP 500", "busy", told, "queued", "duplicate", copies];
    assert_eq!(found, [expected(found[2], "1"), expected(found[8], "2")].concat());
    // Less on a busy machine: what is left of the lease.
    assert!([found[2], found[8]].iter().all(|told| ["in 10 s", "in 9 s", "in 8 s"].contains(told)), "{found:?}");
    let elapsed = played["elapsed_ms"].as_f64().unwrap();
    assert!((10_000.0..20_000.0).contains(&elapsed), "both wait for their leases at the same time: {elapsed} ms");

    let sqs = aws_sdk_sqs::Client::new(&engines::sdk_config(&intake.sqs));
    let queue = sqs.get_queue_url().queue_name("hookgate-events").send().await.unwrap().queue_url.unwrap();
    let mut copies = BTreeMap::<_, usize>::new();
    for message in samples::peek(&sqs, &queue).await.unwrap() {
        let event = samples::event(&message).unwrap();
        if event.provider == "shoppex" {
            *copies.entry((event.source, event.id)).or_default() += 1;
        }
    }
    let mut copies: Vec<_> = copies.into_values().collect();
    copies.sort_unstable();
    assert_eq!(copies, [1, 2]);
}

/// A platform's deliveries are sent nowhere before it is known that functions can die there.
#[test]
fn only_the_local_intake_can_let_a_function_die() {
    // Takes whatever comes, as some handlers do.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/stage", listener.local_addr().unwrap());
    let (asked, requests) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, mut request) = (stream.unwrap(), [0; 4096]);
            let read = stream.read(&mut request).unwrap();
            asked.send(String::from_utf8_lossy(&request[..read]).into_owned()).unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}").unwrap();
        }
    });
    // A value that tells no event from another may be set.
    let played = ran(&["elective", "order.paid", "--scenario", "crash", "--set", "created_at=1", "--url", &url]);
    assert_eq!((played.code, &*played.out), (Some(2), ""));
    let expected = format!("no local intake answers at {url}/webhooks/elective: ");
    assert!(played.err.contains(&expected) && played.err.contains("Start it with hookgate"), "{}", played.err);
    let requests: Vec<_> = requests.try_iter().collect();
    assert!(matches!(&requests[..], [one] if one.starts_with("GET /api/catalogue ")), "{requests:?}");

    // Where there is one, a delivery that comes to an end is answered as ever.
    let intake = Intake::start(&[]);
    let played = intake.send(&["elective", "order.paid", "--scenario", "crash", "--secret", "x", "--json"]);
    assert_eq!((played.code, &played.json()["outcomes"]), (Some(1), &json!({"rejected": 8})), "{}", played.err);
    let played = intake.send(&["elective", "order.paid", "--scenario", "crash", "--secret", "x"]);
    assert!(played.out.contains("✗ dead once claimed: no 2xx: rejected\n"), "{}", played.out);
}

#[test]
fn what_cannot_be_done_is_one_line_with_a_remedy() {
    for (arguments, expected) in [
        (&["elective"][..], "say which event of elective: order.created, order.paid,"),
        (&["elective", "order.pade"], "did you mean order.paid?"),
        (&["elective", "order.paid", "--v2"], "elective does not sign by v2: it knows v1"),
        (&["opterius", "invoice.paid", "--signed", "data"], "it knows without, empty"),
        (&["elective", "order.paid", "--tamper", "timestamp"], "like shoppex --v2"),
        (&["elective", "order.paid", "--account", "eu-shop"], "give one with --secret or HOOKGATE_SECRET"),
        (&["elective", "order.paid", "--secret", " "], "the secret is empty"),
        (&["elective", "order.paid", "--set", "event.x=1"], "there is nothing to hold x"),
        (&["elective", "order.paid", "--set", "total"], "write it like data.total=100"),
        (&["elective", "order.paid", "--url", "localhost:9000"], "--url localhost:9000 is no address"),
        (&["elective", "order.paid", "--data", "/no/such"], "cannot read /no/such"),
        (&["elective", "customer.created", "--scenario", "out-of-order"], "a story needs two"),
        (&["elective", "order.paid", "--scenario", "crash", "--repeat", "5"], "leave out --repeat and --concurrency"),
        (&["elective", "order.paid", "--scenario", "crash", "--set", "id=x"], "leave out the --set of the id"),
        (&["w3block", "order.created", "--scenario", "crash", "--set", "data.id=x"], "is set (data.id) makes them one"),
        (&["elective", "order.paid", "--concurrency", "0"], "0 is not in 1..=256"),
        (&["shopify", "order.paid"], "possible values: elective, etaildepot"),
    ] {
        let sent = ran(arguments);
        assert_eq!((sent.code, &sent.out[..]), (Some(2), ""), "{arguments:?}");
        assert!(sent.err.contains(expected), "{arguments:?}: {}", sent.err);
    }
}

#[test]
fn no_answer_is_a_failure_with_a_remedy() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let sent = ran(&["elective", "order.paid", "--url", &format!("http://{closed}")]);
    assert_eq!(sent.code, Some(1));
    assert!(sent.out.contains("Connection refused") && sent.out.contains("correct --url"), "{}", sent.out);
}

/// With a certificate that the system trusts, and without.
#[test]
fn https_is_spoken_and_certificates_are_checked() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tls");
    let certificate = CertificateDer::from_pem_file(folder.join("cert.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(folder.join("key.pem")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let (config, listener) = (Arc::new(config), TcpListener::bind("127.0.0.1:0").unwrap());
    let url = format!("https://{}/stage", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        // The first caller does not trust the certificate and hangs up.
        let answers = listener.incoming().take(2).map(|socket| {
            let mut stream = StreamOwned::new(ServerConnection::new(config.clone()).unwrap(), socket.unwrap());
            let mut request = vec![0; 4096];
            let read = stream.read(&mut request).ok()?;
            let body = r#"{"outcome":"queued","id":"evt_1"}"#;
            let head = format!("content-type: application/json\r\ncontent-length: {}", body.len());
            write!(stream, "HTTP/1.1 200 OK\r\n{head}\r\n\r\n{body}").ok()?;
            Some(String::from_utf8_lossy(&request[..read]).into_owned())
        });
        answers.collect::<Vec<_>>()
    });
    let trusting = |trusted: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hookgate"));
        command.args(["send", "elective", "order.paid", "--url", &url]).env("SSL_CERT_FILE", trusted);
        of(&command.env_remove("SSL_CERT_DIR").output().unwrap())
    };
    let another = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/intake/src/roots.pem");
    let sent = trusting(&another);
    assert_eq!(sent.code, Some(1), "{}", sent.out);
    assert!(sent.out.contains("invalid peer certificate"), "{}", sent.out);
    let sent = trusting(&folder.join("cert.pem"));
    assert_eq!(sent.code, Some(0), "{} {}", sent.out, sent.err);
    assert!(sent.out.contains("200 queued  evt_1"), "{}", sent.out);
    let requests = server.join().unwrap();
    assert_eq!(requests[0], None);
    assert!(requests[1].as_ref().unwrap().starts_with("POST /stage/webhooks/elective HTTP/1.1"));
}
