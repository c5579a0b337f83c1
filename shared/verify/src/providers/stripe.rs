//! Stripe.

use hookgate_event::{EventType, Unit};

use super::{Deliveries, Fields, Identity, Name, Payload, Provider, Registration, Retries, TimeFormat};
use crate::scheme::{Encoding, FieldsForm, Form, Piece, Scheme, Time};

/// Stripe. The signing secret is used whole, `whsec_` included. While a secret is rolled, both old and new sign; `v0` is a
/// signature of test mode and is ignored.
///
/// One payment makes several events: a payment is here what Stripe calls a `PaymentIntent`, which succeeds once.
/// `charge.succeeded` also comes for money that is only reserved, and `invoice.payment_succeeded` beside `invoice.paid`:
/// neither is in the table. Nor is `charge.refunded`: its amount is that of the charge, not of the refund.
pub static PROVIDER: Provider = Provider {
    name: "stripe",
    title: "Stripe",
    documentation: "https://docs.stripe.com/webhooks",
    rejected_status: 400,
    setting: None,
    modes: &[("", &[SIGNATURE])],
    fields: Fields {
        name: Name::Member("type"),
        time: "created",
        time_format: TimeFormat::Unix,
        payload: Payload::Member,
        object: "data.object",
        resource: &[("payment", &["payment_intent", "id"]), ("", &["id"])],
        amount: &["amount", "amount_total", "total"],
        unit: Unit::Minor,
        currency: &["currency"],
        customer: &["customer"],
        status: &["status"],
    },
    identity: Identity::Id("id"),
    events: &[
        ("payment_intent.succeeded", EventType::PaymentSucceeded),
        ("payment_intent.payment_failed", EventType::PaymentFailed),
        ("refund.created", EventType::PaymentRefunded),
        ("charge.dispute.created", EventType::PaymentDisputed),
        ("checkout.session.completed", EventType::CheckoutCompleted),
        ("invoice.created", EventType::InvoiceCreated),
        ("invoice.paid", EventType::InvoicePaid),
        ("invoice.payment_failed", EventType::InvoicePaymentFailed),
        ("customer.created", EventType::CustomerCreated),
        ("customer.subscription.created", EventType::SubscriptionCreated),
        ("customer.subscription.updated", EventType::SubscriptionUpdated),
        ("customer.subscription.paused", EventType::SubscriptionPaused),
        ("customer.subscription.resumed", EventType::SubscriptionResumed),
        ("customer.subscription.deleted", EventType::SubscriptionEnded),
        ("product.created", EventType::ProductCreated),
        ("product.updated", EventType::ProductUpdated),
        ("account.updated", EventType::AccountUpdated),
    ],
    deliveries: Deliveries { deadline: None, retries: Retries::For(259_200), not_a_webhook: &[], ping: None },
    registration: Registration {
        steps: &[
            "In Stripe's **Workbench** open the tab **Webhooks** and click **Create an event destination**.",
            "Choose the events of your account, the payload style **Snapshot**, and the event types you need. Each of these has a \
             type of its own here: {events}.",
            "Choose **Webhook endpoint** and enter the URL `{url}`.",
            "Reveal the destination's signing secret and copy it. It begins with `whsec_`, and that is part of it. Test mode \
             and live mode have destinations, and secrets, of their own.",
        ],
        call: None,
    },
};

const SIGNATURE: Scheme = Scheme {
    form: Form::Fields(FieldsForm { several: true, ignored: &["v0"], ..FieldsForm::EQUALS_COMMA }),
    encoding: Encoding::LowerHex,
    signed: &[Piece::Timestamp, Piece::Text("."), Piece::Body],
    time: Some(Time { header: None, tolerance: 300 }),
    ..Scheme::header("stripe-signature")
};
