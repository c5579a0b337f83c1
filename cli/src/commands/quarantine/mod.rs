//! `hookgate quarantine`: what is in quarantine and why, and out of it once it can be read.

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

/// Verified deliveries that could not be read as events: look at them, and release them once they can.
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

/// Which quarantine.
#[derive(Debug, clap::Args)]
struct Where {
    /// The quarantine's queue, by name or URL [default: the installation's].
    #[arg(long, value_name = "QUEUE")]
    quarantine: Option<String>,
    /// Receive from a queue with dead letters, too: each message counts as received once more, and its consumers do not
    /// get it meanwhile.
    #[arg(long)]
    disturb_consumers: bool,
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    deployment: Deployment,
}

/// List what is in quarantine, and leave it there: reason, platform, account, when it came, bytes, id. No bodies.
#[derive(Debug, clap::Args)]
#[command(after_help = arguments::examples("Examples:
  hookgate quarantine list
  hookgate quarantine list --reason not_json --provider PLATFORM
  hookgate quarantine list --aws --profile prod --json

Exit code: 0 there is something, 1 there is nothing, 2 it could not be done as asked."))]
struct List {
    #[command(flatten)]
    only: Only,
    #[command(flatten)]
    at: Where,
}

/// Show one delivery: why it is in quarantine and what to do about it, its headers, and its whole body.
#[derive(Debug, clap::Args)]
#[command(after_help = arguments::examples("Examples:
  hookgate quarantine show 3f1c2a90
  hookgate quarantine show 3f1c2a90 --json | jq -r .body

The body may hold personal data. Headers are without signatures, cookies and authorization: the quarantine keeps none.
Exit code: 0 shown, 1 there is none of this id, 2 it could not be done as asked."))]
struct Show {
    /// The id of its message, as list shows it (message_id in the log), or its first 8 characters or more; or the id that the
    /// platform was answered (id in the log): quarantine and a hash.
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    at: Where,
}

/// Which deliveries.
#[derive(Debug, clap::Args)]
struct Only {
    /// Only what is there for this reason. Repeatable.
    #[arg(long)]
    reason: Vec<String>,
    /// Only this platform's. Repeatable.
    #[arg(long, value_parser = arguments::provider())]
    provider: Vec<&'static Provider>,
}

impl Only {
    fn admits(&self, entry: &Quarantined) -> bool {
        (self.reason.is_empty() || self.reason.contains(&entry.reason))
            && (self.provider.is_empty() || self.provider.iter().any(|provider| provider.name == entry.provider))
    }
}

/// Whether there was anything, or all was released.
pub async fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let at = match &arguments.command {
        Command::List(List { at, .. }) | Command::Show(Show { at, .. }) => at,
        Command::Release(release) => &release.at,
    };
    let clients = at.deployment.clients().await?;
    let url = clients.queue(Queue::Quarantine, at.quarantine.as_deref()).await?;
    if !at.disturb_consumers && messages::has_dead_letters(&clients, &url).await? {
        return Err(messages::would_disturb(&url, "Name the quarantine with --quarantine: as deployed, it has none"));
    }
    let mut held = Held::new(&clients, &url);
    let worked = match &arguments.command {
        Command::List(list) => tokio::select! {
            worked = list.run(&clients, &mut held) => worked,
            () = interrupted() => Err(anyhow!("stopped")),
        },
        Command::Show(show) => tokio::select! {
            worked = show.run(&clients, &mut held) => worked,
            () = interrupted() => Err(anyhow!("stopped")),
        },
        Command::Release(release) => release.run(&clients, &mut held).await,
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
            others => anstream::eprintln!("{others} more are being looked at by somebody else: again in two minutes."),
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
        anstream::eprintln!("Nothing in quarantine has the id {}.", plain(&self.id));
        Ok(ExitCode::No)
    }
}
