//! A captured request, from the forms in which people have them: raw HTTP, HAR, an API Gateway event, a curl command.
//!
//! Messages name places and forms, never content: a capture may hold secrets.

use std::fmt;

use base64::{Engine, prelude::BASE64_STANDARD};
use hookgate_verify::{Account, Delivery, Provider, Scheme, providers};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde_json::Value;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// One request as it was captured.
#[derive(Debug, Clone)]
pub struct Request {
    /// Where it was found.
    pub form: Form,
    /// `POST`.
    pub method: String,
    /// The path of its address, without the query.
    pub path: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// The body's bytes.
    pub body: Vec<u8>,
    /// When it was received, where the capture says so.
    pub received: Option<OffsetDateTime>,
    /// What about the capture may be wrong.
    pub notes: Vec<&'static str>,
}

/// The forms of captures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `POST /webhooks/… HTTP/1.1`, headers, an empty line, the body.
    Http,
    /// HTTP Archive: the whole, one entry, or an entry's `request`.
    Har,
    /// What API Gateway or a function URL hands to a function.
    ApiGateway,
    /// A `curl` command line.
    Curl,
}

/// Why a text is no captured request: says what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unparseable(String);

impl Request {
    /// Reads every request of a capture, whatever its form.
    ///
    /// # Errors
    /// The text has none of the forms, or is broken.
    pub fn parse(capture: &[u8]) -> Result<Vec<Self>, Unparseable> {
        let text = String::from_utf8_lossy(capture);
        let text = text.trim_start_matches(['\u{feff}', ' ', '\t', '\r', '\n']);
        if text.starts_with(['{', '[']) {
            let json = serde_json::from_str(text).map_err(|error| {
                Unparseable(format!(
                    "the capture starts like JSON and is broken at line {}, column {}: copy it whole",
                    error.line(),
                    error.column()
                ))
            })?;
            return from_json(&json);
        }
        let command = text.strip_prefix("$ ").unwrap_or(text);
        if command.strip_prefix("curl").is_some_and(|rest| rest.starts_with([' ', '\t', '\\', '\r', '\n'])) {
            return Ok(vec![from_curl(command)?]);
        }
        let start = capture.iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or(capture.len());
        Ok(vec![from_http(&capture[start..])?])
    }

    /// The provider that the path names: `/webhooks/{provider}`, behind whatever stage.
    #[must_use]
    pub fn provider(&self) -> Option<&'static Provider> {
        self.address().map(|(provider, _)| provider)
    }

    /// The account that the path names.
    #[must_use]
    pub fn account(&self) -> Option<Account> {
        self.address().and_then(|(_, account)| Account::parse(account))
    }

    /// Read by the routine that an intake reads addresses with.
    fn address(&self) -> Option<(&'static Provider, &str)> {
        providers::ALL
            .iter()
            .find_map(|provider| Some((*provider, hookgate_intake::address(&self.path, provider.name)?)))
    }

    /// Whether it carries something that only this provider sends.
    pub(crate) fn is_of(&self, provider: &'static Provider) -> bool {
        let mut headers = provider.schemes().filter_map(Scheme::signature_header);
        self.provider().is_some_and(|named| named.name == provider.name)
            || headers.any(|name| self.headers.contains_key(name))
    }

    /// What an intake would make of it.
    #[must_use]
    pub fn delivery(&self, account: Account, received: OffsetDateTime) -> Delivery {
        Delivery { headers: self.headers.clone(), body: self.body.clone(), account, received }
    }

    fn new(form: Form, method: &str, url: &str) -> Self {
        let path = url.split_once("://").map_or(url, |(_, rest)| rest.find('/').map_or("/", |slash| &rest[slash..]));
        let path = path.split(['?', '#']).next().unwrap_or_default();
        Request {
            form,
            method: method.to_ascii_uppercase(),
            path: path.to_owned(),
            headers: HeaderMap::new(),
            body: Vec::new(),
            received: None,
            notes: Vec::new(),
        }
    }

    fn header(&mut self, name: &str, value: &str) -> Result<(), Unparseable> {
        // HTTP/2's own, as browsers' archives have them.
        if name.starts_with(':') {
            return Ok(());
        }
        let broken =
            || Unparseable("a header has a name or a value that HTTP does not allow: correct the capture".into());
        let name = HeaderName::from_bytes(name.trim().as_bytes()).map_err(|_| broken())?;
        let value = HeaderValue::from_bytes(value.trim().as_bytes()).map_err(|_| broken())?;
        self.headers.append(name, value);
        Ok(())
    }
}

/// The forms that are JSON.
fn from_json(json: &Value) -> Result<Vec<Request>, Unparseable> {
    if let Some(entries) = json["log"]["entries"].as_array() {
        return entries.iter().map(from_har).collect();
    }
    if json["request"]["headers"].is_array() {
        return Ok(vec![from_har(json)?]);
    }
    if json["headers"].is_array() && json["method"].is_string() {
        return Ok(vec![from_har(&serde_json::json!({ "request": json }))?]);
    }
    if json["headers"].is_object() && json.get("body").is_some() {
        return Ok(vec![from_api_gateway(json)?]);
    }
    Err(Unparseable(
        "the JSON is neither a HAR (log.entries, or an entry's request) nor an API Gateway event (headers, body): \
         to explain a bare body, give its headers too, as raw HTTP"
            .into(),
    ))
}

fn from_har(entry: &Value) -> Result<Request, Unparseable> {
    let captured = &entry["request"];
    let mut request = Request::new(
        Form::Har,
        captured["method"].as_str().unwrap_or("POST"),
        captured["url"].as_str().unwrap_or_default(),
    );
    for header in captured["headers"].as_array().into_iter().flatten() {
        request.header(header["name"].as_str().unwrap_or_default(), header["value"].as_str().unwrap_or_default())?;
    }
    let data = &captured["postData"];
    let text = data["text"].as_str().unwrap_or_default();
    let encoding = data["encoding"].as_str().or_else(|| data["_encoding"].as_str());
    request.body = if encoding == Some("base64") { from_base64(text)? } else { text.into() };
    request.received = entry["startedDateTime"].as_str().and_then(|time| OffsetDateTime::parse(time, &Rfc3339).ok());
    if text.is_empty() && request.method == "POST" {
        request.notes.push("the HAR entry has no postData.text: export it again \"with content\"");
    }
    Ok(request)
}

fn from_api_gateway(event: &Value) -> Result<Request, Unparseable> {
    let context = &event["requestContext"];
    let path = event["rawPath"].as_str().or_else(|| event["path"].as_str()).unwrap_or_default();
    let method = context["http"]["method"].as_str().or_else(|| event["httpMethod"].as_str()).unwrap_or("POST");
    let mut request = Request::new(Form::ApiGateway, method, path);
    for (name, value) in event["headers"].as_object().into_iter().flatten() {
        request.header(name, value.as_str().unwrap_or_default())?;
    }
    let body = event["body"].as_str().unwrap_or_default();
    request.body = if event["isBase64Encoded"] == true { from_base64(body)? } else { body.into() };
    let milliseconds = context["timeEpoch"].as_i64();
    request.received =
        milliseconds.and_then(|ms| OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000).ok());
    Ok(request)
}

fn from_base64(text: &str) -> Result<Vec<u8>, Unparseable> {
    BASE64_STANDARD.decode(text).map_err(|_| {
        Unparseable("the capture says that its body is base64, and it is not: copy it whole and unchanged".into())
    })
}

fn from_http(capture: &[u8]) -> Result<Request, Unparseable> {
    let mut rest = capture;
    let first = line(&mut rest);
    let mut words = first.split(' ');
    let (Some(method), Some(target), Some(version)) = (words.next(), words.next(), words.next()) else {
        return Err(Unparseable(unknown_form()));
    };
    if !version.starts_with("HTTP/") || !method.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return Err(Unparseable(unknown_form()));
    }
    let mut request = Request::new(Form::Http, method, target);
    loop {
        if rest.is_empty() {
            request.notes.push("the capture ends with its headers: no empty line, and no body after it");
            break;
        }
        let line = line(&mut rest);
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').ok_or_else(|| {
            Unparseable("a header line has no colon: put an empty line between the headers and the body".into())
        })?;
        request.header(name, value)?;
    }
    let chunked = request.headers.get(header::TRANSFER_ENCODING).is_some_and(|value| value == "chunked");
    let length = request.headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    request.body = match (chunked, length) {
        // A proxy or a copying hand may have joined the chunks and kept the header.
        (true, _) => dechunked(rest).unwrap_or_else(|| rest.to_vec()),
        (false, Some(length)) if rest.len() > length => {
            request.notes.push("the capture goes on after Content-Length bytes: what follows is left out");
            rest[..length].to_vec()
        }
        (false, Some(length)) => {
            if rest.len() < length {
                request.notes.push(
                    "the body is shorter than Content-Length: the capture is cut off, or something rewrote the body",
                );
            }
            rest.to_vec()
        }
        (false, None) => rest.to_vec(),
    };
    Ok(request)
}

/// Takes a line, whatever ends it.
fn line<'t>(rest: &mut &'t [u8]) -> std::borrow::Cow<'t, str> {
    let end = rest.iter().position(|&byte| byte == b'\n');
    let (line, behind) = end.map_or((*rest, &b""[..]), |end| (&rest[..end], &rest[end + 1..]));
    *rest = behind;
    String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line))
}

fn dechunked(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let size = line(&mut rest);
        let size = usize::from_str_radix(size.split(';').next()?.trim(), 16).ok()?;
        if size == 0 {
            return Some(body);
        }
        body.extend(rest.get(..size)?);
        rest = &rest[size..];
        line(&mut rest);
    }
}

fn unknown_form() -> String {
    "this is no captured request: give raw HTTP (POST /path HTTP/1.1, headers, an empty line, the body), a HAR, an API \
     Gateway event, or a curl command"
        .into()
}

/// Options of curl that take a value which does not matter here.
const SKIPPED: &[&str] = &[
    "-o",
    "--output",
    "-u",
    "--user",
    "-x",
    "--proxy",
    "-m",
    "--max-time",
    "--connect-timeout",
    "--retry",
    "--resolve",
    "--cacert",
    "--cert",
    "--key",
    "-w",
    "--write-out",
    "-b",
    "--cookie",
    "-c",
    "--cookie-jar",
    "--limit-rate",
    "--connect-to",
    "--unix-socket",
    "--interface",
    "--trace",
    "--trace-ascii",
    "-D",
    "--dump-header",
];

fn from_curl(command: &str) -> Result<Request, Unparseable> {
    let mut words = shell_words(command)?.into_iter().skip(1);
    let mut request = Request::new(Form::Curl, "GET", "");
    let (mut method, mut data) = (None, Vec::<String>::new());
    while let Some(word) = words.next() {
        // `-XPOST`, `-HName: value`, `-dbody`, `--request=POST`.
        let short = word.starts_with('-') && !word.starts_with("--") && word.len() > 2;
        let (option, attached) = if short && matches!(&word[..2], "-X" | "-H" | "-d" | "-A" | "-e") {
            (&word[..2], Some(word[2..].to_owned()))
        } else {
            match word.split_once('=').filter(|_| word.starts_with("--")) {
                Some((option, value)) => (option, Some(value.to_owned())),
                None => (&word[..], None),
            }
        };
        let mut value = || {
            attached.clone().or_else(|| words.next()).ok_or_else(|| {
                Unparseable("the curl command ends where an option needs a value: copy it whole".to_owned())
            })
        };
        match option {
            "-X" | "--request" => method = Some(value()?),
            "-H" | "--header" => {
                let header = value()?;
                let (name, value) = header.split_once(':').unwrap_or((header.trim_end_matches(';'), ""));
                request.header(name, value)?;
            }
            "-A" | "--user-agent" => request.header("user-agent", &value()?)?,
            "-e" | "--referer" => request.header("referer", &value()?)?,
            "-d" | "--data" | "--data-ascii" | "--data-binary" | "--json" => {
                let text = value()?;
                if text.starts_with('@') {
                    return Err(Unparseable(
                        "the curl command takes its body from a file (@…): name that file with --body".into(),
                    ));
                }
                data.push(text);
            }
            "--data-raw" => data.push(value()?),
            "-F" | "--form" | "--data-urlencode" | "-T" | "--upload-file" => {
                return Err(Unparseable(
                    "the curl command sends a form or a file: no platform does. Send the body with --data-raw".into(),
                ));
            }
            "--url" => request.path = Request::new(Form::Curl, "", &value()?).path,
            skipped if SKIPPED.contains(&skipped) => drop(value()?),
            flag if flag.starts_with('-') => {}
            url => request.path = Request::new(Form::Curl, "", url).path,
        }
    }
    request.method = method.unwrap_or_else(|| if data.is_empty() { "GET" } else { "POST" }.to_owned());
    request.body = data.join("&").into_bytes();
    Ok(request)
}

/// Splits a command as a POSIX shell does, `$'…'` included.
fn shell_words(command: &str) -> Result<Vec<String>, Unparseable> {
    let open = || Unparseable("the curl command ends inside quotes: copy it whole".to_owned());
    let variable = || {
        Unparseable(
            "the curl command has a $variable or `command` in it, whose value only your shell knows: paste the command \
             as it ran (set -x shows it)"
                .to_owned(),
        )
    };
    let (mut words, mut word) = (Vec::new(), None::<String>);
    let mut rest = command.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            ' ' | '\t' | '\r' | '\n' => words.extend(word.take()),
            '|' | ';' | '&' | '>' | '<' => break,
            '#' if word.is_none() => break,
            '\\' => match rest.next() {
                // A line goes on. Windows' line ends come along with copies.
                Some('\n') | None => {}
                Some('\r') if rest.peek() == Some(&'\n') => drop(rest.next()),
                Some(escaped) => word.get_or_insert_default().push(escaped),
            },
            '\'' => loop {
                let word = word.get_or_insert_default();
                match rest.next().ok_or_else(open)? {
                    '\'' => break,
                    inside => word.push(inside),
                }
            },
            '"' => loop {
                let word = word.get_or_insert_default();
                match rest.next().ok_or_else(open)? {
                    '"' => break,
                    '\\' => match rest.next().ok_or_else(open)? {
                        '\n' => {}
                        escaped @ ('"' | '\\' | '$' | '`') => word.push(escaped),
                        other => word.extend(['\\', other]),
                    },
                    '$' | '`' => return Err(variable()),
                    inside => word.push(inside),
                }
            },
            '$' if rest.peek() == Some(&'\'') => {
                rest.next();
                let word = word.get_or_insert_default();
                loop {
                    match rest.next().ok_or_else(open)? {
                        '\'' => break,
                        '\\' => word.push(ansi_c(&mut rest).ok_or_else(open)?),
                        inside => word.push(inside),
                    }
                }
            }
            '$' | '`' => return Err(variable()),
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    Ok(words)
}

/// The character of an escape in `$'…'`, which browsers write when they copy a request.
fn ansi_c(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<char> {
    let escape = rest.next()?;
    match escape {
        'n' => Some('\n'),
        'r' => Some('\r'),
        't' => Some('\t'),
        'u' => match hex_digits(rest, 4) {
            // The first half of a pair, as browsers write what is outside the basic plane.
            (high, None) => {
                rest.next().filter(|&next| next == '\\')?;
                rest.next().filter(|&next| next == 'u')?;
                let (low, _) = hex_digits(rest, 4);
                char::decode_utf16([u16::try_from(high).ok()?, u16::try_from(low).ok()?]).next()?.ok()
            }
            (_, character) => character,
        },
        'x' => hex_digits(rest, 2).1,
        other => Some(other),
    }
}

/// The number that up to `most` hex digits spell, and its character where it is one.
fn hex_digits(rest: &mut std::iter::Peekable<std::str::Chars<'_>>, most: u32) -> (u32, Option<char>) {
    let mut number = 0;
    for _ in 0..most {
        let Some(digit) = rest.peek().and_then(|digit| digit.to_digit(16)) else { break };
        number = number * 16 + digit;
        rest.next();
    }
    (number, char::from_u32(number))
}

impl Form {
    /// The form's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "raw HTTP",
            Self::Har => "HAR",
            Self::ApiGateway => "API Gateway event",
            Self::Curl => "curl command",
        }
    }
}

/// Of several captured requests the one to explain: number `entry` from 1, or the only one that is of the provider.
///
/// # Errors
/// There is none, or more than one.
pub fn choose(
    mut requests: Vec<Request>,
    provider: &'static Provider,
    entry: Option<usize>,
) -> Result<Request, Unparseable> {
    let count = requests.len();
    if let Some(entry) = entry {
        let index = entry.checked_sub(1).filter(|&index| index < count);
        let index = index.ok_or_else(|| Unparseable(format!("--entry goes from 1 to {count} in this capture")))?;
        return Ok(requests.swap_remove(index));
    }
    if count == 1 {
        return Ok(requests.swap_remove(0));
    }
    let of_provider: Vec<_> = (0..count).filter(|&index| requests[index].is_of(provider)).collect();
    match of_provider[..] {
        [index] => Ok(requests.swap_remove(index)),
        [] => Err(Unparseable(format!(
            "none of the capture's {count} requests is one of {}'s: choose one with --entry",
            provider.name
        ))),
        _ => {
            let numbers: Vec<_> = of_provider.iter().map(|index| (index + 1).to_string()).collect();
            Err(Unparseable(format!(
                "the capture has several of {}'s requests: choose one with --entry ({})",
                provider.name,
                numbers.join(", ")
            )))
        }
    }
}

/// The platform that keeps its signature in a header of this name.
pub(crate) fn platform_of_header(name: &str) -> Option<&'static Provider> {
    providers::ALL
        .iter()
        .copied()
        .find(|provider| provider.schemes().any(|scheme| scheme.signature_header() == Some(name)))
}

impl fmt::Display for Unparseable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unparseable {}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(capture: &str) -> Request {
        Request::parse(capture.as_bytes()).unwrap().pop().unwrap()
    }

    const BODY: &str = r#"{"a":"it's é"}"#;

    #[test]
    fn every_form_is_recognised() {
        let platform = providers::ALL[0].name;
        let path = format!("/webhooks/{platform}/eu-shop");
        let json = |text: &str| serde_json::Value::from(text).to_string();
        let har = format!(
            r#"{{"request":{{"method":"POST","url":"https://host/webhooks/PLATFORM/eu-shop?x=1","headers":[{{"name":":path","value":"x"}},{{"name":"X-A","value":"1"}}],"postData":{{"text":{}}}}},"startedDateTime":"2026-03-14T16:00:01.5Z"}}"#,
            json(BODY)
        );
        let event = format!(
            r#"{{"rawPath":"/webhooks/PLATFORM/eu-shop","headers":{{"x-a":"1"}},"body":{},"isBase64Encoded":false,"requestContext":{{"http":{{"method":"POST"}},"timeEpoch":1773504001500}}}}"#,
            json(BODY)
        );
        let quoted = BODY.replace('\'', r"'\''");
        for (form, capture) in [
            (Form::Http, format!("POST /webhooks/PLATFORM/eu-shop HTTP/1.1\r\nX-A: 1\r\n\r\n{BODY}")),
            (Form::Http, format!("\n\nPOST /webhooks/PLATFORM/eu-shop HTTP/2\nx-a:1\n\n{BODY}")),
            (Form::Har, har.clone()),
            (Form::Har, format!(r#"{{"log":{{"entries":[{har}]}}}}"#)),
            (Form::Har, serde_json::from_str::<Value>(&har).unwrap()["request"].to_string()),
            (Form::ApiGateway, event),
            (Form::Curl, format!("curl 'https://host/webhooks/PLATFORM/eu-shop' -H 'X-A: 1' --data-raw '{quoted}'")),
            (Form::Curl, format!("$ curl -sSi -XPOST --url http://host/webhooks/PLATFORM/eu-shop \\\n -HX-A:1 -d '{quoted}'")),
            (
                Form::Curl,
                r#"curl --compressed -o out "http://host/webhooks/PLATFORM/eu-shop" --header "x-a: 1" --data-binary "{\"a\":\"it's é\"}" | jq"#
                    .to_owned(),
            ),
            (
                Form::Curl,
                r#"curl http://host/webhooks/PLATFORM/eu-shop -H 'x-a: 1' --data-raw $'{"a":"it\'s \u00e9"}'"#.to_owned(),
            ),
        ] {
            let capture = capture.replace("PLATFORM", platform);
            let request = one(&capture);
            assert_eq!(request.form, form, "{capture}");
            assert_eq!((&request.method[..], &request.path[..]), ("POST", &path[..]), "{capture}");
            assert_eq!(String::from_utf8_lossy(&request.body), BODY, "{capture}");
            assert_eq!(request.headers["x-a"], "1", "{capture}");
            assert_eq!(request.provider().unwrap().name, platform);
            assert_eq!(request.account().unwrap().as_str(), "eu-shop");
            let received = matches!(form, Form::Har | Form::ApiGateway) && !capture.starts_with(r#"{"headers"#);
            assert_eq!(request.received.map(OffsetDateTime::unix_timestamp), received.then_some(1_773_504_001), "{capture}");
        }
    }

    #[test]
    fn http_frames_the_body() {
        let body = |head: &str, rest: &str| one(&format!("POST / HTTP/1.1\r\n{head}\r\n{rest}"));
        assert_eq!(body("", "abc\n").body, b"abc\n");
        let longer = body("Content-Length: 3\r\n", "abc\n");
        assert_eq!((&longer.body[..], longer.notes.len()), (&b"abc"[..], 1));
        let shorter = body("Content-Length: 5\r\n", "abc");
        assert_eq!((&shorter.body[..], shorter.notes.len()), (&b"abc"[..], 1));
        assert_eq!(body("Transfer-Encoding: chunked\r\n", "2\r\nab\r\n1;x=y\r\nc\r\n0\r\n\r\n").body, b"abc");
        assert_eq!(body("Transfer-Encoding: chunked\r\n", "{}").body, b"{}");
    }

    #[test]
    fn what_cannot_be_read_says_what_to_do() {
        for (capture, remedy) in [
            ("", "this is no captured request"),
            ("hello", "this is no captured request"),
            ("hello world again", "this is no captured request"),
            ("POST / HTTP/1.1\r\nX-A 1\r\n\r\n", "put an empty line"),
            ("{\"event\":\"order.paid\",\"data\":{}}", "to explain a bare body, give its headers too"),
            ("{\"log\":", "broken at line 1"),
            (r#"{"headers":{},"body":"*","isBase64Encoded":true}"#, "not: copy it whole"),
            ("curl 'http://host", "ends inside quotes"),
            ("curl http://host -H", "ends where an option needs a value"),
            ("curl http://host -d @body.json", "name that file with --body"),
            ("curl http://host -F a=b", "--data-raw"),
            ("curl http://host -H \"X-A: $signature\"", "only your shell knows"),
            ("curl http://host -H 'X A: 1'", "a name or a value that HTTP does not allow"),
        ] {
            let error = Request::parse(capture.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(remedy), "{capture}: {error}");
        }
    }

    #[test]
    fn a_browser_writes_characters_beyond_the_basic_plane_as_pairs() {
        assert_eq!(shell_words(r"curl $'\ud83d\ude00\x41\n'").unwrap()[1], "😀A\n");
        assert!(shell_words(r"curl $'\ud83d'").is_err());
    }
}
