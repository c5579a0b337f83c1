//! Shoppex: <https://docs.shoppex.io/api-reference/webhooks/overview>,
//! V2 signatures: <https://docs.shoppex.io/api-reference/webhooks/signature-migration>

use hookgate_event::{EventType, Unit};

use super::Provider;
use crate::{
    Encoding, Hash, Layout, Scheme, Unreadable,
    json::Object,
    reading::{Facts, Identity, amount, unix_time},
};

/// Shoppex. Where the V2 signature is there, V2 alone decides, for 300 seconds; `SHOPPEX_REQUIRE_V2=true` refuses V1
/// altogether. Times are Unix seconds, amounts are decimals in major units.
///
/// The idempotency key is the body's hash under both: under V1 the delivery id is unsigned, and a key that differed
/// between V1 and V2 would let a replay in whose V2 headers were stripped.
pub static PROVIDER: Provider = Provider {
    name: "shoppex",
    rejected_status: 401,
    setting: "SHOPPEX_REQUIRE_V2",
    modes: &[("false", &[V2, V1]), ("true", &[V2])],
    // Shoppex stores the answer to these as what the buyer bought.
    dynamic_delivery: &["x-shoppex-delivery-id", "x-shoppex-idempotency-key"],
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
        ("subscription:cancelled", EventType::SubscriptionCancelled),
    ],
    payload: &["data"],
    read,
};

const V2: Scheme = Scheme {
    name: "v2",
    hash: Hash::Sha256,
    encoding: Encoding::Hex,
    layout: Layout::StampedHeader {
        signature: "x-shoppex-signature-v2",
        delivery_id: "x-shoppex-delivery",
        timestamp: "x-shoppex-timestamp",
        tolerance: 300,
    },
};

const V1: Scheme =
    Scheme { name: "v1", hash: Hash::Sha512, encoding: Encoding::Hex, layout: Layout::Header("x-shoppex-signature") };

fn read<'d>(envelope: &Object<'d>, data: &Object<'d>) -> Result<Facts<'d>, Unreadable> {
    Ok(Facts {
        name: envelope.get("event").ok_or(Unreadable::EventName)?,
        identity: Identity::Content,
        resource_id: data.id("uniqid").or_else(|| data.id("id")),
        amount: amount(data.decimal("total"), Unit::Major, data.string("currency")),
        customer: data.id("customer_id"),
        status: data.string("status"),
        time: unix_time(envelope.integer("created_at"), 1),
    })
}
