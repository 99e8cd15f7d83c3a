import Consensus
import Primitives

/// What an honest engine never does, judged by its outputs alone.
struct EngineOracle {
    let validators: ValidatorSet
    /// Whether so few lie that two finalizations can never contradict one another.
    let judgesAgreement: Bool
    /// Our own votes, over restarts.
    private(set) var cast: Set<Subject> = []
    private var ofView: [View: [Subject]] = [:]
    private var journaled: Set<JournalRecord> = []
    private var entered: View = 0
    private var lastFinalized: View = 0
    private var finalized: [View: Proposal] = [:]

    init(validators: ValidatorSet, judgesAgreement: Bool) {
        self.validators = validators
        self.judgesAgreement = judgesAgreement
    }

    mutating func restarted() {
        entered = 0
        lastFinalized = 0
    }

    mutating func judge(_ outputs: [Output], engine: Simplex) {
        require(outputs.count <= 2_000, "one step has \(outputs.count) outputs")
        for output in outputs {
            switch output {
            case .persist(let record):
                journaled.insert(record)
                if case .vote(let vote) = record { judgeCast(vote.subject) }
            case .broadcast(.vote(let vote)), .send(.vote(let vote), _):
                if Int(vote.signer) != EnginePlay.own { break }
                require(journaled.contains(.vote(vote)), "a vote left before it was journaled: \(vote.subject)")
            case .broadcast(.certificate(let certificate)), .send(.certificate(let certificate), _):
                judgeCertificate(certificate)
            case .notarized(let proposal, let certificate):
                judgeCertificate(certificate)
                require(certificate.subject == .notarize(proposal), "notarized by the certificate of something else")
            case .finalized(let proposal, let certificate): judgeFinal(proposal, certificate)
            case .entered(let view, let leader):
                require(view > entered, "view \(view) is entered after view \(entered)")
                require(leader == engine.leader(of: view), "another leader")
                entered = view
            case .evidence(let evidence):
                require(evidence.isDoubleVote, "evidence of nothing")
                require(Int(evidence.signer) != EnginePlay.own, "evidence against ourselves")
            case .keyInUseElsewhere: require(false, "nobody else signs with our key here")
            default: break
            }
        }
    }

    private mutating func judgeCast(_ subject: Subject) {
        let said = ofView[subject.view, default: []]
        for other in said where other != subject {
            switch (other, subject) {
            case (.notarize(let one), .finalize(let two)), (.finalize(let one), .notarize(let two)):
                require(one == two, "notarize and finalize of two proposals in one view: \(one) \(two)")
            case (.notarize, .nullify): break
            default: require(false, "\(subject) after \(other)")
            }
        }
        if !said.contains(subject) { ofView[subject.view] = said + [subject] }
        cast.insert(subject)
    }

    private func judgeCertificate(_ certificate: Certificate) {
        for item in certificate.verificationItems(validators, network: EnginePlay.network) ?? [] {
            require(
                SymbolicScheme(item.key).verify(item.key, item.signature, item.message),
                "a certificate with a false signature is passed on: \(certificate.subject)")
        }
        require(
            certificate.weight(in: validators).map { $0 >= validators.quorumWeight } ?? false,
            "a certificate without a quorum is passed on")
    }

    private mutating func judgeFinal(_ proposal: Proposal, _ certificate: Certificate) {
        judgeCertificate(certificate)
        require(certificate.subject == .finalize(proposal), "finalized by the certificate of something else")
        require(journaled.contains(.certificate(certificate)), "finalized before it was journaled: \(proposal)")
        require(proposal.view > lastFinalized, "finalized backwards: \(proposal.view) after \(lastFinalized)")
        lastFinalized = proposal.view
        if !judgesAgreement { return }
        if let other = finalized[proposal.view] { require(other == proposal, "two finalized in view \(proposal.view)") }
        finalized[proposal.view] = proposal
    }
}
