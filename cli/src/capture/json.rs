//! The forms that are JSON: HAR, what AWS invokes a function with, and what inspectors export.
//!
//! HAR: <http://www.softwareishard.com/blog/har-12-spec/>. Payload formats 2.0 and 1.0:
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>. ALB:
//! <https://docs.aws.amazon.com/elasticloadbalancing/latest/application/lambda-functions.html>. VPC Lattice:
//! <https://docs.aws.amazon.com/vpc-lattice/latest/ug/lambda-functions.html>. webhook.site:
//! <https://docs.webhook.site/api/requests.html>. ngrok: <https://ngrok.com/docs/agent/api/>. Beeceptor:
//! <https://beeceptor.com/docs/api/get-a-single-request>. Pipedream: <https://docs.pipedream.com/workflows/events/>.

use base64::{Engine, prelude::BASE64_STANDARD};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{Refused, Request, Requests, http, refuse};
use crate::json::Json;

const PARSED: &str = "the body was parsed (it is not text), so its bytes are gone: capture it raw, or add --body FILE";
const NO_BODY: &str = "no body in body, content, b or postData.text: rename its member to body, or add --body FILE";
/// What AWS and browsers say of a request without a body; others may have it under a name of their own.
const EMPTY: &[&str] = &["requestContext", "isBase64Encoded", "is_base64_encoded", "bodySize", "size"];

/// Every request of a list, or the only one.
pub(super) fn read(json: &Json, given: Option<&[u8]>) -> Refused<Requests> {
    let lists = [json.at("log.entries"), json.at("requests"), json.at("data"), Some(json)];
    match lists.into_iter().flatten().find(|list| matches!(list, Json::Array(_))) {
        Some(Json::Array(entries)) => Ok(entries.iter().map(|entry| one(entry, given)).collect()),
        _ => Ok(vec![Ok(one(json, given)?)]),
    }
}

fn one(entry: &Json, given: Option<&[u8]>) -> Refused<Request> {
    let inner = entry.at("request").or_else(|| entry.at("req")).filter(|inner| matches!(inner, Json::Object(_)));
    let of = |names: &[&str]| {
        let inner = inner.and_then(|inner| names.iter().find_map(|name| inner.at(name)));
        inner.or_else(|| names.iter().find_map(|name| entry.at(name)))
    };
    let text = |names: &[&str]| of(names).and_then(Json::as_text).unwrap_or_default();
    let number = |names: &[&str]| of(names).and_then(|value| value.token().trim_matches('"').parse::<i64>().ok());
    // Milliseconds; VPC Lattice has microseconds.
    let epoch = number(&["requestContext.timeEpoch", "requestContext.requestTimeEpoch"]).map(i128::from);
    let epoch = epoch.map(|epoch| epoch * if epoch < 100_000_000_000_000 { 1_000_000 } else { 1_000 });
    let time = OffsetDateTime::parse(&text(&["startedDateTime", "start", "date"]), &Rfc3339);
    let time = time.ok().or_else(|| OffsetDateTime::from_unix_timestamp_nanos(epoch?).ok());
    if let Some(raw) = of(&["raw"]).and_then(Json::as_text) {
        let read = http::read(&decoded(&raw)?, given);
        let read = read.unwrap_or_else(|| refuse("the raw bytes of the request are no whole request: export it again"));
        return read.map(|request| Request { form: "ngrok capture", received: time, ..request });
    }
    let (headers, body) = (of(&["multiValueHeaders", "headers", "h"]), of(&["postData.text", "content", "body", "b"]));
    let form = match headers {
        _ if entry.at("token_id").is_some() => "webhook.site export",
        Some(Json::Array(_)) => "HAR",
        _ if inner.is_some() => "Beeceptor export",
        _ if of(&["requestContext", "httpMethod", "rawPath", "raw_path"]).is_some() => "invocation event",
        _ => "request in JSON",
    };
    let method = text(&["requestContext.http.method", "httpMethod", "method"]).to_uppercase();
    let is_post = matches!(&method[..], "" | "POST");
    let mut found = Request::new(form, &method, &text(&["rawPath", "raw_path", "path", "url"]));
    found.received = time;
    if form.ends_with("export") && !found.path.contains("/webhooks/") {
        // The inspector's own address.
        found.path.clear();
    }
    let Some(headers) = headers.and_then(pairs) else {
        return refuse("the JSON has no headers as an object of texts: a bare body needs its headers too, as raw HTTP");
    };
    // HTTP/2's own begin with a colon.
    for (name, value) in headers.iter().filter(|(name, _)| !name.starts_with(':')) {
        found.header(name.as_bytes(), value.as_bytes())?;
    }
    let in_base64 = text(&["postData.encoding", "postData._encoding"]) == "base64"
        || of(&["isBase64Encoded", "is_base64_encoded"]).is_some_and(|flag| flag.token().trim_matches('"') == "true");
    found.with(given, || match (body, body.and_then(Json::as_text)) {
        (_, Some(body)) if in_base64 => decoded(&body),
        (Some(body), Some(text)) if text.is_empty() && body.token() != "\"\"" => {
            refuse("the body has half a character (\\ud800 to \\udfff), so its bytes are gone: capture it raw")
        }
        (_, Some(text)) => Ok(text.into_bytes()),
        (Some(body), None) => body.as_buffer().map_or_else(|| refuse(PARSED), Ok),
        (None, None) if number(&["bodySize", "size"]) > Some(0) || of(&["postData"]).is_some() => {
            refuse("the capture lacks the body: export it with content, or add --body FILE")
        }
        (None, None) if is_post && of(EMPTY).is_none() => refuse(NO_BODY),
        (None, None) => Ok(Vec::new()),
    })
}

/// Each value of each header, a number as it is written. None where one is an object or a list.
fn pairs(headers: &Json) -> Option<Vec<(String, String)>> {
    let text =
        |value: &Json| value.as_text().or_else(|| Some(value.token().to_owned()).filter(|text| !text.is_empty()));
    let pair = |name: &Json, value: &Json| Some((name.as_text()?, text(value)?));
    let Json::Object(members) = headers else {
        let Json::Array(list) = headers else { return None };
        return list.iter().map(|header| pair(header.at("name")?, header.at("value")?)).collect();
    };
    let each = members.iter().flat_map(|(name, value)| {
        let values = if let Json::Array(values) = value { values } else { std::slice::from_ref(value) };
        values.iter().map(|value| (Json::Token(name.clone()), value))
    });
    each.filter(|(_, value)| value.token() != "null").map(|(name, value)| pair(&name, value)).collect()
}

fn decoded(text: &str) -> Refused<Vec<u8>> {
    let decoded = BASE64_STANDARD.decode(text);
    decoded.or_else(|_| refuse("the capture says that its body is base64, and it is not: copy it whole and unchanged"))
}
