//! Calls the functions' handlers as API Gateway and Lambda would.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, anyhow};
use axum::{
    body::{Body, Bytes, to_bytes},
    extract::Request,
    http::{HeaderMap, HeaderValue, StatusCode, request::Parts},
    response::{IntoResponse, Response},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use hookgate_event::Event;
use hookgate_intake::{
    ApiGatewayV2httpRequest, ApiGatewayV2httpResponse, Config, Handled, Intake, Invocation, address,
    claim::partition_key,
};
use hookgate_verify::{Account, Delivery, Provider, Secrets, Verifier, providers};
use serde_json::{Map, Value, json};
use time::OffsetDateTime;

use crate::{
    local::crash::{self, Crash},
    local::engines::{Engines, Resources},
    local::journal::{CRASHED, Journal, MOST_BODY_BYTES, RecordedDelivery},
};

/// Lambda's limit for an invocation, in bytes.
const MAX_BODY_BYTES: usize = 6 * 1024 * 1024;

/// The functions' timeout, as in the template.
const FUNCTION_TIMEOUT: Duration = Duration::from_secs(8);

/// The signing secrets of every provider, from a file of the form `{"PLATFORM": {"default": ["…"]}, …}`.
#[derive(Debug, Clone)]
pub struct SecretsFile(pub(crate) Vec<(&'static Provider, String)>);

type Settings = Box<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// All functions.
pub(crate) struct Functions {
    pub(crate) by_platform: BTreeMap<&'static str, Arc<Function>>,
    /// Their latest deliveries.
    pub(crate) journal: Journal,
}

/// A platform's function, and with what it verifies.
pub(crate) struct Function {
    intake: Intake,
    settings: Settings,
    pub(crate) verifier: Verifier,
    pub(crate) secrets: Secrets,
}

impl SecretsFile {
    /// Reads the file.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {shown}: choose another file with --secrets"))?;
        Self::parse(&text, &shown.to_string())
    }

    /// Parses the secrets of all platforms. `shown` names their source in errors.
    pub fn parse(text: &str, shown: &str) -> anyhow::Result<Self> {
        let file: BTreeMap<String, Value> = serde_json::from_str(text).map_err(|error| {
            // The error's text could quote a secret.
            let (line, column) = (error.line(), error.column());
            anyhow!(r#"{shown}:{line}:{column} is not of the form {{"PLATFORM": {{"default": ["secret"]}}}}"#)
        })?;
        let secrets = file.into_iter().map(|(name, secrets)| {
            let provider = Provider::named(&name).with_context(|| {
                let known = providers::ALL.iter().map(|provider| provider.name).collect::<Vec<_>>().join(", ");
                format!("{shown} has an unknown platform: the known ones are {known}")
            })?;
            let secrets = secrets.to_string();
            Secrets::parse(&secrets).with_context(|| format!("{shown}, platform {name}"))?;
            Ok((provider, secrets))
        });
        Ok(SecretsFile(secrets.collect::<anyhow::Result<_>>()?))
    }
}

/// A function's settings: the local resources, and whatever else the environment sets.
fn settings(engines: &Engines, resources: &Resources, secrets: &str) -> Settings {
    let (dynamodb, sqs) = (engines.dynamodb_url(), engines.sqs_url());
    let (resources, secrets) = (resources.clone(), secrets.to_owned());
    Box::new(move |name| {
        Some(match name {
            "AWS_ENDPOINT_URL_DYNAMODB" => dynamodb.clone(),
            "AWS_ENDPOINT_URL_SQS" => sqs.clone(),
            "AWS_REGION" => "us-east-1".to_owned(),
            "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" => "local".to_owned(),
            // A role's session, a company's certificates and real secrets must not get into the local intake.
            "AWS_SESSION_TOKEN" | "AWS_CA_BUNDLE" | "SECRET_ID" => return None,
            "TABLE_NAME" => resources.table.clone(),
            "QUEUE_URL" => resources.events_url.clone(),
            "QUARANTINE_QUEUE_URL" => resources.quarantine_url.clone(),
            "WEBHOOK_SECRETS" => secrets.clone(),
            other => return std::env::var(other).ok(),
        })
    })
}

impl Functions {
    /// Every provider's function that has secrets.
    pub(crate) fn new(engines: &Engines, resources: &Resources, secrets: &SecretsFile) -> anyhow::Result<Self> {
        let mut by_platform = BTreeMap::new();
        for (provider, secrets) in &secrets.0 {
            let settings = settings(engines, resources, secrets);
            let intake = Intake::new(Config::from_settings(provider, &settings)?);
            let (verifier, secrets) = (Verifier::new(provider, &settings)?, Secrets::parse(secrets)?);
            by_platform.insert(provider.name, Arc::new(Function { intake, settings, verifier, secrets }));
        }
        Ok(Functions { by_platform, journal: Journal::default() })
    }

    /// Does what API Gateway and Lambda do: wraps the request into an event, invokes the function, unwraps the answer. Also
    /// returns the delivery's number in the journal, if a function was invoked.
    pub(crate) async fn deliver(self: &Arc<Self>, request: Request, crash: Option<Crash>) -> (Response, Option<u64>) {
        let (head, body) = request.into_parts();
        let function = self.by_platform.iter().find(|(name, _)| address(head.uri.path(), name).is_some());
        let Some((_, function)) = function else {
            return (refused(StatusCode::NOT_FOUND, "Not Found"), None);
        };
        let Ok(body) = to_bytes(body, MAX_BODY_BYTES).await else {
            return (refused(StatusCode::PAYLOAD_TOO_LARGE, "Request Too Long"), None);
        };
        self.journal.arrives();
        // As in Lambda, the invocation goes on when the caller disconnects.
        let recorded = tokio::spawn(self.clone().record(function.clone(), head, body, crash)).await;
        recorded.unwrap_or_else(|_| (StatusCode::INTERNAL_SERVER_ERROR.into_response(), None))
    }

    /// Invokes the function and keeps the delivery in the journal, even if the function crashes.
    async fn record(
        self: Arc<Self>,
        function: Arc<Function>,
        head: Parts,
        body: Bytes,
        crash: Option<Crash>,
    ) -> (Response, Option<u64>) {
        let started = OffsetDateTime::now_utc();
        let mut delivery = RecordedDelivery {
            number: 0,
            method: head.method.clone(),
            target: head.uri.clone(),
            headers: head.headers.clone(),
            // A copy: hyper's slice could keep a large buffer alive.
            body: body[..body.len().min(MOST_BODY_BYTES)].to_vec(),
            body_bytes: body.len(),
            status: 0,
            log: Map::new(),
        };
        // A task of its own, so that a crash ends nothing else.
        let invocation = tokio::spawn(function.clone().invoke(head, body, crash));
        let response = if let Ok(Some(Handled { response, log })) = invocation.await {
            delivery.log = serde_json::from_str(&log).unwrap_or_default();
            answer(response)
        } else {
            delivery.log = function.crashed(&delivery, started);
            refused(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
        };
        delivery.status = response.status().as_u16();
        (response, Some(self.journal.keep(delivery)))
    }
}

impl Function {
    /// None if the function crashed.
    async fn invoke(self: Arc<Self>, head: Parts, body: Bytes, crash: Option<Crash>) -> Option<Handled> {
        let mut event = ApiGatewayV2httpRequest::default();
        event.raw_path = Some(head.uri.path().to_owned());
        event.raw_query_string = head.uri.query().map(str::to_owned);
        event.request_context.http.method = head.method;
        event.headers = joined(&head.headers);
        (event.body, event.is_base64_encoded) = match String::from_utf8(body.into()) {
            Ok(text) => (Some(text), false),
            Err(bytes) => (Some(BASE64_STANDARD.encode(bytes.into_bytes())), true),
        };

        // Unique across restarts too, as Lambda's request ids are: claims are owned by them.
        let request_id = format!("local-{}", uuid::Uuid::new_v4());
        let deadline = SystemTime::now() + FUNCTION_TIMEOUT;
        let invocation = Invocation { event: Some(event), request_id, deadline, trace: None };
        match crash {
            None => Some(self.intake.handle(invocation).await),
            Some(crash) => crash::handle(crash, self.verifier.provider(), &self.settings, invocation).await.ok()?,
        }
    }

    /// What takes the place of the log line that a crashed function does not write.
    fn crashed(&self, delivery: &RecordedDelivery, started: OffsetDateTime) -> Map<String, Value> {
        let name = self.verifier.provider().name;
        let mut log = json!({
            "provider": name,
            "account": address(delivery.target.path(), name),
            "outcome": CRASHED,
            "_aws": {"Timestamp": started.unix_timestamp_nanos() / 1_000_000},
            "TotalMs": (OffsetDateTime::now_utc() - started).whole_milliseconds(),
        });
        // What made the function panic may do so again.
        let read = catch_unwind(AssertUnwindSafe(|| self.read(delivery, started)));
        if let Ok(Some((event, key))) = read {
            log["id"] = event.id.into();
            log["type"] = event.event_type.as_str().into();
            log["subject"] = event.subject.into();
            log["key"] = key.into();
        }
        serde_json::from_value(log).unwrap_or_default()
    }

    /// The event of a delivery and its claim's key, if the delivery is verified and can be read.
    pub(crate) fn read(
        &self,
        delivery: &RecordedDelivery,
        received: OffsetDateTime,
    ) -> Option<(Event<'static>, String)> {
        let name = self.verifier.provider().name;
        let account = Account::parse(address(delivery.target.path(), name)?)?;
        let (headers, body) = (delivery.headers.clone(), delivery.body.clone());
        let delivery = Delivery { headers, body, account, received };
        let proof = self.verifier.authenticate(&delivery, &self.secrets).ok()?;
        let reading = proof.read().ok()?;
        let key = partition_key(name, delivery.account.as_str(), &reading.key);
        Some((reading.event.into_owned(), key))
    }
}

/// API Gateway joins the values of a repeated header.
fn joined(headers: &HeaderMap) -> HeaderMap {
    let join = |name| {
        let values: Vec<_> = headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
        HeaderValue::from_bytes(&values.join(&b","[..])).ok()
    };
    headers.keys().filter_map(|name| Some((name.clone(), join(name)?))).collect()
}

fn answer(response: ApiGatewayV2httpResponse) -> Response {
    let status = u16::try_from(response.status_code).ok().and_then(|status| StatusCode::from_u16(status).ok());
    let body = response.body.map_or_else(Body::empty, |body| Body::from(body.to_vec()));
    (status.unwrap_or(StatusCode::BAD_GATEWAY), response.headers, body).into_response()
}

/// API Gateway's own answer, where no function's answer is passed on.
fn refused(status: StatusCode, message: &str) -> Response {
    (status, axum::Json(json!({"message": message}))).into_response()
}
