//! What the tests need of platforms, taken from their data.

#![allow(dead_code, reason = "every test file uses a part")]

use hookgate::{
    json::{Escapes, Json, Space, Style},
    send::outgoing::{Template, sample_secret},
};
use hookgate_verify::{
    Account, Provider, Scheme, Signed,
    providers::{self, Identity, TimeFormat},
};

/// The first platform.
pub fn first() -> &'static Provider {
    providers::ALL[0]
}

/// The first that is like that.
pub fn find(is: impl Fn(&Provider) -> bool) -> Option<&'static Provider> {
    providers::ALL.iter().copied().find(|provider| is(provider))
}

/// The first whose events have ids of their own in the body, which is all of what is signed.
pub fn with_ids() -> &'static Provider {
    let is_plain = |scheme: &Scheme| {
        scheme.signature_member().is_none()
            && scheme.headers().count() == 1
            && scheme.time.is_none()
            && !scheme.has_fields()
    };
    find(|provider| {
        let fields = &provider.fields;
        let says_all = ![fields.amount, fields.currency, fields.status].iter().any(|paths| paths.is_empty());
        let has_ids = matches!(provider.identity, Identity::Id(_)) && fields.name.member().is_some();
        let has_ids = has_ids && fields.payload_member().is_some();
        has_ids && says_all && provider.default_schemes().iter().all(is_plain)
    })
    .expect("a platform whose events have ids, amounts and plain signatures")
}

/// Another platform than this.
pub fn another(than: &Provider) -> &'static Provider {
    find(|provider| provider.name != than.name).expect("two platforms")
}

/// The name of the platform's first event.
pub fn event(provider: &Provider) -> &'static str {
    provider.events[0].0
}

/// The scheme that is used unless another is asked for.
pub fn scheme(provider: &Provider) -> &'static Scheme {
    provider.default_schemes().last().unwrap()
}

/// The sample secret of the account `default`.
pub fn secret(provider: &Provider) -> Vec<u8> {
    sample_secret(provider, &Account::default()).unwrap()
}

/// The platform's first event, with these values at these paths of the body.
pub fn body(provider: &'static Provider, values: &[(&str, Json)]) -> Vec<u8> {
    let mut template = Template::of(provider, event(provider)).unwrap();
    for (path, value) in values {
        template.body.set(path, value.clone()).unwrap();
    }
    template.text()
}

/// The same with this id of the event.
pub fn body_with_id(provider: &'static Provider, id: &str) -> Vec<u8> {
    let mut template = Template::of(provider, event(provider)).unwrap();
    template.set_id(id);
    template.text()
}

/// The first event of the platform [`with_ids`], as its fields say: with this id, of 2025-01-11T16:00:00Z, about `8f3e`, 5500
/// USD, with a note.
pub fn order(id: &str) -> String {
    let provider = with_ids();
    let fields = &provider.fields;
    let Identity::Id(id_path) = provider.identity else { unreachable!("it has ids") };
    let time = match fields.time_format {
        TimeFormat::Unix => Json::Token("1736611200".to_owned()),
        TimeFormat::Rfc3339 => Json::text("2025-01-11T16:00:00Z"),
        TimeFormat::Utc => Json::text("2025-01-11T16:00:00"),
    };
    let object = |path: &str| in_object(provider, path);
    let mut body = Json::parse(b"{}").unwrap();
    for (path, value) in [
        (id_path.to_owned(), Json::text(id)),
        (fields.name.member().unwrap().to_owned(), Json::text(event(provider))),
        (fields.time.to_owned(), time),
        (object(fields.resource_paths(provider.kind(event(provider)))[0]), Json::text("8f3e")),
        (object(fields.amount[0]), Json::Token("5500".to_owned())),
        (object(fields.currency[0]), Json::text("USD")),
        (object("note"), Json::text("s3cr3t-payload")),
    ] {
        body.set(&path, value).unwrap();
    }
    body.write(Style { space: Space::None, escapes: Escapes::Kept, sorted: false })
}

/// What that event is called here.
pub fn event_type() -> &'static str {
    with_ids().events[0].1.as_str()
}

/// What that event is about.
pub fn subject() -> String {
    format!("{}/8f3e", with_ids().kind(event(with_ids())))
}

/// Where a member of the payload's object stands.
pub fn in_object(provider: &Provider, path: &str) -> String {
    provider.fields.in_object(path)
}

/// Signed as the platform does it.
pub fn signed(provider: &Provider, body: &[u8], seconds: u64) -> Signed {
    scheme(provider).sign(&secret(provider), body, "delivery_1", seconds).unwrap()
}
