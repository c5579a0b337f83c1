//! A curl command: what its options do to the request, as curl documents them: <https://curl.se/docs/manpage.html>.

use anyhow::{Context, Result, bail};

use super::{Request, Requests};
use crate::shell;

/// The options, each with its short name before the colon, and an equals sign behind if it has a value.
const OPTIONS: &str = "basic cacert= E:cert= compressed K:config= connect-timeout= connect-to= b:cookie= c:cookie-jar= \
    d:data= data-ascii= data-binary= data-raw= data-urlencode= digest D:dump-header= f:fail fail-with-body F:form= \
    form-string= G:get g:globoff I:head H:header= 0:http1.0 http1.1 http2 http2-prior-knowledge http3 i:include \
    k:insecure 4:ipv4 6:ipv6 json= key= L:location m:max-time= n:netrc N:no-buffer no-keepalive no-progress-meter \
    noproxy= oauth2-bearer= o:output= Z:parallel path-as-is #:progress-bar x:proxy= p:proxytunnel U:proxy-user= \
    e:referer= J:remote-header-name O:remote-name X:request= resolve= retry= retry-all-errors retry-connrefused \
    retry-delay= retry-max-time= S:show-error s:silent socks5= Y:speed-limit= y:speed-time= ssl-no-revoke stderr= \
    ::next tls-max= tlsv1.2 tlsv1.3 trace= trace-ascii= unix-socket= T:upload-file= url= u:user= A:user-agent= v:verbose \
    w:write-out= q:disable max-redirs= proto= raw";

const QUOTES: &str = "the JSON's quotes were changed: quote it for bash ('…', nothing escaped), or add --body FILE";

/// One request for each curl command of the script. None where it does not begin with one.
pub(super) fn read(script: &[u8], given: Option<&[u8]>) -> Option<Result<Requests>> {
    let is_curl = |word: &[u8]| matches!(word.rsplit(|&byte| byte == b'/').next(), Some(b"curl" | b"curl.exe"));
    // What set -x prints, too.
    let is_prompt = |word: &[u8]| matches!(word, b"$" | b"%" | b"+");
    let first = script.split(u8::is_ascii_whitespace).find(|word| !is_prompt(word))?;
    is_curl(first).then(|| {
        let mut requests = Requests::new();
        for words in shell::commands(script)? {
            let prompts = words.iter().take_while(|word| is_prompt(word)).count();
            match words[prompts..].split_first() {
                Some((word, words)) if is_curl(word) => match options(words) {
                    Ok(options) => {
                        requests.extend(options.split(|(name, _)| *name == "next").map(|options| one(options, given)));
                    }
                    Err(why) => requests.push(Err(why)),
                },
                Some((word, _)) if word.starts_with(b"-") => {
                    bail!("a line begins with an option: end the line before it with a backslash");
                }
                _ => {}
            }
        }
        Ok(requests)
    })
}

fn one(options: &[(&str, Vec<u8>)], mut given: Option<&[u8]>) -> Result<Request> {
    let mut request = Request::new("curl command", "", "");
    let (mut method, mut urls, mut data, mut in_query) = (None, Vec::new(), None::<Vec<u8>>, false);
    let is_given = given.is_some();
    for (name, value) in options {
        let text = String::from_utf8_lossy(value);
        match *name {
            "url" => urls.push(text.into_owned()),
            "request" => method = Some(text.into_owned()),
            "get" | "head" => (in_query, method) = (in_query || *name == "get", method.or(Some(name.to_uppercase()))),
            "header" if value.starts_with(b"@") => bail!("headers are in a file (-H @…): put each into -H"),
            "header" => match value.iter().position(|&byte| byte == b':').map(|colon| value.split_at(colon)) {
                // Without a value it removes a header; behind a semicolon it sends it empty.
                Some((_, value)) if value[1..].trim_ascii().is_empty() => {}
                Some((name, value)) => request.header(name, &value[1..])?,
                None => value.strip_suffix(b";").map_or(Ok(()), |name| request.header(name, b""))?,
            },
            "user-agent" | "referer" => request.header(name.as_bytes(), value)?,
            "data" | "data-ascii" | "data-binary" | "data-raw" | "json" => {
                let joined = data.get_or_insert_default();
                if !joined.is_empty() && *name != "json" {
                    joined.push(b'&');
                }
                let in_file = value.starts_with(b"@") && *name != "data-raw";
                let cut: &[u8] = if matches!(*name, "data" | "data-ascii") { b"\r\n\0" } else { b"" };
                match given.take_if(|_| in_file) {
                    Some(file) => joined.extend(file.iter().filter(|byte| !cut.contains(byte))),
                    None if in_file => bail!("the body is in a file (@…): add --body FILE"),
                    None => joined.extend(value),
                }
            }
            "config" => bail!("options are in a file (-K): put each into the command"),
            "data-urlencode" | "form" | "form-string" | "upload-file" if !is_given => {
                bail!("--{name} does not show the body's bytes: add --body FILE, or use --data-raw");
            }
            "upload-file" => method = method.or(Some("PUT".to_owned())),
            _ => {}
        }
    }
    let data = data.filter(|_| !in_query);
    // cmd, PowerShell and editors lose, escape or exchange the quotes of an object's first name.
    let json = data.as_deref().unwrap_or_default();
    let (start, name) = json.split_at(json.iter().take_while(|byte| b"[{ \t\r\n".contains(byte)).count());
    let is_quoted = matches!(name, [b'"' | b'}', ..]) || !name.contains(&b':');
    if !is_given && start.contains(&b'{') && !is_quoted {
        bail!(QUOTES);
    }
    let [url] = &urls[..] else {
        bail!("the curl command has {} URLs: copy it whole, and give one command for each", urls.len());
    };
    request.path = Request::new("", "", url).path;
    request.method = method.unwrap_or_else(|| if data.is_some() || is_given { "POST" } else { "GET" }.to_owned());
    request.with(given, || Ok(data.unwrap_or_default()))
}

/// The options with their long names and values, taken apart as curl does it.
fn options(words: &[Vec<u8>]) -> Result<Vec<(&'static str, Vec<u8>)>> {
    let known = OPTIONS.split_whitespace().map(|option| {
        let (short, long) = option.rsplit_once(':').unwrap_or(("", option));
        (short, long.trim_end_matches('='), long.ends_with('='))
    });
    let (mut options, mut words) = (Vec::new(), words.iter());
    while let Some(word) = words.next() {
        let Some(mut cluster) = word.strip_prefix(b"-").filter(|cluster| !cluster.is_empty()) else {
            options.push(("url", word.clone()));
            continue;
        };
        while !cluster.is_empty() {
            let (name, rest) = if cluster.starts_with(b"-") { (cluster, &b""[..]) } else { cluster.split_at(1) };
            let is_it = |(short, long, _): &(&str, &str, bool)| {
                name == short.as_bytes() || name.strip_prefix(b"-") == Some(long.as_bytes())
            };
            let Some((_, long, valued)) = known.clone().find(is_it) else {
                // What follows an equals sign is no part of the name, and may be a secret.
                let is_name = |byte: &&u8| byte.is_ascii_alphanumeric() || **byte == b'-';
                let shown: String = name.iter().take_while(is_name).map(|&byte| char::from(byte)).collect();
                bail!("the curl option -{shown} is not known here: remove it if it changes no byte sent");
            };
            let value = if valued && rest.is_empty() { words.next().map(Vec::as_slice) } else { Some(rest) };
            let value = value.context("the command ends where an option needs a value: copy it whole")?;
            options.push((long, value.to_vec()));
            cluster = if valued { b"" } else { rest };
        }
    }
    Ok(options)
}
