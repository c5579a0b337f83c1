//! Messages: their form, their size limit, and sending them to SQS.

use std::{collections::BTreeMap, io::Write};

use aws_sdk_sqs::{
    Client,
    config::retry::RetryConfig,
    error::{ProvideErrorMetadata, SdkError},
    types::{MessageAttributeValue, MessageSystemAttributeNameForSends, MessageSystemAttributeValue},
};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use flate2::{Compression, write::GzEncoder};
use hookgate_event::Event;
use hookgate_verify::{Authenticated, Provider, Scheme};
use serde::{Deserialize, Serialize};

use crate::lean::Ping;

/// The maximum size of an SQS message, body and attributes together, in bytes: 1 MiB, by its
/// [quotas](https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html).
pub const MAX_MESSAGE_BYTES: usize = 1024 * 1024;

/// A message that fits.
#[derive(Debug)]
pub(crate) struct Message {
    body: String,
    attributes: Vec<(&'static str, String)>,
    group: String,
}

/// A quarantine message: one verified delivery that is not a usable event.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Quarantined {
    /// Why it is in quarantine: one of the reasons in `docs/operate.md`.
    pub reason: String,
    /// The platform that sent it.
    pub provider: String,
    /// The account it was sent to.
    pub account: String,
    /// When it was received, RFC 3339 in UTC with milliseconds.
    pub received: String,
    /// Where two contents came with one key: the hex SHA-256 of the claimed one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_claimed: Option<String>,
    /// Where two contents came with one key: the hex SHA-256 of this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_received: Option<String>,
    /// The request's headers, without signatures, cookies and credentials.
    pub headers: BTreeMap<String, String>,
    /// The body's bytes in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// The body's bytes gzipped, in base64, where they would be too large otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_gzip: Option<String>,
}

impl Message {
    /// The event's message, its payload compressed where it is too large otherwise. None where it is too large even so.
    pub fn event(event: &Event<'_>) -> Option<Self> {
        Message::fitting(|| event.to_json(), || event.to_json_gzip(), event_attributes(event), group(event))
    }

    /// The message of an event that was queued before: with the bytes that it had then, and the name of its replay.
    #[cfg(feature = "release")]
    pub fn replay(event: &Event<'_>, text: &str, name: &str) -> Option<Self> {
        let mut attributes = event_attributes(event);
        // A type that this version does not know is read as another one.
        if let Some(named) = serde_json::from_str::<Named>(text).ok().filter(|named| !named.event_type.is_empty()) {
            attributes[0].1 = named.event_type;
        }
        attributes.push(("replay", name.to_owned()));
        Message::fitting(|| text.to_owned(), || event.to_json_gzip(), attributes, group(event))
    }

    /// The quarantine message. `contents` are the claimed and the received hash where two contents came with one key.
    pub fn quarantine(
        authenticated: &Authenticated<'_>,
        reason: &str,
        received: String,
        contents: Option<(String, String)>,
    ) -> Option<Self> {
        let delivery = authenticated.delivery();
        let (provider, account) = (authenticated.provider().name, authenticated.account().to_string());
        let (content_claimed, content_received) = contents.unzip();
        let open = Quarantined {
            reason: reason.to_owned(),
            provider: provider.to_owned(),
            account: account.clone(),
            received,
            content_claimed,
            content_received,
            headers: harmless_headers(&delivery.headers, authenticated.provider(), authenticated.scheme()),
            body: Some(BASE64.encode(&delivery.body)),
            body_gzip: None,
        };
        let compressed = || Quarantined { body: None, body_gzip: Some(gzip(&delivery.body)), ..open.clone() };
        let json = |entry: &Quarantined| serde_json::to_string(entry).expect("text always serializes");
        let attributes =
            vec![("reason", reason.to_owned()), ("provider", provider.to_owned()), ("account", account.clone())];
        Message::fitting(|| json(&open), || json(&compressed()), attributes, format!("{provider}/{account}"))
    }

    fn fitting(
        open: impl FnOnce() -> String,
        compressed: impl FnOnce() -> String,
        attributes: Vec<(&'static str, String)>,
        group: String,
    ) -> Option<Self> {
        // SQS counts an attribute's name, type and value.
        let overhead: usize = attributes.iter().map(|(name, value)| name.len() + "String".len() + value.len()).sum();
        let fits = |body: &String| body.len() + overhead <= MAX_MESSAGE_BYTES;
        let body = Some(sendable(open())).filter(fits).or_else(|| Some(sendable(compressed())).filter(fits))?;
        Some(Message { body, attributes, group })
    }
}

#[cfg(feature = "release")]
#[derive(Deserialize)]
struct Named {
    #[serde(rename = "type")]
    event_type: String,
}

fn event_attributes(event: &Event<'_>) -> Vec<(&'static str, String)> {
    vec![
        ("type", event.event_type.as_str().to_owned()),
        ("provider", event.provider.clone()),
        ("account", event.account.clone()),
    ]
}

fn group(event: &Event<'_>) -> String {
    format!("{}/{}", event.provider, event.account)
}

/// SQS refuses U+FFFE and U+FFFF. In JSON they can occur in strings only, where an escape means the same.
fn sendable(json: String) -> String {
    // Both begin with this byte in UTF-8, which is quick to look for and rare.
    if memchr::memchr(0xef, json.as_bytes()).is_some() {
        json.replace('\u{fffe}', r"\ufffe").replace('\u{ffff}', r"\uffff")
    } else {
        json
    }
}

fn gzip(bytes: &[u8]) -> String {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    BASE64.encode(encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("a Vec takes every byte"))
}

/// Without signatures and credentials, and without the id headers of schemes that did not verify the delivery: nobody
/// signed those, and a release would use one as the event's id.
fn harmless_headers(headers: &http::HeaderMap, provider: &Provider, scheme: &str) -> BTreeMap<String, String> {
    let signs = |name: &str| provider.schemes().any(|scheme| scheme.signature_header() == Some(name));
    let names = |name: &str, scheme: &Scheme| scheme.id_header() == Some(name);
    let is_proved = |name: &str| provider.schemes().any(|other| other.name == scheme && names(name, other));
    let harmful = |name: &str| {
        signs(name)
            || provider.schemes().any(|scheme| names(name, scheme)) && !is_proved(name)
            || ["signature", "authorization", "cookie"].iter().any(|word| name.contains(word))
    };
    let mut harmless = BTreeMap::<String, String>::new();
    for (name, value) in headers.iter().filter(|(name, _)| !harmful(name.as_str())) {
        let value = String::from_utf8_lossy(value.as_bytes());
        harmless
            .entry(name.to_string())
            .and_modify(|earlier| *earlier = format!("{earlier},{value}"))
            .or_insert_with(|| value.into_owned());
    }
    harmless
}

/// Why a send returned no message id.
#[derive(Debug)]
pub(crate) enum SendError {
    /// SQS refused the last attempt. An earlier one may have succeeded after all.
    Refused(String),
    /// The outcome is unknown: the answer was lost, or never came.
    Unknown(String),
}

/// Opens the connection without an API call: see [`Ping`].
pub(crate) async fn connect(client: &Client, queue_url: &str) {
    let once = aws_sdk_sqs::config::Builder::new().retry_config(RetryConfig::disabled());
    // Whatever the answer, there is a connection now. If there is none, the first send reports what is wrong.
    let _ = client.send_message().queue_url(queue_url).customize().interceptor(Ping).config_override(once).send().await;
}

/// Sends the message. Returns SQS's message id.
pub(crate) async fn send(
    client: &Client,
    queue_url: &str,
    message: Message,
    trace: Option<&str>,
) -> Result<String, SendError> {
    let attribute = |value| MessageAttributeValue::builder().data_type("String").string_value(value).build();
    let attributes = message
        .attributes
        .into_iter()
        .map(|(name, value)| (name.to_owned(), attribute(value).expect("the data type is set")));
    let mut call = client
        .send_message()
        .queue_url(queue_url)
        .message_body(message.body)
        .message_group_id(message.group)
        .set_message_attributes(Some(attributes.collect()));
    if let Some(trace) = trace {
        let value = MessageSystemAttributeValue::builder().data_type("String").string_value(trace).build();
        call = call.message_system_attributes(
            MessageSystemAttributeNameForSends::AwsTraceHeader,
            value.expect("the data type is set"),
        );
    }
    match call.send().await {
        Ok(sent) => Ok(sent.message_id.unwrap_or_default()),
        Err(error) => {
            let name = error_name(&error);
            let refused = match &error {
                SdkError::ConstructionFailure(_) => true,
                SdkError::ServiceError(answer) => answer.raw().status().is_client_error(),
                _ => false,
            };
            Err(if refused { SendError::Refused(name) } else { SendError::Unknown(name) })
        }
    }
}

/// The error's name: AWS's error code, or how the call failed. Never its message, which may quote the request.
pub(crate) fn error_name<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> String {
    match error {
        SdkError::ConstructionFailure(_) => "ConstructionFailure".to_owned(),
        SdkError::TimeoutError(_) => "TimeoutError".to_owned(),
        SdkError::DispatchFailure(_) => "DispatchFailure".to_owned(),
        SdkError::ResponseError(_) => "ResponseError".to_owned(),
        SdkError::ServiceError(answer) => answer.err().code().unwrap_or("ServiceError").to_owned(),
        _ => "SdkError".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_sqs_refuses_is_escaped_and_nothing_else() {
        assert_eq!(sendable("\"a\u{fffe}b\u{ffff}é\u{fffd}\"".to_owned()), r#""a\ufffeb\uffffé�""#);
        let untouched = r#"{"a":"\ud800\u0000"}"#;
        assert_eq!(sendable(untouched.to_owned()), untouched);
    }

    #[test]
    fn the_limit_counts_body_and_attributes() {
        let attributes = || vec![("type", "x".to_owned())];
        let overhead = "type".len() + "String".len() + 1;
        let sized = |bytes: usize| "x".repeat(bytes - overhead);
        let message =
            |open, compressed| Message::fitting(|| sized(open), || sized(compressed), attributes(), String::new());
        assert_eq!(message(MAX_MESSAGE_BYTES, 100).unwrap().body.len(), MAX_MESSAGE_BYTES - overhead);
        assert_eq!(message(MAX_MESSAGE_BYTES + 1, 100).unwrap().body.len(), 100 - overhead);
        assert!(message(MAX_MESSAGE_BYTES + 1, MAX_MESSAGE_BYTES).is_some());
        assert!(message(MAX_MESSAGE_BYTES + 1, MAX_MESSAGE_BYTES + 1).is_none());
    }

    #[test]
    fn no_signature_cookie_or_authorization_is_kept() {
        for provider in hookgate_verify::providers::ALL {
            let mut headers = http::HeaderMap::new();
            let signatures = provider.schemes().filter_map(Scheme::signature_header);
            let others = ["x-another-signature", "authorization", "proxy-authorization", "cookie", "set-cookie"];
            for name in signatures.chain(others) {
                headers.append(name, "s3cr3t".parse().unwrap());
            }
            for (name, value) in [("user-agent", "a platform"), ("x-twice", "1"), ("x-twice", "2")] {
                headers.append(name, value.parse().unwrap());
            }
            let kept = [("user-agent", "a platform"), ("x-twice", "1,2")];
            let kept = kept.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
            assert_eq!(harmless_headers(&headers, provider, ""), kept, "{provider:?}");
        }
    }

    /// An unsigned value must not become an event's id when an operator releases the delivery.
    #[test]
    fn only_the_id_that_is_proved_is_kept() {
        for provider in hookgate_verify::providers::ALL {
            let ids: std::collections::BTreeSet<_> = provider.schemes().filter_map(Scheme::id_header).collect();
            let headers: http::HeaderMap =
                ids.iter().map(|id| (http::HeaderName::from_static(id), "id_1".parse().unwrap())).collect();
            for scheme in provider.schemes() {
                let kept: Vec<_> = harmless_headers(&headers, provider, scheme.name).into_keys().collect();
                assert_eq!(kept, scheme.id_header().into_iter().collect::<Vec<_>>(), "{provider:?} {}", scheme.name);
            }
        }
    }
}
