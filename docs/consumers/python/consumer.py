"""A Lambda function behind Hookgate's queue that handles each event once: Python 3.11 or later, and boto3.

Write your own `handle`. Why the steps of `consume` have this order: see docs/consume.md.
"""

import base64
import json
import os
import time
import zlib
from decimal import Decimal

import boto3
from botocore.exceptions import ClientError

REMEMBER = 60 * 86_400  # Longer than any copy of an event can be on its way, and than ClaimTtlDays.
LEASE_MARGIN_MS = 2_000  # A lease ends this long after Lambda has stopped its owner: clocks differ.
ANSWER_MARGIN_MS = 5_000  # No message is begun with less time left.
MAX_INFLATED = 8 * 1024 * 1024  # What a compressed payload may open to.

dynamodb = boto3.client("dynamodb")


def handler(batch, context):
    failures = []
    for message in batch["Records"]:
        try:
            what = consume(message["body"], context)
            print(json.dumps({"message": what, "message_id": message["messageId"]}))
        except Exception as error:  # One bad message must not fail the batch.
            # Its name only: what it says may quote the payload.
            failed = {"message": "failed", "message_id": message["messageId"], "error": type(error).__name__}
            print(json.dumps({"level": "ERROR", **failed}))
            failures.append({"itemIdentifier": message["messageId"]})
    return {"batchItemFailures": failures}


def consume(body, context):
    if context.get_remaining_time_in_millis() < ANSWER_MARGIN_MS:
        raise TimeoutError
    event = read(body)
    key = f"{event['source']} {event['id']}"
    if not lease(key, context):
        return "duplicate"
    handle(event)
    mark(key, context)
    return "handled"


def read(body):
    """The event of a message, its payload open at `data.payload`; a payload nested too deeply for Python stays text."""
    try:
        event = parse(body)
    except RecursionError:
        # Hookgate writes the payload last of all.
        head, name, payload = body.partition('"payload":')
        event = parse(head + name + "null}}")
        event["data"]["payload"] = payload.removesuffix("}}")
    if event["specversion"] != "1.0":
        raise ValueError
    data = event["data"]
    if compressed := data.pop("payload_gzip", None):
        gzip = zlib.decompressobj(wbits=31)
        text = gzip.decompress(base64.b64decode(compressed, validate=True), MAX_INFLATED)
        if not gzip.eof:
            raise ValueError  # Cut short, or larger than any real payload.
        try:
            data["payload"] = parse(text)
        except RecursionError:
            data["payload"] = text.decode()
    data["payload"]  # Raises where there is none.
    return event


def parse(text):
    """JSON with exact numbers: a float would change money. One beyond what `int` and `Decimal` take stays text."""
    return json.loads(text, parse_int=exact(int), parse_float=exact(Decimal))


def exact(kind):
    def number(digits):
        try:
            return kind(digits)
        except (ValueError, ArithmeticError):
            return digits

    return number


class WorkedOn(Exception):
    """Another invocation works on the same event."""


def lease(key, context):
    """True: the event is ours to handle. False: it was handled."""
    now = int(time.time() * 1000)
    until = now + context.get_remaining_time_in_millis() + LEASE_MARGIN_MS
    try:
        dynamodb.put_item(
            TableName=os.environ["CONSUMED_TABLE_NAME"],
            Item={**item(key, context), "lease_until": {"N": str(until)}},
            ConditionExpression="attribute_not_exists(pk) OR expires_at < :now OR lease_until < :now_ms",
            ExpressionAttributeValues={":now": {"N": str(now // 1000)}, ":now_ms": {"N": str(now)}},
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
            raise
        old = error.response["Item"]
        if "lease_until" not in old:
            return False
        # Our own: written by this very call, whose answer was lost and which boto3 repeated.
        if old["owner"]["S"] != context.aws_request_id:
            raise WorkedOn from None
    return True


def mark(key, context):
    dynamodb.put_item(
        TableName=os.environ["CONSUMED_TABLE_NAME"],
        Item=item(key, context),
        ConditionExpression="#owner = :owner",
        ExpressionAttributeNames={"#owner": "owner"},
        ExpressionAttributeValues={":owner": {"S": context.aws_request_id}},
    )


def item(key, context):
    expires_at = str(int(time.time()) + REMEMBER)
    return {"pk": {"S": key}, "owner": {"S": context.aws_request_id}, "expires_at": {"N": expires_at}}


def handle(event):
    """What your shop does about an event. It may be called again for an event whose handling was cut short."""
    match event["type"]:
        case "commerce.order.paid" | "commerce.payment.succeeded" | "commerce.invoice.paid":
            to_do = "fulfil"
        case "commerce.payment.refunded" | "commerce.order.disputed":
            to_do = "tell a person"
        case _:  # New types come: no failure.
            to_do = "nothing"
    # Names and ids only: payloads carry personal data.
    names = {name: event.get(name) for name in ("type", "source", "id", "subject", "traceparent")}
    print(json.dumps({"message": "handle", "to_do": to_do, **names}))
