"""The package against docs/contract/consumer.json and the vectors that every language passes: for each message the exact requests,
the answer and the log line, then what the table holds. On the table in memory and, where it is installed, on moto's DynamoDB."""

import asyncio
import base64
import functools
import gzip
import itertools
import json
import math
import random
import signal
import socket
import threading
import time
from decimal import Decimal
from pathlib import Path

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ClientError

import hookgate_consumer
from hookgate_consumer import consumer, read, sort_key, stage, testing

CONTRACT = Path(__file__).parents[3] / "docs/contract"
DESCRIPTION, VECTORS, ORDER = (
    json.loads((CONTRACT / name).read_text("utf-8")) for name in ("consumer.json", "consumer-vectors.json", "order.json")
)
ENVELOPE = {name: value for name, value in VECTORS["events"]["paid"].items() if name not in ("subject", "time")}


class Died(BaseException):
    """The process: nothing that comes behind it counts."""


class Faulty:
    """A table whose calls fail as a vector says."""

    def __init__(self, table):
        self.table, self.faults, self.requests, self.dead = table, {}, [], False

    def die(self):
        self.dead = True
        raise Died

    def put_item(self, **request):
        self.requests.append(request)
        item = request["Item"]
        call = "latest" if "sort_key" in item else "lease" if "lease_until" in item else "mark"
        fault = self.faults.pop(call, None)
        if isinstance(fault, dict):
            raise ClientError({"Error": {"Code": "ConditionalCheckFailedException"}, **fault}, "PutItem")
        lost = ClientError({"Error": {"Code": "InternalServerError"}}, "PutItem")
        if fault == "refused":
            raise lost
        if fault == "dies before":
            self.die()
        if fault == "repeated":
            self.table.put_item(**request)
        answer = self.table.put_item(**request)
        if fault == "dies after":
            self.die()
        if fault == "unanswered":
            raise lost
        return answer


@pytest.fixture(params=["memory", "moto"])
def table(request, monkeypatch):
    """The table, and how to see what it holds."""
    if request.param == "memory":
        memory = testing.Table()
        yield memory, lambda: memory.items.values()
        return
    moto = pytest.importorskip("moto")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "local")
    with moto.mock_aws():
        client = boto3.client("dynamodb", region_name="us-east-1")
        key = {"AttributeName": "pk"}
        client.create_table(
            TableName="consumed", BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{**key, "AttributeType": "S"}], KeySchema=[{**key, "KeyType": "HASH"}],
        )  # fmt: skip
        yield client, lambda: client.scan(TableName="consumed")["Items"]


def fill(template, values):
    if isinstance(template, str):
        return template.format(**values)
    return {name: fill(part, values) for name, part in template.items() if name != "status" or values["status"] is not None}


class World:
    """One vector while it runs."""

    def __init__(self, table, capsys):
        self.table, self.capsys = Faulty(table), capsys
        self.handling, self.kept, self.expected = [], [], []
        self.now = VECTORS["start_ms"]
        self.consumer = consumer(self.handle, table="consumed", dynamodb=self.table, clock=lambda: self.now / 1000)

    def expect(self, call, message, step):
        event = VECTORS["events"][message["event"]]
        named = {**event, "replay": message.get("replay")}
        form = "latest" if call == "latest" else "replay" if message.get("replay") else "event"
        seconds, _, decimals = event.get("time", event["receivedtime"])[:-1].partition(".")
        known = DESCRIPTION["stages"].get(event["type"])
        values = {
            "table": "consumed", "owner": step["owner"], "now": self.now // 1000, "now_ms": self.now,
            "key": fill(DESCRIPTION["keys"][form], named),
            "expires_at": self.now // 1000 + DESCRIPTION["remember_seconds"],
            "lease_until": step["began"] + step.get("left", 30_000) + DESCRIPTION["lease_margin_ms"],
            "sort_key": f"{seconds}.{decimals.ljust(9, '0')}Z {known or 0:02} {event['id']}",
            "type": event["type"] if known is not None else "commerce.unrecognized", "status": event["data"].get("status"),
        }  # fmt: skip
        self.expected.append(fill(DESCRIPTION["requests"][call], values))

    def handle(self, event, state):
        message, step = self.handling[-1]
        assert event["id"] == VECTORS["events"][message["event"]]["id"]
        if "meanwhile" in message:
            self.step(message["meanwhile"], "another")
        match message.get("handle"):
            case "fails before":
                raise RuntimeError("s3cr3t")
            case "dies":
                self.table.die()
            case "hangs":
                time.sleep(20)
        if "latest" in message["calls"]:
            self.expect("latest", message, step)
        self.kept.append(state.keep_latest(event))
        if message.get("handle") == "fails after":
            raise RuntimeError("s3cr3t")

    def records(self, step):
        """The batch. As each message is taken from it: what it must request, and what becomes of that."""
        for index, message in enumerate(step["messages"]):
            attributes = {"replay": {"stringValue": message["replay"], "dataType": "String"}} if "replay" in message else {}
            body = json.dumps(VECTORS["events"][message["event"]])
            self.handling.append((message, step))
            self.table.faults.update(message.get("fault", {}))
            if "lease" in message["calls"]:
                self.expect("lease", message, step)
            try:
                yield {"messageId": str(index), "body": body, "messageAttributes": attributes}
            finally:
                if "mark" in message["calls"]:
                    self.expect("mark", message, step)
                self.handling.pop()
            if self.table.dead:
                return

    def step(self, step, owner):
        """One invocation."""
        self.now = VECTORS["start_ms"] + round(step["at"] * 1000)
        step = {**step, "owner": step.get("request", owner), "began": self.now}
        context = testing.context(step["owner"], step.get("left", 30_000))
        kept = len(self.kept)
        records = self.records(step)
        began = time.monotonic()
        try:
            answer = self.consumer({"Records": records}, context)
        except Died:
            answer = None
        assert time.monotonic() - began < max(step.get("left", 30_000), 1_000) / 1000  # Before Lambda stops it.
        records.close()
        lines = [json.loads(line) for line in self.capsys.readouterr().out.splitlines()]
        if self.table.dead and answer is not None:  # It died within handle, which lets nothing out.
            answer, self.table.dead = None, not lines.pop()
        self.table.dead = False
        said = [message["log"] for message in step["messages"]]
        if answer is not None:
            failed = [str(index) for index, log in enumerate(said) if log not in ("handled", "duplicate")]
            assert answer == {"batchItemFailures": [{"itemIdentifier": index} for index in failed]}
        assert (answer is None) == (None in said)
        assert "s3cr3t" not in json.dumps(lines)
        for line, expected in zip(lines, [log for log in said if log], strict=True):
            assert line.get("error", line["message"]).startswith(expected)
        assert self.kept[kept:] == [message["kept"] for message in step["messages"] if "kept" in message]
        del self.kept[kept:]


@pytest.mark.parametrize("vector", VECTORS["vectors"], ids=lambda vector: vector["name"])
def test_vector(vector, table, capsys):
    client, items = table
    world = World(client, capsys)
    for number, step in enumerate(vector["steps"], 1):
        world.step(step, f"request-{number}")
        assert world.table.requests == world.expected
        assert world.table.faults == {}
    assert sorted(items(), key=lambda item: item["pk"]["S"]) == vector["table"]


def answers(body, capsys):
    """Whether the body is an event, by what becomes of it."""
    table = testing.Table()
    answer = consumer(lambda event, state: None, table="consumed", dynamodb=table)(
        {"Records": [{"messageId": "0", "body": body}]}, testing.context()
    )
    line = capsys.readouterr().out
    assert "s3cr3t" not in line
    assert bool(answer["batchItemFailures"]) == (json.loads(line).get("error") == "not an event") == (not table.requests)
    return not answer["batchItemFailures"]


@pytest.mark.parametrize("case", VECTORS["not_events"], ids=lambda case: case["what"])
def test_not_an_event(case, capsys):
    assert not answers(case["body"], capsys)


@pytest.mark.parametrize("case", VECTORS["payloads"], ids=lambda case: case["what"])
def test_payload(case):
    payload = read(case["body"])["data"]["payload"]
    assert "payload" not in case or payload == json.loads(case["payload"])


def test_the_form_of_an_event(capsys):
    whole = {
        **ENVELOPE, "subject": "order/1", "time": "2025-01-11T16:00:00Z", "deliveryid": "1", "traceparent": "00",
        "data": {
            "resource": {"kind": "order", "id": "1"}, "amount": {"value": "1", "unit": "minor", "currency": "USD"},
            "customer": {"id": "1"}, "status": "paid", "payload": {},
        },
    }  # fmt: skip
    count = 0

    def members(form, path=()):
        for name, part in form.items():
            yield (*path, name.removesuffix("?")), part, name.endswith("?")
            if isinstance(part, dict):
                yield from members(part, (*path, name.removesuffix("?")))

    for path, part, optional in members(DESCRIPTION["event"]):
        if path[-1].startswith("payload"):
            continue
        texts = part if isinstance(part, list) else ["none"]
        missing = object()
        cases = [(missing, optional), (None, optional), (7, False), ("s3cr3t", texts == []), *((text, True) for text in texts if isinstance(part, list))]
        for value, expected in cases:
            event = json.loads(json.dumps(whole))
            parent = event
            for name in path[:-1]:
                parent = parent[name]
            parent[path[-1]] = value
            if value is missing:
                del parent[path[-1]]
            assert answers(json.dumps(event), capsys) == expected, (path, value)
            count += 1
    assert count == 100


def test_every_real_message_is_handled_once(hookgate_messages, hookgate_consume):
    seen = []
    consume = hookgate_consume(lambda event, state: seen.append(event))
    assert consume(hookgate_messages) == consume(hookgate_messages) == []
    assert len({(event["source"], event["id"]) for event in seen}) == len(seen) == len(hookgate_messages["Records"])
    large = seen[-1]
    assert (large["id"], len(large["data"]["payload"]["note"])) == ("evt_large", 1_100_000)
    assert "payload_gzip" not in large["data"]


def test_a_state_can_have_attributes_of_its_own(hookgate_batch, hookgate_consume, hookgate_table):
    def handle(event, state):
        assert state.keep_latest(event, attributes)

    attributes = {"total": {"S": "5500"}, "sort_key": {"S": "5500"}}
    assert hookgate_consume(handle)(hookgate_batch("commerce.order.paid")) == []
    (state,) = (item for pk, item in hookgate_table.items.items() if pk.startswith("latest "))
    assert state["total"] == {"S": "5500"} != state["sort_key"]


def test_options(hookgate_batch):
    table = testing.Table()
    handler = consumer(lambda event, state: None, table="other", remember=86_400.5, dynamodb=table, clock=lambda: 1_000.5)
    handler(hookgate_batch("commerce.order.paid"), testing.context())
    assert {(request["TableName"], request["Item"]["expires_at"]["N"]) for request in table.requests} == {("other", "87400")}


def with_payload(text):
    return json.dumps({**ENVELOPE, "data": {"payload": "PAYLOAD"}}, separators=(",", ":")).replace('"PAYLOAD"', text)


def test_numbers_keep_their_digits():
    payload = read(with_payload('{"a":29.990000000000001,"b":49.90,"c":%s}' % ("9" * 4_000)))["data"]["payload"]
    assert payload == {"a": Decimal("29.990000000000001"), "b": Decimal("49.90"), "c": 10**4_000 - 1}
    assert str(payload["b"]) == "49.90"


@pytest.mark.parametrize("value", ["9" * 5_000, "1e9999999999999999999", "-1.5e-9999999999999999999"])
def test_a_number_beyond_python_stays_text(value):
    assert read(with_payload('{"x":%s}' % value))["data"]["payload"] == {"x": value}


NESTED = "[" * 100_000 + "]" * 100_000
DEEP = '{"note":"\\"payload\\":]}","x":[1,{"a": %s},{}],"y":null}' % NESTED


def with_compressed(text):
    return json.dumps({**ENVELOPE, "data": {"payload_gzip": base64.b64encode(gzip.compress(text.encode())).decode()}})


def test_a_payload_too_deep_for_python_stays_text():
    for body in (with_payload(DEEP), with_compressed(f" {DEEP}\n"), with_payload(f" {DEEP}\n").replace(':"1.0"', ': "1.0"')):
        assert read(body)["data"]["payload"] == DEEP
    members = read(with_payload(DEEP)[:-2] + ',"status":"paid"},"subject":"order/1"}')
    assert (members["data"]["payload"], members["data"]["status"], members["subject"]) == (DEEP, "paid", "order/1")


@pytest.mark.parametrize(
    "payload",
    [
        DEEP[:-1], DEEP + "]", DEEP + "7", DEEP.replace("{}", "{"), DEEP.replace("null", "nul"), DEEP.replace("]}", '"'), DEEP.replace("1,", "1,,"),
        DEEP.replace("{}", "[}"), DEEP.replace('"y"', "y"), '{"x":%s,"\\"\\"\\"}' % NESTED, NESTED[:100_000], f"7,{NESTED}", f'"{NESTED}',
    ],
    ids=range(13),
)  # fmt: skip
def test_what_is_too_deep_and_not_json_is_not_an_event(payload, capsys):
    assert not answers(with_payload(payload), capsys)
    assert not answers(with_compressed(payload), capsys)


def test_what_is_too_deep_outside_the_payload_is_not_an_event(capsys):
    for body in (
        NESTED, with_payload("{}")[:-1] + f',"other":{NESTED}}}', with_payload("{}")[:-1] + f',"other":{{"payload":{NESTED}}}}}',
        with_payload(DEEP)[:-1] + f',"other":{NESTED}}}', with_payload(DEEP)[:-2] + ',"payload":1}}', with_payload(DEEP) + "x", with_payload(DEEP)[:-1],
        with_compressed("{}").replace('"data": {', f'"data": {{"status": {NESTED}, '),
    ):  # fmt: skip
        assert not answers(body, capsys)


def test_an_empty_time_is_a_time():
    event = {"type": "commerce.order.paid", "id": "1", "receivedtime": "2025-01-11T16:00:01.250Z"}
    assert sort_key({**event, "time": ""}) == ".000000000Z 50 1"
    assert sort_key({**event, "time": None}) == sort_key(event) == "2025-01-11T16:00:01.250000000Z 50 1"


async def an_async_one(event, state):
    raise AssertionError


def a_generator(event, state):
    yield


async def an_async_generator(event, state):
    yield


class AnAsyncCall:
    __call__ = an_async_one

    def method(self, event, state):
        yield


@pytest.mark.parametrize(
    "handle", [an_async_one, a_generator, an_async_generator, AnAsyncCall(), AnAsyncCall().method, functools.partial(an_async_one)], ids=range(6)
)
def test_a_handle_that_would_not_run_is_refused(handle):
    with pytest.raises(TypeError, match="asyncio.run"):
        consumer(handle)


@pytest.mark.filterwarnings("ignore:coroutine")
@pytest.mark.parametrize(
    "handle", [lambda *of: an_async_one(*of), lambda *of: a_generator(*of), lambda *of: an_async_one, lambda *of: False], ids=range(4)
)
def test_a_handle_that_returns_something_fails(handle, hookgate_batch, hookgate_consume, hookgate_table, capsys):
    assert len(hookgate_consume(handle)(hookgate_batch("commerce.order.paid"))) == 1
    assert json.loads(capsys.readouterr().out)["error"] == "handle failed: it must return None, and must not be async"
    assert len(hookgate_table.requests) == 1


@pytest.mark.parametrize("remember", [90, 86_399, 0, -1, float("nan"), float("inf"), "5184000", None, True])
def test_what_is_not_a_day_is_not_remembered(remember):
    with pytest.raises(ValueError, match="86_400"):
        consumer(print, remember=remember)


@pytest.mark.parametrize("fault", [SystemExit("s3cr3t"), asyncio.CancelledError("s3cr3t"), KeyboardInterrupt("s3cr3t"), Died("s3cr3t")])
def test_whatever_handle_raises_fails_its_message_alone(fault, hookgate_batch, hookgate_consume, capsys):
    def handle(event, state):
        if event["type"] == "commerce.order.paid":
            raise fault

    consume = hookgate_consume(handle)
    batch = hookgate_batch("commerce.order.paid", "commerce.order.cancelled")
    assert consume(batch) == [batch["Records"][0]["messageId"]]
    assert consume.errors == [fault]
    said = capsys.readouterr().out
    assert f"handle failed: {type(fault).__name__}" in said and "s3cr3t" not in said


@pytest.mark.parametrize(
    "fault",
    [
        type("s3cr3t text", (Exception,), {})(), type("e" * 65, (Exception,), {})(), type("Line\n", (Exception,), {})(),
        ClientError({"Error": {"Code": "order s3cr3t"}}, "s3cr3t"), ClientError({"Error": {"Code": ""}}, "s3cr3t"),
    ],
    ids=range(5),
)  # fmt: skip
def test_a_name_that_is_none_is_not_logged(fault, hookgate_batch, hookgate_consume, hookgate_table, monkeypatch, capsys):
    def raises(*_, **__):
        raise fault

    assert len(hookgate_consume(raises)(hookgate_batch("commerce.order.paid"))) == 1
    assert json.loads(capsys.readouterr().out)["error"] == "handle failed: Error"
    monkeypatch.setattr(hookgate_table, "put_item", raises)
    assert len(hookgate_consume(raises)(hookgate_batch("commerce.order.paid"))) == 1
    assert json.loads(capsys.readouterr().out)["error"].removeprefix("DynamoDB: ") == "Error"


def test_a_name_of_an_error_is_logged(hookgate_batch, hookgate_consume, capsys):
    def handle(event, state):
        raise ClientError({}, "none") if event["id"] == "1" else ClientError({"Error": {"Code": "Throttling.Exception_2"}}, "PutItem")

    consume = hookgate_consume(handle)
    for id, name in (("1", "None"), ("2", "Throttling.Exception_2")):
        assert len(consume(hookgate_batch("commerce.order.paid", id=id))) == 1
        assert json.loads(capsys.readouterr().out)["error"] == f"handle failed: {name}"


@pytest.fixture
def hurry(monkeypatch):
    """An invocation whose messages have 0.3 s for `handle`."""
    monkeypatch.setitem(hookgate_consumer._DESCRIPTION, "begin_margin_ms", 200)
    monkeypatch.setitem(hookgate_consumer._DESCRIPTION, "answer_margin_ms", 100)
    return testing.context(left=400)


# Each for 10 s, which is never: a test that fails must end.
def sleeps():
    time.sleep(10)


def loops():
    ends = time.monotonic() + 10
    while time.monotonic() < ends:
        pass


def tries_again():
    for _ in range(10):
        try:
            time.sleep(1)
        except Exception:
            pass


def waits_for_a_thread():
    threading.Event().wait(10)


def waits_for_a_server():
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)
        server.accept()


@pytest.mark.parametrize("hangs", [sleeps, loops, tries_again, waits_for_a_thread, waits_for_a_server, lambda: asyncio.run(asyncio.sleep(10))])
def test_a_handle_that_never_ends_fails_without_the_messages_before_it(hangs, hurry, hookgate_batch, hookgate_table, capsys):
    batch = hookgate_batch("commerce.order.paid", "commerce.order.cancelled", "commerce.payment.failed")
    handled = []

    def handle(event, state):
        handled.append(event["type"])
        if event["type"] == "commerce.order.cancelled":
            hangs()

    began = time.monotonic()
    answer = consumer(handle, table="consumed", dynamodb=hookgate_table)(batch, hurry)
    assert time.monotonic() - began < 5
    assert answer == {"batchItemFailures": [{"itemIdentifier": record["messageId"]} for record in batch["Records"][1:]]}
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line.get("error", line["message"])[:12] for line in lines] == ["handled", "no time left", "no time left"]
    assert handled == ["commerce.order.paid", "commerce.order.cancelled"]


def test_whoever_has_an_alarm_keeps_it(hookgate_batch, hookgate_consume):
    rang = []
    before = signal.signal(signal.SIGALRM, lambda *_: rang.append(True))
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    try:
        assert hookgate_consume(lambda event, state: None)(hookgate_batch("commerce.order.paid")) == []
        time.sleep(0.6)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert rang == [True]


def test_beside_the_main_thread_it_consumes_without_an_alarm(hookgate_batch, hookgate_consume):
    failed = []
    consume = hookgate_consume(lambda event, state: None)
    thread = threading.Thread(target=lambda: failed.append(consume(hookgate_batch("commerce.order.paid"))))
    thread.start()
    thread.join()
    assert failed == [[]]


@pytest.mark.parametrize("attributes", [None, {"replay": None}, {"replay": {"stringValue": None}}])
def test_a_replay_of_null_is_none(attributes, hookgate_batch, hookgate_consume, hookgate_table):
    batch = hookgate_batch("commerce.order.paid")
    batch["Records"][0]["messageAttributes"] = attributes
    assert hookgate_consume(lambda event, state: None)(batch) == []
    assert [key.startswith("/webhooks/") for key in hookgate_table.items] == [True]


@pytest.fixture
def own_client(monkeypatch):
    """The settings of the client that a consumer makes for itself."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "local")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    return monkeypatch


@pytest.mark.parametrize("answer", [b"<html>s3cr3t</html>", b"", b"[]", b"7", b"{}"])
def test_only_dynamodbs_json_is_a_success(answer, own_client, hookgate_batch, capsys):
    handler = consumer(lambda event, state: None, table="consumed")
    raw = type("Raw", (), {"stream": lambda self: iter([answer])})
    handler._dynamodb.meta.events.register("before-send.dynamodb", lambda **_: AWSResponse("", 200, {}, raw()))
    failed = handler(hookgate_batch("commerce.order.paid"), testing.context())["batchItemFailures"]
    said = json.loads(capsys.readouterr().out)
    # On JSON that is no object boto3 itself breaks off.
    error = {b"{}": None, b"[]": "AttributeError", b"7": "AttributeError"}.get(answer, "DynamoDB: ResponseParserError")
    assert (len(failed), said.get("error")) == (int(answer != b"{}"), error)


def test_a_table_that_does_not_answer_takes_less_than_the_margin(own_client, hookgate_batch, capsys):
    with socket.create_server(("127.0.0.1", 0)) as server:
        own_client.setenv("AWS_ENDPOINT_URL_DYNAMODB", f"http://127.0.0.1:{server.getsockname()[1]}")
        began = time.monotonic()
        failed = consumer(print, table="consumed")(hookgate_batch("commerce.order.paid"), testing.context())["batchItemFailures"]
        assert time.monotonic() - began < DESCRIPTION["begin_margin_ms"] / 1000
    assert (len(failed), json.loads(capsys.readouterr().out)["error"]) == (1, "DynamoDB: ReadTimeoutError")


def test_a_retry_can_be_tested(hookgate_batch, hookgate_consume, hookgate_table):
    first = True

    def handle(event, state):
        nonlocal first
        first, failing = False, first
        if failing:
            raise RuntimeError("once")

    batch = hookgate_batch("commerce.order.paid", type="commerce.order.boxed", replay="june")
    assert batch["Records"][0]["messageAttributes"]["type"]["stringValue"] == "commerce.order.boxed"
    consume = hookgate_consume(handle)
    assert consume(batch) == [batch["Records"][0]["messageId"]]
    assert [str(error) for error in consume.errors] == ["once"]
    # Another one behind the same table.
    assert hookgate_consume(handle)(batch) == []
    assert list(hookgate_table.items)[0].startswith("replay june /webhooks/")
    owners = {request["Item"]["owner"]["S"] for request in hookgate_table.requests}
    assert (len(hookgate_table.requests), len(owners)) == (3, 2)


def test_without_its_table_it_ends_and_names_it(monkeypatch):
    monkeypatch.delenv("CONSUMED_TABLE_NAME", raising=False)
    answer = consumer(lambda event, state: None, dynamodb=testing.Table())
    with pytest.raises(hookgate_consumer.NoTable, match="CONSUMED_TABLE_NAME"):
        answer(testing.batch("commerce.order.paid"), testing.context())


def orders(events):
    """Every order of up to six events; of more, as many, mixed by a fixed seed."""
    if len(events) <= 6:
        return itertools.permutations(events)
    mixed = random.Random(6)
    return (mixed.sample(events, len(events)) for _ in range(math.factorial(6)))


def test_stages_and_sort_keys():
    assert all(stage(name) == number for name, number in DESCRIPTION["stages"].items())
    assert stage("commerce.order.returned") == 0
    assert all(sort_key(event) == event["sort_key"] for life in ORDER["lives"] for event in life["events"])


def test_every_permutation_ends_in_the_same_state(capsys):
    """As messages, through the table."""
    permutations = 0
    for life in ORDER["lives"]:
        bodies = [json.dumps({**ENVELOPE, **event}) for event in life["events"]]
        latest = next(event["sort_key"] for event in life["events"] if event["id"] == life["latest"])
        for order in orders(bodies):
            permutations += 1
            table = testing.Table()
            keep = consumer(lambda event, state: (state.keep_latest(event), None)[1], table="consumed", dynamodb=table)
            answer = keep({"Records": [{"messageId": str(index), "body": body} for index, body in enumerate(order)]}, testing.context())
            assert answer == {"batchItemFailures": []}
            (state,) = (item for pk, item in table.items.items() if pk.startswith("latest "))
            assert state["sort_key"]["S"] == latest, life["name"]
    assert permutations == sum(math.factorial(min(len(life["events"]), 6)) for life in ORDER["lives"])
    print(permutations, "permutations")


def test_every_permutation_with_a_duplicate_ends_in_the_same_state():
    """By the sort keys alone: each event once more, at every place."""
    sequences = 0
    for life in ORDER["lives"]:
        latest = max(event["sort_key"] for event in life["events"])
        assert latest == next(event["sort_key"] for event in life["events"] if event["id"] == life["latest"])
        for order in orders([event["sort_key"] for event in life["events"]]):
            for copy, place in itertools.product(order, range(len(order) + 1)):
                held = ""
                for key in (*order[:place], copy, *order[place:]):
                    held = max(held, key)
                assert held == latest
                sequences += 1
    print(sequences, "with a duplicate")
