//! Goes through the guesses: by which secret, over which body and which text the signature was made.

use base64::{Engine, prelude::BASE64_STANDARD};
use hookgate_verify::{
    Scheme, providers,
    scheme::{Hash, Inspection, KeyForm},
};

use super::{
    Case, Diagnosis, certain, guesses,
    guesses::{BODIES, Guess, SECRETS},
    hint, is_broken,
};
use crate::explain::json::{Escapes, Json, Space, Style};

/// Two guesses together take some hundred MACs: too long to wait for over more than this.
const MOST_BYTES_FOR_PAIRS: usize = 1024 * 1024;

/// What a signature's text may stand for.
pub(super) struct Claim {
    pub mac: Vec<u8>,
    /// How it is spelled, should that not be as the scheme spells it.
    spelling: &'static str,
}

/// A secret or a body to try: as it is, or as a guess makes it.
struct Candidate {
    bytes: Vec<u8>,
    guess: Option<Diagnosis>,
}

type Make<'t> = Box<dyn Fn(&[u8]) -> Option<Vec<u8>> + 't>;

/// A text that may have been signed, made from the body.
struct Text<'t> {
    /// None for the text that the scheme signs.
    guess: Option<Diagnosis>,
    make: Make<'t>,
}

impl Case<'_> {
    /// Tries the guesses: none, then each alone, then two together.
    pub(super) fn search(&self, scheme: &'static Scheme, there: &Inspection) -> Vec<Diagnosis> {
        let claims = claims(scheme, there);
        if claims.is_empty() {
            return Vec::new();
        }
        let (secrets, bodies, texts) =
            (self.secrets_to_try(scheme), bodies_to_try(&self.delivery.body), self.texts(scheme, there));
        let most = if self.delivery.body.len() > MOST_BYTES_FOR_PAIRS { 1 } else { 2 };
        for guessed in 0..=most {
            for text in &texts {
                for body in &bodies {
                    let so_far = usize::from(text.guess.is_some()) + usize::from(body.guess.is_some());
                    if so_far > guessed || so_far + 1 < guessed {
                        continue;
                    }
                    let Some(signed) = (text.make)(&body.bytes) else { continue };
                    for (key, secret) in &secrets {
                        if so_far + usize::from(secret.guess.is_some()) != guessed {
                            continue;
                        }
                        if let Some((claim, hash)) = matching(&claims, *key, &secret.bytes, &signed) {
                            let guesses = [&secret.guess, &body.guess, &text.guess];
                            let mut found: Vec<_> = guesses.into_iter().flatten().cloned().collect();
                            found.extend(other_hash(scheme, hash));
                            // A form that is broken has a diagnosis of its own.
                            let spelled = Scheme { hash, ..*scheme }.is_spelled(&there.written);
                            found
                                .extend((!spelled && !is_broken(scheme, there)).then(|| other_spelling(scheme, claim)));
                            return found;
                        }
                    }
                }
            }
        }
        Vec::new()
    }

    /// The account's secrets, what guesses make of them, and other accounts' secrets; each with how it becomes a key.
    fn secrets_to_try(&self, scheme: &Scheme) -> Vec<(KeyForm, Candidate)> {
        let own = self.secrets.of(self.account);
        let as_is = |bytes: &[u8], guess| Candidate { bytes: bytes.to_vec(), guess };
        let mut candidates: Vec<_> = own.iter().map(|secret| (scheme.key, as_is(secret.as_bytes(), None))).collect();
        // What a guess has decoded is no longer of the form that the scheme decodes.
        let form = |secret: &[u8]| mac(scheme.hash, scheme.key, secret, b"").map_or(KeyForm::Text, |_| scheme.key);
        for secret in own {
            if scheme.key != KeyForm::Text {
                let guess = certain(
                    "secret_not_decoded",
                    "It verifies with the secret's characters as the key.",
                    format!(
                        "The key is what stands in base64 behind {}: decode it before signing.",
                        scheme.key_prefix()
                    ),
                );
                candidates.push((KeyForm::Text, as_is(secret.as_bytes(), Some(guess))));
                let prefix = scheme.key_prefix();
                let guess = certain(
                    "secret_with_prefix",
                    format!("It verifies with {prefix} in front of the secret."),
                    "Store the secret whole, as the platform shows it.",
                );
                candidates.push((scheme.key, as_is(&[prefix.as_bytes(), secret.as_bytes()].concat(), Some(guess))));
            }
            let guessed = SECRETS.iter().flat_map(|guess| guess.candidates(secret.as_bytes()));
            candidates.extend(guessed.filter(|c| !c.bytes.is_empty()).map(|c| (form(&c.bytes), c)));
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
                candidates.push((scheme.key, as_is(secret.as_bytes(), Some(guess))));
            }
        }
        candidates
    }

    /// What this scheme signs, and what a sender may have signed instead: what any other scheme signs, the same without
    /// the delivery's id or with another of two times, or the payload alone.
    fn texts<'t>(&'t self, scheme: &'static Scheme, there: &'t Inspection) -> Vec<Text<'t>> {
        const AS_PLATFORM: &str = "Sign what the platform signs: see \"signed\" above.";
        let mut texts = vec![Text { guess: None, make: Box::new(|body| own_text(scheme, there, body)) }];
        let mut add = |code, over: &str, remedy: &str, make: Make<'t>| {
            texts
                .push(Text { guess: Some(certain(code, format!("The signature is made over {over}."), remedy)), make });
        };
        if let (Some(_), Some(time)) = (&there.time, &there.time_in_header) {
            add(
                "signed_header_timestamp",
                "the timestamp of the timestamp's header, not over the one beside the signature",
                "Put the same timestamp beside the signature: both must be equal.",
                Box::new(|body| text(scheme, there.id.as_deref(), Some(time), body)),
            );
        }
        let mut known: Vec<&Scheme> = Vec::new();
        let others = providers::ALL.iter().flat_map(|provider| provider.schemes());
        for other in [scheme].into_iter().chain(self.provider().schemes()).chain(others) {
            let same =
                |known: &&Scheme| known.signed == other.signed && known.signature_member() == other.signature_member();
            if known.iter().any(same) {
                continue;
            }
            known.push(other);
            // From its own headers, for a signature that stands in the wrong one; else from this scheme's.
            let header = |name: Option<&str>| self.header(name?);
            let id = header(other.id_header()).or_else(|| there.id.clone());
            let time = there.time.clone().or_else(|| there.time_in_header.clone());
            let time = time.or_else(|| header(other.time.and_then(|time| time.header)));
            let time = time.or_else(|| other.inspect(self.delivery)?.time);
            if let (Some(name), Some(time)) = (other.id_header(), time.clone()) {
                add(
                    "signed_without_delivery_id",
                    &format!("{} without <{name}>", other.describe_signed()),
                    AS_PLATFORM,
                    Box::new(move |body| other.signed_text_without_id(&time, body)),
                );
            }
            if std::ptr::eq(other, scheme) {
                continue;
            }
            let (code, remedy) = match other.signature_member() {
                Some(name) if keeps_member(other, name) => ("signed_member_emptied", OTHER_READING),
                Some(_) => ("signed_member_cut_out", OTHER_READING),
                None if other.id_header().is_none() && other.time.is_none() => ("signed_body_alone", AS_PLATFORM),
                None => ("signed_stamped", AS_PLATFORM),
            };
            let make = move |body: &[u8]| text(other, id.as_deref(), time.as_deref(), body);
            add(code, &other.describe_signed(), remedy, Box::new(make));
        }
        // Where the payload is the whole body, that is signed alone already.
        let Some(payload) = self.provider().fields.payload_member() else { return texts };
        add(
            "signed_data_alone",
            &format!("the member {payload} alone"),
            "No intake may accept that: the event's name would be unsigned, and anybody could exchange it. Sign the whole \
             body.",
            Box::new(move |body| {
                let style = Style { space: Space::None, escapes: Escapes::Kept, sorted: false };
                Some(Json::parse(body)?.get(payload)?.write(style).into_bytes())
            }),
        );
        texts
    }

    pub(super) fn nothing_matches(&self, scheme: &'static Scheme, there: &Inspection) -> Diagnosis {
        let secrets = self.secrets.of(self.account).len();
        hint(
            "nothing_matches",
            format!(
                "No guess makes the signature match ({secrets} secret(s), {} guesses, one by one and two together).",
                SECRETS.len() + BODIES.len() + self.texts(scheme, there).len() - 1
            ),
            "Most likely the secret is another one: copy it again from this very webhook at the platform. Else the body \
             was changed in a way that cannot be undone, like 49.90 to 49.9: capture the raw bytes (--body FILE).",
        )
    }
}

const OTHER_READING: &str =
    "That is another reading of what is signed: choose it by the platform's setting, if the platform means it.";

/// Whether the signature's member stays in what is signed.
fn keeps_member(scheme: &Scheme, name: &str) -> bool {
    let body = format!("{{\"{name}\":\"\"}}");
    scheme.signed_body(body.as_bytes()).is_some_and(|signed| signed.concat() == body.as_bytes())
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

/// The text that this scheme signs of this delivery.
pub(super) fn own_text(scheme: &Scheme, there: &Inspection, body: &[u8]) -> Option<Vec<u8>> {
    let time = there.time.as_deref().or(there.time_in_header.as_deref());
    text(scheme, there.id.as_deref(), time, body)
}

/// The text that the scheme signs, where all is there that it needs.
fn text(scheme: &Scheme, id: Option<&str>, time: Option<&str>, body: &[u8]) -> Option<Vec<u8>> {
    let id = if scheme.id_header().is_some() { id? } else { "" };
    let time = if scheme.time.is_some() { time? } else { "" };
    scheme.signed_text(id, time, body)
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

/// All MACs that the signatures can be read as.
pub(super) fn claims(scheme: &Scheme, there: &Inspection) -> Vec<Claim> {
    let mut claims = Vec::new();
    for signature in &there.signatures {
        let bare = mac_part(signature);
        if let Some(mac) = guesses::hex(bare.as_bytes()) {
            let alone = bare == signature.trim();
            let spelling = match there.well_formed {
                false if alone && !scheme.has_fields() => "without its prefix",
                true if alone && bare.bytes().any(|byte| byte.is_ascii_uppercase()) => "in upper-case hex",
                true if alone => "in hex",
                _ => "with something in front of it or around it that does not belong",
            };
            claims.push(Claim { mac, spelling });
        }
        if let Some(mac) = guesses::base64(bare.as_bytes()) {
            if let Some(mac) = guesses::hex(&mac) {
                claims.push(Claim { mac, spelling: "as base64 of hex" });
            }
            let standard = BASE64_STANDARD.decode(bare).is_ok();
            let spelling = if standard { "in base64" } else { "in base64 without padding or of the URL's alphabet" };
            claims.push(Claim { mac, spelling });
        }
    }
    claims.retain(|claim| matches!(claim.mac.len(), 32 | 64));
    claims
}

/// The part of a signature that should be the MAC: without white space, quotes, and whatever stands before its `=`.
fn mac_part(text: &str) -> &str {
    let text = text.trim_matches([' ', '\t', '\r', '\n', '"', '\'']);
    match text.split_once('=') {
        // Base64 ends with its equals signs.
        Some((label, rest)) if !rest.trim_start_matches('=').is_empty() && label.len() <= 16 => rest,
        _ => text,
    }
}

fn other_hash(scheme: &Scheme, hash: Hash) -> Option<Diagnosis> {
    (hash != scheme.hash).then(|| {
        certain(
            "other_hash",
            format!("The signature is an HMAC-{}; scheme {} is HMAC-{}.", hash.name(), scheme.name, scheme.hash.name()),
            format!(
                "Sign with HMAC-{}. If the platform signs so, its newer signature may be in another header.",
                scheme.hash.name()
            ),
        )
    })
}

fn other_spelling(scheme: &Scheme, claim: &Claim) -> Diagnosis {
    certain(
        "signature_spelling",
        format!("The signature is right, but spelled {}; wanted is {}.", claim.spelling, scheme.describe_form()),
        "Spell it as the platform does, or find what rewrites the header on its way.",
    )
}
