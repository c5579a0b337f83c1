//! The other side: signs as the provider does. For samples, tests and tools; no function calls it.

use crate::{
    Layout, Remainder, Scheme,
    member::{self, Member},
    scheme::{Key, Stamp},
};

/// A signed request: what the provider would send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The headers that carry the signature and what belongs to it, names in lower case.
    pub headers: Vec<(&'static str, String)>,
    /// The body, with its signature where the scheme puts it there.
    pub body: Vec<u8>,
}

/// Signs `body` under `scheme`. `stamp` is the delivery id and the Unix timestamp in seconds, for the scheme that signs
/// them.
///
/// A scheme that keeps its signature in the body replaces the value that stands there, or adds the member at the end
/// of a body that has none.
///
/// # Panics
/// Where the body is no JSON object and the scheme needs one.
#[must_use]
pub fn sign(scheme: &Scheme, secret: &[u8], body: &[u8], stamp: (&str, u64)) -> Signed {
    let key = &Key::new(secret);
    match scheme.layout {
        Layout::Header(name) => {
            let tag = scheme.tag(key, None, [body, b""]);
            Signed { headers: vec![(name, scheme.spell(&tag))], body: body.to_vec() }
        }
        Layout::StampedHeader { signature, delivery_id, timestamp, tolerance } => {
            let seconds = stamp.1.to_string();
            let signed = Stamp { delivery_id: stamp.0, timestamp: &seconds, seconds: stamp.1, tolerance };
            let tag = scheme.spell(&scheme.tag(key, Some(&signed), [body, b""]));
            let headers = vec![
                (signature, format!("v1,t={seconds},h={tag}")),
                (delivery_id, stamp.0.to_owned()),
                (timestamp, seconds),
            ];
            Signed { headers, body: body.to_vec() }
        }
        Layout::Member(name, remainder) => {
            let (mut body, Member { value, cut }) = with_member(body, name);
            let left_out = match remainder {
                Remainder::Without => cut,
                Remainder::Emptied => value.clone(),
            };
            let tag = scheme.tag(key, None, [&body[..left_out.start], &body[left_out.end..]]);
            body.splice(value, scheme.spell(&tag).into_bytes());
            Signed { headers: Vec::new(), body }
        }
    }
}

/// The signature that stands in `body` as its top-level member `name`, and the text around it that it would have to be
/// made over. None where there is no such member, or more than one, or none that can be read safely.
///
/// For tools that explain. It proves nothing.
#[must_use]
pub fn member<'b>(name: &str, remainder: Remainder, body: &'b [u8]) -> Option<(&'b [u8], [&'b [u8]; 2])> {
    let Member { value, cut } = member::find(body, name.as_bytes()).ok()?;
    let left_out = match remainder {
        Remainder::Without => cut,
        Remainder::Emptied => value.clone(),
    };
    Some((&body[value], [&body[..left_out.start], &body[left_out.end..]]))
}

fn with_member(body: &[u8], name: &str) -> (Vec<u8>, Member) {
    let mut body = body.to_vec();
    if member::find(&body, name.as_bytes()) == Err(member::Trouble::Absent) {
        let end = body.iter().rposition(|&b| b == b'}').expect("a JSON object ends in a brace");
        body.splice(end..end, format!(",\"{name}\":\"\"").into_bytes());
    }
    let member = member::find(&body, name.as_bytes()).expect("a JSON object with one such member");
    (body, member)
}
