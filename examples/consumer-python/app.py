"""A Lambda function that handles each of Hookgate's events once. Copy this folder and write your own `handle`."""

import json

from hookgate_consumer import Event, State, consumer, stage


def handle(event: Event, state: State) -> None:
    """What your shop does about an event. It must not be async. It can be called again for an event whose handling was cut short: make
    it idempotent."""
    match event["type"]:
        # Which types your platforms send, and which of these means "paid" to you, is your decision.
        case "commerce.order.paid" | "commerce.payment.succeeded" | "commerce.invoice.paid":
            to_do = "fulfil"
        case "commerce.payment.refunded" | "commerce.order.disputed":
            to_do = "tell a person"
        case _:  # New types come: no failure.
            to_do = "nothing"
    # What is done for a single event, as above, needs no order. A resource's current state does. Ask for the types that
    # yours is made of; an unknown one says nothing about it.
    latest = stage(event["type"]) > 0 and state.keep_latest(event)
    # Names and ids only: payloads carry personal data.
    names = {name: event.get(name) for name in ("type", "source", "id", "subject", "traceparent")}
    print(json.dumps({"message": "handle", "to_do": to_do, "latest": latest, **names}))


handler = consumer(handle)
