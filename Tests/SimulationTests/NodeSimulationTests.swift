import Primitives
import Simulation
import Testing

/// Whole nodes under trouble, seed after seed.
@Suite struct NodeSimulationTests {
    static func run(_ seed: UInt64, _ profile: NodeProfile) throws -> NodeSimulationReport {
        var simulation = try NodeSimulation(seed: seed, profile: profile)
        return simulation.run()
    }

    static func survives(
        _ name: String, nodes: Int, seed: UInt64, views: UInt64 = 20, epochLength: UInt64? = nil
    ) throws -> NodeSimulationReport {
        var profile = try #require(NodeProfile.named(name, nodes: nodes, seed: seed))
        if let epochLength { profile.epochLength = epochLength }
        // As it was when these seeds showed something.
        if epochLength == one { profile.discovers = false }
        profile.views = views
        profile.healsAt = .seconds(Int64(views) * 6)
        let report = try run(seed, profile)
        let replay: Comment =
            "plasma simulate --scope node --seed \(seed) --nodes \(nodes) --profile \(name) --views \(views) --limit \(views * 6)"
        #expect(report.violations == [], replay)
        #expect(report.reached, "\(replay); \(report.waiting)")
        return report
    }

    /// One seed in eight with seven validators.
    static func batch(_ name: String, _ number: Int, of seeds: Int) throws -> [NodeSimulationReport] {
        try (0..<seeds).map { place in
            let seed = number * seeds + place
            return try survives(name, nodes: seed % 8 == 7 ? 7 : 4, seed: UInt64(seed))
        }
    }

    @Test func aQuietNetworkTakesWhatIsSoundAndLosesNothing() throws {
        var profile = try #require(NodeProfile.named("quiet", nodes: 4, seed: 1))
        profile.views = 60
        let report = try Self.run(1, profile)
        #expect(report.violations == [])
        #expect(report.reached && report.transactions > 20 && report.blocks >= 60)
        #expect(report.crashes == 0 && report.accusations == 0)
    }

    @Test func aSeedReplaysToTheSameDigest() throws {
        let profile = try #require(NodeProfile.named("chaos", nodes: 4, seed: 7))
        let first = try Self.run(7, profile)
        #expect(try Self.run(7, profile).digest == first.digest)
        #expect(try Self.run(8, profile).digest != first.digest)
    }

    /// Six of ten messages are lost.
    @Test(arguments: 0..<8) func lossLosesNoTransaction(_ number: Int) throws {
        _ = try Self.batch("lossy", number, of: 5)
    }

    @Test(arguments: 0..<8) func aNetworkThatFallsApartBreaksNothing(_ number: Int) throws {
        _ = try Self.batch("partition", number, of: 5)
    }

    @Test(arguments: 0..<12) func crashesAndDisksThatFailBreakNothing(_ number: Int) throws {
        let reports = try Self.batch("crash", number, of: 6)
        #expect(reports.contains { $0.crashes > 0 })
    }

    @Test(arguments: 0..<8) func liarsBreakNothing(_ number: Int) throws {
        _ = try Self.batch("byzantine", number, of: 5)
    }

    @Test(arguments: 0..<12) func everythingAtOnceBreaksNothing(_ number: Int) throws {
        _ = try Self.batch("chaos", number, of: 6)
    }

    @Test(arguments: 0..<4) func tenRegionsAndWrongClocksBreakNothing(_ number: Int) throws {
        _ = try Self.batch("wan", number, of: 4)
    }

    @Test(arguments: NodeActor.allCases) func aLiarOfEachKindBreaksNothing(_ actor: NodeActor) throws {
        var accusations = 0
        for seed in 0..<5 as Range<UInt64> {
            var profile = NodeProfile(nodes: 4)
            profile.followers = 1
            profile.loss = seed % 2 == 0 ? 0 : 50
            profile.actors = [actor]
            profile.views = 20
            let report = try Self.run(seed, profile)
            accusations += report.accusations
            #expect(report.violations == [], "\(actor), seed \(seed)")
            #expect(report.reached, "\(actor), seed \(seed)")
        }
        // Who signs two blocks of one view is found out; the others sign nothing twice.
        #expect((accusations > 0) == (actor == .twoBlocks), "\(actor): \(accusations)")
    }

    /// Writes, syncs and sends of the first blocks, the nodes starting anew each time from what was synced. Every boundary that a stride
    /// meets: all of them together take longer than a test may.
    @Test(arguments: 0..<4) func aCrashAtABoundaryBreaksNothing(_ part: Int) throws {
        var profile = NodeProfile(nodes: 4)
        profile.views = 4
        profile.healsAt = .seconds(30)
        let boundaries = try Self.run(5, profile).boundaries
        #expect(boundaries > 300)
        for boundary in stride(from: 1 + part * 11, to: min(boundaries, 400), by: 44) {
            profile.crashAtBoundary = boundary
            let report = try Self.run(5, profile)
            #expect(report.violations == [] && report.reached && report.crashes == 1, "crash at boundary \(boundary)")
        }
    }

    /// Short epochs, liars that lose their seats in them, and everything else.
    @Test func epochsPassUnderTrouble() throws {
        var epochs: UInt64 = 0
        for name in ["chaos", "byzantine", "crash", "partition"] {
            for seed in [301, 302] as [UInt64] {
                epochs += try Self.survives(name, nodes: 4, seed: seed, views: 60, epochLength: 12).epochs
            }
        }
        #expect(epochs > 16, "\(epochs) epochs in eight runs")
    }

    // MARK: Finding one another

    @Test(arguments: 0..<6) func nodesThatKnowOneAddressFindTheRest(_ number: Int) throws {
        let report = try Self.survives("gossip", nodes: number == 5 ? 7 : 4, seed: UInt64(number))
        #expect(report.datagrams > 0 && report.sessions >= 12)
    }

    /// Who has found nobody speaks to nobody.
    @Test func nothingIsSaidToThoseWhoWereNotFound() throws {
        var profile = NodeProfile(nodes: 4)
        profile.discovers = true
        profile.loss = 1_000
        profile.views = 2
        profile.healsAt = .seconds(5)
        profile.aftermath = .zero
        profile.submissionInterval = 0
        let report = try Self.run(1, profile)
        #expect(!report.reached && report.sessions == 0 && report.datagrams == 0 && report.blocks == 0)
        // Each says so of itself, and nothing else is wrong.
        #expect(report.violations.count == 4)
        #expect(report.violations.allSatisfy { $0.contains("saw no new final block") })
        profile.aftermath = .seconds(14)
        let healed = try Self.run(1, profile)
        #expect(healed.violations == [] && healed.sessions >= 12 && healed.blocks > 5)
    }

    /// A cut of more than ten seconds ends the sessions across it; afterwards they stand again.
    @Test func aCutThatEndsSessionsHealsByFindingOneAnotherAgain() throws {
        for seed in [1, 2] as [UInt64] {
            var profile = NodeProfile(nodes: 4)
            profile.discovers = true
            profile.split = 1_000
            profile.longestSplit = 15_000
            profile.views = 1_000
            profile.healsAt = .seconds(40)
            // Whoever was tried in vain is left alone for up to 7.5 s, and a dial into the cut takes 3 s to fail.
            profile.aftermath = .seconds(31)
            profile.bound = .seconds(30)
            let report = try Self.run(seed, profile)
            #expect(report.violations == [], "seed \(seed): \(report.waiting)")
            #expect(report.sessions > 12, "seed \(seed): \(report.sessions)")
        }
    }

    // MARK: The market

    /// Runs a market and says how its jobs ended.
    static func trade(
        _ seed: UInt64, actors: [MarketActor] = [], providers: Int = 4, views: UInt64 = 40,
        _ change: (inout NodeProfile) -> Void = { _ in }
    ) throws -> NodeSimulationReport {
        var profile = NodeProfile(nodes: 4)
        profile.providers = providers
        profile.marketActors = actors
        profile.jobInterval = 400
        profile.views = views
        profile.submissionInterval = 400
        profile.epochLength = one
        change(&profile)
        let report = try run(seed, profile)
        #expect(report.violations == [], "\(actors), seed \(seed)")
        #expect(report.reached, "\(actors), seed \(seed): \(report.waiting)")
        return report
    }

    @Test func jobsAmongTheHonestArePaid() throws {
        let report = try Self.trade(1)
        #expect(report.jobs > 3 && report.settled + report.cancelled == report.jobs)
        #expect(report.convicted == 0 && report.acquitted == 0 && report.deceived == 0)
    }

    /// Both sides play by themselves, from the state, until the arithmetic has decided; then the job runs elsewhere.
    @Test func aLyingProviderIsConvictedAndItsJobsRunElsewhere() throws {
        var convicted = 0
        for seed in [1, 2] as [UInt64] {
            let report = try Self.trade(seed, actors: [.lyingProvider], providers: 3, views: 60)
            convicted += report.convicted
            #expect(report.settled > 0)
        }
        #expect(convicted > 0)
    }

    /// Auditors ask the liar first. Where it answers, one transaction convicts it; where it is silent, or signs nonsense, or another thing than it reveals on
    /// chain, the chain does.
    @Test(arguments: LiarsWord.allCases) func aLiarIsConvictedWhateverItSaysToWhoAsks(_ word: LiarsWord) throws {
        var (atOnce, contradictions, convicted) = (0, 0, 0)
        for seed in [1, 2] as [UInt64] {
            let report = try Self.trade(seed, actors: [.lyingProvider], providers: 3, views: 60) {
                $0.liarsWord = word
            }
            atOnce += report.settledByTranscript
            contradictions += report.contradictions
            convicted += report.convicted
            #expect(report.acquitted == 0, "seed \(seed): \(report.market)")
        }
        switch word {
        case .own: #expect(atOnce > 0 && contradictions == 0)
        case .another: #expect(contradictions > 0 && atOnce == 0)
        case .silence, .nonsense: #expect(convicted > 0 && atOnce == 0 && contradictions == 0)
        }
    }

    /// Who says something else and cannot show where loses; a copied mask cannot be opened, and the job is paid without that auditor.
    @Test func aLazyAuditorLosesOrGoesUnpaid() throws {
        var acquitted = 0
        for seed in [1, 2, 3, 4, 5, 6] as [UInt64] {
            let report = try Self.trade(seed, actors: [.lazyAuditor], providers: 3, views: 60)
            acquitted += report.acquitted
            #expect(report.convicted == 0 && report.settled > 0)
        }
        #expect(acquitted > 0)
    }

    /// An auditor that asks the provider and believes it is told the decoy where the draw has set a trap. Whoever runs the jobs gets the jackpots.
    @Test func anAuditorThatIsToldFallsIntoTraps() throws {
        var (trapped, jackpots) = (0, 0)
        for seed in [1, 2, 3] as [UInt64] {
            let report = try Self.trade(seed, actors: [.lazyAuditor], providers: 2, views: 80)
            #expect(report.traps > 0 && report.convicted == 0, "seed \(seed)")
            trapped += report.trapped
            jackpots += report.jackpots
        }
        #expect(trapped > 0 && jackpots > 0, "\(trapped) trapped, \(jackpots) jackpots")
    }

    @Test func aProviderThatVanishesLosesTheJobToAnother() throws {
        let report = try Self.trade(1, actors: [.vanishingProvider])
        #expect(report.settled > 0 && report.convicted == 0)
    }

    @Test func aRequesterThatVanishesGetsItsMoneyBackAndNobodyWaitsForIt() throws {
        var ended = 0
        for seed in [1, 2] as [UInt64] {
            let report = try Self.trade(seed, actors: [.vanishingRequester], views: 60) { $0.requesters = 1 }
            #expect(report.settled > 0 && report.convicted == 0, "seed \(seed): \(report.market)")
            // Nobody took them in time, or three said that nobody can run them.
            ended += report.expired + report.failed
        }
        #expect(ended > 0)
    }

    /// A provider that does not hear that the state has changed, whose process begins anew, acts on the state: nothing is lost but time.
    @Test func providersActOnStateAndNotOnEvents() throws {
        var restarts = 0
        for seed in [1, 2] as [UInt64] {
            let report = try Self.trade(seed) { profile in
                profile.droppedLooks = 1_000
                profile.providerRestart = 100
            }
            restarts += report.providerRestarts
            #expect(report.settled > 0 && report.settled + report.cancelled == report.jobs, "seed \(seed)")
        }
        #expect(restarts > 0)
    }

    @Test func aMarketReplaysToTheSameDigest() throws {
        let first = try Self.trade(3, views: 20)
        #expect(try Self.trade(3, views: 20).digest == first.digest)
    }

    /// All actors, and nodes that crash, liars among the validators, links that fail.
    @Test(arguments: 0..<4) func aMarketInChaosPaysWhomItOwes(_ number: Int) throws {
        let reports = try (0..<2).map { try Self.survives("market-chaos", nodes: 4, seed: UInt64(number * 2 + $0)) }
        #expect(reports.contains { $0.settled > 0 })
    }

    /// Two models share a program: who kept packed weights by the program's name ran the second model with the weights of the first, and an honest provider
    /// stood there as a liar.
    @Test func modelsThatShareAProgramKeepTheirWeights() throws {
        let report = try Self.trade(0, providers: 2)
        #expect(report.settled > 2 && report.convicted == 0)
    }

    // MARK: Faults that it found, by seeds that showed them; there was one epoch then, and everyone was connected

    static let one: UInt64 = 1 << 32

    /// A full disk stopped a node, which then flushed a state ahead of its blocks and could not start again.
    @Test func aFullDiskLeavesNoStateAheadOfTheBlocks() throws {
        var full = 0
        for seed in [58, 65, 66, 67, 68, 69] as [UInt64] {
            var profile = try #require(NodeProfile.named("crash", nodes: 4, seed: seed))
            profile.views = 30
            profile.fullDisk = 200
            let report = try Self.run(seed, profile)
            #expect(report.violations == [] && report.reached, "seed \(seed)")
            full += report.fullDisks
        }
        #expect(full > 3, "\(full) times in six runs")
    }

    /// A validator whose journal was gone took old certificates, fetched with old blocks, for news, and voted in views in which it had voted.
    @Test func aValidatorWithoutItsJournalSignsNothingTwice() throws {
        var wiped = try Self.survives("crash", nodes: 7, seed: 22, views: 25, epochLength: Self.one).wipes
        for seed in 0..<5 as Range<UInt64> {
            var profile = NodeProfile(nodes: 7)
            profile.wipe = 60
            profile.loss = 100
            profile.views = 25
            let report = try Self.run(seed, profile)
            wiped += report.wipes
            #expect(report.violations == [] && report.reached, "seed \(seed)")
        }
        #expect(wiped > 0)
    }

    /// A certified block lay on disks alone after its holders had restarted: every leader was to build on it, and none fetched it.
    @Test func aCertifiedBlockThatLiesOnDisksAloneIsFetchedByWhoBuildsOnIt() throws {
        _ = try Self.survives("chaos", nodes: 4, seed: 9074, epochLength: Self.one)
    }

    /// A transaction that only a follower held was told once and never again.
    @Test(arguments: [1, 13] as [UInt64]) func whatOnlyAFollowerHoldsIsToldAgain(_ seed: UInt64) throws {
        _ = try Self.survives("lossy", nodes: 4, seed: seed, epochLength: Self.one)
    }

    /// A follower passed on blocks with another's body, and honest validators put it out for that.
    @Test func aFollowerPassesOnNoSpoiltBlock() throws {
        _ = try Self.survives("byzantine", nodes: 7, seed: 503, epochLength: Self.one)
        _ = try Self.survives("byzantine", nodes: 4, seed: 1015, views: 60, epochLength: Self.one)
    }

    /// A waiting transaction excused any signature under the same transaction in a block.
    @Test(arguments: [1005, 1025] as [UInt64]) func noBlockWithAWrongSignatureIsVotedFor(_ seed: UInt64) throws {
        _ = try Self.survives("byzantine", nodes: 4, seed: seed, views: 60, epochLength: Self.one)
    }
}
