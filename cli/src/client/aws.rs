//! Clients of an installation: the local intake, or a stack in an AWS account.

use std::error::Error;

use anyhow::{Context as _, anyhow, bail};
use aws_config::{ConfigLoader, profile::ProfileFileCredentialsProvider, provider_config::ProviderConfig};
use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials, SharedCredentialsProvider, error::CredentialsError},
};
use aws_sdk_sqs::{
    config::{BehaviorVersion, http::HttpResponse, retry::RetryConfig},
    error::{ProvideErrorMetadata, SdkError},
};
use aws_smithy_http_client::tls::{Provider as Tls, TlsContext, TrustStore, rustls_provider::CryptoMode};
use aws_types::{SdkConfig, region::Region};
use tokio::sync::OnceCell;

use super::{
    http::ca_bundle,
    stack::{self, Stack},
};
use crate::{arguments, error::with_causes, local::engines};

/// The options that choose an installation. Flatten them into a command's arguments.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Where")]
pub struct Deployment {
    /// Use an AWS account instead of the local intake, with the AWS CLI's credentials, profile and region
    #[arg(long)]
    pub aws: bool,
    /// Use this profile of ~/.aws/config, SSO included [default: the environment's]
    #[arg(long, value_name = "NAME", requires = "aws")]
    pub profile: Option<String>,
    /// Use this region [default: the environment's, else the profile's]
    #[arg(long, value_name = "NAME", requires = "aws")]
    pub region: Option<String>,
    /// Take the table, queues and addresses from this stack's outputs, unless they are given
    #[arg(long, value_name = "NAME", requires = "aws", default_value = "hookgate", value_parser = stack::name)]
    pub stack: String,
    /// Find the local intake's DynamoDB at this URL
    #[arg(long, value_name = "URL", conflicts_with = "aws", default_value = "http://127.0.0.1:9001", value_parser = arguments::engine)]
    pub dynamodb: String,
    /// Find the local intake's SQS at this URL
    #[arg(long, value_name = "URL", conflicts_with = "aws", default_value = "http://127.0.0.1:9002", value_parser = arguments::engine)]
    pub sqs: String,
}

/// The clients of one installation.
#[derive(Debug, Clone)]
pub struct Clients {
    /// DynamoDB.
    pub dynamodb: aws_sdk_dynamodb::Client,
    /// SQS.
    pub sqs: aws_sdk_sqs::Client,
    /// For clients of further services. None for the local intake, which has no others.
    pub aws: Option<SdkConfig>,
    deployment: Deployment,
    /// The deployed stack, once CloudFormation was asked.
    stack: OnceCell<Stack>,
}

/// The queues of an installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queue {
    /// Events for consumers.
    Events,
    /// Events that consumers failed to handle.
    DeadLetters,
    /// Verified deliveries that could not be read as events.
    Quarantine,
}

impl Queue {
    /// Its name in the local intake, and the output of `template.yaml` that holds its URL.
    const fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Events => ("hookgate-events", "EventsQueueUrl"),
            Self::DeadLetters => ("hookgate-dead-letters", "DeadLettersQueueUrl"),
            Self::Quarantine => ("hookgate-quarantine", "QuarantineQueueUrl"),
        }
    }

    /// The local intake's queue with this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        [Self::Events, Self::DeadLetters, Self::Quarantine].into_iter().find(|queue| queue.names().0 == name)
    }
}

impl Deployment {
    /// Makes the clients. Calls AWS only if the profile needs it.
    pub async fn clients(&self) -> anyhow::Result<Clients> {
        let (dynamodb, sqs, aws) = if self.aws {
            let aws = self.load().await?;
            (aws_sdk_dynamodb::Client::new(&aws), aws_sdk_sqs::Client::new(&aws), Some(aws))
        } else {
            // On this machine a retry would only delay the error that nothing answers.
            let once =
                |url: &str| engines::sdk_config(url).into_builder().retry_config(RetryConfig::disabled()).build();
            let dynamodb = aws_sdk_dynamodb::Client::new(&once(&self.dynamodb));
            (dynamodb, aws_sdk_sqs::Client::new(&once(&self.sqs)), None)
        };
        Ok(Clients { dynamodb, sqs, aws, deployment: self.clone(), stack: OnceCell::new() })
    }

    /// The standard chain: environment, profile, SSO, container, instance.
    async fn load(&self) -> anyhow::Result<SdkConfig> {
        let store = match ca_bundle()? {
            Some((pem, _)) => TrustStore::empty().with_pem_certificate(pem),
            None => TrustStore::default(),
        };
        let tls = TlsContext::builder().with_trust_store(store);
        let tls = tls.build().context("TLS cannot be set up")?;
        let http = aws_smithy_http_client::Builder::new().tls_provider(Tls::Rustls(CryptoMode::Ring)).tls_context(tls);
        let http = http.build_https();

        let mut chain: ConfigLoader = aws_config::defaults(BehaviorVersion::latest()).http_client(http.clone());
        if let Some(profile) = &self.profile {
            chain = chain.profile_name(profile);
        }
        if let Some(region) = &self.region {
            chain = chain.region(Region::new(region.clone()));
        }
        let aws = chain.load().await;
        let Some(region) = aws.region() else {
            bail!("the AWS region is missing: set --region, AWS_REGION, or the profile's region (aws configure)");
        };
        let Some(profile) = &self.profile else { return Ok(aws) };
        // The chain would prefer an access key in the environment to the profile that --profile names.
        let provider = ProviderConfig::without_region().with_region(Some(region.clone())).with_http_client(http);
        let credentials = ProfileFileCredentialsProvider::builder().configure(&provider).profile_name(profile).build();
        Ok(aws.into_builder().credentials_provider(SharedCredentialsProvider::new(credentials)).build())
    }
}

impl Clients {
    /// Whether this is the local intake.
    pub fn is_local(&self) -> bool {
        self.aws.is_none()
    }

    /// Where the local intake's SQS answers.
    pub(crate) fn local_sqs(&self) -> &str {
        &self.deployment.sqs
    }

    /// The URL of a queue: the one `given` by name or URL, else the installation's own.
    pub async fn queue(&self, queue: Queue, given: Option<&str>) -> anyhow::Result<String> {
        let (local, output) = queue.names();
        let name = match given {
            Some(url) if url.contains(".amazonaws.") && self.is_local() => {
                bail!("{url} is a queue of an AWS account: add --aws")
            }
            Some(url) if url.contains("://") => return Ok(url.to_owned()),
            None if !self.is_local() => return Ok(self.stack().await?.output(output)?.to_owned()),
            given => given.unwrap_or(local),
        };
        let doing = format!("cannot find the queue {name}");
        let found = self.sqs.get_queue_url().queue_name(name).send().await;
        let found = found.map_err(|error| self.failed(&doing, &error))?;
        found.queue_url.with_context(|| format!("{doing}: SQS returned no URL"))
    }

    /// The name of the table of claims: the one `given`, else the installation's own.
    pub async fn table(&self, given: Option<&str>) -> anyhow::Result<String> {
        match given {
            Some(name) => Ok(name.to_owned()),
            None if self.is_local() => Ok("hookgate-claims".to_owned()),
            // The table in use, which may be an older stack's.
            None => Ok(self.stack().await?.output("ClaimsTable")?.to_owned()),
        }
    }

    /// The deployed stack. Asks CloudFormation once.
    pub(crate) async fn stack(&self) -> anyhow::Result<&Stack> {
        let aws = self.aws.as_ref().context("the local intake is not a stack: add --aws")?;
        let describe = async || stack::describe(aws, &self.credentials().await?, &self.deployment.stack).await;
        self.stack.get_or_try_init(describe).await
    }

    /// The remedy for missing credentials.
    fn log_in(&self) -> String {
        match &self.deployment.profile {
            Some(profile) => {
                format!("check that {profile} is in ~/.aws/config, and log in (aws sso login --profile {profile})")
            }
            None => "log in (aws sso login, aws configure), or choose another profile with --profile".to_owned(),
        }
    }

    /// The credentials that sign calls.
    pub(crate) async fn credentials(&self) -> anyhow::Result<Credentials> {
        let found = match self.aws.as_ref().and_then(SdkConfig::credentials_provider) {
            Some(provider) => provider.provide_credentials().await.map_err(|error| with_causes(&error)),
            None => Err("none are configured".to_owned()),
        };
        found.map_err(|why| anyhow!("no AWS credentials: {why}: {}", self.log_in()))
    }

    /// The error of a failed call: what AWS answered, and the remedy.
    pub fn failed<E>(&self, doing: &str, error: &SdkError<E, HttpResponse>) -> anyhow::Error
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let why = match error {
            SdkError::ServiceError(refusal) => {
                let code = refusal.err().code().map(|code| code.rsplit(['.', '#']).next().unwrap_or(code).to_owned());
                let code = code.unwrap_or_else(|| format!("HTTP status {}", refusal.raw().status()));
                refusal.err().message().map_or(code.clone(), |message| format!("{code}: {message}"))
            }
            _ if self.is_local() => {
                let Deployment { sqs, dynamodb, .. } = &self.deployment;
                format!(
                    "no local intake answers (SQS at {sqs}, DynamoDB at {dynamodb}): start it with `hookgate`, or add --aws"
                )
            }
            _ => {
                let words = with_causes(error);
                let mut causes = std::iter::successors(error.source(), |cause| (*cause).source());
                if causes.any(<dyn Error>::is::<CredentialsError>) {
                    format!("no AWS credentials: {words}: {}", self.log_in())
                } else {
                    words
                }
            }
        };
        anyhow!("{doing}: {why}")
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::local::engines::Engines;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        deployment: Deployment,
    }

    fn deployment(arguments: &[&str]) -> Deployment {
        Command::parse_from([&["command"], arguments].concat()).deployment
    }

    #[tokio::test]
    async fn a_queue_is_found_by_default_by_name_and_by_url() {
        let engines = Engines::anywhere().await.unwrap();
        let resources = engines::provision(&engines).await.unwrap();
        let sqs = engines.sqs_url();
        let clients = deployment(&["--sqs", &sqs, "--dynamodb", &engines.dynamodb_url()]).clients().await.unwrap();
        assert!(clients.is_local());
        assert_eq!(&clients.queue(Queue::Events, None).await.unwrap(), &resources.events_url);
        assert_eq!(&clients.queue(Queue::DeadLetters, None).await.unwrap(), &resources.dead_letters_url);
        assert_eq!(&clients.queue(Queue::Quarantine, None).await.unwrap(), &resources.quarantine_url);
        let by_name = clients.queue(Queue::Events, Some("hookgate-quarantine")).await;
        assert_eq!(&by_name.unwrap(), &resources.quarantine_url);
        let by_url = clients.queue(Queue::Quarantine, Some(&resources.events_url)).await;
        assert_eq!(&by_url.unwrap(), &resources.events_url);
        assert_eq!(&clients.table(None).await.unwrap(), &resources.table);

        let missing = clients.queue(Queue::Events, Some("other")).await.unwrap_err().to_string();
        assert!(missing.starts_with("cannot find the queue other: NonExistentQueue: "), "{missing}");
        let foreign = "https://sqs.eu-west-1.amazonaws.com/123456789012/events";
        let foreign = clients.queue(Queue::Events, Some(foreign)).await.unwrap_err().to_string();
        assert!(foreign.ends_with("is a queue of an AWS account: add --aws"), "{foreign}");

        drop(engines);
        let nobody = clients.queue(Queue::Events, None).await.unwrap_err().to_string();
        assert!(nobody.contains("no local intake answers") && nobody.contains(&sqs), "{nobody}");
    }
}
