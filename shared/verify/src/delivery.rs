//! A delivery as it came over HTTP, not verified yet.

use std::fmt;

use http::HeaderMap;
use time::OffsetDateTime;

/// One POST from the internet. Nothing in it can be trusted yet.
#[derive(Clone)]
pub struct Delivery {
    /// All headers of the request. Keep repeated ones: a repeated signature header is a rejection.
    pub headers: HeaderMap,
    /// The body's exact bytes: what the sender signed, decoded from base64 at most once. Of any length; Lambda hands over
    /// [at most 6 MB](https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html).
    pub body: Vec<u8>,
    /// Which of your shops on the platform it is addressed to: only that one's secrets are tried. [`Account::default`] if you
    /// have one shop.
    pub account: Account,
    /// When it was received, by your clock: what signed timestamps are compared with. `SystemTime::now().into()`.
    pub received: OffsetDateTime,
}

/// One of several shops on the same platform, named by the webhook's address: `[a-z0-9-]{1,64}`, 1 to 64 bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Account(String);

impl fmt::Debug for Delivery {
    // Without headers and body, which hold signatures and personal data: this may get into a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Delivery of {} headers and {} bytes to {}", self.headers.len(), self.body.len(), self.account)
    }
}

impl Account {
    /// The account's name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// None if `name` is not of the form `[a-z0-9-]{1,64}`.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        ((1..=64).contains(&name.len()) && name.bytes().all(legal)).then(|| Account(name.to_owned()))
    }
}

impl Default for Account {
    /// The account of `/webhooks/{provider}`: `default`.
    fn default() -> Self {
        Account("default".to_owned())
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::Account;

    #[test]
    fn an_account_is_a_short_plain_name() {
        for good in ["default", "eu-shop", "7", &"a".repeat(64)] {
            assert_eq!(Account::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", "EU", "a b", "a/b", "a#b", "ü", "a_b", &"a".repeat(65)] {
            assert_eq!(Account::parse(bad), None, "{bad}");
        }
    }
}
