#!/usr/bin/env python3
"""Events are archived, handled wrongly, replayed, and then handled exactly once more, though the replay is killed several times.

    tests/replay.py [EVENTS [SEED]]

The way is the real one: signed deliveries to the local intake; its events through fan-out.yaml and archive.yaml, deployed to
MiniStack; the bucket's files; `hookgate replay`; a consumer that keeps its marks in DynamoDB. Needs `cargo build --bin hookgate`,
and what .ci/run installs.
"""

import collections
import contextlib
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import types

from emulator import client, ministack
from template import PROVIDERS, ROOT

HOOKGATE = os.environ.get("HOOKGATE", ROOT / "target/debug/hookgate")
SCRATCH = ROOT / "target/replay"
EVENTS = int(sys.argv[1]) if len(sys.argv) > 1 else 200
SEED = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(1_000_000)
KILLS, WORKERS = 3, 4
# More than Firehose takes in a record, less than a queue takes in a message.
BETWEEN = 1_030_000

began = time.monotonic()


def say(*words):
    print(f"{time.monotonic() - began:6.1f} s ", *words, file=sys.__stdout__, flush=True)


def until(what, seconds=60):
    for _ in range(seconds * 10):
        if found := what():
            return found
        time.sleep(0.1)
    raise SystemExit("it does not come")


@contextlib.contextmanager
def intake():
    """The local intake: addresses of the deliveries, DynamoDB and SQS."""
    command = [HOOKGATE, "--no-samples", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        urls = []
        for line in process.stdout:
            urls += [word for word in line.split() if word.startswith("http://")]
            if line.startswith("Waiting"):
                break
        threading.Thread(target=lambda: collections.deque(process.stdout, 0), daemon=True).start()
        yield urls[1], urls[2], urls[3]
    finally:
        process.terminate()
        process.wait()


def deploy(aws, name, template, **parameters):
    cloudformation = client(aws, "cloudformation")
    given = [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()]
    body = (ROOT / "docs/consumers" / template).read_text()
    cloudformation.create_stack(StackName=name, TemplateBody=body, Parameters=given, Capabilities=["CAPABILITY_IAM"])
    cloudformation.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 1})
    outputs = cloudformation.describe_stacks(StackName=name)["Stacks"][0]["Outputs"]
    return {each["OutputKey"]: each["OutputValue"] for each in outputs}


def archive(aws, events):
    """Through both templates. Gives the files."""
    sqs, s3 = client(aws, "sqs"), client(aws, "s3")
    queue = sqs.create_queue(QueueName="hookgate-events", Attributes={"MaximumMessageSize": "1048576", "VisibilityTimeout": "180"})["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    fan_out = deploy(aws, "fan-out", "fan-out.yaml", EventsQueueArn=arn)
    outputs = deploy(aws, "archive", "archive.yaml", TopicArn=fan_out["TopicArn"])
    say("deployed")

    def send(texts, **more):
        entries = []
        for place, text in enumerate(texts):
            attributes = {name: json.loads(text)[name] for name in ("type", "provider", "account")} | more
            attributes = {name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()}
            entries.append({"Id": str(place), "MessageBody": text, "MessageAttributes": attributes})
        assert not sqs.send_message_batch(QueueUrl=queue, Entries=entries).get("Failed")

    # These are not archived: what was replayed, since it came from there; and what is larger than a record.
    send(events[:1], replay="fix-0")
    large = events[0].replace('"payload":', '"payload":"%s","x":' % ("x" * BETWEEN))
    send([large])
    for start in range(0, len(events), 10):
        send(events[start : start + 10])

    def keys():
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=outputs["BucketName"])
        return [each["Key"] for page in pages for each in page.get("Contents", [])]

    until(lambda: len(keys()) >= len(events), 600)
    folder = SCRATCH / "files"
    for key in keys():
        event = s3.get_object(Bucket=outputs["BucketName"], Key=key)["Body"].read()
        folder_of_all, day, provider, _ = key.split("/")
        assert folder_of_all == "events", key
        (folder / day).mkdir(parents=True, exist_ok=True)
        with (folder / day / f"{provider}.gz").open("ab") as file:
            file.write(event)
    undelivered = sqs.receive_message(QueueUrl=outputs["UndeliveredQueueUrl"], WaitTimeSeconds=5)["Messages"]
    assert [message["Body"] for message in undelivered] == [large], "what is too large for Firehose is not lost"
    return sorted(map(str, folder.glob("*/*")))


def function(handle):
    """The consumer in Python, a Lambda function."""
    sys.path.insert(0, str(ROOT / "docs/consumers/python"))
    import consumer

    consumer.handle = lambda event, _: handle(event)
    return consumer.handler


class Consumer:
    """Several invocations at the same time. `handle` can be exchanged while they run."""

    def __init__(self, dynamodb_url, sqs_url, handle):
        os.environ |= {"AWS_ENDPOINT_URL_DYNAMODB": dynamodb_url, "CONSUMED_TABLE_NAME": "consumed", "AWS_DEFAULT_REGION": "us-east-1"}
        os.environ |= {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}
        self.handle, self.messages, self.handled, self.lock = handle, 0, collections.Counter(), threading.Lock()
        self.function = function(lambda event: self.handle(event))
        key = {"AttributeName": "pk"}
        client(os.environ | {"AWS_ENDPOINT_URL": dynamodb_url}, "dynamodb").create_table(
            TableName="consumed", BillingMode="PAY_PER_REQUEST",
            KeySchema=[key | {"KeyType": "HASH"}], AttributeDefinitions=[key | {"AttributeType": "S"}],
        )  # fmt: skip
        self.sqs = client(os.environ | {"AWS_ENDPOINT_URL": sqs_url}, "sqs")
        self.queue = self.sqs.get_queue_url(QueueName="hookgate-events")["QueueUrl"]
        self.running = True
        self.workers = [threading.Thread(target=self.work) for _ in range(WORKERS)]
        for worker in self.workers:
            worker.start()

    def work(self):
        ask = {"QueueUrl": self.queue, "MaxNumberOfMessages": 10, "WaitTimeSeconds": 1, "MessageAttributeNames": ["All"]}
        for number in itertools.takewhile(lambda _: self.running, itertools.count()):
            messages = self.sqs.receive_message(**ask).get("Messages", [])
            if not messages:
                continue
            lambda_form = {"Records": [
                {
                    "messageId": message["MessageId"],
                    "body": message["Body"],
                    "messageAttributes": {name: {"stringValue": each["StringValue"]} for name, each in message["MessageAttributes"].items()},
                }
                for message in messages
            ]}  # fmt: skip
            request = f"{threading.get_ident()}-{number}"
            context = types.SimpleNamespace(aws_request_id=request, get_remaining_time_in_millis=lambda: 30_000)
            failed = {each["itemIdentifier"] for each in self.function(lambda_form, context)["batchItemFailures"]}
            done = [
                {"Id": str(place), "ReceiptHandle": message["ReceiptHandle"]}
                for place, message in enumerate(messages)
                if message["MessageId"] not in failed
            ]
            with self.lock:
                self.messages += len(done)
            if done:
                self.sqs.delete_message_batch(QueueUrl=self.queue, Entries=done)

    def close(self):
        self.running = False
        for worker in self.workers:
            worker.join()

    def waiting(self):
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        held = self.sqs.get_queue_attributes(QueueUrl=self.queue, AttributeNames=names)["Attributes"]
        return sum(map(int, held.values()))

    def until_empty(self):
        until(lambda: self.waiting() == 0, 3600)

    def count(self, event):
        with self.lock:
            self.handled[event["source"], event["id"]] += 1


def main():
    say(f"{EVENTS} events, seed {SEED}")
    random.seed(SEED)
    with intake() as (deliveries, dynamodb_url, sqs_url):
        where = ["--sqs", sqs_url, "--dynamodb", dynamodb_url]

        def hookgate(*arguments, code=0):
            done = subprocess.run([HOOKGATE, *arguments], capture_output=True, text=True)
            assert done.returncode == code, (arguments[:3], done.returncode, done.stderr, done.stdout[-500:])
            return done.stdout + done.stderr

        platforms = sorted(PROVIDERS)[:3]
        for place, platform in enumerate(platforms):
            count = len(range(place, EVENTS, len(platforms)))
            name = hookgate("send", platform, code=2).split("'s: ", 1)[1].split(", ")[0]  # What it may be, says the error.
            hookgate("send", platform, name, "--repeat", str(count), "--concurrency", "8", "--url", deliveries)
        lines = hookgate("tail", "--once", "--json", *where).splitlines()
        ids = {(event["source"], event["id"]) for event in map(json.loads, lines)}
        assert len(lines) == len(ids) == EVENTS, (len(lines), len(ids))
        say(f"queued, of {len(platforms)} platforms")

        with ministack(SCRATCH, secure=False) as aws:
            files = archive(aws, lines)
        say(f"archived, in {len(files)} files")

        sys.stdout = open(os.devnull, "w")  # Its log.
        consumer = Consumer(dynamodb_url, sqs_url, handle=lambda event: None)  # The bug.
        with contextlib.closing(consumer):
            consumer.until_empty()
            assert consumer.messages == EVENTS, consumer.messages
            say("consumed by a consumer that marks each as handled, and does nothing")

            consumer.handle = consumer.count
            replay = ["replay", *files, "--name", "fix-1", *where]
            rate = max(100, EVENTS // 10)
            for number in range(KILLS):
                before, place = consumer.messages, random.randrange(EVENTS // 20, EVENTS * 8 // 10)
                process = subprocess.Popen([HOOKGATE, *replay, "--rate", str(rate)], stderr=subprocess.DEVNULL)
                until(lambda: consumer.messages - before + consumer.waiting() >= place)
                process.send_signal(signal.SIGKILL)
                assert process.wait() == -signal.SIGKILL, "the replay ended before it was killed"
                consumer.until_empty()
                assert consumer.messages - before < EVENTS
                say(f"replay killed after {consumer.messages - before}: {len(consumer.handled)} handled")
            said = hookgate(*replay)
            assert said.startswith(f"Sent {EVENTS} of {EVENTS} events as fix-1"), said
            consumer.until_empty()
            say(f"replayed to its end: {consumer.messages - EVENTS} messages")
            assert set(consumer.handled) == ids, "missing, or never sent"
            assert set(consumer.handled.values()) == {1}, "handled twice"
            say(f"{len(ids)} handled, each exactly once more")

            before = consumer.messages
            hookgate(*replay)
            consumer.until_empty()
            assert consumer.messages - before == EVENTS and set(consumer.handled.values()) == {1}
            say(f"replayed again under its name: {EVENTS} messages, none handled")
            said = hookgate(*replay, "--account", "default", code=2)
            assert "fix-1 was a replay with other filters: nothing was sent" in said and consumer.waiting() == 0, said
            say("with other filters: refused")


main()
