//! The event types. Each platform's own names for them are in the provider files of `hookgate-verify`.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

macro_rules! event_types {
    ($($(#[$doc:meta])+ $variant:ident = $name:literal,)+) => {
        /// What happened. The compiler reports every new type to a `match` without a `_` arm.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum EventType { $($(#[$doc])+ $variant,)+ }

        impl EventType {
            /// Every type, in the order of the documentation.
            pub const ALL: &[EventType] = &[$(EventType::$variant),+];

            /// The CloudEvents `type`, like `commerce.order.paid`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(EventType::$variant => $name),+ }
            }
        }
    };
}

event_types! {
    /// An order was placed.
    OrderCreated = "commerce.order.created",
    /// An order was placed; the payload lists its products.
    OrderCreatedProduct = "commerce.order.created.product",
    /// An order changed.
    OrderUpdated = "commerce.order.updated",
    /// An order changed; the payload lists its products.
    OrderUpdatedProduct = "commerce.order.updated.product",
    /// Part of an order's price was paid.
    OrderPartiallyPaid = "commerce.order.partially_paid",
    /// Part of an order's price was paid; the payload lists its products.
    OrderPartiallyPaidProduct = "commerce.order.partially_paid.product",
    /// An order is waiting for a payment that must be reviewed.
    OrderPaymentPending = "commerce.order.payment_pending",
    /// An order was paid.
    OrderPaid = "commerce.order.paid",
    /// An order was paid; the payload lists its products. One order may send both this and [`OrderPaid`](Self::OrderPaid):
    /// fulfil on one of them only.
    OrderPaidProduct = "commerce.order.paid.product",
    /// An order was shipped or handed over.
    OrderFulfilled = "commerce.order.fulfilled",
    /// An order was completed: paid, delivered, closed.
    OrderCompleted = "commerce.order.completed",
    /// An order was cancelled.
    OrderCancelled = "commerce.order.cancelled",
    /// An order was cancelled; the payload lists its products.
    OrderCancelledProduct = "commerce.order.cancelled.product",
    /// An order failed.
    OrderFailed = "commerce.order.failed",
    /// An order expired.
    OrderExpired = "commerce.order.expired",
    /// An order was refunded, in full or in part.
    OrderRefunded = "commerce.order.refunded",
    /// An order was deleted. The payload may be its id alone.
    OrderDeleted = "commerce.order.deleted",
    /// A buyer disputed an order.
    OrderDisputed = "commerce.order.disputed",
    /// A buyer disputed an order; the payload lists its products.
    OrderDisputedProduct = "commerce.order.disputed.product",
    /// A payment succeeded.
    PaymentSucceeded = "commerce.payment.succeeded",
    /// A payment failed.
    PaymentFailed = "commerce.payment.failed",
    /// A payment was refunded, in full or in part.
    PaymentRefunded = "commerce.payment.refunded",
    /// A buyer disputed a payment with the bank.
    PaymentDisputed = "commerce.payment.disputed",
    /// A buyer completed a checkout. The payload says whether it is paid.
    CheckoutCompleted = "commerce.checkout.completed",
    /// A subscription began.
    SubscriptionCreated = "commerce.subscription.created",
    /// A subscription began; the payload lists its products.
    SubscriptionCreatedProduct = "commerce.subscription.created.product",
    /// A subscription's trial began.
    SubscriptionTrialStarted = "commerce.subscription.trial_started",
    /// A subscription's trial began; the payload lists its products.
    SubscriptionTrialStartedProduct = "commerce.subscription.trial_started.product",
    /// A subscription's trial is over.
    SubscriptionTrialEnded = "commerce.subscription.trial_ended",
    /// A subscription's trial is over; the payload lists its products.
    SubscriptionTrialEndedProduct = "commerce.subscription.trial_ended.product",
    /// A subscription changed.
    SubscriptionUpdated = "commerce.subscription.updated",
    /// A subscription changed; the payload lists its products.
    SubscriptionUpdatedProduct = "commerce.subscription.updated.product",
    /// A subscription was renewed for another period.
    SubscriptionRenewed = "commerce.subscription.renewed",
    /// A subscription was renewed for another period; the payload lists its products.
    SubscriptionRenewedProduct = "commerce.subscription.renewed.product",
    /// A subscription will be renewed soon.
    SubscriptionUpcoming = "commerce.subscription.upcoming",
    /// A subscription will be renewed soon; the payload lists its products.
    SubscriptionUpcomingProduct = "commerce.subscription.upcoming.product",
    /// A subscription was cancelled. Access may last until its paid period ends: see
    /// [`SubscriptionEnded`](Self::SubscriptionEnded).
    SubscriptionCancelled = "commerce.subscription.cancelled",
    /// A subscription was cancelled; the payload lists its products.
    SubscriptionCancelledProduct = "commerce.subscription.cancelled.product",
    /// A subscription ended, and access with it.
    SubscriptionEnded = "commerce.subscription.ended",
    /// A subscription was paused: nothing is charged until it is resumed.
    SubscriptionPaused = "commerce.subscription.paused",
    /// A paused subscription was resumed.
    SubscriptionResumed = "commerce.subscription.resumed",
    /// An invoice was written.
    InvoiceCreated = "commerce.invoice.created",
    /// An invoice was paid in full.
    InvoicePaid = "commerce.invoice.paid",
    /// An attempt to collect an invoice failed. A later one may succeed.
    InvoicePaymentFailed = "commerce.invoice.payment_failed",
    /// A service was switched on.
    ServiceActivated = "commerce.service.activated",
    /// A service was suspended.
    ServiceSuspended = "commerce.service.suspended",
    /// A domain was registered.
    DomainRegistered = "commerce.domain.registered",
    /// A domain was renewed.
    DomainRenewed = "commerce.domain.renewed",
    /// A customer signed up.
    CustomerCreated = "commerce.customer.created",
    /// A customer's record changed.
    CustomerUpdated = "commerce.customer.updated",
    /// A customer's record was deleted. The payload may be its id alone.
    CustomerDeleted = "commerce.customer.deleted",
    /// The merchant's account changed.
    AccountUpdated = "commerce.account.updated",
    /// A card was issued.
    CardIssued = "commerce.card.issued",
    /// A transaction was booked.
    TransactionCreated = "commerce.transaction.created",
    /// A product was added to the shop.
    ProductCreated = "commerce.product.created",
    /// A product changed.
    ProductUpdated = "commerce.product.updated",
    /// A product was deleted. The payload may be its id alone.
    ProductDeleted = "commerce.product.deleted",
    /// A product's stock changed.
    ProductStockChanged = "commerce.product.stock_changed",
    /// A product whose goods the shop's own server makes (a dynamic product). The platform documents no more.
    ProductDynamic = "commerce.product.dynamic",
    /// A customer asked something.
    QueryCreated = "commerce.query.created",
    /// A customer's question was answered.
    QueryReplied = "commerce.query.replied",
    /// A customer left feedback.
    FeedbackReceived = "commerce.feedback.received",
    /// A name that Hookgate, or this version of this crate, does not know.
    /// [`Event::provider_type`](crate::Event::provider_type) has the platform's own name.
    Unrecognized = "commerce.unrecognized",
}

impl EventType {
    /// What the event is about, like `order`: the word after `commerce.`. None for [`EventType::Unrecognized`].
    #[must_use]
    pub fn resource_kind(self) -> Option<&'static str> {
        match self {
            EventType::Unrecognized => None,
            known => known.as_str().split('.').nth(1),
        }
    }
}

impl Serialize for EventType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for EventType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        // A newer Hookgate may have more types than this consumer, which must not fail on them.
        let known = EventType::ALL.iter().copied().find(|known| known.as_str() == name);
        Ok(known.unwrap_or(EventType::Unrecognized))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_survives_the_wire_and_has_its_own_name() {
        let mut names = std::collections::BTreeSet::new();
        for &event_type in EventType::ALL {
            assert!(names.insert(event_type.as_str()), "{event_type:?} shares its name");
            let json = serde_json::to_string(&event_type).unwrap();
            assert_eq!(serde_json::from_str::<EventType>(&json).unwrap(), event_type);
        }
    }

    #[test]
    fn a_type_of_a_newer_version_is_unrecognized_and_no_error() {
        assert_eq!(serde_json::from_str::<EventType>(r#""commerce.order.returned""#).unwrap(), EventType::Unrecognized);
        assert!(serde_json::from_str::<EventType>("7").is_err());
    }

    #[test]
    fn the_kind_is_the_word_after_commerce() {
        assert_eq!(EventType::OrderPaidProduct.resource_kind(), Some("order"));
        assert_eq!(EventType::DomainRenewed.resource_kind(), Some("domain"));
        assert_eq!(EventType::Unrecognized.resource_kind(), None);
    }
}
