//! Etail Depot: <https://etaildepot.com/Pages/docs/webhooks>

use hookgate_event::{EventType, Unit};

use super::Provider;
use crate::{
    Encoding, Hash, Layout, Scheme, Unreadable,
    json::Object,
    reading::{Facts, Identity, amount, unix_time},
};

/// Etail Depot. Expects 400 for a wrong signature; times are Unix seconds, amounts are in minor units.
pub static PROVIDER: Provider = Provider {
    name: "etaildepot",
    rejected_status: 400,
    setting: "",
    modes: &[(
        "",
        &[Scheme {
            name: "v1",
            hash: Hash::Sha256,
            encoding: Encoding::Hex,
            layout: Layout::Header("etail-signature"),
        }],
    )],
    dynamic_delivery: &[],
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
    payload: &["data", "object"],
    read,
};

fn read<'d>(envelope: &Object<'d>, object: &Object<'d>) -> Result<Facts<'d>, Unreadable> {
    // Documented as an object; a bare id costs nothing to understand.
    let customer = object.object("customer").map_or_else(|| object.id("customer"), |customer| customer.id("id"));
    Ok(Facts {
        name: envelope.get("type").ok_or(Unreadable::EventName)?,
        identity: Identity::given(envelope, "id")?,
        resource_id: object.id("id"),
        amount: amount(object.decimal("amount"), Unit::Minor, object.string("currency")),
        customer,
        status: object.string("status"),
        time: unix_time(envelope.integer("created"), 1),
    })
}
