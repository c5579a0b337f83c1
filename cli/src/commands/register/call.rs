//! The call of a platform's API that creates an endpoint, and its answer.

use std::{
    fs::{self, File, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use hookgate_verify::{Provider, providers::Call};
use http::{Response, StatusCode, Uri};
use serde_json::{Value, json};

use super::{Arguments, Place};
use crate::{
    arguments::{self, did_you_mean},
    client::http::{Outgoing, Poster},
    error::ExitCode,
    local::host,
    output::{GOOD, MAYBE, print, print_json, quoted},
};

/// How much of a platform's error message is shown, in characters.
const MOST_WORDS: usize = 200;

/// The request that creates an endpoint.
pub(super) struct Registration {
    provider: &'static Provider,
    api: &'static Call,
    url: Uri,
    body: Value,
    secret_file: Option<PathBuf>,
    patience: Duration,
}

impl Registration {
    pub(super) fn new(api: &'static Call, arguments: &Arguments, place: &Place) -> anyhow::Result<Self> {
        let provider = arguments.provider;
        let place = place.url.as_ref().context("--url is missing: set it to the stack's output, https://…")?;
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
        Ok(Registration {
            provider,
            api,
            url,
            body: json!({
                "url": place.to_string(),
                "events": known.into_iter().filter(chosen).collect::<Vec<_>>(),
                "description": arguments.description.as_deref().unwrap_or("Hookgate"),
            }),
            secret_file: arguments.secret_file.clone(),
            patience: Duration::from_secs(arguments.timeout.unwrap_or(30)),
        })
    }

    pub(super) fn show(&self, json: bool) -> anyhow::Result<()> {
        let key = format!("Bearer (the value of {}, not shown)", self.api.key);
        let Registration { url, body, .. } = self;
        if json {
            let headers = json!({"authorization": key, "content-type": "application/json"});
            let request = json!({"method": "POST", "url": url.to_string(), "headers": headers, "body": body});
            return print_json(&json!({"sent": false, "request": request}));
        }
        print(format_args!(
            "Nothing was sent. The request would be:\n\nPOST {url}\nauthorization: {key}\ncontent-type: application/json\n\n{body:#}"
        ))
    }

    pub(super) async fn send(&self, place: &Place, json: bool) -> anyhow::Result<ExitCode> {
        let variable = self.api.key;
        let key = std::env::var(variable).ok().map(|key| key.trim().to_owned()).filter(|key| !key.is_empty());
        let key = key.with_context(|| format!("the API key is missing: set the environment variable {variable}"))?;
        if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            bail!("{variable} is not an API key: it has spaces or characters that a header cannot hold");
        }
        let path = self.secret_file.as_deref().with_context(|| {
            format!(
                "--secret-file is missing: name a new file for the signing secret, like {}.json",
                self.provider.name
            )
        })?;
        let poster = Poster::new(self.url.clone())?;
        // Before the call: the platform may show the secret only once.
        let mut file = create(path)?;
        let headers = [("authorization", format!("Bearer {key}")), ("content-type", "application/json".to_owned())];
        let outgoing = Outgoing {
            headers: headers.map(|(name, value)| (name.to_owned(), value)).to_vec(),
            body: self.body.to_string().into_bytes(),
        };
        let answer = poster.exchange(outgoing, self.patience).await;
        let failure = match &answer {
            Ok(answer) if answer.status().is_success() => None,
            Ok(answer) => Some(refused(answer.status(), answer.body().as_deref().unwrap_or_default(), &key, self)),
            Err(error) if error.sent => Some(format!("{error}: {UNKNOWN}")),
            Err(error) => Some(format!("{} cannot be reached: {error}. Nothing was created", self.url)),
        };
        let (Ok(answer), None) = (&answer, &failure) else {
            let _ = fs::remove_file(path);
            let failure = failure.unwrap_or_default();
            if json {
                print_json(&json!({"created": false, "error": failure}))?;
            }
            anstream::eprintln!("hookgate: {failure}");
            return Ok(ExitCode::No);
        };
        let body = answer.body().as_deref().unwrap_or_default();
        let parsed: Value = serde_json::from_slice(body).unwrap_or_default();
        let secret = signing_secret(&parsed);
        let written = match &secret {
            Some(secret) => file.write_all(format!("{}\n", json!({ place.account.as_str(): [secret] })).as_bytes()),
            None => file.write_all(body),
        };
        if let Err(error) = written.and_then(|()| file.sync_all()) {
            anstream::eprintln!(
                "hookgate: the endpoint is created, but {} cannot be written ({error}): find its secret in the dashboard",
                path.display()
            );
            return Ok(ExitCode::No);
        }
        self.report(place, path, answer, &parsed, secret.as_deref(), json)?;
        Ok(secret.is_some().into())
    }

    fn report(
        &self,
        place: &Place,
        path: &Path,
        answer: &Response<Option<Bytes>>,
        parsed: &Value,
        secret: Option<&str>,
        json: bool,
    ) -> anyhow::Result<()> {
        let id = parsed["id"].as_str().filter(|id| is_plain(id) && secret != Some(id));
        // A login page or a proxy's maintenance page is a 200 too.
        let sure = answer.status() == StatusCode::CREATED || parsed.is_object();
        let Place { account, secret_id, .. } = place;
        let (path, file) = (path.display(), quoted(&format!("file://{}", path.display())));
        let store = format!("aws secretsmanager put-secret-value --secret-id {secret_id} --secret-string {file}");
        if json {
            return print_json(&json!({
                "created": sure.then_some(true), "id": id, "url": self.body["url"], "events": self.body["events"],
                "file": path.to_string(), "has_secret": secret.is_some(), "store": secret.map(|_| store),
            }));
        }
        let created = if sure {
            let id = id.map_or_else(String::new, |id| format!(" ({id})"));
            format!("{GOOD}created{GOOD:#}{id}: deliveries go to {}", self.body["url"].as_str().unwrap_or_default())
        } else {
            format!("{MAYBE}unknown{MAYBE:#}: the answer is not one of the platform's API: {UNKNOWN}")
        };
        let next = match (secret, answer.body().as_deref()) {
            (Some(_), _) => {
                format!("Its signing secret is in {path}, which only you can read. Store it, then delete the file:")
            }
            (None, body) => {
                let kept = match body {
                    None => {
                        "The answer was cut off or too long: if the dashboard does not show the secret, delete the \
                             endpoint there and register it again."
                            .to_owned()
                    }
                    Some([]) => "The answer is empty.".to_owned(),
                    Some(_) => format!("The whole answer is in {path}: look there, then in the dashboard."),
                };
                format!(
                    "{MAYBE}No signing secret was recognised in the answer.{MAYBE:#} {kept}\nWrite {path} as \
                     {{\"{account}\": [\"the secret\"]}}, then store it:"
                )
            }
        };
        let stands_for = place.output.as_ref().map_or_else(String::new, |output| {
            format!("{secret_id} stands for the stack's output {output}: set it with --secret-id. ")
        });
        print(format_args!(
            "{created}\n\n{next}\n  {store}\n{stands_for}The command replaces the whole entry: if other accounts have secrets \
             in it, put them into the file first.\n"
        ))
    }
}

/// The remedy if the result of the call is unknown.
const UNKNOWN: &str =
    "the endpoint may exist now; check the dashboard before another run, which could create a second one";

/// Why the platform did not create the endpoint, and the remedy. Quotes the platform's message, without the key.
fn refused(status: StatusCode, body: &[u8], key: &str, request: &Registration) -> String {
    let variable = request.api.key;
    let remedy = match status.as_u16() {
        401 | 403 => format!("the API key was refused: check {variable}, and the key's permissions"),
        400 | 422 => "the request was refused: check --url, --event and --description".to_owned(),
        404 | 405 => format!("{} has no such call: check --api-url", request.url),
        409 => "such an endpoint exists already: check the dashboard".to_owned(),
        429 => "too many calls: wait, then try again".to_owned(),
        300..=399 => "it redirects to another address, and the API key is not sent there: check --api-url".to_owned(),
        500.. => format!("the platform failed: {UNKNOWN}"),
        _ => "the request was refused".to_owned(),
    };
    let answer: Value = serde_json::from_slice(body).unwrap_or_default();
    let mut words = ["/message", "/error/message", "/error", "/detail"].iter();
    let words = words.find_map(|path| answer.pointer(path)?.as_str()).unwrap_or_default();
    let words: String = words.replace(key, "…").chars().filter(|c| !c.is_control()).take(MOST_WORDS).collect();
    let words = if words.is_empty() { words } else { format!(" (its message: {words})") };
    format!("HTTP {}: {remedy}{words}", status.as_u16())
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
fn signing_secret(answer: &Value) -> Option<String> {
    let mut found = Vec::new();
    collect(answer, &mut found);
    found.dedup();
    match &found[..] {
        [secret] if is_whole(secret) => Some((*secret).to_owned()),
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
