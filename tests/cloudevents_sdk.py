"""Starts the local intake, reads what the samples left on its queue with another project's SDKs, and holds it against
docs/contract."""

import json
import re
import subprocess
import sys
from pathlib import Path

import boto3
import yaml
from cloudevents.v1.http import from_json
from jsonschema import Draft202012Validator

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
    endpoint = re.search(r"^ *SQS +(http://\S+)", text, re.M)[1]
    samples = int(re.search(r"^(\d+) samples", text, re.M)[1])
    sqs = boto3.client(
        "sqs", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="local", aws_secret_access_key="local"
    )
    queue = sqs.get_queue_url(QueueName="hookgate-events")["QueueUrl"]
    everything = {"MessageAttributeNames": ["All"], "MessageSystemAttributeNames": ["All"], "MaxNumberOfMessages": 10}
    messages = []
    while batch := sqs.receive_message(QueueUrl=queue, **everything).get("Messages"):
        messages += batch
finally:
    intake.terminate()
    intake.wait(10)

events = [from_json(message["Body"]) for message in messages]
for event in events:
    assert event["specversion"] == "1.0", event
    assert event["type"].startswith("commerce."), event
    assert event["source"] == f"/webhooks/{event['provider']}/{event['account']}", event
    assert event.data["payload"], event
keys = {(event["source"], event["id"]) for event in events}
assert samples > 0 and len(events) == len(keys) == samples, f"{len(events)} events, {len(keys)} keys, {samples} samples"

contract = Path(__file__).parent.parent / "docs/contract"
schema = json.loads((contract / "event.schema.json").read_text())
Draft202012Validator.check_schema(schema)
described = yaml.safe_load((contract / "asyncapi.yaml").read_text())["components"]["messages"]["event"]
attributes = described["headers"]["required"]
examples = [json.loads(message["Body"]) for message in messages] + [each["payload"] for each in described["examples"]]
for event in examples:
    Draft202012Validator(schema).validate(event)
for message in messages:
    event = json.loads(message["Body"])
    sent = {name: attribute["StringValue"] for name, attribute in message["MessageAttributes"].items()}
    assert sent == {name: event[name] for name in attributes}, sent
    assert message["Attributes"]["MessageGroupId"] == f"{event['provider']}/{event['account']}", message["Attributes"]
assert not Draft202012Validator(schema).is_valid(examples[0] | {"id": None})
print(f"{len(events)} events parsed, and valid by docs/contract", file=sys.stderr)
