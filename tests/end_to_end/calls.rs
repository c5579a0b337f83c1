//! Which AWS calls each outcome makes: the witness for what the functions' roles allow.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use hookgate_verify::{Provider, providers};
use serde_json::json;

use crate::support::{World, body::Body, event::event, outcome, project, secrets, signed};

/// Passes every call on to the engines, and writes it down. Plays Secrets Manager itself.
#[derive(Clone)]
struct Recorder {
    calls: Arc<Mutex<Vec<String>>>,
    dynamodb: String,
    sqs: String,
    secrets: String,
    client: reqwest::Client,
}

impl Recorder {
    async fn start(world: &World, provider: &Provider) -> (Self, String) {
        let recorder = Recorder {
            calls: Arc::default(),
            dynamodb: world.engines.dynamodb_url(),
            sqs: world.engines.sqs_url(),
            secrets: secrets(provider),
            client: reqwest::Client::new(),
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(pass_on).with_state(recorder.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (recorder, url)
    }

    /// The calls since the last time.
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.calls.lock().unwrap())
    }
}

async fn pass_on(
    State(recorder): State<Recorder>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some(target) = headers.get("x-amz-target").map(|target| target.to_str().unwrap().to_owned()) else {
        // Nobody's call: neither CloudTrail nor the account's error rates know of it.
        assert!(!headers.contains_key("authorization") && body.is_empty());
        recorder.calls.lock().unwrap().push(format!("{method} {uri}"));
        return "healthy".into_response();
    };
    let (service, operation) = target.split_once('.').unwrap();
    // What operators find in CloudTrail.
    assert_eq!(headers["user-agent"], concat!("hookgate/", env!("CARGO_PKG_VERSION")));
    // What Lambda finds loops of functions and queues by. There is none before the first delivery.
    if operation == "PutItem" {
        let trace = headers["x-amzn-trace-id"].to_str().unwrap();
        assert!(trace.starts_with("Root=1-") && trace.contains(";Parent="), "{trace}");
    }
    let (action, url) = match service {
        "DynamoDB_20120810" => ("dynamodb", &recorder.dynamodb),
        "AmazonSQS" => ("sqs", &recorder.sqs),
        "secretsmanager" => {
            recorder.calls.lock().unwrap().push(format!("secretsmanager:{operation}"));
            let secret = json!({"ARN": "a", "Name": "n", "SecretString": recorder.secrets});
            return secret.to_string().into_response();
        }
        unknown => panic!("a call to {unknown}"),
    };
    recorder.calls.lock().unwrap().push(format!("{action}:{operation}"));
    let mut request = recorder.client.post(url).body(body);
    for (name, value) in headers.iter().filter(|(name, _)| *name != "host") {
        request = request.header(name, value);
    }
    let response = request.send().await.unwrap();
    let status = StatusCode::from_u16(response.status().as_u16()).unwrap();
    (status, response.bytes().await.unwrap()).into_response()
}

#[tokio::test]
async fn each_outcome_makes_its_calls_and_the_roles_allow_no_others() {
    const PUT: &str = "dynamodb:PutItem";
    const UPDATE: &str = "dynamodb:UpdateItem";
    const SEND: &str = "sqs:SendMessage";
    const SECRET: &str = "secretsmanager:GetSecretValue";
    let mut made = BTreeSet::new();
    for provider in providers::ALL {
        let world = World::new().await;
        let (recorder, url) = Recorder::start(&world, provider).await;
        let settings = [
            ("AWS_ENDPOINT_URL_DYNAMODB", &*url),
            ("AWS_ENDPOINT_URL_SQS", &url),
            ("AWS_ENDPOINT_URL_SECRETS_MANAGER", &url),
            ("WEBHOOK_SECRETS", ""),
            ("SECRET_ID", "secret"),
        ];
        let function = world.function(provider, &settings).await;
        let body = &Body::new(provider, "evt_1").bytes();

        // Before the first delivery: the secret, and the two connections.
        let refused = event(provider.name, None, &[], body);
        assert_eq!(outcome(&function.invoke(refused.clone()).await).1, "rejected");
        let mut first = recorder.take();
        first.sort();
        assert_eq!(first, ["GET /ping", "GET /ping", SECRET], "{provider:?}");
        made.insert(SECRET.to_owned());

        let unreadable = signed(provider, &Body::new(provider, "evt_2").unreadable());
        for (delivery, expected, calls) in [
            (refused, "rejected", &[][..]),
            (signed(provider, body), "queued", &[PUT, SEND, UPDATE]),
            (signed(provider, body), "duplicate", &[PUT]),
            (unreadable.clone(), "quarantined", &[PUT, SEND, UPDATE]),
            (unreadable, "duplicate", &[PUT]),
        ] {
            assert_eq!(outcome(&function.invoke(delivery).await).1, expected, "{provider:?}");
            let got = recorder.take();
            assert_eq!(got, calls, "{provider:?} {expected}");
            made.extend(got);
        }

        // A send that is refused: the claim's lease is ended.
        let gone = format!("{}/000000000000/no-such-queue", world.engines.sqs_url());
        let broken = world.function(provider, &[&settings[..], &[("QUEUE_URL", &gone)]].concat()).await;
        assert_eq!(
            outcome(&broken.invoke(signed(provider, &Body::new(provider, "evt_2").bytes())).await).1,
            "unavailable"
        );
        let calls = recorder.take();
        assert_eq!(calls[calls.len() - 3..], [PUT, SEND, UPDATE], "{provider:?}");
        made.extend(calls);
    }

    let template = std::fs::read_to_string(project().join("template.yaml")).unwrap();
    let role = template.split("\n      ${Provider}Role:").nth(1).unwrap().split("\n      ${Provider}").next().unwrap();
    let words = |text: &str, service: &str| -> BTreeSet<String> {
        let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == ':'));
        words.filter(|word| word.starts_with(service)).map(str::to_owned).collect()
    };
    let services = ["dynamodb:", "sqs:", "secretsmanager:"];
    let mut allowed: BTreeSet<_> = services.iter().flat_map(|service| words(role, service)).collect();
    // A condition, not an action.
    assert!(allowed.remove("dynamodb:LeadingKeys"));
    made.retain(|call| !call.starts_with("GET "));
    assert_eq!(made, allowed);
}
