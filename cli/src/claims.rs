//! `hookgate claims`: what the table of claims knows of an event.

use std::{
    collections::HashMap,
    time::{Duration, SystemTime},
};

use anstyle::{AnsiColor, Style};
use aws_sdk_dynamodb::types::AttributeValue;
use hookgate_intake::claim::{RELEASED, partition_key};
use hookgate_verify::{Account, Provider, providers, rfc3339_milliseconds};
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::{
    aws::{Clients, Deployment},
    messages::plain,
    usage::{self, UsageError},
};

/// What the table of claims knows of an event.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Show(Show),
}

/// Show the claim of one event: how far it came, when its lease ends, when it is forgotten.
///
/// Reads and changes nothing.
#[allow(clippy::doc_markdown, reason = "help is shown as it is written")]
#[derive(Debug, clap::Args)]
#[command(after_help = usage::examples("Examples:
  hookgate claims show evt_01j7x
  hookgate claims show evt_01j7x --provider PLATFORM --account eu-shop
  hookgate claims show 'PLATFORM#default#ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'
  hookgate claims show evt_01j7x --aws --profile prod --json

Exit code: 0 there is a claim, 1 there is none, 2 it could not be done as asked."))]
struct Show {
    /// The event's id (`id` in the log, on the queue and in the answer), or the claim's key (`key` in the log).
    #[arg(value_name = "ID|KEY")]
    event: String,
    /// The platform, for an id [default: every one].
    #[arg(long, value_parser = usage::provider())]
    provider: Option<&'static Provider>,
    /// The account, for an id.
    #[arg(long, default_value = "default", value_parser = usage::account)]
    account: Account,
    /// The table of claims [default: the installation's].
    #[arg(long, value_name = "NAME")]
    table: Option<String>,
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    deployment: Deployment,
}

/// A claim, as far as it can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Its partition key.
    pub key: String,
    /// The event's id.
    pub event_id: String,
    /// `claimed` or `queued`.
    pub state: String,
    /// The invocation that wrote it.
    pub owner: String,
    /// Hex SHA-256 of what it queues or queued.
    pub content: String,
    /// When another invocation may take over, in Unix milliseconds.
    pub lease_until: Option<i64>,
    /// When it is forgotten, in Unix seconds.
    pub expires_at: Option<i64>,
    /// SQS's id of the message.
    pub message_id: Option<String>,
}

/// What a claim means at a given time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// Forgotten, whether DynamoDB has deleted it or not.
    Expired,
    /// The event is on the queue.
    Queued,
    /// Somebody is at work on it.
    AtWork,
    /// Its owner gave it up.
    Released,
    /// Its owner never came to an end.
    Abandoned,
    /// A state that this version does not know.
    Unknown,
}

/// Whether there is a claim.
///
/// # Errors
/// The table is not there.
pub async fn run(arguments: &Arguments) -> Result<bool, UsageError> {
    let Command::Show(show) = &arguments.command;
    let clients = show.deployment.clients().await?;
    let table = clients.table(show.table.as_deref()).await?;
    let mut claims = Vec::new();
    for key in show.keys() {
        claims.extend(find(&clients, &table, &key).await?);
    }
    let now = now();
    if show.json {
        anstream::println!("{:#}", Value::Array(claims.iter().map(|claim| claim.json(now)).collect()));
    } else if claims.is_empty() {
        anstream::println!(
            "No claim of {} in {table}: it has not been queued, or was forgotten since.",
            plain(&show.event)
        );
        if show.provider.is_none() && !show.event.contains('#') {
            anstream::println!("Looked for it on every platform, account {}: see --account.", show.account);
        }
    } else {
        for claim in &claims {
            anstream::println!("{}", claim.text(now));
        }
    }
    Ok(!claims.is_empty())
}

impl Show {
    fn keys(&self) -> Vec<String> {
        if self.event.matches('#').count() == 2 {
            return vec![self.event.clone()];
        }
        let all =
            providers::ALL.iter().filter(|provider| self.provider.is_none_or(|asked| asked.name == provider.name));
        // An event's id is its idempotency key.
        all.map(|provider| partition_key(provider.name, self.account.as_str(), &self.event)).collect()
    }
}

/// The claim under this partition key.
///
/// # Errors
/// The table is not there.
pub async fn find(clients: &Clients, table: &str, key: &str) -> Result<Option<Claim>, UsageError> {
    let get = clients.dynamodb.get_item().table_name(table).key("pk", AttributeValue::S(key.to_owned()));
    let got = get.consistent_read(true).send().await;
    let got = got.map_err(|error| clients.failed(&format!("cannot read the table {table}"), &error))?;
    Ok(got.item.map(|item| Claim::read(&item)))
}

/// The time, in Unix milliseconds.
#[must_use]
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

impl Claim {
    fn read(item: &HashMap<String, AttributeValue>) -> Self {
        let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok()).cloned();
        let number = |name: &str| item.get(name)?.as_n().ok()?.parse().ok();
        Claim {
            key: text("pk").unwrap_or_default(),
            event_id: text("event_id").unwrap_or_default(),
            state: text("state").unwrap_or_default(),
            owner: text("owner").unwrap_or_default(),
            content: text("content").unwrap_or_default(),
            lease_until: number("lease_until"),
            expires_at: number("expires_at"),
            message_id: text("message_id"),
        }
    }

    /// What it means at `now`, in Unix milliseconds.
    #[must_use]
    pub fn meaning(&self, now: i64) -> Meaning {
        match (self.state.as_str(), self.lease_until) {
            _ if self.expires_at.is_some_and(|expiry| expiry < now / 1000) => Meaning::Expired,
            ("queued", _) => Meaning::Queued,
            ("claimed", Some(RELEASED)) => Meaning::Released,
            ("claimed", Some(lease)) if lease < now => Meaning::Abandoned,
            ("claimed", Some(_)) => Meaning::AtWork,
            _ => Meaning::Unknown,
        }
    }

    fn json(&self, now: i64) -> Value {
        let seconds = |milliseconds: i64| OffsetDateTime::from_unix_timestamp(milliseconds.div_euclid(1000)).ok();
        let time = |milliseconds: i64| seconds(milliseconds).map(rfc3339_milliseconds);
        json!({
            "meaning": self.meaning(now).name(), "key": self.key, "id": self.event_id, "state": self.state,
            "owner": self.owner, "content": self.content, "message_id": self.message_id,
            "lease_until": self.lease_until.filter(|&lease| lease != RELEASED).and_then(time),
            "expires_at": self.expires_at.and_then(|expiry| time(expiry.saturating_mul(1000))),
        })
    }

    fn text(&self, now: i64) -> String {
        const BOLD: Style = Style::new().bold();
        let lease = self.lease_until.unwrap_or(now);
        let what = match self.meaning(now) {
            Meaning::Queued => {
                let message = self.message_id.as_deref().unwrap_or("unknown");
                format!("its message {} went to the queue", plain(message))
            }
            Meaning::AtWork => format!("an invocation is at work on it; its lease ends in {}", span(lease - now)),
            Meaning::Released => {
                "its invocation could not send it, and said so; the provider's next attempt takes over".to_owned()
            }
            Meaning::Abandoned => format!(
                "its invocation ended without a result, its lease {} ago; the provider's next attempt takes over. Its \
                 message may be on the queue all the same",
                span(now - lease)
            ),
            Meaning::Expired => "the same as none: it would be queued once more".to_owned(),
            Meaning::Unknown => format!("its state is \"{}\", which this version does not know", plain(&self.state)),
        };
        let expiry = match self.expires_at.map(|expiry| expiry.saturating_mul(1000) - now) {
            None => "never".to_owned(),
            Some(left) if left < 0 => format!("{} ago", span(-left)),
            Some(left) => format!("in {}", span(left)),
        };
        let colour = self.meaning(now).colour();
        format!(
            "{BOLD}{colour}{}{colour:#}{BOLD:#}: {what}\n  event    {}\n  key      {}\n  content  {}\n  owner    {}\n  \
             expires  {expiry}",
            self.meaning(now).name(),
            plain(&self.event_id),
            plain(&self.key),
            plain(&self.content),
            plain(&self.owner),
        )
    }
}

impl Meaning {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Queued => "queued",
            Self::AtWork => "claimed",
            Self::Released => "released",
            Self::Abandoned => "abandoned",
            Self::Unknown => "unknown",
        }
    }

    fn colour(self) -> Style {
        match self {
            Self::Queued => AnsiColor::Green.on_default(),
            Self::AtWork => AnsiColor::Cyan.on_default(),
            _ => AnsiColor::Yellow.on_default(),
        }
    }
}

/// A span of milliseconds in its two largest units.
fn span(milliseconds: i64) -> String {
    let seconds = Duration::from_millis(milliseconds.unsigned_abs()).as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, ..) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::span;

    #[test]
    fn a_span_has_its_two_largest_units() {
        for (milliseconds, expected) in [
            (0, "0 s"),
            (59_999, "59 s"),
            (60_000, "1 min 0 s"),
            (3_725_000, "1 h 2 min"),
            (90_000_000, "1 d 1 h"),
            (2_591_999_000, "29 d 23 h"),
        ] {
            assert_eq!(span(milliseconds), expected);
        }
    }
}
