//! `hookgate send`: signed sample deliveries, to the local intake or to any address.

use std::{collections::BTreeSet, path::PathBuf, time::Instant};

use anyhow::Context as _;
use hookgate_verify::{Account, Provider, Scheme};
use serde_json::json;
use time::OffsetDateTime;

use crate::{
    arguments::{self, LOCAL},
    client::http::Poster,
    error::ExitCode,
    explain::json::Json,
    output::{print, print_json},
    send::{
        plan::{Plan, assignment, event},
        samples,
        scenario::{self, Scenario},
        sending::{Delivered, Summary, send_all},
        sign::Tamper,
    },
};

/// Send a realistic, signed sample of any event of any platform.
///
/// Every delivery is a new event, with new ids and the present time, unless --id, --same or --data say otherwise.
#[derive(Debug, clap::Args)]
#[command(after_help = arguments::examples("Examples:
  hookgate send PLATFORM EVENT
  hookgate send PLATFORM EVENT --set MEMBER=100
  hookgate send PLATFORM EVENT --tamper body
  hookgate send PLATFORM EVENT --repeat 1000 --concurrency 20
  hookgate send PLATFORM EVENT --print curl
  hookgate send PLATFORM EVENT --scenario duplicates
  HOOKGATE_SECRET=$(pass shop) hookgate send PLATFORM EVENT --url https://a1b2.execute-api.us-east-1.amazonaws.com

Scenarios say what should happen and check it against the answers, and against the queue of the local intake:
  duplicates    one event many times at once: queued once, and known from then on
  out-of-order  what happens to one order, last things first: all of it is queued, each with its own time
  crash         a function that dies before SQS accepted, another after: busy until the lease ends, then queued; the
                other's event twice, under one source and id (the local intake only; takes some 10 s)
  flood         many events at once: each is queued once

Exit code: 0 all answers were 2xx (with --tamper: rejections), 1 not all, 2 the command line cannot be used."))]
pub struct Arguments {
    /// The platform.
    #[arg(value_parser = arguments::provider())]
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
    #[arg(long, default_value = "default", value_parser = arguments::account)]
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
    /// How to sign, where the platform has several ways [default: the oldest that is accepted by default].
    #[arg(long, value_name = "NAME")]
    scheme: Option<String>,
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

/// Whether every answer was as it should be.
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
    let as_expected = results.iter().all(|result| plan.is_as_expected(&result.answer));
    if arguments.json {
        let mut json = summary.as_json(&plan);
        json["as_expected"] = as_expected.into();
        if let [Delivered { answer: Ok(answer), .. }] = &results[..] {
            json["answer"] = json!({"status": answer.status, "outcome": answer.outcome, "id": answer.id});
        }
        print_json(&json)?;
    } else {
        print(summary.as_text(&plan, &results, as_expected))?;
    }
    Ok(as_expected.into())
}

/// What the command line asks for.
fn plan(arguments: &Arguments) -> anyhow::Result<Plan> {
    let provider = arguments.provider;
    let (event, template) = event(provider, arguments.event.as_deref())?;
    let scheme = scheme(arguments)?;
    let secret = arguments.secret.clone().or_else(|| std::env::var("HOOKGATE_SECRET").ok()).map(String::into_bytes);
    let secret = secret.or_else(|| samples::secret(provider, &arguments.account)).with_context(|| {
        format!(
            "there is no sample secret for {}'s account {}: give one with --secret or HOOKGATE_SECRET",
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

/// How to sign: the oldest of the schemes that are accepted by default, unless asked for another.
fn scheme(arguments: &Arguments) -> anyhow::Result<&'static Scheme> {
    let provider = arguments.provider;
    let Some(name) = &arguments.scheme else {
        let oldest = provider.default_schemes().last();
        return oldest.with_context(|| format!("{} has no scheme", provider.name));
    };
    provider.schemes().find(|scheme| scheme.name == name).with_context(|| {
        let names: BTreeSet<_> = provider.schemes().map(|scheme| scheme.name).collect();
        let names: Vec<_> = names.into_iter().collect();
        format!("{} does not sign by {name}: it knows {}", provider.name, names.join(", "))
    })
}
