import Primitives
import Simulation
import Testing

@Suite struct ConsensusSimulationTests {
    func run(_ seed: UInt64, _ profile: SimulationProfile) throws -> SimulationReport {
        var simulation = try ConsensusSimulation(seed: seed, profile: profile)
        return simulation.run()
    }

    @Test func aQuietNetworkFinalizesEveryView() throws {
        let report = try run(1, SimulationProfile())
        #expect(report.violations == [])
        #expect(report.finalized.allSatisfy { $0.value > 200 }, "\(report.finalized)")
    }

    @Test func aSeedReplaysToTheSameDigest() throws {
        let profile = SimulationProfile(
            loss: 200, duplication: 100, crash: 300, partition: 100, twin: true, healsAt: .seconds(10),
            ends: .seconds(20))
        let first = try run(7, profile)
        #expect(try run(7, profile).digest == first.digest)
        #expect(try run(8, profile).digest != first.digest)
    }

    /// Until every honest node has finalized so many views under trouble, and on until the network has healed.
    func survives(_ name: String, nodes: Int, seed: UInt64, views: UInt64 = 25) throws -> SimulationReport {
        var profile = try #require(SimulationProfile.named(name, nodes: nodes, seed: seed))
        profile.views = views
        profile.healsAt = .seconds(Int64(views) * 6)
        profile.aftermath = .seconds(4)
        let report = try run(seed, profile)
        let replay: Comment = "plasma simulate --seed \(seed) --nodes \(nodes) --profile \(name) --views \(views)"
        #expect(report.violations == [], replay)
        #expect(report.reached, replay)
        return report
    }

    /// 2,000 seeds in all; a quarter of them with seven validators.
    static let batches = 0..<40

    func batch(_ name: String, _ number: Int, of seeds: Int) throws -> [SimulationReport] {
        try (0..<seeds).map { place in
            let seed = number * seeds + place
            return try survives(name, nodes: seed % 4 == 3 ? 7 : 4, seed: UInt64(seed))
        }
    }

    /// Six of ten messages are lost.
    @Test(arguments: batches) func lossBreaksNothing(_ number: Int) throws { _ = try batch("lossy", number, of: 10) }

    @Test(arguments: batches) func linksThatFailOneWayAndSlowApplicationsBreakNothing(_ number: Int) throws {
        _ = try batch("partition", number, of: 10)
    }

    @Test(arguments: batches) func crashesBreakNothing(_ number: Int) throws {
        _ = try batch("crash", number, of: 8)
    }

    @Test(arguments: batches) func everythingAtOnceBreaksNothing(_ number: Int) throws {
        _ = try batch("chaos", number, of: 10)
    }

    /// Each by itself, so that what breaks is known by its name; `chaos` has them all.
    func survivesAlone(_ seeds: Range<UInt64>, _ change: (inout SimulationProfile) -> Void) throws -> [SimulationReport]
    {
        try seeds.map { seed in
            var profile = SimulationProfile(nodes: seed % 4 == 3 ? 7 : 4, loss: 50, delay: 1...40)
            profile.views = 25
            profile.healsAt = .seconds(150)
            profile.aftermath = .seconds(4)
            change(&profile)
            let report = try run(seed, profile)
            #expect(report.violations == [] && report.reached, "seed \(seed): \(report.violations)")
            return report
        }
    }

    @Test func clocksThatDifferDriftAndLeapBreakNothing() throws {
        _ = try survivesAlone(0..<40) { $0.clocks = true }
        // They are in play: the same seed without them runs differently.
        let exact = try survivesAlone(5..<6) { _ in }
        let skewed = try survivesAlone(5..<6) { $0.clocks = true }
        #expect(exact[0].digest != skewed[0].digest)
    }

    @Test func pausesBreakNothing() throws {
        let reports = try survivesAlone(0..<40) { $0.pause = 100 }
        #expect(reports.contains { $0.pauses > 0 })
    }

    /// Who comes back without its journal follows, abstains, and votes again once the others have moved on.
    @Test(arguments: 0..<4) func aLostJournalBreaksNothing(_ number: Int) throws {
        let reports = try batch("wipe", number, of: 10)
        #expect(reports.contains { $0.wipes > 0 })
    }

    @Test func aSlowNodeBreaksNothing() throws {
        _ = try survivesAlone(0..<40) { $0.slow = true }
        let quick = try survivesAlone(5..<6) { _ in }
        let slow = try survivesAlone(5..<6) { $0.slow = true }
        #expect(quick[0].digest != slow[0].digest)
    }

    /// What a clock is told to wait for is due when it has waited, and not long before.
    @Test func aClockThatDriftsIsDueOnTime() {
        var random = SplitMix64(seed: 4)
        for _ in 0..<2_000 {
            let drift = Int64(random.next() % 101) - 50
            var clock = MonotonicClock(offset: .milliseconds(Int64(random.next() % 1_000_000)), drift: drift)
            let now = Instant(nanoseconds: Int64(random.next() % 1_000_000_000_000))
            if random.next() % 2 == 0 { clock.leap(.milliseconds(Int64(random.next() % 5_000)), at: now) }
            let due = clock.reading(at: now).adding(Interval(nanoseconds: Int64(random.next() % 1_000_000_000)))
            let then = now.adding(clock.wait(until: due, at: now))
            #expect(clock.reading(at: then) >= due)
            #expect(clock.reading(at: then).interval(since: due) < Interval(nanoseconds: 10))
            #expect(clock.reading(at: then) > clock.reading(at: now))
        }
    }

    /// One validator with two minds: it proposes, notarizes, nullifies and finalizes differently towards different halves.
    @Test(arguments: 0..<8) func aTwinBreaksNothingAndIsFoundOut(_ number: Int) throws {
        let reports = try batch("twin", number, of: 35)
        #expect(reports.contains { $0.accusations > 0 })
    }

    @Test(arguments: ByzantineActor.allCases) func aLiarBreaksNothing(_ actor: ByzantineActor) throws {
        var accusations = 0
        for seed in 0..<30 as Range<UInt64> {
            let nodes = seed % 5 == 4 ? 7 : 4
            var profile = SimulationProfile(nodes: nodes, loss: seed % 2 == 0 ? 0 : 100, delay: 1...40)
            // Of seven two lie, together.
            profile.actors = [ByzantineActor](repeating: actor, count: nodes == 7 ? 2 : 1)
            profile.views = 25
            profile.healsAt = .seconds(150)
            profile.aftermath = .seconds(4)
            let report = try run(seed, profile)
            accusations += report.accusations
            #expect(report.violations == [], "\(actor), seed \(seed), \(nodes) nodes")
            #expect(report.reached, "\(actor), seed \(seed), \(nodes) nodes")
        }
        // Who signs two things is found out; who signs nothing wrong, or only in others' names, is accused of nothing.
        switch actor {
        case .equivocator, .nullifier, .invalidProposer: #expect(accusations > 0)
        case .replayer, .withholder, .staleSender: #expect(accusations == 0)
        // Of two forgers one can give the other's words, signed in the name of a third, back to whom they belong.
        case .forger: break
        }
    }

    /// Every place in the first views of four nodes: what stands before it happened, what stands after it did not, and what was not synced is gone.
    @Test(arguments: 0..<8) func aCrashAtEveryBoundaryBreaksNothing(_ part: Int) throws {
        var profile = SimulationProfile(delay: 1...20)
        profile.views = 10
        profile.healsAt = .seconds(60)
        profile.aftermath = .seconds(2)
        let boundaries = try run(5, profile).boundaries
        #expect(boundaries > 500)
        // The run without a crash is watched for two seconds more than the views last: those are crashed in too.
        for boundary in stride(from: part + 1, through: min(boundaries, 1_600), by: 8) {
            profile.crashAtBoundary = boundary
            let report = try run(5, profile)
            #expect(report.violations == [] && report.reached, "crash at boundary \(boundary) of \(boundaries)")
            #expect(report.crashes == 1)
        }
    }

    @Test func fiftyValidatorsInTenRegionsAreFinalInThreeDelays() throws {
        var profile = try #require(SimulationProfile.named("wan", nodes: 50, seed: 1))
        profile.views = 30
        profile.aftermath = .seconds(4)
        let report = try run(1, profile)
        #expect(report.violations == [] && report.reached)
        // Virtual time: nothing of this machine is in it.
        let finality = try #require(report.finality)
        #expect(finality.milliseconds <= 3 * report.quorumDelay.milliseconds + 10)
    }
}
