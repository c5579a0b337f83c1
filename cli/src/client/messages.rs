//! Looking at a queue's messages: received, hidden from others meanwhile, and given back in the end.

use std::{
    collections::HashMap,
    error::Error,
    time::{Duration, Instant},
};

use aws_sdk_sqs::{
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
    operation::receive_message::{ReceiveMessageError, ReceiveMessageOutput},
    types::{ChangeMessageVisibilityBatchRequestEntry, Message, MessageSystemAttributeName, QueueAttributeName},
};

use anyhow::{Context as _, anyhow, bail};
use serde_json::{Value, json};
use tokio::{task::JoinHandle, time::timeout};

use super::{
    aws::Clients,
    http::{Outgoing, Poster},
};
use crate::{arguments::address, local::engines::JOURNAL};

/// How long a message stays hidden should this process die before it gives it back. Prolonged at half of it.
const HIDDEN: Duration = Duration::from_mins(2);

/// How long SQS may take to answer when this process is to end, beyond what it was asked to wait.
const GRACE: Duration = Duration::from_secs(3);

/// The most that SQS takes and gives at once.
const BATCH: usize = 10;

/// The messages of one queue that this process has received and not deleted.
pub struct Held<'c> {
    clients: &'c Clients,
    url: &'c str,
    /// The latest receipt of each message, by its id.
    receipts: HashMap<String, String>,
    /// The receive that is under way.
    receiving: Option<JoinHandle<Received>>,
    /// How long that waits for messages.
    wait: Duration,
    hidden: Duration,
    prolonged: Instant,
}

type Received = Result<ReceiveMessageOutput, SdkError<ReceiveMessageError, HttpResponse>>;

impl<'c> Held<'c> {
    /// Holds nothing yet.
    pub fn new(clients: &'c Clients, url: &'c str) -> Self {
        let (wait, hidden, prolonged) = (Duration::ZERO, HIDDEN, Instant::now());
        Held { clients, url, receipts: HashMap::new(), receiving: None, wait, hidden, prolonged }
    }

    /// Up to ten messages that were not met before, hidden from others for two minutes; waits for the first, in whole
    /// seconds, at most SQS' 20. None where the queue has no more to give.
    ///
    /// May be dropped half-way: what SQS hands out all the same is met by the next call, or given back.
    pub async fn more(&mut self, wait: Duration) -> anyhow::Result<Option<Vec<Message>>> {
        self.prolong().await?;
        if self.receiving.is_none() {
            let receive = self.clients.sqs.receive_message().queue_url(self.url).max_number_of_messages(10);
            let receive = receive
                .visibility_timeout(seconds(self.hidden))
                .wait_time_seconds(seconds(wait))
                .message_system_attribute_names(MessageSystemAttributeName::All);
            // A task of its own: a receive that is broken off may have hidden messages that nobody then knows of.
            self.receiving = Some(tokio::spawn(receive.send()));
            self.wait = wait;
        }
        let received = self.received().await?;
        if received.is_empty() {
            return Ok(None);
        }
        Ok(Some(received.into_iter().filter(|message| self.hold(message)).collect()))
    }

    /// Whether the message is a new one.
    fn hold(&mut self, message: &Message) -> bool {
        let id = message.message_id.clone().unwrap_or_default();
        self.receipts.insert(id, message.receipt_handle.clone().unwrap_or_default()).is_none()
    }

    /// What the receive that is under way brings.
    async fn received(&mut self) -> anyhow::Result<Vec<Message>> {
        let Some(receiving) = &mut self.receiving else { return Ok(Vec::new()) };
        let received = receiving.await;
        self.receiving = None;
        let received = received?;
        let received = received.map_err(|error| self.failed("cannot receive from", &error))?;
        Ok(received.messages.unwrap_or_default())
    }

    /// Deletes a message of these.
    pub async fn delete(&mut self, message_id: &str) -> anyhow::Result<()> {
        let Some(receipt) = self.receipts.remove(message_id) else { return Ok(()) };
        let delete = self.clients.sqs.delete_message().queue_url(self.url).receipt_handle(receipt);
        delete.send().await.map(|_| ()).map_err(|error| self.failed("cannot delete from", &error))
    }

    /// Keeps hidden what is held, once half of its time is over. To call wherever time passes between two looks.
    pub async fn prolong(&mut self) -> anyhow::Result<()> {
        if self.prolonged.elapsed() > self.hidden / 2 {
            self.hide_for(self.hidden).await?;
            self.prolonged = Instant::now();
        }
        Ok(())
    }

    /// Makes every message visible again that was not deleted, those of a receive under way included, once it is over. Does
    /// not wait for ever for an SQS that no longer answers: tokio keeps a second Ctrl-C from ending the process.
    pub async fn give_back(mut self) -> anyhow::Result<()> {
        // What an answer that is lost, or too late, has hidden comes back by itself when its time is over.
        let late = timeout(self.wait + GRACE, self.received()).await;
        for message in late.ok().and_then(Result::ok).unwrap_or_default() {
            self.hold(&message);
        }
        self.hide_for(Duration::ZERO).await
    }

    async fn hide_for(&self, time: Duration) -> anyhow::Result<()> {
        let receipts: Vec<_> = self.receipts.values().collect();
        for batch in receipts.chunks(BATCH) {
            let mut change = self.clients.sqs.change_message_visibility_batch().queue_url(self.url);
            for (number, receipt) in batch.iter().enumerate() {
                let entry = ChangeMessageVisibilityBatchRequestEntry::builder().id(number.to_string());
                let entry = entry.receipt_handle(*receipt).visibility_timeout(seconds(time)).build();
                change = change.entries(entry?);
            }
            // An entry that fails is one whose time was over, or that somebody else has deleted: visible, or gone.
            let doing = "cannot give messages back to";
            let changed = match timeout(GRACE, change.send()).await {
                Ok(changed) => changed.map(|_| ()).map_err(|error| self.failed(doing, &error)),
                Err(_) => Err(anyhow!("{doing} {}: SQS does not answer", name(self.url))),
            };
            changed.with_context(|| format!("messages come back by themselves within {} s", self.hidden.as_secs()))?;
        }
        Ok(())
    }

    /// How many messages others hold at the moment, and are not seen here for that.
    pub async fn held_by_others(&self) -> anyhow::Result<usize> {
        let hidden =
            attribute(self.clients, self.url, QueueAttributeName::ApproximateNumberOfMessagesNotVisible).await?;
        let hidden: usize = hidden.and_then(|count| count.parse().ok()).unwrap_or(0);
        Ok(hidden.saturating_sub(self.receipts.len()))
    }

    fn failed<E>(&self, doing: &str, error: &SdkError<E, HttpResponse>) -> anyhow::Error
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        self.clients.failed(&format!("{doing} {}", name(self.url)), error)
    }
}

/// What was sent to a queue of the local intake.
#[derive(Debug)]
pub struct Entry {
    /// SQS's id of it.
    pub message_id: String,
    /// Its text.
    pub body: String,
}

/// Reads what the journal of the local intake's SQS has of one queue. Changes nothing for the queue's consumers.
pub struct Journal {
    poster: Poster,
    queue_url: String,
    /// The number of the last entry that was read.
    after: u64,
}

impl Journal {
    /// From the oldest entry that is kept.
    pub fn new(sqs: &str, queue_url: &str) -> anyhow::Result<Self> {
        Ok(Journal { poster: Poster::new(address("--sqs", sqs)?)?, queue_url: queue_url.to_owned(), after: 0 })
    }

    /// Passes over everything that is there now.
    pub async fn skip(&mut self) -> anyhow::Result<()> {
        let answer = self.ask(u64::MAX, Duration::ZERO).await?;
        self.after = answer["Last"].as_u64().unwrap_or(self.after);
        Ok(())
    }

    /// The next entries, oldest first and a few at a time; waits for the first. None where there are none now.
    pub async fn more(&mut self, wait: Duration) -> anyhow::Result<Option<Vec<Entry>>> {
        let answer = self.ask(self.after, wait).await?;
        let entries = answer["Messages"].as_array().map_or(&[][..], Vec::as_slice);
        let Some(last) = entries.last() else { return Ok(None) };
        self.after = last["Number"].as_u64().unwrap_or(self.after);
        let text = |entry: &Value, name: &str| entry[name].as_str().unwrap_or_default().to_owned();
        let read = |entry: &Value| Entry { message_id: text(entry, "MessageId"), body: text(entry, "Body") };
        Ok(Some(entries.iter().map(read).collect()))
    }

    async fn ask(&self, after: u64, wait: Duration) -> anyhow::Result<Value> {
        let request = json!({"QueueUrl": self.queue_url, "After": after, "WaitTimeSeconds": wait.as_secs()});
        let headers = vec![("x-amz-target".to_owned(), format!("AmazonSQS.{JOURNAL}"))];
        let outgoing = Outgoing { headers, body: request.to_string().into_bytes() };
        let answer = self.poster.exchange(outgoing, wait + GRACE).await;
        let answer =
            answer.context("the local intake's SQS does not answer: start it with `hookgate`, or check --sqs")?;
        if !answer.status().is_success() {
            bail!("what answers as SQS is not the local intake of this version, which keeps a journal: check --sqs");
        }
        serde_json::from_slice(&answer.into_body().unwrap_or_default()).context("SQS's journal cannot be read")
    }
}

/// A queue's name: the end of its URL, and of its ARN.
pub fn name(url: &str) -> &str {
    url.rsplit(['/', ':']).next().unwrap_or(url)
}

/// One of the queue's attributes.
pub async fn attribute(clients: &Clients, url: &str, name: QueueAttributeName) -> anyhow::Result<Option<String>> {
    let get = clients.sqs.get_queue_attributes().queue_url(url).attribute_names(name.clone()).send().await;
    let got = get.map_err(|error| clients.failed(&format!("cannot look at {}", self::name(url)), &error))?;
    Ok(got.attributes.and_then(|mut attributes| attributes.remove(&name)))
}

/// Whether to receive from this queue counts as a failure of its consumers.
pub async fn has_dead_letters(clients: &Clients, url: &str) -> anyhow::Result<bool> {
    Ok(attribute(clients, url, QueueAttributeName::RedrivePolicy).await?.is_some())
}

/// Such a queue is left alone, unless its consumers may be disturbed. `remedy` says what to do in place of that.
pub fn would_disturb(url: &str, remedy: &str) -> anyhow::Error {
    anyhow!(
        "{} has dead letters: to receive counts as a failure of its consumers, and hides its messages from them. {remedy}, \
         or say --disturb-consumers",
        name(url)
    )
}

/// How long to wait for messages that are there: SQS on AWS asks all of its servers
/// [only if it may wait](https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-short-and-long-polling.html).
pub fn patience(clients: &Clients) -> Duration {
    Duration::from_secs(if clients.is_local() { 0 } else { 2 })
}

fn seconds(time: Duration) -> i32 {
    i32::try_from(time.as_secs()).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use clap::Parser;

    use super::*;
    use crate::{
        client::aws::Deployment,
        local::engines::{Engines, provision},
    };

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        deployment: Deployment,
    }

    #[tokio::test]
    async fn what_is_held_stays_hidden_until_it_is_given_back() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let engines = Engines::start(any, any).await.unwrap();
        let url = provision(&engines).await.unwrap().quarantine_url;
        let command = Command::parse_from(["command", "--sqs", &engines.sqs_url()]);
        let clients = command.deployment.clients().await.unwrap();
        for body in ["one", "two", "three"] {
            clients.sqs.send_message().queue_url(&url).message_body(body).send().await.unwrap();
        }
        let seen = async |held: &mut Held<'_>| held.more(Duration::ZERO).await.unwrap().map(|batch| batch.len());

        let mut held = Held { hidden: Duration::from_secs(2), ..Held::new(&clients, &url) };
        assert_eq!(seen(&mut held).await, Some(3));
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_millis(1100)).await;
            assert_eq!(seen(&mut held).await, None);
        }
        assert_eq!(seen(&mut Held::new(&clients, &url)).await, None);
        let deleted = held.receipts.keys().next().unwrap().clone();
        held.delete(&deleted).await.unwrap();
        assert_eq!(held.held_by_others().await.unwrap(), 0);
        held.give_back().await.unwrap();

        let mut first = Held::new(&clients, &url);
        assert_eq!(seen(&mut first).await, Some(2));
        assert_eq!(Held::new(&clients, &url).held_by_others().await.unwrap(), 2);
        // Come back too early, all the same shown once.
        first.hide_for(Duration::ZERO).await.unwrap();
        assert_eq!(seen(&mut first).await, Some(0));
    }
}
