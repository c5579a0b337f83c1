// The TypeScript consumer on real messages and moto's DynamoDB: `npm test`, with the `moto_server` of PyPI's
// `moto[server]` on the PATH or named by MOTO_SERVER.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { after, before, beforeEach, mock, test } from "node:test";
import { CreateTableCommand, DeleteTableCommand, DynamoDBClient, GetItemCommand } from "@aws-sdk/client-dynamodb";
import type { Batch, Context, Event } from "./consumer.js";

type Ordered = Pick<Event, "id" | "type" | "subject" | "time" | "receivedtime"> & { sort_key: string };

/** What the consumers of all languages agree on. */
interface Order {
  stages: Record<string, number>;
  lives: { name: string; latest: string; events: Ordered[] }[];
}

const BATCH: Batch = JSON.parse(readFileSync(new URL("../messages.json", import.meta.url), "utf8"));
const ORDER: Order = JSON.parse(readFileSync(new URL("../../contract/order.json", import.meta.url), "utf8"));
const ONE = BATCH.Records.find(({ body }) => body.includes('"type":"commerce.order.paid"'))!.body;
const OTHER = BATCH.Records.find(({ body }) => body !== ONE)!.body;
const TABLE = { TableName: "consumed" };

const port = await freePort();
const settings = { AWS_REGION: "us-east-1", AWS_ACCESS_KEY_ID: "local", AWS_SECRET_ACCESS_KEY: "local" };
const endpoint = `http://127.0.0.1:${port}`;
Object.assign(process.env, settings, { AWS_ENDPOINT_URL: endpoint, CONSUMED_TABLE_NAME: TABLE.TableName });

// After the settings.
const { handler, keepLatest, read, sortKey, stage } = await import("./consumer.js");
const moto = spawn(process.env.MOTO_SERVER ?? "moto_server", ["-H", "127.0.0.1", "-p", String(port)], { stdio: "ignore" });
const dynamodb = new DynamoDBClient({});
let log: Record<string, unknown>[] = [];

before(async () => {
  const ended = once(moto, "exit").then(([code]) => Promise.reject(new Error(`moto_server ended with ${code}`)));
  ended.catch(() => {});
  for (let answers = false; !answers; ) {
    const asked = fetch(endpoint).then(() => true, () => new Promise<false>((wait) => setTimeout(wait, 100, false)));
    answers = await Promise.race([asked, ended]);
  }
});
after(() => void moto.kill());

beforeEach(async () => {
  await dynamodb.send(new DeleteTableCommand(TABLE)).catch(() => {});
  await dynamodb.send(
    new CreateTableCommand({
      ...TABLE,
      BillingMode: "PAY_PER_REQUEST",
      AttributeDefinitions: [{ AttributeName: "pk", AttributeType: "S" }],
      KeySchema: [{ AttributeName: "pk", KeyType: "HASH" }],
    }),
  );
  log = [];
  mock.method(console, "log", (line: string) => void log.push(JSON.parse(line)));
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  return port;
}

function context(awsRequestId = "request-1", left = 30_000): Context {
  return { awsRequestId, getRemainingTimeInMillis: () => left };
}

function of(...bodies: string[]): Batch {
  return { Records: bodies.map((body, place) => ({ messageId: String(place), body })) };
}

async function failed(batch: Batch, by: Context): Promise<string[]> {
  const { batchItemFailures } = await handler(batch, by);
  return batchItemFailures.map(({ itemIdentifier }) => itemIdentifier);
}

function lines(message: string): Record<string, unknown>[] {
  return log.filter((line) => line.message === message);
}

test("each event is handled once", async () => {
  const count = BATCH.Records.length;
  assert.deepEqual(await failed(BATCH, context()), []);
  assert.deepEqual(await failed(BATCH, context("request-2")), []);
  const handled = lines("handle");
  assert.equal(handled.length, count);
  assert.equal(new Set(handled.map(({ source, id }) => `${source} ${id}`)).size, count);
  assert.equal(lines("duplicate").length, count);
  assert.ok(handled.some(({ id, to_do }) => id === "evt_large" && to_do === "fulfil"));
});

test("a compressed payload opens, and one that is no event does not", () => {
  const event = read(BATCH.Records.at(-1)!.body);
  assert.equal((event.data.payload as { note: string }).note.length, 1_100_000);
  assert.ok(!("payload_gzip" in event.data));
  for (const data of [{}, { payload_gzip: "c2VjcmV0" }, null]) {
    assert.throws(() => read(JSON.stringify({ ...event, data })));
  }
  assert.throws(() => read(ONE.replace('"1.0"', '"0.3"')));
});

test("a copy in the batch is handled once, and what is no event fails alone", async () => {
  assert.deepEqual(await failed(of(ONE, "no json", ONE, "null", OTHER), context()), ["1", "3"]);
  assert.equal(lines("handle").length, 2);
});

test("a replayed event is handled once for each replay", async () => {
  for (const [name, count] of [[undefined, 1], ["fix-1", 2], ["fix-1", 2], ["fix-2", 3], [undefined, 3]] as const) {
    const batch = of(ONE);
    if (name) batch.Records[0]!.messageAttributes = { replay: { stringValue: name } };
    assert.deepEqual(await failed(batch, context(`request-${name}-${count}`)), []);
    assert.equal(lines("handle").length, count, name);
  }
});

test("a failure is handled again when its lease is over", async () => {
  const print = mock.method(console, "log", () => { throw new Error("handling fails"); }, { times: 1 });
  // What `handle` does fails, and nothing else.
  assert.deepEqual(await failed(of(ONE), context("request-1", 6_000)), ["0"]);
  print.mock.restore();
  mock.method(console, "log", (line: string) => void log.push(JSON.parse(line)));
  assert.deepEqual(await failed(of(ONE), context("request-2")), ["0"]);
  assert.equal(lines("handle").length, 0);
  const later = Date.now() + 8_100;
  const clock = mock.method(Date, "now", () => later);
  assert.deepEqual(await failed(of(ONE), context("request-3")), []);
  clock.mock.restore();
  assert.deepEqual(await failed(of(ONE), context("request-4")), []);
  assert.equal(lines("handle").length, 1);
});

test("without time nothing is begun", async () => {
  assert.deepEqual(await failed(of(ONE), context("request-1", 4_999)), ["0"]);
  assert.equal(lines("handle").length, 0);
});

/** All orders of up to so many events; of more, as many, chosen by a fixed rule. */
function* orders<T>(events: T[], most: number): Generator<T[]> {
  const product = (count: number) => Array.from({ length: count }, (_, place) => place + 1).reduce((a, b) => a * b, 1);
  const all = product(events.length);
  for (let number = 0; number < Math.min(all, product(most)); number++) {
    // The number's digits, each to its own base, say which of the rest comes next.
    let digits = events.length > most ? (number * 2_654_435_761) % all : number;
    const rest = [...events];
    yield events.map(() => {
      const place = digits % rest.length;
      digits = Math.floor(digits / rest.length);
      return rest.splice(place, 1)[0]!;
    });
  }
}

async function state(source: string, subject = "order/1"): Promise<string | undefined> {
  const key = { pk: { S: `latest ${source} ${subject}` } };
  const { Item } = await dynamodb.send(new GetItemCommand({ ...TABLE, Key: key, ConsistentRead: true }));
  return Item?.sort_key?.S?.split(" ").slice(2).join(" ");
}

test("stages and sort keys are those of the contract", () => {
  for (const [type, expected] of Object.entries(ORDER.stages)) assert.equal(stage({ type }), expected, type);
  assert.equal(stage({ type: "commerce.order.returned" }), 0);
  for (const event of ORDER.lives.flatMap(({ events }) => events)) assert.equal(sortKey(event), event.sort_key);
});

test("every permutation and every duplicate sorts to the same state", () => {
  let permuted = 0;
  let expected = 0;
  for (const { name, latest, events } of ORDER.lives) {
    const keyed = events.map((event) => ({ key: sortKey(event), id: event.id }));
    const end = (order: typeof keyed) => order.reduce((held, event) => (held.key <= event.key ? event : held)).id;
    for (const order of orders(keyed, 6)) {
      permuted++;
      assert.equal(end(order), latest, name);
      for (const copy of order) {
        order.forEach((_, place) => assert.equal(end(order.toSpliced(place, 0, copy)), latest, name));
        assert.equal(end([...order, copy]), latest, name);
      }
    }
    expected += [1, 1, 2, 6, 24, 120, 720][Math.min(events.length, 6)]!;
  }
  assert.equal(permuted, expected);
});

test("every permutation and every duplicate ends in the same state in the table", async () => {
  let runs = 0;
  const small = ORDER.lives.filter(({ events }) => events.length <= 3);
  for (const { name, latest, events } of small) {
    for (const order of orders(events, 3)) {
      // As it is, and with each event a second time.
      for (const sequence of [order, [...order, ...order]]) {
        const source = `/webhooks/platform/${++runs}`;
        for (const event of sequence) await keepLatest({ ...read(ONE), time: undefined, ...event, source });
        assert.equal(await state(source, events[0]!.subject), latest, name);
      }
    }
  }
  assert.equal(runs, 2 * small.reduce((sum, { events }) => sum + [1, 1, 2, 6][events.length]!, 0));
});

test("whatever fails, the latest event remains", async () => {
  const life = ORDER.lives.find(({ name }) => name === "paid after its cancellation, which comes late")!;
  const text = (place: number) => {
    const { sort_key: _, ...event } = life.events[place]!;
    const source = "/webhooks/platform/default";
    return JSON.stringify({ specversion: "1.0", source, ...event, data: { payload: {} } });
  };
  const [created, cancelled, paid] = [text(0), text(1), text(2)];
  // The latest is kept, then its handling fails.
  const print = mock.method(console, "log", () => { throw new Error("handling fails"); }, { times: 1 });
  assert.deepEqual(await failed(of(paid), context("request-1", 6_000)), ["0"]);
  print.mock.restore();
  mock.method(console, "log", (line: string) => void log.push(JSON.parse(line)));
  assert.equal(await state("/webhooks/platform/default"), "c");
  // Older ones come, which are handled and leave the state alone; the latest comes again.
  assert.deepEqual(await failed(of(cancelled, created, cancelled), context("request-2")), []);
  const later = Date.now() + 8_100;
  const clock = mock.method(Date, "now", () => later);
  assert.deepEqual(await failed(of(paid), context("request-3")), []);
  clock.mock.restore();
  assert.deepEqual(lines("handle").map(({ latest }) => latest), [false, false, true]);
  assert.equal(await state("/webhooks/platform/default"), "c");
});
