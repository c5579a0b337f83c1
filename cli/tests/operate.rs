//! `hookgate tail`, `quarantine`, `redrive` and `claims` as a person runs them, against an intake of each test's own.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    sync::{
        Arc, LazyLock, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName, QueueAttributeName};
use axum::http::HeaderMap;
use base64::{Engine, prelude::BASE64_STANDARD};
use hookgate::{
    json::{Escapes, Json, Space, Style},
    local::engines::{Engines, Resources, any_port, create_table, provision},
    local::{Local, SecretsFile},
};
use hookgate_event::{Event, Unit};
use hookgate_intake::{Quarantined, claim::partition_key};
use hookgate_verify::{
    Provider,
    providers::{self, Identity},
};
use serde_json::{Value, json};

mod support;

use support::{Ran, Stacks, another, event_type, serve, signed, subject};

/// The order below is of 2025: no claim of 30 days could tell it from a replay.
const LATE: [&str; 2] = ["--claim-ttl-days", "3650"];

static ORDER: LazyLock<String> = LazyLock::new(|| support::order("evt_1"));

/// Whose order it is.
static PLATFORM: LazyLock<&Provider> = LazyLock::new(support::with_ids);

const SECRETS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../events/secrets.json");

fn now() -> u64 {
    std::time::UNIX_EPOCH.elapsed().unwrap().as_secs()
}

/// A local intake, with the command beside it.
struct World {
    engines: Engines,
    resources: Resources,
    local: Local,
    /// The account's stacks.
    stacks: Arc<Mutex<Stacks>>,
    cloudformation: String,
}

impl World {
    async fn new() -> Self {
        let engines = Engines::anywhere().await.unwrap();
        let resources = provision(&engines).await.unwrap();
        let secrets = SecretsFile::read(Path::new(SECRETS)).unwrap();
        let local = Local::start(any_port().await.unwrap(), &engines, &resources, &secrets).await.unwrap();
        let stacks = Arc::<Mutex<Stacks>>::default();
        let known = stacks.clone();
        let answer = async move |form: String| {
            let (status, answer) = support::describe_stacks(&known.lock().unwrap(), form.as_bytes()).unwrap();
            (axum::http::StatusCode::from_u16(status).unwrap(), answer)
        };
        let cloudformation = serve(axum::Router::new().fallback(answer)).await;
        World { engines, resources, local, stacks, cloudformation }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hookgate"));
        command.args(arguments);
        if arguments.contains(&"--aws") {
            let endpoints = [("AWS_ENDPOINT_URL_DYNAMODB", self.engines.dynamodb_url())];
            command.envs(endpoints).env("AWS_ENDPOINT_URL_SQS", self.engines.sqs_url());
            command.env("AWS_ENDPOINT_URL_CLOUDFORMATION", &self.cloudformation);
            command
                .env("AWS_ACCESS_KEY_ID", "test")
                .env("AWS_SECRET_ACCESS_KEY", "test")
                .env("AWS_REGION", "us-east-1");
        } else {
            command.args(["--sqs", &self.engines.sqs_url(), "--dynamodb", &self.engines.dynamodb_url()]);
        }
        command
    }

    async fn run(&self, arguments: &[&str]) -> Ran {
        let mut command = self.command(arguments);
        tokio::task::spawn_blocking(move || command.output().unwrap().into()).await.unwrap()
    }

    /// What the intake answers to a delivery that the provider signed.
    async fn deliver(&self, provider: &Provider, body: &[u8]) -> Value {
        let signed = signed(provider, body, now());
        let mut request = reqwest::Client::new().post(format!("{}/webhooks/{}", self.local.url(), provider.name));
        for (name, value) in signed.headers {
            request = request.header(name, value);
        }
        if let Some(name) = provider.fields.name.unsigned_header() {
            request = request.header(name, support::event(provider));
        }
        let answer = request.header("x-shop", "eu").body(signed.body).send().await.unwrap();
        serde_json::from_str(&answer.text().await.unwrap()).unwrap()
    }

    async fn send(&self, url: &str, body: &str) -> String {
        let sent = self.engines.sqs().send_message().queue_url(url).message_body(body).send().await.unwrap();
        sent.message_id.unwrap()
    }

    /// Puts into quarantine what an earlier version could not read. Gives the id of its message.
    async fn quarantine(&self, reason: &str, provider: &str, body: &[u8]) -> String {
        let mut headers = BTreeMap::from([("x-shop".to_owned(), "eu".to_owned())]);
        let named = Provider::named(provider).and_then(|known| Some((known, known.fields.name.unsigned_header()?)));
        headers.extend(named.map(|(known, name)| (name.to_owned(), support::event(known).to_owned())));
        let entry = Quarantined {
            reason: reason.to_owned(),
            provider: provider.to_owned(),
            account: "default".to_owned(),
            received: "2025-01-11T16:00:01.250Z".to_owned(),
            content_claimed: None,
            content_received: None,
            headers,
            body: Some(BASE64_STANDARD.encode(body)),
            body_gzip: None,
        };
        self.send(&self.resources.quarantine_url, &serde_json::to_string(&entry).unwrap()).await
    }

    /// What is visible on a queue, left there.
    async fn visible(&self, url: &str) -> Vec<Message> {
        let receive = self.engines.sqs().receive_message().queue_url(url).max_number_of_messages(10);
        let receive = receive.visibility_timeout(0).message_system_attribute_names(MessageSystemAttributeName::All);
        receive.send().await.unwrap().messages.unwrap_or_default()
    }

    async fn events(&self) -> Vec<Event<'static>> {
        let messages = self.visible(&self.resources.events_url).await;
        messages.iter().map(|message| Event::from_json(message.body().unwrap()).unwrap().into_owned()).collect()
    }

    async fn in_quarantine(&self) -> usize {
        self.visible(&self.resources.quarantine_url).await.len()
    }
}

/// An SQS before the world's, which carries out a call that has come in even if its caller is gone, as AWS does. `taken` is
/// told the action of each call, and `answer` may answer what the world's SQS would not. Gives its address.
async fn sqs_before(
    world: &World,
    taken: impl Fn(&str) + Clone + Send + Sync + 'static,
    answer: impl Fn(&str, Value) -> Value + Send + Sync + 'static,
) -> String {
    let (sqs, answer) = (world.engines.sqs_url(), Arc::new(answer));
    let take = move |headers: HeaderMap, body: String| {
        let (sqs, answer) = (sqs.clone(), answer.clone());
        let target = headers["x-amz-target"].to_str().unwrap().to_owned();
        taken(target.rsplit('.').next().unwrap());
        let carried_out = tokio::spawn(async move {
            let call = reqwest::Client::new().post(sqs).header("x-amz-target", &target).body(body);
            let answered = call.send().await.unwrap();
            let status = answered.status();
            let body = serde_json::from_str(&answered.text().await.unwrap()).unwrap();
            (status, axum::Json(answer(target.rsplit('.').next().unwrap(), body)))
        });
        async { carried_out.await.unwrap() }
    };
    serve(axum::Router::new().fallback(take)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_released_delivery_is_queued_once_as_if_it_had_just_been_read() {
    let world = World::new().await;
    let id = world.quarantine("event_name", PLATFORM.name, ORDER.as_bytes()).await;

    let ran = world.run(&["quarantine", "release", &id, "--dry-run", "--json"]).await;
    assert_eq!(ran.code, Some(0), "{} {}", ran.out, ran.err);
    let key = partition_key(PLATFORM.name, "default", "evt_1");
    let foretold = &ran.json()[0];
    assert_eq!((&foretold["outcome"], &foretold["dry_run"]), (&json!("queued"), &json!(true)));
    assert_eq!((&foretold["id"], &foretold["key"]), (&json!("evt_1"), &json!(key)));
    assert_eq!((world.events().await.len(), world.in_quarantine().await), (0, 1));

    let ran = world.run(&["quarantine", "release", &id]).await;
    assert_eq!(ran.code, Some(0), "{} {}", ran.out, ran.err);
    assert!(
        ran.out.starts_with(&format!("queued       {id}  {}  {}  evt_1  message ", event_type(), subject())),
        "{}",
        ran.out
    );
    assert_eq!(world.in_quarantine().await, 0);
    let [event] = &world.events().await[..] else { panic!("one event") };
    assert_eq!((&*event.id, &*event.source), ("evt_1", &*format!("/webhooks/{}/default", PLATFORM.name)));
    assert_eq!(event.received_time, "2025-01-11T16:00:01.250Z");
    assert!(event.payload::<Value>().unwrap().to_string().contains("\"note\":\"s3cr3t-payload\""));

    // The claim is that of any other delivery.
    let shown = world.run(&["claims", "show", &key, "--json"]).await.json();
    assert_eq!((&shown[0]["meaning"], &shown[0]["id"]), (&json!("queued"), &json!("evt_1")));
    assert_eq!(world.deliver(&PLATFORM, ORDER.as_bytes()).await["outcome"], "duplicate");

    // As after a crash between queue and quarantine.
    let id = world.quarantine("event_name", PLATFORM.name, ORDER.as_bytes()).await;
    let ran = world.run(&["quarantine", "release", &id, "--dry-run"]).await;
    assert!(ran.out.contains("it is on the queue already, and would be deleted here"), "{}", ran.out);
    let ran = world.run(&["quarantine", "release", &id, "--json"]).await;
    assert_eq!((ran.code, &ran.json()[0]["outcome"]), (Some(0), &json!("duplicate")));
    assert_eq!((world.events().await.len(), world.in_quarantine().await), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_released_delivery_has_the_key_that_its_signature_gave_it() {
    let world = World::new().await;
    // Without an id, what is signed is the key: where the signature stands in the body, that is the body without it.
    let mut released = 0;
    for provider in providers::ALL {
        let mut body = Json::parse(br#"{"x":1}"#).unwrap();
        if let Some(name) = provider.fields.name.member() {
            body.set(name, Json::text(support::event(provider))).unwrap();
        }
        body.set(&support::in_object(provider, "y"), Json::text("z")).unwrap();
        let body = body.write(Style { space: Space::None, escapes: Escapes::Kept, sorted: false });
        if provider.identity == Identity::SignedHeader {
            continue;
        }
        let answer = world.deliver(provider, body.as_bytes()).await;
        assert_eq!(answer["outcome"], "queued", "{}", provider.name);
        let signed = signed(provider, body.as_bytes(), now()).body;
        let id = world.quarantine("payload", provider.name, &signed).await;
        let ran = world.run(&["quarantine", "release", &id, "--json"]).await;
        assert_eq!(ran.code, Some(0), "{} {}", ran.out, ran.err);
        assert_eq!((&ran.json()[0]["outcome"], &ran.json()[0]["id"]), (&json!("duplicate"), &answer["id"]));
        released += 1;
    }
    assert!(released > 1, "{released}");
}

/// Another platform whose signature takes any body.
fn silent_about_the_body() -> &'static Provider {
    support::find(|provider| provider.name != PLATFORM.name && support::scheme(provider).signature_member().is_none())
        .unwrap()
}

/// One of which nothing has come.
fn third() -> &'static Provider {
    support::find(|provider| provider.name != PLATFORM.name && provider.name != silent_about_the_body().name).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_listed_shown_and_stays() {
    let world = World::new().await;
    let body = "{\"id\":\"evt_1\",\tö \u{1b}[31m}";
    assert_eq!(world.deliver(&PLATFORM, body.as_bytes()).await["outcome"], "quarantined");
    world.deliver(silent_about_the_body(), b"\xff\xfe").await;

    let listed = world.run(&["quarantine", "list", "--json", "--reason", "not_json"]).await;
    assert_eq!(listed.code, Some(0), "{}", listed.err);
    let listed = listed.json();
    let [entry] = &listed.as_array().unwrap()[..] else { panic!("one: {listed}") };
    let id = entry["quarantine_id"].as_str().unwrap();
    assert_eq!((&entry["provider"], &entry["account"]), (&json!(PLATFORM.name), &json!("default")));
    assert_eq!(entry["bytes"], body.len());

    let listed = world.run(&["quarantine", "list"]).await.out;
    let line = listed.lines().find(|line| line.contains(id)).unwrap();
    assert!(
        line.contains("not_json") && line.contains(&format!("{}/default", PLATFORM.name)) && line.contains("24 B"),
        "{line}"
    );
    assert!(listed.contains("not_utf8") && !listed.contains("evt_1"), "{listed}");
    assert_eq!(world.run(&["quarantine", "list", "--provider", third().name]).await.code, Some(1));

    let shown = world.run(&["quarantine", "show", &id[..8]]).await;
    assert_eq!(shown.code, Some(0), "{}", shown.err);
    assert!(shown.out.starts_with("not_json: its body is not JSON.\n"), "{}", shown.out);
    // Nothing that a terminal would obey.
    assert!(shown.out.contains("{\"id\":\"evt_1\",\tö \\u{1b}[31m}"), "{}", shown.out);
    assert!(shown.out.contains("x-shop: eu") && !shown.out.contains("signature"), "{}", shown.out);
    let shown = world.run(&["quarantine", "show", id, "--json"]).await.json();
    assert_eq!((&shown["body"], &shown["headers"]["x-shop"]), (&json!(body), &json!("eu")));
    assert_eq!(world.run(&["quarantine", "show", "another0"]).await.code, Some(1));

    let ran = world.run(&["quarantine", "release", id]).await;
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    assert!(ran.out.starts_with("unreadable   ") && ran.out.contains("stays: still not_json"), "{}", ran.out);
    let ran = world.run(&["quarantine", "release", "--all", LATE[0], LATE[1]]).await;
    assert_eq!((ran.code, ran.out.lines().count()), (Some(1), 2), "{}", ran.out);
    assert_eq!((world.events().await.len(), world.in_quarantine().await), (0, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_id_for_two_contents_is_not_decided_unasked() {
    let world = World::new().await;
    let other = ORDER.replace("5500", "6600");
    assert_eq!(world.deliver(&PLATFORM, ORDER.as_bytes()).await["outcome"], "queued");
    assert_eq!(world.deliver(&PLATFORM, other.as_bytes()).await["outcome"], "quarantined");
    let listed = world.run(&["quarantine", "list", "--json"]).await.json();
    let (claimed, received) = (&listed[0]["content_claimed"], &listed[0]["content_received"]);
    assert!(claimed.is_string() && claimed != received, "{listed}");

    for dry in [&["--dry-run"][..], &[]] {
        let ran = world.run(&[&["quarantine", "release", "--all", LATE[0], LATE[1], "--json"], dry].concat()).await;
        let ended = &ran.json()[0];
        assert_eq!((ran.code, &ended["outcome"]), (Some(1), &json!("conflict")));
        assert_eq!((&ended["content_claimed"], &ended["content_received"]), (claimed, received));
        assert_eq!((world.events().await.len(), world.in_quarantine().await), (1, 1));
    }

    // Nor once the claim is gone: consumers have had the id for the other content.
    let claims = world.engines.dynamodb();
    let all = claims.scan().table_name("hookgate-claims").send().await.unwrap().items.unwrap();
    let claim = all.into_iter().find(|claim| claim["event_id"].as_s().unwrap() == "evt_1").unwrap();
    let key = claim["pk"].clone();
    claims.delete_item().table_name("hookgate-claims").key("pk", key).send().await.unwrap();
    let ran = world.run(&["quarantine", "release", "--all", LATE[0], LATE[1], "--json"]).await;
    assert_eq!((ran.code, &ran.json()[0]["outcome"]), (Some(1), &json!("conflict")));
    claims.put_item().table_name("hookgate-claims").set_item(Some(claim)).send().await.unwrap();

    let ran = world.run(&["quarantine", "release", "--all", LATE[0], LATE[1], "--new-id", "--json"]).await;
    assert_eq!((ran.code, &ran.json()[0]["outcome"]), (Some(0), &json!("queued")));
    let events = world.events().await;
    assert_eq!((events.len(), &json!(events[1].id)), (2, received));
    assert_eq!(events[1].data.amount.as_ref().unwrap().value, "6600");
    // An option for conflicts: whatever has none keeps its id.
    world.quarantine("event_name", PLATFORM.name, ORDER.as_bytes()).await;
    let ran = world.run(&["quarantine", "release", "--all", LATE[0], LATE[1], "--new-id", "--json"]).await;
    assert_eq!((&ran.json()[0]["outcome"], &ran.json()[0]["id"]), (&json!("duplicate"), &json!("evt_1")));
    // And once only.
    world.quarantine("key_conflict", PLATFORM.name, other.as_bytes()).await;
    let ran = world.run(&["quarantine", "release", "--all", LATE[0], LATE[1], "--new-id", "--json"]).await;
    assert_eq!(ran.json()[0]["outcome"], "duplicate");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_be_a_replay_is_asked_for_by_name() {
    let world = World::new().await;
    world.quarantine("too_old", PLATFORM.name, ORDER.as_bytes()).await;
    let ran = world.run(&["quarantine", "release", "--all"]).await;
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    assert!(ran.out.starts_with("too_old      ") && ran.out.contains("--reason too_old"), "{}", ran.out);
    assert_eq!((world.events().await.len(), world.in_quarantine().await), (0, 1));
    let ran = world.run(&["quarantine", "release", "--all", "--reason", "too_old"]).await;
    assert_eq!(ran.code, Some(0), "{} {}", ran.out, ran.err);
    assert_eq!((world.events().await.len(), world.in_quarantine().await), (1, 0));
    let ran = world.run(&["quarantine", "release", "--all"]).await;
    assert_eq!((ran.code, &*ran.out), (Some(1), "Nothing to release.\n"));

    // Older than any claim, whatever it is in quarantine for.
    let older = ORDER.replace("evt_1", "evt_2");
    let id = world.quarantine("event_name", PLATFORM.name, older.as_bytes()).await;
    let ran = world.run(&["quarantine", "release", "--all", "--json"]).await;
    assert_eq!((ran.code, &ran.json()[0]["outcome"]), (Some(1), &json!("too_old")));
    let ran = world.run(&["quarantine", "release", &id, "--json"]).await;
    assert_eq!((ran.code, &ran.json()[0]["outcome"]), (Some(0), &json!("queued")));
}

/// An AWS account, as far as the command can tell.
#[tokio::test(flavor = "multi_thread")]
async fn on_aws_much_is_asked_for_twice() {
    let world = World::new().await;
    world.quarantine("event_name", PLATFORM.name, ORDER.as_bytes()).await;
    let ran = world.run(&["quarantine", "release", "--all", "--aws"]).await;
    assert_eq!(ran.code, Some(2), "{} {}", ran.out, ran.err);
    assert!(ran.err.contains("there is no stack hookgate in us-east-1: "), "{}", ran.err);

    let named = ["--aws", "--quarantine", "hookgate-quarantine", "--queue", &world.resources.events_url];
    let named = [&named[..], &["--table", "hookgate-claims"]].concat();
    let ran = world.run(&[&["quarantine", "release", "--all", LATE[0], LATE[1]], &named[..]].concat()).await;
    assert_eq!(ran.code, Some(2), "{} {}", ran.out, ran.err);
    assert!(ran.err.contains("then add --yes"), "{}", ran.err);
    let ran = world.run(&[&["quarantine", "release", "--all", LATE[0], LATE[1], "--yes"], &named[..]].concat()).await;
    assert_eq!(ran.code, Some(0), "{} {}", ran.out, ran.err);
    assert_eq!((world.events().await.len(), world.in_quarantine().await), (1, 0));
}

/// What a stack consists of, its outputs say: names may begin alike, or be old ones.
#[tokio::test(flavor = "multi_thread")]
async fn resources_are_those_of_the_stack_whatever_their_names() {
    let world = World::new().await;
    let (sqs, dynamodb) = (world.engines.sqs(), world.engines.dynamodb());
    let mut urls = BTreeMap::new();
    for stack in ["shop", "shop-dev"] {
        for queue in ["EventsQueue", "QuarantineQueue", "DeadLettersQueue"] {
            let created = sqs.create_queue().queue_name(format!("{stack}-{queue}-A1B2")).send().await.unwrap();
            urls.insert((stack, queue), created.queue_url.unwrap());
        }
        create_table(&dynamodb, &format!("{stack}-ClaimsTable-A1B2")).await.unwrap();
    }
    // What a stack of this name has left behind, or another one has.
    for decoy in ["shop-QuarantineQueue-C3D4", "shop-QuarantineQueue-dev-QuarantineQueue-C3D4"] {
        let created = sqs.create_queue().queue_name(decoy).send().await.unwrap();
        world.send(&created.queue_url.unwrap(), "{}").await;
    }
    create_table(&dynamodb, "restored").await.unwrap();
    let outputs = |stack: &'static str, table: &str| {
        let queues = ["EventsQueue", "QuarantineQueue", "DeadLettersQueue"];
        let queues = queues.map(|queue| (format!("{queue}Url"), urls[&(stack, queue)].clone()));
        // As many as CloudFormation takes, and as long.
        let others = (0..190).map(|number| (format!("Other{number}"), "x".repeat(1024)));
        [("ClaimsTable".to_owned(), table.to_owned())].into_iter().chain(others).chain(queues).collect::<Vec<_>>()
    };
    let mut stacks = Stacks::new();
    stacks.insert("shop", Ok(("UPDATE_ROLLBACK_COMPLETE", outputs("shop", "restored"))));
    stacks.insert("shop-dev", Ok(("CREATE_COMPLETE", outputs("shop-dev", "shop-dev-ClaimsTable-A1B2"))));
    stacks.insert("failed", Ok(("ROLLBACK_COMPLETE", vec![])));
    stacks.insert(
        "closed",
        Err((403, "AccessDenied", "User is not authorized to perform: cloudformation:DescribeStacks")),
    );
    *world.stacks.lock().unwrap() = stacks;

    let entry = |name: &str| {
        let body = BASE64_STANDARD.encode(support::order(name));
        json!({"reason": "event_name", "provider": PLATFORM.name, "account": "default", "received": "2025-01-11T16:00:01Z",
            "headers": {}, "body": body})
    };
    for (stack, event, table) in
        [("shop", "evt_prod", "restored"), ("shop-dev", "evt_dev", "shop-dev-ClaimsTable-A1B2")]
    {
        let id = world.send(&urls[&(stack, "QuarantineQueue")], &entry(event).to_string()).await;
        let at = ["--aws", "--stack", stack, "--json"];
        let listed = world.run(&[&["quarantine", "list"][..], &at].concat()).await;
        let ids: Vec<_> =
            listed.json().as_array().unwrap().iter().map(|entry| entry["quarantine_id"].clone()).collect();
        assert_eq!(ids, [json!(id)], "{}", listed.err);
        let released = world.run(&[&["quarantine", "release", &id, LATE[0], LATE[1]][..], &at].concat()).await;
        assert_eq!(released.json()[0]["outcome"], "queued", "{}", released.err);
        let [message] = &world.visible(&urls[&(stack, "EventsQueue")]).await[..] else { panic!("{stack}") };
        assert!(message.body().unwrap().contains(event));
        // Its claim is in the stack's table, or in the one that the stack was told to use.
        let claims = dynamodb.scan().table_name(table).send().await.unwrap();
        assert_eq!(claims.count, 1, "{table}");
        let key = partition_key(PLATFORM.name, "default", event);
        let shown = world.run(&[&["claims", "show", &key][..], &at].concat()).await;
        assert_eq!((shown.code, shown.json().as_array().unwrap().len()), (Some(0), 1), "{}", shown.err);
        let followed = world.run(&[&["tail", "--once", "--disturb-consumers"][..], &at].concat()).await;
        assert!(followed.out.contains(event), "{} {}", followed.out, followed.err);
    }
    assert_eq!(dynamodb.scan().table_name("shop-ClaimsTable-A1B2").send().await.unwrap().count, 0);

    for (stack, words) in [
        ("shop-d", &["there is no stack shop-d in us-east-1: ", "--region"][..]),
        ("failed", &["the stack failed in us-east-1 is ROLLBACK_COMPLETE and has no DeadLettersQueueUrl", "--stack"]),
        ("closed", &["stack closed in us-east-1: AccessDenied: ", "allow cloudformation:DescribeStacks", "--help"]),
    ] {
        let ran = world.run(&["redrive", "--aws", "--stack", stack]).await;
        assert!(ran.code == Some(2) && words.iter().all(|word| ran.err.contains(word)), "{words:?} {}", ran.err);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tail_shows_what_comes_and_disturbs_nobody() {
    let world = World::new().await;
    assert_eq!(world.run(&["tail", "--once"]).await.code, Some(1));
    world.deliver(&PLATFORM, ORDER.as_bytes()).await;
    let pretty = ORDER
        .replace("evt_1", "evt_2")
        .replace(support::event(&PLATFORM), "order.lost")
        .replace(",\"note", ",\n \"note");
    world.deliver(&PLATFORM, pretty.as_bytes()).await;

    let ran = world.run(&["tail", "--once"]).await;
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let lines: Vec<_> = ran.out.lines().collect();
    assert_eq!(
        lines[0],
        format!(
            "2025-01-11T16:00:00Z      {:<30}  {:<20}  {:<24}  {:>16}  evt_1",
            event_type(),
            format!("{}/default", PLATFORM.name),
            subject(),
            format!("5500 USD{}", if PLATFORM.fields.unit == Unit::Minor { " minor" } else { "" }),
        )
    );
    assert!(lines[1].contains("commerce.unrecognized (order.lost)") && lines[1].ends_with("  evt_2"), "{}", lines[1]);
    assert!(!ran.out.contains("s3cr3t-payload"), "{}", ran.out);

    let of_kind = format!("commerce.{}.*", PLATFORM.kind(support::event(&PLATFORM)));
    for (filter, count) in [
        (&["--type", event_type().strip_prefix("commerce.").unwrap()][..], 1),
        (&["--type", &of_kind], 1),
        (&["--type", "order.lost"], 0),
        (&["--type", "order.lost", "--type", "unrecognized"], 1),
        (&["--provider", PLATFORM.name], 2),
        (&["--provider", another(&PLATFORM).name], 0),
        (&["--account", "default"], 2),
        (&["--account", "eu-shop"], 0),
        (&["--max", "1"], 1),
    ] {
        let ran = world.run(&[&["tail", "--once"], filter].concat()).await;
        assert_eq!(ran.out.lines().count(), count, "{filter:?}: {}", ran.out);
        assert_eq!(ran.code, Some(i32::from(count == 0)), "{filter:?}");
    }

    let bodies = world.visible(&world.resources.events_url).await;
    let ran = world.run(&["tail", "--once", "--json"]).await;
    let lines: Vec<_> = ran.out.lines().collect();
    assert_eq!(lines[0], bodies[0].body().unwrap());
    assert_eq!(lines[1], bodies[1].body().unwrap().replace('\n', " "));
    // A dozen looks, and to consumers it is the second time, because of the look above.
    let seen = world.visible(&world.resources.events_url).await;
    let count = &seen[0].attributes().unwrap()[&MessageSystemAttributeName::ApproximateReceiveCount];
    assert_eq!((seen.len(), &**count), (2, "2"));
}

/// What a release or a replay puts on the queue comes now, though it was received long ago.
#[tokio::test(flavor = "multi_thread")]
async fn tail_shows_what_comes_now_whenever_it_was_received() {
    let world = World::new().await;
    let watch = &world.resources.quarantine_url;
    let id = world.quarantine("event_name", PLATFORM.name, ORDER.as_bytes()).await;
    assert_eq!(world.run(&["quarantine", "release", &id]).await.code, Some(0));
    let body = world.visible(&world.resources.events_url).await[0].body().unwrap().to_owned();
    assert!(body.contains("2025-01-11T16:00:01.250Z"), "{body}");
    for (queue, arguments) in
        [(&world.resources.events_url, &["tail"][..]), (watch, &["tail", "--aws", "--queue", "hookgate-quarantine"])]
    {
        // Before.
        world.send(queue, &body).await;
        let mut tail = world.command(arguments).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(tail.stdout.take().unwrap()).lines();
        let reading = tokio::task::spawn_blocking(move || lines.next().unwrap().unwrap());
        for number in 0.. {
            assert!(number < 20, "it shows nothing of {queue}");
            tokio::time::sleep(Duration::from_millis(500)).await;
            if reading.is_finished() {
                break;
            }
            world.send(queue, &body.replace("evt_1", &format!("evt_now_{number}"))).await;
        }
        let line = reading.await.unwrap();
        assert!(line.contains("evt_now_"), "{line}");
        tail.kill().unwrap();
        tail.wait().unwrap();
    }
}

/// Without --since it starts with what comes now; and on request it shows the deliveries that queued nothing.
#[tokio::test(flavor = "multi_thread")]
async fn tail_starts_now_and_shows_what_was_turned_away_on_request() {
    let world = World::new().await;
    world.deliver(&PLATFORM, ORDER.as_bytes()).await;
    let url = world.local.url();
    let mut tail = world.command(&["tail", "--rejected", "--url", &url]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(tail.stdout.take().unwrap()).lines().map(Result::unwrap);
    // It has begun once it has shown a first one.
    let sent = format!("{url}/webhooks/{}", PLATFORM.name);
    let rejected = |sent: String| async move { reqwest::Client::new().post(sent).body("{}").send().await.unwrap() };
    let reading = tokio::task::spawn_blocking(move || (lines.next().unwrap(), lines));
    let first = loop {
        rejected(sent.clone()).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        if reading.is_finished() {
            break reading.await.unwrap();
        }
    };
    let (line, mut lines) = first;
    assert!(line.contains("rejected") && line.contains("signature_missing"), "{line}");
    world.deliver(&PLATFORM, ORDER.replace("evt_1", "evt_2").as_bytes()).await;
    world.deliver(&PLATFORM, b"[]").await;
    let shown = tokio::task::spawn_blocking(move || {
        let mut shown = lines.by_ref().filter(|line| !line.contains("signature_missing"));
        [shown.next().unwrap(), shown.next().unwrap()]
    });
    let mut shown = shown.await.unwrap();
    shown.sort_by_key(|line| line.contains("quarantined"));
    assert!(shown[0].ends_with("evt_2"), "{shown:?}");
    assert!(shown[1].contains("quarantined") && shown[1].contains("not_an_object"), "{shown:?}");
    tail.kill().unwrap();
    tail.wait().unwrap();

    let ran = world.run(&["tail", "--once", "--since", "0s"]).await;
    assert_eq!((ran.code, &*ran.out), (Some(1), ""), "{}", ran.err);
    let ran = world.run(&["tail", "--once", "--since", "1h"]).await;
    assert_eq!((ran.code, ran.out.lines().count()), (Some(0), 2), "{}", ran.err);
    // A replay sends what was received long ago.
    let body = world.visible(&world.resources.events_url).await[0].body().unwrap().to_owned();
    let mut old: Value = serde_json::from_str(&body).unwrap();
    (old["id"], old["receivedtime"]) = ("evt_old".into(), "2020-01-01T00:00:00.000Z".into());
    world.send(&world.resources.events_url, &old.to_string()).await;
    let ran = world.run(&["tail", "--once", "--since", "1h"]).await;
    assert!(ran.out.lines().count() == 3 && ran.out.trim_end().ends_with("evt_old"), "{} {}", ran.out, ran.err);
    let ran = world.run(&["tail", "--once", "--since", "soon"]).await;
    assert!(ran.code == Some(2) && ran.err.contains("write it like 30s, 10m"), "{}", ran.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn tail_opens_compressed_payloads() {
    let world = World::new().await;
    let text = world.deliver(&PLATFORM, ORDER.as_bytes()).await;
    assert_eq!(text["outcome"], "queued");
    let body = world.visible(&world.resources.events_url).await[0].body().unwrap().to_owned();
    let gzip = Event::from_json(&body).unwrap().to_json_gzip();
    assert!(!gzip.contains("s3cr3t-payload"));
    world.send(&world.resources.events_url, &gzip).await;
    let ran = world.run(&["tail", "--once", "--json"]).await;
    assert_eq!(ran.out, format!("{body}\n{body}\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn tail_follows_until_ctrl_c_and_gives_back_what_it_holds() {
    let world = World::new().await;
    let (events, quarantine) = (&world.resources.events_url, &world.resources.quarantine_url);
    world.deliver(&PLATFORM, ORDER.as_bytes()).await;
    let body = world.visible(events).await[0].body().unwrap().to_owned();

    // The local intake's events; then, as of a queue of an account that is for watching only, received ones.
    for (arguments, url, hidden) in [
        (&["tail", "--since", "1m"][..], events, "0"),
        (&["tail", "--since", "all", "--aws", "--queue", "hookgate-quarantine"], quarantine, "2"),
    ] {
        world.send(url, &body).await;
        let mut tail = world.command(arguments).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(tail.stdout.take().unwrap()).lines();
        let first = |line: Option<Result<String, _>>| line.unwrap().unwrap().contains("evt_1");
        assert!(first(lines.next()));
        if url == events {
            assert!(first(lines.next()));
        }
        // While it waits.
        world.send(url, &body).await;
        assert!(first(lines.next()));
        let attribute = QueueAttributeName::ApproximateNumberOfMessagesNotVisible;
        let look = world.engines.sqs().get_queue_attributes().queue_url(url).attribute_names(attribute.clone());
        let held = look.send().await.unwrap().attributes.unwrap().remove(&attribute);
        assert_eq!(held.as_deref(), Some(hidden));

        let status = Command::new("kill").args(["-INT", &tail.id().to_string()]).status().unwrap();
        assert!(status.success());
        let status = tokio::task::spawn_blocking(move || tail.wait().unwrap()).await.unwrap();
        assert_eq!(status.code(), Some(0));
        assert_eq!(world.visible(url).await.len(), if url == events { 3 } else { 2 });
    }
}

/// What SQS hands out at the moment of Ctrl-C is given back too, not hidden for minutes.
#[tokio::test(flavor = "multi_thread")]
async fn a_receive_that_is_under_way_at_ctrl_c_hides_nothing() {
    let world = World::new().await;
    let quarantine = &world.resources.quarantine_url;
    let (asked, mut receives) = tokio::sync::mpsc::unbounded_channel();
    let taken = move |action: &str| {
        if action == "ReceiveMessage" {
            asked.send(()).unwrap();
        }
    };
    let sqs = sqs_before(&world, taken, |_, answer| answer).await;
    for arguments in [
        &["tail", "--aws", "--queue", "hookgate-quarantine"][..],
        &["quarantine", "list", "--aws", "--quarantine", "hookgate-quarantine"],
        &[
            "quarantine",
            "release",
            "3f1c2a90",
            "--aws",
            "--quarantine",
            "hookgate-quarantine",
            "--table",
            "t",
            "--queue",
            "hookgate-events",
        ],
    ] {
        let mut command = world.command(arguments);
        let mut process = command.env("AWS_ENDPOINT_URL_SQS", &sqs).stdout(Stdio::null()).spawn().unwrap();
        // From here on it waits for two seconds.
        receives.recv().await.unwrap();
        let status = Command::new("kill").args(["-INT", &process.id().to_string()]).status().unwrap();
        assert!(status.success());
        tokio::time::sleep(Duration::from_millis(200)).await;
        world.send(quarantine, "late").await;
        tokio::task::spawn_blocking(move || process.wait().unwrap()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        let [late] = &world.visible(quarantine).await[..] else { panic!("hidden by {arguments:?}") };
        let count = &late.attributes().unwrap()[&MessageSystemAttributeName::ApproximateReceiveCount];
        assert_eq!(count, "2", "{arguments:?} was to receive it");
        world.engines.sqs().purge_queue().queue_url(quarantine).send().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_sqs_that_answers_no_more_does_not_keep_ctrl_c_from_ending_it() {
    let (asked, mut receives) = tokio::sync::mpsc::unbounded_channel();
    let answer = |headers: HeaderMap| async move {
        if headers["x-amz-target"] == "AmazonSQS.ReceiveMessage" {
            asked.send(()).unwrap();
            std::future::pending::<()>().await;
        }
        axum::Json(json!({}))
    };
    let url = serve(axum::Router::new().fallback(answer)).await;

    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_hookgate"));
    command.args(["tail", "--sqs", &url, "--queue", &format!("{url}/1/watch")]).kill_on_drop(true);
    let mut tail = command.spawn().unwrap();
    receives.recv().await.unwrap();
    let status = Command::new("kill").args(["-INT", &tail.id().unwrap().to_string()]).status().unwrap();
    assert!(status.success());
    let status = tokio::time::timeout(Duration::from_secs(20), tail.wait()).await.expect("it waits for ever");
    assert_eq!(status.unwrap().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn tail_refuses_where_looking_counts_as_failing() {
    let world = World::new().await;
    world.deliver(&PLATFORM, ORDER.as_bytes()).await;
    let arguments = ["tail", "--once", "--aws", "--queue", "hookgate-events"];
    let ran = world.run(&arguments).await;
    assert_eq!((ran.code, &*ran.out), (Some(2), ""));
    assert!(
        ran.err.contains("hookgate-events has a redrive policy") && ran.err.contains("--disturb-consumers"),
        "{}",
        ran.err
    );
    let seen = world.visible(&world.resources.events_url).await;
    assert_eq!(seen[0].attributes().unwrap()[&MessageSystemAttributeName::ApproximateReceiveCount], "1");

    let ran = world.run(&[&arguments[..], &["--disturb-consumers"]].concat()).await;
    assert_eq!((ran.code, ran.out.lines().count()), (Some(0), 1), "{}", ran.err);
    let seen = world.visible(&world.resources.events_url).await;
    assert_eq!(seen[0].attributes().unwrap()[&MessageSystemAttributeName::ApproximateReceiveCount], "3");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_quarantine_is_no_queue_whose_consumers_would_be_disturbed() {
    let world = World::new().await;
    world.deliver(&PLATFORM, ORDER.as_bytes()).await;
    let received = async || {
        let seen = world.visible(&world.resources.events_url).await;
        seen[0].attributes().unwrap()[&MessageSystemAttributeName::ApproximateReceiveCount].clone()
    };
    for command in [&["list"][..], &["show", "3f1c2a90"], &["release", "3f1c2a90"]] {
        let ran = world.run(&[&["quarantine"], command, &["--quarantine", "hookgate-events"]].concat()).await;
        assert_eq!((ran.code, &*ran.out), (Some(2), ""), "{command:?}");
        let expected = "hookgate-events has a redrive policy: each receive counts against maxReceiveCount, and hides \
                        messages from its consumers. Name the quarantine queue with --quarantine, which as deployed has no \
                        redrive policy, or add --disturb-consumers";
        assert!(ran.err.contains(expected), "{}", ran.err);
    }
    assert_eq!(received().await, "1");
    let ran = world.run(&["quarantine", "list", "--quarantine", "hookgate-events", "--disturb-consumers"]).await;
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert_eq!(received().await, "3");
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_go_back_to_their_queue() {
    let world = World::new().await;
    let (events, dead) = (&world.resources.events_url, &world.resources.dead_letters_url);
    let ran = world.run(&["redrive"]).await;
    assert_eq!(
        (ran.code, &*ran.out),
        (Some(0), "The dead-letter queue hookgate-dead-letters is empty.\n"),
        "{}",
        ran.err
    );

    world.deliver(&PLATFORM, ORDER.as_bytes()).await;
    world.deliver(&PLATFORM, ORDER.replace("evt_1", "evt_2").as_bytes()).await;
    for _ in 0..6 {
        world.visible(events).await;
    }
    assert_eq!((world.visible(events).await.len(), world.visible(dead).await.len()), (0, 2));

    let ran = world.run(&["redrive", "--json"]).await;
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert_eq!(
        ran.json(),
        json!({"queue": "hookgate-dead-letters", "status": "COMPLETED", "moved": 2, "reason": null, "hidden": null})
    );
    assert_eq!(world.visible(dead).await.len(), 0);
    let back = world.visible(events).await;
    assert_eq!(back.len(), 2);
    let attributes = back[0].attributes().unwrap();
    assert_eq!(attributes[&MessageSystemAttributeName::ApproximateReceiveCount], "1");
    assert_eq!(attributes[&MessageSystemAttributeName::MessageGroupId], format!("{}/default", PLATFORM.name));
    assert_eq!(world.run(&["tail", "--once"]).await.out.lines().count(), 4, "each was sent twice");

    // What somebody sent there has no queue that it is from.
    world.send(dead, "straight").await;
    let ran = world.run(&["redrive"]).await;
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    let said = "Moved 0 from hookgate-dead-letters, then failed: CouldNotDetermineMessageSource.\n";
    assert!(ran.out.starts_with(said) && ran.out.contains("with --to"), "{}", ran.out);
    let ran = world.run(&["redrive", "--to", "hookgate-events"]).await;
    assert_eq!((ran.code, &*ran.out), (Some(0), "Moved 1 from hookgate-dead-letters.\n"), "{}", ran.err);
    assert_eq!(world.visible(events).await.len(), 3);
    let ran = world.run(&["redrive", "--to", "none"]).await;
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("cannot find the queue none"), "{}", ran.err);

    let ran = world.run(&["redrive", "--aws", "--queue", "hookgate-dead-letters", "--max-per-second", "5"]).await;
    assert_eq!(
        (ran.code, &*ran.out),
        (Some(0), "The dead-letter queue hookgate-dead-letters is empty.\n"),
        "{}",
        ran.err
    );
    let ran = world.run(&["redrive", "--queue", "hookgate-quarantine"]).await;
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("must be configured as a Dead Letter Queue"), "{}", ran.err);
}

/// Whatever SQS lists beside it: an earlier task while this one is not listed yet, one that somebody began and that ended
/// before this one's start, and one that somebody began later.
#[tokio::test(flavor = "multi_thread")]
async fn redrive_follows_its_own_task() {
    let world = World::new().await;
    let (events, dead) = (&world.resources.events_url, &world.resources.dead_letters_url);
    assert_eq!(world.run(&["redrive"]).await.code, Some(0));
    world.deliver(&PLATFORM, ORDER.as_bytes()).await;
    for _ in 0..6 {
        world.visible(events).await;
    }
    assert_eq!(world.visible(dead).await.len(), 1);

    let (begun, handle) = (AtomicUsize::new(0), Mutex::new(Value::Null));
    let sqs = sqs_before(
        &world,
        |_| {},
        move |action, mut answer| {
            if action == "StartMessageMoveTask" {
                begun.store(1, Ordering::Relaxed);
                *handle.lock().unwrap() = answer["TaskHandle"].clone();
            }
            if action == "ListMessageMoveTasks" && begun.load(Ordering::Relaxed) > 0 {
                let tasks = answer["Results"].as_array_mut().unwrap();
                let look = begun.fetch_add(1, Ordering::Relaxed);
                let failed = |by: i64| {
                    let mut other = tasks[0].clone();
                    other["StartedTimestamp"] = json!(other["StartedTimestamp"].as_i64().unwrap() + by);
                    other["Status"] = json!("FAILED");
                    other
                };
                let (earlier, later) = (failed(-1), failed(1));
                match look {
                    1 => drop(tasks.remove(0)),
                    2 => {
                        tasks[0]["Status"] = json!("RUNNING");
                        tasks[0]["TaskHandle"] = handle.lock().unwrap().clone();
                        tasks.insert(1, earlier);
                    }
                    _ => {
                        tasks.insert(1, earlier);
                        tasks.insert(0, later);
                    }
                }
            }
            answer
        },
    )
    .await;
    let mut command = world.command(&["redrive", "--aws", "--queue", "hookgate-dead-letters", "--json"]);
    command.env("AWS_ENDPOINT_URL_SQS", sqs);
    let ran: Ran = tokio::task::spawn_blocking(move || command.output().unwrap().into()).await.unwrap();
    assert_eq!(ran.code, Some(0), "{} {}", ran.out, ran.err);
    assert_eq!((&ran.json()["status"], &ran.json()["moved"]), (&json!("COMPLETED"), &json!(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_is_told_in_words() {
    let world = World::new().await;
    let none = world.run(&["claims", "show", "evt_1"]).await;
    assert_eq!(none.code, Some(1), "{}", none.err);
    assert!(none.out.starts_with("hookgate-claims has no claim for evt_1"), "{}", none.out);
    assert_eq!(world.run(&["claims", "show", "evt_1", "--json"]).await.json(), json!([]));

    world.deliver(&PLATFORM, ORDER.as_bytes()).await;
    let message_id = world.visible(&world.resources.events_url).await[0].message_id.clone().unwrap();
    let ran = world.run(&["claims", "show", "evt_1"]).await;
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.out.starts_with(&format!("queued: message {message_id} was sent to the queue\n")), "{}", ran.out);
    assert!(ran.out.contains("expires  in 29 d 23 h"), "{}", ran.out);
    for arguments in [&["--account", "eu-shop"][..], &["--provider", another(&PLATFORM).name]] {
        assert_eq!(world.run(&[&["claims", "show", "evt_1"], arguments].concat()).await.code, Some(1));
    }

    let key = partition_key(PLATFORM.name, "default", "evt_1");
    let now = i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap();
    for (lease, expires_in, meaning, words) in [
        (now + 10_000, 900, "claimed", "working on it; its lease ends in "),
        (0, 900, "released", "the platform's next attempt takes over"),
        (now - 125_000, 900, "abandoned", "its lease ended 2 min "),
        (now + 10_000, -60, "expired", "it no longer counts"),
    ] {
        let number = |number: i64| AttributeValue::N(number.to_string());
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let put = world.engines.dynamodb().put_item().table_name(&world.resources.table).item("pk", text(&key));
        let put = put.item("event_id", text("evt_1")).item("owner", text("me")).item("content", text("c0ffee"));
        let put = put.item("state", text("claimed")).item("lease_until", number(lease));
        put.item("expires_at", number(now / 1000 + expires_in)).send().await.unwrap();
        let ran = world.run(&["claims", "show", &key]).await;
        assert!(ran.out.starts_with(&format!("{meaning}: ")) && ran.out.contains(words), "{}", ran.out);
        let aws = ["claims", "show", &key, "--json", "--aws", "--table", "hookgate-claims"];
        let shown = &world.run(&aws).await.json()[0];
        assert_eq!((&shown["meaning"], &shown["content"]), (&json!(meaning), &json!("c0ffee")));
    }
}

/// Who tests here must see what happens there.
#[tokio::test(flavor = "multi_thread")]
async fn the_local_intake_reads_an_address_as_a_function_does() {
    let world = World::new().await;
    let rejected = PLATFORM.rejected_status;
    // `PLATFORM` stands for its name.
    for (number, (path, status)) in [
        ("/webhooks/PLATFORM", 200),
        ("/webhooks/PLATFORM/", 200),
        ("/webhooks/PLATFORM/default/", 200),
        ("/hooks/v1/webhooks/PLATFORM", 200),
        ("/webhooks/PLATFORM/EU", rejected),
        ("/webhooks/PLATFORM/eu-shop", rejected),
        ("/webhooks/PLATFORM/a/b", 404),
        ("/webhooks/other", 404),
        ("/PLATFORM", 404),
    ]
    .into_iter()
    .enumerate()
    {
        let path = path.replace("PLATFORM", PLATFORM.name);
        let signed = signed(&PLATFORM, ORDER.replace("evt_1", &format!("evt_{number}")).as_bytes(), now());
        let mut request = reqwest::Client::new().post(format!("{}{path}", world.local.url()));
        for (name, value) in signed.headers {
            request = request.header(name, value);
        }
        assert_eq!(request.body(signed.body).send().await.unwrap().status(), status, "{path}");
    }
    assert_eq!(world.events().await.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_with_a_hash_sign_is_an_id_and_a_quarantined_one_is_found_by_its_answer() {
    let world = World::new().await;
    for id in ["shop#42#paid", "#", &format!("{}#default#paid", PLATFORM.name), "a#b"] {
        let answer = world.deliver(&PLATFORM, ORDER.replace("evt_1", id).as_bytes()).await;
        assert_eq!((&answer["outcome"], &answer["id"]), (&json!("queued"), &json!(id)));
        for more in [&[][..], &["--provider", PLATFORM.name]] {
            let ran = world.run(&[&["claims", "show", id], more].concat()).await;
            assert!(ran.code == Some(0) && ran.out.starts_with("queued: "), "{id}: {} {}", ran.out, ran.err);
        }
    }
    let none = partition_key(PLATFORM.name, "default", "none");
    assert_eq!(world.run(&["claims", "show", &none]).await.code, Some(1));

    for provider in providers::ALL {
        let unreadable = match provider.fields.name.member() {
            Some(name) => support::body(provider, &[(name, Json::Token("null".to_owned()))]),
            None => b"[]".to_vec(),
        };
        let answer = world.deliver(provider, &unreadable).await;
        assert_eq!(answer["outcome"], "quarantined", "{provider:?}");
        let id = answer["id"].as_str().unwrap();
        let claim = world.run(&["claims", "show", id]).await;
        let listed = world.run(&["quarantine", "list", "--json", "--provider", provider.name]).await.json();
        let message = listed[0]["quarantine_id"].clone();
        let said = format!("quarantined: message {} was sent to quarantine", message.as_str().unwrap());
        assert!(claim.out.starts_with(&said), "{}", claim.out);
        assert_eq!(world.run(&["claims", "show", id, "--json"]).await.json()[0]["meaning"], "quarantined");
        for asked in [id, &id[..18], message.as_str().unwrap()] {
            let shown = world.run(&["quarantine", "show", asked, "--json"]).await;
            assert_eq!(shown.json()["quarantine_id"], message, "{asked}: {}", shown.err);
        }
        for asked in ["quarantine", &id[..17], "quarantine00000000"] {
            assert_eq!(world.run(&["quarantine", "show", asked]).await.code, Some(1), "{asked}");
        }
        let ran = world.run(&["quarantine", "release", id, "--dry-run", "--json"]).await;
        assert_eq!(ran.json()[0]["outcome"], "unreadable", "{}", ran.err);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_is_forgotten_as_shown_or_not_at_all() {
    let world = World::new().await;
    let deliver = async || world.deliver(&PLATFORM, ORDER.as_bytes()).await["outcome"].clone();
    assert_eq!(deliver().await, "queued");
    assert_eq!(deliver().await, "duplicate");
    let message = world.visible(&world.resources.events_url).await[0].message_id.clone().unwrap();
    let table = ["--table", "hookgate-claims"];

    // Nobody is at the terminal to say yes.
    let ran = world.run(&[&["claims", "forget", "evt_1", "--aws"][..], &table].concat()).await;
    assert_eq!(ran.code, Some(2), "{}", ran.out);
    assert!(ran.out.contains(&message) && ran.err.contains("--yes"), "{} {}", ran.out, ran.err);
    assert_eq!(deliver().await, "duplicate");

    let ran = world.run(&["claims", "forget", "evt_1"]).await;
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.out.starts_with(&format!("queued: message {message}")), "{}", ran.out);
    assert!(ran.out.contains("\nDeleted."), "{}", ran.out);
    assert_eq!(world.run(&["claims", "forget", "evt_1"]).await.code, Some(1));
    assert_eq!(deliver().await, "queued");
    let key = partition_key(PLATFORM.name, "default", "evt_1");
    let ran = world.run(&[&["claims", "forget", &key, "--aws", "--yes"][..], &table].concat()).await;
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert_eq!(deliver().await, "queued");

    // Only what was sent: while somebody is at work on it, forgetting could make two of it.
    let now = i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap();
    let text = |text: &str| AttributeValue::S(text.to_owned());
    for (state, lease, expires_in) in [
        ("claimed", now + 10_000, 900),
        ("claimed", 0, 900),
        ("claimed", now - 9_000, 900),
        ("?", 0, 900),
        ("queued", 0, -60),
    ] {
        let number = |number: i64| AttributeValue::N(number.to_string());
        let put = world.engines.dynamodb().put_item().table_name(&world.resources.table).item("pk", text(&key));
        let put = put.item("event_id", text("evt_1")).item("owner", text("me")).item("content", text("c0ffee"));
        let put = put.item("state", text(state)).item("lease_until", number(lease)).item("message_id", text("m"));
        put.item("expires_at", number(now / 1000 + expires_in)).send().await.unwrap();
        let ran = world.run(&["claims", "forget", "evt_1"]).await;
        assert_eq!(ran.code, Some(1), "{state} {lease}: {}", ran.out);
        assert!(ran.out.contains("only the claim of a queued event can be"), "{}", ran.out);
        assert_eq!(world.run(&["claims", "show", "evt_1"]).await.code, Some(0), "{state} {lease}");
    }

    // The same id on two platforms: which one is meant?
    let has_ids = |provider: &Provider| matches!(provider.identity, Identity::Id(_)) && provider.name != PLATFORM.name;
    let second = support::find(has_ids).expect("another platform whose events have ids");
    let answer = world.deliver(second, &support::body_with_id(second, "evt_1")).await;
    assert_eq!((&answer["outcome"], &answer["id"]), (&json!("queued"), &json!("evt_1")));
    let ran = world.run(&["claims", "forget", "evt_1"]).await;
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("--provider"), "{}", ran.err);
    let ran = world.run(&["claims", "forget", "evt_1", "--provider", second.name]).await;
    assert_eq!(ran.code, Some(0), "{}", ran.err);
}

/// Between the look and the deletion the event may be sent again, as another message.
#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_changed_since_it_was_shown_is_not_forgotten() {
    let world = World::new().await;
    world.deliver(&PLATFORM, ORDER.as_bytes()).await;
    let dynamodb = axum::Router::new().fallback({
        let (url, client) = (world.engines.dynamodb_url(), world.engines.dynamodb());
        let table = world.resources.table.clone();
        move |headers: HeaderMap, body: axum::body::Bytes| async move {
            if headers["x-amz-target"].to_str().unwrap().ends_with(".DeleteItem") {
                let key = AttributeValue::S(partition_key(PLATFORM.name, "default", "evt_1"));
                let update = client.update_item().table_name(table).key("pk", key);
                let update = update.update_expression("SET message_id = :other");
                update.expression_attribute_values(":other", AttributeValue::S("other".into())).send().await.unwrap();
            }
            let mut request = reqwest::Client::new().post(url).body(body);
            for (name, value) in headers.iter().filter(|(name, _)| *name != "host") {
                request = request.header(name, value);
            }
            let answer = request.send().await.unwrap();
            (axum::http::StatusCode::from_u16(answer.status().as_u16()).unwrap(), answer.bytes().await.unwrap())
        }
    });
    let url = serve(dynamodb).await;
    let mut command = world.command(&["claims", "forget", "evt_1", "--aws", "--yes", "--table", "hookgate-claims"]);
    command.env("AWS_ENDPOINT_URL_DYNAMODB", url);
    let ran: Ran = tokio::task::spawn_blocking(move || command.output().unwrap().into()).await.unwrap();
    assert_eq!(ran.code, Some(1), "{} {}", ran.out, ran.err);
    assert!(ran.out.contains("the claim has changed since it was shown"), "{}", ran.out);
    assert_eq!(world.run(&["claims", "show", "evt_1"]).await.code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_intake_each_names_the_remedy() {
    let world = World::new().await;
    let commands = [
        &["tail", "--once"][..],
        &["quarantine", "list"],
        &["quarantine", "release", "--all"],
        &["redrive"],
        &["claims", "show", "evt_1"],
    ];
    let commands: Vec<_> = commands.iter().map(|arguments| world.command(arguments)).collect();
    drop(world);
    for mut command in commands {
        let ran = Ran::from(command.output().unwrap());
        assert_eq!(ran.code, Some(2), "{command:?}");
        assert!(ran.err.contains("no local intake answers") && ran.err.contains("or add --aws"), "{}", ran.err);
    }
}
