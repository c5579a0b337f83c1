//! The signing secrets of one provider, per account. An empty or missing secret never means "accept".

use std::{collections::BTreeMap, fmt};

use serde_json::Value;

use crate::Account;

/// The live secrets of one provider: for each account one or more, so that a rotation needs no pause.
#[derive(Clone)]
pub struct Secrets(BTreeMap<Account, Vec<Vec<u8>>>);

/// Why a text holds no usable secrets. Says where, never what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretsError {
    /// Not JSON of one of the three forms.
    Form,
    /// No account at all.
    NoAccount,
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
    /// See [`SecretsError`]. What cannot be read never leads to an account without a secret.
    pub fn parse(text: &str) -> Result<Self, SecretsError> {
        let value = match text.trim_start().as_bytes().first() {
            Some(b'{' | b'[' | b'"') => serde_json::from_str(text).map_err(|_| SecretsError::Form)?,
            _ => Value::from(text.trim()),
        };
        let accounts = match value {
            Value::Object(accounts) => accounts
                .into_iter()
                .map(|(name, list)| Ok((Account::parse(&name).ok_or(SecretsError::AccountName)?, list)))
                .collect::<Result<BTreeMap<_, _>, _>>()?,
            bare => BTreeMap::from([(Account::default(), bare)]),
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
                        Value::String(secret) if secret.is_empty() => Err(SecretsError::EmptySecret(account.clone())),
                        Value::String(secret) => Ok(secret.into_bytes()),
                        _ => Err(SecretsError::Form),
                    })
                    .collect::<Result<_, _>>()?;
                Ok((account, secrets))
            })
            .collect::<Result<_, _>>()
            .map(Secrets)
    }

    /// The account's live secrets, current first. Empty for an unknown account, which no signature can match.
    pub(crate) fn of(&self, account: &Account) -> &[Vec<u8>] {
        self.0.get(account).map_or(&[], Vec::as_slice)
    }

    /// The account's current secret, to sign as the provider would. None for an unknown account.
    #[must_use]
    pub fn current(&self, account: &Account) -> Option<&[u8]> {
        self.of(account).first().map(Vec::as_slice)
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.0.iter().map(|(account, list)| (account, format!("{} secret(s)", list.len()))))
            .finish()
    }
}

impl fmt::Display for SecretsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form => {
                f.write_str(r#"not of the form {"default": ["current", "previous"]}, nor a bare string or list"#)
            }
            Self::NoAccount => f.write_str(r#"names no account: add "default""#),
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
        secrets.of(&Account::parse(account).unwrap()).iter().map(|s| String::from_utf8(s.clone()).unwrap()).collect()
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
            ("[null]", SecretsError::Form),
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
        let text = format!("{:?}", Secrets::parse(r#"{"default":["s3cr3t"]}"#).unwrap());
        assert!(text.contains("1 secret") && !text.contains("s3cr3t"), "{text}");
    }
}
