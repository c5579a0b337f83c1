// The package against docs/contract/consumer.json and the vectors that every language passes: for each message the exact requests, the
// answer and the log line, then what the table holds.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer, type AddressInfo, type Socket } from "node:net";
import { afterEach, beforeEach, mock, test } from "node:test";
import { consumer, read, sortKey, stage, type Event, type State } from "hookgate-consumer";
import { batch, context, messages, run, Table } from "hookgate-consumer/testing";

interface Message {
  event: string;
  replay?: string;
  fault?: Record<string, string | object>;
  handle?: string;
  meanwhile?: Step;
  kept?: boolean;
  calls: ("lease" | "latest" | "mark")[];
  log: string | null;
}

interface Step {
  at: number;
  left?: number;
  request?: string;
  messages: Message[];
}

type Running = Step & { owner: string; began: number };

const contract = (name: string) => JSON.parse(readFileSync(new URL(`../../../../docs/contract/${name}`, import.meta.url), "utf8"));
const DESCRIPTION = contract("consumer.json");
const VECTORS = contract("consumer-vectors.json");
const LIVES: { name: string; latest: string; events: (Event & { sort_key: string })[] }[] = contract("order.json").lives;
const { subject: _subject, time: _time, ...ENVELOPE } = VECTORS.events.paid;

let log: { message: string; error?: string }[] = [];
beforeEach(() => {
  log = [];
  mock.method(console, "log", (line: string) => void log.push(JSON.parse(line)));
});
afterEach(() => mock.restoreAll());

function fill(template: any, values: any): any {
  if (typeof template === "string") return template.replaceAll(/\{(.+?)\}/g, (_, name) => values[name]);
  const known = Object.entries(template).filter(([name]) => name !== "status" || values.status !== undefined);
  return Object.fromEntries(known.map(([name, part]) => [name, fill(part, values)]));
}

/** One vector while it runs. */
class World extends Table {
  now = 0;
  readonly expected: object[] = [];
  readonly handling: [Message, Running][] = [];
  faults: Record<string, string | object> = {};
  kept: boolean[] = [];
  die!: () => void;
  readonly consume = consumer((event, state) => this.handle(event, state), { table: "consumed", dynamodb: this, clock: () => this.now });

  override async send(command: Parameters<Table["send"]>[0]): Promise<object> {
    const item = command.input.Item!;
    const call = item.sort_key ? "latest" : item.lease_until ? "lease" : "mark";
    const fault = this.faults[call];
    delete this.faults[call];
    if (typeof fault === "object") {
      this.requests.push(command.input as any);
      throw Object.assign(new Error("s3cr3t"), { name: "ConditionalCheckFailedException", ...fault });
    }
    const lost = Object.assign(new Error("s3cr3t"), { name: "InternalServerError" });
    if (fault === "refused" || fault === "dies before") this.requests.push(command.input as any);
    if (fault === "refused") throw lost;
    if (fault === "dies before") return this.died();
    if (fault === "repeated") {
      await super.send(command);
      this.requests.pop();
    }
    const answer = await super.send(command);
    if (fault === "dies after") return this.died();
    if (fault === "unanswered") throw lost;
    return answer;
  }

  died(): Promise<never> {
    this.die();
    return new Promise(() => {});
  }

  expect(call: "lease" | "latest" | "mark", message: Message, step: Running) {
    const event = VECTORS.events[message.event];
    const [seconds, decimals = ""] = (event.time ?? event.receivedtime).slice(0, -1).split(".");
    const known = DESCRIPTION.stages[event.type];
    const seconds_now = Math.floor(this.now / 1000);
    const form = call === "latest" ? call : message.replay ? "replay" : "event";
    const values = {
      table: "consumed", owner: step.owner, now: seconds_now, now_ms: this.now,
      key: fill(DESCRIPTION.keys[form], { ...event, replay: message.replay }),
      expires_at: seconds_now + DESCRIPTION.remember_seconds,
      lease_until: step.began + (step.left ?? 30_000) + DESCRIPTION.lease_margin_ms,
      sort_key: `${seconds}.${decimals.padEnd(9, "0")}Z ${String(known ?? 0).padStart(2, "0")} ${event.id}`,
      type: known === undefined ? "commerce.unrecognized" : event.type, status: event.data.status,
    };
    this.expected.push(fill(DESCRIPTION.requests[call], values));
  }

  async handle(event: Event, state: State): Promise<void> {
    const [message, step] = this.handling.at(-1)!;
    assert.equal(event.id, VECTORS.events[message.event].id);
    if (message.meanwhile) await this.step(message.meanwhile, "another");
    if (message.handle === "fails before") throw new TypeError("s3cr3t");
    if (message.handle === "dies") return this.died();
    if (message.handle === "hangs") return new Promise(() => {});
    if (message.calls.includes("latest")) this.expect("latest", message, step);
    this.kept.push(await state.keepLatest(event));
    if (message.handle === "fails after") throw new TypeError("s3cr3t");
  }

  /** The batch. As each message is taken from it: what it must request, and what becomes of that. */
  *records(step: Running) {
    for (const [index, message] of step.messages.entries()) {
      this.handling.push([message, step]);
      this.faults = { ...message.fault };
      if (message.calls.includes("lease")) this.expect("lease", message, step);
      const messageAttributes = message.replay === undefined ? {} : { replay: { stringValue: message.replay } };
      try {
        yield { messageId: String(index), body: JSON.stringify(VECTORS.events[message.event]), messageAttributes };
      } finally {
        if (message.calls.includes("mark")) this.expect("mark", message, step);
        this.handling.pop();
      }
    }
  }

  /** One invocation. */
  async step(given: Step, owner: string): Promise<void> {
    this.now = VECTORS.start_ms + Math.round(given.at * 1000);
    const step = { ...given, owner: given.request ?? owner, began: this.now };
    const [kept, lines] = [this.kept.length, log.length];
    const records = this.records(step);
    const dies = new Promise<undefined>((die) => (this.die = () => die(undefined)));
    const began = performance.now();
    const answer = await Promise.race([this.consume({ Records: records as any }, context(step.owner, step.left)), dies]);
    assert.ok(performance.now() - began < Math.max(step.left ?? 30_000, 1_000)); // Before Lambda stops it.
    records.return();
    const said = step.messages.map((message) => message.log);
    assert.equal(answer === undefined, said.includes(null));
    const failed = [...said.keys()].filter((index) => said[index] !== "handled" && said[index] !== "duplicate");
    if (answer) assert.deepEqual(answer.batchItemFailures, failed.map((index) => ({ itemIdentifier: String(index) })));
    const spoken = log.splice(lines);
    assert.ok(!JSON.stringify(spoken).includes("s3cr3t"));
    const expected = said.filter((log) => log !== null);
    assert.equal(spoken.length, expected.length);
    expected.forEach((log, index) => assert.ok((spoken[index]!.error ?? spoken[index]!.message).startsWith(log), log));
    assert.deepEqual(this.kept.splice(kept), step.messages.flatMap(({ kept }) => (kept === undefined ? [] : [kept])));
  }
}

for (const { name, steps, table } of VECTORS.vectors as { name: string; steps: Step[]; table: object[] }[]) {
  test(name, async () => {
    const world = new World();
    for (const [index, step] of steps.entries()) {
      await world.step(step, `request-${index + 1}`);
      assert.deepEqual(world.requests, world.expected);
      assert.deepEqual(world.faults, {});
    }
    const items = [...world.items].sort(([one], [other]) => Buffer.compare(Buffer.from(one), Buffer.from(other)));
    assert.deepEqual(items.map(([, item]) => item), table);
  });
}

/** Whether the body is an event, by what becomes of it. */
async function isEvent(body: string): Promise<boolean> {
  const table = new Table();
  const failed = await run(() => {}, table)({ Records: [{ messageId: "0", body }] });
  const [line] = log.splice(0);
  assert.ok(!JSON.stringify(line).includes("s3cr3t"));
  assert.equal(line!.error === "not an event", failed.length === 1);
  assert.equal(table.requests.length === 0, failed.length === 1);
  return failed.length === 0;
}

test("what is not an event fails without a call, and unquoted", async () => {
  for (const { what, body } of VECTORS.not_events) assert.ok(!(await isEvent(body)), what);
});

test("payloads", () => {
  for (const { what, body, payload } of VECTORS.payloads) {
    const event = read(body);
    if (payload !== undefined) assert.deepEqual(event.data.payload, JSON.parse(payload), what);
  }
});

test("the form of an event", async () => {
  const whole = {
    ...ENVELOPE, subject: "order/1", time: "2025-01-11T16:00:00Z", deliveryid: "1", traceparent: "00",
    data: {
      resource: { kind: "order", id: "1" }, amount: { value: "1", unit: "minor", currency: "USD" },
      customer: { id: "1" }, status: "paid", payload: {},
    },
  };
  let count = 0;
  async function every(form: object, path: string[]): Promise<void> {
    for (const [key, part] of Object.entries(form)) {
      if (key.startsWith("payload")) continue;
      const [name, optional] = [key.replace("?", ""), key.endsWith("?")];
      const texts = Array.isArray(part) ? part : ["none"];
      const cases = [[undefined, optional], [null, optional], [7, false], ["s3cr3t", texts.length === 0]];
      if (Array.isArray(part)) cases.push(...part.map((text: string) => [text, true]));
      for (const [value, expected] of cases) {
        const event = structuredClone(whole);
        path.reduce((of, name) => of[name], event)[name] = value;
        assert.equal(await isEvent(JSON.stringify(event)), expected, `${path} ${name} ${value}`);
        count++;
      }
      if (!Array.isArray(part)) await every(part, [...path, name]);
    }
  }
  await every(DESCRIPTION.event, []);
  assert.equal(count, 100);
});

test("every real message is handled once", async () => {
  const seen: Event[] = [];
  const consume = run((event) => void seen.push(event));
  assert.deepEqual([await consume(messages()), await consume(messages())], [[], []]);
  assert.equal(seen.length, messages().Records.length);
  assert.equal(new Set(seen.map(({ source, id }) => `${source} ${id}`)).size, seen.length);
  const { id, data } = seen.at(-1)!;
  assert.deepEqual([id, data.payload.note.length, "payload_gzip" in data], ["evt_large", 1_100_000, false]);
});

test("a state can have attributes of its own", async () => {
  const table = new Table();
  const attributes = { total: { S: "5500" }, sort_key: { S: "5500" } };
  const consume = run(async (event, state) => void (await state.keepLatest(event, attributes)), table);
  assert.deepEqual(await consume(batch("commerce.order.paid")), []);
  const state = [...table.items].find(([key]) => key.startsWith("latest "))![1];
  assert.deepEqual([state.total!.S, state.sort_key!.S === "5500"], ["5500", false]);
});

test("options", async () => {
  const table = new Table();
  const handler = consumer(() => {}, { table: "other", remember: 86_400.5, dynamodb: table, clock: () => 1_000_500 });
  await handler(batch("commerce.order.paid"), context());
  assert.deepEqual(table.requests.map(({ TableName, Item }) => [TableName, Item.expires_at!.N]), [["other", "87400"], ["other", "87400"]]);
});

test("what is not a day is not remembered", () => {
  for (const remember of [90, 86_399, 0, -1, NaN, Infinity, "5184000", null, true] as number[]) {
    assert.throws(() => consumer(() => {}, { remember }), /86_400/, String(remember));
  }
});

test("a handle that returns something fails", async () => {
  const handles = [function* () {}, async function* () {}, () => () => {}, async () => null, () => false];
  for (const handle of handles as any[]) {
    const table = new Table();
    assert.equal((await run(handle, table)(batch("commerce.order.paid"))).length, 1);
    assert.equal(log.pop()!.error, "handle failed: it must return nothing, or a promise of nothing");
    assert.equal(table.requests.length, 1);
  }
});

test("a handle that ends when it is not awaited any more is marked, unless another invocation has its lease", async () => {
  for (const other of [false, true]) {
    const table = new Table();
    let ends!: () => void;
    const handled = new Promise<void>((resolve) => (ends = resolve));
    const handler = consumer(() => handled, { table: "consumed", dynamodb: table });
    const of = batch("commerce.order.paid");
    assert.equal((await handler(of, context("first", DESCRIPTION.begin_margin_ms + 100))).batchItemFailures.length, 1);
    assert.match(log.pop()!.error!, /^no time left/);
    const [item] = table.items.values();
    if (other) item!.owner = { S: "another" };
    ends();
    await new Promise(setImmediate);
    assert.equal([...table.items.values()][0]!.lease_until === undefined, !other);
  }
});

test("only what looks like an error's name is logged", async () => {
  for (const name of ["s3cr3t text", "e".repeat(65), "Line\n", "", 7, undefined, "Throttling.Exception_2"]) {
    const error = Object.assign(new Error("s3cr3t"), { name });
    const expected = name === "Throttling.Exception_2" ? name : "Error";
    const consume = run(() => { throw error; });
    assert.equal((await consume(batch("commerce.order.paid"))).length, 1);
    assert.equal(log.pop()!.error, `handle failed: ${expected}`);
    assert.deepEqual(consume.errors, [error]);
    const handler = consumer(() => {}, { table: "consumed", dynamodb: { send: () => Promise.reject(error) } });
    assert.equal((await handler(batch("commerce.order.paid"), context())).batchItemFailures.length, 1);
    assert.equal(log.pop()!.error, `DynamoDB: ${expected}`);
  }
});

test("a table that does not answer takes less than the margin", async () => {
  const sockets: Socket[] = [];
  const server = createServer((socket) => void sockets.push(socket.on("error", () => {})));
  await new Promise<void>((listens) => server.listen(0, "127.0.0.1", listens));
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  Object.assign(process.env, { AWS_ENDPOINT_URL_DYNAMODB: endpoint, AWS_REGION: "us-east-1", AWS_ACCESS_KEY_ID: "local", AWS_SECRET_ACCESS_KEY: "local" });
  try {
    const began = performance.now();
    const answer = await consumer(() => {}, { table: "consumed" })(batch("commerce.order.paid"), context());
    assert.ok(performance.now() - began < DESCRIPTION.begin_margin_ms);
    assert.deepEqual([answer.batchItemFailures.length, log.pop()!.error], [1, "DynamoDB: TimeoutError"]);
  } finally {
    delete process.env.AWS_ENDPOINT_URL_DYNAMODB;
    for (const socket of sockets) socket.destroy();
    server.close();
  }
});

test("a number is no string, and no name of a member", async () => {
  const number = "12345678901234567890";
  const whole = JSON.stringify({ ...ENVELOPE, status: 1, data: { amount: { value: "1", unit: "minor" }, payload: {} } });
  assert.ok(await isEvent(whole));
  for (const [from, to] of [[`"${ENVELOPE.id}"`, number], [`"${ENVELOPE.source}"`, number], [`"value":"1"`, `"value":${number}`], [`"status"`, number], [`{}`, `{${number}:1}`]]) {
    assert.ok(whole.includes(from!));
    assert.ok(!(await isEvent(whole.replace(from!, to!))), to);
  }
});

test("an empty time is a time", () => {
  const event = { type: "commerce.order.paid", id: "1", receivedtime: "2025-01-11T16:00:01.250Z" };
  assert.equal(sortKey({ ...event, time: "" }), ".000000000Z 50 1");
  assert.equal(sortKey(event), "2025-01-11T16:00:01.250000000Z 50 1");
});

test("a replay of null is none", async () => {
  for (const messageAttributes of [null, { replay: null }, { replay: { stringValue: null } }] as any[]) {
    const table = new Table();
    const [record] = batch("commerce.order.paid").Records;
    assert.deepEqual(await run(() => {}, table)({ Records: [{ ...record!, messageAttributes }] }), []);
    assert.ok([...table.items.keys()].every((key) => key.startsWith("/webhooks/")));
  }
});

test("a retry can be tested", async () => {
  const table = new Table();
  let failing = true;
  const handle = () => {
    if (failing) throw new Error("once");
  };
  const boxed = batch("commerce.order.paid", { type: "commerce.order.boxed", replay: "june" });
  assert.equal(boxed.Records[0]!.messageAttributes!.type!.stringValue, "commerce.order.boxed");
  const consume = run(handle, table);
  assert.deepEqual(await consume(boxed), [boxed.Records[0]!.messageId]);
  assert.deepEqual(consume.errors, [new Error("once")]);
  failing = false;
  // Another one behind the same table.
  assert.deepEqual(await run(handle, table)(boxed), []);
  assert.ok([...table.items.keys()][0]!.startsWith("replay june /webhooks/"));
  assert.deepEqual([table.requests.length, new Set(table.requests.map(({ Item }) => Item.owner!.S)).size], [3, 2]);
});

test("a number with many zeros takes no time", () => {
  const digits = `1${"0".repeat(200_000)}1`;
  const began = performance.now();
  const body = JSON.stringify({ ...ENVELOPE, data: { payload: "P" } }).replace('"P"', `[${digits}]`);
  assert.deepEqual(read(body).data.payload, [digits]);
  assert.ok(performance.now() - began < 1_000);
});

test("a number that JavaScript does not hold is its digits", () => {
  const payload = (text: string) => read(JSON.stringify({ ...ENVELOPE, data: { payload: "P" } }).replace('"P"', () => text)).data.payload;
  for (const digits of ["29.990000000000001", "9007199254740993", "12345678901234567890", "1e400", "0.1e-400", "-1.00000000000000000001", "9".repeat(5_000)]) {
    assert.deepEqual(payload(`{"a":[${digits} ],"b":${digits}}`), { a: [digits], b: digits });
  }
  for (const digits of ["0", "-0", "5500", "49.90", "49.9", "1E3", "1e+3", "100e-2", "9007199254740992", "0.1", "1e21", "1.10e-7", "0.0"]) {
    assert.equal(payload(digits), Number(digits), digits);
  }
  // Not within strings, whatever they look like.
  const odd = JSON.stringify({ "29.990000000000001": 'a "29.990000000000001\\" \\\\', b: "1e400\\" });
  assert.deepEqual(payload(odd), JSON.parse(odd));
  const long = `{"note":"x\\"${"y".repeat(500_000)}","n":1e400}`;
  assert.equal(payload(long).n, "1e400");
});

test("without its table it ends and names it", async () => {
  delete process.env.CONSUMED_TABLE_NAME;
  const handler = consumer(() => {}, { dynamodb: new Table() });
  await assert.rejects(handler(messages(), context()), /CONSUMED_TABLE_NAME is not set/);
});

/** Every order of up to six of these; of more, as many, chosen by a fixed rule. */
function* orders<T>(events: T[]): Generator<T[]> {
  let all = 1;
  for (let left = 2; left <= events.length; left++) all *= left;
  for (let number = 0; number < Math.min(all, 720); number++) {
    // The number's digits, each to its own base, say which of the rest comes next.
    let digits = all > 720 ? (number * 2_654_435_761) % all : number;
    const rest = [...events];
    yield events.map(() => {
      const place = digits % rest.length;
      digits = Math.floor(digits / rest.length);
      return rest.splice(place, 1)[0]!;
    });
  }
}

test("stages and sort keys", () => {
  for (const [type, expected] of Object.entries(DESCRIPTION.stages)) assert.equal(stage(type), expected, type);
  assert.equal(stage("commerce.order.returned"), 0);
  for (const event of LIVES.flatMap(({ events }) => events)) assert.equal(sortKey(event), event.sort_key);
});

test("every permutation, as messages, ends in the same state", async (t) => {
  let permutations = 0;
  let expected = 0;
  for (const { name, latest, events } of LIVES) {
    const end = events.find(({ id }) => id === latest)!.sort_key;
    for (const order of orders(events.map((event) => JSON.stringify({ ...ENVELOPE, ...event })))) {
      permutations++;
      const table = new Table();
      const keep = run(async (event, state) => void (await state.keepLatest(event)), table);
      assert.deepEqual(await keep({ Records: order.map((body, index) => ({ messageId: String(index), body })) }), []);
      const [state] = [...table.items].filter(([key]) => key.startsWith("latest ")).map(([, item]) => item);
      assert.equal(state!.sort_key!.S, end, name);
    }
    expected += [1, 1, 2, 6, 24, 120, 720][Math.min(events.length, 6)]!;
  }
  assert.equal(permutations, expected);
  t.diagnostic(`${permutations} permutations`);
});

test("every permutation with a duplicate, by the sort keys alone, ends in the same state", (t) => {
  let sequences = 0;
  for (const { name, latest, events } of LIVES) {
    const end = events.find(({ id }) => id === latest)!.sort_key;
    for (const order of orders(events.map((event) => event.sort_key))) {
      for (const copy of order) {
        for (let place = 0; place <= order.length; place++) {
          assert.equal(order.toSpliced(place, 0, copy).reduce((held, key) => (held <= key ? key : held)), end, name);
          sequences++;
        }
      }
    }
  }
  t.diagnostic(`${sequences} with a duplicate`);
});
