//! The functions against moto, a second opinion on AWS: DynamoDB, SQS and Secrets Manager by another author.
//!
//! Ignored unless asked for, since it needs a running `moto_server` and half minutes of waiting:
//! `HOOKGATE_MOTO=http://127.0.0.1:5000 cargo test --package hookgate-functions --test end_to_end -- --ignored moto`.
//! `HOOKGATE_BINARIES=target/release` tests the release build.

use std::time::Duration;

use aws_sdk_sqs::types::{MessageSystemAttributeName, QueueAttributeName};
use hookgate::local::engines::sdk_config;
use hookgate_event::Event;
use hookgate_verify::{Provider, providers};
use serde_json::{Value, json};

use crate::support::{
    binary,
    body::Body,
    lambda::{Function, Invocation},
    log_lines, outcome, scheme, signed_by,
};

/// A little more than the pause between two reads of a secret.
const PAUSE: Duration = Duration::from_millis(30_500);

struct Moto {
    endpoint: String,
    /// Apart from other runs against the same server.
    name: String,
    queue_url: String,
    quarantine_url: String,
}

impl Moto {
    async fn new(provider: &Provider) -> Self {
        let endpoint = std::env::var("HOOKGATE_MOTO").expect("HOOKGATE_MOTO is the URL of a moto_server");
        let run = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
        let name = format!("{}-{run}", provider.name);
        let config = sdk_config(endpoint.clone());
        let sqs = aws_sdk_sqs::Client::new(&config);
        let mut urls = vec![];
        for queue in ["events", "quarantine"] {
            let create = sqs.create_queue().queue_name(format!("{name}-{queue}"));
            let create = create.attributes(QueueAttributeName::MaximumMessageSize, "1048576");
            urls.push(create.send().await.unwrap().queue_url.unwrap());
        }
        let dynamodb = aws_sdk_dynamodb::Client::new(&config);
        hookgate::local::engines::create_table(&dynamodb, &name).await.unwrap();
        let [queue_url, quarantine_url] = urls.try_into().unwrap();
        Moto { endpoint, name, queue_url, quarantine_url }
    }

    async fn function(&self, provider: &Provider) -> Function {
        let settings = [
            ("AWS_ENDPOINT_URL", self.endpoint.clone()),
            ("TABLE_NAME", self.name.clone()),
            ("QUEUE_URL", self.queue_url.clone()),
            ("QUARANTINE_QUEUE_URL", self.quarantine_url.clone()),
            ("SECRET_ID", self.name.clone()),
        ];
        Function::start(&binary(provider), 1, &settings).await
    }

    async fn create_secret(&self, value: Value) {
        let create = self.secrets_manager().create_secret().name(&self.name).secret_string(value.to_string());
        create.client_request_token("0".repeat(32)).send().await.unwrap();
    }

    async fn rotate_secret(&self, value: Value) {
        let put = self.secrets_manager().put_secret_value().secret_id(&self.name).secret_string(value.to_string());
        put.client_request_token(format!("{:032}", value.to_string().len())).send().await.unwrap();
    }

    fn secrets_manager(&self) -> aws_sdk_secretsmanager::Client {
        aws_sdk_secretsmanager::Client::new(&sdk_config(self.endpoint.clone()))
    }
}

#[tokio::test]
#[ignore = "needs a moto_server in HOOKGATE_MOTO"]
async fn moto_sees_every_function_work_and_a_secret_rotate() {
    let mut running = tokio::task::JoinSet::new();
    for provider in providers::ALL {
        running.spawn(one_function(provider));
    }
    while let Some(finished) = running.join_next().await {
        finished.unwrap();
    }
}

async fn one_function(provider: &'static Provider) {
    let moto = Moto::new(provider).await;
    let function = moto.function(provider).await;
    let mut sent = 0_usize;
    let mut deliver = async |secret: &str, id: u32, expected: (u64, &str)| {
        let body = Body::new(provider, &format!("evt_{id}")).bytes();
        let event = signed_by(provider, scheme(provider), secret, None, &body);
        let trace = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";
        let invocation = Invocation { trace_id: trace.to_owned(), ..Invocation::default() };
        let (status, outcome) = outcome(&function.invoke_with(event, invocation).await);
        assert_eq!((status, &*outcome), expected, "{provider:?} {secret} {id}");
        sent += 1;
    };
    let secret = |text| scheme(provider).secret_of(text);
    let rejected = (u64::from(provider.rejected_status), "rejected");

    // No secret: nothing is accepted, and nothing is lost.
    deliver("first", 1, (503, "unavailable")).await;
    moto.create_secret(json!({"default": [secret("first")]})).await;
    // The failed read is not repeated at once.
    deliver("first", 1, (503, "unavailable")).await;
    tokio::time::sleep(PAUSE).await;
    deliver("first", 1, (200, "queued")).await;
    deliver("first", 1, (200, "duplicate")).await;

    // A rotation, seen as soon as a signature fails, but not more often than every 30 s.
    moto.rotate_secret(json!({"default": [secret("second"), secret("first")]})).await;
    deliver("second", 2, rejected).await;
    tokio::time::sleep(PAUSE).await;
    deliver("second", 2, (200, "queued")).await;
    deliver("first", 3, (200, "queued")).await;

    // Unusable in the middle: the known secrets serve on.
    moto.rotate_secret(json!({"default": [""]})).await;
    tokio::time::sleep(PAUSE).await;
    deliver("forged", 4, rejected).await;
    deliver("second", 4, (200, "queued")).await;
    deliver("first", 2, (200, "duplicate")).await;

    // Conservation: every delivery has one outcome, and every queued one a message.
    let lines = log_lines(&function, sent).await;
    let lines: Vec<_> = lines.iter().filter(|line| line["outcome"] != Value::Null).collect();
    let outcomes = ["Queued", "Duplicate", "Rejected", "Unavailable"];
    let counts = outcomes.map(|name| lines.iter().filter(|line| line[name] == 1.0).count());
    assert_eq!((counts, lines.len()), ([4, 2, 2, 2], sent), "{provider:?}");
    assert_eq!(lines.iter().filter(|line| line["PreviousSecret"] == 1.0).count(), 2, "{provider:?}");
    for line in lines.iter().filter(|line| line["outcome"] == "unavailable") {
        assert_eq!(line["reason"], "secrets");
        assert!(line["error"].as_str().unwrap().contains(&moto.name), "{line}");
    }
    assert!(lines.last().unwrap()["secrets_error"].as_str().unwrap().contains("empty secret"));

    let sqs = aws_sdk_sqs::Client::new(&sdk_config(moto.endpoint.clone()));
    let mut ids = vec![];
    loop {
        let receive = sqs.receive_message().queue_url(&moto.queue_url).max_number_of_messages(10);
        let receive = receive.message_system_attribute_names(MessageSystemAttributeName::All);
        let messages = receive.send().await.unwrap().messages.unwrap_or_default();
        if messages.is_empty() {
            break;
        }
        for message in messages {
            let attributes = message.attributes().unwrap();
            let trace = &attributes[&MessageSystemAttributeName::AwsTraceHeader];
            assert!(trace.starts_with("Root=1-5759e988"), "{trace}");
            assert_eq!(attributes[&MessageSystemAttributeName::MessageGroupId], format!("{}/default", provider.name));
            ids.push(Event::from_json(message.body().unwrap()).unwrap().id);
        }
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 4, "{provider:?}");
}
