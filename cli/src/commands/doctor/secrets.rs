//! The signing secrets, as the functions read them. Nothing of them is ever shown, not even an account's name: it could be a
//! secret in the wrong place.

use aws_sdk_secretsmanager::{Client, operation::get_secret_value::GetSecretValueError};
use aws_types::SdkConfig;
use hookgate_verify::{Account, Provider, Secrets};

use super::Check;
use crate::{client::aws::Clients, send::samples};

/// The ids of the entries that the platforms' functions read, or why they are unknown.
pub(super) type Entries = Vec<(&'static Provider, Result<String, String>)>;

pub(super) async fn check(clients: &Clients, aws: &SdkConfig, entries: Entries) -> Vec<Check> {
    let (mut checks, mut known) = (Vec::new(), Vec::new());
    let manager = Client::new(aws);
    for (provider, entry) in entries {
        let (check, secrets) = match entry {
            Ok(id) => one(clients, &manager, provider, &id).await,
            Err(why) => {
                let why = format!("its entry of Secrets Manager is unknown: {why}");
                (Check::unknown(provider.name, why, ""), None)
            }
        };
        checks.push(check);
        known.extend(secrets.map(|secrets| (provider.name, secrets)));
    }
    // With a shared secret, a delivery of one platform would verify as the other's.
    for (place, (one, secrets)) in known.iter().enumerate() {
        for (other, others) in &known[place + 1..] {
            if all(secrets).any(|(_, secret)| all(others).any(|(_, other)| other == secret)) {
                checks.push(Check::problem(
                    format!("{one}, {other}"),
                    "they share a secret: whoever has it can sign for both",
                    "change it at one of the two platforms, then store the new one in its entry",
                ));
            }
        }
    }
    checks
}

fn all(secrets: &Secrets) -> impl Iterator<Item = (&Account, &[u8])> {
    secrets.accounts().flat_map(|account| secrets.of(account).iter().map(move |secret| (account, secret.as_bytes())))
}

/// Checks the secrets of one platform. Returns them if they can be read.
async fn one(clients: &Clients, manager: &Client, provider: &Provider, id: &str) -> (Check, Option<Secrets>) {
    let name = provider.name;
    let put = format!(
        "aws secretsmanager put-secret-value --secret-id {id} --secret-string file://{name}.json; hookgate register \
         {name} says where to find the secret"
    );
    let value = match manager.get_secret_value().secret_id(id).send().await {
        Ok(value) => value,
        Err(error) if error.as_service_error().is_some_and(GetSecretValueError::is_resource_not_found_exception) => {
            let remedy = "deploy the stack again, then store the platform's secret in the entry";
            return (Check::problem(name, format!("{id} is missing or empty"), remedy), None);
        }
        Err(error) => {
            let why = clients.failed(&format!("cannot read {id}"), &error).to_string();
            return (Check::unknown(name, why, "allow secretsmanager:GetSecretValue, or ask who may"), None);
        }
    };
    let Some(text) = value.secret_string() else {
        return (Check::problem(name, "it is stored as binary, and the function reads text", put), None);
    };
    let secrets = match Secrets::parse(text) {
        Ok(secrets) => secrets,
        Err(error) => return (Check::problem(name, error.to_string(), put), None),
    };
    let changed = if is_as_generated(text) { was_changed(manager, id).await } else { Some(true) };
    let check = if changed.is_none() {
        let why = "it may still be the template's random value: cannot read whether it was changed";
        Check::unknown(name, why, "allow secretsmanager:DescribeSecret, or ask who may")
    } else if changed == Some(false) {
        Check::problem(name, "it is still the template's random value: every delivery is rejected", put)
    } else if all(&secrets).any(|(account, secret)| is_sample(provider, account, secret)) {
        Check::problem(
            name,
            "it contains a published sample secret: anybody can sign with it",
            format!("store only the platform's own secrets: {put}"),
        )
    } else {
        let count = |count: usize, one: &str| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
        let (accounts, live) = (secrets.accounts().count(), all(&secrets).count());
        Check::ok(name, format!("{} of {}", count(live, "secret"), count(accounts, "account")))
    };
    (check, Some(secrets))
}

/// Whether it looks like the value of `GenerateSecretString` in `template.yaml`: 64 letters and digits, some of each kind.
fn is_as_generated(text: &str) -> bool {
    let has = |kind: fn(&u8) -> bool| text.bytes().any(|byte| kind(&byte));
    text.len() == 64
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && has(u8::is_ascii_lowercase)
        && has(u8::is_ascii_uppercase)
        && has(u8::is_ascii_digit)
}

/// Whether the entry had another value before: a platform's own secret could look like a random one. None if that cannot be
/// read.
async fn was_changed(manager: &Client, id: &str) -> Option<bool> {
    let described = manager.describe_secret().secret_id(id).send().await.ok()?;
    Some(described.version_ids_to_stages.is_some_and(|versions| versions.len() > 1))
}

fn is_sample(provider: &Provider, account: &Account, secret: &[u8]) -> bool {
    [account, &Account::default()]
        .into_iter()
        .any(|account| samples::secret(provider, account).as_deref() == Some(secret))
}
