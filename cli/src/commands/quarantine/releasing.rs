//! What becomes of one delivery that is released from quarantine, or what would.

use std::{collections::BTreeMap, fmt::Write as _, time::SystemTime};

use hookgate_intake::{
    Quarantined,
    claim::{Claim, Refusal, admits, judge},
    release::{self, Installation, Readable, StoreOutcome, Unusable},
};
use hookgate_verify::providers;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::item::{Item, TOO_OLD, explained};
use crate::{
    client::aws::Clients,
    commands::claims,
    output::{GOOD, MAYBE, plain},
};

/// Releases deliveries of every platform.
pub(crate) struct Releasing<'a> {
    clients: &'a Clients,
    installation: Installation,
    releases: BTreeMap<&'static str, release::Release>,
}

/// How a delivery is to be released.
#[derive(Debug, Clone, Copy)]
pub(crate) struct How {
    /// Only say what would become of it.
    pub(crate) dry_run: bool,
    /// Where the id stands for other content, give it one made of its own.
    pub(crate) new_id: bool,
    /// Also where nobody can tell whether it is a replay.
    pub(crate) too_old: bool,
}

/// What became of one delivery, or would.
pub(crate) struct Done {
    readable: Option<Readable>,
    end: End,
}

enum End {
    Stored(StoreOutcome),
    Unusable(Unusable),
    TooOld,
}

impl<'a> Releasing<'a> {
    /// For this installation; a platform's own setting is taken from the environment.
    pub(crate) fn new(clients: &'a Clients, installation: Installation) -> anyhow::Result<Self> {
        let release = |provider| release::Release::new(provider, |name| std::env::var(name).ok(), installation.clone());
        let releases = providers::ALL.iter().map(|provider| Ok((provider.name, release(provider)?)));
        let releases = releases.collect::<anyhow::Result<_>>()?;
        Ok(Releasing { clients, installation, releases })
    }

    /// Releases one. Its message stays in the quarantine: delete it where the delivery [leaves](Done::leaves_quarantine).
    pub(crate) async fn one(&self, item: &Item, how: How) -> anyhow::Result<Done> {
        let unread = |end| Ok(Done { readable: None, end });
        let found = item.entry.as_ref().and_then(|entry| Some((entry, self.releases.get(&*entry.provider)?)));
        let Some((entry, release)) = found else { return unread(End::Unusable(Unusable::Form)) };
        let readable = match release.read(entry, false) {
            Ok(readable) => readable,
            Err(unusable) => return unread(End::Unusable(unusable)),
        };
        // No claim is old enough to tell such an event from a replay. Its time in quarantine counts.
        let age = readable.time.map(|time| OffsetDateTime::now_utc() - time);
        if !how.too_old && (entry.reason == TOO_OLD || age.is_some_and(|age| age > self.installation.claim_ttl)) {
            return unread(End::TooOld);
        }
        // Unique per release: claims are owned by it.
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos();
        let owner = format!("{}{}-{now}", claims::RELEASE, item.message_id);
        let attempt = async |readable: Readable, new_id: bool| {
            let end = if how.dry_run {
                End::Stored(self.foretold(&readable).await?)
            } else {
                release.run(entry, new_id, &owner).await.map_or_else(End::Unusable, End::Stored)
            };
            Ok(Done { readable: Some(readable), end })
        };
        let done = match self.known_conflict(entry, &readable).await? {
            Some(conflict) => Done { readable: Some(readable), end: End::Stored(conflict) },
            None => attempt(readable, false).await?,
        };
        if !how.new_id || !matches!(done.end, End::Stored(StoreOutcome::Conflict { .. })) {
            return Ok(done);
        }
        match release.read(entry, true) {
            Ok(readable) => attempt(readable, true).await,
            Err(unusable) => unread(End::Unusable(unusable)),
        }
    }

    /// A conflict stays one when the claim of the other content has expired: consumers have had its id for that content,
    /// and would take this one for a copy. None where there was none, or where this very content holds the id by now.
    async fn known_conflict(&self, entry: &Quarantined, readable: &Readable) -> anyhow::Result<Option<StoreOutcome>> {
        let (Some(claimed), Some(received)) = (&entry.content_claimed, &entry.content_received) else {
            return Ok(None);
        };
        Ok(match self.foretold(readable).await? {
            StoreOutcome::Duplicate => None,
            _ => Some(StoreOutcome::Conflict { claimed: claimed.clone(), received: received.clone() }),
        })
    }

    /// What a release would meet.
    async fn foretold(&self, readable: &Readable) -> anyhow::Result<StoreOutcome> {
        let found = claims::find(self.clients, &self.installation.table, &readable.key).await?;
        let claim = Claim {
            key: readable.key.clone(),
            event_id: readable.id.clone(),
            owner: String::new(),
            content: readable.content.clone(),
            lease_until: 0,
            expires_at: 0,
        };
        let now = claims::now();
        let stored = found.and_then(|found| found.stored).filter(|stored| !admits(Some(stored), &claim, now));
        Ok(match stored.map(|stored| judge(&stored, &claim, now)) {
            None | Some(Refusal::Mine) => StoreOutcome::Queued { message_id: String::new(), unsettled: None },
            Some(Refusal::Duplicate) => StoreOutcome::Duplicate,
            Some(Refusal::Busy { retry_after }) => StoreOutcome::Busy { retry_after },
            Some(Refusal::Conflict { claimed }) => {
                StoreOutcome::Conflict { claimed, received: readable.content.clone() }
            }
        })
    }
}

impl Done {
    /// Whether it leaves the quarantine.
    pub(crate) fn leaves_quarantine(&self) -> bool {
        matches!(self.end, End::Stored(StoreOutcome::Queued { .. } | StoreOutcome::Duplicate))
    }

    fn name(&self) -> &'static str {
        match &self.end {
            End::Stored(StoreOutcome::Queued { .. }) => "queued",
            End::Stored(StoreOutcome::Duplicate) => "duplicate",
            End::Stored(StoreOutcome::Conflict { .. }) => "conflict",
            End::Unusable(Unusable::TooLarge) => "too_large",
            End::Stored(StoreOutcome::Busy { .. }) => "busy",
            End::Stored(StoreOutcome::Unavailable { .. }) => "unavailable",
            End::Unusable(_) => "unreadable",
            End::TooOld => TOO_OLD,
        }
    }

    /// The result in words, and the remedy.
    pub(crate) fn words(&self, dry: bool) -> String {
        match &self.end {
            End::Stored(StoreOutcome::Queued { .. }) if dry => "it would be queued".to_owned(),
            End::Stored(StoreOutcome::Queued { message_id, unsettled: None }) => {
                format!("message {}", plain(message_id))
            }
            End::Stored(StoreOutcome::Queued { message_id, unsettled: Some(error) }) => format!(
                "message {}; its claim could not be settled ({error}): if the platform sends it again, it is queued again",
                plain(message_id)
            ),
            End::Stored(StoreOutcome::Duplicate) if dry => {
                "it is on the queue already, and would be deleted here".to_owned()
            }
            End::Stored(StoreOutcome::Duplicate) => "it was on the queue already, and is deleted here".to_owned(),
            End::Stored(StoreOutcome::Conflict { claimed, received }) => format!(
                "stays: its id belongs to other content (hash {}, this one {}). Compare it with the event that your consumers \
                 have; --new-id releases it as an event of its own",
                plain(claimed),
                plain(received)
            ),
            End::Stored(StoreOutcome::Busy { retry_after }) => {
                format!("stays: another process is working on this event: try again in {retry_after} s")
            }
            End::Stored(StoreOutcome::Unavailable { step, error }) => {
                format!("stays: {step} failed ({error}): try again later")
            }
            End::Unusable(Unusable::TooLarge) => "stays: it is too large for a message".to_owned(),
            End::Unusable(Unusable::Form) => "stays: not a message of Hookgate's quarantine".to_owned(),
            End::Unusable(Unusable::Unreadable(why)) => {
                format!("stays: still {}: {}", why.as_str(), explained(why.as_str()).0)
            }
            End::TooOld => {
                "stays: it may be a replay. Check it, then release it by its id, or add --reason too_old".to_owned()
            }
        }
    }

    pub(super) fn line(&self, item: &Item, words: &str) -> String {
        let style = if self.leaves_quarantine() { GOOD } else { MAYBE };
        let mut line = format!("{style}{:<11}{style:#}  {}", self.name(), plain(&item.message_id));
        if let Some(readable) = &self.readable {
            let _ = write!(line, "  {}", readable.event_type);
            if let Some(subject) = &readable.subject {
                let _ = write!(line, "  {}", plain(subject));
            }
            let _ = write!(line, "  {}", plain(&readable.id));
        }
        let _ = write!(line, "  {words}");
        line
    }

    pub(crate) fn json(&self, item: &Item, words: &str, dry_run: bool) -> Value {
        let readable = self.readable.as_ref();
        let (claimed, received) = match &self.end {
            End::Stored(StoreOutcome::Conflict { claimed, received }) => (Some(claimed), Some(received)),
            _ => (None, None),
        };
        json!({
            "quarantine_id": item.message_id, "outcome": self.name(), "dry_run": dry_run, "words": words,
            "id": readable.map(|r| &r.id), "type": readable.map(|r| r.event_type), "key": readable.map(|r| &r.key),
            "subject": readable.and_then(|r| r.subject.as_ref()),
            "content_claimed": claimed, "content_received": received,
        })
    }
}
