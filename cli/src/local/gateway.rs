//! Calls the functions' handlers as API Gateway and Lambda would.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, anyhow};
use axum::{
    body::{Body, Bytes, to_bytes},
    extract::Request,
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use hookgate_intake::{
    Config, Handled, Intake, address,
    lambda::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse, Context, LambdaEvent, Payload},
};
use hookgate_verify::{Provider, Secrets, providers};
use serde_json::{Map, Value};

use crate::{
    local::crash::{self, Crash},
    local::engines::{Engines, Resources},
    local::journal::{Journal, MOST_BODY_BYTES, RecordedDelivery},
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
    intakes: BTreeMap<&'static str, (&'static Provider, Settings, Intake)>,
    invocations: AtomicU64,
    /// Their latest deliveries.
    pub(crate) journal: Journal,
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
        let mut intakes = BTreeMap::new();
        for (provider, secrets) in &secrets.0 {
            let settings = settings(engines, resources, secrets);
            let config = Config::from_settings(provider, &settings)?;
            intakes.insert(provider.name, (*provider, settings, Intake::new(config)));
        }
        let (invocations, journal) = (AtomicU64::new(0), Journal::default());
        Ok(Functions { intakes, invocations, journal })
    }

    /// Does what API Gateway and Lambda do: wraps the request into an event, invokes the function, unwraps the answer. Also
    /// returns the delivery's number in the journal, if a function handled it to the end.
    pub(crate) async fn deliver(self: &Arc<Self>, request: Request, crash: Option<Crash>) -> (Response, Option<u64>) {
        let (head, body) = request.into_parts();
        let Some(&name) = self.intakes.keys().find(|name| address(head.uri.path(), name).is_some()) else {
            return (not_found(), None);
        };
        let Ok(body) = to_bytes(body, MAX_BODY_BYTES).await else {
            let message = axum::Json(serde_json::json!({"message": "Request Too Long"}));
            return ((StatusCode::PAYLOAD_TOO_LARGE, message).into_response(), None);
        };
        self.journal.arrives();
        // As in Lambda, the invocation goes on when the caller disconnects.
        let handled = tokio::spawn(self.clone().record(name, head, body, crash)).await;
        handled.unwrap_or_else(|_| (StatusCode::INTERNAL_SERVER_ERROR.into_response(), None))
    }

    /// Invokes the function and keeps the delivery in the journal, even if the function crashes.
    async fn record(
        self: Arc<Self>,
        name: &'static str,
        head: Parts,
        body: Bytes,
        crash: Option<Crash>,
    ) -> (Response, Option<u64>) {
        let mut delivery = RecordedDelivery {
            number: 0,
            method: head.method.clone(),
            target: head.uri.clone(),
            headers: head.headers.clone(),
            // A copy: hyper's slice could keep a large buffer alive.
            body: body[..body.len().min(MOST_BODY_BYTES)].to_vec(),
            body_bytes: body.len(),
            status: StatusCode::INTERNAL_SERVER_ERROR.as_u16(),
            log: crashed(name, head.uri.path()),
        };
        // A task of its own, so that a crash ends nothing else.
        let invocation = tokio::spawn(self.clone().invoke(name, head, body, crash));
        let Ok(Some(Handled { response, log })) = invocation.await else {
            self.journal.dies(delivery);
            // This is API Gateway's answer then.
            let message = axum::Json(serde_json::json!({"message": "Internal Server Error"}));
            return ((StatusCode::INTERNAL_SERVER_ERROR, message).into_response(), None);
        };
        delivery.status = u16::try_from(response.status_code).unwrap_or_default();
        delivery.log = serde_json::from_str(&log).unwrap_or_default();
        (answer(response), Some(self.journal.keep(delivery)))
    }

    /// None if the function crashed.
    async fn invoke(
        self: Arc<Self>,
        name: &'static str,
        head: Parts,
        body: Bytes,
        crash: Option<Crash>,
    ) -> Option<Handled> {
        let (provider, settings, intake) = &self.intakes[name];
        let mut event = ApiGatewayV2httpRequest::default();
        event.raw_path = Some(head.uri.path().to_owned());
        event.raw_query_string = head.uri.query().map(str::to_owned);
        event.request_context.http.method = head.method;
        event.headers = joined(&head.headers);
        (event.body, event.is_base64_encoded) = match String::from_utf8(body.into()) {
            Ok(text) => (Some(text), false),
            Err(bytes) => (Some(BASE64_STANDARD.encode(bytes.into_bytes())), true),
        };

        let mut context = Context::default();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let number = self.invocations.fetch_add(1, Ordering::Relaxed);
        // Unique across restarts too, as Lambda's request ids are: claims are owned by them.
        context.request_id = format!("local-{}-{number}", now.as_nanos());
        context.deadline = u64::try_from((now + FUNCTION_TIMEOUT).as_millis()).unwrap_or(u64::MAX);

        let invocation = LambdaEvent::new(Payload(Some(event)), context);
        match crash {
            None => Some(intake.handle(invocation).await),
            Some(crash) => crash::handle(crash, provider, settings, invocation).await.ok()?,
        }
    }
}

/// What takes the place of the log line that a crashed function does not write.
fn crashed(name: &str, path: &str) -> Map<String, Value> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let log = serde_json::json!({
        "provider": name, "account": address(path, name), "outcome": "crashed",
        "_aws": {"Timestamp": u64::try_from(now.as_millis()).unwrap_or_default()},
    });
    serde_json::from_value(log).unwrap_or_default()
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

fn not_found() -> Response {
    (StatusCode::NOT_FOUND, [(header::CONTENT_TYPE, "application/json")], r#"{"message":"Not Found"}"#).into_response()
}
