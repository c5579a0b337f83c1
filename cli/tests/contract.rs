//! `docs/contract` says what the code does: its lists are the code's own, and whatever an authentic delivery says, the
//! event that is made of it keeps to the schema.
//!
//! `UPDATE_CONTRACT=1 cargo test -p hookgate --test contract` writes the lists again.

use std::{
    collections::BTreeSet,
    fmt::Write,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use aws_sdk_sqs::types::{MessageAttributeValue, MessageSystemAttributeName, QueueAttributeName};
use hookgate::{
    engines::{self, Engines},
    json::{Escapes, Json, Space, Style},
    local::{Local, SecretsFile},
    messages, samples,
};
use hookgate_event::EventType;
use hookgate_intake::MAX_MESSAGE_BYTES;
use hookgate_verify::{Account, Delivery, Layout, Provider, Secrets, Verifier, providers, sender};
use http::{HeaderMap, HeaderName};
use jsonschema::Validator;
use proptest::{prelude::*, sample::select};
use serde_json::{Value, json};
use time::OffsetDateTime;

const SECRET: &str = "sample";

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/contract").join(name)
}

fn read(name: &str) -> String {
    std::fs::read_to_string(file(name)).unwrap()
}

/// The file is as the code would write it, or is written.
fn written(name: &str, text: &str) {
    if std::env::var_os("UPDATE_CONTRACT").is_some() {
        std::fs::write(file(name), text).unwrap();
    } else {
        let remedy = "write it again with UPDATE_CONTRACT=1 cargo test -p hookgate --test contract";
        assert!(read(name) == text, "docs/contract/{name} is not what the code does: {remedy}");
    }
}

/// The schema with the lists as the code has them.
fn schema() -> String {
    let mut schema = Json::parse(read("event.schema.json").as_bytes()).expect("JSON");
    let list = |names: &mut dyn Iterator<Item = &str>| Json::Array(names.map(Json::text).collect());
    let kinds: BTreeSet<_> = EventType::ALL.iter().filter_map(|known| known.resource_kind()).collect();
    for (path, names) in [
        ("type", list(&mut EventType::ALL.iter().map(|known| known.as_str()))),
        ("provider", list(&mut providers::ALL.iter().map(|provider| provider.name))),
        ("data.properties.resource.properties.kind", list(&mut kinds.into_iter())),
    ] {
        schema.set(&format!("properties.{path}.anyOf.0.enum"), names).unwrap();
    }
    let style = Style { space: Space::Lines(2), escapes: Escapes::Kept, sorted: false };
    schema.write(style) + "\n"
}

#[test]
fn the_schema_lists_what_the_code_knows() {
    written("event.schema.json", &schema());
}

#[test]
fn the_table_of_events_is_the_codes() {
    let mut text = "\
# What every platform's events are called

<!-- Written by cli/tests/contract.rs from the code's own tables. -->

`type` is the same for all platforms; `providertype` keeps the platform's own name. What each type means:
[`event_type.rs`](../../shared/event/src/event_type.rs). An event that stands in no table below is queued as
`commerce.unrecognized`, with its whole payload.
"
    .to_owned();
    for provider in providers::ALL {
        write!(text, "\n## {}\n\n| event | type | subject |\n|---|---|---|\n", provider.name).unwrap();
        for (name, event_type) in provider.events {
            let kind = event_type.resource_kind().unwrap();
            writeln!(text, "| `{name}` | `{}` | `{kind}/…` |", event_type.as_str()).unwrap();
        }
    }
    text += "\n## Who sends which type\n\n| type | platforms |\n|---|---|\n";
    for event_type in EventType::ALL.iter().filter(|known| **known != EventType::Unrecognized) {
        let sends = |provider: &&&Provider| provider.events.iter().any(|(_, sent)| sent == event_type);
        let senders: Vec<_> = providers::ALL.iter().filter(sends).map(|provider| provider.name).collect();
        assert!(!senders.is_empty(), "no platform sends {event_type:?}");
        writeln!(text, "| `{}` | {} |", event_type.as_str(), senders.join(", ")).unwrap();
    }
    written("events.md", &text);
}

/// Its page says how each platform signs, what it is answered, and which setting it has; the index has the page.
#[test]
fn every_platform_has_a_page() {
    let index = read("../README.md");
    for provider in providers::ALL {
        let page = format!("providers/{}.md", provider.name);
        assert!(index.contains(&format!("({page})")), "docs/README.md does not list {page}");
        let text = read(&format!("../{page}")).to_lowercase();
        let mut said = vec![provider.rejected_status.to_string(), provider.setting.to_lowercase()];
        for scheme in provider.modes.iter().flat_map(|(_, schemes)| *schemes) {
            match scheme.layout {
                Layout::Header(name) | Layout::Member(name, _) => said.push(name.to_owned()),
                Layout::StampedHeader { signature, delivery_id, timestamp, tolerance } => {
                    said.extend([signature, delivery_id, timestamp].map(str::to_owned));
                    said.push(format!("{} minutes", tolerance / 60));
                }
            }
        }
        for said in said {
            assert!(text.contains(&said), "docs/{page} does not say {said}");
        }
    }
}

/// What the queue's description says, from a message that really went over a queue.
struct Queued {
    /// The queue's URL, without scheme and address.
    path: String,
    /// How often a message is received before it is a dead letter.
    receives: u64,
    /// The message attributes' names and values, in the event's order.
    attributes: Vec<(String, String)>,
    event: String,
}

/// Sends one sample through the local intake and receives what comes of it.
async fn queued(name: &str) -> Queued {
    let sample = read_samples().into_iter().find(|sample| sample.name == name).expect("that sample");
    let event = sample_events().into_iter().find(|(known, _)| known == name).expect("that sample").1[0].clone();
    let free = SocketAddr::from(([127, 0, 0, 1], 0));
    let engines = Engines::start(free, free).await.unwrap();
    let resources = engines::provision(&engines).await.unwrap();
    let secrets = SecretsFile::read(&file("../../events/secrets.json")).unwrap();
    let local = Local::start(free, &engines, &resources, &secrets, Box::new(|_| {})).await.unwrap();
    let answer = sample.send(&reqwest::Client::new(), &local.url(), sample.body.clone()).await.unwrap();
    assert_eq!(answer.outcome, "queued");

    let (sqs, url) = (engines.sqs(), resources.events_url);
    let receive = sqs.receive_message().queue_url(&url).message_attribute_names("All");
    let batch = receive.message_system_attribute_names(MessageSystemAttributeName::All).send().await.unwrap();
    let message = batch.messages.unwrap().remove(0);
    let group = &message.attributes().unwrap()[&MessageSystemAttributeName::MessageGroupId];
    assert_eq!(*group, format!("{}/default", sample.provider.name));
    let sent: Value = serde_json::from_str(&event).unwrap();
    let attribute = |(name, attribute): (&String, &MessageAttributeValue)| {
        assert_eq!(attribute.data_type(), "String", "{name}");
        assert_eq!(sent[name], attribute.string_value().unwrap(), "{name} is that of the event");
        (name.clone(), attribute.string_value().unwrap().to_owned())
    };
    let mut attributes: Vec<_> = message.message_attributes().unwrap().iter().map(attribute).collect();
    attributes.sort_by_key(|(name, _)| event.find(&format!("\"{name}\":")));
    let look = sqs.get_queue_attributes().queue_url(&url).attribute_names(QueueAttributeName::RedrivePolicy);
    let looked = look.send().await.unwrap().attributes.unwrap();
    let redrive: Value = serde_json::from_str(&looked[&QueueAttributeName::RedrivePolicy]).unwrap();

    // On AWS the queue is what the template says.
    let template = read("../../template.yaml");
    let resource = template.split("\n  EventsQueue:\n").nth(1).and_then(|rest| rest.split("\n\n").next()).unwrap();
    let setting = |name: &str| -> u64 {
        let value = resource.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(": "));
        value.and_then(|value| value.split(' ').next()?.parse().ok()).unwrap_or_else(|| panic!("no {name}"))
    };
    let receives = setting("maxReceiveCount");
    assert_eq!(redrive["maxReceiveCount"], receives);
    assert_eq!(setting("MaximumMessageSize"), MAX_MESSAGE_BYTES as u64);
    Queued { path: url.splitn(4, '/').last().unwrap().to_owned(), receives, attributes, event }
}

#[tokio::test]
async fn the_queue_is_described_as_the_code_uses_it() {
    const LOCAL: &str = "127.0.0.1:9002";
    const OUTPUT: &str = "EventsQueueUrl";
    assert!(read("../../template.yaml").contains(&format!("\n  {OUTPUT}:\n")), "the template has no such output");
    let Queued { path, receives, attributes, event } = queued("elective/order-paid").await;
    let queue = messages::name(&path);
    let most = format!("{} MiB ({MAX_MESSAGE_BYTES} bytes)", MAX_MESSAGE_BYTES >> 20);
    let names: Vec<_> = attributes.iter().map(|(name, _)| &name[..]).collect();
    let required = names.join(", ");
    let (mut headers, mut values) = (String::new(), String::new());
    for (name, value) in &attributes {
        write!(headers, "\n          {name}:\n            $ref: \"./event.schema.json#/properties/{name}\"").unwrap();
        write!(values, "\n            {name}: {value}").unwrap();
    }
    let (version, license) = (env!("CARGO_PKG_VERSION"), env!("CARGO_PKG_LICENSE"));
    let text = format!(
        r##"# Written by cli/tests/contract.rs from what the code sends.
asyncapi: 3.0.0
info:
  title: Hookgate
  version: {version}
  description: >-
    Webhook intake for e-commerce platforms. Whichever platform spoke, consumers read one form of event from one queue.
  license:
    name: {license}
defaultContentType: application/json

servers:
  aws:
    host: sqs.{{region}}.amazonaws.com
    protocol: sqs
    description: The queue's address is the output {OUTPUT} of the stack.
    variables:
      region:
        description: The region of the stack.
  local:
    host: {LOCAL}
    protocol: sqs
    description: The local intake, `cargo run`. The queue's address is http://{LOCAL}/{path}.

channels:
  events:
    address: {queue}
    title: Every event of every platform
    description: >-
      A standard queue: at least once, in no order. Deduplicate on source and id. A message that has been received
      {receives} times and not been deleted goes to the dead letters.
    messages:
      event:
        $ref: "#/components/messages/event"

operations:
  queue:
    action: send
    summary: Queue an event that its platform was proved to have sent.
    channel:
      $ref: "#/channels/events"
    messages:
      - $ref: "#/channels/events/messages/event"

components:
  messages:
    event:
      name: event
      title: An event
      summary: CloudEvents 1.0 in structured mode, at most {most} with its attributes.
      contentType: application/json
      headers:
        description: >-
          SQS message attributes, each of the type String, for filters. The MessageGroupId is {{provider}}/{{account}}, so that
          no shop waits for another's flood. The system attribute AWSTraceHeader carries the X-Ray trace, if there is one.
        type: object
        required: [{required}]
        properties:{headers}
      payload:
        $ref: "./event.schema.json"
      correlationId:
        description: The same for every copy of an event within one source.
        location: $message.payload#/id
      examples:
        - name: order-paid
          summary: Elective Commerce says that an order is paid.
          headers:{values}
          payload: {event}
"##
    );
    written("asyncapi.yaml", &text);
}

/// The schema as published, and closed: what this version knows and nothing else, so that nothing is left undescribed.
static SCHEMAS: LazyLock<[Validator; 2]> = LazyLock::new(|| {
    let published: Value = serde_json::from_str(&schema()).unwrap();
    let mut closed = published.clone();
    close(&mut closed);
    [published, closed].map(|schema| jsonschema::draft202012::new(&schema).unwrap())
});

fn close(schema: &mut Value) {
    let Some(schema) = schema.as_object_mut() else { return };
    if let Some(known) = schema.remove("anyOf") {
        schema.insert("enum".into(), known[0]["enum"].clone());
    }
    if let Some(members) = schema.get_mut("properties") {
        members.as_object_mut().unwrap().values_mut().for_each(close);
        schema.insert("additionalProperties".into(), false.into());
    }
}

fn assert_valid(event: &str) {
    let event: Value = serde_json::from_str(event).unwrap();
    for schema in SCHEMAS.iter() {
        let complaints: Vec<_> = schema.iter_errors(&event).map(|error| error.to_string()).collect();
        assert!(complaints.is_empty(), "{complaints:#?}\n{event:#}");
    }
}

/// The event that becomes of this delivery, in the open and compressed. None where it would go to quarantine.
fn events(provider: &'static Provider, headers: HeaderMap, body: Vec<u8>, secrets: &Secrets) -> Option<[String; 2]> {
    let received = OffsetDateTime::from_unix_timestamp(1_773_504_000).unwrap();
    let delivery = Delivery { headers, body, account: Account::default(), received };
    let verifier = Verifier::new(provider, |_| None).unwrap();
    let event = verifier.authenticate(&delivery, secrets).unwrap().read().ok()?.event;
    Some([event.to_json(), event.to_json_gzip()])
}

fn read_samples() -> Vec<samples::Sample> {
    samples::read(&file("../../events")).unwrap()
}

/// The event of each sample, in the open and compressed.
fn sample_events() -> Vec<(String, [String; 2])> {
    let secrets: Value = serde_json::from_str(&read("../../events/secrets.json")).unwrap();
    let event = |sample: samples::Sample| {
        // Every account's secret is good here: the account is no part of what is judged.
        let accounts = secrets[sample.provider.name].as_object().unwrap();
        let all: Vec<&Value> = accounts.values().flat_map(|list| list.as_array().unwrap()).collect();
        let secrets = Secrets::parse(&json!(all).to_string()).unwrap();
        let headers = sample.headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        let headers: HeaderMap = headers.collect();
        let events = events(sample.provider, headers, sample.body, &secrets).expect(&sample.name);
        (sample.name, events)
    };
    read_samples().into_iter().map(event).collect()
}

#[test]
fn every_sample_keeps_to_the_schema() {
    for (_, [open, compressed]) in sample_events() {
        assert_valid(&open);
        assert_valid(&compressed);
    }
}

/// Signed as the platform does it, by its newest scheme.
fn delivered(provider: &'static Provider, body: &str) -> Option<[String; 2]> {
    let scheme = &provider.modes[0].1[0];
    let signed = sender::sign(scheme, SECRET.as_bytes(), body.as_bytes(), ("whd_1", 1_773_504_000));
    let header = |(name, value): &(&'static str, String)| (HeaderName::from_static(name), value.parse().unwrap());
    let headers = signed.headers.iter().map(header).collect();
    events(provider, headers, signed.body, &Secrets::parse(SECRET).unwrap())
}

/// Values such as platforms send, and such as they should not.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        "-?[0-9]{1,4}(\\.[0-9]{1,2})?([eE][+-]?[0-9]{1,3})?".prop_map(Value::from),
        select(&["USD", "eur", "", "paid", "2026-04-15T14:22:30Z", "0000-01-01T00:00:00+23:59"][..])
            .prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| prop::collection::btree_map("[a-z]{1,3}", inner, 0..3).prop_map(|m| json!(m)))
}

/// An object that has some of the members which the platforms' readers look for.
fn payload() -> impl Strategy<Value = Value> {
    let names = "id uniqid orderId customer_id userId client_id customer total amount currencyAmount currency \
                 currency_code status object x";
    let names: Vec<_> = names.split_whitespace().collect();
    prop::collection::btree_map(select(names), value(), 0..8).prop_map(|members| json!(members))
}

/// A provider, and a body of its form with anything in it.
fn delivery() -> impl Strategy<Value = (&'static Provider, String)> {
    let named = select(providers::ALL).prop_flat_map(|provider| {
        let known = select(provider.events).prop_map(|(name, _)| name.to_owned());
        (Just(provider), prop_oneof![4 => known, 1 => "[a-z:.]{1,20}", 1 => ".{1,100}"])
    });
    (named, payload(), payload(), value(), prop_oneof![Just(json!("evt_1")), value()]).prop_map(
        |((provider, name), mut data, object, time, id)| {
            data["object"] = object;
            let body = json!({
                "event": name, "type": name, "id": id, "data": data,
                "created_at": time, "created": time, "timestamp": time,
            });
            (provider, body.to_string())
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_is_delivered_keeps_to_the_schema(deliveries in prop::collection::vec(delivery(), 20)) {
            let read: Vec<_> = deliveries.iter().filter_map(|(provider, body)| delivered(provider, body)).collect();
        prop_assert!(!read.is_empty(), "all of them are quarantined");
        for event in read.iter().flatten() {
            assert_valid(event);
        }
    }
}

/// Each of these changes makes an event into none, by the published schema too.
#[test]
fn what_is_no_event_is_refused() {
    let body = json!({
        "event": "order:paid", "created_at": 1_773_504_000,
        "data": {"uniqid": "inv_1", "total": 49.99, "currency": "USD", "customer_id": "c1", "status": "COMPLETED"},
    });
    let [event, _] = delivered(Provider::named("shoppex").unwrap(), &body.to_string()).unwrap();
    assert_valid(&event);
    let event: Value = serde_json::from_str(&event).unwrap();

    let replaced = |path: &str, value: Value| {
        let mut event = event.clone();
        *event.pointer_mut(path).unwrap_or_else(|| panic!("{path} is not there")) = value;
        event
    };
    let mut spoiled = vec![json!([]), json!("event"), json!({})];
    let paths = [
        "/specversion",
        "/id",
        "/source",
        "/type",
        "/subject",
        "/time",
        "/datacontenttype",
        "/provider",
        "/account",
        "/providertype",
        "/receivedtime",
        "/deliveryid",
        "/data",
        "/data/resource",
        "/data/resource/kind",
        "/data/resource/id",
        "/data/amount",
        "/data/amount/value",
        "/data/amount/unit",
        "/data/amount/currency",
        "/data/customer",
        "/data/customer/id",
        "/data/status",
        "/data/payload",
    ];
    for path in paths {
        // Never null, never of another type.
        spoiled.extend([Value::Null, json!(7), json!([])].map(|value| replaced(path, value)));
        let optional =
            ["/time", "/deliveryid", "/data/amount", "/data/amount/currency", "/data/customer", "/data/status"];
        let (parent, name) = path.rsplit_once('/').unwrap();
        let mut without = event.clone();
        without.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(name).unwrap();
        if optional.contains(&path) {
            assert_valid(&without.to_string());
        } else {
            spoiled.push(without);
        }
    }
    for (path, value) in [
        ("/specversion", "0.3"),
        ("/id", ""),
        ("/source", "/webhooks/shoppex"),
        ("/source", "/webhooks/shoppex/EU"),
        ("/type", "order.paid"),
        ("/type", "commerce.unrecognized"),
        ("/subject", "order"),
        ("/time", "2026-03-14T16:00:00"),
        ("/receivedtime", "2026-03-14T16:00:00Z"),
        ("/datacontenttype", "text/xml"),
        ("/account", "a b"),
        ("/deliveryid", "a.b"),
        ("/data/amount/value", "49,99"),
        ("/data/amount/value", "NaN"),
        ("/data/amount/unit", "cents"),
        ("/data/amount/currency", "usd"),
        ("/data/payload", "{}"),
    ] {
        spoiled.push(replaced(path, value.into()));
    }
    let mut both = event.clone();
    both["data"]["payload_gzip"] = "H4sI".into();
    spoiled.push(both);
    for event in spoiled {
        assert!(!SCHEMAS.iter().any(|schema| schema.is_valid(&event)), "{event:#}");
    }
}

#[test]
fn what_a_later_version_may_add_is_let_pass() {
    let [published, closed] = &*SCHEMAS;
    let body = json!({"event": "order.paid", "id": "e1", "data": {"orderId": "7"}});
    let [event, _] = delivered(Provider::named("elective").unwrap(), &body.to_string()).unwrap();
    for (path, value) in
        [("/type", "commerce.order.returned"), ("/provider", "another"), ("/data/resource/kind", "parcel")]
    {
        let mut event: Value = serde_json::from_str(&event).unwrap();
        *event.pointer_mut(path).unwrap() = value.into();
        assert!(published.is_valid(&event) && !closed.is_valid(&event), "{path}");
    }
    let mut event: Value = serde_json::from_str(&event).unwrap();
    event["dataschema"] = "urn:x".into();
    assert!(published.is_valid(&event) && !closed.is_valid(&event));
}
