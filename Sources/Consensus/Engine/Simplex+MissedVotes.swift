public import Primitives

/// Why a vote of ours is not on the record of a block that became final. The raw values are words for operators.
public enum MissedVoteReason: String, Hashable, Sendable, CaseIterable {
    /// Nobody's word on the view reached us while it was ours to vote in.
    case noPeer = "no peer"
    /// Others were heard, but the proposal came after the view had ended here, or not at all.
    case lateProposal = "late proposal"
    /// The proposal was here in time, the check of its block was not done in time.
    case slowVerify = "slow verify"
    /// We voted, and the next leader had not heard it when it built on the block.
    case lateVote = "late vote"
    /// We found the block invalid; a quorum did not.
    case invalidProposal = "invalid proposal"
    /// The leader had signed two proposals.
    case twoProposals = "two proposals"
    /// The amnesia guard, or another machine with our key, kept us silent.
    case abstained = "abstained"
    /// The view was over before this node had come to it.
    case behind = "behind"
}

/// What is known of our own votes that went missing.
extension Simplex {
    /// Why the record of a final proposal may lack our vote. Nil where this engine has no vote in this epoch.
    public func missedVoteReason(in view: View) -> MissedVoteReason? {
        guard ownIndex != nil else { return nil }
        guard let round = rounds[view], round.enteredAt != nil else { return .behind }
        if round.sentNotarize != nil || round.sentFinalize != nil { return .lateVote }
        if !maySign(in: view) { return .abstained }
        if round.refused { return .invalidProposal }
        if round.slot == .equivocated { return .twoProposals }
        let end = [round.gaveUpAt, round.notarizedAt].compactMap { $0 }.min()
        if let proposalAt = round.proposalAt, end.map({ proposalAt < $0 }) ?? true { return .slowVerify }
        if let heardAt = round.heardAt, end.map({ heardAt <= $0 }) ?? true { return .lateProposal }
        return .noPeer
    }
}
