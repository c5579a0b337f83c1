//! The event types, with each type's stage in its resource's life. Each platform's own names for them are in the provider files of `hookgate-verify`.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

macro_rules! event_types {
    ($($(#[$doc:meta])+ $variant:ident = $name:literal at $stage:ident,)+) => {
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

            /// Where the type stands in its resource's life: of two events of the same time, the one with the higher stage
            /// is the later one ([`Event::sort_key`](crate::Event::sort_key)). Nothing else depends on it.
            ///
            /// A tie goes to the event that takes something back: goods that were held back can be shipped later, but shipped
            /// goods cannot be held back. Between different times the stage decides nothing: an order that was paid after it
            /// had expired is paid.
            ///
            /// | stage | types | may follow |
            /// |---|---|---|
            /// | 10 | created, registered, issued, received | nothing |
            /// | 20 | updated, stock changed, dynamic, replied | created |
            /// | 22, 24 | trial started, trial ended | created, updated |
            /// | 30 | payment pending, partially paid, upcoming | created, updated, a trial |
            /// | 40 | payment failed | all of the above; a later attempt may succeed |
            /// | 50 | paid, succeeded, renewed, activated | all of the above |
            /// | 55, 60 | fulfilled, completed | paid |
            /// | 64, 66 | paused or suspended, resumed | paid |
            /// | 70 | expired | created to payment failed: it was not paid in time |
            /// | 75 | failed | created to paid: the delivery of a paid order can fail, too |
            /// | 80 | cancelled | all of the above |
            /// | 85 | disputed | paid and later, cancelled included |
            /// | 90 | refunded | paid and later: a dispute or a cancellation may end in it |
            /// | 95 | ended | every event of a subscription, its cancellation included |
            /// | 99 | deleted | everything |
            /// | 0 | unrecognized: never wins a tie | |
            ///
            /// A type whose payload lists the products shares the stage of the one without.
            #[must_use]
            pub const fn stage(self) -> u8 {
                match self { $(EventType::$variant => stage::$stage),+ }
            }
        }
    };
}

/// The stages by name: two digits, with gaps, because consumers' tables hold sort keys with them. Never renumber one.
mod stage {
    pub const UNKNOWN: u8 = 0;
    pub const CREATED: u8 = 10;
    pub const UPDATED: u8 = 20;
    pub const TRIAL_STARTED: u8 = 22;
    pub const TRIAL_ENDED: u8 = 24;
    pub const PENDING: u8 = 30;
    pub const PAYMENT_FAILED: u8 = 40;
    pub const PAID: u8 = 50;
    pub const FULFILLED: u8 = 55;
    pub const COMPLETED: u8 = 60;
    pub const PAUSED: u8 = 64;
    pub const RESUMED: u8 = 66;
    pub const EXPIRED: u8 = 70;
    pub const FAILED: u8 = 75;
    pub const CANCELLED: u8 = 80;
    pub const DISPUTED: u8 = 85;
    pub const REFUNDED: u8 = 90;
    pub const ENDED: u8 = 95;
    pub const DELETED: u8 = 99;
}

event_types! {
    /// An order was placed.
    OrderCreated = "commerce.order.created" at CREATED,
    /// An order was placed; the payload lists its products.
    OrderCreatedProduct = "commerce.order.created.product" at CREATED,
    /// An order changed.
    OrderUpdated = "commerce.order.updated" at UPDATED,
    /// An order changed; the payload lists its products.
    OrderUpdatedProduct = "commerce.order.updated.product" at UPDATED,
    /// Part of an order's price was paid.
    OrderPartiallyPaid = "commerce.order.partially_paid" at PENDING,
    /// Part of an order's price was paid; the payload lists its products.
    OrderPartiallyPaidProduct = "commerce.order.partially_paid.product" at PENDING,
    /// An order is waiting for a payment that must be reviewed.
    OrderPaymentPending = "commerce.order.payment_pending" at PENDING,
    /// An order was paid.
    OrderPaid = "commerce.order.paid" at PAID,
    /// An order was paid; the payload lists its products. One order may send both this and [`OrderPaid`](Self::OrderPaid):
    /// fulfil on one of them only.
    OrderPaidProduct = "commerce.order.paid.product" at PAID,
    /// An order was shipped or handed over.
    OrderFulfilled = "commerce.order.fulfilled" at FULFILLED,
    /// An order was completed: paid, delivered, closed.
    OrderCompleted = "commerce.order.completed" at COMPLETED,
    /// An order was cancelled.
    OrderCancelled = "commerce.order.cancelled" at CANCELLED,
    /// An order was cancelled; the payload lists its products.
    OrderCancelledProduct = "commerce.order.cancelled.product" at CANCELLED,
    /// An order failed.
    OrderFailed = "commerce.order.failed" at FAILED,
    /// An order expired.
    OrderExpired = "commerce.order.expired" at EXPIRED,
    /// An order was refunded, in full or in part.
    OrderRefunded = "commerce.order.refunded" at REFUNDED,
    /// An order was deleted. The payload may be its id alone.
    OrderDeleted = "commerce.order.deleted" at DELETED,
    /// A buyer disputed an order.
    OrderDisputed = "commerce.order.disputed" at DISPUTED,
    /// A buyer disputed an order; the payload lists its products.
    OrderDisputedProduct = "commerce.order.disputed.product" at DISPUTED,
    /// A payment succeeded.
    PaymentSucceeded = "commerce.payment.succeeded" at PAID,
    /// A payment failed.
    PaymentFailed = "commerce.payment.failed" at PAYMENT_FAILED,
    /// A payment was refunded, in full or in part.
    PaymentRefunded = "commerce.payment.refunded" at REFUNDED,
    /// A buyer disputed a payment with the bank.
    PaymentDisputed = "commerce.payment.disputed" at DISPUTED,
    /// A buyer completed a checkout. The payload says whether it is paid.
    CheckoutCompleted = "commerce.checkout.completed" at COMPLETED,
    /// A subscription began.
    SubscriptionCreated = "commerce.subscription.created" at CREATED,
    /// A subscription began; the payload lists its products.
    SubscriptionCreatedProduct = "commerce.subscription.created.product" at CREATED,
    /// A subscription's trial began.
    SubscriptionTrialStarted = "commerce.subscription.trial_started" at TRIAL_STARTED,
    /// A subscription's trial began; the payload lists its products.
    SubscriptionTrialStartedProduct = "commerce.subscription.trial_started.product" at TRIAL_STARTED,
    /// A subscription's trial is over.
    SubscriptionTrialEnded = "commerce.subscription.trial_ended" at TRIAL_ENDED,
    /// A subscription's trial is over; the payload lists its products.
    SubscriptionTrialEndedProduct = "commerce.subscription.trial_ended.product" at TRIAL_ENDED,
    /// A subscription changed.
    SubscriptionUpdated = "commerce.subscription.updated" at UPDATED,
    /// A subscription changed; the payload lists its products.
    SubscriptionUpdatedProduct = "commerce.subscription.updated.product" at UPDATED,
    /// A subscription was renewed for another period.
    SubscriptionRenewed = "commerce.subscription.renewed" at PAID,
    /// A subscription was renewed for another period; the payload lists its products.
    SubscriptionRenewedProduct = "commerce.subscription.renewed.product" at PAID,
    /// A subscription will be renewed soon.
    SubscriptionUpcoming = "commerce.subscription.upcoming" at PENDING,
    /// A subscription will be renewed soon; the payload lists its products.
    SubscriptionUpcomingProduct = "commerce.subscription.upcoming.product" at PENDING,
    /// A subscription was cancelled. Access may last until its paid period ends: see
    /// [`SubscriptionEnded`](Self::SubscriptionEnded).
    SubscriptionCancelled = "commerce.subscription.cancelled" at CANCELLED,
    /// A subscription was cancelled; the payload lists its products.
    SubscriptionCancelledProduct = "commerce.subscription.cancelled.product" at CANCELLED,
    /// A subscription ended, and access with it.
    SubscriptionEnded = "commerce.subscription.ended" at ENDED,
    /// A subscription was paused: nothing is charged until it is resumed.
    SubscriptionPaused = "commerce.subscription.paused" at PAUSED,
    /// A paused subscription was resumed.
    SubscriptionResumed = "commerce.subscription.resumed" at RESUMED,
    /// An invoice was written.
    InvoiceCreated = "commerce.invoice.created" at CREATED,
    /// An invoice was paid in full.
    InvoicePaid = "commerce.invoice.paid" at PAID,
    /// An attempt to collect an invoice failed. A later one may succeed.
    InvoicePaymentFailed = "commerce.invoice.payment_failed" at PAYMENT_FAILED,
    /// A service was switched on.
    ServiceActivated = "commerce.service.activated" at PAID,
    /// A service was suspended.
    ServiceSuspended = "commerce.service.suspended" at PAUSED,
    /// A domain was registered.
    DomainRegistered = "commerce.domain.registered" at CREATED,
    /// A domain was renewed.
    DomainRenewed = "commerce.domain.renewed" at PAID,
    /// A customer signed up.
    CustomerCreated = "commerce.customer.created" at CREATED,
    /// A customer's record changed.
    CustomerUpdated = "commerce.customer.updated" at UPDATED,
    /// A customer's record was deleted. The payload may be its id alone.
    CustomerDeleted = "commerce.customer.deleted" at DELETED,
    /// The merchant's account changed.
    AccountUpdated = "commerce.account.updated" at UPDATED,
    /// A card was issued.
    CardIssued = "commerce.card.issued" at CREATED,
    /// A transaction was booked.
    TransactionCreated = "commerce.transaction.created" at CREATED,
    /// A product was added to the shop.
    ProductCreated = "commerce.product.created" at CREATED,
    /// A product changed.
    ProductUpdated = "commerce.product.updated" at UPDATED,
    /// A product was deleted. The payload may be its id alone.
    ProductDeleted = "commerce.product.deleted" at DELETED,
    /// A product's stock changed.
    ProductStockChanged = "commerce.product.stock_changed" at UPDATED,
    /// A product whose goods the shop's own server makes (a dynamic product). The platform documents no more.
    ProductDynamic = "commerce.product.dynamic" at UPDATED,
    /// A customer asked something.
    QueryCreated = "commerce.query.created" at CREATED,
    /// A customer's question was answered.
    QueryReplied = "commerce.query.replied" at UPDATED,
    /// A customer left feedback.
    FeedbackReceived = "commerce.feedback.received" at CREATED,
    /// A name that Hookgate, or this version of this crate, does not know.
    /// [`Event::provider_type`](crate::Event::provider_type) has the platform's own name.
    Unrecognized = "commerce.unrecognized" at UNKNOWN,
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
    fn stages_follow_the_life_of_a_resource() {
        use EventType as Type;
        for life in [
            &[Type::OrderCreated, Type::OrderUpdated, Type::OrderPaymentPending, Type::OrderPaid, Type::OrderFulfilled]
                [..],
            &[
                Type::OrderPartiallyPaid,
                Type::OrderPaid,
                Type::OrderFulfilled,
                Type::OrderCompleted,
                Type::OrderExpired,
            ],
            &[Type::OrderExpired, Type::OrderFailed, Type::OrderCancelled, Type::OrderDisputed, Type::OrderRefunded],
            &[Type::OrderRefunded, Type::OrderDeleted],
            // A failed attempt ends nothing: a later one may succeed.
            &[Type::PaymentFailed, Type::PaymentSucceeded, Type::PaymentDisputed, Type::PaymentRefunded],
            &[Type::InvoiceCreated, Type::InvoicePaymentFailed, Type::InvoicePaid],
            &[Type::SubscriptionCreated, Type::SubscriptionUpdated, Type::SubscriptionTrialStarted],
            &[Type::SubscriptionTrialStarted, Type::SubscriptionTrialEnded, Type::SubscriptionUpcoming],
            &[
                Type::SubscriptionUpcoming,
                Type::SubscriptionRenewed,
                Type::SubscriptionPaused,
                Type::SubscriptionResumed,
            ],
            &[Type::SubscriptionResumed, Type::SubscriptionCancelled, Type::SubscriptionEnded],
            &[Type::ServiceActivated, Type::ServiceSuspended],
        ] {
            assert!(life.is_sorted_by_key(|known| known.stage()), "{life:?}");
            assert!(life.windows(2).all(|two| two[0].stage() != two[1].stage()), "{life:?}");
        }
        for &known in EventType::ALL {
            // Two digits in a sort key, and an unknown type never wins a tie.
            assert_eq!(known.stage() == 0, known == Type::Unrecognized, "{known:?}");
            assert!(known.stage() < 100, "{known:?}");
            if let Some(base) = known.as_str().strip_suffix(".product") {
                let base = EventType::ALL.iter().find(|other| other.as_str() == base).unwrap();
                assert_eq!(known.stage(), base.stage(), "{known:?}");
            }
        }
    }

    #[test]
    fn the_kind_is_the_word_after_commerce() {
        assert_eq!(EventType::OrderPaidProduct.resource_kind(), Some("order"));
        assert_eq!(EventType::DomainRenewed.resource_kind(), Some("domain"));
        assert_eq!(EventType::Unrecognized.resource_kind(), None);
    }
}
