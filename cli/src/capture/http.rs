//! Raw HTTP: as on the wire, as browsers show it (`:method: POST`), and the head that `curl -v` prints. (`httparse` takes
//! neither HTTP/2's lines nor chunks whose CR LF became LF.)

use anyhow::{Context, Result, bail};
use http::header::{HeaderValue, TRANSFER_ENCODING};

use super::Request;
use crate::json::Json;

const CUT: &str = "the chunked body is cut off: copy it whole, or remove Transfer-Encoding if it is not chunked";
const NO_HEADER: &str = "a line among the headers is not name: value: put each on a line of its own, without indentation, and \
    an empty line between the headers and the body";

/// The request. None where the text does not begin with one.
pub(super) fn read(text: &[u8], given: Option<&[u8]>) -> Option<Result<Request>> {
    // What curl sent stands behind `> `, without the body; what somebody quoted, with it. A body has such lines, too.
    let sent = text.split(|&byte| byte == b'\n').filter_map(|line| line.strip_prefix(b">"));
    let sent = sent.map(|line| line.strip_prefix(b" ").unwrap_or(line)).collect::<Vec<_>>().join(&b'\n');
    let (request, rest) = start(text).or_else(|| start(&sent))?;
    Some(one(request, rest, given))
}

/// The request of the first line, and where its headers begin.
fn start(text: &[u8]) -> Option<(Request, &[u8])> {
    if text.starts_with(b":") {
        return Some((Request::new("raw HTTP", "", ""), text));
    }
    let mut rest = text;
    let first = String::from_utf8_lossy(line(&mut rest));
    let mut words = first.split(' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next().unwrap_or("HTTP/"));
    let is_method = !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_uppercase());
    let is_first = is_method && version.starts_with("HTTP/") && target.contains('/');
    is_first.then(|| (Request::new("raw HTTP", method, target), rest))
}

fn one(mut request: Request, mut rest: &[u8], given: Option<&[u8]>) -> Result<Request> {
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
            Some((name, value)) if !b" \t{[".contains(&name[0]) => request.header(name, &value[1..])?,
            None if ended => {}
            _ => bail!(NO_HEADER),
        }
    }
    if !ended && request.method == "POST" && given.is_none() {
        bail!("the capture ends with its headers: add --body FILE");
    }
    let is_chunked = |value: &HeaderValue| value.as_bytes().to_ascii_lowercase().ends_with(b"chunked");
    let chunked = request.headers.get_all(TRANSFER_ENCODING).iter().any(is_chunked);
    let any = |text: &[u8], is: &dyn Fn(&[u8]) -> bool| text.split(|&byte| byte == b'\n').any(is);
    let another = |text: &[u8]| any(text, &|line| line.starts_with(b":method:") || is_first(line));
    // What follows the body may be its answer, or the editor's line feed.
    let is_end = |text: &[u8]| matches!(text.trim_ascii_start(), [] | [b'H', b'T', b'T', b'P', b'/', ..]);
    let framed = request.length().and_then(|length| rest.split_at_checked(length));
    let (body, more) = match framed {
        // A proxy or a copying hand may have joined the chunks and kept the header.
        _ if chunked && size(&mut { rest }).is_some() => {
            let (body, behind) = chunks(rest).unzip();
            (body.context(CUT), behind.is_some_and(another))
        }
        Some((body, behind)) if is_end(behind) || another(behind) => (Ok(body.to_vec()), another(behind)),
        _ => {
            let object = Json::first(rest).filter(|_| rest.starts_with(b"{"));
            let more = || another(rest) || any(rest, &|line| line.starts_with(b"HTTP/"));
            (Ok(rest.to_vec()), object.map_or_else(more, |(_, behind)| !behind.is_empty()))
        }
    };
    if more {
        bail!("the capture has several requests, an answer, or text behind the body: give one request alone");
    }
    request.with(given, || body)
}

/// Whether this is the first line of a request on the wire.
pub(super) fn is_first(line: &[u8]) -> bool {
    line.windows(6).any(|word| word == b" HTTP/") && !line.contains(&b'"')
}

/// What the chunks hold, and what follows them.
fn chunks(mut rest: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut body = Vec::new();
    while let size @ 1.. = size(&mut rest)? {
        let (chunk, behind) = rest.split_at_checked(size)?;
        body.extend(chunk);
        rest = behind;
        line(&mut rest).is_empty().then_some(())?;
    }
    Some((body, rest))
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
