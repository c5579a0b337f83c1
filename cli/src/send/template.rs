//! A delivery of any event of any platform, made from the samples.

use std::collections::BTreeSet;

use hookgate_verify::{
    Provider, Scheme,
    providers::{Fields, Identity, Name},
    rfc3339_milliseconds,
};
use http::{HeaderMap, HeaderValue};
use time::{Duration, OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};
use uuid::Uuid;

use super::{
    samples::{self, Sample},
    sign::{serial, token},
};
use crate::json::{Json, Style};

/// The delivery of an event, before it gets its own ids, times and signature.
#[derive(Debug, Clone)]
pub struct Template {
    provider: &'static Provider,
    /// The event's name at the platform.
    pub event: String,
    pub body: Json,
    /// Without those of the signature and the connection.
    pub headers: Vec<(String, String)>,
}

impl Template {
    /// The sample of this event, or one derived from the nearest sample. None if there is no such event.
    pub fn of(provider: &'static Provider, event: &str) -> Option<Self> {
        let samples = samples(provider);
        if let Some(sample) = samples.iter().find(|sample| sample.event == event) {
            return Some(sample.clone());
        }
        let place = |name: &str| provider.events.iter().position(|(known, _)| *known == name);
        let wanted = place(event)?;
        let likeness = |sample: &&Template| {
            let (ours, theirs) = (words(event), words(&sample.event));
            let shared = ours.iter().filter(|word| theirs.contains(word)).count();
            let apart = place(&sample.event).map_or(usize::MAX, |place| place.abs_diff(wanted));
            (shared, ours.last() == theirs.last(), std::cmp::Reverse(apart))
        };
        // The first of equals: `max_by_key` returns the last.
        let base = samples.iter().rev().filter(|sample| place(&sample.event).is_some()).max_by_key(likeness)?;
        Some(base.derive(event))
    }

    /// Every event that [`Template::of`] knows: those of the platform's table, and others that have a sample.
    pub fn events(provider: &'static Provider) -> Vec<String> {
        let mut names: Vec<_> = provider.events.iter().map(|(name, _)| (*name).to_owned()).collect();
        let beyond = samples(provider).into_iter().map(|sample| sample.event).filter(|event| !names.contains(event));
        let beyond: BTreeSet<_> = beyond.collect();
        names.extend(beyond);
        names
    }

    /// A delivery that came, to be signed anew. A body that is not JSON stays as it is.
    pub(crate) fn received(provider: &'static Provider, headers: &HeaderMap, body: &str) -> Self {
        let body = Json::parse(body.as_bytes()).unwrap_or_else(|| Json::Token(body.to_owned()));
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        Self::new(provider, headers.iter().map(|(name, value)| (name.to_string(), text(value))), body)
    }

    /// The event's name is empty where the delivery does not say it.
    fn new(provider: &'static Provider, headers: impl Iterator<Item = (String, String)>, body: Json) -> Self {
        let headers: Vec<_> = headers.filter(|(name, _)| belongs_to_the_event(provider, name)).collect();
        let event = match provider.fields.name {
            Name::Member(path) => body.at(path).and_then(Json::as_text),
            Name::UnsignedHeader(header) => {
                headers.iter().find(|(name, _)| name == header).map(|(_, name)| name.clone())
            }
        };
        Template { provider, event: event.unwrap_or_default(), body, headers }
    }

    fn derive(&self, event: &str) -> Self {
        let mut derived = self.clone();
        event.clone_into(&mut derived.event);
        match self.fields().name {
            Name::Member(path) => derived.set(path, Json::text(event)),
            Name::UnsignedHeader(header) => derived.set_header(header, event),
        }
        for (_, value) in &mut derived.headers {
            if *value == self.event {
                event.clone_into(value);
            }
        }
        // `order:created:product` has the status of `order:created`; `card.issued` is to a card what `order.created`
        // is to an order.
        let separator = |c: char| !c.is_alphanumeric() && c != '_' && c != '-';
        let of_whole = event
            .rsplit_once(separator)
            .and_then(|(whole, _)| Template::of(self.provider, whole))
            .and_then(|whole| whole.body.at(&whole.status()?).cloned());
        if let Some(place) = self.status() {
            let by_name = self.body.at(&place).and_then(Json::as_text);
            let by_name = by_name.filter(|status| words(&self.event).last() == Some(&&status[..]));
            let word = by_name.and_then(|_| words(event).last().map(|word| Json::text(word)));
            if let Some(status) = of_whole.or(word) {
                derived.set(&place, status);
            }
        }
        let kind = self.provider.kind(event);
        if kind != self.provider.kind(&self.event)
            && let Some(place) = derived.resource()
        {
            let id = derived.body.at(&place).map_or_else(|| Some("1".to_owned()), Json::as_text);
            // A number or a UUID does not name its kind.
            if let Some(id) = id.filter(|id| id == "1" || id.contains('_')) {
                derived.set(&place, Json::text(&format!("{kind}_{}", id.rsplit('_').next().unwrap_or_default())));
            }
        }
        derived
    }

    /// Gives the event and its resource new ids.
    pub fn freshen_ids(&mut self) {
        let together = match self.provider.identity {
            Identity::Together(paths) => paths,
            Identity::Id(_) | Identity::SignedHeader | Identity::Content => &[],
        };
        let fields = self.fields();
        let ids = together.iter().filter(|path| Some(**path) != fields.name.member() && **path != fields.time);
        let ids = ids.map(|path| (*path).to_owned()).chain(self.own_id().map(str::to_owned)).chain(self.resource());
        for path in ids.collect::<BTreeSet<_>>() {
            if let Some(fresh) = self.body.at(&path).map(fresh_like) {
                self.set(&path, fresh);
            }
        }
        self.freshen_header_ids();
    }

    /// Gives the delivery a new id where a scheme signs one in a header.
    pub(crate) fn freshen_header_ids(&mut self) {
        let headers: Vec<_> = self.provider.schemes().filter_map(Scheme::id_header).collect();
        for (_, value) in self.headers.iter_mut().filter(|(name, _)| headers.contains(&&name[..])) {
            *value = fresh_text(value);
        }
    }

    /// Moves all times in the body by the same span, so that the event happened at `now`.
    pub fn move_times(&mut self, now: OffsetDateTime) {
        let Some(then) = self.body.at(self.fields().time).and_then(moment) else { return };
        let by = now - then;
        self.body.for_each_token(&mut |token| {
            if let Some(moved) = moved(token, by) {
                *token = moved;
            }
        });
    }

    /// Sets the event's id or, if the platform's events have none, its resource's id.
    pub fn set_id(&mut self, id: &str) {
        if self.provider.identity == Identity::SignedHeader {
            for name in self.provider.schemes().filter_map(Scheme::id_header) {
                self.set_header(name, id);
            }
        } else if let Some(path) = self.own_id().map(str::to_owned).or_else(|| self.resource()) {
            let id = self.body.at(&path).map_or_else(|| Json::text(id), |old| like(old, id));
            self.set(&path, id);
        }
    }

    /// Sets the resource's id.
    pub fn set_resource_id(&mut self, id: &Json) {
        if let Some(path) = self.resource() {
            self.set(&path, id.clone());
        }
    }

    /// The resource's id.
    pub fn resource_id(&self) -> Option<Json> {
        self.body.at(&self.resource()?).cloned()
    }

    pub fn text(&self) -> Vec<u8> {
        self.body.write(Style::KEPT).into_bytes()
    }

    fn fields(&self) -> &'static Fields {
        &self.provider.fields
    }

    /// The path of the event's own id in the body.
    fn own_id(&self) -> Option<&'static str> {
        match self.provider.identity {
            Identity::Id(path) => Some(path),
            Identity::Together(_) | Identity::SignedHeader | Identity::Content => None,
        }
    }

    /// The path of the resource's id: the first that leads to one, else the first of all.
    fn resource(&self) -> Option<String> {
        let paths = self.fields().resource_paths(self.provider.kind(&self.event));
        self.first(paths).or_else(|| paths.first().map(|path| self.in_object(path)))
    }

    fn status(&self) -> Option<String> {
        self.first(self.fields().status)
    }

    /// The first of these paths in the object that exists.
    fn first(&self, paths: &[&str]) -> Option<String> {
        paths.iter().map(|path| self.in_object(path)).find(|path| self.body.at(path).is_some())
    }

    fn in_object(&self, path: &str) -> String {
        self.fields().in_object(path)
    }

    fn set_header(&mut self, name: &str, value: &str) {
        self.headers.retain(|(known, _)| known != name);
        self.headers.push((name.to_owned(), value.to_owned()));
    }

    /// Changes nothing if the sample has no place for the value.
    fn set(&mut self, path: &str, value: Json) {
        let _ = self.body.set(path, value);
    }
}

fn samples(provider: &'static Provider) -> Vec<Template> {
    let samples = samples::all().into_iter().filter(|sample| sample.provider.name == provider.name);
    let templates = samples.filter_map(|Sample { headers, body, .. }| {
        Some(Template::new(provider, headers.into_iter(), Json::parse(&body)?))
    });
    templates.filter(|template| !template.event.is_empty()).collect()
}

/// Whether the header is not one of the signature or the connection.
fn belongs_to_the_event(provider: &Provider, name: &str) -> bool {
    !(provider.schemes().any(|scheme| scheme.signature_header() == Some(name))
        || name.starts_with("x-forwarded-")
        || matches!(name, "host" | "connection" | "content-length" | "transfer-encoding" | "x-amzn-trace-id"))
}

fn words(event: &str) -> Vec<&str> {
    event.split(|c: char| !c.is_alphanumeric()).collect()
}

/// A new id of the same form.
fn fresh_like(id: &Json) -> Json {
    let Some(text) = id.as_text() else { return Json::Token(serial().to_string()) };
    // The 32 digits of one without hyphens are parsed too.
    if text.len() == 36 && Uuid::try_parse(&text).is_ok() {
        return Json::text(&Uuid::new_v4().to_string());
    }
    Json::text(&fresh_text(&text))
}

fn fresh_text(id: &str) -> String {
    let prefix = id.rfind('_').map_or("", |end| &id[..=end]);
    format!("{prefix}{}", token())
}

/// The id as a number if the old one is a number and it can be one.
fn like(old: &Json, id: &str) -> Json {
    let number = old.as_text().is_none() && !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit());
    if number { Json::Token(id.to_owned()) } else { Json::text(id) }
}

/// The time that a value holds, if it is one.
fn moment(value: &Json) -> Option<OffsetDateTime> {
    match (value.as_text(), value) {
        (Some(text), _) => rfc3339(&text).map(|(time, _)| time),
        (None, Json::Token(number)) => {
            let (count, per_second) = unix(number)?;
            OffsetDateTime::from_unix_timestamp_nanos(i128::from(count) * (1_000_000_000 / per_second)).ok()
        }
        _ => None,
    }
}

/// A whole number that can only be a Unix time, in seconds or milliseconds.
fn unix(number: &str) -> Option<(i64, i128)> {
    let count: i64 = number.parse().ok()?;
    match count {
        1_000_000_000..=9_999_999_999 => Some((count, 1)),
        1_000_000_000_000..=9_999_999_999_999 => Some((count, 1000)),
        _ => None,
    }
}

/// An RFC 3339 time and its offset as written, which may lack the colon (`+0000`) or be missing.
fn rfc3339(text: &str) -> Option<(OffsetDateTime, &str)> {
    let (_, rest) = text.split_at_checked(19)?;
    let offset = rest.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit());
    let plain = match offset.as_bytes() {
        // UTC or local time: it moves by the same span.
        [] => format!("{text}Z"),
        [_, _, _, _, _] => format!("{}{}:{}", &text[..text.len() - 5], offset.get(..3)?, offset.get(3..)?),
        _ => text.to_owned(),
    };
    Some((OffsetDateTime::parse(&plain, &Rfc3339).ok()?, offset))
}

/// The token of a time, moved. None for every other token.
fn moved(token: &str, by: Duration) -> Option<String> {
    if let Some((count, per_second)) = unix(token) {
        let by = if per_second == 1 { i128::from(by.whole_seconds()) } else { by.whole_milliseconds() };
        return Some((i128::from(count) + by).to_string());
    }
    let text: String = serde_json::from_str(token).ok()?;
    let moved = if text.len() == 10 {
        let day = OffsetDateTime::parse(&format!("{text}T00:00:00Z"), &Rfc3339).ok()?.date();
        day.checked_add(Duration::days(by.whole_days()))?.to_string()
    } else {
        let (time, offset) = rfc3339(&text)?;
        // In its own offset, which follows it.
        let milliseconds = rfc3339_milliseconds(time.checked_add(by)?.replace_offset(UtcOffset::UTC));
        let length = if text.contains('.') { 1 } else { 5 };
        format!("{}{offset}", &milliseconds[..milliseconds.len() - length])
    };
    Some(format!("\"{moved}\""))
}
