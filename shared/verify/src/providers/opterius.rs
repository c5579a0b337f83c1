//! Opterius Commerce.

use hookgate_event::{EventType, Unit};

use super::{Deliveries, Fields, Identity, Name, Payload, Provider, Registration, Retries, TimeFormat};
use crate::scheme::{Form, Piece, Place, Scheme};

/// Opterius Commerce. Signs the body and puts the signature into that same body, so it can only have signed the body
/// with the signature left out: the setting says how. One reading is active at a time. Accepting both would let a
/// captured signature be replayed with its signed text nested as the payload.
pub static PROVIDER: Provider = Provider {
    name: "opterius",
    title: "Opterius Commerce",
    documentation: "https://opterius.com/docs/en/commerce/api/webhooks",
    rejected_status: 401,
    setting: Some("OPTERIUS_SIGNED"),
    modes: &[
        ("without", &[Scheme { name: "without", signed: &[Piece::BodyWithoutSignature], ..IN_THE_BODY }]),
        ("empty", &[Scheme { name: "empty", signed: &[Piece::BodyWithEmptySignature], ..IN_THE_BODY }]),
    ],
    fields: Fields {
        name: Name::Member("event"),
        time: "timestamp",
        time_format: TimeFormat::Rfc3339,
        payload: Payload::Member,
        object: "data",
        resource: &[("", &["id"])],
        amount: &["total"],
        unit: Unit::Minor,
        currency: &["currency_code"],
        customer: &["client_id"],
        status: &["status"],
    },
    identity: Identity::Together(&["event", "data.id", "timestamp"]),
    events: &[
        ("invoice.created", EventType::InvoiceCreated),
        ("invoice.paid", EventType::InvoicePaid),
        ("service.activated", EventType::ServiceActivated),
        ("service.suspended", EventType::ServiceSuspended),
        ("domain.registered", EventType::DomainRegistered),
        ("domain.renewed", EventType::DomainRenewed),
        ("order.completed", EventType::OrderCompleted),
    ],
    deliveries: Deliveries {
        deadline: Some(10),
        retries: Retries::After(&[60, 300, 1800]),
        not_a_webhook: &[],
        ping: None,
    },
    registration: Registration {
        steps: &[
            "Choose a signing secret: `openssl rand -hex 32` prints one. Store it as step 5 says before you go on.",
            "In Opterius Commerce go to **Admin → Settings → Webhooks** and click **Add Endpoint**.",
            "Enter the URL `{url}`, which must be publicly accessible via HTTPS, and the shared secret.",
            "Choose **All Events**, or select the ones you need: {events}. Click **Save**.",
        ],
        call: None,
    },
};

const IN_THE_BODY: Scheme =
    Scheme { place: Place::Member("signature"), form: Form::Prefix("sha256="), ..Scheme::header("") };
