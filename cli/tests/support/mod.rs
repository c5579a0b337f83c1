//! What the tests need of platforms, taken from their data.

#![allow(dead_code, reason = "every test file uses a part")]

pub mod intake;

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    process::{Command, Output},
};

use aws_sdk_sqs::types::Message;
use hookgate::{
    json::{Escapes, Json, Space, Style},
    local::engines::any_port,
    send::{
        samples::{self, Sample},
        template::Template,
    },
};
use hookgate_verify::{
    Account, Provider, Scheme,
    providers::{self, Identity, TimeFormat},
    scheme::Signed,
};

/// Serves this on a port that the system chooses, and gives its URL.
pub async fn serve(router: axum::Router) -> String {
    let listener = any_port().await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

/// What a command has printed, and its exit code.
pub struct Ran {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Ran {
    pub fn of(command: &mut Command) -> Self {
        command.output().unwrap().into()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|_| panic!("{} {}", self.out, self.err))
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

/// A sample's file.
pub fn file_of(sample: &Sample) -> String {
    format!("{}/../events/{}.json", env!("CARGO_MANIFEST_DIR"), sample.name)
}

/// Every message on the queue, left there for whoever comes next.
pub async fn peek(sqs: &aws_sdk_sqs::Client, queue_url: &str) -> Vec<Message> {
    let mut messages = Vec::new();
    loop {
        let batch = sqs.receive_message().queue_url(queue_url).max_number_of_messages(10).visibility_timeout(60);
        let batch = batch.send().await.unwrap().messages.unwrap_or_default();
        if batch.is_empty() {
            break;
        }
        messages.extend(batch);
    }
    for message in &messages {
        let receipt = message.receipt_handle().unwrap();
        let back = sqs.change_message_visibility().queue_url(queue_url).receipt_handle(receipt).visibility_timeout(0);
        back.send().await.unwrap();
    }
    messages
}

/// The first platform.
pub fn first() -> &'static Provider {
    providers::ALL[0]
}

/// The first that is like that.
pub fn find(is: impl Fn(&Provider) -> bool) -> Option<&'static Provider> {
    providers::ALL.iter().copied().find(|provider| is(provider))
}

/// The first whose events have ids of their own in the body, which is all of what is signed.
pub fn with_ids() -> &'static Provider {
    let is_plain = |scheme: &Scheme| {
        scheme.signature_member().is_none()
            && scheme.headers().count() == 1
            && scheme.time.is_none()
            && !scheme.has_fields()
    };
    find(|provider| {
        let fields = &provider.fields;
        let says_all = ![fields.amount, fields.currency, fields.status].iter().any(|paths| paths.is_empty());
        let has_ids = matches!(provider.identity, Identity::Id(_)) && fields.name.member().is_some();
        let has_ids = has_ids && fields.payload_member().is_some();
        has_ids && says_all && provider.default_schemes().iter().all(is_plain)
    })
    .expect("a platform whose events have ids, amounts and plain signatures")
}

/// Another platform than this.
pub fn another(than: &Provider) -> &'static Provider {
    find(|provider| provider.name != than.name).expect("two platforms")
}

/// The name of the platform's first event.
pub fn event(provider: &Provider) -> &'static str {
    provider.events[0].0
}

/// The scheme that is used unless another is asked for.
pub fn scheme(provider: &Provider) -> &'static Scheme {
    provider.default_schemes().last().unwrap()
}

/// The sample secret of the account `default`.
pub fn secret(provider: &Provider) -> Vec<u8> {
    samples::secret(provider, &Account::default()).unwrap()
}

/// The platform's first event, with these values at these paths of the body.
pub fn body(provider: &'static Provider, values: &[(&str, Json)]) -> Vec<u8> {
    let mut template = Template::of(provider, event(provider)).unwrap();
    for (path, value) in values {
        template.body.set(path, value.clone()).unwrap();
    }
    template.text()
}

/// The same with this id of the event.
pub fn body_with_id(provider: &'static Provider, id: &str) -> Vec<u8> {
    let mut template = Template::of(provider, event(provider)).unwrap();
    template.set_id(id);
    template.text()
}

/// The first event of the platform [`with_ids`], as its fields say: with this id, of 2025-01-11T16:00:00Z, about `8f3e`, 5500
/// USD, with a note.
pub fn order(id: &str) -> String {
    let provider = with_ids();
    let fields = &provider.fields;
    let Identity::Id(id_path) = provider.identity else { unreachable!("it has ids") };
    let time = match fields.time_format {
        TimeFormat::Unix => Json::Token("1736611200".to_owned()),
        TimeFormat::Rfc3339 => Json::text("2025-01-11T16:00:00Z"),
        TimeFormat::Utc => Json::text("2025-01-11T16:00:00"),
    };
    let object = |path: &str| in_object(provider, path);
    let mut body = Json::parse(b"{}").unwrap();
    for (path, value) in [
        (id_path.to_owned(), Json::text(id)),
        (fields.name.member().unwrap().to_owned(), Json::text(event(provider))),
        (fields.time.to_owned(), time),
        (object(fields.resource_paths(provider.kind(event(provider)))[0]), Json::text("8f3e")),
        (object(fields.amount[0]), Json::Token("5500".to_owned())),
        (object(fields.currency[0]), Json::text("USD")),
        (object("note"), Json::text("s3cr3t-payload")),
    ] {
        body.set(&path, value).unwrap();
    }
    body.write(Style { space: Space::None, escapes: Escapes::Kept, sorted: false })
}

/// What that event is called here.
pub fn event_type() -> &'static str {
    with_ids().events[0].1.as_str()
}

/// What that event is about.
pub fn subject() -> String {
    format!("{}/8f3e", with_ids().kind(event(with_ids())))
}

/// Where a member of the payload's object stands.
pub fn in_object(provider: &Provider, path: &str) -> String {
    provider.fields.in_object(path)
}

/// Signed as the platform does it.
pub fn signed(provider: &Provider, body: &[u8], seconds: u64) -> Signed {
    scheme(provider).sign(&secret(provider), body, "delivery_1", seconds).unwrap()
}

/// Stacks by their names: status and outputs, or how CloudFormation refuses to say, by HTTP status, code and message.
pub type Stacks =
    BTreeMap<&'static str, Result<(&'static str, Vec<(String, String)>), (u16, &'static str, &'static str)>>;

/// CloudFormation's answer to a form, by status and body. None where the form asks for something else.
pub fn describe_stacks(stacks: &Stacks, form: &[u8]) -> Option<(u16, String)> {
    let form = std::str::from_utf8(form).ok()?;
    let name = form.strip_prefix("Action=DescribeStacks&Version=2010-05-15&StackName=")?;
    let missing = format!("Stack with id {name} does not exist");
    let (status, outputs) = match stacks.get(name) {
        Some(Ok(stack)) => stack,
        Some(Err((status, code, message))) => return Some((*status, refusal(code, message))),
        None => return Some((400, refusal("ValidationError", &missing))),
    };
    let mut members = String::new();
    for (key, value) in outputs {
        let _ = writeln!(
            members,
            "          <member>\n            <Description>This &amp; that of <i>{key}</i></Description>\n            \
             <OutputKey>{key}</OutputKey>\n            <OutputValue>{value}</OutputValue>\n          </member>"
        );
    }
    let answer = format!(
        r#"<?xml version="1.0"?>
<DescribeStacksResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/">
  <DescribeStacksResult>
    <Stacks>
      <member>
        <StackName>{name}</StackName>
        <Parameters>
          <member><ParameterKey>ClaimsTable</ParameterKey><ParameterValue>not an output</ParameterValue></member>
        </Parameters>
        <StackStatus>{status}</StackStatus>
        <DriftInformation><StackDriftStatus>NOT_CHECKED</StackDriftStatus></DriftInformation>
        <Outputs>
{members}        </Outputs>
        <Tags/>
      </member>
    </Stacks>
  </DescribeStacksResult>
  <ResponseMetadata><RequestId>b9b4b068</RequestId></ResponseMetadata>
</DescribeStacksResponse>
"#
    );
    Some((200, answer))
}

fn refusal(code: &str, message: &str) -> String {
    format!(
        r#"<ErrorResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/">
  <Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>
  <RequestId>b9b4b068</RequestId>
</ErrorResponse>"#
    )
}
