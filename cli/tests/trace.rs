//! `hookgate trace`: of the local intake over the wire, and of a stack by stand-ins for CloudFormation and CloudWatch Logs.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    process::Command,
    sync::{Arc, Mutex},
    time::UNIX_EPOCH,
};

use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use axum::http::{HeaderMap, StatusCode};
use hookgate::local::engines;
use hookgate_intake::claim::partition_key;
use hookgate_verify::{Provider, providers::Identity};
use serde_json::{Value, json};

mod support;

use support::{
    Ran, Stacks, body_with_id, event, event_type, find, intake::Intake, order, serve, signed, subject, with_ids,
};

trait Lines {
    fn lines(&self) -> Vec<String>;
}

impl Lines for Ran {
    /// The lines with every time as TIME, every message's id as m1, m2, … in the order of their first mention, and one space
    /// between columns.
    fn lines(&self) -> Vec<String> {
        let mut ids = BTreeMap::new();
        let mut word = |word: &str| {
            let bare = word.trim_end_matches([',', ':', ';', '.', ')']);
            let rest = &word[bare.len()..];
            if bare.len() == 24 && bare.starts_with("20") && bare.ends_with('Z') {
                return format!("TIME{rest}");
            }
            if bare.len() == 36 && bare.matches('-').count() == 4 {
                let next = ids.len() + 1;
                return format!("m{}{rest}", ids.entry(bare.to_owned()).or_insert(next));
            }
            word.to_owned()
        };
        self.out.lines().map(|line| line.split_whitespace().map(&mut word).collect::<Vec<_>>().join(" ")).collect()
    }
}

fn trace(intake: &Intake, arguments: &[&str]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookgate"));
    command.arg("trace").args(arguments);
    Ran::of(command.args(["--url", intake.url(), "--dynamodb", intake.dynamodb(), "--sqs", intake.sqs()]))
}

/// Delivers a body to a path of the intake. Gives the answer's status.
async fn deliver(intake: &Intake, before: &str, provider: &Provider, body: &str) -> u16 {
    let signed = signed(provider, body.as_bytes(), UNIX_EPOCH.elapsed().unwrap().as_secs());
    let mut request = reqwest::Client::new().post(format!("{}{before}/webhooks/{}", intake.url(), provider.name));
    for (name, value) in signed.headers {
        request = request.header(name, value);
    }
    if let Some(name) = provider.fields.name.unsigned_header() {
        request = request.header(name, event(provider));
    }
    let answer = request.header("content-type", "application/json").body(signed.body).send().await.unwrap();
    answer.status().as_u16()
}

/// A consumer's two writes, as docs/consume.md describes them.
async fn consumed(intake: &Intake, items: &[(&str, Option<i64>)]) {
    let dynamodb = aws_sdk_dynamodb::Client::new(&engines::sdk_config(intake.dynamodb()));
    let pk =
        AttributeDefinition::builder().attribute_name("pk").attribute_type(ScalarAttributeType::S).build().unwrap();
    let key = KeySchemaElement::builder().attribute_name("pk").key_type(KeyType::Hash).build().unwrap();
    let table = dynamodb.create_table().table_name("consumed").billing_mode(BillingMode::PayPerRequest);
    table.attribute_definitions(pk).key_schema(key).send().await.unwrap();
    for (pk, lease_until) in items {
        let put = dynamodb.put_item().table_name("consumed").item("pk", AttributeValue::S((*pk).to_owned()));
        let put = put.item("owner", AttributeValue::S("request-1".to_owned()));
        let put = put.item("expires_at", AttributeValue::N("4102444800".to_owned()));
        let put =
            lease_until.iter().fold(put, |put, lease| put.item("lease_until", AttributeValue::N(lease.to_string())));
        put.send().await.unwrap();
    }
}

/// Receives from a queue; the messages are visible again at once.
async fn receive(intake: &Intake, queue: &str, times: usize) -> Vec<String> {
    let sqs = aws_sdk_sqs::Client::new(&engines::sdk_config(intake.sqs()));
    let url = sqs.get_queue_url().queue_name(queue).send().await.unwrap().queue_url.unwrap();
    let mut receipts = Vec::new();
    for _ in 0..times {
        let received = sqs.receive_message().queue_url(&url).visibility_timeout(0).send().await.unwrap();
        receipts = received.messages.unwrap_or_default().into_iter().filter_map(|m| m.receipt_handle).collect();
    }
    receipts
}

async fn delete(intake: &Intake, queue: &str, receipt: &str) {
    let sqs = aws_sdk_sqs::Client::new(&engines::sdk_config(intake.sqs()));
    let url = sqs.get_queue_url().queue_name(queue).send().await.unwrap().queue_url.unwrap();
    sqs.delete_message().queue_url(url).receipt_handle(receipt).send().await.unwrap();
}

/// The timeline's beginning, in [`Lines`].
fn begins(name: &str) -> String {
    let about = format!("{} {}", event_type(), subject());
    name.replace("ABOUT", &about)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_story_of_a_crash_a_duplicate_a_dead_letter_and_a_redrive() {
    let (intake, provider, body) = (Intake::start(), with_ids(), order("evt_1"));
    assert_eq!(deliver(&intake, "/api/crash/claimed", provider, &body).await, 500);
    assert_eq!(deliver(&intake, "", provider, &body).await, 503);
    let begin = ["TIME delivery crashed ABOUT evt_1", "TIME delivery busy ABOUT evt_1"].map(begins);
    let ran = trace(&intake, &["evt_1"]);
    let lines = ran.lines();
    assert_eq!((ran.code, lines.len(), &lines[..2]), (Some(0), 5, &begin[..]), "{}", ran.err);
    assert!(
        lines[2].starts_with("now claim claimed an invocation is working on it; its lease ends in "),
        "{}",
        lines[2]
    );
    assert_eq!(lines[3], NO_CONSUMER);
    assert!(lines[4].starts_with("evt_1: its invocation crashed; when the lease is over, "), "{}", lines[4]);

    // The lease is over, without ten seconds of waiting.
    let dynamodb = aws_sdk_dynamodb::Client::new(&engines::sdk_config(intake.dynamodb()));
    let pk = AttributeValue::S(partition_key(provider.name, "default", "evt_1"));
    let update = dynamodb.update_item().table_name("hookgate-claims").key("pk", pk);
    let update = update.update_expression("SET lease_until = :past");
    update.expression_attribute_values(":past", AttributeValue::N("1".to_owned())).send().await.unwrap();
    let abandoned = trace(&intake, &["evt_1", "--json"]).json();
    assert_eq!(abandoned["now"][0]["where"], "abandoned");
    assert_eq!(deliver(&intake, "", provider, &body).await, 200);
    assert_eq!(deliver(&intake, "", provider, &body).await, 200);
    let queued =
        ["TIME delivery queued ABOUT evt_1 m1", "TIME queue sent evt_1 m1", "TIME delivery duplicate ABOUT evt_1"]
            .map(begins);
    let mut expected = [&begin[..], &queued].concat();
    let waits = "evt_1: waiting on hookgate-events since TIME, received 0 of 5 times.";
    let now = |claim: &str, rest: &[&str]| {
        [&[claim.to_owned()][..], &rest.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>()].concat()
    };
    let claim = "now claim queued evt_1 m1";
    assert_eq!(trace(&intake, &["evt_1"]).lines(), [&expected[..], &now(claim, &[NO_CONSUMER, waits])].concat());

    // A consumer with a bug.
    receive(&intake, "hookgate-events", 6).await;
    expected.extend((1..=5).map(|receive| format!("TIME queue received {receive} of 5, hidden for 0 s evt_1 m1")));
    expected.push("TIME dead letters moved here after 5 receives evt_1 m1".to_owned());
    let dead = "evt_1: in the dead-letter queue since TIME: fix the consumer, then hookgate redrive.";
    assert_eq!(trace(&intake, &["evt_1"]).lines(), [&expected[..], &now(claim, &[NO_CONSUMER, dead])].concat());

    // And without it.
    let mut redrive = Command::new(env!("CARGO_BIN_EXE_hookgate"));
    assert_eq!(Ran::of(redrive.args(["redrive", "--sqs", intake.sqs()])).code, Some(0));
    let receipts = receive(&intake, "hookgate-events", 1).await;
    delete(&intake, "hookgate-events", &receipts[0]).await;
    let source = format!("/webhooks/{}/default", provider.name);
    consumed(&intake, &[(&format!("{source} evt_1"), None)]).await;
    let redriven = [
        "TIME queue redriven was m1 evt_1 m2",
        "TIME queue received 1 of 5, hidden for 0 s evt_1 m2",
        "TIME queue deleted evt_1 m2",
    ];
    expected.extend(redriven.map(str::to_owned));
    let handled = "now consumer handled remembered until 2100-01-01T00:00:00.000Z evt_1";
    let done = "evt_1: its message was deleted from hookgate-events at TIME; the consumer has handled it.";
    let whole = [&expected[..], &now(claim, &[handled, done])].concat();
    let ran = trace(&intake, &["evt_1"]);
    assert_eq!(ran.lines(), whole, "{}", ran.err);
    assert!(!ran.out.contains("s3cr3t-payload"));
    let ids: BTreeSet<_> = ran.out.lines().take(whole.len() - 1).map(|line| line.find("  evt_1")).collect();
    assert_eq!(ids.len(), 1, "the columns are aligned: {}", ran.out);

    // By its resource, and by the message's id before and after the redrive.
    let id = |column: usize, line: usize| {
        ran.out.lines().nth(line).unwrap().split_whitespace().rev().nth(column).unwrap().to_owned()
    };
    for text in [subject(), id(0, 2), id(0, whole.len() - 5)] {
        assert_eq!(trace(&intake, &[&text]).lines(), whole, "{text}");
    }
    let json = trace(&intake, &["evt_1", "--json"]).json();
    let timeline = json["timeline"].as_array().unwrap();
    assert_eq!(timeline.len(), whole.len() - 1);
    assert_eq!((&json["provider"], &json["account"]), (&json!(provider.name), &json!("default")));
    assert_eq!((&timeline[0]["where"], &timeline[0]["what"]), (&json!("delivery"), &json!("crashed")));
    assert_eq!((&timeline[2]["message_id"], &timeline[2]["id"]), (&json!(id(0, 2)), &json!("evt_1")));
    let times: Vec<_> = timeline.iter().map_while(|row| row["time"].as_str()).collect();
    assert!(times.is_sorted() && times.len() == timeline.len() - 2, "{times:?}");
    assert_eq!((&json["now"][0]["where"], &json["notes"]), (&json!("handled"), &json!([])));
    // From now on, nothing happened.
    assert_eq!(trace(&intake, &["evt_1", "--since", "0s"]).lines(), now(claim, &[handled, done]));
}

const NO_CONSUMER: &str = "Not looked at: the consumer's marks. Name its table with --consumer-table.";

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_has_a_mark_of_its_own_and_a_resource_its_latest_event() {
    let (intake, provider) = (Intake::start(), with_ids());
    assert_eq!(deliver(&intake, "", provider, &order("evt_1")).await, 200);
    let tables = ["--sqs", intake.sqs(), "--dynamodb", intake.dynamodb()];
    let archive =
        Ran::of(Command::new(env!("CARGO_BIN_EXE_hookgate")).args(["tail", "--once", "--json"]).args(&tables[..2]));
    let file = format!("{}/trace-{}.ndjson", env!("CARGO_TARGET_TMPDIR"), std::process::id());
    std::fs::write(&file, archive.out).unwrap();
    let mut replay = Command::new(env!("CARGO_BIN_EXE_hookgate"));
    assert_eq!(Ran::of(replay.args(["replay", &file, "--name", "fix-1"]).args(tables)).code, Some(0));
    let source = format!("/webhooks/{}/default", provider.name);
    let lease = i64::try_from(UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap() + 60_000;
    consumed(&intake, &[(&format!("{source} evt_1"), Some(1)), (&format!("replay fix-1 {source} evt_1"), Some(lease))])
        .await;
    let dynamodb = aws_sdk_dynamodb::Client::new(&engines::sdk_config(intake.dynamodb()));
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let put = dynamodb.put_item().table_name("consumed").item("pk", text(&format!("latest {source} {}", subject())));
    let put =
        put.item("type", text("commerce.order.paid")).item("sort_key", text("2025-01-11T16:00:00.000000000Z 50 evt_2"));
    put.send().await.unwrap();

    let waits = "waiting on hookgate-events since TIME, received 0 of 5 times";
    let expected = [
        "TIME delivery queued ABOUT evt_1 m1",
        "TIME queue sent evt_1 m1",
        "TIME queue replayed fix-1 evt_1 m2",
        "now claim queued evt_1 m1",
        "now consumer abandoned the lease of request-1 ended at 1970-01-01T00:00:00.001Z without a mark evt_1",
        "now consumer leased replay fix-1, by request-1 until TIME evt_1",
        "now consumer latest commerce.order.paid evt_2",
        &format!(
            "evt_1: message m1 {waits}; message m2 {waits}; the consumer's mark is abandoned: the lease of request-1 ended at \
             1970-01-01T00:00:00.001Z without a mark; the consumer's mark (replay fix-1) is leased: by request-1 until TIME."
        ),
    ];
    assert_eq!(trace(&intake, &["evt_1", "--consumer-table", "consumed"]).lines(), expected.map(begins));

    // Another event of the resource.
    assert_eq!(deliver(&intake, "", provider, &order("evt_2")).await, 200);
    let lines = trace(&intake, &[&subject()]).lines();
    let of = |id: &str| lines.iter().filter(|line| line.contains(&format!(" {id}"))).count();
    assert_eq!((lines.len(), of("evt_1"), of("evt_2")), (8 + 4, 6, 4), "{lines:?}");
    let [.., first, second] = &lines[..] else { unreachable!("there are twelve") };
    assert!(first.starts_with("evt_1: message ") && second.starts_with("evt_2: waiting on "), "{lines:?}");

    let unread = trace(&intake, &["evt_1", "--consumer-table", "none"]);
    assert_eq!(unread.code, Some(2));
    assert!(
        unread.err.starts_with("hookgate: cannot read the table none: ResourceNotFoundException"),
        "{}",
        unread.err
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_unknown_or_names_several_is_said() {
    let (intake, provider) = (Intake::start(), with_ids());
    // Verified, and not an event.
    assert_eq!(deliver(&intake, "", provider, "{").await, 200);
    let id = intake.get("/api/deliveries")["deliveries"][0]["id"].as_str().unwrap().to_owned();
    let ran = trace(&intake, &[&id]);
    let expected = [
        "TIME delivery quarantined not_json ID m1",
        "TIME quarantine sent ID m1",
        "now claim quarantined ID m1",
        NO_CONSUMER,
        "ID: in quarantine since TIME: hookgate quarantine show m1.",
    ];
    assert_eq!(ran.lines(), expected.map(|line| line.replace("ID", &id)), "{}", ran.err);

    let receipts = receive(&intake, "hookgate-quarantine", 1).await;
    delete(&intake, "hookgate-quarantine", &receipts[0]).await;
    let last = trace(&intake, &[&id]).lines().pop();
    assert_eq!(last, Some(format!("{id}: it was released or deleted from hookgate-quarantine at TIME.")));

    // Crashed behind the queue.
    assert_eq!(deliver(&intake, "/api/crash/enqueued", provider, &order("evt_1")).await, 500);
    let lines = trace(&intake, &["evt_1"]).lines();
    assert_eq!(lines[..2], ["TIME delivery crashed ABOUT evt_1", "TIME queue sent evt_1 m1"].map(begins));
    assert!(lines[2].starts_with("now claim claimed an invocation is working on it"), "{}", lines[2]);
    assert_eq!(lines[4], "evt_1: waiting on hookgate-events since TIME, received 0 of 5 times.");

    // Two platforms that use the same id.
    let has_ids = |other: &Provider| other.name != provider.name && matches!(other.identity, Identity::Id(_));
    let other = find(has_ids).unwrap();
    let body = String::from_utf8(body_with_id(other, "evt_1")).unwrap();
    assert_eq!(deliver(&intake, "", other, &body).await, 200);
    let both = trace(&intake, &["evt_1"]);
    assert_eq!((both.code, &*both.out), (Some(2), ""));
    let mut names = [provider.name, other.name].map(|name| format!("{name}/default"));
    names.sort_unstable();
    let said = format!("hookgate: evt_1 is known of {}: choose with --provider and --account\n", names.join(", "));
    assert_eq!(both.err, said);
    let one = trace(&intake, &["evt_1", "--provider", other.name]);
    assert_eq!((one.code, one.lines().len()), (Some(0), 5), "{}", one.out);
    let none = trace(&intake, &["evt_1", "--provider", other.name, "--account", "eu"]);
    assert_eq!(
        (none.code, none.lines()),
        (
            Some(1),
            vec![
                "Nothing is known of evt_1. Claims were searched in the account eu.".to_owned(),
                NO_CONSUMER.to_owned()
            ]
        )
    );
    let none = trace(&intake, &["evt_2\u{1b}[31m", "--json"]);
    assert_eq!((none.code, &none.json()["timeline"], &none.json()["now"]), (Some(1), &json!([]), &json!([])));

    for (arguments, said) in [
        (&["evt_1", "--since", "2100-01-01T00:00:00Z"][..], "hookgate: --since is in the future\n"),
        (&["evt_1", "--since", "soon"], "30s, 10m, 2h, 1d"),
        (&[""], "a value is required"),
        (&["evt_1", "--aws"], "cannot be used with"),
    ] {
        let ran = trace(&intake, arguments);
        assert!(ran.code == Some(2) && ran.err.contains(said), "{arguments:?}: {}", ran.err);
    }
    // Older deliveries are forgotten, though not their messages.
    let client = reqwest::Client::new();
    for _ in 0..500 {
        client.post(format!("{}/webhooks/{}", intake.url(), provider.name)).body("{}").send().await.unwrap();
    }
    let ran = trace(&intake, &["evt_1", "--provider", other.name]);
    assert_eq!((ran.code, &*ran.lines()[0]), (Some(0), "TIME queue sent evt_1 m1"), "{}", ran.out);
    assert!(ran.out.contains("\nNot known: what the local intake no longer keeps (500 deliveries, "), "{}", ran.out);

    // Its SQS is no intake; and nobody is there.
    for (url, said) in
        [(intake.sqs(), "not a local intake of this version"), ("http://127.0.0.1:1", "no local intake answers")]
    {
        let ran = Ran::of(Command::new(env!("CARGO_BIN_EXE_hookgate")).args(["trace", "evt_1", "--url", url]));
        assert!(ran.code == Some(2) && ran.err.contains(said), "{url}: {}", ran.err);
    }
}

/// What a release from quarantine queued was another delivery before, under an id of its own.
#[tokio::test(flavor = "multi_thread")]
async fn a_released_event_begins_with_its_quarantined_delivery() {
    let (intake, provider) = (Intake::start(), with_ids());
    let other = order("evt_1").replace("5500", "6600");
    assert_eq!(deliver(&intake, "", provider, &order("evt_1")).await, 200);
    assert_eq!(deliver(&intake, "", provider, &other).await, 200);
    let mut release = Command::new(env!("CARGO_BIN_EXE_hookgate"));
    release.args(["quarantine", "release", "--all", "--new-id", "--claim-ttl-days", "3650", "--json"]);
    let ran = Ran::of(release.args(["--sqs", intake.sqs(), "--dynamodb", intake.dynamodb()]));
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let released = ran.json()[0].clone();
    let [id, message_id] = ["id", "quarantine_id"].map(|name| released[name].as_str().unwrap());
    let quarantined = intake.get("/api/deliveries")["deliveries"][1]["id"].as_str().unwrap().to_owned();

    let before = [
        "TIME delivery quarantined ABOUT key_conflict BEFORE m1",
        "TIME quarantine sent BEFORE m1",
        "TIME quarantine received 1, hidden for 120 s BEFORE m1",
    ];
    let deleted = "TIME quarantine deleted BEFORE m1";
    let was = "now claim quarantined BEFORE m1";
    let whole = [
        &before[..],
        &["TIME queue sent AFTER m2", deleted, was, "now claim queued released from quarantine, was m1 AFTER m2"],
        &[NO_CONSUMER, "BEFORE: it was released from hookgate-quarantine at TIME."],
        &["AFTER: waiting on hookgate-events since TIME, received 0 of 5 times."],
    ];
    let named = |lines: &[&str]| {
        let name = |line: &&str| begins(line).replace("BEFORE", &quarantined).replace("AFTER", id);
        lines.iter().map(name).collect::<Vec<_>>()
    };
    let ran = trace(&intake, &[id]);
    assert_eq!(ran.lines(), named(&whole.concat()), "{}", ran.err);

    // The resource has both, each once.
    let lines = trace(&intake, &[&subject()]).lines();
    let count = |what: &str| lines.iter().filter(|line| line.contains(what)).count();
    assert_eq!((count("delivery quarantined"), count("released from quarantine, was ")), (1, 1), "{lines:?}");
    assert_eq!(lines.iter().filter(|line| line.contains(": it was released from ")).count(), 1, "{lines:?}");

    // Of itself, what was quarantined knows no more than that it is gone.
    let gone = "BEFORE: it was released or deleted from hookgate-quarantine at TIME.";
    let alone = [&before[..], &[deleted, was, NO_CONSUMER, gone]].concat();
    for text in [&*quarantined, message_id] {
        assert_eq!(trace(&intake, &[text]).lines(), named(&alone));
    }

    // On AWS too, where no function has logged the event itself.
    let log = intake.get(&format!("/api/trace?text={message_id}"))["deliveries"][0].clone();
    let cloud = Cloud::new(&intake).await;
    consumed(&intake, &[]).await;
    let nothing = [started(), results("Complete", &[])];
    let found = [started(), results("Complete", &[log])];
    let (ran, asked) = cloud.trace(&[id], &[nothing, found.clone(), found].concat());
    let lines = ran.lines();
    assert_eq!((ran.code, &lines[..1]), (Some(0), &named(&before[..1])[..]), "{}", ran.err);
    assert_eq!(lines[1..3], named(&[was, "now claim queued released from quarantine, was m1 AFTER m2"]));
    assert!(asked[2][1]["queryString"].as_str().unwrap().contains(&format!("message_id = \"{message_id}\"")));
}

/// An AWS account: CloudFormation and CloudWatch Logs stand in, DynamoDB and SQS are an intake's.
struct Cloud<'i> {
    intake: &'i Intake,
    url: String,
    /// What was asked of CloudWatch Logs.
    asked: Arc<Mutex<Vec<Value>>>,
    /// What it answers to the next calls: status and body.
    answers: Arc<Mutex<VecDeque<(u16, Value)>>>,
}

impl<'i> Cloud<'i> {
    async fn new(intake: &'i Intake) -> Self {
        let queue = |name: &str| format!("{}/000000000000/hookgate-{name}", intake.sqs());
        let mut outputs = vec![
            ("ClaimsTable".to_owned(), "hookgate-claims".to_owned()),
            ("ConsumedTable".to_owned(), "consumed".to_owned()),
            ("EventsQueueUrl".to_owned(), queue("events")),
            ("DeadLettersQueueUrl".to_owned(), queue("dead-letters")),
            ("QuarantineQueueUrl".to_owned(), queue("quarantine")),
        ];
        for provider in [with_ids(), support::another(with_ids())] {
            outputs.push((format!("{}Url", provider.name), format!("https://shop.example/webhooks/{}", provider.name)));
        }
        let stacks = Stacks::from([("shop", Ok(("UPDATE_COMPLETE", outputs)))]);
        let (asked, answers) = (Arc::<Mutex<Vec<Value>>>::default(), Arc::<Mutex<VecDeque<(u16, Value)>>>::default());
        let (seen, next) = (asked.clone(), answers.clone());
        let answer = async move |headers: HeaderMap, body: String| {
            let Some(target) = headers.get("x-amz-target") else {
                let (status, answer) = support::describe_stacks(&stacks, body.as_bytes()).unwrap();
                return (StatusCode::from_u16(status).unwrap(), answer);
            };
            let signed = headers["authorization"].to_str().unwrap();
            assert!(signed.contains("/us-east-1/logs/aws4_request") && signed.contains("x-amz-target"), "{signed}");
            assert_eq!(headers["content-type"], "application/x-amz-json-1.1");
            let action = target.to_str().unwrap().strip_prefix("Logs_20140328.").unwrap();
            seen.lock().unwrap().push(json!([action, serde_json::from_str::<Value>(&body).unwrap()]));
            let (status, answer) = next.lock().unwrap().pop_front().unwrap();
            (StatusCode::from_u16(status).unwrap(), answer.to_string())
        };
        let url = serve(axum::Router::new().fallback(answer)).await;
        Cloud { intake, url, asked, answers }
    }

    /// Asks with these answers of CloudWatch Logs. Also gives what it was asked.
    fn trace(&self, arguments: &[&str], answers: &[(u16, Value)]) -> (Ran, Vec<Value>) {
        *self.answers.lock().unwrap() = answers.iter().cloned().collect();
        let mut command = Command::new(env!("CARGO_BIN_EXE_hookgate"));
        command.arg("trace").args(arguments).args(["--aws", "--stack", "shop"]).envs([
            ("AWS_ENDPOINT_URL_CLOUDFORMATION", &*self.url),
            ("AWS_ENDPOINT_URL_CLOUDWATCH_LOGS", &self.url),
            ("AWS_ENDPOINT_URL_DYNAMODB", self.intake.dynamodb()),
            ("AWS_ENDPOINT_URL_SQS", self.intake.sqs()),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("AWS_REGION", "us-east-1"),
        ]);
        let ran = Ran::of(&mut command);
        (ran, std::mem::take(&mut self.asked.lock().unwrap()))
    }
}

fn started() -> (u16, Value) {
    (200, json!({"queryId": "query-1"}))
}

fn results(status: &str, messages: &[Value]) -> (u16, Value) {
    let row = |message: &Value| {
        json!([{"field": "@timestamp", "value": "2026-03-14 16:00:00.000"}, {"field": "@message", "value": message.to_string()},
               {"field": "@ptr", "value": "x"}])
    };
    (200, json!({"status": status, "results": messages.iter().map(row).collect::<Value>()}))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stacks_deliveries_come_from_its_log_groups() {
    let (intake, provider) = (Intake::start(), with_ids());
    for _ in 0..2 {
        assert_eq!(deliver(&intake, "", provider, &order("evt_1")).await, 200);
    }
    consumed(&intake, &[(&format!("/webhooks/{}/default evt_1", provider.name), None)]).await;
    // What the function logs, and how it is with Metrics=essential.
    let mut logged = intake.get("/api/trace?text=evt_1")["deliveries"].as_array().unwrap().clone();
    for line in &mut logged {
        line.as_object_mut().unwrap().retain(|name, _| !["key", "message_id", "request_id"].contains(&&**name));
    }
    // An emulator may ignore the filter; other lines are Lambda's own.
    logged.extend([json!({"id": "evt_12", "outcome": "queued"}), json!("START"), json!({"type": "platform.report"})]);
    let cloud = Cloud::new(&intake).await;
    let running =
        [started(), results("Scheduled", &[]), results("Running", &logged[..1]), results("Complete", &logged)];
    let (ran, asked) = cloud.trace(&[&subject(), "--since", "2h"], &running);
    let expected = [
        "TIME delivery queued ABOUT evt_1",
        "TIME delivery duplicate ABOUT evt_1",
        "now claim queued evt_1 m1",
        "now consumer handled remembered until 2100-01-01T00:00:00.000Z evt_1",
        "Not known: deliveries before TIME (--since); crashed invocations, which log no id; replays; the ids of queued messages \
         in the log, unless Metrics=all.",
        "Not looked at: hookgate-events (messages: about 1). A receive would count against maxReceiveCount, and hide them from \
         consumers.",
        "Empty, as far as SQS counts: hookgate-dead-letters.",
        "Empty, as far as SQS counts: hookgate-quarantine.",
        "evt_1: message m1 was sent to the queue; SQS does not say whether it is still there; the consumer has handled it.",
    ];
    assert_eq!((ran.code, ran.lines()), (Some(0), expected.map(begins).to_vec()), "{}", ran.err);
    // Nothing was received.
    assert_eq!(intake.held("events"), [1, 0]);

    assert_eq!(
        asked.iter().map(|asked| &asked[0]).collect::<Vec<_>>(),
        ["StartQuery", "GetQueryResults", "GetQueryResults", "GetQueryResults"]
    );
    let query = &asked[0][1];
    let mut groups =
        [provider, support::another(provider)].map(|provider| format!("/aws/lambda/shop-{}", provider.name));
    groups.sort_unstable();
    assert_eq!(query["logGroupNames"], json!(groups));
    let [start, end] = ["startTime", "endTime"].map(|name| query[name].as_u64().unwrap());
    assert!(end - start - 7200 <= 1 && end.abs_diff(UNIX_EPOCH.elapsed().unwrap().as_secs()) < 60, "{query}");
    assert!(query["queryString"].as_str().unwrap().contains(&format!("subject = \"{}\"", subject())), "{query}");
    assert_eq!(asked[1][1], json!({"queryId": "query-1"}));

    // A message's id stands in a single line.
    let mut line = logged[0].clone();
    line["message_id"] = json!("message-1");
    let by_message = [started(), results("Complete", &[line.clone()]), started(), results("Complete", &logged)];
    let (ran, asked) = cloud.trace(&["message-1", "--provider", provider.name], &by_message);
    assert_eq!((ran.code, &ran.lines()[..2]), (Some(0), &expected.map(begins)[..2]), "{}", ran.err);
    assert_eq!(asked[0][1]["logGroupNames"], json!([format!("/aws/lambda/shop-{}", provider.name)]));
    assert!(asked[2][1]["queryString"].as_str().unwrap().contains("id = \"evt_1\" or"));

    // Only the claim is left, where the log has nothing.
    let nothing = [started(), results("Complete", &[])];
    let (ran, _) = cloud.trace(&["evt_1"], &nothing);
    assert_eq!((ran.code, &*ran.lines()[0]), (Some(0), "now claim queued evt_1 m1"), "{}", ran.err);
    let (ran, _) = cloud.trace(&["evt_9"], &nothing);
    assert_eq!(
        (ran.code, &*ran.lines()[0]),
        (Some(1), "Nothing is known of evt_9. Claims were searched in the account default."),
        "{}",
        ran.err
    );

    let line = json!({"id": "evt_1", "provider": provider.name, "account": "default"});
    let many = [started(), results("Complete", &vec![line; 10_000])];
    let (ran, _) = cloud.trace(&["evt_1"], &many);
    let cut = ran.lines().into_iter().find(|line| line.starts_with("Cut: ")).unwrap_or_default();
    assert_eq!(cut, "Cut: Logs Insights returns 10,000 lines. Give a later --since, or a single event's id.");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_fails_is_no_empty_timeline() {
    let intake = Intake::start();
    let cloud = Cloud::new(&intake).await;
    let refused = |code: &str| (400, json!({"__type": code, "message": "No."}));
    for (answers, said) in [
        (vec![started(), results("Failed", &[])], "Insights ended as Failed: try again, or give a shorter --since"),
        (vec![started(), results("Timeout", &[])], "Insights ended as Timeout: try again, or give a shorter --since"),
        (vec![started(), results("Running", &[]), results("Cancelled", &[])], "Insights ended as Cancelled"),
        (
            vec![refused("AccessDeniedException")],
            "(StartQuery): AccessDeniedException: No.: allow logs:StartQuery on the",
        ),
        (
            vec![refused("com.amazonaws.logs#ResourceNotFoundException")],
            "a function's log group was deleted: choose a platform",
        ),
        (vec![started(), refused("MalformedQueryException")], "(GetQueryResults): MalformedQueryException: No."),
        (vec![(500, json!("x"))], "(StartQuery): HTTP status 500 Internal Server Error: no reason given"),
        (vec![(200, json!({}))], "CloudWatch Logs returned no query id"),
    ] {
        let (ran, _) = cloud.trace(&["evt_1"], &answers);
        assert!(ran.code == Some(2) && ran.err.contains(said) && ran.out.is_empty(), "{said}: {} {}", ran.out, ran.err);
        assert_eq!(ran.err.lines().count(), 1, "{}", ran.err);
    }
    let served = [with_ids().name, support::another(with_ids()).name];
    let elsewhere = find(|provider| !served.contains(&provider.name)).unwrap().name;
    let (ran, asked) = cloud.trace(&["evt_1", "--provider", elsewhere], &[]);
    let said = "hookgate: the stack shop has no function of this platform: choose another --provider\n";
    assert_eq!((ran.code, &*ran.err, asked.len()), (Some(2), said, 0));
    let (ran, asked) = cloud.trace(&["evt\" or 1 = 1 or id = \""], &[]);
    assert!(ran.code == Some(2) && ran.err.contains("cannot be searched for") && asked.is_empty(), "{}", ran.err);
}
