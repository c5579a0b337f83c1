//! A signed delivery of any event of any platform, made from the samples in the binary.

use std::{
    collections::BTreeSet,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use hookgate_verify::{Account, Layout, Provider, Scheme, Secrets, rfc3339_milliseconds, sender};
use serde_json::Value;
use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{
    http::Outgoing,
    json::{Escapes, Json, Space, Style},
    request::Request,
};

#[allow(missing_docs)]
mod embedded {
    include!(concat!(env!("OUT_DIR"), "/samples.rs"));
}

/// What a platform sends for one event, before ids, times and a signature of its own.
#[derive(Debug, Clone)]
pub struct Template {
    /// The event's name at the platform.
    pub event: String,
    /// The body.
    pub body: Json,
    /// The request's headers, but for what belongs to the signature and to the connection.
    pub headers: Vec<(String, String)>,
    /// The header that holds the delivery's id, where the platform has one.
    delivery_id: Option<&'static str>,
}

/// What is made wrong on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Tamper {
    /// One byte more in the body than was signed: the same JSON.
    Body,
    /// One digit of the signature.
    Signature,
    /// Signed with another secret.
    Secret,
    /// Rightly signed, an hour ago.
    Timestamp,
}

/// How samples are written: as they are.
const AS_WRITTEN: Style = Style { space: Space::None, escapes: Escapes::Kept, sorted: false };

/// The members that hold the id of what the event is about; the first that is there counts.
const RESOURCE_IDS: [&str; 4] = ["orderId", "uniqid", "id", "customer_id"];

impl Template {
    /// What the platform sends for this event: its sample, or one derived from the sample that comes nearest. None where
    /// there is no such event.
    #[must_use]
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
        Some(base.derive(provider, event))
    }

    /// Every event that [`Template::of`] knows: the platform's table, and what else has a sample.
    #[must_use]
    pub fn events(provider: &'static Provider) -> Vec<String> {
        let mut names: Vec<_> = provider.events.iter().map(|(name, _)| (*name).to_owned()).collect();
        let beyond = samples(provider).into_iter().map(|sample| sample.event).filter(|event| !names.contains(event));
        let beyond: BTreeSet<_> = beyond.collect();
        names.extend(beyond);
        names
    }

    fn derive(&self, provider: &'static Provider, event: &str) -> Self {
        let mut derived = self.clone();
        event.clone_into(&mut derived.event);
        if let Some(name) = envelope_name(provider, &derived.body) {
            let _ = derived.body.set(&name, Json::text(event));
        }
        for (_, value) in &mut derived.headers {
            if *value == self.event {
                event.clone_into(value);
            }
        }
        let (ours, theirs) = (words(event), words(&self.event));
        // `order:created:product` has the status of `order:created`; `card.issued` is to a card what `order.created`
        // is to an order.
        let whole = event.rsplit_once(['.', ':']).map(|(whole, _)| whole);
        let of_whole = whole
            .and_then(|whole| Template::of(provider, whole))
            .and_then(|mut whole| Some(object(&mut whole.body)?.get("status")?.clone()));
        if let Some(object) = object(&mut derived.body) {
            let by_name = object.get("status").and_then(Json::as_text).filter(|s| theirs.last() == Some(&&s[..]));
            let status = of_whole.or_else(|| by_name.and(ours.last()).map(|word| Json::text(word)));
            if let (Some(status), Some(place)) = (status, object.get_mut("status")) {
                *place = status;
            }
            if ours.first() != theirs.first()
                && let Some(place) = resource_id(object)
                && let Some((_, rest)) = place.as_text().as_deref().and_then(|id| id.rsplit_once('_'))
            {
                *place = Json::text(&format!("{}_{rest}", ours[0]));
            }
        }
        derived
    }

    /// Gives the event and what it is about new ids.
    pub fn freshen_ids(&mut self) {
        if let Some(id) = self.body.get_mut("id") {
            *id = fresh_like(id);
        }
        if let Some(id) = object(&mut self.body).and_then(resource_id) {
            *id = fresh_like(id);
        }
        for (_, value) in self.headers.iter_mut().filter(|(name, _)| Some(&name[..]) == self.delivery_id) {
            *value = fresh_text(value);
        }
    }

    /// Moves every time in the body, so that the event happened at `now` and the rest as long before or after it.
    pub fn move_times(&mut self, now: OffsetDateTime) {
        let names = ["created_at", "created", "timestamp"];
        let Some(then) = names.iter().find_map(|name| moment(self.body.get(name)?)) else { return };
        let by = now - then;
        self.body.for_each_token(&mut |token| {
            if let Some(moved) = moved(token, by) {
                *token = moved;
            }
        });
    }

    /// Sets the event's id, or, where the platform has none, that of what the event is about.
    pub fn set_id(&mut self, id: &str) {
        let place = if self.body.get("id").is_some() {
            self.body.get_mut("id")
        } else {
            object(&mut self.body).and_then(resource_id)
        };
        if let Some(place) = place {
            *place = like(place, id);
        }
    }

    /// Sets the id of what the event is about.
    pub fn set_resource_id(&mut self, id: &Json) {
        if let Some(place) = object(&mut self.body).and_then(resource_id) {
            *place = id.clone();
        }
    }

    /// The id of what the event is about.
    #[must_use]
    pub fn resource_id(&self) -> Option<Json> {
        object(&mut self.body.clone()).and_then(resource_id).map(|id| id.clone())
    }

    /// The body's text.
    #[must_use]
    pub fn text(&self) -> Vec<u8> {
        self.body.write(AS_WRITTEN).into_bytes()
    }
}

/// Signs `body` as the platform does at `now`, and breaks what `tamper` says. None where the scheme puts its signature
/// into the body and this body has no place for it.
#[must_use]
pub fn sign(
    scheme: &Scheme,
    secret: &[u8],
    headers: &[(String, String)],
    body: &[u8],
    now: OffsetDateTime,
    tamper: Option<Tamper>,
) -> Option<Outgoing> {
    if let Layout::Member(name, remainder) = scheme.layout {
        let json @ Json::Object(_) = Json::parse(body)? else { return None };
        if json.get(name).is_some() {
            sender::member(name, remainder, body)?;
        }
    }
    let seconds = u64::try_from(now.unix_timestamp()).ok()?;
    let delivery_id = match scheme.layout {
        Layout::StampedHeader { delivery_id: wanted, .. } => headers.iter().find(|(name, _)| name == wanted),
        Layout::Header(_) | Layout::Member(..) => None,
    };
    let delivery_id = delivery_id.map_or_else(token, |(_, value)| value.clone());
    let stamp = match tamper {
        Some(Tamper::Timestamp) => (&delivery_id[..], seconds.saturating_sub(3600)),
        _ => (&delivery_id[..], seconds),
    };
    let another = [secret, b" but another"].concat();
    let secret = if tamper == Some(Tamper::Secret) { &another } else { secret };
    let signed = sender::sign(scheme, secret, body, stamp);
    let mut body = signed.body;
    let mut headers = headers.to_vec();
    for (name, value) in signed.headers {
        headers.retain(|(known, _)| known != name);
        headers.push((name.to_owned(), value));
    }
    match tamper {
        Some(Tamper::Body) => {
            let end = body.iter().rposition(|&byte| byte == b'}').unwrap_or(body.len());
            body.insert(end, b' ');
        }
        Some(Tamper::Signature) => match scheme.layout {
            Layout::Header(signature) | Layout::StampedHeader { signature, .. } => {
                let value = headers.iter_mut().find(|(name, _)| name == signature).map(|(_, value)| value)?;
                *value = another_digit(value);
            }
            Layout::Member(name, remainder) => {
                let text = String::from_utf8(body).ok()?;
                let right = String::from_utf8(sender::member(name, remainder, text.as_bytes())?.0.to_vec()).ok()?;
                body = text.replacen(&right, &another_digit(&right), 1).into_bytes();
            }
        },
        Some(Tamper::Secret | Tamper::Timestamp) | None => {}
    }
    Some(Outgoing { headers, body })
}

/// The signature with another last digit.
fn another_digit(signature: &str) -> String {
    let (rest, last) = signature.split_at(signature.len() - 1);
    format!("{rest}{}", if last == "0" { "1" } else { "0" })
}

/// The sample secret of an account.
#[must_use]
pub fn sample_secret(provider: &Provider, account: &Account) -> Option<Vec<u8>> {
    let all: Value = serde_json::from_str(embedded::SECRETS).ok()?;
    let secrets = Secrets::parse(&all.get(provider.name)?.to_string()).ok()?;
    secrets.current(account).map(<[u8]>::to_vec)
}

fn samples(provider: &'static Provider) -> Vec<Template> {
    let mut schemes = provider.modes.iter().flat_map(|(_, schemes)| schemes.iter());
    let delivery_id = schemes.find_map(|scheme| match scheme.layout {
        Layout::StampedHeader { delivery_id, .. } => Some(delivery_id),
        Layout::Header(_) | Layout::Member(..) => None,
    });
    let own = embedded::SAMPLES.iter().filter(|(name, _)| *name == provider.name);
    own.filter_map(|(_, invocation)| {
        let request = Request::parse(invocation.as_bytes()).ok()?.pop()?;
        let body = Json::parse(&request.body)?;
        let event = body.get(&envelope_name(provider, &body)?)?.as_text()?;
        let headers = request.headers.iter().filter(|(name, _)| belongs_to_the_event(provider, name.as_str()));
        let headers = headers
            .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()));
        Some(Template { event, headers: headers.collect(), body, delivery_id })
    })
    .collect()
}

/// Not to the signature, and not to the connection that the sample was taken from.
fn belongs_to_the_event(provider: &Provider, name: &str) -> bool {
    let schemes = provider.modes.iter().flat_map(|(_, schemes)| schemes.iter());
    let mut signatures = schemes.map(|scheme| match scheme.layout {
        Layout::Header(name) | Layout::StampedHeader { signature: name, .. } => name,
        Layout::Member(..) => "",
    });
    !(signatures.any(|signature| signature == name)
        || name.starts_with("x-forwarded-")
        || matches!(name, "host" | "content-length" | "x-amzn-trace-id"))
}

/// The member that names the event: one with a name that the platform's table has, or else one called as most are.
fn envelope_name(provider: &Provider, body: &Json) -> Option<String> {
    let Json::Object(members) = body else { return None };
    let is_known =
        |value: &Json| value.as_text().is_some_and(|text| provider.events.iter().any(|(name, _)| *name == text));
    let known = members.iter().find(|(_, value)| is_known(value));
    known
        .and_then(|(token, _)| Json::Token(token.clone()).as_text())
        .or_else(|| ["event", "type"].into_iter().find(|name| body.get(name).is_some()).map(str::to_owned))
}

/// What the event is about.
fn object(body: &mut Json) -> Option<&mut Json> {
    let data = body.get_mut("data")?;
    if matches!(data.get("object"), Some(Json::Object(_))) { data.get_mut("object") } else { Some(data) }
}

fn resource_id(object: &mut Json) -> Option<&mut Json> {
    let name = RESOURCE_IDS.iter().find(|name| object.get(name).is_some())?;
    object.get_mut(name)
}

fn words(event: &str) -> Vec<&str> {
    event.split(['.', ':', '_']).collect()
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
fn token() -> String {
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
        (Some(text), _) => OffsetDateTime::parse(&text, &Rfc3339).ok(),
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
        let time = OffsetDateTime::parse(&text, &Rfc3339).ok()?.checked_add(by)?;
        let milliseconds = rfc3339_milliseconds(time);
        if text.contains('.') { milliseconds } else { format!("{}Z", &milliseconds[..milliseconds.len() - 5]) }
    };
    Some(format!("\"{moved}\""))
}
