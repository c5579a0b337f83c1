//! What the page does: sends samples, and deliveries again.

use std::sync::Arc;

use anyhow::Context as _;
use axum::{
    Json,
    body::Body,
    extract::{Path, Request, State},
    http::{StatusCode, header},
    response::Response,
};
use clap::ValueEnum;
use hookgate_verify::{Account, Scheme, Verifier};
use serde::Deserialize;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::{Answer, Page, Refused};
use crate::{
    arguments,
    client::http::Outgoing,
    local::{crash::Crash, gateway::Function},
    send::{
        plan::{self, Plan},
        sign::{self, Tamper},
        template::Template,
    },
};

/// What can be sent: every event of every platform that has secrets here.
pub(super) async fn catalogue(State(page): State<Arc<Page>>) -> Json<Value> {
    let platforms = page.functions.by_platform.values().map(|function| {
        let Function { verifier, secrets, .. } = function.as_ref();
        let provider = verifier.provider();
        let sample = provider.events.first().and_then(|(event, ..)| Template::of(provider, event));
        json!({
            "name": provider.name,
            "member": arguments::member(provider),
            "events": Template::events(provider),
            "accounts": secrets.accounts().map(Account::as_str).collect::<Vec<_>>(),
            "scheme": sample.and_then(|sample| preferred(verifier, &sample)).map(|scheme| scheme.name),
            "schemes": verifier.schemes().iter().map(|scheme| scheme.name).collect::<Vec<_>>(),
        })
    });
    Json(platforms.collect())
}

/// What the page asks to send: a sample, or a body that somebody has written.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct SendRequest {
    pub(super) provider: String,
    /// The sample's event.
    pub(super) event: String,
    pub(super) account: Option<String>,
    pub(super) scheme: Option<String>,
    /// Lines like `path.to.member=100`.
    pub(super) set: Vec<String>,
    /// The sample as it is, with its own ids and times.
    pub(super) same: bool,
    pub(super) tamper: Option<String>,
    /// This body, byte for byte, instead of a sample's.
    pub(super) body: Option<String>,
    /// The number of the delivery whose headers go with that body.
    pub(super) from: Option<u64>,
    /// With a new id where those headers have one.
    pub(super) fresh: bool,
}

/// Sends a delivery, signed with this intake's own secret.
pub(super) async fn send(State(page): State<Arc<Page>>, Json(wish): Json<SendRequest>) -> Answer {
    let request = page.request(wish).map_err(|why| bad_request(&why))?;
    Ok(page.deliver(request).await)
}

pub(super) fn bad_request(why: &anyhow::Error) -> Refused {
    Refused(StatusCode::BAD_REQUEST, why.to_string())
}

/// How a delivery is to be sent again.
#[derive(Deserialize)]
pub(super) struct Again {
    /// With one byte more than was signed.
    #[serde(default)]
    tamper: bool,
}

/// Sends a delivery again, byte for byte as it came.
pub(super) async fn replay(State(page): State<Arc<Page>>, Path(number): Path<u64>, Json(again): Json<Again>) -> Answer {
    let taken = page.delivery(number)?;
    if !taken.is_whole() {
        let why = "its body is too large to be kept whole: send it again from where it came";
        return Err(Refused(StatusCode::CONFLICT, why.to_owned()));
    }
    let mut body = taken.body.clone();
    if again.tamper {
        sign::spoil(&mut body);
    }
    let length = body.len();
    let mut request = Request::new(Body::from(body));
    *request.method_mut() = taken.method.clone();
    *request.uri_mut() = taken.target.clone();
    *request.headers_mut() = taken.headers.clone();
    if let Some(stated) = request.headers_mut().get_mut(header::CONTENT_LENGTH) {
        *stated = length.into();
    }
    Ok(page.deliver(request).await)
}

/// Has the function take a delivery, sent as its platform would, and die on the way.
pub(super) async fn crash(State(page): State<Arc<Page>>, Path(crash): Path<Crash>, request: Request) -> Response {
    page.functions.deliver(request, Some(crash)).await.0
}

/// How to sign where nothing was said: by the newest scheme. One that signs an id under the name of a header that is here
/// already comes before one that would need another header for it.
fn preferred(verifier: &Verifier, template: &Template) -> Option<&'static Scheme> {
    let has = |name: &str| template.headers.iter().any(|(known, _)| known == name);
    let schemes = verifier.schemes();
    schemes.iter().find(|scheme| scheme.id_header().is_some_and(has)).or(schemes.first())
}

impl Page {
    /// The function of a platform.
    pub(super) fn function(&self, platform: &str) -> anyhow::Result<&Function> {
        let function = self.functions.by_platform.get(platform).map(Arc::as_ref);
        function.context("there are no secrets for this platform: see --secrets")
    }

    /// Has the function take a request, by the way that every delivery goes.
    async fn deliver(&self, request: Request) -> Json<Value> {
        let (response, number) = self.functions.deliver(request, None).await;
        let taken = number.and_then(|number| self.functions.journal.get(number));
        let outcome = taken.as_ref().map(|taken| taken.said("outcome"));
        Json(json!({"number": number, "status": response.status().as_u16(), "outcome": outcome}))
    }

    fn request(&self, wish: SendRequest) -> anyhow::Result<Request> {
        let plan = self.plan(wish)?;
        let now = OffsetDateTime::now_utc();
        let Outgoing { headers, body } = plan.outgoing(&plan.template(now), now)?;
        let mut request = Request::post(plan.url).header(header::CONTENT_LENGTH, body.len());
        for (name, value) in headers {
            request = request.header(name, value);
        }
        Ok(request.body(Body::from(body))?)
    }

    /// What is to be sent to this intake, all of it checked.
    pub(super) fn plan(&self, wish: SendRequest) -> anyhow::Result<Plan> {
        let Function { verifier, secrets, .. } = self.function(&wish.provider)?;
        let provider = verifier.provider();
        let account = wish.account.as_deref().map_or_else(|| Some(Account::default()), Account::parse);
        let account = account.context("an account is 1 to 64 of a-z, 0-9 and -")?;
        let secret = secrets.current(&account).context("this account has no secret: see --secrets")?;
        let from =
            wish.from.map(|number| self.functions.journal.get(number).context("that delivery is no longer kept"));
        let headers = from.transpose()?.map(|taken| taken.headers.clone()).unwrap_or_default();
        let set = wish.set.iter().map(|line| plan::assignment(line)).collect::<Result<Vec<_>, _>>();
        let set = set.map_err(anyhow::Error::msg)?;
        let (event, template) = match &wish.body {
            Some(body) => {
                let mut template = Template::received(provider, &headers, body);
                if wish.fresh {
                    template.freshen_header_ids();
                }
                (template.event.clone(), template)
            }
            None => plan::event(provider, Some(&wish.event))?,
        };
        let scheme = if let Some(name) = &wish.scheme {
            verifier.schemes().iter().find(|scheme| scheme.name == *name)
        } else {
            // As that delivery was signed.
            let signs = |scheme: &&Scheme| scheme.signature_header().is_some_and(|name| headers.contains_key(name));
            verifier.schemes().iter().find(signs).or_else(|| preferred(verifier, &template))
        };
        let path = if account == Account::default() { String::new() } else { format!("/{account}") };
        let tamper = wish.tamper.map(|name| Tamper::from_str(&name, false));
        let plan = Plan {
            provider,
            event,
            template,
            same: wish.same || wish.body.is_some(),
            // What was changed in a body is written anew; else it stays byte for byte.
            data: wish.body.filter(|_| set.is_empty()).map(String::into_bytes),
            set,
            id: None,
            scheme: scheme.context("this intake does not take this scheme")?,
            secret: secret.to_vec(),
            tamper: tamper.transpose().map_err(anyhow::Error::msg)?,
            url: format!("/webhooks/{}{path}", provider.name).parse()?,
        };
        plan.checked()
    }
}
