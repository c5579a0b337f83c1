//! The timeline: what happened, oldest first, and what the tables say now; and where an event is now, in words.

use std::collections::BTreeMap;

use hookgate_intake::claim::{State, Stored};
use hookgate_verify::rfc3339_milliseconds;
use serde::Serialize;
use serde_json::{Map, Value};

use super::Traced;
use crate::{
    client::aws::Queue,
    commands::claims::{Claim, Item, number, text},
    local::{
        engines::{Place, Step, What},
        page::trace::{EventKey, Known},
    },
    output::{DIM, moment, plain},
};

/// One thing that happened, or is so now.
#[derive(Debug, Default, Serialize)]
pub(super) struct Row {
    /// None for now.
    pub(super) time: Option<String>,
    r#where: String,
    what: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    detail: String,
    /// The event's.
    id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    message_id: String,
}

/// The lines of the timeline, as columns.
pub(super) fn columns(rows: &[Row]) -> Vec<String> {
    let cells = rows.iter().map(|row| {
        let time = row.time.as_deref().unwrap_or("now");
        [time, &row.r#where, &row.what, &row.detail, &row.id, &row.message_id].map(plain)
    });
    let cells: Vec<_> = cells.collect();
    let width = |column: usize| cells.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: [usize; 6] = std::array::from_fn(width);
    let line = |[time, rest @ ..]: &[String; 6]| {
        let rest: Vec<_> = rest.iter().zip(&widths[1..]).map(|(cell, width)| format!("{cell:<width$}")).collect();
        format!("{DIM}{time:<0$}{DIM:#}  {1}", widths[0], rest.join("  ").trim_end())
    };
    cells.iter().map(line).collect()
}

/// What happened to the events, oldest first, and what the tables say at `now`, in Unix milliseconds.
pub(super) fn timeline(known: &Known, traced: &[Traced], latest: &[Item], now: i64) -> Vec<Row> {
    // Of the same millisecond, a delivery came before its message.
    let mut rows: Vec<_> = known.deliveries.iter().map(of_delivery).collect();
    rows.extend(known.steps.iter().map(|(key, step)| of_step(key, step)));
    rows.sort_by(|a, b| a.time.cmp(&b.time));
    for Traced { key, claim, marks } in traced {
        rows.extend(claim.iter().map(|claim| of_claim(&key.id, claim, now)));
        rows.extend(marks.iter().map(|(replay, item)| {
            let (what, detail) = mark(item, now);
            let of = replay.as_ref().map_or_else(String::new, |name| format!("replay {name}, "));
            of_consumer(what, format!("{of}{detail}"), &key.id)
        }));
    }
    rows.extend(latest.iter().map(|item| {
        let text = |name: &str| text(item, name).unwrap_or_default();
        // A sort key is time, stage and id.
        let id = text("sort_key").splitn(3, ' ').nth(2).unwrap_or_default();
        of_consumer("latest", format!("{} {}", text("type"), text("status")).trim_end().to_owned(), id)
    }));
    rows
}

fn of_delivery(log: &Map<String, Value>) -> Row {
    let said = |name: &str| log.get(name).and_then(Value::as_str).unwrap_or_default();
    let detail = ["type", "subject", "reason", "error"].map(said).into_iter().filter(|text| !text.is_empty());
    Row {
        time: Some(time(log.get("_aws").and_then(|aws| aws["Timestamp"].as_i64()).unwrap_or_default())),
        r#where: "delivery".to_owned(),
        what: said("outcome").to_owned(),
        detail: detail.collect::<Vec<_>>().join(" "),
        id: said("id").to_owned(),
        message_id: said("message_id").to_owned(),
    }
}

fn of_step(key: &EventKey, step: &Step) -> Row {
    let place = match Queue::named(&step.queue) {
        Some(Queue::Events) => "queue",
        Some(Queue::DeadLetters) => "dead letters",
        Some(Queue::Quarantine) => "quarantine",
        None => &step.queue,
    };
    let (what, detail) = match &step.what {
        What::Sent { replay: None } => ("sent", String::new()),
        What::Sent { replay: Some(name) } => ("replayed", name.clone()),
        What::Received { receives, most, hidden_until } => {
            let of = most.map_or_else(String::new, |most| format!(" of {most}"));
            ("received", format!("{receives}{of}, hidden for {} s", hidden_until.saturating_sub(step.at) / 1000))
        }
        What::Moved { receives } => ("moved here", format!("after {receives} receives")),
        What::Redriven { earlier_id } => ("redriven", format!("was {earlier_id}")),
        What::Deleted => ("deleted", String::new()),
        What::Expired => ("expired", "the queue's retention period was over".to_owned()),
        What::Purged => ("purged", String::new()),
    };
    let (time, message_id) = (Some(time_of(step)), step.message_id.clone());
    Row { time, r#where: place.to_owned(), what: what.to_owned(), detail, id: key.id.clone(), message_id }
}

fn of_claim(id: &str, claim: &Claim, now: i64) -> Row {
    let (what, meaning) = claim.meaning(now);
    let detail = match &claim.stored {
        Some(Stored { owner, state: State::Claimed { .. }, .. }) => format!("{meaning} (request {owner})"),
        Some(_) => claim.released_from().map_or_else(String::new, |id| format!("released from quarantine, was {id}")),
        None => meaning,
    };
    let message_id = claim.message_id.clone().unwrap_or_default();
    Row { time: None, r#where: "claim".to_owned(), what: what.to_owned(), detail, id: id.to_owned(), message_id }
}

fn of_consumer(what: &str, detail: String, id: &str) -> Row {
    let (what, id) = (what.to_owned(), id.to_owned());
    Row { r#where: "consumer".to_owned(), what, detail, id, ..Row::default() }
}

/// The name of a consumer's mark at `now`, in Unix milliseconds, and an explanation.
fn mark(item: &Item, now: i64) -> (&'static str, String) {
    let expiry = number(item, "expires_at").map_or(i64::MAX, |seconds| seconds.saturating_mul(1000));
    let owner = text(item, "owner").unwrap_or("unknown");
    match number(item, "lease_until") {
        // DynamoDB may not have deleted it yet.
        _ if expiry < now => ("forgotten", format!("the mark expired at {}", time(expiry))),
        Some(lease) if lease < now => {
            ("abandoned", format!("the lease of {owner} ended at {} without a mark", time(lease)))
        }
        Some(lease) => ("leased", format!("by {owner} until {}", time(lease))),
        None => ("handled", format!("remembered until {}", time(expiry))),
    }
}

/// Where an event is: the name of the place, and a sentence without its full stop.
pub(super) fn whereabouts(
    event: &Traced,
    traced: &[Traced],
    known: &Known,
    is_local: bool,
    now: i64,
) -> (&'static str, String) {
    let steps = || known.steps.iter().rev().filter(|(key, _)| *key == event.key).map(|(_, step)| step);
    let places = steps().filter_map(|step| known.places.get(&step.message_id)).map(|place| (&place.id, place));
    let places: BTreeMap<_, _> = places.collect();
    let arrived =
        |place: &Place| steps().find(|step| step.message_id == place.id && !matches!(step.what, What::Received { .. }));
    let mut here: Vec<_> =
        places.values().map(|place| (arrived(place).map_or_else(String::new, time_of), place)).collect();
    here.sort_by(|(a, _), (b, _)| a.cmp(b));
    let several = here.len() > 1;
    let mut words: Vec<_> = here.iter().map(|(since, place)| on_a_queue(place, since, several)).collect();
    if let (true, Some(last)) = (words.is_empty(), steps().next()) {
        let (name, what) = match last.what {
            What::Expired => ("expired", "its message expired on"),
            What::Purged => ("purged", "its message was purged from"),
            _ if Queue::named(&last.queue) == Some(Queue::Quarantine) => {
                let mut claims = traced.iter().filter_map(|event| event.claim.as_ref());
                let released = claims.any(|claim| claim.released_from() == Some(&last.message_id));
                ("deleted", if released { "it was released from" } else { "it was released or deleted from" })
            }
            _ => ("deleted", "its message was deleted from"),
        };
        words.push((name, format!("{what} {} at {}", plain(&last.queue), time_of(last))));
    } else if words.is_empty() {
        let none = || ("unknown", "it has no claim: it was not queued, or its claim has been deleted since".to_owned());
        let (name, meaning) = event.claim.as_ref().map_or_else(none, |claim| claim.meaning(now));
        let last = known.deliveries.iter().rev().find(|log| EventKey::of(log).as_ref() == Some(&event.key));
        let has_crashed = last.is_some_and(|log| log.get("outcome").is_some_and(|outcome| outcome == "crashed"));
        let meaning = if has_crashed && name == "claimed" {
            "its invocation crashed; when the lease is over, the platform's next attempt takes over".to_owned()
        } else {
            meaning
        };
        let sent = matches!(name, "queued" | "quarantined") && !is_local;
        let still = if sent { "; SQS does not say whether it is still there" } else { "" };
        words.push((name, format!("{meaning}{still}")));
    }
    words.extend(event.marks.iter().map(|(replay, item)| {
        let (what, detail) = mark(item, now);
        let of = replay.as_ref().map_or_else(String::new, |name| format!(" (replay {})", plain(name)));
        match what {
            "handled" => (what, format!("the consumer has handled it{of}")),
            _ => (what, format!("the consumer's mark{of} is {what}: {}", plain(&detail))),
        }
    }));
    // A message that is still there counts before a mark.
    let name = if places.is_empty() { words.last() } else { words.first() }.map_or("unknown", |(name, _)| name);
    (name, words.into_iter().map(|(_, words)| words).collect::<Vec<_>>().join("; "))
}

/// Where a message is; with its id, if it is one of several.
fn on_a_queue(place: &Place, since: &str, is_one_of_several: bool) -> (&'static str, String) {
    let Place { id, queue, receives, most_receives, waiting, .. } = place;
    let of = most_receives.map_or_else(String::new, |most| format!(" of {most}"));
    let message = if is_one_of_several { format!("message {id} ") } else { String::new() };
    match Queue::named(queue) {
        Some(Queue::DeadLetters) => {
            ("dead letters", format!("in the dead-letter queue since {since}: fix the consumer, then hookgate redrive"))
        }
        Some(Queue::Quarantine) => {
            ("quarantine", format!("in quarantine since {since}: hookgate quarantine show {id}"))
        }
        _ if *waiting => {
            ("queue", format!("{message}waiting on {} since {since}, received {receives}{of} times", plain(queue)))
        }
        _ => ("queue", format!("{message}hidden on {} by receive {receives}{of}, there since {since}", plain(queue))),
    }
}

fn time_of(step: &Step) -> String {
    time(i64::try_from(step.at).unwrap_or(i64::MAX))
}

/// Unix milliseconds as RFC 3339.
fn time(milliseconds: i64) -> String {
    moment(milliseconds).map_or_else(|| "the end of time".to_owned(), rfc3339_milliseconds)
}
