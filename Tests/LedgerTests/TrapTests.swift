import Ledger
import Primitives
import Programs
import Testing

/// Results masked beside a decoy: who has run the job is paid more, who was told loses its bond, who has told a lie loses as ever.
@Suite struct TrapTests {
    /// Every result lies in a trap.
    static func parameters(jackpot: UInt64 = 5) -> ChainParameters {
        var parameters = TestNet.parameters
        parameters.trapPerMille = 1000
        parameters.jackpotPerMille = jackpot
        return parameters
    }

    /// A job of such a network.
    static func trap(
        _ said: [Int32] = TestDispute.truth, decoy: [Int32] = TestDispute.decoy, audits: [[Int32]],
        reveals: Bool = true, jackpot: UInt64 = 5
    ) throws -> DisputeNet {
        try DisputeNet(
            said, decoy: decoy, audits: audits, reveals: reveals, parameters: parameters(jackpot: jackpot))
    }

    // MARK: Who is paid what

    @Test func whoHasFoundTheTrueResultOfATrapGetsTheJackpot() throws {
        let at = try TrapTests.trap(audits: [TestDispute.truth])
        let auditor = at.auditors[0]
        let before = try (
            at.net.worth(at.provider), at.net.worth(auditor), at.net.provider(auditor).bond,
            Query.totals(in: at.net.store).auditPool
        )
        #expect(before.3 == .zero)
        try at.net.pass(30_000)
        let job = try at.job
        #expect(job.state == .settled)
        #expect(job.assignment?.decoy == TestDispute.result(TestDispute.decoy))
        #expect(job.audits[0].jackpot == Amount(baseUnits: 5_000_000))
        #expect(try at.net.worth(at.provider) == before.0.adding(Amount(parsing: "0.96")))
        #expect(try at.net.worth(auditor) == before.1.adding(Amount(parsing: "0.965")))
        #expect(try at.net.provider(auditor).bond == before.2)
        #expect(try at.net.provider(auditor).locked == .zero)
        // A tenth of the fee of both payments, less the jackpot.
        #expect(try Query.totals(in: at.net.store).auditPool == Amount(parsing: "0.003"))
        // The requester gets the true result, for the price of a job without a trap.
        let receipt = try #require(try Query.receipt(job: at.id, in: at.net.store))
        #expect(receipt.commitment == TestDispute.result(TestDispute.truth))
        #expect(receipt.amount == .xpl(1) && receipt.auditFees == .xpl(1))
        #expect(receipt.auditors == [at.net.address(auditor)])
    }

    /// 0.012 XPL of the fees of three payments are in the pool, and both are owed 0.028.
    @Test func thePoolIsSharedWhereItDoesNotReach() throws {
        let at = try TrapTests.trap(audits: [TestDispute.truth, TestDispute.truth], jackpot: 28)
        try at.net.pass(30_000)
        #expect(try at.job.state == .settled)
        #expect(try at.job.audits.map(\.jackpot) == [Amount](repeating: Amount(baseUnits: 6_000_000), count: 2))
        #expect(try Query.totals(in: at.net.store).auditPool == .zero)
    }

    /// Not of the run's price: who pays itself much for a run, and its own auditors next to nothing, would pay the fee once and get seven jackpots.
    @Test func aJackpotIsAPartOfTheAuditorsOwnFee() throws {
        let net = try TestNet(parameters: TrapTests.parameters(jackpot: 3))
        try net.openMarket()
        // A hundredth of what the others ask.
        try net.act(net.providers[0], .setOffer(net.offerTerms(Amount(baseUnits: Amount.unitsPerXPL / 10))))
        try net.step()
        let id = try net.submit(net.spec(.audited))
        let provider = try net.runToDraw(id)
        let auditor = try #require(try net.commitAudits(id).first)
        try net.open(id, provider)
        try net.revealAudit(id, auditor)
        try net.pass(60_000)
        #expect(try net.job(id).state == .settled)
        #expect(try net.job(id).assignment?.price == Amount(baseUnits: 10_000_000))
        #expect(try net.job(id).audits.map(\.jackpot) == [Amount(baseUnits: 3_000_000)])
    }

    @Test func withoutAnAuditorNobodyGetsAJackpot() throws {
        let at = try TrapTests.trap(audits: [])
        #expect(try at.job.assignment?.decoy != nil)
        try at.net.pass(30_000)
        #expect(try at.job.state == .settled)
        #expect(try Query.totals(in: at.net.store).auditPool == Amount(parsing: "0.004"))
    }

    /// What a provider sold to a stranger was the decoy: it earns by that.
    @Test func whoAgreedWithTheDecoyLosesItsBond() throws {
        let at = try TrapTests.trap(audits: [TestDispute.decoy])
        let auditor = at.auditors[0]
        let before = try (at.net.worth(at.provider), at.net.worth(auditor), at.net.provider(auditor).bond)
        let requester = try at.net.worth(at.net.requester)
        // It has its time to show that the result is a lie.
        try at.net.pass(15_000)
        #expect(try at.net.provider(auditor).bond == before.2)
        #expect(try at.job.state == .auditing)
        try at.net.pass(60_000)
        #expect(try at.job.state == .settled)
        #expect(try at.net.provider(auditor).bond == before.2.subtracting(.xpl(2)))
        #expect(try at.net.provider(auditor).locked == .zero)
        #expect(try at.net.provider(auditor).convictions == 1)
        #expect(try at.net.worth(auditor) == before.1)
        // Its pay, and 300 in a thousand of the bond.
        #expect(try at.net.worth(at.provider) == before.0.adding(Amount(parsing: "1.56")))
        #expect(try at.job.audits[0].jackpot == .zero)
        let receipt = try #require(try Query.receipt(job: at.id, in: at.net.store))
        #expect(receipt.auditors.isEmpty && receipt.auditFees == .zero)
        #expect(receipt.commitment == TestDispute.result(TestDispute.truth))
        // Of 4.3 XPL of escrow one is paid, and a little for the moves.
        let back = try at.net.worth(at.net.requester).subtracting(requester)
        #expect(try back > Amount(parsing: "3.2") && back < Amount(parsing: "3.3"))
    }

    /// One found the truth, one believed the decoy: each gets what it deserves.
    @Test func eachAuditorOfATrapAnswersForItself() throws {
        let at = try TrapTests.trap(audits: [TestDispute.truth, TestDispute.decoy])
        let before = try at.auditors.map { try at.net.provider($0).bond }
        try at.net.pass(90_000)
        #expect(try at.job.state == .settled)
        #expect(try at.net.provider(at.auditors[0]).bond == before[0])
        #expect(try at.net.provider(at.auditors[1]).bond == before[1].subtracting(.xpl(2)))
        #expect(try at.job.audits.map(\.jackpot) == [Amount(baseUnits: 5_000_000), .zero])
    }

    /// Whoever has seen at the opening that it was caught does better not by holding its tongue. Of that nobody earns: an auditor may be pushed off the net.
    @Test func silenceAtATrapCostsTheBond() throws {
        let at = try TrapTests.trap(audits: [TestDispute.decoy], reveals: false)
        let auditor = at.auditors[0]
        let before = try (at.net.worth(at.provider), at.net.provider(auditor).bond)
        let burned = try Query.totals(in: at.net.store).burned
        try at.net.pass(21_000)
        #expect(try at.net.provider(auditor).bond == before.1.subtracting(.xpl(2)))
        #expect(try Query.totals(in: at.net.store).burned >= burned.adding(.xpl(2)))
        #expect(try at.net.worth(at.provider) == before.0)
        try at.net.pass(60_000)
        #expect(try at.job.state == .settled)
        #expect(try at.net.worth(at.provider) == before.0.adding(Amount(parsing: "0.96")))
    }

    @Test func silenceWithoutATrapCostsAnOutage() throws {
        let at = try DisputeNet(TestDispute.truth, audits: [TestDispute.truth], reveals: false)
        let before = try at.net.provider(at.auditors[0]).bond
        try at.net.pass(21_000)
        #expect(try at.net.provider(at.auditors[0]).bond == before.subtracting(Amount(parsing: "0.1")))
    }

    /// It challenges what is true, on the bond that it would have lost anyhow.
    @Test func whoFightsForTheDecoyLosesToo() throws {
        let at = try TrapTests.trap(audits: [TestDispute.decoy])
        let auditor = at.auditors[0]
        let before = try (at.net.worth(at.provider), at.net.provider(auditor).bond)
        try at.net.act(auditor, at.challenge(.zero))
        try at.play(auditor, moves: 3)
        #expect(try at.dispute(auditor).state == .open)
        // Before the last number it has nothing to point at: what it shows is what the provider has.
        try at.play(auditor)
        #expect(try at.dispute(auditor).state == .acquitted)
        #expect(try at.net.provider(auditor).bond == before.1.subtracting(.xpl(2)))
        try at.net.pass(60_000)
        #expect(try at.job.state == .settled)
        #expect(try at.net.worth(at.provider) == before.0.adding(Amount(parsing: "1.96")))
    }

    // MARK: Providers that lie

    /// The truth is the decoy and the lie the result, so that who has run the job stands by the decoy: it convicts as it would without a trap.
    @Test func aTruthHiddenAsTheDecoyConvictsItsProvider() throws {
        let at = try TrapTests.trap(TestDispute.lie, decoy: TestDispute.truth, audits: [TestDispute.truth])
        let auditor = at.auditors[0]
        let before = try (
            at.net.worth(auditor), at.net.provider(auditor).bond, at.net.provider(at.provider).bond,
            at.net.worth(at.net.requester)
        )
        try at.net.act(auditor, at.challenge(.zero))
        try at.play(auditor)
        #expect(try at.dispute(auditor).state == .convicted)
        #expect(try at.net.provider(at.provider).bond == before.2.subtracting(Amount(parsing: "2.4")))
        #expect(try at.net.worth(auditor) == before.0.adding(Amount(parsing: "0.72")))
        #expect(try at.net.provider(auditor).bond == before.1)
        #expect(try at.net.provider(auditor).convictions == 0)
        #expect(try at.net.worth(at.net.requester) == before.3.adding(.xpl(1)))
        #expect(try at.job.state == .open)
        #expect(try at.job.audits.isEmpty)
    }

    /// The result and the decoy are both lies; one auditor has believed each, a stranger shows that the result is one.
    @Test func aTrapWhoseResultIsALieIsDisputedAsEver() throws {
        let at = try TrapTests.trap(TestDispute.lie, audits: [TestDispute.lie, TestDispute.decoy])
        let bonds = try at.auditors.map { try at.net.provider($0).bond }
        let before = try (at.net.worth(at.stranger), at.net.provider(at.provider).bond)
        try at.net.act(at.stranger, at.challenge())
        try at.play(at.stranger)
        #expect(try at.dispute(at.stranger).state == .convicted)
        #expect(try at.net.provider(at.provider).bond == before.1.subtracting(Amount(parsing: "2.4")))
        // Its bounty, and that of the auditor which agreed with the lie.
        #expect(try at.net.worth(at.stranger) == before.0.adding(Amount(parsing: "1.32")))
        #expect(try at.net.provider(at.auditors[0]).bond == bonds[0].subtracting(.xpl(2)))
        // The decoy is of an attempt that is void: whether it was a lie was never asked.
        #expect(try at.net.provider(at.auditors[1]).bond == bonds[1])
        #expect(try at.job.state == .open)
    }

    /// It differs from the result and from the decoy, and is right: a trap costs it nothing, and its provider what a lie costs.
    @Test func anHonestAuditorOfATrapThatIsALieConvicts() throws {
        let at = try TrapTests.trap(TestDispute.lie, audits: [TestDispute.truth])
        let auditor = at.auditors[0]
        let before = try (
            at.net.worth(auditor), at.net.provider(auditor).bond, at.net.provider(at.provider).bond,
            at.net.worth(at.net.requester)
        )
        try at.net.act(auditor, at.challenge(.zero))
        try at.play(auditor)
        #expect(try at.dispute(auditor).state == .convicted)
        #expect(try at.net.provider(at.provider).bond == before.2.subtracting(Amount(parsing: "2.4")))
        #expect(try at.net.worth(auditor) == before.0.adding(Amount(parsing: "0.72")))
        #expect(try at.net.provider(auditor).bond == before.1)
        #expect(try at.net.worth(at.net.requester) == before.3.adding(.xpl(1)))
        #expect(try at.job.state == .open)
    }

    /// A third result that is none: it differs from the decoy, so that it loses what such a word costs without a trap, and no more.
    @Test func whoDiffersFromTheDecoyIsNotSlashedForIt() throws {
        let at = try TrapTests.trap(audits: [TestDispute.lie])
        let before = try at.net.provider(at.auditors[0]).bond
        try at.net.pass(90_000)
        #expect(try at.job.state == .settled)
        #expect(try at.net.provider(at.auditors[0]).bond == before.subtracting(Amount(parsing: "0.1")))
        #expect(try at.net.provider(at.auditors[0]).convictions == 0)
    }

    @Test func aFalseChallengerOfATrapLoses() throws {
        let at = try TrapTests.trap(audits: [TestDispute.truth])
        let before = try at.net.worth(at.stranger)
        try at.net.act(at.stranger, at.challenge())
        try at.play(at.stranger)
        #expect(try at.dispute(at.stranger).state == .acquitted)
        #expect(try at.net.worth(at.stranger) == before.subtracting(.xpl(2)))
        try at.net.pass(60_000)
        #expect(try at.job.state == .settled)
        #expect(try at.job.audits[0].jackpot > .zero)
    }

    // MARK: What opens a mask

    /// A job that waits to be opened, with the mask of `opening`; its auditors, if any are drawn, have committed.
    private func committed(
        _ parameters: ChainParameters, _ policy: AuditPolicy = .audited,
        _ change: (inout ResultOpening) -> Void = { _ in }
    ) throws -> (net: TestNet, id: Digest, provider: SecretKey, opening: ResultOpening) {
        let net = try TestNet(parameters: parameters)
        try net.openMarket()
        let id = try net.submit(net.spec(policy))
        try net.step()
        let provider = try net.executor(id)
        var opening = try net.opening(id, provider)
        change(&opening)
        try net.act(provider, .startJob(job: id, attempt: 1))
        let masked = opening.masked(provider: net.address(provider), job: id, attempt: 1)
        try net.act(provider, .commitResult(job: id, attempt: 1, masked: masked))
        try net.step()
        try net.step()
        _ = try net.commitAudits(id)
        opening.trap = try net.opening(id, provider).trap
        return (net, id, provider, opening)
    }

    private func payload(_ id: Digest, _ opening: ResultOpening) -> Payload {
        .openResult(job: id, attempt: 1, opening: opening)
    }

    /// Whoever cannot open loses as one that does not.
    private func isLost(_ net: TestNet, _ provider: SecretKey, _ id: Digest) throws {
        #expect(try net.job(id).state == .committed)
        try net.pass(22_000)
        #expect(try net.provider(provider).convictions == 1)
        #expect(try net.job(id).attempt >= 1)
        #expect(try net.job(id).reason.contains("did not open") || net.job(id).attempt > 1)
    }

    @Test func aTrapThatTheDrawSetsCannotBeLeftOut() throws {
        let at = try committed(TrapTests.parameters()) { $0.decoy = nil }
        try at.net.fail(at.provider, payload(at.id, at.opening), "must hold a decoy")
        var late = at.opening
        late.decoy = TestNet.decoy
        try at.net.fail(at.provider, payload(at.id, late), "does not open")
        try isLost(at.net, at.provider, at.id)
    }

    @Test func aTrapThatTheDrawDoesNotSetCannotBeMade() throws {
        let at = try committed(TestNet.parameters) { $0.decoy = TestNet.decoy }
        try at.net.fail(at.provider, payload(at.id, at.opening), "the result alone")
        var without = at.opening
        without.decoy = nil
        try at.net.fail(at.provider, payload(at.id, without), "does not open")
        try isLost(at.net, at.provider, at.id)
    }

    @Test func aDecoyIsAnotherResultThanTheTrueOne() throws {
        let at = try committed(TrapTests.parameters()) { $0.decoy = $0.commitment }
        try at.net.fail(at.provider, payload(at.id, at.opening), "another result")
        try isLost(at.net, at.provider, at.id)
    }

    @Test func aDecoyIsWhatARunCouldHaveGiven() throws {
        let at = try committed(TrapTests.parameters()) { $0.decoy?.steps = [2] }
        try at.net.fail(at.provider, payload(at.id, at.opening), "no run of this job")
        try isLost(at.net, at.provider, at.id)
    }

    /// The mask binds both, each in its place: at the opening there is nothing left to choose.
    @Test func theDecoyAndTheResultCannotChangePlaces() throws {
        let at = try committed(TrapTests.parameters())
        var swapped = at.opening
        swapped.commitment = TestNet.decoy
        swapped.decoy = at.opening.commitment
        try at.net.fail(at.provider, payload(at.id, swapped), "does not open")
        var other = at.opening
        other.decoy = TestNet.otherResult
        try at.net.fail(at.provider, payload(at.id, other), "does not open")
        try at.net.act(at.provider, payload(at.id, at.opening))
    }

    /// Whoever was not drawn cannot fall into a trap: nobody asks whether there is one, and nobody pays for a proof.
    @Test func whereNobodyWasDrawnNoProofIsShown() throws {
        for parameters in [TrapTests.parameters(), TestNet.parameters] {
            for decoy in [nil, TestNet.decoy] {
                let at = try committed(parameters, .sampled(perMille: 5)) { $0.decoy = decoy }
                #expect(at.opening.trap == nil)
                var shown = at.opening
                let beacon = try #require(try at.net.job(at.id).assignment?.beacon)
                shown.trap = TrapProof(job: at.id, beacon: beacon, key: at.provider)
                try at.net.fail(at.provider, payload(at.id, shown), "needs no proof")
                try at.net.act(at.provider, payload(at.id, at.opening))
                try at.net.pass(60_000)
                #expect(try at.net.job(at.id).state == .settled)
            }
        }
    }

    @Test func whereAuditorsWereDrawnAProofIsShown() throws {
        let at = try committed(TestNet.parameters)
        var without = at.opening
        without.trap = nil
        try at.net.fail(at.provider, payload(at.id, without), "must prove")
        try at.net.act(at.provider, payload(at.id, at.opening))
    }

    /// A proof that proves nothing is a transaction that nobody takes in: no block may have it.
    @Test func aFalseProofIsInNoBlock() throws {
        let at = try committed(TrapTests.parameters())
        let (id, provider) = (at.id, at.provider)
        let trap = try #require(at.opening.trap)
        let stranger = try #require(at.net.people.first { $0.publicKey != provider.publicKey })
        var changed = trap.proof.bytes
        changed[40] ^= 1
        let proofs = [
            try VRFProof(bytes: changed),
            // By another key, of another job, and on another beacon.
            VRF.prove(stranger, alpha: TrapDraw.input(job: id, beacon: trap.beacon)),
            VRF.prove(provider, alpha: TrapDraw.input(job: Digest.of(Domain("test"), [1]), beacon: trap.beacon)),
            VRF.prove(provider, alpha: TrapDraw.input(job: id, beacon: at.net.parent.beacon)),
        ]
        for proof in proofs {
            var opening = at.opening
            opening.trap = TrapProof(beacon: trap.beacon, proof: proof)
            let signed = at.net.transaction(provider, payload(id, opening))
            at.net.nonces[provider.publicKey, default: 1] -= 1
            #expect(!signed.isSigned)
            let parameters = at.net.genesis.parameters
            let block = try at.net.block([signed])
            #expect(throws: AdmissionFault.badSignature) {
                try Admission.check(
                    signed, network: at.net.genesis.digest, baseFee: block.header.baseFee,
                    pending: Admission.Pending(), parameters: parameters, in: at.net.store)
            }
            #expect(throws: ValidityFault.transaction(index: 0, .badSignature)) {
                try Validity.check(
                    block, parent: at.net.parent, ancestors: [], parameters: parameters, in: at.net.store)
            }
        }
        try at.net.act(provider, payload(id, at.opening))
    }

    /// A true proof on a beacon of one's choice says nothing of this assignment.
    @Test func aProofOnAnotherBeaconOpensNothing() throws {
        let at = try committed(TrapTests.parameters())
        var opening = at.opening
        opening.trap = TrapProof(job: at.id, beacon: at.net.parent.beacon, key: at.provider)
        #expect(opening.trap?.beacon != at.opening.trap?.beacon)
        try at.net.fail(at.provider, payload(at.id, opening), "another beacon")
        try at.net.act(at.provider, payload(at.id, at.opening))
    }

    /// The draw of an attempt is its own.
    @Test func anotherAttemptIsAnotherDraw() throws {
        let at = try TrapTests.trap(TestDispute.lie, audits: [])
        let first = try #require(try at.job.assignment)
        try at.net.act(at.stranger, at.challenge())
        try at.play(at.stranger)
        try at.net.step()
        let second = try #require(try at.job.assignment)
        #expect(try at.job.attempt == 2)
        #expect(second.beacon != first.beacon && second.provider != first.provider)
        #expect(second.decoy == nil && second.commitment == nil)
    }

    // MARK: The draw and its numbers

    /// As many traps as the parameter says: keys and jobs draw apart.
    @Test func asManyAreDrawnAsTheParameterSays() throws {
        var counts = [0, 0, 0, 0]
        for number in 0..<20_000 {
            let output = Digest.of(Domain("test"), UInt64(number).canonicalBytes)
            for (place, perMille) in [0, 15, 500, 1000].enumerated()
            where TrapDraw.isSet(output, perMille: UInt64(perMille)) {
                counts[place] += 1
            }
        }
        #expect(counts[0] == 0 && counts[3] == 20_000)
        #expect((230...370).contains(counts[1]), "\(counts)")
        #expect((9_700...10_300).contains(counts[2]), "\(counts)")
    }

    @Test func anOpeningWeighsItsProof() throws {
        let parameters = TestNet.parameters
        let net = try TestNet()
        var opening = ResultOpening(commitment: TestNet.result, salt: .zero)
        let bytes = 400
        let plain = Fees.weight(.startJob(job: .zero, attempt: 1), bytes: bytes, parameters)
        #expect(Fees.weight(payload(.zero, opening), bytes: bytes, parameters) == plain)
        opening.trap = TrapProof(job: .zero, beacon: .zero, key: net.requester)
        let weight = Fees.weight(payload(.zero, opening), bytes: bytes, parameters)
        #expect(weight == plain + parameters.weightPerVRFProof)
    }

    /// Who is requester, provider and auditor at once must not live on the audit pool.
    @Test func jackpotsAreBoundedByTheFee() throws {
        var parameters = ChainParameters()
        #expect(parameters.problem == nil)
        // 40 · (1000 - 300) = 28 000.
        (parameters.trapPerMille, parameters.jackpotPerMille) = (28, 1000)
        #expect(parameters.problem == nil)
        parameters.trapPerMille = 29
        #expect(parameters.problem?.contains("trading with oneself") == true)
        (parameters.trapPerMille, parameters.jackpotPerMille) = (1000, 28)
        #expect(parameters.problem == nil)
        (parameters.trapPerMille, parameters.jackpotPerMille) = (1001, 0)
        #expect(parameters.problem?.contains("out of bounds") == true)
        (parameters.trapPerMille, parameters.jackpotPerMille) = (0, 1_000_001)
        #expect(parameters.problem?.contains("out of bounds") == true)
        (parameters.trapPerMille, parameters.jackpotPerMille) = (.max, .max)
        #expect(parameters.problem?.contains("out of bounds") == true)
        parameters = ChainParameters()
        parameters.weightPerVRFProof = (1 << 32) + 1
        #expect(parameters.problem != nil)
    }
}
