"""docs/contract/vectors.json against Python's hmac: python3 tests/vectors/verify.py. Reads how each platform signs from the same
file; nothing here knows a platform."""

import base64
import binascii
import hashlib
import hmac
import json
import pathlib
import platform as python
import re
import sys

MAX_SIGNATURES = 8
LENGTHS = {"sha256": 32, "sha512": 64}


class Rejected(Exception):
    pass


def header(delivery, name):
    """The header's one value; None where there is none."""
    values = [value for known, value in delivery["headers"] if known == name]
    if len(values) > 1:
        raise Rejected("signature_repeated")
    if values and not re.fullmatch(r"[\t\x20-\x7e]*", values[0]):
        raise Rejected("signature_malformed")
    return values[0] if values else None


def member(body, name, emptied):
    """The one top-level member of this name, a string without escapes: its value, and the body without what is cut out."""
    depth, comma, name_is_next, found, end = 0, None, False, None, 0
    for match in re.finditer(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]', body, re.DOTALL):
        text = match[0]
        if match.start() < end:
            continue
        if text in "{[":
            depth += 1
            name_is_next = depth == 1 and text == "{"
        elif text in "}]":
            depth -= 1
        elif text == "," and depth == 1:
            comma, name_is_next = match.start(), True
        elif text[0] == '"' and depth == 1 and name_is_next:
            name_is_next = False
            if text != f'"{name}"':
                continue
            if found:
                raise Rejected("signature_repeated")
            value = re.compile(r'\s*:\s*"([^"\\]*)"').match(body, match.end())
            if not value:
                raise Rejected("signature_malformed")
            end = value.end()
            behind = re.compile(r"\s*,\s*").match(body, end)
            cut = (comma, end) if comma is not None else (match.start(), behind.end() if behind else end)
            start, stop = value.span(1) if emptied else cut
            found = value[1], body[:start] + body[stop:]
    return found


def read(form, written):
    """What stands in the signature's place: its signatures, and the time in it."""
    if "prefix" in form:
        if not written.startswith(form["prefix"]):
            raise Rejected("signature_malformed")
        return [written[len(form["prefix"]) :]], ""
    fields = written.split(form["separator"])
    if form["marker"] and fields.pop(0) != form["marker"]:
        raise Rejected("signature_malformed")
    if not all(form["assign"] in field for field in fields):
        raise Rejected("signature_malformed")
    fields = [field.split(form["assign"], 1) for field in fields]
    time = ""
    if form["time"]:
        if not fields or fields[0][0] != form["time"]:
            raise Rejected("signature_malformed")
        time = fields.pop(0)[1]
    signatures = []
    for name, value in fields:
        if name == form["signature"] and (form["several"] or not signatures):
            signatures.append(value)
        elif name not in form["ignored"]:
            raise Rejected("signature_malformed")
    if not signatures:
        raise Rejected("signature_malformed")
    return signatures, time


def from_base64(text):
    """None for anything but padded standard base64."""
    try:
        decoded = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return decoded if base64.b64encode(decoded).decode() == text else None


def decode(scheme, text):
    encoding, length = scheme["encoding"], LENGTHS[scheme["hash"]]
    digits = "0-9a-f" if encoding == "lower_hex" else "0-9a-fA-F"
    if encoding != "base64" and re.fullmatch(f"[{digits}]{{{2 * length}}}", text):
        return bytes.fromhex(text)
    decoded = from_base64(text) if "base64" in encoding else None
    if decoded is None or len(decoded) != length:
        raise Rejected("signature_malformed")
    return decoded


def key_of(scheme, secret):
    if scheme["key"] == "text":
        return secret.encode()
    prefix = scheme["key"]["base64_behind"]
    return from_base64(secret[len(prefix) :]) if secret.startswith(prefix) else None


def verify(scheme, delivery):
    body = delivery["body"]
    if "header" in scheme["place"]:
        written = header(delivery, scheme["place"]["header"])
    else:
        emptied = "body_with_empty_signature" in scheme["signed"]
        written, body = member(body, scheme["place"]["member"], emptied) or (None, None)
    if written is None:
        return None

    def required(name):
        value = header(delivery, name)
        if value is None:
            raise Rejected("signature_malformed")
        return value

    id_header = next((piece["header"] for piece in scheme["signed"] if "header" in piece), None)
    delivery_id = required(id_header) if id_header else None
    time_header = scheme["time"] and scheme["time"]["header"]
    time_in_header = required(time_header) if time_header else None
    signatures, time_in_form = read(scheme["form"], written)
    signatures = [decode(scheme, text) for text in signatures]
    if len(signatures) > MAX_SIGNATURES:
        raise Rejected("signature_malformed")
    if delivery_id is not None and not re.fullmatch("[A-Za-z0-9_-]{1,128}", delivery_id):
        raise Rejected("signature_malformed")
    time = time_in_form if time_in_header is None else time_in_header
    if scheme["time"] and not re.fullmatch("[0-9]+", time):
        raise Rejected("signature_malformed")
    if scheme["time"] and scheme["form"].get("time") and time != time_in_form:
        raise Rejected("signature_malformed")

    def text_of(piece):
        if isinstance(piece, dict):
            return piece["text"] if "text" in piece else delivery_id
        return time if piece == "time" else body

    signed = "".join(text_of(piece) for piece in scheme["signed"]).encode()
    for position, secret in enumerate(delivery["secrets"]):
        key = key_of(scheme, secret)
        if not key:
            continue
        mac = hmac.new(key, signed, scheme["hash"]).digest()
        if any([hmac.compare_digest(mac, signature) for signature in signatures]):
            break
    else:
        raise Rejected("signature_mismatch")
    if scheme["time"] and abs(delivery["received"] - int(time)) > scheme["time"]["tolerance"]:
        raise Rejected("timestamp_expired")
    return {"scheme": scheme["name"], "secret": position, "id": delivery_id, "body": body}


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()


def compact(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def identity(platform, delivery, verified):
    """The idempotency key."""
    content = sha256(verified["body"])
    name = platform["unsigned_name"] and header(delivery, platform["unsigned_name"])
    if name:
        content = sha256(compact([name, content]))
    event, rule = json.loads(delivery["body"]), platform["identity"]

    def at(path):
        value = event
        for word in path.split("."):
            value = value.get(word) if isinstance(value, dict) else None
        return value

    if rule == "signed_header":
        return verified["id"]
    if rule == "content":
        return content
    if "id" in rule:
        return at(rule["id"]) or content
    values = [at(path) for path in rule["together"]]
    # Of each value its JSON text, as it stands in the body.
    return content if any(value in (None, "") for value in values) else sha256(compact(values))


def judge(platform, delivery):
    try:
        if any(name in platform["not_a_webhook"] for name, _ in delivery["headers"]):
            raise Rejected("not_a_webhook")
        names = next(mode["schemes"] for mode in platform["modes"] if mode["value"] == delivery["mode"])
        for name in names:
            verified = verify(next(scheme for scheme in platform["schemes"] if scheme["name"] == name), delivery)
            if verified:
                key = identity(platform, delivery, verified)
                return {"accepted": {"scheme": verified["scheme"], "secret": verified["secret"], "key": key}}
        raise Rejected("signature_missing")
    except Rejected as reason:
        return {"rejected": str(reason)}


def main():
    path = pathlib.Path(__file__).parents[2] / "docs/contract/vectors.json"
    vectors = json.loads(path.read_text(encoding="utf-8"))
    platforms = {platform["name"]: platform for platform in vectors["platforms"]}
    wrong = 0
    for delivery in vectors["deliveries"]:
        said = judge(platforms[delivery["platform"]], delivery)
        if said != delivery["verdict"]:
            wrong += 1
            print(f"{delivery['platform']} {delivery['mode']}, {delivery['what']}: {said} instead of {delivery['verdict']}")
    count = len(vectors["deliveries"])
    print(f"Python {python.python_version()}: {count} deliveries of {len(platforms)} platforms, {wrong} wrong")
    sys.exit(1 if wrong or not count else 0)


main()
