//! What the page shows of a delivery: why it came out as it did, its event, its claim. Changes nothing.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::anyhow;
use aws_sdk_dynamodb::types::AttributeValue;
use axum::{
    Json,
    extract::{Path, State},
    response::Response,
};
use hookgate_event::Event;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::{Answer, Page, Refused, mask, worked_out};
use crate::{
    arguments, capture,
    explain::{self, Explanation},
    local::journal::{CRASHED, RecordedDelivery},
    output::moment,
};

/// One delivery with everything that is known of it and does not change.
pub(super) async fn delivery(State(page): State<Arc<Page>>, Path(number): Path<u64>) -> Result<Response, Refused> {
    let taken = page.delivery(number)?;
    // Explaining a signature that does not match takes hundreds of MACs.
    Ok(worked_out(move || page.describe(&taken)).await)
}

/// What the table knows of a delivery's event, and where its message is.
pub(super) async fn claim(State(page): State<Arc<Page>>, Path(number): Path<u64>) -> Answer {
    let taken = page.delivery(number)?;
    let key = taken.said("key");
    if key.is_empty() {
        return Ok(Json(json!({"key": null})));
    }
    let pk = AttributeValue::S(key.to_owned());
    let call = page.clients.dynamodb.get_item().table_name(&page.resources.table).key("pk", pk).consistent_read(true);
    let found = call.send().await.map_err(|_| anyhow!("the local DynamoDB does not answer"))?;
    let text = |value: &AttributeValue| value.as_s().or_else(|_| value.as_n()).ok().cloned();
    let item = found.item.map(|item| item.iter().map(|(name, value)| (name.clone(), text(value))).collect());
    let item: Option<BTreeMap<_, _>> = item;
    let message_id = item.as_ref().and_then(|item| item.get("message_id")?.as_ref());
    let message = message_id.and_then(|id| page.queues.places(|known| known == id).remove(id));
    let now = OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000;
    Ok(Json(json!({"key": key, "item": item, "message": message, "now": now})))
}

impl Page {
    fn describe(&self, taken: &RecordedDelivery) -> Value {
        let text = String::from_utf8_lossy(&taken.body);
        let (explanation, event) = self.explain(taken).unzip();
        let event: Option<Event> = event.flatten();
        let mut log = taken.log.clone();
        log.remove("_aws");
        let target = match taken.target.query() {
            Some(query) => format!("{}?{}", taken.target.path(), mask::query(query)),
            None => taken.target.path().to_owned(),
        };
        let headers = taken.headers.iter().map(|(name, value)| {
            let text = String::from_utf8_lossy(value.as_bytes());
            let masked = mask::header(name.as_str(), &text);
            json!({"name": name.as_str(), "masked": masked.is_some(), "value": masked.unwrap_or(text.into_owned())})
        });
        json!({
            "summary": taken.summary(),
            "target": target,
            "headers": headers.collect::<Vec<_>>(),
            "body": mask::body(&text),
            "body_masked": mask::body(&text) != text,
            "body_is_text": std::str::from_utf8(&taken.body).is_ok(),
            "body_kept": taken.body.len(),
            "words": words(taken),
            "explanation": explanation,
            "name": event.as_ref().map(|event| &event.provider_type),
            "event": event.as_ref().map(Event::to_json),
            // A crashed function logs nothing.
            "log": (taken.said("outcome") != CRASHED).then_some(log),
        })
    }

    /// What `hookgate explain` says of it, as if it were asked when the delivery came; and its event, where there is one. None
    /// where there is nothing to explain.
    fn explain(&self, taken: &RecordedDelivery) -> Option<(Explanation, Option<Event<'static>>)> {
        if matches!(taken.said("reason"), "address" | "body_not_base64") || !taken.is_whole() {
            return None;
        }
        let function = self.functions.by_platform.get(taken.said("provider"))?;
        let received = moment(taken.received())?;
        let request = capture::Request {
            form: "raw HTTP",
            method: taken.method.to_string(),
            path: taken.target.path().to_owned(),
            headers: taken.headers.clone(),
            body: taken.body.clone(),
            received: Some(received),
            note: None,
        };
        let account = arguments::account_of(&request.path, function.verifier.provider()).unwrap_or_default();
        let explanation = explain::explain(&request, function.verifier, &function.secrets, &account, received);
        Some((explanation, function.read(taken, received).map(|(event, _)| event)))
    }
}

/// What became of a delivery, in a sentence.
fn words(taken: &RecordedDelivery) -> String {
    let (outcome, reason, error) = (taken.said("outcome"), taken.said("reason"), taken.said("error"));
    match (outcome, reason) {
        ("queued", _) => "Verified and new: its event was queued.".into(),
        ("duplicate", _) => "Verified and known: the event was taken before, nothing was queued again.".into(),
        ("quarantined", "key_conflict") => {
            "Verified, but its id was used before with other content: it was put into quarantine.".into()
        }
        ("quarantined", "too_old") => {
            "Verified, but older than MAX_EVENT_AGE_DAYS, so no claim can tell it from a replay: it was put into \
             quarantine."
                .into()
        }
        ("quarantined", _) => {
            format!("Verified, but could not be read as an event ({reason}): it was put into quarantine.")
        }
        ("ping", _) => "The platform tests the address: nothing was verified, recorded or queued.".into(),
        ("rejected", "method") => "Not a POST: nothing else was checked, recorded or queued.".into(),
        ("rejected", "address") => {
            "Invalid account in the address (1 to 64 of a-z, 0-9 and -): nothing else was checked, recorded or queued."
                .into()
        }
        ("rejected", _) => format!("{}: nothing was recorded or queued.", rejection(reason)),
        ("too_large", _) => {
            "Verified, but larger than a message can be, even compressed: nothing was recorded or queued.".into()
        }
        (CRASHED, _) => {
            "The function crashed: the platform was asked to retry. A claim that it made holds until the lease ends."
                .into()
        }
        ("busy", _) => "Another copy of the event is being processed: the platform was asked to retry.".into(),
        _ => format!("The step {reason} failed ({error}): the platform was asked to retry."),
    }
}

fn rejection(reason: &str) -> String {
    let words = match reason {
        "signature_missing" => "No signature",
        "signature_repeated" => "More than one signature, where there must be one",
        "signature_malformed" => "Malformed signature",
        "signature_mismatch" => "Signature mismatch",
        "timestamp_expired" => "Signed timestamp too far from now",
        "unknown_account" => "No secret for this account",
        "not_a_webhook" => "Not a webhook",
        "body_not_base64" => "Body is not base64",
        other => return format!("Rejected ({other})"),
    };
    words.to_owned()
}
