//! Acme, a platform that does not exist: <https://example.com/webhooks>

use hookgate_event::{EventType, Unit};

use super::Provider;
use crate::{
    Encoding, Hash, Layout, Scheme, Unreadable,
    json::Object,
    reading::{Facts, Identity, amount, unix_time},
};

/// Acme.
pub static PROVIDER: Provider = Provider {
    name: "acme",
    rejected_status: 403,
    setting: "",
    modes: &[(
        "",
        &[Scheme {
            name: "v1",
            hash: Hash::Sha512,
            encoding: Encoding::PrefixedHex("sha512="),
            layout: Layout::Header("acme-signature"),
        }],
    )],
    dynamic_delivery: &[],
    events: &[("paid", EventType::OrderPaid)],
    payload: &["order"],
    read,
};

fn read<'d>(envelope: &Object<'d>, order: &Object<'d>) -> Result<Facts<'d>, Unreadable> {
    Ok(Facts {
        name: envelope.get("what").ok_or(Unreadable::EventName)?,
        identity: Identity::given(envelope, "id")?,
        resource_id: order.id("number"),
        amount: amount(order.decimal("sum"), Unit::Major, order.string("currency")),
        customer: order.id("buyer"),
        status: None,
        time: unix_time(envelope.integer("at"), 1),
    })
}
