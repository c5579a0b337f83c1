//! `hookgate` without a subcommand: starts the local intake, sends the samples, prints a line for every later delivery.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    io::ErrorKind,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use anyhow::{Context, bail};
use hookgate_event::Event;
use hookgate_verify::providers;
use http::Uri;
use serde_json::{Value, json};
use time::{OffsetDateTime, Time};
use tokio::{net::TcpListener, sync::broadcast::error::RecvError};

use crate::{
    arguments,
    client::http::{Answer, Poster, is_local_intake},
    commands::interrupted,
    error::ExitCode,
    local::{
        Local, SecretsFile,
        engines::{self, Engines, Resources},
    },
    output::{BAD, BOLD, DIM, GOOD, MAYBE, moment, plain, print, print_json},
    send::{
        samples::{self, Sample},
        sending::send_one,
        sign::Tamper,
    },
};

/// The options of the local intake.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Exit after the samples: 0 if all came out as expected, else 1
    #[arg(long)]
    once: bool,
    /// Print the samples' results as JSON
    #[arg(long, requires = "once")]
    json: bool,
    /// Send no samples
    #[arg(long, conflicts_with = "once")]
    no_samples: bool,
    /// Listen on this port, DynamoDB and SQS on the next two; 0 picks three free ports
    #[arg(long, default_value = "9000", value_name = "N", value_parser = clap::value_parser!(u16).range(..=65533))]
    port: u16,
    /// Take deliveries at this address [default: 127.0.0.1, --port]
    #[arg(long, value_name = "ADDRESS", value_parser = arguments::listen)]
    listen: Option<SocketAddr>,
    /// Serve DynamoDB at this address [default: 127.0.0.1, --port + 1]
    #[arg(long, value_name = "ADDRESS", value_parser = arguments::listen)]
    dynamodb: Option<SocketAddr>,
    /// Serve SQS at this address [default: 127.0.0.1, --port + 2]
    #[arg(long, value_name = "ADDRESS", value_parser = arguments::listen)]
    sqs: Option<SocketAddr>,
    /// Read signing secrets from this file, which has the form of events/secrets.json [default: the sample secrets]
    #[arg(long, value_name = "FILE")]
    secrets: Option<PathBuf>,
}

/// Runs the intake until Ctrl-C, or with `--once` until the samples are through.
pub async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let secrets = match &arguments.secrets {
        Some(path) => SecretsFile::read(path)?,
        None => SecretsFile::parse(samples::secrets(), "the samples' secrets")?,
    };
    let [listener, dynamodb, sqs] = listen(arguments.addresses()).await?;
    let engines = Engines::start(dynamodb, sqs)?;
    let resources = engines::provision(&engines).await?;
    let local = Local::start(listener, &engines, &resources, &secrets).await?;
    let url = local.url();
    if !arguments.json {
        print(format_args!(
            "{BOLD}Hookgate is running.{BOLD:#} It uses no AWS account, and keeps everything in memory.\n\n  \
             Deliveries  {url}/webhooks/{{provider}}[/{{account}}]\n  \
             Page        {url}/\n  \
             DynamoDB    {}  {}\n  \
             SQS         {}  hookgate-events, hookgate-quarantine,\n{:37}hookgate-dead-letters\n",
            engines.dynamodb_url(),
            resources.table,
            engines.sqs_url(),
            "",
        ))?;
    }
    let mut code = ExitCode::Yes;
    if !arguments.no_samples {
        let results = Results::of(&url, &engines, &resources).await?;
        if arguments.json {
            print_json(&results.as_json())?;
        } else {
            print(results.as_text())?;
        }
        code = results.as_expected().into();
    }
    if arguments.once {
        return Ok(code);
    }
    let shown = show_deliveries(&local, &next(&url)).await;
    let counts = local.counts();
    local.end().await;
    shown?;
    print(summary(&counts))?;
    Ok(code)
}

impl Arguments {
    fn addresses(&self) -> [SocketAddr; 3] {
        let at = |given: Option<SocketAddr>, offset: u16| {
            let port = if self.port == 0 { 0 } else { self.port + offset };
            given.unwrap_or_else(|| (Ipv4Addr::LOCALHOST, port).into())
        };
        [at(self.listen, 0), at(self.dynamodb, 1), at(self.sqs, 2)]
    }
}

/// Listens on the addresses. The error lists all ports that are in use, and says what uses them.
async fn listen(addresses: [SocketAddr; 3]) -> anyhow::Result<[TcpListener; 3]> {
    const OPTIONS: [&str; 3] = ["--listen", "--dynamodb", "--sqs"];
    for (one, other) in [(0, 1), (0, 2), (1, 2)] {
        let [(ip, port), (other_ip, other_port)] = [one, other].map(|of| (addresses[of].ip(), addresses[of].port()));
        let meet = ip == other_ip || ip.is_unspecified() || other_ip.is_unspecified();
        if port == other_port && port != 0 && meet {
            bail!("{} and {} have the same port {port}: give each its own", OPTIONS[one], OPTIONS[other]);
        }
    }
    let (mut listeners, mut taken) = (Vec::new(), Vec::new());
    for (address, option) in addresses.into_iter().zip(OPTIONS) {
        match TcpListener::bind(address).await {
            Ok(listener) => listeners.push(listener),
            Err(error) if error.kind() == ErrorKind::AddrInUse => taken.push(address.port().to_string()),
            Err(error) => {
                let choose = || format!("cannot listen on {address}: choose another address with {option}");
                return Err(error).with_context(choose);
            }
        }
    }
    let ports = match (<[_; 3]>::try_from(listeners), &taken[..]) {
        (Ok(listeners), _) => return Ok(listeners),
        (_, [port]) => format!("port {port} is in use"),
        (_, ports) => format!("ports {} are in use", ports.join(", ")),
    };
    let url = format!("http://{}/", addresses[0]);
    if let Ok(uri) = url.parse::<Uri>()
        && is_local_intake(&uri).await
    {
        bail!("{ports}: another intake is running, see {url}. Use it, or start a second one with --port 9100");
    }
    bail!("{ports} by another program: choose other ports with --port 9100, or free ones with --port 0");
}

/// The results of the samples.
struct Results {
    samples: Vec<SampleResult>,
    /// How many events of other deliveries are on the queue.
    others: usize,
}

struct SampleResult {
    sample: Sample,
    /// The answers to it: new, repeated, tampered with.
    answers: [Answer; 3],
    /// Its events on the queue.
    events: Vec<Event<'static>>,
}

impl SampleResult {
    fn as_expected(&self) -> bool {
        let is = |answer: &Answer, status: u16, outcome: &str| {
            answer.status == status && answer.outcome.as_deref() == Some(outcome)
        };
        let [new, repeated, tampered] = &self.answers;
        is(new, 200, "queued")
            && is(repeated, 200, "duplicate")
            && repeated.id == new.id
            && is(tampered, self.sample.provider.rejected_status, "rejected")
            && self.events.len() == 1
    }
}

impl Results {
    /// Sends every sample three times, each as `hookgate send` would.
    async fn of(url: &str, engines: &Engines, resources: &Resources) -> anyhow::Result<Self> {
        let mut samples = Vec::new();
        for sample in samples::all() {
            let poster = Poster::new(format!("{url}{}", sample.path).parse()?)?;
            let now = OffsetDateTime::now_utc();
            let send = async |tamper| {
                let delivered = send_one(&poster, sample.signed(now, tamper), false).await;
                delivered.answer.map_err(anyhow::Error::msg).with_context(|| sample.name.clone())
            };
            let answers = [send(None).await?, send(None).await?, send(Some(Tamper::Body)).await?];
            samples.push(SampleResult { sample, answers, events: Vec::new() });
        }
        // Not received: a receive would count against maxReceiveCount.
        let look = engines.queues().look(&resources.events_url, usize::MAX);
        let mut others = 0;
        for message in look.map(|look| look.latest).unwrap_or_default() {
            let event = Event::from_json(&message.body)?.into_owned();
            let of = samples.iter_mut().find(|result| result.answers[0].id.as_ref() == Some(&event.id));
            match of {
                Some(result) => result.events.push(event),
                None => others += 1,
            }
        }
        Ok(Results { samples, others })
    }

    fn as_expected(&self) -> bool {
        self.others == 0 && self.samples.iter().all(SampleResult::as_expected)
    }

    /// A line for each platform, a line for each unexpected sample, and the sum.
    fn as_text(&self) -> String {
        let mut text = format!(
            "Sent every sample three times: new, repeated, and tampered with.\n\n  {DIM}{:<16}{:>7}   {:<14}{:<16}{}{DIM:#}\n",
            "platform", "samples", "new", "repeated", "tampered"
        );
        for provider in providers::ALL {
            let of: Vec<_> =
                self.samples.iter().filter(|result| result.sample.provider.name == provider.name).collect();
            let column = |place: usize| {
                let found: BTreeSet<_> = of.iter().map(|result| shown(&result.answers[place])).collect();
                found.into_iter().collect::<Vec<_>>().join(", ")
            };
            let (new, repeated, tampered) = (column(0), column(1), column(2));
            let _ = writeln!(text, "  {:<16}{:>7}   {new:<14}{repeated:<16}{tampered}", provider.name, of.len());
        }
        text.push('\n');
        let unexpected: Vec<_> = self.samples.iter().filter(|result| !result.as_expected()).collect();
        for SampleResult { sample, answers, events } in &unexpected {
            let [new, repeated, tampered] = answers.each_ref().map(shown);
            let count = events.len();
            let _ = writeln!(
                text,
                "  {BAD}{}{BAD:#}: new {new}, repeated {repeated}, tampered {tampered}, {count} on the queue",
                sample.name
            );
        }
        let (count, queued) =
            (self.samples.len(), self.samples.iter().map(|result| result.events.len()).sum::<usize>());
        let verdict = if self.as_expected() {
            format!("{GOOD}{count} samples, all as expected.{GOOD:#}")
        } else {
            format!("{BAD}{count} samples, {} not as expected.{BAD:#}", unexpected.len().max(1))
        };
        text + &format!("{verdict} {} events are on the queue.", queued + self.others)
    }

    fn as_json(&self) -> Value {
        let answer = |answer: &Answer| json!({"status": answer.status, "outcome": answer.outcome, "id": answer.id});
        let samples = self.samples.iter().map(|result| {
            let [new, repeated, tampered] = result.answers.each_ref().map(answer);
            let types: Vec<_> = result.events.iter().map(|event| event.event_type.as_str()).collect();
            json!({
                "sample": result.sample.name, "new": new, "repeated": repeated, "tampered": tampered, "events": types,
                "as_expected": result.as_expected(),
            })
        });
        json!({
            "samples": samples.collect::<Vec<_>>(),
            "other_events": self.others,
            "as_expected": self.as_expected(),
        })
    }
}

fn shown(answer: &Answer) -> String {
    format!("{} {}", answer.status, answer.outcome.as_deref().unwrap_or("no outcome"))
}

/// The last lines of the first screen: what to try next.
fn next(url: &str) -> String {
    let option = if url == arguments::LOCAL { String::new() } else { format!(" --url {url}") };
    let send = arguments::examples(&format!("hookgate send PLATFORM EVENT{option}"));
    format!(
        "\nNext:\n  open {url}/ to see each delivery and why it came out as it did\n  {send}\n  hookgate --help\n\n\
         Waiting for deliveries. Ctrl-C stops the intake.",
    )
}

/// Prints a line for every delivery from now on, until Ctrl-C.
async fn show_deliveries(local: &Local, first: &str) -> anyhow::Result<()> {
    let mut deliveries = local.deliveries();
    print(first)?;
    let mut interrupted = std::pin::pin!(interrupted());
    loop {
        let delivery = tokio::select! {
            () = &mut interrupted => return Ok(()),
            delivery = deliveries.recv() => delivery,
        };
        match delivery.as_deref().map(serde_json::from_str::<Value>) {
            Ok(news) => print(delivery_line(&news.unwrap_or_default()["delivery"]))?,
            Err(RecvError::Lagged(missed)) => {
                print(format_args!("({missed} deliveries are not shown: too many at once)"))?;
            }
            Err(RecvError::Closed) => return Ok(()),
        }
    }
}

/// A delivery on one line: time, outcome, platform and account, reason or event, duration.
pub(super) fn delivery_line(delivery: &Value) -> String {
    let text = |name: &str| plain(delivery[name].as_str().unwrap_or_default());
    let received = delivery["received"].as_i64().and_then(moment);
    let time = received.map_or(Time::MIDNIGHT, OffsetDateTime::time);
    let outcome = text("outcome");
    let colour = match &*outcome {
        "queued" | "duplicate" | "ping" => GOOD,
        "quarantined" | "busy" => MAYBE,
        _ => BAD,
    };
    let account = text("account");
    let place = if account.is_empty() { text("provider") } else { format!("{}/{account}", text("provider")) };
    let about = ["reason", "error", "type", "subject", "id"].map(text);
    let about: Vec<_> = about.into_iter().filter(|word| !word.is_empty()).collect();
    format!(
        "{DIM}{:02}:{:02}:{:02}{DIM:#}  {colour}{outcome:<11}{colour:#}  {place:<18}  {}  {DIM}{} ms{DIM:#}",
        time.hour(),
        time.minute(),
        time.second(),
        about.join("  "),
        delivery["TotalMs"],
    )
}

/// How often each outcome came about, printed in the end.
fn summary(counts: &BTreeMap<&'static str, u64>) -> String {
    let named: Vec<_> =
        counts.iter().filter(|(_, count)| **count > 0).map(|(name, count)| format!("{count} {name}")).collect();
    let sum: u64 = counts.values().sum();
    let named = if named.is_empty() { String::new() } else { format!(": {}", named.join(", ")) };
    format!("\nStopped after {sum} deliveries{named}. Nothing was kept.")
}
