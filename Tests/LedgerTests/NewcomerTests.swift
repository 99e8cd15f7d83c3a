import Ledger
import Primitives
import Testing

/// Providers that join with nothing: what they get, what stands for them, and what a thousand names are good for. Every block counts all money.
@Suite struct NewcomerTests {
    static func parameters(share: UInt64 = 1000, bond: Amount = .xpl(100)) -> ChainParameters {
        var parameters = TestNet.parameters
        parameters.newcomerSharePerMille = share
        parameters.minimumBond = bond
        return parameters
    }

    private func xpl(_ text: String) throws -> Amount { try Amount(parsing: text) }

    /// Somebody from nowhere whom the requester sponsors, with an offer that is active.
    @discardableResult
    static func join(_ net: TestNet, offer: OfferTerms? = nil) throws -> SecretKey {
        let key = TestNet.key(200 - net.strangers.count)
        net.strangers.append(key)
        let registration = Registration(
            key: key, nonce: 0, name: "newcomer", node: key.publicKey, payout: net.address(key),
            network: net.genesis.digest)
        try net.act(net.requester, .sponsorProvider(registration, gift: .xpl(2)))
        try net.act(key, .setOffer(offer ?? net.offerTerms()))
        try net.step()
        return key
    }

    /// One that brings a bond below the least, from an account that has XPL.
    static func register(_ net: TestNet, _ key: SecretKey, bond: Amount) throws {
        try net.act(
            key, .registerProvider(name: "newcomer", node: key.publicKey, payout: net.address(key), bond: bond))
        try net.act(key, .setOffer(net.offerTerms()))
        try net.step()
    }

    private static func market(_ parameters: ChainParameters = NewcomerTests.parameters()) throws -> (
        net: TestNet, newcomer: SecretKey
    ) {
        let net = try TestNet(parameters: parameters)
        try net.openMarket()
        return (net, try join(net))
    }

    /// A job from its submission to its end, all honest.
    @discardableResult
    private func settle(_ net: TestNet, _ spec: JobSpec? = nil) throws -> (id: Digest, provider: SecretKey) {
        let id = try net.submit(spec ?? net.spec())
        let provider = try net.runToDraw(id)
        let auditors = try net.commitAudits(id)
        try net.open(id, provider)
        for auditor in auditors { try net.revealAudit(id, auditor) }
        try net.pass(30_000)
        #expect(try net.job(id).state == .settled)
        return (id, provider)
    }

    private func standing(_ net: TestNet, _ key: SecretKey) throws -> Amount? {
        try net.provider(key).newcomer?.standing
    }

    private func reason(_ net: TestNet, _ spec: JobSpec, _ key: SecretKey) throws -> String? {
        try Matching.plan(spec, in: net.store).excluded.first { $0.provider == net.address(key) }?.reason
    }

    // MARK: Joining

    @Test func anEmptyAccountJoinsByASponsorAndItsPayIsHeld() throws {
        let net = try TestNet(parameters: Self.parameters())
        try net.openMarket()
        let before = try net.worth(net.requester)
        let newcomer = try Self.join(net)
        #expect(try net.worth(net.requester) == before.subtracting(.xpl(7)))
        #expect(try net.worth(newcomer) == .xpl(2))
        #expect(try Query.totals(in: net.store).auditPool == .xpl(5))
        #expect(try standing(net, newcomer) == .xpl(5) && net.provider(newcomer).bond == .zero)

        let id = try net.submit(net.spec())
        let provider = try net.runToDraw(id)
        #expect(provider.publicKey == newcomer.publicKey)
        let assignment = try #require(try net.job(id).assignment)
        // 2.4 of a job of 1 XPL: the fee stands for it, nothing is locked.
        #expect(assignment.isNewcomer && assignment.price == .xpl(1) && assignment.share == .zero)
        #expect(try net.job(id).audits.count == 1)
        let auditor = try #require(try net.commitAudits(id).first)
        let own = try net.worth(auditor)
        try net.open(id, newcomer)
        try net.revealAudit(id, auditor)
        try net.pass(30_000)
        #expect(try net.job(id).state == .settled)
        #expect(try net.worth(newcomer) == .xpl(2))
        #expect(try net.provider(newcomer).bond == xpl("0.96"))
        #expect(try net.provider(newcomer).newcomer?.withheld == xpl("0.96"))
        #expect(try net.provider(newcomer).reputation.verified == .xpl(1))
        #expect(try net.worth(auditor) == own.adding(xpl("0.96")))
    }

    @Test func aFullBondEndsItAndWhatItDoesNotTakeIsPaidOut() throws {
        let (net, newcomer) = try Self.market(Self.parameters(bond: .xpl(3)))
        for _ in 0..<3 { #expect(try settle(net).provider.publicKey == newcomer.publicKey) }
        #expect(try net.provider(newcomer).bond == xpl("2.88") && net.worth(newcomer) == .xpl(2))
        try settle(net)
        #expect(try net.provider(newcomer).bond == .xpl(3) && net.provider(newcomer).newcomer == nil)
        #expect(try net.worth(newcomer) == xpl("2.84"))
        // Now it is like the others: its bond is locked, its pay paid out, its audits drawn, and the bond its own.
        let (id, provider) = try untilItsTurn(net, newcomer)
        #expect(try Query.receipt(job: id, in: net.store)?.provider == net.address(provider))
        #expect(try net.provider(newcomer).bond == .xpl(3) && net.worth(newcomer) > xpl("3.79"))
        let worth = try net.worth(newcomer)
        try net.act(newcomer, .withdrawProvider)
        #expect(try net.worth(newcomer) == worth.adding(.xpl(3)))
    }

    private func untilItsTurn(_ net: TestNet, _ key: SecretKey) throws -> (id: Digest, provider: SecretKey) {
        for _ in 0..<40 {
            let done = try settle(net)
            if done.provider.publicKey == key.publicKey {
                let receipt = try #require(try Query.receipt(job: done.id, in: net.store))
                #expect(receipt.amount == .xpl(1))
                return done
            }
        }
        Issue.record("it was not drawn in forty jobs")
        throw TestFault()
    }

    private struct TestFault: Error {}

    @Test func whoBringsPartOfTheBondPaysTheFeeItself() throws {
        let net = try TestNet(parameters: Self.parameters())
        let key = net.people[5]
        let before = try net.worth(key)
        try Self.register(net, key, bond: .xpl(40))
        #expect(try net.worth(key) == before.subtracting(.xpl(45)))
        #expect(try standing(net, key) == .xpl(5) && net.provider(key).bond == .xpl(40))
        // The rest, of its own, makes it full.
        try net.act(key, .addBond(amount: .xpl(60)))
        #expect(try net.provider(key).newcomer == nil && net.provider(key).bond == .xpl(100))
        // The whole bond at once costs no fee.
        let other = net.people[6]
        let had = try net.worth(other)
        try net.act(
            other, .registerProvider(name: "x", node: other.publicKey, payout: net.address(other), bond: .xpl(100)))
        #expect(try net.provider(other).newcomer == nil && net.worth(other) == had.subtracting(.xpl(100)))
    }

    @Test func aRegistrationIsItsOwnersAndServesOnce() throws {
        let net = try TestNet(parameters: Self.parameters())
        let (key, other) = (net.people[5], net.people[6])
        func registration(_ nonce: UInt64, network: Digest? = nil) -> Registration {
            Registration(
                key: key, nonce: Nonce(nonce), name: "n", node: key.publicKey, payout: net.address(key),
                network: network ?? net.genesis.digest)
        }
        // Of another network, or with a word changed: no block may have it.
        let foreign = net.transaction(other, .sponsorProvider(registration(0, network: .zero), gift: .zero))
        #expect(!foreign.isSigned)
        var bytes = registration(0).canonicalBytes
        // The first letter of the name: after the key, the nonce and a length.
        let place = try #require(bytes.firstIndex(of: UInt8(ascii: "n")))
        bytes[place] = UInt8(ascii: "m")
        let changed = try Registration(canonicalBytes: bytes)
        net.nonces[other.publicKey] = 0
        let forged = net.transaction(other, .sponsorProvider(changed, gift: .zero))
        #expect(!forged.isSigned)
        let block = try net.block([forged])
        #expect(throws: ValidityFault.self) {
            try Validity.check(
                block, parent: net.parent, ancestors: [], parameters: net.genesis.parameters, in: net.store)
        }
        net.nonces[other.publicKey] = 0
        try net.fail(other, .sponsorProvider(registration(1), gift: .zero), "nonce")
        try net.act(other, .sponsorProvider(registration(0), gift: .zero))
        try net.fail(other, .sponsorProvider(registration(0), gift: .zero), "already registered")
        // It leaves, and nobody brings it back with what it signed then.
        try net.act(key, .withdrawProvider)
        try net.fail(other, .sponsorProvider(registration(0), gift: .zero), "nonce")
        #expect(try net.provider(key).isWithdrawn)
    }

    // MARK: Which jobs it gets

    @Test func itGetsOneJobAtATimeOfThoseThatAreAlwaysAudited() throws {
        let (net, newcomer) = try Self.market()
        #expect(try reason(net, net.spec(), newcomer) == nil)
        #expect(try reason(net, net.spec(.sampled(perMille: 999)), newcomer)?.contains("not audited always") == true)
        // 2.4 times 4 XPL is more than its fee stands for.
        var large = net.spec()
        large.computeUnits = ComputeUnits(weightedOperations: 400_000_000_000)
        #expect(try reason(net, large, newcomer)?.contains("5 of its fee stand for it") == true)
        let first = try net.submit(net.spec())
        try net.step()
        #expect(try net.executor(first).publicKey == newcomer.publicKey)
        #expect(try reason(net, net.spec(), newcomer)?.contains("has a job already") == true)
        let second = try net.submit(net.spec())
        try net.step()
        #expect(try net.executor(second).publicKey != newcomer.publicKey)
    }

    /// However many names there are.
    @Test(arguments: [(share: 0, names: 1), (share: 100, names: 1), (share: 100, names: 20)])
    func newcomersAreDrawnForAShareOfTheAttempts(share: UInt64, names: Int) throws {
        let (net, _) = try Self.market(Self.parameters(share: share))
        for _ in 1..<names { try Self.join(net) }
        var drawn = 0
        for _ in 0..<120 {
            let id = try net.submit(net.spec())
            try net.step()
            let executor = try net.executor(id)
            if net.strangers.contains(where: { $0.publicKey == executor.publicKey }) { drawn += 1 }
            try net.act(net.requester, .cancelJob(job: id))
        }
        if share == 0 { #expect(drawn == 0) } else { #expect(drawn > 3 && drawn < 30, "\(drawn)") }
    }

    @Test func itNeverSetsThePriceNorTheTime() throws {
        let net = try TestNet(parameters: Self.parameters())
        try net.openMarket()
        let cheap = try Self.join(net, offer: net.offerTerms(Amount(baseUnits: 1)))
        let dear = try Self.join(net, offer: net.offerTerms(try xpl("11.1")))
        var slow = net.offerTerms()
        slow.measuredRate = 1
        let sleeper = try Self.join(net, offer: slow)
        let plan = try Matching.plan(net.spec(), in: net.store)
        func offer(_ key: SecretKey) throws -> EligibleOffer {
            try #require(plan.eligible.first { $0.provider == net.address(key) })
        }
        #expect(plan.price == .xpl(1))
        for provider in net.providers { #expect(try offer(provider).isInDraw) }
        #expect(try offer(cheap).isInDraw && !offer(dear).isInDraw && !offer(sleeper).isInDraw)
        // Whoever gets it, its windows are those of the others' machines: 10 s.
        let id = try net.submit(net.spec())
        try net.step()
        #expect(try net.job(id).assignment?.slowestMilliseconds == 10_000)
        #expect(try net.executor(id).publicKey == cheap.publicKey)
    }

    /// Nor does one with a bond, whatever it says: the windows are those of the devices within four times the median.
    @Test func whoSaysThatItIsFarSlowerMakesNobodyWait() throws {
        let net = try TestNet()
        try net.openMarket()
        for (provider, rate) in zip(net.providers, [UInt64(1), 2_500_000_000, 2_499_999_999]) {
            var terms = net.offerTerms(try xpl("9.5"))
            terms.measuredRate = rate
            try net.act(provider, .setOffer(terms))
        }
        try net.step()
        let plan = try Matching.plan(net.spec(), in: net.store)
        let drawn = net.providers.map { provider in
            plan.eligible.first { $0.provider == net.address(provider) }?.isInDraw
        }
        // Of equal bonds at 10, 40 and 40.001 s and a month the lower middle is 40 s: four times that is less than a month.
        #expect(drawn == [false, true, true, true])
        let id = try net.submit(net.spec())
        try net.step()
        #expect(try net.job(id).assignment?.slowestMilliseconds == 40_001)
        // One with more bond than the others together is the median: four times its 10 s are a millisecond less than the third takes.
        try net.act(net.providers[3], .addBond(amount: .xpl(5000)))
        #expect(try Matching.plan(net.spec(), in: net.store).eligible.filter(\.isInDraw).count == 2)
    }

    @Test func whereThereIsNobodyElseItGetsNothing() throws {
        let net = try TestNet(parameters: Self.parameters())
        let newcomer = try Self.join(net)
        let plan = try Matching.plan(net.spec(), in: net.store)
        #expect(plan.eligible.count == 1 && plan.price == nil)
        let id = try net.submit(net.spec())
        try net.pass(10_000)
        #expect(try net.job(id).state == .expired)
        #expect(try standing(net, newcomer) == .xpl(5))
    }

    @Test func itAuditsNobody() throws {
        let net = try TestNet(parameters: Self.parameters(share: 0))
        try net.openMarket()
        // With nearly as much at stake as is enough.
        try Self.register(net, net.people[5], bond: .xpl(99))
        for _ in 0..<8 {
            let id = try net.submit(net.spec(.replicated(count: 4)))
            _ = try net.runToDraw(id)
            let drawn = try net.job(id).audits.map(\.auditor)
            #expect(drawn.count == 3 && !drawn.contains(net.address(net.people[5])))
        }
    }

    // MARK: Lies

    private func lie(_ prepare: (TestNet) throws -> Void) throws -> (
        at: DisputeNet, pool: Amount, auditor: Amount, requester: Amount
    ) {
        let at = try DisputeNet(
            audits: [TestDispute.truth], parameters: Self.parameters(), prepare: prepare)
        #expect(try at.job.assignment?.isNewcomer == true)
        let worths = (try at.net.worth(at.auditors[0]), try at.net.worth(at.net.requester))
        let pool = try Query.totals(in: at.net.store).auditPool
        try at.net.act(at.auditors[0], at.challenge(.zero))
        try at.play(at.auditors[0])
        #expect(try at.dispute(at.auditors[0]).state == .convicted)
        return (at, pool, worths.0, worths.1)
    }

    @Test func withNothingAtStakeTheBountyComesFromThePoolThatItsFeeHasFilled() throws {
        let (at, pool, auditor, requester) = try lie { try NewcomerTests.join($0) }
        let net = at.net
        #expect(pool == .xpl(5))
        #expect(try Query.totals(in: net.store).auditPool == xpl("4.28"))
        #expect(try net.worth(at.auditors[0]) == auditor.adding(xpl("0.72")))
        #expect(try net.worth(net.requester) == requester)
        #expect(try net.worth(at.provider) == .xpl(2))
        #expect(try standing(net, at.provider) == .zero && net.provider(at.provider).convictions == 1)
        // It was none of the job's three attempts, and no job is its any more.
        #expect(try at.job.state == .open && at.job.lost == 0 && at.job.attempt == 1)
        #expect(try reason(net, net.spec(), at.provider)?.contains("nothing of its registration fee is left") == true)
        let next = try net.run(at.id, to: TestDispute.result(TestDispute.truth))
        #expect(net.providers.contains { $0.publicKey == next.publicKey })
        // A bond of its own is a beginning.
        try net.act(net.people[7], .transfer(to: net.address(at.provider), amount: .xpl(100), memo: []))
        try net.act(at.provider, .addBond(amount: .xpl(100)))
        #expect(try net.provider(at.provider).newcomer == nil)
    }

    @Test func allOfTheBondThatItHasGoes() throws {
        let (at, pool, auditor, requester) = try lie { try NewcomerTests.register($0, $0.people[5], bond: .xpl(50)) }
        let net = at.net
        #expect(try net.provider(at.provider).bond == .zero && net.provider(at.provider).locked == .zero)
        #expect(try Query.totals(in: net.store).auditPool == pool)
        #expect(try net.worth(at.auditors[0]) == auditor.adding(xpl("0.72")))
        #expect(try net.worth(net.requester) == requester.adding(.xpl(1)))
    }

    @Test func aBondThatCoversPartOfTheBountyIsUsedFirst() throws {
        let (at, pool, auditor, requester) = try lie {
            try NewcomerTests.register($0, $0.people[5], bond: try Amount(parsing: "0.5"))
        }
        let net = at.net
        #expect(try Query.totals(in: net.store).auditPool == pool.subtracting(xpl("0.22")))
        #expect(try net.worth(at.auditors[0]) == auditor.adding(xpl("0.72")))
        #expect(try net.worth(net.requester) == requester)
    }

    /// Somebody is requester, newcomer and auditor at once: of each name's fee it gets back less than it was.
    @Test func convictingOneselfPaysLessThanTheFee() throws {
        let parameters = Self.parameters()
        let most = try parameters.newcomerFee.scaled(parameters.bountyPerMille, over: 1000)
        let (at, _, auditor, _) = try lie { try NewcomerTests.join($0) }
        let got = try at.net.worth(at.auditors[0]).subtracting(auditor)
        #expect(got <= most && most < parameters.newcomerFee)
    }

    /// Lies for as long as it is believed, lends itself the rest of the bond for a block, and leaves.
    @Test func payForALieIsNotMadeItsOwnByLendingItselfTheRest() throws {
        let (net, newcomer) = try Self.market()
        try settle(net)
        try net.act(net.people[7], .transfer(to: net.address(newcomer), amount: .xpl(200), memo: []))
        try net.fail(newcomer, .addBond(amount: xpl("99.04")), "fills from pay alone")
        let (worth, pool) = (try net.worth(newcomer), try Query.totals(in: net.store).auditPool)
        try net.act(newcomer, .withdrawProvider)
        #expect(try net.worth(newcomer) == worth)
        #expect(try Query.totals(in: net.store).auditPool == pool.adding(xpl("0.96")))
        #expect(try net.provider(newcomer).bond == .zero && net.provider(newcomer).newcomer == nil)
    }

    @Test func whoLeavesBeforeGetsWhatItBroughtItself() throws {
        let net = try TestNet(parameters: Self.parameters())
        try net.openMarket()
        let key = net.people[5]
        try Self.register(net, key, bond: .xpl(40))
        try settle(net)
        #expect(try net.provider(key).bond == xpl("40.96"))
        let (worth, pool) = (try net.worth(key), try Query.totals(in: net.store).auditPool)
        try net.act(key, .withdrawProvider)
        #expect(try net.worth(key) == worth.adding(.xpl(40)))
        #expect(try Query.totals(in: net.store).auditPool == pool.adding(xpl("0.96")))
    }

    @Test func nobodyLeavesInTheMiddleOfAJob() throws {
        let (net, newcomer) = try Self.market()
        let id = try net.submit(net.spec())
        _ = try net.runToDraw(id)
        #expect(try net.provider(newcomer).locked == .zero)
        try net.fail(newcomer, .withdrawProvider, "outstanding")
    }

    /// Its bond would be full when the job is paid, so that the pay for a lie that was believed would not be held, and the loan could leave with it.
    @Test func aBondIsNotLentInTheMiddleOfAJob() throws {
        let (net, newcomer) = try Self.market()
        try net.act(net.people[7], .transfer(to: net.address(newcomer), amount: .xpl(200), memo: []))
        let id = try net.submit(net.spec())
        let provider = try net.runToDraw(id)
        #expect(provider.publicKey == newcomer.publicKey)
        try net.fail(newcomer, .addBond(amount: .xpl(100)), "outstanding")
        let auditors = try net.commitAudits(id)
        try net.open(id, newcomer)
        for auditor in auditors { try net.revealAudit(id, auditor) }
        try net.fail(newcomer, .addBond(amount: .xpl(100)), "outstanding")
        try net.pass(30_000)
        #expect(try net.job(id).state == .settled)
        #expect(try net.provider(newcomer).newcomer?.withheld == xpl("0.96"))
    }

    // MARK: Silence

    @Test func itsLostAttemptsAreNoneOfTheJobsAndCostItsStanding() throws {
        let (net, newcomer) = try Self.market()
        let id = try net.submit(net.spec())
        try net.step()
        try net.act(newcomer, .startJob(job: id, attempt: 1))
        try net.pass(30_000)
        let job = try net.job(id)
        #expect(job.attempt == 2 && job.lost == 0 && job.excluded == [net.address(newcomer)])
        #expect(try standing(net, newcomer) == xpl("4.5") && net.provider(newcomer).lost == 1)
        #expect(try Query.totals(in: net.store).auditPool == .xpl(5))
    }

    @Test func aNameIsGoodForTenSilences() throws {
        let (net, newcomer) = try Self.market()
        var small = net.spec()
        small.scans = [JobScan(steps: 1, weightedOperations: 1_000_000_000)]
        small.computeUnits = ComputeUnits(weightedOperations: 1_000_000_000)
        for strike in 1...10 {
            // Halfway it no longer stands for jobs of 1 XPL.
            if strike == 7 { #expect(try reason(net, net.spec(), newcomer)?.contains("2 of its fee stand") == true) }
            let id = try net.submit(small)
            try net.step()
            #expect(try net.executor(id).publicKey == newcomer.publicKey)
            try net.pass(25_000)
            #expect(try standing(net, newcomer) == xpl("5").subtracting(xpl("0.5").scaled(UInt64(strike), over: 1)))
            #expect(try net.job(id).attempt == 2)
            try net.act(net.requester, .cancelJob(job: id))
            // The chain has paused its offer.
            try net.act(newcomer, .setOffer(net.offerTerms()))
            try net.step()
        }
        #expect(try reason(net, small, newcomer)?.contains("nothing of its registration fee is left") == true)
    }

    @Test func itsReportsEndNoJobAndCountAsDeclines() throws {
        let net = try TestNet(parameters: Self.parameters())
        try net.openMarket()
        for _ in 0..<3 { try Self.join(net) }
        let id = try net.submit(net.spec(queue: 60_000))
        for attempt in 1...3 {
            try net.step()
            let key = try net.executor(id)
            #expect(net.strangers.contains { $0.publicKey == key.publicKey })
            try net.act(key, .declineJob(job: id, attempt: UInt32(attempt), reason: .inputsUnavailable))
            #expect(try net.provider(key).declines == 1 && standing(net, key) == .xpl(5))
        }
        #expect(try net.job(id).state != .failed && net.job(id).claim == nil)
        // The third in an hour costs a tenth.
        let (other, newcomer) = try Self.market()
        for _ in 0..<3 {
            let id = try other.submit(other.spec())
            try other.step()
            try other.act(newcomer, .declineJob(job: id, attempt: 1, reason: .busy))
        }
        #expect(try standing(other, newcomer) == xpl("4.5"))
    }

    @Test func aResultThatIsNotOpenedConvictsIt() throws {
        let net = try TestNet(parameters: Self.parameters())
        try net.openMarket()
        let key = net.people[5]
        try Self.register(net, key, bond: .xpl(10))
        let id = try net.submit(net.spec())
        _ = try net.runToDraw(id)
        _ = try net.commitAudits(id)
        let (worth, pool) = (try net.worth(net.requester), try Query.totals(in: net.store).auditPool)
        try net.pass(25_000)
        #expect(try net.provider(key).bond == .zero && standing(net, key) == .zero)
        #expect(try net.worth(net.requester) == worth.adding(.xpl(1)))
        #expect(try Query.totals(in: net.store).auditPool == pool)
        #expect(try net.job(id).lost == 0)
    }

    @Test func whereNoAuditorAnswersItIsNeitherPaidNorBlamed() throws {
        let (net, newcomer) = try Self.market()
        let id = try net.submit(net.spec())
        _ = try net.runToDraw(id)
        // Three draws, three silences.
        for _ in 0..<3 {
            #expect(try net.job(id).stage == .auditors)
            try net.pass(75_000)
        }
        #expect(try net.job(id).stage == .opening)
        try net.open(id, newcomer)
        try net.pass(40_000)
        let job = try net.job(id)
        #expect(job.attempt == 2 && job.lost == 0 && job.excluded == [net.address(newcomer)])
        #expect(try net.provider(newcomer).bond == .zero && standing(net, newcomer) == .xpl(5))
        #expect(try net.provider(newcomer).lost == 0 && Query.receipt(job: id, in: net.store) == nil)
    }

    // MARK: Transactions that nobody pays

    /// A failed move is paid from what a newcomer has, and in the end from its standing; without any the mempool takes none.
    @Test func movesThatFailAreNotForNothing() throws {
        let net = try TestNet(parameters: Self.parameters())
        try net.openMarket()
        let key = TestNet.key(200)
        net.strangers.append(key)
        let registration = Registration(
            key: key, nonce: 0, name: "n", node: key.publicKey, payout: net.address(key), network: net.genesis.digest)
        try net.act(net.requester, .sponsorProvider(registration, gift: .zero))
        let spam = net.transaction(key, .startJob(job: .zero, attempt: 1))
        func admit(_ signed: SignedTransaction) throws {
            try Admission.check(
                signed, network: net.genesis.digest, baseFee: net.parent.baseFee, pending: Admission.Pending(),
                parameters: net.genesis.parameters, in: net.store)
        }
        try admit(spam)
        let receipt = try net.step([spam]).receipts[0]
        #expect(!receipt.succeeded && receipt.fee == .zero)
        let cost = try Fees.fee(weight: receipt.weight, baseFee: net.parent.baseFee, tip: .zero)
        #expect(cost > .zero)
        #expect(try standing(net, key) == .xpl(5).subtracting(cost))
        // One that left has nothing to lose.
        let other = net.people[5]
        try Self.register(net, other, bond: .zero)
        try net.act(other, .withdrawProvider)
        func sweep(_ amount: Amount, fee: Amount) throws -> Transaction {
            Transaction(
                network: net.genesis.digest, sender: other.publicKey, nonce: Nonce(net.nonces[other.publicKey] ?? 0),
                maximumFee: fee, payload: .transfer(to: net.address(key), amount: amount, memo: []))
        }
        let weight = Fees.weight(try sweep(.zero, fee: .zero), net.genesis.parameters)
        let fee = try Fees.fee(weight: weight, baseFee: net.parent.baseFee, tip: .zero)
        try net.step([try sweep(try net.balance(other).subtracting(fee), fee: fee).signed(by: other)])
        net.nonces[other.publicKey, default: 0] += 1
        #expect(try net.balance(other) == .zero)
        let move = net.transaction(other, .startJob(job: .zero, attempt: 1))
        #expect(throws: AdmissionFault.notAProvider) { try admit(move) }
    }
}
