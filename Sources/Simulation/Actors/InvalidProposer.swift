internal import Consensus
internal import Primitives

/// Proposes what every honest application refuses, in all its turns, and notarizes it.
struct InvalidProposer: Liar {
    mutating func say(_ message: ConsensusMessage, to targets: [Int], _ context: inout LiarContext) -> [Transmission] {
        guard case .vote(let vote) = message, case .notarize(let proposal) = vote.subject, context.chance(2, in: 3)
        else { return honestly(message, targets) }
        let invalid = Proposal(
            epoch: proposal.epoch, view: proposal.view, parentView: proposal.parentView,
            parentDigest: proposal.parentDigest, payloadDigest: InvalidProposer.payload(proposal.view))
        return honestly(.vote(context.sign(.notarize(invalid))), targets)
    }

    private static func payload(_ view: View) -> Digest {
        // The application knows it by its beginning.
        var bytes = Digest.of(Domain("sim.invalid"), view.canonicalBytes).bytes
        for place in 0..<8 { bytes[place] = 0xEE }
        return (try? Digest(bytes: bytes)) ?? .zero
    }

    /// What an application of the simulation says of a payload.
    static func isValid(_ payload: Digest) -> Bool { payload.bytes.prefix(8).contains { $0 != 0xEE } }
}
