//! The forms that are JSON: HAR, what AWS invokes a function with, and what inspectors export.
//!
//! <http://www.softwareishard.com/blog/har-12-spec/>, <https://docs.webhook.site/api/requests.html>,
//! <https://ngrok.com/docs/agent/api/>, <https://beeceptor.com/docs/api/get-a-single-request>; the formats of API Gateway, ALB and
//! VPC Lattice are in AWS's developer guides.

use anyhow::{Context, Result, bail};
use base64::{Engine, prelude::BASE64_STANDARD};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{COLLECTION, Request, Requests, http};
use crate::{json::Json, output::moment};

const PARSED: &str = "the body was parsed (it is not text), so its bytes are gone: capture it raw, or add --body FILE";
const HALF: &str =
    "the body has half a character (\\ud800 to \\udfff), so its bytes are gone: capture it raw, or add --body FILE";
const NO_BODY: &str = "no body in body, rawBody, content, b or postData.text: export it with content, or add --body FILE, or \
    rename its member to body";
const NO_HEADERS: &str = "the JSON has no headers as an object of texts: give the object that holds headers and body, alone; a \
    bare body needs its headers too, as raw HTTP";
const NO_BASE64: &str = "the capture says that its body is base64, and it is not: copy it whole and unchanged";
/// What AWS and browsers say of a request without a body; others may have it under a name of their own.
const EMPTY: &[&str] = &["requestContext", "isBase64Encoded", "is_base64_encoded", "bodySize", "size"];

/// Every request of a list, or the only one.
pub(super) fn read(json: &Json, given: Option<&[u8]>) -> Result<Requests> {
    if ["info.schema", "__export_format", "clientName"].iter().any(|mark| json.at(mark).is_some()) {
        bail!(COLLECTION);
    }
    let lists = ["log.entries", "requests", "data"].iter().filter_map(|name| json.at(name));
    let entries = lists.chain([json]).find_map(Json::items).unwrap_or(std::slice::from_ref(json));
    Ok(entries.iter().map(|entry| one(entry, given)).collect())
}

fn one(entry: &Json, given: Option<&[u8]>) -> Result<Request> {
    let inner = entry.at("request").or_else(|| entry.at("req")).filter(|inner| matches!(inner, Json::Object(_)));
    let of = |names: &[&str]| {
        let inner = inner.and_then(|inner| names.iter().find_map(|name| inner.at(name)));
        inner.or_else(|| names.iter().find_map(|name| entry.at(name)))
    };
    let text = |names: &[&str]| of(names).and_then(Json::as_text).unwrap_or_default();
    let number = |names: &[&str]| of(names).and_then(|value| value.as_plain()?.parse::<i64>().ok());
    // Milliseconds; VPC Lattice has microseconds.
    let epoch = number(&["requestContext.timeEpoch", "requestContext.requestTimeEpoch"]);
    let epoch = epoch.map(|epoch| if epoch < 100_000_000_000_000 { epoch } else { epoch / 1000 });
    let time = OffsetDateTime::parse(&text(&["startedDateTime", "start", "date"]), &Rfc3339);
    let time = time.ok().or_else(|| moment(epoch?));
    if let Some(raw) = of(&["raw"]).and_then(Json::as_text).and_then(|raw| BASE64_STANDARD.decode(raw).ok()) {
        let read = http::read(&raw, given).context("the request's raw bytes are no whole request: export it again")?;
        return read.map(|request| Request { form: "ngrok capture", received: time, ..request });
    }
    let body = of(&["postData.text", "content", "rawBody", "bodyRaw", "body", "b"]);
    let form = match of(&["headers"]) {
        _ if entry.at("token_id").is_some() => "webhook.site export",
        Some(Json::Array(_)) => "HAR",
        _ if inner.is_some() => "Beeceptor export",
        _ if of(&["requestContext", "httpMethod", "rawPath", "raw_path"]).is_some() => "invocation event",
        _ => "request in JSON",
    };
    let method = text(&["requestContext.http.method", "httpMethod", "method"]).to_uppercase();
    let size = number(&["bodySize", "size"]);
    let is_post = matches!(&method[..], "" | "POST");
    let path = text(&["rawPath", "raw_path", "path", "url"]);
    let mut found = Request { received: time, ..Request::new(form, &method, &path) };
    if form.ends_with("export") && !found.path.contains("/webhooks/") {
        // The inspector's own address.
        found.path.clear();
    }
    // The fullest: some events have an empty member beside it.
    let all = ["h", "headers", "multiValueHeaders"].iter().filter_map(|name| pairs(of(&[name])?));
    let headers = all.max_by_key(Vec::len).context(NO_HEADERS)?;
    // HTTP/2's own begin with a colon.
    for (name, value) in headers.iter().filter(|(name, _)| !name.starts_with(':')) {
        found.header(name.as_bytes(), value.as_bytes())?;
    }
    let in_base64 = text(&["postData.encoding", "postData._encoding"]) == "base64"
        || of(&["isBase64Encoded", "is_base64_encoded"]).is_some_and(|flag| flag.as_plain().as_deref() == Some("true"));
    found.with(given, || match (body, body.and_then(Json::as_text)) {
        (_, Some(body)) if in_base64 => BASE64_STANDARD.decode(body).ok().context(NO_BASE64),
        (_, Some(text)) => Ok(text.into_bytes()),
        (Some(Json::Token(token)), None) if token.starts_with('"') => bail!(HALF),
        (Some(body), None) => body.as_buffer().context(PARSED),
        // −1 is a size that the browser does not know.
        (None, None) if is_post && (of(EMPTY).is_none() || of(&["postData"]).is_some() || size.unwrap_or(0) != 0) => {
            bail!(NO_BODY)
        }
        (None, None) => Ok(Vec::new()),
    })
}

/// Each value of each header, a number as it is written. None where one is an object or a list.
fn pairs(headers: &Json) -> Option<Vec<(String, String)>> {
    let Json::Object(members) = headers else {
        let pair = |header: &Json| Some((header.at("name")?.as_text()?, header.at("value")?.as_plain()?));
        return headers.items()?.iter().map(pair).collect();
    };
    let each = members.iter().flat_map(|(name, value)| {
        let values = value.items().unwrap_or(std::slice::from_ref(value)).iter().filter(|value| !value.is_null());
        values.map(|value| Some((Json::Token(name.clone()).as_text()?, value.as_plain()?)))
    });
    each.collect()
}
