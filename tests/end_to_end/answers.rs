//! What each kind of request is answered, and what the log says of it.

use hookgate_verify::{Provider, providers};
use serde_json::{Value, json};

use crate::support::{
    CURRENT, EU_SHOP, PREVIOUS, World, binary,
    body::Body,
    event::{event, event_base64},
    http,
    lambda::{Answer, Function, Invocation},
    log_lines, order_paid, outcome, plain, scheme, secrets, signed, signed_at, signed_by, unix_now,
};

/// A function whose AWS does not exist: whatever answers without an AWS call is answered the same.
async fn without_aws(provider: &Provider) -> Function {
    // Nothing listens on the discard port.
    let nowhere = "http://127.0.0.1:9";
    let mut settings = vec![("AWS_ENDPOINT_URL", nowhere.to_owned())];
    for name in ["TABLE_NAME", "QUEUE_URL", "QUARANTINE_QUEUE_URL"] {
        settings.push((name, nowhere.to_owned()));
    }
    settings.push(("WEBHOOK_SECRETS", secrets(provider)));
    Function::start(&binary(provider), 1, &settings).await
}

/// What the platform documents for a wrong signature, and nothing more.
fn rejected(provider: &Provider) -> (u64, String) {
    (provider.rejected_status.into(), "rejected".to_owned())
}

#[tokio::test]
async fn a_rejection_tells_nothing_and_calls_nobody() {
    for provider in providers::ALL {
        let function = without_aws(provider).await;
        let body = &Body::new(provider, "evt_1").bytes();
        let signed_by = |secret, account| signed_by(provider, scheme(provider), secret, account, body);
        let not_base64 = signed(provider, body).replace(r#""isBase64Encoded":false"#, r#""isBase64Encoded":true"#);
        let mut reasons = vec![];
        for (event, reason) in [
            (event(provider.name, None, &[], body), "signature_missing"),
            (signed_by("other", None), "signature_mismatch"),
            (signed_by(EU_SHOP, None), "signature_mismatch"),
            (signed_by(CURRENT, Some("us-shop")), "unknown_account"),
            (signed_by(CURRENT, Some("EU")), "address"),
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
        let function = world.function(provider, &[]).await;
        let delivery = |id: &str, secret, account| {
            signed_by(provider, scheme(provider), secret, account, &Body::new(provider, id).bytes())
        };
        let mut positions = vec![];
        for (id, secret, account, position) in
            [("1", CURRENT, None, 0), ("2", PREVIOUS, None, 1), ("3", EU_SHOP, Some("eu-shop"), 0)]
        {
            let answer = function.invoke(delivery(id, secret, account)).await;
            assert_eq!(outcome(&answer), (200, "queued".to_owned()), "{provider:?} {secret}");
            positions.push((json!(position), json!(account.unwrap_or("default"))));
        }
        let logged = log_lines(&function, 3).await;
        let logged: Vec<_> = logged.iter().map(|line| (line["secret"].clone(), line["account"].clone())).collect();
        assert_eq!(logged, positions, "{provider:?}");
        // The same event of two accounts is two events.
        for (account, secret) in [(None, CURRENT), (Some("eu-shop"), EU_SHOP)] {
            let answer = function.invoke(delivery("9", secret, account)).await;
            assert_eq!(outcome(&answer), (200, "queued".to_owned()), "{provider:?}");
        }
        assert_eq!(world.events().await.len(), 5, "{provider:?}");
    }
}

#[tokio::test]
async fn a_get_is_405_with_allow() {
    let function = without_aws(plain()).await;
    let get = order_paid("1", "").replace(r#""method":"POST""#, r#""method":"GET""#);
    let Answer::Response(response) = function.invoke(get).await else { panic!("no answer") };
    assert_eq!((&response["statusCode"], &response["headers"]["allow"]), (&json!(405), &json!("POST")));
    assert_eq!(response["body"], r#"{"outcome":"rejected"}"#);
}

#[tokio::test]
async fn an_odd_query_or_host_is_no_dead_sandbox() {
    let world = World::new().await;
    let function = world.function(plain(), &[]).await;
    // Any client can send them.
    let mut odd: Value = serde_json::from_str(&order_paid("1", "")).unwrap();
    odd["rawQueryString"] = "a=<b> c|é".into();
    odd["headers"]["host"] = "a]b[".into();
    odd["headers"]["x-city"] = "São Paulo".into();
    assert_eq!(outcome(&function.invoke(odd.to_string()).await), (200, "queued".to_owned()));
}

#[tokio::test]
async fn a_deadline_in_1970_is_none() {
    // What `cargo lambda watch` says. Lambda itself would kill the sandbox, as the emulator here does after a while.
    let world = World::new().await;
    let function = world.function(plain(), &[]).await;
    let invocation = Invocation { deadline_header: Some("600000".to_owned()), ..Invocation::default() };
    let answer = function.invoke_with(order_paid("1", ""), invocation).await;
    assert_eq!(outcome(&answer), (200, "queued".to_owned()));
    let claims = world.claims().await;
    assert_eq!(claims[0]["state"].as_s().unwrap(), "queued");
}

#[tokio::test]
async fn a_base64_body_is_the_same_delivery() {
    let world = World::new().await;
    let function = world.function(plain(), &[]).await;
    let body = Body::new(plain(), "1").note("Zoë").bytes();
    let signed_event: Value = serde_json::from_str(&signed(plain(), &body)).unwrap();
    // The names' case is the sender's, whom API Gateway does not follow.
    let headers: Vec<_> =
        scheme(plain()).headers().map(|name| (name.to_ascii_uppercase(), &signed_event["headers"][name])).collect();
    let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str().unwrap())).collect();
    let base64 = event_base64(plain().name, None, &headers, &body);
    assert_eq!(outcome(&function.invoke(base64).await), (200, "queued".to_owned()));
    assert_eq!(outcome(&function.invoke(signed_event.to_string()).await), (200, "duplicate".to_owned()));
}

/// By whichever scheme, and whenever, it is delivered.
#[tokio::test]
async fn an_event_is_the_same_by_every_scheme_and_a_signed_time_expires() {
    let (mut several, mut timed) = (0, 0);
    for provider in providers::ALL {
        let world = World::new().await;
        let function = world.function(provider, &[]).await;
        let body = &Body::new(provider, "evt_1").bytes();
        let mut expected = vec![];
        for scheme in provider.default_schemes() {
            let signed_ago = |id, age| signed_at(provider, scheme, CURRENT, None, body, (id, unix_now() - age));
            // Another delivery of it has another id, unless that is what tells events apart.
            let other = if provider.identity == providers::Identity::SignedHeader { "d_1" } else { "d_2" };
            let tolerance = scheme.time.map(|time| time.tolerance);
            for (delivery, reason) in [
                (signed_ago("d_1", 0), None),
                (signed_ago("d_1", tolerance.unwrap_or(120) / 2), None),
                (signed_ago(other, 0), None),
                (signed_ago("d_1", tolerance.map_or(0, |most| most + 2)), tolerance.map(|_| "timestamp_expired")),
            ] {
                let wanted = match (reason, expected.is_empty()) {
                    (Some(_), _) => rejected(provider),
                    (None, true) => (200, "queued".to_owned()),
                    (None, false) => (200, "duplicate".to_owned()),
                };
                assert_eq!(outcome(&function.invoke(delivery).await), wanted, "{provider:?} {}", scheme.name);
                expected.push(json!(reason));
            }
            timed += usize::from(tolerance.is_some());
        }
        several += usize::from(provider.default_schemes().len() > 1);
        let events = world.events().await;
        let [event] = &events[..] else { panic!("{provider:?}: {events:?}") };
        let first = provider.default_schemes()[0];
        assert_eq!(event.delivery_id.as_deref(), first.id_header().map(|_| "d_1"), "{provider:?}");
        let lines = log_lines(&function, expected.len()).await;
        assert_eq!(lines.iter().map(|line| line["reason"].clone()).collect::<Vec<_>>(), expected, "{provider:?}");
    }
    assert!(several > 0 && timed > 0, "no platform with several schemes, or none with a signed time");
}

#[tokio::test]
async fn a_setting_chooses_the_schemes_and_the_others_are_rejected() {
    let mut chosen = 0;
    for provider in providers::ALL {
        let Some(setting) = provider.setting else { continue };
        for (value, accepted) in provider.modes {
            let world = World::new().await;
            let function = world.function(provider, &[(setting, value)]).await;
            for (index, scheme) in provider.schemes().enumerate() {
                let body = Body::new(provider, &format!("evt_{index}")).bytes();
                let delivery = signed_by(provider, scheme, CURRENT, None, &body);
                let is_accepted = accepted.iter().any(|accepted| accepted.name == scheme.name);
                let wanted = if is_accepted { (200, "queued".to_owned()) } else { rejected(provider) };
                assert_eq!(outcome(&function.invoke(delivery).await), wanted, "{provider:?} {value}: {}", scheme.name);
                chosen += usize::from(!is_accepted);
            }
        }
    }
    assert!(chosen > 0, "no setting excludes a scheme");
}

#[tokio::test]
async fn a_request_that_is_not_a_webhook_is_never_answered_200() {
    let mut refused = 0;
    for provider in providers::ALL.iter().filter(|provider| !provider.deliveries.not_a_webhook.is_empty()) {
        let function = without_aws(provider).await;
        for header in provider.deliveries.not_a_webhook {
            let delivery = signed(provider, &Body::new(provider, "evt_1").bytes());
            let mut event: Value = serde_json::from_str(&delivery).unwrap();
            event["headers"][header] = "d_1".into();
            assert_eq!(outcome(&function.invoke(event.to_string()).await), rejected(provider), "{header}");
            refused += 1;
        }
        for line in log_lines(&function, provider.deliveries.not_a_webhook.len()).await {
            assert_eq!(line["reason"], "not_a_webhook");
        }
    }
    assert!(refused > 0, "no platform sends anything but webhooks");
}

/// By AWS nothing can come of it: there is none.
#[tokio::test]
async fn a_ping_is_answered_200_and_counted() {
    let mut pinged = 0;
    for provider in providers::ALL {
        let Some(ping) = provider.deliveries.ping else { continue };
        let function = without_aws(provider).await;
        let form = [("content-type", "application/x-www-form-urlencoded")];
        let post = |body: String| event(provider.name, None, &form, body.as_bytes());
        let answer = function.invoke(post(format!("{}=5", ping.field))).await;
        assert_eq!(outcome(&answer), (200, "ping".to_owned()));
        assert_eq!(outcome(&function.invoke(post(format!("{}=5&a=b", ping.field))).await), rejected(provider));
        let lines = log_lines(&function, 2).await;
        assert_eq!((&lines[0]["outcome"], &lines[0]["level"]), (&json!("ping"), &json!("INFO")));
        assert_eq!((&lines[0]["Received"], &lines[0]["Ping"]), (&json!(1.0), &json!(1.0)));
        assert_eq!((&lines[1]["Received"], &lines[1]["Ping"]), (&json!(1.0), &Value::Null));
        pinged += 1;
    }
    assert!(pinged > 0, "no platform tries an address");
}

#[tokio::test]
async fn the_log_holds_no_body_secret_or_signature() {
    for provider in providers::ALL {
        let world = World::new().await;
        let function = world.function(provider, &[]).await;
        let private = "buyer@example.com pi_private";
        let body = Body::new(provider, "evt_1").note(private).bytes();
        let mut forbidden = vec![private.to_owned()];
        let mut sent = 0;
        for scheme in provider.default_schemes() {
            for (secret, time) in [(CURRENT, unix_now()), ("wr0ng-s3cr3t", unix_now()), (CURRENT, 1)] {
                let text = signed_at(provider, scheme, secret, None, &body, ("d_1", time));
                let event: Value = serde_json::from_str(&text).unwrap();
                let written = match (scheme.signature_header(), scheme.signature_member()) {
                    (Some(name), _) => event["headers"][name].as_str().unwrap().to_owned(),
                    (None, name) => {
                        let body: Value = serde_json::from_str(event["body"].as_str().unwrap()).unwrap();
                        body[name.unwrap()].as_str().unwrap().to_owned()
                    }
                };
                forbidden.extend([written[written.len() - 16..].to_owned(), scheme.secret_of(secret)]);
                function.invoke(text).await;
                sent += 1;
            }
        }
        let unreadable = Body::new(provider, private).unreadable();
        let quarantined = function.invoke(signed(provider, &unreadable)).await;
        assert_eq!(outcome(&quarantined), (200, "quarantined".to_owned()));
        log_lines(&function, sent + 1).await;
        for line in function.log() {
            for word in &forbidden {
                assert!(!line.contains(word), "{word} is in the log: {line}");
            }
        }
    }
}

/// Conservation reads `Received` alone, which stands for exactly one outcome; each further metric is billed by the month.
#[tokio::test]
async fn essential_metrics_are_what_the_alarms_read() {
    let world = World::new().await;
    let settings = [("METRICS_LEVEL", "essential"), ("METRICS_NAMESPACE", "hookgate-dev")];
    let function = world.function(plain(), &settings).await;
    let delivery = order_paid("evt_7", "");
    for delivery in [delivery.clone(), delivery, event(plain().name, None, &[], b"{}")] {
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
    let function = world.function(plain(), &[]).await;
    let answer = function.invoke(order_paid("evt_7", "")).await;
    let (_, body) = http(&answer);
    assert_eq!(body, json!({"outcome": "queued", "id": "evt_7"}));
    let line = log_lines(&function, 1).await.remove(0);
    for (name, value) in [
        ("level", json!("INFO")),
        ("provider", json!(plain().name)),
        ("account", json!("default")),
        ("outcome", json!("queued")),
        ("id", json!("evt_7")),
        ("type", json!("commerce.order.paid")),
        ("secret", json!(0)),
        ("scheme", json!(scheme(plain()).name)),
        ("subject", json!(format!("order/{}", Body::new(plain(), "evt_7").resource()))),
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
    assert!(line["key"].as_str().unwrap().starts_with(&format!("{}#default#", plain().name)), "{line}");
    assert!(!line["request_id"].as_str().unwrap().is_empty(), "{line}");
}
