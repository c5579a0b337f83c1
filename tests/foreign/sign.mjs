// Signs deliveries as a sender on Node does, with nothing of Hookgate's code: the verifier has to accept them all.
// The committed answer: node tests/foreign/sign.mjs > tests/foreign/node.json

import { createHmac } from "node:crypto";

const hmac = (hash, secret, text, encoding = "hex") => createHmac(hash, secret).update(text).digest(encoding);
const deliveries = [];

// `mode` is the value of the provider's setting, null where it is left at its default.
function deliver(name, provider, mode, secret, received, headers, body) {
  headers = { "content-type": "application/json", ...headers };
  deliveries.push({ name, provider, mode, secret, received, headers, body });
}

{
  const secret = "whsec_foreign_elective";
  const body = JSON.stringify({
    id: "evt_foreign_1",
    event: "order.paid",
    created_at: 1736611200,
    data: { orderId: "8f3e", total: 5500, currency: "USD", customer_id: "cust_123", note: "Zoë / 東京 🚚" },
  });
  const headers = { "x-e-commerce-signature": hmac("sha256", secret, body) };
  deliver("elective", "elective", null, secret, 1736611201, headers, body);
}

{
  // Longer than SHA-512's block of 128 bytes: HMAC hashes the key first.
  const secret = "foreign shoppex secret ".repeat(8).trim();
  const body = JSON.stringify({
    event: "order:paid",
    data: { uniqid: "inv_1", total: 49.99, currency: "USD", product_title: "Licença / Pro ✓" },
    created_at: 1773503999,
  });
  const id = "whd_abc123";
  const timestamp = 1773504000;
  const v1 = { "x-shoppex-event": "order:paid", "x-shoppex-delivery": id, "x-shoppex-signature": hmac("sha512", secret, body) };
  const v2 = {
    "x-shoppex-event": "order:paid",
    "x-shoppex-delivery": id,
    "x-shoppex-timestamp": String(timestamp),
    "x-shoppex-signature-v2": `v1,t=${timestamp},h=${hmac("sha256", secret, `${id}.${timestamp}.${body}`)}`,
  };
  deliver("shoppex, V1", "shoppex", null, secret, timestamp + 2, v1, body);
  deliver("shoppex, V1 and V2", "shoppex", null, secret, timestamp + 2, { ...v1, ...v2 }, body);
  deliver("shoppex, V2 required", "shoppex", "true", secret, timestamp + 2, v2, body);

  // The signed text that Shoppex publishes: whd_abc123.1773504000.{"event":"order:paid","data":{"uniqid":"inv_1"}}
  const published = '{"event":"order:paid","data":{"uniqid":"inv_1"}}';
  const tag = hmac("sha256", secret, `${id}.${timestamp}.${published}`);
  const headers = { ...v2, "x-shoppex-signature-v2": `v1,t=${timestamp},h=${tag}` };
  deliver("shoppex, V2 over the published text", "shoppex", "true", secret, timestamp, headers, published);
}

{
  const secret = "foreign etaildepot secret";
  // Spaces and line breaks are signed as they are.
  const body = JSON.stringify({
    id: "evt_foreign_2",
    type: "payment.succeeded",
    created: 1640995200,
    data: { object: { id: "pay_1", amount: 10000, currency: "EUR", customer: { id: "cust_1", name: "Müller & Söhne" } } },
  }, null, 2) + "\n";
  deliver("etaildepot", "etaildepot", null, secret, 1640995201, { "etail-signature": hmac("sha256", secret, body) }, body);
}

for (const encoding of ["hex", "base64"]) {
  const secret = "foreign w3block signature key";
  const body = JSON.stringify({
    data: { id: "8e29703b-3706-466a-ba14-cd12749c9dcc", status: "concluded", currencyAmount: "1.20", note: "São Paulo / R$" },
    event: "order.concluded",
    timestamp: 1666202281733,
  });
  const headers = { "x-w3block-commerce-signature": hmac("sha256", secret, body, encoding) };
  deliver(`w3block, ${encoding}`, "w3block", null, secret, 1666202282, headers, body);
}

process.stdout.write(JSON.stringify(deliveries, null, 2) + "\n");
