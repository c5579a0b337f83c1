//! What the local intake knows of an event, for `hookgate trace`. Changes nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use axum::{
    Json,
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use hookgate_event::Event;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Page;
use crate::local::{
    engines::{Place, Step, What},
    journal::RecordedDelivery,
};

#[derive(Deserialize)]
pub(super) struct Wanted {
    /// A subject, an event's id, or the id of its message.
    text: String,
}

/// What is known of events that a text names.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Known {
    /// The log lines of their deliveries. One whose function crashed has the outcome `crashed`.
    pub(crate) deliveries: Vec<Map<String, Value>>,
    pub(crate) messages: Vec<Sent>,
    /// What happened to the messages, oldest first.
    pub(crate) steps: Vec<Step>,
    /// Where the messages are, by each id that they have or had.
    pub(crate) places: BTreeMap<String, Place>,
    /// Whether there was more, and it is no longer kept.
    pub(crate) forgot: bool,
}

/// A message with an event.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Sent {
    pub(crate) message_id: String,
    pub(crate) provider: String,
    pub(crate) account: String,
    pub(crate) id: String,
    pub(crate) subject: Option<String>,
}

/// Everything about the events that a text names.
pub(super) async fn trace(State(page): State<Arc<Page>>, Query(Wanted { text }): Query<Wanted>) -> Response {
    let known = tokio::task::spawn_blocking(move || page.known(&text)).await;
    known.map_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response(), |known| Json(known).into_response())
}

impl Page {
    fn known(&self, text: &str) -> Known {
        let journal = &self.functions.journal;
        let mut deliveries: Vec<_> = journal.all().iter().map(|taken| taken.log.clone()).collect();
        let forgot_deliveries = journal.all().first().is_some_and(|oldest| oldest.number > 1);
        deliveries.extend(journal.crashes().iter().map(|taken| self.crashed(taken)));
        let (sent, forgot) = self.queues.sent(|message_id, body| {
            let Event { provider, account, id, subject, .. } = Event::from_json(body).ok()?;
            Some(Sent { message_id: message_id.to_owned(), provider, account, id, subject })
        });

        // The events that the text names, and then everything about these.
        let is = |value: Option<&str>| value == Some(text);
        let said = |log: &Map<String, Value>, name: &str| log.get(name).and_then(Value::as_str).map(str::to_owned);
        let event = |log: &Map<String, Value>| Some((said(log, "provider")?, said(log, "account")?, said(log, "id")?));
        let named = deliveries.iter().filter(|log| {
            ["id", "subject", "message_id"].iter().any(|name| is(log.get(*name).and_then(Value::as_str)))
        });
        let of = |sent: &Sent| (sent.provider.clone(), sent.account.clone(), sent.id.clone());
        let sent_as =
            sent.iter().filter(|sent| is(Some(&sent.id)) || is(sent.subject.as_deref()) || is(Some(&sent.message_id)));
        let events: BTreeSet<_> = named.filter_map(event).chain(sent_as.map(of)).collect();
        deliveries.retain(|log| event(log).is_some_and(|event| events.contains(&event)));
        let messages: Vec<_> = sent.into_iter().filter(|sent| events.contains(&of(sent))).collect();

        let mut ids: BTreeSet<_> = messages.iter().map(|sent| sent.message_id.clone()).collect();
        ids.extend(deliveries.iter().filter_map(|log| said(log, "message_id")));
        let mut steps = self.queues.steps(|_| true);
        let earlier = steps.iter().rev().filter_map(|step| match &step.what {
            What::Redriven { earlier_id } => Some((step.message_id.clone(), earlier_id.clone())),
            _ => None,
        });
        for (id, earlier_id) in earlier.collect::<Vec<_>>() {
            if ids.contains(&id) {
                ids.insert(earlier_id);
            }
        }
        steps.retain(|step| ids.contains(&step.message_id));
        let places = self.queues.places(|id| ids.contains(id)).into_iter().collect();
        Known { deliveries, messages, steps, places, forgot: forgot || forgot_deliveries }
    }

    /// The log line that a crash prevented, as far as it can be known.
    fn crashed(&self, taken: &RecordedDelivery) -> Map<String, Value> {
        let mut log = taken.log.clone();
        if let Some(event) = self.event(taken) {
            log.insert("id".to_owned(), event.id.into());
            log.insert("type".to_owned(), event.event_type.as_str().into());
            log.insert("subject".to_owned(), event.subject.into());
        }
        log
    }
}
