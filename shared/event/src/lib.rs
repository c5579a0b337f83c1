#![doc = include_str!("../README.md")]
//!
//! # Four rules for consumers
//!
//! - **Deduplicate on `source` + `id`.** The queue delivers at least once.
//! - **Expect unknown types**: they parse as [`EventType::Unrecognized`], with the platform's own name in
//!   [`Event::provider_type`].
//! - **Money is text.** [`Amount::value`] holds the digits as the platform wrote them; [`Amount::unit`] says whether
//!   they count cents or whole units.
//! - **Order by [`Event::sort_key`].** Events come in any order. Whoever keeps a resource's current state writes only if
//!   what is there has no larger key.

mod error;
mod event_type;
mod payload;

pub use error::{Category, ReadError};
pub use event_type::EventType;
pub use payload::{MAX_INFLATED_BYTES, PayloadError};

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// One normalised event: CloudEvents 1.0 [context attributes](https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md#context-attributes),
/// Hookgate's [extension attributes](https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md#extension-context-attributes),
/// and the [`Data`].
///
/// Borrows the payload from the text that it was parsed from; [`Event::into_owned`] copies it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Event<'a> {
    /// Always [`SpecVersion`], written `"1.0"`; anything else does not parse.
    pub specversion: SpecVersion,
    /// The platform's id of the event, or, where it gives none, the hex SHA-256 that stands for it.
    /// 1 to 256 bytes, unique within [`source`](Self::source).
    pub id: String,
    /// `/webhooks/{provider}/{account}`: where the event arrived.
    pub source: String,
    /// What happened, in one vocabulary for all platforms.
    #[serde(rename = "type")]
    pub event_type: EventType,
    /// `{kind}/{id}` of the resource that the event is about, like `order/8f3e`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// When it happened by the platform's clock, [RFC 3339](https://www.rfc-editor.org/rfc/rfc3339) in UTC, as precise as
    /// the platform's own time. Absent if the platform gave no usable time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// Always [`ContentType`], written `"application/json"`.
    pub datacontenttype: ContentType,
    /// The platform, by its name in the webhook's address.
    pub provider: String,
    /// Which of your shops on that platform, `[a-z0-9-]{1,64}`; `default` unless the webhook's address names one.
    pub account: String,
    /// The platform's own name of the event, like `order:paid:product`: 1 to 256 bytes.
    #[serde(rename = "providertype")]
    pub provider_type: String,
    /// When Hookgate received the delivery, RFC 3339 in UTC with milliseconds.
    #[serde(rename = "receivedtime")]
    pub received_time: String,
    /// The platform's id of this delivery, `[A-Za-z0-9_-]{1,128}`, if it signs one. A retry may have another id.
    #[serde(rename = "deliveryid", default, skip_serializing_if = "Option::is_none")]
    pub delivery_id: Option<String>,
    /// [W3C trace context](https://www.w3.org/TR/trace-context/#traceparent-header) of the invocation that queued it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// The content of the event.
    #[serde(borrow)]
    pub data: Data<'a>,
}

/// The content of an event: a few facts that every shop needs, and the platform's own payload.
#[derive(Debug, Clone, Serialize)]
pub struct Data<'a> {
    /// What the event is about. Absent if the payload has no id for it, or one longer than 256 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource: Option<Resource>,
    /// The amount of money, if the payload has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amount: Option<Amount>,
    /// The platform's customer, if the payload names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customer: Option<Customer>,
    /// The platform's own word for the resource's state, like `waiting_delivery`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// The platform's whole `data`, byte for byte as it was signed: number spellings, key order and escapes included.
    ///
    /// A payload that would not fit into a message of 1 MiB is queued compressed, and decompressed while parsing.
    pub payload: Cow<'a, RawValue>,
}

/// What an event is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resource {
    /// What it is, like `order`: the word after `commerce.` in the event's type or, for [`EventType::Unrecognized`], the first
    /// word of the platform's own event name.
    pub kind: String,
    /// The platform's id, 1 to 256 bytes; numeric ids are written as text.
    pub id: String,
}

/// An amount of money, exactly as the platform wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amount {
    /// The digits as written, like `"5500"` or `"49.99"`, never converted to a float.
    pub value: String,
    /// What the digits count.
    pub unit: Unit,
    /// The currency's [ISO 4217](https://www.iso.org/iso-4217-currency-codes.html) code in three capitals, if the
    /// platform gives one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
}

/// What an amount's digits count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// The currency's smallest unit: 5500 is 55.00 dollars.
    Minor,
    /// The currency itself: 49.99 is 49.99 dollars.
    Major,
}

/// The platform's customer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Customer {
    /// The platform's customer id.
    pub id: String,
}

/// The CloudEvents version, `"1.0"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SpecVersion {
    /// CloudEvents 1.0.
    #[serde(rename = "1.0")]
    V1,
}

/// The media type of [`Event::data`], `"application/json"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ContentType {
    /// JSON.
    #[serde(rename = "application/json")]
    Json,
}

impl<'a> Event<'a> {
    /// Parses the body of one SQS message.
    ///
    /// # Errors
    /// The text is not an event: not JSON, another CloudEvents version, an attribute missing or of the wrong type, or
    /// a compressed payload that cannot be decompressed or exceeds [`MAX_INFLATED_BYTES`]. The error quotes nothing of the
    /// text.
    pub fn from_json(text: &'a str) -> Result<Self, ReadError> {
        Ok(serde_json::from_str(text)?)
    }

    /// Writes the event as CloudEvents JSON, with the payload uncompressed in `data.payload`.
    ///
    /// # Panics
    /// Never: every member is text or JSON already.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("text and raw JSON always serialize")
    }

    /// Writes the event with its payload gzipped ([RFC 1952](https://www.rfc-editor.org/rfc/rfc1952)), as padded base64
    /// ([RFC 4648](https://www.rfc-editor.org/rfc/rfc4648#section-4)) in `data.payload_gzip`, for a queue with a size limit.
    /// [`Event::from_json`] reads both forms.
    ///
    /// # Panics
    /// Never: compressing into memory does not fail.
    #[must_use]
    pub fn to_json_gzip(&self) -> String {
        let data = Data { payload: Cow::Borrowed(RawValue::NULL), ..self.data.clone() };
        let mut event = serde_json::to_value(Event { data, ..self.clone() }).expect("attributes are text");
        let data = event["data"].as_object_mut().expect("data is an object");
        data.remove("payload");
        data.insert("payload_gzip".to_owned(), payload::deflate(self.data.payload.get()).into());
        event.to_string()
    }

    /// `(source, id)`: the same for every copy of an event, and for no other event.
    #[must_use]
    pub fn deduplication_key(&self) -> (&str, &str) {
        (&self.source, &self.id)
    }

    /// Compares like the order in which a resource's events happened, byte by byte, as `DynamoDB` and most databases compare
    /// text: `2025-01-11T16:00:00.000000000Z 50 evt_1` is the [`time`](Self::time) with nine decimals, the type's
    /// [`stage`](EventType::stage), and the event's id.
    ///
    /// Within one [`source`](Self::source) two events have the same key only if they are the same event. Without a `time` the
    /// [received time](Self::received_time) stands in: a guess, since events arrive in any order, and a copy that the platform
    /// sent later has a later one.
    #[must_use]
    pub fn sort_key(&self) -> String {
        // In UTC already. Only its decimals differ: as text, `16:00:00.5Z` would come before `16:00:00Z`.
        let time = self.time.as_ref().unwrap_or(&self.received_time);
        let time = time.strip_suffix('Z').unwrap_or(time);
        let (seconds, decimals) = time.split_once('.').unwrap_or((time, ""));
        format!("{seconds}.{decimals:0<9}Z {:02} {}", self.event_type.stage(), self.id)
    }

    /// Reads the platform's own payload into a type of yours.
    ///
    /// # Errors
    /// The payload does not have that type's form. The error quotes nothing of it.
    pub fn payload<'p, T: Deserialize<'p>>(&'p self) -> Result<T, ReadError> {
        Ok(serde_json::from_str(self.data.payload.get())?)
    }

    /// The same event with its own copy of the payload.
    #[must_use]
    pub fn into_owned(self) -> Event<'static> {
        let payload = Cow::Owned(self.data.payload.into_owned());
        Event { data: Data { payload, ..self.data }, ..self }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{prelude::*, sample::select};

    use super::*;

    /// What decides: the time as numbers, its nanoseconds last; the type; the id. And whether it is the platform's time.
    type Facts = ([u32; 7], EventType, String, bool);

    /// An event that says so, its decimals as short as `short` allows.
    fn event((time, event_type, id, told): &Facts, short: bool) -> Event<'static> {
        let [year, month, day, hour, minute, second, nanoseconds] = time;
        let decimals = format!(".{nanoseconds:09}");
        let decimals = if short { decimals.trim_end_matches('0').trim_end_matches('.') } else { &decimals };
        let time = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{decimals}Z");
        let (time, received_time) = if *told { (Some(time), String::new()) } else { (None, time) };
        Event {
            specversion: SpecVersion::V1,
            id: id.clone(),
            source: "/webhooks/platform/default".to_owned(),
            event_type: *event_type,
            subject: None,
            time,
            datacontenttype: ContentType::Json,
            provider: "platform".to_owned(),
            account: "default".to_owned(),
            provider_type: "event".to_owned(),
            received_time,
            delivery_id: None,
            traceparent: None,
            data: Data {
                resource: None,
                amount: None,
                customer: None,
                status: None,
                payload: Cow::Borrowed(RawValue::NULL),
            },
        }
    }

    fn facts() -> impl Strategy<Value = Facts> {
        // Few values, so that ties are frequent; and all values.
        let nanoseconds = prop_oneof![select(&[0, 1, 500_000_000, 120_000_000, 999_999_999][..]), 0..1_000_000_000_u32];
        let second = prop_oneof![select(&[0, 1][..]), 0..60_u32];
        let date = prop_oneof![Just((2026, 3, 14, 16, 0)), (0..10_000_u32, 1..13_u32, 1..29_u32, 0..24_u32, 0..60_u32)];
        let time = (date, second, nanoseconds).prop_map(|((y, m, d, h, min), s, n)| [y, m, d, h, min, s, n]);
        let id =
            prop_oneof![select(&["1", "2", "10", "é", "\u{e000}", "\u{10000}"][..]).prop_map(str::to_owned), ".{1,8}"];
        (time, select(EventType::ALL), id, any::<bool>())
    }

    proptest! {
        #[test]
        fn sort_keys_compare_like_time_then_stage_then_id(one in facts(), other in facts(), short in any::<[bool; 2]>()) {
            let keys = [event(&one, short[0]).sort_key(), event(&other, short[1]).sort_key()];
            let order = |(time, event_type, id, _): &Facts| (*time, event_type.stage(), id.clone());
            prop_assert_eq!(keys[0].as_bytes().cmp(keys[1].as_bytes()), order(&one).cmp(&order(&other)), "{:?}", keys);
            // The same id is the same event, which has one time and one type.
            prop_assert!(keys[0] != keys[1] || one.2 == other.2);
            prop_assert_eq!(event(&one, true).sort_key(), event(&one, false).sort_key());
        }
    }

    #[test]
    fn the_key_is_the_documented_text() {
        let told = ([2025, 1, 11, 16, 0, 0, 0], EventType::OrderPaid, "evt_1".to_owned(), true);
        assert_eq!(event(&told, true).sort_key(), "2025-01-11T16:00:00.000000000Z 50 evt_1");
        let guessed = ([2025, 1, 11, 16, 0, 1, 250_000_000], EventType::Unrecognized, "é 1".to_owned(), false);
        assert_eq!(event(&guessed, true).sort_key(), "2025-01-11T16:00:01.250000000Z 00 é 1");
    }
}
