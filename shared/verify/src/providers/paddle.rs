//! Paddle.

use hookgate_event::{EventType, Unit};

use super::{Deliveries, Fields, Identity, Name, Payload, Provider, Registration, Retries, TimeFormat};
use crate::scheme::{Encoding, FieldsForm, Form, Piece, Scheme, Time};

/// Paddle Billing (not Paddle Classic, which signs otherwise). While a secret is rotated, a delivery has several signatures.
///
/// The tolerance is that of Paddle's own libraries. They refuse only what is too old, this also what is from the future.
pub static PROVIDER: Provider = Provider {
    name: "paddle",
    title: "Paddle",
    documentation: "https://developer.paddle.com/webhooks/about/signature-verification",
    rejected_status: 401,
    setting: None,
    modes: &[("", &[SIGNATURE])],
    fields: Fields {
        name: Name::Member("event_type"),
        time: "occurred_at",
        time_format: TimeFormat::Rfc3339,
        payload: Payload::Member,
        object: "data",
        resource: &[("", &["id"])],
        amount: &["details.totals.grand_total"],
        unit: Unit::Minor,
        currency: &["currency_code"],
        customer: &["customer_id"],
        status: &["status"],
    },
    identity: Identity::Id("event_id"),
    events: &[
        ("transaction.completed", EventType::PaymentSucceeded),
        ("transaction.payment_failed", EventType::PaymentFailed),
        ("subscription.created", EventType::SubscriptionCreated),
        ("subscription.trialing", EventType::SubscriptionTrialStarted),
        ("subscription.updated", EventType::SubscriptionUpdated),
        ("subscription.paused", EventType::SubscriptionPaused),
        ("subscription.resumed", EventType::SubscriptionResumed),
        ("subscription.canceled", EventType::SubscriptionEnded),
        ("customer.created", EventType::CustomerCreated),
        ("product.created", EventType::ProductCreated),
        ("product.updated", EventType::ProductUpdated),
    ],
    deliveries: Deliveries { deadline: Some(5), retries: Retries::Times(60), not_a_webhook: &[], ping: None },
    registration: Registration {
        steps: &[
            "In Paddle open **Developer tools → Notifications** and click **New destination**.",
            "Choose the type **URL (webhook)**, enter the URL `{url}`, and select the events you need. Each of these has a type of \
             its own here: {events}. Click **Save destination**.",
            "Edit the destination and copy its secret key. It begins with `pdl_ntfset_`, and that is part of it.",
        ],
        call: None,
    },
};

const SIGNATURE: Scheme = Scheme {
    form: Form::Fields(FieldsForm {
        separator: ';',
        time: "ts",
        signature: "h1",
        several: true,
        ..FieldsForm::EQUALS_COMMA
    }),
    encoding: Encoding::LowerHex,
    signed: &[Piece::Timestamp, Piece::Text(":"), Piece::Body],
    time: Some(Time { header: None, tolerance: 5 }),
    ..Scheme::header("paddle-signature")
};
