//! `hookgate listen`: forwards events from a queue to code on this machine, as Lambda would.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::bail;
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName as Attribute, QueueAttributeName};
use futures_util::FutureExt as _;
use hookgate_event::Event;
use http::{HeaderMap, StatusCode};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::{Filter, interrupted, opened};
use crate::{
    arguments,
    client::{
        aws::{Clients, Deployment, Queue},
        http::{Outgoing, Poster},
        messages,
    },
    error::ExitCode,
    output::{BAD, DIM, GOOD, plain, print},
};

/// Forward events from a queue to code on this machine.
///
/// Posts one event at a time, and treats it as Lambda would: after a 2xx answer the message is deleted; after any other
/// answer, or none, it comes again when its visibility timeout is over; after the queue's maxReceiveCount (5) it goes to the
/// dead-letter queue. Events that --type, --provider and --account leave out are deleted, as by Lambda's event filters.
///
/// A function's address (`http://127.0.0.1:9100/2015-03-31/functions/NAME/invocations`, of `cargo lambda watch` or the
/// Runtime Interface Emulator) gets batches of up to ten messages in Lambda's form, and may answer with batchItemFailures.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  hookgate listen --forward-to http://localhost:3000/hooks
  hookgate listen --forward-to :3000/hooks --type 'order.*'
  hookgate listen --forward-to :3000/hooks --mode binary
  hookgate listen --forward-to :9100/2015-03-31/functions/consumer/invocations

The modes are those of the CloudEvents HTTP binding: structured sends the whole event as the body \
(application/cloudevents+json), binary its data as the body and its attributes in ce-* headers.
Exit code: 0 stopped by Ctrl-C, or with --once all events accepted; 1 with --once some not accepted, or none there; 2 failed.")]
pub struct Arguments {
    /// Send events to this URL
    #[arg(long, value_name = "URL")]
    forward_to: String,
    #[command(flatten)]
    only: Filter,
    /// Write events in this form
    #[arg(long, value_enum, default_value = "structured")]
    mode: Mode,
    /// Give your code this long for an event; a failed one comes again after it
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = clap::value_parser!(i32).range(1..=43_200))]
    visibility_timeout: i32,
    /// Exit once the queue has nothing more to give
    #[arg(long)]
    once: bool,
    /// Take events from this queue, a name or URL [default: the installation's]
    #[arg(long, value_name = "QUEUE")]
    queue: Option<String>,
    /// Allow --aws, which takes events away from the queue's own consumers
    #[arg(long)]
    disturb_consumers: bool,
    #[command(flatten)]
    deployment: Deployment,
}

/// The form of an event in a request: see the
/// [HTTP binding](https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Mode {
    /// The whole event is the body
    Structured,
    /// Its data is the body, its attributes are headers
    Binary,
}

struct Forwarder<'a> {
    arguments: &'a Arguments,
    clients: Clients,
    queue_url: String,
    queue_arn: String,
    /// `maxReceiveCount` of the redrive policy, if there is one.
    receives: Option<u64>,
    poster: Poster,
    /// Whether the address is a Lambda function's.
    invokes: bool,
}

/// The status of an accepting answer, or why the message was not accepted.
type Forwarded = Result<String, String>;

/// Forwards until Ctrl-C, or with `--once` until the queue is empty.
pub async fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let url = arguments::address("--forward-to", &arguments.forward_to)?;
    let clients = arguments.deployment.clients().await?;
    let queue_url = clients.queue(Queue::Events, arguments.queue.as_deref()).await?;
    if !clients.is_local() && !arguments.disturb_consumers {
        bail!(
            "forwarding takes events away from the consumers of {}: leave out --aws to use the local intake, or add \
             --disturb-consumers",
            messages::name(&queue_url)
        );
    }
    let mut attributes = messages::attributes(&clients, &queue_url).await?;
    let policy = attributes.remove(&QueueAttributeName::RedrivePolicy).unwrap_or_default();
    let policy: Value = serde_json::from_str(&policy).unwrap_or_default();
    let receives = policy["maxReceiveCount"].as_u64().or_else(|| policy["maxReceiveCount"].as_str()?.parse().ok());
    let queue_arn = attributes.remove(&QueueAttributeName::QueueArn).unwrap_or_default();
    let invokes = url.path().starts_with("/2015-03-31/functions/");
    let poster = Poster::new(url)?;
    if !arguments.once {
        let (name, url) = (messages::name(&queue_url), poster.url());
        eprintln!("Forwarding {name} to {url}. Ctrl-C stops and returns unhandled messages to the queue.");
    }
    Forwarder { arguments, clients, queue_url, queue_arn, receives, poster, invokes }.run().await
}

impl Forwarder<'_> {
    async fn run(&self) -> anyhow::Result<ExitCode> {
        let mut interrupted = std::pin::pin!(interrupted());
        let (mut any, mut failed) = (false, false);
        loop {
            // Ctrl-C first: a signal that comes with the first message must not end the process.
            if interrupted.as_mut().now_or_never().is_some() {
                return Ok(ExitCode::Yes);
            }
            // Not cancelled: messages that SQS is handing out would stay hidden with nobody to handle them.
            let mut receiving = std::pin::pin!(self.receive());
            let received = tokio::select! {
                received = &mut receiving => received?,
                () = &mut interrupted => {
                    self.give_back(&receiving.await?).await?;
                    return Ok(ExitCode::Yes);
                }
            };
            if received.is_empty() && self.arguments.once {
                return Ok((any && !failed).into());
            }
            // A message that is not an event matches no filter, but is not deleted: it may be all that is left of a delivery.
            let (batch, left_out): (Vec<_>, Vec<_>) = received.into_iter().partition(|message| {
                let event = Event::from_json(message.body().unwrap_or_default());
                event.map_or(true, |event| self.arguments.only.admits(Some(&event)))
            });
            for message in &left_out {
                self.delete(message).await?;
                print(format_args!("{DIM}{}  left out and deleted  {}{DIM:#}", clock(), about(message)))?;
            }
            if batch.is_empty() {
                continue;
            }
            let started = Instant::now();
            let results = tokio::select! {
                biased;
                () = &mut interrupted => {
                    self.give_back(&batch).await?;
                    return Ok(ExitCode::Yes);
                }
                results = self.forward(&batch) => results,
            };
            for (message, result) in batch.iter().zip(results) {
                if result.is_ok() {
                    self.delete(message).await?;
                }
                any = true;
                failed |= result.is_err();
                print(self.line(message, &result, started.elapsed()))?;
            }
        }
    }

    async fn forward(&self, batch: &[Message]) -> Vec<Forwarded> {
        if self.invokes { self.invoke(batch).await } else { vec![self.post(&batch[0]).await] }
    }

    async fn receive(&self) -> anyhow::Result<Vec<Message>> {
        // Only as many as are handled at once: the others' visibility timeouts would run meanwhile.
        let most = if self.invokes { 10 } else { 1 };
        let receive = self.clients.sqs.receive_message().queue_url(&self.queue_url).max_number_of_messages(most);
        let receive = receive
            .visibility_timeout(self.arguments.visibility_timeout)
            .wait_time_seconds(i32::from(!self.arguments.once))
            .message_system_attribute_names(Attribute::All)
            .message_attribute_names("All");
        let received = receive.send().await;
        let doing = format!("cannot receive from {}", messages::name(&self.queue_url));
        Ok(received.map_err(|error| self.clients.failed(&doing, &error))?.messages.unwrap_or_default())
    }

    async fn delete(&self, message: &Message) -> anyhow::Result<()> {
        messages::delete(&self.clients, &self.queue_url, message.receipt_handle().unwrap_or_default()).await
    }

    /// Makes unhandled messages visible again.
    async fn give_back(&self, messages: &[Message]) -> anyhow::Result<()> {
        let receipts: Vec<_> = messages.iter().filter_map(Message::receipt_handle).collect();
        messages::hide_for(&self.clients, &self.queue_url, &receipts, Duration::ZERO).await
    }

    /// Posts one event.
    async fn post(&self, message: &Message) -> Forwarded {
        let body = message.body().unwrap_or_default();
        let event = Event::from_json(body).map_err(|_| "not an event, not sent")?;
        let outgoing = match self.arguments.mode {
            Mode::Structured => structured(body, &event),
            Mode::Binary => binary(&event),
        };
        let answer = self.exchange(outgoing).await;
        let (status, ..) = answer.map_err(|why| format!("no answer from {}: {why}", self.poster.url()))?;
        let code = status.as_u16().to_string();
        match status {
            _ if status.is_success() => Ok(code),
            _ if status.is_redirection() => Err(format!("{code}, not followed")),
            _ => Err(code),
        }
    }

    /// Invokes a function with messages as Lambda does: see
    /// [Using Lambda with SQS](https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html).
    async fn invoke(&self, batch: &[Message]) -> Vec<Forwarded> {
        let records: Vec<_> = batch.iter().map(|message| self.record(message)).collect();
        let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        let outgoing = Outgoing { headers, body: json!({"Records": records}).to_string().into_bytes() };
        let failed: Result<Vec<String>, String> = match self.exchange(outgoing).await {
            Ok((StatusCode::OK, headers, body)) if !headers.contains_key("x-amz-function-error") => {
                failures(&body, batch)
            }
            Ok((StatusCode::OK, ..)) => Err("the function failed".to_owned()),
            Ok((status, ..)) => Err(status.as_u16().to_string()),
            Err(why) => Err(why),
        };
        let of = |message: &Message| match &failed {
            Ok(failed) if failed.iter().any(|id| message.message_id() == Some(id)) => {
                Err("batch item failure".to_owned())
            }
            Ok(_) => Ok("200".to_owned()),
            Err(why) => Err(why.clone()),
        };
        batch.iter().map(of).collect()
    }

    async fn exchange(&self, outgoing: Outgoing) -> Result<(StatusCode, HeaderMap, Vec<u8>), String> {
        let patience = Duration::from_secs(self.arguments.visibility_timeout.unsigned_abs().into());
        let answer = self.poster.exchange(outgoing, patience).await.map_err(|error| error.to_string())?;
        let (head, body) = answer.into_parts();
        let body = body.ok_or("the answer is cut off, or larger than 64 MiB")?;
        Ok((head.status, head.headers, body.to_vec()))
    }

    /// A message as Lambda gives it to a function.
    fn record(&self, message: &Message) -> Value {
        let attributes = message.attributes.iter().flatten().map(|(name, value)| (name.as_str(), value.as_str()));
        let sent = message.message_attributes.iter().flatten().map(|(name, value)| {
            (name.as_str(), json!({"stringValue": value.string_value(), "dataType": value.data_type()}))
        });
        json!({
            "messageId": message.message_id(),
            "receiptHandle": message.receipt_handle(),
            "body": message.body(),
            "attributes": attributes.collect::<BTreeMap<_, _>>(),
            "messageAttributes": sent.collect::<BTreeMap<_, _>>(),
            "md5OfBody": message.md5_of_body(),
            "eventSource": "aws:sqs",
            "eventSourceARN": self.queue_arn,
            "awsRegion": self.queue_arn.split(':').nth(3),
        })
    }

    /// One line: time, answer, duration, event, and what happens to the message if it was not accepted.
    fn line(&self, message: &Message, forwarded: &Forwarded, took: Duration) -> String {
        let (colour, answer) = match forwarded {
            Ok(answer) => (GOOD, answer),
            Err(answer) => (BAD, answer),
        };
        let received =
            message.attributes.as_ref().and_then(|all| all.get(&Attribute::ApproximateReceiveCount)?.parse().ok());
        let received: u64 = received.unwrap_or(1);
        let next = match self.receives {
            _ if forwarded.is_ok() => String::new(),
            Some(most) if received >= most => format!("  (attempt {received}: goes to the dead-letter queue)"),
            most => {
                let of = most.map_or_else(String::new, |most| format!(" of {most}"));
                let hidden = u64::from(self.arguments.visibility_timeout.unsigned_abs());
                format!("  (attempt {received}{of}: again in {} s)", hidden.saturating_sub(took.as_secs()))
            }
        };
        let (now, milliseconds, about) = (clock(), took.as_millis(), about(message));
        format!("{DIM}{now}{DIM:#}  {colour}{answer}{colour:#}  {DIM}{milliseconds:>5} ms{DIM:#}  {about}{next}")
    }
}

/// The time of day, in UTC.
fn clock() -> String {
    let (hour, minute, second) = OffsetDateTime::now_utc().time().as_hms();
    format!("{hour:02}:{minute:02}:{second:02}")
}

/// The event of a message in columns, or the id of a message without one.
fn about(message: &Message) -> String {
    let event = Event::from_json(message.body().unwrap_or_default()).ok();
    event.map_or_else(
        || message.message_id().unwrap_or_default().to_owned(),
        |event| {
            let subject = event.subject.as_deref().unwrap_or("-");
            format!("{:<32}  {:<24}  {}", event.event_type.as_str(), plain(subject), plain(&event.id))
        },
    )
}

/// The ids in `batchItemFailures`. As in Lambda, an answer that names an unknown message or cannot be read fails the whole
/// batch, and one without failures accepts it.
fn failures(body: &[u8], batch: &[Message]) -> Result<Vec<String>, String> {
    if body.trim_ascii().is_empty() {
        return Ok(Vec::new());
    }
    let answer: Value = serde_json::from_slice(body).map_err(|_| "the answer is not JSON".to_owned())?;
    let Some(failures) = answer.get("batchItemFailures").filter(|list| !list.is_null()) else { return Ok(Vec::new()) };
    let unreadable = || "batchItemFailures names no message of the batch".to_owned();
    let failures = failures.as_array().ok_or_else(unreadable)?;
    let ids = failures.iter().map(|failure| {
        let id = failure["itemIdentifier"].as_str().ok_or_else(unreadable)?;
        let known = batch.iter().any(|message| message.message_id() == Some(id));
        known.then(|| id.to_owned()).ok_or_else(unreadable)
    });
    ids.collect()
}

/// The whole event as the body, with a compressed payload decompressed.
fn structured(body: &str, event: &Event<'_>) -> Outgoing {
    let headers = vec![("content-type".to_owned(), "application/cloudevents+json; charset=utf-8".to_owned())];
    Outgoing { headers, body: opened(body, event).into_bytes() }
}

/// The event's data as the body, byte for byte; every other member as a header.
fn binary(event: &Event<'_>) -> Outgoing {
    #[derive(serde::Deserialize)]
    struct Parts<'a> {
        #[serde(borrow)]
        data: &'a serde_json::value::RawValue,
        #[serde(flatten)]
        attributes: std::collections::BTreeMap<String, Value>,
    }
    let json = event.to_json();
    let mut headers = Vec::new();
    let Ok(Parts { data, attributes }) = serde_json::from_str(&json) else {
        return structured(&json, event);
    };
    for (name, value) in &attributes {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        match name.as_str() {
            "datacontenttype" => headers.push(("content-type".to_owned(), value)),
            name => headers.push((format!("ce-{name}"), encoded(&value))),
        }
    }
    Outgoing { headers, body: data.get().as_bytes().to_vec() }
}

/// A header's value by section 3.1.3.2 of the binding, which encodes space, quote, per cent sign, and all but printable ASCII.
fn encoded(value: &str) -> String {
    const ENCODED: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'%');
    utf8_percent_encode(value, ENCODED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_functions_answer_is_read_as_lambda_reads_it() {
        let batch: Vec<_> = ["a", "b"].map(|id| Message::builder().message_id(id).build()).into();
        let none = || Ok(Vec::new());
        let whole = Err(());
        for (answer, expected) in [
            ("", none()),
            ("null", none()),
            ("{}", none()),
            (r#"{"batchItemFailures": null}"#, none()),
            (r#"{"batchItemFailures": []}"#, none()),
            (r#"{"batchItemFailures": [{"itemIdentifier": "b"}]}"#, Ok(vec!["b".to_owned()])),
            (r#"{"batchItemFailures": [{"itemIdentifier": ""}]}"#, whole.clone()),
            (r#"{"batchItemFailures": [{"itemIdentifier": null}]}"#, whole.clone()),
            (r#"{"batchItemFailures": [{"itemIdentifier": "c"}]}"#, whole.clone()),
            (r#"{"batchItemFailures": [{"id": "a"}]}"#, whole.clone()),
            ("ok", whole.clone()),
        ] {
            assert_eq!(failures(answer.as_bytes(), &batch).map_err(|_| ()), expected, "{answer}");
        }
    }

    #[test]
    fn a_header_is_encoded_as_the_binding_says() {
        assert_eq!(encoded("Euro € 😀"), "Euro%20%E2%82%AC%20%F0%9F%98%80");
        assert_eq!(encoded("a\"b%~!\n"), "a%22b%25~!%0A");
    }
}
