//! What the functions and the consumer say of what they cannot use: never a word of it.

use hookgate_verify::{
    Provider, Scheme,
    providers::{self, Identity},
};
use serde_json::{Value, json};

use crate::support::{World, binary, body::Body, event::event, lambda::Function, log_lines, order_paid, plain, signed};

/// Stands wherever something secret or personal can.
const MARK: &str = "s3cr3t-mark";

fn assert_unmarked(log: &[String], of: &str) {
    let marked: Vec<_> = log.iter().filter(|line| line.contains(MARK)).collect();
    assert!(marked.is_empty(), "{of}: {marked:?}");
}

/// Where the platform's data looks.
fn places(provider: &Provider) -> Vec<String> {
    let fields = &provider.fields;
    let mut places: Vec<_> =
        fields.name.member().into_iter().chain([fields.time, fields.object]).map(str::to_owned).collect();
    // The body itself is marked below.
    places.retain(|place| !place.is_empty());
    places.extend(match &provider.identity {
        Identity::Id(path) => vec![(*path).to_owned()],
        Identity::Together(paths) => paths.iter().map(|path| (*path).to_owned()).collect(),
        Identity::SignedHeader | Identity::Content => vec![],
    });
    let facts = [fields.amount, fields.currency, fields.customer, fields.status].concat();
    let facts = facts.iter().chain(fields.resource.iter().flat_map(|(_, paths)| *paths));
    places.extend(facts.map(|path| fields.in_object(path)));
    places
}

#[tokio::test]
async fn no_line_of_a_function_quotes_a_delivery() {
    for provider in providers::ALL {
        let world = World::new().await;
        let function = world.function(provider, &[]).await;
        let mark = |text: &str| text.replace("MARK", MARK);
        let mut events = Vec::new();
        let headers: Vec<_> = provider.schemes().flat_map(Scheme::headers).chain(["x-a"]).collect();
        let headers: Vec<_> = headers.iter().map(|name| (*name, MARK)).collect();
        for body in ["MARK", "\"MARK\"", r#"{"MARK":"#] {
            events.push(event(provider.name, None, &headers[headers.len() - 1..], mark(body).as_bytes()));
            events.push(event(provider.name, None, &headers, mark(body).as_bytes()));
        }
        let sound = Body::new(provider, "1").with(&provider.fields.in_object("email"), MARK);
        for member in provider.schemes().filter_map(Scheme::signature_member) {
            events.push(event(provider.name, None, &[], &sound.clone().with(member, MARK).bytes()));
        }
        let mut bodies = vec![sound.bytes(), mark(r#"{"MARK":1}"#).into_bytes()];
        for place in places(provider) {
            for value in [json!({ MARK: 1 }), json!([MARK])] {
                bodies.push(sound.clone().with(&place, value).bytes());
            }
        }
        let member = provider.fields.payload_member();
        for place in member.into_iter().chain([provider.fields.time]) {
            bodies.push(sound.clone().with(place, MARK).bytes());
        }
        // Twice.
        let text = sound.text();
        bodies.push(format!(r#"{{"{}":"{MARK}",{}"#, member.unwrap_or("email"), &text[1..]).into_bytes());
        events.extend(bodies.iter().map(|body| signed(provider, body)));
        for (from, to) in [
            (r#""isBase64Encoded":false"#, r#""isBase64Encoded":true"#),
            (r#""version":"2.0""#, r#""version":"1.0""#),
            (r#""accept":"*/*""#, r#""accept":"MARK\u007f""#),
        ] {
            let event = signed(provider, mark(r#"{"email":"MARK"}"#).as_bytes());
            assert!(event.contains(from), "{event}");
            events.push(event.replace(from, &mark(to)));
        }
        for event in &events {
            function.invoke(event.clone()).await;
        }
        log_lines(&function, events.len()).await;
        assert_unmarked(&function.log(), provider.name);
    }
}

/// What AWS says may quote the request.
#[tokio::test]
async fn no_line_quotes_what_aws_says() {
    let world = World::new().await;
    let error = json!({"__type": "com.amazonaws#ValidationException", "message": MARK, "Item": {"pk": {"S": MARK}}});
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answer = (axum::http::StatusCode::BAD_REQUEST, error.to_string());
    let router = axum::Router::new().fallback(move || async move { answer });
    tokio::spawn(async move { axum::serve(listener, router).await });
    let secrets = [("AWS_ENDPOINT_URL_SECRETS_MANAGER", &*url), ("WEBHOOK_SECRETS", ""), ("SECRET_ID", "secret")];
    for settings in [&[("AWS_ENDPOINT_URL_DYNAMODB", &*url)][..], &[("AWS_ENDPOINT_URL_SQS", &*url)], &secrets] {
        let function = world.function(plain(), settings).await;
        function.invoke(order_paid("evt_1", MARK)).await;
        let lines = log_lines(&function, 1).await;
        assert!(lines.iter().any(|line| line["error"].as_str().is_some_and(|e| e.contains("ValidationException"))));
        assert_unmarked(&function.log(), &format!("{settings:?}"));
    }
}

#[tokio::test]
async fn no_start_quotes_a_setting() {
    let world = World::new().await;
    let mark = |text: &str| text.replace("MARK", MARK);
    for secrets in [
        "MARK MARK",
        "SECRET=MARK",
        "default: MARK",
        "<MARK>",
        "MARK\u{200b}",
        r#"{"default":["MARK""#,
        r#"{"default":["MARK",""]}"#,
        r#"{"default":["MARK\u0007"]}"#,
        r#"{"default":["MARK"],"b":["MARK"]}"#,
        r#"{"MARK MARK":["a"]}"#,
        r#"{"SecretString":"MARK"}"#,
        r#""{\"default\":\"MARK\"}""#,
        r#"{"default":{"MARK":1}}"#,
    ] {
        let settings = world.settings(plain(), &[("WEBHOOK_SECRETS", &mark(secrets))]);
        let exit = Function::start(&binary(plain()), 1, &settings).await.exit().await;
        assert_eq!(exit.code, Some(1), "{secrets}");
        assert_unmarked(&exit.log, secrets);
    }
    let own = providers::ALL.iter().filter_map(|provider| Some((*provider, provider.setting?)));
    for (provider, name) in own.chain([(plain(), "CLAIM_TTL_DAYS")]) {
        let settings = world.settings(provider, &[(name, MARK)]);
        let exit = Function::start(&binary(provider), 1, &settings).await.exit().await;
        assert_eq!(exit.code, Some(1), "{name}");
        assert_unmarked(&exit.log, name);
    }
}

#[tokio::test]
async fn no_line_of_the_consumer_quotes_a_message() {
    const EVENT: &str = r#"{"specversion":"1.0","id":"evt_1","source":"/webhooks/shop/default","type":"commerce.order.paid","datacontenttype":"application/json","provider":"shop","account":"default","providertype":"order.paid","receivedtime":"2026-01-01T00:00:00.000Z","data":{"amount":{"value":"1","unit":"minor"},"payload":{"email":"s3cr3t-mark"}}}"#;
    let world = World::new().await;
    hookgate::local::engines::create_table(&world.engines.dynamodb(), "consumed").await.unwrap();
    let settings =
        [("AWS_ENDPOINT_URL_DYNAMODB", world.engines.dynamodb_url()), ("CONSUMED_TABLE_NAME", "consumed".to_owned())];
    let function = Function::start(crate::consumer::binary(), 1, &settings).await;
    let payload = r#"{"email":"s3cr3t-mark"}"#;
    let data = EVENT.find(r#""data":"#).unwrap() + 7;
    let bodies = [
        MARK.to_owned(),
        format!("\"{MARK}\""),
        // A wrong type: a string where an object is expected.
        format!("{}{}}}", &EVENT[..data], json!(payload)),
        json!(EVENT).to_string(),
        EVENT.replace(r#""evt_1""#, &format!(r#"["{MARK}"]"#)),
        // A wrong variant.
        EVENT.replace(r#""minor""#, &format!(r#""{MARK}""#)),
        EVENT.replace(r#""1.0""#, &format!(r#""{MARK}""#)),
        EVENT.replace(r#""payload":"#, r#""payload_gzip":"s3cr3t-mark","x":"#),
        EVENT[..EVENT.len() - 4].to_owned(),
    ];
    let record = |(index, body): (usize, &String)| json!({"messageId": index.to_string(), "body": body});
    let batch: Vec<Value> = bodies.iter().enumerate().map(record).collect();
    let count = batch.len();
    let answer = function.invoke(json!({ "Records": batch }).to_string()).await;
    let lines = log_lines(&function, count).await;
    assert_eq!(lines.iter().filter(|line| line["message"] == "failed").count(), count, "{answer:?}");
    assert_unmarked(&function.log(), "the consumer");
    // The one that is an event is not quoted either.
    function.invoke(json!({"Records": [{"messageId": "m", "body": EVENT}]}).to_string()).await;
    log_lines(&function, count + 2).await;
    assert_unmarked(&function.log(), "the consumer");
}
