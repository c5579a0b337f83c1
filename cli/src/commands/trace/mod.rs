//! `hookgate trace`: what happened to a resource or an event, and where it is now.

mod logs;
mod now;
mod rows;

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context as _, bail};
use aws_sdk_sqs::types::QueueAttributeName::{ApproximateNumberOfMessages, ApproximateNumberOfMessagesNotVisible};
use hookgate_intake::claim::partition_key;
use hookgate_verify::{Account, Provider, providers, rfc3339_milliseconds};
use http::Request;
use http_body_util::Full;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;

use self::rows::Row;
use super::claims::{self, Claim, Item, now};
use crate::{
    arguments::{self, LOCAL},
    client::{
        aws::{Clients, Deployment, Queue},
        http::{Poster, at},
        messages,
    },
    error::ExitCode,
    local::page::trace::{Known, Sent},
    output::{plain, print, print_json},
};

/// The consumers' table in docs/consume.md.
const CONSUMED: &str = "consumed";

/// Show what happened to a resource or an event, oldest first, and where it is now. Changes nothing.
///
/// Lists its deliveries, what happened to its messages, its claim, and what the consumer has marked. The local intake tells
/// what it keeps: the last 500 deliveries, and what happened to their messages. On AWS the deliveries come from the functions'
/// log groups, by CloudWatch Logs Insights, which bills the bytes that it scans. Queues are not looked into there: that would
/// take a receive.
#[derive(Debug, clap::Args)]
#[command(after_help = arguments::examples("Examples:
  hookgate trace order/8f3e
  hookgate trace evt_01j7x --json
  hookgate trace order/8f3e --provider PLATFORM --account eu-shop
  hookgate trace order/8f3e --aws --since 12h --consumer-table hookgate-consumed --profile prod

Prints no payloads. Exit code: 0 found, 1 nothing found, 2 failed."))]
pub struct Arguments {
    /// A subject (order/8f3e), an event's id, or a message's id
    #[arg(value_name = "SUBJECT|ID", value_parser = text)]
    text: String,
    /// Only this platform's [default: all]
    #[arg(long, value_parser = arguments::provider())]
    provider: Option<&'static Provider>,
    /// Only this account's [default: all that have deliveries; of claims, default]
    #[arg(long, value_parser = arguments::account)]
    account: Option<Account>,
    /// How far to look back: 10m, 2h, 1d or a time
    #[arg(long, value_name = "TIME", default_value = "3d", value_parser = arguments::time)]
    since: OffsetDateTime,
    /// Read the consumer's marks in this table [default: consumed, if the local DynamoDB has it]
    #[arg(long, value_name = "NAME")]
    consumer_table: Option<String>,
    /// Read this table of claims [default: the installation's]
    #[arg(long, value_name = "NAME")]
    table: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Find the local intake at this URL
    #[arg(long, value_name = "URL", default_value = LOCAL, conflicts_with = "aws")]
    url: String,
    #[command(flatten)]
    deployment: Deployment,
}

fn text(text: &str) -> Result<String, String> {
    let known = (1..=600).contains(&text.len());
    known.then(|| text.to_owned()).ok_or_else(|| "an id or a subject has 1 to 600 bytes".to_owned())
}

/// One event of one account.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct EventKey {
    provider: String,
    account: String,
    id: String,
}

/// An event with its claim and the consumer's marks.
struct Traced {
    key: EventKey,
    claim: Option<Claim>,
    /// The name of the replay that each is for, if it is for one.
    marks: Vec<(Option<String>, Item)>,
}

/// Whether anything was found.
pub async fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let Arguments { text, since, .. } = arguments;
    if *since > OffsetDateTime::now_utc() {
        bail!("--since is in the future");
    }
    let clients = arguments.deployment.clients().await?;
    let mut notes = Vec::new();
    let mut known = arguments.known(&clients, &mut notes).await?;
    known.deliveries.retain(|log| arguments.admits(said(log, "provider"), said(log, "account")));
    known.messages.retain(|sent| arguments.admits(&sent.provider, &sent.account));

    let of_delivery = known.deliveries.iter().map(|log| {
        let [provider, account, id] = ["provider", "account", "id"].map(|name| said(log, name).to_owned());
        EventKey { provider, account, id }
    });
    let of_message = known.messages.iter().map(|Sent { provider, account, id, .. }| {
        let [provider, account, id] = [provider, account, id].map(Clone::clone);
        EventKey { provider, account, id }
    });
    let mut keys: BTreeSet<_> = of_delivery.chain(of_message).collect();
    let table = clients.table(arguments.table.as_deref()).await?;
    if keys.is_empty() {
        keys = arguments.claimed(&clients, &table).await?;
    }
    let owners: BTreeSet<_> =
        keys.iter().map(|key| format!("{}/{}", plain(&key.provider), plain(&key.account))).collect();
    if owners.len() > 1 {
        let owners = owners.into_iter().collect::<Vec<_>>().join(", ");
        bail!("{} is known of {owners}: choose with --provider and --account", plain(text));
    }

    let consumed = arguments.consumed(&clients).await;
    let mut traced = Vec::new();
    for key in keys {
        let claim = claims::find(&clients, &table, &partition_key(&key.provider, &key.account, &key.id)).await?;
        let mut marks = Vec::new();
        if let Some(consumed) = &consumed {
            let source = format!("/webhooks/{}/{} {}", key.provider, key.account, key.id);
            let replays = rows::replays(&known, &key).into_iter().map(Some);
            for replay in std::iter::once(None).chain(replays) {
                let pk = replay.as_ref().map_or_else(|| source.clone(), |name| format!("replay {name} {source}"));
                marks.extend(claims::item(&clients, consumed, &pk).await?.map(|item| (replay, item)));
            }
        }
        traced.push(Traced { key, claim, marks });
    }
    let latest = match &consumed {
        Some(consumed) => latest(&clients, consumed, &known).await?,
        None => Vec::new(),
    };
    arguments.gaps(&clients, consumed.as_deref(), &known, &mut notes).await;

    let since = i64::try_from(since.unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MIN);
    let rows = rows::timeline(&known, &traced, &latest, since, now());
    let now: Vec<_> = traced.iter().map(|event| (event, now::now(event, &known, clients.is_local()))).collect();
    if arguments.json {
        print_json(&json!({
            "trace": text,
            "timeline": rows.iter().map(Row::json).collect::<Value>(),
            "now": now.iter().map(|(event, (place, words))| {
                json!({"provider": event.key.provider, "account": event.key.account, "id": event.key.id, "where": place, "words": words})
            }).collect::<Value>(),
            "not_known": notes,
        }))?;
    } else {
        if traced.is_empty() {
            print(format_args!("Nothing is known of {}.", plain(text)))?;
        }
        for line in rows::columns(&rows) {
            print(line)?;
        }
        for note in &notes {
            print(note)?;
        }
        for (event, (_, words)) in &now {
            print(format_args!("{}: {words}.", plain(&event.key.id)))?;
        }
    }
    Ok((!traced.is_empty()).into())
}

impl Arguments {
    fn admits(&self, provider: &str, account: &str) -> bool {
        self.provider.is_none_or(|asked| asked.name == provider)
            && self.account.as_ref().is_none_or(|asked| asked.as_str() == account)
    }

    /// The deliveries and messages of what the text names.
    async fn known(&self, clients: &Clients, notes: &mut Vec<String>) -> anyhow::Result<Known> {
        let Some(aws) = &clients.aws else { return self.local().await };
        let served = clients.stack().await?.served()?.into_iter();
        let served = served.filter(|(provider, _)| self.provider.is_none_or(|asked| asked.name == provider.name));
        let groups: Vec<_> =
            served.map(|(provider, _)| format!("/aws/lambda/{}-{}", self.deployment.stack, provider.name)).collect();
        let since = self.since.unix_timestamp();
        let mut found = logs::search(clients, aws, &groups, since, &self.text).await?;
        // A message's id stands in one line only; its event's in those of all deliveries.
        let is = |line: &Map<String, Value>, name: &str| said(line, name) == self.text;
        if let [line] = &found.lines[..]
            && !is(line, "id")
            && !is(line, "subject")
        {
            found = logs::search(clients, aws, &groups, since, said(line, "id")).await?;
        }
        if found.cut {
            notes.push(
                "Cut: Logs Insights returns the first 10,000 lines. Give a later --since, or a single event's id."
                    .to_owned(),
            );
        }
        Ok(Known { deliveries: found.lines, ..Known::default() })
    }

    async fn local(&self) -> anyhow::Result<Known> {
        let text: String = form_urlencoded::byte_serialize(self.text.as_bytes()).collect();
        let url = at(&arguments::address("--url", &self.url)?, &format!("/api/trace?text={text}"))?;
        let poster = Poster::new(url)?;
        let request = Request::get(poster.url()).body(Full::default())?;
        let answer = poster.send(request, Duration::from_secs(30)).await;
        let answer = answer.context("no local intake answers: start it with `hookgate`, check --url, or add --aws")?;
        let known = serde_json::from_slice(&answer.into_body().unwrap_or_default());
        known.context("what answers is not a local intake of this version: check --url")
    }

    /// The events that have the text as their id, and a claim.
    async fn claimed(&self, clients: &Clients, table: &str) -> anyhow::Result<BTreeSet<EventKey>> {
        let account = self.account.clone().unwrap_or_default();
        let mut keys = BTreeSet::new();
        for provider in providers::ALL.iter().filter(|provider| self.admits(provider.name, account.as_str())) {
            let key = partition_key(provider.name, account.as_str(), &self.text);
            if claims::find(clients, table, &key).await?.is_some() {
                let (provider, account) = (provider.name.to_owned(), account.to_string());
                keys.insert(EventKey { provider, account, id: self.text.clone() });
            }
        }
        Ok(keys)
    }

    /// The consumers' table.
    async fn consumed(&self, clients: &Clients) -> Option<String> {
        let there = async || clients.dynamodb.describe_table().table_name(CONSUMED).send().await.is_ok();
        match &self.consumer_table {
            None if clients.is_local() && there().await => Some(CONSUMED.to_owned()),
            given => given.clone(),
        }
    }

    /// Says what was not looked at, and where to look.
    async fn gaps(&self, clients: &Clients, consumed: Option<&str>, known: &Known, notes: &mut Vec<String>) {
        if known.forgot {
            notes.push(
                "Not known: what the local intake no longer keeps (the last 500 deliveries, 64 MiB of messages)."
                    .to_owned(),
            );
        }
        if consumed.is_none() {
            notes.push("Not looked at: the consumer's marks. Name its table with --consumer-table.".to_owned());
        }
        if clients.is_local() {
            return;
        }
        let since = rfc3339_milliseconds(self.since);
        notes.push(format!(
            "Not known: deliveries before {since} (--since); crashed invocations, which log no id; replays; the ids of queued \
             messages in the log, unless Metrics=all."
        ));
        for (queue, remedy) in [
            (Queue::Events, "A receive would count against maxReceiveCount, and hide them from consumers."),
            (Queue::DeadLetters, "Look into it: hookgate tail --aws --once --queue QUEUE"),
            (Queue::Quarantine, "Look into it: hookgate quarantine list --aws --quarantine QUEUE"),
        ] {
            let count = async {
                let url = clients.queue(queue, None).await?;
                let mut count = 0;
                for name in [ApproximateNumberOfMessages, ApproximateNumberOfMessagesNotVisible] {
                    let number = messages::attribute(clients, &url, name).await?;
                    count += number.and_then(|number| number.parse::<u64>().ok()).unwrap_or_default();
                }
                anyhow::Ok((url, count))
            };
            notes.push(match count.await {
                Ok((url, 0)) => format!("Empty, as far as SQS counts: {}.", plain(messages::name(&url))),
                Ok((url, count)) => {
                    let name = plain(messages::name(&url));
                    format!("Not looked at: {name} (about {count} messages). {}", remedy.replace("QUEUE", &name))
                }
                Err(error) => format!("Not looked at: {error:#}"),
            });
        }
    }
}

/// The state that the consumer keeps of each resource that the events are about.
async fn latest(clients: &Clients, consumed: &str, known: &Known) -> anyhow::Result<Vec<Item>> {
    let logged = known.deliveries.iter().map(|log| [said(log, "provider"), said(log, "account"), said(log, "subject")]);
    let sent =
        known.messages.iter().map(|sent| [&*sent.provider, &sent.account, sent.subject.as_deref().unwrap_or("")]);
    let resources: BTreeSet<_> = logged.chain(sent).filter(|[.., subject]| !subject.is_empty()).collect();
    let mut items = Vec::new();
    for [provider, account, subject] in resources {
        let pk = format!("latest /webhooks/{provider}/{account} {subject}");
        items.extend(claims::item(clients, consumed, &pk).await?);
    }
    Ok(items)
}

/// A member of a log line.
fn said<'l>(log: &'l Map<String, Value>, name: &str) -> &'l str {
    log.get(name).and_then(Value::as_str).unwrap_or_default()
}
