//! Whatever JSON an invocation carries, turning it into a delivery does not panic, and the delivery is what it carried.

#![no_main]

use aws_lambda_events::apigw::ApiGatewayV2httpRequest;
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use hookgate_verify::{Delivery, Provider, Scheme, Secrets, Verifier, providers};
use libfuzzer_sys::fuzz_target;
use outcome::Refusal;
use serde_json::{Value, json};
use time::OffsetDateTime;

#[path = "../../shared/intake/src/http.rs"]
mod intake;

// What the file takes from its own crate, beside the event.
mod outcome {
    #[derive(Debug, PartialEq)]
    pub enum Refusal {
        Method,
        Address,
        Body,
    }
}

// Whole JSON where the input begins like it; else its lines are method, path, stage, provider and account from the path,
// whether the body is base64, and the body.
fuzz_target!(|input: &[u8]| {
    if input.trim_ascii_start().starts_with(b"{") {
        check(input);
    } else if let Ok(text) = std::str::from_utf8(input) {
        let mut lines = text.splitn(7, '\n');
        let mut line = || lines.next().unwrap_or_default();
        let (method, path, stage, provider, account, base64) = (line(), line(), line(), line(), line(), line());
        let mut event = json!({
            "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": "",
            "headers": {"host": stage},
            "requestContext": {
                "http": {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "203.0.113.1", "userAgent": ""},
                "stage": stage,
            },
            "pathParameters": {},
            "body": line(), "isBase64Encoded": base64 == "1",
        });
        for name in providers::ALL.iter().flat_map(|provider| provider.schemes()).flat_map(Scheme::headers) {
            event["headers"][name] = "0".into();
        }
        for (name, value) in [("provider", provider), ("account", account)] {
            if !value.is_empty() {
                event["pathParameters"][name] = value.into();
            }
        }
        check(event.to_string().as_bytes());
    }
});

fn check(text: &[u8]) {
    let Ok(event) = serde_json::from_slice::<ApiGatewayV2httpRequest>(text) else { return };
    // Two members of one name are beyond this comparison.
    let value = serde_json::from_slice::<Value>(text).ok().filter(|_| !has_twins(text));
    for &provider in providers::ALL {
        let got = intake::delivery(event.clone(), provider, OffsetDateTime::UNIX_EPOCH);
        if let Some(value) = &value {
            compare(value, provider, &got);
        }
        let Ok(delivery) = got else { continue };
        let verifier = Verifier::new(provider, |_| None).expect("the defaults");
        let secrets = Secrets::parse(r#"{"default":["a secret"]}"#).expect("a secret");
        let proof = verifier.authenticate(&delivery, &secrets);
        assert!(proof.is_err(), "accepted {delivery:?}", delivery = delivery.body);
    }
}

fn compare(value: &Value, provider: &Provider, got: &Result<Delivery, Refusal>) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let method = text(&value["requestContext"]["http"]["method"]);
    if let Err(refusal) = got {
        match refusal {
            Refusal::Method => assert_ne!(method, "POST"),
            Refusal::Address => {
                let plain = format!("/webhooks/{}", provider.name);
                let parameters = value["pathParameters"].as_object().is_none_or(serde_json::Map::is_empty);
                assert!(!(parameters && value["rawPath"] == plain && value["requestContext"]["stage"] == "$default"));
            }
            Refusal::Body => {
                assert_eq!(value["isBase64Encoded"], true);
                assert!(BASE64.decode(text(&value["body"])).is_err());
            }
        }
        return;
    }
    let Ok(delivery) = got else { unreachable!() };
    assert_eq!(method, "POST");
    let body = text(&value["body"]);
    if value["isBase64Encoded"] == true {
        assert_eq!(BASE64.encode(&delivery.body), body);
    } else {
        assert_eq!(delivery.body, body.as_bytes());
    }

    let account = delivery.account.as_str();
    let legal = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '-');
    assert!((1..=64).contains(&account.len()) && account.chars().all(legal));
    let parameters = &value["pathParameters"];
    if let Some(name) = parameters["provider"].as_str() {
        assert_eq!(name, provider.name);
    }
    if let Some(name) = parameters["account"].as_str() {
        assert_eq!(account, name);
        return;
    }
    if parameters["provider"].is_string() {
        assert_eq!(account, "default");
        return;
    }
    // The path ends in the provider's name, or in that and the account; or there is none, as with a Function URL.
    let path = value["rawPath"].as_str().or(value["path"].as_str()).unwrap_or_default().to_owned();
    let parts: Vec<_> = path.split('/').filter(|part| !part.is_empty()).collect();
    match parts[..] {
        [.., "webhooks", name] if name == provider.name => assert_eq!(account, "default"),
        [.., "webhooks", name, last] if name == provider.name => assert_eq!(account, last),
        [] => assert_eq!(account, "default"),
        _ => panic!("{path:?} names {account:?} of {provider:?}"),
    }
}

fn has_twins(text: &[u8]) -> bool {
    fn twins(node: &reference::json::Node) -> bool {
        use reference::json::Kind::{Array, Object};
        match &node.kind {
            Array(list) => list.iter().any(twins),
            Object(members) => {
                let names: std::collections::BTreeSet<_> = members.iter().map(|member| &member.name).collect();
                names.len() < members.len() || members.iter().any(|member| twins(&member.value))
            }
            _ => false,
        }
    }
    let root = std::str::from_utf8(text).ok().and_then(|text| reference::json::parse(text).ok());
    root.is_none_or(|root| twins(&root))
}
