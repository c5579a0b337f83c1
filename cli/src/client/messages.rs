//! Reading a queue's messages: they are received, hidden from others meanwhile, and given back in the end.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use aws_sdk_sqs::{
    config::http::HttpResponse,
    error::SdkError,
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

/// How long a message stays hidden if this process dies. Renewed when half of it is over.
const HIDDEN: Duration = Duration::from_mins(2);

/// How much longer than the requested wait SQS may take to answer when this process is about to end.
const GRACE: Duration = Duration::from_secs(3);

/// The size of SQS's batches.
const BATCH: usize = 10;

/// A message of a queue.
#[derive(Debug)]
pub struct Entry {
    pub message_id: String,
    pub body: String,
    /// When it was sent, in Unix milliseconds, where the queue says so.
    pub sent: Option<i64>,
}

/// The messages of a queue that this process has received and not deleted.
pub struct Held<'c> {
    clients: &'c Clients,
    url: &'c str,
    /// Each message's latest receipt, by message id.
    receipts: HashMap<String, String>,
    /// The receive in progress.
    receiving: Option<JoinHandle<Received>>,
    /// How long it waits for messages.
    wait: Duration,
    hidden: Duration,
    prolonged: Instant,
}

type Received = Result<ReceiveMessageOutput, SdkError<ReceiveMessageError, HttpResponse>>;

impl<'c> Held<'c> {
    pub fn new(clients: &'c Clients, url: &'c str) -> Self {
        let (wait, hidden, prolonged) = (Duration::ZERO, HIDDEN, Instant::now());
        Held { clients, url, receipts: HashMap::new(), receiving: None, wait, hidden, prolonged }
    }

    /// Up to ten new messages, hidden from others for two minutes. Waits for the first in whole seconds, at most SQS's 20.
    /// None if the queue has no more.
    ///
    /// Can be cancelled: messages that SQS hands out nevertheless are returned by the next call, or given back.
    pub async fn more(&mut self, wait: Duration) -> anyhow::Result<Option<Vec<Entry>>> {
        self.prolong().await?;
        if self.receiving.is_none() {
            let receive = self.clients.sqs.receive_message().queue_url(self.url).max_number_of_messages(10);
            let receive = receive
                .visibility_timeout(seconds(self.hidden))
                .wait_time_seconds(seconds(wait))
                .message_system_attribute_names(MessageSystemAttributeName::SentTimestamp);
            // A task of its own: a cancelled receive could hide messages that nobody knows of.
            self.receiving = Some(tokio::spawn(receive.send()));
            self.wait = wait;
        }
        let received = self.received().await?;
        if received.is_empty() {
            return Ok(None);
        }
        Ok(Some(received.into_iter().filter_map(|message| self.hold(message)).collect()))
    }

    /// Keeps the message's receipt. None if the message is not new.
    fn hold(&mut self, message: Message) -> Option<Entry> {
        let sent = message.attributes.as_ref();
        let sent = sent.and_then(|all| all.get(&MessageSystemAttributeName::SentTimestamp)?.parse().ok());
        let entry = Entry { message_id: message.message_id?, body: message.body.unwrap_or_default(), sent };
        let before = self.receipts.insert(entry.message_id.clone(), message.receipt_handle.unwrap_or_default());
        before.is_none().then_some(entry)
    }

    /// The result of the receive in progress.
    async fn received(&mut self) -> anyhow::Result<Vec<Message>> {
        let Some(receiving) = &mut self.receiving else { return Ok(Vec::new()) };
        let received = receiving.await;
        self.receiving = None;
        let doing = format!("cannot receive from {}", name(self.url));
        Ok(received?.map_err(|error| self.clients.failed(&doing, &error))?.messages.unwrap_or_default())
    }

    /// Deletes one of these messages.
    pub async fn delete(&mut self, message_id: &str) -> anyhow::Result<()> {
        let Some(receipt) = self.receipts.remove(message_id) else { return Ok(()) };
        delete(self.clients, self.url, &receipt).await
    }

    /// Keeps the messages hidden once half of their time is over. Call it wherever time passes between two receives.
    pub async fn prolong(&mut self) -> anyhow::Result<()> {
        if self.prolonged.elapsed() > self.hidden / 2 {
            self.hide_for(self.hidden).await?;
            self.prolonged = Instant::now();
        }
        Ok(())
    }

    /// Makes the messages visible again that were not deleted, including those of a receive in progress. Waits for SQS a
    /// limited time only: tokio would keep a second Ctrl-C from ending the process.
    pub async fn give_back(mut self) -> anyhow::Result<()> {
        // Messages of a lost or late answer become visible by themselves.
        let late = timeout(self.wait + GRACE, self.received()).await;
        for message in late.ok().and_then(Result::ok).unwrap_or_default() {
            self.hold(message);
        }
        self.hide_for(Duration::ZERO).await
    }

    async fn hide_for(&self, time: Duration) -> anyhow::Result<()> {
        let receipts: Vec<_> = self.receipts.values().map(String::as_str).collect();
        let hidden = hide_for(self.clients, self.url, &receipts, time).await;
        hidden.with_context(|| format!("messages stay hidden for up to {} s", self.hidden.as_secs()))
    }

    /// How many messages are hidden because others hold them.
    pub async fn held_by_others(&self) -> anyhow::Result<usize> {
        let attributes = attributes(self.clients, self.url).await?;
        let hidden = attributes.get(&QueueAttributeName::ApproximateNumberOfMessagesNotVisible);
        let hidden: usize = hidden.and_then(|count| count.parse().ok()).unwrap_or(0);
        Ok(hidden.saturating_sub(self.receipts.len()))
    }
}

/// Deletes a received message.
pub async fn delete(clients: &Clients, url: &str, receipt: &str) -> anyhow::Result<()> {
    let delete = clients.sqs.delete_message().queue_url(url).receipt_handle(receipt);
    let doing = format!("cannot delete from {}", name(url));
    delete.send().await.map(|_| ()).map_err(|error| clients.failed(&doing, &error))
}

/// Hides received messages for this time from now. Zero makes them visible.
pub async fn hide_for(clients: &Clients, url: &str, receipts: &[&str], time: Duration) -> anyhow::Result<()> {
    for batch in receipts.chunks(BATCH) {
        let mut change = clients.sqs.change_message_visibility_batch().queue_url(url);
        for (number, receipt) in batch.iter().enumerate() {
            let entry = ChangeMessageVisibilityBatchRequestEntry::builder().id(number.to_string());
            change = change.entries(entry.receipt_handle(*receipt).visibility_timeout(seconds(time)).build()?);
        }
        // A failed entry is visible already, or deleted by somebody else.
        let doing = format!("cannot give messages back to {}", name(url));
        match timeout(GRACE, change.send()).await {
            Ok(changed) => changed.map_err(|error| clients.failed(&doing, &error))?,
            Err(_) => bail!("{doing}: SQS does not answer"),
        };
    }
    Ok(())
}

/// Reads a queue's journal in the local intake's SQS. Does not affect the queue's consumers.
pub struct Journal {
    poster: Poster,
    queue_url: String,
    /// The number of the last entry that was read.
    after: u64,
}

impl Journal {
    /// Starts at the oldest entry.
    pub fn new(sqs: &str, queue_url: &str) -> anyhow::Result<Self> {
        Ok(Journal { poster: Poster::new(address("--sqs", sqs)?)?, queue_url: queue_url.to_owned(), after: 0 })
    }

    /// Skips everything that is there now.
    pub async fn skip(&mut self) -> anyhow::Result<()> {
        let answer = self.ask(u64::MAX, Duration::ZERO).await?;
        self.after = answer["Last"].as_u64().unwrap_or(self.after);
        Ok(())
    }

    /// The next few entries, oldest first; waits for the first. None if there are none.
    pub async fn more(&mut self, wait: Duration) -> anyhow::Result<Option<Vec<Entry>>> {
        let answer = self.ask(self.after, wait).await?;
        let entries = answer["Messages"].as_array().map_or(&[][..], Vec::as_slice);
        let Some(last) = entries.last() else { return Ok(None) };
        self.after = last["Number"].as_u64().unwrap_or(self.after);
        let text = |entry: &Value, name: &str| entry[name].as_str().unwrap_or_default().to_owned();
        let read = |entry: &Value| Entry {
            message_id: text(entry, "MessageId"),
            body: text(entry, "Body"),
            sent: entry["SentTimestamp"].as_i64(),
        };
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
            bail!("the SQS at --sqs has no journal, unlike a local intake of this version: check --sqs");
        }
        serde_json::from_slice(&answer.into_body().unwrap_or_default()).context("cannot read SQS's journal")
    }
}

/// A queue's name: the end of its URL or ARN.
pub fn name(url: &str) -> &str {
    url.rsplit(['/', ':']).next().unwrap_or(url)
}

/// The queue's attributes.
pub async fn attributes(clients: &Clients, url: &str) -> anyhow::Result<HashMap<QueueAttributeName, String>> {
    let get = clients.sqs.get_queue_attributes().queue_url(url).attribute_names(QueueAttributeName::All).send().await;
    let got = get.map_err(|error| clients.failed(&format!("cannot read the attributes of {}", name(url)), &error))?;
    Ok(got.attributes.unwrap_or_default())
}

/// Whether the queue has a redrive policy: then each receive counts against `maxReceiveCount`.
pub async fn has_dead_letters(clients: &Clients, url: &str) -> anyhow::Result<bool> {
    Ok(attributes(clients, url).await?.contains_key(&QueueAttributeName::RedrivePolicy))
}

/// Refuses a queue that has a redrive policy. `remedy` says what to do instead.
pub fn would_disturb(url: &str, remedy: &str) -> anyhow::Error {
    anyhow!(
        "{} has a redrive policy: each receive counts against maxReceiveCount, and hides messages from its consumers. \
         {remedy}, or add --disturb-consumers",
        name(url)
    )
}

/// How long to wait for messages that are there: SQS on AWS asks all of its servers
/// [only in a receive that may wait](https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-short-and-long-polling.html).
pub fn patience(clients: &Clients) -> Duration {
    Duration::from_secs(if clients.is_local() { 0 } else { 2 })
}

fn seconds(time: Duration) -> i32 {
    i32::try_from(time.as_secs()).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
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
        let engines = Engines::anywhere().await.unwrap();
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
        // A message that comes back early is still returned once.
        first.hide_for(Duration::ZERO).await.unwrap();
        assert_eq!(seen(&mut first).await, Some(0));
    }
}
