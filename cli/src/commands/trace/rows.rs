//! The timeline: what happened, oldest first, and what the tables say now.

use std::collections::BTreeSet;

use hookgate_intake::claim::{State, Stored};
use hookgate_verify::rfc3339_milliseconds;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::{EventKey, Traced, said};
use crate::{
    client::aws::Queue,
    commands::claims::Item,
    local::{
        engines::{Step, What},
        page::trace::Known,
    },
    output::{DIM, plain},
};

/// One thing that happened, or is so now.
pub(super) struct Row {
    /// Unix milliseconds. None for now.
    at: Option<i64>,
    place: String,
    what: String,
    detail: String,
    /// The event's id.
    id: String,
    message_id: String,
}

impl Row {
    pub(super) fn json(&self) -> Value {
        let Row { at, place, what, detail, id, message_id } = self;
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        json!({
            "time": at.map(time), "where": place, "what": what, "detail": some(detail), "id": id,
            "message_id": some(message_id),
        })
    }
}

/// The lines of the timeline, as columns.
pub(super) fn columns(rows: &[Row]) -> Vec<String> {
    let cells = rows.iter().map(|row| {
        let time = row.at.map_or_else(|| "now".to_owned(), time);
        [time, plain(&row.place), plain(&row.what), plain(&row.detail), plain(&row.id), plain(&row.message_id)]
    });
    let cells: Vec<_> = cells.collect();
    let width = |column: usize| cells.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: [usize; 6] = std::array::from_fn(width);
    let line = |row: &[String; 6]| {
        let padded = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        let line = padded.collect::<Vec<_>>().join("  ");
        let (time, rest) = line.trim_end().split_at(widths[0].min(line.trim_end().len()));
        format!("{DIM}{time}{DIM:#}{rest}")
    };
    cells.iter().map(line).collect()
}

/// What happened since then, oldest first, and then what the tables say at `now`. Times are in Unix milliseconds.
pub(super) fn timeline(known: &Known, traced: &[Traced], latest: &[Item], since: i64, now: i64) -> Vec<Row> {
    let deliveries = known.deliveries.iter().map(|log| {
        let detail = ["type", "subject", "reason", "error"].map(|name| said(log, name));
        Row {
            at: log.get("_aws").and_then(|aws| aws["Timestamp"].as_i64()).or(Some(0)),
            place: "delivery".to_owned(),
            what: said(log, "outcome").to_owned(),
            detail: detail.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(" "),
            id: said(log, "id").to_owned(),
            message_id: said(log, "message_id").to_owned(),
        }
    });
    let ids: Vec<_> = traced.iter().map(|event| (&event.key, messages(known, &event.key))).collect();
    let steps = known.steps.iter().filter_map(|step| {
        let (key, _) = ids.iter().find(|(_, messages)| messages.contains(&*step.message_id))?;
        Some(of_step(step, &key.id))
    });
    // Of the same millisecond, a delivery came before its message.
    let mut rows: Vec<_> = deliveries.chain(steps).filter(|row| row.at >= Some(since)).collect();
    rows.sort_by_key(|row| row.at);
    for Traced { key, claim, marks } in traced {
        let id = key.id.clone();
        rows.extend(claim.iter().map(|claim| {
            let (what, meaning) = claim.meaning(now);
            let detail = match &claim.stored {
                Some(Stored { owner, state: State::Claimed { .. }, .. }) => format!("{meaning} (request {owner})"),
                Some(_) => String::new(),
                None => meaning,
            };
            let message_id = claim.message_id.clone().unwrap_or_default();
            Row { at: None, place: "claim".to_owned(), what: what.to_owned(), detail, id: id.clone(), message_id }
        }));
        rows.extend(marks.iter().map(|(replay, item)| {
            let (what, mut detail) = mark(item, now);
            if let Some(name) = replay {
                detail = format!("replay {name}, {detail}");
            }
            consumer(what, detail, id.clone())
        }));
    }
    rows.extend(latest.iter().map(|item| {
        let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok()).map_or("", String::as_str);
        // A sort key is time, stage and id.
        let id = text("sort_key").splitn(3, ' ').nth(2).unwrap_or_default();
        consumer("latest", format!("{} {}", text("type"), text("status")).trim_end().to_owned(), id.to_owned())
    }));
    rows
}

fn consumer(what: &str, detail: String, id: String) -> Row {
    Row { at: None, place: "consumer".to_owned(), what: what.to_owned(), detail, id, message_id: String::new() }
}

fn of_step(step: &Step, id: &str) -> Row {
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
    let (place, what, id, message_id) = (place.to_owned(), what.to_owned(), id.to_owned(), step.message_id.clone());
    Row { at: Some(signed(step.at)), place, what, detail, id, message_id }
}

/// The name of a consumer's mark at `now`, in Unix milliseconds, and an explanation.
pub(super) fn mark(item: &Item, now: i64) -> (&'static str, String) {
    let number = |name: &str| item.get(name)?.as_n().ok()?.parse::<i64>().ok();
    let expires_at = number("expires_at").map(|seconds| seconds.saturating_mul(1000));
    let owner = item.get("owner").and_then(|owner| owner.as_s().ok()).map_or("unknown", String::as_str);
    match (expires_at, number("lease_until")) {
        // DynamoDB may not have deleted it yet.
        (Some(expiry), _) if expiry < now => ("forgotten", format!("the mark expired at {}", time(expiry))),
        (_, Some(lease)) if lease < now => {
            ("abandoned", format!("the lease of {owner} ended at {} without a mark", time(lease)))
        }
        (_, Some(lease)) => ("leased", format!("by {owner} until {}", time(lease))),
        (Some(expiry), None) => ("handled", format!("remembered until {}", time(expiry))),
        (None, None) => ("handled", "remembered for good".to_owned()),
    }
}

/// The ids of an event's messages, with those that they had before a redrive.
pub(super) fn messages<'k>(known: &'k Known, key: &EventKey) -> BTreeSet<&'k str> {
    let is =
        |provider: &str, account: &str, id: &str| [provider, account, id] == [&*key.provider, &*key.account, &*key.id];
    let sent = known.messages.iter().filter(|sent| is(&sent.provider, &sent.account, &sent.id));
    let logged = known.deliveries.iter().filter(|log| is(said(log, "provider"), said(log, "account"), said(log, "id")));
    let ids = sent.map(|sent| &*sent.message_id).chain(logged.map(|log| said(log, "message_id")));
    let mut ids: BTreeSet<_> = ids.filter(|id| !id.is_empty()).collect();
    for step in known.steps.iter().rev() {
        if let What::Redriven { earlier_id } = &step.what
            && ids.contains(&*step.message_id)
        {
            ids.insert(earlier_id);
        }
    }
    ids
}

/// The names under which an event was replayed.
pub(super) fn replays(known: &Known, key: &EventKey) -> BTreeSet<String> {
    let ids = messages(known, key);
    let sent = known.steps.iter().filter_map(|step| match &step.what {
        What::Sent { replay: Some(name) } if ids.contains(&*step.message_id) => Some(name.clone()),
        _ => None,
    });
    sent.collect()
}

pub(super) fn signed(milliseconds: u64) -> i64 {
    i64::try_from(milliseconds).unwrap_or(i64::MAX)
}

/// Unix milliseconds as RFC 3339.
pub(super) fn time(milliseconds: i64) -> String {
    let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(milliseconds) * 1_000_000);
    time.map_or_else(|_| milliseconds.to_string(), rfc3339_milliseconds)
}
