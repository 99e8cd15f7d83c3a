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

    /// 200 seeds; in a third of them six of ten messages are lost.
    @Test(arguments: 0..<40) func lossDuplicationAndCrashesBreakNothing(_ batch: UInt64) throws {
        var crashes = 0
        for seed in batch * 5..<batch * 5 + 5 {
            let profile = SimulationProfile(
                nodes: seed % 5 == 4 ? 7 : 4, loss: seed % 3 == 0 ? 600 : 200, duplication: 100, crash: 200,
                delay: 1...60,
                healsAt: .seconds(12), ends: .seconds(24))
            let report = try run(seed, profile)
            crashes += report.crashes
            #expect(report.violations == [], "replay with seed \(seed): \(report.violations)")
        }
        #expect(crashes > 0)
    }

    @Test(arguments: 0..<10) func linksThatFailOneWayAndSlowApplicationsBreakNothing(_ batch: UInt64) throws {
        for seed in 1_000 + batch * 4..<1_000 + batch * 4 + 4 {
            let profile = SimulationProfile(
                nodes: seed % 4 == 3 ? 7 : 4, loss: 50, duplication: 50, crash: 100, partition: 300, delay: 1...40,
                answer: 1...80, healsAt: .seconds(12), ends: .seconds(24))
            let report = try run(seed, profile)
            #expect(report.violations == [], "replay with seed \(seed): \(report.violations)")
        }
    }

    /// One validator with two minds: it proposes, notarizes, nullifies and finalizes differently towards different halves.
    @Test(arguments: 0..<15) func aTwinBreaksNothingAndIsFoundOut(_ batch: UInt64) throws {
        var accusations = 0
        for seed in 2_000 + batch * 4..<2_000 + batch * 4 + 4 {
            let profile = SimulationProfile(
                nodes: seed % 4 == 3 ? 7 : 4, loss: seed % 2 == 0 ? 0 : 150, duplication: 50,
                crash: seed % 2 == 0 ? 0 : 50,
                delay: 1...40, twin: true, healsAt: .seconds(12), ends: .seconds(24))
            let report = try run(seed, profile)
            accusations += report.accusations
            #expect(report.violations == [], "replay with seed \(seed): \(report.violations)")
        }
        #expect(accusations > 0)
    }
}
