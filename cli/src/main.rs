//! `hookgate`: starts the local intake, or does what a subcommand says.

use std::{
    collections::BTreeMap,
    error::Error,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{CommandFactory, Parser, Subcommand};
use hookgate::{
    client::messages,
    commands::claims,
    commands::completions,
    commands::doctor,
    commands::explain,
    commands::quarantine,
    commands::redrive,
    commands::register,
    commands::tail,
    error::{self as usage, UsageError},
    local::engines::{self, Engines, Resources},
    local::{Local, OnDelivery, SecretsFile},
    send,
    send::samples,
};
use serde_json::Value;
use tokio::sync::mpsc;

/// Webhook intake on this machine: all providers' functions, with DynamoDB and SQS, and no account anywhere.
///
/// Sends every sample under events/ and shows what came of it, then stays up for deliveries of yours.
#[derive(Parser)]
#[command(
    version,
    args_conflicts_with_subcommands = true,
    after_help = usage::examples("Examples:
  hookgate                     start, send the samples, stay until Ctrl-C; the page is at http://127.0.0.1:9000/
  hookgate --once              start, send the samples, end; non-zero if anything was unexpected
  hookgate --no-samples --secrets my-secrets.json
  hookgate send PLATFORM EVENT
  hookgate explain PLATFORM request.txt --secrets my-secrets.json
  hookgate tail --type 'order.*'
  hookgate quarantine list
  hookgate doctor")
)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// End after the samples, with exit code 1 if anything was unexpected.
    #[arg(long)]
    once: bool,
    /// Send no samples.
    #[arg(long, conflicts_with = "once")]
    no_samples: bool,
    /// Where deliveries are taken.
    #[arg(long, default_value = "127.0.0.1:9000", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Where DynamoDB answers.
    #[arg(long, default_value = "127.0.0.1:9001", value_name = "ADDRESS")]
    dynamodb: SocketAddr,
    /// Where SQS answers.
    #[arg(long, default_value = "127.0.0.1:9002", value_name = "ADDRESS")]
    sqs: SocketAddr,
    /// Signing secrets of each provider and account, in the form of events/secrets.json, which is the default.
    #[arg(long, value_name = "FILE")]
    secrets: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    Send(send::Arguments),
    Explain(explain::Arguments),
    Tail(tail::Arguments),
    Quarantine(quarantine::Arguments),
    Redrive(redrive::Arguments),
    Claims(claims::Arguments),
    Register(register::Arguments),
    Doctor(doctor::Arguments),
    Completions(completions::Arguments),
}

/// Prints a line.
macro_rules! out {
    ($($line:tt)*) => {
        goes_on(messages::print(&format!($($line)*)))?
    };
}

/// Ends where nobody reads any more (`hookgate | head`), with the exit code of those whom the signal for that ends: 128 and
/// SIGPIPE's 13.
fn goes_on(printed: Printed) -> Result<(), UsageError> {
    if !printed? {
        std::process::exit(141);
    }
    Ok(())
}

/// What came of printing a line: false where nobody reads any more.
type Printed = Result<bool, UsageError>;

fn main() -> ExitCode {
    let mut arguments = Arguments::parse();
    let command = arguments.command.take();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    if let Some(command) = command {
        return ended(runtime.block_on(async {
            match command {
                Command::Send(arguments) => send::run(arguments).await,
                Command::Explain(arguments) => explain::run(&arguments),
                Command::Tail(arguments) => tail::run(&arguments).await,
                Command::Quarantine(arguments) => quarantine::run(&arguments).await,
                Command::Redrive(arguments) => redrive::run(&arguments).await,
                Command::Claims(arguments) => claims::run(&arguments).await,
                Command::Register(arguments) => register::run(arguments).await,
                Command::Doctor(arguments) => doctor::run(arguments).await,
                Command::Completions(arguments) => completions::run(&arguments, Arguments::command()),
            }
        }));
    }
    match runtime.block_on(run(arguments)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => fail(&*error),
    }
}

/// The exit code of a subcommand: 0 yes, 1 no, 2 it could not be done as it was asked for.
fn ended(answer: Result<bool, UsageError>) -> ExitCode {
    match answer {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            fail(&error);
            ExitCode::from(2)
        }
    }
}

fn fail(error: &dyn Error) -> ExitCode {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line = format!("{line}: {error}");
        cause = error.source();
    }
    eprintln!("hookgate: {line}");
    ExitCode::FAILURE
}

/// Whether everything was as expected.
async fn run(arguments: Arguments) -> Result<bool, Box<dyn Error>> {
    let events = project().join("events");
    let secrets = SecretsFile::read(&arguments.secrets.unwrap_or_else(|| events.join("secrets.json")))?;
    let engines = Engines::start(arguments.dynamodb, arguments.sqs).await?;
    let resources = engines::provision(&engines).await?;
    let (unprinted, mut failures) = mpsc::unbounded_channel();
    let show = show_after_samples(unprinted);
    let local = Local::start(arguments.listen, &engines, &resources, &secrets, show).await?;

    out!("Deliveries  {}/webhooks/{{provider}}[/{{account}}]", local.url());
    out!("Page        {}/", local.url());
    out!("DynamoDB    {}  table {}", engines.dynamodb_url(), resources.table);
    out!("SQS         {}  queues hookgate-events, hookgate-quarantine, hookgate-dead-letters", engines.sqs_url());
    out!("");

    let mut as_expected = true;
    if !arguments.no_samples {
        as_expected = send_samples(&events, &local, &engines, &resources).await?;
    }
    if !arguments.once {
        SHOW.store(true, std::sync::atomic::Ordering::Relaxed);
        out!("Waiting for deliveries. Ctrl-C ends.");
        tokio::select! {
            ended = tokio::signal::ctrl_c() => ended?,
            Some(printed) = failures.recv() => {
                local.end().await;
                goes_on(printed)?;
            }
        }
    }
    Ok(as_expected)
}

/// The samples have a table of their own; later deliveries are shown as they come.
static SHOW: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);

/// A line that cannot be printed is `unprinted`: the delivery that it is of is still to be answered.
fn show_after_samples(unprinted: mpsc::UnboundedSender<Printed>) -> OnDelivery {
    Box::new(move |log| {
        if SHOW.load(std::sync::atomic::Ordering::Relaxed) {
            let printed = messages::print(&brief(log));
            if printed != Ok(true) {
                let _ = unprinted.send(printed);
            }
        }
    })
}

/// A delivery's log line, for reading along.
fn brief(log: &str) -> String {
    let line: Value = serde_json::from_str(log).unwrap_or_default();
    let words = ["provider", "account", "outcome", "reason", "error", "type", "subject", "id"];
    let words: Vec<_> = words.iter().filter_map(|name| line[name].as_str()).collect();
    format!("{}  {} ms", words.join("  "), line["TotalMs"])
}

/// The project's folder, where `cargo run` is at work; else where the command was started.
fn project() -> PathBuf {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    package.and_then(|package| package.parent().map(Path::to_owned)).unwrap_or_else(|| PathBuf::from("."))
}

async fn send_samples(
    events: &Path,
    local: &Local,
    engines: &Engines,
    resources: &Resources,
) -> Result<bool, Box<dyn Error>> {
    let samples = samples::read(events)?;
    let client = reqwest::Client::new();
    let mut sent = Vec::new();
    for sample in &samples {
        sent.push(sample.send_thrice(&client, &local.url()).await?);
    }

    // A look, and no receive: that would count as one of the five that each message has.
    let look = engines.queues().look(&resources.events_url, usize::MAX);
    let messages = look.map(|look| look.latest).unwrap_or_default();
    let mut arrived = BTreeMap::<&str, Vec<hookgate_event::Event<'_>>>::new();
    let parsed = messages.iter().rev().map(|seen| hookgate_event::Event::from_json(&seen.body));
    let parsed = parsed.collect::<Result<Vec<_>, _>>()?;
    for event in &parsed {
        arrived.entry(event.id.as_str()).or_default().push(event.clone());
    }

    out!("{:<36}  {:<12}  {:<14}  {:<14}  on the queue", "sample", "fresh", "again", "tampered with");
    let mut unexpected = 0;
    for sent in &sent {
        let copies = sent.fresh.id.as_deref().and_then(|id| arrived.get(id)).map_or(&[][..], Vec::as_slice);
        let queue = match copies {
            [event] => {
                let subject = event.subject.as_deref().unwrap_or_default();
                let amount = event.data.amount.as_ref().map_or_else(String::new, |amount| {
                    format!("{} {} {}", amount.value, amount.currency.as_deref().unwrap_or("?"), unit(amount.unit))
                });
                format!("{}  {subject}  {amount}", event.event_type.as_str())
            }
            copies => format!("{} copies", copies.len()),
        };
        let right = sent.as_expected && copies.len() == 1;
        unexpected += usize::from(!right);
        out!(
            "{:<36}  {:<12}  {:<14}  {:<14}  {queue}{}",
            sent.name,
            sent.fresh.to_string(),
            sent.again.to_string(),
            sent.tampered.to_string(),
            if right { "" } else { "  ← UNEXPECTED" }
        );
    }
    // Nothing but the samples may be there.
    let stray = parsed.len() - sent.iter().filter(|sent| sent.fresh.outcome == "queued").count().min(parsed.len());
    if let Some(event) = parsed.first() {
        let json: Value = serde_json::from_str(&event.to_json())?;
        out!("\nOne of them, as a consumer receives it:\n{json:#}");
    }
    out!(
        "\n{} samples of {} providers, each sent fresh, again and tampered with: {} unexpected; {} events on the queue.",
        samples.len(),
        samples.iter().map(|sample| sample.provider.name).collect::<std::collections::BTreeSet<_>>().len(),
        unexpected,
        parsed.len(),
    );
    Ok(unexpected == 0 && stray == 0 && !samples.is_empty())
}

fn unit(unit: hookgate_event::Unit) -> &'static str {
    match unit {
        hookgate_event::Unit::Minor => "(minor units)",
        hookgate_event::Unit::Major => "",
    }
}
