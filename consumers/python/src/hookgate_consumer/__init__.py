"""Handles each of Hookgate's events once, in a Lambda function behind its queue.

    from hookgate_consumer import Event, State, consumer

    def handle(event: Event, state: State) -> None: ...

    handler = consumer(handle)

The DynamoDB table `CONSUMED_TABLE_NAME` remembers which events were handled. Its requests are those of `consumer.json`, by which
consumers in other languages can share it.
"""

import base64
import inspect
import json
import math
import os
import re
import signal
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from functools import cached_property
from importlib.resources import files
from typing import Any, Literal, NotRequired, Protocol, TypedDict, cast

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

__all__ = ["Amount", "Consumer", "Customer", "Data", "Event", "NoTable", "Resource", "State", "consumer", "read", "sort_key", "stage"]

_DESCRIPTION: dict[str, Any] = json.loads(files(__name__).joinpath("consumer.json").read_text("utf-8"))
_STAGES: dict[str, int] = _DESCRIPTION["stages"]
_A_DAY = 86_400


class Resource(TypedDict):
    """What an event is about."""

    kind: str
    id: str


class Amount(TypedDict):
    """An amount of money: the digits as the platform wrote them, and whether they count cents (minor) or whole units (major)."""

    value: str
    unit: Literal["minor", "major"]
    currency: NotRequired[str]


class Customer(TypedDict):
    """The platform's customer."""

    id: str


class Data(TypedDict):
    """The content of an event. Numbers in the payload are `int` or `Decimal`; one beyond these, or a payload nested too deeply
    for Python, is its text."""

    resource: NotRequired[Resource]
    amount: NotRequired[Amount]
    customer: NotRequired[Customer]
    status: NotRequired[str]
    payload: Any


class Event(TypedDict):
    """CloudEvents 1.0, and what Hookgate adds. `type` is like `commerce.order.paid`, and new ones come."""

    specversion: Literal["1.0"]
    id: str
    source: str
    type: str
    subject: NotRequired[str]
    time: NotRequired[str]
    datacontenttype: Literal["application/json"]
    provider: str
    account: str
    providertype: str
    receivedtime: str
    deliveryid: NotRequired[str]
    traceparent: NotRequired[str]
    data: Data


class Context(Protocol):
    """What a consumer asks of Lambda's context."""

    aws_request_id: str

    def get_remaining_time_in_millis(self) -> int: ...


class NoTable(Exception):
    """`CONSUMED_TABLE_NAME` is not set."""


class _Failure(Exception):
    """Why a message failed, in words that quote nothing of it."""


class _OutOfTime(BaseException):
    """The same, but not an `Exception`: it is raised within `handle`, which may catch those."""

    def __str__(self) -> str:
        return "no time left: smaller batches, or a longer timeout"


class State:
    """The state of each resource, in the consumer's table. Passed to `handle`."""

    def __init__(self, consumer: "Consumer") -> None:
        self._consumer = consumer

    def keep_latest(self, event: Event, attributes: dict[str, Any] | None = None) -> bool:
        """Latest wins: keeps what the event says as its resource's state, unless a later event has been kept. Says whether it did.

        One write decides and stores: between a question and a write a later event could be written. So put what else belongs to the
        state into the same item, as `attributes` in DynamoDB's JSON; or, if it is in another database, keep `sort_key(event)` beside
        it, and write there under the same condition.
        """
        if event.get("subject") is None:
            return False
        values = {
            # A source starts with a slash, so no event has this key.
            "key": _fill(_DESCRIPTION["keys"]["latest"], event),
            "sort_key": sort_key(event),
            "type": event["type"] if event["type"] in _STAGES else "commerce.unrecognized",
            "status": event["data"].get("status"),
        }
        try:
            self._consumer._put("latest", values, attributes)
        except ClientError as error:
            if _code(error) != "ConditionalCheckFailedException":
                raise
            return False
        return True


class Consumer:
    """The function for Lambda: `handler = consumer(handle)`.

    `handle` is what your shop does about an event: a plain function, not an async one, that returns None. It may be called again for
    an event whose handling was cut short, so make it idempotent: write with the event's id as the key, or pass `source` and `id` as
    the idempotency key of what you call.

    `table` is the DynamoDB table, by default the one that `CONSUMED_TABLE_NAME` names; `remember` how many seconds an event is
    remembered, by default 60 days (with a larger `ClaimTtlDays` set it to `(days + 30) * 86_400`); `dynamodb` a client of boto3's;
    `clock` says what time it is, in seconds.
    """

    def __init__(
        self,
        handle: Callable[[Event, State], None],
        *,
        table: str | None = None,
        remember: float = _DESCRIPTION["remember_seconds"],
        dynamodb: Any = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        for called in (handle, getattr(handle, "__call__", None)):
            if any(of(called) for of in (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction)):
                raise TypeError("handle must be a plain function, neither async nor a generator: call asyncio.run(…) inside it")
        if not isinstance(remember, (int, float)) or not math.isfinite(remember) or remember < _A_DAY:
            raise ValueError("remember must be a number of seconds, at least 86,400 (one day): for 90 days it is 90 * 86_400")
        self._handle, self._remember, self._clock = handle, int(remember), clock
        self._table, self._client = table, dynamodb

    def __call__(self, batch: dict[str, Any], context: Context) -> dict[str, Any]:
        """Consumes one message after the other. Lambda deletes those that the answer does not name as failed."""
        _ = self._table_name  # Without it, not one of them could be handled.
        left = context.get_remaining_time_in_millis()
        deadline = time.monotonic() + left / 1000
        lease = {"owner": context.aws_request_id, "lease_until": self._now() + left + _DESCRIPTION["lease_margin_ms"]}
        failures = []
        for message in batch["Records"]:
            line = {"level": "INFO", "message_id": message["messageId"]}
            try:
                left = round((deadline - time.monotonic()) * 1000)
                if left < _DESCRIPTION["begin_margin_ms"]:
                    raise _OutOfTime
                with _alarm(left - _DESCRIPTION["answer_margin_ms"]):
                    line["message"] = self._consume(message, lease)
            except (Exception, _OutOfTime) as error:  # One bad message must not fail the batch.
                line |= {"level": "ERROR", "message": "failed", "error": _reason(error)}
                failures.append({"itemIdentifier": message["messageId"]})
            print(json.dumps(line))
        return {"batchItemFailures": failures}

    def _consume(self, message: dict[str, Any], lease: dict[str, Any]) -> str:
        """Leases, handles and marks, in this order: marking first would lose an event if this process died before handling it;
        without the lease, two copies that arrive at the same time would both be handled."""
        event = read(message.get("body", ""))
        replay = ((message.get("messageAttributes") or {}).get("replay") or {}).get("stringValue")
        # An event that an operator replays is handled once more for each replay.
        key = _fill(_DESCRIPTION["keys"]["replay" if replay else "event"], {**event, "replay": replay})
        values = {"key": key, **lease}
        if not self._lease(values):
            return "duplicate"
        try:
            result: object = self._handle(event, State(self))
        except _OutOfTime:
            raise
        except BaseException as error:  # SystemExit and CancelledError, too: Lambda would log their text.
            # Its name only: what it says may quote the payload.
            raise _Failure(f"handle failed: {_name(error)}") from None
        if result is not None:
            # A coroutine, for example, has not run yet.
            raise _Failure("handle failed: it must return None, and must not be async")
        self._put("mark", values)
        return "handled"

    def _lease(self, values: dict[str, Any]) -> bool:
        """True: the event is ours to handle. False: it was handled."""
        now = self._now()
        try:
            self._put("lease", {**values, "now": now // 1000, "now_ms": now})
        except ClientError as error:
            if _code(error) != "ConditionalCheckFailedException":
                raise
            old = error.response.get("Item")
            if not old:
                # Without it nobody knows whether the event was handled.
                raise _Failure("DynamoDB: refused the lease without the old item") from None
            if "lease_until" not in old:
                return False
            # Our own: written by this very call, whose answer was lost and which boto3 repeated.
            if old.get("owner", {}).get("S") != values["owner"]:
                raise _Failure("leased by another invocation") from None
        return True

    def _put(self, request: str, values: dict[str, Any], attributes: dict[str, Any] | None = None) -> None:
        """One of the description's requests, with these values."""
        expires_at = self._now() // 1000 + self._remember
        filled = _fill(_DESCRIPTION["requests"][request], {**values, "expires_at": expires_at, "table": self._table_name})
        filled["Item"] = {**(attributes or {}), **filled["Item"]}
        self._dynamodb.put_item(**filled)

    def _now(self) -> int:
        return round(self._clock() * 1000)

    # Asked for when the first batch comes, so that tests can import your module without either.
    @cached_property
    def _table_name(self) -> str:
        if name := self._table or os.environ.get("CONSUMED_TABLE_NAME"):
            return name
        raise NoTable("CONSUMED_TABLE_NAME is not set: give it the name of the DynamoDB table of handled events")

    @cached_property
    def _dynamodb(self) -> Any:
        client = self._client
        if client is None:
            # A dead connection must not cost the whole batch: a call ends within begin_margin_ms. Its two attempts have half of
            # their time to connect and half for the answer, and boto3 waits up to 1 s between them.
            half = _DESCRIPTION["attempt_ms"] / 2000
            config = Config(connect_timeout=half, read_timeout=half, retries={"mode": "standard", "total_max_attempts": 2})
            client = boto3.client("dynamodb", config=config)
        if meta := getattr(client, "meta", None):
            meta.events.register("after-call.dynamodb.PutItem", _check, unique_id="hookgate-consumer")
        return client


consumer = Consumer


@contextmanager
def _alarm(ms: int) -> Iterator[None]:
    """Stops what is within it after this time, so that a `handle` that never ends fails alone. Python can stop only its main thread,
    in which Lambda calls the function, and not on Windows."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return

    def ring(*_: Any) -> None:
        raise _OutOfTime

    handler, timer = signal.signal(signal.SIGALRM, ring), signal.setitimer(signal.ITIMER_REAL, ms / 1000)
    try:
        yield
    finally:
        # Whose they were before: pytest's plugins have alarms, too.
        signal.setitimer(signal.ITIMER_REAL, *timer)
        signal.signal(signal.SIGALRM, handler or signal.SIG_DFL)


def _check(http_response: Any, **_: Any) -> None:
    """boto3 takes any text with status 200 for success: the page of a proxy, for example."""
    if http_response.status_code != 200 or http_response.raw is None:  # Stubbed.
        return
    try:
        answer = json.loads(http_response.content)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise ResponseParserError("not an answer of DynamoDB")


def read(body: str) -> Event:
    """The event of a message, its payload open at `data.payload`."""
    try:
        try:
            event = _parse(body)
        except RecursionError:
            # Too deep for Python, so the payload stays text.
            head, name, rest = _PAYLOAD.split(body, maxsplit=1)
            end = _end(rest)
            event = _parse(f"{head}{name}null{rest[end:]}")
            if event["data"].pop("payload") is not None:
                raise ValueError from None  # It was another member of this name.
            event["data"]["payload"] = rest[:end]
        _must_fit(event, _DESCRIPTION["event"])
        data = event["data"]
        if ("payload" in data) == (data.get("payload_gzip") is not None):
            raise ValueError
        if (compressed := data.pop("payload_gzip", None)) is not None:
            packed = base64.b64decode(compressed)
            # Python skips what is not base64, and the last bits that are not a byte.
            if base64.b64encode(packed).decode() != compressed:
                raise ValueError
            gzip = zlib.decompressobj(wbits=31)
            # One byte more than allowed, to tell "exactly full" from "more to come".
            inflated = gzip.decompress(packed, _DESCRIPTION["max_inflated_bytes"] + 1)
            if not gzip.eof or len(inflated) > _DESCRIPTION["max_inflated_bytes"]:
                raise ValueError  # Cut short, or larger than any real payload.
            text = inflated.decode()
            try:
                data["payload"] = _parse(text)
            except RecursionError:
                data["payload"] = text.strip(" \t\n\r")
                if _end(data["payload"]) != len(data["payload"]):
                    raise ValueError from None
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError, zlib.error):
        raise _Failure("not an event") from None
    return cast(Event, event)


def _must_fit(value: Any, form: Any) -> None:
    """A list: one of these strings, or any string. An object: these members, each once, of which `name?` may be missing or null.
    None: anything. Raises an error of `read` otherwise."""
    if isinstance(form, list):
        value.encode()  # It is a string, and no half of a surrogate pair is in it.
        if form and value not in form:
            raise ValueError
    elif form is not None:
        "".join(value.keys()).encode()
        for name, part in form.items():
            name, optional = name.removesuffix("?"), name.endswith("?")
            if name in getattr(value, "twice", ()):
                raise ValueError
            if not optional or value.get(name) is not None:
                _must_fit(value.get(name), part)


class _Twice(dict[str, Any]):
    """An object in which names are there twice. The last of each counts."""

    twice: set[str]


def _object(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(members)
    if len(found) < len(members):
        found = _Twice(found)
        found.twice = {name for name, count in Counter(name for name, _ in members).items() if count > 1}
    return found


def _exact(kind: Callable[[str], Any]) -> Callable[[str], Any]:
    def number(digits: str) -> Any:
        try:
            return kind(digits)
        except (ValueError, ArithmeticError):
            return digits

    return number


def _refuse(constant: str) -> None:
    raise ValueError  # NaN and Infinity are not JSON.


# JSON with exact numbers: a float would change money. One beyond what `int` and `Decimal` take stays text.
_parse = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_exact(int), parse_float=_exact(Decimal), parse_constant=_refuse
).decode

_PAYLOAD = re.compile(r'("payload"[ \t\n\r]*:[ \t\n\r]*)')
_TOKEN = re.compile(r'[\[{\]}]|"(?:[^"\\]|\\.)*+"|[^\[{\]}"]+|"', re.DOTALL)


def _end(text: str) -> int:
    """Where the array or object at the beginning of this text ends. Reads it without recursion: each level alone, with null for what
    is in it."""
    levels: list[list[str]] = []
    for token in _TOKEN.finditer(text):
        part = token.group()
        if part in "[{":
            levels.append([])
        if not levels or part == '"':
            break
        levels[-1].append(part)
        if part in "]}":
            _parse("".join(levels.pop()))
            if not levels:
                return token.end()
            levels[-1].append("null")
    raise ValueError  # It is cut short, or neither.


def _fill(template: Any, values: Any) -> Any:
    """The description's text with these values in it. An attribute without a value is left out."""
    if isinstance(template, str):
        return template.format_map(values)
    return {name: _fill(part, values) for name, part in template.items() if values.get(name, "") is not None}


def _reason(error: BaseException) -> str:
    if isinstance(error, (_Failure, _OutOfTime)):
        return str(error)
    dynamodb = isinstance(error, (ClientError, BotoCoreError, ResponseParserError))
    return f"DynamoDB: {_name(error)}" if dynamodb else _name(error)


def _name(error: BaseException) -> str:
    """For the log. What does not look like a name may be a part of the payload."""
    name = _code(error) if isinstance(error, ClientError) else type(error).__name__
    return name if re.fullmatch("[A-Za-z][A-Za-z0-9_.]{0,63}", name) else "Error"


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code"))


def stage(event_type: str) -> int:
    """Where a type stands in its resource's life, which breaks ties of time. 0 for one that this version does not know."""
    return _STAGES.get(event_type, 0)


def sort_key(event: Event) -> str:
    """Compares like the order in which a resource's events happened: time to the nanosecond, stage, id."""
    # Times are in UTC, but as text 16:00:00.5Z would come before 16:00:00Z. Without one, that of the arrival is a guess.
    time = event["receivedtime"] if event.get("time") is None else event["time"]
    seconds, _, decimals = time.removesuffix("Z").partition(".")
    values = {"seconds": seconds, "nanoseconds": f"{decimals:0<9}", "stage": f"{stage(event['type']):02}", "id": event["id"]}
    return cast(str, _fill(_DESCRIPTION["sort_key"], values))
