//! Goes through the guesses: by which secret, over which body and which text the signature was made.
//!
//! Any two guesses are tried together: two about the secret, two about the body, or one of each kind.

use std::iter;

use hookgate_verify::{Hash, Inspection, KeyForm, Piece, Scheme, providers};

use super::{
    Case, Diagnosis, certain, guesses,
    guesses::{BODIES, Guess, SECRETS},
    hint, is_broken,
};
use crate::json::{Escapes, Json, Space, Style};

/// So many bytes are hashed for one delivery, which takes about a second. What is left of the pairs then is not tried.
const MOST_BYTES: usize = 256 * 1024 * 1024;

/// What the search came to.
#[derive(Default)]
pub(super) struct Search {
    /// The guesses that make the signature match.
    pub found: Vec<Diagnosis>,
    /// How many combinations were tried, and whether those were all.
    tried: usize,
    cut_off: bool,
    /// Whether one matches, be it with no guess at all.
    pub matched: bool,
}

/// What a part of the signature's text may stand for.
pub(super) struct Claim {
    pub mac: Vec<u8>,
    spelling: &'static str,
}

/// A secret or a body: as it is, or as guesses make it.
#[derive(Clone)]
struct Candidate {
    bytes: Vec<u8>,
    guesses: Vec<Diagnosis>,
}

/// A text that may have been signed, made from the body.
struct Text<'t> {
    guesses: Vec<Diagnosis>,
    make: Box<dyn Fn(&[u8]) -> Option<Vec<u8>> + 't>,
}

impl Search {
    pub(super) fn nothing_matches(&self, secrets: usize) -> Diagnosis {
        let how = if self.cut_off { "not all pairs: the body is long" } else { "one by one and any two together" };
        let tried = self.tried;
        hint(
            "nothing_matches",
            format!("No guess makes the signature match ({secrets} secret(s), {tried} combinations: {how})."),
            "Most likely the secret is another one: copy it again from this very webhook at the platform. Else the body \
             was changed in a way that cannot be undone, like 49.90 to 49.9: capture the raw bytes (--body FILE).",
        )
    }
}

impl Candidate {
    /// What each guess that was not made yet makes of it.
    fn guessed(&self, table: &'static [Guess]) -> impl Iterator<Item = Candidate> {
        let new = table.iter().filter(|Guess(code, ..)| self.guesses.iter().all(|made| made.code != *code));
        new.flat_map(move |Guess(code, finding, remedy, make)| {
            let made = make(&self.bytes).into_iter().filter(|(_, made)| *made != self.bytes);
            made.map(move |(detail, bytes)| {
                let guess = certain(code, format!("It verifies with {finding}{detail}"), *remedy);
                Candidate { bytes, guesses: [&self.guesses[..], &[guess]].concat() }
            })
        })
    }

    /// The candidate behind this many guesses of a table.
    fn behind(self, guesses: usize, table: &'static [Guess]) -> Box<dyn Iterator<Item = Candidate>> {
        match guesses {
            0 => Box::new(iter::once(self)),
            _ => Box::new(
                self.behind(guesses - 1, table).flat_map(move |before| before.guessed(table).collect::<Vec<_>>()),
            ),
        }
    }
}

impl Case<'_> {
    /// Tries the guesses: none, then each alone, then any two together.
    pub(super) fn search(&self, scheme: &'static Scheme, there: &Inspection) -> Search {
        let (claims, texts, secrets) = (claims(scheme, there), self.texts(scheme, there), self.keys(scheme));
        let (mut search, mut hashed) = (Search::default(), 0);
        for total in if claims.is_empty() { 0..0 } else { 0..3 } {
            for of_body in 0..=total {
                let body = Candidate { bytes: self.delivery.body.clone(), guesses: Vec::new() };
                for body in body.behind(of_body, BODIES) {
                    for text in texts.iter().filter(|text| text.guesses.len() <= total - of_body) {
                        let Some(signed) = (text.make)(&body.bytes) else { continue };
                        for (key, secret) in &secrets[total - of_body - text.guesses.len()] {
                            hashed += signed.len();
                            search.tried += 1;
                            search.cut_off = total == 2 && hashed > MOST_BYTES;
                            if search.cut_off {
                                return search;
                            }
                            let Some((claim, hash)) = matching(&claims, *key, &secret.bytes, &signed) else { continue };
                            search.found = [&secret.guesses[..], &body.guesses, &text.guesses].concat();
                            search.found.extend(other_hash(scheme, hash));
                            // A broken form has a diagnosis of its own.
                            let spelled =
                                Scheme { hash, ..*scheme }.is_spelled(&there.written) || is_broken(scheme, there);
                            search.found.extend((!spelled).then(|| other_spelling(scheme, there, claim)));
                            search.matched = true;
                            return search;
                        }
                    }
                }
            }
        }
        search
    }

    /// The keys behind no, one and two guesses: the account's secrets and other accounts', each with how it becomes a key.
    fn keys(&self, scheme: &Scheme) -> [Vec<(KeyForm, Candidate)>; 3] {
        let mut keys = [const { Vec::new() }; 3];
        let prefix = scheme.key_prefix();
        let prefixed = certain(
            "secret_with_prefix",
            format!("It verifies with {prefix} in front of the secret."),
            "Store the secret whole, as the platform shows it.",
        );
        let not_decoded = certain(
            "secret_not_decoded",
            "It verifies with the secret's characters as the key.",
            format!("The key is what stands in base64 behind {prefix}: decode it before signing."),
        );
        for account in self.secrets.accounts() {
            let other = certain(
                "another_account",
                format!("It verifies with a secret of the account {account}, not of {}.", self.account),
                format!(
                    "Its webhook belongs to /webhooks/{}/{account}; or give the account {} this secret.",
                    self.provider().name,
                    self.account
                ),
            );
            let guesses = if account == self.account { Vec::new() } else { vec![other] };
            let starts = self.secrets.of(account).iter().map(|secret| (secret.as_bytes().to_vec(), guesses.clone()));
            let starts = starts.map(|(bytes, guesses)| Candidate { bytes, guesses });
            let all = starts
                .flat_map(|start| (0..=2 - guesses.len()).flat_map(move |more| start.clone().behind(more, SECRETS)));
            for candidate in all.filter(|candidate| !candidate.bytes.is_empty()) {
                let level = candidate.guesses.len();
                let decodes = mac(scheme.hash, scheme.key, &candidate.bytes, b"").is_some();
                if scheme.key != KeyForm::Text && level < 2 {
                    let with = |guess: &Diagnosis| [&candidate.guesses[..], std::slice::from_ref(guess)].concat();
                    let bytes = [prefix.as_bytes(), &candidate.bytes].concat();
                    keys[level + 1].push((scheme.key, Candidate { bytes, guesses: with(&prefixed) }));
                    let bytes = candidate.bytes.clone();
                    keys[level + 1].push((KeyForm::Text, Candidate { bytes, guesses: with(&not_decoded) }));
                }
                // What a guess has decoded is no longer of the form that the scheme decodes.
                keys[level].push((if decodes { scheme.key } else { KeyForm::Text }, candidate));
            }
        }
        keys
    }

    /// What this scheme signs, and what a sender may have signed instead: what any other scheme signs, the same without
    /// the delivery's id, with another of two times, with the time in another unit, or the payload alone.
    fn texts<'t>(&'t self, scheme: &'static Scheme, there: &'t Inspection) -> Vec<Text<'t>> {
        const AS_PLATFORM: &str = "Sign what the platform signs: see \"signed\" above.";
        const OTHER_READING: &str =
            "That is another reading of what is signed: choose it by the platform's setting, if the platform means it.";
        let over =
            |code, over: &str, remedy| Some(certain(code, format!("The signature is made over {over}."), remedy));
        let header = |name: Option<&str>| self.header(name?);
        let own_time = there.time.clone().or_else(|| there.time_in_header.clone());
        let mut shapes = vec![(None, scheme, own_time.clone(), false)];
        if let (Some(_), Some(time)) = (&there.time, &there.time_in_header) {
            let guess = over(
                "signed_header_timestamp",
                "the timestamp of the timestamp's header, not over the one beside the signature",
                "Put the same timestamp beside the signature: both must be equal.",
            );
            shapes.push((guess, scheme, Some(time.clone()), false));
        }
        let mut known: Vec<&Scheme> = Vec::new();
        let others = providers::ALL.iter().flat_map(|provider| provider.schemes());
        for other in iter::once(scheme).chain(self.provider().schemes()).chain(others) {
            let same =
                |known: &&Scheme| known.signed == other.signed && known.signature_member() == other.signature_member();
            if known.iter().any(same) {
                continue;
            }
            known.push(other);
            // Its own header's, for a signature that stands in the wrong one; or what stands beside the signature.
            let time = own_time.clone().or_else(|| header(other.time.and_then(|time| time.header)));
            let time = time.or_else(|| other.inspect(self.delivery)?.time);
            let time = time.or_else(|| parts(&there.written).find(|part| is_time(part)).map(str::to_owned));
            if other.id_header().is_some() {
                let what = format!("{} without <{}>", other.describe_signed(), other.id_header().unwrap_or_default());
                shapes.push((over("signed_without_delivery_id", &what, AS_PLATFORM), other, time.clone(), true));
            }
            let (code, remedy) = match other.signature_member() {
                Some(_) if other.signed.contains(&Piece::BodyWithEmptySignature) => {
                    ("signed_member_emptied", OTHER_READING)
                }
                Some(_) => ("signed_member_cut_out", OTHER_READING),
                None if other.id_header().is_none() && other.time.is_none() => ("signed_body_alone", AS_PLATFORM),
                None => ("signed_stamped", AS_PLATFORM),
            };
            if !std::ptr::eq(other, scheme) {
                shapes.push((over(code, &other.describe_signed(), remedy), other, time, false));
            }
        }
        let mut texts = Vec::new();
        for (guess, scheme, time, without_id) in shapes {
            let id = header(scheme.id_header()).or_else(|| there.id.clone());
            let id = if scheme.id_header().is_some() { id } else { Some(String::new()) };
            for (unit, time) in units(scheme, time) {
                let (guesses, id) = (guess.clone().into_iter().chain(unit).collect(), id.clone());
                let make = move |body: &[u8]| match without_id {
                    true => scheme.signed_text_without_id(&time, body),
                    false => scheme.signed_text(id.as_deref()?, &time, body),
                };
                texts.push(Text { guesses, make: Box::new(make) });
            }
        }
        // Where the payload is the whole body, that is signed alone already.
        if let Some(payload) = self.provider().fields.payload_member() {
            let remedy = "No intake may accept that: the event's name would be unsigned, and anybody could exchange it. Sign \
                          the whole body.";
            let style = Style { space: Space::None, escapes: Escapes::Kept, sorted: false };
            let make = move |body: &[u8]| Some(Json::parse(body)?.get(payload)?.write(style).into_bytes());
            let guesses =
                over("signed_data_alone", &format!("the member {payload} alone"), remedy).into_iter().collect();
            texts.push(Text { guesses, make: Box::new(make) });
        }
        texts
    }
}

/// The time as it is, and in other units. Nothing where the scheme signs a time and there is none.
fn units(scheme: &Scheme, time: Option<String>) -> Vec<(Option<Diagnosis>, String)> {
    let Some(time) = time.filter(|_| scheme.time.is_some()) else {
        return if scheme.time.is_some() { Vec::new() } else { vec![(None, String::new())] };
    };
    let in_unit = |unit, digits: String| {
        let finding = format!("The signature is made over the time in {unit}, which is sent in another unit.");
        (Some(certain("signed_time_unit", finding, "Sign the time as it is sent: the same digits.")), digits)
    };
    let others = match time.len() {
        10 if is_time(&time) => {
            vec![in_unit("milliseconds", format!("{time}000")), in_unit("microseconds", format!("{time}000000"))]
        }
        13 | 16 if is_time(&time) => vec![in_unit("seconds", time[..10].to_owned())],
        _ => Vec::new(),
    };
    iter::once((None, time)).chain(others).collect()
}

fn is_time(text: &str) -> bool {
    (10..=19).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The text that the scheme signs, where all is there that it needs.
pub(super) fn own_text(scheme: &Scheme, there: &Inspection, body: &[u8]) -> Option<Vec<u8>> {
    let time = there.time.as_deref().or(there.time_in_header.as_deref());
    let id = if scheme.id_header().is_some() { there.id.as_deref()? } else { "" };
    scheme.signed_text(id, if scheme.time.is_some() { time? } else { "" }, body)
}

/// The HMAC, by the one routine that signs. None where the secret is not of this form.
pub(super) fn mac(hash: Hash, key: KeyForm, secret: &[u8], text: &[u8]) -> Option<Vec<u8>> {
    let signed = Scheme { hash, key, ..Scheme::header("") }.sign(secret, text, "", 0)?;
    guesses::hex(signed.headers.first()?.1.as_bytes())
}

fn matching<'c>(claims: &'c [Claim], key: KeyForm, secret: &[u8], text: &[u8]) -> Option<(&'c Claim, Hash)> {
    [(Hash::Sha256, 32), (Hash::Sha512, 64)].into_iter().find_map(|(hash, length)| {
        let mut of_length = claims.iter().filter(|claim| claim.mac.len() == length).peekable();
        of_length.peek()?;
        let mac = mac(hash, key, secret, text)?;
        of_length.find(|claim| claim.mac == mac).map(|claim| (claim, hash))
    })
}

/// What stands between separators in a signature's text: each part, and what follows a name in it.
fn parts(written: &str) -> impl Iterator<Item = &str> {
    let all = written.split([',', ';', ' ', '\t', '\r', '\n', '"', '\'']).filter(|part| !part.is_empty());
    all.flat_map(|part| {
        // Base64 ends with its equals signs.
        let named = part.split_once(['=', ':']).filter(|(_, rest)| !rest.trim_start_matches('=').is_empty());
        [Some(part), named.map(|(_, rest)| rest)].into_iter().flatten()
    })
}

/// All MACs that stand in the signature's place, whatever the form around them.
pub(super) fn claims(scheme: &Scheme, there: &Inspection) -> Vec<Claim> {
    let mut claims = Vec::new();
    for part in parts(&there.written) {
        if let Some(mac) = guesses::hex(part.as_bytes()) {
            let alone = there.signatures.iter().any(|signature| signature.trim() == part);
            let spelling = match there.well_formed {
                false if alone && !scheme.has_fields() => "without its prefix",
                true if alone && part.bytes().any(|byte| byte.is_ascii_uppercase()) => "in upper-case hex",
                true if alone => "in hex",
                _ => "with something in front of it or around it that does not belong",
            };
            claims.push(Claim { mac, spelling });
        }
        if let Some(mac) = guesses::base64(part.as_bytes()) {
            if let Some(mac) = guesses::hex(&mac) {
                claims.push(Claim { mac, spelling: "as base64 of hex" });
            }
            let standard = part.len() % 4 == 0 && !part.contains(['-', '_']);
            let spelling = if standard { "in base64" } else { "in base64 without padding or of the URL's alphabet" };
            claims.push(Claim { mac, spelling });
        }
    }
    claims.retain(|claim| matches!(claim.mac.len(), 32 | 64));
    claims
}

fn other_hash(scheme: &Scheme, hash: Hash) -> Option<Diagnosis> {
    let wanted = scheme.hash.name();
    (hash != scheme.hash).then(|| {
        certain(
            "other_hash",
            format!("The signature is an HMAC-{}; scheme {} is HMAC-{wanted}.", hash.name(), scheme.name),
            format!("Sign with HMAC-{wanted}. If the platform signs so, its newer signature may be in another header."),
        )
    })
}

fn other_spelling(scheme: &Scheme, there: &Inspection, claim: &Claim) -> Diagnosis {
    if is_repeated(scheme, there) {
        return Diagnosis { certain: true, ..repeated() };
    }
    certain(
        "signature_spelling",
        format!("The signature is right, but spelled {}; wanted is {}.", claim.spelling, scheme.describe_form()),
        "Spell it as the platform does, or find what rewrites the header on its way.",
    )
}

/// Whether it is several signatures with commas between them.
pub(super) fn is_repeated(scheme: &Scheme, there: &Inspection) -> bool {
    there.written.contains(',') && there.written.split(',').all(|part| scheme.is_spelled(part.trim()))
}

pub(super) fn repeated() -> Diagnosis {
    hint(
        "signature_repeated",
        "The header holds several signatures: API Gateway joins a header that comes twice with a comma.",
        "Find the proxy or the sender that adds it again, and let it replace instead.",
    )
}
