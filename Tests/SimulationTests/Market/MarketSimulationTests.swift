import Ledger
import Simulation
import Testing

/// Markets of agents on the real ledger. Each run is some seconds of one core at most.
@Suite struct MarketSimulationTests {
    private static func run(
        _ cast: [MarketStrategy: Int] = MarketSettings.everybody, jobs: Int = 240, markets: Int = 4, seed: UInt64 = 1,
        _ change: (inout MarketSettings) -> Void = { _ in }
    ) throws -> MarketReport {
        var settings = MarketSettings()
        settings.cast = cast
        settings.jobs = jobs
        settings.markets = markets
        settings.seed = seed
        change(&settings)
        let report = try MarketSimulation(settings).run()
        #expect(report.violations.isEmpty, "seed \(seed): \(report.violations)")
        return report
    }

    private static func row(_ strategy: MarketStrategy, _ report: MarketReport) throws -> MarketReport.Row {
        try #require(report.rows.first { $0.strategy == strategy })
    }

    private static func count(_ name: String, _ strategy: MarketStrategy, _ report: MarketReport) throws -> Int {
        try row(strategy, report).counts.first { $0.name == name }?.count ?? 0
    }

    // MARK: The machine

    @Test func aSeedReplaysToTheSameDigest() throws {
        let first = try Self.run(jobs: 80, markets: 2, seed: 7)
        let second = try Self.run(jobs: 80, markets: 2, seed: 7)
        let other = try Self.run(jobs: 80, markets: 2, seed: 8)
        #expect(first.digest == second.digest && first.transactions == second.transactions)
        #expect(first.rows.map(\.profit) == second.rows.map(\.profit))
        #expect(first.digest != other.digest)
    }

    /// Every job ends, and every one of honest requesters that nobody lied about was answered.
    @Test func honestMarketsAnswerEveryJob() throws {
        let report = try Self.run(MarketSettings.alone(.honest))
        #expect(report.states == ["settled": 240] && report.failures.isEmpty && report.lies.isEmpty)
        #expect(try Self.count("answered", .requester, report) == 240)
        #expect(try Self.row(.honest, report).profit.low > 0)
        #expect(report.isSound)
    }

    @Test(arguments: [UInt64(1), 2, 3])
    func moneyIsConservedWithEverybody(seed: UInt64) throws {
        let report = try Self.run(seed: seed)
        #expect(report.states.values.reduce(0, +) >= 240)
        #expect(report.mostUncovered == 0)
    }

    // MARK: What each does

    @Test func liarsAreConvictedDownToTheBit() throws {
        let report = try Self.run(MarketSettings.alone(.liar)) { $0.policies = [.audited] }
        let lies = try Self.count("lies", .liar, report)
        #expect(lies > 20)
        #expect(try Self.count("convicted", .liar, report) == lies - Self.count("liesPaid", .liar, report))
        #expect(try Self.count("convicted", .liar, report) * 10 > lies * 9)
        // Honest ones have lost nothing over it.
        #expect(try Self.count("convicted", .honest, report) == 0)
        #expect(try Self.count("disputesLost", .honest, report) == 0)
        #expect(try Self.count("disputesWon", .honest, report) > 0)
    }

    @Test func lazyProvidersAndAuditorsSpendNothing() throws {
        let lazy = try Self.run(MarketSettings.alone(.lazyProvider))
        #expect(try Self.count("lies", .lazyProvider, lazy) > 0 && Self.count("convicted", .lazyProvider, lazy) > 0)
        let auditors = try Self.run(MarketSettings.alone(.lazyAuditor), jobs: 480, markets: 8)
        #expect(try Self.count("auditsNotRun", .lazyAuditor, auditors) > 0)
        #expect(try Self.count("auditsNotRun", .lazyAuditor, auditors) == Self.count("audits", .lazyAuditor, auditors))
        #expect(try Self.row(.lazyAuditor, auditors).verdict == .below)
    }

    @Test func aRingAgreesWithItselfAndIsFoundByOthers() throws {
        let report = try Self.run(MarketSettings.alone(.ring)) { $0.policies = [.audited] }
        #expect(try Self.count("auditsNotRun", .ring, report) > 0)
        // A third of the audits are its own: such a lie is paid.
        #expect(try Self.count("liesPaid", .ring, report) > 0)
        #expect(try Self.count("convicted", .ring, report) > Self.count("liesPaid", .ring, report))
    }

    @Test func aSilentProviderPaysForItsOutages() throws {
        let report = try Self.run(MarketSettings.alone(.silentProvider))
        #expect(try Self.count("left", .silentProvider, report) > 0)
        #expect(try Self.row(.silentProvider, report).verdict == .below)
        // The requesters got their answers all the same.
        #expect(try Self.count("answered", .requester, report) >= 238)
    }

    @Test func falseAccusersLoseTheirDisputes() throws {
        for strategy in [MarketStrategy.falseAuditor, .falseChallenger] {
            let report = try Self.run(MarketSettings.alone(strategy))
            #expect(try Self.count("disputesLost", strategy, report) > 0)
            #expect(try Self.count("disputesWon", strategy, report) == 0)
            #expect(try Self.count("convicted", .honest, report) == 0)
            #expect(try Self.row(strategy, report).verdict == .below)
        }
    }

    @Test func aSybilLeavesItsNamesBehind() throws {
        let report = try Self.run(MarketSettings.alone(.sybil)) { $0.policies = [.audited] }
        #expect(try Self.count("convicted", .sybil, report) > 0)
        #expect(try Self.row(.sybil, report).verdict == .below)
    }

    /// Names for nothing are not to be had: what one may lie about is bounded by its fee, and a lie that is found costs the name.
    @Test func newcomersThatLieEarnLessThanTheHonest() throws {
        let report = try Self.run(MarketSettings.alone(.newcomers)) {
            $0.policies = [.audited]
            $0.parameters.newcomerSharePerMille = 300
        }
        let (lies, paid) = (
            try Self.count("lies", .newcomers, report), try Self.count("liesPaid", .newcomers, report)
        )
        #expect(lies > 20 && paid < lies)
        #expect(try Self.count("convicted", .newcomers, report) > 0)
        #expect(try Self.count("convicted", .honest, report) == 0)
        #expect(try Self.row(.newcomers, report).verdict == .below)
    }

    @Test func tradingWithOneselfCostsMoreThanItBrings() throws {
        for strategy in [MarketStrategy.washTrader, .dearWashTrader] {
            let report = try Self.run(MarketSettings.alone(strategy))
            // What it did for itself is settled too.
            #expect((report.states["settled"] ?? 0) > 600)
            #expect(try Self.row(strategy, report).verdict == .below)
        }
    }

    /// Before reports ended such jobs, one such requester cost thirty honest providers all that they earned.
    @Test func griefingRequestersPayAndHonestProvidersDoNot() throws {
        let quiet = try Self.run(MarketSettings.alone(.honest), jobs: 480, markets: 8)
        for strategy in [MarketStrategy.cancellingRequester, .unrunnableRequester] {
            let report = try Self.run(MarketSettings.alone(strategy), jobs: 480, markets: 8) { $0.griefPerMille = 200 }
            #expect(try Self.row(strategy, report).verdict == .below)
            let (honest, before) = (try Self.row(.honest, report).profit, try Self.row(.honest, quiet).profit)
            #expect(honest.mean > before.mean * 0.9, "\(strategy): \(honest) of \(before)")
        }
    }

    // MARK: That it can see what pays

    /// A bond that is next to nothing, and one audit in a thousand: lying pays, and the simulation says so.
    @Test func withoutAuditsLyingPays() throws {
        let report = try Self.run(MarketSettings.alone(.liar), jobs: 400) {
            $0.policies = [.sampled(perMille: 1)]
            $0.bond = 30_000
        }
        let row = try Self.row(.liar, report)
        #expect(row.verdict == .above && row.isUnsound && !report.isSound, "\(row.difference)")
    }

    /// What somebody outside gives for a lie can always be more than a bond: so much the report names.
    @Test func aLieThatBringsEnoughPays() throws {
        func report(_ gain: Double) throws -> MarketReport {
            try Self.run(MarketSettings.alone(.liar), jobs: 480, markets: 8) { $0.gainShare = gain }
        }
        let row = try Self.row(.liar, try report(0.5))
        let gain = try #require(row.gainToPay)
        #expect(row.verdict == .below && gain.mean > 1)
        #expect(try Self.row(.liar, try report(gain.high * 1.5)).verdict == .above)
    }

    /// The audits that a ring of honest workers spares itself, and no more.
    @Test func sharedAuditsBringAtMostTheirCost() throws {
        let report = try Self.run(MarketSettings.alone(.sharingRing), jobs: 1000, markets: 8)
        let row = try Self.row(.sharingRing, report)
        let spared = try Self.count("auditsNotRun", .sharingRing, report)
        #expect(spared > 0 && report.lies.isEmpty)
        // At most two XPL at seven tenths each, for ten purses, of a thousand jobs in all.
        #expect(row.difference.low < Double(spared) * 1.4 / 10)
        #expect(report.isSound)
    }

    @Test func aReportDrawsItself() throws {
        let report = try Self.run(jobs: 120, markets: 2)
        let files = MarketPlots(report).files
        #expect(files.map(\.name) == ["market-profit.svg", "market-gain.svg", "market-lies.svg"])
        for file in files {
            #expect(file.text.hasPrefix("<svg") && file.text.hasSuffix("</svg>\n"), "\(file.name)")
            #expect(!file.text.contains("nan") && !file.text.contains("inf"), "\(file.name)")
        }
        for row in report.rows where row.strategy != .requester {
            #expect(files[0].text.contains(">\(row.strategy.rawValue)<"))
        }
    }
}
