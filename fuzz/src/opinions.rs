//! Each platform's rules, written a second time from its documentation, independently of Hookgate's data and code.

use hookgate_verify::Rejection;

use crate::{
    json::{self, Kind},
    message::Message,
    verify::{
        Claim, Verdict, base64_key, has, header, hmac_sha256, hmac_sha512, is_base64_of_32_bytes, is_hex, is_lower_hex,
        required, seconds, trim_start, without,
    },
};

/// The second opinion on one platform. Paths are dotted.
pub struct Opinion {
    pub platform: &'static str,
    /// Headers of requests that are not webhooks.
    pub not_a_webhook: &'static [&'static str],
    /// The signature of a message, or what is wrong with it. The secrets are for messages in which a signature cannot be found
    /// safely.
    pub claim: fn(&Message, &[Vec<u8>]) -> Result<Claim, Verdict>,
    /// The path of the event's name. Empty if a header has it.
    pub name: &'static str,
    /// The object that the event is about.
    pub object: &'static str,
    /// The member that is the payload. Empty if the whole body is.
    pub payload: &'static str,
    pub key: Key,
}

/// What identifies an event.
pub enum Key {
    /// The text at this path.
    Text(&'static str),
    /// These together; the second is an id, which may be a number.
    NameIdTime([&'static str; 3]),
    /// The same without a time.
    NameId([&'static str; 2]),
    /// The delivery's id.
    Delivery,
    Content,
    /// The event's name, in this header, and the content.
    TopicAndContent(&'static str),
}

pub static OPINIONS: &[Opinion] = &[
    Opinion {
        platform: "elective",
        not_a_webhook: &[],
        claim: |message, _| plain(message, "x-e-commerce-signature", |written| is_hex(written, 64)),
        name: "event",
        object: "data",
        payload: "data",
        key: Key::Text("id"),
    },
    Opinion {
        platform: "etaildepot",
        not_a_webhook: &[],
        claim: |message, _| plain(message, "etail-signature", |written| is_hex(written, 64)),
        name: "type",
        object: "data.object",
        payload: "data",
        key: Key::Text("id"),
    },
    Opinion {
        platform: "lemonsqueezy",
        not_a_webhook: &[],
        claim: |message, _| plain(message, "x-signature", |written| is_lower_hex(written, 64)),
        name: "meta.event_name",
        object: "data",
        payload: "",
        key: Key::NameIdTime(["meta.event_name", "data.id", "data.attributes.updated_at"]),
    },
    Opinion {
        platform: "opterius",
        not_a_webhook: &[],
        claim: opterius,
        name: "event",
        object: "data",
        payload: "data",
        key: Key::NameIdTime(["event", "data.id", "timestamp"]),
    },
    Opinion {
        platform: "paddle",
        not_a_webhook: &[],
        claim: |message, _| {
            dated(
                message,
                "paddle-signature",
                &Dated { between: ';', time: "ts=", mine: "h1=", other: None, glue: ':', span: 5 },
            )
        },
        name: "event_type",
        object: "data",
        payload: "data",
        key: Key::Text("event_id"),
    },
    Opinion {
        platform: "paystack",
        not_a_webhook: &[],
        claim: |message, _| {
            let claim = plain(message, "x-paystack-signature", |written| is_lower_hex(written, 128))?;
            Ok(Claim { mac: hmac_sha512, ..claim })
        },
        name: "event",
        object: "data",
        payload: "data",
        key: Key::NameId(["event", "data.id"]),
    },
    Opinion {
        platform: "shopify",
        not_a_webhook: &[],
        claim: |message, _| plain(message, "x-shopify-hmac-sha256", is_base64_of_32_bytes),
        name: "",
        object: "",
        payload: "",
        key: Key::TopicAndContent("x-shopify-topic"),
    },
    Opinion {
        platform: "shoppex",
        not_a_webhook: &["x-shoppex-delivery-id", "x-shoppex-idempotency-key"],
        claim: |message, _| {
            if has(message, "x-shoppex-signature-v2") {
                shoppex_v2(message)
            } else if message.mode.1 == "true" {
                Err(Rejection::Missing.into())
            } else {
                let claim = plain(message, "x-shoppex-signature", |written| is_hex(written, 128))?;
                Ok(Claim { mac: hmac_sha512, ..claim })
            }
        },
        name: "event",
        object: "data",
        payload: "data",
        key: Key::Content,
    },
    Opinion {
        platform: "standard",
        not_a_webhook: &[],
        claim: |message, _| {
            let family = if has(message, "svix-signature") { "svix" } else { "webhook" };
            standard(message, family)
        },
        name: "type",
        object: "data",
        payload: "data",
        key: Key::Delivery,
    },
    Opinion {
        platform: "stripe",
        not_a_webhook: &[],
        claim: |message, _| {
            let form = Dated { between: ',', time: "t=", mine: "v1=", other: Some("v0="), glue: '.', span: 300 };
            dated(message, "stripe-signature", &form)
        },
        name: "type",
        object: "data.object",
        payload: "data",
        key: Key::Text("id"),
    },
    Opinion {
        platform: "w3block",
        not_a_webhook: &[],
        claim: |message, _| {
            let right = |written: &str| is_hex(written, 64) || is_base64_of_32_bytes(written);
            plain(message, "x-w3block-commerce-signature", right)
        },
        name: "event",
        object: "data",
        payload: "data",
        key: Key::NameIdTime(["event", "data.id", "timestamp"]),
    },
    Opinion {
        platform: "woocommerce",
        not_a_webhook: &[],
        claim: |message, _| plain(message, "x-wc-webhook-signature", is_base64_of_32_bytes),
        name: "",
        object: "",
        payload: "",
        key: Key::TopicAndContent("x-wc-webhook-topic"),
    },
];

/// Three headers, which begin with the family's name. Only signatures of `v1` count.
fn standard(message: &Message, family: &str) -> Result<Claim, Verdict> {
    let list = header(message, &format!("{family}-signature"))?;
    let id = required(message, &format!("{family}-id"));
    let timestamp = required(message, &format!("{family}-timestamp"));
    let (id, timestamp) = match (id, timestamp) {
        (Ok(id), Ok(timestamp)) => (id, timestamp),
        (a, b) => return Err(Verdict::Reject([a.err(), b.err()].into_iter().flatten().collect())),
    };
    let mut written = Vec::new();
    for part in list.split(' ') {
        match part.split_once(',') {
            Some(("v1", signature)) if is_base64_of_32_bytes(signature) => written.push(signature),
            Some(("v1a", _)) => {}
            _ => return Err(Rejection::Malformed.into()),
        }
    }
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !(1..=8).contains(&written.len()) || id.is_empty() || id.len() > 128 || !id.chars().all(legal) {
        return Err(Rejection::Malformed.into());
    }
    let late = (seconds(&timestamp)? - i128::from(message.now)).abs() > 300;
    Ok(Claim {
        scheme: if family == "svix" { "svix" } else { "standard" },
        // A text that is not a key signs nothing.
        mac: |secret, text| base64_key(secret, "whsec_").map(|key| hmac_sha256(&key, text)).unwrap_or_default(),
        written: written.join(" "),
        head: format!("{id}.{timestamp}.").into_bytes(),
        delivery_id: Some(id),
        signed: message.body.clone(),
        late,
    })
}

/// HMAC-SHA256 over the raw body, alone in a header.
fn plain(message: &Message, name: &str, right: impl Fn(&str) -> bool) -> Result<Claim, Verdict> {
    let written = header(message, name)?;
    if !right(&written) {
        return Err(Rejection::Malformed.into());
    }
    Ok(Claim {
        scheme: "v1",
        mac: hmac_sha256,
        written,
        delivery_id: None,
        head: Vec::new(),
        signed: message.body.clone(),
        late: false,
    })
}

/// A time, then signatures, in one header.
struct Dated {
    between: char,
    time: &'static str,
    mine: &'static str,
    /// Fields that may stand among the signatures and are ignored.
    other: Option<&'static str>,
    /// Between the time and the body.
    glue: char,
    span: i128,
}

/// HMAC-SHA256 over a time and the raw body: the time and up to eight signatures in one header.
fn dated(message: &Message, name: &str, form: &Dated) -> Result<Claim, Verdict> {
    let header = header(message, name)?;
    let (first, rest) = header.split_once(form.between).ok_or(Rejection::Malformed)?;
    let time = first.strip_prefix(form.time).ok_or(Rejection::Malformed)?;
    let mut written = Vec::new();
    for part in rest.split(form.between) {
        if let Some(signature) = part.strip_prefix(form.mine) {
            written.push(signature);
        } else if !form.other.is_some_and(|other| part.starts_with(other)) {
            return Err(Rejection::Malformed.into());
        }
    }
    if !(1..=8).contains(&written.len()) || written.iter().any(|signature| !is_lower_hex(signature, 64)) {
        return Err(Rejection::Malformed.into());
    }
    let late = (seconds(time)? - i128::from(message.now)).abs() > form.span;
    Ok(Claim {
        scheme: "v1",
        mac: hmac_sha256,
        written: written.join(" "),
        delivery_id: None,
        head: format!("{time}{}", form.glue).into_bytes(),
        signed: message.body.clone(),
        late,
    })
}

fn shoppex_v2(message: &Message) -> Result<Claim, Verdict> {
    let signature = required(message, "x-shoppex-signature-v2");
    let delivery_id = required(message, "x-shoppex-delivery");
    let timestamp = required(message, "x-shoppex-timestamp");
    let (signature, delivery_id, timestamp) = match (signature, delivery_id, timestamp) {
        (Ok(signature), Ok(delivery_id), Ok(timestamp)) => (signature, delivery_id, timestamp),
        (a, b, c) => return Err(Verdict::Reject([a.err(), b.err(), c.err()].into_iter().flatten().collect())),
    };
    // Ends with 64 digits; the text before must be exactly this.
    let cut = signature.len().checked_sub(64).filter(|&cut| signature.is_char_boundary(cut));
    let (start, written) = signature.split_at(cut.ok_or(Rejection::Malformed)?);
    if start != format!("v1,t={timestamp},h=") || !is_hex(written, 64) {
        return Err(Rejection::Malformed.into());
    }
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if delivery_id.is_empty() || delivery_id.len() > 128 || !delivery_id.chars().all(legal) {
        return Err(Rejection::Malformed.into());
    }
    let late = !(-300..=300).contains(&(seconds(&timestamp)? - i128::from(message.now)));
    Ok(Claim {
        scheme: "v2",
        mac: hmac_sha256,
        written: written.to_owned(),
        head: format!("{delivery_id}.{timestamp}.").into_bytes(),
        delivery_id: Some(delivery_id),
        signed: message.body.clone(),
        late,
    })
}

fn opterius(message: &Message, secrets: &[Vec<u8>]) -> Result<Claim, Verdict> {
    // Not JSON: to be rejected, unless somebody signed the rest.
    let doubtful = || Verdict::Doubtful { may_pass: signed_inside(message, secrets) };
    let text = std::str::from_utf8(&message.body).map_err(|_| doubtful())?;
    let (mark, text) = text.strip_prefix('\u{feff}').map_or(("", text), |rest| ("\u{feff}", rest));
    let root = json::parse(text).map_err(|_| doubtful())?;
    let members = root.members().ok_or(Rejection::Missing)?;
    let named: Vec<_> = members.iter().filter(|member| member.name.as_deref() == Some("signature")).collect();
    let [member] = named[..] else {
        // Of two, one may be malformed as well.
        let two = vec![Rejection::Repeated, Rejection::Malformed];
        return Err(Verdict::Reject(if named.is_empty() { vec![Rejection::Missing] } else { two }));
    };
    if &text[member.written.clone()] != "\"signature\"" || !matches!(member.value.kind, Kind::String(_)) {
        return Err(Rejection::Malformed.into());
    }
    let span = member.value.span.clone();
    let value = &text[span.start + 1..span.end - 1];
    let written = value.strip_prefix("sha256=").filter(|digits| is_hex(digits, 64)).ok_or(Rejection::Malformed)?;
    let (scheme, signed) = if message.mode.1 == "empty" {
        ("empty", format!("{mark}{}{}", &text[..=span.start], &text[span.end - 1..]).into_bytes())
    } else {
        let rest = without(text.as_bytes(), member.written.start, span.end);
        ("without", [mark.as_bytes(), &rest].concat())
    };
    let written = written.to_owned();
    Ok(Claim { scheme, mac: hmac_sha256, written, delivery_id: None, head: Vec::new(), signed, late: false })
}

/// Whether one of the secrets signed the text without one of the signatures in it, whatever the text is.
fn signed_inside(message: &Message, secrets: &[Vec<u8>]) -> bool {
    let body = &message.body[..];
    (0..body.len()).any(|open| {
        let Some(rest) = body[open..].strip_prefix(b"\"signature\"") else { return false };
        let Some(rest) = trim_start(rest).strip_prefix(b":") else { return false };
        let Some(rest) = trim_start(rest).strip_prefix(b"\"sha256=") else { return false };
        let Some((written, b'"')) = rest.get(..64).zip(rest.get(64).copied()) else { return false };
        let value = body.len() - rest.len() - "sha256=".len();
        let end = value + "sha256=".len() + 64;
        let signed = if message.mode.1 == "empty" {
            [&body[..value], &body[end..]].concat()
        } else {
            without(body, open, end + 1)
        };
        let mine = |secret: &Vec<u8>| crate::hex(&hmac_sha256(secret, &signed));
        secrets.iter().any(|secret| written.eq_ignore_ascii_case(mine(secret).as_bytes()))
    })
}
