//! Standard Webhooks: one scheme that hundreds of senders speak.

use hookgate_event::{EventType, Unit};

use super::{Deliveries, Fields, Identity, Name, Payload, Provider, Registration, Retries, TimeFormat};
use crate::scheme::{Encoding, FieldsForm, Form, KeyForm, Piece, Place, Scheme, Time};

/// Any sender that follows Standard Webhooks 1.0, under its own header names or Svix'. The scheme of
/// <https://docs.svix.com/receiving/verifying-payloads/how-manual> is the same; like Svix' own library this looks for Svix' headers
/// first. Senders choose their own event names: the table has those that match an event type.
pub static PROVIDER: Provider = Provider {
    name: "standard",
    title: "Standard Webhooks",
    documentation: "https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md",
    rejected_status: 401,
    setting: None,
    modes: &[("", &[SVIX, STANDARD])],
    fields: Fields {
        name: Name::Member("type"),
        time: "timestamp",
        time_format: TimeFormat::Rfc3339,
        payload: Payload::Member,
        object: "data",
        resource: &[("", &["id"])],
        // Senders agree on no unit.
        amount: &[],
        unit: Unit::Minor,
        currency: &[],
        customer: &["customer_id", "customer.id"],
        status: &["status"],
    },
    identity: Identity::SignedHeader,
    events: &[
        ("order.created", EventType::OrderCreated),
        ("order.updated", EventType::OrderUpdated),
        ("order.paid", EventType::OrderPaid),
        ("order.fulfilled", EventType::OrderFulfilled),
        ("order.completed", EventType::OrderCompleted),
        ("order.cancelled", EventType::OrderCancelled),
        ("order.canceled", EventType::OrderCancelled),
        ("order.refunded", EventType::OrderRefunded),
        ("payment.succeeded", EventType::PaymentSucceeded),
        ("payment.failed", EventType::PaymentFailed),
        ("payment.refunded", EventType::PaymentRefunded),
        ("subscription.created", EventType::SubscriptionCreated),
        ("subscription.updated", EventType::SubscriptionUpdated),
        ("subscription.renewed", EventType::SubscriptionRenewed),
        ("subscription.cancelled", EventType::SubscriptionCancelled),
        ("subscription.canceled", EventType::SubscriptionCancelled),
        ("invoice.created", EventType::InvoiceCreated),
        ("invoice.paid", EventType::InvoicePaid),
        ("customer.created", EventType::CustomerCreated),
        ("customer.updated", EventType::CustomerUpdated),
        ("customer.deleted", EventType::CustomerDeleted),
        ("product.created", EventType::ProductCreated),
        ("product.updated", EventType::ProductUpdated),
        ("product.deleted", EventType::ProductDeleted),
    ],
    deliveries: Deliveries { deadline: None, retries: Retries::Unknown, not_a_webhook: &[], ping: None },
    registration: Registration {
        steps: &[
            "In the sender's dashboard add the endpoint `{url}`. One account here is one endpoint there: another sender gets an \
             account, and an address, of its own.",
            "Select the events you need. Each of these has a type of its own here: {events}.",
            "Copy the endpoint's signing secret, `whsec_` included.",
        ],
        call: None,
    },
};

const STANDARD: Scheme = Scheme {
    name: "standard",
    signed: &[Piece::Header("webhook-id"), Piece::Text("."), Piece::Timestamp, Piece::Text("."), Piece::Body],
    time: Some(Time { header: Some("webhook-timestamp"), tolerance: 300 }),
    ..LIST
};

const SVIX: Scheme = Scheme {
    name: "svix",
    signed: &[Piece::Header("svix-id"), Piece::Text("."), Piece::Timestamp, Piece::Text("."), Piece::Body],
    time: Some(Time { header: Some("svix-timestamp"), tolerance: 300 }),
    place: Place::Header("svix-signature"),
    ..LIST
};

const LIST: Scheme = Scheme {
    key: KeyForm::Base64("whsec_"),
    // `v1a` is the same text signed with a public key.
    form: Form::Fields(FieldsForm {
        separator: ' ',
        assign: ',',
        time: "",
        several: true,
        ignored: &["v1a"],
        ..FieldsForm::EQUALS_COMMA
    }),
    encoding: Encoding::Base64,
    ..Scheme::header("webhook-signature")
};
