//! `hookgate send`: sends signed samples to the local intake or any other address.

use std::{collections::BTreeSet, path::PathBuf, time::Instant};

use anyhow::Context as _;
use hookgate_verify::{Account, Provider, Scheme};
use time::OffsetDateTime;

use crate::{
    arguments::{self, LOCAL},
    client::http::Poster,
    error::ExitCode,
    json::Json,
    output::print,
    send::{
        plan::{Plan, assignment, event},
        samples,
        scenario::{self, Scenario},
        sending::{Results, send_all},
        sign::Tamper,
    },
};

/// Send a realistic, signed sample of any event of any platform.
///
/// Every delivery is a new event, with new ids and the current time, unless --id, --same or --data say otherwise.
#[derive(Debug, clap::Args)]
#[command(after_help = arguments::examples("Examples:
  hookgate send PLATFORM EVENT
  hookgate send PLATFORM EVENT --set MEMBER=100
  hookgate send PLATFORM EVENT --tamper body
  hookgate send PLATFORM EVENT --repeat 1000 --concurrency 20
  hookgate send PLATFORM EVENT --print curl
  hookgate send PLATFORM EVENT --scenario duplicates
  HOOKGATE_SECRET=$(pass shop) hookgate send PLATFORM EVENT --url https://a1b2.execute-api.us-east-1.amazonaws.com

Exit code: 0 all answers were 2xx (with --tamper: rejections), 1 not all, 2 failed."))]
pub struct Arguments {
    /// Sign as this platform
    #[arg(value_parser = arguments::provider())]
    provider: &'static Provider,
    /// Send this event, by the platform's own name; leave it out to list all names
    event: Option<String>,
    /// Send to this address; /webhooks/{provider}[/{account}] is added unless it has /webhooks in it
    #[arg(long, default_value = LOCAL)]
    url: String,
    /// Sign with this secret [default: the environment variable `HOOKGATE_SECRET`, else the sample secret]
    #[arg(long)]
    secret: Option<String>,
    /// Send to this account
    #[arg(long, default_value = "default", value_parser = arguments::account)]
    account: Account,
    /// Set a member of the body, by its dotted path, to JSON or else to text. Repeatable
    #[arg(long, value_name = "PATH=VALUE", value_parser = assignment)]
    set: Vec<(String, Json)>,
    /// Send this file's bytes as the body
    #[arg(long, value_name = "FILE", conflicts_with_all = ["set", "id", "same"])]
    data: Option<PathBuf>,
    /// Set the event's id or, if the platform's events have none, the id of the order or invoice
    #[arg(long)]
    id: Option<String>,
    /// Send the sample with its original ids and times
    #[arg(long, conflicts_with = "id")]
    same: bool,
    /// Sign by this scheme, if the platform has several [default: the oldest that is accepted by default]
    #[arg(long, value_name = "NAME")]
    scheme: Option<String>,
    /// Send N deliveries [default: 1; 20 for duplicates, 500 for flood]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    repeat: Option<u32>,
    /// Send N at the same time [default: 1; 5 for duplicates, 32 for flood]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    concurrency: Option<u16>,
    /// Corrupt the delivery; expect a rejection
    #[arg(long, conflicts_with = "scenario")]
    tamper: Option<Tamper>,
    /// Print a command that sends the delivery, and send nothing
    #[arg(long, conflicts_with_all = ["scenario", "repeat", "concurrency", "json"])]
    print: Option<Print>,
    /// Play a scenario: say what should happen, and check the answers and the local intake's queue
    #[arg(long, conflicts_with_all = ["data", "id", "same"])]
    scenario: Option<Scenario>,
    /// Check the queue of this SQS in a scenario [default: the local intake's, unless --url is given]
    #[arg(long, value_name = "URL", value_parser = arguments::engine)]
    sqs: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// The forms of a printed command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Print {
    /// A curl command
    Curl,
}

/// Sends the deliveries and prints the results.
pub async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let plan = plan(&arguments)?;
    if arguments.print.is_some() {
        print(plan.curl()?)?;
        return Ok(ExitCode::Yes);
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
    let deliveries = (0..repeat).map(|_| {
        let now = OffsetDateTime::now_utc();
        let template = fixed.clone().unwrap_or_else(|| plan.template(now));
        plan.outgoing(&template, now)
    });
    let started = Instant::now();
    let delivered = send_all(&poster, deliveries, concurrency.into(), false).await?;
    Results { plan: &plan, delivered, elapsed: started.elapsed(), scenario: None }.show(arguments.json)
}

/// The deliveries that the command line describes.
fn plan(arguments: &Arguments) -> anyhow::Result<Plan> {
    let provider = arguments.provider;
    let (event, template) = event(provider, arguments.event.as_deref())?;
    let scheme = scheme(arguments)?;
    let secret = arguments.secret.clone().or_else(|| std::env::var("HOOKGATE_SECRET").ok()).map(String::into_bytes);
    let secret = secret.or_else(|| samples::secret(provider, &arguments.account)).with_context(|| {
        format!(
            "{}'s account {} has no sample secret: set --secret or HOOKGATE_SECRET",
            provider.name, arguments.account
        )
    })?;
    let plan = Plan {
        provider,
        event,
        template,
        data: arguments.data.as_deref().map(arguments::read).transpose()?,
        set: arguments.set.clone(),
        id: arguments.id.clone(),
        same: arguments.same,
        scheme,
        secret,
        tamper: arguments.tamper,
        url: arguments::endpoint(&arguments.url, provider, &arguments.account)?,
    };
    plan.checked()
}

/// The scheme that signs: by default the oldest of those accepted by default.
fn scheme(arguments: &Arguments) -> anyhow::Result<&'static Scheme> {
    let provider = arguments.provider;
    let Some(name) = &arguments.scheme else {
        let oldest = provider.default_schemes().last();
        return oldest.with_context(|| format!("{} has no scheme", provider.name));
    };
    provider.schemes().find(|scheme| scheme.name == name).with_context(|| {
        let names: BTreeSet<_> = provider.schemes().map(|scheme| scheme.name).collect();
        let names: Vec<_> = names.into_iter().collect();
        format!("{} has no scheme {name:?}: choose {}", provider.name, names.join(", "))
    })
}
