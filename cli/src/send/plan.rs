//! The deliveries to send: event, changes, signature, address.

use anyhow::{Context as _, anyhow, bail};
use hookgate_verify::{Provider, Scheme};
use http::Uri;
use time::OffsetDateTime;

use super::{
    sign::{Tamper, sign},
    template::Template,
};
use crate::{
    arguments::did_you_mean,
    client::http::{Answer, Outgoing},
    json::Json,
    output::quoted,
};

/// Below the limit of a command line.
const MOST_CURL_BYTES: usize = 100_000;

/// The deliveries to send, checked.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) provider: &'static Provider,
    pub(crate) event: String,
    pub(crate) template: Template,
    pub(crate) data: Option<Vec<u8>>,
    pub(crate) set: Vec<(String, Json)>,
    pub(crate) id: Option<String>,
    pub(crate) same: bool,
    pub(crate) scheme: &'static Scheme,
    pub(crate) secret: Vec<u8>,
    pub(crate) tamper: Option<Tamper>,
    pub(crate) url: Uri,
}

impl Plan {
    /// Checks everything that could fail, before the first delivery.
    pub(crate) fn checked(self) -> anyhow::Result<Self> {
        if self.tamper == Some(Tamper::Timestamp) && self.scheme.time.is_none() {
            let timed = self.provider.schemes().find(|scheme| scheme.time.is_some());
            let remedy = timed.map_or_else(
                || "choose another --tamper".to_owned(),
                |timed| format!("--tamper timestamp needs --scheme {}", timed.name),
            );
            let (provider, scheme) = (self.provider.name, self.scheme.name);
            bail!("{provider} signs no timestamp under {scheme}: {remedy}");
        }
        if self.secret.trim_ascii().is_empty() {
            bail!("the secret is empty, which no intake accepts: set --secret or HOOKGATE_SECRET");
        }
        if self.scheme.sign(&self.secret, b"{}", "id", 0).is_none() {
            bail!(
                "the secret does not have {}'s form, base64 after {}: check --secret or HOOKGATE_SECRET",
                self.provider.name,
                self.scheme.key_prefix()
            );
        }
        let mut trial = self.template.clone();
        for (path, value) in &self.set {
            trial
                .body
                .set(path, value.clone())
                .map_err(|part| anyhow!("--set {path}: the body has no place for {part}; see it with --print curl"))?;
        }
        self.outgoing(&trial, OffsetDateTime::now_utc())?;
        Ok(self)
    }

    /// The event, with its ids, times and values.
    pub(crate) fn template(&self, now: OffsetDateTime) -> Template {
        let mut template = self.template.clone();
        if !self.same {
            template.move_times(now);
            template.freshen_ids();
        }
        if let Some(id) = &self.id {
            template.set_id(id);
        }
        for (path, value) in &self.set {
            // Checked in `checked`.
            let _ = template.body.set(path, value.clone());
        }
        template
    }

    pub(crate) fn outgoing(&self, template: &Template, now: OffsetDateTime) -> anyhow::Result<Outgoing> {
        let body = self.data.clone().unwrap_or_else(|| template.text());
        sign(self.scheme, &self.secret, &template.headers, &body, now, self.tamper).with_context(|| {
            format!(
                "{} puts its signature into the body: it must be a JSON object with at most one plain signature member",
                self.provider.name
            )
        })
    }

    /// A command for a POSIX shell that sends the delivery.
    pub(crate) fn curl(&self) -> anyhow::Result<String> {
        let now = OffsetDateTime::now_utc();
        let Outgoing { headers, body } = self.outgoing(&self.template(now), now)?;
        let text = String::from_utf8(body).ok().filter(|text| text.len() <= MOST_CURL_BYTES && !text.contains('\0'));
        let text =
            text.context("the body does not fit on a command line (too long, or not text): send it without --print")?;
        let mut command = format!("curl -i {}", quoted(&self.url.to_string()));
        for (name, value) in headers {
            command = format!("{command} \\\n  -H {}", quoted(&format!("{name}: {value}")));
        }
        Ok(format!("{command} \\\n  --data-raw {}", quoted(&text)))
    }

    /// Whether this is the expected answer.
    pub(crate) fn is_as_expected(&self, answer: &Result<Answer, String>) -> bool {
        let Ok(answer) = answer else { return false };
        match (&answer.outcome, self.tamper) {
            (Some(outcome), Some(_)) => outcome == "rejected",
            // A handler that is not Hookgate's answers with a status only.
            (None, Some(_)) => (400..500).contains(&answer.status) && answer.status != 404,
            (_, None) => (200..300).contains(&answer.status),
        }
    }
}

/// The event's name and sample.
pub(crate) fn event(provider: &'static Provider, name: Option<&str>) -> anyhow::Result<(String, Template)> {
    let events = Template::events(provider);
    let list = events.join(", ");
    let name = name.with_context(|| format!("the event is missing: choose one of {}'s: {list}", provider.name))?;
    let template = Template::of(provider, name).with_context(|| {
        let meant = did_you_mean(name, events.iter().map(String::as_str));
        format!("{} has no event {name:?}{meant}: {list}", provider.name)
    })?;
    Ok((name.to_owned(), template))
}

/// Parses an assignment to a member of the body.
pub(crate) fn assignment(text: &str) -> Result<(String, Json), String> {
    let (path, value) = text.split_once('=').ok_or("expected path.to.member=value")?;
    if path.split('.').any(str::is_empty) {
        return Err("a path is names separated by dots, like path.to.member".to_owned());
    }
    Ok((path.to_owned(), Json::parse(value.as_bytes()).unwrap_or_else(|| Json::text(value))))
}
