//! Why a captured request does or does not verify, in plain words. Pure: a request, secrets and a time in, diagnoses out.
//!
//! The verdict is the intake's own, by [`Verifier::authenticate`]. Where it is no, a finite table of guesses is tried
//! one by one and then two together; one that makes the signature match is the reason. Nothing here shows a secret, a
//! whole MAC, or the body.

mod guesses;
mod reasons;
mod search;
mod texts;

use hookgate_verify::{
    Account, Delivery, Provider, Rejection, Scheme, Secrets, Verifier, providers,
    scheme::{Inspection, MAX_SIGNATURES},
};
use serde::Serialize;
use time::OffsetDateTime;

use crate::capture::Request;

/// What there is to say about one request: what `--json` prints.
#[derive(Debug, Serialize)]
pub struct Explanation {
    pub provider: &'static str,
    pub account: String,
    /// The form in which the request was captured.
    pub capture: &'static str,
    /// Whether an intake proves that the platform sent it; and whether it also takes its address and its method.
    pub verifies: bool,
    pub accepted: bool,
    #[serde(flatten)]
    pub verdict: Verdict,
    /// None where there is no signature.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signed: Option<Signed>,
    /// The reasons, or what is worth knowing about a request that verifies.
    pub diagnoses: Vec<Diagnosis>,
}

/// What the intake says: by which scheme and by which secret of the account (0 is the current one), or why not.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Verdict {
    Verified { scheme: &'static str, secret: usize },
    Rejected { reason: &'static str },
}

/// What the scheme that decides signs of this request.
#[derive(Debug, Serialize)]
pub struct Signed {
    pub scheme: String,
    /// The signed text, described.
    pub what: String,
    pub bytes: usize,
    /// The first eight hex digits of the MAC that the account's current secret makes, and of the one that is there.
    pub expected: Option<String>,
    pub received: Option<String>,
    /// Payloads carry personal data: show it only to whoever asks.
    #[serde(skip)]
    pub text: Vec<u8>,
}

/// One reason, and what to do about it.
#[derive(Debug, Clone, Serialize)]
pub struct Diagnosis {
    pub code: &'static str,
    /// Whether it is proved, by computing or by looking, and explains what happened; else it is a hint.
    pub certain: bool,
    pub finding: String,
    pub remedy: String,
}

/// The platform that a path names: `/webhooks/{provider}`, behind whatever stage.
pub fn platform(path: &str) -> Option<&'static Provider> {
    providers::ALL.iter().copied().find(|provider| hookgate_intake::address(path, provider.name).is_some())
}

/// The account that the platform's function reads from a path. None where it rejects the address.
pub fn account(path: &str, provider: &Provider) -> Option<Account> {
    if path.trim_matches('/').is_empty() {
        return Some(Account::default());
    }
    Account::parse(hookgate_intake::address(path, provider.name)?)
}

/// The platform that keeps its signature in a header of this name.
pub(crate) fn platform_of_header(name: &str) -> Option<&'static Provider> {
    let signs = |provider: &&Provider| provider.schemes().any(|scheme| scheme.signature_header() == Some(name));
    providers::ALL.iter().copied().find(signs)
}

/// Explains the request, as if it had been received at `now`.
pub fn explain(
    request: &Request,
    verifier: Verifier,
    secrets: &Secrets,
    account: &Account,
    now: OffsetDateTime,
) -> Explanation {
    let (headers, body) = (request.headers.clone(), request.body.clone());
    let delivery = Delivery { headers, body, account: account.clone(), received: now };
    let case = Case { request, verifier, secrets, delivery: &delivery };
    let authenticated = verifier.authenticate(&delivery, secrets);
    let proved = authenticated.is_ok();
    let mut diagnoses = case.outside(proved);
    let accepted = proved && diagnoses.is_empty();
    let verdict = match authenticated {
        Ok(proof) => {
            diagnoses.extend(case.worth_knowing(&proof));
            Verdict::Verified { scheme: proof.scheme(), secret: proof.secret() }
        }
        Err(rejection) => {
            diagnoses.extend(case.reasons(rejection));
            Verdict::Rejected { reason: rejection.as_str() }
        }
    };
    // What is proved first: the rest is for where that does not help.
    diagnoses.sort_by_key(|diagnosis| !diagnosis.certain);
    let (provider, account, capture) = (verifier.provider().name, account.to_string(), request.form);
    Explanation { provider, account, capture, verifies: proved, accepted, verdict, signed: case.signed(), diagnoses }
}

/// All that a diagnosis can look at.
struct Case<'a> {
    request: &'a Request,
    verifier: Verifier,
    secrets: &'a Secrets,
    delivery: &'a Delivery,
}

impl Case<'_> {
    /// Why it does not verify: by looking, and then by the search.
    fn reasons(&self, rejection: Rejection) -> Vec<Diagnosis> {
        if self.verifier.is_ping(self.delivery) {
            return vec![certain(texts::PING, &[self.provider().title])];
        }
        let mut said = self.about_the_capture();
        let other_setting = self.other_setting();
        if !other_setting.is_empty() {
            return [said, other_setting].concat();
        }
        match rejection {
            Rejection::NotAWebhook => return [said, vec![self.not_a_webhook()]].concat(),
            Rejection::UnknownAccount => said.push(self.unknown_account()),
            Rejection::Missing => said.extend(self.missing()),
            Rejection::Repeated => said.push(self.repeated()),
            Rejection::Malformed | Rejection::Mismatch | Rejection::Expired => {}
        }
        said.extend(self.older_signature());
        let Some((scheme, there)) = self.scheme() else {
            let newest = self.verifier.schemes().first().filter(|_| rejection == Rejection::Malformed);
            said.extend(newest.and_then(|scheme| self.missing_member(scheme)));
            return said;
        };
        let right = rejection == Rejection::Expired;
        let searched = (!right).then(|| self.search(scheme, &there));
        said.extend(reasons::stamp_troubles(scheme, &there));
        said.extend(self.age(scheme, &there, right, matches!(searched, Some(Ok(_)))));
        match searched {
            Some(Ok(found)) => {
                said.retain(|said| found.iter().all(|found| found.code != said.code));
                said.extend(found);
            }
            Some(Err(nothing_matches)) => {
                said.extend(reasons::signature_form(scheme, &there));
                let known = said.iter().any(|diagnosis| diagnosis.certain);
                said.extend((!known).then_some(nothing_matches));
            }
            None => {}
        }
        said
    }

    fn provider(&self) -> &'static Provider {
        self.verifier.provider()
    }

    /// The scheme that decides, the first whose signature is there, and what there is of it.
    fn scheme(&self) -> Option<(&'static Scheme, Inspection)> {
        self.verifier.schemes().iter().find_map(|scheme| Some((scheme, scheme.inspect(self.delivery)?)))
    }

    fn header(&self, name: &str) -> Option<String> {
        let value = self.delivery.headers.get(name)?;
        Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
    }

    fn signed(&self) -> Option<Signed> {
        let (scheme, there) = self.scheme()?;
        let (_, text) = self.texts(scheme, &there).into_iter().find(|(guesses, _)| guesses.is_empty())?;
        let text = text(&self.delivery.body)?;
        let secret = self.secrets.current(&self.delivery.account);
        let expected = secret.and_then(|secret| search::mac(scheme.hash, scheme.key, secret, &text));
        let received = search::claims(scheme, &there);
        Some(Signed {
            scheme: describe(scheme),
            what: format!("{}: {}", scheme.describe_signed(), shape(&text)),
            bytes: text.len(),
            expected: expected.map(|mac| start(&mac)),
            received: received.first().map(|(mac, _)| start(mac)),
            text,
        })
    }
}

/// Whether there are no such fields as the scheme has.
fn is_broken(scheme: &Scheme, there: &Inspection) -> bool {
    scheme.has_fields() && (!there.well_formed || there.signatures.len() > MAX_SIGNATURES)
}

/// The scheme in words, with its name.
fn describe(scheme: &Scheme) -> String {
    format!("{}: {}", scheme.name, scheme.describe())
}

/// A text described so that two can be told apart, without showing either.
fn shape(text: &[u8]) -> String {
    let has = |part: &[u8]| text.windows(part.len()).any(|window| window == part);
    let lines = text.strip_suffix(b"\n").unwrap_or(text).split(|&byte| byte == b'\n').count();
    let shape = [
        (lines > 1, &format!(", {lines} lines")[..]),
        (has(b"\r\n"), ", CR LF"),
        (text.ends_with(b"\n"), ", ends with a line feed"),
        (!text.is_ascii(), ", characters outside ASCII"),
        (has(b"\\/"), r", \/ escapes"),
    ];
    let shape = shape.into_iter().filter(|(is_so, _)| *is_so).map(|(_, words)| words);
    format!("{} bytes{}", text.len(), shape.collect::<String>())
}

/// The first digits of a MAC: enough to compare with one's own, too few to use.
fn start(mac: &[u8]) -> String {
    mac.first_chunk().map_or_else(String::new, |start| format!("{:08x}…", u32::from_be_bytes(*start)))
}

/// What is proved. `words` fill the places `{0}`, `{1}` and so on.
fn certain((code, finding, remedy): texts::Reason, words: &[&str]) -> Diagnosis {
    let put = |text: String, (at, word): (usize, &&str)| text.replace(&format!("{{{at}}}"), word);
    let fill = |text: &str| words.iter().enumerate().fold(text.to_owned(), put);
    Diagnosis { code, certain: true, finding: fill(finding), remedy: fill(remedy) }
}

/// What may be so.
fn hint(reason: texts::Reason, words: &[&str]) -> Diagnosis {
    Diagnosis { certain: false, ..certain(reason, words) }
}
