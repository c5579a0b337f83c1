//! Paystack.

use hookgate_event::{EventType, Unit};

use super::{Deliveries, Fields, Identity, Name, Payload, Provider, Registration, Retries, TimeFormat};
use crate::scheme::{Encoding, Hash, Scheme};

/// Paystack. The key is the secret key of the API, whole. An event has no id of its own: its name and the object's id stand
/// for it, and the content where the object has no id.
pub static PROVIDER: Provider = Provider {
    name: "paystack",
    title: "Paystack",
    documentation: "https://paystack.com/docs/payments/webhooks/",
    rejected_status: 401,
    setting: None,
    modes: &[("", &[SIGNATURE])],
    fields: Fields {
        name: Name::Member("event"),
        time: "data.paid_at",
        time_format: TimeFormat::Rfc3339,
        payload: Payload::Member,
        object: "data",
        resource: &[
            ("payment", &["transaction.id", "id", "transaction_reference"]),
            ("subscription", &["subscription_code"]),
            ("invoice", &["invoice_code"]),
            ("", &["id"]),
        ],
        amount: &["amount"],
        unit: Unit::Minor,
        currency: &["currency", "plan.currency"],
        customer: &["customer.customer_code"],
        status: &["status"],
    },
    identity: Identity::Together(&["event", "data.id"]),
    events: &[
        ("charge.success", EventType::PaymentSucceeded),
        ("charge.dispute.create", EventType::PaymentDisputed),
        ("refund.processed", EventType::PaymentRefunded),
        ("subscription.create", EventType::SubscriptionCreated),
        ("subscription.not_renew", EventType::SubscriptionCancelled),
        ("subscription.disable", EventType::SubscriptionEnded),
        ("invoice.create", EventType::InvoiceCreated),
        ("invoice.payment_failed", EventType::InvoicePaymentFailed),
    ],
    deliveries: Deliveries { deadline: None, retries: Retries::For(259_200), not_a_webhook: &[], ping: None },
    registration: Registration {
        steps: &[
            "In Paystack's dashboard open **Settings → API Keys & Webhooks**.",
            "Enter `{url}` as the **Live Webhook URL** and save. There are no events to choose; all are sent. Each of these has a \
             type of its own here: {events}.",
            "Copy the **Live Secret Key**, which begins with `sk_live_`: it signs the webhooks. It can do much more, so store it \
             here only and show it to nobody. Test mode has a URL and a key of its own: make it an account of its own here.",
        ],
        call: None,
    },
};

const SIGNATURE: Scheme =
    Scheme { hash: Hash::Sha512, encoding: Encoding::LowerHex, ..Scheme::header("x-paystack-signature") };
