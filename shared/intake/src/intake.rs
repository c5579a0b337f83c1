//! The path of one delivery, from the invocation to the answer.

#[cfg(feature = "release")]
pub mod release;

use std::time::{Duration, SystemTime};

use hookgate_verify::{Authenticated, Delivery, Reading, Rejection};
use tokio::time::{Instant, timeout, timeout_at};

use crate::{
    Config,
    claim::{Claim, Next, Refusal as ClaimRefusal, Sent, Written, after_claim, after_send, partition_key},
    config::RESERVE,
    http,
    lambda::{ApiGatewayV2httpResponse, Context, LambdaEvent, Payload},
    log::{Directive, Line, Metrics, Trail, milliseconds},
    outcome::{Outcome, Refusal},
    queue::{self, Message, SendError},
    table::Table,
    trace::Trace,
};

/// The lease ends this long after the invocation's own deadline: by then Lambda has stopped the owner.
const LEASE_MARGIN: Duration = Duration::from_secs(2);

/// A claim must not say "duplicate" of a delivery that the quarantine has dropped: a day less than its queue keeps a message,
/// in `template.yaml`.
const QUARANTINE_CLAIM_TTL: Duration = Duration::from_hours(13 * 24);

/// The most that opening the connections may add to the start. The first delivery opens what is not open by then.
const CONNECTING: Duration = Duration::from_secs(1);

/// The functions' time-out in the template, for an emulator that names no deadline.
const FUNCTION_TIMEOUT: Duration = Duration::from_secs(8);

/// Everything that must be said must be said this long before Lambda stops the invocation.
const ANSWER_MARGIN: Duration = Duration::from_millis(100);

/// One provider's function.
#[derive(Debug)]
pub struct Intake {
    config: Config,
    table: Table,
}

/// A delivery that was taken.
#[derive(Debug)]
pub struct Handled {
    /// What to answer.
    pub response: ApiGatewayV2httpResponse,
    /// The one line to log: JSON, and never a body, a secret or a signature.
    pub log: String,
}

/// What is to be claimed under a key and sent to a queue.
struct Parcel {
    key: String,
    id: String,
    content: String,
    queue: Queue,
    message: Message,
}

#[derive(Clone, Copy)]
enum Queue {
    Events,
    /// With the reason.
    Quarantine(&'static str),
}

/// How far a parcel came.
enum Fate {
    Stored,
    Duplicate,
    Busy { retry_after: u64 },
    Conflict { claimed: String },
    Unavailable { step: &'static str, error: String },
}

/// The time that an answer may take.
#[derive(Clone, Copy)]
struct Budget {
    /// Claim and send must be through by then.
    work: Instant,
    /// And everything else by then.
    end: Instant,
}

impl Intake {
    /// Makes the clients. Connects to nothing yet.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let table = Table::new(config.dynamodb.clone(), config.table.clone());
        Intake { config, table }
    }

    /// Takes one delivery: what to answer, and the one line to log. Answers within the response budget
    /// (`RESPONSE_BUDGET_MS`), and 100 ms before the invocation's deadline.
    pub async fn handle(&self, invocation: LambdaEvent<Payload>) -> Handled {
        let started = Instant::now();
        let received = SystemTime::now();
        let LambdaEvent { payload: Payload(event), mut context } = invocation;
        if context.deadline() <= received {
            // Lambda invokes nobody too late; `cargo lambda watch` names a deadline in 1970.
            context.deadline = u64::try_from(unix_milliseconds(received + FUNCTION_TIMEOUT)).unwrap_or(u64::MAX);
        }
        let provider = self.config.verifier.provider();
        let mut trail = Trail::default();
        let mut account = None;
        let mut body_bytes = 0;
        let delivery = event.ok_or(Refusal::PayloadFormat);
        let outcome = match delivery.and_then(|event| http::delivery(event, provider, received.into())) {
            Err(refusal) => Outcome::Rejected(refusal),
            Ok(delivery) => {
                account = Some(delivery.account.to_string());
                body_bytes = delivery.body.len();
                if self.config.verifier.is_ping(&delivery) {
                    Outcome::Ping
                } else {
                    match self.authenticate(&delivery, &mut trail).await {
                        Ok(authenticated) => self.take(&authenticated, &context, started, &mut trail).await,
                        Err(outcome) => outcome,
                    }
                }
            }
        };
        let response = outcome.answer(provider, trail.id.as_deref());
        let reporting = &self.config.reporting;
        let metrics = Metrics::of(&outcome, &trail, started.elapsed(), reporting);
        let level = match outcome {
            Outcome::Queued | Outcome::Duplicate | Outcome::Ping => "INFO",
            Outcome::Quarantined(_) | Outcome::Rejected(_) | Outcome::Busy { .. } => "WARN",
            Outcome::TooLarge | Outcome::Unavailable { .. } => "ERROR",
        };
        let whole = reporting.all || level != "INFO";
        trail.key = trail.key.filter(|_| whole);
        trail.message_id = trail.message_id.filter(|_| whole);
        let line = Line {
            level,
            provider: provider.name,
            account,
            outcome: outcome.name(),
            reason: outcome.reason(),
            error: outcome.error(),
            trail: &trail,
            body_bytes,
            request_id: whole.then_some(context.request_id.as_str()),
            trace: trace(&context).filter(|trace| trace.contains("Sampled=1")),
            directive: Directive::new(&metrics, unix_milliseconds(received), reporting),
            metrics: &metrics,
        };
        Handled { response, log: line.to_json() }
    }

    /// Does before the first delivery what it would have to wait for: reads the secrets (for at most 1.5 s), and opens the
    /// connections (for at most 1 s).
    /// Gives a line to log where the secrets cannot be read: deliveries are answered 503 until they can.
    pub async fn initialise(&self) -> Option<String> {
        let connect = async {
            tokio::join!(self.table.connect(), queue::connect(&self.config.sqs, &self.config.queue_url));
        };
        let ((_, error), _) = tokio::join!(self.config.secrets.current(), timeout(CONNECTING, connect));
        error.map(|error| {
            let provider = self.config.verifier.provider().name;
            serde_json::json!({"level": "ERROR", "message": "initialisation", "provider": provider, "error": error})
                .to_string()
        })
    }

    /// Proves who sent the delivery, if need be with secrets read anew.
    async fn authenticate<'d>(&self, delivery: &'d Delivery, trail: &mut Trail) -> Result<Authenticated<'d>, Outcome> {
        let (secrets, error) = self.config.secrets.current().await;
        let Some(secrets) = secrets else {
            let error = error.unwrap_or_else(|| "no secrets".to_owned());
            return Err(Outcome::Unavailable { step: "secrets", error });
        };
        trail.secrets_error = error;
        let verifier = &self.config.verifier;
        let unauthentic = |rejection| Outcome::Rejected(Refusal::Unauthentic(rejection));
        match verifier.authenticate(delivery, &secrets) {
            Err(rejection @ (Rejection::Mismatch | Rejection::UnknownAccount)) => {
                match self.config.secrets.once_more(&secrets).await {
                    Some(secrets) => verifier.authenticate(delivery, &secrets).map_err(unauthentic),
                    None => Err(unauthentic(rejection)),
                }
            }
            verdict => verdict.map_err(unauthentic),
        }
    }

    /// What becomes of an authentic delivery.
    async fn take(
        &self,
        authenticated: &Authenticated<'_>,
        context: &Context,
        started: Instant,
        trail: &mut Trail,
    ) -> Outcome {
        trail.scheme = Some(authenticated.scheme());
        trail.secret = Some(authenticated.secret());
        let budget = self.budget(context, started);
        let parcel = match authenticated.read() {
            Ok(reading) if self.too_old(&reading, authenticated) => quarantine(authenticated, "too_old", None),
            Ok(reading) => event(authenticated, reading, context, trail),
            Err(unreadable) => quarantine(authenticated, unreadable.as_str(), None),
        };
        let Some(parcel) = parcel else { return Outcome::TooLarge };
        let (queue, received) = (parcel.queue, parcel.content.clone());
        match (self.store(parcel, context, budget, trail).await, queue) {
            (Fate::Conflict { claimed }, Queue::Events) => {
                let contents = Some((claimed, received));
                let Some(parcel) = quarantine(authenticated, "key_conflict", contents) else {
                    return Outcome::TooLarge;
                };
                outcome(self.store(parcel, context, budget, trail).await, Queue::Quarantine("key_conflict"))
            }
            (fate, queue) => outcome(fate, queue),
        }
    }

    /// Claims the parcel's key, sends its message, settles the claim.
    async fn store(&self, parcel: Parcel, context: &Context, budget: Budget, trail: &mut Trail) -> Fate {
        let claim = self.claim(&parcel, context);
        trail.id = Some(parcel.id);
        trail.key = Some(claim.key.clone());

        let started = Instant::now();
        let claimed = timeout_at(budget.work, self.table.claim(&claim, unix_milliseconds(SystemTime::now()))).await;
        trail.claim = Some(started.elapsed());
        let (written, error) = match claimed {
            Ok(Ok(Ok(()))) => (Written::Yes, BUDGET_SPENT.to_owned()),
            Ok(Ok(Err(refusal))) => (Written::Refused(refusal), BUDGET_SPENT.to_owned()),
            Ok(Err(error)) => (if error.refused { Written::No } else { Written::Perhaps }, error.name),
            Err(_) => (Written::Perhaps, BUDGET_SPENT.to_owned()),
        };
        let next = after_claim(written, Instant::now() < budget.work);
        self.release(&next, &claim, budget, trail).await;
        match next {
            Next::Send => {}
            Next::Yield(ClaimRefusal::Duplicate) => return Fate::Duplicate,
            Next::Yield(ClaimRefusal::Busy { retry_after }) => return Fate::Busy { retry_after },
            Next::Yield(ClaimRefusal::Conflict { claimed }) => return Fate::Conflict { claimed },
            _ => return Fate::Unavailable { step: "claim", error },
        }

        let started = Instant::now();
        let queue_url = match parcel.queue {
            Queue::Events => &self.config.queue_url,
            Queue::Quarantine(_) => &self.config.quarantine_url,
        };
        let call = queue::send(&self.config.sqs, queue_url, parcel.message, trace(context));
        let sent = timeout_at(budget.work, call).await;
        trail.enqueue = Some(started.elapsed());
        let (sent, message_id, error) = match sent {
            Ok(Ok(message_id)) => (Sent::Yes, message_id, String::new()),
            Ok(Err(SendError::Refused(error))) => (Sent::No, String::new(), error),
            Ok(Err(SendError::Unknown(error))) => (Sent::Perhaps, String::new(), error),
            Err(_) => (Sent::Perhaps, String::new(), BUDGET_SPENT.to_owned()),
        };
        let next = after_send(sent);
        self.release(&next, &claim, budget, trail).await;
        if next != Next::Settle {
            return Fate::Unavailable { step: "enqueue", error };
        }

        trail.message_id = Some(message_id.clone());

        // The event is on the queue: the answer is 200, whatever becomes of this.
        let started = Instant::now();
        match timeout_at(budget.end, self.table.settle(&claim, &message_id)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => trail.cleanup_error = Some(format!("settle: {}", error.name)),
            Err(_) => trail.cleanup_error = Some(format!("settle: {BUDGET_SPENT}")),
        }
        trail.settle_ms = Some(milliseconds(started.elapsed()));
        Fate::Stored
    }

    /// Ends the claim's lease, if that is what comes next.
    async fn release(&self, next: &Next, claim: &Claim, budget: Budget, trail: &mut Trail) {
        let Some(lease_until) = next.lease_until(claim, unix_milliseconds(SystemTime::now())) else { return };
        match timeout_at(budget.end, self.table.release(claim, lease_until)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => trail.cleanup_error = Some(format!("release: {}", error.name)),
            Err(_) => trail.cleanup_error = Some(format!("release: {BUDGET_SPENT}")),
        }
    }

    fn claim(&self, parcel: &Parcel, context: &Context) -> Claim {
        let deadline = i64::try_from(context.deadline).unwrap_or(i64::MAX / 2);
        let margin = i64::try_from(LEASE_MARGIN.as_millis()).expect("two seconds");
        let lifetime = match parcel.queue {
            Queue::Events => self.config.claim_ttl,
            Queue::Quarantine(_) => self.config.claim_ttl.min(QUARANTINE_CLAIM_TTL),
        };
        let expiry = SystemTime::now() + lifetime;
        Claim {
            key: parcel.key.clone(),
            event_id: parcel.id.clone(),
            owner: context.request_id.clone(),
            content: parcel.content.clone(),
            lease_until: deadline + margin,
            expires_at: unix_milliseconds(expiry) / 1000,
        }
    }

    fn budget(&self, context: &Context, started: Instant) -> Budget {
        let left = context.deadline().duration_since(SystemTime::now()).unwrap_or_default();
        let end = started + self.config.budget.min(left.saturating_sub(ANSWER_MARGIN));
        Budget { work: end.checked_sub(RESERVE).map_or(started, |work| work.max(started)), end }
    }

    /// Whether the event is older than any claim that could tell it from a replay.
    fn too_old(&self, reading: &Reading<'_>, authenticated: &Authenticated<'_>) -> bool {
        let age = reading.time.map(|time| authenticated.received() - time);
        self.config.max_event_age.zip(age).is_some_and(|(most, age)| age > most)
    }
}

const BUDGET_SPENT: &str = "the response budget is spent";

fn event(
    authenticated: &Authenticated<'_>,
    reading: Reading<'_>,
    context: &Context,
    trail: &mut Trail,
) -> Option<Parcel> {
    let Reading { mut event, key, content, .. } = reading;
    event.traceparent = context.xray_trace_id.as_deref().and_then(Trace::parse).and_then(Trace::traceparent);
    trail.id = Some(event.id.clone());
    trail.event_type = Some(event.event_type.as_str());
    trail.subject.clone_from(&event.subject);
    let message = Message::event(&event)?;
    let key = partition_key(authenticated.provider().name, authenticated.account().as_str(), &key);
    Some(Parcel { key, id: event.id, content, queue: Queue::Events, message })
}

/// A delivery that is authentic and no usable event. Its key is what was signed, so that a repeat is a duplicate and a
/// replay cannot fill the queue.
fn quarantine(
    authenticated: &Authenticated<'_>,
    reason: &'static str,
    contents: Option<(String, String)>,
) -> Option<Parcel> {
    let digest = authenticated.digest();
    let received = hookgate_verify::rfc3339_milliseconds(authenticated.received());
    let message = Message::quarantine(authenticated, reason, received, contents)?;
    let id = quarantine_id(&digest);
    let key = partition_key(authenticated.provider().name, authenticated.account().as_str(), &id);
    Some(Parcel { key, id, content: digest, queue: Queue::Quarantine(reason), message })
}

/// How the ids of quarantined deliveries begin, in answers, in the log and in the table of claims. A hash follows.
pub const QUARANTINE: &str = "quarantine";

fn quarantine_id(digest: &str) -> String {
    format!("{QUARANTINE}{digest}")
}

fn outcome(fate: Fate, queue: Queue) -> Outcome {
    match (fate, queue) {
        (Fate::Stored, Queue::Events) => Outcome::Queued,
        (Fate::Stored, Queue::Quarantine(reason)) => Outcome::Quarantined(reason),
        (Fate::Duplicate, _) => Outcome::Duplicate,
        (Fate::Busy { retry_after }, _) => Outcome::Busy { retry_after },
        (Fate::Unavailable { step, error }, _) => Outcome::Unavailable { step, error },
        // The quarantine's content is its key: two contents cannot meet there, unless SHA-256 is broken.
        (Fate::Conflict { .. }, _) => {
            Outcome::Unavailable { step: "claim", error: "the quarantine's claim has other content".to_owned() }
        }
    }
}

/// The invocation's trace header, if it is one: a client may send anything for it.
fn trace(context: &Context) -> Option<&str> {
    context.xray_trace_id.as_deref().filter(|header| Trace::parse(header).is_some())
}

fn unix_milliseconds(time: SystemTime) -> i64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
