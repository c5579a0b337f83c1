//! A signed delivery that a test can spoil, for every provider in every mode.

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use hmac::{Hmac, KeyInit, Mac};
use hookgate_verify::{
    Account, Authenticated, Delivery, Encoding, Layout, Reading, Rejection, Scheme, Secrets, Unreadable, Verifier,
    providers::Provider, sender,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use sha2::Sha256;
use time::OffsetDateTime;

use self::Mode::{
    Elective, EtailDepot, OpteriusEmpty, OpteriusWithout, ShoppexOnlyV2, ShoppexV1, ShoppexV2, W3blockBase64,
    W3blockHex,
};

/// The account's current secret.
pub const CURRENT: &str = "whsec_current-7Q";
/// The account's previous secret, still alive.
pub const PREVIOUS: &str = "whsec_previous-4K";
/// The secret of another account of the same provider.
pub const EU_SHOP: &str = "whsec_eu-shop-9X";

/// When every delivery is received, in Unix seconds: the time in Shoppex' published example.
pub const NOW: u64 = 1_773_504_000;
/// The delivery id in Shoppex' published example.
pub const DELIVERY_ID: &str = "whd_abc123";

/// One provider under one of its settings, and one of the signatures that it then accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Elective,
    /// V1 where V2 is accepted too.
    ShoppexV1,
    /// V2 where V1 is accepted too.
    ShoppexV2,
    /// V2 under `SHOPPEX_REQUIRE_V2=true`.
    ShoppexOnlyV2,
    EtailDepot,
    OpteriusWithout,
    OpteriusEmpty,
    W3blockHex,
    W3blockBase64,
}

pub const ALL: &[Mode] = &[
    Elective,
    ShoppexV1,
    ShoppexV2,
    ShoppexOnlyV2,
    EtailDepot,
    OpteriusWithout,
    OpteriusEmpty,
    W3blockHex,
    W3blockBase64,
];

impl Mode {
    /// The provider's name, the setting's value, and the position of the scheme that signs.
    fn facts(self) -> (&'static str, Option<&'static str>, usize) {
        match self {
            Elective => ("elective", None, 0),
            ShoppexV1 => ("shoppex", None, 1),
            ShoppexV2 => ("shoppex", Some("false"), 0),
            ShoppexOnlyV2 => ("shoppex", Some("true"), 0),
            EtailDepot => ("etaildepot", None, 0),
            OpteriusWithout => ("opterius", None, 0),
            OpteriusEmpty => ("opterius", Some("empty"), 0),
            W3blockHex | W3blockBase64 => ("w3block", None, 0),
        }
    }

    pub fn verifier(self) -> Verifier {
        let (provider, value, _) = self.facts();
        let provider = Provider::named(provider).expect("a provider of this name");
        Verifier::new(provider, |name| value.filter(|_| name == provider.setting).map(str::to_owned))
            .expect("a value that the setting has")
    }

    pub fn scheme(self) -> &'static Scheme {
        &self.verifier().schemes()[self.facts().2]
    }

    /// A small readable body, as (member, raw JSON) in the provider's order.
    pub fn envelope(self) -> Envelope {
        Envelope(match self {
            Elective => vec![
                ("id", r#""evt_1""#.into()),
                ("event", r#""order.paid""#.into()),
                ("created_at", "1736611200".into()),
                (
                    "data",
                    r#"{"orderId":"8f3e","total":5500,"currency":"USD","customer_id":"c1","note":"hello"}"#.into(),
                ),
            ],
            ShoppexV1 | ShoppexV2 | ShoppexOnlyV2 => vec![
                ("event", r#""order:paid""#.into()),
                (
                    "data",
                    r#"{"uniqid":"8f3e","total":49.99,"currency":"USD","customer_id":"c1","note":"hello"}"#.into(),
                ),
                ("created_at", "1705318200".into()),
            ],
            EtailDepot => vec![
                ("id", r#""evt_1""#.into()),
                ("type", r#""payment.succeeded""#.into()),
                ("created", "1640995200".into()),
                (
                    "data",
                    r#"{"object":{"id":"8f3e","amount":10000,"currency":"USD","customer":{"id":"c1"},"note":"hello"}}"#
                        .into(),
                ),
            ],
            OpteriusWithout | OpteriusEmpty => vec![
                ("event", r#""invoice.paid""#.into()),
                ("timestamp", r#""2026-04-15T14:22:30Z""#.into()),
                ("signature", r#""""#.into()),
                ("data", r#"{"id":305,"total":2200,"currency_code":"USD","client_id":42,"note":"hello"}"#.into()),
            ],
            W3blockHex | W3blockBase64 => vec![
                ("data", r#"{"id":"8f3e","userId":"c1","currencyAmount":"1.2","note":"hello"}"#.into()),
                ("event", r#""order.created""#.into()),
                ("timestamp", "1666201874688".into()),
            ],
        })
    }

    /// The member that names the event.
    pub fn name_member(self) -> &'static str {
        if self == EtailDepot { "type" } else { "event" }
    }

    /// The member that tells the time.
    pub fn time_member(self) -> &'static str {
        match self {
            Elective | ShoppexV1 | ShoppexV2 | ShoppexOnlyV2 => "created_at",
            EtailDepot => "created",
            OpteriusWithout | OpteriusEmpty | W3blockHex | W3blockBase64 => "timestamp",
        }
    }

    /// `payload` where the provider keeps what the event is about.
    pub fn data(self, payload: &str) -> String {
        if self == EtailDepot { format!(r#"{{"object":{payload}}}"#) } else { payload.to_owned() }
    }

    /// The text around the MAC, where the signature stands.
    fn prefix(self) -> String {
        match (self.scheme().layout, self.scheme().encoding) {
            (Layout::StampedHeader { .. }, _) => format!("v1,t={NOW},h="),
            (_, Encoding::PrefixedHex(prefix)) => prefix.to_owned(),
            _ => String::new(),
        }
    }

    fn spell(self, mac: &[u8]) -> String {
        if self == W3blockBase64 { BASE64.encode(mac) } else { hex::encode(mac) }
    }
}

/// The members of a body, each as raw JSON.
#[derive(Clone)]
pub struct Envelope(Vec<(&'static str, String)>);

impl Envelope {
    /// Gives the member this value; a new member stands at the end.
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = value.into(),
            None => self.0.push((name, value.into())),
        }
        self
    }

    /// Adds the member even where there is one of its name.
    pub fn and(mut self, name: &'static str, value: &str) -> Self {
        self.0.push((name, value.to_owned()));
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        self.0.retain(|(known, _)| *known != name);
        self
    }

    pub fn text(&self) -> String {
        let members: Vec<_> = self.0.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        format!("{{{}}}", members.join(","))
    }

    /// The values alone, as the array that a reader of positions would take for the same.
    pub fn array(&self) -> String {
        let values: Vec<_> = self.0.iter().map(|(_, value)| &value[..]).collect();
        format!("[{}]", values.join(","))
    }
}

/// What became of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Authentic by the secret at this position, and readable.
    Read(usize),
    Rejected(Rejection),
    /// Authentic, and not what the provider documents.
    Unreadable(Unreadable),
}

/// A delivery to the account `default`.
#[derive(Clone)]
pub struct Post {
    pub mode: Mode,
    pub headers: Vec<(&'static str, Vec<u8>)>,
    pub body: Vec<u8>,
    account: &'static str,
    secrets: String,
}

impl Post {
    /// What the provider would send.
    pub fn signed(mode: Mode, body: impl AsRef<[u8]>) -> Self {
        Self::signed_with(mode, mode.scheme(), CURRENT, body)
    }

    pub fn signed_by(mode: Mode, secret: &str, body: impl AsRef<[u8]>) -> Self {
        Self::signed_with(mode, mode.scheme(), secret, body)
    }

    pub fn signed_with(mode: Mode, scheme: &Scheme, secret: &str, body: impl AsRef<[u8]>) -> Self {
        let signed = sender::sign(scheme, secret.as_bytes(), body.as_ref(), (DELIVERY_ID, NOW));
        let headers = signed.headers.into_iter().map(|(name, value)| (name, value.into_bytes())).collect();
        let post = Self::unsigned(mode, signed.body).carrying(headers);
        // The sender knows hex only.
        if mode == W3blockBase64 { post.edit(|hex| BASE64.encode(hex::decode(hex).unwrap())) } else { post }
    }

    pub fn unsigned(mode: Mode, body: impl Into<Vec<u8>>) -> Self {
        let secrets = format!(r#"{{"default":["{CURRENT}","{PREVIOUS}"],"eu-shop":"{EU_SHOP}"}}"#);
        Post { mode, headers: Vec::new(), body: body.into(), account: "default", secrets }
    }

    /// A V2 delivery with any delivery id and timestamp, rightly signed.
    pub fn stamped(mode: Mode, id: &str, timestamp: &str) -> Self {
        let body = mode.envelope().text();
        let tag = hmac_sha256(CURRENT, &format!("{id}.{timestamp}.{body}"));
        Self::unsigned(mode, body).carrying(vec![
            ("x-shoppex-signature-v2", format!("v1,t={timestamp},h={tag}").into()),
            ("x-shoppex-delivery", id.into()),
            ("x-shoppex-timestamp", timestamp.into()),
        ])
    }

    /// An Opterius body, rightly signed; `@` stands for the signature, in a member that is not the first.
    pub fn signed_text(mode: Mode, sent: &str) -> Self {
        let signed = match mode {
            OpteriusWithout => sent.replace(r#","signature":"@""#, ""),
            _ => sent.replace('@', ""),
        };
        Self::unsigned(mode, sent.replace('@', &format!("sha256={}", hmac_sha256(CURRENT, &signed))))
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

    pub fn secrets(self, secrets: impl Into<String>) -> Self {
        Post { secrets: secrets.into(), ..self }
    }

    /// The name of the header that holds the signature; none where the body does.
    pub fn signature_header(mode: Mode) -> Option<&'static str> {
        match mode.scheme().layout {
            Layout::Header(name) | Layout::StampedHeader { signature: name, .. } => Some(name),
            Layout::Member(..) => None,
        }
    }

    /// The signature, with all that its header or member holds.
    pub fn signature(&self) -> String {
        let mut post = self.clone();
        let place = post.place();
        String::from_utf8(post.carrier()[place].to_vec()).unwrap()
    }

    /// Changes the signature's text.
    pub fn edit(mut self, change: impl FnOnce(&str) -> String) -> Self {
        let changed = change(&self.signature());
        let place = self.place();
        self.carrier().splice(place, changed.into_bytes());
        self
    }

    /// The same signature in upper-case hex digits; base64 stays as it is.
    pub fn upper_case(self) -> Self {
        if self.mode == W3blockBase64 {
            return self;
        }
        self.edit(|text| {
            let (prefix, hex) = text.split_at(text.rfind('=').map_or(0, |at| at + 1));
            prefix.to_owned() + &hex.to_ascii_uppercase()
        })
    }

    /// Changes the MAC, and spells it as before.
    pub fn edit_mac(self, change: impl FnOnce(&mut Vec<u8>)) -> Self {
        let mode = self.mode;
        self.edit(|text| {
            let prefix = mode.prefix();
            let spelled = text.strip_prefix(&prefix).unwrap();
            let decoded = if mode == W3blockBase64 { BASE64.decode(spelled).ok() } else { hex::decode(spelled).ok() };
            let mut mac = decoded.unwrap();
            change(&mut mac);
            prefix + &mode.spell(&mac)
        })
    }

    /// The header's value or the body, whichever holds the signature.
    fn carrier(&mut self) -> &mut Vec<u8> {
        match Self::signature_header(self.mode) {
            Some(name) => &mut self.headers.iter_mut().find(|(known, _)| *known == name).unwrap().1,
            None => &mut self.body,
        }
    }

    /// Where in it the signature stands.
    fn place(&mut self) -> std::ops::Range<usize> {
        let in_body = Self::signature_header(self.mode).is_none();
        let text = self.carrier();
        if in_body {
            const KEY: &[u8] = b"\"signature\":\"";
            let start = text.windows(KEY.len()).position(|window| window == KEY).unwrap() + KEY.len();
            start..start + text[start..].iter().position(|&byte| byte == b'"').unwrap()
        } else {
            0..text.len()
        }
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
        look(self.mode.verifier().authenticate(&delivery, &Secrets::parse(&self.secrets).unwrap()))
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
            let Reading { event, time, key, content } = result.ok().unwrap().read().unwrap();
            Reading { event: event.into_owned(), time, key, content }
        })
    }
}

/// Hex HMAC-SHA256 by other means than the crate's own.
pub fn hmac_sha256(secret: &str, text: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(text.as_bytes());
    hex::encode(mac.finalize().into_bytes())
}
