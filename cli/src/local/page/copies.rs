//! A delivery to take away or to change: as a curl command, or as the text that the form begins with.

use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use axum::{
    Json,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
};
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::{
    Answer, Page, Refused,
    acts::{SendRequest, bad_request},
    mask,
};
use crate::{
    json::{Escapes, Space, Style},
    local::{gateway::Function, journal::RecordedDelivery},
    send::{
        plan::{MOST_CURL_BYTES, curl},
        template::Template,
    },
};

/// A command for a POSIX shell that sends a delivery's bytes.
///
/// Exactly as it came only where nothing of it is masked. Else it is signed anew with this intake's own secret, as `hookgate
/// send --print curl` does, and credentials are left out: a masked signature would be rejected, and one as received may be
/// another intake's, sent here by mistake or by an attacker, and good there for as long as its secret lives. To send such
/// a request again, exactly, is what replay does: inside this process, without showing it.
pub(super) async fn as_curl(
    State(page): State<Arc<Page>>,
    Path(number): Path<u64>,
    asked: HeaderMap,
    _: Json<Value>,
) -> Answer {
    let taken = page.delivery(number)?;
    // The guard has let this name through.
    let host = asked.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let copy = page.curl(&taken, &format!("http://{host}"));
    let (curl, note) = copy.map_err(|why| Refused(StatusCode::CONFLICT, format!("{why:#}")))?;
    Ok(Json(json!({"curl": curl, "note": note})))
}

/// A body with new ids, and its times moved to now.
pub(super) async fn freshened(State(page): State<Arc<Page>>, Json(draft): Json<SendRequest>) -> Answer {
    let Function { verifier, .. } = page.function(&draft.provider).map_err(|why| bad_request(&why))?;
    let mut template =
        Template::received(verifier.provider(), &HeaderMap::new(), draft.body.as_deref().unwrap_or_default());
    template.move_times(OffsetDateTime::now_utc());
    template.freshen_ids();
    let style = Style { space: Space::Lines(2), escapes: Escapes::Kept, sorted: false };
    Ok(Json(json!({"body": template.body.write(style)})))
}

impl Page {
    /// The command, and what to know of it.
    fn curl(&self, taken: &RecordedDelivery, origin: &str) -> anyhow::Result<(String, String)> {
        let body = copied(taken)?;
        let query = taken.target.query().unwrap_or_default();
        let mut headers = Vec::new();
        let mut left_out = Vec::new();
        for (name, value) in &taken.headers {
            if matches!(name.as_str(), "host" | "content-length" | "connection" | "transfer-encoding") {
                continue;
            }
            let value = value.to_str().map_err(|_| anyhow!("the header {name} is not text: use Replay"))?;
            match mask::header(name.as_str(), value) {
                None => headers.push((name.to_string(), value.to_owned())),
                Some(_) => left_out.push(name.as_str()),
            }
        }
        if left_out.is_empty() && mask::body(body) == body && mask::query(query) == query {
            let url = format!("{origin}{}", taken.target);
            return Ok((curl(&taken.method, &url, &headers, body), "As it came: nothing of it is masked.".to_owned()));
        }
        let account = Some(taken.said("account")).filter(|account| !account.is_empty());
        let mut plan = self.plan(SendRequest {
            provider: taken.said("provider").to_owned(),
            account: account.map(str::to_owned),
            body: Some(body.to_owned()),
            from: Some(taken.number),
            ..SendRequest::default()
        })?;
        let scheme = plan.scheme.name;
        plan.url = format!("{origin}{}", taken.target.path()).parse().map_err(|_| anyhow!("its path is no URL"))?;
        let is_masked = |name: &str, value: &str| mask::header(name, value).is_some();
        plan.template.headers.retain(|(name, value)| !is_masked(name, value));
        let command = plan.curl()?;
        let query = if query.is_empty() { "" } else { " The query is left out." };
        let note = format!(
            "Signed anew (scheme {scheme}) with this intake’s secret: signatures and credentials as received are not \
             copied, Replay sends them.{query}"
        );
        Ok((command, note))
    }
}

/// The body as text that fits on a command line, or why it does not.
fn copied(taken: &RecordedDelivery) -> anyhow::Result<&str> {
    if !taken.is_whole() {
        bail!("its body of {} bytes was not kept whole: send it again from where it came", taken.body_bytes);
    }
    if taken.body.len() > MOST_CURL_BYTES {
        let bytes = taken.body.len();
        bail!("its body has {bytes} bytes, more than a command line holds ({MOST_CURL_BYTES}): use Replay");
    }
    let text = std::str::from_utf8(&taken.body).ok().filter(|text| !text.contains('\0'));
    text.context("its body is not text, which a command line cannot hold: use Replay")
}
