//! The one line that each delivery leaves in the log: JSON, and never a body, a secret or a signature.

use serde::Serialize;

/// What is known of a delivery by the time it is answered.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Line<'a> {
    pub level: &'static str,
    pub message: &'static str,
    pub provider: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    pub outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'a str>,
    /// What AWS said where a step failed: names of errors, never their content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<&'a str>,
    #[serde(flatten)]
    pub trail: Trail,
    /// Bytes of the body.
    pub body_bytes: usize,
    pub total_ms: f64,
    pub request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<&'a str>,
}

/// What the path of a delivery leaves behind, step by step.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Trail {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheme: Option<&'static str>,
    /// Which of the account's secrets matched; 0 is the current one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<usize>,
    /// The event's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub event_type: Option<&'static str>,
    /// The claim's partition key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claim_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enqueue_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settle_ms: Option<f64>,
    /// What went wrong while settling or releasing the claim. The answer does not depend on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cleanup_error: Option<String>,
}

impl Line<'_> {
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("text and numbers always serialize")
    }
}

/// Milliseconds with microsecond digits.
pub(crate) fn milliseconds(duration: std::time::Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
