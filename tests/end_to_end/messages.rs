//! What lands on the queues, attribute by attribute.

use aws_sdk_sqs::types::MessageSystemAttributeName;
use base64::{Engine, prelude::BASE64_STANDARD};
use hookgate_event::{Event, EventType};
use hookgate_verify::providers::{elective, w3block};
use serde_json::{Value, json};

use crate::support::{
    World,
    lambda::{Invocation, event},
    order_paid, outcome, signed,
};

#[tokio::test]
async fn a_message_is_one_cloudevent_with_attributes_for_filters() {
    let world = World::new().await;
    let function = world.function("elective", &[]).await;
    let trace = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";
    let invocation = Invocation { trace_id: trace.to_owned(), ..Invocation::default() };
    let delivery = signed(&elective::PROVIDER, &order_paid("evt_1", "a\\/b"));
    assert_eq!(outcome(&function.invoke_with(delivery, invocation).await), (200, "queued".to_owned()));

    let mut messages = world.messages().await;
    assert_eq!(messages.len(), 1);
    let message = messages.remove(0);
    let attributes = message.message_attributes().unwrap();
    let mut named: Vec<_> = attributes.iter().map(|(name, value)| (&**name, value.string_value().unwrap())).collect();
    named.sort_unstable();
    assert_eq!(named, [("account", "default"), ("provider", "elective"), ("type", "commerce.order.paid")]);
    let system = message.attributes().unwrap();
    assert_eq!(system[&MessageSystemAttributeName::AwsTraceHeader], trace);
    assert_eq!(system[&MessageSystemAttributeName::MessageGroupId], "elective/default");

    let mut json: Value = serde_json::from_str(message.body().unwrap()).unwrap();
    let received = json.as_object_mut().unwrap().remove("receivedtime").unwrap();
    assert!(received.as_str().unwrap().ends_with('Z'), "{received}");
    assert_eq!(
        json,
        json!({
            "specversion": "1.0", "id": "evt_1", "source": "/webhooks/elective/default", "type": "commerce.order.paid",
            "subject": "order/8f3e", "time": "2025-01-11T16:00:00Z", "datacontenttype": "application/json",
            "provider": "elective", "account": "default", "providertype": "order.paid",
            "traceparent": "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01",
            "data": {
                "resource": {"kind": "order", "id": "8f3e"},
                "amount": {"value": "5500", "unit": "minor", "currency": "USD"},
                "customer": {"id": "cust_123"},
                "payload": {"orderId": "8f3e", "total": 5500, "currency": "USD", "customer_id": "cust_123", "note": "a\\/b"}
            }
        })
    );
}

#[tokio::test]
async fn the_payload_is_what_was_signed_byte_for_byte() {
    let world = World::new().await;
    let function = world.function("w3block", &[]).await;
    let data = r#"{ "z":29.990000000000001,"id":"o","a":1e400,"php":"caf\u00e9\/","raw":"é\u007f","d":{"x":1,"x":2},"n":-0.0 }"#;
    let body = format!(r#"{{"event":"order.created","timestamp":1666201874688,"data":{data}}}"#);
    assert_eq!(
        outcome(&function.invoke(signed(&w3block::PROVIDER, body.as_bytes())).await),
        (200, "queued".to_owned())
    );
    let events = world.events().await;
    assert_eq!(events[0].data.payload.get(), data);
}

#[tokio::test]
async fn what_sqs_refuses_arrives_all_the_same() {
    let world = World::new().await;
    let function = world.function("elective", &[]).await;
    let note = "\u{ffff}\u{fffe}\u{fffd}\u{7f}\u{10ffff}";
    let body = order_paid("evt_1", note);
    // The characters themselves, not their escapes, are in the body.
    assert!(String::from_utf8_lossy(&body).contains('\u{ffff}'));
    assert_eq!(outcome(&function.invoke(signed(&elective::PROVIDER, &body)).await), (200, "queued".to_owned()));
    let events = world.events().await;
    assert_eq!(events[0].payload::<Value>().unwrap()["note"], note);
}

#[tokio::test]
async fn a_large_event_travels_compressed_and_an_impossible_one_is_413() {
    let world = World::new().await;
    let function = world.function("elective", &[]).await;
    let large = order_paid("evt_1", &"all work and no play ".repeat(100_000));
    assert_eq!(outcome(&function.invoke(signed(&elective::PROVIDER, &large)).await), (200, "queued".to_owned()));
    let messages = world.messages().await;
    let body = messages[0].body().unwrap();
    assert!(body.len() < 100_000 && body.contains("payload_gzip"));
    let event = Event::from_json(body).unwrap();
    assert_eq!(event.event_type, EventType::OrderPaid);
    let sent = String::from_utf8(large).unwrap();
    assert!(sent.contains(event.data.payload.get()));

    // Random digits: what gzip saves on them, base64 adds again.
    let mut state = 1_u64;
    let random = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_"[(state >> 58) as usize])
    });
    let impossible = order_paid("evt_2", &random.take(1_500_000).collect::<String>());
    assert_eq!(
        outcome(&function.invoke(signed(&elective::PROVIDER, &impossible)).await),
        (413, "too_large".to_owned())
    );
    assert!(world.events().await.is_empty());
    assert_eq!(world.claims().await.len(), 1, "the impossible event left a claim");
}

#[tokio::test]
async fn what_is_authentic_but_unreadable_is_kept_once() {
    let world = World::new().await;
    let function = world.function("elective", &[]).await;
    let cases: [(&[u8], &str); 9] = [
        (b"no json", "not_json"),
        (b"\xef\xbb\xbf{}", "byte_order_mark"),
        (b"{\"a\":\"\xff\"}", "not_utf8"),
        (br#"["evt_1","order.paid",1736611200,{"orderId":"1"}]"#, "not_an_object"),
        (br#"{"id":"1","id":"2","event":"order.paid","data":{}}"#, "duplicate_key"),
        (br#"{"id":"1","data":{}}"#, "event_name"),
        (br#"{"id":"1","event":7,"data":{}}"#, "event_name"),
        (br#"{"id":"1","event":"order.paid"}"#, "payload"),
        (br#"{"id":1,"event":"order.paid","data":{}}"#, "id"),
    ];
    for (body, reason) in cases {
        let delivery = signed(&elective::PROVIDER, body);
        assert_eq!(outcome(&function.invoke(delivery.clone()).await), (200, "quarantined".to_owned()), "{reason}");
        assert_eq!(outcome(&function.invoke(delivery).await), (200, "duplicate".to_owned()), "{reason}");
        let quarantined = world.quarantined().await;
        let [entry] = &quarantined[..] else { panic!("{quarantined:?}") };
        assert_eq!((&*entry.reason, &*entry.provider, &*entry.account), (reason, "elective", "default"));
        assert_eq!(BASE64_STANDARD.decode(entry.body.as_ref().unwrap()).unwrap(), body, "{reason}");
        assert_eq!(entry.headers["x-forwarded-for"], "203.0.113.7");
        assert!(!entry.headers.contains_key("x-e-commerce-signature"), "{reason}");
    }
    assert!(world.events().await.is_empty());

    // Not authentic: not kept.
    let forged = event("elective", None, &[("x-e-commerce-signature", &"0".repeat(64))], b"no json");
    assert_eq!(outcome(&function.invoke(forged).await), (401, "rejected".to_owned()));
    assert!(world.quarantined().await.is_empty());
}

#[tokio::test]
async fn a_large_unreadable_delivery_is_kept_compressed() {
    let world = World::new().await;
    let function = world.function("elective", &[]).await;
    let body = "not json ".repeat(150_000);
    let delivery = signed(&elective::PROVIDER, body.as_bytes());
    assert_eq!(outcome(&function.invoke(delivery).await), (200, "quarantined".to_owned()));
    let entry = world.quarantined().await.remove(0);
    assert_eq!((entry.body, &*entry.reason), (None, "not_json"));
    let gzip = BASE64_STANDARD.decode(entry.body_gzip.unwrap()).unwrap();
    assert!(gzip.starts_with(&[0x1f, 0x8b]) && gzip.len() < 20_000);
}

#[tokio::test]
async fn an_event_older_than_any_claim_goes_to_quarantine() {
    let world = World::new().await;
    let function = world.function("elective", &[("MAX_EVENT_AGE_DAYS", "25")]).await;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let aged = |id: &str, days: u64| {
        let time = (now - days * 86_400).to_string();
        String::from_utf8(order_paid(id, "")).unwrap().replace("1736611200", &time).into_bytes()
    };
    assert_eq!(
        outcome(&function.invoke(signed(&elective::PROVIDER, &aged("young", 24))).await),
        (200, "queued".to_owned())
    );
    let old = function.invoke(signed(&elective::PROVIDER, &aged("old", 26))).await;
    assert_eq!(outcome(&old), (200, "quarantined".to_owned()));
    assert_eq!(world.quarantined().await.remove(0).reason, "too_old");
    assert_eq!(world.events().await.len(), 1);
}
