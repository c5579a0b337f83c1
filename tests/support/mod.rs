//! The world of the end-to-end tests: embedded DynamoDB and SQS, and the real function binaries beside them.

pub mod lambda;
pub mod proxy;

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName};
use hookgate::engines::{Engines, Resources, create_table, provision, sdk_config};
use hookgate_event::Event;
use hookgate_intake::Quarantined;
use hookgate_verify::{Provider, Scheme, sender};
use lambda::{Answer, Function, event};
use serde_json::Value;

/// The secrets of every function here: a current one and a previous one, and a second account.
pub const SECRETS: &str = r#"{"default": ["current-s3cr3t", "previous-s3cr3t"], "eu-shop": ["eu-s3cr3t"]}"#;

/// Fresh DynamoDB and SQS, with the table and the queues. With `HOOKGATE_DYNAMODB` the table is in the DynamoDB of that URL.
pub struct World {
    pub engines: Engines,
    pub resources: Resources,
}

impl World {
    pub async fn new() -> Self {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let engines = Engines::start(any, any).await.unwrap();
        let mut resources = provision(&engines).await.unwrap();
        if let Some(url) = other_dynamodb() {
            let run = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
            resources.table = format!("hookgate-claims-{}-{run}", std::process::id());
            let client = aws_sdk_dynamodb::Client::new(&sdk_config(url));
            create_table(&client, &resources.table).await.unwrap();
        }
        World { engines, resources }
    }

    /// Where DynamoDB answers.
    pub fn dynamodb_url(&self) -> String {
        other_dynamodb().unwrap_or_else(|| self.engines.dynamodb_url())
    }

    /// A client of it.
    pub fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        aws_sdk_dynamodb::Client::new(&sdk_config(self.dynamodb_url()))
    }

    /// A function's settings in this world, with `more` added or put in place of others.
    pub fn settings(&self, more: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
        let mut settings = vec![
            ("AWS_ENDPOINT_URL_DYNAMODB", self.dynamodb_url()),
            ("AWS_ENDPOINT_URL_SQS", self.engines.sqs_url()),
            ("TABLE_NAME", self.resources.table.clone()),
            ("QUEUE_URL", self.resources.events_url.clone()),
            ("QUARANTINE_QUEUE_URL", self.resources.quarantine_url.clone()),
            ("WEBHOOK_SECRETS", SECRETS.to_owned()),
        ];
        settings.retain(|(name, _)| more.iter().all(|(other, _)| other != name));
        settings.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
        settings
    }

    /// The provider's function, with one sandbox.
    pub async fn function(&self, provider: &str, more: &[(&'static str, &str)]) -> Function {
        Function::start(&binary(provider), 1, &self.settings(more)).await
    }

    /// Takes every message off the queue.
    async fn drain(&self, queue_url: &str) -> Vec<Message> {
        let sqs = self.engines.sqs();
        let mut messages = Vec::new();
        loop {
            let receive = sqs.receive_message().queue_url(queue_url).max_number_of_messages(10).visibility_timeout(60);
            let receive = receive.message_attribute_names("All");
            let batch = receive.message_system_attribute_names(MessageSystemAttributeName::All).send().await.unwrap();
            let batch = batch.messages.unwrap_or_default();
            if batch.is_empty() {
                return messages;
            }
            for message in batch {
                let receipt = message.receipt_handle().unwrap();
                sqs.delete_message().queue_url(queue_url).receipt_handle(receipt).send().await.unwrap();
                messages.push(message);
            }
        }
    }

    /// Takes every message off the events queue.
    pub async fn messages(&self) -> Vec<Message> {
        self.drain(&self.resources.events_url).await
    }

    /// Takes every event off the events queue.
    pub async fn events(&self) -> Vec<Event<'static>> {
        let messages = self.messages().await;
        messages.iter().map(|message| Event::from_json(message.body().unwrap()).unwrap().into_owned()).collect()
    }

    /// Takes every delivery out of the quarantine.
    pub async fn quarantined(&self) -> Vec<Quarantined> {
        let messages = self.drain(&self.resources.quarantine_url).await;
        messages.iter().map(|message| serde_json::from_str(message.body().unwrap()).unwrap()).collect()
    }

    /// Every claim in the table.
    pub async fn claims(&self) -> Vec<std::collections::HashMap<String, AttributeValue>> {
        let scan = self.dynamodb().scan().table_name(&self.resources.table).send().await.unwrap();
        scan.items.unwrap_or_default()
    }
}

fn other_dynamodb() -> Option<String> {
    std::env::var("HOOKGATE_DYNAMODB").ok().filter(|url| !url.is_empty())
}

/// The real binary of the provider's function: cargo's, or, with `HOOKGATE_BINARIES`, another build's.
pub fn binary(provider: &str) -> String {
    if let Some(folder) = std::env::var_os("HOOKGATE_BINARIES") {
        return project().join(folder).join(provider).to_str().unwrap().to_owned();
    }
    let binary = match provider {
        "elective" => env!("CARGO_BIN_EXE_elective"),
        "etaildepot" => env!("CARGO_BIN_EXE_etaildepot"),
        "opterius" => env!("CARGO_BIN_EXE_opterius"),
        "shoppex" => env!("CARGO_BIN_EXE_shoppex"),
        "w3block" => env!("CARGO_BIN_EXE_w3block"),
        unknown => panic!("no function for {unknown}"),
    };
    binary.to_owned()
}

/// The project's folder.
pub fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The scheme that the provider uses by default and that never expires.
pub fn scheme(provider: &Provider) -> &'static Scheme {
    provider.modes[0].1.last().unwrap()
}

/// The event of a delivery that the provider signed with the current secret of the account `default`.
pub fn signed(provider: &Provider, body: &[u8]) -> String {
    signed_as(provider, scheme(provider), "current-s3cr3t", None, body, ("", 0))
}

/// The event of a delivery that somebody signed.
pub fn signed_as(
    provider: &Provider,
    scheme: &Scheme,
    secret: &str,
    account: Option<&str>,
    body: &[u8],
    stamp: (&str, u64),
) -> String {
    let sender::Signed { headers, body } = sender::sign(scheme, secret.as_bytes(), body, stamp);
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    event(provider.name, account, &headers, &body)
}

/// An authentic Elective Commerce delivery, the plainest of all: `id` tells events apart, `note` contents.
pub fn order_paid(id: &str, note: &str) -> Vec<u8> {
    let note = serde_json::to_string(note).unwrap();
    let data = format!(r#"{{"orderId":"8f3e","total":5500,"currency":"USD","customer_id":"cust_123","note":{note}}}"#);
    format!(r#"{{"id":"{id}","event":"order.paid","created_at":1736611200,"data":{data}}}"#).into_bytes()
}

/// Status and body of an HTTP answer.
#[track_caller]
pub fn http(answer: &Answer) -> (u64, Value) {
    let Answer::Response(response) = answer else { panic!("no HTTP answer but {answer:?}") };
    let body = serde_json::from_str(response["body"].as_str().unwrap()).unwrap();
    (response["statusCode"].as_u64().unwrap(), body)
}

/// Status and outcome of an HTTP answer.
#[track_caller]
pub fn outcome(answer: &Answer) -> (u64, String) {
    let (status, body) = http(answer);
    (status, body["outcome"].as_str().unwrap().to_owned())
}

/// The log lines of deliveries, once there are as many.
pub async fn log_lines(function: &Function, count: usize) -> Vec<Value> {
    for _ in 0..600 {
        let lines: Vec<Value> = function.log().iter().filter_map(|line| serde_json::from_str(line).ok()).collect();
        if lines.len() >= count {
            return lines;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("fewer than {count} deliveries were logged: {:?}", function.log());
}
