// The TypeScript consumer on real messages and moto's DynamoDB: `npm test`, with the `moto_server` of PyPI's
// `moto[server]` on the PATH or named by MOTO_SERVER.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { after, before, beforeEach, mock, test } from "node:test";
import { CreateTableCommand, DeleteTableCommand, DynamoDBClient } from "@aws-sdk/client-dynamodb";
import type { Batch, Context } from "./consumer.js";

const BATCH: Batch = JSON.parse(readFileSync(new URL("../messages.json", import.meta.url), "utf8"));
const ONE = BATCH.Records.find(({ body }) => body.includes('"type":"commerce.order.paid"'))!.body;
const OTHER = BATCH.Records.find(({ body }) => body !== ONE)!.body;
const TABLE = { TableName: "consumed" };

const port = await freePort();
const settings = { AWS_REGION: "us-east-1", AWS_ACCESS_KEY_ID: "local", AWS_SECRET_ACCESS_KEY: "local" };
const endpoint = `http://127.0.0.1:${port}`;
Object.assign(process.env, settings, { AWS_ENDPOINT_URL: endpoint, CONSUMED_TABLE_NAME: TABLE.TableName });

// After the settings.
const { handler, read } = await import("./consumer.js");
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
