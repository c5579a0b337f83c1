/**
 * Handles each of Hookgate's events once, in a Lambda function behind its queue: `export const handler = consumer(handle)`.
 *
 * The DynamoDB table `CONSUMED_TABLE_NAME` remembers which events were handled. Its requests are those of
 * docs/contract/consumer.json, by which consumers in other languages can share it.
 */

import { DynamoDBClient, PutItemCommand, type AttributeValue, type PutItemCommandInput } from "@aws-sdk/client-dynamodb";
import { gunzipSync, inflateRawSync } from "node:zlib";
import { description } from "./generated/description.js";

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
    /** Digits as the platform wrote them. `unit` says whether they count cents (minor) or whole units (major). */
    amount?: { value: string; unit: "minor" | "major"; currency?: string };
    customer?: { id: string };
    status?: string;
    /** A number that a JavaScript number does not hold exactly is a string: its digits. */
    payload: any;
  };
}

/** What Lambda passes, as far as a consumer looks at it. */
export interface Batch {
  Records: { messageId: string; body: string; messageAttributes?: Record<string, { stringValue?: string }> }[];
}

/** What a consumer asks of Lambda's context. */
export interface Context {
  awsRequestId: string;
  getRemainingTimeInMillis(): number;
}

/** What Lambda is told: these messages are delivered again. */
export interface Answer {
  batchItemFailures: { itemIdentifier: string }[];
}

/**
 * What your shop does about an event. What it returns is awaited, and must be nothing: otherwise the message fails. It may be called again for an event whose handling was cut short, so make it idempotent:
 * write with the event's id as the key, or pass `source` and `id` as the idempotency key of what you call.
 */
export type Handle = (event: Event, state: State) => Promise<void> | void;

export interface Options {
  /** The DynamoDB table. The default is the one that `CONSUMED_TABLE_NAME` names. */
  table?: string;
  /** How many seconds an event is remembered. The default is 60 days; with a larger `ClaimTtlDays` set it to `(days + 30) * 86_400`. */
  remember?: number;
  /** A client, or what stands in for one. */
  dynamodb?: { send(command: PutItemCommand): Promise<unknown> };
  /** What time it is, in milliseconds since 1970. */
  clock?: () => number;
}

/** Why a message failed, in words that quote nothing of it. */
class Failure extends Error {}

/** The state of each resource, in the consumer's table. Passed to `handle`. */
export class State {
  constructor(private readonly put: (request: Request, values: Values, attributes?: Attributes) => Promise<void>) {}

  /**
   * Latest wins: keeps what the event says as its resource's state, unless a later event has been kept. Says whether it did.
   *
   * One write decides and stores: between a question and a write a later event could be written. So put what else belongs to
   * the state into the same item, as `attributes`; or, if it is in another database, keep `sortKey(event)` beside it, and write
   * there under the same condition.
   */
  async keepLatest(event: Event, attributes: Attributes = {}): Promise<boolean> {
    const { source, subject } = event;
    if (subject == null) return false;
    const values = {
      // A source starts with a slash, so no event has this key.
      key: fill(description.keys.latest, { source, subject }),
      sort_key: sortKey(event),
      type: stages.has(event.type) ? event.type : "commerce.unrecognized",
      status: event.data.status,
    };
    try {
      await this.put("latest", values, attributes);
    } catch (error) {
      if (name(error) !== "ConditionalCheckFailedException") throw error;
      return false;
    }
    return true;
  }
}

/** The function for Lambda: consumes one message after the other. Lambda deletes those that the answer does not name as failed. */
export function consumer(handle: Handle, options: Options = {}): (batch: Batch, context: Context) => Promise<Answer> {
  const { remember = description.remember_seconds, clock = Date.now } = options;
  if (!Number.isFinite(remember) || remember < 86_400) {
    throw new RangeError("remember must be a number of seconds, at least 86,400 (one day): for 90 days it is 90 * 86_400");
  }
  // A dead connection must not cost the whole batch: a call ends within begin_margin_ms.
  const timeout = description.attempt_ms;
  const requestHandler = { connectionTimeout: timeout, requestTimeout: timeout, throwOnRequestTimeout: true };
  const dynamodb = options.dynamodb ?? new DynamoDBClient({ requestHandler, maxAttempts: 2 });

  /** One of the description's requests, with these values. */
  async function put(request: Request, values: Values, attributes: Attributes = {}): Promise<void> {
    const expires_at = Math.floor(clock() / 1000) + Math.floor(remember);
    const filled = fill(description.requests[request], { ...values, expires_at, table: table() }) as unknown as PutItemCommandInput;
    const input = { ...filled, Item: { ...attributes, ...filled.Item } };
    // The client reports an error of the table by its name, which quotes nothing.
    await dynamodb.send(new PutItemCommand(input)).catch((error: unknown) => {
      throw Object.assign(new Failure(`DynamoDB: ${name(error)}`), { name: name(error), item: (error as { Item?: Item })?.Item });
    });
  }

  function table(): string {
    const named = options.table ?? process.env.CONSUMED_TABLE_NAME;
    if (named) return named;
    throw new Error("CONSUMED_TABLE_NAME is not set: give it the name of the DynamoDB table of handled events");
  }

  /** True: the event is ours to handle. False: it was handled. */
  async function lease(values: Lease & { key: string }): Promise<boolean> {
    const now = Math.floor(clock());
    try {
      await put("lease", { ...values, now: Math.floor(now / 1000), now_ms: now });
    } catch (error) {
      if (name(error) !== "ConditionalCheckFailedException") throw error;
      const { item } = error as { item?: Item };
      // Without it nobody knows whether the event was handled.
      if (!item || Object.keys(item).length === 0) throw new Failure("DynamoDB: refused the lease without the old item");
      if (item.lease_until === undefined) return false;
      // Our own: written by this very call, whose answer was lost and which the SDK repeated.
      if (item.owner?.S !== values.owner) throw new Failure("leased by another invocation");
    }
    return true;
  }

  /**
   * Leases, handles and marks, in this order: marking first would lose an event if this process died before handling it; without
   * the lease, two copies that arrive at the same time would both be handled.
   */
  async function consume({ body, messageAttributes }: Batch["Records"][number], leased: Lease) {
    const event = read(body);
    const replay = messageAttributes?.replay?.stringValue;
    // An event that an operator replays is handled once more for each replay.
    const key = fill(description.keys[replay ? "replay" : "event"], { source: event.source, id: event.id, replay });
    const values = { key, ...leased };
    if (!(await lease(values))) return "duplicate";
    let result: unknown;
    try {
      result = await handle(event, new State(put));
    } catch (error) {
      // Its name only: what it says may quote the payload.
      throw new Failure(`handle failed: ${name(error)}`);
    }
    // A generator or a function, for example, has not run yet.
    if (result !== undefined) throw new Failure("handle failed: it must return nothing, or a promise of nothing");
    await put("mark", values);
    return "handled";
  }

  return async (batch, context) => {
    table(); // Without it, not one of them could be handled.
    const left = context.getRemainingTimeInMillis();
    const deadline = performance.now() + left;
    const leased = { owner: context.awsRequestId, lease_until: Math.floor(clock()) + left + description.lease_margin_ms };
    const batchItemFailures: Answer["batchItemFailures"] = [];
    for (const record of batch.Records) {
      const line = { level: "INFO", message_id: record.messageId };
      try {
        console.log(JSON.stringify({ ...line, message: await inTime(deadline, () => consume(record, leased)) }));
      } catch (error) {
        // One bad message must not fail the batch.
        const why = error instanceof Failure ? error.message : name(error);
        console.log(JSON.stringify({ ...line, level: "ERROR", message: "failed", error: why }));
        batchItemFailures.push({ itemIdentifier: record.messageId });
      }
    }
    return { batchItemFailures };
  };
}

/**
 * What the message comes to, unless there is too little time for it. A `handle` that never ends then fails alone. It cannot be stopped:
 * if it goes on in a later invocation and ends, the event is marked, unless another invocation has leased it.
 */
async function inTime<T>(deadline: number, message: () => Promise<T>): Promise<T> {
  const late = new Failure("no time left: smaller batches, or a longer timeout");
  const left = Math.round(deadline - performance.now());
  if (left < description.begin_margin_ms) throw late;
  let timer: NodeJS.Timeout | undefined;
  const ends = new Promise<never>((_, fails) => (timer = setTimeout(() => fails(late), left - description.answer_margin_ms)));
  return Promise.race([message(), ends]).finally(() => clearTimeout(timer));
}

/** The event of a message, its payload open at `data.payload`. */
export function read(body: string): Event {
  try {
    const event = parse(body, description.event);
    const { data } = event;
    if ("payload" in data === (data.payload_gzip != null)) throw new Error();
    if (data.payload_gzip != null) {
      const gzip = Buffer.from(data.payload_gzip, "base64");
      // Buffer skips what is not base64.
      if (gzip.toString("base64") !== data.payload_gzip) throw new Error();
      const inflated = gunzipSync(firstMember(gzip), { maxOutputLength: description.max_inflated_bytes });
      data.payload = parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(inflated));
    }
    delete data.payload_gzip;
    return event;
  } catch {
    throw new Failure("not an event");
  }
}

/** The first member of gzip (RFC 1952) and nothing behind it, as the other languages read it: gunzip reads on. */
function firstMember(gzip: Buffer): Buffer {
  const [FHCRC, FEXTRA, FNAME, FCOMMENT] = [2, 4, 8, 16];
  const flags = gzip.readUInt8(3);
  let at = 10;
  if (flags & FEXTRA) at += 2 + gzip.readUInt16LE(at);
  for (const text of [FNAME, FCOMMENT]) if (flags & text) at = gzip.indexOf(0, at) + 1;
  if (flags & FHCRC) at += 2;
  const options = { maxOutputLength: description.max_inflated_bytes, info: true };
  const { engine } = inflateRawSync(gzip.subarray(at), options) as unknown as { engine: { bytesWritten: number } };
  return gzip.subarray(0, at + engine.bytesWritten + 8);
}

/** An array: one of these strings, or any string. An object: these members, of which `name?` may be missing or null. Null: anything. */
function fits(value: any, form: unknown): boolean {
  if (form === null) return true;
  if (Array.isArray(form)) return isText(value) && (form.length === 0 || form.includes(value));
  if (typeof value !== "object" || value === null) return false;
  return Object.entries(form as object).every(([name, part]) => {
    const member = value[name.replace("?", "")];
    return (name.endsWith("?") && member == null) || fits(member, part);
  });
}

/** No half of a surrogate pair is in it. */
function isText(value: unknown): boolean {
  return typeof value === "string" && !/\p{Surrogate}/u.test(value);
}

/** JSON of this form, with exact numbers. */
function parse(text: string, form?: object): any {
  // Before numbers become strings, which may be an id or the name of a member.
  const plain = JSON.parse(text);
  if (form && !(fits(plain, form) && eachOnce(text, form))) throw new Error();
  const written = exact(text);
  return written === text ? plain : JSON.parse(written);
}

/** Whether each name of the form is there only once, where `JSON.parse` takes the last. */
function eachOnce(text: string, form: object): boolean {
  // The objects and arrays that are open. Of an object that the form knows: its form, and its names so far.
  const open: ({ form: object; names: Set<string> } | undefined)[] = [];
  let [quoted, next]: [string, object | undefined] = ["", form];
  for (const part of parts(text)) {
    if (part.startsWith('"')) quoted = part;
    else
      for (const sign of part.match(/[[\]{}:]/g) ?? []) {
        if (sign === "}" || sign === "]") open.pop();
        else if (sign !== ":") open.push(sign === "{" && next ? { form: next, names: new Set() } : undefined);
        const known = open.at(-1);
        next = undefined;
        if (sign !== ":" || !known) continue;
        const name = JSON.parse(quoted);
        const found = Object.entries(known.form).find(([of]) => of.replace("?", "") === name);
        if (!isText(name) || (found && known.names.has(name))) return false;
        known.names.add(name);
        next = found?.[1] ?? undefined;
      }
  }
  return true;
}

/** The strings of valid JSON, and what is between them. */
function* parts(text: string): Generator<string> {
  for (let at = 0; at < text.length; ) {
    const quote = text.indexOf('"', at);
    yield text.slice(at, quote < 0 ? text.length : quote);
    if (quote < 0) return;
    // To the end of the string: the next quote behind an even number of backslashes.
    let end = quote;
    for (let slashes = 1; slashes % 2 === 1; ) {
      end = text.indexOf('"', end + 1);
      slashes = 0;
      while (text[end - 1 - slashes] === "\\") slashes++;
    }
    yield text.slice(quote, end + 1);
    at = end + 1;
  }
}

/** The same JSON, in which each number that a JavaScript number does not hold exactly is a string. */
function exact(text: string): string {
  let result = "";
  for (const part of parts(text)) {
    if (part.startsWith('"')) result += part;
    else result += part.replace(/-?\d[\d.eE+-]*/g, (digits) => (isExact(digits) ? digits : `"${digits}"`));
  }
  return result;
}

function isExact(digits: string): boolean {
  // A JavaScript number has 15 digits and more.
  if (digits.length <= 15 && !/[eE]/.test(digits)) return true;
  const written = decimal(digits);
  return written === undefined || written === decimal(String(Number(digits)));
}

/** The number without the freedom to write it: `49.90` and `4990e-2` are both `499e-1`. None if it is not a number. */
function decimal(digits: string): string | undefined {
  const parts = /^(-?)(0|[1-9]\d*)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(digits);
  if (!parts) return undefined;
  const [, sign, whole = "", fraction = "", exponent = "0"] = parts;
  const significant = (whole + fraction).replace(/^0+/, "");
  // A regular expression for the zeros at the end would try each zero of "1000…0001" anew.
  let end = significant.length;
  while (significant[end - 1] === "0") end--;
  const short = significant.slice(0, end);
  return short === "" ? "0" : `${sign}${short}e${Number(exponent) - fraction.length + significant.length - short.length}`;
}

type Attributes = Record<string, AttributeValue>;
type Lease = { owner: string; lease_until: number };
type Item = Record<string, { S?: string } | undefined>;
type Request = keyof typeof description.requests;
type Values = Record<string, string | number | undefined>;

/** The description's text with these values in it. An attribute without a value is left out. */
function fill<T>(template: T, values: Values): T {
  if (typeof template === "string") return template.replace(/\{(\w+)\}/g, (_, name: string) => String(values[name])) as T;
  const known = Object.entries(template as object).filter(([name]) => !(name in values) || values[name] != null);
  return Object.fromEntries(known.map(([name, part]) => [name, fill(part, values)])) as T;
}

/** For the log. What does not look like a name may be a part of the payload. */
function name(error: unknown): string {
  const name: unknown = error instanceof Error && error.name;
  return typeof name === "string" && /^[A-Za-z][A-Za-z0-9_.]{0,63}$/.test(name) ? name : "Error";
}

const stages = new Map<string, number>(Object.entries(description.stages));

/** Where a type stands in its resource's life, which breaks ties of time. 0 for one that this version does not know. */
export function stage(type: string): number {
  return stages.get(type) ?? 0;
}

/**
 * Compares byte by byte, as DynamoDB does, like the order in which a resource's events happened: time to the nanosecond,
 * stage, id.
 */
export function sortKey(event: Pick<Event, "type" | "time" | "receivedtime" | "id">): string {
  // Times are in UTC, but as text 16:00:00.5Z would come before 16:00:00Z. Without one, that of the arrival is a guess.
  const [seconds, decimals = ""] = (event.time ?? event.receivedtime).replace(/Z$/, "").split(".");
  const nanoseconds = decimals.padEnd(9, "0");
  return fill(description.sort_key, { seconds, nanoseconds, stage: String(stage(event.type)).padStart(2, "0"), id: event.id });
}
