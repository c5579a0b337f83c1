//! W3block.

use hookgate_event::{EventType, Unit};

use super::{Deliveries, Fields, Identity, Name, Payload, Provider, Registration, Retries, TimeFormat};
use crate::scheme::{Encoding, Scheme};

/// W3block. How a signature is encoded is not documented, so both ways are understood. `currencyId` is a UUID of the
/// platform's own and not an ISO 4217 code: amounts come without a currency.
pub static PROVIDER: Provider = Provider {
    name: "w3block",
    title: "W3block",
    documentation: "https://w3block.gitbook.io/w3block-eng/dev-docs/api/commerce-api-services/webhooks",
    rejected_status: 401,
    setting: None,
    modes: &[("", &[Scheme { encoding: Encoding::HexOrBase64, ..Scheme::header("x-w3block-commerce-signature") }])],
    fields: Fields {
        name: Name::Member("event"),
        time: "timestamp",
        time_format: TimeFormat::Unix,
        payload: Payload::Member,
        object: "data",
        resource: &[("", &["id"])],
        amount: &["currencyAmount"],
        unit: Unit::Major,
        currency: &[],
        customer: &["userId"],
        status: &["status"],
    },
    identity: Identity::Together(&["event", "data.id", "timestamp"]),
    events: &[
        ("order.created", EventType::OrderCreated),
        ("order.concluded", EventType::OrderCompleted),
        ("order.failed", EventType::OrderFailed),
        ("order.expired", EventType::OrderExpired),
        ("order.cancelled", EventType::OrderCancelled),
    ],
    deliveries: Deliveries { deadline: None, retries: Retries::Times(5), not_a_webhook: &[], ping: None },
    registration: Registration {
        steps: &[
            "Create the configuration by the platform's API, as one of the roles administrator, admin, superAdmin or \
             integration: POST `{\"webhookUrl\": \"{url}\", \"maxRetries\": 5}` to \
             `https://commerce.w3block.io/admin/companies/$COMPANY_ID/webhooks-configurations`, with the header \
             `Authorization: Bearer $W3BLOCK_TOKEN`.",
            "There are no events to choose; all are sent: {events}.",
            "Take `signatureKey` from the answer. It is generated, and cannot be changed.",
        ],
        call: None,
    },
};
