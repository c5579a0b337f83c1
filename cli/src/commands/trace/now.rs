//! Where an event is now, in words.

use std::collections::BTreeMap;

use super::{
    Traced,
    rows::{mark, messages, signed, time},
};
use crate::{
    client::aws::Queue,
    commands::claims,
    local::{
        engines::{Place, What},
        page::trace::Known,
    },
    output::plain,
};

/// The name of the place, and a sentence about it without its full stop.
pub(super) fn now(event: &Traced, known: &Known, is_local: bool) -> (&'static str, String) {
    let now = claims::now();
    let ids = messages(known, &event.key);
    let steps = || known.steps.iter().rev().filter(|step| ids.contains(&*step.message_id));
    let places: BTreeMap<_, _> =
        ids.iter().filter_map(|id| known.places.get(*id)).map(|place| (&place.id, place)).collect();
    let words = places.values().map(|place| {
        let since = steps().find(|step| step.message_id == place.id && !matches!(step.what, What::Received { .. }));
        on_a_queue(place, since.map_or(0, |step| signed(step.at)))
    });
    let mut words: Vec<_> = words.collect();
    if let (true, Some(last)) = (words.is_empty(), steps().next()) {
        let (name, what) = match last.what {
            What::Expired => ("expired", "its message expired on"),
            What::Purged => ("purged", "its message was purged from"),
            _ => ("deleted", "its message was deleted from"),
        };
        words.push((name, format!("{what} {} at {}", plain(&last.queue), time(signed(last.at)))));
    } else if words.is_empty() {
        let (name, meaning) = event.claim.as_ref().map_or_else(
            || ("unknown", "it has no claim: it was not queued, or its claim has been deleted since".to_owned()),
            |claim| claim.meaning(now),
        );
        let sent = matches!(name, "queued" | "quarantined") && !is_local;
        let still = if sent { "; SQS does not say whether it is still there" } else { "" };
        words.push((name, format!("{meaning}{still}")));
    }
    for (replay, item) in &event.marks {
        let (what, detail) = mark(item, now);
        let of = replay.as_ref().map_or_else(String::new, |name| format!(" (replay {})", plain(name)));
        words.push(match what {
            "handled" => ("handled", format!("the consumer has handled it{of}")),
            _ => (what, format!("the consumer's mark{of} is {what}: {}", plain(&detail))),
        });
    }
    // A message that is still there counts before a mark.
    let place = if places.is_empty() { words.last() } else { words.first() };
    let place = place.map_or("unknown", |(place, _)| place);
    (place, words.iter().map(|(_, words)| &**words).collect::<Vec<_>>().join("; "))
}

fn on_a_queue(place: &Place, since: i64) -> (&'static str, String) {
    let Place { id, queue, receives, most_receives, waiting, .. } = place;
    let (queue, since) = (plain(queue), time(since));
    match (Queue::named(&queue), waiting) {
        (Some(Queue::DeadLetters), _) => {
            ("dead_letters", format!("in the dead-letter queue since {since}: fix the consumer, then hookgate redrive"))
        }
        (Some(Queue::Quarantine), _) => {
            ("quarantine", format!("in quarantine since {since}: hookgate quarantine show {id}"))
        }
        (_, waiting) => {
            let of = most_receives.map_or_else(String::new, |most| format!(" of {most}"));
            let state = if *waiting { "waiting on" } else { "received and hidden on" };
            ("queue", format!("{state} {queue} since {since}, received {receives}{of} times"))
        }
    }
}
