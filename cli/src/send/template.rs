//! A signed delivery of any event of any platform, made from the samples in the binary.

use std::{
    collections::BTreeSet,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use hookgate_verify::{
    Provider, Scheme,
    providers::{Fields, Identity, Name},
    rfc3339_milliseconds,
};
use http::{HeaderMap, HeaderValue};
use time::{Duration, OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};

use super::samples::{self, Sample};
use crate::explain::json::{Escapes, Json, Space, Style};

/// What a platform sends for one event, before ids, times and a signature of its own.
#[derive(Debug, Clone)]
pub struct Template {
    provider: &'static Provider,
    /// The event's name at the platform.
    pub event: String,
    /// The body.
    pub body: Json,
    /// The request's headers, but for what belongs to the signature and to the connection.
    pub headers: Vec<(String, String)>,
}

/// How samples are written: as they are.
const AS_WRITTEN: Style = Style { space: Space::None, escapes: Escapes::Kept, sorted: false };

impl Template {
    /// What the platform sends for this event: its sample, or one derived from the sample that comes nearest. None where
    /// there is no such event.
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
        // Of equals the first: `max_by_key` returns the last.
        let base = samples.iter().rev().filter(|sample| place(&sample.event).is_some()).max_by_key(likeness)?;
        Some(base.derive(event))
    }

    /// Every event that [`Template::of`] knows: the platform's table, and what else has a sample.
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
        let event = event(provider, &body, |name| headers.get(name).map(text)).unwrap_or_default();
        let headers = headers.iter().filter(|(name, _)| belongs_to_the_event(provider, name.as_str()));
        let headers = headers.map(|(name, value)| (name.to_string(), text(value))).collect();
        Template { provider, event, body, headers }
    }

    fn from(Sample { provider, headers, body, .. }: Sample) -> Option<Self> {
        let body = Json::parse(&body)?;
        let event = event(provider, &body, |name| headers.get(name).cloned())?;
        let headers = headers.into_iter().filter(|(name, _)| belongs_to_the_event(provider, name)).collect();
        Some(Template { provider, event, body, headers })
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
            // A number or a UUID says nothing of what it is the id of.
            if let Some(id) = id.filter(|id| id == "1" || id.contains('_')) {
                derived.set(&place, Json::text(&format!("{kind}_{}", id.rsplit('_').next().unwrap_or_default())));
            }
        }
        derived
    }

    /// Gives the event and what it is about new ids.
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

    /// Moves every time in the body, so that the event happened at `now` and the rest as long before or after it.
    pub fn move_times(&mut self, now: OffsetDateTime) {
        let Some(then) = self.body.at(self.fields().time).and_then(moment) else { return };
        let by = now - then;
        self.body.for_each_token(&mut |token| {
            if let Some(moved) = moved(token, by) {
                *token = moved;
            }
        });
    }

    /// Sets the event's id, or, where the platform gives its events none, that of what the event is about.
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

    /// Sets the id of what the event is about.
    pub fn set_resource_id(&mut self, id: &Json) {
        if let Some(path) = self.resource() {
            self.set(&path, id.clone());
        }
    }

    /// The id of what the event is about.
    pub fn resource_id(&self) -> Option<Json> {
        self.body.at(&self.resource()?).cloned()
    }

    /// The body's text.
    pub fn text(&self) -> Vec<u8> {
        self.body.write(AS_WRITTEN).into_bytes()
    }

    fn fields(&self) -> &'static Fields {
        &self.provider.fields
    }

    /// Where the event's own id stands in the body.
    fn own_id(&self) -> Option<&'static str> {
        match self.provider.identity {
            Identity::Id(path) => Some(path),
            Identity::Together(_) | Identity::SignedHeader | Identity::Content => None,
        }
    }

    /// Where the id of what the event is about stands: the first place that has one, else the first there is.
    fn resource(&self) -> Option<String> {
        let paths = self.fields().resource_paths(self.provider.kind(&self.event));
        self.first(paths).or_else(|| paths.first().map(|path| self.in_object(path)))
    }

    fn status(&self) -> Option<String> {
        self.first(self.fields().status)
    }

    /// The first of these paths within the object that leads somewhere.
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

    /// A sample that has no place for the value stays as it is.
    fn set(&mut self, path: &str, value: Json) {
        let _ = self.body.set(path, value);
    }
}

/// The event's name at the platform.
fn event(provider: &Provider, body: &Json, header: impl Fn(&str) -> Option<String>) -> Option<String> {
    match provider.fields.name {
        Name::Member(path) => body.at(path)?.as_text(),
        Name::UnsignedHeader(name) => header(name),
    }
}

fn samples(provider: &'static Provider) -> Vec<Template> {
    samples::all()
        .into_iter()
        .filter(|sample| sample.provider.name == provider.name)
        .filter_map(Template::from)
        .collect()
}

/// Not to the signature, and not to the connection that the sample was taken from.
fn belongs_to_the_event(provider: &Provider, name: &str) -> bool {
    !(provider.schemes().any(|scheme| scheme.signature_header() == Some(name))
        || name.starts_with("x-forwarded-")
        || matches!(name, "host" | "connection" | "content-length" | "transfer-encoding" | "x-amzn-trace-id"))
}

fn words(event: &str) -> Vec<&str> {
    event.split(|c: char| !c.is_alphanumeric()).collect()
}

/// An id that nobody had before, of the form of this one.
fn fresh_like(id: &Json) -> Json {
    let Some(text) = id.as_text() else { return Json::Token(serial().to_string()) };
    if text.len() == 36 && text.matches('-').count() == 4 {
        let (serial, process) = (serial(), u64::from(std::process::id()));
        return Json::text(&format!(
            "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
            serial >> 28,
            serial >> 12 & 0xffff,
            serial & 0xfff,
            process >> 16 & 0xfff,
            (process & 0xffff) << 32 | serial & 0xffff_ffff
        ));
    }
    Json::text(&fresh_text(&text))
}

fn fresh_text(id: &str) -> String {
    let prefix = id.rfind('_').map_or("", |end| &id[..=end]);
    format!("{prefix}{}", token())
}

/// The id as a number where the old one is a number and it can be one.
fn like(old: &Json, id: &str) -> Json {
    let number = old.as_text().is_none() && !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit());
    if number { Json::Token(id.to_owned()) } else { Json::text(id) }
}

/// A text that no other call, here or in another process, returns.
pub(super) fn token() -> String {
    format!("{:x}{:x}", serial(), std::process::id())
}

/// The microsecond at which the first was asked for, and counting: grows faster than one could send.
fn serial() -> u64 {
    static FIRST: OnceLock<u64> = OnceLock::new();
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let now = || u64::try_from(OffsetDateTime::now_utc().unix_timestamp_nanos() / 1000).unwrap_or_default();
    FIRST.get_or_init(now) + COUNT.fetch_add(1, Ordering::Relaxed)
}

/// The time that a value tells, if it tells one.
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

/// A time of RFC 3339, and its offset as it is written, also without the colon (`+0000`) or none at all.
fn rfc3339(text: &str) -> Option<(OffsetDateTime, &str)> {
    let (_, rest) = text.split_at_checked(19)?;
    let offset = rest.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit());
    let plain = match offset.as_bytes() {
        // In UTC, or wherever the shop is: it moves as far.
        [] => format!("{text}Z"),
        [_, _, _, _, _] => format!("{}{}:{}", &text[..text.len() - 5], offset.get(..3)?, offset.get(3..)?),
        _ => text.to_owned(),
    };
    Some((OffsetDateTime::parse(&plain, &Rfc3339).ok()?, offset))
}

/// The token of a time, moved; None for every other token.
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
        // In the offset that it has, which is written behind it.
        let milliseconds = rfc3339_milliseconds(time.checked_add(by)?.replace_offset(UtcOffset::UTC));
        let length = if text.contains('.') { 1 } else { 5 };
        format!("{}{offset}", &milliseconds[..milliseconds.len() - length])
    };
    Some(format!("\"{moved}\""))
}
