//! Releases deliveries from quarantine on an operator's decision: reads them again, and stores them like any other.
//!
//! Behind the feature `release`, which the `hookgate` command has and no function: the quarantine keeps no signatures, so
//! here the operator's decision replaces the signature.

use std::{
    io::Read,
    time::{Duration, SystemTime},
};

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use flate2::read::GzDecoder;
use hookgate_event::{Event, MAX_INFLATED_BYTES};
use hookgate_verify::{Account, Authenticated, Delivery, Provider, Reading, SettingError, Unreadable, Verifier};
use http::{HeaderMap, HeaderName, HeaderValue};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio::time::Instant;

use crate::{
    log::DeliveryRecord,
    queue::{self, Message, Quarantined, SendError},
    store::{Attempt, Destination, Outbound, Store, key_of, quarantine_id},
    table::Table,
};

pub use crate::store::StoreOutcome;

/// The most time for one release. Nobody waits for an answer, but its claim keeps other deliveries of the event waiting.
const PATIENCE: Duration = Duration::from_secs(20);

/// The installation whose quarantine it is.
#[derive(Debug, Clone)]
pub struct Installation {
    /// The table of claims.
    pub table: String,
    /// The queue of events.
    pub queue_url: String,
    /// How long a claim is kept: as in the functions' settings.
    pub claim_ttl: Duration,
    /// A client of its DynamoDB.
    pub dynamodb: aws_sdk_dynamodb::Client,
    /// A client of its SQS.
    pub sqs: aws_sdk_sqs::Client,
}

/// Releases deliveries of one platform.
#[derive(Debug)]
pub struct Release {
    verifier: Verifier,
    store: Store,
    events: Destination,
}

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
    /// When it happened by the platform's clock, if the event says so.
    pub time: Option<OffsetDateTime>,
}

/// Why a quarantined delivery cannot be released.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unusable {
    /// Its message does not have the form of a quarantined delivery: no body, or an invalid account or time.
    Form,
    /// Its body is still not what the platform documents.
    Unreadable(Unreadable),
    /// It is larger than a message can be.
    TooLarge,
}

impl Quarantined {
    /// The id in the answer to the platform, in the log and in the table of claims. None where the message does not have
    /// the form of a quarantined delivery. `verifier` is its platform's.
    #[must_use]
    pub fn id(&self, verifier: &Verifier) -> Option<String> {
        Some(quarantine_id(&verifier.vouched_for_by_operator(&delivery(self).ok()?).digest()))
    }

    /// The delivery's body, byte for byte. None where it is missing or cannot be decoded, or inflates past
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
    /// For deliveries of this platform; `setting` looks up its setting, which must be the functions' own.
    ///
    /// # Errors
    /// [`SettingError`]: the setting has a value that the platform does not know.
    pub fn new(
        provider: &'static Provider,
        setting: impl Fn(&str) -> Option<String>,
        installation: Installation,
    ) -> Result<Self, SettingError> {
        let Installation { table, queue_url, claim_ttl, dynamodb, sqs } = installation;
        Ok(Release {
            verifier: Verifier::new(provider, setting)?,
            store: Store { table: Table::new(dynamodb, table), sqs },
            events: Destination { queue_url, claim_ttl },
        })
    }

    /// What the delivery reads as. Makes no call.
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
            key: key_of(&authenticated, &key),
            content,
            time,
        })
    }

    /// Claims and queues the event, and settles its claim, within 20 s. `owner` must be unique per release.
    ///
    /// `new_id` is for a key that is claimed for other content: the event then gets the hash of its own content for an id,
    /// instead of the platform's. Every release of this content gets the same one, so it is queued once.
    ///
    /// # Errors
    /// The [`Unusable`] that says why it cannot be released. A failure of AWS is [`StoreOutcome::Unavailable`] instead.
    pub async fn run(&self, quarantined: &Quarantined, new_id: bool, owner: &str) -> Result<StoreOutcome, Unusable> {
        let delivery = delivery(quarantined)?;
        let (authenticated, reading) = self.reading(&delivery, new_id)?;
        let outbound = Outbound::event(&authenticated, reading).ok_or(Unusable::TooLarge)?;
        let attempt = Attempt::new(owner, SystemTime::now() + PATIENCE, Instant::now(), PATIENCE, None);
        Ok(self.store.store(outbound, &self.events, &attempt, &mut DeliveryRecord::default()).await)
    }

    fn reading<'d>(&self, delivery: &'d Delivery, new_id: bool) -> Result<(Authenticated<'d>, Reading<'d>), Unusable> {
        let authenticated = self.verifier.vouched_for_by_operator(delivery);
        let mut reading = authenticated.read().map_err(Unusable::Unreadable)?;
        if new_id {
            reading.key.clone_from(&reading.content);
            reading.event.id.clone_from(&reading.content);
        }
        Ok((authenticated, reading))
    }
}

/// The message that puts an event on a queue that was there before: as a function would send it, with the attribute `replay`.
/// Consumers remember an event by `source`, `id` and this name.
#[derive(Debug)]
pub struct Replay(Message);

impl Replay {
    /// `text` is the event as it was queued, and stays as it is. None where it is larger than a message can be, even compressed.
    #[must_use]
    pub fn new(event: &Event<'_>, text: &str, name: &str) -> Option<Self> {
        Message::replay(event, text, name).map(Replay)
    }

    /// Sends it. Returns SQS's message id.
    ///
    /// # Errors
    /// The name of the error where SQS refused the message, or did not answer.
    pub async fn send(self, sqs: &aws_sdk_sqs::Client, queue_url: &str) -> Result<String, String> {
        match queue::send(sqs, queue_url, self.0, None).await {
            Ok(id) => Ok(id),
            Err(SendError::Refused(error) | SendError::Unknown(error)) => Err(error),
        }
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
