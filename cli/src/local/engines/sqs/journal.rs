//! The latest messages of all queues, for following a queue without receiving from it, and what happened to them.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// How many bytes of bodies are kept in all.
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// How many steps are kept in all.
const MAX_STEPS: usize = 50_000;

/// Something that happened to a message.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Step {
    /// Unix milliseconds.
    pub(crate) at: u64,
    pub(crate) message_id: String,
    /// The name of the queue in which it is then, or was last.
    pub(crate) queue: String,
    #[serde(flatten)]
    pub(crate) what: What,
}

/// What happened.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub(crate) enum What {
    /// With the name of the replay that sent it, if one did.
    Sent { replay: Option<String> },
    /// For the `receives`th time; after `most` it moves to the dead-letter queue.
    Received { receives: u64, most: Option<u64>, hidden_until: u64 },
    /// To the dead-letter queue `queue`.
    Moved { receives: u64 },
    /// From the dead-letter queue, where it had another id.
    Redriven { earlier_id: String },
    /// By whoever had received it.
    Deleted,
    /// The queue's retention period was over.
    Expired,
    /// With all others of the queue.
    Purged,
}

/// A message that was sent to a queue.
#[derive(Debug)]
struct Entry {
    number: u64,
    queue: String,
    message_id: String,
    body: String,
    /// Unix milliseconds.
    sent: u64,
}

/// The messages that were sent to any queue, oldest first.
#[derive(Debug, Default)]
pub(super) struct Journal {
    entries: VecDeque<Entry>,
    bytes: usize,
    /// Oldest first.
    pub(super) steps: VecDeque<Step>,
    /// Whether older steps or messages are no longer kept.
    pub(super) forgot: bool,
    /// The number of the latest entry. They are numbered from 1.
    pub(super) count: u64,
}

impl Journal {
    pub(super) fn add(&mut self, queue: &str, message_id: &str, body: &str, sent: u64) {
        self.count += 1;
        self.bytes += body.len();
        let (queue, message_id, body) = (queue.to_owned(), message_id.to_owned(), body.to_owned());
        self.entries.push_back(Entry { number: self.count, queue, message_id, body, sent });
        while self.bytes > MAX_BYTES {
            self.bytes -= self.entries.pop_front().map_or(self.bytes, |entry| entry.body.len());
            self.forgot = true;
        }
    }

    pub(super) fn step(&mut self, at: u64, queue: &str, message_id: String, what: What) {
        self.steps.push_back(Step { at, message_id, queue: queue.to_owned(), what });
        if self.steps.len() > MAX_STEPS {
            self.steps.pop_front();
            self.forgot = true;
        }
    }

    /// The id and body of each message.
    pub(super) fn messages(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries.iter().map(|entry| (&*entry.message_id, &*entry.body))
    }

    /// The next ten entries of a queue after this number, as the protocol writes them.
    pub(super) fn after(&self, after: u64, queue: &str) -> Vec<Value> {
        let new = self.entries.iter().filter(|entry| entry.number > after && entry.queue == queue).take(10);
        let written = |entry: &Entry| {
            let Entry { number, message_id, body, sent, .. } = entry;
            json!({"Number": number, "MessageId": message_id, "Body": body, "SentTimestamp": sent})
        };
        new.map(written).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Journal, MAX_BYTES};

    #[test]
    fn the_oldest_entries_are_forgotten() {
        let mut journal = Journal::default();
        let body = "x".repeat(MAX_BYTES / 4);
        for id in ["1", "2", "3", "4", "5"] {
            journal.add("queue", id, &body, 0);
        }
        let kept: Vec<_> = journal.entries.iter().map(|entry| (entry.number, &*entry.message_id)).collect();
        assert_eq!(kept, [(2, "2"), (3, "3"), (4, "4"), (5, "5")]);
        assert_eq!(journal.bytes, MAX_BYTES);
    }
}
