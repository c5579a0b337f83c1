//! `docs/contract` says what the code does: its lists are the code's own, and whatever an authentic delivery says, the
//! event that is made of it keeps to the schema.
//!
//! `UPDATE_CONTRACT=1 cargo test -p hookgate --test contract` writes the lists again.

use std::{
    collections::BTreeSet,
    fmt::Write,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use hookgate::{
    json::{Escapes, Json, Space, Style},
    samples,
};
use hookgate_event::EventType;
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

/// The queue's description for this version, with an event that really comes of a sample.
#[test]
fn the_queue_is_described_as_the_code_uses_it() {
    let example = sample_events().into_iter().find(|(name, _)| name == "elective/order-paid").expect("that sample").1;
    let mut text = String::new();
    for line in read("asyncapi.yaml").lines() {
        let name = line.split_inclusive(": ").next().unwrap_or_default();
        match name {
            "  version: " => writeln!(text, "{name}{}", env!("CARGO_PKG_VERSION")),
            "          payload: " => writeln!(text, "{name}{}", example[0]),
            _ => writeln!(text, "{line}"),
        }
        .unwrap();
    }
    written("asyncapi.yaml", &text);
    let limit = format!("at most {} MiB with its attributes", hookgate_intake::MAX_MESSAGE_BYTES >> 20);
    for said in [&*limit, "address: hookgate-events", "required: [type, provider, account]", "{provider}/{account}"] {
        assert!(text.contains(said), "docs/contract/asyncapi.yaml does not say {said}");
    }
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

/// The event of each sample, in the open and compressed.
fn sample_events() -> Vec<(String, [String; 2])> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../events");
    let secrets: Value = serde_json::from_str(&std::fs::read_to_string(folder.join("secrets.json")).unwrap()).unwrap();
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
    samples::read(&folder).unwrap().into_iter().map(event).collect()
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
