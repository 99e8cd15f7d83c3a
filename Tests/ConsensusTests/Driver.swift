import Consensus
import Primitives

/// One real engine among validators that the test plays itself: it hands in votes and certificates, and reads the outputs.
struct Driver {
    static let network = Digest.of(Domain("test.network"), [])
    static let genesis = Digest.of(Domain("test.genesis"), [])
    static let parameters = ConsensusParameters(
        delta: .milliseconds(100), heartbeat: .seconds(2), retry: .milliseconds(300), growth: 500, cap: 4,
        retention: 10,
        inactivity: 24)

    let keys: [PublicKey]
    let validators: ValidatorSet
    let own: Int?
    let parameters: ConsensusParameters
    var engine: Simplex
    var now = Instant(nanoseconds: 1_000_000_000)
    var journal: [JournalRecord] = []
    /// Whether signature checks are answered truthfully and at once.
    var verifiesAtOnce = true
    /// Signature checks that wait for `answerChecks`.
    var openChecks: [(id: UInt64, items: [VerificationItem])] = []

    init(
        weights: [UInt64] = [1, 1, 1, 1], own: Int? = 0, journal: [JournalRecord] = [], epoch: Epoch = 0,
        floor: Floor = .genesis(Driver.genesis), challenge: Digest? = nil,
        parameters: ConsensusParameters = Driver.parameters
    ) throws {
        var keys: [PublicKey] = []
        for index in weights.indices {
            keys.append(try PublicKey(bytes: Digest.of(Domain("test.key"), [UInt8(index)]).bytes))
        }
        self.keys = keys
        self.own = own
        self.parameters = parameters
        validators = try ValidatorSet(zip(keys, weights).map { Validator(publicKey: $0, weight: $1) })
        engine = Simplex(
            network: Driver.network, epoch: epoch, validators: validators, seed: Driver.genesis, parameters: parameters,
            ownIndex: own, signer: own.map { SymbolicScheme(keys[$0]) }, floor: floor, challenge: challenge)
        engine.restore(journal)
        self.journal = journal
    }

    /// The first view at or above `view` led by `leader`.
    func view(from view: View = 1, ledBy leader: Int) -> View {
        var candidate = view
        while engine.leader(of: candidate) != leader { candidate = candidate.next() }
        return candidate
    }

    /// The first view at or above `view` not led by the engine.
    func view(from view: View = 1, notLedBy leader: Int) -> View {
        var candidate = view
        while engine.leader(of: candidate) == leader { candidate = candidate.next() }
        return candidate
    }

    // MARK: Inputs

    @discardableResult mutating func start() -> [Output] { settle(engine.start(at: now)) }

    @discardableResult mutating func give(_ input: Input) -> [Output] { settle(engine.handle(input, at: now)) }

    @discardableResult mutating func give(_ vote: Vote, from peer: Int? = nil) -> [Output] {
        give(.message(.vote(vote), from: keys[peer ?? Int(vote.signer)]))
    }

    @discardableResult mutating func give(_ certificate: Certificate, from peer: Int = 1) -> [Output] {
        give(.message(.certificate(certificate), from: keys[peer]))
    }

    @discardableResult mutating func pass(_ milliseconds: Int64) -> [Output] {
        now = now.adding(.milliseconds(milliseconds))
        return give(.timer)
    }

    /// A validator's word on where it stands.
    func position(
        _ view: View, by signer: Int, nonce: Digest, epoch: Epoch = 0, certificate: Certificate? = nil
    ) -> Position {
        let bytes = Position.signingBytes(nonce: nonce, epoch: epoch, view: view, network: Driver.network)
        return Position(
            nonce: nonce, epoch: epoch, view: view, signer: UInt16(signer),
            signature: SymbolicScheme(keys[signer]).sign(bytes), certificate: certificate)
    }

    @discardableResult mutating func give(_ position: Position, from peer: Int? = nil) -> [Output] {
        give(.message(.position(position), from: keys[peer ?? Int(position.signer)]))
    }

    /// Answers the open checks truthfully, oldest first.
    @discardableResult mutating func answerChecks() -> [Output] {
        var outputs: [Output] = []
        while !openChecks.isEmpty {
            let (id, items) = openChecks.removeFirst()
            let results = items.map { SymbolicScheme(keys[0]).verify($0.key, $0.signature, $0.message) }
            outputs += record(engine.handle(.signaturesVerified(id, results), at: now))
        }
        return outputs
    }

    private mutating func settle(_ outputs: [Output]) -> [Output] {
        var all = record(outputs)
        if verifiesAtOnce { all += answerChecks() }
        return all
    }

    private mutating func record(_ outputs: [Output]) -> [Output] {
        for output in outputs {
            switch output {
            case .persist(let record): journal.append(record)
            case .verifySignatures(let id, let items): openChecks.append((id, items))
            default: break
            }
        }
        return outputs
    }

    /// The same validator after a crash that kept its journal.
    func restarted(keeping count: Int? = nil) throws -> Driver {
        var next = try Driver(
            weights: validators.validators.map(\.weight), own: own,
            journal: Array(journal.prefix(count ?? journal.count)),
            parameters: parameters)
        next.now = now
        return next
    }

    // MARK: What others say

    func proposal(_ view: View, on parent: Proposal? = nil, _ name: String = "a") -> Proposal {
        Proposal(
            epoch: 0, view: view, parentView: parent?.view ?? 0, parentDigest: parent?.payloadDigest ?? Driver.genesis,
            payloadDigest: Digest.of(Domain("test.payload"), Array("\(view)\(name)".utf8)))
    }

    func vote(_ subject: Subject, by signer: Int) -> Vote {
        Vote(
            subject: subject, signer: UInt16(signer),
            signature: SymbolicScheme(keys[signer]).sign(subject.signingBytes(network: Driver.network)))
    }

    /// A vote in a validator's name that it never cast.
    func forged(_ subject: Subject, by signer: Int, salt: UInt8 = 0) throws -> Vote {
        Vote(
            subject: subject, signer: UInt16(signer),
            signature: try Signature(bytes: [UInt8](repeating: salt, count: 64)))
    }

    func certificate(_ subject: Subject, by signers: [Int] = [1, 2, 3]) -> Certificate {
        Certificate(subject: subject, votes: signers.map { vote(subject, by: $0) })
    }

    func forgedCertificate(_ subject: Subject, by signers: [Int] = [1, 2, 3]) throws -> Certificate {
        Certificate(subject: subject, votes: try signers.map { try forged(subject, by: $0) })
    }

    // MARK: Common moves

    /// The leader's proposal arrives and is found valid. Returns it.
    @discardableResult mutating func accept(_ proposal: Proposal) -> [Output] {
        var outputs = give(vote(.notarize(proposal), by: engine.leader(of: proposal.view)))
        outputs += give(.proposalVerdict(proposal, true))
        return outputs
    }

    /// Others notarize a proposal and the application certifies it.
    @discardableResult mutating func certify(_ proposal: Proposal, _ verdict: Bool = true) -> [Output] {
        var outputs = give(certificate(.notarize(proposal)))
        outputs += give(.certified(proposal, verdict))
        return outputs
    }

    /// Others nullify every view from the current one to the one before `view`.
    mutating func nullify(upTo view: View) {
        while engine.view < view { give(certificate(.nullify(0, engine.view))) }
    }
}

extension [Output] {
    /// Our own votes that left, in order.
    func votes(of signer: Int = 0) -> [Subject] {
        compactMap { output in
            if case .broadcast(.vote(let vote)) = output, Int(vote.signer) == signer { vote.subject } else { nil }
        }
    }

    var entered: [View] { compactMap { if case .entered(let view, _) = $0 { view } else { nil } } }

    var finalized: [Proposal] { compactMap { if case .finalized(let proposal, _) = $0 { proposal } else { nil } } }

    var certifications: [Proposal] { compactMap { if case .certify(let proposal, _) = $0 { proposal } else { nil } } }

    var verifications: [Proposal] {
        compactMap { if case .verifyProposal(let proposal, _) = $0 { proposal } else { nil } }
    }

    var proposes: [ParentReference] { compactMap { if case .propose(_, let parent) = $0 { parent } else { nil } } }

    var evidence: [Evidence] { compactMap { if case .evidence(let evidence) = $0 { evidence } else { nil } } }

    var timeouts: [TimeoutReason] { compactMap { if case .timeout(_, let reason) = $0 { reason } else { nil } } }

    var checks: [[VerificationItem]] {
        compactMap { if case .verifySignatures(_, let items) = $0 { items } else { nil } }
    }

    var certificates: [Certificate] {
        compactMap { if case .broadcast(.certificate(let certificate)) = $0 { certificate } else { nil } }
    }

    /// Ranges asked for, and of whom (nil: of all).
    var requests: [(from: View, through: View, peer: PublicKey?)] {
        compactMap { output in
            switch output {
            case .broadcast(.request(let first, let last)): (first, last, nil)
            case .send(.request(let first, let last), let peer): (first, last, peer)
            default: nil
            }
        }
    }

    /// Nonces with which all, or one, are asked where they stand.
    var challenges: [Digest] {
        compactMap { output in
            switch output {
            case .broadcast(.positionRequest(let nonce)), .send(.positionRequest(let nonce), _): nonce
            default: nil
            }
        }
    }

    var positions: [Position] {
        compactMap { if case .send(.position(let position), _) = $0 { position } else { nil } }
    }

    /// Certificates sent to one peer.
    var answers: [Certificate] {
        compactMap { if case .send(.certificate(let certificate), _) = $0 { certificate } else { nil } }
    }
}
