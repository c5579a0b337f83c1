#!/usr/bin/env python3
"""What a million deliveries cost: AWS's unit prices times what bench/run measured. Computed; nothing here was billed.

    bench/cost.py           the tables of docs/performance.md (needs PyYAML: it counts the template's alarms)
    bench/cost.py --check   whether they are what that page says, and within what a delivery may cost
"""

import contextlib
import io
import sys
from math import ceil, exp
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from template import FUNCTIONS, PARAMETERS, deployed, watched  # noqa: E402

# US$, us-east-1, without free tiers and discounts: price, what it is for, where AWS says so, and since when we know. Prices change.
# "to check" has no date: it is what we remember of the page named, which nothing on this machine can show.
LAMBDA, DYNAMODB, SQS_PAGE = "aws.amazon.com/lambda/pricing", "aws.amazon.com/dynamodb/pricing/on-demand", "aws.amazon.com/sqs/pricing"
CLOUDWATCH, XRAY, SECRETS = "aws.amazon.com/cloudwatch/pricing", "aws.amazon.com/xray/pricing", "aws.amazon.com/secrets-manager/pricing"
APIGATEWAY, EVENTBRIDGE = "aws.amazon.com/api-gateway/pricing", "aws.amazon.com/eventbridge/pricing"
FIREHOSE, SNS, S3 = "aws.amazon.com/firehose/pricing", "aws.amazon.com/sns/pricing", "aws.amazon.com/s3/pricing"
KNOWN, TO_CHECK = "2026-11-21", "to check"
RULES = {
    "gb_second": (0.0000133334, "Lambda, arm64, the first 7.5e9 GB-seconds", LAMBDA, KNOWN),
    "invocation": (0.20e-6, "Lambda, a request", LAMBDA, KNOWN),
    "http_api": (1.00e-6, "HTTP API, a request of 512 KB, the first 300 million", APIGATEWAY, KNOWN),
    "http_api_more": (0.90e-6, "HTTP API, each further one", APIGATEWAY, KNOWN),
    "write": (0.625e-6, "DynamoDB, a KB written, or refused by its condition", DYNAMODB, KNOWN),
    "stored": (0.25, "DynamoDB, a GB for a month", DYNAMODB, KNOWN),
    "pitr": (0.20, "DynamoDB, point-in-time recovery of a GB for a month", DYNAMODB, TO_CHECK),
    "sqs": (0.40e-6, "SQS, a request of 64 KB", SQS_PAGE, KNOWN),
    "fair": (0.10e-6, "SQS, added for a message with a group (fair queues)", SQS_PAGE, TO_CHECK),
    "logged": (0.50, "CloudWatch Logs, a GB taken in, 26 bytes added to each line", CLOUDWATCH, KNOWN),
    "kept": (0.03, "CloudWatch Logs, a GB for a month, as if it did not compress", CLOUDWATCH, KNOWN),
    "metric": (0.30, "CloudWatch, a metric for a month, by the hours with data", CLOUDWATCH, KNOWN),
    "alarm": (0.10, "CloudWatch, each metric that an alarm reads, for a month", CLOUDWATCH, KNOWN),
    "dashboard": (3.00, "CloudWatch, a dashboard for a month", CLOUDWATCH, KNOWN),
    "trace": (5.00e-6, "X-Ray, a trace recorded; Lambda samples 1 request a second and 5 % of the rest", XRAY, KNOWN),
    "secret": (0.40, "Secrets Manager, a secret for a month; its KMS key is AWS's own and free", SECRETS, KNOWN),
    "read": (0.05e-4, "Secrets Manager, a read", SECRETS, TO_CHECK),
    "notified": (0.19e-6, "SNS, a message given to Firehose", SNS, TO_CHECK),
    "gathered": (0.029, "Firehose, a GB taken in, each record rounded up to 5 KB", FIREHOSE, TO_CHECK),
    "partitioned": (0.020, "Firehose, a GB delivered by partitions", FIREHOSE, TO_CHECK),
    "partition": (5.00e-6, "Firehose, an object of a partition", FIREHOSE, TO_CHECK),
    "jq": (0.07, "Firehose, an hour of jq", FIREHOSE, TO_CHECK),
    "object": (5.00e-6, "S3, an object written", S3, TO_CHECK),
    "object_stored": (0.023, "S3, a GB for a month", S3, TO_CHECK),
    "custom_event": (1.00e-6, "EventBridge, an event of 64 KB put on a bus", EVENTBRIDGE, TO_CHECK),
}
PRICE = {name: rule[0] for name, rule in RULES.items()}

# Measured by bench/run on one machine: CPU milliseconds. Another core, another number: the ratios hold better.
CPU_MS = {  # warm, 1 KiB: fresh, duplicate, rejected; and a cold start, to its first answer
    "Hookgate": (0.53, 0.28, 0.11, 4.6),
    "Node": (2.22, None, None, 165),
}

# Of the function's own line, measured by tests/end_to_end (a stack's name of 8 letters): METRICS_LEVEL=essential, and all.
LINE_BYTES = {"essential": {"fresh": 445, "duplicate": 410, "rejected": 410}, "all": {"fresh": 640, "duplicate": 560, "rejected": 400}}
LINE_OVERHEAD = 26

# Assumed: what the calls wait for AWS (a write 4 ms, a send 8 ms), and how many starts are cold.
WAIT_MS = {"fresh": 16, "duplicate": 4, "rejected": 0}
COLD = 0.005
# platform.start and platform.report with LambdaLogs=INFO; WARN has neither where all went well.
LAMBDA_LINES_BYTES, LAMBDA_LINES = 700, 2
ACCESS_LINE_BYTES = 210
ITEM_BYTES, CLAIM_DAYS = 550, 30
MONTH = 730  # hours
BATCH = 10  # messages that the consumer takes at once

# A function has a full core at 1769 MB and its share below that.
CORE_MB = 1769


def billed_ms(cpu, wait, memory):
    """As if CPU time and waiting never overlapped, and no burst were let through: the most that it can be."""
    return ceil(wait + cpu * CORE_MB / memory)


def compute(who, outcome, memory):
    fresh, duplicate, rejected, cold = CPU_MS[who]
    cpu = {"fresh": fresh, "duplicate": duplicate, "rejected": rejected}[outcome]
    milliseconds = billed_ms(cpu, WAIT_MS[outcome], memory) + COLD * cold * CORE_MB / memory
    return 1e6 * (PRICE["invocation"] + milliseconds / 1000 * memory / 1024 * PRICE["gb_second"])


def traced(deliveries, platforms=5):
    """How many of a month's deliveries Lambda samples: of each function, at random times, one in each second that has any, and 5 %
    of the rest."""
    seconds = MONTH * 3600 * platforms
    first = seconds * (1 - exp(-deliveries / seconds))
    return first + 0.05 * (deliveries - first)


def log_bytes(outcome, front, level="essential", lambda_logs="WARN"):
    total = LINE_BYTES[level][outcome] + LINE_OVERHEAD
    total += LAMBDA_LINES_BYTES + LAMBDA_LINES * LINE_OVERHEAD if lambda_logs == "INFO" else 0
    return total + (ACCESS_LINE_BYTES + LINE_OVERHEAD if front == "HTTP API" else 0)


def services(outcome, front, **logs):
    """Per million deliveries, all but the function itself. The consumer receives and deletes in batches."""
    writes = {"fresh": 2, "duplicate": 1, "rejected": 0}[outcome]
    sends = 1 if outcome == "fresh" else 0
    gigabytes = log_bytes(outcome, front, **logs) / 1e3
    stored = 1e6 * ITEM_BYTES / 1e9 * CLAIM_DAYS / 30 * sends
    return {
        "DynamoDB": 1e6 * writes * PRICE["write"] + stored * (PRICE["stored"] + PRICE["pitr"]),
        "SQS": 1e6 * sends * ((1 + 2 / BATCH) * PRICE["sqs"] + PRICE["fair"]),
        "logs": gigabytes * (PRICE["logged"] + PRICE["kept"]),
    }


def per_million(outcome, front, memory=256, who="Hookgate", **logs):
    requests = 1e6 * PRICE["http_api"] if front == "HTTP API" else 0
    return compute(who, outcome, memory) + sum(services(outcome, front, **logs).values()) + requests


def fixed(platforms, **parameters):
    """A month without a delivery, by what the template deploys: every part, with its count."""
    names = sorted(name for name in FUNCTIONS if name != "consumer")
    left_out = names[platforms:]
    resources = deployed(**parameters)
    there = {name: each for name, each in resources.items() if not name.startswith(tuple(left_out) or ("\0",))}
    alarms = [each["Properties"] for each in there.values() if each["Type"] == "AWS::CloudWatch::Alarm"]
    # One that queries counts each metric it finds: those of the platforms where it has happened. At most:
    read = sum(len(watched(alarm)) or platforms for alarm in alarms)
    # What every platform sends in a usual hour: Received, TotalMs, and Rejected, since the internet knocks. With all, Queued,
    # Duplicate, ClaimMs and EnqueueMs too.
    sent = {"essential": 3, "all": 7}[parameters.get("Metrics", PARAMETERS["Metrics"]["Default"])]
    reads = platforms * MONTH * 12  # one environment each, every five minutes
    parts = {
        "secrets": (platforms, platforms * PRICE["secret"] + reads * PRICE["read"]),
        "metrics": (platforms * sent, platforms * sent * PRICE["metric"]),
        "metrics read by alarms": (read, read * PRICE["alarm"]),
        # Lambda's five pollers wait 20 s each.
        "polling": (1, 5 * MONTH * 180 * PRICE["sqs"]),
        "dashboard": ("Dashboard" in there, ("Dashboard" in there) * PRICE["dashboard"]),
    }
    return parts, sum(cost for _, cost in parts.values())


# Assumed of an archive: events of 2 KB, of which gzip leaves a quarter; a millisecond of jq for each; an object of each platform
# every 15 minutes; kept for three months.
EVENT_GB, PACKED, JQ_MS, OBJECTS, KEPT_MONTHS = 2e-6, 0.25, 1, MONTH * 4, 3


def archive(platforms):
    """A month of docs/consumers/archive.yaml, and a million events in it. The first 5 KB are rounded up to."""
    objects = platforms * OBJECTS * (PRICE["partition"] + PRICE["object"])
    each = PRICE["notified"] + 5.12e-6 * PRICE["gathered"] + EVENT_GB * PRICE["partitioned"] + JQ_MS / 3.6e6 * PRICE["jq"]
    each += EVENT_GB * PACKED * KEPT_MONTHS * PRICE["object_stored"]
    return objects + 2 * PRICE["alarm"], 1e6 * each


def tiered(requests):
    return min(requests, 300e6) * PRICE["http_api"] + max(0, requests - 300e6) * PRICE["http_api_more"]


def month(deliveries, front, platforms=5, memory=256, who="Hookgate"):
    each = compute(who, "fresh", memory) + sum(services("fresh", front).values())
    parameter = {"HTTP API": "HttpApi", "Function URL": "FunctionUrl"}[front]
    whatever_arrives = fixed(platforms, FrontEnd=parameter)[1]
    return whatever_arrives + deliveries / 1e6 * each + (tiered(deliveries) if front == "HTTP API" else 0)


def main():
    print("| US$ | | source | as of |\n|---|---|---|---|")
    for price, what, source, since in RULES.values():
        shown = f"{price * 1e6:.2f} a million" if price < 1e-4 and what.find("GB-second") < 0 else f"{price:.10f}".rstrip("0") if price < 0.01 else f"{price:.{2 if price * 100 % 1 < 1e-9 else 3}f}"
        print(f"| {shown} | {what} | {source} | {since} |")

    print("\n| US$ per million invocations (request and time) | 128 MB | 256 MB | 512 MB |\n|---|---|---|---|")
    rows = [("Hookgate", "fresh"), ("Hookgate", "duplicate"), ("Hookgate", "rejected"), ("Node", "fresh")]
    for who, outcome in rows:
        each = [(compute(who, outcome, memory), memory) for memory in (128, 256, 512)]
        cpu = dict(zip(WAIT_MS, CPU_MS[who]))[outcome]
        cells = [f"{cost:.2f} ({billed_ms(cpu, WAIT_MS[outcome], memory)} ms)" for cost, memory in each]
        print(f"| {who}, {outcome} | {' | '.join(cells)} |")

    print("\n| US$ per million deliveries at 256 MB | function | DynamoDB | SQS | logs | with Function URL | with HTTP API |")
    print("|---|---|---|---|---|---|---|")
    for who, outcome in rows:
        cells = [compute(who, outcome, 256), *services(outcome, "Function URL").values()]
        cells += [per_million(outcome, front, who=who) for front in ("Function URL", "HTTP API")]
        print(f"| {who}, {outcome} | {' | '.join(f'{cell:.2f}' for cell in cells)} |")

    print("\n| US$ a month, whatever arrives | one platform | five platforms |\n|---|---|---|")
    one, five = fixed(1), fixed(5)
    for part, (count, cost) in five[0].items():
        print(f"| {part} | {one[0][part][1]:.2f} ({one[0][part][0]}) | {cost:.2f} ({count}) |" if count else f"| {part} | 0 | 0 |")
    print(f"| **together** | **{one[1]:.2f}** | **{five[1]:.2f}** |")

    print("\n| what it takes to have it back | what it adds: US$ a month for five platforms, or per million fresh deliveries |\n|---|---|")
    silent = fixed(5, SilenceHours=24)[1] - five[1]
    print(f"| `SilenceHours` above 0: an alarm for a platform that falls silent | {silent:.2f} a month |")
    print(f"| `WithDashboard=true` | {fixed(5, WithDashboard='true')[1] - five[1]:.2f} a month; an account's first three are free |")
    longer = per_million("fresh", "Function URL", level="all") - per_million("fresh", "Function URL")
    print(f"| `Metrics=all`: a metric for each outcome and step | {fixed(5, Metrics='all')[1] - five[1]:.2f} a month, and {longer:.2f} a million for the longer line |")
    lines = per_million("fresh", "Function URL", lambda_logs="INFO") - per_million("fresh", "Function URL")
    print(f"| `LambdaLogs=INFO`: time billed and memory of each invocation | {lines:.2f} a million |")
    whatever_arrives, million = archive(5)
    print(f"| `docs/consumers/archive.yaml`: every event in S3 for 90 days | {whatever_arrives:.2f} a month, and {million:.2f} a million; the fan-out not counted |")
    for deliveries in (1e6, 10e6, 100e6):
        share = traced(deliveries) / deliveries
        print(f"| `Tracing=Active`, at {deliveries / 1e6:.0f} million a month: {share:.0%} are traced | {share * 1e6 * PRICE['trace']:.2f} a million |")

    print("\n| US$ a month, all fresh, five platforms, all of the above off | 1 million | 10 million | 100 million |\n|---|---|---|---|")
    for who, memory in [("Hookgate", 128), ("Hookgate", 256), ("Hookgate", 512), ("Node", 256), ("Node", 512)]:
        for front in ("Function URL", "HTTP API"):
            cells = [f"{month(millions * 1e6, front, memory=memory, who=who):,.2f}" for millions in (1, 10, 100)]
            print(f"| {who}, {memory} MB, {front} | {' | '.join(cells)} |")
    # AWS's own quick start: a function behind a Function URL checks the signature and puts an event on a bus; a rule sends it to
    # SQS. 20 ms at 256 MB; a secret and an alarm for each of five.
    cells = []
    for millions in (1, 10, 100):
        each = 1e6 * (PRICE["invocation"] + 0.020 * 0.25 * PRICE["gb_second"] + PRICE["custom_event"] + (1 + 2 / BATCH) * PRICE["sqs"])
        cells.append(f"{5 * (PRICE['secret'] + PRICE['alarm']) + millions * each:,.2f}")
    print(f"| EventBridge's webhook quick start, as we read it, to SQS | {' | '.join(cells)} |")


def check():
    """What is promised: fresh, duplicate and forged deliveries by Function URL, and the fixed part with every alarm."""
    for cost, most in [
        *((per_million(outcome, "Function URL"), most) for outcome, most in [("fresh", 2.60), ("duplicate", 1.30), ("rejected", 0.60)]),
        (fixed(5, SilenceHours=24)[1], 14),
        (fixed(1, SilenceHours=24)[1], 4),
    ]:
        assert cost <= most, (cost, most)
    with contextlib.redirect_stdout(io.StringIO()) as said:
        main()
    page = (Path(__file__).resolve().parent.parent / "docs/performance.md").read_text()
    missing = [line for line in said.getvalue().split("\n") if line not in page and "EventBridge's" not in line]
    assert not missing, "docs/performance.md does not say: " + "\n".join(missing)


if __name__ == "__main__":
    check() if sys.argv[1:] == ["--check"] else main()
