//! Goes through the known mistakes: with which secret, over which body and which text the signature was made. There are
//! three lists of alternatives; any two mistakes are tried together, of one list or of two.

use std::{collections::HashSet, iter};

use hookgate_verify::{
    Provider, Scheme, providers,
    scheme::{Hash, Inspection, KeyForm},
};

use super::{
    Case, Diagnosis, certain, diagnosis,
    guesses::{self, AROUND, BODIES, Guess, REENCODED, SECRETS},
    is_broken, texts,
};

/// So many bytes of texts and bodies are gone through for one delivery. What is left then is not tried.
const MOST_BYTES: usize = 128 * 1024 * 1024;
/// JSON that is longer is not written again: that is slow.
const MOST_JSON: usize = 512 * 1024;
const NOT_ALL: &str = "not all, because the body is long";

/// What a part of the signature's text may stand for, and how it is written then.
type Claim = (Vec<u8>, &'static str);

/// A secret or a body: as it is, or as guesses make it.
#[derive(Clone)]
struct Candidate {
    bytes: Vec<u8>,
    guesses: Vec<Diagnosis>,
}

/// What may have been signed of a body.
pub(super) struct Text {
    pub guesses: Vec<Diagnosis>,
    scheme: &'static Scheme,
    /// None where it is left out.
    id: Option<String>,
    time: String,
}

impl Candidate {
    /// This, and what up to so many guesses make of it. Made when it is asked for: a body may be long.
    fn guessed(self, most: usize, table: &'static [Guess], scheme: &'static Scheme) -> Box<dyn Iterator<Item = Self>> {
        let before = self.clone();
        let next = table.iter().filter(move |_| most > 0).flat_map(move |Guess(reason, make)| {
            let is_around = before.guesses.iter().any(|made| AROUND.contains(&made.code));
            let skipped = reason.0 == REENCODED && (is_around || before.bytes.len() > MOST_JSON);
            let made = if skipped { Vec::new() } else { make(&before.bytes, scheme) };
            let made = made.into_iter().filter(|(_, bytes)| *bytes != before.bytes).map(|(detail, bytes)| Candidate {
                bytes,
                guesses: [&before.guesses[..], &[certain(*reason, &[&detail])]].concat(),
            });
            made.collect::<Vec<_>>()
        });
        Box::new(iter::once(self).chain(next.flat_map(move |candidate| candidate.guessed(most - 1, table, scheme))))
    }
}

impl Text {
    /// The text with this body. None if the body has to hold a signature and does not.
    pub(super) fn over(&self, body: &[u8]) -> Option<Vec<u8>> {
        match &self.id {
            Some(id) => self.scheme.signed_text(id, &self.time, body),
            None => self.scheme.signed_text_without_id(&self.time, body),
        }
    }
}

impl Case<'_> {
    /// What makes the signature match: no mistake (what is wrong is elsewhere), one, or any `most` together. Else, how many
    /// were tried.
    pub(super) fn search(
        &self,
        scheme: &'static Scheme,
        there: &Inspection,
        most: usize,
    ) -> Result<Vec<Diagnosis>, Diagnosis> {
        let (claims, texts, secrets) = (claims(there), self.texts(scheme, there), self.candidates(scheme));
        let (mut tried, mut bytes) = (0, 0);
        let nothing = |tried: i32, how| diagnosis(false, texts::NOTHING_MATCHES, &[&tried.to_string(), how]);
        for total in if claims.is_empty() { 0..0 } else { 0..most + 1 } {
            let body = Candidate { bytes: self.delivery.body.clone(), guesses: Vec::new() };
            for body in body.guessed(total, BODIES, scheme) {
                bytes += body.bytes.len();
                for text in texts.iter().filter(|text| text.guesses.len() + body.guesses.len() <= total) {
                    let Some(signed) = text.over(&body.bytes) else { continue };
                    let of_secret = total - text.guesses.len() - body.guesses.len();
                    for secret in secrets.iter().filter(|secret| secret.guesses.len() == of_secret) {
                        bytes += signed.len();
                        tried += 1;
                        if total > 0 && bytes > MOST_BYTES {
                            return Err(nothing(tried, NOT_ALL));
                        }
                        if let Some((how, hash)) = matching(&claims, scheme.key, &secret.bytes, &signed) {
                            let written = how_it_is_written(scheme, there, how, hash);
                            return Ok([&secret.guesses[..], &body.guesses, &text.guesses, &written].concat());
                        }
                    }
                }
            }
        }
        Err(nothing(tried, "one by one and any two together"))
    }

    /// The account's secrets and other accounts', and what up to two guesses make of each.
    fn candidates(&self, scheme: &'static Scheme) -> Vec<Candidate> {
        let (own, name) = (&self.delivery.account, self.provider().name);
        let secrets = self.secrets.accounts().flat_map(|account| iter::repeat(account).zip(self.secrets.of(account)));
        let each = secrets.flat_map(|(account, secret)| {
            let words = [account.as_str(), own.as_str(), name];
            let other = (account != own).then(|| certain(texts::ANOTHER_ACCOUNT, &words));
            let secret = Candidate { bytes: secret.as_bytes().to_vec(), guesses: other.into_iter().collect() };
            let left = 2 - secret.guesses.len();
            secret.guessed(left, SECRETS, scheme).filter(|secret| !secret.bytes.is_empty())
        });
        each.collect()
    }

    /// What this scheme signs, and what a sender may have signed instead: what any other scheme signs, the same without
    /// the delivery's id, or with another time.
    pub(super) fn texts(&self, scheme: &'static Scheme, there: &Inspection) -> Vec<Text> {
        let (mut texts, mut known) = (Vec::new(), HashSet::new());
        let all = iter::once(self.provider()).chain(providers::ALL.iter().copied()).flat_map(Provider::schemes);
        let schemes: Vec<_> = iter::once(scheme).chain(all).collect();
        let (times, no_time) = (self.times(&schemes, there), [(None, String::new())]);
        for (scheme, with_id) in schemes.iter().flat_map(|scheme| [(*scheme, true), (*scheme, false)]) {
            let what = match scheme.signed_text_without_id("<seconds>", b"<raw body>") {
                Some(text) if !with_id => String::from_utf8_lossy(&text).into_owned(),
                _ => scheme.describe_signed(),
            };
            if !known.insert((what.clone(), scheme.signature_member())) {
                continue;
            }
            let other = (known.len() > 1).then(|| {
                // In the same place it is a setting's.
                let setting = self.other_setting(scheme).filter(|_| scheme.place == schemes[0].place);
                setting.unwrap_or_else(|| certain(texts::SIGNED_TEXT, &[&what]))
            });
            let id = match scheme.id_header().filter(|_| with_id) {
                Some(name) => self.header(name).or_else(|| there.id.clone()),
                None => Some(String::new()),
            };
            let Some(id) = id else { continue };
            for (another, time) in if scheme.time.is_some() { &times[..] } else { &no_time } {
                let guesses = other.iter().chain(another).cloned().collect();
                texts.push(Text { guesses, scheme, id: with_id.then(|| id.clone()), time: time.clone() });
            }
        }
        texts
    }

    /// The times of a request, in several units: first the one that is signed, then what a sender may have signed instead.
    fn times(&self, schemes: &[&Scheme], there: &Inspection) -> Vec<(Option<Diagnosis>, String)> {
        let of = |scheme: &&Scheme| {
            let inside = scheme.inspect(self.delivery).and_then(|there| there.time);
            [inside, scheme.time.and_then(|time| self.header(time.header?))].into_iter().flatten()
        };
        // For a signature in the wrong header: what stands beside it there, or in a header of its own scheme.
        let beside = parts(&there.written).filter(|part| is_time(part)).map(str::to_owned);
        let found = schemes[..1].iter().flat_map(of).chain(beside).chain(schemes.iter().flat_map(of));
        let mut times = Vec::<(Option<Diagnosis>, String)>::new();
        for time in found {
            let in_unit = |zeros| if is_time(&time) { format!("{}{zeros}", &time[..10]) } else { time.clone() };
            for (what, time) in [
                ("another timestamp of the request", time.clone()),
                ("the time in seconds", in_unit("")),
                ("the time in milliseconds", in_unit("000")),
                ("the time in microseconds", in_unit("000000")),
            ] {
                if times.iter().all(|(_, known)| *known != time) {
                    times.push(((!times.is_empty()).then(|| certain(texts::SIGNED_TIME, &[what])), time));
                }
            }
        }
        times
    }
}

fn is_time(text: &str) -> bool {
    (10..=19).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The HMAC, by the one routine that signs. None where the secret is not of this form.
pub(super) fn mac(hash: Hash, key: KeyForm, secret: &[u8], text: &[u8]) -> Option<Vec<u8>> {
    let signed = Scheme { hash, key, ..Scheme::header("") }.sign(secret, text, "", 0)?;
    hex::decode(&signed.headers.first()?.1).ok()
}

/// How a claim that this secret makes of the text is written, and by which hash it is made.
fn matching(claims: &[Claim], key: KeyForm, secret: &[u8], text: &[u8]) -> Option<(&'static str, Hash)> {
    [(Hash::Sha256, 32), (Hash::Sha512, 64)].into_iter().find_map(|(hash, length)| {
        let mut of_length = claims.iter().filter(|(claim, _)| claim.len() == length).peekable();
        of_length.peek()?;
        // What a guess has decoded is no longer of the form that the scheme decodes.
        let mac = mac(hash, key, secret, text).or_else(|| mac(hash, KeyForm::Text, secret, text))?;
        of_length.find(|(claim, _)| *claim == mac).map(|(_, how)| (*how, hash))
    })
}

/// What stands between separators in a signature's text. (Base64 is read without its equals signs.)
fn parts(written: &str) -> impl Iterator<Item = &str> {
    written.split(|c: char| !c.is_ascii_alphanumeric() && !"+/-_".contains(c)).filter(|part| !part.is_empty())
}

/// All MACs that stand in the signature's place, whatever the form around them.
pub(super) fn claims(there: &Inspection) -> Vec<Claim> {
    let each = parts(&there.written).flat_map(|part| {
        let decoded = guesses::base64(part.as_bytes());
        let twice = decoded.as_ref().and_then(|digits| hex::decode(digits).ok());
        [(hex::decode(part.replace('-', "")).ok(), "hex"), (twice, "base64 of hex digits"), (decoded, "base64")]
    });
    each.filter_map(|(mac, how)| Some((mac?, how))).filter(|(mac, _)| matches!(mac.len(), 32 | 64)).collect()
}

/// What is not as the scheme has it about a signature that matches.
fn how_it_is_written(scheme: &Scheme, there: &Inspection, how: &str, hash: Hash) -> Vec<Diagnosis> {
    let repeated = is_repeated(scheme, there);
    // A broken form has a diagnosis of its own.
    let right = repeated || is_broken(scheme, there) || Scheme { hash, ..*scheme }.is_spelled(&there.written);
    let said = [
        (hash != scheme.hash).then(|| certain(texts::OTHER_HASH, &[hash.name(), scheme.name, scheme.hash.name()])),
        repeated.then(|| certain(texts::REPEATED, &[])),
        (!right).then(|| certain(texts::SIGNATURE_SPELLING, &[&spelling(scheme, there, how), &scheme.describe_form()])),
    ];
    said.into_iter().flatten().collect()
}

/// How the MAC is written, and whether something stands around it.
fn spelling(scheme: &Scheme, there: &Inspection, how: &str) -> String {
    let part = parts(&there.written).max_by_key(|part| part.len()).unwrap_or_default();
    let alone = there.written.trim_start_matches(&*scheme.signature_prefix()).trim_end_matches('=');
    let details = [
        (part.contains(['-', '_']), "with - or _ in it"),
        (how != "hex" && !there.written.contains('=') && !part.len().is_multiple_of(4), "without padding (=)"),
        (how == "hex" && part.bytes().any(|byte| byte.is_ascii_uppercase()), "in upper case"),
        (alone != part && !scheme.has_fields(), "with a prefix, quotes or other text around it"),
    ];
    details.iter().filter(|(is_so, _)| *is_so).fold(how.to_owned(), |said, (_, detail)| format!("{said}, {detail}"))
}

/// Whether it is several signatures with commas between them.
pub(super) fn is_repeated(scheme: &Scheme, there: &Inspection) -> bool {
    there.written.contains(',') && there.written.split(',').all(|part| scheme.is_spelled(part.trim()))
}
