//! What looking at a request tells, without guesses: its address, the place of its signature, its times.

use hookgate_event::EventType;
use hookgate_verify::{Account, Authenticated, Rejection, Scheme, Verifier, scheme::Inspection};
use http::{HeaderMap, HeaderName};
use strsim::levenshtein;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{
    Case, Diagnosis, account, certain, describe, guesses, hint, is_broken, platform, platform_of_header,
    search::{self, Search},
};
use crate::json::Json;

const UNCHANGED: &str = "Pass the signature's headers on unchanged: whatever rewrites one of them has to leave it.";

impl Case<'_> {
    /// What an intake rejects before it looks at signatures.
    pub(super) fn outside(&self, verifies: bool) -> Vec<Diagnosis> {
        let (mut said, name, path) = (Vec::new(), self.provider().name, &self.request.path);
        if !matches!(&self.request.method[..], "" | "POST") {
            let remedy = "Deliveries are POSTs; a redirect turns a POST into a GET: use the address that needs none.";
            said.push(certain("method", "The request is not a POST: the intake answers 405.", remedy));
        }
        // Another platform's address is a reason of its own where the signature is wrong.
        if account(path, self.provider()).is_none() && (verifies || platform(path).is_none()) {
            let why = match (platform(path), hookgate_intake::address(path, name)) {
                (Some(other), None) => format!("is {}'s, not {name}'s", other.name),
                (_, Some(_)) => "names an account that is not 1 to 64 of a-z, 0-9 and -".to_owned(),
                (None, None) => format!("is not one of {name}'s"),
            };
            let remedy =
                format!("Register /webhooks/{name} or /webhooks/{name}/ACCOUNT at the platform, in lower case.");
            said.push(certain("address", format!("The address {why}: the intake rejects it."), remedy));
        }
        said
    }

    /// What is worth knowing about a request that verifies.
    pub(super) fn worth_knowing(&self, proof: &Authenticated<'_>) -> Vec<Diagnosis> {
        let mut said = Vec::new();
        if proof.secret() > 0 {
            let finding = "It verifies with an older secret of the account, not with the current one.";
            let remedy =
                "During a rotation that is right. Remove the older secret once deliveries use the current one.";
            said.push(certain("older_secret", finding, remedy));
        }
        let is_upper = |signature: &String| {
            guesses::hex(signature.as_bytes()).is_some() && signature.bytes().any(|byte| byte.is_ascii_uppercase())
        };
        if self.scheme().is_some_and(|(_, there)| there.signatures.iter().any(is_upper)) {
            let finding = "The signature is in upper-case hex. Hookgate takes it; code that compares text does not.";
            said.push(hint("upper_case_hex", finding, "Compare bytes, not text."));
        }
        match proof.read().map(|reading| reading.event.event_type) {
            Err(unreadable) => {
                let why = unreadable.as_str();
                let finding =
                    format!("It is authentic, but cannot be read as an event ({why}): it goes to quarantine.");
                said.push(certain("unreadable", finding, "Compare the body with the platform's documentation."));
            }
            Ok(EventType::Unrecognized) => {
                let finding = "Its event name is not in the platform's table: it is queued as commerce.unrecognized.";
                said.push(hint("unrecognized", finding, "Consumers see the platform's own name in providertype."));
            }
            Ok(_) => {}
        }
        said
    }

    /// Why it does not verify.
    pub(super) fn reasons(&self, rejection: Rejection) -> Vec<Diagnosis> {
        if self.verifier.is_ping(self.delivery) {
            let title = self.provider().title;
            let finding = format!("With this {title} tries an address: it is answered 200, and nothing comes of it.");
            return vec![certain("ping", finding, "Nothing to do: deliveries come with a signature.")];
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
        let search = if right { Search::default() } else { self.search(scheme, &there) };
        said.extend(Self::stamp_troubles(scheme, &there));
        said.extend(self.age(scheme, &there, right, search.matched));
        if !right && !search.matched {
            said.extend(signature_form(scheme, &there));
        }
        said.retain(|hint| search.found.iter().all(|found| found.code != hint.code));
        said.extend(search.found.iter().cloned());
        if !said.iter().any(|diagnosis| diagnosis.certain) {
            said.push(search.nothing_matches(self.secrets.of(self.account).len()));
        }
        said
    }

    /// What can be said before looking at signatures.
    fn about_the_capture(&self) -> Vec<Diagnosis> {
        const AGAIN: &str =
            "Capture the bytes before anything reads or rewrites them, or give the body with --body FILE.";
        let body = &self.delivery.body;
        let lost = String::from_utf8_lossy(body).contains('\u{fffd}');
        let note = self.request.note.as_ref().map(|note| format!("About the capture: {note}."));
        let said = [
            note.map(|note| hint("capture", note, AGAIN)),
            body.is_empty().then(|| hint("body_empty", "The captured body is empty.", AGAIN)),
            match (lost, body.starts_with(&[0x1f, 0x8b])) {
                (_, true) => Some(hint("body_compressed", "The body is compressed (gzip).", AGAIN)),
                (true, _) => {
                    Some(hint("body_lost_bytes", "The body is not UTF-8, or bytes of it were lost (\u{fffd}).", AGAIN))
                }
                (false, _) => None,
            },
        ];
        said.into_iter().flatten().collect()
    }

    fn not_a_webhook(&self) -> Diagnosis {
        let (title, page) = (self.provider().title, self.provider().documentation);
        let named = self.provider().deliveries.not_a_webhook.iter();
        let named: Vec<_> = named.copied().filter(|name| self.delivery.headers.contains_key(*name)).collect();
        let finding = format!("This is not a webhook: by {} {title} asks for something else.", named.join(", "));
        let remedy = format!("Hookgate never answers it 2xx. Point what sends it at a service of your own: {page}.");
        certain("not_a_webhook", finding, remedy)
    }

    fn unknown_account(&self) -> Diagnosis {
        let known: Vec<_> = self.secrets.accounts().map(Account::as_str).collect();
        let known = known.join(", ");
        let finding = format!("There is no secret for the account {} (there is: {known}).", self.account);
        let remedy = "Add the account to the secrets, correct the webhook's address, or choose with --account.";
        certain("unknown_account", finding, remedy)
    }

    fn repeated(&self) -> Diagnosis {
        let what = match self.verifier.schemes().first().and_then(Scheme::signature_member) {
            Some(member) => format!("The body's top-level member {member}"),
            None => "A header that must be there once (signature, delivery id or timestamp)".to_owned(),
        };
        let remedy = "Find the proxy or the sender that adds it again, and let it replace instead.";
        certain(
            "signature_repeated",
            format!("{what} is there twice: readers would disagree on which one counts."),
            remedy,
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

    /// Whether it would verify with these headers.
    fn verifies_with(&self, change: impl FnOnce(&mut HeaderMap)) -> Option<&'static str> {
        let mut changed = self.delivery.clone();
        change(&mut changed.headers);
        self.verifier.authenticate(&changed, self.secrets).ok().map(|proof| proof.scheme())
    }

    /// Headers that may be meant for the one that is missing.
    fn near_misses(&self, scheme: &Scheme, wanted: &'static str) -> Vec<Diagnosis> {
        let is_near = |name: &str| near(name, wanted) && platform_of_header(name).is_none();
        let all = self.delivery.headers.iter().filter(|(name, _)| is_near(name.as_str())).map(|(name, value)| {
            let rename = |headers: &mut HeaderMap| drop(headers.insert(HeaderName::from_static(wanted), value.clone()));
            let certain = self.verifies_with(rename).is_some();
            let finding = if certain {
                format!("The signature is right, but its header is called {name} instead of {wanted}.")
            } else {
                format!("There is a header {name}, and none called {wanted} (scheme {}).", scheme.name)
            };
            let remedy = "Pass the header on under its own name: _ and - differ, upper and lower case do not.";
            Diagnosis { certain, ..hint("header_name", finding, remedy) }
        });
        all.collect()
    }

    fn missing_member(&self, scheme: &Scheme) -> Option<Diagnosis> {
        let name = scheme.signature_member()?;
        let payload = self.provider().fields.payload_member().unwrap_or_default();
        let json = Json::parse(&self.delivery.body);
        let finding = match &json {
            None => "The body is not JSON, so it cannot hold the signature.".to_owned(),
            Some(json) if json.get(payload).and_then(|payload| payload.get(name)).is_some() => {
                format!("The signature stands inside {payload}: only the top level counts.")
            }
            Some(json) if json.get(name).is_some() => {
                "The signature member's name is written with escapes, or its value is not a string.".to_owned()
            }
            Some(_) => return None,
        };
        let remedy = format!("Send {name} at the top level, plainly written, as a string: {}.", scheme.describe_form());
        // A body that was cut off may have had it.
        Some(Diagnosis { certain: self.request.note.is_none(), ..hint("signature_member", finding, remedy) })
    }

    /// A header by which another platform signs, or an address of another platform.
    fn another_platform(&self) -> Vec<Diagnosis> {
        let headers = self.delivery.headers.keys().filter_map(|name| platform_of_header(name.as_str()));
        let mut others: Vec<_> = headers.map(|other| (other, true)).collect();
        others.extend(platform(&self.request.path).map(|other| (other, false)));
        others.retain(|(other, _)| other.name != self.provider().name);
        others.dedup_by_key(|(other, _)| other.name);
        let said = others.into_iter().map(|(other, by_header)| {
            let (name, wanted) = (other.name, self.provider().name);
            let verifier = Verifier::new(other, |_| None);
            let right = verifier.is_ok_and(|verifier| verifier.authenticate(self.delivery, self.secrets).is_ok());
            let finding = match (by_header, right) {
                (_, true) => format!("It verifies as a delivery of {name}, with the same secret."),
                (true, false) => format!("It has the header by which {name} signs, and none of {wanted}'s."),
                (false, false) => format!("Its address is {name}'s, not {wanted}'s."),
            };
            let remedy = format!("Ask hookgate explain {name}; its webhook belongs to /webhooks/{name}.");
            Diagnosis { certain: by_header || right, ..hint("another_platform", finding, remedy) }
        });
        said.collect()
    }

    /// Whether it would verify under another value of the provider's setting.
    fn other_setting(&self) -> Vec<Diagnosis> {
        let (provider, current) = (self.provider(), self.verifier.schemes());
        let (setting, wanted) =
            (provider.setting.unwrap_or_default(), current.first().map(describe).unwrap_or_default());
        let others = provider.modes.iter().filter(|(_, schemes)| !std::ptr::eq(*schemes, current));
        let said = others.filter_map(|(value, _)| {
            let other = Verifier::new(provider, |_| Some((*value).to_owned())).ok()?;
            let scheme = other.authenticate(self.delivery, self.secrets).ok()?.scheme();
            Some(certain(
                "other_setting",
                format!("It verifies with {setting}={value} (scheme {scheme}), but not as it is set."),
                format!(
                    "If that is how the platform signs, set {setting}={value}; else switch at the platform to {wanted}."
                ),
            ))
        });
        said.collect()
    }

    /// Where a newer signature decides and is wrong, and an older one beside it is right.
    fn older_signature(&self) -> Option<Diagnosis> {
        let (scheme, _) = self.scheme()?;
        let (header, newer) = (scheme.signature_header()?, scheme.name);
        let older = self.verifies_with(|headers| drop(headers.remove(header)))?;
        Some(certain(
            "older_signature_right",
            format!("The signature {older} is right, but where {newer} is there, {newer} alone decides."),
            format!(
                "Correct what is wrong with {newer}; taking its header away works too, but gives up its protection."
            ),
        ))
    }

    /// What is wrong with delivery id, timestamp, or the form around them.
    fn stamp_troubles(scheme: &Scheme, there: &Inspection) -> Vec<Diagnosis> {
        let place = scheme.signature_header().or(scheme.signature_member()).unwrap_or_default();
        let time_header = scheme.time.and_then(|time| time.header);
        let mut said = Vec::new();
        let mut say = |code, finding: String| said.push(certain(code, finding, UNCHANGED));
        for (header, value) in [(scheme.id_header(), &there.id), (time_header, &there.time_in_header)] {
            if let (Some(header), None) = (header, value) {
                say("stamp_missing", format!("The header {header} is missing: it is part of what is signed."));
            }
        }
        let is_number = |time: &String| !time.is_empty() && time.bytes().all(|byte| byte.is_ascii_digit());
        if is_broken(scheme, there) || there.time.as_ref().is_some_and(|time| !is_number(time)) {
            say("signature_form", format!("{place} is not of the form {}.", scheme.describe_form()));
        }
        if there.id.as_ref().is_some_and(|id| !Scheme::is_legal_id(id)) {
            let header = scheme.id_header().unwrap_or_default();
            say("delivery_id_form", format!("{header} is not 1 to 128 letters, digits, _ or -."));
        }
        match (time_header, &there.time_in_header, &there.time) {
            (Some(name), Some(time), Some(inside)) if time != inside => {
                let apart =
                    time.parse::<i64>().ok().zip(inside.parse().ok()).map(|(time, inside)| time.abs_diff(inside));
                let apart = apart.map_or_else(String::new, |apart| format!(": they are {} apart", words(apart)));
                say("timestamps_differ", format!("The timestamp in {name} is not the one in {place}{apart}."));
            }
            (Some(name), Some(time), None) if !is_number(time) => {
                say("timestamp_form", format!("The timestamp in {name} is not a whole number of seconds."));
            }
            _ => {}
        }
        said
    }

    /// How far the timestamp is away from now, where that is too far. A reason of its own where the signature is right, or
    /// what is wrong with it is known.
    fn age(&self, scheme: &Scheme, there: &Inspection, right: bool, known: bool) -> Option<Diagnosis> {
        let tolerance = scheme.time?.tolerance;
        let seconds: i64 = there.time.as_ref().or(there.time_in_header.as_ref())?.parse().ok()?;
        let age = self.delivery.received.unix_timestamp().saturating_sub(seconds);
        if age.unsigned_abs() <= tolerance {
            return None;
        }
        let whose = if right { "The signature is right, but its" } else { "The" };
        let (away, allowed) = (words(age.unsigned_abs()), words(tolerance));
        let at = self.request.received.and_then(|time| time.replace_nanosecond(0).ok());
        let at = || at.or_else(|| OffsetDateTime::from_unix_timestamp(seconds).ok())?.format(&Rfc3339).ok();
        let (code, finding, remedy) = if seconds >= 100_000_000_000 {
            let unit = ["milli", "micro", "nano"][(seconds.ilog10() as usize / 3 - 4).clamp(0, 2)];
            let remedy = "Send Unix seconds: Math.floor(Date.now() / 1000).".to_owned();
            ("timestamp_unit", format!("timestamp is in {unit}seconds; it must be in seconds."), remedy)
        } else if age > 0 {
            let remedy = "Else it is a replay, a retry with its old signature, a queue in front of the intake, or a clock that is off.";
            let remedy = format!("For a request captured earlier say when it came: --at {}. {remedy}", at()?);
            ("timestamp_expired", format!("timestamp is {away} old; {allowed} are allowed."), remedy)
        } else {
            let remedy = format!("One of the clocks is off (date -u; NTP), or --at is too early: try --at {}.", at()?);
            ("timestamp_in_the_future", format!("timestamp is {away} ahead of now; {allowed} are allowed."), remedy)
        };
        Some(Diagnosis { certain: right || known, ..hint(code, format!("{whose} {finding}"), remedy) })
    }
}

/// What is wrong with the signature's text itself, where no part of it matches.
fn signature_form(scheme: &Scheme, there: &Inspection) -> Option<Diagnosis> {
    let wanted = scheme.describe_form();
    if is_broken(scheme, there) || scheme.is_spelled(&there.written) {
        return None;
    }
    if there.written.trim().is_empty() {
        let remedy = "The sender has no secret, or failed to sign: set the secret at the platform.";
        return Some(certain(
            "signature_empty",
            format!("The signature is there, and empty. Wanted: {wanted}."),
            remedy,
        ));
    }
    if search::is_repeated(scheme, there) {
        return Some(search::repeated());
    }
    let length = there.signatures.first().map_or(0, |signature| signature.chars().count());
    let finding = format!("The signature is not of the form {wanted}: it has {length} characters.");
    let remedy =
        "It was cut off, or is something else: an API key, a token, another scheme's or another hash's signature.";
    let is_mac = !search::claims(scheme, there).is_empty();
    Some(Diagnosis { certain: !is_mac, ..hint("signature_form", finding, remedy) })
}

/// Whether a header's name may be meant for another: spelled with underscores, as CGI hands it over, with a letter or
/// two wrong, or about a signature at all.
fn near(name: &str, wanted: &str) -> bool {
    let plain = |name: &str| {
        let name = name.to_ascii_lowercase().replace('_', "-");
        name.strip_prefix("http-").map_or(name.clone(), str::to_owned)
    };
    let name = plain(name);
    levenshtein(&name, &plain(wanted)) <= 2 || ["signature", "hmac", "hub-sig"].iter().any(|word| name.contains(word))
}

/// So many seconds, in the two largest of their units.
fn words(seconds: u64) -> String {
    match (seconds / 86400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0, s) => format!("{s} s"),
        (0, 0, m, 0) => format!("{m} min"),
        (0, 0, m, s) => format!("{m} min {s} s"),
        (0, h, m, _) => format!("{h} h {m} min"),
        (1, h, ..) => format!("1 day {h} h"),
        (d, h, ..) => format!("{d} days {h} h"),
    }
}
