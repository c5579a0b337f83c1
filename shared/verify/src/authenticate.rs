//! Verifies who sent a delivery.

use std::fmt;

use http::{HeaderValue, header::CONTENT_TYPE};
use time::OffsetDateTime;

use crate::{
    Account, Delivery, Provider, Reading, Scheme, Secrets, Unreadable, providers::Ping, reading, scheme::Claimed,
};

/// Decides whether a delivery comes from its provider: the provider, with its settings applied.
#[derive(Debug, Clone, Copy)]
pub struct Verifier {
    provider: &'static Provider,
    schemes: &'static [Scheme],
}

/// Proof that the provider sent this delivery. In a function only [`Verifier::authenticate`] makes one; the operator's
/// command has a second way, named for what it is.
pub struct Authenticated<'d> {
    provider: &'static Provider,
    delivery: &'d Delivery,
    scheme: &'static str,
    secret: usize,
    id: Option<&'d str>,
    body: [&'d [u8]; 2],
}

/// Why a delivery is not authentic. For your log: the sender is told nothing, and gets the same answer for every reason
/// ([`Provider::rejected_status`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejection {
    /// No signature.
    Missing,
    /// A header or member that must occur once occurs twice.
    Repeated,
    /// The signature, or a header that belongs to it, does not have the provider's form.
    Malformed,
    /// No live secret of the account made this signature over this content.
    Mismatch,
    /// The signature is right, but its timestamp differs from the time received by more than the scheme's tolerance (in
    /// seconds): a replay, or a wrong clock.
    Expired,
    /// There is no such account.
    UnknownAccount,
    /// A request that is not a webhook: its headers say that the platform expects another answer, and a 2xx could do harm. See
    /// the platform's page.
    NotAWebhook,
}

/// A provider's setting has an unknown value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingError {
    /// The environment variable.
    pub name: &'static str,
    /// The known values.
    pub allowed: Vec<&'static str>,
}

impl Verifier {
    /// Applies the provider's setting, if it has one: [`Provider::setting`] names an environment variable, and `setting` looks
    /// it up. `|name| std::env::var(name).ok()` does; `|_| None` leaves every provider at its default.
    ///
    /// # Errors
    /// [`SettingError`]: the variable is set to an unknown value.
    pub fn new(provider: &'static Provider, setting: impl Fn(&str) -> Option<String>) -> Result<Self, SettingError> {
        let (name, modes) = (provider.setting, provider.modes);
        let chosen = match name.and_then(setting) {
            None => modes.first(),
            Some(value) => modes.iter().find(|(known, _)| *known == value),
        };
        let (_, schemes) = chosen.ok_or_else(|| SettingError {
            name: name.unwrap_or_default(),
            allowed: modes.iter().map(|(value, _)| *value).collect(),
        })?;
        Ok(Verifier { provider, schemes })
    }

    /// The provider whose deliveries this verifies.
    #[must_use]
    pub fn provider(&self) -> &'static Provider {
        self.provider
    }

    /// The accepted schemes, in the order in which they are tried.
    #[must_use]
    pub fn schemes(&self) -> &'static [Scheme] {
        self.schemes
    }

    /// Whether this is the request by which the provider tests an address. It proves nothing: answer 200, and do nothing else.
    #[must_use]
    pub fn is_ping(&self, delivery: &Delivery) -> bool {
        let Some(Ping { field }) = self.provider.deliveries.ping else { return false };
        let is_form = |value: &HeaderValue| {
            let media_type = value.as_bytes().split(|&byte| byte == b';').next().unwrap_or_default();
            media_type.trim_ascii().eq_ignore_ascii_case(b"application/x-www-form-urlencoded")
        };
        let mut types = delivery.headers.get_all(CONTENT_TYPE).iter();
        let is_form = types.next().is_some_and(is_form) && types.next().is_none();
        let digits = delivery.body.strip_prefix(field.as_bytes()).and_then(|rest| rest.strip_prefix(b"="));
        let is_number = |digits: &[u8]| (1..=20).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
        let is_signed =
            || self.provider.schemes().flat_map(Scheme::headers).any(|name| delivery.headers.contains_key(name));
        is_form && digits.is_some_and(is_number) && !is_signed()
    }

    /// Proves that the provider sent this delivery.
    ///
    /// The first scheme whose signature is there decides alone: a delivery whose newer signature is wrong is not given
    /// a second chance with an older one.
    ///
    /// # Errors
    /// The [`Rejection`] says why it is not proved, and quotes nothing of the delivery or of a secret.
    pub fn authenticate<'d>(&self, delivery: &'d Delivery, secrets: &Secrets) -> Result<Authenticated<'d>, Rejection> {
        let provider = self.provider;
        if provider.deliveries.not_a_webhook.iter().any(|header| delivery.headers.contains_key(*header)) {
            return Err(Rejection::NotAWebhook);
        }
        let secrets = secrets.of(&delivery.account);
        if secrets.is_empty() {
            return Err(Rejection::UnknownAccount);
        }
        for scheme in self.schemes {
            if let Some(claimed) = scheme.find(delivery)? {
                let secret = scheme.matching(secrets, &claimed).ok_or(Rejection::Mismatch)?;
                let Claimed { id, seconds, body, .. } = claimed;
                if let Some((seconds, tolerance)) = seconds {
                    let now = delivery.received.unix_timestamp();
                    if i128::from(now).abs_diff(i128::from(seconds)) > u128::from(tolerance) {
                        return Err(Rejection::Expired);
                    }
                }
                return Ok(Authenticated { provider, delivery, scheme: scheme.name, secret, id, body });
            }
        }
        Err(Rejection::Missing)
    }

    /// Trusts an operator that the provider sent this delivery. Nothing is checked: it comes from quarantine, which takes only
    /// verified deliveries and keeps no signatures.
    #[cfg(feature = "release")]
    #[must_use]
    pub fn vouched_for_by_operator<'d>(&self, delivery: &'d Delivery) -> Authenticated<'d> {
        use crate::providers::Identity;

        let body = self.schemes.iter().find_map(|scheme| scheme.signed_body(&delivery.body));
        let body = body.unwrap_or([&delivery.body[..], b""]);
        let id = match self.provider.identity {
            Identity::SignedHeader => self
                .schemes
                .iter()
                .find_map(|scheme| delivery.headers.get(scheme.id_header()?).and_then(|value| value.to_str().ok())),
            Identity::Id(_) | Identity::Together(_) | Identity::Content => None,
        };
        Authenticated { provider: self.provider, delivery, scheme: "vouched for", secret: 0, id, body }
    }
}

impl<'d> Authenticated<'d> {
    /// The provider that sent it.
    #[must_use]
    pub fn provider(&self) -> &'static Provider {
        self.provider
    }

    /// The whole delivery. Its headers are not covered by the signature; its body is.
    #[must_use]
    pub fn delivery(&self) -> &'d Delivery {
        self.delivery
    }

    /// The account whose secret matched.
    #[must_use]
    pub fn account(&self) -> &'d Account {
        &self.delivery.account
    }

    /// When it was received.
    #[must_use]
    pub fn received(&self) -> OffsetDateTime {
        self.delivery.received
    }

    /// The name of the scheme that decided.
    #[must_use]
    pub fn scheme(&self) -> &'static str {
        self.scheme
    }

    /// The position of the secret that matched: 0 is the account's current one.
    #[must_use]
    pub fn secret(&self) -> usize {
        self.secret
    }

    /// The provider's id of this delivery, where the signature covers it.
    #[must_use]
    pub fn delivery_id(&self) -> Option<&'d str> {
        self.id
    }

    /// The event's name if the platform puts it into a header that it does **not** sign. None if the name is in the body, or
    /// if the header is missing, repeated, or not 1 to 256 visible ASCII characters without a comma, which joins two headers.
    #[must_use]
    pub fn unsigned_name(&self) -> Option<&'d str> {
        let mut values = self.delivery.headers.get_all(self.provider.fields.name.unsigned_header()?).iter();
        let name = values.next().filter(|_| values.next().is_none())?.to_str().ok()?;
        let is_legal = |byte: u8| byte.is_ascii_graphic() && byte != b',';
        (reading::is_short(name) && name.bytes().all(is_legal)).then_some(name)
    }

    /// Hex SHA-256 of this delivery's content: over the signed part of the body, so that a redelivery has the same one even if
    /// unsigned parts differ (another spelling or place of the signature). A platform that does not sign its event names may
    /// send the same bytes under several names: there it is over the JSON array of the name and the body's SHA-256,
    /// `["orders/paid","9f86…"]`.
    #[must_use]
    pub fn digest(&self) -> String {
        let body = reading::digest(self.body);
        let Some(name) = self.unsigned_name() else { return body };
        reading::digest([serde_json::json!([name, body]).to_string().as_bytes()])
    }

    /// Reads the body into the normalised event.
    ///
    /// # Errors
    /// [`Unreadable`]: how the signed body differs from the provider's documentation. Put such a delivery into quarantine.
    pub fn read(&self) -> Result<Reading<'d>, Unreadable> {
        reading::read(self)
    }
}

impl Rejection {
    /// The reason's name in logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "signature_missing",
            Self::Repeated => "signature_repeated",
            Self::Malformed => "signature_malformed",
            Self::Mismatch => "signature_mismatch",
            Self::Expired => "timestamp_expired",
            Self::UnknownAccount => "unknown_account",
            Self::NotAWebhook => "not_a_webhook",
        }
    }
}

impl fmt::Debug for Authenticated<'_> {
    // Who sent it and how that was proved, without its content: this may get into a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Authenticated { provider, scheme, secret, .. } = self;
        write!(f, "Authenticated by {provider:?} with scheme {scheme} and secret {secret}")
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::error::Error for Rejection {}

impl fmt::Display for SettingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} must be one of: {}", self.name, self.allowed.join(", "))
    }
}

impl std::error::Error for SettingError {}
