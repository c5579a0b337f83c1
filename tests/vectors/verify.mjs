// docs/contract/vectors.json against Node's crypto: node tests/vectors/verify.mjs. Reads how each platform signs from the same
// file; nothing here knows a platform.

import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import { readFileSync } from "node:fs";

const MAX_SIGNATURES = 8;
const LENGTHS = { sha256: 32, sha512: 64 };

class Rejected extends Error {}
const reject = (reason) => { throw new Rejected(reason); };

// The header's one value; undefined where there is none.
function header(delivery, name) {
  const values = delivery.headers.filter(([known]) => known === name).map(([, value]) => value);
  if (values.length > 1) reject("signature_repeated");
  if (values[0] !== undefined && !/^[\t\x20-\x7e]*$/.test(values[0])) reject("signature_malformed");
  return values[0];
}

// The one top-level member of this name, a string without escapes: its value, and the body before and behind what is cut out.
function member(body, name, emptied) {
  const token = /"(?:[^"\\]|\\.)*"|[{}[\],:]/gs;
  let [depth, comma, nameIsNext, found] = [0, undefined, false, undefined];
  for (let match; (match = token.exec(body)); ) {
    const text = match[0];
    if (text === "{" || text === "[") nameIsNext = ++depth === 1 && text === "{";
    else if (text === "}" || text === "]") depth--;
    else if (text === "," && depth === 1) [comma, nameIsNext] = [match.index, true];
    else if (text[0] === '"' && depth === 1 && nameIsNext) {
      nameIsNext = false;
      if (text !== `"${name}"`) continue;
      if (found) reject("signature_repeated");
      const value = /^\s*:\s*"([^"\\]*)"/.exec(body.slice(token.lastIndex));
      if (!value) reject("signature_malformed");
      const end = token.lastIndex + value[0].length;
      const behind = /^\s*,\s*/.exec(body.slice(end));
      const cut = comma !== undefined ? [comma, end] : [match.index, end + (behind ? behind[0].length : 0)];
      const [from, to] = emptied ? [end - 1 - value[1].length, end - 1] : cut;
      found = { written: value[1], signed: body.slice(0, from) + body.slice(to) };
      token.lastIndex = end;
    }
  }
  return found;
}

// What stands in the signature's place: its signatures, and the time in it.
function read(form, written) {
  if (form.prefix !== undefined) {
    if (!written.startsWith(form.prefix)) reject("signature_malformed");
    return { signatures: [written.slice(form.prefix.length)], time: "" };
  }
  const fields = written.split(form.separator);
  const split = (field) => {
    const at = field?.indexOf(form.assign) ?? -1;
    return at < 0 ? reject("signature_malformed") : [field.slice(0, at), field.slice(at + 1)];
  };
  if (form.marker !== "" && fields.shift() !== form.marker) reject("signature_malformed");
  let time = "";
  if (form.time !== "") {
    const [name, value] = split(fields.shift());
    if (name !== form.time) reject("signature_malformed");
    time = value;
  }
  const signatures = [];
  for (const [name, value] of fields.map(split)) {
    if (name === form.signature && (form.several || signatures.length === 0)) signatures.push(value);
    else if (!form.ignored.includes(name)) reject("signature_malformed");
  }
  if (signatures.length === 0) reject("signature_malformed");
  return { signatures, time };
}

function decode({ encoding, hash }, text) {
  const length = LENGTHS[hash];
  if (encoding !== "base64" && text.length === 2 * length && /^[0-9a-fA-F]*$/.test(text)) {
    if (encoding === "lower_hex" && /[A-F]/.test(text)) reject("signature_malformed");
    return Buffer.from(text, "hex");
  }
  const bytes = Buffer.from(text, "base64");
  const canonical = bytes.length === length && bytes.toString("base64") === text;
  return canonical && encoding.includes("base64") ? bytes : reject("signature_malformed");
}

function key({ key }, secret) {
  if (key === "text") return Buffer.from(secret);
  const text = secret.startsWith(key.base64_behind) ? secret.slice(key.base64_behind.length) : "";
  const bytes = Buffer.from(text, "base64");
  return bytes.length > 0 && bytes.toString("base64") === text ? bytes : undefined;
}

function verify(scheme, delivery) {
  let [written, body] = [undefined, delivery.body];
  if (scheme.place.header) written = header(delivery, scheme.place.header);
  else {
    const found = member(body, scheme.place.member, scheme.signed.includes("body_with_empty_signature"));
    [written, body] = [found?.written, found?.signed];
  }
  if (written === undefined) return undefined;
  const required = (name) => header(delivery, name) ?? reject("signature_malformed");
  const idHeader = scheme.signed.find((piece) => piece.header)?.header;
  const id = idHeader && required(idHeader);
  const timeHeader = scheme.time?.header;
  const timeInHeader = timeHeader && required(timeHeader);
  const form = read(scheme.form, written);
  const signatures = form.signatures.map((text) => decode(scheme, text));
  if (signatures.length > MAX_SIGNATURES) reject("signature_malformed");
  if (id !== undefined && !/^[A-Za-z0-9_-]{1,128}$/.test(id)) reject("signature_malformed");
  const time = timeInHeader ?? form.time;
  if (scheme.time && (!/^[0-9]+$/.test(time) || (scheme.form.time && form.time !== time))) reject("signature_malformed");

  const pieces = scheme.signed.map((piece) => piece.text ?? (piece.header ? id : piece === "time" ? time : body));
  const position = delivery.secrets.findIndex((secret) => {
    const bytes = key(scheme, secret);
    const mac = bytes && createHmac(scheme.hash, bytes).update(pieces.join("")).digest();
    return mac && signatures.some((signature) => timingSafeEqual(mac, signature));
  });
  if (position < 0) reject("signature_mismatch");
  if (scheme.time && Math.abs(delivery.received - Number(time)) > scheme.time.tolerance) reject("timestamp_expired");
  return { scheme: scheme.name, secret: position, id, body };
}

const sha256 = (text) => createHash("sha256").update(text).digest("hex");
const at = (value, path) => path.split(".").reduce((inner, name) => inner?.[name], value);
const isMissing = (value) => value === undefined || value === null || value === "";

// The idempotency key.
function identity(platform, delivery, { id, body }) {
  const name = platform.unsigned_name && header(delivery, platform.unsigned_name);
  const content = name ? sha256(JSON.stringify([name, sha256(body)])) : sha256(body);
  const event = JSON.parse(delivery.body);
  if (platform.identity === "signed_header") return id;
  if (platform.identity.id) return isMissing(at(event, platform.identity.id)) ? content : at(event, platform.identity.id);
  if (platform.identity.together) {
    const values = platform.identity.together.map((path) => at(event, path));
    // Of each value its JSON text, as it stands in the body.
    return values.some(isMissing) ? content : sha256(JSON.stringify(values));
  }
  return content;
}

function judge(platforms, delivery) {
  const platform = platforms.find(({ name }) => name === delivery.platform);
  try {
    if (delivery.headers.some(([name]) => platform.not_a_webhook.includes(name))) reject("not_a_webhook");
    const names = platform.modes.find(({ value }) => value === delivery.mode).schemes;
    for (const scheme of names.map((name) => platform.schemes.find((scheme) => scheme.name === name))) {
      const verified = verify(scheme, delivery);
      if (verified) {
        return { accepted: { scheme: verified.scheme, secret: verified.secret, key: identity(platform, delivery, verified) } };
      }
    }
    return { rejected: "signature_missing" };
  } catch (error) {
    if (error instanceof Rejected) return { rejected: error.message };
    throw error;
  }
}

const { platforms, deliveries } = JSON.parse(readFileSync(new URL("../../docs/contract/vectors.json", import.meta.url)));
const sorted = (verdict) => JSON.stringify(verdict, ["accepted", "rejected", "key", "scheme", "secret"]);
let wrong = 0;
for (const delivery of deliveries) {
  const [said, right] = [judge(platforms, delivery), delivery.verdict].map(sorted);
  if (said !== right) {
    wrong++;
    console.log(`${delivery.platform} ${delivery.mode}, ${delivery.what}: ${said} instead of ${right}`);
  }
}
console.log(`Node ${process.version}: ${deliveries.length} deliveries of ${platforms.length} platforms, ${wrong} wrong`);
process.exit(wrong > 0 || deliveries.length === 0 ? 1 : 0);
