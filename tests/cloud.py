"""MiniStack, started by its own Python. It refuses alarms on several metrics: here such an alarm watches the first it names.

What else it does not have, tests/template.py asserts on the template: metrics from log lines, expiry, `dynamodb:LeadingKeys`.
"""

from ministack.app import main
from ministack.services.cloudformation import provisioners

refuses_metric_math = provisioners._cw_metric_alarm_record


def alarm(name, properties):
    named = [each["MetricStat"] for each in properties.get("Metrics", []) if "MetricStat" in each]
    # A query names none.
    first = named[0] if named else {"Stat": "Sum", "Period": 300, "Metric": {"Namespace": "Query", "MetricName": "Query"}}
    plain = {member: value for member, value in properties.items() if member != "Metrics"}
    if "Metrics" in properties:
        statistic = "ExtendedStatistic" if first["Stat"].startswith("p") else "Statistic"
        plain |= {**first["Metric"], "Period": first["Period"], statistic: first["Stat"]}
    return refuses_metric_math(name, plain)


provisioners._cw_metric_alarm_record = alarm
main()
