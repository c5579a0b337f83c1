//! The endpoints: each must reject an unsigned delivery with the status that its platform expects. Their `Date` headers check
//! this machine's clock.

use std::time::Duration;

use bytes::Bytes;
use hookgate_verify::{Account, Provider, providers};
use http::{Response, Uri, header};
use serde_json::Value;
use time::{OffsetDateTime, format_description::well_known::Rfc2822};

use super::Check;
use crate::{
    arguments,
    client::http::{NoAnswer, Outgoing, Poster},
};

const PATIENCE: Duration = Duration::from_secs(10);

/// In seconds. A synchronised clock is never this far off; the limit that matters is 300.
const TOLERANCE: i64 = 30;

/// Checks the endpoints of these platforms, and the clock.
pub(super) async fn check(
    urls: &[String],
    providers: &[&'static Provider],
    is_local: bool,
) -> anyhow::Result<(Vec<Check>, Check)> {
    let (mut checks, mut asking) = (Vec::new(), Vec::new());
    for provider in providers {
        let Some(url) = url_of(urls, provider)? else {
            let remedy =
                "set --url to the stack's outputs: one address for all with an HTTP API, one each with Function URLs";
            checks.push(Check::unknown(provider.name, "its address is unknown", remedy));
            continue;
        };
        let poster = Poster::new(url.clone())?;
        asking.push((*provider, url, tokio::spawn(async move { ask(&poster).await })));
    }
    let mut clock = None;
    for (provider, url, asked) in asking {
        let (answer, ahead) = asked.await?;
        checks.push(endpoint(provider, &url, &answer, is_local));
        clock = clock.or_else(|| Some(compare(url.authority()?.as_str(), ahead?)));
    }
    let clock = clock.unwrap_or_else(|| {
        Check::unknown("clock", "no endpoint sent a Date header", "set --url to an address that answers")
    });
    Ok((checks, clock))
}

/// The platform's own address among `urls`, else one for all platforms.
fn url_of(urls: &[String], provider: &Provider) -> anyhow::Result<Option<Uri>> {
    let mut for_all = None;
    for url in urls {
        let uri = arguments::endpoint(url, provider, &Account::default())?;
        let path = uri.path().rsplit_once("/webhooks/").map_or("", |(_, path)| path);
        if path.split('/').next() == Some(provider.name) {
            if url.contains("/webhooks/") {
                return Ok(Some(uri));
            }
            for_all = Some(uri);
        }
    }
    Ok(for_all)
}

/// The answer to an unsigned delivery; and by how many seconds this machine's clock is ahead of the endpoint's, at least. None if
/// there is no `Date` header.
async fn ask(poster: &Poster) -> (Result<Response<Option<Bytes>>, NoAnswer>, Option<i64>) {
    let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
    let from = OffsetDateTime::now_utc();
    let answer = poster.exchange(Outgoing { headers, body: b"{}".to_vec() }, PATIENCE).await;
    let to = OffsetDateTime::now_utc();
    let date = answer.as_ref().ok().and_then(|answer| answer.headers().get(header::DATE)?.to_str().ok());
    let ahead = date.and_then(|date| OffsetDateTime::parse(date, &Rfc2822).ok()).map(|date| {
        // The header has whole seconds, and was written between request and answer.
        let ahead = (from - (date + Duration::from_secs(1))).whole_seconds().max(0);
        let behind = (date - to).whole_seconds().max(0);
        ahead - behind
    });
    (answer, ahead)
}

fn endpoint(
    provider: &Provider,
    url: &Uri,
    answer: &Result<Response<Option<Bytes>>, NoAnswer>,
    is_local: bool,
) -> Check {
    let (name, expected) = (provider.name, provider.rejected_status);
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => {
            let finding = format!("{url} does not answer: {error}");
            if is_local {
                let remedy = "start the local intake with `hookgate`, or set --url to its address";
                return Check::unknown(name, finding, remedy);
            }
            return Check::problem(name, finding, "check --url");
        }
    };
    let status = answer.status().as_u16();
    let body: Value = serde_json::from_slice(answer.body().as_deref().unwrap_or_default()).unwrap_or_default();
    let outcome = body["outcome"].as_str();
    if status == expected && outcome == Some("rejected") {
        return Check::ok(name, format!("rejects an unsigned delivery with {status}"));
    }
    let remedy = match status {
        200..=299 => {
            "an unsigned delivery must never be accepted: take this endpoint down, and find out what answers there"
        }
        404 if is_local => {
            "start the local intake with secrets of this platform (--secrets), or name those in use with --provider"
        }
        404 => "check --url; deploy this platform (the parameter Providers), or name those in use with --provider",
        403 => {
            "something asks for authentication: a Function URL needs AuthType NONE, and permission for everybody to invoke it"
        }
        429 => "it is throttled: wait, or raise ThrottlingRate, ThrottlingBurst or ReservedConcurrency",
        503 if outcome == Some("unavailable") => {
            "it cannot read its secrets: check the signing secrets, and that its role may read them"
        }
        500..=599 => "the function fails or is missing: check its log, and that the API may invoke it",
        _ => "something other than Hookgate answers: check --url",
    };
    let got = outcome.map_or_else(|| format!("HTTP {status}"), |outcome| format!("HTTP {status}, {}", plain(outcome)));
    let log = if status >= 500 { "; the reason is in the function's log (docs/operate.md)" } else { "" };
    Check::problem(name, format!("answers an unsigned delivery with {got}, not {expected}"), format!("{remedy}{log}"))
}

/// A word of an answer that may not be Hookgate's.
fn plain(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(32).collect()
}

fn compare(host: &str, ahead: i64) -> Check {
    if ahead.abs() <= TOLERANCE {
        return Check::ok("clock", format!("{} s off {host}'s", ahead.abs()));
    }
    let (seconds, side) = (ahead.abs(), if ahead > 0 { "ahead of" } else { "behind" });
    let times = providers::ALL.iter().flat_map(|provider| provider.schemes()).filter_map(|scheme| scheme.time);
    let expired = times
        .map(|time| time.tolerance)
        .min()
        .map_or_else(String::new, |tolerance| format!("signatures with a timestamp expire beyond {tolerance} s, "));
    Check::problem(
        "clock",
        format!(
            "{seconds} s {side} {host}'s: {expired}and AWS refuses calls beyond 300 s; an intake on this machine also takes \
             leases and expiry from this clock"
        ),
        "synchronise the clock: timedatectl set-ntp true",
    )
}
