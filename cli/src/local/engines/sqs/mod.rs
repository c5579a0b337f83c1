//! The local SQS: standard queues in memory, with the AWS JSON protocol, as strict as AWS wherever a client could notice.

mod journal;
mod protocol;
mod queue;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::anyhow;
use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::Instant;

pub(crate) use self::journal::{Step, What};
pub(super) use self::queue::arn;
use self::{
    protocol::{Message, Refusal, Request, Result, is_asked_for, require, within},
    queue::{Queue, Store},
};

/// The one action that AWS does not have. Returns the messages that were sent to a queue after a given journal entry, oldest
/// first, including deleted ones, and the number of the latest entry of all queues. Does not affect consumers.
pub(crate) const JOURNAL: &str = "HookgateJournal";

const OLDER_PROTOCOL: &str = "<ErrorResponse><Error><Code>UnsupportedOperation</Code><Message>The local SQS does not support \
    the older protocol of SQS (query): use an SDK of November 2023 or later.</Message></Error></ErrorResponse>";

/// The queues. Unlike a receive, `look` and `find` neither raise receive counts nor hide messages.
#[derive(Debug, Clone)]
pub(crate) struct Queues {
    store: Arc<Mutex<Store>>,
    /// With which queue URLs begin.
    pub(super) server_url: String,
}

/// The content of a queue.
#[derive(Debug)]
pub(crate) struct Look {
    /// How many messages can be received.
    pub(crate) waiting: usize,
    /// How many are hidden, and may come back.
    pub(crate) in_flight: usize,
    /// The latest messages, newest first.
    pub(crate) latest: Vec<Seen>,
}

/// A message in a queue.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) place: Place,
    /// The ids that it had before each redrive.
    pub(crate) earlier_ids: Vec<String>,
    /// When it was sent, in Unix milliseconds.
    pub(crate) sent: u64,
    pub(crate) body: String,
}

/// Where a message is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Place {
    /// The id that it has now. A redrive gives it a new one.
    pub(crate) id: String,
    /// The queue's name.
    pub(crate) queue: String,
    /// How often it was received.
    pub(crate) receives: u64,
    /// After how many receives it moves to the dead-letter queue, where this queue has one.
    pub(crate) most_receives: Option<u64>,
    /// Whether it can be received now.
    pub(crate) waiting: bool,
    /// Whether it was moved from a dead-letter queue.
    pub(crate) redriven: bool,
}

/// Answers SQS calls.
pub(super) fn router(queues: Queues) -> Router {
    // Some SDKs call `/`, others the queue's URL. The queue's size limit applies, not axum's.
    Router::new().fallback(answer).layer(DefaultBodyLimit::disable()).with_state(queues)
}

async fn answer(State(queues): State<Queues>, headers: HeaderMap, body: Bytes) -> Response {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    // Prevents DNS rebinding: a foreign site whose name leads to this machine could read every message from a browser.
    if !crate::local::host::is_local(header("host")) {
        return (StatusCode::FORBIDDEN, "only requests to this machine are answered: use 127.0.0.1 or localhost")
            .into_response();
    }
    // SDKs before November 2023.
    if header("content-type").starts_with("application/x-www-form-urlencoded") {
        return (StatusCode::BAD_REQUEST, [(CONTENT_TYPE, "text/xml")], OLDER_PROTOCOL).into_response();
    }
    let action = header("x-amz-target").trim_start_matches("AmazonSQS.");
    let json = (CONTENT_TYPE, "application/x-amz-json-1.0");
    match queues.answer(action, &body).await {
        Ok(body) => (StatusCode::OK, [json], body.to_string()).into_response(),
        Err(refusal) => {
            let body = json!({"__type": format!("com.amazonaws.sqs#{}", refusal.shape()), "message": refusal.1});
            // Some SDKs recognise an error only by its code in the older protocol.
            let code = [("x-amzn-query-error", format!("{};Sender", refusal.0))];
            (StatusCode::BAD_REQUEST, [json], code, body.to_string()).into_response()
        }
    }
}

impl Queues {
    /// No queues yet.
    pub(super) fn new(server_url: String) -> Self {
        Queues { store: Arc::default(), server_url }
    }

    /// Creates a queue, and gives its URL.
    pub(super) fn create(&self, name: &str, redrive_policy: Option<Value>) -> anyhow::Result<String> {
        let attributes = redrive_policy.map(|policy| ("RedrivePolicy".to_owned(), policy.to_string()));
        let created = self.with(|store, now| store.create(name, attributes.into_iter().collect(), now));
        created.map_err(|Refusal(_, message)| anyhow!("cannot create {name}: {message}"))?;
        Ok(self.url(name))
    }

    fn url(&self, name: &str) -> String {
        format!("{}/000000000000/{name}", self.server_url)
    }

    /// A queue's counts and its latest messages, at most `most`. None if there is no such queue.
    pub(crate) fn look(&self, queue_url: &str, most: usize) -> Option<Look> {
        self.with(|store, now| {
            let name = protocol::name(queue_url);
            let queue = store.live(name, now).ok()?;
            let waiting = queue.messages.iter().filter(|message| message.visible_at <= now).count();
            let latest = queue.messages.iter().rev().take(most).map(|message| queue.seen(name, message, now)).collect();
            Some(Look { waiting, in_flight: queue.messages.len() - waiting, latest })
        })
    }

    /// The message that has this id, or had it before a redrive.
    pub(crate) fn find(&self, message_id: &str) -> Option<Seen> {
        self.with(|store, now| {
            store.queues.iter().find_map(|(name, queue)| {
                let found = queue.messages.iter().find(|message| message.ids().any(|id| id == message_id))?;
                Some(queue.seen(name, found, now))
            })
        })
    }

    /// Where messages are, by each id that they have or had before a redrive.
    pub(crate) fn places(&self, wanted: impl Fn(&str) -> bool) -> BTreeMap<String, Place> {
        self.with(|store, now| {
            let mut places = BTreeMap::new();
            for (name, queue) in &store.queues {
                for message in &queue.messages {
                    let ids = message.ids().filter(|id| wanted(id));
                    places.extend(ids.map(|id| (id.to_owned(), queue.place(name, message, now))));
                }
            }
            places
        })
    }

    /// What `read` makes of the id and body of each message that was sent, oldest first; whether older ones are forgotten.
    pub(crate) fn sent<T>(&self, read: impl Fn(&str, &str) -> Option<T>) -> (Vec<T>, bool) {
        self.with(|store, _| {
            let sent = store.journal.messages().filter_map(|(id, body)| read(id, body)).collect();
            (sent, store.journal.forgot)
        })
    }

    /// What happened to the messages with these ids, oldest first.
    pub(crate) fn steps(&self, wanted: impl Fn(&str) -> bool) -> Vec<Step> {
        self.with(|store, _| store.journal.steps.iter().filter(|step| wanted(&step.message_id)).cloned().collect())
    }

    fn with<T>(&self, work: impl FnOnce(&mut Store, u64) -> T) -> T {
        // One request's panic must not fail all later ones.
        let mut store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        work(&mut store, u64::try_from(now.as_millis()).unwrap_or(u64::MAX))
    }

    async fn answer(&self, action: &str, body: &[u8]) -> Result<Value> {
        let request = serde_json::from_slice(body);
        let request: Request = request.map_err(|error| Refusal("SerializationException", error.to_string()))?;
        let name = protocol::name(&request.queue_url).to_owned();
        match action.strip_suffix("Batch") {
            _ if action == "ReceiveMessage" => self.receive(&name, &request).await,
            _ if action == JOURNAL => {
                self.with(|store, _| store.queue(&name).map(|_| ()))?;
                let wait = within("WaitTimeSeconds", request.wait_time_seconds, 0, 20)?.unwrap_or_default();
                let entries = self.poll(wait, |store, _| Ok(store.journal.after(request.after, &name))).await?;
                Ok(json!({"Messages": entries, "Last": self.with(|store, _| store.journal.count)}))
            }
            Some(single) => self.batch(single, &name, request.entries),
            None => self.perform(action, &name, request),
        }
    }

    async fn receive(&self, name: &str, request: &Request) -> Result<Value> {
        let most = within("MaxNumberOfMessages", request.max_number_of_messages, 1, 10)?.unwrap_or(1);
        let timeout = within("VisibilityTimeout", request.visibility_timeout, 0, 43_200)?;
        let wait = self.with(|store, _| store.queue(name).map(|own| own.number("ReceiveMessageWaitTimeSeconds")))?;
        let wait = within("WaitTimeSeconds", request.wait_time_seconds, 0, 20)?.unwrap_or(wait);
        let messages = self.poll(wait, |store, now| store.receive(name, most, timeout, now)).await?;
        let messages: Vec<_> = messages.into_iter().map(|message| request.received(message)).collect();
        Ok(if messages.is_empty() { json!({}) } else { json!({"Messages": messages}) })
    }

    /// Polls until something is found or the wait is over.
    async fn poll<T>(&self, wait: u64, look: impl Fn(&mut Store, u64) -> Result<Vec<T>>) -> Result<Vec<T>> {
        let until = Instant::now() + Duration::from_secs(wait);
        loop {
            let found = self.with(&look)?;
            if !found.is_empty() || Instant::now() >= until {
                return Ok(found);
            }
            // Too short to be noticed.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Performs a batch, entry by entry: each succeeds or fails on its own.
    fn batch(&self, action: &str, name: &str, entries: Vec<Request>) -> Result<Value> {
        let ids: HashSet<_> = entries.iter().map(|entry| &entry.id).collect();
        let bytes: usize = entries.iter().map(Request::size).sum();
        let (few, distinct, small) = (entries.len() <= 10, ids.len() == entries.len(), bytes <= 1_048_576);
        for (holds, code, message) in [
            (!entries.is_empty(), "AWS.SimpleQueueService.EmptyBatchRequest", "A batch needs at least one entry."),
            (few, "AWS.SimpleQueueService.TooManyEntriesInBatchRequest", "A batch may have at most 10 entries."),
            (distinct, "AWS.SimpleQueueService.BatchEntryIdsNotDistinct", "Two entries of the batch have the same Id."),
            (small, "AWS.SimpleQueueService.BatchRequestTooLong", "A batch may have at most 1048576 bytes."),
        ] {
            require(holds, code, message)?;
        }
        let (mut successful, mut failed) = (Vec::new(), Vec::new());
        for entry in entries {
            let id = entry.id.clone();
            match self.perform(action, name, entry) {
                Ok(mut answer) => {
                    answer["Id"] = id.into();
                    successful.push(answer);
                }
                Err(Refusal(code, message)) => {
                    failed.push(json!({"Id": id, "Code": code, "Message": message, "SenderFault": true}));
                }
            }
        }
        Ok(json!({"Successful": successful, "Failed": failed}))
    }

    /// Performs every other action.
    fn perform(&self, action: &str, name: &str, request: Request) -> Result<Value> {
        let new_id = || uuid::Uuid::new_v4().to_string();
        let (done, created) = (|()| json!({}), json!({"QueueUrl": self.url(&request.queue_name)}));
        self.with(|store, now| match action {
            "CreateQueue" => store.create(&request.queue_name, request.attributes, now).map(|()| created),
            "GetQueueUrl" => store.queue(&request.queue_name).map(|_| created),
            "ListQueues" => {
                let names = store.queues.keys().filter(|name| name.starts_with(&request.queue_name_prefix));
                Ok(json!({"QueueUrls": names.map(|name| self.url(name)).collect::<Vec<_>>()}))
            }
            "GetQueueAttributes" => {
                let mut attributes = store.attributes(name, now)?;
                attributes.retain(|name, _| is_asked_for(&request.attribute_names, name));
                Ok(json!({"Attributes": attributes}))
            }
            "SetQueueAttributes" => store.configure(name, request.attributes, now).map(done),
            "PurgeQueue" => store.purge(name, now).map(done),
            "DeleteQueue" => {
                store.purge(name, now)?;
                store.queues.remove(name);
                Ok(json!({}))
            }
            "SendMessage" => {
                let delay = within("DelaySeconds", request.delay_seconds, 0, 900)?;
                let limit = store.queue(name)?.number("MaximumMessageSize");
                let (message, answer) = request.message(limit, new_id(), now)?;
                store.send(name, message, delay).map(|()| answer)
            }
            "DeleteMessage" => store.delete(name, &request.receipt_handle, now).map(done),
            "ChangeMessageVisibility" => {
                // Required here, unlike in a receive.
                let seconds = within("VisibilityTimeout", request.visibility_timeout.or(Some(-1)), 0, 43_200)?;
                store.change_visibility(name, &request.receipt_handle, seconds.unwrap_or_default(), now).map(done)
            }
            "StartMessageMoveTask" => {
                store.redrive(&request.source_arn, request.destination_arn.as_deref(), now, new_id)?;
                Ok(json!({"TaskHandle": new_id()}))
            }
            "ListMessageMoveTasks" => {
                let tasks = store.tasks.iter().rev().filter(|task| task["SourceArn"] == request.source_arn);
                Ok(json!({"Results": tasks.take(request.max_results.unwrap_or(1)).collect::<Vec<_>>()}))
            }
            _ => Err(Refusal("AWS.SimpleQueueService.UnsupportedOperation", format!("The local SQS has no {action}."))),
        })
    }
}

impl Queue {
    fn seen(&self, name: &str, message: &Message, now: u64) -> Seen {
        let Message { earlier_ids, sent, body, .. } = message.clone();
        Seen { place: self.place(name, message, now), earlier_ids, sent, body }
    }

    fn place(&self, name: &str, message: &Message, now: u64) -> Place {
        Place {
            id: message.id.clone(),
            queue: name.to_owned(),
            receives: message.receives,
            most_receives: self.redrive.as_ref().map(|(_, most)| *most),
            waiting: message.visible_at <= now,
            redriven: !message.earlier_ids.is_empty(),
        }
    }
}
