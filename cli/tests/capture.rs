//! Every form of capture is read whole or refused; what a refusal tells one to do is done here, and helps.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use hookgate::capture::{Request, read};
use hookgate_verify::providers;
use proptest::prelude::*;
use serde_json::{Deserializer, Value, json};
use time::OffsetDateTime;

const BODY: &str = "{\"a\":\"it's é 😀\",\"b\":\"1 & 2\"}";

/// The only request of a capture.
fn one(capture: &[u8]) -> Request {
    let mut requests = read(capture, None).unwrap_or_else(|why| panic!("{why}\n{}", String::from_utf8_lossy(capture)));
    assert_eq!(requests.len(), 1, "{}", String::from_utf8_lossy(capture));
    requests.pop().unwrap().unwrap_or_else(|why| panic!("{why}\n{}", String::from_utf8_lossy(capture)))
}

/// Why the only request of a capture, or all of it, is refused.
fn refusal(capture: &[u8], body: Option<&[u8]>) -> Option<String> {
    match read(capture, body) {
        Ok(mut requests) => requests.pop()?.err().map(|why| why.to_string()),
        Err(why) => Some(why.to_string()),
    }
}

fn path() -> String {
    format!("/webhooks/{}/eu-shop", providers::ALL[0].name)
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// As browsers copy a command for Windows' `cmd`.
fn for_cmd(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('"', "\\\"");
    let mut quoted = String::from("^\"");
    for character in text.chars() {
        match character {
            '\n' => quoted.push_str("^\n\n"),
            c if c.is_ascii_alphanumeric() || c.is_ascii_whitespace() || "_-:=+~'/.,?;()*`".contains(c) => {
                quoted.push(c);
            }
            c => quoted.extend(['^', c]),
        }
    }
    quoted + "^\""
}

/// Bytes as bash's `printf %q` writes them in the C locale.
fn octal(bytes: &[u8]) -> String {
    let each = bytes.iter().map(|&byte| match byte {
        b'\'' | b'\\' => format!("\\{}", char::from(byte)),
        b' '..=b'~' => char::from(byte).to_string(),
        _ => format!("\\{byte:03o}"),
    });
    format!("$'{}'", each.collect::<String>())
}

/// The same request in every form, with the form's name.
fn forms(body: &str) -> Vec<(&'static str, Vec<u8>)> {
    let (path, quoted_body) = (path(), quoted(body));
    let url = format!("https://host{path}?x=1");
    let headers = json!([{"name": ":path", "value": "x"}, {"name": "X-A", "value": "1"}]);
    let har = json!({
        "request": {"method": "POST", "url": url, "headers": headers, "postData": {"text": body}},
        "response": {"content": {"text": "x"}}, "startedDateTime": "2026-03-14T16:00:01.5Z"
    });
    let in_base64 = BASE64_STANDARD.encode(body);
    let lists = json!({"x-a": ["1"]});
    let raw = format!("POST {path} HTTP/1.1\r\nX-A: 1\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let context = json!({"http": {"method": "POST"}, "timeEpoch": 1_773_504_001_500_i64});
    let http = [
        format!("POST {path} HTTP/1.1\r\nX-A: 1\r\n\r\n{body}"),
        format!("\n\nPOST {path} HTTP/2\nx-a:1\n\n{body}"),
        format!("\u{feff}POST {url}\nx-a: 1\n\n{body}"),
        format!(":authority: host\n:method: POST\n:path: {path}?x=1\n:scheme: https\nx-a: 1\n\n{body}"),
        format!("{raw}\n\nHTTP/1.1 200 OK\r\n\r\n{{}}"),
        format!(
            "POST {path} HTTP/1.1\r\nx-a: 1\r\nTransfer-Encoding: Chunked\r\n\r\n{:X};a=b\r\n{body}\r\n0\r\nT: 1\r\n\r\n",
            body.len()
        ),
        format!(
            "POST {path} HTTP/1.1\nx-a: 1\nTransfer-Encoding: gzip\nTransfer-Encoding: identity, chunked\n\n{:x}\n{body}\n0\n\n",
            body.len()
        ),
        format!("POST {path} HTTP/1.1\r\nx-a: 1\r\ntransfer-encoding: chunked\r\n\r\n{body}"),
        format!("> POST {path} HTTP/1.1\n> x-a: 1\n>\n> {}", body.replace('\n', "\n> ")),
    ];
    let curl = [
        format!("curl 'https://host{path}' -H 'X-A: 1' --data-raw {quoted_body}"),
        format!("$ curl -sSi -XPOST --url http://host{path} \\\r\n -HX-A:1 -d {quoted_body} 2>/dev/null | jq . # done"),
        format!("curl -q --raw --max-redirs 3 --proto '=https' -H 'x-a: 1' host{path} -d {quoted_body}"),
        format!("+ curl -fsSLH 'x-a: 1' host{path} --data-binary {}", octal(body.as_bytes())),
        format!("% curl http://host{path} --header 'x-a: 1' --data-raw {quoted_body}"),
        format!("/usr/bin/curl --compressed -o out \"http://host{path}\" -H \"x-a: 1\" -sd {quoted_body} > log 2>&1\n"),
        format!("curl http://host{path} -H 'x-a: 1' -H 'x-b:' --json {quoted_body}; echo done"),
        format!("curl.exe {} ^\r\n -H {} ^\r\n --data-raw {}", for_cmd(&url), for_cmd("x-a: 1"), for_cmd(body)),
    ];
    let har = [
        har.clone(),
        har["request"].clone(),
        json!({"log": {"entries": [har]}}),
        json!({"request": {"method": "POST", "url": url, "headers": headers, "postData": {"text": in_base64, "encoding": "base64"}}}),
    ];
    let events = [
        json!({"version": "2.0", "rawPath": path, "headers": {"x-a": "1"}, "body": body, "isBase64Encoded": false, "requestContext": context}),
        json!({"version": "2.0", "rawPath": path, "headers": {"x-a": "1"}, "body": in_base64, "isBase64Encoded": true, "requestContext": context}),
        json!({"version": "1.0", "httpMethod": "POST", "path": path, "headers": {"x-a": "2"}, "multiValueHeaders": lists, "body": body,
               "isBase64Encoded": false, "requestContext": {"requestTimeEpoch": 1_773_504_001_500_i64}}),
        json!({"version": "1.0", "httpMethod": "POST", "path": path, "headers": {"x-a": "1"}, "multiValueHeaders": {}, "body": body}),
        json!({"requestContext": {"elb": {}}, "httpMethod": "POST", "path": path, "multiValueHeaders": lists, "body": in_base64, "isBase64Encoded": true}),
        json!({"raw_path": path, "method": "POST", "headers": {"x-a": "1"}, "body": in_base64, "is_base64_encoded": true}),
        json!({"version": "2.0", "path": path, "method": "POST", "headers": lists, "body": body,
               "requestContext": {"timeEpoch": "1773504001500000"}}),
    ];
    let exports = [
        (
            "webhook.site export",
            json!({"data": [{"uuid": "u", "token_id": "t", "type": "web", "method": "POST", "content": body,
            "headers": lists, "url": format!("https://webhook.site{path}"), "size": body.len()}]}),
        ),
        (
            "ngrok capture",
            json!({"uri": "/api/requests/http", "requests": [{"uri": "/api/requests/http/5", "start": "2026-03-14T16:00:01Z",
            "request": {"method": "POST", "uri": path, "headers": lists, "raw": BASE64_STANDARD.encode(&raw)}, "response": null}]}),
        ),
        (
            "Beeceptor export",
            json!({"id": "1", "date": "2026-03-14T16:00:01Z", "method": "POST", "path": path, "status": 200,
            "request": {"body": body, "headers": {"x-a": "1"}}, "response": {"body": "", "headers": {}}}),
        ),
        (
            "Beeceptor export",
            json!({"data": [{"date": "2026-03-14T16:00:01Z", "method": "POST", "path": path, "req": {"b": body, "h": {"x-a": "1"}}}]}),
        ),
        (
            "request in JSON",
            json!({"method": "POST", "url": &url[8..], "headers": {"x-a": "1"}, "body": body, "client_ip": "203.0.113.1"}),
        ),
        (
            "request in JSON",
            json!({"method": "POST", "url": path, "headers": {"x-a": "1", "x-b": null}, "body": {"a": 1}, "rawBody": body}),
        ),
        (
            "request in JSON",
            json!({"method": "POST", "path": path, "headers": lists, "body": {"type": "Buffer", "data": body.as_bytes()}}),
        ),
    ];
    let text = |name: &'static str, texts: Vec<String>| texts.into_iter().map(move |text| (name, text.into_bytes()));
    let values = |name, values: &[Value]| text(name, values.iter().map(Value::to_string).collect());
    text("raw HTTP", http.to_vec())
        .chain(text("curl command", curl.to_vec()))
        .chain(values("HAR", &har))
        .chain(values("invocation event", &events))
        .chain(exports.into_iter().map(|(name, value)| (name, value.to_string().into_bytes())))
        .collect()
}

#[test]
fn every_form_is_read_whole() {
    let mut times = 0;
    for (form, capture) in forms(BODY) {
        let (request, shown) = (one(&capture), String::from_utf8_lossy(&capture).into_owned());
        assert_eq!(request.form, form, "{shown}");
        assert_eq!((&request.method[..], &request.path[..]), ("POST", &path()[..]), "{shown}");
        assert_eq!(String::from_utf8_lossy(&request.body), BODY, "{shown}");
        assert_eq!(request.headers.get_all("x-a").iter().collect::<Vec<_>>(), ["1"], "{shown}");
        assert_eq!(request.note, None, "{shown}");
        assert!(request.received.is_none_or(|time| time.unix_timestamp() == 1_773_504_001), "{shown}");
        times += usize::from(request.received.is_some());
    }
    assert_eq!(times, 2 + 4 + 3);
}

/// A body that looks like a part of the form around it: a line of `curl -v`, an option, a command, a comment.
#[test]
fn a_body_is_no_part_of_its_form() {
    for body in [">:X", "x\n>:b", "-:", "--next", "-d", "curl h", "# x", "'"] {
        for (_, capture) in forms(body) {
            assert_eq!(String::from_utf8_lossy(&one(&capture).body), body, "{}", String::from_utf8_lossy(&capture));
        }
    }
}

#[test]
fn a_body_that_is_given_takes_the_place_of_the_captured_one() {
    for (_, capture) in forms("{}") {
        assert_eq!(read(&capture, Some(b"x\r\n")).unwrap().pop().unwrap().unwrap().body, b"x\r\n");
    }
    let body = |command: &str| read(command.as_bytes(), Some(b"a\r\nb\0")).unwrap().pop().unwrap().unwrap().body;
    // As curl does: -d drops line ends, the others do not.
    assert_eq!(body("curl h -d @f"), b"ab");
    assert_eq!(body("curl h --data-binary @f"), b"a\r\nb\0");
    assert_eq!(body("curl h --json @f"), b"a\r\nb\0");
    assert_eq!(body("curl h -d x -d @f"), b"x&ab");
    assert_eq!(body("curl h --data-raw @f"), b"a\r\nb\0");
}

#[test]
fn a_given_body_makes_a_curl_command_a_post() {
    for (command, method) in
        [("curl h", "POST"), ("curl h -F a=b", "POST"), ("curl h -d @f", "POST"), ("curl h -T f", "PUT")]
    {
        assert_eq!(read(command.as_bytes(), Some(b"x")).unwrap().pop().unwrap().unwrap().method, method, "{command}");
    }
}

#[test]
fn json_says_methods_and_values_in_its_own_way() {
    let read = one(br#"{"method":"post","path":"/x","headers":{"a":1.10,"b":true,"c":["x",2]},"body":"{}"}"#);
    let values: Vec<_> = ["a", "b", "c"].map(|name| read.headers.get_all(name).iter().collect::<Vec<_>>()).to_vec();
    assert_eq!(values, [vec!["1.10"], vec!["true"], vec!["x", "2"]]);
    let har = json!({"request": {"method": "Post", "url": "https://h/x", "headers": [], "postData": {"text": "{}"}}});
    assert_eq!((&read.method[..], &one(har.to_string().as_bytes()).method[..]), ("POST", "POST"));
    // AWS leaves an empty body out; a GET has none.
    for bare in
        [r#"{"rawPath":"/x","headers":{},"isBase64Encoded":false}"#, r#"{"method":"GET","path":"/","headers":{}}"#]
    {
        assert_eq!(one(bare.as_bytes()).body, b"");
    }
}

#[test]
fn http_frames_the_body() {
    let body = |head: &str, rest: &str| one(format!("POST / HTTP/1.1\r\n{head}\r\n{rest}").as_bytes());
    assert_eq!(body("", "abc\n").body, b"abc\n");
    assert_eq!(body("Content-Length: 3\r\n", "abc\n").body, b"abc");
    for (head, rest) in [("Content-Length: 3\r\n", "abc\nd"), ("Content-Length: 5\r\n", "abc")] {
        let odd = body(head, rest);
        assert_eq!(odd.body, rest.as_bytes());
        assert!(odd.note.unwrap().contains("Content-Length is"));
    }
}

#[test]
fn curl_joins_data_and_chooses_the_method_as_it_does() {
    for (command, method, expected) in [
        ("curl h -d a -d b", "POST", "a&b"),
        ("curl h --json '{' --json '}'", "POST", "{}"),
        ("curl h -d a --json b", "POST", "ab"),
        ("curl h --json a -d b", "POST", "a&b"),
        ("curl h -d ''", "POST", ""),
        ("curl h", "GET", ""),
        ("curl -I h", "HEAD", ""),
        ("curl -G h -d a", "GET", ""),
        ("curl -X PUT h -d a", "PUT", "a"),
        ("curl h -d \"a\\\"b\\\\c\\d$ \"", "POST", "a\"b\\c\\d$ "),
        (
            r"curl h -d $'\f\v\a\b\e\E\x41\101\u0041\U0001F600\cA\?\q\ud83d\ude00'",
            "POST",
            "\x0c\x0b\x07\x08\x1b\x1bAAA😀\x01?\\q😀",
        ),
        ("curl h -d a'b'\"c\"$'d' # -d e", "POST", "abcd"),
        ("curl.exe h -d '{\"a\":\"\",\"b\":\"{\\\"c\\\":1}\"}'", "POST", "{\"a\":\"\",\"b\":\"{\\\"c\\\":1}\"}"),
        ("curl h -d \"{\\\"a\\\":\\\"\\\"}\" $'-d{\\\"}'", "POST", "{\"a\":\"\"}&{\"}"),
    ] {
        let request = one(command.as_bytes());
        assert_eq!(
            (&request.method[..], String::from_utf8_lossy(&request.body)),
            (method, expected.into()),
            "{command}"
        );
    }
    assert_eq!(one(b"curl h -d $'\\xff\\377'").body, [0xff, 0xff]);
    let several = read(b"curl h/a -d 1 ;\ncurl h/b -d 2 &\n curl h/c -d 3 --next h/d -d 4", None).unwrap();
    let paths: Vec<_> = several.into_iter().map(|request| request.unwrap().path).collect();
    assert_eq!(paths, ["/a", "/b", "/c", "/d"]);
}

#[test]
fn one_bad_entry_does_not_spoil_the_others() {
    let entry = |headers: Value| json!({"request": {"method": "POST", "url": "https://h/x", "headers": headers, "postData": {"text": "{}"}}});
    let bad = ["", "Provisional headers are shown", "a\nb"].map(|name| entry(json!([{"name": name, "value": "v"}])));
    let har = json!({"log": {"entries": [bad[0], entry(json!([])), bad[1], bad[2], entry(json!([{"name": "x", "value": "a\u{1}"}])), 7]}});
    let har = har.to_string().replace(r#""entries":["#, r#""entries":[{"response":"cut \ud83d"},"#);
    let read: Vec<_> = read(har.as_bytes(), None).unwrap().into_iter().map(|request| request.is_ok()).collect();
    assert_eq!(read, [false, false, true, false, false, false, false]);
}

/// Runs a program of this machine on a text.
fn piped(program: &str, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new(program).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap().stdout
}

/// A capture that is refused, what the refusal says, and the capture (or the body to give) after doing that.
#[test]
#[allow(clippy::too_many_lines, reason = "a table: each row is a refusal and its way out")]
fn every_refusal_names_a_way_out_that_helps() {
    enum Then {
        Capture(Vec<u8>),
        Body,
        Nothing,
    }
    use Then::{Body, Capture, Nothing};
    let again = |text: &str| Capture(text.as_bytes().to_vec());
    let raw = "POST /x HTTP/1.1\n\n{}";
    let utf_16 = |to: &str| piped("iconv", &["-f", "UTF-8", "-t", to], raw.as_bytes());
    let back = |from: &str| Capture(piped("iconv", &["-f", from, "-t", "UTF-8"], &utf_16(from)));
    let traced = piped("bash", &["-c", "curl() { :; }; exec 2>&1; a='\"b\":1'; set -x; curl h -d \"{$a}\""], b"");
    let bash = again("curl 'h' --data-raw '{}'");
    let event = r#"{"rawPath":"/x","headers":{"a":"b"},"body":"{}"}"#;
    for (capture, expected, then) in [
        (utf_16("UTF-16LE"), "iconv -f UTF-16LE", back("UTF-16LE")),
        (utf_16("UTF-16BE"), "iconv -f UTF-16BE", back("UTF-16BE")),
        (b"".to_vec(), "not a captured request", again(raw)),
        (b"hello world again".to_vec(), "not a captured request", again(raw)),
        (b"INFO event { rawPath: '/x', headers: {} }".to_vec(), "by JSON.stringify", again(event)),
        (b"POST /x HTTP/1.1\na 1\n\n".to_vec(), "name: value", again(raw)),
        (b":authority\nhost\n:method\nPOST\n".to_vec(), "on a line of its own", again(":method: POST\n:path: /x\n\n{}")),
        (b"POST /x HTTP/1.1\n    a: b\n\n{}".to_vec(), "without indentation", again("POST /x HTTP/1.1\na: b\n\n{}")),
        (b"POST /x HTTP/1.1\na: b\n{\"id\":1}".to_vec(), "an empty line", again("POST /x HTTP/1.1\na: b\n\n{\"id\":1}")),
        (b"HTTP Request\n\nPOST /x HTTP/1.1\n\n{}".to_vec(), "from its first line", again(raw)),
        (b"### name\nPOST /x HTTP/1.1\n\n{}".to_vec(), "from its first line", again(raw)),
        (b"Hi,\n\nthis is it:\n\nPOST /x HTTP/1.1\n\n{\"id\":1}".to_vec(), "from its first line", again(raw)),
        (b"POST https://h/x\na: b\n\n{\"id\":1}\n\n### next\n".to_vec(), "text behind the body", again("POST https://h/x\na: b\n\n{\"id\":1}\n")),
        (b"POST /x HTTP/1.1\n\n{\"id\":1}\n-- \nAnn".to_vec(), "text behind the body", again(raw)),
        (b"POST /x HTTP/1.1\ncontent-length: 8\n\n{\"id\":1}\n-- \nAnn".to_vec(), "text behind the body", again(raw)),
        (b"me@box:~$ curl h -d x".to_vec(), "or from curl, on", again("curl h -d x")),
        (b"PS C:\\> curl.exe h -d x".to_vec(), "or from curl, on", again("curl.exe h -d x")),
        (b"#!/bin/sh\nset -e\ncurl h -d '{\"id\":1}'".to_vec(), "or from curl, on", again("curl h -d '{\"id\":1}'")),
        (b"echo '{}' | curl h -d @-".to_vec(), "or from curl, on", again("curl h -d '{}'")),
        ("curl h –d x".into(), "a chat has changed", again("curl h -d x")),
        ("curl h -d ‘x’".into(), "a chat has changed", again("curl h -d 'x'")),
        ("curl h\u{a0}-d x".into(), "plain spaces", again("curl h -d x")),
        ("curl h -d '{“id”:1}'".into(), "quotes were changed", again("curl h -d '{\"id\":1}'")),
        (b"curl -i h -d x\nHTTP/2 401\n\n{\"outcome\":\"rejected\"}".to_vec(), "or an answer follows it", again("curl -i h -d x")),
        (b"POST /x HTTP/1.1\na: 1\n{}".to_vec(), "an empty line", again("POST /x HTTP/1.1\na: 1\n\n{}")),
        (b"POST /x HTTP/1.1\na: 1".to_vec(), "ends with its headers: add --body FILE", Body),
        (
            b"POST /x HTTP/1.1\ncontent-length: 2\n\n".to_vec(),
            "lacks the body that Content-Length counts: add --body FILE",
            Body,
        ),
        (b"POST /x HTTP/1.1\na b: 1\n\n".to_vec(), "header 1 has a name or value", again(raw)),
        (
            b"POST /x HTTP/1.1\nTransfer-Encoding: chunked\n\n5\n{}".to_vec(),
            "remove Transfer-Encoding",
            again("POST /x HTTP/1.1\n\n{}"),
        ),
        (
            b"> POST /x HTTP/1.1\n> Content-Length: 2\n> \n} [2 bytes data]\n< HTTP/1.1 200 OK\n< \n".to_vec(),
            "add --body FILE",
            Body,
        ),
        (b"POST /x HTTP/1.1\n\n{}\n\nPOST /y HTTP/1.1\n\n{}".to_vec(), "give one request alone", again(raw)),
        (
            b"POST /x HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}POST /y HTTP/1.1\r\n\r\n".to_vec(),
            "several requests",
            again(raw),
        ),
        (
            b"POST /x HTTP/1.1\ncontent-length: 2\n\n{}\nHTTP/1.1 200 OK\n\nokPOST /y HTTP/2\n\n{}".to_vec(),
            "several requests",
            again(raw),
        ),
        (
            b"POST /x HTTP/1.1\nTransfer-Encoding: chunked\n\n2\n{}\n0\n\nPOST /y HTTP/1.1\n\n{}".to_vec(),
            "several requests",
            again(raw),
        ),
        (b"GET /y HTTP/1.1\nhost: h\n\nPOST /x HTTP/1.1\n\n{}".to_vec(), "several requests", again(raw)),
        (b":method: POST\n:path: /x\n\n{}\n:method: POST\n:path: /y\n\n{}".to_vec(), "several requests", again(raw)),
        (
            b"> GET /y HTTP/1.1\n> \n< HTTP/1.1 302 Found\n> GET /x HTTP/1.1\n> \n".to_vec(),
            "several requests",
            again("> GET /x HTTP/1.1\n> \n"),
        ),
        (
            b"POST /x HTTP/1.1\n\n{}\n\nHTTP/1.1 200 OK\n\nok".to_vec(),
            "an answer, or text behind the body: give one request alone",
            again(raw),
        ),
        (b"curl 'h".to_vec(), "ends inside quotes", again("curl 'h'")),
        (b"curl h -d $'a".to_vec(), "ends inside quotes", again("curl h -d $'a'")),
        (b"curl h -H".to_vec(), "ends where an option needs a value", again("curl h -H 'a: b'")),
        (b"curl -d x".to_vec(), "has 0 URLs: copy it whole", again("curl h -d x")),
        (b"curl a b -d x".to_vec(), "has 2 URLs: copy it whole, and give one command for each", again("curl b -d x")),
        (b"curl h -H @f".to_vec(), "put each into -H", again("curl h -H 'a: b'")),
        (b"curl h -d @f".to_vec(), "in a file (@…): add --body FILE", Body),
        (b"curl h -F a=b".to_vec(), "--form does not show", again("curl h --data-raw 'a=b'")),
        (b"curl h -F a=b".to_vec(), "add --body FILE", Body),
        (b"curl h -T f".to_vec(), "--upload-file does not show the body's bytes: add --body FILE", Body),
        (b"curl h -K f".to_vec(), "put each into the command", again("curl h -d x")),
        (b"curl h --data-urlencode a=b".to_vec(), "--data-urlencode does not show", again("curl h --data-raw 'a=b'")),
        (b"curl h --no-such x".to_vec(), "option --no-such is not known here: remove it", again("curl h")),
        (b"curl h -sY".to_vec(), "needs a value", again("curl h -s")),
        (b"curl h -s5".to_vec(), "option -5 is not known here", again("curl h -s")),
        (b"curl h \n -d x".to_vec(), "a line begins with an option", again("curl h \\\n -d x")),
        (b"curl h -d \"{$a}\"".to_vec(), "set -x", Capture(traced)),
        (b"curl h -d `cat f`".to_vec(), "set -x", again("+ curl h -d x")),
        (b"curl h -d {a,b}".to_vec(), "set -x", again("+ curl h -d a")),
        (b"curl h -d @- <<EOF\nx\nEOF".to_vec(), "set -x", Nothing),
        (b"curl h -d $'\\0'".to_vec(), "add --body FILE", Nothing),
        (b"curl h -d $'\\ud83d'".to_vec(), "add --body FILE", Nothing),
        (br#"curl "h" --data "{^\"a^\":1}""#.to_vec(), "Copy as cURL (bash)", Nothing),
        (b"curl \"h\" --data \"a=b^&c\"".to_vec(), "Copy as cURL (bash)", Nothing),
        (b"curl ^\"h^\" --data \"x\"".to_vec(), "Copy as cURL (bash)", Nothing),
        (b"curl.exe h `\r\n -d 'x'".to_vec(), "Copy as cURL (bash)", Nothing),
        (br#"curl.exe h -d "{""id"":""evt_1""}""#.to_vec(), "quote it for bash", again(r#"curl h -d '{"id":"evt_1"}'"#)),
        (br#"curl h -d "{""id"":""evt_1""}""#.to_vec(), "add --body FILE", Body),
        (br#"curl.exe h -d '{\"id\":1}'"#.to_vec(), "nothing escaped", again(r#"curl h -d '{"id":1}'"#)),
        (br#"curl h -H 'a: b' -d '{\"id\":1}'"#.to_vec(), "add --body FILE", Body),
        (br#"curl.exe h -d '[ {\"id\":1}]'"#.to_vec(), "add --body FILE", Body),
        (b"curl h -d \"a`\"b\"".to_vec(), "Copy as cURL (bash)", Nothing),
        (b"await fetch('h', {body: '{}'})".to_vec(), "Copy as cURL (bash)", Nothing),
        (b"Invoke-WebRequest -Uri h".to_vec(), "Copy as cURL (bash)", Nothing),
        (b"http POST http://h/x a:b --raw '{}'".to_vec(), "or write curl URL", again("curl h/x -H 'a: b' --data-raw '{}'")),
        (b"requests.post('h', data='{}')".to_vec(), "or write curl URL", again("curl h --data-raw '{}'")),
        (
            br#"203.0.113.9 - - [28/Nov/2026:12:00:00 +0000] "POST /x HTTP/1.1" 401 23 "-" "a""#.to_vec(),
            "an access log, without headers and body",
            again(raw),
        ),
        (b"{\"log\":".to_vec(), "at line 1, column 7", again(event)),
        (b"{'rawPath': '/x'}".to_vec(), "json.dumps", again(event)),
        (format!("{event}\n{event}").into_bytes(), "at line 2", again(event)),
        (
            format!("START RequestId: 1\n{event}\nEND").into_bytes(),
            "text stands around the JSON: give it alone",
            again(event),
        ),
        (
            format!("2026-11-28T06:00:00Z 1 INFO {event}").into_bytes(),
            "text stands around the JSON: give it alone",
            again(event),
        ),
        (
            format!("1 INFO {event}\n2 INFO {event}").into_bytes(),
            "text stands around the JSON: give it alone",
            again(event),
        ),
        (format!(r#"{{"level":"INFO","message":{event}}}"#).into_bytes(), "the object that holds headers and body", again(event)),
        (b"{\"event\":\"x\",\"data\":{}}".to_vec(), "a bare body needs its headers too", again(raw)),
        (br#"{"headers":{"a":{}},"body":"{}"}"#.to_vec(), "no headers as an object of texts", again(raw)),
        (
            br#"{"info":{"schema":"https://schema"},"item":[{"request":{"method":"POST","header":[{"key":"a","value":"1"}],"body":{"mode":"raw","raw":"{}"}}}]}"#.to_vec(),
            "collection (Postman",
            again("curl --location 'h/x' \\\n--header 'a: 1' \\\n--data '{}'"),
        ),
        (
            br#"{"_type":"export","__export_format":4,"resources":[{"_type":"request","url":"h/x","headers":[],"body":{"text":"{}"}}]}"#.to_vec(),
            "Insomnia",
            again("curl --request POST \\\n  --url h/x \\\n  --header 'a: 1' \\\n  --data '{}'"),
        ),
        (b"type: collection.insomnia.rest/5.0\ncollection:\n  - url: h/x\n".to_vec(), "Insomnia", Nothing),
        (br#"{"method":"POST","path":"/x","headers":{},"payload":"{}"}"#.to_vec(), "add --body FILE", Body),
        (br#"{"method":"POST","path":"/x","headers":{},"payload":"{}"}"#.to_vec(), "rename its member to body", again(event)),
        (br#"{"method":"POST","path":"/x","headers":[],"bytes":"{}"}"#.to_vec(), "content, b or postData.text", Body),
        (br#"{"httpMethod":"POST","path":"/x","headers":{}}"#.to_vec(), "no body in body", Body),
        (br#"{"headers":{},"body":{"a":1}}"#.to_vec(), "the body was parsed", Body),
        (br#"{"headers":{},"body":[1]}"#.to_vec(), "the body was parsed", Body),
        (br#"{"headers":{},"body":7}"#.to_vec(), "the body was parsed", Body),
        (br#"{"x-a":"1","body":{"a":1},"query":{}}"#.to_vec(), "no headers as an object of texts", again(raw)),
        (br#"{"headers":{},"body":"a\ud83d"}"#.to_vec(), "half a character", Body),
        (br#"{"headers":{},"body":"*","isBase64Encoded":true}"#.to_vec(), "is base64, and it is not", Body),
        (br#"{"headers":{"content-length":"2"},"body":null}"#.to_vec(), "add --body FILE", Body),
        (br#"{"request":{"headers":[],"bodySize":2}}"#.to_vec(), "export it with content, or add --body FILE", Body),
        (br#"{"request":{"raw":"aGVsbG8="}}"#.to_vec(), "no whole request", Nothing),
        (br#"{"method":"POST","headers":{},"raw":"{}"}"#.to_vec(), "no body in body", Body),
        (
            br#"{"request":{"method":"POST","headers":[{"name":"a","value":"b"}],"bodySize":-1}}"#.to_vec(),
            "export it with content",
            Body,
        ),
    ] {
        let shown = String::from_utf8_lossy(&capture).into_owned();
        let why = refusal(&capture, None).unwrap_or_else(|| panic!("it was read: {shown}"));
        assert!(why.contains(expected), "{shown}: {why}");
        match then {
            Capture(next) => assert_eq!(refusal(&next, None), None, "{shown} → {}", String::from_utf8_lossy(&next)),
            Body => {
                let request = read(&capture, Some(b"{}")).unwrap().pop().unwrap();
                assert_eq!(request.unwrap_or_else(|why| panic!("{shown}: {why}")).body, b"{}");
            }
            // Another capture is needed: one of bash's.
            Nothing => {}
        }
    }
    let Capture(bash) = bash else { unreachable!() };
    assert_eq!(refusal(&bash, None), None);
}

/// A refusal quotes nothing of the capture but the names of options.
#[test]
fn no_refusal_quotes_the_capture() {
    for capture in [
        "s3cr3t",
        "POST /s3cr3t HTTP/1.1\ns3cr3t\n\n",
        "POST / HTTP/1.1\ns3cr3t s3cr3t: s3cr3t\n\n",
        "curl s3cr3t --data 's3cr3t",
        "curl h --form s3cr3t=s3cr3t",
        "curl h --date=s3cr3t",
        "curl h s3cr3t",
        r#"{"headers":{"s3cr3t":{}},"body":"s3cr3t"}"#,
        r#"{"headers":{"a":"s3cr3t"},"body":{"s3cr3t":1}}"#,
        r#"{"s3cr3t": s3cr3t}"#,
    ] {
        let why = refusal(capture.as_bytes(), None).unwrap();
        assert!(!why.contains("s3cr3t"), "{capture}: {why}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>, start in "(curl |curl \\^\"|POST / HTTP/1.1\\n|\\{|\\[|> )?") {
        let _ = read(&[start.as_bytes(), &bytes].concat(), None);
    }

    #[test]
    fn nor_does_a_capture_that_something_changed(which: usize, at: usize, byte: u8, cut: bool) {
        let forms = forms(BODY);
        let mut capture = forms[which % forms.len()].1.clone();
        let at = at % capture.len();
        capture[at] = byte;
        if cut {
            capture.truncate(at);
        }
        let _ = read(&capture, None);
        let _ = read(&capture, Some(b"x"));
    }

    /// Whatever text is sent, each form gives it back.
    #[test]
    fn what_is_printed_is_read(body in "[ -~\\n\\r\\t]{1,40}|[^\\x00\\r]{1,20}") {
        for (form, capture) in forms(&body) {
            // A shell has no null bytes, -d of a file is elsewhere; cmd has no carriage return of its own; a body may look like
            // chunks, like an answer, or like an object with text behind it.
            let quoted = body.trim_start_matches(['[', '{', ' ', '\t', '\r', '\n']).starts_with(['"', '}']);
            let quoted = quoted || !body.contains('{') || !body.contains(':');
            let first = Deserializer::from_str(&body).into_iter::<Value>().next();
            let object = body.starts_with('{') && matches!(first, Some(Ok(_)));
            let odd = match form {
                "curl command" => body.contains('\r') || !quoted,
                "raw HTTP" => body.trim().is_empty() || body.as_bytes()[0].is_ascii_hexdigit() || object,
                _ => false,
            };
            if !odd && !body.starts_with('@') {
                let read = one(&capture).body;
                prop_assert_eq!(String::from_utf8_lossy(&read), &body[..], "{}", String::from_utf8_lossy(&capture));
            }
        }
    }
}

#[test]
fn the_time_is_read_in_its_unit() {
    let at = |epoch: Value| {
        one(json!({"headers": {}, "requestContext": {"timeEpoch": epoch}}).to_string().as_bytes()).received
    };
    let expected = OffsetDateTime::from_unix_timestamp(1_773_504_001).ok();
    assert_eq!(at(json!(1_773_504_001_000_i64)), expected);
    assert_eq!(at(json!("1773504001000000")), expected);
    assert_eq!(at(json!("soon")), None);
}
