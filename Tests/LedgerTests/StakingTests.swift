import Consensus
import Ledger
import Primitives
import TestSupport
import Testing

/// Stakes and epochs as the ledger sees them: one validator makes all blocks, `TestNet` counts the money after each.
@Suite struct StakingTests {
    static var parameters: ChainParameters {
        var parameters = TestNet.parameters
        parameters.epochLength = 12
        parameters.epochMargin = 4
        parameters.inflationPerMille = 0
        parameters.inflationFloorPerMille = 0
        return parameters
    }

    private func registration(_ net: TestNet, _ key: SecretKey, by person: SecretKey, stake: Amount = .xpl(20_000))
        -> Payload
    {
        .registerValidator(
            consensusKey: key.publicKey, vrfKey: key.publicKey, stake: stake,
            possession: key.sign(
                StakedValidator.possessionMessage(
                    network: net.genesis.digest, operatorAddress: person.publicKey.address, vrfKey: key.publicKey)))
    }

    private func passEpoch(_ net: TestNet, votes: () -> BlockVotes = { BlockVotes() }) throws {
        let epoch = try net.epoch.epoch
        while try net.epoch.epoch == epoch { try net.step(votes: votes()) }
    }

    private func record(_ net: TestNet) throws -> EpochRecord {
        let epoch = try net.epoch.epoch
        return try #require(try Query.epochRecord(epoch, in: net.store))
    }

    @Test func anEpochEndsWithTheFirstBlockThatAttestsItsSnapshot() throws {
        let net = try TestNet(parameters: Self.parameters)
        let schedule = EpochSchedule(try net.epoch, net.genesis.parameters)
        #expect(schedule.firstHeight == 1 && schedule.snapshotHeight == 8 && schedule.endHeight == 12)
        for _ in 0..<11 { try net.step() }
        #expect(try net.epoch.epoch == 0)
        #expect(try Query.epochRecord(1, in: net.store) != nil)
        try net.step()
        let start = try net.epoch
        #expect(start.epoch == 1 && start.firstHeight == 13 && start.base == net.parent.digest)
        #expect(net.parent.nextEpochRecord == (try record(net).digest))
        // The seed is the beacon's, not known when the set was fixed.
        #expect(start == EpochStart(after: net.parent, clock: start.clock))
        try passEpoch(net)
        #expect(try net.epoch.firstHeight == 25)
    }

    @Test func whoStakesVotesFromTheNextEpochOnAndWhoUnbondsNoMore() throws {
        var parameters = Self.parameters
        // Too short for anyone to be missed.
        parameters.epochMargin = 6
        let net = try TestNet(parameters: parameters)
        let (key, person) = (TestNet.key(50), net.people[5])
        try net.act(person, registration(net, key, by: person))
        #expect(try record(net).members.count == 1)
        try passEpoch(net)
        var members = try record(net).members
        #expect(members.map(\.weight) == [1_000, 20_000])
        #expect(members.map(\.operatorAddress) == [net.validator.publicKey.address, person.publicKey.address])
        try net.act(person, .addStake(validator: key.publicKey, amount: .xpl(500)))
        try passEpoch(net)
        members = try record(net).members
        #expect(members.map(\.weight) == [1_000, 20_500])
        try net.fail(person, .unbondStake(validator: key.publicKey, amount: .xpl(15_000)), "below the least stake")
        try net.fail(person, .unbondStake(validator: key.publicKey, amount: .xpl(20_501)), "at most it")
        try net.fail(net.people[6], .unbondStake(validator: key.publicKey, amount: .xpl(1)), "is operated by")
        let before = try net.balance(person)
        try net.act(person, .unbondStake(validator: key.publicKey, amount: .xpl(20_500)))
        let epoch = try net.epoch.epoch
        try net.fail(person, .claimStake(validator: key.publicKey), "unlocks in epoch \(epoch.advanced(by: 3))")
        try passEpoch(net)
        #expect(try record(net).members.count == 1)
        try passEpoch(net)
        try net.fail(person, .claimStake(validator: key.publicKey), "unlocks in epoch")
        try passEpoch(net)
        try net.act(person, .claimStake(validator: key.publicKey))
        #expect(try net.balance(person) > before)
        // Nothing is left of it: the key may come back.
        #expect(try Query.validator(key.publicKey, in: net.store) == nil)
        try net.act(person, registration(net, key, by: person))
    }

    @Test func nobodyRegistersAnothersKeyOrTooLittle() throws {
        let net = try TestNet(parameters: Self.parameters)
        let (key, person, thief) = (TestNet.key(50), net.people[5], net.people[6])
        try net.fail(thief, registration(net, key, by: person), "has not signed")
        try net.fail(person, registration(net, key, by: person, stake: .xpl(9_999)), "the least is 10000")
        try net.act(person, registration(net, key, by: person))
        try net.fail(thief, registration(net, key, by: thief), "has a stake already")
        try net.fail(net.people[7], .addStake(validator: TestNet.key(51).publicKey, amount: .xpl(1)), "no validator")
    }

    private func vote(_ subject: Subject, _ key: SecretKey, _ signer: UInt16, _ net: TestNet) -> Vote {
        Vote(
            subject: subject, signer: signer,
            signature: key.sign(subject.signingBytes(network: net.genesis.digest)))
    }

    private func proposal(_ net: TestNet, _ name: UInt8, epoch: Epoch, view: View = 7) -> Proposal {
        Proposal(
            epoch: epoch, view: view, parentView: 6, parentDigest: .zero,
            payloadDigest: Digest.of(Domain("test"), [name]))
    }

    @Test func twoVotesOfOneViewCostAPartOfTheStakeAndTheSeatForGood() throws {
        let net = try TestNet(parameters: Self.parameters)
        let (key, person) = (TestNet.key(50), net.people[5])
        try net.act(person, registration(net, key, by: person))
        try passEpoch(net)
        try net.act(person, .unbondStake(validator: key.publicKey, amount: .xpl(2_000)))
        let epoch = try net.epoch.epoch
        let place = UInt16(try #require(try record(net).members.firstIndex { $0.consensusKey == key.publicKey }))
        let one = vote(.notarize(proposal(net, 1, epoch: epoch)), key, place, net)
        let other = vote(.notarize(proposal(net, 2, epoch: epoch)), key, place, net)
        net.convicted = [key.publicKey]
        let burned = try Query.totals(in: net.store).burned
        try net.step(votes: BlockVotes(evidence: [Evidence(first: one, second: other)]))
        let left = try #require(try Query.tombstone(key.publicKey, in: net.store))
        // A twentieth of the 18,000 that vote and of the 2,000 on their way out.
        #expect(left.stake == .xpl(17_100) && left.isTombstoned)
        #expect(try Query.unbondings(of: key.publicKey, in: net.store).map(\.amount) == [.xpl(1_900)])
        #expect(try Query.totals(in: net.store).burned == burned.adding(.xpl(1_000)))
        // Told again it costs nothing more.
        try net.step(votes: BlockVotes(evidence: [Evidence(first: other, second: one)]))
        #expect(try Query.tombstone(key.publicKey, in: net.store)?.stake == .xpl(17_100))
        try net.fail(person, registration(net, key, by: person), "never votes again")
        try net.act(person, .unbondStake(validator: key.publicKey, amount: .xpl(17_100)))
        try passEpoch(net)
        #expect(try record(net).members.count == 1)
        for _ in 0..<3 { try passEpoch(net) }
        try net.act(person, .claimStake(validator: key.publicKey))
        #expect(try Query.unbondings(of: key.publicKey, in: net.store).isEmpty)
    }

    @Test func evidenceOfNothingMakesABlockInvalid() throws {
        let net = try TestNet(parameters: Self.parameters)
        let key = net.validator
        let one = vote(.notarize(proposal(net, 1, epoch: 0)), key, 0, net)
        let other = vote(.notarize(proposal(net, 2, epoch: 0)), key, 0, net)
        let nullify = vote(.nullify(0, 7), key, 0, net)
        let final = vote(.finalize(proposal(net, 1, epoch: 0)), key, 0, net)
        let cases: [(Evidence, EvidenceFault?)] = [
            (Evidence(first: one, second: other), nil),
            (Evidence(first: nullify, second: final), nil),
            (Evidence(first: one, second: one), .noOffence),
            (Evidence(first: one, second: nullify), .noOffence),
            (Evidence(first: one, second: final), .noOffence),
            (
                Evidence(first: one, second: vote(.notarize(proposal(net, 2, epoch: 0, view: 8)), key, 0, net)),
                .noOffence
            ),
            (
                Evidence(
                    first: one, second: Vote(subject: other.subject, signer: 0, signature: one.signature)),
                .badSignature
            ),
            (
                Evidence(
                    first: vote(one.subject, key, 5, net), second: vote(other.subject, key, 5, net)), .signer(5)
            ),
            (
                Evidence(
                    first: vote(.notarize(proposal(net, 1, epoch: 1)), key, 0, net),
                    second: vote(.notarize(proposal(net, 2, epoch: 1)), key, 0, net)), .epoch(1)
            ),
        ]
        for (index, (evidence, fault)) in cases.enumerated() {
            let block = try net.block([], votes: BlockVotes(evidence: [evidence]))
            func check() throws {
                try Validity.check(block, parent: net.parent, ancestors: [], parameters: Self.parameters, in: net.store)
            }
            if let fault {
                #expect(throws: ValidityFault.header("its evidence does not hold: \(fault)"), "case \(index)") {
                    try check()
                }
            } else {
                try check()
            }
        }
        let twice = try net.block(
            [], votes: BlockVotes(evidence: [cases[0].0, cases[1].0]))
        #expect(throws: ValidityFault.header("it accuses a validator twice")) {
            try Validity.check(twice, parent: net.parent, ancestors: [], parameters: Self.parameters, in: net.store)
        }
    }

    @Test func whoIsNeverSeenGoesToJailAndComesBackWhenItSaysSo() throws {
        var parameters = Self.parameters
        parameters.epochLength = 16
        parameters.jailMilliseconds = 5_000
        let net = try TestNet(parameters: parameters)
        let (key, person) = (TestNet.key(50), net.people[5])
        try net.act(person, registration(net, key, by: person))
        try passEpoch(net)
        #expect(try record(net).members.count == 2)
        // It is in the set, and no block of its own and no vote is seen.
        try passEpoch(net)
        #expect(try record(net).members.count == 1)
        let jailed = try #require(try Query.validator(key.publicKey, in: net.store))
        #expect(jailed.jailedUntil != nil && jailed.stake == .xpl(19_998))
        try net.fail(person, .unjail(validator: key.publicKey), "its jail ends in")
        try net.pass(6_000)
        try net.act(person, .unjail(validator: key.publicKey))
        try net.fail(person, .unjail(validator: key.publicKey), "not in jail")
        // Back in the next set or the one after, by where in its epoch that was.
        try passEpoch(net)
        if try record(net).members.count == 1 { try passEpoch(net) }
        #expect(try record(net).members.count == 2)
    }

    @Test func rewardsGoToThoseWhoWereSeenByWeight() throws {
        var parameters = Self.parameters
        parameters.inflationPerMille = 50
        parameters.inflationTreasuryPerMille = 20
        let net = try TestNet(parameters: parameters)
        let person = net.validator.publicKey.address
        for _ in 0..<7 { try net.step(after: 2_000) }
        let before = try Query.account(person, in: net.store).balance
        let treasury = try Query.totals(in: net.store).treasury
        // Height 8 is the snapshot: 16 s of clock at 5 % a year.
        let minted = try Genesis.totalSupply.scaled(50, over: 1000).scaled(16_000, over: 365 * 86_400_000)
        net.minted = minted
        try net.step(after: 2_000)
        let toTreasury = try minted.scaled(20, over: 1000)
        #expect(try Query.totals(in: net.store).treasury == treasury.adding(toTreasury))
        #expect(try Query.account(person, in: net.store).balance == before.adding(minted.subtracting(toTreasury)))
    }

    @Test func headersCommitToTheNextSetExactlyFromTheSnapshotOn() throws {
        let net = try TestNet(parameters: Self.parameters)
        func check(_ block: Block) throws {
            try Validity.check(block, parent: net.parent, ancestors: [], parameters: Self.parameters, in: net.store)
        }
        for _ in 0..<8 {
            var early = try net.block([])
            try check(early)
            early.header.nextEpochRecord = .zero
            #expect(throws: ValidityFault.header("no epoch record is due")) { try check(early) }
            try net.step()
        }
        // The parent is the snapshot; this block is the first that may attest it.
        var due = try net.block([])
        #expect(due.header.nextEpochRecord != nil)
        due.header.nextEpochRecord = .zero
        #expect(throws: ValidityFault.header("it commits to another next epoch")) { try check(due) }
        due.header.nextEpochRecord = nil
        #expect(throws: ValidityFault.header("it commits to another next epoch")) { try check(due) }
        var foreign = try net.block([])
        foreign.header.epoch = 1
        #expect(throws: ValidityFault.header("it is of epoch 1, this is 0")) { try check(foreign) }
        var other = try net.block([])
        other.votes.evidence = [
            Evidence(
                first: vote(.nullify(0, 1), net.validator, 0, net),
                second: vote(.finalize(proposal(net, 1, epoch: 0, view: 1)), net.validator, 0, net))
        ]
        #expect(throws: ValidityFault.header("its votes are not those of its digest")) { try check(other) }
    }

    @Test func itsObjectsHaveOneEncoding() throws {
        let net = try TestNet(parameters: Self.parameters)
        let key = TestNet.key(50)
        try WireForm([
            registration(net, key, by: net.people[5]), .addStake(validator: key.publicKey, amount: .xpl(1)),
            .unbondStake(validator: key.publicKey, amount: .xpl(2)), .claimStake(validator: key.publicKey),
            .unjail(validator: key.publicKey),
        ]).holds()
        try WireForm([try record(net)]).holds(inputs: 2_000)
        try WireForm([try net.epoch]).holds(inputs: 2_000)
        try WireForm([try #require(try Query.validator(net.validator.publicKey, in: net.store))]).holds(inputs: 2_000)
        try WireForm([Unbonding(consensusKey: key.publicKey, unlocks: 7, amount: .xpl(3))]).holds(inputs: 2_000)
        let one = vote(.nullify(0, 7), key, 0, net)
        let other = vote(.finalize(proposal(net, 1, epoch: 0)), key, 0, net)
        let certificate = Certificate(subject: one.subject, votes: [one])
        try WireForm([
            BlockVotes(), BlockVotes(certificate: certificate),
            BlockVotes(certificate: certificate, evidence: [Evidence(first: one, second: other)]),
        ]).holds(inputs: 10_000)
    }
}
