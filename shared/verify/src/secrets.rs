//! The signing secrets of one provider, per account. An empty or missing secret never means "accept".

use std::{collections::BTreeMap, fmt};

use serde_json::Value;

use crate::{
    Account,
    json::{self, Object},
    scheme::Key,
};

/// The live secrets of one provider: for each account one or more, so that a rotation needs no pause.
#[derive(Clone)]
pub struct Secrets(BTreeMap<Account, Vec<Secret>>);

/// One signing secret, ready for use.
#[derive(Clone)]
pub struct Secret {
    bytes: Vec<u8>,
    key: Key,
}

/// Why a text holds no usable secrets. Says where, never what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretsError {
    /// Not JSON of one of the three forms.
    Form,
    /// No account at all.
    NoAccount,
    /// Two accounts have one name.
    RepeatedAccount,
    /// An account's name is not `[a-z0-9-]{1,64}`.
    AccountName,
    /// This account has an empty list.
    NoSecret(Account),
    /// This account has an empty secret.
    EmptySecret(Account),
}

impl Secrets {
    /// Reads `{"default": ["current", "previous"], "eu-shop": ["…"]}`; a bare JSON string or list, or a text that is
    /// not JSON at all, is the secret of the account `default`.
    ///
    /// # Errors
    /// The first [`SecretsError`] that is found. What cannot be read never leads to an account without a secret.
    pub fn parse(text: &str) -> Result<Self, SecretsError> {
        // An editor's byte order mark would make JSON one long secret, which no signature matches.
        if text.starts_with('\u{feff}') {
            return Err(SecretsError::Form);
        }
        let json = |text: &str| serde_json::from_str::<Value>(text).map_err(|_| SecretsError::Form);
        let accounts = match text.trim_start().as_bytes().first() {
            Some(b'{') => {
                let accounts = Object::strict(text).map_err(|trouble| match trouble {
                    json::Trouble::DuplicateKey => SecretsError::RepeatedAccount,
                    json::Trouble::NotJson | json::Trouble::NotAnObject => SecretsError::Form,
                })?;
                let account = |name: &str| Account::parse(name).ok_or(SecretsError::AccountName);
                let accounts = accounts.members().map(|(name, list)| Ok((account(name)?, json(list.get())?)));
                accounts.collect::<Result<_, _>>()?
            }
            Some(b'[' | b'"') => BTreeMap::from([(Account::default(), json(text)?)]),
            _ => BTreeMap::from([(Account::default(), Value::from(text.trim()))]),
        };
        if accounts.is_empty() {
            return Err(SecretsError::NoAccount);
        }
        accounts
            .into_iter()
            .map(|(account, list)| {
                let list = match list {
                    Value::Array(list) => list,
                    single => vec![single],
                };
                if list.is_empty() {
                    return Err(SecretsError::NoSecret(account));
                }
                let secrets = list
                    .into_iter()
                    .map(|secret| match secret {
                        Value::String(secret) if is_empty(&secret) => Err(SecretsError::EmptySecret(account.clone())),
                        Value::String(secret) => {
                            Ok(Secret { key: Key::new(secret.as_bytes()), bytes: secret.into_bytes() })
                        }
                        _ => Err(SecretsError::Form),
                    })
                    .collect::<Result<_, _>>()?;
                Ok((account, secrets))
            })
            .collect::<Result<_, _>>()
            .map(Secrets)
    }

    /// The account's live secrets, current first. Empty for an unknown account, which no signature can match.
    #[must_use]
    pub fn of(&self, account: &Account) -> &[Secret] {
        self.0.get(account).map_or(&[], Vec::as_slice)
    }

    /// The accounts that have secrets.
    pub fn accounts(&self) -> impl Iterator<Item = &Account> {
        self.0.keys()
    }

    /// The account's current secret, to sign as the provider would. None for an unknown account.
    #[must_use]
    pub fn current(&self, account: &Account) -> Option<&[u8]> {
        self.of(account).first().map(Secret::as_bytes)
    }
}

impl Secret {
    /// The secret itself, as it was given to the provider or by it.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn key(&self) -> &Key {
        &self.key
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// White space is no secret. Nor are NULs: HMAC fills a key up with them, so they are the empty key.
fn is_empty(secret: &str) -> bool {
    secret.chars().all(|c| c.is_whitespace() || c == '\0')
}

impl fmt::Debug for Secrets {
    // Not even the accounts' names: a secret may have been put where a name belongs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets of {} account(s)", self.0.len())
    }
}

impl fmt::Display for SecretsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form => {
                f.write_str(r#"not of the form {"default": ["current", "previous"]}, nor a bare string or list"#)
            }
            Self::NoAccount => f.write_str(r#"names no account: add "default""#),
            Self::RepeatedAccount => f.write_str("names one account twice: give it one list of secrets"),
            Self::AccountName => f.write_str("an account's name is not of the form [a-z0-9-]{1,64}"),
            Self::NoSecret(account) => write!(f, "account \"{account}\" has no secret: add one or remove the account"),
            Self::EmptySecret(account) => {
                write!(f, "account \"{account}\" has an empty secret: fill it in or remove it")
            }
        }
    }
}

impl std::error::Error for SecretsError {}

#[cfg(test)]
mod tests {
    use super::{Secrets, SecretsError};
    use crate::Account;

    fn of(text: &str, account: &str) -> Vec<String> {
        let secrets = Secrets::parse(text).unwrap();
        secrets
            .of(&Account::parse(account).unwrap())
            .iter()
            .map(|s| str::from_utf8(s.as_bytes()).unwrap().to_owned())
            .collect()
    }

    #[test]
    fn every_form_is_read() {
        assert_eq!(of(r#"{"default":["new","old"],"eu-shop":"x"}"#, "default"), ["new", "old"]);
        assert_eq!(of(r#"{"default":["new","old"],"eu-shop":"x"}"#, "eu-shop"), ["x"]);
        assert_eq!(of(r#"["new","old"]"#, "default"), ["new", "old"]);
        assert_eq!(of(r#""whsec_a""#, "default"), ["whsec_a"]);
        assert_eq!(of("whsec_a\n", "default"), ["whsec_a"]);
        assert_eq!(of(r#"["x"]"#, "eu-shop"), [""; 0]);
    }

    #[test]
    fn nothing_unusable_is_read() {
        let default = Account::default;
        for (text, error) in [
            ("", SecretsError::EmptySecret(default())),
            (" \n", SecretsError::EmptySecret(default())),
            ("\"\"", SecretsError::EmptySecret(default())),
            ("[]", SecretsError::NoSecret(default())),
            ("[\"\"]", SecretsError::EmptySecret(default())),
            ("[\"a\",\"\"]", SecretsError::EmptySecret(default())),
            (r#"["\u0000"]"#, SecretsError::EmptySecret(default())),
            (r#"[" \n"]"#, SecretsError::EmptySecret(default())),
            (r#"{"default":"a","default":"b"}"#, SecretsError::RepeatedAccount),
            ("[null]", SecretsError::Form),
            ("\u{feff}[\"s3cr3t\"]", SecretsError::Form),
            ("[\"a\",7]", SecretsError::Form),
            ("{}", SecretsError::NoAccount),
            ("{\"default\":null}", SecretsError::Form),
            ("{\"default\":{}}", SecretsError::Form),
            ("{\"default\":[]}", SecretsError::NoSecret(default())),
            ("{\"Default\":[\"a\"]}", SecretsError::AccountName),
            ("{\"default\":[\"s3cr3t\"]", SecretsError::Form),
        ] {
            let got = Secrets::parse(text).unwrap_err();
            assert_eq!(got, error, "{text}");
            assert!(!format!("{got} {got:?}").contains("s3cr3t"));
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let secrets = Secrets::parse(r#"{"default":["s3cr3t"]}"#).unwrap();
        let text = format!("{secrets:?} {:?}", secrets.of(&Account::default()));
        assert_eq!(text, "Secrets of 1 account(s) [Secret]");
    }
}
