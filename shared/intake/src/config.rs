//! Reads the settings from the environment and makes the AWS clients, as lean as the SDK allows.

use std::{fmt, sync::Arc, time::Duration};

use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use aws_sdk_dynamodb::config::{BehaviorVersion, Region, StalledStreamProtectionConfig, retry::RetryConfig};
use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_smithy_http_client::{
    Connector,
    tls::{Provider as Tls, TlsContext, TrustStore, rustls_provider::CryptoMode},
};
use aws_smithy_runtime_api::client::http::{HttpConnectorSettings, SharedHttpConnector, http_client_fn};
use aws_types::{SdkConfig, sdk_config::TimeoutConfig};
use hookgate_verify::{Provider, Secrets, Verifier};
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

use crate::{
    lean::Lean,
    log::Reporting,
    secrets::{self, SecretSource},
    store::{Destination, RESERVE, Store},
    table::Table,
};

/// [Amazon's own root certificates](https://www.amazontrust.com/repository/): AWS endpoints need no others, and nothing has
/// to be loaded from the system at the start.
const AMAZON_ROOTS: &[u8] = include_bytes!("roots.pem");

/// How often the SDK tries one call, including the first time.
const ATTEMPTS: u32 = 3;

/// The default response budget: half of the strictest platform's deadline.
const BUDGET_MS: u64 = 5_000;

/// A claim must not call a delivery a duplicate after the quarantine has dropped it: one day less than `template.yaml`
/// keeps a message there.
const QUARANTINE_CLAIM_TTL: Duration = Duration::from_hours(13 * 24);

/// One function's settings. `docs/deploy.md` lists the environment variables.
#[derive(Debug)]
pub struct Config {
    pub(crate) verifier: Verifier,
    pub(crate) secrets: SecretSource,
    pub(crate) store: Store,
    pub(crate) events: Destination,
    pub(crate) quarantine: Destination,
    pub(crate) budget: Duration,
    pub(crate) max_event_age: Option<Duration>,
    pub(crate) reporting: Reporting,
}

/// A setting is missing or invalid. Names the variable and the remedy, never a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The environment variable.
    pub name: String,
    /// What is wrong with it, and how to fix it.
    pub problem: String,
}

impl Config {
    /// Reads the settings of the platform's function; `setting` looks up an environment variable. An empty variable counts
    /// as not set.
    ///
    /// Numbers are integers: `CLAIM_TTL_DAYS` (default 30) and `MAX_EVENT_AGE_DAYS` (default: no limit) from 1 to 3,650,
    /// `RESPONSE_BUDGET_MS` (default 5,000) from 1,000 to 30,000.
    ///
    /// # Errors
    /// The first setting that is missing or invalid, or an `AWS_CA_BUNDLE` that cannot be read or has no certificates.
    pub fn from_settings(
        provider: &'static Provider,
        setting: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let setting = |name: &str| setting(name).filter(|value| !value.is_empty());
        let required = |name: &str, what: &str| {
            setting(name).ok_or_else(|| ConfigError::new(name, format!("is not set: give it {what}")))
        };
        let whole = |name: &str, range: std::ops::RangeInclusive<u64>| match setting(name) {
            None => Ok(None),
            Some(text) => text.parse().ok().filter(|number| range.contains(number)).map(Some).ok_or_else(|| {
                let (least, most) = (range.start(), range.end());
                ConfigError::new(name, format!("must be a whole number from {least} to {most}"))
            }),
        };

        let verifier = Verifier::new(provider, setting)
            .map_err(|error| ConfigError::new(error.name, format!("must be one of: {}", error.allowed.join(", "))))?;
        let budget = Duration::from_millis(whole("RESPONSE_BUDGET_MS", 1_000..=30_000)?.unwrap_or(BUDGET_MS));
        let aws = aws(budget, &setting, &required)?;
        // Without an endpoint the SDK derives the service's own from the region.
        let aws_at = |name: &str| {
            let mut config = aws.to_builder();
            config.set_endpoint_url(setting(name).or_else(|| setting("AWS_ENDPOINT_URL")));
            config.build()
        };
        let days = |days: u64| Duration::from_secs(days * 86_400);
        let secrets = match (setting("SECRET_ID"), setting("WEBHOOK_SECRETS")) {
            (Some(id), None) => {
                let aws = aws_at("AWS_ENDPOINT_URL_SECRETS_MANAGER");
                // The time for one read is enough for a second attempt, if the first one meets a dead connection.
                let attempt = TimeoutConfig::builder().operation_attempt_timeout(secrets::PATIENCE / 2).build();
                let config = aws_sdk_secretsmanager::config::Builder::from(&aws).timeout_config(attempt);
                let config = config.interceptor(Lean).build();
                SecretSource::manager(aws_sdk_secretsmanager::Client::from_conf(config), id)
            }
            (None, Some(inline)) => {
                let secrets =
                    Secrets::parse(&inline).map_err(|error| ConfigError::new("WEBHOOK_SECRETS", error.to_string()))?;
                SecretSource::Inline(Arc::new(secrets))
            }
            (None, None) => {
                return Err(ConfigError::new(
                    "SECRET_ID",
                    "is not set: give it the name of the Secrets Manager entry with the signing secrets, or, for local \
                     use, WEBHOOK_SECRETS the secrets themselves"
                        .to_owned(),
                ));
            }
            (Some(_), Some(_)) => {
                return Err(ConfigError::new("SECRET_ID", "and WEBHOOK_SECRETS are both set: unset one".to_owned()));
            }
        };
        let table = required("TABLE_NAME", "the name of the DynamoDB table of claims")?;
        let queue_url = required("QUEUE_URL", "the URL of the SQS queue of events")?;
        let quarantine_url = required("QUARANTINE_QUEUE_URL", "the URL of the SQS queue for unreadable deliveries")?;
        let claim_ttl = days(whole("CLAIM_TTL_DAYS", 1..=3_650)?.unwrap_or(30));
        let dynamodb = aws_sdk_dynamodb::config::Builder::from(&aws_at("AWS_ENDPOINT_URL_DYNAMODB")).interceptor(Lean);
        let sqs = aws_sdk_sqs::config::Builder::from(&aws_at("AWS_ENDPOINT_URL_SQS")).interceptor(Lean);
        Ok(Config {
            verifier,
            secrets,
            store: Store {
                table: Table::new(aws_sdk_dynamodb::Client::from_conf(dynamodb.build()), table),
                sqs: aws_sdk_sqs::Client::from_conf(sqs.build()),
            },
            events: Destination { queue_url, claim_ttl },
            quarantine: Destination { queue_url: quarantine_url, claim_ttl: claim_ttl.min(QUARANTINE_CLAIM_TTL) },
            budget,
            max_event_age: whole("MAX_EVENT_AGE_DAYS", 1..=3_650)?.map(days),
            reporting: Reporting {
                namespace: setting("METRICS_NAMESPACE").unwrap_or_else(|| "Hookgate".to_owned()),
                all: match setting("METRICS_LEVEL").as_deref() {
                    None | Some("all") => true,
                    Some("essential") => false,
                    Some(_) => {
                        return Err(ConfigError::new("METRICS_LEVEL", "must be one of: essential, all".to_owned()));
                    }
                },
            },
        })
    }
}

fn aws(
    budget: Duration,
    setting: &impl Fn(&str) -> Option<String>,
    required: &impl Fn(&str, &str) -> Result<String, ConfigError>,
) -> Result<SdkConfig, ConfigError> {
    // Lambda provides region and credentials as variables, so the SDK's chain of credential sources is not needed.
    let region = required("AWS_REGION", "the region of table and queues, like us-east-1")?;
    let key = required("AWS_ACCESS_KEY_ID", "an access key; Lambda sets it from the function's role")?;
    let secret = required("AWS_SECRET_ACCESS_KEY", "an access key's secret; Lambda sets it from the function's role")?;
    let credentials = Credentials::new(key, secret, setting("AWS_SESSION_TOKEN"), None, "environment");

    let unusable = || ConfigError::new("AWS_CA_BUNDLE", "is not a list of PEM certificates".to_owned());
    let mut roots = TrustStore::empty().with_pem_certificate(AMAZON_ROOTS);
    if let Some(path) = setting("AWS_CA_BUNDLE") {
        let pem = std::fs::read(&path)
            .map_err(|error| ConfigError::new("AWS_CA_BUNDLE", format!("names a file that cannot be read: {error}")))?;
        // The connector would panic on a certificate that it cannot read.
        let mut readable = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            readable.add(certificate.map_err(|_| unusable())?).map_err(|_| unusable())?;
        }
        if readable.is_empty() {
            return Err(unusable());
        }
        roots = roots.with_pem_certificate(pem);
    }
    let tls = TlsContext::builder().with_trust_store(roots).build().map_err(|_| unusable())?;

    let attempt = budget.saturating_sub(RESERVE) / ATTEMPTS;
    let sleep = SharedAsyncSleep::new(TokioSleep::new());
    // One connector for all clients: the SDK's `build_https` would parse the root certificates again for each client.
    let settings = HttpConnectorSettings::builder().connect_timeout(attempt.min(Duration::from_secs(1))).build();
    let connector = SharedHttpConnector::new(
        Connector::builder()
            .tls_provider(Tls::Rustls(CryptoMode::Ring))
            .tls_context(tls)
            .connector_settings(settings)
            .sleep_impl(sleep.clone())
            .build(),
    );

    Ok(SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(region))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .http_client(http_client_fn(move |_, _| connector.clone()))
        .sleep_impl(sleep)
        .retry_config(
            RetryConfig::standard().with_max_attempts(ATTEMPTS).with_initial_backoff(Duration::from_millis(25)),
        )
        .timeout_config(TimeoutConfig::builder().operation_attempt_timeout(attempt).build())
        // Bodies are small and timeouts strict, so watching the speed of a stream would only cost time.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .build())
}

impl ConfigError {
    fn new(name: &str, problem: String) -> Self {
        ConfigError { name: name.to_owned(), problem }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.problem)
    }
}

impl std::error::Error for ConfigError {}
