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

{
  const secret = "foreign shopify client secret";
  const body = JSON.stringify({ id: 820982911946154508n.toString(), total_price: "49.90", currency: "EUR", note: "Zoë / 東京" });
  const headers = { "X-Shopify-Hmac-Sha256": hmac("sha256", secret, body, "base64"), "X-Shopify-Topic": "orders/paid" };
  deliver("shopify", "shopify", null, secret, 1773504000, headers, body);
}

for (const family of ["webhook", "svix"]) {
  const key = Buffer.from("foreign standard key");
  const body = JSON.stringify({ type: "order.paid", timestamp: "2026-03-14T16:00:00Z", data: { id: "ord_1", note: "Zoë / 東京" } });
  const [id, timestamp] = ["msg_foreign_1", 1773504000];
  const signature = hmac("sha256", key, `${id}.${timestamp}.${body}`, "base64");
  const headers = {
    [`${family}-id`]: id,
    [`${family}-timestamp`]: String(timestamp),
    [`${family}-signature`]: `v1,${hmac("sha256", "another key", body, "base64")} v1a,c2lnbmVk v1,${signature}`,
  };
  deliver(`standard, ${family}-*`, "standard", null, `whsec_${key.toString("base64")}`, timestamp, headers, body);
}

{
  const secret = "whsec_foreign_stripe";
  const body = JSON.stringify({ id: "evt_1", type: "charge.succeeded", created: 1773504000, data: { object: { id: "ch_1", amount: 100 } } });
  const timestamp = 1773504000;
  const v1 = hmac("sha256", secret, `${timestamp}.${body}`);
  const headers = { "stripe-signature": `t=${timestamp},v1=${v1},v0=00` };
  deliver("stripe", "stripe", null, secret, timestamp, headers, body);
}

{
  const secret = "sk_test_foreign_paystack";
  const body = JSON.stringify({ event: "charge.success", data: { id: 302961, amount: 10000, currency: "NGN" } });
  deliver("paystack", "paystack", null, secret, 1773504000, { "x-paystack-signature": hmac("sha512", secret, body) }, body);
}

process.stdout.write(JSON.stringify(deliveries, null, 2) + "\n");
