#!/usr/bin/env python3
"""What a million deliveries cost: AWS's unit prices times what bench/run measured. Computed; nothing here was billed.

    bench/cost.py           the tables of docs/performance.md
"""

from math import ceil

# US$, us-east-1, AWS's public price list as known on 2026-11-21, without free tiers and discounts. Prices change: check.
GB_SECOND = 0.0000133334  # Lambda, arm64, the first 7.5e9 a month
INVOCATION = 0.20e-6
HTTP_API = [(300e6, 1.00e-6), (float("inf"), 0.90e-6)]  # per request of 512 KB, by monthly tier
WRITE = 0.625e-6  # DynamoDB on demand, per KB written or refused by its condition
STORED_GB_MONTH = 0.25  # DynamoDB
SQS = 0.40e-6  # standard queue, per request of 64 KB
LOGGED_GB = 0.50  # CloudWatch Logs
KEPT_GB_MONTH = 0.03  # CloudWatch Logs, as if it did not compress
TRACE = 5.00e-6  # X-Ray, of which Lambda records one in twenty
FIXED = 5 * (0.40 + 7 * 0.30) + 29 * 0.10 + 3.00  # a month: five secrets, seven metrics each; alarms; the dashboard

# Measured by bench/run on one machine: CPU milliseconds. Another core, another number: the ratios hold better.
CPU_MS = {  # warm, 1 KiB: fresh, duplicate, rejected; and a cold start, to its first answer
    "Hookgate": (0.53, 0.28, 0.11, 4.6),
    "Node": (2.22, None, None, 165),
}

LINE_BYTES = {"fresh": 904, "duplicate": 782, "rejected": 565}  # of the function's own log, measured

# Assumed: what the calls wait for AWS (a write 4 ms, a send 8 ms), how many starts are cold, what is logged.
WAIT_MS = {"fresh": 16, "duplicate": 4, "rejected": 0}
COLD = 0.005
LAMBDA_LINES_BYTES, ACCESS_LINE_BYTES = 700, 350
ITEM_BYTES, CLAIM_DAYS = 550, 30

# A function has a full core at 1769 MB and its share below that.
CORE_MB = 1769


def billed_ms(cpu, wait, memory):
    """As if CPU time and waiting never overlapped, and no burst were let through: the most that it can be."""
    return ceil(wait + cpu * CORE_MB / memory)


def compute(who, outcome, memory):
    fresh, duplicate, rejected, cold = CPU_MS[who]
    cpu = {"fresh": fresh, "duplicate": duplicate, "rejected": rejected}[outcome]
    milliseconds = billed_ms(cpu, WAIT_MS[outcome], memory) + COLD * cold * CORE_MB / memory
    return 1e6 * (INVOCATION + milliseconds / 1000 * memory / 1024 * GB_SECOND)


def tiered(tiers, amount):
    total, below = 0.0, 0.0
    for end, price in tiers:
        total += max(0.0, min(amount, end) - below) * price
        below = end
    return total


def services(outcome, front, batch=10):
    """Per million deliveries, all but the function itself. The consumer receives and deletes in batches."""
    writes = {"fresh": 2, "duplicate": 1, "rejected": 0}[outcome]
    sends = 1 if outcome == "fresh" else 0
    log = LINE_BYTES[outcome] + LAMBDA_LINES_BYTES + (ACCESS_LINE_BYTES if front == "HTTP API" else 0)
    gigabytes = 1e6 * log / 1e9
    stored = 1e6 * ITEM_BYTES / 1e9 * CLAIM_DAYS / 30 * sends
    return {
        "DynamoDB": 1e6 * writes * WRITE + stored * STORED_GB_MONTH,
        "SQS": 1e6 * sends * (1 + 2 / batch) * SQS,
        "logs, traces": gigabytes * (LOGGED_GB + KEPT_GB_MONTH) + 1e6 / 20 * TRACE,
    }


def main():
    print("| US$ per million invocations (request and time) | 128 MB | 256 MB | 512 MB |\n|---|---|---|---|")
    for who, outcome in [("Hookgate", "fresh"), ("Hookgate", "duplicate"), ("Hookgate", "rejected"), ("Node", "fresh")]:
        each = [(compute(who, outcome, memory), memory) for memory in (128, 256, 512)]
        cpu = dict(zip(WAIT_MS, CPU_MS[who]))[outcome]
        cells = [f"{cost:.2f} ({billed_ms(cpu, WAIT_MS[outcome], memory)} ms)" for cost, memory in each]
        print(f"| {who}, {outcome} | {' | '.join(cells)} |")

    print("\n| US$ per million deliveries at 256 MB | function | DynamoDB | SQS | logs, traces | with Function URL | with HTTP API |")
    print("|---|---|---|---|---|---|---|")
    for who, outcome in [("Hookgate", "fresh"), ("Hookgate", "duplicate"), ("Hookgate", "rejected"), ("Node", "fresh")]:
        function = compute(who, outcome, 256)
        parts = services(outcome, "Function URL")
        by_url = function + sum(parts.values())
        by_api = function + sum(services(outcome, "HTTP API").values()) + 1e6 * HTTP_API[0][1]
        cells = [function, *parts.values(), by_url, by_api]
        print(f"| {who}, {outcome} | {' | '.join(f'{cell:.2f}' for cell in cells)} |")

    print(f"\n| US$ a month, all fresh, the fixed {FIXED:.2f} included | 1 million | 10 million | 100 million |\n|---|---|---|---|")
    for who, memory in [("Hookgate", 128), ("Hookgate", 256), ("Hookgate", 512), ("Node", 256), ("Node", 512)]:
        for front in ("Function URL", "HTTP API"):
            cells = []
            for millions in (1, 10, 100):
                total = FIXED + millions * (compute(who, "fresh", memory) + sum(services("fresh", front).values()))
                total += tiered(HTTP_API, millions * 1e6) if front == "HTTP API" else 0
                cells.append(f"{total:,.2f}")
            print(f"| {who}, {memory} MB, {front} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
