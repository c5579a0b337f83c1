"""The Python consumer on real messages and moto's DynamoDB: `python3 -m unittest` (needs boto3 and moto)."""

import base64
import gzip
import itertools
import json
import math
import os
import random
import time
import unittest
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import boto3
from moto import mock_aws

os.environ |= {"AWS_DEFAULT_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}
os.environ["CONSUMED_TABLE_NAME"] = "consumed"
BATCH = json.loads((Path(__file__).parent.parent / "messages.json").read_text())
ORDER = json.loads((Path(__file__).parents[2] / "contract/order.json").read_text())

import consumer  # noqa: E402 (after the settings)


def context(request_id="request-1", left=30_000):
    return SimpleNamespace(aws_request_id=request_id, get_remaining_time_in_millis=lambda: left)


def of(*bodies):
    return {"Records": [{"messageId": str(place), "body": body} for place, body in enumerate(bodies)]}


def failed(answer):
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


def orders(events, most):
    """Every order of up to `most` events; of more, as many orders, mixed by a fixed seed."""
    if len(events) <= most:
        return itertools.permutations(events)
    mixed = random.Random(most)
    return (mixed.sample(events, len(events)) for _ in range(math.factorial(most)))


def repeated(order):
    """The order with each of its events once more, at every place."""
    return ([*order[:place], copy, *order[place:]] for copy in order for place in range(len(order) + 1))


@mock_aws
class Consumer(unittest.TestCase):
    def setUp(self):
        self.dynamodb = boto3.client("dynamodb")
        self.dynamodb.create_table(
            TableName="consumed",
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        )
        self.handled = []
        patches = [
            mock.patch.object(consumer, "dynamodb", self.dynamodb),
            mock.patch.object(consumer, "handle", self.handled.append),
            mock.patch("builtins.print"),
        ]
        for patch in patches:
            patch.start()
            self.addCleanup(patch.stop)
        bodies = [record["body"] for record in BATCH["Records"]]
        self.one = next(body for body in bodies if '"type":"commerce.order.paid"' in body)
        self.other = next(body for body in bodies if body != self.one)

    def test_each_event_is_handled_once(self):
        self.assertEqual(failed(consumer.handler(BATCH, context())), [])
        self.assertEqual(failed(consumer.handler(BATCH, context("request-2"))), [])
        keys = {(event["source"], event["id"]) for event in self.handled}
        self.assertEqual((len(self.handled), len(keys)), (len(BATCH["Records"]),) * 2)
        self.assertTrue(all(event["type"].startswith("commerce.") and event["data"]["payload"] for event in self.handled))
        large = self.handled[-1]
        self.assertEqual((large["id"], len(large["data"]["payload"]["note"])), ("evt_large", 1_100_000))

    def test_the_example_handles_every_message(self):
        mock.patch.stopall()
        with mock.patch.object(consumer, "dynamodb", self.dynamodb), mock.patch("builtins.print") as log:
            self.assertEqual(failed(consumer.handler(BATCH, context())), [])
        lines = [json.loads(call.args[0]) for call in log.call_args_list]
        self.assertEqual(sum(line["message"] == "handle" for line in lines), len(BATCH["Records"]))
        self.assertIn("fulfil", {line.get("to_do") for line in lines})

    def test_a_copy_in_the_batch_is_handled_once_and_what_is_no_event_fails_alone(self):
        closed = json.loads(self.one)
        closed["data"] = {"payload_gzip": "c2VjcmV0"}
        empty = json.loads(self.one)
        empty["data"] = {}
        batch = of(self.one, "no json", self.one, json.dumps(closed), json.dumps(empty), self.other)
        self.assertEqual(failed(consumer.handler(batch, context())), ["1", "3", "4"])
        self.assertEqual(len(self.handled), 2)

    def test_a_replayed_event_is_handled_once_for_each_replay(self):
        for name, count in [(None, 1), ("fix-1", 2), ("fix-1", 2), ("fix-2", 3), (None, 3)]:
            batch = of(self.one)
            if name:
                batch["Records"][0]["messageAttributes"] = {"replay": {"stringValue": name, "dataType": "String"}}
            self.assertEqual(failed(consumer.handler(batch, context(f"request-{name}-{count}"))), [])
            self.assertEqual(len(self.handled), count, name)

    def test_numbers_keep_their_digits(self):
        body = self.one.replace('"payload":{', '"payload":{"digits":29.990000000000001,', 1)
        self.assertEqual(consumer.read(body)["data"]["payload"]["digits"], Decimal("29.990000000000001"))

    def test_what_python_cannot_build_stays_text(self):
        deep = "[" * 100_000 + "]" * 100_000
        odd = {"digits": "9" * 5_000, "exponent": "1e9999999999999999999", "small": "-1.5e-9999999999999999999", "deep": deep}
        for name, value in odd.items():
            payload = '{"note":"\\"payload\\":","x":%s}' % value
            body = self.one.partition('"payload":')[0] + '"payload":' + payload + "}}"
            compressed = self.one.partition('"payload":')[0] + '"payload_gzip":"%s"}}'
            compressed %= base64.b64encode(gzip.compress(payload.encode())).decode()
            for text in (body, compressed):
                with self.subTest(name, compressed=text is compressed):
                    read = consumer.read(text)["data"]["payload"]
                    self.assertEqual(read if name == "deep" else read["x"], payload if name == "deep" else value)
                    text = text.replace('"id":"evt_', f'"id":"evt_{name}{len(text)}_', 1)
                    self.assertEqual(failed(consumer.handler(of(text), context())), [])
        # Digits that fit are numbers.
        body = self.one.replace('"payload":{', '"payload":{"digits":%s,' % ("9" * 4_000), 1)
        self.assertEqual(consumer.read(body)["data"]["payload"]["digits"], 10**4_000 - 1)

    def test_a_failure_is_handled_again_when_its_lease_is_over(self):
        batch = of(self.one)
        with mock.patch.object(consumer, "handle", side_effect=RuntimeError):
            self.assertEqual(failed(consumer.handler(batch, context(left=6_000))), ["0"])
        self.assertEqual(failed(consumer.handler(batch, context("request-2"))), ["0"])
        self.assertEqual(self.handled, [])
        later = time.time() + 8.1
        with mock.patch.object(consumer.time, "time", lambda: later):
            self.assertEqual(failed(consumer.handler(batch, context("request-3"))), [])
        self.assertEqual(failed(consumer.handler(batch, context("request-4"))), [])
        self.assertEqual(len(self.handled), 1)

    def test_without_time_nothing_is_begun(self):
        self.assertEqual(failed(consumer.handler(of(self.one), context(left=4_999))), ["0"])
        self.assertEqual(self.handled, [])

    def state(self, source="/webhooks/platform/default", subject="order/1"):
        item = self.dynamodb.get_item(TableName="consumed", Key={"pk": {"S": f"latest {source} {subject}"}})["Item"]
        return item["sort_key"]["S"].split(" ", 2)[2]

    def of_life(self, name):
        """The messages of a resource's events, and of the contract's."""
        life = next(life for life in ORDER["lives"] if life["name"] == name)
        envelope = {"specversion": "1.0", "source": "/webhooks/platform/default", "data": {"payload": {}}}
        return [json.dumps({**envelope, **event}) for event in life["events"]]

    def test_stages_and_sort_keys_are_those_of_the_contract(self):
        for name, stage in ORDER["stages"].items():
            self.assertEqual(consumer.stage({"type": name}), stage, name)
        self.assertLessEqual(set(consumer.STAGE_OF), set(ORDER["stages"]))
        self.assertEqual(consumer.stage({"type": "commerce.order.returned"}), 0)
        for event in itertools.chain.from_iterable(life["events"] for life in ORDER["lives"]):
            self.assertEqual(consumer.sort_key(event), event["sort_key"])

    def test_every_permutation_and_every_duplicate_sorts_to_the_same_state(self):
        permuted = 0
        for life in ORDER["lives"]:
            for order in orders([(consumer.sort_key(event), event["id"]) for event in life["events"]], 6):
                permuted += 1
                for events in itertools.chain([order], repeated(order)):
                    held = ("", None)
                    for event in events:
                        held = event if held[0] <= event[0] else held
                    self.assertEqual(held[1], life["latest"], life["name"])
        self.assertEqual(permuted, sum(math.factorial(min(len(life["events"]), 6)) for life in ORDER["lives"]))

    def test_every_permutation_ends_in_the_same_state_in_the_table(self):
        # Each permutation as it is, and with each event a second time at a random place.
        mixed, permuted = random.Random(0), 0
        small = [life for life in ORDER["lives"] if len(life["events"]) <= 3]
        for life in small:
            for order in itertools.permutations(life["events"]):
                twice = [*order]
                for event in order:
                    twice.insert(mixed.randrange(len(twice) + 1), event)
                for events in (order, twice):
                    permuted += 1
                    source = f"/webhooks/platform/{permuted}"
                    for event in events:
                        consumer.keep_latest({**event, "source": source, "data": {}})
                    self.assertEqual(self.state(source, event["subject"]), life["latest"], life["name"])
        self.assertEqual(permuted, 2 * sum(math.factorial(len(life["events"])) for life in small))

    def test_a_late_cancellation_does_not_undo_the_payment_that_came_after_it(self):
        created, cancelled, paid = self.of_life("paid after its cancellation, which comes late")
        with mock.patch.object(consumer, "handle", consumer.keep_latest):
            for messages in ((created, paid), (cancelled, cancelled)):
                self.assertEqual(failed(consumer.handler(of(*messages), context())), [])
        self.assertEqual(self.state(), "c")
        # A repeat passes, so that it can be finished.
        self.assertEqual([consumer.keep_latest(json.loads(body)) for body in (cancelled, paid)], [False, True])

    def test_whatever_fails_the_latest_event_remains(self):
        a, b, c = self.of_life("paid after its cancellation, which comes late")
        later = time.time()
        for number, (fails_at, messages) in enumerate([
            # The latest was written, then handling failed; an older one came; the latest came again.
            ("after", (c, b, c)),
            # The latest failed before it was written and became a dead letter; older ones came; it was redriven.
            ("before", (c, a, b, c)),
            # An older one failed, and was redriven after a later one.
            ("before", (b, c, b)),
            ("after", (b, c, b)),
        ]):
            with self.subTest(number):
                messages = [body.replace("platform/default", f"platform/{number}") for body in messages]
                fails = [True]

                def handle(event):
                    if fails_at == "after":
                        consumer.keep_latest(event)
                    if fails.pop() if fails else False:
                        raise RuntimeError
                    if fails_at == "before":
                        consumer.keep_latest(event)
                    self.handled.append(event)

                with mock.patch.object(consumer, "handle", handle):
                    for place, body in enumerate(messages):
                        later += 60
                        with mock.patch.object(consumer.time, "time", lambda: later):
                            answer = consumer.handler(of(body), context(f"request-{number}-{place}"))
                        self.assertEqual(failed(answer), ["0"] if place == 0 else [])
                self.assertEqual(self.state(f"/webhooks/platform/{number}"), "c")
                self.assertEqual(len(self.handled), len(messages) - 1)
                self.handled.clear()

    def test_an_event_without_a_resource_keeps_no_state(self):
        event = json.loads(self.one)
        del event["subject"]
        self.assertFalse(consumer.keep_latest(event))
        self.assertEqual(self.dynamodb.scan(TableName="consumed")["Count"], 0)


if __name__ == "__main__":
    unittest.main()
