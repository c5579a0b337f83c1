//! From an authenticated body to the normalised event, its idempotency key and its content hash.

use std::borrow::Cow;

use hookgate_event::{Amount, ContentType, Customer, Data, Event, Resource, SpecVersion, Unit};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use time::{OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};

use crate::{
    Authenticated,
    json::{self, Object},
};

/// What an authenticated delivery says.
#[derive(Debug)]
pub struct Reading<'d> {
    /// The normalised event.
    pub event: Event<'d>,
    /// When it happened by the provider's clock, if it says so, in the years 0 to 9999.
    pub time: Option<OffsetDateTime>,
    /// The idempotency key: the provider's event id (1 to 256 bytes) or a hex SHA-256 (64 digits), made from signed content
    /// only, the same for every redelivery of the event.
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
    /// JSON, but no object.
    NotAnObject,
    /// Two members of one name at the top level.
    DuplicateKey,
    /// No event name, or one that is no text of 1 to 256 bytes.
    EventName,
    /// No payload object.
    Payload,
    /// An id that is no text, or (where the provider uses numbers) no number either, or longer than 256 bytes.
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

/// What a provider's file reads out of the envelope.
pub(crate) struct Facts<'d> {
    /// The provider's name of the event.
    pub name: &'d RawValue,
    /// What tells this event from every other.
    pub identity: Identity<'d>,
    pub resource_id: Option<Cow<'d, str>>,
    pub amount: Option<Amount>,
    pub customer: Option<Cow<'d, str>>,
    pub status: Option<Cow<'d, str>>,
    pub time: Option<OffsetDateTime>,
}

/// What tells an event from every other of its provider and account.
pub(crate) enum Identity<'d> {
    /// The provider's own event id.
    Given(Cow<'d, str>),
    /// These values together, as the provider wrote them: `305` is not `"305"`.
    Composite([&'d RawValue; 3]),
    /// Nothing but the content.
    Content,
}

impl<'d> Identity<'d> {
    /// The provider's event id, a string. A missing or empty one is not an error, a number or an object is.
    pub fn given(envelope: &Object<'d>, name: &str) -> Result<Self, Unreadable> {
        match envelope.get(name).map(json::string) {
            None => Ok(Identity::Content),
            Some(Some(id)) if id.is_empty() => Ok(Identity::Content),
            Some(Some(id)) if id.len() <= MAX_NAME_BYTES => Ok(Identity::Given(id)),
            Some(_) => Err(Unreadable::Id),
        }
    }

    /// Event name, the payload's `id` and the timestamp, where all three are there. The id is a string or a number; a
    /// missing or empty one is not an error, an object is.
    pub fn composite(envelope: &Object<'d>, payload: &Object<'d>) -> Result<Self, Unreadable> {
        match payload.get("id") {
            None => return Ok(Identity::Content),
            Some(id) if id.get() == r#""""# => return Ok(Identity::Content),
            Some(_) if payload.id("id").is_some_and(|id| id.len() <= MAX_NAME_BYTES) => {}
            Some(_) => return Err(Unreadable::Id),
        }
        Ok(match (envelope.get("event"), payload.get("id"), envelope.get("timestamp")) {
            (Some(event), Some(id), Some(timestamp)) => Identity::Composite([event, id, timestamp]),
            _ => Identity::Content,
        })
    }
}

/// No provider's names or ids come near it; what is longer would not fit where we must store it.
const MAX_NAME_BYTES: usize = 256;

pub(crate) fn read<'d>(authenticated: &Authenticated<'d>) -> Result<Reading<'d>, Unreadable> {
    let provider = authenticated.provider();
    let body = &authenticated.delivery().body[..];
    if body.starts_with("\u{feff}".as_bytes()) {
        return Err(Unreadable::ByteOrderMark);
    }
    let text = std::str::from_utf8(body).map_err(|_| Unreadable::NotUtf8)?;
    let (envelope, payload) = json::envelope(text, provider.payload).map_err(|trouble| match trouble {
        json::Trouble::NotJson => Unreadable::NotJson,
        json::Trouble::NotAnObject => Unreadable::NotAnObject,
        json::Trouble::DuplicateKey => Unreadable::DuplicateKey,
    })?;
    let payload = payload.ok_or(Unreadable::Payload)?;
    let facts = (provider.read)(&envelope, &payload.object)?;
    let name = json::string(facts.name)
        .filter(|name| (1..=MAX_NAME_BYTES).contains(&name.len()))
        .ok_or(Unreadable::EventName)?;
    let event_type = provider.event_type(&name);
    let resource = event_type
        .resource_kind()
        .zip(facts.resource_id)
        .map(|(kind, id)| Resource { kind: kind.to_owned(), id: id.into_owned() });

    let key = match facts.identity {
        Identity::Given(id) => id.into_owned(),
        Identity::Composite([a, b, c]) => {
            digest([b"[", a.get().as_bytes(), b",", b.get().as_bytes(), b",", c.get().as_bytes(), b"]"])
        }
        Identity::Content => authenticated.body_digest(),
    };
    let content = {
        // The name's length first: no two pairs of name and payload run into the same bytes.
        let length = (name.len() as u64).to_be_bytes();
        digest([&length, name.as_bytes(), payload.text.get().as_bytes()])
    };
    let account = authenticated.account().to_string();
    let event = Event {
        specversion: SpecVersion::V1,
        id: key.clone(),
        source: format!("/webhooks/{}/{account}", provider.name),
        event_type,
        subject: resource.as_ref().map(|resource| format!("{}/{}", resource.kind, resource.id)),
        time: facts.time.and_then(rfc3339),
        datacontenttype: ContentType::Json,
        provider: provider.name.to_owned(),
        account,
        provider_type: name.into_owned(),
        received_time: rfc3339_milliseconds(authenticated.received()),
        delivery_id: authenticated.delivery_id().map(str::to_owned),
        traceparent: None,
        data: Data {
            resource,
            amount: facts.amount,
            customer: facts.customer.map(|id| Customer { id: id.into_owned() }),
            status: facts.status.map(Cow::into_owned),
            payload: Cow::Borrowed(payload.text),
        },
    };
    Ok(Reading { event, time: facts.time, key, content })
}

/// Hex SHA-256 over the pieces, as one text.
pub(crate) fn digest<'p>(pieces: impl IntoIterator<Item = &'p [u8]>) -> String {
    let mut hash = Sha256::new();
    pieces.into_iter().for_each(|piece| hash.update(piece));
    hex::encode(hash.finalize())
}

/// An amount whose digits the payload has, with its ISO 4217 code where that is one.
pub(crate) fn amount(value: Option<Cow<'_, str>>, unit: Unit, currency: Option<Cow<'_, str>>) -> Option<Amount> {
    let iso = |code: &Cow<'_, str>| code.len() == 3 && code.bytes().all(|b| b.is_ascii_alphabetic());
    let currency = currency.filter(iso).map(|code| code.to_ascii_uppercase());
    Some(Amount { value: value?.into_owned(), unit, currency })
}

/// The moment of a Unix time in `per_second`ths of a second. None where it is outside the years 0 to 9999.
pub(crate) fn unix_time(count: Option<i64>, per_second: i64) -> Option<OffsetDateTime> {
    let nanoseconds = i128::from(count?) * i128::from(1_000_000_000 / per_second);
    OffsetDateTime::from_unix_timestamp_nanos(nanoseconds).ok().filter(|time| (0..=9999).contains(&time.year()))
}

/// The moment of an RFC 3339 text, in UTC.
pub(crate) fn rfc3339_time(text: Option<Cow<'_, str>>) -> Option<OffsetDateTime> {
    let time = OffsetDateTime::parse(&text?, &Rfc3339).ok()?.checked_to_offset(UtcOffset::UTC)?;
    (0..=9999).contains(&time.year()).then_some(time)
}

fn rfc3339(time: OffsetDateTime) -> Option<String> {
    time.format(&Rfc3339).ok()
}

/// [RFC 3339](https://www.rfc-editor.org/rfc/rfc3339) in UTC with milliseconds: `2026-01-01T00:00:00.000Z`.
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
    fn impossible_times_are_left_out() {
        let text = |time: Option<OffsetDateTime>| time.and_then(rfc3339);
        assert_eq!(text(unix_time(Some(1_736_611_200), 1)).unwrap(), "2025-01-11T16:00:00Z");
        assert_eq!(text(unix_time(Some(1_666_201_874_688), 1000)).unwrap(), "2022-10-19T17:51:14.688Z");
        assert_eq!(text(unix_time(Some(253_402_300_799), 1)).unwrap(), "9999-12-31T23:59:59Z");
        assert_eq!(text(unix_time(Some(253_402_300_800), 1)), None);
        assert_eq!(text(unix_time(Some(i64::MIN), 1)), None);
        assert_eq!(text(unix_time(Some(i64::MAX), 1)), None);
        assert_eq!(text(rfc3339_time(Some("2026-04-15T16:22:30+02:00".into()))).unwrap(), "2026-04-15T14:22:30Z");
        assert_eq!(text(rfc3339_time(Some("2026-02-30T00:00:00Z".into()))), None);
        assert_eq!(text(rfc3339_time(Some("yesterday".into()))), None);
    }

    #[test]
    fn received_time_has_milliseconds() {
        let time = OffsetDateTime::from_unix_timestamp_nanos(1_736_611_200_007_900_000).unwrap();
        assert_eq!(rfc3339_milliseconds(time), "2025-01-11T16:00:00.007Z");
        let elsewhere = time.to_offset(UtcOffset::from_hms(2, 0, 0).unwrap());
        assert_eq!(rfc3339_milliseconds(elsewhere), "2025-01-11T16:00:00.007Z");
    }

    #[test]
    fn a_currency_is_an_iso_code_or_absent() {
        let code = |text: &'static str| amount(Some("1".into()), Unit::Minor, Some(text.into())).unwrap().currency;
        assert_eq!(code("usd").as_deref(), Some("USD"));
        assert_eq!(code("8c43ece8-99b0-4877-aed3-2170d2deb4bf"), None);
        assert_eq!(amount(None, Unit::Minor, Some("USD".into())), None);
    }
}
