//! An example of what reads the events: a Lambda function behind the queue that handles each event once. Copy it.
//!
//! Write your own `handle` at the end of this file. What stands above it makes that safe:
//! - Lambda hands over a batch, and is told which of its messages failed. Only those come again, and after five times
//!   they go to the dead letters.
//! - The queue delivers at least once, so the table `CONSUMED_TABLE_NAME` remembers events by their `source` and `id`.
//!
//! Outside this repository `aws-config` replaces `hookgate_intake::dynamodb`, which is ours and lean: docs/consume.md.

use std::{
    env,
    process::ExitCode,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_sdk_dynamodb::{
    Client,
    operation::put_item::{PutItemError, builders::PutItemFluentBuilder},
    types::{AttributeValue, ReturnValuesOnConditionCheckFailure},
};
use hookgate_event::{Event, EventType};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::{task::JoinSet, time::timeout_at};

/// How long an event is remembered, in seconds: 60 days. Longer than any copy can be on its way: the intake knows a
/// repeat for 30 days, the queue keeps it for 7, and dead letters for 14. With a larger `ClaimTtlDays` make it larger too.
const REMEMBER: i64 = 60 * 86_400;

/// What is not done this long before Lambda stops the invocation is given up, so that the rest of the batch counts.
const ANSWER_MARGIN: Duration = Duration::from_secs(1);

/// A lease ends this long after Lambda has stopped its owner, in milliseconds: clocks differ.
const LEASE_MARGIN: i64 = 2_000;

/// The function's time-out in the template, for `cargo lambda watch`, which names a deadline in 1970. Lambda invokes nobody
/// too late.
const FUNCTION_TIMEOUT: Duration = Duration::from_secs(30);

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("consumer: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Error> {
    let setting = |name: &str| env::var(name).ok();
    let table = setting("CONSUMED_TABLE_NAME").filter(|name| !name.is_empty());
    let table =
        table.ok_or("CONSUMED_TABLE_NAME is not set: give it the name of the DynamoDB table of handled events")?;
    let consumed = Consumed { client: hookgate_intake::dynamodb(setting)?, table };
    let consumed = &consumed;
    lambda_runtime::run(service_fn(async move |batch| Ok::<_, Error>(consume_all(consumed, batch).await))).await
}

/// What Lambda hands over: a batch of messages.
#[derive(Deserialize)]
struct Batch {
    #[serde(rename = "Records")]
    messages: Vec<Message>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Message {
    message_id: String,
    body: String,
}

/// What Lambda is told (`ReportBatchItemFailures`): it deletes all other messages from the queue.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    batch_item_failures: Vec<Failure>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Failure {
    item_identifier: String,
}

/// One message after the other; a failure does not stop the rest.
async fn consume_all(consumed: &Consumed, batch: LambdaEvent<Batch>) -> Answer {
    let now = since_1970();
    let deadline = Some(Duration::from_millis(batch.context.deadline)).filter(|deadline| *deadline > now);
    let deadline = deadline.unwrap_or(now + FUNCTION_TIMEOUT);
    let lease = Lease {
        owner: batch.context.request_id,
        until: i64::try_from(deadline.as_millis()).unwrap_or(i64::MAX).saturating_add(LEASE_MARGIN),
    };
    let left = deadline.saturating_sub(now).saturating_sub(ANSWER_MARGIN);
    let give_up = tokio::time::Instant::now() + left;

    let mut answer = Answer { batch_item_failures: Vec::new() };
    for Message { message_id, body } in batch.payload.messages {
        let result = timeout_at(give_up, consume(consumed, &lease, &body)).await;
        match result.unwrap_or_else(|_| Err("no time left: smaller batches, or a longer timeout".into())) {
            Ok(what) => println!("{}", json!({"level": "INFO", "message": what, "message_id": message_id})),
            Err(error) => {
                let error = with_causes(&*error);
                println!(
                    "{}",
                    json!({"level": "ERROR", "message": "failed", "message_id": message_id, "error": error})
                );
                answer.batch_item_failures.push(Failure { item_identifier: message_id });
            }
        }
    }
    answer
}

/// What is logged of an error. `Event::from_json` does not quote the message in its errors: let yours not either.
fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Handles one message, unless its event was handled before.
///
/// Three steps, in this order: **lease, handle, mark**.
/// - Marking first would lose the event that this process does not live to handle.
/// - Without the lease two copies, delivered at the same time, would both be handled.
/// - What remains: a process that ends after handling and before marking. Then the event is handled **again**, once the
///   lease is over. No consumer can close that gap from outside: close it in `handle`.
async fn consume(consumed: &Consumed, lease: &Lease, body: &str) -> Result<&'static str, Error> {
    // No event, no use: let it come back until the queue puts it to the dead letters, where somebody looks.
    let event = Event::from_json(body)?.into_owned();
    let (source, id) = event.deduplication_key();
    let key = format!("{source} {id}"); // A source has no spaces, so no other event has this key.
    match consumed.lease(&key, lease).await? {
        Leased::Yes => {}
        Leased::Handled => return Ok("duplicate"),
        Leased::ByAnother => return Err("another invocation works on the same event".into()),
    }
    // A task of its own: if it panics, this message fails and not the whole batch; if time runs out, it ends too.
    let mut task = JoinSet::new();
    task.spawn(handle(event));
    task.join_next().await.expect("one task was spawned")??;
    // A lease that is not marked need not be taken back: when the message comes again, after the queue's visibility
    // timeout of six times this function's own, it is over.
    consumed.mark(&key, lease).await?;
    Ok("handled")
}

/// The right to work on an event, until Lambda has surely stopped the invocation that has it.
struct Lease {
    /// The invocation's request id.
    owner: String,
    /// Unix milliseconds.
    until: i64,
}

/// Whether the lease was given.
enum Leased {
    Yes,
    Handled,
    ByAnother,
}

/// The table of events: `pk` names one, `lease_until` is there until it is handled, `expires_at` is the table's TTL.
struct Consumed {
    client: Client,
    table: String,
}

impl Consumed {
    async fn lease(&self, key: &str, lease: &Lease) -> Result<Leased, Error> {
        let now = i64::try_from(since_1970().as_millis())?;
        let put = self
            .put(key, lease)?
            .item("lease_until", number(lease.until))
            // DynamoDB deletes what has expired only some days later.
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
                    // Written by this very call: its answer was lost, and the SDK asked again.
                    (true, Some(owner)) if *owner == lease.owner => Leased::Yes,
                    (true, _) => Leased::ByAnother,
                })
            }
            error => Err(error.into()),
        }
    }

    async fn mark(&self, key: &str, lease: &Lease) -> Result<(), Error> {
        let put = self.put(key, lease)?.condition_expression("#owner = :owner");
        let put = put.expression_attribute_names("#owner", "owner");
        put.expression_attribute_values(":owner", text(&lease.owner)).send().await?;
        Ok(())
    }

    fn put(&self, key: &str, lease: &Lease) -> Result<PutItemFluentBuilder, Error> {
        let expires_at = i64::try_from(since_1970().as_secs())? + REMEMBER;
        let put = self.client.put_item().table_name(&self.table).item("pk", text(key));
        Ok(put.item("owner", text(&lease.owner)).item("expires_at", number(expires_at)))
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

/// What your shop does about an event. **Yours to write.**
///
/// It may be called again for an event whose handling was cut short. So let a repeat change nothing: write with the
/// event's own id, or hand `source` and `id` on as the idempotency key of what you call.
#[expect(clippy::unused_async, reason = "yours will wait for something")]
async fn handle(event: Event<'static>) -> Result<(), Error> {
    use EventType as Type;
    let to_do = match event.event_type {
        // One order can send both `order.paid` and `order.paid.product`: fulfil on one of them only. Which types your
        // platforms send, and which of these means "paid" to you, is your decision.
        Type::OrderPaid | Type::PaymentSucceeded | Type::InvoicePaid => "fulfil",
        Type::OrderCancelled | Type::OrderFailed | Type::OrderExpired | Type::PaymentFailed => "give the stock back",
        Type::PaymentRefunded | Type::OrderDisputed => "tell a person",
        // No failure: it would only come again. `providertype` says what the platform calls it.
        Type::Unrecognized => "nothing: unknown type",
        _ => "nothing",
    };
    // Names and ids only: payloads carry personal data.
    let (source, id) = event.deduplication_key();
    let (name, subject) = (&event.provider_type, &event.subject);
    println!(
        "{}",
        json!({"level": "INFO", "message": "handle", "to_do": to_do, "type": event.event_type, "providertype": name,
               "source": source, "id": id, "subject": subject, "traceparent": event.traceparent})
    );
    Ok(())
}
