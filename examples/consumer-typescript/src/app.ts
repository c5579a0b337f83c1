// A Lambda function that handles each of Hookgate's events once. Copy this folder and write your own `handle`.

import { consumer, stage, type Event, type State } from "hookgate-consumer";

/** What your shop does about an event. It can be called again for an event whose handling was cut short: make it idempotent. */
export async function handle(event: Event, state: State): Promise<void> {
  let to_do: string;
  switch (event.type) {
    // Which types your platforms send, and which of these means "paid" to you, is your decision.
    case "commerce.order.paid":
    case "commerce.payment.succeeded":
    case "commerce.invoice.paid":
      to_do = "fulfil";
      break;
    case "commerce.payment.refunded":
    case "commerce.order.disputed":
      to_do = "tell a person";
      break;
    default: // New types come: no failure.
      to_do = "nothing";
  }
  // What is done for a single event, as above, needs no order. A resource's current state does. Ask for the types that yours is
  // made of; an unknown one says nothing about it.
  const latest = stage(event.type) > 0 && (await state.keepLatest(event));
  // Names and ids only: payloads carry personal data.
  const { type, source, id, subject, traceparent } = event;
  console.log(JSON.stringify({ message: "handle", to_do, latest, type, source, id, subject, traceparent }));
}

export const handler = consumer(handle);
