//! The page of the local intake as a browser meets it: what its API tells, and to whom it tells nothing.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    process::Command,
    time::Duration,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use hookgate::{
    local::engines,
    local::journal,
    send::samples,
    send::{sign::sign, template::Template},
};
use hookgate_verify::{Account, Provider, Scheme, providers};
use serde_json::{Value, json};
use time::OffsetDateTime;

mod support;

use support::{event, event_type, in_object, intake::Intake, order, subject, with_ids};

/// The page's own stream.
struct Stream(BufReader<TcpStream>);

impl Stream {
    fn open(intake: &Intake) -> Self {
        let mut stream = intake.connect();
        write!(stream, "GET /api/stream HTTP/1.1\r\nhost: {}\r\n\r\n", intake.host()).unwrap();
        Stream(BufReader::new(stream))
    }

    /// The next event of this name.
    fn next(&mut self, name: &str) -> Value {
        let mut lines = (&mut self.0).lines().map(Result::unwrap);
        lines.find(|line| *line == format!("event: {name}")).unwrap();
        let data = lines.find_map(|line| line.strip_prefix("data: ").map(str::to_owned)).unwrap();
        serde_json::from_str(&data).unwrap()
    }
}

#[test]
fn a_delivery_arrives_on_the_stream_with_counts_that_add_up() {
    let intake = Intake::start();
    let mut stream = Stream::open(&intake);
    assert_eq!(stream.next("snapshot")["deliveries"], json!([]));
    assert_eq!(
        stream.next("queues"),
        json!({"events": [0, 0], "quarantine": [0, 0], "dead_letters": [0, 0], "fates": {}})
    );

    let platform = with_ids().name;
    let rejected = with_ids().rejected_status;
    intake.signed(with_ids(), order("evt_1").as_bytes());
    let news = stream.next("delivery");
    let delivery = &news["delivery"];
    assert_eq!(
        (&delivery["number"], &delivery["outcome"], &delivery["status"]),
        (&json!(1), &json!("queued"), &json!(200))
    );
    assert_eq!((&delivery["provider"], &delivery["type"]), (&json!(platform), &json!(event_type())));
    assert_eq!((&delivery["id"], &delivery["subject"]), (&json!("evt_1"), &json!(subject())));
    assert!(delivery["TotalMs"].as_f64().unwrap() > 0.0);
    let queues = stream.next("queues");
    assert_eq!((&queues["events"], &queues["fates"]["1"]["queue"]), (&json!([1, 0]), &json!("hookgate-events")));

    assert_eq!(intake.deliver(&format!("/webhooks/{platform}"), &[], b"{}"), rejected);
    let counts = &stream.next("delivery")["counts"];
    let expected = json!({"received": 2, "queued": 1, "duplicate": 0, "quarantined": 0, "ping": 0, "rejected": 1, "too_large": 0,
        "busy": 0, "unavailable": 0, "crashed": 0});
    assert_eq!(*counts, expected);

    // What no function took is no delivery.
    assert_eq!(intake.deliver("/webhooks/nobody", &[], b"{}"), 404);
    assert_eq!(intake.get("/api/deliveries")["counts"], expected);
    assert_eq!(Stream::open(&intake).next("snapshot")["deliveries"].as_array().unwrap().len(), 2);
}

/// A crashed function answers and logs nothing: the page knows as much of its delivery as of any other all the same.
#[test]
fn a_crashed_delivery_is_listed_like_any_other() {
    let intake = Intake::start();
    let mut stream = Stream::open(&intake);
    let (platform, body) = (with_ids().name, order("evt_1"));
    let signed = support::signed(with_ids(), body.as_bytes(), 0);
    let mut headers = vec![("host", intake.host())];
    headers.extend(signed.headers.iter().map(|(name, value)| (&**name, &**value)));
    let crash = format!("POST /api/crash/claimed/webhooks/{platform}");
    assert_eq!(intake.request(&crash, &headers, &signed.body).0, 500);

    let news = stream.next("delivery");
    let delivery = &news["delivery"];
    assert_eq!(
        (&delivery["number"], &delivery["outcome"], &delivery["status"]),
        (&json!(1), &json!("crashed"), &json!(500))
    );
    assert_eq!((&delivery["provider"], &delivery["account"]), (&json!(platform), &json!("default")));
    assert_eq!((&delivery["id"], &delivery["subject"]), (&json!("evt_1"), &json!(subject())));
    assert_eq!((&news["counts"]["received"], &news["counts"]["crashed"]), (&json!(1), &json!(1)));

    let shown = intake.latest();
    assert_eq!((&shown["log"], &shown["body"]), (&Value::Null, &json!(body)));
    assert_eq!(shown["explanation"]["verifies"], true);
    assert!(shown["event"].as_str().unwrap().contains("evt_1"), "{shown}");
    assert!(shown["words"].as_str().unwrap().starts_with("The function crashed: "), "{shown}");
    assert_eq!(intake.get("/api/deliveries/1/claim")["item"]["state"], "claimed");
    assert_eq!(intake.get("/api/search?text=EVT_1")["numbers"], json!([1]));
    // Its claim is still held.
    assert_eq!(intake.post("/api/deliveries/1/replay", &json!({})).1["outcome"], "busy");
}

/// What `cargo run` sends is on the page, and its counts say that nothing was lost.
#[test]
fn the_samples_are_on_the_page() {
    let intake = Intake::with(&[], &[]);
    let all = intake.get("/api/deliveries");
    let samples = all["deliveries"].as_array().unwrap().len() / 3;
    assert!(samples >= 33);
    for outcome in ["queued", "duplicate", "rejected"] {
        assert_eq!(all["counts"][outcome], samples, "{outcome}");
    }
    assert_eq!(all["counts"]["received"], 3 * samples);
}

/// The event shown is, byte for byte, the one on the queue; looking at it leaves it untouched.
#[tokio::test]
async fn what_is_shown_is_what_happened() {
    let intake = Intake::start();
    let body = order("evt_1");
    let shown = intake.signed(with_ids(), body.as_bytes());
    assert_eq!(shown["body"], body);
    assert_eq!(shown["explanation"]["verifies"], true);
    assert_eq!(
        (&shown["explanation"]["scheme"], &shown["explanation"]["secret"]),
        (&json!(support::scheme(with_ids()).name), &json!(0))
    );
    assert_eq!(shown["words"], "Verified and new: its event was queued.");

    let claim = intake.get("/api/deliveries/1/claim");
    assert_eq!((&claim["item"]["state"], &claim["item"]["event_id"]), (&json!("queued"), &json!("evt_1")));
    let id = &claim["item"]["message_id"];
    let place = json!({"id": id, "queue": "hookgate-events", "receives": 0, "most_receives": 5, "waiting": true, "redriven": false});
    assert_eq!(claim["message"], place);
    let queues = intake.get("/api/queues");
    assert_eq!((&queues["events"]["messages"][0]["id"], &queues["events"]["messages"][0]["number"]), (id, &json!(1)));
    assert_eq!(queues["events"]["messages"][0]["text"], shown["event"]);

    let sqs = aws_sdk_sqs::Client::new(&engines::sdk_config(intake.sqs()));
    let queue = sqs.get_queue_url().queue_name("hookgate-events").send().await.unwrap().queue_url.unwrap();
    let messages = support::peek(&sqs, &queue).await;
    assert_eq!(messages[0].body(), shown["event"].as_str());
    // The first receive was this test's own.
    assert_eq!(intake.get("/api/deliveries/1/claim")["message"]["receives"], 1);
    let receive = sqs.receive_message().queue_url(&queue).send().await.unwrap().messages.unwrap();
    assert_eq!(intake.get("/api/deliveries/1/claim")["message"]["waiting"], false);
    sqs.delete_message().queue_url(&queue).receipt_handle(receive[0].receipt_handle().unwrap()).send().await.unwrap();
    assert_eq!(intake.get("/api/deliveries/1/claim")["message"], Value::Null);

    // The same id with other content.
    let shown = intake.signed(with_ids(), body.replace("5500", "6600").as_bytes());
    assert_eq!(shown["summary"]["reason"], "key_conflict");
    assert_eq!(intake.get("/api/queues")["quarantine"]["messages"][0]["reason"], "key_conflict");
    // No JSON at all.
    let shown = intake.signed(with_ids(), b"<script>alert(1)</script>");
    assert_eq!((&shown["summary"]["outcome"], &shown["event"]), (&json!("quarantined"), &Value::Null));
    assert_eq!(intake.get("/api/queues")["quarantine"]["messages"][0]["text"], "<script>alert(1)</script>");
    assert_eq!(intake.get("/api/search?text=%3CSCRIPT")["numbers"], json!([3]));
    // As it is written, and as a parser reads it.
    intake.signed(with_ids(), br#"{"a":"Caf\u00e9 \/ bar"}"#);
    for text in ["caf%C3%A9%20/%20bar", "caf%5Cu00E9", "%5C/"] {
        assert_eq!(intake.get(&format!("/api/search?text={text}"))["numbers"], json!([4]), "{text}");
    }
}

#[test]
fn samples_are_sent_twice_tampered_with_and_again() {
    let intake = Intake::start();
    let catalogue = intake.get("/api/catalogue");
    let mut sent = 0;
    for platform in catalogue.as_array().unwrap() {
        for event in platform["events"].as_array().unwrap() {
            let mut wish = json!({"provider": platform["name"], "event": event});
            assert_eq!(intake.post("/api/send", &wish).1["outcome"], "queued", "{wish}");
            wish["tamper"] = "signature".into();
            assert_eq!(intake.post("/api/send", &wish).1["outcome"], "rejected", "{wish}");
            sent += 2;
        }
    }
    assert_eq!(intake.get("/api/deliveries")["counts"]["received"], sent);

    let shop = samples::all();
    let shop = shop.into_iter().find(|sample| sample.path.ends_with("/eu-shop")).unwrap().provider;
    let (name, sold) = (shop.name, event(shop));
    let change = format!("{}=100", in_object(shop, shop.fields.amount[0]));
    let wish = json!({"provider": name, "event": sold, "account": "eu-shop", "set": [change]});
    let (_, first) = intake.post("/api/send", &wish);
    assert_eq!(first["number"], sent + 1);
    let shown = intake.latest();
    assert_eq!(
        (&shown["target"], &shown["summary"]["account"]),
        (&json!(format!("/webhooks/{name}/eu-shop")), &json!("eu-shop"))
    );
    assert!(shown["event"].as_str().unwrap().contains(r#""amount":{"value":"100""#), "{shown}");
    let replay = format!("/api/deliveries/{}/replay", sent + 1);
    assert_eq!(intake.post(&replay, &json!({})).1["outcome"], "duplicate");
    assert_eq!(intake.post(&replay, &json!({"tamper": true})).1["outcome"], "rejected");
    let explained = &intake.latest()["explanation"]["diagnoses"][0];
    assert_eq!(explained["code"], "body_reencoded");

    // As the sample is: the second is known.
    for provider in providers::ALL {
        let same = json!({"provider": provider.name, "event": provider.events[0].0, "same": true});
        assert_eq!(intake.post("/api/send", &same).1["outcome"], "queued");
        assert_eq!(intake.post("/api/send", &same).1["outcome"], "duplicate", "{}", provider.name);
    }

    let misspelled = format!("{}x", &sold[..sold.len() - 1]);
    for (wish, why) in [
        (
            json!({"provider": name, "event": misspelled}),
            format!("{name} has no event {misspelled:?} (did you mean {sold}?)"),
        ),
        (json!({"provider": "nobody", "event": sold}), "there are no secrets for this platform".to_owned()),
        (json!({"provider": name, "event": sold, "account": "other"}), "this account has no secret".to_owned()),
        (json!({"provider": name, "event": sold, "set": ["x"]}), "expected path.to.member=value".to_owned()),
        (json!({"provider": name, "event": sold, "scheme": "v9"}), "this intake does not take this scheme".to_owned()),
    ] {
        let (status, answer) = intake.post("/api/send", &wish);
        assert_eq!(status, 400, "{wish}");
        assert!(answer["error"].as_str().unwrap().starts_with(&why), "{answer}");
    }
    assert_eq!(intake.post("/api/deliveries/9999/replay", &json!({})).0, 404);
}

/// First it is said what would happen, which changes nothing; then it is done, by the command's own release.
#[test]
fn a_quarantined_delivery_is_released() {
    let intake = Intake::start();
    let body = order("evt_1");
    intake.signed(with_ids(), body.as_bytes());
    let other = body.replace("5500", "6600");
    let shown = intake.signed(with_ids(), other.as_bytes());
    assert_eq!(shown["words"], "Verified, but its id was used before with other content: it was put into quarantine.");
    intake.signed(with_ids(), b"{}");
    let held = || intake.get("/api/queues")["quarantine"]["messages"].clone();
    let (unreadable, conflict) = (held()[0].clone(), held()[1].clone());
    assert_eq!((&unreadable["number"], &conflict["number"]), (&json!(3), &json!(2)));
    let release = |message: &Value, how: &Value| {
        intake.post(&format!("/api/quarantine/{}/release", message["id"].as_str().unwrap()), how)
    };

    let (status, dry) = release(&unreadable, &json!({"dry_run": true}));
    assert_eq!((status, &dry["outcome"], &dry["leaves"]), (200, &json!("unreadable"), &json!(false)));
    assert!(dry["words"].as_str().unwrap().starts_with("stays: still "), "{dry}");
    let (_, dry) = release(&conflict, &json!({"dry_run": true}));
    assert_eq!((&dry["outcome"], &dry["leaves"]), (&json!("conflict"), &json!(false)));
    let (_, dry) = release(&conflict, &json!({"dry_run": true, "new_id": true}));
    assert_eq!((&dry["outcome"], &dry["words"]), (&json!("queued"), &json!("it would be queued")));
    assert_eq!(held(), json!([unreadable, conflict]), "a dry run changes nothing");

    let (_, stays) = release(&unreadable, &json!({}));
    assert_eq!(stays["leaves"], false);
    assert_eq!(held().as_array().unwrap().len(), 2);
    let (_, done) = release(&conflict, &json!({"new_id": true}));
    assert_eq!((&done["outcome"], &done["id"]), (&json!("queued"), &dry["id"]));
    let left = held();
    assert_eq!((left.as_array().unwrap().len(), &left[0]["id"]), (1, &unreadable["id"]));
    assert_eq!(left[0]["waiting"], true, "given back");
    let queued = intake.get("/api/queues")["events"]["messages"][0]["text"].as_str().unwrap().to_owned();
    assert!(queued.contains("6600"), "{queued}");
    assert_eq!(release(&conflict, &json!({})).0, 404);
    // What is on another queue is none of the quarantine's.
    let event = intake.get("/api/queues")["events"]["messages"][0].clone();
    assert_eq!(release(&event, &json!({"dry_run": true})).0, 404);
}

#[tokio::test]
async fn dead_letters_are_redriven_and_known_again() {
    let intake = Intake::start();
    intake.signed(with_ids(), order("evt_1").as_bytes());
    let sqs = aws_sdk_sqs::Client::new(&engines::sdk_config(intake.sqs()));
    let queue = sqs.get_queue_url().queue_name("hookgate-events").send().await.unwrap().queue_url.unwrap();
    for _ in 0..6 {
        sqs.receive_message().queue_url(&queue).visibility_timeout(0).send().await.unwrap();
    }
    let message = || intake.get("/api/deliveries/1/claim")["message"].clone();
    let dead = message();
    assert_eq!((&dead["queue"], &dead["receives"]), (&json!("hookgate-dead-letters"), &json!(5)));
    let (status, moved) = intake.post("/api/redrive", &json!({}));
    assert_eq!((status, &moved["words"]), (200, &json!("Moved 1 from hookgate-dead-letters.")));
    let back = message();
    assert_eq!(
        (&back["queue"], &back["receives"], &back["redriven"]),
        (&json!("hookgate-events"), &json!(0), &json!(true))
    );
    assert_ne!(back["id"], dead["id"]);
    // By its new id and by the one that the log line has.
    for id in [&back["id"], &dead["id"]] {
        let held = intake.get(&format!("/api/queues?message={}", id.as_str().unwrap()));
        assert_eq!(held["events"]["messages"].as_array().unwrap().len(), 1);
        assert_eq!(held["events"]["messages"][0]["number"], 1);
    }
    let (_, moved) = intake.post("/api/redrive", &json!({}));
    assert_eq!(moved["words"], "The dead-letter queue hookgate-dead-letters is empty.");

    // An older message than those that are shown is shown where it is asked for.
    for number in 0..60 {
        sqs.send_message().queue_url(&queue).message_body(number.to_string()).send().await.unwrap();
    }
    let shown = |path: &str| intake.get(path)["events"]["messages"].as_array().unwrap().len();
    assert_eq!(shown("/api/queues"), 50);
    assert_eq!(shown(&format!("/api/queues?message={}", back["id"].as_str().unwrap())), 51);
}

/// A shell that runs the command sends the same body; what was masked is not in it.
#[test]
fn a_delivery_is_copied_as_curl() {
    let intake = Intake::start();
    let curl = |number: u64| intake.post(&format!("/api/deliveries/{number}/curl"), &json!({}));
    let run = |command: &str| {
        let ran = Command::new("sh").args(["-c", &format!("{command} --silent")]).output().unwrap();
        assert!(ran.status.success(), "{command}: {ran:?}");
        intake.latest()
    };
    let odd = order("evt_1").replace("\"note\":", "\"odd\":\"it's $HOME `x` \\u00e9 é \\\\ !\",\"note\":");
    for provider in providers::ALL {
        let body = if provider.name == with_ids().name { odd.clone() } else { r#"{"it's":"$HOME"}"#.to_owned() };
        let first = intake.signed(provider, body.as_bytes());
        let number = first["summary"]["number"].as_u64().unwrap();
        let (status, copied) = curl(number);
        assert_eq!(status, 200, "{copied}");
        assert!(copied["note"].as_str().unwrap().starts_with("Signed anew (scheme "), "{copied}");
        let again = run(copied["curl"].as_str().unwrap());
        assert_eq!(again["body"], first["body"], "{}", provider.name);
        assert_eq!(again["summary"]["outcome"], "duplicate", "{copied}");
    }

    // Nothing is masked: as it came, with its method, query, headers and no more.
    let path = format!("/webhooks/{}", with_ids().name);
    let headers = [("content-type".to_owned(), "text/x".to_owned()), ("x-empty".to_owned(), String::new())];
    intake.deliver(&path, &headers, b"a=b");
    let first = intake.latest();
    let (_, copied) = curl(first["summary"]["number"].as_u64().unwrap());
    assert_eq!(copied["note"], "As it came: nothing of it is masked.");
    let again = run(copied["curl"].as_str().unwrap());
    assert_eq!((&again["body"], &again["summary"]["reason"]), (&first["body"], &first["summary"]["reason"]));
    let header = |shown: &Value, name: &str| {
        let all = shown["headers"].as_array().unwrap();
        all.iter().find(|header| header["name"] == name).map(|header| header["value"].clone())
    };
    assert_eq!(header(&again, "content-type"), Some(json!("text/x")));
    assert_eq!(header(&again, "x-empty"), Some(json!("")));
    intake.request(&format!("PUT {path}"), &[("host", intake.host())], b"x");
    let (_, copied) = curl(intake.latest()["summary"]["number"].as_u64().unwrap());
    let again = run(copied["curl"].as_str().unwrap());
    assert_eq!((&again["summary"]["method"], header(&again, "content-type")), (&json!("PUT"), None));

    // Credentials, and a signature by a secret that is not this intake's, stay where they are.
    let mut headers: Vec<_> = support::scheme(with_ids())
        .signature_header()
        .into_iter()
        .map(|name| (name.to_owned(), "0123456789abcdef".repeat(4)))
        .collect();
    headers.extend([("cookie".to_owned(), "s3cr3t-cookie".to_owned()), ("x-kept".to_owned(), "kept".to_owned())]);
    intake.deliver(&format!("{path}?token=s3cr3t-token"), &headers, odd.as_bytes());
    let (_, copied) = curl(intake.latest()["summary"]["number"].as_u64().unwrap());
    let command = copied["curl"].as_str().unwrap();
    assert!(
        !command.contains("s3cr3t-cookie")
            && !command.contains("s3cr3t-token")
            && !command.contains("0123456789abcdef"),
        "{command}"
    );
    assert!(command.contains("x-kept: kept"), "{command}");
    assert!(copied["note"].as_str().unwrap().ends_with("The query is left out."), "{copied}");

    // What no command line holds is said.
    for (body, why) in [
        (vec![0xff], "its body is not text"),
        (b"a\0b".to_vec(), "its body is not text"),
        (vec![b' '; 100_001], "its body has 100001 bytes"),
        (vec![b' '; journal::MOST_BODY_BYTES + 1], "its body of 1048577 bytes was not kept whole"),
    ] {
        intake.deliver(&path, &[], &body);
        let (status, refused) = curl(intake.latest()["summary"]["number"].as_u64().unwrap());
        assert_eq!(status, 409);
        assert!(refused["error"].as_str().unwrap().starts_with(why), "{refused}");
    }
    assert_eq!(curl(9999).0, 404);
}

/// A body that somebody has edited is sent as it is written, with the headers of the delivery that it is from.
#[test]
fn a_delivery_is_sent_with_edits() {
    let intake = Intake::start();
    for provider in providers::ALL {
        let sample = json!({"provider": provider.name, "event": provider.events[0].0});
        assert_eq!(intake.post("/api/send", &sample).1["outcome"], "queued");
        let first = intake.latest();
        let number = first["summary"]["number"].clone();
        let (name, shown) = (provider.name, first["body"].as_str().unwrap());
        let again = json!({"provider": name, "from": number, "body": shown});
        assert_eq!(intake.post("/api/send", &again).1["outcome"], "duplicate", "{name}");
        let fresh = || {
            let (_, fresh) = intake.post("/api/fresh", &json!({"provider": name, "body": shown}));
            fresh["body"].as_str().unwrap().to_owned()
        };
        let edited = fresh().replacen('{', "{ \"note\": \"it\\u0027s\", ", 1);
        let edit = json!({"provider": name, "from": number, "fresh": true, "body": edited});
        assert_eq!(intake.post("/api/send", &edit).1["outcome"], "queued", "{name}");
        let sent = intake.latest();
        assert!(sent["body"].as_str().unwrap().starts_with("{ \"note\": \"it\\u0027s\", "), "{sent}");
        assert_eq!(sent["name"], provider.events[0].0);
        // A field of it.
        let Some(amount) = provider.fields.amount.first() else { continue };
        let change = format!("{}=12", in_object(provider, amount));
        let edit = json!({"provider": name, "from": number, "fresh": true, "body": fresh(), "set": [change]});
        assert_eq!(intake.post("/api/send", &edit).1["outcome"], "queued", "{name}");
        assert!(intake.latest()["event"].as_str().unwrap().contains(r#""amount":{"value":"12""#), "{name}");
    }
    let name = with_ids().name;
    let (status, answer) = intake.post("/api/send", &json!({"provider": name, "body": "{}", "from": 9999}));
    assert_eq!((status, &answer["error"]), (400, &json!("that delivery is no longer kept")));
    // Text that is not JSON is a body, too.
    let (_, answer) = intake.post("/api/send", &json!({"provider": name, "body": "no JSON"}));
    assert_eq!(answer["outcome"], "quarantined");
}

/// By the newest scheme, unless another is asked for, or the sample has an id under another's header.
#[test]
fn samples_are_signed_by_the_newest_scheme() {
    let intake = Intake::start();
    for platform in intake.get("/api/catalogue").as_array().unwrap() {
        let provider = Provider::named(platform["name"].as_str().unwrap()).unwrap();
        let schemes = provider.default_schemes();
        assert_eq!(platform["schemes"][0], schemes[0].name);
        let headers = Template::of(provider, provider.events[0].0).unwrap().headers;
        let own = schemes.iter().find(|scheme| headers.iter().any(|(name, _)| scheme.id_header() == Some(name)));
        let newest = own.unwrap_or(&schemes[0]).name;
        assert_eq!(platform["scheme"], newest);
        intake.post("/api/send", &json!({"provider": platform["name"], "event": platform["events"][0]}));
        assert_eq!(intake.latest()["explanation"]["scheme"], newest, "{platform}");
    }
}

/// JSON that an intake queues and that `serde_json::Value` does not take.
#[test]
fn an_event_with_an_odd_payload_has_its_type_in_the_queue() {
    let intake = Intake::start();
    for (index, odd) in
        [r#""cut \ud83d""#, "1e400", &format!("{}{}", "[".repeat(130), "]".repeat(130))].iter().enumerate()
    {
        let order = order(&format!("evt_{index}"));
        // The note is the payload's.
        let body = order.replacen("\"note\":", &format!("\"odd\":{odd},\"note\":"), 1);
        assert_ne!(body, order);
        assert_eq!(intake.signed(with_ids(), body.as_bytes())["summary"]["outcome"], "queued", "{odd}");
        let queues = intake.get("/api/queues");
        let messages = queues["events"]["messages"].as_array().unwrap();
        assert_eq!(messages.len(), index + 1);
        for message in messages {
            assert_eq!(message["type"], support::event_type(), "{odd}");
            assert_eq!(message["provider"], with_ids().name, "{odd}");
        }
    }
}

/// A page from elsewhere, open in the same browser, neither reads nor drives this one.
#[test]
fn other_sites_are_refused() {
    let intake = Intake::start();
    let port = intake.host().rsplit(':').next().unwrap();
    let here = format!("http://{}", intake.host());
    let paths = ["/", "/assets/page.js", "/api/stream", "/api/deliveries", "/api/queues", "/api/catalogue"];
    for host in ["evil.example", &format!("evil.example:{port}"), &format!("127.0.0.1.evil.example:{port}"), ""] {
        for path in paths {
            let (status, _, body) = intake.request(&format!("GET {path}"), &[("host", host)], b"");
            assert_eq!(status, 403, "{host} {path}");
            assert!(String::from_utf8(body).unwrap().contains("no other name is answered"));
        }
    }
    let localhost = format!("localhost:{port}");
    for host in [intake.host(), &localhost] {
        let (status, head, _) = intake.request("GET /", &[("host", host)], b"");
        assert_eq!(status, 200);
        for expected in [
            "content-security-policy: default-src 'none'; script-src 'self';",
            "frame-ancestors 'none'; require-trusted-types-for 'script'",
            "cross-origin-resource-policy: same-origin",
            "x-content-type-options: nosniff",
            "cache-control: no-store",
        ] {
            assert!(head.contains(expected), "{head}");
        }
        assert!(!head.contains("access-control"), "{head}");
    }

    let json = ("content-type", "application/json");
    let (platform, rejected) = (with_ids().name, with_ids().rejected_status);
    let body = json!({"provider": platform, "event": event(with_ids())}).to_string();
    let body = body.as_bytes();
    let origin = format!("http://localhost:{port}");
    for (name, value) in [
        ("origin", "http://evil.example"),
        ("origin", "null"),
        // Another name of this machine is another origin.
        ("origin", &origin),
        ("origin", &format!("https://{}", intake.host())),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ] {
        let headers = [("host", intake.host()), json, (name, value)];
        assert_eq!(intake.request("POST /api/send", &headers, body).0, 403, "{name}: {value}");
        assert_eq!(intake.request("GET /api/deliveries", &headers, b"").0, 403, "{name}: {value}");
    }
    // A form of another site can send no JSON.
    for kind in ["text/plain", "application/x-www-form-urlencoded"] {
        let headers = [("host", intake.host()), ("content-type", kind)];
        for path in ["send", "redrive", "fresh", "quarantine/x/release", "deliveries/1/replay", "deliveries/1/curl"] {
            assert_eq!(intake.request(&format!("POST /api/{path}"), &headers, body).0, 415, "{path}");
        }
    }
    assert_eq!(
        intake.request("OPTIONS /api/send", &[("host", intake.host()), ("origin", "http://evil.example")], b"").0,
        403
    );
    // No function dies for another site, or for what a tunnel passes on.
    let crash = &format!("POST /api/crash/claimed/webhooks/{platform}")[..];
    for (name, value) in [("origin", "http://evil.example"), ("x-forwarded-for", "203.0.113.9")] {
        assert_eq!(intake.request(crash, &[("host", intake.host()), (name, value)], b"{}").0, 403, "{name}");
    }
    assert_eq!(intake.request(crash, &[("host", "evil.example")], b"{}").0, 403);
    assert_eq!(intake.get("/api/deliveries")["counts"]["received"], 0);
    // For this machine it takes a delivery as it was sent.
    let sent = format!("{crash}/%65u?shop=1");
    assert_eq!(intake.request(&sent, &[("host", intake.host())], b"{}").0, rejected);
    let target = format!("/webhooks/{platform}/%65u?shop=");
    assert!(intake.latest()["target"].as_str().unwrap().starts_with(&target));
    // A link from elsewhere leads here.
    let link = [("host", intake.host()), ("sec-fetch-site", "cross-site")];
    assert_eq!(intake.request("GET /", &link, b"").0, 200);
    let own = [("host", intake.host()), json, ("origin", &*here), ("sec-fetch-site", "same-origin")];
    assert_eq!(intake.request("POST /api/send", &own, body).0, 200);

    // Platforms come under any name, as ever.
    let headers = [("host", "hooks.example"), ("origin", "http://evil.example"), ("sec-fetch-site", "cross-site")];
    let (status, head, answer) = intake.request(&format!("POST /webhooks/{platform}"), &headers, b"{}");
    assert_eq!((status, &*answer), (rejected, &br#"{"outcome":"rejected"}"#[..]));
    assert!(!head.contains("content-security-policy"), "{head}");
}

/// Nothing that the page is told, or the catalogue, holds a signature or a secret.
#[test]
fn signatures_and_credentials_are_masked() {
    let intake = Intake::start();
    let secrets = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../events/secrets.json")).unwrap();
    let secrets: Value = serde_json::from_str(&secrets).unwrap();
    let mut hidden: Vec<String> = Vec::new();
    for (name, accounts) in secrets.as_object().unwrap() {
        let accounts = accounts.as_object().unwrap();
        hidden.extend(
            accounts.values().flat_map(|list| list.as_array().unwrap()).map(|s| s.as_str().unwrap().to_owned()),
        );
        let provider = Provider::named(name).unwrap();
        for scheme in provider.schemes() {
            let template = Template::of(provider, provider.events[0].0).unwrap();
            let secret = samples::secret(provider, &Account::default()).unwrap();
            let signed =
                sign(scheme, &secret, &template.headers, &template.text(), OffsetDateTime::now_utc(), None).unwrap();
            let mut headers = signed.headers.clone();
            headers.push(("authorization".into(), "Bearer s3cr3t-bearer".into()));
            headers.push(("cookie".into(), "session=s3cr3t-cookie".into()));
            intake.deliver(&format!("/webhooks/{name}?token=s3cr3t-of-the-query"), &headers, &signed.body);
            // To the wrong address, and with the secret in the signature's place.
            let another = support::another(provider).name;
            intake.deliver(&format!("/webhooks/{another}"), &signed.headers, &signed.body);
            let secret = String::from_utf8(secret).unwrap();
            for (other, header) in providers::ALL
                .iter()
                .flat_map(|p| p.schemes().filter_map(Scheme::signature_header).map(move |h| (p, h)))
            {
                intake.deliver(&format!("/webhooks/{}", other.name), &[(header.into(), secret.clone())], b"{}");
            }
            let digits = |text: &str| {
                let mut words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '+' && c != '/');
                words.find(|word| word.len() >= 43).map(str::to_owned)
            };
            let all: Vec<_> = signed.headers.iter().filter_map(|(_, value)| digits(value)).collect();
            hidden.extend(all.iter().map(|digits| digits[..9].to_owned()));
            if all.is_empty() {
                hidden.push(digits(&String::from_utf8(signed.body).unwrap()).unwrap()[..9].to_owned());
            }
        }
    }
    // Those that are quarantined, with their signature in the body where it is there.
    for provider in providers::ALL {
        let quarantined = intake.signed(provider, br#"{"event":1}"#);
        assert_eq!(quarantined["summary"]["outcome"], "quarantined");
        if let Some(name) = support::scheme(provider).signature_member() {
            assert!(quarantined["body"].as_str().unwrap().contains(&format!("\"{name}\":")), "{quarantined}");
        }
    }
    hidden.extend(["s3cr3t".into(), BASE64_STANDARD.encode("{\"event\":1")]);

    let mut told = vec![intake.get("/api/deliveries"), intake.get("/api/queues"), intake.get("/api/catalogue")];
    let count = told[0]["deliveries"].as_array().unwrap().len();
    assert!(count > 20);
    for number in 1..=count {
        told.push(intake.get(&format!("/api/deliveries/{number}")));
        told.push(intake.get(&format!("/api/deliveries/{number}/claim")));
    }
    for told in told {
        let told = told.to_string();
        for hidden in &hidden {
            assert!(!told.contains(hidden), "{hidden} in {told}");
        }
    }
}

#[test]
fn memory_is_bounded() {
    let intake = Intake::start();
    // More than is kept of a body.
    let (path, rejected) = (format!("/webhooks/{}", with_ids().name), with_ids().rejected_status);
    let large = vec![b' '; journal::MOST_BODY_BYTES + 1];
    assert_eq!(intake.deliver(&path, &[], &large), rejected);
    let shown = intake.latest();
    assert_eq!(shown["summary"]["body_bytes"], journal::MOST_BODY_BYTES + 1);
    assert_eq!(shown["body_kept"], journal::MOST_BODY_BYTES);
    assert_eq!(shown["explanation"], Value::Null);
    let (status, answer) = intake.post("/api/deliveries/1/replay", &json!({}));
    assert_eq!(status, 409);
    assert!(answer["error"].as_str().unwrap().starts_with("its body is too large to be kept whole"));

    for _ in 0..journal::MOST_DELIVERIES {
        assert_eq!(intake.deliver(&path, &[], b"{}"), rejected);
    }
    let all = intake.get("/api/deliveries");
    assert_eq!(all["deliveries"].as_array().unwrap().len(), journal::MOST_DELIVERIES);
    assert_eq!(all["deliveries"][0]["number"], 2);
    assert_eq!(all["counts"]["rejected"], journal::MOST_DELIVERIES + 1);
    assert_eq!(intake.request("GET /api/deliveries/1", &[("host", intake.host())], b"").0, 404);
}

/// An invocation goes on when its caller hangs up, as in Lambda: what came in is counted, whatever becomes of it.
#[test]
fn a_caller_that_hangs_up_is_counted() {
    let intake = Intake::start();
    let platform = with_ids().name;
    let counts = || intake.get("/api/deliveries")["counts"].clone();
    let becomes = |name: &str, count: u64| {
        let start = std::time::Instant::now();
        while counts()[name] != count {
            assert!(start.elapsed() < Duration::from_secs(20), "{name} is to become {count}: {}", counts());
        }
    };
    for number in 0..10 {
        let body = order(&format!("evt_{number}"));
        let signed = support::signed(with_ids(), body.as_bytes(), 0);
        let (name, value) = &signed.headers[0];
        let mut caller = intake.connect();
        let head = format!(
            "POST /webhooks/{platform} HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n{name}: {value}\r\n\r\n",
            body.len()
        );
        caller.write_all(&[head.as_bytes(), &signed.body].concat()).unwrap();
        becomes("received", number + 1);
        caller.shutdown(std::net::Shutdown::Both).unwrap();
    }
    becomes("queued", 10);
}
