//! The deployed functions' settings and timeouts. One call to Lambda for each.

use ::http::StatusCode;
use aws_types::SdkConfig;
use hookgate_verify::{Provider, providers::Retries};
use serde_json::Value;

use super::{Check, bootstrap, secrets::Entries};
use crate::{
    client::{
        aws::Clients,
        stack::{Ask, LOOK_AT, call},
    },
    error::with_causes,
};

/// How long a claim's lease outlasts the function's timeout, in seconds: see `shared/intake/src/claim.rs`.
const AFTER_TIMEOUT: u64 = 2;

/// A function's timeout in the template, in seconds.
const TIMEOUT: u64 = 8;

/// The platform's shortest documented retry delay that a lease can be shorter than, in seconds.
fn shortest_retry(provider: &Provider) -> u64 {
    let documented = match provider.deliveries.retries {
        Retries::After(delays) => delays,
        Retries::Times(_) | Retries::For(_) | Retries::Unknown => &[],
    };
    let pauses = documented.iter().map(|seconds| u64::from(*seconds));
    pauses.filter(|seconds| *seconds > TIMEOUT + AFTER_TIMEOUT).min().unwrap_or(60)
}

fn setting<'c>(configuration: &'c Value, name: &str) -> Option<&'c str> {
    configuration["Environment"]["Variables"][name].as_str().filter(|value| !value.is_empty())
}

/// Checks the stack's functions, which `template.yaml` names after the stack and the platform; `expected` are their settings.
/// Returns the entries of Secrets Manager that they read.
pub(super) async fn check(
    clients: &Clients,
    aws: &SdkConfig,
    stack: &str,
    providers: &[&'static Provider],
    expected: [(&str, Option<&str>); 3],
) -> anyhow::Result<(Vec<Check>, Entries)> {
    let credentials = clients.credentials().await?;
    let (mut checks, mut entries) = (Vec::new(), Vec::new());
    for provider in providers {
        let name = provider.name;
        let path = format!("2015-03-31/functions/{stack}-{name}/configuration");
        let entry = match call(aws, &credentials, "lambda", Ask::Path(&path)).await {
            Ok((StatusCode::OK, answer)) => {
                let configuration = serde_json::from_slice(&answer).unwrap_or_default();
                checks.push(lease(provider, &configuration));
                checks.push(settings(name, &configuration, expected));
                checks.push(age(name, &configuration));
                checks.extend(bootstrap::check(name, &configuration));
                let id = setting(&configuration, "SECRET_ID").map(str::to_owned);
                id.ok_or_else(|| "its function has no SECRET_ID".to_owned())
            }
            Ok((StatusCode::NOT_FOUND, _)) => {
                checks.push(Check::problem(
                    name,
                    "the stack has no function for it",
                    "add it to the parameter Providers and deploy. If it was deleted by hand, deploy without it first",
                ));
                Err("it has no function".to_owned())
            }
            Ok((status, answer)) => {
                let error: Value = serde_json::from_slice(&answer).unwrap_or_default();
                // Lambda spells the member in both ways.
                let message = error["Message"].as_str().or_else(|| error["message"].as_str()).unwrap_or("no reason");
                let why = format!("Lambda answered {}: {message}", status.as_u16());
                checks.push(Check::unknown(name, &why, "allow lambda:GetFunctionConfiguration, or ask who may"));
                Err(why)
            }
            Err(error) => {
                let why = with_causes(error.as_ref());
                checks.push(Check::unknown(name, &why, LOOK_AT));
                Err(why)
            }
        };
        entries.push((*provider, entry));
    }
    Ok((checks, entries))
}

fn lease(provider: &Provider, configuration: &Value) -> Check {
    let what = format!("{}, lease", provider.name);
    let Some(timeout) = configuration["Timeout"].as_u64() else {
        return Check::unknown(what, "Lambda returned no timeout", "");
    };
    let (lease, shortest_retry) = (timeout + AFTER_TIMEOUT, shortest_retry(provider));
    if lease < shortest_retry {
        return Check::ok(what, format!("{lease} s, a retry comes after {shortest_retry} s"));
    }
    Check::problem(
        what,
        format!(
            "a claim's lease is {lease} s (the function's timeout of {timeout} s plus {AFTER_TIMEOUT} s): after a crash, a \
             retry after {shortest_retry} s is answered 503, and the event waits for a later one"
        ),
        "set the function's Timeout to 8 s, as in template.yaml",
    )
}

fn settings(name: &str, configuration: &Value, expected: [(&str, Option<&str>); 3]) -> Check {
    let what = format!("{name}, settings");
    let wrong: Vec<_> = expected
        .into_iter()
        .filter_map(|(name, expected)| match (setting(configuration, name), expected) {
            (None, _) => Some(format!("{name} is not set")),
            (Some(set), Some(expected)) if set != expected => Some(format!("{name} is {set}, not {expected}")),
            (Some(_), _) => None,
        })
        .collect();
    if !wrong.is_empty() {
        Check::problem(
            what,
            wrong.join("; "),
            "set it as template.yaml does, or name the table and queues in use with --table, --queue and --quarantine",
        )
    } else if setting(configuration, "WEBHOOK_SECRETS").is_some() {
        Check::problem(
            what,
            "WEBHOOK_SECRETS shows the signing secrets to everybody who may view the function",
            "put them into Secrets Manager, name the entry in SECRET_ID, and change them at the platform",
        )
    } else if expected.iter().any(|(_, expected)| expected.is_none()) {
        Check::unknown(
            what,
            "not compared: the table or a queue was not found",
            "name it with --table, --queue or --quarantine, or allow this command to look it up",
        )
    } else {
        Check::ok(what, "the stack's table and queues")
    }
}

fn age(name: &str, configuration: &Value) -> Check {
    let what = format!("{name}, replays");
    let days = |name| setting(configuration, name)?.parse::<u64>().ok();
    let ttl = days("CLAIM_TTL_DAYS").unwrap_or(30);
    match days("MAX_EVENT_AGE_DAYS") {
        Some(age) if age < ttl => {
            Check::ok(what, format!("known for {ttl} days; events older than {age} days go to quarantine"))
        }
        Some(age) => Check::problem(
            what,
            format!(
                "MAX_EVENT_AGE_DAYS {age} is not below CLAIM_TTL_DAYS {ttl}: an event older than {ttl} days can be replayed"
            ),
            "lower it: the stack's parameters are MaxEventAgeDays and ClaimTtlDays",
        ),
        None => Check::problem(
            what,
            format!("MAX_EVENT_AGE_DAYS is not set: an event older than {ttl} days can be replayed"),
            "set it below CLAIM_TTL_DAYS, as template.yaml does",
        ),
    }
}
