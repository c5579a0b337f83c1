//! Everything that can become of a delivery, and the one place that says what the provider is answered.

use hookgate_verify::{Provider, Rejection};
use http::{HeaderValue, header};
use serde::Serialize;

use crate::lambda::ApiGatewayV2httpResponse;

/// What became of one delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// On the queue.
    Queued,
    /// Was on the queue, or in quarantine, already.
    Duplicate,
    /// Authentic, but not usable as an event: in quarantine, for this reason.
    Quarantined(&'static str),
    /// The request by which the provider tries an address: nothing to prove, claim or queue.
    Ping,
    /// Not authentic, or not a delivery at all.
    Rejected(Refusal),
    /// More than a message can carry. Nothing was claimed or sent.
    TooLarge,
    /// Another invocation is at work on the same event, for at most this many seconds more.
    Busy { retry_after: u64 },
    /// AWS did not do its part in time: which step, and what it said.
    Unavailable { step: &'static str, error: String },
}

/// Why a request is turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// No HTTP event of payload format 2.0.
    PayloadFormat,
    /// Not a POST.
    Method,
    /// An address that names no account of this provider.
    Address,
    /// A body that claims to be base64 and is not.
    Body,
    /// Not proved to come from the provider.
    Unauthentic(Rejection),
}

/// Names the setting. What was there instead is not known: it may be anything.
const PAYLOAD_FORMAT: &str = "not an HTTP event of payload format 2.0, or one with a header that cannot be read: give the \
                              HTTP API's integration PayloadFormatVersion 2.0, or the function a Function URL";

#[derive(Serialize)]
struct Body<'a> {
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
}

impl Outcome {
    /// The outcome's name in answers, logs and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Duplicate => "duplicate",
            Self::Quarantined(_) => "quarantined",
            Self::Ping => "ping",
            Self::Rejected(_) => "rejected",
            Self::TooLarge => "too_large",
            Self::Busy { .. } => "busy",
            Self::Unavailable { .. } => "unavailable",
        }
    }

    /// The reason, for the operator's log.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Queued | Self::Duplicate | Self::Ping | Self::TooLarge | Self::Busy { .. } => None,
            Self::Quarantined(reason) => Some(reason),
            Self::Rejected(Refusal::PayloadFormat) => Some("payload_format"),
            Self::Rejected(Refusal::Method) => Some("method"),
            Self::Rejected(Refusal::Address) => Some("address"),
            Self::Rejected(Refusal::Body) => Some("body_not_base64"),
            Self::Rejected(Refusal::Unauthentic(rejection)) => Some(rejection.as_str()),
            Self::Unavailable { step, .. } => Some(step),
        }
    }

    /// What went wrong, for the operator's log.
    pub fn error(&self) -> Option<&str> {
        match self {
            Self::Unavailable { error, .. } => Some(error),
            Self::Rejected(Refusal::PayloadFormat) => Some(PAYLOAD_FORMAT),
            _ => None,
        }
    }

    /// The answer, as the provider expects it. A rejection says nothing about what was wrong.
    pub fn answer(&self, provider: &Provider, id: Option<&str>) -> ApiGatewayV2httpResponse {
        let status = match self {
            Self::Queued | Self::Duplicate | Self::Quarantined(_) | Self::Ping => 200,
            Self::Rejected(Refusal::Method) => 405,
            Self::Rejected(_) => provider.rejected_status.into(),
            Self::TooLarge => 413,
            Self::Busy { .. } | Self::Unavailable { .. } => 503,
        };
        let body = serde_json::to_string(&Body { outcome: self.name(), id }).expect("text always serializes");
        let mut answer = ApiGatewayV2httpResponse::default();
        answer.status_code = status;
        answer.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        answer.body = Some(lambda_http::Body::Text(body));
        match self {
            Self::Rejected(Refusal::Method) => {
                answer.headers.insert(header::ALLOW, HeaderValue::from_static("POST"));
            }
            Self::Busy { retry_after } => {
                answer.headers.insert(header::RETRY_AFTER, (*retry_after).into());
            }
            Self::Unavailable { .. } => {
                answer.headers.insert(header::RETRY_AFTER, HeaderValue::from_static("30"));
            }
            _ => {}
        }
        answer
    }
}
