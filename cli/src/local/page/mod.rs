//! The page at the local intake's own address: what arrives, as it arrives, and why it came to what it came to.
//!
//! It is for the person at this machine alone. A page from elsewhere, open in the same browser, can neither read it nor
//! drive it: see `guard`. What it shows of signatures and credentials is cut short: see [`mask`].

mod acts;
mod copies;
pub mod mask;
mod queues;
mod search;
mod shown;
pub(crate) mod trace;

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{Request, State},
    http::{HeaderName, Method, StatusCode, header},
    middleware::{self, Next},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
    routing::{get, post},
};
use futures_util::stream;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::{sync::broadcast, time::Interval};

use super::{
    engines::{Engines, Queues, Resources},
    gateway::Functions,
    host,
    journal::RecordedDelivery,
};
use crate::client::aws::{Clients, Deployment};

/// How often queues are looked at for followers.
const LOOK: Duration = Duration::from_secs(1);

/// How soon a page comes back that has lost its connection.
const RECONNECT: Duration = Duration::from_secs(1);

const SCRIPT: &str = "text/javascript; charset=utf-8";

/// What the page's code may do: load its own files and talk to its own address, and turn no text into markup.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";

/// What the page's answers are made from.
struct Page {
    functions: Arc<Functions>,
    resources: Resources,
    queues: Queues,
    clients: Clients,
}

/// Everything that is not a webhook's address.
pub(crate) async fn router(
    functions: Arc<Functions>,
    engines: &Engines,
    resources: &Resources,
) -> anyhow::Result<Router> {
    let deployment = Deployment {
        aws: false,
        profile: None,
        region: None,
        stack: String::new(),
        dynamodb: engines.dynamodb_url(),
        sqs: engines.sqs_url(),
    };
    let clients = deployment.clients().await?;
    let page = Page { functions, resources: resources.clone(), queues: engines.queues(), clients };
    let file =
        |kind: &'static str, text: &'static str| get(move || async move { ([(header::CONTENT_TYPE, kind)], text) });
    Ok(Router::new()
        .route("/", file("text/html; charset=utf-8", include_str!("index.html")))
        .route("/assets/style.css", file("text/css; charset=utf-8", include_str!("style.css")))
        .route("/assets/page.js", file(SCRIPT, include_str!("page.js")))
        .route("/assets/detail.js", file(SCRIPT, include_str!("detail.js")))
        .route("/assets/queues.js", file(SCRIPT, include_str!("queues.js")))
        .route("/assets/form.js", file(SCRIPT, include_str!("form.js")))
        .route("/assets/common.js", file(SCRIPT, include_str!("common.js")))
        .route("/assets/icon.svg", file("image/svg+xml", include_str!("icon.svg")))
        .route("/api/stream", get(follow))
        .route("/api/deliveries", get(deliveries))
        .route("/api/deliveries/{number}", get(shown::delivery))
        .route("/api/deliveries/{number}/claim", get(shown::claim))
        .route("/api/deliveries/{number}/curl", post(copies::as_curl))
        .route("/api/deliveries/{number}/replay", post(acts::replay))
        .route("/api/search", get(search::search))
        .route("/api/trace", get(trace::trace))
        .route("/api/queues", get(queues::queues))
        .route("/api/quarantine/{id}/release", post(queues::release))
        .route("/api/redrive", post(queues::redrive))
        .route("/api/catalogue", get(acts::catalogue))
        .route("/api/send", post(acts::send))
        .route("/api/fresh", post(copies::freshened))
        .nest("/api/crash/{crash}", Router::new().fallback(post(acts::crash)))
        .layer(middleware::from_fn(guard))
        .with_state(Arc::new(page)))
}

/// Lets nobody in but the page itself and whoever sits at this machine.
///
/// - Another site's name that its DNS has made to lead here (rebinding) comes as that name in `Host`.
/// - Another site's code comes with `Sec-Fetch-Site` and, to change something, with `Origin`. Browsers that send neither
///   ask beforehand whether they may send JSON across origins, and are never told yes: whatever acts takes JSON only.
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
        forbidden("the page is for this machine alone: a tunnel passes on /webhooks/ only")
    } else if !host::is_local(&named) {
        forbidden("open the page by its address, like http://127.0.0.1:9000/: no other name is answered")
    } else if !is_page && !from_here {
        forbidden("another site's page may not use this one")
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

/// An answer to the page.
type Answer = Result<Json<Value>, Refused>;

/// Why the page does not get what it asked for.
struct Refused(StatusCode, String);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.0, Json(json!({"error": self.1}))).into_response()
    }
}

/// A call to an engine that failed.
impl From<anyhow::Error> for Refused {
    fn from(error: anyhow::Error) -> Self {
        Refused(StatusCode::BAD_GATEWAY, format!("{error:#}"))
    }
}

fn forbidden(why: &str) -> Response {
    Refused(StatusCode::FORBIDDEN, why.to_owned()).into_response()
}

/// Answers with what `work` makes, on a thread where it may take its time.
async fn worked_out<T: Serialize + Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Response {
    let made = tokio::task::spawn_blocking(work).await;
    made.map_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response(), |made| Json(made).into_response())
}

/// One who follows what is taken.
struct Follower {
    page: Arc<Page>,
    /// What comes after the snapshot. None until that was told.
    news: Option<broadcast::Receiver<String>>,
    looking: Interval,
    /// The queues as they were told last.
    queues: Value,
}

/// Everything that is kept, then every delivery as it is taken, and whenever that changes how full the queues are and where
/// the deliveries' messages.
async fn follow(State(page): State<Arc<Page>>) -> Response {
    let follower = Follower { page, news: None, looking: tokio::time::interval(LOOK), queues: Value::Null };
    let events = stream::unfold(follower, async |mut follower| {
        let event = follower.next().await;
        Some((Ok::<_, Infallible>(event), follower))
    });
    Sse::new(events).keep_alive(KeepAlive::default()).into_response()
}

impl Follower {
    async fn next(&mut self) -> Event {
        let Some(news) = &mut self.news else { return self.snapshot() };
        loop {
            tokio::select! {
                news = news.recv() => return match news {
                    Ok(news) => Event::default().event("delivery").data(news),
                    // Too far behind, in a flood: look at everything anew.
                    Err(_) => self.snapshot(),
                },
                _ = self.looking.tick() => {
                    let queues = self.page.fullness();
                    if queues != self.queues {
                        let event = Event::default().event("queues").data(queues.to_string());
                        self.queues = queues;
                        return event;
                    }
                }
            }
        }
    }

    fn snapshot(&mut self) -> Event {
        let (snapshot, news) = self.page.functions.journal.follow();
        self.news = Some(news);
        Event::default().event("snapshot").retry(RECONNECT).data(snapshot.to_string())
    }
}

async fn deliveries(State(page): State<Arc<Page>>) -> Json<Value> {
    Json(page.functions.journal.follow().0)
}

impl Page {
    /// A delivery, if it is still kept.
    fn delivery(&self, number: u64) -> Result<Arc<RecordedDelivery>, Refused> {
        self.functions.journal.get(number).ok_or_else(|| {
            Refused(StatusCode::NOT_FOUND, "this delivery is no longer kept: only the last ones are".to_owned())
        })
    }
}
