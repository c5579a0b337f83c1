//! Claims an event's key, sends its message, settles the claim. A delivery and a release from quarantine both do it here.
//!
//! `claim.rs` decides what each answer of DynamoDB and SQS means; this file makes the calls, within the time there is.

use std::time::{Duration, SystemTime};

use hookgate_verify::{Authenticated, Reading, rfc3339_milliseconds};
use tokio::time::{Instant, error::Elapsed, timeout_at};

use crate::{
    claim::{Claim, Next, Refusal, Sent, Written, after_claim, after_send, partition_key},
    log::{DeliveryRecord, milliseconds},
    queue::{self, Message, SendError},
    table::{Table, TableError},
};

/// The part of the response budget that is kept for releasing or settling the claim.
pub(crate) const RESERVE: Duration = Duration::from_millis(500);

/// How the ids of quarantined deliveries begin, in answers, in the log and in the table of claims. A hash follows.
pub const QUARANTINE: &str = "quarantine";

/// A lease ends this long after its owner's deadline: by then Lambda has stopped the owner.
const LEASE_MARGIN: Duration = Duration::from_secs(2);

/// All calls must be over this long before the deadline, so that the answer still gets out.
const ANSWER_MARGIN: Duration = Duration::from_millis(100);

const BUDGET_SPENT: &str = "the response budget is spent";

/// The table of claims, and the client that sends messages.
#[derive(Debug)]
pub(crate) struct Store {
    pub table: Table,
    pub sqs: aws_sdk_sqs::Client,
}

/// A queue, and how long claims for its messages are kept.
#[derive(Debug)]
pub(crate) struct Destination {
    pub queue_url: String,
    pub claim_ttl: Duration,
}

/// What to claim, and the message to send once it is claimed.
pub(crate) struct Outbound {
    pub id: String,
    key: String,
    content: String,
    message: Message,
}

/// Who claims and sends, and how much time it has.
pub(crate) struct Attempt<'a> {
    owner: &'a str,
    lease_until: i64,
    /// Claim and send must be done by then. What is left until `end` is for settling or releasing the claim.
    work: Instant,
    end: Instant,
    trace: Option<&'a str>,
}

/// How far an event or a quarantined delivery came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreOutcome {
    /// It is on the queue.
    Queued {
        /// The id that SQS gave the message.
        message_id: String,
        /// Why the claim could not be settled: a redelivery is answered "busy" until the lease ends, then queued again.
        unsettled: Option<String>,
    },
    /// It was on the queue already.
    Duplicate,
    /// Another invocation is working on the same event.
    Busy {
        /// For at most this many seconds more; at least 1.
        retry_after: u64,
    },
    /// The key is claimed for other content.
    Conflict {
        /// Hex SHA-256 of the claimed content.
        claimed: String,
        /// Hex SHA-256 of this content.
        received: String,
    },
    /// A call to AWS failed or took too long.
    Unavailable {
        /// The step that failed.
        step: &'static str,
        /// The error's name.
        error: String,
    },
}

impl Outbound {
    /// An event's message. None where it is too large for SQS.
    pub fn event(authenticated: &Authenticated<'_>, reading: Reading<'_>) -> Option<Self> {
        let Reading { event, key, content, .. } = reading;
        let message = Message::event(&event)?;
        Some(Outbound { id: event.id, key: key_of(authenticated, &key), content, message })
    }

    /// A verified delivery that is not a usable event. None where it is too large for SQS.
    ///
    /// The key is a hash of what was signed: a repeat is a duplicate, and a replay cannot fill the queue.
    pub fn quarantine(
        authenticated: &Authenticated<'_>,
        reason: &'static str,
        contents: Option<(String, String)>,
    ) -> Option<Self> {
        let received = rfc3339_milliseconds(authenticated.received());
        let message = Message::quarantine(authenticated, reason, received, contents)?;
        let content = authenticated.digest();
        let id = quarantine_id(&content);
        Some(Outbound { key: key_of(authenticated, &id), id, content, message })
    }
}

pub(crate) fn quarantine_id(digest: &str) -> String {
    format!("{QUARANTINE}{digest}")
}

pub(crate) fn key_of(authenticated: &Authenticated<'_>, idempotency_key: &str) -> String {
    partition_key(authenticated.provider().name, authenticated.account().as_str(), idempotency_key)
}

impl<'a> Attempt<'a> {
    /// For an `owner` that is stopped at `deadline` and may use at most `budget` of its time, from `started` on. Each
    /// attempt needs an owner of its own. `trace` is the trace header to pass on.
    pub fn new(
        owner: &'a str,
        deadline: SystemTime,
        started: Instant,
        budget: Duration,
        trace: Option<&'a str>,
    ) -> Self {
        let left = deadline.duration_since(SystemTime::now()).unwrap_or_default();
        let end = started + budget.min(left.saturating_sub(ANSWER_MARGIN));
        let work = end.checked_sub(RESERVE).map_or(started, |work| work.max(started));
        Attempt { owner, lease_until: unix_milliseconds(deadline + LEASE_MARGIN), work, end, trace }
    }
}

impl Store {
    /// Claims, sends, settles; or releases the claim where the message was not sent. Notes each step in `record`.
    pub async fn store(
        &self,
        outbound: Outbound,
        to: &Destination,
        attempt: &Attempt<'_>,
        record: &mut DeliveryRecord,
    ) -> StoreOutcome {
        let Outbound { id, key, content, message } = outbound;
        let claim = Claim {
            key,
            event_id: id,
            owner: attempt.owner.to_owned(),
            content,
            lease_until: attempt.lease_until,
            expires_at: unix_milliseconds(SystemTime::now() + to.claim_ttl) / 1000,
        };
        record.key = Some(claim.key.clone());

        let started = Instant::now();
        let now = unix_milliseconds(SystemTime::now());
        let claimed = timeout_at(attempt.work, self.table.claim(&claim, now)).await;
        record.claim = Some(started.elapsed());
        let (written, error) = match claimed {
            Ok(Ok(Ok(()))) => (Written::Yes, BUDGET_SPENT.to_owned()),
            Ok(Ok(Err(refusal))) => (Written::Refused(refusal), BUDGET_SPENT.to_owned()),
            Ok(Err(error)) => (if error.refused { Written::No } else { Written::Perhaps }, error.name),
            Err(_) => (Written::Perhaps, BUDGET_SPENT.to_owned()),
        };
        let next = after_claim(written, Instant::now() < attempt.work);
        self.release(&next, &claim, attempt, record).await;
        match next {
            Next::Send => {}
            Next::Yield(Refusal::Duplicate) => return StoreOutcome::Duplicate,
            Next::Yield(Refusal::Busy { retry_after }) => return StoreOutcome::Busy { retry_after },
            Next::Yield(Refusal::Conflict { claimed }) => {
                return StoreOutcome::Conflict { claimed, received: claim.content };
            }
            _ => return StoreOutcome::Unavailable { step: "claim", error },
        }

        let started = Instant::now();
        let sent = timeout_at(attempt.work, queue::send(&self.sqs, &to.queue_url, message, attempt.trace)).await;
        record.enqueue = Some(started.elapsed());
        let (sent, message_id, error) = match sent {
            Ok(Ok(message_id)) => (Sent::Yes, message_id, String::new()),
            Ok(Err(SendError::Refused(error))) => (Sent::No, String::new(), error),
            Ok(Err(SendError::Unknown(error))) => (Sent::Perhaps, String::new(), error),
            Err(_) => (Sent::Perhaps, String::new(), BUDGET_SPENT.to_owned()),
        };
        let next = after_send(sent);
        self.release(&next, &claim, attempt, record).await;
        if next != Next::Settle {
            return StoreOutcome::Unavailable { step: "enqueue", error };
        }
        record.message_id = Some(message_id.clone());

        // The message is on the queue: the answer is 200 even if this fails.
        let started = Instant::now();
        let settled = timeout_at(attempt.end, self.table.settle(&claim, &message_id)).await;
        record.cleanup_error = cleanup_error("settle", settled);
        record.settle_ms = Some(milliseconds(started.elapsed()));
        StoreOutcome::Queued { message_id, unsettled: record.cleanup_error.clone() }
    }

    /// Ends the claim's lease, if that is what comes next.
    async fn release(&self, next: &Next, claim: &Claim, attempt: &Attempt<'_>, record: &mut DeliveryRecord) {
        let Some(lease_until) = next.lease_until(claim, unix_milliseconds(SystemTime::now())) else { return };
        let released = timeout_at(attempt.end, self.table.release(claim, lease_until)).await;
        record.cleanup_error = cleanup_error("release", released);
    }
}

/// Why a claim was not settled or released: for the log, as the answer does not depend on it.
fn cleanup_error(step: &str, done: Result<Result<(), TableError>, Elapsed>) -> Option<String> {
    match done {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(format!("{step}: {}", error.name)),
        Err(_) => Some(format!("{step}: {BUDGET_SPENT}")),
    }
}

pub(crate) fn unix_milliseconds(time: SystemTime) -> i64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
