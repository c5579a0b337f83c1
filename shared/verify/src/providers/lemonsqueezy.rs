//! Lemon Squeezy.

use hookgate_event::{EventType, Unit};

use super::{Deliveries, Fields, Identity, Name, Payload, Provider, Registration, Retries, TimeFormat};
use crate::scheme::{Encoding, Scheme};

/// Lemon Squeezy. An event has no id of its own: its name, the object's id, and when the object last changed stand for it.
/// The payload is the whole body: `meta.custom_data` comes from the shop's own checkout.
pub static PROVIDER: Provider = Provider {
    name: "lemonsqueezy",
    title: "Lemon Squeezy",
    documentation: "https://docs.lemonsqueezy.com/help/webhooks/webhook-requests",
    rejected_status: 401,
    setting: None,
    modes: &[("", &[Scheme { encoding: Encoding::LowerHex, ..Scheme::header("x-signature") }])],
    fields: Fields {
        name: Name::Member("meta.event_name"),
        time: "data.attributes.updated_at",
        time_format: TimeFormat::Rfc3339,
        payload: Payload::Body,
        object: "data",
        resource: &[("", &["id"])],
        amount: &["attributes.total"],
        unit: Unit::Minor,
        currency: &["attributes.currency"],
        customer: &["attributes.customer_id"],
        status: &["attributes.status"],
    },
    identity: Identity::Together(&["meta.event_name", "data.id", "data.attributes.updated_at"]),
    events: &[
        ("order_created", EventType::OrderCreated),
        ("order_refunded", EventType::OrderRefunded),
        ("subscription_created", EventType::SubscriptionCreated),
        ("subscription_updated", EventType::SubscriptionUpdated),
        ("subscription_cancelled", EventType::SubscriptionCancelled),
        ("subscription_expired", EventType::SubscriptionEnded),
        ("subscription_paused", EventType::SubscriptionPaused),
        ("subscription_unpaused", EventType::SubscriptionResumed),
        ("subscription_payment_success", EventType::InvoicePaid),
        ("subscription_payment_failed", EventType::InvoicePaymentFailed),
    ],
    deliveries: Deliveries { deadline: None, retries: Retries::After(&[5, 25, 125]), not_a_webhook: &[], ping: None },
    registration: Registration {
        steps: &[
            "Choose a signing secret of 6 to 40 characters: `openssl rand -hex 20` prints one. Store it as step 4 says before you \
             go on.",
            "In Lemon Squeezy open **Settings → Webhooks** and click **+**.",
            "Enter the callback URL `{url}` and the signing secret, and select the events you need. Each of these has a type of \
             its own here: {events}. Save. Test mode has webhooks of its own.",
        ],
        call: None,
    },
};
