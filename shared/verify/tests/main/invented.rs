//! Platforms that do not exist. Together they use the whole grammar of schemes, of fields and of identities.

use hookgate_event::{EventType, Unit};
use hookgate_verify::{
    Provider, Scheme,
    providers::{Deliveries, Fields, Identity, Name, Payload, Ping, Registration, Retries, TimeFormat},
    scheme::{Encoding, FieldsForm, Form, Hash, KeyForm, Piece, Place, Time},
};

/// How far a signed time may be away, for all of them.
pub const TOLERANCE: u64 = 300;

pub static ALL: &[&Provider] = &[
    &VERSIONS, &PAIR, &MARKED, &LIST, &SUMS, &WIDE, &CUT, &EMPTIED, &DATED, &MOVING, &ANY, &TOPICS, &WHOLE, &FAMILIES,
];

/// `t=…,v1=…,v1=…,v0=…`: several signatures, and names that say nothing.
pub static VERSIONS: Provider = Provider {
    name: "versions",
    modes: &[(
        "",
        &[Scheme {
            form: Form::Fields(FieldsForm { several: true, ignored: &["v0", "note"], ..FieldsForm::EQUALS_COMMA }),
            signed: &[Piece::Timestamp, Piece::Text("."), Piece::Body],
            time: Some(Time { header: None, tolerance: TOLERANCE }),
            ..Scheme::header("x-versions")
        }],
    )],
    identity: Identity::Id("meta.id"),
    fields: Fields { name: Name::Member("meta.kind"), time: "meta.at", object: "sale.item.it", ..FIELDS },
    ..PLAIN
};

/// `ts=…;h1=…`: one signature.
pub static PAIR: Provider = Provider {
    name: "pair",
    modes: &[(
        "",
        &[Scheme {
            form: Form::Fields(FieldsForm { separator: ';', time: "ts", signature: "h1", ..FieldsForm::EQUALS_COMMA }),
            signed: &[Piece::Timestamp, Piece::Text(":"), Piece::Body],
            time: Some(Time { header: None, tolerance: TOLERANCE }),
            ..Scheme::header("x-pair")
        }],
    )],
    fields: Fields { time_format: TimeFormat::Rfc3339, ..FIELDS },
    identity: Identity::Together(&["what", "it.no", "it.no2"]),
    ..PLAIN
};

/// `v1,t=…,h=…`: a marker first, and the time in a header too.
pub static MARKED: Provider = Provider {
    name: "marked",
    modes: &[(
        "",
        &[Scheme {
            hash: Hash::Sha512,
            form: Form::Fields(FieldsForm { marker: "v1", signature: "h", ..FieldsForm::EQUALS_COMMA }),
            signed: &[Piece::Header("x-marked-id"), Piece::Text("."), Piece::Timestamp, Piece::Text("."), Piece::Body],
            time: Some(Time { header: Some("x-marked-time"), tolerance: TOLERANCE }),
            ..Scheme::header("x-marked")
        }],
    )],
    identity: Identity::SignedHeader,
    ..PLAIN
};

/// `v1,… v1,…`: a list, with the id and the time in headers, and a key in base64.
pub static LIST: Provider = Provider {
    name: "list",
    modes: &[(
        "",
        &[Scheme {
            key: KeyForm::Base64("whsec_"),
            form: Form::Fields(FieldsForm {
                separator: ' ',
                assign: ',',
                time: "",
                several: true,
                ignored: &["v1a"],
                ..FieldsForm::EQUALS_COMMA
            }),
            encoding: Encoding::Base64,
            signed: &[Piece::Header("x-list-id"), Piece::Text("."), Piece::Timestamp, Piece::Text("."), Piece::Body],
            time: Some(Time { header: Some("x-list-time"), tolerance: TOLERANCE }),
            ..Scheme::header("x-list")
        }],
    )],
    identity: Identity::SignedHeader,
    ..PLAIN
};

/// `s=…&s=…`: several signatures and nothing else.
pub static SUMS: Provider = Provider {
    name: "sums",
    modes: &[(
        "",
        &[Scheme {
            form: Form::Fields(FieldsForm {
                separator: '&',
                time: "",
                signature: "s",
                several: true,
                ..FieldsForm::EQUALS_COMMA
            }),
            encoding: Encoding::HexOrBase64,
            signed: &[Piece::Text("sums:"), Piece::Body, Piece::Text(":end")],
            ..Scheme::header("x-sums")
        }],
    )],
    identity: Identity::Content,
    ..PLAIN
};

/// SHA-512 behind a prefix, in hex or base64, with a key in base64 that nothing stands before.
pub static WIDE: Provider = Provider {
    name: "wide",
    modes: &[(
        "",
        &[Scheme {
            hash: Hash::Sha512,
            key: KeyForm::Base64(""),
            form: Form::Prefix("sha512="),
            encoding: Encoding::HexOrBase64,
            ..Scheme::header("x-wide")
        }],
    )],
    identity: Identity::Id("it.ref"),
    ..PLAIN
};

/// In the body and cut out, with nothing before it, in base64.
pub static CUT: Provider = Provider {
    name: "cut",
    modes: &[(
        "",
        &[Scheme {
            place: Place::Member("sig"),
            encoding: Encoding::Base64,
            signed: &[Piece::BodyWithoutSignature],
            ..Scheme::header("")
        }],
    )],
    identity: Identity::Together(&["what", "when", "it.no"]),
    ..PLAIN
};

/// In the body behind a prefix and emptied, with the time in a header.
pub static EMPTIED: Provider = Provider {
    name: "emptied",
    modes: &[(
        "",
        &[Scheme {
            hash: Hash::Sha512,
            place: Place::Member("proof"),
            form: Form::Prefix("is:"),
            signed: &[Piece::BodyWithEmptySignature, Piece::Text("@"), Piece::Timestamp],
            time: Some(Time { header: Some("x-emptied-time"), tolerance: TOLERANCE }),
            ..Scheme::header("")
        }],
    )],
    identity: Identity::Id("ref"),
    ..PLAIN
};

/// The time in a header alone; a header that must never be answered 2xx.
pub static DATED: Provider = Provider {
    name: "dated",
    modes: &[(
        "",
        &[Scheme {
            signed: &[Piece::Body, Piece::Timestamp],
            time: Some(Time { header: Some("x-dated-time"), tolerance: TOLERANCE }),
            ..Scheme::header("x-dated")
        }],
    )],
    identity: Identity::Id("ref"),
    deliveries: Deliveries { not_a_webhook: &["x-dated-probe"], ..PLAIN.deliveries },
    ..PLAIN
};

/// On its way from one scheme to the next, with a setting for where it is.
pub static MOVING: Provider = Provider {
    name: "moving",
    setting: Some("MOVING"),
    modes: &[("both", &[NEW, OLD]), ("old", &[OLD]), ("new", &[NEW])],
    identity: Identity::Id("ref"),
    ..PLAIN
};

const NEW: Scheme = Scheme {
    name: "new",
    key: KeyForm::Base64("key_"),
    form: Form::Fields(FieldsForm { separator: '|', assign: ':', several: true, ..FieldsForm::EQUALS_COMMA }),
    encoding: Encoding::Base64,
    signed: &[Piece::Timestamp, Piece::Text("|"), Piece::Body],
    time: Some(Time { header: None, tolerance: TOLERANCE }),
    ..Scheme::header("x-moving-new")
};

const OLD: Scheme = Scheme { name: "old", form: Form::Prefix("sha256="), ..Scheme::header("x-moving-old") };

/// The marker before several signatures; the time is that of a header.
pub static ANY: Provider = Provider {
    name: "any",
    modes: &[(
        "",
        &[Scheme {
            form: Form::Fields(FieldsForm {
                separator: '.',
                assign: '-',
                marker: "x",
                time: "",
                several: true,
                ..FieldsForm::EQUALS_COMMA
            }),
            signed: &[Piece::Header("x-any-id"), Piece::Text("/"), Piece::Body],
            ..Scheme::header("x-any")
        }],
    )],
    identity: Identity::SignedHeader,
    ..PLAIN
};

/// The name in a header that nobody signs; the body itself is the object; a form for a ping.
pub static TOPICS: Provider = Provider {
    name: "topics",
    modes: &[("", &[Scheme { encoding: Encoding::Base64, ..Scheme::header("x-topics") }])],
    fields: Fields {
        name: Name::UnsignedHeader("x-topics-topic"),
        time_format: TimeFormat::Utc,
        payload: Payload::Body,
        object: "",
        ..FIELDS
    },
    identity: Identity::Content,
    deliveries: Deliveries { ping: Some(Ping { field: "hook_id" }), ..PLAIN.deliveries },
    ..PLAIN
};

/// The whole body for the payload, and the object in it.
pub static WHOLE: Provider = Provider {
    name: "whole",
    modes: &[("", &[Scheme::header("x-whole")])],
    fields: Fields { name: Name::Member("meta.kind"), payload: Payload::Body, object: "data.it", ..FIELDS },
    identity: Identity::Together(&["meta.kind", "data.it.no", "when"]),
    ..PLAIN
};

/// Two families of headers, each with its id and its time.
pub static FAMILIES: Provider =
    Provider { name: "families", modes: &[("", &[SECOND, FIRST])], identity: Identity::SignedHeader, ..PLAIN };

const SECOND: Scheme = Scheme {
    name: "second",
    signed: &[Piece::Header("x-second-id"), Piece::Text("."), Piece::Timestamp, Piece::Text("."), Piece::Body],
    time: Some(Time { header: Some("x-second-time"), tolerance: TOLERANCE }),
    ..Scheme::header("x-second")
};

const FIRST: Scheme = Scheme {
    name: "first",
    signed: &[Piece::Header("x-first-id"), Piece::Text("."), Piece::Timestamp, Piece::Text("."), Piece::Body],
    time: Some(Time { header: Some("x-first-time"), tolerance: TOLERANCE }),
    ..Scheme::header("x-first")
};

const FIELDS: Fields = Fields {
    name: Name::Member("what"),
    time: "when",
    time_format: TimeFormat::Unix,
    payload: Payload::Member,
    object: "it",
    resource: &[("invoice", &["bill.no", "bill"]), ("", &["no", "number", "ids.first"])],
    amount: &["sum", "sums.all", "price"],
    unit: Unit::Major,
    currency: &["money", "sums.money"],
    customer: &["buyer.no", "buyer", "by"],
    status: &["state", "more.state"],
};

const PLAIN: Provider = Provider {
    name: "",
    title: "A platform that does not exist",
    documentation: "https://example.com/webhooks",
    rejected_status: 403,
    setting: None,
    modes: &[],
    fields: FIELDS,
    identity: Identity::Content,
    events: &[
        ("sale/done", EventType::OrderPaid),
        ("bill/paid", EventType::InvoicePaid),
        ("bill/made", EventType::InvoiceCreated),
    ],
    deliveries: Deliveries { deadline: None, retries: Retries::Unknown, not_a_webhook: &[], ping: None },
    registration: Registration { steps: &["Enter `{url}`."], call: None },
};
