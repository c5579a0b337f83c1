//! How each outcome of a delivery is named, answered and logged.

use hookgate_verify::{Provider, Rejection};
use http::{HeaderName, HeaderValue, header};
use serde::Serialize;

use crate::{ApiGatewayV2httpResponse, store::StoreOutcome};

/// The outcome of one delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// On the queue.
    Queued,
    /// Already on the queue, or already in quarantine.
    Duplicate,
    /// Verified, but not usable as an event: in quarantine, for this reason.
    Quarantined(&'static str),
    /// The request by which the platform tries an address: nothing to verify, claim or queue.
    Ping,
    /// Not verified, or not a delivery at all.
    Rejected(Refusal),
    /// Larger than a message can be. Nothing was claimed or sent.
    TooLarge,
    /// Another invocation is working on the same event, for at most this many seconds more.
    Busy { retry_after: u64 },
    /// A call to AWS failed or took too long: the step, and the error's name.
    Unavailable { step: &'static str, error: String },
}

/// Why a request is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Not an HTTP event of payload format 2.0.
    PayloadFormat,
    /// Not a POST.
    Method,
    /// An address that names no account of this platform.
    Address,
    /// A body that is marked as base64 and is not.
    Body,
    /// The sender could not be verified.
    Unauthentic(Rejection),
}

/// Names the setting to change, and nothing of what was there instead: it may be anything.
const PAYLOAD_FORMAT: &str = "not an HTTP event of payload format 2.0, or one with a header that cannot be read: give the \
                              HTTP API's integration PayloadFormatVersion 2.0, or the function a Function URL";

/// How an outcome is named, answered and logged.
pub(crate) struct Terms<'a> {
    status: u16,
    pub level: &'static str,
    /// In answers and in the log.
    pub name: &'static str,
    pub metric: &'static str,
    /// For the operator's log.
    pub reason: Option<&'a str>,
    /// What went wrong, for the operator's log.
    pub error: Option<&'a str>,
    header: Option<(HeaderName, HeaderValue)>,
}

#[derive(Serialize)]
struct Body<'a> {
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
}

impl Outcome {
    /// What was stored, or why not. `queued` is the outcome if the message is on its queue.
    pub fn stored(stored: StoreOutcome, queued: Outcome) -> Self {
        match stored {
            StoreOutcome::Queued { .. } => queued,
            StoreOutcome::Duplicate => Self::Duplicate,
            StoreOutcome::Busy { retry_after } => Self::Busy { retry_after },
            StoreOutcome::Unavailable { step, error } => Self::Unavailable { step, error },
            // In quarantine the content is the key: two contents cannot share one, unless SHA-256 is broken.
            StoreOutcome::Conflict { .. } => {
                let error = "the quarantine's claim has other content".to_owned();
                Self::Unavailable { step: "claim", error }
            }
        }
    }

    /// Status, level, names, reason, error and header, by outcome.
    pub fn terms(&self, provider: &Provider) -> Terms<'_> {
        let rejected = provider.rejected_status;
        let retry_after = |seconds| Some((header::RETRY_AFTER, HeaderValue::from(seconds)));
        let (status, level, name, metric, reason, error, header) = match self {
            Self::Queued => (200, "INFO", "queued", "Queued", None, None, None),
            Self::Duplicate => (200, "INFO", "duplicate", "Duplicate", None, None, None),
            Self::Ping => (200, "INFO", "ping", "Ping", None, None, None),
            Self::Quarantined(reason) => (200, "WARN", "quarantined", "Quarantined", Some(*reason), None, None),
            Self::Rejected(refusal) => {
                let (status, reason, error, header) = match refusal {
                    Refusal::PayloadFormat => (rejected, "payload_format", Some(PAYLOAD_FORMAT), None),
                    Refusal::Method => (405, "method", None, Some((header::ALLOW, HeaderValue::from_static("POST")))),
                    Refusal::Address => (rejected, "address", None, None),
                    Refusal::Body => (rejected, "body_not_base64", None, None),
                    Refusal::Unauthentic(rejection) => (rejected, rejection.as_str(), None, None),
                };
                (status, "WARN", "rejected", "Rejected", Some(reason), error, header)
            }
            Self::TooLarge => (413, "ERROR", "too_large", "TooLarge", None, None, None),
            Self::Busy { retry_after: seconds } => (503, "WARN", "busy", "Busy", None, None, retry_after(*seconds)),
            Self::Unavailable { step, error } => {
                (503, "ERROR", "unavailable", "Unavailable", Some(*step), Some(error.as_str()), retry_after(30))
            }
        };
        Terms { status, level, name, metric, reason, error, header }
    }
}

impl Terms<'_> {
    /// The answer, as the platform expects it. A rejection does not say what was wrong: that would help an attacker.
    pub fn answer(&self, id: Option<&str>) -> ApiGatewayV2httpResponse {
        let body = serde_json::to_string(&Body { outcome: self.name, id }).expect("text always serializes");
        let mut answer = ApiGatewayV2httpResponse::default();
        answer.status_code = self.status.into();
        answer.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        answer.headers.extend(self.header.clone());
        answer.body = Some(body.into());
        answer
    }
}
