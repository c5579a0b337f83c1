//! The order of events: the stages in `docs/contract/consumer.json`; the resources' lives in `order.json`, by which the consumers
//! in other languages are tested too; and what becomes of every permutation of a resource's events.

use std::{collections::BTreeMap, fmt::Write as _};

use hookgate::{json::Json, send::template::Template};
use hookgate_event::{Event, EventType};
use hookgate_verify::providers::{self, TimeFormat};
use serde_json::{Value, json};

use crate::{delivered, read, support, written};

/// What one resource went through, by events that are told apart by what decides their order.
struct Life {
    name: String,
    events: Vec<Event<'static>>,
    /// The id of the one that must remain, found without sort keys.
    latest: String,
}

/// An event of this resource. Without a `time`, it was received then.
fn event(id: &str, subject: &str, event_type: EventType, time: &str, told: bool) -> Event<'static> {
    let event = json!({
        "specversion": "1.0", "id": id, "source": "/webhooks/platform/default", "type": event_type, "subject": subject,
        "datacontenttype": "application/json", "provider": "platform", "account": "default", "providertype": "event",
        "receivedtime": if told { "2026-03-14T18:00:00.000Z" } else { time }, "data": {"payload": {}}
    });
    let mut event = Event::from_json(&event.to_string()).unwrap().into_owned();
    event.time = told.then(|| time.to_owned());
    event
}

/// For every kind of resource of every platform all its types, two at each time: `…00Z`, `…00Z`, `…00.5Z`, `…00.5Z`, `…01Z`
/// and so on, of which every third event is dated by its arrival. And the cases that have names.
fn lives() -> Vec<Life> {
    let mut lives = Vec::new();
    for provider in providers::ALL {
        let mut kinds: BTreeMap<&str, Vec<EventType>> = BTreeMap::new();
        for (_, event_type) in provider.events {
            let types = kinds.entry(event_type.resource_kind().unwrap()).or_default();
            if !types.contains(event_type) {
                types.push(*event_type);
            }
        }
        for (kind, types) in kinds {
            let time = |place: usize| {
                let half = if place / 2 % 2 == 1 { ".5" } else { "" };
                format!("2026-03-14T16:00:{:02}{half}Z", place / 4)
            };
            let events = types.iter().enumerate().map(|(place, &event_type)| {
                event(&format!("evt_{place}"), &format!("{kind}/1"), event_type, &time(place), place % 3 != 2)
            });
            let last = types.len() - 1;
            let before = last.checked_sub(1).filter(|before| before / 2 == last / 2);
            // Of two of the same time and stage the larger id remains, which is not always the last: evt_9, evt_10.
            let rank = |place: usize| (types[place].stage(), format!("evt_{place}"));
            let latest = before.filter(|before| rank(*before) > rank(last)).unwrap_or(last);
            let name = format!("{} {kind}", provider.name);
            lives.push(Life { name, events: events.collect(), latest: format!("evt_{latest}") });
        }
    }
    for (name, latest, events) in [
        (
            "expired and cancelled at once",
            "b",
            &[("a", EventType::OrderExpired, 0), ("b", EventType::OrderCancelled, 0)][..],
        ),
        (
            "paid after its cancellation, which comes late",
            "c",
            &[("a", EventType::OrderCreated, 0), ("b", EventType::OrderCancelled, 1), ("c", EventType::OrderPaid, 2)],
        ),
        (
            "a failed attempt at a payment, and one that succeeds at once",
            "a",
            &[("a", EventType::PaymentSucceeded, 1), ("b", EventType::PaymentFailed, 1)],
        ),
        ("an unknown type wins no tie", "a", &[("a", EventType::OrderCreated, 0), ("b", EventType::Unrecognized, 0)]),
        ("one stage: the id decides", "b", &[("b", EventType::OrderPaid, 0), ("a", EventType::OrderPaidProduct, 0)]),
    ] {
        let of = |(id, event_type, second): &(&str, EventType, u8)| {
            event(id, "order/1", *event_type, &format!("2026-03-14T16:00:0{second}Z"), true)
        };
        lives.push(Life { name: name.to_owned(), events: events.iter().map(of).collect(), latest: latest.to_owned() });
    }
    lives
}

#[test]
fn the_stages_and_sort_keys_for_other_languages_are_the_codes() {
    let description = read("consumer.json");
    let (rest, _) = description.split_once("  \"stages\": {").expect("it ends with the stages");
    let stages: Vec<_> =
        EventType::ALL.iter().map(|known| format!("    \"{}\": {}", known.as_str(), known.stage())).collect();
    written("consumer.json", &format!("{rest}  \"stages\": {{\n{}\n  }}\n}}\n", stages.join(",\n")));
    let mut text = "{\n  \"lives\": [\n".to_owned();
    let lives: Vec<_> = lives()
        .iter()
        .map(|life| {
            let event = |event: &Event| {
                let mut event_json: Value = serde_json::from_str(&event.to_json()).unwrap();
                let members = event_json.as_object_mut().unwrap();
                members.retain(|name, _| ["id", "type", "time", "receivedtime", "subject"].contains(&name.as_str()));
                members.insert("sort_key".to_owned(), event.sort_key().into());
                format!("      {event_json}")
            };
            let events: Vec<_> = life.events.iter().map(event).collect();
            let (name, latest) = (json!(life.name), json!(life.latest));
            format!("    {{\"name\": {name}, \"latest\": {latest}, \"events\": [\n{}\n    ]}}", events.join(",\n"))
        })
        .collect();
    write!(text, "{}\n  ]\n}}\n", lives.join(",\n")).unwrap();
    serde_json::from_str::<Value>(&text).unwrap();
    written("order.json", &text);
}

/// What a table holds after these events in this order, by the condition that consumers write with.
fn state(events: impl IntoIterator<Item = usize>, keys: &[String]) -> Option<usize> {
    let mut held: Option<usize> = None;
    for event in events {
        if held.is_none_or(|held| keys[held] <= keys[event]) {
            held = Some(event);
        }
    }
    held
}

/// All orders of up to six events; of more, as many, chosen by a fixed rule.
fn orders(count: usize) -> impl Iterator<Item = Vec<usize>> {
    let all: u64 = (1..=count as u64).product();
    (0..all.min(720)).map(move |number| {
        // The number's digits, each to its own base, say which of the rest comes next.
        let mut number = if all > 720 { number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % all } else { number };
        let mut rest: Vec<_> = (0..count).collect();
        let next = (1..=count as u64).rev().map(|left| {
            let event = rest.remove(usize::try_from(number % left).unwrap());
            number /= left;
            event
        });
        next.collect()
    })
}

#[test]
fn every_permutation_and_every_duplicate_ends_in_the_same_state() {
    let lives = lives();
    let (mut permuted, mut repeated) = (0, 0);
    for life in &lives {
        let keys: Vec<_> = life.events.iter().map(Event::sort_key).collect();
        let ends = |order: Vec<usize>| {
            let end = state(order.iter().copied(), &keys).unwrap();
            assert_eq!(life.events[end].id, life.latest, "{}: {order:?}", life.name);
        };
        for order in orders(keys.len()) {
            // Each event once more, at every place.
            for copy in 0..order.len() {
                for place in 0..=order.len() {
                    let mut order = order.clone();
                    order.insert(place, copy);
                    ends(order);
                    repeated += 1;
                }
            }
            ends(order);
            permuted += 1;
        }
    }
    println!("{} lives, {permuted} permutations, {repeated} with a duplicate", lives.len());
    let expected: usize = lives.iter().map(|life| (1..=life.events.len().min(6)).product::<usize>()).sum();
    assert_eq!(permuted, expected);
}

/// Some samples of one platform share a resource's id and a time: two events, and the same one remains whichever comes last.
#[test]
fn two_deliveries_of_the_same_resource_and_time_have_an_order() {
    let both = [EventType::OrderExpired, EventType::OrderCancelled];
    let sends = |provider: &hookgate_verify::Provider| {
        both.iter().all(|one| provider.events.iter().any(|(_, sent)| sent == one))
    };
    let provider = support::find(sends).expect("a platform that sends both");
    let events = both.map(|one| {
        let (name, _) = provider.events.iter().find(|(_, sent)| *sent == one).unwrap();
        let mut template = Template::of(provider, name).unwrap();
        template.set_resource_id(&Json::text("8f3e"));
        template.body.set(provider.fields.time, Json::Token("1666203600457".to_owned())).unwrap();
        let [event, _] = delivered(provider, std::str::from_utf8(&template.text()).unwrap()).unwrap();
        Event::from_json(&event).unwrap().into_owned()
    });
    let [expired, cancelled] = &events;
    assert_eq!((&expired.subject, &expired.time), (&cancelled.subject, &cancelled.time));
    assert_eq!((expired.event_type, cancelled.event_type), (both[0], both[1]));
    assert!(expired.id != cancelled.id && expired.sort_key() < cancelled.sort_key());
}

/// Times with other decimals and offsets, as a platform writes them, through verification and reading.
#[test]
fn a_platforms_times_compare_as_moments() {
    let is_written_freely = |provider: &hookgate_verify::Provider| {
        matches!(provider.fields.time_format, TimeFormat::Rfc3339) && provider.fields.name.member().is_some()
    };
    let provider = support::find(is_written_freely).expect("a platform with RFC 3339 times");
    let key = |time: &str| {
        let body = support::body(provider, &[(provider.fields.time, Json::text(time))]);
        let [event, _] = delivered(provider, std::str::from_utf8(&body).unwrap()).unwrap();
        let event = Event::from_json(&event).unwrap();
        assert!(event.time.is_some());
        // The id may be made of the time.
        event.sort_key()[..33].to_owned()
    };
    let ascending = [
        "2026-04-15T16:22:29+02:00",
        "2026-04-15T14:22:29.000000001Z",
        "2026-04-15T09:52:29.5-04:30",
        "2026-04-15T14:22:29.75+00:00",
        "2026-04-15T14:22:30Z",
        "2026-04-16T00:00:00.1+09:30",
    ];
    let keys: Vec<_> = ascending.iter().map(|time| key(time)).collect();
    assert!(keys.windows(2).all(|two| two[0] < two[1]), "{keys:?}");
    assert_eq!(key("2026-04-15T14:22:30Z"), key("2026-04-15T16:22:30.000+02:00"));
}
