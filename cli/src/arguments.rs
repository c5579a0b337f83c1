//! Parsing of arguments: platforms, accounts, addresses, files.

use std::{net::SocketAddr, path::Path};

use anyhow::Context;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use hookgate_verify::{Account, Provider, providers};
use http::Uri;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// The local intake's default address.
pub(crate) const LOCAL: &str = "http://127.0.0.1:9000";

/// Fills in a help text: PLATFORM is the first platform, EVENT its first event, MEMBER a member of that event's body.
pub fn examples(text: &str) -> String {
    let Some(provider) = providers::ALL.first() else { return text.to_owned() };
    let event = provider.events.first().map_or("", |(name, _)| name);
    text.replace("PLATFORM", provider.name).replace("EVENT", event).replace("MEMBER", &member(provider))
}

/// The path of a member that is worth changing: the amount, or else an id.
pub(crate) fn member(provider: &Provider) -> String {
    let fields = &provider.fields;
    let path = fields.amount.first().or(fields.resource_paths("").first()).unwrap_or(&"");
    fields.in_object(path)
}

/// Parses a platform's name.
pub(crate) fn provider() -> impl TypedValueParser<Value = &'static Provider> {
    PossibleValuesParser::new(providers::ALL.iter().map(|provider| provider.name))
        .try_map(|name| Provider::named(&name).ok_or("no such platform"))
}

/// Parses an account's name.
pub(crate) fn account(name: &str) -> Result<Account, String> {
    Account::parse(name).ok_or_else(|| "an account's name has 1 to 64 characters of a-z, 0-9 and -".to_owned())
}

/// Parses an address to listen on: `127.0.0.1:9100`, `localhost:9100`, `:9100` or `9100`.
pub(crate) fn listen(text: &str) -> Result<SocketAddr, String> {
    let text = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
    let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
    let host = if host.is_empty() || host == "localhost" { "127.0.0.1" } else { host };
    format!("{host}:{port}")
        .parse()
        .map_err(|_| "expected a port, or an IP address and a port, like 9100 or 127.0.0.1:9100".to_owned())
}

/// The address of deliveries: `url`, with `/webhooks/{provider}[/{account}]` added unless it has `/webhooks` in it.
pub(crate) fn endpoint(url: &str, provider: &Provider, account: &Account) -> anyhow::Result<Uri> {
    let uri = address("--url", url)?;
    if uri.path().split('/').any(|part| part == "webhooks") {
        return Ok(uri);
    }
    let account = if *account == Account::default() { String::new() } else { format!("/{account}") };
    let base = url.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
    address("--url", &format!("{base}/webhooks/{}{account}", provider.name))
}

/// The platform that a path names: `/webhooks/{provider}`, behind whatever stage.
pub(crate) fn platform(path: &str) -> Option<&'static Provider> {
    providers::ALL.iter().copied().find(|provider| hookgate_intake::address(path, provider.name).is_some())
}

/// The account that the platform's function reads from a path. None where it rejects the address.
pub(crate) fn account_of(path: &str, provider: &Provider) -> Option<Account> {
    if path.trim_matches('/').is_empty() {
        return Some(Account::default());
    }
    Account::parse(hookgate_intake::address(path, provider.name)?)
}

/// The platform that keeps its signature in a header of this name.
pub(crate) fn platform_of_header(name: &str) -> Option<&'static Provider> {
    let signs = |provider: &&Provider| provider.schemes().any(|scheme| scheme.signature_header() == Some(name));
    providers::ALL.iter().copied().find(signs)
}

/// Parses the URL of an option. An address on this machine may leave out scheme and host.
pub(crate) fn address(option: &str, url: &str) -> anyhow::Result<Uri> {
    let uri = url.parse().ok().filter(|uri: &Uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|host| !host.is_empty())
    });
    let uri = uri.or_else(|| {
        let (start, path) = url.split_at(url.find('/').unwrap_or(url.len()));
        let local = listen(start).ok().filter(|local| local.ip().is_loopback())?;
        format!("http://{local}{path}").parse().ok()
    });
    uri.with_context(|| format!("{option} {url:?} is not a URL: write it like {LOCAL} or https://host/stage"))
}

/// Parses the address of a local engine, which may leave out scheme and host.
pub(crate) fn engine(text: &str) -> Result<String, String> {
    let uri = address("the address", text).map_err(|error| error.to_string())?;
    Ok(uri.to_string().trim_end_matches('/').to_owned())
}

/// Reads a time: an age (`10m`, `2h`, `1d`), RFC 3339, or Unix seconds.
pub(crate) fn time(text: &str) -> Result<OffsetDateTime, String> {
    let wrong = || "write it like 30s, 10m, 2h, 1d or 2026-03-14T16:00:00Z".to_owned();
    // A small number is an age without its unit, rather than a time in 1970.
    let seconds = || OffsetDateTime::from_unix_timestamp(text.parse().ok().filter(|_| text.len() >= 9)?).ok();
    if let Some(time) = OffsetDateTime::parse(text, &Rfc3339).ok().or_else(seconds) {
        return Ok(time);
    }
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    let number: u32 = number.parse().map_err(|_| wrong())?;
    let ago = time::Duration::seconds(i64::from(number) * seconds);
    OffsetDateTime::now_utc().checked_sub(ago).ok_or_else(wrong)
}

/// Reads the file of an argument.
pub(crate) fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// `" (did you mean order.paid?)"` if a known name is close to what was typed, else an empty text.
pub(crate) fn did_you_mean<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let distances = known.into_iter().map(|known| (strsim::levenshtein(typed, known), known));
    let nearest = distances.min().filter(|(distance, known)| *distance <= 3.min(known.len() / 2));
    nearest.map_or_else(String::new, |(_, known)| format!(" (did you mean {known}?)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_on_this_machine_may_be_short() {
        for (typed, address) in [
            ("9100", "127.0.0.1:9100"),
            (":9100", "127.0.0.1:9100"),
            ("localhost:9100", "127.0.0.1:9100"),
            ("http://localhost:9100/", "127.0.0.1:9100"),
            ("0.0.0.0:80", "0.0.0.0:80"),
            ("[::1]:9100", "[::1]:9100"),
        ] {
            assert_eq!(listen(typed).map(|address| address.to_string()).as_deref(), Ok(address), "{typed}");
        }
        for typed in ["", "x", "70000", "example.com:9100", "127.0.0.1", "1.2.3.4:", "https://localhost:9100"] {
            assert!(listen(typed).is_err(), "{typed}");
        }
    }

    #[test]
    fn a_url_on_this_machine_needs_no_scheme() {
        for (typed, url) in [
            ("http://127.0.0.1:9100", "http://127.0.0.1:9100/"),
            ("localhost:9100", "http://127.0.0.1:9100/"),
            ("9100", "http://127.0.0.1:9100/"),
            (":9100/webhooks/x", "http://127.0.0.1:9100/webhooks/x"),
            ("https://a.example/stage", "https://a.example/stage"),
        ] {
            assert_eq!(address("--url", typed).unwrap().to_string(), url, "{typed}");
        }
        for typed in ["", "a.example", "ftp://a.example", "http://", "0.0.0.0:80"] {
            assert!(address("--url", typed).is_err(), "{typed}");
        }
    }

    #[test]
    fn a_time_is_an_age_or_a_moment() {
        let ago = |text: &str| (OffsetDateTime::now_utc() - time(text).unwrap()).whole_seconds();
        for (text, seconds) in [("0s", 0), ("30s", 30), ("10m", 600), ("2h", 7200), ("1d", 86_400)] {
            assert!((ago(text) - seconds).abs() <= 1, "{text}");
        }
        for text in ["2026-03-14T16:00:00Z", "1773504000"] {
            assert_eq!(time(text).unwrap().unix_timestamp(), 1_773_504_000);
        }
        for text in ["", "m", "10", "-1m", "1w", "1.5h", "yesterday", "é", "4294967295d"] {
            assert!(time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn only_a_near_name_is_offered() {
        let known = ["order.paid", "order.created"];
        assert_eq!(did_you_mean("order.payd", known), " (did you mean order.paid?)");
        assert_eq!(did_you_mean("invoice", known), "");
    }
}
