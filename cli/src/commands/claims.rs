//! `hookgate claims`: shows or deletes the claim of an event.

use std::{collections::HashMap, time::SystemTime};

use anyhow::bail;
use aws_sdk_dynamodb::{operation::delete_item::DeleteItemError, types::AttributeValue};
use hookgate_intake::{
    QUARANTINE,
    claim::{RELEASED, State, Stored, partition_key},
};
use hookgate_verify::{Account, Provider, providers, rfc3339_milliseconds};
use serde_json::{Value, json};

use crate::{
    arguments,
    client::aws::{Clients, Deployment},
    error::ExitCode,
    output::{BOLD, GOOD, MAYBE, confirm, moment, plain, print, print_json, span},
};

/// Show an event's claim, or delete it so that the platform can send the event again.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Show(Show),
    Forget(Forget),
}

/// Show an event's claim: its state, lease and expiry. Changes nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = arguments::examples("Examples:
  hookgate claims show evt_01j7x
  hookgate claims show evt_01j7x --provider PLATFORM --account eu-shop
  hookgate claims show 'PLATFORM#default#ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'
  hookgate claims show evt_01j7x --aws --profile prod --json

Exit code: 0 found, 1 not found, 2 failed."))]
struct Show {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    which: Which,
}

/// Delete the claim of an event that your consumer lost, so that the platform can send it again.
///
/// Shows the claim, then deletes it if it is still as shown: queued, with the same message. The platform's next delivery is
/// queued with the same source and id, and consumers that remember them take it for a duplicate: see docs/operate.md.
#[derive(Debug, clap::Args)]
#[command(after_help = arguments::examples("Examples:
  hookgate claims forget evt_01j7x
  hookgate claims forget evt_01j7x --provider PLATFORM --account eu-shop --aws --profile prod
  hookgate claims forget evt_01j7x --aws --yes

With --aws it asks first. The credentials need dynamodb:DeleteItem on the table.
Exit code: 0 deleted, 1 not found or not queued, 2 failed."))]
struct Forget {
    /// Skip confirmation (asked for with --aws)
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    which: Which,
}

/// The options that choose a claim.
#[derive(Debug, clap::Args)]
struct Which {
    /// Find the claim of this event id (`id` in the log, on the queue and in the answer) or with this key (`key` in the log)
    #[arg(value_name = "ID|KEY")]
    event: String,
    /// Look only for this platform's event with that id [default: all platforms]
    #[arg(long, value_parser = arguments::provider())]
    provider: Option<&'static Provider>,
    /// Look in this account for the id
    #[arg(long, default_value = "default", value_parser = arguments::account)]
    account: Account,
    /// Read this table of claims [default: the installation's]
    #[arg(long, value_name = "NAME")]
    table: Option<String>,
    #[command(flatten)]
    deployment: Deployment,
}

/// How the owner of a release's claim begins: the id of the message in quarantine follows, then the time.
pub(crate) const RELEASE: &str = "release-of-";

/// A claim in the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claim {
    /// The partition key.
    key: String,
    event_id: String,
    /// None if this version cannot read it.
    pub(crate) stored: Option<Stored>,
    pub(crate) message_id: Option<String>,
}

/// Shows or deletes the claim.
pub async fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let (Command::Show(Show { which, .. }) | Command::Forget(Forget { which, .. })) = &arguments.command;
    let clients = which.deployment.clients().await?;
    let table = clients.table(which.table.as_deref()).await?;
    let mut claims = Vec::new();
    for key in which.keys() {
        claims.extend(find(&clients, &table, &key).await?);
    }
    let now = now();
    if let Command::Show(Show { json: true, .. }) = &arguments.command {
        print_json(&claims.iter().map(|claim| claim.json(now)).collect::<Value>())?;
        return Ok((!claims.is_empty()).into());
    }
    if claims.is_empty() {
        let event = plain(&which.event);
        print(format_args!(
            "{table} has no claim for {event}: it was not queued, or its claim has been deleted since."
        ))?;
        if which.provider.is_none() && !which.is_key() {
            print(format_args!("Searched all platforms, account {}: choose another with --account.", which.account))?;
        }
    }
    for claim in &claims {
        print(claim.text(now))?;
    }
    match (&arguments.command, &claims[..]) {
        (Command::Forget(forget), [claim]) => forget.forget(&clients, &table, claim).await,
        (Command::Forget(_), [_, _, ..]) => bail!("more than one claim matches: give its key, or --provider"),
        _ => Ok((!claims.is_empty()).into()),
    }
}

impl Forget {
    async fn forget(&self, clients: &Clients, table: &str, claim: &Claim) -> anyhow::Result<ExitCode> {
        let (meaning, _) = claim.meaning(now());
        let ("queued" | "quarantined", Some(message)) = (meaning, &claim.message_id) else {
            let why = match meaning {
                "expired" => "This one has expired.",
                "unknown" => "This version of hookgate cannot read this one.",
                _ => "The platform's next attempt takes this one over when its lease has ended.",
            };
            print(format_args!("Not deleted: only the claim of a queued event can be. {why}"))?;
            return Ok(ExitCode::No);
        };
        if !clients.is_local() && !self.yes && !confirm("Delete this claim?") {
            bail!("nothing was deleted: answer y, or add --yes");
        }
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let delete = clients.dynamodb.delete_item().table_name(table).key("pk", text(&claim.key));
        let delete = delete
            .condition_expression("#state = :queued AND message_id = :message_id")
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":queued", text("queued"))
            .expression_attribute_values(":message_id", text(message));
        match delete.send().await {
            Ok(_) => {
                print("Deleted. The platform's next delivery of this event counts as new.")?;
                Ok(ExitCode::Yes)
            }
            Err(error)
                if error.as_service_error().is_some_and(DeleteItemError::is_conditional_check_failed_exception) =>
            {
                print("Not deleted: the claim has changed since it was shown.")?;
                Ok(ExitCode::No)
            }
            Err(error) => Err(clients.failed(&format!("cannot delete from the table {table}"), &error)),
        }
    }
}

impl Which {
    /// Whether it is a claim's key: see [`partition_key`]. An event's id may contain a `#` too.
    fn is_key(&self) -> bool {
        let parts: Vec<_> = self.event.splitn(3, '#').collect();
        let &[provider, account, hash] = &parts[..] else { return false };
        Provider::named(provider).is_some() && Account::parse(account).is_some() && is_hash(hash)
    }

    fn keys(&self) -> Vec<String> {
        if self.is_key() {
            return vec![self.event.clone()];
        }
        let asked = self.provider.map_or_else(|| providers::ALL.to_vec(), |provider| vec![provider]);
        // An event's id is its idempotency key.
        asked.iter().map(|provider| partition_key(provider.name, self.account.as_str(), &self.event)).collect()
    }
}

fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The claim with this partition key.
pub(crate) async fn find(clients: &Clients, table: &str, key: &str) -> anyhow::Result<Option<Claim>> {
    Ok(item(clients, table, key).await?.map(|item| Claim::read(&item)))
}

/// An item of a table.
pub(crate) type Item = HashMap<String, AttributeValue>;

pub(crate) fn text<'i>(item: &'i Item, name: &str) -> Option<&'i str> {
    item.get(name)?.as_s().ok().map(String::as_str)
}

pub(crate) fn number(item: &Item, name: &str) -> Option<i64> {
    item.get(name)?.as_n().ok()?.parse().ok()
}

/// The item with this partition key.
pub(crate) async fn item(clients: &Clients, table: &str, key: &str) -> anyhow::Result<Option<Item>> {
    let get = clients.dynamodb.get_item().table_name(table).key("pk", AttributeValue::S(key.to_owned()));
    let got = get.consistent_read(true).send().await;
    let got = got.map_err(|error| clients.failed(&format!("cannot read the table {table}"), &error))?;
    Ok(got.item)
}

/// The time, in Unix milliseconds.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

impl Claim {
    fn read(item: &Item) -> Self {
        let text = |name: &str| text(item, name).map(str::to_owned);
        Claim {
            key: text("pk").unwrap_or_default(),
            event_id: text("event_id").unwrap_or_default(),
            stored: Stored::read(item),
            message_id: text("message_id"),
        }
    }

    /// The id of the message in quarantine, if it was claimed by a release.
    pub(crate) fn released_from(&self) -> Option<&str> {
        let (message_id, _) = self.stored.as_ref()?.owner.strip_prefix(RELEASE)?.rsplit_once('-')?;
        Some(message_id)
    }

    /// The name of its state at `now`, in Unix milliseconds, and an explanation.
    pub(crate) fn meaning(&self, now: i64) -> (&'static str, String) {
        let message = plain(self.message_id.as_deref().unwrap_or("unknown"));
        let Some(stored) = &self.stored else {
            return ("unknown", "this version of hookgate cannot read it: use the deployed version".to_owned());
        };
        match stored.state {
            // DynamoDB may not have deleted it yet.
            _ if stored.expires_at < now / 1000 => {
                ("expired", "it no longer counts: the event would be queued again".to_owned())
            }
            State::Queued if self.event_id.strip_prefix(QUARANTINE).is_some_and(is_hash) => {
                ("quarantined", format!("message {message} was sent to quarantine: see hookgate quarantine show"))
            }
            State::Queued => ("queued", format!("message {message} was sent to the queue")),
            State::Claimed { lease_until: RELEASED } => {
                ("released", "its invocation could not queue it; the platform's next attempt takes over".to_owned())
            }
            State::Claimed { lease_until } if lease_until < now => (
                "abandoned",
                format!(
                    "its lease ended {} ago without a result; the platform's next attempt takes over. The event may be on \
                     the queue already",
                    span(now.abs_diff(lease_until) / 1000)
                ),
            ),
            State::Claimed { lease_until } => (
                "claimed",
                format!("an invocation is working on it; its lease ends in {}", span(now.abs_diff(lease_until) / 1000)),
            ),
        }
    }

    fn json(&self, now: i64) -> Value {
        let time = |milliseconds: i64| moment(milliseconds).map(rfc3339_milliseconds);
        let Claim { key, event_id, message_id, stored } = self;
        let mut json = json!({"meaning": self.meaning(now).0, "key": key, "id": event_id, "message_id": message_id});
        if let Some(Stored { owner, state, content, expires_at }) = stored {
            let (state, lease) = match *state {
                State::Queued => ("queued", None),
                State::Claimed { lease_until } => ("claimed", Some(lease_until).filter(|&lease| lease != RELEASED)),
            };
            json["state"] = state.into();
            json["owner"] = owner.as_str().into();
            json["content"] = content.as_str().into();
            json["lease_until"] = lease.and_then(time).into();
            json["expires_at"] = time(expires_at.saturating_mul(1000)).into();
        }
        json
    }

    fn text(&self, now: i64) -> String {
        let (name, meaning) = self.meaning(now);
        let colour = if name == "queued" { GOOD } else { MAYBE };
        let (event, key) = (plain(&self.event_id), plain(&self.key));
        let mut text =
            format!("{BOLD}{colour}{name}{colour:#}{BOLD:#}: {meaning}\n  event    {event}\n  key      {key}");
        if let Some(Stored { owner, content, expires_at, .. }) = &self.stored {
            let left = expires_at.saturating_mul(1000) - now;
            let expiry = span(left.unsigned_abs() / 1000);
            let expiry = if left < 0 { format!("{expiry} ago") } else { format!("in {expiry}") };
            let (content, owner) = (plain(content), plain(owner));
            text = format!("{text}\n  content  {content}\n  owner    {owner}\n  expires  {expiry}");
        }
        text
    }
}
