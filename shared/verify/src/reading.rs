//! From an authenticated body to the normalised event, its idempotency key and its content hash.

use std::{borrow::Cow, fmt};

use hookgate_event::{Amount, ContentType, Customer, Data, Event, Resource, SpecVersion};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use time::{OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};

use crate::{
    Authenticated,
    json::{self, Object},
    providers::{self, Fields, Identity, Name, Provider, TimeFormat},
};

/// The content of an authenticated delivery.
#[derive(Debug)]
pub struct Reading<'d> {
    /// The normalised event.
    pub event: Event<'d>,
    /// When it happened by the provider's clock, if it gives a time in the years 0 to 9999.
    pub time: Option<OffsetDateTime>,
    /// The idempotency key: the provider's event id (1 to 256 bytes) or a hex SHA-256 (64 digits), the same for every
    /// redelivery of the event. Made from signed content only, except that a name in an unsigned header is part of it
    /// ([`Authenticated::digest`]).
    pub key: String,
    /// Hex SHA-256 (64 digits) over event name and payload: differs where a provider uses one id for two contents.
    pub content: String,
}

/// Why an authentic body is not what its provider documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreadable {
    /// Not UTF-8.
    NotUtf8,
    /// Starts with a byte order mark.
    ByteOrderMark,
    /// Not JSON.
    NotJson,
    /// JSON, but not an object.
    NotAnObject,
    /// Two top-level members of the same name.
    DuplicateKey,
    /// The event name is missing, or not a string of 1 to 256 bytes; in an unsigned header: missing, repeated, or not 1 to 256
    /// visible ASCII characters without a comma (which joins two headers).
    EventName,
    /// The payload is missing, or not an object.
    Payload,
    /// An id that is not a string (or a number, if the provider uses numbers), or is longer than 256 bytes.
    Id,
}

impl Unreadable {
    /// The reason's name in logs and in the quarantine.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotUtf8 => "not_utf8",
            Self::ByteOrderMark => "byte_order_mark",
            Self::NotJson => "not_json",
            Self::NotAnObject => "not_an_object",
            Self::DuplicateKey => "duplicate_key",
            Self::EventName => "event_name",
            Self::Payload => "payload",
            Self::Id => "id",
        }
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::error::Error for Unreadable {}

/// No platform's names or ids come near it, and a longer one would not fit into the table.
const MAX_NAME_BYTES: usize = 256;

/// Whether this can be the name of an event.
pub(crate) fn is_short(name: &str) -> bool {
    (1..=MAX_NAME_BYTES).contains(&name.len())
}

pub(crate) fn read<'d>(authenticated: &Authenticated<'d>) -> Result<Reading<'d>, Unreadable> {
    let provider = authenticated.provider();
    let fields = &provider.fields;
    let body = &authenticated.delivery().body[..];
    if body.starts_with("\u{feff}".as_bytes()) {
        return Err(Unreadable::ByteOrderMark);
    }
    let text = std::str::from_utf8(body).map_err(|_| Unreadable::NotUtf8)?;
    let (envelope, payload) = json::envelope(text, fields.object).map_err(|trouble| match trouble {
        json::Trouble::NotJson => Unreadable::NotJson,
        json::Trouble::NotAnObject => Unreadable::NotAnObject,
        json::Trouble::DuplicateKey => Unreadable::DuplicateKey,
    })?;
    let object = match &payload {
        Some(payload) => &payload.object,
        None if fields.object.is_empty() => &envelope,
        None => return Err(Unreadable::Payload),
    };
    let payload = match (fields.payload, &payload) {
        (providers::Payload::Member, Some(payload)) => payload.text,
        _ => json::whole(text).ok_or(Unreadable::NotJson)?,
    };
    let key = || key(provider, authenticated, &envelope, object);
    let (key, name) = match fields.name {
        Name::Member(path) => {
            let name = envelope.at(path).ok_or(Unreadable::EventName)?;
            let (key, name) = (key()?, json::string(name));
            (key, name.filter(|name| is_short(name)).ok_or(Unreadable::EventName)?)
        }
        Name::UnsignedHeader(_) => {
            let name = authenticated.unsigned_name().ok_or(Unreadable::EventName)?;
            (key()?, Cow::Borrowed(name))
        }
    };
    let time = envelope.at(fields.time).and_then(|time| match fields.time_format {
        TimeFormat::Unix => unix_time(json::integer(time)?.parse().ok()?),
        TimeFormat::Rfc3339 => rfc3339_time(&json::string(time)?),
        TimeFormat::Utc => rfc3339_time(&format!("{}Z", json::string(time)?)),
    });
    let content = {
        // The name's length first, so that no two pairs of name and payload give the same bytes.
        let length = (name.len() as u64).to_be_bytes();
        digest([&length, name.as_bytes(), payload.get().as_bytes()])
    };
    let account = authenticated.account().to_string();
    let resource = resource(provider, &name, object);
    let event = Event {
        specversion: SpecVersion::V1,
        id: key.clone(),
        source: format!("/webhooks/{}/{account}", provider.name),
        event_type: provider.event_type(&name),
        subject: resource.as_ref().map(|resource| format!("{}/{}", resource.kind, resource.id)),
        time: time.and_then(rfc3339),
        datacontenttype: ContentType::Json,
        provider: provider.name.to_owned(),
        account,
        provider_type: name.into_owned(),
        received_time: rfc3339_milliseconds(authenticated.received()),
        delivery_id: authenticated.delivery_id().map(str::to_owned),
        traceparent: None,
        data: Data {
            resource,
            amount: amount(fields, object),
            customer: fact(object.first(fields.customer, json::id)).map(|id| Customer { id }),
            status: fact(object.first(fields.status, json::string)),
            payload: Cow::Borrowed(payload),
        },
    };
    Ok(Reading { event, time, key, content })
}

/// The idempotency key. A missing or empty id is not an error, since the content can stand for it; one of the wrong type is.
fn key(
    provider: &Provider,
    authenticated: &Authenticated<'_>,
    envelope: &Object<'_>,
    object: &Object<'_>,
) -> Result<String, Unreadable> {
    let content = || authenticated.digest();
    let short = |id: Cow<'_, str>| (id.len() <= MAX_NAME_BYTES).then(|| id.into_owned()).ok_or(Unreadable::Id);
    let is_missing = |id: Option<&RawValue>| id.is_none_or(|id| id.get() == r#""""#);
    match provider.identity {
        Identity::Content => Ok(content()),
        Identity::SignedHeader => authenticated.delivery_id().map_or_else(|| Ok(content()), |id| short(id.into())),
        Identity::Id(path) => match envelope.at(path) {
            id if is_missing(id) => Ok(content()),
            id => short(id.and_then(json::string).ok_or(Unreadable::Id)?),
        },
        Identity::Together(paths) => {
            let fields = &provider.fields;
            let mut tokens = Vec::with_capacity(paths.len());
            for path in paths {
                // The payload is parsed already.
                let inner = path.strip_prefix(fields.object).and_then(|path| path.strip_prefix('.'));
                let token = inner.map_or_else(|| envelope.at(path), |path| object.at(path));
                // The name and the time are not ids.
                if Some(*path) != fields.name.member() && *path != fields.time && !is_missing(token) {
                    short(token.and_then(json::id).ok_or(Unreadable::Id)?)?;
                }
                tokens.push(token.filter(|token| !is_missing(Some(token)) || *path == fields.time));
            }
            Ok(tokens.into_iter().collect::<Option<Vec<_>>>().map_or_else(content, |tokens| {
                let texts: Vec<_> = tokens.into_iter().map(RawValue::get).collect();
                digest([b"[".as_slice(), texts.join(",").as_bytes(), b"]"])
            }))
        }
    }
}

fn resource(provider: &Provider, name: &str, object: &Object<'_>) -> Option<Resource> {
    let kind = Some(provider.kind(name)).filter(|kind| !kind.is_empty())?;
    let id = fact(object.first(provider.fields.resource_paths(kind), json::id))?;
    Some(Resource { kind: kind.to_owned(), id })
}

/// The amount with the payload's own digits, and its currency if that is an ISO 4217 code.
fn amount(fields: &Fields, object: &Object<'_>) -> Option<Amount> {
    let value = fact(object.first(fields.amount, json::decimal))?;
    let is_iso = |code: &Cow<'_, str>| code.len() == 3 && code.bytes().all(|b| b.is_ascii_alphabetic());
    let currency = object.first(fields.currency, json::string).filter(is_iso).map(|code| code.to_ascii_uppercase());
    Some(Amount { value, unit: fields.unit, currency })
}

/// A fact that is short enough: a longer one would be sent and logged three times, and is in the payload anyway.
fn fact(value: Option<Cow<'_, str>>) -> Option<String> {
    value.filter(|value| value.len() <= MAX_NAME_BYTES).map(Cow::into_owned)
}

/// Hex SHA-256 over the joined pieces.
pub(crate) fn digest<'p>(pieces: impl IntoIterator<Item = &'p [u8]>) -> String {
    let mut hash = Sha256::new();
    pieces.into_iter().for_each(|piece| hash.update(piece));
    hex::encode(hash.finalize())
}

/// Parses a Unix time, in seconds or milliseconds by its size. None outside the years 0 to 9999.
fn unix_time(count: i64) -> Option<OffsetDateTime> {
    let nanoseconds = if count.unsigned_abs() < 100_000_000_000 { 1_000_000_000 } else { 1_000_000 };
    let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(count) * nanoseconds).ok()?;
    (0..=9999).contains(&time.year()).then_some(time)
}

/// Parses an RFC 3339 time, and converts it to UTC. Its offset may lack the colon (`+0000`), as PHP's `DATE_ISO8601` writes
/// it.
fn rfc3339_time(text: &str) -> Option<OffsetDateTime> {
    let parse = |text: &str| OffsetDateTime::parse(text, &Rfc3339).ok();
    let with_colon = || {
        let (rest, minutes) = text.split_at_checked(text.len().checked_sub(2)?)?;
        let (rest, hours) = rest.split_at_checked(rest.len().checked_sub(3)?)?;
        parse(&format!("{rest}{hours}:{minutes}"))
    };
    let time = parse(text).or_else(with_colon)?.checked_to_offset(UtcOffset::UTC)?;
    (0..=9999).contains(&time.year()).then_some(time)
}

fn rfc3339(time: OffsetDateTime) -> Option<String> {
    time.format(&Rfc3339).ok()
}

/// [RFC 3339](https://www.rfc-editor.org/rfc/rfc3339) in UTC with milliseconds: `2026-01-01T00:00:00.000Z`.
#[doc(hidden)]
#[must_use]
pub fn rfc3339_milliseconds(time: OffsetDateTime) -> String {
    let time = time.to_offset(UtcOffset::UTC);
    let (date, clock) = (time.date(), time.time());
    let (hour, minute, second, milli) = clock.as_hms_milli();
    format!("{date}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unix_time_tells_seconds_from_milliseconds() {
        for (count, expected) in [
            (1_736_611_200, Some("2025-01-11T16:00:00Z")),
            (1_666_201_874_688, Some("2022-10-19T17:51:14.688Z")),
            (0, Some("1970-01-01T00:00:00Z")),
            (99_999_999_999, Some("5138-11-16T09:46:39Z")),
            (100_000_000_000, Some("1973-03-03T09:46:40Z")),
            (-100_000_000_000, Some("1966-10-31T14:13:20Z")),
            (-62_167_219_201_000, None),
            (253_402_300_799_999, Some("9999-12-31T23:59:59.999Z")),
            (253_402_300_800_000, None),
            (i64::MIN, None),
            (i64::MAX, None),
        ] {
            assert_eq!(unix_time(count).and_then(rfc3339).as_deref(), expected, "{count}");
        }
    }

    #[test]
    fn an_offset_may_lack_its_colon() {
        for (text, expected) in [
            ("2026-04-15T14:22:30Z", Some("2026-04-15T14:22:30Z")),
            ("2026-04-15T16:22:30+02:00", Some("2026-04-15T14:22:30Z")),
            ("2026-04-15T14:22:30+0000", Some("2026-04-15T14:22:30Z")),
            ("2026-04-15T09:52:30.5-0430", Some("2026-04-15T14:22:30.5Z")),
            ("2026-02-30T00:00:00Z", None),
            ("2026-04-15T14:22:30+00", None),
            ("2026-04-15T14:22:30+00000", None),
            ("2026-04-15T14:22:3000", None),
            ("yesterday", None),
            ("é", None),
            ("+0000", None),
            ("", None),
        ] {
            assert_eq!(rfc3339_time(text).and_then(rfc3339).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn received_time_has_milliseconds() {
        let time = OffsetDateTime::from_unix_timestamp_nanos(1_736_611_200_007_900_000).unwrap();
        assert_eq!(rfc3339_milliseconds(time), "2025-01-11T16:00:00.007Z");
        let elsewhere = time.to_offset(UtcOffset::from_hms(2, 0, 0).unwrap());
        assert_eq!(rfc3339_milliseconds(elsewhere), "2025-01-11T16:00:00.007Z");
    }
}
