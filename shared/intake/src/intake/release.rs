//! Out of quarantine, on an operator's word: read again, claimed, queued and settled like any other delivery.
//!
//! Behind the feature `release`, which the `hookgate` command has and no function: the quarantine keeps no signatures, so
//! here an operator's word stands in for one.

use std::{io::Read, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use flate2::read::GzDecoder;
use hookgate_event::MAX_INFLATED_BYTES;
use hookgate_verify::{Account, Provider, SettingError, Unreadable, Verifier};
use http::{HeaderMap, HeaderName, HeaderValue};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{
    Authenticated, Config, Context, Delivery, Fate, Instant, Intake, Reading, SystemTime, Trail, event, partition_key,
    quarantine_id, unix_milliseconds,
};
use crate::{Quarantined, log::Reporting, secrets::SecretSource};

/// What one release may take. Nobody waits for an answer, but its claim keeps other deliveries of the event waiting.
const PATIENCE: Duration = Duration::from_secs(20);

/// The installation whose quarantine it is.
#[derive(Debug, Clone)]
pub struct Installation {
    /// The table of claims.
    pub table: String,
    /// The queue of events.
    pub queue_url: String,
    /// How long a claim is kept: as in the installation's own settings.
    pub claim_ttl: Duration,
    /// A client of its DynamoDB.
    pub dynamodb: aws_sdk_dynamodb::Client,
    /// A client of its SQS.
    pub sqs: aws_sdk_sqs::Client,
}

/// Releases deliveries of one provider.
#[derive(Debug)]
pub struct Release(Intake);

/// What a quarantined delivery reads as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Readable {
    /// The event's id.
    pub id: String,
    /// The event's type.
    pub event_type: &'static str,
    /// What the event is about.
    pub subject: Option<String>,
    /// The partition key of its claim.
    pub key: String,
    /// Hex SHA-256 over event name and payload.
    pub content: String,
    /// When it happened by the provider's clock, if it says so.
    pub time: Option<OffsetDateTime>,
}

/// Why a quarantined delivery cannot be released.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unusable {
    /// Its message has not the form of one: no body, or an account or time that is none.
    Form,
    /// Its body is still not what the provider documents.
    Unreadable(Unreadable),
}

/// What became of a release. Only the first two permit to delete the quarantine's message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Released {
    /// It is on the queue.
    Queued {
        /// SQS's id of the message.
        message_id: String,
        /// Why the claim could not be settled: until its lease ends, a redelivery is told to wait; then it is queued again.
        unsettled: Option<String>,
    },
    /// It was on the queue already.
    Duplicate,
    /// The event's key stands for other content.
    Conflict {
        /// Hex SHA-256 of what is claimed.
        claimed: String,
        /// Hex SHA-256 of this one.
        received: String,
    },
    /// It is more than a message can carry.
    TooLarge,
    /// Another invocation is at work on the same event, for at most this many seconds more.
    Busy {
        /// Seconds, at least 1.
        retry_after: u64,
    },
    /// AWS did not do its part.
    Unavailable {
        /// The step that failed.
        step: &'static str,
        /// What AWS said.
        error: String,
    },
}

impl Quarantined {
    /// The id by which the platform was answered, and which the log and the table of claims have. None where the message has
    /// not the form of a quarantined delivery. `verifier` is its provider's.
    #[must_use]
    pub fn id(&self, verifier: &Verifier) -> Option<String> {
        Some(quarantine_id(&verifier.vouched_for_by_operator(&delivery(self).ok()?).digest()))
    }

    /// The delivery's body, byte for byte. None where the message holds none that can be read, or one that inflates past
    /// [`MAX_INFLATED_BYTES`].
    #[must_use]
    pub fn body_bytes(&self) -> Option<Vec<u8>> {
        match (&self.body, &self.body_gzip) {
            (Some(open), None) => BASE64.decode(open).ok(),
            (None, Some(gzip)) => {
                let compressed = BASE64.decode(gzip).ok()?;
                let mut body = Vec::new();
                GzDecoder::new(&compressed[..]).take(MAX_INFLATED_BYTES + 1).read_to_end(&mut body).ok()?;
                (body.len() as u64 <= MAX_INFLATED_BYTES).then_some(body)
            }
            _ => None,
        }
    }
}

impl Release {
    /// For deliveries of this provider; `setting` looks up its setting, which must be the functions' own.
    ///
    /// # Errors
    /// [`SettingError`]: the setting has a value that the provider does not know.
    pub fn new(
        provider: &'static Provider,
        setting: impl Fn(&str) -> Option<String>,
        installation: Installation,
    ) -> Result<Self, SettingError> {
        let Installation { table, queue_url, claim_ttl, dynamodb, sqs } = installation;
        Ok(Release(Intake::new(Config {
            verifier: Verifier::new(provider, setting)?,
            secrets: SecretSource::None,
            table,
            queue_url,
            // Nothing goes back there: what cannot be released stays where it is.
            quarantine_url: String::new(),
            claim_ttl,
            budget: PATIENCE,
            // The operator has decided that it is not too old.
            max_event_age: None,
            reporting: Reporting::default(),
            dynamodb,
            sqs,
        })))
    }

    /// What the delivery reads as. Calls nothing.
    ///
    /// # Errors
    /// The [`Unusable`] that says why it cannot be released.
    pub fn read(&self, quarantined: &Quarantined, new_id: bool) -> Result<Readable, Unusable> {
        let delivery = delivery(quarantined)?;
        let (authenticated, Reading { event, key, content, time }) = self.reading(&delivery, new_id)?;
        Ok(Readable {
            id: event.id,
            event_type: event.event_type.as_str(),
            subject: event.subject,
            key: partition_key(authenticated.provider().name, authenticated.account().as_str(), &key),
            content,
            time,
        })
    }

    /// Takes the delivery through claim, queue and settle, within 20 s. `owner` must be unique per release.
    ///
    /// `new_id` is for a key that stands for other content: the event then goes by the hash of its own content instead
    /// of the provider's id. That is the same for every release of this content, which so is queued once.
    ///
    /// # Errors
    /// The [`Unusable`] that says why it cannot be released. What AWS does not do is no error but
    /// [`Released::Unavailable`].
    pub async fn run(&self, quarantined: &Quarantined, new_id: bool, owner: String) -> Result<Released, Unusable> {
        let delivery = delivery(quarantined)?;
        let (authenticated, reading) = self.reading(&delivery, new_id)?;
        let mut context = Context::default();
        context.request_id = owner;
        context.deadline = u64::try_from(unix_milliseconds(SystemTime::now() + PATIENCE)).unwrap_or(u64::MAX);
        let mut trail = Trail::default();
        let Some(parcel) = event(&authenticated, reading, &context, &mut trail) else { return Ok(Released::TooLarge) };
        let received = parcel.content.clone();
        let budget = self.0.budget(&context, Instant::now());
        Ok(match self.0.store(parcel, &context, budget, &mut trail).await {
            Fate::Stored => {
                Released::Queued { message_id: trail.message_id.unwrap_or_default(), unsettled: trail.cleanup_error }
            }
            Fate::Duplicate => Released::Duplicate,
            Fate::Conflict { claimed } => Released::Conflict { claimed, received },
            Fate::Busy { retry_after } => Released::Busy { retry_after },
            Fate::Unavailable { step, error } => Released::Unavailable { step, error },
        })
    }

    fn reading<'d>(&self, delivery: &'d Delivery, new_id: bool) -> Result<(Authenticated<'d>, Reading<'d>), Unusable> {
        let authenticated = self.0.config.verifier.vouched_for_by_operator(delivery);
        let mut reading = authenticated.read().map_err(Unusable::Unreadable)?;
        if new_id {
            reading.key.clone_from(&reading.content);
            reading.event.id.clone_from(&reading.content);
        }
        Ok((authenticated, reading))
    }
}

fn delivery(quarantined: &Quarantined) -> Result<Delivery, Unusable> {
    let header = |(name, value): (&String, &String)| {
        Some((name.parse::<HeaderName>().ok()?, value.parse::<HeaderValue>().ok()?))
    };
    Ok(Delivery {
        headers: quarantined.headers.iter().filter_map(header).collect::<HeaderMap>(),
        body: quarantined.body_bytes().ok_or(Unusable::Form)?,
        account: Account::parse(&quarantined.account).ok_or(Unusable::Form)?,
        received: OffsetDateTime::parse(&quarantined.received, &Rfc3339).map_err(|_| Unusable::Form)?,
    })
}
