//! What the subcommands share on the command line: an error that is the caller's to mend, and how arguments are read.

use std::{fmt, path::Path};

use clap::builder::{PossibleValuesParser, TypedValueParser};
use hookgate_verify::{Account, Provider, providers};
use http::Uri;

/// Where the local intake listens, unless told otherwise.
pub(crate) const LOCAL: &str = "http://127.0.0.1:9000";

/// The command cannot be done as it was asked for: one line that names the thing and the remedy. Exit code 2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageError(pub String);

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UsageError {}

/// A help text with examples of the first platform: its name for PLATFORM, its first event's for EVENT, a member of the body
/// for MEMBER.
#[must_use]
pub fn examples(text: &str) -> String {
    let Some(provider) = providers::ALL.first() else { return text.to_owned() };
    let event = provider.events.first().map_or("", |(name, _)| name);
    text.replace("PLATFORM", provider.name).replace("EVENT", event).replace("MEMBER", &member(provider))
}

/// Where a member of the platform's bodies stands that one may want to change: an amount, or else an id.
pub(crate) fn member(provider: &Provider) -> String {
    let fields = &provider.fields;
    let path = fields.amount.first().or(fields.resource_paths("").first()).unwrap_or(&"");
    fields.in_object(path)
}

/// Reads a provider's name.
pub(crate) fn provider() -> impl TypedValueParser<Value = &'static Provider> {
    PossibleValuesParser::new(providers::ALL.iter().map(|provider| provider.name))
        .try_map(|name| Provider::named(&name).ok_or("no such provider"))
}

/// Reads an account's name.
pub(crate) fn account(name: &str) -> Result<Account, String> {
    Account::parse(name).ok_or_else(|| "an account is 1 to 64 of a-z, 0-9 and -".to_owned())
}

/// The address that deliveries go to: `url`, with `/webhooks/{provider}[/{account}]` added unless it has that.
pub(crate) fn endpoint(url: &str, provider: &Provider, account: &Account) -> Result<Uri, UsageError> {
    let uri = address("--url", url)?;
    if uri.path().split('/').any(|part| part == "webhooks") {
        return Ok(uri);
    }
    let account = if *account == Account::default() { String::new() } else { format!("/{account}") };
    let base = url.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
    address("--url", &format!("{base}/webhooks/{}{account}", provider.name))
}

/// Reads an address that an option gives.
pub(crate) fn address(option: &str, url: &str) -> Result<Uri, UsageError> {
    let uri = url.parse().ok().filter(|uri: &Uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|host| !host.is_empty())
    });
    uri.ok_or_else(|| UsageError(format!("{option} {url} is no address: write it like {LOCAL} or https://host/stage")))
}

/// Quotes a text for a POSIX shell.
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Reads a file that an argument names.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, UsageError> {
    std::fs::read(path).map_err(|error| UsageError(format!("cannot read {}: {error}", path.display())))
}
