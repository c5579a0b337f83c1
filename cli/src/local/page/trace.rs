//! What the local intake knows of an event, for `hookgate trace`. Changes nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use axum::{
    extract::{Query, State},
    response::Response,
};
use hookgate_event::Event;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Page, search::Wanted, worked_out};
use crate::local::{
    engines::{Place, Step},
    journal::CRASHED,
};

/// One event of one account.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct EventKey {
    pub(crate) provider: String,
    pub(crate) account: String,
    pub(crate) id: String,
}

impl EventKey {
    /// The event of a log line.
    pub(crate) fn of(log: &Map<String, Value>) -> Option<Self> {
        let text = |name: &str| log.get(name)?.as_str().map(str::to_owned);
        Some(EventKey { provider: text("provider")?, account: text("account")?, id: text("id")? })
    }
}

/// Whether a log line is about a subject, an event's id, or a message's id.
pub(crate) fn is_about(log: &Map<String, Value>, text: &str) -> bool {
    ["id", "subject", "message_id"].iter().any(|name| log.get(*name).and_then(Value::as_str) == Some(text))
}

/// What is known of the events that a text names.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Known {
    /// The log lines of their deliveries. One whose function crashed has the outcome `crashed`.
    pub(crate) deliveries: Vec<Map<String, Value>>,
    /// What happened to their messages, oldest first.
    pub(crate) steps: Vec<(EventKey, Step)>,
    /// Where the messages are, by each id that they have or had.
    pub(crate) places: BTreeMap<String, Place>,
    /// Whether some of the deliveries and messages that there were are no longer kept.
    pub(crate) forgot: bool,
}

/// The text is a subject, an event's id, or a message's id.
pub(super) async fn trace(State(page): State<Arc<Page>>, Query(Wanted { text }): Query<Wanted>) -> Response {
    worked_out(move || page.known(&text)).await
}

impl Page {
    /// The events that a text names, and everything about these.
    fn known(&self, text: &str) -> Known {
        let all = self.functions.journal.all();
        let mut deliveries: Vec<_> = all.iter().map(|taken| taken.log.clone()).collect();
        // Last: a claim that is held is theirs, not that of a later copy, which was busy.
        deliveries.sort_by_key(|log| log.get("outcome").is_some_and(|outcome| outcome == CRASHED));
        let (sent, forgot) = self.queues.sent(|message_id, body| {
            let Event { provider, account, id, subject, .. } = Event::from_json(body).ok()?;
            let named = id == text || message_id == text || subject.as_deref() == Some(text);
            Some((message_id.to_owned(), EventKey { provider, account, id }, named))
        });
        let logged = deliveries.iter().filter(|log| is_about(log, text)).filter_map(EventKey::of);
        let named = sent.iter().filter(|(.., named)| *named).map(|(_, key, _)| key.clone());
        let named: BTreeSet<_> = logged.chain(named).collect();

        deliveries.retain(|log| EventKey::of(log).is_some_and(|key| named.contains(&key)));
        // What is in quarantine is no event: only its delivery says what it is about.
        let logged = deliveries.iter().filter_map(|log| Some((log.get("message_id")?.as_str()?, EventKey::of(log)?)));
        let mut messages: BTreeMap<_, _> = logged.map(|(id, key)| (id.to_owned(), key)).collect();
        messages.extend(sent.into_iter().map(|(id, key, _)| (id, key)).filter(|(_, key)| named.contains(key)));
        let steps = self.queues.steps(|id| messages.contains_key(id)).into_iter();
        Known {
            steps: steps.map(|step| (messages[&step.message_id].clone(), step)).collect(),
            places: self.queues.places(|id| messages.contains_key(id)),
            forgot: forgot || all.first().is_some_and(|oldest| oldest.number > 1),
            deliveries,
        }
    }
}
