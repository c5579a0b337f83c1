//! What the benchmarks send: deliveries of any size, signed as the platforms sign them.

// The same events as in the end-to-end tests.
#[path = "../../tests/support/event.rs"]
mod event;

use hookgate_event::{EventType, Unit};
use hookgate_verify::{
    Account, Delivery, Provider, Scheme,
    providers::{self, Identity, TimeFormat},
    scheme::Signed,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use time::OffsetDateTime;

/// The secret of all functions here.
pub const SECRET: &str = "whsec_test";

/// The platform whose function is measured: one with a single scheme that signs the body alone, and with its own ids.
///
/// # Panics
/// If there is no such platform.
#[must_use]
pub fn plainest() -> &'static Provider {
    let is_plain = |provider: &&Provider| {
        let plain = Scheme::header("").describe_signed();
        matches!(provider.identity, Identity::Id(_))
            && provider.fields.name.member().is_some()
            && provider.fields.payload_member().is_some()
            && matches!(provider.default_schemes(), [only] if only.describe_signed() == plain && only.secret_of(SECRET) == SECRET)
    };
    providers::ALL.iter().copied().find(is_plain).expect("a plain platform")
}

/// The `number`th event of this platform, `size` bytes long (or as long as it must be), all of it signed. It is filled with
/// lines of an order, which make real events long.
#[must_use]
pub fn body(provider: &Provider, number: usize, size: usize) -> String {
    let fields = &provider.fields;
    let paid = provider.events.iter().find(|(_, event_type)| *event_type == EventType::OrderPaid);
    let (name, _) = paid.unwrap_or(&provider.events[0]);
    let id = format!(r#""evt_{number:08}""#);
    let identity = match &provider.identity {
        Identity::Id(path) => std::slice::from_ref(path),
        Identity::Together(paths) => paths,
        Identity::SignedHeader | Identity::Content => &[],
    };
    let time = match fields.time_format {
        TimeFormat::Unix => "1736611200",
        TimeFormat::Rfc3339 => r#""2026-04-15T14:22:30Z""#,
        TimeFormat::Utc => r#""2026-04-15T14:22:30""#,
    };
    let mut members: Vec<(String, String)> = Vec::new();
    let mut put = |path: String, value: &str| {
        // Two facts can have the same path.
        if members.iter().all(|(other, _)| *other != path) {
            members.push((path, value.to_owned()));
        }
    };
    for path in identity.iter().filter(|path| Some(**path) != fields.name.member() && **path != fields.time) {
        put((*path).to_owned(), &id);
    }
    if let Some(path) = fields.name.member() {
        put(path.to_owned(), &format!(r#""{name}""#));
    }
    put(fields.time.to_owned(), time);
    let resource = if identity.is_empty() { &*id } else { r#""8f3e""# };
    let amount = if fields.unit == Unit::Minor { "5500" } else { r#""49.99""# };
    for (paths, value) in [
        (fields.resource_paths(provider.kind(name)), resource),
        (fields.amount, amount),
        (fields.currency, r#""USD""#),
        (fields.customer, r#""cust_123""#),
    ] {
        if let Some(path) = paths.first() {
            put(fields.in_object(path), value);
        }
    }

    let filled = |note: &str, lines: &str| {
        let filling = [("note", format!(r#""{note}""#)), ("lines", format!("[{lines}]"))];
        let filling = filling.map(|(name, value)| (fields.in_object(name), value));
        let members: Vec<_> = members.iter().chain(&filling).map(|(path, value)| (&**path, &**value)).collect();
        object(&members)
    };
    // A line is about this long; the note fills the rest.
    let line =
        |n: usize| format!(r#"{{"sku":"S-{n:06}","name":"Shirt \"Ørsted\", size M","quantity":2,"price":1999}}"#);
    let fixed = filled("", "").len();
    let lines: Vec<_> = (0..size.saturating_sub(fixed) / (line(0).len() + 1)).map(line).collect();
    let lines = lines.join(",");
    filled(&".".repeat(size.saturating_sub(fixed + lines.len())), &lines)
}

/// The JSON object with these values at these dotted paths, in their order.
fn object(members: &[(&str, &str)]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for (path, _) in members {
        let name = path.split('.').next().unwrap_or_default();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let member = |name: &str| {
        let within: Vec<_> = members
            .iter()
            .filter_map(|(path, value)| Some((path.strip_prefix(name)?.strip_prefix('.')?, *value)))
            .collect();
        let value = members.iter().find(|(path, _)| *path == name).map(|(_, value)| (*value).to_owned());
        format!(r#""{name}":{}"#, value.unwrap_or_else(|| object(&within)))
    };
    format!("{{{}}}", names.into_iter().map(member).collect::<Vec<_>>().join(","))
}

/// Signs it now, by the platform's default scheme or another one of its own.
///
/// # Panics
/// Never: a [`body`] has a place for a signature.
#[must_use]
pub fn signed(scheme: &Scheme, body: &str) -> Signed {
    let now = OffsetDateTime::now_utc().unix_timestamp().unsigned_abs();
    scheme.sign(scheme.secret_of(SECRET).as_bytes(), body.as_bytes(), "d_abc123", now).expect("a JSON object")
}

/// The delivery as the function sees it, once the invocation is unpacked.
///
/// # Panics
/// Never: signatures fit into headers.
#[must_use]
pub fn delivery(signed: Signed) -> Delivery {
    let header = |(name, value): (&'static str, String)| {
        (HeaderName::from_static(name), HeaderValue::try_from(value).expect("visible ASCII"))
    };
    Delivery {
        headers: signed.headers.into_iter().map(header).collect::<HeaderMap>(),
        body: signed.body,
        account: Account::default(),
        received: OffsetDateTime::now_utc(),
    }
}

/// The event that an HTTP API makes of it.
#[must_use]
pub fn invocation(provider: &Provider, signed: &Signed) -> String {
    let headers: Vec<_> = signed.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    event::event(provider.name, None, &headers, &signed.body)
}
