//! Etail Depot.

use hookgate_event::{EventType, Unit};

use super::{Call, Deliveries, Fields, Identity, Name, Payload, Provider, Registration, Retries, TimeFormat};
use crate::scheme::Scheme;

/// Etail Depot. A customer is documented as an object; a bare id is understood too.
pub static PROVIDER: Provider = Provider {
    name: "etaildepot",
    title: "Etail Depot",
    documentation: "https://etaildepot.com/Pages/docs/webhooks",
    rejected_status: 400,
    setting: None,
    modes: &[("", &[Scheme::header("etail-signature")])],
    fields: Fields {
        name: Name::Member("type"),
        time: "created",
        time_format: TimeFormat::Unix,
        payload: Payload::Member,
        object: "data.object",
        resource: &[("", &["id"])],
        amount: &["amount"],
        unit: Unit::Minor,
        currency: &["currency"],
        customer: &["customer.id", "customer"],
        status: &["status"],
    },
    identity: Identity::Id("id"),
    events: &[
        ("payment.succeeded", EventType::PaymentSucceeded),
        ("payment.failed", EventType::PaymentFailed),
        ("payment.refunded", EventType::PaymentRefunded),
        ("order.created", EventType::OrderCreated),
        ("order.fulfilled", EventType::OrderFulfilled),
        ("order.cancelled", EventType::OrderCancelled),
        ("account.updated", EventType::AccountUpdated),
        ("card.issued", EventType::CardIssued),
        ("transaction.created", EventType::TransactionCreated),
    ],
    deliveries: Deliveries { deadline: None, retries: Retries::Unknown, not_a_webhook: &[], ping: None },
    registration: Registration {
        steps: &[
            "Create the endpoint by the platform's API, with the API key in `ETAILDEPOT_API_KEY`:\n\n\
             ```sh\nhookgate register etaildepot --url {url} --secret-file etaildepot.json\n```\n\n\
             It subscribes to every event, or to those that you name with `--event`: {events}.",
            "What the API answers is not documented. If there is one signing secret in the answer, the file holds it; else it \
             holds the whole answer: look there and in the dashboard.",
        ],
        call: Some(Call { url: "https://api.etaildepot.com/v2/webhooks", key: "ETAILDEPOT_API_KEY" }),
    },
};
