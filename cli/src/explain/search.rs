//! Goes through the guesses: by which secret, over which body and which text the signature was made.
//!
//! Any two guesses are tried together: two about the secret, two about the body, or one of each kind.

use std::iter;

use hookgate_verify::{
    Scheme, providers,
    scheme::{Hash, Inspection, KeyForm, Piece},
};

use super::{
    Case, Diagnosis, certain, guesses,
    guesses::{AROUND, BODIES, Guess, REENCODED, SECRETS},
    hint, is_broken,
};
use crate::json::{Escapes, Json, Space, Style};

/// So many bytes of texts and bodies are gone through for one delivery. What is left of the pairs then is not tried.
const MOST_BYTES: usize = 64 * 1024 * 1024;

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

type Make<'t> = Box<dyn Fn(&[u8]) -> Option<Vec<u8>> + 't>;

/// A text that may have been signed, made from the body.
struct Text<'t> {
    guesses: Vec<Diagnosis>,
    make: Make<'t>,
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
                        let finding = format!("It verifies with {finding}{detail}");
                        all.push(before.with(bytes, certain(code, finding, *remedy)));
                    }
                }
            }
            all
        }))
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
                    hashed += body.bytes.len();
                    for text in texts.iter().filter(|text| text.guesses.len() <= total - of_body) {
                        let Some(signed) = (text.make)(&body.bytes) else { continue };
                        for (key, secret) in &secrets[total - of_body - text.guesses.len()] {
                            hashed += signed.len();
                            search.tried += 1;
                            search.cut_off = total == 2 && hashed > MOST_BYTES;
                            if search.cut_off {
                                return search;
                            }
                            if let Some((claim, hash)) = matching(&claims, *key, &secret.bytes, &signed) {
                                search.found = [&secret.guesses[..], &body.guesses, &text.guesses].concat();
                                search.found.extend(how_it_is_written(scheme, there, claim, hash));
                                search.matched = true;
                                return search;
                            }
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
        let (prefix, own, name) = (scheme.key_prefix(), self.account, self.provider().name);
        let finding = format!("It verifies with {prefix} in front of the secret.");
        let prefixed = certain("secret_with_prefix", finding, "Store the secret whole, as the platform shows it.");
        let remedy = format!("The key is what stands in base64 behind {prefix}: decode it before signing.");
        let not_decoded = certain("secret_not_decoded", "It verifies with the secret's characters as the key.", remedy);
        let secrets =
            self.secrets.accounts().flat_map(|account| self.secrets.of(account).iter().map(move |s| (account, s)));
        for (account, secret) in secrets {
            let finding = format!("It verifies with a secret of the account {account}, not of {own}.");
            let remedy =
                format!("Its webhook belongs to /webhooks/{name}/{account}; or give the account {own} this secret.");
            let other = (account != own).then(|| certain("another_account", finding, remedy));
            let start = Candidate { bytes: secret.as_bytes().to_vec(), guesses: other.into_iter().collect() };
            let all = (0..=2 - start.guesses.len()).flat_map(|more| start.clone().behind(more, SECRETS));
            for candidate in all.filter(|candidate| !candidate.bytes.is_empty()) {
                let (level, bytes) = (candidate.guesses.len(), &candidate.bytes);
                if scheme.key != KeyForm::Text && level < 2 {
                    let whole = candidate.with([prefix.as_bytes(), bytes].concat(), prefixed.clone());
                    let text = candidate.with(bytes.clone(), not_decoded.clone());
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
            let what = "the timestamp of the timestamp's header, not over the one beside the signature";
            let guess = over("signed_header_timestamp", what, "Put the same timestamp beside the signature.");
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
        // What another scheme would sign without an id comes last: it may be what a third signs.
        shapes.sort_by_key(|(_, other, _, without_id)| *without_id && !std::ptr::eq(*other, scheme));
        let mut texts = Vec::new();
        for (guess, scheme, time, without_id) in shapes {
            let id = header(scheme.id_header()).or_else(|| there.id.clone());
            let id = if scheme.id_header().is_some() { id } else { Some(String::new()) };
            for (unit, time) in units(scheme, time) {
                let (guesses, id) = (guess.clone().into_iter().chain(unit).collect(), id.clone());
                let make = move |body: &[u8]| {
                    if without_id {
                        scheme.signed_text_without_id(&time, body)
                    } else {
                        scheme.signed_text(id.as_deref()?, &time, body)
                    }
                };
                texts.push(Text { guesses, make: Box::new(make) });
            }
        }
        // Where the payload is the whole body, that is signed alone already.
        if let Some(payload) = self.provider().fields.payload_member() {
            let remedy = "Sign the whole body: the event's name would be unsigned, and anybody could exchange it.";
            let style = Style { space: Space::None, escapes: Escapes::Kept, sorted: false };
            let make = move |body: &[u8]| Some(Json::parse(body)?.get(payload)?.write(style).into_bytes());
            let guess = over("signed_data_alone", &format!("the member {payload} alone"), remedy);
            texts.push(Text { guesses: guess.into_iter().collect(), make: Box::new(make) });
        }
        texts
    }
}

/// The time as it is, and in other units. Nothing where the scheme signs a time and there is none.
fn units(scheme: &Scheme, time: Option<String>) -> Vec<(Option<Diagnosis>, String)> {
    let Some(time) = time.filter(|_| scheme.time.is_some()) else {
        return if scheme.time.is_some() { Vec::new() } else { vec![(None, String::new())] };
    };
    let others: &[(&str, &str)] = match time.len() {
        10 if is_time(&time) => &[("milliseconds", "000"), ("microseconds", "000000")],
        13 | 16 if is_time(&time) => &[("seconds", "")],
        _ => &[],
    };
    let others = others.iter().map(|(unit, zeros)| {
        let finding = format!("The signature is made over the time in {unit}, which is sent in another unit.");
        let guess = certain("signed_time_unit", finding, "Sign the time as it is sent: the same digits.");
        (Some(guess), format!("{}{zeros}", &time[..10]))
    });
    iter::once((None, time.clone())).chain(others).collect()
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
        let end = part.trim_end_matches('=').rfind(['=', ':']).map(|at| &part[at + 1..]);
        [Some(part), end].into_iter().flatten()
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
        let decoded = guesses::base64(part.as_bytes());
        if let Some(mac) = decoded.as_ref().and_then(|text| guesses::hex(text)) {
            claims.push(Claim { mac, spelling: "as base64 of hex" });
        }
        let standard = part.len() % 4 == 0 && !part.contains(['-', '_']);
        let spelling = if standard { "in base64" } else { "in base64 without padding or of the URL's alphabet" };
        claims.extend(decoded.map(|mac| Claim { mac, spelling }));
    }
    claims.retain(|claim| matches!(claim.mac.len(), 32 | 64));
    claims
}

/// What is not as the scheme has it about a signature that matches.
fn how_it_is_written(scheme: &Scheme, there: &Inspection, claim: &Claim, hash: Hash) -> Vec<Diagnosis> {
    let mut said = Vec::new();
    let wanted = scheme.hash.name();
    if hash != scheme.hash {
        let finding = format!("The signature is an HMAC-{}; scheme {} is HMAC-{wanted}.", hash.name(), scheme.name);
        let remedy = "If the platform signs so, its newer signature may be in another header.";
        said.push(certain("other_hash", finding, format!("Sign with HMAC-{wanted}. {remedy}")));
    }
    // A broken form has a diagnosis of its own.
    if is_repeated(scheme, there) {
        said.push(Diagnosis { certain: true, ..repeated() });
    } else if !(Scheme { hash, ..*scheme }).is_spelled(&there.written) && !is_broken(scheme, there) {
        let (spelling, form) = (claim.spelling, scheme.describe_form());
        let finding = format!("The signature is right, but spelled {spelling}; wanted is {form}.");
        let remedy = "Spell it as the platform does, or find what rewrites the header on its way.";
        said.push(certain("signature_spelling", finding, remedy));
    }
    said
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
