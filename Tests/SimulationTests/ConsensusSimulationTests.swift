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
        let profile = SimulationProfile(loss: 200, duplication: 100, crash: 300, ends: .seconds(30))
        let first = try run(7, profile)
        #expect(try run(7, profile).digest == first.digest)
        #expect(try run(8, profile).digest != first.digest)
    }

    @Test(arguments: 0..<40) func lossDuplicationAndCrashesBreakNothing(_ batch: UInt64) throws {
        for seed in batch * 5..<batch * 5 + 5 {
            let profile = SimulationProfile(
                nodes: seed % 5 == 4 ? 7 : 4, loss: seed % 3 == 0 ? 600 : 200, duplication: 100, crash: 200,
                delay: 1...60,
                healsAt: .seconds(15), ends: .seconds(35))
            let report = try run(seed, profile)
            #expect(report.violations == [], "replay with seed \(seed): \(report.violations)")
        }
    }
}
