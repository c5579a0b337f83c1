//! The outputs of a deployed stack, and signed calls to CloudFormation, Lambda and CloudWatch Logs: their SDK crates would take
//! longer to compile than any other crate here.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use ::http::{Request, StatusCode, header};
use anyhow::{Context as _, anyhow, bail};
use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use aws_smithy_xml::decode::{Document, try_data};
use aws_types::{SdkConfig, service_config::ServiceConfigKey};
use bytes::Bytes;
use hookgate_verify::{Provider, providers};
use http_body_util::Full;

use super::http::{Poster, ca_bundle};
use crate::{arguments, error::with_causes};

const PATIENCE: Duration = Duration::from_secs(10);

/// The remedy where no answer comes.
pub(crate) const LOOK_AT: &str = "check the network, --region, AWS_ENDPOINT_URL and AWS_CA_BUNDLE";

/// The parts of an answer that are used. Empty where they are missing.
#[derive(Debug, Default)]
struct Description {
    status: String,
    outputs: BTreeMap<String, String>,
    code: String,
    message: String,
}

/// A deployed stack.
#[derive(Debug, Clone)]
pub(crate) struct Stack {
    /// Name, region and status, in words.
    said: String,
    outputs: BTreeMap<String, String>,
}

impl Stack {
    pub(crate) fn output(&self, name: &str) -> anyhow::Result<&str> {
        let value = self.outputs.get(name).map(String::as_str);
        value.ok_or_else(|| self.lacks(name))
    }

    /// The stack's platforms and their addresses.
    pub(crate) fn served(&self) -> anyhow::Result<Vec<(&'static Provider, &str)>> {
        let address = |provider: &&'static Provider| {
            let address = self.outputs.get(&format!("{}Url", provider.name))?;
            Some((*provider, address.as_str()))
        };
        let served: Vec<_> = providers::ALL.iter().filter_map(address).collect();
        if served.is_empty() { Err(self.lacks("address of a platform")) } else { Ok(served) }
    }

    fn lacks(&self, what: &str) -> anyhow::Error {
        let said = &self.said;
        anyhow!(
            "{said} and has no {what} in its outputs: wait until it is deployed, deploy it again, or choose another with --stack"
        )
    }
}

/// Parses a stack's name.
pub(crate) fn name(text: &str) -> Result<String, String> {
    let known = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.len() <= 128
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let name = known.then(|| text.to_owned());
    name.ok_or_else(|| {
        "a stack's name has at most 128 letters, digits and hyphens, and starts with a letter".to_owned()
    })
}

/// Asks CloudFormation for the stack of this name.
pub(super) async fn describe(aws: &SdkConfig, credentials: &Credentials, name: &str) -> anyhow::Result<Stack> {
    let which = format!("stack {name} in {}", aws.region().map_or("", |region| region.as_ref()));
    let form = format!("Action=DescribeStacks&Version=2010-05-15&StackName={name}");
    let answer = call(aws, credentials, "cloudformation", Ask::Form(form)).await;
    let (status, body) =
        answer.map_err(|error| anyhow!("cannot describe the {which}: {}: {LOOK_AT}", with_causes(error.as_ref())))?;
    let described = read(&body);
    if status == StatusCode::OK && !described.status.is_empty() {
        return Ok(Stack { said: format!("the {which} is {}", described.status), outputs: described.outputs });
    }
    let Description { code, message, .. } = described;
    if code == "ValidationError" && message.contains("does not exist") {
        bail!("there is no {which}: choose another stack with --stack, or another region with --region");
    }
    let why = if code.is_empty() { format!("HTTP status {status}") } else { format!("{code}: {message}") };
    let remedy = if code.starts_with("AccessDenied") {
        ": allow cloudformation:DescribeStacks, or name the table and queues (see --help)"
    } else {
        ""
    };
    Err(anyhow!("cannot describe the {which}: {why}{remedy}"))
}

/// Parses CloudFormation's answer: one stack, or an error.
fn read(xml: &[u8]) -> Description {
    let (mut read, mut key) = (Description::default(), String::new());
    let mut document = Document::new(std::str::from_utf8(xml).unwrap_or_default());
    while let Some(element) = document.next_start_element() {
        let name = element.local().to_owned();
        if !["StackStatus", "OutputKey", "OutputValue", "Code", "Message"].contains(&&*name) {
            continue;
        }
        let text = try_data(&mut document.scoped_to(element)).unwrap_or_default().into_owned();
        match &*name {
            "StackStatus" => read.status = text,
            "OutputKey" => key = text,
            "OutputValue" => _ = read.outputs.insert(std::mem::take(&mut key), text),
            "Code" => read.code = text,
            _ => read.message = text,
        }
    }
    read
}

/// What a service is asked, in the protocol that it speaks.
pub(crate) enum Ask<'a> {
    /// Gets this path.
    Path(&'a str),
    /// Posts a form.
    Form(String),
    /// Posts JSON to this action.
    Json(&'a str, String),
}

/// Calls a service. Returns the answer's status and body.
pub(crate) async fn call(
    aws: &SdkConfig,
    credentials: &Credentials,
    service: &str,
    ask: Ask<'_>,
) -> anyhow::Result<(StatusCode, Bytes)> {
    let region = aws.region().map(ToString::to_string).unwrap_or_default();
    let suffix = if region.starts_with("cn-") { ".cn" } else { "" };
    // As the SDK's clients do: variables and profile, for one service and for all.
    // The SDK knows CloudWatch Logs by another name than its endpoint has.
    let id = if service == "logs" { "CloudWatch Logs" } else { service };
    let key = ServiceConfigKey::builder().service_id(id).env("AWS_ENDPOINT_URL").profile("endpoint_url").build();
    let endpoint = aws.service_config().and_then(|config| config.load_config(key.ok()?));
    let endpoint = endpoint.or_else(|| aws.endpoint_url().map(str::to_owned));
    let endpoint = endpoint.unwrap_or_else(|| format!("https://{service}.{region}.amazonaws.com{suffix}"));
    let (path, target, kind, body) = match ask {
        Ask::Path(path) => (path, None, "application/x-www-form-urlencoded", String::new()),
        Ask::Form(form) => ("", None, "application/x-www-form-urlencoded", form),
        Ask::Json(action, json) => ("", Some(("x-amz-target", action)), "application/x-amz-json-1.1", json),
    };
    let url = arguments::address("AWS_ENDPOINT_URL", &format!("{}/{path}", endpoint.trim_end_matches('/')))?;

    let request = if body.is_empty() { Request::get(&url) } else { Request::post(&url) };
    let request = request.header(header::CONTENT_TYPE, kind);
    let request = target.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let body = Bytes::from(body);
    let mut request = request.body(Full::from(body.clone()))?;
    let identity = credentials.clone().into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(&region)
        .name(service)
        .time(SystemTime::now())
        .settings(SigningSettings::default())
        .build()?
        .into();
    let (method, body) = (request.method().as_str(), SignableBody::Bytes(&body));
    let unsigned = SignableRequest::new(method, url.to_string(), target.into_iter(), body)?;
    sign(unsigned, &parameters)?.into_parts().0.apply_to_request_http1x(&mut request);

    let poster = Poster::trusting(url, ca_bundle()?.map(|(_, roots)| roots))?;
    let answer = poster.send(request, PATIENCE).await.with_context(|| format!("cannot reach {service}"))?;
    let (head, body) = answer.into_parts();
    Ok((head.status, body.with_context(|| format!("the answer of {service} was cut off, or is too long"))?))
}
