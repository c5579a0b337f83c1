//! Elective Commerce.

use hookgate_event::{EventType, Unit};

use super::{Deliveries, Fields, Identity, Name, Payload, Provider, Registration, Retries, TimeFormat};
use crate::scheme::Scheme;

/// Elective Commerce. The signing secret is used whole, `whsec_` included.
pub static PROVIDER: Provider = Provider {
    name: "elective",
    title: "Elective Commerce",
    documentation: "https://elective-docs.pages.dev/webhooks",
    rejected_status: 401,
    setting: None,
    modes: &[("", &[Scheme::header("x-e-commerce-signature")])],
    fields: Fields {
        name: Name::Member("event"),
        time: "created_at",
        time_format: TimeFormat::Unix,
        payload: Payload::Member,
        object: "data",
        resource: &[("customer", &["customer_id", "id"]), ("", &["orderId", "id"])],
        amount: &["total"],
        unit: Unit::Minor,
        currency: &["currency"],
        customer: &["customer_id"],
        status: &["status"],
    },
    identity: Identity::Id("id"),
    events: &[
        ("order.created", EventType::OrderCreated),
        ("order.paid", EventType::OrderPaid),
        ("order.fulfilled", EventType::OrderFulfilled),
        ("customer.created", EventType::CustomerCreated),
    ],
    deliveries: Deliveries { deadline: None, retries: Retries::Unknown, not_a_webhook: &[], ping: None },
    registration: Registration {
        steps: &[
            "In Elective Commerce open **Dashboard > Developers > Webhooks** and add the endpoint `{url}`.",
            "Subscribe to all events with the wildcard `*`, or select the ones you need: {events}.",
            "Copy the signing secret that the dashboard shows. It begins with `whsec_`, and that is part of it.",
        ],
        call: None,
    },
};
