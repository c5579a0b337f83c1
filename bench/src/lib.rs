//! What the benchmarks send: deliveries of any size, signed as the platforms sign them.

use std::fmt::Write;

use hookgate_verify::{
    Account, Delivery, Provider, Scheme,
    sender::{Signed, sign},
};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::json;
use time::OffsetDateTime;

/// The secret that all functions here are given.
pub const SECRET: &str = "whsec_test";

/// The `number`th event of this platform, `size` bytes long (or as long as it must be), all of it signed.
///
/// Its filling is what makes real events long: lines of an order.
///
/// # Panics
/// For a platform that is not known here.
#[must_use]
pub fn body(provider: &Provider, number: usize, size: usize) -> String {
    let (head, tail) = match provider.name {
        "elective" => (
            format!(
                r#"{{"id":"evt_{number:08}","event":"order.paid","created_at":1736611200,"data":{{"orderId":"8f3e","total":5500,"currency":"USD","customer_id":"cust_123","#
            ),
            "}}",
        ),
        "etaildepot" => (
            format!(
                r#"{{"id":"evt_{number:08}","type":"payment.succeeded","created":1736611200,"request":{{"id":"req_1"}},"data":{{"object":{{"id":"pay_123","amount":5500,"currency":"usd","#
            ),
            "}}}",
        ),
        "opterius" => (
            format!(
                r#"{{"event":"invoice.paid","timestamp":"2026-04-15T14:22:30Z","data":{{"id":{number},"total":5500,"currency_code":"USD","client_id":42,"#
            ),
            "}}",
        ),
        "shoppex" => (
            format!(
                r#"{{"event":"order:paid","created_at":1736611200,"data":{{"uniqid":"inv_{number:08}","total":"49.99","currency":"USD","#
            ),
            "}}",
        ),
        "w3block" => (
            format!(
                r#"{{"event":"order.concluded","timestamp":1666201874688,"data":{{"id":"8c43ece8-99b0-4877-aed3-{number:012}","status":"concluded","currencyAmount":"10.00","#
            ),
            "}}",
        ),
        unknown => panic!("write down what {unknown} sends"),
    };
    let mut body = head;
    body.reserve(size);
    body.push_str(r#""note":""#);
    let (lines, end) = (r#"","lines":["#, "]");
    // A line is about this long; the note takes up the rest.
    let line =
        |n: usize| format!(r#"{{"sku":"S-{n:06}","name":"Shirt \"Ørsted\", size M","quantity":2,"price":1999}}"#);
    let fixed = body.len() + lines.len() + end.len() + tail.len();
    let count = size.saturating_sub(fixed) / (line(0).len() + 1);
    let filling: usize = (0..count).map(|n| line(n).len() + 1).sum::<usize>().saturating_sub(1);
    body.extend(std::iter::repeat_n('.', size.saturating_sub(fixed + filling)));
    body.push_str(lines);
    for n in 0..count {
        let comma = if n == 0 { "" } else { "," };
        let _ = write!(body, "{comma}{}", line(n));
    }
    body + end + tail
}

/// Signs it now, by the platform's default scheme or another one of its own.
#[must_use]
pub fn signed(scheme: &Scheme, body: &str) -> Signed {
    let now = OffsetDateTime::now_utc().unix_timestamp();
    sign(scheme, SECRET.as_bytes(), body.as_bytes(), ("whd_abc123", now.unsigned_abs()))
}

/// The delivery as the function sees it, once the invocation is unpacked.
///
/// # Panics
/// Never: signatures fit into headers.
#[must_use]
pub fn delivery(signed: Signed) -> Delivery {
    let header = |(name, value): (&'static str, String)| {
        (HeaderName::from_static(name), HeaderValue::try_from(value).expect("visible ASCII"))
    };
    Delivery {
        headers: signed.headers.into_iter().map(header).collect::<HeaderMap>(),
        body: signed.body,
        account: Account::default(),
        received: OffsetDateTime::now_utc(),
    }
}

/// The event that an HTTP API makes of it (payload format 2.0).
///
/// # Panics
/// Where the body is no UTF-8, which [`body`] never is.
#[must_use]
pub fn invocation(provider: &Provider, signed: &Signed) -> String {
    let path = format!("/webhooks/{}", provider.name);
    let domain = "a1b2c3d4e5.execute-api.us-east-1.amazonaws.com";
    let mut headers = json!({
        "accept": "*/*",
        "content-length": signed.body.len().to_string(),
        "content-type": "application/json",
        "host": domain,
        "user-agent": "webhooks/1.0",
        "x-amzn-trace-id": "Root=1-5e9f0c65-1de4d666d4dd26aced652b6c",
        "x-forwarded-for": "203.0.113.7",
        "x-forwarded-port": "443",
        "x-forwarded-proto": "https",
    });
    for (name, value) in &signed.headers {
        headers[*name] = json!(value);
    }
    let route = format!("POST {path}");
    json!({
        "version": "2.0",
        "routeKey": route,
        "rawPath": path,
        "rawQueryString": "",
        "headers": headers,
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "a1b2c3d4e5",
            "domainName": domain,
            "domainPrefix": "a1b2c3d4e5",
            "http": {
                "method": "POST",
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "203.0.113.7",
                "userAgent": "webhooks/1.0",
            },
            "requestId": "JKJaXmPLvHcESHA=",
            "routeKey": route,
            "stage": "$default",
            "time": "21/Nov/2026:16:00:00 +0000",
            "timeEpoch": 1_795_276_800_000_u64,
        },
        "body": std::str::from_utf8(&signed.body).expect("UTF-8"),
        "isBase64Encoded": false,
    })
    .to_string()
}
