// Hookgate beside the vendors' own libraries: 1,000 deliveries for each platform, half of them changed, go to both. Where
// Hookgate takes what the vendor refuses, this fails. Where it refuses what the vendor takes, the reason has to stand as a
// row in the table "Stricter than its own library" of the platform's page, and every row has to have come up.
//
//   node vendors.mjs JUDGE [PLATFORM…]     JUDGE is the example `judge` of hookgate-verify

import { spawnSync } from "node:child_process";
import { createHmac, timingSafeEqual } from "node:crypto";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { mock } from "node:test";

import { Paddle } from "@paddle/paddle-node-sdk";
import "@shopify/shopify-api/adapters/node";
import { ApiVersion, LogSeverity, shopifyApi } from "@shopify/shopify-api";
import { Webhook as Standard } from "standardwebhooks";
import Stripe from "stripe";
import { Webhook as Svix } from "svix";

const COUNT = 1000;
const NOW = 1_800_000_000;
const project = new URL("../../", import.meta.url);
const [judge, ...only] = process.argv.slice(2);

// mulberry32: the same numbers everywhere, from a fixed seed.
let state = 16;
function random(below) {
  state = (state + 0x6d2b79f5) | 0;
  let t = Math.imul(state ^ (state >>> 15), 1 | state);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) % below;
}
const pick = (list) => list[random(list.length)];
const hmac = (hash, secret, text, encoding) => createHmac(hash, secret).update(text).digest(encoding);

const stripe = new Stripe("sk_test_none");
const paddle = new Paddle("none");
const shopify = (secret) => shopifyApi({
  apiKey: "none", apiSecretKey: secret, hostName: "example.com", isEmbeddedApp: false,
  apiVersion: Object.values(ApiVersion).at(-1), logger: { level: LogSeverity.Error, log: () => {} },
});

// For each platform: how it signs, and who decides. `sign` gives the headers; `verify` gets them as Node does, each name once.
const alone = (header, hash, encoding) => ({
  header, encoding,
  sign: ({ secret, body }) => ({ [header]: hmac(hash, secret, body, encoding) }),
});
const standardWebhooks = (names, Library) => ({
  header: `${names}-signature`, time: `${names}-timestamp`, id: `${names}-id`, encoding: "base64", tolerance: 300,
  secret: () => `whsec_${Buffer.from(Array.from({ length: 24 }, () => random(256))).toString("base64")}`,
  form: { separator: " ", assign: ",", signature: "v1", ignored: "v1a" },
  sign: ({ secret, body, time }) => {
    const id = `msg_${random(2 ** 32).toString(36)}`;
    const signature = new Library(secret).sign(id, new Date(time * 1000), body.toString());
    return { [`${names}-id`]: id, [`${names}-timestamp`]: String(time), [`${names}-signature`]: signature };
  },
  verify: ({ secret, body, headers }) => { new Library(secret).verify(body.toString(), headers); return true; },
});
const VENDORS = {
  lemonsqueezy: {
    ...alone("x-signature", "sha256", "hex"),
    // The documented recipe.
    verify: ({ secret, body, headers }) => {
      const digest = Buffer.from(hmac("sha256", secret, body, "hex"), "utf8");
      return timingSafeEqual(digest, Buffer.from(headers["x-signature"] ?? "", "utf8"));
    },
  },
  paddle: {
    header: "paddle-signature", encoding: "hex", tolerance: 5,
    form: { separator: ";", assign: "=", time: "ts", signature: "h1", ignored: "h2" },
    // The library does not sign.
    sign: ({ secret, body, time }) =>
      ({ "paddle-signature": `ts=${time};h1=${hmac("sha256", secret, `${time}:${body}`, "hex")}` }),
    // "At least one h1", says the documentation. This library reads the last of several, the vendor's Python library tries
    // each: so does this, with this library.
    verify: async ({ secret, body, headers }) => {
      const fields = headers["paddle-signature"].split(";");
      const several = fields.filter((field) => field.startsWith("h1="));
      const headerWith = (one) => fields.filter((field) => field === one || !several.includes(field)).join(";");
      for (const one of several.length > 0 ? several : [""]) {
        if (await paddle.webhooks.isSignatureValid(body.toString(), secret, headerWith(one))) return true;
      }
      return false;
    },
  },
  paystack: {
    ...alone("x-paystack-signature", "sha512", "hex"),
    // The documented recipe, over the raw body.
    verify: ({ secret, body, headers }) => hmac("sha512", secret, body, "hex") === headers["x-paystack-signature"],
  },
  shopify: {
    ...alone("x-shopify-hmac-sha256", "sha256", "base64"),
    more: {
      "x-shopify-topic": "orders/paid", "x-shopify-shop-domain": "example.myshopify.com", "x-shopify-api-version": "2026-01",
      "x-shopify-webhook-id": "b54557e4-0000-4000-8000-000000000001", "x-shopify-event-id": "98880550-0000-4000-8000-000000000001",
    },
    verify: async ({ secret, body, headers }) =>
      (await shopify(secret).webhooks.validate({ rawBody: body.toString(), rawRequest: { headers }, rawResponse: {} })).valid,
  },
  standard: standardWebhooks("webhook", Standard),
  "standard, the svix names": standardWebhooks("svix", Svix),
  stripe: {
    header: "stripe-signature", encoding: "hex", tolerance: 300,
    form: { separator: ",", assign: "=", time: "t", signature: "v1", ignored: "v0" },
    sign: ({ secret, body, time }) =>
      ({ "stripe-signature": stripe.webhooks.generateTestHeaderString({ payload: body.toString(), secret, timestamp: time }) }),
    verify: ({ secret, body, headers, received }) =>
      stripe.webhooks.signature.verifyHeader(body, headers["stripe-signature"], secret, 300, undefined, received * 1000),
  },
  woocommerce: {
    ...alone("x-wc-webhook-signature", "sha256", "base64"),
    more: { "x-wc-webhook-topic": "order.created" },
    // The documented recipe.
    verify: ({ secret, body, headers }) => hmac("sha256", secret, body, "base64") === headers["x-wc-webhook-signature"],
  },
};

// Changes. Each gets a signed delivery and its vendor, changes the delivery and gives the reason's name; undefined where it
// does not apply. `headers` is a list, since a name can be there twice.
const value = (delivery, name, change) => {
  const header = delivery.headers.find(([known]) => known === name);
  header[1] = change(header[1]);
};
const signature = (delivery, vendor, change) => value(delivery, vendor.header, change);
// The signatures in a header, and what is around them.
const signatures = (vendor, text, change) => vendor.form
  ? text.split(vendor.form.separator).map((field) => {
    const [name, rest] = [field.slice(0, field.indexOf(vendor.form.assign)), field.slice(field.indexOf(vendor.form.assign) + 1)];
    return name === vendor.form.signature ? name + vendor.form.assign + change(rest) : field;
  }).join(vendor.form.separator)
  : change(text);
const spell = (vendor, change) => (delivery) => signature(delivery, vendor, (text) => signatures(vendor, text, change));
const bytes = (vendor, text) => Buffer.from(text, vendor.encoding);
const flip = (text) => {
  for (;;) {
    const at = random(text.length);
    const code = text.charCodeAt(at) ^ (1 << random(7));
    if (code > 0x20 && code < 0x7f) return text.slice(0, at) + String.fromCharCode(code) + text.slice(at + 1);
  }
};
// Signs once more, with the time written otherwise than the digits that were signed.
const respell = (delivery, vendor, write) => {
  if (!vendor.tolerance) return false;
  if (vendor.time) value(delivery, vendor.time, write);
  else signature(delivery, vendor, (text) => text.replace(/=(\d+)/, (_, digits) => `=${write(digits)}`));
  return true;
};
const CHANGES = [
  ["a bit of the body", (delivery) => {
    const at = random(delivery.body.length);
    delivery.body[at] ^= 1 << random(8);
  }],
  ["a bit of the signature's header", (delivery, vendor) => signature(delivery, vendor, flip)],
  ["a bit of the id", (delivery, vendor) => vendor.id ? value(delivery, vendor.id, flip) : false],
  ["too old", (delivery, vendor) => vendor.tolerance ? void (delivery.received = delivery.time + vendor.tolerance + 1 + random(1000)) : false],
  ["as old as allowed", (delivery, vendor) => vendor.tolerance ? void (delivery.received = delivery.time + vendor.tolerance) : false],
  ["a time in the future, past the tolerance", (delivery, vendor) =>
    vendor.tolerance ? void (delivery.received = delivery.time - vendor.tolerance - 1 - random(1000)) : false],
  ["as far ahead as allowed", (delivery, vendor) => vendor.tolerance ? void (delivery.received = delivery.time - vendor.tolerance) : false],
  ["another time than the signed one", (delivery, vendor) => respell(delivery, vendor, (time) => String(Number(time) + 1))],
  ["a time with a leading zero", (delivery, vendor) => respell(delivery, vendor, (time) => `0${time}`)],
  ["a time with a plus sign", (delivery, vendor) => respell(delivery, vendor, (time) => `+${time}`)],
  ["a time with a fraction", (delivery, vendor) => respell(delivery, vendor, (time) => `${time}.5`)],
  ["text behind the time", (delivery, vendor) => respell(delivery, vendor, (time) => `${time}s`)],
  ["the header twice", (delivery, vendor) => {
    delivery.headers.push([vendor.header, delivery.headers.find(([name]) => name === vendor.header)[1]]);
  }],
  ["the header twice, the first one wrong", (delivery, vendor) => {
    const right = delivery.headers.find(([name]) => name === vendor.header)[1];
    delivery.headers.unshift([vendor.header, signatures(vendor, right, (text) => text.replace(/./g, "0"))]);
  }],
  ["a second signature behind the right one", (delivery, vendor) => second(delivery, vendor, (right, wrong) => [right, wrong])],
  ["a second signature before the right one", (delivery, vendor) => second(delivery, vendor, (right, wrong) => [wrong, right])],
  ["more than eight signatures", (delivery, vendor) => second(delivery, vendor, (right, wrong) => [...Array(8).fill(wrong), right])],
  ["a malformed signature beside the right one", (delivery, vendor) => second(delivery, vendor, (right, wrong) => [right, wrong.slice(2)])],
  ["a signature of another version beside it", (delivery, vendor) => vendor.form
    ? signature(delivery, vendor, (text) => `${text}${vendor.form.separator}${vendor.form.ignored}${vendor.form.assign}${"0".repeat(64)}`) : false],
  ["a field that is not documented", (delivery, vendor) => vendor.form
    ? signature(delivery, vendor, (text) => `${text}${vendor.form.separator}x9${vendor.form.assign}1`) : false],
  ["the fields in another order", (delivery, vendor) => vendor.form?.time
    ? signature(delivery, vendor, (text) => text.split(vendor.form.separator).reverse().join(vendor.form.separator)) : false],
  ["the time twice", (delivery, vendor) => vendor.form?.time
    ? signature(delivery, vendor, (text) => `${text.split(vendor.form.separator)[0]}${vendor.form.separator}${text}`) : false],
  ["an empty field at the end", (delivery, vendor) => vendor.form
    ? signature(delivery, vendor, (text) => text + vendor.form.separator) : false],
  ["white space before the header's value", (delivery, vendor) => signature(delivery, vendor, (text) => ` ${text}`)],
  ["white space behind the header's value", (delivery, vendor) => signature(delivery, vendor, (text) => `${text} `)],
  ["white space between the fields", (delivery, vendor) => vendor.form && vendor.form.separator !== " "
    ? signature(delivery, vendor, (text) => text.replace(vendor.form.separator, `${vendor.form.separator} `)) : false],
  ["white space behind the body", (delivery) => { delivery.body = Buffer.concat([delivery.body, Buffer.from("\n")]); }],
  ["a byte order mark before the body", (delivery) => { delivery.body = Buffer.concat([Buffer.from("\ufeff"), delivery.body]); }],
  ["the body written again", (delivery) => {
    const again = JSON.stringify(JSON.parse(delivery.body), null, 1);
    delivery.body = Buffer.from(again === delivery.body.toString() ? `${again} ` : again);
  }],
  ["upper-case hex", (delivery, vendor) => vendor.encoding === "hex" ? spell(vendor, (text) => text.toUpperCase())(delivery) : false],
  ["base64 for hex", (delivery, vendor) => vendor.encoding === "hex"
    ? spell(vendor, (text) => bytes(vendor, text).toString("base64"))(delivery) : false],
  ["hex for base64", (delivery, vendor) => vendor.encoding === "base64"
    ? spell(vendor, (text) => bytes(vendor, text).toString("hex"))(delivery) : false],
  ["base64 of the URL alphabet", (delivery, vendor) => vendor.encoding === "base64"
    ? spell(vendor, (text) => text.replaceAll("+", "-").replaceAll("/", "_"))(delivery) : false],
  ["base64 without its padding", (delivery, vendor) => vendor.encoding === "base64"
    ? spell(vendor, (text) => text.replaceAll("=", ""))(delivery) : false],
  ["base64 with stray bits", (delivery, vendor) => vendor.encoding === "base64"
    ? spell(vendor, (text) => text.replace(/(.)=$/, (_, last) => `${String.fromCharCode(last.charCodeAt(0) + 1)}=`))(delivery) : false],
  ["a signature cut short", (delivery, vendor) => spell(vendor, (text) => text.slice(0, 32))(delivery)],
  ["no signature", (delivery, vendor) => spell(vendor, () => "")(delivery)],
  ["no header", (delivery, vendor) => { delivery.headers = delivery.headers.filter(([name]) => name !== vendor.header); }],
  ["an id with a dot, signed so", (delivery, vendor) => vendor.id ? signedOver(delivery, vendor, (id) => `${id}.x`) : false],
  ["an id of more than 128 characters, signed so", (delivery, vendor) => vendor.id ? signedOver(delivery, vendor, (id) => id.padEnd(129, "x")) : false],
  ["another secret", (delivery) => { delivery.secret = pick([delivery.secret.replace(/.$/, "A"), delivery.secret.replace(/\w(?==*$)/, "Q")]); }],
];
function second(delivery, vendor, arrange) {
  if (!vendor.form) {
    signature(delivery, vendor, (text) => arrange(text, text.replace(/./g, "0")).join(","));
    return true;
  }
  const wrong = vendor.encoding === "hex" ? "0".repeat(64) : Buffer.alloc(32).toString("base64");
  signature(delivery, vendor, (text) => signatures(vendor, text, (right) =>
    arrange(right, wrong).join(vendor.form.separator + vendor.form.signature + vendor.form.assign)));
  return true;
}
// Standard Webhooks: with another id, and the signature that belongs to it.
function signedOver(delivery, vendor, change) {
  value(delivery, vendor.id, change);
  const id = delivery.headers.find(([name]) => name === vendor.id)[1];
  const key = Buffer.from(delivery.secret.slice("whsec_".length), "base64");
  signature(delivery, vendor, () => `v1,${hmac("sha256", key, `${id}.${delivery.time}.${delivery.body}`, "base64")}`);
}

// Bodies: the samples of all platforms, with a note in several alphabets.
const events = new URL("events/", project);
const samples = readdirSync(events, { withFileTypes: true }).filter((entry) => entry.isDirectory()).flatMap(({ name }) => {
  const folder = new URL(`${name}/`, events);
  return readdirSync(folder).map((file) => JSON.parse(readFileSync(new URL(file, folder)))).filter((sample) => sample.body.startsWith("{"));
}).map((sample) => sample.body);
const body = () => {
  const object = JSON.parse(pick(samples));
  object.note = Array.from({ length: random(20) }, () => pick(["a", "\"", "\\", "é", "東", "🚚", "/", " ", "\u0000"])).join("");
  return Buffer.from(JSON.stringify(object, null, pick([0, 0, 2])));
};
const secret = () => `secret_${Array.from({ length: 8 }, () => random(2 ** 32).toString(36)).join("")}`;

async function deliveries(vendor) {
  const all = [];
  const list = CHANGES.slice();
  for (let number = 0; number < COUNT; number++) {
    const time = NOW + random(1_000_000);
    const delivery = { secret: (vendor.secret ?? secret)(), body: body(), time, received: time + random(3) };
    delivery.headers = [...Object.entries(vendor.more ?? {}), ...Object.entries(await vendor.sign(delivery))];
    delivery.change = "none";
    while (number % 2 === 1) {
      // Each in turn, so that none is left out.
      const [reason, change] = list[(number >> 1) % list.length];
      if (change(delivery, vendor) !== false) { delivery.change = reason; break; }
      list.splice((number >> 1) % list.length, 1);
    }
    all.push(delivery);
  }
  return all;
}

// As Node's `http` gives them: what is there twice is joined.
const joined = (headers) => headers.reduce((map, [name, text]) => ({ ...map, [name]: name in map ? `${map[name]}, ${text}` : text }), {});
async function ask(vendor, delivery) {
  mock.timers.setTime(delivery.received * 1000);
  try {
    return Boolean(await vendor.verify({ ...delivery, headers: joined(delivery.headers) }));
  } catch {
    return false;
  }
}

// The first column of the table, on the platform's page.
function rows(platform) {
  const page = new URL(`docs/providers/${platform}.md`, project);
  const section = existsSync(page) && readFileSync(page, "utf8").split("## Stricter than its own library\n")[1];
  if (!section) return new Set();
  return new Set([...section.split("\n## ")[0].matchAll(/^\| (.*?) \|/gm)].map(([, cell]) => cell).slice(1));
}

mock.timers.enable({ apis: ["Date"] });
let failed = false;
const seen = {};
for (const [name, vendor] of Object.entries(VENDORS)) {
  const platform = name.split(",")[0];
  if (only.length > 0 && !only.includes(platform)) continue;
  const all = await deliveries(vendor);
  const lines = all.map(({ secret, headers, body, received }) =>
    JSON.stringify({ platform, secrets: [secret], headers, body: body.toString("base64"), received }));
  const { status, stdout, stderr } = spawnSync(judge, { input: lines.join("\n") + "\n", encoding: "utf8", maxBuffer: 2 ** 28 });
  if (status !== 0) throw new Error(`${name}: the judge failed: ${stderr}`);
  const verdicts = stdout.trim().split("\n").map((line) => JSON.parse(line));
  const counts = { both: 0, neither: 0, theirs: {}, ours: {} };
  for (const [index, delivery] of all.entries()) {
    const ours = verdicts[index].verdict === "accepted";
    const theirs = await ask(vendor, delivery);
    if (ours && theirs) counts.both++;
    else if (!ours && !theirs) counts.neither++;
    else {
      const group = ours ? counts.ours : counts.theirs;
      group[delivery.change] = (group[delivery.change] ?? 0) + 1;
    }
    if (delivery.change === "none" && !(ours && theirs)) {
      console.log(`${name}: an untouched delivery: Hookgate ${JSON.stringify(verdicts[index])}, the vendor ${theirs}`);
      failed = true;
    }
  }
  const sum = (group) => Object.values(group).reduce((total, count) => total + count, 0);
  console.log(`${name}: ${all.length} deliveries, both take ${counts.both}, both refuse ${counts.neither}, only the vendor takes ${sum(counts.theirs)}, only Hookgate takes ${sum(counts.ours)}`);
  for (const [reason, count] of Object.entries(counts.ours)) {
    console.log(`  only Hookgate takes: ${reason} (${count})`);
    failed = true;
  }
  const known = rows(platform);
  for (const [reason, count] of Object.entries(counts.theirs)) {
    console.log(`  only the vendor takes: ${reason} (${count})`);
    if (!known.has(reason)) {
      console.log(`    no row for it in docs/providers/${platform}.md`);
      failed = true;
    }
  }
  seen[platform] = new Set([...(seen[platform] ?? []), ...Object.keys(counts.theirs)]);
}
for (const [platform, reasons] of Object.entries(seen)) {
  for (const row of rows(platform)) {
    if (!reasons.has(row)) {
      console.log(`${platform}: the page has a row that did not come up: ${row}`);
      failed = true;
    }
  }
}
process.exit(failed ? 1 : 0);
