//! The samples under `events/` and their secrets, built into the command.

use std::collections::BTreeMap;

use base64::{Engine, prelude::BASE64_STANDARD};
use hookgate_verify::{Account, Provider, Secrets};
use serde::Deserialize;
use serde_json::Value;
use time::OffsetDateTime;

use super::sign::{Tamper, sign};
use crate::client::http::Outgoing;

mod embedded {
    include!(concat!(env!("OUT_DIR"), "/samples.rs"));
}

/// One sample invocation: an API Gateway event of payload format 2.0.
#[derive(Debug, Clone)]
pub struct Sample {
    /// `{provider}/{file name without extension}`.
    pub name: String,
    pub provider: &'static Provider,
    /// `/webhooks/{provider}[/{account}]`.
    pub path: String,
    pub headers: BTreeMap<String, String>,
    /// Decoded.
    pub body: Vec<u8>,
    /// The text of the file.
    pub invocation: &'static str,
}

/// Every sample, by platform and name.
pub fn all() -> Vec<Sample> {
    embedded::SAMPLES.iter().map(|(name, invocation)| Sample::read(name, invocation)).collect()
}

/// The secrets of all samples: `events/secrets.json`.
pub fn secrets() -> &'static str {
    embedded::SECRETS
}

/// The sample secret of an account.
pub fn secret(provider: &Provider, account: &Account) -> Option<Vec<u8>> {
    let all: Value = serde_json::from_str(embedded::SECRETS).ok()?;
    let secrets = Secrets::parse(&all.get(provider.name)?.to_string()).ok()?;
    secrets.current(account).map(<[u8]>::to_vec)
}

impl Sample {
    fn read(name: &str, invocation: &'static str) -> Self {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Invocation {
            raw_path: String,
            headers: BTreeMap<String, String>,
            body: String,
            is_base64_encoded: bool,
        }
        let provider =
            name.split('/').next().and_then(Provider::named).expect("a sample lies in its platform's folder");
        let Invocation { raw_path: path, headers, body, is_base64_encoded } =
            serde_json::from_str(invocation).expect("a sample is an API Gateway event");
        let body =
            if is_base64_encoded { BASE64_STANDARD.decode(body).expect("its body is base64") } else { body.into() };
        Sample { name: name.to_owned(), provider, path, headers, body, invocation }
    }

    pub fn account(&self) -> Account {
        self.path.split('/').nth(3).and_then(Account::parse).unwrap_or_default()
    }

    /// The request, signed at `now` by the oldest scheme that is accepted by default, and tampered with.
    pub fn signed(&self, now: OffsetDateTime, tamper: Option<Tamper>) -> Outgoing {
        let scheme = self.provider.default_schemes().last().expect("every platform has a scheme");
        let secret = secret(self.provider, &self.account()).expect("every sample has a secret");
        // These two belong to the connection that the sample was taken from.
        let headers = self.headers.iter().filter(|(name, _)| *name != "host" && *name != "content-length");
        let headers: Vec<_> = headers.map(|(name, value)| (name.clone(), value.clone())).collect();
        sign(scheme, &secret, &headers, &self.body, now, tamper).expect("every sample can be signed")
    }
}
