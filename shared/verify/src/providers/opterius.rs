//! Opterius Commerce: <https://opterius.com/docs/en/commerce/api/webhooks>

use hookgate_event::{EventType, Unit};

use super::Provider;
use crate::{
    Encoding, Hash, Layout, Remainder, Scheme, Unreadable,
    json::Object,
    reading::{Facts, Identity, amount, rfc3339_time},
};

/// Opterius Commerce. Signs the body and puts the signature into that same body, so it can only have signed the body
/// with the signature left out: `OPTERIUS_SIGNED` says how. One reading is active at a time. Accepting both would let
/// a captured signature be replayed with its signed text nested as `data`. Times are RFC 3339, amounts are in minor units.
pub static PROVIDER: Provider = Provider {
    name: "opterius",
    rejected_status: 401,
    setting: "OPTERIUS_SIGNED",
    modes: &[("without", &[scheme(Remainder::Without)]), ("empty", &[scheme(Remainder::Emptied)])],
    dynamic_delivery: &[],
    events: &[
        ("invoice.created", EventType::InvoiceCreated),
        ("invoice.paid", EventType::InvoicePaid),
        ("service.activated", EventType::ServiceActivated),
        ("service.suspended", EventType::ServiceSuspended),
        ("domain.registered", EventType::DomainRegistered),
        ("domain.renewed", EventType::DomainRenewed),
        ("order.completed", EventType::OrderCompleted),
    ],
    payload: &["data"],
    read,
};

const fn scheme(remainder: Remainder) -> Scheme {
    Scheme {
        name: match remainder {
            Remainder::Without => "without",
            Remainder::Emptied => "empty",
        },
        hash: Hash::Sha256,
        encoding: Encoding::PrefixedHex("sha256="),
        layout: Layout::Member("signature", remainder),
    }
}

fn read<'d>(envelope: &Object<'d>, data: &Object<'d>) -> Result<Facts<'d>, Unreadable> {
    Ok(Facts {
        name: envelope.get("event").ok_or(Unreadable::EventName)?,
        identity: Identity::composite(envelope, data)?,
        resource_id: data.id("id"),
        amount: amount(data.decimal("total"), Unit::Minor, data.string("currency_code")),
        customer: data.id("client_id"),
        status: data.string("status"),
        time: rfc3339_time(envelope.string("timestamp")),
    })
}
