//! Shopify.

use hookgate_event::{EventType, Unit};

use super::{Deliveries, Fields, Identity, Name, Payload, Provider, Registration, Retries, TimeFormat};
use crate::scheme::{Encoding, Scheme};

/// Shopify. Signs the body and nothing else: topic, event id and shop stand in headers that anybody could change. A refund comes
/// as an object of its own, which names its order.
pub static PROVIDER: Provider = Provider {
    name: "shopify",
    title: "Shopify",
    documentation: "https://shopify.dev/docs/apps/build/webhooks",
    rejected_status: 401,
    setting: None,
    modes: &[("", &[Scheme { encoding: Encoding::Base64, ..Scheme::header("x-shopify-hmac-sha256") }])],
    fields: Fields {
        name: Name::UnsignedHeader("x-shopify-topic"),
        time: "updated_at",
        time_format: TimeFormat::Rfc3339,
        payload: Payload::Body,
        object: "",
        resource: &[("order", &["order_id", "id"]), ("", &["id"])],
        amount: &["total_price"],
        unit: Unit::Major,
        currency: &["currency"],
        customer: &["customer.id"],
        status: &["financial_status", "status", "state"],
    },
    identity: Identity::Content,
    events: &[
        ("orders/create", EventType::OrderCreated),
        ("orders/updated", EventType::OrderUpdated),
        ("orders/paid", EventType::OrderPaid),
        ("orders/fulfilled", EventType::OrderFulfilled),
        ("orders/cancelled", EventType::OrderCancelled),
        ("orders/delete", EventType::OrderDeleted),
        ("refunds/create", EventType::OrderRefunded),
        ("products/create", EventType::ProductCreated),
        ("products/update", EventType::ProductUpdated),
        ("products/delete", EventType::ProductDeleted),
        ("customers/create", EventType::CustomerCreated),
        ("customers/update", EventType::CustomerUpdated),
        ("customers/delete", EventType::CustomerDeleted),
    ],
    deliveries: Deliveries { deadline: Some(5), retries: Retries::Times(8), not_a_webhook: &[], ping: None },
    registration: Registration {
        steps: &[
            "In the shop's admin open **Settings → Notifications → Webhooks** and click **Create webhook**: one for each event, \
             format JSON, the URL `{url}`. An app subscribes in its `shopify.app.toml` or by the mutation \
             `webhookSubscriptionCreate` instead.",
            "Each of these topics has a type of its own here: {events}.",
            "Take the signing secret: what the admin shows below the list of webhooks, or an app's client secret.",
        ],
        call: None,
    },
};
