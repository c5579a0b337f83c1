#!/usr/bin/env python3
"""What gives way first as deliveries per second grow: a simulation of sandboxes and partitions with measured service times.

    bench/scale.py [MEMORY_MB]      the tables of docs/performance.md

Simulated: deliveries that arrive at random, Lambda's limits on sandboxes and on how fast they multiply, and the spread of
claims over DynamoDB's partitions. Not simulated: retries. What Lambda turns away (429) its provider sends again.
"""

import hashlib
import heapq
import random
import sys
from collections import Counter
from pathlib import Path

from cost import CORE_MB, CPU_MS

# AWS's default quotas, as documented on 2026-11-21. All but the pace of Lambda and the partition's limit can be raised.
SANDBOXES = 1_000  # per account and region
PACE = 100.0  # new sandboxes per second and function (1,000 every 10 s)
RESERVE = 1_000  # and as many at once
PER_SANDBOX = 10  # invocations per second and sandbox of the quota
PARTITION_WRITES = 1_000  # per second

# What AWS makes a delivery wait for. Assumed: (median, spread) of a log-normal, in ms, of a write and a send.
WRITE_MS, SEND_MS = (4.0, 0.35), (8.0, 0.45)
START_MS = 60  # What Lambda adds to a cold start before our process runs. Assumed.

# Any one: their claims are spread alike.
PROVIDERS = Path(__file__).parent.parent / "shared/verify/src/providers"
PLATFORM = min(path.stem for path in PROVIDERS.glob("*.rs") if path.stem != "mod")


def service_ms(chance, memory):
    """A fresh delivery: two writes and a send, and our own CPU time at this memory's share of a core."""
    wait = sum(median * chance.lognormvariate(0, spread) for median, spread in (WRITE_MS, SEND_MS, WRITE_MS))
    return wait + CPU_MS["Hookgate"][0] * CORE_MB / memory


def simulate(rate, seconds, quota, memory):
    """One function, from nothing to this rate at once. Latencies and sandboxes; and what was refused, per second."""
    chance = random.Random(1)
    free, busy, made, tokens, clock = 0, [], 0, float(RESERVE), 0.0
    latencies, refused, colds, taken = [], Counter(), 0, Counter()
    cold_ms = START_MS + CPU_MS["Hookgate"][3] * CORE_MB / memory
    while clock < seconds:
        step = chance.expovariate(rate)
        clock += step
        tokens = min(float(RESERVE), tokens + PACE * step)
        while busy and busy[0] <= clock:
            heapq.heappop(busy)
            free += 1
        second = int(clock)
        extra = 0.0
        if taken[second] >= PER_SANDBOX * quota:
            refused[second] += 1
            continue
        if free:
            free -= 1
        elif made < quota and tokens >= 1:
            made, tokens, colds, extra = made + 1, tokens - 1, colds + 1, cold_ms
        else:
            refused[second] += 1
            continue
        taken[second] += 1
        duration = extra + service_ms(chance, memory)
        latencies.append(duration)
        heapq.heappush(busy, clock + duration / 1000)
    latencies.sort()
    late = sum(count for second, count in refused.items() if second >= seconds - 2) / 2
    return made, colds, latencies[len(latencies) // 2], latencies[len(latencies) * 99 // 100], late, sum(refused.values())


def spread(rate, partitions):
    """Writes per second on the busiest of the partitions, when every claim is written twice under its own key."""
    writes = Counter()
    for number in range(rate):
        key = hashlib.sha256(b"evt_%d" % number).hexdigest()
        place = hashlib.md5(f"{PLATFORM}#default#{key}".encode()).digest()
        writes[int.from_bytes(place[:8], "big") * partitions >> 64] += 2
    return max(writes.values())


def main():
    memory = int(sys.argv[1]) if len(sys.argv) > 1 else 256
    print(f"Fresh deliveries of 1 KiB, {memory} MB.\n")
    print("| deliveries per second | quota of execution environments | environments used | p50 / p99 ms | refused in total | refused per second at the end |")
    print("|---|---|---|---|---|---|")
    for rate, seconds, quota in [
        (100, 20, SANDBOXES), (10_000, 10, SANDBOXES), (10_000, 10, 2 * SANDBOXES),
        (100_000, 10, 2 * SANDBOXES), (100_000, 20, 10 * SANDBOXES),
    ]:
        made, _, p50, p99, late, refused = simulate(rate, seconds, quota, memory)
        print(f"| {rate:,} | {quota:,} | {made:,} | {p50:.0f} / {p99:.0f} | {refused:,} | {late:,.0f} |")
    print("\n| deliveries per second | writes per second | partitions | on the busiest, per second (limit 1,000) |\n|---|---|---|---|")
    for rate, partitions in [(100, 4), (2_000, 4), (10_000, 4), (10_000, 20), (10_000, 40), (100_000, 200), (100_000, 300)]:
        print(f"| {rate:,} | {2 * rate:,} | {partitions} | {spread(rate, partitions):,} |")


if __name__ == "__main__":
    main()
