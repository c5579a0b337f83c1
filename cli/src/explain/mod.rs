//! Why a captured request does or does not verify, in plain words. Pure: a request, secrets and a time in, diagnoses out.
//!
//! The verdict is the intake's own, by [`Verifier::authenticate`]. If it is no, known mistakes are tried one by one and then
//! two together: those that make the signature match are the reason. Nothing here shows a secret, a whole MAC, or the body.

mod guesses;
mod reasons;
mod search;
mod texts;

use hookgate_verify::{Account, Delivery, Provider, Rejection, Scheme, Secrets, Verifier, scheme::Inspection};
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
            diagnoses.extend(reasons::worth_knowing(&proof));
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
        match rejection {
            Rejection::NotAWebhook => {
                let Provider { title, documentation, deliveries, .. } = self.provider();
                let headers = deliveries.not_a_webhook.join(" or ");
                return vec![certain(texts::NOT_A_WEBHOOK, &[&headers, title, documentation])];
            }
            Rejection::UnknownAccount => {
                let known: Vec<_> = self.secrets.accounts().map(Account::as_str).collect();
                said.push(certain(texts::UNKNOWN_ACCOUNT, &[self.delivery.account.as_str(), &known.join(", ")]));
            }
            Rejection::Repeated => said.push(certain(texts::REPEATED, &[])),
            _ => {}
        }
        let Some((scheme, there)) = self.scheme() else {
            said.extend(if rejection == Rejection::Repeated { Vec::new() } else { self.missing() });
            return said;
        };
        said.extend(self.older_signature(scheme));
        said.extend(reasons::stamp_troubles(scheme, &there));
        let found = if rejection == Rejection::Expired { Ok(Vec::new()) } else { self.search(scheme, &there, 2) };
        said.extend(self.age(scheme, &there, found.is_ok()));
        match found {
            Ok(found) => {
                said.retain(|diagnosis| diagnosis.certain);
                said.extend(found);
            }
            Err(nothing_matches) => {
                said.extend(reasons::signature_form(scheme, &there));
                let explained = said.iter().any(|diagnosis| diagnosis.certain);
                said.extend((!explained).then_some(nothing_matches));
            }
        }
        said.extend(self.other_setting(scheme));
        said
    }

    fn provider(&self) -> &'static Provider {
        self.verifier.provider()
    }

    /// The scheme that decides, the first whose signature is there, or else one that the setting refuses; and what there is
    /// of it.
    fn scheme(&self) -> Option<(&'static Scheme, Inspection)> {
        let schemes = self.verifier.schemes().iter().chain(self.provider().schemes());
        schemes.into_iter().find_map(|scheme| Some((scheme, scheme.inspect(self.delivery)?)))
    }

    fn header(&self, name: &str) -> Option<String> {
        let value = self.delivery.headers.get(name)?;
        Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
    }

    fn signed(&self) -> Option<Signed> {
        let (scheme, there) = self.scheme()?;
        let as_sent = self.texts(scheme, &there).into_iter().find(|text| text.guesses.is_empty())?;
        let text = as_sent.over(&self.delivery.body)?;
        let secret = self.secrets.current(&self.delivery.account);
        let expected = secret.and_then(|secret| search::mac(scheme.hash, scheme.key, secret, &text));
        // Enough digits to compare with one's own, too few to use.
        let start = |mac: &[u8]| format!("{}…", hex::encode(&mac[..4]));
        Some(Signed {
            scheme: describe(scheme),
            what: format!("{}: {} bytes", scheme.describe_signed(), text.len()),
            bytes: text.len(),
            expected: expected.as_deref().map(start),
            received: search::claims(&there).first().map(|(mac, ..)| start(mac)),
            text,
        })
    }
}

/// Whether there are no such fields as the scheme has.
fn is_broken(scheme: &Scheme, there: &Inspection) -> bool {
    scheme.has_fields() && !there.well_formed
}

/// The scheme in words, with its name.
fn describe(scheme: &Scheme) -> String {
    format!("{}: {}", scheme.name, scheme.describe())
}

/// A reason, certain or not. `words` fill the places `{0}`, `{1}` and so on.
fn diagnosis(certain: bool, (code, finding, remedy): texts::Reason, words: &[&str]) -> Diagnosis {
    let put = |text: String, (at, word): (usize, &&str)| text.replace(&format!("{{{at}}}"), word);
    let fill = |text: &str| words.iter().enumerate().fold(text.to_owned(), put);
    Diagnosis { code, certain, finding: fill(finding), remedy: fill(remedy) }
}

fn certain(reason: texts::Reason, words: &[&str]) -> Diagnosis {
    diagnosis(true, reason, words)
}
