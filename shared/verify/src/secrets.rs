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

/// Why a text holds no usable secrets. Never quotes the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretsError {
    /// Not JSON of one of the three forms.
    Form,
    /// In another format, which would have been taken for one long secret. Names the format.
    Looks(&'static str),
    /// No account at all.
    NoAccount,
    /// Two accounts have the same name.
    RepeatedAccount,
    /// An account's name is not `[a-z0-9-]{1,64}`.
    AccountName,
    /// This account has an empty list.
    NoSecret(Account),
    /// This account has an empty secret.
    EmptySecret(Account),
    /// This account has a secret with white space at an end, or with an invisible character.
    Hidden(Account),
    /// These two accounts share a secret. The address is not signed: a delivery to one could be replayed to the other.
    Shared(Account, Account),
}

impl Secrets {
    /// Reads `{"default": ["current", "previous"], "eu-shop": ["…"]}`; a bare JSON string or list, or one token that is not
    /// JSON at all, is the secret of the account `default`.
    ///
    /// # Errors
    /// The first [`SecretsError`] that is found. An unreadable text never results in an account without a secret.
    pub fn parse(text: &str) -> Result<Self, SecretsError> {
        // An editor's byte order mark would make JSON one long secret, which no signature matches.
        if text.starts_with('\u{feff}') {
            return Err(SecretsError::Looks("text with a byte order mark"));
        }
        let token = text.trim_ascii();
        if !token.starts_with(['{', '[', '"']) {
            if let Some(what) = looks_like(token) {
                return Err(SecretsError::Looks(what));
            }
            if !is_empty(token) && token.chars().any(is_hidden) {
                return Err(SecretsError::Hidden(Account::default()));
            }
        }
        let secrets = Self::as_given(token)?;
        let mut owners = BTreeMap::new();
        for (account, bytes) in secrets.each() {
            let secret = str::from_utf8(bytes).unwrap_or_default();
            if is_json(secret) {
                return Err(SecretsError::Looks("JSON inside a JSON string"));
            }
            if secret.trim() != secret || secret.chars().any(is_hidden) {
                return Err(SecretsError::Hidden(account.clone()));
            }
            if let Some(other) = owners.insert(bytes, account).filter(|other| *other != account) {
                return Err(SecretsError::Shared(other.clone(), account.clone()));
            }
        }
        Ok(secrets)
    }

    /// The same for tools that explain what is wrong with a secret: it may have white space or quotes around it, or invisible
    /// characters, and two accounts may share it.
    ///
    /// # Errors
    /// As for [`parse`](Self::parse), except for these faults.
    #[doc(hidden)]
    pub fn as_given(text: &str) -> Result<Self, SecretsError> {
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
                if accounts.members().any(|(name, _)| name == "SecretString") {
                    return Err(SecretsError::Looks("what get-secret-value prints: give its SecretString alone"));
                }
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

    fn each(&self) -> impl Iterator<Item = (&Account, &[u8])> {
        self.0.iter().flat_map(|(account, list)| list.iter().map(move |secret| (account, secret.as_bytes())))
    }

    /// The account's live secrets, current first. Empty for an unknown account: no signature matches then.
    #[must_use]
    pub fn of(&self, account: &Account) -> &[Secret] {
        self.0.get(account).map_or(&[], Vec::as_slice)
    }

    /// The accounts that have secrets.
    pub fn accounts(&self) -> impl Iterator<Item = &Account> {
        self.0.keys()
    }

    /// The account's current secret, for signing as the provider would. None for an unknown account.
    #[must_use]
    pub fn current(&self, account: &Account) -> Option<&[u8]> {
        self.of(account).first().map(Secret::as_bytes)
    }
}

impl Secret {
    /// The secret's bytes, as the provider has them.
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

/// White space is not a secret. Neither are NULs: HMAC pads a key with them, so they are the same as an empty key.
fn is_empty(secret: &str) -> bool {
    secret.chars().all(|c| c.is_whitespace() || c == '\0')
}

/// The format of a text that is neither JSON nor a secret.
fn looks_like(text: &str) -> Option<&'static str> {
    let assigns = |line: &str| {
        let (name, value) = line.strip_prefix("export ").unwrap_or(line).split_once('=')?;
        let is_name = !name.is_empty() && name.trim().bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        // Base64 may end with one or two of them.
        (is_name && !value.trim_matches('=').is_empty()).then_some(())
    };
    let maps = |line: &str| line.starts_with("- ") || line == "---" || line.contains(": ") || line.ends_with(':');
    let mut lines = text.lines().map(str::trim);
    Some(match text {
        _ if text.contains("-----BEGIN ") => "a PEM file",
        _ if lines.clone().any(|line| assigns(line).is_some()) => "a .env file",
        _ if lines.any(maps) => "YAML",
        _ if text.contains(|c: char| c.is_ascii_whitespace()) => "text of several words",
        _ if text.starts_with('<') || text.starts_with("${") => "a placeholder",
        _ if text.starts_with("arn:") => "the ARN of a secret",
        _ if text.starts_with(['\'', '`', '‘', '“']) => "a quoted string, but not in JSON's quotes",
        "null" | "true" | "false" => "a JSON value that is no string",
        _ => return None,
    })
}

fn is_json(secret: &str) -> bool {
    secret.trim_start().starts_with(['{', '[', '"']) && serde_json::from_str::<serde::de::IgnoredAny>(secret).is_ok()
}

/// Control characters, white space except the plain space, and characters without width, which get in when a secret is copied
/// from a page.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || (c.is_whitespace() && c != ' ')
        || matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

impl fmt::Debug for Secrets {
    // Not even the accounts' names: one could be a secret in the wrong place.
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
            Self::Looks(what) => write!(
                f,
                r#"looks like {what}. Give {{"default": ["current", "previous"]}}, or one secret and nothing else"#
            ),
            Self::NoAccount => f.write_str(r#"names no account: add "default""#),
            Self::RepeatedAccount => f.write_str("names one account twice: give it one list of secrets"),
            Self::AccountName => f.write_str("an account's name is not of the form [a-z0-9-]{1,64}"),
            Self::NoSecret(account) => write!(f, "account \"{account}\" has no secret: add one or remove the account"),
            Self::EmptySecret(account) => {
                write!(f, "account \"{account}\" has an empty secret: fill it in or remove it")
            }
            Self::Hidden(account) => write!(
                f,
                "account \"{account}\" has a secret with white space at an end, or with an invisible character: copy it again"
            ),
            Self::Shared(one, other) => write!(
                f,
                "accounts \"{one}\" and \"{other}\" have a secret in common, so that a delivery to one could be replayed to \
                 the other: give each its own"
            ),
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
        let account = |name| Account::parse(name).unwrap();
        let shared = |one, other| SecretsError::Shared(account(one), account(other));
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
            ("\u{feff}[\"s3cr3t\"]", SecretsError::Looks("text with a byte order mark")),
            (r#"["s3cr3t "]"#, SecretsError::Hidden(default())),
            (r#"["s3cr3t\n"]"#, SecretsError::Hidden(default())),
            (r#"["\u0000s3cr3t"]"#, SecretsError::Hidden(default())),
            ("[\"s3cr3t\u{200b}\"]", SecretsError::Hidden(default())),
            ("\"s3c\u{ad}r3t\"", SecretsError::Hidden(default())),
            ("s3cr3t\u{a0}\n", SecretsError::Hidden(default())),
            ("\u{2060}s3cr3t", SecretsError::Hidden(default())),
            ("\u{e0041}s3cr3t", SecretsError::Hidden(default())),
            (r#"{"default":["s3cr3t","a"],"eu-shop":["b","s3cr3t"]}"#, shared("default", "eu-shop")),
            (r#"{"default":"b","x":"a","y":["s3cr3t","a"]}"#, shared("x", "y")),
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
    fn no_other_format_is_taken_for_a_secret() {
        for (text, what) in [
            ("SECRET=s3cr3t", "a .env file"),
            ("# Shop\nexport SHOP_SECRET='s3cr3t'\n", "a .env file"),
            ("default = s3cr3t", "a .env file"),
            ("default: s3cr3t", "YAML"),
            ("default:\n  - s3cr3t\n", "YAML"),
            ("---\n- s3cr3t", "YAML"),
            ("-----BEGIN PUBLIC KEY-----\ns3cr3t==\n", "a PEM file"),
            ("# Hookgate\n\nWebhook intake, s3cr3t", "text of several words"),
            ("s3cr3t s3cr3t", "text of several words"),
            ("new-s3cr3t\nold-s3cr3t", "text of several words"),
            ("<s3cr3t>", "a placeholder"),
            ("${SHOP_S3CR3T}", "a placeholder"),
            ("arn:aws:secretsmanager:us-east-1:123456789012:secret:s3cr3t", "the ARN of a secret"),
            ("'s3cr3t'", "a quoted string, but not in JSON's quotes"),
            ("null", "a JSON value that is no string"),
            (r#""{\"default\": [\"s3cr3t\"]}""#, "JSON inside a JSON string"),
            (r#""[\"s3cr3t\"]""#, "JSON inside a JSON string"),
            (r#"{"default":"\"s3cr3t\""}"#, "JSON inside a JSON string"),
            (
                r#"{"ARN":"arn:aws:…","Name":"shop","SecretString":"{\"default\": [\"s3cr3t\"]}"}"#,
                "what get-secret-value prints: give its SecretString alone",
            ),
        ] {
            let got = Secrets::parse(text).unwrap_err();
            assert_eq!(got, SecretsError::Looks(what), "{text}");
            assert!(format!("{got}").contains(what) && !format!("{got} {got:?}").contains("s3cr3t"));
        }
        for text in ["whsec_a+b/c==", "a:b", "p@ss,w{0}rd!", "a=", "=a", "é", "12345", "{", "a\"b"] {
            assert_eq!(of(&serde_json::to_string(text).unwrap(), "default"), [text]);
            if !text.starts_with('{') {
                assert_eq!(of(text, "default"), [text]);
            }
        }
        // In JSON a secret may contain spaces, and one account may repeat a secret.
        assert_eq!(of(r#"["my secret", "my secret"]"#, "default"), ["my secret"; 2]);
    }

    #[test]
    fn debug_shows_no_secret() {
        let secrets = Secrets::parse(r#"{"default":["s3cr3t"]}"#).unwrap();
        let text = format!("{secrets:?} {:?}", secrets.of(&Account::default()));
        assert_eq!(text, "Secrets of 1 account(s) [Secret]");
    }
}
