//! The state of the queues. The time (in Unix milliseconds) and new message ids are passed in.

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, ops::RangeInclusive};

use serde_json::{Value, json};

use super::{
    journal::{Journal, What},
    protocol::{Attribute, Message, Refusal, Result, read_receipt, require},
};

type Attributes = BTreeMap<String, String>;

const ARN: &str = "arn:aws:sqs:us-east-1:000000000000:";

/// The numeric attributes with their defaults and ranges: see
/// [the API reference](https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html).
const NUMBERS: [(&str, u64, RangeInclusive<u64>); 5] = [
    ("DelaySeconds", 0, 0..=900),
    ("MaximumMessageSize", 1_048_576, 1_024..=1_048_576),
    ("MessageRetentionPeriod", 345_600, 60..=1_209_600),
    ("ReceiveMessageWaitTimeSeconds", 0, 0..=20),
    ("VisibilityTimeout", 30, 0..=43_200),
];

/// The other attributes, except those of KMS. Only the redrive policy has an effect here.
const TEXTS: [&str; 4] = ["Policy", "RedriveAllowPolicy", "RedrivePolicy", "SqsManagedSseEnabled"];

/// The system attribute that only messages in a dead-letter queue have.
const SOURCE: &str = "DeadLetterQueueSourceArn";

#[derive(Debug, Default)]
pub(super) struct Store {
    pub(super) queues: BTreeMap<String, Queue>,
    pub(super) journal: Journal,
    /// The message move tasks, as `ListMessageMoveTasks` answers them.
    pub(super) tasks: Vec<Value>,
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    attributes: Attributes,
    /// The dead-letter queue and `maxReceiveCount` of the redrive policy.
    pub(super) redrive: Option<(String, u64)>,
    /// Oldest arrival first.
    pub(super) messages: Vec<Message>,
}

impl Store {
    pub(super) fn queue(&mut self, name: &str) -> Result<&mut Queue> {
        const NONE: &str = "The specified queue does not exist.";
        self.queues.get_mut(name).ok_or_else(|| Refusal("AWS.SimpleQueueService.NonExistentQueue", NONE.into()))
    }

    /// The queue, without messages that are older than its retention period.
    pub(super) fn live(&mut self, name: &str, now: u64) -> Result<&mut Queue> {
        let queue = self.queue(name)?;
        let retention = queue.number("MessageRetentionPeriod") * 1_000;
        let expired = queue.messages.extract_if(.., |message| message.sent + retention <= now);
        for message in expired.collect::<Vec<_>>() {
            self.journal.step(now, name, message.id, What::Expired);
        }
        self.queue(name)
    }

    /// Deletes all messages.
    pub(super) fn purge(&mut self, name: &str, now: u64) -> Result<()> {
        for message in std::mem::take(&mut self.queue(name)?.messages) {
            self.journal.step(now, name, message.id, What::Purged);
        }
        Ok(())
    }

    pub(super) fn create(&mut self, name: &str, attributes: Attributes, now: u64) -> Result<()> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        let message = "A queue's name has 1 to 80 letters, digits, hyphens and underscores.";
        require((1..=80).contains(&name.len()) && name.bytes().all(fits), "InvalidParameterValue", message)?;
        if let Some(Queue { attributes: own, .. }) = self.queues.get(name) {
            let same = attributes.iter().all(|(name, value)| own.get(name) == Some(value));
            return require(same, "QueueAlreadyExists", "A queue with this name has another value of an attribute.");
        }
        let mut own = Attributes::from(NUMBERS.map(|(name, default, _)| (name.into(), default.to_string())));
        own.insert("CreatedTimestamp".into(), (now / 1_000).to_string());
        own.insert("SqsManagedSseEnabled".into(), "true".into());
        self.queues.insert(name.into(), Queue { attributes: own, ..Queue::default() });
        self.configure(name, attributes, now).inspect_err(|_| drop(self.queues.remove(name)))
    }

    pub(super) fn configure(&mut self, name: &str, attributes: Attributes, now: u64) -> Result<()> {
        for (name, value) in &attributes {
            let valid = match NUMBERS.iter().find(|(number, ..)| number == name) {
                Some((.., range)) => value.parse().is_ok_and(|number| range.contains(&number)),
                None if name == "RedrivePolicy" && !value.is_empty() => {
                    let (target, most) = redrive(value).unwrap_or_default();
                    self.queues.contains_key(&target) && (1..=1_000).contains(&most)
                }
                None => TEXTS.contains(&&**name) || name.starts_with("Kms"),
            };
            require(valid, "InvalidAttributeValue", &format!("Invalid value for the parameter {name}."))?;
        }
        let queue = self.queue(name)?;
        queue.attributes.extend(attributes);
        queue.attributes.retain(|_, value| !value.is_empty());
        queue.attributes.insert("LastModifiedTimestamp".into(), (now / 1_000).to_string());
        queue.redrive = queue.attributes.get("RedrivePolicy").and_then(|policy| redrive(policy));
        Ok(())
    }

    pub(super) fn attributes(&mut self, name: &str, now: u64) -> Result<Attributes> {
        let Queue { attributes, messages, .. } = self.live(name, now)?;
        let count = |of: fn(&Message, u64) -> bool| messages.iter().filter(|m| of(m, now)).count().to_string();
        let mut attributes = attributes.clone();
        attributes.extend([
            ("QueueArn".into(), arn(name)),
            ("ApproximateNumberOfMessages".into(), count(|m, now| m.visible_at <= now)),
            ("ApproximateNumberOfMessagesDelayed".into(), count(|m, now| m.visible_at > now && m.receives == 0)),
            ("ApproximateNumberOfMessagesNotVisible".into(), count(|m, now| m.visible_at > now && m.receives > 0)),
        ]);
        Ok(attributes)
    }

    /// Adds a new message, with this delay in seconds or else the queue's.
    pub(super) fn send(&mut self, name: &str, mut message: Message, delay: Option<u64>) -> Result<()> {
        let delay = delay.unwrap_or(self.queue(name)?.number("DelaySeconds"));
        message.visible_at = message.sent + delay * 1_000;
        self.journal.add(name, &message.id, &message.body, message.sent);
        let what = match message.earlier_ids.last() {
            Some(earlier_id) => What::Redriven { earlier_id: earlier_id.clone() },
            None => What::Sent { replay: message.attributes.get("replay").and_then(Attribute::text) },
        };
        self.journal.step(message.sent, name, message.id.clone(), what);
        self.queue(name)?.messages.push(message);
        Ok(())
    }

    /// Receives up to `most` messages, with this visibility timeout in seconds or else the queue's. As on AWS, a message moves
    /// to the dead-letter queue when a receive would exceed the redrive policy's `maxReceiveCount`.
    pub(super) fn receive(&mut self, name: &str, most: u64, timeout: Option<u64>, now: u64) -> Result<Vec<Message>> {
        // Messages stay if the dead-letter queue was deleted.
        let redrive = self.queue(name)?.redrive.clone().filter(|(target, _)| self.queues.contains_key(target));
        let queue = self.live(name, now)?;
        let timeout = timeout.unwrap_or(queue.number("VisibilityTimeout")) * 1_000;
        let mut received = Vec::new();
        let dead = queue.messages.extract_if(.., |message| {
            if received.len() as u64 == most || message.visible_at > now {
                return false;
            }
            if redrive.as_ref().is_some_and(|(_, max)| message.receives - message.earlier_receives >= *max) {
                return true;
            }
            message.first_received = if message.receives == 0 { now } else { message.first_received };
            message.receives += 1;
            message.visible_at = now + timeout;
            received.push(message.clone());
            false
        });
        let target = redrive.as_ref().map_or(name, |(target, _)| target);
        for mut message in dead.collect::<Vec<_>>() {
            message.earlier_receives = message.receives;
            message.system.insert(SOURCE.into(), arn(name));
            self.journal.step(now, target, message.id.clone(), What::Moved { receives: message.receives });
            self.queue(target)?.messages.push(message);
        }
        let most = redrive.as_ref().map(|(_, most)| *most);
        for Message { id, receives, visible_at, .. } in &received {
            let what = What::Received { receives: *receives, most, hidden_until: *visible_at };
            self.journal.step(now, name, id.clone(), what);
        }
        Ok(received)
    }

    /// Deletes a message if the receipt handle is its latest. As on AWS, an older one is accepted without effect.
    pub(super) fn delete(&mut self, name: &str, receipt: &str, now: u64) -> Result<()> {
        let (id, receives) = read_receipt(name, receipt)?;
        let messages = &mut self.queue(name)?.messages;
        if let Some(place) = messages.iter().position(|message| message.id == id && message.receives == receives) {
            messages.remove(place);
            self.journal.step(now, name, id.to_owned(), What::Deleted);
        }
        Ok(())
    }

    /// Hides a message for `seconds` from now. As on AWS, an expired receipt handle is accepted without effect.
    pub(super) fn change_visibility(&mut self, name: &str, receipt: &str, seconds: u64, now: u64) -> Result<()> {
        const GONE: &str = "Message does not exist or is not available for visibility timeout change.";
        let (id, receives) = read_receipt(name, receipt)?;
        let message = self.queue(name)?.messages.iter_mut().find(|message| message.id == id);
        let message = message.ok_or_else(|| Refusal("InvalidParameterValue", GONE.into()))?;
        if message.receives == receives && message.visible_at > now {
            message.visible_at = now + seconds * 1_000;
        }
        Ok(())
    }

    /// Runs a message move task to its end: dead letters become new messages in the queue with the ARN `to`, or else in the
    /// queue that each came from. As on AWS, the task fails if `to` is missing and a message was sent to the DLQ directly.
    pub(super) fn redrive(
        &mut self,
        from: &str,
        to: Option<&str>,
        now: u64,
        new_id: impl Fn() -> String,
    ) -> Result<()> {
        let named = |arn, parameter| {
            let message = || format!("The resource that you specified for the {parameter} parameter doesn't exist.");
            self.name(arn).ok_or_else(|| Refusal("ResourceNotFoundException", message()))
        };
        let source = named(from, "SourceArn")?;
        let destination = to.map(|arn| named(arn, "DestinationArn")).transpose()?;
        let leads = |queue: &Queue| queue.redrive.as_ref().is_some_and(|(target, _)| *target == source);
        let message = "Source queue must be configured as a Dead Letter Queue.";
        require(self.queues.values().any(leads), "InvalidParameterValue", message)?;
        let letters = std::mem::take(&mut self.live(&source, now)?.messages);
        let (visible, mut rest): (Vec<_>, Vec<_>) = letters.into_iter().partition(|letter| letter.visible_at <= now);
        let (found, mut moved) = (visible.len(), 0);
        for mut letter in visible {
            let own = || self.name(letter.system.get(SOURCE)?);
            let Some(destination) = destination.clone().or_else(own) else {
                rest.push(letter);
                continue;
            };
            letter.system.remove(SOURCE);
            letter.earlier_ids.push(letter.id);
            let message = Message { id: new_id(), sent: now, receives: 0, earlier_receives: 0, ..letter };
            self.send(&destination, message, None)?;
            moved += 1;
        }
        self.queue(&source)?.messages.splice(..0, rest);
        let failed = moved < found;
        self.tasks.push(json!({
            "SourceArn": from, "DestinationArn": to, "StartedTimestamp": now,
            "Status": if failed { "FAILED" } else { "COMPLETED" },
            "FailureReason": failed.then_some("CouldNotDetermineMessageSource"),
            "ApproximateNumberOfMessagesMoved": moved, "ApproximateNumberOfMessagesToMove": found,
        }));
        Ok(())
    }

    /// The name of the queue that has this ARN.
    fn name(&self, arn: &str) -> Option<String> {
        arn.strip_prefix(ARN).filter(|name| self.queues.contains_key(*name)).map(str::to_owned)
    }
}

impl Queue {
    pub(super) fn number(&self, name: &str) -> u64 {
        // `configure` accepts only numbers.
        self.attributes.get(name).and_then(|number| number.parse().ok()).unwrap_or_default()
    }
}

/// The ARN of the queue with this name.
pub(crate) fn arn(name: &str) -> String {
    format!("{ARN}{name}")
}

/// The dead-letter queue and `maxReceiveCount` of a redrive policy.
fn redrive(policy: &str) -> Option<(String, u64)> {
    let policy: Value = serde_json::from_str(policy).ok()?;
    let target = policy["deadLetterTargetArn"].as_str()?.strip_prefix(ARN)?.to_owned();
    let max = policy.get("maxReceiveCount").map_or(Some(10), |max| max.as_u64().or_else(|| max.as_str()?.parse().ok()));
    Some((target, max?))
}
