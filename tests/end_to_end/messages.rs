//! What lands on the queues, attribute by attribute.

use aws_sdk_sqs::types::MessageSystemAttributeName;
use base64::{Engine, prelude::BASE64_STANDARD};
use hookgate_event::{Event, EventType};
use hookgate_verify::{
    providers::{self, Identity, TimeFormat},
    rfc3339_milliseconds,
};
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

use crate::support::{
    World,
    body::{Body, TIME, note, payload},
    event::event,
    http,
    lambda::Invocation,
    order_paid, outcome, plain, scheme, signed,
};

#[tokio::test]
async fn a_message_is_one_cloudevent_with_attributes_for_filters() {
    let trace = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";
    for provider in providers::ALL {
        let world = World::new().await;
        let function = world.function(provider, &[]).await;
        let invocation = Invocation { trace_id: trace.to_owned(), ..Invocation::default() };
        let body = Body::new(provider, "evt_1").note("a\\/b");
        let (status, answer) = http(&function.invoke_with(signed(provider, &body.bytes()), invocation).await);
        assert_eq!((status, &answer["outcome"]), (200, &json!("queued")), "{provider:?}");
        // Not the platform's own id: a hash.
        let id = answer["id"].as_str().unwrap();
        let is_given = matches!(provider.identity, Identity::Id(_));
        assert!(if is_given { id == "evt_1" } else { id.len() == 64 || id.starts_with("d_") }, "{provider:?} {id}");

        let mut messages = world.messages().await;
        assert_eq!(messages.len(), 1);
        let message = messages.remove(0);
        let attributes = message.message_attributes().unwrap();
        let mut named: Vec<_> =
            attributes.iter().map(|(name, value)| (&**name, value.string_value().unwrap())).collect();
        named.sort_unstable();
        let event_type = provider.event_type(body.name);
        assert_eq!(named, [("account", "default"), ("provider", provider.name), ("type", event_type.as_str())]);
        let system = message.attributes().unwrap();
        assert_eq!(system[&MessageSystemAttributeName::AwsTraceHeader], trace);
        assert_eq!(system[&MessageSystemAttributeName::MessageGroupId], format!("{}/default", provider.name));

        let mut json: Value = serde_json::from_str(message.body().unwrap()).unwrap();
        let received = json.as_object_mut().unwrap().remove("receivedtime").unwrap();
        assert!(received.as_str().unwrap().ends_with('Z'), "{received}");
        let delivery_id = json.as_object_mut().unwrap().remove("deliveryid");
        assert_eq!(delivery_id.is_some(), scheme(provider).id_header().is_some(), "{provider:?}");
        let (kind, fields) = (provider.kind(body.name), &provider.fields);
        // What the platform says of the object, by the paths of its data.
        let said = |paths: providers::Paths| body.at(&fields.in_object(paths.first()?)).cloned();
        let text = |value: Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let resource = body.resource();
        let mut data = json!({
            "resource": {"kind": kind, "id": resource},
            "payload": payload(provider, body.json()),
        });
        if let Some(value) = said(fields.amount) {
            data["amount"] = json!({"value": text(value), "unit": fields.unit});
            if said(fields.currency).is_some() {
                data["amount"]["currency"] = "USD".into();
            }
        }
        if let Some(customer) = said(fields.customer) {
            data["customer"] = json!({"id": text(customer)});
        }
        if let Some(status) = said(fields.status) {
            data["status"] = status;
        }
        assert_eq!(
            json,
            json!({
                "specversion": "1.0", "id": id, "source": format!("/webhooks/{}/default", provider.name),
                "type": event_type, "subject": format!("{kind}/{resource}"), "time": TIME,
                "datacontenttype": "application/json", "provider": provider.name, "account": "default",
                "providertype": body.name, "traceparent": "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01",
                "data": data,
            })
        );
    }
}

#[tokio::test]
async fn the_payload_is_what_was_signed_byte_for_byte() {
    let object = r#"{ "z":29.990000000000001,"id":"o","a":1e400,"php":"caf\u00e9\/","raw":"é\u007f","d":{"x":1,"x":2},"n":-0.0 }"#;
    for provider in providers::ALL {
        let world = World::new().await;
        let function = world.function(provider, &[]).await;
        let (body, payload) = if let Some(member) = provider.fields.payload_member() {
            let path: Vec<_> = provider.fields.object.split('.').collect();
            let payload =
                path[1..].iter().rev().fold(object.to_owned(), |inner, name| format!(r#"{{ "{name}" :{inner}}}"#));
            // In the place of a text that stands nowhere else.
            let body = Body::new(provider, "evt_1").with(member, "the payload").text();
            (body.replace(r#""the payload""#, &payload), payload)
        } else {
            let body = Body::new(provider, "evt_1").with("an", "object").text().replace(r#""object""#, object);
            (body.clone(), body)
        };
        assert_eq!(outcome(&function.invoke(signed(provider, body.as_bytes())).await), (200, "queued".to_owned()));
        let events = world.events().await;
        assert_eq!(events[0].data.payload.get(), payload, "{provider:?}");
    }
}

#[tokio::test]
async fn what_sqs_refuses_arrives_all_the_same() {
    let world = World::new().await;
    let function = world.function(plain(), &[]).await;
    let text = "\u{ffff}\u{fffe}\u{fffd}\u{7f}\u{10ffff}";
    let body = Body::new(plain(), "evt_1").note(text);
    // The characters themselves, not their escapes, are in the body.
    assert!(body.text().contains('\u{ffff}'));
    assert_eq!(outcome(&function.invoke(signed(plain(), &body.bytes())).await), (200, "queued".to_owned()));
    let events = world.events().await;
    assert_eq!(note(&events[0].payload::<Value>().unwrap()), text);
}

#[tokio::test]
async fn a_large_event_travels_compressed_and_an_impossible_one_is_413() {
    let world = World::new().await;
    let function = world.function(plain(), &[]).await;
    let large = Body::new(plain(), "evt_1").note("all work and no play ".repeat(100_000));
    assert_eq!(outcome(&function.invoke(signed(plain(), &large.bytes())).await), (200, "queued".to_owned()));
    let messages = world.messages().await;
    let body = messages[0].body().unwrap();
    assert!(body.len() < 100_000 && body.contains("payload_gzip"));
    let event = Event::from_json(body).unwrap();
    assert_eq!(event.event_type, EventType::OrderPaid);
    assert!(large.text().contains(event.data.payload.get()));

    // Random digits: what gzip saves on them, base64 adds again.
    let mut state = 1_u64;
    let random = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_"[(state >> 58) as usize])
    });
    let impossible = order_paid("evt_2", &random.take(1_500_000).collect::<String>());
    assert_eq!(outcome(&function.invoke(impossible).await), (413, "too_large".to_owned()));
    assert!(world.events().await.is_empty());
    assert_eq!(world.claims().await.len(), 1, "the impossible event left a claim");
}

#[tokio::test]
async fn what_is_authentic_but_unreadable_is_kept_once() {
    let world = World::new().await;
    let function = world.function(plain(), &[]).await;
    let fields = &plain().fields;
    let body = || Body::new(plain(), "evt_1");
    let twice = body().text().replacen('{', r#"{"twice":1,"twice":2,"#, 1);
    let name = fields.name.member().unwrap();
    let Identity::Id(id) = plain().identity else { panic!("a plain platform has ids") };
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (b"no json".into(), "not_json"),
        (b"\xef\xbb\xbf{}".into(), "byte_order_mark"),
        (b"{\"a\":\"\xff\"}".into(), "not_utf8"),
        (br#"["evt_1","an event",1736611200,{"order":"1"}]"#.into(), "not_an_object"),
        (twice.into_bytes(), "duplicate_key"),
        (body().with(name, Value::Null).bytes(), "event_name"),
        (body().with(name, 7).bytes(), "event_name"),
        (body().without(fields.payload_member().unwrap()).bytes(), "payload"),
        (body().with(fields.object, "text").bytes(), "payload"),
        (body().with(id, json!({})).bytes(), "id"),
    ];
    for (body, reason) in cases {
        let delivery = signed(plain(), &body);
        assert_eq!(outcome(&function.invoke(delivery.clone()).await), (200, "quarantined".to_owned()), "{reason}");
        assert_eq!(outcome(&function.invoke(delivery).await), (200, "duplicate".to_owned()), "{reason}");
        let quarantined = world.quarantined().await;
        let [entry] = &quarantined[..] else { panic!("{quarantined:?}") };
        assert_eq!((&*entry.reason, &*entry.provider, &*entry.account), (reason, plain().name, "default"));
        assert_eq!(BASE64_STANDARD.decode(entry.body.as_ref().unwrap()).unwrap(), body, "{reason}");
        assert_eq!(entry.headers["x-forwarded-for"], "203.0.113.7");
        let signature = scheme(plain()).signature_header().unwrap();
        assert!(!entry.headers.contains_key(signature), "{reason}");
    }
    assert!(world.events().await.is_empty());

    // Not authentic: not kept.
    let forged =
        event(plain().name, None, &[(scheme(plain()).signature_header().unwrap(), &"0".repeat(64))], b"no json");
    let rejected = (u64::from(plain().rejected_status), "rejected".to_owned());
    assert_eq!(outcome(&function.invoke(forged).await), rejected);
    assert!(world.quarantined().await.is_empty());
}

#[tokio::test]
async fn a_large_unreadable_delivery_is_kept_compressed() {
    let world = World::new().await;
    let function = world.function(plain(), &[]).await;
    let body = "not json ".repeat(150_000);
    let delivery = signed(plain(), body.as_bytes());
    assert_eq!(outcome(&function.invoke(delivery).await), (200, "quarantined".to_owned()));
    let entry = world.quarantined().await.remove(0);
    assert_eq!((entry.body, &*entry.reason), (None, "not_json"));
    let gzip = BASE64_STANDARD.decode(entry.body_gzip.unwrap()).unwrap();
    assert!(gzip.starts_with(&[0x1f, 0x8b]) && gzip.len() < 20_000);
}

#[tokio::test]
async fn an_event_older_than_any_claim_goes_to_quarantine() {
    let world = World::new().await;
    let function = world.function(plain(), &[("MAX_EVENT_AGE_DAYS", "25")]).await;
    let aged = |id: &str, days: u64| {
        let time = OffsetDateTime::now_utc() - Duration::days(days.try_into().unwrap());
        let time = match plain().fields.time_format {
            TimeFormat::Unix => Value::from(time.unix_timestamp()),
            TimeFormat::Rfc3339 => rfc3339_milliseconds(time).into(),
            TimeFormat::Utc => rfc3339_milliseconds(time).trim_end_matches('Z').into(),
        };
        signed(plain(), &Body::new(plain(), id).with(plain().fields.time, time).bytes())
    };
    assert_eq!(outcome(&function.invoke(aged("young", 24)).await), (200, "queued".to_owned()));
    assert_eq!(outcome(&function.invoke(aged("old", 26)).await), (200, "quarantined".to_owned()));
    assert_eq!(world.quarantined().await.remove(0).reason, "too_old");
    assert_eq!(world.events().await.len(), 1);
}
