//! Elective Commerce: <https://elective-docs.pages.dev/webhooks>

use hookgate_event::{EventType, Unit};

use super::Provider;
use crate::{
    Encoding, Hash, Layout, Scheme, Unreadable,
    json::Object,
    reading::{Facts, Identity, amount, unix_time},
};

/// Elective Commerce. Times are Unix seconds, amounts are in minor units; the signing secret is used whole, `whsec_`
/// included.
pub static PROVIDER: Provider = Provider {
    name: "elective",
    rejected_status: 401,
    setting: "",
    modes: &[(
        "",
        &[Scheme {
            name: "v1",
            hash: Hash::Sha256,
            encoding: Encoding::Hex,
            layout: Layout::Header("x-e-commerce-signature"),
        }],
    )],
    dynamic_delivery: &[],
    events: &[
        ("order.created", EventType::OrderCreated),
        ("order.paid", EventType::OrderPaid),
        ("order.fulfilled", EventType::OrderFulfilled),
        ("customer.created", EventType::CustomerCreated),
    ],
    payload: &["data"],
    read,
};

fn read<'d>(envelope: &Object<'d>, data: &Object<'d>) -> Result<Facts<'d>, Unreadable> {
    let name = envelope.get("event").ok_or(Unreadable::EventName)?;
    let about_a_customer = crate::json::string(name).is_some_and(|name| name.starts_with("customer."));
    let resource = if about_a_customer { "customer_id" } else { "orderId" };
    Ok(Facts {
        name,
        identity: Identity::given(envelope, "id")?,
        resource_id: data.id(resource).or_else(|| data.id("id")),
        amount: amount(data.decimal("total"), Unit::Minor, data.string("currency")),
        customer: data.id("customer_id"),
        status: data.string("status"),
        time: unix_time(envelope.integer("created_at"), 1),
    })
}
