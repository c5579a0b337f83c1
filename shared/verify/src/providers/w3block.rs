//! W3block: <https://w3block.gitbook.io/w3block-eng/dev-docs/api/commerce-api-services/webhooks>

use hookgate_event::{EventType, Unit};

use super::Provider;
use crate::{
    Encoding, Hash, Layout, Scheme, Unreadable,
    json::Object,
    reading::{Facts, Identity, amount, unix_time},
};

/// W3block. Does not document how the signature is spelled, so hex and base64 are understood, told apart by length.
/// Times are Unix milliseconds, amounts are decimals in major units. Its `currencyId` is a UUID of its own and no ISO 4217
/// code: amounts come without a currency.
pub static PROVIDER: Provider = Provider {
    name: "w3block",
    rejected_status: 401,
    setting: "",
    modes: &[(
        "",
        &[Scheme {
            name: "v1",
            hash: Hash::Sha256,
            encoding: Encoding::HexOrBase64,
            layout: Layout::Header("x-w3block-commerce-signature"),
        }],
    )],
    dynamic_delivery: &[],
    events: &[
        ("order.created", EventType::OrderCreated),
        ("order.concluded", EventType::OrderCompleted),
        ("order.failed", EventType::OrderFailed),
        ("order.expired", EventType::OrderExpired),
        ("order.cancelled", EventType::OrderCancelled),
    ],
    payload: &["data"],
    read,
};

fn read<'d>(envelope: &Object<'d>, data: &Object<'d>) -> Result<Facts<'d>, Unreadable> {
    Ok(Facts {
        name: envelope.get("event").ok_or(Unreadable::EventName)?,
        identity: Identity::composite(envelope, data)?,
        resource_id: data.id("id"),
        amount: amount(data.decimal("currencyAmount"), Unit::Major, None),
        customer: data.id("userId"),
        status: data.string("status"),
        time: unix_time(envelope.integer("timestamp"), 1000),
    })
}
