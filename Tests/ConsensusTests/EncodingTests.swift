import Consensus
import Primitives
import TestSupport
import Testing

@Suite struct EncodingTests {
    @Test func everythingSaidAndJournaledHasOneEncoding() throws {
        let driver = try Driver()
        let proposal = driver.proposal(3)
        let subjects: [Subject] = [.notarize(proposal), .nullify(7, 9), .finalize(proposal)]
        let votes = subjects.map { driver.vote($0, by: 2) }
        let certificates = subjects.map { driver.certificate($0) }
        try WireForm(
            votes.map { ConsensusMessage.vote($0) } + certificates.map { .certificate($0) }
                + [
                    .request(from: 4, through: 67), .positionRequest(nonce: Driver.genesis),
                    .position(driver.position(1, by: 2, nonce: Driver.genesis)),
                    .position(
                        driver.position(
                            10, by: 2, nonce: Driver.genesis, certificate: driver.certificate(.nullify(0, 9)))),
                ]
        ).holds()
        try WireForm(
            votes.map { JournalRecord.vote($0) } + certificates.map { .certificate($0) }
                + [.certification(proposal, true), .certification(proposal, false)]
        ).holds()
        try WireForm(subjects.map { Evidence(first: driver.vote($0, by: 2), second: driver.vote($0, by: 1)) }).holds()
        try WireForm([Driver.parameters]).holds(inputs: 1_000)
        try WireForm([driver.validators[0]]).holds(inputs: 1_000)
    }

    @Test func aRequestTooWideOrEmptyIsRefused() throws {
        for (first, last): (View, View) in [(4, 68), (4, 3), (0, View(.max))] {
            #expect(throws: DecodingFault.self) {
                try ConsensusMessage(
                    canonicalBytes: ConsensusMessage.request(from: first, through: last).canonicalBytes)
            }
        }
    }

    @Test func aCertificateHasOneEncoding() throws {
        let driver = try Driver()
        let subject = Subject.nullify(0, 1)
        let bytes = driver.certificate(subject).canonicalBytes
        let at = subject.canonicalBytes.count
        // The bitmap: one byte long, signers 1, 2, 3.
        #expect(bytes[at..<at + 5] == [1, 0, 0, 0, 0b1110])
        var longer = Array(bytes[..<at]) + [2, 0, 0, 0, 0b1110, 0]
        longer += bytes[(at + 5)...]
        #expect(throws: DecodingFault.self) { try Certificate(canonicalBytes: longer) }
        #expect(throws: DecodingFault.self) { try Certificate(canonicalBytes: Array(bytes[..<at]) + [0, 0, 0, 0]) }
        #expect(throws: DecodingFault.self) {
            try Certificate(canonicalBytes: Array(bytes[..<at]) + [17, 0, 0, 0] + [UInt8](repeating: 255, count: 17))
        }
    }

    @Test func aSubjectSignsItsKindEpochViewAndNetwork() throws {
        let driver = try Driver()
        let proposal = driver.proposal(3)
        let subjects: [Subject] = [
            .notarize(proposal), .finalize(proposal), .nullify(0, 3), .nullify(1, 3), .nullify(0, 4),
        ]
        var seen: Set<[UInt8]> = []
        for subject in subjects {
            #expect(seen.insert(subject.signingBytes(network: Driver.network)).inserted)
            #expect(seen.insert(subject.signingBytes(network: .zero)).inserted)
        }
    }

    @Test func realSignaturesCertify() throws {
        let secrets = try (0..<4).map { try SecretKey(seed: [UInt8](repeating: UInt8($0 + 1), count: 32)) }
        let validators = try ValidatorSet(secrets.map { Validator(publicKey: $0.publicKey, weight: 5) })
        let subject = Subject.nullify(0, 8)
        func votes(_ signers: [Int], network: Digest = .zero) -> [Vote] {
            signers.map { signer in
                let signature = Ed25519Scheme(secrets[signer]).sign(subject.signingBytes(network: network))
                return Vote(subject: subject, signer: UInt16(signer), signature: signature)
            }
        }
        let verifier = Ed25519Scheme.verifier
        #expect(
            Certificate(subject: subject, votes: votes([3, 0, 1])).verify(validators, network: .zero, scheme: verifier))
        #expect(
            !Certificate(subject: subject, votes: votes([0, 1])).verify(validators, network: .zero, scheme: verifier))
        #expect(
            !Certificate(subject: subject, votes: votes([0, 1, 2])).verify(
                validators, network: Driver.network, scheme: verifier))
        let other = Subject.nullify(0, 9)
        #expect(
            !Certificate(subject: other, votes: votes([0, 1, 2])).verify(validators, network: .zero, scheme: verifier))
    }
}

@Suite struct ValidatorSetTests {
    func set(_ weights: [UInt64]) throws -> ValidatorSet { try Driver(weights: weights).validators }

    @Test(
        arguments: [
            ([1], 1), ([1, 1, 1], 3), ([1, 1, 1, 1], 3), ([1, 1, 1, 1, 1, 1, 1], 5), ([3, 3, 3], 7), ([10, 1, 1], 9),
        ] as [([UInt64], UInt64)])
    func aQuorumIsMoreThanTwoThirds(_ weights: [UInt64], _ quorum: UInt64) throws {
        #expect(try set(weights).quorumWeight == quorum)
    }

    @Test func listsThatAreNoSetAreRefused() throws {
        #expect(throws: ValidatorSetFault.empty) { try ValidatorSet([]) }
        #expect(throws: ValidatorSetFault.noWeight(1)) { try set([1, 0]) }
        #expect(throws: ValidatorSetFault.weightOverflow) { try set([1 << 62, 1]) }
        #expect(throws: ValidatorSetFault.weightOverflow) { try set([.max, .max]) }
        #expect(try set([1 << 61, 1 << 61]).totalWeight == 1 << 62)
        #expect(throws: ValidatorSetFault.tooMany(129)) { try set([UInt64](repeating: 1, count: 129)) }
        #expect(try set([UInt64](repeating: 1, count: 128)).count == 128)
        let one = try set([1])[0]
        #expect(throws: ValidatorSetFault.repeated(one.publicKey)) { try ValidatorSet([one, one]) }
    }

    /// Over 4,000 views a validator with a quarter of the stake leads a quarter of them, give or take four deviations (±110).
    @Test func leadersAreDrawnByWeight() throws {
        let validators = try set([1, 2, 1])
        var turns = [0, 0, 0]
        for view in 1...4_000 as ClosedRange<UInt64> { turns[validators.leader(of: View(view), seed: .zero)] += 1 }
        #expect(abs(turns[0] - 1_000) < 110)
        #expect(abs(turns[1] - 2_000) < 127)
        #expect(abs(turns[2] - 1_000) < 110)
    }
}
