//! The example consumer's real binary, fed with what the real functions queued.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName};
use axum::{Router, body::Bytes, http::HeaderMap, response::IntoResponse};
use hookgate::send::samples;
use hookgate_event::Event;
use hookgate_verify::providers;
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::support::{
    World, build_folder, http,
    lambda::{Answer, Function, Invocation},
    log_lines, order_paid, plain, project, sample_event, sample_secrets,
};

const TABLE: &str = "consumed";

/// No message failed.
const NONE: [usize; 0] = [];

/// The consumer's binary, built first: for a test cargo builds the binaries of its own package only.
pub fn binary() -> &'static str {
    static BINARY: LazyLock<String> = LazyLock::new(|| {
        let folder = build_folder();
        let mut cargo = Command::new(env!("CARGO"));
        // What cargo says of this test's package would have ring, and all that needs it, built again.
        for (name, _) in
            std::env::vars().filter(|(name, _)| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"))
        {
            cargo.env_remove(name);
        }
        // In this build's folder, and named beside this test, which unites their features: what both need is built already.
        cargo.args(["build", "--quiet", "--workspace", "--test", "end_to_end", "--bin", "consumer", "--target-dir"]);
        cargo.arg(folder.parent().unwrap());
        cargo.args(folder.ends_with("release").then_some("--release"));
        assert!(cargo.status().unwrap().success(), "the consumer does not build");
        folder.join("consumer").to_str().unwrap().to_owned()
    });
    &BINARY
}

/// The consumer, in one execution environment, with a table of its own, and DynamoDB at this address.
async fn consumer(world: &World, dynamodb_url: String) -> Function {
    hookgate::local::engines::create_table(&world.engines.dynamodb(), TABLE).await.unwrap();
    let settings = [("AWS_ENDPOINT_URL_DYNAMODB", dynamodb_url), ("CONSUMED_TABLE_NAME", TABLE.to_owned())];
    Function::start(binary(), 1, &settings).await
}

/// The messages that the samples leave on the queue, in their order, and one that is too large to travel uncompressed.
async fn messages(world: &World) -> Vec<Message> {
    let trace = "Root=1-67829581-8f723f1873d194c42caf94f6;Parent=53995c3f42cd8ad8;Sampled=1";
    let samples = samples::all();
    let secrets = sample_secrets();
    let mut order = Vec::new();
    for provider in providers::ALL {
        let secrets = secrets[provider.name].to_string();
        let function = world.function(provider, &[("WEBHOOK_SECRETS", &secrets)]).await;
        for sample in samples.iter().filter(|sample| sample.provider.name == provider.name) {
            let invocation = Invocation { trace_id: trace.to_owned(), ..Invocation::default() };
            let (_, answer) = http(&function.invoke_with(sample_event(sample), invocation).await);
            assert_eq!(answer["outcome"], "queued", "{}", sample.name);
            order.push(answer["id"].as_str().unwrap().to_owned());
        }
    }
    let function = world.function(plain(), &[]).await;
    let invocation = Invocation { trace_id: trace.to_owned(), ..Invocation::default() };
    let large = order_paid("evt_large", &"x".repeat(1_100_000));
    assert_eq!(http(&function.invoke_with(large, invocation).await).1["outcome"], "queued");
    order.push("evt_large".to_owned());

    let mut messages = world.messages().await;
    let place = |message: &Message| {
        let id = Event::from_json(message.body().unwrap()).unwrap().id;
        order.iter().position(|other| *other == id).unwrap()
    };
    messages.sort_by_key(place);
    assert_eq!(messages.len(), order.len());
    messages
}

/// The event that Lambda makes of messages, with numbers for ids.
fn batch<'a>(messages: impl IntoIterator<Item = &'a Message>) -> Value {
    let record = |(index, message): (usize, &Message)| {
        let mut attributes = json!({"ApproximateReceiveCount": "1", "SentTimestamp": "1736611201300"});
        for name in [MessageSystemAttributeName::AwsTraceHeader, MessageSystemAttributeName::MessageGroupId] {
            attributes[name.as_str()] = message.attributes().unwrap()[&name].clone().into();
        }
        let named = message.message_attributes().unwrap().iter().map(|(name, value)| {
            let value = json!({"stringValue": value.string_value().unwrap(), "stringListValues": [],
                               "binaryListValues": [], "dataType": "String"});
            (name, value)
        });
        json!({
            "messageId": message_id(index),
            "receiptHandle": format!("receipt-{index}"),
            "body": message.body().unwrap(),
            "attributes": attributes,
            "messageAttributes": named.collect::<BTreeMap<_, _>>(),
            "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:hookgate-events",
            "awsRegion": "us-east-1",
        })
    };
    json!({"Records": messages.into_iter().enumerate().map(record).collect::<Vec<_>>()})
}

/// The same, of bodies alone.
fn bodies<'a>(bodies: impl IntoIterator<Item = &'a str>) -> Value {
    let record = |(index, body)| json!({"messageId": message_id(index), "body": body});
    json!({"Records": bodies.into_iter().enumerate().map(record).collect::<Vec<_>>()})
}

fn message_id(index: usize) -> String {
    format!("00000000-0000-4000-8000-{index:012}")
}

/// An event as the intake writes it.
fn event(id: &str) -> String {
    let event = r#"{"specversion":"1.0","id":"ID","source":"/webhooks/platform/default","type":"commerce.order.paid",
        "datacontenttype":"application/json","provider":"platform","account":"default","providertype":"order.paid",
        "receivedtime":"2025-01-11T16:00:01.250Z","data":{"payload":{}}}"#;
    event.replace("ID", id)
}

/// The messages of which the consumer says that they failed, by their place in the batch.
#[track_caller]
fn failed(answer: &Answer) -> Vec<usize> {
    let Answer::Response(answer) = answer else { panic!("no answer but {answer:?}") };
    let failures = answer["batchItemFailures"].as_array().unwrap();
    let place = |failure: &Value| failure["itemIdentifier"].as_str().unwrap()[24..].parse().unwrap();
    failures.iter().map(place).collect()
}

/// The consumer's log lines with this message, once it has written so many lines.
async fn lines(consumer: &Function, total: usize, message: &str) -> Vec<Value> {
    let lines = log_lines(consumer, total).await;
    lines.into_iter().filter(|line| line["message"] == message).collect()
}

#[tokio::test]
async fn each_event_of_the_intake_is_handled_once() {
    let world = World::new().await;
    let messages = messages(&world).await;
    let count = messages.len();
    assert!(messages[count - 1].body().unwrap().contains("payload_gzip"));
    let consumer = consumer(&world, world.engines.dynamodb_url()).await;
    let batch = batch(&messages).to_string();
    assert_eq!(failed(&consumer.invoke(batch.clone()).await), NONE);
    assert_eq!(failed(&consumer.invoke(batch).await), NONE);

    let handled = lines(&consumer, 3 * count, "handle").await;
    let keys: BTreeSet<_> = handled.iter().map(|line| (line["source"].to_string(), line["id"].to_string())).collect();
    assert_eq!((handled.len(), keys.len()), (count, count));
    assert!(handled.iter().any(|line| line["id"] == "evt_large" && line["to_do"] == "fulfil"));
    assert_eq!(lines(&consumer, 3 * count, "duplicate").await.len(), count);
    // Payloads carry personal data.
    assert!(consumer.log().iter().all(|line| !line.contains("payload") && !line.contains('@')));
}

#[tokio::test]
async fn a_copy_in_the_same_batch_is_handled_once() {
    let world = World::new().await;
    let consumer = consumer(&world, world.engines.dynamodb_url()).await;
    let (one, two) = (event("1"), event("2"));
    let batch = bodies([&*one, &*two, &*one]).to_string();
    assert_eq!(failed(&consumer.invoke(batch).await), NONE);
    assert_eq!(lines(&consumer, 5, "handle").await.len(), 2);
    assert_eq!(lines(&consumer, 5, "duplicate").await[0]["message_id"], message_id(2));

    // The same id of another source is another event.
    let other = one.replace("/default", "/eu-shop");
    assert_eq!(failed(&consumer.invoke(bodies([&*other]).to_string()).await), NONE);
    assert_eq!(lines(&consumer, 7, "handle").await.len(), 3);
}

#[tokio::test]
async fn what_is_no_event_fails_alone_and_unread() {
    let world = World::new().await;
    let consumer = consumer(&world, world.engines.dynamodb_url()).await;
    let gzip = event("3").replace(r#""payload":{}"#, r#""payload_gzip":"c2VjcmV0""#);
    let texts = [event("1"), "secret {".to_owned(), event("2"), gzip, event("4")];
    let batch = bodies(texts.iter().map(String::as_str)).to_string();
    assert_eq!(failed(&consumer.invoke(batch.clone()).await), [1, 3]);
    assert_eq!(lines(&consumer, 8, "handle").await.len(), 3);
    // It fails every time: that is what brings it to the dead letters.
    assert_eq!(failed(&consumer.invoke(batch).await), [1, 3]);
    assert_eq!(lines(&consumer, 13, "handle").await.len(), 3);
    assert!(consumer.log().iter().all(|line| !line.contains("secret") && !line.contains("c2VjcmV0")));
}

#[tokio::test]
async fn after_a_crash_between_handling_and_marking_the_event_is_handled_again_once_the_lease_is_over() {
    let world = World::new().await;
    let gate = Arc::new(Gate { shut: AtomicBool::new(true), ..Gate::default() });
    let consumer = consumer(&world, gate.clone().before(world.engines.dynamodb_url()).await).await;
    let batch = bodies([&*event("1")]).to_string();

    let invocation =
        Invocation { request_id: "crash".to_owned(), deadline: Duration::from_secs(4), ..Invocation::default() };
    let (answer, ()) = tokio::join!(consumer.invoke_with(batch.clone(), invocation), async {
        gate.reached.notified().await;
        assert!(consumer.kill("crash").await);
    });
    assert_eq!(answer, Answer::Died);
    assert_eq!(lines(&consumer, 1, "handle").await.len(), 1);

    gate.shut.store(false, Ordering::Relaxed);
    consumer.respawn().await;
    let mut tries = 0;
    while failed(&consumer.invoke(batch.clone()).await) == [0] {
        tries += 1;
        assert!(tries < 100, "the lease does not end");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(tries > 0, "the lease did not hold");
    assert_eq!(failed(&consumer.invoke(batch).await), NONE);
    // The first, each refused try, the second with its end, the duplicate.
    assert_eq!(lines(&consumer, tries + 4, "handle").await.len(), 2);
    assert_eq!(lines(&consumer, tries + 4, "duplicate").await.len(), 1);
}

/// The messages of a resource of the contract's, found by what it went through, and the id of the event that must remain.
fn life(is: impl Fn(&Value) -> bool) -> (Vec<String>, String) {
    let text = std::fs::read_to_string(project().join("docs/contract/order.json")).unwrap();
    let order: Value = serde_json::from_str(&text).unwrap();
    let life = order["lives"].as_array().unwrap().iter().find(|life| is(life)).expect("such a life");
    let message = |event: &Value| {
        let mut message: Value = serde_json::from_str(&self::event("")).unwrap();
        message.as_object_mut().unwrap().extend(event.as_object().unwrap().clone());
        message.as_object_mut().unwrap().remove("sort_key");
        message.to_string()
    };
    (life["events"].as_array().unwrap().iter().map(message).collect(), life["latest"].as_str().unwrap().to_owned())
}

/// The id of the event whose state the table holds for this account's only resource.
async fn state(world: &World, messages: &[String], account: &str) -> String {
    let subject = Event::from_json(&messages[0]).unwrap().subject.unwrap();
    let key = AttributeValue::S(format!("latest /webhooks/platform/{account} {subject}"));
    let item = world.engines.dynamodb().get_item().table_name(TABLE).key("pk", key).send().await.unwrap().item.unwrap();
    item["sort_key"].as_s().unwrap().splitn(3, ' ').last().unwrap().to_owned()
}

/// Through the real binary and DynamoDB's protocol; `consumers/rust/tests/vectors.rs` has the permutations of the other lives.
#[tokio::test]
async fn every_permutation_and_every_duplicate_ends_in_the_same_state() {
    let world = World::new().await;
    let consumer = consumer(&world, world.engines.dynamodb_url()).await;
    let (messages, latest) = life(|life| life["name"] == "paid after its cancellation, which comes late");
    let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    for (number, order) in orders.iter().enumerate() {
        let account = number.to_string();
        // Each comes twice, the copies last.
        let order = order.iter().chain(order).map(|place| &messages[*place]);
        let order: Vec<_> =
            order.map(|body| body.replace("platform/default", &format!("platform/{account}"))).collect();
        let batch = bodies(order.iter().map(String::as_str)).to_string();
        assert_eq!(failed(&consumer.invoke(batch).await), NONE);
        assert_eq!(state(&world, &messages, &account).await, latest, "{order:?}");
    }
}

#[tokio::test]
async fn after_a_crash_of_the_latest_event_an_older_one_changes_nothing_and_the_latest_is_finished() {
    let world = World::new().await;
    let gate = Arc::new(Gate { shut: AtomicBool::new(true), ..Gate::default() });
    let consumer = consumer(&world, gate.clone().before(world.engines.dynamodb_url()).await).await;
    let (messages, latest) = life(|life| life["name"] == "paid after its cancellation, which comes late");
    let batch = |place: usize| bodies([&*messages[place]]).to_string();

    let invocation =
        Invocation { request_id: "crash".to_owned(), deadline: Duration::from_secs(4), ..Invocation::default() };
    let (answer, ()) = tokio::join!(consumer.invoke_with(batch(2), invocation), async {
        gate.reached.notified().await;
        assert!(consumer.kill("crash").await);
    });
    assert_eq!(answer, Answer::Died);
    assert_eq!(state(&world, &messages, "default").await, latest);

    gate.shut.store(false, Ordering::Relaxed);
    consumer.respawn().await;
    for older in [0, 1] {
        assert_eq!(failed(&consumer.invoke(batch(older)).await), NONE);
        assert_eq!(state(&world, &messages, "default").await, latest);
    }
    let mut tries = 0;
    while failed(&consumer.invoke(batch(2)).await) == [0] {
        tries += 1;
        assert!(tries < 100, "the lease does not end");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    // The first, two older ones with their ends, each refused try, the latest again with its end.
    let latest_first: Vec<_> =
        lines(&consumer, 1 + 4 + tries + 2, "handle").await.iter().map(|line| line["latest"].clone()).collect();
    assert_eq!(latest_first, [true, false, false, true]);
    assert_eq!(state(&world, &messages, "default").await, latest);
}

#[tokio::test]
async fn out_of_time_the_rest_fails_and_what_is_done_stays_done() {
    let world = World::new().await;
    let gate = Arc::new(Gate::default());
    let consumer = consumer(&world, gate.clone().before(world.engines.dynamodb_url()).await).await;
    let (one, two, three) = (event("1"), event("2"), event("3"));
    assert_eq!(failed(&consumer.invoke(bodies([&*one]).to_string()).await), NONE);

    gate.shut.store(true, Ordering::Relaxed);
    let invocation = Invocation { deadline: Duration::from_secs(2), ..Invocation::default() };
    let batch = bodies([&*one, &*two, &*three]).to_string();
    assert_eq!(failed(&consumer.invoke_with(batch, invocation).await), [1, 2]);
}

#[tokio::test]
async fn without_dynamodb_nothing_is_handled_and_the_log_says_why() {
    let world = World::new().await;
    let settings =
        [("AWS_ENDPOINT_URL", world.engines.dynamodb_url()), ("CONSUMED_TABLE_NAME", "no-such-table".to_owned())];
    let consumer = Function::start(binary(), 1, &settings).await;
    assert_eq!(failed(&consumer.invoke(bodies([&*event("1")]).to_string()).await), [0]);
    let line = lines(&consumer, 1, "failed").await.remove(0);
    assert!(line["error"].as_str().unwrap().contains("ResourceNotFoundException"), "{line}");
}

#[tokio::test]
async fn without_its_table_it_ends_at_once_and_names_it() {
    let exit = Function::start(binary(), 1, &[]).await.exit().await;
    let expected =
        r#"Error: "CONSUMED_TABLE_NAME is not set: give it the name of the DynamoDB table of handled events""#;
    assert_eq!((exit.code, &*exit.log), (Some(1), &[expected.to_owned()][..]));
}

/// `docs/consumers/messages.json`, on which the Python and the TypeScript consumer are tested, is what the functions
/// queue today. `UPDATE_SAMPLES=1` writes it.
#[tokio::test]
async fn consumers_in_other_languages_are_tested_on_real_messages() {
    let world = World::new().await;
    let mut batch = batch(&messages(&world).await);
    for record in batch["Records"].as_array_mut().unwrap() {
        let body = record["body"].as_str().unwrap();
        let mut event = Event::from_json(body).unwrap();
        let large = body.contains("payload_gzip");
        assert!(large || event.to_json() == body, "{body}");
        "2025-01-11T16:00:01.250Z".clone_into(&mut event.received_time);
        record["body"] = if large { event.to_json_gzip() } else { event.to_json() }.into();
    }
    let file = project().join("docs/consumers/messages.json");
    if std::env::var_os("UPDATE_SAMPLES").is_some() {
        std::fs::write(&file, format!("{batch:#}\n")).unwrap();
    }
    let mut kept: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    // Another version of the compressor may choose other bytes.
    for batch in [&mut kept, &mut batch] {
        for record in batch["Records"].as_array_mut().unwrap() {
            record["body"] = Event::from_json(record["body"].as_str().unwrap()).unwrap().to_json().into();
        }
    }
    assert!(
        kept == batch,
        "messages.json is out of date: UPDATE_SAMPLES=1 cargo test -p hookgate-functions --test end_to_end consumers"
    );
}

/// Stands before DynamoDB, and, while shut, lets no call through that marks an event as handled.
#[derive(Default)]
struct Gate {
    shut: AtomicBool,
    reached: Notify,
}

impl Gate {
    async fn before(self: Arc<Self>, dynamodb_url: String) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let client = reqwest::Client::new();
        let pass = async move |headers: HeaderMap, body: Bytes| {
            let item = &serde_json::from_slice::<Value>(&body).unwrap()["Item"];
            let marks = !item["pk"].is_null() && item["lease_until"].is_null() && item["sort_key"].is_null();
            if marks && self.shut.load(Ordering::Relaxed) {
                self.reached.notify_one();
                std::future::pending::<()>().await;
            }
            let answer = client.post(&dynamodb_url).headers(headers).body(body).send().await.unwrap();
            (answer.status(), answer.bytes().await.unwrap()).into_response()
        };
        tokio::spawn(async move { axum::serve(listener, Router::new().fallback(pass)).await.unwrap() });
        address
    }
}
