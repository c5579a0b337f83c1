//! The consumer against `docs/contract/consumer.json` and `consumer-vectors.json`, which the packages in Python and TypeScript are
//! tested with, too: for each message the exact requests, the answer and the log line, then what the table holds.

use std::{
    collections::VecDeque,
    fs,
    future::Future,
    path::Path,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, UNIX_EPOCH},
};

use aws_lambda_events::sqs::SqsEvent;
use hookgate_consumer::{
    AttributeValue, Consumer, Error, Event, EventType, REMEMBER, State,
    testing::{self, Fault, Table},
};
use serde_json::{Value, json};
use tokio::sync::Notify;

fn contract(name: &str) -> Value {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/contract").join(name);
    serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap()
}

fn list<'a>(of: &'a Value, name: &str) -> &'a [Value] {
    of[name].as_array().unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// A batch of these bodies, each with the replay's name beside it.
fn batch<'a>(messages: impl IntoIterator<Item = (String, &'a Value)>) -> SqsEvent {
    let records = messages.into_iter().enumerate().map(|(index, (body, replay))| {
        let mut record = json!({"messageId": index.to_string(), "body": body});
        if replay.is_string() {
            record["messageAttributes"] = json!({"replay": {"dataType": "String", "stringValue": replay}});
        }
        record
    });
    serde_json::from_value(json!({"Records": records.collect::<Vec<_>>()})).unwrap()
}

/// The description's text with these values in it.
fn fill(template: &Value, values: &Value) -> Value {
    match template {
        Value::Object(members) => {
            let known = members.iter().filter(|(name, _)| *name != "status" || values["status"].is_string());
            Value::Object(known.map(|(name, part)| (name.clone(), fill(part, values))).collect())
        }
        text => {
            let mut filled = String::new();
            let mut rest = text.as_str().unwrap();
            while let Some((before, behind)) = rest.split_once('{') {
                let (name, behind) = behind.split_once('}').unwrap();
                let value = &values[name];
                assert!(!value.is_null(), "{name} in {text}");
                filled += before;
                filled += &value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                rest = behind;
            }
            (filled + rest).into()
        }
    }
}

/// One vector while it runs.
struct World {
    description: Value,
    events: Value,
    start: u64,
    /// Unix milliseconds.
    clock: AtomicU64,
    consumer: Consumer,
    log: Mutex<Vec<Value>>,
    /// What the next events that reach `handle` do there.
    next: Mutex<VecDeque<Value>>,
    kept: Mutex<Vec<Value>>,
    /// The faults to come: call, key, fault.
    faults: Mutex<Vec<(String, String, Fault)>>,
    died: Notify,
    /// What must be requested.
    expected: Mutex<Vec<Value>>,
}

impl World {
    fn set_clock(&self, step: &Value) {
        let at = Duration::from_secs_f64(step["at"].as_f64().unwrap());
        self.clock.store(self.start + u64::try_from(at.as_millis()).unwrap(), Ordering::Relaxed);
    }

    fn key(&self, message: &Value) -> String {
        let event = &self.events[text(&message["event"])];
        let replay = &message["replay"];
        let form = if text(replay).is_empty() { "event" } else { "replay" };
        let values = json!({"source": event["source"], "id": event["id"], "replay": replay});
        text(&fill(&self.description["keys"][form], &values)).to_owned()
    }

    /// The requests that the step must make, in their order.
    fn expect(&self, step: &Value, number: usize) {
        self.set_clock(step);
        let began = self.clock.load(Ordering::Relaxed);
        for message in list(step, "messages") {
            let mut meanwhile = Some(&message["meanwhile"]).filter(|step| step.is_object());
            for call in list(message, "calls") {
                if call != "lease"
                    && let Some(step) = meanwhile.take()
                {
                    self.expect(step, 0);
                }
                let now = self.clock.load(Ordering::Relaxed);
                let event = &self.events[text(&message["event"])];
                let read = Event::from_json(&event.to_string()).unwrap().into_owned();
                let latest = json!({"source": event["source"], "subject": event["subject"]});
                let key = match text(call) {
                    "latest" => fill(&self.description["keys"]["latest"], &latest),
                    _ => self.key(message).into(),
                };
                let values = json!({
                    "table": "consumed", "key": key, "owner": owner(step, number), "now": now / 1000, "now_ms": now,
                    "expires_at": now / 1000 + self.description["remember_seconds"].as_u64().unwrap(),
                    "lease_until": began + left(step) + self.description["lease_margin_ms"].as_u64().unwrap(),
                    "sort_key": read.sort_key(), "type": read.event_type, "status": event["data"]["status"],
                });
                let request = fill(&self.description["requests"][text(call)], &values);
                self.expected.lock().unwrap().push(request);
            }
        }
        self.set_clock(step);
    }

    async fn handle(self: Arc<Self>, event: Event<'static>, state: State) -> Result<(), Error> {
        let message = self.next.lock().unwrap().pop_front().expect("an event is handled that should not be");
        assert_eq!(event.id, text(&self.events[text(&message["event"])]["id"]));
        if message["meanwhile"].is_object() {
            self.clone().step(message["meanwhile"].clone(), 0).await;
        }
        match text(&message["handle"]) {
            "fails before" => return Err("s3cr3t".into()),
            "hangs" => std::future::pending().await,
            "dies" => {
                self.died.notify_one();
                std::future::pending::<()>().await;
            }
            _ => {}
        }
        let kept = state.keep_latest(&event).await?;
        self.kept.lock().unwrap().push(kept.into());
        if message["handle"] == "fails after" { Err("s3cr3t".into()) } else { Ok(()) }
    }

    /// One invocation.
    fn step(self: Arc<Self>, step: Value, number: usize) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            self.set_clock(&step);
            let messages = list(&step, "messages");
            let kept_before = self.kept.lock().unwrap().len();
            for message in messages {
                if list(message, "calls").len() > 1 || message["handle"].is_string() {
                    self.next.lock().unwrap().push_back(message.clone());
                }
                for (call, fault) in message["fault"].as_object().into_iter().flatten() {
                    let fault = match text(fault) {
                        "" => Fault::Unmet(fault.clone()),
                        "refused" => Fault::Refused,
                        "unanswered" => Fault::Unanswered,
                        "repeated" => Fault::Repeated,
                        "dies before" => Fault::DiesBefore,
                        "dies after" => Fault::DiesAfter,
                        other => panic!("{other}"),
                    };
                    self.faults.lock().unwrap().push((call.clone(), self.key(message), fault));
                }
            }
            let bodies =
                messages.iter().map(|message| (self.events[text(&message["event"])].to_string(), &message["replay"]));
            let mut invocation = testing::invocation(&owner(&step, number), batch(bodies));
            invocation.context.deadline = self.clock.load(Ordering::Relaxed) + left(&step);
            let world = self.clone();
            let handle = move |event, state| world.clone().handle(event, state);
            let lines_before = self.log.lock().unwrap().len();
            let began = Instant::now();
            let answer = tokio::select! {
                answer = self.consumer.consume(invocation, &handle) => Some(answer),
                () = self.died.notified() => None,
            };
            // Before Lambda stops it.
            assert!(began.elapsed() < Duration::from_millis(left(&step).max(1_000)));
            let dies = messages.iter().any(|message| message["log"].is_null());
            assert_eq!(answer.is_none(), dies);
            if let Some(answer) = answer {
                let failed: Vec<_> =
                    answer.batch_item_failures.iter().map(|each| each.item_identifier.clone()).collect();
                let fails = |(index, message): (usize, &Value)| {
                    (!["handled", "duplicate"].contains(&text(&message["log"]))).then(|| index.to_string())
                };
                assert_eq!(failed, messages.iter().enumerate().filter_map(fails).collect::<Vec<_>>());
            }
            // Those of an invocation meanwhile have been compared and removed.
            let lines = self.log.lock().unwrap().split_off(lines_before);
            let expected: Vec<_> =
                messages.iter().map(|message| text(&message["log"])).filter(|log| !log.is_empty()).collect();
            assert_eq!(lines.len(), expected.len(), "{lines:?}");
            for (line, expected) in lines.iter().zip(expected) {
                let said = if line["message"] == "failed" { &line["error"] } else { &line["message"] };
                assert!(text(said).starts_with(expected), "{line} instead of {expected}");
                assert!(!line.to_string().contains("s3cr3t"), "{line}");
            }
            let kept = self.kept.lock().unwrap().split_off(kept_before);
            let expected: Vec<_> =
                messages.iter().map(|message| message["kept"].clone()).filter(|kept| !kept.is_null()).collect();
            assert_eq!(kept, expected);
        })
    }
}

fn owner(step: &Value, number: usize) -> String {
    step["request"].as_str().map_or_else(|| format!("request-{number}"), str::to_owned)
}

fn left(step: &Value) -> u64 {
    step["left"].as_u64().unwrap_or(30_000)
}

async fn run(vector: &Value, vectors: &Value, description: &Value) {
    let table = Table::new();
    let world = Arc::new_cyclic(|world: &std::sync::Weak<World>| {
        let (clock, log) = (world.clone(), world.clone());
        let clock = move || UNIX_EPOCH + Duration::from_millis(clock.upgrade().unwrap().clock.load(Ordering::Relaxed));
        let log = move |line: &str| {
            log.upgrade().unwrap().log.lock().unwrap().push(serde_json::from_str(line).unwrap());
        };
        World {
            description: description.clone(),
            events: vectors["events"].clone(),
            start: vectors["start_ms"].as_u64().unwrap(),
            clock: AtomicU64::default(),
            consumer: Consumer::new(table.client(), "consumed").clock(clock).log(log),
            log: Mutex::default(),
            next: Mutex::default(),
            kept: Mutex::default(),
            faults: Mutex::default(),
            died: Notify::new(),
            expected: Mutex::default(),
        }
    });
    let asked = world.clone();
    table.fail(move |request| {
        let item = &request["Item"];
        let call = match (item["sort_key"].is_null(), item["lease_until"].is_null()) {
            (false, _) => "latest",
            (true, false) => "lease",
            (true, true) => "mark",
        };
        let mut faults = asked.faults.lock().unwrap();
        let Some(index) =
            faults.iter().position(|(of, key, _)| of == call && (call == "latest" || *key == text(&item["pk"]["S"])))
        else {
            return Fault::None;
        };
        let (.., fault) = faults.remove(index);
        if matches!(fault, Fault::DiesBefore | Fault::DiesAfter) {
            asked.died.notify_one();
        }
        fault
    });
    for (index, step) in list(vector, "steps").iter().enumerate() {
        world.expect(step, index + 1);
        world.clone().step(step.clone(), index + 1).await;
        assert_eq!(table.requests(), *world.expected.lock().unwrap(), "step {}", index + 1);
        assert!(world.next.lock().unwrap().is_empty() && world.faults.lock().unwrap().is_empty());
    }
    assert_eq!(table.items().into_values().collect::<Vec<_>>(), list(vector, "table"));
}

#[tokio::test]
async fn each_vector_makes_the_same_requests_and_ends_in_the_same_table() {
    let (description, vectors) = (contract("consumer.json"), contract("consumer-vectors.json"));
    for vector in list(&vectors, "vectors") {
        println!("{}", vector["name"]);
        run(vector, &vectors, &description).await;
    }
    println!("{} vectors", list(&vectors, "vectors").len());
}

#[test]
fn the_constants_are_the_descriptions() {
    let description = contract("consumer.json");
    assert_eq!(description["remember_seconds"], REMEMBER.as_secs());
    assert_eq!(description["max_inflated_bytes"], hookgate_event::MAX_INFLATED_BYTES);
}

#[tokio::test]
async fn what_is_not_an_event_fails_without_a_call_and_unquoted() {
    let vectors = contract("consumer-vectors.json");
    let bodies: Vec<_> = list(&vectors, "not_events").iter().map(|each| text(&each["body"]).to_owned()).collect();
    assert_eq!(refused(bodies.clone()).await, vec![true; bodies.len()]);
    let payloads = list(&vectors, "payloads");
    let bodies = payloads.iter().map(|each| text(&each["body"]).to_owned()).collect();
    assert_eq!(refused(bodies).await, vec![false; payloads.len()]);
    for payload in payloads {
        let event = Event::from_json(text(&payload["body"])).unwrap();
        if let Some(expected) = payload["payload"].as_str() {
            assert_eq!(event.data.payload.get(), expected, "{}", payload["what"]);
        }
    }
}

/// Each member of the event missing, null, of another type and with another value.
#[tokio::test]
async fn the_descriptions_form_of_an_event_is_what_is_read() {
    let description = contract("consumer.json");
    let whole = json!({
        "specversion": "1.0", "id": "1", "source": "/webhooks/platform/default", "type": "commerce.order.paid", "subject": "order/1",
        "time": "2025-01-11T16:00:00Z", "datacontenttype": "application/json", "provider": "platform", "account": "default",
        "providertype": "paid", "receivedtime": "2025-01-11T16:00:01.250Z", "deliveryid": "1", "traceparent": "00",
        "data": {"resource": {"kind": "order", "id": "1"}, "amount": {"value": "1", "unit": "minor", "currency": "USD"},
                 "customer": {"id": "1"}, "status": "paid", "payload": {}}
    });
    let mut cases = vec![(whole.clone(), true)];
    let mut paths = vec![(String::new(), &description["event"])];
    while let Some((path, form)) = paths.pop() {
        for (name, part) in form.as_object().unwrap().iter().filter(|(name, _)| !name.starts_with("payload")) {
            let optional = name.ends_with('?');
            let pointer = format!("{path}/{}", name.trim_end_matches('?'));
            let values: &[Value] = part.as_array().map_or(&[], Vec::as_slice);
            assert!(whole.pointer(&pointer).is_some(), "{pointer}");
            let mut with = |value: Option<Value>, is_event| {
                let mut event = whole.clone();
                if let Some(value) = value {
                    *event.pointer_mut(&pointer).unwrap() = value;
                } else {
                    let parent = event.pointer_mut(&path).unwrap().as_object_mut().unwrap();
                    parent.remove(name.trim_end_matches('?')).unwrap();
                }
                cases.push((event, is_event));
            };
            with(None, optional);
            with(Some(Value::Null), optional);
            with(Some(json!(7)), false);
            with(Some(json!("s3cr3t")), part.is_array() && values.is_empty());
            for value in values {
                with(Some(value.clone()), true);
            }
            if part.is_object() {
                paths.push((pointer, part));
            }
        }
    }
    let bodies = cases.iter().map(|(event, _)| event.to_string()).collect();
    let expected: Vec<_> = cases.iter().map(|(_, is_event)| !is_event).collect();
    for ((case, is_event), refused) in cases.iter().zip(refused(bodies).await) {
        assert_eq!(!is_event, refused, "{case}");
    }
    println!("{} events, {} of them refused", expected.len(), expected.iter().filter(|refused| **refused).count());
}

/// Which of these bodies are not events. Nothing may be asked for them, and nothing of them may be said.
async fn refused(bodies: Vec<String>) -> Vec<bool> {
    let table = Table::new();
    let log = Arc::new(Mutex::new(Vec::new()));
    let lines = log.clone();
    let consumer = Consumer::new(table.client(), "consumed")
        .log(move |line| lines.lock().unwrap().push(serde_json::from_str::<Value>(line).unwrap()));
    let mut refused = Vec::new();
    for body in bodies {
        // Each with a memory of its own: they share an id.
        let replay = json!(format!("body-{}", refused.len()));
        let before = table.requests().len();
        let invocation = testing::invocation("1", batch([(body, &replay)]));
        let answer = consumer.consume(invocation, &|_, _| async { Ok(()) }).await;
        let line = log.lock().unwrap().pop().unwrap();
        let failed = text(&line["error"]).starts_with("not an event");
        assert_eq!(failed, line["message"] == "failed", "{line}");
        assert_eq!(failed, answer.batch_item_failures.len() == 1);
        assert_eq!(failed, table.requests().len() == before);
        assert!(!line.to_string().contains("s3cr3t"), "{line}");
        refused.push(failed);
    }
    refused
}

/// Every order of every resource's events, up to four, each event twice. `cli/tests/order` compares the sort keys of all others.
#[tokio::test]
async fn every_permutation_and_every_duplicate_ends_in_the_same_state() {
    let order = contract("order.json");
    let mut permutations = 0;
    for life in list(&order, "lives").iter().filter(|life| list(life, "events").len() <= 4) {
        let events = list(life, "events");
        for number in 0..(1..=events.len()).product() {
            // The number's digits, each to its own base, say which of the rest comes next, and where its copy comes.
            let (mut digits, mut rest, mut order) = (number, events.to_vec(), Vec::new());
            for left in (1..=rest.len()).rev() {
                let mut event = rest.remove(digits % left);
                digits /= left;
                for (name, value) in [
                    ("specversion", json!("1.0")),
                    ("source", json!("/webhooks/platform/default")),
                    ("datacontenttype", json!("application/json")),
                    ("provider", json!("platform")),
                    ("account", json!("default")),
                    ("providertype", json!("event")),
                    ("data", json!({"payload": {}})),
                ] {
                    event[name] = value;
                }
                order.insert(number % (order.len() + 1), event.clone());
                order.push(event);
            }
            let table = Table::new();
            let consumer = Consumer::new(table.client(), "consumed").log(|_| ());
            let invocation =
                testing::invocation("1", batch(order.iter().map(|event| (event.to_string(), &Value::Null))));
            let handle = |event: Event<'static>, state: State| async move {
                state.keep_latest(&event).await?;
                Ok(())
            };
            assert!(consumer.consume(invocation, &handle).await.batch_item_failures.is_empty());
            let items = table.items();
            let (_, state) = items.iter().find(|(key, _)| key.starts_with("latest ")).unwrap();
            let latest = events.iter().find(|event| event["id"] == life["latest"]).unwrap();
            assert_eq!(state["sort_key"]["S"], latest["sort_key"], "{}", life["name"]);
            assert_eq!(items.len(), events.len() + 1);
            permutations += 1;
        }
    }
    println!("{permutations} permutations");
    let all = |life: &Value| (1..=list(life, "events").len()).product::<usize>();
    let expected: usize = list(&order, "lives").iter().map(all).filter(|all| *all <= 24).sum();
    assert_eq!(permutations, expected);
}

#[tokio::test]
async fn a_state_can_have_attributes_of_its_own() {
    let table = Table::new();
    let consumer = Consumer::new(table.client(), "consumed").log(|_| ());
    let handle = |event: Event<'static>, state: State| async move {
        let attributes = ["total", "sort_key"].map(|name| (name.to_owned(), AttributeValue::S("5500".to_owned())));
        assert!(state.keep_latest_with(&event, attributes.into()).await?);
        Ok(())
    };
    let invocation = testing::invocation("1", testing::batch(&[EventType::OrderPaid]));
    assert!(consumer.consume(invocation, &handle).await.batch_item_failures.is_empty());
    let items = table.items();
    let (_, state) = items.iter().find(|(key, _)| key.starts_with("latest ")).unwrap();
    assert_eq!(state["total"]["S"], "5500");
    assert_ne!(state["sort_key"]["S"], "5500");
}

#[tokio::test]
async fn options() {
    let table = Table::new();
    let consumer = Consumer::new(table.client(), "other").remember(Duration::from_secs(7)).log(|_| ());
    let consumer = consumer.clock(|| UNIX_EPOCH + Duration::from_millis(1_000_500));
    let invocation = testing::invocation("1", testing::batch(&[EventType::OrderPaid]));
    consumer.consume(invocation, &|_, _| async { Ok(()) }).await;
    for request in table.requests() {
        assert_eq!((&request["TableName"], &request["Item"]["expires_at"]["N"]), (&json!("other"), &json!("1007")));
    }
    assert_eq!(table.requests().len(), 2);
}
