//! The call of a platform's API that creates an endpoint, and its answer.

use std::{
    fs::{self, File, OpenOptions},
    io::Write as _,
    path::Path,
    time::Duration,
};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use hookgate_verify::{Account, providers::Call};
use http::{Response, StatusCode, Uri};
use serde_json::{Value, json};

use super::{Arguments, output, stand_in};
use crate::{
    arguments::{self, did_you_mean},
    client::http::{Outgoing, Poster},
    error::ExitCode,
    local::host,
    output::{GOOD, MAYBE, print, print_json, quoted},
};

/// How much of a platform's error message is shown, in characters.
const MOST_WORDS: usize = 200;

/// The remedy if the result of the call is unknown.
const UNKNOWN: &str =
    "the endpoint may exist now; check the dashboard before another run, which could create a second one";

/// Creates the endpoint, or shows the request with --dry-run.
pub(super) async fn run(
    arguments: &Arguments,
    api: &Call,
    endpoint: Option<Uri>,
    account: &Account,
) -> anyhow::Result<ExitCode> {
    let provider = arguments.provider;
    let endpoint = endpoint.context("--url is missing: set it to the stack's output, https://…")?;
    let known: Vec<_> = provider.events.iter().map(|&(name, _)| name).collect();
    if let Some(event) = arguments.event.iter().find(|event| !known.contains(&event.as_str())) {
        let meant = did_you_mean(event, known.iter().copied());
        bail!("{} has no event {event:?}{meant}: {}", provider.name, known.join(", "));
    }
    let url = arguments::address("--api-url", arguments.api_url.as_deref().unwrap_or(api.url))?;
    if url.scheme_str() != Some("https") && !host::is_this_machine(&url) {
        bail!("--api-url {url} is not https: the API key is sent over https only");
    }
    let chosen = |name: &&str| arguments.event.is_empty() || arguments.event.iter().any(|event| event == name);
    let request = json!({
        "url": endpoint.to_string(),
        "events": known.into_iter().filter(chosen).collect::<Vec<_>>(),
        "description": arguments.description.as_deref().unwrap_or("Hookgate"),
    });
    if arguments.dry_run {
        show(api, &url, &request, arguments.json)?;
        return Ok(ExitCode::Yes);
    }
    let key = std::env::var(api.key).ok().map(|key| key.trim().to_owned()).filter(|key| !key.is_empty());
    let key = key.with_context(|| format!("the API key is missing: set the environment variable {}", api.key))?;
    if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        bail!("{} is not an API key: it has spaces or characters that a header cannot hold", api.key);
    }
    let path = arguments.secret_file.as_deref().with_context(|| {
        format!("--secret-file is missing: name a new file for the signing secret, like {}.json", provider.name)
    })?;
    let poster = Poster::new(url.clone())?;
    // Before the call: the platform may show the secret only once.
    let file = create(path)?;
    let headers = [("authorization", format!("Bearer {key}")), ("content-type", "application/json".to_owned())];
    let headers = headers.map(|(name, value)| (name.to_owned(), value)).to_vec();
    let outgoing = Outgoing { headers, body: request.to_string().into_bytes() };
    let failure = match poster.exchange(outgoing, Duration::from_secs(arguments.timeout.unwrap_or(30))).await {
        Ok(answer) if answer.status().is_success() => return keep(arguments, account, &request, path, file, &answer),
        Ok(answer) => refused(&answer, &key, api, &url),
        Err(error) if error.sent => format!("{error}: {UNKNOWN}"),
        Err(error) => format!("{url} cannot be reached: {error}. Nothing was created"),
    };
    let _ = fs::remove_file(path);
    if arguments.json {
        print_json(&json!({"created": false, "error": failure}))?;
    }
    eprintln!("hookgate: {failure}");
    Ok(ExitCode::No)
}

fn show(api: &Call, url: &Uri, request: &Value, json: bool) -> anyhow::Result<()> {
    let key = format!("Bearer (the value of {}, not shown)", api.key);
    if json {
        let headers = json!({"authorization": key, "content-type": "application/json"});
        let request = json!({"method": "POST", "url": url.to_string(), "headers": headers, "body": request});
        return print_json(&json!({"sent": false, "request": request}));
    }
    print(format_args!(
        "Nothing was sent. The request would be:\n\nPOST {url}\nauthorization: {key}\ncontent-type: application/json\n\n{request:#}"
    ))
}

/// Writes the secret in the platform's answer to the file, or else the whole answer, and says what to do next.
fn keep(
    arguments: &Arguments,
    account: &Account,
    request: &Value,
    path: &Path,
    mut file: File,
    answer: &Response<Option<Bytes>>,
) -> anyhow::Result<ExitCode> {
    let body = answer.body().as_deref();
    let parsed: Value = serde_json::from_slice(body.unwrap_or_default()).unwrap_or_default();
    let secret = signing_secret(&parsed);
    let written = match secret {
        Some(secret) => file.write_all(format!("{}\n", json!({ account.as_str(): [secret] })).as_bytes()),
        None => file.write_all(body.unwrap_or_default()),
    };
    let shown = path.display();
    if let Err(error) = written.and_then(|()| file.sync_all()) {
        eprintln!(
            "hookgate: the endpoint is created, but {shown} cannot be written ({error}): find its secret in the dashboard"
        );
        return Ok(ExitCode::No);
    }
    let id = parsed["id"].as_str().filter(|id| is_plain(id) && secret != Some(id));
    // A login page or a proxy's maintenance page is a 200 too.
    let sure = answer.status() == StatusCode::CREATED || parsed.is_object();
    let stand_in = stand_in(arguments.provider);
    let secret_id = arguments.secret_id.as_deref().unwrap_or(&stand_in);
    let file = quoted(&format!("file://{shown}"));
    let store = format!("aws secretsmanager put-secret-value --secret-id {secret_id} --secret-string {file}");
    if arguments.json {
        print_json(&json!({
            "created": sure.then_some(true), "id": id, "url": request["url"], "events": request["events"],
            "file": shown.to_string(), "has_secret": secret.is_some(), "store": secret.map(|_| store),
        }))?;
        return Ok(secret.is_some().into());
    }
    let created = if sure {
        let id = id.map_or_else(String::new, |id| format!(" ({id})"));
        format!("{GOOD}created{GOOD:#}{id}: deliveries go to {}", request["url"].as_str().unwrap_or_default())
    } else {
        format!("{MAYBE}unknown{MAYBE:#}: the answer is not one of the platform's API: {UNKNOWN}")
    };
    let next = if secret.is_some() {
        format!("Its signing secret is in {shown}, which only you can read. Store it, then delete the file:")
    } else {
        let kept = match body {
            None => {
                "The answer was cut off or too long: if the dashboard does not show the secret, delete the endpoint \
                 there and register it again."
            }
            Some([]) => "The answer is empty.",
            Some(_) => &format!("The whole answer is in {shown}: look there, then in the dashboard."),
        };
        format!(
            "{MAYBE}No signing secret was recognised in the answer.{MAYBE:#} {kept}\nWrite {shown} as {{\"{account}\": \
             [\"the secret\"]}}, then store it:"
        )
    };
    let stands_for = if arguments.secret_id.is_none() {
        let output = output(arguments.provider);
        format!("{stand_in} stands for the stack's output {output}: set it with --secret-id. ")
    } else {
        String::new()
    };
    print(format_args!(
        "{created}\n\n{next}\n  {store}\n{stands_for}The command replaces the whole entry: if other accounts have secrets in \
         it, put them into the file first.\n"
    ))?;
    Ok(secret.is_some().into())
}

/// Why the platform did not create the endpoint, and the remedy. Quotes the platform's message, without the key.
fn refused(answer: &Response<Option<Bytes>>, key: &str, api: &Call, url: &Uri) -> String {
    let status = answer.status().as_u16();
    let remedy = match status {
        401 | 403 => format!("the API key was refused: check {}, and the key's permissions", api.key),
        400 | 422 => "the request was refused: check --url, --event and --description".to_owned(),
        404 | 405 => format!("{url} has no such call: check --api-url"),
        409 => "such an endpoint exists already: check the dashboard".to_owned(),
        429 => "too many calls: wait, then try again".to_owned(),
        300..=399 => "it redirects to another address, and the API key is not sent there: check --api-url".to_owned(),
        500.. => format!("the platform failed: {UNKNOWN}"),
        _ => "the request was refused".to_owned(),
    };
    let answer: Value = serde_json::from_slice(answer.body().as_deref().unwrap_or_default()).unwrap_or_default();
    let mut words = ["/message", "/error/message", "/error", "/detail"].iter();
    let words = words.find_map(|path| answer.pointer(path)?.as_str()).unwrap_or_default();
    let words: String = words.replace(key, "…").chars().filter(|c| !c.is_control()).take(MOST_WORDS).collect();
    let words = if words.is_empty() { words } else { format!(" (its message: {words})") };
    format!("HTTP {status}: {remedy}{words}")
}

/// A new file that only its owner can read.
fn create(path: &Path) -> anyhow::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let shown = path.display();
    options
        .open(path)
        .with_context(|| format!("cannot create {shown}, which must be a new file: choose another with --secret-file"))
}

/// The signing secret in an answer whose form is not documented: the string under a name with "secret" in it. None if there
/// are several, or if it is abbreviated.
fn signing_secret(answer: &Value) -> Option<&str> {
    let mut found = Vec::new();
    collect(answer, &mut found);
    found.dedup();
    match &found[..] {
        [secret] if is_whole(secret) => Some(secret),
        _ => None,
    }
}

fn collect<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                match value {
                    Value::String(text) if name.to_ascii_lowercase().contains("secret") => found.push(text),
                    value => collect(value, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        _ => {}
    }
}

fn is_whole(secret: &str) -> bool {
    secret.len() >= 8
        && secret.bytes().all(|byte| byte.is_ascii_graphic())
        && !secret.contains('*')
        && !secret.contains("...")
}

fn is_plain(id: &str) -> bool {
    (1..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}
