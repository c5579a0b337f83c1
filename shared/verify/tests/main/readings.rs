//! What authentic deliveries say: types, facts, payloads, keys.

use std::collections::BTreeSet;

use hookgate_event::{Amount, Event, Unit};
use hookgate_verify::Unreadable;
use sha2::{Digest, Sha256};

use crate::post::{
    ALL, CURRENT, DELIVERY_ID, Mode,
    Mode::{
        Elective, EtailDepot, OpteriusEmpty, OpteriusWithout, ShoppexOnlyV2, ShoppexV1, ShoppexV2, W3blockBase64,
        W3blockHex,
    },
    NOW, Outcome, Post, hmac_sha256,
};

/// Every documented event: provider, its name, our type, the subject of a resource `8f3e`.
const TYPES: &[(Mode, &str, &str, &str)] = &[
    (Elective, "order.created", "commerce.order.created", "order/8f3e"),
    (Elective, "order.paid", "commerce.order.paid", "order/8f3e"),
    (Elective, "order.fulfilled", "commerce.order.fulfilled", "order/8f3e"),
    (Elective, "customer.created", "commerce.customer.created", "customer/c1"),
    (ShoppexV1, "order:created", "commerce.order.created", "order/8f3e"),
    (ShoppexV1, "order:created:product", "commerce.order.created.product", "order/8f3e"),
    (ShoppexV1, "order:updated", "commerce.order.updated", "order/8f3e"),
    (ShoppexV1, "order:updated:product", "commerce.order.updated.product", "order/8f3e"),
    (ShoppexV1, "order:paid", "commerce.order.paid", "order/8f3e"),
    (ShoppexV1, "order:paid:product", "commerce.order.paid.product", "order/8f3e"),
    (ShoppexV1, "order:cancelled", "commerce.order.cancelled", "order/8f3e"),
    (ShoppexV1, "order:cancelled:product", "commerce.order.cancelled.product", "order/8f3e"),
    (ShoppexV1, "order:disputed", "commerce.order.disputed", "order/8f3e"),
    (ShoppexV1, "order:disputed:product", "commerce.order.disputed.product", "order/8f3e"),
    (ShoppexV1, "order:partial", "commerce.order.partially_paid", "order/8f3e"),
    (ShoppexV1, "order:partial:product", "commerce.order.partially_paid.product", "order/8f3e"),
    (ShoppexV1, "order:manual_payment_pending", "commerce.order.payment_pending", "order/8f3e"),
    (ShoppexV1, "subscription:created", "commerce.subscription.created", "subscription/8f3e"),
    (ShoppexV1, "subscription:cancelled", "commerce.subscription.cancelled", "subscription/8f3e"),
    (EtailDepot, "payment.succeeded", "commerce.payment.succeeded", "payment/8f3e"),
    (EtailDepot, "payment.failed", "commerce.payment.failed", "payment/8f3e"),
    (EtailDepot, "payment.refunded", "commerce.payment.refunded", "payment/8f3e"),
    (EtailDepot, "order.created", "commerce.order.created", "order/8f3e"),
    (EtailDepot, "order.fulfilled", "commerce.order.fulfilled", "order/8f3e"),
    (EtailDepot, "order.cancelled", "commerce.order.cancelled", "order/8f3e"),
    (EtailDepot, "account.updated", "commerce.account.updated", "account/8f3e"),
    (EtailDepot, "card.issued", "commerce.card.issued", "card/8f3e"),
    (EtailDepot, "transaction.created", "commerce.transaction.created", "transaction/8f3e"),
    (OpteriusWithout, "invoice.created", "commerce.invoice.created", "invoice/305"),
    (OpteriusWithout, "invoice.paid", "commerce.invoice.paid", "invoice/305"),
    (OpteriusWithout, "service.activated", "commerce.service.activated", "service/305"),
    (OpteriusWithout, "service.suspended", "commerce.service.suspended", "service/305"),
    (OpteriusWithout, "domain.registered", "commerce.domain.registered", "domain/305"),
    (OpteriusWithout, "domain.renewed", "commerce.domain.renewed", "domain/305"),
    (OpteriusWithout, "order.completed", "commerce.order.completed", "order/305"),
    (W3blockHex, "order.created", "commerce.order.created", "order/8f3e"),
    (W3blockHex, "order.concluded", "commerce.order.completed", "order/8f3e"),
    (W3blockHex, "order.failed", "commerce.order.failed", "order/8f3e"),
    (W3blockHex, "order.expired", "commerce.order.expired", "order/8f3e"),
    (W3blockHex, "order.cancelled", "commerce.order.cancelled", "order/8f3e"),
];

#[test]
fn every_documented_name_has_its_type() {
    for (mode, name, event_type, subject) in TYPES {
        let event = named(*mode, name).read().event;
        assert_eq!(event.event_type.as_str(), *event_type, "{mode:?} {name}");
        assert_eq!(event.subject.as_deref(), Some(*subject), "{mode:?} {name}");
        assert_eq!(event.provider_type, *name);
    }
    // The other way round: the crate knows no name that stands in nobody's documentation.
    for provider in hookgate_verify::providers::ALL {
        let listed = TYPES.iter().filter(|(mode, ..)| mode.verifier().provider().name == provider.name).count();
        assert_eq!(provider.events.len(), listed, "{provider:?}");
    }
}

#[test]
fn an_unknown_name_is_unrecognized_and_about_nothing() {
    let near = ["product:stock", "order.paid ", "Order.Paid", "order_paid", "commerce.order.paid", "*", "\\u0000"];
    for &mode in ALL {
        // What another provider calls its events means nothing here.
        let others = if mode == Elective { "invoice.paid" } else { "customer.created" };
        for name in near.into_iter().chain([others]) {
            let event = named(mode, name).read().event;
            assert_eq!(event.event_type.as_str(), "commerce.unrecognized", "{mode:?} {name}");
            assert_eq!((event.subject, event.data.resource), (None, None), "{mode:?} {name}");
            assert!(event.data.payload.get().contains("hello"), "the payload is there all the same");
        }
    }
    assert_eq!(named(Elective, r"order.p\u0061id").read().event.event_type.as_str(), "commerce.order.paid");
}

/// Documented payloads, each with the whole event that it becomes; PAYLOAD stands for the payload itself.
const DOCUMENTED: &[(Mode, &str, &str, &str)] = &[
    (
        Elective,
        r#"{"id":"evt_01j7x","event":"order.paid","created_at":1736611200,"data":PAYLOAD}"#,
        r#"{"orderId":"8f3e","total":5500,"currency":"USD","customer_id":"cust_123"}"#,
        r#"{"specversion":"1.0","id":"evt_01j7x","source":"/webhooks/elective/default","type":"commerce.order.paid","subject":"order/8f3e","time":"2025-01-11T16:00:00Z","datacontenttype":"application/json","provider":"elective","account":"default","providertype":"order.paid","receivedtime":"2026-03-14T16:00:00.000Z","data":{"resource":{"kind":"order","id":"8f3e"},"amount":{"value":"5500","unit":"minor","currency":"USD"},"customer":{"id":"cust_123"},"payload":PAYLOAD}}"#,
    ),
    (
        Elective,
        r#"{"id":"evt_01j7x2b5","event":"customer.created","created_at":1736607600,"data":PAYLOAD}"#,
        r#"{"customer_id":"cust_123","email":"ada@example.com","first_name":"Ada","last_name":"Lovelace"}"#,
        r#"{"specversion":"1.0","id":"evt_01j7x2b5","source":"/webhooks/elective/default","type":"commerce.customer.created","subject":"customer/cust_123","time":"2025-01-11T15:00:00Z","datacontenttype":"application/json","provider":"elective","account":"default","providertype":"customer.created","receivedtime":"2026-03-14T16:00:00.000Z","data":{"resource":{"kind":"customer","id":"cust_123"},"customer":{"id":"cust_123"},"payload":PAYLOAD}}"#,
    ),
    (
        ShoppexV1,
        r#"{"event":"order:paid","data":PAYLOAD,"created_at":1705318200}"#,
        r#"{"uniqid":"abc123def456","type":"PRODUCT","status":"COMPLETED","gateway":"STRIPE","total":49.99,"total_display":49.99,"currency":"USD","customer_email":"customer@example.com","country":"US","quantity":1,"product_id":"prod_xyz","product_title":"Pro License","is_developer_invoice":false,"created_at":1705314600,"updated_at":1705318200}"#,
        r#"{"specversion":"1.0","id":"77226ce0b31619a6f0f01670059a3cd508ccc0c37caca7d2c1779f71a21832c1","source":"/webhooks/shoppex/default","type":"commerce.order.paid","subject":"order/abc123def456","time":"2024-01-15T11:30:00Z","datacontenttype":"application/json","provider":"shoppex","account":"default","providertype":"order:paid","receivedtime":"2026-03-14T16:00:00.000Z","data":{"resource":{"kind":"order","id":"abc123def456"},"amount":{"value":"49.99","unit":"major","currency":"USD"},"status":"COMPLETED","payload":PAYLOAD}}"#,
    ),
    (
        ShoppexV2,
        r#"{"event":"order:paid","data":PAYLOAD}"#,
        r#"{"uniqid":"inv_1"}"#,
        r#"{"specversion":"1.0","id":"550d500b956b7a1ce91f53fe701099c39324f734cf994be666289000eb906ce9","source":"/webhooks/shoppex/default","type":"commerce.order.paid","subject":"order/inv_1","datacontenttype":"application/json","provider":"shoppex","account":"default","providertype":"order:paid","receivedtime":"2026-03-14T16:00:00.000Z","deliveryid":"whd_abc123","data":{"resource":{"kind":"order","id":"inv_1"},"payload":PAYLOAD}}"#,
    ),
    (
        EtailDepot,
        r#"{"id":"evt_1234567890","type":"payment.succeeded","created":1640995200,"data":PAYLOAD,"request":{"id":"req_1234567890","idempotency_key":null}}"#,
        r#"{"object":{"id":"pay_1234567890","amount":10000,"currency":"USD","status":"succeeded","customer":{"id":"cust_12345","email":"customer@example.com"}}}"#,
        r#"{"specversion":"1.0","id":"evt_1234567890","source":"/webhooks/etaildepot/default","type":"commerce.payment.succeeded","subject":"payment/pay_1234567890","time":"2022-01-01T00:00:00Z","datacontenttype":"application/json","provider":"etaildepot","account":"default","providertype":"payment.succeeded","receivedtime":"2026-03-14T16:00:00.000Z","data":{"resource":{"kind":"payment","id":"pay_1234567890"},"amount":{"value":"10000","unit":"minor","currency":"USD"},"customer":{"id":"cust_12345"},"status":"succeeded","payload":PAYLOAD}}"#,
    ),
    (
        OpteriusWithout,
        r#"{"event":"invoice.paid","timestamp":"2026-04-15T14:22:30Z","signature":"","data":PAYLOAD}"#,
        r#"{"id":305,"invoice_number":"INV-0305","status":"paid","total":2200,"currency_code":"USD","paid_at":"2026-04-15T14:22:28Z"}"#,
        r#"{"specversion":"1.0","id":"d6f259a4b5368d357cfabb39cb5207f1f7c396f330e574827bcec0e7c7f87d63","source":"/webhooks/opterius/default","type":"commerce.invoice.paid","subject":"invoice/305","time":"2026-04-15T14:22:30Z","datacontenttype":"application/json","provider":"opterius","account":"default","providertype":"invoice.paid","receivedtime":"2026-03-14T16:00:00.000Z","data":{"resource":{"kind":"invoice","id":"305"},"amount":{"value":"2200","unit":"minor","currency":"USD"},"status":"paid","payload":PAYLOAD}}"#,
    ),
    (
        W3blockHex,
        r#"{"data":PAYLOAD,"event":"order.created","timestamp":1666201874688}"#,
        r#"{"id":"8e29703b-3706-466a-ba14-cd12749c9dcc","gasFee":"0.020621829275431147","status":"pending","userId":"7cbd6b95-0247-40b3-a9e9-2ea9b6195cb0","addressId":null,"currencyId":"8c43ece8-99b0-4877-aed3-2170d2deb4bf","serviceFee":"0","deliverDate":null,"paymentInfo":{"publicKey":"redacted","clientSecret":"redacted"},"currencyAmount":"1.2","paymentProvider":"stripe"}"#,
        r#"{"specversion":"1.0","id":"6d3b59863e1b80efa81a5941ede5aa14111a8b9857f1c4d5f8283b74df3d70d8","source":"/webhooks/w3block/default","type":"commerce.order.created","subject":"order/8e29703b-3706-466a-ba14-cd12749c9dcc","time":"2022-10-19T17:51:14.688Z","datacontenttype":"application/json","provider":"w3block","account":"default","providertype":"order.created","receivedtime":"2026-03-14T16:00:00.000Z","data":{"resource":{"kind":"order","id":"8e29703b-3706-466a-ba14-cd12749c9dcc"},"amount":{"value":"1.2","unit":"major"},"customer":{"id":"7cbd6b95-0247-40b3-a9e9-2ea9b6195cb0"},"status":"pending","payload":PAYLOAD}}"#,
    ),
];

#[test]
fn documented_payloads_become_these_events() {
    for (mode, envelope, payload, event) in DOCUMENTED {
        let reading = Post::signed(*mode, envelope.replace("PAYLOAD", payload)).read();
        assert_eq!(reading.event.to_json(), event.replace("PAYLOAD", payload), "{mode:?}");
        assert_eq!(reading.event.id, reading.key, "{mode:?}");
    }
}

#[test]
fn the_source_names_the_account() {
    for &mode in ALL {
        let event = Post::signed_by(mode, crate::post::EU_SHOP, mode.envelope().text()).to("eu-shop").read().event;
        let provider = mode.verifier().provider().name;
        assert_eq!(event.source, format!("/webhooks/{provider}/eu-shop"));
        assert_eq!((&event.account[..], &event.provider[..]), ("eu-shop", provider));
    }
}

#[test]
fn resource_ids_are_text_whatever_they_were() {
    let id = |mode: Mode, payload: &str| about(mode, payload).read().event.data.resource.map(|resource| resource.id);
    for &mode in ALL {
        assert_eq!(id(mode, r#"{"id":305}"#).as_deref(), Some("305"), "{mode:?}");
        assert_eq!(id(mode, r#"{"id":"305"}"#).as_deref(), Some("305"), "{mode:?}");
        assert_eq!(id(mode, r#"{"id":-1}"#).as_deref(), Some("-1"), "{mode:?}");
        let long = "123456789012345678901234567890";
        assert_eq!(id(mode, &format!(r#"{{"id":{long}}}"#)).as_deref(), Some(long), "{mode:?}");
        assert_eq!(id(mode, r#"{"note":"none"}"#), None, "{mode:?}");
        assert_eq!(id(mode, r#"{"id":null}"#), None, "{mode:?}");
        assert_eq!(id(mode, r#"{"id":1,"id":2}"#).as_deref(), Some("2"), "{mode:?}: the last, as parsers do");
    }
    // The documented name first; what is no id is passed over.
    assert_eq!(id(Elective, r#"{"id":"a","orderId":"b"}"#).as_deref(), Some("b"));
    assert_eq!(id(Elective, r#"{"id":"a","orderId":{}}"#).as_deref(), Some("a"));
    assert_eq!(id(Elective, r#"{"id":"a","customer_id":"b"}"#).as_deref(), Some("a"));
    assert_eq!(id(ShoppexV1, r#"{"id":"a","uniqid":"b"}"#).as_deref(), Some("b"));
    assert_eq!(id(ShoppexV1, r#"{"id":"a","uniqid":""}"#).as_deref(), Some("a"));
    assert_eq!(id(ShoppexV1, r#"{"id":1e3}"#), None);
    // A customer's event is about the customer, whatever else the payload names.
    let customer = Elective.envelope().with("event", r#""customer.created""#);
    let subject = |data: &str| Post::signed(Elective, customer.clone().with("data", data).text()).read().event.subject;
    assert_eq!(subject(r#"{"orderId":"o","id":"i","customer_id":"c"}"#).as_deref(), Some("customer/c"));
    assert_eq!(subject(r#"{"orderId":"o","id":"i"}"#).as_deref(), Some("customer/i"));
    assert_eq!(subject(r#"{"orderId":"o"}"#), None);
}

#[test]
fn amounts_keep_their_digits() {
    let shapes = [
        (Elective, "total", "currency", Unit::Minor),
        (ShoppexV1, "total", "currency", Unit::Major),
        (EtailDepot, "amount", "currency", Unit::Minor),
        (OpteriusWithout, "total", "currency_code", Unit::Minor),
    ];
    for (mode, total, code, unit) in shapes {
        let amount = |value: &str, currency: &str| {
            about(mode, &format!(r#"{{"id":1,"{total}":{value},"{code}":{currency}}}"#)).read().event.data.amount
        };
        for (value, digits) in [
            ("5500", "5500"),
            ("0", "0"),
            ("-1", "-1"),
            ("49.90", "49.90"),
            ("29.990000000000001", "29.990000000000001"),
            ("1e400", "1e400"),
            (r#""49.90""#, "49.90"),
            ("99999999999999999999999999999", "99999999999999999999999999999"),
        ] {
            let expected = Amount { value: digits.to_owned(), unit, currency: Some("EUR".to_owned()) };
            assert_eq!(amount(value, r#""EUR""#), Some(expected), "{mode:?} {value}");
        }
        for value in
            ["null", "true", "{}", "[5500]", r#""""#, r#"" 5""#, r#""5 ""#, r#""5,00""#, r#""0x10""#, r#""free""#]
        {
            assert_eq!(amount(value, r#""EUR""#), None, "{mode:?} {value}");
        }
        for (currency, code) in
            [(r#""eur""#, Some("EUR")), (r#""euro""#, None), ("978", None), ("null", None), (r#""€""#, None)]
        {
            assert_eq!(amount("1", currency).unwrap().currency.as_deref(), code, "{mode:?} {currency}");
        }
    }
    // W3block's currency is a UUID of its own, and its `currency` is nobody's.
    let data = r#"{"id":1,"currencyAmount":"1.20","currencyId":"USD","currency":"USD"}"#;
    let expected = Amount { value: "1.20".to_owned(), unit: Unit::Major, currency: None };
    assert_eq!(about(W3blockHex, data).read().event.data.amount, Some(expected));
}

#[test]
fn customers_are_text_or_absent() {
    for (mode, payload, customer) in [
        (Elective, r#"{"customer_id":"c1"}"#, Some("c1")),
        (Elective, r#"{"customer_id":7}"#, Some("7")),
        (Elective, r#"{"customer_id":""}"#, None),
        (Elective, r#"{"customer_id":{}}"#, None),
        (Elective, r#"{"customer_email":"a@example.com"}"#, None),
        (ShoppexV1, r#"{"customer_id":"c1"}"#, Some("c1")),
        (ShoppexV1, r#"{"customer_email":"a@example.com"}"#, None),
        (EtailDepot, r#"{"customer":{"id":"c1"}}"#, Some("c1")),
        (EtailDepot, r#"{"customer":"c1"}"#, Some("c1")),
        (EtailDepot, r#"{"customer":{}}"#, None),
        (EtailDepot, r#"{"customer":null}"#, None),
        (OpteriusWithout, r#"{"client_id":42}"#, Some("42")),
        (OpteriusWithout, r#"{"customer_id":42}"#, None),
        (W3blockHex, r#"{"userId":"c1"}"#, Some("c1")),
    ] {
        let got = about(mode, payload).read().event.data.customer.map(|customer| customer.id);
        assert_eq!(got.as_deref(), customer, "{mode:?} {payload}");
    }
}

#[test]
fn a_time_that_is_none_is_left_out() {
    let usual = ["null", "{}", "[]", "true", "1e400", "1.5", "99999999999999999999", "-99999999999999999", r#""soon""#];
    for &mode in ALL {
        let member = mode.time_member();
        let bodies =
            usual.iter().map(|time| mode.envelope().with(member, *time)).chain([mode.envelope().without(member)]);
        for body in bodies {
            let reading = Post::signed(mode, body.text()).read();
            assert_eq!((reading.time, reading.event.time), (None, None), "{mode:?} {}", body.text());
        }
    }
    let time = |mode: Mode, time: &str| {
        Post::signed(mode, mode.envelope().with(mode.time_member(), time).text()).read().event.time
    };
    // Seconds are not milliseconds, and numbers are no RFC 3339.
    assert_eq!(time(Elective, "1736611200").as_deref(), Some("2025-01-11T16:00:00Z"));
    assert_eq!(time(Elective, "1736611200000"), None);
    assert_eq!(time(Elective, "-1").as_deref(), Some("1969-12-31T23:59:59Z"));
    assert_eq!(time(Elective, r#""2025-01-11T16:00:00Z""#), None);
    assert_eq!(time(W3blockHex, "1736611200007").as_deref(), Some("2025-01-11T16:00:00.007Z"));
    assert_eq!(time(OpteriusWithout, "1736611200"), None);
    assert_eq!(time(OpteriusWithout, r#""2026-04-15T16:22:30.5+02:00""#).as_deref(), Some("2026-04-15T14:22:30.5Z"));
    assert_eq!(time(OpteriusWithout, r#""2026-02-30T00:00:00Z""#), None);
}

#[test]
fn null_is_never_written() {
    let nothing = r#"{"id":null,"uniqid":null,"orderId":null,"total":null,"amount":null,"currencyAmount":null,"currency":null,"customer_id":null,"customer":null,"client_id":null,"userId":null,"status":null}"#;
    for &mode in ALL {
        let payload = mode.data(nothing);
        let json =
            Post::signed(mode, mode.envelope().with("data", &payload[..]).with(mode.time_member(), "null").text())
                .read()
                .event
                .to_json();
        let around = json.replace(&payload, "PAYLOAD");
        assert!(around.ends_with(r#","data":{"payload":PAYLOAD}}"#), "{mode:?} {around}");
        assert!(!around.contains("null") && !around.contains("\"time\"") && !around.contains("subject"), "{around}");
    }
}

#[test]
fn the_payload_is_kept_byte_for_byte() {
    for payload in [
        r#"{"id":1,"a":29.990000000000001,"b":1e400,"c":-0.0,"d":1E+2,"e":123456789012345678901234567890}"#,
        r#"{"z":1,"id":1,"a":2}"#,
        r#"{"id":1,"url":"https:\/\/a.example\/","name":"caf\u00e9","same":"café","half":"\ud83d","\u0061":1}"#,
        "{ \"id\" : 1 ,\n\t\"list\" : [ 1 , 2 ] }",
        r#"{"id":1,"twice":{"a":1,"a":2},"b":1,"b":2}"#,
        r#"{"id":1,"signature":"sha256=00","event":"order.paid","data":{}}"#,
        r#"{"id":1,"noncharacters":"￾￿","line":" "}"#,
    ] {
        for &mode in ALL {
            let data = mode.data(payload);
            let event = Post::signed(mode, mode.envelope().with("data", &data[..]).text()).read().event;
            assert_eq!(event.data.payload.get(), data, "{mode:?}");
            let json = event.to_json();
            assert_eq!(Event::from_json(&json).unwrap().data.payload.get(), data, "{mode:?} on the wire");
            let gzip = event.to_json_gzip();
            assert_eq!(Event::from_json(&gzip).unwrap().data.payload.get(), data, "{mode:?} compressed");
        }
    }
}

#[test]
fn a_composite_key_is_the_hash_of_the_raw_tokens() {
    // Python: sha256(b'["invoice.paid",305,"2026-04-15T14:22:30Z"]').hexdigest(), and the same with "305".
    let number = "d6f259a4b5368d357cfabb39cb5207f1f7c396f330e574827bcec0e7c7f87d63";
    let text = "24fa10b9d6a2c07ca55441f1e4a934d2f98500f71f28107d6aa12c3e873c779b";
    for mode in [OpteriusWithout, OpteriusEmpty] {
        assert_eq!(about(mode, r#"{"id":305}"#).read().key, number);
        assert_eq!(about(mode, r#"{"id": 305 ,"total":1}"#).read().key, number, "nothing else is in the key");
        assert_eq!(about(mode, r#"{"id":"305"}"#).read().key, text);
    }
}

#[test]
fn a_given_id_is_the_key() {
    for mode in [Elective, EtailDepot] {
        let key = |id: &str| Post::signed(mode, mode.envelope().with("id", id).text()).read().key;
        assert_eq!(key(r#""evt_1""#), "evt_1");
        assert_eq!(key(r#""evt\u005f1""#), "evt_1", "the same id, written otherwise");
        assert_eq!(key(r#"" evt_1""#), " evt_1");
        let numeric = Post::signed(mode, mode.envelope().with("id", "1").text()).outcome();
        assert_eq!(numeric, Outcome::Unreadable(Unreadable::Id));
    }
}

#[test]
fn without_an_id_the_signed_bytes_are_the_key() {
    for mode in [Elective, EtailDepot] {
        for body in
            [mode.envelope().without("id"), mode.envelope().with("id", "null"), mode.envelope().with("id", "\"\"")]
        {
            let post = Post::signed(mode, body.text());
            assert_eq!(post.read().key, sha256(&body.text()), "{mode:?}");
        }
    }
    for mode in [W3blockHex, W3blockBase64] {
        for body in [
            mode.envelope().with("data", "{}"),
            mode.envelope().with("data", r#"{"id":null}"#),
            mode.envelope().without("timestamp"),
            mode.envelope().with("timestamp", "null"),
        ] {
            assert_eq!(Post::signed(mode, body.text()).read().key, sha256(&body.text()), "{mode:?}");
        }
    }
    let body = OpteriusWithout.envelope().with("data", "{}");
    let signed = body.clone().without("signature").text();
    assert_eq!(Post::signed(OpteriusWithout, body.text()).read().key, sha256(&signed));
    assert_eq!(Post::signed(OpteriusEmpty, body.text()).read().key, sha256(&body.text()));
    for mode in [ShoppexV1, ShoppexV2, ShoppexOnlyV2] {
        let body = mode.envelope().with("id", r#""evt_1""#);
        assert_eq!(Post::signed(mode, body.text()).read().key, sha256(&body.text()), "{mode:?}");
    }
}

#[test]
fn unsigned_trimmings_make_no_new_key() {
    // Shoppex: one body under V1, V2, and V2 again under another time and delivery id. A replay with V2 stripped off
    // must meet the claim that V2 left.
    let first = Post::signed(ShoppexV2, ShoppexV2.envelope().text()).read();
    let stripped = Post::signed(ShoppexV1, ShoppexV1.envelope().text()).header("x-shoppex-delivery", "fresh").read();
    let again = Post::stamped(ShoppexV2, "whd_def456", &(NOW + 120).to_string()).read();
    let ids = [&first, &stripped, &again].map(|reading| reading.event.delivery_id.clone());
    assert_eq!(ids, [Some(DELIVERY_ID.to_owned()), None, Some("whd_def456".to_owned())], "only what is signed");
    for reading in [&stripped, &again] {
        assert_eq!((&reading.key, &reading.content), (&first.key, &first.content));
        assert_eq!(reading.event.id, first.event.id);
    }

    // Opterius, without an id to go by: the signature in another case, in other places, amid other white space.
    let signed = r#"{"event":"invoice.paid","data":{}}"#;
    let tag = hmac_sha256(CURRENT, signed);
    for sent in [
        r#"{"event":"invoice.paid","signature":"sha256=@","data":{}}"#,
        r#"{"signature":"sha256=@","event":"invoice.paid","data":{}}"#,
        r#"{"event":"invoice.paid","data":{},"signature":"sha256=@"}"#,
        "{\"event\":\"invoice.paid\",\n\"signature\"\t:  \"sha256=@\",\"data\":{}}",
        "{\"signature\" : \"sha256=@\" ,\r\n \"event\":\"invoice.paid\",\"data\":{}}",
    ] {
        for tag in [tag.clone(), tag.to_ascii_uppercase()] {
            let post = Post::unsigned(OpteriusWithout, sent.replace('@', &tag));
            assert_eq!(post.read().key, sha256(signed), "{sent}");
        }
    }
    let empty = Post::signed(OpteriusEmpty, OpteriusEmpty.envelope().with("data", "{}").text());
    let upper = empty.clone().upper_case();
    assert_ne!(empty.body, upper.body);
    assert_eq!(empty.read().key, upper.read().key);
}

#[test]
fn the_content_hash_covers_name_and_payload_and_nothing_else() {
    for &mode in ALL {
        let content = |name: &str, time: &str, payload: &str| {
            let body = mode.envelope().with(mode.name_member(), name).with("data", mode.data(payload));
            Post::signed(mode, body.with(mode.time_member(), time).text()).read().content
        };
        let first = content(r#""a""#, "1", r#"{"id":1}"#);
        assert_eq!(content(r#""a""#, "2", r#"{"id":1}"#), first, "{mode:?}: the envelope's time");
        assert_eq!(content(r#""\u0061""#, "1", r#"{"id":1}"#), first, "{mode:?}: the same name");
        assert_ne!(content(r#""b""#, "1", r#"{"id":1}"#), first, "{mode:?}: another name");
        assert_ne!(content(r#""a""#, "1", r#"{"id":2}"#), first, "{mode:?}: another payload");
        assert_ne!(content(r#""a""#, "1", r#"{"id": 1}"#), first, "{mode:?}: other bytes");
        let by_another_secret = Post::signed_by(mode, crate::post::PREVIOUS, mode.envelope().text()).read();
        assert_eq!(by_another_secret.content, Post::signed(mode, mode.envelope().text()).read().content);
    }
    // Claims outlive a deployment: another formula would send every redelivery into quarantine. Python:
    // sha256((12).to_bytes(8, "big") + b'invoice.paid{"id":305}').hexdigest()
    let pinned = "a80b548550d46bfa30734b50a2611f091582a62c389914c482dd8aa91d268d32";
    assert_eq!(about(OpteriusWithout, r#"{"id":305}"#).read().content, pinned);
}

#[test]
fn every_provider_is_here() {
    let covered: BTreeSet<_> = ALL.iter().map(|mode| mode.verifier().provider().name).collect();
    let all: BTreeSet<_> = hookgate_verify::providers::ALL.iter().map(|provider| provider.name).collect();
    assert_eq!(covered, all);
    // Every accepted scheme of every mode, too: a new one must join the table of deliveries.
    let schemes: BTreeSet<_> = ALL.iter().map(|mode| format!("{:?}", mode.scheme())).collect();
    let all: BTreeSet<_> = hookgate_verify::providers::ALL
        .iter()
        .flat_map(|provider| provider.modes.iter().flat_map(|(_, schemes)| schemes.iter()))
        .map(|scheme| format!("{scheme:?}"))
        .collect();
    assert_eq!(schemes, all);
}

fn named(mode: Mode, name: &str) -> Post {
    Post::signed(mode, mode.envelope().with(mode.name_member(), format!("\"{name}\"")).text())
}

/// A delivery whose payload is `payload`; for Etail Depot, the object in it.
fn about(mode: Mode, payload: &str) -> Post {
    Post::signed(mode, mode.envelope().with("data", mode.data(payload)).text())
}

fn sha256(text: &str) -> String {
    hex::encode(Sha256::digest(text))
}
