"""For tests: real messages, and a table in memory. They need neither network nor AWS. `pytest_plugin` has them as fixtures."""

import json
import time
from collections.abc import Callable
from importlib.resources import files
from types import SimpleNamespace
from typing import Any, cast

from botocore.exceptions import ClientError

from . import Context, Event, State, consumer


def messages() -> dict[str, Any]:
    """One real message for each of Hookgate's samples, in the form in which Lambda passes them."""
    return cast(dict[str, Any], json.loads(files(__package__).joinpath("messages.json").read_text("utf-8")))


def batch(*types: str, replay: str | None = None, **members: Any) -> dict[str, Any]:
    """The first real message of each of these types, in this order. `members` replace those of the events, and `replay` is the name
    under which they are replayed: `batch("commerce.order.paid", type="commerce.order.boxed", id="evt_2")`."""
    records = []
    for wanted in types:
        found = [record for record in messages()["Records"] if json.loads(record["body"])["type"] == wanted]
        if not found:
            raise LookupError(f"no sample has the type {wanted}")
        record = found[0]
        if members:
            record["body"] = json.dumps({**json.loads(record["body"]), **members})
        named = {name: members[name] for name in record["messageAttributes"] if name in members}
        for name, value in {**named, "replay": replay}.items():
            if value is not None:
                record["messageAttributes"][name] = {"dataType": "String", "stringValue": value}
        records.append(record)
    return {"Records": records}


def context(request_id: str = "request-1", left: int = 30_000) -> Context:
    """An invocation with so many milliseconds left. Those with the same request id share their leases."""
    return cast(Context, SimpleNamespace(aws_request_id=request_id, get_remaining_time_in_millis=lambda: left))


class Table:
    """A table in memory that understands the requests of this package: it stands in for boto3's client. `items` are by `pk`."""

    def __init__(self) -> None:
        self.items: dict[str, dict[str, Any]] = {}
        self.requests: list[dict[str, Any]] = []
        self.invocations = 0

    def put_item(self, **request: Any) -> dict[str, Any]:
        self.requests.append(request)
        pk = request["Item"]["pk"]["S"]
        old = self.items.get(pk)
        if not _holds(request, old or {}):
            answer: dict[str, Any] = {"Error": {"Code": "ConditionalCheckFailedException", "Message": "The conditional request failed"}}
            if old and request.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD":
                answer["Item"] = old
            raise ClientError(answer, "PutItem")
        self.items[pk] = request["Item"]
        return {}


def _holds(request: dict[str, Any], old: dict[str, Any]) -> bool:
    """Alternatives, each `attribute_not_exists(NAME)` or `NAME OPERATOR :VALUE`."""
    for alternative in request["ConditionExpression"].split(" OR "):
        if alternative.startswith("attribute_not_exists("):
            if alternative[21:-1] not in old:
                return True
            continue
        name, operator, placeholder = alternative.split(" ")
        ((kind, value),) = request["ExpressionAttributeValues"][placeholder].items()
        held = old.get(request.get("ExpressionAttributeNames", {}).get(name, name), {}).get(kind)
        if held is None:
            continue
        # Text byte by byte.
        one, other = (int(each) if kind == "N" else each.encode() for each in (held, value))
        if {"=": one == other, "<": one < other, "<=": one <= other}[operator]:
            return True
    return False


class Run:
    """Your `handle` behind a table in memory, as one invocation after the other: each begins a minute later, when the leases of those
    before it are over. `errors` are what `handle` raised."""

    def __init__(self, handle: Callable[[Event, State], None], table: Table) -> None:
        self.errors: list[BaseException] = []
        self._handle, self._table = handle, table
        self._consumer = consumer(handle, table="consumed", dynamodb=table, clock=lambda: time.time() + 60 * table.invocations)
        self._consumer._handle = self._keep_error

    def _keep_error(self, event: Event, state: State) -> None:
        try:
            return self._handle(event, state)
        except BaseException as error:
            self.errors.append(error)
            raise

    def __call__(self, batch: dict[str, Any]) -> list[str]:
        """Consumes the batch, and names the messages that failed."""
        self._table.invocations += 1
        answer = self._consumer(batch, context(f"request-{self._table.invocations}"))
        return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]
