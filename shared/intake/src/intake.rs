//! The path of one delivery, from the invocation to the answer.

use std::time::{Duration, SystemTime};

use hookgate_verify::{Authenticated, Delivery, Reading, Rejection};
use tokio::time::{Instant, timeout};

use crate::{
    ApiGatewayV2httpRequest, ApiGatewayV2httpResponse, Config, http,
    log::{DeliveryRecord, Directive, Line, Metrics},
    outcome::{Outcome, Refusal},
    queue,
    store::{Attempt, Outbound, StoreOutcome, unix_milliseconds},
    trace::Trace,
};

/// The most time that opening connections may add to the start. The first delivery opens what is not open by then.
const CONNECTING: Duration = Duration::from_secs(1);

/// The functions' timeout in the template, for an emulator that names no deadline.
const FUNCTION_TIMEOUT: Duration = Duration::from_secs(8);

/// One platform's function.
#[derive(Debug)]
pub struct Intake(Config);

/// One invocation of the function.
#[derive(Debug)]
pub struct Invocation {
    /// The event of API Gateway (HTTP API) or of a Function URL. None if it is not of
    /// [payload format 2.0](https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html).
    pub event: Option<ApiGatewayV2httpRequest>,
    /// Unique: the claim's owner.
    pub request_id: String,
    /// When Lambda ends the invocation.
    pub deadline: SystemTime,
    /// [X-Ray's header](https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader).
    pub trace: Option<String>,
}

/// A delivery that was handled.
#[derive(Debug)]
pub struct Handled {
    /// The HTTP answer.
    pub response: ApiGatewayV2httpResponse,
    /// The one line to log: JSON, and never a body, a secret or a signature.
    pub log: String,
}

impl Intake {
    /// Connects to nothing yet.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Intake(config)
    }

    /// Handles one delivery. Answers within the response budget (`RESPONSE_BUDGET_MS`), and 100 ms before the
    /// invocation's deadline.
    pub async fn handle(&self, invocation: Invocation) -> Handled {
        let started = Instant::now();
        let received = SystemTime::now();
        let Invocation { event, request_id, mut deadline, trace } = invocation;
        if deadline <= received {
            // Lambda never invokes after the deadline; `cargo lambda watch` names a deadline in 1970.
            deadline = received + FUNCTION_TIMEOUT;
        }
        let trace = trace.as_deref().and_then(Trace::parse);
        let header = trace.map(|trace| trace.header);
        let attempt = Attempt::new(&request_id, deadline, started, self.0.budget, header);
        let provider = self.0.verifier.provider();
        let mut record = DeliveryRecord::default();
        let mut account = None;
        let mut body_bytes = 0;
        let delivery = event.ok_or(Refusal::PayloadFormat);
        let outcome = match delivery.and_then(|event| http::delivery(event, provider, received.into())) {
            Err(refusal) => Outcome::Rejected(refusal),
            Ok(delivery) => {
                account = Some(delivery.account.to_string());
                body_bytes = delivery.body.len();
                if self.0.verifier.is_ping(&delivery) {
                    Outcome::Ping
                } else {
                    match self.authenticate(&delivery, &mut record).await {
                        Ok(authenticated) => self.take(&authenticated, &attempt, trace, &mut record).await,
                        Err(outcome) => outcome,
                    }
                }
            }
        };
        let terms = outcome.terms(provider);
        let response = terms.answer(record.id.as_deref());
        let reporting = &self.0.reporting;
        let metrics = Metrics::of(terms.metric, &record, started.elapsed(), reporting);
        let whole = reporting.all || terms.level != "INFO";
        record.key = record.key.filter(|_| whole);
        record.message_id = record.message_id.filter(|_| whole);
        let line = Line {
            level: terms.level,
            provider: provider.name,
            account,
            outcome: terms.name,
            reason: terms.reason,
            error: terms.error,
            record: &record,
            body_bytes,
            request_id: whole.then_some(request_id.as_str()),
            trace: header.filter(|header| header.contains("Sampled=1")),
            directive: Directive::new(&metrics, unix_milliseconds(received), reporting),
            metrics: &metrics,
        };
        Handled { response, log: line.to_json() }
    }

    /// Reads the secrets (for at most 1.5 s) and opens the connections (for at most 1 s), so that the first delivery need
    /// not wait for it. Returns a line to log where the secrets cannot be read: deliveries are answered 503 until they can.
    pub async fn initialise(&self) -> Option<String> {
        let Config { store, events, secrets, .. } = &self.0;
        let connect = async { tokio::join!(store.table.connect(), queue::connect(&store.sqs, &events.queue_url)) };
        let ((_, error), _) = tokio::join!(secrets.current(), timeout(CONNECTING, connect));
        error.map(|error| {
            let provider = self.0.verifier.provider().name;
            serde_json::json!({"level": "ERROR", "message": "initialisation", "provider": provider, "error": error})
                .to_string()
        })
    }

    /// Verifies the sender, if need be with secrets that are read again.
    async fn authenticate<'d>(
        &self,
        delivery: &'d Delivery,
        record: &mut DeliveryRecord,
    ) -> Result<Authenticated<'d>, Outcome> {
        let Config { verifier, secrets: source, .. } = &self.0;
        let (secrets, error) = source.current().await;
        let Some(secrets) = secrets else {
            let error = error.unwrap_or_else(|| "no secrets".to_owned());
            return Err(Outcome::Unavailable { step: "secrets", error });
        };
        record.secrets_error = error;
        let verdict = match verifier.authenticate(delivery, &secrets) {
            Err(rejection @ (Rejection::Mismatch | Rejection::UnknownAccount)) => {
                match source.refresh(&secrets).await {
                    Some(secrets) => verifier.authenticate(delivery, &secrets),
                    None => Err(rejection),
                }
            }
            verdict => verdict,
        };
        verdict.map_err(|rejection| Outcome::Rejected(Refusal::Unauthentic(rejection)))
    }

    /// Stores a verified delivery: as an event, or in quarantine where it is not a usable one.
    async fn take(
        &self,
        authenticated: &Authenticated<'_>,
        attempt: &Attempt<'_>,
        trace: Option<Trace<'_>>,
        record: &mut DeliveryRecord,
    ) -> Outcome {
        record.scheme = Some(authenticated.scheme());
        record.secret = Some(authenticated.secret());
        let Config { store, events, quarantine, .. } = &self.0;
        let (reason, contents) = match authenticated.read() {
            Err(unreadable) => (unreadable.as_str(), None),
            Ok(reading) if self.too_old(&reading, authenticated) => ("too_old", None),
            Ok(mut reading) => {
                reading.event.traceparent = trace.and_then(Trace::traceparent);
                record.id = Some(reading.event.id.clone());
                record.event_type = Some(reading.event.event_type.as_str());
                record.subject.clone_from(&reading.event.subject);
                let Some(outbound) = Outbound::event(authenticated, reading) else { return Outcome::TooLarge };
                match store.store(outbound, events, attempt, record).await {
                    StoreOutcome::Conflict { claimed, received } => ("key_conflict", Some((claimed, received))),
                    stored => return Outcome::stored(stored, Outcome::Queued),
                }
            }
        };
        let Some(outbound) = Outbound::quarantine(authenticated, reason, contents) else { return Outcome::TooLarge };
        record.id = Some(outbound.id.clone());
        let stored = store.store(outbound, quarantine, attempt, record).await;
        Outcome::stored(stored, Outcome::Quarantined(reason))
    }

    /// Whether the event may be older than its claim would have been kept: it could be a replay.
    fn too_old(&self, reading: &Reading<'_>, authenticated: &Authenticated<'_>) -> bool {
        let age = reading.time.map(|time| authenticated.received() - time);
        self.0.max_event_age.zip(age).is_some_and(|(most, age)| age > most)
    }
}
