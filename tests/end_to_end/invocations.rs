//! What Lambda hands over, and what of it goes on: events of other formats, addresses, trace headers.

use aws_sdk_sqs::types::MessageSystemAttributeName;
use hookgate_verify::{Provider, providers};
use serde_json::{Value, json};

use crate::support::{World, body::Body, http, lambda::Invocation, log_lines, order_paid, outcome, plain, signed};

/// The event of an authentic delivery.
fn sound(provider: &'static Provider) -> Value {
    serde_json::from_str(&signed(provider, &Body::new(provider, "evt_1").bytes())).unwrap()
}

/// Each invocation has an outcome and a line, whatever it carries: else conservation would not hold.
#[tokio::test]
async fn an_invocation_of_another_format_is_rejected_with_a_line_that_names_the_setting() {
    for provider in providers::ALL {
        let world = World::new().await;
        let function = world.function(provider, &[]).await;
        let sound = sound(provider);
        let changed = |change: fn(&mut Value)| {
            let mut event = sound.clone();
            change(&mut event);
            event
        };
        let path = format!("/webhooks/{}", provider.name);
        let (headers, body) = (&sound["headers"], &sound["body"]);
        let context = json!({"accountId": "1", "apiId": "a", "stage": "$default", "httpMethod": "POST", "path": path,
        "identity": {"sourceIp": "203.0.113.1", "userAgent": "x"}});
        let format_1 = json!({"version": "1.0", "resource": path, "path": path,
        "httpMethod": "POST", "headers": headers, "multiValueHeaders": {}, "requestContext": context, "body": body,
        "isBase64Encoded": false});
        let alb = json!({"requestContext": {"elb": {"targetGroupArn": "arn"}}, "httpMethod": "POST",
        "path": path, "headers": headers, "body": body, "isBase64Encoded": false});
        let sqs = json!({"Records": [{"messageId": "m", "body": body, "eventSource": "aws:sqs"}]});
        let mut events = vec![
            format_1,
            alb,
            sqs,
            json!({"key1": "value1", "key2": "value2"}),
            json!({"source": "serverless-plugin-warmup"}),
            json!({"version": "0", "source": "aws.events", "detail-type": "Scheduled Event", "detail": {}}),
            json!({}),
            json!([]),
            json!(null),
            json!(7),
            json!("s3cr3t"),
            changed(|event| event["version"] = "1.0".into()),
            changed(|event| event["headers"]["x-odd"] = "s3cr3t\u{7f}".into()),
            changed(|event| event["headers"]["x-odd"] = "s3cr3t\r\nx: y".into()),
            changed(|event| event["headers"]["s3cr3t name"] = "x".into()),
            changed(|event| event["requestContext"]["http"]["method"] = "s3cr3t POST".into()),
            changed(|event| event["body"] = json!({"s3cr3t": 1})),
        ];
        let mut texts: Vec<String> = events.drain(..).map(|event| event.to_string()).collect();
        // What no `Value` holds: a lone surrogate, and what is no JSON at all.
        texts.push(sound.to_string().replace(r#""x-forwarded-port":"443""#, r#""x-odd":"\ud83d""#));
        texts.push("s3cr3t".to_owned());
        texts.push(String::new());
        for event in &texts {
            let (status, answer) = http(&function.invoke(event.clone()).await);
            assert_eq!((status, answer), (provider.rejected_status.into(), json!({"outcome": "rejected"})), "{event}");
        }
        let lines = log_lines(&function, texts.len()).await;
        assert_eq!(lines.len(), texts.len());
        for (line, event) in lines.iter().zip(&texts) {
            let counted = [&line["Received"], &line["Rejected"]];
            assert_eq!((&line["reason"], counted), (&"payload_format".into(), [&json!(1.0); 2]), "{event}");
            assert!(line["error"].as_str().unwrap().contains("PayloadFormatVersion 2.0"), "{line}");
            assert!(!line.to_string().contains("s3cr3t"), "{line}");
        }
        // And the function goes on.
        assert_eq!(outcome(&function.invoke(sound.to_string()).await), (200, "queued".to_owned()));
        let without_version = changed(|event| _ = event.as_object_mut().unwrap().remove("version"));
        assert_eq!(outcome(&function.invoke(without_version.to_string()).await), (200, "duplicate".to_owned()));
    }
}

#[tokio::test]
async fn a_mapping_a_stage_and_a_slash_change_no_address() {
    let world = World::new().await;
    let function = world.function(plain(), &[]).await;
    let rejected = (plain().rejected_status.into(), "rejected");
    // `PLATFORM` stands for its name.
    for (number, (path, stage, parameters, expected)) in [
        ("/webhooks/PLATFORM", "$default", json!({}), (200, "queued")),
        ("/webhooks/PLATFORM/", "$default", json!({}), (200, "queued")),
        ("/hooks/webhooks/PLATFORM", "$default", json!({}), (200, "queued")),
        ("/hooks/v1/webhooks/PLATFORM/", "prod", json!({}), (200, "queued")),
        ("/prod/hooks/webhooks/PLATFORM", "prod", json!({}), (200, "queued")),
        ("/hooks/webhooks/PLATFORM/default", "$default", json!({"account": "default"}), (200, "queued")),
        ("/hooks/PLATFORM", "$default", json!({"provider": plain().name}), (200, "queued")),
        ("/hooks/webhooks/other", "$default", json!({}), rejected),
        ("/webhooks/PLATFORM/eu-shop/x", "$default", json!({}), rejected),
    ]
    .into_iter()
    .enumerate()
    {
        let delivery = order_paid(&format!("evt_{number}"), "");
        let mut event: Value = serde_json::from_str(&delivery).unwrap();
        event["rawPath"] = path.replace("PLATFORM", plain().name).into();
        event["requestContext"]["stage"] = stage.into();
        event["pathParameters"] = parameters;
        let (status, outcome) = outcome(&function.invoke(event.to_string()).await);
        assert_eq!((status, &*outcome), expected, "{path}");
    }
}

/// SQS may refuse what poses as a trace header, and that each time.
#[tokio::test]
async fn only_a_trace_header_is_passed_on() {
    const SOUND: &str =
        "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1;Lineage=1:a87bd80c:0";
    let world = World::new().await;
    let function = world.function(plain(), &[]).await;
    for (number, (trace_id, passed_on)) in
        [(SOUND, true), ("Root=1-5759e988-zzz;Parent=x", false), ("<script>", false), ("Self=1", false)]
            .into_iter()
            .enumerate()
    {
        let invocation = Invocation { trace_id: trace_id.to_owned(), ..Invocation::default() };
        let delivery = order_paid(&format!("evt_{number}"), "");
        assert_eq!(outcome(&function.invoke_with(delivery, invocation).await).0, 200, "{trace_id}");
        let message = world.messages().await.remove(0);
        let header = message.attributes().and_then(|all| all.get(&MessageSystemAttributeName::AwsTraceHeader));
        assert_eq!(header.map(String::as_str), passed_on.then_some(trace_id));
        assert_eq!(message.body().unwrap().contains("traceparent"), passed_on, "{trace_id}");
        let line = log_lines(&function, number + 1).await.remove(number);
        assert_eq!(line["trace"].as_str(), passed_on.then_some(trace_id), "{line}");
    }
}
