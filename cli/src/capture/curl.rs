//! A curl command: what its options do to the request, as curl documents them: <https://curl.se/docs/manpage.html>.

use super::{Refused, Request, Requests, refuse};
use crate::shell;

/// The options without a value, each with its short name before the colon.
const FLAGS: &str = "anyauth basic compressed create-dirs digest q:disable f:fail fail-early fail-with-body G:get g:globoff \
    I:head http0.9 0:http1.0 http1.1 http2 http2-prior-knowledge http3 ignore-content-length i:include k:insecure 4:ipv4 \
    6:ipv6 j:junk-session-cookies L:location location-trusted n:netrc no-alpn N:no-buffer no-keepalive no-progress-meter \
    no-sessionid Z:parallel path-as-is post301 post302 post303 #:progress-bar p:proxytunnel raw J:remote-header-name \
    O:remote-name R:remote-time retry-all-errors retry-connrefused S:show-error s:silent ssl ssl-no-revoke ssl-reqd \
    styled-output tcp-fastopen tcp-nodelay 1:tlsv1 tlsv1.0 tlsv1.1 tlsv1.2 tlsv1.3 trace-ids trace-time v:verbose";

/// The options with one.
const VALUED: &str = "aws-sigv4 cacert capath E:cert cert-type ciphers K:config connect-timeout connect-to C:continue-at \
    b:cookie c:cookie-jar curves d:data data-ascii data-binary data-raw data-urlencode dns-servers doh-url D:dump-header \
    F:form form-string H:header hsts interface json keepalive-time key key-type \
    limit-rate local-port max-filesize max-redirs m:max-time noproxy oauth2-bearer o:output output-dir pass pinnedpubkey \
    preproxy proto proto-redir x:proxy proxy-cacert proxy-header U:proxy-user r:range rate e:referer X:request \
    request-target resolve retry retry-delay retry-max-time socks5 socks5-hostname Y:speed-limit y:speed-time stderr \
    z:time-cond tls-max trace trace-ascii trace-config unix-socket T:upload-file url url-query u:user A:user-agent \
    w:write-out";

const WINDOWS: &str = "the command is quoted for Windows: quote it for bash ('…', nothing escaped), or add --body FILE";

/// One request for each curl command of the script. None where it does not begin with one.
pub(super) fn read(script: &[u8], given: Option<&[u8]>) -> Option<Refused<Requests>> {
    let is_curl = |word: &[u8]| matches!(word.rsplit(|&byte| byte == b'/').next(), Some(b"curl" | b"curl.exe"));
    // A prompt, or what set -x prints.
    let script = script.strip_prefix(b"$ ").or_else(|| script.strip_prefix(b"+ ")).unwrap_or(script);
    is_curl(script.split(u8::is_ascii_whitespace).next()?).then(|| {
        let mut requests = Requests::new();
        // As cmd doubles quotes: a POSIX shell drops them.
        if given.is_none() && script.windows(3).any(|part| part == b"\"\":") {
            return refuse(WINDOWS);
        }
        for words in shell::commands(script)? {
            let prompt = words.first().is_some_and(|word| word == b"$" || word == b"+");
            match words[usize::from(prompt)..].split_first() {
                Some((word, words)) if is_curl(word) => {
                    let each = words.split(|word| word == b"--next" || word == b"-:");
                    requests.extend(each.map(|words| one(words, given)));
                }
                Some((word, _)) if word.starts_with(b"-") => {
                    return refuse("a line begins with an option: end the line before it with a backslash");
                }
                _ => {}
            }
        }
        Ok(requests)
    })
}

fn one(words: &[Vec<u8>], mut given: Option<&[u8]>) -> Refused<Request> {
    let mut request = Request::new("curl command", "", "");
    let (mut method, mut url, mut data, mut in_query) = (None, None, None::<Vec<u8>>, false);
    let is_given = given.is_some();
    for (name, value) in options(words)? {
        let text = String::from_utf8_lossy(&value);
        match name {
            "url" if url.is_some() => return refuse("the curl command has several URLs: give one command for each"),
            "url" => url = Some(text.into_owned()),
            "request" => method = Some(text.into_owned()),
            "get" | "head" => (in_query, method) = (in_query || name == "get", method.or(Some(name.to_uppercase()))),
            "header" if value.starts_with(b"@") => return refuse("headers are in a file (-H @…): put each into -H"),
            "header" => match value.iter().position(|&byte| byte == b':').map(|colon| value.split_at(colon)) {
                // Without a value it removes a header; behind a semicolon it sends it empty.
                Some((_, value)) if value[1..].trim_ascii().is_empty() => {}
                Some((name, value)) => request.header(name, &value[1..])?,
                None => value.strip_suffix(b";").map_or(Ok(()), |name| request.header(name, b""))?,
            },
            "user-agent" | "referer" => request.header(name.as_bytes(), &value)?,
            "data" | "data-ascii" | "data-binary" | "data-raw" | "json" => {
                let joined = data.get_or_insert_default();
                if !joined.is_empty() && name != "json" {
                    joined.push(b'&');
                }
                let in_file = value.starts_with(b"@") && name != "data-raw";
                let cut: &[u8] = if matches!(name, "data" | "data-ascii") { b"\r\n\0" } else { b"" };
                match given.take_if(|_| in_file) {
                    Some(file) => joined.extend(file.iter().filter(|byte| !cut.contains(byte))),
                    None if in_file => return refuse("the body is in a file (@…): add --body FILE"),
                    None => joined.extend(&value),
                }
            }
            "config" => return refuse("options are in a file (-K): put each into the command"),
            "data-urlencode" | "form" | "form-string" | "upload-file" if !is_given => {
                return refuse(format!("--{name} does not show the body's bytes: add --body FILE, or use --data-raw"));
            }
            "upload-file" => method = method.or(Some("PUT".to_owned())),
            _ => {}
        }
    }
    let Some(url) = url else { return refuse("the curl command has no URL: copy it whole") };
    request.path = Request::new("", "", &url).path;
    request.method = method.unwrap_or_else(|| if data.is_some() || is_given { "POST" } else { "GET" }.to_owned());
    let data = data.filter(|_| !in_query).unwrap_or_default();
    // As PowerShell escapes quotes: no JSON begins like that.
    let inside = data.iter().position(|byte| !b"{[ \t\r\n".contains(byte)).filter(|at| *at > 0);
    if !is_given && inside.is_some_and(|at| data[at..].starts_with(br#"\""#)) {
        return refuse(WINDOWS);
    }
    request.with(given, || Ok(data))
}

/// The options with their long names and values, taken apart as curl does it.
fn options(words: &[Vec<u8>]) -> Refused<Vec<(&'static str, Vec<u8>)>> {
    let split = |option: &'static str| option.split_once(':').unwrap_or(("", option));
    let flags = FLAGS.split_whitespace().map(split).map(|(short, long)| (short, long, false));
    let valued = VALUED.split_whitespace().map(split).map(|(short, long)| (short, long, true));
    let known: Vec<_> = flags.chain(valued).collect();
    let (mut options, mut words) = (Vec::new(), words.iter());
    while let Some(word) = words.next() {
        let Some(mut cluster) = word.strip_prefix(b"-").filter(|cluster| !cluster.is_empty()) else {
            options.push(("url", word.clone()));
            continue;
        };
        while !cluster.is_empty() {
            let (name, rest) = if cluster.starts_with(b"-") { (cluster, &b""[..]) } else { cluster.split_at(1) };
            let is_it = |(short, long, _): &&(&str, &str, bool)| {
                name == short.as_bytes() || name.strip_prefix(b"-") == Some(long.as_bytes())
            };
            let Some(&(_, long, valued)) = known.iter().find(is_it) else {
                // What follows an equals sign is no part of the name, and may be a secret.
                let end = name.iter().position(|byte| !byte.is_ascii_alphanumeric() && *byte != b'-');
                let shown = String::from_utf8_lossy(&name[..end.unwrap_or(name.len())]);
                let unknown = format!("the curl option -{shown} is not known here");
                return refuse(unknown + ": remove it if it changes no byte sent");
            };
            let value = if valued && rest.is_empty() { words.next().map(Vec::as_slice) } else { Some(rest) };
            let Some(value) = value else {
                return refuse("the command ends where an option needs a value: copy it whole");
            };
            options.push((long, value.to_vec()));
            cluster = if valued { b"" } else { rest };
        }
    }
    Ok(options)
}
