//! `hookgate register`: makes the endpoint known to a platform, by its API where that has a documented call, else by saying
//! where to click.

use std::{
    fmt::Write as _,
    fs::{self, File, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail};
use hookgate_verify::{
    Account, Provider,
    providers::{self, Call},
};
use http::{StatusCode, Uri};
use serde_json::{Value, json};

use crate::{
    arguments,
    client::http::{Outgoing, Poster},
    error::ExitCode,
    local::host,
    output::{BOLD, GOOD, MAYBE, print, print_json, quoted},
};

/// What stands for the address until it is known.
const EXAMPLE: &str = "https://hooks.example.com";

/// The most of a platform's own words that is shown.
const MOST_WORDS: usize = 200;

/// Make your endpoint known to a platform.
///
/// Where the platform documents a call of its API for it, this makes that call, with the API key from the environment. For
/// every other platform it prints the steps of its documentation, with your address filled in.
#[derive(Debug, clap::Args)]
#[command(after_help = examples())]
pub struct Arguments {
    /// The platform.
    #[arg(value_parser = arguments::provider())]
    provider: &'static Provider,
    /// Your address: the stack's output, or one to which /webhooks/{provider}[/{account}] is added.
    #[arg(long)]
    url: Option<String>,
    /// The account [default: the one in the address, else "default"].
    #[arg(long, value_parser = arguments::account)]
    account: Option<Account>,
    /// The entry of Secrets Manager that the printed command is to name: the stack's output, or its name.
    #[arg(long, value_name = "ARN", value_parser = secret_id)]
    secret_id: Option<String>,
    /// An event to subscribe to, by the platform's own name. Repeatable [default: all].
    #[arg(long, value_name = "NAME")]
    event: Vec<String>,
    /// What the platform's list of endpoints says about this one [default: Hookgate].
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Where the signing secret is written. Must not be there yet; only you will be able to read it.
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// Send nothing; show the request, without the key.
    #[arg(long)]
    dry_run: bool,
    /// Another address of the API, for tests: https, or on this machine.
    #[arg(long, value_name = "URL")]
    api_url: Option<String>,
    /// How long to wait for the answer, in seconds [default: 30].
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=600))]
    timeout: Option<u64>,
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
}

fn examples() -> String {
    let mut text = arguments::examples(
        "Examples:
  hookgate register PLATFORM --url https://a1b2.execute-api.us-east-1.amazonaws.com
",
    );
    if let Some((provider, call)) = providers::ALL.iter().find_map(|p| Some((*p, p.registration.call.as_ref()?))) {
        let (name, event) = (provider.name, provider.events.first().map_or("", |(name, _)| name));
        let _ = write!(
            text,
            "  hookgate register {name} --url https://hooks.example.com --dry-run
  hookgate register {name} --url https://hooks.example.com --secret-file {name}.json
  hookgate register {name} --url https://hooks.example.com/webhooks/{name}/eu-shop --event {event} --secret-file {name}.json

The last three make a call, with the API key in {}. The signing secret in the answer is written to the file, in the form
that Hookgate's secrets have, and never shown.",
            call.key
        );
    }
    text + "
Exit code: 0 the endpoint is created and its secret is in the file (or the steps are printed); 1 it is not, or nobody can
say; 2 the command line cannot be used."
}

/// Whether the endpoint is created and its secret is at hand; or the steps are printed.
pub async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let provider = arguments.provider;
    let place = Place::of(&arguments)?;
    let Some(api) = &provider.registration.call else {
        let for_calls = [
            ("--event", !arguments.event.is_empty()),
            ("--description", arguments.description.is_some()),
            ("--secret-file", arguments.secret_file.is_some()),
            ("--dry-run", arguments.dry_run),
            ("--api-url", arguments.api_url.is_some()),
            ("--timeout", arguments.timeout.is_some()),
        ];
        if let Some((option, _)) = for_calls.iter().find(|(_, given)| *given) {
            bail!("{} is not registered by a call of this command: leave {option} out to see the steps", provider.name);
        }
        steps(provider, &place, arguments.json)?;
        return Ok(ExitCode::Yes);
    };
    let request = Registration::new(api, &arguments, &place)?;
    if arguments.dry_run {
        request.show(arguments.json)?;
        return Ok(ExitCode::Yes);
    }
    request.make(&place, arguments.json).await
}

/// Where deliveries go, and where the secret belongs.
struct Place {
    url: Option<Uri>,
    account: Account,
    secret_id: String,
    /// The stack's output that the entry's name stands for, unless it was given.
    output: Option<String>,
}

impl Place {
    fn of(arguments: &Arguments) -> anyhow::Result<Self> {
        let provider = arguments.provider;
        let account = arguments.account.clone().unwrap_or_default();
        let url = arguments.url.as_deref().map(|url| arguments::endpoint(url, provider, &account)).transpose()?;
        let mut place = Place {
            url,
            account,
            secret_id: arguments.secret_id.clone().unwrap_or_else(|| stand_in(provider)),
            output: arguments.secret_id.is_none().then(|| output(provider)),
        };
        let Some(url) = &place.url else { return Ok(place) };
        if url.scheme_str() != Some("https") {
            bail!("--url {url}: platforms deliver to https only");
        }
        if url.query().is_some() {
            bail!("--url {url}: leave out what begins with the question mark");
        }
        // An address of another platform, or one that no route takes, would lose every delivery.
        let path = url.path().rsplit_once("/webhooks/").map_or("", |(_, path)| path);
        let (name, account) = path.split_once('/').map_or((path, None), |(name, account)| (name, Some(account)));
        let named = account.map(Account::parse);
        if name != provider.name || named == Some(None) {
            bail!("--url {url} does not end in /webhooks/{0} or /webhooks/{0}/{{account}}", provider.name);
        }
        let named = named.flatten().unwrap_or_default();
        if arguments.account.as_ref().is_some_and(|account| *account != named) {
            bail!("--url {url} is not the address of account {}", place.account);
        }
        place.account = named;
        Ok(place)
    }
}

/// The template's name for the output that names the platform's entry of Secrets Manager.
fn output(provider: &Provider) -> String {
    format!("{}Secret", provider.name)
}

/// What the pages say where the entry of Secrets Manager belongs.
fn stand_in(provider: &Provider) -> String {
    format!("{}_SECRET", provider.name.to_uppercase())
}

fn secret_id(id: &str) -> Result<String, String> {
    // What the service allows, so that it needs no quoting.
    let allowed = |c: char| c.is_ascii_alphanumeric() || "/_+=.@-:".contains(c);
    let is_right = !id.is_empty() && id.chars().all(allowed);
    is_right.then(|| id.to_owned()).ok_or_else(|| "a name or an ARN has letters, digits and /_+=.@-: only".to_owned())
}

/// Every step up to where deliveries can be verified, in Markdown. Also the section of the platform's page.
pub fn set_up(provider: &Provider, url: &str, account: &Account, secret_id: Option<&str>) -> String {
    let events: Vec<_> = provider.events.iter().map(|(name, _)| format!("`{name}`")).collect();
    let file = format!("{}.json", provider.name);
    let stand_in = stand_in(provider);
    let stands_for = match secret_id {
        Some(_) => String::new(),
        None => format!(" `{stand_in}` stands for the stack's output `{}`.", output(provider)),
    };
    let store = format!(
        "Write the secret to `{file}`, a file that only you can read, as `{{\"{account}\": [\"…\"]}}`, unless it is there \
         already, and store it.{stands_for}\n\n```sh\naws secretsmanager put-secret-value --secret-id {} --secret-string \
         file://{file}\n```\n\nThe file replaces everything in the entry: a further account's secret goes beside the first \
         one, under its own name. Then delete the file.",
        secret_id.unwrap_or(&stand_in)
    );
    let steps = provider
        .registration
        .steps
        .iter()
        .map(|step| step.replace("{url}", url).replace("{events}", &events.join(", ")));
    let steps = steps.chain([store]).enumerate().map(|(number, step)| {
        let number = format!("{}. ", number + 1);
        let indented = step.lines().enumerate().map(|(line, text)| match (line, text) {
            (0, text) => format!("{number}{text}\n"),
            (_, "") => "\n".to_owned(),
            (_, text) => format!("{}{text}\n", " ".repeat(number.len())),
        });
        indented.collect::<String>()
    });
    steps.collect()
}

/// Prints the steps.
fn steps(provider: &Provider, place: &Place, json: bool) -> anyhow::Result<()> {
    let url = place.url.as_ref().map(ToString::to_string);
    let shown = url.clone().unwrap_or_else(|| example(provider));
    let given = place.output.is_none().then_some(&*place.secret_id);
    let text = set_up(provider, &shown, &place.account, given);
    if json {
        return print_json(&json!({"provider": provider.name, "url": url, "steps": text}));
    }
    print(format_args!("{BOLD}{}: how to set up the endpoint{BOLD:#}\n\n{text}", provider.title))?;
    if url.is_none() {
        print(format_args!("{EXAMPLE} stands for your address: --url fills it in."))?;
    }
    Ok(())
}

/// What stands for the platform's address until it is known.
pub fn example(provider: &Provider) -> String {
    format!("{EXAMPLE}/webhooks/{}", provider.name)
}

/// The request that creates an endpoint.
struct Registration {
    provider: &'static Provider,
    api: &'static Call,
    url: Uri,
    body: Value,
    secret_file: Option<PathBuf>,
    patience: Duration,
}

impl Registration {
    fn new(api: &'static Call, arguments: &Arguments, place: &Place) -> anyhow::Result<Self> {
        let provider = arguments.provider;
        let place =
            place.url.as_ref().context("say where deliveries are to go: --url https://…, the stack's output")?;
        let known: Vec<_> = provider.events.iter().map(|&(name, _)| name).collect();
        if let Some(event) = arguments.event.iter().find(|event| !known.contains(&event.as_str())) {
            bail!("{} documents no event {event}: it has {}", provider.name, known.join(", "));
        }
        let url = arguments::address("--api-url", arguments.api_url.as_deref().unwrap_or(api.url))?;
        if url.scheme_str() != Some("https") && !host::is_this_machine(&url) {
            bail!("--api-url {url}: the API key goes over https only");
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

    fn show(&self, json: bool) -> anyhow::Result<()> {
        let key = format!("Bearer (the value of {}, not shown)", self.api.key);
        let Registration { url, body, .. } = self;
        if json {
            let headers = json!({"authorization": key, "content-type": "application/json"});
            let request = json!({"method": "POST", "url": url.to_string(), "headers": headers, "body": body});
            return print_json(&json!({"sent": false, "request": request}));
        }
        print(format_args!(
            "Nothing was sent. It would be:\n\nPOST {url}\nauthorization: {key}\ncontent-type: application/json\n\n{body:#}"
        ))
    }

    async fn make(&self, place: &Place, json: bool) -> anyhow::Result<ExitCode> {
        let variable = self.api.key;
        let key = std::env::var(variable).ok().map(|key| key.trim().to_owned()).filter(|key| !key.is_empty());
        let key = key.with_context(|| format!("no API key: put it into the environment variable {variable}"))?;
        if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            bail!("{variable} is no API key: it has spaces or letters that no header can hold");
        }
        let path = self.secret_file.as_deref().with_context(|| {
            format!("say where the signing secret is to be written: --secret-file {}.json", self.provider.name)
        })?;
        let poster = Poster::new(self.url.clone())?;
        // Before the call: a secret that is shown once must have a place to go.
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
                "hookgate: the endpoint is created, but {} cannot be written ({error}): look for its secret in the \
                 dashboard",
                path.display()
            );
            return Ok(ExitCode::No);
        }
        let id = parsed["id"].as_str().filter(|id| is_plain(id) && secret.as_deref() != Some(id));
        // A login page or a proxy's maintenance page is a 200 too.
        let sure = answer.status() == StatusCode::CREATED || parsed.is_object();
        let created = Created {
            sure,
            id,
            secret: secret.is_some(),
            answer: answer.body().as_deref(),
            path,
            place,
            asked: &self.body,
        };
        if json {
            print_json(&created.as_json())?;
        } else {
            print(created.as_text())?;
        }
        Ok(secret.is_some().into())
    }
}

/// What to do where nobody can say what became of the call.
const UNKNOWN: &str = "whether the endpoint now exists is unknown; look in the dashboard first, another run could create \
                       a second one";

/// Why the platform did not create it, and what to do. Its own words are shown too, without the key.
fn refused(status: StatusCode, body: &[u8], key: &str, request: &Registration) -> String {
    let variable = request.api.key;
    let remedy = match status.as_u16() {
        401 | 403 => format!("the API key is refused: check {variable}, and what the key may do"),
        400 | 422 => "the request is refused: check --url, --event and --description".to_owned(),
        404 | 405 => format!("there is no such call at {}: check --api-url", request.url),
        409 => "there is such an endpoint already: look in the dashboard".to_owned(),
        429 => "too many calls: wait, and run it again".to_owned(),
        300..=399 => "it answers with another address, and the API key is not sent there: check --api-url".to_owned(),
        500.. => format!("the platform failed: {UNKNOWN}"),
        _ => "the request is refused".to_owned(),
    };
    let answer: Value = serde_json::from_slice(body).unwrap_or_default();
    let mut words = ["/message", "/error/message", "/error", "/detail"].iter();
    let words = words.find_map(|path| answer.pointer(path)?.as_str()).unwrap_or_default();
    let words: String = words.replace(key, "…").chars().filter(|c| !c.is_control()).take(MOST_WORDS).collect();
    let words = if words.is_empty() { words } else { format!(" (it says: {words})") };
    format!("HTTP {}: {remedy}{words}", status.as_u16())
}

/// What was created, to be told.
struct Created<'a> {
    /// Whether the answer says that it was.
    sure: bool,
    id: Option<&'a str>,
    /// Whether the file holds the signing secret. Else it holds the whole answer.
    secret: bool,
    /// None where it broke off.
    answer: Option<&'a [u8]>,
    path: &'a Path,
    place: &'a Place,
    asked: &'a Value,
}

impl Created<'_> {
    fn command(&self) -> String {
        let file = quoted(&format!("file://{}", self.path.display()));
        format!("aws secretsmanager put-secret-value --secret-id {} --secret-string {file}", self.place.secret_id)
    }

    fn as_json(&self) -> Value {
        json!({
            "created": self.sure.then_some(true),
            "id": self.id,
            "url": self.asked["url"],
            "events": self.asked["events"],
            "file": self.path.display().to_string(),
            "has_secret": self.secret,
            "store": self.secret.then(|| self.command()),
        })
    }

    fn as_text(&self) -> String {
        let id = self.id.map_or_else(String::new, |id| format!(" ({id})"));
        let url = self.asked["url"].as_str().unwrap_or_default();
        let path = self.path.display();
        let created = if self.sure {
            format!("{GOOD}created{GOOD:#}{id}: deliveries go to {url}\n")
        } else {
            format!("{MAYBE}unknown{MAYBE:#}: this is no answer of the platform's API, and {UNKNOWN}\n")
        };
        if !self.secret {
            let kept = match self.answer {
                None => {
                    "The answer broke off, or was too long: if the secret stood in it and the dashboard does not show \
                         it, delete the endpoint there and register it again."
                        .to_owned()
                }
                Some([]) => "The answer is empty.".to_owned(),
                Some(_) => format!("The answer is kept whole in {path}: look there, then in the dashboard."),
            };
            return format!(
                "{created}\n{MAYBE}No signing secret was recognised in the answer.{MAYBE:#} {kept}\nWrite {path} as \
                 {{\"{}\": [\"the secret\"]}}, then store it:\n  {}\n{}",
                self.place.account,
                self.command(),
                self.notes()
            );
        }
        format!(
            "{created}\nIts signing secret is in {path}, which only you can read. Store it, then delete the file:\n  {}\n{}",
            self.command(),
            self.notes()
        )
    }

    fn notes(&self) -> String {
        let whole = "It replaces everything in that entry: if other accounts have secrets there, put them into the file \
                     first.\n";
        let Some(output) = &self.place.output else { return whole.to_owned() };
        format!("{} stands for the stack's output {output}: --secret-id fills it in. {whole}", self.place.secret_id)
    }
}

/// A new file that only its owner can read.
fn create(path: &Path) -> anyhow::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let shown = path.display();
    options.open(path).with_context(|| {
        format!("cannot create {shown}: an existing file is never overwritten, choose another with --secret-file")
    })
}

/// The one signing secret of an answer whose form is not documented: the text under a name with "secret" in it. None where
/// there are several, or where it is shortened for showing.
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
