internal import Consensus
internal import Primitives

/// What can be said in a search: a few proposals, the votes for and against them, and every certificate of exactly a quorum. All is listed before the search
/// begins and named by number; sets of subjects are the bits of a word.
struct SearchWords: Sendable {
    static let validators = 4
    static let quorum = 3
    static let seedDomain = Domain("search.payload")

    let validators: ValidatorSet
    let keys: [PublicKey]
    /// Validators `0..<byzantine` say what they like.
    let byzantine: Int
    let leaders: [Int]
    private(set) var subjects: [Subject] = []
    private var subjectNumbers: [Subject: Int] = [:]
    /// By proposal, a short name such as `2B`.
    private(set) var names: [Proposal: String] = [:]
    private(set) var messages: [ConsensusMessage] = []
    private(set) var senders: [PublicKey] = []
    /// By `subject × 16 + set of honest voters`: everything about the subject that can then be brought to anyone.
    private var offers: [MessageSet] = []
    /// For each subject, those that must never be possible beside it.
    private(set) var excluded: [UInt64] = []
    /// For each subject, those that no honest validator says beside it.
    private(set) var forbidden: [UInt64] = []

    init(byzantine: Int, leaders: [Int]) {
        self.byzantine = byzantine
        self.leaders = leaders
        let setting = TwinSimulation.Setting(validators: SearchWords.validators)
        validators = setting.validators
        keys = setting.keys
        list()
    }

    var views: Int { leaders.count }

    var byzantineSet: Int { (1 << byzantine) - 1 }

    /// What an honest leader puts forward on a parent.
    func payload(_ view: View, on parent: Digest) -> Digest {
        var writer = ByteWriter()
        writer.write(view)
        writer.write(parent)
        writer.write(UInt8(0))
        return Digest.of(SearchWords.seedDomain, writer.bytes)
    }

    private func invented(_ view: View, _ number: UInt8) -> Digest {
        var writer = ByteWriter()
        writer.write(view)
        writer.write(number)
        return Digest.of(SearchWords.seedDomain, writer.bytes)
    }

    private mutating func list() {
        let genesis = ConsensusSimulation.genesis
        /// Those that an honest leader of the next view may build on.
        var parents: [(view: View, digest: Digest)] = [(0, genesis)]
        for place in leaders.indices {
            let view = View(UInt64(place) + 1)
            var proposals: [Proposal] = []
            func add(_ parent: (view: View, digest: Digest), _ payload: Digest) {
                proposals.append(
                    Proposal(
                        epoch: 0, view: view, parentView: parent.view, parentDigest: parent.digest,
                        payloadDigest: payload))
            }
            if leaders[place] < byzantine {
                // Two: on the first of the view before, and past that view; in view 1 both on genesis.
                add(parents.first { $0.view.value == view.value - 1 } ?? parents[0], invented(view, 1))
                add(parents[0], invented(view, 2))
            } else {
                for parent in parents { add(parent, payload(view, on: parent.digest)) }
            }
            parents += proposals.map { ($0.view, $0.payloadDigest) }
            if leaders[place] >= byzantine {
                // One that the leader never made: only liars speak for it.
                add(parents[0], invented(view, 3))
            }
            for (number, proposal) in proposals.enumerated() {
                names[proposal] = "\(view)" + String(UnicodeScalar(UInt8(65 + number)))
                subjects += [.notarize(proposal), .finalize(proposal)]
            }
            subjects.append(.nullify(0, view))
        }
        precondition(subjects.count <= 64, "sets of subjects are 64 bits")
        for (number, subject) in subjects.enumerated() { subjectNumbers[subject] = number }
        for subject in subjects { offerAll(of: subject) }
        for subject in subjects {
            excluded.append(mask { excludes(subject, $0) })
            forbidden.append(mask { forbids(subject, $0) })
        }
    }

    private func mask(_ holds: (Subject) -> Bool) -> UInt64 {
        subjects.enumerated().reduce(0) { holds($1.element) ? $0 | 1 << UInt64($1.offset) : $0 }
    }

    private mutating func offerAll(of subject: Subject) {
        var votes: [(message: Int, voter: Int)] = []
        for voter in 0..<SearchWords.validators {
            votes.append((add(.vote(vote(subject, by: voter)), from: voter), voter))
        }
        var certificates: [(message: Int, signers: Int)] = []
        for signers in 0..<1 << SearchWords.validators where signers.nonzeroBitCount == SearchWords.quorum {
            let signed = (0..<SearchWords.validators).filter { signers >> $0 & 1 == 1 }.map { vote(subject, by: $0) }
            certificates.append((add(.certificate(Certificate(subject: subject, votes: signed)), from: 0), signers))
        }
        for honest in 0..<1 << SearchWords.validators {
            var offer = MessageSet()
            let voters = honest | byzantineSet
            for (message, voter) in votes where voters >> voter & 1 == 1 { offer.insert(message) }
            for (message, signers) in certificates where signers & ~voters == 0 { offer.insert(message) }
            offers.append(offer)
        }
    }

    private mutating func add(_ message: ConsensusMessage, from sender: Int) -> Int {
        messages.append(message)
        senders.append(keys[sender])
        precondition(messages.count <= MessageSet.capacity, "message numbers fit the set")
        return messages.count - 1
    }

    private func vote(_ subject: Subject, by voter: Int) -> Vote {
        Vote(
            subject: subject, signer: UInt16(voter),
            signature: SymbolicScheme(keys[voter]).sign(
                subject.signingBytes(network: ConsensusSimulation.network)))
    }

    func number(of subject: Subject) -> Int? { subjectNumbers[subject] }

    /// Everything that may be brought to a node, when the honest have said so much. A word once said can come at any time and any number of
    /// times; a certificate can be had as soon as its votes are said, for a liar may put it together.
    func offer(_ said: [UInt64]) -> MessageSet {
        var offer = MessageSet()
        for subject in subjects.indices {
            var voters = 0
            for (place, mask) in said.enumerated() where mask >> UInt64(subject) & 1 == 1 {
                voters |= 1 << (byzantine + place)
            }
            offer.formUnion(offers[subject * 16 + voters])
        }
        return offer
    }

    /// The subjects of which a certificate can be made.
    func possible(_ said: [UInt64]) -> UInt64 {
        let needed = SearchWords.quorum - byzantine
        if needed <= 0 { return .max }
        // Bit by bit: in at least one, two, three of the sets.
        var one: UInt64 = 0
        var two: UInt64 = 0
        var three: UInt64 = 0
        for mask in said {
            three |= two & mask
            two |= one & mask
            one |= mask
        }
        return needed == 1 ? one : needed == 2 ? two : three
    }

    /// Agreement: what a possible finalization leaves no room for.
    private func excludes(_ subject: Subject, _ other: Subject) -> Bool {
        guard case .finalize(let final) = subject else { return false }
        if other.view < final.view { return false }
        guard let proposal = other.proposal else { return other.view == final.view }
        return !descends(proposal, from: final)
    }

    private func descends(_ proposal: Proposal, from ancestor: Proposal) -> Bool {
        var current = proposal
        while current.view > ancestor.view {
            guard
                let parent = names.keys.first(where: {
                    $0.view == current.parentView && $0.payloadDigest == current.parentDigest
                })
            else { return false }
            current = parent
        }
        return current == ancestor
    }

    /// The honest say one thing of a kind and view, never nullify and finalize, never notarize one and finalize another.
    private func forbids(_ subject: Subject, _ other: Subject) -> Bool {
        if subject == other || subject.view != other.view { return false }
        switch (subject.kind, other.kind) {
        case (.notarize, .notarize), (.finalize, .finalize), (.nullify, .finalize), (.finalize, .nullify): return true
        case (.notarize, .finalize), (.finalize, .notarize): return subject.proposal != other.proposal
        default: return false
        }
    }

    func describe(_ subject: Subject) -> String {
        "\(subject.kind) " + (subject.proposal.map { names[$0] ?? "an unknown proposal" } ?? "view \(subject.view)")
    }

    func describe(_ message: Int) -> String {
        switch messages[message] {
        case .vote(let vote): "\(vote.signer)'s \(describe(vote.subject))"
        case .certificate(let certificate):
            "a certificate of \(certificate.signers.map { String($0) }.joined(separator: ", ")): \(describe(certificate.subject))"
        case .request(let first, let last): "a request for \(first) to \(last)"
        case .evidence(let evidence): "evidence against \(evidence.signer)"
        case .positionRequest: "a question where everyone stands"
        case .position(let position): "\(position.signer)'s position, view \(position.view)"
        }
    }
}
