//! Raw HTTP: as on the wire, as browsers show it (`:method: POST`), and the head that `curl -v` prints. (`httparse` takes
//! neither HTTP/2's lines nor chunks whose CR LF became LF.)

use http::header::{HeaderValue, TRANSFER_ENCODING};

use super::{Refused, Request, refuse};

/// The request. None where the text does not begin with one.
pub(super) fn read(text: &[u8], given: Option<&[u8]>) -> Option<Refused<Request>> {
    // What curl sent stands behind `> `, without the body; what somebody quoted, with it.
    let sent = text.split(|&byte| byte == b'\n').filter_map(|line| line.strip_prefix(b">"));
    let sent = sent.map(|line| line.strip_prefix(b" ").unwrap_or(line)).collect::<Vec<_>>().join(&b'\n');
    start(&sent).map(|request| one(request, &sent, given)).or_else(|| Some(one(start(text)?, text, given)))
}

/// The request of this first line.
fn start(text: &[u8]) -> Option<Request> {
    let first = String::from_utf8_lossy(line(&mut { text })).into_owned();
    let mut words = first.split(' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next().unwrap_or("HTTP/"));
    let is_method = !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_uppercase());
    match (first.starts_with(':'), is_method && version.starts_with("HTTP/") && !target.is_empty()) {
        (true, _) => Some(Request::new("raw HTTP", "", "")),
        (_, is_request) => is_request.then(|| Request::new("raw HTTP", method, target)),
    }
}

fn one(mut request: Request, mut rest: &[u8], given: Option<&[u8]>) -> Refused<Request> {
    if !rest.starts_with(b":") {
        line(&mut rest);
    }
    let mut ended = false;
    while !ended && !rest.is_empty() {
        let line = line(&mut rest);
        ended = line.is_empty();
        // A colon in front is a pseudo-header's.
        let colon = line.iter().skip(1).position(|&byte| byte == b':');
        let text = |value: &[u8]| String::from_utf8_lossy(value[1..].trim_ascii()).into_owned();
        match colon.map(|colon| line.split_at(colon + 1)) {
            Some((b":method", value)) => request.method = text(value),
            Some((b":path", value)) => request.path = Request::new("", "", &text(value)).path,
            Some(([b':', ..], _)) => {}
            Some((name, value)) => request.header(name, &value[1..])?,
            None if ended => {}
            None => return refuse("a header line has no colon: put an empty line between the headers and the body"),
        }
    }
    if !ended && request.method == "POST" && given.is_none() {
        return refuse("the capture ends with its headers: add --body FILE");
    }
    let is_chunked = |value: &HeaderValue| value.as_bytes().to_ascii_lowercase().ends_with(b"chunked");
    let chunked = request.headers.get_all(TRANSFER_ENCODING).iter().any(is_chunked);
    let any = |text: &[u8], is: &dyn Fn(&[u8]) -> bool| text.split(|&byte| byte == b'\n').any(is);
    let is_first = |line: &[u8]| line.windows(6).any(|word| word == b" HTTP/") && !line.contains(&b'"');
    let another = |text: &[u8]| any(text, &|line| line.starts_with(b":method:") || is_first(line));
    // What follows the body may be its answer, or the editor's line feed.
    let is_end = |text: &[u8]| matches!(text.trim_ascii_start(), [] | [b'H', b'T', b'T', b'P', b'/', ..]);
    let framed = request.length().and_then(|length| rest.split_at_checked(length));
    let (body, more) = match framed {
        // A proxy or a copying hand may have joined the chunks and kept the header.
        _ if chunked && size(&mut { rest }).is_some() => {
            let cut = "the chunked body is cut off: copy it whole, or remove Transfer-Encoding if it is not chunked";
            chunks(rest).map_or_else(|| (refuse(cut), false), |(body, behind)| (Ok(body), another(behind)))
        }
        Some((body, behind)) if is_end(behind) || another(behind) => (Ok(body.to_vec()), another(behind)),
        _ => (Ok(rest.to_vec()), another(rest) || any(rest, &|line| line.starts_with(b"HTTP/"))),
    };
    if more {
        return refuse("the capture has several requests, or an answer: give one request alone");
    }
    request.with(given, || body)
}

/// What the chunks hold, and what follows them.
fn chunks(mut rest: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut body = Vec::new();
    loop {
        let size = size(&mut rest).filter(|size| *size <= rest.len())?;
        body.extend(&rest[..size]);
        rest = &rest[size..];
        if size == 0 {
            return Some((body, rest));
        }
        line(&mut rest).is_empty().then_some(())?;
    }
}

fn size(rest: &mut &[u8]) -> Option<usize> {
    let size = std::str::from_utf8(line(rest).split(|&byte| byte == b';').next()?.trim_ascii_end()).ok()?;
    usize::from_str_radix(size, 16).ok().filter(|_| !size.starts_with('+'))
}

/// Takes a line, whatever ends it.
fn line<'t>(rest: &mut &'t [u8]) -> &'t [u8] {
    let end = rest.iter().position(|&byte| byte == b'\n');
    let (line, behind) = end.map_or((*rest, &b""[..]), |end| (&rest[..end], &rest[end + 1..]));
    *rest = behind;
    line.strip_suffix(b"\r").unwrap_or(line)
}
