//! A Lambda function that handles each of Hookgate's events once. Copy this folder and write your own [`handle`].

use hookgate_consumer::{Error, Event, EventType, State};
use serde_json::json;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    hookgate_consumer::run(handle).await
}

/// What your shop does about an event. It can be called again for an event whose handling was cut short: make it idempotent.
async fn handle(event: Event<'static>, state: State) -> Result<(), Error> {
    use EventType as Type;
    let to_do = match event.event_type {
        // One order can send both `order.paid` and `order.paid.product`: fulfil on one of them only. Which types your
        // platforms send, and which of these means "paid" to you, is your decision.
        Type::OrderPaid | Type::PaymentSucceeded | Type::InvoicePaid => "fulfil",
        Type::OrderCancelled | Type::OrderFailed | Type::OrderExpired | Type::PaymentFailed => "give the stock back",
        Type::PaymentRefunded | Type::OrderDisputed => "tell a person",
        // Not an error: the event would only be delivered again. `providertype` is the platform's own name for it.
        Type::Unrecognized => "nothing: unknown type",
        _ => "nothing",
    };
    // What is done for a single event, as above, needs no order: an order that was paid is fulfilled once, whatever came since.
    // A resource's current state does. Ask for the types that yours is made of; an unknown one says nothing about it.
    let latest = event.event_type != Type::Unrecognized && state.keep_latest(&event).await?;
    // Log names and ids only: payloads contain personal data.
    let (source, id) = event.deduplication_key();
    let (name, subject) = (&event.provider_type, &event.subject);
    println!(
        "{}",
        json!({"level": "INFO", "message": "handle", "to_do": to_do, "latest": latest, "type": event.event_type,
               "providertype": name, "source": source, "id": id, "subject": subject, "traceparent": event.traceparent})
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use hookgate_consumer::{
        Consumer, EventType,
        testing::{Table, batch, invocation, messages},
    };

    use super::handle;

    #[tokio::test]
    async fn every_real_message_is_handled_once() {
        let table = Table::new();
        let consumer = Consumer::new(table.client(), "consumed");
        for request in ["1", "2"] {
            let answer = consumer.consume(invocation(request, messages()), &handle).await;
            assert!(answer.batch_item_failures.is_empty());
        }
        // The second time it only asks for leases.
        let writes = table.requests().len();
        let again = consumer.consume(invocation("3", messages()), &handle).await;
        assert!(again.batch_item_failures.is_empty());
        assert_eq!(table.requests().len() - writes, messages().records.len());
    }

    #[tokio::test]
    async fn a_paid_order_has_a_state() {
        let table = Table::new();
        let consumer = Consumer::new(table.client(), "consumed");
        consumer.consume(invocation("1", batch(&[EventType::OrderPaid])), &handle).await;
        let items = table.items();
        let (_, state) = items.iter().find(|(key, _)| key.starts_with("latest ")).unwrap();
        assert_eq!(state["type"]["S"], "commerce.order.paid");
    }
}
