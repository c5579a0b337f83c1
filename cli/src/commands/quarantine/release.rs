//! `hookgate quarantine release`: queues a delivery that can be read now, and deletes it from quarantine.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, anyhow, bail};
use hookgate_intake::{
    Quarantined,
    claim::{Claim, Refusal, admits, judge},
    release::{self, Installation, Readable, StoreOutcome, Unusable},
};
use hookgate_verify::providers;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::{
    Only, Where,
    item::{Item, TOO_OLD, explained},
};
use crate::{
    arguments,
    client::{
        aws::{Clients, Queue},
        messages::{self, Held},
    },
    commands::{claims, interrupted},
    error::ExitCode,
    output::{GOOD, MAYBE, plain, print, print_json},
};

/// Release deliveries from quarantine once they can be read: they are claimed, queued and settled like any other.
///
/// This command reads them, so use the version that has the fix. The quarantine keeps no signatures: you vouch that the
/// platform sent them. A delivery leaves the quarantine only when its event is on the queue; one that still cannot be read
/// stays. Stopping and repeating a release is safe: what was queued is a duplicate then.
///
/// `too_old`: such an event may have been queued long ago, or be a replay. Check whether your consumers know its id, then
/// release it by id, or all of them with `--reason too_old`; --all alone leaves them.
///
/// `key_conflict`: the platform used one id for two contents, and the first one holds the id. A release shows both hashes and
/// leaves it, unless --new-id gives it an id made of its own content, which makes it another event to consumers.
#[derive(Debug, clap::Args)]
#[command(after_help = arguments::examples("Examples:
  hookgate quarantine release 3f1c2a90 --dry-run
  hookgate quarantine release 3f1c2a90
  hookgate quarantine release --all --reason event_name --provider PLATFORM
  hookgate quarantine release --all --aws --profile prod --yes
  hookgate quarantine release 3f1c2a90 --new-id

If a platform's function has a setting of its own (an environment variable), set it here too.
Exit code: 0 all released, 1 some stayed or none found, 2 failed."))]
pub(super) struct Release {
    /// Release the deliveries with these ids, as for `show`
    #[arg(value_name = "ID", required_unless_present = "all", conflicts_with = "all")]
    ids: Vec<String>,
    /// Release every delivery that matches --reason and --provider
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    only: Only,
    /// Print what would happen, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Give a delivery whose id belongs to other content an id made of its own content
    #[arg(long)]
    new_id: bool,
    /// Skip confirmation (required with --all --aws)
    #[arg(long)]
    yes: bool,
    /// Send events to this queue, a name or URL [default: the installation's]
    #[arg(long, value_name = "QUEUE")]
    queue: Option<String>,
    /// Write claims to this table [default: the installation's]
    #[arg(long, value_name = "NAME")]
    table: Option<String>,
    /// Keep claims for this long, as the installation does (`ClaimTtlDays`)
    #[arg(long, value_name = "DAYS", default_value = "30", value_parser = clap::value_parser!(u64).range(1..=3650))]
    claim_ttl_days: u64,
    #[command(flatten)]
    pub(super) at: Where,
}

/// The means of a release.
struct Work<'a> {
    clients: &'a Clients,
    table: String,
    releases: BTreeMap<&'static str, release::Release>,
}

/// The result of one delivery, or with --dry-run the expected one.
struct Done {
    readable: Option<Readable>,
    end: End,
}

enum End {
    Stored(StoreOutcome),
    Unusable(Unusable),
    TooOld,
}

impl Release {
    pub(super) async fn run(&self, clients: &Clients, held: &mut Held<'_>) -> anyhow::Result<ExitCode> {
        if self.all && !clients.is_local() && !self.yes && !self.dry_run {
            bail!(
                "--all --aws releases every delivery that can be read: check with --dry-run what would happen, then add \
                 --yes"
            );
        }
        let installation = Installation {
            table: clients.table(self.table.as_deref()).await?,
            queue_url: clients.queue(Queue::Events, self.queue.as_deref()).await?,
            claim_ttl: Duration::from_secs(self.claim_ttl_days * 86_400),
            dynamodb: clients.dynamodb.clone(),
            sqs: clients.sqs.clone(),
        };
        let release = |provider| release::Release::new(provider, |name| std::env::var(name).ok(), installation.clone());
        let releases = providers::ALL.iter().map(|provider| Ok((provider.name, release(provider)?)));
        let releases = releases.collect::<anyhow::Result<_>>()?;
        let work = Work { clients, table: installation.table.clone(), releases };

        let mut report = Report { missing: self.ids.clone(), met: 0, stayed: 0, json: Vec::new() };
        let worked = self.each(&work, held, &mut report).await;
        let Report { missing, met, stayed, json } = report;
        if self.at.json {
            print_json(&Value::Array(json))?;
        }
        worked?;
        if met == 0 && self.all && !self.at.json {
            print("Nothing to release.")?;
        }
        for id in &missing {
            anstream::eprintln!("Nothing in quarantine has the id {}.", plain(id));
        }
        Ok((met > 0 && stayed == 0 && missing.is_empty()).into())
    }

    async fn each(&self, work: &Work<'_>, held: &mut Held<'_>, report: &mut Report) -> anyhow::Result<()> {
        let wait = messages::patience(work.clients);
        let mut interrupted = std::pin::pin!(interrupted());
        let stopped = || anyhow!("stopped: what was not released yet is still in quarantine");
        loop {
            let batch = tokio::select! {
                biased;
                () = &mut interrupted => return Err(stopped()),
                batch = held.more(wait) => batch?,
            };
            let Some(batch) = batch else { return Ok(()) };
            for item in batch.into_iter().map(Item::from).filter(|item| self.asks_for(item)) {
                report.missing.retain(|id| !item.is(id));
                report.met += 1;
                // Not interrupted by Ctrl-C: after half of it, the next release would queue the event again.
                held.prolong().await?;
                let done = self.one(work, &item).await?;
                let (leaves, words) = (done.leaves_quarantine(), done.words(self.dry_run));
                report.stayed += u64::from(!leaves);
                if self.at.json {
                    report.json.push(done.json(&item, &words, self.dry_run));
                } else {
                    print(done.line(&item, &words))?;
                }
                if leaves && !self.dry_run {
                    let deleted = held.delete(&item.message_id).await;
                    deleted.context(
                        "queued, but still in quarantine: release it again, which deletes it as a duplicate",
                    )?;
                }
                tokio::select! { biased; () = &mut interrupted => return Err(stopped()), () = std::future::ready(()) => {} }
            }
            if !self.all && report.missing.is_empty() {
                return Ok(());
            }
        }
    }

    fn asks_for(&self, item: &Item) -> bool {
        let named = self.ids.iter().any(|id| item.is(id));
        item.entry.as_ref().map_or(named, |entry| self.only.admits(entry) && (self.all || named))
    }

    async fn one(&self, work: &Work<'_>, item: &Item) -> anyhow::Result<Done> {
        let found = item.entry.as_ref().and_then(|entry| Some((entry, work.releases.get(&*entry.provider)?)));
        let Some((entry, release)) = found else {
            return Ok(Done { readable: None, end: End::Unusable(Unusable::Form) });
        };
        let readable = match release.read(entry, false) {
            Ok(readable) => readable,
            Err(unusable) => return Ok(Done { readable: None, end: End::Unusable(unusable) }),
        };
        let may_be_old = !self.all || self.only.reason.iter().any(|reason| reason == TOO_OLD);
        if !may_be_old && (self.outlives_claims(&readable) || entry.reason == TOO_OLD) {
            return Ok(Done { readable: None, end: End::TooOld });
        }
        let end = match self.known_conflict(work, entry, &readable).await? {
            Some(conflict) => End::Stored(conflict),
            None => self.attempt(work, release, entry, &readable, false).await?,
        };
        if !self.new_id || !matches!(end, End::Stored(StoreOutcome::Conflict { .. })) {
            return Ok(Done { readable: Some(readable), end });
        }
        Ok(match release.read(entry, true) {
            Ok(readable) => {
                let end = self.attempt(work, release, entry, &readable, true).await?;
                Done { readable: Some(readable), end }
            }
            Err(unusable) => Done { readable: None, end: End::Unusable(unusable) },
        })
    }

    /// Whether the event is older than claims are kept, so that it could be a replay. Its time in quarantine counts.
    fn outlives_claims(&self, readable: &Readable) -> bool {
        let most = time::Duration::days(i64::try_from(self.claim_ttl_days).unwrap_or(i64::MAX / 100_000));
        readable.time.is_some_and(|time| OffsetDateTime::now_utc() - time > most)
    }

    /// A conflict outlives the other content's claim: consumers had that content under this id, and would take this one for a
    /// duplicate. None if there was no conflict, or if this content holds the id by now.
    async fn known_conflict(
        &self,
        work: &Work<'_>,
        entry: &Quarantined,
        readable: &Readable,
    ) -> anyhow::Result<Option<StoreOutcome>> {
        let (Some(claimed), Some(received)) = (&entry.content_claimed, &entry.content_received) else {
            return Ok(None);
        };
        Ok(match foretold(work, readable).await? {
            StoreOutcome::Duplicate => None,
            _ => Some(StoreOutcome::Conflict { claimed: claimed.clone(), received: received.clone() }),
        })
    }

    async fn attempt(
        &self,
        work: &Work<'_>,
        release: &release::Release,
        entry: &Quarantined,
        readable: &Readable,
        new_id: bool,
    ) -> anyhow::Result<End> {
        if self.dry_run {
            return Ok(End::Stored(foretold(work, readable).await?));
        }
        // Unique per release: claims are owned by it.
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos();
        let owner = format!("release-{}-{now}", std::process::id());
        Ok(release.run(entry, new_id, &owner).await.map_or_else(End::Unusable, End::Stored))
    }
}

/// The results so far.
struct Report {
    /// Requested ids that were not found yet.
    missing: Vec<String>,
    met: u64,
    stayed: u64,
    json: Vec<Value>,
}

/// The expected result of a release.
async fn foretold(work: &Work<'_>, readable: &Readable) -> anyhow::Result<StoreOutcome> {
    let free = StoreOutcome::Queued { message_id: String::new(), unsettled: None };
    let found = claims::find(work.clients, &work.table, &readable.key).await?;
    let Some(stored) = found.and_then(|found| found.stored) else { return Ok(free) };
    let claim = Claim {
        key: readable.key.clone(),
        event_id: readable.id.clone(),
        owner: String::new(),
        content: readable.content.clone(),
        lease_until: 0,
        expires_at: 0,
    };
    if admits(Some(&stored), &claim, claims::now()) {
        return Ok(free);
    }
    Ok(match judge(&stored, &claim, claims::now()) {
        Refusal::Mine => free,
        Refusal::Duplicate => StoreOutcome::Duplicate,
        Refusal::Busy { retry_after } => StoreOutcome::Busy { retry_after },
        Refusal::Conflict { claimed } => StoreOutcome::Conflict { claimed, received: readable.content.clone() },
    })
}

impl Done {
    fn leaves_quarantine(&self) -> bool {
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
    fn words(&self, dry: bool) -> String {
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

    fn line(&self, item: &Item, words: &str) -> String {
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

    fn json(&self, item: &Item, words: &str, dry_run: bool) -> Value {
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
