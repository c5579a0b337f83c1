//! `hookgate replay`: puts events on the queue again that are kept as NDJSON, for consumers that handled them wrongly.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{BufRead, BufReader, IsTerminal, Read, Seek},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail};
use aws_sdk_dynamodb::{operation::put_item::PutItemError, types::AttributeValue};
use flate2::bufread::MultiGzDecoder;
use hookgate_event::Event;
use hookgate_intake::release;
use serde_json::json;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio::{task::JoinSet, time::Instant};

use super::{Filter, claims::now, interrupted};
use crate::{
    arguments,
    client::aws::{Clients, Deployment, Queue},
    error::ExitCode,
    output::{confirm, plain, print, print_json, progress},
};

/// How many messages are on their way to SQS at the same time.
const AT_ONCE: usize = 16;

/// How long the name of a replay is remembered, in seconds: as long as consumers remember events.
const REMEMBERED: i64 = 60 * 86_400;

/// Put events on the queue again, from files of NDJSON: one event on a line, gzip or not.
///
/// Reads what `hookgate tail --json` and the archive write. Each message has the bytes that the event had, and the attribute
/// replay with the name of this replay. Consumers remember an event by source, id and that name: they handle it once more for
/// each name, and a replay that broke off can be given again under its name.
///
/// Everything is read and checked before anything is sent.
#[derive(Debug, clap::Args)]
#[command(after_help = arguments::examples("Examples:
  hookgate tail --once --json > events.ndjson
  hookgate replay events.ndjson --name fix-1 --dry-run
  hookgate replay events.ndjson --name fix-1 --type 'order.*' --provider PLATFORM
  aws s3 cp s3://archive/2026/03/14/events.gz - | hookgate replay - --name fix-1 --aws --from 2026-03-14T15:00:00Z

A name belongs to its filters for 60 days: with others it is refused.
Exit code: 0 all were sent, 1 there were none, 2 not done, or not all."))]
pub struct Arguments {
    /// Files of events; - is standard input
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// The name of this replay: 1 to 64 of a-z, 0-9 and -
    #[arg(long, value_parser = name)]
    name: String,
    /// Only events received at this time or later: an age (2h, 1d) or RFC 3339
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Only events received before this time
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    #[command(flatten)]
    only: Filter,
    /// Only the event of this id. Repeatable
    #[arg(long, value_name = "ID")]
    id: Vec<String>,
    /// Read and check everything, send nothing
    #[arg(long)]
    dry_run: bool,
    /// Send at most so many a second [default: as fast as SQS takes them]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rate: Option<u32>,
    /// Leave out lines that are not events, and name them
    #[arg(long)]
    skip_invalid: bool,
    /// Skip confirmation (required with --aws where nobody can be asked)
    #[arg(long)]
    yes: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    /// The table of claims, where names are remembered [default: the installation's]
    #[arg(long, value_name = "NAME")]
    table: Option<String>,
    #[command(flatten)]
    deployment: Deployment,
}

fn name(text: &str) -> Result<String, String> {
    let known =
        (1..=64).contains(&text.len()) && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
    known.then(|| text.to_owned()).ok_or_else(|| "a name is 1 to 64 of a-z, 0-9 and -".to_owned())
}

/// Which events, with the times as they were given.
struct Wanted<'a> {
    arguments: &'a Arguments,
    from: Option<OffsetDateTime>,
    to: Option<OffsetDateTime>,
}

/// What the files hold.
#[derive(Default)]
struct Found {
    lines: u64,
    wanted: u64,
    types: BTreeMap<String, u64>,
    first: Option<String>,
    last: Option<String>,
}

/// Whether every event was sent that is wanted.
pub async fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let time = |option: &str, given: &Option<String>| {
        let read = given.as_deref().map(arguments::time).transpose();
        read.map_err(anyhow::Error::msg).with_context(|| option.to_owned())
    };
    let wanted = Wanted { arguments, from: time("--from", &arguments.from)?, to: time("--to", &arguments.to)? };
    let sources = arguments.files.iter().map(|path| Source::open(path)).collect::<anyhow::Result<Vec<_>>>()?;
    let found = wanted.check(&sources)?;
    let clients = arguments.deployment.clients().await?;
    let queue_url = clients.queue(Queue::Events, None).await?;
    if found.wanted == 0 || arguments.dry_run {
        report(arguments, &found, 0)?;
        return Ok((found.wanted > 0).into());
    }
    if !clients.is_local() && !arguments.yes {
        anstream::eprintln!("{}", found.in_words(&arguments.name));
        if !confirm("Send them?") {
            bail!("nothing was sent: with --aws it must be confirmed, or say --yes");
        }
    }
    let table = clients.table(arguments.table.as_deref()).await?;
    remember(&clients, &table, arguments).await?;
    let sent = send(&wanted, &sources, &clients, &queue_url, found.wanted).await?;
    report(arguments, &found, sent)?;
    Ok(ExitCode::Yes)
}

/// One file, or what standard input held.
struct Source {
    shown: String,
    file: File,
}

impl Source {
    fn open(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display().to_string();
        if path != Path::new("-") {
            let file = File::open(path).with_context(|| format!("cannot read {shown}"))?;
            return Ok(Source { shown, file });
        }
        if std::io::stdin().is_terminal() {
            anstream::eprintln!("Reading events from the terminal: one on a line, then Ctrl-D.");
        }
        // Read twice, so kept meanwhile: in a file that has no name and that nobody else can open.
        let mut file = tempfile().context("cannot keep standard input in a temporary file")?;
        std::io::copy(&mut std::io::stdin().lock(), &mut file).context("cannot read standard input")?;
        Ok(Source { shown: "standard input".to_owned(), file })
    }

    /// Its lines, uncompressed, each with its number.
    fn lines(&self) -> anyhow::Result<impl Iterator<Item = anyhow::Result<(u64, String)>>> {
        let mut file = &self.file;
        file.rewind()
            .with_context(|| format!("cannot read {} from its beginning: give it by a pipe, as -", self.shown))?;
        let mut reader = BufReader::new(file.try_clone()?);
        let compressed = reader.fill_buf()?.starts_with(&[0x1f, 0x8b]);
        let reader: Box<dyn Read> = if compressed { Box::new(MultiGzDecoder::new(reader)) } else { Box::new(reader) };
        let shown = self.shown.clone();
        let lines = BufReader::new(reader).split(b'\n').zip(1_u64..).map(move |(line, number)| {
            let line =
                line.with_context(|| format!("{shown} is cut short or damaged at line {number}: fetch it again"))?;
            let text = String::from_utf8(line).ok();
            Ok((number, text.with_context(|| format!("{shown}, line {number}, is not UTF-8"))?))
        });
        Ok(lines.filter(|line| !line.as_ref().is_ok_and(|(_, text)| text.trim().is_empty())))
    }
}

/// A file without a name, for its owner alone.
fn tempfile() -> anyhow::Result<File> {
    let path = std::env::temp_dir().join(format!("hookgate-replay-{}-{}", std::process::id(), now()));
    let mut options = File::options();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

impl Wanted<'_> {
    /// Reads everything, and sends nothing.
    fn check(&self, sources: &[Source]) -> anyhow::Result<Found> {
        let mut found = Found::default();
        for source in sources {
            for line in source.lines()? {
                let (number, text) = line?;
                found.lines += 1;
                let event = match Event::from_json(&text) {
                    Ok(event) => event,
                    Err(why) if self.arguments.skip_invalid => {
                        anstream::eprintln!("{}, line {number}, is left out: {why}", source.shown);
                        continue;
                    }
                    Err(why) => bail!(
                        "{}, line {number}, is not an event that this version reads ({why}): nothing was sent. Leave such \
                         lines out with --skip-invalid",
                        source.shown
                    ),
                };
                if self.admits(&event) {
                    found.add(&event);
                }
            }
        }
        Ok(found)
    }

    fn admits(&self, event: &Event<'_>) -> bool {
        let received = OffsetDateTime::parse(&event.received_time, &Rfc3339).ok();
        let after = |bound: Option<OffsetDateTime>, admits: fn(OffsetDateTime, OffsetDateTime) -> bool| {
            bound.is_none_or(|bound| received.is_some_and(|received| admits(received, bound)))
        };
        self.arguments.only.admits(Some(event))
            && (self.arguments.id.is_empty() || self.arguments.id.contains(&event.id))
            && after(self.from, |received, from| received >= from)
            && after(self.to, |received, to| received < to)
    }
}

impl Found {
    fn add(&mut self, event: &Event<'_>) {
        self.wanted += 1;
        *self.types.entry(event.event_type.as_str().to_owned()).or_default() += 1;
        let time = &event.received_time;
        self.first = self.first.take().filter(|first| first < time).or_else(|| Some(time.clone()));
        self.last = self.last.take().filter(|last| last > time).or_else(|| Some(time.clone()));
    }

    fn in_words(&self, name: &str) -> String {
        let Found { lines, wanted, types, first, last } = self;
        let types = types.iter().map(|(name, count)| format!("{count} {name}")).collect::<Vec<_>>().join(", ");
        let (first, last) = (first.as_deref().unwrap_or_default(), last.as_deref().unwrap_or_default());
        let span = if *wanted == 0 {
            String::new()
        } else {
            format!(", received {} to {}: {types}", plain(first), plain(last))
        };
        format!("{wanted} of {lines} events as {name}{span}")
    }
}

/// Keeps the replay's name together with its filters, so that a second replay under the same name is the same one.
async fn remember(clients: &Clients, table: &str, arguments: &Arguments) -> anyhow::Result<()> {
    let filters = arguments.filters();
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let number = |number: i64| AttributeValue::N(number.to_string());
    let seconds = now() / 1000;
    // No claim has such a key: a claim's has three parts.
    let put = clients.dynamodb.put_item().table_name(table).item("pk", text(&format!("replay#{}", arguments.name)));
    let put = put.item("filters", text(&filters)).item("expires_at", number(seconds + REMEMBERED));
    let put = put.condition_expression("attribute_not_exists(pk) OR filters = :filters OR expires_at < :now");
    let put = put
        .expression_attribute_values(":filters", text(&filters))
        .expression_attribute_values(":now", number(seconds));
    match put.send().await {
        Ok(_) => Ok(()),
        Err(error) if error.as_service_error().is_some_and(PutItemError::is_conditional_check_failed_exception) => {
            bail!(
                "{} was a replay with other filters: nothing was sent. Give it the filters that it had, or another --name",
                arguments.name
            )
        }
        Err(error) => Err(clients.failed(&format!("cannot write to the table {table}"), &error)),
    }
}

impl Arguments {
    /// What a name belongs to. Ages are kept as they were given: a replay that broke off is given again later.
    fn filters(&self) -> String {
        let mut filters = self.only.as_json();
        filters["from"] = json!(self.from);
        filters["to"] = json!(self.to);
        filters["id"] = json!(self.id.iter().collect::<BTreeSet<_>>());
        filters.to_string()
    }
}

/// Sends every event that is wanted, in the order of the files. Gives how many.
async fn send(
    wanted: &Wanted<'_>,
    sources: &[Source],
    clients: &Clients,
    queue_url: &str,
    count: u64,
) -> anyhow::Result<u64> {
    let name = &wanted.arguments.name;
    let bar = progress(count);
    let begun = Instant::now();
    let mut interrupted = std::pin::pin!(interrupted());
    let (mut sending, mut started, mut sent) = (JoinSet::new(), 0_u64, 0_u64);
    let stopped =
        |sent: u64| format!("{sent} of {count} events were sent: give the same command again, {name} is known");
    for source in sources {
        for line in source.lines()? {
            let (number, text) = line?;
            let admitted = Event::from_json(&text).is_ok_and(|event| wanted.admits(&event));
            if !admitted {
                continue;
            }
            if let Some(rate) = wanted.arguments.rate {
                tokio::time::sleep_until(begun + Duration::from_secs(started) / rate).await;
            }
            while sending.len() >= AT_ONCE {
                one(&mut sending, &mut sent).await.with_context(|| stopped(sent))?;
                bar.set_position(sent);
            }
            tokio::select! {
                biased;
                () = &mut interrupted => {
                    while !sending.is_empty() {
                        one(&mut sending, &mut sent).await.with_context(|| stopped(sent))?;
                    }
                    bail!("stopped: {}", stopped(sent));
                }
                () = std::future::ready(()) => {}
            }
            let (sqs, url, name) = (clients.sqs.clone(), queue_url.to_owned(), name.clone());
            let place = format!("{}, line {number}", source.shown);
            sending.spawn(async move {
                let Ok(event) = Event::from_json(&text) else { bail!("{place}: the file changed meanwhile") };
                match release::replay(&sqs, &url, &event, &text, &name).await {
                    Ok(Some(_)) => Ok(()),
                    Ok(None) => bail!("{place} is larger than a message can be"),
                    Err(why) => bail!("{place}: SQS did not take it ({why})"),
                }
            });
            started += 1;
        }
    }
    while !sending.is_empty() {
        one(&mut sending, &mut sent).await.with_context(|| stopped(sent))?;
        bar.set_position(sent);
    }
    bar.finish_and_clear();
    Ok(sent)
}

async fn one(sending: &mut JoinSet<anyhow::Result<()>>, sent: &mut u64) -> anyhow::Result<()> {
    if let Some(ended) = sending.join_next().await {
        ended??;
        *sent += 1;
    }
    Ok(())
}

fn report(arguments: &Arguments, found: &Found, sent: u64) -> anyhow::Result<()> {
    let Found { lines, wanted, types, first, last } = found;
    if arguments.json {
        return print_json(&json!({
            "replay": arguments.name, "lines": lines, "wanted": wanted, "sent": sent, "types": types,
            "first": first, "last": last, "dry_run": arguments.dry_run,
        }));
    }
    let words = found.in_words(&arguments.name);
    print(match (wanted, sent) {
        (0, _) => format!("Nothing to send: none of {lines} events is asked for."),
        (_, 0) => format!("Nothing was sent. It would be {words}."),
        _ => format!("Sent {words}."),
    })
}
