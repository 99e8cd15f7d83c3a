import Primitives
import Simulation
import Testing

/// Gangs, jobs that read what others leave, runs in parts, claims, inputs that nobody has and slow numbers, in networks of whole nodes.
@Suite struct NodeMarketTests {
    /// All kinds of jobs among the honest are paid, and each balance is known to the base unit.
    @Test func gangsChildrenAndRunsInPartsArePaid() throws {
        var (ganged, children, held) = (0, 0, 0)
        for seed in [1, 2, 3, 4] as [UInt64] {
            let report = try NodeSimulationTests.trade(seed, views: 80)
            #expect(report.settled + report.cancelled + report.expired + report.failed == report.jobs)
            #expect(report.settled > 10 && report.isExact, "seed \(seed): \(report.market)")
            ganged += report.ganged
            children += report.children
            held += report.held
        }
        #expect(ganged > 10 && children > 4 && held > 0, "\(ganged) in gangs, \(children) children, \(held) held")
    }

    /// What no auditor has run lies with the provider alone: the requester claims, nobody can have it, the job runs elsewhere.
    @Test func whoWithholdsAnOutputIsConvictedByAClaim() throws {
        var undelivered = 0
        for seed in 1...5 as ClosedRange<UInt64> {
            let report = try NodeSimulationTests.trade(seed, actors: [.withholdingProvider], providers: 4, views: 100)
            undelivered += report.undelivered
            #expect(report.settled > 0 && report.isExact, "seed \(seed): \(report.market)")
        }
        #expect(undelivered > 0)
    }

    /// Claims of what can be had cost their deposits, and no provider anything.
    @Test func whoClaimsWhatItCanHaveLosesItsDeposits() throws {
        for seed in [1, 2] as [UInt64] {
            let report = try NodeSimulationTests.trade(seed, actors: [.claimingRequester], views: 80)
            #expect(report.claims > 3 && report.undelivered == 0, "seed \(seed): \(report.market)")
        }
    }

    /// Witnesses find as little as the provider: the job ends, and the deposit is shared.
    @Test func inputsThatNobodyHasEndTheirJobs() throws {
        var unavailable = 0
        for seed in [1, 2] as [UInt64] {
            unavailable += try NodeSimulationTests.trade(seed, actors: [.vanishingRequester], views: 80).unavailable
        }
        #expect(unavailable > 0)
    }

    @Test func twoProvidersThatFindAJobSlowEndIt() throws {
        var slow = 0
        for seed in [1, 2] as [UInt64] {
            slow += try NodeSimulationTests.trade(seed, actors: [.subnormalRequester], views: 120).slow
        }
        #expect(slow > 0)
    }
}
