//! What looking at a request tells, without guesses: its address, the place of its signature, its times.

use hookgate_event::EventType;
use hookgate_verify::{Authenticated, Scheme, Verifier, providers, scheme::Inspection};
use http::HeaderName;
use strsim::levenshtein;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{Case, Diagnosis, certain, describe, diagnosis, is_broken, search, texts};
use crate::{arguments, json::Json, output::span};

impl Case<'_> {
    /// What an intake rejects before it looks at signatures.
    pub(super) fn outside(&self, verifies: bool) -> Vec<Diagnosis> {
        let (provider, path) = (self.provider(), &self.request.path);
        let wrong_method = !matches!(&self.request.method[..], "" | "POST");
        // Another platform's address is a reason of its own where the signature is wrong.
        let wrong_address =
            arguments::account_of(path, provider).is_none() && (verifies || arguments::platform(path).is_none());
        let said = [(wrong_method, texts::METHOD), (wrong_address, texts::ADDRESS)].into_iter();
        said.filter(|(wrong, _)| *wrong).map(|(_, reason)| certain(reason, &[provider.name])).collect()
    }

    pub(super) fn about_the_capture(&self) -> Vec<Diagnosis> {
        let body = String::from_utf8_lossy(&self.delivery.body);
        let empty = body.is_empty().then_some("the body is empty");
        let lost = body.contains('\u{fffd}').then_some("the body is not UTF-8: it is compressed, or bytes were lost");
        let notes = [self.request.note.as_deref(), empty, lost];
        notes.into_iter().flatten().map(|note| diagnosis(false, texts::CAPTURE, &[note])).collect()
    }

    /// Where no signature of the provider is there, or none that can be read.
    pub(super) fn missing(&self) -> Vec<Diagnosis> {
        let schemes = self.verifier.schemes();
        let mut said = self.near_misses();
        said.extend(self.another_platform(said.iter().any(|renamed| renamed.certain)));
        said.extend(schemes.iter().find_map(|scheme| self.missing_member(scheme)));
        if !said.iter().any(|diagnosis| diagnosis.certain) {
            let expected = schemes.iter().map(describe).collect::<Vec<_>>().join("; or ");
            said.push(diagnosis(!self.delivery.headers.is_empty(), texts::SIGNATURE_MISSING, &[&expected]));
        }
        said
    }

    /// Up to eight headers that may be meant for the missing one, with what else is wrong; another platform's only if right.
    fn near_misses(&self) -> Vec<Diagnosis> {
        let addressed = arguments::platform(&self.request.path).map(|named| named.name);
        let missing = self.verifier.schemes().iter().filter_map(Scheme::signature_header);
        let pairs = missing.flat_map(|missing| self.delivery.headers.iter().map(move |header| (missing, header)));
        let near = pairs.filter(|(missing, (name, _))| near(name.as_str(), missing)).take(8);
        let said = near.flat_map(|(missing, (name, value))| {
            let mut delivery = self.delivery.clone();
            delivery.headers.insert(HeaderName::from_static(missing), value.clone());
            let renamed = Case { delivery: &delivery, ..*self };
            let found = renamed.scheme().and_then(|(scheme, there)| renamed.search(scheme, &there, 1).ok());
            let theirs = arguments::platform_of_header(name.as_str()).map(|theirs| theirs.name);
            let is_meant = theirs.is_none() || found.is_some() && theirs != addressed;
            let named = diagnosis(found.is_some(), texts::HEADER_NAME, &[name.as_str(), missing]);
            is_meant.then_some([named].into_iter().chain(found.unwrap_or_default())).into_iter().flatten()
        });
        said.collect()
    }

    fn missing_member(&self, scheme: &Scheme) -> Option<Diagnosis> {
        let name = scheme.signature_member()?;
        let payload = self.provider().fields.payload_member().unwrap_or_default();
        let why = match Json::parse(&self.delivery.body) {
            None => "the body is not JSON".to_owned(),
            Some(json) if json.get(name).is_some() => "its name has escapes, or its value is not a string".to_owned(),
            Some(json) if json.get(payload)?.get(name).is_some() => format!("it is inside {payload}"),
            Some(_) => return None,
        };
        // A body that was cut off may have had it.
        let certain = self.request.note.is_none();
        Some(diagnosis(certain, texts::SIGNATURE_MEMBER, &[name, &scheme.describe_form(), &why]))
    }

    /// Platforms whose delivery it may be instead: only the address's where a renamed header has `explained` it.
    fn another_platform(&self, explained: bool) -> Vec<Diagnosis> {
        let (own, named) = (self.provider().name, arguments::platform(&self.request.path));
        let verifier = |other| Verifier::new(other, |_| None).ok();
        let renames = |verifier| Case { verifier, ..*self }.near_misses().iter().any(|renamed| renamed.certain);
        let renamed_there = named.and_then(verifier).is_some_and(renames);
        let others = providers::ALL.iter().filter(|other| other.name != own).filter_map(|other| {
            let is_named = named.is_some_and(|named| named.name == other.name);
            let mut headers = other.schemes().filter_map(Scheme::signature_header);
            let (certain, why) = if verifier(other)?.authenticate(self.delivery, self.secrets).is_ok() {
                (true, "it verifies as one, with the same secret")
            } else if is_named && renamed_there {
                (true, "its address says so, and it verifies as one with its signature's header renamed")
            } else if headers.any(|header| self.delivery.headers.contains_key(header)) {
                (is_named, "it has the header in which that platform signs")
            } else {
                (false, is_named.then_some("its address says so")?)
            };
            let counts = is_named || !explained && !renamed_there;
            counts.then(|| diagnosis(certain, texts::ANOTHER_PLATFORM, &[other.name, own, why]))
        });
        others.collect()
    }

    /// Where the scheme is one that only another value of the provider's setting accepts.
    pub(super) fn other_setting(&self, scheme: &Scheme) -> Option<Diagnosis> {
        let accept = |schemes: &[Scheme]| schemes.iter().any(|accepted| accepted.name == scheme.name);
        let mut others = self.provider().modes.iter().filter(|_| !accept(self.verifier.schemes()));
        let (value, _) = others.find(|(_, schemes)| accept(schemes))?;
        let current = self.verifier.schemes().first().map(describe)?;
        Some(certain(texts::OTHER_SETTING, &[self.provider().setting?, value, scheme.name, &current]))
    }

    /// Where a newer signature decides and is wrong, and an older one beside it is right.
    pub(super) fn older_signature(&self, scheme: &Scheme) -> Option<Diagnosis> {
        let mut older = self.delivery.clone();
        older.headers.remove(scheme.signature_header()?);
        let older = self.verifier.authenticate(&older, self.secrets).ok()?;
        Some(certain(texts::OLDER_SIGNATURE_RIGHT, &[older.scheme(), scheme.name]))
    }

    /// How far the timestamp is away from now, where that is too far: a reason where what else is wrong is `known`.
    pub(super) fn age(&self, scheme: &Scheme, there: &Inspection, known: bool) -> Option<Diagnosis> {
        let tolerance = scheme.time?.tolerance;
        let seconds: u64 = there.time.as_ref().or(there.time_in_header.as_ref())?.parse().ok()?;
        let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
        let age = self.delivery.received.unix_timestamp().saturating_sub(seconds);
        if age.unsigned_abs() <= tolerance {
            return None;
        }
        if seconds >= 100_000_000_000 {
            return Some(diagnosis(known, texts::TIMESTAMP_UNIT, &[&seconds.to_string().len().to_string()]));
        }
        let at = OffsetDateTime::from_unix_timestamp(seconds).ok()?.format(&Rfc3339).ok()?;
        let away = format!("{} {}", span(age.unsigned_abs()), if age > 0 { "old" } else { "in the future" });
        Some(diagnosis(known, texts::TIMESTAMP_EXPIRED, &[&away, &span(tolerance), &at]))
    }
}

/// What is worth knowing about a request that verifies.
pub(super) fn worth_knowing(proof: &Authenticated<'_>) -> Vec<Diagnosis> {
    let event = match proof.read().map(|reading| reading.event.event_type) {
        Err(unreadable) => Some(certain(texts::UNREADABLE, &[unreadable.as_str()])),
        Ok(EventType::Unrecognized) => Some(diagnosis(false, texts::UNRECOGNIZED, &[])),
        Ok(_) => None,
    };
    (proof.secret() > 0).then(|| certain(texts::OLDER_SECRET, &[])).into_iter().chain(event).collect()
}

/// What is wrong with delivery id, timestamp, or the form around them.
pub(super) fn stamp_troubles(scheme: &Scheme, there: &Inspection) -> Vec<Diagnosis> {
    let place = scheme.signature_header().or(scheme.signature_member()).unwrap_or_default();
    let time_header = scheme.time.and_then(|time| time.header);
    // As an intake reads it: `parse` alone would take a plus sign.
    let is_number = |time: &str| time.bytes().all(|byte| byte.is_ascii_digit()) && time.parse::<u64>().is_ok();
    let is_form = there.well_formed && there.time.as_deref().is_none_or(is_number);
    let mut said = Vec::new();
    for (name, is_valid, form) in [
        (scheme.id_header(), there.id.as_deref().map(Scheme::is_legal_id), "1 to 128 letters, digits, _ or -"),
        (time_header, there.time_in_header.as_deref().map(is_number), "Unix seconds"),
        (scheme.has_fields().then_some(place), Some(is_form), &scheme.describe_form()),
    ] {
        said.extend(name.and_then(|name| match is_valid {
            None => Some(certain(texts::STAMP_MISSING, &[name])),
            Some(is_valid) => (!is_valid).then(|| certain(texts::HEADER_FORM, &[name, form])),
        }));
    }
    let differ = there.time.is_some() && there.time_in_header.is_some() && there.time != there.time_in_header;
    said.extend(time_header.filter(|_| differ).map(|header| certain(texts::TIMESTAMPS_DIFFER, &[header, place])));
    said
}

/// What is wrong with the signature's text itself, where no part of it matches.
pub(super) fn signature_form(scheme: &Scheme, there: &Inspection) -> Option<Diagnosis> {
    if is_broken(scheme, there) || scheme.is_spelled(&there.written) {
        return None;
    }
    if search::is_repeated(scheme, there) {
        return Some(diagnosis(false, texts::REPEATED, &[]));
    }
    let length = there.signatures.first().map_or(0, |signature| signature.chars().count());
    let certain = search::claims(there).is_empty();
    Some(diagnosis(certain, texts::SIGNATURE_FORM, &[&scheme.describe_form(), &length.to_string()]))
}

/// Whether a header's name may be meant for another: spelled with underscores, as CGI hands it over, with a letter or
/// two wrong, or about a signature at all.
fn near(name: &str, wanted: &str) -> bool {
    let name = name.replace('_', "-").replace("http-", "");
    let is_known = arguments::platform_of_header(&name).is_some();
    is_known || levenshtein(&name, wanted) <= 2 || ["signature", "hmac"].iter().any(|word| name.contains(word))
}
