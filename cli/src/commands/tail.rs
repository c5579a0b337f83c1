//! `hookgate tail`: follows the events of a queue, and leaves them there.

use std::{fmt::Write as _, time::Duration};

use anstyle::{AnsiColor, Style};
use hookgate_event::{Amount, Event, Unit};
use serde_json::Value;

use super::{Filter, interrupted};
use crate::{
    arguments,
    client::{
        aws::{Clients, Deployment, Queue},
        messages::{self, Held, Journal},
    },
    error::ExitCode,
    output::{DIM, plain, print},
};

/// How long to wait for the next event at a time. Ctrl-C waits for the end of it, since SQS may be handing one out.
const WAIT: Duration = Duration::from_secs(2);

/// Follow the events on a queue as they come, and leave them there.
///
/// The local intake's events are read from its journal, which changes nothing for a consumer beside it. Any other queue
/// can only be received from: what is shown stays hidden from others until tail ends, and then goes back. On a queue with
/// dead letters that counts as a failure of its consumers, so there tail refuses: have the events copied to a queue for
/// watching, one without dead letters (docs/consume.md, "Several consumers"), or say --disturb-consumers.
#[derive(Debug, clap::Args)]
#[command(after_help = arguments::examples("Examples:
  hookgate tail
  hookgate tail --type 'order.*' --provider PLATFORM
  hookgate tail --once --json | jq .data.amount
  hookgate tail --max 1 --type order.paid && echo paid
  hookgate tail --aws --queue watch-events --profile prod

--json prints whole events, the platform's payload and the personal data in it included; the other form prints no payload.
Exit code: 0 events were shown, or Ctrl-C ended it; 1 --once and there were none; 2 it could not be done as asked."))]
pub struct Arguments {
    /// The queue, by name or URL [default: the installation's events].
    #[arg(long, value_name = "QUEUE")]
    queue: Option<String>,
    #[command(flatten)]
    only: Filter,
    /// End after what is there now.
    #[arg(long)]
    once: bool,
    /// End after so many events.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    max: Option<u64>,
    /// Each event on one line, as CloudEvents JSON: the message as it is, but for a compressed payload, which is opened.
    #[arg(long)]
    json: bool,
    /// Follow a queue with dead letters, too: each event counts as received once more, and its consumers do not get it
    /// while tail runs.
    #[arg(long)]
    disturb_consumers: bool,
    #[command(flatten)]
    deployment: Deployment,
}

/// Where messages come from.
enum Source<'c> {
    /// The local intake's.
    Journal(Journal),
    Received(Held<'c>),
}

/// Whether there was anything to show.
pub async fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let clients = arguments.deployment.clients().await?;
    let url = clients.queue(Queue::Events, arguments.queue.as_deref()).await?;
    let has_dead_letters = messages::has_dead_letters(&clients, &url).await?;
    let mut source = if clients.is_local() && has_dead_letters {
        Source::Journal(Journal::new(clients.local_sqs(), &url)?)
    } else if has_dead_letters && !arguments.disturb_consumers {
        return Err(messages::would_disturb(
            &url,
            "Follow a queue for watching with --queue, one without dead letters (docs/consume.md, \"Several consumers\")",
        ));
    } else {
        Source::Received(Held::new(&clients, &url))
    };

    let followed = tokio::select! {
        shown = follow(arguments, &clients, &mut source) => shown,
        () = interrupted() => Ok(ExitCode::Yes),
    };
    let back = match source {
        Source::Received(held) => held.give_back().await,
        Source::Journal(_) => Ok(()),
    };
    followed.and_then(|shown| back.map(|()| shown))
}

async fn follow(arguments: &Arguments, clients: &Clients, source: &mut Source<'_>) -> anyhow::Result<ExitCode> {
    let wait = if arguments.once { messages::patience(clients) } else { WAIT };
    let mut shown = 0;
    loop {
        let Some(messages) = source.next(wait).await? else {
            if arguments.once {
                return Ok((shown > 0).into());
            }
            continue;
        };
        for (id, body) in messages {
            let event = Event::from_json(&body);
            if !arguments.only.admits(event.as_ref().ok()) {
                continue;
            }
            let line = match (&event, arguments.json) {
                (Ok(event), true) => one_line(&body, event),
                (Ok(event), false) => text(event),
                // A script is given events, and nothing else.
                (Err(_), true) => continue,
                (Err(_), false) => format!("message {id} is no event ({} bytes)", body.len()),
            };
            shown += 1;
            print(line)?;
            if arguments.max == Some(shown) {
                return Ok(ExitCode::Yes);
            }
        }
    }
}

impl Source<'_> {
    /// The next messages, id and body. None where there are none now.
    async fn next(&mut self, wait: Duration) -> anyhow::Result<Option<Vec<(String, String)>>> {
        match self {
            Source::Received(held) => {
                let batch = held.more(wait).await?.map(|batch| {
                    batch.into_iter().map(|m| (m.message_id.unwrap_or_default(), m.body.unwrap_or_default())).collect()
                });
                Ok(batch)
            }
            Source::Journal(journal) => {
                let entries = journal.more(wait).await?;
                Ok(entries.map(|entries| entries.into_iter().map(|entry| (entry.message_id, entry.body)).collect()))
            }
        }
    }
}

/// The message's body, on one line: outside of strings, where JSON escapes them, a line break is white space.
fn one_line(body: &str, event: &Event<'_>) -> String {
    let compressed = serde_json::from_str::<Value>(body).is_ok_and(|json| json["data"].get("payload_gzip").is_some());
    let body = if compressed { event.to_json() } else { body.to_owned() };
    body.replace(['\n', '\r'], " ")
}

fn text(event: &Event<'_>) -> String {
    const TYPE: Style = AnsiColor::Green.on_default();
    let time = event.time.as_ref().unwrap_or(&event.received_time);
    let mut line = format!("{DIM}{}{DIM:#}  {TYPE}{}{TYPE:#}", plain(time), event.event_type.as_str());
    if event.event_type == hookgate_event::EventType::Unrecognized {
        let _ = write!(line, " ({})", plain(&event.provider_type));
    }
    let _ = write!(line, "  {}/{}", plain(&event.provider), plain(&event.account));
    if let Some(subject) = &event.subject {
        let _ = write!(line, "  {}", plain(subject));
    }
    if let Some(Amount { value, unit, currency }) = &event.data.amount {
        let unit = if *unit == Unit::Minor { " (minor units)" } else { "" };
        let _ = write!(line, "  {}", plain(value));
        let _ = currency.as_ref().map(|currency| write!(line, " {}", plain(currency)));
        line.push_str(unit);
    }
    let _ = write!(line, "  {}", plain(&event.id));
    line
}
