//! What each kind of request is answered, and what the log says of it.

use hookgate_verify::{
    Provider, Scheme,
    providers::{self, elective, opterius, shoppex},
};
use serde_json::{Value, json};

use crate::support::{
    World, http,
    lambda::{Answer, Function, Invocation, event, event_base64},
    log_lines, order_paid, outcome, signed, signed_as,
};

fn unix_now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

fn v2() -> &'static Scheme {
    shoppex::PROVIDER.modes.iter().find(|(value, _)| *value == "true").unwrap().1.first().unwrap()
}

/// A function whose AWS does not exist: whatever answers without an AWS call is answered the same.
async fn without_aws(provider: &Provider, more: &[(&'static str, &str)]) -> Function {
    // Nothing listens on the discard port.
    let nowhere = "http://127.0.0.1:9";
    let mut settings = vec![("AWS_ENDPOINT_URL", nowhere.to_owned())];
    for name in ["TABLE_NAME", "QUEUE_URL", "QUARANTINE_QUEUE_URL"] {
        settings.push((name, nowhere.to_owned()));
    }
    settings.push(("WEBHOOK_SECRETS", crate::support::SECRETS.to_owned()));
    settings.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
    Function::start(&crate::support::binary(provider.name), 1, &settings).await
}

#[tokio::test]
async fn a_rejection_tells_nothing_and_calls_nobody() {
    for provider in providers::ALL {
        let function = without_aws(provider, &[]).await;
        let body = br#"{"id":"evt_1","event":"order.paid","type":"order.paid","data":{"id":"1","object":{}}}"#;
        let scheme = crate::support::scheme(provider);
        let wrong_secret = signed_as(provider, scheme, "other", None, body, ("", 0));
        let unknown_account = signed_as(provider, scheme, "current-s3cr3t", Some("us-shop"), body, ("", 0));
        let other_accounts_secret = signed_as(provider, scheme, "eu-s3cr3t", None, body, ("", 0));
        let illegal_account = signed_as(provider, scheme, "current-s3cr3t", Some("EU"), body, ("", 0));
        let not_base64 = signed(provider, body).replace(r#""isBase64Encoded":false"#, r#""isBase64Encoded":true"#);
        let mut reasons = vec![];
        for (event, reason) in [
            (event(provider.name, None, &[], body), "signature_missing"),
            (wrong_secret, "signature_mismatch"),
            (other_accounts_secret, "signature_mismatch"),
            (unknown_account, "unknown_account"),
            (illegal_account, "address"),
            (not_base64, "body_not_base64"),
        ] {
            let Answer::Response(response) = function.invoke(event).await else { panic!("no answer") };
            assert_eq!(response["statusCode"], provider.rejected_status, "{provider:?} {reason}");
            assert_eq!(response["body"], r#"{"outcome":"rejected"}"#, "{provider:?} {reason}");
            reasons.push(json!(reason));
        }
        let logged = log_lines(&function, reasons.len()).await;
        assert_eq!(logged.iter().map(|line| line["reason"].clone()).collect::<Vec<_>>(), reasons, "{provider:?}");
        // Were there an AWS call, this is what it would look like.
        assert_eq!(outcome(&function.invoke(signed(provider, body)).await), (503, "unavailable".to_owned()));
    }
}

#[tokio::test]
async fn every_account_and_every_live_secret_is_accepted() {
    for provider in providers::ALL {
        let world = World::new().await;
        let function = world.function(provider.name, &[]).await;
        let body = |id: u32| {
            format!(
                r#"{{"id":"e{id}","event":"order.x","type":"order.x","timestamp":1,"data":{{"id":{id},"object":{{}}}}}}"#
            )
            .into_bytes()
        };
        let scheme = crate::support::scheme(provider);
        let mut positions = vec![];
        for (id, secret, account, position) in
            [(1, "current-s3cr3t", None, 0), (2, "previous-s3cr3t", None, 1), (3, "eu-s3cr3t", Some("eu-shop"), 0)]
        {
            let delivery = signed_as(provider, scheme, secret, account, &body(id), ("", 0));
            assert_eq!(outcome(&function.invoke(delivery).await), (200, "queued".to_owned()), "{provider:?} {secret}");
            positions.push((json!(position), json!(account.unwrap_or("default"))));
        }
        let logged = log_lines(&function, 3).await;
        let logged: Vec<_> = logged.iter().map(|line| (line["secret"].clone(), line["account"].clone())).collect();
        assert_eq!(logged, positions, "{provider:?}");
        // The same event of two accounts is two events.
        let of_both = [(None, "current-s3cr3t"), (Some("eu-shop"), "eu-s3cr3t")];
        for (account, secret) in of_both {
            let delivery = signed_as(provider, scheme, secret, account, &body(9), ("", 0));
            assert_eq!(outcome(&function.invoke(delivery).await), (200, "queued".to_owned()), "{provider:?}");
        }
        assert_eq!(world.events().await.len(), 5, "{provider:?}");
    }
}

#[tokio::test]
async fn a_get_is_405_with_allow() {
    let function = without_aws(&elective::PROVIDER, &[]).await;
    let get = signed(&elective::PROVIDER, &order_paid("1", "")).replace(r#""method":"POST""#, r#""method":"GET""#);
    let Answer::Response(response) = function.invoke(get).await else { panic!("no answer") };
    assert_eq!((&response["statusCode"], &response["headers"]["allow"]), (&json!(405), &json!("POST")));
    assert_eq!(response["body"], r#"{"outcome":"rejected"}"#);
}

#[tokio::test]
async fn what_is_no_http_event_is_an_error_and_no_dead_sandbox() {
    let world = World::new().await;
    let function = world.function("elective", &[]).await;
    for garbage in ["", "{", "[]", "null", "{}", r#"{"Records":[{"messageId":"1"}]}"#] {
        assert!(matches!(function.invoke(garbage.to_owned()).await, Answer::Error(_)), "{garbage}");
    }
    // An older API Gateway event, an odd query and an odd host: any client can send the latter two.
    let old = json!({"resource": "/", "httpMethod": "POST", "headers": {}, "requestContext": {}, "body": "{}"});
    assert!(matches!(function.invoke(old.to_string()).await, Answer::Error(_)));
    let mut odd: Value = serde_json::from_str(&signed(&elective::PROVIDER, &order_paid("1", ""))).unwrap();
    odd["rawQueryString"] = "a=<b> c|é".into();
    odd["headers"]["host"] = "a]b[".into();
    odd["headers"]["x-city"] = "São Paulo".into();
    assert_eq!(outcome(&function.invoke(odd.to_string()).await), (200, "queued".to_owned()));
}

#[tokio::test]
async fn a_deadline_in_1970_is_none() {
    // What `cargo lambda watch` says. Lambda itself would kill the sandbox, as the emulator here does after a while.
    let world = World::new().await;
    let function = world.function("elective", &[]).await;
    let invocation = Invocation { deadline_header: Some("600000".to_owned()), ..Invocation::default() };
    let answer = function.invoke_with(signed(&elective::PROVIDER, &order_paid("1", "")), invocation).await;
    assert_eq!(outcome(&answer), (200, "queued".to_owned()));
    let claims = world.claims().await;
    assert_eq!(claims[0]["state"].as_s().unwrap(), "queued");
}

#[tokio::test]
async fn a_base64_body_is_the_same_delivery() {
    let world = World::new().await;
    let function = world.function("elective", &[]).await;
    let body = order_paid("1", "Zoë");
    let signed_event: Value = serde_json::from_str(&signed(&elective::PROVIDER, &body)).unwrap();
    let signature = signed_event["headers"]["x-e-commerce-signature"].as_str().unwrap();
    let base64 = event_base64("elective", None, &[("X-E-Commerce-Signature", signature)], &body);
    assert_eq!(outcome(&function.invoke(base64).await), (200, "queued".to_owned()));
    assert_eq!(outcome(&function.invoke(signed_event.to_string()).await), (200, "duplicate".to_owned()));
}

#[tokio::test]
async fn a_shoppex_delivery_is_the_same_with_v2_later_and_without_v2() {
    let world = World::new().await;
    let function = world.function("shoppex", &[]).await;
    let body = br#"{"event":"order:paid","data":{"uniqid":"inv_1","total":49.90},"created_at":1773504000}"#;
    let v2_at =
        |id: &str, age: u64| signed_as(&shoppex::PROVIDER, v2(), "current-s3cr3t", None, body, (id, unix_now() - age));
    assert_eq!(outcome(&function.invoke(v2_at("whd_1", 0)).await), (200, "queued".to_owned()));
    assert_eq!(outcome(&function.invoke(v2_at("whd_1", 60)).await), (200, "duplicate".to_owned()));
    assert_eq!(outcome(&function.invoke(v2_at("whd_2", 0)).await), (200, "duplicate".to_owned()));
    // Stripped down to V1, as an attacker would replay it.
    assert_eq!(outcome(&function.invoke(signed(&shoppex::PROVIDER, body)).await), (200, "duplicate".to_owned()));
    // A captured V2 delivery is of no use after five minutes.
    assert_eq!(outcome(&function.invoke(v2_at("whd_1", 302)).await), (401, "rejected".to_owned()));
    let events = world.events().await;
    let [event] = &events[..] else { panic!("{events:?}") };
    assert_eq!(event.delivery_id.as_deref(), Some("whd_1"));
    let reasons: Vec<_> = log_lines(&function, 5).await.iter().map(|line| line["reason"].clone()).collect();
    assert_eq!(reasons, [json!(null), json!(null), json!(null), json!(null), json!("timestamp_expired")]);

    let strict = world.function("shoppex", &[("SHOPPEX_REQUIRE_V2", "true")]).await;
    assert_eq!(outcome(&strict.invoke(signed(&shoppex::PROVIDER, body)).await), (401, "rejected".to_owned()));
    assert_eq!(outcome(&strict.invoke(v2_at("whd_1", 0)).await), (200, "duplicate".to_owned()));
}

#[tokio::test]
async fn a_dynamic_delivery_is_never_answered_with_goods() {
    let function = without_aws(&shoppex::PROVIDER, &[]).await;
    let body = br#"{"event":"order:paid","data":{"uniqid":"inv_1"}}"#;
    for header in ["x-shoppex-delivery-id", "x-shoppex-idempotency-key"] {
        let mut event: Value = serde_json::from_str(&signed(&shoppex::PROVIDER, body)).unwrap();
        event["headers"][header] = "whd_1".into();
        assert_eq!(outcome(&function.invoke(event.to_string()).await), (401, "rejected".to_owned()));
    }
    for line in log_lines(&function, 2).await {
        assert_eq!(line["reason"], "shoppex_dynamic_delivery");
    }
}

#[tokio::test]
async fn one_reading_of_opterius_is_active_at_a_time() {
    let world = World::new().await;
    let without = world.function("opterius", &[]).await;
    let empty = world.function("opterius", &[("OPTERIUS_SIGNED", "empty")]).await;
    for (index, (value, schemes)) in opterius::PROVIDER.modes.iter().enumerate() {
        let body =
            format!(r#"{{"event":"invoice.paid","timestamp":"t{index}","signature":"","data":{{"id":{index}}}}}"#);
        let delivery = signed_as(&opterius::PROVIDER, &schemes[0], "current-s3cr3t", None, body.as_bytes(), ("", 0));
        let (right, wrong) = if *value == "without" { (&without, &empty) } else { (&empty, &without) };
        assert_eq!(outcome(&wrong.invoke(delivery.clone()).await), (401, "rejected".to_owned()), "{value}");
        assert_eq!(outcome(&right.invoke(delivery).await), (200, "queued".to_owned()), "{value}");
    }
}

#[tokio::test]
async fn the_log_holds_no_body_secret_or_signature() {
    let world = World::new().await;
    let function = world.function("shoppex", &[]).await;
    let body =
        br#"{"event":"order:paid","data":{"uniqid":"inv_1","customer_email":"buyer@example.com","key":"pi_secret"}}"#;
    let mut forbidden = vec!["s3cr3t".to_owned(), "buyer@example.com".to_owned(), "pi_secret".to_owned()];
    for (secret, stamp) in [("current-s3cr3t", unix_now()), ("wrong", unix_now()), ("current-s3cr3t", 1)] {
        for scheme in [crate::support::scheme(&shoppex::PROVIDER), v2()] {
            let text = signed_as(&shoppex::PROVIDER, scheme, secret, None, body, ("whd_1", stamp));
            let event: Value = serde_json::from_str(&text).unwrap();
            for (name, value) in event["headers"].as_object().unwrap() {
                if name.contains("signature") {
                    let value = value.as_str().unwrap();
                    forbidden.push(value[value.len() - 16..].to_owned());
                }
            }
            function.invoke(text).await;
        }
    }
    let unreadable = signed(&shoppex::PROVIDER, b"buyer@example.com pi_secret");
    assert_eq!(outcome(&function.invoke(unreadable).await), (200, "quarantined".to_owned()));
    log_lines(&function, 7).await;
    for line in function.log() {
        for word in &forbidden {
            assert!(!line.contains(word), "{word} is in the log: {line}");
        }
    }
}

/// Conservation reads `Received` alone, which stands for exactly one outcome; each further metric is billed by the month.
#[tokio::test]
async fn essential_metrics_are_what_the_alarms_read() {
    let world = World::new().await;
    let settings = [("METRICS_LEVEL", "essential"), ("METRICS_NAMESPACE", "hookgate-dev")];
    let function = world.function("elective", &settings).await;
    let delivery = signed(&elective::PROVIDER, &order_paid("evt_7", ""));
    for delivery in [delivery.clone(), delivery, event("elective", None, &[], b"{}")] {
        function.invoke(delivery).await;
    }
    let lines = log_lines(&function, 3).await;
    for (line, outcome, metrics) in [
        (&lines[0], "queued", json!([{"Name": "Received"}, {"Name": "TotalMs"}])),
        (&lines[1], "duplicate", json!([{"Name": "Received"}, {"Name": "TotalMs"}])),
        (&lines[2], "rejected", json!([{"Name": "Received"}, {"Name": "Rejected"}, {"Name": "TotalMs"}])),
    ] {
        let set = &line["_aws"]["CloudWatchMetrics"][0];
        assert_eq!((&line["outcome"], &set["Metrics"]), (&json!(outcome), &metrics), "{line}");
        assert_eq!(set["Namespace"], "hookgate-dev");
        for metric in metrics.as_array().unwrap() {
            assert!(line[metric["Name"].as_str().unwrap()].is_number(), "{line}");
        }
        assert!(line.get("Queued").is_none() && line.get("Duplicate").is_none(), "{line}");
        // Nothing was sampled, so there is no trace to look for.
        assert!(line.get("trace").is_none(), "{line}");
    }
    // Billed by the byte: bench/cost.py counts on these.
    let bytes: Vec<_> = function.log().iter().map(String::len).collect();
    assert!(bytes[0] <= 445 && bytes[1] <= 410 && bytes[2] <= 410, "{bytes:?}");
    // What one can look up by the id stays out of the line of what went well.
    let told = |line: &Value| line.get("key").is_some() || line.get("request_id").is_some();
    assert_eq!([told(&lines[0]), told(&lines[1]), told(&lines[2])], [false, false, true]);
    assert!(lines[0]["ClaimMs"].is_number() && lines[0]["EnqueueMs"].is_number(), "{}", lines[0]);
}

#[tokio::test]
async fn the_log_line_says_what_an_operator_asks() {
    let world = World::new().await;
    let function = world.function("elective", &[]).await;
    let answer = function.invoke(signed(&elective::PROVIDER, &order_paid("evt_7", ""))).await;
    let (_, body) = http(&answer);
    assert_eq!(body, json!({"outcome": "queued", "id": "evt_7"}));
    let line = log_lines(&function, 1).await.remove(0);
    for (name, value) in [
        ("level", json!("INFO")),
        ("provider", json!("elective")),
        ("account", json!("default")),
        ("outcome", json!("queued")),
        ("id", json!("evt_7")),
        ("type", json!("commerce.order.paid")),
        ("secret", json!(0)),
        ("scheme", json!("v1")),
        ("subject", json!("order/8f3e")),
    ] {
        assert_eq!(line[name], value, "{name} in {line}");
    }
    // The metrics, in CloudWatch's embedded metric format.
    let directive = &line["_aws"]["CloudWatchMetrics"][0];
    assert_eq!((&directive["Namespace"], &directive["Dimensions"]), (&json!("Hookgate"), &json!([["provider"]])));
    assert_eq!(
        directive["Metrics"],
        json!([
            {"Name": "Received"}, {"Name": "Queued"}, {"Name": "ClaimMs"}, {"Name": "EnqueueMs"}, {"Name": "TotalMs"}
        ])
    );
    let age = unix_now().abs_diff(line["_aws"]["Timestamp"].as_u64().unwrap() / 1000);
    assert!(age < 60, "{line}");
    assert_eq!((&line["Received"], &line["Queued"]), (&json!(1.0), &json!(1.0)));
    for name in ["ClaimMs", "EnqueueMs", "settle_ms", "TotalMs"] {
        assert!(line[name].as_f64().is_some_and(|ms| ms > 0.0), "{name} in {line}");
    }
    assert!(line["key"].as_str().unwrap().starts_with("elective#default#"), "{line}");
    assert!(!line["request_id"].as_str().unwrap().is_empty(), "{line}");
}
