//! The world of the end-to-end tests: embedded DynamoDB and SQS, and the real function binaries beside them.

pub mod body;
pub mod event;
pub mod lambda;
pub mod proxy;

use std::path::{Path, PathBuf};

use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName};
use event::event;
use hookgate::{
    local::engines::{Engines, Resources, create_table, provision, sdk_config},
    send::samples::Sample,
};
use hookgate_event::{Event, EventType};
use hookgate_intake::Quarantined;
use hookgate_verify::{
    Provider, Scheme,
    providers::{self, Identity},
};
use lambda::{Answer, Function};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use body::Body;

/// What the secrets of every function here are made of: a current one and a previous one, and one of a second account.
pub const CURRENT: &str = "current-s3cr3t";
pub const PREVIOUS: &str = "previous-s3cr3t";
pub const EU_SHOP: &str = "eu-s3cr3t";

/// Fresh DynamoDB and SQS, with the table and the queues. With `HOOKGATE_DYNAMODB` the table is in the DynamoDB of that URL.
pub struct World {
    pub engines: Engines,
    pub resources: Resources,
}

impl World {
    pub async fn new() -> Self {
        let engines = Engines::anywhere().await.unwrap();
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
    pub fn settings(&self, provider: &Provider, more: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
        let mut settings = vec![
            ("AWS_ENDPOINT_URL_DYNAMODB", self.dynamodb_url()),
            ("AWS_ENDPOINT_URL_SQS", self.engines.sqs_url()),
            ("TABLE_NAME", self.resources.table.clone()),
            ("QUEUE_URL", self.resources.events_url.clone()),
            ("QUARANTINE_QUEUE_URL", self.resources.quarantine_url.clone()),
            ("WEBHOOK_SECRETS", secrets(provider)),
        ];
        settings.retain(|(name, _)| more.iter().all(|(other, _)| other != name));
        settings.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
        settings
    }

    /// The provider's function, with one sandbox.
    pub async fn function(&self, provider: &Provider, more: &[(&'static str, &str)]) -> Function {
        Function::start(&binary(provider), 1, &self.settings(provider, more)).await
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
pub fn binary(provider: &Provider) -> String {
    let folder = match std::env::var_os("HOOKGATE_BINARIES") {
        Some(folder) => project().join(folder),
        None => build_folder(),
    };
    folder.join(provider.name).to_str().unwrap().to_owned()
}

/// Where cargo puts this build's binaries. The test itself runs in `deps` there.
pub fn build_folder() -> PathBuf {
    std::env::current_exe().unwrap().ancestors().nth(2).unwrap().to_owned()
}

/// The project's folder.
pub fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// A platform for tests of what is the same for all: its events have ids of their own, its signature stands in a header,
/// and it reports paid orders.
pub fn plain() -> &'static Provider {
    let is_plain = |provider: &&Provider| {
        matches!(provider.identity, Identity::Id(_))
            && provider.fields.name.member().is_some()
            && provider.fields.payload_member().is_some()
            && scheme(provider).signature_header().is_some()
            && provider.events.iter().any(|(_, event_type)| *event_type == EventType::OrderPaid)
    };
    providers::ALL.iter().copied().find(is_plain).unwrap()
}

/// The oldest scheme that the provider uses by default.
pub fn scheme(provider: &Provider) -> &'static Scheme {
    provider.default_schemes().last().unwrap()
}

/// The secrets of a function, for `WEBHOOK_SECRETS`.
pub fn secrets(provider: &Provider) -> String {
    let secret = |text| scheme(provider).secret_of(text);
    json!({"default": [secret(CURRENT), secret(PREVIOUS)], "eu-shop": [secret(EU_SHOP)]}).to_string()
}

/// Now, in Unix seconds.
pub fn unix_now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

/// The event of a delivery that the provider signed with the current secret of the account `default`.
pub fn signed(provider: &Provider, body: &[u8]) -> String {
    signed_by(provider, scheme(provider), CURRENT, None, body)
}

/// As [`signed`], with a secret made of another text, for this account.
pub fn signed_by(provider: &Provider, scheme: &Scheme, secret: &str, account: Option<&str>, body: &[u8]) -> String {
    // Where a scheme signs the delivery's id, a repeat has the same.
    let id = Sha256::digest(body).iter().fold("d_".to_owned(), |id, byte| format!("{id}{byte:02x}"));
    signed_at(provider, scheme, secret, account, body, (&id, unix_now()))
}

/// As [`signed_by`], with this delivery id and at this time.
pub fn signed_at(
    provider: &Provider,
    scheme: &Scheme,
    secret: &str,
    account: Option<&str>,
    body: &[u8],
    (id, seconds): (&str, u64),
) -> String {
    let signed =
        scheme.sign(scheme.secret_of(secret).as_bytes(), body, id, seconds).expect("a body that can be signed");
    let mut headers: Vec<_> = signed.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    headers.extend(provider.fields.name.unsigned_header().map(|name| (name, body::event_name(provider))));
    event(provider.name, account, &headers, &signed.body)
}

/// An authentic delivery of the [`plain`] platform: `id` tells events apart, `note` contents.
pub fn order_paid(id: &str, note: &str) -> String {
    signed(plain(), &Body::new(plain(), id).note(note).bytes())
}

/// The signing secrets of the samples, by platform.
pub fn sample_secrets() -> Value {
    serde_json::from_str(&std::fs::read_to_string(project().join("events/secrets.json")).unwrap()).unwrap()
}

/// A sample's event as its file has it; signed again, now, where its signature would have expired.
pub fn sample_event(sample: &Sample) -> String {
    let text = sample.invocation.to_owned();
    let scheme = scheme(sample.provider);
    if scheme.time.is_none() {
        return text;
    }
    let account = sample.path.split('/').nth(3).unwrap_or("default");
    let secret = &sample_secrets()[sample.provider.name][account][0];
    let (id, now) = (sample.name.replace('/', "-"), unix_now());
    let signed = scheme.sign(secret.as_str().unwrap().as_bytes(), &sample.body, &id, now).expect("a sample's body");
    let mut event: Value = serde_json::from_str(&text).unwrap();
    for (name, value) in signed.headers {
        event["headers"][name] = value.into();
    }
    event["body"] = String::from_utf8(signed.body).unwrap().into();
    event["isBase64Encoded"] = false.into();
    event.to_string()
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
