//! `hookgate quarantine release`: queues a delivery that can be read now, and deletes it from quarantine.

use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use futures_util::FutureExt as _;
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
        let releasing = Releasing::new(clients, installation)?;
        let how = How {
            dry_run: self.dry_run,
            new_id: self.new_id,
            too_old: !self.all || self.only.reason.iter().any(|reason| reason == TOO_OLD),
        };
        let (mut missing, mut stayed, mut json) = (self.ids.clone(), false, Vec::new());
        let worked = async {
            let mut interrupted = std::pin::pin!(interrupted());
            let stopped = || anyhow!("stopped: what was not released yet is still in quarantine");
            loop {
                let batch = tokio::select! {
                    biased;
                    () = &mut interrupted => return Err(stopped()),
                    batch = held.more(messages::patience(clients)) => batch?,
                };
                let Some(batch) = batch else { return Ok(()) };
                for item in batch.into_iter().map(Item::from).filter(|item| self.asks_for(item)) {
                    missing.retain(|id| !item.is(id));
                    // Not interrupted by Ctrl-C: after half of it, the next release would queue the event again.
                    held.prolong().await?;
                    let done = releasing.one(&item, how).await?;
                    let (leaves, words) = (done.leaves_quarantine(), done.words(self.dry_run));
                    stayed |= !leaves;
                    json.push(done.json(&item, &words, self.dry_run));
                    if !self.at.json {
                        print(done.line(&item, &words))?;
                    }
                    if leaves && !self.dry_run {
                        let deleted = held.delete(&item.message_id).await;
                        deleted.context(
                            "queued, but still in quarantine: release it again, which deletes it as a duplicate",
                        )?;
                    }
                    if interrupted.as_mut().now_or_never().is_some() {
                        return Err(stopped());
                    }
                }
                if !self.all && missing.is_empty() {
                    return Ok(());
                }
            }
        };
        let worked = worked.await;
        let none = json.is_empty();
        if self.at.json {
            print_json(&Value::Array(json))?;
        }
        worked?;
        if none && self.all && !self.at.json {
            print("Nothing to release.")?;
        }
        for id in &missing {
            eprintln!("Nothing in quarantine has the id {}.", plain(id));
        }
        Ok((!none && !stayed && missing.is_empty()).into())
    }

    fn asks_for(&self, item: &Item) -> bool {
        let named = self.ids.iter().any(|id| item.is(id));
        item.entry.as_ref().map_or(named, |entry| self.only.admits(entry) && (self.all || named))
    }
}
