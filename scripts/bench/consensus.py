#!/usr/bin/env python3
"""Prints what scripts/bench.sh consensus measured beside its goals. Usage: consensus.py MEASURED.json SIMULATED.json [-o json]"""
import json
import platform
import statistics
import sys


def main():
    with open(sys.argv[1]) as file:
        runs = [json.loads(text) for text in file.read().split("\0") if text.strip()]
    with open(sys.argv[2]) as file:
        wan, heartbeat, steady, hundred = [json.loads(text) for text in file.read().split("\0")]

    def ratio(simulated):
        return round(simulated["simulatedSeconds"] / max(simulated["seconds"], 1e-3), 1)

    def of(part, *path):
        """The median over the runs that have it."""
        found = []
        for run in runs:
            value = run.get(part)
            for name in path:
                value = value.get(name) if isinstance(value, dict) else None
            if value is not None:
                found.append(value)
        return statistics.median(found) if found else None

    # What, measured, unit, goal, whether more is better.
    rows = [
        ("signed transfers finalized a second", of("transfers", "perSecond"), "/s", 4_500, True),
        ("… share of what these cores could check if four validators only checked signatures",
         of("transfers", "shareOfLimit"), "", None, True),
        ("ordering alone, 200-byte opaque commands in batches of 66,000 bytes, a second", of("ordering", "perSecond"), "/s",
         75_000, True),
        ("… p50 from handing over a batch to its finality", of("ordering", "p50Ms"), "ms", 200, False),
        ("… p99", of("ordering", "p99Ms"), "ms", None, False),
        ("finality at 500 transfers a second, p50", of("finality", "p50Ms"), "ms", 25, False),
        ("… p99", of("finality", "p99Ms"), "ms", 100, False),
        ("one of four killed at 300 transfers a second, p99 with the kill in it", of("killed", "p99Ms"), "ms", 500, False),
        ("… from 5 s after the kill on", of("killed", "from5SecondsAfterTheKill", "p99Ms"), "ms", 500, False),
        ("… longest time without finality", of("killed", "longestGapMs"), "ms", None, False),
        ("simulated WAN, 50 validators in 10 regions, proposal to finality, p50", wan["finalityMs"], "ms",
         3 * wan["quorumDelayMs"] + 10, False),
        ("simulated seconds a second, 4 validators, a block a heartbeat of 1 s", ratio(heartbeat), "", 1_000, True),
        ("… under load, 50 ms a message", ratio(steady), "", 100, True),
        ("… 100 validators, a block a heartbeat", ratio(hundred), "", 10, True),
        ("catch-up, transfers a second", of("catch-up", "perSecond"), "/s", None, True),
        ("… times the live rate", of("catch-up", "ratioToLive"), "", 10, True),
        ("restart to ready, %s blocks of history" % of("history", "blocks"), of("history", "restartSeconds"), "s", 3, False),
        ("memory of a node after it", of("history", "residentMiB"), "MiB", 286, False),
        ("… and after 4,000 more transfers", of("history", "residentAfterLoadMiB"), "MiB", 286, False),
        ("execution alone, %s accounts, one core" % of("execution", "accounts"), of("execution", "perSecond"), "/s", 100_000,
         True),
        ("… by processor time of its thread", of("execution", "perProcessorSecond"), "/s", 100_000, True),
    ]
    result = []
    for what, measured, unit, goal, more in rows:
        if measured is None:
            continue
        # Above 1 is better than the goal, whichever way it counts.
        ratio = None if goal is None or not measured else round(measured / goal if more else goal / measured, 2)
        result.append({"what": what, "measured": measured, "unit": unit, "goal": goal, "ratio": ratio})
    if sys.argv[3:] == ["-o", "json"]:
        print(json.dumps({"rows": result, "runs": runs, "simulated": [wan, heartbeat, steady, hundred]}, indent=2))
        return
    model = next(
        (line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), platform.machine())
    repeated = sum("transfers" in run for run in runs)
    print(f"\n{model}, {runs[0]['cores']} cores; history and execution once, the rest the median of {repeated} runs\n")
    print("| what | measured | goal | ratio (above 1 is better) |")
    print("| --- | ---: | ---: | ---: |")
    for row in result:
        goal = "" if row["goal"] is None else f"{'≥' if row['unit'] in ('/s', '') else '≤'} {row['goal']:,} {row['unit']}".strip()
        print(f"| {row['what']} | {row['measured']:,} {row['unit']} | {goal} | {row['ratio'] if row['ratio'] else ''} |")


main()
