"""Starts the local intake, and reads what the samples left on its queue with another project's SDKs."""

import re
import subprocess
import sys

import boto3
from cloudevents.v1.http import from_json

intake = subprocess.Popen(
    ["target/debug/hookgate", "--listen", "127.0.0.1:0", "--dynamodb", "127.0.0.1:0", "--sqs", "127.0.0.1:0"],
    stdout=subprocess.PIPE,
    text=True,
)
try:
    lines = []
    for line in intake.stdout:
        lines.append(line)
        if line.startswith("Waiting for deliveries"):
            break
    text = "".join(lines)
    endpoint = re.search(r"^SQS +(http://\S+)", text, re.M)[1]
    samples = int(re.search(r"^(\d+) samples", text, re.M)[1])
    sqs = boto3.client(
        "sqs", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="local", aws_secret_access_key="local"
    )
    queue = sqs.get_queue_url(QueueName="hookgate-events")["QueueUrl"]
    events = []
    while messages := sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages"):
        events += [from_json(message["Body"]) for message in messages]
finally:
    intake.terminate()
    intake.wait(10)

for event in events:
    assert event["specversion"] == "1.0", event
    assert event["type"].startswith("commerce."), event
    assert event["source"] == f"/webhooks/{event['provider']}/{event['account']}", event
    assert event.data["payload"], event
keys = {(event["source"], event["id"]) for event in events}
assert samples > 0 and len(events) == len(keys) == samples, f"{len(events)} events, {len(keys)} keys, {samples} samples"
print(f"{len(events)} events parsed", file=sys.stderr)
