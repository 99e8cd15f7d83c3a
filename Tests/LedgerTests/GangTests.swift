import Ledger
import Primitives
import Programs
import Testing

/// Jobs that are placed all or none. `TestNet.step` counts all money after every block.
@Suite struct GangTests {
    private let net: TestNet

    init() throws {
        net = try TestNet()
        try net.openMarket()
    }

    private static func specs(_ net: TestNet, _ count: Int, ceiling: Amount = .xpl(20), queue: UInt64 = 5000)
        -> [JobSpec]
    {
        (0..<count).map { index in
            var spec = net.spec(.sampled(perMille: 500), ceiling: ceiling, queue: queue)
            spec.seed = UInt64(index)
            return spec
        }
    }

    /// Posts a gang; gives its name and its members.
    private static func post(_ net: TestNet, _ specs: [JobSpec], as key: SecretKey? = nil) throws -> (
        gang: Digest, jobs: [Digest]
    ) {
        let signed = net.transaction(key ?? net.requester, .submitGang(specs))
        let result = try net.step([signed])
        #expect(result.receipts[0].succeeded, "\(result.receipts[0].reason)")
        return (signed.id, GangPlace.jobs(of: signed.id, count: specs.count))
    }

    private func post(_ specs: [JobSpec], as key: SecretKey? = nil) throws -> (gang: Digest, jobs: [Digest]) {
        try Self.post(net, specs, as: key)
    }

    private func states(_ jobs: [Digest]) throws -> [JobState] { try jobs.map { try net.job($0).state } }

    private func all(_ jobs: [Digest], _ state: JobState) throws -> Bool {
        try states(jobs).allSatisfy { $0 == state }
    }

    /// Leaves so many places in the market, on one provider or on several.
    private func leave(_ capacities: [UInt16], ask: Amount = .xpl(10)) throws {
        for (place, key) in net.providers.enumerated() {
            if place < capacities.count {
                try net.act(key, .setOffer(net.offerTerms(ask, capacity: capacities[place])))
            } else {
                try net.act(key, .pauseOffer(device: 0))
            }
        }
        try net.step()
    }

    /// Runs jobs to their ends side by side; whoever is drawn to audit one agrees.
    private func settle(_ jobs: [Digest]) throws {
        for id in jobs {
            let provider = try net.executor(id)
            try net.act(provider, .startJob(job: id, attempt: try net.job(id).attempt))
        }
        for id in jobs {
            let provider = try net.executor(id)
            let attempt = try net.job(id).attempt
            let masked = try net.opening(id, provider).masked(
                provider: net.address(provider), job: id, attempt: attempt)
            try net.act(provider, .commitResult(job: id, attempt: attempt, masked: masked))
        }
        try net.step()
        try net.step()
        for id in jobs {
            let auditors = try net.commitAudits(id)
            try net.open(id, try net.executor(id))
            for auditor in auditors { try net.revealAudit(id, auditor) }
        }
        for _ in 0..<60 where try !all(jobs, .settled) { try net.pass(1000) }
        #expect(try all(jobs, .settled))
    }

    private func settle(_ id: Digest) throws { try settle([id]) }

    // MARK: Life

    @Test func aGangIsPostedByOneTransactionAndPlacedInOneBlock() throws {
        let before = try net.worth(net.requester)
        let specs = Self.specs(net, 5)
        let (gang, jobs) = try post(specs)
        #expect(Set(jobs).count == 5)
        // Each job's escrow and posting fee were taken, as if posted alone.
        let each = try Fees.escrow(specs[0], net.genesis.parameters)
        let fees = try net.genesis.parameters.postingFee.multiplied(by: 5)
        #expect(try before.subtracting(try net.worth(net.requester)) == each.multiplied(by: 5).adding(fees))
        for (index, id) in jobs.enumerated() {
            let job = try net.job(id)
            #expect(job.state == .open && job.spec == specs[index] && job.escrow == each)
            #expect(job.gang?.gang == gang && job.gang?.index == UInt8(index) && job.gang?.count == 5)
            #expect(job.boundGang != nil && job.gang?.jobs == jobs)
        }
        // One entry of the queue stands for all.
        #expect(net.store.all(.state).count { $0.key[0] == 0x71 } == 1)
        try net.step()
        #expect(try all(jobs, .assigned))
        #expect(Set(try jobs.map { try net.job($0).assignment?.height }).count == 1)
        #expect(try jobs.allSatisfy { try net.job($0).boundGang == nil })
        try settle(jobs)
        // Each run cost 1 XPL; nothing is held any more.
        let spent = try before.subtracting(try net.worth(net.requester))
        #expect(spent >= .xpl(5) && spent < .xpl(11))
        #expect(try !Query.hasWork(in: net.store))
        #expect(try net.providers.allSatisfy { try net.provider($0).locked == .zero })
    }

    @Test func aGangWaitsUntilThereArePlacesForAllAtOnce() throws {
        try leave([2, 2])
        let (_, jobs) = try post(Self.specs(net, 5, queue: 60_000))
        try net.step()
        #expect(try all(jobs, .open))
        // Nothing was taken for the four that there were places for.
        #expect(try Query.offers(in: net.store).allSatisfy { $0.running == 0 })
        #expect(try net.providers.allSatisfy { try net.provider($0).locked == .zero })
        #expect(try !Query.hasWork(in: net.store))
        try net.act(net.providers[2], .setOffer(net.offerTerms(.xpl(10), capacity: 1)))
        try net.step()
        try net.step()
        #expect(try all(jobs, .assigned))
        #expect(try Query.offers(in: net.store).map(\.running).reduce(0, +) == 5)
    }

    /// A bond is counted with what the members before have taken of it.
    @Test func bondsAreReservedMemberByMember() throws {
        // A job at 10 XPL for 1,000 CU costs 1 XPL and holds 4.8 of a bond: 1,000 XPL are good for 208.
        var parameters = TestNet.parameters
        parameters.minimumBond = .xpl(10)
        let net = try TestNet(parameters: parameters)
        let key = net.providers[0]
        try net.act(
            key, .registerProvider(name: "p", node: key.publicKey, payout: net.address(key), bond: .xpl(10)))
        try net.act(key, .setOffer(net.offerTerms(capacity: 8)))
        try net.step()
        let (_, three) = try Self.post(net, Self.specs(net, 3, queue: 60_000))
        try net.step()
        #expect(try three.allSatisfy { try net.job($0).state == .open })
        let (_, two) = try Self.post(net, Self.specs(net, 2))
        try net.step()
        #expect(try two.allSatisfy { try net.job($0).state == .assigned })
        #expect(try net.provider(key).locked == Amount(parsing: "9.6"))
        try net.act(key, .addBond(amount: .xpl(20)))
        try net.step()
        #expect(try three.allSatisfy { try net.job($0).state == .assigned })
        #expect(try net.provider(key).locked == .xpl(24))
    }

    @Test func aMemberThatIsGivenBackIsPlacedAgainAlone() throws {
        let (_, jobs) = try post(Self.specs(net, 3))
        try net.step()
        let first = try net.executor(jobs[0])
        // No place is left but those that the gang has.
        try net.act(try net.executor(jobs[1]), .startJob(job: jobs[1], attempt: 1))
        try net.act(first, .declineJob(job: jobs[0], attempt: 1, reason: .busy))
        #expect(try net.job(jobs[0]).boundGang == nil)
        #expect(try net.job(jobs[1]).state == .running)
        #expect(try net.job(jobs[2]).state == .assigned)
        try net.step()
        #expect(try net.job(jobs[0]).attempt == 2)
        #expect(try net.executor(jobs[0]).publicKey != first.publicKey)
        // The third misses its start, and goes on alone as well.
        try net.pass(25_000)
        #expect(try net.job(jobs[2]).attempt >= 2)
        for job in [jobs[0], jobs[2]] where try net.job(job).state == .assigned { try settle(job) }
    }

    /// A member that waits alone, given back before the others have begun, expires alone.
    @Test func aMemberThatFindsNoOtherPlaceExpiresAlone() throws {
        try leave([3])
        let (_, jobs) = try post(Self.specs(net, 3))
        try net.step()
        #expect(try all(jobs, .assigned))
        try net.act(net.providers[0], .declineJob(job: jobs[1], attempt: 1, reason: .busy))
        for job in [jobs[0], jobs[2]] { try net.act(net.providers[0], .startJob(job: job, attempt: 1)) }
        try net.pass(8000)
        #expect(try net.job(jobs[1]).state == .expired)
        #expect(try net.job(jobs[0]).state == .running && net.job(jobs[2]).state == .running)
    }

    // MARK: Ends before it is placed

    @Test func allExpireTogetherByTheFirstDeadlineAndAreRefunded() throws {
        try leave([2])
        let before = try net.worth(net.requester)
        var specs = Self.specs(net, 3, queue: 60_000)
        specs[1].queueMilliseconds = 4000
        let (_, jobs) = try post(specs)
        try net.pass(3000)
        #expect(try all(jobs, .open))
        try net.pass(2000)
        #expect(try all(jobs, .expired))
        #expect(try net.job(jobs[2]).reason.contains("deadline of member 2"))
        let fees = try net.genesis.parameters.postingFee.multiplied(by: 3)
        #expect(try before.subtracting(try net.worth(net.requester)) == fees)
        #expect(net.store.all(.state).allSatisfy { ![0x71, 0x77].contains($0.key[0]) })
        try net.pass(60_000)
        #expect(try all(jobs, .expired))
    }

    @Test func aGangIsCancelledAsAWholeByItsRequester() throws {
        try leave([2])
        let before = try net.worth(net.requester)
        let (gang, jobs) = try post(Self.specs(net, 3))
        try net.fail(net.people[7], .cancelGang(gang: gang, count: 3), "has no gang")
        try net.fail(net.requester, .cancelGang(gang: jobs[0], count: 3), "has no gang")
        // What it weighs is reckoned by the count.
        try net.fail(net.requester, .cancelGang(gang: gang, count: 2), "has 3 jobs, not 2")
        for job in jobs { try net.fail(net.requester, .cancelJob(job: job), "with its gang or not at all") }
        #expect(try all(jobs, .open))
        try net.act(net.requester, .cancelGang(gang: gang, count: 3))
        #expect(try all(jobs, .cancelled))
        let fees = try net.genesis.parameters.postingFee.multiplied(by: 3)
        #expect(try before.subtracting(try net.worth(net.requester)) == fees)
        #expect(net.store.all(.state).allSatisfy { ![0x71, 0x77].contains($0.key[0]) })
        try net.fail(net.requester, .cancelGang(gang: gang, count: 3), "no longer bound")
    }

    @Test func onceItIsPlacedEachIsCancelledByItself() throws {
        let (gang, jobs) = try post(Self.specs(net, 2))
        try net.step()
        try net.fail(net.requester, .cancelGang(gang: gang, count: 2), "no longer bound")
        try net.act(net.requester, .cancelJob(job: jobs[0]))
        #expect(try states(jobs) == [.cancelled, .assigned])
        // A single job is no gang.
        let single = try net.submit(net.spec())
        try net.fail(net.requester, .cancelGang(gang: single, count: 2), "has no gang")
    }

    // MARK: Fairness

    /// Two that each have places, and have them not together: one is placed whole, the other when it is over.
    @Test func ofTwoGangsOneIsPlacedWhole() throws {
        try leave([2, 2])
        let payloads = (0..<2).map { _ in net.transaction(net.requester, .submitGang(Self.specs(net, 3, queue: 90_000)))
        }
        for receipt in try net.step(payloads).receipts { #expect(receipt.succeeded) }
        let gangs = payloads.map { GangPlace.jobs(of: $0.id, count: 3) }
        try net.step()
        #expect(try all(gangs[0], .assigned) && all(gangs[1], .open))
        try settle(gangs[0])
        try net.step()
        #expect(try all(gangs[1], .assigned))
    }

    /// What waits for more places than there are holds none of them: single jobs, older and younger, are placed as if it were not there.
    @Test func anUnplaceableGangHoldsNothing() throws {
        try leave([2, 2])
        let older = try net.submit(net.spec(.sampled(perMille: 500)))
        let (_, jobs) = try post(Self.specs(net, 32, queue: 60_000))
        let younger = try net.submit(net.spec(.sampled(perMille: 500)))
        try net.step()
        #expect(try net.job(older).state == .assigned && net.job(younger).state == .assigned)
        #expect(try all(jobs, .open))
        // And it is looked at again only when the market has changed.
        try net.step()
        #expect(try !Query.hasWork(in: net.store))
    }

    /// Single jobs that came later do not keep a gang from places that are free when its turn comes.
    @Test func aGangIsPlacedWhenItsTurnComesWhateverCameLater() throws {
        try leave([3])
        let busy = try post(Self.specs(net, 3)).jobs
        try net.step()
        let (_, jobs) = try post(Self.specs(net, 3, queue: 200_000))
        let singles = [try net.submit(net.spec(queue: 200_000)), try net.submit(net.spec(queue: 200_000))]
        // All three places are free again in one block.
        for job in busy { try net.act(net.providers[0], .startJob(job: job, attempt: 1)) }
        try net.pass(15_000)
        #expect(try busy.allSatisfy { try net.job($0).state != .running })
        try leave([3, 3])
        #expect(try all(jobs, .assigned))
        try net.step()
        #expect(try singles.allSatisfy { try net.job($0).state == .assigned })
    }

    /// What is looked at in a block is bounded: a gang counts as all its looks, and what is left over comes first in the next.
    @Test func looksAreBoundedABlockAndNobodyIsPassedOver() throws {
        var parameters = TestNet.parameters
        parameters.matchesPerBlock = 8
        let net = try TestNet(parameters: parameters)
        try net.openMarket()
        // Each makes eight looks and cannot be placed: four places each for the first seven would do, not for the last.
        var odd = Self.specs(net, 4, queue: 60_000)
        odd[3].memory = 1 << 40
        let hopeless = (0..<5).map { _ in net.transaction(net.people[6], .submitGang(odd)) }
        let single = net.transaction(net.requester, .submitJob(net.spec(queue: 60_000)))
        for receipt in try net.step(hopeless + [single]).receipts { #expect(receipt.succeeded) }
        // Four looks find out that there is no offer for the fourth: two gangs a block.
        var blocks = 0
        while try net.job(single.id).state == .open, blocks < 10 {
            #expect(try Query.hasWork(in: net.store))
            try net.step()
            blocks += 1
        }
        #expect(blocks == 3)
        #expect(try !Query.hasWork(in: net.store))
    }

    /// As many looks as a gang can take do not keep it from being looked at where a block has fewer.
    @Test func theLargestGangIsPlacedWhereABlockLooksAtOne() throws {
        var parameters = TestNet.parameters
        parameters.matchesPerBlock = 1
        let net = try TestNet(parameters: parameters)
        try net.openMarket()
        for key in net.providers { try net.act(key, .setOffer(net.offerTerms(capacity: 8))) }
        try net.step()
        let (_, jobs) = try Self.post(net, Self.specs(net, GangPlace.maximumJobs))
        try net.step()
        #expect(try jobs.allSatisfy { try net.job($0).state == .assigned })
        #expect(try Query.offers(in: net.store).allSatisfy { $0.running == 8 })
    }

    /// Ends of gangs are bounded a block too.
    @Test func whatExpiresInABlockIsBounded() throws {
        var parameters = TestNet.parameters
        parameters.timersPerBlock = 8
        let net = try TestNet(parameters: parameters)
        try net.openMarket()
        let payloads = (0..<6).map { _ in
            net.transaction(net.requester, .submitGang(Self.specs(net, 4, ceiling: .xpl(1), queue: 1000)))
        }
        for receipt in try net.step(payloads).receipts { #expect(receipt.succeeded) }
        let gangs = payloads.map { GangPlace.jobs(of: $0.id, count: 4) }
        func over() throws -> Int { try gangs.count { try net.job($0[0]).state == .expired } }
        try net.step(after: 2000)
        #expect(try over() == 2)
        try net.step()
        #expect(try over() == 4)
        // A gang never ends in parts.
        #expect(try gangs.allSatisfy { Set(try $0.map { try net.job($0).state }).count == 1 })
        try net.step()
        #expect(try over() == 6)
    }

    /// The one that only one offer would do for is placed first, whatever place it has in the gang.
    @Test func whoHasTheFewestChoicesChoosesFirst() throws {
        try leave([1, 1])
        var terms = net.offerTerms(capacity: 1)
        terms.memory = 1 << 33
        try net.act(net.providers[1], .setOffer(terms))
        try net.step()
        for _ in 0..<8 {
            var specs = Self.specs(net, 2)
            specs[1].memory = 1 << 32
            let (_, jobs) = try post(specs)
            try net.step()
            #expect(try all(jobs, .assigned))
            #expect(try net.executor(jobs[1]).publicKey == net.providers[1].publicKey)
            for job in jobs { try net.act(net.requester, .cancelJob(job: job)) }
        }
    }

    // MARK: Members that read what others leave

    private func tensor(_ job: Digest) -> JobInput {
        JobInput(name: "x", source: .result(ResultTensor(job: job, step: 0, index: 0, count: 1)))
    }

    @Test func aGangIsOpenOnceAllItsMembersParentsAreSettled() throws {
        let parents = [try net.submit(net.spec()), try net.submit(net.spec())]
        var specs = Self.specs(net, 3)
        specs[0].inputs = [tensor(parents[0])]
        specs[2].inputs = [tensor(parents[0]), tensor(parents[1])]
        let (_, jobs) = try post(specs)
        #expect(try all(jobs, .waiting))
        try net.step()
        try settle(parents[0])
        #expect(try all(jobs, .waiting))
        #expect(try net.job(jobs[0]).awaited.isEmpty)
        try settle(parents[1])
        for _ in 0..<3 where try net.job(jobs[0]).state == .open { try net.step() }
        #expect(try all(jobs, .assigned))
        // Their time began when all could begin.
        #expect(Set(try jobs.map { try net.job($0).openClock }).count == 1)
        #expect(net.store.all(.state).allSatisfy { ![0x57, 0x4c].contains($0.key[0]) })
    }

    @Test func aParentThatDoesNotSettleEndsTheGangAndWhatWaitsForIt() throws {
        let parent = try net.submit(net.spec(ceiling: .xpl(1)))
        let other = try net.submit(net.spec(ceiling: .xpl(1), queue: 60_000))
        let before = try net.worth(net.requester)
        var specs = Self.specs(net, 3)
        specs[1].inputs = [tensor(parent)]
        // Both of them are told of the same end.
        specs[2].inputs = [tensor(parent), tensor(other)]
        let (_, jobs) = try post(specs)
        var after = net.spec()
        after.inputs = [tensor(jobs[0]), tensor(jobs[2])]
        let child = try net.submit(after)
        #expect(try net.job(child).state == .waiting)
        try net.act(net.requester, .cancelJob(job: parent))
        for _ in 0..<3 { try net.step() }
        #expect(try all(jobs + [child], .failed))
        #expect(try net.job(jobs[0]).reason.contains("of its gang: job \(parent)"))
        #expect(try net.job(other).state == .open)
        let fees = try net.genesis.parameters.postingFee.multiplied(by: 4)
        let held = try Fees.escrow(net.spec(ceiling: .xpl(1)), net.genesis.parameters)
        #expect(try before.adding(held).subtracting(try net.worth(net.requester)) == fees)
        #expect(net.store.all(.state).allSatisfy { ![0x57, 0x4c].contains($0.key[0]) })
    }

    @Test func aGangThatWaitsIsCancelledAsAWhole() throws {
        let parent = try net.submit(net.spec(ceiling: .xpl(1)))
        var specs = Self.specs(net, 2)
        specs[1].inputs = [tensor(parent)]
        let (gang, jobs) = try post(specs)
        try net.fail(net.requester, .cancelJob(job: jobs[1]), "with its gang or not at all")
        try net.act(net.requester, .cancelGang(gang: gang, count: 2))
        #expect(try all(jobs, .cancelled))
        #expect(net.store.all(.state).allSatisfy { $0.key[0] != 0x57 })
    }

    /// The jobs that wait for an end are told so many a block, and a gang counts as all that it has.
    @Test func whoIsToldOfAnEndInABlockIsBounded() throws {
        var parameters = TestNet.parameters
        parameters.matchesPerBlock = 8
        let net = try TestNet(parameters: parameters)
        try net.openMarket()
        let parent = try net.submit(net.spec(ceiling: .xpl(1), queue: 60_000))
        var specs = Self.specs(net, 4)
        for index in specs.indices { specs[index].inputs = [tensor(parent)] }
        let payloads = (0..<6).map { _ in net.transaction(net.requester, .submitGang(specs)) }
        for receipt in try net.step(payloads).receipts { #expect(receipt.succeeded) }
        let gangs = payloads.map { GangPlace.jobs(of: $0.id, count: 4) }
        try net.act(net.requester, .cancelJob(job: parent))
        var over = 0
        for _ in 0..<6 where over < 6 {
            try net.step()
            let now = try gangs.count { try net.job($0[3]).state == .failed }
            #expect(now > over && now - over <= 2)
            over = now
        }
        #expect(over == 6)
        try net.step()
        #expect(net.store.all(.state).allSatisfy { ![0x57, 0x4c].contains($0.key[0]) })
        #expect(try !Query.hasWork(in: net.store))
    }

    /// A row goes on from a member, as a job after it: only its first segment can be one.
    @Test func aRowGoesOnFromAMember() throws {
        let (_, jobs) = try post(Self.specs(net, 2))
        var next = net.spec()
        next.stateOf = jobs[1]
        let id = try net.submit(next)
        #expect(try net.job(id).state == .waiting && net.job(id).awaited == [jobs[1]])
        try net.step()
        try settle(jobs[1])
        try net.step()
        #expect(try net.job(id).state != .waiting)
    }

    // MARK: Newcomers

    /// A newcomer has one job at a time: two members are not its.
    @Test func aNewcomerGetsOneMemberAtMost() throws {
        var parameters = TestNet.parameters
        parameters.newcomerSharePerMille = 1000
        let net = try TestNet(parameters: parameters)
        try net.openMarket(2)
        let stranger = net.people[6]
        try NewcomerTests.register(net, stranger, bond: .zero)
        try net.step()
        let specs = (0..<4).map { index in
            var spec = net.spec(.audited)
            spec.seed = UInt64(index)
            return spec
        }
        let (_, jobs) = try Self.post(net, specs)
        try net.step()
        #expect(try jobs.allSatisfy { try net.job($0).state == .assigned })
        #expect(try jobs.count { try net.job($0).assignment?.isNewcomer == true } == 1)
    }

    // MARK: Plans

    @Test func aPlanSaysWhichMemberHasNoPlaceAndWhy() throws {
        try leave([2, 1])
        let three = try Matching.plan(gang: Self.specs(net, 3), in: net.store)
        #expect(three.unplaced == nil && three.members.count == 3)
        #expect(try three.price() == .xpl(3))
        let four = try Matching.plan(gang: Self.specs(net, 4), in: net.store)
        let unplaced = try #require(four.unplaced)
        #expect(try four.price() == nil)
        #expect(four.members[unplaced].eligible.isEmpty)
        #expect(four.members[unplaced].excluded.contains { $0.reason == "all 2 places are taken" })
        var odd = Self.specs(net, 3)
        odd[1].memory = 1 << 40
        let plan = try Matching.plan(gang: odd, in: net.store)
        #expect(plan.unplaced == 1)
        #expect(plan.members[1].excluded.contains { $0.reason.contains("bytes of memory") })
        #expect(!plan.members[2].eligible.isEmpty)
        // Nothing was taken by asking.
        #expect(try Matching.plan(gang: Self.specs(net, 3), in: net.store) == three)
    }

    // MARK: Attacks

    /// One that the requester cannot pay for takes none of it.
    @Test func allAreLockedOrNone() throws {
        let poor = net.people[7]
        let specs = Self.specs(net, 3)
        let each = try Fees.escrow(specs[0], net.genesis.parameters)
        try net.act(
            poor,
            .transfer(
                to: net.address(net.requester),
                amount: try net.balance(poor).subtracting(
                    try each.multiplied(by: 3)), memo: []))
        let signed = net.transaction(poor, .submitGang(specs))
        // Where it would wait, and in a block that lies.
        #expect(throws: AdmissionFault.self) {
            try Admission.check(
                signed, network: net.genesis.digest, baseFee: try net.block([]).header.baseFee,
                pending: Admission.Pending(), parameters: net.genesis.parameters, in: net.store)
        }
        let before = net.store.all(.state).count { $0.key[0] == 0x6a }
        let block = try net.block([signed])
        #expect(throws: ValidityFault.self) {
            try Validity.check(
                block, parent: net.parent, ancestors: [], parameters: net.genesis.parameters, in: net.store)
        }
        let result = try Execution.execute(block, parameters: net.genesis.parameters, on: net.store)
        #expect(!result.receipts[0].succeeded && result.changedJobs.isEmpty)
        #expect(net.store.all(.state).count { $0.key[0] == 0x6a } == before)
    }

    /// A member with a parent that there is not, or that has not taken the step, undoes all of the others.
    @Test func oneMemberThatCannotBePostedUndoesAll() throws {
        var specs = Self.specs(net, 3)
        specs[2].inputs = [tensor(Digest.of(Domain("test"), [77]))]
        let before = try net.worth(net.requester)
        let count = try Query.chain(in: net.store).jobs
        try net.fail(net.requester, .submitGang(specs), "which there is not")
        #expect(try net.worth(net.requester) == before)
        #expect(try Query.chain(in: net.store).jobs == count)
        #expect(net.store.all(.state).allSatisfy { ![0x6a, 0x71, 0x77].contains($0.key[0]) })
    }

    /// Ids follow from the transaction, so a gang takes in only what its own requester posts with it, and no member can wait for another.
    @Test func nobodysJobIsDrawnIntoAnothersGang() throws {
        let theirs = try net.submit(net.spec(queue: 60_000))
        let (gang, jobs) = try post(Self.specs(net, 2), as: net.people[7])
        #expect(!jobs.contains(theirs))
        try net.fail(net.requester, .cancelGang(gang: gang, count: 2), "has no gang")
        // The ids of a gang that says otherwise are others.
        var specs = Self.specs(net, 2)
        let draft = net.transaction(net.requester, .submitGang(specs))
        net.nonces[net.requester.publicKey] = try #require(net.nonces[net.requester.publicKey]) - 1
        specs[1].inputs = [tensor(GangPlace.jobs(of: draft.id, count: 2)[0])]
        try net.fail(net.requester, .submitGang(specs), "which there is not")
    }

    /// What a gang that can never be placed costs whoever posts it: the transaction's fee for each job, a posting fee for each, and its escrow for as long as
    /// it waits.
    @Test func aHopelessGangCostsAsMuchAsAsManyHopelessJobs() throws {
        let parameters = net.genesis.parameters
        let specs = Self.specs(net, 32, ceiling: .xpl(1))
        let griefer = net.people[7]
        let before = try net.balance(griefer)
        let (_, jobs) = try post(specs, as: griefer)
        let signed = net.blocks[net.blocks.count - 1].transactions[0].transaction
        #expect(Fees.weight(signed, parameters) >= 32 * parameters.weightPerJob)
        #expect(signed.canonicalBytes.count < Transaction.maximumBytes)
        try net.pass(7000)
        #expect(try all(jobs, .expired))
        let lost = try before.subtracting(try net.balance(griefer))
        #expect(lost >= (try parameters.postingFee.multiplied(by: 32)))
        #expect(try Fees.escrow(specs[0], parameters) > parameters.feeAllowance)
    }

    // MARK: Form

    @Test func aGangHasTwoToThirtyTwoJobs() throws {
        let most = Payload.submitGang(Self.specs(net, GangPlace.maximumJobs))
        #expect(try Payload(canonicalBytes: most.canonicalBytes) == most)
        for count in [0, 1, 33] {
            #expect(throws: DecodingFault.self, "\(count)") {
                try Payload(canonicalBytes: Payload.submitGang(Self.specs(net, count)).canonicalBytes)
            }
        }
        for count: UInt8 in [0, 1, 33, 255] {
            #expect(throws: DecodingFault.self, "\(count)") {
                try Payload(canonicalBytes: Payload.cancelGang(gang: .zero, count: count).canonicalBytes)
            }
        }
        let (_, jobs) = try post(Self.specs(net, 2))
        let place = try #require(try net.job(jobs[1]).gang)
        #expect(try GangPlace(canonicalBytes: place.canonicalBytes) == place)
        var bytes = place.canonicalBytes
        bytes[32] = 2
        #expect(throws: DecodingFault.self) { try GangPlace(canonicalBytes: bytes) }
    }

    /// More bytes than a transaction may have are not taken, however few the jobs.
    @Test func aGangFitsATransaction() throws {
        var specs = Self.specs(net, 32)
        for index in specs.indices {
            specs[index].inputs = (0..<8).map { JobInput(name: "input \($0)", root: .zero) }
        }
        let signed = net.transaction(net.requester, .submitGang(specs))
        let baseFee = try net.block([]).header.baseFee
        let found = signed.transaction.canonicalBytes.count
        #expect(throws: AdmissionFault.tooLarge(bytes: found, limit: Transaction.maximumBytes)) {
            try Admission.check(
                signed, network: net.genesis.digest, baseFee: baseFee, pending: Admission.Pending(),
                parameters: net.genesis.parameters, in: net.store)
        }
    }
}
