//! `hookgate explain`: reads a capture and secrets, asks the module `explain`, prints the answer.

use std::{
    fmt::Write as _,
    io::{IsTerminal, Read},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, anyhow, bail};
use hookgate_verify::{Account, Provider, Secrets, Verifier, providers};
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{
    arguments,
    capture::{self, Request, Requests},
    error::ExitCode,
    explain::{self, Explanation, Verdict},
    output::{BAD, BOLD, DIM, GOOD, MAYBE, print, print_json},
};

/// Say why a captured request does or does not verify, and what to do about it.
///
/// Takes raw HTTP, a HAR, an invocation event, a curl command, or an export of webhook.site, ngrok or Beeceptor, and finds out
/// which. Shows no secret, no whole signature, and nothing of the body unless asked.
#[derive(Debug, clap::Args)]
#[command(after_help = arguments::examples("Examples:
  hookgate explain PLATFORM request.txt --secrets secrets.json
  pbpaste | HOOKGATE_SECRET=$(pass shop) hookgate explain PLATFORM
  hookgate explain PLATFORM capture.har --entry 3 --secrets secrets.json --json
  hookgate explain PLATFORM event.json --at 2026-03-14T16:00:01Z --secrets secrets.json
  hookgate send PLATFORM EVENT --print curl | hookgate explain PLATFORM --secrets events/secrets.json

A file of secrets has the form {\"PLATFORM\": {\"default\": [\"current\", \"older\"]}}, or is one platform's part of it.
Exit code: 0 it verifies, 1 it does not, 2 the capture or the command line cannot be read."))]
pub struct Arguments {
    /// The platform [default: the one that the request's path names], and the file with the captured request [default:
    /// standard input].
    #[arg(value_names = ["PLATFORM", "FILE"], num_args = 0..=2)]
    subject: Vec<String>,
    /// A secret of the account. It stays in your shell's history: rather use --secrets, or HOOKGATE_SECRET.
    #[arg(long, value_name = "SECRET", conflicts_with = "secrets")]
    secret: Vec<String>,
    /// A file of secrets.
    #[arg(long, value_name = "FILE")]
    secrets: Option<PathBuf>,
    /// The account [default: the one in the request's address, else "default"].
    #[arg(long, value_parser = arguments::account)]
    account: Option<Account>,
    /// When the request was received, as RFC 3339, Unix seconds or an age (10m) [default: what the capture says, else
    /// now].
    #[arg(long, value_name = "TIME", value_parser = arguments::time)]
    at: Option<OffsetDateTime>,
    /// The value of the platform's setting, where it has one [default: the environment's].
    #[arg(long, value_name = "VALUE")]
    mode: Option<String>,
    /// Take the body's bytes from this file.
    #[arg(long, value_name = "FILE")]
    body: Option<PathBuf>,
    /// Which of several requests in the capture, from 1.
    #[arg(long, value_name = "N")]
    entry: Option<usize>,
    /// Show the text that was signed. It may hold personal data.
    #[arg(long)]
    show_signed: bool,
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
}

/// Whether the request verifies.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let (provider, file) = arguments.subject()?;
    let capture = match file.filter(|path| *path != Path::new("-")) {
        Some(path) => arguments::read(path)?,
        None => standard_input()?,
    };
    let body = arguments.body.as_deref().map(arguments::read).transpose()?;
    let request = choose(capture::read(&capture, body.as_deref())?, provider, arguments.entry)?;
    let named = provider.or_else(|| arguments::platform(&request.path));
    let provider = named.ok_or_else(|| {
        anyhow!("the request's path names no platform (/webhooks/…): say which, hookgate explain PLATFORM")
    })?;
    let in_path = arguments::account_of(&request.path, provider);
    let account = arguments.account.clone().or(in_path).unwrap_or_default();
    let secrets = arguments.secrets(provider, &account)?;
    if arguments.mode.is_some() && provider.setting.is_none() {
        bail!("{} has no setting: leave --mode out", provider.name);
    }
    let setting = |name: &str| arguments.mode.clone().or_else(|| std::env::var(name).ok());
    let verifier = Verifier::new(provider, setting)?;
    // As the capture says, unless the user does.
    let received = request.received.filter(|_| arguments.at.is_none());
    let arrived = received.and_then(|received| received.format(&Rfc3339).ok());
    let now = arguments.at.or(received).unwrap_or_else(OffsetDateTime::now_utc);
    let explanation = explain::explain(&request, verifier, &secrets, &account, now);
    let signed = explanation.signed.as_ref().filter(|_| arguments.show_signed);
    let text = signed.map(|signed| String::from_utf8_lossy(&signed.text));
    if arguments.json {
        let mut json = json!(explanation);
        json["arrived"] = json!(arrived);
        if let Some(text) = text {
            json["signed"]["text"] = text.into();
        }
        print_json(&json)?;
    } else {
        let text = text.map_or_else(String::new, |text| format!("\n  the signed text:\n\n{text}"));
        print(as_text(&explanation, arrived.as_deref()) + &text)?;
    }
    Ok(explanation.verifies.into())
}

impl Arguments {
    /// The platform, where one is named, and the file.
    fn subject(&self) -> anyhow::Result<(Option<&'static Provider>, Option<&Path>)> {
        match &self.subject[..] {
            [first, rest @ ..] if Provider::named(first).is_some() => {
                Ok((Provider::named(first), rest.first().map(Path::new)))
            }
            [file] if Path::new(file).exists() || file == "-" => Ok((None, Some(Path::new(file)))),
            [] => Ok((None, None)),
            [wrong, ..] => {
                let names: Vec<_> = providers::ALL.iter().map(|provider| provider.name).collect();
                let names = names.join(", ");
                Err(anyhow!("{wrong} is neither a platform nor a file (possible values: {names})"))
            }
        }
    }

    fn secrets(&self, provider: &Provider, account: &Account) -> anyhow::Result<Secrets> {
        if let Some(path) = &self.secrets {
            return from_file(path, provider);
        }
        let list = match std::env::var("HOOKGATE_SECRET") {
            _ if !self.secret.is_empty() => json!(self.secret),
            Ok(secret) => json!([secret]),
            Err(_) => bail!("no secret: give a file with --secrets, one with --secret, or set HOOKGATE_SECRET"),
        };
        Secrets::as_given(&json!({ account.as_str(): list }).to_string())
            .map_err(|error| anyhow!("the secret cannot be used: {error}"))
    }
}

/// Of several requests the one to explain: number `entry` from 1; or else the only one, the only one of the platform (of any
/// platform where none is given), or the only POST among these.
fn choose(requests: Requests, provider: Option<&Provider>, entry: Option<usize>) -> anyhow::Result<Request> {
    let count = requests.len();
    let wanted = |request: &Request| {
        let named = arguments::platform(&request.path);
        let signs = |name| {
            arguments::platform_of_header(name).is_some_and(|signed| Some(signed.name) == provider.map(|p| p.name))
        };
        named.is_some_and(|named| provider.is_none_or(|provider| provider.name == named.name))
            || request.headers.keys().any(|name| signs(name.as_str()))
    };
    let numbers = |only_posts: bool| -> Vec<usize> {
        let fits = |request: &Request| wanted(request) && (!only_posts || request.method == "POST");
        (1..=count).filter(|number| requests[number - 1].as_ref().is_ok_and(fits)).collect()
    };
    let number = match (entry, &numbers(false)[..], &numbers(true)[..]) {
        (Some(entry), ..) if (1..=count).contains(&entry) => entry,
        (Some(_), ..) => bail!("--entry goes from 1 to {count} in this capture"),
        (None, ..) if count == 1 => 1,
        (None, &[number], _) | (None, _, &[number]) => number,
        (None, [], _) => {
            let broken = requests.iter().zip(1..).find_map(|(request, number)| Some((number, request.as_ref().err()?)));
            let why =
                broken.map_or_else(String::new, |(number, why)| format!("; number {number} cannot be read: {why}"));
            let none = format!("none of the capture's {count} requests is known to be the platform's");
            bail!("{none}: choose one with --entry{why}");
        }
        (None, several, _) => {
            let numbers: Vec<_> = several.iter().map(usize::to_string).collect();
            bail!("the capture has several deliveries: choose one with --entry ({})", numbers.join(", "));
        }
    };
    requests.into_iter().nth(number - 1).context("the capture has no request")?
}

/// The platform's secrets from a file of all platforms', or of this one's alone.
fn from_file(path: &Path, provider: &Provider) -> anyhow::Result<Secrets> {
    let wrong = |what: String| anyhow!("{} {what}", path.display());
    let text =
        String::from_utf8(arguments::read(path)?).map_err(|_| wrong("is not UTF-8: it holds no secrets".into()))?;
    let all = serde_json::from_str::<serde_json::Map<String, Value>>(&text).unwrap_or_default();
    let part = match all.get(provider.name) {
        Some(part) => part.to_string(),
        None if all.keys().all(|name| Provider::named(name).is_none()) => text,
        None => return Err(wrong(format!("has no secrets of {}: add them there", provider.name))),
    };
    Secrets::parse(&part).map_err(|error| wrong(format!("cannot be used: {error}")))
}

fn standard_input() -> anyhow::Result<Vec<u8>> {
    let mut stdin = std::io::stdin();
    if stdin.is_terminal() {
        eprintln!("Paste the captured request, then end it with Ctrl-D.");
    }
    let mut capture = Vec::new();
    stdin.read_to_end(&mut capture).map_err(|error| anyhow!("cannot read standard input: {error}"))?;
    Ok(capture)
}

fn as_text(explanation: &Explanation, arrived: Option<&str>) -> String {
    let Explanation { provider, account, capture, verifies, accepted, signed, diagnoses, .. } = explanation;
    let mut text = format!("{BOLD}{provider}, account {account}: {BOLD:#}");
    let _ = match explanation.verdict {
        Verdict::Verified { scheme, secret } => {
            write!(text, "{GOOD}verifies{GOOD:#} (scheme {scheme}, secret {secret})")
        }
        Verdict::Rejected { reason } => write!(text, "{BAD}does not verify{BAD:#} ({reason})"),
    };
    if *verifies && !accepted {
        let _ = write!(text, ", {BAD}but an intake would reject it{BAD:#}");
    }
    let signed = signed.as_ref();
    text.push_str("\n\n");
    for (name, fact) in [
        ("capture", Some(*capture)),
        ("arrived", arrived),
        ("scheme", signed.map(|signed| &signed.scheme[..])),
        ("signed", signed.map(|signed| &signed.what[..])),
        ("expected", signed.and_then(|signed| signed.expected.as_deref())),
        ("received", signed.and_then(|signed| signed.received.as_deref())),
    ] {
        let _ = fact.map(|fact| writeln!(text, "  {DIM}{name:<9}{DIM:#} {fact}"));
    }
    for said in diagnoses {
        let (colour, mark) = match (said.certain, verifies) {
            (true, true) if *accepted => (GOOD, "·"),
            (true, _) => (BAD, "✗"),
            (false, _) => (MAYBE, "?"),
        };
        let _ = writeln!(text, "\n  {colour}{mark}{colour:#} {}\n    → {}", said.finding, said.remedy);
    }
    text
}
