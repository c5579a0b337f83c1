"""MiniStack, started by its own Python, with two corrections: it refuses alarms on several metrics, so here such an alarm watches
the first it names; and it ignores `ExcludePunctuation` of a secret that it generates.

What else it does not have, tests/template.py asserts on the template: metrics from log lines, expiry, `dynamodb:LeadingKeys`.
"""

import re
import string

from ministack.app import main
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
main()
