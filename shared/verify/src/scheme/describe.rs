//! A scheme in words, and a look at a delivery through it: for tools that explain, and for the documentation. Nothing here
//! decides whether a delivery is authentic.

use std::fmt::Write;

use super::{Encoding, Form, KeyForm, MAX_SIGNATURES, Piece, Place, Scheme};
use crate::Delivery;

/// The parts of a delivery in the places of this scheme, even if they are wrong. For tools that explain; it proves nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// The whole text in the signature's place.
    pub written: String,
    /// Whether it has the scheme's form, with at most eight signatures. They may still be malformed.
    pub well_formed: bool,
    /// The parts of it that should be signatures.
    pub signatures: Vec<String>,
    /// The time in it.
    pub time: Option<String>,
    /// The time in its header.
    pub time_in_header: Option<String>,
    /// The header that is signed: the delivery's id.
    pub id: Option<String>,
}

impl Scheme {
    /// The signed text: a body and the pieces that are not in it. None if the body has to hold a signature and does not.
    #[must_use]
    pub fn signed_text(&self, id: &str, time: &str, body: &[u8]) -> Option<Vec<u8>> {
        let body = self.signed_body(body)?;
        Some(self.pieces(Some(id), time, body).flatten().flatten().copied().collect())
    }

    /// The same without the delivery's id and the text behind it, which senders forget.
    #[doc(hidden)]
    #[must_use]
    pub fn signed_text_without_id(&self, time: &str, body: &[u8]) -> Option<Vec<u8>> {
        let header = self.signed.iter().position(|piece| matches!(piece, Piece::Header(_)))?;
        let mut pieces: Vec<_> = self.pieces(None, time, self.signed_body(body)?).collect();
        let text = usize::from(matches!(self.signed.get(header + 1), Some(Piece::Text(_))));
        pieces.drain(header..=header + text);
        Some(pieces.concat().concat())
    }

    /// The parts of a delivery in the places of this scheme. None if there is no signature, or in the body none that can be
    /// read safely.
    #[must_use]
    pub fn inspect(&self, delivery: &Delivery) -> Option<Inspection> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let header = |name: &str| delivery.headers.get(name).map(|value| text(value.as_bytes()));
        let written = match self.place {
            Place::Header(name) => header(name)?,
            Place::Member(name) => text(self.split(name, &delivery.body).ok()?.0),
        };
        let (signatures, time) = match self.form {
            Form::Prefix(prefix) => (vec![written.strip_prefix(prefix).unwrap_or(&written).to_owned()], None),
            Form::Fields(form) => {
                let parts = || written.split(form.separator).map(str::trim);
                let value = |part: &str, name| Some(part.strip_prefix(name)?.strip_prefix(form.assign)?.to_owned());
                let time = parts().find_map(|part| value(part, form.time).filter(|_| !form.time.is_empty()));
                (parts().filter_map(|part| value(part, form.signature)).collect(), time)
            }
        };
        Some(Inspection {
            well_formed: signatures.len() <= MAX_SIGNATURES && self.read(&written, |_| Some(())).is_some(),
            written,
            signatures,
            time,
            time_in_header: self.time.and_then(|time| header(time.header?)),
            id: self.id_header().and_then(header),
        })
    }

    /// Whether a text has the scheme's form, with valid signatures in it.
    #[doc(hidden)]
    #[must_use]
    pub fn is_spelled(&self, written: &str) -> bool {
        let mut signatures = 0;
        let read = self.read(written, |signature| {
            signatures += 1;
            self.decode(signature).filter(|_| signatures <= MAX_SIGNATURES).map(|_| ())
        });
        read.is_some()
    }

    /// Whether the signature stands among named fields.
    #[doc(hidden)]
    #[must_use]
    pub const fn has_fields(&self) -> bool {
        matches!(self.form, Form::Fields(_))
    }

    /// The text right before a signature, like `sha256=`, or empty.
    #[doc(hidden)]
    #[must_use]
    pub fn signature_prefix(&self) -> String {
        match self.form {
            Form::Prefix(prefix) => prefix.to_owned(),
            Form::Fields(form) => format!("{}{}", form.signature, form.assign),
        }
    }

    /// The text before the key in a secret, like `whsec_`. Empty if the whole secret is the key.
    #[doc(hidden)]
    #[must_use]
    pub const fn key_prefix(&self) -> &'static str {
        match self.key {
            KeyForm::Text => "",
            KeyForm::Base64(prefix) => prefix,
        }
    }

    /// Every header that belongs to the signature.
    pub fn headers(&self) -> impl Iterator<Item = &'static str> {
        [self.signature_header(), self.id_header(), self.time.and_then(|time| time.header)].into_iter().flatten()
    }

    /// The form in words, like `v1,t=<seconds>,h=<64 hex digits>`.
    #[must_use]
    pub fn describe_form(&self) -> String {
        let length = self.hash.length();
        let (digits, characters) = (2 * length, length.div_ceil(3) * 4);
        let signature = match self.encoding {
            Encoding::Hex => format!("<{digits} hex digits>"),
            Encoding::LowerHex => format!("<{digits} hex digits in lower case>"),
            Encoding::Base64 => format!("<{characters} characters of base64>"),
            Encoding::HexOrBase64 => format!("<{digits} hex digits, or {characters} characters of base64>"),
        };
        match self.form {
            Form::Prefix(prefix) => format!("{prefix}{signature}"),
            Form::Fields(form) => form.write("<seconds>", &signature),
        }
    }

    /// What is signed, in words, like `<x-id>.<seconds>.<raw body>`.
    #[must_use]
    pub fn describe_signed(&self) -> String {
        self.signed.iter().fold(String::new(), |mut text, piece| {
            let _ = match piece {
                Piece::Text(plain) => write!(text, "{plain}"),
                Piece::Header(name) => write!(text, "<{name}>"),
                Piece::Timestamp => write!(text, "<seconds>"),
                Piece::Body => write!(text, "<raw body>"),
                Piece::BodyWithoutSignature => write!(text, "<raw body without its signature and one comma>"),
                Piece::BodyWithEmptySignature => write!(text, "<raw body with \"\" for its signature>"),
            };
            text
        })
    }

    /// The scheme in words: hash, place and form.
    #[must_use]
    pub fn describe(&self) -> String {
        let place = match self.place {
            Place::Header(name) => format!("in the header {name}"),
            Place::Member(name) => format!("in the body's top-level member {name}"),
        };
        let key = match self.key {
            KeyForm::Text => String::new(),
            KeyForm::Base64(prefix) => format!(" with the key that stands in base64 behind {prefix}"),
        };
        format!("HMAC-{}{key}, {} {place}", self.hash.name(), self.describe_form())
    }
}
