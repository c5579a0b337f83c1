//! `hookgate send`: signed sample deliveries, to the local intake or to any address.

pub mod outgoing;
mod scenario;

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::{IsTerminal, Write as _},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anstyle::{AnsiColor, Style};
use hookgate_verify::{Account, Layout, Provider, Scheme};
use http::Uri;
use serde_json::{Value, json};
use time::OffsetDateTime;
use tokio::sync::mpsc;

use self::{
    outgoing::{Outgoing, Tamper, Template, sample_secret, sign},
    scenario::Scenario,
};
use crate::{
    explain::distance,
    http::{Answer, Poster},
    json::Json,
    usage::{self, LOCAL, UsageError},
};

/// The most that curl can be given on a command line, with room to spare.
const MOST_CURL_BYTES: usize = 100_000;

/// Send a realistic, signed sample of any event of any platform.
///
/// Every delivery is a new event, with new ids and the present time, unless --id, --same or --data say otherwise.
#[allow(clippy::doc_markdown, reason = "help is shown as it is written")]
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  hookgate send elective order.paid
  hookgate send shoppex order:paid --v2 --set data.total=100 --set data.currency=EUR
  hookgate send opterius invoice.paid --tamper body
  hookgate send w3block order.created --repeat 1000 --concurrency 20
  hookgate send etaildepot payment.succeeded --print curl
  hookgate send shoppex order:paid --scenario duplicates
  HOOKGATE_SECRET=$(pass shop) hookgate send elective order.paid --url https://a1b2.execute-api.us-east-1.amazonaws.com

Scenarios say what should happen and check it against the answers, and against the queue of the local intake:
  duplicates    one event many times at once: queued once, and known from then on
  out-of-order  what happens to one order, last things first: all of it is queued, each with its own time
  crash         a function that dies before SQS accepted, another after: busy until the lease ends, then queued; the
                other's event twice, under one source and id (the local intake only; takes some 10 s)
  flood         many events at once: each is queued once

Exit code: 0 all answers were 2xx (with --tamper: rejections), 1 not all, 2 the command line cannot be used.")]
pub struct Arguments {
    /// The platform.
    #[arg(value_parser = usage::provider())]
    provider: &'static Provider,
    /// The event, by the platform's own name; leave it out to see them all.
    event: Option<String>,
    /// Where to: an address to which /webhooks/{provider}[/{account}] is added, unless it has /webhooks in it.
    #[arg(long, default_value = LOCAL)]
    url: String,
    /// The signing secret [default: the environment variable HOOKGATE_SECRET, else the sample secret].
    #[arg(long)]
    secret: Option<String>,
    /// The account.
    #[arg(long, default_value = "default", value_parser = usage::account)]
    account: Account,
    /// Set a value in the body: a dotted path, and JSON or else text. Repeatable.
    #[arg(long, value_name = "PATH=VALUE", value_parser = assignment)]
    set: Vec<(String, Json)>,
    /// Send this file's bytes as the body.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["set", "id", "same"])]
    data: Option<PathBuf>,
    /// The event's id, or, where the platform has none, that of the order or invoice.
    #[arg(long)]
    id: Option<String>,
    /// The sample as it is, with its own ids and times.
    #[arg(long, conflicts_with = "id")]
    same: bool,
    /// Sign by the scheme v2, where the platform has it (Shoppex).
    #[arg(long, conflicts_with = "signed")]
    v2: bool,
    /// What is signed, where the platform leaves that open (Opterius): the body without its signature, or with an empty
    /// one.
    #[arg(long, value_name = "without|empty")]
    signed: Option<String>,
    /// How many deliveries.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    repeat: Option<u64>,
    /// How many of them at the same time.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=256))]
    concurrency: Option<u64>,
    /// Make something wrong: it must be rejected.
    #[arg(long, conflicts_with = "scenario")]
    tamper: Option<Tamper>,
    /// Send nothing; print a command that does.
    #[arg(long, conflicts_with_all = ["scenario", "repeat", "concurrency", "json"])]
    print: Option<Print>,
    /// Play a scenario and check what comes of it.
    #[arg(long, conflicts_with_all = ["data", "id", "same"])]
    scenario: Option<Scenario>,
    /// The SQS whose queue a scenario looks at [default: the local intake's, unless --url is given].
    #[arg(long, value_name = "URL")]
    sqs: Option<String>,
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
}

/// What can be printed instead of sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Print {
    /// A curl command.
    Curl,
}

/// What is to be sent, all of it checked.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) provider: &'static Provider,
    pub(crate) event: String,
    pub(crate) template: Template,
    pub(crate) data: Option<Vec<u8>>,
    pub(crate) set: Vec<(String, Json)>,
    pub(crate) id: Option<String>,
    pub(crate) same: bool,
    pub(crate) scheme: &'static Scheme,
    pub(crate) secret: Vec<u8>,
    pub(crate) tamper: Option<Tamper>,
    pub(crate) url: Uri,
}

/// What became of one delivery: the answer or why there is none, and how long it took.
#[derive(Debug)]
struct Delivered {
    answer: Result<Answer, String>,
    took: Duration,
}

/// Whether every answer was as it should be.
///
/// # Errors
/// The command line cannot be used.
pub async fn run(arguments: Arguments) -> Result<bool, UsageError> {
    let plan = Plan::new(&arguments)?;
    if arguments.print.is_some() {
        anstream::println!("{}", plan.curl()?);
        return Ok(true);
    }
    let poster = Poster::new(plan.url.clone())?;
    if let Some(scenario) = arguments.scenario {
        let sqs = arguments.sqs.or_else(|| (arguments.url == LOCAL).then(|| "http://127.0.0.1:9002".to_owned()));
        let sizes = (arguments.repeat, arguments.concurrency);
        return scenario::play(scenario, &plan, &poster, sizes, sqs, arguments.json).await;
    }
    let (repeat, concurrency) = (arguments.repeat.unwrap_or(1), arguments.concurrency.unwrap_or(1));
    let now = OffsetDateTime::now_utc();
    let fixed = (plan.data.is_some() || plan.same || plan.id.is_some()).then(|| plan.template(now));
    let make = {
        let plan = plan.clone();
        move |_| {
            let now = OffsetDateTime::now_utc();
            let template = fixed.clone().unwrap_or_else(|| plan.template(now));
            plan.outgoing(&template, now)
        }
    };
    let started = Instant::now();
    let results = send_all(&poster, make, repeat, concurrency, false).await?;
    let summary = Summary::of(&results, started.elapsed());
    let as_expected = results.iter().all(|result| plan.is_as_expected(result));
    if arguments.json {
        let mut json = summary.as_json(&plan);
        json["as_expected"] = as_expected.into();
        if let [Delivered { answer: Ok(answer), .. }] = &results[..] {
            json["answer"] = json!({"status": answer.status, "outcome": answer.outcome, "id": answer.id});
        }
        anstream::println!("{json:#}");
    } else {
        anstream::print!("{}", summary.as_text(&plan, &results, as_expected));
    }
    Ok(as_expected)
}

impl Plan {
    fn new(arguments: &Arguments) -> Result<Self, UsageError> {
        let provider = arguments.provider;
        let (event, template) = event(provider, arguments.event.as_deref())?;
        let scheme = scheme(arguments)?;
        let secret = arguments.secret.clone().or_else(|| std::env::var("HOOKGATE_SECRET").ok()).map(String::into_bytes);
        let secret = secret.or_else(|| sample_secret(provider, &arguments.account)).ok_or_else(|| {
            UsageError(format!(
                "there is no sample secret for {}'s account {}: give one with --secret or HOOKGATE_SECRET",
                provider.name, arguments.account
            ))
        })?;
        let plan = Plan {
            provider,
            event,
            template,
            data: arguments.data.as_deref().map(usage::read).transpose()?,
            set: arguments.set.clone(),
            id: arguments.id.clone(),
            same: arguments.same,
            scheme,
            secret,
            tamper: arguments.tamper,
            url: usage::endpoint(&arguments.url, provider, &arguments.account)?,
        };
        plan.checked()
    }

    /// What can fail fails now, not after half of the deliveries.
    pub(crate) fn checked(self) -> Result<Self, UsageError> {
        let stamped = matches!(self.scheme.layout, Layout::StampedHeader { .. });
        if self.tamper == Some(Tamper::Timestamp) && !stamped {
            return Err(UsageError(format!(
                "{} signs no timestamp under {}: --tamper timestamp needs a scheme that does, like shoppex --v2",
                self.provider.name, self.scheme.name
            )));
        }
        if self.secret.trim_ascii().is_empty() {
            return Err(UsageError("the secret is empty: HMAC takes it, no intake does".into()));
        }
        let mut trial = self.template.clone();
        for (path, value) in &self.set {
            trial.body.set(path, value.clone()).map_err(|part| {
                UsageError(format!("--set {path}: there is nothing to hold {part}; see the body with --print curl"))
            })?;
        }
        self.outgoing(&trial, OffsetDateTime::now_utc())?;
        Ok(self)
    }

    /// The event, with ids and times as asked for.
    pub(crate) fn template(&self, now: OffsetDateTime) -> Template {
        let mut template = self.template.clone();
        if !self.same {
            template.move_times(now);
            template.freshen_ids();
        }
        if let Some(id) = &self.id {
            template.set_id(id);
        }
        for (path, value) in &self.set {
            // Checked in `new`.
            let _ = template.body.set(path, value.clone());
        }
        template
    }

    pub(crate) fn outgoing(&self, template: &Template, now: OffsetDateTime) -> Result<Outgoing, UsageError> {
        let body = self.data.clone().unwrap_or_else(|| template.text());
        sign(self.scheme, &self.secret, &template.headers, &body, now, self.tamper).ok_or_else(|| {
            UsageError(format!(
                "{} puts its signature into the body: it must be a JSON object with at most one plain signature member",
                self.provider.name
            ))
        })
    }

    /// A command that does the same, for a POSIX shell.
    fn curl(&self) -> Result<String, UsageError> {
        let now = OffsetDateTime::now_utc();
        let Outgoing { headers, body } = self.outgoing(&self.template(now), now)?;
        let text = String::from_utf8(body).ok().filter(|text| text.len() <= MOST_CURL_BYTES && !text.contains('\0'));
        let text = text.ok_or_else(|| {
            UsageError("the body does not fit on a command line (long, or no text): send it without --print".into())
        })?;
        let mut command = format!("curl -i {}", usage::quoted(&self.url.to_string()));
        for (name, value) in headers {
            command = format!("{command} \\\n  -H {}", usage::quoted(&format!("{name}: {value}")));
        }
        Ok(format!("{command} \\\n  --data-raw {}", usage::quoted(&text)))
    }

    fn is_as_expected(&self, result: &Delivered) -> bool {
        let Ok(answer) = &result.answer else { return false };
        match (&answer.outcome, self.tamper) {
            (Some(outcome), Some(_)) => outcome == "rejected",
            // Somebody else's handler has statuses only.
            (None, Some(_)) => (400..500).contains(&answer.status) && answer.status != 404,
            (_, None) => (200..300).contains(&answer.status),
        }
    }
}

/// The event's name and what the platform sends for it.
pub(crate) fn event(provider: &'static Provider, name: Option<&str>) -> Result<(String, Template), UsageError> {
    let events = Template::events(provider);
    let list = events.join(", ");
    let name = name.ok_or_else(|| UsageError(format!("say which event of {}: {list}", provider.name)))?;
    let template = Template::of(provider, name).ok_or_else(|| {
        let near = events.iter().min_by_key(|known| distance(known, name)).filter(|known| distance(known, name) <= 3);
        let meant = near.map_or_else(String::new, |near| format!(" (did you mean {near}?)"));
        UsageError(format!("{} has no event of this name{meant}: {list}", provider.name))
    })?;
    Ok((name.to_owned(), template))
}

/// How to sign: the platform's oldest scheme under its default setting, unless asked for another.
fn scheme(arguments: &Arguments) -> Result<&'static Scheme, UsageError> {
    let provider = arguments.provider;
    let mut schemes = provider.modes.iter().flat_map(|(_, schemes)| schemes.iter());
    match if arguments.v2 { Some("v2") } else { arguments.signed.as_deref() } {
        Some(name) => schemes.find(|scheme| scheme.name == name).ok_or_else(|| {
            let names: Vec<_> = provider.modes.iter().flat_map(|(_, schemes)| *schemes).map(|s| s.name).collect();
            UsageError(format!("{} does not sign by {name}: it knows {}", provider.name, names.join(", ")))
        }),
        None => provider
            .modes
            .first()
            .and_then(|(_, schemes)| schemes.last())
            .ok_or_else(|| UsageError(format!("{} has no scheme", provider.name))),
    }
}

pub(crate) fn assignment(text: &str) -> Result<(String, Json), String> {
    let (path, value) = text.split_once('=').ok_or("write it like data.total=100")?;
    if path.split('.').any(str::is_empty) {
        return Err("a path has names between its dots, like data.total".to_owned());
    }
    Ok((path.to_owned(), Json::parse(value.as_bytes()).unwrap_or_else(|| Json::text(value))))
}

/// Sends `count` deliveries, at most `concurrency` at a time. With `until_taken`, sends again what was answered 503, as
/// a platform does.
async fn send_all(
    poster: &Poster,
    make: impl Fn(u64) -> Result<Outgoing, UsageError> + Send + Sync + 'static,
    count: u64,
    concurrency: u64,
    until_taken: bool,
) -> Result<Vec<Delivered>, UsageError> {
    let (make, next) = (Arc::new(make), Arc::new(AtomicU64::new(0)));
    let (results, mut arriving) = mpsc::channel(64);
    for _ in 0..concurrency.min(count) {
        let (make, next, results, poster) = (make.clone(), next.clone(), results.clone(), poster.clone());
        tokio::spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    break;
                }
                let result = match make(number) {
                    Ok(outgoing) => Ok(send_one(&poster, outgoing, until_taken).await),
                    Err(error) => Err(error),
                };
                if results.send(result).await.is_err() {
                    break;
                }
            }
        });
    }
    drop(results);
    let mut all = Vec::new();
    let mut progress = Progress::new(count);
    while let Some(result) = arriving.recv().await {
        all.push(result?);
        progress.show(all.len());
    }
    progress.clear();
    Ok(all)
}

async fn send_one(poster: &Poster, outgoing: Outgoing, until_taken: bool) -> Delivered {
    const TRIES: usize = 50;
    const PAUSE: Duration = Duration::from_millis(200);
    let mut tries = 0;
    loop {
        let started = Instant::now();
        let answer = poster.post(outgoing.clone()).await;
        let took = started.elapsed();
        tries += 1;
        let taken = !matches!(&answer, Ok(answer) if answer.status == 503);
        if taken || !until_taken || tries == TRIES {
            return Delivered { answer, took };
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// A bar on the terminal, for what takes longer than a moment.
struct Progress {
    count: u64,
    shown: Option<Instant>,
    started: Instant,
}

impl Progress {
    const WIDTH: usize = 30;

    fn new(count: u64) -> Self {
        Progress { count, shown: None, started: Instant::now() }
    }

    fn show(&mut self, done: usize) {
        let often = |shown: Instant| shown.elapsed() < Duration::from_millis(100);
        let short = self.started.elapsed() < Duration::from_millis(500);
        if short || !std::io::stderr().is_terminal() || self.shown.is_some_and(often) {
            return;
        }
        self.shown = Some(Instant::now());
        let filled = usize::try_from(self.count).map_or(0, |count| Self::WIDTH * done / count);
        let bar = "█".repeat(filled) + &"░".repeat(Self::WIDTH - filled);
        let _ = write!(std::io::stderr(), "\r{bar} {done}/{}", self.count);
    }

    fn clear(&self) {
        if self.shown.is_some() {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

/// What became of all deliveries.
struct Summary {
    sent: usize,
    outcomes: BTreeMap<String, usize>,
    p50: Duration,
    p99: Duration,
    elapsed: Duration,
}

impl Summary {
    fn of(results: &[Delivered], elapsed: Duration) -> Self {
        let mut outcomes = BTreeMap::new();
        for result in results {
            *outcomes.entry(label(&result.answer)).or_default() += 1;
        }
        let mut latencies: Vec<_> = results.iter().map(|result| result.took).collect();
        latencies.sort();
        // The nearest rank: the smallest that so many per cent do not exceed.
        let rank = |percent: usize| {
            let rank = (latencies.len() * percent).div_ceil(100).max(1);
            latencies.get(rank - 1).copied().unwrap_or_default()
        };
        Summary { sent: results.len(), outcomes, p50: rank(50), p99: rank(99), elapsed }
    }

    fn as_json(&self, plan: &Plan) -> Value {
        json!({
            "provider": plan.provider.name,
            "event": plan.event,
            "url": plan.url.to_string(),
            "scheme": plan.scheme.name,
            "sent": self.sent,
            "outcomes": self.outcomes,
            "latency_ms": {"p50": milliseconds(self.p50), "p99": milliseconds(self.p99)},
            "elapsed_ms": milliseconds(self.elapsed),
        })
    }

    fn as_text(&self, plan: &Plan, results: &[Delivered], as_expected: bool) -> String {
        let (good, bad) = (AnsiColor::Green.on_default().bold(), AnsiColor::Red.on_default().bold());
        let colour = if as_expected { good } else { bad };
        let dim = Style::new().dimmed();
        let mut text = format!("{} {} → {}\n", plan.provider.name, plan.event, plan.url);
        if let [Delivered { answer: Ok(answer), took }] = results {
            let id = answer.id.as_ref().map_or_else(String::new, |id| format!("  {id}"));
            let outcome = answer.outcome.as_deref().unwrap_or_default();
            let _ = writeln!(text, "{colour}{} {outcome}{colour:#}{id}  {dim}{}{dim:#}", answer.status, shown(*took));
        } else if results.len() > 1 {
            let _ = write!(text, "{} sent in {:.1} s: ", self.sent, self.elapsed.as_secs_f64());
            let counts: Vec<_> = self.outcomes.iter().map(|(label, count)| format!("{count} {label}")).collect();
            let _ = writeln!(text, "{colour}{}{colour:#}", counts.join(", "));
            let _ = writeln!(text, "latency p50 {}, p99 {}", shown(self.p50), shown(self.p99));
        }
        text + &hints(plan, results, as_expected)
    }
}

/// What to do about answers that should not be.
fn hints(plan: &Plan, results: &[Delivered], as_expected: bool) -> String {
    if as_expected {
        return String::new();
    }
    if let Some(error) = results.iter().find_map(|result| result.answer.as_ref().err()) {
        let local = plan.url.to_string().starts_with(LOCAL);
        let remedy =
            if local { "start the local intake with hookgate, or choose another with --url" } else { "correct --url" };
        return format!("no answer: {error}\n{remedy}\n");
    }
    let has = |wanted: &str| results.iter().any(|result| label(&result.answer) == wanted);
    if plan.tamper.is_some() {
        return "what was tampered with was not rejected: do not use this intake\n".to_owned();
    }
    if has("rejected") {
        let name = plan.provider.name;
        return format!(
            "rejected: sign with the intake's own secret (--secret, HOOKGATE_SECRET) and scheme; \
             hookgate send {name} {} --print curl | hookgate explain {name} --secrets FILE says more\n",
            plan.event
        );
    }
    if has("HTTP 404") {
        return "not found: the address is wrong, or the intake has no secrets for this platform\n".to_owned();
    }
    String::new()
}

/// An outcome's name, or what there is in its place.
fn label(answer: &Result<Answer, String>) -> String {
    match answer {
        Ok(Answer { outcome: Some(outcome), .. }) => outcome.clone(),
        Ok(Answer { status, .. }) => format!("HTTP {status}"),
        Err(_) => "no answer".to_owned(),
    }
}

fn shown(took: Duration) -> String {
    format!("{:.1} ms", took.as_secs_f64() * 1000.0)
}

fn milliseconds(took: Duration) -> f64 {
    (took.as_secs_f64() * 10_000.0).round() / 10.0
}
