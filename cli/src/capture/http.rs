//! Raw HTTP: as on the wire, as browsers show it (`:method: POST`), and the head that `curl -v` prints. (`httparse` takes
//! neither HTTP/2's lines nor chunks whose CR LF became LF.)

use http::header::TRANSFER_ENCODING;

use super::{Refused, Request, refuse};

/// The request. None where the text does not begin with one.
pub(super) fn read(text: &[u8], given: Option<&[u8]>) -> Option<Refused<Request>> {
    // What curl sent stands behind `> `, without the body.
    let sent = text.split(|&byte| byte == b'\n').filter_map(|line| line.strip_prefix(b">"));
    let sent = sent.map(|line| [line.strip_prefix(b" ").unwrap_or(line), b"\n"].concat()).collect::<Vec<_>>().concat();
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
    let codings = request.headers.get_all(TRANSFER_ENCODING).iter();
    let last = codings.flat_map(|value| value.as_bytes().split(|&byte| byte == b',')).last().unwrap_or_default();
    let chunked = last.trim_ascii().eq_ignore_ascii_case(b"chunked");
    let length = request.length();
    request.with(given, || {
        // A proxy or a copying hand may have joined the chunks and kept the header.
        if chunked && size(&mut { rest }).is_some() {
            let cut =
                "the chunked body is cut off: copy it whole, or remove Transfer-Encoding if it is chunked no more";
            return chunks(rest).map_or_else(|| refuse(cut), Ok);
        }
        // What follows the body may be its answer, or the editor's line feed.
        let (body, behind) = length.and_then(|length| rest.split_at_checked(length)).unwrap_or((rest, b""));
        let behind = behind.trim_ascii_start();
        Ok(if behind.is_empty() || behind.starts_with(b"HTTP/") { body } else { rest }.to_vec())
    })
}

/// What the chunks hold.
fn chunks(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let size = size(&mut rest).filter(|size| *size <= rest.len())?;
        body.extend(&rest[..size]);
        rest = &rest[size..];
        if size == 0 {
            return Some(body);
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
