//! A signed delivery that a test can spoil, for every platform in every mode.

use std::{collections::BTreeMap, fmt, ops::Range};

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use hmac::{Hmac, KeyInit, Mac};
use hookgate_verify::{
    Account, Authenticated, Delivery, Reading, Rejection, Scheme, Secrets, Unreadable, Verifier,
    providers::{self, Identity, Paths, Provider, TimeFormat},
    scheme::{Encoding, Hash, Inspection, KeyForm},
};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::value::RawValue;
use sha2::{Sha256, Sha512};
use time::OffsetDateTime;

use crate::invented;

/// The account's current secret. See [`Case::secret`] for how a platform writes it.
pub const CURRENT: &str = "current-7Q";
/// The account's previous secret, still alive.
pub const PREVIOUS: &str = "previous-4K";
/// The secret of another account of the same platform.
pub const EU_SHOP: &str = "eu-shop-9X";

/// When every delivery is received, in Unix seconds.
pub const NOW: u64 = 1_773_504_000;
/// Every delivery's id, where the scheme signs one.
pub const DELIVERY_ID: &str = "whd_abc123";
/// A member of the payload that no platform reads.
pub const NOTE: &str = "of-the-test";

/// One platform under one of its settings, one of the schemes that it then accepts, and one of the scheme's encodings.
#[derive(Clone, Copy)]
pub struct Case {
    pub provider: &'static Provider,
    /// The position in [`Provider::modes`].
    pub mode: usize,
    pub scheme: &'static Scheme,
    /// Whether the signature is written in base64; else in hex.
    pub base64: bool,
}

/// The platforms that there are, and those that only the tests know.
pub fn platforms() -> impl Iterator<Item = &'static Provider> {
    providers::ALL.iter().chain(invented::ALL).copied()
}

/// Every case of every platform.
pub fn cases() -> Vec<Case> {
    platforms().flat_map(cases_of).collect()
}

pub fn cases_of(provider: &'static Provider) -> impl Iterator<Item = Case> {
    let schemes = provider
        .modes
        .iter()
        .enumerate()
        .flat_map(|(mode, (_, schemes))| schemes.iter().map(move |scheme| (mode, scheme)));
    schemes.flat_map(move |(mode, scheme)| {
        let encodings: &[bool] = match scheme.encoding {
            Encoding::Hex | Encoding::LowerHex => &[false],
            Encoding::Base64 => &[true],
            Encoding::HexOrBase64 => &[false, true],
        };
        encodings.iter().map(move |&base64| Case { provider, mode, scheme, base64 })
    })
}

impl Case {
    pub fn verifier(self) -> Verifier {
        let (value, _) = self.provider.modes[self.mode];
        Verifier::new(self.provider, |name| {
            assert_eq!(Some(name), self.provider.setting);
            Some(value.to_owned())
        })
        .expect("a value that the setting has")
    }

    /// The schemes that are accepted beside this one and looked for after it.
    pub fn older(self) -> impl Iterator<Item = Case> {
        self.beside().skip_while(move |case| case.scheme.name != self.scheme.name).skip(1)
    }

    /// The schemes that are looked for before this one.
    pub fn newer(self) -> impl Iterator<Item = Case> {
        self.beside().take_while(move |case| case.scheme.name != self.scheme.name)
    }

    fn beside(self) -> impl Iterator<Item = Case> {
        let (_, schemes) = self.provider.modes[self.mode];
        schemes.iter().map(move |scheme| Case { scheme, base64: scheme.encoding == Encoding::Base64, ..self })
    }

    /// How the platform writes the secret of this name.
    pub fn secret(self, name: &str) -> String {
        match self.key_prefix() {
            None => format!("whsec_{name}"),
            Some(prefix) => format!("{prefix}{}", BASE64.encode(name)),
        }
    }

    /// What stands before a key in base64, for a platform one of whose schemes has such keys.
    pub fn key_prefix(self) -> Option<&'static str> {
        self.provider.schemes().find_map(|scheme| match scheme.key {
            KeyForm::Base64(prefix) => Some(prefix),
            KeyForm::Text => None,
        })
    }

    /// The HMAC's key for this secret.
    pub fn key(self, secret: &str) -> Vec<u8> {
        match self.scheme.key {
            KeyForm::Text => secret.as_bytes().to_vec(),
            KeyForm::Base64(prefix) => BASE64.decode(secret.strip_prefix(prefix).unwrap()).unwrap(),
        }
    }

    /// Whether the member that holds the signature is signed too, with `""` for its value.
    pub fn signs_its_place(self) -> bool {
        let Some(member) = self.scheme.signature_member() else { return false };
        let body = format!(r#"{{"{member}":"x"}}"#);
        self.scheme.signed_body(body.as_bytes()).unwrap().concat() != b"{}"
    }

    pub fn event_name(self) -> &'static str {
        self.provider.events[0].0
    }

    /// A small readable body.
    pub fn body(self) -> Body {
        self.body_of(self.event_name())
    }

    /// A small readable body of an event of this name, built from what the platform's data says.
    pub fn body_of(self, name: &str) -> Body {
        let fields = &self.provider.fields;
        let mut body = Body { topic: name.to_owned(), ..Body::default() };
        if let Some(path) = fields.name.member() {
            body = body.with(path, quoted(name));
        }
        body = body.with(fields.time, self.time());
        if let Some(member) = self.scheme.signature_member() {
            body = body.with(member, "\"\"");
        }
        if !fields.object.is_empty() {
            body = body.with(fields.object, "{}");
        }
        for path in self.id_paths() {
            body = body.with(path, "\"8f3e\"");
        }
        let facts = [
            (fields.amount, "5500"),
            (fields.currency, "\"USD\""),
            (fields.status, "\"paid\""),
            (fields.customer, "\"c1\""),
            (fields.resource_paths(self.provider.kind(name)), "\"8f3e\""),
        ];
        for (paths, value) in facts {
            if let Some(path) = paths.first() {
                body = body.with(&self.inside(path), value);
            }
        }
        body.with(&self.inside(NOTE), "\"hello\"")
    }

    /// The same body with this value for the object that the event is about.
    pub fn about(self, object: impl Into<String>) -> Body {
        self.about_in(self.body(), object)
    }

    /// This body with this value for the object. Where the body itself is the object, the value is all of it.
    pub fn about_in(self, body: Body, object: impl Into<String>) -> Body {
        match self.provider.fields.object {
            "" => Body { members: Vec::new(), whole: object.into(), ..body },
            path => body.with(path, object),
        }
    }

    /// What of this body is the payload.
    pub fn payload_of(self, body: &str) -> String {
        let Some(member) = self.provider.fields.payload_member() else { return body.trim_ascii().to_owned() };
        let body: BTreeMap<String, &RawValue> = serde_json::from_str(body).unwrap();
        body[member].get().to_owned()
    }

    /// The path in the envelope of what this path leads to in the object.
    pub fn inside(self, path: &str) -> String {
        self.provider.fields.in_object(path)
    }

    /// The paths in the envelope of the ids that are the event's identity, or part of it.
    pub fn id_paths(self) -> Vec<&'static str> {
        let fields = &self.provider.fields;
        match &self.provider.identity {
            Identity::Id(path) => vec![path],
            Identity::Together(paths) => paths
                .iter()
                .copied()
                .filter(|path| Some(*path) != fields.name.member() && *path != fields.time)
                .collect(),
            Identity::SignedHeader | Identity::Content => Vec::new(),
        }
    }

    pub fn is_own_id(self) -> bool {
        matches!(self.provider.identity, Identity::Id(_))
    }

    pub fn is_together(self) -> Option<Paths> {
        if let Identity::Together(paths) = self.provider.identity { Some(paths) } else { None }
    }

    /// 2025-01-11T16:00:00Z as the platform writes it.
    pub fn time(self) -> &'static str {
        match self.provider.fields.time_format {
            TimeFormat::Unix => "1736611200",
            TimeFormat::Rfc3339 => "\"2025-01-11T16:00:00Z\"",
            TimeFormat::Utc => "\"2025-01-11T16:00:00\"",
        }
    }

    /// The bytes of a MAC.
    pub fn length(self) -> usize {
        if self.scheme.hash == Hash::Sha256 { 32 } else { 64 }
    }

    pub fn spell(self, mac: &[u8]) -> String {
        if self.base64 { BASE64.encode(mac) } else { hex::encode(mac) }
    }

    /// The MAC by other code than the crate's own.
    pub fn mac(self, key: &[u8], text: &[u8]) -> Vec<u8> {
        fn mac<M: Mac + KeyInit>(key: &[u8], text: &[u8]) -> Vec<u8> {
            <M as KeyInit>::new_from_slice(key).unwrap().chain_update(text).finalize().into_bytes().to_vec()
        }
        match self.scheme.hash {
            Hash::Sha256 => mac::<Hmac<Sha256>>(key, text),
            Hash::Sha512 => mac::<Hmac<Sha512>>(key, text),
        }
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mode, _) = self.provider.modes[self.mode];
        let encoding = if self.base64 { "base64" } else { "hex" };
        write!(f, "{} {mode:?} {} in {encoding}", self.provider.name, self.scheme.name)
    }
}

/// A JSON object, its values as they are written.
#[derive(Clone, Default)]
pub struct Body {
    members: Vec<(String, Node)>,
    /// Before the members, where the whole text is given.
    whole: String,
    /// The event's name, for a platform that puts it into a header.
    pub topic: String,
}

#[derive(Clone)]
enum Node {
    Raw(String),
    Object(Body),
}

impl Body {
    /// Puts this value at a dotted path; what is new stands at the end of its object.
    pub fn with(mut self, path: &str, value: impl Into<String>) -> Self {
        self.put(path, value.into());
        self
    }

    fn put(&mut self, path: &str, value: String) {
        let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
        let at = self.members.iter().position(|(known, _)| known == name).unwrap_or_else(|| {
            self.members.push((name.to_owned(), Node::Object(Body::default())));
            self.members.len() - 1
        });
        let node = &mut self.members[at].1;
        match (rest, node) {
            (None, node) => *node = Node::Raw(value),
            (Some(rest), Node::Object(inner)) => inner.put(rest, value),
            (Some(rest), node) => {
                let mut inner = Body::default();
                inner.put(rest, value);
                *node = Node::Object(inner);
            }
        }
    }

    /// The body of an event of this name, for a platform that puts names into a header.
    pub fn called(self, name: &str) -> Self {
        Body { topic: name.to_owned(), ..self }
    }

    pub fn without(mut self, path: &str) -> Self {
        self.remove(path);
        self
    }

    fn remove(&mut self, path: &str) {
        match path.split_once('.') {
            None => self.members.retain(|(known, _)| known != path),
            Some((name, rest)) => {
                for (known, node) in &mut self.members {
                    if let Node::Object(inner) = node
                        && known == name
                    {
                        inner.remove(rest);
                    }
                }
            }
        }
    }

    /// Adds the member at the top even where there is one of its name.
    pub fn and(mut self, name: &str, value: &str) -> Self {
        self.members.push((name.to_owned(), Node::Raw(value.to_owned())));
        self
    }

    /// Puts the member at this place among those at the top.
    pub fn moved(mut self, name: &str, place: usize) -> Self {
        let from = self.members.iter().position(|(known, _)| known == name).unwrap();
        let member = self.members.remove(from);
        self.members.insert(place, member);
        self
    }

    pub fn members(&self) -> usize {
        self.members.len()
    }

    pub fn text(&self) -> String {
        let members = self.styled(["{", ",", ":", "}"]);
        match self.whole.strip_suffix('}') {
            Some(whole) if !self.members.is_empty() => {
                let comma = if whole.trim_ascii().ends_with('{') { "" } else { "," };
                format!("{whole}{comma}{}", &members[1..])
            }
            _ if !self.whole.is_empty() => self.whole.clone(),
            _ => members,
        }
    }

    /// The object with these marks around its members, and compact below.
    pub fn styled(&self, [open, comma, colon, close]: [&str; 4]) -> String {
        let members: Vec<_> =
            self.members.iter().map(|(name, node)| format!("\"{name}\"{colon}{}", node.text())).collect();
        format!("{open}{}{close}", members.join(comma))
    }

    /// The values alone, as the array that a reader of positions would take for the same.
    pub fn array(&self) -> String {
        let values: Vec<_> = self.members.iter().map(|(_, node)| node.text()).collect();
        format!("[{}]", values.join(","))
    }
}

impl Node {
    fn text(&self) -> String {
        match self {
            Node::Raw(text) => text.clone(),
            Node::Object(inner) => inner.text(),
        }
    }
}

/// What became of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Authentic by the secret at this position, and readable.
    Read(usize),
    Rejected(Rejection),
    /// Authentic, and not what the platform documents.
    Unreadable(Unreadable),
}

/// A delivery to the account `default`.
#[derive(Clone)]
pub struct Post {
    pub case: Case,
    pub headers: Vec<(&'static str, Vec<u8>)>,
    pub body: Vec<u8>,
    account: &'static str,
    secrets: String,
}

impl Post {
    /// What the platform would send.
    pub fn signed(case: Case, body: impl AsRef<[u8]>) -> Self {
        Self::signed_by(case, &case.secret(CURRENT), body)
    }

    pub fn signed_by(case: Case, secret: &str, body: impl AsRef<[u8]>) -> Self {
        Self::signed_with(case, case.scheme, secret, body)
    }

    /// The same under this name, where the platform does not sign names.
    pub fn called(self, name: &str) -> Self {
        match self.case.provider.fields.name.unsigned_header() {
            Some(header) => self.replaced(header, name),
            None => self,
        }
    }

    /// Signs by another scheme than the case's own. A body without a place for its signature gets one at its end.
    pub fn signed_with(case: Case, scheme: &Scheme, secret: &str, body: impl AsRef<[u8]>) -> Self {
        let mut body = body.as_ref().to_vec();
        if let Some(member) = scheme.signature_member()
            && find(&body, &format!("\"{member}\"")).is_none()
        {
            let end = body.iter().rposition(|&byte| byte == b'}').expect("an object");
            let comma = if body[..end].ends_with(b"{") { "" } else { "," };
            body.splice(end..end, format!("{comma}\"{member}\":\"\"").into_bytes());
        }
        let signed = scheme.sign(secret.as_bytes(), &body, DELIVERY_ID, NOW).expect("a place to sign, and a key");
        let headers = signed.headers.into_iter().map(|(name, value)| (name, value.into_bytes())).collect();
        let post = Self::unsigned(case, signed.body).carrying(headers).called(case.event_name());
        // Where there is a choice the crate's own signer writes hex.
        if case.base64 && scheme.encoding == Encoding::HexOrBase64 {
            post.edit_signature(|hex| BASE64.encode(hex::decode(hex).unwrap()))
        } else {
            post
        }
    }

    pub fn unsigned(case: Case, body: impl Into<Vec<u8>>) -> Self {
        let [current, previous, eu_shop] = [CURRENT, PREVIOUS, EU_SHOP].map(|name| quoted(&case.secret(name)));
        let secrets = format!(r#"{{"default":[{current},{previous}],"eu-shop":{eu_shop}}}"#);
        Post { case, headers: Vec::new(), body: body.into(), account: "default", secrets }
    }

    /// A delivery with any delivery id and signed time, where the scheme has them, rightly signed.
    pub fn stamped(case: Case, id: &str, time: &str) -> Self {
        let post = Self::signed(case, case.body().text()).timed(time);
        let post = match case.scheme.id_header() {
            Some(header) => post.replaced(header, id),
            None => post,
        };
        let text = case.scheme.signed_text(id, time, &post.body).unwrap();
        let mac = case.mac(&case.key(&case.secret(CURRENT)), &text);
        post.edit_signature(|_| case.spell(&mac))
    }

    /// The same delivery with a signature made with this key.
    pub fn signed_with_key(case: Case, key: &[u8]) -> Self {
        let post = Self::signed(case, case.body().text());
        let text = case.scheme.signed_text(DELIVERY_ID, &NOW.to_string(), &post.body).unwrap();
        let mac = case.mac(key, &text);
        post.edit_signature(|_| case.spell(&mac))
    }

    /// Changes the signed time wherever it stands, and not the signature.
    pub fn timed(self, time: &str) -> Self {
        let Inspection { time: in_form, time_in_header, .. } = self.inspect();
        let post = match in_form {
            Some(old) => self.edit(|text| text.replacen(&old, time, 1)),
            None => self,
        };
        match time_in_header {
            Some(_) => post.timed_in_header(time),
            None => post,
        }
    }

    /// Changes the signed time in its header only.
    pub fn timed_in_header(self, time: &str) -> Self {
        let header = self.case.scheme.time.unwrap().header.unwrap();
        self.replaced(header, time)
    }

    pub fn carrying(self, headers: Vec<(&'static str, Vec<u8>)>) -> Self {
        Post { headers, ..self }
    }

    /// Adds a header, even where there is one of its name.
    pub fn header(mut self, name: &'static str, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub fn without_header(mut self, name: &str) -> Self {
        self.headers.retain(|(known, _)| *known != name);
        self
    }

    /// Gives the header this value alone.
    pub fn replaced(self, name: &'static str, value: impl Into<Vec<u8>>) -> Self {
        self.without_header(name).header(name, value)
    }

    /// Adds the headers of another delivery that this one does not have.
    pub fn beside(mut self, other: &Post) -> Self {
        let is_new = |name: &str| self.headers.iter().all(|(known, _)| *known != name);
        let new: Vec<_> = other.headers.iter().filter(|(name, _)| is_new(name)).cloned().collect();
        self.headers.extend(new);
        self
    }

    /// The same headers around other bytes.
    pub fn body(self, body: impl Into<Vec<u8>>) -> Self {
        Post { body: body.into(), ..self }
    }

    /// Changes the body, which is text.
    pub fn text(self, change: impl FnOnce(&str) -> String) -> Self {
        let changed = change(std::str::from_utf8(&self.body).unwrap());
        self.body(changed)
    }

    pub fn to(self, account: &'static str) -> Self {
        Post { account, ..self }
    }

    pub fn secrets<S: AsRef<str>>(self, secrets: &[S]) -> Self {
        let list: Vec<_> = secrets.iter().map(|secret| quoted(secret.as_ref())).collect();
        Post { secrets: format!("[{}]", list.join(",")), ..self }
    }

    /// What the delivery has where its scheme looks.
    pub fn inspect(&self) -> Inspection {
        self.case.scheme.inspect(&self.delivery().unwrap()).expect("a signature")
    }

    /// All that stands in the signature's place.
    pub fn written(&self) -> String {
        self.inspect().written
    }

    /// The signature alone; the first where there are several.
    pub fn signature(&self) -> String {
        self.inspect().signatures[0].clone()
    }

    /// Changes all that stands in the signature's place.
    pub fn edit(mut self, change: impl FnOnce(&str) -> String) -> Self {
        let changed = change(&self.written());
        let (carrier, place) = self.place();
        carrier.splice(place, changed.into_bytes());
        self
    }

    /// Changes the signature alone.
    pub fn edit_signature(self, change: impl FnOnce(&str) -> String) -> Self {
        let signature = self.signature();
        let changed = change(&signature);
        self.edit(|text| text.replacen(&signature, &changed, 1))
    }

    /// Changes the MAC, and spells it as before.
    pub fn edit_mac(self, change: impl FnOnce(&mut Vec<u8>)) -> Self {
        let case = self.case;
        self.edit_signature(|text| {
            let mut mac = if case.base64 { BASE64.decode(text).unwrap() } else { hex::decode(text).unwrap() };
            change(&mut mac);
            case.spell(&mac)
        })
    }

    /// The same signature in upper-case hex digits; base64 stays as it is.
    pub fn upper_case(self) -> Self {
        if self.case.base64 { self } else { self.edit_signature(str::to_ascii_uppercase) }
    }

    /// The header's value or the body, whichever holds the signature, and where in it.
    fn place(&mut self) -> (&mut Vec<u8>, Range<usize>) {
        let Some(member) = self.case.scheme.signature_member() else {
            let name = self.case.scheme.signature_header().unwrap();
            let value = &mut self.headers.iter_mut().find(|(known, _)| *known == name).unwrap().1;
            let all = 0..value.len();
            return (value, all);
        };
        let open = format!("\"{member}\":\"");
        let start = find(&self.body, &open).unwrap() + open.len();
        let end = start + self.body[start..].iter().position(|&byte| byte == b'"').unwrap();
        (&mut self.body, start..end)
    }

    /// None where no HTTP server could hand over such headers.
    pub fn delivery(&self) -> Option<Delivery> {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            headers.append(HeaderName::from_static(name), HeaderValue::from_bytes(value).ok()?);
        }
        Some(Delivery {
            headers,
            body: self.body.clone(),
            account: Account::parse(self.account).unwrap(),
            received: OffsetDateTime::from_unix_timestamp(NOW.cast_signed()).unwrap(),
        })
    }

    /// Shows what authentication says.
    pub fn authenticate<T>(&self, look: impl FnOnce(Result<Authenticated<'_>, Rejection>) -> T) -> T {
        let delivery = self.delivery().expect("headers that HTTP can carry");
        // What is refused for its white space matches nothing where somebody asks what is wrong with it, either.
        let secrets = Secrets::parse(&self.secrets).or_else(|_| Secrets::as_given(&self.secrets)).unwrap();
        look(self.case.verifier().authenticate(&delivery, &secrets))
    }

    pub fn outcome(&self) -> Outcome {
        self.authenticate(|result| match result {
            Err(rejection) => Outcome::Rejected(rejection),
            Ok(authenticated) => match authenticated.read() {
                Err(unreadable) => Outcome::Unreadable(unreadable),
                Ok(_) => Outcome::Read(authenticated.secret()),
            },
        })
    }

    /// What an authentic delivery says.
    pub fn read(&self) -> Reading<'static> {
        self.authenticate(|result| {
            let Reading { event, time, key, content } =
                result.unwrap_or_else(|why| panic!("{why:?}: {:?}", self.case)).read().unwrap();
            Reading { event: event.into_owned(), time, key, content }
        })
    }
}

/// A JSON string.
pub fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

/// Where `part` begins in `text`.
fn find(text: &[u8], part: &str) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part.as_bytes())
}
