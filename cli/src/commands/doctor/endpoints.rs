//! The endpoints: each must reject an unsigned delivery with the status that its platform expects. Their `Date` headers check
//! this machine's clock.

use std::time::Duration;

use hookgate_verify::{Account, Provider, providers};
use http::{Response, Uri, header};
use serde_json::Value;
use time::{OffsetDateTime, format_description::well_known::Rfc2822};
use tokio::task::JoinSet;

use super::{Check, Checks, Section};
use crate::{
    arguments,
    client::http::{Outgoing, Poster},
};

const PATIENCE: Duration = Duration::from_secs(10);

/// In seconds. A synchronised clock is never this far off; the limit that matters is 300.
const TOLERANCE: i64 = 30;

/// An answer, and when it was requested and received.
struct Asked {
    answer: Result<Response<Option<bytes::Bytes>>, String>,
    from: OffsetDateTime,
    to: OffsetDateTime,
}

/// Checks the endpoints of these platforms, and the clock.
pub(super) async fn check(
    urls: &[String],
    providers: &[&'static Provider],
    is_local: bool,
) -> anyhow::Result<Vec<Check>> {
    let (mut checks, mut clock) = (Checks::of(Section::Endpoints), Checks::of(Section::Clock));
    let mut asking = JoinSet::new();
    for (place, provider) in providers.iter().enumerate() {
        let Some(url) = url_of(urls, provider)? else {
            let remedy =
                "set --url to the stack's outputs: one address for all with an HTTP API, one each with Function URLs";
            checks.unknown(provider.name, "its address is unknown", remedy);
            continue;
        };
        let poster = Poster::new(url.clone())?;
        asking.spawn(async move { (place, url, ask(&poster).await) });
    }
    let mut asked = asking.join_all().await;
    asked.sort_by_key(|(place, ..)| *place);
    for (place, url, asked) in &asked {
        one(&mut checks, providers[*place], url, asked, is_local);
    }
    let told = asked.iter().find_map(|(_, url, asked)| Some((url, difference(asked)?)));
    match told {
        Some((url, seconds)) => compare(&mut clock, url.authority().map_or("", |host| host.as_str()), seconds),
        None => clock.unknown("clock", "no endpoint sent a Date header", "set --url to an address that answers"),
    }
    checks.made.extend(clock.made);
    Ok(checks.made)
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

async fn ask(poster: &Poster) -> Asked {
    let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
    let from = OffsetDateTime::now_utc();
    let answer = poster.exchange(Outgoing { headers, body: b"{}".to_vec() }, PATIENCE).await;
    Asked { answer: answer.map_err(|error| error.to_string()), from, to: OffsetDateTime::now_utc() }
}

fn one(checks: &mut Checks, provider: &Provider, url: &Uri, asked: &Asked, is_local: bool) {
    let (name, expected) = (provider.name, provider.rejected_status);
    let answer = match &asked.answer {
        Ok(answer) => answer,
        Err(error) if is_local => {
            let remedy = "start the local intake with `hookgate`, or set --url to its address";
            return checks.unknown(name, format!("{url} does not answer: {error}"), remedy);
        }
        Err(error) => return checks.problem(name, format!("{url} does not answer: {error}"), "check --url"),
    };
    let status = answer.status().as_u16();
    let body: Value = serde_json::from_slice(answer.body().as_deref().unwrap_or_default()).unwrap_or_default();
    let outcome = body["outcome"].as_str();
    if status == expected && outcome == Some("rejected") {
        return checks.ok(name, format!("rejects an unsigned delivery with {status}"));
    }
    let log = "the reason is in the function's log (docs/operate.md)";
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
    let remedy = if status >= 500 { format!("{remedy}; {log}") } else { remedy.to_owned() };
    checks.problem(name, format!("answers an unsigned delivery with {got}, not {expected}"), remedy);
}

/// A word of an answer that may not be Hookgate's.
fn plain(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(32).collect()
}

/// By how many seconds this machine's clock is ahead of the endpoint's, at least. None if there is no `Date` header.
fn difference(asked: &Asked) -> Option<i64> {
    let date = asked.answer.as_ref().ok()?.headers().get(header::DATE)?.to_str().ok()?;
    let date = OffsetDateTime::parse(date, &Rfc2822).ok()?;
    // The header has whole seconds, and was written between request and answer.
    let ahead = (asked.from - (date + Duration::from_secs(1))).whole_seconds().max(0);
    let behind = (date - asked.to).whole_seconds().max(0);
    Some(ahead - behind)
}

fn compare(clock: &mut Checks, host: &str, ahead: i64) {
    if ahead.abs() <= TOLERANCE {
        return clock.ok("clock", format!("{} s off {host}'s", ahead.abs()));
    }
    let (seconds, side) = (ahead.abs(), if ahead > 0 { "ahead of" } else { "behind" });
    let times = providers::ALL.iter().flat_map(|provider| provider.schemes()).filter_map(|scheme| scheme.time);
    let expired = times
        .map(|time| time.tolerance)
        .min()
        .map_or_else(String::new, |tolerance| format!("signatures with a timestamp expire beyond {tolerance} s, "));
    clock.problem(
        "clock",
        format!(
            "{seconds} s {side} {host}'s: {expired}and AWS refuses calls beyond 300 s; an intake on this machine also takes \
             leases and expiry from this clock"
        ),
        "synchronise the clock: timedatectl set-ntp true",
    );
}
