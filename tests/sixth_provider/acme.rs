//! Acme, a platform that does not exist. It has nothing in common with the others.

use hookgate_event::{EventType, Unit};

use super::{Deliveries, Fields, Identity, Name, Payload, Provider, Registration, Retries, TimeFormat};
use crate::scheme::{Encoding, FieldsForm, Form, Hash, KeyForm, Piece, Scheme, Time};

/// Acme.
pub static PROVIDER: Provider = Provider {
    name: "acme",
    title: "Acme",
    documentation: "https://example.com/webhooks",
    rejected_status: 422,
    setting: None,
    modes: &[("", &[PROOF])],
    fields: Fields {
        name: Name::Member("about.news"),
        time: "about.sentAt",
        time_format: TimeFormat::Unix,
        payload: Payload::Member,
        object: "content.sale",
        resource: &[("", &["sale_no"])],
        amount: &["price.cents"],
        unit: Unit::Minor,
        currency: &["price.iso"],
        customer: &["buyer.person.ref"],
        status: &[],
    },
    identity: Identity::SignedHeader,
    events: &[("sale/settled", EventType::OrderPaid), ("sale/undone", EventType::PaymentRefunded)],
    deliveries: Deliveries { deadline: Some(7), retries: Retries::After(&[20, 400]), not_a_webhook: &[], ping: None },
    registration: Registration { steps: &["Give Acme the address `{url}` and ask for {events}."], call: None },
};

const PROOF: Scheme = Scheme {
    hash: Hash::Sha512,
    key: KeyForm::Base64("acme_"),
    form: Form::Fields(FieldsForm { separator: ';', signature: "mac", ..FieldsForm::EQUALS_COMMA }),
    encoding: Encoding::Base64,
    signed: &[Piece::Timestamp, Piece::Text("|"), Piece::Header("acme-message"), Piece::Text("|"), Piece::Body],
    time: Some(Time { header: None, tolerance: 120 }),
    ..Scheme::header("acme-proof")
};
