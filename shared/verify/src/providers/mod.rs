//! The platforms. Each is one file of data; this list is the only code that names them all.

pub mod elective;
pub mod etaildepot;
pub mod lemonsqueezy;
pub mod opterius;
pub mod paddle;
pub mod paystack;
pub mod shopify;
pub mod shoppex;
pub mod standard;
pub mod stripe;
pub mod w3block;
pub mod woocommerce;

use std::fmt;

use hookgate_event::{EventType, Unit};

use crate::Scheme;

/// Every platform, in the order of their names.
pub static ALL: &[&Provider] = &[
    &elective::PROVIDER,
    &etaildepot::PROVIDER,
    &lemonsqueezy::PROVIDER,
    &opterius::PROVIDER,
    &paddle::PROVIDER,
    &paystack::PROVIDER,
    &shopify::PROVIDER,
    &shoppex::PROVIDER,
    &standard::PROVIDER,
    &stripe::PROVIDER,
    &w3block::PROVIDER,
    &woocommerce::PROVIDER,
];

/// Alternatives in order: the first path that leads to a usable value counts. A path is dotted: `customer.id`.
pub type Paths = &'static [&'static str];

/// Everything that any part of the project knows about one platform.
pub struct Provider {
    /// Its name in addresses, events, logs and settings.
    pub name: &'static str,
    /// Its name for people.
    pub title: &'static str,
    /// The documentation of its webhooks.
    pub documentation: &'static str,
    /// The HTTP status of a rejection: the one in its documentation.
    pub rejected_status: u16,
    /// The environment variable that chooses among [`modes`](Self::modes). None if there is only one mode.
    pub setting: Option<&'static str>,
    /// The values of the setting, each with the schemes that it accepts, newest first. The first value is the default.
    pub modes: &'static [(&'static str, &'static [Scheme])],
    /// The places of values in the body.
    pub fields: Fields,
    /// What identifies an event.
    pub identity: Identity,
    /// The platform's event names, and the event types for them.
    pub events: &'static [(&'static str, EventType)],
    /// How it delivers, as documented.
    pub deliveries: Deliveries,
    /// How to register an endpoint with it.
    pub registration: Registration,
}

/// The places of values in the body, a JSON object: the envelope.
pub struct Fields {
    /// The event's name.
    pub name: Name,
    /// When the event happened.
    pub time: &'static str,
    /// How times are written.
    pub time_format: TimeFormat,
    /// The part of the body that becomes the event's payload.
    pub payload: Payload,
    /// The object that the event is about. Empty if the body itself is that object; then the payload is the whole body.
    pub object: &'static str,
    /// Within the object, its id: for each kind of event (the word after `commerce.`, or the first word of a name that is not
    /// in the table), and under `""` for every other kind.
    pub resource: &'static [(&'static str, Paths)],
    /// Within the object, the amount of money.
    pub amount: Paths,
    /// What the amount's digits count.
    pub unit: Unit,
    /// Within the object, the amount's ISO 4217 code.
    pub currency: Paths,
    /// Within the object, the customer's id.
    pub customer: Paths,
    /// Within the object, its state.
    pub status: Paths,
}

/// The place of the event's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Name {
    /// At this path of the envelope, and so under the signature.
    Member(&'static str),
    /// In this header, which the platform does **not** sign. The platform may rightly send the same bytes under several names,
    /// so the name is part of the idempotency key; whoever captured a delivery can send it under a name that it did not have.
    UnsignedHeader(&'static str),
}

/// The part of the body that becomes the event's payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Payload {
    /// The envelope's member that is the object or holds it.
    Member,
    /// The whole body.
    Body,
}

/// How a platform writes times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeFormat {
    /// Unix time, a whole number: of seconds, or of milliseconds where it is 100,000,000,000 or more (which would be the year
    /// 5138 in seconds, and is March 1973 in milliseconds).
    Unix,
    /// [RFC 3339](https://www.rfc-editor.org/rfc/rfc3339), the offset also without its colon.
    Rfc3339,
    /// The same without an offset, in UTC: `2017-03-22T16:28:02`.
    Utc,
}

/// What identifies an event within its platform and account. Made of signed values only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity {
    /// The platform's own id of the event, at this path of the envelope.
    Id(&'static str),
    /// The values at these paths of the envelope, together. Those other than the event's name and time are ids.
    Together(Paths),
    /// The id in the header that the scheme signs: [`Scheme::id_header`]. Every accepted scheme has one.
    SignedHeader,
    /// The content alone.
    Content,
}

/// How a platform delivers, as its documentation says.
pub struct Deliveries {
    /// How long it waits for an answer, in seconds. None if that is not documented.
    pub deadline: Option<u32>,
    /// What it does after a failed attempt.
    pub retries: Retries,
    /// Headers of requests that are not webhooks and must never get a 2xx, in lower case.
    pub not_a_webhook: &'static [&'static str],
    /// The request by which it tests an address when an endpoint is saved, if it sends one.
    pub ping: Option<Ping>,
}

/// A request without a signature by which a platform tests an address: a POST of `application/x-www-form-urlencoded` whose
/// whole body is this field, `=`, and 1 to 20 digits. It is answered 200, and nothing comes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ping {
    /// The name of the one field.
    pub field: &'static str,
}

/// What a platform does after a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retries {
    /// Not documented.
    Unknown,
    /// This many retries, at undocumented intervals.
    Times(usize),
    /// A retry after each of these delays, in seconds since the attempt before.
    After(&'static [u32]),
    /// Retries until this many seconds after the first attempt, at undocumented or changing intervals.
    For(u32),
}

/// How to register an endpoint with a platform. In the texts `{url}` stands for its address, and `{events}` for the names
/// of [`Provider::events`].
pub struct Registration {
    /// The documented steps up to the signing secret, in Markdown.
    pub steps: &'static [&'static str],
    /// The call of its API that does the same.
    pub call: Option<Call>,
}

/// A call that creates an endpoint: a POST of `{"url", "events", "description"}` with a bearer token.
pub struct Call {
    /// Where to.
    pub url: &'static str,
    /// The environment variable that holds the API key.
    pub key: &'static str,
}

impl Provider {
    /// The platform of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Provider> {
        ALL.iter().copied().find(|provider| provider.name == name)
    }

    /// The event type for an event of this name.
    #[must_use]
    pub fn event_type(&self, name: &str) -> EventType {
        let known = self.events.iter().find(|(known, _)| *known == name);
        known.map_or(EventType::Unrecognized, |&(_, event_type)| event_type)
    }

    /// The kind of resource that an event of this name is about: the word after `commerce.`, or the first word (letters and
    /// digits) of a name that is not in the table. Empty if the name has none.
    #[must_use]
    pub fn kind<'n>(&self, name: &'n str) -> &'n str {
        let first_word =
            || name.split(|c: char| !c.is_alphanumeric()).find(|word| !word.is_empty()).unwrap_or_default();
        self.event_type(name).resource_kind().unwrap_or_else(first_word)
    }

    /// Every scheme of every mode. One that two modes share comes twice.
    pub fn schemes(&self) -> impl Iterator<Item = &'static Scheme> {
        self.modes.iter().flat_map(|(_, schemes)| *schemes)
    }

    /// The schemes that are accepted by default, newest first.
    #[must_use]
    pub fn default_schemes(&self) -> &'static [Scheme] {
        self.modes.first().map_or(&[], |(_, schemes)| schemes)
    }
}

impl Fields {
    /// The alternatives for the id of what an event of this kind is about, within the object.
    #[must_use]
    pub fn resource_paths(&self, kind: &str) -> Paths {
        let of = |kind: &str| self.resource.iter().find(|(known, _)| *known == kind);
        of(kind).or_else(|| of("")).map_or(&[], |(_, paths)| paths)
    }

    /// The envelope's member that is the payload. None if the whole body is.
    #[must_use]
    pub fn payload_member(&self) -> Option<&'static str> {
        match self.payload {
            Payload::Member => self.object.split('.').next(),
            Payload::Body => None,
        }
    }

    /// The path in the envelope for this path in the object.
    #[doc(hidden)]
    #[must_use]
    pub fn in_object(&self, path: &str) -> String {
        if self.object.is_empty() { path.to_owned() } else { format!("{}.{path}", self.object) }
    }
}

impl Name {
    /// The path of the signed member. None if the name is not signed.
    #[must_use]
    pub fn member(self) -> Option<&'static str> {
        match self {
            Name::Member(path) => Some(path),
            Name::UnsignedHeader(_) => None,
        }
    }

    /// The header that is not signed. None if the name is in the body.
    #[must_use]
    pub fn unsigned_header(self) -> Option<&'static str> {
        match self {
            Name::Member(_) => None,
            Name::UnsignedHeader(header) => Some(header),
        }
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use http::HeaderName;

    use super::*;
    use crate::scheme::{FieldsForm, Form, KeyForm, Piece, Place, Time};

    #[test]
    fn every_file_of_the_folder_is_sound() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/providers");
        let files: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|file| file.unwrap())
            .filter(|file| file.file_name() != "mod.rs")
            .map(|file| (file.file_name().into_string().unwrap(), fs::read_to_string(file.path()).unwrap()))
            .collect();
        let files: Vec<_> = files.iter().map(|(name, text)| (&name[..], &text[..])).collect();
        let mut wrong = folder_faults(&files, ALL);
        wrong.extend(ALL.iter().flat_map(|provider| faults(provider)));
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        assert!(ALL.is_sorted_by_key(|provider| provider.name), "the list is in the order of the names");
    }

    /// Names and texts.
    type Files<'f> = &'f [(&'f str, &'f str)];

    /// Faults of the list of platforms, compared with the files of its folder.
    fn folder_faults(files: Files<'_>, list: &[&Provider]) -> Vec<String> {
        let mut wrong = Vec::new();
        for (file, text) in files {
            let stem = file.strip_suffix(".rs").unwrap_or(file);
            // The platform's own name comes before those of its schemes.
            let platform = text.split_once("static PROVIDER").map_or("", |(_, rest)| rest);
            let name = platform.split_once("name: \"").and_then(|(_, rest)| rest.split('"').next()).unwrap_or_default();
            if name != stem {
                wrong.push(format!("{file}: its platform is called {name:?}"));
            } else if list.iter().all(|provider| provider.name != stem) {
                wrong.push(format!("{file}: not in the list of platforms"));
            }
            if text.lines().any(|line| line.trim_start().trim_start_matches("pub ").starts_with("fn ")) {
                wrong.push(format!("{file}: has a function"));
            }
        }
        let mut names = BTreeSet::new();
        for provider in list {
            let name = provider.name;
            if !names.insert(name) {
                wrong.push(format!("{name}.rs: two platforms of this name"));
            }
            if files.iter().all(|(file, _)| file.strip_suffix(".rs") != Some(name)) {
                wrong.push(format!("{name}.rs: no such file"));
            }
        }
        wrong
    }

    /// Faults of a platform's data, each after the name of its file.
    fn faults(provider: &Provider) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut check = |right: bool, reason: String| {
            if !right {
                wrong.push(format!("{}.rs: {reason}", provider.name));
            }
        };
        let is_plain =
            |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let is_variable = |name: &str| {
            name.starts_with(|c: char| c.is_ascii_uppercase())
                && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
        };
        check(is_plain(provider.name), "the name is not [a-z0-9]+".into());
        check(!provider.title.trim().is_empty(), "no title".into());
        check(provider.documentation.starts_with("https://"), "the documentation is not at https".into());
        check((400..=499).contains(&provider.rejected_status), format!("the status {}", provider.rejected_status));

        // The setting and its modes.
        check(!provider.modes.is_empty(), "no mode".into());
        check(provider.modes.len() < 2 || provider.setting.is_some(), "several modes and no setting".into());
        check(provider.modes.len() != 1 || provider.setting.is_none(), "a setting with one mode".into());
        check(provider.setting.is_none_or(is_variable), "the setting is not [A-Z][A-Z0-9_]*".into());
        for (index, (value, schemes)) in provider.modes.iter().enumerate() {
            check(provider.modes[..index].iter().all(|(other, _)| other != value), format!("two modes {value:?}"));
            check(provider.modes.len() < 2 || !value.is_empty(), "a mode without a value".into());
            check(!schemes.is_empty(), format!("the mode {value:?} accepts nothing"));
            for (index, scheme) in schemes.iter().enumerate() {
                let beside = &schemes[..index];
                check(beside.iter().all(|other| other.name != scheme.name), format!("two schemes {:?}", scheme.name));
                // The first whose signature is there decides alone.
                let hidden = beside.iter().any(|other| other.place == scheme.place);
                check(!hidden, format!("the scheme {:?} is never reached", scheme.name));
            }
        }
        for scheme in provider.schemes() {
            for reason in scheme_faults(scheme) {
                check(false, format!("the scheme {:?}: {reason}", scheme.name));
            }
        }

        // Places.
        let fields = &provider.fields;
        let is_path = |path: &str| path.split('.').all(|word| !word.is_empty() && !word.contains(char::is_whitespace));
        let identity: &[&str] = match &provider.identity {
            Identity::Id(path) => std::slice::from_ref(path),
            Identity::Together(paths) => paths,
            Identity::SignedHeader | Identity::Content => &[],
        };
        let object = (!fields.object.is_empty()).then_some(fields.object);
        for path in fields.name.member().iter().chain([&fields.time]).chain(&object).chain(identity) {
            check(is_path(path), format!("no path: {path:?}"));
        }
        check(object.is_some() || fields.payload == Payload::Body, "no member is the payload".into());
        if let Name::UnsignedHeader(header) = fields.name {
            check(is_header(header), format!("no header in lower case: {header:?}"));
            check(
                provider.schemes().flat_map(Scheme::headers).all(|other| other != header),
                format!("the header {header:?} is the signature's, and no name"),
            );
            // The name has to be part of the key, which the platform's own id would not include.
            check(provider.identity == Identity::Content, "an unsigned name beside an identity".into());
        }
        let of_kinds = fields.resource.iter().flat_map(|(_, paths)| *paths);
        let facts = [fields.amount, fields.currency, fields.customer, fields.status].into_iter().flatten();
        for path in of_kinds.chain(facts) {
            check(is_path(path), format!("no path: {path:?}"));
            let outside = object.and_then(|object| path.strip_prefix(object)).is_some_and(|rest| rest.starts_with('.'));
            check(!outside, format!("the path {path:?} begins outside the object"));
        }
        let kinds: BTreeSet<_> = provider.events.iter().map(|(name, _)| provider.kind(name)).collect();
        for (index, (kind, paths)) in fields.resource.iter().enumerate() {
            check(kind.is_empty() || kinds.contains(kind), format!("no event of the kind {kind:?}"));
            check(!paths.is_empty(), format!("no path for the kind {kind:?}"));
            let beside = &fields.resource[..index];
            check(beside.iter().all(|(other, _)| other != kind), format!("the kind {kind:?} twice"));
        }
        check(!matches!(provider.identity, Identity::Together(&[])), "an identity of nothing".into());
        for (index, path) in identity.iter().enumerate() {
            check(!identity[..index].contains(path), format!("{path:?} twice in the identity"));
        }
        if provider.identity == Identity::SignedHeader {
            for scheme in provider.schemes() {
                check(scheme.id_header().is_some(), format!("the scheme {:?} signs no identity", scheme.name));
            }
        }

        // Events, deliveries, registration.
        check(!provider.events.is_empty(), "no event".into());
        for (index, (name, event_type)) in provider.events.iter().enumerate() {
            check(!name.trim().is_empty(), "an event without a name".into());
            check(provider.events[..index].iter().all(|(other, _)| other != name), format!("the event {name:?} twice"));
            check(*event_type != EventType::Unrecognized, format!("the event {name:?} is unrecognized"));
        }
        for header in provider.deliveries.not_a_webhook {
            check(is_header(header), format!("no header in lower case: {header:?}"));
        }
        if let Some(Ping { field }) = provider.deliveries.ping {
            let is_plain = !field.is_empty() && field.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            check(is_plain, format!("no field of a form: {field:?}"));
        }
        let (steps, call) = (provider.registration.steps, &provider.registration.call);
        check(!steps.is_empty(), "no steps of registration".into());
        check(call.is_some() || steps.iter().any(|step| step.contains("{url}")), "no step takes {url}".into());
        if let Some(Call { url, key }) = call {
            check(url.starts_with("https://"), "the call is not to https".into());
            check(is_variable(key), "the call's key is not in [A-Z][A-Z0-9_]*".into());
        }
        wrong
    }

    fn is_header(name: &str) -> bool {
        HeaderName::from_lowercase(name.as_bytes()).is_ok()
    }

    fn scheme_faults(scheme: &Scheme) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut check = |right: bool, reason: &str| {
            if !right {
                wrong.push(reason.to_owned());
            }
        };
        for header in scheme.headers() {
            check(is_header(header), &format!("no header in lower case: {header:?}"));
        }
        let headers: Vec<_> = scheme.headers().collect();
        check(headers.len() == headers.iter().collect::<BTreeSet<_>>().len(), "one header for two things");
        let body =
            |piece: &Piece| matches!(piece, Piece::Body | Piece::BodyWithoutSignature | Piece::BodyWithEmptySignature);
        let bodies: Vec<_> = scheme.signed.iter().filter(|piece| body(piece)).collect();
        check(bodies.len() == 1, &format!("signs {} bodies", bodies.len()));
        match scheme.place {
            Place::Header(_) => check(
                bodies.iter().all(|piece| **piece == Piece::Body),
                "cuts a signature out of the body that is in a header",
            ),
            Place::Member(name) => {
                check(!bodies.contains(&&Piece::Body), "signs the body that its signature is in");
                let is_plain =
                    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
                check(is_plain, "the member's name is not plain ASCII");
            }
        }
        let ids = scheme.signed.iter().filter(|piece| matches!(piece, Piece::Header(_))).count();
        check(ids < 2, "signs two headers");

        let signs_time = scheme.signed.contains(&Piece::Timestamp);
        let time_in_form = matches!(scheme.form, Form::Fields(FieldsForm { time, .. }) if !time.is_empty());
        check(!signs_time || scheme.time.is_some(), "signs a time that it does not have");
        check(signs_time || scheme.time.is_none(), "has a time that it does not sign");
        check(!time_in_form || scheme.time.is_some(), "spells a time that it does not have");
        check(scheme.time.is_none_or(|time| time.header.is_some() || time_in_form), "a time without a place to stand");

        let spaced = |text: &str| text.contains(char::is_whitespace);
        if let KeyForm::Base64(prefix) = scheme.key {
            check(!spaced(prefix), "white space before the key");
        }
        match scheme.form {
            Form::Prefix(prefix) => check(!spaced(prefix), "white space before the signature"),
            Form::Fields(FieldsForm { separator, assign, marker, time, signature, ignored, several: _ }) => {
                check(separator != assign, "one mark separates and assigns");
                let in_signature = |c: char| c.is_ascii_alphanumeric() || "+/=".contains(c);
                check(!in_signature(separator), "the separator can be part of a signature");
                check(!signature.is_empty() && ignored.iter().all(|name| !name.is_empty()), "a field without a name");
                let given = [marker, time].into_iter().filter(|name| !name.is_empty());
                let names: Vec<_> = given.chain([signature]).chain(ignored.iter().copied()).collect();
                check(names.len() == names.iter().collect::<BTreeSet<_>>().len(), "two fields of one name");
                let is_name = |name: &&str| !spaced(name) && !name.contains([separator, assign]);
                // The marker is compared whole: `v=1` can be one.
                let readable = names.iter().filter(|name| **name != marker).all(is_name) && !marker.contains(separator);
                check(readable && !spaced(marker), "a field's name that cannot be read");
            }
        }
        wrong
    }

    const SOUND: Provider = Provider {
        name: "sound",
        title: "Sound",
        documentation: "https://example.com/",
        rejected_status: 401,
        setting: None,
        modes: &[("", &[Scheme::header("x-sound")])],
        fields: FIELDS,
        identity: Identity::Id("id"),
        events: &[("sale", EventType::OrderPaid), ("bill", EventType::InvoicePaid)],
        deliveries: Deliveries { deadline: None, retries: Retries::Unknown, not_a_webhook: &[], ping: None },
        registration: Registration { steps: &["Enter `{url}`."], call: None },
    };
    const FIELDS: Fields = Fields {
        name: Name::Member("what"),
        time: "when",
        time_format: TimeFormat::Unix,
        payload: Payload::Member,
        object: "sale.it",
        resource: &[("invoice", &["bill"]), ("", &["no"])],
        amount: &["sum"],
        unit: Unit::Minor,
        currency: &["money.code"],
        customer: &["by"],
        status: &["state"],
    };

    fn with_scheme(scheme: Scheme) -> Provider {
        let schemes: &[_] = Box::leak(Box::new([scheme]));
        Provider { modes: Box::leak(Box::new([("", schemes)])), ..SOUND }
    }

    fn with_form(form: FieldsForm) -> Provider {
        with_scheme(Scheme { form: Form::Fields(form), ..Scheme::header("x-sound") })
    }

    #[test]
    fn a_broken_folder_is_named_with_its_fault() {
        let (a, b) = (Provider { name: "a", ..SOUND }, Provider { name: "b", ..SOUND });
        let file = |name: &str| format!("pub static PROVIDER: Provider = Provider {{\n    name: \"{name}\",\n}};");
        let (file_a, file_b) = (file("a"), file("b"));
        let with_function = format!("{file_a}\nfn read() {{}}");
        let cases: [(Files<'_>, &[&Provider], &[&str]); 7] = [
            (&[("a.rs", &file_a), ("b.rs", &file_b)], &[&a, &b], &[]),
            (&[("a.rs", &file_a), ("b.rs", &file_b)], &[&a], &["b.rs: not in the list of platforms"]),
            (&[("a.rs", &file_a)], &[&a, &a], &["a.rs: two platforms of this name"]),
            (&[("a.rs", &file_a)], &[&a, &b], &["b.rs: no such file"]),
            (&[("c.rs", &file_a)], &[&a], &["c.rs: its platform is called \"a\"", "a.rs: no such file"]),
            (&[("a.rs", &with_function)], &[&a], &["a.rs: has a function"]),
            (&[("a.rs", &file_a), ("notes.txt", "")], &[&a], &["notes.txt: its platform is called \"\""]),
        ];
        for (files, list, expected) in cases {
            assert_eq!(folder_faults(files, list), expected);
        }
    }

    const HEADER: Scheme = Scheme::header("x-sound");
    const TIME: Option<Time> = Some(Time { header: Some("x-time"), tolerance: 300 });
    const TIMED: &[Piece] = &[Piece::Timestamp, Piece::Body];
    const MEMBER: Scheme =
        Scheme { place: Place::Member("sig"), signed: &[Piece::BodyWithoutSignature], ..Scheme::header("") };
    const PLAIN: FieldsForm = FieldsForm { time: "", ..FieldsForm::EQUALS_COMMA };
    /// Each of these has exactly this fault.
    fn assert_faults(broken: &[(Provider, &str)]) {
        let wrong: Vec<_> = broken
            .iter()
            .filter_map(|(provider, reason)| {
                let is_whole = reason.contains(".rs: ");
                let expected = if is_whole { (*reason).to_owned() } else { format!("sound.rs: {reason}") };
                let found = faults(provider);
                (found != [&expected[..]]).then(|| format!("{found:?} instead of {expected:?}"))
            })
            .collect();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn a_sound_platform_has_no_fault() {
        assert_eq!(faults(&SOUND), [""; 0]);
        assert_eq!(faults(&with_scheme(MEMBER)), [""; 0]);
        assert_eq!(faults(&with_scheme(Scheme { time: TIME, signed: TIMED, ..HEADER })), [""; 0]);
        assert_eq!(faults(&with_form(PLAIN)), [""; 0]);
        let whole = Fields { name: Name::UnsignedHeader("x-topic"), payload: Payload::Body, object: "", ..FIELDS };
        assert_eq!(faults(&Provider { fields: whole, ..BY_CONTENT }), [""; 0]);
        let ping = Some(Ping { field: "hook_id" });
        assert_eq!(faults(&Provider { deliveries: Deliveries { ping, ..SOUND.deliveries }, ..SOUND }), [""; 0]);
        assert_eq!(faults(&with_form(FieldsForm { marker: "v=1", ..PLAIN })), [""; 0]);
    }

    #[test]
    fn a_broken_platform_is_named_with_its_fault() {
        assert_faults(&[
            (Provider { name: "", ..SOUND }, ".rs: the name is not [a-z0-9]+"),
            (Provider { name: "Sound", ..SOUND }, "Sound.rs: the name is not [a-z0-9]+"),
            (Provider { name: "so-und", ..SOUND }, "so-und.rs: the name is not [a-z0-9]+"),
            (Provider { title: " ", ..SOUND }, "no title"),
            (Provider { documentation: "http://example.com/", ..SOUND }, "the documentation is not at https"),
            (Provider { rejected_status: 399, ..SOUND }, "the status 399"),
            (Provider { rejected_status: 500, ..SOUND }, "the status 500"),
            // The setting and its modes.
            (Provider { modes: &[], ..SOUND }, "no mode"),
            (Provider { modes: &[("a", &[HEADER]), ("b", &[HEADER])], ..SOUND }, "several modes and no setting"),
            (Provider { setting: Some("SOUND"), ..SOUND }, "a setting with one mode"),
            (
                Provider { setting: Some("sound"), modes: &[("a", &[HEADER]), ("b", &[HEADER])], ..SOUND },
                "the setting is not [A-Z][A-Z0-9_]*",
            ),
            (Provider { setting: Some("S"), modes: &[("a", &[HEADER]), ("a", &[HEADER])], ..SOUND }, "two modes \"a\""),
            (
                Provider { setting: Some("S"), modes: &[("a", &[HEADER]), ("", &[HEADER])], ..SOUND },
                "a mode without a value",
            ),
            (Provider { modes: &[("", &[])], ..SOUND }, "the mode \"\" accepts nothing"),
            (Provider { modes: &[("", &[HEADER, MEMBER])], ..SOUND }, "two schemes \"v1\""),
            (
                Provider { modes: &[("", &[HEADER, Scheme { name: "v2", ..HEADER }])], ..SOUND },
                "the scheme \"v2\" is never reached",
            ),
            (Provider { events: &[], fields: Fields { resource: &[], ..FIELDS }, ..SOUND }, "no event"),
            (
                Provider { events: &[("bill", EventType::InvoicePaid), ("bill", EventType::InvoiceCreated)], ..SOUND },
                "the event \"bill\" twice",
            ),
            (
                Provider { events: &[("bill", EventType::InvoicePaid), (" ", EventType::OrderPaid)], ..SOUND },
                "an event without a name",
            ),
            (
                Provider { events: &[("bill", EventType::InvoicePaid), ("x", EventType::Unrecognized)], ..SOUND },
                "the event \"x\" is unrecognized",
            ),
            (
                Provider { deliveries: Deliveries { not_a_webhook: &["X-Probe"], ..SOUND.deliveries }, ..SOUND },
                "no header in lower case: \"X-Probe\"",
            ),
            (
                Provider { deliveries: Deliveries { ping: Some(Ping { field: "a=b" }), ..SOUND.deliveries }, ..SOUND },
                "no field of a form: \"a=b\"",
            ),
            (
                Provider { registration: Registration { steps: &[], call: Some(CALL) }, ..SOUND },
                "no steps of registration",
            ),
            (
                Provider { registration: Registration { steps: &["Enter it."], call: None }, ..SOUND },
                "no step takes {url}",
            ),
            (
                Provider {
                    registration: Registration { steps: &["Call."], call: Some(Call { url: "http://a", ..CALL }) },
                    ..SOUND
                },
                "the call is not to https",
            ),
            (
                Provider {
                    registration: Registration { steps: &["Call."], call: Some(Call { key: "key", ..CALL }) },
                    ..SOUND
                },
                "the call's key is not in [A-Z][A-Z0-9_]*",
            ),
        ]);
    }

    #[test]
    fn a_broken_scheme_is_named_with_its_fault() {
        assert_faults(&[
            (with_form(FieldsForm { marker: "v,1", ..PLAIN }), "the scheme \"v1\": a field's name that cannot be read"),
            (with_form(FieldsForm { marker: "v 1", ..PLAIN }), "the scheme \"v1\": a field's name that cannot be read"),
            (with_scheme(Scheme::header("X-Sound")), "the scheme \"v1\": no header in lower case: \"X-Sound\""),
            (with_scheme(Scheme::header("x sound")), "the scheme \"v1\": no header in lower case: \"x sound\""),
            (with_scheme(Scheme::header("")), "the scheme \"v1\": no header in lower case: \"\""),
            (
                with_scheme(Scheme {
                    time: Some(Time { header: Some("x-sound"), tolerance: 1 }),
                    signed: TIMED,
                    ..HEADER
                }),
                "the scheme \"v1\": one header for two things",
            ),
            (with_scheme(Scheme { signed: &[], ..HEADER }), "the scheme \"v1\": signs 0 bodies"),
            (
                with_scheme(Scheme { signed: &[Piece::Body, Piece::Body], ..HEADER }),
                "the scheme \"v1\": signs 2 bodies",
            ),
            (
                with_scheme(Scheme { signed: &[Piece::BodyWithoutSignature], ..HEADER }),
                "the scheme \"v1\": cuts a signature out of the body that is in a header",
            ),
            (
                with_scheme(Scheme { signed: &[Piece::BodyWithEmptySignature], ..HEADER }),
                "the scheme \"v1\": cuts a signature out of the body that is in a header",
            ),
            (
                with_scheme(Scheme { signed: &[Piece::Body], ..MEMBER }),
                "the scheme \"v1\": signs the body that its signature is in",
            ),
            (
                with_scheme(Scheme { place: Place::Member("é"), ..MEMBER }),
                "the scheme \"v1\": the member's name is not plain ASCII",
            ),
            (
                with_scheme(Scheme { signed: &[Piece::Header("x-a"), Piece::Header("x-b"), Piece::Body], ..HEADER }),
                "the scheme \"v1\": signs two headers",
            ),
            (with_scheme(Scheme { signed: TIMED, ..HEADER }), "the scheme \"v1\": signs a time that it does not have"),
            (with_scheme(Scheme { time: TIME, ..HEADER }), "the scheme \"v1\": has a time that it does not sign"),
            (with_form(FieldsForm::EQUALS_COMMA), "the scheme \"v1\": spells a time that it does not have"),
            (
                with_scheme(Scheme { time: Some(Time { header: None, tolerance: 1 }), signed: TIMED, ..HEADER }),
                "the scheme \"v1\": a time without a place to stand",
            ),
            (
                with_scheme(Scheme { key: KeyForm::Base64("key "), ..HEADER }),
                "the scheme \"v1\": white space before the key",
            ),
            (
                with_scheme(Scheme { form: Form::Prefix("sha256= "), ..HEADER }),
                "the scheme \"v1\": white space before the signature",
            ),
            (with_form(FieldsForm { assign: ',', ..PLAIN }), "the scheme \"v1\": one mark separates and assigns"),
            (
                with_form(FieldsForm { separator: 'a', ..PLAIN }),
                "the scheme \"v1\": the separator can be part of a signature",
            ),
            (with_form(FieldsForm { signature: "", ..PLAIN }), "the scheme \"v1\": a field without a name"),
            (with_form(FieldsForm { ignored: &[""], ..PLAIN }), "the scheme \"v1\": a field without a name"),
            (with_form(FieldsForm { ignored: &["v1"], ..PLAIN }), "the scheme \"v1\": two fields of one name"),
            (with_form(FieldsForm { marker: "v1", ..PLAIN }), "the scheme \"v1\": two fields of one name"),
            (
                with_form(FieldsForm { signature: "v,1", ..PLAIN }),
                "the scheme \"v1\": a field's name that cannot be read",
            ),
            (
                with_form(FieldsForm { signature: "v 1", ..PLAIN }),
                "the scheme \"v1\": a field's name that cannot be read",
            ),
        ]);
    }

    #[test]
    fn a_path_that_cannot_be_is_named_with_its_platform() {
        let fields = |fields: Fields| Provider { fields, ..SOUND };
        assert_faults(&[
            (fields(Fields { name: Name::Member(""), ..FIELDS }), "no path: \"\""),
            (fields(Fields { object: "", ..FIELDS }), "no member is the payload"),
            (
                Provider { fields: Fields { name: Name::UnsignedHeader("X-Topic"), ..FIELDS }, ..BY_CONTENT },
                "no header in lower case: \"X-Topic\"",
            ),
            (
                Provider { fields: Fields { name: Name::UnsignedHeader("x-sound"), ..FIELDS }, ..BY_CONTENT },
                "the header \"x-sound\" is the signature's, and no name",
            ),
            (fields(Fields { name: Name::UnsignedHeader("x-topic"), ..FIELDS }), "an unsigned name beside an identity"),
            (fields(Fields { time: "a..b", ..FIELDS }), "no path: \"a..b\""),
            (fields(Fields { object: "sale.", ..FIELDS }), "no path: \"sale.\""),
            (fields(Fields { amount: &["sum", "the sum"], ..FIELDS }), "no path: \"the sum\""),
            (fields(Fields { customer: &[".by"], ..FIELDS }), "no path: \".by\""),
            (
                fields(Fields { status: &["sale.it.state"], ..FIELDS }),
                "the path \"sale.it.state\" begins outside the object",
            ),
            (
                fields(Fields { resource: &[("", &["sale.it.no"])], ..FIELDS }),
                "the path \"sale.it.no\" begins outside the object",
            ),
            (fields(Fields { resource: &[("customer", &["by"])], ..FIELDS }), "no event of the kind \"customer\""),
            (fields(Fields { resource: &[("", &[])], ..FIELDS }), "no path for the kind \"\""),
            (fields(Fields { resource: &[("", &["a"]), ("", &["b"])], ..FIELDS }), "the kind \"\" twice"),
            (Provider { identity: Identity::Id("the id"), ..SOUND }, "no path: \"the id\""),
            (Provider { identity: Identity::Together(&[]), ..SOUND }, "an identity of nothing"),
            (Provider { identity: Identity::Together(&["a", "b", "a"]), ..SOUND }, "\"a\" twice in the identity"),
            (Provider { identity: Identity::SignedHeader, ..SOUND }, "the scheme \"v1\" signs no identity"),
        ]);
    }

    const BY_CONTENT: Provider = Provider { identity: Identity::Content, ..SOUND };

    const CALL: Call = Call { url: "https://api.example.com/", key: "SOUND_API_KEY" };

    /// A header is the identity only where every accepted scheme signs it: one that does not lets any id through.
    #[test]
    fn an_identity_that_one_of_two_schemes_does_not_sign_is_a_fault() {
        const SIGNED: Scheme =
            Scheme { name: "v2", signed: &[Piece::Header("x-id"), Piece::Body], ..Scheme::header("x-newer") };
        const BOTH: Provider = Provider {
            modes: &[("", &[SIGNED, Scheme::header("x-sound")])],
            identity: Identity::SignedHeader,
            ..SOUND
        };
        const OTHER: Scheme =
            Scheme { name: "other", signed: &[Piece::Header("x-other-id"), Piece::Body], ..Scheme::header("x-other") };
        assert_eq!(faults(&BOTH), ["sound.rs: the scheme \"v1\" signs no identity"]);
        let signed = Provider { modes: &[("", &[SIGNED])], ..BOTH };
        assert_eq!(faults(&signed), [""; 0]);
        // Two families of headers, each with its id.
        let families = Provider { modes: &[("", &[SIGNED, OTHER])], ..BOTH };
        assert_eq!(faults(&families), [""; 0]);
    }
}
