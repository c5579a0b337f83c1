//! Scenarios: many deliveries with a known result, and checks of that result.

mod crash;

use std::{collections::BTreeSet, time::Instant};

use anyhow::bail;
use aws_sdk_sqs::types::QueueAttributeName;
use time::{Duration, OffsetDateTime};

use super::{
    plan::Plan,
    sending::{Check, Delivered, Results, label, send_all},
    template::Template,
};
use crate::{client::http::Poster, error::ExitCode, local::engines, output::print};

/// The scenarios.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Scenario {
    /// One event many times at once: queued once, then a duplicate
    Duplicates,
    /// One order's events, the last first: all queued, with their own times
    OutOfOrder,
    /// One function dies before SQS accepts its event, one after: busy until the lease ends, then queued; the second event
    /// twice, with the same source and id (local intake only; takes 10 s)
    Crash,
    /// Many events at once: each is queued once
    Flood,
}

/// Printed in place of a check.
const NOT_LOOKED_AT: &str = "The queue is not checked: it cannot be reached (see --sqs).";

/// Plays a scenario and prints the results.
pub(crate) async fn play(
    scenario: Scenario,
    plan: &Plan,
    poster: &Poster,
    (repeat, concurrency): (Option<u32>, Option<u16>),
    sqs: Option<String>,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let now = OffsetDateTime::now_utc();
    let say = |text: &str| if as_json { Ok(()) } else { print(text) };
    let started = Instant::now();
    if matches!(scenario, Scenario::Crash | Scenario::OutOfOrder) && (repeat.is_some() || concurrency.is_some()) {
        bail!(
            "this scenario always sends the same number of events, in the same order: leave out --repeat and --concurrency"
        );
    }
    let (expected, templates, concurrency, queued) = match scenario {
        Scenario::Crash => {
            let (delivered, checks) = crash::play(plan, poster, sqs, say).await?;
            let scenario = Some((crash::EXPECTED.to_owned(), checks));
            return Results { plan, delivered, elapsed: started.elapsed(), scenario }.show(as_json);
        }
        Scenario::Duplicates => {
            let (count, concurrency) = (repeat.unwrap_or(20), concurrency.unwrap_or(5));
            let expected = format!(
                "{count} copies of one event, {concurrency} at a time: one is queued, all others are duplicates (busy ones \
                 are sent again, as platforms do)."
            );
            (expected, vec![plan.template(now); count as usize], concurrency, 1)
        }
        Scenario::OutOfOrder => {
            let templates = story(plan, now)?;
            let names: Vec<_> = templates.iter().map(|template| template.event.as_str()).collect();
            let expected = format!(
                "The events of one {}, the last first ({}): all are queued as they arrive. Hookgate does not sort; \
                 consumers sort by each event's time and type.",
                plan.provider.kind(&plan.event),
                names.join(", ")
            );
            let queued = templates.len();
            // One at a time: the order is the point.
            (expected, templates, 1, queued)
        }
        Scenario::Flood => {
            let (count, concurrency) = (repeat.unwrap_or(500), concurrency.unwrap_or(32));
            let expected = format!(
                "{count} events, {concurrency} at a time: each is queued once (busy ones are sent again, as platforms \
                 do)."
            );
            let templates: Vec<_> = (0..count).map(|_| plan.template(now)).collect();
            let queued = templates.len();
            (expected, templates, concurrency, queued)
        }
    };
    say(&expected)?;
    let queue = sqs.map(|sqs| aws_sdk_sqs::Client::new(&engines::sdk_config(sqs)));
    let before = waiting(queue.as_ref()).await;
    let deliveries = templates.iter().map(|template| plan.outgoing(template, OffsetDateTime::now_utc()));
    let delivered = send_all(poster, deliveries, concurrency.into(), true).await?;
    let mut checks = answers(queued, &delivered);
    match (before, waiting(queue.as_ref()).await) {
        (Some(before), Some(after)) => checks.push(Check {
            what: format!("the queue grows by {queued} (if nothing else sends or receives meanwhile)"),
            found: format!("{before} before, {after} after"),
            right: after == before + queued as u64,
        }),
        _ => say(NOT_LOOKED_AT)?,
    }
    Results { plan, delivered, elapsed: started.elapsed(), scenario: Some((expected, checks)) }.show(as_json)
}

/// Checks of the answers.
fn answers(queued: usize, results: &[Delivered]) -> Vec<Check> {
    let count = |outcome: &str| results.iter().filter(|result| label(&result.answer) == outcome).count();
    let ids: BTreeSet<_> = results.iter().filter_map(|result| result.answer.as_ref().ok()?.id.as_ref()).collect();
    let check = |what: &str, wanted: usize, found: usize| Check {
        what: format!("{wanted} {what}"),
        found: found.to_string(),
        right: wanted == found,
    };
    vec![
        check("queued", queued, count("queued")),
        check("duplicate", results.len() - queued, count("duplicate")),
        check("different id(s)", queued, ids.len()),
    ]
}

/// All events about one resource of the plan's kind, a minute apart, the last first.
fn story(plan: &Plan, now: OffsetDateTime) -> anyhow::Result<Vec<Template>> {
    let about = plan.provider.kind(&plan.event);
    let names = plan.provider.events.iter().map(|(name, _)| *name);
    let names: Vec<_> = names.filter(|name| plan.provider.kind(name) == about).collect();
    if names.len() < 2 {
        bail!(
            "{} has one event about a {about}, and --scenario out-of-order needs two: choose another",
            plan.provider.name
        );
    }
    let resource = plan.template(now).resource_id();
    let mut minutes = 0;
    let told = names.iter().rev().filter_map(|name| {
        let template = Template::of(plan.provider, name)?;
        let mut told = Plan { template, ..plan.clone() }.template(now - Duration::minutes(minutes));
        minutes += 1;
        if let Some(resource) = &resource {
            told.set_resource_id(resource);
        }
        Some(told)
    });
    Ok(told.collect())
}

/// The address of the local intake's queue. None if it does not answer.
async fn events_queue(sqs: &aws_sdk_sqs::Client) -> Option<String> {
    sqs.get_queue_url().queue_name("hookgate-events").send().await.ok()?.queue_url
}

/// How many messages the queue holds, visible or not. Reads its attributes only: a receive would count, and the journal does
/// not keep as many events as a flood may send.
async fn waiting(sqs: Option<&aws_sdk_sqs::Client>) -> Option<u64> {
    const NUMBERS: [QueueAttributeName; 3] = [
        QueueAttributeName::ApproximateNumberOfMessages,
        QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
        QueueAttributeName::ApproximateNumberOfMessagesDelayed,
    ];
    let sqs = sqs?;
    let url = events_queue(sqs).await?;
    let ask = sqs.get_queue_attributes().queue_url(url).set_attribute_names(Some(NUMBERS.to_vec()));
    let numbers = ask.send().await.ok()?.attributes?;
    Some(numbers.values().filter_map(|number| number.parse::<u64>().ok()).sum())
}
