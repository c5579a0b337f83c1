//! The local intake's latest deliveries in bounded memory, for the page and the lines on the terminal.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use http::{HeaderMap, Method, Uri};
use serde_json::{Map, Value, json};
use tokio::sync::broadcast;

/// How many deliveries are kept.
pub const MOST_DELIVERIES: usize = 500;

/// How much of a body is kept, in bytes. A delivery with a longer body cannot be explained or replayed.
pub const MOST_BODY_BYTES: usize = 1024 * 1024;

/// How much is kept of all requests together, in bytes.
pub const MOST_BYTES: usize = 64 * 1024 * 1024;

/// How many deliveries a follower may fall behind before it has to start again from a snapshot.
const MOST_NEWS: usize = 256;

/// The outcome of a delivery whose function crashed.
pub(crate) const CRASHED: &str = "crashed";

/// One delivery and its result.
#[derive(Debug)]
pub struct RecordedDelivery {
    /// Counts from 1.
    pub number: u64,
    pub method: Method,
    /// Path and query.
    pub target: Uri,
    pub headers: HeaderMap,
    /// The first [`MOST_BODY_BYTES`] of the body.
    pub body: Vec<u8>,
    /// The length of the whole body.
    pub body_bytes: usize,
    /// The answer's HTTP status.
    pub status: u16,
    /// The delivery's log line, or what takes its place where the function crashed.
    pub log: Map<String, Value>,
}

/// The latest deliveries, in the order of the answers.
#[derive(Debug)]
pub struct Journal {
    kept: Mutex<JournalState>,
    news: broadcast::Sender<String>,
    /// Identifies this run of the local intake: numbers count from 1 in each.
    run: i128,
}

#[derive(Debug, Default)]
struct JournalState {
    deliveries: VecDeque<Arc<RecordedDelivery>>,
    bytes: usize,
    last: u64,
    received: u64,
    /// The number of deliveries by outcome. Those that arrived and are not in it are in progress.
    outcomes: BTreeMap<&'static str, u64>,
}

impl RecordedDelivery {
    /// Whether the whole body is kept.
    pub fn is_whole(&self) -> bool {
        self.body.len() == self.body_bytes
    }

    /// A member of the log line.
    pub fn said(&self, name: &str) -> &str {
        self.log.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// When it was received, in Unix milliseconds.
    pub fn received(&self) -> i64 {
        self.log.get("_aws").and_then(|aws| aws["Timestamp"].as_i64()).unwrap_or_default()
    }

    /// The members that a list shows.
    pub fn summary(&self) -> Value {
        const SHOWN: [&str; 9] =
            ["provider", "account", "outcome", "reason", "error", "type", "subject", "id", "TotalMs"];
        let mut summary = json!({
            "number": self.number,
            "received": self.received(),
            "method": self.method.as_str(),
            "path": self.target.path(),
            "status": self.status,
            "body_bytes": self.body_bytes,
        });
        for name in SHOWN {
            if let Some(value) = self.log.get(name) {
                summary[name] = value.clone();
            }
        }
        summary
    }

    /// The size of what is kept of the request. The log line holds only short pieces of it.
    fn bytes(&self) -> usize {
        let target = self.target.path_and_query().map_or(0, |target| target.as_str().len());
        let headers: usize = self.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        self.method.as_str().len() + target + headers + self.body.len()
    }
}

impl Default for Journal {
    fn default() -> Self {
        let run = time::OffsetDateTime::now_utc().unix_timestamp_nanos();
        let outcomes =
            ["queued", "duplicate", "quarantined", "ping", "rejected", "too_large", "busy", "unavailable", CRASHED];
        let kept = JournalState { outcomes: outcomes.map(|name| (name, 0)).into(), ..JournalState::default() };
        Journal { kept: Mutex::new(kept), news: broadcast::channel(MOST_NEWS).0, run }
    }
}

impl Journal {
    fn kept(&self) -> MutexGuard<'_, JournalState> {
        // A panic in one request must not fail all later ones. At worst a count is off.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a delivery that arrives.
    pub fn arrives(&self) {
        self.kept().received += 1;
    }

    /// Keeps a delivery and returns its number.
    pub fn keep(&self, taken: RecordedDelivery) -> u64 {
        let kept = &mut *self.kept();
        kept.last += 1;
        let taken = Arc::new(RecordedDelivery { number: kept.last, ..taken });
        if let Some(count) = kept.outcomes.get_mut(taken.said("outcome")) {
            *count += 1;
        }
        let news = json!({"delivery": taken.summary(), "counts": kept.counts()}).to_string();
        kept.bytes += taken.bytes();
        kept.deliveries.push_back(taken);
        while kept.deliveries.len() > MOST_DELIVERIES || kept.bytes > MOST_BYTES {
            let Some(oldest) = kept.deliveries.pop_front() else { break };
            kept.bytes -= oldest.bytes();
        }
        // Under the lock, so that no follower misses it or gets it twice. An error means that there is no follower.
        let _ = self.news.send(news);
        kept.last
    }

    /// Everything that is kept, as JSON, and a channel of everything after it.
    pub fn follow(&self) -> (Value, broadcast::Receiver<String>) {
        let kept = &*self.kept();
        let snapshot = json!({
            "run": self.run.to_string(),
            "deliveries": kept.deliveries.iter().map(|taken| taken.summary()).collect::<Vec<_>>(),
            "counts": kept.counts(),
            "limits": {"deliveries": MOST_DELIVERIES, "body_bytes": MOST_BODY_BYTES, "bytes": MOST_BYTES},
        });
        (snapshot, self.news.subscribe())
    }

    /// The number of deliveries by outcome.
    pub fn outcomes(&self) -> BTreeMap<&'static str, u64> {
        self.kept().outcomes.clone()
    }

    /// A delivery, if it is still kept.
    pub fn get(&self, number: u64) -> Option<Arc<RecordedDelivery>> {
        let kept = self.kept();
        let place = kept.deliveries.binary_search_by_key(&number, |taken| taken.number).ok()?;
        kept.deliveries.get(place).cloned()
    }

    /// The number of each delivery that was queued or put into quarantine, by its message's id.
    pub(crate) fn messages(&self) -> HashMap<String, u64> {
        let kept = self.kept();
        let sent = kept.deliveries.iter().filter(|taken| matches!(taken.said("outcome"), "queued" | "quarantined"));
        sent.filter_map(|taken| Some((taken.log.get("message_id")?.as_str()?.to_owned(), taken.number))).collect()
    }

    /// Every delivery that is kept.
    pub fn all(&self) -> Vec<Arc<RecordedDelivery>> {
        self.kept().deliveries.iter().cloned().collect()
    }
}

impl JournalState {
    /// The numbers of arrived deliveries and of each outcome.
    fn counts(&self) -> Value {
        let mut counts = json!(self.outcomes);
        counts["received"] = self.received.into();
        counts
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;

    fn taken(bytes: usize) -> RecordedDelivery {
        let log = json!({"outcome": "queued", "id": "evt_1"});
        RecordedDelivery {
            number: 0,
            method: Method::POST,
            target: Uri::from_static("/webhooks/platform"),
            headers: HeaderMap::new(),
            body: vec![b' '; bytes],
            body_bytes: bytes,
            status: 200,
            log: log.as_object().unwrap().clone(),
        }
    }

    #[test]
    fn memory_is_bounded_and_counts_are_not() {
        let journal = Journal::default();
        for _ in 0..MOST_DELIVERIES + 3 {
            journal.arrives();
            journal.keep(taken(1));
        }
        let (snapshot, _) = journal.follow();
        assert_eq!(snapshot["deliveries"].as_array().unwrap().len(), MOST_DELIVERIES);
        assert_eq!(snapshot["deliveries"][0]["number"], 4);
        assert_eq!((&snapshot["counts"]["received"], &snapshot["counts"]["queued"]), (&json!(503), &json!(503)));
        assert!(journal.get(3).is_none());
        assert_eq!(journal.get(4).unwrap().number, 4);

        // Every part of a request counts: 1 MiB each.
        let (method, target) = ("M".repeat(1000), format!("/webhooks/platform?{}", "q".repeat(60_000)));
        let (name, value) = ("x-long", "v".repeat(100_000));
        for _ in 0..70 {
            let rest = method.len() + target.len() + name.len() + value.len();
            journal.keep(RecordedDelivery {
                method: method.parse().unwrap(),
                target: target.parse().unwrap(),
                headers: HeaderMap::from_iter([(HeaderName::from_static(name), value.parse().unwrap())]),
                ..taken(1024 * 1024 - rest)
            });
        }
        let kept = journal.kept();
        assert_eq!(kept.bytes, MOST_BYTES);
        assert_eq!(kept.deliveries.len(), 64);
    }

    #[test]
    fn a_follower_misses_nothing() {
        let journal = Journal::default();
        journal.keep(taken(1));
        let (snapshot, mut news) = journal.follow();
        assert_eq!(snapshot["deliveries"][0]["number"], 1);
        journal.keep(taken(1));
        let told: Value = serde_json::from_str(&news.try_recv().unwrap()).unwrap();
        assert_eq!(told["delivery"]["number"], 2);
        assert_eq!(told["counts"]["queued"], 2);
        assert!(news.try_recv().is_err());
    }
}
