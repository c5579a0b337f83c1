// A Lambda function behind Hookgate's queue that handles each event once: Node 20 or later, and AWS SDK v3, which
// Lambda's Node runtimes bring along.
//
// Write your own `handle`. `keepLatest` holds the current state of each resource, whatever order events come in. Why the steps of `consume` have this order: see docs/consume.md.

import { ConditionalCheckFailedException, DynamoDBClient, PutItemCommand } from "@aws-sdk/client-dynamodb";
import { gunzipSync } from "node:zlib";

const REMEMBER = 60 * 86_400; // Seconds. Longer than any copy of an event can be on its way, and than ClaimTtlDays.
const LEASE_MARGIN_MS = 2_000; // A lease ends this long after Lambda has stopped its owner: clocks differ.
const ANSWER_MARGIN_MS = 5_000; // No message is begun with less time left.
const MAX_INFLATED = 8 * 1024 * 1024; // What a compressed payload may open to.

// Where a type stands in its resource's life, which breaks ties of time. From docs/contract/order.json.
const STAGES: [number, string][] = [
  [10, "order.created subscription.created invoice.created domain.registered customer.created card.issued"],
  [10, "transaction.created product.created query.created feedback.received"],
  [20, "order.updated subscription.updated customer.updated account.updated product.updated product.stock_changed"],
  [20, "product.dynamic query.replied"],
  [22, "subscription.trial_started"],
  [24, "subscription.trial_ended"],
  [30, "order.partially_paid order.payment_pending subscription.upcoming"],
  [40, "payment.failed invoice.payment_failed"],
  [50, "order.paid payment.succeeded subscription.renewed invoice.paid service.activated domain.renewed"],
  [55, "order.fulfilled"],
  [60, "order.completed checkout.completed"],
  [64, "subscription.paused service.suspended"],
  [66, "subscription.resumed"],
  [70, "order.expired"],
  [75, "order.failed"],
  [80, "order.cancelled subscription.cancelled"],
  [85, "order.disputed payment.disputed"],
  [90, "order.refunded payment.refunded"],
  [95, "subscription.ended"],
  [99, "order.deleted customer.deleted product.deleted"],
];
const STAGE_OF = new Map(
  STAGES.flatMap(([stage, names]) => names.split(" ").map((name): [string, number] => [`commerce.${name}`, stage])),
);

const dynamodb = new DynamoDBClient({});

/** CloudEvents 1.0, and what Hookgate adds. */
export interface Event {
  specversion: "1.0";
  id: string;
  source: string;
  /** `commerce.order.paid` and so on. New ones come. */
  type: string;
  subject?: string;
  time?: string;
  datacontenttype: "application/json";
  provider: string;
  account: string;
  /** What the platform itself calls it. */
  providertype: string;
  receivedtime: string;
  deliveryid?: string;
  traceparent?: string;
  data: {
    resource?: { kind: string; id: string };
    /** Digits as the platform wrote them. Take money from here: `JSON.parse` made floats of the payload's numbers. */
    amount?: { value: string; unit: "minor" | "major"; currency?: string };
    customer?: { id: string };
    status?: string;
    payload: unknown;
  };
}

export interface Batch {
  Records: { messageId: string; body: string; messageAttributes?: Record<string, { stringValue?: string }> }[];
}

export interface Context {
  awsRequestId: string;
  getRemainingTimeInMillis(): number;
}

export async function handler(batch: Batch, context: Context) {
  const batchItemFailures: { itemIdentifier: string }[] = [];
  for (const { messageId, body, messageAttributes } of batch.Records) {
    try {
      const message = await consume(body, context, messageAttributes?.replay?.stringValue);
      console.log(JSON.stringify({ message, message_id: messageId }));
    } catch (error) {
      // One bad message must not fail the batch. Its name only: what it says may quote the payload.
      const name = error instanceof Error ? error.name : "Error";
      console.log(JSON.stringify({ level: "ERROR", message: "failed", message_id: messageId, error: name }));
      batchItemFailures.push({ itemIdentifier: messageId });
    }
  }
  return { batchItemFailures };
}

async function consume(body: string, context: Context, replay?: string): Promise<"handled" | "duplicate"> {
  if (context.getRemainingTimeInMillis() < ANSWER_MARGIN_MS) throw named("OutOfTime");
  const event = read(body);
  // An event that an operator replays is handled once more for each replay.
  const key = `${replay ? `replay ${replay} ` : ""}${event.source} ${event.id}`;
  if (!(await lease(key, context))) return "duplicate";
  await handle(event);
  await mark(key, context);
  return "handled";
}

/** The event of a message, its payload open at `data.payload`. */
export function read(body: string): Event {
  const event = JSON.parse(body);
  if (event?.specversion !== "1.0" || typeof event.source !== "string" || typeof event.id !== "string") {
    throw named("NoEvent");
  }
  if (typeof event.data?.payload_gzip === "string") {
    const gzip = Buffer.from(event.data.payload_gzip, "base64");
    event.data.payload = JSON.parse(gunzipSync(gzip, { maxOutputLength: MAX_INFLATED }).toString("utf8"));
    delete event.data.payload_gzip;
  }
  if (event.data?.payload === undefined) throw named("NoPayload");
  return event;
}

/** True: the event is ours to handle. False: it was handled. */
async function lease(key: string, context: Context): Promise<boolean> {
  const now = Date.now();
  const until = now + context.getRemainingTimeInMillis() + LEASE_MARGIN_MS;
  try {
    await dynamodb.send(
      new PutItemCommand({
        TableName: process.env.CONSUMED_TABLE_NAME,
        Item: { ...item(key), ...owner(context), lease_until: { N: String(until) } },
        ConditionExpression: "attribute_not_exists(pk) OR expires_at < :now OR lease_until < :now_ms",
        ExpressionAttributeValues: { ":now": { N: String(Math.floor(now / 1000)) }, ":now_ms": { N: String(now) } },
        ReturnValuesOnConditionCheckFailure: "ALL_OLD",
      }),
    );
  } catch (error) {
    if (!(error instanceof ConditionalCheckFailedException)) throw error;
    if (error.Item?.lease_until === undefined) return false;
    // Our own: written by this very call, whose answer was lost and which the SDK repeated.
    if (error.Item.owner?.S !== context.awsRequestId) throw named("WorkedOn");
  }
  return true;
}

async function mark(key: string, context: Context): Promise<void> {
  await dynamodb.send(
    new PutItemCommand({
      TableName: process.env.CONSUMED_TABLE_NAME,
      Item: { ...item(key), ...owner(context) },
      ConditionExpression: "#owner = :owner",
      ExpressionAttributeNames: { "#owner": "owner" },
      ExpressionAttributeValues: { ":owner": { S: context.awsRequestId } },
    }),
  );
}

function item(key: string) {
  return { pk: { S: key }, expires_at: { N: String(Math.floor(Date.now() / 1000) + REMEMBER) } };
}

function owner(context: Context) {
  return { owner: { S: context.awsRequestId } };
}

/** 0 for a type that this file does not know. `….product` is a type whose payload lists the products. */
export function stage({ type }: Pick<Event, "type">): number {
  return STAGE_OF.get(type.replace(/\.product$/, "")) ?? 0;
}

/**
 * Compares byte by byte, as DynamoDB does, like the order in which a resource's events happened: time to the nanosecond,
 * stage, id.
 */
export function sortKey(event: Pick<Event, "type" | "time" | "receivedtime" | "id">): string {
  // Times are in UTC, but as text 16:00:00.5Z would come before 16:00:00Z. Without one, that of the arrival is a guess.
  const [seconds, decimals = ""] = (event.time ?? event.receivedtime).replace(/Z$/, "").split(".");
  return `${seconds}.${decimals.padEnd(9, "0")}Z ${String(stage(event)).padStart(2, "0")} ${event.id}`;
}

/**
 * Latest wins: keeps what the event says as its resource's state, unless a later one has been kept. Says whether it did.
 *
 * One write decides and stores: between a question and a write a later event could be written. So put what else belongs
 * to the state into this item; or keep the sort key where your state is, and write there by the same condition.
 */
export async function keepLatest(event: Event): Promise<boolean> {
  if (event.subject === undefined) return false;
  const key = sortKey(event);
  try {
    await dynamodb.send(
      new PutItemCommand({
        TableName: process.env.CONSUMED_TABLE_NAME,
        Item: {
          // A source starts with a slash, so no event has this pk.
          ...item(`latest ${event.source} ${event.subject}`),
          sort_key: { S: key },
          type: { S: event.type },
          ...(event.data.status === undefined ? {} : { status: { S: event.data.status } }),
        },
        // The same event passes again: its handling may have been cut short after this write.
        ConditionExpression: "attribute_not_exists(pk) OR sort_key <= :sort_key",
        ExpressionAttributeValues: { ":sort_key": { S: key } },
      }),
    );
  } catch (error) {
    if (!(error instanceof ConditionalCheckFailedException)) throw error;
    return false;
  }
  return true;
}

function named(name: string): Error {
  return Object.assign(new Error(name), { name });
}

/** What your shop does about an event. It may be called again for an event whose handling was cut short. */
async function handle(event: Event): Promise<void> {
  let to_do: string;
  switch (event.type) {
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
  // What is done for a single event, as above, needs no order. A resource's current state does. Ask for the types that
  // yours is made of; an unknown one says nothing about it.
  const latest = stage(event) > 0 && (await keepLatest(event));
  // Names and ids only: payloads carry personal data.
  const { type, source, id, subject, traceparent } = event;
  console.log(JSON.stringify({ message: "handle", to_do, latest, type, source, id, subject, traceparent }));
}
