//! What the page does: sends samples, and deliveries again.

use std::sync::Arc;

use axum::{
    Json,
    body::Body,
    extract::{Path, Request, State},
    http::{StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use clap::ValueEnum;
use hookgate_verify::Account;
use serde::Deserialize;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::{Page, Platform, gone, refused};
use crate::{
    arguments,
    client::http::Outgoing,
    local::crash::Crash,
    send::{
        plan::{self, Plan},
        sign::Tamper,
        template::Template,
    },
};

/// What can be sent: every event of every platform that has secrets here.
pub(super) async fn catalogue(State(page): State<Arc<Page>>) -> Response {
    let platforms = page.platforms.values().map(|Platform { verifier, secrets }| {
        json!({
            "name": verifier.provider().name,
            "member": arguments::member(verifier.provider()),
            "events": Template::events(verifier.provider()),
            "accounts": secrets.accounts().map(Account::as_str).collect::<Vec<_>>(),
            "schemes": verifier.schemes().iter().map(|scheme| scheme.name).collect::<Vec<_>>(),
        })
    });
    Json(platforms.collect::<Value>()).into_response()
}

/// What the page asks to send.
#[derive(Deserialize)]
pub(super) struct SendRequest {
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
pub(super) async fn send(State(page): State<Arc<Page>>, Json(wish): Json<SendRequest>) -> Response {
    match page.request(wish) {
        Ok(request) => page.deliver(request).await,
        Err(why) => refused(StatusCode::BAD_REQUEST, &why),
    }
}

/// How a delivery is to be sent again.
#[derive(Deserialize)]
pub(super) struct Again {
    /// With one byte more than was signed.
    #[serde(default)]
    tamper: bool,
}

/// Sends a delivery again, byte for byte as it came.
pub(super) async fn replay(
    State(page): State<Arc<Page>>,
    Path(number): Path<u64>,
    Json(again): Json<Again>,
) -> Response {
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
pub(super) async fn crash(
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
    /// Has the function take a request, by the way that every delivery goes.
    async fn deliver(&self, request: Request) -> Response {
        let (response, number) = self.functions.deliver(request, None).await;
        let outcome = number.and_then(|number| self.functions.journal.get(number));
        let outcome = outcome.map(|taken| taken.said("outcome").to_owned());
        Json(json!({"number": number, "status": response.status().as_u16(), "outcome": outcome})).into_response()
    }

    fn request(&self, wish: SendRequest) -> Result<Request, String> {
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
}
