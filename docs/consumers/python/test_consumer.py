"""The Python consumer on real messages and moto's DynamoDB: `python3 -m unittest` (needs boto3 and moto)."""

import base64
import gzip
import json
import os
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

import consumer  # noqa: E402 (after the settings)


def context(request_id="request-1", left=30_000):
    return SimpleNamespace(aws_request_id=request_id, get_remaining_time_in_millis=lambda: left)


def of(*bodies):
    return {"Records": [{"messageId": str(place), "body": body} for place, body in enumerate(bodies)]}


def failed(answer):
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


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


if __name__ == "__main__":
    unittest.main()
