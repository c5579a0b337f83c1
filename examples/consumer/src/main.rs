//! A Lambda function that handles each of Hookgate's events once. Copy this folder and write your own [`handle`].
//!
//! The rest of this file makes that safe:
//! - Lambda passes a batch of messages and is told which ones failed. Only those are delivered again, and after five
//!   attempts they go to the dead-letter queue.
//! - The queue delivers at least once. The DynamoDB table `CONSUMED_TABLE_NAME` remembers events by their `source` and
//!   `id`, so that a copy is not handled again.
//! - Events come in any order. The same table holds the latest state of each resource, which an older event does not change.

use std::{
    env,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_config::{BehaviorVersion, timeout::TimeoutConfig};
use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use aws_sdk_dynamodb::{
    Client,
    error::SdkError,
    operation::put_item::{PutItemError, builders::PutItemFluentBuilder},
    types::{AttributeValue, ReturnValuesOnConditionCheckFailure},
};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use hookgate_event::{Event, EventType};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::json;
use tokio::{task::JoinSet, time::timeout_at};

/// What your shop does about an event. **Yours to write.**
///
/// It can be called again for an event whose handling was cut short, so make it idempotent: write with the event's id as
/// the key, or pass `source` and `id` as the idempotency key of what you call.
async fn handle(consumed: Consumed, event: Event<'static>) -> Result<(), Error> {
    use EventType as Type;
    let to_do = match event.event_type {
        // One order can send both `order.paid` and `order.paid.product`: fulfil on one of them only. Which types your
        // platforms send, and which of these means "paid" to you, is your decision.
        Type::OrderPaid | Type::PaymentSucceeded | Type::InvoicePaid => "fulfil",
        Type::OrderCancelled | Type::OrderFailed | Type::OrderExpired | Type::PaymentFailed => "give the stock back",
        Type::PaymentRefunded | Type::OrderDisputed => "tell a person",
        // Not an error: the event would only be delivered again. `providertype` is the platform's own name for it.
        Type::Unrecognized => "nothing: unknown type",
        _ => "nothing",
    };
    // What is done for a single event, as above, needs no order: an order that was paid is fulfilled once, whatever came since.
    // A resource's current state does. Ask for the types that yours is made of; an unknown one says nothing about it.
    let latest = event.event_type != Type::Unrecognized && consumed.keep_latest(&event).await?;
    // Log names and ids only: payloads contain personal data.
    let (source, id) = event.deduplication_key();
    let (name, subject) = (&event.provider_type, &event.subject);
    println!(
        "{}",
        json!({"level": "INFO", "message": "handle", "to_do": to_do, "latest": latest, "type": event.event_type,
               "providertype": name, "source": source, "id": id, "subject": subject, "traceparent": event.traceparent})
    );
    Ok(())
}

/// How long an event is remembered, in seconds: 60 days. No copy arrives later: the intake recognises a repeated delivery
/// for 30 days, the queue keeps a message for 7 and the dead-letter queue for 14. If you raise `ClaimTtlDays`, raise this too.
const REMEMBER: i64 = 60 * 86_400;

/// A message that is not handled this long before Lambda stops the invocation fails, so that the others still count.
const ANSWER_MARGIN: Duration = Duration::from_secs(1);

/// A lease ends this long after Lambda has stopped its owner, in milliseconds, because clocks differ.
const LEASE_MARGIN: i64 = 2_000;

/// The most time for one attempt of a call to DynamoDB: a dead connection must not cost the whole batch.
const ATTEMPT: Duration = Duration::from_secs(2);

/// The function's timeout in the template, for `cargo lambda watch`, whose deadline is in 1970.
const FUNCTION_TIMEOUT: Duration = Duration::from_secs(30);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let table = env::var("CONSUMED_TABLE_NAME").ok().filter(|name| !name.is_empty());
    let table =
        table.ok_or("CONSUMED_TABLE_NAME is not set: give it the name of the DynamoDB table of handled events")?;
    let http = aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let timeouts = TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT).build();
    let aws = aws_config::defaults(BehaviorVersion::latest()).http_client(http).timeout_config(timeouts).load().await;
    let consumed = &Consumed { client: Client::new(&aws), table };
    lambda_runtime::run(service_fn(async move |batch| Ok::<_, Error>(consume_all(consumed, batch).await))).await
}

/// Consumes one message after the other; a failure does not stop the rest. Lambda deletes the messages that the answer
/// does not name as failed.
async fn consume_all(consumed: &Consumed, batch: LambdaEvent<SqsEvent>) -> SqsBatchResponse {
    let now = since_1970();
    let deadline = Some(Duration::from_millis(batch.context.deadline)).filter(|deadline| *deadline > now);
    let deadline = deadline.unwrap_or(now + FUNCTION_TIMEOUT);
    let lease = Lease {
        owner: batch.context.request_id,
        until: i64::try_from(deadline.as_millis()).unwrap_or(i64::MAX).saturating_add(LEASE_MARGIN),
    };
    let left = deadline.saturating_sub(now).saturating_sub(ANSWER_MARGIN);
    let give_up = tokio::time::Instant::now() + left;

    let mut answer = SqsBatchResponse::default();
    for message in batch.payload.records {
        let message_id = message.message_id.unwrap_or_default();
        let body = message.body.unwrap_or_default();
        let replay = message.message_attributes.get("replay").and_then(|replay| replay.string_value.as_deref());
        let result = timeout_at(give_up, consume(consumed, &lease, &body, replay)).await;
        match result.unwrap_or_else(|_| Err("no time left: smaller batches, or a longer timeout".into())) {
            Ok(what) => println!("{}", json!({"level": "INFO", "message": what, "message_id": message_id})),
            Err(error) => {
                let error = with_causes(&*error);
                println!(
                    "{}",
                    json!({"level": "ERROR", "message": "failed", "message_id": message_id, "error": error})
                );
                answer.add_failure(message_id);
            }
        }
    }
    answer
}

/// The error and its causes, for the log. `Event::from_json` does not quote the message in its errors: nor should yours.
fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Handles one message, unless its event was handled before.
///
/// Three steps, in this order: **lease, handle, mark**.
/// - Marking first would lose an event if this process died before handling it.
/// - Without the lease, two copies that arrive at the same time would both be handled.
/// - One gap is left: if the process dies after handling and before marking, the event is handled **again** once the lease
///   is over. Only an idempotent `handle` can close it.
async fn consume(consumed: &Consumed, lease: &Lease, body: &str, replay: Option<&str>) -> Result<&'static str, Error> {
    // Not an event: let it fail until the queue moves it to the dead-letter queue, where somebody looks.
    let event = Event::from_json(body)?.into_owned();
    let (source, id) = event.deduplication_key();
    // Neither a source nor a replay's name has spaces, and a source begins with a slash: no other event has this key. An
    // event that an operator replays is handled once more for each replay.
    let key = match replay {
        None => format!("{source} {id}"),
        Some(name) => format!("replay {name} {source} {id}"),
    };
    match consumed.lease(&key, lease).await? {
        Leased::Yes => {}
        Leased::Handled => return Ok("duplicate"),
        Leased::ByAnother => return Err("another invocation works on the same event".into()),
    }
    // In a task of its own: if it panics, only this message fails. When time runs out it is stopped.
    let mut task = JoinSet::new();
    task.spawn(handle(consumed.clone(), event));
    task.join_next().await.expect("one task was spawned")??;
    // If marking fails, the lease need not be released: it is over before the message comes again, as the queue's visibility
    // timeout is six times this function's timeout.
    consumed.mark(&key, lease).await?;
    Ok("handled")
}

/// The right to work on an event, until Lambda has certainly stopped the invocation that holds it.
struct Lease {
    /// The invocation's request id.
    owner: String,
    /// Unix milliseconds.
    until: i64,
}

/// Whether the lease was granted.
enum Leased {
    Yes,
    Handled,
    ByAnother,
}

/// The table of events: `pk` names one, `lease_until` is there until it is handled, `expires_at` is the table's TTL. Beside
/// them an item for each resource, with the state that its latest event left.
#[derive(Clone)]
struct Consumed {
    client: Client,
    table: String,
}

impl Consumed {
    async fn lease(&self, key: &str, lease: &Lease) -> Result<Leased, Error> {
        let now = i64::try_from(since_1970().as_millis())?;
        let put = self
            .put(key)?
            .item("owner", text(&lease.owner))
            .item("lease_until", number(lease.until))
            // DynamoDB deletes expired items only days later.
            .condition_expression("attribute_not_exists(pk) OR expires_at < :now OR lease_until < :now_ms")
            .expression_attribute_values(":now", number(now / 1000))
            .expression_attribute_values(":now_ms", number(now))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let Err(error) = put.send().await else { return Ok(Leased::Yes) };
        match error.into_service_error() {
            PutItemError::ConditionalCheckFailedException(refused) => {
                let item = refused.item.unwrap_or_default();
                let owner = item.get("owner").and_then(|owner| owner.as_s().ok());
                Ok(match (item.contains_key("lease_until"), owner) {
                    (false, _) => Leased::Handled,
                    // Already ours: the write succeeded, its answer was lost, and the SDK tried again.
                    (true, Some(owner)) if *owner == lease.owner => Leased::Yes,
                    (true, _) => Leased::ByAnother,
                })
            }
            error => Err(error.into()),
        }
    }

    async fn mark(&self, key: &str, lease: &Lease) -> Result<(), Error> {
        let put = self.put(key)?.item("owner", text(&lease.owner)).condition_expression("#owner = :owner");
        let put = put.expression_attribute_names("#owner", "owner");
        put.expression_attribute_values(":owner", text(&lease.owner)).send().await?;
        Ok(())
    }

    /// **Latest wins**: keeps what the event says as its resource's state, unless a later event has been kept. Says whether it
    /// did.
    ///
    /// One write decides and stores. If a question came first and the write after it, an older event could be asked about
    /// before, and written after, a later one. So put what else belongs to the state into this item; or, if it stands in another
    /// database, keep the sort key beside it there and write under the same condition.
    async fn keep_latest(&self, event: &Event<'_>) -> Result<bool, Error> {
        let Some(subject) = &event.subject else { return Ok(false) };
        let sort_key = text(&event.sort_key());
        // A source starts with a slash, so no event has this key.
        let put = self.put(&format!("latest {} {subject}", event.source))?.item("sort_key", sort_key.clone());
        let put = put.item("type", text(event.event_type.as_str()));
        let put = match &event.data.status {
            Some(status) => put.item("status", text(status)),
            None => put,
        };
        // The same event passes again: its handling may have been cut short after this write.
        let put = put.condition_expression("attribute_not_exists(pk) OR sort_key <= :sort_key");
        match put.expression_attribute_values(":sort_key", sort_key).send().await.map_err(SdkError::into_service_error)
        {
            Ok(_) => Ok(true),
            Err(PutItemError::ConditionalCheckFailedException(_)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn put(&self, key: &str) -> Result<PutItemFluentBuilder, Error> {
        let expires_at = i64::try_from(since_1970().as_secs())? + REMEMBER;
        let put = self.client.put_item().table_name(&self.table).item("pk", text(key));
        Ok(put.item("expires_at", number(expires_at)))
    }
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

fn number(value: i64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
