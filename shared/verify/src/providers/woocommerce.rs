//! WooCommerce.

use hookgate_event::{EventType, Unit};

use super::{Deliveries, Fields, Identity, Name, Payload, Ping, Provider, Registration, Retries, TimeFormat};
use crate::scheme::{Encoding, Scheme};

/// WooCommerce. Signs the body and nothing else: the topic stands in a header that anybody could change. The ping is that of
/// `WC_Webhook::deliver_ping`, by which WooCommerce tests an address when a webhook is saved.
pub static PROVIDER: Provider = Provider {
    name: "woocommerce",
    title: "WooCommerce",
    documentation: "https://developer.woocommerce.com/docs/apis/rest-api/v3/webhooks/",
    rejected_status: 401,
    setting: None,
    modes: &[("", &[Scheme { encoding: Encoding::Base64, ..Scheme::header("x-wc-webhook-signature") }])],
    fields: Fields {
        name: Name::UnsignedHeader("x-wc-webhook-topic"),
        time: "date_modified_gmt",
        time_format: TimeFormat::Utc,
        payload: Payload::Body,
        object: "",
        resource: &[("", &["id"])],
        amount: &["total"],
        unit: Unit::Major,
        currency: &["currency"],
        customer: &["customer_id"],
        status: &["status"],
    },
    identity: Identity::Content,
    events: &[
        ("order.created", EventType::OrderCreated),
        ("order.updated", EventType::OrderUpdated),
        ("order.deleted", EventType::OrderDeleted),
        ("product.created", EventType::ProductCreated),
        ("product.updated", EventType::ProductUpdated),
        ("product.deleted", EventType::ProductDeleted),
        ("customer.created", EventType::CustomerCreated),
        ("customer.updated", EventType::CustomerUpdated),
        ("customer.deleted", EventType::CustomerDeleted),
    ],
    deliveries: Deliveries {
        deadline: None,
        retries: Retries::Unknown,
        not_a_webhook: &[],
        ping: Some(Ping { field: "webhook_id" }),
    },
    registration: Registration {
        steps: &[
            "Choose a signing secret: `openssl rand -hex 32` prints one. Store it as step 5 says before you go on.",
            "In WordPress go to **WooCommerce → Settings → Advanced → Webhooks** and click **Add webhook**: one for each topic.",
            "Choose the topic. Each of these has a type of its own here: {events}.",
            "Enter the delivery URL `{url}` and the secret, set the status to **Active**, and save. WooCommerce tries the address \
             at once; the answer must be 200, which it is.",
        ],
        call: None,
    },
};
