"""Times the works of threads.sh on one thread, on two, and as two processes of one thread each at the same time, by turns, and prints their ratios."""
import argparse, collections, json, os, statistics, subprocess, sys, time

PLASMA = ".build/release/plasma"


def minilm(work, own, threads, seconds):
    return [PLASMA, "bench", "model", ".cache/all-MiniLM-L6-v2", "--threads", str(threads), "--seconds", str(seconds)]


def minilm_cases(text):
    for line in text.splitlines():
        case = json.loads(line)
        yield f"MiniLM, batch {case['batch']} of {case['sequence']} tokens", case["embeddingsPerSecond"]


def generation(batch, tokens):
    def command(work, own, threads, seconds):
        prompts = [part for row in range(batch) for part in ("--prompt", "abcdefgh" * 15 + f"abcdef{row:02d}")]
        return [PLASMA, "model", "generate", f"{work}/gpt2", *prompts, "--max-tokens", str(tokens), "--threads", str(threads), "--repeat", "3", "-o", "json"]

    def cases(text):
        found = json.loads(text)
        yield f"GPT-2 prefill, batch {batch} of 128 tokens", batch * 128 / found["prefillSeconds"]
        yield f"GPT-2 decode, batch {batch}", found["tokensPerSecond"]

    return command, cases


def training(work, own, threads, seconds):
    with open(f"{own}.toml", "w") as file:
        file.write(f'[data]\ntext = "{work}/text"\n[training]\nsteps = 40\n[output]\nfolder = "{own}"\ncheckpoint_every = 40\n')
    return [PLASMA, "train", f"{own}.toml", "--threads", str(threads), "-o", "json"]


def training_cases(text):
    yield "training the small decoder", json.loads(text)["stepsPerSecond"]


def resnet(batch):
    def command(work, own, threads, seconds):
        return [PLASMA, "bench", "graph", f"{work}/resnet.onnx", "--input", f"image={work}/image{batch}.npy", "--threads", str(threads), "--seconds", str(2 * seconds)]

    def cases(text):
        yield f"ResNet-50, batch {batch}", 1 / json.loads(text)["seconds"]

    return command, cases


WORKS = {
    "minilm": (minilm, minilm_cases),
    "generation1": generation(1, 128),
    "generation16": generation(16, 64),
    "training": (training, training_cases),
    "resnet1": resnet(1),
    "resnet8": resnet(8),
}


def measured(work, number, command, cases, threads, processes, seconds):
    """The throughput of each case, of all processes together."""
    started = []
    for process in range(processes):
        own = f"{work}/run-{number}-{process}"
        subprocess.run(["rm", "-rf", own], check=True)
        started.append(subprocess.Popen(command(work, own, threads, seconds), stdout=subprocess.PIPE, text=True))
    total = collections.Counter()
    for process in started:
        text = process.communicate()[0]
        if process.returncode:
            sys.exit(f"{' '.join(process.args[:4])} ended with {process.returncode}.")
        for case, throughput in cases(text):
            total[case] += throughput
    return total


def has_two_cores():
    """Whether two threads that share nothing do here and now about twice what one does."""
    return subprocess.run(["bash", "-c", "source scripts/bench/cores.sh && has_two_cores"]).returncode == 0


def undisturbed(again, measure):
    """What is measured while the machine has two cores: before and after, or else once more, up to five times. Counts in `again`."""
    for attempt in range(5):
        before = has_two_cores()
        found = measure()
        if before and has_two_cores():
            break
        again["left" if attempt == 4 else "anew"] += 1
        time.sleep(3)
    return found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("work")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1)
    parser.add_argument("--only", choices=WORKS)
    options = parser.parse_args()
    if (os.cpu_count() or 1) < 2:
        sys.exit("This machine has one processor: there is nothing to compare.")
    found = collections.defaultdict(list)
    memory = []
    again = collections.Counter()
    number = 0
    for turn in range(options.rounds):
        print(f"Round {turn + 1} of {options.rounds} …", file=sys.stderr, flush=True)
        memory.append(json.loads(subprocess.run([PLASMA, "bench", "memory"], capture_output=True, check=True, text=True).stdout))
        for command, cases in [WORKS[options.only]] if options.only else WORKS.values():
            number += 1
            ways = []
            for way in ((1, 1), (2, 1), (1, 2)):
                ways.append(undisturbed(again, lambda: measured(options.work, number, command, cases, *way, options.seconds)))
            for case in ways[0]:
                found[case].append([way[case] for way in ways])
    print("| work | one thread | two threads | two processes | two threads to one | two processes to one | two threads to two processes |")
    print("| --- |" + " ---: |" * 6)
    for case, rounds in found.items():
        one, two, pair = (statistics.median(column) for column in zip(*rounds))
        ratios = [[b / a for a, b, _ in rounds], [c / a for a, _, c in rounds], [b / c for _, b, c in rounds]]
        told = " | ".join(f"{statistics.median(ratio):.2f} ({min(ratio):.2f} to {max(ratio):.2f})" for ratio in ratios)
        print(f"| {case} | {one:.4g} | {two:.4g} | {pair:.4g} | {told} |")
    print("\nSentences, tokens, steps or images a second, medians of the rounds; ratios of each round's own three, their median, least and greatest.")
    one, two, ratio = (statistics.median(turn[key] for turn in memory) for key in ("oneThread", "twoThreads", "twoThreadsToOne"))
    print(f"Of memory that no cache holds one thread read {one:.1f} GB/s, two {two:.1f}, {ratio:.2f} times as much: more is not to be had by what reads all weights for each token.")
    print(f"The machine had no two whole cores before or after {again['anew']} measurements, which were done again, and {again['left']} that were kept after five attempts.")


main()
