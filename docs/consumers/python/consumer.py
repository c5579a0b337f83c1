"""A Lambda function behind Hookgate's queue that handles each event once: Python 3.11 or later, and boto3.

Write your own `handle`. `keep_latest` holds the current state of each resource, whatever order events come in. Why the steps of `consume` have this order: see docs/consume.md.
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

# Where a type stands in its resource's life, which breaks ties of time. From docs/contract/order.json.
STAGES = {
    10: "order.created subscription.created invoice.created domain.registered customer.created card.issued "
    "transaction.created product.created query.created feedback.received",
    20: "order.updated subscription.updated customer.updated account.updated product.updated product.stock_changed "
    "product.dynamic query.replied",
    22: "subscription.trial_started",
    24: "subscription.trial_ended",
    30: "order.partially_paid order.payment_pending subscription.upcoming",
    40: "payment.failed invoice.payment_failed",
    50: "order.paid payment.succeeded subscription.renewed invoice.paid service.activated domain.renewed",
    55: "order.fulfilled",
    60: "order.completed checkout.completed",
    64: "subscription.paused service.suspended",
    66: "subscription.resumed",
    70: "order.expired",
    75: "order.failed",
    80: "order.cancelled subscription.cancelled",
    85: "order.disputed payment.disputed",
    90: "order.refunded payment.refunded",
    95: "subscription.ended",
    99: "order.deleted customer.deleted product.deleted",
}
STAGE_OF = {f"commerce.{name}": stage for stage, names in STAGES.items() for name in names.split()}

dynamodb = boto3.client("dynamodb")


def handler(batch, context):
    failures = []
    for message in batch["Records"]:
        try:
            replay = message.get("messageAttributes", {}).get("replay", {}).get("stringValue")
            what = consume(message["body"], context, replay)
            print(json.dumps({"message": what, "message_id": message["messageId"]}))
        except Exception as error:  # One bad message must not fail the batch.
            # Its name only: what it says may quote the payload.
            failed = {"message": "failed", "message_id": message["messageId"], "error": type(error).__name__}
            print(json.dumps({"level": "ERROR", **failed}))
            failures.append({"itemIdentifier": message["messageId"]})
    return {"batchItemFailures": failures}


def consume(body, context, replay=None):
    if context.get_remaining_time_in_millis() < ANSWER_MARGIN_MS:
        raise TimeoutError
    event = read(body)
    key = f"{event['source']} {event['id']}"
    if replay:  # An event that an operator replays is handled once more for each replay.
        key = f"replay {replay} {key}"
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
            Item={**item(key), **owner(context), "lease_until": {"N": str(until)}},
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
        Item={**item(key), **owner(context)},
        ConditionExpression="#owner = :owner",
        ExpressionAttributeNames={"#owner": "owner"},
        ExpressionAttributeValues={":owner": {"S": context.aws_request_id}},
    )


def item(key):
    return {"pk": {"S": key}, "expires_at": {"N": str(int(time.time()) + REMEMBER)}}


def owner(context):
    return {"owner": {"S": context.aws_request_id}}


def stage(event):
    """0 for a type that this file does not know. `….product` is a type whose payload lists the products."""
    return STAGE_OF.get(event["type"].removesuffix(".product"), 0)


def sort_key(event):
    """Compares like the order in which a resource's events happened: time to the nanosecond, stage, id."""
    # Times are in UTC, but as text 16:00:00.5Z would come before 16:00:00Z. Without one, that of the arrival is a guess.
    seconds, _, decimals = event.get("time", event["receivedtime"]).removesuffix("Z").partition(".")
    return f"{seconds}.{decimals:0<9}Z {stage(event):02} {event['id']}"


def keep_latest(event):
    """Latest wins: keeps what the event says as its resource's state, unless a later one has been kept. Says whether it did.

    One write decides and stores: between a question and a write a later event could be written. So put what else
    belongs to the state into this item; or keep the sort key where your state is, and write there by the same condition.
    """
    if "subject" not in event:
        return False
    key = sort_key(event)
    # A source starts with a slash, so no event has this pk.
    state = {**item(f"latest {event['source']} {event['subject']}"), "sort_key": {"S": key}, "type": {"S": event["type"]}}
    if status := event["data"].get("status"):
        state["status"] = {"S": status}
    try:
        dynamodb.put_item(
            TableName=os.environ["CONSUMED_TABLE_NAME"],
            Item=state,
            # The same event passes again: its handling may have been cut short after this write.
            ConditionExpression="attribute_not_exists(pk) OR sort_key <= :sort_key",
            ExpressionAttributeValues={":sort_key": {"S": key}},
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
            raise
        return False
    return True


def handle(event):
    """What your shop does about an event. It may be called again for an event whose handling was cut short."""
    match event["type"]:
        case "commerce.order.paid" | "commerce.payment.succeeded" | "commerce.invoice.paid":
            to_do = "fulfil"
        case "commerce.payment.refunded" | "commerce.order.disputed":
            to_do = "tell a person"
        case _:  # New types come: no failure.
            to_do = "nothing"
    # What is done for a single event, as above, needs no order. A resource's current state does. Ask for the types that
    # yours is made of; an unknown one says nothing about it.
    latest = stage(event) > 0 and keep_latest(event)
    # Names and ids only: payloads carry personal data.
    names = {name: event.get(name) for name in ("type", "source", "id", "subject", "traceparent")}
    print(json.dumps({"message": "handle", "to_do": to_do, "latest": latest, **names}))
