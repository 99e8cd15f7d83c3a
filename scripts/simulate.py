"""Runs seeds on every core until the time is over; exits 1 if one failed. Called by simulate.sh."""
import json
import os
import random
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

PROFILES = ["quiet", "lossy", "partition", "crash", "twin", "byzantine", "wan", "chaos"]


def run(program, scope, seed, nodes, profile, views):
    command = [program, "simulate", "--seed", str(seed), "--nodes", str(nodes), "--profile", profile, "--views", str(views)]
    if scope != "consensus":
        command += ["--scope", scope]
    outcome = subprocess.run([*command, "-o", "json"], capture_output=True, text=True)
    try:
        report = json.loads(outcome.stdout)
    except ValueError:
        report = None
    return command, outcome, report


def main():
    program, hours, views, scope = sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    # A twin is two engines with one key; whole nodes have no such profile.
    profiles = [name for name in PROFILES if scope == "consensus" or name != "twin"]
    seed = random.SystemRandom().randrange(1 << 40)
    end = time.time() + hours * 3600
    workers = os.cpu_count() or 1
    began = told = time.time()
    seeds = finalized = failed = 0
    simulated = 0.0
    print(f"seeds from {seed} on, {workers} at a time, {hours} h", flush=True)
    with ThreadPoolExecutor(workers) as pool:
        running = set()
        while running or time.time() < end:
            while len(running) < workers and time.time() < end:
                nodes = 4 + seed % 7
                running.add(pool.submit(run, program, scope, seed, nodes, profiles[seed % len(profiles)], views))
                seed += 1
            done = {one for one in running if one.done()}
            if not done:
                time.sleep(0.02)
                continue
            running -= done
            for one in done:
                command, outcome, report = one.result()
                seeds += 1
                if outcome.returncode != 0 or report is None:
                    failed += 1
                    print("FAILED: " + " ".join(command), flush=True)
                    print(outcome.stderr.strip() or outcome.stdout.strip(), flush=True)
                if report is not None:
                    finalized += min(report["finalized"])
                    simulated += report["simulatedSeconds"]
            if time.time() - told > 60:
                told = time.time()
                spent = told - began
                print(f"{spent:.0f} s: {seeds} seeds, {finalized / spent:.0f} views a second, {failed} failed", flush=True)
    spent = time.time() - began
    print(
        f"{seeds} seeds, {finalized} views, {simulated:.0f} virtual s in {spent:.0f} s: {finalized / spent:.0f} views and "
        f"{simulated / spent:.0f} virtual seconds a second; {failed} failed"
    )
    sys.exit(1 if failed else 0)


main()
