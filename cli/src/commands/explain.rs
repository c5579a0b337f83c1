//! `hookgate explain`: reads a capture and secrets, asks the engine, shows what it says.

use std::{
    fmt::Write as _,
    io::{IsTerminal, Read},
    path::{Path, PathBuf},
};

use anstyle::{AnsiColor, Style};
use hookgate_verify::{Account, Provider, Secrets, Verifier};
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{
    arguments as usage,
    capture::{self as request, Request},
    error::UsageError,
    explain::{Explanation, explain},
};

/// Say why a captured request does or does not verify, and what to do about it.
///
/// Takes raw HTTP, a HAR or one of its entries, an API Gateway event, or a curl command; which one, it finds out. Shows
/// no secret, no whole signature, and nothing of the body unless asked.
#[allow(clippy::doc_markdown, reason = "help is shown as it is written")]
#[derive(Debug, clap::Args)]
#[command(after_help = usage::examples("Examples:
  hookgate explain PLATFORM request.txt --secrets secrets.json
  pbpaste | HOOKGATE_SECRET=$(pass shop) hookgate explain PLATFORM
  hookgate explain PLATFORM capture.har --entry 3 --secrets secrets.json --json
  hookgate explain PLATFORM event.json --at 2026-03-14T16:00:01Z --secrets secrets.json
  hookgate send PLATFORM EVENT --print curl | hookgate explain PLATFORM --secrets events/secrets.json

A file of secrets has the form {\"PLATFORM\": {\"default\": [\"current\", \"older\"]}}, or is one platform's part of it.
Exit code: 0 it verifies, 1 it does not, 2 the capture or the command line cannot be read."))]
pub struct Arguments {
    /// Whose delivery it should be.
    #[arg(value_parser = usage::provider())]
    provider: &'static Provider,
    /// The captured request [default: standard input].
    #[arg(value_name = "FILE")]
    capture: Option<PathBuf>,
    /// A secret of the account, the current one first. It stays in your shell's history: rather use --secrets, or the
    /// environment variable HOOKGATE_SECRET.
    #[arg(long, value_name = "SECRET", conflicts_with = "secrets")]
    secret: Vec<String>,
    /// A file of secrets.
    #[arg(long, value_name = "FILE")]
    secrets: Option<PathBuf>,
    /// The account [default: the one in the request's address, else "default"].
    #[arg(long, value_parser = usage::account)]
    account: Option<Account>,
    /// When the request was received, as RFC 3339 or Unix seconds [default: now].
    #[arg(long, value_name = "TIME", value_parser = moment)]
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
///
/// # Errors
/// The capture, the secrets or a setting cannot be used.
pub fn run(arguments: &Arguments) -> Result<bool, UsageError> {
    let provider = arguments.provider;
    let capture = match arguments.capture.as_deref().filter(|path| *path != Path::new("-")) {
        Some(path) => usage::read(path)?,
        None => standard_input()?,
    };
    let requests = Request::parse(&capture).map_err(|error| UsageError(error.to_string()))?;
    let mut request = request::choose(requests, provider, arguments.entry).map_err(|e| UsageError(e.to_string()))?;
    if let Some(path) = &arguments.body {
        request.body = usage::read(path)?;
        request.notes.clear();
    }
    let account = arguments.account.clone().or_else(|| request.account()).unwrap_or_default();
    let secrets = arguments.secrets(&account)?;
    let setting = |name: &str| arguments.mode.clone().or_else(|| std::env::var(name).ok());
    if arguments.mode.is_some() && provider.setting.is_none() {
        return Err(UsageError(format!("{} has no setting: leave --mode out", provider.name)));
    }
    let verifier = Verifier::new(provider, setting).map_err(|error| UsageError(error.to_string()))?;
    let now = arguments.at.unwrap_or_else(OffsetDateTime::now_utc);

    let explanation = explain(&request, verifier, &secrets, &account, now);
    if arguments.json {
        anstream::println!("{:#}", as_json(&explanation, &request, arguments.show_signed));
    } else {
        anstream::print!("{}", as_text(&explanation, &request, arguments.show_signed));
    }
    Ok(explanation.verdict.is_ok())
}

impl Arguments {
    fn secrets(&self, account: &Account) -> Result<Secrets, UsageError> {
        let of_account = |list: Value| {
            Secrets::as_given(&json!({ account.as_str(): list }).to_string())
                .map_err(|error| UsageError(format!("the secret cannot be used: {error}")))
        };
        if let Some(path) = &self.secrets {
            return from_file(path, self.provider);
        }
        if !self.secret.is_empty() {
            return of_account(json!(self.secret));
        }
        match std::env::var("HOOKGATE_SECRET") {
            Ok(secret) => of_account(json!([secret])),
            Err(_) => Err(UsageError(
                "no secret: give a file with --secrets, one with --secret, or the environment variable HOOKGATE_SECRET"
                    .into(),
            )),
        }
    }
}

/// The provider's secrets from a file of all providers', or of this one's alone.
fn from_file(path: &Path, provider: &Provider) -> Result<Secrets, UsageError> {
    let shown = path.display();
    let text = String::from_utf8(usage::read(path)?)
        .map_err(|_| UsageError(format!("{shown} is not UTF-8: it holds no secrets")))?;
    let all = serde_json::from_str::<serde_json::Map<String, Value>>(&text).unwrap_or_default();
    let part = match all.get(provider.name) {
        Some(part) => part.to_string(),
        None if all.keys().any(|name| Provider::named(name).is_some()) => {
            return Err(UsageError(format!("{shown} has no secrets of {}: add them there", provider.name)));
        }
        None => text,
    };
    Secrets::parse(&part).map_err(|error| UsageError(format!("{shown}: {error}")))
}

fn standard_input() -> Result<Vec<u8>, UsageError> {
    let mut stdin = std::io::stdin();
    if stdin.is_terminal() {
        anstream::eprintln!("Paste the captured request, then end it with Ctrl-D.");
    }
    let mut capture = Vec::new();
    stdin.read_to_end(&mut capture).map_err(|error| UsageError(format!("cannot read standard input: {error}")))?;
    Ok(capture)
}

fn moment(text: &str) -> Result<OffsetDateTime, String> {
    let seconds = text.parse().ok().and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    seconds
        .or_else(|| OffsetDateTime::parse(text, &Rfc3339).ok())
        .ok_or_else(|| "write it like 2026-03-14T16:00:01Z, or as Unix seconds".to_owned())
}

/// What `--json` prints.
pub(crate) fn as_json(explanation: &Explanation, request: &Request, show_signed: bool) -> Value {
    let Explanation { provider, account, verdict, signed, diagnoses } = explanation;
    let diagnoses: Vec<_> = diagnoses
        .iter()
        .map(|said| json!({"code": said.code, "certain": said.certain, "finding": said.finding, "remedy": said.remedy}))
        .collect();
    let mut answer = json!({
        "provider": provider,
        "account": account.as_str(),
        "capture": request.form.as_str(),
        "verifies": verdict.is_ok(),
        "diagnoses": diagnoses,
    });
    match verdict {
        Ok(verified) => {
            answer["scheme"] = verified.scheme.into();
            answer["secret"] = verified.secret.into();
        }
        Err(rejection) => answer["reason"] = rejection.as_str().into(),
    }
    if let Some(signed) = signed {
        answer["signed"] = json!({"scheme": signed.scheme, "what": signed.what, "bytes": signed.text.len()});
        answer["signed"]["expected"] = json!(signed.expected);
        answer["signed"]["received"] = json!(signed.received);
        if show_signed {
            answer["signed"]["text"] = String::from_utf8_lossy(&signed.text).into();
        }
    }
    answer
}

fn as_text(explanation: &Explanation, request: &Request, show_signed: bool) -> String {
    let Explanation { provider, account, verdict, signed, diagnoses } = explanation;
    let (bold, dim) = (Style::new().bold(), Style::new().dimmed());
    let mut text = String::new();
    let colour = |colour: AnsiColor| colour.on_default().bold();
    let (good, bad, maybe) = (colour(AnsiColor::Green), colour(AnsiColor::Red), colour(AnsiColor::Yellow));
    let _ = match verdict {
        Ok(verified) => writeln!(
            text,
            "{bold}{provider}, account {account}: {bold:#}{good}verifies{good:#} (scheme {}, secret {})",
            verified.scheme, verified.secret
        ),
        Err(rejection) => writeln!(
            text,
            "{bold}{provider}, account {account}: {bold:#}{bad}does not verify{bad:#} ({})",
            rejection.as_str()
        ),
    };
    let _ = writeln!(text, "\n  {dim}capture{dim:#}   {}", request.form.as_str());
    if let Some(signed) = signed {
        let _ = writeln!(text, "  {dim}scheme{dim:#}    {}", signed.scheme);
        let _ = writeln!(text, "  {dim}signed{dim:#}    {}", signed.what);
        for (name, digits) in [("expected", &signed.expected), ("received", &signed.received)] {
            if let Some(digits) = digits {
                let _ = writeln!(text, "  {dim}{name}{dim:#}  {digits}");
            }
        }
    }
    let mark = |certain| match (verdict.is_ok(), certain) {
        (false, true) => (bad, "✗"),
        (true, true) => (good, "·"),
        (_, false) => (maybe, "?"),
    };
    for said in diagnoses {
        let (colour, mark) = mark(said.certain);
        let _ = writeln!(text, "\n  {colour}{mark}{colour:#} {}\n    → {}", said.finding, said.remedy);
    }
    if let Some(signed) = signed.as_ref().filter(|_| show_signed) {
        let _ = writeln!(
            text,
            "\n  {dim}the signed text, between the lines{dim:#}\n  {0}\n{1}\n  {0}",
            "─".repeat(40),
            String::from_utf8_lossy(&signed.text)
        );
    }
    text
}
