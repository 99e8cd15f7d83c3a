#!/usr/bin/env python3
"""Prints what scripts/bench.sh measured as tables. Usage: table.py FOLDER (with plasma, again, onnxruntime and network)."""
import json
import platform
import sys


def lines(path):
    with open(path) as file:
        return [json.loads(line) for line in file if line.startswith("{")]


def key(case):
    return case["threads"], case["batch"], case["sequence"]


def main():
    folder = sys.argv[1]
    first = {key(c): c for c in lines(f"{folder}/plasma")}
    again = {key(c): c for c in lines(f"{folder}/again")}
    peer = {key(c): c for c in lines(f"{folder}/onnxruntime")}
    network = json.load(open(f"{folder}/network"))
    model = next(
        (line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), platform.machine()
    )
    version = next(iter(peer.values()))["version"]
    print(f"\n{model}, {network['cores']} cores; kernels: {next(iter(first.values()))['kernels']}\n")
    print(f"MiniLM embeddings a second (median of a run; Plasma before and after, ONNX Runtime {version} fp32 between)\n")
    print("| threads | batch | sequence | Plasma, exact | ONNX Runtime | ratio |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: |")
    for case in sorted(peer):
        ours = [c[case]["embeddingsPerSecond"] for c in (first, again)]
        theirs = peer[case]["embeddingsPerSecond"]
        ratio = sum(ours) / 2 / theirs
        print(f"| {case[0]} | {case[1]} | {case[2]} | {ours[0]:.0f}, {ours[1]:.0f} | {theirs:.0f} | {ratio:.2f} |")
    transfers, finality, job = network["transfers"], network["finality"], network["job"]
    print("\nA devnet of 4 validators in 4 processes that share these cores\n")
    print("| | |")
    print("| --- | ---: |")
    print(f"| transfers finalized a second ({transfers['count']} in {transfers['blocks']} blocks) | {transfers['perSecond']:.0f} |")
    print(f"| limit: what these cores could check if 4 validators did nothing else | {transfers['limitPerSecond']:.0f} |")
    print(f"| ratio to the limit | {transfers['shareOfLimit']:.2f} |")
    print(f"| share of the validators' CPU time in Ed25519 | {100 * transfers['signatureShareOfCPU']:.0f} % |")
    print(f"| signatures checked a transfer and validator | {transfers['signaturesPerTransferAndValidator']:.2f} |")
    print(f"| finality of one transfer, as its sender sees it ({finality['probes']} probes), p50 | {finality['p50Ms']:.0f} ms |")
    print(f"| p99 | {finality['p99Ms']:.0f} ms |")
    print(f"| a job of 24 sentences, submitted to settled (median of {job['jobs']}) | {job['medianSeconds']:.2f} s |")
    print(f"| computing it twice (provider and auditor) | {job['computingTwiceSeconds']:.2f} s |")
    print(f"| the rest, of which {job['ofThatChallengeWindowSeconds']:.0f} s and more are the challenge window | {job['overheadSeconds']:.2f} s |")


main()
