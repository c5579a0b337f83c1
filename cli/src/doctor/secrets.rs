//! The signing secrets, as the functions read them. Nothing of them is ever shown, not even an account's name: a secret may
//! have been put where a name belongs.

use aws_sdk_secretsmanager::{Client, operation::get_secret_value::GetSecretValueError};
use aws_types::SdkConfig;
use hookgate_verify::{Account, Provider, Secrets};

use super::{
    Check, Checks, Section,
    functions::{Function, Functions},
};
use crate::{aws::Clients, send::outgoing::sample_secret};

/// What is to be said of the deployed functions' secrets.
pub(super) async fn check(clients: &Clients, aws: &SdkConfig, functions: &Functions) -> Vec<Check> {
    let mut checks = Checks::of(Section::Secrets);
    if functions.iter().all(|(_, function)| function.is_absent()) {
        checks.unknown(
            "secrets",
            "there is no function that reads any",
            "name the stack with --stack, the region with --region",
        );
    }
    let manager = Client::new(aws);
    for (provider, function) in functions {
        if function.is_absent() {
            continue;
        }
        if let Some(id) = function.setting("SECRET_ID") {
            one(&mut checks, clients, &manager, provider, id).await;
            continue;
        }
        let why = if let Function::Unknown(why) = function { why } else { "its function names none in SECRET_ID" };
        checks.unknown(provider.name, format!("which entry it reads is not known: {why}"), "");
    }
    checks.made
}

async fn one(checks: &mut Checks, clients: &Clients, manager: &Client, provider: &'static Provider, id: &str) {
    let name = provider.name;
    let put = || {
        format!(
            "aws secretsmanager put-secret-value --secret-id {id} --secret-string file://{name}.json; hookgate register \
             {name} says where the secret comes from"
        )
    };
    let value = match manager.get_secret_value().secret_id(id).send().await {
        Ok(value) => value,
        Err(error) if error.as_service_error().is_some_and(GetSecretValueError::is_resource_not_found_exception) => {
            let remedy = "deploy the stack again, then put the platform's secret into the new entry";
            return checks.problem(name, format!("there is no {id}, or it holds nothing"), remedy);
        }
        Err(error) => {
            let why = clients.failed(&format!("cannot read {id}"), &error).to_string();
            return checks.unknown(name, why, "allow secretsmanager:GetSecretValue, or ask who may");
        }
    };
    let Some(text) = value.secret_string() else {
        return checks.problem(name, "it is stored as binary, and the function reads text", put());
    };
    let secrets = match Secrets::parse(text) {
        Ok(secrets) => secrets,
        Err(error) => return checks.problem(name, error.to_string(), put()),
    };
    let of = |account| secrets.of(account).iter().map(move |secret| (account, secret.as_bytes()));
    let all = || secrets.accounts().flat_map(of);
    let changed = if is_as_generated(text) { was_changed(manager, id).await } else { Some(true) };
    if changed.is_none() {
        let why = "it may still be the random value that the template drew: whether it was changed cannot be read";
        checks.unknown(name, why, "allow secretsmanager:DescribeSecret, or ask who may");
    } else if changed == Some(false) {
        checks.problem(name, "it is still the random value that the template drew: every delivery is rejected", put());
    } else if all().any(|(account, secret)| is_sample(provider, account, secret)) {
        checks.problem(
            name,
            "a secret of the published samples is among them: anybody can sign with it",
            format!("put only the platform's own secrets there: {}", put()),
        );
    } else if all().any(|(_, secret)| secret.trim_ascii() != secret) {
        checks.problem(name, "a secret begins or ends with white space, which counts: no signature will match", put());
    } else {
        let count = |count: usize, one: &str| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
        let (accounts, secrets) = (secrets.accounts().count(), all().count());
        checks.ok(name, format!("{} of {}", count(secrets, "secret"), count(accounts, "account")));
    }
}

/// Whether it could be what `GenerateSecretString` in `template.yaml` draws: 64 letters and digits, some of each kind.
fn is_as_generated(text: &str) -> bool {
    let has = |kind: fn(&u8) -> bool| text.bytes().any(|byte| kind(&byte));
    text.len() == 64
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && has(u8::is_ascii_lowercase)
        && has(u8::is_ascii_uppercase)
        && has(u8::is_ascii_digit)
}

/// Whether the entry had another value before. A platform's own secret could have the form of a random one.
/// None where that cannot be read.
async fn was_changed(manager: &Client, id: &str) -> Option<bool> {
    let described = manager.describe_secret().secret_id(id).send().await.ok()?;
    Some(described.version_ids_to_stages.is_some_and(|versions| versions.len() > 1))
}

fn is_sample(provider: &Provider, account: &Account, secret: &[u8]) -> bool {
    [account, &Account::default()]
        .into_iter()
        .any(|account| sample_secret(provider, account).as_deref() == Some(secret))
}
