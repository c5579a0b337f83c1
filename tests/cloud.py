"""MiniStack, started by its own Python, with these corrections: it refuses alarms on several metrics, so here such an alarm watches
the first it names; it ignores `ExcludePunctuation` of a secret that it generates; its SNS gives nothing to Firehose and takes less than
AWS's; its Firehose neither compresses a record nor ends it with a line feed.

What else it does not have, tests/template.py asserts on the template: metrics from log lines, expiry, `dynamodb:LeadingKeys`.
"""

import base64
import gzip
import json
import re
import string

from ministack.app import main
from ministack.services import firehose, sns
from ministack.services.cloudformation import provisioners

refuses_metric_math = provisioners._cw_metric_alarm_record


def alarm(name, properties):
    plain = {member: value for member, value in properties.items() if member != "Metrics"}
    for each in properties.get("Metrics", []):
        query = re.search(r'SELECT (\w+)\((\w+)\) FROM SCHEMA\("([^"]+)"', each.get("Expression", ""))
        if "MetricStat" in each:
            plain |= {**each["MetricStat"]["Metric"], "Period": each["MetricStat"]["Period"]}
            plain["ExtendedStatistic" if each["MetricStat"]["Stat"].startswith("p") else "Statistic"] = each["MetricStat"]["Stat"]
            break
        if query:
            plain |= {"Namespace": query[3], "MetricName": query[2], "Statistic": query[1].capitalize(), "Period": each["Period"]}
    return refuses_metric_math(name, plain)


generates_with_punctuation = provisioners._sm_secret_string


def secret(properties):
    generate = properties.get("GenerateSecretString")
    if generate and generate.get("ExcludePunctuation"):
        excluded = generate.get("ExcludeCharacters", "") + string.punctuation
        properties = {**properties, "GenerateSecretString": {**generate, "ExcludeCharacters": excluded}}
    return generates_with_punctuation(properties)


provisioners._cw_metric_alarm_record = alarm
provisioners._sm_secret_string = secret

to_others, store = sns._fanout, firehose._put_s3_object


def fan_out(topic, message_id, message, subject, structure="", attributes=None, **more):
    to_others(topic, message_id, message, subject, structure, attributes, **more)
    for subscription in (sns._topic_by_arn_any_scope(topic) or {"subscriptions": []})["subscriptions"]:
        if subscription["protocol"] == "firehose" and sns._matches_filter_policy(subscription, attributes or {}, message):
            data = base64.b64encode(message.encode()).decode()
            record = {"DeliveryStreamName": subscription["endpoint"].rsplit("/", 1)[1], "Record": {"Data": data}}
            # What is larger than a record can be goes to the subscription's dead-letter queue.
            if firehose._put_record(record)[0] >= 400:
                dead_letters = json.loads(subscription["attributes"]["RedrivePolicy"])["deadLetterTargetArn"]
                sns._deliver_to_sqs(dead_letters, message, True, message, topic_arn=topic)


sns._fanout, sns._SNS_MAX_PAYLOAD_BYTES = fan_out, 1_048_576
firehose._put_s3_object = lambda bucket, key, body: store(bucket, f"{key}.gz", gzip.compress(body + b"\n"))
main()
