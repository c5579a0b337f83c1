//! `hookgate trace`: of the local intake over the wire, and of a stack by stand-ins for CloudFormation and CloudWatch Logs.

use std::{
    collections::BTreeMap,
    process::Command,
    time::{Duration, UNIX_EPOCH},
};

use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use hookgate::local::engines;
use hookgate_verify::Provider;
use serde_json::Value;

mod support;

use support::{another, event_type, intake::Intake, order, signed, subject, with_ids};

struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Ran {
    fn of(command: &mut Command) -> Self {
        let output = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|_| panic!("{} {}", self.out, self.err))
    }

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
    Ran::of(command.args(["--url", &intake.url(), "--dynamodb", intake.dynamodb(), "--sqs", intake.sqs()]))
}

/// Delivers a body to a path of the intake. Gives the answer's status and its `Retry-After`.
async fn deliver(intake: &Intake, before: &str, provider: &Provider, body: &str) -> (u16, u64) {
    let signed = signed(provider, body.as_bytes(), UNIX_EPOCH.elapsed().unwrap().as_secs());
    let mut request = reqwest::Client::new().post(format!("{}{before}/webhooks/{}", intake.url(), provider.name));
    for (name, value) in signed.headers {
        request = request.header(name, value);
    }
    let answer = request.header("content-type", "application/json").body(signed.body).send().await.unwrap();
    let retry_after = answer.headers().get("retry-after").map_or(0, |value| value.to_str().unwrap().parse().unwrap());
    (answer.status().as_u16(), retry_after)
}

/// A consumer's two writes, as docs/consume.md describes them.
async fn consumed(intake: &Intake, items: &[(&str, Option<i64>)]) {
    let dynamodb = aws_sdk_dynamodb::Client::new(&engines::sdk_config(intake.dynamodb()));
    let pk = AttributeDefinition::builder().attribute_name("pk").attribute_type(ScalarAttributeType::S).build().unwrap();
    let key = KeySchemaElement::builder().attribute_name("pk").key_type(KeyType::Hash).build().unwrap();
    let table = dynamodb.create_table().table_name("consumed").billing_mode(BillingMode::PayPerRequest);
    table.attribute_definitions(pk).key_schema(key).send().await.unwrap();
    for (pk, lease_until) in items {
        let put = dynamodb.put_item().table_name("consumed").item("pk", AttributeValue::S((*pk).to_owned()));
        let put = put.item("owner", AttributeValue::S("request-1".to_owned()));
        let put = put.item("expires_at", AttributeValue::N("4102444800".to_owned()));
        let put = lease_until.iter().fold(put, |put, lease| put.item("lease_until", AttributeValue::N(lease.to_string())));
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

#[tokio::test(flavor = "multi_thread")]
async fn the_story_of_a_crash_a_duplicate_a_dead_letter_and_a_redrive() {
    let (intake, provider, body) = (Intake::start(), with_ids(), order("evt_1"));
    assert_eq!(deliver(&intake, "/api/crash/claimed", provider, &body).await.0, 500);
    let (status, retry_after) = deliver(&intake, "", provider, &body).await;
    assert_eq!(status, 503);
    let ran = trace(&intake, &["evt_1"]);
    println!("{}", ran.out);
    // As a platform that does as it is told.
    tokio::time::sleep(Duration::from_secs(retry_after)).await;
    assert_eq!(deliver(&intake, "", provider, &body).await.0, 200);
    assert_eq!(deliver(&intake, "", provider, &body).await.0, 200);
    let ran = trace(&intake, &["evt_1"]);
    println!("{}", ran.out);

    // A consumer with a bug, then without it.
    receive(&intake, "hookgate-events", 6).await;
    let ran = trace(&intake, &["evt_1"]);
    println!("{}", ran.out);
    let mut redrive = Command::new(env!("CARGO_BIN_EXE_hookgate"));
    assert_eq!(Ran::of(redrive.args(["redrive", "--sqs", intake.sqs()])).code, Some(0));
    let receipts = receive(&intake, "hookgate-events", 1).await;
    delete(&intake, "hookgate-events", &receipts[0]).await;
    let source = format!("/webhooks/{}/default", provider.name);
    consumed(&intake, &[(&format!("{source} evt_1"), None)]).await;

    let ran = trace(&intake, &["evt_1"]);
    println!("{}", ran.out);
    println!("{}", ran.lines().join("\n"));
    println!("{}", trace(&intake, &["evt_1", "--json"]).out);
    panic!();
}
