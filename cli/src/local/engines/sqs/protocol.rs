//! The AWS JSON protocol: requests, the errors with which AWS refuses them, and messages.

use std::collections::BTreeMap;

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub(super) type Result<T> = std::result::Result<T, Refusal>;

/// An error: its code in the older (query) protocol, and its message.
#[derive(Debug)]
pub(super) struct Refusal(pub(super) &'static str, pub(super) String);

impl Refusal {
    /// The error's name in the JSON protocol.
    pub(super) fn shape(&self) -> &str {
        match self.0.trim_start_matches("AWS.SimpleQueueService.") {
            "NonExistentQueue" => "QueueDoesNotExist",
            "QueueAlreadyExists" => "QueueNameExists",
            name => name,
        }
    }
}

/// The members of all actions' requests. A batch has one request per entry.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Request {
    pub(super) queue_url: String,
    pub(super) queue_name: String,
    pub(super) queue_name_prefix: String,
    pub(super) attributes: BTreeMap<String, String>,
    /// Of a queue; or, from an older SDK, the same as the next member.
    pub(super) attribute_names: Vec<String>,
    message_system_attribute_names: Vec<String>,
    message_attribute_names: Vec<String>,
    message_body: String,
    message_attributes: BTreeMap<String, Attribute>,
    message_system_attributes: BTreeMap<String, Attribute>,
    message_group_id: Option<String>,
    pub(super) delay_seconds: Option<i64>,
    pub(super) max_number_of_messages: Option<i64>,
    pub(super) visibility_timeout: Option<i64>,
    pub(super) wait_time_seconds: Option<i64>,
    pub(super) receipt_handle: String,
    pub(super) source_arn: String,
    pub(super) destination_arn: Option<String>,
    pub(super) max_results: Option<usize>,
    /// The number of the last journal entry that the caller has.
    pub(super) after: u64,
    pub(super) id: String,
    pub(super) entries: Vec<Request>,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Attribute {
    data_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    string_value: Option<String>,
    /// Base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    binary_value: Option<String>,
}

impl Attribute {
    pub(super) fn text(&self) -> Option<String> {
        self.string_value.clone()
    }
}

/// A message and its state in a queue. Times are in Unix milliseconds.
#[derive(Debug, Clone, Default)]
pub(super) struct Message {
    pub(super) id: String,
    /// The ids that it had before each redrive.
    pub(super) earlier_ids: Vec<String>,
    pub(super) body: String,
    pub(super) attributes: BTreeMap<String, Attribute>,
    /// The system attributes that no receive changes.
    pub(super) system: BTreeMap<String, String>,
    pub(super) sent: u64,
    pub(super) visible_at: u64,
    pub(super) first_received: u64,
    /// In all queues, like `ApproximateReceiveCount`.
    pub(super) receives: u64,
    /// Before it was moved to this queue.
    pub(super) earlier_receives: u64,
}

impl Message {
    /// The id that it has, and those that it had before each redrive.
    pub(super) fn ids(&self) -> impl Iterator<Item = &str> {
        self.earlier_ids.iter().chain([&self.id]).map(String::as_str)
    }
}

/// Refuses the request unless the condition holds.
pub(super) fn require(holds: bool, code: &'static str, message: &str) -> Result<()> {
    if holds { Ok(()) } else { Err(Refusal(code, message.to_owned())) }
}

/// An optional number, if it is in the range that AWS allows.
pub(super) fn within(name: &str, number: Option<i64>, least: i64, most: i64) -> Result<Option<u64>> {
    let value = number.unwrap_or(least);
    let message = format!("Value {value} for parameter {name} is invalid. Reason: Must be between {least} and {most}.");
    require((least..=most).contains(&value), "InvalidParameterValue", &message)?;
    Ok(number.map(i64::unsigned_abs))
}

/// Whether a request for `names` includes the attribute `name`. AWS returns no attribute unasked.
pub(super) fn is_asked_for(names: &[String], name: &str) -> bool {
    let by_prefix = |asked: &String| asked.strip_suffix(".*").is_some_and(|prefix| name.starts_with(prefix));
    names.iter().any(|asked| asked == "All" || asked == name || by_prefix(asked))
}

/// The name of a queue: the last segment of its URL, with any host.
pub(super) fn name(queue_url: &str) -> &str {
    queue_url.rsplit('/').next().unwrap_or_default()
}

/// The message id and the number of the receive in a receipt handle.
pub(super) fn read_receipt<'a>(queue: &str, receipt: &'a str) -> Result<(&'a str, u64)> {
    let named = receipt.strip_prefix(queue).and_then(|rest| rest.strip_prefix('/')?.split_once('/'));
    let named = named.and_then(|(id, receives)| Some((id, receives.parse().ok()?)));
    let message = || format!("The input receipt handle {receipt:?} is not a valid receipt handle.");
    named.ok_or_else(|| Refusal("ReceiptHandleIsInvalid", message()))
}

impl Request {
    /// The size that counts for the limits of messages and batches, in bytes.
    pub(super) fn size(&self) -> usize {
        self.message_attributes.iter().fold(self.message_body.len(), |size, (name, attribute)| {
            size + name.len() + attribute.data_type.len() + bytes(attribute).len()
        })
    }

    /// The message to send and the answer to its sender, if AWS would accept it.
    pub(super) fn message(self, limit: u64, id: String, now: u64) -> Result<(Message, Value)> {
        const FORBIDDEN: &str = "Invalid characters found. Valid unicode characters are #x9 | #xA | #xD | #x20 to #xD7FF | \
                                 #xE000 to #xFFFD | #x10000 to #x10FFFF";
        // A `char` is never U+D800 to U+DFFF.
        let is_allowed = |c| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{FFFD}' | '\u{10000}'..);
        let is_valid = |text: &str| text.chars().all(is_allowed);
        let mut values = self.message_attributes.values().map(|attribute| attribute.string_value.as_deref());
        let too_long =
            format!("One or more parameters are invalid. Reason: Message must be shorter than {limit} bytes.");
        require(
            !self.message_body.is_empty(),
            "MissingParameter",
            "The request must contain the parameter MessageBody.",
        )?;
        require(self.size() as u64 <= limit, "InvalidParameterValue", &too_long)?;
        require(is_valid(&self.message_body), "InvalidMessageContents", FORBIDDEN)?;
        require(values.all(|value| value.is_none_or(is_valid)), "InvalidParameterValue", FORBIDDEN)?;
        require(self.message_attributes.len() <= 10, "InvalidParameterValue", "A message has at most 10 attributes.")?;
        let mut answer =
            json!({"MessageId": id, "MD5OfMessageBody": format!("{:x}", md5::compute(&self.message_body))});
        if let Some(digest) = digest(&self.message_attributes) {
            answer["MD5OfMessageAttributes"] = digest.into();
        }
        let system = self.message_system_attributes.into_iter();
        let system = system.filter_map(|(name, attribute)| Some((name, attribute.string_value?)));
        let group = self.message_group_id.map(|group| ("MessageGroupId".to_owned(), group));
        let system = system.chain(group).chain([("SenderId".to_owned(), "AIDAIT2UOQQY3AUEKVGXU".to_owned())]).collect();
        let (body, attributes) = (self.message_body, self.message_attributes);
        Ok((Message { id, body, attributes, system, sent: now, ..Message::default() }, answer))
    }

    /// A received message, with the attributes that were asked for.
    pub(super) fn received(&self, mut message: Message) -> Value {
        let receipt = format!("{}/{}/{}", name(&self.queue_url), message.id, message.receives);
        let mut answer = json!({"MessageId": message.id, "ReceiptHandle": receipt, "Body": message.body});
        answer["MD5OfBody"] = format!("{:x}", md5::compute(&message.body)).into();

        let system = &mut message.system;
        system.insert("ApproximateFirstReceiveTimestamp".into(), message.first_received.to_string());
        system.insert("ApproximateReceiveCount".into(), message.receives.to_string());
        system.insert("SentTimestamp".into(), message.sent.to_string());
        let names = [&self.attribute_names[..], &self.message_system_attribute_names].concat();
        system.retain(|name, _| is_asked_for(&names, name));
        if !system.is_empty() {
            answer["Attributes"] = json!(system);
        }
        message.attributes.retain(|name, _| is_asked_for(&self.message_attribute_names, name));
        if let Some(digest) = digest(&message.attributes) {
            answer["MD5OfMessageAttributes"] = digest.into();
            answer["MessageAttributes"] = json!(message.attributes);
        }
        answer
    }
}

fn bytes(attribute: &Attribute) -> Vec<u8> {
    let text = || attribute.string_value.clone().unwrap_or_default().into();
    attribute.binary_value.as_ref().map_or_else(text, |value| BASE64_STANDARD.decode(value).unwrap_or_default())
}

/// The digest that SDKs compare with their own: sorted by name, each part preceded by its length.
fn digest(attributes: &BTreeMap<String, Attribute>) -> Option<String> {
    let mut digest = md5::Context::new();
    for (name, attribute) in attributes {
        let transport: &[u8] = if attribute.binary_value.is_some() { &[2] } else { &[1] };
        let (name, data_type, value) = (name.as_bytes(), attribute.data_type.as_bytes(), bytes(attribute));
        for (part, then) in [(name, &[][..]), (data_type, transport), (&value, &[])] {
            // The size check keeps parts far below 4 GiB.
            digest.consume(u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
            digest.consume(part);
            digest.consume(then);
        }
    }
    (!attributes.is_empty()).then(|| format!("{:x}", digest.compute()))
}
