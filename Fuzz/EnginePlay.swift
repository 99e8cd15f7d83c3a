import Consensus
import Primitives

/// Plays a script to an engine: the network, the disk and the application around it.
struct EnginePlay {
    static let network = Digest.of(Domain("fuzz.network"), [])
    static let genesis = Digest.of(Domain("fuzz.genesis"), [])
    static let parameters = ConsensusParameters(
        delta: .milliseconds(100), heartbeat: .seconds(2), retry: .milliseconds(300))
    /// Events of one script; longer ones find nothing that shorter ones do not.
    static let mostEvents = 400
    /// The engine's place in the set, and that of the validator that always lies.
    static let own = 0
    static let liar = 3

    let keys: [PublicKey]
    let validators: ValidatorSet
    let everyoneLies: Bool
    var script: ArraySlice<UInt8>
    var engine: Simplex
    var oracle: EngineOracle
    var now = Instant(nanoseconds: 1_000_000_000)
    /// What is on the disk.
    var journal: [JournalRecord] = []
    /// Proposals that have been named, to be voted for and built on.
    var proposals: [Proposal] = []
    /// What those who keep the rules have signed.
    var words: [Int: [Subject]] = [:]
    var checks: [(id: UInt64, items: [VerificationItem])] = []
    var toPropose: [(view: View, parent: ParentReference)] = []
    var toVerify: [Proposal] = []
    var toCertify: [Proposal] = []
    /// The application's word on a proposal, which never changes.
    var verdicts: [Proposal: Bool] = [:]

    init(everyoneLies: Bool, script: ArraySlice<UInt8>) {
        self.everyoneLies = everyoneLies
        self.script = script
        keys = (0..<4).compactMap { try? PublicKey(bytes: Digest.of(Domain("fuzz.validator"), [UInt8($0)]).bytes) }
        guard let set = try? ValidatorSet(keys.map { Validator(publicKey: $0, weight: 1) }) else {
            fatalError("four keys of one weight each are a set")
        }
        validators = set
        engine = EnginePlay.engine(keys, set, [])
        oracle = EngineOracle(validators: set, judgesAgreement: !everyoneLies)
    }

    private static func engine(_ keys: [PublicKey], _ validators: ValidatorSet, _ journal: [JournalRecord]) -> Simplex {
        var engine = Simplex(
            network: network, epoch: 0, validators: validators, seed: genesis, parameters: parameters, ownIndex: own,
            signer: SymbolicScheme(keys[own]), floor: .genesis(genesis), challenge: nil)
        engine.restore(journal)
        return engine
    }

    mutating func run() {
        take(engine.start(at: now))
        for _ in 0..<EnginePlay.mostEvents {
            if script.isEmpty { return }
            step()
        }
    }

    private mutating func next() -> Int { Int(script.popFirst() ?? 0) }

    private mutating func give(_ input: Input) { take(engine.handle(input, at: now)) }

    private mutating func take(_ outputs: [Output]) {
        oracle.judge(outputs, engine: engine)
        for output in outputs {
            switch output {
            case .persist(let record): journal.append(record)
            case .verifySignatures(let id, let items): checks.append((id, items))
            case .propose(let view, let parent): toPropose.append((view, parent))
            case .verifyProposal(let proposal, _): toVerify.append(proposal)
            case .certify(let proposal, _): toCertify.append(proposal)
            case .broadcast(.vote(let vote)):
                if let proposal = vote.subject.proposal { remember(proposal) }
            default: break
            }
        }
    }

    private mutating func remember(_ proposal: Proposal) {
        if !proposals.contains(proposal) { proposals.append(proposal) }
    }

    private mutating func step() {
        switch next() % 12 {
        case 0: vote()
        case 1: certificate()
        case 2: answerCheck(truthfully: true)
        case 3:
            now = now.adding(.milliseconds(Int64(next()) * 4))
            give(.timer)
        case 4: judge()
        case 5: certify()
        case 6: propose()
        case 7: give(.work(next() % 2 == 0))
        case 8: give(.peerConnected(keys[1 + next() % 3]))
        case 9: restart()
        case 10: request()
        default: mutated()
        }
    }

    // MARK: What others say

    /// A view near the engine's.
    private mutating func someView() -> View {
        let offset = [0, 0, 0, 1, 2, 5, -1, -2][next() % 8]
        return View(UInt64(max(1, Int64(engine.view.value) + Int64(offset))))
    }

    /// A proposal known, or a new one on a known one or the genesis.
    private mutating func someProposal() -> Proposal {
        let choice = next()
        if choice % 4 != 0, !proposals.isEmpty {
            return proposals[proposals.count - 1 - (choice / 4) % proposals.count]
        }
        let view = someView()
        let place = next()
        let below = proposals.filter { $0.view < view }
        let parent = below.isEmpty || place % 8 == 7 ? nil : below[below.count - 1 - place % below.count]
        let made = Proposal(
            epoch: choice == 252 ? 1 : 0, view: view, parentView: parent?.view ?? 0,
            parentDigest: parent?.payloadDigest ?? EnginePlay.genesis,
            payloadDigest: Digest.of(Domain("fuzz.payload"), view.canonicalBytes + [UInt8(choice / 64)]))
        remember(made)
        return made
    }

    private mutating func someSubject() -> Subject {
        switch next() % 3 {
        case 0: .notarize(someProposal())
        case 1: .finalize(someProposal())
        default: .nullify(0, someView())
        }
    }

    /// Whether a validator signs: the liar anything, those who keep the rules what does not contradict what they signed, and nobody in the engine's
    /// name but the engine.
    private mutating func mayBeSigned(_ subject: Subject, by signer: Int) -> Bool {
        if signer == EnginePlay.own { return oracle.cast.contains(subject) }
        if everyoneLies || signer == EnginePlay.liar { return true }
        let said = words[signer, default: []].filter { $0.view == subject.view }
        if said.contains(subject) { return true }
        for other in said {
            switch (other, subject) {
            case (.notarize, .notarize), (.finalize, .finalize), (.nullify, .finalize), (.finalize, .nullify),
                (.nullify, .notarize):
                return false
            case (.notarize(let one), .finalize(let two)), (.finalize(let one), .notarize(let two)):
                if one != two { return false }
            default: break
            }
        }
        // Finality rests on a quorum's notarize votes, which those who keep the rules have seen: they say them here themselves.
        if case .finalize(let proposal) = subject, !said.contains(.notarize(proposal)) { return false }
        words[signer, default: []].append(subject)
        return true
    }

    private mutating func signed(_ subject: Subject, by signer: Int, forged: Bool) -> Vote {
        let isTrue = !forged && mayBeSigned(subject, by: signer)
        let message = isTrue ? subject.signingBytes(network: EnginePlay.network) : [1]
        return Vote(
            subject: subject, signer: UInt16(signer), signature: SymbolicScheme(keys[signer]).sign(message))
    }

    private mutating func vote() {
        let choice = next()
        let subject = someSubject()
        let leader = engine.leader(of: subject.view)
        // Mostly by the leader, whose word fills the slot.
        let signer = choice % 4 == 0 ? leader : choice % 4
        give(.message(.vote(signed(subject, by: signer, forged: choice >= 224)), from: keys[choice / 4 % 4]))
    }

    private mutating func certificate() {
        let choice = next()
        let subject = someSubject()
        let missing = choice % 5
        let signers = (0..<4).filter { $0 != missing }
        let votes = signers.map { signed(subject, by: $0, forged: choice >= 224) }
        give(.message(.certificate(Certificate(subject: subject, votes: votes)), from: keys[1 + choice / 5 % 3]))
    }

    private mutating func request() {
        if next() % 8 == 0 {
            return give(.message(.positionRequest(nonce: EnginePlay.genesis), from: keys[1 + next() % 3]))
        }
        let first = someView()
        give(.message(.request(from: first, through: View(first.value + UInt64(next() % 64))), from: keys[1]))
    }

    /// A true message of which a byte is changed, where it can still be read.
    private mutating func mutated() {
        let subject = someSubject()
        var bytes = ConsensusMessage.vote(signed(subject, by: 1 + next() % 3, forged: false)).canonicalBytes
        bytes[next() % bytes.count] ^= UInt8(truncatingIfNeeded: next())
        guard let message = try? ConsensusMessage(canonicalBytes: bytes) else { return }
        give(.message(message, from: keys[1 + next() % 3]))
    }

    // MARK: What is around the engine

    private mutating func answerCheck(truthfully: Bool) {
        if checks.isEmpty { return }
        let (id, items) = checks.remove(at: next() % 2 == 0 ? 0 : checks.count - 1)
        let results = items.map { SymbolicScheme($0.key).verify($0.key, $0.signature, $0.message) }
        give(.signaturesVerified(id, results))
    }

    private mutating func word(_ proposal: Proposal) -> Bool {
        let said = verdicts[proposal] ?? (next() % 8 != 0)
        verdicts[proposal] = said
        return said
    }

    private mutating func judge() {
        if toVerify.isEmpty { return }
        let proposal = toVerify.remove(at: next() % toVerify.count)
        give(.proposalVerdict(proposal, word(proposal)))
    }

    private mutating func certify() {
        if toCertify.isEmpty { return }
        let proposal = toCertify.remove(at: next() % toCertify.count)
        give(.certified(proposal, word(proposal)))
    }

    private mutating func propose() {
        if toPropose.isEmpty { return }
        let (view, _) = toPropose.remove(at: next() % toPropose.count)
        give(.payloadProposed(view, Digest.of(Domain("fuzz.payload"), view.canonicalBytes)))
    }

    /// A crash that keeps what was journaled.
    private mutating func restart() {
        checks = []
        toPropose = []
        toVerify = []
        toCertify = []
        engine = EnginePlay.engine(keys, validators, journal)
        oracle.restarted()
        take(engine.start(at: now))
    }
}
