"""The mutants, one or more a rule of the engine, and the runs that must notice them. Called by mutants.sh."""
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ENGINE = "Sources/Consensus/Engine/"
VIEWS, PROPOSALS, VOTES = ENGINE + "Simplex+Views.swift", ENGINE + "Simplex+Proposals.swift", ENGINE + "Simplex+Votes.swift"
CERTIFICATES, REPAIR, JOURNAL = ENGINE + "Simplex+Certificates.swift", ENGINE + "Simplex+Repair.swift", ENGINE + "Simplex+Journal.swift"
AMNESIA = ENGINE + "Simplex+Amnesia.swift"
SIMPLEX = ENGINE + "Simplex.swift"

# Name, what it breaks, file, what stands there, what is put in its place.
MUTANTS = [
    ("rule-1", "enters views backward", VIEWS, "if next <= view { return }", "if next == view { return }"),
    ("rule-2", "proposes over views that are not nullified", PROPOSALS,
     "if round?.nullification == nil { missing.append(candidate) }", ""),
    ("rule-3", "verifies a proposal whose gap is not nullified here", PROPOSALS,
     "if rounds[between]?.nullification == nil { missing.append(between) }", ""),
    ("rule-4", "notarizes after giving the view up", PROPOSALS,
     "round.sentNotarize == nil, round.sentNullify == nil, round.sentFinalize == nil,",
     "round.sentNotarize == nil, round.sentFinalize == nil,"),
    ("rule-5", "gives a view up after finalizing it", VIEWS,
     "if round.sentFinalize != nil || !maySign(in: view) { return }", "if !maySign(in: view) { return }"),
    ("rule-6", "a notarization does not overrule the slot", CERTIFICATES,
     "if let held = round.slot.proposal, held != proposal { round.slot = .equivocated }", ""),
    ("rule-7", "takes a refused certification for a granted one", CERTIFICATES,
     "rounds[proposal.view]?.certification = verdict ? .yes : .no", "rounds[proposal.view]?.certification = .yes"),
    ("rule-8", "finalizes after giving the view up", CERTIFICATES,
     "round.certification == .yes, round.sentNullify == nil, round.sentFinalize == nil,",
     "round.certification == .yes, round.sentFinalize == nil,"),
    ("rule-9", "a nullification does not end the view", CERTIFICATES, "            enter(certified.next(), at: now)\n", "\n"),
    ("rule-10", "a second, different vote is passed over", VOTES,
     "if held.vote != vote, held.vote.subject != subject || held.check != .good {", "if held.vote != vote, false {"),
    ("rule-10b", "a quorum is a simple majority", "Sources/Consensus/Validators/ValidatorSet.swift", None, None),
    ("rule-11", "says nothing again when it stands still", REPAIR,
     "repeatOurselves(budget: Simplex.standstillBudget) { .broadcast($0) }", ""),
    ("rule-12", "asks nobody for what it lacks", REPAIR,
     "guard let first = views.min(), let last = views.max() else { return }",
     "guard let first = views.min(), let last = views.max(), false else { return }"),
    ("journal-order", "sends a vote before it is journaled", SIMPLEX,
     "        outputs.append(.persist(.vote(vote)))\n        outputs.append(.broadcast(.vote(vote)))\n",
     "        outputs.append(.broadcast(.vote(vote)))\n        outputs.append(.persist(.vote(vote)))\n"),
    ("journal-replay", "forgets at a restart what it nullified", JOURNAL,
     "case .nullify: round.sentNullify = vote", "case .nullify: break"),
    ("amnesia", "votes with a key whose journal is gone", AMNESIA,
     "case .asking: false", "case .asking: true"),
    ("amnesia-bound", "votes in the last view that its forgotten votes may lie in", AMNESIA,
     "through: highest.next()", "through: highest"),
    ("amnesia-answer", "answers for others while it does not know itself", AMNESIA,
     "guard let ownIndex, let signer, maySign(in: view), mayAnswer(peer) else { return }",
     "guard let ownIndex, let signer, mayAnswer(peer) else { return }"),
]

PACKAGE = """// swift-tools-version: 6.2
import PackageDescription

let strict: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"), .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"), .enableExperimentalFeature("Lifetimes"),
]

let package = Package(
    name: "mutants",
    targets: [
        .systemLibrary(name: "CSodium", pkgConfig: "libsodium"),
        .target(name: "CDigest"),
        .target(name: "Primitives", dependencies: ["CSodium", "CDigest"], swiftSettings: strict),
        .target(
            name: "TestSupport", dependencies: ["Primitives"], path: "Tests/TestSupport",
            exclude: ["LeafPlayer.swift", "LeafRun.swift"], swiftSettings: strict),
        .target(name: "Consensus", dependencies: ["Primitives"], swiftSettings: strict),
        .target(
            name: "Simulation", dependencies: ["Primitives", "Consensus"],
            exclude: ["Market", "Nodes", "Oracle/ChainOracle.swift", "Oracle/JobOracle.swift"], swiftSettings: strict),
        .testTarget(name: "ConsensusTests", dependencies: ["TestSupport", "Consensus", "Primitives"], swiftSettings: strict),
        .testTarget(
            name: "SimulationTests", dependencies: ["Simulation", "Primitives", "Consensus"],
            exclude: ["Market", "NodeSimulationTests.swift", "ChainOracleTests.swift", "JobOracleTests.swift"], swiftSettings: strict),
    ],
    swiftLanguageModes: [.v6]
)
"""


def change(work, mutant):
    """Puts the mutant in place. The engine's own assertions go: they would stop it before anybody else has noticed."""
    name, _, path, old, new = mutant
    target = os.path.join(work, path)
    text = open(target, encoding="utf-8").read()
    if name == "rule-10b":
        text, count = re.subn(r"(quorumWeight: UInt64 \{ ?)[^}]*", r"\1 totalWeight / 2 + 1 ", text)
    else:
        count = text.count(old)
        text = text.replace(old, new)
    if count != 1 and not (name == "rule-6" and count >= 1):
        sys.exit(f"{name}: what it changes stands {count} times in {path}; bring scripts/mutants.py up to date")
    open(target, "w", encoding="utf-8").write(text)
    simplex = os.path.join(work, SIMPLEX)
    text = open(simplex, encoding="utf-8").read()
    text = re.sub(r"\n *precondition\(\n(?:.*\n)*?.*\"\)(?=\n)", "\n", text)
    open(simplex, "w", encoding="utf-8").write(text)


def build(work):
    outcome = subprocess.run(
        ["swift", "build", "-c", "release", "-j", "2", "--build-tests"], cwd=work, capture_output=True, text=True)
    if outcome.returncode != 0:
        print(outcome.stdout[-3000:], file=sys.stderr)
        sys.exit("the mutant does not compile")


def end_session(leader):
    """Ends all processes of a session: the tests themselves run in a group of their own."""
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                if os.getsid(int(name)) == leader:
                    os.kill(int(name), signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                pass


def failures(work, suite, seconds):
    """Names of the tests that failed, or how else it ended."""
    # In a session of its own: a mutant may run for ever, and swift test leaves it behind when it is stopped itself.
    process = subprocess.Popen(
        ["swift", "test", "-c", "release", "--skip-build", "--filter", suite], cwd=work, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, start_new_session=True)
    try:
        said, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        end_session(process.pid)
        process.wait()
        return ["(did not end)"]
    if process.returncode == 0:
        return []
    names = re.findall(r"✘ Test (\w+)\([^)]*\)[^\n]*failed after", said)
    return sorted(set(names)) or ["(the run crashed)"]


def main():
    both = "--both" in sys.argv
    wanted = [name for name in sys.argv[1:] if name != "--both"]
    work = tempfile.mkdtemp(prefix="plasma-mutants-")
    alive = []
    try:
        shutil.copytree("Tests", os.path.join(work, "Tests"))
        open(os.path.join(work, "Package.swift"), "w").write(PACKAGE)
        print("| mutant | what it does | the rules' tests that notice | the simulator's |")
        print("| --- | --- | --- | --- |", flush=True)
        for mutant in MUTANTS:
            if wanted and mutant[0] not in wanted:
                continue
            shutil.rmtree(os.path.join(work, "Sources"), ignore_errors=True)
            for module in ["CSodium", "CDigest", "Primitives", "Consensus", "Simulation"]:
                shutil.copytree(os.path.join("Sources", module), os.path.join(work, "Sources", module))
            change(work, mutant)
            began = time.time()
            build(work)
            caught = failures(work, "ConsensusTests", 120)
            simulated = failures(work, "ConsensusSimulationTests|TwinsTests|SearchTests", 900) if both or not caught else []
            if not caught and not simulated:
                alive.append(mutant[0])

            def tell(names):
                return ", ".join(f"`{name}`" for name in names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")

            print(f"| {mutant[0]} | {mutant[1]} | {tell(caught)} | {tell(simulated)} |", flush=True)
            print(f"{mutant[0]}: {time.time() - began:.0f} s", file=sys.stderr, flush=True)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    if alive:
        sys.exit(f"nothing noticed: {', '.join(alive)}")


main()
