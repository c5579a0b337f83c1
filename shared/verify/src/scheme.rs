//! How a platform signs, as data, and the one routine that applies it.

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use hmac::{Hmac, KeyInit, Mac, digest::Output};
use sha2::{Sha256, Sha512};
use subtle::{ConditionallySelectable, ConstantTimeEq};

use crate::{
    Delivery, Rejection, Secret,
    member::{self, Trouble},
};

/// One way in which a platform signs its deliveries. The pages that say so are named in each platform's file under
/// [`providers`](crate::providers).
#[derive(Debug)]
pub struct Scheme {
    /// Its name in logs, like `v2`.
    pub name: &'static str,
    /// The hash under the HMAC.
    pub hash: Hash,
    /// How the signature is spelled.
    pub encoding: Encoding,
    /// Where the signature stands, and what is signed.
    pub layout: Layout,
}

/// The hash under the HMAC ([RFC 2104](https://www.rfc-editor.org/rfc/rfc2104), the hashes of
/// [FIPS 180-4](https://csrc.nist.gov/pubs/fips/180-4/upd1/final)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hash {
    /// HMAC-SHA256: a signature has 32 bytes.
    Sha256,
    /// HMAC-SHA512: a signature has 64 bytes.
    Sha512,
}

/// How a signature is spelled ([RFC 4648](https://www.rfc-editor.org/rfc/rfc4648)). Hex digits may be of either case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Hex.
    Hex,
    /// Hex behind this prefix.
    PrefixedHex(&'static str),
    /// Hex or padded standard base64, told apart by the length.
    HexOrBase64,
}

/// Where the signature stands, and what is signed. Header names are lower-case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// In this header, over the raw body.
    Header(&'static str),
    /// In the header `signature` as `v1,t=<timestamp>,h=<signature>`, over `<delivery id>.<timestamp>.<raw body>`.
    StampedHeader {
        /// Holds timestamp and signature.
        signature: &'static str,
        /// Holds the delivery id: `[A-Za-z0-9_-]{1,128}`. A dot would make the signed text ambiguous.
        delivery_id: &'static str,
        /// Repeats the timestamp, in Unix seconds.
        timestamp: &'static str,
        /// How many seconds the timestamp may be away from the time received, in either direction.
        tolerance: u64,
    },
    /// In this top-level member of the JSON body, over the body without it.
    Member(&'static str, Remainder),
}

/// What stands in place of a signature member in the text that was signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remainder {
    /// Nothing: the member is cut out, with one comma.
    Without,
    /// The member with `""` as its value.
    Emptied,
}

/// A signature that a delivery claims to have, and what it would have to be made over.
pub(crate) struct Claimed<'d> {
    pub tag: Tag,
    pub stamp: Option<Stamp<'d>>,
    /// The signed part of the body, in two pieces: what of it an attacker cannot change. Keys come from here.
    pub body: [&'d [u8]; 2],
}

/// Delivery id and timestamp, where they are signed.
pub(crate) struct Stamp<'d> {
    pub delivery_id: &'d str,
    pub timestamp: &'d str,
    pub seconds: u64,
    pub tolerance: u64,
}

/// A secret as HMAC uses it: what the secret alone decides is computed once, not for every delivery.
#[derive(Clone)]
pub(crate) struct Key {
    sha256: Hmac<Sha256>,
    sha512: Hmac<Sha512>,
}

impl Key {
    pub fn new(secret: &[u8]) -> Self {
        const ANY_LENGTH: &str = "HMAC takes keys of any length";
        Key {
            sha256: KeyInit::new_from_slice(secret).expect(ANY_LENGTH),
            sha512: KeyInit::new_from_slice(secret).expect(ANY_LENGTH),
        }
    }
}

/// A MAC of at most 64 bytes, shorter ones padded with zeros.
pub(crate) type Tag = [u8; 64];

impl Scheme {
    /// The signature that the delivery claims under this scheme. None where it has none.
    pub(crate) fn find<'d>(&self, delivery: &'d Delivery) -> Result<Option<Claimed<'d>>, Rejection> {
        let body = &delivery.body[..];
        match self.layout {
            Layout::Header(name) => {
                let Some(signature) = header(delivery, name)? else { return Ok(None) };
                Ok(Some(Claimed { tag: self.parse(signature)?, stamp: None, body: [body, b""] }))
            }
            Layout::StampedHeader { signature, delivery_id, timestamp, tolerance } => {
                let Some(signature) = header(delivery, signature)? else { return Ok(None) };
                let delivery_id = header(delivery, delivery_id)?.ok_or(Rejection::Malformed)?;
                let timestamp = header(delivery, timestamp)?.ok_or(Rejection::Malformed)?;
                let (stamped, tag) = signature
                    .strip_prefix("v1,t=")
                    .and_then(|rest| rest.split_once(",h="))
                    .ok_or(Rejection::Malformed)?;
                let tag = self.parse(tag)?;
                let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
                if !((1..=128).contains(&delivery_id.len()) && delivery_id.bytes().all(legal)) {
                    return Err(Rejection::Malformed);
                }
                // Digits only: `parse` alone would take a plus sign.
                if stamped != timestamp || !timestamp.bytes().all(|b| b.is_ascii_digit()) {
                    return Err(Rejection::Malformed);
                }
                let seconds = timestamp.parse().map_err(|_| Rejection::Malformed)?;
                let stamp = Some(Stamp { delivery_id, timestamp, seconds, tolerance });
                Ok(Some(Claimed { tag, stamp, body: [body, b""] }))
            }
            Layout::Member(name, remainder) => {
                let member = match member::find(body, name.as_bytes()) {
                    Ok(member) => member,
                    Err(Trouble::Absent) => return Ok(None),
                    Err(Trouble::Repeated) => return Err(Rejection::Repeated),
                    Err(Trouble::Malformed) => return Err(Rejection::Malformed),
                };
                let signature = std::str::from_utf8(&body[member.value.clone()]).map_err(|_| Rejection::Malformed)?;
                let left_out = match remainder {
                    Remainder::Without => member.cut,
                    Remainder::Emptied => member.value,
                };
                let body = [&body[..left_out.start], &body[left_out.end..]];
                Ok(Some(Claimed { tag: self.parse(signature)?, stamp: None, body }))
            }
        }
    }

    /// The position of the secret that made the claimed signature. Takes the same time whichever it is, and whether or
    /// not there is one.
    pub(crate) fn matching(&self, secrets: &[Secret], claimed: &Claimed<'_>) -> Option<usize> {
        let length = self.hash.length();
        let mut position = u64::MAX;
        for (index, secret) in secrets.iter().enumerate().rev() {
            let expected = self.tag(secret.key(), claimed.stamp.as_ref(), claimed.body);
            position.conditional_assign(&(index as u64), expected[..length].ct_eq(&claimed.tag[..length]));
        }
        usize::try_from(position).ok().filter(|&position| position < secrets.len())
    }

    /// The MAC over the signed text, in the scheme's order.
    pub(crate) fn tag(&self, key: &Key, stamp: Option<&Stamp<'_>>, body: [&[u8]; 2]) -> Tag {
        let head: [&[u8]; 4] = match stamp {
            Some(stamp) => [stamp.delivery_id.as_bytes(), b".", stamp.timestamp.as_bytes(), b"."],
            None => [b""; 4],
        };
        let pieces = head.into_iter().chain(body);
        let mut tag = [0; 64];
        match self.hash {
            Hash::Sha256 => tag[..32].copy_from_slice(&mac(&key.sha256, pieces)),
            Hash::Sha512 => tag.copy_from_slice(&mac(&key.sha512, pieces)),
        }
        tag
    }

    /// Spells a MAC as the scheme does, in hex.
    pub(crate) fn spell(&self, tag: &Tag) -> String {
        let hex = hex::encode(&tag[..self.hash.length()]);
        match self.encoding {
            Encoding::Hex | Encoding::HexOrBase64 => hex,
            Encoding::PrefixedHex(prefix) => format!("{prefix}{hex}"),
        }
    }

    fn parse(&self, text: &str) -> Result<Tag, Rejection> {
        let length = self.hash.length();
        let (hex, base64_too) = match self.encoding {
            Encoding::Hex => (text, false),
            Encoding::PrefixedHex(prefix) => (text.strip_prefix(prefix).ok_or(Rejection::Malformed)?, false),
            Encoding::HexOrBase64 => (text, true),
        };
        let mut tag = [0; 64];
        if hex.len() == 2 * length {
            hex::decode_to_slice(hex, &mut tag[..length]).map_err(|_| Rejection::Malformed)?;
        } else if base64_too && text.len() == length.div_ceil(3) * 4 {
            let written = BASE64.decode_slice(text, &mut tag).map_err(|_| Rejection::Malformed)?;
            if written != length {
                return Err(Rejection::Malformed);
            }
        } else {
            return Err(Rejection::Malformed);
        }
        Ok(tag)
    }
}

impl Hash {
    const fn length(self) -> usize {
        match self {
            Hash::Sha256 => 32,
            Hash::Sha512 => 64,
        }
    }
}

fn mac<'p, M: Mac + Clone>(keyed: &M, pieces: impl Iterator<Item = &'p [u8]>) -> Output<M> {
    let mut mac = keyed.clone();
    pieces.for_each(|piece| mac.update(piece));
    mac.finalize().into_bytes()
}

/// The header's one value. Two values are a rejection: two readers could pick different ones.
fn header<'d>(delivery: &'d Delivery, name: &str) -> Result<Option<&'d str>, Rejection> {
    let mut values = delivery.headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(Rejection::Repeated);
    }
    first.map(|value| value.to_str().map_err(|_| Rejection::Malformed)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231, test cases 1 to 4, 6 and 7 (5 is about truncation).
    #[test]
    fn hmac_agrees_with_rfc_4231() {
        let long = [0xaa; 131];
        let vectors: [(&[u8], &[u8], &str, &str); 6] = [
            (&[0x0b; 20], b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7", "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cdedaa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854"),
            (b"Jefe", b"what do ya want for nothing?", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843", "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737"),
            (&[0xaa; 20], &[0xdd; 50], "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe", "fa73b0089d56a284efb0f0756c890be9b1b5dbdd8ee81a3655f83e33b2279d39bf3e848279a722c806b485a47e67c807b946a337bee8942674278859e13292fb"),
            (&hex::decode("0102030405060708090a0b0c0d0e0f10111213141516171819").unwrap(), &[0xcd; 50], "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b", "b0ba465637458c6990e5a8c5f61d4af7e576d97ff94b872de76f8050361ee3dba91ca5c11aa25eb4d679275cc5788063a5f19741120c4f2de2adebeb10a298dd"),
            (&long, b"Test Using Larger Than Block-Size Key - Hash Key First", "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54", "80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f3526b56d037e05f2598bd0fd2215d6a1e5295e64f73f63f0aec8b915a985d786598"),
            (&long, b"This is a test using a larger than block-size key and a larger than block-size data. The key needs to be hashed before being used by the HMAC algorithm.", "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2", "e37b6a775dc87dbaa4dfa9f96e5e3ffddebd71f8867289865df5a32d20cdc944b6022cac3c4982b10d5eeb55c3e4de15134676fb6de0446065c97440fa8c6a58"),
        ];
        for (key, data, sha256, sha512) in vectors {
            for (hash, expected) in [(Hash::Sha256, sha256), (Hash::Sha512, sha512)] {
                let scheme = Scheme { name: "", hash, encoding: Encoding::Hex, layout: Layout::Header("s") };
                // Split in two anywhere: the pieces are one text.
                let tag = scheme.tag(&Key::new(key), None, [&data[..3], &data[3..]]);
                assert_eq!(scheme.spell(&tag), expected);
            }
        }
    }
}
