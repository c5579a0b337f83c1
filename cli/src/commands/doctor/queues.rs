//! The queues: message size, encryption, redrive policy, retention.

use std::collections::HashMap;

use aws_sdk_sqs::types::QueueAttributeName as Name;
use serde_json::Value;

use super::{Check, Checks, Section};
use crate::{
    client::aws::{Clients, Queue},
    output::quoted,
};

/// SQS's largest message size. The functions rely on it: they compress a larger event, or answer 413.
const MOST_BYTES: &str = "1048576";

type Attributes = HashMap<Name, String>;

/// The URLs of the queues that were found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub events: Option<String>,
    pub quarantine: Option<String>,
}

/// Finds and checks the queues. `given` are names or URLs of events, dead letters and quarantine.
pub(super) async fn check(clients: &Clients, given: [Option<&str>; 3]) -> (Found, Vec<Check>) {
    let mut checks = Checks::of(Section::Queues);
    let mut look = async |queue, given, label| {
        let (url, attributes) = match look(clients, queue, given).await {
            Ok(found) => found,
            Err(why) => {
                checks.unknown(label, why, "");
                return None;
            }
        };
        size(&mut checks, label, &url, &attributes);
        encryption(&mut checks, label, &url, &attributes);
        Some((url, attributes))
    };
    let events = look(Queue::Events, given[0], "events").await;
    let dead_letters = look(Queue::DeadLetters, given[1], "dead letters").await;
    let quarantine = look(Queue::Quarantine, given[2], "quarantine").await;
    if let Some((url, attributes)) = &events {
        redrive(&mut checks, url, attributes, dead_letters.as_ref().map(|(_, attributes)| attributes));
    }
    if let (Some((_, events)), Some((url, dead_letters))) = (&events, &dead_letters) {
        retention(&mut checks, events, url, dead_letters);
    }
    (Found { events: events.map(|(url, _)| url), quarantine: quarantine.map(|(url, _)| url) }, checks.made)
}

async fn look(clients: &Clients, queue: Queue, given: Option<&str>) -> Result<(String, Attributes), String> {
    let url = clients.queue(queue, given).await.map_err(|error| error.to_string())?;
    let answer = clients.sqs.get_queue_attributes().queue_url(&url).attribute_names(Name::All).send().await;
    let answer =
        answer.map_err(|error| clients.failed(&format!("cannot read the attributes of {url}"), &error).to_string())?;
    Ok((url, answer.attributes.unwrap_or_default()))
}

fn set(url: &str, attributes: &str) -> String {
    format!("aws sqs set-queue-attributes --queue-url {url} --attributes {attributes}")
}

fn size(checks: &mut Checks, label: &str, url: &str, attributes: &Attributes) {
    let what = format!("{label}, size");
    match attributes.get(&Name::MaximumMessageSize).map_or("unknown", String::as_str) {
        MOST_BYTES => checks.ok(&what, "messages of 1 MiB"),
        bytes => checks.problem(
            &what,
            format!("messages of {bytes} bytes: a larger event is answered 503, and lost after the last retry"),
            set(url, &format!("MaximumMessageSize={MOST_BYTES}")),
        ),
    }
}

fn encryption(checks: &mut Checks, label: &str, url: &str, attributes: &Attributes) {
    let what = format!("{label}, encryption");
    if attributes.contains_key(&Name::KmsMasterKeyId) {
        checks.ok(&what, "by a KMS key");
    } else if attributes.get(&Name::SqsManagedSseEnabled).is_some_and(|on| on == "true") {
        checks.ok(&what, "by SQS");
    } else {
        checks.problem(&what, "none, and events hold personal data", set(url, "SqsManagedSseEnabled=true"));
    }
}

fn redrive(checks: &mut Checks, url: &str, events: &Attributes, dead_letters: Option<&Attributes>) {
    const WHAT: &str = "events, redrive";
    let arn = dead_letters.and_then(|attributes| attributes.get(&Name::QueueArn)).map(String::as_str);
    let policy = events.get(&Name::RedrivePolicy).and_then(|policy| serde_json::from_str::<Value>(policy).ok());
    let remedy = || {
        let arn = arn.unwrap_or("the ARN of the dead-letter queue");
        let policy = serde_json::json!({"deadLetterTargetArn": arn, "maxReceiveCount": "5"}).to_string();
        set(url, &quoted(&serde_json::json!({"RedrivePolicy": policy}).to_string()))
    };
    let Some(policy) = policy else {
        return checks.problem(
            WHAT,
            "none: an event that consumers cannot handle comes back until it expires and is lost",
            remedy(),
        );
    };
    let target = policy["deadLetterTargetArn"].as_str().unwrap_or_default();
    // A string if the AWS CLI wrote it.
    let times = policy["maxReceiveCount"].as_u64();
    let times = times.or_else(|| policy["maxReceiveCount"].as_str()?.parse().ok()).unwrap_or_default();
    if arn.is_some_and(|arn| arn != target) {
        checks.problem(WHAT, format!("goes to {target}, not to the dead-letter queue of this installation"), remedy());
    } else if times < 2 {
        checks.problem(WHAT, "after 1 receive: an event is given up if one consumer is interrupted", remedy());
    } else {
        checks.ok(WHAT, format!("after {times} receives"));
    }
}

fn retention(checks: &mut Checks, events: &Attributes, url: &str, dead_letters: &Attributes) {
    const WHAT: &str = "dead letters, retention";
    let seconds = |attributes: &Attributes| attributes.get(&Name::MessageRetentionPeriod)?.parse().ok();
    let (Some(events), Some(dead)): (Option<u64>, Option<u64>) = (seconds(events), seconds(dead_letters)) else {
        return checks.unknown(WHAT, "SQS returned no retention period", "");
    };
    let shown = |seconds: u64| match (seconds / 86_400, seconds % 86_400) {
        (1, 0) => "1 day".to_owned(),
        (days, 0) => format!("{days} days"),
        _ => format!("{seconds} s"),
    };
    if dead >= events {
        return checks.ok(WHAT, format!("{}, events {}", shown(dead), shown(events)));
    }
    checks.problem(
        WHAT,
        format!(
            "{}, events {}: age counts from when an event was first queued, so SQS may delete a dead letter at once",
            shown(dead),
            shown(events)
        ),
        set(url, "MessageRetentionPeriod=1209600"),
    );
}
