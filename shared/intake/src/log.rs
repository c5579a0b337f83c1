//! The one log line of each delivery: JSON, and never a body, a secret or a signature.
//!
//! The line carries the delivery's metrics too, in CloudWatch's
//! [embedded metric format](https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html):
//! no API calls. Their only dimension is the platform, since every further value of a dimension is billed as a metric of its
//! own. CloudWatch bills the line by the byte and each metric by the month, so whatever follows from the rest is left out.

use std::time::Duration;

use serde::{Serialize, Serializer, ser::SerializeMap};

/// The log line.
#[derive(Debug, Serialize)]
pub(crate) struct Line<'a> {
    pub level: &'static str,
    pub provider: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    pub outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'a str>,
    /// The name of the error where a step failed, never its message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<&'a str>,
    #[serde(flatten)]
    pub record: &'a DeliveryRecord,
    /// Bytes of the body.
    pub body_bytes: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<&'a str>,
    #[serde(rename = "_aws")]
    pub directive: Directive<'a>,
    #[serde(flatten)]
    pub metrics: &'a Metrics,
}

/// What each step of the path notes about a delivery, for the log.
#[derive(Debug, Default, Serialize)]
pub(crate) struct DeliveryRecord {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheme: Option<&'static str>,
    /// Which of the account's secrets matched; 0 is the current one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<usize>,
    /// Why the secrets could not be read again. The ones read before are still in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secrets_error: Option<String>,
    /// The event's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub event_type: Option<&'static str>,
    /// What the event is about, like `order/8f3e`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The claim's partition key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// SQS's id of the message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    /// Why settling or releasing the claim failed. The answer does not depend on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cleanup_error: Option<String>,
    #[serde(skip)]
    pub claim: Option<Duration>,
    #[serde(skip)]
    pub enqueue: Option<Duration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settle_ms: Option<f64>,
}

/// Milliseconds, rounded to the microsecond.
pub(crate) fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

/// Where the metrics go, and how many there are.
#[derive(Debug, Clone)]
pub(crate) struct Reporting {
    /// The stack's own, so that several stacks in one account do not hide each other's losses.
    pub namespace: String,
    /// A metric for every outcome and step, not only for those that the alarms read; and, in the line of a successful
    /// delivery, the ids that can also be looked up by the event's id.
    pub all: bool,
}

/// The metrics that the alarms read. A delivery that is answered counts one `Received`: invocations beyond those were lost.
const ESSENTIAL: [&str; 7] =
    ["Received", "Rejected", "TooLarge", "Unavailable", "PreviousSecret", "CleanupFailed", "TotalMs"];

/// The counts and times of one delivery.
#[derive(Debug)]
pub(crate) struct Metrics(Vec<Metric>);

#[derive(Debug)]
struct Metric {
    name: &'static str,
    value: f64,
    /// Whether CloudWatch makes a metric of it. The line has the times in either case.
    reported: bool,
}

impl Metrics {
    /// One count for the delivery and one for its outcome (`outcome` is that metric's name), other counts that an operator
    /// watches, and times.
    pub fn of(outcome: &'static str, record: &DeliveryRecord, total: Duration, reporting: &Reporting) -> Self {
        let reported = |name| reporting.all || ESSENTIAL.contains(&name);
        let count = |name| Metric { name, value: 1.0, reported: reported(name) };
        let time = |name, duration| Metric { name, value: milliseconds(duration), reported: reported(name) };
        let mut metrics = vec![count("Received"), count(outcome)];
        // When this stays at zero, an operator can remove the previous secret.
        metrics.extend(record.secret.filter(|&position| position > 0).map(|_| count("PreviousSecret")));
        metrics.extend(record.cleanup_error.as_ref().map(|_| count("CleanupFailed")));
        metrics.extend(record.claim.map(|duration| time("ClaimMs", duration)));
        metrics.extend(record.enqueue.map(|duration| time("EnqueueMs", duration)));
        metrics.push(time("TotalMs", total));
        // A count that is not reported is not needed: `outcome` in the line says the same.
        metrics.retain(|metric| metric.reported || metric.name.ends_with("Ms"));
        Metrics(metrics)
    }
}

impl Serialize for Metrics {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for metric in &self.0 {
            map.serialize_entry(metric.name, &metric.value)?;
        }
        map.end()
    }
}

/// Tells CloudWatch which members of the line are metrics.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Directive<'a> {
    /// Unix milliseconds.
    timestamp: i64,
    cloud_watch_metrics: [MetricSet<'a>; 1],
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct MetricSet<'a> {
    namespace: &'a str,
    dimensions: [[&'static str; 1]; 1],
    metrics: Vec<Definition>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Definition {
    name: &'static str,
}

impl<'a> Directive<'a> {
    /// For these metrics, at this time in Unix milliseconds.
    pub fn new(metrics: &Metrics, timestamp: i64, reporting: &'a Reporting) -> Self {
        let reported = metrics.0.iter().filter(|metric| metric.reported);
        let metrics = reported.map(|metric| Definition { name: metric.name }).collect();
        let set = MetricSet { namespace: &reporting.namespace, dimensions: [["provider"]], metrics };
        Directive { timestamp, cloud_watch_metrics: [set] }
    }
}

impl Line<'_> {
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("text and numbers always serialize")
    }
}
