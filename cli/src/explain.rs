//! Why a captured request does or does not verify, in plain words. Pure: a request, secrets and a time in, diagnoses out.
//!
//! The verdict is the intake's own, by [`Verifier::authenticate`]. Where it is no, a finite table of guesses is tried
//! one by one and then two together; one that makes the signature match is the reason. Nothing here shows a secret, a
//! whole MAC, or the body.

pub mod command;
mod guesses;

use std::fmt::Write;

use hookgate_event::EventType;
use hookgate_verify::{
    Account, Delivery, Encoding, Hash, Layout, Provider, Rejection, Remainder, Scheme, Secrets, Verifier, sender,
};
use http::HeaderName;
use time::{Duration, OffsetDateTime};

use self::guesses::{BODIES, Guess, SECRETS, Stamps, TEXTS, TextGuess};
use crate::request::{Request, platform_of_header};

/// What there is to say about one request.
#[derive(Debug)]
pub struct Explanation {
    /// Whose delivery it should be.
    pub provider: &'static str,
    /// For which account.
    pub account: Account,
    /// What the intake says.
    pub verdict: Result<Verified, Rejection>,
    /// What the signature would have to be made over. None where there is no signature.
    pub signed: Option<Signed>,
    /// The reasons, or what is worth knowing about a request that verifies.
    pub diagnoses: Vec<Diagnosis>,
}

/// By what a request verifies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    /// The scheme's name.
    pub scheme: &'static str,
    /// The position of the secret: 0 is the account's current one.
    pub secret: usize,
}

/// What the scheme that decides signs of this request.
#[derive(Debug)]
pub struct Signed {
    /// The scheme, in words.
    pub scheme: String,
    /// The signed text, described.
    pub what: String,
    /// The signed text. Payloads carry personal data: show it only to whoever asks.
    pub text: Vec<u8>,
    /// The first eight hex digits of the MAC that the account's current secret makes.
    pub expected: Option<String>,
    /// The first eight hex digits of the MAC that the request has.
    pub received: Option<String>,
}

/// One reason, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    /// Its fixed name.
    pub code: &'static str,
    /// Whether it is proved, by computing or by looking; else it is a hint.
    pub certain: bool,
    /// What was found.
    pub finding: String,
    /// What to do.
    pub remedy: String,
}

/// Two guesses together take some hundred MACs: too long to wait for over more than this.
const MOST_BYTES_FOR_PAIRS: usize = 1024 * 1024;

/// Explains the request, as if it had been received at `now`. Takes milliseconds; two guesses together are tried on at most
/// 1 MiB.
#[must_use]
pub fn explain(
    request: &Request,
    verifier: Verifier,
    secrets: &Secrets,
    account: &Account,
    now: OffsetDateTime,
) -> Explanation {
    let delivery = request.delivery(account.clone(), now);
    let case = Case { request, verifier, secrets, account, delivery: &delivery };
    let authenticated = verifier.authenticate(&delivery, secrets);
    let mut diagnoses = Vec::new();
    if request.method != "POST" {
        diagnoses.push(certain(
            "method",
            "The request is no POST: the intake answers 405.",
            "Deliveries are POSTs; a redirect turns a POST into a GET: use the address that needs none.",
        ));
    }
    let verdict = match authenticated {
        Ok(proof) => {
            diagnoses.extend(case.worth_knowing(proof.secret(), proof.read().map(|reading| reading.event.event_type)));
            Ok(Verified { scheme: proof.scheme(), secret: proof.secret() })
        }
        Err(rejection) => {
            diagnoses.extend(case.about_the_capture());
            diagnoses.extend(case.reasons(rejection));
            Err(rejection)
        }
    };
    // What is proved first: the rest is for where that does not help.
    diagnoses.sort_by_key(|diagnosis| !diagnosis.certain);
    Explanation {
        provider: verifier.provider().name,
        account: account.clone(),
        verdict,
        signed: case.signed(),
        diagnoses,
    }
}

/// All that a diagnosis can look at.
#[derive(Clone, Copy)]
struct Case<'a> {
    request: &'a Request,
    verifier: Verifier,
    secrets: &'a Secrets,
    account: &'a Account,
    delivery: &'a Delivery,
}

/// What a signature's text may stand for.
struct Claim {
    mac: Vec<u8>,
    /// How it is spelled, where the scheme spells it otherwise.
    spelling: Option<&'static str>,
}

/// A secret or a body to try: as it is, or as a guess makes it.
struct Candidate {
    bytes: Vec<u8>,
    guess: Option<Diagnosis>,
}

impl Case<'_> {
    fn provider(&self) -> &'static Provider {
        self.verifier.provider()
    }

    /// The scheme that decides: the first whose signature is there.
    fn scheme(&self) -> Option<&'static Scheme> {
        self.verifier.schemes().iter().find(|scheme| self.signature(scheme).is_some())
    }

    /// The signature's text as it stands, with all that its header or member holds.
    fn signature(&self, scheme: &Scheme) -> Option<String> {
        match scheme.layout {
            Layout::Header(name) | Layout::StampedHeader { signature: name, .. } => self.header(name),
            Layout::Member(name, remainder) => sender::member(name, remainder, &self.delivery.body)
                .map(|(signature, _)| String::from_utf8_lossy(signature).into_owned()),
        }
    }

    fn header(&self, name: &str) -> Option<String> {
        let value = self.delivery.headers.get(name)?;
        Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
    }

    /// Under the older scheme too: a sender may put the newer one's signature into the older one's header.
    fn stamps(&self) -> Stamps {
        let mut schemes = self.provider().modes.iter().flat_map(|(_, schemes)| schemes.iter());
        let stamped = schemes.find_map(|scheme| match scheme.layout {
            Layout::StampedHeader { signature, delivery_id, timestamp, .. } => {
                Some((signature, delivery_id, timestamp))
            }
            Layout::Header(_) | Layout::Member(..) => None,
        });
        let Some((signature, delivery_id, timestamp)) = stamped else { return Stamps::default() };
        let inside = self.header(signature).and_then(|signature| {
            signature.split(',').find_map(|part| part.trim().strip_prefix("t=").map(str::to_owned))
        });
        Stamps { delivery_id: self.header(delivery_id), header: self.header(timestamp), inside }
    }

    fn signed(&self) -> Option<Signed> {
        let scheme = self.scheme()?;
        let text = (own_text(scheme).make)(&self.stamps(), &self.delivery.body)?;
        let expected = self.secrets.current(self.account).map(|secret| start(&mac(scheme.hash, secret, &text)));
        let claims = claims(&self.signature(scheme)?, scheme);
        Some(Signed {
            scheme: describe(scheme),
            what: format!("{}: {}", signed_text(scheme), shape(&text)),
            text,
            expected,
            received: claims.first().map(|claim| start(&claim.mac)),
        })
    }

    /// What can be said before looking at signatures.
    fn about_the_capture(&self) -> Vec<Diagnosis> {
        let mut said = Vec::new();
        for note in &self.request.notes {
            said.push(hint("capture", format!("About the capture: {note}."), "Capture the request again, whole."));
        }
        let body = &self.delivery.body;
        if body.is_empty() {
            said.push(hint(
                "body_empty",
                "The captured body is empty.",
                "Capture the body before anything reads it, or give it with --body FILE.",
            ));
        }
        if body.starts_with(&[0x1f, 0x8b]) {
            said.push(hint(
                "body_compressed",
                "The body is compressed (gzip).",
                "Verify what the platform signed: decompress first where a proxy compressed it, and not where the \
                 platform did.",
            ));
        } else if String::from_utf8_lossy(body).contains('\u{fffd}') {
            said.push(hint(
                "body_lost_bytes",
                "The body has replacement characters or is not UTF-8: bytes were lost when it was read as text.",
                "Capture bytes, not text: nothing brings the lost ones back.",
            ));
        }
        said
    }

    /// What is worth knowing about a request that verifies.
    fn worth_knowing(&self, secret: usize, read: Result<EventType, hookgate_verify::Unreadable>) -> Vec<Diagnosis> {
        let mut said = Vec::new();
        if secret > 0 {
            said.push(certain(
                "older_secret",
                format!("It verifies with an older secret of the account (position {secret}), not with the current one."),
                "During a rotation that is as it should be. Remove the older secret once deliveries use the current one.",
            ));
        }
        let signature = self.scheme().and_then(|scheme| self.signature(scheme)).unwrap_or_default();
        if signature.bytes().filter(u8::is_ascii_alphabetic).any(|byte| byte.is_ascii_uppercase())
            && guesses::hex(mac_part(&signature).as_bytes()).is_some()
        {
            said.push(hint(
                "upper_case_hex",
                "The signature is in upper-case hex. Hookgate takes it; code that compares text does not.",
                "Compare bytes, not text.",
            ));
        }
        match read {
            Err(unreadable) => said.push(certain(
                "unreadable",
                format!(
                    "It is authentic, but no event that can be read ({}): it goes to quarantine.",
                    unreadable.as_str()
                ),
                "Compare the body with the platform's documentation; docs of the quarantine say how to send it on.",
            )),
            Ok(EventType::Unrecognized) => said.push(hint(
                "unrecognized",
                "Its event name is not in the platform's table: it is queued as commerce.unrecognized.",
                "Consumers see the platform's own name in providertype.",
            )),
            Ok(_) => {}
        }
        said
    }

    /// Why it does not verify.
    fn reasons(&self, rejection: Rejection) -> Vec<Diagnosis> {
        let mut said = Vec::new();
        let other_setting = self.other_setting();
        if !other_setting.is_empty() {
            return other_setting;
        }
        match rejection {
            Rejection::DynamicDelivery => return vec![self.dynamic_delivery()],
            Rejection::UnknownAccount => said.push(self.unknown_account()),
            Rejection::Missing => said.extend(self.missing()),
            Rejection::Repeated => said.push(self.repeated()),
            Rejection::Malformed | Rejection::Mismatch | Rejection::Expired => {}
        }
        said.extend(self.older_signature());
        let Some(scheme) = self.scheme() else {
            if rejection == Rejection::Malformed
                && let Some(Layout::Member(name, _)) = self.verifier.schemes().first().map(|scheme| scheme.layout)
            {
                said.extend(self.missing_member(name));
            }
            return said;
        };
        said.extend(self.stamp_troubles(scheme, rejection));
        if rejection == Rejection::Expired {
            return said;
        }
        said.extend(self.search(scheme));
        said.extend(self.signature_form(scheme));
        if !said.iter().any(|diagnosis| diagnosis.certain) {
            said.push(self.nothing_matches());
        }
        said
    }

    fn dynamic_delivery(&self) -> Diagnosis {
        certain(
            "dynamic_delivery",
            format!(
                "This is a dynamic delivery callback of {}: its answer becomes the buyer's goods.",
                self.provider().name
            ),
            "Hookgate never answers it 200. Point the product's dynamic delivery at a service of your own.",
        )
    }

    fn unknown_account(&self) -> Diagnosis {
        let known: Vec<_> = self.secrets.accounts().map(Account::as_str).collect();
        certain(
            "unknown_account",
            format!("There is no secret for the account {} (there is: {}).", self.account, known.join(", ")),
            "Add the account to the secrets, correct the webhook's address, or choose with --account.",
        )
    }

    fn repeated(&self) -> Diagnosis {
        let in_body = matches!(self.verifier.schemes(), [Scheme { layout: Layout::Member(..), .. }, ..]);
        if in_body {
            return certain(
                "signature_repeated",
                "The body has two top-level signature members: readers would disagree on which one counts.",
                "Remove one at the sender.",
            );
        }
        certain(
            "signature_repeated",
            "A header that must be there once (signature, delivery id or timestamp) is there twice.",
            "Find the proxy or the sender that adds it again, and let it replace instead.",
        )
    }

    /// Where no signature of the provider is there.
    fn missing(&self) -> Vec<Diagnosis> {
        let mut said = Vec::new();
        for scheme in self.verifier.schemes() {
            match scheme.layout {
                Layout::Header(name) | Layout::StampedHeader { signature: name, .. } => {
                    said.extend(self.near_misses(scheme, name));
                }
                Layout::Member(name, _) => said.extend(self.missing_member(name)),
            }
        }
        said.extend(self.another_platform());
        said.extend(self.refused_scheme());
        if !said.iter().any(|diagnosis| diagnosis.certain) {
            let wanted: Vec<_> = self.verifier.schemes().iter().map(describe).collect();
            said.push(certain(
                "signature_missing",
                format!("The signature is missing. Wanted: {}.", wanted.join("; or ")),
                "Switch signing on at the platform; else look for the proxy, CDN or capture that drops the header. Upper \
                 and lower case do not matter.",
            ));
        }
        said
    }

    /// A signature that is there, of a scheme that the setting refuses.
    fn refused_scheme(&self) -> Option<Diagnosis> {
        let mut schemes = self.provider().modes.iter().flat_map(|(_, schemes)| schemes.iter());
        let there = schemes.find(|scheme| self.signature(scheme).is_some())?;
        Some(hint(
            "scheme_refused",
            format!(
                "Only the signature {} is there, which {} refuses as it is set.",
                there.name,
                self.provider().setting
            ),
            format!("Wanted is {}: switch to it at the platform.", describe(self.verifier.schemes().first()?)),
        ))
    }

    /// Headers that may be meant for the one that is missing.
    fn near_misses(&self, scheme: &Scheme, wanted: &'static str) -> Vec<Diagnosis> {
        let mut said = Vec::new();
        for (name, value) in &self.delivery.headers {
            let near = near(name.as_str(), wanted) && platform_of_header(name.as_str()).is_none();
            if !near {
                continue;
            }
            let mut renamed = self.delivery.clone();
            renamed.headers.insert(HeaderName::from_static(wanted), value.clone());
            let right = self.verifier.authenticate(&renamed, self.secrets).is_ok();
            said.push(Diagnosis {
                code: "header_name",
                certain: right,
                finding: if right {
                    format!("The signature is right, but its header is called {name} instead of {wanted}.")
                } else {
                    format!("There is a header {name}, and none called {wanted} (scheme {}).", scheme.name)
                },
                remedy: format!(
                    "Pass the header on under its own name, {wanted}: _ and - differ, upper and lower case do not."
                ),
            });
        }
        said
    }

    fn missing_member(&self, name: &str) -> Option<Diagnosis> {
        let json = crate::json::Json::parse(&self.delivery.body);
        let (finding, remedy) = match &json {
            None => {
                ("The body is no JSON, so it cannot hold the signature.", "Send the body as the platform writes it.")
            }
            Some(json) if json.get("data").and_then(|data| data.get(name)).is_some() => (
                "The signature stands inside data: only the top level counts.",
                "Put the signature beside data, not into it.",
            ),
            Some(json) if json.get(name).is_some() => (
                "The signature member's name is written with escapes, or its value is no string.",
                "Write the name plainly, and the value as a string: sha256=<hex>.",
            ),
            Some(_) => return None,
        };
        Some(certain("signature_member", finding, remedy))
    }

    /// A header by which another platform signs, or an address of another platform.
    fn another_platform(&self) -> Vec<Diagnosis> {
        let headers = self.delivery.headers.keys().filter_map(|name| platform_of_header(name.as_str()));
        let mut others: Vec<_> = headers.map(|other| (other, true)).collect();
        others.extend(self.request.provider().map(|other| (other, false)));
        others.retain(|(other, _)| other.name != self.provider().name);
        others.dedup_by_key(|(other, _)| other.name);
        let right = |other| {
            let verifier = Verifier::new(other, |_| None);
            verifier.is_ok_and(|verifier| verifier.authenticate(self.delivery, self.secrets).is_ok())
        };
        let said = others.into_iter().map(|(other, by_header)| {
            let (name, wanted) = (other.name, self.provider().name);
            Diagnosis {
                code: "another_platform",
                certain: by_header,
                finding: match (by_header, right(other)) {
                    (_, true) => format!("It verifies as a delivery of {name}, with the same secret."),
                    (true, false) => format!("It has the header by which {name} signs, and none of {wanted}'s."),
                    (false, false) => format!("Its address is {name}'s, not {wanted}'s."),
                },
                remedy: format!("Ask hookgate explain {name}; its webhook belongs to /webhooks/{name}."),
            }
        });
        said.collect()
    }

    /// Whether it would verify under another value of the provider's setting.
    fn other_setting(&self) -> Vec<Diagnosis> {
        let provider = self.provider();
        let current = self.verifier.schemes();
        let mut said = Vec::new();
        for (value, schemes) in provider.modes {
            if std::ptr::eq(*schemes, current) {
                continue;
            }
            let Ok(other) = Verifier::new(provider, |_| Some((*value).to_owned())) else { continue };
            if let Ok(proof) = other.authenticate(self.delivery, self.secrets) {
                let setting = provider.setting;
                said.push(certain(
                    "other_setting",
                    format!("It verifies with {setting}={value} (scheme {}), but not as it is set.", proof.scheme()),
                    format!(
                        "If that is how the platform signs, set {setting}={value}; else switch at the platform to {}.",
                        current.first().map(describe).unwrap_or_default()
                    ),
                ));
            }
        }
        said
    }

    /// Where a newer signature decides and is wrong, and an older one beside it is right.
    fn older_signature(&self) -> Option<Diagnosis> {
        let scheme = self.scheme()?;
        let Layout::StampedHeader { signature, .. } = scheme.layout else { return None };
        let mut stripped = self.delivery.clone();
        stripped.headers.remove(signature);
        let older = self.verifier.authenticate(&stripped, self.secrets).ok()?.scheme();
        Some(certain(
            "older_signature_right",
            format!("The signature {older} is right, but where {0} is there, {0} alone decides.", scheme.name),
            format!(
                "Correct what is wrong with {}; taking its header away works too, but gives up its protection.",
                scheme.name
            ),
        ))
    }

    /// What is wrong with delivery id, timestamp, or the form around them.
    fn stamp_troubles(&self, scheme: &Scheme, rejection: Rejection) -> Vec<Diagnosis> {
        let Layout::StampedHeader { signature, delivery_id, timestamp, tolerance } = scheme.layout else {
            return Vec::new();
        };
        let stamps = self.stamps();
        let mut said = Vec::new();
        for (header, value, meant) in
            [(delivery_id, &stamps.delivery_id, "delivery id"), (timestamp, &stamps.header, "timestamp")]
        {
            if value.is_none() {
                said.push(certain(
                    "stamp_missing",
                    format!("The header {header} is missing: the {meant} is part of what is signed."),
                    format!("Pass {header} on unchanged; it comes together with {signature}."),
                ));
            }
        }
        if !self.signature(scheme).is_some_and(|text| is_stamped(&text)) {
            said.push(certain(
                "signature_form",
                format!("{signature} is not of the form v1,t=<digits>,h=<64 hex digits>."),
                "Pass the header on unchanged: no spaces, nothing cut at its commas.",
            ));
        }
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if stamps.delivery_id.as_ref().is_some_and(|id| !(1..=128).contains(&id.len()) || !id.bytes().all(legal)) {
            said.push(certain(
                "delivery_id_form",
                format!("{delivery_id} is not 1 to 128 letters, digits, _ or -."),
                "Pass the header on unchanged; a dot in it would make the signed text ambiguous.",
            ));
        }
        if let (Some(header), Some(inside)) = (&stamps.header, &stamps.inside)
            && header != inside
        {
            said.push(certain(
                "timestamps_differ",
                format!("The timestamp in {timestamp} is not the one in {signature}{}.", apart(header, inside)),
                "Both must be the same text: whatever rewrites one of them has to leave it.",
            ));
        }
        said.extend(self.age(&stamps, tolerance, rejection));
        said
    }

    /// How far the timestamp is away from now, where that is too far.
    fn age(&self, stamps: &Stamps, tolerance: u64, rejection: Rejection) -> Option<Diagnosis> {
        let seconds: i64 = stamps.inside.as_deref().or(stamps.header.as_deref())?.parse().ok()?;
        let age = self.delivery.received.unix_timestamp().saturating_sub(seconds);
        if age.unsigned_abs() <= tolerance {
            return None;
        }
        let allowed = words(Duration::seconds(tolerance.try_into().unwrap_or(i64::MAX)));
        let right = if rejection == Rejection::Expired { "The signature is right, but its" } else { "The" };
        if seconds > 100_000_000_000 {
            return Some(certain(
                "timestamp_milliseconds",
                format!("{right} timestamp is in milliseconds; it must be in seconds."),
                "Send Unix seconds: Math.floor(Date.now() / 1000).",
            ));
        }
        let away = words(Duration::seconds(age.saturating_abs()));
        let at = self.request.received.and_then(|time| time.replace_nanosecond(0).ok());
        let at = at.or_else(|| OffsetDateTime::from_unix_timestamp(seconds).ok())?;
        let at = at.format(&time::format_description::well_known::Rfc3339).ok()?;
        Some(if age > 0 {
            certain(
                "timestamp_expired",
                format!("{right} timestamp is {away} old; {allowed} are allowed."),
                format!(
                    "For a request captured earlier say when it came: --at {at}. Else it is a replay, a retry with its \
                     old signature, a queue in front of the intake, or a clock that is off (date -u; NTP)."
                ),
            )
        } else {
            certain(
                "timestamp_in_the_future",
                format!("{right} timestamp is {away} ahead of now; {allowed} are allowed."),
                format!("One of the clocks is off (date -u; NTP), or --at is too early: try --at {at}."),
            )
        })
    }

    /// Tries the guesses: none, then each alone, then two together.
    fn search(&self, scheme: &'static Scheme) -> Vec<Diagnosis> {
        let Some(signature) = self.signature(scheme) else { return Vec::new() };
        let claims = claims(&signature, scheme);
        if claims.is_empty() {
            return Vec::new();
        }
        let (secrets, bodies) = (self.secrets_to_try(), bodies_to_try(&self.delivery.body));
        let (stamps, own) = (self.stamps(), own_text(scheme));
        let most = if self.delivery.body.len() > MOST_BYTES_FOR_PAIRS { 1 } else { 2 };
        for guessed in 0..=most {
            for text in TEXTS {
                for body in &bodies {
                    let other_text = text.code != own.code;
                    let so_far = usize::from(other_text) + usize::from(body.guess.is_some());
                    if so_far > guessed || so_far + 1 < guessed {
                        continue;
                    }
                    let Some(signed) = (text.make)(&stamps, &body.bytes) else { continue };
                    for secret in &secrets {
                        if so_far + usize::from(secret.guess.is_some()) != guessed {
                            continue;
                        }
                        if let Some((claim, hash)) = matching(&claims, &secret.bytes, &signed) {
                            let mut found: Vec<_> =
                                [&secret.guess, &body.guess].into_iter().flatten().cloned().collect();
                            if other_text {
                                found.push(certain(text.code, text.finding, text.remedy));
                            }
                            found.extend(other_hash(scheme, hash));
                            // A stamped header that is off has a diagnosis of its own.
                            let stamped = matches!(scheme.layout, Layout::StampedHeader { .. });
                            if !stamped || is_stamped(&signature) {
                                found.extend(other_spelling(scheme, claim));
                            }
                            return found;
                        }
                    }
                }
            }
        }
        Vec::new()
    }

    /// The account's secrets, what guesses make of them, and other accounts' secrets.
    fn secrets_to_try(&self) -> Vec<Candidate> {
        let own = self.secrets.of(self.account);
        let mut candidates: Vec<_> =
            own.iter().map(|secret| Candidate { bytes: secret.as_bytes().to_vec(), guess: None }).collect();
        for secret in own {
            candidates.extend(
                SECRETS.iter().flat_map(|guess| guess.candidates(secret.as_bytes())).filter(|c| !c.bytes.is_empty()),
            );
        }
        for account in self.secrets.accounts().filter(|account| *account != self.account) {
            for secret in self.secrets.of(account) {
                let guess = certain(
                    "another_account",
                    format!("It verifies with a secret of the account {account}, not of {}.", self.account),
                    format!(
                        "Its webhook belongs to /webhooks/{}/{account}; or give the account {} this secret.",
                        self.provider().name,
                        self.account
                    ),
                );
                candidates.push(Candidate { bytes: secret.as_bytes().to_vec(), guess: Some(guess) });
            }
        }
        candidates
    }

    /// What is wrong with the signature's text itself.
    fn signature_form(&self, scheme: &Scheme) -> Option<Diagnosis> {
        let text = self.signature(scheme)?;
        let stamped = matches!(scheme.layout, Layout::StampedHeader { .. });
        if stamped && !is_stamped(&text) {
            return None;
        }
        let mac = mac_part(&text);
        let wanted = spelling_of(scheme);
        if text.trim().is_empty() {
            return Some(certain(
                "signature_empty",
                format!("The signature is there, and empty. Wanted: {wanted}."),
                "The sender has no secret, or failed to sign: set the secret at the platform.",
            ));
        }
        if !stamped && text.contains(',') {
            return Some(certain(
                "signature_repeated",
                "The signature holds a comma: API Gateway joins a header that comes twice.",
                "Find the proxy or the sender that adds it again, and let it replace instead.",
            ));
        }
        claims(&text, scheme).is_empty().then(|| {
            certain(
                "signature_form",
                format!("The signature is no MAC: {} characters, and wanted is {wanted}.", mac.chars().count()),
                "It was cut off, or is something else: an API key, a token, a signature over another hash.",
            )
        })
    }

    fn nothing_matches(&self) -> Diagnosis {
        let secrets = self.secrets.of(self.account).len();
        hint(
            "nothing_matches",
            format!(
                "No guess makes the signature match ({secrets} secret(s), {} guesses, one by one and two together).",
                SECRETS.len() + BODIES.len() + TEXTS.len()
            ),
            "Most likely the secret is another one: copy it again from this very webhook at the platform. Else the body \
             was changed in a way that cannot be undone, like 49.90 to 49.9: capture the raw bytes (--body FILE).",
        )
    }
}

impl Guess {
    fn candidates(&self, bytes: &[u8]) -> Vec<Candidate> {
        let made = (self.make)(bytes).into_iter().filter(|(_, made)| made != bytes);
        let guess = |detail| certain(self.code, format!("{}{detail}", self.finding), self.remedy);
        made.map(|(detail, bytes)| Candidate { bytes, guess: Some(guess(detail)) }).collect()
    }
}

fn bodies_to_try(body: &[u8]) -> Vec<Candidate> {
    let mut candidates = vec![Candidate { bytes: body.to_vec(), guess: None }];
    candidates.extend(BODIES.iter().flat_map(|guess| guess.candidates(body)));
    candidates
}

/// The text that this scheme signs.
fn own_text(scheme: &Scheme) -> &'static TextGuess {
    let code = match scheme.layout {
        Layout::Header(_) => "signed_body_alone",
        Layout::StampedHeader { .. } => "signed_stamped",
        Layout::Member(_, Remainder::Without) => "signed_member_cut_out",
        Layout::Member(_, Remainder::Emptied) => "signed_member_emptied",
    };
    TEXTS.iter().find(|text| text.code == code).unwrap_or(&TEXTS[0])
}

/// The HMAC, by the one routine that signs.
fn mac(hash: Hash, secret: &[u8], text: &[u8]) -> Vec<u8> {
    let scheme = Scheme { name: "", hash, encoding: Encoding::Hex, layout: Layout::Header("") };
    let signed = sender::sign(&scheme, secret, text, ("", 0));
    signed.headers.first().and_then(|(_, hex)| guesses::hex(hex.as_bytes())).unwrap_or_default()
}

fn matching<'c>(claims: &'c [Claim], secret: &[u8], text: &[u8]) -> Option<(&'c Claim, Hash)> {
    [(Hash::Sha256, 32), (Hash::Sha512, 64)].into_iter().find_map(|(hash, length)| {
        let mut of_length = claims.iter().filter(|claim| claim.mac.len() == length).peekable();
        of_length.peek()?;
        let mac = mac(hash, secret, text);
        of_length.find(|claim| claim.mac == mac).map(|claim| (claim, hash))
    })
}

/// All MACs that the signature's text can be read as.
fn claims(text: &str, scheme: &Scheme) -> Vec<Claim> {
    let (prefix, base64_too) = match scheme.encoding {
        Encoding::Hex => ("", false),
        Encoding::PrefixedHex(prefix) => (prefix, false),
        Encoding::HexOrBase64 => ("", true),
    };
    // In a stamped header the MAC is one part of the text.
    let whole = match scheme.layout {
        Layout::StampedHeader { .. } => mac_part(text),
        Layout::Header(_) | Layout::Member(..) => text,
    };
    let bare = mac_part(whole);
    let own = if prefix.is_empty() { Some(whole) } else { whole.strip_prefix(prefix) };
    let misplaced = (own != Some(bare)).then_some("with something in front of it or around it that does not belong");
    let missing = own.is_none() && bare == whole.trim();
    let misplaced = if missing { Some("without its prefix") } else { misplaced };
    let mut claims = Vec::new();
    if let Some(mac) = guesses::hex(bare.as_bytes()) {
        claims.push(Claim { mac, spelling: misplaced });
    }
    if let Some(decoded) = guesses::base64(bare.as_bytes()) {
        if let Some(mac) = guesses::hex(&decoded) {
            claims.push(Claim { mac, spelling: Some("as base64 of hex") });
        }
        let plain = base64_too && misplaced.is_none() && !bare.contains(['-', '_']) && bare.len().is_multiple_of(4);
        claims.push(Claim { mac: decoded, spelling: (!plain).then_some("in base64") });
    }
    claims.retain(|claim| matches!(claim.mac.len(), 32 | 64));
    claims
}

/// The part of a signature that should be the MAC: without white space, quotes, and whatever stands before its `=`.
fn mac_part(text: &str) -> &str {
    let text = text.rsplit_once(",h=").map_or(text, |(_, mac)| mac);
    let text = text.trim_matches([' ', '\t', '\r', '\n', '"', '\'']);
    match text.split_once('=') {
        // Base64 ends with its equals signs.
        Some((label, rest)) if !rest.trim_start_matches('=').is_empty() && label.len() <= 16 => rest,
        _ => text,
    }
}

/// Whether it is of the form `v1,t=<digits>,h=<MAC>`.
fn is_stamped(signature: &str) -> bool {
    let parts = signature.strip_prefix("v1,t=").and_then(|rest| rest.split_once(",h="));
    parts.is_some_and(|(seconds, _)| !seconds.is_empty() && seconds.bytes().all(|byte| byte.is_ascii_digit()))
}

fn other_hash(scheme: &Scheme, hash: Hash) -> Option<Diagnosis> {
    (hash != scheme.hash).then(|| {
        certain(
            "other_hash",
            format!("The signature is an HMAC-{}; scheme {} is HMAC-{}.", name(hash), scheme.name, name(scheme.hash)),
            format!(
                "Sign with HMAC-{}. If the platform signs so, its newer signature may be in another header.",
                name(scheme.hash)
            ),
        )
    })
}

fn other_spelling(scheme: &Scheme, claim: &Claim) -> Option<Diagnosis> {
    claim.spelling.map(|spelling| {
        certain(
            "signature_spelling",
            format!("The signature is right, but spelled {spelling}; wanted is {}.", spelling_of(scheme)),
            "Spell it as the platform does, or find what rewrites the header on its way.",
        )
    })
}

fn name(hash: Hash) -> &'static str {
    match hash {
        Hash::Sha256 => "SHA256",
        Hash::Sha512 => "SHA512",
    }
}

fn spelling_of(scheme: &Scheme) -> String {
    let digits = match scheme.hash {
        Hash::Sha256 => 64,
        Hash::Sha512 => 128,
    };
    match scheme.encoding {
        Encoding::Hex => format!("{digits} hex digits"),
        Encoding::PrefixedHex(prefix) => format!("{prefix}<{digits} hex digits>"),
        Encoding::HexOrBase64 => format!("{digits} hex digits, or base64"),
    }
}

/// The scheme in words.
fn describe(scheme: &Scheme) -> String {
    let place = match scheme.layout {
        Layout::Header(name) => format!("in the header {name}"),
        Layout::StampedHeader { signature, .. } => format!("in the header {signature}, as v1,t=<timestamp>,h=<MAC>"),
        Layout::Member(name, _) => format!("in the body's top-level member {name}"),
    };
    format!("{}: HMAC-{}, {} {place}", scheme.name, name(scheme.hash), spelling_of(scheme))
}

fn signed_text(scheme: &Scheme) -> &'static str {
    match scheme.layout {
        Layout::Header(_) => "the raw body",
        Layout::StampedHeader { .. } => "<delivery id>.<timestamp>.<raw body>",
        Layout::Member(_, Remainder::Without) => "the raw body without its signature member and one comma",
        Layout::Member(_, Remainder::Emptied) => "the raw body with \"\" for its signature",
    }
}

/// A text described so that two can be told apart, without showing either.
fn shape(text: &[u8]) -> String {
    let mut shape = format!("{} bytes", text.len());
    let lines = text.split(|&byte| byte == b'\n').count() - 1;
    let crlf = text.windows(2).filter(|pair| pair == b"\r\n").count();
    let ends = text.ends_with(b"\n");
    match lines - usize::from(ends) {
        0 => {}
        breaks => {
            let _ = write!(shape, ", {} lines", breaks + 1);
        }
    }
    if crlf > 0 {
        shape.push_str(", CR LF");
    }
    if ends {
        shape.push_str(", ends with a line feed");
    }
    if !text.is_ascii() {
        shape.push_str(", characters outside ASCII");
    }
    if text.windows(2).any(|pair| pair == b"\\/") {
        shape.push_str(r", \/ escapes");
    }
    shape
}

/// The first digits of a MAC: enough to compare with one's own, too few to use.
fn start(mac: &[u8]) -> String {
    mac.iter().take(4).fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    }) + "…"
}

/// Whether a header's name may be meant for another: spelled with underscores, as CGI hands it over, with a letter or
/// two wrong, or about a signature at all.
fn near(name: &str, wanted: &str) -> bool {
    let plain = |name: &str| {
        let name = name.to_ascii_lowercase().replace('_', "-");
        name.strip_prefix("http-").map_or(name.clone(), str::to_owned)
    };
    let (plain_name, plain_wanted) = (plain(name), plain(wanted));
    plain_name == plain_wanted
        || distance(&plain_name, &plain_wanted) <= 2
        || ["signature", "hmac", "hub-sig"].iter().any(|word| plain_name.contains(word))
}

/// How many letters must be added, removed or changed.
pub(crate) fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let next = (diagonal + usize::from(x != y)).min(row[j] + 1).min(row[j + 1] + 1);
            diagonal = row[j + 1];
            row[j + 1] = next;
        }
    }
    row[b.len()]
}

fn apart(a: &str, b: &str) -> String {
    match (a.parse::<i64>(), b.parse::<i64>()) {
        (Ok(a), Ok(b)) => {
            format!(": they are {} apart", words(Duration::seconds(a.saturating_sub(b).saturating_abs())))
        }
        _ => String::new(),
    }
}

/// A duration in the two largest of its units.
fn words(duration: Duration) -> String {
    let seconds = duration.whole_seconds();
    match (seconds / 86400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0, s) => format!("{s} s"),
        (0, 0, m, 0) => format!("{m} min"),
        (0, 0, m, s) => format!("{m} min {s} s"),
        (0, h, m, _) => format!("{h} h {m} min"),
        (1, h, ..) => format!("1 day {h} h"),
        (d, h, ..) => format!("{d} days {h} h"),
    }
}

fn certain(code: &'static str, finding: impl Into<String>, remedy: impl Into<String>) -> Diagnosis {
    Diagnosis { code, certain: true, finding: finding.into(), remedy: remedy.into() }
}

fn hint(code: &'static str, finding: impl Into<String>, remedy: impl Into<String>) -> Diagnosis {
    Diagnosis { certain: false, ..certain(code, finding, remedy) }
}
