public import Primitives

extension Simplex {
    /// For operators: what keeps this view from ending.
    public var status: EngineStatus {
        let round = rounds[view]
        var spoke: Set<UInt16> = []
        for kind in Subject.Kind.allCases { spoke.formUnion(round?[kind].signers ?? []) }
        var missing: [View] = []
        if case .failure(let lacking) = parent(for: view) { missing = Array(lacking.views.sorted().prefix(16)) }
        return EngineStatus(
            view: view, lastFinalized: lastFinalized, leader: leader(of: view), isLeader: ownIndex == leader(of: view),
            hasProposal: round?.slot.proposal != nil, notarizeWeight: weight(.notarize, view),
            nullifyWeight: weight(.nullify, view), quorumWeight: validators.quorumWeight, work: work,
            reason: round?.timeoutReason, abstains: !maySign(in: view) && ownIndex != nil,
            isKeyInUseElsewhere: isKeyInUseElsewhere, enteredAt: round?.enteredAt,
            silent: (0..<validators.count).filter { !spoke.contains(UInt16($0)) && $0 != ownIndex },
            missing: missing, outstanding: rounds.list.filter { $0.certification == .outstanding }.map(\.view))
    }

    private func weight(_ kind: Subject.Kind, _ view: View) -> UInt64 {
        rounds[view]?[kind].weight ?? 0
    }
}

/// What an operator may know of the current view.
public struct EngineStatus: Sendable, CustomStringConvertible {
    public let view: View
    public let lastFinalized: View
    public let leader: Int
    public let isLeader: Bool
    public let hasProposal: Bool
    /// Stake heard to notarize, its signatures not all checked yet.
    public let notarizeWeight: UInt64
    /// Stake heard to nullify, its signatures not all checked yet.
    public let nullifyWeight: UInt64
    public let quorumWeight: UInt64
    public let work: Bool
    /// The first reason for which the view was given up, if it was.
    public let reason: TimeoutReason?
    /// A validator that may not vote yet (amnesia guard).
    public let abstains: Bool
    public let isKeyInUseElsewhere: Bool
    /// When the view began here.
    public let enteredAt: Instant?
    /// Other validators from whom nothing was heard in this view.
    public let silent: [Int]
    /// Views below whose nullification or certified notarization is lacking here, lowest first; at most 16.
    public let missing: [View]
    /// Notarized views whose block this node does not have yet.
    public let outstanding: [View]

    public var description: String {
        var text = "view \(view), leader \(leader): "
        if hasProposal {
            text += "waiting for a notarization (\(notarizeWeight) of \(quorumWeight) stake)"
        } else {
            text += work ? "waiting for its proposal" : "idle until the next heartbeat"
        }
        if nullifyWeight > 0 { text += ", nullify \(nullifyWeight) of \(quorumWeight)" }
        if let reason { text += " (\(reason.rawValue))" }
        if isKeyInUseElsewhere {
            text += "; silent, since another machine signs with this key"
        } else if abstains {
            text += "; abstaining until the network has moved past what this key may have signed"
        }
        return text
    }
}
