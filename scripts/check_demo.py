#!/usr/bin/env python3
"""Checks what a demo wrote: devnet/demo.json and the array that it names. Needs nothing but Python."""
import json
import math
import struct
import sys
from decimal import Decimal

FAULTS = []


def expect(holds, text):
    if not holds:
        FAULTS.append(text)


def read_array(path):
    """A float32 array of two dimensions, as rows (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html)."""
    with open(path, "rb") as file:
        data = file.read()
    expect(data[:8] == b"\x93NUMPY\x01\x00", f"{path} is no .npy file of version 1.0")
    (length,) = struct.unpack_from("<H", data, 8)
    header = data[10 : 10 + length].decode("latin1")
    expect("'<f4'" in header and "'fortran_order': False" in header, f"{path} is not float32 in row order: {header}")
    rows, columns = (int(part) for part in header.split("(")[1].split(")")[0].split(",") if part.strip())
    body = data[10 + length :]
    expect(len(body) == 4 * rows * columns, f"{path} has {len(body)} bytes of numbers for [{rows}, {columns}]")
    return [struct.unpack_from(f"<{columns}f", body, 4 * columns * row) for row in range(rows)]


def main():
    path = sys.argv[1] if len(sys.argv) > 1 else "devnet/demo.json"
    with open(path, encoding="utf-8") as file:
        demo = json.load(file)

    expect(demo["state"] == "settled", f"the job is {demo['state']}, not settled")
    expect(demo["receipt"]["proven"], "the receipt is not proven")
    expect(demo["receipt"]["signers"] >= 3, f"the certificate has {demo['receipt']['signers']} signers of 4")
    order = [state["state"] for state in demo["states"]]
    wanted = ["submitted", "assigned", "running", "committed", "auditing", "settled"]
    expect([state for state in order if state in wanted] == wanted, f"the job went through {order}")
    times = [state["time"] for state in demo["states"]]
    expect(times == sorted(times), f"the times of the states fall: {times}")
    expect(demo["provider"] not in demo["auditors"], "the provider audited itself")
    expect(len(demo["auditors"]) > 0, "nobody audited")

    totals = {name: Decimal(value) for name, value in demo["totals"].items()}
    supply = totals.pop("supply")
    expect(sum(totals.values()) == supply, f"the parts sum to {sum(totals.values())}, the supply is {supply}")
    before = {name: Decimal(value) for name, value in demo["balances"]["before"].items()}
    after = {name: Decimal(value) for name, value in demo["balances"]["after"].items()}
    paid = Decimal(demo["price"]) + Decimal(demo["auditFees"])
    spent = before["alice"] - after["alice"]
    expect(paid <= spent <= paid + 1, f"alice spent {spent} XPL on a job of {paid} XPL")
    for name in [demo["providerName"], *demo["auditorNames"]]:
        expect(after[name] > before[name], f"{name} worked and earned nothing")

    rows = read_array(demo["embeddings"])
    expect([len(rows), len(rows[0])] == demo["shape"], f"the array is not of shape {demo['shape']}")
    expect(len(rows) == demo["sentences"], f"{len(rows)} rows for {demo['sentences']} sentences")
    for index, row in enumerate(rows):
        norm = math.sqrt(sum(x * x for x in row))
        expect(abs(norm - 1) < 1e-5, f"row {index} has length {norm}, not 1")
    expect(len(set(rows)) == len(rows), "two sentences have the same embedding")

    for fault in FAULTS:
        print(f"{path}: {fault}", file=sys.stderr)
    if FAULTS:
        sys.exit(1)
    print(f"{path}: job {demo['job'][:16]}… settled in {demo['seconds']} s, {len(rows)} embeddings, nothing amiss")


main()
