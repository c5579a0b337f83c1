//! `hookgate trace`: what happened to a resource or an event, and where it is now.

mod logs;
mod rows;

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context as _, bail};
use aws_sdk_sqs::types::QueueAttributeName;
use hookgate_intake::claim::partition_key;
use hookgate_verify::{Account, Provider, providers, rfc3339_milliseconds};
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::claims::{self, Claim, Item, now};
use crate::{
    arguments::{self, LOCAL},
    client::{
        aws::{Clients, Deployment, Queue},
        http::{Poster, at},
        messages,
    },
    error::ExitCode,
    local::{
        engines::What,
        page::trace::{EventKey, Known, is_about},
    },
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
    /// Trace the events of this subject (order/8f3e), the event with this id, or that of the message with this id
    #[arg(value_name = "SUBJECT|ID", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    text: String,
    /// Only events of this platform [default: all]
    #[arg(long, value_parser = arguments::provider())]
    provider: Option<&'static Provider>,
    /// Only events of this account [default: all; where only a claim is left, default]
    #[arg(long, value_parser = arguments::account)]
    account: Option<Account>,
    /// Start with what happened at this time: 10m, 2h, 1d ago, or a time
    #[arg(long, value_name = "TIME", default_value = "3d", value_parser = arguments::time)]
    since: OffsetDateTime,
    /// Read the consumer's marks in this table [default: the stack's; locally consumed, if DynamoDB has it]
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

/// An event with its claim and the consumer's marks.
struct Traced {
    key: EventKey,
    claim: Option<Claim>,
    /// With the name of the replay that each is for, if it is for one.
    marks: Vec<(Option<String>, Item)>,
}

/// Whether anything was found.
pub async fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let Arguments { text, since, .. } = arguments;
    if *since > OffsetDateTime::now_utc() {
        bail!("--since is in the future");
    }
    let clients = arguments.deployment.clients().await?;
    let table = clients.table(arguments.table.as_deref()).await?;
    let mut notes = Vec::new();
    let mut known = arguments.known(&clients, text, &mut notes).await?;
    known.deliveries.retain(|log| EventKey::of(log).is_some_and(|key| arguments.admits(&key)));
    known.steps.retain(|(key, _)| arguments.admits(key));
    let mut keys: BTreeSet<_> = known.deliveries.iter().filter_map(EventKey::of).collect();
    keys.extend(known.steps.iter().map(|(key, _)| key.clone()));
    let only_tried = keys.is_empty();
    if only_tried {
        keys.extend(arguments.keys());
    }
    let owner = |key: &EventKey| format!("{}/{}", plain(&key.provider), plain(&key.account));

    let consumed = arguments.consumed(&clients).await;
    let find = async |key: EventKey| {
        let claim = claims::find(&clients, &table, &partition_key(&key.provider, &key.account, &key.id)).await?;
        anyhow::Ok(Traced { key, claim, marks: Vec::new() })
    };
    let mut traced = Vec::new();
    for key in keys {
        let event = find(key).await?;
        if only_tried && event.claim.is_none() {
            continue;
        }
        // Before its release, it was a message in quarantine under another id.
        let quarantined = event.claim.as_ref().and_then(Claim::released_from);
        if let Some(message_id) = quarantined.filter(|id| !known.deliveries.iter().any(|log| is_about(log, id))) {
            let before = arguments.known(&clients, message_id, &mut notes).await?;
            if let Some(key) = before.deliveries.first().and_then(EventKey::of) {
                traced.push(find(key).await?);
            }
            known.deliveries.extend(before.deliveries);
            known.steps.extend(before.steps);
            known.places.extend(before.places);
        }
        traced.push(event);
    }
    let owners: BTreeSet<_> = traced.iter().map(|event| owner(&event.key)).collect();
    if owners.len() > 1 {
        let owners = owners.into_iter().collect::<Vec<_>>().join(", ");
        bail!("{} is known of {owners}: choose with --provider and --account", plain(text));
    }
    let mut latest = Vec::new();
    if let (Some(consumed), Some(owner)) = (&consumed, owners.first()) {
        for event in &mut traced {
            event.marks = marks(&clients, consumed, &known, &event.key).await?;
        }
        let subjects = known.deliveries.iter().filter_map(|log| log.get("subject")?.as_str());
        for subject in subjects.chain([&**text]).collect::<BTreeSet<_>>() {
            latest.extend(claims::item(&clients, consumed, &format!("latest /webhooks/{owner} {subject}")).await?);
        }
    }
    arguments.gaps(&clients, consumed.is_some(), known.forgot, &mut notes).await;

    let now = now();
    let since = rfc3339_milliseconds(*since);
    let mut rows = rows::timeline(&known, &traced, &latest, now);
    rows.retain(|row| row.time.as_ref().is_none_or(|time| *time >= since));
    let places =
        traced.iter().map(|event| (&event.key, rows::whereabouts(event, &traced, &known, clients.is_local(), now)));
    if arguments.json {
        let places = places.map(|(key, (place, words))| json!({"id": key.id, "where": place, "words": words}));
        let places: Value = places.collect();
        let key = traced.first().map(|event| &event.key);
        let (provider, account) = key.map(|EventKey { provider, account, .. }| (provider, account)).unzip();
        print_json(&json!({
            "trace": text, "provider": provider, "account": account, "timeline": rows, "now": places, "notes": notes,
        }))?;
        return Ok((!traced.is_empty()).into());
    }
    if traced.is_empty() {
        let account = arguments.account.clone().unwrap_or_default();
        print(format_args!("Nothing is known of {}. Claims were searched in the account {account}.", plain(text)))?;
    }
    rows::columns(&rows).into_iter().chain(notes).try_for_each(print)?;
    for (key, (_, words)) in places {
        print(format_args!("{}: {words}.", plain(&key.id)))?;
    }
    Ok((!traced.is_empty()).into())
}

/// The consumer's marks of an event: of itself, and of each replay of it.
async fn marks(
    clients: &Clients,
    consumed: &str,
    known: &Known,
    EventKey { provider, account, id }: &EventKey,
) -> anyhow::Result<Vec<(Option<String>, Item)>> {
    let replays = known.steps.iter().filter_map(|(key, step)| match &step.what {
        What::Sent { replay } if key.id == *id => replay.clone(),
        _ => None,
    });
    let mut marks = Vec::new();
    for replay in std::iter::once(None).chain(replays.collect::<BTreeSet<_>>().into_iter().map(Some)) {
        let before = replay.as_ref().map_or_else(String::new, |name| format!("replay {name} "));
        let item = claims::item(clients, consumed, &format!("{before}/webhooks/{provider}/{account} {id}")).await?;
        marks.extend(item.map(|item| (replay, item)));
    }
    Ok(marks)
}

impl Arguments {
    fn admits(&self, key: &EventKey) -> bool {
        self.provider.is_none_or(|asked| asked.name == key.provider)
            && self.account.as_ref().is_none_or(|asked| asked.as_str() == key.account)
    }

    /// The events whose id the text may be.
    fn keys(&self) -> Vec<EventKey> {
        let account = self.account.clone().unwrap_or_default().to_string();
        let key = |provider: &&Provider| EventKey {
            provider: provider.name.to_owned(),
            account: account.clone(),
            id: self.text.clone(),
        };
        providers::ALL.iter().map(key).filter(|key| self.admits(key)).collect()
    }

    /// The deliveries and messages of what the text names.
    async fn known(&self, clients: &Clients, text: &str, notes: &mut Vec<String>) -> anyhow::Result<Known> {
        let Some(aws) = &clients.aws else { return self.local(text).await };
        let served = clients.stack().await?.served()?.into_iter().map(|(provider, _)| provider.name);
        let served = served.filter(|name| self.provider.is_none_or(|asked| asked.name == *name));
        let groups: Vec<_> = served.map(|name| format!("/aws/lambda/{}-{name}", self.deployment.stack)).collect();
        if groups.is_empty() {
            bail!("the stack {} has no function of this platform: choose another --provider", self.deployment.stack);
        }
        let search = async |text: &str| logs::search(clients, aws, &groups, self.since.unix_timestamp(), text).await;
        let (mut lines, mut cut) = search(text).await?;
        // A message's id stands in one line only; its event's in those of all deliveries.
        if let [line] = &lines[..]
            && line.get("message_id").is_some_and(|id| id == text)
            && let Some(key) = EventKey::of(line)
        {
            (lines, cut) = search(&key.id).await?;
        }
        if cut {
            notes.push(
                "Cut: Logs Insights returns 10,000 lines. Give a later --since, or a single event's id.".to_owned(),
            );
        }
        Ok(Known { deliveries: lines, ..Known::default() })
    }

    async fn local(&self, text: &str) -> anyhow::Result<Known> {
        let text: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
        let url = at(&arguments::address("--url", &self.url)?, &format!("/api/trace?text={text}"))?;
        let known = Poster::new(url)?.get(Duration::from_secs(30)).await;
        let known = known.context("no local intake answers: start it with `hookgate`, check --url, or add --aws")?;
        serde_json::from_value(known).context("what answers is not a local intake of this version: check --url")
    }

    /// The consumers' table.
    async fn consumed(&self, clients: &Clients) -> Option<String> {
        if self.consumer_table.is_some() {
            return self.consumer_table.clone();
        }
        if !clients.is_local() {
            return clients.stack().await.ok()?.output("ConsumedTable").ok().map(str::to_owned);
        }
        let is_there = clients.dynamodb.describe_table().table_name(CONSUMED).send().await.is_ok();
        is_there.then(|| CONSUMED.to_owned())
    }

    /// Says what was not looked at, and where to look.
    async fn gaps(&self, clients: &Clients, has_marks: bool, forgot: bool, notes: &mut Vec<String>) {
        if forgot {
            notes.push(
                "Not known: what the local intake no longer keeps (500 deliveries, 64 MiB of messages).".to_owned(),
            );
        }
        if !has_marks {
            notes.push("Not looked at: the consumer's marks. Name its table with --consumer-table.".to_owned());
        }
        if clients.is_local() {
            return;
        }
        notes.push(format!(
            "Not known: deliveries before {} (--since); crashed invocations, which log no id; replays; the ids of queued \
             messages in the log, unless Metrics=all.",
            rfc3339_milliseconds(self.since)
        ));
        for (queue, remedy) in [
            (Queue::Events, "A receive would count against maxReceiveCount, and hide them from consumers."),
            (Queue::DeadLetters, "Look into it: hookgate tail --aws --once --queue QUEUE"),
            (Queue::Quarantine, "Look into it: hookgate quarantine list --aws --quarantine QUEUE"),
        ] {
            let count = async {
                let url = clients.queue(queue, None).await?;
                let attributes = messages::attributes(clients, &url).await?;
                let counts = [
                    QueueAttributeName::ApproximateNumberOfMessages,
                    QueueAttributeName::ApproximateNumberOfMessagesDelayed,
                    QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
                ];
                let count: u64 = counts.iter().filter_map(|name| attributes.get(name)?.parse::<u64>().ok()).sum();
                anyhow::Ok((plain(messages::name(&url)), count))
            };
            notes.push(match count.await {
                Ok((name, 0)) => format!("Empty, as far as SQS counts: {name}."),
                Ok((name, count)) => {
                    format!("Not looked at: {name} (messages: about {count}). {}", remedy.replace("QUEUE", &name))
                }
                Err(error) => format!("Not looked at: {error:#}"),
            });
        }
    }
}
