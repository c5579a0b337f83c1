// A Lambda function behind Hookgate's queue that handles each event once: Node 20 or later, and AWS SDK v3, which
// Lambda's Node runtimes bring along.
//
// Write your own `handle`. Why the steps of `consume` have this order: see docs/consume.md.

import { ConditionalCheckFailedException, DynamoDBClient, PutItemCommand } from "@aws-sdk/client-dynamodb";
import { gunzipSync } from "node:zlib";

const REMEMBER = 60 * 86_400; // Seconds. Longer than any copy of an event can be on its way, and than ClaimTtlDays.
const LEASE_MARGIN_MS = 2_000; // A lease ends this long after Lambda has stopped its owner: clocks differ.
const ANSWER_MARGIN_MS = 5_000; // No message is begun with less time left.
const MAX_INFLATED = 8 * 1024 * 1024; // What a compressed payload may open to.

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
  Records: { messageId: string; body: string }[];
}

export interface Context {
  awsRequestId: string;
  getRemainingTimeInMillis(): number;
}

export async function handler(batch: Batch, context: Context) {
  const batchItemFailures: { itemIdentifier: string }[] = [];
  for (const { messageId, body } of batch.Records) {
    try {
      console.log(JSON.stringify({ message: await consume(body, context), message_id: messageId }));
    } catch (error) {
      // One bad message must not fail the batch. Its name only: what it says may quote the payload.
      const name = error instanceof Error ? error.name : "Error";
      console.log(JSON.stringify({ level: "ERROR", message: "failed", message_id: messageId, error: name }));
      batchItemFailures.push({ itemIdentifier: messageId });
    }
  }
  return { batchItemFailures };
}

async function consume(body: string, context: Context): Promise<"handled" | "duplicate"> {
  if (context.getRemainingTimeInMillis() < ANSWER_MARGIN_MS) throw named("OutOfTime");
  const event = read(body);
  const key = `${event.source} ${event.id}`;
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
        Item: { ...item(key, context), lease_until: { N: String(until) } },
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
      Item: item(key, context),
      ConditionExpression: "#owner = :owner",
      ExpressionAttributeNames: { "#owner": "owner" },
      ExpressionAttributeValues: { ":owner": { S: context.awsRequestId } },
    }),
  );
}

function item(key: string, context: Context) {
  const expiresAt = Math.floor(Date.now() / 1000) + REMEMBER;
  return { pk: { S: key }, owner: { S: context.awsRequestId }, expires_at: { N: String(expiresAt) } };
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
  // Names and ids only: payloads carry personal data.
  const { type, source, id, subject, traceparent } = event;
  console.log(JSON.stringify({ message: "handle", to_do, type, source, id, subject, traceparent }));
}
