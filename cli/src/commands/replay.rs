//! `hookgate replay`: puts events on the queue again that are kept as NDJSON, for consumers that handled them wrongly.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{BufRead, BufReader, Cursor, IsTerminal, Read, Seek, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use aws_sdk_dynamodb::{operation::put_item::PutItemError, types::AttributeValue};
use flate2::{
    Compression,
    bufread::{GzDecoder, MultiGzDecoder},
    write::GzEncoder,
};
use hookgate_event::{Event, ReadError};
use hookgate_intake::release::Replay;
use hookgate_verify::{Account, rfc3339_milliseconds};
use serde_json::{json, value::RawValue};
use time::{OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};

use super::{
    Filter,
    claims::{self, now},
    interrupted,
};
use crate::{
    arguments,
    client::aws::{Clients, Deployment, Queue},
    error::ExitCode,
    output::{Progress, confirm, plain, print, print_json},
};

/// How many messages are on their way to SQS at the same time.
const AT_ONCE: usize = 16;

/// The longest line, in bytes: Firehose gathers at most 128 MiB. A compressed file must not open to more than memory holds.
const LONGEST_LINE: u64 = 128 * 1024 * 1024;

/// Why an event ends with its line.
const PARTED: &str = "an event must be on one line: jq -c . puts it there";

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
  aws s3 cp s3://archive/events/2026-03-14/PLATFORM/15.gz - | hookgate replay - --name fix-1 --aws --from 2026-03-14T15:00:00Z

A name belongs to its filters for 60 days: with others it is refused.
Exit code: 0 all were sent, 1 there were none, 2 not done, or not all."))]
pub struct Arguments {
    /// Files of events; - is standard input
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// The name of this replay: 1 to 64 of a-z, 0-9 and -
    #[arg(long, value_parser = name)]
    name: String,
    /// Only events received at this time or later, as RFC 3339
    #[arg(long, value_name = "TIME", value_parser = moment)]
    from: Option<OffsetDateTime>,
    /// Only events received before this time
    #[arg(long, value_name = "TIME", value_parser = moment)]
    to: Option<OffsetDateTime>,
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

fn name(text: &str) -> Result<String, &'static str> {
    // As an account's name.
    Account::parse(text).map(|name| name.to_string()).ok_or("a name is 1 to 64 of a-z, 0-9 and -")
}

/// Reads a time that stays the same when the replay is given again.
fn moment(text: &str) -> Result<OffsetDateTime, String> {
    let time = arguments::time(text)?;
    if text.ends_with(['s', 'm', 'h', 'd']) {
        let now = rfc3339_milliseconds(time);
        return Err(format!("an age is another time when the replay is given again: write {now} instead"));
    }
    Ok(time)
}

/// Whether every event was sent that is asked for.
pub async fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut found = Found::new(arguments)?;
    for path in &arguments.files {
        found.read(path)?;
    }
    let clients = arguments.deployment.clients().await?;
    let queue_url = clients.queue(Queue::Events, None).await?;
    let table = clients.table(arguments.table.as_deref()).await?;
    if found.wanted == 0 {
        found.report(0)?;
        return Ok(ExitCode::No);
    }
    if arguments.dry_run {
        let known = claims::item(&clients, &table, &arguments.key()).await?;
        ensure!(known.is_none_or(|known| arguments.is_of(&known)), arguments.other_filters());
        found.report(0)?;
        return Ok(ExitCode::Yes);
    }
    if !clients.is_local() && !arguments.yes {
        eprintln!("{}", found.in_words());
        if !confirm("Send them?") {
            bail!("nothing was sent: with --aws it must be confirmed, or say --yes");
        }
    }
    remember(&clients, &table, arguments).await?;
    found.send(&clients, &queue_url).await?;
    found.report(found.wanted)?;
    Ok(ExitCode::Yes)
}

/// What the files hold.
struct Found<'a> {
    arguments: &'a Arguments,
    events: u64,
    invalid: u64,
    wanted: u64,
    types: BTreeMap<String, u64>,
    first: Option<String>,
    last: Option<String>,
    /// Those that are asked for, one on a line. What is sent is what was checked, whatever becomes of the files.
    checked: GzEncoder<File>,
}

impl<'a> Found<'a> {
    fn new(arguments: &'a Arguments) -> anyhow::Result<Self> {
        let Arguments { from, to, .. } = arguments;
        ensure!(from.is_none() || to.is_none() || from < to, "--from is not before --to: nothing is between them");
        let file = tempfile().context("cannot make a temporary file")?;
        Ok(Found {
            arguments,
            events: 0,
            invalid: 0,
            wanted: 0,
            types: BTreeMap::new(),
            first: None,
            last: None,
            checked: GzEncoder::new(file, Compression::fast()),
        })
    }

    fn read(&mut self, path: &Path) -> anyhow::Result<()> {
        let (shown, mut reader) = open(path)?;
        let mut line = Vec::new();
        for number in 1.. {
            line.clear();
            let read = reader.by_ref().take(LONGEST_LINE + 1).read_until(b'\n', &mut line);
            if read.with_context(|| format!("{shown} is cut short or damaged at line {number}: fetch it again"))? == 0 {
                break;
            }
            ensure!(line.len() as u64 <= LONGEST_LINE, "{shown}, line {number}, is longer than 128 MiB");
            let text = std::str::from_utf8(&line).ok();
            let text = text.with_context(|| {
                format!("{shown}, line {number}, is not UTF-8: nothing was sent. Give events in JSON, one on a line, gzip or not")
            })?;
            // Windows' tools begin a file with a byte order mark.
            let text = text.strip_prefix('\u{feff}').filter(|_| number == 1).unwrap_or(text);
            // One event, or none, or several: Firehose puts line feeds between them only if it is told to.
            for event in serde_json::Deserializer::from_str(text).into_iter::<&RawValue>() {
                // After a mistake in JSON itself, nobody knows where the next event begins.
                let what = match &event {
                    Err(error) if !error.is_eof() => format!("line {number}, from column {}", error.column()),
                    _ => format!("line {number}"),
                };
                let event =
                    event.map_err(|error| if error.is_eof() { PARTED.to_owned() } else { "not JSON".to_owned() });
                let event = event.and_then(|text| {
                    let event =
                        Event::from_json(text.get()).map_err(|why| ReadError { line: number, ..why }.to_string())?;
                    let received = sendable(&event, text.get(), &self.arguments.name)?;
                    Ok((text.get(), event, received))
                });
                match event {
                    Ok((text, event, received)) => {
                        self.events += 1;
                        if self.admits(&event, received) {
                            self.add(text, event)?;
                        }
                    }
                    Err(why) if self.arguments.skip_invalid => {
                        self.invalid += 1;
                        eprintln!("{shown}, {what}, is left out: {why}");
                    }
                    Err(why) => bail!(
                        "{shown}, {what}, is not an event that this version reads ({why}): nothing was sent. Leave such \
                         lines out with --skip-invalid"
                    ),
                }
            }
        }
        Ok(())
    }

    fn admits(&self, event: &Event<'_>, received: OffsetDateTime) -> bool {
        self.arguments.only.admits(Some(event))
            && (self.arguments.id.is_empty() || self.arguments.id.contains(&event.id))
            && self.arguments.from.is_none_or(|from| received >= from)
            && self.arguments.to.is_none_or(|to| received < to)
    }

    fn add(&mut self, text: &str, event: Event<'_>) -> anyhow::Result<()> {
        self.wanted += 1;
        *self.types.entry(event.event_type.as_str().to_owned()).or_default() += 1;
        let time = event.received_time;
        self.first = self.first.take().filter(|first| *first < time).or_else(|| Some(time.clone()));
        self.last = self.last.take().filter(|last| *last > time).or(Some(time));
        writeln!(self.checked, "{text}").context("cannot write to the temporary file")
    }

    /// Sends the events in their order, several at the same time. All are sent, or it is an error.
    async fn send(&mut self, clients: &Clients, queue_url: &str) -> anyhow::Result<()> {
        self.checked.try_finish()?;
        let mut file = self.checked.get_ref();
        file.rewind()?;
        let mut events = BufReader::new(GzDecoder::new(BufReader::new(file))).lines();
        let (Arguments { name, rate, .. }, count) = (self.arguments, self.wanted);
        let mut progress = Progress::new();
        let begun = Instant::now();
        let mut interrupted = std::pin::pin!(interrupted());
        let (mut sending, mut started, mut sent, mut stopped) = (JoinSet::new(), 0, 0, None);
        while !sending.is_empty() || started < count && stopped.is_none() {
            let due = rate.map_or(begun, |rate| begun + Duration::from_secs(started) / rate);
            tokio::select! {
                biased;
                () = &mut interrupted, if stopped.is_none() => stopped = Some("stopped".to_owned()),
                Some(ended) = sending.join_next() => match ended? {
                    Ok(_) => {
                        sent += 1;
                        progress.show(sent, count);
                    }
                    Err(why) => _ = stopped.get_or_insert(why),
                },
                () = sleep_until(due), if started < count && stopped.is_none() && sending.len() < AT_ONCE => {
                    let text = events.next().context("the temporary file is cut short")??;
                    let (sqs, url, name) = (clients.sqs.clone(), queue_url.to_owned(), name.clone());
                    sending.spawn(async move {
                        let event = Event::from_json(&text).map_err(|why| why.to_string())?;
                        let message = Replay::new(&event, &text, &name).ok_or("an event is too large")?;
                        message.send(&sqs, &url).await.map_err(|why| format!("SQS did not take {} ({why})", plain(&event.id)))
                    });
                    started += 1;
                }
            }
        }
        drop(progress);
        if let Some(why) = stopped {
            bail!("{why}: {sent} of {count} events were sent: give the same command again, {name} is known");
        }
        Ok(())
    }

    fn in_words(&self) -> String {
        let Found { events, invalid, wanted, types, first, last, .. } = self;
        let invalid = if *invalid == 0 { String::new() } else { format!("; {invalid} left out as invalid") };
        let types = types.iter().map(|(name, count)| format!("{count} {name}")).collect::<Vec<_>>().join(", ");
        let (first, last) = (first.as_deref().unwrap_or_default(), last.as_deref().unwrap_or_default());
        let name = &self.arguments.name;
        format!("{wanted} of {events} events as {name}, received {} to {}: {types}{invalid}", plain(first), plain(last))
    }

    fn report(&self, sent: u64) -> anyhow::Result<()> {
        let Found { arguments, events, invalid, wanted, types, first, last, .. } = self;
        if arguments.json {
            return print_json(&json!({
                "replay": arguments.name, "events": events, "invalid": invalid, "wanted": wanted, "sent": sent, "types": types,
                "first": first, "last": last, "dry_run": arguments.dry_run,
            }));
        }
        print(match (wanted, sent) {
            (0, _) => format!("Nothing to send: none of {events} events is asked for."),
            (_, 0) => format!("Nothing was sent. It would be {}.", self.in_words()),
            _ => format!("Sent {}.", self.in_words()),
        })
    }
}

/// A file's name for messages, and what it holds, uncompressed.
fn open(path: &Path) -> anyhow::Result<(String, Box<dyn BufRead>)> {
    let (shown, file): (_, Box<dyn Read>) = if path == Path::new("-") {
        if std::io::stdin().is_terminal() {
            eprintln!("Reading events from the terminal: one on a line, then Ctrl-D.");
        }
        ("standard input".to_owned(), Box::new(std::io::stdin()))
    } else {
        let shown = path.display().to_string();
        let file = File::open(path).with_context(|| format!("cannot read {shown}"))?;
        (shown, Box::new(file))
    };
    let (mut file, mut beginning) = (BufReader::new(file), Vec::new());
    file.by_ref().take(2).read_to_end(&mut beginning).with_context(|| format!("cannot read {shown}"))?;
    let compressed = beginning == [0x1f, 0x8b];
    let file = Cursor::new(beginning).chain(file);
    Ok((shown, if compressed { Box::new(BufReader::new(MultiGzDecoder::new(file))) } else { Box::new(file) }))
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

/// When the event was received, if SQS will take its message: nothing is sent unless everything can be.
fn sendable(event: &Event<'_>, text: &str, name: &str) -> Result<OffsetDateTime, String> {
    // Both become attributes, which SQS refuses if they are empty. An account is named like a platform.
    if [&event.provider, &event.account].into_iter().any(|name| Account::parse(name).is_none()) {
        return Err("its provider or account is not a name".to_owned());
    }
    // Consumers' keys in DynamoDB are made of both.
    if event.source != format!("/webhooks/{}/{}", event.provider, event.account) {
        return Err("its source is not that of its provider and account".to_owned());
    }
    if !(1..=256).contains(&event.id.len()) {
        return Err("its id is empty, or longer than 256 bytes".to_owned());
    }
    if Replay::new(event, text, name).is_none() {
        return Err("it is larger than a message can be".to_owned());
    }
    OffsetDateTime::parse(&event.received_time, &Rfc3339).map_err(|_| "its receivedtime is not a time".to_owned())
}

/// Keeps the replay's name together with its filters, so that a second replay under the same name is the same one.
async fn remember(clients: &Clients, table: &str, arguments: &Arguments) -> anyhow::Result<()> {
    let filters = arguments.filters();
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let number = |number: i64| AttributeValue::N(number.to_string());
    let seconds = now() / 1000;
    let put = clients.dynamodb.put_item().table_name(table).item("pk", text(&arguments.key()));
    let put = put.item("filters", text(&filters)).item("expires_at", number(seconds + REMEMBERED));
    let put = put.condition_expression("attribute_not_exists(pk) OR filters = :filters OR expires_at < :now");
    let put = put
        .expression_attribute_values(":filters", text(&filters))
        .expression_attribute_values(":now", number(seconds));
    match put.send().await {
        Ok(_) => Ok(()),
        Err(error) if error.as_service_error().is_some_and(PutItemError::is_conditional_check_failed_exception) => {
            bail!(arguments.other_filters())
        }
        Err(error) => Err(clients.failed(&format!("cannot write to the table {table}"), &error)),
    }
}

impl Arguments {
    /// Of the item that remembers the name. No claim has such a key: a claim's has three parts.
    fn key(&self) -> String {
        format!("replay#{}", self.name)
    }

    /// Whether this item allows the replay.
    fn is_of(&self, known: &claims::Item) -> bool {
        claims::number(known, "expires_at").is_some_and(|time| time < now() / 1000)
            || claims::text(known, "filters") == Some(&self.filters())
    }

    fn other_filters(&self) -> String {
        let name = &self.name;
        format!(
            "{name} was a replay with other filters: nothing was sent. Give it the filters that it had, or another --name"
        )
    }

    /// What a name belongs to.
    fn filters(&self) -> String {
        let mut filters = self.only.as_json();
        let text =
            |time: Option<OffsetDateTime>| time.and_then(|time| time.to_offset(UtcOffset::UTC).format(&Rfc3339).ok());
        filters["from"] = json!(text(self.from));
        filters["to"] = json!(text(self.to));
        filters["id"] = json!(self.id.iter().collect::<BTreeSet<_>>());
        filters.to_string()
    }
}
