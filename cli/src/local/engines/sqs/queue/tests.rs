//! The queues on their own: rules one by one, then random sequences against a ledger.

use std::{cell::Cell, collections::BTreeMap};

use proptest::prelude::*;

use super::*;

const EVENTS: &str = "events";
const DEAD: &str = "dead";

/// `events`, whose messages go to `dead` after two receives.
fn store(events: &[(&str, &str)]) -> Store {
    let mut store = Store::default();
    store.create(DEAD, Attributes::new(), 0).unwrap();
    store.create(EVENTS, attributes(events), 0).unwrap();
    store.configure(EVENTS, attributes(&[("RedrivePolicy", &policy(DEAD, "2"))]), 0).unwrap();
    store
}

fn policy(target: &str, max: &str) -> String {
    format!(r#"{{"deadLetterTargetArn":"{ARN}{target}","maxReceiveCount":{max}}}"#)
}

fn attributes(pairs: &[(&str, &str)]) -> Attributes {
    pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

fn message(id: &str, sent: u64) -> Message {
    Message { id: id.into(), sent, ..Message::default() }
}

fn receive(store: &mut Store, queue: &str, hidden: u64, now: u64) -> Vec<Message> {
    store.receive(queue, 10, Some(hidden), now).unwrap()
}

fn receipt(queue: &str, message: &Message) -> String {
    format!("{queue}/{}/{}", message.id, message.receives)
}

#[test]
fn a_delay_ends_at_its_millisecond() {
    let mut store = store(&[("DelaySeconds", "2")]);
    store.send(EVENTS, message("queue's", 0), None).unwrap();
    store.send(EVENTS, message("own", 0), Some(1)).unwrap();
    store.send(EVENTS, message("none", 0), Some(0)).unwrap();
    let delayed = store.attributes(EVENTS, 0).unwrap();
    let counts = ["", "Delayed", "NotVisible"].map(|of| &*delayed[&format!("ApproximateNumberOfMessages{of}")]);
    assert_eq!(counts, ["1", "2", "0"]);
    let ids = |store: &mut Store, now| receive(store, EVENTS, 60, now).into_iter().map(|m| m.id).collect::<Vec<_>>();
    assert_eq!(ids(&mut store, 999), ["none"]);
    assert_eq!(ids(&mut store, 1_000), ["own"]);
    assert_eq!(ids(&mut store, 1_999), [""; 0]);
    assert_eq!(ids(&mut store, 2_000), ["queue's"]);
}

#[test]
fn messages_are_kept_as_long_as_the_queue_says() {
    let mut store = store(&[("MessageRetentionPeriod", "60")]);
    store.send(EVENTS, message("1", 0), None).unwrap();
    assert_eq!(receive(&mut store, EVENTS, 0, 59_999).len(), 1);
    assert_eq!(receive(&mut store, EVENTS, 0, 60_000).len(), 0);
    // A dead letter keeps the time at which it was sent.
    store.configure(DEAD, attributes(&[("MessageRetentionPeriod", "90")]), 0).unwrap();
    store.send(EVENTS, message("2", 60_000), None).unwrap();
    for now in [60_000, 60_001, 60_002] {
        receive(&mut store, EVENTS, 0, now);
    }
    assert_eq!(receive(&mut store, DEAD, 0, 149_999).len(), 1);
    assert_eq!(receive(&mut store, DEAD, 0, 150_000).len(), 0);
}

/// Each step once, with the queue in which it left the message.
#[test]
fn what_happens_to_a_message_is_kept() {
    let mut store = store(&[("MessageRetentionPeriod", "60")]);
    let mut replayed = message("1", 0);
    let attribute = r#"{"DataType": "String", "StringValue": "fix-1"}"#;
    replayed.attributes.insert("replay".into(), serde_json::from_str(attribute).unwrap());
    store.send(EVENTS, replayed, None).unwrap();
    for now in 1..=3 {
        receive(&mut store, EVENTS, 0, now);
    }
    store.redrive(&format!("{ARN}{DEAD}"), None, 4, || "2".into()).unwrap();
    let first = receipt(EVENTS, &receive(&mut store, EVENTS, 9, 5)[0]);
    for _ in 0..2 {
        store.delete(EVENTS, &first, 6).unwrap();
    }
    for (id, sent) in [("3", 7), ("4", 1_000)] {
        store.send(EVENTS, message(id, sent), None).unwrap();
    }
    receive(&mut store, EVENTS, 1, 60_007);
    store.purge(EVENTS, 60_008).unwrap();
    let kept = store.journal.steps.iter().map(|step| serde_json::to_value(step).unwrap());
    let line = |step: Value| {
        let text = |name: &str| step[name].as_str().map_or_else(|| step[name].to_string(), str::to_owned);
        let detail = ["replay", "receives", "earlier_id"].into_iter().filter(|name| step.get(name).is_some());
        ["at", "queue", "message_id", "what"].into_iter().chain(detail).map(text).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        kept.map(line).collect::<Vec<_>>(),
        [
            "0 events 1 sent fix-1",
            "1 events 1 received 1",
            "2 events 1 received 2",
            "3 dead 1 moved 2",
            "4 events 2 redriven 1",
            "5 events 2 received 1",
            "6 events 2 deleted",
            "7 events 3 sent null",
            "1000 events 4 sent null",
            "60007 events 3 expired",
            "60007 events 4 received 1",
            "60008 events 4 purged",
        ]
    );
}

#[test]
fn receives_count_across_queues_and_the_limit_within_one() {
    let mut store = store(&[]);
    store.create("grave", Attributes::new(), 0).unwrap();
    store.configure(DEAD, attributes(&[("RedrivePolicy", &policy("grave", r#""2""#))]), 0).unwrap();
    store.send(EVENTS, message("1", 0), None).unwrap();
    let mut seen = Vec::new();
    for _ in 0..3 {
        for queue in [EVENTS, DEAD, "grave"] {
            let received = receive(&mut store, queue, 0, 5);
            seen.extend(received.iter().map(|m| (queue, m.receives, m.system.get(SOURCE).cloned(), m.first_received)));
        }
    }
    let from = |queue| Some(format!("{ARN}{queue}"));
    assert_eq!(seen, [(EVENTS, 1, None, 5), (EVENTS, 2, None, 5), (DEAD, 3, from(EVENTS), 5),]);
    assert_eq!(receive(&mut store, DEAD, 0, 5)[0].receives, 4);
    assert_eq!(receive(&mut store, DEAD, 0, 5).len(), 0);
    assert_eq!(receive(&mut store, "grave", 0, 5)[0].system[SOURCE], from(DEAD).unwrap());
}

#[test]
fn a_message_stays_where_the_dead_letter_queue_is_gone() {
    let mut store = store(&[]);
    store.send(EVENTS, message("1", 0), None).unwrap();
    store.queues.remove(DEAD);
    for receives in 1..5 {
        assert_eq!(receive(&mut store, EVENTS, 0, 0)[0].receives, receives);
    }
    // A queue may be its own dead-letter queue: the count begins again, and nothing is lost.
    store.configure(EVENTS, attributes(&[("RedrivePolicy", &policy(EVENTS, "2"))]), 0).unwrap();
    assert_eq!(receive(&mut store, EVENTS, 0, 0).len(), 0);
    assert_eq!(receive(&mut store, EVENTS, 0, 0).len(), 1);
}

#[test]
fn only_what_is_in_flight_can_be_hidden() {
    let mut store = store(&[]);
    store.send(EVENTS, message("1", 0), None).unwrap();
    let stale = receipt(EVENTS, &receive(&mut store, EVENTS, 1, 0)[0]);
    // Its time is over: accepted, and without effect.
    store.change_visibility(EVENTS, &stale, 60, 1_000).unwrap();
    let latest = receipt(EVENTS, &receive(&mut store, EVENTS, 10, 1_000)[0]);
    store.change_visibility(EVENTS, &stale, 0, 1_000).unwrap();
    assert_eq!(receive(&mut store, EVENTS, 0, 1_000).len(), 0);
    store.change_visibility(EVENTS, &latest, 2, 1_000).unwrap();
    assert_eq!(store.change_visibility(EVENTS, "events/1", 0, 0).unwrap_err().0, "ReceiptHandleIsInvalid");
    assert_eq!(store.delete(DEAD, &latest, 1_000).unwrap_err().0, "ReceiptHandleIsInvalid");
    assert_eq!(store.queue(EVENTS).unwrap().messages[0].visible_at, 3_000);
    store.delete(EVENTS, &latest, 1_000).unwrap();
    assert_eq!(store.change_visibility(EVENTS, &latest, 0, 1_000).unwrap_err().0, "InvalidParameterValue");
}

#[test]
fn attributes_are_checked_and_an_invalid_queue_is_not_created() {
    let mut store = store(&[]);
    for (name, value) in [
        ("DelaySeconds", "901"),
        ("FifoQueue", "true"),
        ("MessageRetentionPeriod", "59"),
        ("ReceiveMessageWaitTimeSeconds", "-1"),
        ("RedrivePolicy", "{}"),
        ("RedrivePolicy", &policy("nowhere", "5")),
        ("RedrivePolicy", &policy(DEAD, "0")),
        ("VisibilityTimeout", "a while"),
    ] {
        let refusal = store.create("new", attributes(&[(name, value)]), 0).unwrap_err();
        assert_eq!(refusal.0, "InvalidAttributeValue", "{name} {value}");
        assert_eq!(store.configure(EVENTS, attributes(&[(name, value)]), 0).unwrap_err().0, refusal.0);
        assert!(!store.queues.contains_key("new"));
    }
    for name in ["", "new.fifo", "a/b", &"x".repeat(81)] {
        assert_eq!(store.create(name, Attributes::new(), 0).unwrap_err().0, "InvalidParameterValue", "{name}");
    }
    store.configure(EVENTS, attributes(&[("KmsMasterKeyId", "alias/aws/sqs"), ("VisibilityTimeout", "0")]), 0).unwrap();
    // An empty policy removes it.
    store.configure(EVENTS, attributes(&[("RedrivePolicy", "")]), 7_000).unwrap();
    let now = store.attributes(EVENTS, 7_000).unwrap();
    assert_eq!((now.get("RedrivePolicy"), &*now["LastModifiedTimestamp"]), (None, "7"));
    store.send(EVENTS, message("1", 0), None).unwrap();
    assert!((0..5).all(|_| receive(&mut store, EVENTS, 0, 0).len() == 1));
}

#[derive(Debug, Clone)]
enum Step {
    Send {
        queue: &'static str,
        delay: Option<u64>,
    },
    Receive {
        queue: &'static str,
        most: u64,
        hidden: u64,
    },
    /// With one of the receipts that there were.
    Delete(prop::sample::Index),
    Hide(prop::sample::Index, u64),
    Pass(u64),
    Redrive {
        named: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let queue = || prop_oneof![3 => Just(EVENTS), 1 => Just(DEAD)];
    prop_oneof![
        3 => (queue(), prop::option::of(0..4_u64)).prop_map(|(queue, delay)| Step::Send { queue, delay }),
        6 => (queue(), 1..=4_u64, 0..4_u64).prop_map(|(queue, most, hidden)| Step::Receive { queue, most, hidden }),
        2 => any::<prop::sample::Index>().prop_map(Step::Delete),
        2 => (any::<prop::sample::Index>(), 0..4_u64).prop_map(|(receipt, seconds)| Step::Hide(receipt, seconds)),
        3 => prop_oneof![4 => 0..3_000_u64, 1 => 0..40_000_u64].prop_map(Step::Pass),
        1 => any::<bool>().prop_map(|named| Step::Redrive { named }),
    ]
}

/// What must be true of a message that is in a queue.
#[derive(Debug, Clone)]
struct Known {
    queue: &'static str,
    sent: u64,
    visible_at: u64,
    receives: u64,
    receives_here: u64,
    /// Whether a move task finds the queue it is from.
    has_source: bool,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    /// After every step each message lies in exactly one queue, unless it was deleted, has expired or became another by a
    /// redrive; and each receive gives all that it could, nothing that is hidden, nothing too often.
    #[test]
    fn no_message_is_lost_doubled_or_seen_while_hidden(steps in prop::collection::vec(step(), 1..80)) {
        const RETENTION: u64 = 60_000;
        let mut store = store(&[("MessageRetentionPeriod", "60")]);
        store.configure(DEAD, attributes(&[("MessageRetentionPeriod", "60")]), 0).unwrap();
        let (mut now, ids) = (0, Cell::new(0));
        let new_id = || { ids.set(ids.get() + 1); ids.get().to_string() };
        let mut known = BTreeMap::<String, Known>::new();
        let mut receipts: Vec<(&str, String, String, u64)> = Vec::new();

        for step in steps {
            let in_time = |known: &Known| known.sent + RETENTION > now;
            match step {
                Step::Send { queue, delay } => {
                    let id = new_id();
                    store.send(queue, message(&id, now), delay).unwrap();
                    let visible_at = now + 1_000 * delay.unwrap_or(0);
                    let new = Known { queue, sent: now, visible_at, receives: 0, receives_here: 0, has_source: false };
                    known.insert(id, new);
                }
                Step::Receive { queue, most, hidden } => {
                    let received = store.receive(queue, most, Some(hidden), now).unwrap();
                    let able = |known: &&Known| {
                        known.queue == queue && known.visible_at <= now && in_time(known)
                            && (queue == DEAD || known.receives_here < 2)
                    };
                    let able = known.values().filter(able).count() as u64;
                    prop_assert_eq!(received.len() as u64, able.min(most));
                    for message in received {
                        let known = known.get_mut(&message.id).unwrap();
                        prop_assert!(known.queue == queue && known.visible_at <= now && in_time(known));
                        known.visible_at = now + 1_000 * hidden;
                        known.receives += 1;
                        known.receives_here += 1;
                        prop_assert!(queue == DEAD || known.receives_here <= 2);
                        prop_assert_eq!(message.receives, known.receives);
                        receipts.push((queue, receipt(queue, &message), message.id, message.receives));
                    }
                    for dead in &store.queues[DEAD].messages {
                        let known = known.get_mut(&dead.id).unwrap();
                        if known.queue == EVENTS {
                            prop_assert!(queue == EVENTS && known.receives_here == 2 && known.visible_at <= now);
                            *known = Known { queue: DEAD, receives_here: 0, has_source: true, ..known.clone() };
                        }
                    }
                }
                Step::Delete(which) if !receipts.is_empty() => {
                    let (queue, receipt, id, receives) = which.get(&receipts);
                    store.delete(queue, receipt, now).unwrap();
                    if known.get(id).is_some_and(|known| known.queue == *queue && known.receives == *receives) {
                        known.remove(id);
                    }
                }
                Step::Hide(which, seconds) if !receipts.is_empty() => {
                    let (queue, receipt, id, receives) = which.get(&receipts);
                    let done = store.change_visibility(queue, receipt, seconds, now);
                    let known = known.get_mut(id).filter(|known| known.queue == *queue);
                    prop_assert!(done.is_ok() || !known.as_ref().is_some_and(|known| in_time(known)));
                    if let Some(known) = known.filter(|known| known.receives == *receives && known.visible_at > now) {
                        known.visible_at = now + 1_000 * seconds;
                    }
                }
                Step::Delete(_) | Step::Hide(..) => {}
                Step::Pass(millis) => now += millis,
                Step::Redrive { named } => {
                    let before = ids.get();
                    let to = format!("{ARN}{EVENTS}");
                    store.redrive(&format!("{ARN}{DEAD}"), named.then_some(&*to), now, new_id).unwrap();
                    let visible = |known: &&mut Known| known.queue == DEAD && known.visible_at <= now && in_time(known);
                    let (mut moved, mut found) = (0, 0);
                    known.retain(|_, known| {
                        let visible = visible(&known);
                        found += usize::from(visible);
                        moved += usize::from(visible && (named || known.has_source));
                        !(visible && (named || known.has_source))
                    });
                    let task = store.tasks.last().unwrap();
                    prop_assert_eq!(&task["ApproximateNumberOfMessagesMoved"], &json!(moved));
                    prop_assert_eq!(&task["Status"], if moved == found { "COMPLETED" } else { "FAILED" });
                    prop_assert_eq!(ids.get() - before, moved);
                    for id in before..ids.get() {
                        let new = Known { queue: EVENTS, sent: now, visible_at: now, receives: 0, receives_here: 0, has_source: false };
                        known.insert((id + 1).to_string(), new);
                    }
                }
            }
            for queue in [EVENTS, DEAD] {
                store.live(queue, now).unwrap();
            }
            known.retain(|_, known| known.sent + RETENTION > now);
            let lying = store.queues.iter().flat_map(|(name, queue)| queue.messages.iter().map(move |m| (&*m.id, &**name)));
            let mut lying: Vec<_> = lying.collect();
            lying.sort_unstable();
            let mut expected: Vec<_> = known.iter().map(|(id, known)| (&**id, known.queue)).collect();
            expected.sort_unstable();
            prop_assert_eq!(lying, expected);
        }
    }
}
