//! `hookgate tail`: follows the events of a queue, and leaves them there.

use std::{collections::VecDeque, fmt::Write as _, time::Duration};

use anyhow::Context as _;
use hookgate_event::{Amount, Event, EventType, Unit};
use time::OffsetDateTime;

use super::{Filter, interrupted, opened, start::delivery_line};
use crate::{
    arguments::{self, LOCAL},
    client::{
        aws::{Clients, Deployment, Queue},
        http::{Poster, at},
        messages::{self, Entry, Held, Journal},
    },
    error::ExitCode,
    output::{DIM, NAME, moment, plain, print},
};

/// How long to wait for the next event at a time. Ctrl-C waits for the end of it, since SQS may be handing one out.
const WAIT: Duration = Duration::from_secs(2);

/// Follow the events on a queue as they come, and leave them there.
///
/// The local intake's events are read from its journal, which changes nothing for a consumer beside it. Any other queue
/// can only be received from: what is shown stays hidden from others until tail ends, and then goes back. On a queue with a
/// redrive policy each receive counts against maxReceiveCount, so tail refuses: have the events copied to a queue for
/// watching, one without a redrive policy (docs/consume.md, "Several consumers"), or say --disturb-consumers.
#[derive(Debug, clap::Args)]
#[command(after_help = arguments::examples("Examples:
  hookgate tail
  hookgate tail --since 10m --type 'order.*' --provider PLATFORM
  hookgate tail --rejected
  hookgate tail --once --json | jq .data.amount
  hookgate tail --max 1 --type order.paid && echo paid
  hookgate tail --aws --queue watch-events --profile prod

--json prints whole events, with the platform's payload and the personal data in it; the other form prints no payload.
Exit code: 0 events were shown, or Ctrl-C; 1 --once and there were none; 2 not done."))]
pub struct Arguments {
    /// The queue, by name or URL [default: the installation's events]
    #[arg(long, value_name = "QUEUE")]
    queue: Option<String>,
    #[command(flatten)]
    only: Filter,
    /// Start with earlier events: 10m, 2h, 1d, a time, or all [default: now; with --once, all]
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<OffsetDateTime>,
    /// Exit after what is there now
    #[arg(long)]
    once: bool,
    /// Exit after so many events
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    max: Option<u64>,
    /// Print each event on one line, as CloudEvents JSON; a compressed payload is opened
    #[arg(long)]
    json: bool,
    /// Also show the local intake's other deliveries (rejected, quarantined, …), and why
    #[arg(long, conflicts_with_all = ["json", "aws", "queue"])]
    rejected: bool,
    /// Where the local intake is, for --rejected
    #[arg(long, value_name = "URL", default_value = LOCAL, requires = "rejected")]
    url: String,
    /// Follow a queue with a redrive policy, too: its consumers do not get the events while tail runs
    #[arg(long)]
    disturb_consumers: bool,
    #[command(flatten)]
    deployment: Deployment,
}

/// Reads the time from which events are shown.
fn since(text: &str) -> Result<OffsetDateTime, String> {
    match text {
        "all" => Ok(OffsetDateTime::UNIX_EPOCH),
        text => arguments::time(text).map_err(|why| why + ", or all"),
    }
}

/// Where messages come from.
enum Source<'c> {
    /// The local intake's.
    Journal(Box<Journal>),
    Received(Held<'c>),
}

/// Whether there was anything to show.
pub async fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let clients = arguments.deployment.clients().await?;
    let url = clients.queue(Queue::Events, arguments.queue.as_deref()).await?;
    let has_dead_letters = messages::has_dead_letters(&clients, &url).await?;
    let default = || if arguments.once { OffsetDateTime::UNIX_EPOCH } else { OffsetDateTime::now_utc() };
    let mut since = arguments.since.unwrap_or_else(default);
    let others = arguments.rejected.then(|| Others::new(&arguments.url, since)).transpose()?;
    let mut source = if clients.is_local() && has_dead_letters {
        let mut journal = Journal::new(clients.local_sqs(), &url)?;
        if arguments.since.is_none() && !arguments.once {
            journal.skip().await?;
            since = OffsetDateTime::UNIX_EPOCH;
        }
        Source::Journal(Box::new(journal))
    } else if has_dead_letters && !arguments.disturb_consumers {
        return Err(messages::would_disturb(
            &url,
            "Follow a queue for watching with --queue, one without a redrive policy (docs/consume.md, \"Several consumers\")",
        ));
    } else {
        Source::Received(Held::new(&clients, &url))
    };

    // Ctrl-C first: a signal that comes with the first message must not end the process.
    let followed = tokio::select! {
        biased;
        () = interrupted() => Ok(ExitCode::Yes),
        shown = follow(arguments, since, others, &clients, &mut source) => shown,
    };
    let back = match source {
        Source::Received(held) => held.give_back().await,
        Source::Journal(_) => Ok(()),
    };
    followed.and_then(|shown| back.map(|()| shown))
}

async fn follow(
    arguments: &Arguments,
    since: OffsetDateTime,
    mut others: Option<Others>,
    clients: &Clients,
    source: &mut Source<'_>,
) -> anyhow::Result<ExitCode> {
    let wait = if arguments.once { messages::patience(clients) } else { WAIT };
    // Other deliveries are asked for between two looks at the queue.
    let wait = if others.is_some() { wait.min(Duration::from_secs(1)) } else { wait };
    let mut shown = 0;
    loop {
        let mut lines = VecDeque::new();
        if let Some(others) = &mut others {
            lines.extend(others.more().await?);
        }
        let messages = source.next(wait).await?;
        let ended = messages.is_none() && arguments.once;
        for Entry { message_id, body, sent } in messages.into_iter().flatten() {
            let event = Event::from_json(&body);
            // A replay or a release sends what was received long ago.
            if sent.and_then(moment).is_some_and(|sent| sent < since) || !arguments.only.admits(event.as_ref().ok()) {
                continue;
            }
            lines.push_back(match (&event, arguments.json) {
                (Ok(event), true) => one_line(&body, event),
                (Ok(event), false) => columns(event),
                // A script is given events, and nothing else.
                (Err(_), true) => continue,
                (Err(_), false) => format!("message {message_id} is not an event ({} bytes)", body.len()),
            });
        }
        for line in lines {
            shown += 1;
            print(line)?;
            if arguments.max == Some(shown) {
                return Ok(ExitCode::Yes);
            }
        }
        if ended {
            return Ok((shown > 0).into());
        }
    }
}

/// The local intake's deliveries that put no event on the queue.
struct Others {
    poster: Poster,
    since: OffsetDateTime,
    /// The run of the intake, and the number of the last delivery that was looked at.
    seen: (String, u64),
}

impl Others {
    fn new(url: &str, since: OffsetDateTime) -> anyhow::Result<Self> {
        let poster = Poster::new(at(&arguments::address("--url", url)?, "/api/deliveries")?)?;
        Ok(Others { poster, since, seen: (String::new(), 0) })
    }

    /// A line for each that came since the last call.
    async fn more(&mut self) -> anyhow::Result<Vec<String>> {
        let kept = self.poster.get(Duration::from_secs(5)).await;
        let kept = kept.context("no local intake answers: start it with `hookgate`, or check --url")?;
        let run = kept["run"].as_str().context("what answers is not a local intake: check --url")?;
        if self.seen.0 != run {
            self.seen = (run.to_owned(), 0);
        }
        let mut lines = Vec::new();
        for delivery in kept["deliveries"].as_array().into_iter().flatten() {
            let number = delivery["number"].as_u64().unwrap_or_default();
            let received = delivery["received"].as_i64().and_then(moment);
            let earlier = received.is_some_and(|received| received < self.since);
            let queued = matches!(delivery["outcome"].as_str(), Some("queued" | "duplicate" | "ping"));
            if number > self.seen.1 && !queued && !earlier {
                lines.push(delivery_line(delivery));
            }
            self.seen.1 = self.seen.1.max(number);
        }
        Ok(lines)
    }
}

impl Source<'_> {
    /// The next messages. None where there are none now.
    async fn next(&mut self, wait: Duration) -> anyhow::Result<Option<Vec<Entry>>> {
        match self {
            Source::Received(held) => held.more(wait).await,
            Source::Journal(journal) => journal.more(wait).await,
        }
    }
}

/// The message's body, on one line: outside of strings, where JSON escapes them, a line break is white space.
fn one_line(body: &str, event: &Event<'_>) -> String {
    opened(body, event).replace(['\n', '\r'], " ")
}

/// An event in columns: time, type, platform and account, what it is about, amount, id.
fn columns(event: &Event<'_>) -> String {
    let time = event.time.as_ref().unwrap_or(&event.received_time);
    let mut named = event.event_type.as_str().to_owned();
    if event.event_type == EventType::Unrecognized {
        let _ = write!(named, " ({})", plain(&event.provider_type));
    }
    let place = format!("{}/{}", plain(&event.provider), plain(&event.account));
    let subject = event.subject.as_deref().map_or_else(|| "-".to_owned(), plain);
    let amount = event.data.amount.as_ref().map_or_else(String::new, |Amount { value, unit, currency }| {
        let currency = currency.as_ref().map_or_else(String::new, |currency| format!(" {}", plain(currency)));
        let unit = if *unit == Unit::Minor { " minor" } else { "" };
        format!("{}{currency}{unit}", plain(value))
    });
    let (time, id) = (plain(time), plain(&event.id));
    format!("{DIM}{time:<24}{DIM:#}  {NAME}{named:<30}{NAME:#}  {place:<20}  {subject:<24}  {amount:>16}  {id}")
}
