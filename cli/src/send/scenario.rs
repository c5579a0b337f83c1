//! What should happen to many deliveries together, and whether it does.

use std::{collections::BTreeSet, fmt::Write, time::Instant};

use anstyle::AnsiColor;
use aws_sdk_sqs::types::QueueAttributeName;
use serde_json::json;
use time::{Duration, OffsetDateTime};

use super::{Delivered, Plan, Summary, Template, hints, label, send_all};
use crate::{engines, http::Poster, usage::UsageError};

/// A story with a known end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Scenario {
    /// One event many times at once.
    Duplicates,
    /// What happens to one order, last things first.
    OutOfOrder,
    /// Many events at once.
    Flood,
}

/// One thing that must be so.
struct Check {
    what: String,
    found: String,
    right: bool,
}

/// Plays it, shows what came of it, and tells whether all of it is as it should be.
pub(super) async fn play(
    scenario: Scenario,
    plan: &Plan,
    poster: &Poster,
    (repeat, concurrency): (Option<u64>, Option<u64>),
    sqs: Option<String>,
    as_json: bool,
) -> Result<bool, UsageError> {
    let now = OffsetDateTime::now_utc();
    let (templates, concurrency) = match scenario {
        Scenario::Duplicates => {
            let one = plan.template(now);
            ((0..repeat.unwrap_or(20)).map(|_| one.clone()).collect(), concurrency.unwrap_or(5))
        }
        // One at a time: the order is the point.
        Scenario::OutOfOrder => (story(plan, now)?, 1),
        Scenario::Flood => {
            ((0..repeat.unwrap_or(500)).map(|_| plan.template(now)).collect(), concurrency.unwrap_or(32))
        }
    };
    let count = templates.len() as u64;
    let expected = match scenario {
        Scenario::Duplicates => format!(
            "{count} copies of one event, {concurrency} at a time: one is queued, every other is known (busy ones are \
             sent again, as platforms do)."
        ),
        Scenario::OutOfOrder => {
            let names: Vec<_> = templates.iter().map(|template: &Template| template.event.as_str()).collect();
            format!(
                "One story, last things first ({}): all are queued as they come. Hookgate does not sort; consumers go \
                 by each event's time.",
                names.join(", ")
            )
        }
        Scenario::Flood => format!(
            "{count} events, {concurrency} at a time: each is queued once (busy ones are sent again, as platforms do)."
        ),
    };
    if !as_json {
        anstream::println!("{expected}");
    }

    let queue = sqs.map(|sqs| aws_sdk_sqs::Client::new(&engines::sdk_config(sqs)));
    let before = waiting(queue.as_ref()).await;
    let started = Instant::now();
    let results = {
        let plan = plan.clone();
        let make = move |number| {
            let template = usize::try_from(number).ok().and_then(|number| templates.get(number));
            plan.outgoing(template.unwrap_or(&plan.template), OffsetDateTime::now_utc())
        };
        send_all(poster, make, count, concurrency, true).await?
    };
    let summary = Summary::of(&results, started.elapsed());
    let mut checks = answers(scenario, &results);
    let queued = if scenario == Scenario::Duplicates { 1 } else { count };
    match (before, waiting(queue.as_ref()).await) {
        (Some(before), Some(after)) => checks.push(Check {
            what: format!("the queue grows by {queued} (if nothing else sends or reads meanwhile)"),
            found: format!("{before} before, {after} after"),
            right: after == before + queued,
        }),
        _ if as_json => {}
        _ => anstream::println!("The queue is not looked at: it cannot be reached (--sqs)."),
    }

    let as_expected = checks.iter().all(|check| check.right);
    if as_json {
        let mut json = summary.as_json(plan);
        let list = checks.iter().map(|c| json!({"check": c.what, "found": c.found, "right": c.right})).collect();
        json["scenario"] = expected.into();
        json["checks"] = serde_json::Value::Array(list);
        json["as_expected"] = as_expected.into();
        anstream::println!("{json:#}");
    } else {
        let mut text = summary.as_text(plan, &results, true);
        for Check { what, found, right } in &checks {
            let (colour, mark) = if *right { (AnsiColor::Green, "✓") } else { (AnsiColor::Red, "✗") };
            let colour = colour.on_default().bold();
            let _ = writeln!(text, "{colour}{mark}{colour:#} {what}: {found}");
        }
        anstream::print!("{text}{}", hints(plan, &results, as_expected));
    }
    Ok(as_expected)
}

/// What the answers must say.
fn answers(scenario: Scenario, results: &[Delivered]) -> Vec<Check> {
    let count = |outcome: &str| results.iter().filter(|result| label(&result.answer) == outcome).count();
    let ids: BTreeSet<_> = results.iter().filter_map(|result| result.answer.as_ref().ok()?.id.as_ref()).collect();
    let (queued, duplicates) = match scenario {
        Scenario::Duplicates => (1, results.len() - 1),
        Scenario::OutOfOrder | Scenario::Flood => (results.len(), 0),
    };
    let check = |what: &str, wanted: usize, found: usize| Check {
        what: format!("{wanted} {what}"),
        found: found.to_string(),
        right: wanted == found,
    };
    vec![
        check("queued", queued, count("queued")),
        check("duplicate", duplicates, count("duplicate")),
        check("different id(s)", queued, ids.len()),
    ]
}

/// All events of the platform about one resource like the plan's, a minute apart, the last first.
fn story(plan: &Plan, now: OffsetDateTime) -> Result<Vec<Template>, UsageError> {
    let kind = |event: &str| event.split(['.', ':']).next().unwrap_or_default().to_owned();
    let about = kind(&plan.event);
    let names: Vec<_> = plan.provider.events.iter().map(|(name, _)| *name).filter(|name| kind(name) == about).collect();
    if names.len() < 2 {
        return Err(UsageError(format!(
            "{} has one event about a {about}, and a story needs two: choose another event",
            plan.provider.name
        )));
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

/// How many messages the queue holds, in sight or not. Asks only: a look at the messages would count as a delivery.
async fn waiting(sqs: Option<&aws_sdk_sqs::Client>) -> Option<u64> {
    const NUMBERS: [QueueAttributeName; 3] = [
        QueueAttributeName::ApproximateNumberOfMessages,
        QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
        QueueAttributeName::ApproximateNumberOfMessagesDelayed,
    ];
    let sqs = sqs?;
    let url = sqs.get_queue_url().queue_name("hookgate-events").send().await.ok()?.queue_url?;
    let ask = sqs.get_queue_attributes().queue_url(url).set_attribute_names(Some(NUMBERS.to_vec()));
    let numbers = ask.send().await.ok()?.attributes?;
    Some(numbers.values().filter_map(|number| number.parse::<u64>().ok()).sum())
}
