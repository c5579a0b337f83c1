//! The page at the local intake's own address: what arrives, as it arrives, and why it came to what it came to.
//!
//! It is for the person at this machine alone. A page from elsewhere, open in the same browser, can neither read it nor
//! drive it: see `guard`. What it shows of signatures and credentials is cut short: see [`mask`].

pub mod mask;

use std::{collections::BTreeMap, convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    body::Body,
    extract::{Path, Query, Request, State},
    http::{HeaderMap, HeaderName, Method, StatusCode, Uri, header},
    middleware::{self, Next},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
    routing::{get, post},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use clap::ValueEnum;
use futures_util::stream;
use hookgate_intake::Quarantined;
use hookgate_verify::{Account, Delivery, Secrets, Verifier};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use tokio::{sync::broadcast, time::Interval};

use crate::{
    capture,
    client::http::Outgoing,
    error as usage, explain,
    local::engines::{Crash, Engines, Queues, Resources, Seen},
    local::gateway::{Functions, LocalError, SecretsFile},
    local::host,
    local::journal::Taken,
    send::{
        outgoing::{Tamper, Template},
        plan::{self, Plan},
    },
};

/// The most messages of a queue that are shown.
const MOST_MESSAGES: usize = 50;

/// The most of a message that is shown, in bytes.
const MOST_MESSAGE_BYTES: usize = 64 * 1024;

/// How often queues are looked at for followers.
const LOOK: Duration = Duration::from_secs(1);

/// How soon a page comes back that has lost its connection.
const RECONNECT: Duration = Duration::from_secs(1);

/// What the page's code may do: load its own files and talk to its own address, and turn no text into markup.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";

/// What the page's answers are made from.
struct Page {
    functions: Arc<Functions>,
    platforms: BTreeMap<&'static str, Platform>,
    dynamodb: aws_sdk_dynamodb::Client,
    resources: Resources,
    queues: Queues,
}

/// How one platform's deliveries are verified here.
struct Platform {
    verifier: Verifier,
    secrets: Secrets,
}

/// Everything that is not a webhook's address.
///
/// # Errors
/// A setting in the environment, or a secret, is unusable.
pub(crate) fn router(
    functions: Arc<Functions>,
    engines: &Engines,
    resources: &Resources,
    secrets: &SecretsFile,
) -> Result<Router, LocalError> {
    let mut platforms = BTreeMap::new();
    for (provider, secrets) in &secrets.0 {
        let verifier = Verifier::new(provider, |name| std::env::var(name).ok());
        let verifier = verifier.map_err(|error| LocalError(error.to_string()))?;
        let secrets = Secrets::parse(secrets).map_err(|error| LocalError(error.to_string()))?;
        platforms.insert(provider.name, Platform { verifier, secrets });
    }
    let page = Page {
        functions,
        platforms,
        dynamodb: engines.dynamodb(),
        resources: resources.clone(),
        queues: engines.queues(),
    };
    let file =
        |kind: &'static str, text: &'static str| get(move || async move { ([(header::CONTENT_TYPE, kind)], text) });
    Ok(Router::new()
        .route("/", file("text/html; charset=utf-8", include_str!("index.html")))
        .route("/assets/style.css", file("text/css; charset=utf-8", include_str!("style.css")))
        .route("/assets/page.js", file("text/javascript; charset=utf-8", include_str!("page.js")))
        .route("/assets/icon.svg", file("image/svg+xml", include_str!("icon.svg")))
        .route("/api/stream", get(follow))
        .route("/api/deliveries", get(deliveries))
        .route("/api/deliveries/{number}", get(delivery))
        .route("/api/deliveries/{number}/claim", get(claim))
        .route("/api/deliveries/{number}/replay", post(replay))
        .route("/api/search", get(search))
        .route("/api/queues", get(queues))
        .route("/api/catalogue", get(catalogue))
        .route("/api/send", post(send))
        .route("/api/crash/{crash}/{*path}", post(crash))
        .layer(middleware::from_fn(guard))
        .with_state(Arc::new(page)))
}

/// Lets nobody in but the page itself and whoever sits at this machine.
///
/// - Another site's name that its DNS has made to lead here (rebinding) comes as that name in `Host`.
/// - Another site's code comes with `Sec-Fetch-Site` and, to change something, with `Origin`. Browsers that send neither
///   ask beforehand whether they may send JSON across origins, and are never told yes.
async fn guard(request: Request, next: Next) -> Response {
    let headers = request.headers();
    let said = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("?").to_owned());
    let named = said(header::HOST).unwrap_or_default();
    let site = said(HeaderName::from_static("sec-fetch-site"));
    let from_here = said(header::ORIGIN).is_none_or(|origin| origin == format!("http://{named}"))
        && site.as_deref().is_none_or(|site| matches!(site, "same-origin" | "none"));
    // What a proxy or a tunnel passes on comes from somebody else, whatever name it has put into `Host`.
    let is_passed_on =
        ["forwarded", "x-forwarded-for", "x-forwarded-host"].iter().any(|name| headers.contains_key(*name));
    // A link may lead to the page from anywhere.
    let is_page = request.method() == Method::GET && request.uri().path() == "/";
    let mut response = if is_passed_on {
        refused(StatusCode::FORBIDDEN, "the page is for this machine alone: a tunnel passes on /webhooks/ only")
    } else if !host::is_local(&named) {
        refused(
            StatusCode::FORBIDDEN,
            "open the page by its address, like http://127.0.0.1:9000/: no other name is answered",
        )
    } else if !is_page && !from_here {
        refused(StatusCode::FORBIDDEN, "another site's page may not use this one")
    } else {
        next.run(request).await
    };
    for (name, value) in [
        ("content-security-policy", POLICY),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
        ("cache-control", "no-store"),
    ] {
        response.headers_mut().insert(name, header::HeaderValue::from_static(value));
    }
    response
}

fn refused(status: StatusCode, why: &str) -> Response {
    (status, Json(json!({"error": why}))).into_response()
}

fn gone() -> Response {
    refused(StatusCode::NOT_FOUND, "this delivery is no longer kept: only the last ones are")
}

/// One who follows what is taken.
struct Follower {
    page: Arc<Page>,
    snapshot: Option<Value>,
    news: broadcast::Receiver<String>,
    looking: Interval,
    seen: Value,
}

/// Everything that is kept, then every delivery as it is taken, and how full the queues are whenever that changes.
async fn follow(State(page): State<Arc<Page>>) -> Response {
    let (snapshot, news) = page.functions.journal.follow();
    let looking = tokio::time::interval(LOOK);
    let follower = Follower { page, snapshot: Some(snapshot), news, looking, seen: Value::Null };
    let events = stream::unfold(follower, async |mut follower| {
        let event = follower.next().await;
        Some((Ok::<_, Infallible>(event), follower))
    });
    Sse::new(events).keep_alive(KeepAlive::default()).into_response()
}

impl Follower {
    async fn next(&mut self) -> Event {
        loop {
            if let Some(snapshot) = self.snapshot.take() {
                return Event::default().event("snapshot").retry(RECONNECT).data(snapshot.to_string());
            }
            tokio::select! {
                news = self.news.recv() => {
                    if let Ok(news) = news {
                        return Event::default().event("delivery").data(news);
                    }
                    // Too far behind, in a flood: look at everything anew.
                    let (snapshot, news) = self.page.functions.journal.follow();
                    (self.snapshot, self.news) = (Some(snapshot), news);
                }
                _ = self.looking.tick() => {
                    let fullness = self.page.fullness();
                    if fullness != self.seen {
                        self.seen = fullness;
                        return Event::default().event("queues").data(self.seen.to_string());
                    }
                }
            }
        }
    }
}

async fn deliveries(State(page): State<Arc<Page>>) -> Response {
    Json(page.functions.journal.follow().0).into_response()
}

/// One delivery with everything that is known of it and does not change.
async fn delivery(State(page): State<Arc<Page>>, Path(number): Path<u64>) -> Response {
    let Some(taken) = page.functions.journal.get(number) else { return gone() };
    // Explaining a signature that does not match takes hundreds of MACs.
    let described = tokio::task::spawn_blocking(move || page.describe(&taken)).await;
    described.map_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response(), |json| Json(json).into_response())
}

/// What the table knows of a delivery's event, and where its message is.
async fn claim(State(page): State<Arc<Page>>, Path(number): Path<u64>) -> Response {
    let Some(taken) = page.functions.journal.get(number) else { return gone() };
    let key = taken.said("key");
    if key.is_empty() {
        return Json(json!({"key": null})).into_response();
    }
    let pk = aws_sdk_dynamodb::types::AttributeValue::S(key.to_owned());
    let call = page.dynamodb.get_item().table_name(&page.resources.table).key("pk", pk).consistent_read(true);
    let Ok(found) = call.send().await else {
        return refused(StatusCode::BAD_GATEWAY, "the local DynamoDB does not answer");
    };
    let item: Option<Map<String, Value>> = found.item.map(|item| {
        let text = |value: &aws_sdk_dynamodb::types::AttributeValue| {
            value.as_s().or_else(|_| value.as_n()).map_or(Value::Null, |text| text.as_str().into())
        };
        item.iter().map(|(name, value)| (name.clone(), text(value))).collect()
    });
    let message_id = item.as_ref().and_then(|item| item.get("message_id")?.as_str());
    let message = message_id
        .and_then(|id| page.queues.find(id))
        .map(|(queue, seen)| json!({"queue": queue, "receives": seen.receives, "waiting": seen.waiting}));
    let now = OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000;
    Json(json!({"key": key, "item": item, "message": message, "now": i64::try_from(now).unwrap_or_default()}))
        .into_response()
}

/// What the queues hold, untouched.
async fn queues(State(page): State<Arc<Page>>) -> Response {
    let held = |url: &str| {
        let look = page.queues.look(url, MOST_MESSAGES)?;
        let messages: Vec<_> = look.latest.iter().map(message).collect();
        Some(json!({"waiting": look.waiting, "in_flight": look.in_flight, "messages": messages}))
    };
    let Resources { events_url, quarantine_url, dead_letters_url, .. } = &page.resources;
    Json(json!({
        "events": held(events_url),
        "quarantine": held(quarantine_url),
        "dead_letters": held(dead_letters_url),
    }))
    .into_response()
}

/// A message as the page shows it: an event's text, or what a quarantined delivery was.
fn message(seen: &Seen) -> Value {
    let mut shown = json!({"id": seen.id, "sent": seen.sent, "receives": seen.receives, "waiting": seen.waiting});
    if let Ok(entry) = serde_json::from_str::<Quarantined>(&seen.body) {
        let body = entry.body.as_ref().and_then(|body| BASE64_STANDARD.decode(body).ok());
        shown["reason"] = entry.reason.into();
        shown["provider"] = entry.provider.into();
        shown["account"] = entry.account.into();
        shown["text"] = match body {
            Some(body) => beginning(&mask::body(&String::from_utf8_lossy(&body))),
            None => "(a large body, kept compressed)".into(),
        };
    } else {
        // As a consumer reads it: a payload may hold what a `Value` cannot.
        let event = hookgate_event::Event::from_json(&seen.body).ok();
        shown["type"] = event.as_ref().map(|event| event.event_type.as_str()).into();
        shown["provider"] = event.as_ref().map(|event| event.provider.clone()).into();
        shown["account"] = event.as_ref().map(|event| event.account.clone()).into();
        shown["subject"] = event.and_then(|event| event.subject).into();
        shown["text"] = beginning(&seen.body);
    }
    shown
}

fn beginning(text: &str) -> Value {
    if text.len() <= MOST_MESSAGE_BYTES {
        return text.into();
    }
    format!("{}… ({} bytes)", &text[..text.floor_char_boundary(MOST_MESSAGE_BYTES)], text.len()).into()
}

#[derive(Deserialize)]
struct Wanted {
    text: String,
}

/// The numbers of the deliveries in whose body or headers a text stands.
async fn search(State(page): State<Arc<Page>>, Query(Wanted { text }): Query<Wanted>) -> Response {
    let text = text.to_lowercase();
    let all = page.functions.journal.all();
    let search = move || {
        let has = |bytes: &[u8]| String::from_utf8_lossy(bytes).to_lowercase().contains(&text);
        let matches = |taken: &Taken| {
            let mut headers = taken.headers.iter();
            has(&taken.body) || headers.any(|(name, value)| has(name.as_str().as_bytes()) || has(value.as_bytes()))
        };
        all.iter().filter(|taken| matches(taken)).map(|taken| taken.number).collect::<Vec<_>>()
    };
    let found = tokio::task::spawn_blocking(search).await.unwrap_or_default();
    Json(json!({"numbers": found})).into_response()
}

/// What can be sent: every event of every platform that has secrets here.
async fn catalogue(State(page): State<Arc<Page>>) -> Response {
    let platforms = page.platforms.values().map(|Platform { verifier, secrets }| {
        json!({
            "name": verifier.provider().name,
            "member": usage::member(verifier.provider()),
            "events": Template::events(verifier.provider()),
            "accounts": secrets.accounts().map(Account::as_str).collect::<Vec<_>>(),
            "schemes": verifier.schemes().iter().map(|scheme| scheme.name).collect::<Vec<_>>(),
        })
    });
    Json(platforms.collect::<Value>()).into_response()
}

/// What the page asks to send.
#[derive(Deserialize)]
struct Wish {
    provider: String,
    event: String,
    account: Option<String>,
    scheme: Option<String>,
    /// Lines like `path.to.member=100`.
    #[serde(default)]
    set: Vec<String>,
    /// The sample as it is, with its own ids and times.
    #[serde(default)]
    same: bool,
    tamper: Option<String>,
}

/// Sends a delivery, signed with this intake's own secret.
async fn send(State(page): State<Arc<Page>>, Json(wish): Json<Wish>) -> Response {
    match page.request(wish) {
        Ok(request) => page.deliver(request).await,
        Err(why) => refused(StatusCode::BAD_REQUEST, &why),
    }
}

/// How a delivery is to be sent again.
#[derive(Deserialize)]
struct Again {
    /// With one byte more than was signed.
    #[serde(default)]
    tamper: bool,
}

/// Sends a delivery again, byte for byte as it came.
async fn replay(State(page): State<Arc<Page>>, Path(number): Path<u64>, Json(again): Json<Again>) -> Response {
    let Some(taken) = page.functions.journal.get(number) else { return gone() };
    if !taken.is_whole() {
        return refused(
            StatusCode::CONFLICT,
            "its body is too large to be kept whole: send it again from where it came",
        );
    }
    let mut body = taken.body.clone();
    if again.tamper {
        let end = body.iter().rposition(|&byte| byte == b'}').unwrap_or(body.len());
        body.insert(end, b' ');
    }
    let length = body.len();
    let mut request = Request::new(Body::from(body));
    *request.method_mut() = taken.method.clone();
    *request.uri_mut() = taken.target.clone();
    *request.headers_mut() = taken.headers.clone();
    if let Some(stated) = request.headers_mut().get_mut(header::CONTENT_LENGTH) {
        *stated = length.into();
    }
    page.deliver(request).await
}

/// Has the function take a delivery, sent as its platform would, and die on the way.
async fn crash(
    State(page): State<Arc<Page>>,
    Path((crash, _)): Path<(Crash, String)>,
    mut request: Request,
) -> Response {
    // Cut off, not put together from what axum has decoded: the function gets address and query as they were sent.
    let sent = request.uri().path_and_query().map_or("", |sent| sent.as_str());
    let target = sent.strip_prefix(&format!("/api/crash/{}", crash.name())).map(str::parse);
    let Some(Ok(target)) = target else { return StatusCode::NOT_FOUND.into_response() };
    *request.uri_mut() = target;
    page.functions.deliver(request, Some(crash)).await.0
}

impl Page {
    /// How many messages the queues hold.
    fn fullness(&self) -> Value {
        let held = |url: &str| self.queues.look(url, 0).map(|look| [look.waiting, look.in_flight]);
        let Resources { events_url, quarantine_url, dead_letters_url, .. } = &self.resources;
        json!({"events": held(events_url), "quarantine": held(quarantine_url), "dead_letters": held(dead_letters_url)})
    }

    /// Has the function take a request, by the way that every delivery goes.
    async fn deliver(&self, request: Request) -> Response {
        let (response, number) = self.functions.deliver(request, None).await;
        let outcome = number.and_then(|number| self.functions.journal.get(number));
        let outcome = outcome.map(|taken| taken.said("outcome").to_owned());
        Json(json!({"number": number, "status": response.status().as_u16(), "outcome": outcome})).into_response()
    }

    fn request(&self, wish: Wish) -> Result<Request, String> {
        let platform = self.platforms.get(&*wish.provider);
        let Platform { verifier, secrets } = platform.ok_or("there are no secrets for this platform: see --secrets")?;
        let provider = verifier.provider();
        let account = wish.account.as_deref().map_or_else(|| Some(Account::default()), Account::parse);
        let account = account.ok_or("an account is 1 to 64 of a-z, 0-9 and -")?;
        let secret = secrets.current(&account).ok_or("this account has no secret: see --secrets")?;
        let mut schemes = verifier.schemes().iter();
        let scheme = match &wish.scheme {
            Some(name) => schemes.find(|scheme| scheme.name == *name),
            None => schemes.next_back(),
        };
        let path = if account == Account::default() { String::new() } else { format!("/{account}") };
        let (event, template) = plan::event(provider, Some(&wish.event)).map_err(|error| error.to_string())?;
        let plan = Plan {
            provider,
            event,
            template,
            data: None,
            set: wish.set.iter().map(|line| plan::assignment(line)).collect::<Result<_, _>>()?,
            id: None,
            same: wish.same,
            scheme: scheme.ok_or("this intake does not take this scheme")?,
            secret: secret.to_vec(),
            tamper: wish.tamper.map(|name| Tamper::from_str(&name, false)).transpose()?,
            url: format!("/webhooks/{}{path}", provider.name).parse::<Uri>().map_err(|error| error.to_string())?,
        };
        let plan = plan.checked().map_err(|error| error.to_string())?;
        let now = OffsetDateTime::now_utc();
        let Outgoing { headers, body } = plan.outgoing(&plan.template(now), now).map_err(|error| error.to_string())?;
        let mut request = Request::post(plan.url).header(header::CONTENT_LENGTH, body.len());
        for (name, value) in headers {
            request = request.header(name, value);
        }
        request.body(Body::from(body)).map_err(|error| error.to_string())
    }

    fn describe(&self, taken: &Taken) -> Value {
        let text = String::from_utf8_lossy(&taken.body);
        let (explanation, event) = self.explain(taken).unzip();
        let mut log = taken.log.clone();
        log.remove("_aws");
        let target = match taken.target.query() {
            Some(query) => format!("{}?{}", taken.target.path(), mask::query(query)),
            None => taken.target.path().to_owned(),
        };
        json!({
            "summary": taken.summary(),
            "target": target,
            "headers": headers(&taken.headers),
            "body": mask::body(&text),
            "body_masked": mask::body(&text) != text,
            "body_is_text": std::str::from_utf8(&taken.body).is_ok(),
            "body_kept": taken.body.len(),
            "words": words(taken),
            "explanation": explanation,
            "event": event.flatten(),
            "log": log,
        })
    }

    /// What `hookgate explain` says of it, as if it were asked when the delivery came; and the normalised event, where
    /// there is one. None where there is nothing to explain.
    fn explain(&self, taken: &Taken) -> Option<(Value, Option<String>)> {
        if matches!(taken.said("reason"), "address" | "body_not_base64") || !taken.is_whole() {
            return None;
        }
        let platform = self.platforms.get(taken.said("provider"))?;
        let received = i128::from(taken.received()) * 1_000_000;
        let received = OffsetDateTime::from_unix_timestamp_nanos(received).ok()?;
        let (headers, body) = (taken.headers.clone(), taken.body.clone());
        let request = capture::Request {
            form: "raw HTTP",
            method: taken.method.to_string(),
            path: taken.target.path().to_owned(),
            headers: headers.clone(),
            body: body.clone(),
            received: Some(received),
            note: None,
        };
        let account = explain::account(&request.path, platform.verifier.provider()).unwrap_or_default();
        let explanation = explain::explain(&request, platform.verifier, &platform.secrets, &account, received);
        let delivery = Delivery { headers, body, account, received };
        let proof = platform.verifier.authenticate(&delivery, &platform.secrets).ok();
        let event = proof.and_then(|proof| Some(proof.read().ok()?.event.to_json()));
        Some((json!(explanation), event))
    }
}

fn headers(headers: &HeaderMap) -> Value {
    let shown = headers.iter().map(|(name, value)| {
        let text = String::from_utf8_lossy(value.as_bytes());
        let masked = mask::header(name.as_str(), &text);
        json!({"name": name.as_str(), "masked": masked.is_some(), "value": masked.unwrap_or(text.into_owned())})
    });
    shown.collect()
}

/// What became of a delivery, in a sentence.
fn words(taken: &Taken) -> String {
    let (outcome, reason, error) = (taken.said("outcome"), taken.said("reason"), taken.said("error"));
    match (outcome, reason) {
        ("queued", _) => "Authentic and new: its event is on the queue.".into(),
        ("duplicate", _) => "Authentic and known: it was taken before, and nothing was queued again.".into(),
        ("quarantined", "key_conflict") => {
            "Authentic, but its id already stands for other content: it is in quarantine.".into()
        }
        ("quarantined", "too_old") => {
            "Authentic, but older than MAX_EVENT_AGE_DAYS, so that no claim could tell it from a replay: it is in \
             quarantine."
                .into()
        }
        ("quarantined", _) => format!("Authentic, but no event that can be read ({reason}): it is in quarantine."),
        ("ping", _) => "The platform tries the address; nothing is signed, claimed or queued.".into(),
        ("rejected", "method") => "Not a POST: nothing else was looked at.".into(),
        ("rejected", "address") => {
            "Its address names no account: an account is 1 to 64 of a-z, 0-9 and -. Nothing else was looked at.".into()
        }
        ("rejected", _) => format!("Not proved to come from the platform ({reason}): nothing was claimed or queued."),
        ("too_large", _) => {
            "Authentic, but more than a message can carry even when compressed: nothing was claimed or queued.".into()
        }
        ("busy", _) => "Another copy is being worked on: the platform is asked to send it again.".into(),
        _ => format!("The step {reason} failed ({error}): the platform is asked to send it again."),
    }
}
