//! `data` in a message: with the payload as it is, or gzipped if it would not fit on the queue.

use std::{
    borrow::Cow,
    fmt,
    io::{Read, Write},
};

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use serde::{Deserialize, Deserializer, de::Error};
use serde_json::value::RawValue;

use crate::{Amount, Customer, Data, Resource};

/// The most that a compressed payload may inflate to, in bytes: 8 MiB. A Lambda function
/// [receives at most 6 MB](https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html), so no real payload
/// comes near it. A message made to fill the consumer's memory is refused.
pub const MAX_INFLATED_BYTES: u64 = 8 * 1024 * 1024;

/// Why a payload could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PayloadError {
    /// Neither `payload` nor `payload_gzip`, or both.
    NotExactlyOne,
    /// `payload_gzip` is not base64.
    Base64,
    /// `payload_gzip` is not a gzip stream of UTF-8 text.
    Gzip,
    /// `payload_gzip` inflates past [`MAX_INFLATED_BYTES`].
    TooLarge,
    /// `payload_gzip` does not hold JSON.
    Json,
}

impl PayloadError {
    pub(crate) const ALL: [Self; 5] = [Self::NotExactlyOne, Self::Base64, Self::Gzip, Self::TooLarge, Self::Json];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::NotExactlyOne => "data needs exactly one of payload and payload_gzip",
            Self::Base64 => "data.payload_gzip is not base64",
            Self::Gzip => "data.payload_gzip is not gzipped UTF-8 text",
            Self::TooLarge => "data.payload_gzip inflates past 8 MiB",
            Self::Json => "data.payload_gzip holds no JSON",
        }
    }
}

impl fmt::Display for PayloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::error::Error for PayloadError {}

/// `data` as it may stand in a message.
#[derive(Deserialize)]
struct Wire<'a> {
    resource: Option<Resource>,
    amount: Option<Amount>,
    customer: Option<Customer>,
    status: Option<String>,
    // A payload of null is a payload.
    #[serde(borrow, default, deserialize_with = "written")]
    payload: Option<&'a RawValue>,
    #[serde(borrow)]
    payload_gzip: Option<Cow<'a, str>>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Data<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wire = Wire::deserialize(deserializer)?;
        let payload = match (wire.payload, wire.payload_gzip) {
            (Some(open), None) => Ok(Cow::Borrowed(open)),
            (None, Some(gzip)) => inflate(&gzip).map(Cow::Owned),
            _ => Err(PayloadError::NotExactlyOne),
        };
        Ok(Data {
            resource: wire.resource,
            amount: wire.amount,
            customer: wire.customer,
            status: wire.status,
            payload: payload.map_err(D::Error::custom)?,
        })
    }
}

fn written<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// Base64 of the gzipped text.
pub(crate) fn deflate(text: &str) -> String {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let gzip = encoder.write_all(text.as_bytes()).and_then(|()| encoder.finish()).expect("a Vec takes every byte");
    BASE64.encode(gzip)
}

fn inflate(gzip: &str) -> Result<Box<RawValue>, PayloadError> {
    let compressed = BASE64.decode(gzip).map_err(|_| PayloadError::Base64)?;
    let mut text = String::new();
    // One byte more than allowed, to tell "exactly full" from "more to come".
    GzDecoder::new(&compressed[..])
        .take(MAX_INFLATED_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(|_| PayloadError::Gzip)?;
    if text.len() as u64 > MAX_INFLATED_BYTES {
        return Err(PayloadError::TooLarge);
    }
    RawValue::from_string(text).map_err(|_| PayloadError::Json)
}

#[cfg(test)]
mod tests {
    use crate::{Event, EventType, MAX_INFLATED_BYTES};

    use super::{PayloadError, deflate};

    const ENVELOPE: &str = r#"{"specversion":"1.0","id":"e1","source":"/webhooks/platform/default","type":"commerce.order.paid","subject":"order/8f3e","time":"2025-01-11T16:00:00Z","datacontenttype":"application/json","provider":"platform","account":"default","providertype":"order.paid","receivedtime":"2025-01-11T16:00:01.250Z","data":DATA}"#;

    fn with_data(data: &str) -> String {
        ENVELOPE.replace("DATA", data)
    }

    fn error(data: &str) -> String {
        Event::from_json(&with_data(data)).unwrap_err().to_string()
    }

    #[test]
    fn an_event_survives_parsing_and_writing_byte_for_byte() {
        // Numbers that no float can hold, key order, PHP's escapes and white space are unchanged.
        let data = r#"{"resource":{"kind":"order","id":"8f3e"},"amount":{"value":"49.90","unit":"major","currency":"USD"},"customer":{"id":"c1"},"status":"paid","payload":{ "z":29.990000000000001,"a":1e400,"u":"caf\u00e9\/","d":1,"d":2 }}"#;
        let text = with_data(data);
        assert_eq!(Event::from_json(&text).unwrap().to_json(), text);
    }

    #[test]
    fn absent_members_stay_absent() {
        let text =
            with_data(r#"{"payload":{}}"#).replace(r#""subject":"order/8f3e","time":"2025-01-11T16:00:00Z","#, "");
        let event = Event::from_json(&text).unwrap();
        assert_eq!((event.subject.as_deref(), event.time.as_deref(), event.data.resource.as_ref()), (None, None, None));
        assert_eq!(event.to_json(), text);
    }

    #[test]
    fn a_compressed_payload_opens_unasked() {
        let payload = format!(r#"{{"note":"{}","n":1.10}}"#, "x".repeat(100_000));
        let text = with_data(&format!(r#"{{"payload":{payload}}}"#));
        let gzip = Event::from_json(&text).unwrap().to_json_gzip();
        assert!(gzip.len() < 2_000 && !gzip.contains("\"payload\""), "not compressed");
        let opened = Event::from_json(&gzip).unwrap().into_owned();
        assert_eq!(opened.data.payload.get(), payload);
        assert_eq!(opened.event_type, EventType::OrderPaid);
        assert_eq!(opened.to_json(), text);
    }

    #[test]
    fn a_payload_that_does_not_open_is_named_without_its_content() {
        let exactly = usize::try_from(MAX_INFLATED_BYTES).unwrap();
        let fits = format!("\"{}\"", "x".repeat(exactly - 2));
        assert!(Event::from_json(&with_data(&format!(r#"{{"payload_gzip":"{}"}}"#, deflate(&fits)))).is_ok());
        let bomb = format!("\"{}\"", "x".repeat(exactly - 1));
        for (data, expected) in [
            (r"{}".to_owned(), PayloadError::NotExactlyOne),
            (r#"{"payload":1,"payload_gzip":""}"#.to_owned(), PayloadError::NotExactlyOne),
            (r#"{"payload_gzip":"*"}"#.to_owned(), PayloadError::Base64),
            (r#"{"payload_gzip":"AAAA"}"#.to_owned(), PayloadError::Gzip),
            (format!(r#"{{"payload_gzip":"{}"}}"#, deflate("secret{")), PayloadError::Json),
            (format!(r#"{{"payload_gzip":"{}"}}"#, deflate(&bomb)), PayloadError::TooLarge),
        ] {
            let message = error(&data);
            assert!(message.starts_with(&expected.to_string()), "{message}");
            assert!(!message.contains("secret"), "{message}");
        }
    }

    #[test]
    fn a_payload_of_null_is_a_payload() {
        let text = with_data(r#"{"payload":null}"#);
        let event = Event::from_json(&text).unwrap();
        assert_eq!(event.to_json(), text);
        assert_eq!(Event::from_json(&event.to_json_gzip()).unwrap().to_json(), text);
    }

    #[test]
    fn another_cloudevents_version_is_refused() {
        let text = with_data(r#"{"payload":1}"#);
        assert!(Event::from_json(&text).is_ok());
        assert!(Event::from_json(&text.replace("\"1.0\"", "\"0.3\"")).is_err());
        assert!(Event::from_json(&text.replace("application/json", "text/xml")).is_err());
        assert!(Event::from_json(&text.replace(r#""id":"e1","#, "")).is_err());
    }
}
