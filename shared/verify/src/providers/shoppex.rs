//! Shoppex.

use hookgate_event::{EventType, Unit};

use super::{Deliveries, Fields, Identity, Name, Payload, Provider, Registration, Retries, TimeFormat};
use crate::scheme::{FieldsForm, Form, Hash, Piece, Scheme, Time};

/// Shoppex. The V2 scheme is documented at <https://docs.shoppex.io/api-reference/webhooks/signature-migration>.
///
/// The content is the identity under both schemes: under V1 the delivery id is unsigned, and a key that differed
/// between V1 and V2 would let a replay in whose V2 headers were stripped.
pub static PROVIDER: Provider = Provider {
    name: "shoppex",
    title: "Shoppex",
    documentation: "https://docs.shoppex.io/api-reference/webhooks/overview",
    rejected_status: 401,
    setting: Some("SHOPPEX_REQUIRE_V2"),
    modes: &[("false", &[V2, V1]), ("true", &[V2])],
    fields: Fields {
        name: Name::Member("event"),
        time: "created_at",
        time_format: TimeFormat::Unix,
        payload: Payload::Member,
        object: "data",
        resource: &[("", &["uniqid", "id"])],
        amount: &["total"],
        unit: Unit::Major,
        currency: &["currency"],
        customer: &["customer_id"],
        status: &["status"],
    },
    identity: Identity::Content,
    events: &[
        ("order:created", EventType::OrderCreated),
        ("order:created:product", EventType::OrderCreatedProduct),
        ("order:updated", EventType::OrderUpdated),
        ("order:updated:product", EventType::OrderUpdatedProduct),
        ("order:partial", EventType::OrderPartiallyPaid),
        ("order:partial:product", EventType::OrderPartiallyPaidProduct),
        ("order:manual_payment_pending", EventType::OrderPaymentPending),
        ("order:paid", EventType::OrderPaid),
        ("order:paid:product", EventType::OrderPaidProduct),
        ("order:cancelled", EventType::OrderCancelled),
        ("order:cancelled:product", EventType::OrderCancelledProduct),
        ("order:disputed", EventType::OrderDisputed),
        ("order:disputed:product", EventType::OrderDisputedProduct),
        ("subscription:created", EventType::SubscriptionCreated),
        ("subscription:created:product", EventType::SubscriptionCreatedProduct),
        ("subscription:trial:started", EventType::SubscriptionTrialStarted),
        ("subscription:trial:started:product", EventType::SubscriptionTrialStartedProduct),
        ("subscription:trial:ended", EventType::SubscriptionTrialEnded),
        ("subscription:trial:ended:product", EventType::SubscriptionTrialEndedProduct),
        ("subscription:updated", EventType::SubscriptionUpdated),
        ("subscription:updated:product", EventType::SubscriptionUpdatedProduct),
        ("subscription:renewed", EventType::SubscriptionRenewed),
        ("subscription:renewed:product", EventType::SubscriptionRenewedProduct),
        ("subscription:upcoming", EventType::SubscriptionUpcoming),
        ("subscription:upcoming:product", EventType::SubscriptionUpcomingProduct),
        ("subscription:cancelled", EventType::SubscriptionCancelled),
        ("subscription:cancelled:product", EventType::SubscriptionCancelledProduct),
        ("product:created", EventType::ProductCreated),
        ("product:edited", EventType::ProductUpdated),
        ("product:stock", EventType::ProductStockChanged),
        ("product:dynamic", EventType::ProductDynamic),
        ("query:created", EventType::QueryCreated),
        ("query:replied", EventType::QueryReplied),
        ("feedback:received", EventType::FeedbackReceived),
    ],
    deliveries: Deliveries {
        deadline: Some(30),
        retries: Retries::After(&[300, 1800, 7200, 86400]),
        // Requests for a dynamic product. Shoppex hands their answer to the buyer as the goods.
        not_a_webhook: &["x-shoppex-delivery-id", "x-shoppex-idempotency-key"],
        ping: None,
    },
    registration: Registration {
        steps: &[
            "In Shoppex open **Settings → Webhooks** and click **Add Endpoint**.",
            "Enter the URL `{url}`.",
            "Select the events you need, at most 12 for one webhook; there are no wildcards. Each of these has a type of its \
             own here: {events}. An order can send both `order:paid` and `order:paid:product`: choose one, or do not fulfil \
             twice.",
            "Copy the endpoint's signing secret. (Not that of a dynamic delivery: such requests are rejected here.)",
        ],
        call: None,
    },
};

const V2: Scheme = Scheme {
    name: "v2",
    form: Form::Fields(FieldsForm { marker: "v1", time: "t", signature: "h", ..FieldsForm::EQUALS_COMMA }),
    signed: &[Piece::Header("x-shoppex-delivery"), Piece::Text("."), Piece::Timestamp, Piece::Text("."), Piece::Body],
    time: Some(Time { header: Some("x-shoppex-timestamp"), tolerance: 300 }),
    ..Scheme::header("x-shoppex-signature-v2")
};

const V1: Scheme = Scheme { hash: Hash::Sha512, ..Scheme::header("x-shoppex-signature") };
