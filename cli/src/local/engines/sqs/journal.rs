//! The latest messages of all queues, for following a queue without receiving from it.

use std::collections::VecDeque;

use serde_json::{Value, json};

/// How many bytes of bodies are kept in all.
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// The messages that were sent to any queue, oldest first.
#[derive(Debug, Default)]
pub(super) struct Journal {
    /// The number, queue, message id and body of each.
    entries: VecDeque<(u64, String, String, String)>,
    bytes: usize,
    /// The number of the latest entry. They are numbered from 1.
    pub(super) count: u64,
}

impl Journal {
    pub(super) fn add(&mut self, queue: &str, message_id: &str, body: &str) {
        self.count += 1;
        self.bytes += body.len();
        self.entries.push_back((self.count, queue.to_owned(), message_id.to_owned(), body.to_owned()));
        while self.bytes > MAX_BYTES {
            self.bytes -= self.entries.pop_front().map_or(self.bytes, |(.., body)| body.len());
        }
    }

    /// The next ten entries of a queue after this number, as the protocol writes them.
    pub(super) fn after(&self, after: u64, queue: &str) -> Vec<Value> {
        let new = self.entries.iter().filter(|(number, of, ..)| *number > after && of == queue).take(10);
        new.map(|(number, _, id, body)| json!({"Number": number, "MessageId": id, "Body": body})).collect()
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
            journal.add("queue", id, &body);
        }
        let kept: Vec<_> = journal.entries.iter().map(|(number, _, id, _)| (*number, &**id)).collect();
        assert_eq!(kept, [(2, "2"), (3, "3"), (4, "4"), (5, "5")]);
        assert_eq!(journal.bytes, MAX_BYTES);
    }
}
