//! What the page shows: a delivery and why it came out as it did, its claim, the queues. Changes nothing.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use hookgate_intake::Quarantined;
use hookgate_verify::Delivery;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;

use super::{Page, gone, mask, refused};
use crate::{
    capture, explain,
    local::{
        engines::{Resources, Seen},
        journal::RecordedDelivery,
    },
};

/// The most messages of a queue that are shown.
const MOST_MESSAGES: usize = 50;

/// The most of a message that is shown, in bytes.
const MOST_MESSAGE_BYTES: usize = 64 * 1024;

/// One delivery with everything that is known of it and does not change.
pub(super) async fn delivery(State(page): State<Arc<Page>>, Path(number): Path<u64>) -> Response {
    let Some(taken) = page.functions.journal.get(number) else { return gone() };
    // Explaining a signature that does not match takes hundreds of MACs.
    let described = tokio::task::spawn_blocking(move || page.describe(&taken)).await;
    described.map_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response(), |json| Json(json).into_response())
}

/// What the table knows of a delivery's event, and where its message is.
pub(super) async fn claim(State(page): State<Arc<Page>>, Path(number): Path<u64>) -> Response {
    let Some(taken) = page.functions.journal.get(number) else { return gone() };
    let key = taken.said("key");
    if key.is_empty() {
        return Json(json!({"key": null})).into_response();
    }
    let pk = aws_sdk_dynamodb::types::AttributeValue::S(key.to_owned());
    let call = page.dynamodb.get_item().table_name(&page.resources.table).key("pk", pk).consistent_read(true);
    let Ok(found) = call.send().await else {
        return refused(StatusCode::BAD_GATEWAY, "the local DynamoDB does not answer");
    };
    let item: Option<Map<String, Value>> = found.item.map(|item| {
        let text = |value: &aws_sdk_dynamodb::types::AttributeValue| {
            value.as_s().or_else(|_| value.as_n()).map_or(Value::Null, |text| text.as_str().into())
        };
        item.iter().map(|(name, value)| (name.clone(), text(value))).collect()
    });
    let message_id = item.as_ref().and_then(|item| item.get("message_id")?.as_str());
    let message = message_id
        .and_then(|id| page.queues.find(id))
        .map(|(queue, seen)| json!({"queue": queue, "receives": seen.receives, "waiting": seen.waiting}));
    let now = OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000;
    Json(json!({"key": key, "item": item, "message": message, "now": i64::try_from(now).unwrap_or_default()}))
        .into_response()
}

/// What the queues hold, untouched.
pub(super) async fn queues(State(page): State<Arc<Page>>) -> Response {
    let held = |url: &str| {
        let look = page.queues.look(url, MOST_MESSAGES)?;
        let messages: Vec<_> = look.latest.iter().map(message).collect();
        Some(json!({"waiting": look.waiting, "in_flight": look.in_flight, "messages": messages}))
    };
    let Resources { events_url, quarantine_url, dead_letters_url, .. } = &page.resources;
    Json(json!({
        "events": held(events_url),
        "quarantine": held(quarantine_url),
        "dead_letters": held(dead_letters_url),
    }))
    .into_response()
}

/// A message as the page shows it: an event's text, or what a quarantined delivery was.
fn message(seen: &Seen) -> Value {
    let mut shown = json!({"id": seen.id, "sent": seen.sent, "receives": seen.receives, "waiting": seen.waiting});
    if let Ok(entry) = serde_json::from_str::<Quarantined>(&seen.body) {
        let body = entry.body.as_ref().and_then(|body| BASE64_STANDARD.decode(body).ok());
        shown["reason"] = entry.reason.into();
        shown["provider"] = entry.provider.into();
        shown["account"] = entry.account.into();
        shown["text"] = match body {
            Some(body) => beginning(&mask::body(&String::from_utf8_lossy(&body))),
            None => "(a large body, kept compressed)".into(),
        };
    } else {
        // As a consumer reads it: a payload may hold what a `Value` cannot.
        let event = hookgate_event::Event::from_json(&seen.body).ok();
        shown["type"] = event.as_ref().map(|event| event.event_type.as_str()).into();
        shown["provider"] = event.as_ref().map(|event| event.provider.clone()).into();
        shown["account"] = event.as_ref().map(|event| event.account.clone()).into();
        shown["subject"] = event.and_then(|event| event.subject).into();
        shown["text"] = beginning(&seen.body);
    }
    shown
}

fn beginning(text: &str) -> Value {
    if text.len() <= MOST_MESSAGE_BYTES {
        return text.into();
    }
    format!("{}… ({} bytes)", &text[..text.floor_char_boundary(MOST_MESSAGE_BYTES)], text.len()).into()
}

#[derive(Deserialize)]
pub(super) struct Wanted {
    text: String,
}

/// The numbers of the deliveries in whose body or headers a text stands.
pub(super) async fn search(State(page): State<Arc<Page>>, Query(Wanted { text }): Query<Wanted>) -> Response {
    let text = text.to_lowercase();
    let all = page.functions.journal.all();
    let search = move || {
        let has = |bytes: &[u8]| String::from_utf8_lossy(bytes).to_lowercase().contains(&text);
        let matches = |taken: &RecordedDelivery| {
            let mut headers = taken.headers.iter();
            has(&taken.body) || headers.any(|(name, value)| has(name.as_str().as_bytes()) || has(value.as_bytes()))
        };
        all.iter().filter(|taken| matches(taken)).map(|taken| taken.number).collect::<Vec<_>>()
    };
    let found = tokio::task::spawn_blocking(search).await.unwrap_or_default();
    Json(json!({"numbers": found})).into_response()
}

impl Page {
    fn describe(&self, taken: &RecordedDelivery) -> Value {
        let text = String::from_utf8_lossy(&taken.body);
        let (explanation, event) = self.explain(taken).unzip();
        let mut log = taken.log.clone();
        log.remove("_aws");
        let target = match taken.target.query() {
            Some(query) => format!("{}?{}", taken.target.path(), mask::query(query)),
            None => taken.target.path().to_owned(),
        };
        json!({
            "summary": taken.summary(),
            "target": target,
            "headers": headers(&taken.headers),
            "body": mask::body(&text),
            "body_masked": mask::body(&text) != text,
            "body_is_text": std::str::from_utf8(&taken.body).is_ok(),
            "body_kept": taken.body.len(),
            "words": words(taken),
            "explanation": explanation,
            "event": event.flatten(),
            "log": log,
        })
    }

    /// What `hookgate explain` says of it, as if it were asked when the delivery came; and the normalised event, where
    /// there is one. None where there is nothing to explain.
    fn explain(&self, taken: &RecordedDelivery) -> Option<(Value, Option<String>)> {
        if matches!(taken.said("reason"), "address" | "body_not_base64") || !taken.is_whole() {
            return None;
        }
        let platform = self.platforms.get(taken.said("provider"))?;
        let received = i128::from(taken.received()) * 1_000_000;
        let received = OffsetDateTime::from_unix_timestamp_nanos(received).ok()?;
        let (headers, body) = (taken.headers.clone(), taken.body.clone());
        let request = capture::Request {
            form: "raw HTTP",
            method: taken.method.to_string(),
            path: taken.target.path().to_owned(),
            headers: headers.clone(),
            body: body.clone(),
            received: Some(received),
            note: None,
        };
        let account = explain::account(&request.path, platform.verifier.provider()).unwrap_or_default();
        let explanation = explain::explain(&request, platform.verifier, &platform.secrets, &account, received);
        let delivery = Delivery { headers, body, account, received };
        let proof = platform.verifier.authenticate(&delivery, &platform.secrets).ok();
        let event = proof.and_then(|proof| Some(proof.read().ok()?.event.to_json()));
        Some((json!(explanation), event))
    }
}

fn headers(headers: &HeaderMap) -> Value {
    let shown = headers.iter().map(|(name, value)| {
        let text = String::from_utf8_lossy(value.as_bytes());
        let masked = mask::header(name.as_str(), &text);
        json!({"name": name.as_str(), "masked": masked.is_some(), "value": masked.unwrap_or(text.into_owned())})
    });
    shown.collect()
}

/// What became of a delivery, in a sentence.
fn words(taken: &RecordedDelivery) -> String {
    let (outcome, reason, error) = (taken.said("outcome"), taken.said("reason"), taken.said("error"));
    match (outcome, reason) {
        ("queued", _) => "Authentic and new: its event is on the queue.".into(),
        ("duplicate", _) => "Authentic and known: it was taken before, and nothing was queued again.".into(),
        ("quarantined", "key_conflict") => {
            "Authentic, but its id already stands for other content: it is in quarantine.".into()
        }
        ("quarantined", "too_old") => {
            "Authentic, but older than MAX_EVENT_AGE_DAYS, so that no claim could tell it from a replay: it is in \
             quarantine."
                .into()
        }
        ("quarantined", _) => format!("Authentic, but no event that can be read ({reason}): it is in quarantine."),
        ("ping", _) => "The platform tries the address; nothing is signed, claimed or queued.".into(),
        ("rejected", "method") => "Not a POST: nothing else was looked at.".into(),
        ("rejected", "address") => {
            "Its address names no account: an account is 1 to 64 of a-z, 0-9 and -. Nothing else was looked at.".into()
        }
        ("rejected", _) => format!("Not proved to come from the platform ({reason}): nothing was claimed or queued."),
        ("too_large", _) => {
            "Authentic, but more than a message can carry even when compressed: nothing was claimed or queued.".into()
        }
        ("busy", _) => "Another copy is being worked on: the platform is asked to send it again.".into(),
        _ => format!("The step {reason} failed ({error}): the platform is asked to send it again."),
    }
}
