//! The samples under `events/`: what each must come to, and sending them all.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use aws_sdk_sqs::types::Message;
use base64::{Engine, prelude::BASE64_STANDARD};
use hookgate_event::Event;
use hookgate_verify::{Account, Provider};
use serde_json::Value;
use time::OffsetDateTime;

use crate::{local::LocalError, send::outgoing::sample_secret};

/// One sample invocation: an API Gateway event of payload format 2.0, as in a file under `events/{provider}/`.
#[derive(Debug, Clone)]
pub struct Sample {
    /// `{provider}/{file name without ending}`.
    pub name: String,
    /// The file.
    pub file: PathBuf,
    /// Whose delivery it is.
    pub provider: &'static Provider,
    /// `/webhooks/{provider}[/{account}]`.
    pub path: String,
    /// The request's headers.
    pub headers: BTreeMap<String, String>,
    /// The request's body, decoded.
    pub body: Vec<u8>,
}

/// What came back for a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The answer's `outcome`, or the answer itself where it has none.
    pub outcome: String,
    /// The event's id, where it got that far.
    pub id: Option<String>,
}

/// What came back for one sample, and what must have.
#[derive(Debug, Clone)]
pub struct Sent {
    /// The sample's name.
    pub name: String,
    /// Sent for the first time: 200 queued.
    pub fresh: Answer,
    /// Sent again: 200 duplicate.
    pub again: Answer,
    /// Sent with its body changed after signing: rejected with the provider's status.
    pub tampered: Answer,
    /// Whether all three are so.
    pub as_expected: bool,
}

/// Reads every sample of the folder, in the order of their names.
///
/// # Errors
/// A file cannot be read or is no sample.
pub fn read(folder: &Path) -> Result<Vec<Sample>, LocalError> {
    let list = |folder: &Path| -> Result<Vec<PathBuf>, LocalError> {
        let unreadable = |error| LocalError(format!("cannot read {}: {error}", folder.display()));
        let mut paths = std::fs::read_dir(folder)
            .map_err(unreadable)?
            .map(|entry| entry.map(|entry| entry.path()).map_err(unreadable))
            .collect::<Result<Vec<_>, _>>()?;
        paths.sort();
        Ok(paths)
    };
    let mut samples = Vec::new();
    for folder in list(folder)?.iter().filter(|path| path.is_dir()) {
        for file in list(folder)? {
            let broken = |what: &str| LocalError(format!("{} is no sample: {what}", file.display()));
            let text = std::fs::read_to_string(&file).map_err(|error| broken(&error.to_string()))?;
            let event: Value = serde_json::from_str(&text).map_err(|error| broken(&error.to_string()))?;
            let provider = name_of(folder);
            samples.push(Sample {
                name: format!("{provider}/{}", name_of(&file)),
                provider: Provider::named(&provider).ok_or_else(|| broken("its folder is no provider"))?,
                path: event["rawPath"].as_str().ok_or_else(|| broken("no rawPath"))?.to_owned(),
                headers: serde_json::from_value(event["headers"].clone()).map_err(|_| broken("no headers"))?,
                body: match (event["body"].as_str(), event["isBase64Encoded"].as_bool()) {
                    (Some(body), Some(false)) => body.as_bytes().to_vec(),
                    (Some(body), Some(true)) => {
                        BASE64_STANDARD.decode(body).map_err(|_| broken("a body that is not base64"))?
                    }
                    _ => return Err(broken("no body")),
                },
                file,
            });
        }
    }
    Ok(samples)
}

fn name_of(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

impl Sample {
    /// The sample as it would be sent at `now`: signed again where the signature holds for a while only, else as it is.
    #[must_use]
    pub fn signed_at(&self, now: OffsetDateTime) -> Self {
        self.signed_again(now).unwrap_or_else(|| self.clone())
    }

    fn signed_again(&self, now: OffsetDateTime) -> Option<Self> {
        let scheme = self.provider.default_schemes().last().filter(|scheme| scheme.time.is_some())?;
        let account = self.path.split('/').nth(3).map_or_else(|| Some(Account::default()), Account::parse)?;
        let id = scheme.id_header().and_then(|name| self.headers.get(name)).map_or("", String::as_str);
        let seconds = u64::try_from(now.unix_timestamp()).ok()?;
        let signed = scheme.sign(&sample_secret(self.provider, &account)?, &self.body, id, seconds)?;
        let mut sample = Sample { body: signed.body, ..self.clone() };
        sample.headers.extend(signed.headers.into_iter().map(|(name, value)| (name.to_owned(), value)));
        Some(sample)
    }

    /// Sends the sample's request to an intake at `url`.
    ///
    /// # Errors
    /// No answer came back.
    pub async fn send(&self, client: &reqwest::Client, url: &str, body: Vec<u8>) -> Result<Answer, LocalError> {
        let failed = |error: reqwest::Error| LocalError(format!("{}: no answer from {url}: {error}", self.name));
        let mut request = client.post(format!("{url}{}", self.path)).body(body);
        for (name, value) in &self.headers {
            // These two belong to the connection that the sample was taken from.
            if name != "host" && name != "content-length" {
                request = request.header(name, value);
            }
        }
        let response = request.send().await.map_err(failed)?;
        let status = response.status().as_u16();
        let text = response.text().await.map_err(failed)?;
        let json: Value = serde_json::from_str(&text).unwrap_or_default();
        Ok(Answer {
            status,
            outcome: json["outcome"].as_str().map_or(text, str::to_owned),
            id: json["id"].as_str().map(str::to_owned),
        })
    }

    /// Sends the sample three times: fresh, again, and tampered with.
    ///
    /// # Errors
    /// No answer came back.
    pub async fn send_thrice(&self, client: &reqwest::Client, url: &str) -> Result<Sent, LocalError> {
        let sample = self.signed_at(OffsetDateTime::now_utc());
        let fresh = sample.send(client, url, sample.body.clone()).await?;
        let again = sample.send(client, url, sample.body.clone()).await?;
        // The same JSON, but not the same bytes: even that must not pass.
        let mut changed = sample.body.clone();
        let end = changed.iter().rposition(|&byte| byte == b'}').unwrap_or(0);
        changed.insert(end, b' ');
        let tampered = sample.send(client, url, changed).await?;
        let as_expected = (fresh.status, &*fresh.outcome) == (200, "queued")
            && (again.status, &*again.outcome) == (200, "duplicate")
            && again.id == fresh.id
            && (tampered.status, &*tampered.outcome) == (self.provider.rejected_status, "rejected");
        Ok(Sent { name: self.name.clone(), fresh, again, tampered, as_expected })
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status, self.outcome)
    }
}

/// Every message on the queue, left there for whoever comes next; hidden for 60 s should this process end meanwhile.
///
/// # Errors
/// The queue does not answer.
pub async fn peek(sqs: &aws_sdk_sqs::Client, queue_url: &str) -> Result<Vec<Message>, LocalError> {
    let failed = |error: &dyn std::error::Error| LocalError(format!("the queue {queue_url} does not answer: {error}"));
    let mut messages = Vec::new();
    loop {
        let batch = sqs.receive_message().queue_url(queue_url).max_number_of_messages(10).visibility_timeout(60);
        let batch = batch.send().await.map_err(|error| failed(&error))?.messages.unwrap_or_default();
        if batch.is_empty() {
            break;
        }
        messages.extend(batch);
    }
    for message in &messages {
        let receipt = message.receipt_handle().unwrap_or_default();
        let back = sqs.change_message_visibility().queue_url(queue_url).receipt_handle(receipt).visibility_timeout(0);
        back.send().await.map_err(|error| failed(&error))?;
    }
    Ok(messages)
}

/// The event that a message carries.
///
/// # Errors
/// The message's body is no event.
pub fn event(message: &Message) -> Result<Event<'_>, LocalError> {
    Event::from_json(message.body().unwrap_or_default())
        .map_err(|error| LocalError(format!("a message on the queue is no event: {error}")))
}
