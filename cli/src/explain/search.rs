//! Goes through the guesses: by which secret, over which body and which text the signature was made.
//!
//! Any two guesses are tried together: two about the secret, two about the body, or one of each kind.

use std::iter;

use hookgate_verify::{
    Scheme, providers,
    scheme::{Hash, Inspection, KeyForm, Piece},
};

use super::{
    Case, Diagnosis, certain,
    guesses::{self, AROUND, BODIES, Guess, REENCODED, SECRETS},
    hint, is_broken, texts,
};
use crate::json::{Escapes, Json, Space, Style};

/// So many bytes of texts and bodies are gone through for one delivery. What is left of the pairs then is not tried.
const MOST_BYTES: usize = 64 * 1024 * 1024;

/// What a part of the signature's text may stand for, and how it is spelled then.
type Claim = (Vec<u8>, &'static str);

/// A secret or a body: as it is, or as guesses make it.
#[derive(Clone)]
struct Candidate {
    bytes: Vec<u8>,
    guesses: Vec<Diagnosis>,
}

/// A text that may have been signed: its guesses, and how it is made from the body.
pub(super) type Text<'t> = (Vec<Diagnosis>, Make<'t>);
pub(super) type Make<'t> = Box<dyn Fn(&[u8]) -> Option<Vec<u8>> + 't>;

impl Candidate {
    fn with(&self, bytes: Vec<u8>, guess: Diagnosis) -> Self {
        Candidate { bytes, guesses: [&self.guesses[..], &[guess]].concat() }
    }

    /// The candidate behind this many guesses of a table, none of them twice.
    fn behind(self, guesses: usize, table: &'static [Guess]) -> Box<dyn Iterator<Item = Candidate>> {
        if guesses == 0 {
            return Box::new(iter::once(self));
        }
        Box::new(self.behind(guesses - 1, table).flat_map(move |before| {
            let mut all = Vec::new();
            // What only stands around a JSON text makes no other when it is written again.
            let same = before.guesses.iter().any(|made| AROUND.contains(&made.code));
            for Guess(code, finding, remedy, make) in table {
                let again = same && *code == REENCODED || before.guesses.iter().any(|made| made.code == *code);
                for (detail, bytes) in if again { Vec::new() } else { make(&before.bytes) } {
                    if bytes != before.bytes {
                        let guess = certain((code, "It verifies with {0}{1}", remedy), &[finding, &detail]);
                        all.push(before.with(bytes, guess));
                    }
                }
            }
            all
        }))
    }
}

impl Case<'_> {
    /// What makes the signature match: no guess (what is wrong is elsewhere), one, or any two together. Else, how many were
    /// tried.
    pub(super) fn search(&self, scheme: &'static Scheme, there: &Inspection) -> Result<Vec<Diagnosis>, Diagnosis> {
        let (claims, texts, secrets) = (claims(scheme, there), self.texts(scheme, there), self.keys(scheme));
        let (mut tried, mut hashed) = (0, 0);
        let nothing = |tried: i32, how| {
            let secrets = self.secrets.of(&self.delivery.account).len();
            hint(texts::NOTHING_MATCHES, &[&secrets.to_string(), &tried.to_string(), how])
        };
        for total in if claims.is_empty() { 0..0 } else { 0..3 } {
            for of_body in 0..=total {
                let body = Candidate { bytes: self.delivery.body.clone(), guesses: Vec::new() };
                for body in body.behind(of_body, BODIES) {
                    hashed += body.bytes.len();
                    for (of_text, make) in texts.iter().filter(|(guesses, _)| guesses.len() <= total - of_body) {
                        let Some(signed) = make(&body.bytes) else { continue };
                        for (key, secret) in &secrets[total - of_body - of_text.len()] {
                            hashed += signed.len();
                            tried += 1;
                            if total == 2 && hashed > MOST_BYTES {
                                return Err(nothing(tried, "not all pairs: the body is long"));
                            }
                            if let Some((spelling, hash)) = matching(&claims, *key, &secret.bytes, &signed) {
                                let written = how_it_is_written(scheme, there, spelling, hash);
                                return Ok([&secret.guesses[..], &body.guesses, of_text, &written].concat());
                            }
                        }
                    }
                }
            }
        }
        Err(nothing(tried, "one by one and any two together"))
    }

    /// The keys behind no, one and two guesses: the account's secrets and other accounts', each with how it becomes a key.
    fn keys(&self, scheme: &Scheme) -> [Vec<(KeyForm, Candidate)>; 3] {
        let mut keys = [const { Vec::new() }; 3];
        let (prefix, own, name) = (scheme.key_prefix(), &self.delivery.account, self.provider().name);
        let secrets = self.secrets.accounts().flat_map(|account| iter::repeat(account).zip(self.secrets.of(account)));
        for (account, secret) in secrets {
            let words = [account.as_str(), own.as_str(), name];
            let other = (account != own).then(|| certain(texts::ANOTHER_ACCOUNT, &words));
            let start = Candidate { bytes: secret.as_bytes().to_vec(), guesses: other.into_iter().collect() };
            let all = (0..=2 - start.guesses.len()).flat_map(|more| start.clone().behind(more, SECRETS));
            for candidate in all.filter(|candidate| !candidate.bytes.is_empty()) {
                let (level, bytes) = (candidate.guesses.len(), &candidate.bytes);
                if scheme.key != KeyForm::Text && level < 2 {
                    let whole = [prefix.as_bytes(), bytes].concat();
                    let whole = candidate.with(whole, certain(texts::SECRET_WITH_PREFIX, &[prefix]));
                    let text = candidate.with(bytes.clone(), certain(texts::SECRET_NOT_DECODED, &[prefix]));
                    keys[level + 1].extend([(scheme.key, whole), (KeyForm::Text, text)]);
                }
                // What a guess has decoded is no longer of the form that the scheme decodes.
                let decodes = mac(scheme.hash, scheme.key, bytes, b"").is_some();
                keys[level].push((if decodes { scheme.key } else { KeyForm::Text }, candidate));
            }
        }
        keys
    }

    /// What this scheme signs, and what a sender may have signed instead: what any other scheme signs, the same without
    /// the delivery's id, with another of two times, with the time in another unit, or the payload alone.
    pub(super) fn texts<'t>(&'t self, scheme: &'static Scheme, there: &'t Inspection) -> Vec<Text<'t>> {
        let mut schemes = vec![scheme];
        for other in self.provider().schemes().chain(providers::ALL.iter().flat_map(|provider| provider.schemes())) {
            let signs = |scheme: &Scheme| (scheme.signed, scheme.signature_member());
            if schemes.iter().all(|known| signs(known) != signs(other)) {
                schemes.push(other);
            }
        }
        // For a signature that stands in the wrong header, the time of its own; or what stands beside the signature.
        let time_of = |other: &Scheme| {
            let own = there.time.clone().or_else(|| there.time_in_header.clone());
            let own = own.or_else(|| self.header(other.time?.header?)).or_else(|| other.inspect(self.delivery)?.time);
            own.or_else(|| parts(&there.written).find(|part| is_time(part)).map(str::to_owned))
        };
        let mut shapes = vec![(None, scheme, time_of(scheme), false)];
        if there.time.is_some() && there.time_in_header.is_some() {
            let guess = certain(texts::SIGNED_HEADER_TIMESTAMP, &[]);
            shapes.push((Some(guess), scheme, there.time_in_header.clone(), false));
        }
        // What another scheme would sign without an id comes last: it may be what a third signs.
        for (others, without_id) in [(&schemes[..1], true), (&schemes[1..], false), (&schemes[1..], true)] {
            for other in others.iter().filter(|other| !without_id || other.id_header().is_some()) {
                let (reason, id) = match other.signature_member() {
                    _ if without_id => (texts::SIGNED_WITHOUT_DELIVERY_ID, other.id_header().unwrap_or_default()),
                    Some(_) if other.signed.contains(&Piece::BodyWithEmptySignature) => {
                        (texts::SIGNED_MEMBER_EMPTIED, "")
                    }
                    Some(_) => (texts::SIGNED_MEMBER_CUT_OUT, ""),
                    None if other.signed == [Piece::Body] => (texts::SIGNED_BODY_ALONE, ""),
                    None => (texts::SIGNED_STAMPED, ""),
                };
                let guess = certain(reason, &[&other.describe_signed(), id]);
                shapes.push((Some(guess), other, time_of(other), without_id));
            }
        }
        let mut texts = Vec::new();
        for (guess, scheme, time, without_id) in shapes {
            let id =
                scheme.id_header().map_or(Some(String::new()), |name| self.header(name).or_else(|| there.id.clone()));
            let time = if scheme.time.is_some() { time } else { Some(String::new()) };
            for (unit, time) in time.iter().flat_map(|time| in_units(time)) {
                let (guesses, id) = (guess.clone().into_iter().chain(unit).collect(), id.clone());
                let make: Make = if without_id {
                    Box::new(move |body| scheme.signed_text_without_id(&time, body))
                } else {
                    Box::new(move |body| scheme.signed_text(id.as_deref()?, &time, body))
                };
                texts.push((guesses, make));
            }
        }
        // Where the payload is the whole body, that is signed alone already.
        if let Some(payload) = self.provider().fields.payload_member() {
            let style = Style { space: Space::None, escapes: Escapes::Kept, sorted: false };
            let make = move |body: &[u8]| Some(Json::parse(body)?.get(payload)?.write(style).into_bytes());
            texts.push((vec![certain(texts::SIGNED_DATA_ALONE, &[payload])], Box::new(make)));
        }
        texts
    }
}

/// The time as it is, and in other units.
fn in_units(time: &str) -> Vec<(Option<Diagnosis>, String)> {
    let others: &[(&str, &str)] = match time.len() {
        10 if is_time(time) => &[("milliseconds", "000"), ("microseconds", "000000")],
        13 | 16 if is_time(time) => &[("seconds", "")],
        _ => &[],
    };
    let in_unit = |(unit, zeros): &(&str, &str)| {
        (Some(certain(texts::SIGNED_TIME_UNIT, &[unit])), format!("{}{zeros}", &time[..10]))
    };
    iter::once((None, time.to_owned())).chain(others.iter().map(in_unit)).collect()
}

fn is_time(text: &str) -> bool {
    (10..=19).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The HMAC, by the one routine that signs. None where the secret is not of this form.
pub(super) fn mac(hash: Hash, key: KeyForm, secret: &[u8], text: &[u8]) -> Option<Vec<u8>> {
    let signed = Scheme { hash, key, ..Scheme::header("") }.sign(secret, text, "", 0)?;
    guesses::hex(signed.headers.first()?.1.as_bytes())
}

/// How a claim that this key makes of the text is spelled, and by which hash it is made.
fn matching(claims: &[Claim], key: KeyForm, secret: &[u8], text: &[u8]) -> Option<(&'static str, Hash)> {
    [(Hash::Sha256, 32), (Hash::Sha512, 64)].into_iter().find_map(|(hash, length)| {
        let mut of_length = claims.iter().filter(|(claim, _)| claim.len() == length).peekable();
        of_length.peek()?;
        let mac = mac(hash, key, secret, text)?;
        of_length.find(|(claim, _)| *claim == mac).map(|(_, spelling)| (*spelling, hash))
    })
}

/// What stands between separators in a signature's text: each part, and what follows a name in it.
fn parts(written: &str) -> impl Iterator<Item = &str> {
    let all = written.split([',', ';', ' ', '\t', '\r', '\n', '"', '\'']).filter(|part| !part.is_empty());
    all.flat_map(|part| {
        // Base64 ends with its equals signs.
        let end = part.trim_end_matches('=').rfind(['=', ':']).map(|at| &part[at + 1..]);
        [Some(part), end].into_iter().flatten()
    })
}

/// All MACs that stand in the signature's place, whatever the form around them.
pub(super) fn claims(scheme: &Scheme, there: &Inspection) -> Vec<Claim> {
    let mut claims = Vec::new();
    for part in parts(&there.written) {
        let alone = there.signatures.iter().any(|signature| signature.trim() == part);
        let in_hex = match there.well_formed {
            false if alone && !scheme.has_fields() => "without its prefix",
            true if alone && part.bytes().any(|byte| byte.is_ascii_uppercase()) => "in upper-case hex",
            true if alone => "in hex",
            _ => "with something in front of it or around it that does not belong",
        };
        let standard = part.len() % 4 == 0 && !part.contains(['-', '_']);
        let in_base64 = if standard { "in base64" } else { "in base64 without padding or of the URL's alphabet" };
        let decoded = guesses::base64(part.as_bytes());
        let twice = decoded.as_deref().and_then(guesses::hex);
        let all = [(guesses::hex(part.as_bytes()), in_hex), (twice, "as base64 of hex"), (decoded, in_base64)];
        claims.extend(all.into_iter().filter_map(|(mac, spelling)| Some((mac?, spelling))));
    }
    claims.retain(|(mac, _)| matches!(mac.len(), 32 | 64));
    claims
}

/// What is not as the scheme has it about a signature that matches.
fn how_it_is_written(scheme: &Scheme, there: &Inspection, spelling: &str, hash: Hash) -> Vec<Diagnosis> {
    let mut said = Vec::new();
    if hash != scheme.hash {
        said.push(certain(texts::OTHER_HASH, &[hash.name(), scheme.name, scheme.hash.name()]));
    }
    // A broken form has a diagnosis of its own.
    if is_repeated(scheme, there) {
        said.push(certain(texts::JOINED, &[]));
    } else if !(Scheme { hash, ..*scheme }).is_spelled(&there.written) && !is_broken(scheme, there) {
        said.push(certain(texts::SIGNATURE_SPELLING, &[spelling, &scheme.describe_form()]));
    }
    said
}

/// Whether it is several signatures with commas between them.
pub(super) fn is_repeated(scheme: &Scheme, there: &Inspection) -> bool {
    there.written.contains(',') && there.written.split(',').all(|part| scheme.is_spelled(part.trim()))
}
