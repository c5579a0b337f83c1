//! One message of the quarantine, as text and as JSON.

use std::fmt::Write as _;

use base64::{Engine, prelude::BASE64_STANDARD};
use hookgate_intake::{QUARANTINE, Quarantined};
use hookgate_verify::{Provider, Unreadable, Verifier};
use serde_json::{Value, json};

use crate::{
    client::messages::Entry,
    output::{BOLD, MAYBE, plain},
};

/// One message of the quarantine.
pub(crate) struct Item {
    pub(crate) message_id: String,
    /// None if the message is not a quarantined delivery.
    pub(super) entry: Option<Quarantined>,
}

impl From<Entry> for Item {
    fn from(Entry { message_id, body, .. }: Entry) -> Self {
        Item::read(message_id, &body)
    }
}

impl Item {
    /// Whether `id` is the message id, or the id in the platform's answer, or long enough a beginning of either.
    pub(super) fn is(&self, id: &str) -> bool {
        let begins = |own: &str, least: usize| own == id || (id.len() >= least && own.starts_with(id));
        begins(&self.message_id, 8)
            || (id.starts_with(QUARANTINE) && self.id().is_some_and(|own| begins(&own, QUARANTINE.len() + 8)))
    }

    fn id(&self) -> Option<String> {
        let entry = self.entry.as_ref()?;
        let verifier = Verifier::new(Provider::named(&entry.provider)?, |name| std::env::var(name).ok()).ok()?;
        entry.id(&verifier)
    }

    pub(crate) fn read(message_id: String, body: &str) -> Self {
        Item { message_id, entry: serde_json::from_str(body).ok() }
    }

    pub(super) fn line(&self) -> String {
        let Some(entry) = &self.entry else {
            return format!("{MAYBE}{:<15}{MAYBE:#}  {}", "not a delivery", plain(&self.message_id));
        };
        let (account, bytes) = (format!("{}/{}", plain(&entry.provider), plain(&entry.account)), bytes(entry));
        format!(
            "{}  {MAYBE}{:<15}{MAYBE:#}  {account:<20}  {bytes:>8} B  {}",
            plain(&entry.received),
            plain(&entry.reason),
            plain(&self.message_id)
        )
    }

    pub(super) fn summary(&self) -> Value {
        let Some(entry) = &self.entry else { return json!({"quarantine_id": self.message_id, "reason": null}) };
        let mut json = json!({
            "quarantine_id": self.message_id, "reason": entry.reason, "provider": entry.provider, "account": entry.account,
            "received": entry.received, "bytes": bytes(entry),
        });
        for (name, hash) in [("content_claimed", &entry.content_claimed), ("content_received", &entry.content_received)]
        {
            if let Some(hash) = hash {
                json[name] = json!(hash);
            }
        }
        json
    }

    /// The body is text if it is UTF-8, else base64.
    pub(super) fn json(&self) -> Value {
        let mut json = self.summary();
        if let Some(entry) = &self.entry {
            let (why, remedy) = explained(&entry.reason);
            json["explained"] = why.into();
            json["remedy"] = remedy.into();
            json["headers"] = json!(entry.headers);
            match entry.body_bytes().map(String::from_utf8) {
                Some(Ok(text)) => json["body"] = json!(text),
                Some(Err(bytes)) => json["body_base64"] = json!(BASE64_STANDARD.encode(bytes.as_bytes())),
                None => json["body"] = Value::Null,
            }
        }
        json
    }

    pub(super) fn text(&self) -> String {
        let Some(entry) = &self.entry else {
            return format!("{}: not a message of Hookgate's quarantine.\n", plain(&self.message_id));
        };
        let (why, remedy) = explained(&entry.reason);
        let mut text = format!(
            "{BOLD}{}{BOLD:#}: {why}\n{remedy}\n\n  id        {}\n  account   {}/{}\n  received  {}\n",
            plain(&entry.reason),
            plain(&self.message_id),
            plain(&entry.provider),
            plain(&entry.account),
            plain(&entry.received),
        );
        if let (Some(claimed), Some(received)) = (&entry.content_claimed, &entry.content_received) {
            let _ = writeln!(text, "  claimed   {}\n  this one  {}", plain(claimed), plain(received));
        }
        text.push('\n');
        for (name, value) in &entry.headers {
            let _ = writeln!(text, "{BOLD}{}{BOLD:#}: {}", plain(name), plain(value));
        }
        match entry.body_bytes().map(String::from_utf8) {
            // Line breaks and tabs are layout; a terminal would obey other control characters.
            Some(Ok(body)) => {
                let _ = write!(text, "\n{}\n", body.split('\n').map(plain_but_tabs).collect::<Vec<_>>().join("\n"));
            }
            Some(Err(bytes)) => {
                let bytes = bytes.as_bytes();
                let _ = write!(text, "\nNot UTF-8, in base64:\n{}\n", BASE64_STANDARD.encode(bytes));
            }
            None => text.push_str("\nThe message has no body that can be read.\n"),
        }
        text
    }
}

fn plain_but_tabs(line: &str) -> String {
    line.split('\t').map(plain).collect::<Vec<_>>().join("\t")
}

fn bytes(entry: &Quarantined) -> usize {
    entry.body_bytes().map_or(0, |body| body.len())
}

/// The reason of an event that is older than claims are kept.
pub(super) const TOO_OLD: &str = "too_old";

/// A reason in words, and the remedy.
pub(super) fn explained(reason: &str) -> (&'static str, &'static str) {
    const READING: &str = "Ask the platform whether this is intended. If so, adapt its file in \
                           shared/verify/src/providers, deploy, and release the delivery with that version.";
    const NO_JSON: &str = "It cannot be read as it is: fetch the event from the platform, and report this to it.";
    let words = [
        (Unreadable::NotUtf8, "its body is not UTF-8, as JSON must be.", NO_JSON),
        (Unreadable::ByteOrderMark, "its body begins with a byte order mark, which JSON must not.", READING),
        (Unreadable::NotJson, "its body is not JSON.", NO_JSON),
        (Unreadable::NotAnObject, "its body is JSON, but not an object.", READING),
        (
            Unreadable::DuplicateKey,
            "its body has two top-level members of the same name, and parsers differ in which one they use.",
            READING,
        ),
        (Unreadable::EventName, "its event name is missing, or not a string of 1 to 256 bytes.", READING),
        (Unreadable::Payload, "its payload is missing, or not an object.", READING),
        (Unreadable::Id, "its id is of the wrong type, or longer than 256 bytes.", READING),
    ];
    let unreadable = words.into_iter().find(|(why, ..)| why.as_str() == reason);
    match (unreadable, reason) {
        (Some((_, why, remedy)), _) => (why, remedy),
        (None, TOO_OLD) => (
            "the event is older than claims are kept: it may be a replay of one that was queued long ago.",
            "Check whether your consumers know its id. If they do not, release it.",
        ),
        (None, "key_conflict") => (
            "its id belongs to other content already: the platform used one id for two contents.",
            "Compare it with the event that your consumers have. To give them this one too, release it with --new-id.",
        ),
        (None, _) => ("this version does not know the reason.", "Use the deployed version of hookgate."),
    }
}
