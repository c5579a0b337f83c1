"""The package against docs/contract/consumer.json and the vectors that every language passes: for each message the exact requests,
the answer and the log line, then what the table holds. On the table in memory and, where it is installed, on moto's DynamoDB."""

import base64
import gzip
import itertools
import json
import math
import random
from decimal import Decimal
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError

import hookgate_consumer
from hookgate_consumer import consumer, read, sort_key, stage, testing

CONTRACT = Path(__file__).parents[3] / "docs/contract"
DESCRIPTION, VECTORS, ORDER = (
    json.loads((CONTRACT / name).read_text("utf-8")) for name in ("consumer.json", "consumer-vectors.json", "order.json")
)
ENVELOPE = {name: value for name, value in VECTORS["events"]["paid"].items() if name not in ("subject", "time")}


class Died(BaseException):
    """The process."""


class Faulty:
    """A table whose calls fail as a vector says."""

    def __init__(self, table):
        self.table, self.faults, self.requests = table, {}, []

    def put_item(self, **request):
        self.requests.append(request)
        item = request["Item"]
        call = "latest" if "sort_key" in item else "lease" if "lease_until" in item else "mark"
        fault = self.faults.pop(call, None)
        lost = ClientError({"Error": {"Code": "InternalServerError"}}, "PutItem")
        if fault == "refused":
            raise lost
        if fault == "dies before":
            raise Died
        if fault == "repeated":
            self.table.put_item(**request)
        answer = self.table.put_item(**request)
        if fault == "dies after":
            raise Died
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
                raise Died
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

    def step(self, step, owner):
        """One invocation."""
        self.now = VECTORS["start_ms"] + round(step["at"] * 1000)
        step = {**step, "owner": step.get("request", owner), "began": self.now}
        context = testing.context(step["owner"], step.get("left", 30_000))
        kept = len(self.kept)
        records = self.records(step)
        try:
            answer = self.consumer({"Records": records}, context)
        except Died:
            answer = None
        records.close()
        said = [message["log"] for message in step["messages"]]
        if answer is not None:
            failed = [str(index) for index, log in enumerate(said) if log not in ("handled", "duplicate")]
            assert answer == {"batchItemFailures": [{"itemIdentifier": index} for index in failed]}
        assert (answer is None) == (None in said)
        lines = [json.loads(line) for line in self.capsys.readouterr().out.splitlines()]
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
    attributes = {"total": {"S": "5500"}, "sort_key": {"S": "5500"}}
    assert hookgate_consume(lambda event, state: state.keep_latest(event, attributes))(hookgate_batch("commerce.order.paid")) == []
    (state,) = (item for pk, item in hookgate_table.items.items() if pk.startswith("latest "))
    assert state["total"] == {"S": "5500"} != state["sort_key"]


def test_options(hookgate_batch):
    table = testing.Table()
    handler = consumer(lambda event, state: None, table="other", remember=7, dynamodb=table, clock=lambda: 1_000.5)
    handler(hookgate_batch("commerce.order.paid"), testing.context())
    assert {(request["TableName"], request["Item"]["expires_at"]["N"]) for request in table.requests} == {("other", "1007")}


def with_payload(text):
    return json.dumps({**ENVELOPE, "data": {"payload": "PAYLOAD"}}, separators=(",", ":")).replace('"PAYLOAD"', text)


def test_numbers_keep_their_digits():
    payload = read(with_payload('{"a":29.990000000000001,"b":49.90,"c":%s}' % ("9" * 4_000)))["data"]["payload"]
    assert payload == {"a": Decimal("29.990000000000001"), "b": Decimal("49.90"), "c": 10**4_000 - 1}
    assert str(payload["b"]) == "49.90"


@pytest.mark.parametrize("value", ["9" * 5_000, "1e9999999999999999999", "-1.5e-9999999999999999999"])
def test_a_number_beyond_python_stays_text(value):
    assert read(with_payload('{"x":%s}' % value))["data"]["payload"] == {"x": value}


def test_a_payload_too_deep_for_python_stays_text():
    deep = '{"note":"\\"payload\\":","x":%s}' % ("[" * 100_000 + "]" * 100_000)
    assert read(with_payload(deep))["data"]["payload"] == deep
    compressed = {"payload_gzip": base64.b64encode(gzip.compress(deep.encode())).decode()}
    assert read(json.dumps({**ENVELOPE, "data": compressed}))["data"]["payload"] == deep


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
            keep = consumer(lambda event, state: state.keep_latest(event), table="consumed", dynamodb=table)
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
