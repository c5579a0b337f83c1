//! `docs/contract/vectors.json`: deliveries with their verdicts, for verifiers in other languages.

use hookgate::send::samples::{self, Sample};
use hookgate_verify::{
    Account, Authenticated, Delivery, Provider, Scheme, Secrets, Verifier,
    providers::{self, Identity},
    scheme::{Encoding, FieldsForm, Form, Hash, KeyForm, Piece, Place, Signed},
};
use http::{HeaderMap, HeaderName};
use serde_json::{Value, json};
use time::OffsetDateTime;

/// When the deliveries were signed.
const SIGNED: u64 = 1_800_000_000;
const ID: &str = "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W";
const NOTE: &str = "\"note\": \"Zoë \\/ \\u6771 🚚\"";

pub fn vectors() -> Value {
    let samples = samples::all();
    let platforms: Vec<_> = providers::ALL.iter().map(|provider| platform(provider)).collect();
    let deliveries: Vec<_> = providers::ALL
        .iter()
        .flat_map(|provider| {
            let own = samples.iter().filter(|sample| sample.provider.name == provider.name);
            let shortest = own.min_by_key(|sample| sample.body.len());
            of(provider, shortest.unwrap_or_else(|| panic!("no sample of {}", provider.name)))
        })
        .collect();
    json!({ "platforms": platforms, "deliveries": deliveries })
}

fn platform(provider: &Provider) -> Value {
    let mut schemes: Vec<&Scheme> = Vec::new();
    for scheme in provider.schemes() {
        if schemes.iter().all(|known| known.name != scheme.name) {
            schemes.push(scheme);
        }
    }
    let modes: Vec<_> = provider
        .modes
        .iter()
        .map(|(value, schemes)| {
            json!({ "value": value, "schemes": schemes.iter().map(|scheme| scheme.name).collect::<Vec<_>>() })
        })
        .collect();
    json!({
        "name": provider.name,
        "documentation": provider.documentation,
        "setting": provider.setting,
        "modes": modes,
        "schemes": schemes.into_iter().map(described).collect::<Vec<_>>(),
        "not_a_webhook": provider.deliveries.not_a_webhook,
        "unsigned_name": provider.fields.name.unsigned_header(),
        "identity": match provider.identity {
            Identity::Id(path) => json!({ "id": path }),
            Identity::Together(paths) => json!({ "together": paths }),
            Identity::SignedHeader => json!("signed_header"),
            Identity::Content => json!("content"),
        },
    })
}

/// The scheme as data.
fn described(scheme: &Scheme) -> Value {
    let Scheme { name, hash, key, place, form, encoding, signed, time } = *scheme;
    let signed: Vec<_> = signed
        .iter()
        .map(|piece| match piece {
            Piece::Text(text) => json!({ "text": text }),
            Piece::Header(name) => json!({ "header": name }),
            Piece::Timestamp => json!("time"),
            Piece::Body => json!("body"),
            Piece::BodyWithoutSignature => json!("body_without_signature"),
            Piece::BodyWithEmptySignature => json!("body_with_empty_signature"),
        })
        .collect();
    json!({
        "name": name,
        "hash": match hash { Hash::Sha256 => "sha256", Hash::Sha512 => "sha512" },
        "key": match key {
            KeyForm::Text => json!("text"),
            KeyForm::Base64(prefix) => json!({ "base64_behind": prefix }),
        },
        "place": match place {
            Place::Header(name) => json!({ "header": name }),
            Place::Member(name) => json!({ "member": name }),
        },
        "form": match form {
            Form::Prefix(prefix) => json!({ "prefix": prefix }),
            Form::Fields(FieldsForm { separator, assign, marker, time, signature, several, ignored }) => json!({
                "separator": separator, "assign": assign, "marker": marker, "time": time, "signature": signature,
                "several": several, "ignored": ignored,
            }),
        },
        "encoding": match encoding {
            Encoding::Hex => "hex",
            Encoding::LowerHex => "lower_hex",
            Encoding::Base64 => "base64",
            Encoding::HexOrBase64 => "hex_or_base64",
        },
        "signed": signed,
        "time": time.map(|time| json!({ "header": time.header, "tolerance": time.tolerance })),
    })
}

/// One delivery in the making.
#[derive(Clone)]
struct Post {
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    secrets: Vec<String>,
    received: u64,
}

/// What must come of it: the secret's position, or the reason.
type Expected = Result<usize, &'static str>;

fn of(provider: &'static Provider, sample: &Sample) -> Vec<Value> {
    let mut all = Vec::new();
    for (mode, schemes) in provider.modes {
        for (index, scheme) in schemes.iter().enumerate() {
            for (what, post, expected) in posts(provider, scheme, sample) {
                all.push(judged(provider, mode, Some(scheme.name), what, &post, expected));
            }
            if let Some(older) = schemes.get(index + 1) {
                let what = "a wrong signature of the newer scheme beside a right one of the older";
                let (current, other) = (scheme.secret_of("the current key"), scheme.secret_of("another key"));
                let mut post = signed(provider, scheme, sample, &other, &sample.body);
                post.headers.extend(signed(provider, older, sample, &current, &sample.body).headers);
                post.headers.dedup();
                post.secrets = vec![current];
                all.push(judged(provider, mode, None, what, &post, Err("signature_mismatch")));
            }
        }
    }
    all
}

/// Deliveries in the making, each with what it is and what must come of it.
struct Posts {
    sound: Post,
    list: Vec<(&'static str, Post, Expected)>,
}

impl Posts {
    /// The sound delivery, changed.
    fn add(&mut self, what: &'static str, expected: Expected, change: &dyn Fn(&mut Post)) {
        let mut post = self.sound.clone();
        change(&mut post);
        self.list.push((what, post, expected));
    }
}

/// What a sender that signs by this scheme could send, and what others could make of it.
fn posts(provider: &Provider, scheme: &Scheme, sample: &Sample) -> Vec<(&'static str, Post, Expected)> {
    let current = scheme.secret_of("the current key");
    let mut posts = Posts { sound: signed(provider, scheme, sample, &current, &sample.body), list: Vec::new() };
    posts.add("as the platform signs", Ok(0), &|_| ());
    posts.add("signed with the older of two secrets", Ok(1), &|post| {
        post.secrets.insert(0, scheme.secret_of("a newer key"));
    });
    posts.add("signed with a secret that is not there", Err("signature_mismatch"), &|post| {
        post.secrets = vec![scheme.secret_of("another key")];
    });
    posts.add("letters beyond ASCII, an escape and white space in the body", Ok(0), &|post| {
        let end = sample.body.iter().rposition(|&byte| byte == b'}').unwrap();
        let mut body = sample.body.clone();
        body.splice(end..end, format!(",\n {NOTE}\n").into_bytes());
        body.push(b'\n');
        *post = signed(provider, scheme, sample, &current, &body);
    });
    posts.add("one more space in the body", Err("signature_mismatch"), &|post| {
        let end = post.body.iter().rposition(|&byte| byte == b'}').unwrap();
        post.body.insert(end, b' ');
    });
    match scheme.signature_header() {
        Some(name) => in_header(&mut posts, scheme, name),
        None => in_body(&mut posts, scheme),
    }
    time_and_id(&mut posts, scheme);
    for header in provider.deliveries.not_a_webhook {
        posts.add("a request that is not a webhook", Err("not_a_webhook"), &|post| {
            post.headers.push(((*header).to_owned(), "1".to_owned()));
        });
    }
    posts.list
}

fn in_header(posts: &mut Posts, scheme: &Scheme, name: &str) {
    let value = move |post: &mut Post, change: &dyn Fn(&str) -> String| {
        let (_, text) = post.headers.iter_mut().find(|(known, _)| known == name).unwrap();
        *text = change(text);
    };
    let right = signature_of(scheme, &posts.sound);
    posts.add("no signature", Err("signature_missing"), &|post| post.headers.retain(|(known, _)| known != name));
    posts.add("the signature's header twice", Err("signature_repeated"), &|post| {
        let again = post.headers.iter().find(|(known, _)| known == name).unwrap().clone();
        post.headers.push(again);
    });
    posts.add("a signature cut short", Err("signature_malformed"), &|post| {
        value(post, &|text| text.replace(&right, &right[..right.len() - 4]));
    });
    posts.add("white space before the signature's header", Err("signature_malformed"), &|post| {
        value(post, &|text| format!(" {text}"));
    });
    posts.add("white space behind the signature's header", Err("signature_malformed"), &|post| {
        value(post, &|text| format!("{text} "));
    });
    match scheme.encoding {
        Encoding::Hex | Encoding::HexOrBase64 => {
            posts
                .add("upper-case hex", Ok(0), &|post| value(post, &|text| text.replace(&right, &right.to_uppercase())));
        }
        Encoding::LowerHex => posts.add("upper-case hex", Err("signature_malformed"), &|post| {
            value(post, &|text| text.replace(&right, &right.to_uppercase()));
        }),
        Encoding::Base64 => posts.add("base64 without its padding", Err("signature_malformed"), &|post| {
            value(post, &|text| text.replace(&right, right.trim_end_matches('=')));
        }),
    }
    if let Form::Fields(FieldsForm { separator, assign, signature, several, ignored, .. }) = scheme.form {
        let wrong = if right.ends_with('=') { format!("{}=", "A".repeat(43)) } else { "0".repeat(right.len()) };
        let field = |text: &str| format!("{signature}{assign}{text}");
        let (right, wrong) = (field(&right), field(&wrong));
        if several {
            posts.add("a wrong signature before the right one", Ok(0), &|post| {
                value(post, &|text| text.replace(&right, &format!("{wrong}{separator}{right}")));
            });
            posts.add("nine signatures", Err("signature_malformed"), &|post| {
                let nine = [vec![wrong.clone(); 8], vec![right.clone()]].concat().join(&separator.to_string());
                value(post, &|text| text.replace(&right, &nine));
            });
        } else {
            posts.add("two signatures where there is one", Err("signature_malformed"), &|post| {
                value(post, &|text| format!("{text}{separator}{right}"));
            });
        }
        for name in ignored {
            posts.add("a field of another version behind it", Ok(0), &|post| {
                value(post, &|text| format!("{text}{separator}{name}{assign}0"));
            });
        }
        posts.add("a field that nobody knows", Err("signature_malformed"), &|post| {
            value(post, &|text| format!("{text}{separator}x9{assign}0"));
        });
        posts.add("an empty field at the end", Err("signature_malformed"), &|post| {
            value(post, &|text| format!("{text}{separator}"));
        });
    }
}

fn in_body(posts: &mut Posts, scheme: &Scheme) {
    let right = signature_of(scheme, &posts.sound);
    let text = move |post: &mut Post, change: &dyn Fn(&str) -> String| {
        post.body = change(std::str::from_utf8(&post.body).unwrap()).into_bytes();
    };
    posts.add("no signature", Err("signature_missing"), &|post| post.body.clone_from(&b"{}".to_vec()));
    posts.add("a signature cut short", Err("signature_malformed"), &|post| {
        text(post, &|text| text.replace(&right, &right[..60]));
    });
    posts.add("upper-case hex", Ok(0), &|post| text(post, &|text| text.replace(&right, &right.to_uppercase())));
}

fn time_and_id(posts: &mut Posts, scheme: &Scheme) {
    if let Some(time) = scheme.time {
        posts.add("as old as allowed", Ok(0), &|post| post.received = SIGNED + time.tolerance);
        posts.add("too old by a second", Err("timestamp_expired"), &|post| post.received = SIGNED + time.tolerance + 1);
        posts.add("as far ahead as allowed", Ok(0), &|post| post.received = SIGNED - time.tolerance);
        posts.add("too far ahead by a second", Err("timestamp_expired"), &|post| {
            post.received = SIGNED - time.tolerance - 1;
        });
        let everywhere = |post: &mut Post, new: &str| {
            post.headers.iter_mut().for_each(|(_, value)| *value = value.replace(&SIGNED.to_string(), new));
        };
        posts
            .add("another time than the signed one", Err("signature_mismatch"), &|post| everywhere(post, "1800000001"));
        posts.add("a leading zero in the time", Err("signature_mismatch"), &|post| everywhere(post, "01800000000"));
        posts.add("a plus sign in the time", Err("signature_malformed"), &|post| everywhere(post, "+1800000000"));
        posts.add("no digits in the time", Err("signature_malformed"), &|post| everywhere(post, ""));
    }
    if let Some(name) = scheme.id_header() {
        let id = |post: &mut Post, new: &str| {
            post.headers.iter_mut().filter(|(known, _)| known == name).for_each(|(_, value)| new.clone_into(value));
        };
        posts.add("another id than the signed one", Err("signature_mismatch"), &|post| id(post, "msg_other"));
        posts.add("an id with a dot", Err("signature_malformed"), &|post| id(post, "msg.other"));
        posts.add("no id", Err("signature_malformed"), &|post| post.headers.retain(|(known, _)| known != name));
    }
}

/// As the platform would send this body.
fn signed(provider: &Provider, scheme: &Scheme, sample: &Sample, secret: &str, body: &[u8]) -> Post {
    let Signed { headers, body } = scheme.sign(secret.as_bytes(), body, ID, SIGNED).unwrap();
    let name = provider.fields.name.unsigned_header();
    let name = name.map(|name| (name.to_owned(), sample.headers[name].clone()));
    let headers = headers.into_iter().map(|(name, value)| (name.to_owned(), value));
    Post { headers: headers.chain(name).collect(), body, secrets: vec![secret.to_owned()], received: SIGNED }
}

fn signature_of(scheme: &Scheme, post: &Post) -> String {
    scheme.inspect(&delivery(post)).unwrap().signatures.remove(0)
}

fn delivery(post: &Post) -> Delivery {
    let mut headers = HeaderMap::new();
    for (name, value) in &post.headers {
        headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
    }
    let received = OffsetDateTime::from_unix_timestamp(i64::try_from(post.received).unwrap()).unwrap();
    Delivery { headers, body: post.body.clone(), account: Account::default(), received }
}

fn judged(
    provider: &'static Provider,
    mode: &str,
    scheme: Option<&str>,
    what: &str,
    post: &Post,
    expected: Expected,
) -> Value {
    let verifier = Verifier::new(provider, |_| Some(mode.to_owned())).unwrap();
    let secrets = Secrets::parse(&json!({ "default": post.secrets }).to_string()).unwrap();
    let delivery = delivery(post);
    let verdict = verifier.authenticate(&delivery, &secrets);
    let context = format!("{} {mode:?} {scheme:?}, {what}", provider.name);
    let got = verdict.as_ref().map(Authenticated::secret).map_err(|rejection| rejection.as_str());
    assert_eq!(got, expected, "{context}");
    let verdict = match verdict {
        Err(rejection) => json!({ "rejected": rejection.as_str() }),
        Ok(authentic) => {
            let key = authentic.read().unwrap_or_else(|unreadable| panic!("{context}: {unreadable:?}")).key;
            json!({ "accepted": { "scheme": authentic.scheme(), "secret": authentic.secret(), "key": key } })
        }
    };
    json!({
        "platform": provider.name,
        "mode": mode,
        "what": what,
        "secrets": post.secrets,
        "headers": post.headers,
        "body": std::str::from_utf8(&post.body).unwrap(),
        "received": post.received,
        "verdict": verdict,
    })
}
