//! What the page shows of the queues and does with their messages. Looking changes nothing; a release and a redrive are
//! the commands' own.

use std::{collections::HashMap, sync::Arc, time::Duration};

use axum::{
    Json,
    extract::{Path, Query, State},
    http::StatusCode,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use hookgate_event::Event;
use hookgate_intake::{Quarantined, release::Installation};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Answer, Page, Refused, mask};
use crate::{
    client::messages::{Held, name},
    commands::{
        quarantine::{How, Item, Releasing},
        redrive,
    },
    local::engines::{Resources, Seen},
};

/// The most messages of a queue that are shown.
const MOST_MESSAGES: usize = 50;

/// The most of a message that is shown, in bytes.
const MOST_MESSAGE_BYTES: usize = 64 * 1024;

#[derive(Deserialize)]
pub(super) struct Wanted {
    /// The id of a message that is to be among those shown, however old it is.
    message: Option<String>,
}

/// What the queues hold, untouched.
pub(super) async fn queues(State(page): State<Arc<Page>>, Query(wanted): Query<Wanted>) -> Json<Value> {
    let numbers = page.functions.journal.messages();
    let wanted = wanted.message.and_then(|id| page.queues.find(&id));
    Json(page.each_queue(|url| {
        let look = page.queues.look(url, MOST_MESSAGES)?;
        let here = wanted.iter().filter(|seen| seen.place.queue == name(url));
        let beyond = here.filter(|seen| look.latest.iter().all(|shown| shown.place.id != seen.place.id));
        let messages = look.latest.iter().chain(beyond).map(|seen| message(seen, &numbers));
        Some(json!({"waiting": look.waiting, "in_flight": look.in_flight, "messages": messages.collect::<Vec<_>>()}))
    }))
}

/// A message as the page shows it: an event's text, or what a quarantined delivery was; and the delivery that it is from.
fn message(Seen { place, earlier_ids, sent, body }: &Seen, numbers: &HashMap<String, u64>) -> Value {
    let mut ids = earlier_ids.iter().chain([&place.id]);
    let mut shown = json!({
        "id": place.id, "sent": sent, "receives": place.receives, "waiting": place.waiting,
        "number": ids.find_map(|id| numbers.get(id)),
    });
    if let Ok(entry) = serde_json::from_str::<Quarantined>(body) {
        let text = entry.body.as_ref().and_then(|body| BASE64_STANDARD.decode(body).ok());
        shown["reason"] = entry.reason.into();
        shown["provider"] = entry.provider.into();
        shown["account"] = entry.account.into();
        shown["text"] = match text {
            Some(text) => beginning(&mask::body(&String::from_utf8_lossy(&text))),
            None => "(a large body, kept compressed)".into(),
        };
        return shown;
    }
    // As a consumer reads it: a payload may hold what a `Value` cannot.
    if let Ok(event) = Event::from_json(body) {
        shown["type"] = event.event_type.as_str().into();
        shown["provider"] = event.provider.into();
        shown["account"] = event.account.into();
        shown["subject"] = event.subject.into();
    }
    shown["text"] = beginning(body);
    shown
}

fn beginning(text: &str) -> Value {
    if text.len() <= MOST_MESSAGE_BYTES {
        return text.into();
    }
    format!("{}… ({} bytes)", &text[..text.floor_char_boundary(MOST_MESSAGE_BYTES)], text.len()).into()
}

/// How a quarantined message is to be released.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct ReleaseRequest {
    dry_run: bool,
    new_id: bool,
}

/// Releases a message from quarantine, or says what a release would come to.
pub(super) async fn release(
    State(page): State<Arc<Page>>,
    Path(id): Path<String>,
    Json(request): Json<ReleaseRequest>,
) -> Answer {
    // Whoever names one message has looked at it, as with the command.
    let how = How { dry_run: request.dry_run, new_id: request.new_id, too_old: true };
    // As the functions have it, which have checked it.
    let days = std::env::var("CLAIM_TTL_DAYS").ok().and_then(|days| days.parse().ok()).unwrap_or(30);
    let installation = Installation {
        table: page.resources.table.clone(),
        queue_url: page.resources.events_url.clone(),
        claim_ttl: Duration::from_hours(24 * days),
        dynamodb: page.clients.dynamodb.clone(),
        sqs: page.clients.sqs.clone(),
    };
    let releasing = Releasing::new(&page.clients, installation)?;
    let told = async |item: &Item| {
        let done = releasing.one(item, how).await?;
        let mut json = done.json(item, &done.words(how.dry_run), how.dry_run);
        json["leaves"] = done.leaves_quarantine().into();
        anyhow::Ok(json)
    };
    let not_given = || {
        let why = "the quarantine does not give this message: it was released or deleted, or somebody else looks at it and it \
                   comes back within two minutes";
        Refused(StatusCode::NOT_FOUND, why.to_owned())
    };
    let quarantine = &page.resources.quarantine_url;
    if how.dry_run {
        let found = page.queues.find(&id).filter(|seen| seen.place.queue == name(quarantine));
        let Seen { place, body, .. } = found.ok_or_else(not_given)?;
        return Ok(Json(told(&Item::read(place.id, &body)).await?));
    }
    let mut held = Held::new(&page.clients, quarantine);
    let mut released = None;
    while let Some(batch) = held.more(Duration::ZERO).await? {
        if let Some(item) = batch.into_iter().map(Item::from).find(|item| item.message_id == id) {
            released = Some(told(&item).await);
            break;
        }
    }
    if matches!(&released, Some(Ok(json)) if json["leaves"] == true) {
        held.delete(&id).await?;
    }
    held.give_back().await?;
    Ok(Json(released.ok_or_else(not_given)??))
}

/// Moves the dead letters back to their queue.
pub(super) async fn redrive(State(page): State<Arc<Page>>, _: Json<Value>) -> Answer {
    let moved = redrive::redrive(&page.clients, &page.resources.dead_letters_url, None, None, false).await?;
    let mut json = moved.json();
    json["words"] = moved.words().into();
    Ok(Json(json))
}

impl Page {
    /// How many messages the queues hold, and where the message of each delivery is that has one: by the delivery's number,
    /// null where it is on no queue.
    pub(super) fn fullness(&self) -> Value {
        let mut queues = self.each_queue(|url| self.queues.look(url, 0).map(|look| [look.waiting, look.in_flight]));
        let places = self.queues.places(|_| true);
        let messages = self.functions.journal.messages().into_iter();
        queues["fates"] = messages.map(|(id, number)| (number.to_string(), json!(places.get(&id)))).collect();
        queues
    }

    /// What `of` makes of each queue's URL, as the page names the queues.
    fn each_queue<T: Serialize>(&self, of: impl Fn(&str) -> Option<T>) -> Value {
        let Resources { events_url, quarantine_url, dead_letters_url, .. } = &self.resources;
        json!({"events": of(events_url), "quarantine": of(quarantine_url), "dead_letters": of(dead_letters_url)})
    }
}
