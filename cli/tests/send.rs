//! `hookgate send` as a person runs it, against a local intake.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{Read, Write},
    net::TcpListener,
    path::Path,
    process::Command,
    sync::Arc,
};

use hookgate::{
    json::{Escapes, Json, Space, Style},
    local::engines,
    send::samples,
    send::template::Template,
};
use hookgate_event::Event;
use hookgate_verify::{
    Account, Provider,
    providers::{self, Identity, Name},
};
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use serde_json::json;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

mod support;

use support::{Ran, another, event, find, first, in_object, intake::Intake, scheme, with_ids};

/// `hookgate send` to this intake.
fn send(intake: &Intake, arguments: &[&str]) -> Ran {
    ran(&[arguments, &["--url", intake.url()]].concat())
}

fn ran(arguments: &[&str]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookgate"));
    Ran::of(command.arg("send").args(arguments).env_remove("HOOKGATE_SECRET"))
}

/// Every event of every platform: queued as what the table says, as having happened now, and new each time.
#[tokio::test]
async fn every_event_of_every_platform_can_be_sent() {
    let intake = Intake::start();
    let mut expected = BTreeMap::<String, usize>::new();
    for provider in providers::ALL {
        for (event, event_type) in provider.events {
            for _ in 0..2 {
                let sent = send(&intake, &[provider.name, event, "--json"]);
                assert_eq!(sent.code, Some(0), "{} {event}: {} {}", provider.name, sent.out, sent.err);
                assert_eq!(sent.json()["answer"]["outcome"], "queued", "{} {event}", provider.name);
                *expected.entry(event_type.as_str().to_owned()).or_default() += 1;
            }
        }
    }
    let sqs = aws_sdk_sqs::Client::new(&engines::sdk_config(intake.sqs()));
    let queue = sqs.get_queue_url().queue_name("hookgate-events").send().await.unwrap().queue_url.unwrap();
    let messages = support::peek(&sqs, &queue).await;
    let mut arrived = BTreeMap::<String, usize>::new();
    let mut subjects = BTreeSet::new();
    for message in &messages {
        let event = Event::from_json(message.body().unwrap()).unwrap();
        *arrived.entry(event.event_type.as_str().to_owned()).or_default() += 1;
        // Some deletions say no time.
        if let Some(time) = &event.time {
            let time = OffsetDateTime::parse(time, &Rfc3339).unwrap();
            assert!((OffsetDateTime::now_utc() - time).whole_minutes().abs() < 10, "{:?}", event.time);
        }
        assert!(subjects.insert((event.source.clone(), event.subject.clone())), "{:?} came twice", event.subject);
    }
    assert_eq!(arrived, expected);
}

/// What has no sample of its own takes after the one that comes nearest.
#[test]
fn derived_events_are_plausible() {
    let mut derived = 0;
    for provider in providers::ALL {
        let fields = &provider.fields;
        let sampled: BTreeSet<_> = samples::all()
            .iter()
            .filter(|sample| sample.provider.name == provider.name)
            .filter_map(|sample| match fields.name {
                Name::Member(path) => Json::parse(&sample.body)?.at(path)?.as_text(),
                Name::UnsignedHeader(header) => sample.headers.get(header).cloned(),
            })
            .collect();
        for event in Template::events(provider) {
            let template = Template::of(provider, &event).unwrap();
            derived += usize::from(!sampled.contains(&event));
            let body = Json::parse(&template.text()).unwrap();
            match fields.name {
                Name::Member(path) => assert_eq!(body.at(path).unwrap().as_text().unwrap(), event),
                Name::UnsignedHeader(header) => {
                    assert!(template.headers.contains(&(header.to_owned(), event.clone())), "{event}");
                }
            }
            // A header that names the event names this one.
            assert!(template.headers.iter().all(|(_, value)| *value == event || !sampled.contains(value)), "{event}");
            let Some((id, kind)) = template.resource_id().and_then(|id| Some((id.as_text()?, provider.kind(&event))))
            else {
                continue;
            };
            // Its id is of its own kind, where ids say what they are of.
            let others = provider.events.iter().map(|(name, _)| provider.kind(name)).filter(|other| *other != kind);
            assert!(!others.clone().any(|other| id.starts_with(&format!("{other}_"))), "{event}: {id}");
            // An event with its products is in the state of the one without.
            let status =
                |body: &Json| fields.status.iter().find_map(|path| body.at(&in_object(provider, path)).cloned());
            let whole = event.rsplit_once([':', '.', '/']).and_then(|(whole, _)| Template::of(provider, whole));
            if let Some(whole) = whole.filter(|_| !sampled.contains(&event)) {
                assert_eq!(status(&body), status(&whole.body), "{event}");
            }
        }
    }
    assert!(derived > 10, "{derived}");
}

#[test]
fn an_event_can_be_sent_again() {
    let intake = Intake::start();
    for provider in providers::ALL {
        for same in [&["--same"][..], &["--id", "evt_42"]] {
            let sent = send(&intake, &[&[provider.name, event(provider)], same, &["--repeat", "3", "--json"]].concat());
            assert_eq!((sent.code, &sent.json()["outcomes"]["duplicate"]), (Some(0), &2.into()), "{}", sent.out);
        }
    }
    let name = with_ids().name;
    let sent = send(&intake, &[name, with_ids().events[1].0, "--id", "evt_43"]);
    assert!(sent.out.contains("200 queued  evt_43"), "{}", sent.out);
}

#[test]
fn what_is_tampered_with_is_rejected() {
    let intake = Intake::start();
    for provider in providers::ALL {
        let event = provider.events[0].0;
        for tamper in ["body", "signature", "secret"] {
            let sent = send(&intake, &[provider.name, event, "--tamper", tamper, "--repeat", "2", "--json"]);
            assert_eq!((sent.code, &sent.json()["outcomes"]["rejected"]), (Some(0), &2.into()), "{}", sent.out);
        }
    }
    for (provider, scheme) in providers::ALL.iter().flat_map(|p| p.default_schemes().iter().map(move |s| (p, s))) {
        let tampers: &[&str] = match scheme.time {
            Some(_) => &["body", "signature", "secret", "timestamp"],
            None => &["body", "signature", "secret"],
        };
        for tamper in tampers {
            let call = [provider.name, event(provider), "--scheme", scheme.name, "--tamper", tamper, "--json"];
            let sent = send(&intake, &call);
            assert_eq!(
                (sent.code, &sent.json()["outcomes"]["rejected"]),
                (Some(0), &1.into()),
                "{call:?} {}",
                sent.out
            );
            assert_eq!(sent.json()["answer"]["status"], provider.rejected_status, "{call:?}");
        }
    }
    // And what is not tampered with but rejected all the same is a failure that says what to do.
    let name = with_ids().name;
    let sent = send(&intake, &[name, event(with_ids()), "--secret", "another"]);
    assert_eq!(sent.code, Some(1));
    let expected = [format!("{} rejected", with_ids().rejected_status), format!("hookgate explain {name}")];
    assert!(expected.iter().all(|expected| sent.out.contains(expected)), "{}", sent.out);
    assert!(!sent.out.contains("another"), "{}", sent.out);
}

/// Under every value of every setting the schemes that it accepts are taken, and the others are not.
#[test]
fn a_platforms_other_signatures_are_options() {
    for provider in providers::ALL {
        let Some(setting) = provider.setting else { continue };
        for (value, accepted) in provider.modes {
            let intake = Intake::with(&["--no-samples"], &[(setting, value)]);
            for scheme in provider.schemes() {
                let call = [provider.name, event(provider), "--scheme", scheme.name];
                let is_accepted = accepted.iter().any(|accepted| accepted.name == scheme.name);
                let sent = send(&intake, &call);
                assert_eq!(sent.code, Some(i32::from(!is_accepted)), "{setting}={value} {call:?} {}", sent.out);
            }
        }
    }
    // The account's own secret is used.
    let account = Account::parse("eu-shop").unwrap();
    let intake = Intake::start();
    for provider in providers::ALL.iter().filter(|provider| samples::secret(provider, &account).is_some()) {
        for scheme in provider.default_schemes() {
            let sent =
                send(&intake, &[provider.name, event(provider), "--scheme", scheme.name, "--account", "eu-shop"]);
            assert_eq!(sent.code, Some(0), "{} {}", sent.out, sent.err);
        }
    }
}

#[test]
fn values_can_be_set() {
    for provider in providers::ALL.iter().filter(|provider| !provider.fields.amount.is_empty()) {
        let [amount, note, items] = [
            format!("{}=100", in_object(provider, provider.fields.amount[0])),
            format!("{}=it's \"new\"", in_object(provider, "note")),
            format!("{}=[{{\"n\":1.10}}]", in_object(provider, "items")),
        ];
        let call =
            [provider.name, event(provider), "--print", "curl", "--set", &amount, "--set", &note, "--set", &items];
        let printed = ran(&call);
        let name = provider.fields.amount[0].rsplit('.').next().unwrap();
        assert!(printed.out.contains(&format!("\"{name}\":100")), "{}", printed.out);
        assert!(printed.out.contains(r#""note":"it'\''s \"new\"""#), "{}", printed.out);
        assert!(printed.out.contains(r#""items":[{"n":1.10}]"#), "{}", printed.out);
    }
}

/// The command that is printed is run by a shell, with curl.
#[test]
fn the_printed_command_works() {
    let intake = Intake::start();
    let note = "it's $HOME `x` \\ \"y\"";
    for (provider, scheme) in providers::ALL.iter().flat_map(|p| p.default_schemes().iter().map(move |s| (p, s))) {
        let note = format!("{}={note}", in_object(provider, "note"));
        let arguments = &[provider.name, event(provider), "--scheme", scheme.name, "--set", &note][..];
        let printed = send(&intake, &[arguments, &["--print", "curl"]].concat());
        assert_eq!(printed.code, Some(0), "{}", printed.err);
        let answer = Ran::of(Command::new("sh").args(["-c", &printed.out]));
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
    let intake = Intake::start();
    let file = |name: &str, content: &[u8]| {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("send-{}-{name}", std::process::id()));
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    // Authentic, and nothing that can be read: quarantined, which is a 2xx.
    let bytes = file("bytes", b"\xff\xfe no JSON\n");
    for provider in providers::ALL {
        let fields = &provider.fields;
        let call = [provider.name, event(provider), "--data", &bytes];
        let sent = send(&intake, &[&call[..], &["--json"]].concat());
        if scheme(provider).signature_member().is_some() {
            assert_eq!(sent.code, Some(2));
            assert!(sent.err.contains("must be a JSON object"), "{}", sent.err);
        } else {
            assert_eq!((sent.code, &sent.json()["answer"]["outcome"]), (Some(0), &"quarantined".into()));
        }
        assert_eq!(send(&intake, &[&call[..], &["--print", "curl"]].concat()).code, Some(2));
        let mut spaced = Json::parse(b"{}").unwrap();
        if let Some(path) = fields.name.member() {
            spaced.set(path, Json::text(event(provider))).unwrap();
        }
        spaced.set(&in_object(provider, "x"), Json::text("y")).unwrap();
        let style = Style { space: Space::Lines(3), escapes: Escapes::Kept, sorted: false };
        let spaced = file(provider.name, spaced.write(style).as_bytes());
        let sent = send(&intake, &[provider.name, event(provider), "--data", &spaced, "--json"]);
        assert_eq!((sent.code, &sent.json()["answer"]["status"]), (Some(0), &200.into()), "{}", sent.out);
    }
}

#[test]
fn scenarios_come_out_as_they_should() {
    let intake = Intake::start();
    let (name, event) = (with_ids().name, event(with_ids()));
    let story = find(|provider| told(provider).is_some()).unwrap();
    let last = *providers::ALL.last().unwrap();
    for arguments in [
        &[name, event, "--scenario", "duplicates"][..],
        &[story.name, told(story).unwrap(), "--scenario", "out-of-order"],
        &[last.name, support::event(last), "--scenario", "flood", "--repeat", "50"],
    ] {
        let played = send(&intake, &[arguments, &["--sqs", intake.sqs(), "--json"]].concat());
        assert_eq!((played.code, played.json()["checks"].as_array().unwrap().len()), (Some(0), 4), "{}", played.out);
        // Without a queue to look at the answers are checked alone.
        let played = send(&intake, &[arguments, &["--json"]].concat());
        assert_eq!((played.code, played.json()["checks"].as_array().unwrap().len()), (Some(0), 3), "{}", played.out);
    }
    let played = send(&intake, &[name, event, "--scenario", "duplicates"]);
    assert!(played.out.contains("\n✓ 1 queued: 1\n") && played.out.contains("is not checked"), "{}", played.out);
    let played = send(&intake, &[name, event, "--scenario", "flood", "--repeat", "2", "--secret", "x"]);
    assert_eq!(played.code, Some(1));
    assert!(played.out.contains("✗ 2 queued: 0"), "{}", played.out);
    // The queue of another intake does not grow.
    let other = Intake::start();
    let played = send(&intake, &[name, event, "--scenario", "flood", "--repeat", "2", "--sqs", other.sqs()]);
    assert_eq!(played.code, Some(1));
    assert!(played.out.contains("✗ the queue grows by 2"), "{}", played.out);
}

/// An event of a kind of which there are several.
fn told(provider: &Provider) -> Option<&'static str> {
    let of_kind = |kind: &str| provider.events.iter().filter(|(name, _)| provider.kind(name) == kind).count();
    provider.events.iter().map(|(name, _)| *name).find(|name| of_kind(provider.kind(name)) > 1)
}

/// What the scenario says of itself is true on the queue; and whoever delivers meanwhile notices nothing.
#[tokio::test]
async fn a_function_dies_in_the_middle_of_a_delivery() {
    let intake = Intake::start();
    // One that signs a time too, where there is one: it is signed anew each time.
    let crashed = find(|provider| provider.default_schemes()[0].time.is_some()).unwrap_or(another(with_ids()));
    let crash = [crashed.name, event(crashed), "--scheme", crashed.default_schemes()[0].name, "--scenario", "crash"];
    let (crashing, meanwhile) = std::thread::scope(|scope| {
        let crashing = scope.spawn(|| send(&intake, &[&crash[..], &["--sqs", intake.sqs(), "--json"]].concat()));
        let meanwhile =
            send(&intake, &[with_ids().name, event(with_ids()), "--repeat", "300", "--concurrency", "5", "--json"]);
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

    let sqs = aws_sdk_sqs::Client::new(&engines::sdk_config(intake.sqs()));
    let queue = sqs.get_queue_url().queue_name("hookgate-events").send().await.unwrap().queue_url.unwrap();
    let mut copies = BTreeMap::<_, usize>::new();
    for message in support::peek(&sqs, &queue).await {
        let event = Event::from_json(message.body().unwrap()).unwrap();
        if event.provider == crashed.name {
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
    let (name, event) = (with_ids().name, event(with_ids()));
    let unimportant = format!("{}=1", in_object(with_ids(), "note"));
    // A value that tells no event from another may be set.
    let played = ran(&[name, event, "--scenario", "crash", "--set", &unimportant, "--url", &url]);
    assert_eq!((played.code, &*played.out), (Some(2), ""));
    let expected = format!("no local intake answers at {url}/webhooks/{name}, and --scenario crash needs one: ");
    assert!(played.err.contains(&expected) && played.err.contains("start it with `hookgate`"), "{}", played.err);
    let requests: Vec<_> = requests.try_iter().collect();
    assert!(matches!(&requests[..], [one] if one.starts_with("GET /api/catalogue ")), "{requests:?}");

    // Where there is one, a delivery that comes to an end is answered as ever.
    let intake = Intake::start();
    let played = send(&intake, &[name, event, "--scenario", "crash", "--secret", "x", "--json"]);
    assert_eq!((played.code, &played.json()["outcomes"]), (Some(1), &json!({"rejected": 8})), "{}", played.err);
    let played = send(&intake, &[name, event, "--scenario", "crash", "--secret", "x"]);
    assert!(played.out.contains("✗ dies after the claim: no 2xx: rejected\n"), "{}", played.out);
}

#[test]
fn what_cannot_be_done_is_one_line_with_a_remedy() {
    let (provider, event) = (with_ids(), event(with_ids()));
    let name = provider.name;
    let events: Vec<_> = provider.events.iter().map(|(name, _)| *name).collect();
    let misspelled = format!("{}x", &event[..event.len() - 1]);
    let beyond_text = format!("{}.x=1", provider.fields.name.member().unwrap());
    let mut cases = vec![
        (vec![name], format!("the event is missing: choose one of {name}'s: {}", events.join(", "))),
        (vec![name, &misspelled], format!("did you mean {event}?")),
        (vec![name, event, "--scheme", "v0"], format!("{name} has no scheme \"v0\": choose ")),
        (vec![name, event, "--tamper", "timestamp"], format!("{name} signs no timestamp under ")),
        (vec![name, event, "--account", "no-shop"], "set --secret or HOOKGATE_SECRET".to_owned()),
        (vec![name, event, "--secret", " "], "the secret is empty".to_owned()),
        (vec![name, event, "--set", &beyond_text], "the body has no place for x".to_owned()),
        (vec![name, event, "--set", "x"], "expected path.to.member=value".to_owned()),
        (vec![name, event, "--url", "example.com"], "--url \"example.com\" is not a URL".to_owned()),
        (vec![name, event, "--data", "/no/such"], "cannot read /no/such".to_owned()),
        (vec![name, event, "--scenario", "crash", "--repeat", "5"], "leave out --repeat and --concurrency".to_owned()),
        (vec![name, event, "--scenario", "out-of-order", "--concurrency", "5"], "leave out --repeat".to_owned()),
        (vec![name, event, "--concurrency", "0"], "0 is not in 1..=256".to_owned()),
        (vec!["nobody", event], format!("possible values: {}", first().name)),
    ];
    // With one id for both, the two events of the scenario would be one.
    let ids: Vec<_> = providers::ALL
        .iter()
        .filter_map(|provider| {
            let fields = &provider.fields;
            let path = match provider.identity {
                Identity::Id(path) => path,
                Identity::Together(paths) => {
                    paths.iter().find(|path| Some(**path) != fields.name.member() && **path != fields.time)?
                }
                Identity::SignedHeader | Identity::Content => return None,
            };
            Some((*provider, format!("{path}=x"), format!("--set gives them the same id ({path}): leave that out")))
        })
        .collect();
    for (provider, set, expected) in &ids {
        cases.push((
            vec![provider.name, support::event(provider), "--scenario", "crash", "--set", set],
            expected.clone(),
        ));
    }
    for provider in providers::ALL {
        let kinds: Vec<_> = provider.events.iter().map(|(name, _)| provider.kind(name)).collect();
        let lonely =
            provider.events.iter().find(|(name, _)| kinds.iter().filter(|k| **k == provider.kind(name)).count() == 1);
        cases.extend(lonely.map(|(event, _)| {
            (vec![provider.name, event, "--scenario", "out-of-order"], "--scenario out-of-order needs two".to_owned())
        }));
        if provider.schemes().all(|scheme| scheme.time.is_none()) {
            let call = vec![provider.name, support::event(provider), "--tamper", "timestamp"];
            cases.push((call, "choose another --tamper".to_owned()));
        } else if let Some(timed) =
            provider.schemes().find(|s| s.time.is_some()).filter(|_| scheme(provider).time.is_none())
        {
            let call = vec![provider.name, support::event(provider), "--tamper", "timestamp"];
            cases.push((call, format!("--tamper timestamp needs --scheme {}", timed.name)));
        }
    }
    for (arguments, expected) in cases {
        let sent = ran(&arguments);
        assert_eq!((sent.code, &sent.out[..]), (Some(2), ""), "{arguments:?}");
        assert!(sent.err.contains(&expected), "{arguments:?}: {}", sent.err);
    }
}

#[test]
fn no_answer_is_a_failure_with_a_remedy() {
    let sent = ran(&[first().name, event(first()), "--url", "http://127.0.0.1:1"]);
    assert_eq!(sent.code, Some(1));
    assert!(
        sent.out.contains("Connection refused")
            && sent.out.contains("start the intake with `hookgate`, or check --url"),
        "{}",
        sent.out
    );
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
        command.args(["send", first().name, event(first()), "--url", &url]).env("SSL_CERT_FILE", trusted);
        Ran::of(command.env_remove("SSL_CERT_DIR"))
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
    assert!(requests[1].as_ref().unwrap().starts_with(&format!("POST /stage/webhooks/{} HTTP/1.1", first().name)));
}
