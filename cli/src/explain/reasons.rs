//! What looking at a request tells, without guesses: its address, the place of its signature, its times.

use hookgate_event::EventType;
use hookgate_verify::{Account, Authenticated, Scheme, Verifier, scheme::Inspection};
use http::{HeaderMap, HeaderName};
use strsim::levenshtein;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{
    Case, Diagnosis, account, certain, describe, guesses, hint, is_broken, platform, platform_of_header, search, texts,
};
use crate::json::Json;

impl Case<'_> {
    /// What an intake rejects before it looks at signatures.
    pub(super) fn outside(&self, verifies: bool) -> Vec<Diagnosis> {
        let (mut said, name, path) = (Vec::new(), self.provider().name, &self.request.path);
        if !matches!(&self.request.method[..], "" | "POST") {
            said.push(certain(texts::METHOD, &[]));
        }
        // Another platform's address is a reason of its own where the signature is wrong.
        if account(path, self.provider()).is_none() && (verifies || platform(path).is_none()) {
            let why = match (platform(path), hookgate_intake::address(path, name)) {
                (Some(other), None) => format!("is {}'s, not {name}'s", other.name),
                (_, Some(_)) => "names an account that is not 1 to 64 of a-z, 0-9 and -".to_owned(),
                (None, None) => format!("is not one of {name}'s"),
            };
            said.push(certain(texts::ADDRESS, &[&why, name]));
        }
        said
    }

    /// What is worth knowing about a request that verifies.
    pub(super) fn worth_knowing(&self, proof: &Authenticated<'_>) -> Vec<Diagnosis> {
        let is_upper = |signature: &String| {
            guesses::hex(signature.as_bytes()).is_some() && signature.bytes().any(|byte| byte.is_ascii_uppercase())
        };
        let is_upper = self.scheme().is_some_and(|(_, there)| there.signatures.iter().any(is_upper));
        let event = match proof.read().map(|reading| reading.event.event_type) {
            Err(unreadable) => Some(certain(texts::UNREADABLE, &[unreadable.as_str()])),
            Ok(EventType::Unrecognized) => Some(hint(texts::UNRECOGNIZED, &[])),
            Ok(_) => None,
        };
        let older = (proof.secret() > 0).then(|| certain(texts::OLDER_SECRET, &[]));
        let upper = is_upper.then(|| hint(texts::UPPER_CASE_HEX, &[]));
        [older, upper, event].into_iter().flatten().collect()
    }

    /// What can be said before looking at signatures.
    pub(super) fn about_the_capture(&self) -> Vec<Diagnosis> {
        let body = &self.delivery.body;
        let compressed = body.starts_with(&[0x1f, 0x8b]);
        let lost = !compressed && String::from_utf8_lossy(body).contains('\u{fffd}');
        let said = [
            self.request.note.as_ref().map(|note| hint(texts::CAPTURE, &[note])),
            body.is_empty().then(|| hint(texts::BODY_EMPTY, &[])),
            compressed.then(|| hint(texts::BODY_COMPRESSED, &[])),
            lost.then(|| hint(texts::BODY_LOST_BYTES, &[])),
        ];
        said.into_iter().flatten().collect()
    }

    pub(super) fn not_a_webhook(&self) -> Diagnosis {
        let provider = self.provider();
        let named = provider.deliveries.not_a_webhook.iter().copied();
        let named: Vec<_> = named.filter(|name| self.delivery.headers.contains_key(*name)).collect();
        certain(texts::NOT_A_WEBHOOK, &[&named.join(", "), provider.title, provider.documentation])
    }

    pub(super) fn unknown_account(&self) -> Diagnosis {
        let known: Vec<_> = self.secrets.accounts().map(Account::as_str).collect();
        certain(texts::UNKNOWN_ACCOUNT, &[self.delivery.account.as_str(), &known.join(", ")])
    }

    pub(super) fn repeated(&self) -> Diagnosis {
        let what = match self.verifier.schemes().first().and_then(Scheme::signature_member) {
            Some(member) => format!("The body's top-level member {member}"),
            None => "A header that must be there once (signature, delivery id or timestamp)".to_owned(),
        };
        certain(texts::REPEATED, &[&what])
    }

    /// Where no signature of the provider is there.
    pub(super) fn missing(&self) -> Vec<Diagnosis> {
        let mut said = Vec::new();
        for scheme in self.verifier.schemes() {
            said.extend(scheme.signature_header().into_iter().flat_map(|name| self.near_misses(scheme, name)));
            said.extend(self.missing_member(scheme));
        }
        said.extend(self.another_platform());
        said.extend(self.refused_scheme());
        if !said.iter().any(|diagnosis| diagnosis.certain) {
            let wanted: Vec<_> = self.verifier.schemes().iter().map(describe).collect();
            said.push(certain(texts::SIGNATURE_MISSING, &[&wanted.join("; or ")]));
        }
        said
    }

    /// A signature that is there, of a scheme that the setting refuses.
    fn refused_scheme(&self) -> Option<Diagnosis> {
        let setting = self.provider().setting?;
        let there = self.provider().schemes().find(|scheme| scheme.inspect(self.delivery).is_some())?;
        let wanted = describe(self.verifier.schemes().first()?);
        Some(hint(texts::SCHEME_REFUSED, &[there.name, setting, &wanted]))
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
            match self.verifies_with(rename) {
                Some(_) => certain(texts::HEADER_RENAMED, &[name.as_str(), wanted]),
                None => hint(texts::HEADER_ALIKE, &[name.as_str(), wanted, scheme.name]),
            }
        });
        all.collect()
    }

    pub(super) fn missing_member(&self, scheme: &Scheme) -> Option<Diagnosis> {
        let name = scheme.signature_member()?;
        let payload = self.provider().fields.payload_member().unwrap_or_default();
        let reason = match Json::parse(&self.delivery.body) {
            None => texts::NOT_JSON,
            Some(json) if json.get(payload).is_some_and(|payload| payload.get(name).is_some()) => texts::MEMBER_INSIDE,
            Some(json) if json.get(name).is_some() => texts::MEMBER_ESCAPED,
            Some(_) => return None,
        };
        // A body that was cut off may have had it.
        let certain = self.request.note.is_none();
        Some(Diagnosis { certain, ..hint(reason, &[name, &scheme.describe_form(), payload]) })
    }

    /// A header by which another platform signs, or an address of another platform.
    fn another_platform(&self) -> Vec<Diagnosis> {
        let headers = self.delivery.headers.keys().filter_map(|name| platform_of_header(name.as_str()));
        let others = headers.map(|other| (other, true)).chain(platform(&self.request.path).map(|other| (other, false)));
        let mut others: Vec<_> = others.filter(|(other, _)| other.name != self.provider().name).collect();
        others.dedup_by_key(|(other, _)| other.name);
        let said = others.into_iter().map(|(other, by_header)| {
            let verifier = Verifier::new(other, |_| None);
            let right = verifier.is_ok_and(|verifier| verifier.authenticate(self.delivery, self.secrets).is_ok());
            let reason = match (by_header, right) {
                (_, true) => texts::RIGHT_FOR_ANOTHER,
                (true, false) => texts::HEADER_OF_ANOTHER,
                (false, false) => texts::ADDRESS_OF_ANOTHER,
            };
            Diagnosis { certain: by_header || right, ..hint(reason, &[other.name, self.provider().name]) }
        });
        said.collect()
    }

    /// Whether it would verify under another value of the provider's setting.
    pub(super) fn other_setting(&self) -> Vec<Diagnosis> {
        let (provider, current) = (self.provider(), self.verifier.schemes());
        let wanted = current.first().map(describe).unwrap_or_default();
        let others = provider.modes.iter().filter(|(_, schemes)| !std::ptr::eq(*schemes, current));
        let said = others.filter_map(|(value, _)| {
            let other = Verifier::new(provider, |_| Some((*value).to_owned())).ok()?;
            let scheme = other.authenticate(self.delivery, self.secrets).ok()?.scheme();
            Some(certain(texts::OTHER_SETTING, &[provider.setting?, value, scheme, &wanted]))
        });
        said.collect()
    }

    /// Where a newer signature decides and is wrong, and an older one beside it is right.
    pub(super) fn older_signature(&self) -> Option<Diagnosis> {
        let (scheme, _) = self.scheme()?;
        let header = scheme.signature_header()?;
        let older = self.verifies_with(|headers| drop(headers.remove(header)))?;
        Some(certain(texts::OLDER_SIGNATURE_RIGHT, &[older, scheme.name]))
    }

    /// How far the timestamp is away from now, where that is too far. A reason of its own where the signature is right, or
    /// what is wrong with it is known.
    pub(super) fn age(&self, scheme: &Scheme, there: &Inspection, right: bool, known: bool) -> Option<Diagnosis> {
        let tolerance = scheme.time?.tolerance;
        let seconds: u64 = there.time.as_ref().or(there.time_in_header.as_ref())?.parse().ok()?;
        let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
        let age = self.delivery.received.unix_timestamp().saturating_sub(seconds);
        if age.unsigned_abs() <= tolerance {
            return None;
        }
        let whose = if right { "The signature is right, but its" } else { "The" };
        let at = self.request.received.and_then(|time| time.replace_nanosecond(0).ok());
        let at = || at.or_else(|| OffsetDateTime::from_unix_timestamp(seconds).ok())?.format(&Rfc3339).ok();
        let (away, allowed) = (duration(age.unsigned_abs()), duration(tolerance));
        let said = match seconds {
            1_000_000_000_000_000_000.. => hint(texts::TIMESTAMP_UNIT, &[whose, "nanoseconds"]),
            1_000_000_000_000_000.. => hint(texts::TIMESTAMP_UNIT, &[whose, "microseconds"]),
            100_000_000_000.. => hint(texts::TIMESTAMP_UNIT, &[whose, "milliseconds"]),
            _ if age > 0 => hint(texts::TIMESTAMP_EXPIRED, &[whose, &away, &allowed, &at()?]),
            _ => hint(texts::TIMESTAMP_IN_THE_FUTURE, &[whose, &away, &allowed, &at()?]),
        };
        Some(Diagnosis { certain: right || known, ..said })
    }
}

/// What is wrong with delivery id, timestamp, or the form around them.
pub(super) fn stamp_troubles(scheme: &Scheme, there: &Inspection) -> Vec<Diagnosis> {
    let place = scheme.signature_header().or(scheme.signature_member()).unwrap_or_default();
    let (id_header, time_header) = (scheme.id_header(), scheme.time.and_then(|time| time.header));
    let mut said = Vec::new();
    for (header, value) in [(id_header, &there.id), (time_header, &there.time_in_header)] {
        said.extend(header.filter(|_| value.is_none()).map(|header| certain(texts::STAMP_MISSING, &[header])));
    }
    // As an intake reads it: `parse` alone would take a plus sign.
    let is_number = |time: &String| time.bytes().all(|byte| byte.is_ascii_digit()) && time.parse::<u64>().is_ok();
    if is_broken(scheme, there) || there.time.as_ref().is_some_and(|time| !is_number(time)) {
        said.push(certain(texts::FIELDS_FORM, &[place, &scheme.describe_form()]));
    }
    if there.id.as_ref().is_some_and(|id| !Scheme::is_legal_id(id)) {
        said.push(certain(texts::DELIVERY_ID_FORM, &[id_header.unwrap_or_default()]));
    }
    match (time_header, &there.time_in_header, &there.time) {
        (Some(name), Some(time), Some(inside)) if time != inside => {
            let apart = time.parse::<i64>().ok().zip(inside.parse().ok()).map(|(time, inside)| time.abs_diff(inside));
            let apart = apart.map_or_else(String::new, |apart| format!(": they are {} apart", duration(apart)));
            said.push(certain(texts::TIMESTAMPS_DIFFER, &[name, place, &apart]));
        }
        (Some(name), Some(time), None) if !is_number(time) => said.push(certain(texts::TIMESTAMP_FORM, &[name])),
        _ => {}
    }
    said
}

/// What is wrong with the signature's text itself, where no part of it matches.
pub(super) fn signature_form(scheme: &Scheme, there: &Inspection) -> Option<Diagnosis> {
    let wanted = scheme.describe_form();
    if is_broken(scheme, there) || scheme.is_spelled(&there.written) {
        return None;
    }
    if there.written.trim().is_empty() {
        return Some(certain(texts::SIGNATURE_EMPTY, &[&wanted]));
    }
    if search::is_repeated(scheme, there) {
        return Some(hint(texts::JOINED, &[]));
    }
    let length = there.signatures.first().map_or(0, |signature| signature.chars().count());
    let certain = search::claims(scheme, there).is_empty();
    Some(Diagnosis { certain, ..hint(texts::SIGNATURE_FORM, &[&wanted, &length.to_string()]) })
}

/// Whether a header's name may be meant for another: spelled with underscores, as CGI hands it over, with a letter or
/// two wrong, or about a signature at all.
fn near(name: &str, wanted: &str) -> bool {
    let name = name.replace('_', "-");
    let name = name.trim_start_matches("http-");
    levenshtein(name, wanted) <= 2 || ["signature", "hmac", "hub-sig"].iter().any(|word| name.contains(word))
}

/// So many seconds, in the two largest of their units.
fn duration(seconds: u64) -> String {
    match (seconds / 86400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0, s) => format!("{s} s"),
        (0, 0, m, 0) => format!("{m} min"),
        (0, 0, m, s) => format!("{m} min {s} s"),
        (0, h, m, _) => format!("{h} h {m} min"),
        (1, h, ..) => format!("1 day {h} h"),
        (d, h, ..) => format!("{d} days {h} h"),
    }
}
