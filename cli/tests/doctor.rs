//! `hookgate doctor` as a person runs it: against a local intake, and against a stack of embedded engines with stand-ins
//! for CloudFormation, Lambda, Secrets Manager and the endpoints, in which each trap is set up for real.

use std::{
    collections::BTreeMap,
    fs,
    io::{Read, Write},
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex},
};

use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ProvisionedThroughput, ScalarAttributeType,
    TimeToLiveSpecification,
};
use aws_sdk_sqs::types::QueueAttributeName as Attribute;
use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, Uri},
    response::{IntoResponse, Response},
};
use hookgate::local::engines::{Engines, any_port, create_table};
use hookgate_verify::{Provider, providers};
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc2822};

mod support;

use support::{Ran, Stacks, intake::Intake};

/// What no output may show.
const SECRET: &str = "whsec_fedcba9876543210";
/// As `GenerateSecretString` draws one.
const GENERATED: &str = "kQ3vN8xTz1LbYwR5uHc7JmPd0GsAe6fVoX2iZtB9nKqWyE4rUhMjCgDlSaFpT1v8";

/// The platforms of the stack: two that answer a wrong signature differently, if there are.
fn one() -> &'static Provider {
    support::first()
}

fn two() -> &'static Provider {
    support::find(|provider| provider.rejected_status != one().rejected_status).unwrap_or(support::another(one()))
}

/// Each platform's own: what two share is a problem.
fn secret_of(provider: &Provider) -> String {
    if provider.name == one().name { SECRET.to_owned() } else { format!("{SECRET}-{}", provider.name) }
}

/// What came of a command, which must have shown no secret.
fn run(command: &mut Command) -> Ran {
    let ran = Ran::of(command);
    for hidden in [SECRET, GENERATED, "sample_"] {
        assert!(!ran.out.contains(hidden) && !ran.err.contains(hidden), "{}\n{}", ran.out, ran.err);
    }
    ran
}

trait Findings {
    fn checks(&self) -> Vec<Value>;
    fn findings(&self) -> Vec<(String, String, String)>;
}

impl Findings for Ran {
    fn checks(&self) -> Vec<Value> {
        self.json()["checks"].as_array().unwrap().clone()
    }

    /// What is not well: the check's name, its status, and its texts.
    fn findings(&self) -> Vec<(String, String, String)> {
        let text = |check: &Value, name: &str| check[name].as_str().unwrap_or_default().to_owned();
        let bad = self.checks().into_iter().filter(|check| check["status"] != "ok");
        bad.map(|check| {
            let words = format!("{} → {}", text(&check, "finding"), text(&check, "remedy"));
            (text(&check, "what"), text(&check, "status"), words)
        })
        .collect()
    }
}

fn doctor() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookgate"));
    command.arg("doctor");
    command
}

/// What CloudFormation, Lambda, Secrets Manager, SQS' encryption and the endpoints say.
#[derive(Default)]
struct Said {
    stacks: Stacks,
    /// By the function's name: status and configuration.
    functions: BTreeMap<String, (u16, Value)>,
    /// By the entry's name: status, the value's members, and how many versions it has had.
    secrets: BTreeMap<String, (u16, Value, usize)>,
    /// By the path: status and body.
    endpoints: BTreeMap<String, (u16, String)>,
    /// Seconds that the endpoints' clock is ahead.
    ahead: i64,
    unencrypted: bool,
    sqs: String,
}

struct Stack {
    engines: Engines,
    said: Arc<Mutex<Said>>,
    url: String,
    queues: BTreeMap<&'static str, String>,
    /// Where the command runs.
    folder: PathBuf,
}

impl Stack {
    /// A stack without a fault, with two platforms.
    async fn new() -> Self {
        let engines = Engines::anywhere().await.unwrap();
        create_table(&engines.dynamodb(), "hookgate-ClaimsTable-1").await.unwrap();
        let protect = engines.dynamodb().update_table().table_name("hookgate-ClaimsTable-1");
        protect.deletion_protection_enabled(true).send().await.unwrap();

        let mut stack =
            Stack { engines, said: Arc::default(), url: String::new(), queues: BTreeMap::new(), folder: ".".into() };
        let large = (Attribute::MaximumMessageSize, "1048576".to_owned());
        let kept = |seconds: &str| (Attribute::MessageRetentionPeriod, seconds.to_owned());
        stack.queue("hookgate-DeadLettersQueue-1", &[large.clone(), kept("1209600")]).await;
        let redrive = (Attribute::RedrivePolicy, stack.redrive("hookgate-DeadLettersQueue-1", 5));
        stack.queue("hookgate-EventsQueue-1", &[large.clone(), kept("604800"), redrive]).await;
        stack.queue("hookgate-QuarantineQueue-1", &[large, kept("1209600")]).await;

        let listener = any_port().await.unwrap();
        stack.url = format!("http://{}", listener.local_addr().unwrap());
        stack.said.lock().unwrap().sqs = stack.engines.sqs_url();
        let outputs = [
            ("EventsQueueUrl", stack.queues["hookgate-EventsQueue-1"].clone()),
            ("DeadLettersQueueUrl", stack.queues["hookgate-DeadLettersQueue-1"].clone()),
            ("QuarantineQueueUrl", stack.queues["hookgate-QuarantineQueue-1"].clone()),
            ("ClaimsTable", "hookgate-ClaimsTable-1".to_owned()),
        ];
        let urls = [one(), two()].map(|provider| provider.name);
        let urls = urls.map(|name| (format!("{name}Url"), format!("{}/webhooks/{name}", stack.url)));
        let outputs = outputs.into_iter().map(|(name, value)| (name.to_owned(), value)).chain(urls).collect();
        stack.say(|said| _ = said.stacks.insert("hookgate", Ok(("CREATE_COMPLETE", outputs))));
        let router = Router::new().fallback(answer).with_state(stack.said.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        for (secret, provider, status) in
            [one(), two()].map(|provider| (secret_of(provider), provider.name, provider.rejected_status))
        {
            let mut said = stack.said.lock().unwrap();
            said.functions.insert(format!("hookgate-{provider}"), (200, stack.configuration(provider)));
            said.secrets.insert(format!("{provider}-secret"), (200, json!({"SecretString": secret}), 2));
            let rejected = json!({"outcome": "rejected"}).to_string();
            said.endpoints.insert(format!("/webhooks/{provider}"), (status, rejected));
        }
        stack
    }

    async fn queue(&mut self, name: &'static str, attributes: &[(Attribute, String)]) {
        let create = self.engines.sqs().create_queue().queue_name(name);
        let create = create.set_attributes(Some(attributes.iter().cloned().collect()));
        self.queues.insert(name, create.send().await.unwrap().queue_url.unwrap());
    }

    fn redrive(&self, queue: &str, times: u32) -> String {
        assert!(self.queues.contains_key(queue));
        json!({"deadLetterTargetArn": format!("arn:aws:sqs:us-east-1:000000000000:{queue}"), "maxReceiveCount": times})
            .to_string()
    }

    fn configuration(&self, provider: &str) -> Value {
        json!({"FunctionName": format!("hookgate-{provider}"), "Timeout": 8, "Environment": {"Variables": {
            "TABLE_NAME": "hookgate-ClaimsTable-1",
            "QUEUE_URL": self.queues["hookgate-EventsQueue-1"],
            "QUARANTINE_QUEUE_URL": self.queues["hookgate-QuarantineQueue-1"],
            "CLAIM_TTL_DAYS": "30",
            "MAX_EVENT_AGE_DAYS": "25",
            "SECRET_ID": format!("{provider}-secret"),
        }}})
    }

    fn say(&self, change: impl FnOnce(&mut Said)) {
        change(&mut self.said.lock().unwrap());
    }

    fn doctor(&self, arguments: &[&str]) -> Ran {
        run(&mut self.command(arguments))
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let nowhere = Path::new(env!("CARGO_TARGET_TMPDIR")).join("no-such-file");
        let mut command = doctor();
        command.args(["--aws", "--json"]).args(arguments);
        for variable in ["AWS_PROFILE", "AWS_CA_BUNDLE", "AWS_ENDPOINT_URL", "AWS_SESSION_TOKEN"] {
            command.env_remove(variable);
        }
        command.current_dir(&self.folder).envs([
            ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI"),
            ("AWS_REGION", "eu-west-1"),
            ("AWS_CONFIG_FILE", nowhere.to_str().unwrap()),
            ("AWS_SHARED_CREDENTIALS_FILE", nowhere.to_str().unwrap()),
            ("AWS_ENDPOINT_URL_DYNAMODB", &self.engines.dynamodb_url()),
            ("AWS_ENDPOINT_URL_SQS", &self.url),
            ("AWS_ENDPOINT_URL_CLOUDFORMATION", &self.url),
            ("AWS_ENDPOINT_URL_LAMBDA", &self.url),
            ("AWS_ENDPOINT_URL_SECRETS_MANAGER", &self.url),
        ]);
        command
    }

    /// Exactly this is wrong, in these words.
    #[track_caller]
    fn finds(&self, arguments: &[&str], what: &str, status: &str, words: &[&str]) {
        let ran = self.doctor(arguments);
        let findings = ran.findings();
        let [(found, as_status, text)] = &findings[..] else { panic!("{what}: {findings:?} {}", ran.err) };
        assert_eq!((found.as_str(), as_status.as_str()), (what, status), "{text}");
        for word in words {
            assert!(text.contains(word), "{word}: {text}");
        }
        assert_eq!(ran.code, Some(if status == "problem" { 1 } else { 2 }), "{}", ran.err);
    }
}

async fn answer(
    State(said): State<Arc<Mutex<Said>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let status = |status: u16| axum::http::StatusCode::from_u16(status).unwrap();
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let target = header("x-amz-target");
    let signed = |service: &str| {
        let authorization = header("authorization");
        let scope = format!("/eu-west-1/{service}/aws4_request, SignedHeaders=host;x-amz-date, Signature=");
        let by = authorization.starts_with("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/");
        assert!(by && authorization.contains(&scope), "{authorization}");
    };
    let described = support::describe_stacks(&said.lock().unwrap().stacks, &body);
    if let Some((code, answer)) = described {
        signed("cloudformation");
        assert_eq!((method, uri.path()), (Method::POST, "/"));
        return (status(code), answer).into_response();
    }
    if let Some(name) = uri.path().strip_prefix("/2015-03-31/functions/") {
        signed("lambda");
        assert_eq!(method, Method::GET);
        let name = name.strip_suffix("/configuration").unwrap();
        let absent = (404, json!({"Type": "User", "Message": "Function not found"}));
        let (code, answer) = said.lock().unwrap().functions.get(name).cloned().unwrap_or(absent);
        return (status(code), answer.to_string()).into_response();
    }
    if let Some(action) = target.strip_prefix("secretsmanager.") {
        let asked: Value = serde_json::from_slice(&body).unwrap();
        let absent = (400, json!({"__type": "ResourceNotFoundException"}), 0);
        let secrets = said.lock().unwrap().secrets.clone();
        let (code, value, versions) = secrets.get(asked["SecretId"].as_str().unwrap()).cloned().unwrap_or(absent);
        let answer = match action {
            "GetSecretValue" => value,
            "DescribeSecret" => {
                let versions: BTreeMap<_, _> = (0..versions).map(|n| (format!("{n:032}"), ["AWSCURRENT"])).collect();
                json!({"VersionIdsToStages": versions})
            }
            other => panic!("{other}"),
        };
        return (status(code), answer.to_string()).into_response();
    }
    if target.starts_with("AmazonSQS.") {
        let (sqs, unencrypted) = {
            let said = said.lock().unwrap();
            (said.sqs.clone(), said.unencrypted)
        };
        let request = reqwest::Client::new().post(&sqs).header("x-amz-target", target).body(body);
        let answer = request.send().await.unwrap();
        let code = answer.status().as_u16();
        let mut text = answer.text().await.unwrap();
        if unencrypted {
            // The engine always says that it is.
            text = text.replace(r#""SqsManagedSseEnabled":"true""#, r#""SqsManagedSseEnabled":"false""#);
        }
        return (status(code), [("content-type", "application/x-amz-json-1.0")], text).into_response();
    }
    assert_eq!((method, &body[..]), (Method::POST, &b"{}"[..]));
    let said = said.lock().unwrap();
    let absent = (404, json!({"message": "Not Found"}).to_string());
    let (code, body) = said.endpoints.get(uri.path()).cloned().unwrap_or(absent);
    let date = OffsetDateTime::now_utc() + time::Duration::seconds(said.ahead);
    let date = date.format(&Rfc2822).unwrap().replace("+0000", "GMT");
    (status(code), [("date", date), ("content-type", "application/json".to_owned())], body).into_response()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_without_a_fault_is_well() {
    let stack = Stack::new().await;
    let ran = stack.doctor(&[]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{}", ran.out);
    let made: Vec<_> = ran
        .checks()
        .iter()
        .map(|check| {
            assert_eq!((&check["status"], &check["remedy"]), (&json!("ok"), &Value::Null), "{check}");
            format!("{}: {}", check["section"].as_str().unwrap(), check["what"].as_str().unwrap())
        })
        .collect();
    assert_eq!(
        made,
        [
            "table: key",
            "table: billing",
            "table: protection",
            "table: expiry",
            "queues: events, size",
            "queues: events, encryption",
            "queues: dead letters, size",
            "queues: dead letters, encryption",
            "queues: quarantine, size",
            "queues: quarantine, encryption",
            "queues: events, redrive",
            "queues: dead letters, retention",
            &format!("functions: {}, lease", one().name),
            &format!("functions: {}, settings", one().name),
            &format!("functions: {}, replays", one().name),
            &format!("functions: {}, lease", two().name),
            &format!("functions: {}, settings", two().name),
            &format!("functions: {}, replays", two().name),
            &format!("secrets: {}", one().name),
            &format!("secrets: {}", two().name),
            &format!("endpoints: {}", one().name),
            &format!("endpoints: {}", two().name),
            "clock: clock",
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_table_is_named() {
    let stack = Stack::new().await;
    let dynamodb = stack.engines.dynamodb();
    let create = async |name: &str, keys: &[(&str, KeyType, ScalarAttributeType)], provisioned, attribute| {
        let mut create = dynamodb.create_table().table_name(name).deletion_protection_enabled(name != "unprotected");
        for (key, kind, of) in keys {
            let definition = AttributeDefinition::builder().attribute_name(*key).attribute_type(of.clone());
            let schema = KeySchemaElement::builder().attribute_name(*key).key_type(kind.clone());
            create = create.attribute_definitions(definition.build().unwrap()).key_schema(schema.build().unwrap());
        }
        create = if provisioned {
            let throughput = ProvisionedThroughput::builder().read_capacity_units(5).write_capacity_units(5);
            create.provisioned_throughput(throughput.build().unwrap())
        } else {
            create.billing_mode(BillingMode::PayPerRequest)
        };
        create.send().await.unwrap();
        if let Some(attribute) = attribute {
            let expiry = TimeToLiveSpecification::builder().attribute_name(attribute).enabled(true).build().unwrap();
            let update = dynamodb.update_time_to_live().table_name(name).time_to_live_specification(expiry);
            update.send().await.unwrap();
        }
    };
    let pk = [("pk", KeyType::Hash, ScalarAttributeType::S)];
    let number = [("pk", KeyType::Hash, ScalarAttributeType::N)];
    let two = [("id", KeyType::Hash, ScalarAttributeType::S), ("pk", KeyType::Range, ScalarAttributeType::S)];
    let right = Some("expires_at");
    create("other-expiry", &pk, false, Some("ttl")).await;
    create("no-expiry", &pk, false, None).await;
    create("number", &number, false, right).await;
    create("two-keys", &two, false, right).await;
    create("provisioned", &pk, true, right).await;
    create("unprotected", &pk, false, right).await;
    for (table, what, words) in [
        ("other-expiry", "expiry", ["by ttl, which no claim has", "AttributeName=expires_at"]),
        ("no-expiry", "expiry", ["off: no claim is ever deleted", "--table-name no-expiry"]),
        ("number", "key", ["it is pk (HASH), not a string", "cannot be changed"]),
        ("two-keys", "key", ["it is id (HASH) and pk (RANGE);", "cannot be changed"]),
        ("provisioned", "billing", ["provisioned capacity", "--billing-mode PAY_PER_REQUEST"]),
        ("unprotected", "protection", ["deletion protection is off", "--deletion-protection-enabled"]),
        ("no-such-table", "table", ["there is no table no-such-table", "--table"]),
    ] {
        stack.finds(&["--only", "table", "--table", table], what, "problem", &words);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_queue_is_named() {
    let mut stack = Stack::new().await;
    let large = || (Attribute::MaximumMessageSize, "1048576".to_owned());
    let redrive = |policy: String| (Attribute::RedrivePolicy, policy);
    let small = (Attribute::MaximumMessageSize, "262144".to_owned());
    stack.queue("small", &[small, redrive(stack.redrive("hookgate-DeadLettersQueue-1", 5))]).await;
    stack.queue("no-redrive", &[large()]).await;
    stack.queue("elsewhere", &[large(), redrive(stack.redrive("small", 5))]).await;
    stack.queue("once", &[large(), redrive(stack.redrive("hookgate-DeadLettersQueue-1", 1))]).await;
    let only = ["--only", "queues"];
    let events = |name| [&only[..], &["--queue", name]].concat();
    let arn = r"arn:aws:sqs:us-east-1:000000000000:hookgate-DeadLettersQueue-1";
    stack.finds(&events("small"), "events, size", "problem", &["262144 bytes", "MaximumMessageSize=1048576"]);
    stack.finds(&events("no-redrive"), "events, redrive", "problem", &["none: ", arn]);
    stack.finds(&events("elsewhere"), "events, redrive", "problem", &["000000000000:small", arn]);
    stack.finds(&events("once"), "events, redrive", "problem", &["after 1 receive", arn]);
    stack.finds(&events("no-such-queue"), "events", "unknown", &["cannot find the queue no-such-queue"]);
    stack.queue("forgetful", &[large(), (Attribute::MessageRetentionPeriod, "86400".to_owned())]).await;
    stack.queue("all-right", &[large(), redrive(stack.redrive("forgetful", 5))]).await;
    let forgetful = [&events("all-right")[..], &["--dead-letters", "forgetful"]].concat();
    let words = ["1 day, events 4 days", "MessageRetentionPeriod=1209600"];
    stack.finds(&forgetful, "dead letters, retention", "problem", &words);

    stack.say(|said| said.unencrypted = true);
    let findings = stack.doctor(&only).findings();
    let named: Vec<_> = findings.iter().map(|(what, ..)| what.as_str()).collect();
    assert_eq!(named, ["events, encryption", "dead letters, encryption", "quarantine, encryption"]);
    assert!(findings.iter().all(|(_, _, text)| text.contains("SqsManagedSseEnabled=true")), "{findings:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_function_is_named() {
    let stack = Stack::new().await;
    let right = stack.configuration(one().name);
    let [lease, settings, replays] = ["lease", "settings", "replays"].map(|check| format!("{}, {check}", one().name));
    let with = |name: &str, value: Value| {
        let mut configuration = right.clone();
        configuration["Environment"]["Variables"][name] = value;
        (200, configuration)
    };
    let mut slow = right.clone();
    slow["Timeout"] = json!(58);
    let denied = json!({"Message": "User is not authorized to perform: lambda:GetFunctionConfiguration"});
    for (said, what, status, words) in [
        ((200, slow), &lease[..], "problem", ["a claim's lease is 60 s", "Timeout to 8 s"]),
        (
            with("QUEUE_URL", json!("https://other")),
            &settings,
            "problem",
            ["QUEUE_URL is https://other, not", "--queue"],
        ),
        (with("TABLE_NAME", Value::Null), &settings, "problem", ["TABLE_NAME is not set", "template.yaml"]),
        (with("WEBHOOK_SECRETS", json!(SECRET)), &settings, "problem", ["shows the signing secrets", "SECRET_ID"]),
        (
            with("MAX_EVENT_AGE_DAYS", json!("30")),
            &replays,
            "problem",
            ["30 is not below CLAIM_TTL_DAYS 30", "lower it"],
        ),
        (with("MAX_EVENT_AGE_DAYS", json!("")), &replays, "problem", ["is not set", "older than 30 days"]),
        ((403, denied), one().name, "unknown", ["Lambda answered 403: User is not authorized", "allow lambda:"]),
    ] {
        stack.say(|all| _ = all.functions.insert(format!("hookgate-{}", one().name), said));
        stack.finds(&["--only", "functions"], what, status, &words);
    }
    stack.say(|all| _ = all.functions.remove(&format!("hookgate-{}", one().name)));
    stack.finds(&["--only", "functions"], one().name, "problem", &["the stack has no function for it", "Providers"]);
    let words = ["its entry of Secrets Manager is unknown: it has no function"];
    stack.finds(&["--only", "secrets"], one().name, "unknown", &words);
    // A platform that the stack does not serve is checked only if it is named.
    let other = support::find(|provider| ![one().name, two().name].contains(&provider.name)).unwrap().name;
    let asked = ["--only", "functions", "--provider", two().name];
    assert_eq!(stack.doctor(&asked).findings(), []);
    let asked = [&asked[..], &["--provider", other]].concat();
    stack.finds(&asked, other, "problem", &["the stack has no function for it", "Providers"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_that_cannot_be_looked_at_leaves_the_rest_to_be_checked() {
    let stack = Stack::new().await;
    let complete = stack.said.lock().unwrap().stacks["hookgate"].clone().unwrap().1;
    // What is given by name is checked, and so is an endpoint.
    let given = ["--table", "hookgate-ClaimsTable-1", "--queue", "hookgate-EventsQueue-1", "--url", &stack.url];
    let given = [&given[..], &["--provider", one().name]].concat();
    let absent = ["there is no stack other in eu-west-1: ", "--stack", "--region"];
    for (name, said, words) in [
        ("other", None, &absent[..]),
        (
            "hookgate",
            Some(Err((403, "AccessDenied", "User: arn:aws:iam::1:user/x is not authorized"))),
            &["stack hookgate in eu-west-1: AccessDenied: User: arn", "allow cloudformation:DescribeStacks"],
        ),
        (
            "hookgate",
            Some(Err((400, "Throttling", "Rate exceeded &amp; more"))),
            &["cannot describe the stack hookgate in eu-west-1: Throttling: Rate exceeded & more →"],
        ),
        (
            "hookgate",
            Some(Err((403, "ExpiredToken", "The security token included in the request is expired"))),
            &["stack hookgate in eu-west-1: ExpiredToken: The security token included in the request is expired →"],
        ),
        ("hookgate", Some(Err((200, "", ""))), &["cannot describe the stack hookgate in eu-west-1: HTTP status 200"]),
        ("hookgate", Some(Err((502, "", ""))), &["cannot describe the stack hookgate in eu-west-1: HTTP status 502"]),
        ("hookgate", Some(Ok(("ROLLBACK_IN_PROGRESS", vec![]))), &["is ROLLBACK_IN_PROGRESS and has no ", "--stack"]),
    ] {
        stack.say(|all| {
            all.stacks.clear();
            all.stacks.extend(said.map(|said| ("hookgate", said)));
        });
        let ran = stack.doctor(&[&given[..], &["--stack", name]].concat());
        let findings = ran.findings();
        let named: Vec<_> = findings.iter().map(|(what, status, _)| (what.as_str(), status.as_str())).collect();
        let unknown = ["dead letters", "quarantine", "stack", "stack"].map(|what| (what, "unknown"));
        assert_eq!((named, ran.code), (unknown.to_vec(), Some(2)), "{findings:?} {}", ran.err);
        for (_, _, text) in &findings {
            assert!(words.iter().all(|word| text.contains(word)), "{words:?}: {text}");
        }
        assert_eq!(ran.checks().iter().filter(|check| check["section"] == "endpoints").count(), 1);
    }
    // While an update goes back, the outputs are those of before.
    let rolling = ("UPDATE_ROLLBACK_IN_PROGRESS", complete);
    stack.say(|all| _ = all.stacks.insert("hookgate", Ok(rolling)));
    assert_eq!(stack.doctor(&[]).code, Some(0));

    let mut command = stack.command(&["--only", "table"]);
    let ran = run(command.env("AWS_ENDPOINT_URL_CLOUDFORMATION", "http://127.0.0.1:1"));
    let [(what, _, text)] = &ran.findings()[..] else { panic!("{}", ran.out) };
    assert!(what == "table" && text.contains("cannot reach cloudformation: "), "{text}");
    assert!(text.contains("AWS_ENDPOINT_URL and AWS_CA_BUNDLE"), "{text}");
    let mut command = stack.command(&["--stack", "arn:aws:cloudformation:eu-west-1:1:stack/hookgate/1"]);
    let ran = run(&mut command);
    assert!(ran.code == Some(2) && ran.err.contains("a stack's name has at most 128 letters"), "{}", ran.err);
}

/// As the SDK's clients do.
#[tokio::test(flavor = "multi_thread")]
async fn calls_signed_here_are_made_with_the_certificates_of_the_bundle() {
    let stack = Stack::new().await;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tls");
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_file(folder.join("cert.pem")).unwrap()],
            PrivateKeyDer::from_pem_file(folder.join("key.pem")).unwrap(),
        )
        .unwrap();
    let (config, listener) = (Arc::new(config), TcpListener::bind("127.0.0.1:0").unwrap());
    let secure = format!("https://{}", listener.local_addr().unwrap());
    let configuration = stack.configuration(one().name).to_string();
    let stacks = stack.said.lock().unwrap().stacks.clone();
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let mut stream = StreamOwned::new(ServerConnection::new(config.clone()).unwrap(), socket.unwrap());
            let (mut request, mut part) = (Vec::new(), [0; 4096]);
            while let Ok(length @ 1..) = stream.read(&mut part) {
                request.extend(&part[..length]);
                let Some(end) = request.windows(4).position(|end| end == b"\r\n\r\n") else { continue };
                let described = support::describe_stacks(&stacks, &request[end + 4..]).map(|(_, answer)| answer);
                let answer = if request.starts_with(b"GET ") { Some(configuration.clone()) } else { described };
                let Some(answer) = answer.filter(|_| request.starts_with(b"GET ") || request.ends_with(b"hookgate"))
                else {
                    continue;
                };
                let _ = write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{answer}", answer.len());
            }
        }
    });
    for (service, what) in [("LAMBDA", one().name), ("CLOUDFORMATION", "stack")] {
        let ask = |bundle: &Path| {
            let mut command = stack.command(&["--only", "functions", "--provider", one().name]);
            command.env(format!("AWS_ENDPOINT_URL_{service}"), &secure).env("AWS_CA_BUNDLE", bundle);
            run(&mut command)
        };
        let ran = ask(&folder.join("cert.pem"));
        assert_eq!((ran.code, ran.findings()), (Some(0), vec![]), "{}", ran.err);
        let ran = ask(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/intake/src/roots.pem"));
        let findings = ran.findings();
        let [(found, status, text)] = &findings[..] else { panic!("{findings:?}") };
        assert_eq!((&**found, &**status), (what, "unknown"));
        assert!(text.contains("certificate") && text.contains("AWS_CA_BUNDLE"), "{text}");
        assert!(!text.contains("allow "), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_binary_built_for_another_architecture_is_named() {
    let mut stack = Stack::new().await;
    stack.folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("built");
    let function = stack.folder.join(format!(".aws-sam/build/{}Function", one().name));
    fs::create_dir_all(&function).unwrap();
    let mut header = *b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\0\0";
    for (machine, built, other) in [(0xb7, "arm64", "x86_64"), (0x3e, "x86_64", "arm64")] {
        header[18] = machine;
        fs::write(function.join("bootstrap"), header).unwrap();
        let deployed = |architecture: &str| {
            let mut configuration = stack.configuration(one().name);
            configuration["Architectures"] = json!([architecture]);
            stack.say(|all| _ = all.functions.insert(format!("hookgate-{}", one().name), (200, configuration)));
        };
        deployed(built);
        assert_eq!(stack.doctor(&["--only", "functions"]).findings(), []);
        deployed(other);
        let words = [&*format!("is built for {built}"), &format!("deployed for {other}"), "samconfig.toml"];
        stack.finds(&["--only", "functions"], &format!("{}, architecture", one().name), "problem", &words);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_secret_is_named_without_it() {
    let stack = Stack::new().await;
    let samples = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../events/secrets.json")).unwrap();
    let samples: Value = serde_json::from_str(&samples).unwrap();
    let sample = samples[one().name]["default"][0].as_str().unwrap();
    let text = |text: &str| json!({"SecretString": text});
    let denied = json!({"__type": "AccessDeniedException", "Message": "not authorized"});
    for (said, status, words) in [
        (
            (200, text(GENERATED), 1),
            "problem",
            ["still the template's random value", &format!("put-secret-value --secret-id {}-secret", one().name)],
        ),
        ((200, text(sample), 2), "problem", ["published sample secret", "only the platform's own"]),
        (
            (200, text(&json!({"default": [SECRET], "eu-shop": ["a", sample]}).to_string()), 2),
            "problem",
            ["published sample secret", ""],
        ),
        (
            (200, text(&json!({"default": [format!("{SECRET}\n")]}).to_string()), 2),
            "problem",
            ["white space", "put-secret-value"],
        ),
        (
            (200, text(&json!({"default": [SECRET], "eu-shop": ["a", SECRET]}).to_string()), 2),
            "problem",
            [r#"accounts "default" and "eu-shop" have a secret in common"#, "put-secret-value"],
        ),
        (
            (200, text(&format!("WEBHOOK_SECRET={SECRET}")), 2),
            "problem",
            ["looks like a .env file", "put-secret-value"],
        ),
        (
            (200, text("{\"default\": [\"\"]}"), 2),
            "problem",
            ["has an empty secret", &format!("hookgate register {}", one().name)],
        ),
        ((200, text(&format!("{{\"default\": \"{SECRET}\"")), 2), "problem", ["not of the form", "put-secret-value"]),
        ((200, json!({"SecretBinary": "AAAA"}), 2), "problem", ["binary", "put-secret-value"]),
        (
            (400, json!({"__type": "ResourceNotFoundException"}), 0),
            "problem",
            [&format!("{}-secret is missing or empty", one().name), "deploy"],
        ),
        ((400, denied, 0), "unknown", ["AccessDeniedException: not authorized", "allow secretsmanager:GetSecretValue"]),
    ] {
        stack.say(|all| _ = all.secrets.insert(format!("{}-secret", one().name), said));
        stack.finds(&["--only", "secrets"], one().name, status, &words);
    }
    for (said, finding) in [
        // A platform's own may look like a random one.
        ((200, text(GENERATED), 2), "1 secret of 1 account"),
        ((200, text(&json!({"default": [SECRET], "eu-shop": ["a", "b"]}).to_string()), 2), "3 secrets of 2 accounts"),
    ] {
        stack.say(|all| _ = all.secrets.insert(format!("{}-secret", one().name), said));
        let ran = stack.doctor(&["--only", "secrets"]);
        assert_eq!((ran.code, &ran.checks()[0]["finding"]), (Some(0), &json!(finding)), "{}", ran.err);
    }
    let shared = json!({"default": [SECRET], "eu-shop": ["a", secret_of(two())]}).to_string();
    stack.say(|all| _ = all.secrets.insert(format!("{}-secret", one().name), (200, text(&shared), 2)));
    let words = ["they share a secret", "change it at one of the two platforms"];
    stack.finds(&["--only", "secrets"], &format!("{}, {}", one().name, two().name), "problem", &words);
    stack.say(|all| all.functions.get_mut(&format!("hookgate-{}", one().name)).unwrap().1["Environment"] = json!({}));
    stack.finds(&["--only", "secrets"], one().name, "unknown", &["has no SECRET_ID"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_endpoint_should_not_answer_is_named() {
    let stack = Stack::new().await;
    let outcome = |outcome: &str| json!({"outcome": outcome}).to_string();
    let right = one().rejected_status;
    let wrong = if right == 400 { 401 } else { 400 };
    let with = |words: &str| format!("{words}, not {right}");
    for (status, body, words) in [
        (200, outcome("queued"), (with("HTTP 200, queued"), "must never be accepted")),
        (wrong, outcome("rejected"), (with(&format!("HTTP {wrong}, rejected")), "something other than Hookgate")),
        (right, "{}".to_owned(), (with(&format!("HTTP {right}")), "something other than Hookgate")),
        (403, json!({"Message": "Forbidden"}).to_string(), ("HTTP 403".to_owned(), "AuthType NONE")),
        (404, "{}".to_owned(), ("HTTP 404".to_owned(), "the parameter Providers")),
        (429, "{}".to_owned(), ("HTTP 429".to_owned(), "ThrottlingRate")),
        (500, "{}".to_owned(), ("HTTP 500".to_owned(), "function's log")),
        (503, outcome("unavailable"), ("HTTP 503, unavailable".to_owned(), "cannot read its secrets")),
    ] {
        stack.say(|all| _ = all.endpoints.insert(format!("/webhooks/{}", one().name), (status, body)));
        stack.finds(&["--only", "endpoints"], one().name, "problem", &[&words.0, words.1]);
    }

    // Each platform's own address, as with Function URLs, goes before the one for all; those in use can be named.
    let own = format!("http://127.0.0.1:1/webhooks/{}", two().name);
    let used = ["--only", "endpoints", "--provider", two().name];
    stack.finds(
        &[&used[..], &["--url", &own]].concat(),
        two().name,
        "problem",
        &[&own, "does not answer", "check --url"],
    );
    // Lambda is not asked for what is not checked: where it does not answer, that would take 10 s for each platform.
    let lambda = TcpListener::bind("127.0.0.1:0").unwrap();
    lambda.set_nonblocking(true).unwrap();
    let mut command = stack.command(&used);
    let ran = run(command.env("AWS_ENDPOINT_URL_LAMBDA", format!("http://{}", lambda.local_addr().unwrap())));
    assert_eq!((ran.code, lambda.accept().is_err()), (Some(0), true), "{}", ran.err);

    for (ahead, words) in [(100, "s behind 127.0.0.1"), (-100, "s ahead of 127.0.0.1")] {
        stack.say(|all| all.ahead = ahead);
        stack.finds(&["--only", "clock"], "clock", "problem", &[words, "timedatectl"]);
    }
    stack.say(|all| all.ahead = 25);
    assert_eq!(stack.doctor(&["--only", "clock"]).code, Some(0));
}

/// A stack's address need not be on this machine: without --aws it is all that is looked at.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_looked_at_follows_from_what_is_given() {
    let ran =
        run(doctor().args(["--url", "http://hooks.invalid", "--provider", support::another(one()).name, "--json"]));
    let checks = ran.checks();
    let sections: Vec<_> = checks.iter().map(|check| check["section"].as_str().unwrap()).collect();
    assert_eq!((sections, ran.code), (vec!["endpoints", "clock"], Some(1)), "{}", ran.out);

    for (arguments, expected) in [
        (&["--only", "secrets"][..], "--only secrets needs --aws: the local intake has none"),
        (&["--only", "everything"], "possible values"),
        (&["--url", "hooks.example.com"], "is not a URL"),
        (&["--profile", "x"], "--aws"),
    ] {
        let ran = run(doctor().args(arguments));
        assert_eq!(ran.code, Some(2), "{arguments:?}");
        assert!(ran.err.contains(expected), "{arguments:?}: {}", ran.err);
    }
    let stack = Stack::new().await;
    let ran = run(doctor()
        .args(["--aws", "--only", "endpoints"])
        .envs([
            ("AWS_REGION", "eu-west-1"),
            ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", "x"),
            ("AWS_ENDPOINT_URL", &stack.url),
        ])
        .args(["--stack", "other"]));
    assert_eq!(ran.code, Some(2));
    assert!(ran.out.contains(&format!("could not check  {}: its address is unknown", one().name)), "{}", ran.out);
    let all = format!("{0} of {0} checks could not be made", providers::ALL.len());
    assert!(ran.err.contains(&all), "{}", ran.err);

    let mut nobody = doctor();
    nobody.args(["--aws", "--only", "secrets"]).env_clear().env("AWS_REGION", "eu-west-1");
    let ran = run(nobody.envs([("AWS_EC2_METADATA_DISABLED", "true"), ("AWS_CONFIG_FILE", "/dev/null")]));
    assert_eq!(ran.code, Some(2));
    assert!(ran.out.contains("stack: no AWS credentials: ") && ran.out.contains("aws sso login"), "{}", ran.out);
}

#[test]
fn the_local_intake_is_well_and_its_absence_is_said() {
    let intake = Intake::start();
    let urls = [intake.url(), intake.dynamodb(), intake.sqs()].map(str::to_owned);
    let look = || {
        let [url, dynamodb, sqs] = &urls;
        let only = "table,queues,endpoints,clock";
        run(doctor().args(["--url", url, "--dynamodb", dynamodb, "--sqs", sqs, "--only", only]))
    };
    let ran = look();
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{}", ran.out);
    for provider in providers::ALL {
        let line = format!(
            "  ok               {}: rejects an unsigned delivery with {}\n",
            provider.name, provider.rejected_status
        );
        assert!(ran.out.contains(&line), "{}", ran.out);
    }
    assert!(ran.out.starts_with("Table of claims\n  ok               key: pk, a string\n"), "{}", ran.out);
    let all_well = format!("\n{} ok, 0 with a problem, 0 could not be checked\n", 12 + providers::ALL.len());
    assert!(ran.out.ends_with(&all_well), "{}", ran.out);
    assert!(!ran.out.contains('\u{1b}'));

    drop(intake);
    let ran = look();
    assert_eq!(ran.code, Some(2), "{}", ran.out);
    assert!(ran.out.contains("start it with `hookgate`"), "{}", ran.out);
    // The table, three queues, the clock, and every platform.
    let unchecked = format!("{} could not be checked", 5 + providers::ALL.len());
    assert!(ran.out.contains(&unchecked), "{}", ran.out);
}

#[cfg(unix)]
#[test]
fn tools_are_looked_for_where_the_shell_would() {
    use std::os::unix::fs::PermissionsExt;

    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("tools-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    let libraries = folder.join("libraries");
    fs::create_dir_all(&libraries).unwrap();
    let script = |name: &str, text: String| {
        let path: PathBuf = folder.join(name);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    };
    let look = |more: &[(&str, &str)]| {
        let mut command = doctor();
        command.args(["--only", "tools", "--json"]).env("PATH", &folder).env_remove("CARGO_ZIGBUILD_ZIG_PATH");
        run(command.envs(more.iter().copied()))
    };
    let named = |ran: &Ran| ran.findings().into_iter().map(|(what, ..)| what).collect::<Vec<_>>();

    let ran = look(&[]);
    assert_eq!((named(&ran), ran.code), (["sam", "cargo lambda", "zig", "target"].map(String::from).to_vec(), Some(1)));

    script("sam", "echo SAM CLI, version 1.170.0".to_owned());
    // What is there, but does not work, does not count.
    script("cargo", "exit 101".to_owned());
    script("python3", "[ \"$*\" = '-m ziglang version' ] && echo 0.15.1".to_owned());
    let asked = "[ \"$*\" = '--print target-libdir --target aarch64-unknown-linux-gnu' ]";
    script("rustc", format!("{asked} && echo {}", folder.join("no-such-folder").display()));
    let ran = look(&[]);
    assert_eq!((named(&ran), ran.code), (["cargo lambda", "target"].map(String::from).to_vec(), Some(1)));
    let texts: Vec<_> = ran.findings().into_iter().map(|(.., text)| text).collect();
    assert!(texts[0].ends_with("→ pip install cargo-lambda"), "{texts:?}");
    assert!(texts[1].ends_with("→ rustup target add aarch64-unknown-linux-gnu"), "{texts:?}");

    script("cargo", "[ \"$*\" = 'lambda --version' ] && echo cargo-lambda 1.9.2".to_owned());
    script("rustc", format!("{asked} && echo {}", libraries.display()));
    let ran = look(&[]);
    let found: Vec<_> = ran.checks().iter().map(|check| check["finding"].as_str().unwrap().to_owned()).collect();
    let expected = ["SAM CLI, version 1.170.0", "cargo-lambda 1.9.2", "0.15.1", "aarch64-unknown-linux-gnu"];
    assert_eq!((found, ran.code), (expected.map(String::from).to_vec(), Some(0)));

    fs::remove_file(folder.join("python3")).unwrap();
    assert_eq!(named(&look(&[])), ["zig"]);
    script("my-zig", "echo 0.14.0".to_owned());
    assert_eq!(look(&[("CARGO_ZIGBUILD_ZIG_PATH", folder.join("my-zig").to_str().unwrap())]).code, Some(0));
    fs::remove_dir_all(&folder).unwrap();
}
