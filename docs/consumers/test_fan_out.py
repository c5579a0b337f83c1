"""fan-out.yaml on moto: each queue gets what it asked for, byte for byte (`python3 -m unittest`; boto3, moto, PyYAML)."""

import json
import os
import unittest
from pathlib import Path

import boto3
import yaml
from moto import mock_aws

HERE = Path(__file__).parent
BATCH = json.loads((HERE / "messages.json").read_text())

os.environ |= {"AWS_DEFAULT_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}


class Plain(yaml.SafeLoader):
    """YAML in which CloudFormation's short forms are text: !GetAtt X.Arn is "X.Arn"."""


Plain.add_multi_constructor("!", lambda loader, tag, node: node.value if isinstance(node, yaml.ScalarNode) else None)
RESOURCES = {
    name: resource["Properties"] | {"Type": resource["Type"]}
    for name, resource in yaml.load((HERE / "fan-out.yaml").read_text(), Plain)["Resources"].items()
}


@mock_aws
class FanOut(unittest.TestCase):
    def test_each_queue_gets_what_it_asked_for_byte_for_byte(self):
        # moto's CloudFormation knows no subscriptions, and its Lambda needs Docker: the template's parts, one by one.
        sns, sqs = boto3.client("sns"), boto3.client("sqs")
        topic = os.environ["TOPIC_ARN"] = sns.create_topic(Name="topic")["TopicArn"]
        queues = {}
        for resource in RESOURCES.values():
            if resource["Type"] != "AWS::SNS::Subscription":
                continue
            name = resource["Endpoint"].removesuffix(".Arn")
            queues[name] = sqs.create_queue(QueueName=name)["QueueUrl"]
            arn = sqs.get_queue_attributes(QueueUrl=queues[name], AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
            attributes = {"RawMessageDelivery": json.dumps(resource["RawMessageDelivery"])}
            if "FilterPolicy" in resource:
                attributes["FilterPolicy"] = json.dumps(resource["FilterPolicy"])
            sns.subscribe(TopicArn=topic, Protocol=resource["Protocol"], Endpoint=arn, Attributes=attributes)

        code = {}
        exec(RESOURCES["FanOut"]["Code"]["ZipFile"], code)
        publish, groups = code["sns"].publish, []
        code["sns"].publish = lambda **call: groups.append(call.get("MessageGroupId")) or publish(**call)
        too_large = {**BATCH["Records"][0], "messageId": "too large", "body": "x" * 1_100_000}
        answer = code["handler"]({"Records": [too_large, *BATCH["Records"]]}, None)
        self.assertEqual(answer, {"batchItemFailures": [{"itemIdentifier": "too large"}]})
        # The consumers' queues are fair by it, too.
        self.assertEqual(groups[1:], [record["attributes"]["MessageGroupId"] for record in BATCH["Records"]])

        sent = sorted(record["body"] for record in BATCH["Records"])
        self.assertEqual(sorted(received(sqs, queues["AuditQueue"])), sent)
        wanted = {"commerce.order.paid", "commerce.order.cancelled"}
        orders = sorted(body for body in sent if json.loads(body)["type"] in wanted)
        self.assertTrue(0 < len(orders) < len(sent))
        self.assertEqual(sorted(received(sqs, queues["OrdersQueue"])), orders)


def received(sqs, queue):
    while messages := sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages"):
        yield from (message["Body"] for message in messages)


if __name__ == "__main__":
    unittest.main()
