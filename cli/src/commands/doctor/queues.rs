//! The queues: message size, encryption, redrive policy, retention.

use std::collections::HashMap;

use aws_sdk_sqs::types::QueueAttributeName as Name;
use serde_json::{Value, json};

use super::Check;
use crate::{
    client::aws::{Clients, Queue},
    output::quoted,
};

/// SQS's largest message size. The functions rely on it: they compress a larger event, or answer 413.
const MOST_BYTES: &str = "1048576";

type Attributes = HashMap<Name, String>;

/// Finds and checks the queues of events, dead letters and quarantine, some of them `given` by name or URL. Returns the URLs of
/// those that were found.
pub(super) async fn check(clients: &Clients, given: [Option<&str>; 3]) -> ([Option<String>; 3], Vec<Check>) {
    let mut checks = Vec::new();
    let mut look = async |queue, given, label| match look(clients, queue, given).await {
        Ok((url, attributes)) => {
            checks.push(size(label, &url, &attributes));
            checks.push(encryption(label, &url, &attributes));
            Some((url, attributes))
        }
        Err(error) => {
            checks.push(Check::unknown(label, error.to_string(), ""));
            None
        }
    };
    let events = look(Queue::Events, given[0], "events").await;
    let dead_letters = look(Queue::DeadLetters, given[1], "dead letters").await;
    let quarantine = look(Queue::Quarantine, given[2], "quarantine").await;
    if let Some((url, attributes)) = &events {
        checks.push(redrive(url, attributes, dead_letters.as_ref().map(|(_, attributes)| attributes)));
    }
    if let (Some((_, events)), Some((url, dead_letters))) = (&events, &dead_letters) {
        checks.push(retention(events, url, dead_letters));
    }
    ([events, dead_letters, quarantine].map(|queue| queue.map(|(url, _)| url)), checks)
}

async fn look(clients: &Clients, queue: Queue, given: Option<&str>) -> anyhow::Result<(String, Attributes)> {
    let url = clients.queue(queue, given).await?;
    let answer = clients.sqs.get_queue_attributes().queue_url(&url).attribute_names(Name::All).send().await;
    let answer = answer.map_err(|error| clients.failed(&format!("cannot read the attributes of {url}"), &error))?;
    Ok((url, answer.attributes.unwrap_or_default()))
}

fn set(url: &str, attributes: &str) -> String {
    format!("aws sqs set-queue-attributes --queue-url {url} --attributes {attributes}")
}

fn size(label: &str, url: &str, attributes: &Attributes) -> Check {
    let what = format!("{label}, size");
    match attributes.get(&Name::MaximumMessageSize).map_or("unknown", String::as_str) {
        MOST_BYTES => Check::ok(what, "messages of 1 MiB"),
        bytes => Check::problem(
            what,
            format!("messages of {bytes} bytes: a larger event is answered 503, and lost after the last retry"),
            set(url, &format!("MaximumMessageSize={MOST_BYTES}")),
        ),
    }
}

fn encryption(label: &str, url: &str, attributes: &Attributes) -> Check {
    let what = format!("{label}, encryption");
    if attributes.contains_key(&Name::KmsMasterKeyId) {
        Check::ok(what, "by a KMS key")
    } else if attributes.get(&Name::SqsManagedSseEnabled).is_some_and(|on| on == "true") {
        Check::ok(what, "by SQS")
    } else {
        Check::problem(what, "none, and events hold personal data", set(url, "SqsManagedSseEnabled=true"))
    }
}

fn redrive(url: &str, events: &Attributes, dead_letters: Option<&Attributes>) -> Check {
    const WHAT: &str = "events, redrive";
    let arn = dead_letters.and_then(|attributes| attributes.get(&Name::QueueArn)).map(String::as_str);
    let policy = events.get(&Name::RedrivePolicy).and_then(|policy| serde_json::from_str::<Value>(policy).ok());
    let arn_or_words = arn.unwrap_or("the ARN of the dead-letter queue");
    let right = json!({"deadLetterTargetArn": arn_or_words, "maxReceiveCount": "5"}).to_string();
    let remedy = set(url, &quoted(&json!({"RedrivePolicy": right}).to_string()));
    let Some(policy) = policy else {
        let finding = "none: an event that consumers cannot handle comes back until it expires and is lost";
        return Check::problem(WHAT, finding, remedy);
    };
    let target = policy["deadLetterTargetArn"].as_str().unwrap_or_default();
    // A string if the AWS CLI wrote it.
    let times = policy["maxReceiveCount"].as_u64();
    let times = times.or_else(|| policy["maxReceiveCount"].as_str()?.parse().ok()).unwrap_or_default();
    if arn.is_some_and(|arn| arn != target) {
        let finding = format!("goes to {target}, not to the dead-letter queue of this installation");
        Check::problem(WHAT, finding, remedy)
    } else if times < 2 {
        Check::problem(WHAT, "after 1 receive: an event is given up if one consumer is interrupted", remedy)
    } else {
        Check::ok(WHAT, format!("after {times} receives"))
    }
}

fn retention(events: &Attributes, url: &str, dead_letters: &Attributes) -> Check {
    const WHAT: &str = "dead letters, retention";
    let seconds = |attributes: &Attributes| attributes.get(&Name::MessageRetentionPeriod)?.parse().ok();
    let (Some(events), Some(dead)): (Option<u64>, Option<u64>) = (seconds(events), seconds(dead_letters)) else {
        return Check::unknown(WHAT, "SQS returned no retention period", "");
    };
    let shown = |seconds: u64| match (seconds / 86_400, seconds % 86_400) {
        (1, 0) => "1 day".to_owned(),
        (days, 0) => format!("{days} days"),
        _ => format!("{seconds} s"),
    };
    let both = format!("{}, events {}", shown(dead), shown(events));
    if dead >= events {
        return Check::ok(WHAT, both);
    }
    Check::problem(
        WHAT,
        format!("{both}: age counts from when an event was first queued, so SQS may delete a dead letter at once"),
        set(url, "MessageRetentionPeriod=1209600"),
    )
}
