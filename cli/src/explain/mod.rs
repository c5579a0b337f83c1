//! Why a captured request does or does not verify, in plain words. Pure: a request, secrets and a time in, diagnoses out.
//!
//! The verdict is the intake's own, by [`Verifier::authenticate`]. Where it is no, a finite table of guesses is tried
//! one by one and then two together; one that makes the signature match is the reason. Nothing here shows a secret, a
//! whole MAC, or the body.

mod guesses;
pub mod json;
mod search;

use std::fmt::Write;

use hookgate_event::EventType;
use hookgate_verify::{
    Account, Delivery, Provider, Rejection, Scheme, Secrets, Verifier,
    scheme::{Inspection, MAX_SIGNATURES},
};
use http::HeaderName;
use time::{Duration, OffsetDateTime};

use crate::capture::{Request, platform_of_header};

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

impl Case<'_> {
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
        let text = search::own_text(scheme, &there, &self.delivery.body)?;
        let secret = self.secrets.current(self.account);
        let expected = secret.and_then(|secret| search::mac(scheme.hash, scheme.key, secret, &text));
        let received = search::claims(scheme, &there);
        Some(Signed {
            scheme: describe(scheme),
            what: format!("{}: {}", scheme.describe_signed(), shape(&text)),
            text,
            expected: expected.map(|mac| start(&mac)),
            received: received.first().map(|claim| start(&claim.mac)),
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
        let upper = |signature: &String| {
            guesses::hex(signature.as_bytes()).is_some() && signature.bytes().any(|byte| byte.is_ascii_uppercase())
        };
        if self.scheme().is_some_and(|(_, there)| there.signatures.iter().any(upper)) {
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
            Rejection::NotAWebhook => return vec![self.not_a_webhook()],
            Rejection::UnknownAccount => said.push(self.unknown_account()),
            Rejection::Missing => said.extend(self.missing()),
            Rejection::Repeated => said.push(self.repeated()),
            Rejection::Malformed | Rejection::Mismatch | Rejection::Expired => {}
        }
        said.extend(self.older_signature());
        let Some((scheme, there)) = self.scheme() else {
            if rejection == Rejection::Malformed {
                said.extend(self.verifier.schemes().first().and_then(|scheme| self.missing_member(scheme)));
            }
            return said;
        };
        said.extend(self.stamp_troubles(scheme, &there, rejection));
        if rejection == Rejection::Expired {
            return said;
        }
        said.extend(self.search(scheme, &there));
        said.extend(signature_form(scheme, &there));
        if !said.iter().any(|diagnosis| diagnosis.certain) {
            said.push(self.nothing_matches(scheme, &there));
        }
        said
    }

    fn not_a_webhook(&self) -> Diagnosis {
        let provider = self.provider();
        let headers =
            provider.deliveries.not_a_webhook.iter().filter(|name| self.delivery.headers.contains_key(**name));
        let headers: Vec<_> = headers.copied().collect();
        certain(
            "not_a_webhook",
            format!(
                "This is no webhook: by {} {} asks for something else, and does something with a 2xx.",
                headers.join(", "),
                provider.title
            ),
            format!(
                "Hookgate never answers it 2xx. Point what sends it at a service of your own: {} says what it is.",
                provider.documentation
            ),
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
        if let Some(member) = self.verifier.schemes().first().and_then(Scheme::signature_member) {
            return certain(
                "signature_repeated",
                format!("The body has two top-level members {member}: readers would disagree on which one counts."),
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
            said.extend(scheme.signature_header().into_iter().flat_map(|name| self.near_misses(scheme, name)));
            said.extend(self.missing_member(scheme));
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
        let setting = self.provider().setting?;
        let there = self.provider().schemes().find(|scheme| scheme.inspect(self.delivery).is_some())?;
        Some(hint(
            "scheme_refused",
            format!("Only the signature {} is there, which {setting} refuses as it is set.", there.name),
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

    fn missing_member(&self, scheme: &Scheme) -> Option<Diagnosis> {
        let name = scheme.signature_member()?;
        let payload = self.provider().fields.payload_member().unwrap_or_default();
        let json = crate::explain::json::Json::parse(&self.delivery.body);
        let (finding, remedy) = match &json {
            None => (
                "The body is no JSON, so it cannot hold the signature.".to_owned(),
                "Send the body as the platform writes it.".to_owned(),
            ),
            Some(json) if json.get(payload).and_then(|payload| payload.get(name)).is_some() => (
                format!("The signature stands inside {payload}: only the top level counts."),
                format!("Put the signature beside {payload}, not into it."),
            ),
            Some(json) if json.get(name).is_some() => (
                "The signature member's name is written with escapes, or its value is no string.".to_owned(),
                format!("Write the name plainly, and the value as a string: {}.", scheme.describe_form()),
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
                let setting = provider.setting.unwrap_or_default();
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
        let (scheme, _) = self.scheme()?;
        let mut stripped = self.delivery.clone();
        stripped.headers.remove(scheme.signature_header()?);
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
    fn stamp_troubles(&self, scheme: &Scheme, there: &Inspection, rejection: Rejection) -> Vec<Diagnosis> {
        let place = scheme.signature_header().or(scheme.signature_member()).unwrap_or_default();
        let time_header = scheme.time.and_then(|time| time.header);
        let mut said = Vec::new();
        for (header, value, meant) in
            [(scheme.id_header(), &there.id, "delivery id"), (time_header, &there.time_in_header, "timestamp")]
        {
            if let (Some(header), None) = (header, value) {
                said.push(certain(
                    "stamp_missing",
                    format!("The header {header} is missing: the {meant} is part of what is signed."),
                    format!("Pass {header} on unchanged; it comes together with {place}."),
                ));
            }
        }
        let is_number = |time: &String| !time.is_empty() && time.bytes().all(|byte| byte.is_ascii_digit());
        if is_broken(scheme, there) || there.time.as_ref().is_some_and(|time| !is_number(time)) {
            said.push(certain(
                "signature_form",
                format!("{place} is not of the form {}.", scheme.describe_form()),
                "Pass it on unchanged: no spaces, nothing cut at its separators.",
            ));
        }
        if there.id.as_ref().is_some_and(|id| !Scheme::is_legal_id(id)) {
            said.push(certain(
                "delivery_id_form",
                format!("{} is not 1 to 128 letters, digits, _ or -.", scheme.id_header().unwrap_or_default()),
                "Pass the header on unchanged; a dot in it would make the signed text ambiguous.",
            ));
        }
        if let (Some(name), Some(time)) = (time_header, &there.time_in_header) {
            match &there.time {
                Some(inside) if inside != time => said.push(certain(
                    "timestamps_differ",
                    format!("The timestamp in {name} is not the one in {place}{}.", apart(time, inside)),
                    "Both must be the same text: whatever rewrites one of them has to leave it.",
                )),
                None if !is_number(time) => said.push(certain(
                    "timestamp_form",
                    format!("The timestamp in {name} is no whole number of seconds."),
                    "Pass the header on unchanged.",
                )),
                _ => {}
            }
        }
        said.extend(self.age(scheme, there, rejection));
        said
    }

    /// How far the timestamp is away from now, where that is too far.
    fn age(&self, scheme: &Scheme, there: &Inspection, rejection: Rejection) -> Option<Diagnosis> {
        let tolerance = scheme.time?.tolerance;
        let seconds: i64 = there.time.as_ref().or(there.time_in_header.as_ref())?.parse().ok()?;
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
}

/// What is wrong with the signature's text itself.
fn signature_form(scheme: &Scheme, there: &Inspection) -> Option<Diagnosis> {
    if is_broken(scheme, there) {
        return None;
    }
    let wanted = scheme.describe_form();
    if there.written.trim().is_empty() {
        return Some(certain(
            "signature_empty",
            format!("The signature is there, and empty. Wanted: {wanted}."),
            "The sender has no secret, or failed to sign: set the secret at the platform.",
        ));
    }
    if !scheme.has_fields() && there.written.contains(',') {
        return Some(certain(
            "signature_repeated",
            "The signature holds a comma: API Gateway joins a header that comes twice.",
            "Find the proxy or the sender that adds it again, and let it replace instead.",
        ));
    }
    search::claims(scheme, there).is_empty().then(|| {
        let characters = there.signatures.first().map_or(0, |signature| signature.chars().count());
        certain(
            "signature_form",
            format!("The signature is no MAC: {characters} characters, and wanted is {wanted}."),
            "It was cut off, or is something else: an API key, a token, a signature over another hash.",
        )
    })
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
