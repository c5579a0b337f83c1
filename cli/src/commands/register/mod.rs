//! `hookgate register`: registers the endpoint with a platform by a documented call of its API, or prints the steps for its
//! dashboard.

mod call;

use std::{fmt::Write as _, path::PathBuf};

use anyhow::bail;
use hookgate_verify::{Account, Provider, providers};
use http::Uri;
use serde_json::json;

use crate::{
    arguments,
    error::ExitCode,
    output::{BOLD, print, print_json},
};

/// The placeholder for an unknown address.
const EXAMPLE: &str = "https://hooks.example.com";

/// Register your endpoint with a platform.
///
/// Calls the platform's API if that documents such a call, with the API key from the environment. For every other platform,
/// prints the documented steps with your address filled in.
#[derive(Debug, clap::Args)]
#[command(after_help = examples())]
pub struct Arguments {
    /// Register with this platform
    #[arg(value_parser = arguments::provider())]
    provider: &'static Provider,
    /// Register this address: the stack's output, or one to which /webhooks/{provider}[/{account}] is added
    #[arg(long)]
    url: Option<String>,
    /// Register for this account [default: the one in the address, else "default"]
    #[arg(long, value_parser = arguments::account)]
    account: Option<Account>,
    /// Print commands for this entry of Secrets Manager: the stack's output, or a name
    #[arg(long, value_name = "ARN", value_parser = secret_id)]
    secret_id: Option<String>,
    /// Subscribe to this event, by the platform's own name. Repeatable [default: all]
    #[arg(long, value_name = "NAME")]
    event: Vec<String>,
    /// Describe the endpoint in the platform's list [default: Hookgate]
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Write the signing secret to this new file, which only you can read
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// Print the request without the key, and send nothing
    #[arg(long)]
    dry_run: bool,
    /// Call this address of the API, for tests: https, or on this machine
    #[arg(long, value_name = "URL")]
    api_url: Option<String>,
    /// Wait this long for the answer [default: 30]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=600))]
    timeout: Option<u64>,
    /// Print JSON
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

The last three use the platform's API, with the key in {}. The signing secret in the answer is written to the file, in \
             the form of Hookgate's secrets, and never shown.",
            call.key
        );
    }
    text + "
Exit code: 0 the endpoint is created and its secret is in the file (or the steps are printed); 1 it is not, or that is \
            unknown; 2 failed."
}

pub async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let provider = arguments.provider;
    let (url, account) = place(&arguments)?;
    if let Some(api) = &provider.registration.call {
        return call::run(&arguments, api, url, &account).await;
    }
    let for_calls = [
        ("--event", !arguments.event.is_empty()),
        ("--description", arguments.description.is_some()),
        ("--secret-file", arguments.secret_file.is_some()),
        ("--dry-run", arguments.dry_run),
        ("--api-url", arguments.api_url.is_some()),
        ("--timeout", arguments.timeout.is_some()),
    ];
    if let Some((option, _)) = for_calls.iter().find(|(_, given)| *given) {
        bail!("{} documents no call that registers an endpoint: leave out {option} to see the steps", provider.name);
    }
    print_steps(&arguments, url.as_ref(), &account)?;
    Ok(ExitCode::Yes)
}

/// The endpoint's address, if it was given, and its account.
fn place(arguments: &Arguments) -> anyhow::Result<(Option<Uri>, Account)> {
    let (name, account) = (arguments.provider.name, arguments.account.clone().unwrap_or_default());
    let Some(url) = &arguments.url else { return Ok((None, account)) };
    let url = arguments::endpoint(url, arguments.provider, &account)?;
    if url.scheme_str() != Some("https") {
        bail!("--url {url} is not https: platforms deliver to https only");
    }
    if url.query().is_some() {
        bail!("--url {url} has a query: leave out the question mark and what follows");
    }
    // An address of another platform or without a route would lose every delivery.
    let path = url.path().rsplit_once("/webhooks/").map_or("", |(_, path)| path);
    let named = match path.strip_prefix(name) {
        Some("") => Some(Account::default()),
        Some(rest) => rest.strip_prefix('/').and_then(Account::parse),
        None => None,
    };
    let Some(named) = named else {
        bail!("--url {url} does not end in /webhooks/{name} or /webhooks/{name}/{{account}}");
    };
    if arguments.account.is_some() && account != named {
        bail!("--url {url} is not the address of account {account}");
    }
    Ok((Some(url), named))
}

/// The stack's output with the ARN of the platform's entry of Secrets Manager.
fn output(provider: &Provider) -> String {
    format!("{}Secret", provider.name)
}

/// The placeholder for that entry.
fn stand_in(provider: &Provider) -> String {
    format!("{}_SECRET", provider.name.to_uppercase())
}

fn secret_id(id: &str) -> Result<String, String> {
    // What Secrets Manager allows; none of it needs quoting.
    let allowed = |c: char| c.is_ascii_alphanumeric() || "/_+=.@-:".contains(c);
    let is_right = !id.is_empty() && id.chars().all(allowed);
    is_right
        .then(|| id.to_owned())
        .ok_or_else(|| "expected a name or an ARN, of letters, digits and /_+=.@-:".to_owned())
}

/// The steps of the set-up in Markdown, up to storing the secret. Also a section of the platform's page.
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

fn print_steps(arguments: &Arguments, url: Option<&Uri>, account: &Account) -> anyhow::Result<()> {
    let provider = arguments.provider;
    let url = url.map(ToString::to_string);
    let shown = url.clone().unwrap_or_else(|| example(provider));
    let text = set_up(provider, &shown, account, arguments.secret_id.as_deref());
    if arguments.json {
        return print_json(&json!({"provider": provider.name, "url": url, "steps": text}));
    }
    print(format_args!("{BOLD}{}: how to set up the endpoint{BOLD:#}\n\n{text}", provider.title))?;
    if url.is_none() {
        print(format_args!("{EXAMPLE} stands for your address: set it with --url."))?;
    }
    Ok(())
}

/// The placeholder for the platform's address.
pub fn example(provider: &Provider) -> String {
    format!("{EXAMPLE}/webhooks/{}", provider.name)
}
