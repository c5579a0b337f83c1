//! `hookgate quarantine release`: out of quarantine, once a delivery can be read.

use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use hookgate_intake::release::Installation;
use serde_json::Value;

use super::{
    Only, Where,
    item::{Item, TOO_OLD},
    releasing::{How, Releasing},
};
use crate::{
    arguments,
    client::{
        aws::{Clients, Queue},
        messages::{self, Held},
    },
    commands::interrupted,
    error::ExitCode,
    output::{plain, print, print_json},
};

/// Take deliveries out of quarantine once they can be read: read, claimed, queued and settled like any other.
///
/// They are read by this program, so use the version that has the fix. The quarantine keeps no signatures: you vouch that
/// the platform sent them. A message is deleted from the quarantine only once its event is on the queue, or known to be
/// there; what still cannot be read stays. To stop half-way is safe: the next release knows what was queued.
///
/// too_old: nobody can tell any more whether it was queued long ago or is a replay. Look whether your consumers know its
/// id, then release it by its id, or all of them by --reason too_old; --all alone leaves them.
///
/// key_conflict: the platform used one id for two contents, and the first of them holds the id. A release meets the same
/// conflict, shows both hashes, and leaves it, unless --new-id gives it an id made of its own content, by which consumers
/// take it for an event of its own.
#[allow(clippy::struct_excessive_bools, reason = "each is an option of its own")]
#[derive(Debug, clap::Args)]
#[command(after_help = arguments::examples("Examples:
  hookgate quarantine release 3f1c2a90 --dry-run
  hookgate quarantine release 3f1c2a90
  hookgate quarantine release --all --reason event_name --provider PLATFORM
  hookgate quarantine release --all --aws --profile prod --yes
  hookgate quarantine release 3f1c2a90 --new-id

A platform's own setting must be in the environment as its function has it, where it is set there.
Exit code: 0 all were released, 1 some stayed or there were none, 2 it could not be done as asked."))]
pub(super) struct Release {
    /// Their ids, as for show.
    #[arg(value_name = "ID", required_unless_present = "all", conflicts_with = "all")]
    ids: Vec<String>,
    /// All that --reason and --provider let through.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    only: Only,
    /// Only say what would become of them.
    #[arg(long)]
    dry_run: bool,
    /// Where the id stands for other content, give it one made of its own.
    #[arg(long)]
    new_id: bool,
    /// Do it: asked for with --all --aws.
    #[arg(long)]
    yes: bool,
    /// The queue of events, by name or URL [default: the installation's].
    #[arg(long, value_name = "QUEUE")]
    queue: Option<String>,
    /// The table of claims [default: the installation's].
    #[arg(long, value_name = "NAME")]
    table: Option<String>,
    /// How long the installation keeps claims (its ClaimTtlDays).
    #[arg(long, value_name = "DAYS", default_value = "30", value_parser = clap::value_parser!(u64).range(1..=3650))]
    claim_ttl_days: u64,
    #[command(flatten)]
    pub(super) at: Where,
}

impl Release {
    pub(super) async fn run(&self, clients: &Clients, held: &mut Held<'_>) -> anyhow::Result<ExitCode> {
        if self.all && !clients.is_local() && !self.yes && !self.dry_run {
            bail!(
                "--all releases every delivery of an AWS account's quarantine that can be read: see what would become of \
                 them with --dry-run, then say --yes"
            );
        }
        let installation = Installation {
            table: clients.table(self.table.as_deref()).await?,
            queue_url: clients.queue(Queue::Events, self.queue.as_deref()).await?,
            claim_ttl: Duration::from_secs(self.claim_ttl_days * 86_400),
            dynamodb: clients.dynamodb.clone(),
            sqs: clients.sqs.clone(),
        };
        let releasing = Releasing::new(clients, installation)?;

        let mut report = Report { missing: self.ids.clone(), met: 0, stayed: 0, json: Vec::new() };
        let worked = self.each(&releasing, held, &mut report).await;
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

    async fn each(&self, releasing: &Releasing<'_>, held: &mut Held<'_>, report: &mut Report) -> anyhow::Result<()> {
        let wait = messages::patience(releasing.clients);
        let too_old = !self.all || self.only.reason.iter().any(|reason| reason == TOO_OLD);
        let how = How { dry_run: self.dry_run, new_id: self.new_id, too_old };
        let mut interrupted = std::pin::pin!(interrupted());
        let stopped = || anyhow!("stopped: what was released is, the rest is where it was");
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
                // Once begun it is finished, Ctrl-C or not: half of it would be queued once more by the next release.
                held.prolong().await?;
                let done = releasing.one(&item, how).await?;
                let (leaves, words) = (done.leaves_quarantine(), done.words(self.dry_run));
                report.stayed += u64::from(!leaves);
                if self.at.json {
                    report.json.push(done.json(&item, &words, self.dry_run));
                } else {
                    print(done.line(&item, &words))?;
                }
                if leaves && !self.dry_run {
                    let deleted = held.delete(&item.message_id).await;
                    deleted
                        .context("queued, but still in quarantine: release it again, it will be known and deleted")?;
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
}

/// What a release has come to.
struct Report {
    /// Ids that were not met yet.
    missing: Vec<String>,
    met: u64,
    stayed: u64,
    json: Vec<Value>,
}
