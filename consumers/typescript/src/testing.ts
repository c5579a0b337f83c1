/** For tests, with vitest, node:test or any other: real messages, and a table in memory. They need neither network nor AWS. */

import type { PutItemCommand } from "@aws-sdk/client-dynamodb";
import { messages as real } from "./generated/messages.js";
import { consumer, type Batch, type Context, type Event, type Handle } from "./index.js";

/** A value in DynamoDB's JSON. */
type Value = { S?: string; N?: string };

interface Put {
  TableName: string;
  Item: Record<string, Value>;
  ConditionExpression: string;
  ExpressionAttributeNames?: Record<string, string>;
  ExpressionAttributeValues: Record<string, Value>;
  ReturnValuesOnConditionCheckFailure?: string;
}

/** One real message for each of Hookgate's samples, in the form in which Lambda passes them. */
export function messages(): Batch {
  return JSON.parse(real);
}

/** Members that replace those of an event, and the name under which it is replayed. */
export type Members = Partial<Event> & { replay?: string };

/**
 * The first real message of each of these types, in this order. An object among them replaces members of all these events:
 * `batch("commerce.order.paid", { type: "commerce.order.boxed", replay: "june" })`.
 */
export function batch(...of: (string | Members)[]): Batch {
  const { replay, ...members }: Members = Object.assign({}, ...of.filter((each) => typeof each === "object"));
  const Records = of.filter((each) => typeof each === "string").map((type) => {
    const found = messages().Records.find(({ body }) => JSON.parse(body).type === type);
    if (!found) throw new Error(`no sample has the type ${type}`);
    const { messageAttributes = {} } = found;
    for (const [name, value] of Object.entries({ ...members, replay })) {
      const attribute = name in messageAttributes || name === "replay";
      if (attribute && typeof value === "string") messageAttributes[name] = { stringValue: value };
    }
    if (Object.keys(members).length > 0) found.body = JSON.stringify({ ...JSON.parse(found.body), ...members });
    return found;
  });
  return { Records };
}

/** An invocation with so many milliseconds left. Those with the same request id share their leases. */
export function context(awsRequestId = "request-1", left = 30_000): Context {
  return { awsRequestId, getRemainingTimeInMillis: () => left };
}

/** A table in memory that understands the requests of this package: it stands in for the SDK's client. */
export class Table {
  /** By `pk`. */
  readonly items = new Map<string, Record<string, Value>>();
  readonly requests: Put[] = [];
  invocations = 0;

  async send({ input }: Pick<PutItemCommand, "input">): Promise<object> {
    const request = input as unknown as Put;
    this.requests.push(request);
    const pk = request.Item.pk!.S!;
    const old = this.items.get(pk);
    if (!holds(request, old ?? {})) {
      const Item = request.ReturnValuesOnConditionCheckFailure === "ALL_OLD" ? old : undefined;
      throw Object.assign(new Error("The conditional request failed"), { name: "ConditionalCheckFailedException", Item });
    }
    this.items.set(pk, request.Item);
    return {};
  }
}

/** Alternatives, each `attribute_not_exists(NAME)` or `NAME OPERATOR :VALUE`. */
function holds(request: Put, old: Record<string, Value>): boolean {
  return request.ConditionExpression.split(" OR ").some((alternative) => {
    const missing = /^attribute_not_exists\((.*)\)$/.exec(alternative);
    if (missing) return !(missing[1]! in old);
    const [name, operator, placeholder] = alternative.split(" ") as [string, string, string];
    const held = old[request.ExpressionAttributeNames?.[name] ?? name];
    const value = request.ExpressionAttributeValues[placeholder]!;
    const order =
      value.N === undefined
        ? // Text byte by byte: not as JavaScript compares it.
          held?.S !== undefined && Buffer.compare(Buffer.from(held.S), Buffer.from(value.S!))
        : held?.N !== undefined && Number(held.N) - Number(value.N);
    if (order === false) return false;
    switch (operator) {
      case "=": return order === 0;
      case "<": return order < 0;
      case "<=": return order <= 0;
      default: throw new Error(`not a condition of a consumer: ${alternative}`);
    }
  });
}

/**
 * Your `handle` behind a table in memory, as one invocation after the other: each begins a minute later, when the leases of those
 * before it are over. It names the messages that failed; `errors` are what `handle` threw.
 */
export function run(handle: Handle, table = new Table()): ((batch: Batch) => Promise<string[]>) & { errors: unknown[] } {
  const errors: unknown[] = [];
  const visible: Handle = async (event, state) => {
    try {
      return await handle(event, state);
    } catch (error) {
      errors.push(error);
      throw error;
    }
  };
  const clock = () => Date.now() + 60_000 * table.invocations;
  const handler = consumer(visible, { table: "consumed", dynamodb: table, clock });
  const consume = async (batch: Batch) => {
    const { batchItemFailures } = await handler(batch, context(`request-${++table.invocations}`));
    return batchItemFailures.map(({ itemIdentifier }) => itemIdentifier);
  };
  return Object.assign(consume, { errors });
}
