#![doc = include_str!("../README.md")]

mod failure;
mod table;
pub mod testing;

use std::{
    collections::HashMap,
    env,
    future::Future,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_config::{BehaviorVersion, timeout::TimeoutConfig};
use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use aws_sdk_dynamodb::Client;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use hookgate_event::ReadError;
use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::{json, value::RawValue};
use tokio::{
    task::JoinSet,
    time::{Instant, timeout_at},
};

pub use aws_sdk_dynamodb::types::AttributeValue;
pub use hookgate_event::{Event, EventType};
pub use lambda_runtime::Error;
pub use table::{State, TableError};

use failure::Failure;
use table::{Lease, Leased};

/// How long an event is remembered: 60 days. No copy arrives later: the intake recognises a repeated delivery
/// for 30 days, the queue keeps a message for 7 and the dead-letter queue for 14. With a larger `ClaimTtlDays`, set
/// [`Consumer::remember`] to that many days plus 30.
pub const REMEMBER: Duration = Duration::from_hours(60 * 24);

/// A message that is not handled this long before Lambda stops the invocation fails, so that the others still count.
const ANSWER_MARGIN: Duration = Duration::from_secs(1);

/// A lease ends this long after Lambda has stopped its owner, because clocks differ.
const LEASE_MARGIN: Duration = Duration::from_secs(2);

/// The most time for one attempt of a call to `DynamoDB`: a dead connection must not cost the whole batch.
const ATTEMPT: Duration = Duration::from_secs(2);

/// The function's timeout in the template, for `cargo lambda watch`, whose deadlines are in 1970.
const FUNCTION_TIMEOUT: Duration = Duration::from_secs(30);
const A_YEAR: Duration = Duration::from_hours(365 * 24);

/// Runs the function: takes batches from Lambda and handles each event once, with the table that `CONSUMED_TABLE_NAME` names.
///
/// `handle` is what your shop does about an event. It can be called again for an event whose handling was cut short, so make it
/// idempotent: write with the event's id as the key, or pass `source` and `id` as the idempotency key of what you call.
///
/// Sets the process's panic hook to one that logs where a panic happened and not its message, which may quote an event.
///
/// # Errors
/// `CONSUMED_TABLE_NAME` is not set, or Lambda's runtime cannot be reached. A message that fails is no error: Lambda is told
/// [which ones failed](https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html#services-sqs-batchfailurereporting),
/// and SQS delivers them again.
pub async fn run<H, F>(handle: H) -> Result<(), Error>
where
    H: Fn(Event<'static>, State) -> F,
    F: Future<Output = Result<(), Error>> + Send + 'static,
{
    panic_without_message();
    Consumer::from_env().await?.run(handle).await
}

/// A panic's message may quote the event, and standard error is Lambda's log: it gets only the place.
fn panic_without_message() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map_or_else(String::new, ToString::to_string);
        eprintln!("{}", json!({"level": "ERROR", "message": "panicked", "at": place}));
    }));
}

/// A consumer with settings of its own. [`run`] is enough for most.
#[derive(Clone)]
pub struct Consumer {
    client: Client,
    table: String,
    remember: Duration,
    clock: Arc<dyn Fn() -> SystemTime + Send + Sync>,
    log: Arc<dyn Fn(&str) + Send + Sync>,
}

impl Consumer {
    /// With the table that `CONSUMED_TABLE_NAME` names, and the credentials and the region of the environment.
    ///
    /// # Errors
    /// `CONSUMED_TABLE_NAME` is missing or empty.
    pub async fn from_env() -> Result<Self, Error> {
        let table = env::var("CONSUMED_TABLE_NAME").ok().filter(|name| !name.is_empty());
        let table =
            table.ok_or("CONSUMED_TABLE_NAME is not set: give it the name of the DynamoDB table of handled events")?;
        let http =
            aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
        let timeouts = TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT).build();
        let aws = aws_config::defaults(BehaviorVersion::latest()).http_client(http).timeout_config(timeouts);
        Ok(Self::new(Client::new(&aws.load().await), table))
    }

    /// With this client and the table of this name: partition key `pk`, a string, and
    /// [TTL](https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/TTL.html) on `expires_at`.
    #[must_use]
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self {
            client,
            table: table.into(),
            remember: REMEMBER,
            clock: Arc::new(SystemTime::now),
            log: Arc::new(|line| println!("{line}")),
        }
    }

    /// How long an event is remembered, in whole seconds. The default is [`REMEMBER`].
    #[must_use]
    pub fn remember(mut self, time: Duration) -> Self {
        self.remember = time;
        self
    }

    /// What time it is. The default is the system's clock.
    #[must_use]
    pub fn clock(mut self, clock: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Where the log lines go: one line of JSON for each message. The default is standard output, which is Lambda's log.
    #[must_use]
    pub fn log(mut self, log: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.log = Arc::new(log);
        self
    }

    /// Takes batches from Lambda until it stops this process.
    ///
    /// # Errors
    /// Lambda's runtime cannot be reached.
    pub async fn run<H, F>(&self, handle: H) -> Result<(), Error>
    where
        H: Fn(Event<'static>, State) -> F,
        F: Future<Output = Result<(), Error>> + Send + 'static,
    {
        let handle = &handle;
        lambda_runtime::run(service_fn(async move |batch| Ok::<_, Error>(self.consume(batch, handle).await))).await
    }

    /// Consumes one message after the other; a failure does not stop the rest. Lambda deletes the messages that the answer
    /// does not name as failed.
    pub async fn consume<H, F>(&self, batch: LambdaEvent<SqsEvent>, handle: &H) -> SqsBatchResponse
    where
        H: Fn(Event<'static>, State) -> F,
        F: Future<Output = Result<(), Error>> + Send + 'static,
    {
        let now = self.now();
        let deadline = Some(Duration::from_millis(batch.context.deadline)).filter(|deadline| *deadline > A_YEAR);
        let deadline = deadline.unwrap_or(now + FUNCTION_TIMEOUT);
        let lease = Lease { owner: batch.context.request_id, until: deadline + LEASE_MARGIN };
        let give_up = Instant::now() + deadline.saturating_sub(now).saturating_sub(ANSWER_MARGIN);

        let mut answer = SqsBatchResponse::default();
        for message in batch.payload.records {
            let result = if Instant::now() < give_up {
                timeout_at(give_up, self.message(&message, &lease, handle)).await.unwrap_or(Err(Failure::OutOfTime))
            } else {
                Err(Failure::OutOfTime)
            };
            let message_id = message.message_id.unwrap_or_default();
            let line = match &result {
                Ok(what) => json!({"level": "INFO", "message": what, "message_id": message_id}),
                Err(why) => {
                    json!({"level": "ERROR", "message": "failed", "message_id": message_id, "error": why.to_string()})
                }
            };
            (self.log)(&line.to_string());
            if result.is_err() {
                answer.add_failure(message_id);
            }
        }
        answer
    }

    /// Handles one message, unless its event was handled before.
    ///
    /// Three steps, in this order: **lease, handle, mark**.
    /// - Marking first would lose an event if this process died before handling it.
    /// - Without the lease, two copies that arrive at the same time would both be handled.
    /// - One gap is left: if the process dies after handling and before marking, the event is handled **again** once the lease
    ///   is over. Only an idempotent `handle` can close it.
    async fn message<H, F>(&self, message: &SqsMessage, lease: &Lease, handle: &H) -> Result<&'static str, Failure>
    where
        H: Fn(Event<'static>, State) -> F,
        F: Future<Output = Result<(), Error>> + Send + 'static,
    {
        // Not an event: let it fail until the queue moves it to the dead-letter queue, where somebody looks.
        let event = read(message.body.as_deref().unwrap_or_default())?;
        let (source, id) = event.deduplication_key();
        let replay = message.message_attributes.get("replay").and_then(|replay| replay.string_value.as_deref());
        // Neither a source nor a replay's name has spaces, and a source begins with a slash: no other event has this key. An
        // event that an operator replays is handled once more for each replay.
        let key = match replay.filter(|name| !name.is_empty()) {
            None => format!("{source} {id}"),
            Some(name) => format!("replay {name} {source} {id}"),
        };
        match self.lease(&key, lease).await? {
            Leased::Yes => {}
            Leased::Handled => return Ok("duplicate"),
            Leased::ByAnother => return Err(Failure::Leased),
        }
        // In a task of its own: if it panics, only this message fails. When time runs out it is stopped.
        let mut task = JoinSet::new();
        task.spawn(handle(event, State::of(self)));
        match task.join_next().await.expect("one task was spawned") {
            Ok(handled) => handled.map_err(|error| Failure::of_handle(&error))?,
            // What it says may quote the event.
            Err(_panicked) => return Err(Failure::Handle(Some("panicked".to_owned()))),
        }
        // If marking fails, the lease need not be released: it is over before the message comes again, as the queue's
        // visibility timeout is six times this function's timeout.
        self.mark(&key, lease).await?;
        Ok("handled")
    }

    /// Since 1970.
    fn now(&self) -> Duration {
        (self.clock)().duration_since(UNIX_EPOCH).unwrap_or_default()
    }
}

/// The event of a message. As the consumers of other languages do, it takes no array for an object, and no object for text: serde
/// reads both as a struct and as an enum.
fn read(body: &str) -> Result<Event<'static>, ReadError> {
    type Object<'a> = HashMap<String, &'a RawValue>;
    let read = Event::from_json(body)?;
    let event: Object = serde_json::from_str(body)?;
    let data: Object = serde_json::from_str(event["data"].get())?;
    let mut texts = vec![event["specversion"], event["datacontenttype"]];
    for name in ["resource", "amount", "customer"] {
        let object = data.get(name).map_or(Ok(None), |part| serde_json::from_str::<Option<Object>>(part.get()))?;
        texts.extend(object.and_then(|object| object.get("unit").copied()).filter(|_| name == "amount"));
    }
    for text in texts {
        serde_json::from_str::<String>(text.get())?;
    }
    Ok(read.into_owned())
}

#[cfg(test)]
mod tests {
    use std::{env, process::Command};

    /// In a process of its own: the hook holds for all threads.
    #[test]
    fn a_panic_logs_its_place_and_not_its_message() {
        if env::var_os("PANIC").is_some() {
            super::panic_without_message();
            panic!("{}", ["s3cr", "3t"].concat());
        }
        let mut this = Command::new(env::current_exe().unwrap());
        this.args(["--exact", "tests::a_panic_logs_its_place_and_not_its_message", "--nocapture"]).env("PANIC", "1");
        let ran = this.output().unwrap();
        let (out, log) = (String::from_utf8(ran.stdout).unwrap(), String::from_utf8(ran.stderr).unwrap());
        assert!(log.contains(r#""message":"panicked""#) && log.contains("lib.rs:"), "{log}");
        assert!(!(log + &out).contains("s3cr3t"));
    }
}
