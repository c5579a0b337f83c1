//! The local SQS: winterbaume's queues behind the AWS JSON protocol, as strict as AWS wherever Hookgate could notice.
//!
//! Standard queues only. Of winterbaume only the queues are used, not its HTTP handlers: those drop system attributes and
//! binary values, miscount what came back to a queue, and read a visibility timeout of 0 as none.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use md5::{Digest, Md5};
use serde_json::{Map, Value, json};
use tokio::{net::TcpListener, sync::oneshot, time::Instant};
use winterbaume_sqs::{
    model::{Message, MessageAttributeValue, ReceiveMessageRequest, SendMessageRequest},
    state::{QueueState, SqsError, SqsState},
    types::{self, MessageAttribute, MessageMoveTask},
};

use super::crash::{Crash, Crashes};

const REGION: &str = "us-east-1";
const ACCOUNT: &str = "000000000000";

/// The engine has no field for system attributes. They travel among the message's own, under a prefix that AWS reserves,
/// and so follow it to the dead letters.
const SYSTEM: &str = "AWS.";

/// The queue that a message was sent to: as AWS calls it, once the message is in a dead-letter queue.
const SOURCE: &str = "AWS.DeadLetterQueueSourceArn";

/// Why AWS gives up a move task, at a message that was sent to the dead-letter queue itself.
const NO_SOURCE: &str = "CouldNotDetermineMessageSource";

/// How often a long poll looks again. Far below what a person or a test would notice.
const POLL: Duration = Duration::from_millis(20);

/// What is kept of bodies for those who follow a queue without receiving from it.
const MOST_JOURNAL_BYTES: usize = 64 * 1024 * 1024;

/// Answers SQS calls on `listener` until `stopped`.
pub(super) async fn serve(
    listener: TcpListener,
    Queues(sqs): Queues,
    stopped: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let router = Router::new()
        // Some SDKs call `/`, others the queue's own URL.
        .fallback(answer)
        // A message of 1 MiB can be a good deal longer as JSON; the queue's own limit decides.
        .layer(DefaultBodyLimit::disable())
        .with_state(sqs);
    axum::serve(listener, router).with_graceful_shutdown(stopped).await
}

async fn answer(State(sqs): State<Arc<Sqs>>, headers: HeaderMap, body: Bytes) -> Response {
    // Another site's name that its DNS has made to lead here: its page in a browser could read every message.
    let host = headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or_default();
    if !crate::local::host::is_local(host) {
        return (StatusCode::FORBIDDEN, "only this machine is answered: use 127.0.0.1 or localhost").into_response();
    }
    if headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(FORM.as_bytes())) {
        return (StatusCode::BAD_REQUEST, [(CONTENT_TYPE, "text/xml")], OLDER_PROTOCOL).into_response();
    }
    let action = headers
        .get("x-amz-target")
        .and_then(|target| target.to_str().ok()?.strip_prefix("AmazonSQS."))
        .unwrap_or_default();
    let answer = match serde_json::from_slice(&body) {
        Ok(request) if action == "ReceiveMessage" => sqs.wait(request).await,
        Ok(request) if action == JOURNAL => sqs.follow(&request).await,
        Ok(request) if action == "SendMessage" => sqs.send(request).await,
        Ok(request) => sqs.perform(action, request),
        Err(error) => Err(error.into()),
    };
    let json = (CONTENT_TYPE, "application/x-amz-json-1.0");
    match answer {
        Ok(body) => (StatusCode::OK, [json], body.to_string()).into_response(),
        Err(refusal) => {
            let body = json!({"__type": format!("com.amazonaws.sqs#{}", refusal.shape()), "message": refusal.message});
            // SDKs know some errors by the older protocol's code alone.
            let code = [("x-amzn-query-error", format!("{};Sender", refusal.code))];
            (StatusCode::BAD_REQUEST, [json], code, body.to_string()).into_response()
        }
    }
}

/// How SDKs before November 2023 ask.
const FORM: &str = "application/x-www-form-urlencoded";
const OLDER_PROTOCOL: &str = "<ErrorResponse><Error><Type>Sender</Type>\
                              <Code>AWS.SimpleQueueService.UnsupportedOperation</Code>\
                              <Message>This SDK speaks the older protocol of SQS (query). The local SQS speaks AWS JSON \
                              only: use an SDK of November 2023 or later.</Message></Error></ErrorResponse>";

type Answer = Result<Value, Refusal>;

/// An error as AWS words it.
struct Refusal {
    code: &'static str,
    message: String,
}

impl Refusal {
    /// The error's name in the JSON protocol.
    fn shape(&self) -> &str {
        match self.code.rsplit('.').next().unwrap_or_default() {
            "NonExistentQueue" => "QueueDoesNotExist",
            "QueueAlreadyExists" => "QueueNameExists",
            name => name,
        }
    }

    fn invalid_parameter(message: impl Into<String>) -> Self {
        Self { code: "InvalidParameterValue", message: message.into() }
    }
}

impl From<SqsError> for Refusal {
    fn from(error: SqsError) -> Self {
        let code = match error {
            SqsError::NonExistentQueue => "AWS.SimpleQueueService.NonExistentQueue",
            SqsError::QueueAlreadyExists => "QueueAlreadyExists",
            SqsError::InvalidReceiptHandle { .. } => "ReceiptHandleIsInvalid",
            // What is left that the actions below can meet: impossible queue names.
            _ => "InvalidParameterValue",
        };
        let message = error.to_string();
        Self { code, message }
    }
}

impl From<serde_json::Error> for Refusal {
    fn from(error: serde_json::Error) -> Self {
        Self { code: "SerializationException", message: error.to_string() }
    }
}

/// The one action that AWS has not: `{QueueUrl, After, WaitTimeSeconds}` answers what was sent to a queue since, oldest
/// first, whether it is still there or not, and the number of the last message of all queues. Changes nothing: neither
/// receive counts nor what a consumer gets.
pub(crate) const JOURNAL: &str = "HookgateJournal";

/// What was sent lately, to all queues.
#[derive(Default)]
struct Journal {
    entries: VecDeque<Entry>,
    bytes: usize,
    /// How many there ever were. Entries are numbered from 1.
    count: u64,
}

struct Entry {
    number: u64,
    queue: String,
    message_id: String,
    body: String,
}

impl Journal {
    fn add(&mut self, queue: &str, message_id: &str, body: &str) {
        self.count += 1;
        self.bytes += body.len();
        let (queue, message_id, body) = (queue.to_owned(), message_id.to_owned(), body.to_owned());
        self.entries.push_back(Entry { number: self.count, queue, message_id, body });
        while self.bytes > MOST_JOURNAL_BYTES {
            self.bytes -= self.entries.pop_front().map_or(self.bytes, |oldest| oldest.body.len());
        }
    }
}

/// A look at the queues that changes nothing: receiving would raise receive counts and hide messages for a while.
#[derive(Clone)]
pub struct Queues(Arc<Sqs>);

/// What a queue holds.
#[derive(Debug)]
pub struct Look {
    /// How many messages can be received.
    pub waiting: usize,
    /// How many were received, and may come back.
    pub in_flight: usize,
    /// The latest of them, the last one first.
    pub latest: Vec<Seen>,
}

/// A message, as it lies there.
#[derive(Debug, Clone)]
pub struct Seen {
    /// SQS's id.
    pub id: String,
    /// When it was sent, in Unix milliseconds.
    pub sent: i64,
    /// How often it was received.
    pub receives: u32,
    /// Whether it can be received now.
    pub waiting: bool,
    /// Its text.
    pub body: String,
}

impl Queues {
    /// No queues yet, at a server whose address begins with `url`.
    pub(super) fn new(url: String) -> Self {
        Queues(Arc::new(Sqs { queues: Mutex::default(), journal: Mutex::default(), crashes: Crashes::default(), url }))
    }

    /// What a queue holds, with at most this many of its messages. None where there is no such queue.
    #[must_use]
    pub fn look(&self, queue_url: &str, most: usize) -> Option<Look> {
        let queues = self.0.queues();
        let messages = &queues.queues.get(name(queue_url))?.messages;
        let waiting = messages.iter().filter(|message| message.is_visible()).count();
        let latest = messages.iter().rev().take(most).map(seen).collect();
        Some(Look { waiting, in_flight: messages.len() - waiting, latest })
    }

    /// Has the function die that sends the message with this trace header. It receives the word to.
    pub(crate) fn crash(&self, trace: &str, crash: Crash) -> oneshot::Receiver<()> {
        self.0.crashes.arm(trace, crash)
    }

    /// The queue in which a message lies, and the message.
    #[must_use]
    pub fn find(&self, message_id: &str) -> Option<(String, Seen)> {
        let queues = self.0.queues();
        queues.queues.iter().find_map(|(name, queue)| {
            let message = queue.messages.iter().find(|message| message.message_id == message_id)?;
            Some((name.clone(), seen(message)))
        })
    }
}

impl std::fmt::Debug for Queues {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Queues of {}", self.0.url)
    }
}

fn seen(message: &types::Message) -> Seen {
    Seen {
        id: message.message_id.clone(),
        sent: message.sent_timestamp,
        receives: message.approximate_receive_count,
        waiting: message.is_visible(),
        body: message.body.clone(),
    }
}

struct Sqs {
    queues: Mutex<SqsState>,
    journal: Mutex<Journal>,
    crashes: Crashes,
    /// Where this server listens; queue URLs begin with it.
    url: String,
}

impl Sqs {
    fn queues(&self) -> MutexGuard<'_, SqsState> {
        // A panicked request must not take every later one with it: worst, its own message is half done.
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn journal(&self) -> MutexGuard<'_, Journal> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Performs [`JOURNAL`], which waits for its first message, too.
    async fn follow(&self, request: &Value) -> Answer {
        let name = name(request["QueueUrl"].as_str().unwrap_or_default());
        queue(&mut self.queues(), name)?;
        let after = request["After"].as_u64().unwrap_or_default();
        let until =
            Instant::now() + Duration::from_secs(request["WaitTimeSeconds"].as_u64().unwrap_or_default().min(20));
        loop {
            let (messages, last) = {
                let journal = self.journal();
                let new = journal.entries.iter().filter(|entry| entry.number > after && entry.queue == name);
                let shown = |e: &Entry| json!({"Number": e.number, "MessageId": e.message_id, "Body": e.body});
                (new.take(10).map(shown).collect::<Vec<_>>(), journal.count)
            };
            if !messages.is_empty() || Instant::now() >= until {
                return Ok(json!({"Messages": messages, "Last": last}));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Performs `ReceiveMessage`, which waits for its first message.
    async fn wait(&self, request: Value) -> Answer {
        let request: ReceiveMessageRequest = serde_json::from_value(request)?;
        let name = name(&request.queue_url);
        let seconds = match request.wait_time_seconds {
            Some(seconds) => u32::try_from(seconds).unwrap_or_default(),
            None => queue(&mut self.queues(), name)?.queue.receive_wait_time_seconds,
        };
        let until = Instant::now() + Duration::from_secs(seconds.min(20).into());
        loop {
            let messages = receive(&mut self.queues(), name, &request)?;
            if !messages.is_empty() {
                return Ok(json!({"Messages": messages}));
            }
            if Instant::now() >= until {
                return Ok(json!({}));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Performs `SendMessage`, unless its sender is to die before.
    async fn send(&self, request: Value) -> Answer {
        let trace = request["MessageSystemAttributes"]["AWSTraceHeader"]["StringValue"].as_str();
        let Some((crash, word)) = trace.and_then(|trace| self.crashes.take(trace)) else {
            return self.perform("SendMessage", request);
        };
        match crash {
            Crash::Claimed => {}
            Crash::Enqueued => drop(self.perform("SendMessage", request)?),
        }
        let _ = word.send(());
        // An answer could come before the word does. This ends with the connection, which ends with the sender.
        std::future::pending().await
    }

    /// Performs every other action.
    fn perform(&self, action: &str, request: Value) -> Answer {
        if let Some(single) = action.strip_suffix("Batch") {
            return self.each(single, &request);
        }
        let text = |member: &str| request[member].as_str().unwrap_or_default();
        let name = name(text("QueueUrl"));
        let queues = &mut *self.queues();
        match action {
            "CreateQueue" => {
                let name = text("QueueName");
                let attributes = attributes(&request)?;
                queues.create_queue(name, REGION, ACCOUNT, &attributes, None)?;
                let created = &mut queue(queues, name)?.queue;
                created.url = format!("{}/{ACCOUNT}/{name}", self.url);
                Ok(json!({"QueueUrl": created.url}))
            }
            "GetQueueUrl" => Ok(json!({"QueueUrl": queues.get_queue_url(text("QueueName"))?})),
            "ListQueues" => {
                let queues = queues.list_queues(request["QueueNamePrefix"].as_str());
                let mut urls: Vec<_> = queues.iter().map(|queue| &queue.url).collect();
                urls.sort();
                Ok(json!({"QueueUrls": urls}))
            }
            "GetQueueAttributes" => {
                let names: Option<Vec<String>> = serde_json::from_value(request["AttributeNames"].clone())?;
                let mut attributes = queues.get_queue_attributes(name)?;
                // The engine does not count what was received once and came back.
                let messages = &queue(queues, name)?.messages;
                let visible = messages.iter().filter(|message| message.is_visible());
                let visible = visible.count().to_string();
                attributes.insert("ApproximateNumberOfMessages".into(), visible);
                attributes.retain(|name, _| is_asked_for(names.as_deref(), name));
                Ok(json!({"Attributes": attributes}))
            }
            "SetQueueAttributes" => {
                queues.set_queue_attributes(name, &attributes(&request)?)?;
                Ok(json!({}))
            }
            "PurgeQueue" => {
                queues.purge_queue(name)?;
                Ok(json!({}))
            }
            "DeleteQueue" => {
                queues.delete_queue(name)?;
                Ok(json!({}))
            }
            "SendMessage" => {
                let request: SendMessageRequest = serde_json::from_value(request)?;
                send(queues, &mut self.journal(), request)
            }
            "StartMessageMoveTask" => {
                let handle = redrive(queues, &mut self.journal(), &request)?;
                Ok(json!({"TaskHandle": handle}))
            }
            "ListMessageMoveTasks" => {
                let most = request["MaxResults"].as_u64().unwrap_or(1).clamp(1, 10);
                let tasks = queues.message_move_tasks.iter().rev().filter(|task| task.source_arn == text("SourceArn"));
                let tasks = tasks.take(usize::try_from(most).unwrap_or(1)).map(|task| {
                    json!({
                        "SourceArn": task.source_arn, "DestinationArn": task.destination_arn, "Status": task.status,
                        "MaxNumberOfMessagesPerSecond": task.max_number_of_messages_per_second,
                        "FailureReason": (task.status == "FAILED").then_some(NO_SOURCE),
                        "ApproximateNumberOfMessagesMoved": task.approximate_number_of_messages_moved,
                        "ApproximateNumberOfMessagesToMove": task.approximate_number_of_messages_to_move,
                        "StartedTimestamp": task.started_timestamp,
                    })
                });
                Ok(json!({"Results": tasks.collect::<Vec<_>>()}))
            }
            "DeleteMessage" => {
                let receipt = text("ReceiptHandle");
                // Only the latest receipt deletes; AWS accepts the earlier ones in silence.
                if !is_superseded(receipt, queue(queues, name)?) {
                    queues.delete_message(name, receipt)?;
                }
                Ok(json!({}))
            }
            "ChangeMessageVisibility" => {
                let seconds = request["VisibilityTimeout"].as_u64();
                let seconds = seconds.and_then(|seconds| u32::try_from(seconds).ok());
                let seconds = seconds
                    .ok_or_else(|| Refusal::invalid_parameter("VisibilityTimeout is missing or out of range."))?;
                queues.change_message_visibility(name, text("ReceiptHandle"), seconds)?;
                Ok(json!({}))
            }
            _ => Err(Refusal {
                code: "AWS.SimpleQueueService.UnsupportedOperation",
                message: format!("The local SQS does not offer '{action}'."),
            }),
        }
    }

    /// Performs a batch, entry by entry: each succeeds or fails on its own. The size of a whole batch is not checked.
    fn each(&self, action: &str, request: &Value) -> Answer {
        let entries: Vec<Map<String, Value>> = serde_json::from_value(request["Entries"].clone())?;
        check_batch(&entries)?;
        let (mut successful, mut failed) = (Vec::new(), Vec::new());
        for mut entry in entries {
            let id = entry.get("Id").cloned();
            entry.insert("QueueUrl".into(), request["QueueUrl"].clone());
            match self.perform(action, entry.into()) {
                Ok(mut answer) => {
                    answer["Id"] = json!(id);
                    successful.push(answer);
                }
                Err(Refusal { code, message }) => {
                    failed.push(json!({"Id": id, "Code": code, "Message": message, "SenderFault": true}));
                }
            }
        }
        Ok(json!({"Successful": successful, "Failed": failed}))
    }
}

/// The last segment of a queue's URL, whatever host it names.
fn name(queue_url: &str) -> &str {
    queue_url.rsplit('/').next().unwrap_or_default()
}

fn queue<'a>(queues: &'a mut SqsState, name: &str) -> Result<&'a mut QueueState, SqsError> {
    queues.queues.get_mut(name).ok_or(SqsError::NonExistentQueue)
}

/// The attributes to create or change a queue with.
fn attributes(request: &Value) -> Result<HashMap<String, String>, Refusal> {
    let attributes: Option<HashMap<String, String>> = serde_json::from_value(request["Attributes"].clone())?;
    let attributes = attributes.unwrap_or_default();
    let size = attributes.get("MaximumMessageSize").map(|size| size.parse());
    if size.is_some_and(|size| !size.is_ok_and(|size: u32| (1024..=1_048_576).contains(&size))) {
        return Err(Refusal {
            code: "InvalidAttributeValue",
            message: "Invalid value for the parameter MaximumMessageSize.".into(),
        });
    }
    Ok(attributes)
}

/// Whether a caller that lists `names` gets the attribute `name`. AWS returns none unasked.
fn is_asked_for(names: Option<&[String]>, name: &str) -> bool {
    names.unwrap_or_default().iter().any(|asked| {
        let prefix = asked.strip_suffix(".*");
        asked == "All" || asked == name || prefix.is_some_and(|prefix| name.starts_with(prefix))
    })
}

/// What AWS refuses of a whole batch.
fn check_batch(entries: &[Map<String, Value>]) -> Result<(), Refusal> {
    let ids: HashSet<_> = entries.iter().map(|entry| entry.get("Id").and_then(Value::as_str)).collect();
    let (code, message) = match entries.len() {
        0 => (
            "AWS.SimpleQueueService.EmptyBatchRequest",
            "There should be at least one entry in the request.".to_owned(),
        ),
        11.. => (
            "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
            format!("Maximum number of entries per request are 10. You have sent {}.", entries.len()),
        ),
        count if ids.len() < count => {
            ("AWS.SimpleQueueService.BatchEntryIdsNotDistinct", "Two entries have one Id.".to_owned())
        }
        _ => return Ok(()),
    };
    Err(Refusal { code, message })
}

fn is_superseded(receipt: &str, queue: &QueueState) -> bool {
    queue.messages.iter().any(|message| {
        message.receipt_handle.as_deref() != Some(receipt)
            && message.all_receipt_handles.iter().any(|old| old == receipt)
    })
}

fn send(queues: &mut SqsState, journal: &mut Journal, request: SendMessageRequest) -> Answer {
    let name = name(&request.queue_url);
    let QueueState { queue: own, .. } = queue(queues, name)?;
    let (limit, arn) = (own.maximum_message_size, own.arn.clone());
    let body = request.message_body;
    let mut attributes = HashMap::new();
    for (name, attribute) in request.message_attributes.into_iter().flatten() {
        attributes.insert(name, stored(attribute)?);
    }
    check(&body, &attributes, limit)?;
    let attributes_md5 = md5(&attributes);

    // From here on system attributes too, which count neither for the size nor for that MD5.
    for (name, attribute) in request.message_system_attributes.into_iter().flatten() {
        attributes.insert(format!("{SYSTEM}{name}"), system(attribute.string_value));
    }
    if let Some(group) = &request.message_group_id {
        let name = format!("{SYSTEM}MessageGroupId");
        attributes.insert(name, system(Some(group.clone())));
    }
    attributes.insert(SOURCE.to_owned(), system(Some(arn)));
    let delay = request.delay_seconds.and_then(|s| u32::try_from(s).ok());
    let sent = queues.send_message(name, &body, delay, attributes, None, None)?;
    journal.add(name, &sent.message_id, &body);
    let mut answer = json!({"MessageId": sent.message_id, "MD5OfMessageBody": sent.body_md5});
    if let Some(md5) = attributes_md5 {
        answer["MD5OfMessageAttributes"] = md5.into();
    }
    Ok(answer)
}

/// What AWS refuses of a message.
fn check(body: &str, attributes: &HashMap<String, MessageAttribute>, limit: u32) -> Result<(), Refusal> {
    const FORBIDDEN: &str = "Invalid characters found. Valid unicode characters are #x9 | #xA | #xD | #x20 to #xD7FF | \
                             #xE000 to #xFFFD | #x10000 to #x10FFFF";

    if body.is_empty() {
        return Err(Refusal {
            code: "MissingParameter",
            message: "The request must contain the parameter MessageBody.".into(),
        });
    }
    let size = attributes.iter().fold(body.len(), |size, (name, attribute)| {
        size + name.len() + attribute.data_type.len() + bytes(attribute).len()
    });
    if size > limit as usize {
        return Err(Refusal::invalid_parameter(format!(
            "One or more parameters are invalid. Reason: Message must be shorter than {limit} bytes."
        )));
    }
    if !body.chars().all(is_allowed) {
        return Err(Refusal { code: "InvalidMessageContents", message: FORBIDDEN.into() });
    }
    let mut values = attributes.values().filter_map(|a| a.string_value.as_ref());
    if !values.all(|value| value.chars().all(is_allowed)) {
        return Err(Refusal::invalid_parameter(FORBIDDEN));
    }
    Ok(())
}

fn is_allowed(character: char) -> bool {
    // U+D800 to U+DFFF are no `char`.
    matches!(character, '\t' | '\n' | '\r' | ' '..='\u{FFFD}' | '\u{10000}'..)
}

/// Performs `StartMessageMoveTask`, all of it at once: dead letters become new messages of the queue that they are from. As
/// on AWS, the task fails at one that was sent to the dead-letter queue itself, unless the destination is named. Gives the
/// task's handle.
fn redrive(queues: &mut SqsState, journal: &mut Journal, request: &Value) -> Result<String, Refusal> {
    let text = |member: &str| request[member].as_str();
    let source = text("SourceArn").unwrap_or_default();
    let dead = queues.queues.iter().find(|(_, queue)| queue.queue.arn == source).map(|(name, _)| name.clone());
    let dead = dead.ok_or_else(|| Refusal {
        code: "ResourceNotFoundException",
        message: "The resource that you specified for the SourceArn parameter doesn't exist.".into(),
    })?;
    if !queues.queues.values().any(|queue| queue.dead_letter_target_arn.as_deref() == Some(source)) {
        return Err(Refusal::invalid_parameter("Source queue must be configured as a Dead Letter Queue."));
    }
    let named = text("DestinationArn");
    if named.is_some_and(|arn| queues.queues.values().all(|queue| queue.queue.arn != arn)) {
        return Err(Refusal {
            code: "ResourceNotFoundException",
            message: "The resource that you specified for the DestinationArn parameter doesn't exist.".into(),
        });
    }

    let letters = &mut queue(queues, &dead)?.messages;
    let (visible, rest): (Vec<_>, _) = std::mem::take(letters).into_iter().partition(types::Message::is_visible);
    *letters = rest;
    let (mut moved, mut failed) = (0, false);
    for mut letter in visible {
        let arn = named.map(str::to_owned).or_else(|| source_of(&letter).filter(|arn| arn != source));
        let destination = queues.queues.iter().find(|(_, queue)| Some(&queue.queue.arn) == arn.as_ref());
        let Some(destination) = destination.map(|(name, _)| name.clone()) else {
            failed = true;
            queue(queues, &dead)?.messages.push(letter);
            continue;
        };
        letter.message_attributes.insert(SOURCE.to_owned(), system(arn));
        let sent = queues.send_message(&destination, &letter.body, None, letter.message_attributes, None, None)?;
        journal.add(&destination, &sent.message_id, &letter.body);
        moved += 1;
    }
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    queues.message_move_task_counter += 1;
    let handle = BASE64_STANDARD.encode(format!("{source}#{}", queues.message_move_task_counter));
    queues.message_move_tasks.push(MessageMoveTask {
        task_handle: handle.clone(),
        source_arn: source.to_owned(),
        destination_arn: named.map(str::to_owned),
        status: if failed { "FAILED" } else { "COMPLETED" }.to_owned(),
        max_number_of_messages_per_second: None,
        started_timestamp: i64::try_from(now.unwrap_or_default().as_millis()).unwrap_or(i64::MAX),
        approximate_number_of_messages_moved: moved,
        approximate_number_of_messages_to_move: Some(moved),
    });
    Ok(handle)
}

fn receive(queues: &mut SqsState, name: &str, request: &ReceiveMessageRequest) -> Result<Vec<Message>, Refusal> {
    let max = request.max_number_of_messages.unwrap_or(1);
    if !(1..=10).contains(&max) {
        return Err(Refusal::invalid_parameter(format!(
            "Value {max} for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and 10, if provided."
        )));
    }
    let max = usize::try_from(max).unwrap_or(1);
    let hidden = request.visibility_timeout;
    let hidden = hidden.and_then(|seconds| u32::try_from(seconds).ok());
    let received = queues.receive_message(name, max, hidden)?;
    let own = queue(queues, name)?.queue.arn.clone();
    Ok(received.into_iter().map(|message| shown(message, request, &own)).collect())
}

/// The ARN of the queue that a message was sent to.
fn source_of(message: &types::Message) -> Option<String> {
    message.message_attributes.get(SOURCE)?.string_value.clone()
}

/// A message with the attributes that were asked for.
fn shown(mut message: types::Message, request: &ReceiveMessageRequest, own: &str) -> Message {
    // A dead letter's only.
    if source_of(&message).as_deref() == Some(own) {
        message.message_attributes.remove(SOURCE);
    }
    let (system, mut own): (HashMap<_, _>, HashMap<_, _>) =
        message.message_attributes.into_iter().partition(|(name, _)| name.starts_with(SYSTEM));

    let count = message.approximate_receive_count.to_string();
    let first = message.approximate_first_receive_timestamp.unwrap_or(0);
    let mut attributes: HashMap<String, String> = HashMap::from([
        ("SenderId".into(), message.sender_id),
        ("SentTimestamp".into(), message.sent_timestamp.to_string()),
        ("ApproximateReceiveCount".into(), count),
        ("ApproximateFirstReceiveTimestamp".into(), first.to_string()),
    ]);
    for (name, attribute) in system {
        let value = attribute.string_value.unwrap_or_default();
        attributes.insert(name[SYSTEM.len()..].into(), value);
    }
    attributes.retain(|name, _| {
        // The first is the older name of the second.
        is_asked_for(request.attribute_names.as_deref(), name)
            || is_asked_for(request.message_system_attribute_names.as_deref(), name)
    });
    own.retain(|name, _| is_asked_for(request.message_attribute_names.as_deref(), name));

    Message {
        attributes: (!attributes.is_empty()).then_some(attributes),
        body: Some(message.body),
        m_d5_of_body: Some(message.body_md5),
        m_d5_of_message_attributes: md5(&own),
        message_attributes: (!own.is_empty()).then(|| own.into_iter().map(|(name, a)| (name, sent(a))).collect()),
        message_id: Some(message.message_id),
        receipt_handle: message.receipt_handle,
    }
}

fn stored(attribute: MessageAttributeValue) -> Result<MessageAttribute, Refusal> {
    let binary = attribute.binary_value.map(|v| BASE64_STANDARD.decode(v));
    Ok(MessageAttribute {
        data_type: attribute.data_type,
        string_value: attribute.string_value,
        binary_value: binary.transpose().map_err(|error| Refusal::invalid_parameter(error.to_string()))?,
    })
}

fn sent(attribute: MessageAttribute) -> MessageAttributeValue {
    MessageAttributeValue {
        data_type: attribute.data_type,
        string_value: attribute.string_value,
        binary_value: attribute.binary_value.map(|v| BASE64_STANDARD.encode(v)),
        ..MessageAttributeValue::default()
    }
}

fn system(string_value: Option<String>) -> MessageAttribute {
    MessageAttribute { data_type: "String".into(), string_value, binary_value: None }
}

fn bytes(attribute: &MessageAttribute) -> &[u8] {
    let text = attribute.string_value.as_deref().unwrap_or_default();
    attribute.binary_value.as_deref().unwrap_or(text.as_bytes())
}

/// The digest that SDKs compare with their own: names in order, each part behind its length.
fn md5(attributes: &HashMap<String, MessageAttribute>) -> Option<String> {
    let mut digest = Md5::new();
    let mut part = |bytes: &[u8], then: &[u8]| {
        // The size check keeps parts far below 4 GiB.
        digest.update(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
        digest.update(bytes);
        digest.update(then);
    };
    let mut sorted: Vec<_> = attributes.iter().collect();
    sorted.sort_by_key(|(name, _)| *name);
    for (name, attribute) in sorted {
        let transport = if attribute.binary_value.is_some() { 2 } else { 1 };
        part(name.as_bytes(), &[]);
        part(attribute.data_type.as_bytes(), &[transport]);
        part(bytes(attribute), &[]);
    }
    (!attributes.is_empty()).then(|| format!("{:x}", digest.finalize()))
}

#[cfg(test)]
mod tests {
    use aws_sdk_sqs::{
        Client,
        error::ProvideErrorMetadata,
        operation::receive_message::builders::ReceiveMessageFluentBuilder,
        primitives::Blob,
        types::{
            DeleteMessageBatchRequestEntry, Message, MessageAttributeValue, MessageSystemAttributeName as System,
            MessageSystemAttributeNameForSends as ForSends, MessageSystemAttributeValue, QueueAttributeName,
            SendMessageBatchRequestEntry,
        },
    };

    use super::{Duration, Instant, Journal, MOST_JOURNAL_BYTES};
    use crate::local::engines::{Engines, sdk_config, tests::started};

    const TRACE: &str = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";

    /// A queue of its own for each test.
    async fn queue(engines: &Engines, attributes: &[(QueueAttributeName, &str)]) -> (Client, String) {
        let sqs = engines.sqs();
        let mut create = sqs.create_queue().queue_name("queue");
        for (name, value) in attributes {
            create = create.attributes(name.clone(), *value);
        }
        let url = create.send().await.unwrap().queue_url.unwrap();
        (sqs, url)
    }

    async fn send(sqs: &Client, url: &str, body: &str) {
        sqs.send_message().queue_url(url).message_body(body).send().await.unwrap();
    }

    fn receive(sqs: &Client, url: &str) -> ReceiveMessageFluentBuilder {
        let all = sqs.receive_message().message_system_attribute_names(System::All);
        all.queue_url(url).max_number_of_messages(10)
    }

    async fn messages(receive: ReceiveMessageFluentBuilder) -> Vec<Message> {
        receive.send().await.unwrap().messages.unwrap_or_default()
    }

    async fn counts(sqs: &Client, url: &str) -> (String, String) {
        let call = sqs.get_queue_attributes().queue_url(url).attribute_names(QueueAttributeName::All);
        let mut attributes = call.send().await.unwrap().attributes.unwrap();
        (
            attributes.remove(&QueueAttributeName::ApproximateNumberOfMessages).unwrap(),
            attributes.remove(&QueueAttributeName::ApproximateNumberOfMessagesNotVisible).unwrap(),
        )
    }

    fn attribute(value: &str) -> MessageAttributeValue {
        MessageAttributeValue::builder().data_type("String").string_value(value).build().unwrap()
    }

    fn trace() -> MessageSystemAttributeValue {
        MessageSystemAttributeValue::builder().data_type("String").string_value(TRACE).build().unwrap()
    }

    #[tokio::test]
    async fn queue_urls_point_here_and_any_host_is_accepted() {
        let engines = started().await;
        let (sqs, url) = queue(&engines, &[]).await;
        assert_eq!(url, format!("{}/000000000000/queue", engines.sqs_url()));
        let got = sqs.get_queue_url().queue_name("queue").send().await.unwrap().queue_url;
        assert_eq!(got.as_deref(), Some(&*url));
        sqs.create_queue().queue_name("other").send().await.unwrap();
        let listed = sqs.list_queues().queue_name_prefix("q").send().await.unwrap().queue_urls;
        assert_eq!(listed.unwrap(), [&*url]);

        send(&sqs, "https://sqs.eu-central-1.amazonaws.com/123456789012/queue", "one").await;
        // As SDKs do that send to the queue's own URL.
        send(&Client::new(&sdk_config(&url)), &url, "two").await;
        assert_eq!(messages(receive(&sqs, &url)).await.len(), 2);
    }

    #[tokio::test]
    async fn trace_and_group_come_back_when_asked_for() {
        let engines = started().await;
        let (sqs, url) = queue(&engines, &[]).await;
        let message = sqs.send_message().queue_url(&url).message_body("body").message_group_id("platform/default");
        message.message_system_attributes(ForSends::AwsTraceHeader, trace()).send().await.unwrap();

        let ask = || sqs.receive_message().queue_url(&url).visibility_timeout(0).message_attribute_names("All");
        let [message] = &messages(ask()).await[..] else { panic!("one message") };
        assert_eq!(message.attributes, None);
        assert_eq!(message.message_attributes, None);

        let asked = ask().message_system_attribute_names(System::AwsTraceHeader);
        let [message] = &messages(asked).await[..] else { panic!("one message") };
        let attributes = message.attributes.clone().unwrap();
        assert_eq!(attributes.into_iter().collect::<Vec<_>>(), [(System::AwsTraceHeader, TRACE.into())]);

        #[expect(deprecated, reason = "consumers still use the parameter's older name")]
        let asked = ask().attribute_names(QueueAttributeName::All);
        let [message] = &messages(asked).await[..] else { panic!("one message") };
        let attributes = message.attributes.as_ref().unwrap();
        assert_eq!(attributes[&System::MessageGroupId], "platform/default");
        assert_eq!(attributes[&System::AwsTraceHeader], TRACE);
        assert_eq!(attributes[&System::ApproximateReceiveCount], "3");
        let sent: u64 = attributes[&System::SentTimestamp].parse().unwrap();
        let received: u64 = attributes[&System::ApproximateFirstReceiveTimestamp].parse().unwrap();
        assert!(sent <= received, "{sent} {received}");
    }

    #[tokio::test]
    async fn attributes_come_back_when_asked_for() {
        let engines = started().await;
        let (sqs, url) = queue(&engines, &[]).await;
        let bytes = MessageAttributeValue::builder().data_type("Binary").binary_value(Blob::new([0, 255]));
        let message = sqs.send_message().queue_url(&url).message_body("body");
        let message = message.message_attributes("type", attribute("commerce.order.paid"));
        let message = message.message_attributes("app.bytes", bytes.build().unwrap());
        message.send().await.unwrap();

        let ask = || sqs.receive_message().queue_url(&url).visibility_timeout(0);
        for (names, expected) in [
            (&[][..], &[][..]),
            (&["other"], &[]),
            (&["type"], &["type"]),
            (&["app.*"], &["app.bytes"]),
            (&["All"], &["app.bytes", "type"]),
            (&[".*"], &["app.bytes", "type"]),
        ] {
            let asked = names.iter().fold(ask(), |ask, name| ask.message_attribute_names(*name));
            let [message] = &messages(asked).await[..] else { panic!("one message") };
            let attributes = message.message_attributes.clone().unwrap_or_default();
            let mut got: Vec<_> = attributes.keys().collect();
            got.sort();
            assert_eq!(got, expected, "{names:?}");
            if let Some(text) = attributes.get("type") {
                assert_eq!(text, &attribute("commerce.order.paid"));
            }
            if let Some(bytes) = attributes.get("app.bytes") {
                assert_eq!(bytes.binary_value(), Some(&Blob::new([0, 255])));
                assert_eq!(bytes.data_type(), "Binary");
            }
        }
    }

    /// For SDKs that compare: the second digest was computed apart, with Python's `hashlib`.
    #[tokio::test]
    async fn digests_are_those_of_aws() {
        let engines = started().await;
        let (sqs, url) = queue(&engines, &[]).await;
        let number = MessageAttributeValue::builder().data_type("Number").string_value("1493147359900");
        let message = sqs.send_message().queue_url(&url).message_body("body").message_group_id("not digested");
        let sent = message.message_attributes("timestamp", number.build().unwrap()).send().await.unwrap();
        assert_eq!(sent.md5_of_message_body(), Some("841a2d689ad86bd1611447453c22c6fc"));
        assert_eq!(sent.md5_of_message_attributes(), Some("235c5c510d26fb653d073faed50ae77c"));

        let [message] = &messages(receive(&sqs, &url).message_attribute_names("All")).await[..] else {
            panic!("one message")
        };
        assert_eq!(message.md5_of_body(), sent.md5_of_message_body());
        assert_eq!(message.md5_of_message_attributes(), sent.md5_of_message_attributes());
    }

    #[tokio::test]
    async fn the_size_limit_counts_body_and_attributes() {
        let engines = started().await;
        let limit = [(QueueAttributeName::MaximumMessageSize, "1048576")];
        let (sqs, url) = queue(&engines, &limit).await;
        // Quotes: twice as long on the wire, which must not matter. "type", "String" and "1234" take 14 bytes.
        for (spare, fits) in [(14, true), (13, false)] {
            let message = sqs.send_message().queue_url(&url).message_body("\"".repeat(1_048_576 - spare));
            let message = message.message_attributes("type", attribute("1234"));
            // Neither of these counts.
            let message =
                message.message_group_id("group").message_system_attributes(ForSends::AwsTraceHeader, trace());
            let sent = message.send().await;
            assert_eq!(sent.is_ok(), fits, "{sent:?}");
            if let Err(error) = sent {
                assert_eq!(error.code(), Some("InvalidParameterValue"));
                let message = "One or more parameters are invalid. Reason: Message must be shorter than 1048576 bytes.";
                assert_eq!(error.message(), Some(message));
            }
        }
        let [message] = &messages(receive(&sqs, &url)).await[..] else { panic!("one message") };
        assert_eq!(message.body().unwrap().len(), 1_048_562);
    }

    #[tokio::test]
    async fn characters_that_xml_lacks_are_refused() {
        let engines = started().await;
        let (sqs, url) = queue(&engines, &[]).await;
        let attempt = |body: &str, value: &str| {
            let message = sqs.send_message().queue_url(&url).message_body(body);
            message.message_attributes("type", attribute(value)).send()
        };
        for refused in ['\0', '\u{8}', '\u{B}', '\u{C}', '\u{E}', '\u{1F}', '\u{FFFE}', '\u{FFFF}'] {
            let error = attempt(&format!("a{refused}"), "fine").await.unwrap_err().into_service_error();
            assert!(error.is_invalid_message_contents(), "{refused:?}: {error:?}");
            let error = attempt("fine", &format!("a{refused}")).await.unwrap_err();
            assert_eq!(error.code(), Some("InvalidParameterValue"), "{refused:?}");
        }
        let allowed = "\t\n\r \u{7F}\u{D7FF}\u{E000}\u{FFFD}\u{10000}\u{10FFFF}";
        attempt(allowed, allowed).await.unwrap();
        let error = sqs.send_message().queue_url(&url).message_body("").send().await.unwrap_err();
        assert_eq!(error.code(), Some("MissingParameter"));

        let [message] = &messages(receive(&sqs, &url)).await[..] else { panic!("one message") };
        assert_eq!(message.body(), Some(allowed));
    }

    #[tokio::test]
    async fn a_received_message_hides_counts_and_comes_back() {
        let engines = started().await;
        let (sqs, url) = queue(&engines, &[]).await;
        send(&sqs, &url, "body").await;
        assert_eq!(counts(&sqs, &url).await, ("1".into(), "0".into()));

        let [first] = &messages(receive(&sqs, &url).visibility_timeout(1)).await[..] else { panic!("one message") };
        assert_eq!(counts(&sqs, &url).await, ("0".into(), "1".into()));
        assert_eq!(messages(receive(&sqs, &url)).await, []);

        tokio::time::sleep(Duration::from_millis(1100)).await;
        assert_eq!(counts(&sqs, &url).await, ("1".into(), "0".into()));
        let [again] = &messages(receive(&sqs, &url)).await[..] else { panic!("one message") };
        assert_eq!(again.message_id, first.message_id);
        assert_eq!(again.attributes.as_ref().unwrap()[&System::ApproximateReceiveCount], "2");

        let show = sqs.change_message_visibility().queue_url(&url).visibility_timeout(0);
        show.receipt_handle(again.receipt_handle().unwrap()).send().await.unwrap();
        assert_eq!(messages(receive(&sqs, &url)).await.len(), 1);
    }

    #[tokio::test]
    async fn a_long_poll_ends_with_the_first_message_or_its_time() {
        let engines = started().await;
        let (sqs, url) = queue(&engines, &[]).await;
        let begun = Instant::now();
        assert_eq!(messages(receive(&sqs, &url).wait_time_seconds(1)).await, []);
        assert!(begun.elapsed() >= Duration::from_secs(1));

        let begun = Instant::now();
        let late = async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            send(&sqs, &url, "late").await;
        };
        let (received, ()) = tokio::join!(messages(receive(&sqs, &url).wait_time_seconds(20)), late);
        assert_eq!(received.len(), 1);
        assert!(begun.elapsed() < Duration::from_secs(10));

        let wait = sqs.set_queue_attributes().queue_url(&url);
        wait.attributes(QueueAttributeName::ReceiveMessageWaitTimeSeconds, "1").send().await.unwrap();
        let begun = Instant::now();
        assert_eq!(messages(receive(&sqs, &url)).await, []);
        assert!(begun.elapsed() >= Duration::from_secs(1));
    }

    #[tokio::test]
    async fn only_the_latest_receipt_deletes() {
        let engines = started().await;
        let (sqs, url) = queue(&engines, &[]).await;
        send(&sqs, &url, "body").await;
        let received = async || {
            let message = messages(receive(&sqs, &url).visibility_timeout(0)).await.pop();
            message.map(|message| message.receipt_handle.unwrap())
        };
        let delete = async |receipt: &str| sqs.delete_message().queue_url(&url).receipt_handle(receipt).send().await;

        let stale = received().await.unwrap();
        let latest = received().await.unwrap();
        delete(&stale).await.unwrap();
        assert_eq!(counts(&sqs, &url).await.0, "1");
        delete(&latest).await.unwrap();
        assert_eq!(received().await, None);
        delete(&latest).await.unwrap();

        let error = delete("never given").await.unwrap_err().into_service_error();
        assert!(error.is_receipt_handle_is_invalid(), "{error:?}");
    }

    #[tokio::test]
    async fn the_dead_letter_queue_takes_what_was_received_too_often() {
        let engines = started().await;
        let sqs = engines.sqs();
        let resources = crate::local::engines::provision(&engines).await.unwrap();
        let (events, dead) = (&resources.events_url, &resources.dead_letters_url);
        let message = sqs.send_message().queue_url(events).message_body("body").message_group_id("platform/default");
        let message = message.message_system_attributes(ForSends::AwsTraceHeader, trace());
        let sent = message.message_attributes("type", attribute("commerce.order.paid")).send().await.unwrap();

        for count in 1..=5 {
            let [message] = &messages(receive(&sqs, events).visibility_timeout(0)).await[..] else {
                panic!("receive {count} must still come from the events")
            };
            assert_eq!(message.attributes.as_ref().unwrap()[&System::ApproximateReceiveCount], count.to_string());
        }
        assert_eq!(messages(receive(&sqs, dead)).await, []);
        assert_eq!(messages(receive(&sqs, events).visibility_timeout(0)).await, []);

        let [message] = &messages(receive(&sqs, dead).message_attribute_names("All")).await[..] else {
            panic!("one dead letter")
        };
        assert_eq!((message.body(), message.message_id()), (Some("body"), sent.message_id()));
        assert_eq!(message.message_attributes.as_ref().unwrap()["type"], attribute("commerce.order.paid"));
        let attributes = message.attributes.as_ref().unwrap();
        assert_eq!(attributes[&System::AwsTraceHeader], TRACE);
        assert_eq!(attributes[&System::MessageGroupId], "platform/default");
    }

    #[test]
    fn the_journal_forgets_the_oldest() {
        let mut journal = Journal::default();
        let body = "x".repeat(MOST_JOURNAL_BYTES / 4);
        for id in ["1", "2", "3", "4", "5"] {
            journal.add("queue", id, &body);
        }
        let kept: Vec<_> = journal.entries.iter().map(|entry| (entry.number, &*entry.message_id)).collect();
        assert_eq!(kept, [(2, "2"), (3, "3"), (4, "4"), (5, "5")]);
        assert_eq!(journal.bytes, MOST_JOURNAL_BYTES);
    }

    #[tokio::test]
    async fn queue_attributes_come_back_when_asked_for() {
        let engines = started().await;
        let (sqs, url) = queue(&engines, &[]).await;
        let ask = || sqs.get_queue_attributes().queue_url(&url);
        let asked = ask().attribute_names(QueueAttributeName::QueueArn).send().await.unwrap().attributes.unwrap();
        let expected = (QueueAttributeName::QueueArn, "arn:aws:sqs:us-east-1:000000000000:queue".into());
        assert_eq!(asked.into_iter().collect::<Vec<_>>(), [expected]);
        let unasked = ask().send().await.unwrap().attributes.unwrap_or_default();
        assert!(unasked.is_empty(), "{unasked:?}");
    }

    #[tokio::test]
    async fn a_purge_leaves_nothing() {
        let engines = started().await;
        let (sqs, url) = queue(&engines, &[]).await;
        send(&sqs, &url, "one").await;
        send(&sqs, &url, "two").await;
        assert_eq!(counts(&sqs, &url).await.0, "2");
        sqs.purge_queue().queue_url(&url).send().await.unwrap();
        assert_eq!(counts(&sqs, &url).await, ("0".into(), "0".into()));
        assert_eq!(messages(receive(&sqs, &url)).await, []);
    }

    #[tokio::test]
    async fn the_entries_of_a_batch_fail_alone() {
        let engines = started().await;
        let (sqs, url) = queue(&engines, &[]).await;
        let entry = |id: &str, body: &str| {
            let entry = SendMessageBatchRequestEntry::builder().id(id).message_body(body);
            entry.message_system_attributes(ForSends::AwsTraceHeader, trace()).build().unwrap()
        };
        let message = sqs.send_message_batch().queue_url(&url).entries(entry("good", "body"));
        let sent = message.entries(entry("bad", "\u{FFFF}")).send().await.unwrap();
        let ([good], [bad]) = (sent.successful(), sent.failed()) else { panic!("one of each: {sent:?}") };
        assert_eq!(good.id(), "good");
        assert_eq!((bad.id(), bad.code(), bad.sender_fault()), ("bad", "InvalidMessageContents", true));

        let [message] = &messages(receive(&sqs, &url)).await[..] else { panic!("one message") };
        assert_eq!(message.message_id(), Some(good.message_id()));
        assert_eq!(message.attributes.as_ref().unwrap()[&System::AwsTraceHeader], TRACE);

        let entry = |id: &str, receipt: &str| {
            DeleteMessageBatchRequestEntry::builder().id(id).receipt_handle(receipt).build().unwrap()
        };
        let delete =
            sqs.delete_message_batch().queue_url(&url).entries(entry("good", message.receipt_handle().unwrap()));
        let deleted = delete.entries(entry("bad", "never given")).send().await.unwrap();
        let ([good], [bad]) = (deleted.successful(), deleted.failed()) else { panic!("one of each: {deleted:?}") };
        assert_eq!((good.id(), bad.id(), bad.code()), ("good", "bad", "ReceiptHandleIsInvalid"));
        assert_eq!(counts(&sqs, &url).await, ("0".into(), "0".into()));
    }

    /// As the JSON protocol names it, and, for SDKs that go by the older one's code, as that does.
    #[tokio::test]
    async fn a_refusal_is_named_as_both_protocols_name_it() {
        let engines = started().await;
        let post = reqwest::Client::new().post(engines.sqs_url()).header("content-type", "application/x-amz-json-1.0");
        let ask = post.header("x-amz-target", "AmazonSQS.GetQueueUrl").body(r#"{"QueueName":"none"}"#);
        let answer = ask.send().await.unwrap();
        assert_eq!(answer.status(), 400);
        assert_eq!(answer.headers()["x-amzn-query-error"], "AWS.SimpleQueueService.NonExistentQueue;Sender");
        let body = answer.text().await.unwrap();
        assert!(body.contains(r#""__type":"com.amazonaws.sqs#QueueDoesNotExist""#), "{body}");

        let older = reqwest::Client::new().post(engines.sqs_url());
        let older = older.header("content-type", "application/x-www-form-urlencoded; charset=utf-8");
        let answer = older.body("Action=ListQueues&Version=2012-11-05").send().await.unwrap();
        assert_eq!((answer.status().as_u16(), &answer.headers()["content-type"]), (400, &"text/xml".parse().unwrap()));
        assert!(answer.text().await.unwrap().contains("the older protocol of SQS"));
    }

    #[tokio::test]
    async fn a_batch_has_one_to_ten_entries_of_different_ids() {
        let engines = started().await;
        let (sqs, url) = queue(&engines, &[]).await;
        let batch = |ids: Vec<usize>| {
            let entry = |id: usize| SendMessageBatchRequestEntry::builder().id(id.to_string()).message_body("body");
            let entries = ids.into_iter().map(|id| entry(id).build().unwrap()).collect();
            sqs.send_message_batch().queue_url(&url).set_entries(Some(entries)).send()
        };
        assert!(batch(vec![]).await.unwrap_err().into_service_error().is_empty_batch_request());
        assert!(batch(vec![1, 1]).await.unwrap_err().into_service_error().is_batch_entry_ids_not_distinct());
        let eleven = batch((0..11).collect()).await.unwrap_err().into_service_error();
        assert!(eleven.is_too_many_entries_in_batch_request(), "{eleven:?}");
        assert_eq!(counts(&sqs, &url).await.0, "0");
        assert_eq!(batch((0..10).collect()).await.unwrap().successful().len(), 10);
    }

    #[tokio::test]
    async fn a_move_task_fails_at_what_was_sent_to_the_dead_letter_queue_itself() {
        let engines = started().await;
        let sqs = engines.sqs();
        let resources = crate::local::engines::provision(&engines).await.unwrap();
        let (events, dead) = (&resources.events_url, &resources.dead_letters_url);
        send(&sqs, events, "dead").await;
        for _ in 0..6 {
            messages(receive(&sqs, events).visibility_timeout(0)).await;
        }
        send(&sqs, dead, "straight").await;
        let letters = messages(receive(&sqs, dead).visibility_timeout(0)).await;
        let source = |message: &Message| message.attributes.as_ref()?.get(&System::DeadLetterQueueSourceArn).cloned();
        let events_arn = "arn:aws:sqs:us-east-1:000000000000:hookgate-events";
        assert_eq!(letters.iter().map(source).collect::<Vec<_>>(), [Some(events_arn.to_owned()), None]);

        let arn = "arn:aws:sqs:us-east-1:000000000000:hookgate-dead-letters";
        sqs.start_message_move_task().source_arn(arn).send().await.unwrap();
        let task = sqs.list_message_move_tasks().source_arn(arn).send().await.unwrap().results.unwrap().remove(0);
        assert_eq!((task.status(), task.failure_reason()), (Some("FAILED"), Some("CouldNotDetermineMessageSource")));
        assert_eq!(task.approximate_number_of_messages_moved(), 1);
        let back = messages(receive(&sqs, events).visibility_timeout(0)).await;
        assert_eq!(back.iter().map(source).collect::<Vec<_>>(), [None]);

        sqs.start_message_move_task().source_arn(arn).destination_arn(events_arn).send().await.unwrap();
        let task = sqs.list_message_move_tasks().source_arn(arn).send().await.unwrap().results.unwrap().remove(0);
        assert_eq!((task.status(), task.failure_reason()), (Some("COMPLETED"), None));
        assert_eq!((counts(&sqs, events).await.0, counts(&sqs, dead).await.0), ("2".into(), "0".into()));
    }

    #[tokio::test]
    async fn refusals_carry_the_names_that_sdks_know() {
        let engines = started().await;
        let (sqs, url) = queue(&engines, &[]).await;
        let other = sqs.create_queue().queue_name("queue").attributes(QueueAttributeName::MaximumMessageSize, "2048");
        let error = other.send().await.unwrap_err().into_service_error();
        assert!(error.is_queue_name_exists(), "{error:?}");

        for size in ["1023", "1048577", "1 MiB"] {
            let create =
                sqs.create_queue().queue_name("sized").attributes(QueueAttributeName::MaximumMessageSize, size);
            assert_eq!(create.send().await.unwrap_err().code(), Some("InvalidAttributeValue"), "{size}");
        }

        let eleven = sqs.receive_message().queue_url(&url).max_number_of_messages(11);
        assert_eq!(eleven.send().await.unwrap_err().code(), Some("InvalidParameterValue"));

        let error = sqs.list_queue_tags().queue_url(&url).send().await.unwrap_err().into_service_error();
        assert!(error.is_unsupported_operation(), "{error:?}");

        sqs.delete_queue().queue_url(&url).send().await.unwrap();
        let gone = sqs.send_message().queue_url(&url).message_body("body").send().await;
        assert!(gone.unwrap_err().into_service_error().is_queue_does_not_exist());
        let gone = sqs.receive_message().queue_url(&url).send().await;
        assert!(gone.unwrap_err().into_service_error().is_queue_does_not_exist());
        let gone = sqs.get_queue_url().queue_name("queue").send().await;
        assert!(gone.unwrap_err().into_service_error().is_queue_does_not_exist());
    }
}
