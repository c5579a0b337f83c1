//! A captured request, from the forms in which people have them. Each is read whole, or refused with a way out.
//!
//! Messages name places and forms, never content: a capture may hold secrets.

mod curl;
mod http;
mod json;

use ::http::{HeaderMap, HeaderName, HeaderValue, header::CONTENT_LENGTH};
use anyhow::{Context, Result, bail};
use time::OffsetDateTime;

use crate::json::Json;

/// One request as it was captured.
#[derive(Debug, Clone)]
pub struct Request {
    /// The form that it was found in, in words.
    pub form: &'static str,
    /// `POST`. Empty where the capture does not say.
    pub method: String,
    /// The path of its address, without the query. Empty where the capture does not say.
    pub path: String,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    /// When it was received, where the capture says so.
    pub received: Option<OffsetDateTime>,
    /// What about the capture does not fit together.
    pub note: Option<String>,
}

/// The requests of a capture. One that is refused, with a sentence that says what to do instead, does not spoil the others.
pub type Requests = Vec<Result<Request>>;

const FORMS: &str = "not a captured request; expected raw HTTP (POST /path HTTP/1.1, headers, an empty line, a body), a HAR, \
    a curl command, an export of webhook.site, ngrok or Beeceptor, or an event, by JSON.stringify or json.dumps";
const COLLECTION: &str = "the capture is a collection (Postman, Insomnia, …): give the code for cURL that it shows";
const ACCESS_LOG: &str = "the capture is an access log, without headers and body: capture the request itself";
const NO_CURL: &str =
    "this is code: choose \"Copy as cURL (bash)\", or write curl URL -H 'name: value' --data-raw 'body'";
/// Words by which code and other commands are known.
const CODE: &[&str] = &["fetch(", "axios", "require(", "import ", "Invoke-", "<?php", ".post(", "wget ", " POST http"];

/// Reads every request of a capture, whatever its form. `body` takes the place of the captured body.
pub fn read(capture: &[u8], body: Option<&[u8]>) -> Result<Requests> {
    if let [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [1..=127, 0, ..] | [0, 1..=127, ..] = capture {
        let order = if matches!(capture, [0xff | 1..=127, ..]) { "LE" } else { "BE" };
        bail!("the capture is UTF-16: convert it with iconv -f UTF-16{order} -t UTF-8");
    }
    let text = capture.strip_prefix("\u{feff}".as_bytes()).unwrap_or(capture).trim_ascii_start();
    if text.starts_with(b"{") || text.starts_with(b"[") {
        return json::read(&Json::parse(text).ok_or_else(|| Json::fault(text))?, body);
    }
    if let Some(requests) = curl::read(text, body).or_else(|| http::read(text, body).map(|read| Ok(vec![read]))) {
        return requests;
    }
    let inner = text.iter().position(|&byte| byte == b'{').and_then(|start| Json::first(&text[start..]));
    if inner.is_some_and(|(json, _)| json::read(&json, body).is_ok_and(|requests| requests.iter().any(Result::is_ok))) {
        bail!("text stands around the JSON: give it alone, from its first {{ to its last }}");
    }
    let is_curl = |word: &[u8]| matches!(word, [b'c', b'u', b'r', b'l', b' ' | b'.', next] if *next != b'=');
    let begins = |line: &[u8]| http::is_first(line) || line.windows(6).any(is_curl);
    if text.split(|&byte| byte == b'\n').any(begins) {
        bail!("text stands before the request: give it from its first line (POST …), or from curl, on");
    }
    let shown = String::from_utf8_lossy(text);
    let known = [(&["insomnia.rest/"][..], COLLECTION), (&["HTTP/1.1\" ", "HTTP/2.0\" "], ACCESS_LOG), (CODE, NO_CURL)];
    let named = known.iter().find(|(marks, _)| marks.iter().any(|mark| shown.contains(mark)));
    bail!(named.map_or(FORMS, |(_, why)| why))
}

impl Request {
    fn new(form: &'static str, method: &str, url: &str) -> Self {
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        // What is before the first slash is a host: curl needs no scheme.
        let path = if url.is_empty() { "" } else { rest.find('/').map_or("/", |slash| &rest[slash..]) };
        let path = path.split(['?', '#']).next().unwrap_or_default().to_owned();
        let (method, headers) = (method.to_owned(), HeaderMap::new());
        Request { form, method, path, headers, body: Vec::new(), received: None, note: None }
    }

    fn header(&mut self, name: &[u8], value: &[u8]) -> Result<()> {
        let wrong = "has a name or value that HTTP does not allow: correct the capture";
        let name = HeaderName::from_bytes(name.trim_ascii()).ok();
        let pair = name.zip(HeaderValue::from_bytes(value.trim_ascii()).ok());
        let (name, value) = pair.with_context(|| format!("header {} {wrong}", self.headers.len() + 1))?;
        self.headers.append(name, value);
        Ok(())
    }

    fn length(&self) -> Option<usize> {
        self.headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
    }

    /// The request with its body: the one that was given, or else the one that was found.
    fn with(mut self, given: Option<&[u8]>, found: impl FnOnce() -> Result<Vec<u8>>) -> Result<Self> {
        self.body = given.map_or_else(found, |given| Ok(given.to_vec()))?;
        let (length, captured) = (self.length().filter(|_| given.is_none()), self.body.len());
        if let (Some(1..), 0) = (length, captured) {
            bail!("the capture lacks the body that Content-Length counts: add --body FILE");
        }
        let note = |length| format!("Content-Length is {length}, but the captured body has {captured} bytes");
        self.note = length.filter(|length| *length != captured).map(note);
        Ok(self)
    }
}
