//! The queues: pure state, without a clock or chance. The time (in Unix milliseconds) and new ids are passed in.

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, ops::RangeInclusive};

use serde_json::{Value, json};

use super::{
    journal::Journal,
    protocol::{Message, Refusal, Result, read_receipt, require},
};

type Attributes = BTreeMap<String, String>;

const ARN: &str = "arn:aws:sqs:us-east-1:000000000000:";

/// The attributes that are numbers, with their defaults and ranges, by
/// [the API reference](https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html).
const NUMBERS: [(&str, u64, RangeInclusive<u64>); 5] = [
    ("DelaySeconds", 0, 0..=900),
    ("MaximumMessageSize", 1_048_576, 1_024..=1_048_576),
    ("MessageRetentionPeriod", 345_600, 60..=1_209_600),
    ("ReceiveMessageWaitTimeSeconds", 0, 0..=20),
    ("VisibilityTimeout", 30, 0..=43_200),
];

/// The others, of which only the redrive policy has an effect here. FIFO queues have more.
const TEXTS: [&str; 5] = ["KmsMasterKeyId", "Policy", "RedriveAllowPolicy", "RedrivePolicy", "SqsManagedSseEnabled"];

/// The attribute of a message that only a dead letter has.
const SOURCE: &str = "DeadLetterQueueSourceArn";

#[derive(Debug, Default)]
pub(super) struct Store {
    pub(super) queues: BTreeMap<String, Queue>,
    pub(super) journal: Journal,
    /// The redrives, as they are listed.
    pub(super) tasks: Vec<Value>,
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    attributes: Attributes,
    /// Where messages go that were received too often, and how often that is.
    redrive: Option<(String, u64)>,
    /// In the order of their arrival.
    pub(super) messages: Vec<Message>,
}

impl Store {
    pub(super) fn queue(&mut self, name: &str) -> Result<&mut Queue> {
        const NONE: &str = "The specified queue does not exist.";
        self.queues.get_mut(name).ok_or_else(|| Refusal("AWS.SimpleQueueService.NonExistentQueue", NONE.into()))
    }

    /// The queue, without messages whose time is over.
    pub(super) fn live(&mut self, name: &str, now: u64) -> Result<&mut Queue> {
        let queue = self.queue(name)?;
        let retention = queue.number("MessageRetentionPeriod") * 1_000;
        queue.messages.retain(|message| message.sent + retention > now);
        Ok(queue)
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
            let number = NUMBERS.iter().find(|(number, ..)| number == name);
            let valid = match number {
                Some((.., range)) => value.parse().is_ok_and(|number| range.contains(&number)),
                None if name == "RedrivePolicy" && !value.is_empty() => {
                    let (target, most) = redrive(value).unwrap_or_default();
                    self.queues.contains_key(&target) && (1..=1_000).contains(&most)
                }
                None => TEXTS.contains(&&**name),
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
            ("QueueArn".into(), format!("{ARN}{name}")),
            ("ApproximateNumberOfMessages".into(), count(|m, now| m.visible_at <= now)),
            ("ApproximateNumberOfMessagesDelayed".into(), count(|m, now| m.visible_at > now && m.receives == 0)),
            ("ApproximateNumberOfMessagesNotVisible".into(), count(|m, now| m.visible_at > now && m.receives > 0)),
        ]);
        Ok(attributes)
    }

    /// Adds a new message, which can be received after so many seconds, or after the queue's own delay.
    pub(super) fn send(&mut self, name: &str, mut message: Message, delay: Option<u64>) -> Result<()> {
        let delay = delay.unwrap_or(self.queue(name)?.number("DelaySeconds"));
        message.visible_at = message.sent + delay * 1_000;
        self.journal.add(name, &message.id, &message.body);
        self.queue(name)?.messages.push(message);
        Ok(())
    }

    /// Receives at most so many messages, and hides them for so many seconds. As on AWS, it is the attempt to receive a
    /// message once too often that moves it to the dead-letter queue.
    pub(super) fn receive(&mut self, name: &str, most: u64, hidden: Option<u64>, now: u64) -> Result<Vec<Message>> {
        // A dead-letter queue that was deleted takes nothing.
        let redrive = self.queue(name)?.redrive.clone().filter(|(target, _)| self.queues.contains_key(target));
        let queue = self.live(name, now)?;
        let hidden = hidden.unwrap_or(queue.number("VisibilityTimeout")) * 1_000;
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
            message.visible_at = now + hidden;
            received.push(message.clone());
            false
        });
        for mut message in dead.collect::<Vec<_>>() {
            message.earlier_receives = message.receives;
            message.system.insert(SOURCE.into(), format!("{ARN}{name}"));
            self.queue(redrive.as_ref().map_or(name, |(target, _)| target))?.messages.push(message);
        }
        Ok(received)
    }

    /// Deletes a message, if this is its latest receipt. AWS accepts earlier ones in silence.
    pub(super) fn delete(&mut self, name: &str, receipt: &str) -> Result<()> {
        let (id, receives) = read_receipt(name, receipt)?;
        let messages = &mut self.queue(name)?.messages;
        if let Some(place) = messages.iter().position(|message| message.id == id && message.receives == receives) {
            messages.remove(place);
        }
        Ok(())
    }

    /// Hides a message for so many seconds from now. AWS accepts a receipt whose time is over in silence.
    pub(super) fn hide(&mut self, name: &str, receipt: &str, seconds: u64, now: u64) -> Result<()> {
        const GONE: &str = "Message does not exist or is not available for visibility timeout change.";
        let (id, receives) = read_receipt(name, receipt)?;
        let message = self.queue(name)?.messages.iter_mut().find(|message| message.id == id);
        let message = message.ok_or_else(|| Refusal("InvalidParameterValue", GONE.into()))?;
        if message.receives == receives && message.visible_at > now {
            message.visible_at = now + seconds * 1_000;
        }
        Ok(())
    }

    /// Performs a redrive, all of it at once: dead letters become new messages of the named queue, or of the queue that
    /// each is from. As on AWS, it fails at one that was sent to the dead-letter queue itself, unless a queue is named.
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
            let Message { body, attributes, system, .. } = letter;
            let message = Message { id: new_id(), body, attributes, system, sent: now, ..Message::default() };
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
        // Only numbers are let in.
        self.attributes.get(name).and_then(|number| number.parse().ok()).unwrap_or_default()
    }
}

/// The dead-letter queue of a redrive policy, and after how many receives messages go there.
fn redrive(policy: &str) -> Option<(String, u64)> {
    let policy: Value = serde_json::from_str(policy).ok()?;
    let target = policy["deadLetterTargetArn"].as_str()?.strip_prefix(ARN)?.to_owned();
    let max = policy.get("maxReceiveCount").map_or(Some(10), |max| max.as_u64().or_else(|| max.as_str()?.parse().ok()));
    Some((target, max?))
}
