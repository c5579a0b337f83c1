//! `hookgate quarantine`: shows and releases quarantined deliveries.

mod item;
mod release;
mod releasing;

use anyhow::anyhow;
use hookgate_intake::Quarantined;
use hookgate_verify::Provider;
use serde_json::Value;

pub(crate) use self::{
    item::Item,
    releasing::{How, Releasing},
};
use super::interrupted;
use crate::{
    arguments,
    client::{
        aws::{Clients, Deployment, Queue},
        messages::{self, Held},
    },
    error::ExitCode,
    output::{plain, print, print_json},
};

/// Inspect and release deliveries in quarantine: verified, but not usable as events.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    List(List),
    Show(Show),
    Release(Box<release::Release>),
}

/// The options that choose a quarantine.
#[derive(Debug, clap::Args)]
struct Where {
    /// Use this quarantine queue, a name or URL [default: the installation's]
    #[arg(long, value_name = "QUEUE")]
    quarantine: Option<String>,
    /// Allow a queue that has a redrive policy: each receive counts against maxReceiveCount, and hides messages from consumers
    #[arg(long)]
    disturb_consumers: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    deployment: Deployment,
}

/// List the deliveries in quarantine: time, reason, platform, account, bytes and id, without bodies.
#[derive(Debug, clap::Args)]
#[command(after_help = arguments::examples("Examples:
  hookgate quarantine list
  hookgate quarantine list --reason not_json --provider PLATFORM
  hookgate quarantine list --aws --profile prod --json

Exit code: 0 found, 1 nothing found, 2 failed."))]
struct List {
    #[command(flatten)]
    only: Only,
    #[command(flatten)]
    at: Where,
}

/// Show one delivery: why it is in quarantine, what to do, its headers, and its whole body.
#[derive(Debug, clap::Args)]
#[command(after_help = arguments::examples("Examples:
  hookgate quarantine show 3f1c2a90
  hookgate quarantine show 3f1c2a90 --json | jq -r .body

The body may hold personal data. Signatures, cookies and authorization headers are not kept in quarantine.
Exit code: 0 found, 1 not found, 2 failed."))]
struct Show {
    /// Show the delivery with this message id (`list` shows it, the log as `message_id`), or with this id (in the log and the
    /// platform's answer). The first 8 characters of a message id, or of the hash in an id, are enough
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    at: Where,
}

/// The options that choose deliveries.
#[derive(Debug, clap::Args)]
struct Only {
    /// Only deliveries with this reason. Repeatable
    #[arg(long)]
    reason: Vec<String>,
    /// Only deliveries of this platform. Repeatable
    #[arg(long, value_parser = arguments::provider())]
    provider: Vec<&'static Provider>,
}

impl Only {
    fn admits(&self, entry: &Quarantined) -> bool {
        (self.reason.is_empty() || self.reason.contains(&entry.reason))
            && (self.provider.is_empty() || self.provider.iter().any(|provider| provider.name == entry.provider))
    }
}

/// Runs the command, and gives back what it received.
pub async fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let at = match &arguments.command {
        Command::List(List { at, .. }) | Command::Show(Show { at, .. }) => at,
        Command::Release(release) => &release.at,
    };
    let clients = at.deployment.clients().await?;
    let url = clients.queue(Queue::Quarantine, at.quarantine.as_deref()).await?;
    if !at.disturb_consumers && messages::has_dead_letters(&clients, &url).await? {
        return Err(messages::would_disturb(
            &url,
            "Name the quarantine queue with --quarantine, which as deployed has no redrive policy",
        ));
    }
    let mut held = Held::new(&clients, &url);
    let works = async {
        match &arguments.command {
            Command::List(list) => list.run(&clients, &mut held).await,
            Command::Show(show) => show.run(&clients, &mut held).await,
            Command::Release(release) => release.run(&clients, &mut held).await,
        }
    };
    // A release stops by itself, between two deliveries.
    let worked = tokio::select! {
        biased;
        () = interrupted(), if !matches!(arguments.command, Command::Release(_)) => Err(anyhow!("stopped")),
        worked = works => worked,
    };
    let back = held.give_back().await;
    worked.and_then(|worked| back.map(|()| worked))
}

impl List {
    async fn run(&self, clients: &Clients, held: &mut Held<'_>) -> anyhow::Result<ExitCode> {
        let wait = messages::patience(clients);
        let (mut listed, mut json) = (0, Vec::new());
        while let Some(batch) = held.more(wait).await? {
            for item in batch.into_iter().map(Item::from) {
                if item.entry.as_ref().is_some_and(|entry| !self.only.admits(entry)) {
                    continue;
                }
                listed += 1;
                if self.at.json {
                    json.push(item.summary());
                } else {
                    print(item.line())?;
                }
            }
        }
        if self.at.json {
            print_json(&Value::Array(json))?;
        } else if listed == 0 {
            print("Nothing in quarantine.")?;
        }
        match held.held_by_others().await? {
            0 => {}
            others => eprintln!("{others} more are held by somebody else: try again in two minutes."),
        }
        Ok((listed > 0).into())
    }
}

impl Show {
    async fn run(&self, clients: &Clients, held: &mut Held<'_>) -> anyhow::Result<ExitCode> {
        let wait = messages::patience(clients);
        while let Some(batch) = held.more(wait).await? {
            if let Some(item) = batch.into_iter().map(Item::from).find(|item| item.is(&self.id)) {
                if self.at.json {
                    print_json(&item.json())?;
                } else {
                    print(item.text())?;
                }
                return Ok(ExitCode::Yes);
            }
        }
        eprintln!("Nothing in quarantine has the id {}.", plain(&self.id));
        Ok(ExitCode::No)
    }
}
