// `npm test`: on real messages and a table in memory, with neither network nor AWS.

import { batch, messages, run, Table } from "hookgate-consumer/testing";
import { beforeEach, expect, test, vi } from "vitest";
import { handle } from "../src/app.js";

let log: string[] = [];
beforeEach(() => {
  log = [];
  vi.spyOn(console, "log").mockImplementation((line: string) => void log.push(line));
});

function handled() {
  return log.map((line) => JSON.parse(line)).filter(({ message }) => message === "handle");
}

test("every real message is handled once", async () => {
  const consume = run(handle);
  expect(await consume(messages())).toEqual([]);
  expect(await consume(messages())).toEqual([]);
  expect(handled()).toHaveLength(messages().Records.length);
});

test("a paid order is fulfilled and has a state", async () => {
  const table = new Table();
  expect(await run(handle, table)(batch("commerce.order.paid"))).toEqual([]);
  const [{ to_do, latest, source, subject }] = handled();
  expect([to_do, latest]).toEqual(["fulfil", true]);
  expect(table.items.get(`latest ${source} ${subject}`)?.type).toEqual({ S: "commerce.order.paid" });
});

test("no payload is logged", async () => {
  await run(handle)(messages());
  expect(log.join()).not.toMatch(/payload|@/);
});
