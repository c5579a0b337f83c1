//! The embedded engines, DynamoDB and SQS on loopback, for the local intake and the end-to-end tests.

mod sqs;

pub(crate) use sqs::{JOURNAL, Place, Queues, Seen, Step, What};

use std::{io, net::Ipv4Addr};

use anyhow::Context as _;
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType, TimeToLiveSpecification,
};
use aws_sdk_sqs::config::BehaviorVersion;
use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_types::{SdkConfig, region::Region};
use dynoxide::{Database, server::serve_with_shutdown};
use tokio::{net::TcpListener, sync::watch};

/// Both engines, running on loopback until dropped.
#[derive(Debug)]
pub struct Engines {
    dynamodb_url: String,
    queues: Queues,
    /// Stops both servers when it is dropped.
    _running: watch::Sender<()>,
}

impl Engines {
    /// Starts both, empty, on ports that the system chooses.
    pub async fn anywhere() -> anyhow::Result<Self> {
        Self::start(any_port().await?, any_port().await?)
    }

    /// Starts both, empty.
    pub fn start(dynamodb: TcpListener, sqs: TcpListener) -> anyhow::Result<Self> {
        let (dynamodb_url, sqs_url) = (url(&dynamodb)?, url(&sqs)?);
        let database = Database::memory().context("cannot open a database in memory")?;

        let (running, watched) = watch::channel(());
        let stopped = || {
            let mut watched = watched.clone();
            async move {
                // The error is the signal: the sender is gone.
                let _ = watched.changed().await;
            }
        };
        let queues = Queues::new(sqs_url);
        tokio::spawn(serve_with_shutdown(dynamodb, database, stopped()));
        let sqs = axum::serve(sqs, sqs::router(queues.clone())).with_graceful_shutdown(stopped());
        tokio::spawn(sqs.into_future());
        Ok(Self { dynamodb_url, queues, _running: running })
    }

    /// DynamoDB's address, like `http://127.0.0.1:9001`.
    pub fn dynamodb_url(&self) -> String {
        self.dynamodb_url.clone()
    }

    /// SQS's address, like `http://127.0.0.1:9002`. Queue URLs begin with it.
    pub fn sqs_url(&self) -> String {
        self.queues.server_url.clone()
    }

    /// Direct access to the queues of this SQS.
    pub(crate) fn queues(&self) -> Queues {
        self.queues.clone()
    }

    /// A client of this DynamoDB.
    pub fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        aws_sdk_dynamodb::Client::new(&sdk_config(self.dynamodb_url()))
    }

    /// A client of this SQS.
    pub fn sqs(&self) -> aws_sdk_sqs::Client {
        aws_sdk_sqs::Client::new(&sdk_config(self.sqs_url()))
    }
}

/// Listens on a port of this machine that the system chooses.
pub async fn any_port() -> io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await
}

/// The address of a server that listens there.
pub(super) fn url(listener: &TcpListener) -> io::Result<String> {
    Ok(format!("http://{}", listener.local_addr()?))
}

/// The configuration of an AWS SDK client for an engine: plain HTTP, and credentials that no engine checks.
pub fn sdk_config(endpoint: impl Into<String>) -> SdkConfig {
    let credentials = Credentials::new("local", "local", None, None, "local");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(endpoint)
        .region(Region::new("us-east-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
        .build()
}

/// The table and queues that [`provision`] created, by the functions' settings.
#[derive(Debug, Clone)]
pub struct Resources {
    /// `TABLE_NAME`.
    pub table: String,
    /// `QUEUE_URL`.
    pub events_url: String,
    /// `QUARANTINE_QUEUE_URL`.
    pub quarantine_url: String,
    /// The dead-letter queue: events that consumers failed to handle five times.
    pub dead_letters_url: String,
}

/// Creates the table and the queues, as `template.yaml` does on AWS.
pub async fn provision(engines: &Engines) -> anyhow::Result<Resources> {
    const TABLE: &str = "hookgate-claims";
    const DEAD_LETTERS: &str = "hookgate-dead-letters";

    create_table(&engines.dynamodb(), TABLE).await?;

    let queues = &engines.queues;
    let dead_letters_url = queues.create(DEAD_LETTERS, None)?;
    let redrive = serde_json::json!({"deadLetterTargetArn": sqs::arn(DEAD_LETTERS), "maxReceiveCount": 5});
    Ok(Resources {
        table: TABLE.into(),
        events_url: queues.create("hookgate-events", Some(redrive))?,
        quarantine_url: queues.create("hookgate-quarantine", None)?,
        dead_letters_url,
    })
}

/// Creates a table of claims, as `template.yaml` does on AWS.
pub async fn create_table(client: &aws_sdk_dynamodb::Client, name: &str) -> anyhow::Result<()> {
    const KEY: &str = "pk";

    let definition = AttributeDefinition::builder().attribute_name(KEY).attribute_type(ScalarAttributeType::S);
    let key = KeySchemaElement::builder().attribute_name(KEY).key_type(KeyType::Hash);
    client
        .create_table()
        .table_name(name)
        .attribute_definitions(definition.build()?)
        .key_schema(key.build()?)
        .billing_mode(BillingMode::PayPerRequest)
        .send()
        .await
        .with_context(|| format!("cannot create {name}"))?;
    let expiry = TimeToLiveSpecification::builder().attribute_name("expires_at").enabled(true);
    client.update_time_to_live().table_name(name).time_to_live_specification(expiry.build()?).send().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::{
        operation::{put_item::PutItemError, update_item::UpdateItemError},
        types::{AttributeValue, ReturnValuesOnConditionCheckFailure::AllOld, TimeToLiveStatus},
    };
    use aws_sdk_sqs::types::QueueAttributeName;
    use tokio::io::AsyncReadExt;

    use super::*;

    pub(super) async fn started() -> Engines {
        Engines::anywhere().await.unwrap()
    }

    #[tokio::test]
    async fn both_end_when_dropped() {
        let engines = started().await;
        let urls = [engines.dynamodb_url(), engines.sqs_url()];
        let addresses = urls.each_ref().map(|url| url.trim_start_matches("http://"));
        // Held open, as every SDK holds its connection.
        let mut held = Vec::new();
        for address in addresses {
            held.push(tokio::net::TcpStream::connect(address).await.unwrap());
        }
        drop(engines);
        let ended = async {
            for mut connection in held {
                assert_eq!(connection.read(&mut [0]).await.unwrap(), 0);
            }
            for address in addresses {
                while tokio::net::TcpStream::connect(address).await.is_ok() {}
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(5), ended).await.unwrap();
    }

    #[tokio::test]
    async fn provision_creates_the_table() {
        let engines = started().await;
        let table = provision(&engines).await.unwrap().table;
        assert_eq!(table, "hookgate-claims");

        let client = engines.dynamodb();
        let described = client.describe_table().table_name(&table).send().await.unwrap().table.unwrap();
        let [key] = described.key_schema() else { panic!("one key") };
        assert_eq!((key.attribute_name(), key.key_type()), ("pk", &KeyType::Hash));
        let [definition] = described.attribute_definitions() else { panic!("one attribute") };
        assert_eq!(definition.attribute_type(), &ScalarAttributeType::S);
        let billing = described.billing_mode_summary.unwrap().billing_mode;
        assert_eq!(billing, Some(BillingMode::PayPerRequest));

        let ttl = client.describe_time_to_live().table_name(&table).send().await.unwrap();
        let ttl = ttl.time_to_live_description.unwrap();
        assert_eq!(ttl.attribute_name(), Some("expires_at"));
        assert_eq!(ttl.time_to_live_status, Some(TimeToLiveStatus::Enabled));
    }

    #[tokio::test]
    async fn provision_creates_the_queues() {
        let engines = started().await;
        let resources = provision(&engines).await.unwrap();
        let base = format!("{}/000000000000", engines.sqs_url());
        assert_eq!(resources.events_url, format!("{base}/hookgate-events"));
        assert_eq!(resources.quarantine_url, format!("{base}/hookgate-quarantine"));
        assert_eq!(resources.dead_letters_url, format!("{base}/hookgate-dead-letters"));

        let sqs = engines.sqs();
        let attribute = async |url: &str, name: QueueAttributeName| {
            let call = sqs.get_queue_attributes().queue_url(url).attribute_names(name.clone());
            call.send().await.unwrap().attributes.and_then(|mut attributes| attributes.remove(&name))
        };
        for url in [&resources.events_url, &resources.quarantine_url, &resources.dead_letters_url] {
            let size = attribute(url, QueueAttributeName::MaximumMessageSize).await;
            assert_eq!(size.as_deref(), Some("1048576"));
        }
        let redrive = attribute(&resources.events_url, QueueAttributeName::RedrivePolicy).await.unwrap();
        let redrive: serde_json::Value = serde_json::from_str(&redrive).unwrap();
        assert_eq!(redrive["maxReceiveCount"], 5);
        assert_eq!(
            redrive["deadLetterTargetArn"].as_str(),
            attribute(&resources.dead_letters_url, QueueAttributeName::QueueArn).await.as_deref()
        );
        assert_eq!(attribute(&resources.quarantine_url, QueueAttributeName::RedrivePolicy).await, None);
    }

    #[tokio::test]
    async fn provision_names_the_resource_that_it_could_not_create() {
        let engines = started().await;
        provision(&engines).await.unwrap();
        let error = provision(&engines).await.unwrap_err();
        assert_eq!(error.to_string(), "cannot create hookgate-claims");
        assert!(error.source().is_some());
    }

    fn text(value: &str) -> AttributeValue {
        AttributeValue::S(value.into())
    }

    #[tokio::test]
    async fn a_refused_put_returns_the_old_item() {
        let engines = started().await;
        let table = provision(&engines).await.unwrap().table;
        let client = engines.dynamodb();
        let put = async |owner: &str, now: u32| {
            let put = client.put_item().table_name(&table).item("pk", text("key")).item("owner", text(owner));
            put.item("expires_at", AttributeValue::N("100".into()))
                .condition_expression("attribute_not_exists(pk) OR expires_at <= :now")
                .expression_attribute_values(":now", AttributeValue::N(now.to_string()))
                .return_values_on_condition_check_failure(AllOld)
                .send()
                .await
        };

        put("first", 0).await.unwrap();
        let PutItemError::ConditionalCheckFailedException(refused) =
            put("second", 99).await.unwrap_err().into_service_error()
        else {
            panic!("the condition must fail")
        };
        let old = refused.item.unwrap();
        assert_eq!(old["owner"], text("first"));
        assert_eq!(old["expires_at"], AttributeValue::N("100".into()));

        put("third", 100).await.unwrap();
        let got = client.get_item().table_name(&table).key("pk", text("key")).send().await.unwrap();
        assert_eq!(got.item.unwrap()["owner"], text("third"));
    }

    #[tokio::test]
    async fn update_and_delete_hold_their_conditions() {
        let engines = started().await;
        let table = provision(&engines).await.unwrap().table;
        let client = engines.dynamodb();
        let put = client.put_item().table_name(&table).item("pk", text("key")).item("owner", text("me"));
        put.send().await.unwrap();

        let update = async |owner: &str| {
            let update = client.update_item().table_name(&table).key("pk", text("key"));
            update
                .update_expression("SET #s = :queued REMOVE lease")
                .condition_expression("#o = :owner")
                .expression_attribute_names("#s", "status")
                .expression_attribute_names("#o", "owner")
                .expression_attribute_values(":queued", text("queued"))
                .expression_attribute_values(":owner", text(owner))
                .return_values_on_condition_check_failure(AllOld)
                .send()
                .await
        };
        let UpdateItemError::ConditionalCheckFailedException(refused) =
            update("another").await.unwrap_err().into_service_error()
        else {
            panic!("the condition must fail")
        };
        assert_eq!(refused.item.unwrap()["owner"], text("me"));
        update("me").await.unwrap();

        let item = async || {
            let get = client.get_item().table_name(&table).key("pk", text("key")).consistent_read(true);
            get.send().await.unwrap().item
        };
        assert_eq!(item().await.unwrap()["status"], text("queued"));

        let delete = async |owner: &str| {
            let delete = client.delete_item().table_name(&table).key("pk", text("key"));
            delete
                .condition_expression("#o = :owner")
                .expression_attribute_names("#o", "owner")
                .expression_attribute_values(":owner", text(owner))
                .send()
                .await
        };
        let refused = delete("another").await.unwrap_err().into_service_error();
        assert!(refused.is_conditional_check_failed_exception(), "{refused:?}");
        assert!(item().await.is_some());
        delete("me").await.unwrap();
        assert_eq!(item().await, None);
    }
}
