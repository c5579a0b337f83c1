//! What API Gateway passes to a function: an HTTP API's event of payload format 2.0. The benchmarks use this file, too.

#![allow(dead_code, reason = "the benchmarks have no delivery in base64")]

use std::collections::BTreeMap;

use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::json;

const DOMAIN: &str = "a1b2c3d4e5.execute-api.us-east-1.amazonaws.com";

/// The event of `POST /webhooks/{provider}[/{account}]`.
///
/// A body that is not UTF-8 travels as base64. Headers given here replace the usual ones of the same name; one given
/// twice is joined with a comma.
pub fn event(provider: &str, account: Option<&str>, headers: &[(&str, &str)], body: &[u8]) -> String {
    match str::from_utf8(body) {
        Ok(text) => build(provider, account, headers, body.len(), text, false),
        Err(_) => event_base64(provider, account, headers, body),
    }
}

/// As [`event`], but the body is base64 even if it is text: API Gateway decides by the content type.
pub fn event_base64(provider: &str, account: Option<&str>, headers: &[(&str, &str)], body: &[u8]) -> String {
    build(provider, account, headers, body.len(), &BASE64_STANDARD.encode(body), true)
}

fn build(
    provider: &str,
    account: Option<&str>,
    given: &[(&str, &str)],
    content_length: usize,
    body: &str,
    is_base64: bool,
) -> String {
    let mut headers = BTreeMap::<String, String>::new();
    let mut cookies = Vec::new();
    for (name, value) in given {
        let name = name.to_ascii_lowercase();
        if name == "cookie" {
            cookies.extend(value.split("; "));
        } else {
            headers.entry(name).and_modify(|values| *values = format!("{values},{value}")).or_insert((*value).into());
        }
    }
    for (name, value) in [
        ("accept", "*/*"),
        ("content-length", &content_length.to_string()),
        ("content-type", "application/json"),
        ("host", DOMAIN),
        ("user-agent", "webhooks/1.0"),
        ("x-amzn-trace-id", "Root=1-5e9f0c65-1de4d666d4dd26aced652b6c"),
        ("x-forwarded-for", "203.0.113.7"),
        ("x-forwarded-port", "443"),
        ("x-forwarded-proto", "https"),
    ] {
        headers.entry(name.to_owned()).or_insert_with(|| value.to_owned());
    }

    let (path, route) = match account {
        Some(account) => (format!("/webhooks/{provider}/{account}"), format!("POST /webhooks/{provider}/{{account}}")),
        None => (format!("/webhooks/{provider}"), format!("POST /webhooks/{provider}")),
    };
    let mut event = json!({
        "version": "2.0",
        "routeKey": route,
        "rawPath": path,
        "rawQueryString": "",
        "headers": headers,
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "a1b2c3d4e5",
            "domainName": DOMAIN,
            "domainPrefix": "a1b2c3d4e5",
            "http": {
                "method": "POST",
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "203.0.113.7",
                "userAgent": headers["user-agent"],
            },
            "requestId": "JKJaXmPLvHcESHA=",
            "routeKey": route,
            "stage": "$default",
            // Nobody reads it: a function goes by its own clock.
            "time": "21/Nov/2026:16:00:00 +0000",
            "timeEpoch": 1_795_276_800_000_u64,
        },
        "isBase64Encoded": is_base64,
    });
    // What a request lacks, API Gateway leaves out.
    if !cookies.is_empty() {
        event["cookies"] = json!(cookies);
    }
    if let Some(account) = account {
        event["pathParameters"] = json!({"account": account});
    }
    if !body.is_empty() {
        event["body"] = json!(body);
    }
    event.to_string()
}
