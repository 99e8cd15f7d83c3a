import Consensus
import Primitives
import Simulation
import Testing

/// The oracle of votes and certificates: told of something that no honest validator does, it says so.
struct FinalityOracleTests {
    static let network = Digest.of(Domain("test.network"), [])

    static func key(_ index: Int) throws -> PublicKey {
        try PublicKey(bytes: Digest.of(Domain("test.key"), [UInt8(index)]).bytes)
    }

    static func vote(_ subject: Subject, by signer: Int) throws -> Vote {
        Vote(
            subject: subject, signer: UInt16(signer),
            signature: try SymbolicScheme(key(signer)).sign(subject.signingBytes(network: network)))
    }

    static func certificate(_ subject: Subject, by signers: [Int] = [0, 1, 2]) throws -> Certificate {
        Certificate(subject: subject, votes: try signers.map { try vote(subject, by: $0) })
    }

    static func proposal(_ view: View, _ name: String = "a", on parent: Proposal? = nil) -> Proposal {
        Proposal(
            epoch: 0, view: view, parentView: parent?.view ?? 0, parentDigest: parent?.payloadDigest ?? .zero,
            payloadDigest: Digest.of(Domain("test.payload"), Array("\(view)\(name)".utf8)))
    }

    var oracle = FinalityOracle(weights: [1, 1, 1, 1], dishonest: [3])

    mutating func send(_ subject: Subject, by signer: Int, journaled: Bool = true) throws {
        let vote = try Self.vote(subject, by: signer)
        oracle.sent(.vote(vote), by: signer, journal: journaled ? [.vote(vote)] : [])
    }

    func blamed(_ words: String, sourceLocation: SourceLocation = #_sourceLocation) {
        #expect(
            oracle.violations.contains { $0.contains(words) }, "\(oracle.violations)", sourceLocation: sourceLocation)
    }

    @Test mutating func aSoundHistoryIsBlamedForNothing() throws {
        let first = Self.proposal(1)
        let second = Self.proposal(3, on: first)
        for proposal in [first, second] {
            for signer in 0..<3 {
                try send(.notarize(proposal), by: signer)
                try send(.finalize(proposal), by: signer)
            }
        }
        for signer in 0..<3 { try send(.nullify(0, 2), by: signer) }
        oracle.certificate(try Self.certificate(.nullify(0, 2)))
        for (place, proposal) in [first, second].enumerated() {
            for node in 0..<3 {
                oracle.finalized(
                    proposal, try Self.certificate(.finalize(proposal)), by: node,
                    at: Instant(nanoseconds: Int64(place) * 1_000_000_000))
            }
        }
        oracle.judgeLiveness(healedAt: Instant(nanoseconds: 500_000_000), within: .seconds(1), finalized: [3, 3, 3, 0])
        #expect(oracle.violations == [])
    }

    @Test mutating func twoVotesOfOneKind() throws {
        try send(.notarize(Self.proposal(1)), by: 3)
        try send(.notarize(Self.proposal(1, "b")), by: 3)
        #expect(oracle.violations == [], "a liar may say anything")
        try send(.notarize(Self.proposal(1)), by: 0)
        try send(.notarize(Self.proposal(1, "b")), by: 0)
        blamed("node 0 signed two notarize votes in view 1")
    }

    @Test mutating func aViewBothNullifiedAndFinalized() throws {
        try send(.nullify(0, 1), by: 0)
        try send(.finalize(Self.proposal(1)), by: 0)
        blamed("node 0 both nullified and finalized view 1")
    }

    @Test mutating func oneProposalNotarizedAndAnotherFinalized() throws {
        try send(.notarize(Self.proposal(1)), by: 0)
        try send(.finalize(Self.proposal(1, "b")), by: 0)
        blamed("notarized one proposal of view 1 and finalized another")
    }

    @Test mutating func aVoteThatIsNotJournaled() throws {
        try send(.nullify(0, 1), by: 0, journaled: false)
        blamed("before its journal had it")
    }

    @Test mutating func aCertificateOfTooFew() throws {
        oracle.certificate(try Self.certificate(.nullify(0, 1), by: [0, 1]))
        blamed("has no quorum")
    }

    @Test mutating func twoFinalizationsOfOneView() throws {
        let (one, other) = (Self.proposal(1), Self.proposal(1, "b"))
        oracle.finalized(one, try Self.certificate(.finalize(one)), by: 0, at: Instant(nanoseconds: 1))
        oracle.finalized(other, try Self.certificate(.finalize(other)), by: 1, at: Instant(nanoseconds: 1))
        blamed("view 1 has two finalizations")
    }

    @Test mutating func aFinalizedViewWithOtherCertificates() throws {
        let one = Self.proposal(1)
        oracle.finalized(one, try Self.certificate(.finalize(one)), by: 0, at: Instant(nanoseconds: 1))
        oracle.certificate(try Self.certificate(.nullify(0, 1)))
        blamed("both finalized and nullified")
        oracle.certificate(try Self.certificate(.notarize(Self.proposal(1, "b"))))
        blamed("notarizes another proposal")
    }

    @Test mutating func aFinalizationBesideTheChain() throws {
        let (one, stray) = (Self.proposal(1), Self.proposal(2, "b"))
        try send(.notarize(one), by: 0)
        try send(.notarize(stray), by: 0)
        oracle.finalized(one, try Self.certificate(.finalize(one)), by: 0, at: Instant(nanoseconds: 1))
        oracle.finalized(stray, try Self.certificate(.finalize(stray)), by: 0, at: Instant(nanoseconds: 2))
        blamed("does not descend")
    }

    @Test mutating func anHonestNodeAccused() throws {
        let pair = Evidence(
            first: try Self.vote(.notarize(Self.proposal(1)), by: 1),
            second: try Self.vote(.notarize(Self.proposal(1, "b")), by: 1))
        oracle.accused(pair, by: 0)
        blamed("accuses honest node 1")
        oracle.foundItsTwin(2)
        blamed("node 2 believes that another has its key")
    }

    @Test mutating func aNodeThatNeverGoesOn() throws {
        let one = Self.proposal(1)
        oracle.finalized(one, try Self.certificate(.finalize(one)), by: 0, at: Instant(nanoseconds: 9_000_000_000))
        oracle.judgeLiveness(healedAt: Instant(nanoseconds: 0), within: .seconds(5), finalized: [40, 1, 1, 0])
        blamed("node 0 finalized again only")
        blamed("node 1 finalized nothing")
        blamed("stayed behind")
    }
}
