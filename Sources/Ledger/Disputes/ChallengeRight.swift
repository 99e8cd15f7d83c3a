public import Primitives

/// Why an account may not challenge a result.
public enum ChallengeRefusal: Error, Hashable, Sendable, CaseIterable, CustomStringConvertible {
    case noResult
    case ownResult
    case challengedBefore
    case unrevealedAudit
    case sameResult
    case windowOver

    public var description: String {
        switch self {
        case .noResult: "there is no result to dispute"
        case .ownResult: "nobody challenges its own result"
        case .challengedBefore: "the sender has challenged this result before"
        case .unrevealedAudit: "an auditor reveals its own result before it challenges another"
        case .sameResult: "the sender has found the same result"
        case .windowOver: "the window for challenges is over"
        }
    }
}

/// On what terms an account may challenge the result of an attempt, on chain or before its provider alone.
public struct ChallengeRight: Hashable, Sendable {
    /// The bond that was locked at its draw stands for it.
    public let isAuditor: Bool
    /// The least that it deposits.
    public let deposit: Amount
    /// Until when, in dispute clock.
    public let until: UInt64

    public init(isAuditor: Bool, deposit: Amount, until: UInt64) {
        self.isAuditor = isAuditor
        self.deposit = deposit
        self.until = until
    }

    /// `clock`: the dispute clock.
    init(
        of job: Job, by challenger: Address, hasChallenged: Bool, clock: UInt64, _ parameters: ChainParameters
    ) throws(ChallengeRefusal) {
        guard job.isDisputable, let assignment = job.assignment, assignment.commitment != nil,
            let terms = try? DisputeTerms(assignment, parameters)
        else { throw .noResult }
        if challenger == assignment.provider { throw .ownResult }
        if hasChallenged { throw .challengedBefore }
        if let audit = job.audits.first(where: { $0.auditor == challenger && !$0.isSilent }) {
            guard let own = audit.commitment else { throw .unrevealedAudit }
            if own == assignment.commitment { throw .sameResult }
            // It stands open until the auditor has had its time.
            self.init(isAuditor: true, deposit: .zero, until: audit.challengeBy)
            return
        }
        let end = job.windowEnd(assignment, parameters)
        if clock > end { throw .windowOver }
        self.init(isAuditor: false, deposit: terms.bond, until: end)
    }
}

extension Job {
    /// When the window for challenges ends, in dispute clock: from the opening, base and twice the time on the slowest eligible device; longer
    /// where the policy asked for an audit and nobody answered.
    func windowEnd(_ assignment: Assignment, _ parameters: ChainParameters) -> UInt64 {
        let isUnaudited = spec.policy.perMille == 1000 && !audits.contains { !$0.isSilent }
        let hasOnlySilent = audits.contains { $0.isSilent } && !audits.contains { !$0.isSilent }
        var end = UInt128(assignment.openedClock) + UInt128(parameters.settleBase)
        end += 2 * UInt128(assignment.slowestMilliseconds)
        if isUnaudited || hasOnlySilent { end += UInt128(parameters.unauditedWindow) }
        return max(UInt64(clamping: end), assignment.windowFloor)
    }
}

extension Query {
    /// On what terms an account may challenge a job's present result.
    public static func challengeRight(
        of job: Job, by challenger: Address, in store: any StateStore
    ) throws(LedgerFault) -> Result<ChallengeRight, ChallengeRefusal> {
        let known = try read(Dispute.self, StateKey.dispute(job.id, job.attempt, challenger), store)
        let (clock, parameters) = (try disputeClock(in: store), try parameters(in: store))
        return Result { () throws(ChallengeRefusal) in
            try ChallengeRight(
                of: job, by: challenger, hasChallenged: known != nil, clock: clock, parameters)
        }
    }

    /// The clock of disputes: that of the chain without the time of blocks that had no room for a move.
    public static func disputeClock(in store: any StateStore) throws(LedgerFault) -> UInt64 {
        try chain(in: store).disputeClock
    }
}
